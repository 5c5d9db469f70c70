//! When two replies are the same: byte for byte by default, and for some commands a weaker rule, with the reason.

use std::collections::BTreeSet;

use super::grammar::Words;
use crate::client::Reply;

/// How two replies are compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Same {
    /// Byte for byte.
    Exactly,
    /// Byte for byte if no hash table is read and none was when the value was created; otherwise in any order of groups of this
    /// number of elements.
    Untabled(usize),
    /// In any order of groups of this number of elements.
    AnyOrder(usize),
    /// Byte for byte, except integers that hold a time: they may differ by at most this much.
    Clock(Ticking, i64),
    /// Byte for byte if the set is packed or all scores are equal; otherwise anything.
    ByLex,
    /// The same elements from a whole cursor iteration, in groups of this number of elements.
    Scanned(usize),
    /// The same number of elements, all of which exist; none appears twice unless the command allows it.
    Random,
    /// A payload that RESTORE turns into the same value.
    Restored,
    /// Byte for byte, except that a short string with or after a time to live may have the other encoding in Valkey.
    Embedded,
    /// The same type of reply.
    Kind,
    /// Byte for byte if the command names something; otherwise only the same type of reply.
    Named,
    /// The same values for settings that are named; for patterns, a subset of the names.
    Settings,
}

/// Which integers of a reply hold a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ticking {
    /// Every one.
    All,
    /// Those that follow one of these names.
    Named(&'static [&'static str]),
    /// The third of each four: a pending entry's idle time.
    Pending,
}

use Same::{
    AnyOrder, ByLex, Clock, Embedded, Kind, Named, Random, Restored, Scanned, Settings, Untabled,
};

const TABLE: &str =
    "the order of a hash table differs between processes, even between two real servers";
const CLOCK: &str = "the clock moves between the two questions, on a busy machine by seconds";
const COLLECTED: &str = "the result is collected in a hash table, even that of small sets";
const LUCK: &str = "random";

/// The commands that are not compared byte for byte, by their first words, with the reason.
pub const RELAXED: &[(&str, Same, &str)] = &[
    ("smembers", Untabled(1), TABLE),
    ("hgetall", Untabled(2), TABLE),
    ("hkeys", Untabled(1), TABLE),
    ("hvals", Untabled(1), TABLE),
    ("sinter", Untabled(1), TABLE),
    ("sunion", AnyOrder(1), COLLECTED),
    ("sdiff", AnyOrder(1), COLLECTED),
    ("keys", AnyOrder(1), TABLE),
    ("scan", Scanned(1), TABLE),
    ("sscan", Scanned(1), TABLE),
    ("hscan", Scanned(2), TABLE),
    ("zscan", Scanned(2), TABLE),
    ("sort_ro", Untabled(1), TABLE),
    ("function list", AnyOrder(1), TABLE),
    ("config get", Settings, "the DIFFERENCE of its row"),
    ("command list", AnyOrder(1), TABLE),
    ("acl cat", AnyOrder(1), TABLE),
    ("srandmember", Random, LUCK),
    ("hrandfield", Random, LUCK),
    ("zrandmember", Random, LUCK),
    ("randomkey", Random, LUCK),
    ("ttl", Clock(Ticking::All, 10), CLOCK),
    ("pttl", Clock(Ticking::All, 10_000), CLOCK),
    ("httl", Clock(Ticking::All, 10), CLOCK),
    ("hpttl", Clock(Ticking::All, 10_000), CLOCK),
    (
        "object encoding",
        Embedded,
        "Valkey counts a time to live even after it was removed from the string, and 9.0 with libc's allocator counts none",
    ),
    (
        "object refcount",
        Kind,
        "a small integer that COPY or SETRANGE created is not shared: the DIFFERENCE of its row",
    ),
    ("object idletime", Clock(Ticking::All, 10), CLOCK),
    ("xpending", Clock(Ticking::Pending, 10_000), CLOCK),
    (
        "xinfo consumers",
        Clock(Ticking::Named(&["idle", "inactive"]), 10_000),
        CLOCK,
    ),
    (
        "xinfo stream",
        Clock(Ticking::Named(&["seen-time", "active-time"]), 10_000),
        "each follower records its own time of arrival",
    ),
    ("zrangebylex", ByLex, UNSPECIFIED),
    ("zrevrangebylex", ByLex, UNSPECIFIED),
    ("zlexcount", ByLex, UNSPECIFIED),
    ("zrange", ByLex, UNSPECIFIED),
    (
        "dump",
        Restored,
        "its bytes depend on the order of tables and on how nodes were split",
    ),
    ("function dump", Kind, TABLE),
    ("command help", Kind, HELP),
    ("client help", Kind, HELP),
    ("object help", Kind, HELP),
    ("slowlog help", Kind, HELP),
    ("xinfo help", Kind, HELP),
    ("command ", Kind, TABLE),
    ("command info", Named, TABLE),
    ("command docs", Kind, HELP),
    (
        "role",
        Clock(Ticking::All, 1000),
        "the primary's pings move the offset",
    ),
    ("time", Kind, CLOCK),
    ("lastsave", Kind, "each server starts at another time"),
    (
        "memory usage",
        Kind,
        "the allocator and the data structures differ",
    ),
];

const HELP: &str = "the sentences are our own";

const UNSPECIFIED: &str =
    "a lexical range of different scores is unspecified, and random in a skiplist";

/// How replies to a command with these first words are compared.
pub fn rule(first: &[u8], second: Option<&Vec<u8>>) -> Same {
    let first = String::from_utf8_lossy(first).to_lowercase();
    let second = second.map(|word| String::from_utf8_lossy(word).to_lowercase());
    let is_meant = |name: &str| match (name.split_once(' '), &second) {
        (None, _) => name == first,
        (Some((container, inner)), Some(second)) => container == first && inner == second,
        // A container alone, which ends with a space in the table.
        (Some((container, inner)), None) => container == first && inner.is_empty(),
    };
    let row = RELAXED.iter().find(|(name, ..)| is_meant(name));
    row.map_or(Same::Exactly, |(_, same, _)| *same)
}

/// The only setting of redtail's own.
const OWN_SETTING: &str = "track-access";

/// Whether the settings that `read` names are the same, and all other settings of `found` also exist in `expected`.
pub fn same_settings(read: &Words, expected: &Reply, found: &Reply) -> bool {
    let is_named = |name: &str| {
        let mut words = read.iter().skip(2);
        words.any(|word| word.eq_ignore_ascii_case(name.as_bytes()))
    };
    let settings = |reply: &Reply| {
        let elements = reply.elements();
        let pairs = elements.chunks(2);
        let (named, matched): (Vec<_>, Vec<_>) = pairs
            .map(|pair| (pair[0].text(), pair[1].text()))
            .partition(|(name, _)| is_named(name));
        let names: BTreeSet<_> = matched.into_iter().map(|(name, _)| name).collect();
        (BTreeSet::from_iter(named), names)
    };
    let (mut expected, found) = (settings(expected), settings(found));
    expected.1.insert(OWN_SETTING.to_owned());
    expected.0 == found.0 && found.1.is_subset(&expected.1)
}

/// Whether the replies are the same except for the times in them.
pub fn same_but_times(expected: &Reply, found: &Reply, ticking: Ticking, distance: i64) -> bool {
    let (expected, found) = (leaves(expected), leaves(found));
    let near = |at: usize| {
        let times = (time(&expected[at]), time(&found[at]));
        matches!(times, (Some(a), Some(b)) if (a - b).abs() <= distance)
    };
    expected.len() == found.len()
        && (0..expected.len())
            .all(|at| expected[at] == found[at] || (ticking.is_at(&expected, at) && near(at)))
}

impl Ticking {
    fn is_at(self, leaves: &[Reply], at: usize) -> bool {
        match self {
            Self::All => true,
            Self::Named(names) => at > 0 && names.contains(&leaves[at - 1].text().as_str()),
            Self::Pending => at > 2 && leaves[at - 3].0 == b"*4\r\n",
        }
    }
}

/// A time. Negative integers are replies of another kind.
fn time(leaf: &Reply) -> Option<i64> {
    leaf.integer().filter(|ms| *ms >= 0)
}

/// A reply's heads and elements at all depths, in order.
fn leaves(reply: &Reply) -> Vec<Reply> {
    let elements = reply.elements();
    let inner: usize = elements.iter().map(|element| element.0.len()).sum();
    let head = Reply(reply.0[..reply.0.len() - inner].to_vec());
    std::iter::once(head)
        .chain(elements.iter().flat_map(leaves))
        .collect()
}

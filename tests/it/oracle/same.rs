//! When two replies are the same: byte for byte, and where that is too much to ask, what instead and why.

use std::collections::BTreeSet;

use super::grammar::Words;
use crate::client::Reply;

/// How two replies are compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Same {
    /// Byte for byte.
    Exactly,
    /// Byte for byte where no hash table is read, nor was when the value was made; otherwise in any order of groups of this many
    /// elements.
    Untabled(usize),
    /// In any order of groups of this many elements.
    AnyOrder(usize),
    /// Byte for byte but for integers that tell a time: those may be so far apart.
    Clock(Ticking, i64),
    /// Byte for byte when packed or when all scores are equal.
    ByLex,
    /// All that a whole cursor iteration gives, in groups of this many elements.
    Scanned(usize),
    /// As many elements, all of them there; none twice unless asked for.
    Random,
    /// A payload that RESTORE takes for the same value.
    Restored,
    /// Byte for byte, but a short string that had a time to live may be `raw` in Valkey.
    Embedded,
    /// The same type of reply.
    Kind,
    /// Byte for byte for what is named; the same type of reply when nothing is.
    Named,
    /// The same settings of those that are named; of those that patterns match, some.
    Settings,
}

/// Which integers of a reply tell a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ticking {
    /// Every one.
    All,
    /// Those behind one of these names.
    Named(&'static [&'static str]),
    /// The third of each four: a pending entry's idle time.
    Pending,
}

use Same::{
    AnyOrder, ByLex, Clock, Embedded, Kind, Named, Random, Restored, Scanned, Settings, Untabled,
};

const TABLE: &str =
    "hash tables have an order of their own in each process, even among real servers";
const CLOCK: &str = "the clock moves between the two questions, on a busy machine by seconds";
const COLLECTED: &str = "the result is collected in a hash table, even that of small sets";
const LUCK: &str = "random";

/// What is compared otherwise than byte for byte, by the beginning of the command, and why.
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
        "Valkey goes on counting a time to live that was taken away from a string",
    ),
    (
        "object refcount",
        Kind,
        "a small integer that COPY or SETRANGE made is not shared: the DIFFERENCE of its row",
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
        "each follower notes when it was told",
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
    ("lastsave", Kind, "each server has its own start"),
    (
        "memory usage",
        Kind,
        "the figures are those of another allocator and other structures",
    ),
];

const HELP: &str = "the sentences are our own";

const UNSPECIFIED: &str =
    "a lexical range of different scores is unspecified, and random in a skiplist";

/// How replies to a command of that beginning are compared.
pub fn rule(first: &[u8], second: Option<&Vec<u8>>) -> Same {
    let first = String::from_utf8_lossy(first).to_lowercase();
    let second = second.map(|word| String::from_utf8_lossy(word).to_lowercase());
    let is_meant = |name: &str| match (name.split_once(' '), &second) {
        (None, _) => name == first,
        (Some((container, inner)), Some(second)) => container == first && inner == second,
        // A container alone, which is written with a blank behind it.
        (Some((container, inner)), None) => container == first && inner.is_empty(),
    };
    let row = RELAXED.iter().find(|(name, ..)| is_meant(name));
    row.map_or(Same::Exactly, |(_, same, _)| *same)
}

/// The only setting of redtail's own that it shows.
const OWN_SETTING: &str = "track-access";

/// Whether the settings that `read` names are the same, and all others of `found` are known in `expected`.
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

/// Whether the replies are the same but for the times in them.
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

/// A time: no integer below zero, those are answers of another kind.
fn time(leaf: &Reply) -> Option<i64> {
    leaf.integer().filter(|ms| *ms >= 0)
}

/// A reply's heads and elements at all depths, in their order.
fn leaves(reply: &Reply) -> Vec<Reply> {
    let elements = reply.elements();
    let inner: usize = elements.iter().map(|element| element.0.len()).sum();
    let head = Reply(reply.0[..reply.0.len() - inner].to_vec());
    std::iter::once(head)
        .chain(elements.iter().flat_map(leaves))
        .collect()
}

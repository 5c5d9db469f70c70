//! Keys that always exist, and what is known about their values: each holds a version, which only grows.

use super::slots::slot;
use crate::client::{Reply, words};

/// A command.
pub type Words = Vec<Vec<u8>>;

/// A key that exists from the beginning to the end.
pub struct Key {
    pub name: String,
    pub slot: u16,
    pub kind: Kind,
}

/// How a key holds its version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A string.
    Text,
    /// A string with an expiry far away.
    Expiring,
    /// A string that is deleted and written in one transaction.
    Swapped,
    /// Two fields of a hash, written at once.
    Hash,
    /// The elements of a list, written in one transaction.
    List,
    /// The score of a member of a sorted set.
    Sorted,
}

/// The kinds of each group's keys, in their order.
pub const KINDS: [Kind; 6] = [
    Kind::Text,
    Kind::Expiring,
    Kind::Swapped,
    Kind::Hash,
    Kind::List,
    Kind::Sorted,
];

/// The number of groups of keys that share a slot.
pub const GROUPS: usize = 60;

/// All keys: each group has one of each kind, in one slot. The groups are spread over all slots.
pub fn keys() -> Vec<Key> {
    let key = |group: usize, kind: Kind| {
        let name = format!("{{group:{group}}}:{kind:?}").to_lowercase();
        Key {
            slot: slot(name.as_bytes()),
            name,
            kind,
        }
    };
    let group = |group| KINDS.map(|kind| key(group, kind));
    (0..GROUPS).flat_map(group).collect()
}

impl Key {
    /// The commands that write a version. More than one are a transaction.
    pub fn write(&self, version: u64) -> Vec<Words> {
        let name = &self.name;
        let value = format!("{name}={version}");
        let lines = match self.kind {
            Kind::Text => vec![format!("SET {name} {value}")],
            Kind::Expiring => vec![format!("SET {name} {value} PX 100000000")],
            Kind::Hash => vec![format!("HSET {name} a {value} b {value}")],
            Kind::Sorted => vec![format!("ZADD {name} {version} {name}")],
            Kind::Swapped => transaction([format!("DEL {name}"), format!("SET {name} {value}")]),
            Kind::List => transaction([
                format!("DEL {name}"),
                format!("RPUSH {name} {value} {value} {value}"),
            ]),
        };
        lines.iter().map(|line| words(line)).collect()
    }

    /// Whether MGET returns its value.
    pub fn is_string(&self) -> bool {
        matches!(self.kind, Kind::Text | Kind::Expiring | Kind::Swapped)
    }

    /// A command that reads the whole value.
    pub fn read(&self) -> Words {
        let name = &self.name;
        words(&match self.kind {
            Kind::Text | Kind::Expiring | Kind::Swapped => format!("GET {name}"),
            Kind::Hash => format!("HGETALL {name}"),
            Kind::List => format!("LRANGE {name} 0 -1"),
            Kind::Sorted => format!("ZRANGE {name} 0 -1 WITHSCORES"),
        })
    }

    /// The version in the reply to [`Self::read`].
    ///
    /// # Errors
    /// If the reply is nil, or no value that was ever written.
    pub fn version(&self, reply: &Reply) -> Result<u64, String> {
        let parts = match reply.elements() {
            parts if parts.is_empty() => vec![reply.clone()],
            parts => parts,
        };
        let texts: Option<Vec<String>> = parts.iter().map(text).collect();
        let texts = texts.unwrap_or_default();
        let values: Vec<&str> = match (self.kind, texts.as_slice()) {
            (Kind::Hash, [a, first, b, second]) if a == "a" && b == "b" => vec![first, second],
            (Kind::List, [first, second, third]) => vec![first, second, third],
            (Kind::Sorted, [member, score]) if *member == self.name => vec![score],
            (_, [value]) if self.is_string() => vec![value],
            _ => return Err("it never had that value".to_owned()),
        };
        let is_one = values.iter().all(|value| *value == values[0]);
        let number = match self.kind {
            Kind::Sorted => Some(values[0]),
            _ => values[0].strip_prefix(&format!("{}=", self.name)),
        };
        let version = number.filter(|_| is_one).and_then(|text| text.parse().ok());
        version.ok_or_else(|| "it never had that value".to_owned())
    }
}

fn text(reply: &Reply) -> Option<String> {
    String::from_utf8(reply.bulk()?).ok()
}

fn transaction(lines: [String; 2]) -> Vec<String> {
    let [first, second] = lines;
    vec!["MULTI".to_owned(), first, second, "EXEC".to_owned()]
}

#[test]
fn versions_are_read_as_they_were_written_and_nothing_else_is_one() {
    let bulk = |text: &str| format!("${}\r\n{text}\r\n", text.len());
    let array = |texts: &[&str]| {
        let parts: String = texts.iter().map(|text| bulk(text)).collect();
        Reply(format!("*{}\r\n{parts}", texts.len()).into_bytes())
    };
    let one = |text: &str| Reply(bulk(text).into_bytes());
    let keys = keys();
    let (text, hash, sorted) = (&keys[0], &keys[3], &keys[5]);
    let value = |key: &Key, version| format!("{}={version}", key.name);
    assert_eq!(text.version(&one(&value(text, 7))), Ok(7));
    let (seven, eight) = (value(hash, 7), value(hash, 8));
    assert_eq!(hash.version(&array(&["a", &seven, "b", &seven])), Ok(7));
    assert_eq!(sorted.version(&array(&[&sorted.name, "7"])), Ok(7));
    let wrong = [
        (text, Reply(b"$-1\r\n".to_vec())),
        (text, one(&value(hash, 7))),
        (hash, array(&["a", &seven, "b", &eight])),
        (hash, array(&["a", &seven])),
        (hash, Reply(b"*0\r\n".to_vec())),
        (sorted, array(&["another", "7"])),
    ];
    for (key, reply) in wrong {
        assert!(key.version(&reply).is_err(), "{} {reply:?}", key.name);
    }
}

//! A keyspace with every type, in small and large encodings, and reads of its collections.

use redis::{Cmd, cmd};

use crate::control::Control;
use crate::load::{Reply, Requests, expect, unexpected};
use crate::process::Process;
use crate::strings::scattered;
use crate::systems::primary;

/// Keys of one type and size.
pub(crate) struct Family {
    /// The prefix of its keys.
    pub(crate) name: &'static str,
    kind: Kind,
    pub(crate) keys: u32,
    pub(crate) elements: u32,
}

/// A type of value.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Text,
    ExpiringText,
    Integer,
    Hash,
    List,
    IntegerSet,
    Set,
    SortedSet,
    Stream,
}

/// Three hundred thousand keys. Fields are `field:NNN`; other elements and values are 16 characters long.
pub(crate) const MIX: &[Family] = &[
    family("string", Kind::Text, 100_000, 1),
    family("string-with-expiry", Kind::ExpiringText, 20_000, 1),
    family("integer", Kind::Integer, 10_000, 1),
    family("hash-8", Kind::Hash, 57_000, 8),
    family("hash-100", Kind::Hash, 1_000, 100),
    family("hash-300", Kind::Hash, 2_000, 300),
    family("list-10", Kind::List, 28_500, 10),
    family("list-100", Kind::List, 1_000, 100),
    family("list-1000", Kind::List, 500, 1_000),
    family("intset-20", Kind::IntegerSet, 20_000, 20),
    family("set-10", Kind::Set, 18_000, 10),
    family("set-100", Kind::Set, 1_000, 100),
    family("set-400", Kind::Set, 1_000, 400),
    family("zset-10", Kind::SortedSet, 28_000, 10),
    family("zset-100", Kind::SortedSet, 1_000, 100),
    family("zset-400", Kind::SortedSet, 1_000, 400),
    family("stream-10", Kind::Stream, 10_000, 10),
];

const fn family(name: &'static str, kind: Kind, keys: u32, elements: u32) -> Family {
    Family {
        name,
        kind,
        keys,
        elements,
    }
}

/// The number of keys in [`MIX`].
pub(crate) fn keys() -> u64 {
    MIX.iter().map(|family| u64::from(family.keys)).sum()
}

/// Describes [`MIX`] in one line.
pub(crate) fn describe() -> String {
    let families = MIX.iter().map(|family| {
        let Family { name, keys, .. } = family;
        format!("{keys} × `{name}`")
    });
    families.collect::<Vec<_>>().join(", ")
}

/// Starts the server `name` with [`MIX`].
pub(crate) fn start(name: &str) -> Process {
    let process = primary(name);
    for family in MIX {
        fill(&process, family);
    }
    process
}

/// Writes hashes of `fields` fields to the server, named `big:N`.
pub(crate) fn fill_hashes(server: &Process, keys: u32, fields: u32) {
    fill(server, &family("big", Kind::Hash, keys, fields));
}

fn fill(server: &Process, family: &Family) {
    let mut control = Control::of(server);
    let mut batch = redis::pipe();
    for number in 0..family.keys {
        for command in family.commands(number) {
            batch.add_command(command).ignore();
        }
        if batch.len() >= 200 || number + 1 == family.keys {
            control.run(&batch);
            batch.clear();
        }
    }
}

impl Family {
    fn key(&self, number: u32) -> String {
        format!("{}:{number}", self.name)
    }

    /// The commands that create the key `number`.
    fn commands(&self, number: u32) -> Vec<Cmd> {
        let key = self.key(number);
        let start = |name: &str| cmd(name).arg(&key).to_owned();
        match self.kind {
            Kind::Text => vec![start("SET").arg(text(number, 0)).to_owned()],
            Kind::ExpiringText => {
                let mut set = start("SET");
                set.arg(text(number, 0)).arg("EX").arg(86_400 + number);
                vec![set]
            }
            Kind::Integer => vec![start("SET").arg(number).to_owned()],
            collection => collection.fill(&key, number, self.elements),
        }
    }
}

impl Kind {
    /// The commands that create the collection `key` with the number `number`, with at most a thousand elements each.
    pub(crate) fn fill(self, key: &str, number: u32, elements: u32) -> Vec<Cmd> {
        if matches!(self, Self::Stream) {
            let entries = 1..=elements;
            return entries
                .map(|entry| stream_entry(key, number, entry))
                .collect();
        }
        let mut commands = Vec::new();
        for first in (0..elements).step_by(1000) {
            let mut command = cmd(self.adding());
            command.arg(key);
            for index in first..elements.min(first + 1000) {
                self.add(&mut command, number, index);
            }
            commands.push(command);
        }
        commands
    }

    fn adding(self) -> &'static str {
        match self {
            Self::Hash => "HSET",
            Self::List => "RPUSH",
            Self::IntegerSet | Self::Set => "SADD",
            Self::SortedSet => "ZADD",
            Self::Text | Self::ExpiringText | Self::Integer | Self::Stream => {
                unreachable!("not a collection")
            }
        }
    }

    /// Appends the element `index` of the key `number`.
    fn add(self, command: &mut Cmd, number: u32, index: u32) {
        match self {
            Self::Hash => command.arg(field(index)).arg(text(number, index)),
            Self::IntegerSet => command.arg(u64::from(number) * 64 + u64::from(index)),
            Self::SortedSet => command.arg(index).arg(text(number, index)),
            _ => command.arg(text(number, index)),
        };
    }
}

fn stream_entry(key: &str, number: u32, entry: u32) -> Cmd {
    let mut add = cmd("XADD");
    add.arg(key).arg(format!("{entry}-1"));
    add.arg("name").arg(text(number, entry));
    add.arg("count").arg(entry);
    add
}

fn field(index: u32) -> String {
    format!("field:{index:03}")
}

/// The element `index` of the key `number`: 16 characters.
pub(crate) fn text(number: u32, index: u32) -> String {
    format!(
        "{:016x}",
        scattered(u64::from(number) << 32 | u64::from(index))
    )
}

/// HGETs of random fields of the hashes that [`fill_hashes`] writes.
pub(crate) struct Fields {
    keys: u32,
    fields: u32,
    random: fastrand::Rng,
}

impl Fields {
    pub(crate) fn of(keys: u32, fields: u32) -> Self {
        let random = fastrand::Rng::new();
        Self {
            keys,
            fields,
            random,
        }
    }
}

impl Requests for Fields {
    fn request(&mut self, out: &mut Vec<u8>) -> u32 {
        let (number, index) = (self.random.u32(..self.keys), self.random.u32(..self.fields));
        let request = cmd("HGET")
            .arg(format!("big:{number}"))
            .arg(field(index))
            .get_packed_command();
        out.extend_from_slice(&request);
        number * self.fields + index
    }

    fn check(&self, asked: u32, bytes: &[u8]) -> Reply {
        let value = text(asked / self.fields, asked % self.fields);
        expect(bulk(&value).as_bytes(), bytes)
    }
}

/// The length in bytes of HGETALL's reply for such a hash, without its header.
pub(crate) fn hash_bytes(fields: u32) -> usize {
    let fields = (0..fields).map(|index| bulk(&field(index)).len());
    fields.map(|bytes| bytes + MEMBER_BYTES).sum()
}

/// The length of a member as a bulk string.
const MEMBER_BYTES: usize = 23;

/// Reads of random whole collections of a hundred elements.
pub(crate) struct Whole {
    requests: Vec<Vec<u8>>,
    replies: Vec<Vec<u8>>,
    random: fastrand::Rng,
    /// Whether members may arrive in any order.
    unordered: bool,
}

impl Whole {
    pub(crate) fn hgetall() -> Self {
        Self::of("HGETALL", "hash-100", &[], "*200", |number, index| {
            bulk(&field(index)) + &bulk(&text(number, index))
        })
    }

    pub(crate) fn lrange() -> Self {
        Self::of(
            "LRANGE",
            "list-100",
            &["0", "99"],
            "*100",
            |number, index| bulk(&text(number, index)),
        )
    }

    pub(crate) fn zrange() -> Self {
        Self::of(
            "ZRANGE",
            "zset-100",
            &["0", "99"],
            "*100",
            |number, index| bulk(&text(number, index)),
        )
    }

    pub(crate) fn smembers() -> Self {
        let ordered = Self::of("SMEMBERS", "set-100", &[], "*100", |number, index| {
            bulk(&text(number, index))
        });
        Self {
            unordered: true,
            ..ordered
        }
    }

    /// `command` on the keys of `family`, and its replies: `header` and the elements.
    fn of(
        command: &str,
        family: &str,
        arguments: &[&str],
        header: &str,
        element: impl Fn(u32, u32) -> String,
    ) -> Self {
        let request = |number| {
            let key = format!("{family}:{number}");
            cmd(command).arg(key).arg(arguments).get_packed_command()
        };
        let reply = |number| {
            let elements: String = (0..100).map(|index| element(number, index)).collect();
            format!("{header}\r\n{elements}").into_bytes()
        };
        Self {
            requests: (0..1000).map(request).collect(),
            replies: (0..1000).map(reply).collect(),
            random: fastrand::Rng::new(),
            unordered: false,
        }
    }
}

impl Requests for Whole {
    fn request(&mut self, out: &mut Vec<u8>) -> u32 {
        let number = self.random.usize(..self.requests.len());
        out.extend_from_slice(&self.requests[number]);
        number as u32
    }

    fn check(&self, number: u32, bytes: &[u8]) -> Reply {
        let expected = &self.replies[number as usize];
        if !self.unordered {
            return expect(expected, bytes);
        }
        let Some(reply) = bytes.get(..expected.len()) else {
            return unexpected(bytes, bytes);
        };
        assert_eq!(members_sum(reply), members_sum(expected), "wrong members");
        Reply::Right(expected.len())
    }
}

fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

/// A number that depends on the header and all members, but not on the order of the members.
fn members_sum(reply: &[u8]) -> u64 {
    let (header, members) = reply.split_at(reply.len() % MEMBER_BYTES);
    members
        .chunks(MEMBER_BYTES)
        .fold(sum(header), |total, member| total.wrapping_add(sum(member)))
}

fn sum(bytes: &[u8]) -> u64 {
    bytes.chunks(8).fold(0, |state, chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        scattered(state ^ u64::from_le_bytes(word))
    })
}

//! Helpers that the tests of this module share: handwritten dumps, and keyspaces compared by content.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use super::{
    array::{ElementText, Page},
    decode::*,
    error::{Error, SinkError},
    kind,
    listpack::Listpack,
    object::{ListNode, Meta, Object},
    reader::Reader,
    records::Record,
    source::{MemorySource, Source},
    stream::{Group, StreamId, StreamObject},
};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::str::FromStr;

pub(super) type Text = Vec<u8>;

/// A value's content, whatever the layout in which it was written.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Content {
    Str(Text),
    List(Vec<Text>),
    Set(BTreeSet<Text>),
    Hash(BTreeMap<Text, Text>),
    /// Fields with their values and expiries. An expiry of 0 means none.
    TimedHash(BTreeMap<Text, (Text, i64)>),
    Zset(BTreeMap<Text, f64>),
    Module(Text),
    /// The cursor, and the elements in the order in which they were written.
    Array(Option<u64>, Vec<(u64, Text)>),
    Stream {
        entries: Vec<(StreamId, Vec<Text>)>,
        last_id: StreamId,
        groups: Vec<Group>,
    },
}

#[derive(Debug, Default, PartialEq)]
pub(super) struct Keyspace {
    pub(super) keys: BTreeMap<(u64, Text), (Meta, Content)>,
    pub(super) aux: BTreeMap<Text, Text>,
    pub(super) functions: Vec<Text>,
    pub(super) sizes: Vec<(u64, u64)>,
}

impl Sink for Keyspace {
    fn aux(&mut self, name: &[u8], value: &[u8]) -> Result<(), SinkError> {
        self.aux.insert(name.to_vec(), value.to_vec());
        Ok(())
    }

    fn resize_db(&mut self, keys: u64, expires: u64) -> Result<(), SinkError> {
        self.sizes.push((keys, expires));
        Ok(())
    }

    fn function(&mut self, code: &[u8]) -> Result<(), SinkError> {
        self.functions.push(code.to_vec());
        Ok(())
    }

    fn key(
        &mut self,
        db: u64,
        key: &[u8],
        meta: Meta,
        object: Object<'_>,
    ) -> Result<(), SinkError> {
        match self
            .keys
            .insert((db, key.to_vec()), (meta, content(object)))
        {
            None => Ok(()),
            Some(_) => Err(SinkError::new("duplicate key")),
        }
    }
}

pub(super) fn content(object: Object<'_>) -> Content {
    match object {
        Object::Str(text) => Content::Str(text.to_vec()),
        Object::Int(value) => Content::Str(value.to_string().into_bytes()),
        Object::List(nodes) => Content::List(nodes.iter().flat_map(node_texts).collect()),
        Object::SetIntset(set) => {
            let members = set.iter().map(|value| value.to_string().into_bytes());
            Content::Set(members.collect())
        }
        Object::SetListpack(packed) => Content::Set(texts(&packed).into_iter().collect()),
        Object::Set(members) => {
            Content::Set(members.iter().map(|member| member.key.into()).collect())
        }
        Object::HashListpack(packed) => {
            Content::Hash(in_turn(&packed, |[field, value]| (field, value)))
        }
        Object::Hash(pairs) => {
            let pairs = pairs
                .iter()
                .map(|pair| (pair.key.into(), pair.value.into()));
            Content::Hash(pairs.collect())
        }
        Object::HashTemplate(names, values) => {
            let names = names.iter().map(Text::from);
            Content::Hash(
                names
                    .zip(values.iter().map(|value| value.to_vec()))
                    .collect(),
            )
        }
        Object::HashListpackTimed(packed) => {
            let triple = |[field, value, at]: [Text; 3]| (field, (value, number(&at)));
            Content::TimedHash(in_turn(&packed, triple))
        }
        Object::HashTimed(pairs) => Content::TimedHash(pairs.iter().map(timed).collect()),
        Object::ZsetListpack(packed) => {
            let pair = |[member, score]: [Text; 2]| (member, number(&score));
            Content::Zset(in_turn(&packed, pair))
        }
        Object::Zset(members) => {
            let members = members
                .iter()
                .map(|member| (member.key.into(), member.score()));
            Content::Zset(members.collect())
        }
        Object::Array(array) => {
            let elements = array.pages.iter().flat_map(Page::iter);
            let texts = elements.map(|(index, element)| {
                let mut room = ElementText::default();
                (index, element.text(&mut room).to_vec())
            });
            Content::Array(array.cursor, texts.collect())
        }
        Object::Module(value) => Content::Module(value.items().to_vec()),
        Object::Stream(stream) => Content::Stream {
            entries: entries(&stream),
            last_id: stream.last_id,
            groups: timeless(stream.groups),
        },
    }
}

fn texts(packed: &Listpack) -> Vec<Text> {
    packed.iter().map(|item| item.to_vec()).collect()
}

fn node_texts(node: &ListNode) -> Vec<Text> {
    match node {
        ListNode::Plain(text) => vec![text.to_vec()],
        ListNode::Packed(packed) => texts(packed),
    }
}

/// Splits the elements into groups of `N`.
fn in_turn<const N: usize, T, C: FromIterator<T>>(
    packed: &Listpack,
    make: impl Fn([Text; N]) -> T,
) -> C {
    let texts = texts(packed);
    let groups = texts
        .chunks(N)
        .map(|group| group.to_vec().try_into().unwrap());
    groups.map(make).collect()
}

fn number<T: FromStr<Err: Debug>>(text: &[u8]) -> T {
    std::str::from_utf8(text).unwrap().parse().unwrap()
}

fn timed(pair: Record<'_>) -> (Text, (Text, i64)) {
    let at = pair.expire_at_ms().unwrap_or(0);
    (pair.key.into(), (pair.value.into(), at))
}

/// Clears everything in the groups that depends on when and by which version they were created.
pub(super) fn timeless(mut groups: Vec<Group>) -> Vec<Group> {
    for group in &mut groups {
        group.entries_read = 0;
        group
            .pel
            .iter_mut()
            .for_each(|pending| pending.delivery_time_ms = 0);
        for consumer in &mut group.consumers {
            (consumer.seen_time_ms, consumer.active_time_ms) = (0, 0);
        }
    }
    groups
}

pub(super) fn entries(stream: &StreamObject) -> Vec<(StreamId, Vec<Text>)> {
    stream
        .nodes
        .iter()
        .flat_map(|(key, packed)| node_entries(*key, packed))
        .collect()
}

/// Returns a node's entries, without the deleted ones, with fields and values alternating.
pub(super) fn node_entries(key: StreamId, packed: &Listpack) -> Vec<(StreamId, Vec<Text>)> {
    let mut items = packed.iter();
    let mut next = || items.next().unwrap();
    let total = next().as_int().unwrap() + next().as_int().unwrap();
    let names: Vec<Text> = (0..next().as_int().unwrap())
        .map(|_| next().to_vec())
        .collect();
    assert_eq!(next().as_int(), Some(0));
    let mut found = Vec::new();
    for _ in 0..total {
        let flags = next().as_int().unwrap();
        let ms = key.ms.wrapping_add_signed(next().as_int().unwrap());
        let seq = key.seq.wrapping_add_signed(next().as_int().unwrap());
        let texts: Vec<Text> = if flags & 2 != 0 {
            names
                .iter()
                .flat_map(|name| [name.clone(), next().to_vec()])
                .collect()
        } else {
            (0..next().as_int().unwrap() * 2)
                .map(|_| next().to_vec())
                .collect()
        };
        next();
        if flags & 1 == 0 {
            found.push((StreamId::new(ms, seq), texts));
        }
    }
    found
}

/// A source that returns a few bytes at a time.
pub(super) struct Trickle {
    pub(super) rest: Bytes,
    pub(super) step: usize,
}

impl Source for Trickle {
    fn next_chunk(&mut self) -> std::io::Result<Bytes> {
        Ok(self.rest.split_to(self.step.min(self.rest.len())))
    }
}

pub(super) fn load(bytes: &[u8]) -> Result<(Keyspace, Summary), Error> {
    let mut keyspace = Keyspace::default();
    let mut reader = Reader::new(MemorySource(Bytes::copy_from_slice(bytes)));
    decode(&mut reader, &mut keyspace).map(|summary| (keyspace, summary))
}

pub(super) fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(format!(
        "{}/fixtures/{name}.rdb",
        env!("CARGO_MANIFEST_DIR")
    ))
    .unwrap()
}

/// A dump of one database, with a handwritten body and no checksum.
pub(super) fn dump(header: &str, body: &[u8]) -> Vec<u8> {
    [header.as_bytes(), body, &[kind::EOF], &[0; 8]].concat()
}

/// Reads one value, of the key `k`.
pub(super) fn only(header: &str, number: u8, value: &[u8]) -> Result<Content, Error> {
    let (keyspace, summary) = load(&dump(header, &[&[number, 1, b'k'], value].concat()))?;
    assert_eq!(summary.keys + summary.empty_keys_skipped, 1);
    Ok(keyspace
        .keys
        .into_values()
        .next()
        .map_or(Content::Str(b"nothing".to_vec()), |(_, content)| content))
}

pub(super) fn text(content: &str) -> Text {
    content.as_bytes().to_vec()
}

/// Returns a blob as a string of up to 16,383 bytes.
pub(super) fn blob(bytes: &[u8]) -> Vec<u8> {
    let [low, high] = u16::try_from(bytes.len()).unwrap().to_le_bytes();
    [&[0x40 | high, low], bytes].concat()
}

pub(super) fn packed(texts: &[&str]) -> Vec<u8> {
    let packed: Listpack = texts.iter().collect();
    blob(packed.as_bytes())
}

pub(super) const REDIS: &str = "REDIS0012";

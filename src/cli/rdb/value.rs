//! A decoded value as JSON, written straight to the output.

use super::{
    stream::StreamValue,
    text::{Binary, Text},
};
use crate::{
    rdb::{
        error::SinkError,
        listpack::Listpack,
        object::{ListNode, Object},
        packed::Item,
    },
    resp::double,
    value::Stream,
};
use serde::{Serialize, Serializer};

/// A value, and how to write its strings.
pub(super) enum Value<'a> {
    /// Any value except a stream.
    Object(Object<'a>, Binary),
    /// A stream.
    Stream(Box<StreamValue>),
}

impl<'a> Value<'a> {
    /// Creates the value of an object that was written with this type number.
    ///
    /// # Errors
    /// If a stream's pieces do not form a valid stream.
    pub(super) fn new(object: Object<'a>, binary: Binary, number: u8) -> Result<Self, SinkError> {
        match object {
            Object::Stream(stream) => {
                let stream = Stream::from_rdb(*stream).map_err(SinkError::new)?;
                Ok(Self::Stream(Box::new(StreamValue::new(
                    stream, number, binary,
                ))))
            }
            object => Ok(Self::Object(object, binary)),
        }
    }
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let (object, binary) = match self {
            Self::Stream(stream) => return stream.serialize(to),
            Self::Object(object, binary) => (object, *binary),
        };
        let text = |item| Text { item, binary };
        let string = |bytes| text(Item::Str(bytes));
        match object {
            Object::Str(bytes) => string(bytes).serialize(to),
            Object::Int(number) => text(Item::Int(*number)).serialize(to),
            Object::List(nodes) => to.collect_seq(nodes.iter().flat_map(elements).map(text)),
            Object::SetIntset(set) => to.collect_seq(set.iter().map(Item::Int).map(text)),
            Object::SetListpack(set) => to.collect_seq(set.iter().map(text)),
            Object::Set(set) => to.collect_seq(set.iter().map(|member| string(member.key))),
            Object::HashListpack(hash) => {
                to.collect_seq(pairs(hash).map(|(field, value)| (text(field), text(value))))
            }
            Object::Hash(hash) => to.collect_seq(
                hash.iter()
                    .map(|pair| (string(pair.key), string(pair.value))),
            ),
            Object::HashListpackTimed(hash) => {
                let field = |(field, value, expiry)| TimedField {
                    pair: (text(field), text(value)),
                    expiry,
                };
                to.collect_seq(triples(hash).map(field))
            }
            Object::HashTimed(hash) => to.collect_seq(hash.iter().map(|field| TimedField {
                pair: (string(field.key), string(field.value)),
                expiry: field.expire_at_ms(),
            })),
            Object::ZsetListpack(zset) => to.collect_seq(
                pairs(zset).map(|(member, score)| (text(member), score_text(packed_score(score)))),
            ),
            Object::Zset(zset) => to.collect_seq(
                zset.iter()
                    .map(|member| (string(member.key), score_text(member.score()))),
            ),
            Object::Module(value) => ModuleLine {
                module: value.id().name(),
                version: value.id().version(),
                raw: string(value.items()),
            }
            .serialize(to),
            Object::Stream(_) => to.serialize_unit(),
        }
    }
}

fn elements(node: &ListNode) -> impl Iterator<Item = Item<'_>> {
    let (plain, packed) = match node {
        ListNode::Plain(bytes) => (Some(Item::Str(bytes)), None),
        ListNode::Packed(packed) => (None, Some(packed)),
    };
    plain.into_iter().chain(packed.into_iter().flatten())
}

/// Returns the elements in pairs.
fn pairs(packed: &Listpack) -> impl Iterator<Item = (Item<'_>, Item<'_>)> {
    packed
        .iter()
        .step_by(2)
        .zip(packed.iter().skip(1).step_by(2))
}

/// Returns the fields, values and expiries of a packed hash.
fn triples(packed: &Listpack) -> impl Iterator<Item = (Item<'_>, Item<'_>, Option<i64>)> {
    let mut items = packed.iter();
    std::iter::from_fn(move || {
        let (field, value) = (items.next()?, items.next()?);
        let expiry = items.next()?.as_int().filter(|at| *at != 0);
        Some((field, value, expiry))
    })
}

/// A module's value, which only the module understands.
#[derive(Serialize)]
struct ModuleLine<'a> {
    module: String,
    version: u64,
    raw: Text<'a>,
}

/// A field with its value, and its expiry if it has one.
struct TimedField<'a> {
    pair: (Text<'a>, Text<'a>),
    expiry: Option<i64>,
}

impl Serialize for TimedField<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let (field, value) = &self.pair;
        match self.expiry {
            Some(at) => (field, value, at).serialize(to),
            None => (field, value).serialize(to),
        }
    }
}

/// Returns a score of a packed sorted set. The decoder has checked that the item is a score.
fn packed_score(item: Item<'_>) -> f64 {
    let text = item.to_vec();
    let score = std::str::from_utf8(&text)
        .ok()
        .and_then(|text| text.parse().ok());
    score.unwrap_or(f64::NAN)
}

/// Returns a score in few digits that read back as the same number.
fn score_text(score: f64) -> String {
    let mut text = Vec::new();
    double::write(&mut text, score, true);
    String::from_utf8_lossy(&text).into_owned()
}

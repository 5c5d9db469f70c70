//! A value as JSON, written straight to the output.

use super::{
    stream::StreamValue,
    text::{Binary, Text},
};
use crate::{
    dump::{Array, Field, Item, Value},
    resp::double,
};
use serde::{Serialize, Serializer, ser::SerializeSeq};

/// A value, and how to write its strings.
pub(super) struct Printed<'a> {
    pub(super) value: Value<'a>,
    pub(super) binary: Binary,
}

impl Serialize for Printed<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let binary = self.binary;
        let text = |item| Text { item, binary };
        match self.value {
            Value::String(string) => text(string).serialize(to),
            Value::List(list) => to.collect_seq(list.iter().map(text)),
            Value::Set(set) => to.collect_seq(set.iter().map(text)),
            Value::Hash(hash) => {
                to.collect_seq(hash.iter().map(|field| HashField { field, binary }))
            }
            Value::SortedSet(set) => to.collect_seq(
                set.iter()
                    .map(|(member, score)| (text(member), Score(score))),
            ),
            Value::Stream(stream) => StreamValue { stream, binary }.serialize(to),
            Value::Array(array) => ArrayLine {
                insert_index: array.insert_index(),
                elements: Elements { array, binary },
            }
            .serialize(to),
            Value::Module(value) => ModuleLine {
                module: value.type_name(),
                version: value.version(),
                raw: text(Item::Bytes(value.raw())),
            }
            .serialize(to),
        }
    }
}

/// An array.
#[derive(Serialize)]
struct ArrayLine<'a> {
    insert_index: Option<u64>,
    elements: Elements<'a>,
}

/// The elements of an array with their indexes.
struct Elements<'a> {
    array: Array<'a>,
    binary: Binary,
}

impl Serialize for Elements<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut elements = to.serialize_seq(Some(self.array.len()))?;
        for (index, text) in self.array.iter() {
            let item = Item::Bytes(&text);
            let binary = self.binary;
            elements.serialize_element(&(index, Text { item, binary }))?;
        }
        elements.end()
    }
}

/// A module's value, which only the module understands.
#[derive(Serialize)]
struct ModuleLine<'a> {
    module: String,
    version: u64,
    raw: Text<'a>,
}

/// A field with its value, and its expiry if it has one.
struct HashField<'a> {
    field: Field<'a>,
    binary: Binary,
}

impl Serialize for HashField<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Self { field, binary } = *self;
        let [name, value] = [field.name, field.value].map(|item| Text { item, binary });
        match field.expire_at_ms {
            Some(at) => (name, value, at).serialize(to),
            None => (name, value).serialize(to),
        }
    }
}

/// A score as a string of few digits that read back as the same number.
struct Score(f64);

impl Serialize for Score {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut text = Vec::new();
        double::write(&mut text, self.0, true);
        String::from_utf8_lossy(&text).serialize(to)
    }
}

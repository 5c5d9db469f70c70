//! A value as JSON, written straight to the output.

use super::{stream::StreamValue, text::Text};
use crate::{
    dump::{Array, Field, Value},
    resp::double,
};
use serde::{Serialize, Serializer, ser::SerializeSeq};

/// A value.
pub(super) struct Printed<'a>(pub(super) Value<'a>);

impl Serialize for Printed<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::String(string) => Text(string).serialize(to),
            Value::List(list) => to.collect_seq(list.iter().map(Text)),
            Value::Set(set) => to.collect_seq(set.iter().map(Text)),
            Value::Hash(hash) => to.collect_seq(hash.iter().map(HashField)),
            Value::SortedSet(set) => to.collect_seq(
                set.iter()
                    .map(|(member, score)| (Text(member), Score(score))),
            ),
            Value::Stream(stream) => StreamValue(stream).serialize(to),
            Value::Array(array) => ArrayLine {
                insert_index: array.insert_index(),
                elements: Elements(array),
            }
            .serialize(to),
            Value::Module(value) => ModuleLine {
                module: value.type_name(),
                version: value.version(),
                raw: Text::of(value.raw()),
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
struct Elements<'a>(Array<'a>);

impl Serialize for Elements<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut elements = to.serialize_seq(Some(self.0.len()))?;
        for (index, text) in self.0.iter() {
            elements.serialize_element(&(index, Text::of(&text)))?;
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
struct HashField<'a>(Field<'a>);

impl Serialize for HashField<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let [name, value] = [self.0.name, self.0.value].map(Text);
        match self.0.expire_at_ms {
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

//! Converts what the RDB decoder returns into what the store keeps.

use std::borrow::Cow;

use super::entry::NewValue;
use crate::rdb::object::Object as Decoded;
use crate::resp::parse_integer;
use crate::value::{self, Array, Hash, List, Object, Set, Stream, Thresholds, VectorSet, Zset};

/// The length of the longest text that can be an integer: that of `i64::MIN`.
const INTEGER_TEXT_BYTES_MAX: usize = 20;

impl<'a> NewValue<'a> {
    /// A string in the encoding that Redis chooses for a whole new value: an integer if it is one.
    /// Source: redis 7.0 object.c, `tryObjectEncoding`.
    #[must_use]
    pub fn encoded(text: &'a [u8]) -> Self {
        let number = if text.len() <= INTEGER_TEXT_BYTES_MAX {
            parse_integer(text)
        } else {
            None
        };
        number.map_or(Self::text(text), Self::Integer)
    }

    /// A decoded value as the store keeps it, in the encoding that `thresholds` select.
    ///
    /// # Errors
    /// If its pieces, each valid, form no value together: real servers refuse such a snapshot or RESTORE too.
    pub fn from_rdb(decoded: Decoded<'a>, thresholds: &Thresholds) -> Result<Self, value::Error> {
        let object = match decoded {
            Decoded::Str(Cow::Borrowed(text)) => return Ok(Self::encoded(text)),
            Decoded::Str(Cow::Owned(text)) => Object::Text(text),
            Decoded::Int(number) => return Ok(Self::Integer(number)),
            Decoded::List(nodes) => Object::List(List::from_nodes(nodes, thresholds)),
            Decoded::SetIntset(members) => Object::Set(Set::from_intset(members, thresholds)),
            Decoded::SetListpack(members) => Object::Set(Set::from_listpack(members, thresholds)?),
            Decoded::Set(members) => Object::Set(Set::from_records(members, thresholds)?),
            Decoded::HashListpack(pairs) => Object::Hash(Hash::from_listpack(pairs, thresholds)?),
            Decoded::Hash(pairs) => Object::Hash(Hash::from_records(pairs, thresholds)?),
            Decoded::HashListpackTimed(triples) => {
                Object::Hash(Hash::from_triples(triples, thresholds)?)
            }
            Decoded::HashTimed(pairs) => Object::Hash(Hash::from_timed_records(pairs, thresholds)?),
            Decoded::HashTemplate(names, values) => {
                Object::Hash(Hash::from_template(names, values, thresholds))
            }
            Decoded::ZsetListpack(pairs) => Object::Zset(Zset::from_listpack(pairs, thresholds)?),
            Decoded::Zset(members) => Object::Zset(Zset::from_records(members, thresholds)?),
            Decoded::Module(value) => match VectorSet::from_module(&value, thresholds) {
                Some(set) => Object::VectorSet(set.into()),
                None => Object::Module(value),
            },
            Decoded::Array(array) => Object::Array(Array::from_rdb(*array).into()),
            Decoded::Stream(stream) => Object::Stream(Stream::from_rdb(*stream)?.into()),
        };
        Ok(Self::Object(Box::new(object)))
    }
}

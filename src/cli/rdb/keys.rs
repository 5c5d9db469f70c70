//! A dump key by key: what `check` and `json` have in common.

use crate::rdb::{
    decode::{Sink, Summary, decode},
    error::{Error, SinkError},
    object::{Meta, Object},
    reader::Reader,
    source::Source,
};
use crate::value::{Error as Unsound, Stream};
use std::collections::HashSet;

/// A key as it stands in a dump.
pub(super) struct Key<'a> {
    /// The database's number.
    pub(super) db: u64,
    pub(super) name: &'a [u8],
    pub(super) meta: Meta,
    /// The value's number, which says how it is written.
    pub(super) type_number: u8,
    pub(super) object: Object<'a>,
}

/// What is made of the parts of a dump.
pub(super) trait Visitor {
    /// A named fact about the dump.
    fn aux(&mut self, name: &[u8], value: &[u8]);

    /// The source of a function library.
    fn function(&mut self, code: &[u8]) {
        let _ = code;
    }

    /// A key whose value is one.
    ///
    /// # Errors
    /// To stop the decoding.
    fn key(&mut self, key: Key<'_>) -> Result<(), SinkError>;
}

/// Decodes a dump.
///
/// # Errors
/// Where and why it is broken, or what `visitor` said.
pub(super) fn visit<S: Source>(
    reader: &mut Reader<S>,
    visitor: &mut impl Visitor,
) -> Result<Summary, Error> {
    let mut sound = Sound {
        visitor,
        type_number: 0,
    };
    decode(reader, &mut sound)
}

/// Lets through what a load would not refuse.
struct Sound<'v, V> {
    visitor: &'v mut V,
    /// The number of the value that comes next.
    type_number: u8,
}

impl<V: Visitor> Sink for Sound<'_, V> {
    fn aux(&mut self, name: &[u8], value: &[u8]) -> Result<(), SinkError> {
        self.visitor.aux(name, value);
        Ok(())
    }

    fn function(&mut self, code: &[u8]) -> Result<(), SinkError> {
        self.visitor.function(code);
        Ok(())
    }

    fn value_type(&mut self, number: u8) {
        self.type_number = number;
    }

    fn key(
        &mut self,
        db: u64,
        name: &[u8],
        meta: Meta,
        object: Object<'_>,
    ) -> Result<(), SinkError> {
        check_sound(&object)?;
        self.visitor.key(Key {
            db,
            name,
            meta,
            type_number: self.type_number,
            object,
        })
    }
}

/// Refuses a value whose pieces, each valid, are no value together.
fn check_sound(object: &Object<'_>) -> Result<(), SinkError> {
    let sound = match object {
        Object::Set(records)
        | Object::Hash(records)
        | Object::HashTimed(records)
        | Object::Zset(records) => all_differ(records.iter().map(|record| record.key)),
        Object::Stream(stream) => Stream::from_rdb((**stream).clone()).map(drop),
        _ => Ok(()),
    };
    sound.map_err(SinkError::new)
}

fn all_differ<'a>(mut names: impl Iterator<Item = &'a [u8]>) -> Result<(), Unsound> {
    let mut seen = HashSet::new();
    if names.all(|name| seen.insert(name)) {
        Ok(())
    } else {
        Err(Unsound::Duplicate)
    }
}

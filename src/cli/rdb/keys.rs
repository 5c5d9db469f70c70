//! Reads a dump key by key: the part that `check` and `json` share.

use crate::rdb::{
    decode::{Sink, Summary, decode},
    error::{Error, SinkError},
    object::{Meta, Object},
    reader::Reader,
    source::Source,
};
use crate::value::{Error as Unsound, Stream};
use std::collections::HashSet;

/// A key as it appears in a dump.
pub(super) struct Key<'a> {
    /// The database's number.
    pub(super) db: u64,
    pub(super) name: &'a [u8],
    pub(super) meta: Meta,
    /// The value's type number, which says how it is written.
    pub(super) type_number: u8,
    pub(super) object: Object<'a>,
}

/// Receives the parts of a dump.
pub(super) trait Visitor {
    /// Receives a named fact about the dump.
    fn aux(&mut self, name: &[u8], value: &[u8]);

    /// Receives the source of a function library.
    fn function(&mut self, code: &[u8]) {
        let _ = code;
    }

    /// Receives a key whose value is sound.
    ///
    /// # Errors
    /// An error stops the decoding.
    fn key(&mut self, key: Key<'_>) -> Result<(), SinkError>;
}

/// Decodes a dump.
///
/// # Errors
/// Where and why the dump is broken, or the error that `visitor` returned.
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

/// Passes on the values that a load would accept, and refuses the others.
struct Sound<'v, V> {
    visitor: &'v mut V,
    /// The type number of the next value.
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

/// Refuses a value whose pieces are valid but do not form a valid value together.
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

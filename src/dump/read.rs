//! Reads a dump and passes its parts to a visitor.

use super::{
    array::Array,
    error::Error,
    item::Item,
    module::Module,
    stream::Stream,
    value::{Key, Value},
};
use crate::{
    dialect::Dialect,
    rdb::{
        decode::{Sink, Summary, decode},
        error::SinkError,
        module::ModuleAux,
        object::{Meta, Object},
        reader::Reader,
        source::ReadSource,
        version::Version,
    },
    value::{self, Error as Unsound},
};
use std::{collections::HashSet, fs::File, io::Read, path::Path};

/// Any error of a [`Visitor`]'s own.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Receives the parts of a dump, in the order of the dump. A function of a [`Key`] is a visitor that only wants the keys.
pub trait Visitor {
    /// Receives a key. A key that has expired is passed on like any other.
    ///
    /// # Errors
    /// An error stops the reading, as in every other call: [`read`] returns it as the [`source`](std::error::Error::source) of
    /// its own error, with the offset and the key.
    fn key(&mut self, key: Key<'_>) -> Result<(), BoxError>;

    /// Whether the key `name` of database `db` is wanted. The value of one that is not is passed over: mostly without being
    /// decompressed, decoded or checked, which takes a fraction of the time.
    fn wants(&mut self, db: u64, name: &[u8]) -> bool {
        let _ = (db, name);
        true
    }

    /// Receives a named fact about the dump, such as `redis-ver`. Comes before the keys, except in damaged dumps.
    ///
    /// # Errors
    /// An error stops the reading.
    fn aux(&mut self, name: &[u8], value: &[u8]) -> Result<(), BoxError> {
        let _ = (name, value);
        Ok(())
    }

    /// Receives the source of a function library: its first line names the engine and the library (`#!lua name=…`).
    ///
    /// # Errors
    /// An error stops the reading.
    fn library(&mut self, code: &[u8]) -> Result<(), BoxError> {
        let _ = code;
        Ok(())
    }

    /// Receives data that a module keeps outside the keys.
    ///
    /// # Errors
    /// An error stops the reading.
    fn module_data(&mut self, data: Module<'_>) -> Result<(), BoxError> {
        let _ = data;
        Ok(())
    }
}

impl<F: FnMut(Key<'_>) -> Result<(), BoxError>> Visitor for F {
    fn key(&mut self, key: Key<'_>) -> Result<(), BoxError> {
        self(key)
    }
}

/// Reads one dump from its first byte to its checksum, and passes each part to `visitor` as it is decoded.
///
/// Reads in chunks of 64 KiB, so `from` needs no buffer of its own, and may read past the dump's end. Memory holds a chunk and
/// the value being read, never the dump: a damaged length costs no more than the bytes that follow it.
///
/// # Errors
/// The first thing that is wrong, or the error that `visitor` returned. What `visitor` has received by then is sound as far as
/// each part by itself goes; only the checksum at the end proves the whole. A value that servers load in spite of a flaw is an
/// error here. A duplicate key in a database is not noticed.
pub fn read(from: impl Read, visitor: &mut (impl Visitor + ?Sized)) -> Result<Summary, Error> {
    let mut reader = Reader::new(ReadSource::new(from)).lending();
    let mut parts = Parts::new(visitor);
    decode(&mut reader, &mut parts).map_err(Error::new)
}

/// Like [`read()`], from the file at `path`.
///
/// # Errors
/// Like [`read()`], and if the file cannot be opened.
pub fn read_file(
    path: impl AsRef<Path>,
    visitor: &mut (impl Visitor + ?Sized),
) -> Result<Summary, Error> {
    let file = File::open(path);
    read(file?, visitor)
}

/// Passes on what a load would accept, and refuses the rest.
pub(super) struct Parts<'v, V: ?Sized> {
    visitor: &'v mut V,
    /// The type number of the next value.
    type_number: u8,
    /// The bytes of the next key and value.
    value_bytes: u64,
    /// The dialect of the server that wrote the dump, as far as the dump has said.
    dialect: Option<Dialect>,
    version: Option<Version>,
    attached: Attached,
}

/// What modules have attached to keys: records with their opcodes.
#[derive(Default)]
pub(super) struct Attached {
    coming: Vec<u8>,
    current: Vec<u8>,
}

impl Attached {
    const NOTHING: Self = Self {
        coming: Vec::new(),
        current: Vec::new(),
    };

    /// Takes a record of the next key.
    pub(super) fn take(&mut self, record: &[u8]) {
        self.coming.extend_from_slice(record);
    }

    /// Goes on to the next key.
    #[inline]
    pub(super) fn next_key(&mut self) {
        if !self.coming.is_empty() || !self.current.is_empty() {
            self.current = std::mem::take(&mut self.coming);
        }
    }

    /// What is attached to the current key.
    pub(super) const fn record(&self) -> &[u8] {
        self.current.as_slice()
    }
}

impl<'v, V: Visitor + ?Sized> Parts<'v, V> {
    pub(super) const fn new(visitor: &'v mut V) -> Self {
        Self {
            visitor,
            type_number: 0,
            value_bytes: 0,
            dialect: None,
            version: None,
            attached: Attached::NOTHING,
        }
    }

    /// The dump's version, once its header is read.
    pub(super) const fn version(&self) -> Option<Version> {
        self.version
    }

    pub(super) const fn visitor(&mut self) -> &mut V {
        self.visitor
    }

    fn pass(
        &mut self,
        db: u64,
        name: &[u8],
        meta: &Meta,
        value: Value<'_>,
    ) -> Result<(), SinkError> {
        let key = Key {
            db,
            name,
            expire_at_ms: meta.expire_at_ms,
            idle_s: meta.idle_s,
            freq: meta.freq,
            value,
            file_bytes: self.value_bytes + attribute_bytes(meta),
            type_number: self.type_number,
            dialect: self.dialect.unwrap_or_default(),
            attached: self.attached.record(),
        };
        self.visitor.key(key).map_err(SinkError::new)
    }
}

impl<V: Visitor + ?Sized> Sink for Parts<'_, V> {
    fn version(&mut self, version: Version) -> Result<(), SinkError> {
        self.version = Some(version);
        Ok(())
    }

    fn aux(&mut self, name: &[u8], value: &[u8]) -> Result<(), SinkError> {
        self.dialect = Dialect::after_aux(self.dialect, name, value);
        self.visitor.aux(name, value).map_err(SinkError::new)
    }

    fn function(&mut self, code: &[u8]) -> Result<(), SinkError> {
        self.visitor.library(code).map_err(SinkError::new)
    }

    fn module_aux(&mut self, data: ModuleAux) -> Result<(), SinkError> {
        let data = Module::new(data.id, &data.items);
        self.visitor.module_data(data).map_err(SinkError::new)
    }

    fn attached(&mut self, record: &[u8]) -> Result<(), SinkError> {
        self.attached.take(record);
        Ok(())
    }

    fn wants(&mut self, db: u64, name: &[u8]) -> bool {
        self.attached.next_key();
        self.visitor.wants(db, name)
    }

    fn value_type(&mut self, number: u8, bytes: u64) {
        (self.type_number, self.value_bytes) = (number, bytes);
    }

    fn text(&mut self, db: u64, name: &[u8], meta: &Meta, text: &[u8]) -> Result<(), SinkError> {
        self.pass(db, name, meta, Value::String(Item::Bytes(text)))
    }

    fn key(
        &mut self,
        db: u64,
        name: &[u8],
        meta: Meta,
        object: Object<'_>,
    ) -> Result<(), SinkError> {
        let value = Sound::of(object).map_err(SinkError::new)?;
        self.pass(db, name, &meta, value.shown(self.type_number))
    }
}

/// A value that a load would accept.
pub(super) enum Sound<'a> {
    Plain(Object<'a>),
    Stream(Box<value::Stream>),
    Array(Box<value::Array>),
}

impl<'a> Sound<'a> {
    pub(super) fn of(object: Object<'a>) -> Result<Self, Unsound> {
        check_members(&object)?;
        Ok(match object {
            Object::Stream(pieces) => Self::Stream(Box::new(value::Stream::from_rdb(*pieces)?)),
            Object::Array(pages) => Self::Array(Box::new(value::Array::from_rdb(*pages))),
            object => Self::Plain(object),
        })
    }

    /// The value, whose type number is `number`.
    pub(super) fn shown(&self, number: u8) -> Value<'_> {
        match self {
            Self::Plain(object) => Value::of(object),
            Self::Stream(stream) => Value::Stream(Stream::new(stream, number)),
            Self::Array(array) => Value::Array(Array::new(array)),
        }
    }
}

/// The bytes of what precedes a key's type number.
pub(super) const fn attribute_bytes(meta: &Meta) -> u64 {
    // An opcode and eight bytes, an opcode and one, an opcode and a length.
    let expiry = if meta.expire_at_ms.is_some() { 9 } else { 0 };
    let freq = if meta.freq.is_some() { 2 } else { 0 };
    let idle = match meta.idle_s {
        None => 0,
        Some(0..64) => 2,
        Some(64..16384) => 3,
        Some(_) => 6,
    };
    expiry + freq + idle
}

/// Refuses a collection with a duplicate member or field. The decoder finds those of packed layouts.
fn check_members(object: &Object<'_>) -> Result<(), Unsound> {
    let (Object::Set(records)
    | Object::Hash(records)
    | Object::HashTimed(records)
    | Object::Zset(records)) = object
    else {
        return Ok(());
    };
    // There are as many records as have arrived.
    let mut seen = HashSet::with_capacity_and_hasher(records.len(), ahash::RandomState::new());
    if records.iter().all(|record| seen.insert(record.key)) {
        Ok(())
    } else {
        Err(Unsound::Duplicate)
    }
}

//! A key and its value, borrowed from the decoder.

use super::{
    array::Array,
    collections::{Hash, HashForm, List, Set, SetForm, SortedForm, SortedSet},
    encoding,
    item::Item,
    module::Module,
    stream::Stream,
};
use crate::{
    dialect::Dialect,
    rdb::{self, object::Object},
};
use std::fmt;

/// A key of a dump, with its attributes and its value. Everything in it is borrowed for the length of the call.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Key<'a> {
    /// The database's number.
    pub db: u64,
    /// The name: any bytes.
    pub name: &'a [u8],
    /// When the key expires, Unix time in milliseconds. A dump may hold keys that have expired long ago.
    pub expire_at_ms: Option<i64>,
    /// For how many seconds the key was idle when the dump was made; only in dumps of servers with an LRU policy.
    pub idle_s: Option<u64>,
    /// The LFU counter, logarithmic; only in dumps of servers with an LFU policy.
    pub freq: Option<u8>,
    /// The value.
    pub value: Value<'a>,
    /// The bytes that the key takes in the dump, with its attributes and its value.
    pub file_bytes: u64,
    /// The type number, which says how the value is written.
    pub(super) type_number: u8,
    /// The dialect of the server that wrote the dump.
    pub(super) dialect: Dialect,
    /// What modules have attached to the key: a record with its opcode, or nothing.
    pub(super) attached: &'a [u8],
}

impl Key<'_> {
    /// The form of the value as OBJECT ENCODING replies on the server that wrote it, such as `listpack` or `embstr`. A value
    /// that is written as a ziplist is a `ziplist`, even if a newer server converts it.
    #[must_use]
    pub fn encoding(&self) -> &'static str {
        encoding::encoding(self)
    }

    /// The layout in which the value is written, as `redis-check-rdb` names it, such as `hash-listpack` or `stream-v2`.
    #[must_use]
    pub fn layout(&self) -> &'static str {
        rdb::type_name(self.type_number)
    }
}

impl fmt::Debug for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("db", &self.db)
            .field("name", &Item::Bytes(self.name))
            .field("expire_at_ms", &self.expire_at_ms)
            .field("idle_s", &self.idle_s)
            .field("freq", &self.freq)
            .field("encoding", &self.encoding())
            .field("value", &self.value)
            .finish()
    }
}

/// A value of a dump.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Value<'a> {
    /// A string.
    String(Item<'a>),
    /// A list.
    List(List<'a>),
    /// A set.
    Set(Set<'a>),
    /// A hash.
    Hash(Hash<'a>),
    /// A sorted set.
    SortedSet(SortedSet<'a>),
    /// A stream.
    Stream(Stream<'a>),
    /// An array.
    Array(Array<'a>),
    /// A value of a type that a module defines, such as a vector set.
    Module(Module<'a>),
}

impl<'a> Value<'a> {
    /// The value's type: `string`, `list`, `set`, `hash`, `zset`, `stream` or `array`, as TYPE replies, or `module`, for which
    /// TYPE replies [`Module::type_name`].
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::String(_) => "string",
            Self::List(_) => "list",
            Self::Set(_) => "set",
            Self::Hash(_) => "hash",
            Self::SortedSet(_) => "zset",
            Self::Stream(_) => "stream",
            Self::Array(_) => "array",
            Self::Module(_) => "module",
        }
    }

    /// The number of elements, fields, members or entries; 1 for a string and for a module's value.
    #[must_use]
    pub fn elements(&self) -> usize {
        match self {
            Self::String(_) | Self::Module(_) => 1,
            Self::List(list) => list.len(),
            Self::Set(set) => set.len(),
            Self::Hash(hash) => hash.len(),
            Self::SortedSet(set) => set.len(),
            Self::Stream(stream) => stream.len(),
            Self::Array(array) => array.len(),
        }
    }

    /// Returns the value of an object, which is not the pieces of a stream or of an array: those do not make a value yet.
    pub(super) fn of(object: &'a Object<'_>) -> Self {
        match object {
            Object::Str(text) => Self::String(Item::Bytes(text)),
            Object::Int(number) => Self::String(Item::Integer(*number)),
            Object::List(nodes) => Self::List(List(nodes)),
            Object::SetIntset(set) => Self::Set(Set(SetForm::Integers(set))),
            Object::SetListpack(set) => Self::Set(Set(SetForm::Packed(set))),
            Object::Set(set) => Self::Set(Set(SetForm::Records(set))),
            Object::HashListpack(hash) => Self::Hash(Hash(HashForm::Packed(hash))),
            Object::HashListpackTimed(hash) => Self::Hash(Hash(HashForm::PackedTimed(hash))),
            Object::Hash(hash) => Self::Hash(Hash(HashForm::Records(hash))),
            Object::HashTimed(hash) => Self::Hash(Hash(HashForm::RecordsTimed(hash))),
            Object::HashTemplate(names, values) => {
                Self::Hash(Hash(HashForm::Template(names, values)))
            }
            Object::ZsetListpack(zset) => Self::SortedSet(SortedSet(SortedForm::Packed(zset))),
            Object::Zset(zset) => Self::SortedSet(SortedSet(SortedForm::Records(zset))),
            Object::Module(value) => Self::Module(Module::new(value.id(), value.items())),
            Object::Stream(_) | Object::Array(_) => unreachable!("they are put together first"),
        }
    }
}

//! The decoder's output: one value of the keyspace, still in the layout in which it was written.

use std::borrow::Cow;
use std::sync::Arc;

use super::{
    array::ArrayObject,
    intset::Intset,
    listpack::{self, Listpack},
    module::ModuleValue,
    names::Names,
    packed::Item,
    records::Records,
    stream::StreamObject,
};

/// A key's attributes, written before its type byte.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Meta {
    /// Absolute expiry, Unix time in milliseconds.
    pub expire_at_ms: Option<i64>,
    /// LRU idle time in seconds; written only under an LRU policy.
    pub idle_s: Option<u64>,
    /// LFU counter, 0 to 255; written only under an LFU policy.
    pub freq: Option<u8>,
}

/// One node of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListNode {
    /// A single element that is too large to be packed.
    Plain(Box<[u8]>),
    /// Many elements, packed.
    Packed(Listpack),
}

/// A borrowed node of a list.
#[derive(Debug, Clone, Copy)]
pub enum NodeRef<'a> {
    /// A single element that is too large to be packed.
    Plain(&'a [u8]),
    /// Many elements, packed.
    Packed(&'a Listpack),
}

impl<'a> From<&'a ListNode> for NodeRef<'a> {
    fn from(node: &'a ListNode) -> Self {
        match node {
            ListNode::Plain(text) => Self::Plain(text),
            ListNode::Packed(packed) => Self::Packed(packed),
        }
    }
}

/// The values of a compact hash, in the order of its field names.
#[derive(Debug, Clone, PartialEq)]
pub enum TemplateValues {
    /// Packed.
    Packed(Listpack),
    /// One by one, because a value is too long or there are too many to be packed.
    Array(Vec<Box<[u8]>>),
}

impl TemplateValues {
    /// The number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Packed(packed) => packed.len(),
            Self::Array(values) => values.len(),
        }
    }

    /// Whether there is no value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Iterates over the values.
    #[must_use]
    pub fn iter(&self) -> ValuesIter<'_> {
        match self {
            Self::Packed(packed) => ValuesIter::Packed(packed.iter()),
            Self::Array(values) => ValuesIter::Array(values.iter()),
        }
    }
}

/// Iterates over the values of a compact hash.
#[derive(Debug, Clone)]
pub enum ValuesIter<'a> {
    /// Packed values.
    Packed(listpack::Iter<'a>),
    /// Values one by one.
    Array(std::slice::Iter<'a, Box<[u8]>>),
}

impl<'a> Iterator for ValuesIter<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        match self {
            Self::Packed(values) => values.next(),
            Self::Array(values) => values.next().map(|value| Item::Str(value)),
        }
    }
}

/// A decoded value. Strings are borrowed from the reader's buffers; everything else is owned.
///
/// Packed blobs (listpacks, intsets) are fully validated: nothing that walks them later can fail. The unpacked forms may
/// contain duplicate fields or members: the receiver's hash table finds them.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Object<'a> {
    /// A string stored as text. A long one may own its bytes.
    Str(Cow<'a, [u8]>),
    /// A string stored as an integer. Its text is the decimal form.
    Int(i64),
    /// A list, head first.
    List(Vec<ListNode>),
    /// A set of integers, packed.
    SetIntset(Intset),
    /// A small set, packed: its members.
    SetListpack(Listpack),
    /// A set.
    Set(Records),
    /// A small hash, packed: field, value, …
    HashListpack(Listpack),
    /// A hash.
    Hash(Records),
    /// A small hash whose fields expire, packed: field, value, expiry (Unix time in milliseconds, 0 for none), …
    HashListpackTimed(Listpack),
    /// A hash whose fields expire.
    HashTimed(Records),
    /// A compact hash, with as many values as names.
    HashTemplate(Arc<Names>, TemplateValues),
    /// A small sorted set, packed: member, score, … in ascending order.
    ZsetListpack(Listpack),
    /// A sorted set, in no particular order.
    Zset(Records),
    /// A stream.
    Stream(Box<StreamObject>),
    /// An array.
    Array(Box<ArrayObject>),
    /// A value of a module type.
    Module(ModuleValue),
}

impl Object<'_> {
    /// The same value, which borrows nothing: only a string is copied.
    #[must_use]
    pub fn into_owned(self) -> Object<'static> {
        match self {
            Self::Str(text) => Object::Str(Cow::Owned(text.into_owned())),
            Self::Int(number) => Object::Int(number),
            Self::List(nodes) => Object::List(nodes),
            Self::SetIntset(set) => Object::SetIntset(set),
            Self::SetListpack(set) => Object::SetListpack(set),
            Self::Set(set) => Object::Set(set),
            Self::HashListpack(hash) => Object::HashListpack(hash),
            Self::Hash(hash) => Object::Hash(hash),
            Self::HashListpackTimed(hash) => Object::HashListpackTimed(hash),
            Self::HashTimed(hash) => Object::HashTimed(hash),
            Self::HashTemplate(names, values) => Object::HashTemplate(names, values),
            Self::ZsetListpack(zset) => Object::ZsetListpack(zset),
            Self::Zset(zset) => Object::Zset(zset),
            Self::Stream(stream) => Object::Stream(stream),
            Self::Array(array) => Object::Array(array),
            Self::Module(value) => Object::Module(value),
        }
    }

    /// Whether this is an empty collection, which Redis does not load. An empty stream is a key like any other.
    #[must_use]
    pub fn is_empty_collection(&self) -> bool {
        match self {
            Self::Str(_) | Self::Int(_) | Self::Stream(_) | Self::Module(_) => false,
            Self::Array(array) => array.pages.is_empty(),
            Self::List(nodes) => nodes.is_empty(),
            Self::HashTemplate(names, _) => names.is_empty(),
            Self::SetIntset(set) => set.is_empty(),
            Self::SetListpack(packed)
            | Self::HashListpack(packed)
            | Self::HashListpackTimed(packed)
            | Self::ZsetListpack(packed) => packed.is_empty(),
            Self::Set(records)
            | Self::Hash(records)
            | Self::HashTimed(records)
            | Self::Zset(records) => records.is_empty(),
        }
    }
}

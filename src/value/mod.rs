//! The in-memory types: list, set, hash, sorted set, stream, array, vector set. Strings live in the store's own blocks.
//!
//! These are pure data structures: they know of no keyspace, lock, clock or protocol. Small collections stay in the packed
//! bytes of `rdb` (listpack, intset) and convert to their large form past [`Thresholds`], as in Redis. Each type keeps count of
//! the bytes that it holds, so the store reads its memory figures at no cost.

mod array;
mod encode;
mod error;
pub mod hash;
mod index;
pub mod list;
pub mod place;
mod same;
pub mod set;
mod settings;
mod stream;
mod table;
mod thresholds;
pub mod vector;
mod zset;

pub use crate::rdb::module::ModuleValue;
pub use array::{Array, PastTheEnd};
pub use error::Error;
pub use hash::Hash;
pub use list::{End, List};
pub use set::Set;
pub use settings::{Choices, SETTINGS, Setting, SettingError, memory, parse_bytes, setting};
pub use stream::{
    Consumer, DELIVERIES_MAX, Deletion, Doubt, Entry, Group, Idmp, Keep, Known, Pending, Recount,
    Strategy, Stream, automatic_iid,
};
pub use thresholds::{ScoreText, Thresholds};
pub use vector::VectorSet;
pub use zset::{Change, Scored, Walk, Zset};

/// A value that does not fit into its key's own block.
#[derive(Debug, Clone)]
pub enum Object {
    /// A string too long to be stored next to its key.
    Text(Vec<u8>),
    /// A list.
    List(List),
    /// A set.
    Set(Set),
    /// A hash.
    Hash(Hash),
    /// A sorted set.
    Zset(Zset),
    /// A stream. Boxed, like every form larger than a vector, so that the many values of other types stay small.
    Stream(Box<Stream>),
    /// An array.
    Array(Box<Array>),
    /// A vector set.
    VectorSet(Box<VectorSet>),
    /// A value of any other module type, whose meaning only the module knows.
    Module(ModuleValue),
    /// A value that is no longer known: it was discarded long after its key expired. It has no type, so every command refuses it.
    Swept,
}

const _: () = assert!(size_of::<Object>() <= 32, "every collection pays for this");

impl Object {
    /// Returns the heap bytes of this value, without the enum itself.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.capacity(),
            Self::List(list) => list.heap_bytes(),
            Self::Set(set) => set.heap_bytes(),
            Self::Hash(hash) => hash.heap_bytes(),
            Self::Zset(zset) => zset.heap_bytes(),
            Self::Stream(stream) => size_of::<Stream>() + stream.heap_bytes(),
            Self::Array(array) => size_of::<Array>() + array.heap_bytes(),
            Self::VectorSet(set) => size_of::<VectorSet>() + set.heap_bytes(),
            Self::Module(value) => value.items().len(),
            Self::Swept => 0,
        }
    }
}

impl Object {
    /// The number of elements, or of bytes if the value has no elements.
    #[must_use]
    pub fn elements(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::List(list) => list.len(),
            Self::Set(set) => set.len(),
            Self::Hash(hash) => hash.len(),
            Self::Zset(zset) => zset.len(),
            Self::Stream(stream) => stream.len(),
            Self::Array(array) => array.len(),
            Self::VectorSet(set) => set.len(),
            Self::Module(value) => value.items().len(),
            Self::Swept => 0,
        }
    }
}

/// What the store needs to know about a collection type.
pub trait Collection: Sized {
    /// Whether a value of this type continues to exist when it has no elements. Only streams do.
    const STAYS_WHEN_EMPTY: bool;

    /// Returns the value if the object is of this type.
    fn of(object: &Object) -> Option<&Self>;

    /// Like [`of`](Self::of), but mutable.
    fn of_mut(object: &mut Object) -> Option<&mut Self>;

    /// Wraps the value in an object.
    fn into_object(self) -> Object;

    /// The number of elements.
    fn len(&self) -> usize;

    /// Whether there is no element.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

macro_rules! collection {
    ($type:ident, stays_when_empty: $stays:literal) => {
        impl Collection for $type {
            const STAYS_WHEN_EMPTY: bool = $stays;

            fn of(object: &Object) -> Option<&Self> {
                if let Object::$type(value) = object {
                    Some(value)
                } else {
                    None
                }
            }

            fn of_mut(object: &mut Object) -> Option<&mut Self> {
                if let Object::$type(value) = object {
                    Some(value)
                } else {
                    None
                }
            }

            fn into_object(self) -> Object {
                Object::$type(self.into())
            }

            fn len(&self) -> usize {
                $type::len(self)
            }
        }
    };
}

collection!(List, stays_when_empty: false);
collection!(Set, stays_when_empty: false);
collection!(Hash, stays_when_empty: false);
collection!(Zset, stays_when_empty: false);
collection!(Stream, stays_when_empty: true);
collection!(Array, stays_when_empty: false);
collection!(VectorSet, stays_when_empty: false);

/// Picks `count` of the `len` items at random and keeps their order. Every selection is equally likely.
pub(crate) fn sample<T>(items: impl Iterator<Item = T>, len: usize, count: usize) -> Vec<T> {
    let (mut left, mut wanted) = (len, count.min(len));
    let chosen = items.filter(|_| {
        let take = fastrand::usize(..left.max(1)) < wanted;
        left = left.saturating_sub(1);
        wanted -= usize::from(take);
        take
    });
    chosen.collect()
}

//! The kinds of values, for figures that are kept for each.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::db::Delta;
use super::entry::Entry;
use crate::value::Object;

/// The kind of a value, in the words of TYPE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum Kind {
    /// A string, in whatever form.
    #[default]
    String,
    /// A list.
    List,
    /// A set.
    Set,
    /// A hash.
    Hash,
    /// A sorted set.
    Zset,
    /// A stream.
    Stream,
    /// An array.
    Array,
    /// A vector set.
    VectorSet,
    /// A value of any other module.
    Module,
    /// A value that the sweeper has discarded: its key expired long ago, and waits for the primary to delete it.
    Discarded,
}

impl Kind {
    /// The number of kinds.
    pub(super) const COUNT: usize = Self::ALL.len();

    /// All kinds, in the order of their numbers.
    pub const ALL: [Self; 10] = [
        Self::String,
        Self::List,
        Self::Set,
        Self::Hash,
        Self::Zset,
        Self::Stream,
        Self::Array,
        Self::VectorSet,
        Self::Module,
        Self::Discarded,
    ];

    /// Returns the word of TYPE; `module` for any module's, and `discarded` for what has no type any more.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::List => "list",
            Self::Set => "set",
            Self::Hash => "hash",
            Self::Zset => "zset",
            Self::Stream => "stream",
            Self::Array => "array",
            Self::VectorSet => "vectorset",
            Self::Module => "module",
            Self::Discarded => "discarded",
        }
    }

    /// Whether servers keep values of both kinds as one type: vector sets are those of a module, too.
    pub(super) fn is_typed_as(self, other: Self) -> bool {
        let of_modules = [Self::VectorSet, Self::Module];
        self == other || (of_modules.contains(&self) && of_modules.contains(&other))
    }

    pub(super) const fn of(object: &Object) -> Self {
        match object {
            Object::Text(_) => Self::String,
            Object::List(_) => Self::List,
            Object::Set(_) => Self::Set,
            Object::Hash(_) => Self::Hash,
            Object::Zset(_) => Self::Zset,
            Object::Stream(_) => Self::Stream,
            Object::Array(_) => Self::Array,
            Object::VectorSet(_) => Self::VectorSet,
            Object::Module(_) => Self::Module,
            Object::Swept => Self::Discarded,
        }
    }
}

/// What one entry adds to a database's figures.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weight {
    pub(super) kind: Kind,
    pub(super) delta: Delta,
}

impl Weight {
    #[inline]
    pub(super) fn of(entry: &Entry) -> Self {
        let (heap_bytes, is_timed, kind) = entry.weigh();
        let delta = Delta {
            keys: 1,
            expires: isize::from(entry.expire_at_ms().is_some()),
            timed_hashes: isize::from(is_timed),
            heap_bytes: heap_bytes.cast_signed(),
        };
        Self { kind, delta }
    }

    /// What an entry adds beyond what it added `before` its value changed. A value that changes in place keeps its kind.
    #[inline]
    pub(super) fn since(entry: &Entry, before: Self) -> Self {
        let mut now = Self::of(entry);
        now.delta.subtract(before.delta);
        now
    }
}

/// The keys of one kind, and the bytes of their entries and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KindFigures {
    /// The kind, as TYPE names it; `module` for any module's, `discarded` for keys that expired long ago, whose values were
    /// discarded to free their memory.
    pub kind: &'static str,
    /// Keys, expired ones included.
    pub keys: usize,
    /// Bytes of their entries and values, without the tables.
    pub bytes: usize,
}

/// The counts of each kind. They have a single writer.
#[derive(Debug, Default)]
pub(super) struct Counts([(AtomicUsize, AtomicUsize); Kind::COUNT]);

impl Counts {
    /// Adds to the keys and bytes of `kind`.
    #[inline]
    pub(super) fn add(&self, kind: Kind, keys: isize, bytes: isize) {
        let Some((all_keys, all_bytes)) = self.0.get(kind as usize) else {
            return;
        };
        for (figure, change) in [(all_keys, keys), (all_bytes, bytes)] {
            if change != 0 {
                let sum = figure.load(Ordering::Relaxed).wrapping_add_signed(change);
                figure.store(sum, Ordering::Release);
            }
        }
    }

    /// Returns the keys and bytes of `kind`, which wrap around where a part is counted elsewhere.
    pub(super) fn of(&self, kind: Kind) -> (usize, usize) {
        let load = |figure: &AtomicUsize| figure.load(Ordering::Acquire);
        let counts = self.0.get(kind as usize);
        counts.map_or((0, 0), |(keys, bytes)| (load(keys), load(bytes)))
    }
}

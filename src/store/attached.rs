//! The data that modules attach to keys (Redis 8.6 and later): kept as it arrived, because only DUMP shows it.
//!
//! Only a module knows what a command does to its data. A change within a value leaves it alone, and a key that is gone has none.
//! After anything else it is unknown, and DUMP of the key is an error.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use dashmap::RwLock;

/// What is known about the data attached to a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attached {
    /// The bytes of the record, from its opcode on.
    Known(Box<[u8]>),
    /// The key may have data, but a command has changed the key since.
    Unknown,
}

/// A database number and a key in that database.
type Name = (usize, Box<[u8]>);

/// The keys of a generation with attached data. A key's entry changes under the write lock of its shard.
#[derive(Debug, Default)]
pub struct AttachedKeys {
    any: AtomicBool,
    keys: RwLock<HashMap<Name, Attached>>,
}

impl AttachedKeys {
    /// Whether any key has data; costs one load.
    #[inline]
    pub fn any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    /// The data attached to a key.
    #[must_use]
    pub fn of(&self, db: usize, key: &[u8]) -> Option<Attached> {
        if !self.any() {
            return None;
        }
        self.keys.read().get(&(db, Box::from(key))).cloned()
    }

    /// Sets the data of a key.
    pub(super) fn set(&self, db: usize, key: &[u8], data: Attached) {
        let mut keys = self.keys.write();
        keys.insert((db, key.into()), data);
        self.any.store(true, Ordering::Release);
    }

    /// Records that a key was replaced, or that it is gone if `exists` is false.
    pub(super) fn touch(&self, db: usize, key: &[u8], exists: bool) {
        if !self.any() {
            return;
        }
        let mut keys = self.keys.write();
        let place = (db, Box::from(key));
        if !exists {
            keys.remove(&place);
        } else if let Some(data) = keys.get_mut(&place) {
            *data = Attached::Unknown;
        }
        self.any.store(!keys.is_empty(), Ordering::Release);
    }

    /// Renumbers the databases of all keys. Drops the keys for which `number` returns `None`.
    pub(super) fn renumber(&self, number: impl Fn(usize) -> Option<usize>) {
        if !self.any() {
            return;
        }
        let mut keys = self.keys.write();
        *keys = std::mem::take(&mut *keys)
            .into_iter()
            .filter_map(|((db, key), data)| Some(((number(db)?, key), data)))
            .collect();
        self.any.store(!keys.is_empty(), Ordering::Release);
    }
}

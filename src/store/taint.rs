//! Keys whose value is no longer known to be right.
//!
//! A write that could not be applied taints the keys it names, or everything when they cannot be known. Whoever asks for
//! them gets an error, never the old value. Only a full resync (a new generation) makes them clean.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use dashmap::RwLock;

/// Most keys remembered one by one; past it everything counts as tainted, so that the record stays small.
const TAINTED_KEYS_MAX: usize = 100_000;

/// The asked-for data is tainted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "TAINTED a write from the primary could not be applied here; the value is unknown until the next full sync"
)]
pub struct Tainted;

/// The tainted keys of a generation.
#[derive(Debug, Default)]
pub struct Taints {
    any: AtomicBool,
    everything: AtomicBool,
    count: AtomicUsize,
    keys: RwLock<HashSet<(u32, Box<[u8]>)>>,
}

impl Taints {
    /// Whether anything is tainted; costs one load.
    #[inline]
    pub fn any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    /// Whether everything is.
    pub fn everything(&self) -> bool {
        self.everything.load(Ordering::Acquire)
    }

    /// How many keys are named as tainted.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Taints one key.
    pub fn add(&self, db: u32, key: &[u8]) {
        let mut keys = self.keys.write();
        keys.insert((db, key.into()));
        self.count.store(keys.len(), Ordering::Release);
        if keys.len() > TAINTED_KEYS_MAX {
            self.everything.store(true, Ordering::Release);
        }
        self.any.store(true, Ordering::Release);
    }

    /// Taints all keys of all databases.
    pub fn add_everything(&self) {
        self.everything.store(true, Ordering::Release);
        self.any.store(true, Ordering::Release);
    }

    /// Whether that key is tainted.
    pub fn holds(&self, db: u32, key: &[u8]) -> bool {
        self.any() && (self.everything() || self.keys.read().contains(&(db, Box::from(key))))
    }

    /// Whether any key of that database is.
    pub fn holds_any_in(&self, db: u32) -> bool {
        self.any()
            && (self.everything() || self.keys.read().iter().any(|(tainted, _)| *tainted == db))
    }

    /// A flush of `db` leaves nothing unknown in it.
    pub fn clear_db(&self, db: u32) {
        self.rewrite(|tainted, key| (tainted != db).then_some((tainted, key)));
    }

    /// The databases have changed places.
    pub fn swap_dbs(&self, one: u32, other: u32) {
        self.rewrite(|db, key| {
            let db = if db == one {
                other
            } else if db == other {
                one
            } else {
                db
            };
            Some((db, key))
        });
    }

    fn rewrite(&self, change: impl Fn(u32, Box<[u8]>) -> Option<(u32, Box<[u8]>)>) {
        if !self.any() {
            return;
        }
        let mut keys = self.keys.write();
        *keys = std::mem::take(&mut *keys)
            .into_iter()
            .filter_map(|(db, key)| change(db, key))
            .collect();
        self.count.store(keys.len(), Ordering::Release);
        self.any
            .store(!keys.is_empty() || self.everything(), Ordering::Release);
    }
}

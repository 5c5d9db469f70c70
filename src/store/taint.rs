//! Keys whose value is no longer known to be right.
//!
//! A value of a snapshot that cannot be kept as the primary has it taints its key. A write that cannot be applied taints
//! the keys it names, or everything if they cannot be known. A reader of a tainted key gets an error, never the old
//! value. A full resync (a new generation) removes all taints; a key known to be gone loses its own.
//!
//! A command that reads a tainted key taints what it writes. One doubt is smaller than the others: a list that SORT stored in an
//! order which only the primary knows still has a known length, so commands that depend on lengths alone are applied to it
//! ([`Doubt::Elements`]). If it is not even known whether a key exists, then DBSIZE, KEYS, SCAN and RANDOMKEY of its database
//! answer TAINTED, too.
//!
//! A key's taint changes under the write lock of its shard. So a reader that holds the shard and finds no taint may trust the
//! value.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use dashmap::RwLock;

use super::migrating::Hidden;

/// Maximum number of keys recorded one by one. Beyond it, everything counts as tainted, so that the record stays small.
const TAINTED_KEYS_MAX: usize = 100_000;

/// The requested data is tainted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "TAINTED a value or a write from the primary could not be applied here; the value is unknown until the next full sync"
)]
pub struct Tainted;

/// What is in doubt about a tainted key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doubt {
    /// The key holds a list with as many elements as it has here; which elements they are is not known.
    Elements,
    /// The key exists, with a value that is not known.
    Value,
    /// It is not even known whether the key exists.
    Existence,
}

/// A database number and a key in that database.
type Name = (usize, Box<[u8]>);

/// The tainted keys of a generation.
#[derive(Debug, Default)]
pub struct Taints {
    any: AtomicBool,
    everything: AtomicBool,
    count: AtomicUsize,
    /// How many times a change of taints has begun or ended: odd while a unit that changes them is not yet visible.
    changes: AtomicU64,
    keys: RwLock<HashMap<Name, Doubt>>,
    hidden: Hidden,
    /// Whether this is a shard of a cluster: then each key is checked.
    is_sharded: bool,
}

impl Taints {
    /// Whether anything is tainted or hidden; costs one load.
    #[inline]
    pub fn any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    /// Sets whether this is a shard of a cluster.
    pub(super) fn set_sharded(&mut self, is_sharded: bool) {
        self.is_sharded = is_sharded;
        self.recount(&self.keys.read());
    }

    /// Marks the start of a change of taints, and of figures that are not yet published.
    pub(super) fn begin_change(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// Marks that all changes since [`begin_change`](Self::begin_change) are visible, taints and figures.
    pub(super) fn end_change(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// A number that stays the same as long as the taints do; `None` while they change.
    pub(super) fn settled(&self) -> Option<u64> {
        Some(self.changes.load(Ordering::Acquire)).filter(|changes| changes % 2 == 0)
    }

    /// Whether everything is tainted.
    pub fn everything(&self) -> bool {
        self.everything.load(Ordering::Acquire)
    }

    /// How many keys are recorded as tainted.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Taints one key. If it is tainted already, the greater doubt stays.
    pub(super) fn add(&self, db: usize, key: &[u8], doubt: Doubt) {
        if self.everything() {
            return;
        }
        let mut keys = self.keys.write();
        let held = keys.entry((db, key.into())).or_insert(doubt);
        *held = doubt.max(*held);
        if keys.len() > TAINTED_KEYS_MAX {
            self.everything.store(true, Ordering::Release);
            *keys = HashMap::new();
        }
        self.recount(&keys);
    }

    /// Taints all keys of all databases.
    pub(super) fn add_everything(&self) {
        self.everything.store(true, Ordering::Release);
        self.any.store(true, Ordering::Release);
    }

    /// The recorded tainted keys, each with its doubt.
    #[must_use]
    pub fn list(&self) -> Vec<(usize, Box<[u8]>, Doubt)> {
        let keys = self.keys.read();
        let each = keys.iter();
        each.map(|((db, key), doubt)| (*db, key.clone(), *doubt))
            .collect()
    }

    /// Removes a key's taint: its state is known again, because the key is gone.
    pub(super) fn remove(&self, db: usize, key: &[u8]) {
        let mut keys = self.keys.write();
        keys.remove(&(db, Box::from(key)));
        self.recount(&keys);
    }

    /// The slots whose keys are hidden from readers because they are being migrated.
    #[must_use]
    pub const fn hidden(&self) -> &Hidden {
        &self.hidden
    }

    /// Changes what is hidden.
    pub(super) fn change_hidden(&self, change: impl FnOnce(&Hidden) -> bool) {
        if !change(&self.hidden) {
            self.add_everything();
        }
        self.recount(&self.keys.read());
    }

    /// Whether the key is tainted.
    pub fn holds(&self, db: usize, key: &[u8]) -> bool {
        self.doubt(db, key).is_some()
    }

    /// What is in doubt about the key; `None` if it is not tainted.
    pub fn doubt(&self, db: usize, key: &[u8]) -> Option<Doubt> {
        if !self.any() {
            None
        } else if self.everything() {
            Some(Doubt::Existence)
        } else {
            self.keys.read().get(&(db, Box::from(key))).copied()
        }
    }

    /// Whether it is not known which keys the database holds.
    pub fn doubts_existence_in(&self, db: usize) -> bool {
        let doubted =
            |((tainted, _), doubt): (&Name, &Doubt)| *tainted == db && *doubt == Doubt::Existence;
        self.any() && (self.everything() || self.keys.read().iter().any(doubted))
    }

    /// Removes the taints of `db`: a flush leaves nothing unknown in it.
    pub(super) fn clear_db(&self, db: usize) {
        self.rewrite(|tainted| (tainted != db).then_some(tainted));
    }

    /// Exchanges the taints of two databases whose contents were exchanged.
    pub(super) fn swap_dbs(&self, one: usize, other: usize) {
        self.rewrite(|db| {
            Some(match db {
                db if db == one => other,
                db if db == other => one,
                db => db,
            })
        });
    }

    /// Renumbers the databases of all taints. Drops those for which `number` returns `None`.
    fn rewrite(&self, number: impl Fn(usize) -> Option<usize>) {
        if !self.any() {
            return;
        }
        let mut keys = self.keys.write();
        let renumbered = std::mem::take(&mut *keys).into_iter();
        *keys = renumbered
            .filter_map(|((db, key), doubt)| Some(((number(db)?, key), doubt)))
            .collect();
        self.recount(&keys);
    }

    fn recount(&self, keys: &HashMap<Name, Doubt>) {
        self.count.store(keys.len(), Ordering::Release);
        let any = !keys.is_empty()
            || self.everything()
            || self.hidden.slots().is_some()
            || self.is_sharded;
        self.any.store(any, Ordering::Release);
    }
}

//! Which keys connections watch, to learn whether the stream has changed one.
//!
//! The writer checks this while it holds the changed key's lock, so a thread that holds that lock knows of every change
//! that it can see. While no key is watched, the check costs the writer one load per command.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use dashmap::RwLock;

/// One connection's watch on one key.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) db: usize,
    /// Whether the key was already expired when it was watched, so that its deletion changes nothing.
    pub(super) expired: AtomicBool,
    pub(super) changed: Arc<AtomicBool>,
}

/// What happens to one key when the contents of its database are dropped or exchanged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Replacement {
    /// Whether the key existed before.
    pub(super) existed: bool,
    /// Whether the key is expired afterwards; `None` if it does not exist then.
    pub(super) comes: Option<bool>,
}

/// Watches by key, for all databases.
pub(super) type ByKey = HashMap<Box<[u8]>, Vec<Arc<Watch>>>;

/// All watches on the keys of a generation.
#[derive(Debug, Default)]
pub struct Watches {
    /// How many watches there are.
    pub(super) count: AtomicUsize,
    pub(super) keys: RwLock<ByKey>,
}

impl Watches {
    /// Whether anyone watches; costs one load. Call this under the lock of the key that changes.
    #[must_use]
    #[inline]
    pub fn any(&self) -> bool {
        self.count.load(Ordering::Relaxed) > 0
    }

    /// Records that a key has changed, or that it is gone if `exists` is false.
    pub(super) fn touch(&self, db: usize, key: &[u8], exists: bool, rules: Rules) {
        let keys = self.keys.read();
        let watches = keys.get(key).into_iter().flatten();
        for watch in watches.filter(|watch| watch.db == db) {
            if !rules.ignores_expired || !watch.expired.load(Ordering::Relaxed) {
                watch.changed.store(true, Ordering::Relaxed);
            } else if !exists {
                watch.expired.store(false, Ordering::Relaxed);
            }
        }
    }

    /// Records that the contents of database `db` are dropped or exchanged; `fate` says what that does to a key.
    ///
    /// Source: redis 8.0 multi.c, `touchAllWatchedKeysInDb`.
    pub(super) fn replace(&self, db: usize, rules: Rules, fate: impl Fn(&[u8]) -> Replacement) {
        let keys = self.keys.read();
        for (key, watches) in keys.iter() {
            for watch in watches.iter().filter(|watch| watch.db == db) {
                watch.replace(fate(key), rules);
            }
        }
    }

    /// Records that any watched key may have changed.
    pub fn touch_all(&self) {
        let keys = self.keys.read();
        let watches = keys.values().flatten();
        watches.for_each(|watch| watch.changed.store(true, Ordering::Relaxed));
    }
}

impl Watch {
    fn replace(&self, fate: Replacement, rules: Rules) {
        let was_expired = rules.ignores_expired && self.expired.load(Ordering::Relaxed);
        match (fate.existed, fate.comes) {
            (false, None) => {}
            (_, None) if was_expired => self.expired.store(false, Ordering::Relaxed),
            (_, Some(true)) if was_expired => {}
            (false, Some(true)) if rules.ignores_expired => {
                self.expired.store(true, Ordering::Relaxed);
            }
            _ => self.changed.store(true, Ordering::Relaxed),
        }
    }
}

/// The rules that differ between servers.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Whether a key that was expired when it was watched breaks nothing by staying expired or by being deleted.
    pub ignores_expired: bool,
}

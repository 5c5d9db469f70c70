//! Which slots of a cluster a replica of one shard may answer for, and when it is certain that a key does not exist.
//!
//! A cluster moves slots between its shards while it runs, and the streams of two shards are not ordered against each other. So a
//! replica of a shard knows two things only from outside, by asking the shard's primary:
//!
//! * **Which slots the shard owns.** A reader of another slot's key is refused, whether the key is here or not.
//! * **Whether a key that is missing was deleted.** A server that moves a key elsewhere sends its replicas the same DEL as a client
//!   that deletes it. So a missing key is certain only if the primary has said, *after* the last removal from the key's slot, that it
//!   owns the slot and moves none of it. What it says holds for everything up to an offset that it named before.
//!
//! `replica::cluster` asks, and says what follows from the answers. Here is what readers check, under the lock of their key's shard.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;

use crate::slots::{CLUSTER_SLOTS, ClusterSlots, cluster_slot};

/// The slot of the key is on its way from one shard to another, or it is not known yet who has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "TRYAGAIN redtail does not know yet which shard of the cluster has this key now; ask again in a moment"
)]
pub struct Moving;

/// What a replica of one shard may answer for.
#[derive(Debug, Default)]
pub struct Ownership {
    owned: ArcSwap<Owned>,
    /// Held while it is changed.
    changing: Mutex<()>,
}

/// What is known at one moment.
#[derive(Debug, Clone)]
pub struct Owned {
    /// The slots whose keys are served.
    pub served: ClusterSlots,
    /// All others.
    unserved: Arc<ClusterSlots>,
    /// The slots that the shard owned and moved none of, at two proofs in a row.
    pub settled: ClusterSlots,
    /// What was removed from a settled slot up to this offset was deleted and not moved.
    pub proven: u64,
}

impl Default for Owned {
    fn default() -> Self {
        Self::new(ClusterSlots::default(), ClusterSlots::default(), 0)
    }
}

impl Owned {
    fn new(served: ClusterSlots, settled: ClusterSlots, proven: u64) -> Self {
        let mut unserved = ClusterSlots::all();
        unserved.remove_all(&served);
        Self {
            served,
            unserved: Arc::new(unserved),
            settled,
            proven,
        }
    }
}

impl Ownership {
    /// What is known now.
    #[must_use]
    pub fn now(&self) -> Arc<Owned> {
        self.owned.load_full()
    }

    /// Whether keys of `slot` are served.
    #[must_use]
    pub fn serves(&self, slot: u16) -> bool {
        self.owned.load().served.contains(slot)
    }

    /// The slots whose keys are not served.
    pub(super) fn unserved(&self) -> Arc<ClusterSlots> {
        Arc::clone(&self.owned.load().unserved)
    }

    /// Serves other slots from now on.
    pub fn serve(&self, served: ClusterSlots) {
        let _changing = self.change();
        let now = self.owned.load();
        let next = Owned::new(served, now.settled.clone(), now.proven);
        self.owned.store(Arc::new(next));
    }

    /// Notes a proof, if `still_holds` says so in the moment in which it would count: another history may have begun since, whose
    /// offsets mean something else. Returns whether it counts.
    pub fn prove(
        &self,
        settled: ClusterSlots,
        proven: u64,
        still_holds: impl FnOnce() -> bool,
    ) -> bool {
        let _changing = self.change();
        let holds = still_holds();
        if holds {
            let now = self.owned.load();
            let next = Owned {
                settled,
                proven,
                ..(**now).clone()
            };
            self.owned.store(Arc::new(next));
        }
        holds
    }

    /// Forgets all proofs, because the data is about to be replaced by that of another history.
    pub fn forget_proofs(&self) {
        let _changing = self.change();
        let now = self.owned.load();
        let next = Owned {
            settled: ClusterSlots::default(),
            proven: 0,
            ..(**now).clone()
        };
        self.owned.store(Arc::new(next));
    }

    fn change(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One generation of a shard: which slots are served, and what has been removed from each slot.
#[derive(Debug)]
pub(super) struct Shard {
    ownership: Arc<Ownership>,
    /// For each slot, the offset of the last removal of one of its keys.
    removed: Box<[AtomicU64]>,
    /// The highest of these.
    last_removed: AtomicU64,
    /// For each slot, the number of its keys in all databases.
    keys: Box<[AtomicU32]>,
}

impl Shard {
    pub(super) fn new(ownership: Arc<Ownership>) -> Self {
        Self {
            ownership,
            removed: (0..CLUSTER_SLOTS).map(|_| AtomicU64::new(0)).collect(),
            last_removed: AtomicU64::new(0),
            keys: (0..CLUSTER_SLOTS).map(|_| AtomicU32::new(0)).collect(),
        }
    }

    pub(super) fn unserved(&self) -> Arc<ClusterSlots> {
        self.ownership.unserved()
    }

    /// Whether `key` is served.
    pub(super) fn serves(&self, key: &[u8]) -> bool {
        self.ownership.serves(cluster_slot(key))
    }

    /// Whether `key`, which was not found under the lock of its shard, is certain not to exist.
    #[cold]
    pub(super) fn lacks(&self, key: &[u8]) -> bool {
        let slot = cluster_slot(key);
        let removed = self.removed.get(usize::from(slot));
        let removed = removed.map_or(u64::MAX, |removed| removed.load(Ordering::Relaxed));
        let now = self.ownership.owned.load();
        now.served.contains(slot) && now.settled.contains(slot) && removed <= now.proven
    }

    /// Notes a new key. Call this, and the other two, under the lock of the key's shard.
    pub(super) fn note_inserted(&self, key: &[u8]) {
        if let Some(keys) = self.keys.get(usize::from(cluster_slot(key))) {
            keys.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Notes that a key was removed by what ends at `offset`.
    pub(super) fn note_removed(&self, key: &[u8], offset: u64) {
        let slot = usize::from(cluster_slot(key));
        if let (Some(removed), Some(keys)) = (self.removed.get(slot), self.keys.get(slot)) {
            removed.store(offset, Ordering::Relaxed);
            self.last_removed.store(offset, Ordering::Release);
            keys.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Notes that keys of any slot may have been removed by what ends at `offset`.
    pub(super) fn note_all_removed(&self, offset: u64) {
        self.last_removed.store(offset, Ordering::Release);
        for removed in &self.removed {
            removed.fetch_max(offset, Ordering::Relaxed);
        }
    }

    /// The offset of the last removal of any key.
    pub(super) fn last_removed(&self) -> u64 {
        self.last_removed.load(Ordering::Acquire)
    }

    /// The number of keys of a slot in all databases.
    pub(super) fn keys_in(&self, slot: u16) -> usize {
        let keys = self.keys.get(usize::from(slot));
        keys.map_or(0, |keys| keys.load(Ordering::Relaxed) as usize)
    }

    /// Whether there are keys in one of these slots.
    pub(super) fn has_keys_in(&self, slots: &ClusterSlots) -> bool {
        let with_keys = |slot: &u16| self.keys_in(*slot) > 0;
        (0..CLUSTER_SLOTS)
            .filter(with_keys)
            .any(|slot| slots.contains(slot))
    }
}

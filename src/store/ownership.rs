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

/// A slot that a shard imports key by key, and that is read there all the same: the shard that has the slot lacks the key, and
/// everything that had been moved by then is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Imported {
    /// The slot.
    pub slot: u16,
    /// The offset up to which the shard is known to have imported the slot, and moved none of it on.
    pub until: u64,
}

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

    /// The same for a key of a slot that is imported.
    #[cold]
    pub(super) fn lacks_imported(&self, imported: Imported) -> bool {
        let removed = self.removed.get(usize::from(imported.slot));
        removed.is_some_and(|removed| removed.load(Ordering::Relaxed) <= imported.until)
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

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use crate::store::{Hold, Keyspaces, Names, NewValue, Refusal, Share, View, WriteToken};

    fn shard() -> (Keyspaces, Arc<Ownership>) {
        let ownership = Arc::<Ownership>::default();
        let spaces = Keyspaces::new(2).owned_by(Some(&ownership));
        (spaces, ownership)
    }

    fn set(spaces: &Keyspaces, key: &[u8]) {
        let mut tx = spaces.write(0, [spaces.slot(0, key)]);
        tx.set(key, None, NewValue::text(b"x"));
    }

    fn remove(spaces: &Keyspaces, key: &[u8], offset: u64) {
        WriteToken::for_tests().announce(spaces, offset);
        let mut tx = spaces.write(0, [spaces.slot(0, key)]);
        tx.remove(key);
    }

    fn exists(spaces: &Keyspaces, key: &[u8]) -> Result<bool, Refusal> {
        let hold = spaces.view_key(0, key);
        hold.read(Names::Key(key), |view| Ok(view.value(key).is_some()))
    }

    fn count(spaces: &Keyspaces) -> usize {
        let count = |hold: &Hold<'_>| {
            hold.read(Names::Existence, |view: &View<'_>| {
                let walked = view.entries_at_any_time().filter(|entry| view.lists(entry));
                let walked = walked.count();
                assert_eq!(view.count_keys(), walked);
                Ok::<_, Refusal>(walked)
            })
        };
        count(&spaces.view_db(0)).unwrap()
    }

    #[test]
    fn only_served_slots_are_read() {
        let (spaces, ownership) = shard();
        set(&spaces, b"a");
        set(&spaces, b"b");
        assert_eq!(exists(&spaces, b"a"), Err(Refusal::Moving(Moving)));
        assert_eq!(count(&spaces), 0);
        let mut served = ClusterSlots::default();
        served.insert(cluster_slot(b"a"));
        ownership.serve(served);
        assert_eq!(exists(&spaces, b"a"), Ok(true));
        assert_eq!(exists(&spaces, b"b"), Err(Refusal::Moving(Moving)));
        assert_eq!(count(&spaces), 1);
        assert_eq!(spaces.keys_in_slot(cluster_slot(b"b")), 1);
        assert_eq!(spaces.shown_figures().first().unwrap().keys, 1);
        ownership.serve(ClusterSlots::all());
        assert_eq!(count(&spaces), 2);
    }

    #[test]
    fn a_missing_key_is_certain_once_its_removal_is_proven() {
        let (spaces, ownership) = shard();
        ownership.serve(ClusterSlots::all());
        set(&spaces, b"k");
        assert_eq!(exists(&spaces, b"none"), Err(Refusal::Moving(Moving)));
        assert!(ownership.prove(ClusterSlots::all(), 10, || true));
        assert_eq!(exists(&spaces, b"none"), Ok(false));
        remove(&spaces, b"k", 20);
        assert_eq!(exists(&spaces, b"k"), Err(Refusal::Moving(Moving)));
        assert!(!ownership.prove(ClusterSlots::all(), 20, || false));
        assert_eq!(exists(&spaces, b"k"), Err(Refusal::Moving(Moving)));
        ownership.prove(ClusterSlots::all(), 20, || true);
        assert_eq!(
            (exists(&spaces, b"k"), exists(&spaces, b"none")),
            (Ok(false), Ok(false))
        );
        ownership.forget_proofs();
        assert_eq!(exists(&spaces, b"k"), Err(Refusal::Moving(Moving)));
    }

    #[test]
    fn an_imported_slot_is_read_only_where_that_is_asked_for() {
        let (spaces, _ownership) = shard();
        set(&spaces, b"k");
        remove(&spaces, b"{k}gone", 0);
        let exists = |key: &[u8], until| {
            let hold = spaces.view_keys(0, [key]);
            let slot = cluster_slot(b"k");
            hold.set_imported(&[Imported { slot, until }]);
            let each = |visit: &mut dyn FnMut(&[u8])| visit(key);
            hold.read(Names::Keys(&each), |view| Ok(view.value(key).is_some()))
        };
        assert_eq!(
            (exists(b"k", 5), exists(b"{k}none", 5)),
            (Ok(true), Ok(false))
        );
        assert_eq!(exists(b"other", 5), Err(Refusal::Moving(Moving)));
        remove(&spaces, b"k", 6);
        assert_eq!(exists(b"k", 5), Err(Refusal::Moving(Moving)));
        assert_eq!(exists(b"k", 6), Ok(false));
    }

    #[test]
    fn what_a_flush_or_a_snapshot_lacks_is_not_certain_either() {
        let (spaces, ownership) = shard();
        ownership.serve(ClusterSlots::all());
        ownership.prove(ClusterSlots::all(), 30, || true);
        set(&spaces, b"k");
        WriteToken::for_tests().announce(&spaces, 40);
        drop(spaces.write(0, spaces.slots_of_db(0)).flush(0));
        assert_eq!(
            (exists(&spaces, b"k"), spaces.last_removed()),
            (Err(Refusal::Moving(Moving)), 40)
        );
        assert_eq!(spaces.keys_in_slot(cluster_slot(b"k")), 0);
        ownership.prove(ClusterSlots::all(), 40, || true);
        assert_eq!(exists(&spaces, b"k"), Ok(false));
        WriteToken::for_tests().begin_at(&spaces, 50);
        assert_eq!(exists(&spaces, b"other"), Err(Refusal::Moving(Moving)));
    }

    fn share<'a>(spaces: &'a Keyspaces, keys: &[&'static [u8]]) -> Share<'a, 'static> {
        Share {
            hold: spaces.view_keys(0, keys.iter().copied()),
            keys: keys.to_vec(),
            moving: Vec::new(),
        }
    }

    #[test]
    fn keys_of_a_half_moved_slot_are_read_where_they_are() {
        let ((one, of_one), (other, _)) = (shard(), shard());
        of_one.serve(ClusterSlots::all());
        set(&one, b"{k}stays");
        set(&other, b"{k}moved");
        set(&other, b"{k}gone");
        remove(&other, b"{k}gone", 7);
        let slot = cluster_slot(b"k");
        let all: [&[u8]; 3] = [b"{k}stays", b"{k}moved", b"{k}gone"];
        let read = |until| {
            let (mut from, mut to) = (share(&one, &all), share(&other, &all));
            (from.keys, to.keys) = (Vec::new(), Vec::new());
            to.moving = all.map(|key| (0, key)).to_vec();
            to.hold.set_imported(&[Imported { slot, until }]);
            let merged = Hold::merged(&mut [from, to], 0)?.unwrap();
            let each = |visit: &mut dyn FnMut(&[u8])| all.iter().for_each(|key| visit(key));
            merged.read(Names::Keys(&each), |view| {
                Ok::<_, Refusal>(all.map(|key| view.value(key).is_some()))
            })
        };
        assert_eq!(read(7), Ok([true, true, false]));
        assert_eq!(
            read(6),
            Err(Refusal::Moving(Moving)),
            "it may have moved on"
        );
        of_one.serve(ClusterSlots::default());
        assert_eq!(
            read(7),
            Err(Refusal::Moving(Moving)),
            "not this shard's any more"
        );
    }

    #[test]
    fn copies_of_several_shards_are_read_together() {
        let ((one, of_one), (other, of_other)) = (shard(), shard());
        for ownership in [&of_one, &of_other] {
            ownership.serve(ClusterSlots::all());
            ownership.prove(ClusterSlots::all(), 1, || true);
        }
        set(&one, b"a");
        set(&other, b"b");
        let merged = || {
            let (first, second): ([&[u8]; 2], [&[u8]; 1]) = ([b"a", b"none"], [b"b"]);
            let mut shares = [share(&one, &first), share(&other, &second)];
            let merged = Hold::merged(&mut shares, 0)?.unwrap();
            let all = [b"a".as_slice(), b"none", b"b"];
            let each = |visit: &mut dyn FnMut(&[u8])| all.iter().for_each(|key| visit(key));
            merged.read(Names::Keys(&each), |view| {
                Ok::<_, Refusal>(all.map(|key| view.value(key).is_some()))
            })
        };
        assert_eq!(merged(), Ok([true, false, true]));
        of_other.serve(ClusterSlots::default());
        assert_eq!(merged(), Err(Refusal::Moving(Moving)));
        of_other.serve(ClusterSlots::all());
        of_one.forget_proofs();
        assert_eq!(
            merged(),
            Err(Refusal::Moving(Moving)),
            "the key that is missing"
        );
    }
}

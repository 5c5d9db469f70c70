//! The ways into a generation for readers.

use std::sync::Arc;

use tokio::sync::Notify;

use super::db::shard_of;
use super::door::{EachKey, Hold};
use super::fetch::{Fetch, KeyHash, fetch_bucket, fetch_entry};
use super::group::Group;
use super::growing::Growing;
use super::keyspaces::{Keyspaces, all_slots};
use super::locks::{Slot, Slots, gather};
use super::view::View;
use super::waiters::Waiting;

impl Keyspaces {
    /// A reader's view of a single `key` in database `db`.
    #[must_use]
    #[inline]
    pub fn view_key<'a>(&'a self, db: usize, key: &'a [u8]) -> Hold<'a> {
        Hold(View::of_key(self, db, key))
    }

    /// Holds the shards of several single keys of database `db`, given by their hashes, and prefetches their entries side
    /// by side. Returns `None` if this would have to wait for the writer, or if the database does not exist; then view
    /// each key by itself.
    #[must_use]
    #[inline]
    pub fn group(&self, db: usize, hashes: impl Iterator<Item = KeyHash>) -> Option<Group<'_>> {
        Group::enter(self, db, hashes)
    }

    /// A reader's view of `keys` in database `db`, all at one moment.
    #[must_use]
    pub fn view_keys<'k>(&self, db: usize, keys: impl IntoIterator<Item = &'k [u8]>) -> Hold<'_> {
        self.view_each(db, |visit| keys.into_iter().for_each(visit))
    }

    /// Like [`view_keys`](Self::view_keys), but of all keys that `keys` passes to its argument.
    #[must_use]
    pub fn view_each<'k>(
        &self,
        db: usize,
        keys: impl FnOnce(&mut dyn FnMut(&'k [u8])),
    ) -> Hold<'_> {
        gather(
            |slots| keys(&mut |key| slots.push(self.slot(db, key))),
            |slots| Hold(View::of_slots(self, db, slots)),
        )
    }

    /// Like [`view_each`](Self::view_each), for keys that may be gone when `keys` returns.
    #[must_use]
    pub fn view_visited(&self, db: usize, keys: &EachKey<'_>) -> Hold<'_> {
        gather(
            |slots| keys(&mut |key| slots.push(self.slot(db, key))),
            |slots| Hold(View::of_slots(self, db, slots)),
        )
    }

    /// A reader's view of the whole of database `db`, at one moment.
    #[must_use]
    pub fn view_db(&self, db: usize) -> Hold<'_> {
        let mut slots = all_slots(db).collect();
        Hold(View::of_slots(self, db, &mut slots))
    }

    /// Returns views that hold the read locks of all `slots`, taken in slot order: one view for each database among them.
    /// While the caller holds them, it may take further views of the same slots: all show one moment.
    #[must_use]
    pub fn hold(&self, mut slots: Vec<Slot>) -> Vec<Hold<'_>> {
        slots.sort_unstable();
        let _debt = self.gate().pass(|slot| slots.binary_search(&slot).is_ok());
        slots
            .chunk_by(|one, other| one.db == other.db)
            .map(|group| {
                let db = group.first().map_or(0, |slot| slot.db);
                let db = usize::try_from(db).unwrap_or(usize::MAX);
                // Create the database now: otherwise its first key could appear between two reads of it.
                self.db_or_create(db);
                Hold(View::locking(self, db, &mut Slots::from_slice(group)))
            })
            .collect()
    }

    /// Holds the shards of `keys` of database `db`. More shards can be added later.
    #[must_use]
    pub fn growing<'k>(&self, db: usize, keys: impl Iterator<Item = &'k [u8]>) -> Growing<'_> {
        Growing::new(self, keys.map(|key| self.slot(db, key)).collect())
    }

    /// Like [`growing`](Self::growing), but with whole databases.
    #[must_use]
    pub fn growing_dbs(&self, dbs: impl Iterator<Item = usize> + Clone) -> Growing<'_> {
        let mut growing = Growing::new(self, dbs.clone().flat_map(all_slots).collect());
        growing.are_whole(dbs);
        growing
    }

    /// A reader's view that holds no lock: for reads that need no key, and for [`View::scan`], which locks as it walks.
    #[must_use]
    pub fn view_none(&self, db: usize) -> Hold<'_> {
        Hold(View::unlocked(self, db))
    }

    /// Runs `read` on a hold on database `db` that locks nothing, for counts and walks that reveal which keys exist. If
    /// taints changed in the meantime, runs it a second time, on a hold on the whole database: counts and taints
    /// become visible one after the other, so a result shows one moment only if no change of taints overlapped the read.
    ///
    /// # Errors
    /// The error of `read`.
    pub fn survey<R, E>(
        &self,
        db: usize,
        mut read: impl FnMut(&Hold<'_>) -> Result<R, E>,
    ) -> Result<R, E> {
        let before = self.taints().settled();
        let result = read(&self.view_none(db));
        if before.is_some() && before == self.taints().settled() {
            return result;
        }
        read(&self.view_db(db))
    }

    /// The hash of `key`.
    #[must_use]
    #[inline]
    pub fn hash_of(&self, key: &[u8]) -> KeyHash {
        KeyHash(self.hash(key))
    }

    /// Brings the entries of the keys with these hashes in database `db` closer to the processor. This is a hint: it
    /// changes nothing and waits for no lock. Pass only as many hashes as stay in the cache until they are used.
    pub fn fetch(&self, db: usize, hashes: impl Iterator<Item = KeyHash> + Clone) {
        for step in [Fetch::Bucket, Fetch::Entry] {
            for hash in hashes.clone() {
                self.fetch_step(db, hash, step);
            }
        }
    }

    /// One step of [`fetch`](Self::fetch) for one key, for a caller that has other work to do before the next step.
    #[inline]
    pub fn fetch_step(&self, db: usize, KeyHash(hash): KeyHash, step: Fetch) {
        let shard = self.db(db).and_then(|db| db.shard(shard_of(hash)));
        let Some(table) = shard.and_then(|shard| shard.try_read()) else {
            return;
        };
        match step {
            Fetch::Bucket => fetch_bucket(&table, hash),
            Fetch::Entry => fetch_entry(&table, hash),
        }
    }

    /// Starts to wait for `keys` of database `db`: `notify` is notified when one of them may have changed. Once this
    /// returns, a key that the caller reads cannot change unnoticed.
    #[must_use]
    pub fn wait_for(&self, db: usize, keys: &[Box<[u8]>], notify: &Arc<Notify>) -> Waiting<'_> {
        // Create the database now: one without locks could change between two reads of it.
        self.db_or_create(db);
        self.waiters().wait_for(db, keys, notify)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{NewValue, Slot};

    #[test]
    fn fetching_changes_nothing_whatever_is_there() {
        let spaces = Keyspaces::new(2);
        let keys: Vec<Vec<u8>> = (0..500u32).map(|key| key.to_le_bytes().to_vec()).collect();
        let fetch = |db| spaces.fetch(db, keys.iter().map(|key| spaces.hash_of(key)));
        fetch(0);
        assert!(spaces.db(0).is_none());
        for key in keys.iter().step_by(2) {
            let mut tx = spaces.write(0, [spaces.slot(0, key)]);
            tx.set(key, None, NewValue::text(key));
        }
        [0, 1, 7, usize::MAX].into_iter().for_each(fetch);
        assert_eq!(spaces.db(0).map(crate::store::Db::len), Some(250));
    }

    #[test]
    fn a_shard_that_is_locked_is_passed_over() {
        let spaces = Keyspaces::new(1);
        let slot: Slot = spaces.slot(0, b"k");
        let mut tx = spaces.write(0, [slot]);
        tx.set(b"k", None, NewValue::text(b"v"));
        spaces.fetch(0, std::iter::once(spaces.hash_of(b"k")));
        assert!(tx.exists(b"k"));
    }
}

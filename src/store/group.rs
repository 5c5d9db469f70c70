//! Single keys of several reads, held and [fetched](super::fetch) together.

use dashmap::RwLockReadGuard;
use smallvec::SmallVec;

use super::db::Table;
use super::fetch::{KeyHash, fetch_bucket, fetch_entry};
use super::gate::Inside;
use super::keyspaces::Keyspaces;
use super::locks::Slot;
use super::view::View;

/// As many keys are fetched side by side: more than a core can wait for at once, and few enough for its first cache.
pub const GROUP_MAX: usize = 32;

/// Single keys of one database whose shards are held together, so that all reads of them are of one moment.
pub struct Group<'a> {
    spaces: &'a Keyspaces,
    db: usize,
    held: SmallVec<[Held<'a>; GROUP_MAX]>,
    _inside: Inside,
}

struct Held<'a> {
    slot: Slot,
    hash: u64,
    table: RwLockReadGuard<'a, Table>,
}

impl<'a> Group<'a> {
    /// Holds the shards of all keys with these hashes, and fetches them. `None` where the writer holds one of them or waits for
    /// readers, or where there is no such database: nothing is waited for here, so the order of the locks does not matter.
    pub(super) fn enter(
        spaces: &'a Keyspaces,
        db: usize,
        hashes: impl Iterator<Item = KeyHash>,
    ) -> Option<Self> {
        if spaces.keeps_waiting() {
            return None;
        }
        let shards = spaces.db(db)?;
        let mut held = SmallVec::<[Held<'_>; GROUP_MAX]>::new();
        for KeyHash(hash) in hashes {
            let slot = spaces.slot_of_hash(db, hash);
            let table = shards.shard(slot.shard as usize)?.try_read()?;
            fetch_bucket(&table, hash);
            held.push(Held { slot, hash, table });
        }
        for one in &held {
            fetch_entry(&one.table, one.hash);
        }
        Some(Self {
            spaces,
            db,
            held,
            _inside: Inside::new(),
        })
    }

    /// The view of the key whose hash was given as number `index`. A key of another hash reads as absent.
    #[must_use]
    #[inline]
    pub fn view<'g>(&'g self, index: usize, key: &'g [u8]) -> View<'g> {
        match self.held.get(index) {
            Some(held) => View::lent(self.spaces, self.db, held.slot, &held.table, key, held.hash),
            None => View::unlocked(self.spaces, self.db),
        }
    }
}

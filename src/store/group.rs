//! Single keys of several reads, held and [prefetched](super::fetch) together.

use dashmap::RwLockReadGuard;
use smallvec::SmallVec;

use super::db::Table;
use super::door::Hold;
use super::fetch::{GROUP_MAX, KeyHash, fetch_bucket, fetch_entry};
use super::gate::Inside;
use super::keyspaces::Keyspaces;
use super::locks::Slot;
use super::view::View;

/// Single keys of one database whose shards are held together, so that all reads of them see one moment.
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
    /// Holds the shards of all keys with these hashes, and prefetches the keys' entries. Returns `None` if the writer
    /// holds one of the shards or waits for readers, or if the database does not exist. Nothing waits here, so the order
    /// of the locks does not matter.
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

    /// The view of the key whose hash was passed as number `index`. No other key may be read.
    #[must_use]
    #[inline]
    pub fn view<'g>(&'g self, index: usize, key: &'g [u8]) -> Hold<'g> {
        match self.held.get(index) {
            Some(held) => Hold(View::lent(
                self.spaces,
                self.db,
                held.slot,
                &held.table,
                key,
                held.hash,
            )),
            None => Hold(View::unlocked(self.spaces, self.db)),
        }
    }
}

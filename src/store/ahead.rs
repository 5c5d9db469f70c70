//! Fetching what several reads will look at before the first of them looks.
//!
//! A read of a large keyspace spends most of its time waiting for memory: for the place in its shard's table, then for the
//! entry. Those waits depend on each other within one key, but not between keys. So the keys of a pipeline, or of one command
//! with many, take both steps side by side: all places are asked for, then all entries.

use dashmap::RwLockReadGuard;
use smallvec::SmallVec;

use super::db::Table;
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
        hashes: impl Iterator<Item = u64>,
    ) -> Option<Self> {
        if spaces.keeps_waiting() {
            return None;
        }
        let shards = spaces.db(db)?;
        let mut held = SmallVec::<[Held<'_>; GROUP_MAX]>::new();
        for hash in hashes {
            let slot = spaces.slot_of_hash(db, hash);
            let table = shards.shard(slot.shard as usize)?.try_read()?;
            fetch_place(&table, hash);
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

/// Fetches both steps for keys in held tables, a few at a time.
pub(super) fn fetch<'t>(places: impl Iterator<Item = (&'t Table, u64)>) {
    let mut some: SmallVec<[(&Table, u64); GROUP_MAX]> = SmallVec::new();
    for (table, hash) in places.take(GROUP_MAX) {
        fetch_place(table, hash);
        some.push((table, hash));
    }
    for (table, hash) in some {
        fetch_entry(table, hash);
    }
}

/// Asks for the part of a table in which a key of that hash would be.
#[inline]
fn fetch_place(table: &Table, hash: u64) {
    /// Buckets that a lookup compares at once.
    const PROBED: usize = 16;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the low bits choose the bucket, as in the table"
    )]
    let first = hash as usize & (table.buckets() - 1);
    // The control bytes begin where the buckets, which lie before them in falling order, end.
    let end = table.data_end().as_ptr();
    prefetch(end.cast::<u8>().wrapping_add(first));
    prefetch(end.wrapping_sub(first + 1));
    prefetch(end.wrapping_sub(first + PROBED));
}

/// Asks for the entries which that hash may mean.
#[inline]
fn fetch_entry(table: &Table, hash: u64) {
    // SAFETY: the table is borrowed for as long as the iterator lives, and its buckets are read under that borrow alone.
    unsafe {
        for bucket in table.iter_hash(hash) {
            bucket.as_ref().0.fetch();
        }
    }
}

/// Asks the processor for a line of memory. Any address will do: nothing is read.
#[inline]
pub(super) fn prefetch<T>(address: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint, which never faults, of an instruction that every such processor has.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

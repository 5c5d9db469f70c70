//! One database: a DashMap used through its shards.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use ahash::RandomState;
use dashmap::{DashMap, RwLock, SharedValue};
use hashbrown_raw::raw::RawTable;

use super::entry::Entry;
use super::kinds::{Counts, Kind, KindFigures, Weight};

/// Shards of a database. There are many, so that readers stall only briefly while one grows, and lock collisions are
/// rare.
pub(super) const SHARDS: usize = 1024;

/// The shard of a key whose hash is `hash`.
///
/// Shards get unequal shares of the keys: the last shard gets twice as many as the first. A table doubles when it is
/// full. If all shards were the same size, they would all double at once, and then all be half empty until they filled up
/// again. With unequal shares, some tables have just doubled and others have not, whatever the number of keys.
#[inline]
pub(super) fn shard_of(hash: u64) -> usize {
    // Skip the seven highest bits and the lowest ones: the tables use them.
    shard_at((hash << 7) >> 32)
}

/// The shard for `place`, a point below 2³² on the line of all hashes.
#[inline]
fn shard_at(place: u64) -> usize {
    // x + x(1 - x)/3, where 2³² is 1. This is close to log2(1 + x), which makes the shares grow evenly.
    let bent = (place * ((1 << 32) - place)) >> 32;
    let shard = (place + bent / 3) >> (u32::BITS - SHARDS.trailing_zeros());
    usize::try_from(shard).unwrap_or(0)
}

/// How many of [`SHARES`] evenly spread keys each shard gets.
pub(super) fn shares() -> &'static [usize; SHARDS] {
    static COUNTED: OnceLock<[usize; SHARDS]> = OnceLock::new();
    COUNTED.get_or_init(|| {
        let mut shares = [0; SHARDS];
        for place in (0..1 << 32).step_by((1 << 32) / SHARES) {
            if let Some(share) = shares.get_mut(shard_at(place)) {
                *share += 1;
            }
        }
        shares
    })
}

/// The number of keys that [`shares`] spreads: enough to get each share right to a few hundredths.
pub(super) const SHARES: usize = 64 * SHARDS;

/// One shard's table. The entry is its own key: eight bytes per slot.
pub(super) type Table = RawTable<(Entry, SharedValue<()>)>;

/// Bytes that a table uses per slot: the entry and one control byte.
const SLOT_BYTES: usize = size_of::<Entry>() + 1;

/// A database.
#[derive(Debug)]
pub struct Db {
    map: DashMap<Entry, (), RandomState>,
    /// Each shard's count of layout changes. Bucket positions of different epochs cannot be compared.
    epochs: Box<[AtomicU32]>,
    keys: AtomicUsize,
    expires: AtomicUsize,
    timed_hashes: AtomicUsize,
    heap_bytes: AtomicUsize,
    /// Bytes of `heap_bytes` that the sweeper has freed. Kept apart, so that each figure has a single writer.
    reclaimed_bytes: AtomicUsize,
    /// The keys and bytes of each kind, but for what the sweeper has changed.
    kinds: Counts,
    /// What the sweeper has taken from each kind.
    swept: Counts,
}

/// Changes to a database's figures that are not yet visible.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Delta {
    pub(super) keys: isize,
    pub(super) expires: isize,
    /// Hashes with expiring fields.
    pub(super) timed_hashes: isize,
    pub(super) heap_bytes: isize,
}

impl Delta {
    pub(super) const fn add(&mut self, other: Self) {
        self.keys += other.keys;
        self.expires += other.expires;
        self.timed_hashes += other.timed_hashes;
        self.heap_bytes += other.heap_bytes;
    }

    pub(super) const fn subtract(&mut self, other: Self) {
        self.keys -= other.keys;
        self.expires -= other.expires;
        self.timed_hashes -= other.timed_hashes;
        self.heap_bytes -= other.heap_bytes;
    }
}

impl Db {
    /// An empty database whose keys hash with `hasher` and whose epochs start at `epoch`.
    pub(super) fn new(hasher: RandomState, epoch: u32) -> Self {
        Self {
            map: DashMap::with_capacity_and_hasher_and_shard_amount(0, hasher, SHARDS),
            epochs: (0..SHARDS).map(|_| AtomicU32::new(epoch)).collect(),
            keys: AtomicUsize::new(0),
            expires: AtomicUsize::new(0),
            timed_hashes: AtomicUsize::new(0),
            heap_bytes: AtomicUsize::new(0),
            reclaimed_bytes: AtomicUsize::new(0),
            kinds: Counts::default(),
            swept: Counts::default(),
        }
    }

    /// Number of keys, expired ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.load(Ordering::Acquire)
    }

    /// Whether the database has no keys.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of keys with an expiry.
    #[must_use]
    pub fn expires(&self) -> usize {
        self.expires.load(Ordering::Acquire)
    }

    /// Number of hashes with expiring fields, as INFO counts them.
    #[must_use]
    pub fn timed_hashes(&self) -> usize {
        self.timed_hashes.load(Ordering::Acquire)
    }

    /// Bytes held by entries and their values.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let reclaimed = self.reclaimed_bytes.load(Ordering::Acquire);
        self.heap_bytes
            .load(Ordering::Acquire)
            .saturating_sub(reclaimed)
    }

    /// Counts a key whose value the sweeper has discarded. Only the sweeper calls this, while it holds the lock of the key's
    /// shard.
    pub(super) fn note_reclaimed(&self, before: Weight, after: Weight) {
        let (was, is) = (before.delta.heap_bytes, after.delta.heap_bytes);
        let freed = was.saturating_sub(is).unsigned_abs();
        self.reclaimed_bytes.fetch_add(freed, Ordering::AcqRel);
        self.swept.add(before.kind, 1, was);
        self.swept.add(after.kind, -1, -is);
    }

    /// Bytes held: entries, values and tables.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.heap_bytes() + self.table_bytes()
    }

    /// Bytes of the tables, without the entries.
    #[must_use]
    pub fn table_bytes(&self) -> usize {
        let shards = self.map.shards().iter();
        let slots: usize = shards.map(|shard| shard.read().buckets()).sum();
        slots * SLOT_BYTES
    }

    /// The keys and bytes of each kind, in the order of [`Kind::ALL`].
    #[must_use]
    pub fn kinds(&self) -> [KindFigures; Kind::COUNT] {
        Kind::ALL.map(|kind| {
            let (keys, bytes) = self.net(kind);
            KindFigures {
                kind: kind.word(),
                // The sweeper may be between two of its counts.
                keys: usize::try_from(keys).unwrap_or(0),
                bytes: usize::try_from(bytes).unwrap_or(0),
            }
        })
    }

    /// The keys and bytes of one kind.
    fn net(&self, kind: Kind) -> (isize, isize) {
        let ((keys, bytes), (swept_keys, swept_bytes)) = (self.kinds.of(kind), self.swept.of(kind));
        let left = |all: usize, gone: usize| all.wrapping_sub(gone).cast_signed();
        (left(keys, swept_keys), left(bytes, swept_bytes))
    }

    /// All shards, in order.
    pub(super) fn shards(&self) -> impl Iterator<Item = &RwLock<Table>> {
        self.map.shards().iter().map(|padded| &**padded)
    }

    #[inline]
    pub(super) fn shard(&self, shard: usize) -> Option<&RwLock<Table>> {
        self.map.shards().get(shard).map(|padded| &**padded)
    }

    #[inline]
    pub(super) fn hash(&self, key: &[u8]) -> u64 {
        hash_key(self.map.hasher(), key)
    }

    pub(super) fn hasher(&self) -> &RandomState {
        self.map.hasher()
    }

    pub(super) fn epoch(&self, shard: usize) -> u32 {
        let epoch = self.epochs.get(shard);
        debug_assert!(epoch.is_some(), "there is no shard {shard}");
        epoch.map_or(0, |epoch| epoch.load(Ordering::Relaxed))
    }

    /// Records that `shard`'s entries may have moved. The caller holds the shard's write lock.
    pub(super) fn bump_epoch(&self, shard: usize) {
        let Some(epoch) = self.epochs.get(shard) else {
            unreachable!("there is no shard {shard}")
        };
        epoch.store(
            epoch.load(Ordering::Relaxed).wrapping_add(1),
            Ordering::Relaxed,
        );
    }

    /// Makes changed figures visible: those of keys of one kind. Only the writer calls this.
    pub(super) fn publish(&self, kind: Kind, delta: Delta) {
        self.kinds.add(kind, delta.keys, delta.heap_bytes);
        for (figure, change) in [
            (&self.keys, delta.keys),
            (&self.expires, delta.expires),
            (&self.timed_hashes, delta.timed_hashes),
            (&self.heap_bytes, delta.heap_bytes),
        ] {
            if change != 0 {
                figure.store(
                    figure.load(Ordering::Relaxed).wrapping_add_signed(change),
                    Ordering::Release,
                );
            }
        }
    }

    /// Whether the figures equal a count of all entries. Slow, and meaningless while the writer works.
    #[doc(hidden)]
    #[must_use]
    pub fn figures_hold(&self) -> bool {
        let (mut all, mut kinds) = (Delta::default(), [Delta::default(); Kind::COUNT]);
        for shard in self.map.shards() {
            super::walk::entries(&shard.read()).for_each(|entry| {
                let weight = Weight::of(entry);
                all.add(weight.delta);
                if let Some(kind) = kinds.get_mut(weight.kind as usize) {
                    kind.add(weight.delta);
                }
            });
        }
        let shown = Delta {
            keys: self.len().cast_signed(),
            expires: self.expires().cast_signed(),
            timed_hashes: self.timed_hashes().cast_signed(),
            heap_bytes: self.heap_bytes().cast_signed(),
        };
        let mut pairs = kinds.iter().zip(Kind::ALL);
        all == shown
            && pairs.all(|(counted, kind)| (counted.keys, counted.heap_bytes) == self.net(kind))
    }

    /// The figures as changes from zero, one for each kind. The first has the expiries of all.
    pub(super) fn figures(&self) -> [Delta; Kind::COUNT] {
        let mut figures = Kind::ALL.map(|kind| {
            let (keys, heap_bytes) = self.net(kind);
            Delta {
                keys,
                heap_bytes,
                ..Delta::default()
            }
        });
        if let Some(first) = figures.first_mut() {
            first.expires = self.expires().cast_signed();
            first.timed_hashes = self.timed_hashes().cast_signed();
        }
        figures
    }
}

/// The hash of a key under `hasher`.
#[inline]
pub(super) fn hash_key(hasher: &RandomState, key: &[u8]) -> u64 {
    use std::hash::{BuildHasher, Hasher};
    let mut state = hasher.build_hasher();
    state.write(key);
    state.finish()
}

/// Finds `key` in a table.
#[inline]
pub(super) fn find<'t>(table: &'t Table, hash: u64, key: &[u8]) -> Option<&'t Entry> {
    table
        .get(hash, |(entry, _)| entry.key() == key)
        .map(|(entry, _)| entry)
}

/// Finds `key` in a table, for changing.
#[inline]
pub(super) fn find_mut<'t>(table: &'t mut Table, hash: u64, key: &[u8]) -> Option<&'t mut Entry> {
    table
        .get_mut(hash, |(entry, _)| entry.key() == key)
        .map(|(entry, _)| entry)
}

/// Inserts an entry unless the table already has one with its key; then returns the rejected entry. Entries may move.
pub(super) fn insert_new(
    table: &mut Table,
    hash: u64,
    entry: Entry,
    hasher: &RandomState,
) -> Result<(), Entry> {
    let slot = table.find_or_find_insert_slot(
        hash,
        |(other, _)| other.key() == entry.key(),
        |(entry, _)| hash_key(hasher, entry.key()),
    );
    let Err(slot) = slot else { return Err(entry) };
    // SAFETY: the slot was found for this hash just above, and the table has not changed since.
    unsafe { table.insert_in_slot(hash, slot, (entry, SharedValue::new(()))) };
    Ok(())
}

/// Inserts an entry whose key is absent. Returns whether entries may have moved.
pub(super) fn insert(table: &mut Table, hash: u64, entry: Entry, hasher: &RandomState) -> bool {
    let may_move = table.capacity() == table.len();
    table.insert(hash, (entry, SharedValue::new(())), |(entry, _)| {
        hash_key(hasher, entry.key())
    });
    may_move
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn every_shard_gets_its_part_and_the_last_twice_as_many_as_the_first() {
        let shares = shares();
        assert_eq!(shares.iter().sum::<usize>(), SHARES);
        let mean = SHARES / SHARDS;
        assert!(
            shares
                .iter()
                .all(|share| (mean * 3 / 4 - 1..=mean * 3 / 2 + 1).contains(share))
        );
        assert!(shares.is_sorted_by(|one, next| *one <= next + 1));
        assert_eq!((shard_at(0), shard_at((1 << 32) - 1)), (0, SHARDS - 1));
    }

    #[test]
    fn tables_are_as_full_however_many_keys_there_are() {
        for keys in [100_000, 130_000, 160_000, 200_000] {
            let buckets: usize = (0..SHARDS)
                .map(|shard| (keys * shares()[shard] / SHARES * 8 / 7).next_power_of_two())
                .sum();
            assert!(
                (50..75).contains(&(100 * keys / buckets)),
                "{keys}: {buckets}"
            );
        }
    }
}

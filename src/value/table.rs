//! The hash table inside large sets and hashes: counted bytes, and bucket positions that serve as scan cursors.
//!
//! A cursor is a place: bucket and layout epoch. Inserting and removing leave other rows where they are; growth, clean-up
//! and shrinking move them, and then the epoch changes and a cursor of the old one starts over. So a row that is there
//! from the first call to the last is given at least once.

use std::sync::OnceLock;

use ahash::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table;

/// What a table holds: something found by its key.
pub(super) trait Row {
    /// What it is found by.
    fn key(&self) -> &[u8];

    /// Bytes behind the row, itself not counted.
    fn heap_bytes(&self) -> usize;
}

/// A hash table of rows with distinct keys.
#[derive(Debug, Clone)]
pub(super) struct Table<T> {
    rows: HashTable<T>,
    /// Changes whenever rows may have moved.
    epoch: u32,
    /// Bytes behind all rows.
    row_bytes: usize,
}

impl<T: Row> Table<T> {
    /// An empty table with room for `capacity` rows.
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self {
            rows: HashTable::with_capacity(capacity),
            // A random start: a cursor of a deleted and recreated key is not taken for a valid place.
            epoch: fastrand::u32(..),
            row_bytes: 0,
        }
    }

    /// Number of rows.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Bytes on the heap: rows, what is behind them, and the table.
    pub(super) fn heap_bytes(&self) -> usize {
        self.row_bytes + self.rows.allocation_size()
    }

    /// The row of `key`.
    pub(super) fn get(&self, key: &[u8]) -> Option<&T> {
        self.rows.find(hash(key), |row| row.key() == key)
    }

    /// Changes the row of `key`, whose key stays as it is. Gives whether there is one.
    pub(super) fn change(&mut self, key: &[u8], change: impl FnOnce(&mut T)) -> bool {
        let Some(row) = self.rows.find_mut(hash(key), |row| row.key() == key) else {
            return false;
        };
        let before = row.heap_bytes();
        change(row);
        self.row_bytes = self.row_bytes - before + row.heap_bytes();
        true
    }

    /// Adds a row. Gives false, and drops it, when its key is there already.
    pub(super) fn insert(&mut self, row: T) -> bool {
        let hash = hash(row.key());
        let found = self.rows.find(hash, |other| other.key() == row.key());
        if found.is_some() {
            return false;
        }
        if self.rows.len() == self.rows.capacity() {
            self.bump_epoch();
        }
        self.row_bytes += row.heap_bytes();
        self.rows.insert_unique(hash, row, rehash);
        true
    }

    /// Takes a row out.
    pub(super) fn remove(&mut self, key: &[u8]) -> Option<T> {
        let found = self.rows.find_entry(hash(key), |row| row.key() == key);
        let (row, _) = found.ok()?.remove();
        self.row_bytes -= row.heap_bytes();
        if self.rows.len() < self.rows.capacity() / SPARSE && self.rows.capacity() > SMALL {
            self.bump_epoch();
            self.rows.shrink_to(self.rows.len() * 2, rehash);
        }
        Some(row)
    }

    /// All rows.
    pub(super) fn iter(&self) -> hash_table::Iter<'_, T> {
        self.rows.iter()
    }

    /// Visits about `count` rows from `cursor` (0 to start) on; gives the cursor to go on with, 0 at the end.
    pub(super) fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(&T)) -> u64 {
        let looks_max = count.saturating_mul(LOOKS_PER_ROW);
        let buckets = self.first_bucket(cursor)..self.rows.num_buckets();
        let mut found = 0;
        for (looked, bucket) in buckets.enumerate() {
            if found >= count || looked >= looks_max {
                return self.cursor(bucket);
            }
            if let Some(row) = self.rows.get_bucket(bucket) {
                found += 1;
                visit(row);
            }
        }
        0
    }

    /// A row at random, each as likely as any other.
    pub(super) fn random(&self) -> Option<&T> {
        self.rows.get_bucket(self.random_bucket()?)
    }

    /// `count` different rows at random. For `count` well below the number of rows.
    pub(super) fn sample(&self, count: usize) -> Vec<&T> {
        let mut buckets = std::collections::HashSet::new();
        while buckets.len() < count.min(self.len() / 2) {
            let Some(bucket) = self.random_bucket() else {
                break;
            };
            buckets.insert(bucket);
        }
        let row = |bucket| self.rows.get_bucket(bucket);
        buckets.into_iter().filter_map(row).collect()
    }

    /// Guesses until it hits: a table is never sparser than one row in sixteen buckets or so.
    fn random_bucket(&self) -> Option<usize> {
        if self.rows.is_empty() {
            return None;
        }
        loop {
            let bucket = fastrand::usize(..self.rows.num_buckets());
            if self.rows.get_bucket(bucket).is_some() {
                return Some(bucket);
            }
        }
    }

    fn bump_epoch(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
    }

    /// Never 0: a walk that is not at its end has passed a bucket.
    fn cursor(&self, bucket: usize) -> u64 {
        u64::from(self.epoch & EPOCH_MASK) << BUCKET_BITS | bucket as u64
    }

    fn first_bucket(&self, cursor: u64) -> usize {
        if cursor >> BUCKET_BITS != u64::from(self.epoch & EPOCH_MASK) {
            return 0;
        }
        usize::try_from(cursor & ((1 << BUCKET_BITS) - 1)).unwrap_or(0)
    }
}

/// Hashes with one random seed for the whole process, against members chosen to collide.
fn hash(key: &[u8]) -> u64 {
    static SEED: OnceLock<RandomState> = OnceLock::new();
    SEED.get_or_init(RandomState::new).hash_one(key)
}

fn rehash<T: Row>(row: &T) -> u64 {
    hash(row.key())
}

/// Buckets looked at for each row wanted, before a call returns with fewer. Source: redis 7.0 db.c, scanGenericCommand.
const LOOKS_PER_ROW: usize = 10;
/// A table with one row in so many is shrunk.
const SPARSE: usize = 8;
/// A table of so many rows is not worth shrinking.
const SMALL: usize = 32;
/// A cursor's low bits; with the epoch's 31 it stays a positive `i64`, which some clients need.
const BUCKET_BITS: u32 = 32;
const EPOCH_MASK: u32 = u32::MAX >> 1;

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    impl Row for u32 {
        fn key(&self) -> &[u8] {
            KEYS.get_or_init(|| (0..20_000).map(|n| n.to_string().into_bytes()).collect())
                .get(*self as usize)
                .unwrap()
        }

        fn heap_bytes(&self) -> usize {
            1
        }
    }

    static KEYS: OnceLock<Vec<Vec<u8>>> = OnceLock::new();

    fn filled(rows: std::ops::Range<u32>) -> Table<u32> {
        let mut table = Table::with_capacity(0);
        rows.for_each(|row| assert!(table.insert(row)));
        table
    }

    /// Walks a table of `rows` rows, of which those below 100 stay, while others are added or removed after each call, in a
    /// burst of up to `burst`. Gives how many of those that stay were missed.
    fn missed(rows: u32, burst: usize, grows: bool, seed: u64) -> usize {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut table = filled(0..rows);
        let mut seen = BTreeSet::new();
        let (mut cursor, mut next) = (0, rows);
        loop {
            cursor = table.scan(cursor, 20, |row| {
                seen.insert(*row);
            });
            if cursor == 0 {
                return (0..100).filter(|row| !seen.contains(row)).count();
            }
            for _ in 0..random.usize(..burst) {
                if grows && next < 20_000 {
                    table.insert(next);
                    next += 1;
                } else {
                    table.remove(random.u32(100..next).key());
                }
            }
        }
    }

    #[test]
    fn a_scan_gives_every_row_that_stays_while_the_table_grows_or_shrinks() {
        for seed in 0..50 {
            assert_eq!(missed(200, 100, true, seed), 0, "growing, seed {seed}");
            assert_eq!(
                missed(6_000, 1_000, false, seed),
                0,
                "shrinking, seed {seed}"
            );
        }
    }

    #[test]
    fn a_cursor_from_before_growth_starts_over() {
        let mut table = filled(0..200);
        let cursor = table.scan(0, 100, |_| {});
        (200..2_000).for_each(|row| assert!(table.insert(row)));
        let mut seen = BTreeSet::new();
        table.scan(cursor, 5_000, |row| {
            seen.insert(*row);
        });
        assert!(seen.into_iter().eq(0..2_000));
    }

    #[test]
    fn a_scan_without_changes_gives_every_row_once() {
        let table = filled(0..3_000);
        let (mut cursor, mut seen) = (0, Vec::new());
        loop {
            cursor = table.scan(cursor, 7, |row| seen.push(*row));
            if cursor == 0 {
                break;
            }
        }
        seen.sort_unstable();
        assert!(seen.iter().copied().eq(0..3_000));
    }

    #[test]
    fn refuses_a_second_row_of_the_same_key() {
        let mut table = filled(0..10);
        assert!(!table.insert(3));
        assert_eq!((table.len(), table.row_bytes), (10, 10));
    }

    #[test]
    fn gives_memory_back_when_most_rows_are_gone() {
        let mut table = filled(0..10_000);
        let full = table.heap_bytes();
        (10..10_000u32).for_each(|row| assert!(table.remove(row.key()).is_some()));
        assert!(table.heap_bytes() < full / 50, "{}", table.heap_bytes());
        assert!((0..10u32).all(|row| table.get(row.key()).is_some()));
    }

    #[test]
    fn samples_are_different_rows_and_every_row_has_its_turn() {
        let table = filled(0..100);
        let mut seen = BTreeSet::new();
        for _ in 0..200 {
            let sample: BTreeSet<u32> = table.sample(20).into_iter().copied().collect();
            assert_eq!(sample.len(), 20);
            seen.extend(sample);
            seen.extend(table.random().copied());
        }
        assert_eq!(seen.len(), 100);
    }
}

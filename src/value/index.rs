//! Finds records by the hash of their keys. Bucket positions serve as scan cursors.
//!
//! A cursor is a place: a bucket and the epoch of the layout. Inserting and removing leave other rows in place. Growing,
//! cleaning up and shrinking move rows; they change the epoch, and a cursor of the old epoch starts over. So a row that exists
//! from the first call to the last is returned at least once.

use std::sync::OnceLock;

use ahash::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::place::{NUMBER_BITS, Places, first_epoch};
use crate::rdb::records::{Handle, Records};

/// A hash table of record handles. The caller owns the records, and must pass the same ones every time.
#[derive(Debug, Clone)]
pub(super) struct Index {
    rows: Rows,
    /// Changes whenever rows may have moved.
    epoch: u32,
}

#[derive(Debug, Clone)]
enum Rows {
    /// Positions in the first chunk.
    Near(HashTable<u16>),
    Far(HashTable<[u8; 5]>),
}

/// A handle in the form that a row stores.
trait Row: Copy + PartialEq {
    fn new(handle: Handle) -> Self;
    fn handle(self) -> Handle;
}

impl Row for u16 {
    fn new(handle: Handle) -> Self {
        handle.at()
    }

    fn handle(self) -> Handle {
        Handle::near(self)
    }
}

impl Row for [u8; 5] {
    fn new(handle: Handle) -> Self {
        handle.pack()
    }

    fn handle(self) -> Handle {
        Handle::unpack(self)
    }
}

/// Evaluates the same expression for either kind of rows.
macro_rules! either {
    ($rows:expr, $table:ident => $result:expr) => {
        match $rows {
            Rows::Near($table) => $result,
            Rows::Far($table) => $result,
        }
    };
}

impl Index {
    /// Builds an index of all records. Returns `None` if there is a duplicate key.
    pub(super) fn of(records: &Records) -> Option<Self> {
        Some(Self {
            rows: if records.are_near() {
                Rows::Near(rows(records)?)
            } else {
                Rows::Far(rows(records)?)
            },
            // Differs from the epoch of any other table, so that a cursor of a key that was overwritten is not taken for a
            // valid place.
            epoch: first_epoch(),
        })
    }

    /// The number of bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        either!(&self.rows, table => table.allocation_size())
    }

    fn len(&self) -> usize {
        either!(&self.rows, table => table.len())
    }

    fn capacity(&self) -> usize {
        either!(&self.rows, table => table.capacity())
    }

    fn buckets(&self) -> usize {
        either!(&self.rows, table => table.num_buckets())
    }

    #[inline]
    fn at(&self, bucket: usize) -> Option<Handle> {
        either!(&self.rows, table => table.get_bucket(bucket).map(|row| row.handle()))
    }

    /// Returns the handle of the record of `key`.
    #[inline]
    pub(super) fn find(&self, records: &Records, key: &[u8]) -> Option<Handle> {
        either!(&self.rows, table => {
            let found = table.find(hash(key), |row| records.key(row.handle()) == key);
            found.map(|row| row.handle())
        })
    }

    /// Adds a record. Its key must not have a row yet.
    pub(super) fn insert(&mut self, records: &Records, key: &[u8], handle: Handle) {
        self.admit(records, handle);
        if self.len() == self.capacity() {
            self.bump_epoch();
        }
        either!(&mut self.rows, table => {
            table.insert_unique(hash(key), Row::new(handle), |row| rehash(records, *row));
        });
    }

    /// Makes sure that rows can store this handle.
    fn admit(&mut self, records: &Records, handle: Handle) {
        let Rows::Near(near) = &self.rows else {
            return;
        };
        if handle.chunk() == 0 {
            return;
        }
        let mut far = HashTable::with_capacity(near.len() + 1);
        for row in near {
            let row = <[u8; 5]>::new(row.handle());
            far.insert_unique(rehash(records, row), row, |row| rehash(records, *row));
        }
        self.rows = Rows::Far(far);
        self.bump_epoch();
    }

    /// Updates the row of `key` after its record has moved.
    pub(super) fn replace(&mut self, records: &Records, key: &[u8], old: Handle, new: Handle) {
        self.admit(records, new);
        either!(&mut self.rows, table => {
            match table.find_mut(hash(key), |row| row.handle() == old) {
                Some(row) => *row = Row::new(new),
                // A record without a row would be in walks, but not be found.
                None => unreachable!("no row for the record at {old:?}"),
            }
        });
    }

    /// Removes the row of `key`.
    pub(super) fn remove(&mut self, records: &Records, key: &[u8]) -> Option<Handle> {
        let handle = either!(&mut self.rows, table => {
            let found = table.find_entry(hash(key), |row| records.key(row.handle()) == key);
            found.ok()?.remove().0.handle()
        });
        if self.len() < self.capacity() / SPARSE && self.capacity() > SMALL {
            self.bump_epoch();
            let room = self.len() * 2;
            either!(&mut self.rows, table => table.shrink_to(room, |row| rehash(records, *row)));
        }
        Some(handle)
    }

    /// Visits about `count` rows from `cursor` (0 to start). Returns the next cursor, or 0 at the end.
    pub(super) fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(Handle)) -> u64 {
        let looks_max = count.saturating_mul(LOOKS_PER_ROW);
        let buckets = self.first_bucket(cursor)..self.buckets();
        let mut found = 0;
        for (looked, bucket) in buckets.enumerate() {
            if found >= count || looked >= looks_max {
                // If the place has no number, the walk continues to the end.
                if let Some(cursor) = self.cursor(bucket) {
                    return cursor;
                }
            }
            if let Some(handle) = self.at(bucket) {
                found += 1;
                visit(handle);
            }
        }
        0
    }

    /// Returns a random row. All rows are equally likely.
    pub(super) fn random(&self) -> Option<Handle> {
        self.at(self.random_bucket()?)
    }

    /// Returns `count` different random rows. `count` must be well below the number of rows.
    pub(super) fn sample(&self, count: usize) -> Vec<Handle> {
        let mut buckets = std::collections::HashSet::new();
        while buckets.len() < count.min(self.len() / 2) {
            let Some(bucket) = self.random_bucket() else {
                break;
            };
            buckets.insert(bucket);
        }
        let handles = buckets.into_iter().filter_map(|bucket| self.at(bucket));
        handles.collect()
    }

    /// Guesses until it hits a row. A table always has at least one row in about sixteen buckets.
    fn random_bucket(&self) -> Option<usize> {
        if self.len() == 0 {
            return None;
        }
        loop {
            let bucket = fastrand::usize(..self.buckets());
            if self.at(bucket).is_some() {
                return Some(bucket);
            }
        }
    }

    fn bump_epoch(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
    }

    /// Returns a cursor, which is never 0, because a walk that is not at its end has passed a bucket.
    fn cursor(&self, bucket: usize) -> Option<u64> {
        PLACES.number(self.buckets(), self.epoch.into(), bucket)
    }

    fn first_bucket(&self, cursor: u64) -> usize {
        PLACES.bucket(cursor, self.buckets(), self.epoch.into())
    }
}

/// Builds the rows of all records. Returns `None` if there is a duplicate key.
fn rows<R: Row>(records: &Records) -> Option<HashTable<R>> {
    let mut table = HashTable::<R>::with_capacity(records.len());
    for (handle, record) in records.entries() {
        let entry = table.entry(
            hash(record.key),
            |row| records.key(row.handle()) == record.key,
            |row| rehash(records, *row),
        );
        match entry {
            Entry::Occupied(_) => return None,
            Entry::Vacant(place) => place.insert(R::new(handle)),
        };
    }
    Some(table)
}

fn rehash<R: Row>(records: &Records, row: R) -> u64 {
    hash(records.key(row.handle()))
}

/// Hashes with a random seed for the whole process, which protects against members chosen to collide.
#[inline]
fn hash(key: &[u8]) -> u64 {
    static SEED: OnceLock<RandomState> = OnceLock::new();
    SEED.get_or_init(RandomState::new).hash_one(key)
}

/// How many buckets are checked per wanted row before a call returns fewer. Source: redis 7.0 db.c, scanGenericCommand.
const LOOKS_PER_ROW: usize = 10;
/// An index shrinks when it has fewer than one row per this many.
const SPARSE: usize = 8;
/// An index with room for this many rows is not worth shrinking.
const SMALL: usize = 32;
/// How cursors are numbered. Even the largest tables have 17 bits left for the epoch: more growths and clean-ups than happen
/// during a walk.
const PLACES: Places = Places::new(NUMBER_BITS, [14, 22, 28, 34]);

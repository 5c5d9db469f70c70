//! The table inside large sets, hashes and sorted sets: records, with an index once there are more than a few.

use super::index::Index;
use crate::rdb::records::{Handle, Iter, Record, Records, Shape};

/// Up to this many records are searched one by one, without an index.
const WALKED_MAX: usize = 24;

/// Records with distinct keys.
#[derive(Debug, Clone)]
pub(super) struct Table {
    records: Records,
    /// `None` as long as there have been few records.
    index: Option<Index>,
}

impl Table {
    /// An empty table.
    pub(super) fn new(shape: Shape) -> Self {
        Self {
            records: Records::new(shape),
            index: None,
        }
    }

    /// Builds a table of these records. Returns `None` if there is a duplicate key.
    pub(super) fn from_records(records: Records) -> Option<Self> {
        if records.len() > WALKED_MAX {
            let index = Some(Index::of(&records)?);
            return Some(Self { records, index });
        }
        (!repeats(&records)).then_some(Self {
            records,
            index: None,
        })
    }

    /// The number of records.
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// The number of bytes on the heap, without this struct itself.
    pub(super) fn heap_bytes(&self) -> usize {
        self.records.heap_bytes() + self.index.as_ref().map_or(0, Index::heap_bytes)
    }

    /// Returns the record of `key`.
    pub(super) fn get(&self, key: &[u8]) -> Option<Record<'_>> {
        match &self.index {
            Some(_) => self.at(self.find(key)?),
            None => self.records.iter().find(|record| record.key == key),
        }
    }

    /// Returns the record at a handle that this table has returned.
    #[inline]
    pub(super) fn at(&self, handle: Handle) -> Option<Record<'_>> {
        self.records.get(handle)
    }

    /// Returns the handle of the record of `key`.
    pub(super) fn find(&self, key: &[u8]) -> Option<Handle> {
        match &self.index {
            Some(index) => index.find(&self.records, key),
            None => self.walk_to(key),
        }
    }

    fn walk_to(&self, key: &[u8]) -> Option<Handle> {
        let mut entries = self.records.entries();
        let found = entries.find(|(_, record)| record.key == key);
        found.map(|(handle, _)| handle)
    }

    /// Adds a record.
    ///
    /// # Errors
    /// Returns the handle of the existing record of this key, which stays unchanged.
    pub(super) fn insert(&mut self, record: Record<'_>) -> Result<Handle, Handle> {
        if let Some(handle) = self.find(record.key) {
            return Err(handle);
        }
        let handle = self.records.push(record);
        let Self { records, index } = self;
        match index {
            Some(index) => index.insert(records, record.key, handle),
            None if records.len() > WALKED_MAX => {
                *index = Index::of(records);
                debug_assert!(index.is_some(), "the keys are distinct");
            }
            None => {}
        }
        Ok(handle)
    }

    /// Adds a record, or sets the value of the existing record of this key. Returns whether the key is new.
    pub(super) fn put(&mut self, record: Record<'_>) -> bool {
        match self.insert(record) {
            Ok(_) => true,
            Err(handle) => {
                self.set_value(handle, record.value);
                false
            }
        }
    }

    /// Sets the value of the record at `handle`. This may move the record.
    pub(super) fn set_value(&mut self, handle: Handle, value: &[u8]) {
        if self.records.overwrite_value(handle, value) {
            return;
        }
        let Some(old) = self.at(handle) else {
            unreachable!("no record to change at {handle:?}")
        };
        let (key, number) = (Box::<[u8]>::from(old.key), old.number);
        let key = &*key;
        let new = self.records.push(Record { key, value, number });
        let Self { records, index } = self;
        if let Some(index) = index {
            index.replace(records, key, handle, new);
        }
        self.records.remove(handle);
        self.tidy(handle.chunk());
    }

    /// Sets the score or the expiry of the record at `handle`.
    pub(super) fn set_number(&mut self, handle: Handle, number: u64) {
        self.records.set_number(handle, number);
    }

    /// Removes the record of `key`. Returns whether there was one.
    pub(super) fn remove(&mut self, key: &[u8]) -> bool {
        let handle = self.unlink(key);
        if let Some(handle) = handle {
            self.tidy(handle.chunk());
        }
        handle.is_some()
    }

    /// Like [`remove`](Self::remove), but leaves all other records in place until [`compact`](Self::compact).
    pub(super) fn unlink(&mut self, key: &[u8]) -> Option<Handle> {
        let Self { records, index } = self;
        let handle = match index {
            Some(index) => index.remove(records, key),
            None => self.walk_to(key),
        }?;
        self.records.remove(handle);
        Some(handle)
    }

    fn tidy(&mut self, chunk: u32) {
        if self.is_wasteful(chunk) {
            self.compact(chunk);
        }
    }

    /// Whether removed records take up most of a chunk.
    pub(super) fn is_wasteful(&self, chunk: u32) -> bool {
        self.records.is_wasteful(chunk)
    }

    /// Returns the records of a chunk, and the handles that they will have once it is compacted.
    pub(super) fn moves(&self, chunk: u32) -> impl Iterator<Item = (Record<'_>, Handle)> {
        let moves = self.records.moves(chunk);
        moves.map(|(record, _, new)| (record, new))
    }

    /// Frees the room of a chunk's removed records.
    pub(super) fn compact(&mut self, chunk: u32) {
        let Self { records, index } = self;
        if let Some(index) = index {
            // No later record is at another record's new place, so no two rows are ever the same.
            for (record, old, new) in records.moves(chunk).filter(|(_, old, new)| old != new) {
                index.replace(records, record.key, old, new);
            }
        }
        records.compact(chunk);
    }

    /// Iterates over all records.
    pub(super) fn iter(&self) -> Iter<'_> {
        self.records.iter()
    }

    /// Iterates over all records and their handles.
    pub(super) fn entries(&self) -> impl Iterator<Item = (Handle, Record<'_>)> {
        self.records.entries()
    }

    /// Visits about `count` records from `cursor` (0 to start), or all if there are few. Returns the next cursor, or 0 at the
    /// end.
    pub(super) fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(Record<'_>)) -> u64 {
        match &self.index {
            Some(index) => index.scan(cursor, count, |handle| {
                self.at(handle).into_iter().for_each(&mut visit);
            }),
            None => {
                self.iter().for_each(visit);
                0
            }
        }
    }

    /// Returns a random record. All records are equally likely.
    pub(super) fn random(&self) -> Option<Record<'_>> {
        match &self.index {
            Some(index) => self.at(index.random()?),
            None if self.len() == 0 => None,
            None => self.iter().nth(fastrand::usize(..self.len())),
        }
    }

    /// Returns `count` different random records, or all if there are fewer.
    pub(super) fn sample(&self, count: usize) -> Vec<Record<'_>> {
        match &self.index {
            Some(index) if count < self.len() / 3 => {
                let handles = index.sample(count).into_iter();
                handles.filter_map(|handle| self.at(handle)).collect()
            }
            _ => super::sample(self.iter(), self.len(), count),
        }
    }
}

/// Whether there is a duplicate key among a few records.
fn repeats(records: &Records) -> bool {
    let keys = || records.iter().map(|record| record.key);
    let mut at = keys().enumerate();
    !differ_at_their_ends(keys()) && at.any(|(at, key)| keys().take(at).any(|other| other == key))
}

/// Whether a few keys can be told apart by their last bytes alone.
fn differ_at_their_ends<'a>(keys: impl Iterator<Item = &'a [u8]>) -> bool {
    let mut seen = [0; WALKED_MAX];
    for (at, key) in keys.enumerate() {
        let Some((before, [place, ..])) = seen.split_at_mut_checked(at) else {
            return false;
        };
        *place = ending(key);
        if before.contains(place) {
            return false;
        }
    }
    true
}

/// Returns the last bytes of a key as a number. For different keys it is usually different.
fn ending(key: &[u8]) -> u64 {
    match key.last_chunk() {
        Some(bytes) => u64::from_le_bytes(*bytes),
        None => key
            .iter()
            .fold(1, |number, byte| number << 8 | u64::from(*byte)),
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]
mod tests;

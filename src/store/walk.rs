//! Walks over a table by the positions of its buckets.

use super::db::Table;
use super::entry::Entry;
use super::fetch::fetch_line;

/// How far ahead a walk prefetches: memory has answered by then, at some nanoseconds per bucket.
pub(super) const BUCKETS_AHEAD: usize = 16;

/// The entry in a bucket.
#[inline]
pub(super) fn entry_at(table: &Table, bucket: usize) -> Option<&Entry> {
    if bucket >= table.buckets() {
        return None;
    }
    // SAFETY: `bucket` is below the table's number of buckets; a full bucket holds an initialised entry, which the
    // borrowed table keeps.
    unsafe {
        table
            .is_bucket_full(bucket)
            .then(|| &table.bucket(bucket).as_ref().0)
    }
}

/// The entry in a bucket, for changing; its key must stay the same.
pub(super) fn entry_at_mut(table: &mut Table, bucket: usize) -> Option<&mut Entry> {
    if bucket >= table.buckets() {
        return None;
    }
    // SAFETY: as in `entry_at`; the table is borrowed mutably, so this is the only reference.
    unsafe {
        table
            .is_bucket_full(bucket)
            .then(|| &mut table.bucket(bucket).as_mut().0)
    }
}

/// All entries of a table.
pub(super) fn entries(table: &Table) -> impl Iterator<Item = &Entry> {
    (0..table.buckets()).filter_map(|bucket| {
        fetch_ahead(table, bucket);
        entry_at(table, bucket)
    })
}

/// Prefetches an entry that a walk, now at `bucket`, reaches soon: each entry lies somewhere else in memory.
#[inline]
pub(super) fn fetch_ahead(table: &Table, bucket: usize) {
    fetch_entry_at(table, bucket + BUCKETS_AHEAD);
}

#[inline]
pub(super) fn fetch_entry_at(table: &Table, bucket: usize) {
    if let Some(entry) = entry_at(table, bucket) {
        entry.key_lines().into_iter().for_each(fetch_line);
    }
}

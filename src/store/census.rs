//! A bounded walk over the keys of a database, for a picture of what it holds.
//!
//! Keys are spread over shards and buckets by a seeded hash, so the first keys of a walk are a fair sample of all. The walk reads
//! a few buckets under each lock, as the sweeper does, so neither the writer nor readers notice it. It is not of one moment: each
//! key is seen as it was when the walk passed it.

use super::db::{SHARDS, Table};
use super::entry::Entry;
use super::keyspaces::Keyspaces;
use super::sweep::LOCKED_BUCKETS_MAX;
use super::walk::{entry_at, fetch_ahead};

/// A walk over one database.
#[derive(Debug)]
pub struct Census<'s> {
    spaces: &'s Keyspaces,
    db: usize,
    shard: usize,
    bucket: usize,
    /// The layout of the shard when the walk entered it.
    epoch: Option<u32>,
    keys: usize,
    buckets: usize,
    is_sound: bool,
}

impl Keyspaces {
    /// Begins a walk over database `db`.
    #[must_use]
    pub const fn census(&self, db: usize) -> Census<'_> {
        Census {
            spaces: self,
            db,
            shard: 0,
            bucket: 0,
            epoch: None,
            keys: 0,
            buckets: 0,
            is_sound: true,
        }
    }
}

impl Census<'_> {
    /// Passes the next entries, expired ones included, to `visit`, under the lock of one shard: those in at most
    /// [`LOCKED_BUCKETS_MAX`] buckets. Returns false at the end of the walk.
    pub fn step(&mut self, mut visit: impl FnMut(&Entry)) -> bool {
        let Some(db) = self.spaces.db(self.db) else {
            return false;
        };
        let Some(shard) = db.shard(self.shard) else {
            return false;
        };
        let table = shard.read();
        let epoch = db.epoch(self.shard);
        // If entries have moved, some may be seen twice or not at all.
        self.is_sound &= self.epoch.is_none_or(|before| before == epoch);
        self.epoch = Some(epoch);
        let end = end_of_step(&table, self.bucket);
        for bucket in self.bucket..end {
            fetch_ahead(&table, bucket);
            if let Some(entry) = entry_at(&table, bucket) {
                self.keys += 1;
                visit(entry);
            }
        }
        self.buckets += end.saturating_sub(self.bucket);
        self.bucket = end;
        if end >= table.buckets() {
            (self.shard, self.bucket, self.epoch) = (self.shard + 1, 0, None);
        }
        self.shard < SHARDS
    }

    /// How many keys the walk has seen.
    #[must_use]
    pub const fn keys(&self) -> usize {
        self.keys
    }

    /// How many buckets the walk has read, whether or not they held a key.
    #[must_use]
    pub const fn buckets(&self) -> usize {
        self.buckets
    }

    /// Whether the walk has ended, and has met each key once that existed all the while.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let has_ended = self.shard >= SHARDS || self.spaces.db(self.db).is_none();
        has_ended && self.is_sound
    }
}

fn end_of_step(table: &Table, first: usize) -> usize {
    if table.is_empty() {
        return table.buckets();
    }
    table
        .buckets()
        .min(first.saturating_add(LOCKED_BUCKETS_MAX))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::store::NewValue;

    fn filled(keys: u32) -> Keyspaces {
        let spaces = Keyspaces::new(2);
        add(&spaces, 0..keys);
        spaces
    }

    fn add(spaces: &Keyspaces, keys: std::ops::Range<u32>) {
        for key in keys.map(u32::to_le_bytes) {
            let mut tx = spaces.write(0, [spaces.slot(0, &key)]);
            tx.set(&key, None, NewValue::text(b"v"));
        }
    }

    /// Walks to the end. Returns the keys seen, and the most under one lock.
    fn walk(census: &mut Census<'_>) -> (Vec<Vec<u8>>, usize) {
        let (mut seen, mut most) = (Vec::new(), 0);
        loop {
            let before = (seen.len(), census.buckets());
            let goes_on = census.step(|entry| seen.push(entry.key().to_vec()));
            most = most.max(census.buckets() - before.1);
            assert!(seen.len() - before.0 <= LOCKED_BUCKETS_MAX);
            if !goes_on {
                return (seen, most);
            }
        }
    }

    #[test]
    fn meets_each_key_once_and_a_few_buckets_under_each_lock() {
        for keys in [0, 1, 5_000, 900_000] {
            let spaces = filled(keys);
            let mut census = spaces.census(0);
            let (seen, most) = walk(&mut census);
            let distinct: HashSet<&Vec<u8>> = seen.iter().collect();
            assert_eq!((seen.len(), distinct.len()), (keys as usize, keys as usize));
            assert!(census.is_whole() && most <= LOCKED_BUCKETS_MAX, "{most}");
            assert_eq!(census.keys(), keys as usize);
        }
    }

    #[test]
    fn a_database_that_never_held_a_key_is_whole_at_once() {
        let spaces = Keyspaces::new(2);
        let mut census = spaces.census(1);
        assert!(!census.step(|_| {}) && census.is_whole());
    }

    #[test]
    fn a_walk_that_is_not_at_its_end_or_whose_entries_moved_is_not_whole() {
        // Shards of more buckets than one step reads.
        let spaces = filled(900_000);
        let mut census = spaces.census(0);
        assert!(census.step(|_| {}) && !census.is_whole());
        add(&spaces, 900_000..2_500_000);
        walk(&mut census);
        assert!(!census.is_whole());
    }
}

//! Frees the memory of keys that expired long ago.
//!
//! An expired key stays until the primary deletes it: counts include it and the stream's commands act on it. Its value is
//! another matter: no reader sees it again, unless its expiry is changed or the clock goes back. So the sweeper keeps the
//! key and its expiry, and discards the value. A command of the stream that needs the value then taints the key. If a
//! reader can see the key again, it gets an error, because the value is not known.

use super::db::{Db, SHARDS, Table};
use super::entry::Entry;
use super::keyspaces::Keyspaces;
use super::kinds::Weight;
use super::view::unix_ms;
use super::walk::{entry_at, entry_at_mut, fetch_ahead};
use crate::feed::Interest;

/// Maximum number of buckets read under one lock: well below a millisecond of work, even if all their values are
/// discarded.
pub const LOCKED_BUCKETS_MAX: usize = 512;

/// Minimum bytes of a value to discard. A smaller value stays: a key without its value would take as much memory.
const VALUE_BYTES_MIN: usize = 32;

/// What one step of a sweep did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Buckets read.
    pub looked_at: usize,
    /// Keys whose values were discarded.
    pub keys: usize,
    /// Bytes freed.
    pub bytes: usize,
    /// Expired keys seen, whether their values were discarded or not.
    pub expired: usize,
}

/// A walk over a generation, a few buckets at a time.
#[derive(Debug)]
pub struct Sweeper {
    db: usize,
    shard: usize,
    bucket: usize,
}

impl Sweeper {
    pub(super) const fn new() -> Self {
        Self {
            db: 0,
            shard: 0,
            bucket: 0,
        }
    }

    /// Begins another pass.
    pub const fn restart(&mut self) {
        *self = Self::new();
    }

    /// Discards the values of the next keys that expired before `before_ms` (Unix milliseconds). Reads at most
    /// [`LOCKED_BUCKETS_MAX`] buckets, under the lock of one shard. Returns `None` at the end of a pass; the next call
    /// begins another.
    pub fn step(&mut self, spaces: &Keyspaces, before_ms: i64) -> Option<Swept> {
        while self.db < spaces.databases() {
            let db = spaces.db(self.db).filter(|db| db.expires() > 0);
            let lock = db.and_then(|db| Some((db, db.shard(self.shard)?)));
            let Some((db, lock)) = lock else {
                self.next_db();
                continue;
            };
            let found = candidates(&lock.read(), self.bucket, before_ms);
            if found.looked_at == 0 {
                self.next_shard();
                continue;
            }
            self.bucket += found.looked_at;
            let mut swept = Swept {
                looked_at: found.looked_at,
                expired: found.expired,
                ..Swept::default()
            };
            if found.buckets.is_empty() {
                return Some(swept);
            }
            let mut table = lock.write();
            let values = take_values(&mut table, &found.buckets, before_ms, db, &mut swept);
            drop(table);
            let feed = spaces.feed();
            if feed.interest().has(Interest::TOUCHES) {
                feed.show_touches(self.db, values.iter().map(Entry::key));
            }
            // A large value takes a while to free. No reader waits for that.
            drop(values);
            return Some(swept);
        }
        self.restart();
        None
    }

    const fn next_db(&mut self) {
        *self = Self {
            db: self.db + 1,
            shard: 0,
            bucket: 0,
        };
    }

    const fn next_shard(&mut self) {
        self.bucket = 0;
        self.shard += 1;
        if self.shard == SHARDS {
            self.next_db();
        }
    }
}

/// Buckets whose values may be discarded.
struct Candidates {
    looked_at: usize,
    buckets: Vec<usize>,
    /// Expired keys seen.
    expired: usize,
}

fn candidates(table: &Table, first: usize, before_ms: i64) -> Candidates {
    let end = table
        .buckets()
        .min(first.saturating_add(LOCKED_BUCKETS_MAX));
    if table.is_empty() || first >= end {
        return Candidates {
            looked_at: 0,
            buckets: Vec::new(),
            expired: 0,
        };
    }
    let (now_ms, mut expired) = (unix_ms(), 0);
    let is_wanted = |bucket: &usize| {
        fetch_ahead(table, *bucket);
        let entry = entry_at(table, *bucket);
        expired += usize::from(entry.is_some_and(|entry| entry.is_expired(now_ms)));
        entry.is_some_and(|entry| is_sweepable(entry, before_ms))
    };
    let buckets = (first..end).filter(is_wanted).collect();
    Candidates {
        looked_at: end - first,
        buckets,
        expired,
    }
}

fn is_sweepable(entry: &Entry, before_ms: i64) -> bool {
    entry.is_expired(before_ms) && entry.value_bytes() >= VALUE_BYTES_MIN
}

/// Discards the values in those buckets that still qualify. Returns the entries as they were, for the caller to free.
fn take_values(
    table: &mut Table,
    buckets: &[usize],
    before_ms: i64,
    db: &Db,
    swept: &mut Swept,
) -> Vec<Entry> {
    let mut taken = Vec::with_capacity(buckets.len());
    for bucket in buckets {
        let entry = entry_at_mut(table, *bucket).filter(|entry| is_sweepable(entry, before_ms));
        if let Some(entry) = entry {
            let stub = entry.without_value();
            swept.keys += 1;
            swept.bytes += entry.heap_bytes().saturating_sub(stub.heap_bytes());
            db.note_reclaimed(Weight::of(entry), Weight::of(&stub));
            taken.push(std::mem::replace(entry, stub));
        }
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::db::{find, hash_key, insert};
    use crate::store::entry::NewValue;

    #[test]
    fn what_has_changed_since_it_was_found_keeps_its_value() {
        let hasher = ahash::RandomState::new();
        let mut table = Table::new();
        for (key, at) in [(b"past", 5), (b"late", 10)] {
            let entry = Entry::new(key, Some(at), NewValue::text(&[b'v'; 100]));
            insert(&mut table, hash_key(&hasher, key), entry, &hasher);
        }
        let mut swept = Swept::default();
        let all: Vec<_> = (0..table.buckets() + 9).collect();
        let db = Db::new(hasher.clone(), 0);
        let taken = take_values(&mut table, &all, 10, &db, &mut swept);
        assert_eq!((taken.len(), swept.keys), (1, 1));
        let is_swept = |key: &[u8]| find(&table, hash_key(&hasher, key), key).map(Entry::is_swept);
        assert_eq!(is_swept(b"past"), Some(true));
        assert_eq!(is_swept(b"late"), Some(false));
    }
}

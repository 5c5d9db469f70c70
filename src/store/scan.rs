//! Walking a database a few buckets at a time.
//!
//! A cursor is a place, not state that we keep: the shard, the bucket within the shard's table, and the shard's epoch at
//! that time, in a number that a double holds exactly (see [`place`](crate::value::place)). Inserting and removing leave
//! the other entries where they are. Entries move only when their table grows or cleans up, and then the epoch changes. A
//! cursor from another epoch starts its shard again. So a key that exists from the first call to the last is returned at
//! least once, and more than once only if its shard changed its layout in between.

use dashmap::RwLockReadGuard;

use super::db::{Db, SHARDS, Table};
use super::entry::Entry;
use super::view::View;
use super::walk::{BUCKETS_AHEAD, entry_at, fetch_ahead, fetch_entry_at};
use crate::value::place::{NUMBER_BITS, Places};

/// Buckets that a call reads, beyond ten times the wanted count, before it returns with few keys. The empty table of a
/// shard costs almost nothing, so one call returns the whole of a database with few keys.
const FREE_BUCKETS: usize = 8192;

const SHARD_BITS: u32 = SHARDS.trailing_zeros();

/// The bits below the shard number.
const PLACE_BITS: u32 = NUMBER_BITS - SHARD_BITS;

/// The place within a shard. A shard of 2²⁴ buckets or more, in a database of ten billion keys, still has 10 bits for its
/// epoch: no such table changes its layout by itself a thousand times between two calls.
const PLACES: Places = Places::new(PLACE_BITS, [10, 17, 24, 31]);

/// The bits of a cursor within a shard of a cluster. The bits above them say which shard, and when the walk began.
pub const PART_CURSOR_BITS: u32 = 43;

/// The place within a shard, if the cursor must leave room for a shard of a cluster.
const NARROW_BITS: u32 = PART_CURSOR_BITS - SHARD_BITS;

const NARROW: Places = Places::new(NARROW_BITS, [8, 15, 20, 25]);

/// How cursors are made: of wide places, or of narrow ones.
#[derive(Clone, Copy)]
struct Layout {
    bits: u32,
    places: Places,
}

const WIDE_LAYOUT: Layout = Layout {
    bits: PLACE_BITS,
    places: PLACES,
};

const NARROW_LAYOUT: Layout = Layout {
    bits: NARROW_BITS,
    places: NARROW,
};

/// Where a SCAN continues. As a number it is below 2⁵³; 0 is both the start and the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor(u64);

impl Cursor {
    /// The start of a walk.
    pub const START: Self = Self(0);

    /// The cursor that a client sent. Any number is valid: one that we never returned starts some shard.
    #[must_use]
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }

    /// The number to send to the client.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }

    /// `None` if the place does not fit into the number.
    fn at(layout: Layout, epoch: u32, shard: usize, bucket: usize, buckets: usize) -> Option<Self> {
        let place = layout.places.number(buckets, epoch.into(), bucket)?;
        Some(Self((shard as u64) << layout.bits | place))
    }

    fn shard(self, layout: Layout) -> usize {
        usize::try_from(self.0 >> layout.bits & (SHARDS as u64 - 1)).unwrap_or(0)
    }

    /// The bucket at which to continue in a shard that has `buckets` buckets and whose epoch is now `epoch`.
    fn bucket(self, layout: Layout, epoch: u32, buckets: usize) -> usize {
        let place = self.0 & ((1 << layout.bits) - 1);
        let bucket = layout.places.bucket(place, buckets, epoch.into());
        if self.0 >> (layout.bits + SHARD_BITS) == 0 {
            bucket
        } else {
            0
        }
    }
}

impl View<'_> {
    /// Visits about `count` entries from `cursor` on, including expired ones, which the caller filters out. Returns the
    /// cursor to continue with, [`Cursor::START`] at the end. All entries that one call visits are of one moment.
    pub fn scan(&self, cursor: Cursor, count: usize, mut visit: impl FnMut(&Entry)) -> Cursor {
        let Some(db) = self.db() else {
            return Cursor::START;
        };
        let layout = if self.is_of_cluster() {
            NARROW_LAYOUT
        } else {
            WIDE_LAYOUT
        };
        let gate = self.pass_to_walk();
        let mut held: Vec<RwLockReadGuard<'_, Table>> = Vec::new();
        let start = cursor.shard(layout);
        let (mut found, mut looked_at) = (0, 0);
        let looks_max = count.saturating_mul(10).saturating_add(FREE_BUCKETS);
        for (shard, lock) in db.shards().enumerate().skip(start) {
            let table = gate.read(lock);
            let epoch = db.epoch(shard);
            let first = if shard == start {
                cursor.bucket(layout, epoch, table.buckets())
            } else {
                0
            };
            if !table.is_empty() {
                for bucket in first..first + BUCKETS_AHEAD {
                    fetch_entry_at(&table, bucket);
                }
                for bucket in first..table.buckets() {
                    if (found >= count || looked_at >= looks_max)
                        && let Some(next) =
                            Cursor::at(layout, epoch, shard, bucket, table.buckets())
                    {
                        return next;
                    }
                    looked_at += 1;
                    fetch_ahead(&table, bucket);
                    if let Some(entry) = entry_at(&table, bucket) {
                        found += 1;
                        visit(entry);
                    }
                }
                held.push(table);
            }
        }
        Cursor::START
    }

    /// The number of keys, expired ones included. It is counted key by key while some are hidden.
    #[must_use]
    pub fn count_keys(&self) -> usize {
        if self.hides_nothing() {
            return self.db().map_or(0, Db::len);
        }
        let mut keys = 0;
        self.scan(Cursor::START, usize::MAX, |entry| {
            keys += usize::from(!self.leaves_out(entry));
        });
        keys
    }

    /// A random key: each key that is not expired is as likely as any other. If all keys are expired, returns one of
    /// those, as a replica does; `None` only if there are no keys.
    ///
    /// Source: redis 8.0 db.c, `dbRandomKey`.
    #[must_use]
    pub fn random_key(&self) -> Option<Vec<u8>> {
        let db = self.db()?;
        let most = db.shards().map(|shard| shard.read().buckets()).max()?;
        for _ in 0..most.saturating_mul(SHARDS).min(RANDOM_TRIES_MAX) {
            let table = db.shard(fastrand::usize(..SHARDS))?.read();
            let picked =
                entry_at(&table, fastrand::usize(..most)).filter(|entry| self.lists(entry));
            if let Some(entry) = picked {
                return Some(entry.key().to_vec());
            }
        }
        self.random_by_walking()
    }

    /// A random key from a walk over all keys: for a database so sparse that guesses miss.
    fn random_by_walking(&self) -> Option<Vec<u8>> {
        let (mut shown, mut expired) = (Reservoir::default(), Reservoir::default());
        let mut cursor = Cursor::START;
        loop {
            cursor = self.scan(cursor, 1000, |entry| {
                if self.leaves_out(entry) {
                    return;
                }
                match self.shows(entry) {
                    true => shown.offer(entry.key()),
                    false => expired.offer(entry.key()),
                }
            });
            if cursor == Cursor::START {
                return shown.chosen.or(expired.chosen);
            }
        }
    }
}

/// Picks one of all offered keys, each as likely as any other.
#[derive(Default)]
struct Reservoir {
    offered: usize,
    chosen: Option<Vec<u8>>,
}

impl Reservoir {
    fn offer(&mut self, key: &[u8]) {
        self.offered += 1;
        if fastrand::usize(..self.offered) == 0 {
            self.chosen = Some(key.to_vec());
        }
    }
}

/// How many guesses of a random bucket to make before a walk is cheaper.
const RANDOM_TRIES_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    #![expect(
        clippy::cast_possible_truncation,
        reason = "the test asks whether anything is lost"
    )]

    use super::*;

    #[test]
    fn the_highest_cursor_is_exact_as_a_double() {
        for buckets in [8, 1 << 10, 1 << 17, 1 << 24, 1 << 31] {
            let cursor = Cursor::at(WIDE_LAYOUT, u32::MAX, SHARDS - 1, buckets - 1, buckets);
            let cursor = cursor.map(Cursor::number);
            assert!(cursor.is_some_and(|number| number < 1 << 53), "{buckets}");
            assert!(cursor.is_some_and(|number| number as f64 as u64 == number));
            let cursor = Cursor::at(NARROW_LAYOUT, u32::MAX, SHARDS - 1, buckets - 1, buckets);
            let cursor = cursor.map(Cursor::number);
            assert!(
                cursor.is_none_or(|number| number < 1 << PART_CURSOR_BITS),
                "{buckets}"
            );
        }
        // Larger tables are walked to their end in one call: a wrong place would be worse than a long reply.
        assert_eq!(Cursor::at(WIDE_LAYOUT, 0, 0, 1 << 31, 1 << 32), None);
    }

    #[test]
    fn a_cursor_finds_its_place_in_its_own_layout_only() {
        let mut random = fastrand::Rng::with_seed(5);
        for _ in 0..10_000 {
            let buckets = 1 << random.u32(3..31);
            let (shard, bucket) = (random.usize(..SHARDS), random.usize(..buckets));
            let epoch = random.u32(..);
            for layout in [WIDE_LAYOUT, NARROW_LAYOUT] {
                let cursor = Cursor::at(layout, epoch, shard, bucket, buckets);
                let Some(cursor) = cursor.map(|cursor| Cursor::from_number(cursor.number())) else {
                    assert!(buckets > 1 << 25 && layout.bits == NARROW_BITS);
                    continue;
                };
                let found =
                    |epoch, buckets| (cursor.shard(layout), cursor.bucket(layout, epoch, buckets));
                assert_eq!(found(epoch, buckets), (shard, bucket));
                assert_eq!(found(epoch.wrapping_add(1), buckets), (shard, 0));
                assert_eq!(found(epoch.wrapping_add(1), buckets * 2), (shard, 0));
            }
        }
    }
}

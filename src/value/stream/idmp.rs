//! Idempotent producers: which entries each has added, by ids of its own, so that adding one again adds nothing.
//!
//! Source: redis 8.8 t_stream.c, "IDMP"; from its text, no server of this version was asked.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;

use crate::rdb::stream::{self, IDMP_DURATION_S, IDMP_ENTRIES_MAX, StreamId};
use crate::value::Error;

/// The idempotent producers of a stream, and their settings.
///
/// DIFFERENCE: each server drops old ids by its own clock, ten times a second, and replicates nothing of that. redtail does not
/// show them, and drops them when the stream is next written. Counts can differ by what a server has not dropped yet.
#[derive(Debug, Clone)]
pub struct Idmp {
    /// For how many seconds an id is known.
    duration_s: u64,
    /// How many ids of a producer are known at most.
    entries_max: u64,
    producers: BTreeMap<Box<[u8]>, Producer>,
    /// How many ids were ever added.
    pub added: u64,
    /// How many entries were not added because their ids were known.
    pub duplicates: u64,
    /// When old ids were last dropped, as Unix time in milliseconds.
    swept_ms: i64,
    heap_bytes: usize,
}

/// An idempotent producer: the ids that it has used, from the oldest on.
#[derive(Debug, Clone, Default)]
struct Producer {
    order: VecDeque<Arc<[u8]>>,
    entries: HashMap<Arc<[u8]>, StreamId>,
}

/// The minimum time between two walks over all producers. A server walks every 100.
const SWEEP_MS: i64 = 1000;
/// The approximate size of an id in both collections, without its own bytes.
const ENTRY_BYTES: usize = size_of::<(Arc<[u8]>, StreamId)>() * 3 / 2 + size_of::<Arc<[u8]>>() + 16;
/// The approximate size of a producer, without the bytes of its name.
const PRODUCER_BYTES: usize = size_of::<(Box<[u8]>, Producer)>() * 3 / 2;

impl Default for Idmp {
    fn default() -> Self {
        Self {
            duration_s: IDMP_DURATION_S,
            entries_max: IDMP_ENTRIES_MAX,
            producers: BTreeMap::new(),
            added: 0,
            duplicates: 0,
            swept_ms: 0,
            heap_bytes: 0,
        }
    }
}

impl Idmp {
    /// Creates it from a decoded one.
    ///
    /// # Errors
    /// If there is a duplicate producer.
    pub(super) fn from_rdb(idmp: stream::Idmp) -> Result<Self, Error> {
        let mut new = Self {
            duration_s: idmp.duration_s,
            entries_max: idmp.entries_max,
            added: idmp.added,
            duplicates: idmp.duplicates,
            ..Self::default()
        };
        for producer in idmp.producers {
            if new.producers.contains_key(&producer.id) {
                return Err(Error::Duplicate);
            }
            for (iid, id) in producer.entries {
                new.insert(&producer.id, &iid, id);
            }
        }
        Ok(new)
    }

    /// For how many seconds an id is known.
    #[must_use]
    pub const fn duration_s(&self) -> u64 {
        self.duration_s
    }

    /// How many ids of a producer are known at most.
    #[must_use]
    pub const fn entries_max(&self) -> u64 {
        self.entries_max
    }

    /// Changes the settings. If one of them becomes another, all producers are forgotten.
    pub fn set(&mut self, duration_s: Option<u64>, entries_max: Option<u64>) {
        let (duration_s, entries_max) = (
            duration_s.unwrap_or(self.duration_s),
            entries_max.unwrap_or(self.entries_max),
        );
        if (duration_s, entries_max) != (self.duration_s, self.entries_max) {
            (self.duration_s, self.entries_max) = (duration_s, entries_max);
            self.producers = BTreeMap::new();
            self.heap_bytes = 0;
        }
    }

    /// The approximate number of bytes on the heap.
    pub(super) const fn heap_bytes(&self) -> usize {
        self.heap_bytes
    }

    /// Iterates over the producers that have ids at the moment `now_ms`, Unix time in milliseconds, in ascending byte order.
    /// Without a moment, no id is too old.
    pub fn producers(&self, now_ms: Option<i64>) -> impl Iterator<Item = (&[u8], Known<'_>)> {
        let expired = now_ms.map(|now_ms| self.expired_at(now_ms));
        self.producers
            .iter()
            .map(move |(name, producer)| (&**name, producer.known(expired)))
            .filter(|(_, known)| !known.is_empty())
    }

    /// Returns the entry that `producer` has added under `iid`, if that is known.
    #[must_use]
    pub fn find(&self, producer: &[u8], iid: &[u8]) -> Option<StreamId> {
        let producer = self.producers.get(producer)?;
        producer.entries.get(iid).copied()
    }

    /// Notes that `producer` has added the entry `id` under `iid`, and drops ids that are too old or too many.
    pub fn record(&mut self, producer: &[u8], iid: &[u8], id: StreamId, now_ms: i64) {
        self.sweep(now_ms);
        // The primary had dropped it already, or it would not have added an entry.
        self.remove(producer, iid);
        self.insert(producer, iid, id);
        self.added = self.added.wrapping_add(1);
        let oldest = self
            .producers
            .get(producer)
            .filter(|known| known.order.len() as u64 > self.entries_max)
            .and_then(|known| known.order.front().cloned());
        if let Some(oldest) = oldest {
            self.remove(producer, &oldest);
        }
    }

    /// Adds an id at the end, unless it is known.
    fn insert(&mut self, name: &[u8], iid: &[u8], id: StreamId) {
        if !self.producers.contains_key(name) {
            self.heap_bytes += PRODUCER_BYTES + name.len();
        }
        let producer = self.producers.entry(name.into()).or_default();
        if producer.entries.contains_key(iid) {
            return;
        }
        let iid: Arc<[u8]> = iid.into();
        self.heap_bytes += ENTRY_BYTES + iid.len();
        producer.order.push_back(Arc::clone(&iid));
        producer.entries.insert(iid, id);
    }

    fn remove(&mut self, name: &[u8], iid: &[u8]) {
        let Some(producer) = self.producers.get_mut(name) else {
            return;
        };
        if producer.entries.remove(iid).is_none() {
            return;
        }
        if producer.order.front().is_some_and(|first| **first == *iid) {
            producer.order.pop_front();
        } else {
            producer.order.retain(|one| **one != *iid);
        }
        self.heap_bytes -= ENTRY_BYTES + iid.len();
    }

    /// Drops what is too old, at most once a second.
    fn sweep(&mut self, now_ms: i64) {
        if (now_ms - SWEEP_MS..=now_ms).contains(&self.swept_ms) {
            return;
        }
        self.swept_ms = now_ms;
        let expired = self.expired_at(now_ms);
        let mut freed = 0;
        self.producers.retain(|name, producer| {
            freed += producer.drop_expired(expired);
            if producer.order.is_empty() {
                freed += PRODUCER_BYTES + name.len();
            }
            !producer.order.is_empty()
        });
        self.heap_bytes -= freed;
    }

    /// Entries with this time in their ids, and older ones, are too old.
    ///
    /// Source: redis 8.8 t_stream.c, `handleExpiredIdmpEntries`, whose difference wraps around.
    fn expired_at(&self, now_ms: i64) -> u64 {
        let now_ms = u64::try_from(now_ms).unwrap_or(0);
        now_ms.wrapping_sub(self.duration_s.wrapping_mul(1000))
    }
}

/// The ids of a producer that are not too old, from the oldest on.
#[derive(Debug, Clone)]
pub struct Known<'a> {
    producer: &'a Producer,
    /// How many are too old.
    skipped: usize,
}

impl<'a> Known<'a> {
    /// The number of ids.
    #[must_use]
    pub fn len(&self) -> usize {
        self.producer.order.len() - self.skipped
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Iterates over the ids, and the entries added under them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&'a [u8], StreamId)> + use<'a> {
        let (order, entries) = (&self.producer.order, &self.producer.entries);
        order.iter().skip(self.skipped).map(|iid| {
            let id = entries.get(iid).copied();
            (&**iid, id.unwrap_or_default())
        })
    }
}

impl Producer {
    /// Old ids are at the front. One that follows a newer one is only dropped after it, as on a server.
    fn known(&self, expired: Option<u64>) -> Known<'_> {
        let old = |iid: &&Arc<[u8]>| {
            let id = self.entries.get(*iid).copied().unwrap_or_default();
            expired.is_some_and(|expired| id.ms <= expired)
        };
        Known {
            producer: self,
            skipped: self.order.iter().take_while(old).count(),
        }
    }

    /// Returns the number of bytes freed.
    fn drop_expired(&mut self, expired: u64) -> usize {
        let skipped = self.known(Some(expired)).skipped;
        let mut freed = 0;
        for iid in self.order.drain(..skipped) {
            self.entries.remove(&iid);
            freed += ENTRY_BYTES + iid.len();
        }
        freed
    }
}

/// Returns the id that IDMPAUTO derives from an entry's fields and values: the same for any order of the pairs.
///
/// Source: redis 8.8 t_stream.c, `createIdempotencyHash`, on a machine whose `long` has eight bytes, the lowest first.
#[must_use]
pub fn automatic_iid(pairs: &[(&[u8], &[u8])]) -> [u8; 16] {
    let (mut sums, mut exclusive) = ([0_u64; 2], [0_u64; 2]);
    for (field, value) in pairs {
        let mut hash = Xxh3::new();
        hash.update(field);
        hash.update(&(field.len() as u64).to_le_bytes());
        hash.update(value);
        let halves = halves(hash.digest128());
        sums = [
            sums[0].wrapping_add(halves[0]),
            sums[1].wrapping_add(halves[1]),
        ];
        exclusive = [exclusive[0] ^ halves[0], exclusive[1] ^ halves[1]];
    }
    let low = sums[0] ^ exclusive[1].rotate_left(1);
    let high = sums[1] ^ exclusive[0].rotate_left(1);
    ((u128::from(high) << 64) | u128::from(low)).to_le_bytes()
}

/// Returns the low and the high half.
fn halves(whole: u128) -> [u64; 2] {
    let bytes = whole.to_le_bytes();
    let (low, high) = bytes.split_at(8);
    [low, high].map(|half| u64::from_le_bytes(half.try_into().unwrap_or_default()))
}

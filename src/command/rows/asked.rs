//! The keys that clients ask for most, from a sample of their reads.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One of this many reads of a connection is sampled, on average.
const EVERY: u32 = 64;

/// Keys that are counted at a time. A key that is asked for more often than one in this many reads is among them.
/// Source: "Efficient computation of frequent and top-k elements in data streams" (Metwally et al.), the Space-Saving algorithm.
const KEYS_MAX: usize = 256;

/// Bytes of a key that are kept.
const KEY_BYTES_MAX: usize = 256;

/// Samples after which all counts are halved, so that what was asked for long ago fades.
const HALVED_AFTER: u64 = 1 << 14;

/// Counts of sampled reads.
#[derive(Debug, Default)]
pub struct Asked {
    is_on: AtomicBool,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    keys: HashMap<(usize, Box<[u8]>), u64>,
    total: u64,
}

/// A key that is asked for often.
#[derive(Debug, Clone, PartialEq)]
pub struct AskedKey {
    /// Its database.
    pub db: usize,
    /// Its name, or the first 256 bytes of it.
    pub key: Box<[u8]>,
    /// The share of the sampled reads that asked for it, at most.
    pub share: f64,
}

impl Asked {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        // A poisoned lock still holds whole counts.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to sample. Until then nothing is kept.
    pub fn switch_on(&self) {
        self.is_on.store(true, Ordering::Relaxed);
    }

    /// Counts a sampled read.
    #[cold]
    pub(crate) fn count(&self, db: usize, key: &[u8]) {
        if !self.is_on.load(Ordering::Relaxed) {
            return;
        }
        let key = key.get(..KEY_BYTES_MAX).unwrap_or(key);
        let mut counts = self.counts();
        counts.total += 1;
        let name = (db, Box::from(key));
        if let Some(count) = counts.keys.get_mut(&name) {
            *count += 1;
            return counts.fade();
        }
        let others = match counts.keys.len() < KEYS_MAX {
            true => 0,
            false => counts.drop_rarest(),
        };
        counts.keys.insert(name, others + 1);
        counts.fade();
    }

    /// Returns the keys that were asked for most, the most asked first.
    #[must_use]
    pub fn top(&self, most: usize) -> Vec<AskedKey> {
        let counts = self.counts();
        let total = counts.total.max(1) as f64;
        let keys = counts.keys.iter().map(|((db, key), count)| AskedKey {
            db: *db,
            key: key.clone(),
            share: *count as f64 / total,
        });
        let mut keys: Vec<_> = keys.collect();
        keys.sort_by(|one, other| {
            let by_name = || (one.db, &one.key).cmp(&(other.db, &other.key));
            other.share.total_cmp(&one.share).then_with(by_name)
        });
        keys.truncate(most);
        keys
    }
}

impl Counts {
    /// Drops the key with the lowest count, and returns that count: the new key may have been asked for as often.
    fn drop_rarest(&mut self) -> u64 {
        let rarest = self.keys.iter().min_by_key(|(_, count)| **count);
        let Some((name, count)) = rarest.map(|(name, count)| (name.clone(), *count)) else {
            return 0;
        };
        self.keys.remove(&name);
        count
    }

    fn fade(&mut self) {
        if self.total >= HALVED_AFTER {
            self.total /= 2;
            self.keys.values_mut().for_each(|count| *count /= 2);
            self.keys.retain(|_, count| *count > 0);
        }
    }
}

/// Chooses the reads of a connection that are sampled.
#[derive(Debug)]
pub struct Sampler {
    left: u32,
}

impl Default for Sampler {
    fn default() -> Self {
        Self {
            left: fastrand::u32(1..2 * EVERY),
        }
    }
}

impl Sampler {
    /// Returns whether this read is sampled. The distance between two samples is random: a client's pattern must not hide keys.
    #[inline]
    pub(crate) fn takes(&mut self) -> bool {
        self.left -= 1;
        if self.left > 0 {
            return false;
        }
        *self = Self::default();
        true
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_asked_for_often_is_found_among_many() {
        let asked = Asked::default();
        asked.count(0, b"before it is on");
        asked.switch_on();
        for turn in 0..20_000_u32 {
            asked.count(0, format!("rare:{turn}").as_bytes());
            if turn % 4 == 0 {
                asked.count(1, b"often");
            }
        }
        let top = asked.top(3);
        assert_eq!((top[0].db, &*top[0].key), (1, &b"often"[..]));
        assert!((0.18..0.24).contains(&top[0].share), "{top:?}");
        assert!(asked.top(usize::MAX).len() <= KEYS_MAX);
    }

    #[test]
    fn one_read_in_sixty_four_is_sampled() {
        let mut sampler = Sampler::default();
        let taken = (0..640_000).filter(|_| sampler.takes()).count();
        assert!((9000..11_000).contains(&taken), "{taken}");
    }
}

//! How durations spread: a histogram with fixed bounds that one thread writes and any thread reads.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The upper bounds of the buckets, in nanoseconds: from ten microseconds to a minute.
const BOUNDS: [u64; 21] = {
    const US: u64 = 1_000;
    const MS: u64 = 1_000 * US;
    const S: u64 = 1_000 * MS;
    [
        10 * US,
        25 * US,
        50 * US,
        100 * US,
        250 * US,
        500 * US,
        MS,
        2_500 * US,
        5 * MS,
        10 * MS,
        25 * MS,
        50 * MS,
        100 * MS,
        250 * MS,
        500 * MS,
        S,
        2_500 * MS,
        5 * S,
        10 * S,
        30 * S,
        60 * S,
    ]
};

/// Counts durations by size.
#[derive(Debug, Default)]
pub struct Spread {
    /// One for each bound, and one for everything longer.
    counts: [AtomicU64; BOUNDS.len() + 1],
    nanos: AtomicU64,
}

/// What a [`Spread`] has counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Durations {
    /// The upper bound of each bucket, and how many durations are in it alone. Longer ones are only in `count`.
    pub buckets: Vec<(Duration, u64)>,
    /// How many there are.
    pub count: u64,
    /// Their sum.
    pub sum: Duration,
}

impl Durations {
    /// Adds what another spread has counted.
    pub(crate) fn add(&mut self, other: &Self) {
        if self.buckets.is_empty() {
            self.buckets.clone_from(&other.buckets);
        } else {
            let both = self.buckets.iter_mut().zip(&other.buckets);
            both.for_each(|((_, own), (_, others))| *own += others);
        }
        self.count += other.count;
        self.sum += other.sum;
    }
}

impl Spread {
    /// Counts a duration.
    pub fn record(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.iter().take_while(|bound| nanos > **bound).count();
        if let Some(count) = self.counts.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// Returns what has been counted.
    #[must_use]
    pub fn durations(&self) -> Durations {
        let counts = self.counts.each_ref();
        let counts = counts.map(|count| count.load(Ordering::Relaxed));
        let bounds = BOUNDS.into_iter().map(Duration::from_nanos);
        Durations {
            buckets: bounds.zip(counts).collect(),
            count: counts.iter().sum(),
            sum: Duration::from_nanos(self.nanos.load(Ordering::Relaxed)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_duration_is_in_the_first_bucket_that_holds_it() {
        let spread = Spread::default();
        let durations = [0, 10_000, 10_001, 1_000_000, 59_000_000_000, 61_000_000_000];
        for nanos in durations {
            spread.record(Duration::from_nanos(nanos));
        }
        let seen = spread.durations();
        assert_eq!(seen.count, 6);
        assert_eq!(seen.sum, Duration::from_nanos(durations.iter().sum()));
        let filled: Vec<_> = seen
            .buckets
            .iter()
            .filter(|(_, count)| *count > 0)
            .collect();
        let expected = [
            (10_000, 2),
            (25_000, 1),
            (1_000_000, 1),
            (60_000_000_000, 1),
        ];
        let expected = expected.map(|(nanos, count)| (Duration::from_nanos(nanos), count));
        assert!(filled.into_iter().eq(&expected), "{:?}", seen.buckets);
        assert!(BOUNDS.is_sorted());
        let mut twice = Durations::default();
        twice.add(&seen);
        assert_eq!(twice, seen);
        twice.add(&seen);
        assert_eq!((twice.count, twice.sum), (12, seen.sum * 2));
        let doubled = |((_, one), (_, two)): (&(_, u64), &(_, u64))| one * 2 == *two;
        assert!(seen.buckets.iter().zip(&twice.buckets).all(doubled));
    }
}

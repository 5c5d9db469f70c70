//! Latencies, counted in buckets.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Everything faster than 2⁷ ns is in the first bucket: about the time that reading the clock takes.
const FIRST_POWER: u32 = 7;

/// Everything slower than 2³⁷ ns, two minutes, is in the last.
const LAST_POWER: u32 = 37;

/// Buckets for each power of two: a bucket's bounds are within an eighth of each other.
const PER_POWER: u32 = 8;

/// Number of buckets.
const BUCKETS: usize = ((LAST_POWER - FIRST_POWER) * PER_POWER) as usize + 2;

/// The bucket of a latency.
fn bucket(nanos: u64) -> usize {
    let Some(power) = nanos.checked_ilog2().filter(|power| *power >= FIRST_POWER) else {
        return 0;
    };
    if power >= LAST_POWER {
        return BUCKETS - 1;
    }
    let within = (nanos >> (power - PER_POWER.ilog2())) & u64::from(PER_POWER - 1);
    let powers = u64::from((power - FIRST_POWER) * PER_POWER);
    usize::try_from(1 + powers + within).unwrap_or(BUCKETS - 1)
}

/// The smallest latency, in nanoseconds, that is above a bucket.
fn end(bucket: usize) -> u64 {
    let Some(above) = bucket.checked_sub(1) else {
        return 1 << FIRST_POWER;
    };
    if bucket == BUCKETS - 1 {
        return u64::MAX;
    }
    let per_power = PER_POWER as usize;
    let power = above / per_power + FIRST_POWER as usize;
    let within = (above % per_power) as u64 + 1;
    (1 << power) + (within << power) / u64::from(PER_POWER)
}

/// Counts of latencies that threads add to.
#[derive(Debug)]
pub(super) struct Buckets([AtomicU64; BUCKETS]);

impl Default for Buckets {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; BUCKETS])
    }
}

impl Buckets {
    /// Counts `calls` that took `nanos` each.
    #[inline]
    pub(super) fn add(&self, nanos: u64, calls: u64) {
        if let Some(count) = self.0.get(bucket(nanos)) {
            count.fetch_add(calls, Ordering::Relaxed);
        }
    }

    pub(super) fn reset(&self) {
        self.0
            .iter()
            .for_each(|count| count.store(0, Ordering::Relaxed));
    }
}

/// How often each latency occurred.
#[derive(Debug, Clone)]
pub struct Histogram {
    counts: Box<[u64; BUCKETS]>,
    sum_nanos: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: Box::new([0; BUCKETS]),
            sum_nanos: 0,
        }
    }
}

impl Histogram {
    pub(super) fn add_buckets(&mut self, buckets: &Buckets) {
        for (count, more) in self.counts.iter_mut().zip(&buckets.0) {
            *count += more.load(Ordering::Relaxed);
        }
    }

    pub(super) const fn add_nanos(&mut self, nanos: u64) {
        self.sum_nanos += nanos;
    }

    /// Adds another histogram's counts.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts.iter()) {
            *count += more;
        }
        self.sum_nanos += other.sum_nanos;
    }

    /// Returns what has been counted since `before`, an earlier state of the same histogram.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let mut counts = self.counts.clone();
        for (count, less) in counts.iter_mut().zip(before.counts.iter()) {
            *count = count.saturating_sub(*less);
        }
        Self {
            counts,
            sum_nanos: self.sum_nanos.saturating_sub(before.sum_nanos),
        }
    }

    /// Returns the number of latencies.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Returns the sum of all latencies, in nanoseconds.
    #[must_use]
    pub const fn sum_nanos(&self) -> u64 {
        self.sum_nanos
    }

    /// Returns the latency that the share `share` (0 to 1) of all latencies does not exceed, rounded up by at most an eighth;
    /// `None` without latencies.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let count = self.count();
        let mut left = ((count as f64 * share.clamp(0.0, 1.0)).ceil()).max(1.0);
        let mut buckets = self
            .counts
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0);
        let found = buckets.find(|(_, count)| {
            left -= **count as f64;
            left <= 0.0
        });
        let last = self.counts.iter().rposition(|count| *count > 0)?;
        let (bucket, _) = found.unwrap_or((last, &0));
        Some(Duration::from_nanos(end(bucket).min(1 << LAST_POWER)))
    }

    /// Returns, for each power of two nanoseconds up to the last one that has latencies, how many are below it.
    pub fn powers(&self) -> impl Iterator<Item = (u64, u64)> {
        let last = self.counts.iter().rposition(|count| *count > 0);
        let mut below = 0;
        let buckets = self.counts.iter().enumerate();
        buckets
            .take_while(move |(bucket, _)| {
                last.is_some_and(|last| *bucket < last + PER_POWER as usize)
            })
            .filter_map(move |(bucket, count)| {
                below += count;
                let end = end(bucket);
                end.is_power_of_two().then_some((end, below))
            })
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn buckets_cover_every_latency_in_order() {
        for bucket_number in 0..BUCKETS - 1 {
            let end = end(bucket_number);
            assert_eq!(bucket(end - 1), bucket_number, "{end}");
            assert_eq!(bucket(end), bucket_number + 1, "{end}");
        }
        assert_eq!((bucket(0), bucket(u64::MAX)), (0, BUCKETS - 1));
    }

    #[test]
    fn a_quantile_is_at_most_an_eighth_too_high() {
        let buckets = Buckets::default();
        (1..=1000_u64).for_each(|micros| buckets.add(micros * 1000, 1));
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), None);
        histogram.add_buckets(&buckets);
        assert_eq!(histogram.count(), 1000);
        for (share, exact) in [
            (0.5, 500_000),
            (0.99, 990_000),
            (1.0, 1_000_000),
            (0.0, 1000),
        ] {
            let found = histogram.quantile(share).map(|found| found.as_nanos());
            let found = found.unwrap_or_default();
            assert!(
                (exact..=exact + exact / 8 + 1).contains(&found),
                "{share}: {found}"
            );
        }
        let powers: Vec<_> = histogram.powers().collect();
        assert_eq!(powers.last(), Some(&(1 << 20, 1000)));
        assert!(powers.contains(&(1 << 19, 524)), "{powers:?}");
        assert_eq!(histogram.since(&histogram.clone()).count(), 0);
    }
}

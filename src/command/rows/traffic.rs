//! Counts of what all connections have done, kept without contention.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Number of threads that have a lane of their own; further threads share them.
pub(super) const LANES: usize = 16;

/// What connections have done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Commands run.
    pub commands: u64,
    /// Reads among them that were answered in groups.
    pub grouped_reads: u64,
    /// Bytes received.
    pub received_bytes: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Keys that reads looked up and found.
    pub keyspace_hits: u64,
    /// Keys that reads looked up in vain.
    pub keyspace_misses: u64,
}

/// Number of figures in [`Counts`].
const FIGURES: usize = 6;

impl Counts {
    /// Returns what has been added since `before`.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        let mut figures = self.to_array();
        for (figure, before) in figures.iter_mut().zip(before.to_array()) {
            *figure = figure.saturating_sub(before);
        }
        Self::from_array(figures)
    }

    const fn to_array(self) -> [u64; FIGURES] {
        [
            self.commands,
            self.grouped_reads,
            self.received_bytes,
            self.sent_bytes,
            self.keyspace_hits,
            self.keyspace_misses,
        ]
    }

    const fn from_array(figures: [u64; FIGURES]) -> Self {
        let [
            commands,
            grouped_reads,
            received_bytes,
            sent_bytes,
            keyspace_hits,
            keyspace_misses,
        ] = figures;
        Self {
            commands,
            grouped_reads,
            received_bytes,
            sent_bytes,
            keyspace_hits,
            keyspace_misses,
        }
    }
}

/// The [`Counts`] of all connections. Each thread counts in its own cache line: a line that all of them wrote to would travel
/// between the cores with every request.
#[derive(Debug, Default)]
pub struct Traffic([Lane; LANES]);

#[derive(Debug, Default)]
#[repr(align(128))]
struct Lane([AtomicU64; FIGURES]);

impl Traffic {
    /// Adds to the counts.
    pub fn add(&self, counts: Counts) {
        if let Some(Lane(counters)) = self.0.get(lane()) {
            for (counter, figure) in counters.iter().zip(counts.to_array()) {
                counter.fetch_add(figure, Ordering::Relaxed);
            }
        }
    }

    /// Returns the counts since the last [`reset`](Self::reset).
    #[must_use]
    pub fn totals(&self) -> Counts {
        let mut totals = [0; FIGURES];
        for Lane(counters) in &self.0 {
            for (total, counter) in totals.iter_mut().zip(counters) {
                *total += counter.load(Ordering::Relaxed);
            }
        }
        Counts::from_array(totals)
    }

    /// Resets all counts to zero.
    pub fn reset(&self) {
        let counters = self.0.iter().flat_map(|Lane(counters)| counters);
        counters.for_each(|counter| counter.store(0, Ordering::Relaxed));
    }
}

/// How fast the counts of [`Traffic`] have grown recently.
#[derive(Debug, Default)]
pub struct Rates(Mutex<VecDeque<(Instant, Counts)>>);

impl Rates {
    /// Number of samples kept. At four samples a second, the rate covers two seconds. A server's own covers 1.6.
    const SAMPLES: usize = 9;

    fn samples(&self) -> MutexGuard<'_, VecDeque<(Instant, Counts)>> {
        // A poisoned lock still holds complete samples.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records the counts at this moment.
    pub fn sample(&self, totals: Counts) {
        self.sample_at(Instant::now(), totals);
    }

    fn sample_at(&self, now: Instant, totals: Counts) {
        let mut samples = self.samples();
        samples.push_back((now, totals));
        if samples.len() > Self::SAMPLES {
            samples.pop_front();
        }
    }

    /// Returns each count's growth per second.
    #[must_use]
    pub fn per_second(&self) -> Counts {
        let samples = self.samples();
        let (Some((start, before)), Some((end, after))) = (samples.front(), samples.back()) else {
            return Counts::default();
        };
        let milliseconds = u64::try_from((*end - *start).as_millis()).unwrap_or(u64::MAX);
        let mut rates = [0; FIGURES];
        for ((rate, before), after) in rates
            .iter_mut()
            .zip(before.to_array())
            .zip(after.to_array())
        {
            let grown = after.saturating_sub(before).saturating_mul(1000);
            *rate = grown.checked_div(milliseconds).unwrap_or(0);
        }
        Counts::from_array(rates)
    }
}

/// Returns this thread's lane.
pub(super) fn lane() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static LANE: usize = THREADS.fetch_add(1, Ordering::Relaxed) % LANES;
    }
    LANE.with(|lane| *lane)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_of_the_last_samples() {
        let (rates, start) = (Rates::default(), Instant::now());
        assert_eq!(rates.per_second(), Counts::default());
        let quarter = std::time::Duration::from_millis(250);
        for at in 0..100_u32 {
            // A hundred a second at first, then a thousand.
            let commands = u64::from(if at < 50 {
                at * 25
            } else {
                1250 + (at - 50) * 250
            });
            let when = start + quarter * at;
            let counts = Counts::from_array([commands, 0, commands * 2, 0, 0, 0]);
            rates.sample_at(when, counts);
        }
        assert_eq!(rates.per_second().to_array(), [1000, 0, 2000, 0, 0, 0]);
    }

    #[test]
    fn threads_count_to_one_total() {
        let traffic = Traffic::default();
        std::thread::scope(|scope| {
            for _ in 0..LANES * 2 {
                let counts = Counts::from_array([1, 2, 3, 4, 5, 6]);
                let traffic = &traffic;
                scope.spawn(move || (0..100).for_each(|_| traffic.add(counts)));
            }
        });
        let times = 100 * LANES as u64 * 2;
        let expected = [1, 2, 3, 4, 5, 6].map(|figure| figure * times);
        assert_eq!(traffic.totals().to_array(), expected);
        traffic.reset();
        assert_eq!(traffic.totals(), Counts::default());
    }
}

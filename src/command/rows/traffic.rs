//! Counts of what all connections have done, kept without contention.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Number of threads that have a lane of their own; further threads share them.
const LANES: usize = 16;

/// Commands run, reads among them that were answered in groups, bytes received and bytes sent. Each thread counts in
/// its own cache line: a line that all of them wrote to would travel between the cores with every request.
#[derive(Debug, Default)]
pub struct Traffic([Lane; LANES]);

#[derive(Debug, Default)]
#[repr(align(128))]
struct Lane([AtomicU64; 4]);

impl Traffic {
    /// Adds commands, grouped reads, bytes received and bytes sent.
    pub fn add(&self, figures: [u64; 4]) {
        if let Some(Lane(counters)) = self.0.get(lane()) {
            for (counter, figure) in counters.iter().zip(figures) {
                counter.fetch_add(figure, Ordering::Relaxed);
            }
        }
    }

    /// Returns commands, grouped reads, bytes received and bytes sent since the last [`reset`](Self::reset).
    #[must_use]
    pub fn totals(&self) -> [u64; 4] {
        let mut totals = [0; 4];
        for Lane(counters) in &self.0 {
            for (total, counter) in totals.iter_mut().zip(counters) {
                *total += counter.load(Ordering::Relaxed);
            }
        }
        totals
    }

    /// Resets all counts to zero.
    pub fn reset(&self) {
        let counters = self.0.iter().flat_map(|Lane(counters)| counters);
        counters.for_each(|counter| counter.store(0, Ordering::Relaxed));
    }
}

/// How fast the counts of [`Traffic`] have grown recently.
#[derive(Debug, Default)]
pub struct Rates(Mutex<VecDeque<(Instant, [u64; 4])>>);

impl Rates {
    /// Number of samples kept. At four samples a second, the rate covers two seconds. A server's own covers 1.6.
    const SAMPLES: usize = 9;

    fn samples(&self) -> MutexGuard<'_, VecDeque<(Instant, [u64; 4])>> {
        // A poisoned lock still holds complete samples.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records the counts at this moment.
    pub fn sample(&self, totals: [u64; 4]) {
        self.sample_at(Instant::now(), totals);
    }

    fn sample_at(&self, now: Instant, totals: [u64; 4]) {
        let mut samples = self.samples();
        samples.push_back((now, totals));
        if samples.len() > Self::SAMPLES {
            samples.pop_front();
        }
    }

    /// Returns each count's growth per second.
    #[must_use]
    pub fn per_second(&self) -> [u64; 4] {
        let samples = self.samples();
        let (Some((start, before)), Some((end, after))) = (samples.front(), samples.back()) else {
            return [0; 4];
        };
        let milliseconds = u64::try_from((*end - *start).as_millis()).unwrap_or(u64::MAX);
        let mut rates = [0; 4];
        for ((rate, before), after) in rates.iter_mut().zip(before).zip(after) {
            let grown = after.saturating_sub(*before).saturating_mul(1000);
            *rate = grown.checked_div(milliseconds).unwrap_or(0);
        }
        rates
    }
}

/// Returns this thread's lane.
fn lane() -> usize {
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
        assert_eq!(rates.per_second(), [0; 4]);
        let quarter = std::time::Duration::from_millis(250);
        for at in 0..100_u32 {
            // A hundred a second at first, then a thousand.
            let commands = u64::from(if at < 50 {
                at * 25
            } else {
                1250 + (at - 50) * 250
            });
            let when = start + quarter * at;
            rates.sample_at(when, [commands, 0, commands * 2, 0]);
        }
        assert_eq!(rates.per_second(), [1000, 0, 2000, 0]);
    }

    #[test]
    fn threads_count_to_one_total() {
        let traffic = Traffic::default();
        std::thread::scope(|scope| {
            for _ in 0..LANES * 2 {
                scope.spawn(|| (0..100).for_each(|_| traffic.add([1, 2, 3, 4])));
            }
        });
        let times = 100 * LANES as u64 * 2;
        assert_eq!(traffic.totals(), [times, 2 * times, 3 * times, 4 * times]);
        traffic.reset();
        assert_eq!(traffic.totals(), [0; 4]);
    }
}

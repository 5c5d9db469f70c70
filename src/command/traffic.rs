//! What all connections have done, counted without getting in each other's way.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Threads that count apart; more of them share.
const LANES: usize = 16;

/// Commands run, reads among them that were answered in groups, bytes received and bytes sent. Each thread counts in a cache line of its own, for a line that all of them wrote
/// to would travel between the cores with every request.
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

    /// Commands, grouped reads, bytes received and bytes sent since the last [`reset`](Self::reset).
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

    /// Counts from zero.
    pub fn reset(&self) {
        let counters = self.0.iter().flat_map(|Lane(counters)| counters);
        counters.for_each(|counter| counter.store(0, Ordering::Relaxed));
    }
}

/// The lane of this thread.
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

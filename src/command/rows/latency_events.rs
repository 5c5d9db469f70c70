//! Commands that took longer than `latency-monitor-threshold`, for LATENCY.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::store::unix_ms;

/// Samples kept of each event. Source: redis 7.0 latency.h, `LATENCY_TS_LEN`.
const SAMPLES_MAX: usize = 160;

/// The latest samples of all events.
#[derive(Debug, Default)]
pub struct LatencyEvents {
    /// Milliseconds from which an event is kept; 0 for none.
    pub threshold_ms: AtomicU64,
    events: Mutex<BTreeMap<&'static str, Series>>,
}

/// An event's samples.
#[derive(Debug, Clone, Default)]
pub struct Series {
    /// The oldest first, at most one for each second.
    pub samples: VecDeque<Sample>,
    /// The longest since the last reset, in milliseconds.
    pub longest_ms: u64,
    /// Their sum since the last reset, in milliseconds.
    pub sum_ms: u64,
    /// How many there were since the last reset.
    pub count: u64,
}

/// The longest latency of one second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sample {
    /// The second, in Unix time.
    pub at_s: i64,
    /// The latency, in milliseconds.
    pub ms: u64,
}

impl LatencyEvents {
    fn events(&self) -> MutexGuard<'_, BTreeMap<&'static str, Series>> {
        // A poisoned lock still holds whole samples.
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether an event that took this long is kept.
    #[inline]
    #[must_use]
    pub fn takes(&self, nanos: u64) -> bool {
        let threshold = self.threshold_ms.load(Ordering::Relaxed);
        threshold > 0 && nanos / 1_000_000 >= threshold
    }

    /// Keeps an event. Source: redis 7.0 latency.c, `latencyAddSample`.
    pub fn add(&self, event: &'static str, nanos: u64) {
        self.add_at(event, unix_ms() / 1000, nanos / 1_000_000);
    }

    fn add_at(&self, event: &'static str, at_s: i64, ms: u64) {
        let mut events = self.events();
        let series = events.entry(event).or_default();
        series.longest_ms = series.longest_ms.max(ms);
        series.sum_ms += ms;
        series.count += 1;
        match series.samples.back_mut() {
            Some(last) if last.at_s == at_s => last.ms = last.ms.max(ms),
            _ => series.samples.push_back(Sample { at_s, ms }),
        }
        if series.samples.len() > SAMPLES_MAX {
            series.samples.pop_front();
        }
    }

    /// Returns all events that have samples, by name.
    #[must_use]
    pub fn all(&self) -> Vec<(&'static str, Series)> {
        let events = self.events();
        events
            .iter()
            .map(|(name, series)| (*name, series.clone()))
            .collect()
    }

    /// Forgets an event, or all. Returns how many there were.
    pub fn reset(&self, event: Option<&[u8]>) -> usize {
        let mut events = self.events();
        let before = events.len();
        events.retain(|name, _| event.is_some_and(|event| event != name.as_bytes()));
        before - events.len()
    }
}

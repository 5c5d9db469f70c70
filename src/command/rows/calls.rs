//! What is counted for each command: calls, their time, failures, and a histogram of latencies.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::command::Command;
use super::latency::{Buckets, Histogram};
use super::traffic::{LANES, lane};

/// Places for commands in a lane: a power of two, twice the number of commands.
const PLACES: usize = 1024;

/// A command as it was called: its container, if it is a subcommand, and its row.
#[derive(Debug, Clone, Copy)]
pub struct Called {
    /// The container's name.
    pub container: Option<&'static str>,
    /// The row.
    pub row: &'static Command,
}

impl Called {
    /// Returns the name as INFO shows it: `get`, or `config|get`.
    #[must_use]
    pub fn name(self) -> String {
        match self.container {
            Some(container) => format!("{container}|{}", self.row.name),
            None => self.row.name.to_owned(),
        }
    }
}

/// The figures of all commands. Each thread counts in memory of its own, like [`Traffic`](super::traffic::Traffic).
#[derive(Debug, Default)]
pub struct Calls([OnceLock<Box<[Place]>>; LANES]);

#[derive(Debug, Default)]
struct Place {
    called: OnceLock<Called>,
    calls: AtomicU64,
    nanos: AtomicU64,
    rejected: AtomicU64,
    failed: AtomicU64,
    latencies: OnceLock<Box<Buckets>>,
}

/// What has been counted for a command.
#[derive(Debug, Clone, Default)]
pub struct CallFigures {
    /// Its name as INFO shows it: `get`, or `config|get`.
    pub name: String,
    /// Calls that ran.
    pub calls: u64,
    /// Their time, in nanoseconds.
    pub nanos: u64,
    /// Calls that were refused before they ran.
    pub rejected: u64,
    /// Calls that ran and failed.
    pub failed: u64,
    /// The latencies of calls, if latency tracking is on. Calls by scripts are not timed.
    pub latencies: Histogram,
}

/// Calls of one command that took the same time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Batch {
    pub(crate) calls: u64,
    pub(crate) failed: u64,
    /// The time of each.
    pub(crate) nanos: u64,
}

impl Calls {
    /// Returns this thread's place for a command; `None` if there are more commands than places.
    #[inline]
    fn place(&self, called: Called) -> Option<&Place> {
        let lane = self.0.get(lane())?.get_or_init(new_lane);
        let start = std::ptr::from_ref(called.row).addr() / align_of::<Command>();
        let start =
            start.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (usize::BITS - PLACES.trailing_zeros());
        (0..PLACES)
            .filter_map(|step| lane.get((start + step) % PLACES))
            .find(|place| {
                let owner = place.called.get_or_init(|| called);
                std::ptr::eq(owner.row, called.row)
            })
    }

    /// Counts calls that ran. `tracks` says whether their latencies are tracked.
    #[inline]
    pub(crate) fn add(&self, called: Called, batch: Batch, tracks: bool) {
        let Some(place) = self.place(called) else {
            return;
        };
        let Batch {
            calls,
            failed,
            nanos,
        } = batch;
        place.calls.fetch_add(calls, Ordering::Relaxed);
        place
            .nanos
            .fetch_add(nanos.saturating_mul(calls), Ordering::Relaxed);
        if failed > 0 {
            place.failed.fetch_add(failed, Ordering::Relaxed);
        }
        if tracks {
            let latencies = place.latencies.get_or_init(Box::default);
            latencies.add(nanos, calls);
        }
    }

    /// Counts a call that waited. `nanos` is its time without the wait.
    pub fn waited(&self, called: Called, nanos: u64, failed: bool) {
        let batch = Batch {
            calls: 1,
            failed: u64::from(failed),
            nanos,
        };
        self.add(called, batch, true);
    }

    /// Counts a call that was refused before it ran.
    pub(crate) fn reject(&self, called: Called) {
        if let Some(place) = self.place(called) {
            place.rejected.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns the figures of every command that was called or refused, by name.
    #[must_use]
    pub fn figures(&self) -> Vec<CallFigures> {
        let mut by_name: BTreeMap<String, CallFigures> = BTreeMap::new();
        for place in self.places() {
            let Some(called) = place.called.get() else {
                continue;
            };
            let all = by_name.entry(called.name()).or_default();
            all.calls += place.calls.load(Ordering::Relaxed);
            all.nanos += place.nanos.load(Ordering::Relaxed);
            all.rejected += place.rejected.load(Ordering::Relaxed);
            all.failed += place.failed.load(Ordering::Relaxed);
            if let Some(latencies) = place.latencies.get() {
                all.latencies.add_buckets(latencies);
                all.latencies.add_nanos(place.nanos.load(Ordering::Relaxed));
            }
        }
        let named = by_name
            .into_iter()
            .map(|(name, figures)| CallFigures { name, ..figures });
        named
            .filter(|figures| figures.calls + figures.rejected > 0)
            .collect()
    }

    /// Resets everything to zero.
    pub fn reset(&self) {
        for place in self.places() {
            for counter in [&place.calls, &place.nanos, &place.rejected, &place.failed] {
                counter.store(0, Ordering::Relaxed);
            }
            if let Some(latencies) = place.latencies.get() {
                latencies.reset();
            }
        }
    }

    fn places(&self) -> impl Iterator<Item = &Place> {
        self.0
            .iter()
            .filter_map(OnceLock::get)
            .flat_map(|lane| lane.iter())
    }
}

fn new_lane() -> Box<[Place]> {
    (0..PLACES).map(|_| Place::default()).collect()
}

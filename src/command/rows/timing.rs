//! How long a connection's commands take.
//!
//! The clock is read once for each command that runs by itself, and once for each group of quick reads: the end of one is the
//! start of the next. So a command's time includes that of parsing it. Reading the clock for each read of a group would cost as
//! much as a fifth of the read. What a group took is shared equally among its reads.

use std::sync::atomic::Ordering;
use std::time::Instant;

use smallvec::SmallVec;

use super::calls::{Batch, Called};
use super::session::Statistics;

/// Commands that have run since the clock was last read.
#[derive(Debug, Default)]
pub struct Timing {
    /// When the clock was last read; `None` outside of a turn, and for scripts.
    marked: Option<Instant>,
    /// The last command, and how often it was repeated.
    last: Option<Ran>,
    /// The commands before it.
    earlier: SmallVec<[Ran; EARLIER_MAX]>,
}

/// Different commands before the last one that are remembered between two readings of the clock.
const EARLIER_MAX: usize = 3;

#[derive(Debug, Clone, Copy)]
struct Ran {
    called: Called,
    calls: u64,
    failed: u64,
}

impl Timing {
    /// Begins a turn: the time before it is not that of a command.
    #[inline]
    pub fn begin(&mut self) {
        self.marked = Some(Instant::now());
    }

    /// Counts the commands that a script called. They are not timed: their time is the script's.
    pub fn end(&mut self, statistics: &Statistics) {
        self.count(0, false, statistics);
    }

    /// When the clock was last read.
    pub(crate) const fn marked(&self) -> Option<Instant> {
        self.marked
    }

    /// Makes the time since `marked` count again, for a command that runs others.
    pub(crate) const fn rewind(&mut self, marked: Option<Instant>) {
        self.marked = marked;
    }

    /// Reads the clock, and returns the time since it was last read, in nanoseconds, without counting it.
    pub(crate) fn lap(&mut self) -> u64 {
        let now = Instant::now();
        let marked = self.marked.replace(now).unwrap_or(now);
        u64::try_from(now.duration_since(marked).as_nanos()).unwrap_or(u64::MAX)
    }

    /// Notes that a command ran. Its time is counted at the next [`mark`](Self::mark).
    #[inline]
    pub(crate) fn note(&mut self, called: Called, failed: bool, statistics: &Statistics) {
        match &mut self.last {
            Some(last) if std::ptr::eq(last.called.row, called.row) => {
                last.calls += 1;
                last.failed += u64::from(failed);
            }
            _ => self.note_other(called, failed, statistics),
        }
    }

    /// Like [`note`](Self::note), for another command than the last one.
    fn note_other(&mut self, called: Called, failed: bool, statistics: &Statistics) {
        if self.earlier.len() == EARLIER_MAX {
            self.mark(statistics);
        }
        self.earlier.extend(self.last.take());
        self.last = Some(Ran {
            called,
            calls: 1,
            failed: u64::from(failed),
        });
    }

    /// Reads the clock, and counts the commands since it was last read. Returns the time of each, in nanoseconds.
    #[inline]
    pub(crate) fn mark(&mut self, statistics: &Statistics) -> u64 {
        let Some(marked) = self.marked else {
            return self.count(0, false, statistics);
        };
        let now = Instant::now();
        self.marked = Some(now);
        let nanos = u64::try_from(now.duration_since(marked).as_nanos()).unwrap_or(u64::MAX);
        self.count(
            nanos,
            statistics.tracks_latency.load(Ordering::Relaxed),
            statistics,
        )
    }

    #[inline]
    fn count(&mut self, nanos: u64, tracks: bool, statistics: &Statistics) -> u64 {
        let Some(last) = self.last.take() else {
            return 0;
        };
        let earlier: u64 = self.earlier.iter().map(|ran| ran.calls).sum();
        let each = nanos / (last.calls + earlier).max(1);
        for ran in self.earlier.drain(..).chain([last]) {
            let batch = Batch {
                calls: ran.calls,
                failed: ran.failed,
                nanos: each,
            };
            statistics.calls.add(ran.called, batch, tracks);
        }
        each
    }
}

//! What the writer reports about itself.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::passed::Passed;
use crate::history::{Point, ReplId};
use crate::spread::Spread;
use crate::upstream::{Moment, Phase, Progress, Status};

/// Counters of the writer, read by INFO, status and the progress display.
#[derive(Debug, Default)]
pub struct Figures {
    /// The load under way, or the last one.
    pub load: LoadFigures,
    /// The stream.
    pub stream: StreamFigures,
    /// How long received bytes take to become visible.
    pub visibility: Visibility,
    /// The sweeper.
    pub sweep: SweepFigures,
    fault: Mutex<Option<Fault>>,
    history: Mutex<History>,
    held: Mutex<Option<Held>>,
    proven: Mutex<Option<Instant>>,
}

/// Something that went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What went wrong, and what to do about it.
    pub what: String,
    /// When it went wrong.
    pub at: Instant,
}

/// The history that is served.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct History {
    /// Its replication id; `None` before the first sync.
    pub replid: Option<ReplId>,
    /// The last point of the history under the id that it had before a failover.
    pub before: Option<Point>,
}

impl History {
    /// Whether `replid` is or was an id of this history.
    #[must_use]
    pub fn knows(&self, replid: ReplId) -> bool {
        self.replid == Some(replid) || self.before.is_some_and(|before| before.replid == replid)
    }
}

/// A snapshot that is held back.
#[derive(Debug, Clone, Copy)]
pub struct Held {
    /// When it was first held back.
    pub since: Instant,
    /// Keys in the snapshot.
    pub keys: usize,
    /// Keys in the served data.
    pub served_keys: usize,
}

/// A snapshot's load.
#[derive(Debug, Default)]
pub struct LoadFigures {
    /// Whether a load is under way.
    pub running: AtomicBool,
    /// Loads that succeeded.
    pub completed: AtomicU64,
    /// Loads that failed.
    pub failed: AtomicU64,
    /// Keys loaded so far.
    pub keys: AtomicU64,
    /// Keys that the snapshot has announced so far; the number may be wrong.
    pub keys_expected: AtomicU64,
    /// Bytes decoded so far.
    pub bytes: AtomicU64,
    /// The snapshot's size; 0 if it is not known.
    pub bytes_expected: AtomicU64,
}

/// The command stream.
#[derive(Debug, Default)]
pub struct StreamFigures {
    /// Commands applied.
    pub commands: AtomicU64,
    /// Commands that could not be applied: their keys are tainted.
    pub failed: AtomicU64,
    /// Those failed commands whose keys are not even known.
    pub unknown: AtomicU64,
    /// The names of those, as far as there is room for them.
    pub unknown_names: Names,
    /// Scripts that arrived as their text and were run.
    pub scripts: AtomicU64,
    /// What changed no data and was passed over.
    pub passed: Passed,
    /// Messages published on the primary.
    pub published: AtomicU64,
    /// The offset of everything that the writer has taken from the link, applied or not.
    pub taken: AtomicU64,
}

/// Maximum number of names that [`Names`] keeps, because a primary chooses them.
const NAMES_MAX: usize = 16;

/// Different names of commands, in the order in which they came.
#[derive(Debug, Default)]
pub struct Names(Mutex<Vec<Box<str>>>);

impl Names {
    /// Keeps a name, if there is room. Bytes that do not belong into a name become question marks.
    pub(super) fn note(&self, name: &str) {
        let plain = |letter: char| match letter {
            letter if letter.is_ascii_alphanumeric() || "._-|".contains(letter) => letter,
            _ => '?',
        };
        let name: Box<str> = name.chars().map(plain).collect();
        let mut names = self.lock();
        if names.len() < NAMES_MAX && !names.contains(&name) {
            names.push(name);
        }
    }

    /// The names.
    #[must_use]
    pub fn all(&self) -> Vec<Box<str>> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Box<str>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long received bytes take to become visible.
///
/// Bytes arrive when redtail reads them from its socket. A read may bring several commands, or a part of one: what becomes
/// visible together counts once, from the arrival of its oldest byte.
#[derive(Debug, Default)]
pub struct Visibility {
    /// The time from the arrival of what became visible.
    pub took: Spread,
    /// When the oldest byte arrived that the writer has taken and that is not visible yet.
    since: Moment,
}

impl Visibility {
    /// Notes that the writer takes bytes that arrived at `arrived`.
    pub(super) fn begin(&self, arrived: Instant) {
        if self.since.get().is_none() {
            self.since.set(Some(arrived));
        }
    }

    /// Notes that the writer is done with bytes that arrived at `arrived`. `moved` says whether anything became visible, and
    /// `rests` whether something that the writer has taken still is not.
    pub(super) fn end(&self, arrived: Instant, moved: bool, rests: bool) {
        if moved {
            let oldest = self.since.get().unwrap_or(arrived);
            self.took.record(oldest.elapsed());
        }
        match (moved, rests) {
            (_, false) => self.since.set(None),
            // What rests is of the last bytes: those before them are visible.
            (true, true) => self.since.set(Some(arrived)),
            (false, true) => {}
        }
    }

    /// Notes that the writer has taken nothing that is not visible: it gave up what it had not applied.
    pub(super) fn reset(&self) {
        self.since.set(None);
    }
}

/// What the sweeper has freed.
#[derive(Debug, Default)]
pub struct SweepFigures {
    /// Keys whose values were discarded.
    pub keys: AtomicU64,
    /// Bytes that this freed.
    pub bytes: AtomicU64,
    /// Finished walks over all keys.
    pub passes: AtomicU64,
    /// How many expired keys the last finished walk saw, and when it ended.
    pub(super) expired: Mutex<Option<(u64, Instant)>>,
}

impl SweepFigures {
    pub(super) fn note_expired(&self, keys: u64) {
        let mut expired = self.expired.lock().unwrap_or_else(PoisonError::into_inner);
        *expired = Some((keys, Instant::now()));
    }

    /// The number of expired keys that the last finished walk saw, and when it ended; `None` before the first.
    #[must_use]
    pub fn expired(&self) -> Option<(u64, Instant)> {
        *self.expired.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Figures {
    /// The offset of everything that has been received, applied or not.
    #[must_use]
    pub fn received(&self, progress: &Progress) -> u64 {
        // Bytes that wait during a transfer belong to another offset.
        let waiting = match progress.phase() {
            Phase::Streaming => progress.waiting(),
            Phase::Transfer | Phase::Held | Phase::Idle => 0,
        };
        let taken = self.stream.taken.load(Ordering::Relaxed);
        taken.max(progress.applied()) + waiting
    }
}

impl Figures {
    /// How far the served data is behind: see [`Status::lag`](super::Status::lag).
    #[must_use]
    pub fn lag(&self, progress: &Progress, link: &Status) -> Option<Duration> {
        let proven = self.proven().map(|at| at.elapsed());
        if progress.phase() != Phase::Streaming || link.streamed().is_none() {
            return proven;
        }
        let taken = self.visibility.since.get();
        let oldest = taken.into_iter().chain(link.waiting_since.get()).min();
        Some(oldest.map_or(Duration::ZERO, |at| at.elapsed()))
    }
}

impl LoadFigures {
    pub(super) fn start(&self, bytes_expected: u64) {
        for figure in [&self.keys, &self.keys_expected, &self.bytes] {
            figure.store(0, Ordering::Relaxed);
        }
        self.bytes_expected.store(bytes_expected, Ordering::Relaxed);
        self.running.store(true, Ordering::Release);
    }

    /// Counts bytes received while a load is under way.
    pub(super) fn note_bytes(&self, bytes: usize) {
        if self.running.load(Ordering::Relaxed) {
            self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        }
    }

    pub(super) fn end(&self, completed: bool) {
        let counter = if completed {
            &self.completed
        } else {
            &self.failed
        };
        counter.fetch_add(1, Ordering::Relaxed);
        self.running.store(false, Ordering::Release);
    }
}

impl Figures {
    /// Records what went wrong with a load or the stream.
    pub(super) fn note_fault(&self, what: String) {
        let at = Instant::now();
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(Fault { what, at });
    }

    /// What last went wrong with the link, a load or the stream.
    #[must_use]
    pub fn last_fault(&self, link: &Status) -> Option<Fault> {
        let link = link.snapshot();
        let of_link = link.last_error.zip(link.failed_at);
        let of_link = of_link.map(|(what, at)| Fault { what, at });
        let of_data = self
            .fault
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        // A link that ends because of its bytes also records how the connection ended.
        [of_data, of_link]
            .into_iter()
            .flatten()
            .max_by_key(|fault| fault.at)
    }

    /// Records that another history is served from now on.
    pub(super) fn begin_history(&self, replid: ReplId) {
        *self.history.lock().unwrap_or_else(PoisonError::into_inner) = History {
            replid: Some(replid),
            before: None,
        };
    }

    /// Records that the history has another id after `offset`.
    ///
    /// Source: redis 7.0 replication.c, `slaveTryPartialResynchronization`.
    pub(super) fn rename_history(&self, replid: ReplId, offset: u64) {
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        if history.replid != Some(replid) {
            history.before = history.replid.map(|replid| Point { replid, offset });
            history.replid = Some(replid);
        }
    }

    /// The history that is served.
    #[must_use]
    pub fn history(&self) -> History {
        *self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves the history while the served data is exchanged: an offset of one history must not be taken for one of the
    /// other.
    pub(super) fn leave_history(&self) {
        *self.history.lock().unwrap_or_else(PoisonError::into_inner) = History::default();
    }

    /// Records that the served data has everything written until `at`.
    pub(super) fn note_proven(&self, at: Instant) {
        let mut proven = self.proven.lock().unwrap_or_else(PoisonError::into_inner);
        *proven = (*proven).max(Some(at));
    }

    /// The time until which the served data is known to have everything that was written; `None` if this was never known.
    #[must_use]
    pub fn proven(&self) -> Option<Instant> {
        *self.proven.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn note_held(&self, held: Option<Held>) {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = held;
    }

    /// The snapshot that is held back, if there is one.
    #[must_use]
    pub fn held(&self) -> Option<Held> {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_counts_from_its_oldest_byte_until_it_is_visible() {
        // Moments are counted from the first one in the process, so they must be later.
        let (visibility, now) = (
            Visibility::default(),
            Instant::now() + Duration::from_secs(1),
        );
        let later = |ms| now + Duration::from_millis(ms);
        let oldest = || visibility.since.get();
        // Half a command, or MULTI: nothing is visible yet.
        visibility.begin(now);
        assert_eq!(oldest(), Some(now));
        visibility.end(now, false, true);
        // Its other half, and half of the next.
        visibility.begin(later(1));
        assert_eq!(oldest(), Some(now));
        visibility.end(later(1), true, true);
        assert_eq!(oldest(), Some(later(1)));
        visibility.begin(later(2));
        visibility.end(later(2), true, false);
        assert_eq!(oldest(), None);
        assert_eq!(visibility.took.durations().count, 2);
        // A link that ends in the middle of a command.
        visibility.begin(later(3));
        visibility.end(later(3), false, true);
        visibility.reset();
        assert_eq!(oldest(), None);
    }
}

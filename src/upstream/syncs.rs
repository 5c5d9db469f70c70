//! The syncs with the primary: what each was for, how long it took and what it brought.
//!
//! A full sync begins when the primary announces its snapshot, and is done once its data is served; one that is held back goes
//! on until then, over several links if need be. A partial sync begins with the attempt to connect that succeeds, and is done
//! when the stream goes on. What the primary had written meanwhile then counts as lag.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::spread::{Durations, Spread};

/// How many syncs are remembered one by one.
const KEPT: usize = 16;

/// Whether a sync brought all data, or only what was missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SyncKind {
    /// All data.
    Full,
    /// What had been written since the link was lost.
    Partial,
}

impl SyncKind {
    /// Returns the word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Partial => "partial",
        }
    }
}

/// Why a sync was needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SyncCause {
    /// redtail had started, without data.
    FirstStart,
    /// redtail had started, and could not use what the state directory held, or could not follow its history any further.
    StateUnusable,
    /// redtail had started with the data of the state directory.
    Restart,
    /// The link was lost. The sync is partial.
    LinkLost,
    /// The link was lost, and the server continues the history under another id: another primary has taken over.
    Failover,
    /// The primary's backlog did not reach back to where redtail had come.
    PartialRefused,
    /// The primary has another history: it was restarted without its data, or another server took over that does not continue
    /// the old history.
    OtherHistory,
    /// The link was lost during the last full sync, or its snapshot could not be loaded.
    SyncFailed,
    /// redtail could not follow the stream any further: something in it must not be passed over.
    StreamUnusable,
}

impl SyncCause {
    /// All causes.
    pub const ALL: [Self; 9] = [
        Self::FirstStart,
        Self::StateUnusable,
        Self::Restart,
        Self::LinkLost,
        Self::Failover,
        Self::PartialRefused,
        Self::OtherHistory,
        Self::SyncFailed,
        Self::StreamUnusable,
    ];

    /// Returns the word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::FirstStart => "first_start",
            Self::StateUnusable => "state_unusable",
            Self::Restart => "restart",
            Self::LinkLost => "link_lost",
            Self::Failover => "failover",
            Self::PartialRefused => "partial_refused",
            Self::OtherHistory => "other_history",
            Self::SyncFailed => "sync_failed",
            Self::StreamUnusable => "stream_unusable",
        }
    }

    /// Returns the kind of syncs that have this cause.
    #[must_use]
    pub const fn kind(self) -> SyncKind {
        match self {
            Self::Restart | Self::LinkLost | Self::Failover => SyncKind::Partial,
            _ => SyncKind::Full,
        }
    }
}

/// One sync that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SyncDone {
    /// Why it was needed, and so its kind.
    pub cause: SyncCause,
    /// When it began, by the system's clock.
    pub began: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// What it brought; `None` if it failed.
    pub brought: Option<Brought>,
}

/// What a sync brought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Brought {
    /// Bytes of the snapshot; 0 for a partial sync.
    pub bytes: u64,
    /// Keys of the snapshot; 0 for a partial sync.
    pub keys: u64,
}

/// The syncs of one cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncsOf {
    /// The cause.
    pub cause: SyncCause,
    /// How long those took that succeeded.
    pub took: Durations,
    /// How many failed.
    pub failed: u64,
}

#[derive(Debug)]
struct Running {
    cause: SyncCause,
    began: SystemTime,
    since: Instant,
    /// Its snapshot is loaded, but held back.
    held: bool,
}

#[derive(Debug, Default)]
struct Inner {
    running: Option<Running>,
    last: VecDeque<SyncDone>,
    failed: [u64; SyncCause::ALL.len()],
}

/// The syncs of a replica.
#[derive(Debug, Default)]
pub struct Syncs {
    inner: Mutex<Inner>,
    took: [Spread; SyncCause::ALL.len()],
}

impl Syncs {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        // A poisoned lock still holds a whole value.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the server has granted a sync. `since` is when it began.
    pub(super) fn begin(&self, cause: SyncCause, since: Instant) {
        let mut inner = self.inner();
        let holds = inner.running.as_ref().is_some_and(|running| running.held);
        if holds && cause.kind() == SyncKind::Partial {
            // The link was lost while a snapshot was held back. The sync that brought it goes on.
            return;
        }
        inner.fail();
        let before = since.elapsed();
        inner.running = Some(Running {
            cause,
            began: SystemTime::now()
                .checked_sub(before)
                .unwrap_or(SystemTime::UNIX_EPOCH),
            since,
            held: false,
        });
    }

    /// Notes that the link has ended: a sync that is not done has failed.
    pub(super) fn link_ended(&self) {
        let mut inner = self.inner();
        if inner.running.as_ref().is_some_and(|running| !running.held) {
            inner.fail();
        }
    }

    /// Notes that the snapshot is loaded, but held back.
    pub fn hold(&self) {
        if let Some(running) = &mut self.inner().running {
            running.held = true;
        }
    }

    /// Notes that the sync under way is done. Returns when it began.
    pub fn finish(&self, brought: Brought) -> Option<Instant> {
        let mut inner = self.inner();
        let running = inner.running.take()?;
        let done = inner.end(&running, Some(brought));
        if let Some(spread) = self.took.get(done.cause as usize) {
            spread.record(done.took);
        }
        Some(running.since)
    }

    /// Returns the sync under way, and for how long it has been.
    #[must_use]
    pub fn running(&self) -> Option<(SyncCause, Duration)> {
        let inner = self.inner();
        let running = inner.running.as_ref()?;
        Some((running.cause, running.since.elapsed()))
    }

    /// Returns the last syncs that ended, oldest first.
    #[must_use]
    pub fn last(&self) -> Vec<SyncDone> {
        self.inner().last.iter().copied().collect()
    }

    /// Returns how many syncs there were of each cause, and how long they took.
    #[must_use]
    pub fn by_cause(&self) -> Vec<SyncsOf> {
        let failed = self.inner().failed;
        let causes = SyncCause::ALL.into_iter().zip(&self.took).zip(failed);
        let all = causes.map(|((cause, took), failed)| SyncsOf {
            cause,
            took: took.durations(),
            failed,
        });
        all.collect()
    }
}

impl Inner {
    fn fail(&mut self) {
        if let Some(running) = self.running.take() {
            self.end(&running, None);
            if let Some(failed) = self.failed.get_mut(running.cause as usize) {
                *failed += 1;
            }
        }
    }

    fn end(&mut self, running: &Running, brought: Option<Brought>) -> SyncDone {
        let done = SyncDone {
            cause: running.cause,
            began: running.began,
            took: running.since.elapsed(),
            brought,
        };
        if self.last.len() == KEPT {
            self.last.pop_front();
        }
        self.last.push_back(done);
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(syncs: &Syncs) -> Vec<(&'static str, u64, u64)> {
        let all = syncs.by_cause().into_iter();
        let all = all.map(|of| (of.cause.word(), of.took.count, of.failed));
        all.filter(|(_, done, failed)| done + failed > 0).collect()
    }

    #[test]
    fn a_sync_is_done_or_fails_with_its_link() {
        let (syncs, now) = (Syncs::default(), Instant::now());
        syncs.begin(SyncCause::FirstStart, now);
        assert_eq!(
            syncs.running().map(|(cause, _)| cause),
            Some(SyncCause::FirstStart)
        );
        syncs.link_ended();
        syncs.begin(SyncCause::SyncFailed, now);
        let brought = Brought { bytes: 5, keys: 1 };
        syncs.finish(brought);
        syncs.link_ended();
        let expected = [("first_start", 0, 1), ("sync_failed", 1, 0)];
        assert_eq!(counts(&syncs), expected);
        let last = syncs.last().into_iter();
        let last: Vec<_> = last.map(|done| (done.cause, done.brought)).collect();
        let expected = [
            (SyncCause::FirstStart, None),
            (SyncCause::SyncFailed, Some(brought)),
        ];
        assert_eq!(last, expected);
    }

    #[test]
    fn a_snapshot_that_is_held_back_outlives_its_link() {
        let (syncs, now) = (Syncs::default(), Instant::now());
        syncs.begin(SyncCause::OtherHistory, now);
        syncs.hold();
        syncs.link_ended();
        syncs.begin(SyncCause::LinkLost, now);
        syncs.finish(Brought::default());
        assert_eq!(counts(&syncs), [("other_history", 1, 0)]);
        // Another snapshot replaces one that is held back.
        syncs.begin(SyncCause::OtherHistory, now);
        syncs.hold();
        syncs.begin(SyncCause::PartialRefused, now);
        syncs.finish(Brought::default());
        let expected = [("partial_refused", 1, 0), ("other_history", 1, 1)];
        assert_eq!(counts(&syncs), expected);
    }

    #[test]
    fn only_the_last_are_kept_one_by_one() {
        let syncs = Syncs::default();
        for bytes in 0..40 {
            syncs.begin(SyncCause::LinkLost, Instant::now());
            syncs.finish(Brought { bytes, keys: 0 });
        }
        let last = syncs.last().into_iter();
        let last: Vec<_> = last
            .filter_map(|done| done.brought)
            .map(|brought| brought.bytes)
            .collect();
        assert_eq!(last, (24..40).collect::<Vec<_>>());
        assert_eq!(counts(&syncs), [("link_lost", 40, 0)]);
        assert!(
            SyncCause::ALL
                .iter()
                .enumerate()
                .all(|(at, cause)| *cause as usize == at)
        );
    }
}

//! When to come back after a connection has ended: soon, but never so as to hurt the primary.

use std::time::{Duration, Instant};

use super::config::Timing;
use super::error::Error;
use super::link::{ReplId, Resume, Start};

/// A link that the primary closes sooner than this after it began to stream had no time to prove itself.
const SETTLED: Duration = Duration::from_secs(10);

/// A history that grew by less than this during a full sync left next to nothing in the primary's output buffer for us: less
/// than its backlog has by default, below which servers do not look at that buffer's limit (redis 7.0 networking.c,
/// `checkClientOutputBufferLimits`).
const BUFFERED_BYTES_MIN: u64 = 1 << 20;

/// So many links in a row that the primary closed during or right after a full sync are no accident.
const DROPS_SUSPICIOUS: u32 = 2;

/// A connection that has ended, as far as pacing looks at it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Past {
    /// How the primary started it, if it came that far.
    pub(super) start: Option<Start>,
    /// How long it had been streaming, if it came that far.
    pub(super) streamed: Option<Duration>,
    /// Whether anything was applied.
    pub(super) advanced: bool,
    /// Whether the next one can ask to resume.
    pub(super) resumes: bool,
    /// Whether there is another server that was not tried since the last pause.
    pub(super) others_left: bool,
}

/// What is remembered of earlier connections.
#[derive(Debug, Default)]
pub(super) struct Pacing {
    failures: u32,
    drops: u32,
    last_full: Option<Full>,
    /// The primary answered the last wish to resume its history with a full sync, and will likely do so again.
    refused: bool,
    /// Full syncs in a row that answered a wish to resume, of whatever history.
    surprises: u32,
    /// The link that began with the last of them has lasted.
    settled: bool,
}

/// A full sync.
#[derive(Debug, Clone, Copy)]
struct Full {
    replid: ReplId,
    offset: u64,
    /// When it began.
    at: Instant,
}

impl Pacing {
    /// The primary has accepted a connection.
    pub(super) fn accepted(&mut self, start: Start, asked: Option<Resume>) {
        let Start::Full { replid, offset } = start else {
            (self.refused, self.surprises) = (false, 0);
            return;
        };
        self.refused = asked.is_some_and(|resume| resume.replid == replid);
        self.surprises = asked.map_or(0, |_| self.surprises + 1);
        self.settled = false;
        if !self.may_have_filled_a_buffer(replid, offset) {
            self.drops = 0;
        }
        let at = Instant::now();
        self.last_full = Some(Full { replid, offset, at });
    }

    /// Whether an output buffer can be why the primary closed the connection of the last full sync: its history is that one, and
    /// has grown since. A primary that was restarted, or another one, has its own reasons to close connections.
    fn may_have_filled_a_buffer(&self, replid: ReplId, offset: u64) -> bool {
        self.last_full.is_some_and(|last| {
            last.replid == replid && offset.saturating_sub(last.offset) >= BUFFERED_BYTES_MIN
        })
    }

    /// A connection has ended with `error`. Gives the error, which may now say more, and how long to wait.
    pub(super) fn ended(&mut self, past: Past, error: Error, timing: &Timing) -> (Error, Duration) {
        // A link that applied something did well, however it ended. One that is only accepted and dropped did not.
        self.failures = if past.advanced {
            0
        } else {
            self.failures + u32::from(!past.others_left)
        };
        self.settle(past, timing);
        let needs_full = self.needs_full(past);
        let error = self.suspect(past, error, needs_full);
        let steps = self.failures.max(self.drops);
        // A server that did not accept us has no more part in this round; one that did may have been hurt by it.
        let delay = if past.others_left && past.start.is_none() {
            Duration::ZERO
        } else {
            error.delay(steps, timing)
        };
        let floor = if needs_full {
            self.floor(timing)
        } else {
            Duration::ZERO
        };
        (error, delay.max(floor))
    }

    /// Whether the next connection will likely be answered with a full sync: nothing can be resumed, or what could be was
    /// refused. A primary that comes with another history each time is believed once that it can resume the last one, and only
    /// after its link has lasted.
    pub(super) const fn needs_full(&self, past: Past) -> bool {
        let surprises = match self.surprises {
            0 => false,
            1 => !self.settled,
            _ => true,
        };
        !past.resumes || self.refused || surprises
    }

    /// A link that lasted clears the primary of earlier full syncs: at once of one, after the floor's time of all.
    fn settle(&mut self, past: Past, timing: &Timing) {
        let streamed = past.streamed.unwrap_or_default();
        self.settled |= streamed >= SETTLED;
        if streamed >= SETTLED.max(timing.resync_floor) {
            self.surprises = 0;
        }
    }

    /// Counts links that the primary drops during or right after their full sync: its output buffer for us is too small.
    fn suspect(&mut self, past: Past, error: Error, needs_full: bool) -> Error {
        // A primary that cannot be reached tells nothing about why it dropped the links before.
        let Some(start) = past.start else {
            return error;
        };
        let unsettled = past.streamed.is_none_or(|streamed| streamed < SETTLED);
        let full = matches!(start, Start::Full { .. });
        if !(full && unsettled && error.is_closing()) {
            self.drops = 0;
            return error;
        }
        self.drops += 1;
        // One that can be resumed costs the primary nothing.
        if self.drops < DROPS_SUSPICIOUS || !needs_full {
            return error;
        }
        Error::Dropped {
            times: self.drops,
            whole: past.streamed.is_some(),
            ended: Box::new(error),
        }
    }

    /// What is missing until the next full sync may be asked for.
    fn floor(&self, timing: &Timing) -> Duration {
        self.last_full.map_or(Duration::ZERO, |last| {
            timing.resync_floor.saturating_sub(last.at.elapsed())
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn id(digit: u8) -> ReplId {
        let digits = vec![digit; 40];
        String::from_utf8(digits).unwrap().parse().unwrap()
    }

    fn full() -> Start {
        full_of(b'1', 1)
    }

    fn full_of(digit: u8, offset: u64) -> Start {
        Start::Full {
            replid: id(digit),
            offset,
        }
    }

    /// How long to wait after a link that `streamed` when the last full sync has just begun: the floor, or next to nothing.
    fn waits_for_floor(pacing: &mut Pacing, advanced: bool, streamed: Option<Duration>) -> bool {
        let past = Past {
            start: Some(full()),
            streamed,
            advanced,
            resumes: true,
            others_left: false,
        };
        let (_, delay) = pacing.ended(past, Error::Closed("x"), &timing());
        assert!(delay < timing().retry_max || delay > Duration::from_secs(99));
        delay > timing().retry_max
    }

    #[test]
    fn a_new_history_that_is_cut_while_old_data_is_held_waits_for_the_floor() {
        let mut pacing = Pacing::default();
        pacing.accepted(full_of(b'2', 1), resume());
        assert!(waits_for_floor(&mut pacing, false, None));
        let unreachable = Past {
            resumes: true,
            ..Past::default()
        };
        assert!(
            pacing.needs_full(unreachable),
            "still so after a failed connection"
        );
        pacing.accepted(Start::Continue { replid: None }, resume());
        assert!(!pacing.needs_full(unreachable));
    }

    #[test]
    fn a_new_history_each_time_is_believed_once_and_only_after_its_link_has_lasted() {
        let mut pacing = Pacing::default();
        pacing.accepted(full_of(b'2', 1), None);
        assert!(!waits_for_floor(&mut pacing, true, Some(Duration::ZERO)));
        pacing.accepted(full_of(b'3', 1), resume());
        assert!(waits_for_floor(&mut pacing, true, Some(Duration::ZERO)));
        let mut pacing = Pacing::default();
        pacing.accepted(full_of(b'3', 1), resume());
        assert!(!waits_for_floor(&mut pacing, true, Some(SETTLED)));
        pacing.accepted(full_of(b'4', 1), resume());
        assert!(waits_for_floor(&mut pacing, true, Some(SETTLED)));
        // One that lasted for the floor's time owes nothing.
        assert!(!waits_for_floor(
            &mut pacing,
            true,
            Some(timing().resync_floor)
        ));
    }

    fn resume() -> Option<Resume> {
        Some(Resume {
            replid: id(b'1'),
            offset: 1,
        })
    }

    fn dropped(streamed: Option<Duration>) -> Past {
        Past {
            start: Some(full()),
            streamed,
            advanced: streamed.is_some(),
            resumes: streamed.is_some(),
            others_left: false,
        }
    }

    fn timing() -> Timing {
        Timing {
            resync_floor: Duration::from_secs(100),
            ..Timing::default()
        }
    }

    #[test]
    fn a_second_full_sync_waits_for_the_floor_and_a_resume_does_not() {
        let mut pacing = Pacing::default();
        pacing.accepted(full(), None);
        let past = Past {
            start: Some(full()),
            ..Past::default()
        };
        let (_, delay) = pacing.ended(past, Error::Closed("x"), &timing());
        assert!(delay > Duration::from_secs(99), "{delay:?}");
        let past = Past {
            streamed: Some(SETTLED),
            advanced: true,
            resumes: true,
            ..past
        };
        let (_, delay) = pacing.ended(past, Error::Closed("x"), &timing());
        assert!(delay < Duration::from_secs(1), "{delay:?}");
    }

    #[test]
    fn a_primary_that_refuses_to_resume_is_asked_no_faster_than_the_floor() {
        let mut pacing = Pacing::default();
        pacing.accepted(full(), resume());
        let past = Past {
            start: Some(full()),
            streamed: Some(Duration::from_secs(60)),
            advanced: true,
            resumes: true,
            others_left: false,
        };
        let (_, delay) = pacing.ended(past, Error::Closed("x"), &timing());
        assert!(delay > Duration::from_secs(99), "{delay:?}");
    }

    #[test]
    fn another_server_is_tried_at_once_but_for_a_full_sync() {
        let others_left = Past {
            others_left: true,
            ..Past::default()
        };
        let mut pacing = Pacing::default();
        for _ in 0..5 {
            let (_, delay) = pacing.ended(others_left, Error::Closed("x"), &timing());
            assert_eq!(delay, Duration::ZERO);
        }
        let (_, delay) = pacing.ended(Past::default(), Error::Closed("x"), &timing());
        assert!(
            delay < timing().retry_first * 4,
            "one round is one failure: {delay:?}"
        );
        pacing.accepted(full(), None);
        let (_, delay) = pacing.ended(others_left, Error::Closed("x"), &timing());
        assert!(delay > Duration::from_secs(99), "{delay:?}");
    }

    #[test]
    fn two_drops_right_after_full_syncs_of_one_history_name_the_setting_and_wait_longer() {
        let (mut pacing, timing) = (Pacing::default(), Timing::default());
        let closed = || Error::Closed("sending to us");
        pacing.accepted(full(), None);
        let streamed = dropped(Some(Duration::ZERO));
        let (first, delay) = pacing.ended(streamed, closed(), &timing);
        assert!(matches!(first, Error::Closed(_)), "{first}");
        assert!(delay < Duration::from_secs(1), "{delay:?}");
        pacing.accepted(full_of(b'1', BUFFERED_BYTES_MIN + 1), resume());
        let (second, delay) = pacing.ended(streamed, closed(), &timing);
        assert!(
            second.to_string().contains("client-output-buffer-limit"),
            "{second}"
        );
        assert!(delay >= timing.retry_refused / 2, "{delay:?}");
        // One that lasted shows that the buffer suffices.
        let lasted = dropped(Some(Duration::from_secs(60)));
        let (after, _) = pacing.ended(lasted, closed(), &timing);
        assert!(matches!(after, Error::Closed(_)), "{after}");
    }

    #[test]
    fn drops_while_nothing_was_written_are_not_the_buffers() {
        let (mut pacing, timing) = (Pacing::default(), timing());
        for times in 0..5_u64 {
            // As when its snapshot is killed by FLUSHALL again and again.
            pacing.accepted(full_of(b'1', times * (BUFFERED_BYTES_MIN - 1)), None);
            let (error, delay) = pacing.ended(dropped(None), Error::Closed("x"), &timing);
            assert!(matches!(error, Error::Closed(_)), "{error}");
            assert!(delay <= timing.resync_floor, "{delay:?}");
        }
    }

    #[test]
    fn a_drop_before_the_snapshot_is_whole_may_have_two_reasons_and_a_later_one_has_one() {
        for (streamed, both) in [(None, true), (Some(Duration::ZERO), false)] {
            let mut pacing = Pacing::default();
            let mut last = String::new();
            for times in 0..2 {
                pacing.accepted(full_of(b'1', times * BUFFERED_BYTES_MIN), resume());
                let (error, _) = pacing.ended(dropped(streamed), Error::Closed("x"), &timing());
                last = error.to_string();
            }
            assert!(last.contains("client-output-buffer-limit"), "{last}");
            assert_eq!(last.contains("FLUSHALL"), both, "{last}");
        }
    }

    #[test]
    fn a_primary_that_was_restarted_is_not_suspected() {
        let mut pacing = Pacing::default();
        let timing = Timing {
            resync_floor: Duration::ZERO,
            ..Timing::default()
        };
        let streamed = dropped(Some(Duration::ZERO));
        for digit in b'1'..=b'5' {
            let start = Start::Full {
                replid: id(digit),
                offset: 1,
            };
            pacing.accepted(start, resume().filter(|_| digit > b'1'));
            let (error, delay) = pacing.ended(streamed, Error::Closed("x"), &timing);
            assert!(matches!(error, Error::Closed(_)), "{error}");
            assert!(delay < Duration::from_secs(1), "{delay:?}");
        }
    }

    #[test]
    fn silence_and_faults_of_our_own_are_no_drops() {
        let mut pacing = Pacing::default();
        for _ in 0..5 {
            let silence = Error::Silence(Duration::ZERO, "x");
            let (error, _) = pacing.ended(dropped(None), silence, &Timing::default());
            assert!(matches!(error, Error::Silence(..)), "{error}");
        }
    }
}

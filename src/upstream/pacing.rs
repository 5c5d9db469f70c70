//! When to reconnect after a connection has ended: soon, but never so often that it hurts the primary.
//!
//! Most retries follow quickly, with a delay that doubles. A retry that will likely be answered with a full sync costs the
//! primary a fork and all its data, so full syncs start at least [`Timing::resync_floor`] apart, whatever history they are of.
//! If a primary closes the connection during or right after several full syncs in a row, while it wrote enough to fill the
//! output buffer that it keeps for redtail, then that buffer is most likely too small: the error says so, and the delay grows.

use std::time::{Duration, Instant};

use super::config::Timing;
use super::error::Error;
use super::link::Start;
use crate::history::{Point, ReplId};

/// A link that the primary closes sooner than this after the stream started has not proved that it works.
const SETTLED: Duration = Duration::from_secs(10);

/// A history that grew by less than this during a full sync left almost nothing in the primary's output buffer for redtail.
/// It is the default size of the backlog, and servers do not check that buffer's limit while the buffer is smaller than the
/// backlog (redis 7.0 networking.c, `checkClientOutputBufferLimits`).
const BUFFERED_BYTES_MIN: u64 = 1 << 20;

/// When the primary closes this number of links in a row during a full sync or right after it, that is no accident.
const DROPS_SUSPICIOUS: u32 = 2;

/// What pacing needs to know about a connection that has ended.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Past {
    /// How the primary answered PSYNC, if the connection got that far.
    pub(super) start: Option<Start>,
    /// How long the connection had been streaming, if it got that far.
    pub(super) streamed: Option<Duration>,
    /// Whether anything was applied.
    pub(super) advanced: bool,
    /// Whether the next connection can ask to resume.
    pub(super) resumes: bool,
    /// Whether there is another server that has not been tried since the last pause.
    pub(super) others_left: bool,
}

/// What redtail remembers about earlier connections.
#[derive(Debug, Default)]
pub(super) struct Pacing {
    failures: u32,
    drops: u32,
    last_full: Option<Full>,
    /// The primary answered the last request to resume its history with a full sync, and will likely do so again.
    refused: bool,
    /// Full syncs in a row that answered a request to resume any history.
    surprises: u32,
    /// Whether the link that started with the last full sync has lasted.
    settled: bool,
}

/// A full sync.
#[derive(Debug, Clone, Copy)]
struct Full {
    replid: ReplId,
    offset: u64,
    /// When it started.
    at: Instant,
}

impl Pacing {
    /// Notes that the primary has accepted a connection.
    pub(super) fn accepted(&mut self, start: Start, asked: Option<Point>) {
        let Start::Full(Point { replid, offset }) = start else {
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

    /// Whether a full output buffer can be the reason why the primary closed the connection of the last full sync: the
    /// history is the same, and has grown since. A primary that was restarted, or a different one, has other reasons to
    /// close connections.
    fn may_have_filled_a_buffer(&self, replid: ReplId, offset: u64) -> bool {
        self.last_full.is_some_and(|last| {
            last.replid == replid && offset.saturating_sub(last.offset) >= BUFFERED_BYTES_MIN
        })
    }

    /// Notes that a connection has ended with `error`. Returns the error, which may now say more, and how long to wait.
    pub(super) fn ended(&mut self, past: Past, error: Error, timing: &Timing) -> (Error, Duration) {
        // A link that applied something did well, no matter how it ended. One that was only accepted and then dropped did
        // not.
        self.failures = if past.advanced {
            0
        } else {
            self.failures + u32::from(!past.others_left)
        };
        self.settle(past, timing);
        let needs_full = self.needs_full(past);
        let error = self.suspect(past, error, needs_full);
        let steps = self.failures.max(self.drops);
        // A server that did not accept redtail is out of this round. One that did accept may have suffered from it.
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

    /// Whether the primary will likely answer the next connection with a full sync: redtail cannot resume, or the primary
    /// refused to. A primary that presents a different history each time is trusted once to resume its last one, and only
    /// after that link has lasted.
    pub(super) const fn needs_full(&self, past: Past) -> bool {
        let surprises = match self.surprises {
            0 => false,
            1 => !self.settled,
            _ => true,
        };
        !past.resumes || self.refused || surprises
    }

    /// A link that lasted clears the primary of earlier full syncs: of one at [`SETTLED`], of all after the time of the
    /// floor.
    fn settle(&mut self, past: Past, timing: &Timing) {
        let streamed = past.streamed.unwrap_or_default();
        self.settled |= streamed >= SETTLED;
        if streamed >= SETTLED.max(timing.resync_floor) {
            self.surprises = 0;
        }
    }

    /// Counts links that the primary closes during their full sync or right after it: its output buffer for redtail is too
    /// small.
    fn suspect(&mut self, past: Past, error: Error, needs_full: bool) -> Error {
        // A primary that cannot be reached says nothing about why it dropped earlier links.
        let Some(start) = past.start else {
            return error;
        };
        let unsettled = past.streamed.is_none_or(|streamed| streamed < SETTLED);
        let full = matches!(start, Start::Full(_));
        if !(full && unsettled && error.is_closing()) {
            self.drops = 0;
            return error;
        }
        self.drops += 1;
        // A link that can be resumed costs the primary nothing.
        if self.drops < DROPS_SUSPICIOUS || !needs_full {
            return error;
        }
        Error::Dropped {
            times: self.drops,
            whole: past.streamed.is_some(),
            ended: Box::new(error),
        }
    }

    /// Returns the time left until redtail may ask for the next full sync.
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
        Start::Full(Point {
            replid: id(digit),
            offset,
        })
    }

    /// Whether redtail waits for the floor after a link that `streamed`, when the last full sync has just started. Otherwise
    /// the wait is next to nothing.
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
        // A link that lasted for the time of the floor clears all.
        assert!(!waits_for_floor(
            &mut pacing,
            true,
            Some(timing().resync_floor)
        ));
    }

    fn resume() -> Option<Point> {
        Some(Point {
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
        // A link that lasted shows that the buffer is large enough.
        let lasted = dropped(Some(Duration::from_secs(60)));
        let (after, _) = pacing.ended(lasted, closed(), &timing);
        assert!(matches!(after, Error::Closed(_)), "{after}");
    }

    #[test]
    fn drops_while_nothing_was_written_are_not_the_buffers() {
        let (mut pacing, timing) = (Pacing::default(), timing());
        for times in 0..5_u64 {
            // This happens when FLUSHALL kills its snapshot process again and again.
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
            let start = Start::Full(Point {
                replid: id(digit),
                offset: 1,
            });
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

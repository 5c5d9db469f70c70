//! Remembers when the bytes that wait in a spool arrived.

use std::collections::VecDeque;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Maximum number of marks. With more, every second one is dropped.
const MARKS_MAX: usize = 1024;

/// The least time between two marks once there were too many.
const APART_MIN: Duration = Duration::from_millis(1);

/// When bytes arrived that wait: a mark for each arrival, or for each stretch of time when there are many. A byte never counts
/// as younger than it is.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// The number of the first byte that a mark stands for, and when it arrived.
    marks: VecDeque<(u64, Instant)>,
    /// All bytes that arrived.
    arrived: u64,
    /// Those that wait no more.
    taken: u64,
    /// The least time between two marks.
    apart: Duration,
}

impl Marks {
    /// Notes that `bytes` have arrived at `now`.
    pub(super) fn note(&mut self, bytes: usize, now: Instant) {
        let last = self.marks.back();
        if last.is_none_or(|(_, at)| now.saturating_duration_since(*at) >= self.apart) {
            self.marks.push_back((self.arrived, now));
        }
        self.arrived += bytes as u64;
        if self.marks.len() > MARKS_MAX {
            self.thin();
        }
    }

    /// Drops every second mark: its bytes count as old as those before them.
    fn thin(&mut self) {
        let mut keeps = false;
        self.marks.retain(|_| {
            keeps = !keeps;
            keeps
        });
        self.apart = (self.apart * 2).max(APART_MIN);
    }

    /// Takes the next `bytes`. Returns when the first of them arrived.
    pub(super) fn take(&mut self, bytes: usize) -> Option<Instant> {
        let at = self.oldest();
        self.taken += bytes as u64;
        if self.taken >= self.arrived {
            self.marks.clear();
            self.apart = Duration::ZERO;
        }
        while self
            .marks
            .get(1)
            .is_some_and(|(first, _)| *first <= self.taken)
        {
            self.marks.pop_front();
        }
        at
    }

    /// Returns when the oldest byte arrived that waits; `None` if none waits.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.marks.front().map(|(_, at)| *at)
    }
}

/// A moment that one thread sets and others read; or none.
#[derive(Debug, Default)]
pub struct Moment(AtomicU64);

impl Moment {
    /// The moment that all are counted from.
    fn base() -> Instant {
        static BASE: OnceLock<Instant> = OnceLock::new();
        *BASE.get_or_init(Instant::now)
    }

    /// Sets the moment.
    pub fn set(&self, at: Option<Instant>) {
        let nanos = at.map_or(0, |at| {
            let since = at.saturating_duration_since(Self::base()).as_nanos();
            u64::try_from(since).unwrap_or(u64::MAX - 1).max(1)
        });
        self.0.store(nanos, Ordering::Release);
    }

    /// Returns the moment.
    #[must_use]
    pub fn get(&self) -> Option<Instant> {
        let nanos = self.0.load(Ordering::Acquire);
        (nanos > 0).then(|| Self::base() + Duration::from_nanos(nanos))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn bytes_are_as_old_as_the_first_of_them_that_waits() {
        let (mut marks, now) = (Marks::default(), Instant::now());
        assert_eq!(marks.oldest(), None);
        for number in 0..3 {
            marks.note(10, now + MS * number);
        }
        assert_eq!(marks.take(5), Some(now));
        assert_eq!(marks.oldest(), Some(now));
        assert_eq!(marks.take(5), Some(now));
        assert_eq!(marks.oldest(), Some(now + MS));
        assert_eq!(marks.take(15), Some(now + MS));
        assert_eq!(marks.take(5), Some(now + MS * 2));
        assert_eq!((marks.oldest(), marks.take(0)), (None, None));
    }

    #[test]
    fn many_marks_become_few_and_no_byte_becomes_younger() {
        let (mut marks, now) = (Marks::default(), Instant::now());
        let arrivals = 100_000;
        for number in 0..arrivals {
            marks.note(1, now + MS * number);
            assert!(marks.marks.len() <= MARKS_MAX);
        }
        for number in 0..arrivals {
            let at = marks.take(1).unwrap_or(now + MS * arrivals);
            assert!(at <= now + MS * number, "{number}");
            assert!(at + MS * 1024 >= now + MS * number, "{number}");
        }
        assert_eq!((marks.oldest(), marks.apart), (None, Duration::ZERO));
    }

    #[test]
    fn a_moment_is_what_was_set_or_none() {
        let (moment, now) = (Moment::default(), Instant::now() + MS);
        assert_eq!(moment.get(), None);
        moment.set(Some(now));
        assert_eq!(moment.get(), Some(now));
        moment.set(None);
        assert_eq!(moment.get(), None);
    }
}

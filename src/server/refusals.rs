//! Slowing down a connection that is refused again and again.
//!
//! Some clients ask again at once for what they will never get: one that could not SUBSCRIBE asked 12,000 times a second. A refusal costs
//! nothing while there are few. A connection has [`BURST`] of them at once and [`PER_SECOND`] lasting; one that is refused more waits
//! before its next requests are read, as long as it takes to be within that again: 10 ms for each refusal too many, so the longer the
//! storm the longer the wait, but never above [`WAIT_MAX`]. Requests that were sent already are answered without a pause, in order: a
//! pipeline of a thousand writes learns at once that all of them are refused, and only then has to wait. Nobody else waits.

use std::time::{Duration, Instant};

/// What a client may be refused at once: what libraries try as they start is a dozen, what tools look for a few dozen.
const BURST: u32 = 100;

/// What it may be refused in a second for ever: far more than anybody who waits between tries asks for, and no load at all.
const PER_SECOND: u32 = 100;

/// A client that gets no answer for longer than this may take the connection for dead.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// The refusals of one connection.
#[derive(Debug)]
pub(super) struct Refusals {
    /// How many are free at `seen`; below zero what has to be waited for.
    free: f64,
    seen: Instant,
}

impl Refusals {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            free: f64::from(BURST),
            seen: now,
        }
    }

    /// Counts `refused` more at `now`. Gives how long to wait for that before the next requests are read.
    pub(super) fn count(&mut self, refused: u32, now: Instant) -> Option<Duration> {
        let earned = (now - self.seen).as_secs_f64() * f64::from(PER_SECOND);
        self.seen = now;
        let most_owed = WAIT_MAX.as_secs_f64() * f64::from(PER_SECOND);
        let free = (self.free + earned).min(f64::from(BURST)) - f64::from(refused);
        self.free = free.max(-most_owed);
        (self.free < 0.0).then(|| Duration::from_secs_f64(-self.free / f64::from(PER_SECOND)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_refusals_cost_nothing_and_a_storm_is_held_to_its_rate() {
        let begun = Instant::now();
        let mut refusals = Refusals::new(begun);
        assert!((0..BURST).all(|_| refusals.count(1, begun).is_none()));
        let (mut now, mut asked) = (begun, 0);
        while now - begun < Duration::from_secs(10) {
            asked += 1;
            // A request and its reply take 30 us; then comes the wait.
            now += Duration::from_micros(30);
            now += refusals.count(1, now).unwrap_or_default();
        }
        assert!((990..=1001).contains(&asked), "{asked}");
        now += Duration::from_secs(60);
        assert_eq!(refusals.count(BURST, now), None, "a pause makes all good");
    }

    #[test]
    fn the_wait_grows_with_the_refusals_up_to_a_second() {
        let now = Instant::now();
        let wait = |refused| Refusals::new(now).count(refused, now).unwrap_or_default();
        assert_eq!(wait(BURST), Duration::ZERO);
        assert_eq!(wait(BURST + 1), Duration::from_millis(10));
        assert_eq!(wait(BURST + 50), Duration::from_millis(500));
        assert_eq!(wait(1_000_000), WAIT_MAX);
    }
}

//! Slows down a connection that is refused again and again.
//!
//! Some clients retry at once what they will never get: one that could not SUBSCRIBE tried 12,000 times a second. A few refusals
//! cost nothing: a connection may have [`BURST`] at once and [`PER_SECOND`] sustained. A connection that is refused more often
//! waits before its next requests are read, until it is within that rate again. That is 10 ms for each excess refusal, so a
//! longer storm waits longer, but never more than [`WAIT_MAX`]. Requests that were already sent are answered in order without a
//! pause: a pipeline of a thousand writes gets all its refusals at once, and only then waits. No other connection waits.

use std::time::{Duration, Instant};

/// The number of refusals that a client may get at once. Libraries try a dozen commands at their start, tools a few dozen.
const BURST: u32 = 100;

/// The number of refusals per second that a client may get forever. It is far more than a client needs that waits between
/// retries, and a negligible load.
const PER_SECOND: u32 = 100;

/// The longest wait. A client that gets no reply for longer may consider the connection dead.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// The refusals of one connection.
#[derive(Debug)]
pub(super) struct Refusals {
    /// The number of refusals that are free at `seen`. If negative, the connection has to wait for them.
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

    /// Counts `refused` more refusals at `now`. Returns how long to wait before the next requests are read.
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
            // A request and its reply take 30 µs; then the connection waits.
            now += Duration::from_micros(30);
            now += refusals.count(1, now).unwrap_or_default();
        }
        assert!((990..=1001).contains(&asked), "{asked}");
        now += Duration::from_secs(60);
        assert_eq!(refusals.count(BURST, now), None, "a pause restores it all");
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

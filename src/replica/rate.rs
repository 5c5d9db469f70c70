//! Slows the writer down on purpose, for machines that it must not have to itself.

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

/// Limits a flow to `bytes_per_second`.
#[derive(Debug)]
pub(super) struct Rate {
    bytes_per_second: NonZeroU64,
    /// When everything that has passed would have passed at that rate.
    due: Instant,
}

impl Rate {
    pub(super) fn new(bytes_per_second: NonZeroU64) -> Self {
        Self {
            bytes_per_second,
            due: Instant::now(),
        }
    }

    /// How long to wait before processing `bytes` more.
    pub(super) fn delay(&mut self, bytes: usize, now: Instant) -> Duration {
        // Idle time is not made up for.
        let start = self.due.max(now);
        let takes = bytes as f64 / self.bytes_per_second.get() as f64;
        self.due = start + Duration::from_secs_f64(takes);
        start.saturating_duration_since(now)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn bytes_pass_at_the_rate_and_idle_time_is_not_made_up_for() {
        let mut rate = Rate::new(NonZeroU64::new(1000).unwrap());
        let now = rate.due;
        assert_eq!(rate.delay(500, now), Duration::ZERO);
        assert_eq!(rate.delay(500, now), Duration::from_millis(500));
        assert_eq!(rate.delay(1, now), Duration::from_secs(1));
        let later = now + Duration::from_secs(60);
        assert_eq!(rate.delay(2000, later), Duration::ZERO);
        assert_eq!(rate.delay(1, later), Duration::from_secs(2));
    }
}

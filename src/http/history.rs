//! The last minutes, one point for each second, for the page's lines.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::reads::{self, FamilyReads};
use crate::command::{Histogram, Host as _, resident};
use crate::server::Server;
use crate::store::unix_ms;

/// Time between two points.
pub(super) const EVERY: Duration = Duration::from_secs(1);

/// Number of points kept: ten minutes.
const KEPT: usize = 600;

/// Number of points whose reads are recent.
const RECENT: usize = 10;

/// The figures of one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Point {
    pub(super) at_unix_ms: i64,
    /// `None` while there is no data.
    pub(super) lag_bytes: Option<u64>,
    pub(super) lag_seconds: Option<f64>,
    pub(super) rates: Rates,
    /// The reads' 99th percentile in the last second.
    pub(super) p99_seconds: Option<f64>,
    /// Their median and 99th percentile in the last seconds: see [`RECENT`].
    pub(super) recent_seconds: Option<(f64, f64)>,
    pub(super) resident_bytes: u64,
    pub(super) is_up: bool,
}

/// What a second brought.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Rates {
    /// Bytes of the primary's stream, or of a snapshot.
    pub(super) stream_bytes: f64,
    /// Commands of the stream.
    pub(super) stream_commands: f64,
    /// Reads of clients.
    pub(super) reads: f64,
}

/// The points of the last minutes.
#[derive(Debug, Default)]
pub(super) struct History(Mutex<VecDeque<Point>>);

/// Counts at one moment.
#[derive(Debug, Clone)]
struct Counts {
    at: Instant,
    stream_bytes: u64,
    stream_commands: u64,
    reads: FamilyReads,
}

impl Counts {
    /// What was counted since `before`, per second. A count that was reset in the meantime has grown by nothing.
    fn since(&self, before: &Self) -> Rates {
        let seconds = (self.at - before.at).as_secs_f64();
        let rate = |now: u64, then: u64| {
            let grown = now.saturating_sub(then) as f64;
            if seconds > 0.0 { grown / seconds } else { 0.0 }
        };
        Rates {
            stream_bytes: rate(self.stream_bytes, before.stream_bytes),
            stream_commands: rate(self.stream_commands, before.stream_commands),
            reads: rate(self.reads.calls, before.reads.calls),
        }
    }
}

impl History {
    fn points(&self) -> MutexGuard<'_, VecDeque<Point>> {
        // A poisoned lock still holds whole points.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, point: Point) {
        let mut points = self.points();
        if points.len() == KEPT {
            points.pop_front();
        }
        points.push_back(point);
    }

    /// Returns the points that are not older than `since` (Unix milliseconds), oldest first.
    pub(super) fn since(&self, since: i64) -> Vec<Point> {
        let points = self.points();
        let recent = points.iter().filter(|point| point.at_unix_ms >= since);
        recent.copied().collect()
    }

    /// Returns the newest point; all zero before the first.
    pub(super) fn last(&self) -> Point {
        self.points().back().copied().unwrap_or_default()
    }

    /// Adds a point each second until `stop`, and calls `beside` each time.
    pub(super) async fn sample(
        self: Arc<Self>,
        server: Arc<Server>,
        beside: impl Fn(),
        stop: CancellationToken,
    ) {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut recent = VecDeque::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let (point, counts) = look(&server, &recent);
            self.note(point);
            if recent.len() == RECENT {
                recent.pop_front();
            }
            recent.push_back(counts);
            beside();
        }
    }
}

/// Reads the figures of this moment, and the counts for later ones. `recent` holds those of the last seconds, oldest first.
fn look(server: &Server, recent: &VecDeque<Counts>) -> (Point, Counts) {
    let has_data = server.has_data();
    let replication = server.replication();
    let counts = Counts {
        at: Instant::now(),
        stream_bytes: replication.input_bytes,
        stream_commands: replication.applied_commands,
        reads: reads::all(&reads::by_family(server.statistics())),
    };
    let since = |before: &Counts| counts.reads.latencies.since(&before.reads.latencies);
    let last = recent.back().map(since).unwrap_or_default();
    let all = recent.front().map(since).unwrap_or_default();
    let point = Point {
        at_unix_ms: unix_ms(),
        lag_bytes: has_data.then(|| replication.lag_bytes()),
        lag_seconds: replication.lag.map(|lag| lag.as_secs_f64()),
        rates: recent
            .back()
            .map(|before| counts.since(before))
            .unwrap_or_default(),
        p99_seconds: quantile(&last, 0.99),
        recent_seconds: quantile(&all, 0.5).zip(quantile(&all, 0.99)),
        resident_bytes: resident().0,
        is_up: replication.down_for.is_none(),
    };
    (point, counts)
}

/// Returns a quantile in seconds.
pub(super) fn quantile(latencies: &Histogram, share: f64) -> Option<f64> {
    latencies
        .quantile(share)
        .map(|latency| latency.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_ten_minutes_and_returns_what_is_asked_for() {
        let history = History::default();
        assert_eq!(history.last(), Point::default());
        for at_unix_ms in 0..i64::try_from(KEPT).unwrap_or(0) + 3 {
            history.note(Point {
                at_unix_ms,
                ..Point::default()
            });
        }
        let points = history.since(i64::MIN);
        assert_eq!(points.len(), KEPT);
        assert_eq!(points.first().map(|point| point.at_unix_ms), Some(3));
        assert_eq!(history.since(601).len(), 2);
        assert_eq!(history.last().at_unix_ms, 602);
    }

    #[test]
    fn rates_are_per_second_and_a_reset_is_no_negative_rate() {
        let at = Instant::now();
        let reads = |calls| FamilyReads {
            calls,
            ..FamilyReads::default()
        };
        let before = Counts {
            at,
            stream_bytes: 100,
            stream_commands: 10,
            reads: reads(50),
        };
        let after = Counts {
            at: at + Duration::from_secs(2),
            stream_bytes: 300,
            stream_commands: 11,
            reads: reads(3),
        };
        let rates = after.since(&before);
        assert_eq!(
            (rates.stream_bytes, rates.stream_commands, rates.reads),
            (100.0, 0.5, 0.0)
        );
        assert_eq!(before.since(&before), Rates::default());
    }
}

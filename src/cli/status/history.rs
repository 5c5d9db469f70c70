//! What has been seen so far, for rates and small charts.

use std::time::Instant;

use super::facts::Facts;

/// Maximum number of points that are kept: five minutes.
const POINTS_MAX: usize = 300;

/// Rates between the last two looks; `None` before the second.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Rates {
    /// Bytes received from the primary, per second.
    pub(super) stream_bytes: Option<f64>,
    /// Commands applied, per second.
    pub(super) stream_commands: Option<f64>,
    /// Commands of clients, per second.
    pub(super) reads: Option<f64>,
}

/// The figures of the last minutes, oldest first.
#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) lag_bytes: Vec<f64>,
    pub(super) stream_bytes: Vec<f64>,
    pub(super) reads: Vec<f64>,
    pub(super) p99: Vec<f64>,
    last: Option<(Instant, Totals)>,
}

/// Counters that only grow while one process runs.
#[derive(Debug, Clone, PartialEq)]
struct Totals {
    process: Option<String>,
    received_bytes: Option<f64>,
    applied: Option<f64>,
    commands: Option<f64>,
}

impl History {
    /// Adds what was seen at a moment. Returns the rates since the last look.
    pub(super) fn add(&mut self, now: Instant, facts: &Facts) -> Rates {
        let totals = Totals {
            process: facts.text("/redtail/run_id"),
            received_bytes: facts.number("/link/received_bytes"),
            applied: facts.number("/stream/commands"),
            commands: facts.number("/reads/total"),
        };
        let before = self.last.replace((now, totals.clone()));
        let rates = before.map_or(Rates::default(), |(then, before)| {
            rates(&before, &totals, (now - then).as_secs_f64())
        });
        let p99 = facts.number("/reads/p99_seconds");
        let p99 = p99.or_else(|| facts.number("/reads/busiest/p99_seconds"));
        let known = [
            (&mut self.lag_bytes, facts.number("/link/lag_bytes")),
            (&mut self.stream_bytes, rates.stream_bytes),
            (&mut self.reads, rates.reads),
            (&mut self.p99, p99),
        ];
        for (points, number) in known {
            points.extend(number);
            let excess = points.len().saturating_sub(POINTS_MAX);
            points.drain(..excess);
        }
        rates
    }
}

/// Returns the rates over `seconds`; none across a restart, when counters begin again.
fn rates(before: &Totals, now: &Totals, seconds: f64) -> Rates {
    if before.process != now.process || seconds <= 0.0 {
        return Rates::default();
    }
    let rate = |before: Option<f64>, now: Option<f64>| {
        let growth = now? - before?;
        (growth >= 0.0).then_some(growth / seconds)
    };
    Rates {
        stream_bytes: rate(before.received_bytes, now.received_bytes),
        stream_commands: rate(before.applied, now.applied),
        // The question itself is a command too.
        reads: rate(before.commands, now.commands).map(|rate| (rate - 1.0 / seconds).max(0.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::time::Duration;

    fn facts(run: &str, bytes: u64, commands: u64) -> Facts {
        Facts::new(json!({
            "redtail": {"run_id": run},
            "link": {"received_bytes": bytes, "lag_bytes": 5},
            "reads": {"total": commands},
        }))
    }

    #[test]
    fn rates_are_differences_over_time_and_stop_at_a_restart() {
        let mut history = History::default();
        let start = Instant::now();
        let second = Duration::from_secs(1);
        assert_eq!(history.add(start, &facts("a", 100, 10)), Rates::default());
        let rates = history.add(start + 2 * second, &facts("a", 300, 21));
        assert_eq!((rates.stream_bytes, rates.reads), (Some(100.0), Some(5.0)));
        assert_eq!(rates.stream_commands, None);
        assert_eq!(
            history.add(start + 3 * second, &facts("b", 900, 90)),
            Rates::default()
        );
        assert_eq!(history.lag_bytes.len(), 3);
        assert_eq!(history.stream_bytes, [100.0]);
        for _ in 0..2 * POINTS_MAX {
            history.add(start + 4 * second, &facts("b", 0, 0));
        }
        assert_eq!(history.lag_bytes.len(), POINTS_MAX);
    }
}

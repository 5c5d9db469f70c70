//! INFO's sections about commands. Source: redis 7.0 server.c, `genRedisInfoStringCommandStats` and
//! `genRedisInfoStringLatencyStats`.

use std::collections::BTreeMap;

use super::info::{Facts, Text};
use crate::command::rows::{CallFigures, Histogram};

pub(super) fn commands(text: &mut Text, facts: &Facts<'_>) {
    let shows_refusals = facts.dialect.counts_rejected_calls();
    for figures in figures(facts) {
        let CallFigures {
            name,
            calls,
            rejected,
            failed,
            ..
        } = &figures;
        if *calls == 0 && !shows_refusals {
            continue;
        }
        let micros = figures.nanos / 1000;
        let each = figures.nanos as f64 / 1000.0 / (*calls).max(1) as f64;
        let mut line = format!("calls={calls},usec={micros},usec_per_call={each:.2}");
        if shows_refusals {
            line.push_str(&format!(",rejected_calls={rejected},failed_calls={failed}"));
        }
        text.entry(&format!("cmdstat_{name}"), line);
    }
}

/// Returns the figures of commands as the upstream's version lists them: before Redis 7.0, a container stands for its
/// subcommands.
fn figures(facts: &Facts<'_>) -> Vec<CallFigures> {
    let all = facts.host.statistics().calls.figures();
    if facts.dialect.has_subcommand_rows() {
        return all;
    }
    let mut containers: BTreeMap<String, CallFigures> = BTreeMap::new();
    for figures in all {
        let name = figures.name.split('|').next().unwrap_or_default();
        let sum = containers.entry(name.to_owned()).or_default();
        name.clone_into(&mut sum.name);
        sum.calls += figures.calls;
        sum.nanos += figures.nanos;
        sum.rejected += figures.rejected;
        sum.failed += figures.failed;
        sum.latencies.merge(&figures.latencies);
    }
    containers.into_values().collect()
}

pub(super) fn latencies(text: &mut Text, facts: &Facts<'_>) {
    let percentiles = facts.setting("latency-tracking-info-percentiles");
    let percentiles = percentiles.unwrap_or_else(|| "50 99 99.9".to_owned());
    for figures in figures(facts) {
        let micros = |percent: &str| micros_at(&figures.latencies, percent);
        let values: Option<Vec<String>> = percentiles.split_whitespace().map(micros).collect();
        if let Some(values) = values {
            let name = format!("latency_percentiles_usec_{}", figures.name);
            text.entry(&name, values.join(","));
        }
    }
}

/// Returns `p99=12.345`, or `None` if nothing was measured.
fn micros_at(latencies: &Histogram, percent: &str) -> Option<String> {
    let share: f64 = percent.parse().ok()?;
    let nanos = latencies.quantile(share / 100.0)?.as_nanos();
    Some(format!("p{percent}={:.3}", nanos as f64 / 1000.0))
}

pub(super) fn errors(text: &mut Text, facts: &Facts<'_>) {
    for (code, count) in facts.host.statistics().error_codes.all() {
        text.entry(&format!("errorstat_{code}"), format_args!("count={count}"));
    }
}

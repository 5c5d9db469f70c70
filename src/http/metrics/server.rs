//! What clients ask, and what it costs: reads by family, connections, memory by purpose, scripts.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Error;
use std::sync::atomic::{AtomicU64, Ordering};

use super::sheet::{Buckets, Sheet, label, number};
use crate::command::{Histogram, all};
use crate::http::facts::Facts;

/// The bounds of latency buckets, as powers of two of a nanosecond: from one microsecond to 17 seconds.
const POWERS: std::ops::RangeInclusive<u32> = 10..=34;

pub(super) fn write(sheet: &mut Sheet<'_>, facts: &Facts) -> Result<(), Error> {
    let (major, minor, patch) = facts
        .dialect
        .map(|dialect| dialect.version)
        .unwrap_or_default();
    let dialect = facts
        .dialect
        .map(|dialect| format!("{:?} {major}.{minor}.{patch}", dialect.family).to_lowercase());
    let build = vec![
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("dialect", dialect.unwrap_or_default()),
    ];
    sheet.gauges(
        "redtail_build_info",
        "Always 1: the version of redtail, and of the server whose replies it gives (empty before the first sync).",
        [(build, 1.0)],
    )?;
    sheet.gauge(
        "redtail_uptime_seconds",
        "How long redtail has run.",
        facts.uptime().as_secs_f64(),
    )?;
    commands(sheet, facts)?;
    clients(sheet, facts)?;
    scripts(sheet, facts)?;
    memory(sheet, facts)
}

/// What was called of one family.
#[derive(Default)]
struct Called {
    calls: u64,
    rejected: u64,
    failed: u64,
    latencies: Histogram,
}

fn commands(sheet: &mut Sheet<'_>, facts: &Facts) -> Result<(), Error> {
    let groups: HashMap<&str, &'static str> = all()
        .map(|(group, command)| (command.name, group))
        .collect();
    // A family that nobody has called yet is there, too.
    let mut families: BTreeMap<&'static str, Called> = groups
        .values()
        .map(|group| (*group, Called::default()))
        .collect();
    for figures in facts.statistics().calls.figures() {
        let name = figures.name.split('|').next().unwrap_or_default();
        let lower = name.to_ascii_lowercase();
        let group = groups.get(lower.as_str()).copied().unwrap_or("other");
        let all = families.entry(group).or_default();
        all.calls += figures.calls;
        all.rejected += figures.rejected;
        all.failed += figures.failed;
        all.latencies.merge(&figures.latencies);
    }
    let each = |value: fn(&Called) -> u64| {
        let families = families.iter();
        families.map(move |(group, called)| (label("family", *group), number(value(called))))
    };
    sheet.counters(
        "redtail_commands",
        "Commands of clients that ran, by family.",
        each(|called| called.calls),
    )?;
    sheet.counters("redtail_commands_rejected", "Commands of clients that were refused before they ran, by family: READONLY, LOADING, wrong arity.", each(|called| called.rejected))?;
    sheet.counters(
        "redtail_commands_failed",
        "Commands of clients that ran and answered an error, by family.",
        each(|called| called.failed),
    )?;
    sheet.histograms(
        "redtail_command_duration_seconds",
        "How long commands of clients took, by family, without the network.",
        families
            .iter()
            .map(|(group, called)| (label("family", *group), buckets(&called.latencies))),
    )?;
    let codes = facts.statistics().error_codes.all();
    sheet.counters(
        "redtail_errors",
        "Error replies to clients, by their first word.",
        codes
            .into_iter()
            .map(|(code, count)| (label("code", code), number(count))),
    )?;
    let counts = facts.statistics().traffic.totals();
    let counters = [
        (
            "redtail_lookup_hits",
            "Keys that reads asked for and found.",
            counts.keyspace_hits,
        ),
        (
            "redtail_lookup_misses",
            "Keys that reads asked for and did not find.",
            counts.keyspace_misses,
        ),
        (
            "redtail_grouped_reads",
            "Reads that were answered in a group with others of their pipeline.",
            counts.grouped_reads,
        ),
        (
            "redtail_client_received_bytes",
            "Bytes received from clients.",
            counts.received_bytes,
        ),
        (
            "redtail_client_sent_bytes",
            "Bytes sent to clients.",
            counts.sent_bytes,
        ),
    ];
    for (name, help, value) in counters {
        sheet.counter(name, help, number(value))?;
    }
    Ok(())
}

fn buckets(histogram: &Histogram) -> Buckets {
    let below: BTreeMap<u64, u64> = histogram.powers().collect();
    let mut before = 0;
    let each = POWERS.map(|power| {
        let bound = 1_u64 << power;
        let last = below.range(..=bound).next_back();
        let now = last.map_or(0, |(_, count)| *count).max(before);
        let inside = now - before;
        before = now;
        (bound as f64 / 1e9, inside)
    });
    Buckets {
        each: each.collect(),
        count: histogram.count(),
        sum: histogram.sum_nanos() as f64 / 1e9,
    }
}

fn clients(sheet: &mut Sheet<'_>, facts: &Facts) -> Result<(), Error> {
    let statistics = facts.statistics();
    let count = |counter: &AtomicU64| number(counter.load(Ordering::Relaxed));
    let budget = &statistics.budget;
    let gauges = [
        (
            "redtail_clients",
            "Connected clients.",
            number(facts.clients.len()),
        ),
        (
            "redtail_clients_max",
            "Clients that may be connected at once (maxclients).",
            count(&facts.host().tunables().clients_max),
        ),
        (
            "redtail_clients_memory_bytes",
            "Bytes of the requests and replies of all clients.",
            number(budget.held()),
        ),
        (
            "redtail_clients_memory_peak_bytes",
            "The most that these have been.",
            number(budget.peak()),
        ),
        (
            "redtail_clients_memory_max_bytes",
            "The most that these may be (--clients-memory). Beyond it, requests are refused.",
            number(budget.bytes_max()),
        ),
    ];
    for (name, help, value) in gauges {
        sheet.gauge(name, help, value)?;
    }
    let counters = [
        (
            "redtail_connections",
            "Connections of clients that were accepted.",
            count(&statistics.connections),
        ),
        (
            "redtail_connections_rejected",
            "Connections that were refused because there were too many.",
            count(&statistics.rejected),
        ),
        (
            "redtail_clients_memory_refusals",
            "Requests that were refused because the memory of all clients was used up.",
            number(budget.refusals()),
        ),
        (
            "redtail_clients_slowed",
            "Times that a client had to wait because its requests were refused again and again.",
            count(&statistics.slowed),
        ),
    ];
    let losses = (
        "redtail_subscriber_losses",
        "Times that all subscribers were disconnected because messages came faster than they could be handed out.",
        count(&statistics.feed_losses),
    );
    for (name, help, value) in counters.into_iter().chain([losses]) {
        sheet.counter(name, help, value)?;
    }
    let limits = &facts.host().tunables().output_limits;
    sheet.counters(
        "redtail_clients_closed",
        "Connections that were closed because the client's replies or its request grew too large, or it exceeded client-output-buffer-limit.",
        [
            (
                label("reason", "replies"),
                count(&statistics.reply_limit_closes),
            ),
            (label("reason", "output"), count(&limits.disconnections)),
            (
                label("reason", "request"),
                count(&statistics.query_limit_closes),
            ),
        ],
    )
}

fn scripts(sheet: &mut Sheet<'_>, facts: &Facts) -> Result<(), Error> {
    let figures = facts.host().scripting().figures();
    sheet.counter(
        "redtail_scripts_held_up_seconds",
        "How long the primary's stream has waited for scripts of clients.",
        figures.held_up.as_secs_f64(),
    )?;
    sheet.gauge(
        "redtail_scripts_cached",
        "Scripts of clients whose texts are remembered.",
        number(figures.cached),
    )?;
    sheet.counter(
        "redtail_scripts_refused",
        "Scripts of clients that were refused because others had held up the stream for too long (--script-share).",
        number(figures.refused),
    )?;
    sheet.counter(
        "redtail_scripts_begun_again",
        "Scripts of clients that had to start over, to hold more than the keys that they name.",
        number(figures.begun_again),
    )
}

fn memory(sheet: &mut Sheet<'_>, facts: &Facts) -> Result<(), Error> {
    sheet.gauges(
        "redtail_memory_bytes",
        "Memory by purpose. entries: keys with strings; collections: keys with all other types; tables: where keys are found; \
         clients: requests and replies; spool: received bytes that wait; scripts: texts, and Lua between two scripts; other: \
         everything else that is resident, which is the program, a snapshot being loaded, running scripts, and what the allocator \
         holds free.",
        (facts.memory_purposes().into_iter())
            .map(|(purpose, bytes)| (label("purpose", purpose), number(bytes))),
    )?;
    sheet.gauge(
        "redtail_memory_resident_bytes",
        "Memory of the whole process that is in use, as the system counts it.",
        number(facts.resident_bytes),
    )?;
    sheet.gauge(
        "redtail_memory_resident_peak_bytes",
        "The most that this has been.",
        number(facts.resident_peak_bytes),
    )
}

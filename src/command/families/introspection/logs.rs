//! SLOWLOG, COMMANDLOG and LATENCY.
//!
//! They show redtail's own commands. What a script calls is part of the script.

use super::{ADMIN, HELP, LOG, row, sparkline};
use crate::command::rows::latency_events::Series;
use crate::command::rows::logs::{Log, Logs};
use crate::command::rows::parse::integer;
use crate::command::rows::{Arity, Command, Error, Histogram, SessionCx, help};
use crate::resp::Args;
use crate::store::unix_ms;

/// SLOWLOG's subcommands.
pub(super) const SLOWLOG: &[Command] = &[
    row("get", Arity::at_least(2), LOG, slowlog_get)
        .about("2.2.12", "Returns the newest slow commands."),
    row("len", Arity::exactly(2), LOG, |cx, _| len(cx, slow))
        .about("2.2.12", "Returns the number of slow commands in the log."),
    row("reset", Arity::exactly(2), LOG, |cx, _| reset(cx, slow))
        .about("2.2.12", "Empties the log."),
    row("help", Arity::exactly(2), HELP, |cx, _| {
        help(cx, "SLOWLOG", SLOWLOG)
    })
    .about("6.2.0", "Lists the subcommands."),
];

/// COMMANDLOG's subcommands.
pub(super) const COMMANDLOG: &[Command] = &[
    row("get", Arity::exactly(4), LOG, commandlog_get)
        .about(
            "8.1.0",
            "Returns the newest commands of a log: slow, large-request or large-reply.",
        )
        .valkey_only(),
    row("len", Arity::exactly(3), LOG, |cx, args| {
        len(cx, named(args, 2)?)
    })
    .about("8.1.0", "Returns the number of commands in a log.")
    .valkey_only(),
    row("reset", Arity::exactly(3), LOG, |cx, args| {
        reset(cx, named(args, 2)?)
    })
    .about("8.1.0", "Empties a log.")
    .valkey_only(),
    row("help", Arity::exactly(2), HELP, |cx, _| {
        help(cx, "COMMANDLOG", COMMANDLOG)
    })
    .about("8.1.0", "Lists the subcommands.")
    .valkey_only(),
];

/// LATENCY's subcommands.
pub(super) const LATENCY: &[Command] = &[
    row("latest", Arity::exactly(2), ADMIN, latest)
        .about("2.8.13", "Returns the latest latency of each event.")
        .difference("The events are `command` and `fast-command`: redtail forks nothing and writes no append-only file."),
    row("history", Arity::exactly(3), ADMIN, history).about("2.8.13", "Returns the latencies of an event with their times."),
    row("reset", Arity::at_least(2), ADMIN, latency_reset).about("2.8.13", "Forgets events, and returns how many there were."),
    row("graph", Arity::exactly(3), ADMIN, graph).about("2.8.13", "Draws the latencies of an event."),
    row("doctor", Arity::exactly(2), ADMIN, doctor)
        .about("2.8.13", "Says what was slow.")
        .difference("In redtail's own words."),
    row("histogram", Arity::at_least(2), ADMIN, histogram)
        .about("7.0.0", "Returns how often each latency of a command occurred.")
        .difference("Reads that are answered in a group share the group's time. What scripts call is counted as part of the script."),
    row("help", Arity::exactly(2), HELP, |cx, _| help(cx, "LATENCY", LATENCY)).about("2.8.13", "Lists the subcommands."),
];

/// Chooses one of the logs.
type Choose = fn(&Logs) -> &Log;

const fn slow(logs: &Logs) -> &Log {
    &logs.slow
}

/// Source: valkey 9.1 commandlog.c, `commandlogGetTypeOrReply`.
fn named(args: Args<'_>, at: usize) -> Result<Choose, Error> {
    let known: [(&str, Choose); 3] = [
        ("slow", slow),
        ("large-request", |logs| &logs.large_requests),
        ("large-reply", |logs| &logs.large_replies),
    ];
    let found = known.into_iter().find(|(name, _)| args.is(at, name));
    found.map(|(_, choose)| choose).ok_or(Error::Text(
        "ERR type should be one of the following: slow, large-request, large-reply",
    ))
}

/// Source: redis 6.0 and 7.0 slowlog.c, `slowlogCommand`.
fn slowlog_get(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    /// How many entries are returned without a count.
    const COUNT: usize = 10;
    if args.len() > 3 {
        let text = if cx.reply.dialect().has_subcommand_rows() {
            "ERR unknown subcommand or wrong number of arguments for '{}'. Try SLOWLOG HELP."
        } else {
            "ERR Unknown subcommand or wrong number of arguments for '{}'. Try SLOWLOG HELP."
        };
        return Err(Error::quoting(text, &[args.at(1)]));
    }
    let count = match args.get(2) {
        None => COUNT,
        Some(count) if cx.reply.dialect().has_subcommand_rows() => entry_count(count)?,
        // Without a check, a negative count never reaches zero.
        Some(count) => usize::try_from(integer(count)?).unwrap_or(usize::MAX),
    };
    write_entries(cx, slow, count);
    Ok(())
}

/// Parses a number of entries, of which -1 means all.
fn entry_count(word: &[u8]) -> Result<usize, Error> {
    let count = integer(word).ok().filter(|count| *count >= -1);
    let count = count.ok_or(Error::Text(
        "ERR count should be greater than or equal to -1",
    ))?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

fn write_entries(cx: &mut SessionCx<'_>, choose: Choose, most: usize) {
    let entries = choose(&cx.host.statistics().logs).newest(most);
    cx.reply.array(entries.len());
    for entry in entries {
        cx.reply.array(6);
        cx.reply.integer(as_integer(entry.id));
        cx.reply.integer(entry.at_ms / 1000);
        cx.reply.integer(as_integer(entry.value));
        cx.reply.array(entry.words.len());
        entry.words.iter().for_each(|word| cx.reply.bulk(word));
        cx.reply.bulk(entry.address.as_bytes());
        cx.reply.bulk(&entry.name);
    }
}

fn as_integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn len(cx: &mut SessionCx<'_>, choose: Choose) -> Result<(), Error> {
    let len = choose(&cx.host.statistics().logs).len();
    cx.reply.count(len);
    Ok(())
}

fn reset(cx: &mut SessionCx<'_>, choose: Choose) -> Result<(), Error> {
    choose(&cx.host.statistics().logs).reset();
    cx.reply.ok();
    Ok(())
}

fn commandlog_get(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    let choose = named(args, 3)?;
    let count = entry_count(args.at(2))?;
    write_entries(cx, choose, count);
    Ok(())
}

/// Returns the samples of an event.
fn series(cx: &SessionCx<'_>, event: &[u8]) -> Option<Series> {
    let events = cx.host.statistics().latency_events.all().into_iter();
    let mut found = events.filter(|(name, _)| name.as_bytes() == event);
    found.next().map(|(_, series)| series)
}

/// Source: redis 7.0 and valkey 9.1 latency.c, `latencyCommandReplyWithLatestEvents`.
fn latest(cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    let events = cx.host.statistics().latency_events.all();
    let has_sums = cx.reply.dialect().sums_latencies();
    cx.reply.array(events.len());
    for (name, series) in events {
        let last = series.samples.back().copied().unwrap_or_default();
        cx.reply.array(if has_sums { 6 } else { 4 });
        cx.reply.bulk(name.as_bytes());
        cx.reply.integer(last.at_s);
        cx.reply.integer(as_integer(last.ms));
        cx.reply.integer(as_integer(series.longest_ms));
        if has_sums {
            cx.reply.integer(as_integer(series.sum_ms));
            cx.reply.integer(as_integer(series.count));
        }
    }
    Ok(())
}

fn history(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    let samples = series(cx, args.at(2)).unwrap_or_default().samples;
    cx.reply.array(samples.len());
    for sample in samples {
        cx.reply.array(2);
        cx.reply.integer(sample.at_s);
        cx.reply.integer(as_integer(sample.ms));
    }
    Ok(())
}

fn latency_reset(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    let events = &cx.host.statistics().latency_events;
    let named = args.from(2);
    let count = if named.is_empty() {
        events.reset(None)
    } else {
        named.iter().map(|event| events.reset(Some(event))).sum()
    };
    cx.reply.count(count);
    Ok(())
}

/// Source: redis 7.0 latency.c, `latencyCommand`.
fn graph(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    let event = args.at(2);
    let Some(series) = series(cx, event) else {
        return Err(Error::quoting(
            "ERR No samples available for event '{}'",
            &[event],
        ));
    };
    let graph = sparkline::draw(event, &series, unix_ms() / 1000);
    cx.reply.verbatim("txt", &graph);
    Ok(())
}

fn doctor(cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    let events = &cx.host.statistics().latency_events;
    let threshold = events
        .threshold_ms
        .load(std::sync::atomic::Ordering::Relaxed);
    let all = events.all();
    let mut text = match threshold {
        0 => "Slow commands are not watched: set latency-monitor-threshold to a number of milliseconds. LATENCY HISTOGRAM and SLOWLOG work \
              without it.\n"
            .to_owned(),
        _ if all.is_empty() => format!("No command has taken {threshold} ms or longer.\n"),
        _ => String::new(),
    };
    for (name, series) in all {
        let (count, longest) = (series.count, series.longest_ms);
        text.push_str(&format!(
            "{name}: {count} took {threshold} ms or longer, the longest {longest} ms. SLOWLOG GET shows the newest.\n"
        ));
    }
    cx.reply.verbatim("txt", text.as_bytes());
    Ok(())
}

/// Source: redis 7.0 latency.c, `latencySpecificCommandsFillCDF`: a container stands for its subcommands.
fn histogram(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    let names = args.from(2);
    let is_named = |name: &str| {
        let container = name
            .split_once('|')
            .map_or(name, |(container, _)| container);
        names.is_empty()
            || names.iter().any(|word| {
                [name, container]
                    .iter()
                    .any(|name| word.eq_ignore_ascii_case(name.as_bytes()))
            })
    };
    let figures = cx.host.statistics().calls.figures().into_iter();
    let chosen: Vec<_> = figures
        .filter(|figures| is_named(&figures.name) && figures.latencies.count() > 0)
        .collect();
    cx.reply.map(chosen.len());
    for figures in chosen {
        cx.reply.bulk(figures.name.as_bytes());
        cx.reply.map(2);
        cx.reply.bulk(b"calls");
        cx.reply.integer(as_integer(figures.latencies.count()));
        cx.reply.bulk(b"histogram_usec");
        let buckets = microseconds(&figures.latencies);
        cx.reply.map(buckets.len());
        for (micros, count) in buckets {
            cx.reply.integer(as_integer(micros));
            cx.reply.integer(as_integer(count));
        }
    }
    Ok(())
}

/// Returns the upper ends of a histogram's buckets in microseconds, as servers name them, each with the latencies up to it. Leaves
/// out buckets without latencies.
///
/// Source: redis 7.0 latency.c, `fillCommandCDF`: powers of two from 1,024 ns, in a histogram of two digits.
fn microseconds(histogram: &Histogram) -> Vec<(u64, u64)> {
    let mut before = 0;
    let powers = histogram.powers().filter(|(end, _)| *end >= 1024);
    let grown = powers.filter(|(_, count)| std::mem::replace(&mut before, *count) < *count);
    grown
        .map(|(end, count)| ((end + (end >> 7)).saturating_sub(1) / 1000, count))
        .collect()
}

//! CONFIG.

use std::fmt::Display;
use std::sync::atomic::Ordering;

use super::super::Error;
use super::super::client_commands::help;
use super::super::glob::Glob;
use super::super::session::SessionCx;
use super::super::table::{Arity, Command};
use super::{ADMIN, HELP, row};
use crate::dialect::Dialect;
use crate::resp::Args;
use crate::value::{SETTINGS, Setting, setting};

/// The subcommands.
pub(super) const CONFIG: &[Command] = &[
    row("get", Arity::at_least(3), ADMIN, get)
        .about("2.0.0", "Gives the settings that match.")
        .difference("a pattern matches the settings that redtail has, fewer than a server's"),
    row("set", Arity::at_least(4), ADMIN, set)
        .about(
            "2.0.0",
            "Changes where small encodings end; other settings are fixed.",
        )
        .difference(
            "settings other than those of encodings can only be given the value that they have",
        ),
    row("resetstat", Arity::exactly(2), ADMIN, resetstat).about("2.0.0", "Sets counters to zero."),
    row("rewrite", Arity::exactly(2), ADMIN, rewrite)
        .about("2.8.0", "Refused: the file is the operator's."),
    row("help", Arity::exactly(2), HELP, help).about("5.0.0", "Lists the subcommands."),
];

/// What Redis calls settings and redtail cannot change: clients ask for some of them to find out how a server behaves.
/// Source: redis 7.0 config.c.
const FIXED: &[(&str, &str)] = &[
    ("activerehashing", "yes"),
    ("appendfsync", "everysec"),
    ("appendonly", "no"),
    ("cluster-enabled", "no"),
    ("latency-monitor-threshold", "0"),
    ("lfu-decay-time", "1"),
    ("lfu-log-factor", "10"),
    ("maxmemory", "0"),
    ("maxmemory-policy", "noeviction"),
    ("maxmemory-samples", "5"),
    ("notify-keyspace-events", ""),
    ("replica-priority", "0"),
    ("replica-read-only", "yes"),
    ("replica-serve-stale-data", "yes"),
    ("save", ""),
    ("slave-priority", "0"),
    ("slave-read-only", "yes"),
    ("slave-serve-stale-data", "yes"),
    ("slowlog-log-slower-than", "-1"),
    ("slowlog-max-len", "0"),
];

/// Passwords are not among the settings: `requirepass` and `masterauth` match nothing.
fn get(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    let dialect = cx.reply.dialect();
    if args.len() > 3 && !dialect.sets_several_settings() {
        return Err(wrong_arguments(args));
    }
    let all = settings(cx);
    let mut found: Vec<(Vec<u8>, &str)> = Vec::new();
    for pattern in args.from(2).iter() {
        for (name, value) in &all {
            let shown = shown_name(pattern, name, dialect);
            if let Some(shown) = shown
                && !found
                    .iter()
                    .any(|(known, _)| known.eq_ignore_ascii_case(shown))
            {
                found.push((shown.to_vec(), value));
            }
        }
    }
    if !dialect.sets_several_settings() {
        retain_older(&mut found);
    }
    found.sort_unstable();
    cx.reply.map(found.len());
    for (name, value) in found {
        cx.reply.bulk(&name);
        cx.reply.bulk(value.as_bytes());
    }
    Ok(())
}

/// What Redis has before 7.0: no such gate before DEBUG, and of two names for the upstream the older.
fn retain_older(found: &mut Vec<(Vec<u8>, &str)>) {
    let has_older = found.iter().any(|(name, _)| is(name, "slaveof"));
    found.retain(|(name, _)| {
        !(is(name, "enable-debug-command") || has_older && is(name, "replicaof"))
    });
}

/// How a setting that `pattern` names is shown: a name that is no pattern is repeated as it was given, since Redis 7.0. A
/// pattern ends where C's strings do. Source: `configGetCommand` in config.c of redis 6.0 and 7.0.
fn shown_name<'a>(pattern: &'a [u8], name: &'a str, dialect: Dialect) -> Option<&'a [u8]> {
    let text = pattern.split(|byte| *byte == 0).next().unwrap_or_default();
    let is_pattern = text.iter().any(|byte| b"[*?".contains(byte));
    if dialect.sets_several_settings() && !is_pattern {
        return is(pattern, name).then_some(pattern);
    }
    let glob = text.to_ascii_lowercase();
    let glob = Glob::new(&glob, dialect);
    glob.matches(name.as_bytes()).then_some(name.as_bytes())
}

fn is(given: &[u8], name: &str) -> bool {
    given.eq_ignore_ascii_case(name.as_bytes())
}

/// All settings with their values.
fn settings(cx: &SessionCx<'_>) -> Vec<(&'static str, String)> {
    let dialect = cx.reply.dialect();
    let mut all = cx.host.settings();
    let replication = cx.host.replication();
    let upstream = format!("{} {}", replication.host, replication.port);
    all.extend(["slaveof", "replicaof"].map(|name| (name, upstream.clone())));
    all.extend(FIXED.iter().map(|&(name, value)| (name, value.to_owned())));
    let thresholds = cx.host.served().tuning().choices().thresholds(dialect);
    for setting in &SETTINGS {
        let value = setting.value(&thresholds).to_string();
        all.extend(setting.names(dialect).map(|name| (name, value.clone())));
    }
    all
}

/// Where small encodings end can be changed. DIFFERENCE: other settings that Redis lets change are refused, unless they
/// are given the value that they have.
fn set(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    let dialect = cx.reply.dialect();
    if args.len() != 4 && !dialect.sets_several_settings() {
        return Err(wrong_arguments(args));
    }
    if !args.len().is_multiple_of(2) {
        return Err(Error::Syntax);
    }
    let all = settings(cx);
    let pairs = || {
        (2..args.len())
            .step_by(2)
            .map(|at| (args.at(at), args.at(at + 1)))
    };
    if let Some((name, _)) = pairs().find(|(name, _)| !is_known(&all, name)) {
        return Err(unknown(name, dialect));
    }
    check_settable(&all, pairs(), dialect)?;
    let mut changes: Vec<(&'static Setting, i64)> = Vec::new();
    for (name, value) in pairs() {
        if let Some(setting) = setting(name) {
            let parsed = setting.parse(value, dialect);
            let parsed = parsed.map_err(|error| refused(name, value, &error, dialect))?;
            changes.push((setting, parsed));
        }
    }
    cx.host.served().tuning().change(|choices| {
        for (setting, value) in changes {
            choices.choose(setting, value);
        }
    });
    cx.reply.ok();
    Ok(())
}

fn is_known(all: &[(&str, String)], name: &[u8]) -> bool {
    all.iter().any(|(known, _)| is(name, known))
}

/// Refuses what stands twice, and a change of what cannot be changed.
fn check_settable<'a>(
    all: &[(&str, String)],
    pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    dialect: Dialect,
) -> Result<(), Error> {
    let mut seen: Vec<&[u8]> = Vec::new();
    for (name, value) in pairs {
        let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
        if seen.iter().any(|other| is(other)) {
            return Err(refused(name, value, &"duplicate parameter", dialect));
        }
        let same =
            |(known, held): &(&str, String)| is(known.as_bytes()) && held.as_bytes() == value;
        if setting(name).is_none() && !all.iter().any(same) {
            return Err(refused(name, value, &FIXED_WHILE_RUNNING, dialect));
        }
        seen.push(name);
    }
    Ok(())
}

const FIXED_WHILE_RUNNING: &str = "redtail cannot change it while it runs";

/// Source: redis 6.0 networking.c, `addReplySubcommandSyntaxError`.
fn wrong_arguments(args: Args<'_>) -> Error {
    Error::quoting(
        "ERR Unknown subcommand or wrong number of arguments for '{}'. Try CONFIG HELP.",
        &[args.at(1)],
    )
}

/// Source: config.c of redis 6.0 and 7.0, `configSetCommand`.
fn unknown(name: &[u8], dialect: Dialect) -> Error {
    let text = if dialect.sets_several_settings() {
        "ERR Unknown option or number of arguments for CONFIG SET - '{}'"
    } else {
        "ERR Unsupported CONFIG parameter: {}"
    };
    Error::quoting(text, &[name])
}

/// As [`unknown`], for a value that cannot be set.
fn refused(name: &[u8], value: &[u8], why: &dyn Display, dialect: Dialect) -> Error {
    let why = why.to_string();
    if dialect.sets_several_settings() {
        Error::quoting(
            "ERR CONFIG SET failed (possibly related to argument '{}') - {}",
            &[name, why.as_bytes()],
        )
    } else {
        Error::quoting(
            "ERR Invalid argument '{}' for CONFIG SET '{}' - {}",
            &[value, name, why.as_bytes()],
        )
    }
}

fn rewrite(_cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    Err(Error::Text(
        "ERR The server is running without a config file",
    ))
}

fn resetstat(cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    let counted = cx.host.statistics();
    for counter in [
        &counted.connections,
        &counted.rejected,
        &counted.reply_limit_closes,
        &counted.query_limit_closes,
        &counted.errors,
    ] {
        counter.store(0, Ordering::Relaxed);
    }
    counted.traffic.reset();
    cx.reply.ok();
    Ok(())
}

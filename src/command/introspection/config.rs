//! CONFIG.

use std::sync::atomic::Ordering;

use super::super::Error;
use super::super::client_commands::help;
use super::super::glob::Glob;
use super::super::session::SessionCx;
use super::super::table::{Arity, Command};
use super::{ADMIN, HELP, row};
use crate::resp::Args;
use crate::value::Thresholds;

/// The subcommands.
pub(super) const CONFIG: &[Command] = &[
    row("get", Arity::at_least(3), ADMIN, get).about("2.0.0", "Gives the settings that match."),
    row("set", Arity::at_least(4), ADMIN, set).about("2.0.0", "Refused: settings are fixed."),
    row("resetstat", Arity::exactly(2), ADMIN, resetstat).about("2.0.0", "Sets counters to zero."),
    row("rewrite", Arity::exactly(2), ADMIN, rewrite)
        .about("2.8.0", "Refused: the file is the operator's."),
    row("help", Arity::exactly(2), HELP, help).about("5.0.0", "Lists the subcommands."),
];

/// What Redis calls settings and redtail cannot change: clients ask for some of them to find out how a server behaves.
/// Source: redis 7.0 config.c.
const FIXED: &[(&str, &str)] = &[
    ("activerehashing", "yes"),
    ("appendonly", "no"),
    ("maxmemory", "0"),
    ("maxmemory-policy", "noeviction"),
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
    let mut all = cx.host.settings();
    let replication = cx.host.replication();
    all.push((
        "replicaof",
        format!("{} {}", replication.host, replication.port),
    ));
    all.extend(FIXED.iter().map(|&(name, value)| (name, value.to_owned())));
    all.extend(thresholds(cx));
    all.sort_unstable();
    let patterns: Vec<Vec<u8>> = args
        .from(2)
        .iter()
        .map(<[u8]>::to_ascii_lowercase)
        .collect();
    let globs: Vec<Glob<'_>> = patterns.iter().map(|pattern| Glob::new(pattern)).collect();
    all.retain(|(name, _)| globs.iter().any(|glob| glob.matches(name.as_bytes())));
    cx.reply.map(all.len());
    for (name, value) in all {
        cx.reply.bulk(name.as_bytes());
        cx.reply.bulk(value.as_bytes());
    }
    Ok(())
}

/// Where small encodings end, under their newer and their older names.
fn thresholds(cx: &SessionCx<'_>) -> Vec<(&'static str, String)> {
    let limits = cx
        .generation
        .map_or_else(Thresholds::default, |generation| generation.thresholds);
    let (hash_entries, hash_value) = (
        limits.hash_max_listpack_entries.to_string(),
        limits.hash_max_listpack_value.to_string(),
    );
    let (zset_entries, zset_value) = (
        limits.zset_max_listpack_entries.to_string(),
        limits.zset_max_listpack_value.to_string(),
    );
    let list_size = limits.list_max_listpack_size.to_string();
    let mut all = vec![
        ("hash-max-listpack-entries", hash_entries.clone()),
        ("hash-max-listpack-value", hash_value.clone()),
        ("hash-max-ziplist-entries", hash_entries),
        ("hash-max-ziplist-value", hash_value),
        ("list-max-listpack-size", list_size.clone()),
        ("list-max-ziplist-size", list_size),
        (
            "set-max-intset-entries",
            limits.set_max_intset_entries.to_string(),
        ),
        (
            "stream-node-max-bytes",
            limits.stream_node_max_bytes.to_string(),
        ),
        (
            "stream-node-max-entries",
            limits.stream_node_max_entries.to_string(),
        ),
        ("zset-max-listpack-entries", zset_entries.clone()),
        ("zset-max-listpack-value", zset_value.clone()),
        ("zset-max-ziplist-entries", zset_entries),
        ("zset-max-ziplist-value", zset_value),
    ];
    if limits.set_max_listpack_entries > 0 {
        all.push((
            "set-max-listpack-entries",
            limits.set_max_listpack_entries.to_string(),
        ));
        all.push((
            "set-max-listpack-value",
            limits.set_max_listpack_value.to_string(),
        ));
    }
    all
}

fn set(_cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    Err(Error::Text(
        "ERR CONFIG SET failed: settings are fixed when redtail starts",
    ))
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
        &counted.commands,
        &counted.input_bytes,
        &counted.output_bytes,
        &counted.reply_limit_closes,
        &counted.query_limit_closes,
        &counted.errors,
    ] {
        counter.store(0, Ordering::Relaxed);
    }
    cx.reply.ok();
    Ok(())
}

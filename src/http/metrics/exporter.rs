//! The names of `redis_exporter`: what it would show of this replica.
//!
//! The exporter reads INFO, the settings and the slow log of a server, and renames their fields. This does the same with
//! redtail's own, so that both say the same. `tests/it/metrics.rs` compares the two, and lists what is left out on purpose:
//! what the exporter says about itself, and what would not be true here.

use std::collections::BTreeMap;
use std::fmt::Error;

use Kind::{Counter, Gauge, Micros, Status, Untyped};

use super::sheet::{Labels, Sheet, label, number};
use crate::command::info_text;
use crate::http::facts::Facts;

/// How a field of INFO becomes a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Gauge,
    /// A count whose name ends in `_total`, which the table leaves out.
    Counter,
    /// A count whose name does not say so.
    Untyped,
    /// 1 for `ok`.
    Status,
    /// Microseconds, shown as seconds.
    Micros,
}

/// Each field of INFO, the exporter's name for it, and what it is.
const FIELDS: &[(&str, &str, Kind, &str)] = &[
    (
        "uptime_in_seconds",
        "uptime_in_seconds",
        Gauge,
        "How long redtail has run.",
    ),
    (
        "process_id",
        "process_id",
        Gauge,
        "The number of the process.",
    ),
    (
        "io_threads_active",
        "io_threads_active",
        Gauge,
        "Whether a server's threads for sockets are active: redtail has none of that kind.",
    ),
    (
        "connected_clients",
        "connected_clients",
        Gauge,
        "Connected clients.",
    ),
    (
        "cluster_connections",
        "cluster_connections",
        Gauge,
        "Connections of a cluster's bus: none.",
    ),
    (
        "client_recent_max_input_buffer",
        "client_recent_max_input_buffer_bytes",
        Gauge,
        "The largest request buffer of a connected client.",
    ),
    (
        "client_recent_max_output_buffer",
        "client_recent_max_output_buffer_bytes",
        Gauge,
        "The largest reply buffer of a connected client.",
    ),
    (
        "blocked_clients",
        "blocked_clients",
        Gauge,
        "Clients that wait in a blocking command.",
    ),
    (
        "tracking_clients",
        "tracking_clients",
        Gauge,
        "Clients that use client-side caching: none.",
    ),
    (
        "clients_in_timeout_table",
        "clients_in_timeout_table",
        Gauge,
        "Clients in a server's table of time-outs: redtail has no such table.",
    ),
    (
        "used_memory",
        "memory_used_bytes",
        Gauge,
        "Bytes of the data, with what holds it.",
    ),
    (
        "used_memory_rss",
        "memory_used_rss_bytes",
        Gauge,
        "Resident memory of the process.",
    ),
    (
        "used_memory_peak",
        "memory_used_peak_bytes",
        Gauge,
        "The most memory that the process had resident.",
    ),
    (
        "used_memory_overhead",
        "memory_used_overhead_bytes",
        Gauge,
        "Memory beside the data, which redtail counts with it: 0.",
    ),
    (
        "used_memory_startup",
        "memory_used_startup_bytes",
        Gauge,
        "Memory at the start, which redtail does not count: 0.",
    ),
    (
        "used_memory_dataset",
        "memory_used_dataset_bytes",
        Gauge,
        "Bytes of the data.",
    ),
    (
        "used_memory_lua",
        "memory_used_lua_bytes",
        Gauge,
        "Bytes of Lua between two scripts.",
    ),
    (
        "used_memory_scripts",
        "memory_used_scripts_bytes",
        Gauge,
        "Bytes of the scripts that are remembered.",
    ),
    (
        "number_of_cached_scripts",
        "number_of_cached_scripts",
        Gauge,
        "Scripts that are remembered.",
    ),
    (
        "maxmemory",
        "memory_max_bytes",
        Gauge,
        "The limit set with maxmemory, which nothing here depends on; 0 for none.",
    ),
    (
        "allocator_allocated",
        "allocator_allocated_bytes",
        Gauge,
        "Bytes of the data, with what holds it.",
    ),
    (
        "allocator_active",
        "allocator_active_bytes",
        Gauge,
        "Resident memory of the process.",
    ),
    (
        "allocator_resident",
        "allocator_resident_bytes",
        Gauge,
        "Resident memory of the process.",
    ),
    (
        "allocator_frag_ratio",
        "allocator_frag_ratio",
        Gauge,
        "Resident memory as a multiple of the data.",
    ),
    (
        "allocator_frag_bytes",
        "allocator_frag_bytes",
        Gauge,
        "Resident memory beyond the data.",
    ),
    (
        "allocator_rss_ratio",
        "allocator_rss_ratio",
        Gauge,
        "Not told apart from the fragmentation: 1.",
    ),
    (
        "allocator_rss_bytes",
        "allocator_rss_bytes",
        Gauge,
        "Not told apart from the fragmentation: 0.",
    ),
    (
        "mem_fragmentation_ratio",
        "mem_fragmentation_ratio",
        Gauge,
        "Resident memory as a multiple of the data.",
    ),
    (
        "mem_fragmentation_bytes",
        "mem_fragmentation_bytes",
        Gauge,
        "Resident memory beyond the data.",
    ),
    (
        "mem_not_counted_for_evict",
        "mem_not_counted_for_eviction_bytes",
        Gauge,
        "Memory that eviction ignores: redtail evicts nothing.",
    ),
    (
        "mem_clients_slaves",
        "mem_clients_slaves",
        Gauge,
        "Buffers of replicas: redtail has none.",
    ),
    (
        "mem_clients_normal",
        "mem_clients_normal",
        Gauge,
        "Bytes of the requests and replies of all clients.",
    ),
    (
        "active_defrag_running",
        "active_defrag_running",
        Gauge,
        "Active defragmentation: never.",
    ),
    (
        "lazyfree_pending_objects",
        "lazyfree_pending_objects",
        Gauge,
        "Values that wait to be freed in the background: none are counted.",
    ),
    (
        "loading",
        "loading_dump_file",
        Gauge,
        "1 while a snapshot is loaded and there is no data to answer from.",
    ),
    (
        "rdb_changes_since_last_save",
        "rdb_changes_since_last_save",
        Gauge,
        "Changes since a dump was saved: redtail saves none.",
    ),
    (
        "rdb_bgsave_in_progress",
        "rdb_bgsave_in_progress",
        Gauge,
        "Whether a dump is being saved: redtail saves none.",
    ),
    (
        "rdb_last_save_time",
        "rdb_last_save_timestamp_seconds",
        Gauge,
        "When a dump was last saved, in Unix seconds: for a server that saves none, when it started.",
    ),
    (
        "rdb_last_bgsave_status",
        "rdb_last_bgsave_status",
        Status,
        "Whether the last dump was saved well: redtail saves none.",
    ),
    (
        "rdb_last_bgsave_time_sec",
        "rdb_last_bgsave_duration_sec",
        Gauge,
        "How long the last dump took; -1 for none.",
    ),
    (
        "rdb_current_bgsave_time_sec",
        "rdb_current_bgsave_duration_sec",
        Gauge,
        "How long the present dump has taken; -1 for none.",
    ),
    (
        "rdb_last_cow_size",
        "rdb_last_cow_size_bytes",
        Gauge,
        "Memory that was copied during the last dump: none.",
    ),
    (
        "aof_enabled",
        "aof_enabled",
        Gauge,
        "Whether there is an append-only file: never.",
    ),
    (
        "aof_rewrite_in_progress",
        "aof_rewrite_in_progress",
        Gauge,
        "Whether it is being rewritten: never.",
    ),
    (
        "aof_rewrite_scheduled",
        "aof_rewrite_scheduled",
        Gauge,
        "Whether that is scheduled: never.",
    ),
    (
        "aof_last_rewrite_time_sec",
        "aof_last_rewrite_duration_sec",
        Gauge,
        "How long the last rewrite took; -1 for none.",
    ),
    (
        "aof_current_rewrite_time_sec",
        "aof_current_rewrite_duration_sec",
        Gauge,
        "How long the present rewrite has taken; -1 for none.",
    ),
    (
        "aof_last_cow_size",
        "aof_last_cow_size_bytes",
        Gauge,
        "Memory that was copied during the last rewrite: none.",
    ),
    (
        "aof_last_bgrewrite_status",
        "aof_last_bgrewrite_status",
        Status,
        "Whether the last rewrite went well: there is none.",
    ),
    (
        "aof_last_write_status",
        "aof_last_write_status",
        Status,
        "Whether the last write to it went well: there is none.",
    ),
    (
        "module_fork_in_progress",
        "module_fork_in_progress",
        Gauge,
        "Whether a module has forked: never.",
    ),
    (
        "module_fork_last_cow_size",
        "module_fork_last_cow_size",
        Gauge,
        "Memory that was copied for a module: none.",
    ),
    (
        "total_connections_received",
        "connections_received",
        Counter,
        "Connections of clients that were accepted.",
    ),
    (
        "total_commands_processed",
        "commands_processed",
        Counter,
        "Commands of clients that ran.",
    ),
    (
        "rejected_connections",
        "rejected_connections",
        Counter,
        "Connections that were refused because there were too many.",
    ),
    (
        "total_net_input_bytes",
        "net_input_bytes",
        Counter,
        "Bytes received from clients.",
    ),
    (
        "total_net_output_bytes",
        "net_output_bytes",
        Counter,
        "Bytes sent to clients.",
    ),
    (
        "sync_full",
        "replica_resyncs_full",
        Gauge,
        "Full syncs of replicas of this server: redtail has none. Its own are under redtail_sync.",
    ),
    (
        "sync_partial_ok",
        "replica_partial_resync_accepted",
        Gauge,
        "Partial syncs of replicas of this server: redtail has none.",
    ),
    (
        "sync_partial_err",
        "replica_partial_resync_denied",
        Gauge,
        "Partial syncs that replicas of this server were denied: redtail has none.",
    ),
    (
        "expired_keys",
        "expired_keys",
        Counter,
        "Keys deleted because they expired: on a replica only the primary does that.",
    ),
    (
        "expired_stale_perc",
        "expired_stale_percentage",
        Gauge,
        "How many keys are likely expired and not deleted, as a server that deletes them estimates it: 0 on a replica.",
    ),
    (
        "expired_time_cap_reached_count",
        "expired_time_cap_reached",
        Counter,
        "Times that deleting expired keys took too long: never on a replica.",
    ),
    (
        "evicted_keys",
        "evicted_keys",
        Counter,
        "Keys that were evicted: redtail evicts nothing.",
    ),
    (
        "keyspace_hits",
        "keyspace_hits",
        Counter,
        "Keys that reads asked for and found.",
    ),
    (
        "keyspace_misses",
        "keyspace_misses",
        Counter,
        "Keys that reads asked for and did not find.",
    ),
    (
        "pubsub_channels",
        "pubsub_channels",
        Gauge,
        "Channels that clients have subscribed to.",
    ),
    (
        "pubsub_patterns",
        "pubsub_patterns",
        Gauge,
        "Patterns that clients have subscribed to.",
    ),
    (
        "latest_fork_usec",
        "latest_fork_seconds",
        Micros,
        "How long the last fork took: redtail never forks.",
    ),
    (
        "migrate_cached_sockets",
        "migrate_cached_sockets",
        Counter,
        "Sockets kept for MIGRATE: none.",
    ),
    (
        "slave_expires_tracked_keys",
        "slave_expires_tracked_keys",
        Gauge,
        "Keys of a writable replica that it expires itself: none.",
    ),
    (
        "active_defrag_hits",
        "defrag_hits",
        Gauge,
        "Values that active defragmentation moved: none.",
    ),
    (
        "active_defrag_misses",
        "defrag_misses",
        Gauge,
        "Values that it left alone: none.",
    ),
    (
        "active_defrag_key_hits",
        "defrag_key_hits",
        Gauge,
        "Keys that it moved: none.",
    ),
    (
        "active_defrag_key_misses",
        "defrag_key_misses",
        Gauge,
        "Keys that it left alone: none.",
    ),
    (
        "tracking_total_keys",
        "tracking_total_keys",
        Gauge,
        "Keys that clients cache: none.",
    ),
    (
        "tracking_total_items",
        "tracking_total_items",
        Gauge,
        "Pairs of keys and clients that cache them: none.",
    ),
    (
        "tracking_total_prefixes",
        "tracking_total_prefixes",
        Gauge,
        "Prefixes that clients cache: none.",
    ),
    (
        "unexpected_error_replies",
        "unexpected_error_replies",
        Untyped,
        "Error replies that a server did not expect of its own commands: none.",
    ),
    (
        "total_error_replies",
        "total_error_replies",
        Untyped,
        "Error replies to clients.",
    ),
    (
        "dump_payload_sanitizations",
        "dump_payload_sanitizations",
        Untyped,
        "Payloads of RESTORE that were checked deeply: none.",
    ),
    (
        "io_threaded_reads_processed",
        "io_threaded_reads_processed",
        Untyped,
        "Reads by a server's threads for sockets: none.",
    ),
    (
        "io_threaded_writes_processed",
        "io_threaded_writes_processed",
        Untyped,
        "Writes by a server's threads for sockets: none.",
    ),
    (
        "connected_slaves",
        "connected_slaves",
        Gauge,
        "Replicas of this server: redtail has none.",
    ),
    (
        "repl_backlog_size",
        "replication_backlog_bytes",
        Gauge,
        "The backlog for replicas of this server: redtail has none.",
    ),
    (
        "repl_backlog_active",
        "repl_backlog_is_active",
        Gauge,
        "Whether there is such a backlog.",
    ),
    (
        "repl_backlog_first_byte_offset",
        "repl_backlog_first_byte_offset",
        Gauge,
        "The first offset in that backlog.",
    ),
    (
        "repl_backlog_histlen",
        "repl_backlog_history_bytes",
        Gauge,
        "Bytes in that backlog.",
    ),
    (
        "master_repl_offset",
        "master_repl_offset",
        Gauge,
        "The replication offset up to which the stream is visible.",
    ),
    (
        "second_repl_offset",
        "second_repl_offset",
        Gauge,
        "The first offset after the last failover; -1 for none.",
    ),
    (
        "slave_priority",
        "slave_priority",
        Gauge,
        "Who is promoted first: 0, because redtail never can be.",
    ),
    (
        "used_cpu_sys",
        "cpu_sys_seconds",
        Counter,
        "Processor time in system mode.",
    ),
    (
        "used_cpu_user",
        "cpu_user_seconds",
        Counter,
        "Processor time in user mode.",
    ),
    (
        "used_cpu_sys_children",
        "cpu_sys_children_seconds",
        Counter,
        "Processor time of child processes in system mode: none.",
    ),
    (
        "used_cpu_user_children",
        "cpu_user_children_seconds",
        Counter,
        "Processor time of child processes in user mode: none.",
    ),
    (
        "cluster_enabled",
        "cluster_enabled",
        Gauge,
        "Whether clients see a server of a cluster (--cluster-face).",
    ),
];

/// INFO's fields by name.
struct Info<'t>(BTreeMap<&'t str, &'t str>);

impl<'t> Info<'t> {
    fn of(text: &'t str) -> Self {
        Self(
            text.lines()
                .filter_map(|line| line.split_once(':'))
                .collect(),
        )
    }

    fn text(&self, name: &str) -> &'t str {
        self.0.get(name).copied().unwrap_or_default()
    }

    fn number(&self, name: &str) -> Option<f64> {
        self.text(name).parse().ok()
    }

    /// The fields whose names start like this, with the rest of their names.
    fn each(&self, start: &str) -> impl Iterator<Item = (&'t str, &'t str)> {
        let fields = self.0.iter();
        fields.filter_map(move |(name, value)| Some((name.strip_prefix(start)?, *value)))
    }
}

/// The numbers of a value like `calls=3,usec=5`.
fn parts(value: &str) -> impl Iterator<Item = (&str, f64)> {
    value.split(',').filter_map(|part| {
        let (name, number) = part.split_once('=')?;
        Some((name, number.parse().ok()?))
    })
}

fn part(value: &str, name: &str) -> Option<f64> {
    parts(value)
        .find(|(found, _)| *found == name)
        .map(|(_, number)| number)
}

pub(super) fn write(sheet: &mut Sheet<'_>, facts: &Facts) -> Result<(), Error> {
    let text = info_text(
        facts.host(),
        facts.replication.clone(),
        facts.dialect.unwrap_or_default(),
        facts.generation.as_deref(),
        facts.cluster.as_ref(),
    );
    let info = Info::of(&text);
    sheet.gauge("redis_up", "Always 1: redtail answers.", 1.0)?;
    instance(sheet, facts, &info)?;
    for (field, name, kind, help) in FIELDS {
        let name = format!("redis_{name}");
        let Some(value) = (match kind {
            Status => info
                .0
                .get(field)
                .map(|status| f64::from(u8::from(*status == "ok"))),
            _ => info.number(field),
        }) else {
            continue;
        };
        match kind {
            Counter => sheet.counter(&name, help, value)?,
            Untyped => sheet.untyped(&name, help, value)?,
            Micros => sheet.gauge(&name, help, value / 1e6)?,
            Gauge | Status => sheet.gauge(&name, help, value)?,
        }
    }
    link(sheet, &info)?;
    databases(sheet, facts, &info)?;
    commands(sheet, &info)?;
    latencies(sheet, &info)?;
    settings_and_logs(sheet, facts)
}

fn instance(sheet: &mut Sheet<'_>, facts: &Facts, info: &Info<'_>) -> Result<(), Error> {
    // In the order of the alphabet, as the exporter's library writes them.
    const LABELS: [&str; 9] = [
        "maxmemory_policy",
        "os",
        "process_id",
        "redis_build_id",
        "redis_mode",
        "redis_version",
        "role",
        "run_id",
        "tcp_port",
    ];
    let labels = LABELS
        .iter()
        .map(|name| (*name, info.text(name).to_owned()));
    sheet.gauges(
        "redis_instance_info",
        "Always 1: what redtail says of itself in INFO.",
        [(labels.collect(), 1.0)],
    )?;
    let started = facts.at_unix_ms as f64 / 1000.0 - facts.uptime().as_secs_f64();
    sheet.gauge(
        "redis_start_time_seconds",
        "When redtail started, in Unix seconds.",
        started.floor(),
    )
}

fn link(sheet: &mut Sheet<'_>, info: &Info<'_>) -> Result<(), Error> {
    let primary = || -> Labels<'static> {
        vec![
            ("master_host", info.text("master_host").to_owned()),
            ("master_port", info.text("master_port").to_owned()),
        ]
    };
    let up = f64::from(u8::from(info.text("master_link_status") == "up"));
    let values = [
        (
            "redis_master_link_up",
            "1 while the stream of the primary arrives.",
            Some(up),
        ),
        (
            "redis_master_last_io_seconds_ago",
            "How long ago the last byte arrived from the primary; -1 while the link is down.",
            info.number("master_last_io_seconds_ago"),
        ),
        (
            "redis_master_sync_in_progress",
            "1 while a snapshot arrives.",
            info.number("master_sync_in_progress"),
        ),
        (
            "redis_slave_repl_offset",
            "The replication offset up to which the stream is visible.",
            info.number("slave_repl_offset"),
        ),
    ];
    for (name, help, value) in values {
        sheet.gauges(name, help, value.map(|value| (primary(), value)))?;
    }
    let mut labels = primary();
    labels.push(("read_only", info.text("slave_read_only").to_owned()));
    sheet.gauges(
        "redis_slave_info",
        "Always 1: which primary redtail follows.",
        [(labels, 1.0)],
    )
}

fn databases(sheet: &mut Sheet<'_>, facts: &Facts, info: &Info<'_>) -> Result<(), Error> {
    // INFO lists only the databases that hold keys.
    let all = |part_name: &'static str| {
        let count = facts.host().databases();
        let numbers = 0..count;
        numbers.map(move |number| {
            let name = format!("db{number}");
            let value = part(info.text(&name), part_name).unwrap_or(0.0);
            (label("db", name), value)
        })
    };
    sheet.gauges(
        "redis_db_keys",
        "Keys of a database, expired ones included.",
        all("keys"),
    )?;
    sheet.gauges(
        "redis_db_keys_expiring",
        "Keys of a database that have an expiry.",
        all("expires"),
    )?;
    let held = info
        .each("db")
        .filter(|(number, _)| number.parse::<u32>().is_ok());
    sheet.gauges(
        "redis_db_avg_ttl_seconds",
        "The average time to live, which a replica does not estimate: 0.",
        held.filter_map(|(number, value)| {
            Some((
                label("db", format!("db{number}")),
                part(value, "avg_ttl")? / 1000.0,
            ))
        }),
    )
}

fn commands(sheet: &mut Sheet<'_>, info: &Info<'_>) -> Result<(), Error> {
    let of = |part_name: &'static str, scale: f64| {
        let each = info.each("cmdstat_");
        each.filter_map(move |(name, value)| {
            Some((label("cmd", name), part(value, part_name)? / scale))
        })
    };
    sheet.counters(
        "redis_commands",
        "Commands of clients that ran, by name.",
        of("calls", 1.0),
    )?;
    sheet.counters(
        "redis_commands_duration_seconds",
        "How long they took in all, by name.",
        of("usec", 1e6),
    )?;
    sheet.counters(
        "redis_commands_rejected_calls",
        "Commands that were refused before they ran, by name.",
        of("rejected_calls", 1.0),
    )?;
    sheet.counters(
        "redis_commands_failed_calls",
        "Commands that ran and answered an error, by name.",
        of("failed_calls", 1.0),
    )?;
    let errors = info.each("errorstat_");
    sheet.counters(
        "redis_errors",
        "Error replies to clients, by their first word.",
        errors.filter_map(|(name, value)| Some((label("err", name), part(value, "count")?))),
    )
}

/// The exporter shows a summary. Its parts have names of their own here, because the library knows no summaries.
fn latencies(sheet: &mut Sheet<'_>, info: &Info<'_>) -> Result<(), Error> {
    let quantiles = info
        .each("latency_percentiles_usec_")
        .flat_map(|(name, value)| {
            parts(value).map(move |(share, micros)| {
                let share = share.strip_prefix('p').unwrap_or(share);
                let labels = vec![("cmd", name.to_owned()), ("quantile", share.to_owned())];
                (labels, micros)
            })
        });
    sheet.untyped_series(
        "redis_latency_percentiles_usec",
        "Percentiles of how long commands took, by name, in microseconds.",
        quantiles,
    )?;
    for (suffix, part_name) in [("sum", "usec"), ("count", "calls")] {
        let tracked = info.each("latency_percentiles_usec_");
        let name = format!("redis_latency_percentiles_usec_{suffix}");
        sheet.untyped_series(
            &name,
            "The sum, or the number, of what the percentiles are of.",
            tracked.filter_map(|(name, _)| {
                let stat = info.text(&format!("cmdstat_{name}"));
                Some((label("cmd", name), part(stat, part_name)?))
            }),
        )?;
    }
    Ok(())
}

fn settings_and_logs(sheet: &mut Sheet<'_>, facts: &Facts) -> Result<(), Error> {
    let kept = facts.host().tunables().all_kept();
    let settings: Vec<_> = kept.into_iter().chain(facts.host().settings()).collect();
    let setting = |name: &str| {
        let found = settings.iter().find(|(own, _)| *own == name);
        found.and_then(|(_, value)| value.parse().ok())
    };
    sheet.gauge(
        "redis_config_maxclients",
        "Clients that may be connected at once.",
        setting("maxclients").unwrap_or(0.0),
    )?;
    sheet.gauge(
        "redis_config_maxmemory",
        "The limit set with maxmemory, which nothing here depends on; 0 for none.",
        setting("maxmemory").unwrap_or(0.0),
    )?;
    sheet.gauge(
        "redis_config_io_threads",
        "A server's threads for sockets: 1, because redtail has none of that kind.",
        setting("io-threads").unwrap_or(1.0),
    )?;
    let log = &facts.statistics().logs.slow;
    let last = log.newest(1).into_iter().next();
    sheet.gauge(
        "redis_slowlog_length",
        "Commands in the slow log.",
        number(log.len()),
    )?;
    sheet.gauge(
        "redis_slowlog_last_id",
        "The number of the last command in the slow log; 0 without any.",
        last.as_ref().map_or(0.0, |entry| number(entry.id)),
    )?;
    sheet.gauge(
        "redis_last_slow_execution_duration_seconds",
        "How long the last command in the slow log took; 0 without any.",
        last.map_or(0.0, |entry| number(entry.value) / 1e6),
    )
}

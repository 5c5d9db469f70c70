//! INFO.
//!
//! Has the fields of the upstream's version, as far as redtail has their figures. The section `redtail` has what no Redis has. Source: redis 7.0
//! server.c, `genRedisInfoString`.

use std::collections::HashSet;
use std::fmt::{Display, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};

use super::memory::{self, Memory, ratio};
use super::{info_calls, started};
use crate::command::rows::acl::Reason;
use crate::command::rows::client::Shown;
use crate::command::rows::{
    ClusterState, Error, Host, KeptState, Replication, Seen, SessionCx, ShardState, Shards,
    SyncNames, Synced,
};
use crate::dialect::{Dialect, Family};
use crate::resp::Args;
use crate::store::Generation;

/// Writes one section's lines.
type Section = fn(&mut Text, &Facts<'_>);

/// The sections, in Redis's order. The last field says whether plain INFO shows the section.
const SECTIONS: &[(&str, Section, bool)] = &[
    ("Server", server, true),
    ("Clients", clients, true),
    ("Memory", memory, true),
    ("Persistence", persistence, true),
    ("Stats", stats, true),
    ("Replication", replication, true),
    (OWN_SECTION, redtail, true),
    ("CPU", cpu, true),
    ("Modules", modules, true),
    ("Commandstats", info_calls::commands, false),
    ("Errorstats", info_calls::errors, true),
    ("Latencystats", info_calls::latencies, false),
    ("Cluster", cluster, true),
    ("Keyspace", keyspace, true),
];

/// The section that no server has.
const OWN_SECTION: &str = "Redtail";

/// An id that names no history.
const NO_REPLID: &str = "0000000000000000000000000000000000000000";

/// What all sections need, collected once.
pub(super) struct Facts<'a> {
    pub(super) host: &'a dyn Host,
    pub(super) dialect: Dialect,
    /// The data: without a cluster, one generation at most.
    data: Vec<&'a Generation>,
    /// The cluster that is followed.
    cluster: Option<&'a ClusterState>,
    replication: Replication,
    settings: Vec<(&'static str, String)>,
    /// Bytes of the requests and replies of all connections.
    client_bytes: u64,
}

impl Facts<'_> {
    /// Returns a setting's value as CONFIG GET shows it, if it is not the server's default.
    pub(super) fn setting(&self, name: &str) -> Option<String> {
        let found = self.settings.iter().find(|(own, _)| *own == name);
        found.map(|(_, value)| value.clone())
    }

    /// Returns the same as a number.
    fn number(&self, name: &str) -> u64 {
        let value = self.setting(name);
        value.and_then(|value| value.parse().ok()).unwrap_or(0)
    }
}

/// Sections and fields, each with the servers whose replicas have them in their own INFO.
const NAMES: &str = include_str!("info.txt");

/// Returns the sections and fields of the nearest server in `NAMES`.
fn names(dialect: Dialect) -> HashSet<&'static str> {
    let letter = dialect.asked_server();
    let lines = NAMES.lines().filter_map(|line| line.split_once(' '));
    lines
        .filter(|(servers, _)| servers.contains(letter))
        .map(|(_, name)| name)
        .collect()
}

/// INFO's text.
pub(super) struct Text {
    text: String,
    names: HashSet<&'static str>,
}

impl Text {
    /// Writes a field, if the upstream's version has it or it is redtail's own.
    fn line(&mut self, name: &str, value: impl Display) {
        if self.names.contains(name) || name.starts_with("redtail_") {
            self.entry(name, value);
        }
    }

    /// Writes a line that is not a field with a fixed name.
    pub(super) fn entry(&mut self, name: &str, value: impl Display) {
        // Writing to a String cannot fail.
        let _ = write!(self.text, "{name}:{value}\r\n");
    }

    /// Writes fields that are always 0.
    fn zeros(&mut self, names: &[&str]) {
        for name in names {
            self.line(name, 0);
        }
    }

    fn count(&mut self, name: &str, counter: &AtomicU64) {
        self.line(name, counter.load(Ordering::Relaxed));
    }

    /// Writes a number of bytes, for programs and for people.
    fn bytes(&mut self, name: &str, bytes: u64) {
        self.line(name, bytes);
        self.line(&format!("{name}_human"), human(bytes));
    }
}

impl<'a> Facts<'a> {
    fn of(
        host: &'a dyn Host,
        replication: Replication,
        dialect: Dialect,
        generation: Option<&'a Generation>,
        cluster: Option<&'a ClusterState>,
    ) -> Self {
        Self {
            host,
            dialect,
            data: match cluster {
                None => generation.into_iter().collect(),
                Some(cluster) => cluster.generations().collect(),
            },
            cluster,
            replication,
            settings: told(host),
            client_bytes: memory::of_clients(host),
        }
    }
}

pub(super) fn info(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    let cluster = cx.host.shards().map(Shards::state);
    let replication = match &cluster {
        None => cx.host.replication(),
        Some(cluster) => cluster.replication(),
    };
    let dialect = cx.reply.dialect();
    let facts = Facts::of(
        cx.host,
        replication,
        dialect,
        cx.generation,
        cluster.as_ref(),
    );
    let text = text(&facts, |name, is_default| wanted(args, name, is_default));
    cx.reply.verbatim("txt", text.text.as_bytes());
    Ok(())
}

/// Returns all sections of INFO, as a client of this dialect gets them, of a replica in this state with this data, or of this cluster.
#[must_use]
pub fn info_text(
    host: &dyn Host,
    replication: Replication,
    dialect: Dialect,
    generation: Option<&Generation>,
    cluster: Option<&ClusterState>,
) -> String {
    let facts = Facts::of(host, replication, dialect, generation, cluster);
    text(&facts, |_, _| true).text
}

/// Returns the settings that the host and CONFIG SET know.
fn told(host: &dyn Host) -> Vec<(&'static str, String)> {
    let kept = host.tunables().all_kept();
    kept.into_iter().chain(host.settings()).collect()
}

/// Writes the sections that `wants` names: it is asked with the name, and whether plain INFO shows the section.
fn text(facts: &Facts<'_>, wants: impl Fn(&str, bool) -> bool) -> Text {
    let mut text = Text {
        text: String::new(),
        names: names(facts.dialect),
    };
    for (name, section, is_default) in SECTIONS {
        let head = format!("# {name}");
        let is_there = *name == OWN_SECTION || text.names.contains(head.as_str());
        if !is_there || !wants(name, *is_default) {
            continue;
        }
        if !text.text.is_empty() {
            text.text.push_str("\r\n");
        }
        let _ = write!(text.text, "{head}\r\n");
        section(&mut text, facts);
    }
    text
}

fn wanted(args: Args<'_>, name: &str, is_default: bool) -> bool {
    if args.len() == 1 {
        return is_default;
    }
    (1..args.len()).any(|at| {
        args.is(at, name)
            || args.is(at, "all")
            || args.is(at, "everything")
            || args.is(at, "default") && is_default
    })
}

fn server(text: &mut Text, facts: &Facts<'_>) {
    let dialect = facts.dialect;
    let (major, minor, patch) = dialect.version;
    if dialect.family == Family::Valkey {
        // Valkey still names the Redis version that it forked from.
        text.line("redis_version", "7.2.4");
        text.line("server_name", "valkey");
        text.line("valkey_version", format_args!("{major}.{minor}.{patch}"));
        text.line("valkey_release_stage", "ga");
    } else {
        text.line("redis_version", format_args!("{major}.{minor}.{patch}"));
    }
    text.line("redis_git_sha1", "00000000");
    text.line("redis_git_dirty", 0);
    text.line("redis_build_id", 0);
    let mode = match facts.host.shows_cluster() {
        true => "cluster",
        false => "standalone",
    };
    text.line("redis_mode", mode);
    text.line("server_mode", mode);
    // A redtail that follows this one recognises it by this line.
    text.line("redtail_version", env!("CARGO_PKG_VERSION"));
    text.line(
        "os",
        format_args!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
    );
    text.line("arch_bits", usize::BITS);
    text.line("monotonic_clock", "POSIX clock_gettime");
    text.line("multiplexing_api", "tokio");
    // What a server says if gcc did not compile it.
    text.line("gcc_version", "0.0.0");
    process(text, facts);
}

/// Writes what depends on this process, not on the version.
fn process(text: &mut Text, facts: &Facts<'_>) {
    let statistics = facts.host.statistics();
    let uptime = statistics.started.elapsed().as_secs();
    let now_us = crate::store::unix_ms().saturating_mul(1000);
    text.line("process_id", std::process::id());
    text.line("process_supervised", "no");
    text.line("run_id", &statistics.run_id);
    text.count("tcp_port", &statistics.port);
    text.line("server_time_usec", now_us);
    text.line("uptime_in_seconds", uptime);
    text.line("uptime_in_days", uptime / 86_400);
    for name in ["hz", "configured_hz", "clients_hz"] {
        text.line(name, facts.setting("hz").as_deref().unwrap_or("10"));
    }
    // Source: redis 7.0 server.h, `LRU_CLOCK_MAX`: 24 bits of seconds.
    text.line("lru_clock", (now_us / 1_000_000) & 0x00ff_ffff);
    let program = std::env::current_exe().unwrap_or_default();
    text.line("executable", program.display());
    text.line("config_file", "");
    text.line("io_threads_active", 0);
    let zone = facts.setting("availability-zone").unwrap_or_default();
    text.line("availability_zone", zone);
    let bind = facts.setting("bind").unwrap_or_default();
    let port = statistics.port.load(Ordering::Relaxed);
    text.line(
        "listener0",
        format_args!("name=tcp,bind={bind},port={port}"),
    );
}

fn clients(text: &mut Text, facts: &Facts<'_>) {
    let records = facts.host.clients();
    let subscribers = records.iter().filter(|client| client.is_subscriber());
    let subscribers = subscribers.count();
    let clients: Vec<Shown> = records
        .iter()
        .map(|client| {
            let mut shown = client.shown().clone();
            shown.reply_bytes += client.inbox_bytes.load(Ordering::Relaxed);
            shown
        })
        .collect();
    let count = |is: fn(&Shown) -> bool| clients.iter().filter(|client| is(client)).count();
    let most = |bytes: fn(&Shown) -> usize| clients.iter().map(bytes).max().unwrap_or(0);
    let watched: usize = clients.iter().map(|client| client.watched).sum();
    text.line("connected_clients", clients.len());
    text.line("cluster_connections", 0);
    text.line(
        "maxclients",
        facts.setting("maxclients").unwrap_or_default(),
    );
    text.line(
        "client_recent_max_input_buffer",
        most(|client| client.query_bytes),
    );
    text.line(
        "client_recent_max_output_buffer",
        most(|client| client.reply_bytes),
    );
    text.line("blocked_clients", count(|client| client.blocked));
    text.line(
        "tracking_clients",
        facts.host.statistics().tracking.clients(),
    );
    text.line("pubsub_clients", subscribers);
    text.line("watching_clients", count(|client| client.watched > 0));
    text.line("clients_in_timeout_table", 0);
    text.line("total_watched_keys", watched);
    text.line("paused_reason", "none");
    text.line("paused_actions", "none");
    text.line("paused_timeout_milliseconds", 0);
}

/// DIFFERENCE: redtail does not distinguish data from what holds it, so overheads are 0. The peak is that of the whole process.
fn memory(text: &mut Text, facts: &Facts<'_>) {
    let figures = memory::figures(facts.data.iter().copied());
    let memory = Memory::of(&figures, facts.client_bytes);
    let (held, resident, peak) = (memory.held, memory.resident, memory.peak());
    let percent = |part, of| format!("{:.2}%", ratio(part, of) * 100.0);
    text.bytes("used_memory", held);
    text.bytes("used_memory_rss", resident);
    text.bytes("used_memory_peak", peak);
    text.line("used_memory_peak_time", memory::peak_time(peak));
    text.line("used_memory_peak_perc", percent(held, peak));
    text.zeros(&["used_memory_overhead", "used_memory_startup"]);
    text.line("used_memory_dataset", held);
    text.line("used_memory_dataset_perc", percent(held, held));
    text.line("allocator_allocated", held);
    text.line("allocator_active", resident);
    text.line("allocator_resident", resident);
    text.line("allocator_muzzy", 0);
    text.bytes("total_system_memory", system_memory());
    text.bytes("maxmemory", facts.number("maxmemory"));
    let policy = facts.setting("maxmemory-policy");
    text.line(
        "maxmemory_policy",
        policy.as_deref().unwrap_or("noeviction"),
    );
    allocator(text, held, resident);
    text.zeros(NOT_HELD);
    let scripts = facts.host.scripting().figures();
    let (lua, texts) = (scripts.resting_bytes as u64, scripts.cached_bytes as u64);
    text.bytes("used_memory_lua", lua);
    text.line("used_memory_vm_eval", lua);
    text.line("used_memory_scripts_eval", texts);
    text.bytes("used_memory_scripts", texts);
    text.line("number_of_cached_scripts", scripts.cached);
    text.line("mem_clients_normal", memory.clients);
    text.line("mem_allocator", "mimalloc");
    text.zeros(&[
        "mem_overhead_db_hashtable_rehashing",
        "active_defrag_running",
        "lazyfree_pending_objects",
        "lazyfreed_objects",
    ]);
}

/// What servers hold besides the data, and redtail does not.
const NOT_HELD: &[&str] = &[
    "mem_not_counted_for_evict",
    "mem_replication_backlog",
    "mem_total_replication_buffers",
    "mem_replica_full_sync_buffer",
    "mem_replicas_repl_buffer",
    "mem_clients_slaves",
    "mem_cluster_links",
    "mem_cluster_slot_import",
    "mem_cluster_slot_export",
    "mem_aof_buffer",
];

/// Writes what the process uses beyond the data. The allocator's share is not distinguished from the rest.
fn allocator(text: &mut Text, held: u64, resident: u64) {
    let beyond = resident.saturating_sub(held);
    let share = format!("{:.2}", ratio(resident, held));
    text.line("allocator_frag_ratio", &share);
    text.line("allocator_frag_bytes", beyond);
    text.line("allocator_rss_ratio", "1.00");
    text.line("allocator_rss_bytes", 0);
    text.line("rss_overhead_ratio", "1.00");
    text.line("rss_overhead_bytes", 0);
    text.line("mem_fragmentation_ratio", &share);
    text.line("mem_fragmentation_bytes", beyond);
}

/// The machine's memory in bytes, or 0 if `/proc` does not say.
fn system_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

fn persistence(text: &mut Text, facts: &Facts<'_>) {
    let first_load = facts
        .cluster
        .map_or_else(|| facts.data.is_empty(), |cluster| !cluster.is_whole());
    text.line("loading", u8::from(first_load));
    text.line(
        "async_loading",
        u8::from(!first_load && facts.replication.loading.is_some()),
    );
    if let Some(load) = facts.replication.loading {
        text.line("loading_total_bytes", load.bytes_expected);
        text.line("loading_loaded_bytes", load.bytes);
        text.line("loading_loaded_keys", load.keys);
        let percent = percent(load.bytes, load.bytes_expected);
        text.line("loading_loaded_perc", format_args!("{percent:.2}"));
    }
    text.zeros(&[
        "current_cow_peak",
        "current_cow_size",
        "current_cow_size_age",
    ]);
    text.line("current_fork_perc", "0.00");
    text.zeros(&[
        "current_save_keys_processed",
        "current_save_keys_total",
        "rdb_changes_since_last_save",
        "rdb_bgsave_in_progress",
    ]);
    text.line("rdb_last_save_time", started(facts.host));
    text.line("rdb_last_bgsave_status", "ok");
    text.line("rdb_last_bgsave_time_sec", -1);
    text.line("rdb_current_bgsave_time_sec", -1);
    text.zeros(&["rdb_saves", "rdb_last_cow_size"]);
    text.zeros(&[
        "aof_enabled",
        "aof_rewrite_in_progress",
        "aof_rewrite_scheduled",
    ]);
    text.line("aof_last_rewrite_time_sec", -1);
    text.line("aof_current_rewrite_time_sec", -1);
    text.line("aof_last_bgrewrite_status", "ok");
    text.zeros(&["aof_rewrites", "aof_rewrites_consecutive_failures"]);
    text.line("aof_last_write_status", "ok");
    text.zeros(&[
        "aof_last_cow_size",
        "module_fork_in_progress",
        "module_fork_last_cow_size",
        "slot_migration_fork_in_progress",
    ]);
}

fn stats(text: &mut Text, facts: &Facts<'_>) {
    let counted = facts.host.statistics();
    text.count("total_connections_received", &counted.connections);
    let total = counted.traffic.totals();
    text.line("total_commands_processed", total.commands);
    let rate = counted.rates.per_second();
    let kib = |bytes: u64| format!("{:.2}", bytes as f64 / 1024.0);
    text.line("instantaneous_ops_per_sec", rate.commands);
    text.line("total_net_input_bytes", total.received_bytes);
    text.line("total_net_output_bytes", total.sent_bytes);
    text.line("instantaneous_input_kbps", kib(rate.received_bytes));
    text.line("instantaneous_output_kbps", kib(rate.sent_bytes));
    text.line("total_net_repl_input_bytes", facts.replication.input_bytes);
    text.count("rejected_connections", &counted.rejected);
    text.count(
        "client_query_buffer_limit_disconnections",
        &counted.query_limit_closes,
    );
    let limits = &facts.host.tunables().output_limits;
    let over_limits = [&counted.reply_limit_closes, &limits.disconnections];
    let over_limits = over_limits.map(|count| count.load(Ordering::Relaxed));
    text.line(
        "client_output_buffer_limit_disconnections",
        over_limits.iter().sum::<u64>(),
    );
    text.line("keyspace_hits", total.keyspace_hits);
    text.line("keyspace_misses", total.keyspace_misses);
    let denied = &facts.host.users().log;
    for (name, reason) in [
        ("acl_access_denied_auth", Reason::Auth),
        ("acl_access_denied_cmd", Reason::Command),
        ("acl_access_denied_key", Reason::Key),
        ("acl_access_denied_channel", Reason::Channel),
        ("acl_access_denied_db", Reason::Database),
    ] {
        text.line(name, denied.count(reason));
    }
    let [channels, patterns, shard_channels] = facts.host.pubsub().counts();
    text.line("pubsub_channels", channels);
    text.line("pubsub_patterns", patterns);
    text.line("pubsubshard_channels", shard_channels);
    let [keys, items, prefixes] = counted.tracking.totals();
    text.line("tracking_total_keys", keys);
    text.line("tracking_total_items", items);
    text.line("tracking_total_prefixes", prefixes);
    text.zeros(NEVER_HAPPENS);
    text.line("expired_stale_perc", "0.00");
    text.line("expired_keys_with_volatile_items_stale_perc", "0.00");
    text.count("total_error_replies", &counted.errors);
}

/// Counters of things that never happen here: redtail has no replicas; nothing is evicted, forked or
/// defragmented; and a replica deletes expired keys only when its primary says so.
const NEVER_HAPPENS: &[&str] = &[
    "sync_full",
    "sync_partial_ok",
    "sync_partial_err",
    "total_net_repl_output_bytes",
    "instantaneous_output_repl_kbps",
    "total_net_cluster_slot_import_bytes",
    "total_net_cluster_slot_export_bytes",
    "expired_keys",
    "expired_subkeys",
    "expired_fields",
    "expired_time_cap_reached_count",
    "expire_cycle_cpu_milliseconds",
    "evicted_keys",
    "evicted_clients",
    "evicted_scripts",
    "total_eviction_exceeded_time",
    "current_eviction_exceeded_time",
    "latest_fork_usec",
    "total_forks",
    "migrate_cached_sockets",
    "slave_expires_tracked_keys",
    "active_defrag_hits",
    "active_defrag_misses",
    "active_defrag_key_hits",
    "active_defrag_key_misses",
    "total_active_defrag_time",
    "current_active_defrag_time",
    "unexpected_error_replies",
    "dump_payload_sanitizations",
    "io_threaded_reads_processed",
    "io_threaded_writes_processed",
    "io_threaded_freed_objects",
    "io_threaded_accept_processed",
    "io_threaded_poll_processed",
    "io_threaded_total_prefetch_batches",
    "io_threaded_total_prefetch_entries",
    "acl_access_denied_tls_cert",
];

fn replication(text: &mut Text, facts: &Facts<'_>) {
    let replication = &facts.replication;
    let seconds = |duration: std::time::Duration| duration.as_secs().to_string();
    let syncing = replication.state == "sync";
    let up = replication.down_for.is_none();
    text.line("role", "slave");
    text.line("master_host", &replication.host);
    text.line("master_port", replication.port);
    text.line("master_link_status", if up { "up" } else { "down" });
    let last_io = replication.last_io.filter(|_| up).map(seconds);
    text.line(
        "master_last_io_seconds_ago",
        last_io.as_deref().unwrap_or("-1"),
    );
    text.line("master_sync_in_progress", u8::from(syncing));
    text.line("slave_read_repl_offset", replication.received_offset);
    text.line("slave_repl_offset", replication.applied_offset);
    for name in facts.dialect.full_sync_buffer_names() {
        text.line(name, 0);
    }
    if syncing {
        transfer(text, replication);
    }
    text.line(
        "master_current_sync_attempts",
        replication.attempts_since_lost,
    );
    text.line("master_total_sync_attempts", replication.attempts);
    if let Some(up_for) = replication.up_for {
        text.line("master_link_up_since_seconds", seconds(up_for));
    }
    if let Some(down_for) = replication.down_for {
        let since = replication.was_up.then(|| seconds(down_for));
        text.line(
            "master_link_down_since_seconds",
            since.as_deref().unwrap_or("-1"),
        );
    }
    text.line(
        "total_disconnect_time_sec",
        seconds(replication.disconnected_for),
    );
    text.line("slave_priority", 0);
    text.line("slave_read_only", 1);
    text.line("replica_announced", 0);
    text.line("connected_slaves", 0);
    if facts.dialect.counts_waiting_replicas() {
        text.line("replicas_waiting_psync", 0);
    }
    text.line("master_failover_state", "no-failover");
    let replid = Some(replication.replid.as_str()).filter(|id| !id.is_empty());
    text.line("master_replid", replid.unwrap_or(NO_REPLID));
    let before = replication.replid_before.as_ref();
    text.line("master_replid2", before.map_or(NO_REPLID, |(id, _)| id));
    text.line("master_repl_offset", replication.applied_offset);
    let second = before.map(|(_, offset)| offset.to_string());
    text.line("second_repl_offset", second.as_deref().unwrap_or("-1"));
    for name in [
        "repl_backlog_active",
        "repl_backlog_size",
        "repl_backlog_first_byte_offset",
        "repl_backlog_histlen",
    ] {
        text.line(name, 0);
    }
}

/// Writes the state of a snapshot transfer. If its size is unknown, the bytes left are the bytes received, negated.
///
/// Source: redis 7.0 server.c, `genRedisInfoString`.
fn transfer(text: &mut Text, replication: &Replication) {
    let load = replication.loading.unwrap_or_default();
    let (bytes, expected) = (load.bytes, load.bytes_expected);
    let left = i128::from(expected) - i128::from(bytes);
    text.line("master_sync_total_bytes", expected);
    text.line("master_sync_read_bytes", bytes);
    text.line("master_sync_left_bytes", left);
    text.line(
        "master_sync_perc",
        format_args!("{:.2}", percent(bytes, expected)),
    );
    let last_io = replication.last_io.map(|ago| ago.as_secs().to_string());
    text.line(
        "master_sync_last_io_seconds_ago",
        last_io.as_deref().unwrap_or("-1"),
    );
}

/// Returns the percentage received, or 0 if the total is unknown.
fn percent(bytes: u64, expected: u64) -> f64 {
    if expected == 0 {
        0.0
    } else {
        bytes as f64 * 100.0 / expected as f64
    }
}

fn redtail(text: &mut Text, facts: &Facts<'_>) {
    health(text, &facts.host.health());
    link(text, &facts.replication);
    clients_and_scripts(text, facts);
    writes(text, facts);
    syncs(text, &facts.replication);
}

/// Writes the state of the replica in words.
fn health(text: &mut Text, seen: &Seen) {
    let health = &seen.health;
    text.line("redtail_health", health.condition.word());
    text.line("redtail_health_since_seconds", seen.for_how_long.as_secs());
    text.line("redtail_health_why", &health.why);
    text.line("redtail_health_advice", &health.advice);
    for (index, warning) in health.warnings.iter().enumerate() {
        text.line(&format!("redtail_health_warning{index}"), warning);
    }
}

/// Writes what the link does, and how reads follow it.
fn link(text: &mut Text, replication: &Replication) {
    let (applied, received) = (replication.applied_offset, replication.received_offset);
    text.line("redtail_version", env!("CARGO_PKG_VERSION"));
    text.line("redtail_link_state", replication.state);
    text.line("redtail_applied_offset", applied);
    text.line("redtail_received_offset", received);
    text.line("redtail_lag_bytes", received.saturating_sub(applied));
    let lag = replication.lag;
    let lag = lag.map(|lag| format!("{:.6}", lag.as_secs_f64()));
    text.line("redtail_lag_seconds", lag.as_deref().unwrap_or("-1"));
    text.line(
        "redtail_link_state_seconds",
        replication.in_state_for.as_secs(),
    );
    let silent = replication
        .silent_for
        .map(|time| time.as_secs().to_string());
    text.line(
        "redtail_link_silent_seconds",
        silent.as_deref().unwrap_or("-1"),
    );
    text.line("redtail_spool_file_bytes", replication.spooled_bytes);
    text.line(
        "redtail_spool_waiting_bytes",
        replication.spool_memory_bytes,
    );
    text.line(
        "redtail_spool_file_waiting_bytes",
        replication.spool_file_bytes,
    );
    text.line("redtail_direct_reads", replication.direct_reads);
    text.line("redtail_reads_that_waited", replication.reads_that_waited);
    text.line(
        "redtail_reads_that_waited_in_vain",
        replication.reads_that_waited_in_vain,
    );
    text.line("redtail_applied_commands", replication.applied_commands);
}

/// Writes what clients and their scripts cost.
fn clients_and_scripts(text: &mut Text, facts: &Facts<'_>) {
    let counts = facts.host.statistics().traffic.totals();
    text.line("redtail_grouped_reads", counts.grouped_reads);
    let scripts = facts.host.scripting().figures();
    text.line("redtail_scripts_held_up_ms", scripts.held_up.as_millis());
    text.line("redtail_scripts_refused", scripts.refused);
    text.line("redtail_scripts_begun_again", scripts.begun_again);
    let budget = &facts.host.statistics().budget;
    text.line("redtail_clients_memory", budget.held());
    text.line("redtail_clients_memory_peak", budget.peak());
    text.line("redtail_clients_memory_max", budget.bytes_max());
    text.line("redtail_clients_memory_refusals", budget.refusals());
    let slowed = facts.host.statistics().slowed.load(Ordering::Relaxed);
    text.line("redtail_clients_slowed", slowed);
    let users = facts.host.users();
    text.line("redtail_auth_failures", users.log.count(Reason::Auth));
    text.count("redtail_auth_delayed", &users.guesses.delayed);
    text.count("redtail_auth_refused", &users.guesses.refused);
    let failures = &facts.host.statistics().tls_failures;
    text.count("redtail_tls_handshake_failures", failures);
}

/// Writes what has become of the primary's writes, and which data is in doubt.
fn writes(text: &mut Text, facts: &Facts<'_>) {
    let replication = &facts.replication;
    text.line("redtail_failed_writes", replication.failed_writes);
    text.line("redtail_unknown_commands", replication.unknown_commands);
    text.line(
        "redtail_unknown_command_names",
        replication.unknown_names.join(","),
    );
    text.line("redtail_scripts_run", replication.scripts);
    let passed = replication.passed.iter().map(|(_, count)| count);
    text.line("redtail_passed_over", passed.sum::<u64>());
    let names = replication.passed.iter();
    let names: Vec<_> = names
        .map(|(name, count)| format!("{name}={count}"))
        .collect();
    text.line("redtail_passed_over_names", names.join(","));
    text.line("redtail_published_messages", replication.published);
    text.line("redtail_expired_swept_keys", replication.swept_keys);
    text.line("redtail_expired_swept_bytes", replication.swept_bytes);
    let expired = replication.expired_keys.map(|(keys, _)| keys.to_string());
    text.line(
        "redtail_expired_held_keys",
        expired.as_deref().unwrap_or("-1"),
    );
    let (tainted, everything) = tainted(facts);
    text.line("redtail_tainted_keys", tainted);
    text.line("redtail_tainted_everything", u8::from(everything));
    if let Some(cluster) = facts.cluster {
        shards(text, cluster);
    }
}

/// Returns how many keys answer TAINTED by themselves, and whether all do.
fn tainted(facts: &Facts<'_>) -> (usize, bool) {
    if let Some(cluster) = facts.cluster {
        let keys = cluster.tainted_keys();
        return (keys.unwrap_or(0), keys.is_none());
    }
    let taints = facts.data.first().map(|one| one.spaces.taints());
    taints.map_or((0, false), |taints| (taints.count(), taints.everything()))
}

/// Writes what syncs there were, how fresh the data is, and what is wrong.
fn syncs(text: &mut Text, replication: &Replication) {
    text.line("redtail_full_syncs", replication.full_syncs);
    text.line("redtail_partial_syncs", replication.partial_syncs);
    text.line(
        "redtail_partial_syncs_refused",
        replication.partial_syncs_refused,
    );
    text.line("redtail_loads_completed", replication.loads_completed);
    text.line("redtail_loads_failed", replication.loads_failed);
    for (index, sync) in replication.syncs.iter().rev().take(4).enumerate() {
        text.line(&format!("redtail_sync{index}"), sync_line(sync));
    }
    let proven = replication
        .proven_ago
        .map(|ago| ago.as_millis().to_string());
    text.line("redtail_proven_ms_ago", proven.as_deref().unwrap_or("-1"));
    text.line("redtail_stale", u8::from(replication.stale));
    let held = replication.held.unwrap_or_default();
    text.line("redtail_resync_held", u8::from(replication.held.is_some()));
    text.line("redtail_resync_held_keys", held.keys);
    text.line("redtail_resync_held_seconds", held.since.as_secs());
    text.line("redtail_upstream_mode", replication.upstream_mode);
    let link_error = replication.last_error.as_ref();
    text.line("redtail_last_link_error", sentence(link_error));
    text.line(
        "redtail_link_needs_a_person",
        u8::from(replication.needs_a_person),
    );
    let fault = replication.last_fault.as_ref();
    text.line(
        "redtail_last_fault",
        sentence(fault.map(|fault| &fault.what)),
    );
    let ago = fault.map(|fault| fault.ago.as_secs().to_string());
    text.line(
        "redtail_last_fault_seconds_ago",
        ago.as_deref().unwrap_or("-1"),
    );
    kept(text, replication.kept.as_ref());
}

/// Returns what a sync was and brought.
fn sync_line(sync: &Synced) -> String {
    let Synced {
        names,
        at_ms,
        took,
        failed,
        bytes,
        keys,
    } = sync;
    let (SyncNames { kind, cause }, ms) = (names, took.as_millis());
    let failed = u8::from(*failed);
    format!(
        "kind={kind},cause={cause},at_ms={at_ms},took_ms={ms},failed={failed},bytes={bytes},keys={keys}"
    )
}

/// Writes the state directory's fields.
fn kept(text: &mut Text, kept: Option<&KeptState>) {
    let Some(kept) = kept else {
        return text.line("redtail_state", "off");
    };
    text.line(
        "redtail_state",
        if kept.keeps { "kept" } else { "not-kept" },
    );
    text.line("redtail_state_saving", u8::from(kept.saves));
    text.line("redtail_state_snapshots", kept.snapshots);
    text.line("redtail_state_snapshot_bytes", kept.snapshot_bytes);
    text.line("redtail_state_log_bytes", kept.log_bytes);
    text.line("redtail_state_failures", kept.failures);
    text.line("redtail_state_set_aside", kept.set_aside);
    text.line(
        "redtail_state_last_error",
        sentence(kept.last_error.as_ref()),
    );
}

/// Returns a sentence on one line.
fn sentence(text: Option<&String>) -> String {
    text.map_or(String::new(), |text| text.replace(['\r', '\n'], " "))
}

fn cpu(text: &mut Text, _facts: &Facts<'_>) {
    let (user, system) = processor_seconds();
    text.line("used_cpu_sys", format_args!("{system:.6}"));
    text.line("used_cpu_user", format_args!("{user:.6}"));
    text.line("used_cpu_sys_children", "0.000000");
    text.line("used_cpu_user_children", "0.000000");
}

/// Source: redis 8.0 and valkey 9.1 module.c, `genModulesInfoString`.
fn modules(text: &mut Text, facts: &Facts<'_>) {
    if let Some((name, _)) = facts.dialect.own_module() {
        let tail = "ver=1,api=1,filters=0,usedby=[],using=[],options=[]";
        text.entry("module", format_args!("name={name},{tail}"));
    }
}

/// Processor time in user and in system mode. Source: proc(5), `/proc/pid/stat`, whose ticks are hundredths of a second.
fn processor_seconds() -> (f64, f64) {
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The program's name may contain blanks; the fields after its closing parenthesis do not.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let mut ticks = fields
        .split_whitespace()
        .skip(11)
        .map(|field| field.parse::<f64>().unwrap_or(0.0) / TICKS_PER_SECOND);
    (ticks.next().unwrap_or(0.0), ticks.next().unwrap_or(0.0))
}

fn cluster(text: &mut Text, facts: &Facts<'_>) {
    text.line("cluster_enabled", u8::from(facts.host.shows_cluster()));
}

/// Writes the keys of each database, those of a cluster's shards together.
fn keyspace(text: &mut Text, facts: &Facts<'_>) {
    let databases = match facts.cluster {
        Some(cluster) => cluster.databases(),
        None => (facts.data.iter())
            .flat_map(|one| one.spaces.shown_figures())
            .collect(),
    };
    let timed_name = facts
        .data
        .first()
        .and_then(|one| one.dialect.timed_hashes_name());
    for db in databases {
        let timed = timed_name.map_or(String::new(), |name| format!(",{name}={}", db.timed_hashes));
        text.entry(
            &format!("db{}", db.db),
            format_args!("keys={},expires={},avg_ttl=0{timed}", db.keys, db.expires),
        );
    }
}

/// Writes each shard of a cluster: the vector of offsets at which its data is.
fn shards(text: &mut Text, cluster: &ClusterState) {
    text.entry("redtail_cluster_face", cluster.face.word());
    text.entry("redtail_shards", cluster.shards.len());
    text.entry("redtail_shards_settled", u8::from(cluster.is_settled));
    text.entry("redtail_slots_followed", cluster.wanted.len());
    text.entry("redtail_slots_served", cluster.slots_served());
    let differing = cluster.differing_functions().join(",");
    text.entry("redtail_shards_differing_functions", differing);
    for (index, shard) in cluster.shards.iter().enumerate() {
        text.entry(&format!("redtail_shard{index}"), shard_line(shard));
    }
}

/// Returns what a shard serves, and how its link stands.
fn shard_line(shard: &ShardState) -> String {
    let state = &shard.replication;
    let known = |value: Option<u64>| value.map_or_else(|| "-1".to_owned(), |it| it.to_string());
    let lag = state.lag.map(|lag| format!("{:.6}", lag.as_secs_f64()));
    format!(
        "name={},primary={}:{},state={},slots={},replid={},offset={},full_syncs={},partial_syncs={},health={},link={},\
         received={},lag_bytes={},lag_seconds={},keys={},bytes={}",
        shard.name,
        state.host,
        state.port,
        state.state,
        shard.slots,
        state.replid,
        state.applied_offset,
        state.full_syncs,
        state.partial_syncs,
        shard.health().condition.word(),
        if state.down_for.is_none() {
            "up"
        } else {
            "down"
        },
        state.received_offset,
        known(shard.lag_bytes()),
        lag.as_deref().unwrap_or("-1"),
        shard.keys(),
        shard.bytes(),
    )
}

/// Source: redis 7.0 server.c, `bytesToHuman`.
fn human(bytes: u64) -> String {
    const UNITS: &[(u32, char)] = &[(40, 'T'), (30, 'G'), (20, 'M'), (10, 'K')];
    match UNITS.iter().find(|(shift, _)| bytes >> shift > 0) {
        Some(&(shift, unit)) => format!("{:.2}{unit}", bytes as f64 / (1u64 << shift) as f64),
        None => format!("{bytes}B"),
    }
}

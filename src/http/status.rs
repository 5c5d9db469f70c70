//! `/status.json`: everything that the page and `redtail status` show.
//!
//! Numbers are in base units: bytes, seconds, Unix milliseconds. What is unknown or does not apply is `null`. Bytes of names that
//! are not UTF-8 are written as `\xNN`.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::events::{Event, Events};
use super::facts::Facts;
use super::history::{self, History, Point};
use super::names::escape;
use super::reads::{self, FamilyReads};
use crate::command::client::Client;
use crate::command::{self, ClusterState, LogEntry, Replication, ShardState};
use crate::dialect::{Dialect, Family};
use crate::store::{Figures, Kind};

/// Maximum number of clients listed.
const CLIENTS_MAX: usize = 100;

/// Maximum number of slow commands listed.
const SLOWEST_MAX: usize = 20;

/// Maximum number of keys listed that are asked for most.
const MOST_ASKED_MAX: usize = 20;

/// What an answer holds beside the facts.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) started_unix_ms: i64,
    pub(super) history: Arc<History>,
    pub(super) events: Arc<Events>,
}

/// Returns the answer, without what is in the history and the events from before `since` (Unix milliseconds).
pub(super) fn text(facts: &Facts, frame: &Frame, since: i64) -> Vec<u8> {
    // Every key is a text and every number is finite or null, so this does not fail.
    serde_json::to_vec(&Status::of(facts, frame, since)).unwrap_or_default()
}

#[derive(Serialize)]
struct Status<'f> {
    redtail: Redtail<'f>,
    health: Health<'f>,
    link: Link<'f>,
    sync: Sync,
    data: Data,
    reads: Reads,
    stream: Stream,
    memory: Memory,
    clients: Clients,
    state: Option<State<'f>>,
    cluster: Option<Cluster<'f>>,
    history: Points,
    events: Vec<Happened>,
}

impl<'f> Status<'f> {
    fn of(facts: &'f Facts, frame: &Frame, since: i64) -> Self {
        let last = frame.history.last();
        Self {
            redtail: Redtail::of(facts, frame),
            health: Health::of(facts),
            link: Link::of(&facts.replication, facts.lag_bytes()),
            sync: Sync::of(&facts.replication),
            data: Data::of(facts),
            reads: Reads::of(facts, &last),
            stream: Stream::of(&facts.replication, &last),
            memory: Memory::of(facts),
            clients: Clients::of(facts),
            state: facts.replication.kept.as_ref().map(State::of),
            cluster: facts.cluster.as_ref().map(Cluster::of),
            history: Points {
                every_seconds: history::EVERY.as_secs(),
                points: frame.history.since(since).iter().map(row).collect(),
            },
            events: frame
                .events
                .since(since)
                .into_iter()
                .map(happened)
                .collect(),
        }
    }
}

#[derive(Serialize)]
struct Redtail<'f> {
    version: &'static str,
    dialect: Option<String>,
    started_unix_ms: i64,
    uptime_seconds: f64,
    process_id: u32,
    run_id: &'f str,
}

impl<'f> Redtail<'f> {
    fn of(facts: &'f Facts, frame: &Frame) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            dialect: facts.dialect.map(dialect),
            started_unix_ms: frame.started_unix_ms,
            uptime_seconds: seconds(facts.uptime()),
            process_id: std::process::id(),
            run_id: &facts.statistics().run_id,
        }
    }
}

fn dialect(dialect: Dialect) -> String {
    let (major, minor, patch) = dialect.version;
    let family = match dialect.family {
        Family::Valkey => "valkey",
        _ => "redis",
    };
    format!("{family} {major}.{minor}.{patch}")
}

#[derive(Serialize)]
struct Health<'f> {
    condition: &'static str,
    title: String,
    for_seconds: f64,
    why: &'f str,
    advice: &'f str,
    warnings: &'f [String],
    answers_reads: bool,
}

impl<'f> Health<'f> {
    fn of(facts: &'f Facts) -> Self {
        let command::Health {
            condition,
            why,
            advice,
            warnings,
        } = &facts.seen.health;
        Self {
            condition: condition.word(),
            title: condition.to_string(),
            for_seconds: seconds(facts.seen.for_how_long),
            why,
            advice,
            warnings,
            answers_reads: condition.answers_reads(),
        }
    }
}

#[derive(Serialize)]
struct Link<'f> {
    upstream: String,
    state: &'static str,
    up: bool,
    last_byte_seconds_ago: Option<f64>,
    down_seconds: Option<f64>,
    silent_seconds: Option<f64>,
    last_error: Option<&'f str>,
    received_bytes: u64,
    replication_id: &'f str,
    received_offset: u64,
    applied_offset: u64,
    lag_bytes: Option<u64>,
    lag_seconds: Option<f64>,
    spool_file_bytes: u64,
}

impl<'f> Link<'f> {
    fn of(replication: &'f Replication, lag_bytes: Option<u64>) -> Self {
        Self {
            upstream: replication.upstream(),
            state: replication.state,
            up: replication.down_for.is_none(),
            last_byte_seconds_ago: replication.last_io.map(seconds),
            down_seconds: replication.down_for.map(seconds),
            silent_seconds: replication.silent_for.map(seconds),
            last_error: replication.last_error.as_deref(),
            received_bytes: replication.input_bytes,
            replication_id: &replication.replid,
            received_offset: replication.received_offset,
            applied_offset: replication.applied_offset,
            lag_bytes,
            lag_seconds: replication.lag.map(seconds),
            spool_file_bytes: replication.spooled_bytes,
        }
    }
}

#[derive(Serialize)]
struct Sync {
    full: u64,
    partial: u64,
    partial_refused: u64,
    loads_completed: u64,
    loads_failed: u64,
    loading: Option<Loading>,
    held_back: Option<HeldBack>,
    last: Vec<Synced>,
}

#[derive(Serialize)]
struct Loading {
    bytes: u64,
    bytes_expected: Option<u64>,
    keys: u64,
    percent: Option<f64>,
    for_seconds: Option<f64>,
    seconds_left: Option<f64>,
}

#[derive(Serialize)]
struct HeldBack {
    keys: usize,
    served_keys: usize,
    for_seconds: f64,
}

#[derive(Serialize)]
struct Synced {
    kind: &'static str,
    at_unix_ms: i64,
    seconds: Option<f64>,
    bytes: u64,
    keys: u64,
    cause: &'static str,
    failed: bool,
}

impl Synced {
    fn of(sync: &command::Synced) -> Self {
        Self {
            kind: sync.names.kind,
            at_unix_ms: i64::try_from(sync.at_ms).unwrap_or(i64::MAX),
            seconds: Some(seconds(sync.took)),
            bytes: sync.bytes,
            keys: sync.keys,
            cause: sync.names.cause,
            failed: sync.failed,
        }
    }
}

impl Sync {
    fn of(replication: &Replication) -> Self {
        Self {
            full: replication.full_syncs,
            partial: replication.partial_syncs,
            partial_refused: replication.partial_syncs_refused,
            loads_completed: replication.loads_completed,
            loads_failed: replication.loads_failed,
            loading: replication.loading.map(|loading| Loading {
                bytes: loading.bytes,
                bytes_expected: Some(loading.bytes_expected).filter(|bytes| *bytes > 0),
                keys: loading.keys,
                percent: loading.percent(),
                for_seconds: replication.syncing.map(|(_, since)| seconds(since)),
                seconds_left: seconds_left(replication, loading.percent()),
            }),
            held_back: replication.held.map(|held| HeldBack {
                keys: held.keys,
                served_keys: held.served_keys,
                for_seconds: seconds(held.since),
            }),
            last: replication.syncs.iter().map(Synced::of).collect(),
        }
    }
}

/// How long the sync under way takes from here on if it goes on as it has.
fn seconds_left(replication: &Replication, percent: Option<f64>) -> Option<f64> {
    let (_, since) = replication.syncing?;
    let percent = percent.filter(|percent| *percent > 0.0)?;
    Some(seconds(since) * (100.0 - percent).max(0.0) / percent)
}

#[derive(Serialize)]
struct Data {
    keys: usize,
    expires: usize,
    bytes: usize,
    tainted_keys: Option<usize>,
    databases: Vec<Database>,
    types: Option<Vec<OfType>>,
}

#[derive(Serialize)]
struct Database {
    db: usize,
    keys: usize,
    expires: usize,
    bytes: usize,
}

#[derive(Serialize)]
struct OfType {
    #[serde(rename = "type")]
    name: &'static str,
    keys: usize,
    bytes: usize,
}

/// The types of all databases that have keys.
fn types(databases: &[Figures]) -> Vec<OfType> {
    let all = Kind::ALL.map(|kind| {
        let figures = databases.iter().flat_map(|db| &db.kinds);
        let figures = figures.filter(|figures| figures.kind == kind.word());
        let (keys, bytes) = figures.fold((0, 0), |(keys, bytes), figures| {
            (keys + figures.keys, bytes + figures.bytes)
        });
        OfType {
            name: kind.word(),
            keys,
            bytes,
        }
    });
    all.into_iter().filter(|of| of.keys > 0).collect()
}

impl Data {
    fn of(facts: &Facts) -> Self {
        let database = |figures: &Figures| Database {
            db: figures.db,
            keys: figures.keys,
            expires: figures.expires,
            bytes: figures.memory_bytes,
        };
        Self {
            keys: facts.keys(),
            expires: facts.databases.iter().map(|db| db.expires).sum(),
            bytes: facts.data_bytes(),
            tainted_keys: facts.tainted_keys,
            databases: facts.databases.iter().map(database).collect(),
            types: (!facts.databases.is_empty()).then(|| types(&facts.databases)),
        }
    }
}

#[derive(Serialize)]
struct Reads {
    per_second: f64,
    total: u64,
    hits: u64,
    misses: u64,
    p50_seconds: Option<f64>,
    p99_seconds: Option<f64>,
    families: Vec<OfFamily>,
    slowest: Vec<Slow>,
    most_asked: Vec<Asked>,
}

#[derive(Serialize)]
struct OfFamily {
    name: &'static str,
    calls: u64,
    p99_seconds: Option<f64>,
}

#[derive(Serialize)]
struct Slow {
    id: u64,
    at_unix_ms: i64,
    seconds: f64,
    command: String,
    client: String,
    name: String,
}

#[derive(Serialize)]
struct Asked {
    db: usize,
    key: String,
    share: f64,
}

impl Reads {
    fn of(facts: &Facts, last: &Point) -> Self {
        let statistics = facts.statistics();
        let counts = statistics.traffic.totals();
        let families = reads::by_family(statistics);
        Self {
            per_second: last.rates.reads,
            total: reads::all(&families).calls,
            hits: counts.keyspace_hits,
            misses: counts.keyspace_misses,
            p50_seconds: last.recent_seconds.map(|(p50, _)| p50),
            p99_seconds: last.recent_seconds.map(|(_, p99)| p99),
            families: families.into_iter().map(of_family).collect(),
            slowest: reads::slowest(statistics, SLOWEST_MAX)
                .iter()
                .map(|entry| slow(entry))
                .collect(),
            most_asked: statistics
                .asked
                .top(MOST_ASKED_MAX)
                .into_iter()
                .map(|asked| Asked {
                    db: asked.db,
                    key: escape(&asked.key),
                    share: asked.share,
                })
                .collect(),
        }
    }
}

fn of_family((name, reads): (&'static str, FamilyReads)) -> OfFamily {
    OfFamily {
        name,
        calls: reads.calls,
        p99_seconds: history::quantile(&reads.latencies, 0.99),
    }
}

fn slow(entry: &LogEntry) -> Slow {
    let words: Vec<String> = entry.words.iter().map(|word| escape(word)).collect();
    Slow {
        id: entry.id,
        at_unix_ms: entry.at_ms,
        seconds: seconds(Duration::from_micros(entry.value)),
        command: words.join(" "),
        client: entry.address.clone(),
        name: escape(&entry.name),
    }
}

#[derive(Serialize)]
struct Stream {
    bytes_per_second: f64,
    commands_per_second: f64,
    commands: u64,
    failed_writes: u64,
}

impl Stream {
    const fn of(replication: &Replication, last: &Point) -> Self {
        Self {
            bytes_per_second: last.rates.stream_bytes,
            commands_per_second: last.rates.stream_commands,
            commands: replication.applied_commands,
            failed_writes: replication.failed_writes,
        }
    }
}

#[derive(Serialize)]
struct Memory {
    resident_bytes: u64,
    peak_bytes: u64,
    data_bytes: usize,
    clients_bytes: usize,
    clients_max_bytes: usize,
    purposes: Vec<Purpose>,
}

#[derive(Serialize)]
struct Purpose {
    name: &'static str,
    bytes: u64,
}

impl Memory {
    fn of(facts: &Facts) -> Self {
        Self {
            resident_bytes: facts.resident_bytes,
            peak_bytes: facts.resident_peak_bytes,
            data_bytes: facts.data_bytes(),
            clients_bytes: facts.clients_bytes(),
            clients_max_bytes: facts.statistics().budget.bytes_max(),
            purposes: facts
                .memory_purposes()
                .into_iter()
                .map(|(name, bytes)| Purpose { name, bytes })
                .collect(),
        }
    }
}

#[derive(Serialize)]
struct Clients {
    connected: usize,
    max: u64,
    rejected: u64,
    list: Vec<Connected>,
}

#[derive(Serialize)]
struct Connected {
    id: u64,
    address: String,
    name: String,
    library: String,
    age_seconds: f64,
    idle_seconds: f64,
    db: usize,
    command: String,
    commands: u64,
    input_bytes: u64,
    output_bytes: u64,
}

impl Clients {
    fn of(facts: &Facts) -> Self {
        use std::sync::atomic::Ordering::Relaxed;
        let mut busiest: Vec<(u64, &Arc<Client>)> = facts
            .clients
            .iter()
            .map(|client| (client.shown().commands, client))
            .collect();
        busiest.sort_by_key(|(commands, client)| (Reverse(*commands), client.id));
        busiest.truncate(CLIENTS_MAX);
        Self {
            connected: facts.clients.len(),
            max: facts.host().tunables().clients_max.load(Relaxed),
            rejected: facts.statistics().rejected.load(Relaxed),
            list: busiest
                .into_iter()
                .map(|(_, client)| Connected::of(client))
                .collect(),
        }
    }
}

impl Connected {
    fn of(client: &Client) -> Self {
        let shown = client.shown().clone();
        let library = [&*shown.lib_name, &*shown.lib_version];
        let command = match shown.command {
            (Some(container), name) => format!("{container}|{name}"),
            (None, name) => name.to_owned(),
        };
        Self {
            id: client.id,
            address: client.address.clone(),
            name: escape(&shown.name),
            library: library.join(" ").trim().to_owned(),
            age_seconds: seconds(client.connected.elapsed()),
            idle_seconds: seconds(shown.active.elapsed()),
            db: shown.db,
            command,
            commands: shown.commands,
            input_bytes: shown.input_bytes,
            output_bytes: shown.output_bytes,
        }
    }
}

#[derive(Serialize)]
struct State<'f> {
    keeps: bool,
    snapshot_bytes: u64,
    log_bytes: u64,
    failures: u64,
    last_error: Option<&'f str>,
}

impl<'f> State<'f> {
    fn of(kept: &'f command::KeptState) -> Self {
        Self {
            keeps: kept.keeps,
            snapshot_bytes: kept.snapshot_bytes,
            log_bytes: kept.log_bytes,
            failures: kept.failures,
            last_error: kept.last_error.as_deref(),
        }
    }
}

#[derive(Serialize)]
struct Cluster<'f> {
    face: &'static str,
    nodes: usize,
    slots_followed: u32,
    slots_served: u32,
    slots_without_owner: u32,
    settled: bool,
    handovers: u64,
    shards: Vec<Shard<'f>>,
}

impl<'f> Cluster<'f> {
    fn of(cluster: &'f ClusterState) -> Self {
        Self {
            face: cluster.face.word(),
            nodes: cluster.map.nodes.len(),
            slots_followed: cluster.wanted.len(),
            slots_served: cluster.slots_served(),
            slots_without_owner: cluster.slots_without_owner().len(),
            settled: cluster.is_settled,
            handovers: cluster.changes,
            shards: cluster.shards.iter().map(Shard::of).collect(),
        }
    }
}

#[derive(Serialize)]
struct Shard<'f> {
    name: &'f str,
    primary_id: &'f str,
    condition: &'static str,
    title: String,
    link: Link<'f>,
    state_seconds: f64,
    slots: u32,
    slots_settled: u32,
    keys: usize,
    bytes: usize,
    tainted_keys: Option<usize>,
    sync: Sync,
}

impl<'f> Shard<'f> {
    fn of(shard: &'f ShardState) -> Self {
        let condition = shard.health().condition;
        Self {
            name: &shard.name,
            primary_id: &shard.primary,
            condition: condition.word(),
            title: condition.to_string(),
            link: Link::of(&shard.replication, shard.lag_bytes()),
            state_seconds: seconds(shard.replication.in_state_for),
            slots: shard.slots,
            slots_settled: shard.settled,
            keys: shard.keys(),
            bytes: shard.bytes(),
            tainted_keys: shard.tainted_keys(),
            sync: Sync::of(&shard.replication),
        }
    }
}

#[derive(Serialize)]
struct Points {
    every_seconds: u64,
    points: Vec<Row>,
}

/// Time, lag in bytes and in seconds, bytes of the stream and reads per second, p99, resident bytes, 1 if the link is up.
type Row = (
    i64,
    Option<u64>,
    Option<f64>,
    f64,
    f64,
    Option<f64>,
    u64,
    u8,
);

fn row(point: &Point) -> Row {
    (
        point.at_unix_ms,
        point.lag_bytes,
        point.lag_seconds,
        point.rates.stream_bytes,
        point.rates.reads,
        point.p99_seconds,
        point.resident_bytes,
        u8::from(point.is_up),
    )
}

#[derive(Serialize)]
struct Happened {
    at_unix_ms: i64,
    level: &'static str,
    text: String,
}

fn happened(event: Event) -> Happened {
    Happened {
        at_unix_ms: event.at_unix_ms,
        level: event.level,
        text: event.text,
    }
}

/// Returns a time in seconds, to the microsecond.
fn seconds(time: Duration) -> f64 {
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    micros as f64 / 1e6
}

//! Measures one system in one round, as a replica of a primary with a million strings, then of a primary with a mix of types.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::control::{Control, wait_applied, wait_in_sync};
use crate::disturbed::{during_resync, during_writes};
use crate::floor::ToConstant;
use crate::fresh;
use crate::load::{Generator, Requests, Shape};
use crate::mixed::{self, Whole};
use crate::process::Process;
use crate::production;
use crate::report::Results;
use crate::scripts;
use crate::strings::{KEY_BYTES, Strings};
use crate::systems::{Kind, System, constant_server, primary};

/// The number of clients in a row, unless the row says otherwise.
const CLIENTS: usize = 50;
/// How long a system rests after a sync before its memory is measured.
const SETTLE: Duration = Duration::from_secs(1);
/// The minimum time between two full syncs. redtail delays a second one for ten seconds, in which reads would be easy.
const RESYNC_FLOOR: Duration = Duration::from_secs(11);

/// The settings that are the same for all rounds.
pub(crate) struct Plan {
    /// The groups of rows to measure; empty for all.
    pub(crate) groups: Vec<String>,
    /// The duration of each kind of read.
    pub(crate) time: Duration,
}

impl Plan {
    /// Whether rows of `group` are wanted.
    pub(crate) fn wants(&self, group: &str) -> bool {
        self.groups.is_empty() || self.groups.iter().any(|wanted| wanted == group)
    }
}

/// The primaries for the table.
pub(crate) struct Primaries {
    pub(crate) strings: StringsPrimary,
    pub(crate) mixed: Option<Process>,
    pub(crate) production: Option<Process>,
}

/// A primary with strings.
pub(crate) struct StringsPrimary {
    pub(crate) process: Process,
    pub(crate) strings: Strings,
}

impl StringsPrimary {
    /// Starts the server `name` and fills it with `keys` keys.
    pub(crate) fn start(name: &str, keys: u32) -> Self {
        let process = primary(name);
        let strings = Strings::new(keys);
        let shape = Shape {
            clients: 1,
            pipeline: 1000,
        };
        Generator::connect(process.port, shape).run_count(&mut strings.fill(), u64::from(keys));
        Self { process, strings }
    }

    /// Overwrites `count` random keys.
    fn overwrite(&mut self, count: u64) -> u64 {
        let mut sets = self.strings.overwrites();
        let shape = Shape {
            clients: 1,
            pipeline: 500,
        };
        let seen = Generator::connect(self.process.port, shape).run_count(&mut sets, count);
        self.strings.wrote(&sets);
        seen.answered
    }
}

/// Measures every wanted row of `system`.
pub(crate) fn round(
    plan: &Plan,
    system: &System,
    primaries: &mut Primaries,
    results: &mut Results,
) {
    if matches!(system.kind, Kind::Floor) {
        return floor(plan, primaries, system, results);
    }
    if STRINGS_GROUPS.iter().any(|group| plan.wants(group)) {
        strings(plan, system, &mut primaries.strings, results);
    }
    if let Some(primary) = &primaries.mixed {
        mixed(plan, system, primary, results);
    }
    if let Some(primary) = &primaries.production {
        let (_replica, costs) = sync(system, primary, u64::from(production::KEYS));
        costs.record(PRODUCTION, &system.name, results);
    }
}

/// The rows of the production-like keyspace.
const PRODUCTION: [&str; 3] = ["production-cpu", "production-wall", "production-memory"];

const STRINGS_GROUPS: [&str; 9] = [
    "sync", "get", "mget", "scripts", "scan", "apply", "writes", "fresh", "resync",
];

/// Measures a replica of the primary with strings.
fn strings(plan: &Plan, system: &System, primary: &mut StringsPrimary, results: &mut Results) {
    let name = &system.name;
    let begun = Instant::now();
    let keys = u64::from(primary.strings.count());
    let (replica, costs) = sync(system, &primary.process, keys);
    if plan.wants("sync") {
        costs.record(["sync-cpu", "sync-wall", "sync-memory"], name, results);
    }
    if plan.wants("get") {
        gets(plan, name, &replica, &mut primary.strings.gets(), results);
    }
    if plan.wants("mget") {
        let mut mgets = primary.strings.mgets(100);
        results.record("mget", name, reads(plan, &replica, 4, &mut mgets).cpu_us);
    }
    if plan.wants("scripts") {
        scripts::measure(plan, name, &replica, primary, results);
    }
    if plan.wants("scan") {
        results.record("scan", name, scan(&replica, primary.strings.count()));
    }
    if plan.wants("apply") {
        results.record("apply", name, apply(&replica, primary));
    }
    if plan.wants("writes") {
        beside_writes(plan, name, &replica, primary, results);
    }
    if plan.wants("fresh") {
        fresh::measure(name, &replica, primary, plan.time, results);
    }
    if plan.wants("resync") {
        wait_for_resync_floor(begun);
        beside_resync(name, &replica, primary, results);
    }
}

/// Measures reads during a stream of writes. Afterwards every value must be the newest.
fn beside_writes(
    plan: &Plan,
    name: &str,
    replica: &Process,
    primary: &mut StringsPrimary,
    results: &mut Results,
) {
    let seen = during_writes(replica, primary, plan.time);
    assert_eq!(seen.refused, 0, "the server replied with errors");
    results.record("writes-rate", name, seen.per_second() / 1e3);
    results.record("writes-p99", name, seen.percentile_ms(0.99));
    check_all(replica, &primary.strings);
}

/// Measures reads during a full resync. Afterwards every value must be right.
fn beside_resync(name: &str, replica: &Process, primary: &StringsPrimary, results: &mut Results) {
    let keys = u64::from(primary.strings.count());
    let mut gets = primary.strings.gets();
    let seen = during_resync(replica, &primary.process, keys, &mut gets);
    results.record("resync-p99", name, seen.percentile_ms(0.99));
    results.record("resync-longest", name, seen.percentile_ms(1.0));
    results.record("resync-refused", name, seen.refused as f64);
    check_all(replica, &primary.strings);
}

/// Waits until a replica that began its last full sync at `begun` may start the next one at once.
pub(crate) fn wait_for_resync_floor(begun: Instant) {
    sleep(RESYNC_FLOOR.saturating_sub(begun.elapsed()));
}

/// Measures a replica of the primary with the mix.
fn mixed(plan: &Plan, system: &System, primary: &Process, results: &mut Results) {
    let name = &system.name;
    let (replica, costs) = sync(system, primary, mixed::keys());
    if plan.wants("mixed") {
        costs.record(["mixed-cpu", "mixed-wall", "mixed-memory"], name, results);
    }
    for (row, requests) in COLLECTIONS {
        if plan.wants(row) {
            let reads = reads(plan, &replica, 4, &mut requests());
            results.record(row, name, reads.cpu_us);
        }
    }
}

/// A row and its requests.
type Collections = (&'static str, fn() -> Whole);

/// Rows that read whole collections.
const COLLECTIONS: [Collections; 4] = [
    ("hgetall", Whole::hgetall),
    ("lrange", Whole::lrange),
    ("zrange", Whole::zrange),
    ("smembers", Whole::smembers),
];

/// Whether any wanted row needs the primary with the mix.
pub(crate) fn wants_mixed(plan: &Plan) -> bool {
    plan.wants("mixed") || COLLECTIONS.iter().any(|(row, _)| plan.wants(row))
}

/// Measures the floor, where it has figures.
fn floor(plan: &Plan, primaries: &Primaries, system: &System, results: &mut Results) {
    let mut swallow = |row, primary: &Process| {
        let start = Instant::now();
        system.replica(primary).finished();
        results.record(row, &system.name, start.elapsed().as_secs_f64());
    };
    if plan.wants("sync") {
        swallow("sync-wall", &primaries.strings.process);
    }
    if let (true, Some(primary)) = (plan.wants("mixed"), &primaries.mixed) {
        swallow("mixed-wall", primary);
    }
    if let Some(primary) = &primaries.production {
        swallow("production-wall", primary);
    }
    if plan.wants("get") {
        let server = constant_server();
        let mut requests = ToConstant(primaries.strings.strings.gets());
        gets(plan, &system.name, &server, &mut requests, results);
    }
}

/// The costs of a full sync.
pub(crate) struct SyncCosts {
    pub(crate) cpu: Duration,
    pub(crate) wall: Duration,
    pub(crate) resident_bytes: u64,
}

impl SyncCosts {
    fn record(&self, rows: [&'static str; 3], name: &str, results: &mut Results) {
        let [cpu, wall, memory] = rows;
        results.record(cpu, name, self.cpu.as_secs_f64());
        results.record(wall, name, self.wall.as_secs_f64());
        results.record(memory, name, self.resident_bytes as f64 / 1e6);
    }
}

/// Starts a replica, waits until it serves all `keys` keys, and lets it rest.
pub(crate) fn sync(system: &System, primary: &Process, keys: u64) -> (Process, SyncCosts) {
    let start = Instant::now();
    let replica = system.replica(primary).listening();
    wait_in_sync(&replica, keys);
    let wall = start.elapsed();
    sleep(SETTLE);
    let costs = SyncCosts {
        cpu: replica.cpu(),
        wall,
        resident_bytes: replica.resident_bytes(),
    };
    (replica, costs)
}

/// The pipeline of GET rows, and their ids: CPU, throughput, p50, p99.
type GetRows = (usize, [&'static str; 4]);

const GETS: [GetRows; 3] = [
    (1, ["get-1-cpu", "get-1-rate", "get-1-p50", "get-1-p99"]),
    (
        16,
        ["get-16-cpu", "get-16-rate", "get-16-p50", "get-16-p99"],
    ),
    (
        64,
        ["get-64-cpu", "get-64-rate", "get-64-p50", "get-64-p99"],
    ),
];

fn gets(
    plan: &Plan,
    name: &str,
    server: &Process,
    requests: &mut impl Requests,
    results: &mut Results,
) {
    for (pipeline, [cpu, rate, p50, p99]) in GETS {
        let reads = reads(plan, server, pipeline, requests);
        results.record(cpu, name, reads.cpu_us);
        results.record(rate, name, reads.per_second / 1e3);
        results.record(p50, name, reads.p50_ms);
        results.record(p99, name, reads.p99_ms);
    }
}

/// The figures for one kind of read.
pub(crate) struct Reads {
    /// The server's CPU time per request, in microseconds.
    pub(crate) cpu_us: f64,
    pub(crate) per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

/// Sends requests for the plan's time, after a warm-up of a tenth of it.
pub(crate) fn reads(
    plan: &Plan,
    server: &Process,
    pipeline: usize,
    requests: &mut impl Requests,
) -> Reads {
    let shape = Shape {
        clients: CLIENTS,
        pipeline,
    };
    let mut generator = Generator::connect(server.port, shape);
    generator.run_for(requests, plan.time / 10);
    let before = server.cpu();
    let seen = generator.run_for(requests, plan.time);
    let cpu = server.cpu() - before;
    assert_eq!(seen.refused, 0, "the server replied with errors");
    Reads {
        cpu_us: cpu.as_secs_f64() * 1e6 / seen.answered as f64,
        per_second: seen.per_second(),
        p50_ms: seen.percentile_ms(0.50),
        p99_ms: seen.percentile_ms(0.99),
    }
}

/// Returns the CPU time of a whole SCAN per key, in nanoseconds. Every key must be returned.
pub(crate) fn scan(server: &Process, keys: u32) -> f64 {
    let mut control = Control::of(server);
    let mut seen = vec![false; keys as usize];
    let before = server.cpu();
    let mut cursor = String::from("0");
    loop {
        let (next, names): (String, Vec<String>) = control
            .ask(&["SCAN", &cursor, "COUNT", "1000"])
            .expect("SCAN");
        for name in names {
            assert_eq!(name.len(), KEY_BYTES);
            seen[name[4..].parse::<usize>().expect("a key's number")] = true;
        }
        if next == "0" {
            break;
        }
        cursor = next;
    }
    let cpu = server.cpu() - before;
    assert!(seen.iter().all(|seen| *seen), "SCAN omitted keys");
    cpu.as_secs_f64() * 1e9 / f64::from(keys)
}

/// Returns the replica's CPU time per SET that its primary streams, in microseconds. Afterwards all values must be the new ones.
fn apply(replica: &Process, primary: &mut StringsPrimary) -> f64 {
    primary.overwrite(10_000);
    wait_applied(replica, &primary.process);
    let before = replica.cpu();
    let written = primary.overwrite(1_000_000);
    wait_applied(replica, &primary.process);
    let cpu = replica.cpu() - before;
    check_all(replica, &primary.strings);
    cpu.as_secs_f64() * 1e6 / written as f64
}

/// Asserts that every key has the right value.
fn check_all(server: &Process, strings: &Strings) {
    let shape = Shape {
        clients: 1,
        pipeline: 1000,
    };
    let seen = Generator::connect(server.port, shape)
        .run_count(&mut strings.gets_in_turn(), u64::from(strings.count()));
    assert_eq!(seen.refused, 0, "the server replied with errors");
}

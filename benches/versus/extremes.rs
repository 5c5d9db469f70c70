//! Extremes: a reader's longest wait while millions of keys arrive, one value of 512 MB, a thousand idle connections, hashes of
//! ten thousand fields.

use std::time::{Duration, Instant};

use crate::control::{Control, wait_applied};
use crate::disturbed::{FEW, Paced, beside, during_resync};
use crate::load::{Generator, Seen, Shape};
use crate::measure::{Plan, StringsPrimary, reads, sync, wait_for_resync_floor};
use crate::mixed;
use crate::process::Process;
use crate::report::Results;
use crate::strings::{Set, Strings};
use crate::systems::{System, primary};

/// The replica's number of keys before others arrive through the stream, and after.
const GROWN: [u32; 2] = [1_000_000, 10_000_000];
/// The number of keys that arrive per second.
const GROWTH_PER_SECOND: u64 = 250_000;
/// The longest value that servers accept.
const LARGE_BYTES: usize = 512 << 20;
/// The number of hashes, and of fields in each: a hundred million fields in all, which take 10 GB on the primary and 6 GB on a
/// replica.
const HASHES: [u32; 2] = [10_000, 10_000];
const IDLE: usize = 1_000;

/// Measures each of `systems` once.
pub(crate) fn measure(plan: &Plan, primary_name: &str, systems: &[System], results: &mut Results) {
    for system in systems {
        if plan.wants("stalls") {
            stalls(primary_name, system, results);
        }
    }
    if plan.wants("large") {
        large_value(primary_name, systems, results);
    }
    if plan.wants("idle") {
        idle(primary_name, systems, results);
    }
    if plan.wants("fields") {
        fields(plan, primary_name, systems, results);
    }
}

/// Measures readers of the first keys while the replica grows tenfold through the stream, and then during a full resync.
fn stalls(primary_name: &str, system: &System, results: &mut Results) {
    let [before, after] = GROWN;
    let primary = StringsPrimary::start(primary_name, before);
    let (replica, _) = sync(system, &primary.process, u64::from(before));
    let begun = Instant::now();
    let mut generator = Generator::connect(replica.port, FEW);
    let mut gets = primary.strings.gets();
    let seen = beside(
        || grow(&primary.process, after - before),
        |done| generator.run(&mut gets, |_| done()),
    );
    wait_applied(&replica, &primary.process);
    record_stall(
        results,
        system,
        ["grow-p99", "grow-longest", "grow-refused"],
        &seen,
    );
    wait_for_resync_floor(begun);
    let seen = during_resync(&replica, &primary.process, u64::from(after), &mut gets);
    record_stall(
        results,
        system,
        ["load-p99", "load-longest", "load-refused"],
        &seen,
    );
}

fn record_stall(results: &mut Results, system: &System, rows: [&'static str; 3], seen: &Seen) {
    let [p99, longest, refused] = rows;
    results.record(p99, &system.name, seen.percentile_ms(0.99));
    results.record(longest, &system.name, seen.percentile_ms(1.0));
    results.record(refused, &system.name, seen.refused as f64);
}

/// Writes new keys, with numbers above the existing ones.
fn grow(primary: &Process, keys: u32) {
    let [before, after] = GROWN;
    let mut sets = Set::of(before, after);
    let pace = Paced::new(GROWTH_PER_SECOND);
    let count = u64::from(keys);
    Generator::connect(primary.port, Paced::SHAPE).run(&mut sets, |seen| pace.hold(seen) >= count);
}

/// Measures one value of the maximum length: its sync, its read, and how long other clients wait during the read.
fn large_value(primary_name: &str, systems: &[System], results: &mut Results) {
    let primary = StringsPrimary::start(primary_name, 1000);
    let mut random = fastrand::Rng::with_seed(1);
    let mut value = vec![0; LARGE_BYTES];
    random.fill(&mut value);
    Control::of(&primary.process).set("large", &value);
    for system in systems {
        let name = &system.name;
        let (replica, costs) = sync(system, &primary.process, 1001);
        results.record("large-wall", name, costs.wall.as_secs_f64());
        results.record("large-memory", name, costs.resident_bytes as f64 / 1e6);
        let mut generator = Generator::connect(replica.port, FEW);
        let mut took = Duration::ZERO;
        let seen = beside(
            || {
                let start = Instant::now();
                let read = Control::of(&replica).read("large");
                took = start.elapsed();
                assert!(read == value, "the large value is wrong");
            },
            |done| generator.run(&mut primary.strings.gets(), |_| done()),
        );
        results.record("large-get", name, took.as_secs_f64());
        results.record("large-longest", name, seen.percentile_ms(1.0));
    }
}

/// Measures the memory of connections that have sent one request each.
fn idle(primary_name: &str, systems: &[System], results: &mut Results) {
    let primary = StringsPrimary::start(primary_name, 1000);
    let strings: &Strings = &primary.strings;
    let shape = Shape {
        clients: IDLE,
        pipeline: 1,
    };
    for system in systems {
        let (replica, _) = sync(system, &primary.process, 1000);
        let before = replica.resident_bytes();
        let mut generator = Generator::connect(replica.port, shape);
        generator.run_count(&mut strings.gets(), IDLE as u64);
        std::thread::sleep(Duration::from_secs(1));
        let taken = replica.resident_bytes().saturating_sub(before);
        results.record("idle", &system.name, taken as f64 / IDLE as f64 / 1e3);
    }
}

/// Measures large hashes: sync, memory, and reads of single fields.
fn fields(plan: &Plan, primary_name: &str, systems: &[System], results: &mut Results) {
    let [keys, fields] = HASHES;
    let primary = primary(primary_name);
    mixed::fill_hashes(&primary, keys, fields);
    for system in systems {
        let name = &system.name;
        let (replica, costs) = sync(system, &primary, u64::from(keys));
        let per_field = 1.0 / f64::from(keys * fields);
        let ns = costs.cpu.as_secs_f64() * 1e9;
        results.record("fields-cpu", name, ns * per_field);
        results.record("fields-wall", name, costs.wall.as_secs_f64());
        results.record(
            "fields-memory",
            name,
            costs.resident_bytes as f64 * per_field,
        );
        let mut hgets = mixed::Fields::of(keys, fields);
        results.record(
            "fields-get",
            name,
            reads(plan, &replica, 16, &mut hgets).cpu_us,
        );
    }
}

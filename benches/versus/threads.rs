//! What a second core gains, and what one client's long command costs the others.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::control::wait_in_sync;
use crate::disturbed::{FEW, throughout};
use crate::load::{Generator, Reply, Requests, Seen, Shape, expect};
use crate::measure::{Plan, StringsPrimary, reads, sync};
use crate::mixed;
use crate::process::Process;
use crate::report::Results;
use crate::strings::KEY_BYTES;
use crate::systems::System;

/// The numbers of worker threads.
const WORKERS: [&str; 2] = ["1", "2"];
/// The number of fields in the hash that HGETALL reads.
const FIELDS: u32 = 1_000_000;
/// The number of keys that KEYS returns.
const KEYS: u32 = 1_000_000;
/// The length of a key as a bulk string.
const KEY_REPLY_BYTES: usize = KEY_BYTES + 7;
/// The pause between two long commands.
const PAUSE: Duration = Duration::from_millis(100);
const ALONE: Shape = Shape {
    clients: 1,
    pipeline: 1,
};

/// A primary with strings and, as the last key, a hash.
pub(crate) fn start_primary(name: &str) -> StringsPrimary {
    let primary = StringsPrimary::start(name, KEYS);
    mixed::fill_hashes(&primary.process, 1, FIELDS);
    primary
}

/// Measures `system` with one worker thread and with two: reads of random keys, and of one key that all clients read.
pub(crate) fn scaling(
    plan: &Plan,
    system: &System,
    primary: &StringsPrimary,
    results: &mut Results,
) {
    for workers in WORKERS {
        let name = with_workers(system, workers);
        let variable = ("TOKIO_WORKER_THREADS", workers);
        let replica = system.replica_in(variable, &primary.process).listening();
        wait_in_sync(&replica, u64::from(KEYS) + 1);
        let random = reads(plan, &replica, 64, &mut primary.strings.gets());
        results.record("threads-random-cpu", &name, random.cpu_us);
        results.record("threads-random-rate", &name, random.per_second / 1e3);
        let hot = reads(plan, &replica, 64, &mut primary.strings.gets_of(7));
        results.record("threads-hot-cpu", &name, hot.cpu_us);
        results.record("threads-hot-rate", &name, hot.per_second / 1e3);
    }
}

/// The columns of the scaling table.
pub(crate) fn columns(systems: &[System]) -> Vec<System> {
    let builds = systems.iter().filter(|system| !system.is_rival());
    let columns =
        builds.flat_map(|build| WORKERS.map(|workers| build.named(&with_workers(build, workers))));
    columns.collect()
}

fn with_workers(system: &System, workers: &str) -> String {
    format!("{}, workers: {workers}", system.name)
}

/// Measures how long GETs take alone, beside KEYS, and beside HGETALL of a large hash.
pub(crate) fn long_commands(
    plan: &Plan,
    system: &System,
    primary: &StringsPrimary,
    results: &mut Results,
) {
    let (replica, _) = sync(system, &primary.process, u64::from(KEYS) + 1);
    let mut record = |[p99, longest]: [&'static str; 2], long| {
        let seen = reads_beside(plan, &replica, primary, long);
        results.record(p99, &system.name, seen.percentile_ms(0.99));
        results.record(longest, &system.name, seen.percentile_ms(1.0));
    };
    record(["long-none-p99", "long-none-longest"], None);
    record(["long-keys-p99", "long-keys-longest"], Some(Long::keys()));
    record(["long-hash-p99", "long-hash-longest"], Some(Long::hash()));
}

/// Measures reads while another connection repeatedly sends `long`.
fn reads_beside(
    plan: &Plan,
    replica: &Process,
    primary: &StringsPrimary,
    long: Option<Long>,
) -> Seen {
    let mut generator = Generator::connect(replica.port, FEW);
    throughout(
        |stop| {
            if let Some(long) = long {
                ask(replica, long, stop);
            }
        },
        || generator.run_for(&mut primary.strings.gets(), plan.time),
    )
}

/// Sends `long` repeatedly until told to stop.
fn ask(replica: &Process, mut long: Long, stop: &AtomicBool) {
    let mut generator = Generator::connect(replica.port, ALONE);
    generator.run(&mut long, |seen| {
        assert_eq!(seen.refused, 0, "the server replied with errors");
        std::thread::sleep(PAUSE);
        stop.load(Ordering::Relaxed)
    });
}

/// A command whose reply takes long. Only the reply's header and length are checked: more would slow down the readers beside it.
struct Long {
    request: &'static [u8],
    header: String,
    bytes: usize,
}

impl Long {
    fn keys() -> Self {
        let header = format!("*{KEYS}\r\n");
        Self {
            request: b"*2\r\n$4\r\nKEYS\r\n$5\r\nkey:*\r\n",
            bytes: header.len() + KEYS as usize * KEY_REPLY_BYTES,
            header,
        }
    }

    fn hash() -> Self {
        let header = format!("*{}\r\n", FIELDS * 2);
        Self {
            request: b"*2\r\n$7\r\nHGETALL\r\n$5\r\nbig:0\r\n",
            bytes: header.len() + mixed::hash_bytes(FIELDS),
            header,
        }
    }
}

impl Requests for Long {
    fn request(&mut self, out: &mut Vec<u8>) -> u32 {
        out.extend_from_slice(self.request);
        0
    }

    fn check(&self, _: u32, bytes: &[u8]) -> Reply {
        if bytes.len() < self.bytes {
            return Reply::Partial;
        }
        match expect(self.header.as_bytes(), bytes) {
            Reply::Right(_) => Reply::Right(self.bytes),
            other => other,
        }
    }
}

//! How fast does the store load a dump? By type and encoding, with and without LZF, from memory and from a file.
//!
//! If `REDIS_SERVER=/path/to/redis-server` is set, the bench also prints how long that server takes to load the same file.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{BatchSize, BenchmarkGroup, Criterion, Throughput, measurement::WallTime};
use redtail::internal::rdb::source::{FileSource, MemorySource};
use redtail::internal::replica::load_dump;
use redtail::internal::store::Generation;

use crate::counting;
use crate::data::{dump, len, strings};
use crate::kinds::{KINDS, Kind};

const KEYS: usize = 1_000_000;

/// The newest version of the layouts, and one that every server since 7.0 can read.
const VERSION: u16 = 12;
const OLD_VERSION: u16 = 10;

pub(crate) fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ingest");
    group.sample_size(10);
    for kind in KINDS {
        for (name, compressed) in [("plain", false), ("lzf", true)] {
            of_kind(&mut group, kind, name, compressed);
        }
    }
    group.measurement_time(Duration::from_secs(5));
    small_strings(&mut group);
    group.finish();
}

fn load(dump: &Bytes) -> Arc<Generation> {
    load_dump(MemorySource(dump.clone()), 16).unwrap()
}

fn load_file(path: &Path) -> Arc<Generation> {
    load_dump(FileSource::open(path).unwrap(), 16).unwrap()
}

fn of_kind(group: &mut BenchmarkGroup<'_, WallTime>, kind: &Kind, name: &str, compressed: bool) {
    let mut made = None;
    group.throughput(Throughput::Elements((kind.keys() * kind.elements) as u64));
    group.bench_function(format!("{} {name}", kind.name), |bencher| {
        let dump = made.get_or_insert_with(|| {
            let dump = dump(&kind.make(), kind.keys(), VERSION, compressed);
            kind.check(&load(&dump));
            dump
        });
        // Dropping the loaded data is not part of the measured time.
        bencher.iter_batched(|| (), |()| load(dump), BatchSize::PerIteration);
    });
}

fn small_strings(group: &mut BenchmarkGroup<'_, WallTime>) {
    let mut made = None;
    group.throughput(Throughput::Elements(KEYS as u64));
    for name in ["memory", "file"] {
        group.bench_function(format!("{KEYS} strings from {name}"), |bencher| {
            let (dump, file) = made.get_or_insert_with(small_dump);
            match name {
                "memory" => {
                    bencher.iter_batched(|| (), |()| load(dump), BatchSize::PerIteration);
                }
                _ => bencher.iter_batched(
                    || (),
                    |()| load_file(file.path()),
                    BatchSize::PerIteration,
                ),
            }
        });
    }
}

/// Keys of 20 bytes with values of 32 bytes, in memory and in a file.
fn small_dump() -> (Bytes, tempfile::NamedTempFile) {
    let dump = dump(&strings(KEYS, 32, false), KEYS, OLD_VERSION, true);
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&dump).unwrap();
    let (allocations, generation) = counting::allocations(|| load(&dump));
    assert_eq!(len(&generation), KEYS);
    let memory: usize = generation
        .spaces
        .figures()
        .iter()
        .map(|db| db.memory_bytes)
        .sum();
    println!(
        "ingest/{KEYS} strings: {:.3} allocations on the reading thread and {:.1} bytes held per key",
        allocations as f64 / KEYS as f64,
        memory as f64 / KEYS as f64
    );
    drop(generation);
    if let Some(server) = std::env::var_os("REDIS_SERVER") {
        beside(Path::new(&server), file.path());
    }
    (dump, file)
}

/// Prints how long the server at `program` takes to load the file, by its own log, and how long redtail takes.
fn beside(program: &Path, file: &Path) {
    let theirs = (0..3)
        .map(|_| their_load(program, file))
        .min_by(f64::total_cmp);
    let ours = (0..3).map(|_| {
        let start = Instant::now();
        assert_eq!(len(&load_file(file)), KEYS);
        start.elapsed().as_secs_f64()
    });
    let (theirs, ours) = (theirs.unwrap(), ours.min_by(f64::total_cmp).unwrap());
    println!(
        "ingest/{KEYS} strings from a file, best of 3: {} {theirs:.3} s, redtail {ours:.3} s, {:.1} times as fast",
        program.display(),
        theirs / ours
    );
}

/// Starts the server on a copy of the file, and reads from its log how many seconds the load took.
fn their_load(program: &Path, file: &Path) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(file, folder.path().join("dump.rdb")).unwrap();
    let log = folder.path().join("log");
    let mut server = Command::new(program)
        .args(["--port", "0", "--save", "", "--appendonly", "no"])
        .args([Path::new("--dir"), folder.path()])
        // A server that listens nowhere does not start.
        .args([Path::new("--unixsocket"), &folder.path().join("socket")])
        .args([Path::new("--logfile"), &log])
        .spawn()
        .unwrap();
    let seconds = (0..600).find_map(|_| {
        std::thread::sleep(Duration::from_millis(100));
        seconds_of_load(&std::fs::read_to_string(&log).unwrap_or_default())
    });
    server.kill().unwrap();
    server.wait().unwrap();
    seconds.unwrap_or_else(|| panic!("{} did not log how long its load took", program.display()))
}

/// Parses `DB loaded from disk: 0.480 seconds`. Source: redis 8.0 server.c, `loadDataFromDisk`.
fn seconds_of_load(log: &str) -> Option<f64> {
    let (_, rest) = log.split_once("DB loaded from disk: ")?;
    rest.split(' ').next()?.parse().ok()
}

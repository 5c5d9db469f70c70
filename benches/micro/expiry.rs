//! What does the sweeper cost, and what do reads and the stream pay while it works?

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use criterion::{BatchSize, Criterion, Throughput};
use redtail::internal::replica::fuzzing::applying;
use redtail::internal::store::{Generation, Swept, WriteToken, unix_ms};

use crate::data::{Asker, key, push, push_set, request, strings, value};

const KEYS: usize = 100_000;
const VALUE_BYTES: usize = 100;

/// An expiry time long before any clock.
const PAST_MS: &[u8] = b"1000";

pub(crate) fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("expiry");
    group.sample_size(10);
    sweeps(&mut group);
    under_load(&mut group);
    hidden(&mut group);
    group.finish();
}

type Group<'c> = criterion::BenchmarkGroup<'c, criterion::measurement::WallTime>;

/// Keys that each have an expiry time, long past if `past`.
fn expiring(past: bool) -> Arc<Generation> {
    let generation = strings(KEYS, VALUE_BYTES, true);
    if past {
        let mut stream = Vec::new();
        (0..KEYS).for_each(|at| push(&mut stream, &[b"PEXPIREAT", &key(at)[..], PAST_MS]));
        applying(&generation, |apply| apply(&stream));
    }
    generation
}

/// One whole pass.
fn pass(generation: &Generation) -> Swept {
    let (mut sweeper, mut all) = (WriteToken::for_tests().sweeper(), Swept::default());
    while let Some(swept) = sweeper.step(&generation.spaces, unix_ms()) {
        all.keys += swept.keys;
        all.bytes += swept.bytes;
        all.looked_at += swept.looked_at;
    }
    all
}

fn sweeps(group: &mut Group<'_>) {
    group.throughput(Throughput::Elements(KEYS as u64));
    group.bench_function("pass that takes every value", |bencher| {
        bencher.iter_batched(
            || expiring(true),
            |generation| {
                let swept = pass(&generation);
                assert_eq!(swept.keys, KEYS);
                assert!(swept.bytes >= KEYS * VALUE_BYTES / 2);
                generation
            },
            BatchSize::PerIteration,
        );
    });
    let mut made = None;
    group.bench_function("pass that takes none", |bencher| {
        let generation = made.get_or_insert_with(|| expiring(false));
        bencher.iter(|| assert_eq!(pass(generation).keys, 0));
    });
}

/// GETs and SETs while passes run without a pause. The program's sweeper runs a twentieth of the time.
fn under_load(group: &mut Group<'_>) {
    let mut made = None;
    group.throughput(Throughput::Elements(1));
    for name in ["get", "set"] {
        for sweeping in [false, true] {
            let id = if sweeping { "during passes" } else { "alone" };
            group.bench_function(format!("{name} {id}"), |bencher| {
                let generation = made.get_or_insert_with(|| expiring(false));
                beside(generation, sweeping, || match name {
                    "get" => {
                        let mut asker = Asker::new(generation, &[b"GET", &key(7)[..]]);
                        assert_eq!(asker.ask().len(), VALUE_BYTES + 8);
                        bencher.iter(|| asker.ask().len());
                    }
                    _ => {
                        let mut set = Vec::new();
                        push_set(&mut set, &key(7), &value(VALUE_BYTES), true);
                        applying(generation, |apply| bencher.iter(|| apply(&set)));
                    }
                });
            });
        }
    }
}

/// Runs `work`, while another thread sweeps if `sweeping`.
fn beside(generation: &Generation, sweeping: bool, work: impl FnOnce()) {
    let done = AtomicBool::new(!sweeping);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                pass(generation);
            }
        });
        work();
        done.store(true, Ordering::Relaxed);
    });
}

/// Reads and deletes keys past their expiry time, which read as absent until the primary deletes them.
fn hidden(group: &mut Group<'_>) {
    for (name, swept) in [
        ("get of a key past its time", false),
        ("get of a swept key", true),
    ] {
        let mut made = None;
        group.bench_function(name, |bencher| {
            let asker = made.get_or_insert_with(|| asker_of_the_past(swept));
            bencher.iter(|| asker.ask().len());
        });
    }
    let mut made = None;
    group.bench_function("deletion of a key past its time", |bencher| {
        let generation = made.get_or_insert_with(crate::data::empty);
        let stream = [
            request(&[b"SET", &key(7)[..], &value(VALUE_BYTES), b"PXAT", PAST_MS]),
            request(&[b"DEL", &key(7)[..]]),
        ]
        .concat();
        applying(generation, |apply| bencher.iter(|| apply(&stream)));
        assert_eq!(crate::data::len(generation), 0);
    });
}

fn asker_of_the_past(swept: bool) -> Asker {
    let generation = expiring(true);
    if swept {
        assert_eq!(pass(&generation).keys, KEYS);
    }
    let mut asker = Asker::new(&generation, &[b"GET", &key(7)[..]]);
    assert_eq!(asker.ask(), b"_\r\n");
    asker
}

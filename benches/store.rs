//! What does a read of the store cost? Hits and misses, small and large values, one to four threads, and while keys come in.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a bench may panic; criterion's macros document nothing"
)]

#[path = "common.rs"]
mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use redtail::store::{Keyspaces, NewValue, Value};

#[global_allocator]
static ALLOCATOR: common::Counting = common::Counting;

const KEYS: usize = 1_000_000;

fn filled(keys: usize, value_bytes: usize) -> Keyspaces {
    let spaces = Keyspaces::new(1);
    let value = vec![b'v'; value_bytes];
    for number in 0..keys {
        set(&spaces, &common::key(number), &value);
    }
    spaces
}

fn set(spaces: &Keyspaces, key: &[u8], value: &[u8]) {
    spaces
        .write(0, [spaces.slot(0, key)])
        .set(key, None, NewValue::text(value));
}

/// The length of the value at `key`, 0 when there is none.
fn read(spaces: &Keyspaces, key: &[u8]) -> usize {
    match spaces.view_key(0, key).value(key) {
        Some(Value::Text(text)) => text.len(),
        _ => 0,
    }
}

/// A walk over key numbers that no prefetcher foresees.
fn scattered(step: usize) -> usize {
    step.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20
}

fn reads(criterion: &mut Criterion) {
    let small = filled(KEYS, 32);
    let large = filled(100, 100_000);
    let (hot, missing) = (common::key(7), common::key(KEYS + 7));
    assert_eq!(
        (
            read(&small, &hot),
            read(&small, &missing),
            read(&large, &hot)
        ),
        (32, 0, 100_000)
    );
    let (allocations, _) = common::allocations(|| read(&small, &hot) + read(&small, &missing));
    assert_eq!(allocations, 0, "a read allocates");

    let mut group = criterion.benchmark_group("get");
    group.bench_function("hot hit", |bencher| bencher.iter(|| read(&small, &hot)));
    group.bench_function("miss", |bencher| bencher.iter(|| read(&small, &missing)));
    group.bench_function("large hit", |bencher| bencher.iter(|| read(&large, &hot)));
    let mut step = 0;
    group.bench_function("random hit of 1000000", |bencher| {
        bencher.iter(|| {
            step += 1;
            read(&small, &common::key(scattered(step) % KEYS))
        });
    });
    for threads in [1, 2, 4] {
        group.bench_function(format!("random hit, {threads} threads"), |bencher| {
            bencher.iter_custom(|reads| on_threads(&small, threads, reads));
        });
    }
    group.bench_function("random hit during inserts", |bencher| {
        bencher.iter_custom(|reads| during_inserts(&small, reads));
    });
    group.finish();
}

/// The time that `threads` threads need for `reads` random reads each.
fn on_threads(spaces: &Keyspaces, threads: usize, reads: u64) -> Duration {
    let start = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                let found: usize = (0..reads as usize)
                    .map(|step| read(spaces, &common::key(scattered(step + thread * 77) % KEYS)))
                    .sum();
                assert_eq!(found, 32 * reads as usize);
            });
        }
    });
    start.elapsed()
}

/// The time that `reads` random reads take while another thread overwrites keys all the time.
fn during_inserts(spaces: &Keyspaces, reads: u64) -> Duration {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 0;
            while !done.load(Ordering::Relaxed) {
                number += 1;
                set(spaces, &common::key(scattered(number) % KEYS), &[b'w'; 32]);
            }
        });
        let took = on_threads(spaces, 1, reads);
        done.store(true, Ordering::Relaxed);
        took
    })
}

criterion_group!(benches, reads);
criterion_main!(benches);

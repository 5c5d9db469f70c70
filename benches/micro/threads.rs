//! How do reads scale from 1 to 8 threads? For random keys out of a million, for one key that all threads read, and while the
//! stream writes.

use std::cell::LazyCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use redtail::internal::replica::fuzzing::applying;
use redtail::internal::store::{Generation, Keyspaces, Value};

use crate::data::{key, push_set, scattered, strings, value};

const KEYS: usize = 1_000_000;
const VALUE_BYTES: usize = 32;

pub(crate) fn benches(criterion: &mut Criterion) {
    let generation = LazyCell::new(|| strings(KEYS, VALUE_BYTES, false));
    let mut group = criterion.benchmark_group("threads");
    for threads in [1, 2, 4, 8] {
        group.throughput(Throughput::Elements(threads as u64));
        for (name, keys) in [("random", KEYS), ("hot", 1)] {
            group.bench_function(format!("{name} {threads}"), |bencher| {
                let spaces = &generation.spaces;
                bencher.iter_custom(|reads| on_threads(spaces, threads, reads, keys));
            });
        }
        group.bench_function(format!("random {threads} and a writer"), |bencher| {
            let generation = &*generation;
            bencher.iter_custom(|reads| beside_a_writer(generation, threads, reads));
        });
    }
    group.finish();
}

/// The length of the string at `key`, 0 if there is none.
fn read(spaces: &Keyspaces, key: &[u8]) -> usize {
    match spaces.view_key(0, key).value(key) {
        Some(Value::Text(text)) => text.len(),
        _ => 0,
    }
}

/// Returns the time that `threads` threads need for `reads` reads each of the first `keys` keys.
fn on_threads(spaces: &Keyspaces, threads: usize, reads: u64, keys: usize) -> Duration {
    let start = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                let found: usize = (0..reads as usize)
                    .map(|step| read(spaces, &key(scattered(step + thread * 77) % keys)))
                    .sum();
                assert_eq!(found, VALUE_BYTES * reads as usize);
            });
        }
    });
    start.elapsed()
}

/// The same, while another thread constantly applies SETs of the same keys.
fn beside_a_writer(generation: &Arc<Generation>, threads: usize, reads: u64) -> Duration {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| write_until(generation, &done));
        let took = on_threads(&generation.spaces, threads, reads, KEYS);
        done.store(true, Ordering::Relaxed);
        took
    })
}

fn write_until(generation: &Arc<Generation>, done: &AtomicBool) {
    let value = value(VALUE_BYTES);
    let mut stream = Vec::new();
    (0..1_000).for_each(|at| push_set(&mut stream, &key(scattered(at) % KEYS), &value, false));
    applying(generation, |apply| {
        while !done.load(Ordering::Relaxed) {
            apply(&stream);
        }
    });
}

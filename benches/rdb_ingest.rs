//! How fast is a dump taken into the store? Keys, bytes and allocations per key, from memory.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a bench may panic; criterion's macros document nothing"
)]

#[path = "common.rs"]
mod common;

use std::time::Duration;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use redtail::rdb::source::MemorySource;
use redtail::replica::load_dump;

#[global_allocator]
static ALLOCATOR: common::Counting = common::Counting;

fn load(dump: &Bytes) -> std::sync::Arc<redtail::store::Generation> {
    load_dump(MemorySource(dump.clone()), 16).unwrap()
}

fn ingest(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("rdb_ingest");
    for (keys, value_bytes) in [(10, 16), (100, 1024), (1_000, 1024), (1_000_000, 32)] {
        let dump = Bytes::from(common::dump(keys, value_bytes));
        let (allocations, generation) = common::allocations(|| load(&dump));
        assert_eq!(generation.spaces.db(0).unwrap().len(), keys);
        let memory: usize = generation
            .spaces
            .figures()
            .iter()
            .map(|db| db.memory_bytes)
            .sum();
        println!(
            "rdb_ingest/{keys} keys of {value_bytes} B: {:.3} allocations and {:.1} bytes per key",
            allocations as f64 / keys as f64,
            memory as f64 / keys as f64
        );
        drop(generation);
        if keys >= 1_000_000 {
            group
                .sample_size(10)
                .measurement_time(Duration::from_secs(8));
        }
        group.throughput(Throughput::ElementsAndBytes {
            elements: keys as u64,
            bytes: dump.len() as u64,
        });
        group.bench_function(format!("{keys}x{value_bytes}B"), |bencher| {
            // Dropping the loaded keys is left out of the measured time.
            bencher.iter_batched(|| (), |()| load(&dump), BatchSize::PerIteration);
        });
    }
    group.finish();
}

criterion_group!(benches, ingest);
criterion_main!(benches);

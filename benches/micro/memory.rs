//! How many bytes does a key take, and one of its elements? Prints that by type. The measured time is that of creating the keys
//! from commands.

use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput};
use redtail::internal::replica::fuzzing::applying;
use redtail::internal::store::Generation;

use crate::counting;
use crate::data::{assert_sound, empty};
use crate::kinds::{KINDS, Kind};

pub(crate) fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("memory");
    group.sample_size(10);
    for kind in KINDS {
        let mut made = None;
        group.throughput(Throughput::Elements((kind.keys() * kind.elements) as u64));
        group.bench_function(kind.name, |bencher| {
            let stream = made.get_or_insert_with(|| {
                print(kind);
                kind.stream()
            });
            bencher.iter_batched(|| (), |()| made_by(stream), BatchSize::PerIteration);
        });
    }
    group.finish();
}

fn made_by(stream: &[u8]) -> Arc<Generation> {
    let generation = empty();
    applying(&generation, |apply| apply(stream));
    assert_sound(&generation);
    generation
}

/// Prints the bytes requested from the allocator, including names and tables, and the bytes that INFO reports.
fn print(kind: &Kind) {
    let stream = kind.stream();
    // The first key of a database creates its shards, whose cost does not depend on the number of keys.
    let generation = empty();
    applying(&generation, |apply| {
        apply(&crate::data::request(&crate::data::words("SET other 1")));
        apply(&crate::data::request(&crate::data::words("DEL other")));
    });
    let (held, ()) = counting::bytes_held(|| applying(&generation, |apply| apply(&stream)));
    kind.check(&generation);
    let counted = generation.spaces.figures()[0].memory_bytes;
    let keys = kind.keys();
    println!(
        "memory/{}: {:.1} bytes per key of {} elements, {:.1} per element; {:.1} per key according to INFO",
        kind.name,
        held as f64 / keys as f64,
        kind.elements,
        held as f64 / (keys * kind.elements) as f64,
        counted as f64 / keys as f64
    );
}

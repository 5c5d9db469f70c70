//! What does a whole round trip cost, from a client's write to its read, with both ends on one thread?

use std::time::Instant;

use criterion::{Criterion, Throughput};

use crate::loopback::Loopback;
use crate::talks::{served, talks};

pub(crate) fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("connection");
    let mut loopback = None;
    for talk in talks() {
        group.throughput(Throughput::Elements(talk.times as u64));
        group.bench_function(talk.name, |bencher| {
            let loopback = loopback.get_or_insert_with(|| Loopback::new(served()));
            talk.check(loopback);
            bencher.iter_custom(|rounds| {
                let start = Instant::now();
                talk.run(loopback, rounds);
                start.elapsed()
            });
        });
    }
    group.finish();
}

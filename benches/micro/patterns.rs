//! What does it cost to match keys against a pattern? For single keys, and for a whole SCAN.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use redtail::internal::command::glob::Glob;

use crate::data::{Asker, DIALECT, key, strings};

const KEYS: usize = 10_000;

/// Names, patterns, and how many of the first 10,000 keys they match.
const PATTERNS: &[(&str, &str, usize)] = &[
    ("any", "*", KEYS),
    ("exact", "key:0000000000001234", 1),
    ("prefix", "key:000000000000*", KEYS),
    ("suffix", "*34", 100),
    ("contains", "*0012*", 111),
    ("general", "key:?00000*[1-3]?4", 300),
    // Each star may try every position after the match of the one before.
    ("hostile", "*0*0*0*0*0*0*0*0*0*0*0*0*x", 0),
];

pub(crate) fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("patterns");
    let keys: Vec<_> = (0..KEYS).map(key).collect();
    for (name, pattern, expected) in PATTERNS {
        let glob = Glob::new(pattern.as_bytes(), DIALECT);
        let count = || {
            keys.iter()
                .filter(|key| black_box(&glob).matches(*key))
                .count()
        };
        assert_eq!(count(), *expected, "{name}");
        group.throughput(Throughput::Elements(KEYS as u64));
        group.bench_function(*name, |bencher| bencher.iter(count));
    }
    let mut scan = None;
    group.bench_function("SCAN of all, contains", |bencher| {
        let scan = scan.get_or_insert_with(|| scan_of("*0012*", 111));
        bencher.iter(|| scan.ask().len());
    });
    let mut scan = None;
    group.bench_function("SCAN of all, any", |bencher| {
        let scan = scan.get_or_insert_with(|| scan_of("*", KEYS));
        bencher.iter(|| scan.ask().len());
    });
    group.finish();
}

/// A SCAN that checks every key.
fn scan_of(pattern: &str, expected: usize) -> Asker {
    let generation = strings(KEYS, 16, false);
    let mut asker = Asker::new(
        &generation,
        &["SCAN", "0", "MATCH", pattern, "COUNT", "1000000"],
    );
    let reply = String::from_utf8_lossy(asker.ask()).into_owned();
    assert_eq!(reply.matches("key:").count(), expected);
    asker
}

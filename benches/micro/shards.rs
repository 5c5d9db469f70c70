//! What does the number of shards change? Measured on tables like those of the store (the same locks, tables, entries and hash),
//! with 1, 16, 256 or 1,024 shards, because the store itself supports only one number.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ahash::RandomState;
use criterion::{Criterion, Throughput};
use dashmap::RwLock;
use hashbrown_raw::raw::RawTable;
use redtail::internal::store::{Entry, NewValue, Value};

use crate::data::{key, scattered};

const KEYS: usize = 200_000;
const VALUE: [u8; 32] = [b'v'; 32];

/// A database, reduced to lookups.
struct Tables {
    shards: Vec<RwLock<RawTable<Entry>>>,
    hasher: RandomState,
}

impl Tables {
    fn new(shards: usize) -> Self {
        let tables = Self {
            shards: (0..shards).map(|_| RwLock::default()).collect(),
            hasher: RandomState::with_seeds(1, 2, 3, 4),
        };
        (0..KEYS).for_each(|number| tables.write(&key(number)));
        assert_eq!(tables.len(), KEYS);
        tables
    }

    fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().len()).sum()
    }

    fn shard(&self, hash: u64) -> &RwLock<RawTable<Entry>> {
        // The tables use the seven highest bits and the lowest. The bits between them choose the shard, as in DashMap.
        &self.shards[(hash << 7 >> 32) as usize % self.shards.len()]
    }

    fn hash(&self, key: &[u8]) -> u64 {
        use std::hash::{BuildHasher as _, Hasher as _};
        let mut state = self.hasher.build_hasher();
        state.write(key);
        state.finish()
    }

    /// The length of the value, 0 if there is none.
    fn read(&self, key: &[u8]) -> usize {
        let hash = self.hash(key);
        let table = self.shard(hash).read();
        match table
            .get(hash, |entry| entry.key() == key)
            .map(Entry::value)
        {
            Some(Value::Text(text)) => text.len(),
            _ => 0,
        }
    }

    fn write(&self, key: &[u8]) {
        let hash = self.hash(key);
        let entry = Entry::new(key, None, NewValue::text(&VALUE));
        let mut table = self.shard(hash).write();
        match table.get_mut(hash, |entry| entry.key() == key) {
            Some(old) => *old = entry,
            None => {
                table.insert(hash, entry, |entry| self.hash(entry.key()));
            }
        }
    }
}

pub(crate) fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("shards");
    for shards in [1, 16, 256, 1024] {
        let tables = std::cell::LazyCell::new(|| Tables::new(shards));
        for threads in [1, 4] {
            group.throughput(Throughput::Elements(threads as u64));
            group.bench_function(format!("{shards}, {threads} readers"), |bencher| {
                let tables = &*tables;
                bencher.iter_custom(|reads| readers(tables, threads, reads));
            });
        }
        group.bench_function(format!("{shards}, 4 readers and a writer"), |bencher| {
            let tables = &*tables;
            bencher.iter_custom(|reads| beside_a_writer(tables, reads));
        });
    }
    group.finish();
}

fn readers(tables: &Tables, threads: usize, reads: u64) -> Duration {
    let start = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                let found: usize = (0..reads as usize)
                    .map(|step| tables.read(&key(scattered(step + thread * 77) % KEYS)))
                    .sum();
                assert_eq!(found, VALUE.len() * reads as usize);
            });
        }
    });
    start.elapsed()
}

fn beside_a_writer(tables: &Tables, reads: u64) -> Duration {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut step = 0;
            while !done.load(Ordering::Relaxed) {
                step += 1;
                tables.write(&key(scattered(step) % KEYS));
            }
        });
        let took = readers(tables, 4, reads);
        done.store(true, Ordering::Relaxed);
        took
    })
}

//! What do reads cost a program that runs a replica inside its own process?

use std::cell::LazyCell;

use criterion::Criterion;
use redtail::{Config, Replica};
use tokio::runtime::Runtime;

use crate::counting;
use crate::data::{key, scattered, strings, value};

const KEYS: usize = 1_000_000;
const VALUE_BYTES: usize = 32;

/// The bytes over which [`Chase`] jumps: about those of the table and the entries of [`KEYS`] keys.
const CHASE_BYTES: usize = 96 << 20;

/// How many keys are read at one moment, and one by one beside it.
const MOMENT_READS: [usize; 3] = [1, 2, 10];

/// A cycle through memory in random order: where each step leads is known only once it has arrived. It measures what the machine
/// can do, for the random reads beside it.
struct Chase {
    next: Vec<usize>,
    at: usize,
}

impl Chase {
    fn new() -> Self {
        let mut next: Vec<usize> = (0..CHASE_BYTES / size_of::<usize>()).collect();
        // Sattolo's shuffle makes one cycle of all places.
        for last in (1..next.len()).rev() {
            next.swap(last, fastrand::usize(..last));
        }
        Self { next, at: 0 }
    }

    fn step(&mut self) -> usize {
        self.at = self.next[self.at];
        self.at
    }
}

/// A replica with data and no primary, and the runtime it runs on.
pub(crate) struct Embedded {
    pub(crate) replica: Replica,
    _runtime: Runtime,
}

impl Embedded {
    /// Serves `keys` strings of 32 bytes.
    pub(crate) fn new(keys: usize) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let _entered = runtime.enter();
        // Nothing listens there, so no sync replaces the data.
        let config = Config::new("unix:///nonexistent/redtail-bench.sock").unwrap();
        let replica = Replica::start(config).unwrap();
        replica.served().swap_in(strings(keys, VALUE_BYTES, false));
        drop(_entered);
        Self {
            replica,
            _runtime: runtime,
        }
    }

    /// The length of the string at `key`, 0 if there is none.
    pub(crate) fn read(&self, key: &[u8]) -> usize {
        self.replica
            .get_with(key, |text| text.map_or(0, <[u8]>::len))
            .unwrap()
    }

    /// The length of all the strings at `keys`, at one moment.
    fn read_at_one_moment(&self, keys: &[[u8; 20]]) -> usize {
        let sum = self.replica.at_one_moment(|moment| {
            let lengths = keys
                .iter()
                .map(|key| moment.get_with(key, |text| text.map_or(0, <[u8]>::len)));
            lengths.sum()
        });
        sum.unwrap()
    }
}

pub(crate) fn benches(criterion: &mut Criterion) {
    let embedded = LazyCell::new(|| {
        let embedded = Embedded::new(KEYS);
        check(&embedded);
        embedded
    });
    let (hot, missing) = (key(7), key(KEYS + 7));
    let mut group = criterion.benchmark_group("library");
    group.bench_function("get_with hot", |bencher| {
        let embedded = &*embedded;
        bencher.iter(|| embedded.read(&hot));
    });
    group.bench_function("get_with miss", |bencher| {
        let embedded = &*embedded;
        bencher.iter(|| embedded.read(&missing));
    });
    let mut step = 0;
    group.bench_function(format!("get_with random of {KEYS}"), |bencher| {
        let embedded = &*embedded;
        bencher.iter(|| {
            step += 1;
            embedded.read(&key(scattered(step) % KEYS))
        });
    });
    let mut chase = LazyCell::new(Chase::new);
    group.bench_function("two dependent memory accesses", |bencher| {
        bencher.iter(|| chase.step() + chase.step());
    });
    group.bench_function("get hot", |bencher| {
        let replica = &embedded.replica;
        bencher.iter(|| replica.get(hot).unwrap());
    });
    let ten: Vec<_> = (0..10).map(key).collect();
    group.bench_function("mget 10", |bencher| {
        let replica = &embedded.replica;
        bencher.iter(|| replica.mget(&ten).unwrap());
    });
    group.bench_function("mget_with 10", |bencher| {
        let replica = &embedded.replica;
        bencher.iter(|| {
            let mut bytes = 0;
            let each = |_, text: Option<&[u8]>| bytes += text.map_or(0, <[u8]>::len);
            replica.mget_with(&ten, each).map(|()| bytes)
        });
    });
    group.bench_function("at_one_moment", |bencher| {
        let replica = &embedded.replica;
        bencher.iter(|| replica.at_one_moment(|moment| Ok(moment.offset())).unwrap());
    });
    for reads in MOMENT_READS {
        let keys = ten.get(..reads).unwrap();
        group.bench_function(format!("get_with {reads} one by one"), |bencher| {
            let embedded = &*embedded;
            bencher.iter(|| keys.iter().map(|key| embedded.read(key)).sum::<usize>());
        });
        group.bench_function(format!("get_with {reads} at one moment"), |bencher| {
            let embedded = &*embedded;
            bencher.iter(|| embedded.read_at_one_moment(keys));
        });
    }
    group.bench_function("command GET", |bencher| {
        let replica = &embedded.replica;
        bencher.iter(|| replica.command(&[b"GET", &hot[..]]).unwrap());
    });
    group.finish();
}

fn check(embedded: &Embedded) {
    let replica = &embedded.replica;
    let expected = Some(value(VALUE_BYTES));
    assert_eq!(replica.get(key(7)), Ok(expected.clone()));
    assert_eq!(replica.get(key(KEYS + 7)), Ok(None));
    assert_eq!(
        replica.mget(&[key(1), key(2)]),
        Ok(vec![expected.clone(), expected])
    );
    let (allocations, read) = counting::allocations(|| {
        (0..100)
            .map(|number| embedded.read(&key(scattered(number) % KEYS)))
            .sum::<usize>()
    });
    assert_eq!((allocations, read), (0, 100 * VALUE_BYTES));
    let ten: Vec<_> = (0..10).map(key).collect();
    // Beginning a moment allocates, reading in it does not.
    let (moment, _) = counting::allocations(|| embedded.read_at_one_moment(&[]));
    for reads in MOMENT_READS {
        let keys = ten.get(..reads).unwrap();
        let (allocations, read) = counting::allocations(|| embedded.read_at_one_moment(keys));
        assert_eq!((allocations, read), (moment, reads * VALUE_BYTES));
    }
}

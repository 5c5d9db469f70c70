//! What do GET, SET, MGET and MSET cost, by number of keys and size of values? Measured without a connection.

use std::sync::Arc;

use criterion::{Criterion, Throughput};
use redtail::internal::replica::fuzzing::applying;
use redtail::internal::store::Generation;

use crate::data::{Asker, FAR_MS, assert_sound, key, len, push, push_set, request, strings, value};

const KEYS: [usize; 4] = [1, 10, 100, 1_000];
const VALUE_BYTES: [usize; 5] = [16, 256, 4 << 10, 64 << 10, 1 << 20];

/// The most bytes of values in one case. Larger combinations are left out.
const BYTES_MAX: usize = 8 << 20;

/// The number of keys, the size of their values, and whether they expire.
#[derive(Clone, Copy)]
struct Case {
    keys: usize,
    value_bytes: usize,
    expiring: bool,
}

impl Case {
    fn all() -> impl Iterator<Item = Self> {
        let pairs = KEYS
            .iter()
            .flat_map(|keys| VALUE_BYTES.map(|bytes| (*keys, bytes)));
        let small = pairs.filter(|(keys, bytes)| keys * bytes <= BYTES_MAX);
        small.flat_map(|(keys, value_bytes)| {
            // The cost of an expiry time does not depend on the value's size.
            let with = (value_bytes == VALUE_BYTES[0]).then_some(true);
            [Some(false), with]
                .into_iter()
                .flatten()
                .map(move |expiring| Self {
                    keys,
                    value_bytes,
                    expiring,
                })
        })
    }

    fn name(self) -> String {
        let expiring = if self.expiring { " expiring" } else { "" };
        format!("{}x{}B{expiring}", self.keys, self.value_bytes)
    }

    fn throughput(self) -> Throughput {
        Throughput::Elements(self.keys as u64)
    }

    /// GET's reply for each of the keys.
    fn reply(self) -> Vec<u8> {
        let mut reply = format!("${}\r\n", self.value_bytes).into_bytes();
        reply.extend_from_slice(&value(self.value_bytes));
        reply.extend_from_slice(b"\r\n");
        reply
    }

    fn made(self) -> Arc<Generation> {
        strings(self.keys, self.value_bytes, self.expiring)
    }
}

pub(crate) fn benches(criterion: &mut Criterion) {
    gets(criterion);
    mgets(criterion);
    misses(criterion);
    sets(criterion);
}

fn get(generation: &Arc<Generation>, number: usize) -> Asker {
    Asker::new(generation, &[b"GET", &key(number)[..]])
}

fn mget(generation: &Arc<Generation>, first: usize, keys: usize) -> Asker {
    let mut words = vec![b"MGET".to_vec()];
    words.extend((first..first + keys).map(|number| key(number).to_vec()));
    Asker::new(generation, &words)
}

fn gets(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("get");
    for case in Case::all() {
        let mut askers = None;
        group.throughput(case.throughput());
        group.bench_function(case.name(), |bencher| {
            let askers = askers.get_or_insert_with(|| {
                let generation = case.made();
                let mut askers: Vec<_> = (0..case.keys).map(|at| get(&generation, at)).collect();
                let expected = case.reply();
                assert!(askers.iter_mut().all(|asker| asker.ask() == expected));
                askers
            });
            bencher.iter(|| {
                askers
                    .iter_mut()
                    .map(|asker| asker.ask().len())
                    .sum::<usize>()
            });
        });
    }
    group.finish();
}

fn mgets(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("mget");
    for case in Case::all() {
        let mut asker = None;
        group.throughput(case.throughput());
        group.bench_function(case.name(), |bencher| {
            let asker = asker.get_or_insert_with(|| {
                let mut asker = mget(&case.made(), 0, case.keys);
                let expected = [
                    format!("*{}\r\n", case.keys).into_bytes(),
                    case.reply().repeat(case.keys),
                ];
                assert!(asker.ask() == expected.concat());
                asker
            });
            bencher.iter(|| asker.ask().len());
        });
    }
    group.finish();
}

fn misses(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("miss");
    for keys in KEYS {
        let mut askers = None;
        group.throughput(Throughput::Elements(keys as u64));
        for name in ["get", "mget"] {
            group.bench_function(format!("{name} {keys}"), |bencher| {
                let (gets, mget) = askers.get_or_insert_with(|| missing(keys));
                match name {
                    "get" => bencher.iter(|| {
                        gets.iter_mut()
                            .map(|asker| asker.ask().len())
                            .sum::<usize>()
                    }),
                    _ => bencher.iter(|| mget.ask().len()),
                }
            });
        }
    }
    group.finish();
}

/// GETs and an MGET of `keys` missing keys, in a keyspace with the same number of other keys.
fn missing(keys: usize) -> (Vec<Asker>, Asker) {
    let generation = strings(keys, 16, false);
    let mut gets: Vec<_> = (keys..2 * keys).map(|at| get(&generation, at)).collect();
    let mut mget = mget(&generation, keys, keys);
    assert!(gets.iter_mut().all(|asker| asker.ask() == b"_\r\n"));
    assert_eq!(mget.ask().len(), format!("*{keys}\r\n").len() + 3 * keys);
    (gets, mget)
}

/// SET and MSET of the same keys repeatedly, as the stream sends them.
fn sets(criterion: &mut Criterion) {
    for (name, stream) in [
        ("set", set_stream as fn(Case) -> Vec<u8>),
        ("mset", mset_stream),
    ] {
        let mut group = criterion.benchmark_group(name);
        for case in Case::all() {
            group.throughput(case.throughput());
            group.bench_function(case.name(), |bencher| {
                let (generation, stream) = (crate::data::empty(), stream(case));
                applying(&generation, |apply| bencher.iter(|| apply(&stream)));
                check(&generation, case);
            });
        }
        group.finish();
    }
}

fn set_stream(case: Case) -> Vec<u8> {
    let (mut out, value) = (Vec::new(), value(case.value_bytes));
    (0..case.keys).for_each(|at| push_set(&mut out, &key(at), &value, case.expiring));
    out
}

/// MSET sets no expiry time. If `expiring`, a PEXPIREAT for each key follows it.
fn mset_stream(case: Case) -> Vec<u8> {
    let (mut words, value) = (vec![b"MSET".to_vec()], value(case.value_bytes));
    (0..case.keys).for_each(|at| words.extend([key(at).to_vec(), value.clone()]));
    let mut out = request(&words);
    if case.expiring {
        (0..case.keys)
            .for_each(|at| push(&mut out, &[b"PEXPIREAT", &key(at)[..], FAR_MS.as_bytes()]));
    }
    out
}

fn check(generation: &Arc<Generation>, case: Case) {
    assert_sound(generation);
    assert_eq!(len(generation), case.keys);
    let expires = generation.spaces.db(0).unwrap().expires();
    assert_eq!(expires, if case.expiring { case.keys } else { 0 });
    assert!(get(generation, case.keys - 1).ask() == case.reply());
}

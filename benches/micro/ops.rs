//! Single operations, for other programs to count or profile.
//!
//! `--ops` lists their names, each with a number of times that is worth counting. `--op NAME TIMES` runs one operation that
//! number of times and nothing else: the difference between 2 N and N times is N operations, without their preparation. `--allocs
//! NAME` runs an operation a few times, and then prints the call stacks of the allocations in one more run.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;

use redtail::internal::rdb::source::MemorySource;
use redtail::internal::replica::fuzzing::applying;
use redtail::internal::replica::load_dump;
use redtail::internal::resp::{Protocol, Reply, RequestParser};
use redtail::internal::store::Generation;

use crate::apply::FAMILIES;
use crate::counting;
use crate::data::{Asker, DIALECT, dump, empty, key, made_by, request, scattered, strings, words};
use crate::kinds::KINDS;
use crate::library::Embedded;
use crate::loopback::Loopback;
use crate::resp::{LIMITS, parse};
use crate::talks::{served, talks};

/// The number of keys that operations choose from: small, because a simulated processor may create them.
const KEYS: usize = 10_000;

/// The number of runs before anything is counted, so that buffers reach their full size.
const WARM_UP: u64 = 10;

/// Prepares an operation, then runs it the requested number of times.
type Op = Box<dyn FnOnce(&mut dyn FnMut(&mut dyn FnMut(u64)))>;

/// Does what the arguments ask for. Returns false if they name none of these modes.
pub(crate) fn serve(args: &[String]) -> bool {
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["--ops", ..] => ops()
            .iter()
            .for_each(|(name, _)| println!("{name}\t{}", times_of(name))),
        ["--op", name, times, ..] => {
            let times = times
                .parse()
                .unwrap_or_else(|_| refuse("TIMES is not a number"));
            op(name)(&mut |run| run(times));
        }
        ["--allocs", name, ..] => print_allocations(op(name)),
        _ => return false,
    }
    true
}

/// The number of runs with which the count is hardly random, and a simulated processor is done in seconds.
fn times_of(name: &str) -> u64 {
    match name.split(' ').next() {
        Some("ingest") => 2,
        Some("apply" | "connection") => 30,
        _ => 1_000,
    }
}

fn op(name: &str) -> Op {
    let found = ops().into_iter().find(|(known, _)| known == name);
    let unknown = || refuse(&format!("no operation {name:?}; --ops lists them"));
    found.map_or_else(unknown, |(_, op)| op)
}

fn refuse(why: &str) -> ! {
    eprintln!("micro: {why}");
    std::process::exit(2)
}

fn ops() -> Vec<(String, Op)> {
    let mut ops = reads();
    ops.extend(codecs());
    ops.extend(writes());
    ops.extend(loads());
    ops.extend(talks().into_iter().map(|talk| {
        let name = format!("connection {}", talk.name);
        let op: Op = Box::new(move |work| {
            let mut loopback = Loopback::new(served());
            talk.check(&mut loopback);
            work(&mut |times| talk.run(&mut loopback, times));
        });
        (name, op)
    }));
    ops
}

/// An operation that consists of one call.
fn simple<F: FnMut()>(name: &str, prepare: impl FnOnce() -> F + 'static) -> (String, Op) {
    let op: Op = Box::new(move |work| {
        let mut once = prepare();
        work(&mut |times| (0..times).for_each(|_| once()));
    });
    (name.to_owned(), op)
}

/// A read command, without a connection.
fn read(name: &str, line: &'static str, make: fn() -> Arc<Generation>) -> (String, Op) {
    simple(name, move || {
        let mut asker = Asker::new(&make(), &words(line));
        assert!(asker.ask().len() > 1);
        move || {
            black_box(asker.ask());
        }
    })
}

fn reads() -> Vec<(String, Op)> {
    let small = || strings(KEYS, 32, false);
    let tables = || {
        made_by(
            &KINDS
                .iter()
                .find(|kind| kind.name == "hash hashtable")
                .unwrap()
                .stream(),
        )
    };
    vec![
        read("get hot", "GET key:0000000000000007", small),
        read("get miss", "GET nothing", small),
        simple("get random", || {
            let generation = strings(KEYS, 32, false);
            let mut askers: Vec<_> = (0..1_000)
                .map(|at| Asker::new(&generation, &[b"GET", &key(scattered(at) % KEYS)[..]]))
                .collect();
            let mut at = 0;
            move || {
                at += 1;
                black_box(askers[at % 1_000].ask());
            }
        }),
        read("mget 10", "MGET 0 1 2 3 4 5 6 7 8 9", small),
        read("hget listpack", "HGET hash element:00000042", served),
        read(
            "hget table",
            "HGET key:0000000000000007 element:00000042",
            tables,
        ),
        read("hgetall 100", "HGETALL hash", served),
        read("lrange 100", "LRANGE list 0 -1", served),
        read("smembers 100", "SMEMBERS set", served),
        read("zrange 100", "ZRANGE zset 0 -1", served),
        read("scan 1000", "SCAN 0 COUNT 1000", small),
        simple("library get_with", || {
            let embedded = Embedded::new(KEYS);
            move || {
                black_box(embedded.read(&key(7)));
            }
        }),
    ]
}

fn codecs() -> Vec<(String, Op)> {
    vec![
        simple("parse get", || {
            let mut parser = RequestParser::new(LIMITS);
            let get = request(&[b"GET", &key(7)[..]]);
            move || {
                black_box(parse(&mut parser, black_box(&get)));
            }
        }),
        simple("encode bulk", || {
            let mut reply = Reply::new(Protocol::Resp2, DIALECT, usize::MAX);
            move || {
                reply.clear(usize::MAX);
                reply.bulk(black_box(&[b'v'; 32]));
            }
        }),
    ]
}

/// Batches of 100 commands of each family.
fn writes() -> Vec<(String, Op)> {
    let families = FAMILIES
        .iter()
        .flat_map(|family| [(family, false), (family, true)]);
    let ops = families.map(|(family, multi)| {
        let way = if multi { " in multi" } else { "" };
        let op: Op = Box::new(move |work| {
            let stream = family.stream(multi);
            applying(&empty(), |apply| {
                work(&mut |times| (0..times).for_each(|_| apply(&stream)));
            });
        });
        (format!("apply {}{way}", family.name), op)
    });
    ops.collect()
}

/// Loads of dumps: one with 1,000 strings, and one with 20,000 elements of each other kind.
fn loads() -> Vec<(String, Op)> {
    let strings = simple("ingest 1000 strings", || {
        let dump = dump(&strings(1_000, 32, false), 1_000, 12, false);
        move || {
            drop(black_box(
                load_dump(MemorySource(dump.clone()), 16).unwrap(),
            ))
        }
    });
    let kinds = KINDS.iter().filter(|kind| kind.elements > 1).map(|kind| {
        simple(&format!("ingest {}", kind.name), || {
            let dump = dump(&kind.make(), kind.keys(), 12, false);
            move || {
                drop(black_box(
                    load_dump(MemorySource(dump.clone()), 16).unwrap(),
                ))
            }
        })
    });
    std::iter::once(strings).chain(kinds).collect()
}

thread_local! {
    /// Allocations and bytes, by call stack.
    static STACKS: RefCell<HashMap<String, (u64, usize)>> = RefCell::default();
}

fn print_allocations(op: Op) {
    op(&mut |run| {
        run(WARM_UP);
        let (allocations, ()) = counting::allocations(|| run(1));
        println!("{allocations} allocations in one operation, once warm");
        counting::observed(note, || run(1));
    });
    let mut stacks: Vec<_> = STACKS.take().into_iter().collect();
    stacks.sort_by_key(|(_, (count, _))| std::cmp::Reverse(*count));
    for (stack, (count, bytes)) in stacks {
        println!("\n{count} allocations, {bytes} bytes:\n{stack}");
    }
}

/// Records the call stack of an allocation of `bytes` bytes.
fn note(bytes: usize) {
    let stack = std::backtrace::Backtrace::force_capture().to_string();
    let stack = of_interest(&stack);
    STACKS.with_borrow_mut(|stacks| {
        let entry = stacks.entry(stack).or_default();
        entry.0 += 1;
        entry.1 += bytes;
    });
}

/// Returns the backtrace's frames that are in this program, except those of the counter, each with its file and line. Returns the
/// whole backtrace if there are none.
fn of_interest(stack: &str) -> String {
    let lines: Vec<_> = stack.lines().collect();
    let is_told = |place: &str| {
        let file = place.trim().strip_prefix("at ./").unwrap_or_default();
        file.starts_with("src/") || file.starts_with("benches/micro/data.rs")
    };
    let frames = lines.windows(2).filter(|frame| is_told(frame[1]));
    let told: Vec<_> = frames
        .map(|frame| format!("{}  {}", frame[0], frame[1].trim()))
        .collect();
    if told.is_empty() {
        stack.to_owned()
    } else {
        told.join("\n")
    }
}

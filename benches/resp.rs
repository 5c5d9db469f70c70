//! What do parsing a request and encoding a reply cost? Time and allocations.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a bench may panic; criterion's macros document nothing"
)]

#[path = "common.rs"]
mod common;

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use redtail::dialect::Dialect;
use redtail::resp::{Protocol, Reply, RequestLimits, RequestParser, Step};

#[global_allocator]
static ALLOCATOR: common::Counting = common::Counting;

const LIMITS: RequestLimits = RequestLimits {
    words_max: 1 << 20,
    word_bytes_max: 512 << 20,
    inline: true,
};

/// Parses everything in `input`; gives the number of words.
fn parse(parser: &mut RequestParser, input: &[u8]) -> usize {
    let (mut used, mut words) = (0, 0);
    while let Step::Command(args, taken) = parser.step(&input[used..]).unwrap() {
        used += taken;
        words += args.len();
    }
    words
}

fn requests(criterion: &mut Criterion) {
    let get = b"*2\r\n$3\r\nGET\r\n$20\r\nkey:0000000000000001\r\n".to_vec();
    let set = b"*3\r\n$3\r\nSET\r\n$20\r\nkey:0000000000000001\r\n$32\r\nvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv\r\n".to_vec();
    let cases = [
        ("get", get.clone(), 2),
        ("set", set, 3),
        ("pipeline of 100 get", get.repeat(100), 200),
    ];
    let mut group = criterion.benchmark_group("parse");
    for (name, input, words) in cases {
        let mut parser = RequestParser::new(LIMITS);
        assert_eq!(parse(&mut parser, &input), words);
        let (allocations, _) = common::allocations(|| parse(&mut parser, &input));
        assert_eq!(allocations, 0, "{name} allocates");
        group.bench_function(name, |bencher| {
            bencher.iter(|| parse(&mut parser, black_box(&input)))
        });
    }
    group.finish();
}

fn replies(criterion: &mut Criterion) {
    type Write = fn(&mut Reply);
    let cases: &[(&str, Write, &[u8])] = &[
        ("simple", |reply| reply.simple("PONG"), b"+PONG\r\n"),
        ("error", |reply| reply.error("ERR no"), b"-ERR no\r\n"),
        ("integer", |reply| reply.integer(-12345), b":-12345\r\n"),
        (
            "bulk",
            |reply| reply.bulk(b"0123456789012345678901234567890"),
            b"$31\r\n0123456789012345678901234567890\r\n",
        ),
        ("null", Reply::null, b"_\r\n"),
        ("boolean", |reply| reply.boolean(true), b"#t\r\n"),
        ("double", |reply| reply.double(51011.213), b",51011.213\r\n"),
        (
            "verbatim",
            |reply| reply.verbatim("txt", b"hi"),
            b"=6\r\ntxt:hi\r\n",
        ),
        (
            "array of 100",
            |reply| {
                reply.array(100);
                (0..100).for_each(|number| reply.integer(number));
            },
            b"",
        ),
        (
            "map of 100",
            |reply| {
                reply.map(100);
                (0..200).for_each(|number| reply.bulk_integer(number));
            },
            b"",
        ),
        (
            "set of 100",
            |reply| {
                reply.set(100);
                (0..100).for_each(|number| reply.bulk_integer(number));
            },
            b"",
        ),
        (
            "push",
            |reply| {
                reply.push(1);
                reply.bulk(b"x");
            },
            b">1\r\n$1\r\nx\r\n",
        ),
    ];
    let mut group = criterion.benchmark_group("encode");
    for (name, write, expected) in cases {
        let mut reply = Reply::new(Protocol::Resp3, Dialect::redis(8, 0, 0), usize::MAX);
        write(&mut reply);
        assert!(
            expected.is_empty() || reply.as_bytes() == *expected,
            "{name}: {:?}",
            String::from_utf8_lossy(reply.as_bytes())
        );
        reply.clear(usize::MAX);
        let (allocations, ()) = common::allocations(|| write(&mut reply));
        println!("encode/{name}: {allocations} allocations");
        group.bench_function(*name, |bencher| {
            bencher.iter(|| {
                reply.clear(usize::MAX);
                write(black_box(&mut reply));
            });
        });
    }
    group.finish();
}

criterion_group!(benches, requests, replies);
criterion_main!(benches);

//! Whole connections: a request arrives through a socket, and the reply leaves through it.

use std::sync::Arc;

use crate::counting::allocations;
use crate::data::{key, made_by, request};
use crate::loopback::Loopback;
use crate::talks::{Talk, served, talks};

/// The number of requests after which buffers have reached their full size.
const WARM_UP: u64 = 50;

/// How many times a talk runs while its allocations are counted.
const ROUNDS: u64 = 100;

/// A server occasionally does other work, such as checking for silent connections. So the smallest of several counts is used.
const TRIES: usize = 5;

/// Returns the allocations of [`ROUNDS`] rounds: those of twice that number of rounds minus those of that number.
fn counted(talk: &Talk, loopback: &mut Loopback) -> u64 {
    talk.check(loopback);
    talk.run(loopback, WARM_UP);
    let mut least = |rounds| {
        let tries = (0..TRIES).map(|_| allocations(|| talk.run(loopback, rounds)).0);
        tries.min().unwrap()
    };
    let once = least(ROUNDS);
    least(2 * ROUNDS) - once
}

fn named(name: &str) -> Talk {
    talks().into_iter().find(|talk| talk.name == name).unwrap()
}

fn assert_free(name: &str) {
    let mut loopback = Loopback::new(served());
    assert_eq!(counted(&named(name), &mut loopback), 0, "{name}");
}

#[test]
fn a_get_allocates_nothing() {
    assert_free("get");
}

#[test]
fn a_pipeline_of_gets_allocates_nothing() {
    assert_free("get pipeline 64");
}

#[test]
fn an_mget_allocates_nothing() {
    assert_free("mget 10");
    assert_free("mget 100");
}

#[test]
fn an_hget_of_either_encoding_allocates_nothing() {
    assert_free("hget");
    let mut stream = Vec::new();
    for at in 0..1_000 {
        let field = crate::data::element(at);
        crate::data::push(&mut stream, &["HSET", "hash", &field, "value"]);
    }
    let mut loopback = Loopback::new(made_by(&stream));
    assert_eq!(counted(&named("hget"), &mut loopback), 0);
}

#[test]
fn whole_collections_allocate_nothing() {
    for name in ["hgetall 100", "lrange 100", "smembers 100", "zrange 100"] {
        assert_free(name);
    }
}

#[test]
fn misses_and_integers_allocate_nothing() {
    let generation = made_by(&request(&[b"SET", &key(1)[..], b"1234"]));
    for (number, reply_bytes) in [(1, "$4\r\n1234\r\n".len()), (2, "$-1\r\n".len())] {
        let talk = Talk {
            name: "get",
            request: request(&[b"GET", &key(number)[..]]),
            times: 1,
            reply_bytes,
        };
        let mut loopback = Loopback::new(Arc::clone(&generation));
        assert_eq!(counted(&talk, &mut loopback), 0, "{number}");
    }
}

#[test]
fn resp3_allocates_nothing_either() {
    let mut loopback = Loopback::new(served());
    let hello = request(&["HELLO", "3"]);
    // One byte of the reply is enough to know that it is a map.
    assert!(loopback.ask(&hello, 1, 1).starts_with(b"%"));
    skip_rest(&mut loopback);
    assert_eq!(counted(&named("get pipeline 64"), &mut loopback), 0);
}

/// Reads the unread rest of a reply whose length is not known.
fn skip_rest(loopback: &mut Loopback) {
    let mut rest = loopback.ask(&request(&["ECHO", "=end="]), 1, 1).to_vec();
    while !rest.ends_with(b"\r\n=end=\r\n") {
        rest.extend_from_slice(loopback.ask(b"", 1, 1));
    }
}

//! Hostile words for every handler that reads or applies. Each must produce a reply or an error, and quickly.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use redis_protocol::{resp2, resp3};

use crate::command::testing::{Bench, KEYS, hostile, one_key_of_each_kind, rows};
use crate::command::*;
use crate::dialect::Dialect;
use crate::rdb::dump::encode_payload;
use crate::rdb::listpack::Listpack;
use crate::rdb::version::Version;
use crate::resp::{ArgsBuf, Protocol, Reply};
use crate::value::Thresholds;

/// The limit for a reply in these tests.
const REPLY_BYTES_MAX: usize = 32 << 10;

fn dialects() -> [Dialect; 5] {
    [
        Dialect::redis(6, 0, 16),
        Dialect::redis(7, 0, 15),
        Dialect::redis(8, 0, 0),
        Dialect::redis(8, 8, 0),
        Dialect::valkey(9, 0, 0),
    ]
}

fn filled(dialect: Dialect) -> Bench {
    let bench = Bench::new(dialect);
    bench.apply(&one_key_of_each_kind().join("\n"));
    bench
}

fn shown(words: &ArgsBuf) -> String {
    let words = words.as_args();
    let words: Vec<_> = words
        .iter()
        .map(|word| word.escape_ascii().to_string())
        .collect();
    words.join(" ")
}

/// Sends a read in both protocols. The answer must be one complete reply within the limit.
fn ask(bench: &Bench, dialect: Dialect, row: &Command, words: &ArgsBuf) {
    for protocol in [Protocol::Resp2, Protocol::Resp3] {
        let mut reply = Reply::new(protocol, dialect, REPLY_BYTES_MAX);
        let handler = row.read.unwrap();
        if let Err(error) = read(handler, row, &bench.spaces, 0, words.as_args(), &mut reply) {
            reply.error(error.text());
        }
        assert!(reply.capacity() <= 2 * REPLY_BYTES_MAX, "{}", shown(words));
        if !reply.overflowed() {
            let len = whole_reply(protocol, reply.as_bytes());
            assert_eq!(
                len,
                Some(reply.len()),
                "{} in {protocol:?} replies {}",
                shown(words),
                reply.as_bytes().escape_ascii()
            );
        }
    }
}

/// Returns the length of the first reply in `bytes`.
fn whole_reply(protocol: Protocol, bytes: &[u8]) -> Option<usize> {
    match protocol {
        Protocol::Resp2 => Some(resp2::decode::decode(bytes).ok()??.1),
        Protocol::Resp3 => Some(resp3::decode::complete::decode(bytes).ok()??.1),
    }
}

#[test]
fn every_read_answers_hostile_words_with_one_whole_reply() {
    for (seed, dialect) in dialects().into_iter().enumerate() {
        let mut random = fastrand::Rng::with_seed(seed as u64);
        let bench = filled(dialect);
        for (name, row) in rows() {
            for _ in 0..if row.read.is_some() { 400 } else { 0 } {
                ask(&bench, dialect, row, &hostile(&mut random, &name, row));
            }
        }
    }
}

#[test]
fn counts_and_places_at_the_ends_of_the_integers_are_soon_answered() {
    const ENDS: &[&str] = &[
        "-9223372036854775808",
        "-9223372036854775807",
        "-4611686018427387903",
        "-4294967296",
        "4294967296",
        "9223372036854775807",
    ];
    const SHAPES: &[&str] = &[
        "srandmember K N",
        "hrandfield K N",
        "hrandfield K N withvalues",
        "zrandmember K N",
        "zrandmember K N withscores",
        "lpos K a count N",
        "lpos K a rank N",
        "lpos K a maxlen N",
        "getrange K N M",
        "lrange K N M",
        "lindex K N",
        "zrange K N M",
        "zrange K -inf +inf byscore limit N M",
        "zrevrange K N M",
        "zlexcount K - +",
        "sscan K N count M",
        "hscan K N count M",
        "zscan K N count M",
        "xrange K - + count N",
        "xread count N streams K M",
    ];
    for dialect in dialects() {
        let bench = filled(dialect);
        let asks = SHAPES
            .iter()
            .flat_map(|shape| KEYS.split(' ').map(move |key| (shape, key)));
        for (shape, key) in asks {
            for (n, m) in ENDS.iter().flat_map(|n| ENDS.iter().map(move |m| (n, m))) {
                let words = shape.split(' ').map(|word| match word {
                    "K" => key,
                    "N" => n,
                    "M" => m,
                    word => word,
                });
                let words = ArgsBuf::new(words);
                ask(&bench, dialect, resolve(words.as_args()).unwrap(), &words);
            }
        }
    }
}

/// Runs a handler without the code around it, so that a failure taints nothing and what it leaves behind can be read.
fn change(bench: &Bench, dialect: Dialect, row: &Command, words: &ArgsBuf) {
    let mut needed = smallvec::SmallVec::new();
    slots(row, &bench.spaces, 0, words.as_args(), &mut needed);
    let thresholds = Thresholds::of(dialect);
    let mut tx = bench.spaces.write(0, needed).with_thresholds(thresholds);
    let _ = row.apply.unwrap()(&mut tx, words.as_args());
}

#[test]
fn what_hostile_writes_leave_behind_can_be_read() {
    let (reads, writes): (Vec<_>, Vec<_>) = rows()
        .into_iter()
        .filter(|(_, row)| row.read.is_some() || row.apply.is_some())
        .partition(|(_, row)| row.read.is_some());
    for seed in 0..60 {
        let mut random = fastrand::Rng::with_seed(seed);
        let dialect = dialects()[random.usize(..4)];
        let bench = filled(dialect);
        for _ in 0..300 {
            let (name, row) = &writes[random.usize(..writes.len())];
            change(&bench, dialect, row, &hostile(&mut random, name, row));
            let (name, row) = &reads[random.usize(..reads.len())];
            ask(&bench, dialect, row, &hostile(&mut random, name, row));
        }
    }
}

/// A bench with collections that have no elements, as snapshots from before Redis 7.0 may contain.
fn emptied(dialect: Dialect) -> Bench {
    use crate::rdb::ValueType::{Hash, HashZiplist, List, ListQuicklist, Set, Zset2, ZsetZiplist};
    let bench = Bench::new(dialect);
    let version = Version::of_payload(9);
    let keys = [
        ("list", ListQuicklist),
        ("long-list", List),
        ("names", Set),
        ("hash", HashZiplist),
        ("large-hash", Hash),
        ("zset", ZsetZiplist),
        ("large-zset", Zset2),
    ];
    for (key, kind) in keys {
        let payload = encode_payload(version, b"", kind, |writer| match kind {
            HashZiplist | ZsetZiplist => writer.packed(&Listpack::new()),
            _ => writer.count(0),
        });
        let words = [b"RESTORE", key.as_bytes(), b"0", &payload.unwrap()];
        let restored = bench.apply_words(ArgsBuf::new(words).as_args());
        assert_eq!(restored, Ok(()), "{key}");
        assert_eq!(bench.read(&format!("EXISTS {key}")), ":1");
    }
    bench
}

#[test]
fn collections_without_elements_break_nothing() {
    let dialect = Dialect::redis(6, 0, 16);
    let rows = rows();
    for seed in 0..40 {
        let mut random = fastrand::Rng::with_seed(seed);
        let bench = emptied(dialect);
        for _ in 0..400 {
            let (name, row) = &rows[random.usize(..rows.len())];
            let words = hostile(&mut random, name, row);
            if row.read.is_some() {
                ask(&bench, dialect, row, &words);
            } else if row.apply.is_some() && random.u8(..8) == 0 {
                change(&bench, dialect, row, &words);
            }
        }
    }
}

//! Hostile streams: for any bytes, no panic, no memory beyond the bytes received, and a position between two whole units.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use super::tests::{Bench, encode, stream};
use super::*;
use crate::command::testing::{hostile, one_key_of_each_kind, rows};
use crate::dialect::Dialect;
use crate::resp::ArgsBuf;

fn encoded(words: &ArgsBuf) -> Vec<u8> {
    let words = words.as_args();
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for word in words.iter() {
        out.extend(format!("${}\r\n", word.len()).into_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// What a primary might send: keys of every kind, transactions, other databases.
fn real_stream() -> Vec<u8> {
    let mut lines = one_key_of_each_kind();
    lines.truncate(20);
    lines.extend(
        [
            "PING",
            "SELECT 1",
            "SET a 1",
            "MULTI",
            "SET a 2",
            "SELECT 2",
            "RPUSH l 1 2 3",
            "EXEC",
            "REPLCONF GETACK *",
            "SELECT 0",
            "MULTI",
            "DEL list",
            "PFADD p x",
            "EXEC",
            "SWAPDB 0 2",
            "LTRIM l 1 1",
            "FLUSHDB",
        ]
        .map(str::to_owned),
    );
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    stream(&lines)
}

/// Where `bytes` could be left: at the start, and after each command outside a MULTI.
fn unit_ends(bytes: &[u8]) -> Vec<u64> {
    let mut parser = RequestParser::new(RequestLimits {
        words_max: Dialect::default().request_words_max(),
        word_bytes_max: STREAM_WORD_BYTES_MAX,
        inline: false,
    });
    let (mut used, mut open, mut ends) = (0, false, vec![0]);
    while let Ok(Step::Command(args, taken)) = parser.step(&bytes[used..]) {
        used += taken;
        let is = |name| args.len() == 1 && args.is(0, name);
        open = is("multi") || (open && !is("exec") && !is("discard"));
        if !open {
            ends.push(used as u64);
        }
    }
    ends
}

fn damage(random: &mut fastrand::Rng, bytes: &mut Vec<u8>) {
    const SPLINTERS: [&[u8]; 8] = [
        b"\r\n",
        b"*2147483647\r\n",
        b"*-1\r\n",
        b"$4294967296\r\n",
        b"$-1\r\n",
        b"*1\r\n$4\r\nEXEC\r\n",
        b"*1\r\n$5\r\nMULTI\r\n",
        b"18446744073709551615",
    ];
    let at = random.usize(..bytes.len());
    let end = (at + random.usize(..40)).min(bytes.len());
    match random.u8(..4) {
        0 => bytes[at] = random.u8(..),
        1 => drop(bytes.drain(at..end)),
        2 => drop(bytes.splice(at..at, bytes[at..end].to_vec())),
        _ => {
            let splinter = SPLINTERS[random.usize(..SPLINTERS.len())];
            drop(bytes.splice(at..at, splinter.iter().copied()));
        }
    }
}

/// Feeds `bytes` in pieces until they end or are refused. Returns the position.
fn feed_in_pieces(random: &mut fastrand::Rng, bench: &Bench, bytes: &[u8]) -> Position {
    let mut applier = bench.applier(0);
    let mut rest = bytes;
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(random.usize(1..=rest.len().min(700)));
        let result = applier.feed(piece);
        assert!(applier.buffer.capacity() <= 2 * bytes.len());
        if result.is_err() {
            break;
        }
        rest = behind;
    }
    applier.into_position()
}

#[test]
fn a_damaged_stream_leaves_the_position_between_units() {
    let real = real_stream();
    for seed in 0..600 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut bytes = real.clone();
        (0..random.usize(1..4)).for_each(|_| damage(&mut random, &mut bytes));
        let bench = Bench::new();
        let position = feed_in_pieces(&mut random, &bench, &bytes);
        assert!(
            unit_ends(&bytes).contains(&position.offset),
            "seed {seed}: {}",
            position.offset
        );
        assert!(position.db < 4);
        // Whatever was applied can be read, or is refused as tainted.
        let _ = (
            bench.read(position.db, "SCAN 0 COUNT 1000"),
            bench.read(0, "DBSIZE"),
        );
    }
}

#[test]
fn hostile_words_in_any_write_move_the_offset_by_their_bytes_and_no_more() {
    let rows = rows();
    let writes: Vec<_> = rows
        .iter()
        .filter(|(_, row)| row.apply.is_some() || row.is_write())
        .collect();
    let keys = one_key_of_each_kind();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let keys = stream(&keys);
    for seed in 0..60 {
        let mut random = fastrand::Rng::with_seed(seed);
        let bench = Bench::new();
        let mut bytes = keys.clone();
        for round in 0..300 {
            if round % 10 == 5 {
                bytes.extend(encode("MULTI"));
            }
            let (name, row) = writes[random.usize(..writes.len())];
            bytes.extend(encoded(&hostile(&mut random, name, row)));
            if round % 10 == 9 {
                bytes.extend(encode("EXEC"));
            }
        }
        let position = feed_in_pieces(&mut random, &bench, &bytes);
        assert_eq!(position.offset, bytes.len() as u64, "seed {seed}");
        assert_eq!(bench.progress.applied(), position.offset);
    }
}

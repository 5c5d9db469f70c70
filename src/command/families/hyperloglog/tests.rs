#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use super::sketch::{self, Corrupted};
use super::{estimate, hash, sparse};
use crate::command::testing::Bench;
use crate::dialect::Dialect;
use crate::resp::ArgsBuf;
use crate::store::Value;

const BYTES_MAX: usize = 3000;

/// The bytes at a key.
fn bytes(bench: &Bench, key: &str) -> Vec<u8> {
    match bench
        .spaces
        .view_key(0, key.as_bytes())
        .value(key.as_bytes())
    {
        Some(Value::Text(text)) => text.to_vec(),
        _ => Vec::new(),
    }
}

fn fnv_1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// A key `k` with the elements `e0`, `e1`, … up to `count` of them, added a thousand at a time.
fn filled(count: usize) -> Bench {
    let bench = Bench::new(Dialect::redis(8, 0, 0));
    for from in (0..count).step_by(1000) {
        let elements: Vec<_> = (from..count.min(from + 1000))
            .map(|i| format!("e{i}"))
            .collect();
        bench.apply(&format!("PFADD k {}", elements.join(" ")));
    }
    bench
}

/// Stores `text` at `key`, whatever its bytes.
fn put(bench: &Bench, key: &str, text: &[u8]) {
    let words = ArgsBuf::new([b"SET".as_slice(), key.as_bytes(), text]);
    bench.apply_words(words.as_args()).unwrap();
}

#[test]
fn a_small_one_has_redis_own_bytes() {
    let bench = Bench::new(Dialect::redis(7, 0, 0));
    bench.apply("PFADD h a b c\nPFADD e");
    let header = b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80".as_slice();
    let registers = b"`\xf3\x80P\xb1\x84K\xfb\x80BZ".as_slice();
    assert_eq!(bytes(&bench, "h"), [header, registers].concat());
    assert_eq!(bytes(&bench, "e"), [header, b"\x7f\xff"].concat());
    assert_eq!(bench.read("OBJECT ENCODING h"), "$3 raw");
}

/// What Redis 6.0, Redis 8.0 and Valkey 9.1 all answer: elements, bytes, hash of the bytes, PFCOUNT.
#[test]
fn bytes_and_counts_are_redis_own_whatever_the_size() {
    for (elements, len, hash, count) in [
        (10, 48, 0x4afc_b65d_27f7_d346, 10),
        (100, 285, 0xb8de_76da_b4a4_065e, 100),
        (1000, 1906, 0x5935_de02_3280_6824, 1008),
        (2000, 12304, 0x1b55_76fa_1f6b_8092, 2000),
        (5000, 12304, 0x8052_4675_3a1c_dada, 4968),
        (100_000, 12304, 0xafbf_1713_dc5b_a3c8, 100_853),
    ] {
        let bench = filled(elements);
        let found = bytes(&bench, "k");
        assert_eq!((found.len(), fnv_1a(&found)), (len, hash), "{elements}");
        assert_eq!(bench.read("PFCOUNT k"), format!(":{count}"));
        assert_eq!(bench.read("PFCOUNT k none k"), format!(":{count}"));
    }
}

#[test]
fn a_clients_count_changes_nothing_and_the_streams_caches() {
    let bench = filled(100);
    let before = bytes(&bench, "k");
    assert_eq!(bench.read("PFCOUNT k"), ":100");
    assert_eq!(bytes(&bench, "k"), before);
    bench.apply("PFCOUNT k");
    assert_eq!(bytes(&bench, "k")[8..16], 100u64.to_le_bytes());
    assert_eq!(bench.read("PFCOUNT k"), ":100");
    bench.apply("PFADD k e0");
    assert_eq!(bytes(&bench, "k")[15], 0, "nothing new was added");
    bench.apply("PFADD k new");
    assert_eq!(bytes(&bench, "k")[8..16], (100 | 1u64 << 63).to_le_bytes());
    bench.apply("PFCOUNT none\nPFCOUNT k none");
    assert_eq!(bench.read("EXISTS none"), ":0");
}

#[test]
fn a_merge_is_dense_when_a_source_is_and_sparse_otherwise() {
    let bench = filled(2000);
    bench.apply("PFADD a x y\nPFADD b y z\nPFMERGE c a b none\nPFMERGE d c k\nPFMERGE empty none");
    assert_eq!(bench.read("PFCOUNT c"), ":3");
    assert_eq!(bytes(&bench, "c")[4], 1);
    assert_eq!(bytes(&bench, "d").len(), 12304);
    assert_eq!(bench.read("PFCOUNT d"), bench.read("PFCOUNT a b k"));
    assert_eq!(bench.read("PFCOUNT empty"), ":0");
    assert_eq!(bytes(&bench, "empty").len(), 18);
}

#[test]
fn looking_inside_converts_as_the_primary_does() {
    let bench = filled(10);
    bench.apply("PFDEBUG ENCODING k\nPFDEBUG DECODE k");
    assert_eq!(bytes(&bench, "k").len(), 48);
    bench.apply("PFDEBUG TODENSE k");
    assert_eq!(bytes(&bench, "k").len(), 12304);
    assert_eq!(bench.read("PFCOUNT k"), ":10");
}

#[test]
fn other_strings_are_refused_and_broken_runs_told_apart() {
    let invalid = "-WRONGTYPE Key is not a valid HyperLogLog string value.";
    let corrupted = "-INVALIDOBJ Corrupted HLL object detected";
    let header = b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80";
    let with = |runs: &[u8]| [header.as_slice(), runs].concat();
    for (text, reply) in [
        (b"HYLL".to_vec(), invalid),
        (b"12".to_vec(), invalid),
        (b"HYLL\x02\0\0\0\0\0\0\0\0\0\0\0".to_vec(), invalid),
        (b"HYLL\x00\0\0\0\0\0\0\0\0\0\0\0".to_vec(), invalid),
        (with(b""), corrupted),
        (with(b"\x7f"), corrupted),
        (with(b"\x7f\xfe"), corrupted),
        (with(b"\x7f\xff\x00"), corrupted),
        (with(&[0xff; 4097]), corrupted),
        (with(b"\x7f\xfe\x80"), ":1"),
        (with(&[0xff; 4096]), ":50760319129350"),
    ] {
        let bench = Bench::new(Dialect::redis(7, 0, 0));
        put(&bench, "k", &text);
        assert_eq!(bench.read("PFCOUNT k"), reply, "{text:?}");
        assert_eq!(bench.read("PFCOUNT k none"), reply, "{text:?}");
        let merged = bench.try_apply("PFMERGE into k");
        assert_eq!(merged.is_ok(), reply.starts_with(':'), "{text:?}");
    }
}

#[test]
fn a_register_of_each_size_splits_the_run_that_it_stands_in() {
    let mut text = sparse::empty();
    for (index, run, runs) in [
        (1000, 2, b"\x43\xe7\x84\x7c\x16".as_slice()),
        (1020, 3, b"\x43\xe7\x84\x12\x88\x7c\x02"),
        (1021, 3, b"\x43\xe7\x84\x12\x89\x7c\x01"),
        (1001, 2, b"\x43\xe7\x85\x11\x89\x7c\x01"),
        (1000, 1, b"\x43\xe7\x85\x11\x89\x7c\x01"),
        (1001, 32, b"\x43\xe7\x84\xfc\x11\x89\x7c\x01"),
        (0, 1, b"\x80\x43\xe6\x84\xfc\x11\x89\x7c\x01"),
    ] {
        sketch::raise(&mut text, index, run, BYTES_MAX).unwrap();
        assert_eq!(text[16..], *runs, "register {index} to {run}");
    }
}

#[test]
fn what_no_run_can_hold_or_what_grows_too_long_is_dense() {
    let mut text = sparse::empty();
    assert_eq!(sketch::raise(&mut text, 16383, 33, BYTES_MAX), Ok(true));
    assert!(sketch::is_dense(&text) && text.len() == 12304);
    assert_eq!(text[12303], 33 << 2);
    let mut text = sparse::empty();
    assert_eq!(sketch::raise(&mut text, 5000, 1, 20), Ok(true));
    assert!(sketch::is_dense(&text));
    let mut text = sparse::empty();
    assert_eq!(sketch::raise(&mut text, 5000, 1, 21), Ok(true));
    assert!(!sketch::is_dense(&text));
}

#[test]
fn a_register_past_the_runs_is_corrupted() {
    let mut text = b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\0\x10".to_vec();
    assert_eq!(sketch::raise(&mut text, 17, 1, BYTES_MAX), Err(Corrupted));
    assert_eq!(sketch::make_dense(&mut text), Err(Corrupted));
}

#[test]
fn the_hash_finds_a_bounded_run_for_every_length() {
    for len in 0..40 {
        let (index, run) = hash::register_of(&vec![b'x'; len]);
        assert!(index < sketch::REGISTERS && (1..=51).contains(&run));
    }
}

#[test]
fn an_estimate_past_all_numbers_is_the_lowest_integer() {
    let mut histogram = [0; 64];
    histogram[63] = 16384;
    assert_eq!(estimate::cardinality(&histogram), 1 << 63);
    assert!(sketch::works());
}

#[test]
fn one_past_its_time_is_counted_alone_by_old_replicas() {
    for (dialect, alone) in [
        (Dialect::redis(6, 0, 16), ":2"),
        (Dialect::redis(7, 0, 15), ":0"),
    ] {
        let bench = Bench::new(dialect);
        bench.apply("PFADD h a b\nPEXPIREAT h 1");
        assert_eq!(bench.read("PFCOUNT h"), alone);
        assert_eq!(bench.read("PFCOUNT h none"), ":0");
    }
}

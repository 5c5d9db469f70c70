#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use super::range;
use crate::command::testing::Bench;
use crate::dialect::Dialect;
use proptest::prelude::*;

/// A store with `b`: 00 0f ff f0, `n`: 12345, `e`: the empty string, `l`: a list.
fn bench(dialect: Dialect) -> Bench {
    let bench = Bench::new(dialect);
    bench.apply(
        "SET n 12345
        RPUSH l a
        BITFIELD b SET u16 #0 15 SET u16 #1 65520",
    );
    bench.try_apply("SET e ").unwrap();
    bench
}

fn bytes(bench: &Bench, key: &str) -> Vec<u64> {
    let len: usize = bench.read(&format!("STRLEN {key}"))[1..].parse().unwrap();
    let byte = |i| bench.read(&format!("BITFIELD_RO {key} GET u8 #{i}"))[4..].parse();
    (0..len).map(|i| byte(i).unwrap()).collect()
}

#[test]
fn bits_are_counted_in_ranges_of_bytes_and_of_bits() {
    let bench = bench(Dialect::redis(7, 0, 0));
    for (line, reply) in [
        ("BITCOUNT b", ":16"),
        ("BITCOUNT b 1 2", ":12"),
        ("BITCOUNT b -1 -1", ":4"),
        ("BITCOUNT b 3 1", ":0"),
        ("BITCOUNT b -1 -4", ":0"),
        ("BITCOUNT b -9 -8", ":0"),
        ("BITCOUNT b 13 26 BIT", ":14"),
        ("BITCOUNT b 12 12 bit", ":1"),
        ("BITCOUNT b 0 -1 BYTE", ":16"),
        ("BITCOUNT n", ":17"),
        ("BITCOUNT e", ":0"),
        ("BITCOUNT e 0 -1", ":0"),
        ("BITCOUNT none", ":0"),
        ("BITCOUNT b 0 1 x", "-ERR syntax error"),
        ("BITCOUNT b 0", "-ERR syntax error"),
        (
            "BITCOUNT l",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
    ] {
        assert_eq!(bench.read(line), reply, "{line}");
    }
}

#[test]
fn bits_are_found_and_zeros_go_on_past_an_open_end_only() {
    let bench = bench(Dialect::redis(7, 0, 0));
    bench.apply("SET f x\nBITFIELD f SET i8 0 -1");
    for (line, reply) in [
        ("BITPOS b 1", ":12"),
        ("BITPOS b 0", ":0"),
        ("BITPOS b 0 1", ":8"),
        ("BITPOS b 0 2", ":28"),
        ("BITPOS b 0 2 2", ":-1"),
        ("BITPOS b 1 0 0", ":-1"),
        ("BITPOS b 0 13 -1 BIT", ":28"),
        ("BITPOS b 1 28 -1 BIT", ":-1"),
        ("BITPOS b 0 -1 -9", ":-1"),
        ("BITPOS f 0", ":8"),
        ("BITPOS f 0 0", ":8"),
        ("BITPOS f 0 0 -1", ":-1"),
        ("BITPOS e 0", ":-1"),
        ("BITPOS none 0", ":0"),
        ("BITPOS none 1", ":-1"),
        ("BITPOS b 2", "-ERR The bit argument must be 1 or 0."),
    ] {
        assert_eq!(bench.read(line), reply, "{line}");
    }
}

#[test]
fn each_version_reads_its_own_ranges_in_its_own_order() {
    let integer = "-ERR value is not an integer or out of range";
    for (line, old, redis_7_0, redis_8, valkey) in [
        ("BITCOUNT b 0 1 BIT", "-ERR syntax error", ":0", ":0", ":0"),
        (
            "BITPOS b 1 0 1 BYTE",
            "-ERR syntax error",
            ":12",
            ":12",
            ":12",
        ),
        ("BITCOUNT none x 1", ":0", ":0", integer, integer),
        ("BITPOS none 1 x", ":-1", ":-1", integer, integer),
        (
            "BITCOUNT b -1 -4 x",
            "-ERR syntax error",
            ":0",
            "-ERR syntax error",
            "-ERR syntax error",
        ),
        (
            "BITCOUNT b 3",
            "-ERR syntax error",
            "-ERR syntax error",
            "-ERR syntax error",
            ":4",
        ),
        (
            "BITCOUNT b 0 x x",
            "-ERR syntax error",
            integer,
            integer,
            "-ERR syntax error",
        ),
    ] {
        for (dialect, reply) in [
            (Dialect::redis(6, 0, 16), old),
            (Dialect::redis(7, 0, 15), redis_7_0),
            (Dialect::redis(8, 0, 6), redis_8),
            (Dialect::valkey(8, 1, 1), valkey),
        ] {
            assert_eq!(bench(dialect).read(line), reply, "{dialect:?} {line}");
        }
    }
}

#[test]
fn integers_are_read_past_the_end_as_zeros() {
    let bench = bench(Dialect::redis(7, 0, 0));
    for (line, reply) in [
        ("BITFIELD_RO b GET u8 12", "*1 :255"),
        (
            "BITFIELD_RO b GET i8 12 GET u4 #3 GET i1 12",
            "*3 :-1 :15 :-1",
        ),
        ("BITFIELD_RO b GET u63 4294967295", "*1 :0"),
        ("BITFIELD_RO b GET i64 24", "*1 :-1152921504606846976"),
        ("BITFIELD_RO none GET u8 0", "*1 :0"),
        ("BITFIELD_RO b", "*0"),
        (
            "BITFIELD_RO b GET u2 #9223372036854775807",
            "-ERR bit offset is not an integer or out of range",
        ),
        (
            "BITFIELD_RO b GET u8 4294967296",
            "-ERR bit offset is not an integer or out of range",
        ),
        (
            "BITFIELD_RO b SET u8 0 1",
            "-ERR BITFIELD_RO only supports the GET subcommand",
        ),
        (
            "BITFIELD_RO b OVERFLOW x",
            "-ERR Invalid OVERFLOW type specified",
        ),
        (
            "BITFIELD_RO b GET u64 0",
            "-ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
        ),
        ("GETBIT b 12", ":1"),
        ("GETBIT b 11", ":0"),
        ("GETBIT b 4294967295", ":0"),
        (
            "GETBIT b 4294967296",
            "-ERR bit offset is not an integer or out of range",
        ),
    ] {
        assert_eq!(bench.read(line), reply, "{line}");
    }
}

#[test]
fn results_outside_the_width_wrap_saturate_or_are_left_out() {
    for (line, expected) in [
        ("SET u8 0 300", [44].as_slice()),
        ("INCRBY i8 0 200", &[200]),
        ("OVERFLOW SAT INCRBY i8 0 200", &[127]),
        ("OVERFLOW SAT INCRBY i8 0 -200", &[128]),
        ("OVERFLOW SAT INCRBY u8 0 -1", &[0]),
        ("OVERFLOW SAT SET u8 0 -1", &[255]),
        ("OVERFLOW FAIL SET u8 0 1 SET u8 8 256", &[1, 0]),
        ("OVERFLOW FAIL SET u4 20 16", &[0, 0, 0]),
        // So far below the lowest number that C takes it for a number above the highest.
        ("OVERFLOW SAT SET i8 0 -9223372036854775808", &[127]),
        ("SET u3 6 7", &[3, 128]),
        (
            "SET i64 1 -1",
            &[127, 255, 255, 255, 255, 255, 255, 255, 128],
        ),
        (
            "SET i64 0 9223372036854775807 OVERFLOW SAT INCRBY i64 0 1",
            &[127, 255, 255, 255, 255, 255, 255, 255],
        ),
    ] {
        let bench = Bench::new(Dialect::redis(7, 0, 0));
        bench.apply(&format!("BITFIELD k {line}"));
        assert_eq!(bytes(&bench, "k"), expected, "{line}");
    }
}

#[test]
fn a_bit_is_set_in_a_string_that_grows_and_stays_volatile() {
    let bench = bench(Dialect::redis(7, 0, 0));
    bench.apply("SET v a PXAT 9223372036854775807\nSETBIT v 17 1\nSETBIT new 9 1\nSETBIT new 9 0");
    assert_eq!(bytes(&bench, "v"), [97, 0, 64]);
    assert_eq!(bytes(&bench, "new"), [0, 0]);
    assert_ne!(bench.read("PTTL v"), ":-1");
    assert_eq!(bench.read("OBJECT ENCODING new"), "$3 raw");
    assert!(bench.try_apply("SETBIT l 1 1").is_err());
    assert!(bench.try_apply("SETBIT new 1 2").is_err());
    assert!(bench.try_apply("SETBIT new 4294967296 1").is_err());
}

#[test]
fn strings_are_combined_as_if_zeros_followed_the_shorter_ones() {
    let bench = Bench::new(Dialect::redis(8, 2, 0));
    bench.apply(
        "BITFIELD a SET u8 0 12
        BITFIELD b SET u8 0 10 SET u8 8 1
        BITFIELD c SET u8 0 6",
    );
    for (line, expected) in [
        ("AND d a b", [8, 0].as_slice()),
        ("OR d a b", &[14, 1]),
        ("XOR d a b c", &[0, 1]),
        ("NOT d b", &[245, 254]),
        ("OR d none a", &[12]),
        ("AND d none a", &[0]),
        ("DIFF d a b c", &[0, 0]),
        ("DIFF d b a", &[2, 1]),
        ("DIFF1 d a b c", &[2, 1]),
        ("ANDOR d a b c", &[12, 0]),
        ("ONE d a b c", &[0, 1]),
        ("ONE d a b", &[6, 1]),
    ] {
        bench.apply(&format!("BITOP {line}"));
        assert_eq!(bytes(&bench, "d"), expected, "{line}");
    }
    bench.apply("BITOP OR d none none");
    // A wrong type at a key that the command does not name does not matter, whichever shards are held.
    bench.apply("RPUSH  x");
    (0..5000).for_each(|index| bench.apply(&format!("BITOP NOT d{index} a")));
    assert_eq!(bench.read("EXISTS d"), ":0");
    assert!(bench.try_apply("BITOP NOT d a b").is_err());
    assert!(bench.try_apply("BITOP NAND d a b").is_err());
}

proptest! {
    #[test]
    fn counting_and_searching_agree_with_a_walk_over_the_bits(
        text in proptest::collection::vec(prop_oneof![Just(0u8), Just(0xff), any::<u8>()], 1..3000),
        ends in any::<(prop::sample::Index, prop::sample::Index)>(),
        wanted: bool,
    ) {
        let bit = |at: usize| text[at / 8] & (0x80 >> (at % 8)) != 0;
        let (a, b) = (ends.0.index(text.len() * 8), ends.1.index(text.len() * 8));
        let bits = a.min(b)..a.max(b) + 1;
        prop_assert_eq!(range::ones(&text, bits.clone()), bits.clone().filter(|at| bit(*at)).count());
        let first = bits.clone().find(|at| bit(*at) == wanted);
        prop_assert_eq!(range::first(&text, bits, wanted), first);
    }
}

use crate::command::testing::Bench;
use crate::dialect::Dialect;

fn bench() -> Bench {
    let bench = Bench::new(Dialect::redis(8, 4, 0));
    bench.apply("SET s hello\nSET n 12345\nRPUSH l x\nSET v x PXAT 9223372036854775807");
    bench
}

const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

#[test]
fn parts_are_counted_from_either_end_and_numbers_are_text() {
    let bench = bench();
    for (line, reply) in [
        ("GETRANGE s 1 3", "$3 ell"),
        ("GETRANGE s -3 -1", "$3 llo"),
        ("GETRANGE s -1 -3", "$0"),
        ("GETRANGE s -100 -50", "$1 h"),
        ("GETRANGE s 5 9", "$0"),
        ("SUBSTR n 0 -2", "$4 1234"),
        ("GETRANGE none 0 -1", "$0"),
        (
            "GETRANGE s x 1",
            "-ERR value is not an integer or out of range",
        ),
        ("GETRANGE l 0 1", WRONG_TYPE),
        ("STRLEN n", ":5"),
        ("MGET s n l none", "*4 $5 hello $5 12345 $-1 $-1"),
    ] {
        assert_eq!(bench.read(line).trim_end(), reply, "{line}");
    }
}

/// Source of the hashes: redis.io on DIGEST, and a client library's golden values.
#[test]
fn a_digest_is_redis_own() {
    let bench = bench();
    bench.apply("SET k myvalue");
    assert_eq!(bench.read("DIGEST k"), "$16 5a32b091fa5dafe7");
    assert_eq!(bench.read("DIGEST none"), "$-1");
    assert_eq!(bench.read("DIGEST l"), WRONG_TYPE);
    assert_eq!(super::hash_of(b"Hello world"), "b6acb9d84a38ff74");
}

#[test]
fn a_string_is_set_only_where_its_condition_holds() {
    for (line, key, after) in [
        ("SET s new NX", "s", "$5 hello"),
        ("SET s new XX", "s", "$3 new"),
        ("SET none new XX GET", "none", "$-1"),
        ("SET s new IFEQ hello", "s", "$3 new"),
        ("SET s new IFEQ other", "s", "$5 hello"),
        ("SET none new IFEQ other", "none", "$-1"),
        ("SET s new IFNE other", "s", "$3 new"),
        ("SET s new IFNE hello", "s", "$5 hello"),
        ("SET none new IFNE other", "none", "$3 new"),
        ("SET s new IFDEQ 9555E8555C62DCFD", "s", "$3 new"),
        ("SET s new IFDEQ 0555e8555c62dcfd", "s", "$5 hello"),
        ("SET s new IFDNE 9555e8555c62dcfd", "s", "$5 hello"),
        ("SET s new IFDNE 0555e8555c62dcfd", "s", "$3 new"),
    ] {
        let bench = bench();
        bench.apply(line);
        assert_eq!(bench.read(&format!("GET {key}")), after, "{line}");
    }
}

#[test]
fn a_time_that_overflows_never_comes_or_is_past() {
    let bench = Bench::new(Dialect::redis(6, 0, 16));
    bench.apply(
        "SET a v PX 9223372036854775807\nSET b v EX 9223372036854775807\nPSETEX c 9223372036854775807 v\n\
         SET d v\nPEXPIRE d 9223372036854775807",
    );
    for key in ["a", "c", "d"] {
        assert_eq!(bench.read(&format!("GET {key}")), "$1 v");
        let left = bench.read(&format!("PTTL {key}"));
        assert!(left.starts_with(":92233720368547"), "{key} {left}");
    }
    assert_eq!(bench.read("GET b"), "$-1");
}

#[test]
fn several_strings_are_set_with_one_expiry_or_not_at_all() {
    for (line, values, persists) in [
        ("MSETEX 2 a 1 v y", "*2 $1 1 $1 y", true),
        ("MSETEX 2 a 1 v y KEEPTTL", "*2 $1 1 $1 y", false),
        ("MSETEX 2 a 1 v y NX", "*2 $-1 $1 x", false),
        ("MSETEX 2 a 1 v y XX", "*2 $-1 $1 x", false),
        (
            "MSETEX 1 v y XX PXAT 9223372036854775806",
            "*2 $-1 $1 y",
            false,
        ),
    ] {
        let bench = bench();
        bench.apply(line);
        assert_eq!(bench.read("MGET a v"), values, "{line}");
        assert_eq!(bench.read("PTTL v") == ":-1", persists, "{line}");
    }
    for line in [
        "MSETEX 0 a 1",
        "MSETEX 2 a 1 b",
        "MSETEX x a 1",
        "MSETEX 1 a 1 MAYBE",
    ] {
        assert!(bench().try_apply(line).is_err(), "{line}");
    }
}

#[test]
fn a_part_is_overwritten_within_the_limit_of_strings() {
    let bench = bench();
    bench.apply("SETRANGE s 1 ipp\nSETRANGE pad 3 x");
    assert_eq!(bench.read("GET s"), "$5 hippo");
    assert_eq!(bench.read("STRLEN pad"), ":4");
    assert!(bench.try_apply("SETRANGE none 5 ").is_ok());
    assert_eq!(bench.read("EXISTS none"), ":0");
    assert!(bench.try_apply("SETRANGE s 536870912 x").is_err());
    assert!(bench.try_apply("SETRANGE t -1 x").is_err());
}

#[test]
fn a_string_grows_by_little_more_than_it_needs() {
    let mut text = Vec::new();
    super::grow(&mut text, 5 << 20);
    assert_eq!((text.len(), text.capacity()), (5 << 20, 5 << 20));
    super::grow(&mut text, (5 << 20) + 1);
    assert!(text.capacity() <= (6 << 20) + 1);
    super::grow(&mut text, 10);
    assert_eq!(text.len(), (5 << 20) + 1);
}

/// Source: redis 8.4 t_string.c, `delexCommand`; no server of this version was asked.
#[test]
fn a_key_is_deleted_where_its_condition_holds() {
    let hash = super::hash_of(b"hello");
    let (equal, differs) = (
        format!("DELEX s IFDEQ {hash}"),
        format!("DELEX s IFDNE {hash}"),
    );
    for (line, key, is_there) in [
        ("DELEX s", "s", false),
        ("DELEX l", "l", false),
        ("DELEX none", "none", false),
        ("DELEX s IFEQ hello", "s", false),
        ("DELEX s IFEQ other", "s", true),
        ("DELEX s IFNE other", "s", false),
        ("DELEX s IFNE hello", "s", true),
        ("DELEX n IFEQ 12345", "n", false),
        ("DELEX none IFNE x", "none", false),
        (&equal, "s", false),
        (&differs, "s", true),
    ] {
        let bench = bench();
        bench.apply(line);
        let expected = if is_there { ":1" } else { ":0" };
        assert_eq!(bench.read(&format!("EXISTS {key}")), expected, "{line}");
    }
    for line in [
        "DELEX l IFEQ x",
        "DELEX s IFEQ",
        "DELEX s MAYBE x",
        "DELEX s IFEQ x y",
    ] {
        assert!(bench().try_apply(line).is_err(), "{line}");
    }
}

#[test]
fn a_deleted_key_is_known_again() {
    let bench = bench();
    assert!(bench.try_apply("INCRBYFLOAT n 1.5").is_err());
    assert!(bench.try_apply("DELEX n IFEQ 12345").is_err());
    assert!(bench.read("GET n").starts_with("-TAINTED"));
    bench.apply("DELEX n");
    assert_eq!(bench.read("GET n"), "$-1");
}

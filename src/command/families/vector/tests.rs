use crate::command::testing::Bench;
use crate::dialect::Dialect;

fn bench() -> Bench {
    let bench = Bench::new(Dialect::redis(8, 0, 2));
    bench.apply(
        "VADD k VALUES 2 1 2 a
         VADD k VALUES 2 -1 0 b CAS SETATTR {\"year\":1984}
         VADD f REDUCE 1 VALUES 3 1 2 3 x NOQUANT M 4 EF 10
         VADD n VALUES 2 3 4 x NOQUANT
         SET s v",
    );
    bench
}

/// The replies of a real server, version 8.0.2.
#[test]
fn answers_are_those_of_the_module() {
    let bench = bench();
    for (line, reply) in [
        ("VCARD k", ":2"),
        ("VCARD none", ":0"),
        ("VDIM k", ":2"),
        ("VDIM f", ":1"),
        ("VDIM none", "-ERR key does not exist"),
        ("VEMB k a", "*2 $17 0.992125928401947 $1 2"),
        ("VEMB none a", "$-1"),
        ("VGETATTR k b", "$13 {\"year\":1984}"),
        ("VGETATTR k a", "$-1"),
        ("VISMEMBER k a", ":1"),
        ("VISMEMBER k c", ":0"),
        ("VISMEMBER none c", ":0"),
        ("VINFO none", "*-1"),
        ("VLINKS k none", "$-1"),
        ("VRANDMEMBER n", "$1 x"),
        ("VRANDMEMBER n -3", "*3 $1 x $1 x $1 x"),
        ("VRANDMEMBER n 3", "*1 $1 x"),
        ("VRANDMEMBER none", "$-1"),
        ("VRANDMEMBER none 1", "*0"),
        ("VRANDMEMBER s 0", "*0"),
        ("VSIM none bad bad", "*0"),
        (
            "VSIM k ELE a COUNT 1 WITHSCORES",
            "*2 $1 a $18 0.9992150366306305",
        ),
        ("VSIM n VALUES 2 -6 -8 TRUTH WITHSCORES", "*2 $1 x $1 0"),
        ("VSIM k ELE a FILTER .year<1985", "*1 $1 b"),
        ("VSIM k ELE a FILTER .year<1985 TRUTH EPSILON 0.5", "*0"),
    ] {
        assert_eq!(bench.read(line), reply, "{line}");
    }
    assert_eq!(bench.read3("VISMEMBER k a"), "#t");
    assert_eq!(bench.read3("VSIM n VALUES 2 3 4 WITHSCORES"), "%1 $1 x ,1");
}

#[test]
fn errors_are_those_of_the_module() {
    let bench = bench();
    for line in [
        "VCARD",
        "VCARD k k",
        "VDIM",
        "VEMB k",
        "VINFO",
        "VLINKS k",
        "VSIM k ELE",
    ] {
        let name = line.split(' ').next().unwrap_or_default();
        let expected = format!("-ERR wrong number of arguments for '{name}' command");
        assert_eq!(bench.read(line), expected);
    }
    for (line, error) in [
        (
            "VLINKS k a scores",
            "wrong number of arguments for 'VLINKS' command",
        ),
        ("VEMB k a rough", "invalid option"),
        ("VRANDMEMBER k x", "COUNT value is not an integer"),
        ("VSIM k ELE none", "element not found in set"),
        ("VSIM k FP32 abc", "invalid vector specification"),
        ("VSIM k VALUES 3 1 1", "invalid vector specification"),
        ("VSIM k VALUES 2 1 nan", "invalid vector specification"),
        (
            "VSIM k REDUCE 2 VALUES 2 1 1",
            "invalid vector specification",
        ),
        (
            "VSIM k VALUES 1 1",
            "Vector dimension mismatch - got 1 but set has 2",
        ),
        (
            "VSIM f VALUES 2 1 1",
            "Input dimension mismatch for projection - got 2 but projection expects 3",
        ),
        ("VSIM k ELE a COUNT 0", "invalid COUNT"),
        ("VSIM k ELE a EF -1", "invalid EF"),
        ("VSIM k ELE a EPSILON 0", "invalid EPSILON"),
        ("VSIM k ELE a FILTER-EF x", "invalid FILTER-EF"),
        ("VSIM k ELE a FILTER", "syntax error in VSIM command"),
        ("VSIM k ELE a OTHER 1", "syntax error in VSIM command"),
        (
            "VSIM k ELE a FILTER 1#2",
            "syntax error in FILTER expression near: #2",
        ),
        (
            "VSIM k ELE a FILTER 1+",
            "syntax error in FILTER expression near: 1+",
        ),
    ] {
        assert_eq!(bench.read(line), format!("-ERR {error}"));
    }
    assert!(bench.read("VCARD s").starts_with("-WRONGTYPE"));
    assert!(bench.read("VSIM s ELE a").starts_with("-WRONGTYPE"));
}

#[test]
fn the_stream_adds_changes_and_removes() {
    let bench = bench();
    bench.apply(
        "VADD k VALUES 2 0 -5 a
         VSETATTR k a {}
         VSETATTR none b x
         VREM k none
         VREM none a",
    );
    assert_eq!(bench.try_apply("VSETATTR k b "), Ok(()));
    assert_eq!(bench.read("VGETATTR k a"), "$2 {}");
    assert_eq!(bench.read("VGETATTR k b"), "$-1");
    assert_eq!(bench.read("VEMB k a"), "*2 $1 0 $2 -5");
    bench.apply("VREM k a\nVREM k b");
    assert_eq!(bench.read("VCARD k"), ":0");
    assert_eq!(bench.read("TYPE k"), "+none");
}

#[test]
fn what_does_not_fit_the_set_is_not_applied() {
    for line in [
        "VADD k VALUES 3 1 1 1 c",
        "VADD k VALUES 2 1 1 c BIN",
        "VADD k VALUES 2 1 1 c M 17",
        "VADD k VALUES 2 1 1 c EF 0",
        "VADD k VALUES 2 1 1 c OTHER",
        "VADD k REDUCE 2 VALUES 2 1 1 c",
        "VADD f VALUES 3 1 1 1 c NOQUANT M 4",
        "VADD f REDUCE 1 VALUES 2 1 1 c NOQUANT M 4",
        "VADD new REDUCE 4294967295 VALUES 2 1 1 c",
        "VADD s VALUES 2 1 1 c",
    ] {
        assert!(bench().try_apply(line).is_err(), "{line}");
    }
}

/// Source: redis 8.4 modules/vector-sets/vset.c; no server of this version was asked.
#[test]
fn elements_are_found_by_their_names() {
    let bench = Bench::new(Dialect::redis(8, 4, 0));
    for name in ["b", "a", "ab", "c", "B", "\u{e9}"] {
        bench.apply(&format!("VADD k VALUES 2 1 2 {name}"));
    }
    bench.apply("SET s v");
    let (start, end) = (
        "-ERR invalid start range format",
        "-ERR invalid end range format",
    );
    let places = "-ERR '-' can only be used as first argument, '+' only as second";
    for (line, reply) in [
        ("VRANGE k - +", "*6 $1 B $1 a $2 ab $1 b $1 c $2 \u{e9}"),
        ("VRANGE k - + 2", "*2 $1 B $1 a"),
        ("VRANGE k - + 0", "*0"),
        ("VRANGE k - + -7", "*6 $1 B $1 a $2 ab $1 b $1 c $2 \u{e9}"),
        ("VRANGE k [a [b", "*3 $1 a $2 ab $1 b"),
        ("VRANGE k (a (b", "*1 $2 ab"),
        ("VRANGE k (a +", "*4 $2 ab $1 b $1 c $2 \u{e9}"),
        ("VRANGE k [c [a", "*0"),
        ("VRANGE none - +", "*0"),
        ("VRANGE k a +", start),
        ("VRANGE k [ +", start),
        ("VRANGE k - (", end),
        ("VRANGE k + +", places),
        ("VRANGE k - -", places),
        ("VRANGE k - + x", "-ERR invalid COUNT value"),
        ("VRANGE k x x x", "-ERR invalid COUNT value"),
        (
            "VRANGE k - + 1 2",
            "-ERR wrong number of arguments for 'VRANGE' command",
        ),
    ] {
        assert_eq!(bench.read(line), reply, "{line}");
    }
    assert!(bench.read("VRANGE s - +").starts_with("-WRONGTYPE"));
}

/// The replies of a real server, version 8.2.3.
#[test]
fn similar_elements_come_with_their_attributes() {
    let bench = Bench::new(Dialect::redis(8, 2, 3));
    bench.apply("VADD k VALUES 2 1 0 a NOQUANT SETATTR {}\nVADD k VALUES 2 -1 0 b NOQUANT");
    for (line, flat, map) in [
        (
            "WITHATTRIBS",
            "*4 $1 a $2 {} $1 b $-1",
            "%2 $1 a $2 {} $1 b _",
        ),
        (
            "WITHSCORES WITHATTRIBS",
            "*6 $1 a $1 1 $2 {} $1 b $1 0 $-1",
            "%2 $1 a *2 ,1 $2 {} $1 b *2 ,0 _",
        ),
    ] {
        let line = format!("VSIM k VALUES 2 1 0 {line}");
        assert_eq!(bench.read(&line), flat, "{line}");
        assert_eq!(bench.read3(&line), map, "{line}");
    }
    let older = Bench::new(Dialect::redis(8, 0, 6));
    older.apply("VADD k VALUES 2 1 0 a");
    assert_eq!(
        older.read("VSIM k VALUES 2 1 0 WITHATTRIBS"),
        "-ERR syntax error in VSIM command"
    );
}

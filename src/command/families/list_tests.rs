use crate::command::testing::Bench;
use crate::dialect::Dialect;

fn bench() -> Bench {
    let bench = Bench::new(Dialect::redis(8, 0, 0));
    bench.apply("RPUSH l a b c a 5");
    bench.apply("SET text x");
    bench
}

#[test]
fn ranges_and_indexes_count_from_either_end() {
    let bench = bench();
    for (line, reply) in [
        ("LRANGE l 1 2", "*2 $1 b $1 c"),
        ("LRANGE l -2 -1", "*2 $1 a $1 5"),
        ("LRANGE l -100 0", "*1 $1 a"),
        ("LRANGE l 3 1", "*0"),
        ("LRANGE none 0 -1", "*0"),
        ("LINDEX l -1", "$1 5"),
        ("LINDEX l -5", "$1 a"),
        ("LINDEX l -6", "$-1"),
        ("LINDEX l 5", "$-1"),
        ("LINDEX l -9223372036854775808", "$-1"),
        ("LLEN l", ":5"),
        ("LLEN none", ":0"),
    ] {
        assert_eq!(bench.read(line), reply, "{line}");
    }
}

#[test]
fn positions_are_found_from_either_end() {
    let bench = bench();
    for (line, reply) in [
        ("LPOS l a", ":0"),
        ("LPOS l a RANK 2", ":3"),
        ("LPOS l a RANK -1", ":3"),
        ("LPOS l a RANK -1 COUNT 0", "*2 :3 :0"),
        ("LPOS l a COUNT 1", "*1 :0"),
        ("LPOS l a COUNT 0 MAXLEN 3", "*1 :0"),
        ("LPOS l 5", ":4"),
        ("LPOS l zz", "$-1"),
        ("LPOS none a COUNT 1", "*0"),
        ("LPOS l a COUNT -1", "-ERR COUNT can't be negative"),
        ("LPOS l a RANK", "-ERR syntax error"),
    ] {
        assert_eq!(bench.read(line), reply, "{line}");
    }
    assert_eq!(bench.read3("LPOS l zz"), "_");
}

#[test]
fn arguments_and_types_are_checked_in_the_order_of_redis() {
    let bench = bench();
    let wrong_type = "-WRONGTYPE Operation against a key holding the wrong kind of value";
    let no_integer = "-ERR value is not an integer or out of range";
    for (line, reply) in [
        ("LRANGE text x 1", no_integer),
        ("LRANGE text 0 1", wrong_type),
        ("LINDEX text x", wrong_type),
        ("LINDEX none x", "$-1"),
        ("LINDEX l x", no_integer),
        (
            "LLEN l l",
            "-ERR wrong number of arguments for 'llen' command",
        ),
    ] {
        assert_eq!(bench.read(line), reply, "{line}");
    }
}

#[test]
fn pushes_and_pops_work_at_either_end_and_an_emptied_list_is_gone() {
    let bench = bench();
    bench.apply("LPUSH l x y\nRPUSHX l z\nLPUSHX none a\nLPOP l\nRPOP l 2");
    assert_eq!(bench.read("LRANGE l 0 -1"), "*5 $1 x $1 a $1 b $1 c $1 a");
    bench.apply("LPOP l 0\nLPOP l 99");
    assert_eq!(bench.read("EXISTS l none"), ":0");
}

#[test]
fn edits_in_the_middle() {
    let bench = bench();
    bench.apply(
        "LSET l 1 B\nLINSERT l BEFORE c x\nLINSERT l after 5 6\nLINSERT l after zz y\nLREM l -1 a",
    );
    assert_eq!(
        bench.read("LRANGE l 0 -1"),
        "*6 $1 a $1 B $1 x $1 c $1 5 $1 6"
    );
    bench.apply("LTRIM l 1 -2");
    assert_eq!(bench.read("LRANGE l 0 -1"), "*4 $1 B $1 x $1 c $1 5");
    bench.apply("LTRIM l 5 9");
    assert_eq!(bench.read("EXISTS l"), ":0");
}

#[test]
fn elements_move_between_lists_and_within_one() {
    let bench = bench();
    bench.apply("RPOPLPUSH l m\nLMOVE l m LEFT RIGHT\nLMOVE l l LEFT RIGHT");
    assert_eq!(bench.read("LRANGE l 0 -1"), "*3 $1 c $1 a $1 b");
    assert_eq!(bench.read("LRANGE m 0 -1"), "*2 $1 5 $1 a");
    bench.apply("LMOVE m l RIGHT LEFT\nRPOPLPUSH m l\nRPOPLPUSH m l");
    assert_eq!(bench.read("EXISTS m"), ":0");
    assert_eq!(bench.read("LRANGE l 0 1"), "*2 $1 5 $1 a");
}

#[test]
fn a_list_is_a_listpack_again_only_below_half_of_what_a_node_holds() {
    let bench = Bench::new(Dialect::redis(8, 0, 0));
    let word = "x".repeat(1000);
    for _ in 0..9 {
        bench.apply(&format!("RPUSH l {word}"));
    }
    assert_eq!(bench.read("OBJECT ENCODING l"), "$9 quicklist");
    bench.apply("RPOP l 4");
    assert_eq!(bench.read("OBJECT ENCODING l"), "$9 quicklist");
    bench.apply("RPOP l");
    assert_eq!(bench.read("OBJECT ENCODING l"), "$8 listpack");
    let old = Bench::new(Dialect::redis(7, 0, 15));
    old.apply("RPUSH l a");
    assert_eq!(old.read("OBJECT ENCODING l"), "$9 quicklist");
}

/// The primary sends only the commands that found an element, so the list that received the element exists.
#[test]
fn where_an_unknown_list_gives_its_element_to_a_list_exists() {
    let bench = bench();
    bench.try_apply("PFADD l x").unwrap_err();
    bench.try_apply("RPOPLPUSH l l").unwrap_err();
    assert!(bench.read("LLEN l").starts_with("-TAINTED"));
    assert!(bench.read("DBSIZE").starts_with(':'));
    bench.try_apply("LMOVE l m LEFT LEFT").unwrap_err();
    assert!(bench.read("DBSIZE").starts_with("-TAINTED"));
}

#[test]
fn what_cannot_be_applied_taints_its_keys() {
    for line in [
        "BLPOP l m 0",
        "BLMPOP 0 2 l m LEFT",
        "LMPOP 2 l m LEFT",
        "LSET l 99 x",
        "LPUSH text x",
    ] {
        let bench = bench();
        bench.try_apply(line).unwrap_err();
        let key = if line.ends_with("text x") {
            "text"
        } else {
            "l"
        };
        assert!(
            bench.read(&format!("TYPE {key}")).starts_with("-TAINTED"),
            "{line}"
        );
        assert!(!bench.read("LRANGE other 0 -1").starts_with('-'), "{line}");
    }
}

#[test]
fn the_lowest_rank_finds_every_match_where_it_is_taken() {
    let bench = Bench::new(Dialect::redis(7, 0, 0));
    bench.apply("RPUSH l a b c a 5");
    for (line, reply) in [
        ("LPOS l a RANK -9223372036854775808 COUNT 1", "*2 :3 :0"),
        ("LPOS l a RANK -9223372036854775808", ":3"),
    ] {
        assert_eq!(bench.read(line), reply, "{line}");
    }
}

/// Source: redis 8.10 tests/unit/type/list-4.tcl; no server of this version was asked.
#[test]
fn several_elements_move_in_either_order() {
    for (line, left, arrived) in [
        (
            "LMOVEM l d LEFT RIGHT",
            "*5 $1 2 $1 3 $1 4 $1 5 $1 6",
            "*3 $1 x $1 y $1 1",
        ),
        (
            "LMOVEM l d LEFT LEFT COUNT 3 OBO",
            "*3 $1 4 $1 5 $1 6",
            "*5 $1 3 $1 2 $1 1 $1 x $1 y",
        ),
        (
            "LMOVEM l d LEFT LEFT COUNT 3 BULK",
            "*3 $1 4 $1 5 $1 6",
            "*5 $1 1 $1 2 $1 3 $1 x $1 y",
        ),
        (
            "LMOVEM l d RIGHT RIGHT COUNT 3 obo",
            "*3 $1 1 $1 2 $1 3",
            "*5 $1 x $1 y $1 6 $1 5 $1 4",
        ),
        (
            "LMOVEM l d RIGHT RIGHT COUNT 3 bulk",
            "*3 $1 1 $1 2 $1 3",
            "*5 $1 x $1 y $1 4 $1 5 $1 6",
        ),
        (
            "LMOVEM l d RIGHT LEFT EXACTLY 2 BULK",
            "*4 $1 1 $1 2 $1 3 $1 4",
            "*4 $1 5 $1 6 $1 x $1 y",
        ),
        (
            "LMOVEM l d RIGHT LEFT EXACTLY 2 OBO",
            "*4 $1 1 $1 2 $1 3 $1 4",
            "*4 $1 5 $1 6 $1 x $1 y",
        ),
        (
            "LMOVEM l d LEFT RIGHT COUNT 100 BULK",
            "*0",
            "*8 $1 x $1 y $1 1 $1 2 $1 3 $1 4 $1 5 $1 6",
        ),
        (
            "LMOVEM l l LEFT RIGHT COUNT 2 BULK",
            "*6 $1 3 $1 4 $1 5 $1 6 $1 1 $1 2",
            "*2 $1 x $1 y",
        ),
        (
            "LMOVEM l l RIGHT LEFT COUNT 2 OBO",
            "*6 $1 5 $1 6 $1 1 $1 2 $1 3 $1 4",
            "*2 $1 x $1 y",
        ),
        (
            "LMOVEM l l LEFT LEFT COUNT 2 BULK",
            "*6 $1 1 $1 2 $1 3 $1 4 $1 5 $1 6",
            "*2 $1 x $1 y",
        ),
    ] {
        let bench = Bench::new(Dialect::redis(8, 10, 0));
        bench.apply("RPUSH l 1 2 3 4 5 6\nRPUSH d x y");
        bench.apply(line);
        assert_eq!(bench.read("LRANGE l 0 -1"), left, "{line}");
        assert_eq!(bench.read("LRANGE d 0 -1"), arrived, "{line}");
        assert_eq!(
            bench.read("EXISTS l"),
            if left == "*0" { ":0" } else { ":1" }
        );
    }
}

#[test]
fn a_move_of_several_elements_that_no_primary_sends_taints_both_lists() {
    for line in [
        "LMOVEM l d LEFT LEFT EXACTLY 7 OBO",
        "LMOVEM l d LEFT LEFT COUNT 0 OBO",
        "LMOVEM l d LEFT LEFT COUNT -1 OBO",
        "LMOVEM l d LEFT LEFT COUNT 2",
        "LMOVEM l d LEFT LEFT COUNT 2 EVERY",
        "LMOVEM l d LEFT LEFT MANY 2 OBO",
        "LMOVEM l d UP LEFT COUNT 2 OBO",
        "LMOVEM l l LEFT LEFT COUNT 2 OBO",
        "BLMOVEM l d LEFT LEFT 0",
    ] {
        let bench = Bench::new(Dialect::redis(8, 10, 0));
        bench.apply("RPUSH l 1 2 3 4 5 6\nRPUSH d x y\nRPUSH other x");
        bench.try_apply(line).unwrap_err();
        assert!(bench.read("LLEN l").starts_with("-TAINTED"), "{line}");
        assert_eq!(bench.read("LLEN other"), ":1");
    }
    // A list whose elements are in doubt still has a known length.
    let bench = Bench::new(Dialect::redis(8, 10, 0));
    bench.apply("RPUSH l 1 2 3 4 5 6\nLMOVEM none d LEFT LEFT COUNT 2 OBO");
    assert_eq!(bench.read("EXISTS d"), ":0");
}

use crate::command::testing::Bench;
use crate::dialect::Dialect;
use std::collections::BTreeSet;

fn bench() -> Bench {
    let bench = Bench::new(Dialect::redis(8, 0, 0));
    bench.apply("SADD s a b c\nSADD t b c d\nSADD n 3 1 2\nSET text x");
    bench
}

/// A reply's head, and its elements in sorted order.
fn sorted(reply: &str) -> (String, BTreeSet<String>) {
    let mut words = reply.split(' ').map(str::to_owned);
    (words.next().unwrap(), words.skip(1).step_by(2).collect())
}

#[test]
fn members_come_in_order_of_arrival_or_of_number() {
    let bench = bench();
    for (line, reply) in [
        ("SMEMBERS s", "*3 $1 a $1 b $1 c"),
        ("SMEMBERS n", "*3 $1 1 $1 2 $1 3"),
        ("SMEMBERS none", "*0"),
        ("SCARD s", ":3"),
        ("SCARD none", ":0"),
        ("SISMEMBER s b", ":1"),
        ("SISMEMBER n 03", ":0"),
        ("SMISMEMBER n 3 4", "*2 :1 :0"),
        ("SMISMEMBER none 3 4", "*2 :0 :0"),
        ("SSCAN s 0", "*2 $1 0 *3 $1 a $1 b $1 c"),
        ("SSCAN n 0 MATCH [12]", "*2 $1 0 *2 $1 1 $1 2"),
        ("SSCAN none 0 COUNT 0", "*2 $1 0 *0"),
        ("SSCAN s 0 COUNT 0", "-ERR syntax error"),
        ("SSCAN s x", "-ERR invalid cursor"),
    ] {
        assert_eq!(bench.read(line), reply, "{line}");
    }
    assert_eq!(bench.read3("SMEMBERS s"), "~3 $1 a $1 b $1 c");
}

#[test]
fn sets_intersect_unite_and_differ() {
    let bench = bench();
    let set = |words: &str| words.split(' ').map(str::to_owned).collect::<BTreeSet<_>>();
    assert_eq!(bench.read("SINTER s t"), "*2 $1 b $1 c");
    assert_eq!(bench.read3("SINTER s none"), "~0");
    assert_eq!(
        sorted(&bench.read("SUNION s t none")),
        ("*4".to_owned(), set("a b c d"))
    );
    assert_eq!(bench.read("SDIFF s t"), "*1 $1 a");
    assert_eq!(bench.read("SDIFF none t"), "*0");
    assert_eq!(bench.read("SDIFF s s"), "*0");
    assert_eq!(bench.read("SINTERCARD 2 s t"), ":2");
    assert_eq!(bench.read("SINTERCARD 2 s t LIMIT 1"), ":1");
    assert_eq!(bench.read("SINTERCARD 2 s t LIMIT 0"), ":2");
    for line in [
        "SINTER none text",
        "SUNION none text",
        "SDIFF none text",
        "SINTERCARD 2 none text",
    ] {
        assert!(bench.read(line).starts_with("-WRONGTYPE"), "{line}");
    }
}

#[test]
fn results_are_stored_in_place_of_anything() {
    let bench = bench();
    bench.apply("SUNIONSTORE text s n\nSINTERSTORE s s t\nSDIFFSTORE t t none\nSDIFFSTORE n n n");
    assert_eq!(bench.read("SCARD text"), ":6");
    assert_eq!(bench.read("SMEMBERS s"), "*2 $1 b $1 c");
    assert_eq!(bench.read("SCARD t"), ":3");
    assert_eq!(bench.read("EXISTS n"), ":0");
    bench.apply("SADD mixed 1 2 a\nSINTERSTORE ints mixed text");
    assert_eq!(bench.read("OBJECT ENCODING ints"), "$8 listpack");
    bench.apply("SREM mixed a\nSINTERSTORE ints mixed text");
    assert_eq!(bench.read("OBJECT ENCODING mixed"), "$8 listpack");
    assert_eq!(bench.read("OBJECT ENCODING ints"), "$6 intset");
}

#[test]
fn members_move_and_an_emptied_set_is_gone() {
    let bench = bench();
    bench.apply("SMOVE s t a\nSMOVE s t zz\nSMOVE s new b\nSMOVE s s c\nSREM s c d");
    assert_eq!(bench.read("EXISTS s"), ":0");
    assert_eq!(bench.read("SMEMBERS t"), "*4 $1 b $1 c $1 d $1 a");
    assert_eq!(bench.read("SMEMBERS new"), "*1 $1 b");
}

#[test]
fn small_sets_of_strings_are_packed_only_where_the_upstream_packs_them() {
    let old = Bench::new(Dialect::redis(7, 0, 15));
    old.apply("SADD s 1 2\nSADD t 1 a");
    assert_eq!(old.read("OBJECT ENCODING s"), "$6 intset");
    assert_eq!(old.read("OBJECT ENCODING t"), "$9 hashtable");
    assert_eq!(bench().read("OBJECT ENCODING s"), "$8 listpack");
}

#[test]
fn random_members_are_members_and_differ_unless_asked_otherwise() {
    let bench = bench();
    for count in 0..5 {
        let (head, members) = sorted(&bench.read(&format!("SRANDMEMBER s {count}")));
        assert_eq!(head, format!("*{}", count.min(3)));
        assert_eq!(members.len(), count.min(3));
    }
    let (head, members) = sorted(&bench.read("SRANDMEMBER s -50"));
    assert_eq!((head.as_str(), members.len()), ("*50", 3));
    for (line, reply) in [
        ("SRANDMEMBER none", "$-1"),
        ("SRANDMEMBER none 3", "*0"),
        ("SRANDMEMBER s 1 2", "-ERR syntax error"),
        (
            "SRANDMEMBER s x",
            "-ERR value is not an integer or out of range",
        ),
    ] {
        assert_eq!(bench.read(line), reply);
    }
    let old = Bench::new(Dialect::redis(6, 0, 16));
    assert_eq!(old.read3("SRANDMEMBER none 1"), "~0");
}

#[test]
fn a_hostile_count_of_random_members_ends_at_the_limit_of_the_reply() {
    // The bench's replies end at 1 MiB; without a limit, this would run for ages.
    bench().read("SRANDMEMBER s -9223372036854775807");
}

#[test]
fn a_random_removal_taints() {
    let bench = bench();
    bench.try_apply("SPOP s").unwrap_err();
    assert!(bench.read("SCARD s").starts_with("-TAINTED"));
}

#[test]
fn memory_returns_to_where_it_was_when_collections_go() {
    let bench = Bench::new(Dialect::redis(8, 0, 0));
    let memory = || bench.spaces.db(0).unwrap().memory_bytes();
    bench.apply("SADD s a\nRPUSH l a\nHSET h f v\nDEL s l h");
    let before = memory();
    for number in 0..700 {
        let word = "w".repeat(number % 90 + 1);
        bench.apply(&format!(
            "SADD s {word}{number}\nRPUSH l {word}\nLPUSH l {number}"
        ));
        bench.apply(&format!("HSET h {number} {word}\nHSET h {word} {number}"));
        bench.apply(&format!(
            "LINSERT l BEFORE {word} x\nLREM l 1 {number}\nSREM s {word}0"
        ));
    }
    assert!(memory() > before + 100_000);
    bench.apply("DEL s l h");
    assert_eq!(memory(), before);
}

#[test]
fn old_versions_take_more_cursors() {
    let with = |dialect, line: &str| {
        let bench = Bench::new(dialect);
        bench.apply("SADD s 1");
        bench.read(line)
    };
    let (all, refused) = ("*2 $1 0 *1 $1 1", "-ERR invalid cursor");
    for (line, old, new) in [
        ("SSCAN s ", all, refused),
        ("SSCAN s -1", all, refused),
        ("SSCAN s 0", all, all),
        ("SSCAN s 18446744073709551616", refused, refused),
    ] {
        assert_eq!(with(Dialect::redis(7, 0, 0), line), old, "{line}");
        assert_eq!(with(Dialect::valkey(8, 1, 0), line), new, "{line}");
    }
}

/// Source: redis 8.10 t_set.c; no server of this version was asked.
#[test]
fn members_of_unions_and_differences_are_counted() {
    let bench = Bench::new(Dialect::redis(8, 10, 0));
    bench.apply("SADD s a b c\nSADD t c d 5\nSADD n 5 6 7\nSET text x");
    let negative = "-ERR LIMIT can't be negative";
    for (line, reply) in [
        ("SUNIONCARD 1 s", ":3"),
        ("SUNIONCARD 3 s t n", ":7"),
        ("SUNIONCARD 2 s s", ":3"),
        ("SUNIONCARD 2 none s", ":3"),
        ("SUNIONCARD 1 none", ":0"),
        ("SUNIONCARD 3 s t n LIMIT 4", ":4"),
        ("SUNIONCARD 3 s t n LIMIT 0", ":7"),
        ("SUNIONCARD 3 s t n APPROX", ":7"),
        ("SUNIONCARD 3 s t n approx limit 2", ":2"),
        ("SUNIONCARD 3 s t n LIMIT 2 APPROX", ":2"),
        ("SUNIONCARD 1 none APPROX", ":0"),
        ("SDIFFCARD 1 s", ":3"),
        ("SDIFFCARD 2 s t", ":2"),
        ("SDIFFCARD 2 s s", ":0"),
        ("SDIFFCARD 3 n none t", ":2"),
        ("SDIFFCARD 2 none s", ":0"),
        ("SDIFFCARD 2 s t LIMIT 1", ":1"),
        ("SUNIONCARD 0 s", "-ERR numkeys should be greater than 0"),
        ("SDIFFCARD x s", "-ERR numkeys should be greater than 0"),
        (
            "SUNIONCARD 2 s",
            "-ERR Number of keys can't be greater than number of args",
        ),
        ("SUNIONCARD 1 s LIMIT -1", negative),
        ("SUNIONCARD 1 s LIMIT APPROX", negative),
        ("SDIFFCARD 1 s LIMIT x", negative),
        ("SUNIONCARD 1 s LIMIT", "-ERR syntax error"),
        ("SDIFFCARD 1 s APPROX", "-ERR syntax error"),
        ("SUNIONCARD 1 text EVERY", "-ERR syntax error"),
    ] {
        assert_eq!(bench.read(line), reply, "{line}");
    }
    for line in [
        "SUNIONCARD 2 none text",
        "SUNIONCARD 2 s text APPROX",
        "SDIFFCARD 2 none text",
    ] {
        assert!(bench.read(line).starts_with("-WRONGTYPE"), "{line}");
    }
}

#[test]
fn an_estimate_is_that_of_a_hyperloglog_with_the_same_members() {
    let bench = Bench::new(Dialect::redis(8, 10, 0));
    let members = |from: usize| {
        (from..from + 700)
            .map(|n| format!(" {n} m{n}"))
            .collect::<String>()
    };
    bench.apply(&format!("SADD s{}\nSADD t{}", members(0), members(500)));
    bench.apply(&format!("PFADD h{}\nPFADD h{}", members(0), members(500)));
    let estimate = bench.read("PFCOUNT h");
    assert_ne!(estimate, bench.read("SUNIONCARD 2 s t"));
    assert_eq!(bench.read("SUNIONCARD 2 s t APPROX"), estimate);
    assert_eq!(bench.read("SUNIONCARD 2 s t APPROX LIMIT 900"), ":900");
    assert_eq!(bench.read("SUNIONCARD 2 s t APPROX LIMIT 900000"), estimate);
}

use crate::command::testing::Bench;
use crate::dialect::Dialect;

/// A command, and a real server's reply with each line end written as a blank.
type Told = (&'static str, &'static str);

const WRITES: &str = "\
ZADD z 1 a 2 b 2.5 c 1e20 d -inf e\n\
ZADD lex 0 a 0 b 0 c 0 d\n\
ZADD other 10 b 20 c 30 x\n\
SADD set a b\n\
SET text x\n\
ZADD gone 1 a 2 b\n\
ZREM gone a b\n\
ZADD flags 5 m\n\
ZADD flags NX 9 m 1 n\n\
ZADD flags XX 6 m 7 absent\n\
ZADD flags GT CH 3 m 8 n\n\
ZADD flags LT 4 m\n\
ZADD flags INCR 0.1 m\n\
ZINCRBY flags -2.5 k\n\
ZADD pops 1 a 2 b 3 c 4 d 5 e\n\
ZPOPMIN pops\n\
ZPOPMAX pops 2\n\
ZADD ranks 1 a 2 b 3 c 4 d 5 e 6 f\n\
ZREMRANGEBYRANK ranks 0 0\n\
ZREMRANGEBYSCORE ranks (2 3\n\
ZREMRANGEBYLEX lex [d +\n\
ZREMRANGEBYRANK ranks -1 -1\n\
ZUNIONSTORE union 2 z other WEIGHTS 2 1 AGGREGATE MAX\n\
ZINTERSTORE inter 3 z other set\n\
ZDIFFSTORE diff 2 z other\n\
ZRANGESTORE range z -inf +inf BYSCORE REV LIMIT 1 2\n\
ZINTERSTORE union2 2 z none";

const REDIS_8: &[Told] = &[
    (
        "ZRANGE flags 0 -1 WITHSCORES",
        "*6 $1 k $4 -2.5 $1 m $3 4.1 $1 n $1 8",
    ),
    ("ZRANGE pops 0 -1", "*2 $1 b $1 c"),
    ("ZRANGE ranks 0 -1", "*3 $1 b $1 d $1 e"),
    ("ZRANGE lex 0 -1", "*3 $1 a $1 b $1 c"),
    (
        "ZRANGE union 0 -1 WITHSCORES",
        "*12 $1 e $4 -inf $1 a $1 2 $1 b $2 10 $1 c $2 20 $1 x $2 30 $1 d $5 2e+20",
    ),
    ("ZRANGE inter 0 -1 WITHSCORES", "*2 $1 b $2 13"),
    (
        "ZRANGE diff 0 -1 WITHSCORES",
        "*6 $1 e $4 -inf $1 a $1 1 $1 d $5 1e+20",
    ),
    ("ZRANGE range 0 -1 WITHSCORES", "*0"),
    ("ZCARD gone", ":0"),
    ("ZCARD z", ":5"),
    ("ZSCORE z c", "$3 2.5"),
    ("ZSCORE z d", "$5 1e+20"),
    ("ZSCORE none c", "$-1"),
    (
        "ZSCORE text c",
        "-WRONGTYPE Operation against a key holding the wrong kind of value",
    ),
    ("ZMSCORE z a zz e", "*3 $1 1 $-1 $4 -inf"),
    ("ZRANK z a", ":1"),
    ("ZREVRANK z a", ":3"),
    ("ZRANK z zz", "$-1"),
    ("ZRANK z a WITHSCORE", "*2 :1 $1 1"),
    ("ZRANK z zz WITHSCORE", "*-1"),
    ("ZRANK z a NONSENSE", "-ERR syntax error"),
    ("ZREVRANGE z 0 1", "*2 $1 d $1 c"),
    ("ZRANGE z 1 -2", "*3 $1 a $1 b $1 c"),
    ("ZRANGE z 5 9", "*0"),
    (
        "ZRANGE z 0 -1 REV WITHSCORES",
        "*10 $1 d $5 1e+20 $1 c $3 2.5 $1 b $1 2 $1 a $1 1 $1 e $4 -inf",
    ),
    (
        "ZRANGE z 0 -1 LIMIT 0 1",
        "-ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
    ),
    ("ZRANGE z (1 +inf BYSCORE LIMIT 1 1", "*1 $1 c"),
    ("ZRANGE lex [a (c BYLEX", "*2 $1 a $1 b"),
    ("ZRANGE lex [c - BYLEX REV", "*3 $1 c $1 b $1 a"),
    (
        "ZRANGE lex - + BYLEX WITHSCORES",
        "-ERR syntax error, WITHSCORES not supported in combination with BYLEX",
    ),
    (
        "ZRANGE lex a + BYLEX",
        "-ERR min or max not valid string range item",
    ),
    (
        "ZRANGE z one 2",
        "-ERR value is not an integer or out of range",
    ),
    (
        "ZRANGEBYSCORE z 1 (2.5 WITHSCORES",
        "*4 $1 a $1 1 $1 b $1 2",
    ),
    ("ZRANGEBYSCORE z nan 2", "-ERR min or max is not a float"),
    ("ZRANGEBYSCORE z 0 9 LIMIT 1 -1", "*2 $1 b $1 c"),
    ("ZREVRANGEBYSCORE z +inf 2 LIMIT 0 2", "*2 $1 d $1 c"),
    ("ZRANGEBYLEX lex - +", "*3 $1 a $1 b $1 c"),
    ("ZREVRANGEBYLEX lex + (a", "*2 $1 c $1 b"),
    ("ZCOUNT z -inf 2", ":3"),
    ("ZLEXCOUNT lex - (b", ":1"),
    ("ZUNION 2 z set", "*5 $1 e $1 a $1 c $1 b $1 d"),
    (
        "ZUNION 2 set other WITHSCORES AGGREGATE MIN",
        "*8 $1 a $1 1 $1 b $1 1 $1 c $2 20 $1 x $2 30",
    ),
    (
        "ZINTER 2 z other WITHSCORES WEIGHTS 1 0.5",
        "*4 $1 b $1 7 $1 c $4 12.5",
    ),
    (
        "ZDIFF 2 z set WITHSCORES",
        "*6 $1 e $4 -inf $1 c $3 2.5 $1 d $5 1e+20",
    ),
    (
        "ZUNION 0 z",
        "-ERR at least 1 input key is needed for 'zunion' command",
    ),
    ("ZUNION 3 z other", "-ERR syntax error"),
    (
        "ZUNION 1 text",
        "-WRONGTYPE Operation against a key holding the wrong kind of value",
    ),
    ("ZINTER 1 z WEIGHTS x", "-ERR weight value is not a float"),
    ("ZINTERCARD 2 z other", ":2"),
    ("ZINTERCARD 2 z other LIMIT 1", ":1"),
    (
        "ZINTERCARD 2 z other LIMIT -1",
        "-ERR LIMIT can't be negative",
    ),
    (
        "ZSCAN z 0",
        "*2 $1 0 *10 $1 e $4 -inf $1 a $1 1 $1 b $1 2 $1 c $3 2.5 $1 d $5 1e+20",
    ),
    ("ZSCAN z 0 MATCH [ab]", "*2 $1 0 *4 $1 a $1 1 $1 b $1 2"),
    ("ZSCAN none 0 NONSENSE", "*2 $1 0 *0"),
    ("ZSCAN z nought", "-ERR invalid cursor"),
    ("ZRANDMEMBER none", "$-1"),
    ("ZRANDMEMBER none 3", "*0"),
    ("ZRANDMEMBER z 1 NONSENSE", "-ERR syntax error"),
    (
        "ZRANDMEMBER z -9223372036854775808",
        "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
    ),
    (
        "ZRANDMEMBER z 4611686018427387904 WITHSCORES",
        "-ERR value is out of range",
    ),
    (
        "ZSCORE z",
        "-ERR wrong number of arguments for 'zscore' command",
    ),
];

const REDIS_8_RESP3: &[Told] = &[
    (
        "ZRANGE lex 0 -1 WITHSCORES",
        "*3 *2 $1 a ,0 *2 $1 b ,0 *2 $1 c ,0",
    ),
    ("ZSCORE z c", ",2.5"),
    ("ZSCORE z zz", "_"),
    (
        "ZREVRANGEBYSCORE z 2.5 2 WITHSCORES",
        "*2 *2 $1 c ,2.5 *2 $1 b ,2",
    ),
    ("ZUNION 1 set WITHSCORES", "*2 *2 $1 a ,1 *2 $1 b ,1"),
    ("ZRANK z a WITHSCORE", "*2 :1 ,1"),
    ("ZMSCORE z a zz", "*2 ,1 _"),
    ("ZRANDMEMBER none 2 WITHSCORES", "*0"),
];

const REDIS_7_0: &[Told] = &[
    (
        "ZRANK z a WITHSCORE",
        "-ERR wrong number of arguments for 'zrank' command",
    ),
    ("ZSCORE other x", "$2 30"),
    ("ZSCORE z c", "$3 2.5"),
    (
        "ZSCAN z 0",
        "*2 $1 0 *10 $1 e $4 -inf $1 a $1 1 $1 b $1 2 $1 c $3 2.5 $1 d $5 1e+20",
    ),
    ("ZRANGEBYSCORE z 0x1 0x2", "*2 $1 a $1 b"),
    ("ZRANGEBYSCORE z (0x.8 0x1p3000 LIMIT 0 1", "*1 $1 a"),
    (
        "ZUNION 1 z WEIGHTS 0x1p400000",
        "-ERR weight value is not a float",
    ),
];

fn bench(dialect: Dialect) -> Bench {
    let bench = Bench::new(dialect);
    bench.apply(WRITES);
    bench
}

#[test]
fn replies_are_those_of_a_real_server() {
    let bench = bench(Dialect::redis(8, 0, 0));
    for (line, reply) in REDIS_8 {
        assert_eq!(bench.read(line), *reply, "{line}");
    }
    for (line, reply) in REDIS_8_RESP3 {
        assert_eq!(bench.read3(line), *reply, "{line}");
    }
}

#[test]
fn replies_follow_the_upstreams_version() {
    let bench = bench(Dialect::redis(7, 0, 15));
    for (line, reply) in REDIS_7_0 {
        assert_eq!(bench.read(line), *reply, "{line}");
    }
}

#[test]
fn a_negative_offset_counts_from_the_other_end_in_some_versions() {
    for (dialect, expected) in [
        (Dialect::redis(7, 0, 15), "*0"),
        (Dialect::redis(7, 4, 1), "*1 $2 m2"),
        (Dialect::redis(8, 0, 2), "*1 $2 m2"),
        (Dialect::redis(8, 2, 3), "*0"),
        (Dialect::valkey(9, 1, 2), "*1 $2 m2"),
    ] {
        let bench = Bench::new(dialect);
        let members: Vec<String> = (0..300).map(|at| format!("0 m{at}")).collect();
        bench.apply(&format!("ZADD large {}", members.join(" ")));
        let read = "ZRANGE large - [m2 BYLEX LIMIT -1 1";
        assert_eq!(bench.read(read), expected, "{dialect:?}");
    }
}

#[test]
fn writes_that_make_no_sense_are_refused() {
    let bench = bench(Dialect::redis(8, 0, 0));
    for line in [
        "ZADD z NX XX 1 a",
        "ZADD z GT LT 1 a",
        "ZADD z INCR 1 a 2 b",
        "ZADD z 1",
        "ZADD z one a",
        "ZADD z nan a",
        "ZADD z 1e999 a",
        "ZINCRBY z +inf e",
        "ZADD text 1 a",
        "ZPOPMIN z -1",
        "ZUNIONSTORE d 1 z WITHSCORES",
    ] {
        assert!(bench.try_apply(line).is_err(), "{line}");
        bench.spaces.taints().forget_db(0);
    }
}

#[test]
fn asking_for_members_without_end_comes_to_an_end() {
    let bench = bench(Dialect::redis(8, 0, 0));
    bench.read("ZRANDMEMBER z -9223372036854775807");
}

#[test]
fn many_arguments_make_it_large_beforehand_since_7_2() {
    let line = format!("ZADD many{}", " 1 m".repeat(129));
    let encodings = [Dialect::redis(7, 0, 15), Dialect::redis(7, 2, 0)].map(|dialect| {
        let bench = Bench::new(dialect);
        bench.apply(&line);
        bench.read("OBJECT ENCODING many")
    });
    assert_eq!(encodings, ["$8 listpack", "$8 skiplist"]);
}

#[test]
fn redis_6_0_reads_the_range_before_the_options() {
    let bench = Bench::new(Dialect::redis(6, 0, 16));
    bench.apply("ZADD z 1 a 2 b 3 c");
    for (command, reply) in [
        (
            "ZRANGE z x 1 LIMIT 0 1",
            "-ERR value is not an integer or out of range",
        ),
        ("ZRANGE z 0 1 REV", "-ERR syntax error"),
        ("ZRANGE z 0 1 WITHSCORES WITHSCORES", "-ERR syntax error"),
        ("ZREVRANGE z 0 0 WITHSCORES", "*2 $1 c $1 3"),
        ("ZRANGEBYSCORE z x 1 y", "-ERR min or max is not a float"),
        ("ZRANGEBYSCORE z 1 3 LIMIT 1 1 WITHSCORES", "*2 $1 b $1 2"),
        ("ZRANGEBYLEX z - + WITHSCORES", "-ERR syntax error"),
        ("ZREVRANGEBYLEX z + - LIMIT 0 2", "*2 $1 c $1 b"),
    ] {
        assert_eq!(bench.read(command), reply, "{command}");
    }
}

#[test]
fn scores_and_weights_may_be_in_hexadecimal_before_valkey_9() {
    let of = |dialect: Dialect| {
        let bench = Bench::new(dialect);
        let added = bench.try_apply("ZADD z 0x1.8p+0 a 0x0p0 b").is_ok();
        let increased = bench.try_apply("ZINCRBY z 0x.8 a").is_ok();
        (added && increased).then(|| bench.read("ZUNION 1 z WEIGHTS 0x2 WITHSCORES"))
    };
    let doubled = Some("*4 $1 b $1 0 $1 a $1 4".to_owned());
    assert_eq!(of(Dialect::redis(7, 0, 15)), doubled);
    assert_eq!(of(Dialect::redis(8, 0, 2)), doubled);
    assert_eq!(of(Dialect::valkey(8, 1, 1)), doubled);
    assert_eq!(of(Dialect::valkey(9, 1, 2)), None);
}

/// Which members of different scores a server's skip list finds by name depends on its random levels.
#[test]
fn a_range_by_name_among_different_scores_is_known_for_packed_sets_alone() {
    let bench = Bench::new(Dialect::redis(7, 0, 15));
    let long = "x".repeat(65);
    bench.apply(&format!(
        "ZADD packed 1 a 2 b 3 c\nZADD equal 1 {long} 1 a 1 b\nZADD large 1 {long} 2 a 3 b\nZADD other 1 {long} 2 a 3 b"
    ));
    bench.apply(
        "ZREMRANGEBYLEX packed [b [b\nZREMRANGEBYLEX equal [a [a\nZREMRANGEBYLEX large [a [a",
    );
    bench.apply("ZRANGESTORE p packed - + BYLEX\nZRANGESTORE l other - + BYLEX\nZRANGESTORE s other 1 3 BYSCORE");
    for (key, known) in [
        ("packed", true),
        ("equal", true),
        ("large", false),
        ("other", true),
        ("p", true),
        ("l", false),
        ("s", true),
    ] {
        let reply = bench.read(&format!("ZCARD {key}"));
        assert_eq!(!reply.starts_with("-TAINTED"), known, "{key}: {reply}");
    }
}

/// Source: redis 8.8 t_zset.c, `zuiWeightedScore`; no server of this version was asked.
#[test]
fn sources_that_have_a_member_are_counted_by_their_weights() {
    let bench = Bench::new(Dialect::redis(8, 8, 0));
    bench.apply("ZADD z 10 a 20 b inf c\nZADD y -5 b 7 c\nSADD s c d");
    for (line, reply) in [
        (
            "ZUNION 3 z y s AGGREGATE COUNT WITHSCORES",
            "*8 $1 a $1 1 $1 d $1 1 $1 b $1 2 $1 c $1 3",
        ),
        (
            "ZUNION 2 z y WEIGHTS 2 5 AGGREGATE COUNT WITHSCORES",
            "*6 $1 a $1 2 $1 b $1 7 $1 c $1 7",
        ),
        ("ZINTER 3 z y s AGGREGATE count WITHSCORES", "*2 $1 c $1 3"),
        (
            "ZINTER 2 z y WEIGHTS inf -inf AGGREGATE COUNT WITHSCORES",
            "*4 $1 b $1 0 $1 c $1 0",
        ),
        ("ZUNION 1 z AGGREGATE COUNTS", "-ERR syntax error"),
    ] {
        assert_eq!(bench.read(line), reply, "{line}");
    }
    bench.apply("ZUNIONSTORE u 3 z y s WEIGHTS 1 1 0.5 AGGREGATE COUNT\nZINTERSTORE i 2 z y AGGREGATE COUNT");
    assert_eq!(
        bench.read("ZRANGE u 0 -1 WITHSCORES"),
        "*8 $1 d $3 0.5 $1 a $1 1 $1 b $1 2 $1 c $3 2.5"
    );
    assert_eq!(
        bench.read("ZRANGE i 0 -1 WITHSCORES"),
        "*4 $1 b $1 2 $1 c $1 2"
    );

    let older = Bench::new(Dialect::redis(8, 6, 0));
    older.apply("ZADD z 10 a\nZUNIONSTORE u 1 z AGGREGATE COUNT");
    assert_eq!(
        older.read("ZUNION 1 z AGGREGATE COUNT"),
        "-ERR syntax error"
    );
    assert_eq!(older.read("ZSCORE u a"), "$1 1");
}

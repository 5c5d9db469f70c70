use crate::command::testing::Bench;
use crate::dialect::Dialect;

const WRITES: &str = "\
RPUSH numbers 3 10 -1 3 2.5\n\
RPUSH names b a C ab\n\
SADD set 5 1 3\n\
ZADD zset 3 a 1 b 2 c\n\
MSET w_a 2 w_b 1 w_C 1 w_ab 3 o_a x o_b y\n\
HSET h_a f 1\n\
HSET h_b f 0 g z\n\
SET text x";

const REDIS_7_0: Dialect = Dialect::redis(7, 0, 15);

fn check(dialect: Dialect, told: &[(&str, &str)]) {
    let bench = Bench::new(dialect);
    bench.apply(WRITES);
    for (command, reply) in told {
        assert_eq!(bench.read(command), *reply, "{command}");
    }
}

/// The replies of a redis-server 7.0.
#[test]
fn sorts_by_number_by_text_and_by_other_keys() {
    check(
        REDIS_7_0,
        &[
            ("SORT_RO numbers", "*5 $2 -1 $3 2.5 $1 3 $1 3 $2 10"),
            ("SORT_RO numbers DESC LIMIT 1 2", "*2 $1 3 $1 3"),
            ("SORT_RO numbers ALPHA", "*5 $2 -1 $2 10 $3 2.5 $1 3 $1 3"),
            ("SORT_RO names ALPHA", "*4 $1 C $1 a $2 ab $1 b"),
            (
                "SORT_RO names",
                "-ERR One or more scores can't be converted into double",
            ),
            ("SORT_RO names BY w_*", "*4 $1 C $1 b $1 a $2 ab"),
            ("SORT_RO names BY w_* DESC", "*4 $2 ab $1 a $1 b $1 C"),
            (
                "SORT_RO names BY h_*->f GET # GET o_* GET h_*->g ALPHA",
                "*12 $1 C $-1 $-1 $2 ab $-1 $-1 $1 b $1 y $1 z $1 a $1 x $-1",
            ),
            ("SORT_RO names GET text ALPHA LIMIT 0 1", "*1 $-1"),
            ("SORT_RO set DESC", "*3 $1 5 $1 3 $1 1"),
            ("SORT_RO none BY w_* LIMIT 0 5", "*0"),
        ],
    );
}

#[test]
fn a_constant_weight_leaves_the_order_as_it_is() {
    check(
        REDIS_7_0,
        &[
            ("SORT_RO numbers BY nosort LIMIT 1 2", "*2 $2 10 $2 -1"),
            ("SORT_RO numbers BY nosort DESC LIMIT 0 2", "*2 $3 2.5 $1 3"),
            ("SORT_RO zset BY nosort", "*3 $1 b $1 c $1 a"),
            ("SORT_RO zset BY nosort DESC LIMIT 1 5", "*2 $1 c $1 b"),
            ("SORT_RO names BY nosort BY w_* LIMIT 0 1", "*1 $1 b"),
        ],
    );
}

#[test]
fn refuses_what_redis_refuses() {
    let wrong_type = "-WRONGTYPE Operation against a key holding the wrong kind of value";
    check(
        REDIS_7_0,
        &[
            ("SORT_RO numbers STORE d", "-ERR syntax error"),
            (
                "SORT_RO numbers LIMIT x 1",
                "-ERR value is not an integer or out of range",
            ),
            ("SORT_RO numbers BY", "-ERR syntax error"),
            ("SORT_RO text BY nosort", wrong_type),
            ("SORT_RO h_a", wrong_type),
        ],
    );
}

#[test]
fn versions_read_weights_in_their_own_ways() {
    let sorted = |dialect: Dialect, weight: &str| {
        let bench = Bench::new(dialect);
        bench.apply("RPUSH list x");
        assert!(bench.try_apply(&format!("SET w_x {weight}")).is_ok());
        bench.read("SORT_RO list BY w_*") == "*1 $1 x"
    };
    let (seven, eight, valkey) = (REDIS_7_0, Dialect::redis(8, 0, 2), Dialect::valkey(9, 1, 2));
    for (weight, accepted) in [
        ("0x10", [true, false, false]),
        ("0x1.8p1", [true, false, false]),
        ("0xfp5000", [false, false, false]),
        ("0x1p-3000", [false, false, false]),
        ("1e400", [false, true, false]),
        ("", [true, true, false]),
        ("\t5", [true, false, false]),
        ("5x", [false, false, false]),
        ("nan", [false, false, false]),
        ("-inf", [true, true, true]),
        ("+7", [true, true, true]),
        ("1\0x", [true, true, true]),
    ] {
        let found = [seven, eight, valkey].map(|dialect| sorted(dialect, weight));
        assert_eq!(found, accepted, "{weight:?}");
    }
}

#[test]
fn stores_a_list_and_orders_a_set_that_nothing_sorts() {
    let bench = Bench::new(REDIS_7_0);
    bench.apply(WRITES);
    bench.apply(
        "SORT names BY w_* GET # GET o_* STORE d\n\
         SORT set BY nosort DESC STORE e\n\
         SET f x\n\
         SORT none STORE f\n\
         SORT zset ALPHA STORE g",
    );
    for (command, reply) in [
        ("LRANGE d 0 -1", "*8 $1 C $0  $1 b $1 y $1 a $1 x $2 ab $0"),
        ("LRANGE e 0 -1", "*3 $1 5 $1 3 $1 1"),
        ("EXISTS f", ":0"),
        ("LRANGE g 0 -1", "*3 $1 a $1 b $1 c"),
        ("OBJECT ENCODING zset", "$8 skiplist"),
    ] {
        assert_eq!(bench.read(command), reply, "{command}");
    }
}

/// Members of a sorted set that weigh the same are stored in the order of the primary's hash table.
#[test]
fn an_order_that_only_the_primary_knows_taints_the_destination_alone() {
    let bench = Bench::new(REDIS_7_0);
    bench.apply(WRITES);
    bench.apply("SORT zset BY o_* ALPHA LIMIT 1 2 STORE d\nSORT zset BY none_* STORE e");
    assert!(
        bench.read("LRANGE d 0 -1").starts_with("*2"),
        "{}",
        bench.read("LRANGE d 0 -1")
    );
    bench.apply("SORT zset BY none_* ALPHA STORE d");
    assert!(bench.read("LLEN d").starts_with("-TAINTED"));
    assert_eq!(bench.read("EXISTS zset"), ":1");
    assert_eq!(bench.read("LRANGE e 0 -1"), "*3 $1 a $1 b $1 c");
}

/// It stays known which keys exist, as long as that depends only on lengths.
#[test]
fn a_list_in_an_order_that_only_the_primary_knows_comes_to_its_end_all_the_same() {
    let bench = Bench::new(REDIS_7_0);
    bench.apply(WRITES);
    bench.apply("SORT zset BY none_* ALPHA STORE d\nRPUSHX d x\nLSET d 0 y\nPEXPIREAT d 9000000000000\nPERSIST d");
    let before = bench.read("DBSIZE");
    bench.apply("RENAME d e\nRPOPLPUSH e f\nLTRIM e 0 1\nLPOP e");
    assert!(bench.read("LRANGE f 0 -1").starts_with("-TAINTED"));
    assert!(bench.read("GET d") == "$-1" && bench.read("DBSIZE") != before);
    bench.apply("RPOP e\nLPOP f");
    assert_eq!(bench.read("EXISTS e f"), ":0");
    bench.apply("SORT zset BY none_* ALPHA STORE d");
    assert!(bench.try_apply("LREM d 0 a").is_err());
    assert!(bench.read("DBSIZE").starts_with("-TAINTED"));
}

#[test]
fn a_pattern_that_leads_to_a_tainted_key_is_refused() {
    let bench = Bench::new(REDIS_7_0);
    bench.apply(WRITES);
    assert!(bench.try_apply("PFMERGE w_a other").is_err());
    assert!(bench.read("SORT_RO names BY w_*").starts_with("-TAINTED"));
    assert_eq!(bench.read("SORT_RO names ALPHA LIMIT 0 1"), "*1 $1 C");
    assert!(bench.try_apply("SORT names BY w_* STORE d").is_err());
    assert!(bench.read("EXISTS d").starts_with("-TAINTED"));
}

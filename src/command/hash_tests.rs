use crate::command::testing::Bench;
use crate::dialect::Dialect;

fn bench() -> Bench {
    let bench = Bench::new(Dialect::redis(8, 0, 0));
    bench.apply("HSET h f v g 7\nSET text x");
    bench
}

#[test]
fn fields_are_read_in_order_of_arrival() {
    let bench = bench();
    for (line, reply) in [
        ("HGET h g", "$1 7"),
        ("HGET h zz", "$-1"),
        ("HGET none f", "$-1"),
        ("HMGET h g zz f", "*3 $1 7 $-1 $1 v"),
        ("HMGET none f g", "*2 $-1 $-1"),
        ("HGETALL h", "*4 $1 f $1 v $1 g $1 7"),
        ("HGETALL none", "*0"),
        ("HLEN h", ":2"),
        ("HEXISTS h f", ":1"),
        ("HEXISTS h zz", ":0"),
        ("HKEYS h", "*2 $1 f $1 g"),
        ("HVALS h", "*2 $1 v $1 7"),
        ("HSTRLEN h g", ":1"),
        ("HSTRLEN none g", ":0"),
        ("HSCAN h 0", "*2 $1 0 *4 $1 f $1 v $1 g $1 7"),
        ("HSCAN h 0 NOVALUES MATCH g", "*2 $1 0 *1 $1 g"),
        ("HSCAN none 0 NONSENSE", "*2 $1 0 *0"),
        ("HSCAN h 0 NONSENSE", "-ERR syntax error"),
    ] {
        assert_eq!(bench.read(line), reply, "{line}");
    }
    assert_eq!(bench.read3("HGETALL h"), "%2 $1 f $1 v $1 g $1 7");
    assert_eq!(bench.read3("HMGET h zz"), "*1 _");
    assert!(bench.read("HMGET text f").starts_with("-WRONGTYPE"));
}

#[test]
fn novalues_is_unknown_to_old_servers() {
    let old = Bench::new(Dialect::redis(7, 0, 15));
    old.apply("HSET h f v");
    assert_eq!(old.read("HSCAN h 0 NOVALUES"), "-ERR syntax error");
}

#[test]
fn random_fields_come_with_values_when_asked() {
    let bench = bench();
    bench.apply("HDEL h g");
    for (line, reply) in [
        ("HRANDFIELD h", "$1 f"),
        ("HRANDFIELD h 3", "*1 $1 f"),
        ("HRANDFIELD h -2 WITHVALUES", "*4 $1 f $1 v $1 f $1 v"),
        ("HRANDFIELD none", "$-1"),
        ("HRANDFIELD none 1 WITHVALUES", "*0"),
        ("HRANDFIELD h 1 zz", "-ERR syntax error"),
        (
            "HRANDFIELD h 9223372036854775807 WITHVALUES",
            "-ERR value is out of range",
        ),
        (
            "HRANDFIELD h -9223372036854775808",
            "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        ),
    ] {
        assert_eq!(bench.read(line), reply, "{line}");
    }
    assert_eq!(bench.read3("HRANDFIELD h 1 WITHVALUES"), "*1 *2 $1 f $1 v");
}

#[test]
fn fields_are_set_counted_up_and_removed() {
    let bench = bench();
    bench.apply("HMSET h f w new 1\nHSETNX h f no\nHSETNX h nx yes\nHINCRBY h g -9\nHINCRBY h n 5\nHDEL h new zz");
    assert_eq!(
        bench.read("HGETALL h"),
        "*8 $1 f $1 w $1 g $2 -2 $2 nx $3 yes $1 n $1 5"
    );
    bench.apply("HDEL h f g nx n");
    assert_eq!(bench.read("EXISTS h"), ":0");
}

#[test]
fn hsetex_without_an_expiry_sets_and_hgetdel_removes() {
    let bench = bench();
    bench.apply("HSETEX h KEEPTTL FIELDS 1 f 1.5\nHSETEX h FNX FIELDS 2 g no x no\nHSETEX h FXX FIELDS 1 g yes");
    assert_eq!(bench.read("HGETALL h"), "*4 $1 f $3 1.5 $1 g $3 yes");
    bench.apply("HGETDEL h FIELDS 2 f g");
    assert_eq!(bench.read("EXISTS h"), ":0");
}

#[test]
fn what_cannot_be_applied_taints_the_hash() {
    for line in [
        "HSETEX h PXAT 99999999999999 FIELDS 1 f v",
        "HPEXPIREAT h 99999999999999 FIELDS 1 f",
        "HGETDEL h FIELDS 3 f g",
        "HINCRBYFLOAT h g 1.5",
        "HINCRBY h f 1",
        "HSET h f",
        "HSET h f v g",
    ] {
        let bench = bench();
        bench.try_apply(line).unwrap_err();
        assert!(bench.read("HGETALL h").starts_with("-TAINTED"), "{line}");
    }
}

#[test]
fn a_hash_is_unpacked_where_the_upstream_unpacks_it() {
    let repeated = " f v".repeat(513);
    for (dialect, packed, by_count) in [
        (Dialect::redis(6, 0, 16), "$7 ziplist", "$7 ziplist"),
        (Dialect::redis(7, 0, 15), "$8 listpack", "$8 listpack"),
        (Dialect::valkey(9, 1, 0), "$8 listpack", "$9 hashtable"),
    ] {
        let bench = Bench::new(dialect);
        bench.apply("HSET h f v");
        assert_eq!(bench.read("OBJECT ENCODING h"), packed);
        bench.apply(&format!("HSET h{repeated}"));
        assert_eq!(bench.read("OBJECT ENCODING h"), by_count);
        bench.apply(&format!("HSET h {} v", "f".repeat(65)));
        assert_eq!(bench.read("OBJECT ENCODING h"), "$9 hashtable");
    }
}

#[test]
fn fields_have_no_expiry() {
    let redis = bench();
    let valkey = Bench::new(Dialect::valkey(9, 1, 0));
    valkey.apply("HSET h f v\nSET text x");
    for (line, by_redis, by_valkey) in [
        ("HTTL h FIELDS 2 f zz", "*2 :-1 :-2", "*2 :-1 :-2"),
        ("HPEXPIRETIME none FIELDS 1 f", "*1 :-2", "*1 :-2"),
        (
            "HPTTL h FIELDS 2 f",
            "-ERR The `numfields` parameter must match the number of arguments",
            "-ERR syntax error",
        ),
        (
            "HEXPIRETIME h FIELDS x f",
            "-ERR Number of fields must be a positive integer",
            "-ERR value is not an integer or out of range",
        ),
        (
            "HTTL text FIELDS 2 f",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
            "-ERR syntax error",
        ),
    ] {
        assert_eq!(redis.read(line), by_redis, "{line}");
        assert_eq!(valkey.read(line), by_valkey, "{line}");
    }
}

#[test]
fn an_old_upstream_leaves_a_hash_packed_when_it_counts_up_a_long_field() {
    let field = "f".repeat(65);
    for (dialect, encoding) in [
        (Dialect::redis(6, 0, 16), "$7 ziplist"),
        (Dialect::redis(7, 0, 15), "$9 hashtable"),
    ] {
        let bench = Bench::new(dialect);
        bench.apply(&format!("HINCRBY h {field} 1"));
        assert_eq!(bench.read("OBJECT ENCODING h"), encoding);
    }
}

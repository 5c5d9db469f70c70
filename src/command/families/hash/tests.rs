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
    bench.apply("HSETEX fields 2 f v e u\nHSETEX fields FIELDS 1 e w");
    assert_eq!(bench.read("HGETALL fields"), "*4 $1 f $1 v $1 e $1 w");
}

#[test]
fn what_cannot_be_applied_taints_the_hash() {
    for line in [
        "HSETEX h PXAT x FIELDS 1 f v",
        "HSETEX h PXAT",
        "HSETEX h NONSENSE FIELDS 1 f v",
        "HPEXPIREAT h 99999999999999 FIELDS 2 f",
        "HPEXPIREAT h 99999999999999 NONSENSE FIELDS 1 f",
        "HPEXPIREAT h -5 FIELDS 1 f",
        "HPEXPIREAT h 0 FIELDS 1 f",
        "HSETEX h PXAT -5 FIELDS 1 f v",
        "HPERSIST h FIELDS 2 f",
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
fn valkey_9_0_takes_any_word_for_fields() {
    let old = Bench::new(Dialect::valkey(9, 0, 0));
    let new = Bench::new(Dialect::valkey(9, 1, 0));
    for bench in [&old, &new] {
        bench.apply("HSET h f v g w\nSET text x\nHPEXPIREAT h 4102444800123 FIELDS 1 f");
    }
    for (line, reply) in [
        ("HPEXPIRETIME h any 2 f g", "*2 :4102444800123 :-1"),
        ("HTTL none any 1 f", "*1 :-2"),
        (
            "HTTL h any x f",
            "-ERR value is not an integer or out of range",
        ),
        ("HTTL h any 0 f", "-ERR syntax error"),
        (
            "HTTL text any 1 f",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
    ] {
        assert_eq!(old.read(line), reply, "{line}");
        assert_eq!(new.read(line), "-ERR syntax error", "{line}");
    }
    old.apply("HPERSIST h any 1 f");
    assert_eq!(old.read("HPEXPIRETIME h FIELDS 1 f"), "*1 :-1");
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

const REDIS: Dialect = Dialect::redis(8, 0, 0);
const VALKEY: Dialect = Dialect::valkey(9, 1, 0);

/// A hash with a field that never expires, two that expire in the year 2100, and one that has expired.
fn timed(dialect: Dialect) -> Bench {
    let bench = Bench::new(dialect);
    bench.apply(
        "HSET h good 1 a 2 b 3 gone 4\nHPEXPIREAT h 4102444800123 FIELDS 1 b\n\
        HPEXPIREAT h 4102444800023 FIELDS 1 a\nHPEXPIREAT h 1000 FIELDS 1 gone",
    );
    bench
}

#[test]
fn a_packed_hash_puts_the_field_that_expires_first_in_front() {
    let bench = timed(REDIS);
    assert_eq!(bench.read("OBJECT ENCODING h"), "$10 listpackex");
    assert_eq!(bench.read("HKEYS h"), "*3 $1 a $1 b $4 good");
    bench.apply("HSET h a x new y\nHPEXPIREAT h 4102444800123 FIELDS 1 good");
    assert_eq!(bench.read("HKEYS h"), "*4 $4 good $1 b $1 a $3 new");
    bench.apply("HPERSIST h FIELDS 2 b good\nHDEL h gone");
    assert_eq!(bench.read("OBJECT ENCODING h"), "$10 listpackex");
}

#[test]
fn clients_do_not_see_fields_past_their_time_but_hlen_counts_them() {
    for dialect in [REDIS, VALKEY] {
        let bench = timed(dialect);
        bench.apply("HDEL h a b");
        for (line, reply) in [
            ("HGET h gone", "$-1"),
            ("HMGET h gone good", "*2 $-1 $1 1"),
            ("HGETALL h", "*2 $4 good $1 1"),
            ("HKEYS h", "*1 $4 good"),
            ("HVALS h", "*1 $1 1"),
            ("HEXISTS h gone", ":0"),
            ("HSTRLEN h gone", ":0"),
            ("HSCAN h 0", "*2 $1 0 *2 $4 good $1 1"),
            ("HLEN h", ":2"),
        ] {
            assert_eq!(bench.read(line), reply, "{line}");
        }
        assert_eq!(bench.read3("HGETALL h"), "%1 $4 good $1 1");
        bench.apply("HDEL h good");
        for (line, reply) in [
            ("EXISTS h", ":1"),
            ("TYPE h", "+hash"),
            ("DBSIZE", ":1"),
            ("HGETALL h", "*0"),
            ("HLEN h", ":1"),
        ] {
            assert_eq!(bench.read(line), reply, "{line}");
        }
        bench.apply("HDEL h gone");
        assert_eq!(bench.read("EXISTS h"), ":0");
    }
}

#[test]
fn replicas_of_redis_draw_fields_past_their_time_and_those_of_valkey_do_not() {
    for (dialect, one, three, many) in [
        (REDIS, "$4 gone", "*1 $4 gone", "*2 $4 gone $4 gone"),
        (VALKEY, "$-1", "*0", "*0"),
    ] {
        let bench = timed(dialect);
        bench.apply("HDEL h good a b");
        assert_eq!(bench.read("HRANDFIELD h"), one);
        assert_eq!(bench.read("HRANDFIELD h 3"), three);
        assert_eq!(bench.read("HRANDFIELD h -2"), many);
    }
}

#[test]
fn expiries_are_told_as_each_server_rounds_them() {
    for (dialect, b_seconds, a_seconds) in [
        (REDIS, ":4102444801", ":4102444801"),
        (VALKEY, ":4102444800", ":4102444800"),
    ] {
        let bench = timed(dialect);
        for (line, reply) in [
            (
                "HPEXPIRETIME h FIELDS 4 a b good gone".to_owned(),
                "*4 :4102444800023 :4102444800123 :-1 :-2".to_owned(),
            ),
            (
                "HEXPIRETIME h FIELDS 2 a b".to_owned(),
                format!("*2 {a_seconds} {b_seconds}"),
            ),
            (
                "HTTL h FIELDS 3 good gone none".to_owned(),
                "*3 :-1 :-2 :-2".to_owned(),
            ),
        ] {
            assert_eq!(bench.read(&line), reply, "{line}");
        }
    }
}

#[test]
fn setting_a_field_takes_its_expiry_away_unless_told_to_keep_it() {
    for dialect in [REDIS, VALKEY] {
        let bench = timed(dialect);
        bench.apply("HSETEX h KEEPTTL FIELDS 2 a 7 gone 8\nHINCRBY h a 2");
        assert_eq!(bench.read("HGET h a"), "$1 9");
        assert_eq!(
            bench.read("HPEXPIRETIME h FIELDS 2 a gone"),
            "*2 :4102444800023 :-2"
        );
        bench.apply("HSET h a 1\nHMSET h b 1\nHSETNX h gone no\nHSETNX h a no");
        assert_eq!(
            bench.read("HPEXPIRETIME h FIELDS 3 a b gone"),
            "*3 :-1 :-1 :-2"
        );
        bench.apply("HSETEX h PXAT 4102444800999 FIELDS 2 a 5 fresh 6");
        assert_eq!(
            bench.read("HPEXPIRETIME h FIELDS 2 a fresh"),
            "*2 :4102444800999 :4102444800999"
        );
    }
}

#[test]
fn conditions_compare_with_the_expiry_that_a_field_has() {
    for (condition, at, set) in [
        ("NX", 4_102_444_800_500_i64, "good"),
        ("XX", 4_102_444_800_500, "a b"),
        ("GT", 4_102_444_800_100, "a"),
        ("LT", 4_102_444_800_100, "b good"),
        ("LT", 4_102_444_800_023, "b good"),
        ("GT", 4_102_444_800_123, "a"),
    ] {
        for dialect in [REDIS, VALKEY] {
            let bench = timed(dialect);
            bench.apply(&format!(
                "HPEXPIREAT h {at} {condition} FIELDS 4 a b good none"
            ));
            for name in ["a", "b", "good"] {
                let told = bench.read(&format!("HPEXPIRETIME h FIELDS 1 {name}"));
                let changed = told == format!("*1 :{at}");
                let asked = set.split(' ').any(|other| other == name);
                let same = name == "b" && at == 4_102_444_800_123
                    || name == "a" && at == 4_102_444_800_023;
                assert_eq!(changed, asked || same, "{condition} {at} {name}: {told}");
            }
        }
    }
}

#[test]
fn a_hash_with_expiries_is_unpacked_past_the_thresholds_and_in_valkey_at_once() {
    let valkey = timed(VALKEY);
    assert_eq!(valkey.read("OBJECT ENCODING h"), "$9 hashtable");
    valkey.apply("HSET plain f v\nHPEXPIREAT plain 4102444800123 XX FIELDS 1 f\nHPEXPIREAT plain 1 FIELDS 1 zz");
    assert_eq!(valkey.read("OBJECT ENCODING plain"), "$8 listpack");
    let many: String = (0..509).map(|i| format!(" f{i} v")).collect();
    for line in [
        format!("HSET h {} v", "f".repeat(65)),
        format!("HSET h{many}"),
        format!("HSETEX h PXAT 4102444800000 FIELDS 509{many}"),
    ] {
        let redis = timed(REDIS);
        redis.apply(&line);
        assert_eq!(redis.read("OBJECT ENCODING h"), "$9 hashtable", "{line}");
        assert_eq!(redis.read("HPEXPIRETIME h FIELDS 1 b"), "*1 :4102444800123");
        assert_eq!(redis.read("HEXISTS h gone"), ":0");
    }
}

#[test]
fn expiries_go_with_a_copy_and_a_rename() {
    for dialect in [REDIS, VALKEY] {
        let bench = timed(dialect);
        bench.apply("COPY h copy\nRENAME h other");
        for key in ["copy", "other"] {
            let line = format!("HPEXPIRETIME {key} FIELDS 2 b gone");
            assert_eq!(bench.read(&line), "*2 :4102444800123 :-2");
        }
    }
}

#[test]
fn sorting_does_not_see_fields_past_their_time_but_the_stream_does() {
    for dialect in [REDIS, VALKEY] {
        let bench = timed(dialect);
        bench.apply("SADD names h\nSORT names BY nosort GET *->gone GET *->good STORE stored");
        assert_eq!(
            bench.read("SORT_RO names BY nosort GET *->gone GET *->good"),
            "*2 $-1 $1 1"
        );
        assert_eq!(bench.read("LRANGE stored 0 -1"), "*2 $1 4 $1 1");
    }
}

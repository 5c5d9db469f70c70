use crate::command::testing::Bench;
use crate::dialect::Dialect;

/// A command, and a real server's reply with each line end written as a blank.
type Told = (&'static str, &'static str);

const WRITES: &str = "\
XADD s 1-1 a 1 b 2\n\
XADD s 1-2 a 3 b 4\n\
XADD s 2-0 other field\n\
XADD s 3-0 n -5\n\
XADD s 4-0 a x b y\n\
XDEL s 1-1\n\
SET text x\n\
XADD trim 1-1 f v\n\
XADD trim 2-1 f v\n\
XADD trim MAXLEN = 2 3-1 f v\n\
XADD trim NOMKSTREAM MINID 3 4-1 f v\n\
XADD empty 7-7 f v\n\
XTRIM empty MAXLEN 0\n\
XADD set 1-1 f v\n\
XSETID set 9-9 ENTRIESADDED 20 MAXDELETEDID 5-5\n\
XGROUP CREATE s g 2-0 ENTRIESREAD 3\n\
XGROUP CREATE s h $\n\
XGROUP CREATE made m 0 MKSTREAM\n\
XGROUP CREATECONSUMER s g idle\n\
XCLAIM s g c 0 2-0 TIME 1700000000000 RETRYCOUNT 2 FORCE JUSTID LASTID 2-0\n\
XCLAIM s g c 0 3-0 TIME 1700000000001 RETRYCOUNT 1 FORCE JUSTID LASTID 3-0\n\
XCLAIM s g d 0 4-0 TIME 1700000000002 RETRYCOUNT 1 FORCE JUSTID LASTID 4-0\n\
XACK s g 2-0\n\
XGROUP SETID s h 3-0\n\
XGROUP CREATE s dropped 0\n\
XGROUP DESTROY s dropped";

const REDIS_8: &[Told] = &[
    ("XLEN s", ":4"),
    ("XLEN none", ":0"),
    (
        "XLEN text",
        "-WRONGTYPE Operation against a key holding the wrong kind of value",
    ),
    (
        "XRANGE s - +",
        "*4 *2 $3 1-2 *4 $1 a $1 3 $1 b $1 4 *2 $3 2-0 *2 $5 other $5 field *2 $3 3-0 *2 $1 n $2 -5 *2 $3 4-0 *4 $1 a $1 x $1 b $1 y",
    ),
    (
        "XRANGE s 1 2 COUNT 1",
        "*1 *2 $3 1-2 *4 $1 a $1 3 $1 b $1 4",
    ),
    (
        "XRANGE s (1-2 +",
        "*3 *2 $3 2-0 *2 $5 other $5 field *2 $3 3-0 *2 $1 n $2 -5 *2 $3 4-0 *4 $1 a $1 x $1 b $1 y",
    ),
    ("XRANGE s 2 1", "*0"),
    ("XRANGE s - + COUNT 0", "*-1"),
    (
        "XRANGE s bad +",
        "-ERR Invalid stream ID specified as stream command argument",
    ),
    ("XRANGE s - + NONSENSE 1", "-ERR syntax error"),
    (
        "XRANGE s (- +",
        "-ERR Invalid stream ID specified as stream command argument",
    ),
    (
        "XRANGE s (18446744073709551615-18446744073709551615 +",
        "-ERR invalid start ID for the interval",
    ),
    ("XRANGE none - +", "*0"),
    (
        "XREVRANGE s + - COUNT 2",
        "*2 *2 $3 4-0 *4 $1 a $1 x $1 b $1 y *2 $3 3-0 *2 $1 n $2 -5",
    ),
    (
        "XREVRANGE s (3-0 1",
        "*2 *2 $3 2-0 *2 $5 other $5 field *2 $3 1-2 *4 $1 a $1 3 $1 b $1 4",
    ),
    (
        "XRANGE trim - +",
        "*2 *2 $3 3-1 *2 $1 f $1 v *2 $3 4-1 *2 $1 f $1 v",
    ),
    (
        "XREAD STREAMS s trim 3-0 9",
        "*1 *2 $1 s *1 *2 $3 4-0 *4 $1 a $1 x $1 b $1 y",
    ),
    (
        "XREAD COUNT 1 STREAMS s trim 0 0",
        "*2 *2 $1 s *1 *2 $3 1-2 *4 $1 a $1 3 $1 b $1 4 *2 $4 trim *1 *2 $3 3-1 *2 $1 f $1 v",
    ),
    ("XREAD STREAMS s $", "*-1"),
    (
        "XREAD STREAMS s +",
        "*1 *2 $1 s *1 *2 $3 4-0 *4 $1 a $1 x $1 b $1 y",
    ),
    (
        "XREAD STREAMS s",
        "-ERR wrong number of arguments for 'xread' command",
    ),
    (
        "XREAD STREAMS s 0 1",
        "-ERR Unbalanced 'xread' list of streams: for each stream key an ID, '+', or '$' must be specified.",
    ),
    (
        "XREAD STREAMS s >",
        "-ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.",
    ),
    (
        "XREAD NOACK STREAMS s 0",
        "-ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.",
    ),
    (
        "XREAD STREAMS text 0",
        "-WRONGTYPE Operation against a key holding the wrong kind of value",
    ),
    (
        "XINFO STREAM s",
        "*20 $6 length :4 $15 radix-tree-keys :1 $16 radix-tree-nodes :2 $17 last-generated-id $3 4-0 $20 max-deleted-entry-id $3 1-1 $13 entries-added :5 $23 recorded-first-entry-id $3 1-2 $6 groups :2 $11 first-entry *2 $3 1-2 *4 $1 a $1 3 $1 b $1 4 $10 last-entry *2 $3 4-0 *4 $1 a $1 x $1 b $1 y",
    ),
    (
        "XINFO STREAM empty",
        "*20 $6 length :0 $15 radix-tree-keys :0 $16 radix-tree-nodes :1 $17 last-generated-id $3 7-7 $20 max-deleted-entry-id $3 0-0 $13 entries-added :1 $23 recorded-first-entry-id $3 0-0 $6 groups :0 $11 first-entry $-1 $10 last-entry $-1",
    ),
    (
        "XINFO STREAM set",
        "*20 $6 length :1 $15 radix-tree-keys :1 $16 radix-tree-nodes :2 $17 last-generated-id $3 9-9 $20 max-deleted-entry-id $3 5-5 $13 entries-added :20 $23 recorded-first-entry-id $3 1-1 $6 groups :0 $11 first-entry *2 $3 1-1 *2 $1 f $1 v $10 last-entry *2 $3 1-1 *2 $1 f $1 v",
    ),
    ("XINFO STREAM none", "-ERR no such key"),
    (
        "XINFO STREAM s NONSENSE",
        "-ERR unknown subcommand or wrong number of arguments for 'STREAM'. Try XINFO HELP.",
    ),
    (
        "XINFO GROUPS s",
        "*2 *12 $4 name $1 g $9 consumers :3 $7 pending :2 $17 last-delivered-id $3 4-0 $12 entries-read :3 $3 lag :2 *12 $4 name $1 h $9 consumers :0 $7 pending :0 $17 last-delivered-id $3 3-0 $12 entries-read $-1 $3 lag $-1",
    ),
    (
        "XINFO GROUPS made",
        "*1 *12 $4 name $1 m $9 consumers :0 $7 pending :0 $17 last-delivered-id $3 0-0 $12 entries-read $-1 $3 lag :0",
    ),
    ("XINFO GROUPS set", "*0"),
    (
        "XINFO CONSUMERS s none",
        "-NOGROUP No such consumer group 'none' for key name 's'",
    ),
    (
        "XPENDING s g",
        "*4 :2 $3 3-0 $3 4-0 *2 *2 $1 c $1 1 *2 $1 d $1 1",
    ),
    ("XPENDING s h", "*4 :0 $-1 $-1 *-1"),
    (
        "XPENDING s none",
        "-NOGROUP No such key 's' or consumer group 'none'",
    ),
    ("XPENDING s g - +", "-ERR syntax error"),
    ("XPENDING s g - + 0", "*0"),
    // The words are counted before any is read.
    ("XPENDING s g IDLE x", "-ERR syntax error"),
    ("XPENDING s g IDLE x - + 1 a b", "-ERR syntax error"),
];

const REDIS_8_RESP3: &[Told] = &[
    (
        "XREAD STREAMS s trim 3-0 3",
        "%2 $1 s *1 *2 $3 4-0 *4 $1 a $1 x $1 b $1 y $4 trim *2 *2 $3 3-1 *2 $1 f $1 v *2 $3 4-1 *2 $1 f $1 v",
    ),
    ("XREAD STREAMS s $", "_"),
    (
        "XINFO GROUPS s",
        "*2 %6 $4 name $1 g $9 consumers :3 $7 pending :2 $17 last-delivered-id $3 4-0 $12 entries-read :3 $3 lag :2 %6 $4 name $1 h $9 consumers :0 $7 pending :0 $17 last-delivered-id $3 3-0 $12 entries-read _ $3 lag _",
    ),
    ("XRANGE s 4 +", "*1 *2 $3 4-0 *4 $1 a $1 x $1 b $1 y"),
    ("XPENDING s h", "*4 :0 _ _ _"),
];

const REDIS_7_0: &[Told] = &[
    (
        "XINFO GROUPS s",
        "*2 *12 $4 name $1 g $9 consumers :3 $7 pending :2 $17 last-delivered-id $3 4-0 $12 entries-read :3 $3 lag :2 *12 $4 name $1 h $9 consumers :0 $7 pending :0 $17 last-delivered-id $3 3-0 $12 entries-read $-1 $3 lag $-1",
    ),
    (
        "XREAD STREAMS s 0 1",
        "-ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.",
    ),
    (
        "XREAD STREAMS s +",
        "-ERR Invalid stream ID specified as stream command argument",
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
fn writes_that_make_no_sense_are_refused() {
    let bench = bench(Dialect::redis(8, 0, 0));
    for line in [
        "XADD s 4-0 f v",
        "XADD s * f v",
        "XADD s 9-0 f",
        "XADD s KEEPREF 9-0 f v",
        "XADD text 9-0 f v",
        "XTRIM s MAXLEN 1 MINID 1",
        "XTRIM s MAXLEN -1",
        "XTRIM s 5",
        "XDEL s one",
        "XSETID s 1-0",
        "XSETID none 1-0",
        "XGROUP CREATE s g 0",
        "XGROUP CREATE none g 0",
        "XGROUP SETID s none 0",
        "XGROUP DELCONSUMER s none c",
        "XCLAIM s none c 0 1-0",
        "XCLAIM s g c 5 2-0",
        "XREADGROUP GROUP g c STREAMS s >",
    ] {
        assert!(bench.try_apply(line).is_err(), "{line}");
        bench.spaces.taints().forget_db(0);
    }
}

#[test]
fn a_blocking_read_answers_when_it_need_not_wait() {
    let bench = bench(Dialect::redis(8, 0, 0));
    assert_eq!(
        bench.read("XREAD BLOCK 0 STREAMS s 3-0"),
        bench.read("XREAD STREAMS s 3-0")
    );
    assert!(
        bench
            .read("XREAD BLOCK 0 STREAMS s 4-0")
            .starts_with("-ERR xread command is not allowed with BLOCK")
    );
}

#[test]
fn idle_times_count_from_the_delivery() {
    let bench = bench(Dialect::redis(8, 0, 0));
    let pending = bench.read("XPENDING s g - + 9 d");
    assert!(pending.starts_with("*1 *4 $3 4-0 $1 d :"), "{pending}");
    assert_eq!(bench.read("XPENDING s g IDLE 9000000000000 - + 9"), "*0");
    bench.apply("XGROUP DELCONSUMER s g d");
    assert_eq!(
        bench.read("XPENDING s g"),
        "*4 :1 $3 3-0 $3 3-0 *1 *2 $1 c $1 1"
    );
}

#[test]
fn counters_that_contradict_the_entries_are_shown_all_the_same() {
    let bench = Bench::new(Dialect::redis(7, 0, 15));
    bench.apply(
        "XADD s 1-1 f v\nXADD s 2-1 f v\nXGROUP CREATE s g 1-1\nXSETID s 2-1 ENTRIESADDED 1",
    );
    let groups = bench.read("XINFO GROUPS s");
    assert!(groups.ends_with("$3 lag :1"), "{groups}");
}

#[test]
fn a_deleted_entry_that_is_pending_is_claimed_by_redis_6_0_alone() {
    for (dialect, pending) in [
        (
            Dialect::redis(6, 0, 16),
            "*4 :1 $3 1-1 $3 1-1 *1 *2 $1 d $1 1",
        ),
        (Dialect::redis(7, 0, 15), "*4 :0 $-1 $-1 *-1"),
    ] {
        let bench = Bench::new(dialect);
        bench.apply(
            "XADD s 1-1 f v\nXGROUP CREATE s g 0\nXCLAIM s g c 0 1-1 TIME 5 RETRYCOUNT 1 FORCE JUSTID LASTID 1-1\n\
             XDEL s 1-1\nXCLAIM s g d 0 1-1 TIME 5 RETRYCOUNT 2 FORCE JUSTID LASTID 1-1",
        );
        assert_eq!(bench.read("XPENDING s g"), pending);
    }
}

#[test]
fn redis_6_0_does_not_filter_pending_entries_by_idle_time() {
    let bench = Bench::new(Dialect::redis(6, 0, 16));
    bench.apply("XADD s 1-1 f v\nXGROUP CREATE s g 0");
    assert_eq!(bench.read("XPENDING s g IDLE 1 - + 9"), "-ERR syntax error");
    assert_eq!(bench.read("XPENDING s g - + 9"), "*0");
}

#[test]
fn valkey_8_has_an_error_for_the_last_entry_of_a_stream_that_never_had_one() {
    for (dialect, reply) in [
        (
            Dialect::valkey(8, 1, 1),
            "-ERR the stream last element ID is 0-0",
        ),
        (Dialect::valkey(9, 1, 2), "*-1"),
        (Dialect::redis(8, 0, 2), "*-1"),
    ] {
        let bench = Bench::new(dialect);
        bench.apply("XGROUP CREATE s g 0 MKSTREAM");
        assert_eq!(bench.read("XREAD STREAMS s +"), reply);
        assert_eq!(bench.read("XREAD STREAMS none +"), "*-1");
    }
}

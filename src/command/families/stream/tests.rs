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
        "XADD s IDMP p i * f v",
        "XTRIM s MAXLEN 1 ACKED",
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
fn the_last_entry_of_a_stream_that_never_had_one_is_an_error_in_some_versions() {
    const ERROR: &str = "-ERR the stream last element ID is 0-0";
    for (dialect, reply) in [
        (Dialect::redis(7, 4, 1), ERROR),
        (Dialect::redis(8, 0, 2), "*-1"),
        (Dialect::valkey(8, 1, 1), ERROR),
        (Dialect::valkey(9, 0, 0), ERROR),
        (Dialect::valkey(9, 1, 2), "*-1"),
    ] {
        let bench = Bench::new(dialect);
        bench.apply("XGROUP CREATE s g 0 MKSTREAM");
        assert_eq!(bench.read("XREAD STREAMS s +"), reply, "{dialect:?}");
        assert_eq!(bench.read("XREAD STREAMS none +"), "*-1", "{dialect:?}");
    }
}

#[test]
fn the_last_entry_is_the_one_before_a_deleted_one_since_redis_8_0() {
    for (dialect, reply) in [
        (Dialect::redis(7, 4, 1), "*-1"),
        (
            Dialect::redis(8, 0, 2),
            "*1 *2 $1 s *1 *2 $3 5-1 *2 $1 a $1 1",
        ),
        (Dialect::valkey(9, 0, 0), "*-1"),
        (Dialect::valkey(9, 1, 2), "*-1"),
    ] {
        let bench = Bench::new(dialect);
        bench.apply("XADD s 5-1 a 1\nXADD s 6-1 a 2\nXDEL s 6-1");
        assert_eq!(bench.read("XREAD STREAMS s +"), reply, "{dialect:?}");
    }
}

/// Entries 1-0 to 5-0, all of which `g` has read; 2-0 and 4-0 are pending. `h` has read up to 3-0.
const READ: &str = "\
XADD s 1-0 f v\n\
XADD s 2-0 f v\n\
XADD s 3-0 f v\n\
XADD s 4-0 f v\n\
XADD s 5-0 f v\n\
XGROUP CREATE s g 5-0\n\
XGROUP CREATE s h 3-0\n\
XCLAIM s g c 0 2-0 TIME 1700000000000 RETRYCOUNT 2 FORCE JUSTID LASTID 5-0\n\
XCLAIM s g d 0 4-0 TIME 1700000000000 RETRYCOUNT 1 FORCE JUSTID LASTID 5-0";

fn ids(bench: &Bench) -> String {
    let entries = bench.read("XRANGE s - +");
    let ids: Vec<_> = entries
        .split(' ')
        .filter(|word| word.ends_with("-0"))
        .collect();
    ids.join(" ")
}

/// Redis 8.2.3 was asked.
#[test]
fn entries_go_with_their_references_or_because_all_have_read_them() {
    for (line, left, pending) in [
        ("XDELEX s IDS 2 2-0 9-0", "1-0 3-0 4-0 5-0", "2-0 4-0"),
        ("XDELEX s KEEPREF IDS 1 2-0", "1-0 3-0 4-0 5-0", "2-0 4-0"),
        ("XDELEX s delref IDS 2 2-0 3-0", "1-0 4-0 5-0", "4-0"),
        (
            "XDELEX s IDS 5 1-0 2-0 3-0 4-0 5-0 ACKED",
            "2-0 4-0 5-0",
            "2-0 4-0",
        ),
        ("XACKDEL s g IDS 2 2-0 3-0", "1-0 3-0 4-0 5-0", "4-0"),
        ("XACKDEL s g ACKED IDS 2 2-0 4-0", "1-0 3-0 4-0 5-0", ""),
        ("XACKDEL s g DELREF IDS 1 4-0", "1-0 2-0 3-0 5-0", "2-0"),
        ("XTRIM s ACKED MAXLEN = 3", "2-0 4-0 5-0", "2-0 4-0"),
        ("XTRIM s MINID 3-0 ACKED", "2-0 3-0 4-0 5-0", "2-0 4-0"),
        ("XTRIM s MAXLEN 2 DELREF", "4-0 5-0", "4-0"),
        ("XTRIM s MAXLEN 2 KEEPREF", "4-0 5-0", "2-0 4-0"),
        (
            "XADD s ACKED MAXLEN = 3 6-0 f v",
            "2-0 4-0 5-0 6-0",
            "2-0 4-0",
        ),
        ("XADD s MINID = 5-0 DELREF 6-0 f v", "5-0 6-0", ""),
    ] {
        let bench = Bench::new(Dialect::redis(8, 2, 3));
        bench.apply(READ);
        bench.apply(line);
        let owed = bench.read("XPENDING s g - + 9");
        let owed: Vec<_> = owed
            .split(' ')
            .filter(|word| word.ends_with("-0"))
            .collect();
        assert_eq!(
            (ids(&bench), owed.join(" ")),
            (left.to_owned(), pending.to_owned()),
            "{line}"
        );
    }
}

#[test]
fn what_no_server_would_send_of_deletions_is_refused() {
    let bench = Bench::new(Dialect::redis(8, 2, 3));
    bench.apply(READ);
    for line in [
        "XDELEX s ACKED DELREF IDS 1 1-0",
        "XDELEX s ACKED 1-0 1",
        "XDELEX s ACKED 1 IDS",
        "XDELEX s IDS 0 1-0",
        "XDELEX s IDS 2 1-0",
        "XDELEX s IDS 99999999999999999999 1-0",
        "XDELEX s IDS 1 one",
        "XACKDEL s g IDS 2 1-0",
        "XACKDEL s g SOME IDS 1 1-0",
        "XTRIM s MAXLEN 1 ACKED ACKED",
        "XTRIM s MAXLEN ~ 1 ACKED",
        "XADD s IDMP p i * f v",
    ] {
        assert!(bench.try_apply(line).is_err(), "{line}");
        bench.spaces.taints().forget_db(0);
    }
    // Nothing to delete is no failure.
    bench.apply("XDELEX none IDS 1 1-0\nXACKDEL none g IDS 1 1-0\nXACKDEL s none IDS 1 1-0");
    assert_eq!(ids(&bench), "1-0 2-0 3-0 4-0 5-0");
}

/// Redis 8.2.3 was asked.
#[test]
fn a_group_has_read_no_more_than_was_added() {
    for (dialect, read) in [
        (Dialect::redis(8, 2, 3), ":5"),
        (Dialect::redis(8, 2, 0), ":9"),
        (Dialect::valkey(9, 1, 2), ":9"),
    ] {
        let bench = Bench::new(dialect);
        bench.apply(READ);
        bench.apply("XGROUP CREATE s i 1-0 ENTRIESREAD 9\nXGROUP SETID s h 1-0 ENTRIESREAD 9");
        let groups = bench.read("XINFO GROUPS s");
        let shown = format!("entries-read {read} ");
        assert_eq!(groups.matches(&shown).count(), 2, "{groups}");
    }
}

/// Source: redis 8.8 t_stream.c; no server of this version was asked.
#[test]
fn released_entries_have_no_consumer_until_one_claims_them() {
    let bench = Bench::new(Dialect::redis(8, 8, 0));
    bench.apply(READ);
    bench.apply("XNACK s g SILENT IDS 1 2-0");
    bench.apply("XNACK s g FAIL IDS 3 3-0 5-0 9-0 RETRYCOUNT 7 FORCE");
    assert_eq!(
        bench.read("XPENDING s g"),
        "*4 :4 $3 2-0 $3 5-0 *1 *2 $1 d $1 1"
    );
    assert_eq!(
        bench.read("XPENDING s g IDLE 9000000000000 - + 9"),
        "*3 *4 $3 2-0 $0  :-1 :1 *4 $3 3-0 $0  :-1 :7 *4 $3 5-0 $0  :-1 :7"
    );
    assert_eq!(bench.read("XPENDING s g - + 9 c"), "*0");
    let full = bench.read("XINFO STREAM s FULL");
    assert!(
        full.contains("$9 pel-count :4 $12 nacked-count :3 $7 pending *4 *4 $3 2-0 $0  :0 :1 "),
        "{full}"
    );
    bench.apply("XNACK s g FATAL IDS 1 2-0\nXCLAIM s g d 0 2-0 TIME 1700000000000\nXACK s g 3-0");
    let pending = bench.read("XPENDING s g - + 1");
    assert!(pending.starts_with("*1 *4 $3 2-0 $1 d :"), "{pending}");
    assert!(pending.ends_with(" :9223372036854775807"), "{pending}");
    bench.apply("XGROUP DELCONSUMER s g d\nXACKDEL s g IDS 1 5-0");
    assert_eq!(bench.read("XPENDING s g"), "*4 :0 $-1 $-1 *-1");
    assert_eq!(ids(&bench), "1-0 2-0 3-0 4-0");
    for line in [
        "XNACK s none FAIL IDS 1 2-0",
        "XNACK none g FAIL IDS 1 2-0",
        "XNACK s g SOMEHOW IDS 1 2-0",
        "XNACK s g FAIL FORCE RETRYCOUNT 3",
        "XNACK s g FAIL IDS 1 2-0 RETRYCOUNT -1",
        "XNACK s g FAIL IDS 1 2-0 NOW",
    ] {
        assert!(bench.try_apply(line).is_err(), "{line}");
        bench.spaces.taints().forget_db(0);
    }
}

const IDEMPOTENT: &str = "\
XADD s IDMP p one 5000000000000-0 f v\n\
XADD s IDMP p two 5000000000001-0 f v\n\
XADD s IDMP p one * f v\n\
XADD s NOMKSTREAM IDMPAUTO q MAXLEN = 2 5000000000002-0 a 1 b 2\n\
XIDMPRECORD s q by-hand 5000000000001-0";

/// Source: redis 8.8 t_stream.c; no server of this version was asked.
#[test]
fn idempotent_producers_are_counted() {
    let bench = Bench::new(Dialect::redis(8, 6, 2));
    bench.apply(IDEMPOTENT);
    let shown = |producers, known, added, duplicates| {
        format!(
            "$13 idmp-duration :100 $12 idmp-maxsize :100 $12 pids-tracked :{producers} $12 iids-tracked :{known} \
             $10 iids-added :{added} $15 iids-duplicates :{duplicates} "
        )
    };
    for (line, head) in [("XINFO STREAM s", "*32 "), ("XINFO STREAM s FULL", "*30 ")] {
        let info = bench.read(line);
        assert!(
            info.starts_with(head) && info.contains(&shown(2, 4, 4, 1)),
            "{info}"
        );
    }
    // The same settings again change nothing.
    bench.apply("XCFGSET s IDMP-MAXSIZE 100 IDMP-DURATION 100");
    assert!(bench.read("XINFO STREAM s").contains(&shown(2, 4, 4, 1)));
    bench.apply("XCFGSET s IDMP-MAXSIZE 3");
    let info = bench.read("XINFO STREAM s");
    assert!(
        info.contains("idmp-maxsize :3 $12 pids-tracked :0 $12 iids-tracked :0 $10 iids-added :4 "),
        "{info}"
    );
    // An entry whose id is too old is not shown, but counted.
    bench.apply("XADD t IDMP p one 1-1 f v");
    assert!(bench.read("XINFO STREAM t").contains(&shown(0, 0, 1, 0)));
    // A stream that no producer has used has the default settings; an older server shows none.
    bench.apply("XADD plain 1-1 f v");
    assert!(
        bench
            .read("XINFO STREAM plain")
            .contains(&shown(0, 0, 0, 0))
    );
    let old = Bench::new(Dialect::redis(8, 4, 0));
    old.apply("XADD plain 1-1 f v");
    assert!(old.read("XINFO STREAM plain").starts_with("*20 "));
}

#[test]
fn what_no_server_would_send_of_idempotent_producers_is_refused() {
    let bench = Bench::new(Dialect::redis(8, 6, 2));
    bench.apply(IDEMPOTENT);
    for line in [
        "XADD none IDMP p one * f v",
        "XADD s IDMP p one * f",
        "XADD s IDMP p one IDMPAUTO p 6000000000000-0 f v",
        "XADD s IDMP p one 1-0 f v",
        "XADD s * f v",
        "XTRIM s IDMP p one MAXLEN 1",
        "XCFGSET s",
        "XCFGSET none IDMP-MAXSIZE 3",
        "XCFGSET s IDMP-MAXSIZE 0",
        "XCFGSET s IDMP-MAXSIZE 10001",
        "XCFGSET s IDMP-DURATION 86401",
        "XCFGSET s IDMP-DURATION",
        "XCFGSET s IDMP-DURATION 5 IDMP-DURATION 6",
        "XCFGSET s SOMETHING 5",
        "XIDMPRECORD s q other 1-1",
        "XIDMPRECORD none q other 5000000000001-0",
    ] {
        assert!(bench.try_apply(line).is_err(), "{line}");
        bench.spaces.taints().forget_db(0);
    }
}

/// Source: redis rax.c after 8.8; no server of this version was asked.
#[test]
fn since_redis_8_10_the_tree_of_a_stream_has_no_leaves() {
    for (dialect, nodes) in [
        (Dialect::redis(8, 8, 0), [1, 2]),
        (Dialect::redis(8, 10, 0), [1, 1]),
    ] {
        let bench = Bench::new(dialect);
        bench.apply("XADD s 1-0 f v\nXADD t 1-0 f v\nXDEL t 1-0");
        for (key, nodes) in ["t", "s"].into_iter().zip(nodes) {
            let info = bench.read(&format!("XINFO STREAM {key}"));
            assert!(
                info.contains(&format!("radix-tree-nodes :{nodes} ")),
                "{info}"
            );
        }
    }
}

/// Source: the documentation of Redis 8.10; no server of this version was asked.
#[test]
fn xread_returns_no_more_than_maxcount_of_all_streams() {
    let bench = Bench::new(Dialect::redis(8, 10, 0));
    for line in [
        "XADD a 1-0 f v",
        "XADD a 2-0 f v",
        "XADD a 3-0 f v",
        "XADD b 1-0 f v",
        "XADD b 2-0 f v",
        "XADD c 1-0 f v",
    ] {
        bench.apply(line);
    }
    let entry = |ms| format!("*2 $3 {ms}-0 *2 $1 f $1 v");
    let of = |key, count: usize| {
        let entries: Vec<_> = (1..=count).map(entry).collect();
        format!("*2 $1 {key} *{count} {}", entries.join(" "))
    };
    for (line, shares) in [
        (
            "XREAD COUNT 2 MAXCOUNT 3 STREAMS a b c 0 0 0",
            &[("a", 2), ("b", 1)][..],
        ),
        ("XREAD MAXCOUNT 3 STREAMS a b c 0 0 0", &[("a", 3)]),
        (
            "XREAD maxcount 4 STREAMS a b c 0 0 0",
            &[("a", 3), ("b", 1)],
        ),
        (
            "XREAD MAXCOUNT 9 BLOCK 0 STREAMS c b none 0 0 0",
            &[("c", 1), ("b", 2)],
        ),
        ("XREAD COUNT 0 MAXCOUNT 1 STREAMS b 0", &[("b", 1)]),
    ] {
        let all: Vec<_> = shares.iter().map(|(key, count)| of(key, *count)).collect();
        let expected = format!("*{} {}", shares.len(), all.join(" "));
        assert_eq!(bench.read(line), expected, "{line}");
    }
    assert_eq!(
        bench.read3("XREAD COUNT 2 MAXCOUNT 3 STREAMS a c b 0 0 0"),
        format!("%2 $1 a *2 {} {} $1 c *1 {}", entry(1), entry(2), entry(1))
    );
    for line in [
        "XREAD MAXCOUNT 0 STREAMS a 0",
        "XREAD COUNT 3 MAXCOUNT 2 STREAMS a 0",
    ] {
        assert!(
            bench.read(line).starts_with("-ERR MAXCOUNT must be"),
            "{line}"
        );
    }
    // The name of a stream takes 11 bytes, each entry 31, and the number of entries 4.
    for (size, shares) in [
        (1, &[("a", 1)][..]),
        (42, &[("a", 1)]),
        (43, &[("a", 2)]),
        (73, &[("a", 2)]),
        (74, &[("a", 3)]),
        (108, &[("a", 3)]),
        (120, &[("a", 3), ("b", 1)]),
        (150, &[("a", 3), ("b", 1)]),
        (151, &[("a", 3), ("b", 2)]),
        (185, &[("a", 3), ("b", 2)]),
        (197, &[("a", 3), ("b", 2), ("c", 1)]),
    ] {
        let line = format!("XREAD MAXSIZE {size} STREAMS a b c 0 0 0");
        let all: Vec<_> = shares.iter().map(|(key, count)| of(key, *count)).collect();
        let expected = format!("*{} {}", shares.len(), all.join(" "));
        assert_eq!(bench.read(&line), expected, "{line}");
    }
    for edge in [109, 119, 186, 196] {
        let line = format!("XREAD MAXSIZE {edge} STREAMS a b c 0 0 0");
        assert!(bench.read(&line).contains("-ERR not supported"), "{line}");
    }
    let both = bench.read("XREAD MAXSIZE 1000 MAXCOUNT 1 STREAMS b a 0 0");
    assert_eq!(both, format!("*1 {}", of(&"b", 1)));
    // Without the array around each stream, four bytes less.
    assert!(bench.read3("XREAD MAXSIZE 38 STREAMS a 0").contains("*1 "));
    assert!(
        bench
            .read3("XREAD MAXSIZE 39 STREAMS a 0")
            .contains("$3 2-0")
    );
    assert!(
        bench
            .read("XREAD MAXSIZE 0 STREAMS a 0")
            .starts_with("-ERR MAXSIZE")
    );
    let old = Bench::new(Dialect::redis(8, 8, 0));
    for line in [
        "XREAD MAXCOUNT 3 STREAMS a 0",
        "XREAD MAXSIZE 3 STREAMS a 0",
    ] {
        assert_eq!(old.read(line), "-ERR syntax error", "{line}");
    }
}

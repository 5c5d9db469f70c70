#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::sync::{LazyLock, mpsc};
use std::time::Duration;

use super::*;
use crate::command::resolve;
use crate::command::rows::{Arity, Error, Keys, Scope, WorkFn};
use crate::command::testing::{Bench, rows};
use crate::dialect::Dialect;
use crate::resp::{ArgsBuf, Protocol, Reply};
use crate::store::{Keyspaces, NewValue, Value};

/// Every read that walks, copies or computes, in its most expensive form: on a value of 20,000 elements, or with a
/// large count.
const EXPENSIVE: &str = "SRANDMEMBER small -100000000
HRANDFIELD small-hash -100000000 WITHVALUES
ZRANDMEMBER small-zset -100000000
VRANDMEMBER vectors -100000000
SRANDMEMBER set 100000000
SMEMBERS set
SSCAN set 0 COUNT 1000000000
HGETALL hash
HKEYS hash
HVALS hash
HSCAN hash 0 COUNT 1000000000
ZRANGE zset 0 -1
ZREVRANGE zset 0 -1
ZRANGEBYSCORE zset -inf +inf
ZREVRANGEBYSCORE zset +inf -inf
ZRANGEBYLEX zset - +
ZREVRANGEBYLEX zset + -
ZSCAN zset 0 COUNT 1000000000
ZUNION 2 zset zset
ZINTER 2 zset zset
ZDIFF 2 zset other
ZINTERCARD 2 zset zset
SINTER set set
SINTERCARD 2 set set
SUNIONCARD 2 set set
SDIFFCARD 2 set other
VRANGE many-vectors - +
SUNION set set
SDIFF set other
LRANGE list 0 -1
LINDEX list 10000
LPOS list none
XRANGE stream - +
XREVRANGE stream + -
XREAD STREAMS stream 0
XPENDING stream g
XINFO STREAM stream FULL COUNT 0
XINFO GROUPS stream
XINFO CONSUMERS stream g
SORT_RO list ALPHA
GEOSEARCH zset FROMLONLAT 0 0 BYRADIUS 20000 km
GEORADIUS_RO zset 0 0 20000 km
GEORADIUSBYMEMBER_RO zset m1 20000 km
GETRANGE text 0 -1
SUBSTR text 0 -1
BITCOUNT text
BITPOS text 1
LCS text text
STRALGO LCS KEYS text text
DUMP list
VSIM many-vectors ELE e1 TRUTH
ARGETRANGE array 0 99999
ARSCAN array 0 100000
ARLASTITEMS array 100000
AROP array 0 100000 SUM
ARGREP array - + MATCH x
ARINFO array FULL";

/// Reads whose work depends on the number of words: the test gives them many.
const BY_WORDS: &str = "MGET HMGET EXISTS TOUCH SMISMEMBER ZMSCORE BITFIELD_RO GEOPOS GEOHASH PFCOUNT HTTL HPTTL HEXPIRETIME HPEXPIRETIME ARMGET";

/// Reads that look up one thing, however much there is.
const SHORT: &str = "GET STRLEN DIGEST GETBIT TYPE TTL PTTL EXPIRETIME PEXPIRETIME HGET HLEN HEXISTS HSTRLEN SCARD SISMEMBER ZCARD ZSCORE \
    ZRANK ZREVRANK ZCOUNT ZLEXCOUNT LLEN XLEN GEODIST VCARD VDIM VEMB VGETATTR VINFO VISMEMBER VLINKS OBJECT|ENCODING OBJECT|FREQ \
    OBJECT|IDLETIME OBJECT|REFCOUNT MEMORY|USAGE ARGET ARLEN ARCOUNT ARNEXT";

fn full() -> Bench {
    let bench = Bench::new(Dialect::redis(8, 0, 2));
    bench.apply(
        "SADD small 1 2 3\nHSET small-hash a 1\nZADD small-zset 1 a\nVADD vectors VALUES 2 1 0 a",
    );
    bench.apply(&format!("SET text {}", "x".repeat(700_000)));
    for first in (0..20_000).step_by(1000) {
        let many = |word: fn(usize) -> String| {
            let words: Vec<String> = (first..first + 1000).map(word).collect();
            words.join(" ")
        };
        bench.apply(&format!("SADD set {}", many(|n| format!("m{n}"))));
        bench.apply(&format!("HSET hash {}", many(|n| format!("f{n} {n}"))));
        bench.apply(&format!("ZADD zset {}", many(|n| format!("{n} m{n}"))));
        bench.apply(&format!("RPUSH list {}", many(|n| format!("e{n}"))));
        bench.apply(&format!("ARINSERT array {}", many(|n| format!("e{n}"))));
        for n in first..first + 1000 {
            bench.apply(&format!("XADD stream {}-1 a b", n + 1));
        }
    }
    for n in 0..400 {
        let numbers = vec!["0.5"; 2000].join(" ");
        bench.apply(&format!("VADD many-vectors VALUES 2000 {numbers} e{n}"));
    }
    bench
}

fn work_of(bench: &Bench, line: &str) -> usize {
    let words = ArgsBuf::new(line.split(' '));
    let args = words.as_args();
    let row = resolve(args).unwrap();
    let view = bench.spaces.view_each(0, |visit| {
        row.keys.visit(args, |index| visit(args.at(index)));
    });
    of(row, &view, args)
}

#[test]
fn what_may_take_long_is_known_from_what_is_asked_for() {
    let bench = full();
    for line in EXPENSIVE.lines() {
        assert!(work_of(&bench, line) > LONG, "{line}");
    }
    for name in BY_WORDS.split(' ') {
        let line = format!("{name} set{}", " x".repeat(LONG));
        assert!(work_of(&bench, &line) > LONG, "{name}");
    }
    // The size of the collection does not matter here.
    for line in [
        "SRANDMEMBER set",
        "SRANDMEMBER set -100",
        "HRANDFIELD hash 5",
        "ZRANDMEMBER zset 5",
        "SSCAN set 0",
        "HSCAN hash 0 MATCH x COUNT 100",
        "ZSCAN zset 0",
        "LRANGE list 0 99",
        "ZRANGE zset 0 99 WITHSCORES",
        "XRANGE stream - + COUNT 10",
        "GETRANGE text 0 99",
        "ARGETRANGE array 0 99",
        "ARSCAN array 0 100000 LIMIT 10",
        "ARLASTITEMS array 10",
        "GEOPOS zset m1",
        "OBJECT ENCODING set",
        "MEMORY USAGE set SAMPLES 0",
    ] {
        assert!(work_of(&bench, line) <= LONG, "{line}");
    }
}

#[test]
fn every_read_row_has_a_known_work() {
    let names = |text: &str| -> BTreeSet<String> {
        let words = text.split([' ', '\n']).filter(|word| !word.is_empty());
        words.map(str::to_lowercase).collect()
    };
    let mut known = names(BY_WORDS);
    known.append(&mut names(SHORT));
    for line in EXPENSIVE.lines() {
        let mut words = line.split(' ').map(str::to_lowercase);
        let (name, second) = (words.next().unwrap(), words.next().unwrap());
        known.insert(if name == "xinfo" {
            format!("{name}|{second}")
        } else {
            name
        });
    }
    for (words, row) in rows() {
        // Walks over whole databases always count as long.
        if row.read.is_some() && row.scope == Scope::Keys {
            let name = words.join("|");
            assert!(known.contains(&name), "{name} is in none of the lists");
        }
    }
}

#[test]
fn only_what_is_much_more_than_its_values_is_done_on_a_copy() {
    let bench = full();
    let copies = |line: &str| {
        let words = ArgsBuf::new(line.split(' '));
        let args = words.as_args();
        let row = resolve(args).unwrap();
        let view = bench.spaces.view_each(0, |visit| {
            row.keys.visit(args, |index| visit(args.at(index)));
        });
        is_worth_a_copy(row, &view, args, of(row, &view, args), |_| true)
    };
    assert!(copies("SRANDMEMBER small -100000000"));
    assert!(copies("LCS text text"));
    let same = format!("SUNION{}", " set".repeat(1000));
    assert!(
        copies(&same),
        "a set that is named many times is copied once"
    );
    assert!(!copies("SMEMBERS set"), "a copy would be as much work");
    assert!(!copies("SRANDMEMBER small -10"), "that is quick");
    let many: String = (0..300_000).map(|n| format!(" k{n}")).collect();
    assert!(
        !copies(&format!("MGET{many}")),
        "a copy would be as much work"
    );
}

#[test]
fn a_pass_over_a_large_collection_is_done_on_a_copy_and_what_may_be_less_is_not() {
    let bench = full();
    let fill = |head: &str, element: &dyn Fn(usize) -> String| {
        for first in (0..250_000).step_by(10_000) {
            let words: String = (first..first + 10_000)
                .map(|at| format!(" {}", element(at)))
                .collect();
            bench.apply(&format!("{head}{words}"));
        }
    };
    fill("SADD many", &|at| format!("m{at}"));
    fill("RPUSH many-in-list", &|at| format!("m{at}"));
    fill("ZADD many-in-zset", &|at| format!("{at} m{at}"));
    fill("HSET many-in-hash", &|at| format!("m{at} {at}"));
    let copies = |line: &str, has_room: bool| {
        let words = ArgsBuf::new(line.split(' '));
        let args = words.as_args();
        let row = resolve(args).unwrap();
        let view = bench.spaces.view_each(0, |visit| {
            row.keys.visit(args, |index| visit(args.at(index)));
        });
        is_worth_a_copy(row, &view, args, of(row, &view, args), |bytes| {
            assert!(bytes >= 250_000);
            has_room
        })
    };
    let passes = "SMEMBERS many
SUNION many small
SUNION many many
SSCAN many 0 COUNT 1000000
HGETALL many-in-hash
HKEYS many-in-hash
HSCAN many-in-hash 0 COUNT 1000000
LRANGE many-in-list 0 -1
SORT_RO many-in-list ALPHA DESC
ZRANGE many-in-zset 0 -1
ZRANGE many-in-zset 0 -1 WITHSCORES
ZREVRANGE many-in-zset 10 -1 WITHSCORES
ZREVRANGE many-in-zset 10 -1";
    for line in passes.lines() {
        assert!(copies(line, true), "{line}");
        assert!(!copies(line, false), "{line}: there is no room for a copy");
    }
    for line in passes.lines() {
        let words = ArgsBuf::new(line.split(' '));
        let args = words.as_args();
        let row = resolve(args).unwrap();
        let view = bench.spaces.view_each(0, |visit| {
            row.keys.visit(args, |index| visit(args.at(index)));
        });
        let copy = view
            .copied(&|visit| row.keys.visit(args, |index| visit(args.at(index))))
            .unwrap();
        let replies = [&view, &copy].map(|view| {
            let mut reply = Reply::new(Protocol::Resp2, Dialect::default(), 1 << 30);
            row.read.unwrap()(view, args, &mut reply).unwrap();
            reply.as_bytes().to_vec()
        });
        assert!(
            replies[0] == replies[1],
            "{line}: the copy answers differently"
        );
    }
    let others = "SINTER many small
SDIFF small many
SUNION many list
SSCAN many 0 COUNT 10
SSCAN many 0 COUNT 100000
LRANGE many-in-list 249990 -1
LRANGE many -10 -1
ZRANGE many-in-zset -10 -1
ZRANGE many-in-zset -10 -1 WITHSCORES
ZRANGE many-in-zset 5 6 BYSCORE
ZRANGE many-in-zset 0 -1 BYSCORE
ZRANGEBYSCORE many-in-zset 5 6
ZINTER 2 many-in-zset small-zset
LPOS many-in-list m1
SORT_RO many-in-list LIMIT 0 10
GETRANGE text 0 -1";
    for line in others.lines() {
        assert!(!copies(line, true), "{line}");
    }
}

/// A store that a handler can reach.
static SPACES: LazyLock<Keyspaces> = LazyLock::new(|| Keyspaces::new(1));

/// Before it reads a key, writes it on another thread, which works only if no reader holds it. Replies whether that
/// worked, and the value.
fn writes_what_it_reads(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let key = args.at(1).to_vec();
    let (sender, done) = mpsc::channel();
    std::thread::spawn(move || {
        let mut tx = SPACES.write(0, [SPACES.slot(0, &key)]);
        tx.set(&key, None, NewValue::text(b"newer"));
        drop(tx);
        sender.send(()).unwrap();
    });
    // If the key is held, this waits in vain, but only for a moment.
    let is_free = done.recv_timeout(Duration::from_millis(if args.len() > 2 {
        20_000
    } else {
        50
    }));
    reply.boolean(is_free.is_ok());
    match view.value(args.at(1)) {
        Some(Value::Text(text)) => reply.bulk(text),
        _ => reply.null(),
    }
    Ok(())
}

#[test]
fn the_writer_does_not_wait_for_work_that_is_much_more_than_the_value() {
    let words_times_a_million: WorkFn = |args, _| (args.len() - 2) * 1_000_000;
    let row = crate::command::rows::command::Command::new("x", Arity::at_least(2), Keys::first())
        .read(writes_what_it_reads)
        .work(words_times_a_million);
    let ask = |line: &str| {
        let mut tx = SPACES.write(0, [SPACES.slot(0, b"k")]);
        tx.set(b"k", None, NewValue::text(b"ol"));
        drop(tx);
        let words = ArgsBuf::new(line.split(' '));
        let mut reply = Reply::new(Protocol::Resp2, Dialect::default(), 1000);
        let handler = row.read.unwrap();
        crate::command::dispatch::execute::read(
            handler,
            &row,
            &SPACES,
            0,
            words.as_args(),
            &mut reply,
        )
        .unwrap();
        String::from_utf8_lossy(reply.as_bytes()).into_owned()
    };
    assert_eq!(
        ask("x k"),
        ":0\r\n$2\r\nol\r\n",
        "a short read holds its key"
    );
    // Let the write that had to wait pass first.
    let is_newer = || {
        let hold = SPACES.view_key(0, b"k");
        matches!(hold.value(b"k"), Some(Value::Text(b"newer")))
    };
    while !is_newer() {
        std::thread::yield_now();
    }
    assert_eq!(
        ask("x k long"),
        ":1\r\n$2\r\nol\r\n",
        "a long read still returns the old value"
    );
}

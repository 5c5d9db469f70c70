//! Writes in the stream that a real replica refuses: the same bytes go to one of each version and to redtail. Nothing is changed
//! there, so redtail has the same data, and taints none of it.

use crate::scripted::stream;
use crate::servers::ALL;
use crate::stream_forms::Follower;

/// Databases that servers have: as many cases are compared at once.
const DATABASES: usize = 16;

/// Keys of each type; `none` is missing.
const KEYS: [&str; 9] = [
    "none", "text", "number", "list", "set", "hash", "zset", "stream", "sketch",
];

/// Makes [`KEYS`].
const MADE: [&str; 10] = [
    "SET text abc",
    "SET number 9223372036854775807",
    "RPUSH list a 1 b",
    "SADD set a 1 b",
    "HSET hash a 1 b x",
    "ZADD zset 1 a 2 b",
    "XADD stream 1-1 a 1",
    "XGROUP CREATE stream g 0",
    "PFADD sketch a b",
    "SET other x",
];

/// Writes in which each `K` is a key of every type in turn.
const WRITES: &str = "
APPEND K x
SETRANGE K 1 xyz
SETRANGE K 0 
INCR K
DECR K
INCRBY K 1
DECRBY K -1
GETSET K x
GETDEL K
SETNX K x
MSETNX K x K y
SETBIT K 7 1
BITFIELD K SET u8 0 255
BITOP AND K K K
BITOP NOT K K
LPUSH K a
RPUSH K a b
LPUSHX K a
RPUSHX K a
LPOP K
RPOP K
LPOP K 2
LSET K 0 z
LSET K 17 z
LREM K 0 a
LTRIM K 1 1
LINSERT K BEFORE a z
RPOPLPUSH K K
LMOVE K K LEFT RIGHT
SADD K x
SREM K a
SMOVE K K a
SUNIONSTORE K K K
SINTERSTORE K K K
SDIFFSTORE K K K
HSET K f v
HMSET K f v
HSETNX K f v
HDEL K a
HINCRBY K a 1
HPEXPIREAT K 9999999999999 FIELDS 1 a
HPERSIST K FIELDS 1 a
HSETEX K FIELDS 1 a x
HGETDEL K FIELDS 1 a
ZADD K 5 x
ZADD K XX INCR 5 a
ZINCRBY K 5 a
ZREM K a
ZREMRANGEBYRANK K 0 0
ZREMRANGEBYSCORE K 0 9
ZREMRANGEBYLEX K - +
ZPOPMIN K
ZPOPMAX K 2
ZUNIONSTORE K 2 K K
ZINTERSTORE K 2 K K
ZDIFFSTORE K 2 K K
ZRANGESTORE K K 0 -1
GEOADD K 1 1 p
GEOSEARCHSTORE K K FROMLONLAT 1 1 BYRADIUS 5 km
GEORADIUS K 1 1 5 km STORE K
XADD K 5-5 f v
XDEL K 1-1
XTRIM K MAXLEN = 0
XSETID K 9-9
XACK K g 1-1
XGROUP CREATE K g2 0
XGROUP CREATE K g2 0 MKSTREAM
XGROUP SETID K g 0
XGROUP DESTROY K g
XGROUP CREATECONSUMER K g c
XGROUP DELCONSUMER K g c
XGROUP CREATECONSUMER K none c
XGROUP DELCONSUMER K none c
XCLAIM K none c 0 1-1 TIME 1700000000000 RETRYCOUNT 1 FORCE JUSTID
XCLAIM K g c 0 1-1 TIME 1700000000000 RETRYCOUNT 1 FORCE JUSTID
PFADD K x
PFMERGE K K K
PFCOUNT K
DEL K
UNLINK K K
RENAME K K
RENAMENX K K
COPY K K
COPY K K REPLACE
PERSIST K
PEXPIREAT K 9999999999999
EXPIRE K 999999999
SORT K ALPHA STORE K
";

/// What servers refuse for the number of its words, its subcommand, or its name.
const WORDS: &str = "
SET text
SET
GET
INCR text x
DECR
APPEND text
SADD set
SMOVE set set
HSET hash a
LPUSH list
LSET list 0
RPOPLPUSH list
ZADD zset 1
ZINCRBY zset 1
ZREM zset
XADD stream 9-9 f
XADD stream 9-9
XACK stream g
DEL
RENAME text
PERSIST
PEXPIREAT text
EXPIRE text
MSET
BITOP AND k
PFADD
PFMERGE
GEOADD k 1 1
SWAPDB 0
MOVE text
COPY text
SETRANGE text 1
RESTORE text 0
XGROUP
XGROUP NOSUCH stream g
XGROUP DESTROY stream
XGROUP CREATE stream
XINFO NOSUCH stream
OBJECT NOSUCH text
CONFIG NOSUCH
CLIENT NOSUCH
CLUSTER NOSUCH
MEMORY NOSUCH
SCRIPT NOSUCH
FUNCTION NOSUCH
FUNCTION LOAD
FUNCTION DELETE
PING x y
PUBLISH x
SPUBLISH x
EVAL
EXPIRE text 10 NX
HSETEX text
HGETDEL text
MSETEX 1
SPOP
BLPOP list
GETEX
LMPOP 1
";

/// `line` with every key in the place of each `K`; the second and third of [`KEYS`] that are strings are left out of the later ones.
fn filled(line: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for (at, word) in line.split(' ').enumerate() {
        let later = lines
            .iter()
            .any(|line: &String| KEYS.iter().any(|key| line.contains(key)));
        let words: Vec<&str> = match word {
            "K" if later => KEYS
                .iter()
                .copied()
                .filter(|key| *key != "number")
                .collect(),
            "K" => KEYS.to_vec(),
            word => vec![word],
        };
        let blank = if at == 0 { "" } else { " " };
        lines = lines
            .iter()
            .flat_map(|line| words.iter().map(move |word| format!("{line}{blank}{word}")))
            .collect();
    }
    lines
}

/// The bytes of a case in database `db`.
fn case(db: usize, line: &str, in_multi: bool) -> Vec<u8> {
    let select = format!("SELECT {db}");
    let begin = [&*select, "FLUSHDB"].into_iter().chain(MADE);
    let end: &[&str] = if in_multi {
        &["SET after 1", "EXEC"]
    } else {
        &["SET after 1"]
    };
    let middle = if in_multi {
        vec!["MULTI", "SET before 1", line]
    } else {
        vec![line]
    };
    let lines: Vec<&str> = begin.chain(middle).chain(end.iter().copied()).collect();
    stream(&lines)
}

fn digests(both: &[Follower; 2]) -> [String; 2] {
    both.each_ref().map(|follower| follower.ask("DEBUG DIGEST"))
}

/// Feeds both the same and gives whether they have the same data.
fn agree(both: &mut [Follower; 2], bytes: &[u8]) -> bool {
    for follower in &mut *both {
        follower.send(bytes);
        follower.settle("refusals");
    }
    let [real, redtail] = digests(both);
    real == redtail
}

fn compare(name: &str) {
    let (Some(real), Some(redtail)) = (Follower::real(name), Follower::redtail(name)) else {
        return;
    };
    let mut both = [real, redtail];
    let alone = WRITES
        .lines()
        .filter(|line| !line.is_empty())
        .flat_map(filled);
    let alone = alone.map(|line| (line, false));
    let words = || {
        WORDS
            .lines()
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
    };
    let words = words()
        .map(|line| (line, false))
        .chain(words().map(|line| (line, true)));
    let cases: Vec<_> = alone.chain(words).collect();
    let mut wrong = Vec::new();
    for group in cases.chunks(DATABASES) {
        let bytes = |(db, (line, in_multi)): (usize, &(String, bool))| case(db, line, *in_multi);
        let all: Vec<u8> = group.iter().enumerate().flat_map(bytes).collect();
        if agree(&mut both, &all) {
            continue;
        }
        for (line, in_multi) in group {
            let bytes = [stream(&["FLUSHALL"]), case(0, line, *in_multi)].concat();
            if !agree(&mut both, &bytes) {
                let is_tainted = both[1].ask("DEBUG DIGEST").contains("TAINTED");
                wrong.push(format!("{line:?} {in_multi} {is_tainted}"));
            }
        }
        assert!(
            agree(&mut both, &stream(&["FLUSHALL"])),
            "{name}: taints that stay: {wrong:#?}"
        );
    }
    assert!(
        wrong.is_empty(),
        "{name}: {} of {}: {wrong:#?}",
        wrong.len(),
        cases.len()
    );
    let names = both[1]
        .server
        .client()
        .info("redtail", "redtail_passed_over_names");
    let names = names.expect("the field");
    for counted in [
        "a refused sadd=",
        "a refused xgroup=",
        "a refused incr=",
        "a refused set=",
    ] {
        assert!(names.contains(counted), "{name}: {counted}: {names}");
    }
    assert!(
        both[1]
            .server
            .log()
            .contains("what=\"a refused sadd\" count=1 "),
        "{name}"
    );
}

#[test]
fn refuses_what_a_replica_of_redis_6_0_refuses() {
    compare(ALL[0]);
}

#[test]
fn refuses_what_a_replica_of_redis_7_0_refuses() {
    compare(ALL[1]);
}

#[test]
fn refuses_what_a_replica_of_redis_8_0_refuses() {
    compare(ALL[2]);
}

#[test]
fn refuses_what_a_replica_of_valkey_8_1_refuses() {
    compare(ALL[3]);
}

#[test]
fn refuses_what_a_replica_of_valkey_9_1_refuses() {
    compare(ALL[4]);
}

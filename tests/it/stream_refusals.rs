//! Writes in the stream that a real replica refuses: the same bytes go to a replica of each version and to redtail. What the
//! version's command table refuses changes nothing on either side. What fails because of the data taints the keys of the command
//! and no others, because a primary sends no command that failed there.

use crate::client::{Reply, words};
use crate::scripted::stream;
use crate::servers::Server;
use crate::stream_forms::Follower;

/// The number of databases of a server, which is the number of cases compared at once.
const DATABASES: usize = 16;

/// A key of each type. `none` does not exist.
const KEYS: [&str; 9] = [
    "none", "text", "number", "list", "set", "hash", "zset", "stream", "sketch",
];

/// Creates [`KEYS`].
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

/// Writes in which each `K` stands for a key of every type in turn.
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
HINCRBY K b 1
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
XADD K 1-1 f v
XDEL K 1-1
XTRIM K MAXLEN = 0
XSETID K 9-9
XSETID K 0-1
XACK K g 1-1
XGROUP CREATE K g 0
XGROUP CREATE K g2 0
XGROUP CREATE K g2 0 MKSTREAM
XGROUP SETID K g 0
XGROUP SETID K none 0
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

/// Commands that servers refuse because of their number of words, their subcommand, or their name.
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

/// A write in the stream.
struct Case {
    line: String,
    /// The keys in the command.
    keys: Vec<&'static str>,
    /// Whether the write is inside a transaction.
    in_multi: bool,
}

impl Case {
    /// Creates [`KEYS`] in a database, then writes, then writes another key.
    fn bytes(&self, db: usize) -> Vec<u8> {
        let (select, line) = (format!("SELECT {db}"), &*self.line);
        let mut lines = vec![&*select, "FLUSHDB"];
        lines.extend(MADE);
        match self.in_multi {
            true => lines.extend(["MULTI", "SET before 1", line, "SET after 1", "EXEC"]),
            false => lines.extend([line, "SET after 1"]),
        }
        stream(&lines)
    }
}

/// Fills `template` with every combination of keys for each `K`. Of the string keys, only `text` and `sketch` are used after the
/// first place.
fn filled(template: &str) -> Vec<Case> {
    let mut cases = vec![(String::new(), Vec::new())];
    for (at, word) in template.split(' ').enumerate() {
        let blank = if at == 0 { "" } else { " " };
        let more = |(line, keys): &(String, Vec<&'static str>)| -> Vec<_> {
            if word != "K" {
                return vec![(format!("{line}{blank}{word}"), keys.clone())];
            }
            let fitting = KEYS
                .iter()
                .filter(|key| keys.is_empty() || **key != "number");
            let with = |key: &&'static str| {
                let keys = keys.iter().chain([key]).copied().collect();
                (format!("{line}{blank}{key}"), keys)
            };
            fitting.map(with).collect()
        };
        cases = cases.iter().flat_map(more).collect();
    }
    let case = |(line, keys)| Case {
        line,
        keys,
        in_multi: false,
    };
    cases.into_iter().map(case).collect()
}

fn lines(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.lines().filter(|line| !line.is_empty())
}

/// Returns the replies of a server of that version if a client sends the writes.
fn replies(name: &str, cases: &[Case]) -> Option<Vec<Reply>> {
    let server = Server::start(name, &[])?;
    let one = |case: &Case| {
        let before = ["FLUSHDB"].into_iter().chain(MADE);
        let all: Vec<_> = before.chain([&*case.line]).map(words).collect();
        all
    };
    let commands: Vec<_> = cases.iter().flat_map(one).collect();
    let replies = server.client().pipeline(&commands);
    let last = replies.chunks(MADE.len() + 2).map(|all| all.last());
    Some(last.map(|reply| reply.expect("a reply").clone()).collect())
}

/// Whether redtail fails on the destination of a move that servers do not check: the source does not exist, so they move nothing.
/// No primary sends such a move.
fn moves_nothing(case: &Case) -> bool {
    let own = match case.line.split(' ').next() {
        Some("RPOPLPUSH" | "LMOVE") => "list",
        Some("SMOVE") => "set",
        _ => return false,
    };
    case.keys[0] == "none" && !["none", own].contains(&case.keys[1])
}

/// Whether server `name` ran the command and failed on the existing data, or does not send the command to its replicas.
fn fails_on_data(name: &str, case: &Case, reply: &Reply) -> bool {
    // Redis 6.0 does not have this subcommand, but checks the key first.
    if name == "redis-6.0" && case.line.starts_with("XGROUP CREATECONSUMER ") {
        return false;
    }
    if !reply.is_error() {
        return moves_nothing(case);
    }
    let table = ["unknown", "Unknown", "wrong number"];
    let text = reply.text();
    !table.iter().any(|word| text.contains(word))
}

fn send(both: &mut [Follower; 2], bytes: &[u8]) {
    for follower in &mut *both {
        follower.send(bytes);
        follower.settle("refusals");
    }
}

/// Sends both the same bytes. Returns whether their data is equal.
fn agree(both: &mut [Follower; 2], bytes: &[u8]) -> bool {
    send(both, bytes);
    let [real, redtail] = both.each_ref().map(|follower| follower.ask("DEBUG DIGEST"));
    real == redtail
}

fn in_databases(cases: &[Case]) -> Vec<u8> {
    let bytes = cases
        .iter()
        .enumerate()
        .flat_map(|(db, case)| case.bytes(db));
    stream(&["FLUSHALL"]).into_iter().chain(bytes).collect()
}

/// The cases after which the data differs.
fn different(both: &mut [Follower; 2], cases: &[Case]) -> Vec<String> {
    let mut wrong = Vec::new();
    for group in cases.chunks(DATABASES) {
        if agree(both, &in_databases(group)) {
            continue;
        }
        for case in group {
            let case = std::slice::from_ref(case);
            if !agree(both, &in_databases(case)) {
                let is_tainted = both[1].ask("DEBUG DIGEST").contains("TAINTED");
                wrong.push(format!("{:?} tainted: {is_tainted}", case[0].line));
            }
        }
    }
    wrong
}

/// The cases after which one of their keys is not tainted, or another key differs from the real replica's.
fn not_tainted_alone(both: &mut [Follower; 2], cases: &[Case]) -> Vec<String> {
    let [mut real, mut redtail] = both.each_ref().map(|follower| follower.server.client());
    let mut wrong = Vec::new();
    for group in cases.chunks(DATABASES) {
        send(both, &in_databases(group));
        for (db, case) in group.iter().enumerate() {
            let rest = KEYS.iter().chain(&["other", "after"]);
            let rest: Vec<_> = rest
                .filter(|key| !case.keys.contains(key))
                .copied()
                .collect();
            let rest = format!("DEBUG DIGEST-VALUE {}", rest.join(" "));
            let asked = case.keys.iter().map(|key| words(&format!("DUMP {key}")));
            let asked: Vec<_> = [words(&format!("SELECT {db}")), words(&rest)]
                .into_iter()
                .chain(asked)
                .collect();
            let [real, redtail] = [real.pipeline(&asked[..2]), redtail.pipeline(&asked)];
            let is_tainted = |reply: &Reply| reply.text().starts_with("TAINTED");
            if real[1] != redtail[1] || !redtail[2..].iter().all(is_tainted) {
                wrong.push(format!("{:?}: {real:?} {redtail:?}", case.line));
            }
        }
    }
    wrong
}

fn compare(name: &str) {
    let (Some(real), Some(redtail)) = (Follower::real(name), Follower::redtail(name)) else {
        return;
    };
    let mut both = [real, redtail];
    let writes: Vec<Case> = lines(WRITES).flat_map(filled).collect();
    let Some(replies) = replies(name, &writes) else {
        return;
    };
    let (failing, same): (Vec<_>, Vec<_>) = writes
        .into_iter()
        .zip(replies)
        .partition(|(case, reply)| fails_on_data(name, case, reply));
    let failing: Vec<Case> = failing.into_iter().map(|(case, _)| case).collect();
    let mut same: Vec<Case> = same.into_iter().map(|(case, _)| case).collect();
    for in_multi in [false, true] {
        same.extend(
            lines(WORDS)
                .flat_map(filled)
                .map(|case| Case { in_multi, ..case }),
        );
    }
    let info = |both: &[Follower; 2], field: &str| {
        let value = both[1].server.client().info("redtail", field);
        value.expect("the field")
    };
    assert_eq!(different(&mut both, &same), [""; 0], "{name}");
    assert_eq!(info(&both, "redtail_failed_writes"), "0", "{name}");
    assert_eq!(not_tainted_alone(&mut both, &failing), [""; 0], "{name}");
    let failed = failing.len().to_string();
    assert_eq!(info(&both, "redtail_failed_writes"), failed, "{name}");
    let names = info(&both, "redtail_passed_over_names");
    for counted in ["sadd", "xgroup", "incr", "set"] {
        assert!(
            names.contains(&format!("a refused {counted}=")),
            "{name}: {names}"
        );
    }
    let log = both[1].server.log();
    for line in [
        "what=\"a refused sadd\" count=1 ",
        "a write could not be applied",
    ] {
        assert!(log.contains(line), "{name}: {line}");
    }
}

#[test]
fn refuses_what_a_replica_of_redis_6_0_refuses() {
    compare("redis-6.0");
}

#[test]
fn refuses_what_a_replica_of_redis_7_0_refuses() {
    compare("redis-7.0");
}

#[test]
fn refuses_what_a_replica_of_redis_7_4_refuses() {
    compare("redis-7.4");
}

#[test]
fn refuses_what_a_replica_of_redis_8_0_refuses() {
    compare("redis-8.0");
}

#[test]
fn refuses_what_a_replica_of_redis_8_2_refuses() {
    compare("redis-8.2");
}

#[test]
fn refuses_what_a_replica_of_valkey_8_1_refuses() {
    compare("valkey-8.1");
}

#[test]
fn refuses_what_a_replica_of_valkey_9_1_refuses() {
    compare("valkey-9.1");
}

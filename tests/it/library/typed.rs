//! Typed reads answer what a real server replies to the same command on the same data, whatever the key holds.

use super::*;
use redtail::rdb::StreamId;
use redtail::{Expiry, Moment, Place, StreamEntry};
use std::ops::Bound;
use std::time::UNIX_EPOCH;

/// A server's reply as [`show`] prints it. What has no order is sorted.
fn wire(reply: &crate::client::Reply, sorts: bool) -> String {
    let all = |width: usize| {
        let shown = reply
            .elements()
            .iter()
            .map(|one| wire(one, false))
            .collect();
        joined(shown, width, sorts)
    };
    match reply.0[0] {
        b'_' => "nil".to_owned(),
        b':' => format!(":{}", reply.text()),
        b',' => format!(",{}", reply.text().parse::<f64>().unwrap()),
        b'*' => format!("[{}]", all(1)),
        b'~' => format!("{{{}}}", all(1)),
        b'%' => format!("<{}>", all(2)),
        b'-' => format!("-{}", reply.text()),
        _ => reply.text(),
    }
}

fn joined(words: Vec<String>, width: usize, sorts: bool) -> String {
    let mut groups: Vec<String> = words.chunks(width).map(|group| group.join(" ")).collect();
    if sorts {
        groups.sort();
    }
    groups.join(" ")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn or_nil(bytes: Option<Vec<u8>>) -> String {
    bytes.map_or_else(|| "nil".to_owned(), |bytes| text(&bytes))
}

fn list(words: Vec<String>) -> String {
    format!("[{}]", words.join(" "))
}

fn scored(members: Vec<(Vec<u8>, f64)>) -> String {
    list(
        members
            .into_iter()
            .map(|(member, score)| format!("[{} ,{score}]", text(&member)))
            .collect(),
    )
}

fn entries(entries: Vec<StreamEntry>) -> String {
    let entry = |StreamEntry { id, fields }: StreamEntry| {
        let words = fields.into_iter().flat_map(|(name, value)| [name, value]);
        let words = words.map(|word| text(&word)).collect();
        format!("[{id} {}]", list(words))
    };
    list(entries.into_iter().map(entry).collect())
}

fn count(number: usize) -> String {
    format!(":{number}")
}

fn told<T>(result: Result<T, Error>, show: impl FnOnce(T) -> String) -> String {
    result.map_or_else(|error| format!("-{error}"), show)
}

/// A read of each kind: the command, and what the typed read of it returns, shown as a reply. True if it has no order.
fn reads(db: Database<'_, impl Place>, key: &str) -> Vec<(String, String, bool)> {
    let mut found = Vec::new();
    let mut note = |line: &str, shown: String| {
        let sorts = line.starts_with("HGETALL") || line.starts_with("SMEMBERS");
        found.push((line.replace("{}", key), shown, sorts));
    };
    note("GET {}", told(db.get(key), or_nil));
    note("STRLEN {}", told(db.strlen(key), count));
    for (start, end) in [
        (0, -1),
        (1, 3),
        (-3, -2),
        (-2, -3),
        (5, 2),
        (0, 1000),
        (i64::MIN, i64::MAX),
    ] {
        let places = format!("{{}} {start} {end}");
        note(
            &format!("GETRANGE {places}"),
            told(db.getrange(key, start, end), |part| text(&part)),
        );
        let elements = told(db.lrange(key, start, end), |all| {
            list(all.iter().map(|one| text(one)).collect())
        });
        note(&format!("LRANGE {places}"), elements);
        let members = told(db.zrange(key, start, end), scored);
        note(&format!("ZRANGE {places} WITHSCORES"), members);
    }
    note("HGET {} f1", told(db.hget(key, "f1"), or_nil));
    note("HGET {} none", told(db.hget(key, "none"), or_nil));
    let several = told(db.hmget(key, &["f2", "none", "f1"]), |values| {
        list(values.into_iter().map(or_nil).collect())
    });
    note("HMGET {} f2 none f1", several);
    let fields = told(db.hgetall(key), |fields| {
        let words = fields
            .iter()
            .flat_map(|(name, value)| [text(name), text(value)]);
        format!("<{}>", joined(words.collect(), 2, true))
    });
    note("HGETALL {}", fields);
    note("HLEN {}", told(db.hlen(key), count));
    note(
        "HEXISTS {} f1",
        told(db.hexists(key, "f1"), |is| count(is.into())),
    );
    for index in [0, 1, -1, 7, -1000] {
        note(
            &format!("LINDEX {{}} {index}"),
            told(db.lindex(key, index), or_nil),
        );
    }
    note("LLEN {}", told(db.llen(key), count));
    let members = told(db.smembers(key), |members| {
        let words = members.iter().map(|member| text(member)).collect();
        format!("{{{}}}", joined(words, 1, true))
    });
    note("SMEMBERS {}", members);
    for member in ["m1", "7", "none"] {
        let is_there = db.sismember(key, member);
        note(
            &format!("SISMEMBER {{}} {member}"),
            told(is_there, |is| count(is.into())),
        );
        let score =
            |score: Option<f64>| score.map_or("nil".to_owned(), |score| format!(",{score}"));
        note(
            &format!("ZSCORE {{}} {member}"),
            told(db.zscore(key, member), score),
        );
        let rank = |rank: Option<usize>| rank.map_or("nil".to_owned(), count);
        note(
            &format!("ZRANK {{}} {member}"),
            told(db.zrank(key, member), rank),
        );
    }
    note("SCARD {}", told(db.scard(key), count));
    note("ZCARD {}", told(db.zcard(key), count));
    let by_score = |line: &str, range: (Bound<f64>, Bound<f64>)| {
        (
            format!("ZRANGEBYSCORE {{}} {line} WITHSCORES"),
            told(db.zrange_by_score(key, range), scored),
        )
    };
    for (line, shown) in [
        by_score("-inf +inf", (Bound::Unbounded, Bound::Unbounded)),
        by_score("2 (4", (Bound::Included(2.0), Bound::Excluded(4.0))),
        by_score("(2 4.5", (Bound::Excluded(2.0), Bound::Included(4.5))),
        by_score("9 1", (Bound::Included(9.0), Bound::Included(1.0))),
        by_score("-inf 3", (Bound::Unbounded, Bound::Included(3.0))),
    ] {
        note(&line, shown);
    }
    let id = |ms| StreamId::new(ms, 0);
    note("XRANGE {} - +", told(db.xrange(key, .., None), entries));
    note(
        "XRANGE {} 2-0 4-0",
        told(db.xrange(key, id(2)..=id(4), None), entries),
    );
    note(
        "XRANGE {} 2-0 (4-0",
        told(db.xrange(key, id(2)..id(4), None), entries),
    );
    let after = (Bound::Excluded(id(2)), Bound::Unbounded);
    note(
        "XRANGE {} (2-0 + COUNT 2",
        told(db.xrange(key, after, Some(2)), entries),
    );
    note("XLEN {}", told(db.xlen(key), count));
    note("EXISTS {}", told(db.exists(key), |is| count(is.into())));
    let kind = told(db.type_of(key), |kind| {
        kind.unwrap_or("none".into()).into_owned()
    });
    note("TYPE {}", kind);
    let expiry = told(db.expires_at(key), |expiry| match expiry {
        Expiry::NoKey => ":-2".to_owned(),
        Expiry::Never => ":-1".to_owned(),
        Expiry::At(at) => format!(":{}", at.duration_since(UNIX_EPOCH).unwrap().as_millis()),
    });
    note("PEXPIRETIME {}", expiry);
    let texts = told(db.mget(&[key, "none", "s"]), |texts| {
        list(texts.into_iter().map(or_nil).collect())
    });
    note("MGET {} none s", texts);
    note("DBSIZE", told(db.dbsize(), count));
    found
}

/// The keys that [`fill`] writes, and one that it does not.
const KEYS: [&str; 15] = [
    "s", "int", "empty", "h", "hh", "l", "ll", "set", "ints", "sset", "z", "zz", "x", "xx", "none",
];

/// Writes values of each type, small and large ones.
fn fill(primary: &Server) {
    let mut lines: Vec<String> = [
        "SET s hello-world",
        "SET int -12345",
        "SETRANGE empty 0 x",
        "SET empty x EX 10000",
        "HSET h f1 1 f2 two f3 -3",
        "RPUSH l a 2 c -4 e",
        "SADD set m1 m2 7",
        "SADD ints 1 7 9",
        "ZADD z 1 m1 2 m2 2.5 7 4 m4 -inf low inf high",
        "XADD x 1-0 a 1",
        "XADD x 2-0 a 1 b two",
        "XADD x 4-0 c 3",
        "XDEL x 1-0",
        "PEXPIRE z 100000000",
    ]
    .map(str::to_owned)
    .to_vec();
    for number in 0..700 {
        lines.push(format!("HSET hh f{number} value{number}"));
        lines.push(format!("RPUSH ll element{number}"));
        lines.push(format!("SADD sset m{number}"));
        lines.push(format!("ZADD zz {} m{number}", number % 7));
        lines.push(format!("XADD xx {}-0 f {number}", number + 1));
    }
    let lines: Vec<_> = lines.iter().map(|line| words(line)).collect();
    let replies = primary.client().pipeline(&lines);
    assert!(replies.iter().all(|reply| !reply.is_error()));
}

/// Compares each read of each key with what the primary replies.
fn compare(primary: &Server, db: Database<'_, impl Place>) {
    let mut client = primary.client().resp3();
    for key in KEYS {
        for (line, shown, sorts) in reads(db, key) {
            let theirs = wire(&client.command(&line), sorts);
            assert_eq!(shown, theirs, "{line}");
        }
    }
}

#[test]
fn typed_reads_answer_what_a_server_replies() {
    for name in ["redis-7.0", "redis-8.2", "valkey-9.1"] {
        let Some(primary) = Server::start(name, &[]) else {
            return;
        };
        fill(&primary);
        let runtime = runtime();
        let replica = follow(&runtime, config(&primary));
        // As loaded, and as written by the stream.
        compare(&primary, replica.database(0));
        primary.command("FLUSHALL");
        fill(&primary);
        caught_up(&replica, &primary);
        compare(&primary, replica.database(0));
        let in_a_moment = replica.at_one_moment(|moment: &Moment<'_>| {
            compare(&primary, moment.database(0));
            Ok(())
        });
        assert_eq!(in_a_moment, Ok(()));
    }
}

#[test]
fn what_has_expired_is_hidden_from_typed_reads() {
    let Some(primary) = Server::start("redis-8.2", &[]) else {
        return;
    };
    primary.command("DEBUG SET-ACTIVE-EXPIRE 0");
    for line in [
        "HSET h f1 1 f2 2",
        "SET s 1",
        "SET lasts 1 PX 600000",
        "RPUSH l a",
    ] {
        primary.command(line);
    }
    let runtime = runtime();
    let replica = follow(&runtime, config(&primary));
    for line in ["HPEXPIRE h 20 FIELDS 1 f1", "PEXPIRE s 20", "PEXPIRE l 20"] {
        primary.command(line);
    }
    caught_up(&replica, &primary);
    wait_until("the expiry", || replica.exists("s") == Ok(false));
    wait_until("the field's", || replica.hexists("h", "f1") == Ok(false));
    wait_until("the list's", || replica.llen("l") == Ok(0));
    assert_eq!(replica.hgetall("h"), Ok(vec![(bytes("f2"), bytes("2"))]));
    assert_eq!(
        replica.hmget("h", &["f1", "f2"]),
        Ok(vec![None, Some(bytes("2"))])
    );
    assert_eq!(replica.hlen("h"), Ok(2), "servers count it, too");
    assert_eq!((replica.get("s"), replica.strlen("s")), (Ok(None), Ok(0)));
    assert_eq!(
        (replica.ttl("s"), replica.type_of("s")),
        (Ok(Expiry::NoKey), Ok(None))
    );
    let Ok(Expiry::At(left)) = replica.ttl("lasts") else {
        panic!("{:?}", replica.ttl("lasts"));
    };
    let most = Duration::from_secs(600);
    assert!(left <= most && left > most / 2, "{left:?}");
    assert_eq!(replica.ttl("h"), Ok(Expiry::Never));
    assert_eq!(replica.dbsize(), Ok(4), "servers count expired keys");
    let walked: Result<Vec<_>, _> = replica.database(0).hscan("h").collect();
    assert_eq!(walked, Ok(vec![(bytes("f2"), bytes("2"))]));
}

#[test]
fn borrowed_values_are_the_copied_ones() {
    let Some(primary) = Server::start("valkey-8.1", &[]) else {
        return;
    };
    fill(&primary);
    let runtime = runtime();
    let replica = follow(&runtime, config(&primary));
    let length = replica.hget_with("h", "f2", |value| value.map(<[u8]>::len));
    assert_eq!(length, Ok(Some(3)));
    let mut fields = Vec::new();
    let each = |name: &[u8], value: &[u8]| fields.push((name.to_vec(), value.to_vec()));
    assert_eq!(replica.hgetall_with("hh", each), Ok(()));
    assert_eq!(replica.hgetall("hh"), Ok(fields));
    let mut elements = Vec::new();
    let each = |element: &[u8]| elements.push(element.to_vec());
    assert_eq!(replica.lrange_with("ll", 100, 199, each), Ok(()));
    assert_eq!(replica.lrange("ll", 100, 199), Ok(elements));
    let mut members = Vec::new();
    assert_eq!(
        replica.smembers_with("ints", |member| members.push(member.to_vec())),
        Ok(())
    );
    assert_eq!(replica.smembers("ints"), Ok(members));
    let mut members = Vec::new();
    let each = |member: &[u8], score| members.push((member.to_vec(), score));
    assert_eq!(replica.zrange_with("zz", 0, 99, each), Ok(()));
    assert_eq!(replica.zrange("zz", 0, 99), Ok(members));
    let mut texts = Vec::new();
    let each = |index, text: Option<&[u8]>| texts.push((index, text.map(<[u8]>::to_vec)));
    assert_eq!(replica.mget_with(&["int", "none", "l"], each), Ok(()));
    assert_eq!(texts, [(0, Some(bytes("-12345"))), (1, None), (2, None)]);
}

#[test]
fn typed_reads_have_no_answer_where_there_is_none() {
    let Some(primary) = Server::start("redis-6.0", &["--lua-replicate-commands", "no"]) else {
        return;
    };
    primary.command("HSET h f 1");
    let runtime = runtime();
    let replica = follow(&runtime, config(&primary));
    let nan = replica.zrange_by_score("z", f64::NAN..);
    is_reply(nan, "ERR min or max is not a float");
    is_reply(
        replica.database(16).hget("h", "f"),
        "ERR DB index is out of range",
    );
    is_reply(
        replica.at_one_moment(|moment| moment.database(16).hget("h", "f")),
        "ERR DB index is out of range",
    );
    let script = "redis.call('sadd', 's', 1, 2, 3) redis.call('spop', 's')";
    primary.client().words(&[b"EVAL", script.as_bytes(), b"0"]);
    wait_until("the taint", || {
        replica.hget("h", "f") == Err(Error::Tainted)
    });
    let unread = |_: Option<&[u8]>| panic!("it is not called");
    assert_eq!(
        replica.hget_with("h", "f", unread),
        Err::<(), _>(Error::Tainted)
    );
    assert_eq!(replica.exists("h"), Err(Error::Tainted));
    assert_eq!(replica.dbsize(), Err(Error::Tainted));
    let in_a_moment = replica.at_one_moment(|moment| moment.hgetall("h"));
    assert_eq!(in_a_moment, Err(Error::Tainted));
    assert_eq!(
        replica.database(0).sscan("h").next(),
        Some(Err(Error::Tainted))
    );
    runtime.block_on(replica.stop());
    assert_eq!(replica.llen("l"), Err(Error::Stopped));
    assert_eq!(replica.at_one_moment(|_| Ok(())), Err(Error::Stopped));
}

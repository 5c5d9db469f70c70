//! OBJECT IDLETIME with `--track-access`: a command uses a key if it does so on a real replica.
//!
//! Integers are large here, because on a server small integers that share a value also share an access time.

use std::thread::sleep;
use std::time::Duration;

use crate::servers::{ALL, Server};

/// The seconds for which keys rest before they are used. Less than half of that counts as recent.
const REST_S: u64 = 4;

/// Pairs of commands with a key in place of `{}`: one that creates the key, and one that is sent to the followers.
const READS: &[(&str, &str)] = &[
    ("SET {} v", "GET {}"),
    ("SET {} v", "STRLEN {}"),
    ("SET {} v", "MGET none {}"),
    ("SET {} v", "GETRANGE {} 0 1"),
    ("SET {} v", "BITCOUNT {}"),
    ("SET {} v", "TYPE {}"),
    ("SET {} v", "TTL {}"),
    ("SET {} v", "PTTL {}"),
    ("SET {} v", "EXPIRETIME {}"),
    ("SET {} v", "EXISTS {}"),
    ("SET {} v", "TOUCH {}"),
    ("SET {} v", "DUMP {}"),
    ("SET {} v", "OBJECT ENCODING {}"),
    ("SET {} v", "OBJECT REFCOUNT {}"),
    ("SET {} v", "OBJECT FREQ {}"),
    ("SET {} v", "OBJECT IDLETIME {}"),
    ("SET {} v", "MEMORY USAGE {}"),
    ("SET {} v", "HGET {} f"),
    ("SET {} v", "SCAN 0 COUNT 10000"),
    ("SET {} v", "SCAN 0 COUNT 10000 TYPE string"),
    ("SET {} v", "KEYS *"),
    ("SET {} v", "LCS {} {}"),
    ("SET {} v", "WATCH {}"),
    ("SET {} v EX 1000", "GET {}"),
    ("SET {} v EX 1000", "TTL {}"),
    ("SET {} 50000", "GET {}"),
    ("HSET {} f v", "HGET {} f"),
    ("HSET {} f v", "HGETALL {}"),
    ("HSET {} f v", "HLEN {}"),
    ("HSET {} f v", "HSCAN {} 0"),
    ("HSET {} f v", "HRANDFIELD {}"),
    ("HSET {} f v", "HTTL {} FIELDS 1 f"),
    ("SADD {} a", "SMEMBERS {}"),
    ("SADD {} a", "SCARD {}"),
    ("SADD {} a", "SINTER {} none"),
    ("SADD {} a", "SINTER {}"),
    ("SADD {} a", "SUNION none {}"),
    ("ZADD {} 1 a", "ZRANGE {} 0 -1"),
    ("ZADD {} 1 a", "ZSCORE {} a"),
    ("ZADD {} 1 a", "GEOPOS {} a"),
    ("RPUSH {} a", "LRANGE {} 0 -1"),
    ("RPUSH {} a", "LLEN {}"),
    ("RPUSH {} a", "SORT_RO {}"),
    ("XADD {} 1-1 f v", "XRANGE {} - +"),
    ("XADD {} 1-1 f v", "XLEN {}"),
    ("XADD {} 1-1 f v", "XINFO STREAM {}"),
    ("XADD {} 1-1 f v", "XREAD STREAMS {} 0"),
];

/// The same with writes on the primary.
const WRITES: &[(&str, &str)] = &[
    ("SET {} 50000", "INCR {}"),
    ("SET {} 50000", "APPEND {} x"),
    ("SET {} 50000", "EXPIRE {} 1000"),
    ("SET {} 50000 EX 1000", "PERSIST {}"),
    ("SET {} 50000", "SET {} 60000"),
    ("SET {} 50000", "COPY {} copy"),
    ("HSET {} f v", "HSET {} g v"),
    ("HSET {} f v", "HPEXPIRE {} 100000 FIELDS 1 f"),
    ("SADD {} a b", "SREM {} a"),
    ("SADD {} a", "SUNIONSTORE union {}"),
    ("ZADD {} 1 a", "ZADD {} 2 b"),
    ("RPUSH {} a b", "LPOP {}"),
    ("RPUSH {} a", "LPUSH {} b"),
    ("XADD {} 1-1 f v", "XADD {} 2-1 f v"),
    ("XADD {} 1-1 f v", "XGROUP CREATE {} g 0"),
    ("SET {} v", "RENAME {} renamed"),
    ("SET {} v", "SWAPDB 1 2"),
];

fn key(kind: &str, at: usize) -> String {
    format!("{kind}:{at}")
}

fn make(primary: &Server, kind: &str, rows: &[(&str, &str)]) {
    let mut client = primary.client();
    for (at, (make, _)) in rows.iter().enumerate() {
        let reply = client.command(&make.replace("{}", &key(kind, at)));
        assert!(!reply.is_error(), "{make}");
    }
}

fn idle_s(server: &Server, key: &str) -> Option<i64> {
    server.command(&format!("OBJECT IDLETIME {key}")).integer()
}

/// Whether a key was used recently; `None` if the key does not exist.
fn is_recent(server: &Server, key: &str) -> Option<bool> {
    let half = i64::try_from(REST_S / 2).unwrap();
    idle_s(server, key).map(|idle| idle < half)
}

fn assert_used_alike(redtail: &Server, replica: &Server, kind: &str, rows: &[(&str, &str)]) {
    for (at, (make, line)) in rows.iter().enumerate() {
        let [found, expected] = [redtail, replica].map(|server| is_recent(server, &key(kind, at)));
        assert_eq!(found, expected, "{make}, {line}");
    }
}

#[test]
fn what_uses_a_key_is_what_uses_it_on_a_real_replica() {
    for name in ALL {
        let Some(primary) = Server::start(name, &[]) else {
            return;
        };
        make(&primary, "loaded", READS);
        let replica = Server::replica(name, &primary).unwrap();
        let redtail = Server::redtail_with(&primary, &["--track-access", "yes"]);
        make(&primary, "streamed", READS);
        make(&primary, "written", WRITES);
        make(&primary, "quiet", READS);
        for server in [&replica, &redtail] {
            server.wait_in_sync(&primary);
        }
        sleep(Duration::from_secs(REST_S));
        for (at, (_, line)) in WRITES.iter().enumerate() {
            primary.command(&line.replace("{}", &key("written", at)));
        }
        for server in [&replica, &redtail] {
            let (mut client, mut quiet) = (server.client(), server.client());
            quiet.command("CLIENT NO-TOUCH ON");
            for (at, (_, line)) in READS.iter().enumerate() {
                client.command(&line.replace("{}", &key("loaded", at)));
                client.command(&line.replace("{}", &key("streamed", at)));
                quiet.command(&line.replace("{}", &key("quiet", at)));
            }
            server.wait_in_sync(&primary);
        }
        for kind in ["loaded", "streamed", "quiet"] {
            assert_used_alike(&redtail, &replica, kind, READS);
        }
        assert_used_alike(&redtail, &replica, "written", WRITES);
        for key in ["copy", "union", "renamed"] {
            let [found, expected] = [&redtail, &replica].map(|server| is_recent(server, key));
            assert_eq!(found, expected, "{name}: {key}");
        }
    }
}

#[test]
fn idle_times_of_snapshots_and_of_restore_are_taken_over() {
    for name in ALL {
        let policy = ["--maxmemory", "1gb", "--maxmemory-policy", "allkeys-lru"];
        let Some(primary) = Server::start(name, &policy) else {
            return;
        };
        let mut client = primary.client();
        client.command("SET source v");
        let payload = client.command("DUMP source").bulk().unwrap();
        let mut restore = |key: &str| {
            let words: [&[u8]; 6] = [
                b"RESTORE",
                key.as_bytes(),
                b"0",
                &payload,
                b"IDLETIME",
                b"1000",
            ];
            assert!(!client.words(&words).is_error());
        };
        restore("loaded");
        let replica = Server::replica(name, &primary).unwrap();
        let redtail = Server::redtail_with(&primary, &["--track-access", "yes"]);
        restore("streamed");
        for server in [&replica, &redtail] {
            server.wait_in_sync(&primary);
        }
        for (key, least) in [("loaded", 1000), ("streamed", 1000), ("source", 0)] {
            let [found, expected] = [&redtail, &replica].map(|server| idle_s(server, key).unwrap());
            assert!(
                found.abs_diff(expected) < 10 && found >= least,
                "{name}: {key}: {found}, {expected}"
            );
        }
    }
}

#[test]
fn without_the_setting_the_error_names_it() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    primary.command("SET k v");
    let redtail = Server::redtail(&primary);
    let reply = redtail.command("OBJECT IDLETIME k").text();
    assert!(reply.contains("--track-access"), "{reply}");
    let setting = redtail.command("CONFIG GET track-access").elements();
    assert_eq!(setting[1].text(), "no");
    let absent = "OBJECT IDLETIME none";
    assert_eq!(redtail.command(absent), primary.command(absent));
}

//! Compares every key of a large keyspace before and after random writes. REDTAIL_ORACLE_KEYS sets the number of keys (default
//! 100,000). The number of writes is a tenth of it.

use crate::client::{Client, Reply, show, words};
use crate::oracle::scan;
use crate::servers::Server;

/// Fills a database with a script: a twentieth of the keys for each of five collection types, and strings for the rest.
const FILL: &str = "for i = ARGV[1], ARGV[2] do local k, t = 'key:' .. i, i % 20 \
    if t < 14 then redis.call('SET', k, string.rep('v', i % 60) .. i) \
    elseif t < 15 then redis.call('SET', k, i - 5000) \
    elseif t == 15 then redis.call('RPUSH', k, i, 'b', 'c' .. i, string.rep('d', i % 90)) \
    elseif t == 16 then redis.call('SADD', k, i, i * 7, i % 3 == 0 and 'x' or '5') \
    elseif t == 17 then redis.call('HSET', k, 'id', i, 'name', 'n' .. i, 'pad', string.rep('p', i % 80)) \
    elseif t == 18 then redis.call('ZADD', k, i / 8, 'a', i, 'b', -i, 'c') \
    else redis.call('XADD', k, i .. '-1', 'f', i) end \
    if i % 10 == 0 then redis.call('PEXPIREAT', k, '4102444800000') end end";

fn size() -> u32 {
    std::env::var("REDTAIL_ORACLE_KEYS")
        .ok()
        .and_then(|keys| keys.parse().ok())
        .unwrap_or(100_000)
}

/// The read that shows a whole key of the type that key `i` had at first.
fn read(i: u32) -> Vec<Vec<u8>> {
    words(&match i % 20 {
        15 => format!("LRANGE key:{i} 0 -1"),
        16 => format!("SMEMBERS key:{i}"),
        17 => format!("HGETALL key:{i}"),
        18 => format!("ZRANGE key:{i} 0 -1 WITHSCORES"),
        19 => format!("XRANGE key:{i} - +"),
        _ => format!("GET key:{i}"),
    })
}

/// A write to a random key.
fn write(rng: &mut fastrand::Rng, keys: u32) -> String {
    let (i, n) = (rng.u32(1..=keys), rng.u32(0..100));
    match (rng.u32(0..10), i % 20) {
        (0, _) => format!("DEL key:{i}"),
        (1, _) => format!("PEXPIREAT key:{i} {}", 4_102_444_800_000_u64 + u64::from(n)),
        (2, _) => format!("PERSIST key:{i}"),
        (3, 15) => format!("LPOP key:{i}"),
        (3, 16) => format!("SREM key:{i} {i} x"),
        (3, 17) => format!("HDEL key:{i} name"),
        (3, 18) => format!("ZREM key:{i} b"),
        (_, 15) => format!("LPUSH key:{i} {n} element-{n}"),
        (_, 16) => format!("SADD key:{i} {n} m{n}"),
        (_, 17) => format!("HINCRBY key:{i} f{n} {n}"),
        (_, 18) => format!("ZINCRBY key:{i} {n}.5 m{n}"),
        (_, 19) => format!("XADD key:{i} * g {n}"),
        (_, 14) => format!("INCRBY key:{i} {n}"),
        (4, _) => format!("APPEND key:{i} {n}"),
        (5, _) => format!("RENAME key:{i} moved:{i}"),
        _ => format!("SET key:{i} {n}"),
    }
}

fn compare(primary: &Server, redtail: &Server, keys: u32) {
    redtail.wait_in_sync(primary);
    let (mut primary, mut redtail) = (primary.client(), redtail.client());
    for database in [0, 3] {
        for client in [&mut primary, &mut redtail] {
            client.command(&format!("SELECT {database}"));
        }
        let size = primary.command("DBSIZE");
        assert_eq!(redtail.command("DBSIZE"), size);
        let mut scanned = scan(&mut redtail, &words("SCAN 0 COUNT 1000"), 1);
        scanned.sort();
        scanned.dedup();
        assert_eq!(Some(scanned.len() as i64), size.integer());
        for first in (1..=keys).step_by(100) {
            compare_some(
                &mut primary,
                &mut redtail,
                first..(first + 100).min(keys + 1),
            );
        }
    }
}

fn compare_some(primary: &mut Client, redtail: &mut Client, keys: std::ops::Range<u32>) {
    let commands: Vec<_> = keys
        .flat_map(|i| [read(i), words(&format!("PEXPIRETIME key:{i}"))])
        .collect();
    let (expected, found) = (primary.pipeline(&commands), redtail.pipeline(&commands));
    for ((command, expected), found) in commands.iter().zip(expected).zip(found) {
        assert!(
            same(command, &expected, &found),
            "{}: {expected:?} but {found:?}",
            show(command)
        );
    }
}

/// Sets and hashes may be tables, whose order is not comparable.
fn same(command: &[Vec<u8>], expected: &Reply, found: &Reply) -> bool {
    let width = match command[0].as_slice() {
        b"SMEMBERS" => 1,
        b"HGETALL" => 2,
        _ => return expected == found,
    };
    expected.sorted(width) == found.sorted(width)
}

#[test]
fn a_large_keyspace_equals_the_primarys() {
    let keys = size();
    let Some(primary) = Server::start("redis-7.0", &["--repl-backlog-size", "256mb"]) else {
        return;
    };
    let mut writer = primary.client();
    for database in ["0", "3"] {
        writer.command(&format!("SELECT {database}"));
        let (first, last) = if database == "0" {
            (1, keys / 4 * 3)
        } else {
            (keys / 4 * 3 + 1, keys)
        };
        let reply = writer.words(&[
            b"EVAL",
            FILL.as_bytes(),
            b"0",
            first.to_string().as_bytes(),
            last.to_string().as_bytes(),
        ]);
        assert!(!reply.is_error(), "{reply:?}");
    }
    let redtail = Server::redtail(&primary);
    compare(&primary, &redtail, keys);

    let mut rng = fastrand::Rng::with_seed(1);
    let mut lines = Vec::new();
    for i in 0..keys / 10 {
        match i % 50 {
            0 => lines.push(words(&format!("SELECT {}", if rng.bool() { 0 } else { 3 }))),
            10 => lines.push(words("MULTI")),
            20 => lines.push(words("EXEC")),
            _ => lines.push(words(&write(&mut rng, keys))),
        }
    }
    lines.push(words("EXEC"));
    writer.pipeline(&lines);
    compare(&primary, &redtail, keys);
    assert_eq!(
        primary.client().info("stats", "sync_full").as_deref(),
        Some("1")
    );
}

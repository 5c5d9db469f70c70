//! Encodings change at the same thresholds as in a real replica with the same settings.

use crate::client::words;
use crate::servers::{ALL, Server};

/// Settings, by the names that every version accepts. Versions with listpack sets have two more.
const SETTINGS: &[&str] = &[
    "hash-max-ziplist-entries",
    "hash-max-ziplist-value",
    "list-max-ziplist-size",
    "set-max-intset-entries",
    "stream-node-max-entries",
    "stream-node-max-bytes",
    "zset-max-ziplist-entries",
    "zset-max-ziplist-value",
];

/// Combinations of values for them.
const CHOICES: &[[i64; 8]] = &[
    [4, 8, -1, 4, 3, 100, 4, 8],
    [0, 64, 3, 0, 0, 0, 0, 64],
    [5, 0, 1, 5, 100, 4096, 5, 0],
    [7, 5, 0, 3, 1, 1, 7, 5],
    [6, 70, -5, 6, 4, 64, 6, 70],
    [512, 64, -3, 512, 100, 4096, 128, 64],
];

/// Each combination's two limits for listpack sets.
const SET_CHOICES: &[[i64; 2]] = &[[4, 8], [0, 64], [5, 0], [3, 5], [9, 70], [128, 64]];

fn settings(name: &str, choice: usize) -> Vec<(&'static str, i64)> {
    let mut all: Vec<_> = SETTINGS.iter().copied().zip(CHOICES[choice]).collect();
    if name != "redis-6.0" && name != "redis-7.0" {
        let names = ["set-max-listpack-entries", "set-max-listpack-value"];
        all.extend(names.into_iter().zip(SET_CHOICES[choice]));
    }
    all
}

fn config(server: &Server, settings: &[(&str, i64)]) {
    for (name, value) in settings {
        let reply = server.command(&format!("CONFIG SET {name} {value}"));
        assert_eq!(reply.text(), "OK", "{name} {value}");
    }
}

/// Returns `count` elements: numbers, or words of `length` bytes.
fn elements(count: usize, length: usize, numbers: bool) -> Vec<String> {
    (0..count)
        .map(|number| match (numbers, length) {
            (true, _) => (number * 37).to_string(),
            (_, 0..=3) => format!("{number:a>length$}"),
            _ => format!("m{number:x>width$}", width = length - 1),
        })
        .collect()
}

/// Writes around every threshold: element by element, all at once, and with removals.
fn writes() -> Vec<String> {
    let mut lines = Vec::new();
    let counts = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 127, 128, 129, 512, 513];
    for (count, length) in counts.iter().map(|count| (*count, 4)).chain([
        (2, 7),
        (2, 8),
        (2, 9),
        (3, 63),
        (3, 64),
        (3, 65),
        (2, 70),
        (2, 71),
    ]) {
        for numbers in [false, true] {
            let key = format!("{count}:{length}:{numbers}");
            let elements = elements(count, length, numbers);
            let pairs: Vec<String> = elements.iter().map(|e| format!("{e} {e}")).collect();
            let scored: Vec<String> = elements.iter().map(|e| format!("1.5 {e}")).collect();
            lines.push(format!("SADD set:{key} {}", elements.join(" ")));
            lines.push(format!("HSET hash:{key} {}", pairs.join(" ")));
            lines.push(format!("ZADD zset:{key} {}", scored.join(" ")));
            lines.push(format!("RPUSH list:{key} {}", elements.join(" ")));
            for element in elements.iter().take(if count > 200 { 0 } else { count }) {
                lines.push(format!("SADD one:set:{key} {element}"));
                lines.push(format!("HSET one:hash:{key} {element} x"));
                lines.push(format!("ZADD one:zset:{key} 2 {element}"));
                lines.push(format!("LPUSH one:list:{key} {element}"));
                lines.push(format!("XADD one:stream:{key} * f {element}"));
            }
            lines.push(format!("SUNIONSTORE union:{key} set:{key} set:{key}"));
            lines.push(format!("SINTERSTORE inter:{key} set:{key} set:{key}"));
            lines.push(format!("SDIFFSTORE diff:{key} set:{key} none"));
            lines.push(format!("ZUNIONSTORE zunion:{key} 2 set:{key} zset:{key}"));
            lines.push(format!("ZRANGESTORE zrange:{key} zset:{key} 0 -1"));
            lines.push(format!("RPOP one:list:{key}"));
            lines.push(format!("LSET list:{key} 0 {}", "y".repeat(length + 1)));
        }
    }
    // Long lists, with nodes of 4 KiB and more.
    for bytes in [4000, 4090, 4096, 8180, 8192, 8200, 32_768, 70_000] {
        let element = "z".repeat(bytes);
        lines.push(format!("RPUSH long:{bytes} a {element} b"));
        lines.push(format!("LINSERT long:{bytes} BEFORE b {element}"));
        lines.push(format!(
            "RPUSH short:{bytes} {}",
            vec!["w".repeat(90); bytes / 90].join(" ")
        ));
    }
    lines
}

/// Encodings whose elements have a defined order. Their DUMPs must be equal, which also checks where a list's nodes end. Redis
/// 6.0 is exempt, because its nodes are ziplists and measured as such.
const ORDERED: &[&str] = &["listpack", "ziplist", "intset", "quicklist", "stream"];

/// Every key with its encoding, and with its DUMP if that is comparable.
fn encodings(server: &Server) -> Vec<(String, String, Vec<u8>)> {
    let mut client = server.client();
    let has_listpacks = client
        .info("server", "redis_version")
        .is_some_and(|version| !version.starts_with("6."));
    let mut keys: Vec<String> = client
        .command("KEYS *")
        .elements()
        .iter()
        .map(|key| key.text())
        .collect();
    keys.sort();
    let asked: Vec<_> = keys
        .iter()
        .map(|key| words(&format!("OBJECT ENCODING {key}")))
        .collect();
    let encodings = client.pipeline(&asked);
    let asked: Vec<_> = keys
        .iter()
        .map(|key| words(&format!("DUMP {key}")))
        .collect();
    let dumps = client.pipeline(&asked);
    let values = encodings.iter().zip(dumps).map(|(encoding, dump)| {
        let encoding = encoding.text();
        let is_ordered = ORDERED.contains(&encoding.as_str()) && has_listpacks;
        let dump = dump.bulk().filter(|_| is_ordered);
        (encoding, dump.unwrap_or_default())
    });
    keys.into_iter()
        .zip(values)
        .map(|(key, (encoding, dump))| (key, encoding, dump))
        .collect()
}

fn assert_same(name: &str, case: &str, replica: &Server, redtail: &Server) {
    let (expected, found) = (encodings(replica), encodings(redtail));
    assert_eq!(expected.len(), found.len(), "{name}, {case}");
    let wrong: Vec<_> = expected
        .iter()
        .zip(&found)
        .filter(|(one, other)| one != other)
        .collect();
    let shown: Vec<_> = wrong
        .iter()
        .map(|(one, other)| {
            format!(
                "{} {} {}, {} {}",
                one.0,
                one.1,
                one.2.len(),
                other.1,
                other.2.len()
            )
        })
        .take(8)
        .collect();
    assert!(
        wrong.is_empty(),
        "{name}, {case}: {} differ, such as {shown:?}",
        wrong.len()
    );
}

fn write(name: &str, primary: &Server) {
    let lines: Vec<_> = writes()
        .iter()
        .filter(|line| name != "redis-6.0" || !line.starts_with("ZRANGESTORE"))
        .map(|line| words(line))
        .collect();
    for (reply, line) in primary.client().pipeline(&lines).iter().zip(&lines) {
        assert!(!reply.is_error(), "{} {reply:?}", crate::client::show(line));
    }
}

#[test]
fn encodings_end_where_those_of_a_replica_with_the_same_settings_end() {
    for name in ALL {
        let Some(primary) = Server::start(name, &[]) else {
            return;
        };
        let replica = Server::replica(name, &primary).expect("the server was there a moment ago");
        let redtail = Server::redtail(&primary);
        for choice in 0..CHOICES.len() {
            let settings = settings(name, choice);
            for follower in [&replica, &redtail] {
                config(follower, &settings);
            }
            primary.command("FLUSHALL");
            write(name, &primary);
            replica.wait_in_sync(&primary);
            redtail.wait_in_sync(&primary);
            assert_same(name, &format!("choice {choice}"), &replica, &redtail);
        }
    }
}

#[test]
fn what_is_loaded_takes_the_encoding_that_the_follower_s_settings_ask_for() {
    for name in ALL {
        let Some(primary) = Server::start(name, &[]) else {
            return;
        };
        // From packed as far as possible to unpacked, and the other way round.
        for (own, choice) in [(5, 0), (5, 1), (4, 3), (3, 4), (1, 5), (5, 2)] {
            config(&primary, &settings(name, own));
            primary.command("FLUSHALL");
            write(name, &primary);
            let settings = settings(name, choice);
            let flags: Vec<String> = settings
                .iter()
                .map(|(name, value)| format!("--{name}={value}"))
                .collect();
            let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
            let redtail = Server::redtail_with(&primary, &flags);
            let words: Vec<String> = settings
                .iter()
                .flat_map(|(name, value)| [format!("--{name}"), value.to_string()])
                .collect();
            let port = primary.port.to_string();
            let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
            words.extend(["--replicaof", "127.0.0.1", &port]);
            let replica = Server::start(name, &words).expect("the server was there a moment ago");
            for follower in [&replica, &redtail] {
                follower.wait_for("its primary", |client| {
                    client
                        .info("replication", "master_link_status")
                        .is_some_and(|status| status == "up")
                });
                follower.wait_in_sync(&primary);
            }
            assert_same(
                name,
                &format!("loaded {own} as {choice}"),
                &replica,
                &redtail,
            );
        }
    }
}

/// CONFIG commands, whose replies are compared in any order.
const CONFIG: &[&str] = &[
    "CONFIG SET hash-max-listpack-entries 5",
    "CONFIG SET hash-max-ziplist-entries 6",
    "CONFIG SET hash-max-ziplist-entries 7 hash-max-listpack-value 8",
    "CONFIG GET hash-max-*",
    "CONFIG SET hash-max-ziplist-entries 9 nonesuch 8",
    "CONFIG SET hash-max-ziplist-entries 9 zset-max-ziplist-value x",
    "CONFIG SET hash-max-ziplist-entries 9 hash-max-ziplist-entries 9",
    "CONFIG SET hash-max-ziplist-entries",
    "CONFIG SET hash-max-ziplist-entries 9 zset-max-ziplist-value",
    "CONFIG GET hash-max-ziplist-entries",
    "CONFIG SET nonesuch 5",
    "CONFIG SET hash-max-ziplist-entries abc",
    "CONFIG SET hash-max-ziplist-entries -1",
    "CONFIG SET hash-max-ziplist-value 1kb",
    "CONFIG SET zset-max-ziplist-value 1Q",
    "CONFIG SET zset-max-ziplist-value -5",
    "CONFIG SET stream-node-max-bytes 99999999999999999999",
    "CONFIG SET stream-node-max-bytes 9223372036854775808",
    "CONFIG SET list-max-ziplist-size -2147483649",
    "CONFIG SET list-max-ziplist-size -9",
    "CONFIG SET list-compress-depth -1",
    "CONFIG SET List-Compress-Depth 3",
    "CONFIG SET set-max-listpack-entries 3",
    "CONFIG SET set-max-listpack-value 1kb",
    "CONFIG SET set-max-intset-entries 1e3",
    "CONFIG SET hll-sparse-max-bytes 4k",
    "CONFIG GET *-max-listpack-*",
    "CONFIG GET *ziplist*",
    "CONFIG GET List-Compress-Depth",
    "CONFIG GET HASH-max-*-entries",
    "CONFIG GET hll-* hll-sparse-max-bytes stream-node-*",
];

#[test]
fn config_answers_as_the_upstream_does() {
    for name in ALL {
        let Some(primary) = Server::start(name, &[]) else {
            return;
        };
        let redtail = Server::redtail(&primary);
        // In Redis 6.0 subcommands have no arity of their own.
        let odd = |line: &str| line.split(' ').count() == 3 && line.contains(" SET ");
        for line in CONFIG
            .iter()
            .filter(|line| name != "redis-6.0" || !odd(line))
        {
            let (expected, found) = (primary.command(line), redtail.command(line));
            assert_eq!(expected.sorted(2), found.sorted(2), "{name}, {line}");
        }
    }
}

//! DUMP against real servers: redtail's bytes equal a real replica's where both encode a value the same, and everywhere a real
//! server restores them to an equal value. Also what DEBUG reports for the same values.

use crate::client::Client;
use crate::servers::{ALL, Server};

/// Writes that create one key of each type and form under `prefix`. Keys whose names end in `~` are kept in hash tables, whose
/// order differs between servers.
fn writes(server: &str, prefix: &str) -> Vec<Vec<Vec<u8>>> {
    let many = |word: fn(u32) -> String| (0..1500).map(|i| format!(" {}", word(i))).collect();
    let long: String = many(|i| format!("{}", i * i % 977));
    let noise: String = (0..900_u64)
        .map(|i| char::from(33 + u8::try_from(i * i * 7919 % 90).unwrap()))
        .collect();
    let lines = [
        "SET text hello".to_owned(),
        "SET empty ".to_owned(),
        "SET number -7".to_owned(),
        "SET wide 123456".to_owned(),
        "SET wider 2147483648".to_owned(),
        "SET near 00012".to_owned(),
        "SET float 3.25".to_owned(),
        "SET twenty aaaaaaaaaaaaaaaaaaaa".to_owned(),
        "SET twenty-one aaaaaaaaaaaaaaaaaaaaa".to_owned(),
        format!("SET repeated {}", "ab".repeat(3000)),
        format!("SET words {}", long.replace(' ', ",")),
        format!("SET noise {noise}"),
        "APPEND appended 12".to_owned(),
        "APPEND appended 3".to_owned(),
        "RPUSH list a 1 -5 70000 5000000000 bb".to_owned(),
        format!("RPUSH list-long{long}"),
        format!("RPUSH list-words{}", many(|i| format!("word-number-{i}"))),
        format!("RPUSH list-large a {} b", "y".repeat(9000)),
        "SADD intset 1 -2 70000".to_owned(),
        "SADD intset-wide 1 5000000000".to_owned(),
        "SADD intset-packed 1 2 x".to_owned(),
        "SADD set a b 3".to_owned(),
        format!("SADD set-large~{long}"),
        format!("SADD set-words~{}", many(|i| format!("word-{i}"))),
        "HSET hash a 1 b xyz c -300 d 99999999999".to_owned(),
        format!("HSET hash-long {} 1 f {}", "f".repeat(64), "v".repeat(64)),
        format!("HSET hash-large~ f {} g 5", "v".repeat(3000)),
        format!("HSET hash-many~{}", many(|i| format!("f{i} {i}"))),
        "ZADD zset 1 a 1.5 b -inf c +inf d 3e17 e 0.1 f".to_owned(),
        format!("ZADD zset-large{}", many(|i| format!("{}.25 m{i}", i % 50))),
        format!("ZADD zset-long 1 {} -0 zero", "m".repeat(65)),
        "XADD stream 1-1 f v".to_owned(),
        "XADD stream 1-2 f w g 5".to_owned(),
        "XADD stream 7-0 f 12".to_owned(),
        "XADD stream 9-5 f deleted".to_owned(),
        "XDEL stream 9-5".to_owned(),
        "XADD stream-groups 1-2 f w g 5".to_owned(),
        "XADD stream-groups 1-3 f w g 5".to_owned(),
        "XGROUP CREATE stream-groups group 1-1".to_owned(),
        "XGROUP CREATE stream-groups other $".to_owned(),
        "XREADGROUP GROUP group bob COUNT 1 STREAMS stream-groups >".to_owned(),
        "XREADGROUP GROUP group alice COUNT 1 STREAMS stream-groups >".to_owned(),
        "XGROUP CREATE stream-empty group $ MKSTREAM".to_owned(),
    ];
    let stream =
        (0..300).map(|i| format!("XADD stream-long {i}-1 field {i} other value-{}", i % 7));
    let newer = newer(server).into_iter().map(str::to_owned);
    let lines = lines.into_iter().chain(newer).chain(stream);
    lines
        .map(|line| {
            let mut words: Vec<Vec<u8>> = line
                .split(' ')
                .map(|word| word.as_bytes().to_vec())
                .collect();
            let key = match line.split(' ').next().unwrap() {
                "XGROUP" => 2,
                "XREADGROUP" => words.len() - 2,
                _ => 1,
            };
            words[key].splice(0..0, prefix.bytes());
            words
        })
        .collect()
}

/// Writes about fields that expire. A `~` in a key marks a hash whose bytes are in no certain order.
const FIELD_EXPIRIES: &[&str] = &[
    "HSET ttl-small a 1 b 2",
    "HPEXPIREAT ttl-small 9999999999999 FIELDS 1 b",
    "HSET ttl-kept a 1 b 2",
    "HPEXPIREAT ttl-kept 9999999999999 FIELDS 1 a",
    "HPERSIST ttl-kept FIELDS 1 a",
    "HSET ttl-large~ a 1 b 2 c 0123456789012345678901234567890123456789012345678901234567890123456789",
    "HPEXPIREAT ttl-large~ 9999999999999 FIELDS 2 a c",
];

/// Writes that only some servers support. Their keys get the prefix, too.
fn newer(server: &str) -> Vec<&'static str> {
    match server {
        "redis-7.4" | "redis-8.2" => FIELD_EXPIRIES.to_vec(),
        "redis-8.0" => {
            let vectors = [
                "VADD vectors VALUES 3 1 2 3 element",
                "VADD vectors VALUES 3 1 -2 3 other",
            ];
            FIELD_EXPIRIES.iter().copied().chain(vectors).collect()
        }
        "valkey-9.1" => vec![
            "HSET ttl~ a 1 b 2",
            "HPEXPIREAT ttl~ 9999999999999 FIELDS 1 b",
        ],
        _ => Vec::new(),
    }
}

/// The keys of a server's database 0.
fn keys(client: &mut Client) -> Vec<String> {
    let keys = client.command("KEYS *").text();
    keys.lines().map(str::to_owned).collect()
}

/// Whether a server's bytes for a key from [`writes`] may differ from redtail's.
fn is_of_another_form(server: &str, key: &str) -> bool {
    match key.split_once(':').unwrap().1 {
        // No listpack sets before 7.2.
        "set" | "intset-packed" => server.starts_with("redis-6") || server.starts_with("redis-7.0"),
        // Ziplists and listpacks differ in size, so lists are split in other places.
        "list-long" | "list-words" => server == "redis-6.0",
        // Each server draws the number of an element's layers at random. A snapshot contains it, the stream does not.
        "vectors" => key.starts_with("streamed:"),
        // The times at which each replica first saw the consumers.
        "stream-groups" => key.starts_with("streamed:"),
        name => name.ends_with('~'),
    }
}

/// A primary with one set of values in its snapshot and one in its stream, a real replica, and redtail.
fn trio(name: &str) -> Option<(Server, Server, Server)> {
    let primary = Server::start(name, &[])?;
    primary.client().pipeline(&writes(name, "loaded:"));
    let replica = Server::replica(name, &primary)?;
    let redtail = Server::redtail_with(&primary, &["--enable-debug-command", "yes"]);
    primary.client().pipeline(&writes(name, "streamed:"));
    redtail.wait_in_sync(&primary);
    replica.wait_in_sync(&primary);
    Some((primary, replica, redtail))
}

#[test]
fn payloads_are_those_of_a_real_replica_and_restore_to_equal_values() {
    for name in ALL {
        let Some((_primary, replica, redtail)) = trio(name) else {
            return;
        };
        let scratch = Server::start(name, &[]).unwrap();
        let (mut real, mut ours, mut scratch) =
            (replica.client(), redtail.client(), scratch.client());
        let keys = keys(&mut real);
        assert!(keys.len() > 60, "{keys:?}");
        let mut wrong = Vec::new();
        for key in keys {
            let dump: [&[u8]; 2] = [b"DUMP", key.as_bytes()];
            let (theirs, own) = (real.words(&dump), ours.words(&dump));
            let Some(payload) = own.bulk() else {
                wrong.push(format!("{key}: nothing"));
                continue;
            };
            let same_form = !is_of_another_form(name, &key);
            if same_form && theirs != own {
                wrong.push(format!("{key}: {own:.300?} instead of {theirs:.300?}"));
            }
            let restored = scratch.words(&[b"RESTORE", key.as_bytes(), b"0", &payload]);
            let digest = format!("DEBUG DIGEST-VALUE {key}");
            if scratch.command(&digest) != real.command(&digest) {
                wrong.push(format!("{key}: restored as another value, {restored:?}"));
            }
        }
        assert!(
            wrong.is_empty(),
            "{name}: {} wrong:\n{}",
            wrong.len(),
            wrong.join("\n")
        );
        assert_eq!(ours.command("DUMP none"), real.command("DUMP none"));
    }
}

/// The words of a DEBUG OBJECT line except addresses, times and reference counts, and except the sizes of nodes that other
/// versions pack differently.
fn figures(server: &str, line: &str) -> Vec<String> {
    let mut others = vec!["at:", "refcount:", "lru", "lfu"];
    if server < "redis-8.0" {
        others.push("ql_uncompressed_size:");
    }
    let own = |word: &&str| !others.iter().any(|start| word.starts_with(start));
    line.split(' ').filter(own).map(str::to_owned).collect()
}

#[test]
fn debug_says_of_every_value_what_a_real_replica_says() {
    for name in ALL {
        let Some((primary, replica, redtail)) = trio(name) else {
            return;
        };
        let expiring = [
            "SET loaded:volatile x",
            "PEXPIREAT loaded:volatile 9999999999999",
        ];
        expiring.iter().for_each(|line| drop(primary.command(line)));
        redtail.wait_in_sync(&primary);
        replica.wait_in_sync(&primary);
        let (mut real, mut ours) = (replica.client(), redtail.client());
        let mut wrong = Vec::new();
        for key in keys(&mut real) {
            let digest = format!("DEBUG DIGEST-VALUE {key} none");
            let object = format!("DEBUG OBJECT {key}");
            let (theirs, own) = (real.command(&object).text(), ours.command(&object).text());
            let alike = !is_of_another_form(name, &key) || key.ends_with('~');
            if real.command(&digest) != ours.command(&digest) {
                wrong.push(format!("{key}: digest"));
            }
            if alike && figures(name, &theirs) != figures(name, &own) {
                wrong.push(format!("{key}: {own} instead of {theirs}"));
            }
        }
        assert!(wrong.is_empty(), "{name}:\n{}", wrong.join("\n"));
        for line in [
            "DEBUG OBJECT none",
            "DEBUG NONSENSE",
            "DEBUG OBJECT",
            "DEBUG DIGEST-VALUE",
            "DEBUG SLEEP 0",
        ] {
            assert_eq!(ours.command(line), real.command(line), "{name} {line}");
        }
        assert_eq!(
            ours.command("DEBUG DIGEST"),
            real.command("DEBUG DIGEST"),
            "{name}"
        );
    }
}

#[test]
fn debug_is_refused_unless_it_is_allowed() {
    let Some(primary) = Server::start("redis-7.0", &["--enable-debug-command", "no"]) else {
        return;
    };
    let refusal = Server::redtail(&primary).command("DEBUG SLEEP 0");
    assert_eq!(refusal, primary.command("DEBUG SLEEP 0"));
    let local = Server::redtail_with(&primary, &["--enable-debug-command", "local"]);
    assert_eq!(local.command("DEBUG SET-ACTIVE-EXPIRE 0").text(), "OK");
    assert_eq!(
        local.command("CONFIG GET enable-debug-command").elements()[1].text(),
        "local"
    );
}

#[test]
fn a_modules_value_keeps_its_type_and_refuses_other_commands() {
    let Some(primary) = Server::start("redis-8.0", &[]) else {
        return;
    };
    drop(primary.command("VADD v VALUES 3 1 2 3 element"));
    let redtail = Server::redtail(&primary);
    for line in [
        "TYPE v",
        "OBJECT ENCODING v",
        "EXISTS v",
        "TTL v",
        "GET v",
        "STRLEN v",
        "LLEN v",
        "SMEMBERS v",
        "HGETALL v",
        "ZCARD v",
        "XLEN v",
        "SCAN 0 TYPE vectorset",
        "DUMP v",
    ] {
        assert_eq!(redtail.command(line), primary.command(line), "{line}");
    }
    drop(primary.command("COPY v w"));
    redtail.wait_in_sync(&primary);
    assert_eq!(redtail.command("EXISTS w"), primary.command("EXISTS w"));
}

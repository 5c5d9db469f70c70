//! DUMP against real servers: the bytes of a real replica where both keep a value alike, and payloads that a real server
//! restores to an equal value everywhere.

use crate::client::Client;
use crate::servers::{ALL, Server};

/// Writes that make one key of each type and form under `prefix`; keys whose names end in `~` come out of hash tables, in an
/// order of the server's own.
fn writes(prefix: &str) -> Vec<Vec<Vec<u8>>> {
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
    let lines = lines.into_iter().chain(stream);
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

/// The keys of a server's database 0.
fn keys(client: &mut Client) -> Vec<String> {
    let keys = client.command("KEYS *").text();
    keys.lines().map(str::to_owned).collect()
}

/// Whether a server's bytes for a key of [`writes`] are its own.
fn is_of_another_form(server: &str, key: &str) -> bool {
    match key.split_once(':').unwrap().1 {
        // No listpack sets before 7.2.
        "set" | "intset-packed" => server.starts_with("redis-6") || server.starts_with("redis-7.0"),
        // Ziplists are of other lengths than listpacks, so lists are split elsewhere.
        "list-long" | "list-words" => server == "redis-6.0",
        // The times at which each replica first saw the consumers.
        "stream-groups" => key.starts_with("streamed:"),
        name => name.ends_with('~'),
    }
}

/// A primary with one set of values in its snapshot and one in its stream, and its followers.
fn trio(name: &str) -> Option<(Server, Server, Server)> {
    let primary = Server::start(name, &[])?;
    primary.client().pipeline(&writes("loaded:"));
    let replica = Server::replica(name, &primary)?;
    let redtail = Server::redtail(&primary);
    primary.client().pipeline(&writes("streamed:"));
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

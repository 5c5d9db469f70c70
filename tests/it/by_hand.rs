//! Servers that no test can ask: snapshots and streams of Redis 8.6, 8.8 and 8.10, made by hand from their documents
//! (`fixtures/newest.py`), from a scripted primary.

use crate::client::{Client, Reply, encode};
use crate::corpus::{dumps, normal};
use crate::scripted::{Connection, Scripted, full_resync, with_mark};
use crate::servers::{Server, fixture};

const NAMES: [&str; 3] = [
    "redis-8.6-by-hand",
    "redis-8.8-by-hand",
    "redis-8.10-by-hand",
];

/// A redtail that has loaded a dump, and its primary.
struct Followed {
    connection: Connection,
    redtail: Server,
    offset: usize,
}

impl Followed {
    fn load(name: &str, arguments: &[&str]) -> Self {
        let primary = Scripted::start();
        let address = format!("redis://{}", primary.address());
        let redtail = Server::redtail_of(&address, arguments);
        let (mut connection, _) = primary.accept_psync();
        let dump = std::fs::read(fixture(&format!("{name}.rdb"))).unwrap();
        connection.send(full_resync(0));
        connection.send(with_mark(&dump));
        redtail.wait_for("its data", |client| client.command("DBSIZE").is_integer());
        Self {
            connection,
            redtail,
            offset: 0,
        }
    }

    /// Sends a command in the stream and waits until it is applied.
    fn write(&mut self, words: &[&[u8]]) {
        let words: Vec<Vec<u8>> = words.iter().map(|word| word.to_vec()).collect();
        let bytes = encode(&words);
        self.offset += bytes.len();
        self.connection.send(bytes);
        let offset = self.offset.to_string();
        self.redtail.wait_for("the write", |client| {
            client.info("replication", "slave_repl_offset").as_deref() == Some(&offset)
        });
    }

    fn keys(&self) -> Vec<Vec<u8>> {
        let mut keys = self.redtail.client().command("KEYS *").elements();
        keys.sort_by_key(|key| key.bulk());
        keys.into_iter().filter_map(|key| key.bulk()).collect()
    }
}

/// Everything that commands say about a key.
fn answers(client: &mut Client, key: &[u8]) -> Vec<Reply> {
    let kind = client.words(&[b"TYPE", key]).text();
    let reads: &[&[&[u8]]] = match kind.as_str() {
        "string" => &[&[b"GET", key]],
        "hash" => &[&[b"HGETALL", key], &[b"HSCAN", key, b"0"]],
        "stream" => &[
            &[b"XRANGE", key, b"-", b"+"],
            &[b"XINFO", b"STREAM", key, b"FULL", b"COUNT", b"0"],
        ],
        "array" => &[
            &[b"ARSCAN", key, b"0", b"18446744073709551614"],
            &[b"ARLEN", key],
            &[b"ARNEXT", key],
        ],
        other => panic!("{other}"),
    };
    let common: [&[&[u8]]; 3] = [
        &[b"OBJECT", b"ENCODING", key],
        &[b"PEXPIRETIME", key],
        &[b"DUMP", key],
    ];
    let all = reads.iter().chain(&common);
    all.map(|words| client.words(words)).collect()
}

#[test]
fn every_key_of_a_newer_snapshot_answers_and_restores_to_the_same() {
    for name in NAMES {
        let mut followed = Followed::load(name, &[]);
        let keys = followed.keys();
        let expected = std::fs::read_to_string(fixture(&format!("{name}.json"))).unwrap();
        assert_eq!(keys.len(), expected.lines().count(), "{name}");
        for key in keys {
            let shown = format!("{name}: {}", key.escape_ascii());
            let original = answers(&mut followed.redtail.client(), &key);
            assert!(
                original.iter().all(|reply| !reply.is_error()),
                "{shown}: {original:?}"
            );
            let payload = followed.redtail.client().words(&[b"DUMP", &key]);
            let payload = payload.bulk().unwrap();
            let expiry = followed.redtail.client().words(&[b"PEXPIRETIME", &key]);
            let expiry = expiry.integer().unwrap().max(0).to_string();
            followed.write(&[b"RESTORE", b"copy", expiry.as_bytes(), &payload, b"ABSTTL"]);
            assert_eq!(
                answers(&mut followed.redtail.client(), b"copy"),
                original,
                "{shown}"
            );
            // Since Redis 8.4, a payload need have no checksum.
            let unsummed = [&payload[..payload.len() - 8], &[0; 8]].concat();
            followed.write(&[
                b"RESTORE",
                b"copy",
                expiry.as_bytes(),
                &unsummed,
                b"ABSTTL",
                b"REPLACE",
            ]);
            assert_eq!(
                answers(&mut followed.redtail.client(), b"copy"),
                original,
                "{shown}"
            );
            followed.write(&[b"DEL", b"copy"]);
        }
    }
}

#[test]
fn a_newer_snapshot_comes_back_from_the_state_directory() {
    for name in NAMES {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().to_str().unwrap();
        let arguments = ["--state-dir", state];
        let mut followed = Followed::load(name, &arguments);
        followed.write(&[b"SET", b"after", b"the snapshot"]);
        let keys = followed.keys();
        let before: Vec<_> = keys
            .iter()
            .map(|key| answers(&mut followed.redtail.client(), key))
            .collect();
        followed.redtail.stop();
        let nobody = "redis://127.0.0.1:1";
        let again = Server::redtail_of(nobody, &arguments);
        again.wait_for("its data", |client| client.command("DBSIZE").is_integer());
        for (key, before) in keys.iter().zip(before) {
            let now = answers(&mut again.client(), key);
            assert_eq!(now, before, "{name}: {}", key.escape_ascii());
        }
    }
}

#[test]
fn only_a_command_that_replaces_a_key_makes_what_modules_attached_unknown() {
    let mut followed = Followed::load("redis-8.6-by-hand", &[]);
    let dump = |followed: &Followed, key: &str| {
        let mut client = followed.redtail.client();
        let reply = client.command(&format!("DUMP {key}"));
        match reply.bulk() {
            Some(payload) if payload[0] == 0xf3 => "attached".to_owned(),
            Some(_) => "plain".to_owned(),
            None => reply.text(),
        }
    };
    for (write, key, expected) in [
        ("HSET attached-hash g w", "attached-hash", "attached"),
        ("PEXPIREAT attached 4102444800001", "attached", "attached"),
        ("COPY attached other", "other", "TAINTED"),
        ("COPY plain free", "free", "plain"),
        ("RENAME attached-hash renamed", "renamed", "TAINTED"),
        ("SET attached-hash new", "attached-hash", "plain"),
        ("SET attached new", "attached", "TAINTED"),
        ("DEL attached", "attached", ""),
        ("SET attached new", "attached", "plain"),
        ("DEL other renamed", "other", ""),
        ("SET other again", "other", "plain"),
    ] {
        let words: Vec<&[u8]> = write.split(' ').map(str::as_bytes).collect();
        followed.write(&words);
        let found = dump(&followed, key);
        assert!(
            found.starts_with(expected) && (found.is_empty() == expected.is_empty()),
            "{write}: {found}"
        );
    }
}

#[test]
fn a_snapshot_of_records_that_are_known_is_loaded_whatever_its_version_and_others_say_what_is_unknown()
 {
    let primary = Scripted::start();
    let redtail = Server::redtail_of(&format!("redis://{}", primary.address()), &[]);
    let (mut connection, _) = primary.accept_psync();
    connection.send(full_resync(0));
    connection.send(with_mark(
        b"REDIS0031\x00\x01k\x01v\x63\x05later\xff\0\0\0\0\0\0\0\0",
    ));
    redtail.wait_for_log("unknown type 99");
    assert!(
        redtail.log().contains("of key \"later\" (type 99)"),
        "{}",
        redtail.log()
    );
    let (mut connection, _) = primary.accept_psync();
    connection.send(full_resync(0));
    connection.send(with_mark(b"REDIS0031\x00\x01k\x01v\xff\0\0\0\0\0\0\0\0"));
    redtail.wait_for("its data", |client| {
        client.command("GET k").bulk().is_some()
    });
    assert!(
        redtail.log().contains("newer than this redtail"),
        "{}",
        redtail.log()
    );
}

#[test]
fn a_dump_made_by_hand_is_among_the_dumps_that_are_compared() {
    let dumps = dumps();
    for name in NAMES {
        let of_it = |path: &std::path::Path| path.file_stem().is_some_and(|stem| stem == name);
        let (_, expected) = dumps.iter().find(|(dump, _)| of_it(dump)).expect(name);
        assert!(
            !normal(&std::fs::read_to_string(expected).unwrap()).is_empty(),
            "{name}"
        );
    }
}

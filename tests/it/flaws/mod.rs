//! Snapshots with damaged values: redtail loads what a real server of each version loads, and answers like it or with TAINTED.
//! What the server refuses, redtail refuses too.

mod rows;

use std::process::{Command, Stdio};

use bytes::Bytes;
use redtail::internal::rdb::source::MemorySource;
use redtail::internal::replica::load_dump;
use tempfile::TempDir;

use crate::builds::REFUSED_SNAPSHOTS;
use crate::client::{Client, Reply, encode, words};
use crate::scripted::{Connection, Scripted, full_resync, with_length};
use crate::servers::{Server, free_port, program};
use rows::{FRAMES, KEPT, LOST, Row};

/// The type of a value, which selects the reads for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Stream,
    Group,
    Hash,
    Timed,
    Set,
    Zset,
    List,
    Text,
}

/// A server: its name, its letter in the rows, the header of its snapshots, and the name and value of the aux field with its
/// version.
struct Writer(
    &'static str,
    char,
    &'static [u8],
    &'static str,
    &'static str,
);

const WRITERS: [Writer; 7] = [
    Writer("redis-6.0", '6', b"REDIS0009", "redis-ver", "6.0.16"),
    Writer("redis-7.0", '7', b"REDIS0010", "redis-ver", "7.0.15"),
    Writer("redis-7.4", '8', b"REDIS0012", "redis-ver", "7.4.1"),
    Writer("redis-8.0", '8', b"REDIS0012", "redis-ver", "8.0.2"),
    Writer("redis-8.2", '8', b"REDIS0012", "redis-ver", "8.2.3"),
    Writer("valkey-8.1", 'v', b"REDIS0011", "valkey-ver", "8.1.1"),
    Writer("valkey-9.1", '9', b"VALKEY080", "valkey-ver", "9.1.0"),
];

/// Reads that show all of a value; `k` is its key. None of them depends on the time.
fn questions(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Stream | Kind::Group => &[
            "TYPE k",
            "XLEN k",
            "XRANGE k - +",
            "XRANGE k 2 3",
            "XREVRANGE k + -",
            "XREVRANGE k 3 2",
            "XREAD COUNT 2 STREAMS k 0",
            "XREAD STREAMS k 2",
            "XINFO STREAM k",
            "XINFO GROUPS k",
        ],
        Kind::Hash => &[
            "TYPE k",
            "HLEN k",
            "HGETALL k",
            "HGET k a",
            "OBJECT ENCODING k",
        ],
        Kind::Timed => &[
            "TYPE k",
            "HLEN k",
            "HGETALL k",
            "HPEXPIRETIME k FIELDS 2 a b",
            "OBJECT ENCODING k",
        ],
        Kind::Set => &[
            "TYPE k",
            "SCARD k",
            "SISMEMBER k a",
            "SISMEMBER k 1",
            "OBJECT ENCODING k",
        ],
        Kind::Zset => &[
            "TYPE k",
            "ZCARD k",
            "ZRANGE k 0 -1 WITHSCORES",
            "ZSCORE k a",
            "ZRANGEBYSCORE k (1 3",
            "OBJECT ENCODING k",
        ],
        Kind::List => &["TYPE k", "LLEN k", "LRANGE k 0 -1", "LINDEX k -1"],
        Kind::Text => &["TYPE k", "GET k", "STRLEN k", "OBJECT ENCODING k"],
    }
}

/// Writes to a value from the stream.
fn changes(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Stream => &["XADD k 9-0 f z", "XDEL k 2-0"],
        Kind::Group => &["XACK k g 1-0", "XADD k 9-0 f z"],
        _ => &[],
    }
}

/// The words of a line about the key `k`, with `key` in its place.
fn about(line: &str, key: &str) -> Vec<Vec<u8>> {
    let named = |word: Vec<u8>| if word == b"k" { key.into() } else { word };
    words(line).into_iter().map(named).collect()
}

impl Writer {
    fn of(name: &str) -> &'static Self {
        WRITERS
            .iter()
            .find(|writer| writer.0 == name)
            .expect("a server")
    }

    /// The bytes of a row's value in a layout that this server supports.
    fn value(&self, row: &Row) -> Option<&'static [u8]> {
        let mut layouts = row.2.iter();
        let known = layouts.find(|(servers, _)| servers.contains(self.1))?;
        Some(known.1)
    }

    /// A snapshot with `body` between header and end.
    fn snapshot(&self, body: &[u8]) -> Vec<u8> {
        let mut rdb = [self.2, b"\xfa"].concat();
        for text in [self.3, self.4] {
            rdb.push(u8::try_from(text.len()).expect("short"));
            rdb.extend_from_slice(text.as_bytes());
        }
        rdb.extend_from_slice(body);
        rdb.push(0xff);
        let sum = redtail::internal::rdb::crc64::update(0, &rdb);
        [rdb, sum.to_le_bytes().to_vec()].concat()
    }

    /// A snapshot with these keys and values.
    fn snapshot_of<'v>(&self, values: impl IntoIterator<Item = (&'v str, &'v [u8])>) -> Vec<u8> {
        let mut body = Vec::new();
        for (key, value) in values {
            body.push(value[0]);
            body.push(u8::try_from(key.len()).expect("short"));
            body.extend_from_slice(key.as_bytes());
            body.extend_from_slice(&value[1..]);
        }
        self.snapshot(&body)
    }

    /// Whether the real server loads a snapshot. `None` if the server is not installed.
    fn loads(&self, snapshot: &[u8]) -> Option<bool> {
        let server = program(self.0, "redis-server")?;
        let directory = TempDir::new().expect("a directory");
        std::fs::write(directory.path().join("dump.rdb"), snapshot).expect("write the snapshot");
        let port = free_port();
        let mut child = Command::new(server)
            .args([
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--port",
                &port.to_string(),
                "--dir",
            ])
            .arg(directory.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let loaded = loop {
            if child.try_wait().expect("it is ours").is_some() {
                break false;
            }
            let size =
                Client::try_connect(port).and_then(|mut client| client.try_command(&[b"DBSIZE"]));
            if size.is_ok_and(|size| size.is_integer()) {
                break true;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        };
        _ = child.kill();
        _ = child.wait();
        Some(loaded)
    }
}

/// Returns why redtail does not load a snapshot; `None` if it does.
fn refusal(snapshot: &[u8]) -> Option<String> {
    let source = MemorySource(Bytes::copy_from_slice(snapshot));
    load_dump(source, 16).err().map(|error| error.to_string())
}

/// A follower of a primary that the test plays, in sync.
struct Fed {
    server: Server,
    primary: Connection,
}

impl Fed {
    fn new(primary: &Scripted, server: Server, snapshot: &[u8]) -> Self {
        let (mut primary, _) = primary.accept_psync();
        primary.send(full_resync(1));
        primary.send(with_length(snapshot));
        server.wait_for("its sync", |client| client.command("GET end").text() == "0");
        Self { server, primary }
    }

    fn apply(&mut self, commands: &[Vec<Vec<u8>>], mark: &str) {
        for command in commands {
            self.primary.send(encode(command));
        }
        self.primary
            .send(encode(&words(&format!("SET end {mark}"))));
        self.server.wait_for("the stream", |client| {
            client.command("GET end").text() == mark
        });
    }
}

fn is_tainted(reply: &Reply) -> bool {
    reply.text().starts_with("TAINTED") || reply.0.starts_with(b"-TAINTED")
}

/// A loaded row, its key, and its value in the server's layout.
type Loaded = (&'static Row, String, &'static [u8]);

/// Returns the rows that both load, with a key for each. Has checked that neither loads the others. A row in [`LOST`] is loaded
/// alone, because an old server may crash on it soon.
fn loaded(writer: &Writer) -> Option<Vec<Loaded>> {
    let (mut loaded, mut refused) = (Vec::new(), Vec::new());
    for (index, row) in KEPT.iter().chain(LOST).enumerate() {
        let Some(value) = writer.value(row) else {
            continue;
        };
        let key = format!("key{index}");
        let alone = writer.snapshot_of([(key.as_str(), value)]);
        match refusal(&alone) {
            None => {
                let is_lost = index >= KEPT.len();
                if is_lost && !writer.loads(&alone)? {
                    refused.push(row.0);
                    continue;
                }
                loaded.push((row, key, value));
            }
            Some(error) => {
                assert!(
                    !writer.loads(&alone)?,
                    "{} loads {}: {error}",
                    writer.0,
                    row.0
                );
                let says_where = error.contains(&key) && error.contains("byte ");
                assert!(says_where, "{}: {error}", row.0);
            }
        }
    }
    refused.retain(|row| !REFUSED_SNAPSHOTS.contains(row));
    assert!(refused.is_empty(), "{} refuses {refused:?}", writer.0);
    Some(loaded)
}

/// Loads all rows at once: a value that a server loads alone is also loaded beside the others.
fn answers_as(name: &str) {
    let writer = Writer::of(name);
    let Some(loaded) = loaded(writer) else { return };
    let primaries = [Scripted::start(), Scripted::start()];
    let [of_real, of_ours] = [0, 1].map(|at| primaries[at].address());
    let snapshot = |rows: &[&Loaded]| {
        let values = rows.iter().map(|(_, key, value)| (key.as_str(), *value));
        writer.snapshot_of(values.chain([("end", &b"\0\x010"[..])]))
    };
    let ours = Server::redtail_of(&format!("redis://{of_ours}"), &[]);
    let mut ours = Fed::new(
        &primaries[1],
        ours,
        &snapshot(&loaded.iter().collect::<Vec<_>>()),
    );
    let (lost, kept): (Vec<&Loaded>, Vec<&Loaded>) = loaded
        .iter()
        .partition(|(_, key, _)| is_tainted(&ours.server.command(&format!("TYPE {key}"))));
    let known = |row: &Row| LOST.iter().any(|known| known.0 == row.0);
    for (row, ..) in &lost {
        assert!(
            known(row),
            "{name}: {} could be kept, but is tainted",
            row.0
        );
    }
    let port = of_real.rsplit(':').next().expect("a port");
    let real = Server::start(name, &["--replicaof", "127.0.0.1", port])
        .expect("the server was there a moment ago");
    let mut real = Fed::new(&primaries[0], real, &snapshot(&kept));
    let size = |fed: &Fed| fed.server.command("DBSIZE").integer().expect("a number");
    assert_eq!(
        size(&ours),
        size(&real) + i64::try_from(lost.len()).expect("few")
    );
    for (row, key, _) in &lost {
        for line in questions(row.1) {
            let reply = ours.server.client().pipeline(&[about(line, key)]).remove(0);
            assert!(is_tainted(&reply), "{name}: {}: {line}: {reply:?}", row.0);
        }
    }
    for mark in ["1", "2"] {
        for (row, key, _) in &kept {
            for line in questions(row.1) {
                let asked = [about(line, key)];
                let reply = ours.server.client().pipeline(&asked).remove(0);
                let expected = real.server.client().pipeline(&asked).remove(0);
                let same = if line.starts_with("HGETALL") {
                    reply.sorted(2) == expected.sorted(2)
                } else {
                    reply == expected
                };
                assert!(
                    same,
                    "{name}: {}, {mark}: {line}: {reply:?}, the server: {expected:?}",
                    row.0
                );
            }
        }
        let commands: Vec<_> = kept
            .iter()
            .flat_map(|(row, key, _)| changes(row.1).iter().map(|line| about(line, key)))
            .collect();
        for follower in [&mut real, &mut ours] {
            follower.apply(&commands, mark);
        }
    }
    let log = ours.server.log();
    assert!(log.contains("is damaged") && log.contains("byte "), "{log}");
}

#[test]
fn redis_6_0_and_we_load_the_same_and_answer_alike() {
    answers_as("redis-6.0");
}

#[test]
fn redis_7_0_and_we_load_the_same_and_answer_alike() {
    answers_as("redis-7.0");
}

#[test]
fn redis_7_4_and_we_load_the_same_and_answer_alike() {
    answers_as("redis-7.4");
}

#[test]
fn redis_8_0_and_we_load_the_same_and_answer_alike() {
    answers_as("redis-8.0");
}

#[test]
fn redis_8_2_and_we_load_the_same_and_answer_alike() {
    answers_as("redis-8.2");
}

#[test]
fn valkey_8_1_and_we_load_the_same_and_answer_alike() {
    answers_as("valkey-8.1");
}

#[test]
fn valkey_9_1_and_we_load_the_same_and_answer_alike() {
    answers_as("valkey-9.1");
}

/// What surrounds keys: opcodes, hints, database numbers.
#[test]
fn frames_are_loaded_where_servers_load_them() {
    for writer in &WRITERS {
        for (name, servers, body) in FRAMES {
            if !servers.contains(writer.1) {
                continue;
            }
            let snapshot = writer.snapshot(body);
            let Some(expected) = writer.loads(&snapshot) else {
                return;
            };
            let ours = refusal(&snapshot);
            assert_eq!(ours.is_none(), expected, "{}: {name}: {ours:?}", writer.0);
        }
    }
}

/// The key stays tainted until the primary replaces or deletes it. After that it is like any other.
#[test]
fn a_lost_value_comes_back_with_the_next_write_of_its_key() {
    let writer = Writer::of("redis-7.0");
    let row = LOST
        .iter()
        .find(|row| row.0 == "hash16 twice")
        .expect("the row exists");
    let value = writer.value(row).expect("Redis 7.0 supports the layout");
    let snapshot = writer.snapshot_of([("h", value), ("end", &b"\0\x010"[..])]);
    let primary = Scripted::start();
    let ours = Server::redtail_of(&format!("redis://{}", primary.address()), &[]);
    let mut ours = Fed::new(&primary, ours, &snapshot);
    assert!(is_tainted(&ours.server.command("HGET h a")));
    assert_eq!(ours.server.command("DBSIZE").integer(), Some(2));
    ours.apply(&[words("HSET h a 9")], "1");
    assert!(is_tainted(&ours.server.command("HGET h a")));
    ours.apply(&[words("DEL h"), words("HSET h a 9")], "2");
    assert_eq!(ours.server.command("HGET h a").text(), "9");
}

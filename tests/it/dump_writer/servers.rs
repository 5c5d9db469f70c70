//! Real servers load what was written, and have the same data as after commands, or as in the dump that was copied.

use std::fs;
use std::path::Path;

use redtail::rdb::{
    Keys, Magic, NewConsumer, NewGroup, NewPending, NewStream, StreamId, Version, WriteError,
    Writer,
};

use super::{sorted, version, writer};
use crate::client::{Client, words};
use crate::servers::{ALL, Server, fixture};

/// The newest version that a server loads.
fn version_of(server: &str) -> Version {
    match server {
        "redis-6.0" => version(Magic::Redis, 9),
        "redis-7.0" => version(Magic::Redis, 10),
        "valkey-8.1" => version(Magic::Redis, 11),
        "valkey-9.0" | "valkey-9.1" => version(Magic::Valkey, 80),
        _ => version(Magic::Redis, 12),
    }
}

/// The data of the test with real servers: commands that make it, besides those with field expiries.
const COMMANDS: [&str; 12] = [
    "SET string hello",
    "SET number -12345",
    "RPUSH list a b 1 2 3",
    "SADD integers 3 1 2",
    "SADD set one two 3",
    "HSET hash name Anna age 30",
    "ZADD zset 1.5 a -3 b inf c",
    "XADD stream 5-1 name one",
    "XADD stream 5-3 name two more three",
    "XGROUP CREATE stream group 5-1",
    "XREADGROUP GROUP group anna COUNT 1 STREAMS stream >",
    "XGROUP CREATECONSUMER stream group idle",
];
const LARGE: usize = 20_000;

/// When a field of the large hash expires.
fn expiry(number: usize) -> Option<i64> {
    let number = i64::try_from(number).expect("a small number");
    (number % 40 == 0).then_some(4_000_000_000_000 - number)
}

fn large(number: usize) -> String {
    format!("element:{number:06}:padding-padding")
}

/// Writes what [`make`] makes with commands.
fn write_all(writer: &mut Writer<Vec<u8>>, delivered_at_ms: i64) -> Result<(), WriteError> {
    let names = || (0..LARGE).map(large);
    writer.key("string").string("hello")?;
    writer.key("number").string("-12345")?;
    writer.key("list").list(["a", "b", "1", "2", "3"])?;
    writer.key("integers").set(["3", "1", "2"])?;
    writer
        .key("other")
        .db(3)
        .expire_at_ms(4_000_000_000_000)
        .string("3")?;
    writer.key("set").set(["one", "two", "3"])?;
    writer.key("hash").hash([("name", "Anna"), ("age", "30")])?;
    writer
        .key("zset")
        .sorted_set([("a", 1.5), ("b", -3.0), ("c", f64::INFINITY)])?;
    writer.key("large:list").list(names())?;
    writer.key("large:set").set(names())?;
    writer.key("large:hash").hash(names().zip(names()))?;
    writer.key("large:zset").sorted_set(
        names()
            .zip((0..).map(f64::from))
            .take(LARGE)
            .collect::<Vec<_>>(),
    )?;
    let entries = (0..LARGE).map(|number| {
        let text = large(number).repeat(2);
        (StreamId::new(1, 1 + number as u64), [("f", text)])
    });
    writer
        .key("large:stream")
        .stream(entries, &NewStream::default())?;
    write_stream(writer, delivered_at_ms)?;
    if writer.version().number >= 12 {
        writer
            .key("timed")
            .hash_with_expiries([("a", "1", Some(4_000_000_000_000)), ("b", "2", None)])?;
        let fields = (0..LARGE).map(|number| (large(number), "v", expiry(number)));
        writer.key("large:timed").hash_with_expiries(fields)?;
    }
    Ok(())
}

/// Writes a stream with a group.
fn write_stream(writer: &mut Writer<Vec<u8>>, delivered_at_ms: i64) -> Result<(), WriteError> {
    let pending = NewPending {
        id: StreamId::new(5, 3),
        delivered_at_ms,
        deliveries: 1,
    };
    let anna = NewConsumer {
        name: b"anna".to_vec(),
        seen_at_ms: delivered_at_ms,
        active_at_ms: Some(delivered_at_ms),
        pending: vec![pending],
    };
    let idle = NewConsumer {
        name: b"idle".to_vec(),
        seen_at_ms: delivered_at_ms,
        ..NewConsumer::default()
    };
    let group = NewGroup {
        name: b"group".to_vec(),
        last_id: StreamId::new(5, 3),
        entries_read: Some(2),
        consumers: vec![anna, idle],
    };
    let stream = NewStream {
        groups: vec![group],
        ..NewStream::default()
    };
    let entries = [
        (StreamId::new(5, 1), vec![("name", "one")]),
        (
            StreamId::new(5, 3),
            vec![("name", "two"), ("more", "three")],
        ),
    ];
    writer.key("stream").stream(entries, &stream)
}

/// Makes the data of [`write_all`] with commands.
fn make(client: &mut Client, version: Version) {
    for command in COMMANDS {
        // An older server creates a consumer when it reads.
        let is_new = command.contains("CREATECONSUMER");
        let command = if is_new && version.number == 9 {
            "XREADGROUP GROUP group idle STREAMS stream 0"
        } else {
            command
        };
        let reply = client.command(command);
        assert!(!reply.is_error(), "{command}: {}", reply.text());
    }
    let mut lines: Vec<String> = vec![
        "SELECT 3".into(),
        "SET other 3 PXAT 4000000000000".into(),
        "SELECT 0".into(),
    ];
    if version.number == 9 {
        lines[1] = "SET other 3".into();
        lines.insert(2, "PEXPIREAT other 4000000000000".into());
    }
    for numbers in (0..LARGE).collect::<Vec<_>>().chunks(500) {
        let of = |word: &dyn Fn(usize) -> String| {
            let words = numbers.iter().map(|number| word(*number));
            words.collect::<Vec<_>>().join(" ")
        };
        let names = of(&large);
        lines.push(format!("RPUSH large:list {names}"));
        lines.push(format!("SADD large:set {names}"));
        let pairs = of(&|number| format!("{0} {0}", large(number)));
        lines.push(format!("HSET large:hash {pairs}"));
        let scored = of(&|number| format!("{number} {}", large(number)));
        lines.push(format!("ZADD large:zset {scored}"));
        if version.number >= 12 {
            let fields = of(&|number| format!("{} v", large(number)));
            lines.push(format!("HSET large:timed {fields}"));
        }
    }
    for number in 0..LARGE {
        let name = large(number);
        lines.push(format!("XADD large:stream 1-{} f {name}{name}", number + 1));
        if let Some(at) = expiry(number).filter(|_| version.number >= 12) {
            lines.push(format!("HPEXPIREAT large:timed {at} FIELDS 1 {name}"));
        }
    }
    if version.number >= 12 {
        lines.push("HSET timed a 1 b 2".into());
        lines.push("HPEXPIREAT timed 4000000000000 FIELDS 1 a".into());
    }
    for lines in lines.chunks(10_000) {
        let words: Vec<_> = lines.iter().map(|line| words(line)).collect();
        for reply in client.pipeline(&words) {
            assert!(!reply.is_error(), "{}", reply.text());
        }
    }
}

fn with_dump(name: &str, path: &Path) -> Option<Server> {
    Server::start_on(name, None, Some(path), &[])
}

/// What must be the same in two servers besides the digest, which does not see groups and expiries of fields.
const ASKED: [&str; 12] = [
    "OBJECT ENCODING list",
    "OBJECT ENCODING integers",
    "OBJECT ENCODING set",
    "OBJECT ENCODING hash",
    "OBJECT ENCODING zset",
    "OBJECT ENCODING large:hash",
    "XLEN large:stream",
    "XRANGE stream - +",
    "XPENDING stream group",
    "XRANGE large:stream 1-19990 +",
    "LRANGE large:list 19990 -1",
    "ZRANGE large:zset -3 -1 WITHSCORES",
];

#[test]
fn every_server_loads_what_is_written_and_has_the_same_data_as_after_the_commands() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ALL {
        let Some(made) = Server::start(name, &[]) else {
            return;
        };
        let own = version_of(name);
        make(&mut made.client(), own);
        let delivered = made.command("TIME").elements();
        let seconds: i64 = delivered[0]
            .text()
            .trim_matches('"')
            .parse()
            .expect("a time");
        for version in [own, Version::PORTABLE] {
            if version != own {
                made.command("DEL timed large:timed");
            }
            let mut writer = writer(version);
            writer.aux("redis-ver", "9.9.9").expect("a fact");
            if version.number >= 10 {
                let code = "#!lua name=lib\nredis.register_function('f', function() return 7 end)";
                writer.library(code).expect("a library");
            }
            write_all(&mut writer, seconds * 1000).expect("it is written");
            let path = folder.path().join("written.rdb");
            fs::write(&path, writer.finish().expect("it is complete")).expect("a file");
            let loaded = with_dump(name, &path).expect("it starts");
            let digest = |server: &Server| server.command("DEBUG DIGEST").text();
            assert_eq!(digest(&loaded), digest(&made), "{name}: {version}");
            if version.number >= 10 {
                assert_eq!(loaded.command("FCALL f 0").integer(), Some(7), "{name}");
            }
            for question in ASKED {
                let [here, there] = [&loaded, &made].map(|server| server.command(question));
                assert_eq!(here, there, "{name}: {version}: {question}");
                assert!(!here.is_error(), "{name}: {question}: {}", here.text());
            }
            let consumers = |server: &Server| {
                let consumers = server.command("XINFO CONSUMERS stream group").elements();
                let names = consumers.iter().map(|one| {
                    let fields = one.elements();
                    (fields[1].text(), fields[3].text())
                });
                sorted(names.collect::<Vec<_>>())
            };
            assert_eq!(consumers(&loaded), consumers(&made), "{name}");
            if version.number >= 12 {
                for key in ["timed", "large:timed"] {
                    for field in ["a", "b", &large(0), &large(1), &large(2000), &large(19_998)] {
                        let question = format!("HPEXPIRETIME {key} FIELDS 1 {field}");
                        let [here, there] =
                            [&loaded, &made].map(|server| server.command(&question));
                        assert_eq!(here, there, "{name}: {question}");
                        assert!(!here.is_error(), "{name}: {question}");
                    }
                }
            }
            // The server can work with what it loaded.
            let saved = loaded.command("DEBUG RELOAD");
            assert!(!saved.is_error(), "{name}: {}", saved.text());
            assert_eq!(digest(&loaded), digest(&made), "{name}: {version}");
        }
    }
}

/// Dumps of servers, and the servers that load copies of them.
const COPIED: [(&str, &str); 7] = [
    ("redis-6.0.rdb", "redis-6.0"),
    ("redis-7.0.rdb", "redis-7.0"),
    ("redis-7.4-field-expiries.rdb", "redis-7.4"),
    ("redis-8.0.rdb", "redis-8.0"),
    ("redis-8.2.rdb", "redis-8.2"),
    ("valkey-8.1.rdb", "valkey-8.1"),
    ("valkey-9.1-field-expiries.rdb", "valkey-9.1"),
];

#[test]
fn keys_that_are_read_and_written_again_are_the_same_to_their_server_and_to_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("copy.rdb");
    for (dump, name) in COPIED {
        let Some(original) = with_dump(name, &fixture(dump)) else {
            return;
        };
        let copies = [version_of(name), Version::PORTABLE];
        for version in copies {
            let mut writer = writer(version);
            let mut keys = Keys::open(fixture(dump)).expect("a dump");
            let mut left_out = Vec::new();
            while let Some(key) = keys.next_key().expect("a key") {
                match writer.copy(&key) {
                    Ok(()) => {}
                    Err(WriteError::Unsupported { .. }) => {
                        left_out.push((key.db, key.name.to_vec()))
                    }
                    Err(error) => panic!("{dump}: {error}: {key:?}"),
                }
            }
            assert!(
                version != copies[0] || left_out.is_empty(),
                "{dump}: {left_out:?}"
            );
            fs::write(&path, writer.finish().expect("it is complete")).expect("a file");
            let mut client = original.client();
            for (db, name) in left_out {
                client.command(&format!("SELECT {db}"));
                client.words(&[b"DEL", &name]);
            }
            let copy = with_dump(name, &path).expect("it starts");
            let digest = |server: &Server| server.command("DEBUG DIGEST").text();
            assert_eq!(digest(&copy), digest(&original), "{dump} in {version}");
        }
    }
}

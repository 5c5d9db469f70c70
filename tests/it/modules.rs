//! Values of modules, from dumps and from the stream. redtail keeps their bytes, and DUMP must return the same payloads as real
//! servers with the modules. The dumps come from `fixtures/modules.py` and `fixtures/stack.py`.

use crate::client::{Client, encode, words};
use crate::scripted::{Connection, Scripted, full_resync, with_length};
use crate::servers::{Server, fixture, program};

/// The servers whose own test modules wrote a dump.
const WITH_TEST_MODULES: [&str; 5] = [
    "redis-6.0",
    "redis-7.0",
    "redis-8.0",
    "valkey-8.1",
    "valkey-9.1",
];

/// A real server's reply to DUMP.
struct Payload {
    db: String,
    key: Vec<u8>,
    payload: Vec<u8>,
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    let pairs = digits.map(|pair| std::str::from_utf8(pair).expect("hexadecimal"));
    pairs
        .map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal"))
        .collect()
}

fn payloads(name: &str) -> Vec<Payload> {
    let path = fixture(&format!("corpus/{name}-modules.payloads"));
    let text = std::fs::read_to_string(path).expect("the fixture exists");
    let parse = |line: &str| {
        let [db, key, payload] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("expected three words: {line}");
        };
        Payload {
            db: db.to_owned(),
            key: bytes(key),
            payload: bytes(payload),
        }
    };
    text.lines().map(parse).collect()
}

/// redtail with a primary that the test plays, after loading the dump.
fn follow(name: &str) -> (Connection, Server, Scripted) {
    let dump = std::fs::read(fixture(&format!("corpus/{name}-modules.rdb"))).expect("a dump");
    let primary = Scripted::start();
    let address = format!("redis://{}", primary.address());
    let feed = std::thread::spawn(move || {
        let (mut connection, _) = primary.accept_psync();
        connection.send(full_resync(1));
        connection.send(with_length(&dump));
        (connection, primary)
    });
    let redtail = Server::redtail_of(&address, &[]);
    let (connection, primary) = feed.join().expect("it connects");
    redtail.wait_for("its first sync", |client| {
        client.command("DBSIZE").is_integer()
    });
    (connection, redtail, primary)
}

fn assert_gives(client: &mut Client, key: &[u8], expected: &Payload, what: &str) {
    client.command(&format!("SELECT {}", expected.db));
    let found = client.words(&[b"DUMP", key]).bulk();
    let name = expected.key.escape_ascii();
    assert_eq!(found.as_ref(), Some(&expected.payload), "{what}: {name}");
}

#[test]
fn values_of_modules_are_dumped_as_their_own_server_dumps_them() {
    for name in WITH_TEST_MODULES {
        let (mut connection, redtail, _primary) = follow(name);
        let (payloads, mut client) = (payloads(name), redtail.client());
        assert!(payloads.len() > 15);
        for expected in &payloads {
            assert_gives(&mut client, &expected.key, expected, name);
            let restored = [&b"restored:"[..], &expected.key].concat();
            connection.send(encode(&[&b"SELECT"[..], expected.db.as_bytes()]));
            let ttl: &[u8] = b"4102444800000";
            let restore: [&[u8]; 5] = [b"RESTORE", &restored, ttl, &expected.payload, b"ABSTTL"];
            connection.send(encode(&restore));
        }
        connection.send(encode(&words("SELECT 0")));
        connection.send(encode(&words("RENAME restored:pair:0 renamed")));
        connection.send(encode(&words("SET last 1")));
        client.command("SELECT 0");
        redtail.wait_for("the stream", |client| {
            client.command("EXISTS last").integer() == Some(1)
        });
        for expected in payloads.iter().filter(|payload| payload.key != b"pair:0") {
            let restored = [&b"restored:"[..], &expected.key].concat();
            assert_gives(&mut client, &restored, expected, "restored");
        }
        client.command("SELECT 0");
        assert_eq!(client.command("TYPE renamed").text(), "test___dt");
        assert_eq!(client.command("TYPE restored:text:0").text(), "test__rdb");
    }
}

#[test]
fn a_modules_own_write_taints_what_it_may_have_changed() {
    let (mut connection, redtail, _primary) = follow("redis-7.0");
    connection.send(encode(&words("testrdb.set.key text:0 new")));
    redtail.wait_for("the taint", |client| {
        client.command("DUMP text:0").text().starts_with("TAINTED")
    });
    // redtail does not know which keys a module's command names, so it taints all keys until the next snapshot.
    assert!(redtail.command("GET beside").text().starts_with("TAINTED"));
}

/// The modules that come with the server redis-7.4.
const STACK: &str = "redis-7.4";

/// A server with RedisJSON, RedisBloom, RedisTimeSeries and RediSearch, and the data of `dump` if there is one.
fn stack(dump: Option<&str>) -> Option<Server> {
    let server = program(STACK, "redis-server")?;
    let folder = server.parent().expect("a folder").join("root/lib");
    let mut config = Vec::new();
    for module in ["rejson", "redisbloom", "redisearch", "redistimeseries"] {
        config.push("--loadmodule".to_owned());
        config.push(folder.join(format!("{module}.so")).display().to_string());
    }
    let config: Vec<&str> = config.iter().map(String::as_str).collect();
    let dump = dump.map(fixture);
    Server::start_on(STACK, None, dump.as_deref(), &config)
}

/// What of a value is asked under the name of another key, because its payload holds the key's name, or addresses in memory.
fn question(kind: &str, key: &[u8]) -> Option<Vec<Vec<u8>>> {
    let words: &[&[u8]] = match kind {
        "TSDB-TYPE" => &[b"TS.RANGE", key, b"-", b"+"],
        "TopK-TYPE" => &[b"TOPK.LIST", key, b"WITHCOUNT"],
        _ => return None,
    };
    Some(words.iter().map(|word| word.to_vec()).collect())
}

#[test]
fn values_of_the_well_known_modules_are_carried() {
    let Some(primary) = stack(Some("corpus/redis-7.4-modules.rdb")) else {
        return;
    };
    let redtail = Server::redtail(&primary);
    let (mut theirs, mut ours) = (primary.client(), redtail.client());
    let mut kinds = std::collections::BTreeSet::new();
    for Payload { db, key, .. } in payloads(STACK) {
        for client in [&mut theirs, &mut ours] {
            client.command(&format!("SELECT {db}"));
        }
        let name = key.escape_ascii().to_string();
        for question in ["TYPE", "EXISTS", "PEXPIRETIME", "DUMP"] {
            let words = [question.as_bytes(), &key];
            assert_eq!(
                ours.words(&words),
                theirs.words(&words),
                "{question} {name}"
            );
        }
        let encoding: [&[u8]; 3] = [b"OBJECT", b"ENCODING", &key];
        assert_eq!(ours.words(&encoding), theirs.words(&encoding), "{name}");
        // What redtail returns is the value for a server with the module, too.
        let kind = ours.words(&[b"TYPE", &key]).text();
        let (again, payload) = ([b"again:", &key[..]].concat(), ours.words(&[b"DUMP", &key]));
        let payload = payload.bulk().expect("a payload");
        let restored = theirs.words(&[b"RESTORE", &again, b"0", &payload]);
        assert_eq!(restored.text(), "OK", "{name}");
        match (question(&kind, &key), question(&kind, &again)) {
            (Some(asked), Some(asked_again)) => {
                let replies = theirs.pipeline(&[asked, asked_again]);
                assert_eq!(replies[0], replies[1], "{name}");
            }
            _ => assert_eq!(
                theirs.words(&[b"DUMP", &again]).bulk(),
                Some(payload),
                "{name}"
            ),
        }
        kinds.insert(kind);
    }
    assert_eq!(kinds.len(), 10, "{kinds:?}");
}

#[test]
fn commands_of_modules_are_refused_with_the_reason() {
    let Some(primary) = stack(None) else { return };
    primary.command("JSON.SET json $ 1");
    let redtail = Server::redtail(&primary);
    for line in [
        "JSON.GET json",
        "json.set json $ 2",
        "BF.EXISTS none x",
        "FT.SEARCH index text",
        "TS.RANGE none - +",
    ] {
        let reply = redtail.command(line).text();
        assert!(
            reply.contains("runs no commands of modules"),
            "{line}: {reply}"
        );
    }
    assert_eq!(redtail.command("TYPE json").text(), "ReJSON-RL");
}

#[test]
fn core_commands_on_values_of_modules_are_followed() {
    let Some(primary) = stack(Some("corpus/redis-7.4-modules.rdb")) else {
        return;
    };
    let redtail = Server::redtail(&primary);
    for line in [
        "COPY json:object copied",
        "RENAME bloom:scaled renamed",
        "EXPIREAT cuckoo 4102444800",
        "PERSIST json:number",
        "MOVE json:text 5",
        "DEL topk",
        "RENAME series:many other",
        "COPY series:plain copy",
        "TS.CREATE source",
        "TS.CREATE target",
    ] {
        assert!(!primary.command(line).is_error(), "{line}");
    }
    // A new series may have created others: everything is unknown until the next full sync.
    redtail.wait_in_sync(&primary);
    assert!(redtail.command("GET beside").text().starts_with("TAINTED"));
    primary.command("TS.CREATERULE source target AGGREGATION avg 10");
    resync(&redtail, &primary);
    let (mut theirs, mut ours) = (primary.client(), redtail.client());
    for key in [
        "copied",
        "renamed",
        "cuckoo",
        "json:number",
        "topk",
        "series:plain",
        "copy",
    ] {
        for question in ["TYPE", "EXPIRETIME", "DUMP"] {
            let line = format!("{question} {key}");
            assert_eq!(ours.command(&line), theirs.command(&line), "{line}");
        }
    }
    // What a rule binds together changes with the other, and DUMP leaves out the rule.
    for key in ["source", "target"] {
        assert_eq!(ours.command(&format!("TYPE {key}")).text(), "TSDB-TYPE");
        let reply = ours.command(&format!("DUMP {key}")).text();
        assert!(reply.contains("compaction rule"), "{key}: {reply}");
    }
    // The same through the stream.
    for line in [
        "RENAME other another",
        "COPY copied copied2",
        "RENAME cms:dim cms",
    ] {
        assert!(!primary.command(line).is_error(), "{line}");
    }
    redtail.wait_in_sync(&primary);
    let reply = ours.command("DUMP another").text();
    assert!(reply.contains("that was renamed"), "{reply}");
    for line in [
        "TYPE another",
        "EXISTS other another",
        "DUMP copied2",
        "DUMP cms",
    ] {
        assert_eq!(ours.command(line), theirs.command(line), "{line}");
    }
}

/// Makes redtail load a snapshot.
fn resync(redtail: &Server, primary: &Server) {
    let syncs = |server: &Server| {
        let syncs = server.client().info("stats", "sync_full");
        syncs
            .expect("INFO counts them")
            .parse::<u64>()
            .expect("a number")
    };
    let before = syncs(primary);
    primary.command("DEBUG CHANGE-REPL-ID");
    primary.command("CLIENT KILL TYPE replica");
    primary.wait_for("a full sync", |_| syncs(primary) > before);
    redtail.wait_for("data", |client| {
        let is_known = !client.command("GET beside").is_error();
        is_known && client.info("replication", "master_link_status").as_deref() == Some("up")
    });
}

/// Commands of modules, each with the keys of which redtail does not know the value afterwards.
const WRITES: &[(&str, &[&str])] = &[
    ("JSON.NUMINCRBY json $.a 1", &["json"]),
    ("JSON.MSET json2 $ 1 json3 $ 2", &["json2", "json3"]),
    ("JSON.DEL json4", &["json4"]),
    ("BF.ADD bloom y", &["bloom"]),
    ("BF.RESERVE new:bloom 0.01 100", &["new:bloom"]),
    ("CF.ADD cuckoo a", &["cuckoo"]),
    ("CMS.INCRBY cms a 1", &["cms"]),
    ("CMS.MERGE cms2 1 cms", &["cms2"]),
    ("TOPK.ADD topk a", &["topk"]),
    ("TDIGEST.MERGE digest2 1 digest", &["digest2"]),
    ("TS.ADD series 5 1", &["series"]),
    ("TS.ADD series 6 1", &["series"]),
    ("TS.MADD series 7 1 series2 7 2", &["series", "series2"]),
    ("TS.INCRBY series3 1", &["series3"]),
    (
        "TS.CREATERULE series4 series5 AGGREGATION avg 10",
        &["series4", "series5"],
    ),
    ("FT.SUGADD suggestions hello 1", &["suggestions"]),
    ("FT.CREATE index ON HASH PREFIX 1 doc: SCHEMA t TEXT", &[]),
    ("FT.ALIASADD alias index", &[]),
    ("FT.ALTER index SCHEMA ADD u TEXT", &[]),
    ("FT.DICTADD words a", &[]),
    ("HSET doc:2 t there", &[]),
    ("FT.DROPINDEX index DD", &[]),
];

#[test]
fn a_known_modules_write_taints_only_the_keys_that_it_names() {
    let Some(primary) = stack(None) else { return };
    for line in [
        "SET beside 1",
        "HSET doc:1 t hello",
        "JSON.SET json $ {\"a\":1}",
        "JSON.SET json4 $ 1",
        "JSON.SET kept $ 1",
        "BF.ADD bloom x",
        "CF.ADD cuckoo x",
        "CMS.INITBYDIM cms 10 2",
        "CMS.INITBYDIM cms2 10 2",
        "TOPK.RESERVE topk 3",
        "TDIGEST.CREATE digest",
        "TS.CREATE series",
        "TS.CREATE series2",
        "TS.CREATE series3",
        "TS.CREATE series4",
        "TS.CREATE series5",
    ] {
        assert!(!primary.command(line).is_error(), "{line}");
    }
    let redtail = Server::redtail(&primary);
    let mut unknown = std::collections::BTreeSet::new();
    for (line, keys) in WRITES {
        let reply = primary.command(line);
        assert!(!reply.is_error(), "{line}: {}", reply.text());
        redtail.wait_in_sync(&primary);
        unknown.extend(*keys);
        let mut asked = unknown.clone();
        let held: Vec<String> = primary
            .command("KEYS *")
            .text()
            .lines()
            .map(str::to_owned)
            .collect();
        asked.extend(held.iter().map(String::as_str));
        for key in asked {
            let reply = redtail.command(&format!("DUMP {key}"));
            let is_tainted = reply.text().starts_with("TAINTED");
            assert_eq!(is_tainted, unknown.contains(key), "{line}: {key}");
        }
    }
    // Its documents were deleted by commands of their own. Only the second is certain to have been indexed in time.
    for line in ["EXISTS doc:1", "EXISTS doc:2"] {
        assert_eq!(redtail.command(line), primary.command(line), "{line}");
    }
    assert_eq!(redtail.command("EXISTS doc:2").integer(), Some(0));
    let mut client = primary.client();
    for line in ["MULTI", "JSON.SET within $ 1", "SET beside 3", "EXEC"] {
        assert!(!client.command(line).is_error(), "{line}");
    }
    redtail.wait_in_sync(&primary);
    assert_eq!(redtail.command("GET beside").text(), "3");
    assert!(redtail.command("TYPE within").text().starts_with("TAINTED"));
    // A core command makes a key known again, and a series that is new makes everything unknown.
    primary.command("DEL bloom series");
    redtail.wait_in_sync(&primary);
    assert_eq!(redtail.command("EXISTS bloom series").integer(), Some(0));
    assert_eq!(redtail.command("TYPE kept").text(), "ReJSON-RL");
    primary.command("TS.ADD series 1 1");
    redtail.wait_in_sync(&primary);
    assert!(redtail.command("TYPE kept").text().starts_with("TAINTED"));
    resync(&redtail, &primary);
    let [ours, theirs] = [&redtail, &primary].map(|server| server.command("DUMP json"));
    assert_eq!(ours, theirs);
}

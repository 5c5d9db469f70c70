//! Values of modules, from dumps and from the stream. redtail keeps their bytes, and DUMP must return the same payloads as real
//! servers with the modules. The dumps come from `fixtures/modules.py`.

use crate::client::{Client, encode, words};
use crate::scripted::{Connection, Scripted, full_resync, with_length};
use crate::servers::{ALL, Server, fixture};

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
    for name in ALL {
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

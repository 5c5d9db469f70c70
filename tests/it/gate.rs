//! What a replica refuses while it loads, and while its data is too old. Compares every command with a real replica of that
//! version.

use crate::client::Client;
use crate::servers::{Server, free_port};

/// What the servers say about their commands. Each line holds servers, name, group, arity, and more.
const CATALOGUE: &str = include_str!("../../src/command/dispatch/catalogue.txt");

/// The servers, with their letters in the catalogue.
const SERVERS: [(&str, char); 3] = [("redis-7.0", '7'), ("redis-8.0", '8'), ("valkey-9.1", 'V')];

/// Without this, a server refuses module commands with another error.
const ALLOWED: [&str; 2] = ["--enable-module-command", "yes"];

/// On a real replica scripts start, and fail at their first read. redtail refuses them as a whole.
const SCRIPTS: [&str; 6] = [
    "eval",
    "eval_ro",
    "evalsha",
    "evalsha_ro",
    "fcall",
    "fcall_ro",
];

/// Requests for every command of a server, with the minimum number of words. Requests that would have an effect on the server are
/// wrong on purpose, so that it refuses them.
fn requests(letter: char) -> Vec<Vec<&'static str>> {
    let lines = CATALOGUE.lines().map(|line| line.split(' '));
    let of_server = lines.filter_map(|mut words| {
        let servers = words.next()?;
        let (name, group) = (words.next()?, words.next()?);
        let arity: i32 = words.next()?.parse().ok()?;
        (servers.contains(letter) && group != "module").then(|| request(name, arity))
    });
    of_server.collect()
}

fn request(name: &'static str, arity: i32) -> Vec<&'static str> {
    match name {
        "shutdown" => vec!["shutdown", "nonsense"],
        "replicaof" | "slaveof" => vec![name, "127.0.0.1", "nonsense"],
        "client|pause" => vec!["client", "pause", "nonsense"],
        _ => {
            let mut words: Vec<_> = name.split('|').collect();
            let count = usize::try_from(arity.abs()).expect("a small number");
            words.resize(count.max(words.len()), "1");
            words
        }
    }
}

/// How a server treats a request on a new connection: the code of a refusal, or "handled".
fn taken(server: &Server, request: &[&str]) -> String {
    let words: Vec<&[u8]> = request.iter().map(|word| word.as_bytes()).collect();
    let reply = server.client().try_command(&words);
    let text = reply.map_or(String::new(), |reply| {
        if reply.is_error() {
            reply.text()
        } else {
            String::new()
        }
    });
    let code = text.split(' ').next().unwrap_or_default();
    let is_refusal = ["LOADING", "MASTERDOWN", "READONLY"].contains(&code);
    (if is_refusal { code } else { "handled" }).to_owned()
}

/// Asserts that both treat all requests the same way, and that some are refused with `code` and others are handled.
fn take_alike(ours: &Server, theirs: &Server, letter: char, code: &str) {
    let mut differing = Vec::new();
    let mut counts = [0, 0];
    for request in requests(letter) {
        let expected = taken(theirs, &request);
        counts[0] += usize::from(expected == code);
        counts[1] += usize::from(expected == "handled");
        let expected = if SCRIPTS.contains(&request[0]) {
            code
        } else {
            &expected
        };
        let own = taken(ours, &request);
        if own != expected {
            differing.push(format!("{request:?}: {own}, on the replica {expected}"));
        }
    }
    assert!(differing.is_empty(), "{code}: {}", differing.join("\n"));
    assert!(counts.iter().all(|count| *count > 30), "{code}: {counts:?}");
    eprintln!("{code} and handled: {counts:?}");
}

fn field(server: &Server, section: &str, field: &str) -> String {
    server.client().info(section, field).unwrap_or_default()
}

#[test]
fn every_command_is_refused_as_a_replica_with_old_data_refuses_it() {
    for (name, letter) in SERVERS {
        let Some(mut primary) = Server::start(name, &[]) else {
            continue;
        };
        let redtail = Server::redtail_with(&primary, &["--max-staleness", "100ms"]);
        let port = primary.port.to_string();
        let follows = ["--replicaof", "127.0.0.1", &port];
        let real = Server::start(name, &[&follows[..], &ALLOWED].concat());
        let real = real.expect("the server was there a moment ago");
        real.wait_in_sync(&primary);
        real.command("CONFIG SET replica-serve-stale-data no");
        primary.stop();
        let is_refused =
            |client: &mut Client| client.command("GET a").text().starts_with("MASTERDOWN");
        redtail.wait_for("a refusal", is_refused);
        real.wait_for("a refusal", is_refused);
        take_alike(&redtail, &real, letter, "MASTERDOWN");
    }
}

#[test]
fn every_command_is_refused_as_a_replica_that_loads_refuses_it() {
    for (name, letter) in SERVERS {
        let Some(source) = Server::start(name, &["--rdbcompression", "no"]) else {
            continue;
        };
        source.command("DEBUG POPULATE 60000 key 1000");
        assert_eq!(source.command("SAVE").text(), "OK");
        let version = field(&source, "server", "redis_version");
        let dump = source.directory().join("dump.rdb");
        let nobody = free_port().to_string();
        // Loads for at least a minute, and serves clients after each key.
        let slowly = [
            "--replicaof",
            "127.0.0.1",
            &nobody,
            "--key-load-delay",
            "1000",
            "--loading-process-events-interval-bytes",
            "1024",
        ];
        let config = [&slowly[..], &ALLOWED].concat();
        let real = Server::start_loading(&[], name, None, Some(&dump), &config);
        let real = real.expect("the server was there a moment ago");
        let family = name.split('-').next().unwrap_or_default();
        let version = match field(&source, "server", "valkey_version") {
            valkey if valkey.is_empty() => version,
            valkey => valkey,
        };
        let address = format!("redis://127.0.0.1:{nobody}");
        let dialect = format!("{family}-{version}");
        let redtail = Server::redtail_of(&address, &["--dialect", &dialect]);
        take_alike(&redtail, &real, letter, "LOADING");
        assert_eq!(field(&real, "persistence", "loading"), "1", "{name}");
    }
}

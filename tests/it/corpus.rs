//! Compares every dump in `fixtures/` with what a real server said it contains.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::client::{Client, Reply};
use crate::servers::{Server, fixture};

/// The dumps, each with its file of expected JSON.
pub fn dumps() -> Vec<(PathBuf, PathBuf)> {
    let mut dumps = Vec::new();
    for directory in [fixture(""), fixture("corpus")] {
        for entry in directory.read_dir().expect("fixtures exist") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|extension| extension == "rdb") {
                let expected = path.with_extension("json");
                dumps.push((path, expected));
            }
        }
    }
    dumps.sort();
    dumps
}

/// Parses the lines and puts everything without a defined order, keys included, into one order.
pub fn normal(lines: &str) -> Vec<Value> {
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let mut lines: Vec<Value> = lines.lines().map(parse).collect();
    for line in &mut lines {
        let kind = line["type"].as_str().expect("a type").to_owned();
        let value = &mut line["value"];
        match kind.as_str() {
            "set" | "hash" => sort(value),
            "zset" => {
                members(value)
                    .iter_mut()
                    .for_each(|member| exact(&mut member[1]));
                sort(value);
            }
            "stream" => members(&mut value["groups"])
                .iter_mut()
                .for_each(|group| sort(&mut group["consumers"])),
            _ => {}
        }
    }
    lines.sort_by_key(|line| (line["db"].as_u64(), line["key"].to_string()));
    lines
}

fn members(value: &mut Value) -> &mut Vec<Value> {
    value.as_array_mut().expect("an array")
}

fn sort(value: &mut Value) {
    members(value).sort_by_key(Value::to_string);
}

/// Replaces a score by its bits, because servers have several texts for one number.
fn exact(score: &mut Value) {
    let number: f64 = score.as_str().expect("a score").parse().expect("a number");
    *score = number.to_bits().into();
}

/// What redtail prints for a dump.
fn printed(dump: &Path) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_redtail"))
        .args(["rdb", "json"])
        .arg(dump)
        .output()
        .expect("it runs");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && told.is_empty(), "{told}");
    String::from_utf8(output.stdout).expect("JSON is UTF-8")
}

#[test]
fn every_dump_holds_what_a_real_server_found_in_it() {
    let mut compared = 0;
    for (dump, expected) in dumps() {
        let expected = std::fs::read_to_string(&expected)
            .unwrap_or_else(|error| panic!("{}: {error}", expected.display()));
        let (ours, theirs) = (normal(&printed(&dump)), normal(&expected));
        let differing = ours
            .iter()
            .zip(&theirs)
            .find(|(ours, theirs)| ours != theirs);
        assert_eq!(differing, None, "{}", dump.display());
        assert_eq!(ours.len(), theirs.len(), "{}", dump.display());
        compared += 1;
    }
    assert!(compared > 130, "only {compared} dumps");
}

/// The server that can load a dump.
fn server_of(dump: &Path) -> &'static str {
    let name = dump.file_name().unwrap_or_default().to_string_lossy();
    let servers = [
        "redis-6.0",
        "redis-7.0",
        "redis-7.4",
        "redis-8.0",
        "redis-8.2",
        "valkey-8.1",
        "valkey-9.0",
        "valkey-9.1",
    ];
    let own = servers.into_iter().find(|server| name.starts_with(server));
    own.unwrap_or(if name == "legacy-field-expiries.rdb" {
        "redis-8.0"
    } else {
        "redis-7.0"
    })
}

/// Returns what distinguishes two values on a real server: the digest and, for streams, whose digest does not cover groups, all
/// details.
fn fingerprint(client: &mut Client, key: &[u8]) -> (Reply, Reply) {
    let digest = client.words(&[b"DEBUG", b"DIGEST-VALUE", key]);
    let details = if client.words(&[b"TYPE", key]).text() == "stream" {
        client.words(&[b"XINFO", b"STREAM", key, b"FULL", b"COUNT", b"100000"])
    } else {
        client.words(&[b"TYPE", key])
    };
    (digest, details)
}

/// Dumps every key in one database of `ours`, restores it on `scratch`, and compares the result with `real`.
fn compare_database(
    db: &str,
    real: &mut Client,
    ours: &mut Client,
    scratch: &mut Client,
) -> Vec<String> {
    for client in [&mut *real, &mut *ours, &mut *scratch] {
        client.command(&format!("SELECT {db}"));
    }
    let mut wrong = Vec::new();
    for key in real.command("KEYS *").elements() {
        let key = key.bulk().expect("a key");
        let payload = ours.words(&[b"DUMP", &key]);
        let expiry = real
            .words(&[b"PTTL", &key])
            .integer()
            .unwrap_or(0)
            .max(0)
            .to_string();
        let bytes = payload.bulk().unwrap_or_default();
        let restored = scratch.words(&[b"RESTORE", &key, expiry.as_bytes(), &bytes]);
        let (theirs, own) = (fingerprint(real, &key), fingerprint(scratch, &key));
        if theirs != own {
            wrong.push(format!(
                "{db}/{}: {own:.300?} instead of {theirs:.300?}; {restored:.200?}",
                key.escape_ascii()
            ));
        }
    }
    wrong
}

/// Returns what is wrong with the keys of a dump after a round trip, or `None` if the server is not installed.
fn round_trip(dump: &Path, name: &str) -> Option<Vec<String>> {
    let config = ["--databases", "1000"];
    let primary = Server::start_on(name, None, Some(dump), &config)?;
    let redtail = Server::redtail_with(&primary, &config);
    let scratch = Server::start(name, &config)?;
    let (mut real, mut ours, mut scratch) = (primary.client(), redtail.client(), scratch.client());
    let mut wrong = Vec::new();
    for line in real.command("INFO keyspace").text().lines() {
        if let Some((db, _)) = line
            .strip_prefix("db")
            .and_then(|line| line.split_once(':'))
        {
            wrong.extend(compare_database(db, &mut real, &mut ours, &mut scratch));
        }
    }
    Some(wrong)
}

fn round_trips(name: &str) {
    let mut wrong = Vec::new();
    let own = dumps().into_iter().filter(|(dump, _)| {
        // None of the servers has the modules, and no server is as new as the dumps made by hand.
        let path = dump.to_string_lossy();
        let is_foreign = path.ends_with("-modules.rdb") || path.ends_with("-by-hand.rdb");
        server_of(dump) == name && !is_foreign
    });
    for (dump, _) in own {
        let Some(found) = round_trip(&dump, name) else {
            return;
        };
        wrong.extend(
            found
                .into_iter()
                .map(|what| format!("{}: {what}", dump.display())),
        );
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn dumps_of_redis_6_0_come_back_from_our_payloads() {
    round_trips("redis-6.0");
}

#[test]
fn dumps_of_redis_7_0_come_back_from_our_payloads() {
    round_trips("redis-7.0");
}

#[test]
fn dumps_of_redis_7_4_come_back_from_our_payloads() {
    round_trips("redis-7.4");
}

#[test]
fn dumps_of_redis_8_0_come_back_from_our_payloads() {
    round_trips("redis-8.0");
}

#[test]
fn dumps_of_valkey_8_1_come_back_from_our_payloads() {
    round_trips("valkey-8.1");
}

#[test]
fn dumps_of_valkey_9_0_come_back_from_our_payloads() {
    round_trips("valkey-9.0");
}

#[test]
fn dumps_of_valkey_9_1_come_back_from_our_payloads() {
    round_trips("valkey-9.1");
}

#[test]
fn a_dump_taken_while_slots_come_holds_the_keys_that_have_come() {
    let dump = fixture("importing/valkey-9.1-slot-import.rdb");
    let lines = printed(&dump);
    assert!(lines.lines().count() > 1, "{lines}");
}

#[test]
fn dumps_of_redis_8_2_come_back_from_our_payloads() {
    round_trips("redis-8.2");
}

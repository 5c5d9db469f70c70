//! Scripts, answered as a real replica answers them: `fixtures/scripts.txt` has one a line. In those that begin with `#!`,
//! `\n` ends that line.

use std::time::Instant;

use crate::builds::{BREAKS_ITS_LINE, other_build};
use crate::client::{Client, Reply};
use crate::servers::{ALL, PATIENCE, Server};

const SCRIPTS: &str = include_str!("../../fixtures/scripts.txt");

struct Pair {
    _primary: Server,
    replica: Server,
    redtail: Server,
}

const DATA: [&str; 12] = [
    "SET str value",
    "SET num 42",
    "HSET hash f v",
    "HSET h2 a 1 b 2 c 3 d 4",
    "ZADD zset 1.5 a 2 b 1e30 c",
    "SADD set a",
    "SADD s2 a b c d",
    "RPUSH list a b c",
    "XADD stream 1-1 f v",
    "XADD stream 2-1 f v g w",
    "PFADD hll a b c",
    "GEOADD geo 13.36 38.11 p 15.08 37.5 c",
];

fn pair(name: &str) -> Option<Pair> {
    let primary = Server::start(name, &[])?;
    for line in DATA {
        primary.command(line);
    }
    let replica = Server::replica(name, &primary)?;
    let redtail = Server::redtail(&primary);
    replica.wait_in_sync(&primary);
    redtail.wait_in_sync(&primary);
    Some(Pair {
        _primary: primary,
        replica,
        redtail,
    })
}

fn ask(client: &mut Client, command: &str, script: &str) -> Reply {
    let words = [command, script, "2", "str", "hash", "arg", "x"];
    client.words(&words.map(str::as_bytes))
}

/// Asks both for all scripts. Some servers are built without `cjson`; what a script of theirs left behind is flushed.
///
/// # Panics
/// With all differences.
fn assert_same(name: &str, command: &str, connect: impl Fn(&Server) -> Client, pair: &Pair) {
    let (mut replica, mut redtail) = (connect(&pair.replica), connect(&pair.redtail));
    let mut differences = Vec::new();
    for line in SCRIPTS.lines() {
        let script = match line.strip_prefix("#!") {
            Some(_) => line.replacen("\\n", "\n", 1),
            None => line.to_owned(),
        };
        replica.command("SCRIPT FLUSH");
        let expected = ask(&mut replica, command, &script);
        if BREAKS_ITS_LINE.contains(&line) {
            // The rest of its reply would be taken for the next one's.
            replica = connect(&pair.replica);
        }
        if expected.text().contains("global variable 'cjson'") {
            continue;
        }
        let found = ask(&mut redtail, command, &script);
        if found != expected && !other_build(line, &found, &expected) {
            differences.push(format!(
                "{line}\n  wanted {expected:.300?}\n  found {found:.300?}"
            ));
        }
    }
    let count = differences.len();
    let shown = differences.join("\n");
    assert!(
        differences.is_empty(),
        "{name}: {command}: {count} differences\n{shown}"
    );
}

#[test]
fn scripts_answer_as_on_a_replica() {
    for name in ALL {
        let Some(pair) = pair(name) else {
            return;
        };
        assert_same(name, "EVAL", Server::client, &pair);
        let command = if name == "redis-6.0" {
            "EVAL"
        } else {
            "EVAL_RO"
        };
        assert_same(name, command, |server| server.client().resp3(), &pair);
    }
}

/// What would need all memory.
const HUNGRY: &[&str] = &[
    "local s='x' while true do s=s..s end",
    "local t={} for i=1,1e9 do t[i]={} end",
    "return string.rep('x',2e9)",
    "collectgarbage('stop') while true do local t={} end",
];

#[test]
fn a_script_that_needs_too_much_memory_is_ended_and_the_next_one_runs() {
    let Some(pair) = pair("redis-8.0") else {
        return;
    };
    let mut client = pair.redtail.client();
    for script in HUNGRY {
        let reply = ask(&mut client, "EVAL", script);
        assert!(reply.text().contains("memory"), "{script}: {reply:?}");
        let next = ask(&mut client, "EVAL", "return 'next'");
        assert_eq!(next.bulk().as_deref(), Some(&b"next"[..]));
    }
}

#[test]
fn others_are_served_while_a_script_runs_and_can_end_it() {
    let Some(pair) = pair("valkey-9.1") else {
        return;
    };
    let mut running = pair.redtail.client();
    let endless = ["EVAL", "while true do end", "0"].map(|word| word.as_bytes().to_vec());
    running.send_all(&[endless.to_vec()]);
    let mut other = pair.redtail.client();
    let end = Instant::now() + PATIENCE;
    while other.command("SCRIPT KILL").0 != b"+OK\r\n" {
        assert!(Instant::now() < end, "no script runs");
        assert_eq!(other.command("GET str").text(), "value");
    }
    let reply = running.read().unwrap();
    assert!(reply.text().contains("killed by user"), "{reply:?}");
}

/// What would run for ever, and what would hide its end.
const ENDLESS: &[&str] = &[
    "while true do end",
    "while true do pcall(function() while true do end end) end",
    "coroutine.wrap(function() while true do end end)()",
    "return string.find(string.rep('a',100),string.rep('a*',50)..'b')",
];

#[test]
fn an_endless_script_is_ended_and_the_next_one_runs() {
    let Some(pair) = pair("valkey-8.1") else {
        return;
    };
    let mut client = pair.redtail.client();
    for script in ENDLESS {
        let reply = ask(&mut client, "EVAL", script);
        assert!(reply.is_error(), "{script}: {reply:?}");
        let next = ask(&mut client, "EVAL", "return 'next'");
        assert_eq!(next.bulk().as_deref(), Some(&b"next"[..]));
    }
}

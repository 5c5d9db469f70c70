//! Whether the judge is right: what it must let pass, and what it must report.

use super::grammar::Words;
use super::pair::{Difference, Pair};
use super::torn::{ask, is_torn, mended};
use crate::client::{Reply, words};
use crate::servers::Server;

/// Whether each server tears the errors of scripts.
const TEARS: [(&str, bool); 8] = [
    ("redis-6.0", false),
    ("redis-7.0", false),
    ("redis-7.4", true),
    ("redis-8.0", false),
    ("redis-8.2", true),
    ("valkey-8.1", false),
    ("valkey-9.0", true),
    ("valkey-9.1", false),
];

/// Databases 0 and 1 of a primary hold different members under the same names. Returns it and redtail.
fn primary_and_redtail(name: &str) -> Option<(Server, Server)> {
    let primary = Server::start(name, &[])?;
    let mut client = primary.client();
    for database in [0, 1] {
        client.command(&format!("SELECT {database}"));
        for at in 0..50 {
            client.command(&format!("SADD set d{database}m{at}"));
            client.command(&format!("HSET hash d{database}f{at} v"));
        }
    }
    let redtail = Server::redtail(&primary);
    redtail.wait_in_sync(&primary);
    Some((primary, redtail))
}

/// The names of the commands that were answered differently, sorted.
fn reported(differences: &[Difference]) -> Vec<String> {
    let name = |difference: &Difference| String::from_utf8_lossy(&difference.read[0]).into_owned();
    let mut names: Vec<_> = differences.iter().map(name).collect();
    names.sort();
    names.dedup();
    names
}

/// Reads whose replies are random, so the judge asks again which members exist.
const RANDOM: [&str; 3] = ["HRANDFIELD hash", "RANDOMKEY", "SRANDMEMBER set"];

#[test]
fn a_read_is_judged_in_the_database_that_answered_it() {
    let Some((primary, redtail)) = primary_and_redtail("redis-7.0") else {
        return;
    };
    primary.command("SET only:here 1");
    redtail.wait_in_sync(&primary);
    let reads = RANDOM.iter().cycle().take(60).map(|line| words(line));
    let reads: Vec<_> = reads.collect();
    let mut pair = Pair::connect(&primary, &redtail, 2);
    pair.select(0);
    let leave = [words("SELECT 1")];
    pair.ask_harmless(&[reads.as_slice(), &leave, &reads].concat());
    for part in reads.chunks(4) {
        pair.ask_transactions(&[part, &leave, part].concat());
    }
    assert_eq!(reported(&pair.differences), [""; 0]);
}

#[test]
fn a_random_reply_from_elsewhere_is_reported() {
    let Some((right, _)) = primary_and_redtail("redis-7.0") else {
        return;
    };
    let wrong = Server::start("redis-7.0", &[]).expect("it was there a moment ago");
    for read in RANDOM {
        wrong.command("FLUSHALL");
        for line in ["SADD set other", "HSET hash other v", "SET other v"] {
            wrong.command(line);
        }
        if read == "RANDOMKEY" {
            wrong.command("DEL set hash");
        }
        let mut pair = Pair::connect(&right, &wrong, 2);
        pair.ask_harmless(&[words(read)]);
        assert_eq!(pair.differences.len(), 1, "{read}");
    }
}

/// A script that raises its argument, which has line ends. What follows them looks like a reply.
fn raises() -> Words {
    let script = ["EVAL", "error(ARGV[1])", "0", "a\r\n:7\nb\r\n"];
    script.map(|word| word.as_bytes().to_vec()).to_vec()
}

/// Reads whose replies are all different, with [`raises`] among them.
fn with_raising() -> Vec<Words> {
    let before = (0..3).map(|at| words(&format!("ECHO {at}")));
    let after = (3..6).map(|at| words(&format!("ECHO {at}")));
    before.chain([raises()]).chain(after).collect()
}

#[test]
fn it_is_known_which_servers_tear_the_errors_of_scripts() {
    for (name, tears) in TEARS {
        let Some(server) = Server::start(name, &[]) else {
            return;
        };
        let mut client = server.client();
        assert_eq!(is_torn(&ask(&mut client, &raises())), tears, "{name}");
        for script in ["return {err=ARGV[1]}", "return redis.error_reply(ARGV[1])"] {
            let mut returns = raises();
            returns[1] = script.as_bytes().to_vec();
            let reply = ask(&mut client, &returns);
            assert!(reply.is_error() && !is_torn(&reply), "{name}: {script}");
        }
    }
}

#[test]
fn a_torn_error_is_compared_and_no_reply_after_it_is_lost() {
    for (name, _) in TEARS {
        let Some((primary, redtail)) = primary_and_redtail(name) else {
            return;
        };
        for protocol in [2, 3] {
            let mut pair = Pair::connect(&primary, &redtail, protocol);
            pair.ask_harmless(&with_raising());
            pair.ask_transactions(&with_raising());
            assert_eq!(reported(&pair.differences), [""; 0], "{name}");
        }
    }
}

#[test]
fn a_torn_error_of_the_follower_is_reported() {
    let servers = ["redis-7.0", "redis-8.2"].map(|name| Server::start(name, &[]));
    let [Some(whole), Some(torn)] = servers else {
        return;
    };
    for right in [&whole, &torn] {
        let mut pair = Pair::connect(right, &torn, 2);
        pair.ask_harmless(&with_raising());
        assert_eq!(reported(&pair.differences), ["EVAL"]);
    }
}

/// Loads a function that raises its argument and `more`.
fn load_raising(server: &Server, more: &str) {
    let code = format!(
        "#!lua name=four\nredis.register_function('f4',function(_,args) error(args[1]..'{more}') end)"
    );
    let words = [b"FUNCTION", b"LOAD".as_slice(), b"REPLACE", code.as_bytes()];
    assert_eq!(server.client().words(&words).text(), "four");
}

#[test]
fn another_text_than_that_of_a_torn_error_is_reported() {
    let servers = ["redis-8.2", "redis-7.0"].map(|name| Server::start(name, &[]));
    let [Some(right), Some(found)] = servers else {
        return;
    };
    load_raising(&right, "x");
    let read = [b"FCALL".as_slice(), b"f4", b"0", b"a\r\n:7\nb\r\n"];
    let reads = [read.map(<[u8]>::to_vec).to_vec(), words("ECHO 1")];
    for (more, expected) in [("x", vec![]), ("y", vec!["FCALL"])] {
        load_raising(&found, more);
        let mut pair = Pair::connect(&right, &found, 2);
        pair.ask_harmless(&reads);
        assert_eq!(reported(&pair.differences), expected);
    }
}

#[test]
fn only_errors_that_scripts_raise_are_mended() {
    let torn = |text: &str| Reply(text.as_bytes().to_vec());
    let raised = "-ERR a\r\nb script: f4, on @user_function:2.\r\n";
    let blank = "-ERR a  b script: f4, on @user_function:2.\r\n";
    assert_eq!(mended(torn(raised)), torn(blank));
    let others = [
        blank,
        "-ERR a\r\nb\r\n",
        "+a\r\nb script: f4, on @user_function:2.\r\n",
        "-ERR a script: f4, on @user_function:2.\r\n:1\r\n",
    ];
    for other in others {
        assert_eq!(mended(torn(other)), torn(other));
    }
}

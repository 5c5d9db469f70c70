//! What redtail answers in the dialect of servers that no test can ask.

use crate::servers::{Server, is_there};

/// Questions and answers. Source: redis 8.6 and 8.10, hotkeys.c and src/commands/*.json.
const ANSWERS: &[(&str, &str)] = &[
    ("HOTKEYS GET", "$-1"),
    ("HOTKEYS STOP", "$-1"),
    ("HOTKEYS RESET", "+OK"),
    (
        "HOTKEYS START METRICS 1 CPU",
        "-ERR not supported: redtail does not count how often keys are used; ask the primary",
    ),
    (
        "HOTKEYS GET all",
        "-ERR wrong number of arguments for 'hotkeys|get' command",
    ),
    (
        "HOTKEYS TOP",
        "-ERR unknown subcommand 'TOP'. Try HOTKEYS HELP.",
    ),
    (
        "BACKUP START",
        "-ERR not supported: redtail has no append-only file; back up the primary",
    ),
    (
        "BACKUP STATUS",
        "-ERR not supported: redtail has no append-only file; back up the primary",
    ),
    (
        "HIMPORT PREPARE fields a b",
        "-ERR not supported: redtail creates no hashes; prepare sets of fields at the primary",
    ),
    ("HIMPORT DISCARD fields", ":0"),
    ("HIMPORT DISCARDALL", ":0"),
    (
        "HIMPORT SET k fields v",
        "-READONLY You can't write against a read only replica.",
    ),
    (
        "LMOVEM l k LEFT RIGHT COUNT 2 OBO",
        "-READONLY You can't write against a read only replica.",
    ),
    (
        "TRIMSLOTS RANGES 1 1 2",
        "-READONLY You can't write against a read only replica.",
    ),
    (
        "CLUSTER MIGRATION STATUS ALL",
        "-ERR This instance has cluster support disabled",
    ),
    ("SUNIONCARD 2 s t LIMIT 2", ":2"),
    ("SDIFFCARD 2 s t", ":1"),
    ("COMMAND GETKEYS SUNIONCARD 2 s t APPROX", "*2 $1 s $1 t"),
    ("COMMAND GETKEYS HIMPORT SET k fields v", "*1 $1 k"),
    ("COMMAND GETKEYS LMOVEM l k LEFT RIGHT", "*2 $1 l $1 k"),
];

#[test]
fn commands_of_the_newest_servers_are_answered_in_their_dialect_and_unknown_in_older_ones() {
    let Some(primary) = Server::start("redis-8.0", &[]) else {
        return;
    };
    primary.command("SADD s a b");
    primary.command("SADD t b c");
    let newest = Server::redtail_with(&primary, &["--dialect", "redis-8.10"]);
    let same = Server::redtail(&primary);
    for redtail in [&newest, &same] {
        redtail.wait_in_sync(&primary);
    }
    for (line, expected) in ANSWERS {
        let reply = newest.command(line);
        let text = String::from_utf8_lossy(&reply.0).replace("\r\n", " ");
        assert_eq!(text.trim_end(), *expected, "{line}");
        let (ours, theirs) = (same.command(line), primary.command(line));
        assert_eq!(ours, theirs, "{line}");
    }
}

/// A primary that can leave out compression and checksums does so if it is asked, and what it sends is loaded.
#[test]
fn redis_8_6_leaves_out_of_snapshots_what_it_is_asked_to() {
    const KEYS: usize = 300;
    if !is_there("redis-8.6") {
        return;
    }
    let config = ["--repl-diskless-sync-delay", "0"];
    let Some(primary) = Server::start("redis-8.6", &config) else {
        return;
    };
    let value = "abc".repeat(200);
    let mut client = primary.client();
    for number in 0..KEYS {
        client.command(&format!("SET key:{number} {value}"));
    }
    let followed = |arguments: &[&str]| {
        let redtail = Server::redtail_with(&primary, arguments);
        let mut client = redtail.client();
        assert_eq!(client.command("DBSIZE").integer(), i64::try_from(KEYS).ok());
        assert_eq!(client.command("GET key:7").text(), value);
        let bytes = client.info("stats", "total_net_repl_input_bytes");
        bytes
            .and_then(|bytes| bytes.parse().ok())
            .expect("a number")
    };
    let whole: usize = followed(&["--rdb-compression", "no"]);
    let compressed: usize = followed(&["--rdb-compression", "yes"]);
    assert!(
        whole > KEYS * value.len() && compressed < whole / 4,
        "{whole}, {compressed}"
    );
    followed(&["--rdb-checksum", "no"]);
}

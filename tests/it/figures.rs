//! What redtail says about its syncs and its lag, beside real primaries.

use std::fs;
use std::path::Path;

use crate::client::Client;
use crate::servers::{Server, free_port};

fn field(client: &mut Client, name: &str) -> String {
    client.info("redtail", name).expect("a figure")
}

/// The last sync that ended: its kind, its cause, and whether it brought keys.
fn last_sync(client: &mut Client) -> Option<(String, String, bool)> {
    let line = client.info("redtail", "redtail_sync0")?;
    let part = |name: &str| {
        let mut parts = line.split(',').filter_map(|part| part.split_once('='));
        let found = parts.find(|(part, _)| *part == name);
        found.map(|(_, value)| value.to_owned()).expect("a part")
    };
    assert_eq!(part("failed"), "0", "{line}");
    Some((part("kind"), part("cause"), part("keys") != "0"))
}

/// Waits until a sync of that kind and cause is the last one. `keys` says whether it brings any.
fn expect(redtail: &Server, kind: &str, cause: &str, keys: bool) {
    let expected = (kind.to_owned(), cause.to_owned(), keys);
    redtail.wait_for(&format!("a {kind} sync because of {cause}"), |client| {
        last_sync(client).as_ref() == Some(&expected)
    });
}

#[test]
fn each_sync_is_told_with_its_cause() {
    for name in ["redis-6.0", "valkey-9.1"] {
        let port = free_port();
        let config = ["--repl-backlog-size", "16kb"];
        let start = || Server::start_on(name, Some(port), None, &config);
        let Some(mut primary) = start() else { continue };
        primary.command("SET a b");
        let redtail = Server::redtail(&primary);
        expect(&redtail, "full", "first_start", true);
        primary.command("CLIENT KILL TYPE replica");
        expect(&redtail, "partial", "link_lost", false);
        // More than the backlog holds, before redtail can be back.
        let mut client = primary.client();
        client.command("MULTI");
        client.command("CLIENT KILL TYPE replica");
        client.command(&format!("SET c {}", "x".repeat(100_000)));
        client.command("EXEC");
        expect(&redtail, "full", "partial_refused", true);
        primary.stop();
        let primary = start().unwrap();
        expect(&redtail, "full", "other_history", false);
        drop(primary);
    }
}

#[test]
fn another_primary_that_continues_the_history_is_a_failover() {
    let Some(mut top) = Server::start("redis-7.0", &[]) else {
        return;
    };
    top.command("SET a b");
    let heir = Server::replica("redis-7.0", &top).unwrap();
    let both = format!("127.0.0.1:{},127.0.0.1:{}", top.port, heir.port);
    let redtail = Server::redtail_of(&both, &[]);
    expect(&redtail, "full", "first_start", true);
    redtail.wait_in_sync(&top);
    heir.wait_in_sync(&top);
    top.stop();
    heir.command("REPLICAOF NO ONE");
    expect(&redtail, "partial", "failover", false);
}

/// The newest snapshot in a state directory.
fn snapshot(folder: &Path) -> Option<std::path::PathBuf> {
    let files = fs::read_dir(folder).ok()?.flatten();
    let paths = files.map(|file| file.path());
    paths
        .filter(|path| path.extension().is_some_and(|end| end == "rdb"))
        .max()
}

#[test]
fn a_restart_resumes_from_a_sound_state_and_tells_of_an_unusable_one() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    primary.command("SET a b");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display().to_string();
    let start = || Server::redtail_with(&primary, &["--state-dir", &path]);
    let first = start();
    expect(&first, "full", "first_start", true);
    first.wait_for("a snapshot", |_| snapshot(folder.path()).is_some());
    drop(first);
    let second = start();
    expect(&second, "partial", "restart", false);
    drop(second);
    let snapshot = snapshot(folder.path()).unwrap();
    let mut bytes = fs::read(&snapshot).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    fs::write(&snapshot, bytes).unwrap();
    let third = start();
    expect(&third, "full", "state_unusable", true);
}

#[test]
fn lag_is_the_age_of_what_has_arrived_and_is_not_visible() {
    let Some(mut primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    let slow = ["--writer-rate", "200kb"];
    let redtail = Server::redtail_with(&primary, &slow);
    redtail.wait_in_sync(&primary);
    let lag = |client: &mut Client| field(client, "redtail_lag_seconds").parse::<f64>().unwrap();
    redtail.wait_for("no lag", |client| lag(client) == 0.0);
    let mut client = primary.client();
    for number in 0..40 {
        client.command(&format!("SET key{number} {}", "x".repeat(10_000)));
    }
    redtail.wait_for("lag", |client| lag(client) > 0.5);
    redtail.wait_for("no lag again", |client| {
        let lags = lag(client) > 0.0;
        !lags && client.command("EXISTS key39").is_integer()
    });
    redtail.wait_in_sync(&primary);
    // Nothing newer becomes visible while the link is down.
    primary.stop();
    redtail.wait_for("a growing lag", |client| lag(client) > 1.5);
}

#[test]
fn expired_keys_that_the_primary_has_not_deleted_are_counted() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    primary.command("DEBUG SET-ACTIVE-EXPIRE 0");
    for number in 0..25 {
        primary.command(&format!("SET key{number} value PX 1"));
    }
    primary.command("SET other value EX 3600");
    let redtail = Server::redtail_with(&primary, &["--expired-grace", "1"]);
    redtail.wait_for("a walk", |client| {
        field(client, "redtail_expired_held_keys") == "25"
    });
}

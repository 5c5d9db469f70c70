//! The state directory: restarts resume, whatever was cut, flipped, or in the way.

mod disk;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::client::{Client, Reply, words};
use crate::oracle;
use crate::servers::{ALL, Server, free_port};

/// A primary that deletes nothing by itself, so that digests stay the same.
fn primary(name: &str) -> Option<Server> {
    let scripts: &[&str] = match name {
        "redis-6.0" => &["--lua-replicate-commands", "yes"],
        _ => &[],
    };
    let primary = Server::start(name, scripts)?;
    primary.command("DEBUG SET-ACTIVE-EXPIRE 0");
    Some(primary)
}

/// redtail with its state in `folder`. DEBUG DIGEST includes expired values, so the sweeper must not discard any.
fn redtail(address: &str, folder: &Path, more: &[&str]) -> Server {
    let folder = folder.to_str().expect("a plain path");
    let own = format!("--state-dir {folder} --enable-debug-command yes --expired-grace 0");
    let arguments: Vec<&str> = own.split(' ').chain(more.iter().copied()).collect();
    Server::redtail_of(address, &arguments)
}

fn address(primary: &Server) -> String {
    format!("redis://127.0.0.1:{}", primary.port)
}

/// An address where nothing listens.
fn nowhere() -> String {
    format!("redis://127.0.0.1:{}", free_port())
}

fn write(primary: &Server, seed: u64, count: usize) {
    drop(primary.client().pipeline(&oracle::writes(seed, count)));
}

/// What must be equal in two equal states.
#[derive(Debug, PartialEq)]
struct Shown {
    offset: Option<String>,
    replid: Option<String>,
    version: Option<String>,
    keyspace: String,
    digest: Reply,
    libraries: Reply,
}

fn shown(server: &Server) -> Shown {
    let mut client = server.client();
    Shown {
        offset: client.info("replication", "master_repl_offset"),
        replid: client.info("replication", "master_replid"),
        version: client.info("server", "redis_version"),
        keyspace: client.command("INFO keyspace").text(),
        digest: client.command("DEBUG DIGEST"),
        libraries: client.command("FUNCTION DUMP"),
    }
}

fn syncs(primary: &Server) -> [i64; 2] {
    let mut client = primary.client();
    let count = |client: &mut Client, name| client.info("stats", name)?.parse().ok();
    ["sync_full", "sync_partial_ok"].map(|name| count(&mut client, name).unwrap_or(-1))
}

fn ready(redtail: &Server) {
    redtail.wait_for("its data", |client| client.command("DBSIZE").is_integer());
}

/// Asks redtail to exit, as a supervisor does.
fn terminate(redtail: &mut Server) {
    let pid = redtail.pid().to_string();
    let killed = std::process::Command::new("kill").arg(&pid).status();
    assert!(killed.expect("kill runs").success());
    assert_eq!(redtail.exit_code(), Some(0), "{}", redtail.log());
}

#[test]
fn a_restart_serves_at_once_and_resumes_by_partial_resync() {
    for name in ALL {
        let Some(primary) = primary(name) else {
            continue;
        };
        let folder = TempDir::new().unwrap();
        write(&primary, 1, 500);
        let mut first = redtail(&address(&primary), folder.path(), &[]);
        ready(&first);
        write(&primary, 2, 500);
        first.wait_in_sync(&primary);
        let before = shown(&first);
        terminate(&mut first);
        // No primary is needed: it may be down.
        let mut alone = redtail(&nowhere(), folder.path(), &[]);
        ready(&alone);
        assert_eq!(shown(&alone), before, "{name}");
        alone.stop();
        write(&primary, 3, 500);
        let [full, partial] = syncs(&primary);
        let again = redtail(&address(&primary), folder.path(), &[]);
        again.wait_in_sync(&primary);
        assert_eq!(syncs(&primary), [full, partial + 1], "{name}");
        let digest = primary.command("DEBUG DIGEST");
        assert_eq!(again.command("DEBUG DIGEST"), digest, "{name}");
    }
}

#[test]
fn an_upstream_that_was_promoted_is_resumed_before_and_after_the_restart() {
    for name in ["redis-6.0", "redis-7.0", "valkey-9.1"] {
        let Some(top) = primary(name) else { continue };
        let upstream = Server::replica(name, &top).expect("the server was there a moment ago");
        let folder = TempDir::new().unwrap();
        write(&top, 1, 300);
        let mut first = redtail(&address(&upstream), folder.path(), &[]);
        ready(&first);
        first.wait_in_sync(&upstream);
        // A promotion while redtail runs: the history continues under another id.
        upstream.command("REPLICAOF NO ONE");
        upstream.command("DEBUG SET-ACTIVE-EXPIRE 0");
        write(&upstream, 2, 300);
        first.wait_in_sync(&upstream);
        let before = shown(&first);
        first.stop();
        let mut alone = redtail(&nowhere(), folder.path(), &[]);
        ready(&alone);
        assert_eq!(shown(&alone), before, "{name}");
        assert_eq!(
            before.replid,
            upstream.client().info("replication", "master_replid")
        );
        alone.stop();
        let mut second = redtail(&address(&upstream), folder.path(), &[]);
        second.wait_in_sync(&upstream);
        // A promotion while redtail is down: it asks for the id that is now the secondary id of the new history.
        upstream.command(&format!("REPLICAOF 127.0.0.1 {}", top.port));
        second.stop();
        let again = redtail(&address(&upstream), folder.path(), &[]);
        ready(&again);
        upstream.wait_for("its primary", |client| {
            client.info("replication", "master_link_status").as_deref() == Some("up")
        });
        write(&top, 3, 300);
        again.wait_for("the same data", |client| {
            client.command("DEBUG DIGEST") == upstream.command("DEBUG DIGEST")
                && client.offset("slave_repl_offset")
                    == upstream.client().offset("master_repl_offset")
        });
    }
}

#[test]
fn another_primary_brings_a_full_resync_and_the_old_data_is_served_until_then() {
    let (Some(one), Some(other)) = (primary("redis-7.0"), primary("redis-7.0")) else {
        return;
    };
    let folder = TempDir::new().unwrap();
    one.command("SET whose one");
    other.command("SET whose other");
    let mut first = redtail(&address(&one), folder.path(), &[]);
    ready(&first);
    first.stop();
    other.command("CONFIG SET rdb-key-save-delay 300000");
    let mut second = redtail(&address(&other), folder.path(), &[]);
    second.wait_for("its listener", |client| {
        client.command("GET whose").text() == "one"
    });
    second.wait_for("the other's data", |client| {
        client.command("GET whose").text() == "other"
    });
    second.stop();
    let third = redtail(&nowhere(), folder.path(), &[]);
    third.wait_for("its data", |client| {
        client.command("GET whose").text() == "other"
    });
}

#[test]
fn what_the_guard_holds_back_is_not_kept_until_it_is_taken_over() {
    let Some(mut full) = primary("redis-7.0") else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let lines: Vec<_> = (0..100)
        .map(|number| words(&format!("SET key:{number} {number}")))
        .collect();
    drop(full.client().pipeline(&lines));
    let guard = ["--resync-guard", "50", "--resync-floor", "0"];
    let mut first = redtail(&address(&full), folder.path(), &guard);
    ready(&first);
    full.stop();
    let emptied = Server::start_on("redis-7.0", Some(full.port), None, &[]).unwrap();
    emptied.command("SET only 1");
    let is_held =
        |client: &mut Client| client.info("redtail", "redtail_resync_held").as_deref() == Some("1");
    first.wait_for("the guard", is_held);
    first.stop();
    let mut second = redtail(&address(&emptied), folder.path(), &guard);
    second.wait_for("the guard", is_held);
    assert_eq!(second.command("DBSIZE").integer(), Some(100));
    let pid = second.pid().to_string();
    let confirmed = std::process::Command::new("kill")
        .args(["-USR1", &pid])
        .status();
    assert!(confirmed.unwrap().success());
    emptied.command("SET then 2");
    second.wait_in_sync(&emptied);
    second.wait_for("the new data", |client| {
        client.command("DBSIZE").integer() == Some(2)
    });
    second.stop();
    let third = redtail(&nowhere(), folder.path(), &guard);
    ready(&third);
    assert_eq!(third.command("DBSIZE").integer(), Some(2));
}

#[test]
fn two_processes_cannot_share_a_directory() {
    let Some(primary) = primary("redis-7.0") else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let first = redtail(&address(&primary), folder.path(), &[]);
    ready(&first);
    let second = std::process::Command::new(env!("CARGO_BIN_EXE_redtail"))
        .args(["serve", "--primary", &address(&primary), "--listen"])
        .arg(format!("127.0.0.1:{}", free_port()))
        .arg("--state-dir")
        .arg(folder.path())
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8_lossy(&second.stderr);
    let reason = format!(
        "another redtail uses the state directory {}",
        folder.path().display()
    );
    assert!(said.contains(&reason), "{said}");
    assert!(
        !said.contains("listening"),
        "it logged that it listens: {said}"
    );
}

#[test]
fn a_damaged_file_is_set_aside_with_a_message_and_a_full_sync_follows() {
    let Some(primary) = primary("redis-7.0") else {
        return;
    };
    let folder = TempDir::new().unwrap();
    write(&primary, 1, 200);
    let mut first = redtail(&address(&primary), folder.path(), &[]);
    ready(&first);
    first.stop();
    let snapshot = folder.path().join("snapshot-1.rdb");
    let mut bytes = std::fs::read(&snapshot).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 8;
    std::fs::write(&snapshot, &bytes).unwrap();
    let full = syncs(&primary)[0];
    let mut second = redtail(&address(&primary), folder.path(), &[]);
    ready(&second);
    second.wait_in_sync(&primary);
    assert_eq!(syncs(&primary)[0], full + 1);
    assert_eq!(
        second.command("DEBUG DIGEST"),
        primary.command("DEBUG DIGEST")
    );
    let log = second.log();
    assert!(log.contains("snapshot-1.rdb is damaged at byte"), "{log}");
    assert!(log.contains("renames its files to *.corrupt-"), "{log}");
    let aside = second.client().info("redtail", "redtail_state_set_aside");
    assert_eq!(aside.as_deref(), Some("1"));
    let kept = std::fs::read_dir(folder.path()).unwrap();
    let names = kept.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let corrupt: Vec<_> = names.filter(|name| name.contains(".corrupt-")).collect();
    assert_eq!(corrupt.len(), 2, "{corrupt:?}");
    second.stop();
    let third = redtail(&nowhere(), folder.path(), &[]);
    ready(&third);
}

fn state(client: &mut Client, field: &str) -> String {
    client
        .info("redtail", &format!("redtail_state{field}"))
        .unwrap_or_default()
}

#[test]
fn a_full_disk_ends_the_keeping_once_and_it_begins_again_when_there_is_room() {
    let Some(primary) = primary("redis-7.0") else {
        return;
    };
    let folder = TempDir::new().unwrap();
    primary.command("SET key first");
    let own = folder.path().to_str().unwrap();
    let mut first = Server::redtail_with_file_limit(
        200,
        &address(&primary),
        &["--state-dir", own, "--enable-debug-command", "yes"],
    );
    ready(&first);
    assert_eq!(state(&mut first.client(), ""), "kept");
    // Together more than a file may hold, but the final data is small.
    let value = "v".repeat(1000);
    let lines: Vec<_> = (0..500)
        .map(|number| words(&format!("SET key {value}{number}")))
        .collect();
    drop(primary.client().pipeline(&lines));
    first.wait_in_sync(&primary);
    assert_eq!(first.command("GET key").text(), format!("{value}499"));
    let said = "cannot write the state";
    assert_eq!(first.log().matches(said).count(), 1, "{}", first.log());
    primary.command("SET key last");
    first.wait_for("a new snapshot", |client| {
        primary.command("SET key last");
        state(client, "") == "kept" && state(client, "_snapshots") == "2"
    });
    assert_eq!(state(&mut first.client(), "_failures"), "1");
    first.wait_in_sync(&primary);
    first.stop();
    let [full, _] = syncs(&primary);
    let second = redtail(&address(&primary), folder.path(), &[]);
    second.wait_in_sync(&primary);
    assert_eq!(second.command("GET key").text(), "last");
    assert_eq!(syncs(&primary)[0], full);
}

/// Cuts the newest log after its header. Returns the path of the snapshot before it.
fn bare_snapshot(folder: &Path) -> std::path::PathBuf {
    let entries = std::fs::read_dir(folder).unwrap();
    let names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let number = |name: &String| name.strip_prefix("log-")?.parse::<u64>().ok();
    let newest = names.iter().filter_map(number).max().unwrap();
    let log = std::fs::File::options()
        .write(true)
        .open(folder.join(format!("log-{newest}")))
        .unwrap();
    log.set_len(80).unwrap();
    folder.join(format!("snapshot-{newest}.rdb"))
}

#[test]
fn a_snapshot_of_our_own_is_one_that_the_real_server_loads() {
    for name in ALL {
        let Some(primary) = primary(name) else {
            continue;
        };
        let folder = TempDir::new().unwrap();
        let short = ["--state-log-max", "20kb"];
        let mut first = redtail(&address(&primary), folder.path(), &short);
        ready(&first);
        for seed in 1..4 {
            write(&primary, seed, 700);
            first.wait_in_sync(&primary);
        }
        for line in [
            "HSET h f v g w",
            "HEXPIRE h 1000 FIELDS 1 f",
            "SET timed v EX 1000",
            "VADD v VALUES 3 1 2 3 element",
            "SET own:key 7",
        ] {
            drop(primary.command(line));
        }
        first.wait_in_sync(&primary);
        first.wait_for("a snapshot of its own", |client| {
            drop(primary.command("APPEND long 0123456789012345678901234567890123456789"));
            state(client, "_snapshots").parse::<u32>().unwrap_or(0) >= 4
                && state(client, "_saving") == "0"
        });
        first.wait_in_sync(&primary);
        terminate(&mut first);
        let snapshot = bare_snapshot(folder.path());
        let dump = std::fs::read(&snapshot).unwrap();
        assert!(memchr::memmem::find(&dump, b"\x07repl-id").is_some());
        assert!(memchr::memmem::find(&dump, b"\x0brepl-offset").is_some());
        let ours = redtail(&nowhere(), folder.path(), &[]);
        ready(&ours);
        // As a replica, the server does not drop expired keys.
        let nobody = free_port().to_string();
        let replica = ["--replicaof", "127.0.0.1", &nobody];
        let theirs = Server::start_on(name, None, Some(&snapshot), &replica).unwrap();
        assert_eq!(
            ours.command("DEBUG DIGEST"),
            theirs.command("DEBUG DIGEST"),
            "{name}"
        );
        assert_eq!(
            ours.command("INFO keyspace").text().lines().count(),
            theirs.command("INFO keyspace").text().lines().count(),
            "{name}"
        );
        if name != "redis-6.0" {
            let libraries = |server: &Server| server.command("FUNCTION LIST WITHCODE").sorted(1);
            assert_eq!(libraries(&ours), libraries(&theirs), "{name}");
        }
    }
}

/// Writes until dropped: a pair of numbers that are always equal and only grow, and random other keys.
struct Load {
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Load {
    fn start(primary: &Server, seed: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (mut client, stopped) = (primary.client(), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            let mut random = fastrand::Rng::with_seed(seed);
            for round in 1.. {
                let mut lines = vec![
                    "SELECT 0".to_owned(),
                    "MULTI".to_owned(),
                    format!("SET a {round}"),
                    format!("SET b {round}"),
                    "EXEC".to_owned(),
                ];
                lines.extend((0..20).map(|_| any_write(&mut random)));
                let commands: Vec<_> = lines.iter().map(|line| words(line)).collect();
                drop(client.pipeline(&commands));
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                thread::sleep(Duration::from_millis(1));
            }
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        drop(self.thread.take().map(thread::JoinHandle::join));
    }
}

fn any_write(random: &mut fastrand::Rng) -> String {
    let (key, number) = (random.u32(..500), random.u32(..100));
    match random.u32(..12) {
        0 => format!("SELECT {}", random.u32(..3)),
        1 => format!("DEL text:{key}"),
        2 => format!("SETEX timed:{key} {} v", 1 + number),
        3 => format!("RPUSH list:{key} {number} {}", "x".repeat(number as usize)),
        4 => format!("LPOP list:{key}"),
        5 => format!("HSET hash:{key} field:{number} {number}"),
        6 => format!("ZADD zset:{key} {number} member:{number}"),
        7 => format!("SADD set:{key} {number}"),
        8 => format!("XADD stream:{key} * field {number}"),
        9 => format!("INCR number:{key}"),
        10 => format!("APPEND text:{key} {}", "y".repeat(number as usize)),
        _ => format!("SET text:{key} {number}"),
    }
}

/// What a reader has seen: the offset, and the number in the pair.
type Seen = (i64, i64);

/// Reads until the connection ends, and returns the last values. Panics if values go back, or if a transaction is only half
/// visible.
fn watch(port: u16, mut last: Seen) -> Seen {
    let Ok(mut client) = Client::try_connect(port) else {
        return last;
    };
    let mut answered = false;
    loop {
        let Ok(pair) = client.try_command(&[b"MGET", b"a", b"b"]) else {
            return last;
        };
        let Ok(info) = client.try_command(&[b"INFO", b"replication"]) else {
            return last;
        };
        let text = info.text();
        let offset = text
            .lines()
            .find_map(|line| line.strip_prefix("slave_repl_offset:"));
        let offset: i64 = offset.and_then(|offset| offset.parse().ok()).unwrap_or(-1);
        if pair.is_error() && !answered {
            // redtail is still loading its state.
            continue;
        }
        answered = true;
        let pair: Vec<i64> = pair
            .elements()
            .iter()
            .map(|value| value.text().parse().unwrap_or(-1))
            .collect();
        assert_eq!(pair.len(), 2, "not a pair");
        assert_eq!(pair[0], pair[1], "half a transaction");
        assert!(
            offset >= last.0 && pair[0] >= last.1,
            "{offset} {pair:?} after {last:?}"
        );
        last = (offset, pair[0]);
    }
}

fn number(variable: &str, default: u64) -> u64 {
    let value = std::env::var(variable).ok();
    value
        .and_then(|value| value.parse().ok())
        .unwrap_or(default)
}

/// Kills redtail `REDTAIL_KILLS` times with `kill -9` at random moments under load. `REDTAIL_KILLS_SEED` is the seed.
fn kills(name: &str, changes_history: bool) {
    let backlog = ["--repl-backlog-size", "256mb"];
    let Some(primary) = Server::start(name, &backlog) else {
        return;
    };
    primary.command("DEBUG SET-ACTIVE-EXPIRE 0");
    primary.command("MSET a 0 b 0");
    let (count, seed) = (number("REDTAIL_KILLS", 5), number("REDTAIL_KILLS_SEED", 1));
    let mut random = fastrand::Rng::with_seed(seed);
    let folder = TempDir::new().unwrap();
    let more = ["--state-log-max", "100kb", "--resync-floor", "0"];
    let load = Load::start(&primary, seed);
    let mut last = (0, 0);
    let mut snapshots = 0;
    for kill in 0..count {
        let fsync = ["always", "everysec", "no"][random.usize(..3)];
        let more = [&more[..], &["--state-fsync", fsync]].concat();
        let mut redtail = redtail(&address(&primary), folder.path(), &more);
        if kill == 0 || changes_history {
            ready(&redtail);
        }
        let port = redtail.port;
        let reader = thread::spawn(move || watch(port, last));
        if changes_history && random.bool() {
            primary.command("DEBUG CHANGE-REPL-ID");
            primary.command("CLIENT KILL TYPE replica");
        }
        thread::sleep(Duration::from_millis(random.u64(1..600)));
        if let Some(written) = redtail.client().info("redtail", "redtail_state_snapshots") {
            snapshots += written.parse::<u64>().unwrap_or(0);
        }
        redtail.stop();
        last = reader
            .join()
            .unwrap_or_else(|_| panic!("{name}, seed {seed}, kill {kill}: {}", redtail.log()));
    }
    drop(load);
    let again = redtail(&address(&primary), folder.path(), &more);
    again.wait_in_sync(&primary);
    eprintln!(
        "{name}, seed {seed}: {count} kills, {snapshots} snapshots, syncs {:?}",
        syncs(&primary)
    );
    if !changes_history {
        assert_eq!(syncs(&primary)[0], 1, "{name}, seed {seed}");
    }
    assert_eq!(
        again.command("DEBUG DIGEST"),
        primary.command("DEBUG DIGEST"),
        "{name}, seed {seed}"
    );
}

#[test]
fn kills_at_any_moment_lose_nothing_that_a_reader_saw() {
    ["redis-7.0", "valkey-9.1"]
        .iter()
        .for_each(|name| kills(name, false));
}

#[test]
fn kills_around_full_resyncs_lose_nothing_that_a_reader_saw() {
    kills("redis-8.0", true);
}

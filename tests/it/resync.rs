//! Full resyncs of real primaries: what INFO and ROLE report during them, what the guard holds back, and what one-copy discards.

use std::collections::BTreeMap;
use std::process::Command;

use crate::client::Client;
use crate::servers::{ALL, Server, free_port};

/// The fields of INFO replication.
fn fields(client: &mut Client) -> BTreeMap<String, String> {
    let text = client.command("INFO replication").text();
    let fields = text.lines().filter_map(|line| line.split_once(':'));
    fields
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect()
}

/// Fields that may differ between two replicas of one primary, or that redtail reports differently because it has no backlog and
/// is never announced.
const OWN: &[&str] = &[
    "master_last_io_seconds_ago",
    "master_sync_last_io_seconds_ago",
    "master_sync_read_bytes",
    "master_sync_left_bytes",
    "master_link_down_since_seconds",
    "master_link_up_since_seconds",
    "master_current_sync_attempts",
    "master_total_sync_attempts",
    "total_disconnect_time_sec",
    "slave_priority",
    "replica_announced",
    "repl_backlog_active",
    "repl_backlog_size",
    "repl_backlog_first_byte_offset",
    "repl_backlog_histlen",
];

/// Asserts that redtail has all fields of a real replica, with the same values.
fn shows_what_a_replica_shows(redtail: &Server, real: &Server, state: &str) {
    let (ours, theirs) = (fields(&mut redtail.client()), fields(&mut real.client()));
    for (name, value) in theirs {
        let shown = ours.get(&name);
        assert!(shown.is_some(), "{state}: no {name} in {ours:?}");
        if !OWN.contains(&name.as_str()) {
            assert_eq!(shown, Some(&value), "{state}: {name}");
        }
    }
    let role = |server: &Server| server.command("ROLE");
    assert_eq!(role(redtail), role(real), "{state}");
}

fn link_is(server: &Server, state: &str) {
    server.wait_for(&format!("a link that is {state}"), |client| {
        client.info("replication", "master_link_status").as_deref() == Some(state)
    });
}

#[test]
fn info_and_role_are_those_of_a_replica_in_every_state() {
    for name in ALL {
        let Some(mut primary) = Server::start(name, &["--repl-ping-replica-period", "3600"]) else {
            continue;
        };
        for number in 0..50 {
            primary.command(&format!("SET key{number} value"));
        }
        // Since 6.0 this delays each key, which leaves time for the checks.
        primary.command("CONFIG SET rdb-key-save-delay 30000");
        let port = primary.port.to_string();
        let redtail = Server::redtail_of(&format!("127.0.0.1:{port}"), &[]);
        let real = Server::start_on(name, None, None, &[]).unwrap();
        real.command(&format!("REPLICAOF 127.0.0.1 {port}"));
        let syncing = |client: &mut Client| {
            client
                .info("replication", "master_sync_in_progress")
                .as_deref()
                == Some("1")
        };
        redtail.wait_for("a transfer", syncing);
        let shown = fields(&mut redtail.client());
        for field in [
            "master_sync_total_bytes",
            "master_sync_left_bytes",
            "master_sync_perc",
        ] {
            assert!(shown.contains_key(field), "{name}: no {field} in {shown:?}");
        }
        assert_eq!(shown["master_link_down_since_seconds"], "-1", "{name}");
        assert_eq!(
            redtail.command("GET key1").text(),
            "LOADING Redis is loading the dataset in memory"
        );
        link_is(&redtail, "up");
        link_is(&real, "up");
        primary.command("SET a b");
        redtail.wait_in_sync(&primary);
        real.wait_in_sync(&primary);
        shows_what_a_replica_shows(&redtail, &real, &format!("{name} connected"));
        primary.stop();
        link_is(&redtail, "down");
        link_is(&real, "down");
        let waits = |client: &mut Client| client.command("ROLE").text().contains("connect\n");
        let in_role = |server: &Server| {
            server.wait_for("the state of a link that is down", |client| {
                waits(client) || client.command("ROLE").elements()[3].text() == "connect"
            });
        };
        in_role(&redtail);
        in_role(&real);
        shows_what_a_replica_shows(&redtail, &real, &format!("{name} down"));
    }
}

#[test]
fn the_id_before_a_failover_is_told_as_a_replica_tells_it() {
    for name in ALL {
        let Some(top) = Server::start(name, &[]) else {
            continue;
        };
        let middle = Server::replica(name, &top).unwrap();
        let real = Server::replica(name, &middle).unwrap();
        let redtail = Server::redtail(&middle);
        top.command("SET a 1");
        redtail.wait_in_sync(&top);
        real.wait_in_sync(&top);
        middle.command("REPLICAOF NO ONE");
        middle.command("SET a 2");
        redtail.wait_in_sync(&middle);
        real.wait_in_sync(&middle);
        let history = |server: &Server| {
            let shown = fields(&mut server.client());
            let of = |name: &str| shown[name].clone();
            (
                of("master_replid"),
                of("master_replid2"),
                of("second_repl_offset"),
            )
        };
        assert_ne!(
            history(&redtail).1,
            "0000000000000000000000000000000000000000"
        );
        assert_eq!(history(&redtail), history(&real), "{name}");
        assert_eq!(
            redtail
                .client()
                .info("redtail", "redtail_full_syncs")
                .unwrap(),
            "1",
            "{name}"
        );
    }
}

const HUNDRED: i64 = 100;

/// Starts a primary with a hundred keys on a port that can be reused, and redtail with a guard.
fn guarded(name: &str, arguments: &[&str]) -> Option<(Server, Server)> {
    let primary = Server::start_on(name, Some(free_port()), None, &[])?;
    for number in 0..HUNDRED {
        primary.command(&format!("SET key{number} old"));
    }
    let guard = ["--resync-guard", "50", "--resync-floor", "0"];
    let arguments: Vec<&str> = guard.iter().chain(arguments).copied().collect();
    let redtail = Server::redtail_with(&primary, &arguments);
    Some((primary, redtail))
}

/// Ends the primary, and starts another one with a single key in its place.
fn come_back_empty(primary: Server, name: &str) -> Server {
    let port = primary.port;
    drop(primary);
    let emptied = Server::start_on(name, Some(port), None, &[]).unwrap();
    emptied.command("SET key1 new");
    emptied
}

fn held(client: &mut Client) -> bool {
    client.info("redtail", "redtail_resync_held").as_deref() == Some("1")
}

#[test]
fn an_emptied_primary_is_held_back_until_someone_confirms() {
    for name in ["redis-7.0", "valkey-9.1"] {
        let Some((primary, redtail)) = guarded(name, &[]) else {
            continue;
        };
        let primary = come_back_empty(primary, name);
        redtail.wait_for("the guard", held);
        primary.command("SET key2 new");
        assert_eq!(redtail.command("DBSIZE").integer(), Some(HUNDRED));
        assert_eq!(redtail.command("GET key2").text(), "old");
        // A lost link changes nothing and causes no further full sync.
        primary.command("CLIENT KILL TYPE replica");
        redtail.wait_for("another link", |client| {
            client.info("redtail", "redtail_partial_syncs").as_deref() == Some("1")
        });
        assert!(held(&mut redtail.client()));
        assert_eq!(redtail.command("GET key1").text(), "old");
        assert_eq!(
            redtail
                .client()
                .info("replication", "master_link_status")
                .as_deref(),
            Some("down")
        );
        confirm(&redtail);
        redtail.wait_for("the new data", |client| {
            client.command("GET key2").text() == "new"
        });
        assert_eq!(redtail.command("DBSIZE").integer(), Some(2), "{name}");
        redtail.wait_in_sync(&primary);
        link_is(&redtail, "up");
        assert_eq!(primary.client().info("stats", "sync_full").unwrap(), "1");
    }
}

/// Sends SIGUSR1.
fn confirm(redtail: &Server) {
    let pid = redtail.pid().to_string();
    let killed = Command::new("kill").args(["-USR1", &pid]).status().unwrap();
    assert!(killed.success());
}

#[test]
fn an_emptied_primary_is_held_back_no_longer_than_said() {
    let Some((primary, redtail)) = guarded("redis-7.0", &["--resync-guard-timeout", "1"]) else {
        return;
    };
    let primary = come_back_empty(primary, "redis-7.0");
    redtail.wait_for_log("far fewer keys");
    redtail.wait_for("the new data", |client| {
        client.command("GET key1").text() == "new"
    });
    assert_eq!(redtail.command("DBSIZE").integer(), Some(1));
    redtail.wait_in_sync(&primary);
}

#[test]
fn a_flush_that_the_stream_tells_is_no_matter_of_the_guard() {
    let Some((primary, redtail)) = guarded("redis-7.0", &[]) else {
        return;
    };
    primary.command("FLUSHALL");
    redtail.wait_for("the flush", |client| {
        client.command("DBSIZE").integer() == Some(0)
    });
    assert!(!held(&mut redtail.client()));
}

#[test]
fn one_copy_gives_the_old_data_up_and_says_why() {
    let Some(primary) = Server::start("redis-7.0", &["--rdbcompression", "no"]) else {
        return;
    };
    primary.command("SET key1 old");
    // At this rate the load leaves time for the checks.
    primary.command("SETRANGE filler 300000 x");
    let arguments = [
        ["--resync-memory", "one-copy"],
        ["--resync-floor", "0"],
        ["--writer-rate", "128kb"],
    ];
    let arguments = arguments.as_flattened();
    let redtail = Server::redtail_with(&primary, arguments);
    // A cut link alone discards nothing.
    primary.command("CLIENT KILL TYPE replica");
    redtail.wait_for("another link", |client| {
        client.info("redtail", "redtail_partial_syncs").as_deref() == Some("1")
    });
    assert_eq!(redtail.command("GET key1").text(), "old");
    primary.command("DEBUG CHANGE-REPL-ID");
    primary.command("CLIENT KILL TYPE replica");
    let why =
        "LOADING redtail has discarded its data to load a full resync (--resync-memory one-copy)";
    redtail.wait_for("the load", |client| {
        let answer = client.command("GET key1").text();
        assert!(["old", why].contains(&answer.as_str()), "{answer}");
        answer == why
    });
    redtail.wait_for("the new data", |client| {
        let answer = client.command("GET key1").text();
        assert!(["old", why].contains(&answer.as_str()), "{answer}");
        answer == "old"
    });
    assert_eq!(redtail.command("STRLEN filler").integer(), Some(300_001));
}

#[test]
fn a_guard_and_one_copy_contradict_each_other() {
    let output = Command::new(env!("CARGO_BIN_EXE_redtail"))
        .args(["serve", "--primary", "127.0.0.1:1"])
        .args(["--resync-guard", "50", "--resync-memory", "one-copy"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        message.contains("it needs --resync-memory two-copies"),
        "{message}"
    );
}

/// Stops or continues a process.
fn signal(server: &Server, signal: &str) {
    let pid = server.pid().to_string();
    let sent = Command::new("kill").args([signal, &pid]).status().unwrap();
    assert!(sent.success());
}

const MASTERDOWN: &str =
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.";

#[test]
fn stale_data_is_refused_as_a_replica_refuses_it_and_served_again() {
    for name in ["redis-6.0", "redis-8.0", "valkey-9.1"] {
        // A primary that sends nothing by itself.
        let quiet = ["--repl-ping-replica-period", "3600"];
        let Some(primary) = Server::start_on(name, Some(free_port()), None, &quiet) else {
            continue;
        };
        primary.command("SET a 1");
        let redtail = Server::redtail_with(&primary, &["--max-staleness", "2s"]);
        // Data does not become stale during silence while the primary answers redtail's questions.
        let start = std::time::Instant::now();
        while start.elapsed() < std::time::Duration::from_millis(3500) {
            assert_eq!(redtail.command("GET a").text(), "1", "{name}");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        // A hanging primary keeps its connections, but nothing proves that the data is fresh.
        signal(&primary, "-STOP");
        redtail.wait_for("a refusal", |client| {
            client.command("GET a").text() == MASTERDOWN
        });
        assert_eq!(
            redtail.client().info("redtail", "redtail_stale").as_deref(),
            Some("1")
        );
        let mut client = redtail.client();
        client.command("MULTI");
        assert_eq!(client.command("GET a").text(), MASTERDOWN);
        assert_eq!(
            client.command("EXEC").text(),
            "EXECABORT Transaction discarded because of previous errors."
        );
        signal(&primary, "-CONT");
        redtail.wait_for("fresh data", |client| client.command("GET a").text() == "1");
        // Compares with real replicas, for all commands that they share with redtail.
        let mut primary = primary;
        let real = Server::replica(name, &primary).unwrap();
        real.command("CONFIG SET replica-serve-stale-data no");
        let mut queued = [redtail.client(), real.client()];
        for client in &mut queued {
            client.command("MULTI");
            assert_eq!(client.command("GET a").text(), "QUEUED");
        }
        primary.stop();
        for server in [&redtail, &real] {
            server.wait_for("a refusal", |client| {
                client.command("GET a").text() == MASTERDOWN
            });
        }
        let [ours, theirs] = queued.map(|mut client| client.command("EXEC"));
        assert_eq!(ours, theirs, "{name}");
        let questions = [
            "EXISTS a",
            "DBSIZE",
            "KEYS *",
            "SCAN 0",
            "PING",
            "ECHO a",
            "SELECT 1",
            "TYPE a",
            "MULTI",
            "WATCH a",
            "RANDOMKEY",
            "OBJECT ENCODING a",
            "MEMORY USAGE a",
            "XREAD STREAMS s 0",
            "GETDEL a",
            "NOSUCH a",
            "CLIENT GETNAME",
        ];
        for script in ["EVAL return(redis.call('get','a')) 0", "EVAL return(1) 0"] {
            assert_eq!(redtail.command(script).text(), MASTERDOWN, "{name}");
        }
        let differing: Vec<_> = questions
            .iter()
            .filter(|question| redtail.command(question) != real.command(question))
            .collect();
        assert!(differing.is_empty(), "{name}: {differing:?}");
    }
}

#[test]
fn without_permission_to_ask_the_stream_is_the_proof() {
    let name = "redis-7.0";
    let Some(primary) = Server::start(name, &["--repl-ping-replica-period", "1"]) else {
        return;
    };
    primary.command("ACL SETUSER follower on >pass +psync +replconf +ping");
    primary.command("SET a 1");
    let address = format!("redis://follower:pass@127.0.0.1:{}", primary.port);
    let redtail = Server::redtail_of(&address, &["--max-staleness", "3s"]);
    redtail.wait_for("the first sync", |client| {
        client.command("GET a").text() == "1"
    });
    redtail.wait_for_log("may not ask the server for its offset");
    let start = std::time::Instant::now();
    while start.elapsed() < std::time::Duration::from_secs(4) {
        assert_eq!(redtail.command("GET a").text(), "1");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    signal(&primary, "-STOP");
    redtail.wait_for("a refusal", |client| {
        client.command("GET a").text() == MASTERDOWN
    });
    signal(&primary, "-CONT");
}

/// Waits until a snapshot of `primary` for `redtail` begins, and ends it with FLUSHALL, for the `times`th time.
fn kill_a_snapshot(primary: &Server, redtail: &Server, times: usize) {
    primary.command("DEBUG POPULATE 3000");
    primary.wait_for("a snapshot", |client| {
        client
            .info("persistence", "rdb_bgsave_in_progress")
            .as_deref()
            == Some("1")
    });
    primary.command("FLUSHALL");
    let down = "the link to the primary is down";
    redtail.wait_for("the end of the link", |_| {
        redtail.log().matches(down).count() >= times
    });
}

#[test]
fn a_snapshot_that_flushall_ends_is_not_blamed_on_the_output_buffer() {
    for name in ["redis-6.0", "redis-7.0", "valkey-9.1"] {
        for diskless in ["yes", "no"] {
            // A millisecond per key, so that no snapshot ends by itself.
            let slow = [
                "--rdb-key-save-delay",
                "1000",
                "--repl-diskless-sync",
                diskless,
            ];
            let Some(primary) = Server::start(name, &slow) else {
                continue;
            };
            primary.command("DEBUG POPULATE 3000");
            let address = format!("redis://127.0.0.1:{}", primary.port);
            let redtail = Server::redtail_of(&address, &["--resync-floor", "1"]);
            for times in 1..=3 {
                kill_a_snapshot(&primary, &redtail, times);
            }
            primary.command("SET a last");
            redtail.wait_for("the last value", |client| {
                client.command("GET a").text().contains("last")
            });
            let log = redtail.log();
            assert!(!log.contains("output-buffer"), "{name}, {diskless}: {log}");
        }
    }
}

#[test]
fn a_snapshot_that_the_primary_delays_is_said_to_be_waited_for() {
    let delayed = [
        "--repl-diskless-sync",
        "yes",
        "--repl-diskless-sync-delay",
        "2",
    ];
    let Some(primary) = Server::start("redis-7.0", &delayed) else {
        return;
    };
    let redtail = Server::redtail(&primary);
    let log = redtail.log();
    let said = log.find("its repl-diskless-sync-delay");
    assert!(
        said.is_some_and(|said| log[said..].contains("full resync")),
        "{log}"
    );
}

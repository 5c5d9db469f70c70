//! What reads answer when there is no value to answer with.

use super::*;
use crate::servers::free_port;
use redtail::config::{ResyncMemory, ResyncPolicy};
use redtail::status;

#[test]
fn before_the_first_sync_every_read_says_loading() {
    let runtime = runtime();
    let _inside = runtime.enter();
    let nobody = format!("redis://127.0.0.1:{}", free_port());
    let replica = Replica::start(Config::new(&nobody).unwrap()).unwrap();
    assert_eq!(replica.get("a"), Err(Error::Loading));
    assert_eq!(
        replica.get_with("a", |_| panic!("it is not called")),
        Err::<(), _>(Error::Loading)
    );
    assert_eq!(replica.mget(&["a"]), Err(Error::Loading));
    assert_eq!(replica.command(&["GET", "a"]), Err(Error::Loading));
    assert_eq!(replica.scan("*").collect::<Vec<_>>(), [Err(Error::Loading)]);
    assert!(Error::Loading.to_string().starts_with("LOADING "));
    wait_until("a fault", || replica.status().last_fault.is_some());
    let status = replica.status();
    let fault: status::Fault = status.last_fault.unwrap();
    assert!(
        fault.what.contains("refused") && fault.at.elapsed() < PATIENCE,
        "{fault:?}"
    );
    assert_eq!(
        (status.loads, status.dialect, status.history.replid),
        (0, None, None)
    );
    assert!(status.proven_ago.is_none() && status.databases.is_empty());
    runtime.block_on(async {
        let waits = tokio::time::timeout(Duration::from_millis(50), replica.ready()).await;
        assert!(waits.is_err(), "{waits:?}");
    });
}

#[test]
fn after_stop_every_read_says_so_and_ready_too() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    primary.command("SET a 1");
    let runtime = runtime();
    let replica = follow(&runtime, config(&primary));
    let walk = replica.scan("*");
    let applied = replica.status().applied_offset;
    runtime.block_on(async { tokio::join!(replica.stop(), replica.stop()) });
    assert_eq!(replica.get("a"), Err(Error::Stopped));
    assert_eq!(replica.mget(&["a"]), Err(Error::Stopped));
    assert_eq!(replica.command(&["GET", "a"]), Err(Error::Stopped));
    assert_eq!(walk.collect::<Vec<_>>(), [Err(Error::Stopped)]);
    assert_eq!(runtime.block_on(replica.ready()), Err(Error::Stopped));
    assert!(replica.status().applied_offset >= applied);
    assert_eq!(
        Error::Stopped.to_string(),
        "the replica has stopped: start another one"
    );
    // The primary sees it go.
    primary.wait_for("no replica", |client| {
        client.info("replication", "connected_slaves").as_deref() == Some("0")
    });
}

#[test]
fn who_waits_for_the_first_sync_hears_of_a_stop() {
    let runtime = runtime();
    let _inside = runtime.enter();
    let nobody = format!("redis://127.0.0.1:{}", free_port());
    let replica = Replica::start(Config::new(&nobody).unwrap()).unwrap();
    let (ready, ()) = runtime.block_on(async { tokio::join!(replica.ready(), replica.stop()) });
    assert_eq!(ready, Err(Error::Stopped));
}

/// A primary whose snapshot takes the writer seconds at [`SLOWLY`].
fn large_primary() -> Option<Server> {
    let primary = Server::start("redis-7.0", &["--rdbcompression", "no"])?;
    primary.command("SET a old");
    primary.command("SETRANGE filler 300000 x");
    Some(primary)
}

const SLOWLY: u64 = 128 << 10;

/// Makes the primary send its snapshot anew, with another value.
fn resync(primary: &Server) {
    let lines = [
        "DEBUG CHANGE-REPL-ID",
        "CLIENT KILL TYPE replica",
        "SET a new",
    ];
    primary.client().pipeline(&lines.map(words));
}

#[test]
fn old_data_is_readable_during_a_resync() {
    let Some(primary) = large_primary() else {
        return;
    };
    let runtime = runtime();
    let replica = follow(
        &runtime,
        Config {
            writer_rate: SLOWLY.try_into().ok(),
            ..config(&primary)
        },
    );
    resync(&primary);
    let mut seen_during = 0;
    wait_until("the new data", || {
        let before = replica.status();
        let value = replica.get("a").unwrap();
        if before.link.state == status::LinkState::Sync && before.loads == 1 {
            seen_during += 1;
        }
        value == Some(bytes("new"))
    });
    assert!(seen_during > 10, "{seen_during}");
    let after = replica.status();
    assert_eq!(after.loads, 2);
    assert_ne!(after.history.replid, None);
}

#[test]
fn one_copy_says_loading_during_a_resync() {
    let Some(primary) = large_primary() else {
        return;
    };
    let runtime = runtime();
    let resync_policy = ResyncPolicy {
        memory: ResyncMemory::OneCopy,
        ..ResyncPolicy::default()
    };
    let replica = follow(
        &runtime,
        Config {
            writer_rate: SLOWLY.try_into().ok(),
            resync: resync_policy,
            ..config(&primary)
        },
    );
    resync(&primary);
    let mut answers = Vec::new();
    wait_until("the new data", || {
        let answer = replica.get("a");
        let is_new = answer == Ok(Some(bytes("new")));
        if answers.last() != Some(&answer) {
            answers.push(answer);
        }
        is_new
    });
    let expected = [
        Ok(Some(bytes("old"))),
        Err(Error::Loading),
        Ok(Some(bytes("new"))),
    ];
    assert!(
        expected.ends_with(&answers) && answers.len() >= 2,
        "{answers:?}"
    );
}

#[test]
fn a_snapshot_that_lost_its_keys_is_held_until_it_is_accepted() {
    let port = free_port();
    let Some(primary) = Server::start_on("valkey-9.1", Some(port), None, &[]) else {
        return;
    };
    for number in 0..100 {
        primary.command(&format!("SET key{number} old"));
    }
    let runtime = runtime();
    let guard = ResyncPolicy {
        guard_percent: 50,
        guard_patience: Duration::from_secs(3600),
        ..ResyncPolicy::default()
    };
    let replica = follow(
        &runtime,
        Config {
            resync: guard,
            ..config(&primary)
        },
    );
    drop(primary);
    let emptied = Server::start_on("valkey-9.1", Some(port), None, &[]).unwrap();
    emptied.command("SET key1 new");
    wait_until("the guard", || replica.status().held.is_some());
    let held: status::Held = replica.status().held.unwrap();
    assert_eq!((held.keys, held.served_keys), (1, 100));
    assert!(held.since.elapsed() < PATIENCE);
    assert_eq!(replica.get("key1"), Ok(Some(bytes("old"))));
    replica.accept_resync();
    wait_until("the new data", || {
        replica.get("key1") == Ok(Some(bytes("new")))
    });
    assert!(replica.status().held.is_none());
    // Without a snapshot that is held back, it does nothing.
    replica.accept_resync();
    assert_eq!(replica.get("key1"), Ok(Some(bytes("new"))));
}

/// Stops or continues a process.
pub(super) fn signal(server: &Server, signal: &str) {
    let pid = server.pid().to_string();
    let sent = std::process::Command::new("kill")
        .args([signal, &pid])
        .status();
    assert!(sent.unwrap().success());
}

#[test]
fn data_that_nothing_proves_fresh_is_refused_until_it_is_fresh_again() {
    let Some(primary) = Server::start("redis-8.0", &["--repl-ping-replica-period", "3600"]) else {
        return;
    };
    primary.command("SET a 1");
    let runtime = runtime();
    let replica = follow(
        &runtime,
        Config {
            max_staleness: Some(Duration::from_secs(1)),
            ..config(&primary)
        },
    );
    wait_until("the first proof", || {
        replica.get("a") == Ok(Some(bytes("1")))
    });
    signal(&primary, "-STOP");
    wait_until("a refusal", || replica.get("a") == Err(Error::Stale));
    assert_eq!(replica.mget(&["a"]), Err(Error::Stale));
    assert_eq!(replica.command(&["GET", "a"]), Err(Error::Stale));
    assert_eq!(replica.scan("*").collect::<Vec<_>>(), [Err(Error::Stale)]);
    let status = replica.status();
    assert!(
        status.stale && status.proven_ago > Some(Duration::from_secs(1)),
        "{status:?}"
    );
    assert!(Error::Stale.to_string().starts_with("MASTERDOWN "));
    signal(&primary, "-CONT");
    wait_until("fresh data", || replica.get("a") == Ok(Some(bytes("1"))));
}

#[test]
fn another_type_is_named_and_a_wrong_command_answers_as_a_client_would_hear_it() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    primary.command("RPUSH list a");
    let runtime = runtime();
    let replica = follow(&runtime, config(&primary));
    assert_eq!(replica.get("list"), Err(Error::WrongType));
    assert_eq!(
        replica.get_with("list", |_| panic!("it is not called")),
        Err::<(), _>(Error::WrongType)
    );
    assert!(Error::WrongType.to_string().starts_with("WRONGTYPE "));
    for line in [
        "GET list",
        "SET a b",
        "NOSUCH a",
        "GET",
        "GETRANGE list 0 x",
    ] {
        let theirs = primary.command(line).text();
        let theirs = match line {
            "SET a b" => "READONLY You can't write against a read only replica.",
            _ => theirs.as_str(),
        };
        is_reply(replica.command(&words(line)), theirs);
    }
    is_reply(
        replica.command(&["SUBSCRIBE", "a"]),
        "ERR this command needs a connection",
    );
    is_reply(replica.command::<&str>(&[]), "");
    let beyond = replica.database(16);
    let out_of_range = "ERR DB index is out of range";
    is_reply(beyond.get("a"), out_of_range);
    is_reply(beyond.get_with("a", |_| ()), out_of_range);
    is_reply(beyond.mget(&["a"]), out_of_range);
    is_reply(beyond.command(&["GET", "a"]), out_of_range);
    is_reply(beyond.scan("*").next().unwrap(), out_of_range);
    is_reply(replica.database(usize::MAX).get("a"), out_of_range);
}

#[test]
fn a_write_that_cannot_be_applied_taints_until_the_next_full_sync() {
    let Some(primary) = Server::start("redis-6.0", &["--lua-replicate-commands", "no"]) else {
        return;
    };
    primary.command("SET a 1");
    let runtime = runtime();
    let replica = follow(&runtime, config(&primary));
    // It comes as its text, and only the primary knows what it took.
    let script = "redis.call('sadd', 's', 1, 2, 3) redis.call('spop', 's')";
    primary.client().words(&[b"EVAL", script.as_bytes(), b"0"]);
    wait_until("the taint", || replica.get("a") == Err(Error::Tainted));
    assert_eq!(replica.mget(&["a", "b"]), Err(Error::Tainted));
    is_reply(replica.command(&["GET", "a"]), "TAINTED ");
    assert!(Error::Tainted.to_string().starts_with("TAINTED "));
    assert_eq!(replica.status().tainted_keys, None);
    wait_until("the count", || replica.status().failed_writes > 0);
    // A full sync brings the value.
    primary.command("DEBUG CHANGE-REPL-ID");
    primary.command("CLIENT KILL TYPE replica");
    wait_until("the next full sync", || {
        replica.get("a") == Ok(Some(bytes("1")))
    });
    assert_eq!(replica.status().tainted_keys, Some(0));
    let left = replica.command(&["SCARD", "s"]);
    assert_eq!(
        left.as_ref().map(show),
        Ok(format!(":{}", primary.command("SCARD s").text()))
    );
}

//! How replicas begin and end: runtimes, threads, tasks, and several replicas in one process.

use super::failures::signal;
use super::*;
use crate::servers::free_port;
use redtail::config::{ResyncPolicy, State};
use std::collections::BTreeSet;
use std::fs;

/// The threads of replicas in this process, by their numbers.
fn threads() -> BTreeSet<String> {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let paths = tasks.map(|task| task.unwrap().path());
    let of_a_replica = |path: &std::path::PathBuf| {
        let name = fs::read_to_string(path.join("comm")).unwrap_or_default();
        name.starts_with("redtail-")
    };
    paths
        .filter(of_a_replica)
        .map(|path| path.display().to_string())
        .collect()
}

/// Starts a replica, waits until `reached` returns true, drops the replica, and asserts that nothing of it is left.
#[track_caller]
fn leaves_nothing(what: &str, config: Config, reached: impl Fn(&Status) -> bool) {
    let runtime = runtime();
    let before = threads();
    let replica = {
        let _inside = runtime.enter();
        Replica::start(config).unwrap()
    };
    // A thread gets its name once it runs.
    wait_until(&format!("{what}: a writer and a sweeper"), || {
        threads().difference(&before).count() >= 2
    });
    wait_until(what, || reached(&replica.status()));
    drop(replica);
    wait_until(&format!("{what}: its threads to end"), || {
        threads().is_subset(&before)
    });
    let tasks = || runtime.metrics().num_alive_tasks();
    wait_until(&format!("{what}: its tasks to end"), || tasks() == 0);
}

#[test]
fn dropping_a_replica_ends_its_threads_and_tasks_at_every_stage() {
    use redtail::status::LinkState::{Connected, Connecting, Handshake, Sync};
    let nobody = Config::new(&format!("redis://127.0.0.1:{}", free_port())).unwrap();
    leaves_nothing("no primary", nobody, |status| status.last_fault.is_some());

    let Some(primary) = Server::start("redis-7.0", &["--rdbcompression", "no"]) else {
        return;
    };
    // More than fits into sockets and pipes on the way.
    primary.command("DEBUG POPULATE 400000 key 100");
    let slowly = Config {
        writer_rate: (1 << 20).try_into().ok(),
        ..config(&primary)
    };
    let loads = |status: &Status| status.link.state == Sync && status.loads == 0;
    leaves_nothing("a large load", slowly, loads);
    leaves_nothing("a stream", config(&primary), |status| {
        status.link.state == Connected && status.loads == 1
    });

    // The child that writes the snapshot takes its time, and the primary stops in the middle of it.
    primary.command("CONFIG SET rdb-key-save-delay 100");
    let paused = |status: &Status| {
        let is_reached = status.link.state == Sync;
        if is_reached {
            signal(&primary, "-STOP");
        }
        is_reached
    };
    leaves_nothing("a load from a paused primary", config(&primary), paused);
    let waits = |status: &Status| [Connecting, Handshake].contains(&status.link.state);
    leaves_nothing("a handshake with a paused primary", config(&primary), waits);
    signal(&primary, "-CONT");
}

#[test]
fn dropping_a_replica_ends_it_while_a_snapshot_is_held_back() {
    let port = free_port();
    let Some(primary) = Server::start_on("redis-7.0", Some(port), None, &[]) else {
        return;
    };
    primary.command("DEBUG POPULATE 100");
    let folder = tempfile::tempdir().unwrap();
    let guard = ResyncPolicy {
        guard_percent: 50,
        ..ResyncPolicy::default()
    };
    let kept = Config {
        resync: guard,
        state: Some(State::new(folder.path())),
        ..config(&primary)
    };
    let runtime = runtime();
    let replica = follow(&runtime, kept.clone());
    runtime.block_on(replica.stop());
    drop((replica, primary));
    // What the state directory holds is readable at once, without a primary.
    let alone = follow(&runtime, kept.clone());
    assert_eq!(alone.command(&["DBSIZE"]), Ok(Reply::Integer(100)));
    let taken = {
        let _inside = runtime.enter();
        Replica::start(kept.clone()).unwrap_err()
    };
    assert!(
        taken.to_string().contains("another redtail uses"),
        "{taken}"
    );
    runtime.block_on(alone.stop());
    drop(alone);
    let _emptied = Server::start_on("redis-7.0", Some(port), None, &[]).unwrap();
    leaves_nothing("a snapshot held back", kept, |status| status.held.is_some());
}

#[test]
fn outside_a_runtime_a_replica_does_not_start() {
    let before = threads();
    let error = Replica::start(Config::new("redis://127.0.0.1:1").unwrap()).unwrap_err();
    assert!(error.to_string().contains("runtime"), "{error}");
    assert_eq!(threads(), before);
}

#[test]
fn a_runtime_that_ends_takes_the_replica_with_it() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    primary.command("SET a 1");
    let first = runtime();
    let replica = follow(
        &first,
        Config {
            max_staleness: Some(Duration::from_secs(60)),
            ..config(&primary)
        },
    );
    wait_until("the first proof", || {
        replica.get("a") == Ok(Some(bytes("1")))
    });
    drop(first);
    // Nothing would ever tell that the data is old.
    wait_until("the end", || replica.get("a") == Err(Error::Stopped));
    assert_eq!(runtime().block_on(replica.ready()), Err(Error::Stopped));
    runtime().block_on(replica.stop());
}

#[test]
fn a_runtime_of_one_thread_is_enough() {
    let Some(primary) = Server::start("valkey-8.1", &[]) else {
        return;
    };
    primary.command("SET a 1");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let replica = Replica::start(config(&primary)).unwrap();
        replica.ready().await.unwrap();
        assert_eq!(replica.get("a"), Ok(Some(bytes("1"))));
        primary.command("SET a 2");
        let deadline = Instant::now() + PATIENCE;
        while replica.get("a") != Ok(Some(bytes("2"))) {
            assert!(Instant::now() < deadline);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        replica.stop().await;
    });
}

#[test]
fn two_replicas_in_one_process_keep_apart() {
    let (Some(one), Some(other)) = (
        Server::start("redis-6.0", &[]),
        Server::start("valkey-9.1", &[]),
    ) else {
        return;
    };
    one.command("SET a one");
    other.command("SET a other");
    let runtime = runtime();
    let [first, second, third] =
        [&one, &other, &other].map(|primary| follow(&runtime, config(primary)));
    let values = || [&first, &second, &third].map(|replica| replica.get("a").unwrap().unwrap());
    assert_eq!(values(), ["one", "other", "other"].map(bytes));
    one.command("SET a 1");
    other.command("SET a 2");
    caught_up(&first, &one);
    caught_up(&second, &other);
    caught_up(&third, &other);
    assert_eq!(values(), ["1", "2", "2"].map(bytes));
    let families = [&first, &second].map(|replica| replica.status().dialect.unwrap().family);
    assert_eq!(
        families,
        [
            redtail::config::Family::Redis,
            redtail::config::Family::Valkey
        ]
    );
    // The end of one is not the end of another.
    runtime.block_on(second.stop());
    other.command("SET a 3");
    caught_up(&third, &other);
    assert_eq!(third.get("a"), Ok(Some(bytes("3"))));
    assert_eq!(first.get("a"), Ok(Some(bytes("1"))));
}

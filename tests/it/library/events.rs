//! What happens to a replica, as it is told.

use super::failures::signal;
use super::*;
use crate::servers::free_port;
use redtail::watch::{Event, OutOfSync, Watch};

/// The next event that `wanted` accepts, and all before it.
#[track_caller]
fn up_to(runtime: &Runtime, watch: &mut Watch, wanted: impl Fn(&Event) -> bool) -> Vec<Event> {
    let mut told = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let next = async { tokio::time::timeout(left, watch.next()).await };
        let Ok(next) = runtime.block_on(next) else {
            panic!("no such event after {told:?}");
        };
        let event = next.expect("the replica runs");
        let is_last = wanted(&event);
        told.push(event);
        if is_last {
            return told;
        }
    }
}

fn is_in_sync(event: &Event) -> bool {
    *event == Event::InSync
}

fn has_no_link(event: &Event) -> bool {
    matches!(event, Event::OutOfSync(OutOfSync::NoLink { .. }))
}

#[test]
fn a_replica_tells_how_it_comes_and_goes() {
    let port = free_port();
    let runtime = runtime();
    let mut config = Config::new(&format!("redis://127.0.0.1:{port}")).unwrap();
    config.upstream.timing.resync_floor = Duration::ZERO;
    config.upstream.timing.retry_first = Duration::from_millis(20);
    config.upstream.timing.retry_max = Duration::from_millis(50);
    let replica = {
        let _inside = runtime.enter();
        Replica::start(config).unwrap()
    };
    let mut watch = replica.watch();
    let refused = |event: &Event| matches!(event, Event::OutOfSync(OutOfSync::NoLink { why: Some(why) }) if why.contains("refused"));
    up_to(&runtime, &mut watch, refused);
    let Some(primary) = Server::start_on("redis-7.0", Some(port), None, &[]) else {
        return;
    };
    let told = up_to(&runtime, &mut watch, is_in_sync);
    let starts = |event: &&Event| matches!(event, Event::LoadStarted { bytes_expected } if *bytes_expected != Some(0));
    let ends =
        |event: &&Event| matches!(event, Event::LoadFinished { keys: 0, bytes } if *bytes > 0);
    assert_eq!(
        (
            told.iter().filter(starts).count(),
            told.iter().filter(ends).count()
        ),
        (1, 1),
        "{told:?}"
    );
    // A cut that heals before the next look is told, too.
    primary.command("CLIENT KILL TYPE replica");
    let told = up_to(&runtime, &mut watch, is_in_sync);
    assert!(has_no_link(&told[0]), "{told:?}");
    drop(primary);
    up_to(&runtime, &mut watch, has_no_link);
    runtime.block_on(replica.stop());
    while let Some(event) = runtime.block_on(watch.next()) {
        assert!(!is_in_sync(&event), "{event:?}");
    }
}

#[test]
fn a_slow_load_tells_its_progress_and_a_broken_one_its_failure() {
    let start = |port| Server::start_on("redis-7.0", Some(port), None, &["--rdbcompression", "no"]);
    let port = free_port();
    let Some(primary) = start(port) else {
        return;
    };
    primary.command("DEBUG POPULATE 20000 key 100");
    let runtime = runtime();
    let replica = {
        let _inside = runtime.enter();
        let config = Config {
            writer_rate: (2 << 20).try_into().ok(),
            ..config(&primary)
        };
        Replica::start(config).unwrap()
    };
    let mut watch = replica.watch();
    let told = up_to(&runtime, &mut watch, |event| {
        matches!(event, Event::LoadFinished { .. })
    });
    let progress: Vec<(u64, u64)> = told
        .iter()
        .filter_map(|event| match event {
            Event::LoadProgress { bytes, keys, .. } => Some((*bytes, *keys)),
            _ => None,
        })
        .collect();
    assert!(progress.len() > 3 && progress.is_sorted(), "{told:?}");
    assert!(
        matches!(told.last(), Some(Event::LoadFinished { keys: 20_000, .. })),
        "{told:?}"
    );
    let loading = Event::OutOfSync(OutOfSync::Loading);
    assert!(told.contains(&loading), "{told:?}");
    up_to(&runtime, &mut watch, is_in_sync);

    // The primary dies in the middle of the next load.
    primary.command("DEBUG POPULATE 100000 more 100");
    primary.command("CONFIG SET rdb-key-save-delay 100");
    primary
        .client()
        .pipeline(&["DEBUG CHANGE-REPL-ID", "CLIENT KILL TYPE replica"].map(words));
    let goes_on = |event: &Event| matches!(event, Event::LoadProgress { .. });
    up_to(&runtime, &mut watch, goes_on);
    signal(&primary, "-KILL");
    let failed = |event: &Event| matches!(event, Event::LoadFailed { why } if !why.is_empty());
    up_to(&runtime, &mut watch, failed);
    assert_eq!(replica.dbsize(), Ok(20_000), "the old data");
}

#[test]
fn data_that_is_held_back_or_stale_is_out_of_sync() {
    use redtail::config::ResyncPolicy;
    let port = free_port();
    let Some(primary) = Server::start_on("valkey-9.1", Some(port), None, &[]) else {
        return;
    };
    primary.command("DEBUG POPULATE 100");
    let runtime = runtime();
    let guard = ResyncPolicy {
        guard_percent: 50,
        ..ResyncPolicy::default()
    };
    let replica = follow(
        &runtime,
        Config {
            resync: guard,
            max_staleness: Some(Duration::from_secs(1)),
            ..config(&primary)
        },
    );
    let mut watch = replica.watch();
    up_to(&runtime, &mut watch, is_in_sync);
    signal(&primary, "-STOP");
    let is_stale = |event: &Event| *event == Event::OutOfSync(OutOfSync::Stale);
    up_to(&runtime, &mut watch, is_stale);
    signal(&primary, "-CONT");
    up_to(&runtime, &mut watch, is_in_sync);
    drop(primary);
    let _emptied = Server::start_on("valkey-9.1", Some(port), None, &[]).unwrap();
    let is_held = |event: &Event| *event == Event::OutOfSync(OutOfSync::HeldBack);
    up_to(&runtime, &mut watch, is_held);
    replica.accept_resync();
    up_to(&runtime, &mut watch, is_in_sync);
}

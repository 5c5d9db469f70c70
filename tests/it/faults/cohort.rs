//! A real replica that gets its snapshot together with redtail: however slowly redtail decodes, the replica does not wait for it.

use std::time::{Duration, Instant};

use super::node::wait;
use super::word;
use crate::servers::Server;

/// Fills the primary. Without compression its snapshot then has 64 MB.
const FILL: &str = "DEBUG POPULATE 64 key 1000000";
const SNAPSHOT_BYTES: u64 = 64_000_000;

/// The bytes that redtail may queue in memory (`--spool-memory`), and those plus what it is processing.
const SPOOL_MEMORY: &str = "4mb";
const MEMORY_BYTES: u64 = (4 << 20) + (1 << 20);

/// Allows for differences between runs.
const ALLOWANCE: Duration = Duration::from_secs(3);

/// The time that `replica` takes to become a replica of `primary`.
fn sync_time(primary: &Server, replica: &Server) -> Duration {
    let started = Instant::now();
    let line = format!("REPLICAOF 127.0.0.1 {}", primary.port);
    assert_eq!(replica.command(&line).text(), "OK");
    replica.wait_for("the replica's link", |client| {
        client.info("replication", "master_link_status").as_deref() == Some("up")
    });
    started.elapsed()
}

/// At 1 MB per second the same snapshot takes more than a minute. Most of what waits does so in a file, because memory may hold
/// only a little.
#[test]
fn a_replica_of_the_same_round_is_not_slowed_by_a_slow_redtail() {
    for name in ["redis-7.0", "valkey-9.1"] {
        share_a_round(name);
    }
}

fn share_a_round(name: &str) {
    let config = ["--repl-diskless-sync", "yes", "--rdbcompression", "no"];
    let Some(primary) = Server::start(name, &config) else {
        return;
    };
    let replica = Server::start(name, &[]).expect("the server was there a moment ago");
    assert_eq!(primary.command(FILL).text(), "OK");
    let alone = sync_time(&primary, &replica);

    // The primary waits for both replicas, and for no other.
    primary.command("CONFIG SET repl-diskless-sync-delay 60");
    primary.command("CONFIG SET repl-diskless-sync-max-replicas 2");
    replica.command("REPLICAOF NO ONE");
    replica.command("FLUSHALL");
    primary.command("DEBUG CHANGE-REPL-ID");
    let slow = ["--writer-rate", "1mb", "--spool-memory", SPOOL_MEMORY];
    let redtail = Server::redtail_of(&format!("redis://127.0.0.1:{}", primary.port), &slow);
    wait("redtail to wait for the round", || {
        word(&primary, "replication", "slave0").contains("state=wait_bgsave")
    });
    let beside = sync_time(&primary, &replica);

    eprintln!("{name}: {alone:.2?} alone, {beside:.2?} beside redtail");
    assert_eq!(
        primary.command("DEBUG DIGEST"),
        replica.command("DEBUG DIGEST")
    );
    assert_eq!(
        word(&primary, "stats", "sync_full"),
        "3",
        "{name}: one alone, two at once"
    );
    assert_eq!(
        word(&redtail, "replication", "master_sync_in_progress"),
        "1",
        "{name}"
    );
    check_spool(&redtail, name);
    assert!(
        beside <= alone.mul_f64(1.5) + ALLOWANCE,
        "{name}: {alone:?} alone, {beside:?} beside redtail"
    );
}

/// Checks that the whole snapshot has arrived, that little of it is decoded, and that the rest is in the file, except for what
/// memory may hold.
fn check_spool(redtail: &Server, name: &str) {
    let figure = |section, field| word(redtail, section, field).parse::<u64>().unwrap_or(0);
    wait("the end of the snapshot", || {
        figure("stats", "total_net_repl_input_bytes") > SNAPSHOT_BYTES
    });
    // Read in this order, because all three grow.
    let received = figure("stats", "total_net_repl_input_bytes");
    let in_file = figure("redtail", "redtail_spool_file_bytes");
    let decoded = figure("replication", "master_sync_read_bytes");
    assert!(
        decoded < SNAPSHOT_BYTES / 3,
        "{name}: redtail decodes too fast for this test"
    );
    assert!(
        in_file > SNAPSHOT_BYTES / 2,
        "{name}: {in_file} of {received} bytes in the file"
    );
    assert!(
        in_file + decoded + MEMORY_BYTES >= received,
        "{name}: of {received} bytes, {in_file} went to the file and {decoded} are decoded; memory may not hold the rest"
    );
}

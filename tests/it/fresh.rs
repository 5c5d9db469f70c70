//! How a command from the stream reaches the writer: straight from the socket while the writer keeps up, and through the spool
//! when it does not. `benches/versus` measures the benefit.

use std::time::{Duration, Instant};

use crate::client::Client;
use crate::servers::{PATIENCE, Server};

/// The number of commands that are sent one by one.
const SINGLES: u64 = 200;

fn direct_reads(redtail: &Server) -> u64 {
    let figure = redtail.client().info("redtail", "redtail_direct_reads");
    figure.expect("a figure").parse().expect("a number")
}

/// Writes `SINGLES` times, each time after the write before is visible. Returns the number of pieces that the writer itself read
/// in that time.
fn reads_of_singles(primary: &Server, redtail: &Server) -> u64 {
    let (mut writes, mut reads) = (primary.client(), redtail.client());
    let before = direct_reads(redtail);
    let deadline = Instant::now() + PATIENCE;
    for number in 0..SINGLES {
        writes.command(&format!("SET single {number}"));
        while reads.command("GET single").text() != number.to_string() {
            assert!(
                Instant::now() < deadline,
                "{number} does not become visible"
            );
        }
    }
    direct_reads(redtail) - before
}

#[test]
fn the_writer_reads_each_command_of_an_idle_link_itself() {
    for name in ["redis-7.0", "valkey-9.1"] {
        let Some(primary) = Server::start(name, &[]) else {
            return;
        };
        let redtail = Server::redtail(&primary);
        // The end of the first sync, and occasional pings, may go through the spool.
        let read = reads_of_singles(&primary, &redtail);
        assert!(read >= SINGLES * 9 / 10, "{name}: {read}");
    }
}

/// The reads that waited for the writer, and those among them that waited in vain.
fn waits(redtail: &Server) -> [usize; 2] {
    [
        "redtail_reads_that_waited",
        "redtail_reads_that_waited_in_vain",
    ]
    .map(|name| {
        let figure = redtail.client().info("redtail", name);
        figure.expect("a figure").parse().expect("a number")
    })
}

#[test]
fn a_read_after_the_primarys_reply_sees_the_write() {
    const TRIES: usize = 3_000;
    for name in ["redis-7.0", "valkey-9.1"] {
        let Some(primary) = Server::start(name, &[]) else {
            return;
        };
        let redtail = Server::redtail(&primary);
        reads_of_singles(&primary, &redtail);
        let (mut writes, mut reads) = (primary.client(), redtail.client());
        let before = waits(&redtail);
        let too_old = (0..TRIES).filter(|number| {
            writes.command(&format!("SET single {number}"));
            reads.command("GET single").text() != number.to_string()
        });
        let too_old = too_old.count();
        let [waited, in_vain] = waits(&redtail);
        let in_vain = in_vain - before[1];
        assert!(waited > before[0], "{name}: no read had to wait");
        // Reads do not wait for bytes that arrive while the link's task owns the socket, such as occasional pings.
        assert!(
            too_old <= in_vain + TRIES / 200,
            "{name}: {too_old} stale reads, {in_vain} waits in vain"
        );
    }
}

#[test]
fn so_it_does_over_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("primary").display().to_string();
    let Some(primary) = Server::start("redis-7.0", &["--unixsocket", &path]) else {
        return;
    };
    let redtail = Server::redtail_of(&format!("unix://{path}"), &[]);
    redtail.wait_in_sync(&primary);
    let read = reads_of_singles(&primary, &redtail);
    assert!(read >= SINGLES * 9 / 10, "{read}");
}

/// A write of one megabyte.
fn megabyte(number: usize) -> Vec<Vec<u8>> {
    let key = format!("big:{number}").into_bytes();
    vec![b"SET".to_vec(), key, vec![b'x'; 1 << 20]]
}

#[test]
fn a_writer_that_falls_behind_leaves_the_reading_to_the_spool_and_takes_it_up_again() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    let redtail = Server::redtail_with(&primary, &["--writer-rate", "4mb"]);
    redtail.wait_in_sync(&primary);
    reads_of_singles(&primary, &redtail);
    let before = direct_reads(&redtail);
    let commands: Vec<_> = (0..24).map(megabyte).collect();
    for command in &commands {
        primary.client().pipeline(std::slice::from_ref(command));
    }
    // Everything has arrived before much of it is applied, and the primary has nothing left to send.
    let written = primary.client().offset("master_repl_offset");
    let figure = |client: &mut Client, name| {
        let figure = client.info("redtail", name);
        figure.and_then(|figure| figure.parse::<i64>().ok())
    };
    let mut lag = 0;
    redtail.wait_for("all written bytes to arrive", |client| {
        lag = figure(client, "redtail_lag_bytes").unwrap_or(0);
        figure(client, "redtail_received_offset") >= written
    });
    assert!(lag > 4 << 20, "the writer has caught up already: {lag}");
    let pieces = direct_reads(&redtail) - before;
    // In pieces of at most 64 KB there would have been 384.
    assert!(pieces < 40, "{pieces}");
    redtail.wait_in_sync(&primary);
    std::thread::sleep(Duration::from_millis(10));
    let read = reads_of_singles(&primary, &redtail);
    assert!(read >= SINGLES * 9 / 10, "{read}");
}

#[test]
fn all_is_read_while_a_snapshot_for_the_next_start_is_written() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state").display().to_string();
    let redtail =
        Server::redtail_with(&primary, &["--state-dir", &state, "--state-log-max", "1mb"]);
    redtail.wait_in_sync(&primary);
    let read = reads_of_singles(&primary, &redtail);
    assert!(read >= SINGLES * 9 / 10, "{read}");
    let commands: Vec<_> = (0..16).map(megabyte).collect();
    // The log exceeds its limit, and a snapshot replaces it.
    for command in &commands {
        primary.client().pipeline(std::slice::from_ref(command));
    }
    redtail.wait_for("another snapshot", |client| {
        reads_of_singles(&primary, &redtail);
        let saves = client.info("redtail", "redtail_state_snapshots");
        saves.is_some_and(|saves| saves.parse::<u64>().unwrap() > 0)
    });
    let read = reads_of_singles(&primary, &redtail);
    assert!(read >= SINGLES * 9 / 10, "{read}");
}

//! XREAD with BLOCK: what makes a client wait, what wakes it, and what ends the wait.

use std::io;
use std::time::{Duration, Instant};

use crate::client::{Client, Reply, encode, words};
use crate::servers::{PATIENCE, Server};

/// Long enough to see that no reply arrives.
const A_MOMENT: Duration = Duration::from_millis(60);

struct Pair {
    primary: Server,
    redtail: Server,
}

impl Pair {
    fn start(name: &str) -> Option<Self> {
        let primary = Server::start(name, &[])?;
        primary.command("XADD s 1-1 a b");
        primary.command("XADD t 5-0 x y");
        let redtail = Server::redtail(&primary);
        Some(Self { primary, redtail })
    }

    /// A client that waits for the reply to `line`.
    fn waiting(&self, line: &str) -> Client {
        let mut client = self.redtail.client();
        send(&mut client, line);
        self.wait_for_blocked(1);
        client
    }

    fn wait_for_blocked(&self, count: usize) {
        self.redtail.wait_for("blocked clients", |client| {
            client.info("clients", "blocked_clients") == Some(count.to_string())
        });
    }
}

fn send(client: &mut Client, line: &str) {
    client.send(&encode(&words(line))).unwrap();
}

fn read(client: &mut Client) -> Reply {
    client.read().unwrap()
}

/// Returns the id of the waiting client, which CLIENT LIST shows as blocked.
fn id_of_waiter(redtail: &Server) -> String {
    let list = redtail.command("CLIENT LIST").text();
    let line = list
        .lines()
        .find(|line| line.contains("cmd=xread"))
        .unwrap();
    assert!(line.contains(" flags=b "), "{line}");
    line.split(' ')
        .next()
        .unwrap()
        .trim_start_matches("id=")
        .to_owned()
}

#[test]
fn a_reader_wakes_when_an_entry_is_applied() {
    for name in ["redis-6.0", "redis-8.0", "valkey-9.1"] {
        let Some(pair) = Pair::start(name) else {
            return;
        };
        let mut client = pair.waiting("XREAD BLOCK 0 STREAMS s t none $ $ 0");
        send(&mut client, "PING");
        pair.primary.command("DEL s");
        pair.primary.command("SET s x");
        pair.primary.command("XADD t 6-0 f v");
        let told = "*1\r\n*2\r\n$1\r\nt\r\n*1\r\n*2\r\n$3\r\n6-0\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n";
        assert_eq!(read(&mut client).0, told.as_bytes(), "{name}");
        assert_eq!(read(&mut client).0, b"+PONG\r\n", "the request after it");
        pair.wait_for_blocked(0);
    }
}

#[test]
fn a_reader_of_several_streams_is_told_of_a_whole_transaction() {
    let Some(pair) = Pair::start("redis-8.0") else {
        return;
    };
    let mut client = pair.waiting("XREAD COUNT 1 BLOCK 0 STREAMS s t $ $");
    let mut primary = pair.primary.client();
    for line in [
        "MULTI",
        "XADD t 7-0 a b",
        "XADD s 7-0 a b",
        "XADD s 8-0 a b",
        "EXEC",
    ] {
        primary.command(line);
    }
    let reply = read(&mut client);
    let streams = reply.elements();
    assert_eq!(streams.len(), 2, "{}", reply.text());
    assert_eq!(streams[0].elements()[1].elements().len(), 1);
}

#[test]
fn time_runs_out_and_other_clients_end_the_waiting() {
    let Some(pair) = Pair::start("redis-7.0") else {
        return;
    };
    let mut client = pair.redtail.client();
    let start = Instant::now();
    assert_eq!(client.command("XREAD BLOCK 50 STREAMS s $").0, b"*-1\r\n");
    assert!(start.elapsed() >= Duration::from_millis(50));
    for (how, told) in [
        ("", "*-1\r\n"),
        (" TIMEOUT", "*-1\r\n"),
        (
            " ERROR",
            "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n",
        ),
    ] {
        send(&mut client, "XREAD BLOCK 0 STREAMS s $");
        pair.wait_for_blocked(1);
        let id = id_of_waiter(&pair.redtail);
        let unblock = format!("CLIENT UNBLOCK {id}{how}");
        assert_eq!(pair.redtail.command(&unblock).0, b":1\r\n");
        assert_eq!(read(&mut client).0, told.as_bytes());
        assert_eq!(pair.redtail.command(&unblock).0, b":0\r\n");
    }
}

#[test]
fn a_peer_that_goes_or_is_killed_leaves_nothing_behind() {
    let Some(pair) = Pair::start("redis-7.0") else {
        return;
    };
    drop(pair.waiting("XREAD BLOCK 0 STREAMS s $"));
    pair.wait_for_blocked(0);
    let mut client = pair.waiting("XREAD BLOCK 0 STREAMS s $");
    let id = id_of_waiter(&pair.redtail);
    pair.redtail.command(&format!("CLIENT KILL ID {id}"));
    assert_eq!(
        client.read().unwrap_err().kind(),
        io::ErrorKind::UnexpectedEof
    );
    pair.wait_for_blocked(0);
}

#[test]
fn nothing_waits_inside_a_transaction_and_wrong_times_are_refused() {
    let Some(pair) = Pair::start("redis-7.0") else {
        return;
    };
    let mut client = pair.redtail.client();
    client.command("MULTI");
    client.command("XREAD BLOCK 0 STREAMS s $");
    assert_eq!(client.command("EXEC").0, b"*1\r\n*-1\r\n");
    for (time, told) in [
        ("-1", "-ERR timeout is negative\r\n"),
        ("0.5", "-ERR timeout is not an integer or out of range\r\n"),
    ] {
        let line = format!("XREAD BLOCK {time} STREAMS s $");
        assert_eq!(client.command(&line).0, told.as_bytes());
    }
}

/// Entries may also arrive in other keyspaces: through SWAPDB, and through another full sync.
#[test]
fn a_reader_wakes_whatever_brings_the_entries() {
    let Some(pair) = Pair::start("redis-7.0") else {
        return;
    };
    let mut client = pair.waiting("XREAD BLOCK 0 STREAMS k $");
    let mut primary = pair.primary.client();
    for line in ["SELECT 1", "XADD k 1-1 a b", "SELECT 0", "SWAPDB 0 1"] {
        primary.command(line);
    }
    assert_eq!(read(&mut client).elements().len(), 1);
    let mut client = pair.waiting("XREAD BLOCK 0 STREAMS late $");
    primary.command("CONFIG SET repl-backlog-size 16384");
    primary.command("DEBUG CHANGE-REPL-ID");
    primary.command("CLIENT KILL TYPE replica");
    primary.command("XADD late 1-1 a b");
    assert_eq!(read(&mut client).elements().len(), 1);
}

#[test]
fn a_waiting_reader_is_told_that_its_stream_is_no_longer_known() {
    let Some(pair) = Pair::start("redis-7.0") else {
        return;
    };
    let mut client = pair.waiting("XREAD BLOCK 0 STREAMS s $");
    std::thread::sleep(A_MOMENT);
    pair.primary.command("DEBUG REPLICATE NOSUCHCOMMAND x");
    let deadline = Instant::now() + PATIENCE;
    pair.primary.command("XADD other 1-1 a b");
    let reply = read(&mut client);
    assert!(Instant::now() < deadline);
    assert!(reply.0.starts_with(b"-TAINTED"), "{}", reply.text());
}

//! What readers see during writes and full syncs: whole commands and whole transactions, never an earlier moment, and never
//! LOADING again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crate::client::{Client, words};
use crate::servers::{PATIENCE, Server};

/// Repeatedly writes `round` to the primary, on a thread of its own, until dropped.
struct Writing {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Writing {
    fn start(primary: &Server, round: impl Fn(u32) -> Vec<String> + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (mut client, stopped) = (primary.client(), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            for i in 0.. {
                client.pipeline(&round(i).iter().map(|line| words(line)).collect::<Vec<_>>());
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        _ = self.thread.take().map(JoinHandle::join);
    }
}

fn numbers(client: &mut Client, line: &str) -> Vec<i64> {
    client
        .command(line)
        .elements()
        .iter()
        .map(|value| value.text().parse().unwrap_or(-1))
        .collect()
}

#[test]
fn a_multi_key_read_sees_whole_commands_and_transactions() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    primary.command("MSET a 0 b 0 c 0 d 0");
    let redtail = Server::redtail(&primary);
    let _writing = Writing::start(&primary, |i| {
        let transaction = [
            "MULTI".into(),
            format!("SET a {i}"),
            format!("SET b {i}"),
            "EXEC".into(),
        ];
        [&transaction[..], &[format!("MSET c {i} d {i}")]].concat()
    });
    let mut client = redtail.client();
    let (mut last, mut reads) = (0, 0);
    let deadline = Instant::now() + PATIENCE;
    while reads < 5000 || last < 50 {
        assert!(Instant::now() < deadline, "no writes arrive");
        reads += 1;
        let values = numbers(&mut client, "MGET a b c d");
        assert!(
            values[0] == values[1] && values[2] == values[3],
            "{values:?}"
        );
        assert!(values[0] >= last, "{values:?} after {last}");
        last = values[0];
    }
}

#[test]
fn one_connection_never_goes_back() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    primary.command("MSET a 0 b 0");
    let redtail = Server::redtail(&primary);
    // b is written after a, so a reader that reads b first must find a at least as new.
    let _writing = Writing::start(&primary, |i| {
        vec![format!("SET a {i}"), format!("SET b {i}")]
    });
    let mut client = redtail.client();
    let mut last = [0, 0];
    for _ in 0..200 {
        let replies = client.pipeline(
            &(0..25)
                .flat_map(|_| [words("GET b"), words("GET a")])
                .collect::<Vec<_>>(),
        );
        let values: Vec<i64> = replies
            .iter()
            .map(|reply| reply.text().parse().expect("a number"))
            .collect();
        for pair in values.chunks(2) {
            let forward = pair[0] <= pair[1] && last[0] <= pair[0] && last[1] <= pair[1];
            assert!(forward, "{pair:?} after {last:?}");
            last = [pair[0], pair[1]];
        }
    }
}

#[test]
fn a_clients_transaction_is_one_moment() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    primary.command("MSET a 0 b 0");
    let redtail = Server::redtail(&primary);
    let _writing = Writing::start(&primary, |i| vec![format!("MSET a {i} b {i}")]);
    let mut client = redtail.client();
    for _ in 0..500 {
        let replies = client.pipeline(&["MULTI", "GET a", "GET b", "EXEC"].map(words));
        let values = replies[3].elements();
        assert_eq!((values.len(), &values[0]), (2, &values[1]), "{replies:?}");
    }
}

#[test]
fn a_full_resync_is_never_seen_from_inside() {
    let Some(primary) = Server::start("redis-7.0", &["--rdb-key-save-delay", "100"]) else {
        return;
    };
    primary.client().pipeline(
        &(0..5000)
            .map(|i| words(&format!("SET key:{i} {i}")))
            .collect::<Vec<_>>(),
    );
    let redtail = Server::redtail(&primary);
    let mut client = redtail.client();
    for syncs in 2..4 {
        // A new replication id makes a resume impossible.
        primary.command("DEBUG CHANGE-REPL-ID");
        primary.command("CLIENT KILL TYPE replica");
        let full = |server: &Server| {
            server
                .client()
                .info("stats", "sync_full")
                .and_then(|n| n.parse::<i64>().ok())
        };
        let deadline = Instant::now() + PATIENCE;
        let mut rounds = 0;
        while full(&primary) != Some(syncs) || rounds < 200 {
            assert_eq!(client.command("DBSIZE").integer(), Some(5000));
            assert_eq!(client.command("GET key:4999").text(), "4999");
            assert!(
                Instant::now() < deadline,
                "no second full sync: {}",
                redtail.log()
            );
            rounds += 1;
        }
        redtail.wait_in_sync(&primary);
    }
}

#[test]
fn an_expired_key_is_hidden_before_the_primary_deletes_it() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    primary.command("DEBUG SET-ACTIVE-EXPIRE 0");
    primary.command("MSET stays 1 other 2");
    let redtail = Server::redtail(&primary);
    primary.command("SET goes 1 PX 100");
    primary.command("RPUSH list a b");
    primary.command("PEXPIRE list 100");
    redtail.wait_in_sync(&primary);
    redtail.wait_for("the expiry", |client| {
        client.command("EXISTS goes list").integer() == Some(0)
    });
    for (line, reply) in [
        ("GET goes", "$-1\r\n"),
        ("TTL goes", ":-2\r\n"),
        ("TYPE list", "+none\r\n"),
        ("LRANGE list 0 -1", "*0\r\n"),
        ("MGET goes stays", "*2\r\n$-1\r\n$1\r\n1\r\n"),
    ] {
        assert_eq!(redtail.command(line).0, reply.as_bytes(), "{line}");
    }
    assert_eq!(redtail.command("KEYS *").elements().len(), 2);
    assert_eq!(
        primary.command("DBSIZE").integer(),
        Some(4),
        "the primary has deleted nothing yet"
    );
    // A write to an expired key creates a new one, on both.
    primary.command("APPEND goes 2");
    primary.command("LPUSHX list c");
    redtail.wait_in_sync(&primary);
    assert_eq!(redtail.command("GET goes").text(), "2");
    assert_eq!(redtail.command("EXISTS list").integer(), Some(0));
}

//! REDTAIL.WAITOFFSET and REDTAIL.READAFTER: a client reads its own writes, or learns that it cannot.

use std::thread::{scope, sleep};
use std::time::Duration;

use redtail::status::Point;
use redtail::{Config, Replica, WaitError};

use crate::client::{Client, encode, words};
use crate::faults::cut::End;
use crate::faults::proxy::{Pace, Plan, Proxy};
use crate::servers::{PATIENCE, Server};

/// Writers at the same time.
const WRITERS: usize = 8;

/// Writes of each.
const WRITES: usize = 1250;

/// The primary's point after everything that it has written so far.
fn point(primary: &mut Client) -> (String, i64) {
    let replid = primary.info("replication", "master_replid").unwrap();
    (replid, primary.offset("master_repl_offset").unwrap())
}

/// A primary, and a redtail that gets everything late, each piece at another time.
fn delayed(primary: &Server) -> (Proxy, Server) {
    let proxy = Proxy::start(primary.port);
    let redtail = Server::redtail_of(&format!("redis://127.0.0.1:{}", proxy.port), &[]);
    // Before that, the primary may still choose another id.
    redtail.wait_for("its first sync", |client| {
        client.command("DBSIZE").is_integer()
    });
    (proxy, redtail)
}

/// Delays the link by a random time for as long as `work` lasts.
fn while_delayed(proxy: &Proxy, work: impl FnOnce()) {
    let done = std::sync::atomic::AtomicBool::new(false);
    scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                proxy.plan(Plan {
                    pace: Pace {
                        piece: fastrand::usize(1..400),
                        pause: Duration::from_micros(fastrand::u64(..3000)),
                    },
                    cut: None,
                });
                sleep(Duration::from_millis(2));
            }
        });
        work();
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn what_a_client_has_written_it_reads_after_the_offset() {
    let Some(primary) = Server::start("valkey-9.1", &[]) else {
        return;
    };
    let (proxy, redtail) = delayed(&primary);
    let write_and_read = |writer: usize| {
        let (mut writes, mut reads) = (primary.client(), redtail.client());
        let key = format!("k{writer}");
        for number in 0..WRITES {
            writes.command(&format!("SET {key} {number}"));
            let (replid, offset) = point(&mut writes);
            // In one of two ways: by itself, and as a part of the connection's state.
            if number % 2 == 0 {
                let reply = reads.command(&format!("REDTAIL.WAITOFFSET {replid} {offset} 30000"));
                assert!(reply.integer().unwrap() >= offset, "{reply:?}");
            } else {
                let reply = reads.command(&format!("REDTAIL.READAFTER {replid} {offset} 30000"));
                assert_eq!(reply.0, b"+OK\r\n");
            }
            let read = reads.command(&format!("GET {key}"));
            assert_eq!(read.text(), number.to_string(), "an old value");
        }
    };
    while_delayed(&proxy, || {
        scope(|scope| {
            for writer in 0..WRITERS {
                scope.spawn(move || write_and_read(writer));
            }
        });
    });
}

#[test]
fn requests_after_the_wait_are_answered_after_it_and_in_order() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    let (proxy, redtail) = delayed(&primary);
    proxy.hold(true);
    let mut writes = primary.client();
    writes.command("SET k new");
    let (replid, offset) = point(&mut writes);
    let mut reads = redtail.client();
    let wait = format!("REDTAIL.WAITOFFSET {replid} {offset} 0");
    let requests = [&*wait, "GET k", "PING"]
        .map(|line| encode(&words(line)))
        .concat();
    reads.send(&requests).unwrap();
    redtail.wait_for("a blocked client", |client| {
        client.info("clients", "blocked_clients").as_deref() == Some("1")
    });
    proxy.hold(false);
    assert!(reads.read().unwrap().integer().unwrap() >= offset);
    assert_eq!(reads.read().unwrap().text(), "new");
    assert_eq!(reads.read().unwrap().text(), "PONG");
}

#[test]
fn time_runs_out_and_other_clients_end_the_waiting() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    let (proxy, redtail) = delayed(&primary);
    proxy.hold(true);
    let mut writes = primary.client();
    writes.command("SET k new");
    let (replid, offset) = point(&mut writes);
    let mut reads = redtail.client();
    let behind = |reply: &crate::client::Reply| {
        let text = reply.text();
        assert!(
            text.starts_with("BEHIND redtail has applied offset "),
            "{text}"
        );
        assert!(
            text.ends_with(&format!("not yet offset {offset}")),
            "{text}"
        );
    };
    behind(&reads.command(&format!("REDTAIL.WAITOFFSET {replid} {offset} 20")));
    // In a transaction nothing waits.
    reads.command("MULTI");
    reads.command(&format!("REDTAIL.WAITOFFSET {replid} {offset} 0"));
    behind(&reads.command("EXEC").elements()[0]);
    for (how, is_unblocked) in [("TIMEOUT", false), ("ERROR", true)] {
        let id = reads.command("CLIENT ID").text();
        let wait = format!("REDTAIL.WAITOFFSET {replid} {offset} 0");
        reads.send(&encode(&words(&wait))).unwrap();
        redtail.wait_for("the end of the wait", |client| {
            client.command(&format!("CLIENT UNBLOCK {id} {how}")).0 == b":1\r\n"
        });
        let reply = reads.read().unwrap();
        match is_unblocked {
            true => assert!(reply.text().starts_with("UNBLOCKED"), "{reply:?}"),
            false => behind(&reply),
        }
    }
    // Every read, script and transaction of the connection.
    let after = format!("REDTAIL.READAFTER {replid} {offset} 20");
    assert_eq!(reads.command(&after).text(), "OK");
    for line in ["GET k", "DBSIZE", "EVAL return{1} 0", "WATCH k"] {
        behind(&reads.command(line));
    }
    assert_eq!(reads.command("PING").text(), "PONG");
    reads.command("MULTI");
    reads.command("GET k");
    let aborted = reads.command("EXEC").text();
    assert!(aborted.starts_with("EXECABORT"), "{aborted}");
    assert!(
        reads
            .command("EXEC")
            .text()
            .starts_with("ERR EXEC without MULTI")
    );
    assert_eq!(reads.command("REDTAIL.READAFTER OFF").text(), "OK");
    assert_eq!(reads.command("GET k").0, b"$-1\r\n");
    proxy.hold(false);
    reads.command(&format!("REDTAIL.READAFTER {replid} {offset} 0"));
    assert_eq!(reads.command("GET k").text(), "new");
}

#[test]
fn wrong_words_and_unknown_histories_are_errors_at_once() {
    let Some(primary) = Server::start("redis-8.0", &[]) else {
        return;
    };
    let redtail = Server::redtail(&primary);
    let id = "a".repeat(40);
    let mut client = redtail.client();
    for (line, error) in [
        (
            format!("REDTAIL.WAITOFFSET {id} 1 0"),
            "NOHISTORY the replication id",
        ),
        (
            "REDTAIL.WAITOFFSET abc 1 0".to_owned(),
            "ERR a replication id is 40",
        ),
        (
            format!("REDTAIL.WAITOFFSET {id} x 0"),
            "ERR value is not an integer",
        ),
        (
            format!("REDTAIL.WAITOFFSET {id} -1 0"),
            "ERR the offset is negative",
        ),
        (
            format!("REDTAIL.WAITOFFSET {id} 1 -1"),
            "ERR timeout is negative",
        ),
        (
            format!("REDTAIL.WAITOFFSET {id} 1 x"),
            "ERR timeout is not an integer",
        ),
        (
            format!("REDTAIL.WAITOFFSET {id} 1"),
            "ERR wrong number of arguments",
        ),
        ("REDTAIL.READAFTER on".to_owned(), "ERR syntax error"),
        (
            "EVAL return(redis.call('redtail.waitoffset')) 0".to_owned(),
            "ERR",
        ),
    ] {
        let reply = client.command(&line);
        assert!(
            reply.is_error() && reply.text().starts_with(error),
            "{line}: {reply:?}"
        );
    }
    client.command(&format!("REDTAIL.READAFTER {id} 1 0"));
    assert!(client.command("GET k").text().starts_with("NOHISTORY"));
}

#[test]
fn a_failover_keeps_the_points_that_both_histories_share_and_refuses_the_rest() {
    for name in ["redis-6.0", "redis-8.0", "valkey-9.1"] {
        let Some(mut first) = Server::start(name, &[]) else {
            return;
        };
        first.command("SET k 1");
        let heir = Server::replica(name, &first).unwrap();
        let proxy = Proxy::start(first.port);
        let both = format!("127.0.0.1:{},127.0.0.1:{}", proxy.port, heir.port);
        let redtail = Server::redtail_of(&both, &[]);
        redtail.wait_in_sync(&first);
        first.command("SET k 2");
        let (replid, shared) = point(&mut first.client());
        redtail.wait_in_sync(&first);
        heir.wait_in_sync(&first);
        // The next write reaches neither, and the primary dies.
        proxy.hold(true);
        heir.command("REPLICAOF NO ONE");
        first.command("SET k lost");
        let (_, lost) = point(&mut first.client());
        let mut waits = redtail.client();
        waits
            .send(&encode(&words(&format!(
                "REDTAIL.WAITOFFSET {replid} {lost} 0"
            ))))
            .unwrap();
        redtail.wait_for("a blocked client", |client| {
            client.info("clients", "blocked_clients").as_deref() == Some("1")
        });
        first.stop();
        proxy.close(true);
        proxy.cut_now(End::Fin);
        let refused = waits.read().unwrap().text();
        assert!(
            refused.starts_with("NOHISTORY the history"),
            "{name}: {refused}"
        );
        let mut reads = redtail.client();
        let mut ask = |replid: &str, offset| {
            reads.command(&format!("REDTAIL.WAITOFFSET {replid} {offset} 30000"))
        };
        assert!(ask(&replid, shared).integer().unwrap() >= shared, "{name}");
        assert!(ask(&replid, lost).text().starts_with("NOHISTORY"), "{name}");
        heir.command("SET k 3");
        let (new, offset) = point(&mut heir.client());
        assert_ne!(new, replid);
        assert!(ask(&new, offset).integer().unwrap() >= offset, "{name}");
        assert_eq!(reads.command("GET k").text(), "3", "{name}");
    }
}

#[test]
fn a_full_sync_of_another_history_ends_the_waiting() {
    let Some(mut primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    let (proxy, redtail) = delayed(&primary);
    let (replid, offset) = point(&mut primary.client());
    let mut waits = redtail.client();
    let wait = format!("REDTAIL.WAITOFFSET {replid} {} 0", offset + 1_000_000);
    waits.send(&encode(&words(&wait))).unwrap();
    redtail.wait_for("a blocked client", |client| {
        client.info("clients", "blocked_clients").as_deref() == Some("1")
    });
    let other = Server::start("redis-7.0", &[]).unwrap();
    other.command("SET k other");
    proxy.aim(other.port);
    primary.stop();
    proxy.cut_now(End::Fin);
    let reply = waits.read().unwrap().text();
    assert!(reply.starts_with("NOHISTORY the replication id"), "{reply}");
    assert_eq!(waits.command("GET k").text(), "other");
}

#[test]
fn the_library_waits_too() {
    let Some(primary) = Server::start("valkey-8.1", &[]) else {
        return;
    };
    let proxy = Proxy::start(primary.port);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let replica = {
        let _inside = runtime.enter();
        Replica::start(Config::new(&format!("redis://127.0.0.1:{}", proxy.port)).unwrap()).unwrap()
    };
    runtime.block_on(replica.ready()).unwrap();
    let at = |client: &mut Client| {
        let (replid, offset) = point(client);
        Point {
            replid: replid.parse().unwrap(),
            offset: u64::try_from(offset).unwrap(),
        }
    };
    let wait = |point, patience| runtime.block_on(replica.wait_for(point, patience));
    let mut writes = primary.client();
    while_delayed(&proxy, || {
        for number in 0..300 {
            writes.command(&format!("SET k {number}"));
            let point = at(&mut writes);
            assert!(wait(point, PATIENCE).unwrap() >= point.offset);
            let read = replica.get("k").unwrap().unwrap();
            assert_eq!(read, number.to_string().as_bytes());
        }
    });
    proxy.hold(true);
    writes.command("SET k late");
    let point = at(&mut writes);
    let behind = wait(point, Duration::from_millis(20)).unwrap_err();
    assert!(matches!(behind, WaitError::Behind { offset, .. } if offset == point.offset));
    let replid = "b".repeat(40).parse().unwrap();
    let unknown = Point { replid, ..point };
    assert_eq!(wait(unknown, PATIENCE), Err(WaitError::Unknown));
    let ended = runtime.block_on(async {
        let (waited, ()) = tokio::join!(replica.wait_for(point, PATIENCE), replica.stop());
        waited
    });
    assert_eq!(ended, Err(WaitError::Stopped));
    proxy.hold(false);
}

//! What each acknowledgement policy does to the primary: to WAIT, min-replicas, FAILOVER, SHUTDOWN, and to its INFO.

use std::time::{Duration, Instant};

use redtail::internal::upstream::AckPolicy;

use super::node::{Node, config, wait};
use super::word;
use crate::servers::{ALL, Server};

/// A primary with one key, and redtail as its only replica.
fn follow(name: &str, acks: AckPolicy, announces: bool) -> Option<(Server, Node)> {
    let server = Server::start(name, &[])?;
    server.command("SET k 1");
    let mut config = config(server.port);
    config.upstream.acks = acks;
    let node = if announces {
        Node::announced(config)
    } else {
        Node::with(config)
    };
    wait("the state of a replica that is online", || {
        word(&server, "replication", "slave0").contains("state=online")
    });
    Some((server, node))
}

/// A field that the primary's INFO reports for its replica, such as `offset` or `lag`.
fn of_replica(server: &Server, field: &str) -> i64 {
    let line = word(server, "replication", "slave0");
    let value = line
        .split(',')
        .find_map(|part| part.strip_prefix(field)?.strip_prefix('='));
    value
        .and_then(|value| value.parse().ok())
        .expect("a number")
}

#[test]
fn wait_counts_those_who_are_honest_and_no_observer() {
    for name in ALL {
        for (acks, counted) in [
            (AckPolicy::Auto, 0),
            (AckPolicy::Observer, 0),
            (AckPolicy::Honest, 1),
        ] {
            let Some((server, _node)) = follow(name, acks, false) else {
                return;
            };
            let mut client = server.client();
            client.command("SET k 2");
            let patience = if counted == 0 { 300 } else { 20_000 };
            let reply = client.command(&format!("WAIT 1 {patience}"));
            assert_eq!(reply.integer(), Some(counted), "{name}, {acks:?}");
        }
    }
}

/// A good replica is one that sent any sign of life, whatever it acknowledged. So min-replicas counts observers.
#[test]
fn min_replicas_counts_observers_too() {
    for name in ALL {
        for acks in [AckPolicy::Observer, AckPolicy::Honest] {
            let Some((server, node)) = follow(name, acks, false) else {
                return;
            };
            server.command("CONFIG SET min-replicas-to-write 1");
            server.wait_for("a good replica", |client| {
                client.command("SET k 2").text() == "OK"
            });
            drop(node);
            server.wait_for("no good replica", |client| {
                client.command("SET k 3").0.starts_with(b"-NOREPLICAS")
            });
        }
    }
}

#[test]
fn the_primary_shows_no_offset_of_an_observer_and_the_true_one_of_others() {
    for name in ALL {
        for acks in [AckPolicy::Observer, AckPolicy::Honest] {
            let Some((server, node)) = follow(name, acks, false) else {
                return;
            };
            server
                .client()
                .pipeline(&vec![crate::client::words("INCR n"); 100]);
            let offset = server.client().offset("master_repl_offset").unwrap();
            wait("the stream", || {
                node.client().offset("slave_repl_offset") >= Some(offset)
            });
            if acks == AckPolicy::Honest {
                wait("the offset", || of_replica(&server, "offset") >= offset);
            } else {
                assert!(of_replica(&server, "offset") <= 1, "{name}");
            }
            assert!(of_replica(&server, "lag") <= 2, "{name}");
        }
    }
}

/// Since 7.0 a shutting-down primary waits up to `shutdown-timeout` for replicas that lag behind. An observer always seems to.
#[test]
fn a_shutdown_waits_for_observers_as_long_as_it_is_set_to_and_not_for_others() {
    for name in &ALL[1..] {
        for (acks, waits) in [(AckPolicy::Observer, true), (AckPolicy::Honest, false)] {
            let Some((mut server, _node)) = follow(name, acks, false) else {
                return;
            };
            server.command("SET k 2");
            server.command(&format!(
                "CONFIG SET shutdown-timeout {}",
                SHUTDOWN_TIMEOUT.as_secs()
            ));
            let started = Instant::now();
            _ = server.client().try_command(&[b"SHUTDOWN", b"NOSAVE"]);
            assert_eq!(server.exit_code(), Some(0), "{name}");
            let took = started.elapsed();
            assert_eq!(
                took >= SHUTDOWN_TIMEOUT,
                waits,
                "{name}, {acks:?}: {took:?}"
            );
        }
    }
}

#[test]
fn a_shutdown_that_is_told_not_to_wait_does_not_wait_for_observers() {
    for name in &ALL[1..] {
        let Some((mut server, _node)) = follow(name, AckPolicy::Observer, false) else {
            return;
        };
        server.command("SET k 2");
        server.command("CONFIG SET shutdown-timeout 600");
        _ = server
            .client()
            .try_command(&[b"SHUTDOWN", b"NOSAVE", b"NOW"]);
        assert_eq!(server.exit_code(), Some(0), "{name}");
    }
}

/// Long enough to distinguish waiting from a slow machine.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// FAILOVER may pick an honest replica. If the primary can reach it, it refuses, and the primary is writable again at once.
#[test]
fn a_failover_that_picks_redtail_is_refused_and_undone() {
    for name in &ALL[1..] {
        let Some((server, _node)) = follow(name, AckPolicy::Honest, true) else {
            return;
        };
        assert_eq!(
            server.command("FAILOVER TIMEOUT 20000").text(),
            "OK",
            "{name}"
        );
        server.wait_for_log("ailover target rejected psync request");
        server.wait_for("writes", |client| client.command("SET k 2").text() == "OK");
        assert_eq!(word(&server, "replication", "role"), "master", "{name}");
        assert_eq!(
            word(&server, "replication", "master_failover_state"),
            "no-failover",
            "{name}"
        );
    }
}

/// Beside a real replica, FAILOVER may pick either. Then the real replica takes over, or nothing changes. In both cases one
/// server accepts writes.
#[test]
fn a_failover_beside_an_honest_redtail_ends_with_a_primary_that_takes_writes() {
    for name in &ALL[1..] {
        let Some((server, _node)) = follow(name, AckPolicy::Honest, true) else {
            return;
        };
        let replica = Server::replica(name, &server).expect("the server was there a moment ago");
        assert_eq!(
            server.command("FAILOVER TIMEOUT 20000").text(),
            "OK",
            "{name}"
        );
        server.wait_for("its end", |client| {
            client
                .info("replication", "master_failover_state")
                .as_deref()
                == Some("no-failover")
        });
        let is_replaced = word(&server, "replication", "role") == "slave";
        assert_eq!(
            word(&replica, "replication", "role") == "master",
            is_replaced,
            "{name}"
        );
        let primary = if is_replaced { &replica } else { &server };
        assert_eq!(primary.command("SET k 2").text(), "OK", "{name}");
    }
}

/// FAILOVER does not pick an observer. It waits for another replica until its timeout, and then the primary is writable again.
#[test]
fn a_failover_with_nobody_but_an_observer_ends_where_it_began() {
    for name in &ALL[1..] {
        let Some((server, node)) = follow(name, AckPolicy::Auto, false) else {
            return;
        };
        server.command("SET k 1");
        wait("the write", || {
            node.client().offset("slave_repl_offset") > Some(0)
        });
        assert_eq!(
            server.command("FAILOVER TIMEOUT 500").text(),
            "OK",
            "{name}"
        );
        server.wait_for("its end", |client| {
            client
                .info("replication", "master_failover_state")
                .as_deref()
                == Some("no-failover")
        });
        assert_eq!(word(&server, "replication", "role"), "master", "{name}");
        assert_eq!(server.command("SET k 2").text(), "OK", "{name}");
    }
}

/// FAILOVER may pick an honest replica that announces no port, and the primary cannot connect to it. The primary then accepts no
/// writes until FAILOVER ABORT, and afterwards continues with redtail as before.
#[test]
fn a_failover_to_redtail_without_a_port_needs_an_abort() {
    for name in &ALL[1..] {
        let Some((server, node)) = follow(name, AckPolicy::Honest, false) else {
            return;
        };
        assert_eq!(server.command("FAILOVER").text(), "OK", "{name}");
        server.wait_for("its demotion", |client| {
            client.info("replication", "role").as_deref() == Some("slave")
        });
        assert_eq!(server.command("FAILOVER ABORT").text(), "OK", "{name}");
        server.wait_for("writes", |client| client.command("SET k 3").text() == "OK");
        wait("the write", || node.client().command("GET k").text() == "3");
    }
}

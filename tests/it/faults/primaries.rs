//! What happens to primaries: they end and restart, are replaced, change or forget their history, and are flushed.

use redtail::internal::upstream::AckPolicy;

use super::cut::End;
use super::node::wait;
use super::stage::{Stage, fail_over, pair, primary, replica};
use super::word;
use crate::servers::{ALL, Server};

/// Restarts a server with the data that `old` has saved.
fn again(name: &str, old: &Server) -> Server {
    let dump = old.directory().join("dump.rdb");
    let config: &[&str] = if name == "redis-6.0" {
        &["--lua-replicate-commands", "yes"]
    } else {
        &[]
    };
    Server::start_on(name, None, Some(&dump), config).expect("the server was there a moment ago")
}

/// Saves as soon as no snapshot for a replica is in progress.
fn save(server: &Server) {
    server.wait_for("a dump", |client| client.command("SAVE").text() == "OK");
}

/// Points the writers and redtail to a server that has replaced another.
fn lead_to(stage: &Stage, server: &Server) {
    stage.load.aim(server.port);
    stage.proxy.aim(server.port);
    stage.proxy.cut_now(End::Fin);
}

/// Returns the full and partial syncs caused by a restart, after which the data must be unchanged.
fn syncs_of_restart(name: &str, end: impl Fn(&mut Server)) -> Option<(i64, i64)> {
    let mut old = primary(name, &[])?;
    let stage = Stage::start(&old, old.port);
    stage.prove(&format!("{name} at first"), &old);
    let before = stage.syncs();
    let frozen = stage.load.freeze();
    end(&mut old);
    let new = again(name, &old);
    lead_to(&stage, &new);
    drop(frozen);
    stage.prove(&format!("{name} after its restart"), &new);
    let after = stage.syncs();
    stage.end();
    Some((after.0 - before.0, after.1 - before.1))
}

/// Since 7.0 a primary stores its replication id and offset in the dump.
fn expected(name: &str) -> (i64, i64) {
    if name == "redis-6.0" { (1, 0) } else { (0, 1) }
}

#[test]
fn a_primary_that_ends_in_order_and_starts_again_is_resumed_if_it_remembers() {
    for name in ALL {
        let syncs = syncs_of_restart(name, |server| {
            _ = server.client().try_command(&[b"SHUTDOWN", b"SAVE"]);
            assert_eq!(server.exit_code(), Some(0), "{name}");
        });
        assert!(
            syncs.is_none_or(|syncs| syncs == expected(name)),
            "{name}: {syncs:?}"
        );
    }
}

#[test]
fn a_primary_that_is_killed_and_starts_again_is_resumed_if_it_remembers() {
    for name in ALL {
        let syncs = syncs_of_restart(name, |server| {
            save(server);
            server.stop();
        });
        assert!(
            syncs.is_none_or(|syncs| syncs == expected(name)),
            "{name}: {syncs:?}"
        );
    }
}

/// Writes after the dump are lost. The follower has seen them, and must return to the data of its primary.
#[test]
fn a_primary_that_comes_back_with_older_data_is_believed() {
    for name in ["redis-6.0", "valkey-9.1"] {
        let Some(mut old) = primary(name, &[]) else {
            return;
        };
        let mut stage = Stage::start(&old, old.port);
        save(&old);
        let written = stage.load.written();
        wait("writes that will be lost", || {
            stage.load.written() > written + 1000
        });
        stage.prove(name, &old);
        stage.stop_reading();
        old.stop();
        let new = again(name, &old);
        let frozen = stage.load.freeze();
        lead_to(&stage, &new);
        stage.prove_still(&format!("{name} with older data"), &new);
        drop(frozen);
        stage.read_on();
        stage.prove(&format!("{name} later"), &new);
        stage.end();
    }
}

/// Waits until redtail has the replication id of `server`.
fn wait_for_id(stage: &Stage, server: &Server) {
    let (id, mut here) = (
        word(server, "replication", "master_replid"),
        stage.node.client(),
    );
    wait("the new id", || {
        here.info("replication", "master_replid").as_ref() == Some(&id)
    });
}

/// redtail follows a replica that is promoted, or a replica of that replica.
fn promote(name: &str, is_chained: bool) {
    let Some([old, new]) = pair(name) else {
        return;
    };
    let last = is_chained.then(|| replica(name, &new));
    let stage = Stage::start(&old, last.as_ref().unwrap_or(&new).port);
    let what = format!("{name}, chained: {is_chained}");
    let frozen = stage.load.freeze();
    stage.prove_still(&what, &old);
    let before = stage.syncs().0;
    fail_over(&old, &new);
    stage.load.aim(new.port);
    drop(frozen);
    stage.prove(&format!("{what}, after its failover"), &new);
    wait_for_id(&stage, &new);
    assert_eq!(stage.syncs().0, before, "{what}");
    stage.end();
}

#[test]
fn a_replica_that_is_promoted_goes_on_under_a_new_id_without_a_full_sync() {
    for name in ALL {
        promote(name, false);
    }
}

#[test]
fn a_chain_whose_middle_is_promoted_goes_on_under_a_new_id_without_a_full_sync() {
    for name in ["redis-6.0", "valkey-9.1"] {
        promote(name, true);
    }
}

/// FAILOVER without a target picks a replica that has acknowledged everything, which an observer never has.
#[test]
fn a_failover_command_does_not_pick_an_observer() {
    for name in &ALL[1..] {
        let Some([old, new]) = pair(name) else {
            return;
        };
        let stage = Stage::start(&old, old.port);
        let before = stage.syncs().0;
        assert_eq!(old.command("FAILOVER TIMEOUT 20000").text(), "OK", "{name}");
        new.wait_for("its promotion", |client| {
            client.info("replication", "role").as_deref() == Some("master")
        });
        stage.load.aim(new.port);
        wait("the end of the failover", || {
            word(&old, "replication", "master_failover_state") == "no-failover"
        });
        // The old primary is a replica now. redtail keeps following it under the new id.
        stage.prove(&format!("{name} after FAILOVER"), &new);
        assert_eq!(stage.syncs().0, before, "{name}");
        stage.end();
    }
}

/// A primary without replicas frees its backlog after a while, and forgets its history with it.
#[test]
fn a_history_that_was_forgotten_is_followed_anew() {
    for name in ["redis-6.0", "redis-8.0"] {
        let Some(primary) = primary(name, &["--repl-backlog-ttl", "1"]) else {
            return;
        };
        let stage = Stage::start(&primary, primary.port);
        stage.proxy.close(true);
        stage.proxy.cut_now(End::Fin);
        wait("the backlog to go", || {
            word(&primary, "replication", "repl_backlog_active") == "0"
        });
        stage.proxy.close(false);
        stage.prove(name, &primary);
        assert_eq!(stage.syncs().0, 2, "{name}");
        stage.end();
    }
}

#[test]
fn a_backlog_that_is_too_small_costs_a_full_sync_and_readers_nothing() {
    let Some(primary) = primary("redis-7.0", &["--repl-backlog-size", "16kb"]) else {
        return;
    };
    let stage = Stage::start(&primary, primary.port);
    let before = stage.figure("redtail_partial_syncs_refused");
    stage.proxy.close(true);
    stage.proxy.cut_now(End::Rst);
    let written = stage.load.written();
    wait("more writes than the backlog holds", || {
        stage.load.written() > written + 2000
    });
    stage.proxy.close(false);
    stage.prove("the backlog was too small", &primary);
    assert_eq!(stage.figure("redtail_partial_syncs_refused"), before + 1);
    stage.end();
}

#[test]
fn a_primary_that_is_emptied_is_followed_connected_or_not() {
    for name in ["redis-6.0", "redis-8.0", "valkey-9.1"] {
        for is_connected in [true, false] {
            let Some(primary) = primary(name, &[]) else {
                return;
            };
            let mut stage = Stage::start(&primary, primary.port);
            stage.stop_reading();
            let frozen = stage.load.freeze();
            if !is_connected {
                stage.proxy.close(true);
                stage.proxy.cut_now(End::Fin);
            }
            primary.command("FLUSHALL");
            stage.proxy.close(false);
            stage.prove_still(
                &format!("{name} emptied, connected: {is_connected}"),
                &primary,
            );
            assert_eq!(
                stage.node.client().command("DBSIZE").integer(),
                Some(0),
                "{name}"
            );
            drop(frozen);
            stage.prove(&format!("{name} filled again"), &primary);
        }
    }
}

/// Keys expire while the link is down, or before the snapshot is sent, and the primary has not deleted them. redtail must hide
/// them and count them as the primary does.
#[test]
fn times_that_pass_while_the_link_is_down_pass_here_as_well() {
    for name in ALL {
        let Some(primary) = primary(name, &[]) else {
            return;
        };
        let stage = Stage::start(&primary, primary.port);
        let _frozen = stage.load.freeze();
        primary.command("DEBUG SET-ACTIVE-EXPIRE 0");
        let mut admin = primary.client();
        for line in [
            "SELECT 3",
            "SET stays x",
            "SET goes x PX 60",
            "SET later x EX 10000",
            "RPUSH list a",
            "PEXPIRE list 60",
            "SET far x",
            "PEXPIREAT far 99999999999999",
        ] {
            assert!(!admin.command(line).is_error(), "{name}: {line}");
        }
        for is_full in [false, true] {
            stage.proxy.close(true);
            stage.proxy.cut_now(End::Rst);
            wait("the key to expire", || {
                admin.command("PTTL goes").integer() == Some(-2)
            });
            if is_full {
                admin.command("DEBUG CHANGE-REPL-ID");
            }
            stage.proxy.close(false);
            stage.prove_still(&format!("{name}, full: {is_full}"), &primary);
            let mut here = stage.node.client();
            here.command("SELECT 3");
            for line in [
                "GET goes",
                "EXISTS goes list",
                "TYPE list",
                "GET stays",
                "PEXPIRETIME far",
                "MGET goes later far",
            ] {
                assert_eq!(
                    here.command(line),
                    admin.command(line),
                    "{name}, full: {is_full}: {line}"
                );
            }
            // Expired and future times again, for the second round.
            for line in [
                "SET goes y PX 60",
                "RPUSH list b",
                "PEXPIRE list 60",
                "SET stays y",
            ] {
                admin.command(line);
            }
        }
    }
}

/// A primary is demoted by hand and follows its own replica. redtail is then the end of a chain, which continues under the new
/// id.
#[test]
fn a_primary_that_becomes_a_replica_is_followed_on() {
    for name in ["redis-6.0", "valkey-8.1"] {
        let Some([old, new]) = pair(name) else {
            return;
        };
        let stage = Stage::with(&old, old.port, AckPolicy::Honest, |_| {});
        for (from, to) in [(&old, &new), (&new, &old)] {
            let frozen = stage.load.freeze();
            fail_over(from, to);
            stage.load.aim(to.port);
            drop(frozen);
            stage.prove(name, to);
            // A replica hears of one change of the id, but not of two in a row.
            wait_for_id(&stage, to);
        }
        assert_eq!(stage.syncs().0, 1, "{name}: {}", old.log());
        stage.end();
    }
}

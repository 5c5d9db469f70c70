//! Everything that is done to a cluster, while both faces of redtail are read.

use super::acts::{self, Act};
use super::nodes::{CALM, SWIFT, Setup};
use super::stage::{BOTH, Stage, servers};

/// Does these things, one after the other, to each of the servers.
fn follow(setup: Setup, acts: &[(&str, Act)]) {
    for name in servers() {
        follow_one(name, setup, acts);
    }
}

fn follow_one(name: &'static str, setup: Setup, acts: &[(&str, Act)]) {
    let Some(mut stage) = Stage::with(name, &BOTH, setup) else {
        return;
    };
    for (what, act) in acts {
        stage.during(&format!("{what} ({name})"), act);
    }
    stage.end();
}

#[test]
fn writes_to_all_shards() {
    follow(CALM, &[("a restart", Stage::restart_followers)]);
}

#[test]
fn slots_that_move_key_by_key() {
    let restarted = acts::key_by_key_restarted;
    follow(
        CALM,
        &[
            ("key by key", acts::key_by_key),
            ("key by key, restarted half way", restarted),
            ("one slot back and forth", acts::back_and_forth),
        ],
    );
}

#[test]
fn slots_that_the_servers_own_tool_moves() {
    follow(CALM, &[("there", acts::tool), ("and back", acts::tool)]);
}

#[test]
fn slots_that_move_at_once() {
    follow_one("valkey-9.1.2", CALM, &[("at once", acts::at_once)]);
}

#[test]
fn slots_that_tasks_move() {
    if !crate::servers::is_there("redis-8.6") {
        return;
    }
    let acts: [(&str, Act); 4] = [
        ("by task", acts::by_task),
        ("by task, restarted half way", acts::by_task_restarted),
        ("a canceled task", acts::task_canceled),
        ("a forced failover", acts::forced),
    ];
    follow_one("redis-8.6", SWIFT, &acts);
}

#[test]
fn slots_that_were_to_move_at_once_and_do_not() {
    follow_one(
        "valkey-9.1.2",
        SWIFT,
        &[
            ("a cancelled move", acts::cancelled),
            ("a move whose source is killed", acts::source_killed),
            ("a move whose target is killed", acts::target_killed),
        ],
    );
}

#[test]
fn a_restart_while_slots_move_at_once() {
    let restarted = acts::at_once_restarted;
    follow_one("valkey-9.1.2", CALM, &[("a restart", restarted)]);
}

#[test]
fn failovers_of_each_kind() {
    follow(
        CALM,
        &[
            ("an agreed failover", acts::agreed),
            ("a forced failover", acts::forced),
            ("a takeover", acts::takeover),
        ],
    );
}

#[test]
fn killed_primaries() {
    let restarted = acts::killed_and_restarted;
    follow(
        SWIFT,
        &[
            ("a kill", acts::killed),
            ("a kill and a restart", restarted),
        ],
    );
}

#[test]
fn a_primary_that_nobody_hears_for_a_while() {
    follow(SWIFT, &[("a partition", acts::partition)]);
}

#[test]
fn a_node_that_leaves_unseen() {
    let unseen = acts::shrunk_unseen;
    follow_one("redis-8.0", CALM, &[("a node removed unseen", unseen)]);
}

#[test]
fn nodes_that_come_and_go() {
    let grown = acts::grown_and_shrunk;
    follow(CALM, &[("a node added and removed", grown)]);
}

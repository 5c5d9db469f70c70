//! What is done to a cluster while it is written and read.

use std::thread::sleep;
use std::time::Duration;

use super::moves::{AtOnce, ByTask, KeyByKey, by_tool};
use super::nodes::Failover;
use super::stage::Stage;

/// Something that is done to a cluster. It leaves as many nodes as it found.
pub type Act = fn(&mut Stage);

/// Which servers can do something.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Servers {
    All,
    Valkey9,
    Redis84,
}

impl Servers {
    /// Whether the server `name` is one of them.
    pub fn include(self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Valkey9 => name.starts_with("valkey-9"),
            Self::Redis84 => name == "redis-8.6",
        }
    }
}

/// The names of all acts, and who can do them.
pub const ACTS: [(&str, Servers, Act); 18] = [
    ("key by key", Servers::All, key_by_key),
    (
        "key by key, restarted half way",
        Servers::All,
        key_by_key_restarted,
    ),
    ("one slot back and forth", Servers::All, back_and_forth),
    ("the server's own tool", Servers::All, tool),
    ("at once", Servers::Valkey9, at_once),
    ("at once, cancelled", Servers::Valkey9, cancelled),
    (
        "at once, restarted half way",
        Servers::Valkey9,
        at_once_restarted,
    ),
    (
        "at once, the source killed",
        Servers::Valkey9,
        source_killed,
    ),
    (
        "at once, the target killed",
        Servers::Valkey9,
        target_killed,
    ),
    ("an agreed failover", Servers::All, agreed),
    ("a forced failover", Servers::All, forced),
    ("a takeover", Servers::All, takeover),
    ("a killed primary", Servers::All, killed),
    ("a partition", Servers::All, partition),
    ("a node added and removed", Servers::All, grown_and_shrunk),
    ("by task", Servers::Redis84, by_task),
    ("by task, canceled", Servers::Redis84, task_canceled),
    (
        "by task, restarted half way",
        Servers::Redis84,
        by_task_restarted,
    ),
];

/// Moves slots of all shards, each half moved for a while.
pub fn key_by_key(stage: &mut Stage) {
    for slot in stage.some_slots(2) {
        let to = other(stage, slot);
        stage.look_at(slot);
        KeyByKey::whole(&stage.cluster, slot, to, || stage.look());
    }
}

pub fn key_by_key_restarted(stage: &mut Stage) {
    let slot = stage.some_slots(1)[0];
    let owner = stage.cluster.owner(slot);
    let to = other(stage, slot);
    stage.look_at(slot);
    KeyByKey::begin(&stage.cluster, slot, to).step(3);
    stage.restart_followers();
    stage.look();
    KeyByKey::resume(&stage.cluster, slot, owner, to).finish();
}

/// Moves a slot again and again, as fast as it goes.
pub fn back_and_forth(stage: &mut Stage) {
    let slot = stage.some_slots(1)[0];
    stage.look_at(slot);
    for _ in 0..10 {
        travel(stage, slot);
    }
}

/// Moves a slot to another primary and back.
fn travel(stage: &mut Stage, slot: u16) {
    let home = stage.cluster.owner(slot);
    hop(stage, slot);
    KeyByKey::whole(&stage.cluster, slot, home, || ());
}

/// Moves a slot to another primary.
pub fn hop(stage: &mut Stage, slot: u16) {
    let to = other(stage, slot);
    KeyByKey::whole(&stage.cluster, slot, to, || ());
}

pub fn tool(stage: &mut Stage) {
    let (from, to) = richest_and_poorest(stage);
    by_tool(&stage.cluster, from, to, 60);
}

pub fn at_once(stage: &mut Stage) {
    let (first, last, to) = some_range(stage);
    AtOnce::begin(&stage.cluster, first, last, to).wait_for("success");
}

pub fn cancelled(stage: &mut Stage) {
    let (first, last, to) = some_range(stage);
    let moving = AtOnce::begin_held(&stage.cluster, first, last, to);
    stage.go_on();
    moving.cancel();
    moving.wait_for("cancelled");
    moving.release();
}

pub fn at_once_restarted(stage: &mut Stage) {
    let (first, last, to) = some_range(stage);
    let from = stage.cluster.owner(first);
    AtOnce::begin_held(&stage.cluster, first, last, to);
    stage.restart_followers();
    let moving = AtOnce::resume(&stage.cluster, from, to);
    moving.release();
    moving.wait_for("success");
}

pub fn source_killed(stage: &mut Stage) {
    let (first, last, to) = some_range(stage);
    let from = stage.cluster.owner(first);
    AtOnce::begin_held(&stage.cluster, first, last, to);
    stage.kill_primary(from, |_| ());
}

pub fn target_killed(stage: &mut Stage) {
    let (first, last, to) = some_range(stage);
    let from = stage.cluster.owner(first);
    AtOnce::begin_held(&stage.cluster, first, last, to);
    stage.kill_primary(to, |_| ());
    let moving = AtOnce::resume(&stage.cluster, from, to);
    moving.wait_for("failed");
    moving.release();
}

pub fn by_task(stage: &mut Stage) {
    let (first, last, to) = some_range(stage);
    ByTask::begin(&stage.cluster, first, last, to).wait_for(&["completed"]);
}

pub fn task_canceled(stage: &mut Stage) {
    let (first, last, to) = some_range(stage);
    let moving = ByTask::begin(&stage.cluster, first, last, to);
    moving.cancel();
    // It may have been faster.
    moving.wait_for(&["canceled", "completed"]);
}

pub fn by_task_restarted(stage: &mut Stage) {
    stage.kill_followers();
    let (first, last, to) = some_range(stage);
    let moving = ByTask::begin(&stage.cluster, first, last, to);
    let id = moving.id().to_owned();
    stage.start_followers();
    ByTask::resume(&stage.cluster, to, id).wait_for(&["completed"]);
    stage.wait_for_followers();
}

pub fn agreed(stage: &mut Stage) {
    fail_over(stage, Failover::Agreed);
}

pub fn forced(stage: &mut Stage) {
    fail_over(stage, Failover::Forced);
}

pub fn takeover(stage: &mut Stage) {
    fail_over(stage, Failover::Takeover);
}

fn fail_over(stage: &mut Stage, how: Failover) {
    let place = stage.any_primary();
    stage.fail_over(place, how);
}

pub fn killed(stage: &mut Stage) {
    let place = stage.any_primary();
    stage.kill_primary(place, |_| ());
}

/// Restarts redtail while nobody has the slots of a shard.
pub fn killed_and_restarted(stage: &mut Stage) {
    let place = stage.any_primary();
    stage.kill_primary(place, Stage::restart_followers);
}

pub fn partition(stage: &mut Stage) {
    let place = stage.any_primary();
    stage.partition(place);
}

/// Adds a primary, moves slots to it by both ways, adds a replica of it, empties it, and removes both.
pub fn grown_and_shrunk(stage: &mut Stage) {
    let (from, _) = richest_and_poorest(stage);
    let added = stage.cluster.add();
    for slot in stage.some_slots(3) {
        KeyByKey::whole(&stage.cluster, slot, added, || ());
    }
    by_tool(&stage.cluster, from, added, 60);
    let replica = stage.cluster.add_replica(added);
    stage.go_on();
    let left = stage.cluster.slots(added).len();
    by_tool(&stage.cluster, added, from, left);
    stage.cluster.settle();
    stage.cluster.remove(replica);
    stage.cluster.remove(added);
}

/// Takes a node out of the cluster so that redtail never sees it without its slots: redtail does not look until it is gone, and then
/// hears last from the node that has the slots now. Not for Valkey, whose nodes move no slot while one of their replicas is silent.
pub fn shrunk_unseen(stage: &mut Stage) {
    let (to, _) = richest_and_poorest(stage);
    let added = stage.cluster.add();
    let slots = stage.some_slots(3);
    for slot in &slots {
        KeyByKey::whole(&stage.cluster, *slot, added, || ());
    }
    stage.go_on();
    stage.freeze_followers(true);
    for slot in &slots {
        KeyByKey::whole(&stage.cluster, *slot, to, || ());
    }
    stage.cluster.settle();
    stage.cluster.remove(added);
    stage.cluster.freeze(to, true);
    stage.freeze_followers(false);
    sleep(ALL_ARE_ASKED);
    stage.cluster.freeze(to, false);
}

/// Long enough for redtail to ask every node, and too short for the nodes to replace one.
const ALL_ARE_ASKED: Duration = Duration::from_secs(2);

/// A primary that does not have the slot.
fn other(stage: &Stage, slot: u16) -> usize {
    let owner = stage.cluster.owner(slot);
    let mut others = stage.cluster.primaries();
    others.retain(|place| *place != owner);
    others[usize::from(slot) % others.len()]
}

fn richest_and_poorest(stage: &Stage) -> (usize, usize) {
    let mut places = stage.cluster.primaries();
    places.sort_by_key(|place| stage.cluster.slots(*place).len());
    (places[places.len() - 1], places[0])
}

/// A part of the richest primary's slots, and the poorest primary.
fn some_range(stage: &Stage) -> (u16, u16, usize) {
    let (from, to) = richest_and_poorest(stage);
    let (first, last) = stage.cluster.longest(from);
    (last - (last - first) / 4, last, to)
}

//! The failures that tools for copying clusters are known for: they read the topology once, they end at a failover, and they lose
//! keys that are moved while they are written.

use super::acts;
use super::moves::{self, KeyByKey};
use super::nodes::{CALM, SWIFT, Setup};
use super::stage::{BOTH, Stage, servers};

/// Every node that redtail was told of goes, one after the other.
#[test]
fn the_topology_is_not_read_once() {
    for name in servers() {
        let Some(mut stage) = Stage::with(name, &BOTH, BARE) else {
            return;
        };
        for old in stage.cluster.primaries() {
            stage.during("a node replaced", |stage| replace(stage, old));
        }
        stage.end();
    }
}

/// Moves all slots of a primary to a new one, and removes it.
fn replace(stage: &mut Stage, old: usize) {
    let new = stage.cluster.add();
    let used: Vec<u16> = stage.some_slots(usize::MAX);
    let all = stage.cluster.slots(old).into_iter();
    let (full, empty): (Vec<u16>, Vec<u16>) = all.partition(|slot| used.contains(slot));
    moves::empty(&stage.cluster, &empty, old, new);
    for slot in full {
        KeyByKey::whole(&stage.cluster, slot, new, || ());
    }
    stage.cluster.settle();
    stage.go_on();
    stage.cluster.remove(old);
}

#[test]
fn a_failover_ends_nothing() {
    for name in servers() {
        let Some(mut stage) = Stage::with(name, &BOTH, SWIFT) else {
            return;
        };
        let syncs = stage.figures("redtail_full_syncs");
        for place in stage.cluster.primaries() {
            stage.during("a killed primary", |stage| {
                stage.kill_primary(place, |_| ());
            });
        }
        stage.during("a killed primary", acts::killed);
        assert_eq!(stage.figures("redtail_full_syncs"), syncs);
        stage.end();
    }
}

/// The old owner's DEL and the new owner's RESTORE are in two streams, and either may come first.
#[test]
fn no_key_is_lost_when_its_slot_moves_while_it_is_written() {
    for name in servers() {
        let Some(mut stage) = Stage::start(name, &BOTH) else {
            return;
        };
        stage.during("every slot moved", |stage| {
            for slot in stage.some_slots(usize::MAX) {
                stage.look_at(slot);
                let owner = stage.cluster.owner(slot);
                let places = stage.cluster.primaries();
                let to = places.iter().find(|place| **place != owner);
                let to = *to.expect("there are several");
                KeyByKey::whole(&stage.cluster, slot, to, || ());
            }
        });
        stage.end();
    }
}

const BARE: Setup = Setup {
    replicas: 0,
    ..CALM
};

//! Whether the readers are right: a cluster that is read as its clients read it shows no fault, and replicas that do not follow
//! slots as they move are caught.

use super::acts::ACTS;
use super::keys::GROUPS;
use super::links::{self, PROXIED};
use super::moves::KeyByKey;
use super::nodes::SWIFT;
use super::stage::{Face, Stage, servers};

/// While a partition ends, a primary answers that was replaced: no fault of the readers.
const NOT_OF_PRIMARIES: &str = "a partition";

#[test]
fn primaries_show_no_fault_whatever_is_done() {
    for name in servers() {
        let Some(mut stage) = Stage::with(name, &[Face::Primaries], SWIFT) else {
            return;
        };
        for (act, servers, run) in ACTS {
            if act != NOT_OF_PRIMARIES && servers.include(name) {
                stage.during(act, run);
            }
        }
        stage.end();
    }
}

#[test]
fn primaries_show_no_fault_whatever_becomes_of_their_links() {
    let Some(mut stage) = Stage::with("redis-8.0", &[Face::Primaries], PROXIED) else {
        return;
    };
    for (act, run) in links::ACTS {
        stage.during(act, run);
    }
    stage.end();
}

#[test]
fn replicas_that_lose_moved_keys_are_caught() {
    let Some(mut stage) = Stage::with("redis-8.0", &[Face::Replicas], SWIFT) else {
        return;
    };
    let disturbance = stage.disturb("slots that move key by key");
    let places = stage.cluster.primaries();
    for slot in stage.some_slots(GROUPS / 4) {
        let owner = stage.cluster.owner(slot);
        let to = places.iter().find(|place| **place != owner);
        let to = *to.expect("there are several");
        stage.look_at(slot);
        KeyByKey::whole(&stage.cluster, slot, to, || stage.look());
    }
    drop(disturbance);
    let report = stage.reports().remove(0);
    assert!(report.violations > 0, "{report:?}");
    let is_nil = |text: &String| text.contains("never had that value") || text.contains("exist");
    assert!(report.shown.iter().all(is_nil), "{report:#?}");
}

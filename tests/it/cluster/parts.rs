//! Several redtails that share a cluster's slots.

use std::collections::BTreeSet;

use super::acts;
use super::faces::{KEYS, cluster};
use super::nodes::Failover;
use super::slots::slot;
use super::stage::{Face, Follower, Stage, servers};
use crate::client::{Client, Reply};
use crate::servers::{Server, free_port};

/// The parts: the first takes slots of two shards.
const PARTS: [(&str, std::ops::RangeInclusive<u16>); 2] =
    [("0-8191", 0..=8191), ("8192-16382,16383", 8192..=16_383)];

fn keys(client: &mut Client) -> BTreeSet<String> {
    let keys = client.command("KEYS *").elements();
    keys.iter().map(Reply::text).collect()
}

#[test]
fn two_redtails_share_the_slots_of_a_cluster() {
    for name in servers() {
        let Some(cluster) = cluster(name) else { return };
        let mut all = BTreeSet::new();
        for (slots, range) in PARTS {
            let part = Follower::with(&cluster.address(), Face::One, &["--slots", slots]);
            let mut client = part.server.client();
            let own = keys(&mut client);
            assert!(own.iter().all(|key| range.contains(&slot(key.as_bytes()))));
            let size = i64::try_from(own.len()).ok();
            assert_eq!(client.command("DBSIZE").integer(), size);
            assert!(all.is_disjoint(&own));
            all.extend(own);
        }
        assert_eq!(all.len(), KEYS);
    }
}

#[test]
fn a_key_of_another_part_is_never_nil() {
    for name in servers() {
        let Some(cluster) = cluster(name) else { return };
        let (slots, range) = &PARTS[0];
        for face in [Face::One, Face::Cluster] {
            let part = Follower::with(&cluster.address(), face, &["--slots", slots]);
            let mut client = part.server.client();
            client.command("READONLY");
            for tag in 0..50 {
                let key = format!("key:{{{tag}}}:{tag}");
                let reply = client.command(&format!("GET {key}"));
                if range.contains(&slot(key.as_bytes())) {
                    assert_eq!(reply.text(), tag.to_string(), "{key}");
                } else {
                    assert!(reply.is_error(), "{key}: {reply:?}");
                    let is_moved = reply.text().starts_with("MOVED");
                    assert_eq!(is_moved, face == Face::Cluster, "{reply:?}");
                }
            }
        }
    }
}

#[test]
fn two_processes_cannot_share_a_state_directory() {
    let Some(cluster) = cluster(servers()[0]) else {
        return;
    };
    let folder = tempfile::TempDir::new().expect("a temporary directory");
    let named = folder.path().display().to_string();
    let first = Server::redtail_of(&cluster.address(), &["--state-dir", &named]);
    first.wait_for("its data", |client| client.command("DBSIZE").is_integer());
    let second = std::process::Command::new(env!("CARGO_BIN_EXE_redtail"))
        .args([
            "serve",
            "--primary",
            &cluster.address(),
            "--state-dir",
            &named,
        ])
        .args(["--listen", &format!("127.0.0.1:{}", free_port())])
        .output()
        .expect("it runs");
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8_lossy(&second.stderr);
    let reason = format!("another redtail uses the state directory {named}");
    assert!(
        said.contains(&reason) && !said.contains("listening"),
        "{said}"
    );
}

/// Shards that are named by any of their nodes are followed through a failover, and no others.
#[test]
fn named_shards_are_followed_wherever_they_go() {
    for name in servers() {
        let Some(cluster) = cluster(name) else { return };
        let places = cluster.primaries();
        let replica = cluster.node(cluster.replicas(places[0])[0]);
        let named = format!("127.0.0.1:{},{}", replica.port, cluster.node(places[1]).id);
        let part = Follower::with(&cluster.address(), Face::One, &["--shards", &named]);
        let mut client = part.server.client();
        let slots: BTreeSet<u16> = [0, 1]
            .iter()
            .flat_map(|at| cluster.slots(places[*at]))
            .collect();
        let check = |client: &mut Client| {
            for tag in 0..50 {
                let key = format!("key:{{{tag}}}:{tag}");
                let reply = client.command(&format!("GET {key}"));
                match slots.contains(&slot(key.as_bytes())) {
                    true => assert_eq!(reply.text(), tag.to_string(), "{key}"),
                    false => assert!(
                        reply.text().starts_with("ERR this redtail does not follow"),
                        "{key}: {reply:?}"
                    ),
                }
            }
        };
        check(&mut client);
        let own = keys(&mut client);
        assert!(own.iter().all(|key| slots.contains(&slot(key.as_bytes()))) && !own.is_empty());
        cluster.fail_over(places[0], Failover::Agreed);
        cluster.settle();
        check(&mut client);
        part.server
            .wait_for("the same keys", |client| keys(client) == own);
    }
}

/// A slot that redtail follows is given to a shard that it did not follow, and to another.
#[test]
fn a_part_is_followed_wherever_it_goes() {
    for name in servers() {
        let Some(mut stage) = Stage::start(name, &[Face::Primaries]) else {
            return;
        };
        let address = stage.cluster.address();
        let slot = stage.some_slots(1)[0];
        let slots = slot.to_string();
        let part = Follower::with(&address, Face::One, &["--slots", &slots]);
        let all = stage.writers.written.keys.iter();
        let own = all.filter(|key| key.slot == slot);
        let expected: BTreeSet<String> = own.map(|key| key.name.clone()).collect();
        for _ in 0..3 {
            stage.during("a hop of the slot", |stage| acts::hop(stage, slot));
            part.server
                .wait_for("the same keys", |client| keys(client) == expected);
        }
    }
}

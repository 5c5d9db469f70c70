//! Reads that need more than one shard, and what is said of all shards together.

use std::collections::BTreeSet;

use super::faces::{KEYS, cluster};
use super::moves::KeyByKey;
use super::router::{Prefer, Router};
use super::slots::slot;
use super::stage::{BOTH, Face, Follower, servers};
use crate::client::{Client, Reply, words};

/// A connection that may read.
fn client_of(redtail: &Follower, face: Face) -> Client {
    let mut client = redtail.server.client();
    if face == Face::Cluster {
        assert_eq!(client.command("READONLY").text(), "OK");
    }
    client
}

/// The keys of the clusters of these tests.
fn all_keys() -> BTreeSet<String> {
    let key = |number: usize| format!("key:{{{}}}:{number}", number % 150);
    (0..KEYS).map(key).collect()
}

#[test]
fn several_keys_of_a_half_moved_slot_are_read_together() {
    for name in servers() {
        let Some(cluster) = cluster(name) else { return };
        let followers = BOTH.map(|face| (face, Follower::start(&cluster, face)));
        let keys: Vec<String> = [7, 157, 307]
            .iter()
            .map(|n| format!("key:{{7}}:{n}"))
            .collect();
        let moving = slot(b"7");
        let from = cluster.owner(moving);
        let to = cluster.primaries().into_iter().find(|place| *place != from);
        let moving = KeyByKey::begin(&cluster, moving, to.expect("another primary"));
        loop {
            let moved = moving.step(1);
            for (face, redtail) in &followers {
                let mut client = client_of(redtail, *face);
                let [one, two, three] = [&keys[0], &keys[1], &keys[2]];
                let values = client.command(&format!("MGET {one} {two} {three} {{7}}none"));
                let values: Vec<String> = values.elements().iter().map(Reply::text).collect();
                assert_eq!(values, ["7", "157", "307", ""], "{face:?}");
                let count = client.command(&format!("EXISTS {one} {two} {three}"));
                assert_eq!(count.integer(), Some(3), "{face:?}");
                if *face == Face::One {
                    let values = client.command(&format!("MGET {one} key:{{8}}:8 {two}"));
                    let values: Vec<String> = values.elements().iter().map(Reply::text).collect();
                    assert_eq!(values, ["7", "8", "157"]);
                }
            }
            if moved == 0 {
                break;
            }
        }
        moving.finish();
    }
}

/// The keys that CLUSTERSCAN returns. Each step asks the next of `clients`, which sends it on if it must.
fn cluster_scan(clients: &mut [Client], router: &mut Router, count: usize) -> BTreeSet<String> {
    let (mut found, mut cursor) = (BTreeSet::new(), "0".to_owned());
    for step in 0.. {
        let line = format!("CLUSTERSCAN {cursor} COUNT {count}");
        let places = clients.len() + 1;
        let page = match clients.get_mut(step % places) {
            Some(client) => client.command(&line),
            None => {
                let answer = router.ask(slot(cursor.as_bytes()), &[words(&line)]);
                answer.expect("an answer").replies[0].clone()
            }
        };
        let page = page.elements();
        assert_eq!(page.len(), 2, "{line}");
        found.extend(page[1].elements().iter().map(Reply::text));
        cursor = page[0].text();
        if cursor == "0" {
            return found;
        }
    }
    unreachable!()
}

#[test]
fn cluster_scan_goes_over_all_slots_here_and_at_the_primaries_in_turn() {
    let Some(cluster) = cluster("valkey-9.1.2") else {
        return;
    };
    let followers = BOTH.map(|face| (face, Follower::start(&cluster, face)));
    let mut clients = followers
        .each_ref()
        .map(|(face, redtail)| client_of(redtail, *face));
    let mut router = Router::new(cluster.ports(), Prefer::Primaries);
    for client in &mut clients {
        let alone = std::slice::from_mut(client);
        // A router that is never asked: each step asks the only client.
        let found = walk_alone(alone);
        assert_eq!(found, all_keys());
    }
    for count in [1, 7, 1000] {
        assert_eq!(
            cluster_scan(&mut clients, &mut router, count),
            all_keys(),
            "COUNT {count}"
        );
    }
    let (face, redtail) = &followers[0];
    let mut client = client_of(redtail, *face);
    let slot = slot(b"7");
    let mut cursor = "0".to_owned();
    let mut of_slot = BTreeSet::new();
    loop {
        let page = client
            .command(&format!("CLUSTERSCAN {cursor} SLOT {slot} COUNT 2"))
            .elements();
        of_slot.extend(page[1].elements().iter().map(Reply::text));
        cursor = page[0].text();
        if cursor == "0" {
            break;
        }
    }
    let expected = all_keys()
        .into_iter()
        .filter(|key| super::slots::slot(key.as_bytes()) == slot);
    assert_eq!(of_slot, expected.collect());
    let mut real = cluster
        .node(cluster.owner(super::slots::slot(b"x")))
        .client();
    for wrong in [
        "CLUSTERSCAN x",
        "CLUSTERSCAN 0 SLOT 16384",
        "CLUSTERSCAN 0 COUNT 0",
        "CLUSTERSCAN 0 FOO",
        "CLUSTERSCAN",
    ] {
        let (ours, theirs) = (client.command(wrong), real.command(wrong));
        if !theirs.text().starts_with("MOVED") {
            assert_eq!(ours, theirs, "{wrong}");
        }
        assert!(ours.is_error(), "{wrong}: {ours:?}");
    }
    let mut unasked = followers[1].1.server.client();
    let moved = unasked.command("CLUSTERSCAN 0").text();
    assert!(moved.starts_with("MOVED"), "{moved}");
}

/// CLUSTERSCAN at one place alone.
fn walk_alone(client: &mut [Client]) -> BTreeSet<String> {
    let (mut found, mut cursor) = (BTreeSet::new(), "0".to_owned());
    loop {
        let page = client[0]
            .command(&format!("CLUSTERSCAN {cursor} COUNT 5"))
            .elements();
        found.extend(page[1].elements().iter().map(Reply::text));
        cursor = page[0].text();
        if cursor == "0" {
            return found;
        }
    }
}

#[test]
fn functions_that_differ_between_shards_are_named() {
    for name in servers() {
        let Some(cluster) = cluster(name) else { return };
        let redtail = Follower::start(&cluster, Face::One).server;
        let differing = || {
            redtail
                .client()
                .info("redtail", "redtail_shards_differing_functions")
        };
        assert_eq!(differing().as_deref(), Some(""));
        let code = "#!lua name=mine\nredis.register_function('mine', function() return 1 end)";
        let load = [
            b"FUNCTION".to_vec(),
            b"LOAD".to_vec(),
            code.as_bytes().to_vec(),
        ];
        let mut places = cluster.primaries();
        let last = places.pop().expect("a primary");
        for place in places {
            assert_eq!(
                cluster
                    .node(place)
                    .client()
                    .words(&load.each_ref().map(Vec::as_slice))
                    .text(),
                "mine"
            );
        }
        redtail.wait_for("the difference", |_| differing().as_deref() == Some("mine"));
        redtail.wait_for("a log line", |_| {
            redtail
                .log()
                .contains("not the same on all shards of the cluster: mine")
        });
        cluster
            .node(last)
            .client()
            .words(&load.each_ref().map(Vec::as_slice));
        redtail.wait_for("no difference", |_| differing().as_deref() == Some(""));
    }
}

#[test]
fn a_client_waits_for_what_it_wrote_to_any_shard() {
    for name in servers() {
        let Some(cluster) = cluster(name) else { return };
        let redtail = Follower::start(&cluster, Face::One).server;
        let mut ours = redtail.client();
        for (tag, round) in (0..12).zip(100..) {
            let key = format!("key:{{{tag}}}:{tag}");
            let mut primary = cluster.node(cluster.owner(slot(key.as_bytes()))).client();
            assert_eq!(primary.command(&format!("SET {key} {round}")).text(), "OK");
            let replid = primary.info("replication", "master_replid").expect("an id");
            let offset = primary.offset("master_repl_offset").expect("an offset");
            let reached = ours.command(&format!("REDTAIL.WAITOFFSET {replid} {offset} 20000"));
            assert!(reached.integer() >= Some(offset), "{reached:?}");
            assert_eq!(
                ours.command(&format!("GET {key}")).text(),
                round.to_string()
            );
        }
        let unknown = "0".repeat(40);
        let reply = ours
            .command(&format!("REDTAIL.WAITOFFSET {unknown} 1 100"))
            .text();
        assert!(reply.starts_with("NOHISTORY"), "{reply}");
    }
}

#[test]
fn settings_of_encodings_reach_all_shards() {
    let Some(cluster) = cluster("redis-8.0") else {
        return;
    };
    let redtail = Follower::start(&cluster, Face::One).server;
    let reply = redtail.command("CONFIG SET hash-max-listpack-entries 1");
    assert_eq!(reply.text(), "OK");
    for tag in 0..12 {
        let key = format!("hash:{{{tag}}}");
        let mut primary = cluster.node(cluster.owner(slot(key.as_bytes()))).client();
        primary.command(&format!("HSET {key} a 1 b 2 c 3"));
        redtail.wait_for("the hash", |client| {
            client.command(&format!("OBJECT ENCODING {key}")).text() == "hashtable"
        });
    }
}

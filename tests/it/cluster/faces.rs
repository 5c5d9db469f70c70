//! What each face says of the cluster and of its keys, at rest.

use std::collections::BTreeSet;

use super::nodes::{Cluster, SWIFT};
use super::router::{Prefer, Router, servers_of_slots};
use super::slots::{SLOTS, slot};
use super::stage::{Face, Follower, servers};
use super::view::view;
use crate::client::{Client, Reply, words};
use crate::servers::Server;

/// Keys of all shards: the number of keys in each slot differs.
pub const KEYS: usize = 400;

/// A cluster with data, its replicas in step.
pub fn cluster(name: &'static str) -> Option<Cluster> {
    let cluster = Cluster::start(name, SWIFT)?;
    fill(&cluster);
    cluster
        .primaries()
        .iter()
        .for_each(|place| cluster.wait_for_replicas(*place));
    cluster.wait_until_replicas_are_named();
    Some(cluster)
}

/// Writes the keys.
pub fn fill(cluster: &Cluster) {
    let mut router = Router::new(cluster.ports(), Prefer::Primaries);
    for number in 0..KEYS {
        let key = format!("key:{{{}}}:{number}", number % 150);
        let set = words(&format!("SET {key} {number}"));
        let answer = router.ask(slot(key.as_bytes()), &[set]).expect("an answer");
        assert_eq!(answer.replies[0].text(), "OK");
    }
}

/// A connection that reads from a replica.
fn reading(mut client: Client) -> Client {
    assert_eq!(client.command("READONLY").text(), "OK");
    client
}

/// Asks all lines of a real replica and of redtail.
fn same(real: &mut Client, ours: &mut Client, lines: &[String]) {
    for line in lines {
        let (expected, found) = (real.command(line), ours.command(line));
        assert_eq!(found.sorted(1), expected.sorted(1), "{line}");
    }
}

#[test]
fn redtail_answers_as_a_replica_of_each_shard() {
    for name in servers() {
        let Some(cluster) = cluster(name) else { return };
        let redtail = Follower::start(&cluster, Face::Cluster).server;
        for place in cluster.primaries() {
            let replica = cluster.node(cluster.replicas(place)[0]);
            let mut real = reading(replica.client());
            let own = (0..150).filter(|tag| {
                let slot = slot(tag.to_string().as_bytes());
                cluster.owner(slot) == place
            });
            let lines: Vec<String> = own.take(5).flat_map(lines).collect();
            assert!(!lines.is_empty());
            same(&mut real, &mut reading(redtail.client()), &lines);
        }
    }
}

/// Questions about the slot of the keys with a tag.
fn lines(tag: usize) -> Vec<String> {
    let slot = slot(tag.to_string().as_bytes());
    let [first, second] = [tag, tag + 150].map(|number| format!("key:{{{tag}}}:{number}"));
    vec![
        format!("GET {first}"),
        format!("MGET {first} {second} {{{tag}}}none"),
        format!("EXISTS {first} {second}"),
        format!("CLUSTER KEYSLOT {first}"),
        format!("CLUSTER COUNTKEYSINSLOT {slot}"),
        format!("CLUSTER GETKEYSINSLOT {slot} 100"),
        format!("SET {first} new"),
        format!("DEL {first} {second}"),
        format!("MGET {first} another"),
        format!("MSET {first} a another b"),
        "ASKING".to_owned(),
        format!("GET {first}"),
        "MULTI".to_owned(),
        format!("GET {first}"),
        format!("SET {first} new"),
        "EXEC".to_owned(),
        "MULTI".to_owned(),
        format!("GET {first}"),
        format!("STRLEN {second}"),
        "EXEC".to_owned(),
        "READWRITE".to_owned(),
        format!("SET {first} new"),
        "READONLY".to_owned(),
    ]
}

#[test]
fn redtail_names_itself_beside_the_true_primaries() {
    for name in servers() {
        let Some(cluster) = cluster(name) else { return };
        let redtail = Follower::start(&cluster, Face::Cluster).server;
        let theirs = servers_of_slots(&mut cluster.node(0).client()).expect("a topology");
        let ours = servers_of_slots(&mut redtail.client()).expect("a topology");
        for slot in 0..usize::from(SLOTS) {
            assert_eq!(ours[slot].first(), theirs[slot].first(), "slot {slot}");
            assert!(
                ours[slot].contains(&redtail.port),
                "slot {slot}: {:?}",
                ours[slot]
            );
        }
        check_nodes(&cluster, &redtail);
        check_shards(&cluster, &redtail);
    }
}

/// CLUSTER NODES, MYID and INFO.
fn check_nodes(cluster: &Cluster, redtail: &Server) {
    let mut client = redtail.client();
    let (theirs, ours) = (cluster.view(), view(&mut client));
    let own = client.command("CLUSTER MYID").text();
    assert_eq!(ours[&own].port, redtail.port);
    assert!(!ours[&own].is_primary);
    for (id, member) in theirs.iter().filter(|(_, member)| member.is_primary) {
        assert_eq!(ours.get(id), Some(member));
    }
    let info = client.command("CLUSTER INFO").text();
    for line in [
        "cluster_state:ok",
        "cluster_slots_assigned:16384",
        "cluster_size:3",
    ] {
        assert!(info.contains(line), "{info}");
    }
}

/// CLUSTER SHARDS: the primaries' ids and ports, and redtail among the nodes of each shard.
fn check_shards(cluster: &Cluster, redtail: &Server) {
    let reply = redtail.command("CLUSTER SHARDS");
    let shards = reply.elements();
    assert_eq!(shards.len(), 3, "{reply:?}");
    for shard in shards {
        let words: BTreeSet<String> = shard.text().lines().map(str::to_owned).collect();
        assert!(words.contains(&redtail.port.to_string()), "{shard:?}");
        let primaries = cluster
            .primaries()
            .into_iter()
            .map(|place| cluster.node(place));
        let named = primaries.filter(|node| words.contains(&node.id)).count();
        assert_eq!(named, 1, "{shard:?}");
    }
}

#[test]
fn redtail_is_one_keyspace() {
    for name in servers() {
        let Some(cluster) = cluster(name) else { return };
        let redtail = Follower::start(&cluster, Face::One).server;
        let mut client = redtail.client();
        assert_eq!(client.command("DBSIZE").integer(), Some(KEYS as i64));
        assert_eq!(client.command("KEYS *").elements().len(), KEYS);
        let keys: Vec<String> = (0..KEYS)
            .map(|number| format!("key:{{{}}}:{number}", number % 150))
            .collect();
        let all = keys.join(" ");
        let values = client.command(&format!("MGET {all}")).elements();
        let values: Vec<String> = values.iter().map(Reply::text).collect();
        let expected: Vec<String> = (0..KEYS).map(|number| number.to_string()).collect();
        assert_eq!(values, expected);
        assert_eq!(
            client.command(&format!("EXISTS {all}")).integer(),
            Some(KEYS as i64)
        );
        assert_eq!(walk(&mut client), keys.into_iter().collect());
        let refused = client.command("SET key:{1}:1 new").text();
        assert!(refused.starts_with("READONLY"), "{refused}");
    }
}

/// The keys that SCAN returns.
fn walk(client: &mut Client) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut cursor = "0".to_owned();
    loop {
        let page = client
            .command(&format!("SCAN {cursor} COUNT 20"))
            .elements();
        found.extend(page[1].elements().iter().map(Reply::text));
        cursor = page[0].text();
        if cursor == "0" {
            return found;
        }
    }
}

//! Each shard by itself: which of its servers is followed, what a flush empties, and its databases.

use super::faces::{KEYS, cluster};
use super::moves::AtOnce;
use super::nodes::{Cluster, SWIFT, Setup};
use super::slots::slot;
use super::stage::{Face, Follower, servers};
use crate::client::{Client, Reply};
use crate::servers::Server;

/// The ports of the servers that redtail follows, as far as the links are up.
fn followed(redtail: &Server) -> Vec<u16> {
    let mut client = redtail.client();
    let lines = (0..3).filter_map(|index| client.info("redtail", &format!("redtail_shard{index}")));
    let up = lines.filter(|line| line.contains("state=connected"));
    let port = |line: String| {
        let address = line.split("primary=").nth(1)?.split(',').next()?.to_owned();
        address.rsplit(':').next()?.parse().ok()
    };
    let mut ports: Vec<u16> = up.filter_map(port).collect();
    ports.sort_unstable();
    ports
}

/// Writes a key of each shard, and waits until redtail has it.
fn write_and_wait(cluster: &Cluster, redtail: &Server, value: &str) {
    for tag in 0..20 {
        let key = format!("key:{{{tag}}}:{tag}");
        let primary = cluster.node(cluster.owner(slot(key.as_bytes())));
        primary.ok(&format!("SET {key} {value}"));
        redtail.wait_for("the write", |client| {
            client.command(&format!("GET {key}")).text() == value
        });
    }
}

#[test]
fn replicas_are_followed_where_that_is_asked_for_and_the_primary_without_them() {
    for name in servers() {
        let Some(mut cluster) = cluster(name) else {
            return;
        };
        let address = format!("{}?prefer=replica", cluster.address());
        let redtail = Follower::with(&address, Face::One, &[]).server;
        let places = cluster.primaries();
        let replicas: Vec<usize> = places
            .iter()
            .map(|place| cluster.replicas(*place)[0])
            .collect();
        let mut expected: Vec<u16> = replicas
            .iter()
            .map(|place| cluster.node(*place).port)
            .collect();
        expected.sort_unstable();
        redtail.wait_for("links to the replicas", |_| followed(&redtail) == expected);
        write_and_wait(&cluster, &redtail, "first");
        let gone = cluster.node(replicas[0]).port;
        cluster.kill(replicas[0]);
        expected.retain(|port| *port != gone);
        expected.push(cluster.node(places[0]).port);
        expected.sort_unstable();
        redtail.wait_for("a link to the primary", |_| followed(&redtail) == expected);
        write_and_wait(&cluster, &redtail, "second");
        assert_eq!(redtail.command("DBSIZE").integer(), Some(KEYS as i64));
    }
}

#[test]
fn a_flush_of_one_shard_empties_its_slots_alone() {
    for name in servers() {
        let Some(cluster) = cluster(name) else { return };
        let redtail = Follower::start(&cluster, Face::One).server;
        let flushed = cluster.primaries()[1];
        let slots = cluster.slots(flushed);
        cluster.node(flushed).ok("FLUSHALL");
        let key = |number: usize| format!("key:{{{}}}:{number}", number % 150);
        let is_gone = |number: &usize| slots.contains(&slot(key(*number).as_bytes()));
        let left = (0..KEYS).filter(|number| !is_gone(number)).count();
        redtail.wait_for("the flush", |client| {
            client.command("DBSIZE").integer() == i64::try_from(left).ok()
        });
        let mut client = redtail.client();
        for number in 0..KEYS {
            let value = client.command(&format!("GET {}", key(number)));
            let expected = if is_gone(&number) {
                String::new()
            } else {
                number.to_string()
            };
            assert!(!value.is_error(), "{value:?}");
            assert_eq!(value.text(), expected, "{}", key(number));
        }
    }
}

/// Clusters of Valkey 9 may have more than one database.
const WITH_DATABASES: Setup = Setup {
    databases: 8,
    ..SWIFT
};

/// What database 5 holds, by SCAN and by GET.
fn check_database(client: &mut Client, keys: &[String]) {
    assert_eq!(client.command("SELECT 5").text(), "OK");
    assert_eq!(
        client.command("DBSIZE").integer(),
        i64::try_from(keys.len()).ok()
    );
    let page = client.command("KEYS *");
    let mut found: Vec<String> = page.elements().iter().map(Reply::text).collect();
    found.sort();
    assert_eq!(found, keys);
    let values = client.command(&format!("MGET {}", keys.join(" ")));
    let values: Vec<String> = values.elements().iter().map(Reply::text).collect();
    let expected: Vec<String> = keys.iter().map(|key| format!("{key}-in-5")).collect();
    assert_eq!(values, expected);
    assert_eq!(client.command("SELECT 0").text(), "OK");
    assert_eq!(client.command(&format!("GET {}", keys[0])).text(), "in-0");
}

#[test]
fn databases_beyond_the_first_are_followed_and_move_with_their_slots() {
    let Some(cluster) = Cluster::start("valkey-9.1.2", WITH_DATABASES) else {
        return;
    };
    let redtail = Follower::start(&cluster, Face::One).server;
    let mut keys: Vec<String> = (0..60).map(|number| format!("db:{number}")).collect();
    keys.sort();
    for key in &keys {
        let mut primary = cluster.node(cluster.owner(slot(key.as_bytes()))).client();
        assert_eq!(primary.command(&format!("SET {key} in-0")).text(), "OK");
        assert_eq!(primary.command("SELECT 5").text(), "OK");
        assert_eq!(
            primary.command(&format!("SET {key} {key}-in-5")).text(),
            "OK"
        );
    }
    let has_all = |client: &mut Client| {
        client.command("SELECT 5");
        client.command("DBSIZE").integer() == i64::try_from(keys.len()).ok()
    };
    redtail.wait_for("all keys", has_all);
    check_database(&mut redtail.client(), &keys);
    let places = cluster.primaries();
    let (first, last) = cluster.longest(places[0]);
    AtOnce::begin(&cluster, first, last, places[1]).wait_for("success");
    cluster.settle();
    redtail.wait_for("all keys", has_all);
    check_database(&mut redtail.client(), &keys);
}

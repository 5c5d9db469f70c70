//! Cluster clients that are given redtail's address: they write to the primaries and read from redtail, unchanged.
//!
//! The oracle is the client itself: it must print the same of the cluster's own replicas.

use redis::Commands as _;
use redis::cluster::ClusterClientBuilder;
use redis::cluster_read_routing::RandomReplicaStrategy;

use super::moves::by_tool;
use super::nodes::{Cluster, Failover, SWIFT, wait};
use super::stage::{Face, Follower};
use crate::client::Client;
use crate::clients::assert_alike;
use crate::clients::scripts::{Client as Program, Script};
use crate::servers::PATIENCE;

/// What a client reads from, if it is told to read from replicas.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reads {
    Replicas,
    /// From primaries, too.
    Anything,
}

/// A cluster and a redtail that follows it.
struct Pair {
    cluster: Cluster,
    redtail: Follower,
}

impl Pair {
    fn start(name: &'static str) -> Option<Self> {
        let cluster = Cluster::start(name, SWIFT)?;
        cluster.wait_until_replicas_are_named();
        let redtail = Follower::start(&cluster, Face::Cluster);
        Some(Self { cluster, redtail })
    }

    /// Moves slots, and fails over.
    fn change(&self) {
        let places = self.cluster.primaries();
        by_tool(&self.cluster, places[0], places[1], 100);
        self.cluster.settle();
        self.cluster.fail_over(places[1], Failover::Agreed);
    }

    /// Asserts that a client sees the same of the cluster's replicas and of redtail. `run` gets a port, and a function to call
    /// before it goes on.
    fn see_alike(
        &self,
        what: &str,
        reads: Reads,
        run: impl Fn(u16, &dyn Fn()) -> Option<Vec<String>>,
    ) {
        let theirs = run(self.cluster.node(0).port, &|| self.change());
        self.forget();
        let port = self.redtail.server.port;
        let ours = run(port, &|| {
            self.check_reads(what, reads);
            self.change();
        });
        let (Some(theirs), Some(ours)) = (theirs, ours) else {
            return;
        };
        assert_alike(what, &theirs, &ours);
        assert!(ours.len() > 10, "{what}: {ours:#?}");
    }

    /// Deletes everything, and sets all counters to zero.
    fn forget(&self) {
        for place in self.cluster.primaries() {
            self.cluster.node(place).ok("FLUSHALL");
        }
        wait("an empty redtail", PATIENCE, || {
            self.redtail.server.command("DBSIZE").integer() == Some(0)
        });
        for node in self.cluster.running() {
            node.ok("CONFIG RESETSTAT");
        }
        self.redtail.server.command("CONFIG RESETSTAT");
    }

    fn check_reads(&self, what: &str, reads: Reads) {
        let ours = calls(&mut self.redtail.server.client(), "get");
        let primaries = self.cluster.primaries();
        let theirs: u64 = primaries
            .iter()
            .map(|place| calls(&mut self.cluster.node(*place).client(), "get"))
            .sum();
        assert!(
            ours >= 50,
            "{what}: {ours} reads here, {theirs} at primaries"
        );
        if reads == Reads::Replicas {
            assert_eq!(theirs, 0, "{what}: reads at primaries");
        }
        let written = calls(&mut self.redtail.server.client(), "set");
        assert_eq!(written, 0, "{what}: writes here");
    }
}

/// How often a server has run a command.
fn calls(client: &mut Client, command: &str) -> u64 {
    let figures = client.info("commandstats", &format!("cmdstat_{command}"));
    let calls = figures.and_then(|figures| {
        let first = figures.split(',').next()?.strip_prefix("calls=")?;
        first.parse().ok()
    });
    calls.unwrap_or(0)
}

fn script(client: Program, name: &'static str, reads: Reads) {
    let Some(pair) = Pair::start(name) else {
        return;
    };
    pair.see_alike(&format!("{client:?}"), reads, |port, change| {
        Script::start(client, port, port, "all").map(|script| script.finish(change))
    });
}

#[test]
fn redis_py_reads_here_and_writes_there() {
    script(
        ("python", "cluster.py", &["redis"]),
        "redis-8.0",
        Reads::Replicas,
    );
}

#[test]
fn node_redis_reads_here_and_writes_there() {
    script(
        ("node", "cluster.cjs", &["redis"]),
        "valkey-9.1.2",
        Reads::Anything,
    );
}

#[test]
fn ioredis_reads_here_and_writes_there() {
    script(
        ("node", "cluster.cjs", &["ioredis"]),
        "redis-8.0",
        Reads::Replicas,
    );
}

#[test]
fn the_redis_crate_reads_here_and_writes_there() {
    let Some(pair) = Pair::start("redis-8.0") else {
        return;
    };
    pair.see_alike("the redis crate", Reads::Replicas, |port, change| {
        let nodes = vec![format!("redis://127.0.0.1:{port}")];
        let client = ClusterClientBuilder::new(nodes)
            .read_routing_strategy(RandomReplicaStrategy)
            .retries(16);
        let mut connection = client.build().ok()?.get_connection().ok()?;
        let mut facts = round(&mut connection, "before");
        change();
        facts.extend(round(&mut connection, "after"));
        Some(facts)
    });
}

/// What a client sees of its own writes.
fn round(connection: &mut redis::cluster::ClusterConnection, name: &str) -> Vec<String> {
    let mut facts = Vec::new();
    for number in 0..100 {
        let (key, value) = (format!("n:{number}"), format!("{name} {number}"));
        let set: redis::RedisResult<String> = connection.set(&key, &value);
        facts.push(format!("set {set:?}"));
        wait(&key, PATIENCE, || {
            let found: Option<String> = connection.get(&key).expect("a reply");
            found.as_ref() == Some(&value)
        });
        let length: redis::RedisResult<u64> = connection.strlen(&key);
        facts.push(format!("{value} {length:?}"));
    }
    facts
}

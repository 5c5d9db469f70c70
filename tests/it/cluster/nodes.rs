//! Real clusters on this machine, whose nodes are killed, restarted, stopped, added and removed.

use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::slots::SLOTS;
use super::view::{Member, View, view};
use crate::client::Client;
use crate::faults::proxy::Proxy;
use crate::servers::{PATIENCE, Server, free_port};

/// A cluster. Its nodes are named by their places in the order in which they were added.
pub struct Cluster {
    name: &'static str,
    setup: Setup,
    nodes: Vec<Node>,
}

/// What a cluster is made of.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    pub primaries: usize,
    /// The replicas of each primary.
    pub replicas: usize,
    /// After which time a silent node counts as failed.
    pub node_timeout_ms: u32,
    /// Whether everybody but the cluster's bus reaches the nodes through proxies.
    pub is_proxied: bool,
    /// The number of databases, more than one only of Valkey 9.
    pub databases: u32,
}

/// Three primaries with a replica each. Only what a test does makes a node fail.
pub const CALM: Setup = Setup {
    primaries: 3,
    replicas: 1,
    node_timeout_ms: 10_000,
    is_proxied: false,
    databases: 1,
};

/// The same for tests of nodes that fail.
pub const SWIFT: Setup = Setup {
    node_timeout_ms: 2_500,
    ..CALM
};

/// A node, which keeps its ports and its directory when it is killed and started again.
pub struct Node {
    pub id: String,
    /// The port that the cluster names to clients.
    pub port: u16,
    /// The port that the server listens on.
    own_port: u16,
    bus: u16,
    directory: TempDir,
    /// `None` while it is down.
    server: Option<Server>,
    pub proxy: Option<Proxy>,
}

/// How a replica becomes the primary.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failover {
    /// The primary agrees and hands over.
    Agreed,
    /// The replica asks the other primaries for their votes.
    Forced,
    /// The replica asks nobody.
    Takeover,
}

impl Cluster {
    /// Starts a cluster whose primaries have equal parts of the slots. Returns `None` if the server is not installed.
    pub fn start(name: &'static str, setup: Setup) -> Option<Self> {
        let count = setup.primaries * (setup.replicas + 1);
        let start = || Node::start(name, setup);
        let nodes: Option<Vec<Node>> = thread::scope(|scope| {
            let starting: Vec<_> = (0..count).map(|_| scope.spawn(start)).collect();
            let started = starting
                .into_iter()
                .map(|one| one.join().expect("it starts"));
            started.collect()
        });
        let cluster = Self {
            name,
            setup,
            nodes: nodes?,
        };
        cluster.join(setup.primaries);
        Some(cluster)
    }

    /// Makes the nodes one cluster: the first ones are primaries, the others replicate them in turn.
    fn join(&self, primaries: usize) {
        for (place, node) in self.nodes.iter().enumerate() {
            node.ok(&format!("CLUSTER SET-CONFIG-EPOCH {}", place + 1));
        }
        for (place, node) in self.nodes.iter().enumerate().take(primaries) {
            let all: Vec<String> = (0..SLOTS)
                .filter(|slot| usize::from(*slot) * primaries / usize::from(SLOTS) == place)
                .map(|slot| slot.to_string())
                .collect();
            node.ok(&format!("CLUSTER ADDSLOTS {}", all.join(" ")));
        }
        for node in &self.nodes[1..] {
            self.nodes[0].meet(node);
        }
        for (place, node) in self.nodes.iter().enumerate().skip(primaries) {
            node.replicate(&self.nodes[place % primaries]);
        }
        self.settle();
    }

    /// The node at a place.
    pub fn node(&self, place: usize) -> &Node {
        &self.nodes[place]
    }

    /// The nodes that run.
    pub fn running(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.server.is_some())
    }

    /// The ports of the nodes that run.
    pub fn ports(&self) -> Vec<u16> {
        self.running().map(|node| node.port).collect()
    }

    /// The address by which redtail follows this cluster.
    pub fn address(&self) -> String {
        let hosts: Vec<String> = self
            .ports()
            .iter()
            .map(|port| format!("127.0.0.1:{port}"))
            .collect();
        format!("cluster://{}", hosts.join(","))
    }

    /// The path of the server's program ("cli").
    pub fn program(&self, program: &str) -> Option<std::path::PathBuf> {
        crate::servers::program(self.name, program)
    }

    /// What the first running node says about the cluster.
    pub fn view(&self) -> View {
        view(&mut self.running().next().expect("a node runs").client())
    }

    fn place(&self, id: &str) -> usize {
        let found = self.nodes.iter().position(|node| node.id == id);
        found.expect("a node of this cluster")
    }

    /// The places of the primaries that have slots, in the order of their slots.
    pub fn primaries(&self) -> Vec<usize> {
        let mut members: Vec<Member> = self.view().into_values().collect();
        members.retain(|one| !one.slots.is_empty());
        members.sort_by_key(|one| *one.slots[0].start());
        members.iter().map(|one| self.place(&one.id)).collect()
    }

    /// The place of a slot's primary.
    pub fn owner(&self, slot: u16) -> usize {
        let view = self.view();
        let owner = view.values().find(|member| member.has(slot));
        self.place(&owner.expect("every slot has an owner").id)
    }

    /// Whether every node knows that the node at `place` has the slot, and in which epoch.
    pub fn all_know(&self, slot: u16, place: usize) -> bool {
        let id = &self.nodes[place].id;
        let epoch = view(&mut self.nodes[place].client())[id].epoch;
        self.running().all(|node| {
            let seen = view(&mut node.client());
            let seen = seen.get(id).filter(|member| member.has(slot));
            seen.is_some_and(|member| member.epoch == epoch)
        })
    }

    /// How many keys of a slot each node has, and who has the slot in its eyes.
    pub fn shown(&self, slot: u16) -> String {
        let line = format!("CLUSTER COUNTKEYSINSLOT {slot}");
        let node = |node: &Node| {
            let mut client = node.client();
            let keys = client.command(&line).integer();
            let seen = view(&mut client);
            let owner = seen.values().find(|member| member.has(slot));
            let owner = owner.map(|member| member.port);
            format!("{} has {keys:?} keys, and {owner:?} the slot", node.port)
        };
        let nodes: Vec<String> = self.running().map(node).collect();
        format!("slot {slot}: {}", nodes.join("; "))
    }

    /// The slots of the primary at `place`.
    pub fn slots(&self, place: usize) -> Vec<u16> {
        let view = self.view();
        let ranges = view[&self.nodes[place].id].slots.iter();
        ranges.flat_map(Clone::clone).collect()
    }

    /// The longest range of slots of the primary at `place`.
    pub fn longest(&self, place: usize) -> (u16, u16) {
        let view = self.view();
        let ranges = view[&self.nodes[place].id].slots.iter();
        let longest = ranges.max_by_key(|range| range.end() - range.start());
        let longest = longest.expect("it has slots");
        (*longest.start(), *longest.end())
    }

    /// The places of the running replicas of the node at `place`.
    pub fn replicas(&self, place: usize) -> Vec<usize> {
        let id = &self.nodes[place].id;
        let view = self.view();
        let replicas = view.values().filter(|one| one.primary == *id);
        let places = replicas.map(|one| self.place(&one.id));
        places
            .filter(|place| self.nodes[*place].server.is_some())
            .collect()
    }

    /// Waits until all running nodes say the same: all slots are served, no slot moves, every replica's link is up, and nobody
    /// who is needed has failed.
    pub fn settle(&self) {
        let deadline = Instant::now() + SETTLING;
        while let Some(reason) = self.unrest() {
            assert!(
                Instant::now() < deadline,
                "the cluster never settled: {reason}"
            );
            sleep(Duration::from_millis(20));
        }
    }

    /// Why the cluster has not settled.
    fn unrest(&self) -> Option<String> {
        let expected = self.live(&self.view());
        if expected.len() != self.running().count() {
            return Some(format!("only {expected:?} are known"));
        }
        self.running().find_map(|node| {
            let mut client = node.client();
            let reason = self.unrest_at(&mut client, &expected)?;
            Some(format!("{}: {reason}", node.port))
        })
    }

    fn unrest_at(&self, client: &mut Client, expected: &[Member]) -> Option<String> {
        let info = client.command("CLUSTER INFO").text();
        let served = format!("cluster_slots_ok:{SLOTS}");
        if !info.contains("cluster_state:ok") || !info.contains(&served) {
            return Some(info);
        }
        let members = self.live(&view(client));
        let is_calm = members.iter().all(|one| one.is_well && !one.is_moving);
        if !is_calm || members != expected {
            return Some(format!("{members:#?} instead of {expected:#?}"));
        }
        let info = client.command("INFO replication").text();
        (!is_linked(client)).then_some(info)
    }

    /// The members of a view that run.
    fn live(&self, view: &View) -> Vec<Member> {
        let runs = |member: &&Member| self.running().any(|node| node.id == member.id);
        view.values().filter(runs).cloned().collect()
    }

    /// Waits until every node names every replica to clients: it must have heard from the replica that this has data.
    pub fn wait_until_replicas_are_named(&self) {
        let is_replica = |port: &u16| {
            self.view()
                .values()
                .any(|one| one.port == *port && !one.is_primary)
        };
        let replicas: Vec<u16> = self.ports().into_iter().filter(is_replica).collect();
        wait("the replicas to be named", SETTLING, || {
            self.running().all(|node| {
                let named = node.client().command("CLUSTER SLOTS").text();
                let is_named = |port: &u16| named.lines().any(|line| line == port.to_string());
                replicas.iter().all(is_named)
            })
        });
    }

    /// Waits until every replica of the node at `place` has what that node has. Nothing may be written to it.
    pub fn wait_for_replicas(&self, place: usize) {
        let primary = self.nodes[place].server.as_ref().expect("it runs");
        for replica in self.replicas(place) {
            let replica = self.nodes[replica].server.as_ref();
            replica.expect("it runs").wait_in_sync(primary);
        }
    }

    /// Makes a replica of the primary at `place` its successor. Returns the successor's place.
    pub fn fail_over(&self, place: usize, how: Failover) -> usize {
        let successor = self.replicas(place)[0];
        let line = match how {
            Failover::Agreed => "CLUSTER FAILOVER",
            Failover::Forced => "CLUSTER FAILOVER FORCE",
            Failover::Takeover => "CLUSTER FAILOVER TAKEOVER",
        };
        let node = &self.nodes[successor];
        let mut asked: Option<Instant> = None;
        // The others may be busy and not vote in time.
        wait("a successor", SETTLING, || {
            if asked.is_none_or(|at| at.elapsed() > PATIENCE / 4) {
                asked = Some(Instant::now());
                node.client().command(line);
            }
            is_primary(&mut node.client())
        });
        self.settle();
        successor
    }

    /// Kills the node at `place`.
    pub fn kill(&mut self, place: usize) {
        self.nodes[place].server = None;
    }

    /// Starts a killed node again, with what is in its directory.
    pub fn restart(&mut self, place: usize) {
        let (name, setup) = (self.name, self.setup);
        self.nodes[place].run(name, setup);
    }

    /// Waits until one of the replicas at `places` is a primary in the eyes of every running node. Returns its place.
    pub fn wait_for_successor(&self, places: &[usize], except: usize) -> usize {
        let mut found = None;
        wait("a successor", SETTLING, || {
            let elected = |place: &&usize| {
                let id = &self.nodes[**place].id;
                let mut others = self
                    .running()
                    .filter(|node| node.id != self.nodes[except].id);
                others.all(|node| {
                    let seen = view(&mut node.client());
                    seen.get(id)
                        .is_some_and(|one| one.is_primary && !one.slots.is_empty())
                })
            };
            found = places.iter().find(elected).copied();
            found.is_some()
        });
        found.expect("it was waited for")
    }

    /// Stops the process of the node at `place`, as if every cable to it were cut, or lets it go on.
    pub fn freeze(&self, place: usize, frozen: bool) {
        let server = self.nodes[place].server.as_ref();
        server.expect("it runs").freeze(frozen);
    }

    /// Adds a primary without slots. Returns its place.
    pub fn add(&mut self) -> usize {
        let node = Node::start(self.name, self.setup);
        let node = node.expect("the server was there a moment ago");
        self.running().next().expect("a node runs").meet(&node);
        self.nodes.push(node);
        self.settle();
        self.nodes.len() - 1
    }

    /// Adds a replica of the primary at `place`. Returns its place.
    pub fn add_replica(&mut self, place: usize) -> usize {
        let added = self.add();
        self.nodes[added].replicate(&self.nodes[place]);
        self.settle();
        added
    }

    /// Takes a node without slots out of the cluster and ends it.
    pub fn remove(&mut self, place: usize) {
        let forget = format!("CLUSTER FORGET {}", self.nodes[place].id);
        self.kill(place);
        for node in self.running() {
            node.client().command(&forget);
        }
        self.settle();
    }
}

impl Node {
    fn start(name: &str, setup: Setup) -> Option<Self> {
        let (own_port, bus) = ports(name);
        let proxy = setup.is_proxied.then(|| Proxy::start(own_port));
        let mut node = Self {
            id: String::new(),
            port: proxy.as_ref().map_or(own_port, |proxy| proxy.port),
            own_port,
            bus,
            directory: TempDir::new().expect("a temporary directory"),
            server: None,
            proxy,
        };
        node.run(name, setup)?;
        node.id = node.client().command("CLUSTER MYID").text();
        Some(node)
    }

    fn run(&mut self, name: &str, setup: Setup) -> Option<()> {
        let directory = self.directory.path().display().to_string();
        let timeout = setup.node_timeout_ms.to_string();
        let (named, bus) = (self.port.to_string(), self.bus.to_string());
        let mut config = CONFIG.to_vec();
        config.extend(["--dir", &directory, "--cluster-node-timeout", &timeout]);
        if name != "redis-6.0" {
            config.extend(["--cluster-port", &bus]);
            config.extend(["--cluster-allow-replica-migration", "no"]);
        }
        if setup.is_proxied {
            config.extend(["--cluster-announce-port", &named]);
        }
        let databases = setup.databases.to_string();
        if setup.databases > 1 {
            config.extend(["--cluster-databases", &databases]);
        }
        let server = Server::start_loading(&[], name, Some(self.own_port), None, &config)?;
        self.server = Some(server);
        Some(())
    }

    /// A new connection.
    pub fn client(&self) -> Client {
        self.server.as_ref().expect("it runs").client()
    }

    /// Sends a command that must be answered with OK.
    pub fn ok(&self, line: &str) {
        let reply = self.client().command(line).text();
        assert_eq!(reply, "OK", "{line:.100} at {}", self.port);
    }

    fn meet(&self, other: &Self) {
        let (port, bus) = (other.own_port, other.bus);
        self.ok(&format!("CLUSTER MEET 127.0.0.1 {port} {bus}"));
    }

    fn replicate(&self, primary: &Self) {
        let line = format!("CLUSTER REPLICATE {}", primary.id);
        // It must know the primary first.
        wait("a replica", SETTLING, || {
            self.client().command(&line).text() == "OK"
        });
    }
}

/// Whether a replica's link is up. It is true for primaries, too.
fn is_linked(client: &mut Client) -> bool {
    let status = client.info("replication", "master_link_status");
    status.is_none_or(|status| status == "up")
}

fn is_primary(client: &mut Client) -> bool {
    client.info("replication", "role").as_deref() == Some("master")
}

/// A port for clients and one for the cluster bus, both below those that Linux assigns.
fn ports(name: &str) -> (u16, u16) {
    const DISTANCE: u16 = 10_000;
    const ASSIGNED: u16 = 32_768;
    if name != "redis-6.0" {
        return (free_port(), free_port());
    }
    // It knows no other bus port.
    let mut candidates = std::iter::repeat_with(free_port);
    let port = candidates.find(|port| {
        let bus = port + DISTANCE;
        bus < ASSIGNED && std::net::TcpListener::bind(("0.0.0.0", bus)).is_ok()
    });
    let port = port.expect("a free port");
    (port, port + DISTANCE)
}

/// Waits until `done` returns true.
///
/// # Panics
/// If it takes longer than `patience`.
pub fn wait(what: &str, patience: Duration, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience;
    while !done() {
        assert!(Instant::now() < deadline, "timed out waiting for {what}");
        sleep(Duration::from_millis(20));
    }
}

/// Nodes elect and rejoin with pauses of seconds between their attempts.
pub const SETTLING: Duration = PATIENCE.saturating_mul(3);

const CONFIG: [&str; 8] = [
    "--cluster-enabled",
    "yes",
    "--cluster-require-full-coverage",
    "no",
    "--cluster-replica-validity-factor",
    "0",
    "--repl-backlog-size",
    "8mb",
];

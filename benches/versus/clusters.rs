//! Clusters of 1, 4 and 16 shards, each shard a real server: what a whole cluster costs one redtail, beside a single server with the
//! same keys, followed by redtail and by a rival.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use redtail::internal::slots::{CLUSTER_SLOTS, cluster_slot};

use crate::control::{Control, wait};
use crate::disturbed::{FEW, throughout};
use crate::load::{Generator, Reply, Requests, Seen, Shape, expect};
use crate::measure::{Plan, StringsPrimary, reads, scan};
use crate::process::Process;
use crate::report::Results;
use crate::strings::{KEY_BYTES, Set, Strings};
use crate::systems::{System, node};

/// The keys of each cluster.
const KEYS: u32 = 1_000_000;
/// The numbers of shards.
const SHARDS: [usize; 3] = [1, 4, 16];
/// How long to watch a follower of a cluster in which nothing happens.
const IDLE: Duration = Duration::from_secs(10);
/// How long everything rests after the first sync.
const SETTLE: Duration = Duration::from_secs(2);
/// The keys of a large MGET.
const MANY: usize = 10_000;
/// The pause between two long commands.
const PAUSE: Duration = Duration::from_millis(100);
const ALONE: Shape = Shape {
    clients: 1,
    pipeline: 1,
};

/// A cluster with strings.
struct Cluster {
    nodes: Vec<Process>,
    strings: Strings,
}

impl Cluster {
    fn start(name: &str, shards: usize) -> Self {
        let nodes: Vec<Process> = (0..shards).map(|_| node(name)).collect();
        let cluster = Self {
            nodes,
            strings: Strings::new(KEYS),
        };
        for (index, node) in cluster.nodes.iter().enumerate() {
            let mut control = Control::of(node);
            let slots = (0..CLUSTER_SLOTS).filter(|slot| cluster.owner(*slot) == index);
            let slots: Vec<String> = slots.map(|slot| slot.to_string()).collect();
            let words = ["CLUSTER", "ADDSLOTS"].into_iter();
            let words: Vec<&str> = words.chain(slots.iter().map(String::as_str)).collect();
            let _: String = control.ask(&words).expect("slots");
            let epoch = (index + 1).to_string();
            let _: String = control
                .ask(&["CLUSTER", "SET-CONFIG-EPOCH", &epoch])
                .expect("an epoch");
            if index > 0 {
                let first = cluster.nodes[0].port;
                let (port, bus) = (first.to_string(), bus(first).to_string());
                let _: String = control
                    .ask(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus])
                    .expect("a meeting");
            }
        }
        for node in &cluster.nodes {
            let mut control = Control::of(node);
            let known = format!("cluster_known_nodes:{shards}\r");
            wait(node, Duration::from_millis(20), || {
                let info: String = control.ask(&["CLUSTER", "INFO"]).expect("an answer");
                info.contains("cluster_state:ok") && info.contains(&known)
            });
        }
        cluster.fill();
        cluster
    }

    /// The index of the node that has a slot.
    fn owner(&self, slot: u16) -> usize {
        usize::from(slot) * self.nodes.len() / usize::from(CLUSTER_SLOTS)
    }

    fn fill(&self) {
        let shape = Shape {
            clients: 1,
            pipeline: 1000,
        };
        let mut counts = vec![0; self.nodes.len()];
        let mut all = Owned::new(self, |_| true);
        for _ in 0..KEYS {
            counts[self.owner(all.next_slot())] += 1;
        }
        for (index, node) in self.nodes.iter().enumerate() {
            let mut own = Owned::new(self, |slot| self.owner(slot) == index);
            Generator::connect(node.port, shape).run_count(&mut own, counts[index]);
        }
    }

    fn address(&self) -> String {
        let hosts = self
            .nodes
            .iter()
            .map(|node| format!("127.0.0.1:{}", node.port));
        format!("cluster://{}", hosts.collect::<Vec<_>>().join(","))
    }

    /// Bytes that the first node has sent to anybody.
    fn sent_bytes(&self) -> u64 {
        let sent = Control::of(&self.nodes[0]).info("stats", "total_net_output_bytes");
        sent.and_then(|bytes| bytes.parse().ok()).expect("a number")
    }
}

/// The port of the cluster's bus that belongs to a port.
pub(crate) const fn bus(port: u16) -> u16 {
    // Ports for children are below 32768 on Linux, or above: either way another one.
    port ^ 0x4000
}

/// SETs of the keys whose slots some node has.
struct Owned<F> {
    set: Set,
    owns: F,
}

impl<F: Fn(u16) -> bool> Owned<F> {
    fn new(cluster: &Cluster, owns: F) -> Self {
        Self {
            set: cluster.strings.fill(),
            owns,
        }
    }

    /// The slot of the next key.
    fn next_slot(&mut self) -> u16 {
        let mut request = Vec::new();
        self.set.request(&mut request);
        slot_of(&request)
    }
}

/// The slot of the key in `SET key value`.
fn slot_of(request: &[u8]) -> u16 {
    let start = b"*3\r\n$3\r\nSET\r\n$20\r\n".len();
    cluster_slot(&request[start..start + KEY_BYTES])
}

impl<F: Fn(u16) -> bool> Requests for Owned<F> {
    fn request(&mut self, out: &mut Vec<u8>) -> u32 {
        loop {
            let start = out.len();
            let asked = self.set.request(out);
            if (self.owns)(slot_of(&out[start..])) {
                return asked;
            }
            out.truncate(start);
        }
    }

    fn check(&self, asked: u32, bytes: &[u8]) -> Reply {
        self.set.check(asked, bytes)
    }
}

/// The columns of the table: clusters, and the system as a replica of one server.
pub(crate) fn columns(systems: &[System]) -> Vec<System> {
    let mut columns = Vec::new();
    for system in systems {
        if !system.is_rival() {
            columns.extend(SHARDS.map(|shards| system.named(&of_cluster(system, shards))));
        }
        columns.push(system.clone());
    }
    columns
}

fn of_cluster(system: &System, shards: usize) -> String {
    match shards {
        1 => format!("{}, 1 shard", system.name),
        _ => format!("{}, {shards} shards", system.name),
    }
}

/// Measures all systems.
pub(crate) fn measure(plan: &Plan, primary: &str, systems: &[System], results: &mut Results) {
    for shards in SHARDS {
        let cluster = Cluster::start(primary, shards);
        for system in systems.iter().filter(|system| !system.is_rival()) {
            let name = of_cluster(system, shards);
            let begun = Instant::now();
            let follower = system.follower(&cluster.address()).listening();
            wait_for_keys(&follower);
            results.record("cluster-wall", &name, begun.elapsed().as_secs_f64());
            let sent = || cluster.sent_bytes();
            of_follower(
                plan,
                &name,
                &follower,
                &cluster.strings,
                &cluster.nodes,
                &sent,
                results,
            );
        }
    }
    let single = StringsPrimary::start(primary, KEYS);
    let nodes = std::slice::from_ref(&single.process);
    for system in systems {
        let begun = Instant::now();
        let follower = system.replica(&single.process).listening();
        wait_for_keys(&follower);
        results.record("cluster-wall", &system.name, begun.elapsed().as_secs_f64());
        let sent = || {
            let sent = Control::of(&single.process).info("stats", "total_net_output_bytes");
            sent.and_then(|bytes| bytes.parse().ok()).expect("a number")
        };
        of_follower(
            plan,
            &system.name,
            &follower,
            &single.strings,
            nodes,
            &sent,
            results,
        );
    }
}

fn wait_for_keys(follower: &Process) {
    let mut control = Control::of(follower);
    wait(follower, Duration::from_millis(5), || {
        control.ask(&["DBSIZE"]).is_ok_and(|keys: u32| keys == KEYS)
    });
}

fn of_follower(
    plan: &Plan,
    name: &str,
    follower: &Process,
    strings: &Strings,
    nodes: &[Process],
    sent: &dyn Fn() -> u64,
    results: &mut Results,
) {
    sleep(SETTLE);
    results.record("cluster-cpu", name, follower.cpu().as_secs_f64());
    results.record(
        "cluster-memory",
        name,
        follower.resident_bytes() as f64 / 1e6,
    );
    results.record("cluster-threads", name, follower.threads() as f64);
    let (cpu, bytes) = (follower.cpu(), sent());
    sleep(IDLE);
    let (cpu, bytes) = (follower.cpu() - cpu, sent() - bytes);
    let seconds = IDLE.as_secs_f64();
    results.record(
        "cluster-idle-cpu",
        name,
        cpu.as_secs_f64() / seconds * 100.0,
    );
    results.record("cluster-idle-bytes", name, bytes as f64 / seconds / 1e3);
    for (row, pipeline) in [("cluster-get-1", 1), ("cluster-get-16", 16)] {
        let reads = reads(plan, follower, pipeline, &mut strings.gets());
        results.record(row, name, reads.cpu_us);
    }
    let mgets = reads(plan, follower, 4, &mut strings.mgets(100));
    results.record("cluster-mget", name, mgets.cpu_us);
    results.record("cluster-scan", name, scan(follower, KEYS));
    let mut beside = |row: [&'static str; 2], long: &mut (dyn FnMut(&AtomicBool) + Send)| {
        let seen = reads_beside(plan, follower, strings, long);
        results.record(row[0], name, seen.percentile_ms(0.99));
        results.record(row[1], name, seen.percentile_ms(1.0));
    };
    beside(["cluster-none-p99", "cluster-none-longest"], &mut |_| ());
    beside(["cluster-keys-p99", "cluster-keys-longest"], &mut |stop| {
        ask(follower, &mut Keys::new(), stop);
    });
    beside(["cluster-many-p99", "cluster-many-longest"], &mut |stop| {
        ask(follower, &mut strings.mgets(MANY), stop);
    });
    beside(["cluster-walk-p99", "cluster-walk-longest"], &mut |stop| {
        walk_under_deletions(follower, nodes, stop);
    });
}

fn reads_beside(
    plan: &Plan,
    follower: &Process,
    strings: &Strings,
    long: &mut (dyn FnMut(&AtomicBool) + Send),
) -> Seen {
    let mut generator = Generator::connect(follower.port, FEW);
    throughout(
        |stop| long(stop),
        || generator.run_for(&mut strings.gets(), plan.time),
    )
}

/// Sends `long` repeatedly until told to stop.
fn ask(follower: &Process, long: &mut impl Requests, stop: &AtomicBool) {
    let mut generator = Generator::connect(follower.port, ALONE);
    generator.run(long, |seen| {
        assert_eq!(seen.refused, 0, "the server replied with errors");
        sleep(PAUSE);
        stop.load(Ordering::Relaxed)
    });
}

/// Walks over all keys with SCAN, again and again, while keys come and go.
fn walk_under_deletions(follower: &Process, nodes: &[Process], stop: &AtomicBool) {
    std::thread::scope(|scope| {
        scope.spawn(|| come_and_go(nodes, stop));
        let mut control = Control::of(follower);
        let mut cursor = "0".to_owned();
        while !stop.load(Ordering::Relaxed) {
            let page = control.ask(&["SCAN", &cursor, "COUNT", "10000"]);
            let (next, _): (String, Vec<String>) = page.expect("SCAN");
            cursor = next;
        }
    });
}

/// Writes and deletes keys on all nodes, about a thousand times a second.
fn come_and_go(nodes: &[Process], stop: &AtomicBool) {
    let mut controls: Vec<Control> = nodes.iter().map(Control::of).collect();
    let mut number = 0_u32;
    while !stop.load(Ordering::Relaxed) {
        let key = format!("gone:{number}");
        let count = controls.len();
        let node = usize::from(cluster_slot(key.as_bytes())) * count / usize::from(CLUSTER_SLOTS);
        controls[node].set(&key, b"x");
        let _: u32 = controls[node].ask(&["DEL", &key]).expect("a deletion");
        number += 1;
        sleep(Duration::from_micros(500));
    }
}

/// KEYS of all keys. Only the reply's header and length are checked: more would slow down the readers beside it.
struct Keys {
    header: String,
}

impl Keys {
    fn new() -> Self {
        Self {
            header: format!("*{KEYS}\r\n"),
        }
    }
}

impl Requests for Keys {
    fn request(&mut self, out: &mut Vec<u8>) -> u32 {
        out.extend_from_slice(b"*2\r\n$4\r\nKEYS\r\n$5\r\nkey:*\r\n");
        0
    }

    fn check(&self, _: u32, bytes: &[u8]) -> Reply {
        let length = self.header.len() + KEYS as usize * (KEY_BYTES + 7);
        if bytes.len() < length {
            return Reply::Partial;
        }
        match expect(self.header.as_bytes(), bytes) {
            Reply::Right(_) => Reply::Right(length),
            other => other,
        }
    }
}

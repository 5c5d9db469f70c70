//! Slots that move from one primary to another, in each of the ways that there are.

use std::process::{Command, Stdio};

use super::nodes::{Cluster, Node, SETTLING, wait};
use crate::client::{Client, Reply, words};
use crate::servers::PATIENCE;

/// A slot that moves key by key, as `redis-cli --cluster reshard` does it. While it moves, either primary has some of its keys.
pub struct KeyByKey<'a> {
    cluster: &'a Cluster,
    slot: u16,
    from: usize,
    to: usize,
}

impl<'a> KeyByKey<'a> {
    /// Marks the slot at both primaries. No key has moved yet.
    pub fn begin(cluster: &'a Cluster, slot: u16, to: usize) -> Self {
        let from = cluster.owner(slot);
        let (source, target) = (cluster.node(from), cluster.node(to));
        target.ok(&format!("CLUSTER SETSLOT {slot} IMPORTING {}", source.id));
        source.ok(&format!("CLUSTER SETSLOT {slot} MIGRATING {}", target.id));
        Self::resume(cluster, slot, from, to)
    }

    /// A slot that has begun to move.
    pub const fn resume(cluster: &'a Cluster, slot: u16, from: usize, to: usize) -> Self {
        Self {
            cluster,
            slot,
            from,
            to,
        }
    }

    /// Moves at most `count` keys. Returns how many have moved.
    pub fn step(&self, count: usize) -> usize {
        let mut source = self.cluster.node(self.from).client();
        let ask = format!("CLUSTER GETKEYSINSLOT {} {count}", self.slot);
        let keys: Vec<String> = source
            .command(&ask)
            .elements()
            .iter()
            .map(Reply::text)
            .collect();
        if !keys.is_empty() {
            let port = self.cluster.node(self.to).port;
            let names = keys.join(" ");
            let line = format!("MIGRATE 127.0.0.1 {port}  0 10000 REPLACE KEYS {names}");
            let reply = source.command(&line).text();
            assert!(["OK", "NOKEY"].contains(&reply.as_str()), "{line}: {reply}");
        }
        keys.len()
    }

    /// Moves the remaining keys, then the slot, and waits until all nodes know its owner and the owner's epoch. A primary that gets a
    /// slot back before it knows the last epoch takes no new one, and then the cluster can lose the slot: two primaries of Redis 8.0
    /// each took the other for its owner, and both had deleted its keys.
    pub fn finish(self) {
        while self.step(10) > 0 {}
        let id = &self.cluster.node(self.to).id;
        let line = format!("CLUSTER SETSLOT {} NODE {id}", self.slot);
        self.cluster.node(self.to).ok(&line);
        self.cluster.node(self.from).ok(&line);
        for place in self.cluster.primaries() {
            if place != self.to && place != self.from {
                self.cluster.node(place).ok(&line);
            }
        }
        wait("all nodes to know the slot's owner", SETTLING, || {
            self.cluster.all_know(self.slot, self.to)
        });
    }

    /// Moves the slot and its keys one by one, and calls `between` after each.
    pub fn whole(cluster: &'a Cluster, slot: u16, to: usize, between: impl Fn()) {
        let moving = Self::begin(cluster, slot, to);
        between();
        while moving.step(1) > 0 {
            between();
        }
        moving.finish();
    }
}

/// Moves slots that have no keys, all at once.
pub fn empty(cluster: &Cluster, slots: &[u16], from: usize, to: usize) {
    let (source, target) = (cluster.node(from), cluster.node(to));
    let id = &target.id;
    let all = |node: &Node, what: &str| {
        let line = |slot: &u16| words(&format!("CLUSTER SETSLOT {slot} {what}"));
        let commands: Vec<_> = slots.iter().map(line).collect();
        let replies = node.client().pipeline(&commands);
        let failed = replies.iter().find(|reply| reply.text() != "OK");
        assert!(failed.is_none(), "{what}: {failed:?}");
    };
    // A target that imports takes a new epoch with the first slot.
    all(target, &format!("IMPORTING {}", source.id));
    for node in [target, source] {
        all(node, &format!("NODE {id}"));
    }
    for place in cluster.primaries() {
        if place != to && place != from {
            all(cluster.node(place), &format!("NODE {id}"));
        }
    }
}

/// Moves that many slots by the server's own tool.
pub fn by_tool(cluster: &Cluster, from: usize, to: usize, slots: usize) {
    let Some(tool) = cluster.program("cli") else {
        return;
    };
    let (source, target) = (cluster.node(from), cluster.node(to));
    let output = Command::new(tool)
        .args([
            "--cluster",
            "reshard",
            &format!("127.0.0.1:{}", source.port),
        ])
        .args(["--cluster-from", &source.id, "--cluster-to", &target.id])
        .args(["--cluster-slots", &slots.to_string(), "--cluster-yes"])
        .stdin(Stdio::null())
        .output()
        .expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert!(
        !text.contains("[ERR]") && !text.contains("failed"),
        "{text}"
    );
}

/// Slots that move at once, as Valkey 9 can: the target hides their keys until it has them all.
pub struct AtOnce<'a> {
    source: &'a Node,
    target: &'a Node,
}

impl<'a> AtOnce<'a> {
    /// Asks the source to move the slots.
    pub fn begin(cluster: &'a Cluster, first: u16, last: u16, to: usize) -> Self {
        let source = cluster.node(cluster.owner(first));
        let target = cluster.node(to);
        let id = &target.id;
        source.ok(&format!(
            "CLUSTER MIGRATESLOTS SLOTSRANGE {first} {last} NODE {id}"
        ));
        Self { source, target }
    }

    /// The same, but the source sends everything and then waits, until [`Self::release`].
    pub fn begin_held(cluster: &'a Cluster, first: u16, last: u16, to: usize) -> Self {
        let source = cluster.node(cluster.owner(first));
        source.ok("DEBUG SLOTMIGRATION PREVENT-PAUSE 1");
        let moving = Self::begin(cluster, first, last, to);
        wait("the snapshot", PATIENCE, || {
            jobs(&mut moving.target.client()).contains("waiting-for-paused")
        });
        moving
    }

    /// Slots that have begun to move.
    pub fn resume(cluster: &'a Cluster, from: usize, to: usize) -> Self {
        Self {
            source: cluster.node(from),
            target: cluster.node(to),
        }
    }

    /// Lets a source that waits go on.
    pub fn release(&self) {
        self.source.ok("DEBUG SLOTMIGRATION PREVENT-PAUSE 0");
    }

    /// Gives up.
    pub fn cancel(&self) {
        self.source.ok("CLUSTER CANCELSLOTMIGRATIONS");
    }

    /// Waits until the last job at the source has ended like that: "success", "failed", "cancelled".
    pub fn wait_for(&self, end: &str) {
        wait(end, PATIENCE, || {
            last_job(&mut self.source.client()).contains(end)
        });
    }
}

/// Slots that move at once, as Redis 8.4 can: a task of the target imports them.
pub struct ByTask<'a> {
    target: &'a Node,
    id: String,
}

impl<'a> ByTask<'a> {
    /// Asks the target to import the slots.
    pub fn begin(cluster: &'a Cluster, first: u16, last: u16, to: usize) -> Self {
        let target = cluster.node(to);
        let id = target
            .client()
            .command(&format!("CLUSTER MIGRATION IMPORT {first} {last}"));
        assert!(!id.is_error(), "{id:?}");
        Self {
            target,
            id: id.text(),
        }
    }

    /// The task's name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// A task that has begun.
    pub fn resume(cluster: &'a Cluster, to: usize, id: String) -> Self {
        let target = cluster.node(to);
        Self { target, id }
    }

    /// Gives up.
    pub fn cancel(&self) {
        let id = &self.id;
        let cancelled = self
            .target
            .client()
            .command(&format!("CLUSTER MIGRATION CANCEL ID {id}"));
        assert!(!cancelled.is_error(), "{cancelled:?}");
    }

    /// Waits until the task has ended like one of these: "completed", "failed", "canceled".
    pub fn wait_for(&self, ends: &[&str]) {
        wait(ends[0], PATIENCE, || {
            let mut client = self.target.client();
            let status = client.command(&format!("CLUSTER MIGRATION STATUS ID {}", self.id));
            ends.iter().any(|end| status.text().contains(end))
        });
    }
}

fn jobs(client: &mut Client) -> String {
    client.command("CLUSTER GETSLOTMIGRATIONS").text()
}

/// The newest job, which comes first.
fn last_job(client: &mut Client) -> String {
    let jobs = client.command("CLUSTER GETSLOTMIGRATIONS").elements();
    jobs.first().map(Reply::text).unwrap_or_default()
}

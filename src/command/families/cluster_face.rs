//! What clients of a cluster ask, where redtail shows itself as a cluster: as a replica of every shard, beside the true primaries.
//!
//! A client that reads from replicas finds redtail at every slot, reads here, and writes to the primaries. The cluster's own replicas are
//! not shown, so that it reads nowhere else. CLUSTER NODES knows no node that follows several primaries: there, redtail is several
//! nodes at one address.

use std::fmt::Write as _;

use super::walk::Walk;
use crate::command::rows::parse::integer;
use crate::command::rows::{self, ClusterNode, Error, InCluster, SessionCx, long};
use crate::resp::{Args, Reply};
use crate::slots::{CLUSTER_SLOTS, ClusterSlots, cluster_slot};
use crate::store::{Entry, Moving, Names, View};

/// The offset of the cluster bus's port, as servers choose it. Source: redis 7.0 cluster.h, CLUSTER_PORT_INCR.
const BUS: u32 = 10_000;

/// Answers CLUSTER, READONLY, READWRITE and ASKING. Returns false for what only a node of the cluster can do.
///
/// # Errors
/// The error reply.
pub(super) fn answer(
    cx: &mut SessionCx<'_>,
    cluster: &InCluster<'_>,
    args: Args<'_>,
) -> Result<bool, Error> {
    if args.is(0, "readonly") || args.is(0, "readwrite") {
        cx.session.reads_here = args.is(0, "readonly");
        cx.reply.ok();
        return Ok(true);
    }
    if args.is(0, "asking") {
        cx.reply.ok();
        return Ok(true);
    }
    let face = Face { cx, cluster };
    let word = args.at(1).to_ascii_lowercase();
    match word.as_slice() {
        b"myid" => face.own_id(),
        b"myshardid" => face.own_id(),
        b"keyslot" => face.keyslot(args),
        b"countkeysinslot" => face.count_keys(args)?,
        b"getkeysinslot" => face.get_keys(args)?,
        b"info" => face.info(),
        b"slots" => face.slots(),
        b"shards" => face.shards(),
        b"nodes" => face.nodes(),
        b"replicas" | b"slaves" => face.replicas(args)?,
        b"links" => face.cx.reply.array(0),
        _ => return Ok(false),
    }
    Ok(true)
}

/// Answers CLUSTERSCAN. Without READONLY, a client goes on at the primary that has the cursor's slot.
///
/// # Errors
/// The error reply.
pub(super) fn scan(
    cx: &mut SessionCx<'_>,
    cluster: &InCluster<'_>,
    args: Args<'_>,
) -> Result<(), Error> {
    if cluster.shards.face == rows::Face::Cluster && !cx.session.reads_here {
        return Err(cluster.map.moved(cluster_slot(args.at(1))));
    }
    let db = cx.session.db;
    let run_id = &cx.host.statistics().run_id;
    let reply = &mut *cx.reply;
    long(|| Walk { cluster, db }.cluster_scan(args, run_id, reply))
}

struct Face<'c, 's, 'm> {
    cx: &'c mut SessionCx<'s>,
    cluster: &'m InCluster<'m>,
}

/// A run of slots with the same primary and the same server of reads.
struct Run<'m> {
    first: u16,
    last: u16,
    primary: &'m ClusterNode,
    is_read_here: bool,
}

impl<'m> Face<'_, '_, 'm> {
    /// The id of redtail as a replica of the primary with this index.
    fn id(&self, index: usize) -> String {
        let own = &self.cx.host.statistics().run_id;
        let start = own.get(..36).unwrap_or_default();
        format!("{start}{index:04x}")
    }

    fn own_id(self) {
        let id = self.ids().into_iter().flatten().next();
        let id = id.unwrap_or_else(|| self.id(0));
        self.cx.reply.bulk(id.as_bytes());
    }

    /// Where this client reaches redtail.
    fn own_address(&self) -> (String, u16) {
        let local = &self.cx.session.client.local_address;
        let (host, port) = local.rsplit_once(':').unwrap_or((local, "0"));
        (
            host.trim_matches(['[', ']']).to_owned(),
            port.parse().unwrap_or(0),
        )
    }

    /// The primaries that have slots.
    fn primaries(&self) -> Vec<&'m ClusterNode> {
        let nodes = self.cluster.map.nodes.iter();
        nodes
            .filter(|node| node.is_primary && !node.slots.is_empty())
            .collect()
    }

    fn runs(&self) -> Vec<Run<'m>> {
        let primaries = self.primaries();
        let wanted = self.cluster.shards.wanted();
        let mut runs: Vec<Run<'m>> = Vec::new();
        for slot in 0..CLUSTER_SLOTS {
            let primary = primaries.iter().find(|node| node.slots.contains(slot));
            let Some(primary) = primary else { continue };
            // Also while the slot is on its way: some clients fail when a node comes and goes.
            let is_read_here = wanted.contains(slot);
            match runs.last_mut() {
                Some(run)
                    if run.last + 1 == slot
                        && std::ptr::eq(run.primary, *primary)
                        && run.is_read_here == is_read_here =>
                {
                    run.last = slot;
                }
                _ => runs.push(Run {
                    first: slot,
                    last: slot,
                    primary,
                    is_read_here,
                }),
            }
        }
        runs
    }

    fn keyslot(self, args: Args<'_>) {
        let slot = cluster_slot(args.at(2));
        self.cx.reply.integer(slot.into());
    }

    /// The part that serves the slot in word 2.
    fn part(&self, args: Args<'_>) -> Result<(u16, usize), Error> {
        let invalid = || Error::Text("ERR Invalid slot");
        let slot = u16::try_from(integer(args.at(2))?).map_err(|_| invalid())?;
        if slot >= CLUSTER_SLOTS {
            return Err(invalid());
        }
        let part = self.cluster.map.owner(slot);
        Ok((slot, part.ok_or(Moving)?))
    }

    fn count_keys(self, args: Args<'_>) -> Result<(), Error> {
        let (slot, part) = self.part(args)?;
        let generation = self.cluster.generation(part).ok_or(Moving)?;
        self.cx.reply.count(generation.spaces.keys_in_slot(slot));
        Ok(())
    }

    fn get_keys(self, args: Args<'_>) -> Result<(), Error> {
        let (slot, part) = self.part(args)?;
        let most = usize::try_from(integer(args.at(3))?);
        let most = most.map_err(|_| Error::Text("ERR Invalid number of keys"))?;
        let generation = self.cluster.generation(part).ok_or(Moving)?;
        let hold = generation.spaces.view_db(self.cx.session.db);
        let mut keys: Vec<Box<[u8]>> = Vec::new();
        let find = |view: &View<'_>| {
            let all = view.entries().map(Entry::key);
            let own = all.filter(|key| cluster_slot(key) == slot);
            keys.extend(own.take(most).map(Box::from));
            Ok::<_, Error>(())
        };
        long(|| hold.read(Names::Existence, find))?;
        self.cx.reply.array(keys.len());
        keys.iter().for_each(|key| self.cx.reply.bulk(key));
        Ok(())
    }

    /// Source: redis 7.0 cluster.c, `clusterCommand`, CLUSTER INFO.
    fn info(self) {
        let primaries = self.primaries();
        let assigned: u32 = primaries.iter().map(|node| node.slots.len()).sum();
        let down = primaries.iter().filter(|node| node.is_down);
        let failed: u32 = down.map(|node| node.slots.len()).sum();
        let is_ok = assigned == u32::from(CLUSTER_SLOTS) && failed == 0;
        let epochs = self.cluster.map.nodes.iter().map(|node| node.epoch);
        let epoch = epochs.max().unwrap_or(0);
        let text = format!(
            "cluster_enabled:1\r\ncluster_state:{}\r\ncluster_slots_assigned:{assigned}\r\ncluster_slots_ok:{}\r\n\
             cluster_slots_pfail:0\r\ncluster_slots_fail:{failed}\r\ncluster_known_nodes:{}\r\ncluster_size:{}\r\n\
             cluster_current_epoch:{epoch}\r\ncluster_my_epoch:{epoch}\r\n",
            if is_ok { "ok" } else { "fail" },
            assigned - failed,
            self.cluster.map.nodes.len() + primaries.len(),
            primaries.len(),
        );
        self.cx.reply.verbatim("txt", text.as_bytes());
    }

    /// Source: redis 7.0 cluster.c, `clusterReplyMultiBulkSlots`.
    fn slots(self) {
        let (runs, (host, port)) = (self.runs(), self.own_address());
        let primaries = self.primaries();
        let ids: Vec<(&str, Option<String>)> = primaries
            .iter()
            .map(|primary| primary.id.as_str())
            .zip(self.ids())
            .collect();
        let metadata = self.cx.reply.dialect().has_slots_metadata();
        let reply = &mut *self.cx.reply;
        reply.array(runs.len());
        for run in runs {
            reply.array(3 + usize::from(run.is_read_here));
            reply.integer(run.first.into());
            reply.integer(run.last.into());
            node(
                reply,
                &run.primary.host,
                run.primary.port,
                &run.primary.id,
                metadata,
            );
            if run.is_read_here {
                let own = ids.iter().find(|(primary, _)| *primary == run.primary.id);
                let own = own.and_then(|(_, own)| own.as_deref()).unwrap_or_default();
                node(reply, &host, port, own, metadata);
            }
        }
    }

    /// The ids of redtail as a replica of each primary; `None` for those that it does not follow.
    fn ids(&self) -> Vec<Option<String>> {
        let primaries = self.primaries();
        let wanted = self.cluster.shards.wanted();
        let follows = |primary: &ClusterNode| wanted.shares(&primary.slots);
        let primaries = primaries.iter().enumerate();
        primaries
            .map(|(index, primary)| follows(primary).then(|| self.id(index)))
            .collect()
    }

    /// Source: redis 7.0 cluster.c, `clusterReplyShards`.
    fn shards(self) {
        let (host, port) = self.own_address();
        let primaries = self.primaries();
        let ids: Vec<Option<String>> = self.ids();
        let Face { cx, cluster } = self;
        let reply = &mut *cx.reply;
        reply.array(primaries.len());
        for (primary, own) in primaries.iter().zip(&ids) {
            let ranges = primary.slots.ranges();
            reply.map(2);
            reply.bulk(b"slots");
            reply.array(ranges.len() * 2);
            for range in ranges {
                reply.integer((*range.start()).into());
                reply.integer((*range.end()).into());
            }
            reply.bulk(b"nodes");
            let own = own.as_deref().zip(progress(cluster, primary));
            reply.array(1 + usize::from(own.is_some()));
            let there = ShardNode {
                id: &primary.id,
                host: &primary.host,
                port: primary.port,
                role: "master",
                offset: primary.offset.unwrap_or(0),
                health: if primary.is_down { "fail" } else { "online" },
            };
            there.write(reply);
            if let Some((id, (offset, is_there))) = own {
                let here = ShardNode {
                    id,
                    host: &host,
                    port,
                    role: "replica",
                    offset,
                    health: if is_there { "online" } else { "loading" },
                };
                here.write(reply);
            }
        }
    }

    fn nodes(self) {
        let text = self.lines(|_| true);
        self.cx.reply.verbatim("txt", text.concat().as_bytes());
    }

    fn replicas(self, args: Args<'_>) -> Result<(), Error> {
        let asked = args.at(2);
        let known = self.primaries();
        let primary = known.iter().find(|node| node.id.as_bytes() == asked);
        let Some(primary) = primary else {
            return Err(Error::quoting("ERR Unknown node {}", &[asked]));
        };
        let lines = self.lines(|line| line.contains(&format!("slave {} ", primary.id)));
        self.cx.reply.array(lines.len());
        lines
            .iter()
            .for_each(|line| self.cx.reply.bulk(line.trim_end().as_bytes()));
        Ok(())
    }

    /// Lines of CLUSTER NODES. Source: redis 7.0 cluster.c, `clusterGenNodeDescription`.
    fn lines(&self, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let (host, port) = self.own_address();
        let mut lines = Vec::new();
        let ids = self.ids();
        let is_first = |own: &String| ids.iter().flatten().next() == Some(own);
        for (primary, own) in self.primaries().iter().zip(&ids) {
            let mut line = String::new();
            let flags = if primary.is_down {
                "master,fail"
            } else {
                "master"
            };
            // Writing to a String cannot fail.
            let _ = write!(
                line,
                "{} {}:{}@{} {flags} - 0 0 {} {}",
                primary.id,
                primary.host,
                primary.port,
                u32::from(primary.port) + BUS,
                primary.epoch,
                if primary.is_down {
                    "disconnected"
                } else {
                    "connected"
                },
            );
            ranges(&mut line, &primary.slots);
            line.push('\n');
            lines.push(line);
            let Some(own) = own else { continue };
            let flags = if is_first(own) {
                "myself,slave"
            } else {
                "slave"
            };
            lines.push(format!(
                "{own} {host}:{port}@{} {flags} {} 0 0 {} connected\n",
                u32::from(port) + BUS,
                primary.id,
                primary.epoch,
            ));
        }
        lines.retain(|line| wanted(line));
        lines
    }
}

fn ranges(line: &mut String, slots: &ClusterSlots) {
    for range in slots.ranges() {
        let (first, last) = (range.start(), range.end());
        // Writing to a String cannot fail.
        let _ = match first == last {
            true => write!(line, " {first}"),
            false => write!(line, " {first}-{last}"),
        };
    }
}

fn node(reply: &mut Reply, host: &str, port: u16, id: &str, metadata: bool) {
    reply.array(3 + usize::from(metadata));
    reply.bulk(host.as_bytes());
    reply.integer(port.into());
    reply.bulk(id.as_bytes());
    if metadata {
        reply.array(0);
    }
}

/// How far the shard of a primary has been applied, and whether there is data of it.
fn progress(cluster: &InCluster<'_>, primary: &ClusterNode) -> Option<(u64, bool)> {
    let mut parts = cluster.map.parts.iter().zip(cluster.generations());
    let (part, generation) = parts.find(|(part, _)| *part.primary == *primary.id)?;
    let replication = (part.replication)();
    Some((replication.applied_offset, generation.is_some()))
}

/// A node in CLUSTER SHARDS.
struct ShardNode<'n> {
    id: &'n str,
    host: &'n str,
    port: u16,
    role: &'n str,
    offset: u64,
    health: &'n str,
}

impl ShardNode<'_> {
    fn write(&self, reply: &mut Reply) {
        reply.map(7);
        reply.bulk(b"id");
        reply.bulk(self.id.as_bytes());
        reply.bulk(b"port");
        reply.integer(self.port.into());
        let texts = [
            ("ip", self.host),
            ("endpoint", self.host),
            ("role", self.role),
        ];
        for (name, text) in texts {
            reply.bulk(name.as_bytes());
            reply.bulk(text.as_bytes());
        }
        reply.bulk(b"replication-offset");
        reply.integer(i64::try_from(self.offset).unwrap_or(i64::MAX));
        reply.bulk(b"health");
        reply.bulk(self.health.as_bytes());
    }
}

//! A cluster as clients see it: its shards, and who has which slot.
//!
//! Each shard is followed by a replica of its own, with its own data, offset and history. What a shard may answer for is checked in the
//! store, under the locks of the keys ([`Ownership`]); the map here only says where to ask.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use smallvec::SmallVec;
use tokio::sync::Notify;

use super::bus::Bus;
use super::error::Error;
use super::session::Replication;
use crate::history::{Lookout, Point, Reach};
use crate::slots::{CLUSTER_SLOTS, ClusterSlots};
use crate::store::{Generation, Imported, Ownership, Served};

/// How clients see a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(
    feature = "cli",
    derive(serde::Deserialize, clap::ValueEnum),
    serde(rename_all = "kebab-case")
)]
pub enum Face {
    /// As one server that has all keys.
    #[default]
    One,
    /// As a cluster, in which redtail is a replica of every shard.
    Cluster,
}

/// The error of a cluster's servers to keys of several slots.
pub(crate) const CROSS_SLOT: Error =
    Error::Text("CROSSSLOT Keys in request don't hash to the same slot");
impl Face {
    /// The word for it, as the setting has it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::Cluster => "cluster",
        }
    }
}

/// How long a request waits until it is known which shard has its key.
pub(crate) const SHARD_PATIENCE: Duration = Duration::from_secs(1);

/// A request that waits until it is known which shard has its keys.
#[derive(Debug)]
pub struct ShardWait {
    /// Since when it waits.
    pub since: Instant,
    /// The keys that it did not find in their slot's shard: the shard's name, and when.
    missing: HashMap<Box<[u8]>, (Arc<str>, Instant)>,
}

impl ShardWait {
    /// A wait that begins now.
    pub(crate) fn begin() -> Self {
        Self {
            since: Instant::now(),
            missing: HashMap::new(),
        }
    }

    /// Since when this shard was seen to lack `key`, each time. Whatever the key was before that is in the shard to which its slot is
    /// being moved, once that has what its primary had when it was asked later.
    pub(crate) fn missing_since(&self, key: &[u8], part: &str) -> Option<Instant> {
        let (lacks, at) = self.missing.get(key)?;
        (**lacks == *part).then_some(*at)
    }

    /// Notes whether this shard has `key` now.
    pub(crate) fn note(&mut self, key: &[u8], part: &Arc<str>, is_there: bool) {
        if is_there {
            self.missing.remove(key);
        } else if self.missing_since(key, part).is_none() {
            let now = (Arc::clone(part), Instant::now());
            self.missing.insert(key.into(), now);
        }
    }
}

/// The shards that are followed. They change while the cluster does.
#[derive(Debug)]
pub struct Shards {
    /// How clients see them.
    pub face: Face,
    /// The slots that are followed.
    wanted: ArcSwap<ClusterSlots>,
    map: ArcSwap<ShardMap>,
    /// Whether each slot that is followed has a shard that is certain to have all its keys.
    is_settled: AtomicBool,
    /// How often slots have changed hands.
    changes: AtomicU64,
    lookout: Lookout,
    asked_for: Notify,
    /// The cluster's messages.
    pub bus: Bus,
    /// Why no node of the cluster can be asked.
    fault: Mutex<Option<String>>,
}

/// The shards at one moment.
#[derive(Debug, Default)]
pub struct ShardMap {
    /// The shards.
    pub parts: Vec<Part>,
    /// The slots that are followed and that no shard serves here.
    pub open: ClusterSlots,
    /// Since when there has been one of them all the time.
    pub open_since: Option<Instant>,
    /// The index of each slot's shard, or [`NOBODY`].
    owners: Vec<u16>,
    /// All nodes of the cluster, by id.
    pub nodes: Vec<ClusterNode>,
}

const NOBODY: u16 = u16::MAX;

/// One shard.
#[derive(Clone)]
pub struct Part {
    /// Its name: the id of the node that was its primary when it was first seen.
    pub name: Arc<str>,
    /// The id of its primary.
    pub primary: Arc<str>,
    /// Its data.
    pub served: Arc<Served>,
    /// What its data may answer for.
    pub ownership: Arc<Ownership>,
    /// What it imports.
    pub importing: Arc<ArcSwap<Importing>>,
    /// Returns how its replica stands.
    pub replication: Arc<dyn Fn() -> Replication + Send + Sync>,
    /// Returns whether its writer works. Call it often: it compares what it sees with what it saw at the last call.
    pub works: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Accepts a full resync that is held back.
    pub accept_resync: Arc<dyn Fn() + Send + Sync>,
}

/// The slots that a shard imports key by key. Whatever had been moved to it when its primary was asked is in its data by now.
#[derive(Debug, Default)]
pub struct Importing {
    /// When the primary was asked.
    pub asked: Option<Instant>,
    /// The offset that it named.
    pub until: u64,
    /// The slots.
    pub slots: ClusterSlots,
}

impl Importing {
    /// Whether a key of `slot` that was missing in the slot's own shard at `since` is here, if it is anywhere.
    fn knows(&self, slot: u16, since: Instant) -> bool {
        self.slots.contains(slot) && self.asked.is_some_and(|asked| asked >= since)
    }
}

impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Part")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A node of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterNode {
    /// Its id.
    pub id: String,
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether it is a primary.
    pub is_primary: bool,
    /// The primary that it follows.
    pub primary: Option<String>,
    /// Whether it is down.
    pub is_down: bool,
    /// Its configuration epoch.
    pub epoch: u64,
    /// The replication offset that it named last; `None` if it has not answered.
    pub offset: Option<u64>,
    /// The slots that it has.
    pub slots: ClusterSlots,
}

impl ShardMap {
    /// The shards with these slots each.
    #[must_use]
    pub fn new(parts: Vec<(Part, ClusterSlots)>, nodes: Vec<ClusterNode>) -> Self {
        let mut owners = vec![NOBODY; usize::from(CLUSTER_SLOTS)];
        for (index, (_, slots)) in parts.iter().enumerate() {
            for slot in slots.iter() {
                if let Some(owner) = owners.get_mut(usize::from(slot)) {
                    *owner = u16::try_from(index).unwrap_or(NOBODY);
                }
            }
        }
        Self {
            parts: parts.into_iter().map(|(part, _)| part).collect(),
            open: ClusterSlots::default(),
            open_since: None,
            owners,
            nodes,
        }
    }

    /// Notes which of the `wanted` slots no shard serves, and since when there have been such slots, given the map before this one.
    fn note_open(&mut self, wanted: &ClusterSlots, before: &Self) {
        let mut open = ClusterSlots::default();
        let unserved = wanted.iter().filter(|slot| self.owner(*slot).is_none());
        unserved.for_each(|slot| open.insert(slot));
        let stays = before.open_since.filter(|_| before.open.shares(&open));
        self.open_since = stays.or_else(|| (!open.is_empty()).then(Instant::now));
        self.open = open;
    }

    /// The index of the shard that serves `slot`.
    #[must_use]
    #[inline]
    pub fn owner(&self, slot: u16) -> Option<usize> {
        let owner = self.owners.get(usize::from(slot)).copied();
        owner.filter(|owner| *owner != NOBODY).map(usize::from)
    }

    /// The shard that has a key of `slot`, if it is anywhere, because the slot's own shard lacked it at `since`: its index, and what is
    /// known of the slot there.
    pub(crate) fn importer(&self, slot: u16, since: Instant) -> Option<(usize, Imported)> {
        self.parts.iter().enumerate().find_map(|(index, part)| {
            let importing = part.importing.load();
            let until = importing.until;
            let imported = Imported { slot, until };
            importing.knows(slot, since).then_some((index, imported))
        })
    }

    /// The shard whose history has this point.
    #[must_use]
    pub fn part_of(&self, point: Point) -> Option<&Part> {
        let knows = |part: &&Part| {
            let reach = part.served.course().map(|course| course.reach(point));
            reach.is_some_and(|reach| reach != Reach::Unknown)
        };
        self.parts.iter().find(knows)
    }

    /// The number of slots that are served.
    #[must_use]
    pub fn served(&self) -> usize {
        self.owners.iter().filter(|owner| **owner != NOBODY).count()
    }

    /// What a client is told that wants something of `slot` at another server: who has it.
    pub(crate) fn moved(&self, slot: u16) -> Error {
        match self.primary_of(slot) {
            Some(node) => Error::Owned(format!("MOVED {slot} {}:{}", node.host, node.port)),
            None => Error::Text("CLUSTERDOWN Hash slot not served"),
        }
    }

    /// The primary that has `slot` in the cluster itself.
    #[must_use]
    pub fn primary_of(&self, slot: u16) -> Option<&ClusterNode> {
        self.nodes.iter().find(|node| node.slots.contains(slot))
    }
}

impl Shards {
    /// No shards yet.
    #[must_use]
    pub fn new(face: Face) -> Self {
        Self {
            face,
            wanted: ArcSwap::default(),
            map: ArcSwap::default(),
            is_settled: AtomicBool::new(false),
            changes: AtomicU64::new(0),
            lookout: Lookout::default(),
            asked_for: Notify::new(),
            bus: Bus::default(),
            fault: Mutex::default(),
        }
    }

    /// The slots that are followed: those that redtail is to serve.
    #[must_use]
    pub fn wanted(&self) -> Arc<ClusterSlots> {
        self.wanted.load_full()
    }

    /// Follows other slots.
    pub fn want(&self, slots: ClusterSlots) {
        self.wanted.store(Arc::new(slots));
    }

    /// Why no node of the cluster can be asked, if none can.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        // A poisoned lock still holds a whole text.
        let fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        fault.clone()
    }

    /// Notes why no node of the cluster can be asked. Returns whether that is new.
    pub fn set_fault(&self, fault: Option<String>) -> bool {
        let mut now = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = *now != fault;
        *now = fault;
        is_new
    }

    /// The shards now.
    #[must_use]
    pub fn map(&self) -> Arc<ShardMap> {
        self.map.load_full()
    }

    /// Replaces the map. `changes_hands` says whether a slot has another shard now.
    pub fn publish(&self, mut map: ShardMap, changes_hands: bool) {
        map.note_open(&self.wanted(), &self.map.load());
        if changes_hands {
            self.changes.fetch_add(1, Ordering::SeqCst);
        }
        self.map.store(Arc::new(map));
        self.note_news();
    }

    /// Sets whether each slot has a shard that is certain to have all its keys.
    pub fn set_settled(&self, is_settled: bool) {
        self.is_settled.store(is_settled, Ordering::SeqCst);
    }

    /// Whether each slot has a shard that is certain to have all its keys.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.is_settled.load(Ordering::SeqCst)
    }

    /// How often slots have changed hands.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    /// Wakes those who wait until more is known.
    pub fn note_news(&self) {
        self.lookout.note_moved();
    }

    /// Where to wait until more is known.
    pub const fn lookout(&self) -> &Lookout {
        &self.lookout
    }

    /// Asks for a proof soon.
    pub fn want_proof(&self) {
        self.asked_for.notify_one();
    }

    /// Waits until someone asks for a proof.
    pub async fn proof_wanted(&self) {
        self.asked_for.notified().await;
    }

    /// Waits until all removals from a shard so far are known to be deletions, and no moves. Blocks the thread. Returns whether that
    /// is known in time.
    pub(crate) fn await_proof(&self, part: &Part, generation: &Generation) -> bool {
        let removed = generation.spaces.last_removed();
        let until = Instant::now() + SHARD_PATIENCE;
        while part.ownership.now().proven < removed {
            if Instant::now() > until {
                return false;
            }
            self.want_proof();
            std::thread::sleep(Duration::from_millis(1));
        }
        self.is_settled()
    }
}

/// A cluster as one batch of requests sees it.
#[derive(Debug)]
pub struct InCluster<'a> {
    /// The shards.
    pub shards: &'a Shards,
    /// Where the slots are.
    pub map: Arc<ShardMap>,
    /// The data of each shard, taken when it is first asked for; most batches need one of them.
    generations: SmallVec<[OnceCell<Option<Arc<Generation>>>; 4]>,
    /// Whether it waits until what has arrived of a shard is visible, before it takes the shard's data.
    catches_up: bool,
}

impl<'a> InCluster<'a> {
    /// The shards as they are now.
    #[must_use]
    pub fn new(shards: &'a Shards) -> Self {
        let map = shards.map();
        Self {
            shards,
            generations: map.parts.iter().map(|_| OnceCell::new()).collect(),
            map,
            catches_up: false,
        }
    }

    /// The same for requests that may have been sent after a write whose effect their client expects to see: see
    /// [`Served::catch_up`]. To look at a shard costs a system call, so those that nobody asks for are left alone.
    #[must_use]
    pub fn for_requests(shards: &'a Shards) -> Self {
        Self {
            catches_up: true,
            ..Self::new(shards)
        }
    }

    /// The data of a shard; `None` before its first sync.
    #[must_use]
    pub fn generation(&self, part: usize) -> Option<&Generation> {
        let held = self.generations.get(part)?;
        let current = || {
            let served = &self.map.parts.get(part)?.served;
            if self.catches_up {
                served.catch_up();
            }
            served.current()
        };
        held.get_or_init(current).as_deref()
    }

    /// The data of each shard.
    pub fn generations(&self) -> impl Iterator<Item = Option<&Generation>> {
        (0..self.map.parts.len()).map(|part| self.generation(part))
    }

    /// The data of any shard: for what all have in common.
    #[must_use]
    pub fn any(&self) -> Option<&Generation> {
        self.all().next()
    }

    /// Whether readers of the shard whose history has this point see everything up to it.
    #[must_use]
    pub fn reach(&self, point: Point) -> Reach {
        let parts = self.map.parts.iter().zip(self.generations());
        let reaches =
            parts.filter_map(|(part, generation)| Some(part.served.reach(generation?, point)));
        let mut known = reaches.filter(|reach| *reach != Reach::Unknown);
        known.next().unwrap_or(Reach::Unknown)
    }

    /// The data of all shards that have any.
    pub fn all(&self) -> impl Iterator<Item = &Generation> {
        self.generations().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_open_since_it_was_first_served_by_nobody() {
        let open = |slot: u16, before: &ShardMap| {
            let mut wanted = ClusterSlots::default();
            wanted.insert(slot);
            let mut map = ShardMap::default();
            map.note_open(&wanted, before);
            map
        };
        let first = open(5, &ShardMap::default());
        assert!(first.open.contains(5));
        let still = open(5, &first);
        assert_eq!(
            (still.open_since, first.open_since.is_some()),
            (first.open_since, true)
        );
        std::thread::sleep(Duration::from_millis(2));
        assert!(
            open(6, &still).open_since > still.open_since,
            "another slot"
        );
        let mut none = ShardMap::default();
        none.note_open(&ClusterSlots::default(), &still);
        assert_eq!(none.open_since, None);
    }
}

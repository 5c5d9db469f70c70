//! A whole cluster: a replica for each shard, and who may answer for which slot.
//!
//! Each shard has its own link, writer, history and offset. One task ([`Supervisor`]) hears what the cluster's nodes say
//! (`upstream::cluster`), starts and ends replicas, turns each to its shard's new primary after a failover, and decides who serves a
//! slot:
//!
//! 1. A shard serves a slot once its primary has proven that it owns it (`prover`), and no other shard serves it any more.
//! 2. It ends to serve a slot as soon as its primary, or a node with a newer epoch, says that it has it no longer. From then until the
//!    other shard is proven, nobody serves it: requests wait.
//! 3. While a slot is being moved key by key, its old shard answers for the keys that it still has. For a key that it lacks, the other
//!    shard answers, once it has everything that had been moved when the key was found missing.
//!
//! So a slot is served from exactly one shard, and whoever gets it has everything that the one before it had: its proof is younger than
//! the move, and it counts only when the data has got that far.

mod followed;
mod prover;
mod relay;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, Notify, mpsc};
use tokio::task::{AbortHandle, JoinHandle};
use tokio_util::sync::CancellationToken;

use self::followed::Followed;
use self::prover::Statement;
use self::relay::Relay;
use super::Config;
use crate::command::{ClusterNode, Face, Importing, ShardMap, Shards};
use crate::history::Point;
use crate::limits::CLUSTER_NODES_MAX;
use crate::slots::ClusterSlots;
use crate::state::Root;
use crate::store::Served;
use crate::upstream::cluster::{Account, Asked, Common, Move, Picture, Seen, ask_again, picture};
use crate::upstream::{Address, Cluster, Upstream};

/// How often each node is asked while nothing happens.
const PACE: Duration = Duration::from_secs(1);

/// How often while slots are on their way.
const PACE_MOVING: Duration = Duration::from_millis(50);

/// How often to look whether a shard has applied enough.
const LOOK: Duration = Duration::from_millis(10);

/// How long a shard without slots is still followed: it may get some again.
const EMPTY_PATIENCE: Duration = Duration::from_secs(10);

/// Which part of a cluster to follow.
#[derive(Debug, Clone)]
pub struct ClusterPart {
    /// The slots: only shards that have any of them are followed.
    pub slots: ClusterSlots,
    /// Nodes, by id or as host:port: only their shards are followed, whatever slots these have. If there is none, all are.
    pub shards: Vec<String>,
}

/// A cluster that is followed.
#[derive(Debug)]
pub struct ClusterReplica {
    shards: Arc<Shards>,
    settings: Arc<Served>,
    stop: CancellationToken,
    task: Mutex<Option<JoinHandle<()>>>,
    supervisor: AbortHandle,
    /// No other process may use the shards' directories.
    _root: Option<Root>,
}

impl ClusterReplica {
    /// Starts to follow `part` of a cluster. Must be called inside a tokio runtime. `root` is the state directory's lock.
    ///
    /// # Errors
    /// If `config` does not name a cluster.
    pub fn start(
        config: Config,
        face: Face,
        part: ClusterPart,
        root: Option<Root>,
    ) -> io::Result<Self> {
        let Upstream::Cluster(cluster) = config.upstream.upstream.clone() else {
            return Err(io::Error::other("there is no cluster:// address"));
        };
        let shards = Arc::new(Shards::new(face));
        let (settings, _) = Served::new(Arc::new(config.tuning()));
        let settings = Arc::new(settings);
        let stop = CancellationToken::new();
        let relay = Relay {
            shards: Arc::clone(&shards),
            cluster: cluster.clone(),
            config: config.upstream.clone(),
        };
        tokio::spawn(relay.run(stop.child_token()));
        let supervisor = Supervisor {
            config,
            cluster,
            unknown: part.shards.clone(),
            part,
            wanted: ClusterSlots::default(),
            shards: Arc::clone(&shards),
            settings: Arc::clone(&settings),
            accounts: HashMap::new(),
            common: Common::default(),
            askers: HashMap::new(),
            followed: Vec::new(),
            picture: Picture::new(),
            pace_ms: Arc::new(AtomicU64::new(0)),
            moving_until: Instant::now(),
        };
        let task = tokio::spawn(supervisor.run(stop.clone()));
        Ok(Self {
            shards,
            settings,
            stop,
            supervisor: task.abort_handle(),
            _root: root,
            task: Mutex::new(Some(task)),
        })
    }

    /// The shards.
    #[must_use]
    pub const fn shards(&self) -> &Arc<Shards> {
        &self.shards
    }

    /// The settings of the store that all shards share. It serves nothing.
    #[must_use]
    pub const fn settings(&self) -> &Arc<Served> {
        &self.settings
    }

    /// Returns whether it works: whether somebody notices what becomes of the cluster, and every shard's writer works. Call it
    /// often: see [`Part::works`].
    pub fn works(&self) -> impl Fn() -> bool + Send + Sync + use<> {
        let (shards, supervisor) = (Arc::clone(&self.shards), self.supervisor.clone());
        move || {
            let map = shards.map();
            // Ask all: each compares what it sees with what it saw before.
            let idle = map.parts.iter().filter(|part| !(part.works)()).count();
            idle == 0 && !supervisor.is_finished()
        }
    }

    /// Returns a function that accepts the full resyncs that are held back.
    pub fn resync_acceptor(&self) -> impl Fn() + Send + Sync + use<> {
        let shards = Arc::clone(&self.shards);
        move || {
            shards
                .map()
                .parts
                .iter()
                .for_each(|part| (part.accept_resync)())
        }
    }

    /// Ends all replicas, and waits until they have ended.
    pub async fn stop(&self) {
        self.stop.cancel();
        if let Some(task) = self.task.lock().await.take() {
            // A task that panicked has ended, too.
            let _ = task.await;
        }
    }
}

struct Asker {
    stop: CancellationToken,
    wake: Arc<Notify>,
    /// The id of the node there, once it is known.
    id: Option<String>,
}

struct Supervisor {
    config: Config,
    cluster: Cluster,
    part: ClusterPart,
    /// Names of shards that no node has had so far.
    unknown: Vec<String>,
    /// The slots to serve.
    wanted: ClusterSlots,
    shards: Arc<Shards>,
    settings: Arc<Served>,
    /// What each node said last, by its id.
    accounts: HashMap<String, Account>,
    common: Common,
    askers: HashMap<Address, Asker>,
    followed: Vec<Followed>,
    picture: Picture,
    pace_ms: Arc<AtomicU64>,
    /// Until when slots count as moving.
    moving_until: Instant,
}

/// Nobody notices any more when a shard loses slots: nothing may be served, whatever ended this.
impl Drop for Supervisor {
    fn drop(&mut self) {
        self.shards.set_settled(false);
        for followed in &mut self.followed {
            followed.serve(ClusterSlots::default());
        }
        self.publish(true);
    }
}

impl Supervisor {
    async fn run(mut self, stop: CancellationToken) {
        let (sender, mut listener) = mpsc::channel(64);
        for node in self.cluster.nodes.clone() {
            self.ask(node.address, &sender, &stop);
        }
        let shards = Arc::clone(&self.shards);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                asked = listener.recv() => {
                    if let Some(asked) = asked {
                        self.hear(asked).await;
                        self.meet(&sender, &stop);
                    }
                }
                () = shards.proof_wanted() => self.wake_primaries(),
                () = tokio::time::sleep(LOOK), if self.waits() => self.look(),
            }
        }
        for followed in &self.followed {
            followed.replica.stop().await;
        }
    }

    /// Begins to ask the node at `address`, unless it is being asked.
    fn ask(&mut self, address: Address, sender: &mpsc::Sender<Asked>, stop: &CancellationToken) {
        if self.askers.contains_key(&address) || self.askers.len() >= CLUSTER_NODES_MAX {
            return;
        }
        let asker = Asker {
            stop: stop.child_token(),
            wake: Arc::default(),
            id: None,
        };
        let pace_ms = Arc::clone(&self.pace_ms);
        let pace = move || match pace_ms.load(Ordering::Relaxed) {
            // Nodes are not all asked at the same time.
            0 => PACE.mul_f64(0.75 + fastrand::f64() / 2.0),
            ms => Duration::from_millis(ms),
        };
        tokio::spawn(ask_again(
            self.cluster.node(address.clone()),
            self.config.upstream.clone(),
            pace,
            Arc::clone(&asker.wake),
            sender.clone(),
            asker.stop.clone(),
        ));
        self.askers.insert(address, asker);
    }

    /// Asks the nodes that have become known, and no longer those that are gone.
    fn meet(&mut self, sender: &mpsc::Sender<Asked>, stop: &CancellationToken) {
        let known: Vec<Address> = self
            .picture
            .values()
            .filter_map(|seen| seen.address.clone())
            .collect();
        for address in &known {
            self.ask(address.clone(), sender, stop);
        }
        if known.is_empty() {
            return;
        }
        let seeds: Vec<&Address> = self
            .cluster
            .nodes
            .iter()
            .map(|node| &node.address)
            .collect();
        let picture = &self.picture;
        self.askers.retain(|address, asker| {
            // A node that has two addresses is asked at the one that the others know.
            let is_double = asker.id.as_ref().is_some_and(|id| picture.contains_key(id));
            let stays = known.contains(address) || (seeds.contains(&address) && !is_double);
            if !stays {
                asker.stop.cancel();
            }
            stays
        });
    }

    async fn hear(&mut self, asked: Asked) {
        match asked.said {
            Ok(account) => {
                self.set_fault(None);
                if let Some(asker) = self.askers.get_mut(&asked.address) {
                    asker.id = Some(account.id.clone());
                }
                let id = account.id.clone();
                let before = self.accounts.get(&id);
                let is_new = !before.is_some_and(|before| before.agrees_with(&account));
                self.accounts.insert(id.clone(), account);
                // Most answers say nothing new but an offset, and there may be many.
                if is_new {
                    // A slot may stay marked for days. So what counts is whether something happens.
                    self.moving_until = Instant::now() + PACE * 2;
                    self.redraw();
                    self.settle();
                    // The others most likely have news, too: whoever has lost its slots is not the one that has them.
                    self.askers
                        .values()
                        .for_each(|asker| asker.wake.notify_one());
                }
                let has_changed = self.prove(&id);
                if is_new || has_changed || self.pace_ms.load(Ordering::Relaxed) > 0 {
                    self.hand_over(is_new);
                }
                self.drop_empty().await;
            }
            Err(error) => {
                tracing::debug!(address = %asked.address, error, "cannot ask a node of the cluster");
                let asker = self.askers.get(&asked.address);
                if let Some(id) = asker.and_then(|asker| asker.id.as_ref()) {
                    self.accounts.remove(id);
                }
                if self.accounts.is_empty() {
                    self.set_fault(Some(format!("{}: {error}", asked.address)));
                } else {
                    self.redraw();
                    self.settle();
                    self.hand_over(true);
                }
            }
        }
    }

    fn set_fault(&self, fault: Option<String>) {
        if self.shards.set_fault(fault.clone())
            && let Some(fault) = fault
        {
            tracing::warn!(error = fault, "no node of the cluster answers");
        }
    }

    /// Makes a new picture, if any node sees a working cluster.
    fn redraw(&mut self) {
        if self.accounts.values().any(|account| account.is_ok) {
            self.picture = picture(self.accounts.values());
        }
    }

    /// Takes what a node says of its own slots as a proof, if it is the primary of a shard. Returns whether other slots are settled
    /// now.
    fn prove(&mut self, id: &str) -> bool {
        let Some(account) = self.accounts.get(id).filter(|account| account.is_ok) else {
            return false;
        };
        let (Some(myself), Some(replid)) = (account.myself(), account.replid) else {
            return false;
        };
        let Some(seen) = self.picture.get(id).filter(|seen| seen.is_primary) else {
            return false;
        };
        let mut stable = seen.slots.clone();
        stable.keep_all(&self.wanted);
        let leaving = myself.moves.iter().filter(|moved| moved.leaves);
        leaving.for_each(|moved| stable.remove(moved.slot));
        let is_followed = |id: &str| self.followed.iter().any(|one| *one.part.primary == *id);
        let coming = |moved: &&Move| !moved.leaves && is_followed(&moved.other);
        let mut slots = ClusterSlots::default();
        let coming = myself.moves.iter().filter(coming);
        coming.for_each(|moved| slots.insert(moved.slot));
        let at = Point {
            replid,
            offset: account.offset,
        };
        let importing = Importing {
            asked: Some(account.asked),
            until: account.offset,
            slots,
        };
        let said = Statement {
            node: id.into(),
            epoch: myself.epoch,
            replid,
            offset: account.offset,
            stable: stable.clone(),
        };
        let primary = |one: &&mut Followed| *one.part.primary == *id;
        let Some(followed) = self.followed.iter_mut().find(primary) else {
            return false;
        };
        followed.import(importing, at);
        let before = followed.settled();
        // Before anything counts as proven that others must not rely on any more.
        let mut served = followed.served.clone();
        served.remove_all(&stable);
        if !served.is_empty() {
            self.shards.set_settled(false);
        }
        if followed.hear(said) && !followed.publish() {
            followed.forget();
        }
        self.shards.note_news();
        followed.settled() != before
    }

    /// Whether a proof waits until more is applied.
    fn waits(&self) -> bool {
        self.followed.iter().any(Followed::waits)
    }

    /// Looks whether more has been applied that a proof waits for.
    fn look(&mut self) {
        let mut has_news = false;
        for followed in &mut self.followed {
            if followed.admit_imports() {
                self.shards.note_news();
            }
            if followed.advance() {
                has_news = true;
                if !followed.publish() {
                    followed.forget();
                }
            }
        }
        if has_news {
            self.hand_over(false);
        }
    }

    /// Follows the shards of the picture, each at its servers.
    fn settle(&mut self) {
        self.adopt();
        self.want();
        let cluster = &self.cluster;
        for followed in &mut self.followed {
            followed.turn_to(&self.picture, cluster);
        }
    }

    /// Finds the shard of each primary that has slots, and begins to follow the new ones.
    fn adopt(&mut self) {
        let owners: Vec<String> = self
            .picture
            .values()
            .filter(|seen| seen.is_primary && self.part.slots.shares(&seen.slots))
            .map(|seen| seen.id.clone())
            .collect();
        for primary in owners {
            if self
                .followed
                .iter()
                .any(|one| *one.part.primary == *primary)
            {
                continue;
            }
            let has_slots = |id: &str| {
                self.picture
                    .get(id)
                    .is_some_and(|seen| seen.is_primary && !seen.slots.is_empty())
            };
            let promoted = self
                .followed
                .iter_mut()
                .find(|one| one.members.contains(&primary) && !has_slots(&one.part.primary));
            if let Some(shard) = promoted {
                tracing::info!(shard = %shard.part.name, before = %shard.part.primary, now = primary, "the shard has another primary");
                shard.part.primary = primary.as_str().into();
                shard.members.insert(primary);
                continue;
            }
            if self.is_chosen(&primary) {
                self.follow(&primary);
            }
        }
    }

    /// Whether the shard of a primary is one of those to follow.
    fn is_chosen(&mut self, primary: &str) -> bool {
        let of_shard =
            |seen: &&Seen| seen.id == primary || seen.primary.as_deref() == Some(primary);
        let mut chosen = self.part.shards.is_empty();
        for seen in self.picture.values().filter(of_shard) {
            let is_named = |name: &String| {
                seen.id == *name
                    || seen
                        .address
                        .as_ref()
                        .is_some_and(|at| at.to_string() == *name)
            };
            chosen |= self.part.shards.iter().any(is_named);
            self.unknown.retain(|name| !is_named(name));
        }
        chosen
    }

    /// Sets which slots to serve: those of the shards that are followed, if some are named, else all that are to be followed.
    fn want(&mut self) {
        let mut wanted = self.part.slots.clone();
        if !self.part.shards.is_empty() {
            let mut there = ClusterSlots::default();
            let seen = self
                .followed
                .iter()
                .filter_map(|one| self.picture.get(&*one.part.primary));
            seen.for_each(|seen| there.add_all(&seen.slots));
            wanted.keep_all(&there);
            if !self.picture.is_empty() {
                for name in self.unknown.drain(..) {
                    tracing::warn!(
                        name,
                        "the cluster has no node with this id or address: see --shards"
                    );
                }
            }
        }
        if wanted != self.wanted {
            self.shards.want(wanted.clone());
            self.wanted = wanted;
        }
    }

    fn follow(&mut self, primary: &str) {
        let taken: Vec<&str> = self.followed.iter().map(|one| &*one.part.name).collect();
        let state = self
            .config
            .state
            .as_ref()
            .map(|state| state.folder.as_path());
        let known = state.and_then(|folder| remembered(folder, primary, &taken));
        let name = known.unwrap_or_else(|| primary.to_owned());
        let servers = followed::servers(primary, &self.picture, &self.cluster);
        match Followed::start(
            &self.config,
            self.settings.tuning(),
            &name,
            primary,
            servers,
            self.common.clone(),
        ) {
            Ok(followed) => {
                tracing::info!(
                    shard = name,
                    primary,
                    "following another shard of the cluster"
                );
                self.followed.push(followed);
            }
            Err(error) => {
                tracing::error!(shard = name, %error, "cannot follow a shard of the cluster");
                self.set_fault(Some(error.to_string()));
            }
        }
    }

    /// Ends the replicas of shards that have had no slots for a while.
    async fn drop_empty(&mut self) {
        let now = Instant::now();
        for followed in &mut self.followed {
            // A node that has left the cluster has none.
            let seen = self.picture.get(&*followed.part.primary);
            let has_slots = seen.is_some_and(|seen| self.part.slots.shares(&seen.slots));
            if has_slots {
                followed.empty_since = None;
            } else {
                followed.empty_since.get_or_insert(now);
            }
        }
        let is_over = |one: &mut Followed| {
            one.served.is_empty()
                && one
                    .empty_since
                    .is_some_and(|since| now.duration_since(since) > EMPTY_PATIENCE)
        };
        let gone: Vec<Followed> = self.followed.extract_if(.., is_over).collect();
        if gone.is_empty() {
            return;
        }
        self.publish(false);
        for one in gone {
            tracing::info!(shard = %one.part.name, "the shard has no slots any more: redtail does not follow it any longer");
            one.replica.stop().await;
        }
    }

    /// Ends to serve what shards have lost, then serves what they have proven. Shows that to clients, and the picture if it is new.
    fn hand_over(&mut self, is_new: bool) {
        let mut changes = false;
        for followed in &mut self.followed {
            let lost = followed.lost(&self.picture);
            if !lost.is_empty() {
                self.shards.set_settled(false);
                followed.lose(&lost);
                changes = true;
            }
        }
        let mut taken = ClusterSlots::default();
        self.followed
            .iter()
            .for_each(|one| taken.add_all(&one.served));
        for followed in &mut self.followed {
            let Some(seen) = self.picture.get(&*followed.part.primary) else {
                continue;
            };
            let mut gained = followed.settled();
            gained.keep_all(&seen.slots);
            gained.keep_all(&self.wanted);
            gained.remove_all(&taken);
            if !gained.is_empty() {
                taken.add_all(&gained);
                gained.add_all(&followed.served);
                followed.serve(gained);
                changes = true;
            }
        }
        let has_moved = self.moving_until > Instant::now();
        if changes || is_new {
            self.publish(changes);
        }
        let mut open = self.wanted.clone();
        for followed in &self.followed {
            let mut certain = followed.settled();
            certain.keep_all(&followed.served);
            open.remove_all(&certain);
        }
        let was_settled = self.shards.is_settled();
        self.shards.set_settled(open.is_empty());
        if open.is_empty() && !was_settled {
            self.shards.note_news();
        }
        let needs_more = self.followed.iter().any(Followed::needs_more);
        let is_slow = !has_moved && !needs_more;
        let pace = if is_slow { Duration::ZERO } else { PACE_MOVING };
        let pace = u64::try_from(pace.as_millis()).unwrap_or(0);
        self.pace_ms.store(pace, Ordering::Relaxed);
        if changes {
            self.remember();
        }
    }

    /// Shows clients who has what.
    fn publish(&self, changes_hands: bool) {
        let parts = self
            .followed
            .iter()
            .map(|one| (one.part.clone(), one.served.clone()));
        let nodes = self.picture.values().filter_map(|seen| {
            let (host, port) = seen.address.as_ref()?.host_and_port();
            Some(ClusterNode {
                id: seen.id.clone(),
                host,
                port,
                is_primary: seen.is_primary,
                primary: seen.primary.clone(),
                is_down: seen.is_down,
                epoch: seen.epoch,
                offset: self.accounts.get(&seen.id).map(|account| account.offset),
                slots: seen.slots.clone(),
            })
        });
        let map = ShardMap::new(parts.collect(), nodes.collect());
        self.shards.publish(map, changes_hands);
    }

    fn wake_primaries(&self) {
        let addresses: BTreeMap<&str, &Address> = self
            .picture
            .values()
            .filter_map(|seen| Some((seen.id.as_str(), seen.address.as_ref()?)))
            .collect();
        for followed in &self.followed {
            let address = addresses.get(&*followed.part.primary);
            if let Some(asker) = address.and_then(|address| self.askers.get(*address)) {
                asker.wake.notify_one();
            }
        }
    }

    /// Notes which nodes belong to a shard's directory, so that a restart finds it.
    fn remember(&self) {
        let Some(state) = &self.config.state else {
            return;
        };
        for one in &self.followed {
            let members: Vec<&str> = one.members.iter().map(String::as_str).collect();
            let path = state.folder.join(format!("{}{MEMBERS}", one.part.name));
            let fresh = state.folder.join(format!("{}{MEMBERS}.new", one.part.name));
            let written = std::fs::write(&fresh, members.join("\n"))
                .and_then(|()| std::fs::rename(&fresh, &path));
            if let Err(error) = written {
                tracing::warn!(path = %path.display(), %error, "cannot note which nodes belong to a shard: a restart may need a full sync");
            }
        }
    }
}

/// What follows a shard's name in the name of the file with its nodes.
const MEMBERS: &str = ".nodes";

/// The name of the shard whose directory the node `id` belongs to, unless it is taken.
fn remembered(folder: &Path, id: &str, taken: &[&str]) -> Option<String> {
    let files = std::fs::read_dir(folder).ok()?;
    files.flatten().find_map(|file| {
        let name = file.file_name().into_string().ok()?;
        let name = name.strip_suffix(MEMBERS)?;
        let members = std::fs::read_to_string(file.path()).ok()?;
        let is_its = members.lines().any(|member| member == id) && !taken.contains(&name);
        is_its.then(|| name.to_owned())
    })
}

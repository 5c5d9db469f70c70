//! One shard that is followed: its replica, its servers, and what is proven of its slots.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::watch;

use super::prover::{Prover, Statement};
use crate::command::{Importing, Part};
use crate::history::Point;
use crate::replica::{Config, Replica};
use crate::slots::ClusterSlots;
use crate::store::{Ownership, Tuning};
use crate::upstream::cluster::{Common, Picture, Seen};
use crate::upstream::{Cluster, Node, Prefer, ShardServers, Upstream};

/// A shard that is followed.
pub(super) struct Followed {
    /// What clients see of it.
    pub(super) part: Part,
    pub(super) replica: Replica,
    /// The ids of the nodes that belong to it.
    pub(super) members: BTreeSet<String>,
    /// The slots that it serves.
    pub(super) served: ClusterSlots,
    /// Since when it has had no slots.
    pub(super) empty_since: Option<Instant>,
    servers: watch::Sender<Arc<Vec<Node>>>,
    prover: Prover,
    /// What the shard imports, once its data has got as far as its primary had when it said so.
    imports: Option<(Importing, Point)>,
}

impl Followed {
    /// Begins to follow the shard `name`, whose primary has the id `primary`.
    pub(super) fn start(
        config: &Config,
        tuning: &Tuning,
        name: &str,
        primary: &str,
        servers: Vec<Node>,
        common: Common,
    ) -> io::Result<Self> {
        let (servers, receiver) = watch::channel(Arc::new(servers));
        let mut config = config.clone();
        config.upstream.upstream = Upstream::Shard(ShardServers::new(receiver, common));
        if let Some(state) = &mut config.state {
            state.folder.push(name);
        }
        let ownership = Arc::<Ownership>::default();
        let tuning = tuning.of_shard(Arc::clone(&ownership));
        let replica = Replica::prepare_tuned(config, tuning)?.start()?;
        let sources = replica.sources().clone();
        let pulse = Mutex::new(replica.pulse());
        let works = move || {
            // A poisoned lock still holds whole signs.
            let mut pulse = pulse.lock().unwrap_or_else(PoisonError::into_inner);
            pulse.beats(Instant::now())
        };
        let part = Part {
            name: name.into(),
            primary: primary.into(),
            served: Arc::clone(replica.served()),
            ownership,
            importing: Arc::default(),
            replication: Arc::new(move || sources.replication()),
            works: Arc::new(works),
            accept_resync: Arc::new(replica.resync_acceptor()),
        };
        Ok(Self {
            part,
            replica,
            members: BTreeSet::from([primary.to_owned()]),
            served: ClusterSlots::default(),
            empty_since: None,
            servers,
            prover: Prover::default(),
            imports: None,
        })
    }

    /// Follows the servers that the picture names.
    pub(super) fn turn_to(&mut self, picture: &Picture, cluster: &Cluster) {
        let primary = &*self.part.primary;
        let stays = |id: &String| {
            let seen = picture.get(id);
            id == primary
                || seen.is_none_or(|seen| match seen.is_primary {
                    true => seen.slots.is_empty(),
                    false => seen.primary.as_deref() == Some(primary),
                })
        };
        self.members.retain(stays);
        let replicas = replicas(primary, picture).map(|seen| seen.id.clone());
        self.members.extend(replicas);
        let servers = servers(primary, picture, cluster);
        // If nobody knows better, stay.
        if servers.is_empty() {
            return;
        }
        self.servers.send_if_modified(|now| {
            let differs = **now != servers;
            if differs {
                *now = Arc::new(servers);
            }
            differs
        });
    }

    /// Takes what the primary says. Returns whether more is proven.
    pub(super) fn hear(&mut self, said: Statement) -> bool {
        let has_news = self.prover.take(said);
        self.advance() || has_news
    }

    /// Looks how far the data has come. Returns whether more is proven.
    pub(super) fn advance(&mut self) -> bool {
        let sources = self.replica.sources();
        let is_same = |replica: &crate::replica::Sources, prover: &Prover| {
            let history = prover.history();
            history.is_some() && replica.figures.history().replid == history
        };
        is_same(sources, &self.prover) && self.prover.advance(sources.progress.applied())
    }

    /// Takes which slots the primary imports. What it said before waits first, so that a shard that lags gets anywhere.
    pub(super) fn import(&mut self, importing: Importing, at: Point) {
        let is_none = importing.slots.is_empty();
        if is_none && !self.part.importing.load().slots.is_empty() {
            self.part.importing.store(Arc::default());
        }
        match &self.imports {
            _ if is_none => self.imports = None,
            Some((waiting, _)) if waiting.slots == importing.slots => {}
            _ => self.imports = Some((importing, at)),
        }
        self.admit_imports();
    }

    /// Lets readers see what the shard imports, if its data has got far enough. Returns whether they see more.
    pub(super) fn admit_imports(&mut self) -> bool {
        let sources = self.replica.sources();
        let (replid, applied) = (sources.figures.history().replid, sources.progress.applied());
        let is_reached =
            |(_, at): &mut (Importing, Point)| replid == Some(at.replid) && at.offset <= applied;
        let reached = self.imports.take_if(is_reached);
        let is_news = reached.is_some();
        if let Some((importing, _)) = reached {
            self.part.importing.store(Arc::new(importing));
        }
        is_news
    }

    /// Makes what is proven count for readers. Returns whether it does: not if another history has begun since.
    pub(super) fn publish(&mut self) -> bool {
        let sources = self.replica.sources();
        let history = self.prover.history();
        let (settled, proven) = self.prover.proof();
        let figures = &sources.figures;
        let still_holds = || history.is_some() && figures.history().replid == history;
        self.part
            .ownership
            .prove(settled.clone(), proven, still_holds)
    }

    /// The slots that the shard serves and does not have any more. If its primary has left the cluster, they are those that others
    /// have; what nobody else has is still what it was.
    pub(super) fn lost(&self, picture: &Picture) -> ClusterSlots {
        let mut lost = self.served.clone();
        match picture.get(&*self.part.primary) {
            Some(seen) => lost.remove_all(&seen.slots),
            None => {
                let mut elsewhere = ClusterSlots::default();
                picture
                    .values()
                    .for_each(|seen| elsewhere.add_all(&seen.slots));
                lost.keep_all(&elsewhere);
            }
        }
        lost
    }

    /// Ends to serve slots that the shard has lost. If they come back, they must be proven anew.
    pub(super) fn lose(&mut self, lost: &ClusterSlots) {
        let mut kept = self.served.clone();
        kept.remove_all(lost);
        self.serve(kept);
        self.prover.lose(lost);
    }

    /// Begins to prove anew.
    pub(super) fn forget(&mut self) {
        self.prover = Prover::default();
    }

    /// The slots that are settled.
    pub(super) fn settled(&self) -> ClusterSlots {
        self.part.ownership.now().settled.clone()
    }

    /// Whether a proof waits until more is applied.
    pub(super) const fn waits(&self) -> bool {
        self.prover.waits() || self.imports.is_some()
    }

    /// Whether slots could be settled if the primary spoke once more.
    pub(super) const fn needs_more(&self) -> bool {
        self.prover.needs_more()
    }

    /// Serves these slots from now on.
    pub(super) fn serve(&mut self, slots: ClusterSlots) {
        self.part.ownership.serve(slots.clone());
        self.served = slots;
    }
}

/// The replicas of a primary.
fn replicas<'p>(primary: &'p str, picture: &'p Picture) -> impl Iterator<Item = &'p Seen> {
    let follows = move |seen: &&Seen| !seen.is_primary && seen.primary.as_deref() == Some(primary);
    picture.values().filter(follows)
}

/// The servers to follow for the shard of a primary: it, or its replicas that are up.
pub(super) fn servers(primary: &str, picture: &Picture, cluster: &Cluster) -> Vec<Node> {
    let node = |seen: &Seen| seen.address.clone().map(|address| cluster.node(address));
    let mut servers = Vec::new();
    if cluster.prefer == Prefer::Replica {
        let up = replicas(primary, picture).filter(|seen| !seen.is_down);
        servers.extend(up.filter_map(node));
    }
    if servers.is_empty() {
        servers.extend(picture.get(primary).and_then(node));
    }
    servers
}

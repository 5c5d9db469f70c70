//! Hears what the cluster's nodes say, and decides who serves a slot.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::followed::Followed;
use super::prover::Statement;
use super::{ClusterPart, Config};
use crate::command::{ClusterNode, Importing, ShardMap, Shards};
use crate::history::Point;
use crate::limits::CLUSTER_NODES_MAX;
use crate::slots::ClusterSlots;
use crate::store::Served;
use crate::upstream::cluster::{Account, Asked, Common, Move, Picture, ask_again, picture};
use crate::upstream::{Address, Cluster};

/// How often each node is asked while nothing happens.
const PACE: Duration = Duration::from_secs(1);

/// How often while slots are on their way.
const PACE_MOVING: Duration = Duration::from_millis(50);

/// How often to look whether a shard has applied enough.
const LOOK: Duration = Duration::from_millis(10);

/// Who asks one node.
struct Asker {
    stop: CancellationToken,
    wake: Arc<Notify>,
    /// The id of the node there, once it is known.
    id: Option<String>,
}

/// The task that follows a cluster.
pub(super) struct Supervisor {
    pub(super) config: Config,
    pub(super) cluster: Cluster,
    pub(super) part: ClusterPart,
    /// Names of shards that no node has had so far.
    pub(super) unknown: Vec<String>,
    /// The slots to serve.
    pub(super) wanted: ClusterSlots,
    pub(super) shards: Arc<Shards>,
    pub(super) settings: Arc<Served>,
    /// What each node said last, by its id.
    accounts: HashMap<String, Account>,
    pub(super) common: Common,
    askers: HashMap<Address, Asker>,
    pub(super) followed: Vec<Followed>,
    pub(super) picture: Picture,
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
    /// Will follow `part` of `cluster`, and say in `shards` what is known.
    pub(super) fn new(
        config: Config,
        cluster: Cluster,
        part: ClusterPart,
        shards: Arc<Shards>,
        settings: Arc<Served>,
    ) -> Self {
        Self {
            config,
            cluster,
            unknown: part.shards.clone(),
            part,
            wanted: ClusterSlots::default(),
            shards,
            settings,
            accounts: HashMap::new(),
            common: Common::default(),
            askers: HashMap::new(),
            followed: Vec::new(),
            picture: Picture::new(),
            pace_ms: Arc::new(AtomicU64::new(0)),
            moving_until: Instant::now(),
        }
    }

    /// Works until `stop`.
    pub(super) async fn run(mut self, stop: CancellationToken) {
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

    pub(super) fn set_fault(&self, fault: Option<String>) {
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
    pub(super) fn publish(&self, changes_hands: bool) {
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
}

//! Subscribes at the cluster's servers to what redtail's clients want to hear.
//!
//! A message that is published anywhere reaches every server of the cluster, so channels and patterns are subscribed to at one server.
//! A shard channel's messages stay in its shard: it is subscribed to at the primary that has its slot.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::command::{ClusterNode, Kind, ShardMap, Shards, bus};
use crate::slots::cluster_slot;
use crate::upstream::cluster::{Heard, Names, subscribe};
use crate::upstream::{Address, Cluster, Config};

/// How long after the end of a connection the next one begins.
const PAUSE: Duration = Duration::from_millis(200);

/// Why messages may be lost after a panic.
const FAILED: &str = "hearing the cluster's messages failed";

/// How often to look whether another server has a slot.
const LOOK: Duration = Duration::from_millis(500);

/// A connection to a server.
struct Ear {
    wanted: watch::Sender<Arc<Names>>,
    stop: CancellationToken,
}

impl Ear {
    fn wants(&self, kind: usize, name: &[u8]) -> bool {
        let wanted = self.wanted.borrow();
        wanted.get(kind).is_some_and(|names| names.contains(name))
    }

    /// Wants some names no longer, until they are asked for again.
    fn drop_where(&self, is_dropped: impl Fn(Kind, &Arc<[u8]>) -> bool) {
        let mut wanted = Names::clone(&self.wanted.borrow());
        for (kind, names) in Kind::ALL.into_iter().zip(&mut wanted) {
            names.retain(|name| !is_dropped(kind, name));
        }
        // Its receiver lives as long as the connection, whose end is heard.
        let _ = self.wanted.send(Arc::new(wanted));
    }
}

/// Subscribes at servers of the cluster.
pub(super) struct Relay {
    pub(super) shards: Arc<Shards>,
    pub(super) cluster: Cluster,
    pub(super) config: Config,
}

/// What comes from a server.
type FromEar = (Address, Heard);

impl Relay {
    /// Listens until `stop` is cancelled. If that panics, it begins again, and all subscriptions count as ended.
    pub(super) async fn run(self, stop: CancellationToken) {
        let relay = Arc::new(self);
        loop {
            let end = stop.child_token();
            // The connections end with the task.
            let _ended = end.clone().drop_guard();
            match tokio::spawn(Arc::clone(&relay).listen_on(end)).await {
                Err(error) if error.is_panic() => relay.shards.bus.end_all(FAILED),
                Ok(()) | Err(_) => return,
            }
            tracing::error!(
                "hearing the cluster's messages failed, which is a bug of redtail: disconnected their subscribers, and subscribe again"
            );
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn listen_on(self: Arc<Self>, stop: CancellationToken) {
        let (sender, mut receiver) = mpsc::channel::<FromEar>(64);
        let mut ears: HashMap<Address, Ear> = HashMap::new();
        let mut home: Option<Address> = None;
        let mut not_before = Instant::now();
        loop {
            let wanted = self.shards.bus.wanted();
            if Instant::now() >= not_before {
                self.listen(&wanted, &mut home, &mut ears, &sender, &stop);
            }
            let look = match not_before > Instant::now() {
                true => not_before,
                false => Instant::now() + LOOK,
            };
            let is_idle = ears.is_empty() && wanted.iter().all(HashSet::is_empty);
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.shards.bus.asked() => {}
                heard = receiver.recv() => if let Some((address, heard)) = heard
                    && self.hear(&address, heard, &mut ears)
                {
                    not_before = Instant::now() + PAUSE;
                },
                () = sleep_until(look), if !is_idle => {}
            }
        }
    }

    /// Subscribes to what is wanted, each at its server.
    fn listen(
        &self,
        wanted: &[HashSet<Arc<[u8]>>; 3],
        home: &mut Option<Address>,
        ears: &mut HashMap<Address, Ear>,
        sender: &mpsc::Sender<FromEar>,
        stop: &CancellationToken,
    ) {
        let map = self.shards.map();
        let [channels, patterns, shard_channels] = wanted;
        let mut at: HashMap<Address, Names> = HashMap::new();
        if !channels.is_empty() || !patterns.is_empty() {
            let is_good = |home: &Address| {
                let is_up = map
                    .nodes
                    .iter()
                    .any(|node| is_at(node, home) && !node.is_down);
                is_up && ears.contains_key(home)
            };
            if !home.as_ref().is_some_and(is_good) {
                *home = any_server(&map);
            }
            if let Some(home) = &home {
                let names = at.entry(home.clone()).or_default();
                names[0].extend(channels.iter().cloned());
                names[1].extend(patterns.iter().cloned());
            }
        }
        for channel in shard_channels {
            if let Some(node) = map.primary_of(cluster_slot(channel)) {
                let names = at.entry(address(node)).or_default();
                names[2].insert(Arc::clone(channel));
            }
        }
        for (address, ear) in &mut *ears {
            let names = at.remove(address).unwrap_or_default();
            let before = Arc::clone(&ear.wanted.borrow());
            // What is to be heard elsewhere from now on may be missed in between.
            let moved = Kind::ALL.iter().zip(before.iter().zip(&names)).zip(wanted);
            let moved = moved.flat_map(|((kind, (before, now)), wanted)| {
                let gone = before.difference(now);
                gone.filter(|name| wanted.contains(*name))
                    .map(|name| (*kind, name))
            });
            self.shards.bus.end(moved, None);
            if *before != names {
                // Its receiver lives as long as the connection, whose end is heard.
                let _ = ear.wanted.send(Arc::new(names));
            }
        }
        for (address, names) in at {
            let ear = self.connect(&address, names, sender, stop);
            ears.insert(address, ear);
        }
        let is_silent = |ear: &Ear| ear.wanted.borrow().iter().all(HashSet::is_empty);
        let silent = ears.extract_if(|_, ear| is_silent(ear));
        silent.for_each(|(_, ear)| ear.stop.cancel());
    }

    fn connect(
        &self,
        address: &Address,
        names: Names,
        sender: &mpsc::Sender<FromEar>,
        stop: &CancellationToken,
    ) -> Ear {
        let (wanted, receiver) = watch::channel(Arc::new(names));
        let (inner, mut heard) = mpsc::channel(64);
        let stop = stop.child_token();
        let node = self.cluster.node(address.clone());
        tokio::spawn(subscribe(
            node,
            self.config.clone(),
            receiver,
            inner,
            stop.clone(),
        ));
        let (sender, address, ended) = (sender.clone(), address.clone(), stop.clone());
        tokio::spawn(async move {
            let mut is_gone = false;
            while !is_gone {
                // A connection whose task has panicked says nothing of its end.
                let heard = heard.recv().await;
                let heard = heard.unwrap_or_else(|| Heard::Gone(FAILED.to_owned()));
                is_gone = matches!(heard, Heard::Gone(_));
                // What comes from a connection that was given up does not count.
                if ended.is_cancelled() || sender.send((address.clone(), heard)).await.is_err() {
                    return;
                }
            }
        });
        Ear { wanted, stop }
    }

    /// Passes on what came from a server. Returns whether something must be subscribed to again, after a pause.
    fn hear(&self, address: &Address, heard: Heard, ears: &mut HashMap<Address, Ear>) -> bool {
        let bus = &self.shards.bus;
        let Some(ear) = ears.get(address) else {
            return false;
        };
        match heard {
            Heard::Begun(kind, name) => {
                if ear.wants(kind, &name)
                    && let Some(kind) = Kind::ALL.get(kind)
                {
                    bus.begin(*kind, &name);
                    self.shards.note_news();
                }
            }
            // It may be wanted nowhere by now. If it is wanted here, the server has ended it: its slot moves.
            Heard::Ended(kind, name) => {
                let is_wanted = ear.wants(kind, &name);
                if is_wanted && let Some(kind) = Kind::ALL.get(kind) {
                    let name = Arc::from(&*name);
                    bus.end(std::iter::once((*kind, &name)), None);
                    ear.drop_where(|other, wanted| other == *kind && *wanted == name);
                }
                return is_wanted;
            }
            Heard::Refused(reason) => {
                tracing::debug!(%address, reason, "a server refuses a subscription");
                bus.end(std::iter::empty(), Some(format!("{address}: {reason}")));
                ear.drop_where(|kind, name| !bus.is_heard(kind, name));
                return true;
            }
            Heard::Message {
                kind,
                name,
                channel,
                payload,
            } => {
                if let Some(kind) = Kind::ALL.get(kind) {
                    bus.tell(bus::Heard::Message {
                        kind: *kind,
                        name,
                        channel,
                        payload,
                    });
                }
            }
            Heard::Gone(reason) => return self.give_up(address, ears, reason),
        }
        false
    }

    /// Ends all subscriptions at a server.
    fn give_up(&self, address: &Address, ears: &mut HashMap<Address, Ear>, reason: String) -> bool {
        let Some(ear) = ears.remove(address) else {
            return false;
        };
        ear.stop.cancel();
        tracing::info!(%address, reason, "the connection for the cluster's messages ended");
        let wanted = Arc::clone(&ear.wanted.borrow());
        let names = Kind::ALL.iter().zip(wanted.iter());
        let names = names.flat_map(|(kind, names)| names.iter().map(|name| (*kind, name)));
        self.shards.bus.end(names, Some(reason));
        true
    }
}

fn address(node: &ClusterNode) -> Address {
    Address::of(&node.host, node.port)
}

fn is_at(node: &ClusterNode, place: &Address) -> bool {
    address(node) == *place
}

/// A server that is up: a replica if there is one, to be gentle to the primaries.
fn any_server(map: &ShardMap) -> Option<Address> {
    let all = map.nodes.iter().filter(|node| !node.is_down);
    let (primaries, replicas): (Vec<_>, Vec<_>) = all.partition(|node| node.is_primary);
    // Another one each time: this one may be down without anybody having noticed.
    let replica = fastrand::choice(replicas);
    replica.or_else(|| fastrand::choice(primaries)).map(address)
}

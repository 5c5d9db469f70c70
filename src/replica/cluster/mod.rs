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
mod roster;
mod supervisor;

use std::io;
use std::sync::Arc;

use tokio::sync::Mutex;
use tokio::task::{AbortHandle, JoinHandle};
use tokio_util::sync::CancellationToken;

use self::relay::Relay;
use self::supervisor::Supervisor;
use super::Config;
use crate::command::{Face, Shards};
use crate::slots::ClusterSlots;
use crate::state::Root;
use crate::store::Served;
use crate::upstream::Upstream;

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
        let supervisor = Supervisor::new(
            config,
            cluster,
            part,
            Arc::clone(&shards),
            Arc::clone(&settings),
        );
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

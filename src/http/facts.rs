//! One consistent reading of the server and the replica.

use std::sync::Arc;
use std::time::Duration;

use crate::command::client::Client;
use crate::command::{ClusterState, Host, Replication, Seen, Statistics, resident};
use crate::dialect::Dialect;
use crate::server::Server;
use crate::store::{Figures, Generation, unix_ms};

/// What the operator's answers are made of, all of one moment.
pub struct Facts {
    /// When they were read, in Unix milliseconds.
    pub at_unix_ms: i64,
    /// The health in words, and since when.
    pub seen: Seen,
    /// The link, the syncs and the stream.
    pub replication: Replication,
    /// The dialect of replies; `None` before the first sync.
    pub dialect: Option<Dialect>,
    /// The databases that hold keys.
    pub databases: Vec<Figures>,
    /// Keys that answer TAINTED; `None` if all do.
    pub tainted_keys: Option<usize>,
    /// Whether there is data: of a cluster, that of all shards.
    has_data: bool,
    /// Resident bytes of the process, 0 if the system does not say.
    pub resident_bytes: u64,
    /// The peak of those bytes.
    pub resident_peak_bytes: u64,
    /// The connections, oldest first.
    pub clients: Vec<Arc<Client>>,
    /// The cluster that is followed: then the figures above are those of all its shards together.
    pub cluster: Option<ClusterState>,
    /// The data itself. Of a cluster, its shards have it.
    pub(super) generation: Option<Arc<Generation>>,
    server: Arc<Server>,
}

impl Facts {
    /// Reads everything. May wait for locks of the store: call it where waiting is allowed.
    #[must_use]
    pub fn read(server: &Arc<Server>) -> Self {
        match server.shards() {
            None => server.served().steadily(|| Self::of_replica(server)),
            Some(shards) => Self::of_cluster(server, shards.state()),
        }
    }

    fn of_replica(server: &Arc<Server>) -> Self {
        let generation = server.served().current();
        let replication = server.replication();
        let seen = server.health_of(&replication, generation.as_deref());
        let spaces = generation.as_ref().map(|generation| &generation.spaces);
        let taints = spaces.map(|spaces| spaces.taints());
        let tainted_keys = taints.map_or(Some(0), |taints| {
            (!taints.everything()).then(|| taints.count())
        });
        let dialect = generation.as_ref().map(|generation| generation.dialect);
        Self {
            dialect,
            databases: spaces.map(|spaces| spaces.figures()).unwrap_or_default(),
            tainted_keys,
            has_data: generation.is_some(),
            generation: generation.clone(),
            ..Self::with(server, seen, replication)
        }
    }

    /// Each shard was read at a moment of its own.
    fn of_cluster(server: &Arc<Server>, cluster: ClusterState) -> Self {
        let seen = server.health_of_cluster(&cluster);
        let common = Self::with(server, seen, cluster.replication());
        let dialect = cluster.generations().next().map(|one| one.dialect);
        Self {
            dialect,
            databases: cluster.databases(),
            tainted_keys: cluster.tainted_keys(),
            has_data: cluster.is_whole(),
            cluster: Some(cluster),
            ..common
        }
    }

    /// What does not depend on the data.
    fn with(server: &Arc<Server>, seen: Seen, replication: Replication) -> Self {
        let (resident_bytes, resident_peak_bytes) = resident();
        Self {
            at_unix_ms: unix_ms(),
            seen,
            replication,
            dialect: None,
            databases: Vec::new(),
            tainted_keys: None,
            has_data: false,
            resident_bytes,
            resident_peak_bytes,
            clients: server.clients(),
            cluster: None,
            generation: None,
            server: Arc::clone(server),
        }
    }

    /// What the server has counted.
    #[must_use]
    pub fn statistics(&self) -> &Statistics {
        self.server.statistics()
    }

    /// The server itself.
    #[must_use]
    pub fn host(&self) -> &dyn Host {
        &*self.server
    }

    /// How long the process has served.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.statistics().started.elapsed()
    }

    /// Bytes that are received and not visible yet; `None` while there is no data, which could be behind.
    #[must_use]
    pub fn lag_bytes(&self) -> Option<u64> {
        self.has_data.then(|| self.replication.lag_bytes())
    }

    /// All keys, expired ones included.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.databases.iter().map(|db| db.keys).sum()
    }

    /// Bytes of all data, with what holds it.
    #[must_use]
    pub fn data_bytes(&self) -> usize {
        self.databases.iter().map(|db| db.memory_bytes).sum()
    }

    /// Memory by purpose. The last is everything that has no other: the program, a snapshot being loaded, scripts that run, and
    /// what the allocator holds free.
    #[must_use]
    pub fn memory_purposes(&self) -> Vec<(&'static str, u64)> {
        let of = |is_string: bool| -> usize {
            let kinds = self.databases.iter().flat_map(|db| &db.kinds);
            let kinds = kinds.filter(|kind| (kind.kind == "string") == is_string);
            kinds.map(|kind| kind.bytes).sum()
        };
        let tables: usize = self.databases.iter().map(|db| db.table_bytes).sum();
        let scripts = self.host().scripting().figures();
        let mut purposes = vec![
            ("entries", of(true) as u64),
            ("collections", of(false) as u64),
            ("tables", tables as u64),
            ("clients", self.clients_bytes() as u64),
            ("spool", self.replication.spool_memory_bytes),
            (
                "scripts",
                (scripts.cached_bytes + scripts.resting_bytes) as u64,
            ),
        ];
        let known: u64 = purposes.iter().map(|(_, bytes)| bytes).sum();
        purposes.push(("other", self.resident_bytes.saturating_sub(known)));
        purposes
    }

    /// Bytes of the requests and replies of all connections.
    #[must_use]
    pub fn clients_bytes(&self) -> usize {
        self.statistics().budget.held()
    }
}

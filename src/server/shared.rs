//! The state that all connections share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::audience::Audience;
use super::clients::Clients;
use super::config::{Access, Config, Listen};
use super::courier::Couriers;
use super::health::Watch;
#[cfg(not(feature = "lua"))]
use super::no_scripts::Engine;
use crate::command::acl::Users;
use crate::command::client::Client;
use crate::command::{
    ClusterState, Data, Host, Pubsub, Replication, Scripting, Seen, SetLogLevel, Shards,
    Statistics, Tunables, units_of,
};
use crate::resp::Budget;
#[cfg(feature = "lua")]
use crate::script::Engine;
use crate::store::{Generation, Served};

/// A server: its settings, its connections and the data it serves.
pub struct Server {
    pub(super) config: Config,
    pub(super) clients: Clients,
    pub(super) statistics: Statistics,
    pub(super) tunables: Tunables,
    scripts: Engine,
    health: Watch,
    pub(super) pubsub: Arc<Pubsub>,
    pub(super) couriers: Couriers,
    pub(super) audience: Audience,
    pub(super) users: Arc<Users>,
    served: Arc<Served>,
    /// The shards that have the data, if a cluster is followed; then `served` has none.
    shards: Option<Arc<Shards>>,
    replication: Box<dyn Fn() -> Replication + Send + Sync>,
}

impl Server {
    /// Creates a server of the data in `served`. `replication` returns the replica's state whenever a client asks for it.
    #[must_use]
    pub fn new(
        config: Config,
        served: Arc<Served>,
        replication: impl Fn() -> Replication + Send + Sync + 'static,
    ) -> Arc<Self> {
        Self::of(config, served, None, Box::new(replication))
    }

    /// Creates a server of the data of all `shards`. `settings` has no data: only the settings that all of them share.
    #[must_use]
    pub fn of_cluster(config: Config, settings: Arc<Served>, shards: Arc<Shards>) -> Arc<Self> {
        let seen = Arc::clone(&shards);
        let replication = move || seen.state().replication();
        Self::of(config, settings, Some(shards), Box::new(replication))
    }

    fn of(
        config: Config,
        served: Arc<Served>,
        shards: Option<Arc<Shards>>,
        replication: Box<dyn Fn() -> Replication + Send + Sync>,
    ) -> Arc<Self> {
        let users = config.users.clone();
        let users =
            users.unwrap_or_else(|| Arc::new(Users::new(config.password.clone(), units_of)));
        let statistics = Statistics {
            budget: Arc::new(Budget::new(config.clients_memory)),
            ..Statistics::default()
        };
        Arc::new(Self {
            scripts: Engine::new(config.script_share),
            tunables: tunables(&config),
            config,
            clients: Clients::default(),
            statistics,
            health: Watch::default(),
            pubsub: Arc::default(),
            couriers: match &shards {
                None => Couriers::of(served.feed()),
                // They come with the shards.
                Some(_) => Couriers::default(),
            },
            audience: Audience::default(),
            users,
            served,
            shards,
            replication,
        })
    }

    /// Returns the health of the replica in this state with this data, in words, and since when it is so.
    #[must_use]
    pub fn health_of(&self, replication: &Replication, generation: Option<&Generation>) -> Seen {
        let taints = generation.map(|held| held.spaces.taints());
        let data = Data {
            is_there: generation.is_some(),
            tainted_keys: taints.map_or(Some(0), |taints| {
                (!taints.everything()).then(|| taints.count())
            }),
            is_part: false,
        };
        self.health.see(replication.health(data))
    }

    /// Returns the health of a cluster in this state, in words, and since when it is so.
    #[must_use]
    pub fn health_of_cluster(&self, cluster: &ClusterState) -> Seen {
        self.health.see(cluster.health())
    }

    /// Returns the data that is served: of a cluster, that of each shard that has any.
    #[must_use]
    pub fn data(&self) -> Vec<Arc<Generation>> {
        match &self.shards {
            None => self.served.current().into_iter().collect(),
            Some(shards) => {
                let map = shards.map();
                let parts = map.parts.iter();
                parts.filter_map(|part| part.served.current()).collect()
            }
        }
    }

    /// Whether there is data: of a cluster, that of all shards.
    #[must_use]
    pub fn has_data(&self) -> bool {
        match &self.shards {
            None => self.served.peek().is_some(),
            Some(shards) => {
                let map = shards.map();
                let mut parts = map.parts.iter();
                !map.parts.is_empty() && parts.all(|part| part.served.peek().is_some())
            }
        }
    }

    /// Returns the most bytes of replies that may wait for one connection.
    pub(super) fn reply_bytes_max(&self) -> usize {
        let own = self.config.reply_bytes_max;
        self.tunables.output_limits.reply_bytes_max(own)
    }

    /// Returns the data, or for a cluster, what its shards have in common.
    pub(super) const fn whole(&self) -> &Arc<Served> {
        &self.served
    }

    /// Waits until what has arrived is visible: see [`Served::catch_up`]. In a cluster, each shard is waited for when it is asked for:
    /// see [`InCluster::for_requests`].
    pub(super) fn catch_up(&self) {
        if self.shards.is_none() {
            self.served.catch_up();
        }
    }

    /// Returns the number of open connections.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.clients.len()
    }
}

/// Returns the settings that start as in `config` and can change at run time.
fn tunables(config: &Config) -> Tunables {
    let log_level = config.log_level.clone();
    let mut tunables =
        Tunables::new(log_level.map(|set| -> SetLogLevel { Box::new(move |level| set(level)) }));
    let idle_ms = u64::try_from(config.idle_timeout.as_millis()).unwrap_or(u64::MAX);
    tunables.idle_ms = AtomicU64::new(idle_ms);
    tunables.keepalive_seconds = AtomicU64::new(config.keepalive.as_secs());
    tunables.clients_max = AtomicU64::new(config.clients_max as u64);
    tunables.word_bytes_max = AtomicU64::new(config.word_bytes_max as u64);
    tunables.query_bytes_max = AtomicU64::new(config.query_bytes_max as u64);
    let normal = config.reply_bytes_max;
    let mut limits = format!("normal {normal} 0 0 {OTHER_CLIENTS}");
    for given in &config.output_limits {
        limits = given.within(&limits);
    }
    tunables.output_limits.adopt(&limits);
    tunables.events = AtomicU32::new(config.events.bits());
    tunables
}

impl Host for Server {
    fn served(&self) -> &Served {
        &self.served
    }

    fn shards(&self) -> Option<&Shards> {
        self.shards.as_deref()
    }

    fn databases(&self) -> usize {
        let served = self.served.peek();
        let there = served.as_ref().map_or(0, |held| held.spaces.databases());
        self.config.databases.max(there)
    }

    fn users(&self) -> &Users {
        &self.users
    }

    fn clients(&self) -> Vec<Arc<Client>> {
        self.clients.all()
    }

    fn client(&self, id: u64) -> Option<Arc<Client>> {
        self.clients.find(id)
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let config = &self.config;
        let mut bind = Vec::new();
        let mut unix = String::new();
        let mut tls_port = 0;
        for listen in &config.listen {
            match listen {
                Listen::Tcp(address) => bind.push(address.ip().to_string()),
                Listen::Tls(address) => {
                    bind.push(address.ip().to_string());
                    tls_port = address.port();
                }
                Listen::Unix(path) => unix = path.display().to_string(),
            }
        }
        let port = self.statistics.port.load(Ordering::Relaxed);
        let number = |number: &AtomicU64| number.load(Ordering::Relaxed).to_string();
        let tunables = &self.tunables;
        let timeout = tunables.idle_ms.load(Ordering::Relaxed) / 1000;
        let tracks = self.served().tuning().tracks_access();
        let mut all = vec![
            ("bind", bind.join(" ")),
            ("port", port.to_string()),
            ("tls-port", tls_port.to_string()),
            ("unixsocket", unix),
            ("databases", self.databases().to_string()),
            (
                "protected-mode",
                if config.protected { "yes" } else { "no" }.to_owned(),
            ),
            ("enable-debug-command", config.debug.word().to_owned()),
            (
                "aclfile",
                self.users
                    .file()
                    .map_or_else(String::new, |file| file.display().to_string()),
            ),
            ("acllog-max-len", number(&tunables.acl_log_max)),
            ("maxclients", number(&tunables.clients_max)),
            ("script-share", config.script_share.percent().to_string()),
            ("timeout", timeout.to_string()),
            ("tcp-keepalive", number(&tunables.keepalive_seconds)),
            ("track-access", if tracks { "yes" } else { "no" }.to_owned()),
            (
                "client-query-buffer-limit",
                number(&tunables.query_bytes_max),
            ),
            (
                "clients-memory",
                self.statistics.budget.bytes_max().to_string(),
            ),
            ("proto-max-bulk-len", number(&tunables.word_bytes_max)),
            ("client-output-buffer-limit", tunables.output_limits.shown()),
            ("dir", working_directory()),
        ];
        if config.password.is_none() {
            all.push(("requirepass", String::new()));
        }
        all.extend(config.shown.iter().cloned());
        all
    }

    fn tunables(&self) -> &Tunables {
        &self.tunables
    }

    fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    fn replication(&self) -> Replication {
        (self.replication)()
    }

    fn health(&self) -> Seen {
        if let Some(shards) = &self.shards {
            return self.health_of_cluster(&shards.state());
        }
        self.served.steadily(|| {
            let generation = self.served.peek();
            self.health_of(&self.replication(), generation.as_deref())
        })
    }

    fn pubsub(&self) -> &Arc<Pubsub> {
        &self.pubsub
    }

    fn hear(&self) {
        self.couriers.hear(|| self.wanted());
    }

    fn scripting(&self) -> &dyn Scripting {
        &self.scripts
    }

    fn relieve(&self, bytes: usize) {
        if self.clients.end_largest(bytes) {
            let closes = &self.statistics.reply_limit_closes;
            closes.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn allows_debug(&self, client: &Client) -> bool {
        match self.config.debug {
            Access::No => false,
            Access::Local => client.is_local(),
            Access::Yes => true,
        }
    }
}

/// Servers' default limits for other clients than normal ones.
const OTHER_CLIENTS: &str = "slave 268435456 67108864 60 pubsub 33554432 8388608 60";

fn working_directory() -> String {
    let path = std::env::current_dir().unwrap_or_default();
    path.display().to_string()
}

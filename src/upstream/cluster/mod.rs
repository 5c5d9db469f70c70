//! Clusters: which servers there are, which slots each has, and which it moves.
//!
//! Every node is asked again and again, over a connection of its own: for its offset (`INFO replication`), for the state of the
//! cluster as it sees it (`CLUSTER INFO`), and for the nodes that it knows (`CLUSTER NODES`). Of all that a cluster's servers say, only
//! CLUSTER NODES has the configuration epochs, which decide between two servers that claim the same slot, and the marks of slots that
//! are being moved. The order of the questions matters: what a node says of its slots is younger than the offset that it named before.
//!
//! `nodes` reads what one node says, `ask` asks it, `subscriber` listens to its messages, `topology` makes one picture of what all say, and `replica::cluster` decides what
//! follows from it. A node that sees no working cluster (`cluster_state:fail`) has no say about slots: it may be on the wrong side of a
//! partition.

mod ask;
mod nodes;
mod subscriber;
mod topology;
mod turns;

use std::str::FromStr;
use std::sync::Arc;

use tokio::sync::watch;

use super::Prefer;
use super::address::{Address, AddressError, Node, server};
use super::secret::Login;
use super::spool::Pool;

pub use ask::{Asked, ask_again};
pub use nodes::{Account, Member, Move};
pub use subscriber::{Heard, Names, subscribe};
pub use topology::{Picture, Seen, picture};
pub(super) use turns::Turn;
use turns::Turns;

/// The port of a node whose address names none.
const DEFAULT_PORT: u16 = 6379;

/// A cluster, and what to follow of it. Parses from `cluster://[user:password@]host[:port],…[?prefer=replica]`, or `clusters://…` for
/// TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Some of its nodes; they name all others. The login and the use of TLS are those of all nodes.
    pub nodes: Vec<Node>,
    /// Which servers of each shard to follow.
    pub prefer: Prefer,
}

impl Cluster {
    /// Whether `text` is the address of a cluster.
    pub(super) fn is_in(text: &str) -> bool {
        ["cluster://", "clusters://"]
            .iter()
            .any(|scheme| text.starts_with(scheme))
    }
}

impl FromStr for Cluster {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (scheme, rest) = text.split_once("://").ok_or(AddressError::Cluster)?;
        let tls = match scheme {
            "cluster" => false,
            "clusters" => true,
            other => return Err(AddressError::Scheme(other.to_owned())),
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let rest = rest.trim_end_matches("/0").trim_end_matches('/');
        if rest.contains(['/', '#']) || query.contains('#') {
            return Err(AddressError::Cluster);
        }
        let (login, hosts) = super::address::login_and_host(rest);
        let node = |host: &str| {
            Ok(Node {
                address: server(host.trim(), DEFAULT_PORT)?,
                tls,
                login: login.clone(),
            })
        };
        let mut cluster = Self {
            nodes: hosts.split(',').map(node).collect::<Result<_, _>>()?,
            prefer: Prefer::Primary,
        };
        for option in query.split('&').filter(|option| !option.is_empty()) {
            cluster.prefer = match option {
                "prefer=primary" => Prefer::Primary,
                "prefer=replica" => Prefer::Replica,
                _ => return Err(AddressError::ClusterOption),
            };
        }
        Ok(cluster)
    }
}

/// The servers of one shard that may be followed, best first. They change while the cluster does.
#[derive(Debug, Clone)]
pub struct ShardServers {
    servers: watch::Receiver<Arc<Vec<Node>>>,
    common: Common,
}

/// What the shards of a cluster share.
#[derive(Debug, Clone, Default)]
pub struct Common {
    /// Whose turn it is to be sent a snapshot.
    pub(super) turns: Arc<Turns>,
    /// What waits in all spools.
    pub(super) pool: Arc<Pool>,
}

impl ShardServers {
    /// Follows what the sender says, beside all shards with the same `common`.
    #[must_use]
    pub const fn new(servers: watch::Receiver<Arc<Vec<Node>>>, common: Common) -> Self {
        Self { servers, common }
    }

    /// What it shares with other shards.
    pub(super) const fn common(&self) -> &Common {
        &self.common
    }

    /// The servers now.
    #[must_use]
    pub fn now(&self) -> Arc<Vec<Node>> {
        Arc::clone(&self.servers.borrow())
    }

    /// Waits until the servers are not `before` any more.
    pub(super) async fn differ_from(&mut self, before: &[Node]) {
        let differ = |now: &Arc<Vec<Node>>| now.as_slice() != before;
        if self.servers.wait_for(differ).await.is_err() {
            // The shard is gone; its link is about to be ended.
            std::future::pending().await
        }
    }

    /// Waits until `server` is no longer one to follow.
    pub(super) async fn leave_out(&mut self, server: &Address) {
        let is_left_out = |now: &Arc<Vec<Node>>| !now.iter().any(|node| node.address == *server);
        if self.servers.wait_for(is_left_out).await.is_err() {
            std::future::pending().await
        }
    }
}

/// Two are the same if they say the same now.
impl PartialEq for ShardServers {
    fn eq(&self, other: &Self) -> bool {
        self.servers.same_channel(&other.servers)
    }
}

impl Eq for ShardServers {}

/// The login that all nodes share.
impl Cluster {
    /// Returns how to reach a node at `address`.
    #[must_use]
    pub fn node(&self, address: Address) -> Node {
        let first = self.nodes.first();
        Node {
            address,
            tls: first.is_some_and(|node| node.tls),
            login: first.map_or_else(Login::default, |node| node.login.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn understands_clusters_with_and_without_everything() {
        let plain: Cluster = "cluster://h".parse().unwrap();
        assert_eq!(plain.nodes.len(), 1);
        assert_eq!(plain.prefer, Prefer::Primary);
        let full: Cluster = "clusters://app:p%40@h1:7001, [::1]:7002,h3?prefer=replica"
            .parse()
            .unwrap();
        let shown: Vec<String> = full
            .nodes
            .iter()
            .map(|node| node.address.to_string())
            .collect();
        assert_eq!(shown, ["h1:7001", "[::1]:7002", "h3:6379"]);
        assert!(
            full.nodes
                .iter()
                .all(|node| node.tls && node.login.user.as_deref() == Some("app"))
        );
        assert_eq!(full.prefer, Prefer::Replica);
        assert!("cluster://h/0".parse::<Cluster>().is_ok());
        for wrong in [
            "cluster://",
            "cluster://h/1",
            "cluster://h?x=1",
            "cluster://h#x",
            "cluster://a,",
        ] {
            let error = wrong.parse::<Cluster>().unwrap_err();
            assert!(!error.to_string().is_empty(), "{wrong}");
        }
    }
}

//! A primary under load, with redtail behind a proxy and readers of redtail; and pairs of servers that swap roles.

use redtail::internal::replica;
use redtail::internal::upstream::AckPolicy;

use super::cut::{End, Place};
use super::load::Load;
use super::node::{Node, config, wait};
use super::proof::Proof;
use super::proxy::{FREE, Plan, Proxy};
use super::reader::{Readers, Seen};
use super::{number, word};
use crate::client::Client;
use crate::servers::Server;

/// Everything that runs beside the servers. The fields are dropped in this order.
pub struct Stage {
    readers: Option<Readers>,
    pub node: Node,
    pub proxy: Proxy,
    pub load: Load,
    seen: Vec<Seen>,
}

impl Stage {
    /// Starts writers at `primary`, and redtail as a follower of the server on port `followed`.
    pub fn start(primary: &Server, followed: u16) -> Self {
        Self::with(primary, followed, AckPolicy::Auto, |_| {})
    }

    /// The same with another acknowledgement policy, and with other changes to the configuration.
    pub fn with(
        primary: &Server,
        followed: u16,
        acks: AckPolicy,
        change: impl FnOnce(&mut replica::Config),
    ) -> Self {
        let load = Load::start(primary.port, number("REDTAIL_FAULT_SEED", 1));
        let proxy = Proxy::start(followed);
        let mut config = config(proxy.port);
        config.upstream.acks = acks;
        change(&mut config);
        let node = Node::with(config);
        // If redtail follows a replica, that replica may not have the readers' keys yet.
        wait("the readers' keys", || has_keys(&mut node.client()));
        Self {
            readers: Some(Readers::start(node.port)),
            node,
            proxy,
            load,
            seen: Vec::new(),
        }
    }

    /// Stops the writers, and compares redtail with `primary`.
    pub fn prove(&self, what: &str, primary: &Server) {
        let frozen = self.load.freeze();
        self.prove_still(what, primary);
        drop(frozen);
    }

    /// The same, when the writers are already stopped.
    pub fn prove_still(&self, what: &str, primary: &Server) {
        Proof::new(primary.client(), self.node.client()).same(what);
        self.check();
    }

    /// # Panics
    /// If a reader has seen something wrong.
    pub fn check(&self) {
        self.readers.iter().for_each(Readers::check);
    }

    /// Stops the readers until [`Self::read_on`], because writes that they have seen are about to be lost.
    pub fn stop_reading(&mut self) {
        self.seen.extend(self.readers.take().map(Readers::end));
    }

    /// Starts new readers, which remember nothing.
    pub fn read_on(&mut self) {
        self.readers = Some(Readers::start(self.node.port));
    }

    /// A number from redtail's INFO.
    pub fn figure(&self, name: &str) -> i64 {
        let figure = self.node.client().info("redtail", name);
        figure
            .and_then(|figure| figure.parse().ok())
            .expect("a number")
    }

    /// The numbers of full and partial syncs so far.
    pub fn syncs(&self) -> (i64, i64) {
        (
            self.figure("redtail_full_syncs"),
            self.figure("redtail_partial_syncs"),
        )
    }

    /// Cuts the connection after that number of bytes, and waits for the cut.
    pub fn cut(&self, bytes: u64, end: End) {
        let cuts = self.proxy.cuts();
        self.proxy.plan(Plan::cut(Place::Down(bytes), end, FREE));
        self.proxy.wait_for_cuts(cuts + 1);
    }

    /// Ends the readers. Returns the results of the last ones.
    pub fn end(mut self) -> Seen {
        self.stop_reading();
        self.seen.pop().expect("readers")
    }
}

fn has_keys(client: &mut Client) -> bool {
    client.command(&format!("SELECT {}", super::WATCHED_DB));
    client.command("EXISTS second steady:0 pair:b").integer() == Some(3)
}

/// A server for the writers. It replicates nothing that redtail cannot follow, sends no pings that move the offset, and does not
/// wait for replicas at shutdown.
pub fn primary(name: &str, more: &[&str]) -> Option<Server> {
    let mut words = vec!["--repl-backlog-size", "8mb", "--hz", "100"];
    words.extend(["--repl-ping-replica-period", "3600"]);
    match name {
        // Otherwise Redis 6.0 replicates scripts verbatim, which taints.
        "redis-6.0" => words.extend(["--lua-replicate-commands", "yes"]),
        _ => words.extend(["--shutdown-timeout", "0"]),
    }
    words.extend(more);
    Server::start(name, &words)
}

/// A primary and its replica, in sync and with the same settings.
pub fn pair(name: &str) -> Option<[Server; 2]> {
    let primary_server = primary(name, &[])?;
    let replica = replica(name, &primary_server);
    Some([primary_server, replica])
}

/// A replica of `primary` with a primary's settings.
pub fn replica(name: &str, of: &Server) -> Server {
    let port = of.port.to_string();
    let replica = primary(name, &["--replicaof", "127.0.0.1", &port]);
    let replica = replica.expect("the server was there a moment ago");
    wait("a replica's link", || {
        word(&replica, "replication", "master_link_status") == "up"
    });
    replica
}

/// Makes `to`, a replica of `from`, the primary, and `from` its replica. Nothing may be written at the same time.
pub fn fail_over(from: &Server, to: &Server) {
    to.wait_in_sync(from);
    assert_eq!(to.command("REPLICAOF NO ONE").text(), "OK");
    follow(from, to);
}

/// Makes a server the replica of another.
pub fn follow(server: &Server, of: &Server) {
    let line = format!("REPLICAOF 127.0.0.1 {}", of.port);
    assert_eq!(server.command(&line).text(), "OK");
}

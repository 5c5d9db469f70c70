//! Which server to try next.
//!
//! Servers are tried in rounds: each once, one after the other, without a pause in between. The one that worked last comes
//! first. A pause follows only after the whole round has failed. A list stays as it is; sentinels are asked again for each
//! attempt.

use std::future::pending;

use super::address::{Address, Node, Upstream};
use super::cluster::ShardServers;
use super::config::Config;
use super::error::{Error, Why};
use super::sentinel::{Circle, Told};
use super::status::Status;

/// A server to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) node: Node,
    /// What a sentinel says that it is.
    pub(super) told: Option<Told>,
}

/// Where the servers come from.
enum Source {
    List(Vec<Candidate>),
    Sentinels(Circle),
    Shard(ShardServers),
}

/// The servers that may be followed, and the progress of this round.
pub(super) struct Choice {
    source: Source,
    /// The server that worked last.
    last: Option<Node>,
    /// The server that is being tried.
    current: Option<Node>,
    /// The servers that have failed in this round.
    failed: Vec<Node>,
    /// Whether this round has more servers to try.
    others_left: bool,
}

impl Choice {
    pub(super) fn new(upstream: Upstream) -> Self {
        let candidate = |node| Candidate { node, told: None };
        Self {
            source: match upstream {
                Upstream::List(list) => Source::List(list.into_iter().map(candidate).collect()),
                Upstream::Sentinel(sentinels) => Source::Sentinels(Circle::new(sentinels)),
                Upstream::Shard(servers) => Source::Shard(servers),
                // A replica follows one shard: `replica::cluster` starts one for each.
                Upstream::Cluster(_) => Source::List(Vec::new()),
            },
            last: None,
            current: None,
            failed: Vec::new(),
            others_left: false,
        }
    }

    /// Returns the server to try now.
    ///
    /// # Errors
    /// Returns [`Error`] when there is none.
    pub(super) async fn next(&mut self, config: &Config) -> Result<Candidate, Error> {
        let candidates = self.candidates(config).await?;
        let is_untried = |one: &&Candidate| !self.failed.contains(&one.node);
        let mut untried = candidates.iter().filter(is_untried);
        let Some(chosen) = untried.next().or(candidates.first()).cloned() else {
            return Err(Error::Nobody);
        };
        self.others_left = untried.any(|one| one.node != chosen.node);
        self.current = Some(chosen.node.clone());
        Ok(chosen)
    }

    /// Notes that the attempt has ended. Returns whether another server can be tried at once.
    pub(super) fn ended(&mut self, worked: bool) -> bool {
        let others_left = std::mem::take(&mut self.others_left) && !worked;
        if !others_left {
            self.failed.clear();
        }
        match self.current.take() {
            Some(server) if worked => self.last = Some(server),
            Some(server) if others_left => self.failed.push(server),
            _ => {}
        }
        others_left
    }

    /// Waits until redtail should leave the server, and returns why. Only sentinels and clusters can say that.
    pub(super) async fn must_leave(
        &mut self,
        server: &Candidate,
        config: &Config,
        status: &Status,
    ) -> Error {
        match (&mut self.source, &server.told) {
            (Source::Sentinels(circle), Some(told)) => {
                let address = &server.node.address;
                Error::Moved(circle.watch(address, told, config, status).await)
            }
            (Source::Shard(servers), _) => {
                servers.leave_out(&server.node.address).await;
                Error::Moved(Why::NotOfShard)
            }
            _ => pending().await,
        }
    }

    /// Waits until there is something new to try. Only sentinels and clusters can say that.
    pub(super) async fn news(&mut self, config: &Config) {
        match &mut self.source {
            Source::Sentinels(circle) => circle.news(config).await,
            Source::Shard(servers) => {
                let before = servers.now();
                servers.differ_from(&before).await;
            }
            Source::List(_) => pending().await,
        }
    }

    /// Returns all servers, best first.
    async fn candidates(&mut self, config: &Config) -> Result<Vec<Candidate>, Error> {
        let last = self.last.as_ref();
        match &mut self.source {
            Source::Sentinels(circle) => {
                let last: Option<&Address> = last.map(|node| &node.address);
                circle.candidates(last, config).await
            }
            Source::Shard(servers) => {
                let candidate = |node: &Node| Candidate {
                    node: node.clone(),
                    told: None,
                };
                Ok(servers.now().iter().map(candidate).collect())
            }
            Source::List(list) => {
                let is_last = |one: &&Candidate| last == Some(&one.node);
                let first = list.iter().find(is_last);
                let rest = list.iter().filter(|one| !is_last(one));
                Ok(first.into_iter().chain(rest).cloned().collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    /// Makes one attempt for each element of `worked`; shows which servers were tried, and marks each pause with `|`.
    async fn tried(list: &str, worked: &[bool]) -> String {
        let upstream: Upstream = list.parse().unwrap();
        let config = Config::new(upstream.clone());
        let mut choice = Choice::new(upstream);
        let mut shown = String::new();
        for worked in worked {
            let server = choice.next(&config).await.unwrap().node;
            shown += &server.address.host_and_port().0;
            if !choice.ended(*worked) {
                shown.push('|');
            }
        }
        shown
    }

    #[tokio::test]
    async fn each_is_tried_once_a_round_and_a_pause_follows_the_round() {
        assert_eq!(tried("a", &[false; 3]).await, "a|a|a|");
        assert_eq!(tried("a,b,c", &[false; 7]).await, "abc|abc|a");
    }

    #[tokio::test]
    async fn what_worked_last_comes_first() {
        let worked = [false, true, false, false, false, false];
        assert_eq!(tried("a,b,c", &worked).await, "ab|bac|b");
    }

    #[tokio::test]
    async fn the_same_address_twice_is_one_server() {
        assert_eq!(tried("a,a", &[false; 2]).await, "a|a|");
    }
}

//! Proof of how far the server was at a given moment.
//!
//! The stream alone proves little: a server that says nothing may have nothing to say, or be gone. So the server is asked now
//! and then, on a connection of its own, up to which offset its history goes: who has applied that much has all that was
//! written until the question was sent.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::address::Node;
use super::config::Config;
use super::connect::connect;
use super::error::Error;
use super::link::ReplId;
use super::role::Role;
use super::status::Status;
use super::wire::Wire;

/// Where a history had come to at a moment, or later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proof {
    /// The moment.
    pub at: Instant,
    /// The history.
    pub replid: ReplId,
    /// Its end then.
    pub offset: u64,
}

impl Proof {
    /// What that role says, if it says anything: a replica whose own link is down does not know how far its history has come.
    fn of(role: &Role, at: Instant) -> Option<Self> {
        let speaks = role.primary.is_none() || role.link_up;
        let replid = *role.histories.first()?;
        speaks.then_some(Self {
            at,
            replid,
            offset: role.offset,
        })
    }
}

/// Asks for proofs for as long as a link lives.
pub(super) struct Prober<'u> {
    pub(super) server: &'u Node,
    pub(super) config: &'u Config,
    pub(super) status: &'u Status,
    pub(super) every: Duration,
}

impl Prober<'_> {
    /// Asks again and again; a connection that ends is replaced.
    pub(super) async fn run(&self) -> Infallible {
        loop {
            let Err(error) = self.ask().await;
            tracing::debug!(%error, "cannot ask the server for its offset");
            sleep(self.every).await;
        }
    }

    async fn ask(&self) -> Result<Infallible, Error> {
        let timing = &self.config.timing;
        let stream = connect(&self.server.address, self.server.tls, self.config).await?;
        let mut wire = Wire::new(stream, timing.handshake);
        wire.auth(&self.server.login).await?;
        let doing = "answering INFO";
        loop {
            let asked = Instant::now();
            let header = wire.ask(&["INFO", "replication"], doing).await?;
            match wire.bulk(&header, doing).await? {
                Some(info) => {
                    let role = Role::of(&String::from_utf8_lossy(&info));
                    self.status.prove(Proof::of(&role, asked));
                }
                None => self.refused(&wire.shown(&header)),
            }
            sleep(self.every).await;
        }
    }

    fn refused(&self, reply: &str) {
        if self.status.set_unprovable() {
            tracing::warn!(
                reply,
                "redtail's user may not ask the server for its offset (ACL SETUSER <user> +info allows it). Until it may, only what the \
                 server sends proves how fresh the data is: keep --max-staleness above its repl-ping-replica-period"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn proof(role: &str) -> Option<(String, u64)> {
        let id = "0123456789abcdef0123456789abcdef01234567";
        let info = format!("{role}\r\nmaster_replid:{id}\r\nmaster_repl_offset:17\r\n");
        let proof = Proof::of(&Role::of(&info), Instant::now())?;
        Some((proof.replid.to_string(), proof.offset))
    }

    #[test]
    fn a_replica_without_its_primary_proves_nothing() {
        assert_eq!(proof("role:master").unwrap().1, 17);
        assert_eq!(proof("role:slave\r\nmaster_link_status:up").unwrap().1, 17);
        assert_eq!(proof("role:slave\r\nmaster_link_status:down"), None);
        assert_eq!(Proof::of(&Role::of("role:master"), Instant::now()), None);
    }
}

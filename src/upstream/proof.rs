//! Proof of how far the server's history had come at a given moment.
//!
//! The stream alone proves little: a silent server may have nothing to send, or may be gone. So redtail asks the server at
//! intervals, on a separate connection, for the offset of its history. A replica that has applied that offset has everything
//! that was written before the question was sent.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::address::Node;
use super::config::Config;
use super::connect::connect;
use super::error::Error;
use super::role::Role;
use super::status::Status;
use super::wire::Wire;
use crate::history::Point;

/// How far a history had come at a given moment: this offset, or further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proof {
    /// The moment.
    pub at: Instant,
    /// The end of the history at that moment.
    pub point: Point,
}

impl Proof {
    /// Returns what `role` proves, if anything: a replica whose own link is down does not know how far its history has come.
    fn of(role: &Role, at: Instant) -> Option<Self> {
        let speaks = role.primary.is_none() || role.link_up;
        let replid = *role.histories.first()?;
        speaks.then_some(Self {
            at,
            point: Point {
                replid,
                offset: role.offset,
            },
        })
    }
}

/// Asks for proofs as long as a link lasts.
pub(super) struct Prober<'u> {
    pub(super) server: &'u Node,
    pub(super) config: &'u Config,
    pub(super) status: &'u Status,
    pub(super) every: Duration,
}

impl Prober<'_> {
    /// Asks again and again. Replaces a connection that ends.
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
                "redtail's user may not ask the server for its offset: allow it with ACL SETUSER <user> +info. Until then, only what the \
                 server sends proves how fresh the data is: keep --max-staleness above the server's repl-ping-replica-period"
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
        Some((proof.point.replid.to_string(), proof.point.offset))
    }

    #[test]
    fn a_replica_without_its_primary_proves_nothing() {
        assert_eq!(proof("role:master").unwrap().1, 17);
        assert_eq!(proof("role:slave\r\nmaster_link_status:up").unwrap().1, 17);
        assert_eq!(proof("role:slave\r\nmaster_link_status:down"), None);
        assert_eq!(Proof::of(&Role::of("role:master"), Instant::now()), None);
    }
}

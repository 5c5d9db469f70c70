//! The handshake: from a fresh connection to the server's answer to PSYNC.
//!
//! ```text
//! PING → [AUTH] → INFO server → [INFO replication] → [REPLCONF listening-port] → [REPLCONF rdb-no-…] → REPLCONF capa → REPLCONF version → PSYNC
//! ```
//! Each command waits for its reply. This matters for PSYNC in particular: a server refuses it while replies are pending.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep, timeout};

use super::address::{Address, Node};
use super::choose::Candidate;
use super::config::{AckPolicy, Config};
use super::connect::Connection;
use super::error::Error;
use super::kind::{self, Mode};
use super::link::Start;
use super::role::{Role, same_server};
use super::sentinel::Told;
use super::wire::Wire;
use crate::history::{Point, ReplId};

/// The version that redtail announces: the newest one whose snapshots it decodes. Valkey 9 sends older followers the RDB
/// format of Redis 7.2, and cannot send them a snapshot that contains a hash with expiring fields. Source: valkey 9.1 rdb.c,
/// `rdbSaveKeyValuePair`.
const ANNOUNCED_VERSION: &str = "9.1.0";

/// How often to check a replica that is behind redtail.
const CATCH_UP_LOOK: Duration = Duration::from_millis(50);

/// How long an answer to PSYNC may take before the log says what redtail is waiting for.
const PSYNC_QUIET: Duration = Duration::from_secs(1);

/// What an acknowledgement says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Acks {
    /// The applied offset.
    Honest,
    /// Always 0.
    Observer,
}

/// An accepted connection.
pub(super) struct Accepted {
    pub(super) start: Start,
    pub(super) stream: Box<dyn Connection>,
    /// The bytes that arrived right after the answer to PSYNC.
    pub(super) first: Bytes,
    pub(super) acks: Acks,
    pub(super) mode: Mode,
}

/// A connection in its handshake: reply lines in, commands out.
pub(super) struct Handshake<'s> {
    wire: Wire,
    server: &'s Node,
    told: Option<&'s Told>,
    config: &'s Config,
}

impl<'s> Handshake<'s> {
    pub(super) fn new(
        stream: Box<dyn Connection>,
        candidate: &'s Candidate,
        config: &'s Config,
    ) -> Self {
        Self {
            wire: Wire::new(stream, config.timing.handshake),
            server: &candidate.node,
            told: candidate.told.as_ref(),
            config,
        }
    }

    /// Shakes hands and asks to resume, or for a full resync.
    ///
    /// # Errors
    /// [`Error`].
    pub(super) async fn run(mut self, resume: Option<Point>) -> Result<Accepted, Error> {
        if let Err(error) = self.ping().await {
            return Err(self.recognised(error).await);
        }
        self.wire.auth(&self.server.login).await?;
        let mode = self.mode().await?;
        let role = self.role(resume).await?;
        verify(&self.server.address, self.told, role.as_ref()).await?;
        let acks = self.acks(role.as_ref());
        if let Some(port) = self.config.listening_port {
            self.replconf(&["listening-port", &port.to_string()])
                .await?;
        }
        let relief = self.config.relief.options(&self.server.address);
        if !relief.is_empty() {
            self.replconf(&relief).await?;
        }
        self.replconf(&["capa", "eof", "capa", "psync2"]).await?;
        // Sent separately: a server that does not know the option refuses the whole command.
        self.replconf(&["version", ANNOUNCED_VERSION]).await?;
        let start = self.psync(resume).await?;
        let (stream, first) = self.wire.into_parts();
        Ok(Accepted {
            start,
            stream,
            first,
            acks,
            mode,
        })
    }

    /// Returns how the server runs. INFO is the first command that a proxy may not know, and some proxies close the
    /// connection on an unknown command.
    async fn mode(&mut self) -> Result<Mode, Error> {
        match kind::ask(&mut self.wire, self.server).await {
            Err(error) if error.is_closing() => Err(Error::Untold(Box::new(error))),
            mode => mode,
        }
    }

    /// Returns why the server is not ready. A server that redtail cannot follow will never be ready: a redtail without data,
    /// for example.
    async fn recognised(&mut self, error: Error) -> Error {
        if !matches!(error, Error::NotReady { .. }) {
            return error;
        }
        match kind::ask(&mut self.wire, self.server).await {
            Err(known @ Error::NoServer(_)) => known,
            _ => error,
        }
    }

    async fn ping(&mut self) -> Result<(), Error> {
        let reply = match self.wire.ask(&["PING"], "answering PING").await {
            Err(error) if error.is_closing() && self.is_plain_tcp() => {
                return Err(Error::Speechless(Box::new(error)));
            }
            reply => reply?,
        };
        let proceeds = ["-NOAUTH", "-NOPERM", "-ERR operation not permitted"];
        if reply.starts_with('+') || proceeds.iter().any(|start| reply.starts_with(start)) {
            return Ok(());
        }
        Err(self.wire.error_of(&reply, "PING"))
    }

    const fn is_plain_tcp(&self) -> bool {
        !self.server.tls && matches!(self.server.address, Address::Tcp { .. })
    }

    /// Returns what acknowledgements will say. Without a configured choice, that depends on the server's role: below a
    /// primary, an observer loses nothing.
    fn acks(&self, role: Option<&Role>) -> Acks {
        match self.config.acks {
            AckPolicy::Honest => Acks::Honest,
            AckPolicy::Observer => Acks::Observer,
            AckPolicy::Auto if role.is_some_and(|role| role.primary.is_some()) => Acks::Honest,
            AckPolicy::Auto => Acks::Observer,
        }
    }

    /// Returns what the server says about its role, if that matters. Waits for a replica that is a little behind redtail to
    /// catch up.
    async fn role(&mut self, resume: Option<Point>) -> Result<Option<Role>, Error> {
        let unasked = self.config.acks != AckPolicy::Auto && self.told.is_none();
        if unasked && resume.is_none() {
            return Ok(None);
        }
        let deadline = Instant::now() + self.config.timing.handshake;
        loop {
            let role = self.info().await?;
            let lacks = |role: &Role| resume.map_or(0, |resume| role.lacks(resume));
            match role.as_ref().map_or(0, lacks) {
                0 => return Ok(role),
                lacking if Instant::now() > deadline => {
                    return Err(Error::Behind(self.server.address.clone(), lacking));
                }
                _ => sleep(CATCH_UP_LOOK).await,
            }
        }
    }

    /// Returns what the server says about its role; `None` when it does not say.
    async fn info(&mut self) -> Result<Option<Role>, Error> {
        let doing = "answering INFO";
        let header = self.wire.ask(&["INFO", "replication"], doing).await?;
        let Some(info) = self.wire.bulk(&header, doing).await? else {
            // Most likely the user may not run INFO.
            let reply = self.wire.shown(&header);
            if self.told.is_some() {
                let fix = "Let redtail's user run INFO (ACL SETUSER <user> +info): redtail needs it to check what Sentinel says about the server";
                return Err(Error::Refused { reply, fix });
            }
            if self.config.acks == AckPolicy::Auto {
                tracing::info!(
                    reply,
                    "the upstream does not say whether it is a primary or a replica: redtail assumes that it is a primary (see --ack)"
                );
            }
            return Ok(None);
        };
        Ok(Some(Role::of(&String::from_utf8_lossy(&info))))
    }

    /// Sends REPLCONF. An error reply does not matter, because the server works without the option; except that of a user who
    /// may not send REPLCONF at all, because the server then ends the link at the first acknowledgement.
    async fn replconf(&mut self, options: &[&str]) -> Result<(), Error> {
        let words: Vec<&str> = ["REPLCONF"]
            .into_iter()
            .chain(options.iter().copied())
            .collect();
        let reply = self.wire.ask(&words, "answering REPLCONF").await?;
        if reply.starts_with(['+', '-']) && !reply.starts_with("-NOPERM") {
            Ok(())
        } else {
            Err(self.wire.error_of(&reply, "REPLCONF"))
        }
    }

    /// Sends PSYNC and waits for the answer. If that takes long, logs what redtail is waiting for.
    async fn ask_psync(&mut self, words: &[&str]) -> Result<String, Error> {
        let mut asking = pin!(self.wire.ask(words, "answering PSYNC"));
        if let Ok(reply) = timeout(PSYNC_QUIET, asking.as_mut()).await {
            return reply;
        }
        let address = &self.server.address;
        tracing::info!(
            %address,
            "waiting for the server to start a snapshot: it may be waiting for more replicas \
             (its repl-diskless-sync-delay, 5 seconds by default) or for another snapshot to finish"
        );
        asking.await
    }

    async fn psync(&mut self, resume: Option<Point>) -> Result<Start, Error> {
        let (replid, next) = match resume {
            Some(resume) => (
                resume.replid.to_string(),
                resume.offset.saturating_add(1).to_string(),
            ),
            None => ("?".to_owned(), "-1".to_owned()),
        };
        // A diskless primary may wait for more replicas before it answers, and sends newlines while it waits.
        self.wire.set_patience(self.config.timing.silence);
        let reply = self.ask_psync(&["PSYNC", &replid, &next]).await?;
        start_of(&reply).ok_or_else(|| self.wire.error_of(&reply, "PSYNC"))
    }
}

/// Checks what a sentinel said about the server.
async fn verify(address: &Address, told: Option<&Told>, role: Option<&Role>) -> Result<(), Error> {
    let (Some(told), Some(role)) = (told, role) else {
        return Ok(());
    };
    let fits = match (told, &role.primary) {
        (Told::Primary, None) => true,
        (Told::ReplicaOf(primary), Some(own)) => same_server(primary, own).await,
        _ => false,
    };
    if fits {
        return Ok(());
    }
    Err(Error::NotAsTold {
        address: address.clone(),
        is: role.to_string(),
        told: told.to_string(),
    })
}

fn start_of(reply: &str) -> Option<Start> {
    let mut words = reply.split_ascii_whitespace();
    match words.next()? {
        "+FULLRESYNC" => Some(Start::Full(Point {
            replid: words.next()?.parse().ok()?,
            // The primary stores offsets as signed integers, so no follower could resume from a larger one.
            offset: words.next()?.parse::<i64>().ok()?.try_into().ok()?,
        })),
        "+CONTINUE" => match words.next() {
            None => Some(Start::Continue { replid: None }),
            Some(replid) => Some(Start::Continue {
                replid: Some(replid.parse::<ReplId>().ok()?),
            }),
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_the_answers_to_psync_apart() {
        let id = "0123456789abcdef0123456789abcdef01234567";
        let replid: ReplId = id.parse().unwrap_or_else(|_| unreachable!("40 hex digits"));
        assert_eq!(
            start_of(&format!("+FULLRESYNC {id} 17")),
            Some(Start::Full(Point { replid, offset: 17 }))
        );
        assert_eq!(
            start_of("+CONTINUE"),
            Some(Start::Continue { replid: None })
        );
        assert_eq!(
            start_of(&format!("+CONTINUE {id}")),
            Some(Start::Continue {
                replid: Some(replid)
            })
        );
        for wrong in [
            "+OK",
            "+FULLRESYNC",
            "+FULLRESYNC x 1",
            "+FULLRESYNC 0123456789abcdef0123456789abcdef01234567 -1",
            "+FULLRESYNC 0123456789abcdef0123456789abcdef01234567 9223372036854775808",
            "+CONTINUE short",
            "-ERR",
            "",
        ] {
            assert_eq!(start_of(wrong), None, "{wrong}");
        }
    }
}

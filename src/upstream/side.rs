//! The second connection to the server that is followed, which lasts as long as the link. It carries two questions:
//!
//! * PING shows whether the server still answers. A process that hangs and a cable that is pulled end no connection: the link
//!   notices them only after `repl-timeout`, and it must not be less patient, because a server that forks or runs a long command
//!   falls silent, too. What this finds out changes what redtail shows, never the link.
//! * `INFO replication` proves how far the history has come (`proof`), if a limit on staleness needs that.
//!
//! The server counts as silent when nothing has come from it for [`QUIET`] and a question has then waited for [`PATIENCE`]. Bytes
//! of the stream are signs of life like answers, so redtail asks only while the stream is silent, at most once a second. A server
//! that has never answered here says nothing by its silence: something between may let only the link pass. Then the kernel's
//! figures of the link are all there is (`route`). They also say which it is, the server or the way to it.

use std::convert::Infallible;
use std::future::{Future, pending};
use std::pin::pin;
use std::time::{Duration, Instant};

use tokio::time::{sleep, sleep_until};

use super::address::Node;
use super::config::Config;
use super::connect::connect;
use super::error::Error;
use super::proof::Proof;
use super::role::Role;
use super::route::Route;
use super::status::{Silence, Status};
use super::wire::Wire;

/// Time without a sign of life after which redtail asks for one.
const QUIET: Duration = Duration::from_secs(1);

/// How long an answer may take, besides twice the time that the fastest one took.
const PATIENCE: Duration = Duration::from_millis(500);

/// How often to check whether the stream or the kernel says something new while an answer is late.
const LOOK: Duration = Duration::from_millis(100);

/// The longest delay before redtail connects again where only PING would be asked.
const RETRY_MAX: Duration = Duration::from_secs(60);

/// The failures in a row from which the log says that redtail cannot ask. A server that ends may refuse this connection a moment
/// before the link notices.
const FAILURES_SAID: u32 = 2;

/// The second connection.
pub(super) struct Side<'u> {
    server: &'u Node,
    config: &'u Config,
    status: &'u Status,
    /// The link's own way to the server.
    link: Option<Route>,
    /// When the server last answered here, or when the link began.
    answered: Instant,
    /// How long the fastest answer took; `None` before the first.
    fastest: Option<Duration>,
    /// Failures to connect or to ask, since the last answer.
    failures: u32,
    /// Whether the log says that redtail cannot ask.
    is_said: bool,
}

impl<'u> Side<'u> {
    pub(super) fn new(
        server: &'u Node,
        config: &'u Config,
        status: &'u Status,
        link: Option<Route>,
    ) -> Self {
        Self {
            server,
            config,
            status,
            link,
            answered: Instant::now(),
            fastest: None,
            failures: 0,
            is_said: false,
        }
    }

    /// Asks as long as it is polled. Replaces a connection that ends.
    pub(super) async fn run(mut self) -> Infallible {
        if !self.config.watch && self.config.proof_every.is_none() {
            // The link's second handle must not wait here.
            drop(self);
            return pending().await;
        }
        loop {
            let Err(error) = self.talk().await;
            self.failures = self.failures.saturating_add(1);
            self.note(false, None);
            self.report(&error);
            let delay = self.delay();
            self.wait_for(sleep(delay), None, None).await;
        }
    }

    /// Connects and asks.
    async fn talk(&mut self) -> Result<Infallible, Error> {
        let (server, config) = (self.server, self.config);
        let connecting = connect(&server.address, server.tls, config);
        let stream = self.wait_for(connecting, None, None).await?;
        let route = stream.route();
        let mut wire = Wire::new(stream, config.timing.handshake);
        let patience = self.patience();
        self.wait_for(wire.auth(&server.login), route.as_ref(), patience)
            .await?;
        let mut proof_at = config.proof_every.map(|_| Instant::now());
        loop {
            let now = Instant::now();
            let ping_at = config.watch.then(|| self.ping_at(now));
            if proof_at.is_some_and(|at| at <= now) {
                self.prove(&mut wire, route.as_ref()).await?;
                proof_at = config.proof_every.map(|every| Instant::now() + every);
            } else if ping_at.is_some_and(|at| at <= now) {
                self.ping(&mut wire, route.as_ref()).await?;
            } else if let Some(next) = proof_at.into_iter().chain(ping_at).min() {
                tokio::select! {
                    () = sleep_until(next.into()) => {}
                    heard = wire.hear() => heard?,
                }
                self.note(false, None);
            }
        }
    }

    /// Returns when to ask PING next: at once for the first time.
    fn ping_at(&self, now: Instant) -> Instant {
        match self.fastest {
            None => now,
            Some(_) => self.heard() + QUIET,
        }
    }

    async fn ping(&mut self, wire: &mut Wire, route: Option<&Route>) -> Result<(), Error> {
        let (asked, patience) = (Instant::now(), self.patience());
        let doing = "answering PING";
        let reply = self
            .wait_for(wire.ask(&["PING"], doing), route, patience)
            .await?;
        // A server that is loading or runs a script says so, and is there.
        let is_there = ["+", "-LOADING", "-BUSY", "-UNKILLABLE", "-MASTERDOWN"];
        if !is_there.iter().any(|start| reply.starts_with(start)) {
            return Err(wire.error_of(&reply, "PING"));
        }
        self.note_answer(asked);
        Ok(())
    }

    async fn prove(&mut self, wire: &mut Wire, route: Option<&Route>) -> Result<(), Error> {
        let (asked, patience) = (Instant::now(), self.patience());
        let doing = "answering INFO";
        let asking = async {
            let header = wire.ask(&["INFO", "replication"], doing).await?;
            let info = wire.bulk(&header, doing).await?;
            Ok::<_, Error>(info.ok_or_else(|| wire.shown(&header)))
        };
        match self.wait_for(asking, route, patience).await? {
            Ok(info) => {
                let role = Role::of(&String::from_utf8_lossy(&info));
                self.status.prove(Proof::of(&role, asked));
            }
            Err(reply) => self.refused(&reply),
        }
        self.note_answer(asked);
        Ok(())
    }

    /// Waits for `doing`, and notes meanwhile what is known of the server. From `patience` on, `doing` is a late answer, unless the
    /// stream brings something.
    async fn wait_for<T>(
        &mut self,
        doing: impl Future<Output = T>,
        route: Option<&Route>,
        patience: Option<Duration>,
    ) -> T {
        let asked = Instant::now();
        let mut doing = pin!(doing);
        let mut wait = patience.unwrap_or(QUIET);
        loop {
            tokio::select! {
                // If this process was held up itself, the answer has most likely arrived.
                biased;
                done = &mut doing => return done,
                () = sleep(wait) => {}
            }
            self.note(patience.is_some() && self.heard() < asked, route);
            wait = patience.map_or(QUIET, |_| LOOK);
        }
    }

    /// Returns how long an answer may take; `None` if that says nothing yet.
    fn patience(&self) -> Option<Duration> {
        let fastest = self.fastest.filter(|_| self.config.watch)?;
        Some(PATIENCE + fastest * 2)
    }

    /// Returns when the server last gave a sign of life.
    fn heard(&self) -> Instant {
        let stream = self.status.last_received();
        stream.map_or(self.answered, |at| at.max(self.answered))
    }

    fn note_answer(&mut self, asked: Instant) {
        self.answered = Instant::now();
        let took = self.answered.saturating_duration_since(asked);
        self.fastest = Some(self.fastest.map_or(took, |fastest| fastest.min(took)));
        self.failures = 0;
        self.note(false, None);
    }

    /// Notes whether the server is silent. `route` is that of the question whose answer is late.
    fn note(&self, is_late: bool, route: Option<&Route>) {
        if !self.config.watch {
            return;
        }
        let is_unacknowledged = self.link.as_ref().is_some_and(Route::is_stalled)
            || (is_late && route.is_some_and(Route::is_waiting));
        let (before, heard) = (self.status.silence(), self.heard());
        // Only a sign of life ends the silence of a server that does not answer.
        let lasts = before.is_some_and(|before| !before.is_unacknowledged && heard <= before.since);
        let is_silent = is_late || is_unacknowledged || lasts;
        self.status.set_silence(is_silent.then(|| Silence {
            since: before.map_or(heard, |before| before.since),
            is_unacknowledged,
        }));
    }

    /// Returns how long to wait before the next connection.
    fn delay(&self) -> Duration {
        if self.status.silence().is_some() {
            return QUIET;
        }
        let doubled = QUIET.saturating_mul(1 << (self.failures - 1).min(16));
        doubled.min(self.config.proof_every.unwrap_or(RETRY_MAX))
    }

    fn report(&mut self, error: &Error) {
        tracing::debug!(%error, "cannot ask the server on a second connection");
        let is_due = self.config.watch && self.failures >= FAILURES_SAID && !self.is_said;
        if is_due && self.status.silence().is_none() {
            self.is_said = true;
            tracing::warn!(
                %error,
                "redtail follows the primary, but cannot ask it on a second connection whether it answers: a primary that hangs is only \
                 noticed after --repl-timeout. Allow one more connection, or set --watch-primary no"
            );
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

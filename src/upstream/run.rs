//! The link's task: connect, shake hands, pump, come back.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::address::{Address, Node};
use super::choose::Choice;
use super::config::Config;
use super::connect::connect;
use super::error::Error;
use super::handshake::{Accepted, Handshake};
use super::kind::Mode;
use super::link::{Link, LinkEnd, Progress, Resume, Start};
use super::pacing::{Pacing, Past};
use super::proof::{Prober, Proof};
use super::pump::Pump;
use super::spool::spool;
use super::status::{State, Status};
use crate::words::Period;

/// Keeps a link to the primary until `stop` is cancelled. Every accepted connection goes to `links`. The first one resumes at
/// `resume`, if the primary lets it.
pub async fn run(
    config: Config,
    resume: Option<Resume>,
    links: mpsc::Sender<Link>,
    progress: Arc<Progress>,
    status: Arc<Status>,
    stop: CancellationToken,
) {
    let mut task = Task {
        choice: Choice::new(config.upstream.clone()),
        config,
        links,
        progress,
        status,
        resume,
        followed: None,
        pacing: Pacing::default(),
        past: Past::default(),
    };
    loop {
        let before = task.resume;
        task.past = Past::default();
        let error = tokio::select! {
            ended = task.attempt() => match ended {
                Err(error) => error,
                Ok(WriterGone) => return task.writer_gone(),
            },
            () = stop.cancelled() => return,
        };
        task.past.advanced = task.resume.is_some() && task.resume != before;
        task.past.resumes = task.resume.is_some();
        task.past.others_left = task.choice.ended(task.past.advanced);
        let timing = task.config.timing;
        let (error, delay) = task.pacing.ended(task.past, error, &timing);
        task.status.fail(&error);
        task.status.enter(State::Connect);
        report(task.status.snapshot().address.as_ref(), &error, delay);
        tokio::select! {
            () = task.pause(delay) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Nobody takes links any more.
struct WriterGone;

fn report(address: Option<&Address>, error: &Error, delay: Duration) {
    // An error of a sentinel names it; the server that was followed last has no part in it.
    let address = address.filter(|_| !matches!(error, Error::Sentinel(..)));
    let address = address.map(tracing::field::display);
    let retry_in = tracing::field::display(Period(delay));
    if error.needs_a_person() {
        tracing::error!(address, %error, retry_in, "redtail cannot follow the primary until this is put right");
    } else {
        tracing::warn!(address, %error, retry_in, "the link to the primary is down");
    }
}

/// Asks the server for its offset now and then, if that is wanted.
async fn prove(config: &Config, status: &Status, server: &Node) -> Infallible {
    let Some(every) = config.proof_every else {
        return pending().await;
    };
    let prober = Prober {
        server,
        config,
        status,
        every,
    };
    prober.run().await
}

/// The link's task.
struct Task {
    choice: Choice,
    config: Config,
    links: mpsc::Sender<Link>,
    progress: Arc<Progress>,
    status: Arc<Status>,
    resume: Option<Resume>,
    pacing: Pacing,
    /// The server that accepted us last.
    followed: Option<Address>,
    /// What is known of the connection under way.
    past: Past,
}

impl Task {
    /// One connection, from its start to its end.
    async fn attempt(&mut self) -> Result<WriterGone, Error> {
        self.status.attempts.fetch_add(1, Ordering::Relaxed);
        self.status.enter(State::Connecting);
        let server = self.choice.next(&self.config).await?;
        let address = &server.node.address;
        self.status.turn_to(address);
        let timing = self.config.timing;
        let stream = connect(address, server.node.tls, &self.config).await?;
        self.status.enter(State::Handshake);
        let handshake = Handshake::new(stream, &server, &self.config);
        let Accepted {
            start,
            stream,
            first,
            acks,
            mode,
        } = handshake.run(self.resume).await?;
        self.note(address, start, mode);
        let line = stream.into_line();
        let status = Arc::clone(&self.status);
        let (sender, bytes) = spool(self.config.spool.clone(), status, line.socket());
        let (done, end) = oneshot::channel();
        let link = Link { start, bytes, done };
        self.progress.begin_link();
        if self.links.send(link).await.is_err() {
            return Ok(WriterGone);
        }
        let pump = Pump {
            timing,
            acks,
            progress: &self.progress,
            status: &self.status,
            bytes: sender,
        };
        let ended = tokio::select! {
            ended = pump.run(line, first) => ended,
            never = prove(&self.config, &self.status, &server.node) => match never {},
            better = self.choice.must_leave(&server, &self.config, &self.status) => better,
        };
        self.past.streamed = self.status.streamed();
        // The connection is closed by now: the primary must not count on a follower that reads no more while the writer works
        // off what has come. When that is done the writer has applied all that was received: only now is it known where to resume.
        let Ok(LinkEnd { resume, fault }) = end.await else {
            return Ok(WriterGone);
        };
        self.resume = resume;
        Err(Error::of_end(ended, fault))
    }

    /// Waits that long, or until there is news of another server: but never less before a full sync.
    async fn pause(&mut self, delay: Duration) {
        let shortened = !self.pacing.needs_full(self.past);
        let news = async {
            tokio::time::sleep(self.config.timing.retry_first).await;
            self.choice.news(&self.config).await;
        };
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = news, if shortened => tracing::debug!("Sentinel has news of another server"),
        }
    }

    /// Nothing is applied any more: the link must not look as if it were up.
    fn writer_gone(&self) {
        tracing::error!(
            "the writer has ended: redtail applies nothing more. This is a fault of redtail itself; restart it"
        );
        self.status.fail(&Error::Abandoned);
        self.status.enter(State::Connect);
    }

    /// Notes what the server granted.
    fn note(&mut self, address: &Address, start: Start, mode: Mode) {
        let before = self.followed.replace(address.clone());
        let is_new = before.as_ref() != Some(address);
        if let Some(before) = before.filter(|_| is_new) {
            tracing::info!(%before, now = %address, "following another server");
        }
        if is_new && mode == Mode::Cluster {
            tracing::warn!(
                %address,
                "this is one server of a cluster: redtail serves the keys of its slots and no others. Run one redtail for each primary of \
                 the cluster to have all keys"
            );
        }
        self.status.set_mode(mode);
        self.past.start = Some(start);
        self.pacing.accepted(start, self.resume);
        let status = &self.status;
        match start {
            Start::Full { replid, offset } => {
                status.full_resyncs.fetch_add(1, Ordering::Relaxed);
                let refused = u64::from(self.resume.is_some());
                status.partial_refused.fetch_add(refused, Ordering::Relaxed);
                status.enter(State::Sync);
                let at = Instant::now();
                status.prove(Some(Proof { at, replid, offset }));
                tracing::info!(%address, %replid, offset, "full resync");
            }
            Start::Continue { replid } => {
                status.partial_resyncs.fetch_add(1, Ordering::Relaxed);
                status.enter(State::Connected);
                let offset = self.resume.map(|resume| resume.offset);
                let new_replid = replid.map(tracing::field::display);
                tracing::info!(%address, new_replid, offset, "partial resync");
            }
        }
    }
}

//! The link's task: connect, shake hands, pump, reconnect.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::address::{Address, Upstream};
use super::choose::Choice;
use super::cluster::Turn;
use super::config::Config;
use super::connect::connect;
use super::error::Error;
use super::handshake::{Accepted, Handshake};
use super::kind::Mode;
use super::link::{Link, LinkEnd, Progress, Start};
use super::pacing::{Pacing, Past};
use super::proof::Proof;
use super::pump::Pump;
use super::side::Side;
use super::spool::spool;
use super::status::{LinkState, Status};
use super::syncs::SyncCause;
use crate::history::Point;
use crate::words::Period;

/// Where the first link starts.
#[derive(Debug, Clone, Copy)]
pub struct Begin {
    /// Where it resumes, if the primary allows it.
    pub resume: Option<Point>,
    /// Why it cannot resume, if it cannot.
    pub cause: SyncCause,
}

/// Keeps a link to the primary until `stop` is cancelled. Sends every accepted connection to `links`.
pub async fn run(
    config: Config,
    begin: Begin,
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
        resume: begin.resume,
        lacks: begin.cause,
        resumed: SyncCause::Restart,
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
        task.status.syncs.link_ended();
        task.past.advanced = task.resume.is_some() && task.resume != before;
        task.past.resumes = task.resume.is_some();
        task.past.others_left = task.choice.ended(task.past.advanced);
        let timing = task.config.timing;
        let (error, delay) = task.pacing.ended(task.past, error, &timing);
        task.status.fail(&error);
        task.status.enter(LinkState::Connect);
        report(task.status.snapshot().address.as_ref(), &error, delay);
        tokio::select! {
            () = task.pause(delay) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// The writer no longer takes links.
struct WriterGone;

fn report(address: Option<&Address>, error: &Error, delay: Duration) {
    // A sentinel's error names the sentinel; the server that was followed last is not involved.
    let address = address.filter(|_| !matches!(error, Error::Sentinel(..)));
    let address = address.map(tracing::field::display);
    let retry_in = tracing::field::display(Period(delay));
    if error.needs_a_person() {
        tracing::error!(address, %error, retry_in, "redtail cannot follow the primary until this is fixed");
    } else {
        tracing::warn!(address, %error, retry_in, "the link to the primary is down");
    }
}

/// The link's task.
struct Task {
    choice: Choice,
    config: Config,
    links: mpsc::Sender<Link>,
    progress: Arc<Progress>,
    status: Arc<Status>,
    resume: Option<Point>,
    /// Why there is nothing to resume, if there is nothing.
    lacks: SyncCause,
    /// Why the next link resumes, if it does.
    resumed: SyncCause,
    pacing: Pacing,
    /// The server that accepted redtail last.
    followed: Option<Address>,
    /// What is known about the current connection.
    past: Past,
}

impl Task {
    /// Runs one connection from start to end.
    async fn attempt(&mut self) -> Result<WriterGone, Error> {
        let begun = Instant::now();
        self.status.attempts.fetch_add(1, Ordering::Relaxed);
        self.status.enter(LinkState::Connecting);
        let server = self.choice.next(&self.config).await?;
        let address = &server.node.address;
        self.status.turn_to(address);
        let timing = self.config.timing;
        let turn = match &self.config.upstream {
            Upstream::Shard(shard) if self.resume.is_none() => {
                shard.common().turns.take(address).await
            }
            _ => Turn::none(),
        };
        let stream = connect(address, server.node.tls, &self.config).await?;
        self.status.enter(LinkState::Handshake);
        let handshake = Handshake::new(stream, &server, &self.config);
        let Accepted {
            start,
            stream,
            first,
            acks,
            mode,
        } = handshake.run(self.resume).await?;
        self.note(address, start, mode);
        self.note_sync(start, begun);
        let line = stream.into_line();
        let status = Arc::clone(&self.status);
        let pool = match &self.config.upstream {
            Upstream::Shard(shard) => Arc::clone(&shard.common().pool),
            _ => Arc::default(),
        };
        let (sender, bytes) = spool(self.config.spool.clone(), pool, status, line.socket());
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
        let side = Side::new(&server.node, &self.config, &self.status, line.route());
        let ended = tokio::select! {
            ended = pump.run(line, first) => ended,
            never = side.run() => match never {},
            never = turn.end_when_loaded(&self.status) => match never {},
            better = self.choice.must_leave(&server, &self.config, &self.status) => better,
        };
        self.past.streamed = self.status.streamed();
        self.status.lost_in_sync();
        // The connection is closed by now, so that the primary does not count on a follower that no longer reads while the
        // writer processes the bytes received. Only when the writer is done has it applied everything received, and only
        // then is it known where to resume.
        let Ok(LinkEnd { resume, fault }) = end.await else {
            return Ok(WriterGone);
        };
        self.resume = resume;
        self.resumed = SyncCause::LinkLost;
        self.lacks = match (self.past.start, self.past.streamed) {
            (Some(Start::Full(_)), None) => SyncCause::SyncFailed,
            _ => SyncCause::StreamUnusable,
        };
        Err(Error::of_end(ended, fault))
    }

    /// Waits for `delay`, or until sentinels name another server. Before a full sync, never waits less than `delay`.
    async fn pause(&mut self, delay: Duration) {
        let shortened = !self.pacing.needs_full(self.past);
        let news = async {
            tokio::time::sleep(self.config.timing.retry_first).await;
            self.choice.news(&self.config).await;
        };
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = news, if shortened => tracing::debug!("Sentinel names another server to try"),
        }
    }

    /// Nothing is applied any more, so the link must not appear to be up.
    fn writer_gone(&self) {
        tracing::error!(
            "the writer thread has ended: redtail applies no more writes. This is a bug in redtail; restart it"
        );
        self.status.fail(&Error::Abandoned);
        self.status.enter(LinkState::Connect);
    }

    /// Notes which sync the server has granted. The attempt to connect began at `begun`.
    fn note_sync(&self, start: Start, begun: Instant) {
        let syncs = &self.status.syncs;
        match (start, self.resume) {
            (Start::Continue { replid: None }, _) => syncs.begin(self.resumed, begun),
            (Start::Continue { replid: Some(id) }, Some(resume)) if id == resume.replid => {
                syncs.begin(self.resumed, begun);
            }
            (Start::Continue { .. }, _) => syncs.begin(SyncCause::Failover, begun),
            (Start::Full(_), None) => syncs.begin(self.lacks, Instant::now()),
            (Start::Full(point), Some(resume)) if point.replid == resume.replid => {
                syncs.begin(SyncCause::PartialRefused, Instant::now());
            }
            (Start::Full(_), Some(_)) => syncs.begin(SyncCause::OtherHistory, Instant::now()),
        }
    }

    /// Notes how the server answered.
    fn note(&mut self, address: &Address, start: Start, mode: Mode) {
        let before = self.followed.replace(address.clone());
        let is_new = before.as_ref() != Some(address);
        if let Some(before) = before.filter(|_| is_new) {
            tracing::info!(%before, now = %address, "following another server");
        }
        let is_alone = !matches!(self.config.upstream, Upstream::Shard(_));
        if is_new && is_alone && mode == Mode::Cluster {
            tracing::warn!(
                %address,
                "this is one server of a cluster: redtail serves only the keys of its slots. To serve all keys, write \
                 cluster:// instead of redis://"
            );
        }
        self.status.set_mode(mode);
        self.past.start = Some(start);
        self.pacing.accepted(start, self.resume);
        let status = &self.status;
        match start {
            Start::Full(Point { replid, offset }) => {
                status.full_resyncs.fetch_add(1, Ordering::Relaxed);
                let refused = u64::from(self.resume.is_some());
                status.partial_refused.fetch_add(refused, Ordering::Relaxed);
                status.enter(LinkState::Sync);
                let at = Instant::now();
                status.prove(Some(Proof {
                    at,
                    point: Point { replid, offset },
                }));
                tracing::info!(%address, %replid, offset, "full resync");
            }
            Start::Continue { replid } => {
                status.partial_resyncs.fetch_add(1, Ordering::Relaxed);
                status.enter(LinkState::Connected);
                let offset = self.resume.map(|resume| resume.offset);
                let new_replid = replid.map(tracing::field::display);
                tracing::info!(%address, new_replid, offset, "partial resync");
            }
        }
    }
}

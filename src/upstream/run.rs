//! The link's task: connect, shake hands, pump, come back.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::config::{Address, Config, Timing};
use super::error::Error;
use super::handshake::{Handshake, command};
use super::link::{Link, LinkEnd, Phase, Progress, Resume, Start};
use super::status::{State, Status};
use crate::limits::READ_CHUNK_BYTES;

/// Chunks that may wait for the writer: sixteen megabytes, enough to ride out a pause of the writer without holding much.
const CHUNKS_QUEUED_MAX: usize = 64;

/// Any byte stream to a primary.
trait Connection: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Connection for T {}

/// Keeps a link to the primary until `stop` is cancelled. Every accepted connection goes to `links`.
pub async fn run(
    config: Config,
    links: mpsc::Sender<Link>,
    progress: Arc<Progress>,
    status: Arc<Status>,
    stop: CancellationToken,
) {
    let mut upstream = Upstream {
        config,
        links,
        progress,
        status,
        resume: None,
    };
    let mut failures = 0;
    loop {
        let before = upstream.resume;
        let error = tokio::select! {
            ended = upstream.attempt() => match ended {
                Err(error) => error,
                Ok(WriterGone) => return upstream.writer_gone(),
            },
            () = stop.cancelled() => return,
        };
        // A link that applied something did well, however it ended. One that is only accepted and dropped did not.
        let advanced = upstream.resume.is_some() && upstream.resume != before;
        failures = if advanced { 0 } else { failures + 1 };
        upstream.status.fail(&error);
        upstream.status.enter(State::Connect);
        let delay = error.delay(failures, &upstream.config.timing);
        report(&error, delay);
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Nobody takes links any more.
struct WriterGone;

fn report(error: &Error, delay: Duration) {
    if error.needs_a_person() {
        tracing::error!(%error, retry_in = ?delay, "the primary will not serve us");
    } else {
        tracing::warn!(%error, retry_in = ?delay, "the link to the primary is down");
    }
}

struct Upstream {
    config: Config,
    links: mpsc::Sender<Link>,
    progress: Arc<Progress>,
    status: Arc<Status>,
    resume: Option<Resume>,
}

impl Upstream {
    /// One connection, from its start to its end.
    async fn attempt(&mut self) -> Result<WriterGone, Error> {
        self.status.attempts.fetch_add(1, Ordering::Relaxed);
        self.status.enter(State::Connecting);
        let timing = self.config.timing;
        let mut stream = connect(&self.config.primary.address, timing.handshake).await?;
        self.status.enter(State::Handshake);
        let handshake = Handshake::new(&mut stream, &self.config);
        let (start, first) = handshake.run(self.resume).await?;
        self.count(start);
        let (sender, bytes) = mpsc::channel(CHUNKS_QUEUED_MAX);
        let (done, end) = oneshot::channel();
        let link = Link { start, bytes, done };
        if self.links.send(link).await.is_err() {
            return Ok(WriterGone);
        }
        let pump = Pump {
            timing,
            progress: &self.progress,
            status: &self.status,
            bytes: sender,
        };
        let ended = pump.run(&mut stream, first).await;
        // The primary must not count on a follower that reads no more while the writer works off what has come.
        drop(stream);
        // The writer has then applied all that was received: only now is it known where to resume.
        let Ok(LinkEnd { resume, fault }) = end.await else {
            return Ok(WriterGone);
        };
        self.resume = resume;
        Err(Error::of_end(ended, fault))
    }

    /// Nothing is applied any more: the link must not look as if it were up.
    fn writer_gone(&self) {
        tracing::error!("the writer has ended: nothing more is applied");
        self.status.fail(&Error::Abandoned);
        self.status.enter(State::Connect);
    }

    /// Notes what the primary granted.
    fn count(&self, start: Start) {
        let status = &self.status;
        match start {
            Start::Full { replid, offset } => {
                status.full_resyncs.fetch_add(1, Ordering::Relaxed);
                let refused = u64::from(self.resume.is_some());
                status.partial_refused.fetch_add(refused, Ordering::Relaxed);
                status.enter(State::Sync);
                tracing::info!(%replid, offset, "full resync");
            }
            Start::Continue { replid } => {
                status.partial_resyncs.fetch_add(1, Ordering::Relaxed);
                status.enter(State::Connected);
                let offset = self.resume.map(|resume| resume.offset);
                tracing::info!(new_replid = ?replid, offset, "partial resync");
            }
        }
    }
}

async fn connect(address: &Address, patience: Duration) -> Result<Box<dyn Connection>, Error> {
    let failed = |error| Error::Connect(address.clone(), error);
    let connecting = async {
        Ok::<Box<dyn Connection>, std::io::Error>(match address {
            Address::Tcp { host, port } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
            Address::Unix(path) => Box::new(UnixStream::connect(path).await?),
        })
    };
    let connected = timeout(patience, connecting).await;
    connected
        .map_err(|_| failed(std::io::ErrorKind::TimedOut.into()))?
        .map_err(failed)
}

/// Moves bytes from the socket to the writer, and acknowledgements back.
struct Pump<'u> {
    timing: Timing,
    progress: &'u Progress,
    status: &'u Status,
    bytes: mpsc::Sender<Bytes>,
}

impl Pump<'_> {
    /// Pumps until the connection ends or the writer stops listening, and says why.
    async fn run(self, stream: &mut Box<dyn Connection>, first: Bytes) -> Error {
        let (mut reader, mut writer) = tokio::io::split(stream);
        if !first.is_empty() {
            self.status.received(first.len());
            if self.bytes.send(first).await.is_err() {
                return Error::Abandoned;
            }
        }
        tokio::select! {
            error = self.read(&mut reader) => error,
            error = self.acknowledge(&mut writer) => error,
        }
    }

    async fn read(&self, reader: &mut (impl AsyncRead + Unpin)) -> Error {
        let mut buffer = BytesMut::new();
        loop {
            // Counted from the last byte, never from the start of the transfer: a long snapshot is not a silent primary.
            let deadline = Instant::now() + self.timing.silence;
            // Small reads share a buffer: a new one for each would cost more than the read.
            if buffer.capacity() < READ_CHUNK_BYTES / 8 {
                buffer.reserve(READ_CHUNK_BYTES);
            }
            let read = tokio::select! {
                read = reader.read_buf(&mut buffer) => read,
                () = sleep_until(deadline) => return Error::Silence(self.timing.silence, "following its stream"),
                () = self.bytes.closed() => return Error::Abandoned,
            };
            match read {
                Ok(0) => return Error::Closed("sending to us"),
                Ok(read) => self.status.received(read),
                Err(error) => return error.into(),
            }
            if self.bytes.send(buffer.split().freeze()).await.is_err() {
                return Error::Abandoned;
            }
        }
    }

    /// Once a second, and at once when asked. It goes on for as long as the link does, because an acknowledgement that
    /// reaches a diskless primary before it has reaped its child is lost, and the stream then waits for the next one.
    async fn acknowledge(&self, writer: &mut (impl AsyncWrite + Unpin)) -> Error {
        let mut ticks = interval_at(Instant::now() + self.timing.ack, self.timing.ack);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.progress.ack_wanted() => {}
            }
            let message = self.sign_of_life();
            if let Err(error) = writer.write_all(&message).await {
                return error.into();
            }
        }
    }
    /// An acknowledgement once the stream is being applied; before that a newline, which says that we are alive and counts
    /// nothing.
    fn sign_of_life(&self) -> Vec<u8> {
        match self.progress.phase() {
            Phase::Streaming => {
                self.status.enter(State::Connected);
                command(&["REPLCONF", "ACK", &self.progress.applied().to_string()])
            }
            Phase::Transfer | Phase::Idle => b"\n".to_vec(),
        }
    }
}

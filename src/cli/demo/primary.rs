//! A primary inside the process, with just enough features for a follower over loopback.
//!
//! It answers the handshake and sends the embedded snapshot as a diskless primary does: with an end mark, and the stream only
//! after the first acknowledgement. Then it sends the shop's writes. A follower that reconnects resumes from the backlog. The
//! primary serves no reads. Its data is always the snapshot and all writes since. A full resync sends them from the start; if
//! the start has been dropped, a new history begins.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::history::{History, write_command};
use super::shop::Shop;
use crate::resp::{Args, RequestLimits, RequestParser, Step};
use crate::store::unix_ms;

/// The demo's data: a dump of Redis 7.0.
static SNAPSHOT: &[u8] = include_bytes!("../../../fixtures/demo.rdb");

/// The mark around the snapshot. A real primary picks it at random; here no client can plant it in a value.
const MARK: &str = "redtail-demo-redtail-demo-redtail-demo-1";

/// The time between two ticks of the shop.
const TICK: Duration = Duration::from_millis(100);

/// The minimum room for a read; requests are tiny.
const READ_BYTES: usize = 4 << 10;

const LIMITS: RequestLimits = RequestLimits {
    words_max: 64,
    word_bytes_max: 1 << 10,
    inline: true,
};

/// A running primary. It ends when the token that it was started with is cancelled.
#[derive(Debug)]
pub(super) struct DemoPrimary {
    address: SocketAddr,
    feed: Arc<Feed>,
}

impl DemoPrimary {
    /// Listens on a free loopback port and opens the shop.
    ///
    /// # Errors
    /// If no port is available.
    pub(super) async fn start(stop: CancellationToken) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let feed = Arc::new(Feed::new());
        tokio::spawn(
            stop.clone()
                .run_until_cancelled_owned(write(Arc::clone(&feed))),
        );
        let serving = serve(listener, Arc::clone(&feed), stop.clone());
        tokio::spawn(stop.run_until_cancelled_owned(serving));
        Ok(Self { address, feed })
    }

    /// Returns the address it listens on.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the offset of its last write.
    pub(super) fn offset(&self) -> u64 {
        self.feed.history().offset()
    }
}

/// The history, and a channel that reports its growth.
#[derive(Debug)]
struct Feed {
    history: Mutex<History>,
    grown: watch::Sender<()>,
}

impl Feed {
    fn new() -> Self {
        Self {
            history: Mutex::new(History::new()),
            grown: watch::channel(()).0,
        }
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn append(&self, commands: &[u8]) {
        let mut history = self.history();
        if history.offset() == 0 {
            let mut select = Vec::new();
            write_command(&mut select, &["SELECT", "0"]);
            history.append(&select);
        }
        history.append(commands);
        drop(history);
        self.grown.send_replace(());
    }

    /// Returns the replication id for a full resync. That history still has all its bytes: if the current one does not, a new
    /// one begins.
    fn full_resync(&self) -> String {
        let mut history = self.history();
        if history.after(0).is_none() {
            *history = History::new();
        }
        history.replid().to_owned()
    }
}

async fn write(feed: Arc<Feed>) {
    let mut shop = Shop::default();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        feed.append(&shop.tick(unix_ms()));
    }
}

async fn serve(listener: TcpListener, feed: Arc<Feed>, stop: CancellationToken) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let follower = Follower::new(stream, Arc::clone(&feed));
                tokio::spawn(stop.clone().run_until_cancelled_owned(follower.run()));
            }
            // Most likely there are no file descriptors left. One may be free at the next tick.
            Err(_) => tokio::time::sleep(TICK).await,
        }
    }
}

/// One connection.
struct Follower {
    stream: TcpStream,
    feed: Arc<Feed>,
    grown: watch::Receiver<()>,
    replies: Vec<u8>,
    sync: Sync,
}

/// The state of a follower's sync.
enum Sync {
    /// It has not sent PSYNC.
    Handshake,
    /// It has been sent the snapshot, and must acknowledge that it has loaded it.
    Loading(Position),
    /// It receives the stream.
    Online(Position),
}

/// A history, and the offset up to which a follower has been sent it.
#[derive(Clone)]
struct Position {
    replid: String,
    sent: u64,
}

impl Follower {
    fn new(stream: TcpStream, feed: Arc<Feed>) -> Self {
        Self {
            stream,
            grown: feed.grown.subscribe(),
            feed,
            replies: Vec::new(),
            sync: Sync::Handshake,
        }
    }

    /// Serves the follower until it disconnects, sends something that is not a command, or its history ends.
    async fn run(mut self) {
        let mut parser = RequestParser::new(LIMITS);
        let mut buffer = BytesMut::new();
        loop {
            buffer.reserve(READ_BYTES);
            tokio::select! {
                read = self.stream.read_buf(&mut buffer) => match read {
                    Ok(0) | Err(_) => return,
                    Ok(_) => {}
                },
                grown = self.grown.changed() => if grown.is_err() { return },
            }
            loop {
                match parser.step(&buffer) {
                    Ok(Step::Command(args, taken)) => {
                        self.command(args);
                        buffer.advance(taken);
                    }
                    Ok(Step::NeedMore) => break,
                    Err(_) => return,
                }
            }
            if !self.collect() {
                return;
            }
            let sent = self.stream.write_all(&self.replies).await;
            self.replies.clear();
            if sent.is_err() {
                return;
            }
        }
    }

    fn command(&mut self, args: Args<'_>) {
        if args.is_empty() {
            return;
        }
        if args.is(0, "psync") {
            self.psync(args);
        } else if args.is(0, "replconf") && args.is(1, "ack") {
            self.acknowledged();
        } else {
            self.replies.extend_from_slice(reply(args));
        }
    }

    /// Source: redis 7.0 replication.c, `masterTryPartialResynchronization` and `rdbSaveToSlavesSockets`.
    fn psync(&mut self, args: Args<'_>) {
        let history = self.feed.history();
        let resumed = history.resume(args.at(1), args.at(2));
        let replid = history.replid().to_owned();
        drop(history);
        if let Some(sent) = resumed {
            self.replies
                .extend_from_slice(format!("+CONTINUE {replid}\r\n").as_bytes());
            self.sync = Sync::Online(Position { replid, sent });
            return;
        }
        let replid = self.feed.full_resync();
        let header = format!("+FULLRESYNC {replid} 0\r\n\n$EOF:{MARK}\r\n");
        for part in [header.as_bytes(), SNAPSHOT, MARK.as_bytes()] {
            self.replies.extend_from_slice(part);
        }
        self.sync = Sync::Loading(Position { replid, sent: 0 });
    }

    fn acknowledged(&mut self) {
        if let Sync::Loading(position) = &self.sync {
            self.sync = Sync::Online(position.clone());
        }
    }

    /// Adds the stream's new bytes to the replies. Returns false if the follower's history has ended and it must send PSYNC
    /// again.
    fn collect(&mut self) -> bool {
        let Sync::Online(position) = &mut self.sync else {
            return true;
        };
        let history = self.feed.history();
        match history.after(position.sent) {
            Some(bytes) if position.replid == history.replid() => {
                self.replies.extend_from_slice(bytes);
                position.sent = history.offset();
                true
            }
            _ => false,
        }
    }
}

/// Returns the reply to every command except PSYNC and ACK.
fn reply(args: Args<'_>) -> &'static [u8] {
    if args.is(0, "ping") {
        b"+PONG\r\n"
    } else if args.is(0, "replconf") {
        b"+OK\r\n"
    } else {
        b"-ERR the demo primary serves only followers; ask the replica\r\n"
    }
}

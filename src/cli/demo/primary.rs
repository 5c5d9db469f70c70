//! A primary inside the process: just enough of one for a follower over loopback.
//!
//! It answers the handshake, sends the embedded snapshot as a diskless primary does (marked, and the stream only behind
//! the first acknowledgement), then the shop's writes; a follower that comes back resumes from the backlog. It serves no
//! reads. Its data is always the snapshot and all writes since: a full resync sends them from the start, and when the
//! start is forgotten a new history begins.

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

/// What surrounds the snapshot. A real primary draws it; here nobody can plant it in a value.
const MARK: &str = "redtail-demo-redtail-demo-redtail-demo-1";

/// Between two ticks of the shop.
const TICK: Duration = Duration::from_millis(100);

/// The least room for a read; requests are tiny.
const READ_BYTES: usize = 4 << 10;

const LIMITS: RequestLimits = RequestLimits {
    words_max: 64,
    word_bytes_max: 1 << 10,
    inline: true,
};

/// A running primary. Ends with the token it was started with.
#[derive(Debug)]
pub(super) struct DemoPrimary {
    address: SocketAddr,
    feed: Arc<Feed>,
}

impl DemoPrimary {
    /// Listens on a free loopback port and opens the shop.
    ///
    /// # Errors
    /// When there is no port to be had.
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

    /// Where it listens.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The offset of its last write.
    pub(super) fn offset(&self) -> u64 {
        self.feed.history().offset()
    }
}

/// The history, and word of its growth.
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

    /// Where a full resync starts: the id of a history whose every byte is still there.
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
            // Out of file descriptors, most likely: the next tick may find one.
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

/// How far a follower is.
enum Sync {
    /// It has not asked.
    Handshake,
    /// It has been sent the snapshot, and must say that it has loaded it.
    Loading(Position),
    /// It gets the stream.
    Online(Position),
}

/// What a follower has been sent of which history.
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

    /// Serves it until it leaves, sends what is no command, or its history is over.
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

    /// Adds the stream's new bytes to what is sent; false when its history is over and it must ask anew.
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

/// The answer to anything but PSYNC and ACK.
fn reply(args: Args<'_>) -> &'static [u8] {
    if args.is(0, "ping") {
        b"+PONG\r\n"
    } else if args.is(0, "replconf") {
        b"+OK\r\n"
    } else {
        b"-ERR the demo's primary only serves followers; ask the replica\r\n"
    }
}

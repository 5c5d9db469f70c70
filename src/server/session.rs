//! One connection, from its first byte to its last.
//!
//! Each read from the socket is one batch: every complete request in it is answered into one reply buffer, and the buffer is
//! written in one go. Before that, a lone read of one key prefetches its key's memory and queues its task after the other ready
//! connections, twice: their reads fill the wait. Then the batch waits until what has arrived from the primary is visible
//! ([`Served::catch_up`](crate::store::Served::catch_up)).
//!
//! While the peer takes no replies, the connection continues to read and answer, up to a limit. A read whose reply does not fit
//! beside those that wait is put off and answered again once they are written.
//!
//! What a connection holds beyond small free buffers is asked of one budget ([`Budget`](crate::resp::Budget)): the reply asks as
//! it grows, the session for requests, the transaction for its queue. The known minimum of a long reply is asked for before the
//! reply is begun. While it is made, the reply checks whether the peer is still there.

use std::future::poll_fn;
use std::os::fd::AsRawFd as _;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::Handle;
use tokio::task::unconstrained;
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};
use tokio_util::task::TaskTracker;

use super::peer::{Link, Socket};
use super::refusals::Refusals;
use super::shared::Server;
use crate::command::client::Client;
use crate::command::{
    Ahead, Counts, Host as _, InCluster, Session, SessionCx, Tunables, answer, point_read_key,
};
use crate::dialect::Dialect;
use crate::resp::{
    FREE_BYTES, Protocol, ProtocolError, Reply, RequestLimits, RequestParser, Step, answering,
};
use crate::store::{Fetch, KeyHash};

/// The initial room for requests on a connection. An idle connection keeps it, and most requests are far smaller.
const READ_BYTES_FIRST: usize = 1 << 10;

/// Maximum room for one read. The room grows when reads fill it.
const READ_BYTES_MAX: usize = 64 << 10;

/// Replies are written once they exceed this, even in the middle of a pipeline.
pub(super) const FLUSH_BYTES: usize = 64 << 10;

/// Maximum memory of each buffer that is kept between batches.
const KEPT_BYTES: usize = FREE_BYTES;

/// Bytes of requests that a connection may hold for free, without asking its account.
const INPUT_BYTES_FREE: usize = FREE_BYTES;

/// Work of a connection's reads after which it yields to others, in elements of 50 ns: about a millisecond.
const TURN_WORK: usize = 20_000;

/// Bytes of requests after which a connection yields to others: about a quarter of a millisecond. Queued commands are copied,
/// and have no replies that would end the turn.
const TURN_BYTES: usize = 64 << 10;

/// How long the peer of a connection that is being closed may take to accept its last replies.
const CLOSING_GRACE: Duration = Duration::from_millis(500);

/// Maximum words of one command before AUTH. Source: redis 7.0 networking.c, `processMultibulkBuffer`.
const UNAUTHENTICATED_WORDS_MAX: usize = 10;

/// Maximum bytes of one word before AUTH. Source: as above.
const UNAUTHENTICATED_WORD_BYTES_MAX: usize = 16 << 10;

/// Serves a connection until either side closes it or it exceeds a limit. `tasks` are those of all connections.
pub(super) async fn run(
    stream: impl Link + 'static,
    server: Arc<Server>,
    client: Arc<Client>,
    tasks: TaskTracker,
) {
    let socket = stream.socket().as_raw_fd();
    client.socket.store(socket, Ordering::Relaxed);
    go_on(stream, Connection::new(server, client), tasks).await;
}

/// Serves a connection to its end, or until it changes to other threads: see [`Audience`](super::audience::Audience).
// An async function keeps room for its parameters twice.
#[expect(clippy::manual_async_fn, reason = "its size")]
fn go_on(
    mut stream: impl Link + 'static,
    mut connection: Connection,
    tasks: TaskTracker,
) -> impl Future<Output = ()> {
    async move {
        let client = Arc::clone(&connection.session.client);
        let closed = client.close.cancelled();
        // An error here means that the peer is gone, so there is no one to report it to.
        if let Ok(End::Elsewhere(threads)) = connection.serve(&mut stream, closed).await {
            let rest = rest(stream, connection, tasks.clone());
            tasks.spawn_on(rest, &threads);
            return;
        }
        connection.server.clients.remove(&client);
        // It holds the record that it is in.
        client.shown().given_inbox = None;
    }
}

/// What is left of [`go_on`], which cannot hold a future of its own type.
fn rest(
    stream: impl Link + 'static,
    connection: Connection,
    tasks: TaskTracker,
) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(go_on(stream, connection, tasks))
}

/// Why a connection is no longer served by its task.
enum End {
    Closed,
    /// It goes on on these threads.
    Elsewhere(Handle),
}

pub(super) struct Connection {
    pub(super) server: Arc<Server>,
    pub(super) input: BytesMut,
    /// The room for the next read.
    pub(super) read_bytes: usize,
    parser: RequestParser,
    ahead: Ahead,
    pub(super) reply: Reply,
    pub(super) session: Session,
    /// Bytes that were read while replies were being written.
    pub(super) read_meanwhile: usize,
    /// Whether the peer has ended its side.
    pub(super) ended: bool,
    /// Whether messages are being written: nothing is answered until that is done.
    pub(super) delivers: bool,
    /// What is taken from the inbox; kept for its room.
    pub(super) delivery: Vec<u8>,
    /// Bytes of the input that the account has granted.
    input_granted: usize,
    /// Bytes read since the connection last yielded to others.
    turn_bytes: usize,
    refusals: Option<Refusals>,
    /// Whether it runs where those do that only listen.
    pub(super) listens: bool,
}

impl Connection {
    fn new(server: Arc<Server>, client: Arc<Client>) -> Self {
        let authenticated = server.users().is_open();
        let dialect = server.config.dialect.unwrap_or_default();
        let reply_bytes_max = server.config.reply_bytes_max;
        let reply = Reply::new(Protocol::default(), dialect, reply_bytes_max);
        Self {
            input: BytesMut::new(),
            read_bytes: READ_BYTES_FIRST,
            parser: RequestParser::new(limits(&server, authenticated, dialect)),
            ahead: Ahead::default(),
            reply: reply.with_account(Arc::clone(&client.account)),
            server,
            session: Session::new(client, authenticated),
            read_meanwhile: 0,
            ended: false,
            delivers: false,
            delivery: Vec::new(),
            input_granted: 0,
            turn_bytes: 0,
            refusals: None,
            listens: false,
        }
    }

    async fn serve(
        &mut self,
        stream: &mut impl Link,
        closed: WaitForCancellationFuture<'_>,
    ) -> std::io::Result<End> {
        let mut closed = pin!(unconstrained(closed));
        let client = Arc::clone(&self.session.client);
        let mut gift = pin!(unconstrained(client.gift.notified()));
        let mut is_told = false;
        while !self.session.closing && !self.ended {
            if let Some(threads) = self.belongs_elsewhere() {
                return Ok(End::Elsewhere(threads));
            }
            self.make_room();
            if self.session.closing {
                self.write(stream, &mut false).await?;
                break;
            }
            let room = self.input.capacity() - self.input.len();
            self.session.take_given_inbox(self.reply.protocol());
            if let Some(inbox) = &self.session.inbox {
                let inbox = Arc::clone(inbox);
                let Some(read) = self.read_beside(stream, &inbox).await? else {
                    return Ok(End::Closed);
                };
                if read == 0 && self.ended {
                    return Ok(End::Closed);
                }
                self.adapt(read, room);
                self.server.catch_up();
                self.batch(stream, read).await?;
                self.give_turn(read).await;
                continue;
            }
            let mut reading = pin!(stream.read_buf(&mut self.input));
            let close = &self.session.client.close;
            let read = poll_fn(|cx| {
                if close.is_cancelled() || client.has_gift.load(Ordering::Acquire) {
                    return Poll::Ready(None);
                }
                let read = reading.as_mut().poll(cx).map(Some);
                // The task never changes, so it is enough to register its waker once.
                if read.is_pending() && !is_told {
                    is_told = true;
                    if closed.as_mut().poll(cx).is_ready() || gift.as_mut().poll(cx).is_ready() {
                        return Poll::Ready(None);
                    }
                }
                read
            });
            let Some(read) = read.await.transpose()? else {
                if client.has_gift.load(Ordering::Acquire) && !close.is_cancelled() {
                    continue;
                }
                break;
            };
            if read == 0 {
                return Ok(End::Closed);
            }
            self.adapt(read, room);
            self.fetch_lone_key().await;
            self.server.catch_up();
            self.batch(stream, read).await?;
            self.give_turn(read).await;
        }
        if self.ended {
            return Ok(End::Closed);
        }
        stream.shutdown().await.map(|()| End::Closed)
    }

    /// Makes room for the next read. If the clients' memory has no room for a request of this size, the connection closes.
    pub(super) fn make_room(&mut self) {
        self.input.reserve(self.read_bytes);
        let capacity = self.input.capacity();
        if capacity > INPUT_BYTES_FREE && capacity > self.input_granted {
            self.ask_for_input(capacity);
        }
    }

    #[cold]
    fn ask_for_input(&mut self, capacity: usize) {
        let account = &self.session.client.account;
        if account.grow(capacity - self.input_granted) {
            self.input_granted = capacity;
            return;
        }
        self.server.relieve(account.held());
        if !self.delivers {
            // Otherwise it would end up inside a message.
            self.reply.error(
                "OOM the requests and replies of all clients would take more than clients-memory allows; closing the connection",
            );
        }
        self.close_for_query();
    }

    fn close_for_query(&mut self) {
        self.session.closing = true;
        let closes = &self.server.statistics.query_limit_closes;
        closes.fetch_add(1, Ordering::Relaxed);
    }

    /// Yields to other connections after a long turn, and waits after refusals: see [`Refusals`].
    async fn give_turn(&mut self, read: usize) {
        self.turn_bytes += read;
        if self.turn_bytes >= TURN_BYTES {
            self.turn_bytes = 0;
            tokio::task::yield_now().await;
        }
        let refused = std::mem::take(&mut self.session.refused);
        if refused > 0 {
            self.slow_down(refused).await;
        }
    }

    #[cold]
    async fn slow_down(&mut self, refused: u32) {
        let now = Instant::now();
        let refusals = self.refusals.get_or_insert_with(|| Refusals::new(now));
        if let Some(wait) = refusals.count(refused, now) {
            let slowed = &self.server.statistics.slowed;
            slowed.fetch_add(1, Ordering::Relaxed);
            pause(&self.session.client.close, wait).await;
        }
    }

    /// Prefetches the memory of the key that a single read accesses, and yields to other connections while it arrives. In a
    /// pipeline, the reads of a group do this for each other.
    async fn fetch_lone_key(&mut self) {
        let Some(hash) = self.lone_key() else { return };
        for step in [Fetch::Bucket, Fetch::Entry] {
            if let Some(generation) = self.server.served().peek().as_deref() {
                generation.spaces.fetch_step(self.session.db, hash, step);
            }
            next_turn().await;
        }
    }

    /// Returns the hash of the key if the input holds a single request that reads one key.
    fn lone_key(&mut self) -> Option<KeyHash> {
        if !self.session.authenticated {
            return None;
        }
        let args = self.parser.peek_lone(&self.input)?;
        point_read_key(self.server.served().peek().as_deref()?, args)
    }

    /// Gives the next read more room if this one filled its room. [`Self::settle`] frees a grown buffer once it is empty.
    fn adapt(&mut self, read: usize, room: usize) {
        if read == room {
            self.read_bytes = (self.read_bytes * 2).min(READ_BYTES_MAX);
        }
    }

    /// Answers every complete request received.
    async fn batch(&mut self, stream: &mut impl Link, read: usize) -> std::io::Result<()> {
        let mut read = read;
        loop {
            if self.session.inbox.is_some() {
                self.deliver_first(stream).await?;
                if self.session.closing {
                    return Ok(());
                }
            }
            let before = self.session.counts();
            let mut more = self.answer_some(stream);
            let mut written = 0;
            if !self.reply.is_empty() {
                written = self.write(stream, &mut more).await?;
            }
            let counts = self.session.counts().since(before);
            let meanwhile = std::mem::take(&mut self.read_meanwhile);
            self.turn_bytes += meanwhile;
            let read = std::mem::take(&mut read) + meanwhile;
            self.settle(counts, read, written);
            self.session.closing |= self.reply.is_severed();
            if self.session.closing {
                return Ok(());
            }
            if let Some(wait) = self.session.login_wait.take() {
                pause(&self.session.client.close, wait).await;
                continue;
            }
            if let Some(blocked) = self.session.blocked.take() {
                self.wait(stream, blocked).await?;
                continue;
            }
            if !more {
                return Ok(());
            }
            // A client's long pipeline must not keep the others waiting.
            self.turn_bytes = 0;
            tokio::task::yield_now().await;
        }
    }

    /// Answers requests until the input ends inside one or enough replies wait. Returns whether there may be more requests.
    fn answer_some(&mut self, stream: &impl Link) -> bool {
        let server = &*self.server;
        let (session, reply) = (&mut self.session, &mut self.reply);
        let cluster = server.shards().map(InCluster::for_requests);
        let cluster = cluster.as_ref();
        let stale = server.served().is_stale();
        let generation = server.served().peek();
        let generation = generation.as_deref();
        let generation = generation.or_else(|| cluster.and_then(InCluster::any));
        if let Some(generation) = generation {
            reply.set_dialect(generation.dialect);
        }
        reply.set_limit(server.reply_bytes_max());
        session.follow_users(server.users(), reply.dialect());
        let bounds = limits(server, session.authenticated, reply.dialect());
        self.parser.set_limits(bounds);
        session.deferred = false;
        session.tally.worked.set(0);
        session.timing.begin();
        let mut cx = SessionCx {
            reply,
            session,
            host: server,
            generation,
            stale,
            cluster,
        };
        let most = |dialect| limits(server, true, dialect);
        let (used, more) = answering(&Socket::of(stream), || {
            let (parser, ahead) = (&mut self.parser, &mut self.ahead);
            answer_requests(&mut cx, parser, ahead, &self.input, most)
        });
        self.input.advance(used);
        self.check_query_limit();
        more
    }

    pub(super) fn check_query_limit(&mut self) {
        let most = Tunables::size(&self.server.tunables.query_bytes_max);
        if self.input.len() <= most || self.session.closing {
            return;
        }
        self.reply
            .error("ERR Protocol error: the request is larger than query-bytes-max");
        self.close_for_query();
    }

    /// Writes all replies, and returns the number of bytes. `more` says whether the input may hold requests, before the call and
    /// after it.
    pub(super) async fn write(
        &mut self,
        stream: &mut impl Link,
        more: &mut bool,
    ) -> std::io::Result<usize> {
        let bytes = self.reply.unsent();
        // Write at once what the peer has room for.
        let mut at_once = poll_fn(|cx| match Pin::new(&mut *stream).poll_write(cx, bytes) {
            Poll::Ready(written) => Poll::Ready(written),
            Poll::Pending => Poll::Ready(Ok(0)),
        });
        let mut written = (&mut at_once).await?;
        if written < bytes.len() {
            self.reply.note_sent(written);
            written += self.write_on(stream, more).await?;
        }
        self.reply.clear(KEPT_BYTES);
        Ok(written)
    }

    /// Writes what the peer had no room for at once. Like servers, it continues to read and answer requests in the meantime: the
    /// peer may write all its requests before it reads. If the connection is closed in the meantime, the peer has a moment to
    /// take its replies.
    async fn write_on(
        &mut self,
        stream: &mut impl Link,
        more: &mut bool,
    ) -> std::io::Result<usize> {
        let client = Arc::clone(&self.session.client);
        let mut closed = pin!(async {
            client.close.cancelled().await;
            tokio::time::sleep(CLOSING_GRACE).await;
        });
        let mut total = 0;
        self.show_stalled(true);
        while !self.reply.unsent().is_empty() {
            if self.answers_on() && *more {
                *more = self.answer_some(stream);
                self.session.client.shown().reply_bytes = self.reply.unsent().len();
                tokio::task::yield_now().await;
            }
            // Answer waiting requests even if the peer takes no replies: it may read only after it has sent its last request.
            let answers = self.answers_on() && *more;
            let reads = (self.answers_on() && !*more || self.reads_on()) && !self.ended;
            if reads {
                self.make_room();
            }
            let event = poll_fn(|cx| {
                if closed.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Err(std::io::ErrorKind::TimedOut.into()));
                }
                match self.poll_event(stream, cx, reads) {
                    Poll::Pending if answers => Poll::Ready(Ok(Event::Requests)),
                    event => event,
                }
            });
            match event.await? {
                Event::Written(0) => return Err(std::io::ErrorKind::WriteZero.into()),
                Event::Written(bytes) => {
                    total += bytes;
                    self.reply.note_sent(bytes);
                    self.show_stalled(true);
                }
                Event::Requests => {}
                Event::Read(0) => self.ended = true,
                Event::Read(bytes) => {
                    self.read_meanwhile += bytes;
                    *more = true;
                }
            }
        }
        self.show_stalled(false);
        Ok(total)
    }

    /// Whether to answer requests while replies wait. Past the limit, the peer has to take some replies first.
    fn answers_on(&self) -> bool {
        let session = &self.session;
        let waiting = self.reply.unsent().len();
        let is_ready = !session.closing && !session.deferred && session.blocked.is_none();
        is_ready
            && !self.delivers
            && waiting < self.server.reply_bytes_max()
            && self.reply.has_room(FLUSH_BYTES)
            && !self.has_messages()
    }

    /// Whether to read while messages wait, though not to answer: the peer may read only after it has sent its requests.
    fn reads_on(&self) -> bool {
        let most = Tunables::size(&self.server.tunables.query_bytes_max);
        let holds_back = self.delivers || self.has_messages();
        holds_back && !self.session.closing && self.input.len() < most
    }

    /// Writes if the peer has room; otherwise reads, if `reads` is set and bytes have arrived.
    fn poll_event(
        &mut self,
        stream: &mut impl Link,
        cx: &mut Context<'_>,
        reads: bool,
    ) -> Poll<std::io::Result<Event>> {
        let rest = self.reply.unsent();
        if let Poll::Ready(written) = Pin::new(&mut *stream).poll_write(cx, rest) {
            return Poll::Ready(written.map(Event::Written));
        }
        if !reads {
            return Poll::Pending;
        }
        let reading = pin!(stream.read_buf(&mut self.input));
        reading.poll(cx).map_ok(Event::Read)
    }

    /// Notes in the client's record the bytes that wait and since when the peer has taken none, or that nothing waits.
    fn show_stalled(&self, waits: bool) {
        let mut shown = self.session.client.shown();
        shown.reply_bytes = if waits { self.reply.unsent().len() } else { 0 };
        shown.stalled = waits.then(Instant::now);
    }

    /// Updates the statistics and the client's record with the bytes read and written, and what the commands have done, since the
    /// last call. Frees a grown input buffer that is empty.
    pub(super) fn settle(&mut self, counts: Counts, read: usize, written: usize) {
        if self.input.is_empty() && self.input.capacity() > KEPT_BYTES {
            self.input = BytesMut::new();
            self.read_bytes = READ_BYTES_FIRST;
            let account = &self.session.client.account;
            account.shrink(std::mem::take(&mut self.input_granted));
        }
        let (read, written) = (read as u64, written as u64);
        let traffic = &self.server.statistics.traffic;
        traffic.add(Counts {
            received_bytes: read,
            sent_bytes: written,
            ..counts
        });
        let mut shown = self.session.client.shown();
        self.session.publish(&mut shown, self.reply.protocol());
        shown.active = Instant::now();
        shown.input_bytes += read;
        shown.output_bytes += written;
        shown.query_bytes = self.input.len();
        shown.query_room = self.input.capacity();
    }
}

/// Waits, unless the connection is closed.
async fn pause(close: &CancellationToken, wait: Duration) {
    tokio::select! {
        () = close.cancelled() => {}
        () = tokio::time::sleep(wait) => {}
    }
}

/// Lets the ready tasks run: this task wakes itself at once and is queued after them. Unlike
/// [`yield_now`](tokio::task::yield_now), it does not poll the sockets before it continues.
async fn next_turn() {
    let mut had_turn = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut had_turn, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Answers the requests at the start of `input`, reads of single keys in groups. Returns the number of bytes they took, and
/// whether there may be more requests: it stops early if enough replies wait or other limits apply from here on.
fn answer_requests(
    cx: &mut SessionCx<'_>,
    parser: &mut RequestParser,
    ahead: &mut Ahead,
    input: &[u8],
    most: impl Fn(Dialect) -> RequestLimits,
) -> (usize, bool) {
    let full_at = cx.reply.len() + FLUSH_BYTES;
    let is_full =
        |cx: &SessionCx<'_>| cx.reply.len() > full_at || cx.session.tally.worked.get() > TURN_WORK;
    let was_authenticated = cx.session.authenticated;
    let mut used = 0;
    while !cx.session.closing && cx.session.blocked.is_none() {
        let rest = input.get(used..).unwrap_or_default();
        let step = parser.step(rest);
        // The words of an inline request are not in the input.
        let stays = rest.first() == Some(&b'*');
        let mut take = |ahead: &mut Ahead, cx: &SessionCx<'_>| match step {
            Ok(Step::Command(args, taken))
                if stays && ahead.take(cx, args, [used, used + taken]) =>
            {
                used += taken;
                true
            }
            _ => false,
        };
        if take(ahead, cx) {
            continue;
        }
        if !ahead.is_empty() {
            let end = ahead.answer(cx, input, is_full);
            if is_full(cx) || cx.session.closing || cx.session.deferred {
                // The parser has read past this point, and will read that part again.
                parser.reset();
                return (end, true);
            }
            if take(ahead, cx) {
                continue;
            }
        }
        match step {
            Ok(Step::Command(args, taken)) => {
                answer(cx, args);
                if cx.session.deferred {
                    return (used, true);
                }
                used += taken;
            }
            Ok(Step::NeedMore) => break,
            Err(error) => {
                let most = most(cx.reply.dialect());
                protocol_error(cx.reply, cx.session, &error, most);
                break;
            }
        }
        if cx.session.authenticated != was_authenticated || is_full(cx) {
            return (used, true);
        }
    }
    (used, false)
}

/// The first event while replies are being written.
enum Event {
    Written(usize),
    Read(usize),
    /// Neither a write nor a read is possible, but there are requests to answer.
    Requests,
}

/// Returns the limits of a request. They can change between requests, with AUTH, CONFIG SET and the upstream's version.
fn limits(server: &Server, authenticated: bool, dialect: Dialect) -> RequestLimits {
    let config = &server.config;
    let words_max = config
        .query_words_max
        .unwrap_or(dialect.request_words_max());
    let word_bytes_max = Tunables::size(&server.tunables.word_bytes_max);
    if authenticated {
        return RequestLimits {
            words_max,
            word_bytes_max,
            inline: true,
        };
    }
    RequestLimits {
        words_max: UNAUTHENTICATED_WORDS_MAX.min(words_max),
        word_bytes_max: UNAUTHENTICATED_WORD_BYTES_MAX.min(word_bytes_max),
        inline: true,
    }
}

/// Answers bytes that are not a request, and closes the connection after the reply. A client with a password may send `most`.
fn protocol_error(
    reply: &mut Reply,
    session: &mut Session,
    error: &ProtocolError,
    most: RequestLimits,
) {
    let text = match error {
        // A request that no client may send gets its own error. Source: redis 7.0 networking.c, `processMultibulkBuffer`.
        ProtocolError::TooManyWords(count) if *count <= most.words_max => {
            "unauthenticated multibulk length".to_owned()
        }
        ProtocolError::WordTooLong(bytes) if *bytes <= most.word_bytes_max => {
            "unauthenticated bulk length".to_owned()
        }
        error => error.to_string(),
    };
    reply.error(format!("ERR Protocol error: {text}"));
    session.closing = true;
}

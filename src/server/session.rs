//! One connection, from its first byte to its last.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::task::unconstrained;
use tokio_util::sync::WaitForCancellationFuture;

use super::shared::Server;
use crate::command::client::Client;
use crate::command::{Ahead, Host as _, Session, SessionCx, answer, point_read_key};
use crate::resp::{Protocol, ProtocolError, Reply, RequestLimits, RequestParser, Step};
use crate::store::{Fetch, KeyHash};

/// Room for requests that a new connection starts with.
const READ_BYTES_FIRST: usize = 4 << 10;

/// Room that is added at most when reads fill what there is.
const READ_BYTES_MAX: usize = 256 << 10;

/// Replies are written once they pass this, even in the middle of a pipeline.
const FLUSH_BYTES: usize = 64 << 10;

/// Memory of the buffers that is kept between batches.
const KEPT_BYTES: usize = 64 << 10;

/// How long a connection that is being closed may take to accept its last replies.
const CLOSING_GRACE: Duration = Duration::from_millis(500);

/// Words of one command before AUTH. Source: redis 7.0 networking.c, `processMultibulkBuffer`.
const UNAUTHENTICATED_WORDS_MAX: usize = 10;

/// Bytes of one word before AUTH. Source: as above.
const UNAUTHENTICATED_WORD_BYTES_MAX: usize = 16 << 10;

/// Serves a connection until it ends, either side closes it, or it breaks a limit.
pub(super) async fn run(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    server: Arc<Server>,
    client: Arc<Client>,
) {
    let close = client.close.clone();
    let mut connection = Connection::new(&server, Arc::clone(&client));
    // An error here is the peer's going away; there is nobody left to tell.
    let _ = connection.serve(&mut stream, close.cancelled()).await;
    server.clients.remove(&client);
}

pub(super) struct Connection<'s> {
    pub(super) server: &'s Server,
    pub(super) input: BytesMut,
    /// How much room the next read gets.
    pub(super) read_bytes: usize,
    parser: RequestParser,
    ahead: Ahead,
    pub(super) reply: Reply,
    pub(super) session: Session,
}

impl<'s> Connection<'s> {
    fn new(server: &'s Server, client: Arc<Client>) -> Self {
        let authenticated = server.checks_password(b"").is_none();
        Self {
            server,
            input: BytesMut::new(),
            read_bytes: READ_BYTES_FIRST,
            parser: RequestParser::new(limits(server, authenticated)),
            ahead: Ahead::default(),
            reply: Reply::new(
                Protocol::default(),
                server.config.dialect.unwrap_or_default(),
                server.config.reply_bytes_max,
            ),
            session: Session::new(client, authenticated),
        }
    }

    async fn serve(
        &mut self,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
        closed: WaitForCancellationFuture<'_>,
    ) -> std::io::Result<()> {
        let mut closed = pin!(unconstrained(closed));
        let mut is_told = false;
        while !self.session.closing {
            self.input.reserve(self.read_bytes);
            let room = self.input.capacity() - self.input.len();
            let mut reading = pin!(stream.read_buf(&mut self.input));
            let close = &self.session.client.close;
            let read = poll_fn(|cx| {
                if close.is_cancelled() {
                    return Poll::Ready(None);
                }
                let read = reading.as_mut().poll(cx).map(Some);
                // The task is always the same one: to be told once is enough.
                if read.is_pending() && !is_told && closed.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(None);
                }
                is_told |= read.is_pending();
                read
            });
            let Some(read) = read.await.transpose()? else {
                break;
            };
            if read == 0 {
                return Ok(());
            }
            self.adapt(read, room);
            self.fetch_lone_key().await;
            self.batch(stream, read).await?;
        }
        stream.shutdown().await
    }

    /// Asks for the memory of the key that a lone read looks at, and lets other connections have their turn while it comes. In a
    /// pipeline the reads of a group do that for each other.
    async fn fetch_lone_key(&mut self) {
        let Some(hash) = self.lone_key() else { return };
        for step in [Fetch::Bucket, Fetch::Entry] {
            if let Some(generation) = self.server.served().peek().as_deref() {
                generation.spaces.fetch_step(self.session.db, hash, step);
            }
            next_turn().await;
        }
    }

    /// The hash of the key that the one request in the input looks at.
    fn lone_key(&mut self) -> Option<KeyHash> {
        if !self.session.authenticated {
            return None;
        }
        let args = self.parser.peek_lone(&self.input)?;
        point_read_key(self.server.served().peek().as_deref()?, args)
    }

    /// Reads that fill their room get more; a buffer that has grown is given back when it is empty.
    fn adapt(&mut self, read: usize, room: usize) {
        if read == room {
            self.read_bytes = (self.read_bytes * 2).min(READ_BYTES_MAX);
        }
    }

    /// Answers every whole request that has come.
    async fn batch(
        &mut self,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
        read: usize,
    ) -> std::io::Result<()> {
        let mut read = read;
        loop {
            let (commands, grouped) = (self.session.commands, self.session.grouped);
            let more = self.answer_some();
            let written = self.reply.len();
            if !self.reply.is_empty() {
                self.write(stream).await?;
            }
            let commands = self.session.commands - commands;
            let grouped = self.session.grouped - grouped;
            self.settle(std::mem::take(&mut read), written, [commands, grouped]);
            if self.session.closing {
                return Ok(());
            }
            if let Some(blocked) = self.session.blocked.take() {
                self.wait(stream, blocked).await?;
                continue;
            }
            if !more {
                return Ok(());
            }
            // A long pipeline of one client must not keep the others waiting.
            tokio::task::yield_now().await;
        }
    }

    /// Answers requests until the input ends inside one or enough replies wait; gives whether there may be more.
    fn answer_some(&mut self) -> bool {
        let stale = self.server.served().is_stale();
        let generation = self.server.served().peek();
        let generation = generation.as_deref();
        if let Some(generation) = generation {
            self.reply.set_dialect(generation.dialect);
        }
        let was_authenticated = self.session.authenticated;
        let mut cx = SessionCx {
            reply: &mut self.reply,
            session: &mut self.session,
            host: self.server,
            generation,
            stale,
        };
        let (used, more) = answer_requests(&mut cx, &mut self.parser, &mut self.ahead, &self.input);
        if self.session.authenticated != was_authenticated {
            self.parser
                .set_limits(limits(self.server, self.session.authenticated));
        }
        self.input.advance(used);
        self.check_query_limit();
        more
    }

    pub(super) fn check_query_limit(&mut self) {
        if self.input.len() <= self.server.config.query_bytes_max || self.session.closing {
            return;
        }
        self.reply
            .error("ERR Protocol error: the request is larger than query-bytes-max");
        self.session.closing = true;
        let closes = &self.server.statistics.query_limit_closes;
        closes.fetch_add(1, Ordering::Relaxed);
    }

    /// Writes all replies. A connection that is closed meanwhile gets a moment to take them.
    async fn write(&mut self, stream: &mut (impl AsyncWrite + Unpin)) -> std::io::Result<()> {
        let bytes = self.reply.as_bytes();
        // What the peer has room for is taken at once.
        let mut at_once = poll_fn(|cx| match Pin::new(&mut *stream).poll_write(cx, bytes) {
            Poll::Ready(written) => Poll::Ready(written),
            Poll::Pending => Poll::Ready(Ok(0)),
        });
        let written = (&mut at_once).await?;
        let rest = bytes.get(written..).unwrap_or_default();
        if !rest.is_empty() {
            self.write_rest(stream, rest).await?;
        }
        self.reply.clear(KEPT_BYTES);
        Ok(())
    }

    async fn write_rest(
        &self,
        stream: &mut (impl AsyncWrite + Unpin),
        rest: &[u8],
    ) -> std::io::Result<()> {
        let client = &self.session.client;
        let closed = async {
            client.close.cancelled().await;
            tokio::time::sleep(CLOSING_GRACE).await;
        };
        tokio::select! {
            biased;
            result = write_all(stream, rest, client) => result,
            () = closed => Err(std::io::ErrorKind::TimedOut.into()),
        }
    }

    /// Brings the records up to date: bytes read and written, commands run and reads grouped, since it was last done.
    pub(super) fn settle(&mut self, read: usize, written: usize, [commands, grouped]: [u64; 2]) {
        if self.input.is_empty() && self.input.capacity() > KEPT_BYTES {
            self.input = BytesMut::new();
            self.read_bytes = READ_BYTES_FIRST;
        }
        let (read, written) = (read as u64, written as u64);
        let traffic = &self.server.statistics.traffic;
        traffic.add([commands, grouped, read, written]);
        let mut shown = self.session.client.shown();
        self.session.publish(&mut shown, self.reply.protocol());
        shown.active = Instant::now();
        shown.input_bytes += read;
        shown.output_bytes += written;
        shown.query_bytes = self.input.len();
    }
}

/// Lets the tasks that are ready have their turn: woken at once, the task goes behind them. Unlike
/// [`yield_now`](tokio::task::yield_now), without a look at the sockets before it goes on.
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

/// Answers requests at the start of `input`, reads of single keys in groups. Gives how many bytes they took, and whether there may be
/// more: enough replies wait, or other limits hold from here on.
fn answer_requests(
    cx: &mut SessionCx<'_>,
    parser: &mut RequestParser,
    ahead: &mut Ahead,
    input: &[u8],
) -> (usize, bool) {
    let is_full = |cx: &SessionCx<'_>| cx.reply.len() > FLUSH_BYTES;
    let was_authenticated = cx.session.authenticated;
    let mut used = 0;
    while !cx.session.closing && cx.session.blocked.is_none() {
        let rest = input.get(used..).unwrap_or_default();
        let step = parser.step(rest);
        // The words of the inline form do not lie in the input.
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
            if is_full(cx) || cx.session.closing {
                // What was looked at behind it will be looked at again.
                parser.reset();
                return (end, true);
            }
            if take(ahead, cx) {
                continue;
            }
        }
        match step {
            Ok(Step::Command(args, taken)) => {
                used += taken;
                answer(cx, args);
            }
            Ok(Step::NeedMore) => break,
            Err(error) => {
                protocol_error(cx.reply, cx.session, &error);
                break;
            }
        }
        if cx.session.authenticated != was_authenticated || is_full(cx) {
            return (used, true);
        }
    }
    (used, false)
}

/// Writes `bytes`, which the peer had no room for at once; meanwhile its record says since when it has taken nothing.
async fn write_all(
    stream: &mut (impl AsyncWrite + Unpin),
    mut bytes: &[u8],
    client: &Client,
) -> std::io::Result<()> {
    let note = |bytes: usize| {
        let mut shown = client.shown();
        shown.reply_bytes = bytes;
        shown.stalled = (bytes > 0).then(Instant::now);
    };
    while !bytes.is_empty() {
        note(bytes.len());
        let written = stream.write(bytes).await?;
        if written == 0 {
            return Err(std::io::ErrorKind::WriteZero.into());
        }
        bytes = bytes.get(written..).unwrap_or_default();
    }
    note(0);
    Ok(())
}

fn limits(server: &Server, authenticated: bool) -> RequestLimits {
    let config = &server.config;
    if authenticated {
        return RequestLimits {
            words_max: config.query_words_max,
            word_bytes_max: config.word_bytes_max,
            inline: true,
        };
    }
    RequestLimits {
        words_max: UNAUTHENTICATED_WORDS_MAX.min(config.query_words_max),
        word_bytes_max: UNAUTHENTICATED_WORD_BYTES_MAX.min(config.word_bytes_max),
        inline: true,
    }
}

/// Answers bytes that are no request; the connection closes after it.
fn protocol_error(reply: &mut Reply, session: &mut Session, error: &ProtocolError) {
    let text = match error {
        ProtocolError::MultibulkLength if !session.authenticated => {
            "unauthenticated multibulk length".to_owned()
        }
        ProtocolError::BulkLength if !session.authenticated => {
            "unauthenticated bulk length".to_owned()
        }
        error => error.to_string(),
    };
    reply.error(format!("ERR Protocol error: {text}"));
    session.closing = true;
}

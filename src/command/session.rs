//! What a connection's own commands work on, and the order in which a request is checked and answered.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use super::catalogue;
use super::client::{Client, Shown};
use super::scripting::{self, Scripting};
use super::table::{Command, Flags, Scope};
use super::traffic::{Rates, Traffic};
use super::transaction::{self, Transaction};
use super::tunables::Tunables;
use super::{Error, Place, Wait, read_at, resolve_for};
use crate::resp::{Args, Budget, Protocol, Reply};
use crate::store::{Generation, Keyspaces, Served, Watching};

/// The reply to a write.
pub const READONLY: Error = Error::Text("READONLY You can't write against a read only replica.");

/// The reply to a read before the first sync.
const LOADING: Error = Error::Text("LOADING Redis is loading the dataset in memory");

/// The reply to a read where the data may be older than allowed. Source: redis 7.0 server.c, `createSharedObjects`.
const MASTERDOWN: Error =
    Error::Text("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.");

/// The reply to a read where the old data was given up for a full resync.
const LOADING_AGAIN: Error = Error::Text(
    "LOADING redtail gave up its data to load a full resync, as --resync-memory one-copy says",
);

/// A connection's state.
#[derive(Debug)]
pub struct Session {
    /// How others see it.
    pub client: Arc<Client>,
    /// The selected database.
    pub db: usize,
    /// Whether it may run commands that need AUTH.
    pub authenticated: bool,
    /// What CLIENT REPLY asked for.
    pub replies: Replies,
    /// What MULTI has queued.
    pub transaction: Option<Transaction>,
    /// What WATCH watches.
    pub watching: Option<Box<Watching>>,
    /// Whether what it reads counts as used: CLIENT NO-TOUCH.
    pub touches: bool,
    /// The time of the transaction that runs, in Unix milliseconds: a key cannot expire between two of its commands.
    pub clock: Option<i64>,
    /// The command that waits; what comes behind it waits, too.
    pub blocked: Option<Blocked>,
    /// Close once the replies so far are written.
    pub closing: bool,
    /// The last request was not answered: its reply has no room beside those that wait. It is to be asked again once they are written.
    pub deferred: bool,
    /// Requests refused for what they ask for, since this was last taken: see `is_refusal`.
    pub refused: u32,
    /// The work of its reads since this was last taken, in elements.
    pub worked: Cell<usize>,
    /// Commands run.
    pub commands: u64,
    /// Those among them that were reads of a group.
    pub grouped: u64,
    /// The last command: container, if any, and name.
    pub last: (Option<&'static str>, &'static str),
}

/// A command that waits.
#[derive(Debug)]
pub struct Blocked {
    /// For what.
    pub wait: Box<Wait>,
    /// Whether its reply is not wanted.
    pub silent: bool,
}

/// Whether replies are sent. Source: redis 7.0 networking.c, CLIENT REPLY.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Replies {
    /// Yes.
    #[default]
    On,
    /// No.
    Off,
    /// The next command's is not.
    SkipNext,
}

impl Session {
    /// A new connection's state; `authenticated` when no password is asked for.
    #[must_use]
    pub fn new(client: Arc<Client>, authenticated: bool) -> Self {
        Self {
            client,
            db: 0,
            authenticated,
            replies: Replies::On,
            transaction: None,
            watching: None,
            touches: true,
            clock: None,
            blocked: None,
            closing: false,
            deferred: false,
            refused: 0,
            worked: Cell::new(0),
            commands: 0,
            grouped: 0,
            last: (None, "NULL"),
        }
    }

    /// Brings the connection's record up to date with its state.
    pub fn publish(&self, shown: &mut Shown, protocol: Protocol) {
        shown.db = self.db;
        shown.protocol = if protocol == Protocol::Resp3 { 3 } else { 2 };
        shown.queued = self.transaction.as_ref().map(Transaction::len);
        shown.watched = self.watching.as_ref().map_or(0, |watching| watching.len());
        shown.command = self.last;
        shown.commands = self.commands;
    }
}

/// What session handlers need of the server around them.
pub trait Host: Send + Sync {
    /// What reads are answered from.
    fn served(&self) -> &Served;
    /// How many databases there are.
    fn databases(&self) -> usize;
    /// Whether the default user has that password; `None` when it needs none. Takes the same time for every wrong one.
    fn checks_password(&self, given: &[u8]) -> Option<bool>;
    /// The connections, oldest first.
    fn clients(&self) -> Vec<Arc<Client>>;
    /// The server's settings as CONFIG GET names them, secrets left out.
    fn settings(&self) -> Vec<(&'static str, String)>;
    /// What CONFIG SET changes.
    fn tunables(&self) -> &Tunables;
    /// What the server is and counts.
    fn statistics(&self) -> &Statistics;
    /// How the replica stands.
    fn replication(&self) -> Replication;
    /// Who runs scripts.
    fn scripting(&self) -> &dyn Scripting;
    /// Whether this connection may use DEBUG.
    fn allows_debug(&self, client: &Client) -> bool;
    /// Ends the connection that holds most of the memory of all, if that is more than `bytes` and nobody takes it.
    fn relieve(&self, bytes: usize);
}

/// What a server is, and what it has counted.
#[derive(Debug)]
pub struct Statistics {
    /// When it started.
    pub started: Instant,
    /// 40 random hexadecimal digits that name this process.
    pub run_id: String,
    /// The first TCP port it listens on, 0 for none.
    pub port: AtomicU64,
    /// Connections accepted.
    pub connections: AtomicU64,
    /// Connections refused because there were too many.
    pub rejected: AtomicU64,
    /// Commands and bytes.
    pub traffic: Traffic,
    /// The memory of all requests and replies.
    pub budget: Arc<Budget>,
    /// How fast those grow.
    pub rates: Rates,
    /// Connections closed because their replies grew too large or were not taken.
    pub reply_limit_closes: AtomicU64,
    /// Connections closed because their request grew too large.
    pub query_limit_closes: AtomicU64,
    /// Error replies.
    pub errors: AtomicU64,
    /// How often a connection had to wait since it was refused again and again.
    pub slowed: AtomicU64,
}

impl Default for Statistics {
    fn default() -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            started: Instant::now(),
            run_id: (0..40)
                .filter_map(|_| char::from_digit(fastrand::u32(..16), 16))
                .collect(),
            port: zero(),
            connections: zero(),
            rejected: zero(),
            traffic: Traffic::default(),
            budget: Arc::default(),
            rates: Rates::default(),
            reply_limit_closes: zero(),
            query_limit_closes: zero(),
            errors: zero(),
            slowed: zero(),
        }
    }
}

/// How the replica stands, for INFO and ROLE.
#[derive(Debug, Clone, Default)]
pub struct Replication {
    /// The primary's host, or the path of its socket.
    pub host: String,
    /// Its port, 0 for a socket.
    pub port: u16,
    /// The link's state in the words of ROLE.
    pub state: &'static str,
    /// How long ago the last byte came.
    pub last_io: Option<Duration>,
    /// Since when the link is down, `None` while it is up.
    pub down_for: Option<Duration>,
    /// Whether it has ever been up.
    pub was_up: bool,
    /// Why it last went down.
    pub last_error: Option<String>,
    /// Whether it cannot come up before someone has put that right.
    pub needs_a_person: bool,
    /// How the upstream runs, as it says: `standalone`, `cluster` or `unknown`.
    pub upstream_mode: &'static str,
    /// The followed history's id, empty before the first sync.
    pub replid: String,
    /// The id that it had before a failover, and the first offset that is only in the new one.
    pub replid_before: Option<(String, u64)>,
    /// The full resync that is held back: its keys, and for how many seconds.
    pub held: Option<[u64; 2]>,
    /// Bytes of it applied.
    pub applied_offset: u64,
    /// Bytes of it received.
    pub received_offset: u64,
    /// How long ago what is served surely lacked nothing.
    pub proven_ago: Option<Duration>,
    /// Whether reads are refused for that.
    pub stale: bool,
    /// Bytes received over all links.
    pub input_bytes: u64,
    /// Those among them that waited in the spool's file.
    pub spooled_bytes: u64,
    /// Pieces of the stream that the writer read from the socket itself.
    pub direct_reads: u64,
    /// Requests that waited for what had arrived, and those among them that waited in vain.
    pub waits: [u64; 2],
    /// Commands applied.
    pub applied_commands: u64,
    /// Writes that could not be applied.
    pub failed_writes: u64,
    /// Those among them of which not even the keys were known.
    pub unknown_commands: u64,
    /// Scripts that came as their text and were run.
    pub scripts: u64,
    /// What came in the stream, changed no data and was passed over, by name.
    pub passed: Vec<(Box<str>, u64)>,
    /// Messages published at the primary.
    pub published: u64,
    /// Keys long past their time whose values were given up, and the bytes that this gave back.
    pub swept: [u64; 2],
    /// Full syncs, partial syncs, refused partial syncs.
    pub syncs: [u64; 3],
    /// Loads that ended well, and those that failed.
    pub loads: [u64; 2],
    /// The load under way: bytes and keys so far, bytes expected (0 when unknown).
    pub loading: Option<[u64; 3]>,
    /// What went wrong last with the link, a load or the stream, and how long ago.
    pub last_fault: Option<(String, Duration)>,
    /// The state directory, if there is one.
    pub kept: Option<KeptState>,
}

/// What a restart would resume from.
#[derive(Debug, Clone, Default)]
pub struct KeptState {
    /// Whether the stream is being kept.
    pub keeps: bool,
    /// Whether a snapshot is being written.
    pub saves: bool,
    /// Snapshots that became durable.
    pub snapshots: u64,
    /// Bytes of the newest one, and of the logs behind it.
    pub bytes: [u64; 2],
    /// How often something could not be written, and how often damaged files were set aside.
    pub failures: [u64; 2],
    /// Why nothing is kept, or why something was set aside.
    pub last_error: Option<String>,
}

/// What a session handler may use.
pub struct SessionCx<'a> {
    /// Where the reply goes.
    pub reply: &'a mut Reply,
    /// The connection's state.
    pub session: &'a mut Session,
    /// The server.
    pub host: &'a dyn Host,
    /// What reads are answered from, `None` before the first sync.
    pub generation: Option<&'a Generation>,
    /// Whether that may be older than allowed.
    pub stale: bool,
}

impl SessionCx<'_> {
    /// Brings the connection's record up to date with its state.
    pub fn publish(&self) {
        let mut shown = self.session.client.shown();
        self.session.publish(&mut shown, self.reply.protocol());
    }
}

/// A handler that works on the connection.
pub type SessionFn = fn(&mut SessionCx<'_>, Args<'_>) -> Result<(), Error>;

/// Answers one request: at most one reply is appended. A request without words is ignored.
#[inline]
pub fn answer(cx: &mut SessionCx<'_>, args: Args<'_>) {
    if args.is_empty() || is_put_off(cx, args) {
        return;
    }
    let row = admit(cx, args);
    respond(cx, row, args);
}

/// As [`answer`], for a row that the state of the connection admits. That a script may write is found out when it is to run.
pub(super) fn answer_row(cx: &mut SessionCx<'_>, row: &'static Command, args: Args<'_>) {
    if !is_put_off(cx, args) {
        respond(cx, Ok(row), args);
    }
}

/// What is not run twice is not run before its reply has room for certain.
#[inline]
fn is_put_off(cx: &mut SessionCx<'_>, args: Args<'_>) -> bool {
    let is_put_off = cx.reply.is_crowded() && !is_read_again(cx, args);
    cx.session.deferred |= is_put_off;
    is_put_off
}

#[inline]
fn respond(cx: &mut SessionCx<'_>, row: Result<&'static Command, Error>, args: Args<'_>) {
    let mark = cx.reply.len();
    let before = cx.session.replies;
    let kept = row.as_ref().ok().copied();
    let repeats = kept.is_some_and(|row| row.read.is_some()) && cx.session.transaction.is_none();
    match row.and_then(|row| perform(cx, row, args)) {
        Err(Error::Waits(wait)) => {
            cx.session.blocked = Some(Blocked {
                wait,
                silent: before != Replies::On,
            });
        }
        result => {
            if result.is_err() {
                cx.session.refused += u32::from(is_refusal(kept));
            }
            finish(cx, mark, result, repeats);
        }
    }
    if cx.session.deferred {
        cx.session.commands -= 1;
    } else if before != Replies::On {
        hold_back(cx, mark, before);
    }
}

/// Whether a request may be answered a second time, where its reply has had no room the first time.
#[cold]
fn is_read_again(cx: &SessionCx<'_>, args: Args<'_>) -> bool {
    let row = resolve_for(args, cx.reply.dialect());
    cx.session.transaction.is_none() && row.is_ok_and(|row| row.read.is_some())
}

/// Whether an error says that the command is not to be had here, now or by this client: what is unknown, what writes, what redtail
/// does not do, a wrong password. Asking again changes nothing. A read's own errors, such as WRONGTYPE, and a script's are none.
#[cold]
fn is_refusal(row: Option<&Command>) -> bool {
    row.is_none_or(|row| row.read.is_none() && !row.flags.has(Flags::SCRIPT))
}

/// Makes a reply that was begun at `mark` whole: an error takes the place of what is there, or of what grew too large. What
/// `repeats` without harm is put off where it has no room beside the replies that wait.
#[inline]
pub(super) fn finish(
    cx: &mut SessionCx<'_>,
    mark: usize,
    result: Result<(), Error>,
    repeats: bool,
) {
    if let Err(error) = result {
        refuse(cx, mark, &error);
    }
    if cx.reply.overflowed() {
        if mark > 0 && cx.reply.sent() <= mark && (repeats || cx.session.deferred) {
            cx.reply.truncate(mark);
            cx.session.deferred = true;
        } else {
            overflow(cx, mark);
        }
    }
}

/// Checks a request in Redis's order. Source: redis 7.0 server.c, `processCommand`.
#[inline]
fn admit(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<&'static Command, Error> {
    let result = check(cx, args);
    let Err(error) = &result else {
        return result;
    };
    if let Some(transaction) = &mut cx.session.transaction {
        transaction.abort();
    }
    if !args.is(0, "exec") {
        return result;
    }
    cx.session.transaction = None;
    cx.session.watching = None;
    let error = error.to_string();
    // Redis 7.0 server.c, `rejectCommandFormat`: what is formatted has no code yet.
    let why = error.strip_prefix("ERR ").unwrap_or(&error);
    Err(Error::Owned(format!(
        "EXECABORT Transaction discarded because of: {why}"
    )))
}

#[inline]
fn check(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<&'static Command, Error> {
    let dialect = cx.reply.dialect();
    if !cx.session.authenticated && dialect.asks_for_password_first() {
        check_open(super::lookup(args.at(0)))?;
    }
    let row = resolve_for(args, dialect)
        .or_else(|error| transaction::found_when_run(cx, args).ok_or(error))?;
    if !cx.session.authenticated {
        check_open(Some(row))?;
    }
    if row.is_write() || row.flags.has(Flags::SCRIPT) && scripting::writes(cx, row, args) {
        return Err(READONLY);
    }
    if cx.session.transaction.is_some() {
        transaction::check(row, args, dialect)?;
    }
    if cx.generation.is_none() && !answered(cx, row, args, "loading") {
        return Err(loading(cx));
    }
    if cx.stale && !answered(cx, row, args, "stale") {
        return Err(MASTERDOWN);
    }
    Ok(row)
}

/// Whether a command is answered in a state that the upstream answers only commands with `flag` in: an EXEC with all that it
/// runs. Source: redis 7.0 server.c, `processCommand`.
///
/// DIFFERENCE: scripts are refused as a whole. Since Redis 7.0 they begin, and fail where they read.
#[cold]
fn answered(cx: &SessionCx<'_>, row: &Command, args: Args<'_>, flag: &str) -> bool {
    let dialect = cx.reply.dialect();
    let queued = cx
        .session
        .transaction
        .as_ref()
        .filter(|_| row.name == "exec");
    let has_flag = catalogue::flagged(args, row, dialect, flag);
    has_flag
        && !row.flags.has(Flags::SCRIPT)
        && queued.is_none_or(|transaction| transaction.has_only(flag, dialect))
}

/// Refuses what may not be asked for before AUTH.
#[cold]
fn check_open(row: Option<&Command>) -> Result<(), Error> {
    if row.is_some_and(|row| row.flags.has(Flags::NO_AUTH)) {
        Ok(())
    } else {
        Err(Error::Text("NOAUTH Authentication required."))
    }
}

/// Runs an admitted command, or queues it inside MULTI.
#[inline]
fn perform(cx: &mut SessionCx<'_>, row: &'static Command, args: Args<'_>) -> Result<(), Error> {
    cx.session.commands += 1;
    if cx.session.transaction.is_some() && !transaction::runs_at_once(row) {
        return transaction::queue(cx, row, args);
    }
    note_last(cx, row, args);
    run(cx, row, args)
}

#[inline]
fn note_last(cx: &mut SessionCx<'_>, row: &'static Command, args: Args<'_>) {
    let container = if args.at(0).len() == row.name.len() {
        None
    } else {
        super::lookup(args.at(0)).map(|container| container.name)
    };
    cx.session.last = (container.filter(|name| *name != row.name), row.name);
}

/// Runs an admitted command now.
///
/// # Errors
/// The error reply; the reply may have been begun.
#[inline]
pub fn run(cx: &mut SessionCx<'_>, row: &'static Command, args: Args<'_>) -> Result<(), Error> {
    let Some(handler) = row.read else {
        return match row.session {
            Some(handler) => handler(cx, args),
            None => Err(Error::Text("ERR not supported by this replica")),
        };
    };
    let generation = cx.generation.ok_or_else(|| loading(cx))?;
    let place = Place {
        spaces: &generation.spaces,
        db: cx.session.db,
        now_ms: cx.session.clock,
        touches: cx.session.touches,
        worked: Some(&cx.session.worked),
    };
    let reply = &mut *cx.reply;
    let mut work = || read_at(place, handler, row, args, reply);
    let is_short = row.locks(args) == Scope::Keys;
    if is_short && !generation.spaces.keeps_waiting() {
        work()
    } else {
        long(work)
    }
}

/// Why there is nothing to read from.
#[cold]
pub(super) fn loading(cx: &SessionCx<'_>) -> Error {
    if cx.host.served().was_cleared() {
        LOADING_AGAIN
    } else {
        LOADING
    }
}

/// Runs what may walk a whole database or wait for the writer, letting the runtime's other tasks move to another thread meanwhile.
pub fn long<T>(work: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};
    match Handle::try_current() {
        Ok(handle) if handle.runtime_flavor() == RuntimeFlavor::MultiThread => {
            tokio::task::block_in_place(work)
        }
        _ => work(),
    }
}

/// Takes views, which may have to wait for the writer.
#[inline]
pub(super) fn entering<T>(spaces: &Keyspaces, enter: impl FnOnce() -> T) -> T {
    if spaces.keeps_waiting() {
        long(enter)
    } else {
        enter()
    }
}

#[cold]
fn refuse(cx: &mut SessionCx<'_>, mark: usize, error: &Error) {
    if cx.reply.sent() > mark {
        // Its first byte has been sent to see who is there: no other reply can take its place.
        cx.reply.truncate(cx.reply.sent());
        cx.session.closing = true;
    } else {
        cx.reply.truncate(mark);
        cx.reply.error(error.text());
    }
    cx.host
        .statistics()
        .errors
        .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
}

/// A reply that cannot be held is replaced by an error. One that is larger than any of this client's may be ends the connection: what
/// the client has read so far is whole. One that has no room beside those of others does not.
#[cold]
fn overflow(cx: &mut SessionCx<'_>, mark: usize) {
    if cx.reply.is_deserted() {
        cx.reply.truncate(mark);
        cx.session.closing = true;
        return;
    }
    if cx.reply.was_refused() {
        let bytes = cx.session.client.account.held();
        refuse(cx, mark, &OUT_OF_MEMORY);
        return cx.host.relieve(bytes);
    }
    refuse(cx, mark, &TOO_LARGE);
    cx.session.closing = true;
    cx.host
        .statistics()
        .reply_limit_closes
        .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
}

/// The reply in the place of one that is larger than any of this client's may be.
pub const TOO_LARGE: Error =
    Error::Text("ERR the reply is larger than reply-bytes-max; closing the connection");

/// The reply to what would take more memory than clients may have.
pub const OUT_OF_MEMORY: Error = Error::Text(
    "OOM the requests and replies of all clients would take more than clients-memory allows; ask for less at a time",
);

/// Takes back a reply that CLIENT REPLY does not want.
#[cold]
fn hold_back(cx: &mut SessionCx<'_>, mark: usize, before: Replies) {
    let turned_on = before == Replies::Off && cx.session.replies == Replies::On;
    if !turned_on {
        cx.session.closing |= cx.reply.sent() > mark;
        cx.reply.truncate(mark);
    }
    if before == Replies::SkipNext && cx.session.replies == Replies::SkipNext {
        cx.session.replies = Replies::On;
    }
}

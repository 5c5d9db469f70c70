//! What a connection's own commands work on: the connection's state, and the server around it.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use super::client::{Client, Shown};
use super::error::Error;
use super::queue::Transaction;
use super::scripting::Scripting;
use super::traffic::{Rates, Traffic};
use super::tunables::Tunables;
use super::wait::Wait;
use crate::resp::{Budget, Protocol, Reply};
use crate::store::{Generation, Served, Watching};

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

/// The reply to a read before the first sync.
const LOADING: Error = Error::Text("LOADING Redis is loading the dataset in memory");

/// The reply to a read where the old data was given up for a full resync.
const LOADING_AGAIN: Error = Error::Text(
    "LOADING redtail gave up its data to load a full resync, as --resync-memory one-copy says",
);

/// Why there is nothing to read from.
#[cold]
pub(crate) fn loading(cx: &SessionCx<'_>) -> Error {
    if cx.host.served().was_cleared() {
        LOADING_AGAIN
    } else {
        LOADING
    }
}

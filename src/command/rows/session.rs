//! What the commands of the connection itself work on: the connection's state, and the server around it.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::acl::{Login, Rights, Users};
use super::asked::{Asked, Sampler};
use super::calls::{Called, Calls};
use super::client::{Client, Shown};
use super::error::Error;
use super::error_codes::ErrorCodes;
use super::health::Seen;
use super::inbox::Inbox;
use super::latency_events::LatencyEvents;
use super::logs::Logs;
use super::monitor::Monitors;
use super::pubsub::{Kind, Outbox, Pubsub, Subscriptions};
use super::queue::Transaction;
use super::scripting::Scripting;
use super::shards::ShardWait;
use super::shards::{Face, InCluster, Shards};
use super::timing::Timing;
use super::tracking::{CHANNEL as INVALIDATIONS, Tracked, Tracking};
use super::traffic::{Counts, Rates, Traffic};
use super::tunables::Tunables;
use super::wait::{ReadAfter, Wait};
use crate::dialect::Dialect;
use crate::history::{Point, Reach};
use crate::resp::{Budget, Protocol, Reply};
use crate::spread::Durations;
use crate::store::{Generation, Served, Watching};

/// A connection's state.
#[derive(Debug)]
pub struct Session {
    /// The connection as others see it.
    pub client: Arc<Client>,
    /// The selected database.
    pub db: usize,
    /// Whether it may run commands that need authentication.
    pub authenticated: bool,
    /// The user that it logged in as; `None` for the default user.
    pub login: Option<Arc<Login>>,
    /// What that user may do; `None` for everything.
    pub rights: Option<Arc<Rights>>,
    /// The state of the users, and the server version, for which `rights` is right.
    pub rights_of: (u64, Dialect),
    /// How long to wait before the request that was put off is answered again: an AUTH from an address that failed too often.
    pub login_wait: Option<Duration>,
    /// How long that request has waited so far.
    pub login_waited: Duration,
    /// What CLIENT REPLY asked for.
    pub replies: Replies,
    /// The commands that MULTI has queued.
    pub transaction: Option<Transaction>,
    /// The keys that WATCH watches.
    pub watching: Option<Box<Watching>>,
    /// Whether reads count as accesses: see CLIENT NO-TOUCH.
    pub touches: bool,
    /// The clock of the running transaction, in Unix milliseconds: no key expires between two of its commands.
    pub clock: Option<i64>,
    /// Clients that the running transaction disconnects once it ends.
    pub leaving: Leaving,
    /// What it tracks.
    pub tracking: Option<Arc<Tracked>>,
    /// The point that its reads wait for.
    pub read_after: Option<Box<ReadAfter>>,
    /// The waiting command. Requests after it wait too.
    pub blocked: Option<Blocked>,
    /// Whether to close the connection once the replies so far are written.
    pub closing: bool,
    /// Whether the last request was put off, because its reply does not fit beside those still to be written. Answer
    /// it again once they are.
    pub deferred: bool,
    /// Requests refused since this was last taken: see `is_refusal`.
    pub refused: u32,
    /// What its reads have done.
    pub tally: Tally,
    /// How long its commands take.
    pub timing: Timing,
    /// Which of its reads are sampled.
    pub sampler: Sampler,
    /// What waits for it besides replies; created when it first asks for something of that kind.
    pub inbox: Option<Arc<Inbox>>,
    /// What it has subscribed to.
    pub subscriptions: Option<Box<Subscriptions>>,
    /// What a script has published: it is delivered once it is certain that the script does not start over.
    pub outbox: Option<Outbox>,
    /// Up to where the reply buffer holds pushes, which CLIENT REPLY does not suppress. Set only while it suppresses replies.
    pub kept: usize,
    /// Whether it has asked for reads from replicas of a cluster (READONLY).
    pub reads_here: bool,
    /// The wait of a request for the shard of its keys.
    pub shard_wait: Option<Box<ShardWait>>,
    /// Why the request that was put off must fail.
    pub failed_wait: Option<Error>,
    /// Number of commands run.
    pub commands: u64,
    /// Number of those that were reads answered in a group.
    pub grouped: u64,
    /// The last command: its container, if any, and its name.
    pub last: (Option<&'static str>, &'static str),
}

/// A command that waits.
#[derive(Debug)]
pub struct Blocked {
    /// What it waits for.
    pub wait: Box<Wait>,
    /// Whether its reply is suppressed.
    pub silent: bool,
    /// What was called.
    pub called: Called,
    /// The time until it began to wait, in nanoseconds.
    pub nanos: u64,
}

/// Clients that are disconnected when this is dropped.
#[derive(Debug, Default)]
pub struct Leaving(Vec<Arc<Client>>);

impl Leaving {
    /// Adds a client.
    pub fn add(&mut self, client: Arc<Client>) {
        self.0.push(client);
    }

    /// Whether a client is among them.
    #[must_use]
    pub fn has(&self, client: &Client) -> bool {
        self.0.iter().any(|other| other.id == client.id)
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.iter().for_each(|client| client.close.cancel());
    }
}

/// What reads have done.
#[derive(Debug, Default)]
pub struct Tally {
    /// The work since this was last set to zero, in elements.
    pub worked: Cell<usize>,
    /// Keys that were found.
    pub hits: Cell<u64>,
    /// Keys that were absent.
    pub misses: Cell<u64>,
}

impl Tally {
    /// Adds to the work.
    pub(crate) fn add_work(&self, work: usize) {
        self.worked.set(self.worked.get().saturating_add(work));
    }

    /// Adds to the keys that were found or absent.
    #[inline]
    pub(crate) fn add_lookups(&self, hits: u64, misses: u64) {
        self.hits.set(self.hits.get() + hits);
        self.misses.set(self.misses.get() + misses);
    }
}

/// Whether replies are sent. Source: redis 7.0 networking.c, CLIENT REPLY.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Replies {
    /// Yes.
    #[default]
    On,
    /// No.
    Off,
    /// Except for the next command's.
    SkipNext,
}

impl Session {
    /// Creates the state of a new connection. `authenticated` is true if no password is required.
    #[must_use]
    pub fn new(client: Arc<Client>, authenticated: bool) -> Self {
        Self {
            client,
            db: 0,
            authenticated,
            login: None,
            rights: None,
            rights_of: (0, Dialect::default()),
            login_wait: None,
            login_waited: Duration::ZERO,
            replies: Replies::On,
            transaction: None,
            watching: None,
            touches: true,
            clock: None,
            leaving: Leaving::default(),
            tracking: None,
            read_after: None,
            blocked: None,
            closing: false,
            deferred: false,
            refused: 0,
            tally: Tally::default(),
            timing: Timing::default(),
            sampler: Sampler::default(),
            inbox: None,
            subscriptions: None,
            outbox: None,
            kept: 0,
            reads_here: false,
            shard_wait: None,
            failed_wait: None,
            commands: 0,
            grouped: 0,
            last: (None, "NULL"),
        }
    }

    /// Whether it has subscribed and does nothing else. `so_far` says whether that was so before its last command.
    #[must_use]
    pub fn only_listens(&self, protocol: Protocol, so_far: bool) -> bool {
        let Some(subscriptions) = &self.subscriptions else {
            return false;
        };
        // A read may depend on an invalidation.
        if self.tracking.is_some() || subscriptions.has(Kind::Channel, INVALIDATIONS) {
            return false;
        }
        match self.last {
            // A subscriber that speaks RESP2 may not read.
            _ if protocol == Protocol::Resp2 => true,
            (None, "ping") => so_far,
            (None, name) => name.ends_with("subscribe"),
            _ => false,
        }
    }

    /// Returns what its commands have done. Bytes are counted elsewhere.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            commands: self.commands,
            grouped_reads: self.grouped,
            keyspace_hits: self.tally.hits.get(),
            keyspace_misses: self.tally.misses.get(),
            ..Counts::default()
        }
    }

    /// Looks up the user's permissions again if users or the server version have changed. A connection whose user was deleted
    /// closes.
    #[inline]
    pub fn follow_users(&mut self, users: &Users, dialect: Dialect) {
        if self.rights_of != (users.epoch(), dialect) {
            self.adopt_changed_rights(users, dialect);
        }
    }

    /// Also closes the connection if it has a subscription that was allowed and no longer is.
    /// Source: redis 7.0 acl.c, `ACLKillPubsubClientsIfNeeded`.
    #[cold]
    fn adopt_changed_rights(&mut self, users: &Users, dialect: Dialect) {
        let before = self.rights.take();
        self.look_up_rights(users, dialect);
        if let (Some(subscriptions), Some(now)) = (&self.subscriptions, &self.rights) {
            let allowed = |rights: Option<&Rights>, kind, name: &[u8]| {
                rights.is_none_or(|rights| rights.allows_channel(name, kind == Kind::Pattern))
            };
            let lost = |kind, name: &[u8]| {
                allowed(before.as_deref(), kind, name) && !allowed(Some(now), kind, name)
            };
            self.closing |= Kind::ALL
                .into_iter()
                .any(|kind| subscriptions.names(kind).any(|name| lost(kind, name)));
        }
    }

    #[cold]
    fn look_up_rights(&mut self, users: &Users, dialect: Dialect) {
        // Read before the rights: a change in between is then found at the next batch.
        self.rights_of = (users.epoch(), dialect);
        let rights = users.rights(self.login.as_deref(), dialect);
        self.closing |= rights.is_err();
        self.authenticated &= rights.is_ok();
        if let Ok(rights) = rights {
            self.rights = rights;
        }
        if self.login.is_none() && users.is_open() {
            self.authenticated = true;
        }
    }

    /// Makes the connection that of another user.
    pub fn become_user(&mut self, login: Option<Arc<Login>>, users: &Users, dialect: Dialect) {
        self.client.shown().login.clone_from(&login);
        self.login = login;
        self.authenticated = true;
        self.look_up_rights(users, dialect);
    }

    /// Takes the inbox that another connection has made for this one, which speaks `protocol`.
    pub fn take_given_inbox(&mut self, protocol: Protocol) {
        if !self.client.has_gift.swap(false, Ordering::Acquire) {
            return;
        }
        let given = self.client.shown().given_inbox.take();
        if let Some(inbox) = given.filter(|_| self.inbox.is_none()) {
            if inbox.is_resp3() != (protocol == Protocol::Resp3) {
                // It was made before HELLO. What waits is for the protocol before that, in which nothing is promised.
                drop(inbox.switch(protocol));
            }
            self.inbox = Some(inbox);
        }
    }

    /// Whether it has a subscription.
    #[must_use]
    #[inline]
    pub fn is_subscriber(&self) -> bool {
        self.subscriptions.is_some()
    }

    /// Updates the connection's record from its state.
    pub fn publish(&self, shown: &mut Shown, protocol: Protocol) {
        shown.db = self.db;
        shown.protocol = if protocol == Protocol::Resp3 { 3 } else { 2 };
        shown.queued = self.transaction.as_ref().map(Transaction::len);
        shown.queued_bytes = self.transaction.as_ref().map_or(0, |queue| queue.bytes);
        shown.watched = self.watching.as_ref().map_or(0, |watching| watching.len());
        shown.command = self.last;
        shown.commands = self.commands;
    }
}

/// What session handlers need from the server.
pub trait Host: Send + Sync {
    /// Returns the data that reads are answered from.
    fn served(&self) -> &Served;
    /// Returns the shards of the cluster that is followed, if it is one.
    fn shards(&self) -> Option<&Shards> {
        None
    }
    /// Whether clients see a cluster.
    fn shows_cluster(&self) -> bool {
        let shards = self.shards();
        shards.is_some_and(|shards| shards.face == Face::Cluster)
    }
    /// Returns the number of databases.
    fn databases(&self) -> usize;
    /// Returns the users.
    fn users(&self) -> &Users;
    /// Returns the connections, oldest first.
    fn clients(&self) -> Vec<Arc<Client>>;
    /// Returns the connection with that id.
    fn client(&self, id: u64) -> Option<Arc<Client>>;
    /// Returns the server's settings under their CONFIG GET names, without secrets.
    fn settings(&self) -> Vec<(&'static str, String)>;
    /// Returns the settings that CONFIG SET changes.
    fn tunables(&self) -> &Tunables;
    /// Returns what the server is and has counted.
    fn statistics(&self) -> &Statistics;
    /// Returns the state of the replica.
    fn replication(&self) -> Replication;
    /// Returns the state of the replica in words, and since when it is so.
    fn health(&self) -> Seen;
    /// Returns all subscriptions.
    fn pubsub(&self) -> &Arc<Pubsub>;
    /// Listens for what clients have asked for by now: call it before the reply that promises it.
    fn hear(&self);
    /// Returns the script engine.
    fn scripting(&self) -> &dyn Scripting;
    /// Returns whether this connection may use DEBUG.
    fn allows_debug(&self, client: &Client) -> bool;
    /// Closes the connection that holds the most memory, among those that hold more than `bytes` and whose peer has
    /// stopped reading its replies.
    fn relieve(&self, bytes: usize);
}

/// What a server is and has counted.
#[derive(Debug)]
pub struct Statistics {
    /// When it started.
    pub started: Instant,
    /// 40 random hexadecimal digits that identify this process.
    pub run_id: String,
    /// The first TCP port that it listens on, 0 for none.
    pub port: AtomicU64,
    /// Connections accepted.
    pub connections: AtomicU64,
    /// Connections rejected because there were too many.
    pub rejected: AtomicU64,
    /// Counts of commands and bytes.
    pub traffic: Traffic,
    /// The memory budget of all requests and replies.
    pub budget: Arc<Budget>,
    /// The growth rates of the counts.
    pub rates: Rates,
    /// What is counted for each command.
    pub calls: Calls,
    /// Whether the latencies of calls are tracked.
    pub tracks_latency: AtomicBool,
    /// How often each error code was sent.
    pub error_codes: ErrorCodes,
    /// The logs of slow and large commands.
    pub logs: Logs,
    /// Commands that took longer than `latency-monitor-threshold`.
    pub latency_events: LatencyEvents,
    /// The clients that watch commands.
    pub monitors: Monitors,
    /// The clients that track, and what they may have cached.
    pub tracking: Arc<Tracking>,
    /// The keys that clients ask for most.
    pub asked: Asked,
    /// Connections closed because their replies grew too large or were not read.
    pub reply_limit_closes: AtomicU64,
    /// Connections closed because a request grew too large.
    pub query_limit_closes: AtomicU64,
    /// How often all subscribers were disconnected because the feed had dropped something that they had not got yet.
    pub feed_losses: AtomicU64,
    /// Error replies.
    pub errors: AtomicU64,
    /// TLS handshakes of clients that failed.
    pub tls_failures: AtomicU64,
    /// How often a connection had to wait because its requests were refused again and again.
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
            calls: Calls::default(),
            // Source: latency-tracking in config.c of redis 7.0.
            tracks_latency: AtomicBool::new(true),
            error_codes: ErrorCodes::default(),
            logs: Logs::default(),
            latency_events: LatencyEvents::default(),
            monitors: Monitors::default(),
            tracking: Arc::default(),
            asked: Asked::default(),
            reply_limit_closes: zero(),
            query_limit_closes: zero(),
            feed_losses: zero(),
            errors: zero(),
            tls_failures: zero(),
            slowed: zero(),
        }
    }
}

/// The state of the replica, for INFO and ROLE.
#[derive(Debug, Clone, Default)]
pub struct Replication {
    /// The primary's host, or the path of its socket.
    pub host: String,
    /// The primary's port, 0 for a socket.
    pub port: u16,
    /// The link's state as ROLE names it.
    pub state: &'static str,
    /// Time since the last byte arrived.
    pub last_io: Option<Duration>,
    /// Time since the link went down, `None` while it is up.
    pub down_for: Option<Duration>,
    /// Whether the link has ever been up.
    pub was_up: bool,
    /// Time since the link came up, `None` while it is down.
    pub up_for: Option<Duration>,
    /// How long the link has been down altogether since it was first up.
    pub disconnected_for: Duration,
    /// Attempts to connect.
    pub attempts: u64,
    /// Attempts among them since the link was last lost, or since the start.
    pub attempts_since_lost: u64,
    /// Why the link last went down.
    pub last_error: Option<String>,
    /// Whether the link cannot come up until an operator has fixed that error.
    pub needs_a_person: bool,
    /// How long the primary has been silent although the link is there; `None` while it gives signs of life.
    pub silent_for: Option<Duration>,
    /// Whether its host does not even acknowledge what redtail sends during that time.
    pub is_unacknowledged: bool,
    /// The mode that the upstream reports: `standalone`, `cluster` or `unknown`.
    pub upstream_mode: &'static str,
    /// The replication id that is followed, empty before the first sync.
    pub replid: String,
    /// The replication id before a failover, and the first offset that exists only in the new history.
    pub replid_before: Option<(String, u64)>,
    /// The full resync that is held back.
    pub held: Option<HeldBack>,
    /// The replication offset up to which the stream is applied.
    pub applied_offset: u64,
    /// The replication offset up to which the stream is received.
    pub received_offset: u64,
    /// How far the served data is behind: while the link streams, the age of the oldest received byte that is not visible, or
    /// zero; otherwise the time since the data was last known to be complete. `None` before the first sync.
    pub lag: Option<Duration>,
    /// How long received bytes took to become visible.
    pub visibility: Durations,
    /// How long the link has been in its state.
    pub in_state_for: Duration,
    /// Time since the served data was last known to be complete.
    pub proven_ago: Option<Duration>,
    /// Whether reads are refused because that is too long ago.
    pub stale: bool,
    /// Bytes received over all links.
    pub input_bytes: u64,
    /// Bytes among them that waited in the spool's file.
    pub spooled_bytes: u64,
    /// Received bytes that wait for the writer in memory now.
    pub spool_memory_bytes: u64,
    /// Received bytes that wait for the writer in files now.
    pub spool_file_bytes: u64,
    /// Pieces of the stream that the writer read directly from the socket.
    pub direct_reads: u64,
    /// Requests that waited until what had arrived was visible.
    pub reads_that_waited: u64,
    /// Those among them that waited in vain.
    pub reads_that_waited_in_vain: u64,
    /// Commands applied.
    pub applied_commands: u64,
    /// Writes that could not be applied.
    pub failed_writes: u64,
    /// Writes among them whose keys were not even known.
    pub unknown_commands: u64,
    /// The names of those, as far as there was room for them.
    pub unknown_names: Vec<Box<str>>,
    /// Scripts that arrived as their text and were run.
    pub scripts: u64,
    /// Commands in the stream that changed no data and were skipped, by name.
    pub passed: Vec<(Box<str>, u64)>,
    /// Messages published on the primary.
    pub published: u64,
    /// Keys whose values were discarded long after they expired.
    pub swept_keys: u64,
    /// Bytes that this freed.
    pub swept_bytes: u64,
    /// The number of expired keys that the primary has not deleted yet, as the last walk over all keys counted them, and how
    /// long ago it ended. `None` before the end of the first walk.
    pub expired_keys: Option<(u64, Duration)>,
    /// The sync under way, and for how long it has been.
    pub syncing: Option<(SyncNames, Duration)>,
    /// The last syncs that ended, oldest first.
    pub syncs: Vec<Synced>,
    /// The syncs by cause.
    pub syncs_by_cause: Vec<SyncsOf>,
    /// Full syncs.
    pub full_syncs: u64,
    /// Partial syncs.
    pub partial_syncs: u64,
    /// Partial syncs that the primary refused.
    pub partial_syncs_refused: u64,
    /// Loads that succeeded.
    pub loads_completed: u64,
    /// Loads that failed.
    pub loads_failed: u64,
    /// The load under way.
    pub loading: Option<Loading>,
    /// What last went wrong with the link, a load or the stream.
    pub last_fault: Option<LastFault>,
    /// The state directory, if one is configured.
    pub kept: Option<KeptState>,
}

/// What a sync was, in words.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SyncNames {
    /// `full` or `partial`.
    pub kind: &'static str,
    /// Why it was needed: `first_start`, `link_lost`, `partial_refused` and so on.
    pub cause: &'static str,
}

/// A sync that has ended.
#[derive(Debug, Clone, Copy, Default)]
pub struct Synced {
    /// What it was.
    pub names: SyncNames,
    /// When it began, in Unix milliseconds.
    pub at_ms: u64,
    /// How long it took.
    pub took: Duration,
    /// Whether it failed.
    pub failed: bool,
    /// Bytes of its snapshot; 0 for a partial sync, and for one that failed.
    pub bytes: u64,
    /// Keys of its snapshot.
    pub keys: u64,
}

/// The syncs of one cause.
#[derive(Debug, Clone, Default)]
pub struct SyncsOf {
    /// What they are.
    pub names: SyncNames,
    /// How long those took that succeeded.
    pub took: Durations,
    /// How many failed.
    pub failed: u64,
}

/// A full resync that is held back.
#[derive(Debug, Clone, Copy, Default)]
pub struct HeldBack {
    /// Its keys.
    pub keys: usize,
    /// Keys of the data that is served in its place.
    pub served_keys: usize,
    /// How long it has been held back.
    pub since: Duration,
}

/// A load under way.
#[derive(Debug, Clone, Copy, Default)]
pub struct Loading {
    /// Bytes decoded so far.
    pub bytes: u64,
    /// Keys loaded so far.
    pub keys: u64,
    /// Bytes of the whole snapshot, 0 if unknown.
    pub bytes_expected: u64,
}

/// What last went wrong.
#[derive(Debug, Clone, Default)]
pub struct LastFault {
    /// What went wrong, and what to do about it.
    pub what: String,
    /// How long ago.
    pub ago: Duration,
}

/// The state on disk that a restart would resume from.
#[derive(Debug, Clone, Default)]
pub struct KeptState {
    /// Whether the stream is being logged.
    pub keeps: bool,
    /// Whether a snapshot is being written.
    pub saves: bool,
    /// Number of snapshots that became durable.
    pub snapshots: u64,
    /// Bytes of the newest snapshot.
    pub snapshot_bytes: u64,
    /// Bytes of the logs after it.
    pub log_bytes: u64,
    /// How many times something could not be written.
    pub failures: u64,
    /// How many times damaged files were set aside.
    pub set_aside: u64,
    /// Why nothing is kept, or why files were set aside.
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
    /// The data that reads are answered from, `None` before the first sync.
    pub generation: Option<&'a Generation>,
    /// Whether that data may be older than allowed.
    pub stale: bool,
    /// The cluster whose shards have the data; then `generation` is that of the shard that the request is about, or of any.
    pub cluster: Option<&'a InCluster<'a>>,
}

impl SessionCx<'_> {
    /// Returns the connection's inbox, and creates it if there is none yet.
    pub fn inbox(&mut self) -> Arc<Inbox> {
        self.session.take_given_inbox(self.reply.protocol());
        let (client, limits) = (&self.session.client, &self.host.tunables().output_limits);
        let protocol = self.reply.protocol();
        let new = || {
            let inbox = Inbox::new(Arc::clone(client), Arc::clone(limits), protocol);
            let inbox = Arc::new(inbox);
            client.shown().inbox = Arc::downgrade(&inbox);
            inbox
        };
        Arc::clone(self.session.inbox.get_or_insert_with(new))
    }

    /// Appends what waits in the inbox to the reply: it came before what is appended next. CLIENT REPLY suppresses it only on
    /// old servers. A silent transaction leaves it where it is.
    pub fn flush_inbox(&mut self) {
        let is_silent = self.session.replies != Replies::On;
        if let Some(inbox) = &self.session.inbox
            && !(is_silent && self.session.clock.is_some())
        {
            let pushes = inbox.take();
            self.append_pushes(&pushes);
        }
    }

    /// Speaks another protocol from now on, also in what comes into the inbox.
    pub fn switch(&mut self, protocol: Protocol) {
        if let Some(inbox) = &self.session.inbox {
            let pushes = inbox.switch(protocol);
            self.append_pushes(&pushes);
        }
        self.reply.set_protocol(protocol);
    }

    fn append_pushes(&mut self, pushes: &[u8]) {
        if pushes.is_empty() {
            return;
        }
        self.reply.raw(pushes);
        let is_silent = self.session.replies != Replies::On;
        if is_silent && self.reply.dialect().pushes_in_silence() {
            self.session.kept = self.reply.len();
            // The reply of the transaction around it would be kept, too.
            self.session.closing |= self.session.clock.is_some();
        }
    }

    /// Updates the connection's record from its state.
    pub fn publish(&self) {
        let mut shown = self.session.client.shown();
        self.session.publish(&mut shown, self.reply.protocol());
    }
}

/// The reply to a read before the first sync.
const LOADING: Error = Error::Text("LOADING Redis is loading the dataset in memory");

/// The reply to a read after the old data was discarded for a full resync.
const LOADING_AGAIN: Error = Error::Text(
    "LOADING redtail has discarded its data to load a full resync (--resync-memory one-copy)",
);

/// Whether readers of `generation`, or of the shard of a cluster whose history has this point, see everything up to it.
pub(crate) fn reach(cx: &SessionCx<'_>, generation: &Generation, point: Point) -> Reach {
    match cx.cluster {
        None => cx.host.served().reach(generation, point),
        Some(cluster) => cluster.reach(point),
    }
}

/// Returns why there is nothing to read from.
#[cold]
pub(crate) fn loading(cx: &SessionCx<'_>) -> Error {
    nothing_served(cx.host.served())
}

/// Returns why nothing is served.
#[must_use]
pub fn nothing_served(served: &Served) -> Error {
    if served.was_cleared() {
        LOADING_AGAIN
    } else {
        LOADING
    }
}

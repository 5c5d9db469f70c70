//! The record of one connection, for CLIENT LIST and CLIENT KILL.

use std::borrow::Cow;
use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::acl::{DEFAULT, Login};
use super::error::c_string;
use super::inbox::Inbox;
use super::output_limits::{Class, OutputLimits};
use super::tracking::Tracker;
use crate::dialect::Dialect;
use crate::resp::{Account, Protocol};

/// A connection as other connections see it. The session updates it once per batch of commands.
#[derive(Debug)]
pub struct Client {
    /// The connection's id, which is never reused.
    pub id: u64,
    /// The peer's address (`127.0.0.1:5000`, `[::1]:5000`, `unix:/path:0`).
    pub address: String,
    /// The address of our end.
    pub local_address: String,
    /// Whether the client connected through a Unix socket.
    pub is_unix: bool,
    /// The number of its socket, once it is served.
    pub socket: AtomicI32,
    /// When it connected.
    pub connected: Instant,
    /// Notified when the waiting command should check again.
    pub wake: Arc<Notify>,
    /// Cancelled to close the connection.
    pub close: CancellationToken,
    /// Bytes that wait in its inbox.
    pub inbox_bytes: AtomicUsize,
    /// Whether another connection has made an inbox for it.
    pub has_gift: AtomicBool,
    /// Notified when one has.
    pub gift: Notify,
    /// What it has subscribed to: channels, patterns and shard channels.
    pub subscribed: [AtomicUsize; 3],
    /// The account for the memory of this connection's requests and replies, in the budget that all connections share.
    pub account: Arc<Account>,
    shown: Mutex<Shown>,
}

/// The part of a [`Client`] that changes.
#[derive(Debug, Clone)]
pub struct Shown {
    /// The name from CLIENT SETNAME, empty for none. Up to the first zero byte it is printable ASCII.
    pub name: Vec<u8>,
    /// The library's name from CLIENT SETINFO.
    pub lib_name: String,
    /// The library's version from CLIENT SETINFO.
    pub lib_version: String,
    /// The selected database.
    pub db: usize,
    /// The protocol version, 2 or 3.
    pub protocol: u8,
    /// The user that it logged in as; `None` for the default user.
    pub login: Option<Arc<Login>>,
    /// Commands queued by MULTI, `None` outside MULTI.
    pub queued: Option<usize>,
    /// Number of keys that WATCH watches.
    pub watched: usize,
    /// The last command: its container, if any, and its name.
    pub command: (Option<&'static str>, &'static str),
    /// Number of commands run.
    pub commands: u64,
    /// Bytes received.
    pub input_bytes: u64,
    /// Bytes sent.
    pub output_bytes: u64,
    /// Bytes of requests currently held.
    pub query_bytes: usize,
    /// Bytes of replies currently being written.
    pub reply_bytes: usize,
    /// Whether CLIENT NO-EVICT is on.
    pub no_evict: bool,
    /// Whether CLIENT NO-TOUCH is on.
    pub no_touch: bool,
    /// Whether a command waits.
    pub blocked: bool,
    /// Whether it watches the commands of all clients.
    pub monitors: bool,
    /// Since when more output than its soft limit has waited.
    pub soft_since: Option<Instant>,
    /// What it tracks, if it does.
    pub tracker: Weak<Tracker>,
    /// Its inbox, if it has one.
    pub inbox: Weak<Inbox>,
    /// An inbox that another connection has made for it, until its own takes that.
    pub given_inbox: Option<Arc<Inbox>>,
    /// Bytes that requests have room for.
    pub query_room: usize,
    /// Bytes of the commands that MULTI has queued.
    pub queued_bytes: usize,
    /// What CLIENT UNBLOCK asked for.
    pub unblock: Option<Unblock>,
    /// When the last command arrived.
    pub active: Instant,
    /// When the peer stopped taking what we write, `None` when no reply is pending.
    pub stalled: Option<Instant>,
}

/// How another client ends a waiting command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unblock {
    /// As if it had timed out.
    TimedOut,
    /// With an error.
    Failed,
}

impl Shown {
    /// Returns the user's name.
    #[must_use]
    pub fn user(&self) -> &[u8] {
        self.login.as_ref().map_or(DEFAULT, |login| &login.name)
    }
}

impl Client {
    /// Returns whether the peer is on this machine. Source: redis 7.0 networking.c, `islocalClient`.
    #[must_use]
    pub fn is_local(&self) -> bool {
        let peer = self.address.parse::<SocketAddr>();
        self.is_unix || peer.is_ok_and(|peer| peer.ip().to_canonical().is_loopback())
    }

    /// Makes an inbox for it if it has none, because another connection's invalidations go there.
    pub fn give_inbox(self: &Arc<Self>, limits: &Arc<OutputLimits>) {
        let mut shown = self.shown();
        if shown.inbox.upgrade().is_some() {
            return;
        }
        let protocol = match shown.protocol {
            3 => Protocol::Resp3,
            _ => Protocol::Resp2,
        };
        let inbox = Arc::new(Inbox::new(Arc::clone(self), Arc::clone(limits), protocol));
        shown.inbox = Arc::downgrade(&inbox);
        shown.given_inbox = Some(inbox);
        drop(shown);
        self.has_gift.store(true, Ordering::Release);
        self.gift.notify_one();
    }

    /// Whether it has a subscription.
    #[must_use]
    pub fn is_subscriber(&self) -> bool {
        let mut counts = self.subscribed.iter();
        counts.any(|count| count.load(Ordering::Relaxed) > 0)
    }

    /// Returns the class of its output limits.
    #[must_use]
    pub fn class(&self) -> Class {
        match self.is_subscriber() {
            true => Class::Pubsub,
            false => Class::Normal,
        }
    }

    /// Creates the record of a connection made just now.
    #[must_use]
    pub fn new(
        id: u64,
        address: String,
        local_address: String,
        is_unix: bool,
        close: CancellationToken,
        account: Arc<Account>,
    ) -> Self {
        let now = Instant::now();
        let shown = Shown {
            name: Vec::new(),
            lib_name: String::new(),
            lib_version: String::new(),
            db: 0,
            protocol: 2,
            login: None,
            queued: None,
            watched: 0,
            command: (None, "NULL"),
            commands: 0,
            input_bytes: 0,
            output_bytes: 0,
            query_bytes: 0,
            reply_bytes: 0,
            no_evict: false,
            no_touch: false,
            blocked: false,
            monitors: false,
            soft_since: None,
            tracker: Weak::new(),
            inbox: Weak::new(),
            given_inbox: None,
            query_room: 0,
            queued_bytes: 0,
            unblock: None,
            active: now,
            stalled: None,
        };
        Self {
            id,
            address,
            local_address,
            is_unix,
            socket: AtomicI32::new(0),
            connected: now,
            wake: Arc::default(),
            close,
            inbox_bytes: AtomicUsize::new(0),
            has_gift: AtomicBool::new(false),
            gift: Notify::new(),
            subscribed: Default::default(),
            account,
            shown: Mutex::new(shown),
        }
    }

    /// Locks the changing part. Hold it for assignments only.
    pub fn shown(&self) -> MutexGuard<'_, Shown> {
        // A poisoned lock still holds consistent values: every write is a single assignment.
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Disconnects the client if too much output has waited for too long.
    pub fn check_limits(&self, limits: &OutputLimits) {
        let class = self.class();
        let bytes = {
            let mut shown = self.shown();
            let bytes = shown.reply_bytes + self.inbox_bytes.load(Ordering::Relaxed);
            let exceeds = limits.exceeds(class, bytes, &mut shown.soft_since);
            exceeds.then_some(bytes)
        };
        if let Some(bytes) = bytes
            && !self.close.is_cancelled()
        {
            limits.disconnect(self, class, bytes, false);
        }
    }

    /// Ends the waiting command. Returns false if no command waits or another client has already ended it.
    pub fn unblock(&self, how: Unblock) -> bool {
        let mut shown = self.shown();
        let waits = shown.blocked && shown.unblock.is_none();
        if waits {
            shown.unblock = Some(how);
            self.wake.notify_one();
        }
        waits
    }

    /// Returns the client's line in CLIENT LIST, without the line end, with the fields that a server of `dialect` has.
    ///
    /// Source: redis 7.2 and 8.0, valkey 8.1 networking.c, `catClientInfoString`. Fields for memory that redtail does
    /// not track per client are 0.
    #[must_use]
    pub fn line(&self, dialect: Dialect) -> String {
        let fields = self.fields(dialect);
        let shown = fields
            .iter()
            .filter(|(name, _)| dialect.shows_client_field(name));
        let words: Vec<String> = shown
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        words.join(" ")
    }

    /// Returns all fields of all versions, in order.
    fn fields(&self, dialect: Dialect) -> Vec<(&'static str, Cow<'static, str>)> {
        let shown = self.shown().clone();
        let text = |value: &dyn Display| Cow::Owned(value.to_string());
        let zero = Cow::Borrowed("0");
        let name = String::from_utf8_lossy(c_string(&shown.name, usize::MAX)).into_owned();
        let queued = shown.queued.map(|queued| queued.to_string());
        let redirect = shown.tracker.upgrade();
        let redirect = redirect.map(|tracker| tracker.options().redirect.to_string());
        let redirect = redirect.unwrap_or("-1".to_owned());
        let [channels, patterns, shard_channels] = self
            .subscribed
            .each_ref()
            .map(|count| count.load(Ordering::Relaxed));
        let output = shown.reply_bytes + self.inbox_bytes.load(Ordering::Relaxed);
        let command = match shown.command {
            (Some(container), _) if !dialect.has_subcommand_rows() => container.to_owned(),
            (Some(container), name) => format!("{container}|{name}"),
            (None, name) => name.to_owned(),
        };
        vec![
            ("id", text(&self.id)),
            ("addr", text(&self.address)),
            ("laddr", text(&self.local_address)),
            ("fd", text(&self.socket.load(Ordering::Relaxed))),
            ("name", text(&name)),
            ("age", text(&self.connected.elapsed().as_secs())),
            ("idle", text(&shown.active.elapsed().as_secs())),
            ("flags", text(&self.flags(&shown, dialect))),
            ("capa", Cow::Borrowed("")),
            ("db", text(&shown.db)),
            ("sub", text(&channels)),
            ("psub", text(&patterns)),
            ("ssub", text(&shard_channels)),
            ("multi", Cow::Owned(queued.unwrap_or("-1".to_owned()))),
            ("watch", text(&shown.watched)),
            ("qbuf", text(&shown.query_bytes)),
            (
                "qbuf-free",
                text(&shown.query_room.saturating_sub(shown.query_bytes)),
            ),
            ("argv-mem", zero.clone()),
            ("multi-mem", text(&shown.queued_bytes)),
            ("rbs", zero.clone()),
            ("rbp", zero.clone()),
            ("obl", zero.clone()),
            ("oll", zero.clone()),
            ("omem", text(&output)),
            (
                "tot-mem",
                text(&(shown.query_room + output + shown.queued_bytes)),
            ),
            ("events", Cow::Borrowed(if output > 0 { "rw" } else { "r" })),
            ("cmd", Cow::Owned(command)),
            ("user", text(&String::from_utf8_lossy(shown.user()))),
            ("redir", Cow::Owned(redirect)),
            ("resp", text(&shown.protocol)),
            ("lib-name", text(&shown.lib_name)),
            ("lib-ver", text(&shown.lib_version)),
            ("io-thread", zero),
            ("tot-net-in", text(&shown.input_bytes)),
            ("tot-net-out", text(&shown.output_bytes)),
            ("tot-cmds", text(&shown.commands)),
        ]
    }

    fn flags(&self, shown: &Shown, dialect: Dialect) -> String {
        let tracker = shown.tracker.upgrade();
        let broadcasts = tracker
            .as_ref()
            .is_some_and(|tracker| tracker.options().broadcasts);
        let flags: String = [
            (shown.monitors, 'O'),
            (self.is_subscriber(), 'P'),
            (shown.queued.is_some(), 'x'),
            (shown.blocked, 'b'),
            (tracker.is_some(), 't'),
            (
                tracker.as_ref().is_some_and(|tracker| tracker.is_broken()),
                'R',
            ),
            (broadcasts && dialect.marks_broadcasting(), 'B'),
            (self.close.is_cancelled(), 'c'),
            (self.is_unix, 'U'),
            (shown.no_evict, 'e'),
            (shown.no_touch, 'T'),
        ]
        .iter()
        .filter_map(|&(set, letter)| set.then_some(letter))
        .collect();
        if flags.is_empty() {
            "N".to_owned()
        } else {
            flags
        }
    }
}

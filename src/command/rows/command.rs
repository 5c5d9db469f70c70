//! A row of the command table: a command's name, words, locks and handlers.

use super::error::Error;
use super::keys::{Keys, Touch};
use super::session::SessionCx;
use crate::dialect::{Dialect, Presence};
use crate::resp::{Args, Reply};
use crate::store::{Tx, View};

/// A handler that reads. It gets the view, the arguments (argument 0 is the name) and the reply to append to. After an
/// error, nothing that it wrote is kept.
pub type ReadFn = fn(&View<'_>, Args<'_>, &mut Reply) -> Result<(), Error>;

/// A handler that changes the store as the replication stream demands.
pub type ApplyFn = fn(&mut Tx<'_>, Args<'_>) -> Result<(), Error>;

/// A handler that works on the connection.
pub type SessionFn = fn(&mut SessionCx<'_>, Args<'_>) -> Result<(), Error>;

/// Returns the work of a command with these words on values of the given total size. If the size is [`usize::MAX`],
/// returns the upper bound that the words alone imply.
pub type WorkFn = fn(Args<'_>, usize) -> usize;

/// Returns the minimum number of bytes in the reply to a read with these words.
pub type LeastFn = fn(&View<'_>, Args<'_>) -> usize;

/// How many words a command takes, including its name (and subcommand).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arity(i32);

impl Arity {
    /// Exactly `words` words.
    #[must_use]
    pub const fn exactly(words: i32) -> Self {
        Self(words)
    }

    /// `words` words or more.
    #[must_use]
    pub const fn at_least(words: i32) -> Self {
        Self(-words)
    }

    /// The number that COMMAND reports: negative for a minimum.
    #[must_use]
    pub const fn number(self) -> i32 {
        self.0
    }

    /// Returns whether a command of `words` words fits.
    #[must_use]
    pub fn fits(self, words: usize) -> bool {
        let needed = usize::try_from(self.0.unsigned_abs()).unwrap_or(usize::MAX);
        if self.0 < 0 {
            words >= needed
        } else {
            words == needed
        }
    }
}

/// Properties of a command as COMMAND reports them. `write` and `readonly` follow from the row's slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(u32);

impl Flags {
    /// Takes constant or logarithmic time.
    pub const FAST: Self = Self(1);
    /// Answered before the first sync.
    pub const LOADING: Self = Self(1 << 1);
    /// Answered whatever the link's state.
    pub const STALE: Self = Self(1 << 2);
    /// Not allowed in scripts.
    pub const NOSCRIPT: Self = Self(1 << 3);
    /// For administrators.
    pub const ADMIN: Self = Self(1 << 4);
    /// Answered before authentication.
    pub const NO_AUTH: Self = Self(1 << 5);
    /// May grow memory.
    pub const DENYOOM: Self = Self(1 << 6);
    /// Publish and subscribe.
    pub const PUBSUB: Self = Self(1 << 7);
    /// May wait.
    pub const BLOCKING: Self = Self(1 << 8);
    /// Not allowed inside MULTI.
    pub const NO_MULTI: Self = Self(1 << 9);
    /// Changes data: set by [`Command::apply`] and [`Command::write`].
    pub const WRITE: Self = Self(1 << 10);
    /// Reads data: set by [`Command::read`].
    pub const READONLY: Self = Self(1 << 11);
    /// Answered while a script runs too long.
    pub const ALLOW_BUSY: Self = Self(1 << 12);
    /// May appear in the stream although it is not a write.
    pub const MAY_REPLICATE: Self = Self(1 << 13);
    /// Runs a script, which may read any key and declares itself whether it writes.
    pub const SCRIPT: Self = Self(1 << 14);

    /// No property.
    pub const NONE: Self = Self(0);

    /// Returns both sets combined.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns whether all of `other` are set.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// What a read locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The shards of the keys it names.
    Keys,
    /// The whole database, at one moment.
    Database,
    /// Nothing in advance: the command counts, or walks with [`crate::store::View::scan`].
    Nothing,
}

/// Finds what an applied command touches, if that is more than its keys in the current database. It takes the
/// arguments, the current database, and a callback for each touch.
pub type TouchFn = for<'a> fn(Args<'a>, usize, &mut dyn FnMut(Touch<'a>));

/// What is known about a command's keys after it is done, whatever they held before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing.
    Depends,
    /// They exist.
    Exists,
    /// The second key exists; the first may have moved its last element there.
    SecondExists,
    /// They do not exist.
    Gone,
    /// Like [`Gone`](Self::Gone) if the key is the command's only word. Otherwise, nothing.
    GoneIfAlone,
}

/// A form of a command that came later than the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// Its words.
    pub words: &'static str,
    /// The version that introduced it.
    pub since: &'static str,
    /// The servers that have it.
    pub presence: Presence,
}

impl Form {
    /// Creates a form of Redis since that version.
    #[must_use]
    pub const fn new(words: &'static str, since: &'static str) -> Self {
        Self {
            words,
            since,
            presence: Presence::since(since),
        }
    }

    /// Sets the Valkey version that introduced it.
    #[must_use]
    pub const fn valkey(mut self, since: &'static str) -> Self {
        self.presence = self.presence.and_valkey(since);
        self
    }
}

/// A row of the table.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Command {
    /// The name in lower case. For a subcommand, only its own word.
    pub name: &'static str,
    /// How many words it takes.
    pub arity: Arity,
    /// Where its keys are.
    pub keys: Keys,
    /// Its properties.
    pub flags: Flags,
    /// What a read locks.
    pub scope: Scope,
    /// Given the arguments, returns whether the command reads keys of its database that it does not name. If so, the
    /// whole database is locked.
    pub also_reads: Option<fn(Args<'_>) -> bool>,
    /// The work of a read, if it is not the size of the values that it names.
    pub work: Option<WorkFn>,
    /// The number of elements that one step of a walk is certain to visit.
    pub step: Option<WorkFn>,
    /// A lower bound for the length of a read's reply, if one is known before the reply is written.
    pub least: Option<LeastFn>,
    /// The version that introduced it.
    pub since: &'static str,
    /// The servers that have it.
    pub presence: Presence,
    /// The arity that it had before a certain version of Redis.
    pub older_arity: Option<(Presence, Arity)>,
    /// One sentence for COMMAND DOCS.
    pub summary: &'static str,
    /// What a client may notice that differs from Redis, and why; empty if nothing does.
    pub difference: &'static str,
    /// Its forms that came later than the command, as far as the reference page names them.
    pub forms: &'static [Form],
    /// Its subcommands.
    pub subcommands: &'static [Command],
    /// Answers a client from a view.
    pub read: Option<ReadFn>,
    /// Changes the store as the stream demands.
    pub apply: Option<ApplyFn>,
    /// Works on the connection.
    pub session: Option<SessionFn>,
    /// What applying touches, if more than its keys.
    pub touches: Option<TouchFn>,
    /// What is known about its keys afterwards, even if it cannot be applied.
    pub outcome: Outcome,
    /// Whether it may also create keys that it does not name, if a key that it names does not exist.
    pub makes_others: bool,
    /// Whether its changes within a value leave a WATCH intact.
    pub quiet: bool,
    /// Whether it depends on the lengths of lists only. It can then run on lists whose elements are unknown but whose
    /// lengths are known, and leaves them in the same state.
    pub by_length: bool,
}

impl Command {
    /// Creates a row without a handler. `name` is in lower case.
    #[must_use]
    pub const fn new(name: &'static str, arity: Arity, keys: Keys) -> Self {
        Self {
            name,
            arity,
            keys,
            flags: Flags(0),
            scope: Scope::Keys,
            also_reads: None,
            work: None,
            step: None,
            least: None,
            since: "1.0.0",
            presence: Presence::ALWAYS,
            older_arity: None,
            summary: "",
            difference: "",
            forms: &[],
            subcommands: &[],
            read: None,
            apply: None,
            session: None,
            touches: None,
            outcome: Outcome::Depends,
            makes_others: false,
            quiet: false,
            by_length: false,
        }
    }

    /// Creates a command whose first argument names one of `subcommands`.
    #[must_use]
    pub const fn container(name: &'static str, subcommands: &'static [Self]) -> Self {
        let mut row = Self::new(name, Arity::at_least(2), Keys::None);
        row.subcommands = subcommands;
        row
    }

    /// Declares that it depends on the lengths of lists only.
    #[must_use]
    pub const fn by_length(mut self) -> Self {
        self.by_length = true;
        self
    }

    /// Declares that it changes the inside of a value without breaking a WATCH; creating and deleting the key still
    /// breaks it.
    ///
    /// Source: redis 8.0 t_stream.c, where only XADD, XDEL, XTRIM and a new key are followed by `signalModifiedKey`.
    #[must_use]
    pub const fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }

    /// Answers clients with `handler`.
    #[must_use]
    pub const fn read(mut self, handler: ReadFn) -> Self {
        self.read = Some(handler);
        self.flags = self.flags.and(Flags::READONLY);
        self
    }

    /// Applies it from the stream with `handler`.
    #[must_use]
    pub const fn apply(mut self, handler: ApplyFn) -> Self {
        self.apply = Some(handler);
        self.flags = self.flags.and(Flags::WRITE);
        self
    }

    /// Applies it from the stream though it is no write for clients.
    #[must_use]
    pub const fn accept(mut self, handler: ApplyFn) -> Self {
        self.apply = Some(handler);
        self.flags = self.flags.and(Flags::MAY_REPLICATE);
        self
    }

    /// A write that we know of but cannot apply: it taints its keys.
    #[must_use]
    pub const fn write(mut self) -> Self {
        self.flags = self.flags.and(Flags::WRITE);
        self
    }

    /// May also create keys that it does not name, if a key that it names does not exist.
    #[must_use]
    pub const fn may_make_others(mut self) -> Self {
        self.makes_others = true;
        self
    }

    /// Works on the connection with `handler`.
    #[must_use]
    pub const fn session(mut self, handler: SessionFn) -> Self {
        self.session = Some(handler);
        self
    }

    /// Adds flags.
    #[must_use]
    pub const fn flags(mut self, flags: Flags) -> Self {
        self.flags = self.flags.and(flags);
        self
    }

    /// Sets what a read locks, if not the shards of its keys.
    #[must_use]
    pub const fn scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// Locks the whole database when `reads` says that the arguments lead to keys that they do not name. The handler
    /// itself checks those keys for taints.
    #[must_use]
    pub const fn also_reads(mut self, reads: fn(Args<'_>) -> bool) -> Self {
        self.also_reads = Some(reads);
        self
    }

    /// Sets the function that computes the work of a read.
    #[must_use]
    pub const fn work(mut self, work: WorkFn) -> Self {
        self.work = Some(work);
        self
    }

    /// Sets the function that computes how many elements a read is certain to visit. This is also its work.
    #[must_use]
    pub const fn steps(mut self, step: WorkFn) -> Self {
        self.work = Some(step);
        self.step = Some(step);
        self
    }

    /// Sets the function that computes a lower bound for the length of the reply.
    #[must_use]
    pub const fn least(mut self, least: LeastFn) -> Self {
        self.least = Some(least);
        self
    }

    /// Returns what a read with these arguments locks.
    #[must_use]
    pub fn locks(&self, args: Args<'_>) -> Scope {
        match self.also_reads {
            Some(reads) if reads(args) => Scope::Database,
            _ => self.scope,
        }
    }

    /// Sets what applying touches, if more than its keys in the current database.
    #[must_use]
    pub const fn touches(mut self, touches: TouchFn) -> Self {
        self.touches = Some(touches);
        self
    }

    /// Sets what is known about its keys afterwards.
    #[must_use]
    pub const fn outcome(mut self, outcome: Outcome) -> Self {
        self.outcome = outcome;
        self
    }

    /// Sets the version that introduced it, and one sentence on what it does.
    #[must_use]
    pub const fn about(mut self, since: &'static str, summary: &'static str) -> Self {
        self.since = since;
        self.presence = Presence::since(since);
        self.summary = summary;
        self
    }

    /// Names forms that came later than the command.
    #[must_use]
    pub const fn forms(mut self, forms: &'static [Form]) -> Self {
        self.forms = forms;
        self
    }

    /// Sets the Valkey version that introduced it, if Valkey has not had it since the fork. Call this after
    /// [`Command::about`].
    #[must_use]
    pub const fn valkey(mut self, since: &'static str) -> Self {
        self.presence = self.presence.and_valkey(since);
        self
    }

    /// In Valkey only, since the version given to [`Command::about`].
    #[must_use]
    pub const fn valkey_only(mut self) -> Self {
        self.presence = self.presence.and_valkey(self.since).without_redis();
        self
    }

    /// Not in Redis from that version on. Call this after [`Command::about`].
    #[must_use]
    pub const fn until(mut self, version: &'static str) -> Self {
        self.presence = self.presence.until(version);
        self
    }

    /// Sets the arity that it had before that version of Redis.
    #[must_use]
    pub const fn arity_before(mut self, version: &'static str, arity: Arity) -> Self {
        self.older_arity = Some((Presence::since(version), arity));
        self
    }

    /// Returns how many words it takes from a client of such a server.
    #[must_use]
    #[inline]
    pub const fn arity_in(&self, dialect: Dialect) -> Arity {
        match self.older_arity {
            Some((presence, older)) if !dialect.has(presence) => older,
            _ => self.arity,
        }
    }

    /// Sets the sentence on the reference page about what a client may notice that differs from Redis, and why.
    #[must_use]
    pub const fn difference(mut self, difference: &'static str) -> Self {
        self.difference = difference;
        self
    }

    /// Returns whether it reads only the one key that it names, and is quick.
    #[must_use]
    #[inline]
    pub fn is_point_read(&self) -> bool {
        self.read.is_some()
            && self.flags.has(Flags::FAST)
            && matches!(self.scope, Scope::Keys)
            && self.also_reads.is_none()
            && self.session.is_none()
            && !self.is_write()
            && self.keys.is_single()
    }

    /// Returns whether it changes data.
    #[must_use]
    pub const fn is_write(&self) -> bool {
        self.flags.has(Flags::WRITE)
    }
}

/// The commands of one file.
#[derive(Debug, Clone, Copy)]
pub struct Family {
    /// The group's name in COMMAND DOCS.
    pub group: &'static str,
    /// Its rows.
    pub commands: &'static [Command],
}

/// Answered in every state of the server.
pub(crate) const ALWAYS: Flags = Flags::NOSCRIPT.and(Flags::LOADING).and(Flags::STALE);

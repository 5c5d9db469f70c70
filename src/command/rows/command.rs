//! A row of the command table: what a command is called, takes, locks and does.

use super::error::Error;
use super::keys::{Keys, Touch};
use super::session::SessionCx;
use crate::dialect::{Dialect, Presence};
use crate::resp::{Args, Reply};
use crate::store::{Tx, View};

/// A handler that reads: view, arguments (the name is argument 0), where the reply goes. On an error nothing that it has
/// written is kept.
pub type ReadFn = fn(&View<'_>, Args<'_>, &mut Reply) -> Result<(), Error>;

/// A handler that changes the store as the replication stream says.
pub type ApplyFn = fn(&mut Tx<'_>, Args<'_>) -> Result<(), Error>;

/// A handler that works on the connection.
pub type SessionFn = fn(&mut SessionCx<'_>, Args<'_>) -> Result<(), Error>;

/// The work of a command with these words on values of that size in all. With [`usize::MAX`] for the size: what the words alone bound it to.
pub type WorkFn = fn(Args<'_>, usize) -> usize;

/// The fewest bytes that the reply to a read with these words takes.
pub type LeastFn = fn(&View<'_>, Args<'_>) -> usize;

/// How many words a command takes, its name (and subcommand) included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arity(i32);

impl Arity {
    /// So many, no more and no less.
    #[must_use]
    pub const fn exactly(words: i32) -> Self {
        Self(words)
    }

    /// So many or more.
    #[must_use]
    pub const fn at_least(words: i32) -> Self {
        Self(-words)
    }

    /// As COMMAND tells it: negative for a minimum.
    #[must_use]
    pub const fn number(self) -> i32 {
        self.0
    }

    /// Whether a command of `words` words fits.
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

/// Properties of a command as COMMAND tells them; `write` and `readonly` follow from the row's slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(u32);

impl Flags {
    /// Takes constant or logarithmic time.
    pub const FAST: Self = Self(1);
    /// Answered before the first sync.
    pub const LOADING: Self = Self(1 << 1);
    /// Answered whatever the link's state.
    pub const STALE: Self = Self(1 << 2);
    /// Not from scripts.
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
    /// Not inside MULTI.
    pub const NO_MULTI: Self = Self(1 << 9);
    /// Changes data: set by [`Command::apply`] and [`Command::write`].
    pub const WRITE: Self = Self(1 << 10);
    /// Reads data: set by [`Command::read`].
    pub const READONLY: Self = Self(1 << 11);
    /// Answered while a script runs too long.
    pub const ALLOW_BUSY: Self = Self(1 << 12);
    /// May appear in the stream though it is no write.
    pub const MAY_REPLICATE: Self = Self(1 << 13);
    /// Runs a script, which may read any key and says itself whether it writes.
    pub const SCRIPT: Self = Self(1 << 14);

    /// None.
    pub const NONE: Self = Self(0);

    /// Both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` are set.
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
    /// Nothing beforehand: it counts, or walks with [`crate::store::View::scan`].
    Nothing,
}

/// Finds what an applied command touches, where that is more than its keys in the current database:
/// arguments, current database, what to call with each.
pub type TouchFn = for<'a> fn(Args<'a>, usize, &mut dyn FnMut(Touch<'a>));

/// What is known of a command's keys once it is done, whatever they held before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing.
    Depends,
    /// They exist.
    Exists,
    /// The second exists; the first may have given its last element to it.
    SecondExists,
    /// They do not exist.
    Gone,
}

/// A row of the table.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Command {
    /// Its name in lower case; a subcommand's is its own word.
    pub name: &'static str,
    /// How many words it takes.
    pub arity: Arity,
    /// Where its keys are.
    pub keys: Keys,
    /// Its properties.
    pub flags: Flags,
    /// What a read locks.
    pub scope: Scope,
    /// Tells by the arguments whether it reads keys of its database that it does not name: then all of it is locked.
    pub also_reads: Option<fn(Args<'_>) -> bool>,
    /// How much work a read is, where that is not the size of the values that it names.
    pub work: Option<WorkFn>,
    /// How many elements a walk's step surely looks at.
    pub step: Option<WorkFn>,
    /// How long a read's reply is at least, where that is known before it is written.
    pub least: Option<LeastFn>,
    /// Since which version it exists.
    pub since: &'static str,
    /// In which servers it is.
    pub presence: Presence,
    /// The arity that it had before some version of Redis.
    pub older_arity: Option<(Presence, Arity)>,
    /// One sentence for COMMAND DOCS.
    pub summary: &'static str,
    /// What a client may notice that is not as Redis does it, with the reason; empty for nothing.
    pub difference: &'static str,
    /// Its subcommands.
    pub subcommands: &'static [Command],
    /// Answers a client from a view.
    pub read: Option<ReadFn>,
    /// Changes the store as the stream says.
    pub apply: Option<ApplyFn>,
    /// Works on the connection.
    pub session: Option<SessionFn>,
    /// What applying touches, if not just its keys.
    pub touches: Option<TouchFn>,
    /// What is known of its keys afterwards, even if it cannot be applied.
    pub outcome: Outcome,
    /// What it changes within a value does not break a WATCH.
    pub quiet: bool,
    /// Whether lists whose elements are not known, but how many, are so again once it is done: it looks at their lengths alone.
    pub by_length: bool,
}

impl Command {
    /// A row without a handler. `name` is in lower case.
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
            subcommands: &[],
            read: None,
            apply: None,
            session: None,
            touches: None,
            outcome: Outcome::Depends,
            quiet: false,
            by_length: false,
        }
    }

    /// A command whose first argument names one of `subcommands`.
    #[must_use]
    pub const fn container(name: &'static str, subcommands: &'static [Self]) -> Self {
        let mut row = Self::new(name, Arity::at_least(2), Keys::None);
        row.subcommands = subcommands;
        row
    }

    /// Says that it looks at lists' lengths alone.
    #[must_use]
    pub const fn by_length(mut self) -> Self {
        self.by_length = true;
        self
    }

    /// Changes within a value, not whether there is one, without breaking a WATCH.
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

    /// Works on the connection with `handler`.
    #[must_use]
    pub const fn session(mut self, handler: SessionFn) -> Self {
        self.session = Some(handler);
        self
    }

    /// Adds properties.
    #[must_use]
    pub const fn flags(mut self, flags: Flags) -> Self {
        self.flags = self.flags.and(flags);
        self
    }

    /// What a read locks, if not the shards of its keys.
    #[must_use]
    pub const fn scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// Locks the whole database when `reads` says that the arguments lead to keys that they do not name. The handler looks
    /// for taints of those itself.
    #[must_use]
    pub const fn also_reads(mut self, reads: fn(Args<'_>) -> bool) -> Self {
        self.also_reads = Some(reads);
        self
    }

    /// A read of as much work as `work` says.
    #[must_use]
    pub const fn work(mut self, work: WorkFn) -> Self {
        self.work = Some(work);
        self
    }

    /// A read that surely looks at as many elements as `step` says.
    #[must_use]
    pub const fn steps(mut self, step: WorkFn) -> Self {
        self.work = Some(step);
        self.step = Some(step);
        self
    }

    /// A read whose reply is as long as `least` says, or longer.
    #[must_use]
    pub const fn least(mut self, least: LeastFn) -> Self {
        self.least = Some(least);
        self
    }

    /// What a read with these arguments locks.
    #[must_use]
    pub fn locks(&self, args: Args<'_>) -> Scope {
        match self.also_reads {
            Some(reads) if reads(args) => Scope::Database,
            _ => self.scope,
        }
    }

    /// What applying touches, if not just its keys in the current database.
    #[must_use]
    pub const fn touches(mut self, touches: TouchFn) -> Self {
        self.touches = Some(touches);
        self
    }

    /// What is known of its keys afterwards.
    #[must_use]
    pub const fn outcome(mut self, outcome: Outcome) -> Self {
        self.outcome = outcome;
        self
    }

    /// Since which version it exists, and one sentence on what it does.
    #[must_use]
    pub const fn about(mut self, since: &'static str, summary: &'static str) -> Self {
        self.since = since;
        self.presence = Presence::since(since);
        self.summary = summary;
        self
    }

    /// Since which Valkey it exists, where that is not since the fork. To be called after [`Command::about`].
    #[must_use]
    pub const fn valkey(mut self, since: &'static str) -> Self {
        self.presence = self.presence.and_valkey(since);
        self
    }

    /// In Valkey alone, since the version that [`Command::about`] was told.
    #[must_use]
    pub const fn valkey_only(mut self) -> Self {
        self.presence = self.presence.and_valkey(self.since).without_redis();
        self
    }

    /// Not in Redis from that version on. To be called after [`Command::about`].
    #[must_use]
    pub const fn until(mut self, version: &'static str) -> Self {
        self.presence = self.presence.until(version);
        self
    }

    /// The arity that it had before that version of Redis.
    #[must_use]
    pub const fn arity_before(mut self, version: &'static str, arity: Arity) -> Self {
        self.older_arity = Some((Presence::since(version), arity));
        self
    }

    /// How many words it takes from a client of such a server.
    #[must_use]
    #[inline]
    pub const fn arity_in(&self, dialect: Dialect) -> Arity {
        match self.older_arity {
            Some((presence, older)) if !dialect.has(presence) => older,
            _ => self.arity,
        }
    }

    /// What a client may notice that is not as Redis does it, and why: a sentence for the reference page.
    #[must_use]
    pub const fn difference(mut self, difference: &'static str) -> Self {
        self.difference = difference;
        self
    }

    /// Whether it looks at the one key that it names, and at nothing else, for a short time.
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

    /// Whether it changes data.
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

//! Applies the command stream.
//!
//! The [`Applier`] takes bytes as they arrive and reads commands from them, several ahead (`ahead`). Writes are applied through
//! their rows; everything else is in `control`. Commands between MULTI and EXEC are queued and applied under all their locks.
//!
//! The position moves when the effect of a command is visible, and only outside MULTI; the selected database belongs to it. A
//! lost connection discards an unfinished command or MULTI, and the resume asks for its bytes again.
//!
//! A write that cannot be applied taints its keys. That includes a write that fails on the data alone (another type, no such
//! group), because a primary never sends a command that failed there. What no server of the upstream's version could have
//! executed, by its table of commands, is passed over. An unknown command taints everything. `tests/it/stream_refusals.rs` and
//! `tests/it/stream_forms.rs` compare this with real replicas.

mod control;
mod scripts;
mod slots;

pub(super) use slots::importing;

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use smallvec::SmallVec;

use super::ahead::{Ahead, Read, only_key};
use super::figures::StreamFigures;
use crate::command::{self, Command, ReplayScripts};
use crate::feed::Feed;
use crate::limits::{STREAM_WORD_BYTES_MAX, TRANSACTION_BYTES_MAX};
use crate::resp::{Args, ProtocolError, RequestLimits, RequestParser, Span, Step};
use crate::state::Saving;
use crate::store::{Generation, KeyHash, Keyspaces, Slot, Tx, WriteToken};
use crate::upstream::ProgressWriter;
use crate::value::Thresholds;

/// A buffer larger than this is shrunk once it holds less, so that one huge value does not hold memory for ever.
const KEPT_BUFFER_BYTES_MAX: usize = 1 << 20;

/// How much of a key or name a log line shows.
const LOGGED_BYTES_MAX: usize = 64;

/// How many slots of a transaction are gathered before duplicates are dropped.
const REPEATED_SLOTS_MAX: usize = 1 << 14;

/// Why the stream cannot be followed any further: the position is lost, and a full resync must come.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum StreamError {
    /// The bytes are not commands.
    #[error("the stream at offset {offset} is not a command: {cause}")]
    Protocol {
        /// Where the unreadable command starts.
        offset: u64,
        /// What is wrong with it.
        cause: ProtocolError,
    },
    /// The database number is past all that there is room for.
    #[error("the primary uses database {0}; allow it with --databases {1} or more")]
    Database(i64, i64),
    /// The primary says that it has finished, or it is not a primary.
    #[error("the primary ended its stream with {0}")]
    Ended(&'static str),
    /// The commands between MULTI and EXEC must be kept until EXEC, and they need more room than there is.
    #[error(
        "the transaction that began at offset {offset} is larger than the {bytes_max} bytes that --clients-memory allows: redtail gets its outcome from a full sync"
    )]
    Transaction {
        /// Where its MULTI is.
        offset: u64,
        /// Maximum bytes that it may take.
        bytes_max: usize,
    },
    /// It is not clear what the primary says about a migration of slots.
    #[error(
        "it is unclear how a migration of slots goes on: redtail gets its outcome from a new snapshot"
    )]
    Migrated,
}

/// A place in the stream between two commands, with the state at that place.
#[derive(Debug, Clone)]
pub(super) struct Position {
    /// Bytes of the stream before this place.
    pub(super) offset: u64,
    /// The database that the next command works in.
    pub(super) db: usize,
    /// The generation that the stream changes.
    pub(super) generation: Arc<Generation>,
}

/// Commands between MULTI and EXEC, kept until all of them can be applied together.
#[derive(Debug, Default)]
struct Queue {
    words: Vec<u8>,
    spans: Vec<Span>,
    commands: Vec<Queued>,
    /// The database at MULTI.
    begun_in: usize,
    /// Whether EXEC runs nothing.
    aborted: bool,
}

#[derive(Debug)]
struct Queued {
    db: usize,
    command: &'static Command,
    first: usize,
    len: usize,
}

impl Queue {
    fn begun_in(db: usize) -> Self {
        Self {
            begun_in: db,
            ..Self::default()
        }
    }

    fn push(&mut self, db: usize, command: &'static Command, args: Args<'_>) {
        let first = self.spans.len();
        for word in args.iter() {
            self.spans.push(Span {
                start: self.words.len(),
                len: word.len(),
            });
            self.words.extend_from_slice(word);
        }
        self.commands.push(Queued {
            db,
            command,
            first,
            len: args.len(),
        });
    }

    /// Bytes that the queue takes.
    const fn bytes(&self) -> usize {
        let spans = self.spans.capacity() * size_of::<Span>();
        let commands = self.commands.capacity() * size_of::<Queued>();
        self.words.capacity() + spans + commands
    }

    /// The slots that all its commands need. Duplicates are dropped on the way: a flush is a few bytes in the stream but
    /// thousands of slots here.
    fn slots(&self, spaces: &Keyspaces) -> SmallVec<[Slot; 4]> {
        let mut slots = SmallVec::new();
        let mut settled = REPEATED_SLOTS_MAX;
        for (db, row, args) in self.iter() {
            if scripts::is_script(row) {
                slots.extend(scripts::slots(spaces, db, args).0);
            } else {
                command::slots(row, spaces, db, args, &mut slots);
            }
            if slots.len() >= 2 * settled {
                slots.sort_unstable();
                slots.dedup();
                settled = slots.len().max(REPEATED_SLOTS_MAX);
            }
        }
        slots
    }

    fn iter(&self) -> impl Iterator<Item = (usize, &'static Command, Args<'_>)> {
        self.commands.iter().map(|queued| {
            let spans = self
                .spans
                .get(queued.first..queued.first + queued.len)
                .unwrap_or_default();
            (queued.db, queued.command, Args::new(&self.words, spans))
        })
    }
}

/// Takes bytes, applies commands and moves the position.
pub(super) struct Applier<'a> {
    parser: RequestParser,
    /// An incomplete command's bytes.
    buffer: Vec<u8>,
    /// Empty between two chunks.
    ahead: Ahead,
    state: Follower<'a>,
}

impl<'a> Applier<'a> {
    /// Continues at `position`.
    pub(super) fn new(
        position: Position,
        token: &'a WriteToken,
        progress: &'a ProgressWriter,
        figures: &'a StreamFigures,
    ) -> Self {
        let dialect = position.generation.dialect;
        let limits = RequestLimits {
            words_max: dialect.request_words_max(),
            word_bytes_max: STREAM_WORD_BYTES_MAX,
            inline: false,
        };
        Self {
            parser: RequestParser::new(limits).checking_line_ends(dialect.checks_line_ends()),
            buffer: Vec::new(),
            ahead: Ahead::default(),
            state: Follower {
                read_offset: position.offset,
                db: position.db,
                tuned: position.generation.tuning.version(),
                thresholds: position.generation.thresholds(),
                position,
                queue: None,
                trusts_version: false,
                transaction_max: TRANSACTION_BYTES_MAX,
                warned: HashSet::new(),
                is_heard: false,
                is_awaited: false,
                clock_ms: None,
                saving: None,
                scripting: None,
                token,
                progress,
                figures,
            },
        }
    }

    /// The same, with an engine for the scripts that old primaries send as their text.
    pub(super) fn with_scripting(mut self, scripting: Option<Arc<dyn ReplayScripts>>) -> Self {
        self.state.scripting = scripting;
        self
    }

    /// The place where the last whole unit ended. Discards what was read beyond it of a command or of a MULTI.
    pub(super) fn into_position(self) -> Position {
        self.state.position
    }

    /// The offset of all bytes that were fed.
    pub(super) const fn received(&self) -> u64 {
        self.state.read_offset + self.buffer.len() as u64
    }

    /// The place where the last whole unit ended.
    #[cfg(test)]
    pub(super) const fn position(&self) -> &Position {
        &self.state.position
    }

    /// The position, and the bytes fed beyond it; `None` inside a MULTI.
    pub(super) fn rest(&self) -> Option<(&Position, &[u8])> {
        let state = &self.state;
        state
            .queue
            .is_none()
            .then_some((&state.position, &*self.buffer))
    }

    /// Makes commands go by `clock_ms`, in Unix milliseconds, from now on.
    pub(super) const fn set_clock(&mut self, clock_ms: i64) {
        self.state.clock_ms = Some(clock_ms);
    }

    /// Allows the commands between MULTI and EXEC to take `bytes` bytes.
    pub(super) const fn set_transaction_max(&mut self, bytes: usize) {
        self.state.transaction_max = bytes;
    }

    /// States that the stream comes from the server that wrote the snapshot. A server that continues another's stream may
    /// be newer.
    pub(super) fn trust_version(&mut self) {
        let generation = &*self.state.position.generation;
        let dialect = generation.dialect;
        self.state.trusts_version =
            dialect == generation.written_by && dialect.has_known_commands();
    }

    /// The snapshot being written: before a command changes something, the snapshot gets the old contents.
    pub(super) const fn saving(&mut self) -> &mut Option<Saving> {
        &mut self.state.saving
    }

    /// Applies every command that ends in `chunk`.
    ///
    /// # Errors
    /// [`StreamError`]; the position then stays where the last whole unit ended.
    pub(super) fn feed(&mut self, chunk: &[u8]) -> Result<(), StreamError> {
        let taken = &self.state.figures.taken;
        taken.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        self.buffer.extend_from_slice(chunk);
        let generation = Arc::clone(&self.state.position.generation);
        // Like a real server, processes all bytes received before the next of many long readers gets in.
        let _turn = self.state.token.turn(&generation.spaces);
        let feed = &**generation.spaces.feed();
        self.state.is_heard = feed.begin_turn(self.state.position.offset);
        let mut used = 0;
        let result = loop {
            match self.step(&mut used) {
                Ok(true) => {}
                Ok(false) => break self.catch_up(),
                Err(error) => break Err(error),
            }
        };
        if self.state.is_heard {
            feed.publish(self.state.position.offset);
        }
        feed.end_turn(self.state.position.offset);
        self.state.progress.lookout().note_moved();
        self.ahead.clear();
        self.buffer.drain(..used);
        // Shrink it even if it is not empty: the chunks of a busy stream hardly ever end where a command does.
        if self.buffer.len() < KEPT_BUFFER_BYTES_MAX {
            self.buffer.shrink_to(KEPT_BUFFER_BYTES_MAX);
        }
        result
    }
}

impl Applier<'_> {
    /// Reads the command after the first `used` bytes of the buffer, and adds its length to `used`. Returns false if the
    /// buffer ends before the command does.
    fn step(&mut self, used: &mut usize) -> Result<bool, StreamError> {
        let rest = self.buffer.get(*used..).unwrap_or_default();
        let step = self.parser.step(rest);
        let (args, taken) = match step {
            Ok(Step::NeedMore) => return Ok(false),
            Ok(Step::Command(args, taken)) => (args, taken),
            Err(cause) => {
                // The commands before it are valid.
                self.catch_up()?;
                let offset = self.state.read_offset;
                return Err(StreamError::Protocol { offset, cause });
            }
        };
        let read = Read::new(&self.state.position.generation.spaces, args, taken);
        let waits = self.ahead.push(*used, &read);
        *used += taken;
        if !waits {
            self.state.work_off(&mut self.ahead, &self.buffer)?;
            self.state.command(read)?;
        } else if self.ahead.is_full() {
            self.catch_up()?;
        }
        Ok(true)
    }

    /// Applies all commands that have been read.
    fn catch_up(&mut self) -> Result<(), StreamError> {
        self.state.work_off(&mut self.ahead, &self.buffer)
    }
}

/// Where the stream is, and what is needed to continue.
struct Follower<'a> {
    position: Position,
    /// How far reading has come: the position plus the commands of an unfinished MULTI.
    read_offset: u64,
    db: usize,
    /// The version of the settings that `thresholds` come from.
    tuned: u64,
    thresholds: Thresholds,
    queue: Option<Queue>,
    /// Whether the server that sends this certainly has the dialect's version, all of whose commands are known.
    trusts_version: bool,
    /// Maximum bytes that the queue may take.
    transaction_max: usize,
    /// Commands whose failure has been logged, so that a flood of failures is not a flood of log lines. A command is
    /// logged once for a failure that an earlier taint caused, and once for any other failure.
    warned: HashSet<(&'static str, bool)>,
    /// Whether anyone listens to the feed in this turn.
    is_heard: bool,
    /// Whether the primary waits until what is being read is acknowledged.
    is_awaited: bool,
    /// The time that commands go by, if it is not the system's.
    clock_ms: Option<i64>,
    /// A snapshot being written, which needs the old contents before a command changes them.
    saving: Option<Saving>,
    /// Runs scripts that arrive as their text.
    scripting: Option<Arc<dyn ReplayScripts>>,
    token: &'a WriteToken,
    progress: &'a ProgressWriter,
    figures: &'a StreamFigures,
}

impl Follower<'_> {
    /// Applies the commands that wait in `buffer`, after prefetching their keys.
    fn work_off(&mut self, ahead: &mut Ahead, buffer: &[u8]) -> Result<(), StreamError> {
        let spaces = &self.position.generation.spaces;
        spaces.fetch(self.db, ahead.hashes());
        for read in ahead.iter(buffer) {
            self.command(read)?;
        }
        ahead.clear();
        Ok(())
    }

    fn command(&mut self, read: Read<'_>) -> Result<(), StreamError> {
        let args = read.args;
        let spaces = &self.position.generation.spaces;
        let end = self.read_offset + read.taken as u64;
        self.token.announce(spaces, end);
        match read.row {
            Some(row)
                if row.apply.is_some()
                    && row.subcommands.is_empty()
                    && self.is_taken(row, args) =>
            {
                self.data(row, args, read.hash);
            }
            _ => self.control(args)?,
        }
        self.read_offset = end;
        if let Some(queue) = &self.queue {
            self.check_transaction(queue)?;
        } else {
            self.position.offset = self.read_offset;
            self.position.db = self.db;
            if self.is_heard {
                self.feed().commit(self.read_offset);
            }
            self.progress.set_applied(self.read_offset);
            if std::mem::take(&mut self.is_awaited) {
                self.progress.vouch(self.read_offset);
            }
        }
        Ok(())
    }

    fn feed(&self) -> &Feed {
        self.position.generation.spaces.feed()
    }

    /// Ends the link if a transaction outgrows its room. The full sync that follows contains all of the transaction or
    /// nothing of it: a primary takes no snapshot in the middle.
    fn check_transaction(&self, queue: &Queue) -> Result<(), StreamError> {
        if queue.bytes() <= self.transaction_max {
            return Ok(());
        }
        Err(StreamError::Transaction {
            offset: self.position.offset,
            bytes_max: self.transaction_max,
        })
    }

    /// Applies one write; `hash` is the hash of its only key, if that is known.
    fn data(&mut self, row: &'static Command, args: Args<'_>, hash: Option<KeyHash>) {
        if let Some(queue) = &mut self.queue {
            return queue.push(self.db, row, args);
        }
        self.tune();
        let Generation {
            spaces, dialect, ..
        } = &*self.position.generation;
        let tx = match (hash, only_key(row, args), &mut self.saving) {
            (Some(hash), Some(key), None) => self.token.write_key(spaces, self.db, key, hash),
            (_, _, saving) => {
                let mut slots: SmallVec<[Slot; 4]> = SmallVec::new();
                command::slots(row, spaces, self.db, args, &mut slots);
                if let Some(saving) = saving {
                    save_first(saving, std::iter::once((self.db, row, args)), &slots);
                }
                self.token.write(spaces, self.db, slots)
            }
        };
        let mut tx = tx
            .with_thresholds(self.thresholds)
            .with_clock(self.clock_ms)
            .with_dialect(*dialect);
        let result = match self.is_heard {
            false => command::apply(&mut tx, spaces, row, args),
            true => command::apply_heard(&mut tx, spaces, row, args),
        };
        drop(tx);
        if spaces.waiters().any() {
            command::wake(spaces, row, self.db, args);
        }
        self.count(row, args, result);
    }

    /// Adopts settings that have changed since the last command.
    fn tune(&mut self) {
        let generation = &*self.position.generation;
        let version = generation.tuning.version();
        if version != self.tuned {
            self.tuned = version;
            self.thresholds = generation.thresholds();
        }
    }

    /// Applies a whole transaction under all its locks, so that no reader sees only a part of it.
    fn exec(&mut self, queue: &Queue) {
        let generation = Arc::clone(&self.position.generation);
        self.tune();
        let Generation {
            spaces, dialect, ..
        } = &*generation;
        let slots = queue.slots(spaces);
        if let Some(saving) = &mut self.saving {
            save_first(saving, queue.iter(), &slots);
        }
        let mut tx = self
            .token
            .write(spaces, self.db, slots)
            .with_thresholds(self.thresholds)
            .with_clock(self.clock_ms)
            .with_dialect(*dialect);
        for (db, row, args) in queue.iter() {
            if control::is_message(row) {
                self.publish(args);
                continue;
            }
            if scripts::is_script(row) {
                if let Err(reason) = self.run_script(&mut tx, spaces, db, args) {
                    self.unknown_within(&mut tx, args, reason);
                }
                continue;
            }
            let result = tx
                .select(db)
                .map_err(Into::into)
                .and_then(|()| match self.is_heard {
                    false => command::apply(&mut tx, spaces, row, args),
                    true => command::apply_heard(&mut tx, spaces, row, args),
                });
            self.count(row, args, result);
        }
        drop(tx);
        if spaces.waiters().any() {
            for (db, row, args) in queue.iter() {
                if scripts::is_script(row) {
                    spaces.waiters().wake_all();
                } else {
                    command::wake(spaces, row, db, args);
                }
            }
        }
    }

    fn count(&mut self, row: &Command, args: Args<'_>, result: Result<(), command::Error>) {
        self.figures.commands.fetch_add(1, Ordering::Relaxed);
        let Err(error) = result else { return };
        self.figures.failed.fetch_add(1, Ordering::Relaxed);
        let (command, offset) = (row.name, self.read_offset);
        let key = shown(args.at(1));
        let is_consequence = matches!(error, command::Error::Tainted(_));
        if self.warned.insert((row.name, is_consequence)) {
            tracing::warn!(command, %key, offset, %error, "a write could not be applied: its keys answer TAINTED until the next full sync; further failures are logged at level debug");
        } else {
            tracing::debug!(command, %key, offset, %error, "a write could not be applied");
        }
    }

    /// Handles a command whose keys are not even known: from now on nothing is known to be right. Another snapshot would
    /// not help, because the next such command may be on its way already.
    fn unknown(&self, args: Args<'_>, reason: &'static str) {
        self.report_unknown(args, reason);
        if self.is_heard {
            self.feed().note_doubt_of_everything();
        }
        let spaces = &self.position.generation.spaces;
        self.token.taint_everything(spaces);
        spaces.waiters().wake_all();
        spaces.watches().touch_all();
    }

    /// The same for a command inside a transaction, whose locks are held.
    fn unknown_within(&self, tx: &mut Tx<'_>, args: Args<'_>, reason: &'static str) {
        self.report_unknown(args, reason);
        tx.taint_everything();
    }

    fn report_unknown(&self, args: Args<'_>, reason: &'static str) {
        let (name, offset) = (shown(args.at(0)), self.read_offset);
        if self.position.generation.spaces.taints().everything() {
            tracing::debug!(command = %name, offset, reason, "another command from the primary cannot be applied");
        } else {
            tracing::error!(command = %name, offset, reason, "a command from the primary cannot be applied: all keys answer TAINTED until the next full sync");
        }
        self.figures.unknown.fetch_add(1, Ordering::Relaxed);
        self.figures.unknown_names.note(&name);
        self.figures.failed.fetch_add(1, Ordering::Relaxed);
    }
}

/// Before locks are taken, passes to a snapshot being written what the commands are about to change.
#[cold]
fn save_first<'q>(
    saving: &mut Saving,
    commands: impl Iterator<Item = (usize, &'static Command, Args<'q>)>,
    slots: &[Slot],
) {
    let mut whole = false;
    for (db, row, args) in commands {
        whole |= command::changes(row, db, args, &mut |db, key| saving.before_key(db, key));
    }
    if whole {
        saving.before(slots);
    }
}

const NO_COMMAND: &str = "the command is unknown";

/// A word as log lines show it: only its start if it is long.
fn shown(word: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(
        word.get(..word.len().min(LOGGED_BYTES_MAX))
            .unwrap_or_default(),
    )
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "feed_tests.rs"]
mod feed_tests;

#[cfg(test)]
#[path = "hostile_stream_tests.rs"]
mod hostile_tests;

#[cfg(test)]
#[path = "figures_tests.rs"]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]
mod figures_tests;

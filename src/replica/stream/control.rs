//! Everything in the stream that is not a write: transactions, database selection, and what replicas pass over.
//!
//! A replica follows what its primary sends, not what the primary should have sent: it logs a command that it refuses,
//! and continues. redtail does the same if the command changes no data. It counts such a command by name, and logs it.

use std::sync::atomic::Ordering;

use super::{Follower, NO_COMMAND, Queue, StreamError};
use crate::command::{self, Command, ForeignChange};
use crate::feed::Interest;
use crate::replica::passed::{PROVIDER_COMMANDS, is_logged};
use crate::resp::Args;

/// Known commands that change no data of ours, but may change the meaning of later commands: they are not passed over.
const NOT_PASSED: [&str; 2] = ["debug", "watch"];

impl Follower<'_> {
    /// Handles everything that is not simply a write that redtail can apply.
    pub(super) fn control(&mut self, args: Args<'_>) -> Result<(), StreamError> {
        if args.is_empty() {
            self.pass("an empty request");
            return Ok(());
        }
        let name = args.at(0).to_ascii_lowercase();
        let name = name.as_slice();
        if !OWN_WORDS.contains(&name) && self.refuse(args) {
            return Ok(());
        }
        match name {
            b"ping" => {}
            b"publish" | b"spublish" => self.message(args),
            b"script" => self.keep_script(args),
            b"eval" | b"evalsha" => self.script(args),
            b"fcall" => self.unknown(args, super::scripts::FUNCTION),
            b"select" => self.select(args)?,
            b"multi" => self.multi(args),
            b"exec" => self.end_multi(args),
            b"discard" => self.discard(args),
            b"replconf" => self.replconf(args),
            // Says which node serves a slot; the stream itself adds and removes the keys. The primary does not set it before all its
            // replicas have acknowledged this. Source: valkey 8.0 cluster_legacy.c, `clusterCommandSetSlot`.
            b"cluster" if args.is(1, "setslot") => self.is_awaited = true,
            b"cluster" if args.is(1, "syncslots") => self.sync_slots(args)?,
            b"quit" => return Err(StreamError::Ended("QUIT")),
            // Sent by a browser that was led to a server. Source: redis 7.0 server.c, `securityWarningCommand`.
            b"post" => return Err(StreamError::Ended("POST")),
            b"host:" => return Err(StreamError::Ended("Host:")),
            _ => self.other(args),
        }
        Ok(())
    }

    /// Handles a message. In a transaction it becomes visible with the writes around it.
    fn message(&mut self, args: Args<'_>) {
        self.figures.published.fetch_add(1, Ordering::Relaxed);
        if args.len() != 3 {
            return self.pass("publish with the wrong number of words");
        }
        match (&mut self.queue, command::lookup(args.at(0))) {
            (Some(queue), Some(row)) => queue.push(self.db, row, args),
            _ => self.publish(args),
        }
    }

    /// Notes a message for those who listen.
    pub(super) fn publish(&self, args: Args<'_>) {
        let feed = self.feed();
        if feed.interest().has(Interest::MESSAGES) {
            feed.note_message(args.at(1), args.at(2), args.is(0, "spublish"));
        }
    }

    /// Whether a server of the dialect accepts this command with this number of words, as far as that is certain.
    pub(super) fn is_taken(&self, row: &Command, args: Args<'_>) -> bool {
        let dialect = self.position.generation.dialect;
        !self.trusts_version
            || (dialect.has(row.presence) && row.arity_in(dialect).fits(args.len()))
    }

    /// Passes over what the upstream's version certainly refuses because of its name, its subcommand or its number of
    /// words. A name that no version has is different: a module may provide it.
    fn refuse(&mut self, args: Args<'_>) -> bool {
        let dialect = self.position.generation.dialect;
        let Some(row) = command::lookup(args.at(0)).filter(|_| self.trusts_version) else {
            return false;
        };
        let Err(error) = command::resolve_for(args, dialect) else {
            return false;
        };
        self.pass_refused(row.name, args, &error);
        // Before servers had rows for subcommands, they checked these no earlier than in EXEC.
        let in_exec = dialect.has(row.presence)
            && !dialect.has_subcommand_rows()
            && !row.subcommands.is_empty()
            && args.len() > 1;
        if !in_exec {
            self.abort();
        }
        true
    }

    /// Counts a command that servers refuse, and logs it with its error.
    pub(super) fn pass_refused(&self, name: &str, args: Args<'_>, error: &command::Error) {
        let what = format!("a refused {name}");
        let (count, offset) = (self.figures.passed.note(&what), self.read_offset);
        if is_logged(count) {
            let key = super::shown(args.at(1));
            tracing::warn!(
                what, count, offset, %key, %error,
                "passed over in the primary's stream: a replica of that version refuses it too, and it changes nothing"
            );
        }
    }

    /// Handles a command that may or may not be in the table.
    fn other(&mut self, args: Args<'_>) {
        let dialect = self.position.generation.dialect;
        match command::resolve(args) {
            Ok(row) if row.is_write() || row.apply.is_some() => {
                self.data(row, args, None);
                if args.is(0, "function") && args.is(1, "load") {
                    self.check_library(args.at(args.len() - 1));
                }
            }
            Ok(row) if NOT_PASSED.contains(&row.name) => self.unknown(args, UNCLEAR),
            Ok(row) => {
                self.pass(row.name);
                if !dialect.has(row.presence) {
                    self.abort();
                }
            }
            Err(_) if args.at(0).is_empty() => {
                self.pass("an empty name");
                self.abort();
            }
            Err(_) => match command::lookup(args.at(0)) {
                Some(row) if !row.subcommands.iter().any(Command::is_write) => self.pass(row.name),
                _ => self.foreign(args),
            },
        }
    }

    /// Handles an unknown command: taints what a known module's write changes, and passes over it if it is known to touch no
    /// data.
    fn foreign(&mut self, args: Args<'_>) {
        match command::foreign_change(args) {
            Some(ForeignChange::Keys(row)) => return self.data(row, args, None),
            Some(ForeignChange::Nothing(name)) => return self.pass(name),
            None => {}
        }
        let name = args.at(0);
        let mut known = PROVIDER_COMMANDS.iter().copied();
        let known = known.find(|known| known.as_bytes().eq_ignore_ascii_case(name));
        let generation = std::sync::Arc::clone(&self.position.generation);
        match known.or_else(|| generation.tuning.ignored(name)) {
            Some(name) => self.pass(name),
            None => self.unknown(args, NO_COMMAND),
        }
    }

    /// Counts what is passed over, and logs the first, the tenth, the hundredth and so on.
    pub(super) fn pass(&self, what: &str) {
        let (count, offset) = (self.figures.passed.note(what), self.read_offset);
        if is_logged(count) {
            tracing::warn!(
                what,
                count,
                offset,
                "passed over in the primary's stream: it changes no data"
            );
        }
    }

    /// Marks the transaction as aborted: a server that refuses a command inside MULTI runs nothing at EXEC.
    fn abort(&mut self) {
        if let Some(queue) = &mut self.queue {
            queue.aborted = true;
        }
    }

    /// Whether a command of the stream's own has `count` words. If not, passes over it.
    fn has_words(&mut self, args: Args<'_>, count: usize, name: &'static str) -> bool {
        if args.len() != count {
            self.pass(name);
            self.abort();
        }
        args.len() == count
    }

    fn multi(&mut self, args: Args<'_>) {
        if !self.has_words(args, 1, "multi with arguments") {
            return;
        }
        if self.queue.is_none() {
            self.queue = Some(Queue::begun_in(self.db));
            return;
        }
        // Old primaries sometimes nest MULTI wrongly. Their own replicas continue after an error that nobody reads.
        self.pass("multi inside multi");
        if self
            .position
            .generation
            .dialect
            .denies_nested_transactions()
        {
            self.abort();
        }
    }

    fn end_multi(&mut self, args: Args<'_>) {
        // A refused EXEC ends the transaction, unlike any other refused command.
        if !self.has_words(args, 1, "exec with arguments") && self.queue.is_none() {
            return;
        }
        match self.queue.take() {
            None => self.pass("exec without multi"),
            Some(queue) if queue.aborted => {
                self.db = queue.begun_in;
                self.pass("a transaction that servers refuse");
            }
            Some(queue) => self.exec(&queue),
        }
    }

    fn discard(&mut self, args: Args<'_>) {
        if !self.has_words(args, 1, "discard with arguments") {
            return;
        }
        match self.queue.take() {
            None => self.pass("discard without multi"),
            Some(queue) => {
                self.db = queue.begun_in;
                self.pass("a transaction that was discarded");
            }
        }
    }

    fn replconf(&self, args: Args<'_>) {
        // The arguments are pairs of words. If there is one too many, servers refuse the whole command.
        let is_paired = args.len() % 2 == 1;
        let mut options = args.from(1).iter().step_by(2);
        if is_paired && options.any(|option| option.eq_ignore_ascii_case(b"getack")) {
            self.progress.request_ack();
        } else {
            self.pass("replconf");
        }
    }

    /// Selects a database. An argument that is not a database number is passed over, as servers do. DIFFERENCE: servers
    /// also pass over a number past the last database, and write into the wrong database from then on; redtail ends the
    /// link and names the number.
    fn select(&mut self, args: Args<'_>) -> Result<(), StreamError> {
        if !self.has_words(args, 2, "select with the wrong number of words") {
            return Ok(());
        }
        let number = crate::resp::parse_integer(args.at(1));
        let Some(number) = number.filter(|number| *number >= 0) else {
            self.pass("select of an invalid database");
            return Ok(());
        };
        let spaces = &self.position.generation.spaces;
        self.db = usize::try_from(number)
            .ok()
            .filter(|db| self.token.grow_to(spaces, *db))
            .ok_or(StreamError::Database(number, number.saturating_add(1)))?;
        Ok(())
    }
}

/// Commands whose number of words is checked separately, in their own way.
const OWN_WORDS: [&[u8]; 5] = [b"multi", b"exec", b"discard", b"select", b"replconf"];

/// Whether a queued command is a message.
pub(super) fn is_message(row: &Command) -> bool {
    matches!(row.name, "publish" | "spublish")
}

const UNCLEAR: &str = "later commands may depend on it";

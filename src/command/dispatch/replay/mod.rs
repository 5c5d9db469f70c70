//! Runs the commands of a script that the upstream sent as its text, for its replicas to run themselves.
//!
//! Servers before Redis 7.0 do so under `lua-replicate-commands no`. The handlers of writes produce no reply, because
//! the stream needs none, but a script needs one. So the reply of each write that a script may call is derived here
//! from reads before and after it. If a result is not certain to be the primary's, the script ends with [`Unsure`],
//! and redtail no longer vouches for any of its data.

mod writes;

use crate::command::dispatch::execute::{self, Request};
use crate::command::dispatch::registry::lookup;
use crate::command::dispatch::resolve::check_arity;
use crate::command::families::scripting;
use crate::command::rows::scripting::{ScriptCall, Scripting};
use crate::command::rows::{Command, Error, Scope};
use crate::dialect::Dialect;
use crate::feed::Interest;
use crate::resp::{Args, ArgsBuf, Protocol, Reply, parse_integer};
use crate::store::{Hold, Keyspaces, Slot, Tx};

/// Databases below this number can be used by a script that names other databases, even before they hold a key. This
/// is the servers' default number of databases.
const UNUSED_HELD: usize = 16;

/// Why it is unknown what a script did on the primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsure(pub &'static str);

/// What ends a command.
enum Stop {
    /// Its error reply.
    Error(Error),
    Unsure(&'static str),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        match error {
            Error::Tainted(_) => Self::Unsure("it uses a key whose value is not known"),
            error => Self::Error(error),
        }
    }
}

/// Also runs the scripts of an upstream.
pub trait ReplayScripts: Scripting {
    /// Runs a script that the upstream sent as its text, under the locks that the writer holds. An error of the script
    /// itself ends it, as it did on the primary.
    ///
    /// # Errors
    /// [`Unsure`] if it is unknown what the script did there. Something may have been changed.
    fn replay(&self, replay: &mut Replay<'_, '_>, call: &ScriptCall<'_>) -> Result<(), Unsure>;
}

/// Returns what EVAL or EVALSHA with these words runs.
///
/// # Errors
/// The error that a client would get.
pub fn script_call(args: Args<'_>) -> Result<ScriptCall<'_>, Error> {
    let row = lookup(args.at(0)).ok_or(Error::Syntax)?;
    check_arity(row, args)?;
    scripting::call(row, args)
}

/// What a script works on: whole databases, held by the writer.
pub struct Replay<'r, 'tx> {
    tx: &'r mut Tx<'tx>,
    spaces: &'r Keyspaces,
    /// The only database that is held; `None` if all of [`slots`] are held.
    only: Option<usize>,
}

/// Returns the slots needed to run a script with that text in database `db`, and the database if only one is needed. A
/// script that assembles the name of a command such as SELECT at run time is detected when it calls it.
#[must_use]
pub fn slots(spaces: &Keyspaces, db: usize, text: &[u8]) -> (Vec<Slot>, Option<usize>) {
    let text = text.to_ascii_lowercase();
    let words: [&[u8]; 2] = [b"select", b"flushall"];
    let leaves = words
        .iter()
        .any(|word| memchr::memmem::find(&text, word).is_some());
    if !leaves {
        return (spaces.slots_of_db(db).collect(), Some(db));
    }
    let held = (0..spaces.databases()).filter(|number| is_held(spaces, db, *number));
    (held.flat_map(|db| spaces.slots_of_db(db)).collect(), None)
}

fn is_held(spaces: &Keyspaces, db: usize, number: usize) -> bool {
    number == db || number < UNUSED_HELD || spaces.db(number).is_some()
}

impl<'r, 'tx> Replay<'r, 'tx> {
    /// Creates the state for a script that runs in the current database of `tx`, and holds the slots of `only` or all
    /// that [`slots`] returned.
    #[must_use]
    pub const fn new(tx: &'r mut Tx<'tx>, spaces: &'r Keyspaces, only: Option<usize>) -> Self {
        Self { tx, spaces, only }
    }

    /// Returns the dialect of the script's server.
    #[must_use]
    pub const fn dialect(&self) -> Dialect {
        self.tx.dialect()
    }

    /// Runs a command and writes its reply, or its error.
    ///
    /// # Errors
    /// [`Unsure`]. Something may have been changed.
    pub fn call(&mut self, row: &Command, args: Args<'_>, reply: &mut Reply) -> Result<(), Unsure> {
        let mark = reply.len();
        match self.perform(row, args, reply) {
            Ok(()) => Ok(()),
            Err(Stop::Error(error)) => {
                reply.truncate(mark);
                reply.error(error.text());
                Ok(())
            }
            Err(Stop::Unsure(why)) => Err(Unsure(why)),
        }
    }

    fn perform(&mut self, row: &Command, args: Args<'_>, reply: &mut Reply) -> Result<(), Stop> {
        if row.is_write() {
            return self.write(row, args, reply);
        }
        if row.read.is_some() {
            self.read(row, args, reply)?;
            // PFCOUNT caches its count in the value.
            return match row.apply {
                Some(_) => self.apply(row, args),
                None => Ok(()),
            };
        }
        match row.name {
            "select" => self.select(args)?,
            "ping" if args.len() == 1 => {
                reply.simple("PONG");
                return Ok(());
            }
            "ping" | "echo" => {
                reply.bulk(args.at(1));
                return Ok(());
            }
            // No write can follow it in the script, so nothing depends on the reply.
            "time" => {
                let now_ms = self.tx.now_ms();
                reply.array(2);
                reply.bulk((now_ms / 1000).to_string().as_bytes());
                reply.bulk((now_ms % 1000 * 1000).to_string().as_bytes());
                return Ok(());
            }
            // The reply is that of a replica without subscribers.
            "publish" => {
                let feed = self.spaces.feed();
                if feed.interest().has(Interest::MESSAGES) {
                    feed.note_message(args.at(1), args.at(2), false);
                }
                reply.integer(0);
                return Ok(());
            }
            _ => {
                return Err(Stop::Unsure(
                    "it calls a command whose reply only the primary knows",
                ));
            }
        }
        reply.ok();
        Ok(())
    }

    /// A key past its time is still visible, as for the whole stream: only the primary deletes it.
    fn read(&mut self, row: &Command, args: Args<'_>, reply: &mut Reply) -> Result<(), Stop> {
        let handler = row.read.ok_or(NO_REPLY)?;
        if row.locks(args) == Scope::Nothing {
            return Err(Stop::Unsure(
                "it reads the whole database in an order that only the primary knows",
            ));
        }
        if row.locks(args) == Scope::Database && self.spaces.taints().any() {
            return Err(Stop::Unsure("it uses a key whose value is not known"));
        }
        let hold = Hold::within(self.spaces, self.tx);
        if row.locks(args) == Scope::Database {
            // A walk skips expired keys without deleting them, and it is unknown when the primary walked.
            let now_ms = self.tx.now_ms();
            let has_expired = hold.weigh(|view| {
                let mut entries = view.entries_at_any_time();
                entries.any(|entry| entry.is_expired(now_ms))
            });
            if has_expired {
                return Err(Stop::Unsure(
                    "it walks over keys, some of which have expired",
                ));
            }
        }
        hold.set_clock(0);
        hold.set_touches(false);
        let request = Request {
            command: row,
            handler,
            args,
            tally: None,
        };
        Ok(request.look(&hold, reply)?)
    }

    fn select(&mut self, args: Args<'_>) -> Result<(), Stop> {
        let db = parse_integer(args.at(1)).and_then(|db| usize::try_from(db).ok());
        let db = db.filter(|db| *db < self.spaces.databases());
        let db = db.ok_or(Stop::Unsure("it selects a database that does not exist"))?;
        let is_own = self.only.is_none_or(|only| only == db);
        if !is_own || !is_held(self.spaces, db, db) {
            return Err(Stop::Unsure(
                "it selects a database that its text does not name",
            ));
        }
        self.tx.select(db).map_err(Error::from)?;
        Ok(())
    }

    /// Returns a read's reply at this moment.
    fn ask(&mut self, words: &[&[u8]]) -> Result<Reply, Stop> {
        let words = ArgsBuf::new(words);
        let row = lookup(words.as_args().at(0)).ok_or(NO_REPLY)?;
        let mut reply = Reply::new(Protocol::Resp2, self.dialect(), usize::MAX);
        self.read(row, words.as_args(), &mut reply)?;
        Ok(reply)
    }

    /// Returns the number that a read replies at this moment.
    fn count(&mut self, words: &[&[u8]]) -> Result<i64, Stop> {
        let reply = self.ask(words)?;
        let digits = reply.as_bytes().strip_prefix(b":").unwrap_or_default();
        parse_integer(digits.trim_ascii_end()).ok_or(NO_REPLY)
    }

    fn apply(&mut self, row: &Command, args: Args<'_>) -> Result<(), Stop> {
        let applied = execute::try_apply_heard(self.tx, self.spaces, row, args);
        applied.map_err(|_| Stop::Unsure("one of its writes cannot be applied"))
    }
}

const NO_REPLY: Stop = Stop::Unsure("it calls a write whose reply only the primary knows");

//! MULTI, EXEC and DISCARD for clients.
//!
//! EXEC answers all queued reads at one moment: it holds the read locks of every shard that any of them names while they
//! run, and all of them go by one look at the clock. What is WATCHed is looked at in the same moment.
//!
//! DIFFERENCE: a full resync counts as a change of every watched key; a replica keeps watches over keys that were neither
//! there before nor are afterwards.

use std::collections::BTreeSet;

use super::catalogue;
use super::keys::Keys;
use super::session::{SessionCx, entering, run};
use super::table::{Arity, Command, Family, Flags, Scope};
use super::{Error, lookup, resolve_for};
use crate::dialect::Dialect;
use crate::resp::{Args, ArgsBuf};
use crate::store::{Generation, Rules, Slot, View, Watching, unix_ms};

/// What queued commands may hold in all: as much as one request may.
const QUEUED_BYTES_MAX: usize = 1 << 30;

/// What each queued command costs beyond its words.
const QUEUED_OVERHEAD_BYTES: usize = 128;

/// This file's rows.
pub(super) const FAMILY: Family = Family {
    group: "transactions",
    commands: &[
        Command::new("multi", Arity::exactly(1), Keys::None)
            .session(multi)
            .flags(ALWAYS)
            .about("1.2.0", "Starts a transaction."),
        Command::new("exec", Arity::exactly(1), Keys::None)
            .session(exec)
            .flags(Flags::NOSCRIPT.and(Flags::LOADING).and(Flags::STALE))
            .about("1.2.0", "Runs the queued commands at one moment."),
        Command::new("discard", Arity::exactly(1), Keys::None)
            .session(discard)
            .flags(ALWAYS)
            .about("2.0.0", "Forgets the queued commands."),
        Command::new("watch", Arity::at_least(2), Keys::all())
            .session(watch)
            .flags(ALWAYS)
            .about("2.2.0", "Lets EXEC give null if one of the keys changes before it.")
            .difference("A full resync counts as a change of every watched key; what one connection watches is bounded."),
        Command::new("unwatch", Arity::exactly(1), Keys::None)
            .session(unwatch)
            .flags(ALWAYS)
            .about("2.2.0", "Forgets what is watched."),
    ],
};

const ALWAYS: Flags = Flags::NOSCRIPT
    .and(Flags::LOADING)
    .and(Flags::STALE)
    .and(Flags::FAST)
    .and(Flags::ALLOW_BUSY);

/// What MULTI has queued.
#[derive(Debug, Default)]
pub struct Transaction {
    queued: Vec<(&'static Command, ArgsBuf)>,
    bytes: usize,
    aborted: bool,
}

impl Transaction {
    /// Whether all that was queued has `flag`.
    pub(super) fn has_only(&self, flag: &str, dialect: Dialect) -> bool {
        let has = |row: &Command, args: &ArgsBuf| {
            !row.flags.has(Flags::SCRIPT) && catalogue::flagged(args.as_args(), row, dialect, flag)
        };
        self.queued.iter().all(|(row, args)| has(row, args))
    }

    /// A command was refused: EXEC will run nothing.
    pub const fn abort(&mut self) {
        self.aborted = true;
    }

    /// How many commands wait.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.queued.len()
    }

    /// Whether none waits.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.queued.is_empty()
    }
}

/// The commands that MULTI does not queue. Source: redis 7.0 server.c, `processCommand`.
pub(super) fn runs_at_once(row: &Command) -> bool {
    matches!(
        row.name,
        "exec" | "discard" | "multi" | "watch" | "quit" | "reset"
    ) && lookup(row.name.as_bytes()).is_some_and(|found| std::ptr::eq(found, row))
}

/// Refuses what no transaction may hold.
///
/// # Errors
/// The error reply. Source: valkey 9.1 server.c, `processCommand`, and COMMAND's flag `no_multi` of five servers.
pub(super) fn check(row: &Command, args: Args<'_>, dialect: Dialect) -> Result<(), Error> {
    let is_denied = row.flags.has(Flags::NO_MULTI) && dialect.denies_within_transactions()
        || match row.name {
            // It would lock what the transaction does not hold.
            "debug" => true,
            "multi" | "watch" => dialect.denies_nested_transactions(),
            "reply" => dialect.names_what_transactions_deny(),
            _ => false,
        };
    if !is_denied {
        return Ok(());
    }
    if !dialect.names_what_transactions_deny() {
        return Err(Error::Text("ERR Command not allowed inside a transaction"));
    }
    let container = lookup(args.at(0)).filter(|found| !std::ptr::eq(*found, row));
    let container = container.map_or(String::new(), |found| format!("{}|", found.name));
    Err(Error::Owned(format!(
        "ERR Command '{container}{}' not allowed inside a transaction",
        row.name
    )))
}

/// The container of an unknown subcommand, or of one with a wrong number of words, where the server finds that out only when
/// the transaction runs, or once the client has authenticated.
#[cold]
pub(super) fn found_when_run(cx: &SessionCx<'_>, args: Args<'_>) -> Option<&'static Command> {
    let dialect = cx.reply.dialect();
    let runs_now = cx.session.transaction.is_none() && cx.session.authenticated;
    if runs_now || dialect.has_subcommand_rows() || args.len() < 2 {
        return None;
    }
    let container = lookup(args.at(0)).filter(|row| dialect.has(row.presence));
    // XGROUP is a write whatever its subcommand.
    container.filter(|row| !row.subcommands.is_empty() && row.name != "xgroup")
}

/// Queues a command.
///
/// # Errors
/// When the queue holds too much; the transaction is lost then.
pub(super) fn queue(
    cx: &mut SessionCx<'_>,
    row: &'static Command,
    args: Args<'_>,
) -> Result<(), Error> {
    let Some(transaction) = &mut cx.session.transaction else {
        return Ok(());
    };
    let bytes: usize = args.iter().map(|word| word.len() + 16).sum();
    transaction.bytes += bytes + QUEUED_OVERHEAD_BYTES;
    if transaction.bytes > QUEUED_BYTES_MAX {
        transaction.queued.clear();
        transaction.abort();
        cx.session.closing = true;
        return Err(Error::Text("ERR the transaction holds too many bytes"));
    }
    transaction.queued.push((row, ArgsBuf::new(args.iter())));
    cx.reply.simple("QUEUED");
    Ok(())
}

fn multi(cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    if cx.session.transaction.is_some() {
        return Err(Error::Text("ERR MULTI calls can not be nested"));
    }
    cx.session.transaction = Some(Transaction::default());
    cx.reply.ok();
    Ok(())
}

fn discard(cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    cx.session
        .transaction
        .take()
        .ok_or(Error::Text("ERR DISCARD without MULTI"))?;
    cx.session.watching = None;
    cx.reply.ok();
    Ok(())
}

fn watch(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    if cx.session.transaction.is_some() {
        return Err(Error::Text("ERR WATCH inside MULTI is not allowed"));
    }
    // Before the first sync no key is there; that it ends is no change that EXEC could be asked about meanwhile.
    if let Some(generation) = cx.generation {
        let watching = &mut cx.session.watching;
        let watching = watching.get_or_insert_with(|| Box::new(Watching::new(&generation.spaces)));
        let (spaces, db, keys) = (&generation.spaces, cx.session.db, args.from(1));
        let views = spaces.hold(keys.iter().map(|key| spaces.slot(db, key)).collect());
        for view in &views {
            watching
                .add(view, keys.iter())
                .map_err(|_| Error::Text("ERR too many watched keys"))?;
        }
    }
    cx.reply.ok();
    Ok(())
}

fn unwatch(cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    cx.session.watching = None;
    cx.reply.ok();
    Ok(())
}

fn exec(cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    let transaction = cx
        .session
        .transaction
        .take()
        .ok_or(Error::Text("ERR EXEC without MULTI"))?;
    let watching = cx.session.watching.take();
    if transaction.aborted {
        return Err(Error::Text(
            "EXECABORT Transaction discarded because of previous errors.",
        ));
    }
    let held = cx.generation.map(|generation| {
        let watched = watching.iter().flat_map(|watching| watching.keys());
        let db = cx.session.db;
        entering(&generation.spaces, || {
            hold(generation, db, &transaction.queued, watched)
        })
    });
    if let (Some(watching), Some(generation), Some(held)) = (watching, cx.generation, &held)
        && watching.is_broken(&generation.spaces, held, rules(cx))
    {
        cx.reply.null_array();
        return Ok(());
    }
    cx.session.clock = Some(unix_ms());
    cx.reply.array(transaction.queued.len());
    for (row, args) in &transaction.queued {
        run_queued(cx, row, args.as_args());
    }
    cx.session.clock = None;
    drop(held);
    Ok(())
}

fn rules(cx: &SessionCx<'_>) -> Rules {
    Rules {
        ignores_expired: cx.reply.dialect().ignores_expired_when_watched(),
    }
}

fn run_queued(cx: &mut SessionCx<'_>, row: &'static Command, args: Args<'_>) {
    let mark = cx.reply.len();
    let result = if row.subcommands.is_empty() || args.len() == 1 {
        run(cx, row, args)
    } else {
        resolve_for(args, cx.reply.dialect()).map(|_| ())
    };
    match result {
        Ok(()) => {}
        // Inside a transaction nothing waits.
        Err(Error::Waits(_)) => cx.reply.null_array(),
        Err(error) => {
            cx.reply.truncate(mark);
            cx.reply.error(error.text());
        }
    }
}

/// Takes the read locks of everything that is watched and that the queued commands will read, database by database in ascending order, which
/// is the order of all locks. The commands then lock the same shards again for themselves: a reader never waits where a
/// reader is already in.
fn hold<'g, 'k>(
    generation: &'g Generation,
    db: usize,
    queued: &[(&'static Command, ArgsBuf)],
    watched: impl Iterator<Item = (usize, &'k [u8])>,
) -> Vec<View<'g>> {
    let spaces = &generation.spaces;
    let mut db = db;
    let mut slots: Vec<Slot> = watched.map(|(db, key)| spaces.slot(db, key)).collect();
    // Named once however often it is read: a database's slots are far larger than the command that asks for them.
    let mut whole = BTreeSet::new();
    for (row, args) in queued {
        let args = args.as_args();
        if row.name == "select" {
            db = args
                .get(1)
                .and_then(crate::resp::parse_integer)
                .and_then(|number| usize::try_from(number).ok())
                .filter(|number| *number < spaces.databases())
                .unwrap_or(db);
        } else if row.flags.has(Flags::SCRIPT) {
            // It may select any, and there is no other moment to take the locks of that.
            whole.extend(0..spaces.databases());
        } else if row.read.is_some() && row.locks(args) == Scope::Keys {
            row.keys
                .visit(args, |index| slots.push(spaces.slot(db, args.at(index))));
        } else if row.read.is_some() {
            whole.insert(db);
        }
    }
    slots.extend(whole.into_iter().flat_map(|db| spaces.slots_of_db(db)));
    spaces.hold(slots)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use std::sync::{Arc, mpsc};
    use std::time::Duration;

    use super::*;
    use crate::store::NewValue;

    /// Long enough for a writer to do what it should not.
    const A_MOMENT: Duration = Duration::from_millis(20);

    #[test]
    fn a_writer_waits_for_what_a_transaction_will_read_or_watches() {
        let generation = Generation::new(2, Dialect::default(), Arc::default());
        let spaces = &generation.spaces;
        let write = |db, key: &[u8]| {
            let mut tx = spaces.write(db, [spaces.slot(db, key)]);
            tx.set(key, None, NewValue::text(b"x"));
        };
        write(0, b"a");
        write(1, b"b");
        let queued = ["GET a", "SELECT 1", "MGET b c"].map(|line| {
            let words = ArgsBuf::new(line.split(' '));
            (lookup(words.as_args().at(0)).unwrap(), words)
        });
        for (db, key) in [(0, b"a"), (1, b"b"), (1, b"c"), (1, b"w")] {
            let held = hold(&generation, 0, &queued, std::iter::once((1, &b"w"[..])));
            std::thread::scope(|scope| {
                let (sender, done) = mpsc::channel();
                scope.spawn(move || {
                    write(db, key);
                    sender.send(()).unwrap();
                });
                assert!(done.recv_timeout(A_MOMENT).is_err(), "{db} {key:?}");
                drop(held);
                done.recv().unwrap();
            });
        }
    }
}

//! MULTI, EXEC and DISCARD for clients.
//!
//! EXEC answers all queued reads at one moment: while they run, it holds the read locks of every shard that any of
//! them names, and they share one reading of the clock. It checks the watched keys at the same moment.
//!
//! DIFFERENCE: a full resync counts as a change of every watched key. A real replica keeps watches on keys that exist
//! neither before nor after the resync.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::account::{self, Ran};
use super::answer::{called, run};
use super::execute::Request;
use super::registry::lookup;
use super::resolve::resolve_for;
use super::{catalogue, permission, tracked};
use crate::command::rows::error::OUT_OF_MEMORY;
use crate::command::rows::queue::{Queued, Transaction};
use crate::command::rows::{
    Arity, Command, Error, Family, Flags, Keys, Scope, SessionCx, entering, long, work,
};
use crate::dialect::Dialect;
use crate::resp::{Args, ArgsBuf};
use crate::store::{Entry, Generation, Hold, Rules, Slot, View, Watching, unix_ms};

/// Maximum bytes of all queued commands together: the limit of a single request.
const QUEUED_BYTES_MAX: usize = 1 << 30;

/// Bytes that each queued command costs in addition to its words.
const QUEUED_OVERHEAD_BYTES: usize = 128;

/// This file's rows.
pub(crate) const FAMILY: Family = Family {
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
            .about("2.0.0", "Discards the queued commands."),
        Command::new("watch", Arity::at_least(2), Keys::all())
            .session(watch)
            .flags(ALWAYS)
            .about("2.2.0", "Makes EXEC return null if one of the keys changes before it.")
            .difference("A full resync counts as a change of every watched key. Many watched keys count towards `--clients-memory`; if there is no room, WATCH answers OOM."),
        Command::new("unwatch", Arity::exactly(1), Keys::None)
            .session(unwatch)
            .flags(ALWAYS)
            .about("2.2.0", "Forgets all watched keys."),
    ],
};

const ALWAYS: Flags = Flags::NOSCRIPT
    .and(Flags::LOADING)
    .and(Flags::STALE)
    .and(Flags::FAST)
    .and(Flags::ALLOW_BUSY);

/// Returns whether all queued commands have `flag`.
pub(crate) fn has_only(transaction: &Transaction, flag: &str, dialect: Dialect) -> bool {
    let has = |row: &Command, args: &ArgsBuf| {
        !row.flags.has(Flags::SCRIPT) && catalogue::flagged(args.as_args(), row, dialect, flag)
    };
    let mut queued = transaction.queued.iter();
    queued.all(|(row, args)| has(row, args))
}

/// Returns whether MULTI does not queue this command. Source: redis 7.0 server.c, `processCommand`.
pub(crate) fn runs_at_once(row: &Command) -> bool {
    matches!(
        row.name,
        "exec" | "discard" | "multi" | "watch" | "quit" | "reset"
    ) && lookup(row.name.as_bytes()).is_some_and(|found| std::ptr::eq(found, row))
}

/// Refuses a command that is not allowed in a transaction.
///
/// # Errors
/// The error reply. Source: valkey 9.1 server.c, `processCommand`, and COMMAND's flag `no_multi` of five servers.
pub(crate) fn check(row: &Command, args: Args<'_>, dialect: Dialect) -> Result<(), Error> {
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

/// Returns the container of an unknown subcommand, or of one with a wrong number of words, if the server finds that
/// out only when the transaction runs, or after the client has authenticated.
#[cold]
pub(crate) fn found_when_run(cx: &SessionCx<'_>, args: Args<'_>) -> Option<&'static Command> {
    let dialect = cx.reply.dialect();
    let runs_now = cx.session.transaction.is_none() && cx.session.authenticated;
    if runs_now || dialect.has_subcommand_rows() || args.len() < 2 {
        return None;
    }
    let container = lookup(args.at(0)).filter(|row| dialect.has(row.presence));
    // Any XGROUP is a write, whatever its subcommand.
    container.filter(|row| !row.subcommands.is_empty() && row.name != "xgroup")
}

/// Queues a command.
///
/// # Errors
/// If the queue would hold too much. The transaction is then lost.
pub(crate) fn queue(
    cx: &mut SessionCx<'_>,
    row: &'static Command,
    args: Args<'_>,
) -> Result<(), Error> {
    let Some(transaction) = &mut cx.session.transaction else {
        return Ok(());
    };
    if transaction.aborted {
        // Like servers since Redis 7: the transaction will not run, so the command need not be kept.
        cx.reply.simple("QUEUED");
        return Ok(());
    }
    let bytes: usize = args.iter().map(|word| word.len() + 16).sum();
    let has_room = transaction.takes(bytes + QUEUED_OVERHEAD_BYTES);
    if transaction.bytes > QUEUED_BYTES_MAX {
        transaction.give_up();
        cx.session.closing = true;
        return Err(Error::Text("ERR the transaction holds too many bytes"));
    }
    if !has_room {
        transaction.give_up();
        let bytes = cx.session.client.account.held();
        cx.host.relieve(bytes);
        return Err(OUT_OF_MEMORY);
    }
    if row.name == "select" {
        let db = transaction.db.unwrap_or(cx.session.db);
        transaction.db = Some(selected(args, db, cx.host.databases()));
    }
    transaction.queued.push((row, ArgsBuf::copy_of(args)));
    cx.reply.simple("QUEUED");
    Ok(())
}

fn multi(cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    if cx.session.transaction.is_some() {
        return Err(Error::Text("ERR MULTI calls can not be nested"));
    }
    let account = Arc::clone(&cx.session.client.account);
    cx.session.transaction = Some(Transaction::new(account));
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
    // Before the first sync there are no keys to watch. The end of that sync does not count as a change.
    if let Some(generation) = cx.generation {
        let watching = &mut cx.session.watching;
        let account = &cx.session.client.account;
        let none = || Box::new(Watching::new(&generation.spaces, Arc::clone(account)));
        let watching = watching.get_or_insert_with(none);
        let (spaces, db, keys) = (&generation.spaces, cx.session.db, args.from(1));
        let held = spaces.hold(keys.iter().map(|key| spaces.slot(db, key)).collect());
        for hold in &held {
            if watching.add(hold, keys.iter()).is_err() {
                cx.host.relieve(account.held());
                return Err(OUT_OF_MEMORY);
            }
        }
    }
    cx.reply.ok();
    Ok(())
}

/// Passes the keys that EXEC is about to `visit`: those of the queued commands, and the watched ones.
pub(super) fn visit_keys(cx: &SessionCx<'_>, visit: &mut dyn FnMut(&[u8])) {
    let queued = cx
        .session
        .transaction
        .iter()
        .flat_map(|queue| &queue.queued);
    for (row, args) in queued {
        let args = args.as_args();
        row.keys.visit(args, |index| visit(args.at(index)));
    }
    let watching = cx.session.watching.iter();
    watching
        .flat_map(|watching| watching.keys())
        .for_each(|(_, key)| visit(key));
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
    let anywhere = loses_its_way(cx, &transaction.queued);
    if cx.session.tracking.is_some() {
        tracked::note_transaction(cx, &transaction.queued);
    }
    let mut held = cx.generation.map(|generation| {
        let watched = watching.iter().flat_map(|watching| watching.keys());
        let db = cx.session.db;
        entering(&generation.spaces, || {
            hold(generation, db, &transaction.queued, watched, anywhere)
        })
    });
    if let (Some(watching), Some(generation), Some(held)) = (&watching, cx.generation, &held)
        && watching.is_broken(&generation.spaces, held, rules(cx))
    {
        cx.reply.null_array();
        return Ok(());
    }
    let bytes = least_bytes(cx, &transaction.queued, held.as_deref());
    if !cx.reply.reserve(bytes) {
        // The size is known before anything is copied. If other replies are still waiting, EXEC is put off until they
        // are written.
        if !cx.reply.is_empty() {
            cx.session.deferred = true;
            cx.session.transaction = Some(transaction);
            cx.session.watching = watching;
        }
        return Ok(());
    }
    cx.session.clock = Some(unix_ms());
    cx.reply.array(transaction.queued.len());
    let begun = cx.session.timing.marked();
    run_all(cx, &transaction.queued, &mut held, anywhere);
    cx.session.timing.rewind(begun);
    cx.session.clock = None;
    drop(std::mem::take(&mut cx.session.leaving));
    Ok(())
}

/// Runs queued commands. Once they take long, other connections continue in the meantime.
fn run_all<'g>(
    cx: &mut SessionCx<'g>,
    queued: &[Queued],
    held: &mut Option<Vec<Hold<'g>>>,
    anywhere: bool,
) {
    let begun = work_so_far(cx);
    for (index, (row, args)) in queued.iter().enumerate() {
        if work_so_far(cx) - begun > work::LONG {
            let rest = queued.get(index..).unwrap_or_default();
            return long(|| run_long(cx, rest, held, anywhere));
        }
        run_queued(cx, row, args.as_args());
    }
}

/// Like [`run_all`], after the commands have already taken long. If they take so long that the writer would notice the
/// wait, the rest runs on copies, provided that copying is quick. The copies are of one moment, because the locks are
/// released only after they are made. Stops if either side closes the connection.
fn run_long<'g>(
    cx: &mut SessionCx<'g>,
    queued: &[Queued],
    held: &mut Option<Vec<Hold<'g>>>,
    anywhere: bool,
) {
    let begun = work_so_far(cx);
    let mut looked_at = begun;
    let mut copies = None;
    // Where it is not known which databases will be read, nothing can be copied in advance.
    let mut looked = anywhere;
    for (index, (row, args)) in queued.iter().enumerate() {
        if work_so_far(cx) - looked_at > work::LONG {
            looked_at = work_so_far(cx);
            let is_deserted = cx.reply.is_deserted();
            if is_deserted || cx.session.client.close.is_cancelled() {
                cx.session.closing = true;
                return;
            }
        }
        if !looked && work_so_far(cx) - begun > work::WORTH_COPYING {
            looked = true;
            let rest = queued.get(index..).unwrap_or_default();
            copies = held.as_deref().and_then(|held| copied(cx, rest, held));
            if copies.is_some() {
                *held = None;
            }
        }
        match (&copies, row.read) {
            (Some(copies), Some(handler)) => {
                let mark = cx.reply.len();
                if let Err(error) = may_run(cx, row, args.as_args()) {
                    finish_queued(cx, row, args.as_args(), mark, Err(error));
                    continue;
                }
                let hold = copies.iter().find(|hold| hold.db_number() == cx.session.db);
                let none = cx
                    .generation
                    .map(|generation| generation.spaces.view_none(cx.session.db));
                let result = match hold.or(none.as_ref()) {
                    Some(hold) => {
                        let tally = &cx.session.tally;
                        let request = Request {
                            command: row,
                            handler,
                            args: args.as_args(),
                            tally: Some(tally),
                        };
                        let work = hold.weigh(|view| work::of(row, view, request.args));
                        tally.add_work(work);
                        request.look(hold, cx.reply)
                    }
                    None => Ok(()),
                };
                finish_queued(cx, row, args.as_args(), mark, result);
            }
            _ => run_queued(cx, row, args.as_args()),
        }
        if cx.reply.overflowed() {
            return;
        }
    }
}

/// Returns the work done so far in this connection's turn: elements visited, or copied into its replies.
fn work_so_far(cx: &SessionCx<'_>) -> usize {
    cx.session.tally.worked.get() + cx.reply.len() / 64
}

/// Copies the values that queued commands read. Returns `None` if not all of them name their keys, or if there is too
/// much to copy.
fn copied<'g>(cx: &SessionCx<'g>, queued: &[Queued], held: &[Hold<'g>]) -> Option<Vec<Hold<'g>>> {
    let spaces = &cx.generation?.spaces;
    let mut by_db: BTreeMap<usize, Vec<&[u8]>> = BTreeMap::new();
    let mut all_named = !spaces.taints().any();
    each_read(
        cx.session.db,
        spaces.databases(),
        queued,
        &mut |db, row, args| {
            all_named &= row.locks(args) == Scope::Keys && !row.flags.has(Flags::SCRIPT);
            let keys = by_db.entry(db).or_default();
            row.keys.visit(args, |index| keys.push(args.at(index)));
        },
    );
    let hold_of = |db: usize| held.iter().find(|hold| hold.db_number() == db);
    let mut size = 0usize;
    for (db, keys) in &mut by_db {
        keys.sort_unstable();
        keys.dedup();
        let sizes = |view: &View<'_>| {
            let sizes = keys
                .iter()
                .map(|key| view.entry_at_any_time(key).map_or(1, Entry::size));
            sizes.sum()
        };
        size = size.saturating_add(hold_of(*db)?.weigh(sizes));
    }
    (all_named && size <= work::WORTH_COPYING).then_some(())?;
    let copies = by_db.iter().map(|(db, keys)| {
        let hold = hold_of(*db)?;
        hold.set_touches(cx.session.touches);
        cx.session
            .clock
            .into_iter()
            .for_each(|now_ms| hold.set_clock(now_ms));
        let each = |visit: &mut dyn FnMut(&[u8])| keys.iter().for_each(|key| visit(key));
        hold.copied(&each).ok()
    });
    copies.collect()
}

/// Returns a lower bound for the size of the replies to queued commands, as far as it is known before they are
/// written. If any key is tainted, this is 0, because its reply is an error.
fn least_bytes(cx: &SessionCx<'_>, queued: &[Queued], held: Option<&[Hold<'_>]>) -> usize {
    let (Some(generation), Some(held)) = (cx.generation, held) else {
        return 0;
    };
    if generation.spaces.taints().any() {
        return 0;
    }
    let mut bytes = 0usize;
    each_read(
        cx.session.db,
        generation.spaces.databases(),
        queued,
        &mut |db, row, args| {
            let hold = held.iter().find(|hold| hold.db_number() == db);
            if let (Some(least), Some(hold)) = (row.least, hold) {
                bytes = bytes.saturating_add(hold.weigh(|view| least(view, args)));
            }
        },
    );
    bytes
}

/// Passes every queued read to `visit`, with the database that it works in.
fn each_read<'q>(
    db: usize,
    databases: usize,
    queued: &'q [Queued],
    visit: &mut dyn FnMut(usize, &'static Command, Args<'q>),
) {
    let mut db = db;
    for (row, args) in queued {
        let args = args.as_args();
        if row.name == "select" {
            db = selected(args, db, databases);
        } else if row.read.is_some() || row.flags.has(Flags::SCRIPT) {
            visit(db, row, args);
        }
    }
}

/// Returns the database after SELECT with these words.
fn selected(args: Args<'_>, db: usize, databases: usize) -> usize {
    let number = args.get(1).and_then(crate::resp::parse_integer);
    let number = number.and_then(|number| usize::try_from(number).ok());
    number.filter(|number| *number < databases).unwrap_or(db)
}

/// Whether EXEC will refuse a queued SELECT because the user's permissions have changed. The commands after it then read
/// another database than was foreseen.
fn loses_its_way(cx: &SessionCx<'_>, queued: &[Queued]) -> bool {
    cx.session.rights.as_ref().is_some_and(|rights| {
        let mut selects = queued.iter().filter(|(row, _)| row.name == "select");
        selects.any(|(row, args)| !permission::permits(rights, row, args.as_args(), cx.session.db))
    })
}

fn rules(cx: &SessionCx<'_>) -> Rules {
    Rules {
        ignores_expired: cx.reply.dialect().ignores_expired_when_watched(),
    }
}

fn run_queued(cx: &mut SessionCx<'_>, row: &'static Command, args: Args<'_>) {
    let mark = cx.reply.len();
    if let Err(error) = may_run(cx, row, args) {
        return finish_queued(cx, row, args, mark, Err(error));
    }
    account::script_starts(cx, called(row, args), args);
    let result = if row.subcommands.is_empty() || args.len() == 1 {
        run(cx, row, args)
    } else {
        resolve_for(args, cx.reply.dialect()).map(|_| ())
    };
    finish_queued(cx, row, args, mark, result);
}

/// Checks that the user may still run a queued command.
fn may_run(cx: &mut SessionCx<'_>, row: &'static Command, args: Args<'_>) -> Result<(), Error> {
    match cx.session.rights.clone() {
        Some(rights) => permission::check_queued(cx, &rights, row, args),
        None => Ok(()),
    }
}

fn finish_queued(
    cx: &mut SessionCx<'_>,
    row: &'static Command,
    args: Args<'_>,
    mark: usize,
    result: Result<(), Error>,
) {
    let failed = result.is_err();
    match result {
        Ok(()) => {}
        // Inside a transaction nothing waits.
        Err(Error::Waits(_)) => cx.reply.null_array(),
        Err(error) => {
            cx.reply.truncate(mark);
            cx.reply.error(error.text());
            account::error(cx, &error);
        }
    }
    let db = cx.session.db;
    account::ran(cx, called(row, args), args, Ran { failed, mark, db });
}

/// Takes the read locks of everything that is watched or that the queued commands will read, in the order of all
/// locks: database by database, ascending. The commands then lock the same shards again, which does not block: a
/// reader never waits for a shard that already has a reader.
fn hold<'g, 'k>(
    generation: &'g Generation,
    db: usize,
    queued: &[Queued],
    watched: impl Iterator<Item = (usize, &'k [u8])>,
    anywhere: bool,
) -> Vec<Hold<'g>> {
    let spaces = &generation.spaces;
    let mut slots: Vec<Slot> = watched.map(|(db, key)| spaces.slot(db, key)).collect();
    // A set, because a database's slots are far larger than the command that asks for them: each database is added
    // once.
    let mut whole = BTreeSet::new();
    if anywhere {
        whole.extend(0..spaces.databases());
    }
    each_read(db, spaces.databases(), queued, &mut |db, row, args| {
        if row.flags.has(Flags::SCRIPT) {
            // A script may select any database, and the locks cannot be taken later.
            whole.extend(0..spaces.databases());
        } else if row.locks(args) == Scope::Keys {
            row.keys
                .visit(args, |index| slots.push(spaces.slot(db, args.at(index))));
        } else {
            whole.insert(db);
        }
    });
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
            let held = hold(
                &generation,
                0,
                &queued,
                std::iter::once((1, &b"w"[..])),
                false,
            );
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

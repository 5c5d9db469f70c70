//! The order in which a request is checked and answered.

use super::account::{self, Ran};
use super::execute::{ReadCx, read_at};
use super::registry::lookup;
use super::resolve::resolve_for;
use super::{after, catalogue, permission, shards, tracked, transaction};
use crate::command::families::scripting;
use crate::command::rows::error::{OUT_OF_MEMORY, READONLY, TOO_LARGE};
use crate::command::rows::session::loading;
use crate::command::rows::{
    Blocked, Called, Command, Error, Flags, Replies, Scope, SessionCx, long,
};
use crate::resp::Args;

/// The reply to a read if the data may be older than allowed. Source: redis 7.0 server.c, `createSharedObjects`.
pub(super) const MASTERDOWN: Error =
    Error::Text("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.");

/// Answers one request by appending at most one reply. Ignores a request without words.
#[inline]
pub fn answer(cx: &mut SessionCx<'_>, args: Args<'_>) {
    if args.is_empty() || is_put_off(cx, args) {
        return;
    }
    let row = admit(cx, args);
    if cx.session.read_after.is_some() {
        return respond_after(cx, row, args);
    }
    respond(cx, row, args);
}

/// Answers a request of a connection whose reads wait for a point.
#[cold]
fn respond_after(cx: &mut SessionCx<'_>, row: Result<&'static Command, Error>, args: Args<'_>) {
    let row = match row {
        Ok(row) => after::hold_up(cx, row, args),
        refused => Some(refused),
    };
    if let Some(row) = row {
        respond(cx, row, args);
    }
}

/// Like [`answer`], for a row that the state of the connection admits. Whether a script may write is found out when it
/// is about to run.
pub(crate) fn answer_row(cx: &mut SessionCx<'_>, row: &'static Command, args: Args<'_>) {
    if !is_put_off(cx, args) {
        respond(cx, Ok(row), args);
    }
}

/// Returns whether the request is put off. A request that cannot be repeated must not run before its reply is certain
/// to have room.
#[inline]
fn is_put_off(cx: &mut SessionCx<'_>, args: Args<'_>) -> bool {
    let is_put_off = cx.reply.is_crowded() && !is_read_again(cx, args);
    cx.session.deferred |= is_put_off;
    is_put_off
}

#[inline]
fn respond(cx: &mut SessionCx<'_>, row: Result<&'static Command, Error>, args: Args<'_>) {
    let mark = cx.reply.len();
    let (before, db) = (cx.session.replies, cx.session.db);
    let kept = row.as_ref().ok().copied();
    let repeats = kept.is_some_and(|row| row.read.is_some()) && cx.session.transaction.is_none();
    let runs = kept.filter(|row| !is_queued(cx, row));
    match row.and_then(|row| perform(cx, row, args)) {
        moving if shards::is_moving(&moving) && is_put_off_for_shards(cx, mark, kept, args) => {}
        Err(Error::Waits(wait)) => {
            cx.session.blocked = runs.map(|row| Blocked {
                wait,
                silent: before != Replies::On,
                called: called(row, args),
                nanos: cx.session.timing.lap(),
            });
        }
        result => {
            let result = match (result, kept) {
                (result, Some(row)) if cx.cluster.is_some() && shards::is_moving(&result) => {
                    Err(shards::vain(cx, row, args))
                }
                (result, _) => result,
            };
            cx.session.shard_wait = None;
            let failed = result.is_err();
            if failed {
                cx.session.refused += u32::from(is_refusal(kept));
            }
            finish(cx, mark, result, repeats);
            if !cx.session.deferred {
                match runs {
                    Some(row) => {
                        account::ran(cx, called(row, args), args, Ran { failed, mark, db })
                    }
                    None if kept.is_none() => account::rejected(cx, args),
                    None => {}
                }
            }
        }
    }
    if cx.session.tracking.is_some() {
        end_caching(cx, kept, args);
    }
    if cx.session.deferred {
        cx.session.commands -= 1;
    } else if before != Replies::On {
        hold_back(cx, mark, before);
    }
}

/// Puts a request off whose keys' shard is not known, if it may wait longer. Nothing of its reply is kept.
#[cold]
fn is_put_off_for_shards(
    cx: &mut SessionCx<'_>,
    mark: usize,
    row: Option<&'static Command>,
    args: Args<'_>,
) -> bool {
    let Some(row) = row.filter(|row| shards::may_wait(row) && cx.reply.sent() <= mark) else {
        return false;
    };
    let is_put_off = shards::put_off(cx, called(row, args));
    if is_put_off {
        cx.reply.truncate(mark);
    }
    is_put_off
}

/// Ends what CLIENT CACHING was given for: the next command that is not CLIENT, or the next transaction. Source: redis 7.0
/// networking.c, `resetClient`.
#[cold]
fn end_caching(cx: &SessionCx<'_>, row: Option<&'static Command>, args: Args<'_>) {
    let is_client = row.is_some() && args.is(0, "client");
    if let Some(tracked) = &cx.session.tracking
        && !is_client
        && cx.session.transaction.is_none()
        && !cx.session.deferred
    {
        tracked.set_caching(false);
    }
}

/// Returns whether MULTI queues this command.
#[inline]
fn is_queued(cx: &SessionCx<'_>, row: &Command) -> bool {
    cx.session.transaction.is_some() && !transaction::runs_at_once(row)
}

/// Returns whether a request may be answered a second time, if its reply had no room the first time.
#[cold]
fn is_read_again(cx: &SessionCx<'_>, args: Args<'_>) -> bool {
    let row = resolve_for(args, cx.reply.dialect());
    cx.session.transaction.is_none() && row.is_ok_and(|row| row.read.is_some())
}

/// Returns whether an error means that the command is not available here, now or to this client: it is unknown,
/// writes, is something that redtail does not do, or had a wrong password. Asking again changes nothing. A read's own
/// errors, such as WRONGTYPE, and those of a script do not count.
#[cold]
fn is_refusal(row: Option<&Command>) -> bool {
    row.is_none_or(|row| row.read.is_none() && !row.flags.has(Flags::SCRIPT))
}

/// Completes a reply that was begun at `mark`: an error replaces what has been written, or what grew too large. If the
/// request can be repeated without harm (`repeats`) and its reply has no room beside those still to be written, it is
/// put off.
#[inline]
pub(crate) fn finish(
    cx: &mut SessionCx<'_>,
    mark: usize,
    result: Result<(), Error>,
    repeats: bool,
) {
    if let Err(error) = result {
        refuse(cx, mark, &error);
    }
    if cx.reply.overflowed() {
        if mark > 0 && cx.reply.sent() <= mark && (repeats || cx.session.deferred) {
            cx.reply.truncate(mark);
            cx.session.deferred = true;
        } else {
            overflow(cx, mark);
        }
    }
}

/// Checks a request in Redis's order. Source: redis 7.0 server.c, `processCommand`.
#[inline]
fn admit(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<&'static Command, Error> {
    let result = check(cx, args);
    if result.is_ok() {
        return result;
    }
    if let Some(transaction) = &mut cx.session.transaction {
        transaction.abort();
    }
    let Err(error) = result else {
        return result;
    };
    Err(discard_for(cx, args, error))
}

/// Discards the transaction if the command that fails with `error` is EXEC. Returns the error to reply with.
pub(super) fn discard_for(cx: &mut SessionCx<'_>, args: Args<'_>, error: Error) -> Error {
    if !args.is(0, "exec") {
        return error;
    }
    cx.session.transaction = None;
    cx.session.watching = None;
    let error = error.to_string();
    // Redis 7.0 server.c, `rejectCommandFormat`: formatted errors have no code at this point.
    let why = error.strip_prefix("ERR ").unwrap_or(&error);
    Error::Owned(format!("EXECABORT Transaction discarded because of: {why}"))
}

#[inline]
fn check(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<&'static Command, Error> {
    let dialect = cx.reply.dialect();
    if !cx.session.authenticated && dialect.asks_for_password_first() {
        check_open(lookup(args.at(0)))?;
    }
    let row = match resolve_for(args, dialect) {
        Ok(row) => row,
        Err(error) => unresolved(cx, args, error)?,
    };
    if !cx.session.authenticated {
        check_open(Some(row))?;
    }
    if let Some(rights) = cx.session.rights.clone() {
        permission::check(cx, &rights, row, args)?;
    }
    if cx.cluster.is_some() {
        shards::redirect(cx, row, args)?;
    }
    if row.is_write() || row.flags.has(Flags::SCRIPT) && scripting::writes(cx, row, args) {
        return Err(READONLY);
    }
    if cx.session.transaction.is_some() {
        transaction::check(row, args, dialect)?;
    }
    if cx.session.is_subscriber() {
        check_subscriber(cx, row, args)?;
    }
    if cx.generation.is_none() && !answered(cx, row, args, "loading") {
        return Err(loading(cx));
    }
    if cx.stale && !answered(cx, row, args, "stale") {
        return Err(MASTERDOWN);
    }
    Ok(row)
}

/// Returns the row of words that [`resolve_for`] refused with `error`, if they are refused only when they run.
#[cold]
fn unresolved(
    cx: &mut SessionCx<'_>,
    args: Args<'_>,
    error: Error,
) -> Result<&'static Command, Error> {
    if let Some(row) = transaction::found_when_run(cx, args) {
        return Ok(row);
    }
    if cx.session.authenticated {
        permission::check_unresolved(cx, args)?;
    }
    Err(error)
}

/// Returns whether a command is answered in a state in which the upstream answers only commands with `flag`. For EXEC,
/// all commands that it runs must have the flag. Source: redis 7.0 server.c, `processCommand`.
///
/// DIFFERENCE: scripts are refused as a whole. Since Redis 7.0 they start, and fail when they read.
#[cold]
fn answered(cx: &SessionCx<'_>, row: &Command, args: Args<'_>, flag: &str) -> bool {
    let dialect = cx.reply.dialect();
    let queued = cx
        .session
        .transaction
        .as_ref()
        .filter(|_| row.name == "exec");
    let has_flag = catalogue::flagged(args, row, dialect, flag);
    has_flag
        && !row.flags.has(Flags::SCRIPT)
        && queued.is_none_or(|queued| transaction::has_only(queued, flag, dialect))
}

/// Refuses what a client that speaks RESP2 may not do while it has a subscription: it could not tell a reply from a message.
/// Source: redis 7.0 server.c, `processCommand`.
#[cold]
fn check_subscriber(
    cx: &SessionCx<'_>,
    row: &'static Command,
    args: Args<'_>,
) -> Result<(), Error> {
    let dialect = cx.reply.dialect();
    let Called { container, row } = called(row, args);
    let is_allowed = container.is_none() && SUBSCRIBERS_COMMANDS.contains(&row.name);
    if is_allowed || cx.reply.is_resp3() {
        return Ok(());
    }
    let name = match container {
        Some(container) if dialect.has_subcommand_rows() => format!("{container}|{}", row.name),
        Some(container) => container.to_owned(),
        None => row.name.to_owned(),
    };
    let allowed = dialect.subscribers_commands();
    Err(Error::Owned(format!(
        "ERR Can't execute '{name}': only {allowed} are allowed in this context"
    )))
}

const SUBSCRIBERS_COMMANDS: [&str; 9] = [
    "ping",
    "subscribe",
    "unsubscribe",
    "psubscribe",
    "punsubscribe",
    "ssubscribe",
    "sunsubscribe",
    "quit",
    "reset",
];

/// Refuses commands that are not allowed before AUTH.
#[cold]
fn check_open(row: Option<&Command>) -> Result<(), Error> {
    if row.is_some_and(|row| row.flags.has(Flags::NO_AUTH)) {
        Ok(())
    } else {
        Err(Error::Text("NOAUTH Authentication required."))
    }
}

/// Runs an admitted command, or queues it inside MULTI.
#[inline]
fn perform(cx: &mut SessionCx<'_>, row: &'static Command, args: Args<'_>) -> Result<(), Error> {
    cx.session.commands += 1;
    if is_queued(cx, row) {
        return transaction::queue(cx, row, args);
    }
    let called = called(row, args);
    cx.session.last = (called.container, row.name);
    account::script_starts(cx, called, args);
    run(cx, row, args)
}

/// Returns the row with the container that the words name.
#[inline]
pub(crate) fn called(row: &'static Command, args: Args<'_>) -> Called {
    let container = if args.at(0).eq_ignore_ascii_case(row.name.as_bytes()) {
        None
    } else {
        lookup(args.at(0)).map(|container| container.name)
    };
    Called {
        container: container.filter(|name| *name != row.name),
        row,
    }
}

/// Runs an admitted command now.
///
/// # Errors
/// The error reply. Part of the reply may already be written.
#[inline]
pub fn run(cx: &mut SessionCx<'_>, row: &'static Command, args: Args<'_>) -> Result<(), Error> {
    match cx.cluster {
        None => run_here(cx, row, args),
        Some(cluster) => shards::run(cx, cluster, row, args),
    }
}

/// Runs a command on the data that the context names.
///
/// # Errors
/// Like [`run`].
#[inline]
pub(super) fn run_here(
    cx: &mut SessionCx<'_>,
    row: &'static Command,
    args: Args<'_>,
) -> Result<(), Error> {
    let Some(handler) = row.read else {
        return match row.session {
            Some(handler) => handler(cx, args),
            None => Err(Error::Text("ERR not supported by this replica")),
        };
    };
    let generation = cx.generation.ok_or_else(|| loading(cx))?;
    if cx.session.tracking.is_some() {
        tracked::note_read(cx, row, args);
    }
    let place = ReadCx {
        spaces: &generation.spaces,
        db: cx.session.db,
        now_ms: cx.session.clock,
        touches: cx.session.touches,
        tally: Some(&cx.session.tally),
    };
    let reply = &mut *cx.reply;
    let mut work = || read_at(place, handler, row, args, reply);
    let is_short = row.locks(args) == Scope::Keys;
    if is_short && !generation.spaces.keeps_waiting() {
        work()
    } else {
        long(work)
    }
}

#[cold]
fn refuse(cx: &mut SessionCx<'_>, mark: usize, error: &Error) {
    if cx.reply.sent() > mark {
        // Its first byte was already sent to find out whether the peer is still there: no other reply can take its
        // place.
        cx.reply.truncate(cx.reply.sent());
        cx.session.closing = true;
    } else {
        cx.reply.truncate(mark);
        cx.reply.error(error.text());
    }
    account::error(cx, error);
}

/// Replaces a reply that cannot be held by an error. If the reply is larger than any reply to this client may be, this
/// ends the connection, after the client has received the earlier replies whole. If it only has no room beside those
/// of other clients, the connection stays open.
#[cold]
fn overflow(cx: &mut SessionCx<'_>, mark: usize) {
    if cx.reply.is_deserted() {
        cx.reply.truncate(mark);
        cx.session.closing = true;
        return;
    }
    if cx.reply.was_refused() {
        let bytes = cx.session.client.account.held();
        refuse(cx, mark, &OUT_OF_MEMORY);
        return cx.host.relieve(bytes);
    }
    refuse(cx, mark, &TOO_LARGE);
    cx.session.closing = true;
    cx.host
        .statistics()
        .reply_limit_closes
        .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
}

/// Removes a reply that CLIENT REPLY suppresses.
#[cold]
fn hold_back(cx: &mut SessionCx<'_>, mark: usize, before: Replies) {
    let turned_on = before == Replies::Off && cx.session.replies == Replies::On;
    let kept = std::mem::take(&mut cx.session.kept).max(mark);
    if !turned_on && kept < cx.reply.len() {
        cx.session.closing |= cx.reply.sent() > kept;
        cx.reply.truncate(kept);
    }
    if before == Replies::SkipNext && cx.session.replies == Replies::SkipNext {
        cx.session.replies = Replies::On;
    }
}

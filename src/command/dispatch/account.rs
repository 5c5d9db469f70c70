//! What is counted, logged and shown of a command once it has run.

use super::answer::called;
use super::catalogue::flagged;
use super::registry::lookup;
use super::resolve::resolve_for;
use crate::command::rows::logs::{Log, shortened};
use crate::command::rows::monitor::{From, Shown};
use crate::command::rows::{Called, Command, Error, Flags, SessionCx, Statistics};
use crate::dialect::Dialect;
use crate::resp::Args;

/// Bytes of a reply from which its read is timed by itself, even in a group: copying them takes longer than many readings of the
/// clock.
pub(crate) const LARGE_REPLY_BYTES: usize = 16 << 10;

/// A slow-log threshold below this, in microseconds, times each read of a group by itself. A group of quick reads takes less.
const GROUP_MICROS: i64 = 1000;

/// How a command ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ran {
    /// Whether its reply is an error.
    pub(crate) failed: bool,
    /// Where its reply begins.
    pub(crate) mark: usize,
    /// The database that was selected before it.
    pub(crate) db: usize,
}

/// Accounts for a command that ran by itself.
#[inline]
pub(crate) fn ran(cx: &mut SessionCx<'_>, called: Called, args: Args<'_>, ran: Ran) {
    let statistics = cx.host.statistics();
    cx.session.timing.note(called, ran.failed, statistics);
    let nanos = cx.session.timing.mark(statistics);
    if cx.session.sampler.takes() {
        sample(cx, called, args);
    }
    // A script is shown before what it calls.
    if statistics.monitors.any() && !called.row.flags.has(Flags::SCRIPT) {
        let shows_new = cx.reply.dialect().shows_commands_that_ran();
        let db = if shows_new { cx.session.db } else { ran.db };
        show(
            cx,
            called,
            args,
            Shown {
                db,
                from: From::Client(&cx.session.client),
            },
        );
    }
    let reply_bytes = cx.reply.len().saturating_sub(ran.mark);
    if is_logged(statistics, nanos, args, reply_bytes) {
        log(cx, called, args, nanos, reply_bytes);
    }
}

/// Accounts for a command that a script called.
#[inline]
pub fn ran_in_script(cx: &mut SessionCx<'_>, row: &'static Command, args: Args<'_>, failed: bool) {
    let statistics = cx.host.statistics();
    let called = called(row, args);
    cx.session.timing.note(called, failed, statistics);
    if statistics.monitors.any() {
        show(
            cx,
            called,
            args,
            Shown {
                db: cx.session.db,
                from: From::Script,
            },
        );
    }
}

/// Accounts for a quick read that was answered in a group: its time is counted with that of the group.
#[inline]
pub(crate) fn ran_in_group(
    cx: &mut SessionCx<'_>,
    called: Called,
    args: Args<'_>,
    failed: bool,
    statistics: &Statistics,
) {
    cx.session.timing.note(called, failed, statistics);
    if cx.session.sampler.takes() {
        sample(cx, called, args);
    }
}

/// Returns whether each read of a group is timed by itself.
#[inline]
pub(crate) fn times_each(statistics: &Statistics) -> bool {
    let threshold = &statistics.logs.slow.threshold;
    let threshold = threshold.load(std::sync::atomic::Ordering::Relaxed);
    statistics.monitors.any() || (0..GROUP_MICROS).contains(&threshold)
}

/// Counts a request that was refused before it ran, if it names a command.
#[cold]
pub(crate) fn rejected(cx: &SessionCx<'_>, args: Args<'_>) {
    let dialect = cx.reply.dialect();
    let calls = &cx.host.statistics().calls;
    let container = || lookup(args.at(0)).filter(|row| dialect.has(row.presence));
    match resolve_for(args, dialect) {
        Ok(row) => calls.reject(called(row, args)),
        Err(_) => match container() {
            // The command itself looks for its subcommand: it ran, and failed.
            Some(row) if finds_subcommand(row, args, dialect) => {
                calls.waited(called(row, args), 0, true);
            }
            Some(row) => wanted(row, args)
                .into_iter()
                .for_each(|row| calls.reject(row)),
            None => {}
        },
    }
}

/// Returns the command that the words name, even if there are too few or too many of them; `None` if the subcommand is unknown.
fn wanted(row: &'static Command, args: Args<'_>) -> Option<Called> {
    if row.subcommands.is_empty() || args.len() < 2 {
        return Some(Called {
            container: None,
            row,
        });
    }
    let mut subcommands = row.subcommands.iter();
    let found = subcommands.find(|subcommand| args.is(1, subcommand.name));
    found.map(|found| Called {
        container: Some(row.name),
        row: found,
    })
}

/// Returns whether the command itself looks for its subcommand: before Redis 7.0, if there is a second word.
fn finds_subcommand(row: &Command, args: Args<'_>, dialect: Dialect) -> bool {
    !row.subcommands.is_empty() && !dialect.has_subcommand_rows() && args.len() > 1
}

/// Shows a script to the clients that watch, before it runs. Source: redis 7.0 eval.c, `evalGenericCommand`.
#[inline]
pub(crate) fn script_starts(cx: &SessionCx<'_>, called: Called, args: Args<'_>) {
    if called.row.flags.has(Flags::SCRIPT) && cx.host.statistics().monitors.any() {
        let from = From::Client(&cx.session.client);
        show(
            cx,
            called,
            args,
            Shown {
                db: cx.session.db,
                from,
            },
        );
    }
}

/// Counts an error reply.
#[cold]
pub(crate) fn error(cx: &SessionCx<'_>, error: &Error) {
    let statistics = cx.host.statistics();
    let counter = &statistics.errors;
    counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    statistics.error_codes.count(&error.text());
}

#[cold]
fn sample(cx: &SessionCx<'_>, called: Called, args: Args<'_>) {
    let row = called.row;
    if row.read.is_none() {
        return;
    }
    let mut keys = 0_u32;
    row.keys.visit(args, |_| keys += 1);
    let Some(chosen) = (keys > 0).then(|| fastrand::u32(..keys)) else {
        return;
    };
    let mut at = 0;
    row.keys.visit(args, |index| {
        if at == chosen {
            let asked = &cx.host.statistics().asked;
            asked.count(cx.session.db, args.at(index));
        }
        at += 1;
    });
}

/// Shows a command to the clients that watch, unless it is one for administrators. Source: redis 7.0 server.c, `call`, and
/// multi.c, `execCommand`.
#[cold]
fn show(cx: &SessionCx<'_>, called: Called, args: Args<'_>, shown: Shown<'_>) {
    let row = called.row;
    let dialect = cx.reply.dialect();
    let is = |flag| flagged(args, row, dialect, flag);
    // EXEC and scripts have the flag because servers show them at another moment.
    let is_shown_apart = row.name == "exec" || row.flags.has(Flags::SCRIPT);
    let is_hidden = is("admin") || is("skip_monitor") && !is_shown_apart;
    if !is_hidden {
        let monitors = &cx.host.statistics().monitors;
        monitors.show(shown, args, |at| is_secret(called, args, at));
    }
}

/// Returns whether a command belongs in one of the logs.
#[inline]
fn is_logged(statistics: &Statistics, nanos: u64, args: Args<'_>, reply_bytes: usize) -> bool {
    let logs = &statistics.logs;
    logs.slow.takes(nanos / 1000)
        || statistics.latency_events.takes(nanos)
        || logs.large_replies.takes(reply_bytes as u64)
        || logs.large_requests.takes(args.request_bytes() as u64)
}

#[cold]
fn log(cx: &SessionCx<'_>, called: Called, args: Args<'_>, nanos: u64, reply_bytes: usize) {
    let statistics = cx.host.statistics();
    let dialect = cx.reply.dialect();
    let logs = &statistics.logs;
    if statistics.latency_events.takes(nanos) {
        let is_fast = called.row.flags.has(Flags::FAST);
        let event = if is_fast { "fast-command" } else { "command" };
        statistics.latency_events.add(event, nanos);
    }
    if is_kept_out(called, args, dialect) {
        return;
    }
    let add = |log: &Log, value: u64| {
        if log.takes(value) {
            let words = shortened(args, |at| is_secret(called, args, at));
            log.add(value, words, &cx.session.client);
        }
    };
    add(&logs.slow, nanos / 1000);
    add(&logs.large_replies, reply_bytes as u64);
    add(&logs.large_requests, args.request_bytes() as u64);
}

fn is_kept_out(called: Called, args: Args<'_>, dialect: Dialect) -> bool {
    // Valkey's name for it, and Redis's.
    let flags = ["skip_commandlog", "skip_slowlog"];
    flags
        .iter()
        .any(|flag| flagged(args, called.row, dialect, flag))
}

/// Returns whether a word must not be shown. Source: `redactClientCommandArgument` in acl.c, config.c and networking.c of redis
/// 7.0.
fn is_secret(called: Called, args: Args<'_>, at: usize) -> bool {
    let after = |word: &str, from: usize, count: usize| {
        (from..args.len())
            .any(|start| args.is(start, word) && (start + 1..=start + count).contains(&at))
    };
    match (called.container, called.row.name) {
        (_, "auth") => at > 0,
        (_, "hello") => after("auth", 1, 2),
        (Some("acl"), "setuser") => at > 1,
        (Some("config"), "set") => {
            let secrets = [
                "requirepass",
                "masterauth",
                "masteruser",
                "tls-key-file-pass",
                "tls-client-key-file-pass",
            ];
            secrets.iter().any(|name| after(name, 2, 1))
        }
        _ => false,
    }
}

//! Requests that wait for a point before they read: see REDTAIL.READAFTER.

use super::answer::{called, discard_for};
use crate::command::rows::session::reach;
use crate::command::rows::wait::{deadline, vain_wait};
use crate::command::rows::{Awaited, Blocked, Command, Error, Flags, SessionCx, Wait};
use crate::history::Reach;
use crate::resp::Args;

/// Whether a request reads data.
fn reads(cx: &SessionCx<'_>, row: &Command, args: Args<'_>) -> bool {
    if cx.session.transaction.is_some() {
        return row.name == "exec";
    }
    row.read.is_some()
        || row.flags.has(Flags::SCRIPT)
        || matches!(row.name, "watch" | "debug")
        || args.is(0, "function")
}

/// Returns the row if the request may be answered now: if readers see everything up to the connection's point, or if it reads
/// nothing. Returns `None` if it is put off until they do.
#[cold]
pub(super) fn hold_up(
    cx: &mut SessionCx<'_>,
    row: &'static Command,
    args: Args<'_>,
) -> Option<Result<&'static Command, Error>> {
    let Some(after) = &mut cx.session.read_after else {
        return Some(Ok(row));
    };
    let (point, timeout_ms) = (after.point, after.timeout_ms);
    if let Some(error) = after.failed.take() {
        return Some(Err(discard_for(cx, args, error)));
    }
    let Some(generation) = cx.generation.filter(|_| reads(cx, row, args)) else {
        return Some(Ok(row));
    };
    match reach(cx, generation, point) {
        Reach::Reached(_) => {
            remember(cx);
            Some(Ok(row))
        }
        Reach::NotYet(_) => {
            cx.session.deferred = true;
            cx.session.blocked = Some(Blocked {
                wait: Box::new(Wait {
                    awaited: Awaited::PointToRead(point),
                    deadline: deadline(timeout_ms),
                }),
                silent: false,
                called: called(row, args),
                nanos: 0,
            });
            None
        }
        reach => Some(match vain_wait(reach, point) {
            Some(error) => Err(discard_for(cx, args, error)),
            None => Ok(row),
        }),
    }
}

/// Remembers that the generation that this batch reads has everything up to the point, so that its reads are fast again.
fn remember(cx: &mut SessionCx<'_>) {
    let current = cx.host.served().current();
    let same = |current: &std::sync::Arc<_>| {
        cx.generation
            .is_some_and(|generation| std::ptr::eq(&raw const **current, generation))
    };
    if let (Some(current), Some(after)) = (current.filter(same), &mut cx.session.read_after) {
        after.note_reached(&current);
    }
}

//! Reads of clients that track: see [`Tracking`](crate::command::rows::tracking::Tracking).

use smallvec::SmallVec;

use crate::command::rows::queue::Queued;
use crate::command::rows::{Command, SessionCx};
use crate::resp::Args;

/// Notes a read before it takes place.
#[cold]
pub fn note_read(cx: &SessionCx<'_>, row: &Command, args: Args<'_>) {
    note(cx, row, args, false);
}

/// Notes the reads of a transaction, before its locks are taken: some of them may be answered from copies.
#[cold]
pub(super) fn note_transaction(cx: &SessionCx<'_>, queued: &[Queued]) {
    let may_opt_in = queued.iter().any(|(row, _)| row.name == "caching");
    for (row, args) in queued.iter().filter(|(row, _)| row.read.is_some()) {
        note(cx, row, args.as_args(), may_opt_in);
    }
}

fn note(cx: &SessionCx<'_>, row: &Command, args: Args<'_>, may_opt_in: bool) {
    if let Some(tracked) = &cx.session.tracking {
        let mut keys: SmallVec<[&[u8]; 8]> = SmallVec::new();
        row.keys.visit(args, |index| keys.push(args.at(index)));
        if !keys.is_empty() {
            tracked.note_read(cx.host, cx.generation, keys.into_iter(), may_opt_in);
        }
    }
}

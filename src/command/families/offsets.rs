//! Reads of a client's own writes: waiting until redtail has applied a point of the primary's history.
//!
//! A client that has written to the primary asks it for `master_replid` and `master_repl_offset` (INFO replication), and passes
//! both on. REDTAIL.WAITOFFSET waits once. REDTAIL.READAFTER makes every later read of the connection wait.
//!
//! A point stays valid through a failover, as far as both histories share it: up to the offset at which redtail itself
//! continued under the new id. After that offset, and under an id that redtail does not know, the answer is an error at
//! once: waiting would promise a write that may be lost.

use crate::command::rows::parse::integer;
use crate::command::rows::session::reach;
use crate::command::rows::wait::{ReadAfter, deadline, vain_wait};
use crate::command::rows::{Arity, Awaited, Command, Error, Family, Flags, Keys, SessionCx, Wait};
use crate::history::{Point, Reach};
use crate::resp::Args;

/// This file's rows.
pub(crate) const FAMILY: Family = Family {
    group: "redtail",
    commands: &[
        Command::new("redtail.waitoffset", Arity::exactly(4), Keys::None)
            .session(wait_offset)
            .flags(Flags::NOSCRIPT.and(Flags::BLOCKING))
            .about("1.0.0", "Waits until a point of the primary's history is applied.")
            .difference(
                "redtail's own: `REDTAIL.WAITOFFSET replid offset milliseconds` returns the applied offset once reads see \
                 everything up to that point. 0 milliseconds wait for ever. If the time is up, and in a transaction at once, the \
                 reply is the error BEHIND. If the id is unknown, or the offset is after a failover, it is NOHISTORY.",
            ),
        Command::new("redtail.readafter", Arity::at_least(2), Keys::None)
            .session(read_after)
            .flags(Flags::NOSCRIPT)
            .about("1.0.0", "Makes the connection's reads wait for a point of the primary's history.")
            .difference(
                "redtail's own: after `REDTAIL.READAFTER replid offset milliseconds`, each read, script and EXEC of the \
                 connection waits for the point first, and answers BEHIND or NOHISTORY if it cannot be reached. \
                 `REDTAIL.READAFTER OFF` and RESET end this.",
            ),
    ],
};

/// The point and the milliseconds in a request's words.
fn parse(args: Args<'_>) -> Result<(Point, u64), Error> {
    let replid = std::str::from_utf8(args.at(1)).ok();
    let replid = replid.and_then(|text| text.parse().ok());
    let replid = replid.ok_or(Error::Text("ERR a replication id is 40 letters and digits"))?;
    let offset = u64::try_from(integer(args.at(2))?);
    let offset = offset.map_err(|_| Error::Text("ERR the offset is negative"))?;
    let timeout = integer(args.at(3))
        .map_err(|_| Error::Text("ERR timeout is not an integer or out of range"))?;
    let timeout = u64::try_from(timeout).map_err(|_| Error::Text("ERR timeout is negative"))?;
    Ok((Point { replid, offset }, timeout))
}

fn wait_offset(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    let (point, timeout_ms) = parse(args)?;
    let Some(generation) = cx.generation else {
        return Err(crate::command::rows::session::loading(cx));
    };
    let reach = reach(cx, generation, point);
    let in_exec = cx.session.clock.is_some();
    match reach {
        Reach::Reached(applied) => {
            cx.reply.integer(i64::try_from(applied).unwrap_or(i64::MAX));
            Ok(())
        }
        Reach::NotYet(_) if !in_exec => Err(Error::Waits(Box::new(Wait {
            awaited: Awaited::Point(point),
            deadline: deadline(timeout_ms),
        }))),
        // Inside a transaction nothing waits.
        reach => vain_wait(reach, point).map_or(Ok(()), Err),
    }
}

fn read_after(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    cx.session.read_after = match args.len() {
        2 if args.is(1, "off") => None,
        4 => {
            let (point, timeout_ms) = parse(args)?;
            Some(Box::new(ReadAfter::new(point, timeout_ms)))
        }
        _ => return Err(Error::Syntax),
    };
    cx.reply.ok();
    Ok(())
}

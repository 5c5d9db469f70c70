//! MONITOR.

use super::ADMIN;
use crate::command::rows::{Arity, Command, Error, Flags, Keys, SessionCx};
use crate::resp::Args;

pub(super) const MONITOR: Command = Command::new("monitor", Arity::exactly(1), Keys::None)
    .session(monitor)
    .flags(ADMIN.and(Flags::NOSCRIPT))
    .about("1.0.0", "Shows the commands of all clients as they run.")
    .difference(
        "Shows what clients ask redtail, not what the primary sends. A client that does not read for a mebibyte of lines is disconnected.",
    );

/// Source: redis 7.0 replication.c, `monitorCommand`.
fn monitor(cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    let inbox = cx.inbox();
    let watched = std::mem::replace(&mut cx.session.client.shown().monitors, true);
    if !watched {
        cx.host.statistics().monitors.add(&inbox);
    }
    cx.reply.ok();
    Ok(())
}

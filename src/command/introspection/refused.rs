//! Commands that a client may ask for and that redtail does not do: each is answered with the reason.
//!
//! They are not in COMMAND's sense commands of this server, but a clear reason helps more than "unknown command".

use super::super::Error;
use super::super::keys::Keys;
use super::super::session::SessionCx;
use super::super::table::{Arity, Command, Family, Flags};
use super::ALWAYS;
use crate::dialect;
use crate::resp::Args;

const FIXED: &str = "ERR not supported: redtail follows the primary that it was started with";
const PROCESS: &str = "ERR not supported: end redtail with a signal";
const DISK: &str = "ERR not supported: redtail keeps nothing on disk";
const CHAIN: &str = "ERR not supported: redtail has no replicas of its own";
const PUBSUB: &str = "ERR not supported: redtail carries no messages; subscribe at the primary";
const SCRIPTS: &str = "ERR not supported: this version of redtail runs no scripts";
const CLUSTER: &str = "ERR This instance has cluster support disabled";
const DEBUGGING: &str = "ERR not supported by redtail";

/// Name, since when it exists, why it is refused.
const REASONS: &[(&str, &str, &str)] = &[
    ("replicaof", "5.0.0", FIXED),
    ("slaveof", "1.0.0", FIXED),
    (
        "failover",
        "6.2.0",
        "ERR FAILOVER is not valid when server is a replica.",
    ),
    ("shutdown", "1.0.0", PROCESS),
    ("save", "1.0.0", DISK),
    ("bgsave", "1.0.0", DISK),
    ("bgrewriteaof", "1.0.0", DISK),
    ("psync", "2.8.0", CHAIN),
    ("sync", "1.0.0", CHAIN),
    (
        "wait",
        "3.0.0",
        "ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if a replica is configured to be \
         writable (which is not the default) writes to replicas are just local and are not propagated.",
    ),
    (
        "waitaof",
        "7.2.0",
        "ERR WAITAOF cannot be used with replica instances. Please also note that writes to replicas are just local and are not \
         propagated.",
    ),
    ("subscribe", "2.0.0", PUBSUB),
    ("unsubscribe", "2.0.0", PUBSUB),
    ("psubscribe", "2.0.0", PUBSUB),
    ("punsubscribe", "2.0.0", PUBSUB),
    ("ssubscribe", "7.0.0", PUBSUB),
    ("sunsubscribe", "7.0.0", PUBSUB),
    ("pubsub", "2.8.0", PUBSUB),
    ("eval", "2.6.0", SCRIPTS),
    ("evalsha", "2.6.0", SCRIPTS),
    ("eval_ro", "7.0.0", SCRIPTS),
    ("evalsha_ro", "7.0.0", SCRIPTS),
    ("fcall", "7.0.0", SCRIPTS),
    ("fcall_ro", "7.0.0", SCRIPTS),
    ("cluster", "3.0.0", CLUSTER),
    ("asking", "3.0.0", CLUSTER),
    ("readonly", "3.0.0", CLUSTER),
    ("readwrite", "3.0.0", CLUSTER),
    ("monitor", "1.0.0", DEBUGGING),
];

const COUNT: usize = REASONS.len();

/// The rows, one for each reason.
#[expect(clippy::indexing_slicing, reason = "evaluated while compiling")]
const ROWS: &[Command] = &{
    let mut rows = [row(0); COUNT];
    let mut index = 0;
    while index < COUNT {
        rows[index] = row(index);
        index += 1;
    }
    rows
};

#[expect(clippy::indexing_slicing, reason = "evaluated while compiling")]
const fn row(index: usize) -> Command {
    let (name, since, _) = REASONS[index];
    Command::new(name, Arity::at_least(1), Keys::None)
        .session(refuse)
        .flags(ALWAYS.and(Flags::NO_MULTI))
        .about(since, "Refused, with the reason.")
}

/// This file's rows.
pub(in super::super) const FAMILY: Family = Family {
    group: "refused",
    commands: ROWS,
};

fn refuse(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    let valkey_9 = {
        let dialect = cx.reply.dialect();
        dialect.family == dialect::Family::Valkey && dialect.version.0 >= 9
    };
    if valkey_9 && (args.is(0, "readonly") || args.is(0, "readwrite")) {
        cx.reply.ok();
        return Ok(());
    }
    let reason = REASONS.iter().find(|(name, ..)| args.is(0, name));
    Err(Error::Text(
        reason.map_or(DEBUGGING, |(_, _, reason)| reason),
    ))
}

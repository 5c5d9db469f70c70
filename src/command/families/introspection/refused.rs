//! Commands that a client may send but that redtail does not do: the reply to each is the reason.
//!
//! Some reasons are those of any replica; the others say what redtail does not have.

use super::ALWAYS;
use crate::command::families::cluster::FLUSHSLOT;
use crate::command::families::cluster_face;
use crate::command::rows::{Arity, Command, Error, Face, Family, Flags, Keys, SessionCx};
use crate::resp::Args;

const FIXED: &str = "ERR not supported: redtail follows the primary that it was started with";
const PROCESS: &str = "ERR not supported: end redtail with a signal";
const DISK: &str = "ERR not supported: redtail does not save on command (see --state-dir)";
const CHAIN: &str = "ERR not supported: redtail has no replicas of its own";
pub(crate) const MODULES: &str = "ERR not supported: redtail loads no modules";
const CLUSTER_FIXED: &str =
    "ERR not supported: redtail shows the cluster that it follows, and changes nothing there";
const CLUSTER: &str = "ERR This instance has cluster support disabled";
pub(crate) const HOT_KEYS: &str =
    "ERR not supported: redtail does not count how often keys are used; ask the primary";
pub(crate) const BACKUP: &str =
    "ERR not supported: redtail has no append-only file; back up the primary";
pub(crate) const FIELD_SETS: &str =
    "ERR not supported: redtail creates no hashes; prepare sets of fields at the primary";
const DEBUGGING: &str = "ERR not supported by redtail";
const FAILOVER: &str = "ERR FAILOVER is not valid when server is a replica.";
const WAIT_REDIS: &str = "ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if a replica is configured to be \
     writable (which is not the default) writes to replicas are just local and are not propagated.";
const WAIT: &str = "ERR WAIT cannot be used with replica instances. Please also note that if a replica is configured to be writable (which \
     is not the default) writes to replicas are just local and are not propagated.";
const WAITAOF: &str = "ERR WAITAOF cannot be used with replica instances. Please also note that writes to replicas are just local and are not \
     propagated.";

/// Name, number of words as COMMAND counts them, and first version.
type Named = (&'static str, i32, &'static str);

/// Why commands are refused, by their names.
const REASONS: &[(&[&str], &str)] = &[
    (&["replicaof", "slaveof"], FIXED),
    (&["shutdown"], PROCESS),
    (&["save", "bgsave", "bgrewriteaof"], DISK),
    (&["psync", "sync", "replconf"], CHAIN),
    (&["failover"], FAILOVER),
    (&["wait"], WAIT),
    (&["waitaof"], WAITAOF),
    (&["module"], MODULES),
    (&["hotkeys"], HOT_KEYS),
    (&["backup"], BACKUP),
    (&["himport"], FIELD_SETS),
    (
        &["cluster", "clusterscan", "asking", "readonly", "readwrite"],
        CLUSTER,
    ),
];

/// The refused commands without subcommands.
const PLAIN: [Named; 15] = [
    ("replicaof", 3, "5.0.0"),
    ("slaveof", 3, "1.0.0"),
    ("failover", -1, "6.2.0"),
    ("shutdown", -1, "1.0.0"),
    ("save", 1, "1.0.0"),
    ("bgsave", -1, "1.0.0"),
    ("bgrewriteaof", 1, "1.0.0"),
    ("psync", -3, "2.8.0"),
    ("sync", 1, "1.0.0"),
    ("replconf", -1, "3.0.0"),
    ("wait", 3, "3.0.0"),
    ("waitaof", 4, "7.2.0"),
    ("asking", 1, "3.0.0"),
    ("readonly", 1, "3.0.0"),
    ("readwrite", 1, "3.0.0"),
];

/// CLUSTER's subcommands that all servers have.
const CLUSTER_COMMON: [Named; 28] = [
    ("addslots", -3, "3.0.0"),
    ("addslotsrange", -4, "7.0.0"),
    ("bumpepoch", 2, "3.0.0"),
    ("count-failure-reports", 3, "3.0.0"),
    ("countkeysinslot", 3, "3.0.0"),
    ("delslots", -3, "3.0.0"),
    ("delslotsrange", -4, "7.0.0"),
    ("failover", -2, "3.0.0"),
    ("flushslots", 2, "3.0.0"),
    ("forget", 3, "3.0.0"),
    ("getkeysinslot", 4, "3.0.0"),
    ("help", 2, "5.0.0"),
    ("info", 2, "3.0.0"),
    ("keyslot", 3, "3.0.0"),
    ("links", 2, "7.0.0"),
    ("meet", -4, "3.0.0"),
    ("myid", 2, "3.0.0"),
    ("myshardid", 2, "7.2.0"),
    ("nodes", 2, "3.0.0"),
    ("replicas", 3, "5.0.0"),
    ("replicate", -3, "3.0.0"),
    ("reset", -2, "3.0.0"),
    ("saveconfig", 2, "3.0.0"),
    ("set-config-epoch", 3, "3.0.0"),
    ("setslot", -4, "3.0.0"),
    ("shards", 2, "7.0.0"),
    ("slaves", 3, "3.0.0"),
    ("slots", 2, "3.0.0"),
];

/// CLUSTER's subcommands that only Valkey has.
const CLUSTER_VALKEY: [Named; 3] = [
    ("cancelslotmigrations", 2, "9.0.0"),
    ("getslotmigrations", 2, "9.0.0"),
    ("migrateslots", -4, "9.0.0"),
];

/// CLUSTER's subcommands that Redis took over from Valkey, and those for its migration of slots.
const CLUSTER_BOTH: [Command; 3] = [
    refused(("migration", -4, "8.4.0")),
    refused(("slot-stats", -4, "8.2.0")).valkey("8.0.0"),
    refused(("syncslots", -3, "8.4.0")).valkey("9.0.0"),
];

/// Returns a row for each of `names`.
#[expect(clippy::indexing_slicing, reason = "evaluated while compiling")]
const fn rows<const N: usize>(names: [Named; N], since_valkey: bool) -> [Command; N] {
    let mut rows = [Command::new("", Arity::exactly(1), Keys::None); N];
    let mut index = 0;
    while index < N {
        let row = refused(names[index]);
        rows[index] = if since_valkey { row.valkey_only() } else { row };
        index += 1;
    }
    rows
}

/// Returns the row of a command that is refused with the reason listed for its name, or for its container's.
pub(crate) const fn refused((name, words, since): Named) -> Command {
    let arity = if words < 0 {
        Arity::at_least(-words)
    } else {
        Arity::exactly(words)
    };
    Command::new(name, arity, Keys::None)
        .session(refuse)
        .flags(flags(name))
        .about(since, "Refused, with the reason.")
        .difference(own_reason(name))
}

/// Marks what no transaction accepts on a real replica either. Source: COMMAND of redis 7.0.
const fn flags(name: &str) -> Flags {
    match name.as_bytes() {
        b"psync" | b"save" | b"shutdown" | b"sync" => ALWAYS.and(Flags::NO_MULTI),
        _ => ALWAYS,
    }
}

/// Returns the reason for a command's name if it is redtail's own, or nothing if a replica says the same.
#[expect(clippy::indexing_slicing, reason = "evaluated while compiling")]
const fn own_reason(name: &str) -> &'static str {
    let mut reason = 0;
    while reason < REASONS.len() {
        let (names, text) = REASONS[reason];
        let mut index = 0;
        while index < names.len() {
            if is_same(names[index].as_bytes(), name.as_bytes()) {
                return if is_own(text.as_bytes()) { text } else { "" };
            }
            index += 1;
        }
        reason += 1;
    }
    ""
}

/// How redtail's own reasons start.
const OWN: &[u8] = b"ERR not supported";

const fn is_own(text: &[u8]) -> bool {
    match text.split_at_checked(OWN.len()) {
        Some((start, _)) => is_same(start, OWN),
        None => false,
    }
}

#[expect(clippy::indexing_slicing, reason = "evaluated while compiling")]
const fn is_same(a: &[u8], b: &[u8]) -> bool {
    let mut index = 0;
    while index < a.len() && index < b.len() && a[index] == b[index] {
        index += 1;
    }
    index == a.len() && index == b.len()
}

/// Joins two lists.
#[expect(clippy::indexing_slicing, reason = "evaluated while compiling")]
const fn joined<const A: usize, const B: usize, const N: usize>(
    first: [Command; A],
    second: [Command; B],
) -> [Command; N] {
    let mut rows = [Command::new("", Arity::exactly(1), Keys::None); N];
    let mut index = 0;
    while index < N {
        rows[index] = if index < A {
            first[index]
        } else {
            second[index - A]
        };
        index += 1;
    }
    rows
}

const CLUSTER_ROWS: &[Command] = &joined::<28, 7, 35>(
    rows(CLUSTER_COMMON, false),
    joined::<4, 3, 7>(
        joined(rows(CLUSTER_VALKEY, true), [FLUSHSLOT]),
        CLUSTER_BOTH,
    ),
);

/// The CLUSTER container and CLUSTERSCAN.
const OTHERS: [Command; 2] = [
    Command::container("cluster", CLUSTER_ROWS).about("3.0.0", "Refused: this is not a cluster."),
    refused(("clusterscan", -2, "9.1.0"))
        .valkey_only()
        .difference("Answered where redtail follows a cluster, whichever face it shows; a cursor of a server of the cluster is good here, too."),
];

/// This file's rows.
pub(crate) const FAMILY: Family = Family {
    group: "refused",
    commands: &joined::<15, 2, 17>(rows(PLAIN, false), OTHERS),
};

pub(crate) fn refuse(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    let words = ["cluster", "readonly", "readwrite", "asking"];
    let shown = cx
        .cluster
        .filter(|cluster| cluster.shards.face == Face::Cluster);
    if let Some(cluster) = shown.filter(|_| words.iter().any(|word| args.is(0, word))) {
        return match cluster_face::answer(cx, cluster, args)? {
            true => Ok(()),
            false => Err(Error::Text(CLUSTER_FIXED)),
        };
    }
    if let Some(cluster) = cx.cluster.filter(|_| args.is(0, "clusterscan")) {
        return cluster_face::scan(cx, cluster, args);
    }
    let dialect = cx.reply.dialect();
    if args.is(0, "readonly") && dialect.accepts_readonly()
        || args.is(0, "readwrite") && dialect.accepts_readwrite()
    {
        cx.reply.ok();
        return Ok(());
    }
    let named = |names: &[&str]| names.iter().any(|name| args.is(0, name));
    let reason = REASONS.iter().find(|(names, _)| named(names));
    let reason = match reason.map_or(DEBUGGING, |(_, reason)| reason) {
        WAIT if dialect.says_redis() => WAIT_REDIS,
        reason => reason,
    };
    Err(Error::Text(reason))
}

//! The server commands: what redtail is, what state it is in, what it can do.

mod config;
mod effects;
mod info;
mod info_calls;
mod logs;
mod memory;
mod monitor;
pub(crate) mod refused;
mod settings;
mod sparkline;
mod special;

use std::time::{SystemTime, UNIX_EPOCH};

use crate::command::families::object::MEMORY_USAGE;
use crate::command::rows::{
    ALWAYS, Arity, Command, Error, Family, Flags, Host, Keys, SessionCx, SessionFn, help,
};
use crate::resp::{Args, Reply};
use refused::refused;

pub use info::info_text;
pub use memory::resident;
pub(crate) use refused::FAMILY as REFUSED;

pub(crate) const ADMIN: Flags = ALWAYS.and(Flags::ADMIN);

/// The flags of a container's HELP.
pub(crate) const HELP: Flags = Flags::LOADING.and(Flags::STALE);

/// The flags of SLOWLOG.
const LOG: Flags = HELP.and(Flags::ADMIN);

pub(crate) const fn row(
    name: &'static str,
    arity: Arity,
    flags: Flags,
    handler: SessionFn,
) -> Command {
    Command::new(name, arity, Keys::None)
        .session(handler)
        .flags(flags)
}

/// This file's rows.
pub(crate) const FAMILY: Family = Family {
    group: "server",
    commands: &[
        row(
            "info",
            Arity::at_least(1),
            Flags::LOADING.and(Flags::STALE),
            info::info,
        )
        .about("1.0.0", "Describes the server."),
        row("role", Arity::exactly(1), ALWAYS.and(Flags::FAST), role).about(
            "2.8.12",
            "Says that this is a replica, of which primary, and up to which offset.",
        )
        .difference("If a person must fix something before the link can come up, a sixth element says what."),
        row(
            "time",
            Arity::exactly(1),
            Flags::LOADING.and(Flags::STALE).and(Flags::FAST),
            time,
        )
        .about("2.6.0", "Returns the time."),
        row(
            "lastsave",
            Arity::exactly(1),
            Flags::LOADING.and(Flags::STALE).and(Flags::FAST),
            lastsave,
        )
        .about("1.0.0", "Returns the time of the start, because nothing is saved."),
        Command::container("config", config::CONFIG).about("2.0.0", "Shows the settings."),
        Command::container("slowlog", logs::SLOWLOG).about("2.2.12", "The log of slow commands."),
        Command::container("commandlog", logs::COMMANDLOG)
            .about("8.1.0", "The logs of slow and large commands.")
            .valkey_only(),
        Command::container("latency", logs::LATENCY)
            .about("2.8.13", "Shows how long commands took."),
        monitor::MONITOR,
        row(
            "lolwut",
            Arity::at_least(1),
            Flags::READONLY.and(Flags::FAST),
            lolwut,
        )
        .about("5.0.0", "Returns the version.")
        .difference("Returns only the version, without the picture or the poem."),
        Command::container("memory", MEMORY).about("4.0.0", "Describes memory."),
        Command::container("module", MODULE).about("4.0.0", "There are no modules."),
        Command::container("hotkeys", HOTKEYS).about("8.6.0", "Nothing counts how often keys are used."),
        Command::container("backup", BACKUP).about("8.10.0", "There is nothing to back up."),
    ],
};

/// As on a server on which nobody has started to count. Source: redis 8.6 hotkeys.c, from documents: no server of this
/// version was asked.
const HOTKEYS: &[Command] = &[
    row("get", Arity::exactly(2), COUNTS, null)
        .about("8.6.0", "Returns null, because nothing is counted."),
    refused(("start", -2, "8.6.0")).difference(refused::HOT_KEYS),
    row("stop", Arity::exactly(2), COUNTS, null)
        .about("8.6.0", "Returns null, because nothing is counted."),
    row("reset", Arity::exactly(2), COUNTS, ok).about("8.6.0", "Does nothing."),
    row("help", Arity::exactly(2), HELP, |cx, _| {
        help(cx, "HOTKEYS", HOTKEYS)
    })
    .about("8.6.0", "Lists the subcommands."),
];

const COUNTS: Flags = Flags::ADMIN.and(Flags::NOSCRIPT);

const BACKUP: &[Command] = &[
    refused(("abort", 2, "8.10.0")).difference(refused::BACKUP),
    refused(("cleanup", 2, "8.10.0")).difference(refused::BACKUP),
    refused(("list", 2, "8.10.0")).difference(refused::BACKUP),
    refused(("seal", 2, "8.10.0")).difference(refused::BACKUP),
    refused(("start", 2, "8.10.0")).difference(refused::BACKUP),
    refused(("status", 2, "8.10.0")).difference(refused::BACKUP),
    row("help", Arity::exactly(2), HELP, |cx, _| {
        help(cx, "BACKUP", BACKUP)
    })
    .about("8.10.0", "Lists the subcommands."),
];

const MEMORY: &[Command] = &[
    MEMORY_USAGE,
    row("stats", Arity::exactly(2), Flags::NONE, memory::stats)
        .about("4.0.0", "Describes redtail's own memory.")
        .difference("Does not distinguish data from what holds it, so overheads are 0. What redtail does not have, such as a backlog, is 0, too."),
    row("malloc-stats", Arity::exactly(2), Flags::NONE, malloc_stats)
        .about("4.0.0", "Says that there are none.")
        .difference("Answers like a server without jemalloc."),
    row("doctor", Arity::exactly(2), Flags::NONE, memory_doctor).about("4.0.0", "Points to INFO."),
    row("purge", Arity::exactly(2), Flags::NONE, ok).about(
        "4.0.0",
        "Does nothing: memory is returned as it becomes free.",
    ),
    row("help", Arity::exactly(2), HELP, |cx, _| help(cx, "MEMORY", MEMORY)).about("4.0.0", "Lists the subcommands."),
];

const MODULE: &[Command] = &[
    row(
        "list",
        Arity::exactly(2),
        Flags::ADMIN.and(Flags::NOSCRIPT),
        module_list,
    )
    .about("4.0.0", "Lists the modules that come with a server of the upstream's version.")
    .difference(
        "Does not list modules that the upstream loaded: redtail keeps their values, but has none of their commands.",
    ),
    refused(("load", -3, "4.0.0")).difference(refused::MODULES),
    refused(("loadex", -3, "7.0.0")).difference(refused::MODULES),
    refused(("unload", 3, "4.0.0")).difference(refused::MODULES),
    row("help", Arity::exactly(2), HELP, |cx, _| help(cx, "MODULE", MODULE)).about("5.0.0", "Lists the subcommands."),
];

fn ok(cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    cx.reply.ok();
    Ok(())
}

fn null(cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    cx.reply.null();
    Ok(())
}

/// Source: redis 7.0 replication.c, `roleCommand`. DIFFERENCE: a sixth element while a person must act.
fn role(cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    let replication = cx.host.replication();
    let reason = replication.last_error.as_ref();
    let reason = reason.filter(|_| replication.needs_a_person);
    cx.reply.array(if reason.is_some() { 6 } else { 5 });
    cx.reply.bulk(b"slave");
    cx.reply.bulk(replication.host.as_bytes());
    cx.reply.integer(i64::from(replication.port));
    cx.reply.bulk(replication.state.as_bytes());
    cx.reply.integer(if replication.down_for.is_none() {
        offset(replication.applied_offset)
    } else {
        -1
    });
    if let Some(reason) = reason {
        cx.reply.bulk(reason.as_bytes());
    }
    Ok(())
}

fn offset(offset: u64) -> i64 {
    i64::try_from(offset).unwrap_or(i64::MAX)
}

fn time(cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    cx.reply.array(2);
    cx.reply.bulk(now.as_secs().to_string().as_bytes());
    cx.reply.bulk(now.subsec_micros().to_string().as_bytes());
    Ok(())
}

/// DIFFERENCE: redtail never saves. Redis, too, returns its start time if it has not saved.
fn lastsave(cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    cx.reply.integer(started(cx.host));
    Ok(())
}

/// Returns the server's start time, in Unix seconds.
fn started(host: &dyn Host) -> i64 {
    let uptime = host.statistics().started.elapsed().as_millis();
    let uptime = i64::try_from(uptime).unwrap_or(i64::MAX);
    crate::store::unix_ms().saturating_sub(uptime) / 1000
}

/// DIFFERENCE: Redis draws a picture. If it has none for the requested version, it, too, returns this line.
fn lolwut(cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    let dialect = cx.reply.dialect();
    let (major, minor, patch) = dialect.version;
    let name = dialect.name_in_lolwut();
    let line = format!("{name} ver. {major}.{minor}.{patch}\n");
    cx.reply.verbatim("txt", line.as_bytes());
    Ok(())
}

fn module_list(cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    modules(cx.reply);
    Ok(())
}

/// Lists the module that comes with a server of the dialect. What that module does is built into redtail, too.
///
/// Source: redis 8.0 and valkey 9.1 module.c, `addReplyLoadedModules`.
pub(crate) fn modules(reply: &mut Reply) {
    let Some((name, path)) = reply.dialect().own_module() else {
        return reply.array(0);
    };
    reply.array(1);
    reply.map(4);
    reply.bulk(b"name");
    reply.bulk(name.as_bytes());
    reply.bulk(b"ver");
    reply.integer(1);
    reply.bulk(b"path");
    reply.bulk(path.as_bytes());
    reply.bulk(b"args");
    reply.array(0);
}

/// Source: redis 7.0 object.c, MEMORY MALLOC-STATS without jemalloc.
fn malloc_stats(cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    cx.reply
        .bulk(b"Stats not supported for the current allocator");
    Ok(())
}

fn memory_doctor(cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    cx.reply.verbatim(
        "txt",
        b"redtail diagnoses nothing; INFO memory has the figures.\n",
    );
    Ok(())
}

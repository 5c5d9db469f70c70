//! The server commands: what this is, how it stands, what it can do.

mod commands;
mod config;
mod info;
mod refused;

use std::time::{SystemTime, UNIX_EPOCH};

use super::Error;
use super::client_commands::help;
use super::connection::ALWAYS;
use super::keys::Keys;
use super::session::{Host, SessionCx, SessionFn};
use super::table::{Arity, Command, Family, Flags};
use crate::resp::Args;

pub(super) use refused::FAMILY as REFUSED;

const ADMIN: Flags = ALWAYS.and(Flags::ADMIN);

/// What a container's HELP may do.
const HELP: Flags = Flags::LOADING.and(Flags::STALE);

/// What SLOWLOG may do.
const LOG: Flags = HELP.and(Flags::ADMIN);

const fn row(name: &'static str, arity: Arity, flags: Flags, handler: SessionFn) -> Command {
    Command::new(name, arity, Keys::None)
        .session(handler)
        .flags(flags)
}

/// This file's rows.
pub(super) const FAMILY: Family = Family {
    group: "server",
    commands: &[
        commands::COMMAND,
        row(
            "info",
            Arity::at_least(1),
            Flags::LOADING.and(Flags::STALE),
            info::info,
        )
        .about("1.0.0", "Describes the server."),
        row("role", Arity::exactly(1), ALWAYS.and(Flags::FAST), role).about(
            "2.8.12",
            "Says that this is a replica, of whom, and how far.",
        ),
        row(
            "time",
            Arity::exactly(1),
            Flags::LOADING.and(Flags::STALE).and(Flags::FAST),
            time,
        )
        .about("2.6.0", "Gives the time."),
        row(
            "lastsave",
            Arity::exactly(1),
            Flags::LOADING.and(Flags::STALE).and(Flags::FAST),
            lastsave,
        )
        .about("1.0.0", "Gives the time of the start: nothing is saved."),
        Command::container("config", config::CONFIG).about("2.0.0", "Shows the settings."),
        Command::container("acl", ACL).about("6.0.0", "Says who you are."),
        Command::container("slowlog", SLOWLOG).about("2.2.12", "An empty log: none is kept."),
        Command::container("latency", LATENCY).about("2.8.13", "Nothing: latencies are not kept."),
        Command::container("memory", MEMORY).about("4.0.0", "Describes memory."),
        Command::container("module", MODULE).about("4.0.0", "There are no modules."),
    ],
};

const ACL: &[Command] = &[
    row("whoami", Arity::exactly(2), ALWAYS, acl_whoami).about("6.0.0", "Gives the user's name."),
    row("users", Arity::exactly(2), ADMIN, acl_users).about("6.0.0", "Lists the only user."),
    row("cat", Arity::exactly(2), ALWAYS, commands::acl_cat)
        .about("6.0.0", "Lists the categories."),
    row("help", Arity::exactly(2), HELP, help).about("6.0.0", "Lists the subcommands."),
];

const SLOWLOG: &[Command] = &[
    row("get", Arity::at_least(2), LOG, nothing).about("2.2.12", "Gives nothing."),
    row("len", Arity::exactly(2), LOG, zero).about("2.2.12", "Gives 0."),
    row("reset", Arity::exactly(2), LOG, ok).about("2.2.12", "Does nothing."),
    row("help", Arity::exactly(2), HELP, help).about("6.2.0", "Lists the subcommands."),
];

const LATENCY: &[Command] = &[
    row("latest", Arity::exactly(2), ADMIN, nothing).about("2.8.13", "Gives nothing."),
    row("history", Arity::exactly(3), ADMIN, nothing).about("2.8.13", "Gives nothing."),
    row("reset", Arity::at_least(2), ADMIN, zero).about("2.8.13", "Gives 0."),
    row("help", Arity::exactly(2), HELP, help).about("2.8.13", "Lists the subcommands."),
];

const MEMORY: &[Command] = &[
    row("doctor", Arity::exactly(2), Flags::NONE, memory_doctor).about("4.0.0", "Points to INFO."),
    row("purge", Arity::exactly(2), Flags::NONE, ok).about(
        "4.0.0",
        "Does nothing: memory is given back as it becomes free.",
    ),
    row("help", Arity::exactly(2), HELP, help).about("4.0.0", "Lists the subcommands."),
];

const MODULE: &[Command] = &[
    row(
        "list",
        Arity::exactly(2),
        Flags::ADMIN.and(Flags::NOSCRIPT),
        nothing,
    )
    .about("4.0.0", "Gives nothing."),
    row("help", Arity::exactly(2), HELP, help).about("5.0.0", "Lists the subcommands."),
];

fn ok(cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    cx.reply.ok();
    Ok(())
}

fn zero(cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    cx.reply.integer(0);
    Ok(())
}

fn nothing(cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    cx.reply.array(0);
    Ok(())
}

/// Source: redis 7.0 replication.c, `roleCommand`.
fn role(cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    let replication = cx.host.replication();
    cx.reply.array(5);
    cx.reply.bulk(b"slave");
    cx.reply.bulk(replication.host.as_bytes());
    cx.reply.integer(i64::from(replication.port));
    cx.reply.bulk(replication.state.as_bytes());
    cx.reply.integer(if replication.down_for.is_none() {
        offset(replication.applied_offset)
    } else {
        -1
    });
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

/// DIFFERENCE: nothing is ever saved here; Redis too gives its start where it has not saved.
fn lastsave(cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    cx.reply.integer(started(cx.host));
    Ok(())
}

/// When the server started, in Unix seconds.
fn started(host: &dyn Host) -> i64 {
    let uptime = host.statistics().started.elapsed().as_millis();
    let uptime = i64::try_from(uptime).unwrap_or(i64::MAX);
    crate::store::unix_ms().saturating_sub(uptime) / 1000
}

fn acl_whoami(cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    cx.reply.bulk(b"default");
    Ok(())
}

fn acl_users(cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    cx.reply.array(1);
    cx.reply.bulk(b"default");
    Ok(())
}

fn memory_doctor(cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    cx.reply.verbatim(
        "txt",
        b"redtail diagnoses nothing; INFO memory has the figures.\n",
    );
    Ok(())
}

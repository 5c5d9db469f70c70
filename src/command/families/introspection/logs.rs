//! SLOWLOG, COMMANDLOG and LATENCY: as on a server with these logs turned off, which CONFIG GET reports too.

use super::{ADMIN, HELP, LOG, nothing, ok, row, zero};
use crate::command::rows::parse::integer;
use crate::command::rows::{Arity, Command, Error, SessionCx, help};
use crate::resp::Args;

const NOT_KEPT: &str = "Always empty, as with slowlog-log-slower-than -1: timing every command would slow every command down.";

/// SLOWLOG's subcommands.
pub(super) const SLOWLOG: &[Command] = &[
    row("get", Arity::at_least(2), LOG, slowlog_get)
        .about("2.2.12", "Returns nothing.")
        .difference(NOT_KEPT),
    row("len", Arity::exactly(2), LOG, zero)
        .about("2.2.12", "Returns 0.")
        .difference(NOT_KEPT),
    row("reset", Arity::exactly(2), LOG, ok).about("2.2.12", "Does nothing."),
    row("help", Arity::exactly(2), HELP, |cx, _| {
        help(cx, "SLOWLOG", SLOWLOG)
    })
    .about("6.2.0", "Lists the subcommands."),
];

/// COMMANDLOG's subcommands.
pub(super) const COMMANDLOG: &[Command] = &[
    row("get", Arity::exactly(4), LOG, commandlog_get)
        .about("8.1.0", "Returns nothing.")
        .valkey_only()
        .difference(NOT_KEPT),
    row("len", Arity::exactly(3), LOG, commandlog_len)
        .about("8.1.0", "Returns 0.")
        .valkey_only()
        .difference(NOT_KEPT),
    row("reset", Arity::exactly(3), LOG, commandlog_reset)
        .about("8.1.0", "Does nothing.")
        .valkey_only(),
    row("help", Arity::exactly(2), HELP, |cx, _| {
        help(cx, "COMMANDLOG", COMMANDLOG)
    })
    .about("8.1.0", "Lists the subcommands.")
    .valkey_only(),
];

/// LATENCY's subcommands.
pub(super) const LATENCY: &[Command] = &[
    row("latest", Arity::exactly(2), ADMIN, nothing).about("2.8.13", "Returns nothing."),
    row("history", Arity::exactly(3), ADMIN, nothing).about("2.8.13", "Returns nothing."),
    row("reset", Arity::at_least(2), ADMIN, zero).about("2.8.13", "Returns 0."),
    row("graph", Arity::exactly(3), ADMIN, graph).about("2.8.13", "Finds no samples."),
    row("doctor", Arity::exactly(2), ADMIN, doctor)
        .about("2.8.13", "Says that latencies are not watched.")
        .difference("In redtail's own words."),
    row("histogram", Arity::at_least(2), ADMIN, histogram)
        .about("7.0.0", "Returns nothing.")
        .difference("Always empty, as with latency-tracking no: timing every command would slow every command down."),
    row("help", Arity::exactly(2), HELP, |cx, _| help(cx, "LATENCY", LATENCY)).about("2.8.13", "Lists the subcommands."),
];

/// Source: redis 6.0 and 7.0 slowlog.c, `slowlogCommand`.
fn slowlog_get(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    if args.len() > 3 {
        let text = if cx.reply.dialect().has_subcommand_rows() {
            "ERR unknown subcommand or wrong number of arguments for '{}'. Try SLOWLOG HELP."
        } else {
            "ERR Unknown subcommand or wrong number of arguments for '{}'. Try SLOWLOG HELP."
        };
        return Err(Error::quoting(text, &[args.at(1)]));
    }
    if let Some(count) = args.get(2) {
        let count = integer(count);
        if !cx.reply.dialect().has_subcommand_rows() {
            count?;
        } else if !count.is_ok_and(|count| count >= -1) {
            return Err(Error::Text(
                "ERR count should be greater than or equal to -1",
            ));
        }
    }
    cx.reply.array(0);
    Ok(())
}

/// Source: valkey 9.1 commandlog.c, `commandlogGetTypeOrReply`.
fn check_log(args: Args<'_>, at: usize) -> Result<(), Error> {
    let known = ["slow", "large-request", "large-reply"];
    if known.iter().any(|name| args.is(at, name)) {
        return Ok(());
    }
    Err(Error::Text(
        "ERR type should be one of the following: slow, large-request, large-reply",
    ))
}

fn commandlog_get(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    check_log(args, 3)?;
    if !integer(args.at(2)).is_ok_and(|count| count >= -1) {
        return Err(Error::Text(
            "ERR count should be greater than or equal to -1",
        ));
    }
    nothing(cx, args)
}

fn commandlog_len(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    check_log(args, 2)?;
    zero(cx, args)
}

fn commandlog_reset(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    check_log(args, 2)?;
    ok(cx, args)
}

fn graph(_cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    Err(Error::quoting(
        "ERR No samples available for event '{}'",
        &[args.at(2)],
    ))
}

fn doctor(cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    cx.reply.verbatim(
        "txt",
        b"Latency monitoring is disabled: redtail has none.\n",
    );
    Ok(())
}

fn histogram(cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    cx.reply.map(0);
    Ok(())
}

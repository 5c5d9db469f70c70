//! EVAL and its relatives, FCALL and its relatives, SCRIPT: what they accept, and what is checked before Lua runs.
//!
//! Lua itself is in a layer above this one; the server provides it as [`Scripting`](crate::command::Scripting).

use super::function::kill;
use crate::command::rows::scripting::{Script, ScriptCall};
use crate::command::rows::session::loading;
use crate::command::rows::{
    Arity, Command, Error, Family, Flags, Keys, SessionCx, SessionFn, help,
};
use crate::dialect::Dialect;
use crate::resp::{Args, parse_integer};

/// This file's rows.
pub(crate) const FAMILY: Family = Family {
    group: "scripting",
    commands: &[
        runs("eval", "2.6.0", eval).about("2.6.0", "Runs a read-only script."),
        runs("evalsha", "2.6.0", evalsha).about("2.6.0", "Runs a read-only script by its digest."),
        runs("eval_ro", "7.0.0", eval_ro).about("7.0.0", "Runs a read-only script."),
        runs("evalsha_ro", "7.0.0", evalsha_ro)
            .about("7.0.0", "Runs a read-only script by its digest."),
        runs("fcall", "7.0.0", fcall).about("7.0.0", "Calls a read-only function."),
        runs("fcall_ro", "7.0.0", fcall_ro).about("7.0.0", "Calls a read-only function."),
        Command::container("script", SCRIPT).about("2.6.0", "Manages the known scripts."),
    ],
};

const SCRIPT: &[Command] = &[
    inner("debug", Arity::exactly(3), debug)
        .about("3.2.0", "Says that there is no debugger.")
        .difference("YES and SYNC are refused: redtail has no script debugger."),
    inner("exists", Arity::at_least(3), exists)
        .about("2.6.0", "Says which scripts are known.")
        .arity_before("7.0.0", Arity::at_least(2)),
    inner("flush", Arity::at_least(2), flush)
        .about("2.6.0", "Forgets all scripts.")
        .arity_before("6.2.0", Arity::exactly(2)),
    inner("help", Arity::exactly(2), |cx, _| {
        help(cx, "SCRIPT", SCRIPT)
    })
    .about("5.0.0", "Lists the subcommands."),
    inner("kill", Arity::exactly(2), kill)
        .flags(Flags::ALLOW_BUSY)
        .about("2.6.0", "Ends the running scripts."),
    inner("load", Arity::exactly(3), load).about("2.6.0", "Stores a script."),
    inner("show", Arity::exactly(3), show)
        .about("8.0.0", "Returns the text of a script.")
        .valkey_only(),
];

const fn inner(name: &'static str, arity: Arity, handler: SessionFn) -> Command {
    Command::new(name, arity, Keys::None)
        .session(handler)
        .flags(Flags::NOSCRIPT)
}

const fn runs(name: &'static str, since: &'static str, handler: SessionFn) -> Command {
    Command::new(name, Arity::at_least(3), Keys::counted(2))
        .session(handler)
        .flags(Flags::NOSCRIPT.and(Flags::SCRIPT))
        .about(since, "")
        .difference(BOUNDS)
}

const BOUNDS: &str = "A script that runs longer than 5 seconds or needs more than 256 MiB, or less while more than four run, ends with an \
    error, because it holds up the primary's stream; a server lets it continue and answers BUSY to all other clients. A script \
    that passes a function more than about 7,900 arguments at once ends with an error, too; a server accepts 7,999. `pairs` \
    follows the order of Lua 5.1; Valkey's own Lua has another, and so does Redis's for names of 32 bytes and more. What a script \
    sets in `cjson`, in the garbage collector or, before Redis 7.0, among the globals is gone when it ends. Before Redis 7.0, \
    redtail also does not know the scripts that the primary propagates to its replicas, and a real replica's scripts still see \
    expired keys, which the primary's do not.";

/// Returns what the words of a client run. `row` is one that runs scripts.
fn script<'a>(row: &Command, args: Args<'a>) -> Script<'a> {
    let word = args.at(1);
    if row.name.starts_with("fcall") {
        Script::Function(word)
    } else if row.name.starts_with("evalsha") {
        Script::Digest(word)
    } else {
        Script::Text(word)
    }
}

/// Returns the call that these words of EVAL or EVALSHA make.
///
/// # Errors
/// The error reply that a client would get.
pub(crate) fn call<'a>(row: &Command, args: Args<'a>) -> Result<ScriptCall<'a>, Error> {
    called(script(row, args), args, false)
}

fn called<'a>(
    script: Script<'a>,
    args: Args<'a>,
    is_read_only: bool,
) -> Result<ScriptCall<'a>, Error> {
    let keys = parse_integer(args.at(2)).ok_or(Error::NotInteger)?;
    Ok(ScriptCall {
        script,
        is_read_only,
        words: args.from(3),
        keys: checked(keys, args)?,
    })
}

/// Whether a command runs a script that declares itself as writing.
#[cold]
pub(crate) fn writes(cx: &SessionCx<'_>, row: &Command, args: Args<'_>) -> bool {
    cx.host.scripting().writes(cx, script(row, args))
}

fn eval(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    run(cx, Script::Text(args.at(1)), args, false)
}

fn eval_ro(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    run(cx, Script::Text(args.at(1)), args, true)
}

fn evalsha(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    let script = known(args, cx.reply.dialect())?;
    run(cx, script, args, false)
}

fn evalsha_ro(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    let script = known(args, cx.reply.dialect())?;
    run(cx, script, args, true)
}

/// The number of digits in a digest.
const DIGEST_DIGITS: usize = 40;

fn known(args: Args<'_>, dialect: Dialect) -> Result<Script<'_>, Error> {
    match args.at(1).len() {
        DIGEST_DIGITS => Ok(Script::Digest(args.at(1))),
        _ => Err(Error::Text(dialect.unknown_script())),
    }
}

fn run(
    cx: &mut SessionCx<'_>,
    script: Script<'_>,
    args: Args<'_>,
    is_read_only: bool,
) -> Result<(), Error> {
    let call = called(script, args, is_read_only)?;
    let host = cx.host;
    host.scripting().run(cx, &call)
}

fn fcall(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    call_function(cx, args, false)
}

fn fcall_ro(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    call_function(cx, args, true)
}

/// Source: redis 7.0 functions.c, `fcallCommandGeneric`.
fn call_function(cx: &mut SessionCx<'_>, args: Args<'_>, is_read_only: bool) -> Result<(), Error> {
    let generation = cx.generation.ok_or_else(|| loading(cx))?;
    let host = cx.host;
    if !host.scripting().has_function(generation, args.at(1))? {
        return Err(Error::Text("ERR Function not found"));
    }
    if parse_integer(args.at(2)).is_none() {
        return Err(Error::Text("ERR Bad number of keys provided"));
    }
    run(cx, Script::Function(args.at(1)), args, is_read_only)
}

/// Returns how many of the words are keys. Source: redis 7.0 eval.c, `evalGenericCommand`.
fn checked(keys: i64, args: Args<'_>) -> Result<usize, Error> {
    let Ok(keys) = usize::try_from(keys) else {
        return Err(Error::Text("ERR Number of keys can't be negative"));
    };
    if keys > args.len().saturating_sub(3) {
        let text = "ERR Number of keys can't be greater than number of args";
        return Err(Error::Text(text));
    }
    Ok(keys)
}

fn load(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    let dialect = cx.reply.dialect();
    let host = cx.host;
    let digest = host.scripting().load(args.at(2), dialect)?;
    cx.reply.bulk(digest.as_bytes());
    Ok(())
}

fn exists(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    cx.reply.array(args.len() - 2);
    for digest in args.from(2).iter() {
        let known = cx.host.scripting().text(digest).is_some();
        cx.reply.integer(i64::from(known));
    }
    Ok(())
}

fn show(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    let unknown = Error::Text(cx.reply.dialect().unknown_script());
    let text = cx.host.scripting().text(args.at(2)).ok_or(unknown)?;
    cx.reply.bulk(&text);
    Ok(())
}

fn flush(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    let is_known =
        args.len() == 2 || args.len() == 3 && (args.is(2, "sync") || args.is(2, "async"));
    if !is_known {
        return Err(Error::Text(
            "ERR SCRIPT FLUSH only support SYNC|ASYNC option",
        ));
    }
    cx.host.scripting().flush();
    cx.reply.ok();
    Ok(())
}

fn debug(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    if args.is(2, "no") {
        cx.reply.ok();
        return Ok(());
    }
    let is_known = args.is(2, "yes") || args.is(2, "sync");
    Err(Error::Text(if is_known {
        "ERR not supported: redtail has no script debugger"
    } else {
        "ERR Use SCRIPT DEBUG YES/SYNC/NO"
    }))
}

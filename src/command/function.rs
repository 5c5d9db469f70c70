//! FUNCTION: the libraries that the primary keeps.
//!
//! The stream's changes are applied, so that FUNCTION DUMP gives what a replica would give. What a library registers only
//! running it would tell: FUNCTION LIST answers an error as long as there are libraries.

use bytes::Bytes;

use super::Error;
use super::client_commands::help;
use super::keys::{Keys, Touch};
use super::session::SessionCx;
use super::table::{Arity, Command, Family, Flags};
use crate::rdb;
use crate::rdb::decode::Version;
use crate::resp::Args;
use crate::store::{Generation, Libraries, Library, Tainted, Tx};

/// This file's rows.
pub(super) const FAMILY: Family = Family {
    group: "scripting",
    commands: &[Command::container("function", FUNCTION).about("7.0.0", "The function libraries.")],
};

const FUNCTION: &[Command] = &[
    change("load", Arity::at_least(3), load)
        .flags(Flags::DENYOOM)
        .about("7.0.0", "Adds a library."),
    change("delete", Arity::exactly(3), delete).about("7.0.0", "Deletes a library."),
    change("flush", Arity::at_least(2), flush).about("7.0.0", "Deletes all libraries."),
    change("restore", Arity::at_least(3), restore)
        .flags(Flags::DENYOOM)
        .about("7.0.0", "Adds what FUNCTION DUMP gave."),
    Command::new("dump", Arity::exactly(2), Keys::None)
        .session(dump)
        .flags(Flags::NOSCRIPT)
        .about("7.0.0", "Gives all libraries as one payload.")
        .difference("Libraries come in the order of their loading; a server's own order is random."),
    Command::new("list", Arity::at_least(2), Keys::None)
        .session(list)
        .flags(Flags::NOSCRIPT)
        .about("7.0.0", "Lists the libraries, if there are none.")
        .difference("An error when there are libraries: what they register is not known without running them."),
    Command::new("stats", Arity::exactly(2), Keys::None)
        .session(stats)
        .flags(Flags::NOSCRIPT.and(Flags::ALLOW_BUSY))
        .about("7.0.0", "Says that no function runs.")
        .difference("An error when there are libraries: what they register is not known without running them."),
    Command::new("kill", Arity::exactly(2), Keys::None)
        .session(kill)
        .flags(Flags::NOSCRIPT.and(Flags::ALLOW_BUSY))
        .about("7.0.0", "Finds no function to kill."),
    Command::new("help", Arity::exactly(2), Keys::None)
        .session(help)
        .flags(Flags::LOADING.and(Flags::STALE))
        .about("7.0.0", "Lists the subcommands."),
];

const fn change(name: &'static str, arity: Arity, handler: super::ApplyFn) -> Command {
    Command::new(name, arity, Keys::None)
        .apply(handler)
        .touches(touches)
        .flags(Flags::NOSCRIPT)
}

fn touches<'a>(_args: Args<'a>, _db: usize, visit: &mut dyn FnMut(Touch<'a>)) {
    visit(Touch::Libraries);
}

/// What is wrong with the libraries here: the primary's, which accepted the command, must be other ones.
fn refused(error: impl std::fmt::Display) -> Error {
    Error::Owned(error.to_string())
}

/// `FUNCTION LOAD [REPLACE] code`.
fn load(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let replace = args.len() == 4 && args.is(2, "replace");
    if args.len() > 4 || args.len() == 4 && !replace {
        return Err(Error::Syntax);
    }
    let code = Bytes::copy_from_slice(args.at(args.len() - 1));
    known(tx)?.add(code, replace).map_err(refused)
}

fn delete(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    known(tx)?.remove(args.at(2)).map_err(refused)
}

fn flush(tx: &mut Tx<'_>, _args: Args<'_>) -> Result<(), Error> {
    tx.libraries().clear();
    Ok(())
}

/// `FUNCTION RESTORE payload [FLUSH | APPEND | REPLACE]`.
fn restore(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let (flush, replace) = (args.is(3, "flush"), args.is(3, "replace"));
    if args.len() > 4 || args.len() == 4 && !flush && !replace && !args.is(3, "append") {
        return Err(Error::Syntax);
    }
    let codes = rdb::dump::decode_functions(args.at(2)).map_err(refused)?;
    if flush {
        tx.libraries().clear();
    }
    let libraries = known(tx)?;
    codes
        .into_iter()
        .try_for_each(|code| libraries.add(code, replace))
        .map_err(refused)
}

/// The libraries, to change, if it is known which there are.
fn known<'t>(tx: &'t mut Tx<'_>) -> Result<&'t mut Libraries, Error> {
    let libraries = tx.libraries();
    match libraries.all() {
        Some(_) => Ok(libraries),
        None => Err(Tainted.into()),
    }
}

/// Answers from the libraries that are served.
fn with_libraries(
    generation: Option<&Generation>,
    answer: impl FnOnce(&[Library]) -> Result<(), Error>,
) -> Result<(), Error> {
    let held = generation.map(|generation| generation.spaces.libraries());
    answer(match &held {
        Some(libraries) => libraries.all().ok_or(Tainted)?,
        None => &[],
    })
}

fn dump(cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    let version = Version::of_payload(cx.reply.dialect().rdb_version());
    with_libraries(cx.generation, |libraries| {
        let codes = libraries.iter().map(|library| &*library.code);
        let payload = rdb::dump::encode_functions(version, codes)
            .map_err(|error| Error::Owned(format!("ERR {error}")))?;
        cx.reply.bulk(&payload);
        Ok(())
    })
}

const NOT_RUN: Error =
    Error::Text("ERR not supported: redtail does not run libraries and cannot tell what they hold");

/// `FUNCTION LIST [LIBRARYNAME pattern] [WITHCODE]`.
fn list(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    check_list_options(args)?;
    with_libraries(cx.generation, |libraries| {
        if !libraries.is_empty() {
            return Err(NOT_RUN);
        }
        cx.reply.array(0);
        Ok(())
    })
}

/// Source: redis 7.0 functions.c, functionListCommand.
fn check_list_options(args: Args<'_>) -> Result<(), Error> {
    let (mut named, mut with_code) = (false, false);
    let mut index = 2;
    while index < args.len() {
        if !with_code && args.is(index, "withcode") {
            with_code = true;
        } else if !named && args.is(index, "libraryname") {
            if index + 1 >= args.len() {
                return Err(Error::Text("ERR library name argument was not given"));
            }
            named = true;
            index += 1;
        } else {
            let word = String::from_utf8_lossy(args.at(index));
            return Err(Error::Owned(format!("ERR Unknown argument {word}")));
        }
        index += 1;
    }
    Ok(())
}

fn stats(cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    with_libraries(cx.generation, |libraries| {
        if !libraries.is_empty() {
            return Err(NOT_RUN);
        }
        cx.reply.map(2);
        cx.reply.bulk(b"running_script");
        cx.reply.null();
        cx.reply.bulk(b"engines");
        cx.reply.map(1);
        cx.reply.bulk(b"LUA");
        cx.reply.map(2);
        for figure in ["libraries_count", "functions_count"] {
            cx.reply.bulk(figure.as_bytes());
            cx.reply.integer(0);
        }
        Ok(())
    })
}

fn kill(_cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    Err(Error::Text("NOTBUSY No scripts in execution right now."))
}

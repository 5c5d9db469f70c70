//! FUNCTION: the primary's libraries.
//!
//! The stream's changes are applied, so FUNCTION DUMP returns what a replica would return. Only running a library shows
//! what it registers: that happens when a client first asks.

use std::sync::Arc;

use bytes::Bytes;

use crate::command::rows::scripting::{FunctionShown, LibraryShown};
use crate::command::rows::{
    Arity, Command, Error, Family, Flags, Keys, SessionCx, Touch, glob, help, long,
};
use crate::rdb;
use crate::rdb::version::Version;
use crate::resp::{Args, Reply};
use crate::store::{Generation, Libraries, Library, Tainted, Tx};

/// This file's rows.
pub(crate) const FAMILY: Family = Family {
    group: "scripting",
    commands: &[
        Command::container("function", FUNCTION).about("7.0.0", "Manages the function libraries.")
    ],
};

const FUNCTION: &[Command] = &[
    change("load", Arity::at_least(3), load)
        .flags(Flags::DENYOOM)
        .about("7.0.0", "Adds a library."),
    change("delete", Arity::exactly(3), delete).about("7.0.0", "Deletes a library."),
    change("flush", Arity::at_least(2), flush).about("7.0.0", "Deletes all libraries."),
    change("restore", Arity::at_least(3), restore)
        .flags(Flags::DENYOOM)
        .about("7.0.0", "Adds the libraries of a FUNCTION DUMP payload."),
    Command::new("dump", Arity::exactly(2), Keys::None)
        .session(dump)
        .flags(Flags::NOSCRIPT)
        .about("7.0.0", "Returns all libraries as one payload.")
        .difference("Libraries come in the order in which they were loaded; a server's order is random."),
    Command::new("list", Arity::at_least(2), Keys::None)
        .session(list)
        .flags(Flags::NOSCRIPT)
        .about("7.0.0", "Lists the libraries and their functions.")
        .difference("Libraries and functions come in the order in which they were loaded; a server's order is random."),
    Command::new("stats", Arity::exactly(2), Keys::None)
        .session(stats)
        .flags(Flags::NOSCRIPT.and(Flags::ALLOW_BUSY))
        .about("7.0.0", "Counts libraries and functions.")
        .difference("Always says that no function is running: several may run, and none makes the others wait."),
    Command::new("kill", Arity::exactly(2), Keys::None)
        .session(kill)
        .flags(Flags::NOSCRIPT.and(Flags::ALLOW_BUSY))
        .about("7.0.0", "Ends the running functions."),
    Command::new("help", Arity::exactly(2), Keys::None)
        .session(|cx, _| help(cx, "FUNCTION", FUNCTION))
        .flags(Flags::LOADING.and(Flags::STALE))
        .about("7.0.0", "Lists the subcommands."),
];

const fn change(
    name: &'static str,
    arity: Arity,
    handler: crate::command::rows::command::ApplyFn,
) -> Command {
    Command::new(name, arity, Keys::None)
        .apply(handler)
        .touches(touches)
        .flags(Flags::NOSCRIPT)
}

fn touches<'a>(_args: Args<'a>, _db: usize, visit: &mut dyn FnMut(Touch<'a>)) {
    visit(Touch::Libraries);
}

/// An error from the libraries here. The primary accepted the command, so its libraries must differ from these.
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

/// Returns the libraries, to be changed, if it is known which ones exist.
fn known<'t>(tx: &'t mut Tx<'_>) -> Result<&'t mut Libraries, Error> {
    let libraries = tx.libraries();
    match libraries.all() {
        Some(_) => Ok(libraries),
        None => Err(Tainted.into()),
    }
}

/// Answers from the served libraries.
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

/// Returns the served libraries, with what they register.
fn shown(cx: &SessionCx<'_>) -> Result<Arc<Vec<LibraryShown>>, Error> {
    let host = cx.host;
    match cx.generation {
        Some(generation) => long(|| host.scripting().libraries(generation)),
        None => Ok(Arc::default()),
    }
}

/// `FUNCTION LIST [LIBRARYNAME pattern] [WITHCODE]`.
fn list(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    let options = list_options(args)?;
    let libraries = shown(cx)?;
    let is_wanted = |library: &&LibraryShown| {
        let mut pattern = options.pattern.iter();
        pattern.all(|pattern| glob::matches(pattern, &library.name, true))
    };
    let wanted: Vec<_> = libraries.iter().filter(is_wanted).collect();
    cx.reply.array(wanted.len());
    for library in wanted {
        show_library(cx.reply, library, options.with_code);
    }
    Ok(())
}

fn show_library(reply: &mut Reply, library: &LibraryShown, with_code: bool) {
    reply.map(if with_code { 4 } else { 3 });
    reply.bulk(b"library_name");
    reply.bulk(&library.name);
    reply.bulk(b"engine");
    reply.bulk(b"LUA");
    reply.bulk(b"functions");
    reply.array(library.functions.len());
    for function in &library.functions {
        show_function(reply, function);
    }
    if with_code {
        reply.bulk(b"library_code");
        reply.bulk(&library.code);
    }
}

fn show_function(reply: &mut Reply, function: &FunctionShown) {
    reply.map(3);
    reply.bulk(b"name");
    reply.bulk(&function.name);
    reply.bulk(b"description");
    reply.bulk_or_null(function.description.as_deref());
    reply.bulk(b"flags");
    reply.set(function.flags.len());
    for flag in &function.flags {
        reply.simple(flag);
    }
}

/// The options of FUNCTION LIST.
#[derive(Debug, Default)]
struct ListOptions<'a> {
    pattern: Option<&'a [u8]>,
    with_code: bool,
}

/// Source: redis 7.0 functions.c, functionListCommand.
fn list_options(args: Args<'_>) -> Result<ListOptions<'_>, Error> {
    let mut options = ListOptions::default();
    let mut index = 2;
    while index < args.len() {
        if !options.with_code && args.is(index, "withcode") {
            options.with_code = true;
        } else if options.pattern.is_none() && args.is(index, "libraryname") {
            index += 1;
            let missing = Error::Text("ERR library name argument was not given");
            options.pattern = Some(args.get(index).ok_or(missing)?);
        } else {
            let word = String::from_utf8_lossy(args.at(index));
            return Err(Error::Owned(format!("ERR Unknown argument {word}")));
        }
        index += 1;
    }
    Ok(options)
}

fn stats(cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    let libraries = shown(cx)?;
    let functions = libraries
        .iter()
        .map(|library| library.functions.len())
        .sum();
    cx.reply.map(2);
    cx.reply.bulk(b"running_script");
    cx.reply.null();
    cx.reply.bulk(b"engines");
    cx.reply.map(1);
    cx.reply.bulk(b"LUA");
    cx.reply.map(2);
    cx.reply.bulk(b"libraries_count");
    cx.reply.count(libraries.len());
    cx.reply.bulk(b"functions_count");
    cx.reply.count(functions);
    Ok(())
}

/// SCRIPT KILL and FUNCTION KILL.
pub(crate) fn kill(cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    if !cx.host.scripting().kill() {
        return Err(NOTBUSY);
    }
    cx.reply.ok();
    Ok(())
}

/// No script is running that KILL could end.
const NOTBUSY: Error = Error::Text("NOTBUSY No scripts in execution right now.");

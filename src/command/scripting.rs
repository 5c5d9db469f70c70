//! EVAL and its relatives, FCALL and its relatives, SCRIPT: what they take, and what is checked before Lua runs.
//!
//! Lua itself is a room above this one; the server lends it as [`Scripting`].

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::Error;
use super::client_commands::help;
use super::keys::Keys;
use super::replay::{Replay, Unsure};
use super::session::SessionCx;
use super::table::{Arity, Command, Family, Flags};
use crate::dialect::Dialect;
use crate::resp::{Args, parse_integer};
use crate::store::Generation;

/// What is run, as the client names it.
#[derive(Debug, Clone, Copy)]
pub enum Script<'a> {
    /// By its text.
    Text(&'a [u8]),
    /// By its digest: forty digits, in any letters.
    Digest(&'a [u8]),
    /// A function of a library, by its name.
    Function(&'a [u8]),
}

/// A script with all it is given.
#[derive(Debug, Clone, Copy)]
pub struct ScriptCall<'a> {
    /// What is run.
    pub script: Script<'a>,
    /// Whether the client says that it writes nothing.
    pub is_read_only: bool,
    words: Args<'a>,
    keys: usize,
}

impl<'a> ScriptCall<'a> {
    /// What EVAL or EVALSHA of these words runs.
    ///
    /// # Errors
    /// What a client would be told.
    pub fn of(args: Args<'a>) -> Result<Self, Error> {
        let row = super::lookup(args.at(0)).ok_or(Error::Syntax)?;
        super::check_arity(row, args)?;
        let keys = parse_integer(args.at(2)).ok_or(Error::NotInteger)?;
        Ok(Self {
            script: script(row, args),
            is_read_only: false,
            words: args.from(3),
            keys: checked(keys, args)?,
        })
    }

    /// The keys that it is given.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        self.words.iter().take(self.keys)
    }

    /// What it is given besides.
    pub fn arguments(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        self.words.iter().skip(self.keys)
    }

    /// How many bytes it is given, as RESP.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.words.iter().map(|word| word.len() + WORD_BYTES).sum()
    }
}

/// What RESP puts around a word, at least.
const WORD_BYTES: usize = 5;

/// A library of functions.
#[derive(Debug, Clone)]
pub struct LibraryShown {
    /// What it is called.
    pub name: Box<[u8]>,
    /// Its source, first line included.
    pub code: Bytes,
    /// What it registers, in this order.
    pub functions: Vec<FunctionShown>,
}

/// A function that a library registers.
#[derive(Debug, Clone)]
pub struct FunctionShown {
    /// What it is called.
    pub name: Vec<u8>,
    /// What it is for.
    pub description: Option<Vec<u8>>,
    /// Its flags, in the servers' order.
    pub flags: Vec<&'static str>,
}

impl FunctionShown {
    /// Whether it may write, for all that it says.
    #[must_use]
    pub fn writes(&self) -> bool {
        !self.flags.contains(&"no-writes")
    }
}

/// What scripts have done to the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ScriptFigures {
    /// For how long the writer waited for them.
    pub held_up: Duration,
    /// Scripts that were not begun for that.
    pub refused: u64,
    /// Scripts that began again, to hold more than their keys.
    pub begun_again: u64,
}

/// The share of time for which scripts may hold the stream up, in percent: 1 to 100, which is no limit.
///
/// A quarter, unless told otherwise. The writer then has three quarters of the time, in which it applies some hundred thousand
/// commands a second, so it catches up with any primary; and the stream is held up for a script's five seconds at a time, with
/// fifteen between two such scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "u8")]
pub struct ScriptShare(u8);

/// A number that is no such share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a percentage from 1 to 100")]
pub struct NoSuchShare;

impl ScriptShare {
    /// The percentage.
    #[must_use]
    pub const fn percent(self) -> u8 {
        self.0
    }
}

impl Default for ScriptShare {
    fn default() -> Self {
        Self(25)
    }
}

impl TryFrom<u8> for ScriptShare {
    type Error = NoSuchShare;

    fn try_from(percent: u8) -> Result<Self, NoSuchShare> {
        match percent {
            1..=100 => Ok(Self(percent)),
            _ => Err(NoSuchShare),
        }
    }
}

impl FromStr for ScriptShare {
    type Err = NoSuchShare;

    fn from_str(text: &str) -> Result<Self, NoSuchShare> {
        let percent: u8 = text.parse().map_err(|_| NoSuchShare)?;
        percent.try_into()
    }
}

/// Who runs scripts.
pub trait Scripting: Send + Sync {
    /// Runs a script and writes its reply.
    ///
    /// # Errors
    /// What the client is told instead; nothing of the reply counts then.
    fn run(&self, cx: &mut SessionCx<'_>, call: &ScriptCall<'_>) -> Result<(), Error>;

    /// Runs a script that the upstream sent as its text, on what the writer holds. An error of the script's own ends it, as it
    /// did at the primary.
    ///
    /// # Errors
    /// [`Unsure`] when it is not known what it did there; something may have been changed.
    fn replay(&self, replay: &mut Replay<'_, '_>, call: &ScriptCall<'_>) -> Result<(), Unsure>;

    /// Whether the script says of itself that it may write: a read-only replica does not begin it.
    fn writes(&self, cx: &SessionCx<'_>, script: Script<'_>) -> bool;

    /// Keeps a script, and gives its digest.
    ///
    /// # Errors
    /// When it does not compile.
    fn load(&self, code: &[u8], dialect: Dialect) -> Result<String, Error>;

    /// The text of a script that is kept, by its digest in any letters.
    fn text(&self, digest: &[u8]) -> Option<Bytes>;

    /// Forgets all scripts.
    fn flush(&self);

    /// The libraries of functions in a generation, and what they register.
    ///
    /// # Errors
    /// When it is not known which there are, or they cannot be loaded.
    fn libraries(&self, generation: &Generation) -> Result<Arc<Vec<LibraryShown>>, Error>;

    /// Whether a library's code can be loaded.
    ///
    /// # Errors
    /// Why not.
    fn check_library(&self, code: &[u8], dialect: Dialect) -> Result<(), Error>;

    /// Whether a library registers a function of that name.
    ///
    /// # Errors
    /// As for [`libraries`](Self::libraries).
    fn has_function(&self, generation: &Generation, name: &[u8]) -> Result<bool, Error>;

    /// What scripts have done to the stream so far.
    fn figures(&self) -> ScriptFigures;

    /// Ends all scripts and functions that run now; false when there is none.
    fn kill(&self) -> bool;
}

/// This file's rows.
pub(super) const FAMILY: Family = Family {
    group: "scripting",
    commands: &[
        runs("eval", "2.6.0", eval).about("2.6.0", "Runs a script that reads."),
        runs("evalsha", "2.6.0", evalsha).about("2.6.0", "Runs a script that is known."),
        runs("eval_ro", "7.0.0", eval_ro).about("7.0.0", "Runs a script that reads."),
        runs("evalsha_ro", "7.0.0", evalsha_ro).about("7.0.0", "Runs a script that is known."),
        runs("fcall", "7.0.0", fcall).about("7.0.0", "Calls a function that reads."),
        runs("fcall_ro", "7.0.0", fcall_ro).about("7.0.0", "Calls a function that reads."),
        Command::container("script", SCRIPT).about("2.6.0", "The scripts that are known."),
    ],
};

const SCRIPT: &[Command] = &[
    inner("debug", Arity::exactly(3), debug)
        .about("3.2.0", "Says that there is no debugger.")
        .difference("YES and SYNC are refused: redtail has no debugger of scripts."),
    inner("exists", Arity::at_least(3), exists)
        .about("2.6.0", "Tells which scripts are known.")
        .arity_before("7.0.0", Arity::at_least(2)),
    inner("flush", Arity::at_least(2), flush)
        .about("2.6.0", "Forgets all scripts.")
        .arity_before("6.2.0", Arity::exactly(2)),
    inner("help", Arity::exactly(2), help).about("5.0.0", "Lists the subcommands."),
    inner("kill", Arity::exactly(2), kill)
        .flags(Flags::ALLOW_BUSY)
        .about("2.6.0", "Ends the scripts that run."),
    inner("load", Arity::exactly(3), load).about("2.6.0", "Keeps a script."),
    inner("show", Arity::exactly(3), show)
        .about("8.0.0", "Gives the text of a script.")
        .valkey_only(),
];

const fn inner(name: &'static str, arity: Arity, handler: super::SessionFn) -> Command {
    Command::new(name, arity, Keys::None)
        .session(handler)
        .flags(Flags::NOSCRIPT)
}

const fn runs(name: &'static str, since: &'static str, handler: super::SessionFn) -> Command {
    Command::new(name, Arity::at_least(3), Keys::counted(2))
        .session(handler)
        .flags(Flags::NOSCRIPT.and(Flags::SCRIPT))
        .about(since, "")
        .difference(BOUNDS)
}

const BOUNDS: &str = "A script that runs longer than 5 seconds or needs more than 256 MiB, or less while more than four run, is ended with \
    an error, for it holds off what the primary sends; a server goes on, and answers BUSY to all others. So is one that gives a \
    function more than about 7,900 words at once, where a server takes 7,999. `pairs` goes by the order of Lua 5.1, where \
    Valkey's own Lua has another, and Redis's for names of 32 bytes and more. What a script sets in `cjson`, in the collector, or \
    before Redis 7.0 among the globals, ends with it. Before Redis 7.0, too, scripts that the primary tells its replicas \
    of are not known, and a real replica's scripts still see keys whose time is over, which the primary's do not.";

/// What a client's words run, if they are those of a row that runs scripts.
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

/// Whether a command runs a script that says of itself that it writes.
#[cold]
pub(super) fn writes(cx: &SessionCx<'_>, row: &Command, args: Args<'_>) -> bool {
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

/// Digits of a digest.
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
    let keys = parse_integer(args.at(2)).ok_or(Error::NotInteger)?;
    let call = ScriptCall {
        script,
        is_read_only,
        words: args.from(3),
        keys: checked(keys, args)?,
    };
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
    let generation = cx.generation.ok_or_else(|| super::session::loading(cx))?;
    let host = cx.host;
    if !host.scripting().has_function(generation, args.at(1))? {
        return Err(Error::Text("ERR Function not found"));
    }
    if parse_integer(args.at(2)).is_none() {
        return Err(Error::Text("ERR Bad number of keys provided"));
    }
    run(cx, Script::Function(args.at(1)), args, is_read_only)
}

/// How many of the words are keys. Source: redis 7.0 eval.c, `evalGenericCommand`.
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

/// SCRIPT KILL, and FUNCTION KILL.
pub(super) fn kill(cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    if !cx.host.scripting().kill() {
        return Err(NOTBUSY);
    }
    cx.reply.ok();
    Ok(())
}

/// Nothing runs that could be ended.
const NOTBUSY: Error = Error::Text("NOTBUSY No scripts in execution right now.");

fn debug(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    if args.is(2, "no") {
        cx.reply.ok();
        return Ok(());
    }
    let is_known = args.is(2, "yes") || args.is(2, "sync");
    Err(Error::Text(if is_known {
        "ERR not supported: redtail has no debugger of scripts"
    } else {
        "ERR Use SCRIPT DEBUG YES/SYNC/NO"
    }))
}

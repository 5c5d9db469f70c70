//! Scripts that the upstream replicated as text. They run under the writer's own locks, as on the upstream's replicas.
//!
//! With script replication a server makes sure that a script has the same effect everywhere: sets and keys are returned in
//! sorted order, random numbers always start with the same seed, and no write may follow a command whose reply differs from
//! server to server. All of that holds here, too. Source: redis 6.0 scripting.c, `luaRedisGenericCommand` and
//! `evalGenericCommand`.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Engine;
use super::bridge::{Answer, Calls, Gives};
use super::interpreter::{Compiled, Failure, Interpreter};
use super::raise::Fatal;
use super::running::set_globals;
use super::state::{Bounds, Common};
use crate::command::{self, Command, Replay, Script, ScriptCall, Unsure};
use crate::limits::REPLAY_SECONDS_MAX;
use crate::resp::{Args, Reply, parse_integer};

/// Source: redis 6.0 scripting.c, `luaRedisGenericCommand`.
const AFTER_RANDOM: &str = "Write commands not allowed after non deterministic commands. Call redis.replicate_commands() at the \
    start of your script in order to switch to single commands replication mode.";

/// What the script calls commands with.
struct Caller<'c, 'r, 'tx> {
    state: Arc<Common>,
    replay: RefCell<&'c mut Replay<'r, 'tx>>,
    /// Whether a command was called whose reply differs from server to server.
    is_random: Cell<bool>,
    has_written: Cell<bool>,
    unsure: Cell<Option<Unsure>>,
}

impl Calls for Caller<'_, '_, '_> {
    fn call(&self, args: Args<'_>, reply: &mut Reply) -> Answer {
        if self.state.resp3.load(Ordering::Relaxed) {
            return self.give_up(Unsure("it asks for replies in RESP3"));
        }
        let row = match self.find(args) {
            Ok(row) => row,
            Err(Refused::Told(text)) => return refuse(reply, text),
            Err(Refused::Unsure(why)) => return self.give_up(why),
        };
        let flagged = |flag| command::flagged(args, row, self.state.dialect, flag);
        if row.is_write() {
            if self.is_random.get() {
                return refuse(reply, AFTER_RANDOM);
            }
            self.has_written.set(true);
        }
        if flagged("random") {
            self.is_random.set(true);
        }
        if let Err(why) = self.replay.borrow_mut().call(row, args, reply) {
            return self.give_up(why);
        }
        if flagged("sort_for_script") {
            sort(reply);
        }
        Answer::Reply
    }

    /// The script has not switched to replicating its effects: otherwise the stream would carry those and not the script.
    fn replicates_commands(&self) -> Option<bool> {
        if self.has_written.get() {
            return Some(false);
        }
        self.give_up(Unsure("it calls redis.replicate_commands() first"));
        None
    }
}

/// Why a command is not run.
enum Refused {
    /// The script gets this error.
    Told(&'static str),
    /// It is not known what the primary did.
    Unsure(Unsure),
}

fn refuse(reply: &mut Reply, text: &str) -> Answer {
    reply.raw(text.as_bytes());
    Answer::Error { is_counted: false }
}

impl Caller<'_, '_, '_> {
    /// Ends the script for good.
    fn give_up(&self, why: Unsure) -> Answer {
        self.unsure.set(Some(why));
        self.state.doom(Fatal::Wider);
        Answer::End
    }

    /// Returns the row that the words name, or the error for the script.
    fn find(&self, args: Args<'_>) -> Result<&'static Command, Refused> {
        let dialect = self.state.dialect;
        let texts = dialect.script_call_errors();
        let container = command::lookup(args.at(0)).filter(|row| dialect.has(row.presence));
        let row = match (command::resolve_for(args, dialect), container) {
            (Ok(row), _) => row,
            (Err(_), None) => return Err(Refused::Told(texts.unknown)),
            (Err(command::Error::Arity(_)), Some(_)) => return Err(Refused::Told(texts.arity)),
            (Err(_), Some(_)) => {
                let why = Unsure("it calls an unknown subcommand");
                return Err(Refused::Unsure(why));
            }
        };
        if command::flagged(args, row, dialect, "noscript") || row.flags.has(command::Flags::SCRIPT)
        {
            return Err(Refused::Told(texts.forbidden));
        }
        Ok(row)
    }
}

/// Sorts the bulk strings of an array. DIFFERENCE: it compares bytes, whereas a server uses the locale of its environment.
fn sort(reply: &mut Reply) {
    let Some(mut texts) = texts(reply.as_bytes()) else {
        return;
    };
    texts.sort_unstable();
    let sorted: Vec<u8> = texts
        .into_iter()
        .flat_map(|(_, written)| written)
        .copied()
        .collect();
    reply.truncate(reply.len() - sorted.len());
    reply.raw(&sorted);
}

/// Returns the bulk strings of an array, each with its encoding; `None` for any other reply.
fn texts(reply: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let mut rest = line(reply.strip_prefix(b"*")?)?.1;
    let mut texts = Vec::new();
    while !rest.is_empty() {
        let (length, body) = line(rest.strip_prefix(b"$")?)?;
        let length = usize::try_from(parse_integer(length)?).ok()?;
        let end = rest.len() - body.len() + length + LINE_END.len();
        let (written, others) = rest.split_at_checked(end)?;
        texts.push((body.get(..length)?, written));
        rest = others;
    }
    Some(texts)
}

const LINE_END: &[u8] = b"\r\n";

/// Splits the text into its first line and the rest.
fn line(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr(b'\r', text)?;
    Some((text.get(..end)?, text.get(end + LINE_END.len()..)?))
}

impl Engine {
    /// Runs a script that the upstream sent; see [`ReplayScripts::replay`](crate::command::ReplayScripts::replay).
    pub(super) fn run_again(
        &self,
        replay: &mut Replay<'_, '_>,
        call: &ScriptCall<'_>,
    ) -> Result<(), Unsure> {
        let dialect = replay.dialect();
        let broken = Unsure("there is not enough memory to run it");
        let mut evaluator = self.evaluator(dialect).map_err(|_| broken)?;
        let found = self.ready(call.script, &mut evaluator);
        let (_, ready) = found.map_err(|_| match call.script {
            Script::Text(_) => Unsure("it does not compile here"),
            Script::Digest(_) | Script::Function(_) => {
                Unsure("its text is neither in the snapshot nor in the stream since then")
            }
        })?;
        let result = run(&evaluator.interpreter, replay, call, &ready.function);
        self.give_back(evaluator);
        result
    }
}

fn run(
    interpreter: &Interpreter,
    replay: &mut Replay<'_, '_>,
    call: &ScriptCall<'_>,
    function: &Compiled,
) -> Result<(), Unsure> {
    let state = &interpreter.state;
    let time = Duration::from_secs(REPLAY_SECONDS_MAX);
    let memory = crate::limits::SCRIPT_MEMORY_BYTES_MAX;
    let caller = Caller {
        state: Arc::clone(state),
        replay: RefCell::new(replay),
        is_random: Cell::new(false),
        has_written: Cell::new(false),
        unsure: Cell::new(None),
    };
    let bounds = Bounds {
        time,
        ticks: None,
        bytes: memory,
        may_begin_again: false,
    };
    let begun = interpreter.begin(bounds).map_err(Failure::from);
    let result = begun.and_then(|()| {
        set_globals(interpreter, function, call)?;
        let run = || interpreter.run(function, call, Gives::Nothing).map(drop);
        interpreter.bridge().lend(&caller, run)
    });
    match (caller.unsure.get(), result) {
        (Some(why), _) => Err(why),
        // An error ends the script where it ended on the primary. What it has written stays.
        (None, Ok(()) | Err(Failure::Error(..))) => Ok(()),
        (None, _) => Err(Unsure("it takes too long or too much memory")),
    }
}

//! Scripts that the upstream sent as their text: run on the writer's own hold, as its replicas run them.
//!
//! Under script replication a server sees to it that a script does the same everywhere: it hands sets and keys over in order, its
//! random numbers always begin alike, and no write comes after a command whose reply differs from server to server. All that is so
//! here, too. Source: redis 6.0 scripting.c, `luaRedisGenericCommand` and `evalGenericCommand`.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mlua::{Function, Lua, LuaString, MultiValue, Table, Value};

use super::api::{error_table, words};
use super::call::{Calls, lend};
use super::interpreter::{Failure, Interpreter};
use super::raise::{Fatal, end, throw};
use super::running::list;
use super::state::{Bounds, State};
use super::{Engine, to_lua};
use crate::command::{self, Command, Replay, Script, ScriptCall, Unsure};
use crate::limits::REPLAY_SECONDS_MAX;
use crate::resp::{Args, ArgsBuf, Protocol, Reply};

/// Source: redis 6.0 scripting.c, `luaRedisGenericCommand`.
const AFTER_RANDOM: &str = "Write commands not allowed after non deterministic commands. Call redis.replicate_commands() at the \
    start of your script in order to switch to single commands replication mode.";

/// What the script calls commands with.
struct Caller<'c, 'r, 'tx> {
    state: Arc<State>,
    inner: RefCell<(&'c mut Replay<'r, 'tx>, Reply)>,
    /// Whether a command was called whose reply differs from server to server.
    is_random: Cell<bool>,
    has_written: Cell<bool>,
    unsure: Cell<Option<Unsure>>,
}

impl Calls for Caller<'_, '_, '_> {
    fn call(&self, lua: &Lua, args: MultiValue, throws: bool) -> mlua::Result<Value> {
        self.state.tick().map_err(end)?;
        let mut given = ArgsBuf::default();
        let (value, is_error) = match words(args.into_iter(), &self.state, &mut given) {
            Err(text) => (self.error(lua, text.as_bytes())?, true),
            Ok(()) => self.perform(lua, given.as_args())?,
        };
        match &value {
            Value::Table(table) if is_error && throws => Err(throw(table.raw_get("err")?)),
            _ => Ok(value),
        }
    }

    /// It has not switched to sending its effects: else they would have come, not the script.
    fn replicates_commands(&self) -> mlua::Result<bool> {
        match self.has_written.get() {
            true => Ok(false),
            false => Err(self.give_up(Unsure("it calls redis.replicate_commands() first"))),
        }
    }
}

impl Caller<'_, '_, '_> {
    fn error(&self, lua: &Lua, text: &[u8]) -> mlua::Result<Value> {
        error_table(lua, &self.state, text).map(Value::Table)
    }

    /// Ends the script for good.
    fn give_up(&self, why: Unsure) -> mlua::Error {
        self.unsure.set(Some(why));
        end(self.state.doom(Fatal::Wider))
    }

    /// The command's reply and whether it is an error.
    fn perform(&self, lua: &Lua, args: Args<'_>) -> mlua::Result<(Value, bool)> {
        if self.state.resp3.load(Ordering::Relaxed) {
            return Err(self.give_up(Unsure("it asks for replies in RESP3")));
        }
        let row = match self.find(args)? {
            Ok(row) => row,
            Err(text) => return Ok((self.error(lua, text.as_bytes())?, true)),
        };
        let flagged = |flag| command::flagged(args, row, self.state.dialect, flag);
        if row.is_write() {
            if self.is_random.get() {
                return Ok((self.error(lua, AFTER_RANDOM.as_bytes())?, true));
            }
            self.has_written.set(true);
        }
        if flagged("random") {
            self.is_random.set(true);
        }
        let mut inner = self.inner.borrow_mut();
        let (replay, reply) = &mut *inner;
        reply.clear(super::call::KEPT_BYTES);
        replay
            .call(row, args, reply)
            .map_err(|why| self.give_up(why))?;
        if reply.overflowed() {
            return Err(end(self.state.doom(Fatal::Memory)));
        }
        let is_error = reply.as_bytes().starts_with(b"-");
        let value = to_lua::reply(lua, reply, &self.state)?;
        if let (Value::Table(table), true) = (&value, flagged("sort_for_script"))
            && reply.as_bytes().starts_with(b"*")
        {
            sort(table)?;
        }
        Ok((value, is_error))
    }

    /// The row that the words name, or what the script is told.
    fn find(&self, args: Args<'_>) -> mlua::Result<Result<&'static Command, &'static str>> {
        let dialect = self.state.dialect;
        let texts = dialect.script_call_errors();
        let container = command::lookup(args.at(0)).filter(|row| dialect.has(row.presence));
        let row = match (command::resolve_for(args, dialect), container) {
            (Ok(row), _) => row,
            (Err(_), None) => return Ok(Err(texts.unknown)),
            (Err(command::Error::Arity(_)), Some(_)) => return Ok(Err(texts.arity)),
            (Err(_), Some(_)) => {
                return Err(self.give_up(Unsure("it calls a subcommand that is not known")));
            }
        };
        if command::flagged(args, row, dialect, "noscript") || row.flags.has(command::Flags::SCRIPT)
        {
            return Ok(Err(texts.forbidden));
        }
        Ok(Ok(row))
    }
}

/// Puts texts in order. DIFFERENCE: in that of their bytes, where a server goes by the language of its environment.
fn sort(table: &Table) -> mlua::Result<()> {
    let mut texts: Vec<LuaString> = table.sequence_values().collect::<mlua::Result<_>>()?;
    texts.sort_by_cached_key(|text| text.as_bytes().to_vec());
    let mut texts = texts.into_iter().zip(1..);
    texts.try_for_each(|(text, at)| table.raw_seti(at, text))
}

impl Engine {
    /// Runs a script of the upstream's; see [`Scripting::replay`](crate::command::Scripting::replay).
    pub(super) fn run_again(
        &self,
        replay: &mut Replay<'_, '_>,
        call: &ScriptCall<'_>,
    ) -> Result<(), Unsure> {
        let dialect = replay.dialect();
        let broken = Unsure("there is no memory to run it");
        let mut evaluator = self.evaluator(dialect).map_err(|_| broken)?;
        let resolved = self.resolve(call.script, &mut evaluator);
        let (digest, text) = match (resolved, call.script) {
            (Ok(found), _) => found,
            (Err(_), Script::Text(_)) => return Err(Unsure("it does not compile here")),
            (Err(_), _) => {
                return Err(Unsure(
                    "its text was sent before the last full sync or start",
                ));
            }
        };
        let function = evaluator.function(&digest, &text).map_err(|_| broken)?;
        let result = run(&evaluator.interpreter, replay, call, &function);
        self.give_back(evaluator);
        result
    }
}

fn run(
    interpreter: &Interpreter,
    replay: &mut Replay<'_, '_>,
    call: &ScriptCall<'_>,
    function: &Function,
) -> Result<(), Unsure> {
    let state = &interpreter.state;
    let time = Duration::from_secs(REPLAY_SECONDS_MAX);
    let memory = crate::limits::SCRIPT_MEMORY_BYTES_MAX;
    let reply = Reply::new(Protocol::Resp2, replay.dialect(), memory);
    let caller = Caller {
        state: Arc::clone(state),
        inner: RefCell::new((replay, reply)),
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
    let result = begun.and_then(|()| lend(&caller, || answer(interpreter, call, function)));
    match (caller.unsure.get(), result) {
        (Some(why), _) => Err(why),
        // An error ends it as it ended at the primary: what it has written stays.
        (None, Ok(()) | Err(Failure::Error(..))) => Ok(()),
        (None, _) => Err(Unsure("it takes too long or too much memory")),
    }
}

fn answer(
    interpreter: &Interpreter,
    call: &ScriptCall<'_>,
    function: &Function,
) -> Result<(), Failure> {
    let lua = &interpreter.lua;
    let keys = list(lua, call.keys())?;
    let args = list(lua, call.arguments())?;
    let globals = interpreter.globals(Some([&keys, &args]))?;
    function.set_environment(globals)?;
    interpreter.run(function, None)?;
    Ok(())
}

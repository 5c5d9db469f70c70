//! One Lua interpreter: its libraries, its limits, and how it runs a script's function.

use std::cell::Cell;
use std::sync::{Arc, Mutex};

use mlua::{
    Function, HookTriggers, Lua, LuaOptions, LuaString, MultiValue, StdLib, Table, Value, VmState,
};

use super::bridge::{Bridge, Ended, Gives, Kept, Site, drop_kept, keep};
use super::call::Allowed;
use super::params::Params;
use super::raise::{Caught, Fatal, Raised, caught, end, place, raised_at, throw, throw_text};
use super::sandbox;
use super::state::{Bounds, Common, lock};
use crate::command::ScriptCall;
use crate::dialect::Dialect;
use crate::limits::SCRIPT_MEMORY_BYTES_MAX;

/// How many instructions run between two checks of the clock.
const INSTRUCTIONS_PER_TICK: u32 = 200;

/// If Lua uses more memory than this after a script, its garbage is collected right away.
const KEPT_BYTES: usize = 4 << 20;

/// The initial value of both collector settings. Source: Lua 5.1 luaconf.h, `LUAI_GCPAUSE`, `LUAI_GCMUL`.
const COLLECTOR_PERCENT: u32 = 200;

/// The globals of Lua that no script sees, in any version.
const REMOVED: &[&str] = &[
    "dofile", "loadfile", "require", "module", "package", "debug", "io",
];

/// The globals that scripts no longer see since Redis 7.0.
const REMOVED_SINCE: &[&str] = &["print", "getfenv", "setfenv", "newproxy"];

/// A Lua interpreter with everything that scripts of one dialect see.
pub(super) struct Interpreter {
    /// The Lua state.
    pub(super) lua: Lua,
    /// The state that all functions of the interpreter share.
    pub(super) state: Arc<Common>,
    /// The real tables. Scripts never see them directly.
    real: Table,
    /// The names `KEYS` and `ARGV`.
    names: [LuaString; 2],
    /// The globals that scripts see since Redis 7.0.
    globals: Option<Table>,
    /// The metatable of strings.
    texts: Option<Table>,
    /// Lua's own `next`.
    pub(super) next: Function,
    /// Lua's own `collectgarbage`. Scripts may change its settings.
    collect: Function,
    failure: Arc<Mutex<Option<Failure>>>,
    allowed: Cell<Option<Allowed>>,
    /// The memory limit that is set in Lua, in bytes.
    limit: Cell<usize>,
    /// Lua points into it, so it must be declared after `lua`: fields are dropped in declaration order.
    site: Site,
}

/// A compiled function of a script or a library.
pub(super) struct Compiled {
    pub(super) function: Function,
    kept: Kept,
}

/// Why a script failed.
#[derive(Debug, Clone)]
pub(super) enum Failure {
    /// The script raised this value, at this source and line.
    Error(Value, Option<(String, i64)>),
    /// The script was ended.
    Fatal(Fatal),
    /// The script was not started. The text is the error for the client.
    Refused(String),
}

impl From<mlua::Error> for Failure {
    /// Converts an error of Lua itself. If it is not a [`Fatal`], Lua ran out of memory.
    fn from(error: mlua::Error) -> Self {
        Self::Fatal(match error.downcast_ref::<Fatal>() {
            Some(fatal) => *fatal,
            None => Fatal::Memory,
        })
    }
}

impl Interpreter {
    /// Creates an interpreter. `own` may change the globals and the table `redis` first.
    pub(super) fn new(
        dialect: Dialect,
        own: impl FnOnce(&Lua, &Table, &Table) -> mlua::Result<()>,
    ) -> mlua::Result<Self> {
        let libraries = StdLib::TABLE | StdLib::STRING | StdLib::MATH | StdLib::OS;
        let lua = Lua::new_with(libraries, LuaOptions::default())?;
        lua.set_memory_limit(SCRIPT_MEMORY_BYTES_MAX)?;
        let state = Common::new(dialect);
        watch(&lua, &state)?;
        let next: Function = lua.globals().raw_get("next")?;
        let collect: Function = lua.globals().raw_get("collectgarbage")?;
        let texts = texts_metatable(&lua);
        let real = sandbox::copy(&lua, &lua.globals())?;
        replace(&lua, &real, &state)?;
        remove(&lua, &real, dialect)?;
        super::library::add(&lua, &real, &state)?;
        let api = super::api::table(&lua, &state)?;
        own(&lua, &real, &api)?;
        let site = Site::add(&lua, &api)?;
        for name in dialect.api_names() {
            real.raw_set(*name, &api)?;
        }
        let globals = if dialect.protects_globals() {
            Some(sandbox::protect_globals(&lua, &real, texts.as_ref())?)
        } else {
            None
        };
        let failure = Arc::default();
        let handler = handler(&lua, &state, &failure)?;
        let site = site.build(&lua, &state, &real, &handler)?;
        // C functions use this table as their environment.
        lua.globals().clear()?;
        let names = [lua.create_string("KEYS")?, lua.create_string("ARGV")?];
        Ok(Self {
            lua,
            state,
            real,
            names,
            globals,
            texts,
            next,
            collect,
            failure,
            allowed: Cell::default(),
            limit: Cell::new(SCRIPT_MEMORY_BYTES_MAX),
            site,
        })
    }

    /// Returns the globals that scripts see. Since Redis 7.0 this is always the same table; before, each script has its own.
    pub(super) fn globals(&self) -> mlua::Result<Table> {
        match &self.globals {
            Some(globals) => Ok(globals.clone()),
            None => self.fresh_globals(None),
        }
    }

    fn put(&self, holder: &Table, own: Option<[&Table; 2]>) -> mlua::Result<()> {
        let own = own.into_iter().flatten();
        self.names
            .iter()
            .zip(own)
            .try_for_each(|(name, value)| holder.raw_set(name, value))
    }

    /// Returns new globals for one script before Redis 7.0. They include its keys and arguments if `own` has them.
    pub(super) fn fresh_globals(&self, own: Option<[&Table; 2]>) -> mlua::Result<Table> {
        let globals = sandbox::own_globals(&self.lua, &self.real)?;
        self.put(&globals, own)?;
        globals.set_metatable(Some(sandbox::strict(&self.lua)?))?;
        if let Some(texts) = &self.texts {
            texts.clear()?;
            texts.raw_set("__index", globals.raw_get::<Value>("string")?)?;
        }
        self.lua.set_globals(globals.clone())?;
        Ok(globals)
    }

    /// Runs `function` with the keys and arguments of `call`. The caller takes the first result from the returned [`Ended`].
    pub(super) fn run(
        &self,
        function: &Compiled,
        call: &ScriptCall<'_>,
        gives: Gives,
    ) -> Result<Ended<'_>, Failure> {
        let ended = self.bridge().run(function.kept, call, gives);
        let is_fatal = self.state.fatal().is_some();
        if !ended.failed && !is_fatal {
            return Ok(ended);
        }
        let failed = lock(&self.failure).take();
        if is_fatal {
            return Err(self.fatal(Fatal::Time));
        }
        Err(failed.unwrap_or_else(|| match ended.value(&self.lua) {
            Ok(value) => self.unhandled(value),
            Err(error) => error.into(),
        }))
    }

    /// The bridge to this interpreter's Lua.
    pub(super) fn bridge(&self) -> &Bridge {
        self.site.bridge()
    }

    /// Makes a function ready to run.
    pub(super) fn keep(&self, function: Function) -> mlua::Result<Compiled> {
        let kept = keep(&self.lua, &function)?;
        Ok(Compiled { function, kept })
    }

    /// Drops a function that [`keep`](Self::keep) made ready.
    pub(super) fn forget(&self, function: &Compiled) -> mlua::Result<()> {
        drop_kept(&self.lua, function.kept)
    }

    fn fatal(&self, fatal: Fatal) -> Failure {
        Failure::Fatal(self.state.doom(fatal))
    }

    /// Turns an error value that the handler did not see into a failure: Lua does not call the handler when there is no memory,
    /// nor when the handler itself fails.
    fn unhandled(&self, value: Value) -> Failure {
        match caught(&self.lua, value) {
            Ok(Caught::Value(raised)) => Failure::Error(raised.value, None),
            Ok(Caught::Fatal(fatal)) => self.fatal(fatal),
            Err(_) => self.fatal(Fatal::Memory),
        }
    }

    /// Sets the bounds for a script that starts, or starts over.
    pub(super) fn begin(&self, bounds: Bounds) -> mlua::Result<()> {
        if self.limit.replace(bounds.bytes) != bounds.bytes {
            self.lua.set_memory_limit(bounds.bytes)?;
        }
        self.state.begin(bounds);
        Ok(())
    }

    /// Returns the bytes that Lua uses.
    pub(super) fn memory_bytes(&self) -> usize {
        self.lua.used_memory()
    }

    /// Frees what the last script left. Returns false if the interpreter should be thrown away instead. `sets_collector` says
    /// whether the script may have changed the settings of the garbage collector.
    pub(super) fn tidy(&self, sets_collector: bool) -> bool {
        if self.state.fatal().is_some() || sets_collector && self.reset_collector().is_err() {
            return false;
        }
        self.lua.used_memory() <= KEPT_BYTES
            || self.lua.gc_collect().is_ok() && self.lua.used_memory() <= KEPT_BYTES * 2
    }

    /// Compiles a script under the chunk name `source`, to run with the current globals.
    ///
    /// # Errors
    /// Returns Lua's error message if the text does not compile.
    pub(super) fn compile(&self, code: &[u8], source: &str) -> Result<Function, CompileError> {
        let chunk = self.lua.load(code).set_name(source);
        let chunk = chunk.set_mode(mlua::chunk::ChunkMode::Text);
        chunk.into_function().map_err(|error| match error {
            mlua::Error::SyntaxError { message, .. } => CompileError::Syntax(message),
            _ => CompileError::Memory,
        })
    }

    /// Takes the list of allowed commands that the last script left.
    pub(super) fn take_allowed(&self) -> Allowed {
        self.allowed.take().unwrap_or_default()
    }

    /// Keeps the list of allowed commands for the next script.
    pub(super) fn keep_allowed(&self, allowed: Allowed) {
        self.allowed.set(Some(allowed));
    }

    fn reset_collector(&self) -> mlua::Result<()> {
        self.lua.gc_restart();
        ["setpause", "setstepmul"]
            .into_iter()
            .try_for_each(|setting| self.collect.call::<()>((setting, COLLECTOR_PERCENT)))
    }
}

/// Runs `build`, which creates the Lua values for a reply or a request of `bytes` bytes. If there is plenty of room, it runs
/// without Lua's memory limit, because under a limit every single value costs a protected call.
pub(super) fn building<R>(
    lua: &Lua,
    state: &Common,
    bytes: usize,
    build: impl FnOnce() -> mlua::Result<R>,
) -> mlua::Result<R> {
    let limit = state.bytes_max();
    let needed = bytes.saturating_mul(VALUE_BYTES_PER_BYTE);
    if needed.saturating_add(lua.used_memory()) > limit {
        return build();
    }
    lua.set_memory_limit(0)?;
    let built = build();
    lua.set_memory_limit(limit)?;
    built
}

/// An upper bound for the memory that one byte of RESP takes in Lua: four bytes are enough for a table.
const VALUE_BYTES_PER_BYTE: usize = 48;

/// Whether a script may reach `collectgarbage`, by its name or through something that leads to all globals.
pub(super) fn may_set_collector(code: &[u8]) -> bool {
    ["collectgarbage", "_G", "fenv", "load"]
        .into_iter()
        .any(|name| memchr::memmem::find(code, name.as_bytes()).is_some())
}

/// Why a text does not compile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CompileError {
    /// Lua's own message.
    Syntax(String),
    /// There is not enough memory for it.
    Memory,
}

/// Checks the clock every [`INSTRUCTIONS_PER_TICK`] instructions, in coroutines too.
fn watch(lua: &Lua, state: &Arc<Common>) -> mlua::Result<()> {
    let shared = Arc::clone(state);
    let triggers = HookTriggers::new().every_nth_instruction(INSTRUCTIONS_PER_TICK);
    lua.set_global_hook(triggers, move |_, _| match shared.tick() {
        Ok(()) => Ok(VmState::Continue),
        Err(fatal) => Err(end(fatal)),
    })
}

fn texts_metatable(lua: &Lua) -> Option<Table> {
    lua.type_metatable::<mlua::LuaString>()
}

fn remove(lua: &Lua, real: &Table, dialect: Dialect) -> mlua::Result<()> {
    for name in REMOVED {
        real.raw_remove(*name)?;
    }
    if dialect.protects_globals() {
        for name in REMOVED_SINCE {
            real.raw_remove(*name)?;
        }
    } else {
        // DIFFERENCE: a server prints to its own standard output; here nothing is printed.
        real.raw_set("print", lua.create_function(|_, _: MultiValue| Ok(()))?)?;
        let native = real.raw_get("newproxy")?;
        real.raw_set("newproxy", sandbox::newproxy(lua, native)?)?;
    }
    let os: Table = real.raw_get("os")?;
    let clock: Value = os.raw_get("clock")?;
    real.raw_remove("os")?;
    if dialect.has_script_clock() {
        real.raw_set("os", lua.create_table_from([("clock", clock)])?)?;
    }
    Ok(())
}

const PRELUDE: &str = include_str!("prelude.lua");

/// Replaces some of Lua's functions with our own.
fn replace(lua: &Lua, real: &Table, state: &Arc<Common>) -> mlua::Result<()> {
    let threads: Table = real.raw_get("coroutine")?;
    let prelude = lua.load(PRELUDE).set_name("=prelude").into_function()?;
    let arguments: Vec<Value> = vec![
        real.raw_get("pcall")?,
        real.raw_get("xpcall")?,
        threads.raw_get("resume")?,
        threads.raw_get("create")?,
        Value::Function(catcher(lua, state, false)?),
        Value::Function(catcher(lua, state, state.dialect.protects_globals())?),
        Value::Function(rethrow(lua, state)?),
        Value::Function(seen(lua)?),
        Value::Function(lua.create_function(absent)?),
        Value::Boolean(state.dialect.protects_globals()),
    ];
    let ours: Table = prelude.call(MultiValue::from_vec(arguments))?;
    for name in ["pcall", "xpcall"] {
        real.raw_set(name, ours.raw_get::<Value>(name)?)?;
    }
    for name in ["resume", "wrap"] {
        threads.raw_set(name, ours.raw_get::<Value>(name)?)?;
    }
    real.raw_set("loadstring", lua.create_function(loadstring)?)?;
    // `tables::replace` takes it out again.
    real.raw_set("counted", ours.raw_get::<Value>("counted")?)?;
    let load: Function = ours.raw_get("load")?;
    let join = lua.create_function(load_pieces)?;
    real.raw_set("load", load.call::<Function>(join)?)?;
    sandbox::add_random(lua, &real.raw_get("math")?, state)
}

/// Returns the function that builds the result of a failed `pcall`: `false` and the error. Since Redis 7.0 commands throw a
/// table, but scripts catch its text. Source: redis 7.0 script_lua.c, `luaRedisPcall`.
fn catcher(lua: &Lua, state: &Arc<Common>, textual: bool) -> mlua::Result<Function> {
    let state = Arc::clone(state);
    lua.create_function(move |lua, value: Value| {
        let raised = visible(lua, &state, value)?;
        let value = match &raised.value {
            Value::Table(table) if textual => {
                let text = table.get::<Value>("err")?;
                let is_text = lua.coerce_string(text.clone())?.is_some();
                if is_text { text } else { raised.value }
            }
            _ => raised.value,
        };
        Ok((false, value))
    })
}

/// Returns the caught error, unless it must end the script.
fn visible(lua: &Lua, state: &Common, value: Value) -> mlua::Result<Raised> {
    match caught(lua, value)? {
        Caught::Value(raised) => Ok(raised),
        Caught::Fatal(fatal) => Err(end(state.doom(fatal))),
    }
}

/// Throws an error caught in a coroutine again, in the caller. Source: Lua 5.1 lbaselib.c, `auxwrap`.
fn rethrow(lua: &Lua, state: &Arc<Common>) -> mlua::Result<Function> {
    let state = Arc::clone(state);
    lua.create_function(move |lua, value: Value| -> mlua::Result<()> {
        let raised = visible(lua, &state, value)?;
        match lua.coerce_string(raised.value.clone())? {
            Some(text) => {
                let place = place(lua, 3);
                let text = [place.as_bytes(), &text.as_bytes()].concat();
                Err(throw_text(lua, text))
            }
            None => Err(throw(raised.value)),
        }
    })
}

/// Throws the error that the argument `number` of the calling function is missing. Source: Lua 5.1 lauxlib.c, `luaL_checkany`.
fn absent(lua: &Lua, number: usize) -> mlua::Result<()> {
    let name = lua.inspect_stack(1, |frame| {
        frame.names().name.map(std::borrow::Cow::into_owned)
    });
    let name = name.flatten().unwrap_or_else(|| "?".to_owned());
    let place = place(lua, 2);
    let text = format!("{place}bad argument #{number} to '{name}' (value expected)");
    Err(throw_text(lua, text))
}

/// Returns the part of an error that a script may see, and whether the error is hidden from the script.
fn seen(lua: &Lua) -> mlua::Result<Function> {
    lua.create_function(|lua, value: Value| match caught(lua, value)? {
        Caught::Value(raised) => Ok((raised.value, false)),
        Caught::Fatal(_) => Ok((Value::Nil, true)),
    })
}

/// `loadstring`. DIFFERENCE: it takes source text only, even before Redis 7.0, because compiled code can break out of Lua.
fn loadstring(lua: &Lua, args: MultiValue) -> mlua::Result<(Value, Value)> {
    let args = Params::new(lua, args);
    let code = args.text(1)?;
    let name = if args.is_none(2) {
        code.clone()
    } else {
        args.text(2)?
    };
    compile(lua, &code.as_bytes(), &name.as_bytes())
}

/// Compiles the pieces that `load` has read.
fn load_pieces(lua: &Lua, (pieces, name): (Table, Value)) -> mlua::Result<(Value, Value)> {
    let mut code = Vec::new();
    for piece in pieces.sequence_values::<mlua::LuaString>() {
        code.extend_from_slice(&piece?.as_bytes());
    }
    let name = lua.coerce_string(name)?;
    let name = name.map_or_else(|| b"=(load)".to_vec(), |name| name.as_bytes().to_vec());
    compile(lua, &code, &name)
}

fn compile(lua: &Lua, code: &[u8], name: &[u8]) -> mlua::Result<(Value, Value)> {
    let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
    let chunk = lua.load(code).set_name(String::from_utf8_lossy(name));
    match chunk.set_mode(mlua::chunk::ChunkMode::Text).into_function() {
        Ok(function) => Ok((Value::Function(function), Value::Nil)),
        Err(mlua::Error::SyntaxError { message, .. }) => {
            Ok((Value::Nil, Value::String(lua.create_string(message)?)))
        }
        Err(error) => Err(error),
    }
}

/// Returns the error handler. It records the error that a script failed with, and where: for an error raised in a C function,
/// the line that called it. Source: redis 7.0 eval.c, `scriptingInit`.
fn handler(
    lua: &Lua,
    state: &Arc<Common>,
    failure: &Arc<Mutex<Option<Failure>>>,
) -> mlua::Result<Function> {
    let (state, failure) = (Arc::clone(state), Arc::clone(failure));
    lua.create_function(move |lua, value: Value| {
        let failed = match caught(lua, value)? {
            Caught::Fatal(fatal) => Failure::Fatal(state.doom(fatal)),
            Caught::Value(raised) => {
                let origin = raised
                    .origin
                    .map(|(source, line)| (source.to_owned(), line));
                Failure::Error(raised.value, origin.or_else(|| raised_at(lua)))
            }
        };
        *lock(&failure) = Some(failed);
        Ok(())
    })
}

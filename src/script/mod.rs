//! Lua: scripts and functions that read.
//!
//! The room runs EVAL and FCALL as a read-only replica does: what writes is refused in the servers' own words. It knows
//! nothing of connections beyond the session of [`crate::command`], through whose rows alone scripts reach the data, and it
//! never sees a mutable store.
//!
//! A script holds the read locks of its database from its first to its last command: all of it is of one moment, and the
//! writer waits. So it is bounded in time and memory, and what would run on inside Lua's own C functions, where no clock is
//! looked at, is written again here: searching with patterns, sorting, repeating. An [`Engine`] keeps a few interpreters for
//! all connections; one that was ended by force is thrown away.

mod api;
mod call;
mod failure;
mod functions;
mod interpreter;
mod library;
mod params;
mod raise;
mod random;
mod replay;
mod sandbox;
mod shebang;
mod state;
mod texts;
mod to_lua;
mod to_reply;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use mlua::{Function, Table, Value, Variadic};

use self::api::Word;
use self::call::Caller;
use self::functions::Loaded;
use self::interpreter::{CompileError, Failure, Interpreter};
use self::raise::Fatal;
use self::state::lock;
use self::texts::{Text, Texts};
use self::to_reply::Writer;
use crate::command::{
    Error, FunctionShown, LibraryShown, Replay, Script, ScriptCall, Scripting, SessionCx, Unsure,
};
use crate::dialect::Dialect;
use crate::limits::{
    SCRIPT_MEMORY_BYTES_MAX, SCRIPT_MEMORY_BYTES_MIN, SCRIPT_MILLISECONDS_MAX, SCRIPTS_MEMORY_BYTES,
};
use crate::store::{Generation, Keyspaces, Libraries, Slot, View, unix_ms};

/// Interpreters that wait for the next script.
const IDLE_MAX: usize = 4;

/// Compiled scripts that an interpreter keeps.
const COMPILED_MAX: usize = 500;

/// Runs the scripts of all connections.
#[derive(Default)]
pub struct Engine {
    texts: Mutex<Texts>,
    idle: Mutex<Vec<Evaluator>>,
    loaded: Mutex<Vec<Loaded>>,
    running: Mutex<Vec<Arc<AtomicBool>>>,
}

/// An interpreter of EVAL's scripts, with those that it has compiled.
struct Evaluator {
    interpreter: Interpreter,
    compiled: HashMap<String, Function>,
}

impl Evaluator {
    fn new(dialect: Dialect) -> Result<Self, Error> {
        let interpreter = Interpreter::new(dialect, |lua, real, _| {
            sandbox::add_helpers(lua, real, dialect)
        })
        .map_err(|_| fatal(Fatal::Memory))?;
        // Scripts are compiled to run with these.
        interpreter
            .globals(&[], &[])
            .map_err(|_| fatal(Fatal::Memory))?;
        Ok(Self {
            interpreter,
            compiled: HashMap::new(),
        })
    }

    /// The function of a script.
    fn function(&mut self, digest: &str, text: &Text) -> Result<Function, Error> {
        if let Some(function) = self.compiled.get(digest) {
            return Ok(function.clone());
        }
        let code = text.code.get(text.start..).unwrap_or_default();
        let function = if self.interpreter.state.dialect.protects_globals() {
            self.compile(code)?
        } else {
            self.define(digest, code)?
        };
        if self.compiled.len() >= COMPILED_MAX {
            self.compiled.clear();
        }
        self.compiled.insert(digest.to_owned(), function.clone());
        Ok(function)
    }

    fn compile(&self, code: &[u8]) -> Result<Function, Error> {
        let compiled = self.interpreter.compile(code, "@user_script");
        compiled.map_err(|error| match error {
            CompileError::Syntax(text) => {
                Error::Owned(format!("ERR Error compiling script (new function): {text}"))
            }
            CompileError::Memory => fatal(Fatal::Memory),
        })
    }

    /// Before Redis 7.0 a script is the body of a function. Source: redis 6.0 scripting.c, `luaCreateFunction`.
    fn define(&self, digest: &str, code: &[u8]) -> Result<Function, Error> {
        let name = format!("f_{digest}");
        let definition = [b"function ", name.as_bytes(), b"() ", code, b"\nend"].concat();
        let chunk = self.compile(&definition)?;
        let defined = || -> mlua::Result<Function> {
            let scratch = self.interpreter.lua.create_table()?;
            chunk.set_environment(scratch.clone())?;
            chunk.call::<()>(())?;
            scratch.raw_get(name)
        };
        defined().map_err(|error| {
            let text = error.to_string();
            let text = text.split("\nstack traceback:").next().unwrap_or_default();
            Error::Owned(format!("ERR Error running script (new function): {text}"))
        })
    }
}

fn fatal(fatal: Fatal) -> Error {
    Error::Owned(fatal.to_string())
}

/// What to hold while a script runs: its database, or all of them.
fn hold(spaces: &Keyspaces, db: Option<usize>) -> Vec<View<'_>> {
    let slots: Vec<Slot> = match db {
        Some(db) => spaces.slots_of_db(db).collect(),
        None => (0..spaces.databases())
            .flat_map(|db| spaces.slots_of_db(db))
            .collect(),
    };
    spaces.hold(slots)
}

impl Engine {
    /// An engine that has run nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn evaluator(&self, dialect: Dialect) -> Result<Evaluator, Error> {
        let mut idle = lock(&self.idle);
        idle.retain(|one| one.interpreter.state.dialect == dialect);
        let found = idle.pop();
        drop(idle);
        found.map_or_else(|| Evaluator::new(dialect), Ok)
    }

    fn give_back(&self, evaluator: Evaluator) {
        if evaluator.interpreter.tidy() {
            let mut idle = lock(&self.idle);
            if idle.len() < IDLE_MAX {
                idle.push(evaluator);
            }
        }
    }

    /// The text of a script, and its digest. What is not known yet is compiled first.
    fn resolve(
        &self,
        script: Script<'_>,
        evaluator: &mut Evaluator,
    ) -> Result<(String, Text), Error> {
        let (digest, code) = match script {
            Script::Text(code) => (api::digest(code), Some(code)),
            Script::Digest(digest) | Script::Function(digest) => {
                (String::from_utf8_lossy(digest).to_ascii_lowercase(), None)
            }
        };
        if let Some(text) = lock(&self.texts).get(&digest) {
            return Ok((digest, text.clone()));
        }
        let dialect = evaluator.interpreter.state.dialect;
        let code = code.ok_or(Error::Text(dialect.unknown_script()))?;
        let (flags, start) = shebang::read(code, dialect)
            .map_err(|text| Error::Quoting([b"ERR ", &*text].concat()))?;
        let code = Bytes::copy_from_slice(code);
        let text = Text { code, flags, start };
        evaluator.function(&digest, &text)?;
        lock(&self.texts).insert(digest.clone(), text.clone());
        Ok((digest, text))
    }

    fn evaluate(
        &self,
        cx: &mut SessionCx<'_>,
        call: &ScriptCall<'_>,
        evaluator: &mut Evaluator,
    ) -> Result<(), Error> {
        let (digest, text) = self.resolve(call.script, evaluator)?;
        let function = evaluator.function(&digest, &text)?;
        if let Some(flags) = text.flags
            && !flags.reads_only()
        {
            return Err(WRITES);
        }
        let is_read_only = call.is_read_only || text.flags.is_some();
        let task = Task {
            call,
            function,
            is_read_only,
            name: &digest,
            globals: None,
        };
        self.run_held(cx, &evaluator.interpreter, &task)
    }

    /// An interpreter with `libraries` in it.
    fn loaded(&self, dialect: Dialect, libraries: &Arc<Libraries>) -> Result<Loaded, Error> {
        let mut loaded = lock(&self.loaded);
        loaded.retain(|one| {
            one.interpreter.state.dialect == dialect && Arc::ptr_eq(&one.libraries, libraries)
        });
        let found = loaded.pop();
        drop(loaded);
        found.map_or_else(|| Loaded::new(dialect, Arc::clone(libraries)), Ok)
    }

    fn give_back_loaded(&self, one: Loaded) {
        if one.interpreter.tidy() {
            let mut loaded = lock(&self.loaded);
            if loaded.len() < IDLE_MAX {
                loaded.push(one);
            }
        }
    }

    fn call(
        &self,
        cx: &mut SessionCx<'_>,
        call: &ScriptCall<'_>,
        name: &[u8],
    ) -> Result<(), Error> {
        let generation = cx.generation.ok_or(NO_FUNCTION)?;
        let libraries = generation.spaces.libraries();
        let loaded = self.loaded(cx.reply.dialect(), &libraries)?;
        let function = loaded.function(name).ok_or(NO_FUNCTION)?;
        let task = Task {
            call,
            function,
            // Those that write are refused before.
            is_read_only: true,
            name: &String::from_utf8_lossy(name),
            globals: Some(loaded.globals.clone()),
        };
        let result = self.run_held(cx, &loaded.interpreter, &task);
        drop(task);
        self.give_back_loaded(loaded);
        result
    }

    /// Notes that a script runs: by what it can be ended, and how many bytes it may hold.
    fn enter(&self) -> (Arc<AtomicBool>, usize) {
        let killed = Arc::new(AtomicBool::new(false));
        let mut running = lock(&self.running);
        running.push(Arc::clone(&killed));
        let part = SCRIPTS_MEMORY_BYTES / running.len();
        let bytes = part.clamp(SCRIPT_MEMORY_BYTES_MIN, SCRIPT_MEMORY_BYTES_MAX);
        (killed, bytes)
    }

    /// Runs a script while its database is held; if it wants others, once more, while all are.
    fn run_held(
        &self,
        cx: &mut SessionCx<'_>,
        interpreter: &Interpreter,
        task: &Task<'_>,
    ) -> Result<(), Error> {
        let (killed, bytes) = self.enter();
        let mark = cx.reply.len();
        let begin = || {
            let time = Duration::from_millis(SCRIPT_MILLISECONDS_MAX);
            interpreter.begin(time, bytes, Arc::clone(&killed))
        };
        let mut result = run_once(cx, interpreter, task, begin, Some(cx.session.db));
        if matches!(result, Err(Failure::Fatal(Fatal::Databases))) {
            cx.reply.truncate(mark);
            result = run_once(cx, interpreter, task, begin, None);
        }
        lock(&self.running).retain(|running| !Arc::ptr_eq(running, &killed));
        result.map_err(|failure| {
            let dialect = interpreter.state.dialect;
            failure::error(&interpreter.lua, failure, dialect, task.name)
        })
    }
}

/// A function that is to be run.
struct Task<'t> {
    call: &'t ScriptCall<'t>,
    function: Function,
    is_read_only: bool,
    /// What errors call it.
    name: &'t str,
    /// The globals of a function.
    globals: Option<Table>,
}

const NO_FUNCTION: Error = Error::Text("ERR Function not found");
const WRITES: Error =
    Error::Text("READONLY Can not run script with write flag on readonly replica");

fn run_once(
    cx: &mut SessionCx<'_>,
    interpreter: &Interpreter,
    task: &Task<'_>,
    begin: impl Fn() -> mlua::Result<()>,
    db: Option<usize>,
) -> Result<(), Failure> {
    let held = cx.generation.map(|generation| hold(&generation.spaces, db));
    // Its time is that for which it holds others off.
    begin()?;
    let state = &interpreter.state;
    let now_ms = cx.session.clock.unwrap_or_else(unix_ms);
    let caller = Caller::new(cx, state, task.is_read_only, db, now_ms);
    let mut result = Ok(());
    let lent = interpreter.scope(|scope| {
        let call =
            scope.create_function(|lua, args: Variadic<Word>| caller.call(lua, &args, true))?;
        let pcall =
            scope.create_function(|lua, args: Variadic<Word>| caller.call(lua, &args, false))?;
        result = answer(cx, interpreter, task, &[("call", call), ("pcall", pcall)]);
        Ok(())
    });
    drop(held);
    match lent {
        Ok(()) => result,
        Err(error) => Err(error.into()),
    }
}

/// Runs the function and writes what it gives.
fn answer(
    cx: &mut SessionCx<'_>,
    interpreter: &Interpreter,
    task: &Task<'_>,
    lent: &[(&str, Function)],
) -> Result<(), Failure> {
    let lua = &interpreter.lua;
    let keys = list(lua, task.call.keys())?;
    let args = list(lua, task.call.arguments())?;
    let (own, arguments) = if task.globals.is_some() {
        (Vec::new(), Some((keys, args)))
    } else {
        let own = vec![("KEYS", Value::Table(keys)), ("ARGV", Value::Table(args))];
        (own, None)
    };
    let globals = interpreter.globals(&own, lent)?;
    if let Some(globals) = &task.globals {
        lua.set_globals(globals.clone())?;
    } else if !interpreter.state.dialect.protects_globals() {
        task.function.set_environment(globals)?;
    }
    let value = interpreter.run(&task.function, arguments)?;
    let state = &interpreter.state;
    let places = state.dialect.script_stack_places();
    let writer = Writer {
        reply: cx.reply,
        resp3: state.resp3.load(Ordering::Relaxed),
        state,
        next: &interpreter.next,
        waiting: lua.create_table()?,
    };
    Ok(writer.write(value, places)?)
}

fn list<'w>(lua: &mlua::Lua, words: impl Iterator<Item = &'w [u8]>) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    for (index, word) in words.enumerate() {
        table.raw_seti(index + 1, lua.create_string(word)?)?;
    }
    Ok(table)
}

impl Engine {
    fn function_writes(&self, cx: &SessionCx<'_>, name: &[u8]) -> bool {
        let libraries = cx
            .generation
            .and_then(|generation| self.libraries(generation).ok());
        let libraries = libraries.unwrap_or_default();
        let mut functions = libraries.iter().flat_map(|library| &library.functions);
        functions
            .find(|function| function.name == name)
            .is_some_and(FunctionShown::writes)
    }
}

impl Scripting for Engine {
    fn run(&self, cx: &mut SessionCx<'_>, call: &ScriptCall<'_>) -> Result<(), Error> {
        if let Script::Function(name) = call.script {
            return self.call(cx, call, name);
        }
        let mut evaluator = self.evaluator(cx.reply.dialect())?;
        let result = self.evaluate(cx, call, &mut evaluator);
        self.give_back(evaluator);
        result
    }

    fn writes(&self, cx: &SessionCx<'_>, script: Script<'_>) -> bool {
        let flags = match script {
            Script::Text(code) => shebang::flags(code, cx.reply.dialect()),
            Script::Digest(digest) => {
                let digest = String::from_utf8_lossy(digest).to_ascii_lowercase();
                lock(&self.texts).get(&digest).and_then(|text| text.flags)
            }
            Script::Function(name) => return self.function_writes(cx, name),
        };
        flags.is_some_and(|flags| !flags.reads_only())
    }

    fn replay(&self, replay: &mut Replay<'_, '_>, call: &ScriptCall<'_>) -> Result<(), Unsure> {
        self.run_again(replay, call)
    }

    fn load(&self, code: &[u8], dialect: Dialect) -> Result<String, Error> {
        let mut evaluator = self.evaluator(dialect)?;
        let text = self.resolve(Script::Text(code), &mut evaluator);
        self.give_back(evaluator);
        text.map(|(digest, _)| digest)
    }

    fn text(&self, digest: &[u8]) -> Option<Bytes> {
        let digest = String::from_utf8_lossy(digest).to_ascii_lowercase();
        let texts = lock(&self.texts);
        texts.get(&digest).map(|text| text.code.clone())
    }

    fn flush(&self) {
        lock(&self.texts).clear();
        lock(&self.idle).clear();
    }

    fn libraries(&self, generation: &Generation) -> Result<Arc<Vec<LibraryShown>>, Error> {
        let loaded = self.loaded(generation.dialect, &generation.spaces.libraries())?;
        let shown = Arc::clone(&loaded.shown);
        self.give_back_loaded(loaded);
        Ok(shown)
    }

    fn check_library(&self, code: &[u8], dialect: Dialect) -> Result<(), Error> {
        let mut libraries = Libraries::default();
        let added = libraries.add(Bytes::copy_from_slice(code), false);
        added.map_err(|error| Error::Owned(error.to_string()))?;
        let loaded = Loaded::new(dialect, Arc::new(libraries))?;
        match loaded.shown.iter().any(|one| one.functions.is_empty()) {
            true => Err(Error::Text("ERR No functions registered")),
            false => Ok(()),
        }
    }

    fn kill(&self) -> bool {
        let running = lock(&self.running);
        running
            .iter()
            .for_each(|one| one.store(true, Ordering::Relaxed));
        !running.is_empty()
    }
}

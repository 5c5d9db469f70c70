//! Function libraries, loaded into interpreters of their own. Source: redis 7.0 function_lua.c.
//!
//! The libraries that the primary accepted are loaded when they are first needed, and again after they have changed.
//! DIFFERENCE: each interpreter has its own copy of the variables that a library keeps.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mlua::{Function, Lua, MultiValue, Table, Value};

use super::api;
use super::habit::Habit;
use super::interpreter::{CompileError, Compiled, Interpreter, may_set_collector};
use super::params::Params;
use super::raise::{Caught, caught_error, throw};
use super::sandbox::{self, Shared};
use super::shebang::ScriptFlags;
use super::state::{Bounds, Common, lock};
use crate::command::{Error, FunctionShown, LibraryShown};
use crate::dialect::Dialect;
use crate::limits::{SCRIPT_MEMORY_BYTES_MAX, SCRIPT_MILLISECONDS_MAX};
use crate::store::{Libraries, Library, Tainted};

/// An interpreter with all libraries loaded.
pub(super) struct Loaded {
    pub(super) interpreter: Interpreter,
    functions: HashMap<Vec<u8>, Compiled, ahash::RandomState>,
    /// The facts about the libraries. All interpreters share them.
    pub(super) known: Arc<Known>,
}

/// The facts about libraries that were loaded.
pub(super) struct Known {
    /// The dialect that they were loaded for.
    pub(super) dialect: Dialect,
    /// The libraries themselves.
    pub(super) libraries: Arc<Libraries>,
    /// What FUNCTION LIST shows of them.
    pub(super) shown: Arc<Vec<LibraryShown>>,
    functions: HashMap<Vec<u8>, Facts, ahash::RandomState>,
    /// Whether one of them may change the settings of the garbage collector.
    pub(super) sets_collector: bool,
}

/// The facts about a function.
pub(super) struct Facts {
    /// Its name in error messages.
    pub(super) name: String,
    /// Whether its flags allow it to write.
    pub(super) writes: bool,
    /// Whether it has variables that it shares with other functions or keeps from one call to the next. If so, it cannot start
    /// over.
    pub(super) keeps_variables: bool,
    /// How much it held lately.
    pub(super) habit: Habit,
}

impl Facts {
    fn new(shown: &FunctionShown, function: &Function) -> Self {
        Self {
            name: String::from_utf8_lossy(&shown.name).into_owned(),
            writes: shown.writes(),
            // The globals are protected, so upvalues are the only place to keep anything.
            keeps_variables: function.info().num_upvalues > 0,
            habit: Habit::default(),
        }
    }
}

impl Known {
    /// Returns the facts about the function called `name`.
    pub(super) fn function(&self, name: &[u8]) -> Option<&Facts> {
        self.functions.get(name)
    }

    /// Whether these facts are about `libraries`, in `dialect`.
    pub(super) fn is_of(&self, dialect: Dialect, libraries: &Arc<Libraries>) -> bool {
        self.dialect == dialect && Arc::ptr_eq(&self.libraries, libraries)
    }
}

/// The functions that a library has registered so far.
type Registered = Arc<Mutex<Vec<(FunctionShown, Function)>>>;

impl Loaded {
    /// Creates an interpreter and loads `libraries` into it.
    ///
    /// # Errors
    /// Fails if the set of libraries is tainted, or if one of them cannot be loaded here.
    pub(super) fn new(dialect: Dialect, libraries: Arc<Libraries>) -> Result<Self, Error> {
        let all = libraries.all().ok_or(Tainted)?;
        let interpreter = Interpreter::new(dialect, |_, _, api| api::without_debugging(api))
            .map_err(|error| broken(&error))?;
        let registered = Registered::default();
        let stage = Stage::new(&interpreter, &registered).map_err(|error| broken(&error))?;
        let (mut functions, mut facts) = (HashMap::default(), HashMap::default());
        let mut shown = Vec::new();
        for library in all {
            stage.load(&interpreter, library)?;
            let mut own = Vec::new();
            for (function, callback) in lock(&registered).drain(..) {
                facts.insert(function.name.clone(), Facts::new(&function, &callback));
                let callback = interpreter.keep(callback).map_err(|error| broken(&error))?;
                functions.insert(function.name.clone(), callback);
                own.push(function);
            }
            shown.push(LibraryShown {
                name: library.name.clone(),
                code: library.code.clone(),
                functions: own,
            });
        }
        stage.finish(&interpreter).map_err(|error| broken(&error))?;
        let mut codes = all.iter().map(|library| &library.code);
        let sets_collector = codes.any(|code| may_set_collector(code));
        Ok(Self {
            interpreter,
            functions,
            known: Arc::new(Known {
                dialect,
                libraries: Arc::clone(&libraries),
                shown: Arc::new(shown),
                functions: facts,
                sets_collector,
            }),
        })
    }

    /// Uses the facts of the interpreters that loaded the same libraries before, so that all of them share the habits.
    pub(super) fn knowing(mut self, known: Arc<Known>) -> Self {
        self.known = known;
        self
    }

    /// Returns the function called `name`.
    pub(super) fn function(&self, name: &[u8]) -> Option<&Compiled> {
        self.functions.get(name)
    }
}

fn broken(error: &mlua::Error) -> Error {
    Error::Owned(format!("ERR redtail cannot load the libraries: {error}"))
}

/// The globals of libraries: one empty table, whose metatable points to what libraries see while they load, or to what
/// functions see.
struct Stage {
    globals: Table,
    meta: Table,
    loading: Table,
}

impl Stage {
    fn new(interpreter: &Interpreter, registered: &Registered) -> mlua::Result<Self> {
        let lua = &interpreter.lua;
        let api = api::loading_table(lua, &interpreter.state)?;
        api.raw_set(
            "register_function",
            register(lua, &interpreter.state, registered)?,
        )?;
        let mut shared = Shared::default();
        sandbox::fail_on_missing(lua, &api)?;
        let api = shared.protect(lua, &api)?;
        let loading = lua.create_table()?;
        for name in interpreter.state.dialect.api_names() {
            loading.raw_set(*name, &api)?;
        }
        sandbox::fail_on_missing(lua, &loading)?;
        let (globals, meta) = shared.protect_with(lua, &loading)?;
        lua.set_globals(globals.clone())?;
        Ok(Self {
            globals,
            meta,
            loading,
        })
    }

    /// Runs a library, which registers its functions.
    fn load(&self, interpreter: &Interpreter, library: &Library) -> Result<(), Error> {
        self.meta
            .raw_set("__index", &self.loading)
            .map_err(|error| broken(&error))?;
        let name = String::from_utf8_lossy(&library.name);
        let refuse = |why: &str| Error::Owned(format!("ERR redtail cannot load {name}: {why}"));
        let start = memchr::memchr(b'\n', &library.code).unwrap_or(library.code.len());
        let code = library.code.get(start..).unwrap_or_default();
        let compiled = interpreter.compile(code, "@user_function");
        let chunk = compiled.map_err(|error| match error {
            CompileError::Syntax(text) => refuse(&text),
            CompileError::Memory => refuse("it needs too much memory"),
        })?;
        let time = Duration::from_millis(SCRIPT_MILLISECONDS_MAX);
        let bounds = Bounds {
            time,
            ticks: None,
            bytes: SCRIPT_MEMORY_BYTES_MAX,
            may_begin_again: false,
        };
        interpreter.begin(bounds).map_err(|error| broken(&error))?;
        chunk.call::<()>(()).map_err(|error| {
            refuse(&match caught_error(&interpreter.lua, &error) {
                Ok(Caught::Value(raised)) => raised.to_string(),
                Ok(Caught::Fatal(fatal)) => fatal.to_string(),
                Err(error) => error.to_string(),
            })
        })
    }

    /// From now on, library functions see the same globals as scripts.
    fn finish(self, interpreter: &Interpreter) -> mlua::Result<()> {
        let scripts = interpreter.globals()?;
        self.meta.raw_set("__index", scripts)?;
        interpreter.lua.set_globals(self.globals)
    }
}

/// Returns `redis.register_function`.
fn register(lua: &Lua, state: &Arc<Common>, registered: &Registered) -> mlua::Result<Function> {
    let (state, registered) = (Arc::clone(state), Arc::clone(registered));
    lua.create_function(move |lua, args: MultiValue| {
        let args = Params::new(lua, args);
        match described(&args) {
            Ok(function) => {
                lock(&registered).push(function);
                Ok(())
            }
            Err(text) => {
                let table = api::error_table(lua, &state, text.as_bytes())?;
                Err(throw(Value::Table(table)))
            }
        }
    })
}

/// Reads how a library describes a function: by a table of named arguments, or by its name and the function.
fn described(args: &Params<'_>) -> Result<(FunctionShown, Function), &'static str> {
    match args.values() {
        [Value::Table(named)] => by_names(named),
        [_] => Err(
            "calling redis.register_function with a single argument is only applicable to Lua table (representing named arguments).",
        ),
        [name, callback] => {
            let name =
                text(name).ok_or("first argument to redis.register_function must be a string")?;
            let Value::Function(callback) = callback else {
                return Err("second argument to redis.register_function must be a function");
            };
            let shown = FunctionShown {
                name,
                description: None,
                flags: Vec::new(),
            };
            Ok((shown, callback.clone()))
        }
        _ => Err("wrong number of arguments to redis.register_function"),
    }
}

fn text(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => Some(text.as_bytes().to_vec()),
        Value::Integer(number) => Some(number.to_string().into_bytes()),
        Value::Number(number) => Some(number.to_string().into_bytes()),
        _ => None,
    }
}

fn by_names(named: &Table) -> Result<(FunctionShown, Function), &'static str> {
    let (mut name, mut description, mut callback) = (None, None, None);
    let mut flags = ScriptFlags::default();
    for pair in named.pairs::<Value, Value>() {
        let (key, value) = pair.map_err(|_| "unknown argument given to redis.register_function")?;
        let key = text(&key)
            .ok_or("named argument key given to redis.register_function is not a string")?;
        match key.to_ascii_lowercase().as_slice() {
            b"function_name" => {
                let missing =
                    "function_name argument given to redis.register_function must be a string";
                name = Some(text(&value).ok_or(missing)?);
            }
            b"description" => {
                let missing =
                    "description argument given to redis.register_function must be a string";
                description = Some(text(&value).ok_or(missing)?);
            }
            b"callback" => match value {
                Value::Function(function) => callback = Some(function),
                _ => {
                    return Err(
                        "callback argument given to redis.register_function must be a function",
                    );
                }
            },
            b"flags" => flags = flags_of(&value)?,
            _ => return Err("unknown argument given to redis.register_function"),
        }
    }
    let name = name.ok_or("redis.register_function must get a function name argument")?;
    let callback = callback.ok_or("redis.register_function must get a callback argument")?;
    let shown = FunctionShown {
        name,
        description,
        flags: flags.names().collect(),
    };
    Ok((shown, callback))
}

fn flags_of(value: &Value) -> Result<ScriptFlags, &'static str> {
    let Value::Table(names) = value else {
        return Err(
            "flags argument to redis.register_function must be a table representing function flags",
        );
    };
    let mut flags = ScriptFlags::default();
    for name in names.sequence_values::<Value>() {
        let name = name.ok().as_ref().and_then(text);
        let known = name.and_then(|name| flags.with(&name, <[u8]>::eq_ignore_ascii_case));
        flags = known.ok_or("unknown flag given")?;
    }
    Ok(flags)
}

//! The globals of scripts: which ones exist, and what protects them.
//!
//! Since Redis 7.0 all tables that scripts share are read-only. Lua 5.1 itself has no read-only tables. So scripts see empty
//! tables whose metatables look into the real ones, and the few functions that bypass metatables know about them. Before Redis
//! 7.0, scripts may change what they like, even for the scripts that run after them. DIFFERENCE: in redtail every script starts
//! with tables of its own, so that no client changes the replies of another one.

use std::sync::Arc;

use mlua::{Function, Lua, MultiValue, Table, Value};

use super::params::Params;
use super::raise::{Raised, place, raised_at, throw, throw_here, throw_text};
use super::state::Common;
use crate::dialect::Dialect;

/// The error when a script changes a shared table. Source: redis 7.0 deps/lua lvm.c, `luaV_settable`.
const READ_ONLY: &str = "Attempt to modify a readonly table";

/// The tables that scripts see, each with the real table that it stands for.
#[derive(Debug, Clone, Default)]
pub(super) struct Shared {
    pairs: Vec<(Table, Table)>,
}

impl Shared {
    /// Returns the real table that a table seen by scripts stands for.
    fn real(&self, seen: &Table) -> Option<&Table> {
        // Most tables by far are the script's own and have no metatable.
        if !seen.has_metatable() {
            return None;
        }
        let mut pairs = self.pairs.iter();
        pairs.find(|(own, _)| own == seen).map(|(_, real)| real)
    }

    /// Returns what scripts see in place of a shared table; nil if there is none.
    fn seen(&self, real: Option<Table>) -> Value {
        let mut pairs = self.pairs.iter();
        let found = real.and_then(|real| pairs.find(|(_, own)| *own == real));
        found.map_or(Value::Nil, |(seen, _)| Value::Table(seen.clone()))
    }

    /// Returns an empty table through which scripts can read `real` but not change it.
    pub(super) fn protect(&mut self, lua: &Lua, real: &Table) -> mlua::Result<Table> {
        self.protect_with(lua, real).map(|(seen, _)| seen)
    }

    /// Like [`protect`](Self::protect), but also returns the metatable that redirects the reads.
    pub(super) fn protect_with(&mut self, lua: &Lua, real: &Table) -> mlua::Result<(Table, Table)> {
        let seen = lua.create_table()?;
        let meta = lua.create_table()?;
        meta.raw_set("__index", real)?;
        let refuse = |lua: &Lua, _: MultiValue| Err::<(), _>(throw_here(lua, READ_ONLY));
        meta.raw_set("__newindex", lua.create_function(refuse)?)?;
        meta.raw_set(mark(), true)?;
        seen.set_metatable(Some(meta.clone()))?;
        self.pairs.push((seen.clone(), real.clone()));
        Ok((seen, meta))
    }
}

/// Replaces the tables in `real` with protected views, and returns a protected view of `real` itself. Reading a name that is
/// not in it is an error. `texts` is the metatable of strings.
pub(super) fn protect_globals(
    lua: &Lua,
    real: &Table,
    texts: Option<&Table>,
) -> mlua::Result<Table> {
    let mut shared = Shared::default();
    for pair in real.pairs::<String, Value>().collect::<Vec<_>>() {
        let (name, value) = pair?;
        if let Value::Table(inner) = value {
            real.raw_set(name, shared.protect(lua, &inner)?)?;
        }
    }
    let missing = fail_on_missing(lua, real)?;
    shared.protect(lua, &missing)?;
    let globals = shared.protect(lua, real)?;
    real.raw_set("_G", &globals)?;
    if let Some(texts) = texts {
        texts.raw_set("__index", real.raw_get::<Table>("string")?)?;
        shared.protect(lua, texts)?;
    }
    let shared = Arc::new(shared);
    add_raw_access(lua, real, &shared, texts)?;
    Ok(globals)
}

/// Makes reading a name that is not in `real` an error from now on. Returns the new metatable.
pub(super) fn fail_on_missing(lua: &Lua, real: &Table) -> mlua::Result<Table> {
    let meta = lua.create_table()?;
    meta.raw_set("__index", lua.create_function(missing)?)?;
    real.set_metatable(Some(meta.clone()))?;
    Ok(meta)
}

/// Source: redis 7.0 script_lua.c, `luaProtectedTableError`.
fn missing(lua: &Lua, (_, name): (Value, Value)) -> mlua::Result<Value> {
    let Some(name) = lua.coerce_string(name)? else {
        let text = "Second argument to luaProtectedTableError must be a string or number";
        return Err(throw_here(lua, text));
    };
    Err(throw_here(lua, nonexistent(&name.as_bytes())))
}

fn nonexistent(name: &[u8]) -> Vec<u8> {
    let start: &[u8] = b"Script attempted to access nonexistent global variable '";
    [start, name, b"'"].concat()
}

/// Wraps the functions that bypass metatables.
fn add_raw_access(
    lua: &Lua,
    real: &Table,
    shared: &Arc<Shared>,
    texts: Option<&Table>,
) -> mlua::Result<()> {
    let next: Function = real.raw_get("next")?;
    let known = Arc::clone(shared);
    let step = next.clone();
    let pairs = move |lua: &Lua, args: MultiValue| {
        let table = Params::new(lua, args).table(1)?;
        let table = readable(lua, &known, table)?;
        Ok((step.clone(), table, Value::Nil))
    };
    real.raw_set("pairs", lua.create_function(pairs)?)?;
    wrap(lua, real, "next", shared, |real, args| {
        if let Some(first) = args.first_mut() {
            *first = Value::Table(real);
        }
        Ok(())
    })?;
    wrap(lua, real, "rawget", shared, |real, args| {
        if let Some(first) = args.first_mut() {
            *first = Value::Table(real);
        }
        Ok(())
    })?;
    for name in ["rawset", "setmetatable"] {
        wrap(lua, real, name, shared, |_, _| Err(READ_ONLY))?;
    }
    add_getmetatable(lua, real, shared, texts)
}

/// The key of an entry in the metatables of protected tables. No script can look it up.
fn mark() -> Value {
    Value::LightUserData(mlua::LightUserData(std::ptr::dangling_mut()))
}

/// Refuses to change a protected table. For functions that bypass metatables.
pub(super) fn check_writable(lua: &Lua, table: &Table) -> mlua::Result<()> {
    match table.metatable() {
        Some(meta) if meta.raw_get::<bool>(mark())? => Err(throw_text(lua, READ_ONLY)),
        _ => Ok(()),
    }
}

/// Returns a table that a script may walk: a copy if the table is shared.
fn readable(lua: &Lua, shared: &Shared, table: Table) -> mlua::Result<Table> {
    match shared.real(&table) {
        Some(real) => copy(lua, real),
        None => Ok(table),
    }
}

/// Returns a new table with the same entries.
pub(super) fn copy(lua: &Lua, table: &Table) -> mlua::Result<Table> {
    let copied = lua.create_table()?;
    table.for_each(|key: Value, value: Value| copied.raw_set(key, value))?;
    Ok(copied)
}

/// Handles a call whose first argument is a shared table: changes the arguments, or returns an error.
type Redirect = fn(Table, &mut Vec<Value>) -> Result<(), &'static str>;

/// Wraps the function called `name` so that calls with shared tables are redirected.
fn wrap(
    lua: &Lua,
    real: &Table,
    name: &str,
    shared: &Arc<Shared>,
    redirect: Redirect,
) -> mlua::Result<()> {
    let native: Function = real.raw_get(name)?;
    let shared = Arc::clone(shared);
    let wrapped = move |lua: &Lua, args: MultiValue| {
        let mut args: Vec<Value> = args.into_iter().collect();
        let behind = match args.first() {
            Some(Value::Table(seen)) => shared.real(seen).cloned(),
            _ => None,
        };
        if let Some(behind) = behind {
            redirect(behind, &mut args).map_err(|text| throw_text(lua, text))?;
        }
        call_native(lua, &native, args)
    };
    real.raw_set(name, lua.create_function(wrapped)?)
}

/// Calls one of Lua's own functions in place of the running function. Errors name the running function and the place that
/// called it.
fn call_native(lua: &Lua, native: &Function, args: Vec<Value>) -> mlua::Result<MultiValue> {
    native
        .call::<MultiValue>(MultiValue::from_vec(args))
        .map_err(|error| rename(lua, &error))
}

/// Returns the error of a native function that Rust called, with the running function's name in place of the unknown one.
fn rename(lua: &Lua, error: &mlua::Error) -> mlua::Error {
    let mlua::Error::RuntimeError(text) = error else {
        return error.clone();
    };
    let text = text.split("\nstack traceback:").next().unwrap_or_default();
    let name = lua.inspect_stack(0, |frame| {
        frame.names().name.map(std::borrow::Cow::into_owned)
    });
    let name = name.flatten().unwrap_or_else(|| "?".to_owned());
    let text = text.replacen("to '?'", &format!("to '{name}'"), 1);
    let is_placed = text.starts_with("bad argument") || text.starts_with("cannot change");
    let place = if is_placed {
        place(lua, 1)
    } else {
        String::new()
    };
    throw_text(lua, format!("{place}{text}"))
}

fn add_getmetatable(
    lua: &Lua,
    real: &Table,
    shared: &Arc<Shared>,
    texts: Option<&Table>,
) -> mlua::Result<()> {
    let native: Function = real.raw_get("getmetatable")?;
    let known = Arc::clone(shared);
    let texts = texts.cloned();
    let of = move |lua: &Lua, args: MultiValue| {
        let args: Vec<Value> = args.into_iter().collect();
        let behind = match args.first() {
            Some(Value::Table(seen)) => known.real(seen).map(Table::metatable),
            Some(Value::String(_)) => Some(texts.clone()),
            _ => None,
        };
        match behind {
            Some(meta) => Ok(MultiValue::from_vec(vec![known.seen(meta)])),
            None => call_native(lua, &native, args),
        }
    };
    real.raw_set("getmetatable", lua.create_function(of)?)
}

/// Returns the globals of one script before Redis 7.0: its own copies of all tables. With [`strict`] as their metatable,
/// reading a missing name is an error, and so is adding one. Source: redis 6.0 scripting.c, `scriptingEnableGlobalsProtection`.
pub(super) fn own_globals(lua: &Lua, real: &Table) -> mlua::Result<Table> {
    let globals = copy(lua, real)?;
    for pair in real.pairs::<Value, Value>() {
        let (name, value) = pair?;
        if let Value::Table(inner) = value {
            globals.raw_set(name, copy(lua, &inner)?)?;
        }
    }
    globals.raw_set("_G", &globals)?;
    Ok(globals)
}

/// Returns the metatable for [`own_globals`].
pub(super) fn strict(lua: &Lua) -> mlua::Result<Table> {
    let meta = lua.create_table()?;
    let read = |lua: &Lua, (table, name): (Table, Value)| {
        if is_from_lua(lua, &["C"]) {
            return table.raw_get::<Value>(name);
        }
        let name = shown(lua, name)?;
        Err(strictly(lua, nonexistent(&name), 15))
    };
    let write = |lua: &Lua, (table, name, value): (Table, Value, Value)| {
        if is_from_lua(lua, &["C", "main"]) {
            return table.raw_set(name, value);
        }
        let name = shown(lua, name)?;
        let start: &[u8] = b"Script attempted to create global variable '";
        Err(strictly(lua, [start, &name, b"'"].concat(), 8))
    };
    meta.raw_set("__newindex", lua.create_function(write)?)?;
    meta.raw_set("__index", lua.create_function(read)?)?;
    Ok(meta)
}

/// Adds the helpers that the servers' own Lua code leaves among the globals: the handler for uncaught errors and, before Redis
/// 7.0, the comparison for sorting lists. Source: redis 7.0 eval.c, `scriptingInit`.
pub(super) fn add_helpers(lua: &Lua, real: &Table, dialect: Dialect) -> mlua::Result<()> {
    let handler = lua.create_function(move |lua, value| handled(lua, dialect, value))?;
    for name in dialect.script_handler_names() {
        real.raw_set(*name, &handler)?;
    }
    if dialect.protects_globals() {
        return Ok(());
    }
    let compare = "local a, b = ... return (a or '') < (b or '')";
    let compare = lua
        .load(compare)
        .set_name("@cmp_func_def")
        .into_function()?;
    real.raw_set("__redis__compare_helper", compare)
}

/// Returns an error the way the servers' handler shows it.
fn handled(lua: &Lua, dialect: Dialect, value: Value) -> mlua::Result<Value> {
    let place = raised_at(lua);
    if !dialect.protects_globals() {
        let Some(text) = lua.coerce_string(value.clone())? else {
            return Err(throw_text(lua, super::failure::unconcatenated(&value)));
        };
        let place = place.map_or_else(String::new, |(source, line)| format!("{source}:{line}: "));
        let text = [place.as_bytes(), &text.as_bytes()].concat();
        return lua.create_string(text).map(Value::String);
    }
    let table = match value {
        Value::Table(table) => table,
        value => lua.create_table_from([("err", format!("ERR {}", value.to_string()?))])?,
    };
    if let Some((source, line)) = place {
        table.set("source", source)?;
        table.set("line", line)?;
    }
    Ok(Value::Table(table))
}

/// Whether the caller of the running function is of one of these kinds, or does not exist.
fn is_from_lua(lua: &Lua, kinds: &[&str]) -> bool {
    lua.inspect_stack(1, |frame| kinds.contains(&frame.source().what))
        .unwrap_or(true)
}

fn shown(lua: &Lua, name: Value) -> mlua::Result<Vec<u8>> {
    let text = lua.coerce_string(name)?;
    Ok(text.map_or_else(Vec::new, |text| text.as_bytes().to_vec()))
}

/// Returns an error of the server's own Lua function, raised at its line `line`.
fn strictly(lua: &Lua, text: Vec<u8>, line: i64) -> mlua::Error {
    let text = [place(lua, 1).as_bytes(), &text].concat();
    match lua.create_string(text) {
        Ok(text) => mlua::Error::external(Raised {
            value: Value::String(text),
            origin: Some(("@enable_strict_lua", line)),
        }),
        Err(error) => error,
    }
}

/// Adds the random functions to `math`. Source: redis 7.0 script_lua.c, `redis_math_random`.
pub(super) fn add_random(lua: &Lua, math: &Table, state: &Arc<Common>) -> mlua::Result<()> {
    let shared = Arc::clone(state);
    let random = move |lua: &Lua, args: MultiValue| {
        let args = Params::new(lua, args);
        let mut random = shared.random();
        let fraction = random.fraction();
        shared.set_random(random);
        match args.len() {
            0 => Ok(fraction),
            1 => between(&args, fraction, 1, args.int(1)?, 1),
            2 => between(&args, fraction, args.int(1)?, args.int(2)?, 2),
            _ => Err(throw_here(lua, "wrong number of arguments")),
        }
    };
    math.raw_set("random", lua.create_function(random)?)?;
    let shared = Arc::clone(state);
    let seed = move |lua: &Lua, args: MultiValue| {
        let seed = Params::new(lua, args).int(1)?;
        shared.set_random(super::random::Random::seeded(seed));
        Ok(())
    };
    math.raw_set("randomseed", lua.create_function(seed)?)
}

/// Returns a whole number from `least` to `most`. If that range is empty, the error blames the argument `last`.
fn between(
    args: &Params<'_>,
    fraction: f64,
    least: i32,
    most: i32,
    last: usize,
) -> mlua::Result<f64> {
    if least > most {
        return Err(args.bad(last, "interval is empty"));
    }
    let span = f64::from(most.wrapping_sub(least).wrapping_add(1));
    Ok((fraction * span).floor() + f64::from(least))
}

/// Returns `newproxy` for dialects before Redis 7.0. DIFFERENCE: it makes no proxies with metatables, because Lua runs their
/// finalizers where no limit applies.
pub(super) fn newproxy(lua: &Lua, native: Function) -> mlua::Result<Function> {
    let made = move |lua: &Lua, args: MultiValue| match Params::new(lua, args).get(1) {
        None | Some(Value::Nil | Value::Boolean(false)) => native.call::<Value>(()),
        Some(_) => {
            let text = "not supported: redtail makes no proxies with metatables";
            Err(throw(Value::String(lua.create_string(text)?)))
        }
    };
    lua.create_function(made)
}

//! The tables `redis` and `server`, without the functions that call commands.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use mlua::{Lua, LuaString, MultiValue, Table, Value};

use super::bridge::Scalar;
use super::params::{Params, to_double, truncated};
use super::raise::{end, throw, throw_text};
use super::state::Common;
use super::texts::Digest;
use crate::command;
use crate::dialect::Dialect;
use crate::resp::ArgsBuf;

/// How many bytes of a message reach the log.
const LOGGED_BYTES_MAX: usize = 1 << 10;

/// Log levels, and the values that `redis.set_repl` takes. The latter change nothing on a replica.
const NUMBERS: [(&str, i64); 9] = [
    ("LOG_DEBUG", 0),
    ("LOG_VERBOSE", 1),
    ("LOG_NOTICE", 2),
    ("LOG_WARNING", 3),
    ("REPL_NONE", 0),
    ("REPL_AOF", 1),
    ("REPL_SLAVE", 2),
    ("REPL_REPLICA", 2),
    ("REPL_ALL", 3),
];

/// Returns the table `redis`, without the functions that call commands.
pub(super) fn table(lua: &Lua, state: &Arc<Common>) -> mlua::Result<Table> {
    let api = lua.create_table_from(NUMBERS)?;
    add_versions(&api, state.dialect)?;
    add(lua, &api, "log", state, log)?;
    add(lua, &api, "sha1hex", state, sha1hex)?;
    add(lua, &api, "error_reply", state, error_reply)?;
    add(lua, &api, "status_reply", state, status_reply)?;
    add(lua, &api, "setresp", state, set_resp)?;
    add(lua, &api, "set_repl", state, set_repl)?;
    add(lua, &api, "breakpoint", state, |_, _| {
        Ok(Value::Boolean(false))
    })?;
    add(lua, &api, "debug", state, |_, _| Ok(Value::Nil))?;
    // `Site::add` replaces this value with the function.
    api.raw_set("replicate_commands", true)?;
    if state.dialect.protects_globals() {
        add(lua, &api, "acl_check_cmd", state, acl_check_cmd)?;
    }
    Ok(api)
}

/// Returns the table that libraries see while they are loaded. Source: redis 7.0 function_lua.c, `luaEngineInitEngine`.
pub(super) fn loading_table(lua: &Lua, state: &Arc<Common>) -> mlua::Result<Table> {
    let levels = NUMBERS
        .into_iter()
        .filter(|(name, _)| name.starts_with("LOG"));
    let api = lua.create_table_from(levels)?;
    add_versions(&api, state.dialect)?;
    add(lua, &api, "log", state, log)?;
    Ok(api)
}

/// Removes the functions that only EVAL scripts have.
pub(super) fn without_debugging(api: &Table) -> mlua::Result<()> {
    ["breakpoint", "debug", "replicate_commands"]
        .into_iter()
        .try_for_each(|name| api.raw_remove(name))
}

/// A function of the table.
type Call = fn(&Params<'_>, &Common) -> mlua::Result<Value>;

fn add(lua: &Lua, api: &Table, name: &str, state: &Arc<Common>, call: Call) -> mlua::Result<()> {
    let state = Arc::clone(state);
    let function =
        lua.create_function(move |lua, args: MultiValue| call(&Params::new(lua, args), &state))?;
    api.raw_set(name, function)
}

fn add_versions(api: &Table, dialect: Dialect) -> mlua::Result<()> {
    if !dialect.protects_globals() {
        return Ok(());
    }
    let own = dialect.version;
    let redis = if dialect.says_redis() { own } else { (7, 2, 4) };
    api.raw_set("REDIS_VERSION", text(redis))?;
    api.raw_set("REDIS_VERSION_NUM", number(redis))?;
    if !dialect.says_redis() {
        api.raw_set("VALKEY_VERSION", text(own))?;
        api.raw_set("VALKEY_VERSION_NUM", number(own))?;
        api.raw_set("SERVER_NAME", "valkey")?;
    }
    Ok(())
}

fn text((major, minor, patch): (u8, u8, u8)) -> String {
    format!("{major}.{minor}.{patch}")
}

fn number((major, minor, patch): (u8, u8, u8)) -> i64 {
    i64::from(u32::from_be_bytes([0, major, minor, patch]))
}

/// Returns an error table. Since Redis 7.0 its text starts with an error code; before, with the place.
/// Source: redis 7.0 script_lua.c, `luaPushErrorBuff`; redis 6.0 scripting.c, `luaPushError`.
pub(super) fn error_table(lua: &Lua, state: &Common, text: &[u8]) -> mlua::Result<Table> {
    let text = if state.dialect.protects_globals() {
        coded(text, state.dialect)
    } else {
        [caller(lua).as_bytes(), text].concat()
    };
    let table = lua.create_table()?;
    table.raw_set("err", lua.create_string(text)?)?;
    Ok(table)
}

/// Returns the text with an error code. A text that starts with `-` already has one.
pub(super) fn coded(text: &[u8], dialect: Dialect) -> Vec<u8> {
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    let Some(coded) = text.strip_prefix(b"-") else {
        return [b"ERR ", trimmed(text)].concat();
    };
    match coded.iter().position(|byte| *byte == b' ') {
        Some(space) => {
            let (code, rest) = coded.split_at(space);
            [code, b" ", trimmed(rest.get(1..).unwrap_or_default())].concat()
        }
        None if dialect.trims_words_as_errors() => [b"ERR ", trimmed(coded)].concat(),
        None => [b"ERR ", coded].concat(),
    }
}

fn trimmed(mut text: &[u8]) -> &[u8] {
    while let [inner @ .., b'\r' | b'\n'] | [b'\r' | b'\n', inner @ ..] = text {
        text = inner;
    }
    text
}

/// Returns `source: line: ` of the calling function.
fn caller(lua: &Lua) -> String {
    let place = lua.inspect_stack(1, |frame| {
        let line = frame
            .current_line()
            .and_then(|line| i64::try_from(line).ok());
        let source = frame.source().source.map(std::borrow::Cow::into_owned);
        format!("{}: {}: ", source.unwrap_or_default(), line.unwrap_or(-1))
    });
    place.unwrap_or_default()
}

/// Returns the error that a function of the table throws when its arguments are wrong.
fn refuse(args: &Params<'_>, state: &Common, text: &str) -> mlua::Error {
    if !state.dialect.protects_globals() {
        return throw_text(args.lua, text);
    }
    match error_table(args.lua, state, text.as_bytes()) {
        Ok(table) => throw(Value::Table(table)),
        Err(error) => error,
    }
}

/// The name of the table in error messages.
const fn own_name(state: &Common) -> &'static str {
    if state.dialect.says_redis() {
        "redis"
    } else {
        "server"
    }
}

fn sha1hex(args: &Params<'_>, state: &Common) -> mlua::Result<Value> {
    if args.len() != 1 {
        return Err(refuse(args, state, "wrong number of arguments"));
    }
    let text = args.lua.coerce_string(args.value(1))?;
    let digest = Digest::of(&text.map_or_else(Vec::new, |text| text.as_bytes().to_vec()));
    args.lua.create_string(digest.digits()).map(Value::String)
}

/// Returns the argument if there is exactly one and it is a string.
fn single_text(args: &Params<'_>) -> Option<LuaString> {
    match args.values() {
        [Value::String(text)] => Some(text.clone()),
        _ => None,
    }
}

fn wrong_type(args: &Params<'_>, state: &Common) -> mlua::Result<Value> {
    error_table(args.lua, state, b"wrong number or type of arguments").map(Value::Table)
}

fn error_reply(args: &Params<'_>, state: &Common) -> mlua::Result<Value> {
    let Some(text) = single_text(args) else {
        return wrong_type(args, state);
    };
    if !state.dialect.protects_globals() {
        let table = args.lua.create_table_from([("err", text)])?;
        return Ok(Value::Table(table));
    }
    let text = text.as_bytes();
    let coded = if text.starts_with(b"-") {
        text.to_vec()
    } else {
        [b"-", &*text].concat()
    };
    error_table(args.lua, state, &coded).map(Value::Table)
}

fn status_reply(args: &Params<'_>, state: &Common) -> mlua::Result<Value> {
    match single_text(args) {
        Some(text) => args.lua.create_table_from([("ok", text)]).map(Value::Table),
        None => wrong_type(args, state),
    }
}

/// Returns the argument as a number, converted like in C; 0 if it is not a number.
fn loose_number(args: &Params<'_>, number: usize) -> mlua::Result<i64> {
    let value = args.lua.coerce_number(args.value(number))?;
    Ok(truncated(value.unwrap_or(0.0)))
}

fn set_resp(args: &Params<'_>, state: &Common) -> mlua::Result<Value> {
    if args.len() != 1 {
        let name = own_name(state);
        let text = format!("{name}.setresp() requires one argument.");
        return Err(refuse(args, state, &text));
    }
    let version = loose_number(args, 1)?;
    if version != 2 && version != 3 {
        return Err(refuse(args, state, "RESP version must be 2 or 3."));
    }
    state.resp3.store(version == 3, Ordering::Relaxed);
    Ok(Value::Nil)
}

fn set_repl(args: &Params<'_>, state: &Common) -> mlua::Result<Value> {
    if args.len() != 1 {
        let words = if state.dialect.has_script_clock() {
            "one argument"
        } else {
            "two arguments"
        };
        let name = own_name(state);
        let text = format!("{name}.set_repl() requires {words}.");
        return Err(refuse(args, state, &text));
    }
    if loose_number(args, 1)? & !3 != 0 {
        let text = "Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.";
        return Err(refuse(args, state, text));
    }
    Ok(Value::Nil)
}

fn log(args: &Params<'_>, state: &Common) -> mlua::Result<Value> {
    if args.len() < 2 {
        let name = own_name(state);
        let text = format!("{name}.log() requires two arguments or more.");
        return Err(refuse(args, state, &text));
    }
    if args.lua.coerce_number(args.value(1))?.is_none() {
        let text = "First argument must be a number (log level).";
        return Err(refuse(args, state, text));
    }
    let level = loose_number(args, 1)?;
    if !(0..=3).contains(&level) {
        let text = if state.dialect.has_script_clock() {
            "Invalid log level."
        } else {
            "Invalid debug level."
        };
        return Err(refuse(args, state, text));
    }
    if !tracing::enabled!(tracing::Level::DEBUG) {
        return Ok(Value::Nil);
    }
    let mut message = Vec::new();
    for value in args.values().get(1..).unwrap_or_default() {
        if let Some(text) = args.lua.coerce_string(value.clone())? {
            message.extend_from_slice(&text.as_bytes());
            message.push(b' ');
        }
    }
    let shown = message.get(..LOGGED_BYTES_MAX).unwrap_or(&message);
    let shown = String::from_utf8_lossy(shown);
    state.say(level, shown.trim_end().to_owned()).map_err(end)?;
    Ok(Value::Nil)
}

fn acl_check_cmd(args: &Params<'_>, state: &Common) -> mlua::Result<Value> {
    let mut given = ArgsBuf::default();
    let values = args.values();
    let checked = check_words(values.len(), state.dialect).and_then(|()| {
        let mut values = values.iter();
        values.try_for_each(|value| match value {
            Value::String(text) => {
                add_word(&Scalar::Text(&text.as_bytes()), state.dialect, &mut given)
            }
            Value::Integer(number) => add_word(
                &Scalar::Number(to_double(*number)),
                state.dialect,
                &mut given,
            ),
            Value::Number(number) => add_word(&Scalar::Number(*number), state.dialect, &mut given),
            _ => add_word(&Scalar::Other, state.dialect, &mut given),
        })
    });
    checked.map_err(|text| refuse(args, state, text))?;
    let found = command::resolve_for(given.as_args(), state.dialect);
    match (found, state.rights()) {
        (Ok(row), Some((rights, db))) => {
            let may = command::permits(&rights, row, given.as_args(), db);
            return Ok(Value::Boolean(may));
        }
        (Ok(_) | Err(command::Error::Arity(_)), _) => return Ok(Value::Boolean(true)),
        (Err(_), _) => {}
    }
    let name = own_name(state);
    let text = format!("Invalid command passed to {name}.acl_check_cmd()");
    Err(refuse(args, state, &text))
}

/// Puts the words of a command into `words`, which must be empty. Source: redis 7.0 script_lua.c, `luaArgsToRedisArgv`.
///
/// # Errors
/// The error message for the script.
pub(super) fn word_list<'s>(
    mut values: impl ExactSizeIterator<Item = Scalar<'s>>,
    dialect: Dialect,
    words: &mut ArgsBuf,
) -> Result<(), &'static str> {
    check_words(values.len(), dialect)?;
    values.try_for_each(|value| add_word(&value, dialect, words))
}

const fn check_words(count: usize, dialect: Dialect) -> Result<(), &'static str> {
    match count {
        0 => Err(dialect.script_word_errors()[0]),
        _ => Ok(()),
    }
}

fn add_word(value: &Scalar<'_>, dialect: Dialect, words: &mut ArgsBuf) -> Result<(), &'static str> {
    match value {
        Scalar::Text(text) => words.push(text),
        Scalar::Number(number) => words.push(&number_word(*number, dialect)),
        Scalar::Boolean(_) | Scalar::Other => return Err(dialect.script_word_errors()[1]),
    }
    Ok(())
}

/// Formats a number as the word that a command receives.
fn number_word(number: f64, dialect: Dialect) -> Vec<u8> {
    let mut word = Vec::new();
    let shortest = dialect.has_shortest_doubles();
    if shortest && number == 0.0 {
        word.push(b'0');
    } else if number.is_nan() && number.is_sign_negative() {
        word.extend_from_slice(b"-nan");
    } else {
        crate::resp::double::write(&mut word, number, shortest);
    }
    word
}

//! The error replies of scripts that failed.

use mlua::{Lua, Value};

use super::interpreter::Failure;
use crate::command::Error;
use crate::dialect::Dialect;

/// Returns the error reply for the script or function called `name`. Source: redis 7.0 script_lua.c, `luaCallFunction`; redis 6.0
/// scripting.c, `evalGenericCommand`.
pub(super) fn error(lua: &Lua, failure: Failure, dialect: Dialect, name: &str) -> Error {
    let (value, place) = match failure {
        Failure::Fatal(fatal) => return Error::Owned(fatal.to_string()),
        Failure::Refused(text) => return Error::Owned(text),
        Failure::Error(value, place) => (value, place),
    };
    let text = if dialect.protects_globals() {
        modern(
            lua,
            value,
            place,
            dialect.names_failed_scripts().then_some(name),
        )
    } else {
        older(lua, value, place, name)
    };
    Error::Quoting(trimmed(c_text(&text)).to_vec())
}

fn modern(lua: &Lua, value: Value, place: Option<(String, i64)>, name: Option<&str>) -> Vec<u8> {
    let mut text = match value {
        Value::Table(table) => {
            let text = table.get::<Value>("err").ok();
            text.and_then(|text| self::text(lua, &text))
                // DIFFERENCE: servers before Valkey 9.1 crash here.
                .unwrap_or_else(|| b"ERR unknown error".to_vec())
        }
        value => {
            let shown = self::text(lua, &value).or_else(|| value.to_string().ok().map(Into::into));
            [b"ERR ", &*shown.unwrap_or_default()].concat()
        }
    };
    text.truncate(c_text(&text).len());
    if let Some((source, line)) = place {
        let name = name.map_or_else(String::new, |name| format!("{name}, "));
        text.extend_from_slice(format!(" script: {name}on {source}:{line}.").as_bytes());
    }
    text
}

fn older(lua: &Lua, value: Value, place: Option<(String, i64)>, name: &str) -> Vec<u8> {
    let start = format!("ERR Error running script (call to f_{name}): ");
    let end = match (text(lua, &value), place) {
        (Some(text), Some((source, line))) => {
            [format!("{source}:{line}: ").as_bytes(), c_text(&text)].concat()
        }
        (Some(text), None) => text,
        // On a server, the handler itself fails.
        (None, _) => format!("@err_handler_def:8: {}", unconcatenated(&value)).into_bytes(),
    };
    [start.as_bytes(), &end].concat()
}

/// The error of the servers' handler before Redis 7.0, for a value that is not a string.
pub(super) fn unconcatenated(value: &Value) -> String {
    let kind = super::params::type_name(value);
    format!("err_handler_def:8: attempt to concatenate local 'err' (a {kind} value)")
}

/// Returns a string, or a number as a string.
fn text(lua: &Lua, value: &Value) -> Option<Vec<u8>> {
    let text = lua.coerce_string(value.clone()).ok()??;
    Some(text.as_bytes().to_vec())
}

fn c_text(text: &[u8]) -> &[u8] {
    text.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn trimmed(mut text: &[u8]) -> &[u8] {
    while let [inner @ .., b'\r' | b'\n'] = text {
        text = inner;
    }
    text
}

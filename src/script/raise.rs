//! Errors of scripts: what Rust functions throw, what `pcall` catches, and what nothing may catch.

use std::fmt;

use mlua::{Lua, Value};

/// An error value as a script would throw it, and the place that it claims to come from, if that is not the line that called.
#[derive(Debug, Clone)]
pub(super) struct Raised {
    /// The value: usually a string, or a table with the field `err`.
    pub(super) value: Value,
    /// Source and line of the server's own function that raises it.
    pub(super) origin: Option<(&'static str, i64)>,
}

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Value::String(text) => f.write_str(&text.to_string_lossy()),
            other => f.write_str(other.type_name()),
        }
    }
}

impl std::error::Error for Raised {}

/// Why a script is ended. Scripts cannot catch it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(super) enum Fatal {
    /// It ran too long.
    #[error(
        "ERR the script ran longer than redtail lets it hold off what the primary sends; it was ended"
    )]
    Time,
    /// It needs too much memory.
    #[error("ERR the script needs more memory than redtail gives it; it was ended")]
    Memory,
    /// A client asked for its end.
    #[error("ERR Script killed by user with SCRIPT KILL...")]
    Killed,
    /// It needs more than it holds, or more time than it may take at this level, and has to start over at the next one. Clients
    /// see this error only where that is not possible.
    #[error(
        "ERR redtail could not read all that the script asked for as of one moment; run it again"
    )]
    Wider,
}

/// Returns an error that a script may catch.
pub(super) fn throw(value: Value) -> mlua::Error {
    let origin = None;
    mlua::Error::external(Raised { value, origin })
}

/// Like [`throw`], with exactly this text.
pub(super) fn throw_text(lua: &Lua, text: impl AsRef<[u8]>) -> mlua::Error {
    match lua.create_string(text) {
        Ok(text) => throw(Value::String(text)),
        Err(error) => error,
    }
}

/// Like [`throw`], with a text that starts with the place of the function that called the running one. Source: Lua 5.1
/// lauxlib.c, `luaL_error`.
pub(super) fn throw_here(lua: &Lua, text: impl AsRef<[u8]>) -> mlua::Error {
    throw_text(lua, [place(lua, 1).as_bytes(), text.as_ref()].concat())
}

/// Returns an error that ends the script.
pub(super) fn end(fatal: Fatal) -> mlua::Error {
    mlua::Error::external(fatal)
}

/// Returns `source:line: ` of the function at `level` above the running one, or nothing if the place is unknown. Source: Lua
/// 5.1 lauxlib.c, `luaL_where`.
pub(super) fn place(lua: &Lua, level: usize) -> String {
    let place = lua.inspect_stack(level, |frame| {
        let line = frame.current_line().filter(|line| *line > 0)?;
        let source = frame.source().short_src?.into_owned();
        Some(format!("{source}:{line}: "))
    });
    place.flatten().unwrap_or_default()
}

/// Returns source and line of the function that raised the error that the running function handles.
pub(super) fn raised_at(lua: &Lua) -> Option<(String, i64)> {
    let is_c = lua.inspect_stack(1, |frame| frame.source().what == "C");
    let level = if is_c? { 2 } else { 1 };
    // The prelude does in Lua what servers do in C. Where it needs several functions, a server has one stack frame.
    let skipped = (level..)
        .take_while(|level| is_of_prelude(lua, *level))
        .count();
    lua.inspect_stack(level + skipped, |frame| {
        let line = frame
            .current_line()
            .and_then(|line| i64::try_from(line).ok());
        let source = frame.source().source.map(std::borrow::Cow::into_owned);
        (source.unwrap_or_default(), line.unwrap_or(-1))
    })
}

/// Whether the function at `level` belongs to the prelude, or tail-called one that does.
fn is_of_prelude(lua: &Lua, level: usize) -> bool {
    let is_prelude = |level| {
        let found = lua.inspect_stack(level, |frame| {
            frame.source().source.as_deref() == Some("=prelude")
        });
        found == Some(true)
    };
    let is_tail = lua.inspect_stack(level, |frame| frame.source().what == "tail");
    is_prelude(level) || is_tail == Some(true) && is_prelude(level - 1)
}

/// How a script sees an error.
#[derive(Debug, Clone)]
pub(super) enum Caught {
    /// A value that it may see.
    Value(Raised),
    /// Nothing: the script must end.
    Fatal(Fatal),
}

/// Lua's error text when it runs out of memory.
pub(super) const NO_MEMORY: &[u8] = b"not enough memory";

/// Classifies the error value that `pcall` caught.
pub(super) fn caught(lua: &Lua, value: Value) -> mlua::Result<Caught> {
    match value {
        Value::Error(error) => caught_error(lua, &error),
        Value::String(text) if *text.as_bytes() == *NO_MEMORY => Ok(Caught::Fatal(Fatal::Memory)),
        value => Ok(Caught::Value(Raised {
            value,
            origin: None,
        })),
    }
}

/// Classifies an error that Rust received.
pub(super) fn caught_error(lua: &Lua, error: &mlua::Error) -> mlua::Result<Caught> {
    let mut error = error;
    while let mlua::Error::CallbackError { cause, .. } = error {
        error = cause;
    }
    if let Some(fatal) = error.downcast_ref::<Fatal>() {
        return Ok(Caught::Fatal(*fatal));
    }
    if let Some(raised) = error.downcast_ref::<Raised>() {
        return Ok(Caught::Value(raised.clone()));
    }
    let text = match error {
        mlua::Error::MemoryError(_) | mlua::Error::StackError => {
            return Ok(Caught::Fatal(Fatal::Memory));
        }
        mlua::Error::RuntimeError(text) => text.clone(),
        other => other.to_string(),
    };
    // Functions that Rust calls append the stack trace to their errors.
    let text = text.split("\nstack traceback:").next().unwrap_or_default();
    if text.as_bytes() == NO_MEMORY {
        return Ok(Caught::Fatal(Fatal::Memory));
    }
    let value = Value::String(lua.create_string(text)?);
    Ok(Caught::Value(Raised {
        value,
        origin: None,
    }))
}

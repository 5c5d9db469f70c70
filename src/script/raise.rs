//! Errors of scripts: what Rust functions throw, what `pcall` catches, and what nothing may catch.

use std::fmt;

use mlua::{Lua, Value};

/// An error value as a script would throw it, and where it claims to come from if not from the line that called.
#[derive(Debug, Clone)]
pub(super) struct Raised {
    /// The value: most often a text, or a table with `err`.
    pub(super) value: Value,
    /// Source and line of the function of the server's own that raises it.
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

/// Why a script is ended, whatever it does to go on.
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
    /// Someone asked for its end.
    #[error("ERR Script killed by user with SCRIPT KILL...")]
    Killed,
    /// It wants more than it holds, or takes longer than it may at this level; it has to begin again at the next. Clients see
    /// this only where that is not possible.
    #[error(
        "ERR redtail could not read all that the script asked for as of one moment; run it again"
    )]
    Wider,
}

/// An error that a script may catch.
pub(super) fn throw(value: Value) -> mlua::Error {
    let origin = None;
    mlua::Error::external(Raised { value, origin })
}

/// As [`throw`], a text as it is.
pub(super) fn throw_text(lua: &Lua, text: impl AsRef<[u8]>) -> mlua::Error {
    match lua.create_string(text) {
        Ok(text) => throw(Value::String(text)),
        Err(error) => error,
    }
}

/// As [`throw`], a text behind the place of the function that called the running one. Source: Lua 5.1 lauxlib.c,
/// `luaL_error`.
pub(super) fn throw_here(lua: &Lua, text: impl AsRef<[u8]>) -> mlua::Error {
    throw_text(lua, [place(lua, 1).as_bytes(), text.as_ref()].concat())
}

/// An error that ends the script.
pub(super) fn end(fatal: Fatal) -> mlua::Error {
    mlua::Error::external(fatal)
}

/// `source:line: ` of the function at `level` above the running one, empty where that is not known. Source: Lua 5.1
/// lauxlib.c, `luaL_where`.
pub(super) fn place(lua: &Lua, level: usize) -> String {
    let place = lua.inspect_stack(level, |frame| {
        let line = frame.current_line().filter(|line| *line > 0)?;
        let source = frame.source().short_src?.into_owned();
        Some(format!("{source}:{line}: "))
    });
    place.flatten().unwrap_or_default()
}

/// Source and line of the function that raised the error which the running one handles.
pub(super) fn raised_at(lua: &Lua) -> Option<(String, i64)> {
    let is_c = lua.inspect_stack(1, |frame| frame.source().what == "C");
    let level = if is_c? { 2 } else { 1 };
    // Servers have in C what the prelude has in Lua: of several functions in one place they see one.
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

/// Whether the function at `level` is one of the prelude, or called one of them as its last step.
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

/// What an error is to the script.
#[derive(Debug, Clone)]
pub(super) enum Caught {
    /// A value that it may look at.
    Value(Raised),
    /// Nothing that it may see.
    Fatal(Fatal),
}

/// What Lua says when it gets no memory.
pub(super) const NO_MEMORY: &[u8] = b"not enough memory";

/// What was thrown, as the value that `pcall` found.
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

/// What was thrown, as Rust got it.
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
    // Functions that Rust calls put the stack behind their errors.
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

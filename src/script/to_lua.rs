//! Replies of commands as values of Lua. Source: redis 7.0 script_lua.c, `redisProtocolToLuaType`.

use mlua::{Either, Lua, Table, Value};

use super::api::error_table;
use super::interpreter::building;
use super::params::to_double;
use super::state::State;
use crate::resp::{Reply, parse_integer};

/// The one reply in the buffer, which our own commands wrote: how deep it goes does not depend on any client.
pub(super) fn reply(lua: &Lua, reply: &Reply, state: &State) -> mlua::Result<Value> {
    let mut reader = Reader {
        lua,
        state,
        rest: reply.as_bytes(),
    };
    building(lua, state, reply.len(), || reader.value())
}

/// A table that tells an error which a server has counted: since Redis 7.0 it says so.
pub(super) fn counted_error(lua: &Lua, state: &State, text: &[u8]) -> mlua::Result<Table> {
    let table = error_table(lua, state, text)?;
    if state.dialect.protects_globals() {
        table.raw_set("ignore_error_stats_update", true)?;
    }
    Ok(table)
}

struct Reader<'r> {
    lua: &'r Lua,
    state: &'r State,
    rest: &'r [u8],
}

impl<'r> Reader<'r> {
    fn value(&mut self) -> mlua::Result<Value> {
        let line = self.line();
        let Some((kind, line)) = line.split_first() else {
            return Ok(Value::Nil);
        };
        match kind {
            b'+' => self.field("ok", line),
            b'-' => self.error(line),
            b':' => Ok(Value::Number(parse_integer(line).map_or(0.0, to_double))),
            b'$' => self.bulk(line),
            b'*' | b'>' => self.array(line),
            b'%' => self.map(line),
            b'~' => self.set(line),
            b'#' => Ok(Value::Boolean(line == b"t")),
            b',' => self.double(line),
            b'(' => self.field("big_number", line),
            b'=' => self.verbatim(line),
            _ => Ok(Value::Nil),
        }
    }

    fn line(&mut self) -> &'r [u8] {
        let end = memchr::memchr(b'\r', self.rest).unwrap_or(self.rest.len());
        let (line, rest) = self.rest.split_at(end);
        self.rest = rest.get(2..).unwrap_or_default();
        line
    }

    fn bytes(&mut self, length: usize) -> &'r [u8] {
        let (bytes, rest) = self.rest.split_at(length.min(self.rest.len()));
        self.rest = rest.get(2..).unwrap_or_default();
        bytes
    }

    fn text(&self, text: &[u8]) -> mlua::Result<Value> {
        self.lua.create_string(text).map(Value::String)
    }

    fn field(&self, name: &str, text: &[u8]) -> mlua::Result<Value> {
        let text = self.text(text)?;
        self.lua.create_table_from([(name, text)]).map(Value::Table)
    }

    fn error(&self, line: &[u8]) -> mlua::Result<Value> {
        if !self.state.dialect.protects_globals() {
            return self.field("err", line);
        }
        let text = [b"-", line].concat();
        counted_error(self.lua, self.state, &text).map(Value::Table)
    }

    fn bulk(&mut self, line: &[u8]) -> mlua::Result<Value> {
        match length(line) {
            Some(length) => {
                let bytes = self.bytes(length);
                self.text(bytes)
            }
            None => Ok(Value::Boolean(false)),
        }
    }

    fn array(&mut self, line: &[u8]) -> mlua::Result<Value> {
        let Some(length) = length(line) else {
            return Ok(Value::Boolean(false));
        };
        let mut result = Ok(());
        let lua = self.lua;
        let elements = (0..length).map(|_| {
            let element = self.element();
            element.unwrap_or_else(|error| {
                result = Err(error);
                Either::Right(Value::Nil)
            })
        });
        let table = lua.create_sequence_from(elements)?;
        result.map(|()| Value::Table(table))
    }

    /// An element of an array. Lua takes a text that is UTF-8 as it is, without a reference to it.
    fn element(&mut self) -> mlua::Result<Either<&'r str, Value>> {
        let (kind, rest) = self.rest.split_first().unwrap_or((&b'_', &[]));
        let end = memchr::memchr(b'\r', rest).unwrap_or(rest.len());
        let text = rest.get(..end).and_then(length).filter(|_| *kind == b'$');
        let text = text.and_then(|length| rest.get(end + 2..)?.get(..length));
        match text.and_then(|text| std::str::from_utf8(text).ok()) {
            Some(text) => {
                self.rest = rest.get(end + text.len() + 4..).unwrap_or_default();
                Ok(Either::Left(text))
            }
            None => self.value().map(Either::Right),
        }
    }

    fn map(&mut self, line: &[u8]) -> mlua::Result<Value> {
        let pairs = length(line).unwrap_or(0);
        let table = self.lua.create_table()?;
        for _ in 0..pairs {
            let key = self.value()?;
            let value = self.value()?;
            table.raw_set(key, value)?;
        }
        self.named("map", table)
    }

    fn set(&mut self, line: &[u8]) -> mlua::Result<Value> {
        let members = length(line).unwrap_or(0);
        let table = self.lua.create_table()?;
        for _ in 0..members {
            table.raw_set(self.value()?, true)?;
        }
        self.named("set", table)
    }

    fn named(&self, name: &str, table: Table) -> mlua::Result<Value> {
        self.lua
            .create_table_from([(name, table)])
            .map(Value::Table)
    }

    fn double(&self, line: &[u8]) -> mlua::Result<Value> {
        let text = std::str::from_utf8(line).unwrap_or_default();
        let number: f64 = text.parse().unwrap_or(0.0);
        self.lua
            .create_table_from([("double", number)])
            .map(Value::Table)
    }

    fn verbatim(&mut self, line: &[u8]) -> mlua::Result<Value> {
        let bytes = self.bytes(length(line).unwrap_or(0));
        let (format, text) = bytes.split_at(bytes.len().min(3));
        let parts = self.lua.create_table()?;
        parts.raw_set("string", self.text(text.get(1..).unwrap_or_default())?)?;
        parts.raw_set("format", self.text(format)?)?;
        self.named("verbatim_string", parts)
    }
}

/// A length, `None` for −1.
fn length(line: &[u8]) -> Option<usize> {
    parse_integer(line).and_then(|length| usize::try_from(length).ok())
}

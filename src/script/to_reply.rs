//! Writes Lua values as replies. Source: redis 7.0 script_lua.c, `luaReplyToRedisReply`.

use mlua::{Function, Lua, Table, Value};

use super::bridge::Scalar;
use super::interpreter::building;
use super::params::truncated;
use super::state::Common;
use crate::resp::Reply;

/// How many slots of Lua's stack a server takes before it says that none are left. Its recursion ends there, and so does our
/// output. Source: Lua 5.1 luaconf.h, `LUAI_MAXCSTACK`; a server asks for four more slots each time.
const STACK_PLACES_MAX: usize = 8_000 - 4;

/// A table that is being written. mlua can hold only a few references, so waiting tables are kept in a Lua table: this one at
/// `slot`, and the last key written at the next slot.
struct Frame {
    kind: Kind,
    slot: usize,
    /// How many stack slots a server has taken when it writes an entry of this table.
    places: usize,
}

enum Kind {
    /// A list, with the index of its next entry.
    List(usize),
    /// A map. True if the value of the last key comes next.
    Map(bool),
    Set,
}

/// Writes the values of one script.
pub(super) struct Writer<'w> {
    pub(super) reply: &'w mut Reply,
    pub(super) state: &'w Common,
    /// Whether the script switched its commands to RESP3.
    pub(super) resp3: bool,
    pub(super) lua: &'w Lua,
    pub(super) next: &'w Function,
}

/// How much of Lua's memory writing takes, for field names and waiting tables.
const WRITING_BYTES: usize = 16 << 10;

/// How many elements of a flat list are written between two checks of the clock.
const ELEMENTS_PER_TICK: usize = 256;

impl Writer<'_> {
    /// Writes `value`. A server has already taken `places` slots of the stack.
    pub(super) fn write(mut self, value: Value, places: usize) -> mlua::Result<()> {
        let Value::Table(table) = value else {
            scalar(self.reply, &value, self.resp3);
            return Ok(());
        };
        building(self.lua, self.state, WRITING_BYTES, || {
            if single(self.reply, &table, self.state)? || self.flat(&table)? {
                return Ok(());
            }
            let waiting = self.lua.create_table()?;
            Nested {
                writer: self,
                waiting,
            }
            .write(table, places)
        })
    }

    /// Writes a list without nested tables, the most common kind. Returns false, with nothing written, for any other table.
    fn flat(&mut self, table: &Table) -> mlua::Result<bool> {
        let mark = self.reply.len();
        let mut found = self.named(table)?.is_none();
        let mut failed = None;
        self.reply.array_of(|reply| {
            let mut length = 0;
            while found && !reply.overflowed() {
                match table.raw_get(length + 1) {
                    Ok(Value::Nil) => break,
                    Ok(Value::Table(_)) => found = false,
                    Ok(value) => scalar(reply, &value, self.resp3),
                    Err(error) => failed = Some(error),
                }
                if length % ELEMENTS_PER_TICK == 0 {
                    let tick = self.state.tick().map_err(super::raise::end);
                    failed = failed.take().or(tick.err());
                }
                if failed.is_some() {
                    break;
                }
                length += 1;
            }
            length
        });
        if !found {
            self.reply.truncate(mark);
        }
        failed.map_or(Ok(found), Err)
    }

    /// Returns the inner table of a map or a set, and which of the two it is.
    fn named(&self, table: &Table) -> mlua::Result<Option<(Kind, Table)>> {
        if let Value::Table(map) = table.raw_get("map")? {
            return Ok(Some((Kind::Map(false), map)));
        }
        if let Value::Table(set) = table.raw_get("set")? {
            return Ok(Some((Kind::Set, set)));
        }
        Ok(None)
    }
}

/// Writes tables that contain tables.
struct Nested<'w> {
    writer: Writer<'w>,
    waiting: Table,
}

impl Nested<'_> {
    fn write(mut self, table: Table, places: usize) -> mlua::Result<()> {
        let mut frames = Vec::new();
        self.value(Value::Table(table), places, &mut frames)?;
        while let Some(frame) = frames.pop() {
            self.writer.state.tick().map_err(super::raise::end)?;
            self.step(frame, &mut frames)?;
            if self.writer.reply.overflowed() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn value(&mut self, value: Value, places: usize, frames: &mut Vec<Frame>) -> mlua::Result<()> {
        match value {
            _ if places + 1 > STACK_PLACES_MAX => {
                self.writer.reply.error("ERR reached lua stack limit")
            }
            Value::Table(table) => return self.table(&table, places, frames),
            value => scalar(self.writer.reply, &value, self.writer.resp3),
        }
        Ok(())
    }

    /// Writes the next entry of a table.
    fn step(&mut self, frame: Frame, frames: &mut Vec<Frame>) -> mlua::Result<()> {
        let Frame { kind, slot, places } = frame;
        let table: Table = self.waiting.raw_get(slot)?;
        let (entry, kind, more) = match kind {
            Kind::List(index) => {
                let entry: Value = table.raw_get(index)?;
                if entry.is_nil() {
                    return Ok(());
                }
                (entry, Kind::List(index + 1), 0)
            }
            Kind::Map(true) => {
                let key: Value = self.waiting.raw_get(slot + 1)?;
                (table.raw_get(key)?, Kind::Map(false), 0)
            }
            Kind::Map(false) | Kind::Set => {
                let last: Value = self.waiting.raw_get(slot + 1)?;
                let key: Value = self.writer.next.call((table, last))?;
                self.waiting.raw_set(slot + 1, &key)?;
                if key.is_nil() {
                    return Ok(());
                }
                match kind {
                    Kind::Set => (key, Kind::Set, 0),
                    _ => (key, Kind::Map(true), 1),
                }
            }
        };
        frames.push(Frame { kind, slot, places });
        self.value(entry, places + more, frames)
    }

    /// Writes the header of a table, or the whole table if it stands for a single value.
    fn table(&mut self, table: &Table, places: usize, frames: &mut Vec<Frame>) -> mlua::Result<()> {
        if single(self.writer.reply, table, self.writer.state)? {
            return Ok(());
        }
        let slot = frames.last().map_or(1, |last| last.slot + 2);
        if let Some((kind, inner)) = self.writer.named(table)? {
            let entries = inner.pairs::<Value, Value>().count();
            match kind {
                Kind::Set => self.writer.reply.set(entries),
                _ => self.writer.reply.map(entries),
            }
            return self.begin(kind, &inner, slot, places + 3, frames);
        }
        let mut length = 0;
        while !table.raw_get::<Value>(length + 1)?.is_nil() {
            length += 1;
        }
        self.writer.reply.array(length);
        self.begin(Kind::List(1), table, slot, places + 1, frames)
    }

    fn begin(
        &self,
        kind: Kind,
        table: &Table,
        slot: usize,
        places: usize,
        frames: &mut Vec<Frame>,
    ) -> mlua::Result<()> {
        self.waiting.raw_set(slot, table)?;
        self.waiting.raw_set(slot + 1, Value::Nil)?;
        frames.push(Frame { kind, slot, places });
        Ok(())
    }
}

fn scalar(reply: &mut Reply, value: &Value, resp3: bool) {
    match value {
        Value::String(text) => write_scalar(reply, &Scalar::Text(&text.as_bytes()), resp3),
        Value::Boolean(value) => write_scalar(reply, &Scalar::Boolean(*value), resp3),
        Value::Number(number) => write_scalar(reply, &Scalar::Number(*number), resp3),
        Value::Integer(number) => reply.integer(*number),
        _ => write_scalar(reply, &Scalar::Other, resp3),
    }
}

/// Writes a value that contains no other values.
pub(super) fn write_scalar(reply: &mut Reply, value: &Scalar<'_>, resp3: bool) {
    match value {
        Scalar::Text(text) => reply.bulk(text),
        Scalar::Number(number) => reply.integer(truncated(*number)),
        Scalar::Boolean(value) if resp3 => reply.boolean(*value),
        Scalar::Boolean(true) => reply.integer(1),
        Scalar::Boolean(false) | Scalar::Other => reply.null(),
    }
}

/// Writes a table that stands for an error, a status, a double, a big number or a verbatim string. Returns false for any other
/// table.
fn single(reply: &mut Reply, table: &Table, state: &Common) -> mlua::Result<bool> {
    if let Value::String(error) = table.raw_get("err")? {
        let error = error.as_bytes();
        reply.error(state.dialect.script_error(c_text(&error)));
        return Ok(true);
    }
    if let Value::String(status) = table.raw_get("ok")? {
        status_line(reply, c_text(&status.as_bytes()));
        return Ok(true);
    }
    if let Value::Number(_) | Value::Integer(_) = table.raw_get("double")? {
        double(reply, table.raw_get("double")?, state);
        return Ok(true);
    }
    if !state.dialect.protects_globals() {
        return Ok(false);
    }
    if let Value::String(digits) = table.raw_get("big_number")? {
        big_number(reply, &digits.as_bytes());
        return Ok(true);
    }
    let Value::Table(parts) = table.raw_get("verbatim_string")? else {
        return Ok(false);
    };
    let (Value::String(format), Value::String(text)) =
        (parts.raw_get("format")?, parts.raw_get("string")?)
    else {
        return Ok(false);
    };
    let format: String = c_text(&format.as_bytes())
        .iter()
        .map(|byte| char::from(*byte))
        .take(3)
        .collect();
    reply.verbatim(&format!("{format:<3}"), &text.as_bytes());
    Ok(true)
}

/// Writes a double. Servers that format doubles with C's printf show the sign of a NaN.
fn double(reply: &mut Reply, number: f64, state: &Common) {
    if !number.is_nan() || !number.is_sign_negative() || state.dialect.has_shortest_doubles() {
        reply.double(number);
    } else if reply.is_resp3() {
        reply.raw(b",-nan\r\n");
    } else {
        reply.bulk(b"-nan");
    }
}

/// Returns the text up to the first zero byte, where C ends it.
fn c_text(text: &[u8]) -> &[u8] {
    text.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn without_line_ends(text: &[u8]) -> Vec<u8> {
    let spaced = |byte: &u8| if b"\r\n".contains(byte) { b' ' } else { *byte };
    text.iter().map(spaced).collect()
}

fn status_line(reply: &mut Reply, text: &[u8]) {
    reply.raw(b"+");
    reply.raw(&without_line_ends(text));
    reply.raw(b"\r\n");
}

fn big_number(reply: &mut Reply, digits: &[u8]) {
    let digits = without_line_ends(digits);
    if reply.is_resp3() {
        reply.raw(b"(");
        reply.raw(&digits);
        reply.raw(b"\r\n");
    } else {
        reply.bulk(&digits);
    }
}

//! `cjson.encode`. Source: redis 7.0 deps/lua lua_cjson.c.

use mlua::{Lua, MultiValue, Table, Value};

use super::json::{Invalid, Settings, settings};
use super::output::Output;
use super::{Context, one};
use crate::script::params::{Params, to_double, truncated, type_name};
use crate::script::raise::{end, throw_here};

/// A table that is being written.
enum Frame {
    /// A list, its length, and the index of the next entry.
    List(Table, i64, i64),
    /// An object and the last key written.
    Object(Table, Value),
}

struct Encoder<'e> {
    lua: &'e Lua,
    context: &'e Context,
    settings: Settings,
    output: Output<'e>,
    frames: Vec<Frame>,
}

pub(super) fn encode(args: &Params<'_>, context: &Context) -> mlua::Result<MultiValue> {
    if args.len() != 1 {
        return Err(args.bad(1, "expected 1 argument"));
    }
    let mut encoder = Encoder {
        lua: args.lua,
        context,
        settings: settings(context),
        output: Output::new(&context.state),
        frames: Vec::new(),
    };
    encoder.value(args.value(1))?;
    while let Some(frame) = encoder.frames.pop() {
        context.state.tick().map_err(end)?;
        encoder.step(frame)?;
    }
    encoder.output.finish(args.lua).map(one)
}

impl Encoder<'_> {
    fn value(&mut self, value: Value) -> mlua::Result<()> {
        match value {
            Value::String(text) => self.text(&text.as_bytes()),
            Value::Integer(number) => self.number(to_double(number)),
            Value::Number(number) => self.number(number),
            Value::Boolean(true) => self.output.push(b"true"),
            Value::Boolean(false) => self.output.push(b"false"),
            Value::Nil => self.output.push(b"null"),
            Value::LightUserData(pointer) if pointer.0.is_null() => self.output.push(b"null"),
            Value::Table(table) => self.begin(table),
            other => Err(self.exception(&other, "type not supported")),
        }
    }

    fn exception(&self, value: &Value, reason: &str) -> mlua::Error {
        let kind = type_name(value);
        throw_here(self.lua, format!("Cannot serialise {kind}: {reason}"))
    }

    fn begin(&mut self, table: Table) -> mlua::Result<()> {
        let depth = self.frames.len() + 1;
        let most = usize::try_from(self.settings.encode_depth).unwrap_or(0);
        if depth > most {
            let text = format!("Cannot serialise, excessive nesting ({depth})");
            return Err(throw_here(self.lua, text));
        }
        match self.list_length(&table)? {
            Some(length) if length > 0 => {
                self.output.push(b"[")?;
                self.frames.push(Frame::List(table, length, 1));
            }
            _ => {
                self.output.push(b"{")?;
                self.frames.push(Frame::Object(table, Value::Nil));
            }
        }
        Ok(())
    }

    /// Returns the highest index if all keys are indexes and the table is to be written as a list. Source: `lua_array_length`.
    fn list_length(&self, table: &Table) -> mlua::Result<Option<i64>> {
        let (mut highest, mut items) = (0_i64, 0_i64);
        for pair in table.pairs::<Value, Value>() {
            let key = match pair?.0 {
                Value::Integer(key) => to_double(key),
                Value::Number(key) => key,
                _ => return Ok(None),
            };
            if key.floor() != key || key < 1.0 {
                return Ok(None);
            }
            highest = highest.max(truncated(key));
            items += 1;
        }
        let ratio = i64::from(self.settings.sparse_ratio);
        let is_sparse = ratio > 0
            && highest > items.saturating_mul(ratio)
            && highest > i64::from(self.settings.sparse_safe);
        if !is_sparse {
            return Ok(Some(highest));
        }
        if self.settings.sparse_convert {
            return Ok(None);
        }
        Err(self.exception(&Value::Table(table.clone()), "excessively sparse array"))
    }

    /// Writes the next entry of a table, or its end.
    fn step(&mut self, frame: Frame) -> mlua::Result<()> {
        match frame {
            Frame::List(_, length, index) if index > length => self.output.push(b"]"),
            Frame::List(table, length, index) => {
                if index > 1 {
                    self.output.push(b",")?;
                }
                let value = table.raw_get(index)?;
                self.frames.push(Frame::List(table, length, index + 1));
                self.value(value)
            }
            Frame::Object(table, last) => {
                let is_first = last.is_nil();
                let key: Value = self.context.next.call((table.clone(), last))?;
                if key.is_nil() {
                    return self.output.push(b"}");
                }
                if !is_first {
                    self.output.push(b",")?;
                }
                self.key(&key)?;
                let value = table.raw_get(key.clone())?;
                self.frames.push(Frame::Object(table, key));
                self.value(value)
            }
        }
    }

    fn key(&mut self, key: &Value) -> mlua::Result<()> {
        match key {
            Value::Integer(number) => self.number_key(to_double(*number)),
            Value::Number(number) => self.number_key(*number),
            Value::String(text) => {
                self.text(&text.as_bytes())?;
                self.output.push(b":")
            }
            other => Err(self.exception(other, "table key must be a number or string")),
        }
    }

    fn number_key(&mut self, number: f64) -> mlua::Result<()> {
        self.output.push(b"\"")?;
        self.number(number)?;
        self.output.push(b"\":")
    }

    fn number(&mut self, number: f64) -> mlua::Result<()> {
        if !number.is_finite() {
            match self.settings.encode_invalid {
                Invalid::Refused => {
                    let value = Value::Number(number);
                    return Err(self.exception(&value, "must not be NaN or Inf"));
                }
                Invalid::Null => return self.output.push(b"null"),
                Invalid::Written if number.is_nan() => return self.output.push(b"nan"),
                Invalid::Written => {}
            }
        }
        let text = general(number, self.settings.precision);
        self.output.push(text.as_bytes())
    }

    fn text(&mut self, text: &[u8]) -> mlua::Result<()> {
        self.output.push(b"\"")?;
        for byte in text {
            match byte {
                b'"' => self.output.push(b"\\\"")?,
                b'\\' => self.output.push(b"\\\\")?,
                b'/' => self.output.push(b"\\/")?,
                8 => self.output.push(b"\\b")?,
                b'\t' => self.output.push(b"\\t")?,
                b'\n' => self.output.push(b"\\n")?,
                12 => self.output.push(b"\\f")?,
                b'\r' => self.output.push(b"\\r")?,
                0..=31 | 127 => self.output.push(format!("\\u{byte:04x}").as_bytes())?,
                plain => self.output.push(&[*plain])?,
            }
        }
        self.output.push(b"\"")
    }
}

/// Formats a number like C's `%.*g`.
pub(super) fn general(number: f64, precision: i32) -> String {
    if number.is_nan() {
        return if number.is_sign_negative() {
            "-nan"
        } else {
            "nan"
        }
        .to_owned();
    }
    if number.is_infinite() {
        return if number < 0.0 { "-inf" } else { "inf" }.to_owned();
    }
    let digits = usize::try_from(precision.max(1)).unwrap_or(1);
    let scientific = format!("{number:.*e}", digits - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if exponent < -4 || exponent >= precision {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!(
            "{}e{sign}{:02}",
            shortened(mantissa),
            exponent.unsigned_abs()
        );
    }
    let behind = usize::try_from(precision - 1 - exponent).unwrap_or(0);
    shortened(&format!("{number:.behind$}")).to_owned()
}

/// Removes trailing zeros from a fraction.
fn shortened(text: &str) -> &str {
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        text
    }
}

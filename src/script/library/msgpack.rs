//! `cmsgpack`. Source: redis 7.0 deps/lua lua_cmsgpack.c.

use mlua::{Lua, MultiValue, Table, Value};

use super::output::Output;
use super::{Call, Context, one};
use crate::script::params::{Params, to_double, truncated};
use crate::script::raise::{end, throw_here, throw_text};
use crate::script::state::Common;

/// How deep tables may nest when they are packed. Anything deeper becomes nil.
const DEPTH_MAX: usize = 16;

/// How deep tables may nest when they are unpacked.
const UNPACKED_DEPTH_MAX: usize = 3_500;

/// The maximum number of results. DIFFERENCE: a server returns up to 7,998.
const RESULTS_MAX: usize = 7_900;

/// How many values may be packed at once. A server needs a free stack slot for each. Source: `mp_pack`.
const PACKED_MAX: usize = 4_000;

const FUNCTIONS: &[(&str, Call)] = &[
    ("pack", pack),
    ("unpack", |args, context| unpack(args, context, 0, 0)),
    ("unpack_one", |args, context| {
        unpack(args, context, 1, args.integer_or(2, 0)?)
    }),
    ("unpack_limit", |args, context| {
        unpack(args, context, args.integer(2)?, args.integer_or(3, 0)?)
    }),
];

/// Returns the table `cmsgpack`.
pub(super) fn library(lua: &Lua, context: &Context) -> mlua::Result<Table> {
    let table = super::library(lua, context, FUNCTIONS)?;
    let owner = context.state.dialect.packer_owner();
    table.raw_set("_NAME", "cmsgpack")?;
    table.raw_set("_VERSION", "lua-cmsgpack 0.4.0")?;
    table.raw_set("_COPYRIGHT", format!("Copyright (C) 2012, {owner}"))?;
    table.raw_set("_DESCRIPTION", "MessagePack C implementation for Lua")?;
    Ok(table)
}

fn pack(args: &Params<'_>, context: &Context) -> mlua::Result<MultiValue> {
    if args.len() == 0 {
        return Err(args.bad(0, "MessagePack pack needs input."));
    }
    if args.len() > PACKED_MAX {
        return Err(args.bad(0, "Too many arguments for MessagePack pack."));
    }
    let mut output = Output::new(&context.state);
    for value in args.values() {
        write(value, 0, &context.state, &mut output)?;
    }
    output.finish(args.lua).map(one)
}

/// Writes a value, with tables nested down to [`DEPTH_MAX`].
fn write(value: &Value, depth: usize, state: &Common, output: &mut Output<'_>) -> mlua::Result<()> {
    match value {
        Value::String(text) => write_text(&text.as_bytes(), output),
        Value::Boolean(value) => output.push(&[if *value { 0xc3 } else { 0xc2 }]),
        Value::Integer(number) => write_integer(*number, output),
        Value::Number(number) => write_number(*number, output),
        Value::Table(table) if depth < DEPTH_MAX => write_table(table, depth, state, output),
        _ => output.push(&[0xc0]),
    }
}

fn write_table(
    table: &Table,
    depth: usize,
    state: &Common,
    output: &mut Output<'_>,
) -> mlua::Result<()> {
    state.tick().map_err(end)?;
    let (count, is_list) = shape(table)?;
    if is_list {
        write_length(count, 0x90, 0xdc, output)?;
        for index in 1..=count {
            write(&table.raw_get(index)?, depth + 1, state, output)?;
        }
        return Ok(());
    }
    write_length(count, 0x80, 0xde, output)?;
    table.for_each(|key: Value, value: Value| {
        write(&key, depth + 1, state, output)?;
        write(&value, depth + 1, state, output)
    })
}

/// Returns the number of entries, and whether their keys are 1, 2, 3 and so on. Source: `table_is_an_array`.
fn shape(table: &Table) -> mlua::Result<(usize, bool)> {
    let (mut count, mut highest, mut is_list) = (0_usize, 0_i64, true);
    for pair in table.pairs::<Value, Value>() {
        count += 1;
        match pair?.0 {
            Value::Integer(key) if (1..=i64::from(i32::MAX)).contains(&key) => {
                highest = highest.max(key);
            }
            _ => is_list = false,
        }
    }
    let is_list = is_list && i64::try_from(count) == Ok(highest);
    Ok((count, is_list))
}

/// Writes the header of a list or a map: one byte for a length up to 15; otherwise `long` with 16 bits, or the code after it
/// with 32 bits.
fn write_length(length: usize, short: u8, long: u8, output: &mut Output<'_>) -> mlua::Result<()> {
    let wide = u32::try_from(length).unwrap_or(u32::MAX);
    if let Ok(few @ 0..=15) = u8::try_from(length) {
        return output.push(&[short | few]);
    }
    match u16::try_from(length) {
        Ok(some) => {
            output.push(&[long])?;
            output.push(&some.to_be_bytes())
        }
        Err(_) => {
            output.push(&[long + 1])?;
            output.push(&wide.to_be_bytes())
        }
    }
}

fn write_text(text: &[u8], output: &mut Output<'_>) -> mlua::Result<()> {
    match (u8::try_from(text.len()), u16::try_from(text.len())) {
        (Ok(length @ 0..=31), _) => output.push(&[0xa0 | length])?,
        (Ok(length), _) => output.push(&[0xd9, length])?,
        (_, Ok(length)) => {
            output.push(&[0xda])?;
            output.push(&length.to_be_bytes())?;
        }
        _ => {
            let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
            output.push(&[0xdb])?;
            output.push(&length.to_be_bytes())?;
        }
    }
    output.push(text)
}

fn write_number(number: f64, output: &mut Output<'_>) -> mlua::Result<()> {
    let whole = truncated(number);
    #[expect(clippy::float_cmp, reason = "as C does it")]
    if number.is_finite() && to_double(whole) == number && whole != i64::MAX {
        return write_integer(whole, output);
    }
    #[expect(clippy::cast_possible_truncation, reason = "as C does it")]
    let single = number as f32;
    #[expect(clippy::float_cmp, reason = "as C does it")]
    if f64::from(single) == number {
        output.push(&[0xca])?;
        return output.push(&single.to_be_bytes());
    }
    output.push(&[0xcb])?;
    output.push(&number.to_be_bytes())
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "each width is chosen to hold the number"
)]
fn write_integer(number: i64, output: &mut Output<'_>) -> mlua::Result<()> {
    let all = number.to_be_bytes();
    let (kind, width) = match number {
        -32..=127 => return output.push(&[number as u8]),
        128..=0xff => (0xcc, 1),
        0x100..=0xffff => (0xcd, 2),
        0x1_0000..=0xffff_ffff => (0xce, 4),
        0x1_0000_0000.. => (0xcf, 8),
        -128..=-33 => (0xd0, 1),
        -0x8000..=-129 => (0xd1, 2),
        -0x8000_0000..=-0x8001 => (0xd2, 4),
        _ => (0xd3, 8),
    };
    output.push(&[kind])?;
    output.push(all.get(8 - width..).unwrap_or_default())
}

/// Unpacks at most `limit` values, starting at `offset`; all values if both are 0.
fn unpack(
    args: &Params<'_>,
    context: &Context,
    limit: i64,
    offset: i64,
) -> mlua::Result<MultiValue> {
    let text = args.text(1)?;
    let bytes = text.as_bytes();
    let length = bytes.len();
    if offset < 0 || limit < 0 {
        let text =
            format!("Invalid request to unpack with offset of {offset} and limit of {length}.");
        return Err(throw_here(args.lua, text));
    }
    let start = usize::try_from(offset).unwrap_or(usize::MAX);
    let Some(rest) = bytes.get(start..) else {
        let text = format!("Start offset {offset} greater than input length {length}.");
        return Err(throw_here(args.lua, text));
    };
    let all = limit == 0 && offset == 0;
    let most = if all {
        usize::MAX
    } else {
        usize::try_from(limit).unwrap_or(usize::MAX)
    };
    let mut reader = Reader {
        lua: args.lua,
        state: &context.state,
        rest,
        frames: Vec::new(),
    };
    let mut results = Vec::new();
    while !reader.rest.is_empty() && results.len() < most {
        if results.len() > RESULTS_MAX {
            return Err(throw_here(args.lua, TOO_MANY));
        }
        results.push(reader.value()?);
    }
    if !all {
        let next = if reader.rest.is_empty() {
            -1
        } else {
            i64::try_from(length - reader.rest.len()).unwrap_or(i64::MAX)
        };
        results.insert(0, Value::Number(to_double(next)));
    }
    Ok(MultiValue::from_vec(results))
}

const TOO_MANY: &str =
    "stack overflow (too many return values at once; use unpack_one or unpack_limit instead.)";

/// A table that is being filled, and how many values are still missing.
enum Frame {
    List(Table, usize, usize),
    /// Includes the key that waits for its value.
    Map(Table, usize, Option<Value>),
}

struct Reader<'r> {
    lua: &'r Lua,
    state: &'r Common,
    rest: &'r [u8],
    frames: Vec<Frame>,
}

impl<'r> Reader<'r> {
    /// Reads the next value completely.
    fn value(&mut self) -> mlua::Result<Value> {
        let mut value = self.begin()?;
        loop {
            self.state.tick().map_err(end)?;
            value = match (value, self.frames.pop()) {
                (Some(value), None) => return Ok(value),
                (None, None) => return Ok(Value::Nil),
                (Some(value), Some(frame)) => self.put(frame, value)?,
                (None, Some(frame)) => self.proceed(frame)?,
            };
        }
    }

    /// Puts a value into a table.
    fn put(&mut self, frame: Frame, value: Value) -> mlua::Result<Option<Value>> {
        let frame = match frame {
            Frame::List(table, index, left) => {
                table.raw_seti(index, value)?;
                Frame::List(table, index + 1, left)
            }
            Frame::Map(table, left, None) => Frame::Map(table, left, Some(value)),
            Frame::Map(table, left, Some(key)) => {
                match key {
                    Value::Nil => return Err(throw_text(self.lua, "table index is nil")),
                    Value::Number(number) if number.is_nan() => {
                        return Err(throw_text(self.lua, "table index is NaN"));
                    }
                    key => table.raw_set(key, value)?,
                }
                Frame::Map(table, left, None)
            }
        };
        self.proceed(frame)
    }

    /// Continues with a table: returns it if it is complete, or starts to read its next value.
    fn proceed(&mut self, frame: Frame) -> mlua::Result<Option<Value>> {
        let frame = match frame {
            Frame::List(table, _, 0) | Frame::Map(table, 0, None) => {
                return Ok(Some(Value::Table(table)));
            }
            Frame::List(table, index, left) => Frame::List(table, index, left - 1),
            Frame::Map(table, left, None) => Frame::Map(table, left - 1, None),
            waiting @ Frame::Map(..) => waiting,
        };
        self.frames.push(frame);
        self.begin()
    }

    fn bytes(&mut self, length: usize) -> mlua::Result<&'r [u8]> {
        match self.rest.split_at_checked(length) {
            Some((bytes, rest)) => {
                self.rest = rest;
                Ok(bytes)
            }
            None => Err(throw_here(self.lua, "Missing bytes in input.")),
        }
    }

    fn unsigned(&mut self, width: usize) -> mlua::Result<u64> {
        let bytes = self.bytes(width)?;
        let add = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        Ok(bytes.iter().fold(0, add))
    }

    fn signed(&mut self, width: usize) -> mlua::Result<i64> {
        let unused = u32::try_from(64 - width * 8).unwrap_or(0);
        let number = self.unsigned(width)?;
        Ok((number << unused).cast_signed() >> unused)
    }

    fn length(&mut self, width: usize) -> mlua::Result<usize> {
        let length = self.unsigned(width)?;
        Ok(usize::try_from(length).unwrap_or(usize::MAX))
    }

    /// Reads a value that is not a table. For a table, enters it and returns `None`.
    fn begin(&mut self) -> mlua::Result<Option<Value>> {
        let kind = self.bytes(1)?.first().copied().unwrap_or(0);
        let number = |number: i64| Ok(Some(Value::Number(to_double(number))));
        match kind {
            0x00..=0x7f => number(i64::from(kind)),
            0xe0..=0xff => number(i64::from(kind.cast_signed())),
            0xcc => number(self.signed_of(1)?),
            0xcd => number(self.signed_of(2)?),
            0xce => number(self.signed_of(4)?),
            0xcf => number(self.signed_of(8)?),
            0xd0 => number(self.signed(1)?),
            0xd1 => number(self.signed(2)?),
            0xd2 => number(self.signed(4)?),
            0xd3 => number(self.signed(8)?),
            0xc0 => Ok(Some(Value::Nil)),
            0xc2 => Ok(Some(Value::Boolean(false))),
            0xc3 => Ok(Some(Value::Boolean(true))),
            0xca => {
                let bits = u32::try_from(self.unsigned(4)?).unwrap_or(0);
                Ok(Some(Value::Number(f64::from(f32::from_bits(bits)))))
            }
            0xcb => Ok(Some(Value::Number(f64::from_bits(self.unsigned(8)?)))),
            0xa0..=0xbf => self.text(usize::from(kind & 0x1f)),
            0xd9 => self.sized_text(1),
            0xda => self.sized_text(2),
            0xdb => self.sized_text(4),
            0x90..=0x9f => self.list(usize::from(kind & 0xf)),
            0xdc => self.sized_list(2),
            0xdd => self.sized_list(4),
            0x80..=0x8f => self.map(usize::from(kind & 0xf)),
            0xde => self.sized_map(2),
            0xdf => self.sized_map(4),
            _ => Err(throw_here(self.lua, "Bad data format in input.")),
        }
    }

    /// Reads an unsigned number as Lua receives it: above 63 bits it is negative.
    fn signed_of(&mut self, width: usize) -> mlua::Result<i64> {
        self.unsigned(width).map(u64::cast_signed)
    }

    fn text(&mut self, length: usize) -> mlua::Result<Option<Value>> {
        let text = self.bytes(length)?;
        self.lua
            .create_string(text)
            .map(|text| Some(Value::String(text)))
    }

    fn sized_text(&mut self, width: usize) -> mlua::Result<Option<Value>> {
        let length = self.length(width)?;
        self.text(length)
    }

    fn sized_list(&mut self, width: usize) -> mlua::Result<Option<Value>> {
        let length = self.length(width)?;
        self.list(length)
    }

    fn sized_map(&mut self, width: usize) -> mlua::Result<Option<Value>> {
        let length = self.length(width)?;
        self.map(length)
    }

    fn list(&mut self, length: usize) -> mlua::Result<Option<Value>> {
        let table = self.lua.create_table()?;
        self.enter(Frame::List(table, 1, length))
    }

    fn map(&mut self, length: usize) -> mlua::Result<Option<Value>> {
        let table = self.lua.create_table()?;
        self.enter(Frame::Map(table, length, None))
    }

    fn enter(&mut self, frame: Frame) -> mlua::Result<Option<Value>> {
        if self.frames.len() >= UNPACKED_DEPTH_MAX {
            return Err(throw_here(self.lua, TOO_MANY));
        }
        self.frames.push(frame);
        Ok(None)
    }
}

//! The table `cjson`: its settings and its functions. Source: redis 7.0 deps/lua lua_cjson.c.
//!
//! DIFFERENCE: settings last until the end of the script that makes them. On a server they stay in effect for all later scripts.

use std::sync::{Arc, Mutex};

use mlua::{Lua, MultiValue, Table, Value};

use super::{Call, Context, json_decode, json_encode, one};
use crate::script::params::Params;
use crate::script::state::lock;

/// What to do with numbers that JSON cannot represent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Invalid {
    Refused,
    Written,
    Null,
}

/// The settings.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    pub(super) sparse_convert: bool,
    pub(super) sparse_ratio: i32,
    pub(super) sparse_safe: i32,
    pub(super) encode_depth: i32,
    pub(super) decode_depth: i32,
    pub(super) encode_invalid: Invalid,
    pub(super) decode_invalid: bool,
    keep_buffer: bool,
    pub(super) precision: i32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sparse_convert: false,
            sparse_ratio: 2,
            sparse_safe: 10,
            encode_depth: 1000,
            decode_depth: 1000,
            encode_invalid: Invalid::Refused,
            decode_invalid: true,
            keep_buffer: true,
            precision: 14,
        }
    }
}

/// The settings of an interpreter, and the number of the run that they belong to.
pub(super) type Shared = Arc<Mutex<(u64, Settings)>>;

/// Returns the settings of the running script.
pub(super) fn settings(context: &Context) -> Settings {
    let mut held = lock(&context.json);
    let run = context.state.run_number();
    if held.0 != run {
        *held = (run, Settings::default());
    }
    held.1
}

fn change(context: &Context, settings: Settings) {
    lock(&context.json).1 = settings;
}

const FUNCTIONS: &[(&str, Call)] = &[
    ("encode", json_encode::encode),
    ("decode", json_decode::decode),
    ("encode_sparse_array", sparse_array),
    ("encode_max_depth", encode_max_depth),
    ("decode_max_depth", decode_max_depth),
    ("encode_number_precision", number_precision),
    ("encode_keep_buffer", keep_buffer),
    ("encode_invalid_numbers", encode_invalid),
    ("decode_invalid_numbers", decode_invalid),
];

/// The table `cjson`.
pub(super) fn library(lua: &Lua, context: &Context) -> mlua::Result<Table> {
    let table = super::library(lua, context, FUNCTIONS)?;
    table.raw_set("null", Value::NULL)?;
    table.raw_set("_NAME", "cjson")?;
    table.raw_set("_VERSION", "2.1.0")?;
    let again = context.clone();
    let new = lua.create_function(move |lua, _: MultiValue| library(lua, &again))?;
    table.raw_set("new", new)?;
    Ok(table)
}

/// Fails if there are more than `most` arguments. Source: `json_arg_init`.
fn check_count(args: &Params<'_>, most: usize) -> mlua::Result<()> {
    if args.len() <= most {
        return Ok(());
    }
    Err(args.bad(most + 1, "found too many arguments"))
}

/// Source: `json_integer_option`.
fn integer(
    args: &Params<'_>,
    number: usize,
    setting: &mut i32,
    least: i32,
    most: i32,
) -> mlua::Result<Value> {
    if !args.is_none(number) {
        let value = args.int(number)?;
        if value < least || value > most {
            let text = format!("expected integer between {least} and {most}");
            return Err(args.bad(1, &text));
        }
        *setting = value;
    }
    Ok(Value::Number(f64::from(*setting)))
}

/// Source: `json_enum_option`.
fn switch(args: &Params<'_>, number: usize, setting: &mut bool) -> mlua::Result<Value> {
    *setting = match args.get(number) {
        None | Some(Value::Nil) => *setting,
        Some(Value::Boolean(value)) => *value,
        Some(_) => option(args, number, &["off", "on"])? == 1,
    };
    Ok(Value::Boolean(*setting))
}

/// Source: Lua 5.1 lauxlib.c, `luaL_checkoption`.
fn option(args: &Params<'_>, number: usize, names: &[&str]) -> mlua::Result<usize> {
    let name = args.text(number)?;
    let found = names
        .iter()
        .position(|known| *name.as_bytes() == *known.as_bytes());
    found.ok_or_else(|| {
        let text = format!("invalid option '{}'", name.to_string_lossy());
        args.bad(number, &text)
    })
}

fn sparse_array(args: &Params<'_>, context: &Context) -> mlua::Result<MultiValue> {
    check_count(args, 3)?;
    let mut own = settings(context);
    let results = vec![
        switch(args, 1, &mut own.sparse_convert)?,
        integer(args, 2, &mut own.sparse_ratio, 0, i32::MAX)?,
        integer(args, 3, &mut own.sparse_safe, 0, i32::MAX)?,
    ];
    change(context, own);
    Ok(MultiValue::from_vec(results))
}

fn encode_max_depth(args: &Params<'_>, context: &Context) -> mlua::Result<MultiValue> {
    number(args, context, |own| &mut own.encode_depth, i32::MAX)
}

fn decode_max_depth(args: &Params<'_>, context: &Context) -> mlua::Result<MultiValue> {
    number(args, context, |own| &mut own.decode_depth, i32::MAX)
}

fn number_precision(args: &Params<'_>, context: &Context) -> mlua::Result<MultiValue> {
    number(args, context, |own| &mut own.precision, 14)
}

fn number(
    args: &Params<'_>,
    context: &Context,
    of: fn(&mut Settings) -> &mut i32,
    most: i32,
) -> mlua::Result<MultiValue> {
    check_count(args, 1)?;
    let mut own = settings(context);
    let result = integer(args, 1, of(&mut own), 1, most)?;
    change(context, own);
    Ok(one(result))
}

fn keep_buffer(args: &Params<'_>, context: &Context) -> mlua::Result<MultiValue> {
    check_count(args, 1)?;
    let mut own = settings(context);
    let result = switch(args, 1, &mut own.keep_buffer)?;
    change(context, own);
    Ok(one(result))
}

fn decode_invalid(args: &Params<'_>, context: &Context) -> mlua::Result<MultiValue> {
    check_count(args, 1)?;
    let mut own = settings(context);
    let result = switch(args, 1, &mut own.decode_invalid)?;
    change(context, own);
    Ok(one(result))
}

fn encode_invalid(args: &Params<'_>, context: &Context) -> mlua::Result<MultiValue> {
    check_count(args, 1)?;
    let mut own = settings(context);
    own.encode_invalid = match args.get(1) {
        None | Some(Value::Nil) => own.encode_invalid,
        Some(Value::Boolean(true)) => Invalid::Written,
        Some(Value::Boolean(false)) => Invalid::Refused,
        Some(_) => match option(args, 1, &["off", "on", "null"])? {
            0 => Invalid::Refused,
            1 => Invalid::Written,
            _ => Invalid::Null,
        },
    };
    change(context, own);
    Ok(one(match own.encode_invalid {
        Invalid::Refused => Value::Boolean(false),
        Invalid::Written => Value::Boolean(true),
        Invalid::Null => Value::String(args.lua.create_string("null")?),
    }))
}

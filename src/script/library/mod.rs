//! The libraries that servers build into Lua, and replacements for Lua functions that could run past every limit.

mod bits;
mod json;
mod json_decode;
mod json_encode;
mod msgpack;
mod number;
mod output;
mod pack;
mod pattern;
#[cfg(test)]
mod pattern_tests;
mod strings;
mod tables;
mod unpack;

use std::sync::Arc;

use mlua::{Function, Lua, MultiValue, Table, Value};

use super::params::Params;
use super::state::Common;

/// A library function. It takes its arguments and what it needs from the interpreter.
type Call = fn(&Params<'_>, &Context) -> mlua::Result<MultiValue>;

/// What library functions need.
#[derive(Clone)]
struct Context {
    state: Arc<Common>,
    /// Lua's own `next` and `pcall`.
    next: Function,
    pcall: Function,
    /// The settings of `cjson`.
    json: json::Shared,
}

/// Adds all libraries to the globals `real`.
pub(super) fn add(lua: &Lua, real: &Table, state: &Arc<Common>) -> mlua::Result<()> {
    let context = Context {
        state: Arc::clone(state),
        next: lua.globals().raw_get("next")?,
        pcall: lua.globals().raw_get("pcall")?,
        json: json::Shared::default(),
    };
    let strings: Table = real.raw_get("string")?;
    register(lua, &strings, &context, strings::FUNCTIONS)?;
    tables::replace(lua, real, &context)?;
    real.raw_set("bit", library(lua, &context, bits::FUNCTIONS)?)?;
    let packing = library(lua, &context, pack::FUNCTIONS)?;
    register(lua, &packing, &context, unpack::FUNCTIONS)?;
    real.raw_set("struct", packing)?;
    real.raw_set("cmsgpack", msgpack::library(lua, &context)?)?;
    real.raw_set("cjson", json::library(lua, &context)?)
}

fn library(lua: &Lua, context: &Context, functions: &[(&str, Call)]) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    register(lua, &table, context, functions)?;
    Ok(table)
}

fn register(
    lua: &Lua,
    table: &Table,
    context: &Context,
    functions: &[(&str, Call)],
) -> mlua::Result<()> {
    for (name, call) in functions {
        let (call, context) = (*call, context.clone());
        let function = lua.create_function(move |lua, args: MultiValue| {
            call(&Params::new(lua, args), &context)
        })?;
        table.raw_set(*name, function)?;
    }
    Ok(())
}

/// Wraps a single result.
fn one(value: Value) -> MultiValue {
    MultiValue::from_vec(vec![value])
}

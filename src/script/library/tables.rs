//! `table.sort` and `table.insert`, whose C versions check no clock. Source: Lua 5.1 ltablib.c.

use mlua::{Function, Lua, LuaString, MultiValue, Table, Value};

use super::Context;
use crate::script::params::{Params, to_double};
use crate::script::raise::{Caught, Fatal, caught, end, throw, throw_here, throw_text};
use crate::script::sandbox;
use crate::script::state::Common;

/// Up to this many elements, Lua's own sort is fast enough, whatever their order.
const SORTED_NATIVELY_MAX: usize = 1_000;

/// How many elements one insertion may move.
const MOVES_MAX: i64 = 10_000_000;

/// The name of our own comparison in error messages. Lua's sort without a comparison has none, so the name is removed.
const LESS: &str = "=less";
const LESS_PLACE: &[u8] = b"less:1: ";

/// The error of Lua's own sort.
const DISORDER: &[u8] = b"invalid order function for sorting";

/// Replaces Lua's functions with ours.
pub(super) fn replace(lua: &Lua, real: &Table, context: &Context) -> mlua::Result<()> {
    let tables: Table = real.raw_get("table")?;
    let (native, ours) = (tables.raw_get::<Function>("sort")?, context.clone());
    let counted: Function = real.raw_get("counted")?;
    real.raw_remove("counted")?;
    let sort =
        move |lua: &Lua, args: MultiValue| sort(&Params::new(lua, args), &ours, &native, &counted);
    tables.raw_set("sort", lua.create_function(sort)?)?;
    let (native, ours) = (tables.raw_get::<Function>("insert")?, context.clone());
    let insert = move |lua: &Lua, args: MultiValue| insert(&Params::new(lua, args), &ours, &native);
    tables.raw_set("insert", lua.create_function(insert)?)
}

/// Calls one of Lua's own functions, and throws what it throws.
pub(super) fn call(
    lua: &Lua,
    context: &Context,
    native: &Function,
    args: impl IntoIterator<Item = Value>,
) -> mlua::Result<MultiValue> {
    let all = std::iter::once(Value::Function(native.clone())).chain(args);
    let mut results: MultiValue = context.pcall.call(MultiValue::from_iter(all))?;
    if results.pop_front() == Some(Value::Boolean(true)) {
        return Ok(results);
    }
    match caught(lua, results.pop_front().unwrap_or(Value::Nil))? {
        Caught::Value(raised) => Err(replaced(lua, raised.value)),
        Caught::Fatal(fatal) => Err(end(context.state.doom(fatal))),
    }
}

/// Throws an error from below the running function as if the running function had thrown it.
fn replaced(lua: &Lua, value: Value) -> mlua::Error {
    if let Value::String(text) = &value {
        let text = text.as_bytes();
        if *text == *DISORDER {
            return throw_here(lua, DISORDER);
        }
        if let Some(text) = text.strip_prefix(LESS_PLACE) {
            return throw_text(lua, text);
        }
    }
    throw(value)
}

fn sort(
    args: &Params<'_>,
    context: &Context,
    native: &Function,
    counted: &Function,
) -> mlua::Result<MultiValue> {
    let table = args.table(1)?;
    let lua = args.lua;
    if args.is_none(2) {
        if table.raw_len() > SORTED_NATIVELY_MAX && sort_plain(lua, &table, &context.state)? {
            return Ok(MultiValue::new());
        }
        if table.raw_len() > SORTED_NATIVELY_MAX {
            let less = lua.load("local a, b = ... return a < b");
            let less = less.set_name(LESS).into_function()?;
            return call(
                lua,
                context,
                native,
                [Value::Table(table), Value::Function(less)],
            );
        }
        return call(lua, context, native, [Value::Table(table)]);
    }
    let less = args.function(2)?;
    let less = if less.info().what == "C" {
        counted.call(less)?
    } else {
        less
    };
    call(
        lua,
        context,
        native,
        [Value::Table(table), Value::Function(less)],
    )
}

/// Sorts elements of one type whose order is total. Returns false for any other elements. Equal elements are indistinguishable,
/// so every sorting algorithm has the same result.
fn sort_plain(lua: &Lua, table: &Table, state: &Common) -> mlua::Result<bool> {
    if let Some(mut numbers) = collect(table, state, |value| match value {
        Value::Integer(number) => Some(to_double(*number)),
        // −0 equals 0 but is displayed differently.
        Value::Number(number) if !number.is_nan() && *number != 0.0 => Some(*number),
        _ => None,
    })? {
        numbers.sort_unstable_by(f64::total_cmp);
        return put(
            table,
            numbers.into_iter().map(|number| Ok(Value::Number(number))),
        );
    }
    let texts = collect(table, state, |value| match value {
        Value::String(text) => Some(text.as_bytes().to_vec()),
        _ => None,
    })?;
    let Some(mut texts) = texts else {
        return Ok(false);
    };
    texts.sort_unstable();
    let made = |text: Vec<u8>| -> mlua::Result<Value> {
        lua.create_string(text)
            .map(|text: LuaString| Value::String(text))
    };
    put(table, texts.into_iter().map(made))
}

/// Returns all elements, each converted by `take`, or `None` if it rejects one.
fn collect<T>(
    table: &Table,
    state: &Common,
    take: impl Fn(&Value) -> Option<T>,
) -> mlua::Result<Option<Vec<T>>> {
    let mut taken = Vec::new();
    for index in 1..=table.raw_len() {
        state.tick().map_err(end)?;
        match take(&table.raw_get(index)?) {
            Some(element) => taken.push(element),
            None => return Ok(None),
        }
    }
    Ok(Some(taken))
}

fn put(table: &Table, values: impl Iterator<Item = mlua::Result<Value>>) -> mlua::Result<bool> {
    for (index, value) in values.enumerate() {
        table.raw_seti(index + 1, value?)?;
    }
    Ok(true)
}

fn insert(args: &Params<'_>, context: &Context, native: &Function) -> mlua::Result<MultiValue> {
    let table = args.table(1)?;
    sandbox::check_writable(args.lua, &table)?;
    match args.len() {
        2 => table.raw_seti(table.raw_len() + 1, args.value(2))?,
        3 => {
            let place = i64::from(args.int(2)?);
            let length = i64::try_from(table.raw_len()).unwrap_or(i64::MAX);
            if length - place > MOVES_MAX {
                return Err(end(context.state.doom(Fatal::Time)));
            }
            let all = [Value::Table(table), args.value(2), args.value(3)];
            return call(args.lua, context, native, all);
        }
        _ => {
            let text = "wrong number of arguments to 'insert'";
            return Err(throw_here(args.lua, text));
        }
    }
    Ok(MultiValue::new())
}

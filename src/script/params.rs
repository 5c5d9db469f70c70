//! The arguments of a function that a script called, checked with Lua's error messages. Source: Lua 5.1 lauxlib.c.

use mlua::{Function, Lua, LuaString, MultiValue, Table, Value};

use super::raise::throw_here;

/// The arguments of the running function.
pub(super) struct Params<'l> {
    pub(super) lua: &'l Lua,
    values: Vec<Value>,
}

impl<'l> Params<'l> {
    /// Wraps the arguments of a call.
    pub(super) fn new(lua: &'l Lua, values: MultiValue) -> Self {
        let values = values.into_iter().collect();
        Self { lua, values }
    }

    /// The number of arguments.
    pub(super) const fn len(&self) -> usize {
        self.values.len()
    }

    /// Returns the argument `number`, counted from 1.
    pub(super) fn get(&self, number: usize) -> Option<&Value> {
        self.values.get(number.checked_sub(1)?)
    }

    /// Like [`get`](Self::get), but nil after the last argument.
    pub(super) fn value(&self, number: usize) -> Value {
        self.get(number).cloned().unwrap_or(Value::Nil)
    }

    /// Returns all arguments.
    pub(super) fn values(&self) -> &[Value] {
        &self.values
    }

    /// Whether the argument is absent or nil.
    pub(super) fn is_none(&self, number: usize) -> bool {
        matches!(self.get(number), None | Some(Value::Nil))
    }

    /// Returns the name of the argument's type.
    pub(super) fn type_name(&self, number: usize) -> &'static str {
        self.get(number).map_or("no value", type_name)
    }

    /// Returns a `bad argument …` error. Source: `luaL_argerror`.
    pub(super) fn bad(&self, number: usize, why: &str) -> mlua::Error {
        let named = self.lua.inspect_stack(0, |frame| {
            let names = frame.names();
            let name = names.name.map(std::borrow::Cow::into_owned);
            (name, names.name_what == Some("method"))
        });
        let (name, is_method) = named.unwrap_or((None, false));
        let name = name.unwrap_or_else(|| "?".to_owned());
        if is_method && number == 1 {
            return throw_here(self.lua, format!("calling '{name}' on bad self ({why})"));
        }
        let number = number - usize::from(is_method);
        throw_here(
            self.lua,
            format!("bad argument #{number} to '{name}' ({why})"),
        )
    }

    /// Returns a `… expected, got …` error. Source: `luaL_typerror`.
    pub(super) fn mismatch(&self, number: usize, expected: &str) -> mlua::Error {
        let found = self.type_name(number);
        self.bad(number, &format!("{expected} expected, got {found}"))
    }

    /// Returns a string argument. A number is converted.
    pub(super) fn text(&self, number: usize) -> mlua::Result<LuaString> {
        let text = match self.get(number) {
            Some(Value::String(text)) => Some(text.clone()),
            Some(value @ (Value::Number(_) | Value::Integer(_))) => {
                self.lua.coerce_string(value.clone())?
            }
            _ => None,
        };
        text.ok_or_else(|| self.mismatch(number, "string"))
    }

    /// Returns a number argument. A numeric string is converted.
    pub(super) fn number(&self, number: usize) -> mlua::Result<f64> {
        let found = match self.get(number) {
            Some(value @ (Value::Number(_) | Value::Integer(_) | Value::String(_))) => {
                self.lua.coerce_number(value.clone())?
            }
            _ => None,
        };
        found.ok_or_else(|| self.mismatch(number, "number"))
    }

    /// Returns a whole number. Source: Lua 5.1 luaconf.h, `lua_number2integer`.
    pub(super) fn integer(&self, number: usize) -> mlua::Result<i64> {
        self.number(number).map(truncated)
    }

    /// Returns a whole number, or `default` if the argument is absent or nil.
    pub(super) fn integer_or(&self, number: usize, default: i64) -> mlua::Result<i64> {
        if self.is_none(number) {
            return Ok(default);
        }
        self.integer(number)
    }

    /// Returns a whole number of 32 bits. Source: `luaL_checkint`.
    pub(super) fn int(&self, number: usize) -> mlua::Result<i32> {
        self.integer(number).map(low_bits)
    }

    /// Returns a table argument.
    pub(super) fn table(&self, number: usize) -> mlua::Result<Table> {
        match self.get(number) {
            Some(Value::Table(table)) => Ok(table.clone()),
            _ => Err(self.mismatch(number, "table")),
        }
    }

    /// Returns a function argument.
    pub(super) fn function(&self, number: usize) -> mlua::Result<Function> {
        match self.get(number) {
            Some(Value::Function(function)) => Ok(function.clone()),
            _ => Err(self.mismatch(number, "function")),
        }
    }
}

/// Returns the name that Lua uses for the type of a value.
pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Integer(_) => "number",
        Value::LightUserData(_) | Value::UserData(_) | Value::Error(_) => "userdata",
        value => value.type_name(),
    }
}

/// Converts a double to an integer the way the processor does: a value that does not fit becomes the smallest integer.
#[expect(clippy::cast_possible_truncation, reason = "it is known to fit")]
pub(super) fn truncated(number: f64) -> i64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if (-LIMIT..LIMIT).contains(&number) {
        number as i64
    } else {
        i64::MIN
    }
}

/// Returns the low 32 bits, like C when it converts a `long` to an `int`.
#[expect(clippy::cast_possible_truncation, reason = "that is what it is for")]
pub(super) const fn low_bits(number: i64) -> i32 {
    number as i32
}

/// Converts an integer back to the double that it is in Lua.
#[expect(clippy::cast_precision_loss, reason = "it was a double")]
pub(super) const fn to_double(number: i64) -> f64 {
    number as f64
}

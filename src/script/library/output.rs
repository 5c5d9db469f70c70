//! Bytes that a library function makes, which count for the script's memory though they are not Lua's.

use mlua::{Lua, Value};

use crate::script::raise::{Fatal, end};
use crate::script::state::State;

/// Bytes, as many as a script may hold.
pub(super) struct Output<'s> {
    bytes: Vec<u8>,
    state: &'s State,
}

impl<'s> Output<'s> {
    pub(super) const fn new(state: &'s State) -> Self {
        let bytes = Vec::new();
        Self { bytes, state }
    }

    /// Appends.
    pub(super) fn push(&mut self, bytes: &[u8]) -> mlua::Result<()> {
        if self.bytes.len().saturating_add(bytes.len()) > self.state.bytes_max() {
            return Err(end(self.state.doom(Fatal::Memory)));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// How many there are.
    pub(super) const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// As a text of Lua's.
    pub(super) fn finish(self, lua: &Lua) -> mlua::Result<Value> {
        lua.create_string(self.bytes).map(Value::String)
    }
}

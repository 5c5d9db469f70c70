//! Bytes that a library function creates. They count toward the script's memory although they are outside Lua.

use mlua::{Lua, Value};

use crate::script::raise::{Fatal, end};
use crate::script::state::Common;

/// A buffer that holds at most as many bytes as a script may hold.
pub(super) struct Output<'s> {
    bytes: Vec<u8>,
    state: &'s Common,
}

impl<'s> Output<'s> {
    pub(super) const fn new(state: &'s Common) -> Self {
        let bytes = Vec::new();
        Self { bytes, state }
    }

    /// Appends bytes. Fails if the script would then hold too many.
    pub(super) fn push(&mut self, bytes: &[u8]) -> mlua::Result<()> {
        if self.bytes.len().saturating_add(bytes.len()) > self.state.bytes_max() {
            return Err(end(self.state.doom(Fatal::Memory)));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// The number of bytes.
    pub(super) const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Converts the bytes to a Lua string.
    pub(super) fn finish(self, lua: &Lua) -> mlua::Result<Value> {
        lua.create_string(self.bytes).map(Value::String)
    }
}

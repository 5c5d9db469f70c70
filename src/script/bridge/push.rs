//! Pushes values onto Lua's stack. A jump may leave each of these functions, so none holds anything that needs to be dropped.

use std::ffi::{CStr, c_char, c_int};
use std::mem::MaybeUninit;

use mlua::ffi;

use crate::resp::parse_integer;

/// How many stack slots one value takes while it is pushed.
const PLACES: c_int = 4;

/// Pushes a string.
///
/// # Safety
/// The stack must have one free slot, and the call must be inside a protected call.
pub(super) unsafe fn text(lua: *mut ffi::lua_State, text: &[u8]) {
    // SAFETY: Lua copies the bytes.
    unsafe { ffi::lua_pushlstring_(lua, text.as_ptr().cast(), text.len()) };
}

/// Fills the list on top of the stack.
///
/// # Safety
/// Same as for [`text`].
pub(super) unsafe fn fill<'w>(lua: *mut ffi::lua_State, words: impl Iterator<Item = &'w [u8]>) {
    // SAFETY: the table lies right below each string.
    unsafe {
        let mut at = 0;
        for word in words {
            at += 1;
            text(lua, word);
            ffi::lua_rawseti_(lua, -2, at);
        }
    }
}

/// Whether the table on top of the stack has a value for each number from 1 to `len`, nothing else, and no metatable.
///
/// # Safety
/// The stack must have two free slots.
pub(super) unsafe fn is_list(lua: *mut ffi::lua_State, len: c_int) -> bool {
    // SAFETY: every key comes from `lua_next` itself, so `lua_next` cannot fail.
    unsafe {
        if ffi::lua_getmetatable(lua, -1) != 0 {
            ffi::lua_settop(lua, -2);
            return false;
        }
        let mut found = 0;
        ffi::lua_pushnil(lua);
        while ffi::lua_next(lua, -2) != 0 {
            ffi::lua_settop(lua, -2);
            found += 1;
            let is_number = ffi::lua_type(lua, -1) == ffi::LUA_TNUMBER;
            let key = ffi::lua_tonumber(lua, -1);
            // All keys differ, so `len` whole numbers from 1 to `len` are all of them.
            if !is_number || key.fract() != 0.0 || !(1.0..=f64::from(len)).contains(&key) {
                ffi::lua_settop(lua, -2);
                return false;
            }
        }
        found == len
    }
}

/// Throws exactly this text.
///
/// # Safety
/// Same as for [`text`]. In addition, no frame up to the protected call may hold anything that needs to be dropped.
pub(super) unsafe fn throw_text(lua: *mut ffi::lua_State, thrown: &[u8]) -> c_int {
    // SAFETY: the caller guarantees it.
    unsafe {
        text(lua, thrown);
        ffi::lua_error(lua)
    }
}

/// Pushes an error table, marked as counted by the server if `is_marked` is set. If `throws` is set, throws instead: the table
/// if true, only the text if false.
///
/// # Safety
/// Same as for [`throw_text`].
pub(super) unsafe fn error(
    lua: *mut ffi::lua_State,
    message: &[u8],
    is_marked: bool,
    throws: Option<bool>,
) -> c_int {
    // SAFETY: the caller guarantees it.
    unsafe {
        if throws == Some(false) {
            return throw_text(lua, message);
        }
        named(lua, c"err", 1 + c_int::from(is_marked), |lua| {
            text(lua, message)
        });
        if is_marked {
            ffi::lua_pushboolean(lua, 1);
            ffi::lua_setfield(lua, -2, c"ignore_error_stats_update".as_ptr());
        }
        if throws.is_some() {
            ffi::lua_error(lua);
        }
        1
    }
}

/// Pushes a table with one field and room for `fields` of them.
unsafe fn named(
    lua: *mut ffi::lua_State,
    name: &CStr,
    fields: c_int,
    push: impl FnOnce(*mut ffi::lua_State),
) {
    // SAFETY: the table is right below the value that `push` pushes, and it has no metatable.
    unsafe {
        ffi::lua_createtable(lua, 0, fields);
        push(lua);
        ffi::lua_setfield(lua, -2, name.as_ptr());
    }
}

/// Returns `source: line: ` of the function that called the running one, or nothing if there is none.
///
/// # Safety
/// `lua` must be the running state.
pub(super) unsafe fn caller(lua: *mut ffi::lua_State) -> Vec<u8> {
    let mut frame = MaybeUninit::<ffi::lua_Debug>::zeroed();
    // SAFETY: the fields that are read were requested and filled in, and neither function can fail.
    unsafe {
        if ffi::lua_getstack(lua, 1, frame.as_mut_ptr()) == 0 {
            return Vec::new();
        }
        ffi::lua_getinfo(lua, c"Sl".as_ptr(), frame.as_mut_ptr());
        let frame = frame.assume_init();
        let source: *const c_char = frame.source;
        let source = if source.is_null() {
            &[]
        } else {
            CStr::from_ptr(source).to_bytes()
        };
        [source, format!(": {}: ", frame.currentline).as_bytes()].concat()
    }
}

/// Pushes a reply as a Lua value. The reply is our own, so no client decides how deep it nests.
/// Source: redis 7.0 script_lua.c, `redisProtocolToLuaType`.
pub(super) struct Pusher<'r> {
    lua: *mut ffi::lua_State,
    rest: &'r [u8],
}

impl<'r> Pusher<'r> {
    /// Creates a pusher for the reply in `rest`.
    pub(super) const fn new(lua: *mut ffi::lua_State, rest: &'r [u8]) -> Self {
        Self { lua, rest }
    }

    /// Pushes the next value.
    ///
    /// # Safety
    /// The call must be inside a protected call, and no frame up to it may hold anything that needs to be dropped.
    pub(super) unsafe fn push(&mut self) {
        let line = self.line();
        let (kind, line) = line.split_first().unwrap_or((&b'_', &[]));
        // SAFETY: the caller guarantees it. The stack is checked for room first; if it has none, the throw jumps out of here.
        unsafe {
            if ffi::lua_checkstack(self.lua, PLACES) == 0 {
                throw_text(self.lua, super::NO_MEMORY);
            }
            match kind {
                b'$' => match length(line) {
                    Some(length) => text(self.lua, self.bytes(length)),
                    None => ffi::lua_pushboolean(self.lua, 0),
                },
                b':' => ffi::lua_pushnumber(self.lua, number(line)),
                b'*' | b'>' => self.array(line),
                b'+' => named(self.lua, c"ok", 1, |lua| text(lua, line)),
                b'-' => named(self.lua, c"err", 1, |lua| text(lua, line)),
                b'%' => named(self.lua, c"map", 1, |_| self.map(line)),
                b'~' => named(self.lua, c"set", 1, |_| self.set(line)),
                b'#' => ffi::lua_pushboolean(self.lua, c_int::from(line == b"t")),
                b',' => named(self.lua, c"double", 1, |lua| {
                    ffi::lua_pushnumber(lua, double(line))
                }),
                b'(' => named(self.lua, c"big_number", 1, |lua| text(lua, line)),
                b'=' => self.verbatim(line),
                _ => ffi::lua_pushnil(self.lua),
            }
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

    unsafe fn array(&mut self, line: &[u8]) {
        // SAFETY: same as for `push`.
        unsafe {
            let Some(length) = length(line) else {
                return ffi::lua_pushboolean(self.lua, 0);
            };
            let length = c_int::try_from(length).unwrap_or(c_int::MAX);
            ffi::lua_createtable(self.lua, length, 0);
            for at in 1..=length {
                self.push();
                ffi::lua_rawseti_(self.lua, -2, at);
            }
        }
    }

    unsafe fn map(&mut self, line: &[u8]) {
        let pairs = length(line).unwrap_or(0);
        // SAFETY: same as for `push`.
        unsafe {
            ffi::lua_createtable(self.lua, 0, c_int::try_from(pairs).unwrap_or(c_int::MAX));
            for _ in 0..pairs {
                self.push();
                self.push();
                ffi::lua_rawset(self.lua, -3);
            }
        }
    }

    unsafe fn set(&mut self, line: &[u8]) {
        let members = length(line).unwrap_or(0);
        // SAFETY: same as for `push`.
        unsafe {
            ffi::lua_createtable(self.lua, 0, c_int::try_from(members).unwrap_or(c_int::MAX));
            for _ in 0..members {
                self.push();
                ffi::lua_pushboolean(self.lua, 1);
                ffi::lua_rawset(self.lua, -3);
            }
        }
    }

    unsafe fn verbatim(&mut self, line: &[u8]) {
        let bytes = self.bytes(length(line).unwrap_or(0));
        let (format, rest) = bytes.split_at(bytes.len().min(3));
        // SAFETY: same as for `push`.
        unsafe {
            named(self.lua, c"verbatim_string", 1, |lua| {
                named(lua, c"string", 2, |lua| {
                    text(lua, rest.get(1..).unwrap_or_default())
                });
                text(lua, format);
                ffi::lua_setfield(lua, -2, c"format".as_ptr());
            });
        }
    }
}

/// Parses a length; `None` for −1.
fn length(line: &[u8]) -> Option<usize> {
    parse_integer(line).and_then(|length| usize::try_from(length).ok())
}

fn number(line: &[u8]) -> f64 {
    parse_integer(line).map_or(0.0, crate::script::params::to_double)
}

fn double(line: &[u8]) -> f64 {
    std::str::from_utf8(line)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0.0)
}

//! The steps that every script takes, through Lua's own C interface: the script runs, it calls commands, and its result is
//! written.
//!
//! mlua makes every single step safe, at the price of a lock, a protected call and a reference for every value. For a script
//! that reads one key, that is five sixths of the instructions. So the steps that every script takes are here, and everything
//! else stays with mlua.
//!
//! # Safety
//! When a C function fails, Lua leaves it with a long jump to the enclosing protected call, across all frames in between. So
//! every function here that Lua calls has two halves. The first half is ordinary Rust, in which panics are caught. It reads the
//! stack only through functions that cannot fail, and leaves its result in the [`Bridge`]. The second half pushes the result. A
//! jump may skip it, so its frames hold only pointers, numbers and borrowed slices, nothing that needs to be dropped.
//!
//! An interpreter belongs to one thread at a time, so nothing here is locked.
#![expect(
    unsafe_code,
    reason = "Lua's C interface; the module documentation says why this is sound"
)]

mod push;

use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use mlua::ffi;
use mlua::{FromLua as _, Function, Lua, Table, Value};

use self::push::Pusher;
use super::api::{coded, word_list};
use super::params::truncated;
use super::raise::NO_MEMORY;
use super::state::Common;
use super::to_reply::write_scalar;
use crate::command::ScriptCall;
use crate::resp::{Args, ArgsBuf, Protocol, Reply};

/// How much room for words and replies is kept between calls.
const KEPT_BYTES: usize = 64 << 10;

/// How many elements of a list are written between two checks of the clock.
const ELEMENTS_PER_TICK: i64 = 256;

/// The running script's way to call commands.
pub(super) trait Calls {
    /// Runs the command `words`. Writes its reply, or the text of an error, into `reply`, which must be empty.
    fn call(&self, words: Args<'_>, reply: &mut Reply) -> Answer;

    /// Implements `redis.replicate_commands`. Returns whether the script may still switch, or `None` to end the script; then
    /// the script is doomed already.
    fn replicates_commands(&self) -> Option<bool> {
        Some(true)
    }
}

/// What a script gets for a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// The reply, as a Lua value.
    Reply,
    /// The last word of the command itself.
    LastWord,
    /// A script error, with the reply as its text.
    Error {
        /// Whether a server counts this error. Since Redis 7.0 the error table says so.
        is_counted: bool,
    },
    /// Nothing: the script is doomed.
    End,
}

/// A value that Lua keeps for us until it closes, by its number in the registry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kept(c_int);

/// Where a script finds its keys and arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gives {
    /// In the globals `KEYS` and `ARGV`.
    Globals,
    /// In the two arguments of the function.
    Arguments {
        /// Whether the call gets new lists of its own. It must if the function keeps variables, because it might keep the
        /// lists, too.
        own: bool,
    },
    /// They are in place already.
    Nothing,
}

/// The bridge between one Lua and Rust.
///
/// It lies in a box that outlives its Lua, because functions in Lua point to it.
pub(super) struct Bridge {
    lua: NonNull<ffi::lua_State>,
    state: Arc<Common>,
    running: Cell<Option<NonNull<dyn Calls>>>,
    /// Whether `words` and `reply` are in use.
    is_busy: Cell<bool>,
    words: UnsafeCell<ArgsBuf>,
    reply: UnsafeCell<Reply>,
    /// The payload of a panic in a command.
    panic: Cell<Option<Box<dyn Any + Send>>>,
    /// The function `give` and what it needs: the table of globals, and the names in it.
    give: Kept,
    globals: Kept,
    lists: [List; 2],
    handler: Kept,
}

/// The keys or the arguments, as a list that one script after the other reuses. Creating and freeing a list takes as long as
/// the rest of a short script.
struct List {
    name: Kept,
    table: Kept,
    /// The number of words in it.
    len: Cell<c_int>,
    /// Whether it is in the table of globals.
    is_global: Cell<bool>,
}

// SAFETY: the bridge points to two things. One is Lua's state, which may move to another thread together with the bridge
// (mlua's feature `send`). The other is the running script's calls, a pointer that is set only while `lend` runs.
unsafe impl Send for Bridge {}

/// The place that Lua functions point to in order to find the bridge. It exists before the bridge does.
pub(super) struct Site(Box<UnsafeCell<Option<Bridge>>>);

// SAFETY: see `Bridge`. Only the thread that holds the interpreter reads it.
unsafe impl Send for Site {}

/// What `give` receives.
struct Given<'g> {
    bridge: &'g Bridge,
    call: &'g ScriptCall<'g>,
    gives: Gives,
}

/// The number of values on the stack after a function has ended: the error handler and the result.
const PUSHED: c_int = 2;

/// The end of a function call, with one value on the stack.
pub(super) struct Ended<'b> {
    bridge: &'b Bridge,
    top: c_int,
    /// Whether the function failed. If so, the value is the error.
    pub(super) failed: bool,
}

impl Site {
    /// Adds `call` and `pcall` to the table `redis`, and `replicate_commands` if the table has that name.
    pub(super) fn add(lua: &Lua, api: &Table) -> mlua::Result<Self> {
        let site = Self(Box::new(UnsafeCell::new(None)));
        let mut functions: Vec<(&str, ffi::lua_CFunction)> = vec![("call", call), ("pcall", pcall)];
        if api.contains_key("replicate_commands")? {
            functions.push(("replicate_commands", replicate_commands));
        }
        for (name, function) in functions {
            let place = mlua::LightUserData(site.0.get().cast());
            // SAFETY: the place is valid as long as the site, and the site outlives the Lua.
            let function: Function =
                unsafe { lua.exec_raw(place, |lua| ffi::lua_pushcclosure(lua, function, 1))? };
            api.raw_set(name, function)?;
        }
        Ok(site)
    }

    /// Builds the bridge of an interpreter whose globals are in `globals` and whose errors go to `handler`.
    pub(super) fn build(
        self,
        lua: &Lua,
        state: &Arc<Common>,
        globals: &Table,
        handler: &Function,
    ) -> mlua::Result<Self> {
        let mut main = std::ptr::null_mut();
        // SAFETY: this only reads which state it is, and pushes a function without upvalues.
        let give: Function = unsafe {
            lua.exec_raw((), |lua| {
                main = lua;
                ffi::lua_pushcclosure(lua, give, 0);
            })?
        };
        let bridge = Bridge {
            lua: NonNull::new(main).ok_or(mlua::Error::StackError)?,
            state: Arc::clone(state),
            running: Cell::new(None),
            is_busy: Cell::new(false),
            words: UnsafeCell::default(),
            reply: UnsafeCell::new(Reply::new(Protocol::Resp2, state.dialect, 0)),
            panic: Cell::new(None),
            give: keep(lua, give)?,
            globals: keep(lua, globals)?,
            lists: [List::new(lua, "KEYS")?, List::new(lua, "ARGV")?],
            handler: keep(lua, handler)?,
        };
        // SAFETY: no script runs yet, so nothing else reads the cell.
        unsafe { *self.0.get() = Some(bridge) };
        Ok(self)
    }

    /// Returns the bridge.
    ///
    /// # Panics
    /// If the bridge is not built yet.
    pub(super) fn bridge(&self) -> &Bridge {
        // SAFETY: the cell is written only once, by `build`, which owned the site.
        let bridge = unsafe { (*self.0.get()).as_ref() };
        #[expect(clippy::expect_used, reason = "no interpreter is built without it")]
        bridge.expect("the bridge is built")
    }
}

/// Makes Lua keep a value.
pub(super) fn keep(lua: &Lua, value: impl mlua::IntoLua) -> mlua::Result<Kept> {
    let mut number = 0;
    // SAFETY: the only value on the stack goes into the registry.
    unsafe {
        lua.exec_raw::<()>(value.into_lua(lua)?, |lua| {
            number = ffi::luaL_ref(lua, ffi::LUA_REGISTRYINDEX);
        })?;
    }
    Ok(Kept(number))
}

/// Releases a value that [`keep`] made Lua keep.
pub(super) fn drop_kept(lua: &Lua, kept: Kept) -> mlua::Result<()> {
    // SAFETY: the number came from `luaL_ref`.
    unsafe {
        lua.exec_raw((), |lua| {
            ffi::luaL_unref(lua, ffi::LUA_REGISTRYINDEX, kept.0);
        })
    }
}

impl Bridge {
    /// Runs `run`, and lends `calls` to the script that runs in it.
    pub(super) fn lend<R>(&self, calls: &dyn Calls, run: impl FnOnce() -> R) -> R {
        struct Lent<'b>(&'b Bridge);
        impl Drop for Lent<'_> {
            fn drop(&mut self) {
                self.0.running.set(None);
                self.0.shrink();
            }
        }
        let calls = NonNull::from(calls);
        // SAFETY: only the lifetime changes. `Lent` removes the pointer before `calls` can become invalid.
        let calls =
            unsafe { std::mem::transmute::<NonNull<dyn Calls + '_>, NonNull<dyn Calls>>(calls) };
        self.running.set(Some(calls));
        self.is_busy.set(false);
        let _lent = Lent(self);
        run()
    }

    /// Frees the room of a large command or reply, because the next script may come much later.
    fn shrink(&self) {
        // SAFETY: the script has ended, so nothing else uses the two buffers.
        unsafe {
            (*self.words.get()).clear_to(KEPT_BYTES);
            (*self.reply.get()).clear(KEPT_BYTES);
        }
    }

    /// Runs a function with the keys and arguments of `call`.
    pub(super) fn run(&self, function: Kept, call: &ScriptCall<'_>, gives: Gives) -> Ended<'_> {
        let given = Given {
            bridge: self,
            call,
            gives,
        };
        let values = match gives {
            Gives::Arguments { .. } => 2,
            Gives::Globals | Gives::Nothing => 0,
        };
        let lua = self.lua.as_ptr();
        // SAFETY: at its bottom, the stack of the main state has room for twenty values. Everything that can fail runs in a
        // protected call.
        let (top, status) = unsafe {
            let top = ffi::lua_gettop(lua);
            push_kept(lua, self.handler);
            push_kept(lua, function);
            push_kept(lua, self.give);
            ffi::lua_pushlightuserdata(lua, (&raw const given).cast_mut().cast());
            let mut status = ffi::lua_pcall(lua, 1, values, 0);
            if status == ffi::LUA_OK {
                status = ffi::lua_pcall(lua, values, 1, top + 1);
            }
            (top, status)
        };
        let ended = Ended {
            bridge: self,
            top,
            failed: status != ffi::LUA_OK,
        };
        if let Some(panic) = self.panic.take() {
            drop(ended);
            resume_unwind(panic);
        }
        ended
    }

    /// The first half of `redis.call`: runs the command.
    fn perform(&self, lua: *mut ffi::lua_State) -> Answer {
        if self.is_busy.replace(true) {
            return self.end();
        }
        let performed = catch_unwind(AssertUnwindSafe(|| self.perform_or_panic(lua)));
        performed.unwrap_or_else(|panic| {
            self.panic.set(Some(panic));
            self.end()
        })
    }

    /// Dooms a script that cannot continue.
    fn end(&self) -> Answer {
        self.state.doom(super::raise::Fatal::Memory);
        Answer::End
    }

    fn perform_or_panic(&self, lua: *mut ffi::lua_State) -> Answer {
        if self.state.tick().is_err() {
            return Answer::End;
        }
        // SAFETY: `is_busy` keeps other calls away from both buffers until the second half is over.
        let (words, reply) = unsafe { (&mut *self.words.get(), &mut *self.reply.get()) };
        words.clear_to(KEPT_BYTES);
        reply.clear(KEPT_BYTES);
        reply.set_limit(self.state.bytes_max());
        let is_resp3 = self.state.resp3.load(Ordering::Relaxed);
        reply.set_protocol(if is_resp3 {
            Protocol::Resp3
        } else {
            Protocol::Resp2
        });
        // SAFETY: `lua` is the state that called this function.
        let given = unsafe { Stack::arguments(lua) };
        let answer = match word_list(given, self.state.dialect, words) {
            Ok(()) => self.call(words.as_args(), reply),
            Err(text) => {
                reply.raw(text.as_bytes());
                Answer::Error { is_counted: false }
            }
        };
        self.settle(lua, answer, reply)
    }

    fn call(&self, words: Args<'_>, reply: &mut Reply) -> Answer {
        let Some(calls) = self.running.get() else {
            reply.raw(b"commands can be called from scripts only");
            return Answer::Error { is_counted: false };
        };
        // SAFETY: `lend` is still running. Otherwise the pointer would be gone.
        unsafe { calls.as_ref() }.call(words, reply)
    }

    /// Turns the text of an error into what the script sees of it.
    fn settle(&self, lua: *mut ffi::lua_State, answer: Answer, reply: &mut Reply) -> Answer {
        if reply.overflowed() {
            return self.end();
        }
        let modern = self.state.dialect.protects_globals();
        let is_error = reply.as_bytes().starts_with(b"-");
        match answer {
            Answer::Reply if is_error && modern => {
                let line = reply.as_bytes().strip_suffix(b"\r\n");
                let text = coded(line.unwrap_or(reply.as_bytes()), self.state.dialect);
                replace(reply, &text);
                Answer::Error { is_counted: true }
            }
            Answer::Reply if is_error => {
                let text = reply.as_bytes().get(1..).unwrap_or_default();
                let text = text.strip_suffix(b"\r\n").unwrap_or(text).to_vec();
                replace(reply, &text);
                Answer::Error { is_counted: true }
            }
            Answer::Error { .. } => {
                let text = if modern {
                    coded(reply.as_bytes(), self.state.dialect)
                } else {
                    // SAFETY: `lua` is the state that called this function.
                    let caller = unsafe { push::caller(lua) };
                    [&caller, reply.as_bytes()].concat()
                };
                replace(reply, &text);
                answer
            }
            Answer::Reply | Answer::LastWord | Answer::End => answer,
        }
    }
}

fn replace(reply: &mut Reply, text: &[u8]) {
    reply.truncate(0);
    reply.raw(text);
}

/// # Safety
/// The stack must have one free slot.
unsafe fn push_kept(lua: *mut ffi::lua_State, kept: Kept) {
    // SAFETY: reading the registry by number cannot fail.
    unsafe { ffi::lua_rawgeti_(lua, ffi::LUA_REGISTRYINDEX, kept.0) };
}

/// A value on the stack that can be a word of a command or the result of a script.
pub(super) enum Scalar<'s> {
    Text(&'s [u8]),
    Number(f64),
    Boolean(bool),
    Other,
}

/// The arguments of the running function.
struct Stack {
    lua: *mut ffi::lua_State,
    next: c_int,
    top: c_int,
}

impl Stack {
    /// # Safety
    /// `lua` must be the state that runs the calling function, and that function must return before anything is removed from
    /// its stack.
    unsafe fn arguments(lua: *mut ffi::lua_State) -> Self {
        // SAFETY: this cannot fail.
        let top = unsafe { ffi::lua_gettop(lua) };
        Self { lua, next: 1, top }
    }
}

impl Iterator for Stack {
    type Item = Scalar<'static>;

    fn next(&mut self) -> Option<Scalar<'static>> {
        let index = self.next;
        if index > self.top {
            return None;
        }
        self.next += 1;
        // SAFETY: the index is within the stack, and the value stays on the stack while the command runs.
        Some(unsafe { scalar(self.lua, index) })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::try_from(self.top + 1 - self.next).unwrap_or(0);
        (left, Some(left))
    }
}

impl ExactSizeIterator for Stack {}

/// # Safety
/// There must be a value at `index`, and it must stay there while the result is used.
unsafe fn scalar<'s>(lua: *mut ffi::lua_State, index: c_int) -> Scalar<'s> {
    // SAFETY: none of these calls can fail for a value of the type that was checked first.
    unsafe {
        match ffi::lua_type(lua, index) {
            ffi::LUA_TSTRING => {
                let mut length = 0;
                let text = ffi::lua_tolstring(lua, index, &raw mut length);
                Scalar::Text(std::slice::from_raw_parts(text.cast(), length))
            }
            ffi::LUA_TNUMBER => Scalar::Number(ffi::lua_tonumber(lua, index)),
            ffi::LUA_TBOOLEAN => Scalar::Boolean(ffi::lua_toboolean(lua, index) != 0),
            _ => Scalar::Other,
        }
    }
}

/// Returns the bridge of the running function, which has its site as an upvalue.
unsafe fn bridge_of<'b>(lua: *mut ffi::lua_State) -> Option<&'b Bridge> {
    // SAFETY: `Site::add` made the function, and the site outlives the Lua.
    unsafe {
        let site = ffi::lua_touserdata(lua, ffi::lua_upvalueindex(1));
        (*site.cast::<Option<Bridge>>()).as_ref()
    }
}

/// `redis.call`.
unsafe extern "C-unwind" fn call(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua calls this function.
    unsafe { command(lua, true) }
}

/// `redis.pcall`.
unsafe extern "C-unwind" fn pcall(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua calls this function.
    unsafe { command(lua, false) }
}

unsafe fn command(lua: *mut ffi::lua_State, throws: bool) -> c_int {
    // SAFETY: this is the second half; see the module.
    unsafe {
        let Some(bridge) = bridge_of(lua) else {
            return push::throw_text(lua, NO_MEMORY);
        };
        let answer = bridge.perform(lua);
        let reply: *const Reply = bridge.reply.get();
        match answer {
            Answer::Reply => Pusher::new(lua, (*reply).as_bytes()).push(),
            Answer::LastWord => {
                let words: *const ArgsBuf = bridge.words.get();
                let words = (*words).as_args();
                push::text(lua, words.at(words.len().saturating_sub(1)));
            }
            Answer::Error { is_counted } => {
                let text = (*reply).as_bytes();
                // Before Redis 7.0 the text itself is thrown.
                let modern = bridge.state.dialect.protects_globals();
                bridge.is_busy.set(false);
                return push::error(lua, text, is_counted && modern, throws.then_some(modern));
            }
            Answer::End => return push::throw_text(lua, NO_MEMORY),
        }
        bridge.is_busy.set(false);
        1
    }
}

/// `redis.replicate_commands`.
unsafe extern "C-unwind" fn replicate_commands(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua calls this function. Everything it holds is dropped before a jump can skip it.
    unsafe {
        let running = bridge_of(lua).and_then(|bridge| bridge.running.get());
        let asked = running
            .map(|calls| catch_unwind(AssertUnwindSafe(|| calls.as_ref().replicates_commands())));
        match asked {
            None => ffi::lua_pushboolean(lua, 1),
            Some(Ok(Some(could))) => ffi::lua_pushboolean(lua, c_int::from(could)),
            Some(Ok(None)) => return push::throw_text(lua, NO_MEMORY),
            Some(Err(panic)) => {
                if let Some(bridge) = bridge_of(lua) {
                    bridge.panic.set(Some(panic));
                    bridge.end();
                }
                return push::throw_text(lua, NO_MEMORY);
            }
        }
        1
    }
}

/// Fills the lists of keys and arguments, and puts them where the script expects them.
unsafe extern "C-unwind" fn give(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: only `run` calls this function, with a pointer to a valid `Given`. The frame holds nothing that needs to be
    // dropped.
    unsafe {
        let given: *const Given<'_> = ffi::lua_touserdata(lua, 1).cast::<Given<'_>>();
        let given = &*given;
        let [keys, args] = &given.bridge.lists;
        match given.gives {
            Gives::Nothing => 0,
            Gives::Arguments { own } => {
                keys.push(lua, given.call.keys(), own);
                args.push(lua, given.call.arguments(), own);
                2
            }
            Gives::Globals => {
                push_kept(lua, given.bridge.globals);
                keys.put(lua, given.call.keys());
                args.put(lua, given.call.arguments());
                0
            }
        }
    }
}

impl List {
    fn new(lua: &Lua, name: &str) -> mlua::Result<Self> {
        Ok(Self {
            name: keep(lua, name)?,
            table: keep(lua, lua.create_table()?)?,
            len: Cell::new(0),
            is_global: Cell::new(false),
        })
    }

    /// Pushes the list of `words`. It is a new list if `own` is set, if the length differs, or if the last script changed the
    /// old one.
    ///
    /// # Safety
    /// The stack must have four free slots, and the call must be inside a protected call.
    unsafe fn push<'w>(
        &self,
        lua: *mut ffi::lua_State,
        words: impl ExactSizeIterator<Item = &'w [u8]>,
        own: bool,
    ) {
        let len = c_int::try_from(words.len()).unwrap_or(c_int::MAX);
        // SAFETY: the table is on the stack or in the registry the whole time.
        unsafe {
            push_kept(lua, self.table);
            if own || self.len.get() != len || !push::is_list(lua, len) {
                ffi::lua_settop(lua, -2);
                ffi::lua_createtable(lua, len, 0);
                if !own {
                    ffi::lua_pushvalue(lua, -1);
                    ffi::lua_rawseti_(lua, ffi::LUA_REGISTRYINDEX, self.table.0);
                    self.is_global.set(false);
                    self.len.set(len);
                }
            }
            push::fill(lua, words);
        }
    }

    /// Puts the list of `words` into the table of globals, which must be on top of the stack.
    ///
    /// # Safety
    /// Same as for [`push`](Self::push).
    unsafe fn put<'w>(
        &self,
        lua: *mut ffi::lua_State,
        words: impl ExactSizeIterator<Item = &'w [u8]>,
    ) {
        // SAFETY: the caller guarantees what `push` needs.
        unsafe {
            push_kept(lua, self.name);
            self.push(lua, words, false);
            if self.is_global.replace(true) {
                ffi::lua_settop(lua, -3);
            } else {
                ffi::lua_rawset(lua, -3);
            }
        }
    }
}

impl Ended<'_> {
    /// Returns the value.
    pub(super) fn value(&self, lua: &Lua) -> mlua::Result<Value> {
        // SAFETY: there is one value above `top` on the stack of the main state. That is the stack that mlua uses when no
        // function runs.
        lua.exec_raw_lua(|raw| unsafe { Value::from_stack(-1, raw) })
    }

    /// Writes the value if it is a scalar, or a list of scalars. Returns false, with nothing written, for any other table.
    ///
    /// # Errors
    /// If the script may not continue.
    pub(super) fn write(
        &self,
        reply: &mut Reply,
        is_resp3: bool,
    ) -> Result<bool, super::raise::Fatal> {
        let lua = self.bridge.lua.as_ptr();
        // SAFETY: the value exists, and it stays on the stack until `self` is dropped.
        unsafe {
            if ffi::lua_type(lua, -1) == ffi::LUA_TTABLE {
                return self.write_list(reply, is_resp3);
            }
            write_scalar(reply, &scalar(lua, -1), is_resp3);
        }
        Ok(true)
    }

    /// # Safety
    /// The value must be a table.
    unsafe fn write_list(
        &self,
        reply: &mut Reply,
        is_resp3: bool,
    ) -> Result<bool, super::raise::Fatal> {
        let lua = self.bridge.lua.as_ptr();
        let mark = reply.len();
        let mut listed = Ok(true);
        reply.array_of(|reply| {
            let mut length = 0;
            // SAFETY: every key comes from `lua_next` itself, so `lua_next` cannot fail. It pushes at most two values.
            unsafe {
                ffi::lua_pushnil(lua);
                while ffi::lua_next(lua, -2) != 0 {
                    let is_next = matches!(scalar(lua, -2), Scalar::Number(key) if truncated(key) == length + 1 && key.fract() == 0.0);
                    if !is_next || ffi::lua_type(lua, -1) == ffi::LUA_TTABLE || reply.overflowed() {
                        listed = Ok(false);
                    } else if length % ELEMENTS_PER_TICK == 0 {
                        listed = self.bridge.state.tick().map(|()| true);
                    }
                    if listed != Ok(true) {
                        break;
                    }
                    write_scalar(reply, &scalar(lua, -1), is_resp3);
                    ffi::lua_settop(lua, -2);
                    length += 1;
                }
                ffi::lua_settop(lua, self.top + PUSHED);
            }
            usize::try_from(length).unwrap_or(0)
        });
        if listed == Ok(false) {
            reply.truncate(mark);
        }
        listed
    }
}

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        // SAFETY: `run` pushed everything above `top`.
        unsafe { ffi::lua_settop(self.bridge.lua.as_ptr(), self.top) };
    }
}

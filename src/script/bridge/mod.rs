//! What every script does, by Lua's own C interface: it is run, calls commands, and its result is written.
//!
//! mlua makes each single step safe, at the price of a lock, a protected call and a reference for every value: five sixths of
//! the instructions of a script that reads one key. So the steps that every script takes are here, and everything else stays
//! with mlua.
//!
//! # Safety
//! Lua leaves a C function that fails by a long jump to the protected call around it, over all frames between. So a function
//! here that Lua calls has two halves. The first is Rust as usual, in which panics are caught; it reads the stack only through
//! functions that cannot fail, and leaves its result in the [`Bridge`]. The second pushes the result. It may be jumped over:
//! its frames hold pointers, numbers and borrowed slices, nothing that is dropped.
//!
//! An interpreter belongs to one thread at a time, so nothing here is locked.
#![expect(
    unsafe_code,
    reason = "Lua's C interface; see the module for what makes it sound"
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
use super::state::State;
use super::to_reply::write_scalar;
use crate::command::ScriptCall;
use crate::resp::{Args, ArgsBuf, Protocol, Reply};

/// Room for words and replies that is kept between calls.
const KEPT_BYTES: usize = 64 << 10;

/// Elements of a list between two looks at the clock.
const ELEMENTS_PER_TICK: i64 = 256;

/// What the running script calls commands with.
pub(super) trait Calls {
    /// Runs the command `words`. Its reply, or the text of an error, goes into `reply`, which is empty before.
    fn call(&self, words: Args<'_>, reply: &mut Reply) -> Answer;

    /// `redis.replicate_commands`: whether it could still be asked for; `None` ends the script, which is doomed then.
    fn replicates_commands(&self) -> Option<bool> {
        Some(true)
    }
}

/// What a script gets for a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// The reply, as a value of Lua.
    Reply,
    /// The command's last word.
    LastWord,
    /// An error of the script's own, with the reply as its text; one that a server counts, or not.
    Error {
        /// Whether a server counts it: since Redis 7.0 the table says so.
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
    /// As the globals `KEYS` and `ARGV`.
    Globals,
    /// As the two arguments of the function. One that keeps variables might keep them, too.
    Arguments {
        /// Whether the lists are its own.
        own: bool,
    },
    /// They are there already.
    Nothing,
}

/// The way between one Lua and us.
///
/// It lies in a box that outlives its Lua: functions of Lua point to it.
pub(super) struct Bridge {
    lua: NonNull<ffi::lua_State>,
    state: Arc<State>,
    running: Cell<Option<NonNull<dyn Calls>>>,
    /// Whether `words` and `reply` are in use.
    is_busy: Cell<bool>,
    words: UnsafeCell<ArgsBuf>,
    reply: UnsafeCell<Reply>,
    /// What a command panicked with.
    panic: Cell<Option<Box<dyn Any + Send>>>,
    /// `give`, and what it needs: the table of the globals, and the names in it.
    give: Kept,
    globals: Kept,
    lists: [List; 2],
    handler: Kept,
}

/// The keys or the arguments, as a list that scripts use one after the other: making one and giving it back takes as long as
/// the rest of a short script.
struct List {
    name: Kept,
    table: Kept,
    /// How many words are in it.
    len: Cell<c_int>,
    /// Whether the globals have it.
    is_global: Cell<bool>,
}

// SAFETY: what it points to is Lua's, which may move to another thread together with it (mlua's feature `send`), and the running
// script's calls, which are there only while `lend` runs.
unsafe impl Send for Bridge {}

/// What a function in Lua needs to find the bridge: it is made before it.
pub(super) struct Site(Box<UnsafeCell<Option<Bridge>>>);

// SAFETY: see `Bridge`; nobody but the thread that holds the interpreter looks into it.
unsafe impl Send for Site {}

/// What `give` is handed.
struct Given<'g> {
    bridge: &'g Bridge,
    call: &'g ScriptCall<'g>,
    gives: Gives,
}

/// What lies on the stack when a function has ended: the handler of errors, and the value.
const PUSHED: c_int = 2;

/// A function as it ended, with one value on the stack.
pub(super) struct Ended<'b> {
    bridge: &'b Bridge,
    top: c_int,
    /// Whether it failed; the value is the error then.
    pub(super) failed: bool,
}

impl Site {
    /// Puts `call`, `pcall` and, where there is one, `replicate_commands` into the table `redis`.
    pub(super) fn add(lua: &Lua, api: &Table) -> mlua::Result<Self> {
        let site = Self(Box::new(UnsafeCell::new(None)));
        let mut functions: Vec<(&str, ffi::lua_CFunction)> = vec![("call", call), ("pcall", pcall)];
        if api.contains_key("replicate_commands")? {
            functions.push(("replicate_commands", replicate_commands));
        }
        for (name, function) in functions {
            let place = mlua::LightUserData(site.0.get().cast());
            // SAFETY: the place is valid as long as the site, which outlives the Lua.
            let function: Function =
                unsafe { lua.exec_raw(place, |lua| ffi::lua_pushcclosure(lua, function, 1))? };
            api.raw_set(name, function)?;
        }
        Ok(site)
    }

    /// The bridge of an interpreter whose globals are in `globals`, and whose errors go to `handler`.
    pub(super) fn build(
        self,
        lua: &Lua,
        state: &Arc<State>,
        globals: &Table,
        handler: &Function,
    ) -> mlua::Result<Self> {
        let mut main = std::ptr::null_mut();
        // SAFETY: it only reads which state it is, and makes a function without upvalues.
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
        // SAFETY: no script runs yet, so nobody else looks into it.
        unsafe { *self.0.get() = Some(bridge) };
        Ok(self)
    }

    /// The bridge.
    ///
    /// # Panics
    /// When it is not built.
    pub(super) fn bridge(&self) -> &Bridge {
        // SAFETY: it is written once, by `build`, which owned the site.
        let bridge = unsafe { (*self.0.get()).as_ref() };
        #[expect(clippy::expect_used, reason = "an interpreter is not made without it")]
        bridge.expect("the bridge is built")
    }
}

/// Lets Lua keep a value.
pub(super) fn keep(lua: &Lua, value: impl mlua::IntoLua) -> mlua::Result<Kept> {
    let mut number = 0;
    // SAFETY: the one value on the stack goes into the registry.
    unsafe {
        lua.exec_raw::<()>(value.into_lua(lua)?, |lua| {
            number = ffi::luaL_ref(lua, ffi::LUA_REGISTRYINDEX);
        })?;
    }
    Ok(Kept(number))
}

/// Ends what [`keep`] began.
pub(super) fn drop_kept(lua: &Lua, kept: Kept) -> mlua::Result<()> {
    // SAFETY: the number came from `luaL_ref`.
    unsafe {
        lua.exec_raw((), |lua| {
            ffi::luaL_unref(lua, ffi::LUA_REGISTRYINDEX, kept.0);
        })
    }
}

impl Bridge {
    /// Lends the script's calls to what runs in `run`.
    pub(super) fn lend<R>(&self, calls: &dyn Calls, run: impl FnOnce() -> R) -> R {
        struct Lent<'b>(&'b Bridge);
        impl Drop for Lent<'_> {
            fn drop(&mut self) {
                self.0.running.set(None);
                self.0.shrink();
            }
        }
        let calls = NonNull::from(calls);
        // SAFETY: only the lifetime changes, and the pointer is gone when `calls` may be.
        let calls =
            unsafe { std::mem::transmute::<NonNull<dyn Calls + '_>, NonNull<dyn Calls>>(calls) };
        self.running.set(Some(calls));
        self.is_busy.set(false);
        let _lent = Lent(self);
        run()
    }

    /// Gives back the room of a large command or reply: the next script may come late.
    fn shrink(&self) {
        // SAFETY: the script has ended, so nobody uses them.
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
        // SAFETY: the stack of the main state has room for twenty values at its bottom, and what can fail is called protected.
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

    /// The first half of `redis.call`: the command runs.
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

    /// There is no way to go on.
    fn end(&self) -> Answer {
        self.state.doom(super::raise::Fatal::Memory);
        Answer::End
    }

    fn perform_or_panic(&self, lua: *mut ffi::lua_State) -> Answer {
        if self.state.tick().is_err() {
            return Answer::End;
        }
        // SAFETY: `is_busy` keeps others away from both until the second half is over.
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
        // SAFETY: the state is the one that calls.
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
        // SAFETY: `lend` is still running, or the pointer would be gone.
        unsafe { calls.as_ref() }.call(words, reply)
    }

    /// Makes the text of an error what the script sees of it.
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
                    // SAFETY: the state is the one that calls.
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
/// There is a place left on the stack.
unsafe fn push_kept(lua: *mut ffi::lua_State, kept: Kept) {
    // SAFETY: reading the registry by number cannot fail.
    unsafe { ffi::lua_rawgeti_(lua, ffi::LUA_REGISTRYINDEX, kept.0) };
}

/// A value on the stack that a command may have as a word, or a script as its result.
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
    /// `lua` is the state that runs the calling function, which returns before anything is taken from its stack.
    unsafe fn arguments(lua: *mut ffi::lua_State) -> Self {
        // SAFETY: it cannot fail.
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
        // SAFETY: there is such a value, and it stays on the stack while the command runs.
        Some(unsafe { scalar(self.lua, index) })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::try_from(self.top + 1 - self.next).unwrap_or(0);
        (left, Some(left))
    }
}

impl ExactSizeIterator for Stack {}

/// # Safety
/// There is a value at `index`, which stays there while the result is used.
unsafe fn scalar<'s>(lua: *mut ffi::lua_State, index: c_int) -> Scalar<'s> {
    // SAFETY: none of these can fail for a value of the type that is asked for before.
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

/// The bridge of the running function, which has its site as upvalue.
unsafe fn bridge_of<'b>(lua: *mut ffi::lua_State) -> Option<&'b Bridge> {
    // SAFETY: `Site::add` made the function, and the site outlives the Lua.
    unsafe {
        let site = ffi::lua_touserdata(lua, ffi::lua_upvalueindex(1));
        (*site.cast::<Option<Bridge>>()).as_ref()
    }
}

/// `redis.call`.
unsafe extern "C-unwind" fn call(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua calls it.
    unsafe { command(lua, true) }
}

/// `redis.pcall`.
unsafe extern "C-unwind" fn pcall(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua calls it.
    unsafe { command(lua, false) }
}

unsafe fn command(lua: *mut ffi::lua_State, throws: bool) -> c_int {
    // SAFETY: the second half; see the module.
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
                // Before Redis 7.0 what is thrown is the text.
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
    // SAFETY: Lua calls it; what it holds is dropped before it can be jumped over.
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

/// Makes the lists of keys and arguments, and puts them where the script looks for them.
unsafe extern "C-unwind" fn give(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: `run` calls it with what it points to. It holds nothing that is dropped.
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

    /// Pushes the list of `words`, a new one if it is to be the script's `own`, or if the last script changed it.
    ///
    /// # Safety
    /// There is room for four values on the stack, and a protected call around.
    unsafe fn push<'w>(
        &self,
        lua: *mut ffi::lua_State,
        words: impl ExactSizeIterator<Item = &'w [u8]>,
        own: bool,
    ) {
        let len = c_int::try_from(words.len()).unwrap_or(c_int::MAX);
        // SAFETY: the table is on the stack, or in the registry, all along.
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

    /// Puts the list of `words` into the table of the globals, which is on top of the stack.
    ///
    /// # Safety
    /// As for [`push`](Self::push).
    unsafe fn put<'w>(
        &self,
        lua: *mut ffi::lua_State,
        words: impl ExactSizeIterator<Item = &'w [u8]>,
    ) {
        // SAFETY: as for this function.
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
    /// The value.
    pub(super) fn value(&self, lua: &Lua) -> mlua::Result<Value> {
        // SAFETY: there is one value above `top`, on the stack of the main state, where mlua looks when no function runs.
        lua.exec_raw_lua(|raw| unsafe { Value::from_stack(-1, raw) })
    }

    /// Writes the value if it is none of those with a meaning of their own: a text, a number, a truth, nil, or a list of such;
    /// false, and nothing written, for any other table.
    ///
    /// # Errors
    /// When the script may not go on.
    pub(super) fn write(
        &self,
        reply: &mut Reply,
        is_resp3: bool,
    ) -> Result<bool, super::raise::Fatal> {
        let lua = self.bridge.lua.as_ptr();
        // SAFETY: there is a value, and it stays until this is dropped.
        unsafe {
            if ffi::lua_type(lua, -1) == ffi::LUA_TTABLE {
                return self.write_list(reply, is_resp3);
            }
            write_scalar(reply, &scalar(lua, -1), is_resp3);
        }
        Ok(true)
    }

    /// # Safety
    /// The value is a table.
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
            // SAFETY: keys are those that `lua_next` gave, so it cannot fail; it pushes two values at most.
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
        // SAFETY: what lies above was pushed by `run`.
        unsafe { ffi::lua_settop(self.bridge.lua.as_ptr(), self.top) };
    }
}

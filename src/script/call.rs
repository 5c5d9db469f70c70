//! `redis.call` and `redis.pcall`.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use mlua::{Lua, MultiValue, Table, Value};

use super::api::error_table;
use super::raise::{Fatal, end, throw, throw_text};
use super::reach::Reach;
use super::state::State;
use super::to_lua;
use crate::command::{self, Command, Flags, Host, Session, SessionCx};
use crate::dialect::Dialect;
use crate::resp::{Args, ArgsBuf, Protocol, Reply};
use crate::store::Generation;

/// Commands that write nothing here and yet may reach replicas, which COMMAND does not show. Source: redis 7.0 commands.c,
/// `CMD_MAY_REPLICATE`.
const REPLICATING: [&str; 3] = ["pfcount", "publish", "spublish"];

/// Room for replies that is kept between calls.
pub(super) const KEPT_BYTES: usize = 64 << 10;

/// What the running script may call commands with.
pub(super) trait Calls {
    /// Runs a command. An error is thrown if `throws`, or else given as a table.
    fn call(&self, lua: &Lua, args: MultiValue, throws: bool) -> mlua::Result<Value>;

    /// `redis.replicate_commands`: whether it could still be asked for.
    fn replicates_commands(&self) -> mlua::Result<bool> {
        Ok(true)
    }
}

scoped_tls_hkt::scoped_thread_local!(
    /// The script that this thread runs: functions of Lua live longer than what one script works on.
    static RUNNING: for<'c> &'c (dyn Calls + 'c)
);

/// Puts `call` and `pcall` into the table `redis`.
pub(super) fn add(lua: &Lua, api: &Table) -> mlua::Result<()> {
    let call = |lua: &Lua, args: MultiValue| calling(lua, args, true);
    api.raw_set("call", lua.create_function(call)?)?;
    let pcall = |lua: &Lua, args: MultiValue| calling(lua, args, false);
    api.raw_set("pcall", lua.create_function(pcall)?)?;
    if !api.contains_key(REPLICATE)? {
        return Ok(());
    }
    let replicate = |_: &Lua, _: MultiValue| match RUNNING.is_set() {
        true => RUNNING.with(|caller| caller.replicates_commands()),
        false => Ok(true),
    };
    api.raw_set(REPLICATE, lua.create_function(replicate)?)
}

const REPLICATE: &str = "replicate_commands";

/// Runs `script`, whose calls go to `caller`.
pub(super) fn lend<R>(caller: &dyn Calls, script: impl FnOnce() -> R) -> R {
    RUNNING.set(caller, script)
}

fn calling(lua: &Lua, args: MultiValue, throws: bool) -> mlua::Result<Value> {
    if RUNNING.is_set() {
        RUNNING.with(|caller| caller.call(lua, args, throws))
    } else {
        Err(throw_text(lua, "commands can be called from scripts only"))
    }
}

/// What one script calls commands with.
pub(super) struct Caller<'c> {
    host: &'c dyn Host,
    generation: Option<&'c Generation>,
    state: &'c State,
    /// Whether what may change data is refused as such.
    is_read_only: bool,
    reach: Reach<'c>,
    inner: RefCell<Inner>,
}

struct Inner {
    session: Session,
    room: Room,
}

/// Room that an interpreter's scripts use one after the other.
#[derive(Debug)]
pub(super) struct Room {
    reply: Reply,
    words: ArgsBuf,
    /// Commands that scripts may call, which were called lately.
    allowed: Vec<&'static Command>,
}

/// So many are remembered.
const ALLOWED_MAX: usize = 8;

impl Room {
    /// Empty room.
    pub(super) fn new(dialect: Dialect) -> Self {
        Self {
            reply: Reply::new(Protocol::Resp2, dialect, 0),
            words: ArgsBuf::default(),
            allowed: Vec::new(),
        }
    }
}

impl<'c> Caller<'c> {
    /// For a script that `cx` runs, which reads what `reach` holds.
    pub(super) fn new(
        cx: &SessionCx<'c>,
        state: &'c State,
        is_read_only: bool,
        reach: Reach<'c>,
        mut room: Room,
    ) -> Self {
        let mut session = Session::new(Arc::clone(&cx.session.client), true);
        session.db = cx.session.db;
        session.touches = cx.session.touches;
        session.clock = Some(reach.now_ms);
        room.reply.set_limit(state.bytes_max());
        let inner = RefCell::new(Inner { session, room });
        Self {
            host: cx.host,
            generation: cx.generation,
            state,
            is_read_only,
            reach,
            inner,
        }
    }

    /// The room again, for the next script.
    pub(super) fn into_room(self) -> Room {
        self.inner.into_inner().room
    }
}

impl Calls for Caller<'_> {
    fn call(&self, lua: &Lua, args: MultiValue, throws: bool) -> mlua::Result<Value> {
        self.state.tick().map_err(end)?;
        let mut inner = self.inner.borrow_mut();
        let mut words = std::mem::take(&mut inner.room.words);
        let found = super::api::words(args.into_iter(), self.state, &mut words);
        let (value, is_error) = match found {
            Err(text) => {
                let table = error_table(lua, self.state, text.as_bytes())?;
                (Value::Table(table), true)
            }
            Ok(()) => self.perform(lua, &mut inner, words.as_args())?,
        };
        words.clear_to(KEPT_BYTES);
        inner.room.words = words;
        if !is_error || !throws {
            return Ok(value);
        }
        // Before Redis 7.0 what is thrown is the text.
        match (value, self.state.dialect.protects_globals()) {
            (Value::Table(table), false) => Err(throw(table.raw_get("err")?)),
            (value, _) => Err(throw(value)),
        }
    }
}

impl Caller<'_> {
    /// The command's reply and whether it is an error.
    fn perform(&self, lua: &Lua, inner: &mut Inner, args: Args<'_>) -> mlua::Result<(Value, bool)> {
        let Room { reply, allowed, .. } = &mut inner.room;
        let is_resp3 = self.state.resp3.load(Ordering::Relaxed);
        reply.clear(KEPT_BYTES);
        reply.set_protocol(if is_resp3 {
            Protocol::Resp3
        } else {
            Protocol::Resp2
        });
        let row = match self.find(args, allowed) {
            Ok(row) => row,
            Err(Refused::Script(text)) => {
                let table = to_lua::counted_error(lua, self.state, &text)?;
                return Ok((Value::Table(table), true));
            }
            Err(Refused::Command(error)) => {
                reply.error(error.text());
                return Ok((to_lua::reply(lua, reply, self.state)?, true));
            }
        };
        if self.may_not_block(row, args) {
            reply.error(waiting(args).text());
            return Ok((to_lua::reply(lua, reply, self.state)?, true));
        }
        if !self.reach.covers(row, args, inner.session.db) {
            return Err(end(self.state.doom(Fatal::Wider)));
        }
        let mut cx = SessionCx {
            reply,
            session: &mut inner.session,
            host: self.host,
            generation: self.generation,
            // The script itself was let in.
            stale: false,
        };
        let read = self.reach.read(&mut cx, row, args);
        let result = read.unwrap_or_else(|| command::run(&mut cx, row, args));
        self.settle(cx.reply, &result)?;
        let is_error = reply.as_bytes().starts_with(b"-");
        if is_unread(reply.as_bytes(), self.state.dialect) {
            let last = lua.create_string(args.at(args.len() - 1))?;
            return Ok((Value::String(last), false));
        }
        Ok((to_lua::reply(lua, reply, self.state)?, is_error))
    }

    /// Whether these words are refused in scripts, whatever there is to read. Source: redis 7.0 t_stream.c, `xreadCommand`.
    fn may_not_block(&self, row: &Command, args: Args<'_>) -> bool {
        let mut options = args
            .iter()
            .take_while(|word| !word.eq_ignore_ascii_case(b"streams"));
        row.name == "xread"
            && !self.state.dialect.reads_again_when_woken()
            && options.any(|word| word.eq_ignore_ascii_case(b"block"))
    }

    /// Makes an error the reply.
    fn settle(&self, reply: &mut Reply, result: &Result<(), command::Error>) -> mlua::Result<()> {
        match result {
            // Since Redis 7.2 nothing is said of what cannot wait: it has found nothing.
            Err(command::Error::Waits(_)) if self.state.dialect.reads_again_when_woken() => {
                reply.truncate(0);
                reply.null_array();
            }
            Err(error) => {
                reply.truncate(0);
                reply.error(error.text());
            }
            Ok(()) => {}
        }
        if reply.overflowed() {
            return Err(end(self.state.doom(Fatal::Memory)));
        }
        Ok(())
    }

    /// The row that the words name, if a script here may run it. Source: redis 7.0 script.c, `scriptCall`.
    fn find(
        &self,
        args: Args<'_>,
        allowed: &mut Vec<&'static Command>,
    ) -> Result<&'static Command, Refused> {
        let dialect = self.state.dialect;
        if let Some(row) = known(args, dialect, allowed)
            && !(self.is_read_only && may_replicate(args))
        {
            return Ok(row);
        }
        let texts = dialect.script_call_errors();
        if !dialect.protects_globals() && args.is(0, "quit") {
            return Err(Refused::Script(texts.unknown.into()));
        }
        let row = match command::resolve_for(args, dialect) {
            Ok(row) => row,
            Err(error) => return Err(self.unresolved(args, error)),
        };
        if command::flagged(args, row, dialect, "noscript") {
            return Err(Refused::Script(texts.forbidden.into()));
        }
        if self.is_read_only && (row.is_write() || may_replicate(args)) {
            let text = "Write commands are not allowed from read-only scripts.";
            return Err(Refused::Script(text.into()));
        }
        if row.is_write() {
            return Err(Refused::Script(texts.read_only.into()));
        }
        if row.flags.has(Flags::SCRIPT) {
            return Err(Refused::Script(texts.forbidden.into()));
        }
        let is_named = command::lookup(args.at(0)).is_some_and(|named| std::ptr::eq(named, row));
        if is_named && allowed.len() < ALLOWED_MAX {
            allowed.push(row);
        }
        Ok(row)
    }

    /// What a script is told of words that name nothing.
    fn unresolved(&self, args: Args<'_>, error: command::Error) -> Refused {
        let dialect = self.state.dialect;
        let texts = dialect.script_call_errors();
        let container = command::lookup(args.at(0)).filter(|row| dialect.has(row.presence));
        match (container, error) {
            (None, _) => Refused::Script(texts.unknown.into()),
            (Some(_), command::Error::Arity(_)) => Refused::Script(texts.arity.into()),
            // What is looked up as a whole is unknown as a whole.
            (Some(_), _)
                if dialect.has_subcommand_rows() && !dialect.names_subcommands_in_scripts() =>
            {
                Refused::Script(texts.unknown.into())
            }
            (Some(row), error) => self.older_subcommand(row, args, error),
        }
    }

    /// Subcommands that the command itself looks for: what it says, unless scripts may not run it at all.
    fn older_subcommand(&self, row: &Command, args: Args<'_>, error: command::Error) -> Refused {
        let dialect = self.state.dialect;
        if !dialect.has_subcommand_rows() && command::flagged(args, row, dialect, "noscript") {
            return Refused::Script(dialect.script_call_errors().forbidden.into());
        }
        Refused::Command(error)
    }
}

fn may_replicate(args: Args<'_>) -> bool {
    REPLICATING.iter().any(|name| args.is(0, name))
}

/// The row of a command among those that scripts were allowed lately.
fn known(
    args: Args<'_>,
    dialect: Dialect,
    allowed: &[&'static Command],
) -> Option<&'static Command> {
    let name = args.at(0);
    let mut rows = allowed.iter().copied();
    rows.find(|row| name.eq_ignore_ascii_case(row.name.as_bytes()))
        .filter(|row| row.arity_in(dialect).fits(args.len()))
}

/// What a script is told of a command that would wait.
fn waiting(args: Args<'_>) -> command::Error {
    let text: &[u8] = b" command is not allowed with BLOCK option from scripts";
    command::Error::Quoting([b"ERR ", args.at(0), text].concat())
}

/// Whether a script gets its own last word back, for the server does not read such replies. Source: redis 6.0 scripting.c,
/// `redisProtocolToLuaType`.
fn is_unread(reply: &[u8], dialect: Dialect) -> bool {
    !dialect.protects_globals() && matches!(reply.first(), Some(b'=' | b'('))
}

/// Why a command is not run.
enum Refused {
    /// The script is told so, in the words of its own errors.
    Script(Vec<u8>),
    /// The command said so.
    Command(command::Error),
}

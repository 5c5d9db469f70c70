//! `redis.call` and `redis.pcall`.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use mlua::{Lua, Value};

use super::api::{Word, error_table, words};
use super::raise::{Fatal, end, throw};
use super::state::State;
use super::to_lua;
use crate::command::{self, Command, Flags, Host, Session, SessionCx};
use crate::dialect::Dialect;
use crate::resp::{Args, Protocol, Reply};
use crate::store::Generation;

/// Commands that write nothing here and yet may reach replicas, which COMMAND does not show. Source: redis 7.0 commands.c,
/// `CMD_MAY_REPLICATE`.
const REPLICATING: [&str; 3] = ["pfcount", "publish", "spublish"];

/// Room for replies that is kept between calls.
pub(super) const KEPT_BYTES: usize = 64 << 10;

/// What one script may call commands with.
pub(super) struct Caller<'c> {
    host: &'c dyn Host,
    generation: Option<&'c Generation>,
    state: Arc<State>,
    /// Whether what may change data is refused as such.
    is_read_only: bool,
    /// The database that is held, `None` for all.
    held: Option<usize>,
    inner: RefCell<(Session, Reply)>,
}

impl<'c> Caller<'c> {
    /// For a script that `cx` runs at the time `now_ms`, while the database `held` is held, or all.
    pub(super) fn new(
        cx: &SessionCx<'c>,
        state: &Arc<State>,
        is_read_only: bool,
        held: Option<usize>,
        now_ms: i64,
    ) -> Self {
        let mut session = Session::new(Arc::clone(&cx.session.client), true);
        session.db = cx.session.db;
        session.clock = Some(now_ms);
        let reply = Reply::new(Protocol::Resp2, state.dialect, state.bytes_max());
        Self {
            host: cx.host,
            generation: cx.generation,
            state: Arc::clone(state),
            is_read_only,
            held,
            inner: RefCell::new((session, reply)),
        }
    }

    /// Runs a command. An error is thrown if `throws`, or else given as a table.
    pub(super) fn call(&self, lua: &Lua, args: &[Word], throws: bool) -> mlua::Result<Value> {
        self.state.tick().map_err(end)?;
        let (value, is_error) = match words(args, &self.state) {
            Err(text) => (
                Value::Table(error_table(lua, &self.state, text.as_bytes())?),
                true,
            ),
            Ok(words) => self.perform(lua, words.as_args())?,
        };
        if !is_error || !throws {
            return Ok(value);
        }
        // Before Redis 7.0 what is thrown is the text.
        match (&value, self.state.dialect.protects_globals()) {
            (Value::Table(table), false) => Err(throw(table.raw_get("err")?)),
            _ => Err(throw(value)),
        }
    }

    /// The command's reply and whether it is an error.
    fn perform(&self, lua: &Lua, args: Args<'_>) -> mlua::Result<(Value, bool)> {
        let mut inner = self.inner.borrow_mut();
        let (session, reply) = &mut *inner;
        let is_resp3 = self.state.resp3.load(Ordering::Relaxed);
        reply.clear(KEPT_BYTES);
        reply.set_protocol(if is_resp3 {
            Protocol::Resp3
        } else {
            Protocol::Resp2
        });
        let row = match self.find(args) {
            Ok(row) => row,
            Err(Refused::Script(text)) => {
                let table = to_lua::counted_error(lua, &self.state, &text)?;
                return Ok((Value::Table(table), true));
            }
            Err(Refused::Command(error)) => {
                reply.error(error.text());
                return to_lua::reply(lua, reply, &self.state).map(|value| (value, true));
            }
        };
        if self.may_not_block(row, args) {
            reply.error(waiting(args).text());
            return to_lua::reply(lua, reply, &self.state).map(|value| (value, true));
        }
        let mut cx = SessionCx {
            reply,
            session,
            host: self.host,
            generation: self.generation,
            // The script itself was let in.
            stale: false,
        };
        let result = command::run(&mut cx, row, args);
        self.settle(cx.reply, &result)?;
        if self.held.is_some_and(|held| held != session.db) {
            return Err(end(self.state.doom(Fatal::Databases)));
        }
        let is_error = reply.as_bytes().starts_with(b"-");
        if is_unread(reply.as_bytes(), self.state.dialect) {
            let last = args.at(args.len() - 1);
            return Ok((Value::String(lua.create_string(last)?), false));
        }
        to_lua::reply(lua, reply, &self.state).map(|value| (value, is_error))
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
    fn find(&self, args: Args<'_>) -> Result<&'static Command, Refused> {
        let dialect = self.state.dialect;
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
        if self.is_read_only && (row.is_write() || REPLICATING.iter().any(|name| args.is(0, name)))
        {
            let text = "Write commands are not allowed from read-only scripts.";
            return Err(Refused::Script(text.into()));
        }
        if row.is_write() {
            return Err(Refused::Script(texts.read_only.into()));
        }
        if row.flags.has(Flags::SCRIPT) {
            return Err(Refused::Script(texts.forbidden.into()));
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

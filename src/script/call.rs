//! `redis.call` and `redis.pcall`.

use std::cell::RefCell;
use std::sync::Arc;

use smallvec::SmallVec;

use super::bridge::{Answer, Calls};
use super::raise::Fatal;
use super::reach::Reach;
use super::state::Common;
use crate::command::{self, Command, Flags, Host, Outbox, Session, SessionCx, Tally};
use crate::dialect::Dialect;
use crate::resp::{Args, Reply};
use crate::store::Generation;

/// Commands that write nothing here but may still be replicated. COMMAND does not show that flag. Source: redis 7.0 commands.c,
/// `CMD_MAY_REPLICATE`.
const REPLICATING: [&str; 3] = ["pfcount", "publish", "spublish"];

/// What one script calls commands with.
pub(super) struct Caller<'c> {
    host: &'c dyn Host,
    generation: Option<&'c Generation>,
    state: &'c Common,
    /// Whether commands that may change data are refused because the script is read-only.
    is_read_only: bool,
    reach: Reach<'c>,
    inner: RefCell<Inner>,
}

struct Inner {
    session: Session,
    allowed: Allowed,
}

/// The commands that the scripts of an interpreter called lately and may call.
#[derive(Debug, Default)]
pub(super) struct Allowed(SmallVec<[&'static Command; ALLOWED_MAX]>);

/// How many commands are remembered.
const ALLOWED_MAX: usize = 8;

impl<'c> Caller<'c> {
    /// Creates the caller for a script that `cx` runs and that reads what `reach` holds.
    pub(super) fn new(
        cx: &SessionCx<'c>,
        state: &'c Common,
        is_read_only: bool,
        reach: Reach<'c>,
        allowed: Allowed,
    ) -> Self {
        let mut session = Session::new(Arc::clone(&cx.session.client), true);
        session.db = cx.session.db;
        session.touches = cx.session.touches;
        session.tracking.clone_from(&cx.session.tracking);
        session.last = cx.session.last;
        session.login.clone_from(&cx.session.login);
        session.rights.clone_from(&cx.session.rights);
        session.clock = Some(reach.now_ms);
        session.outbox = Some(Outbox::default());
        let inner = RefCell::new(Inner { session, allowed });
        Self {
            host: cx.host,
            generation: cx.generation,
            state,
            is_read_only,
            reach,
            inner,
        }
    }

    /// Returns the commands to remember for the next script, what the commands of this one have done, and what they have
    /// published.
    pub(super) fn into_parts(self) -> (Allowed, Tally, Outbox) {
        let mut inner = self.inner.into_inner();
        inner.session.timing.end(self.host.statistics());
        let session = inner.session;
        (
            inner.allowed,
            session.tally,
            session.outbox.unwrap_or_default(),
        )
    }
}

impl Calls for Caller<'_> {
    fn call(&self, args: Args<'_>, reply: &mut Reply) -> Answer {
        let mut inner = self.inner.borrow_mut();
        let inner = &mut *inner;
        let Inner { session, allowed } = inner;
        let may = |row| self.check(row, args, session, reply);
        let row = match self.find(args, allowed, may) {
            Ok(row) => row,
            Err(Refused::Script(text)) => {
                reply.raw(&text);
                return Answer::Error { is_counted: true };
            }
            Err(Refused::Command(error)) => {
                reply.error(error.text());
                return Answer::Reply;
            }
        };
        if self.may_not_block(row, args) {
            reply.error(waiting(args).text());
            return Answer::Reply;
        }
        if self.host.shards().is_some() && reads_everything(row, args) {
            reply.error(ONE_SHARD);
            return Answer::Reply;
        }
        if !self.reach.covers(row, args, inner.session.db) {
            self.state.doom(Fatal::Wider);
            return Answer::End;
        }
        let mut cx = SessionCx {
            reply,
            session: &mut inner.session,
            host: self.host,
            generation: self.generation,
            // Staleness was checked when the script itself was admitted.
            stale: false,
            cluster: None,
        };
        if cx.session.tracking.is_some() && row.read.is_some() {
            command::note_read(&cx, row, args);
        }
        let read = self.reach.read(&mut cx, row, args);
        let result = read.unwrap_or_else(|| command::run(&mut cx, row, args));
        command::ran_in_script(&mut cx, row, args, result.is_err());
        self.settle(cx.reply, &result);
        match is_unread(reply.as_bytes(), self.state.dialect) {
            true => Answer::LastWord,
            false => Answer::Reply,
        }
    }
}

/// The reply to a command that would see one shard where a script asks for all.
const ONE_SHARD: &str =
    "ERR a script runs in one shard of the cluster, and cannot count or list all keys";

/// Whether a read names no key.
fn reads_everything(row: &Command, args: Args<'_>) -> bool {
    let mut names_none = true;
    row.keys.visit(args, |_| names_none = false);
    row.read.is_some() && names_none
}

impl Caller<'_> {
    /// Whether scripts may not use these words because they ask to block. This does not depend on the data. Source: redis 7.0
    /// t_stream.c, `xreadCommand`.
    fn may_not_block(&self, row: &Command, args: Args<'_>) -> bool {
        let mut options = args
            .iter()
            .take_while(|word| !word.eq_ignore_ascii_case(b"streams"));
        row.name == "xread"
            && !self.state.dialect.reads_again_when_woken()
            && options.any(|word| word.eq_ignore_ascii_case(b"block"))
    }

    /// Replaces the reply with the error, if there is one.
    fn settle(&self, reply: &mut Reply, result: &Result<(), command::Error>) {
        match result {
            // Since Redis 7.2 a command that cannot wait does not fail. It returns that it found nothing.
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
    }

    /// Returns the row that the words name, if this script may run it. Source: redis 7.0 script.c, `scriptCall`.
    fn find(
        &self,
        args: Args<'_>,
        allowed: &mut Allowed,
        may: impl FnOnce(&'static Command) -> Result<(), Refused>,
    ) -> Result<&'static Command, Refused> {
        let dialect = self.state.dialect;
        if let Some(row) = known(args, dialect, allowed)
            && !(self.is_read_only && may_replicate(args))
        {
            return may(row).map(|()| row);
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
        may(row)?;
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
        if is_named && allowed.0.len() < ALLOWED_MAX {
            allowed.0.push(row);
        }
        Ok(row)
    }

    /// Checks that the user who runs the script may run a command.
    fn check(
        &self,
        row: &'static Command,
        args: Args<'_>,
        session: &mut Session,
        reply: &mut Reply,
    ) -> Result<(), Refused> {
        let Some(rights) = session.rights.clone() else {
            return Ok(());
        };
        let mut cx = SessionCx {
            reply,
            session,
            host: self.host,
            generation: self.generation,
            stale: false,
            cluster: None,
        };
        command::check_script(&mut cx, &rights, row, args)
            .map_err(|error| Refused::Script(error.text()))?;
        command::check_options(&cx, &rights, row, args).map_err(Refused::Command)
    }

    /// Returns the error for words that name no command.
    fn unresolved(&self, args: Args<'_>, error: command::Error) -> Refused {
        let dialect = self.state.dialect;
        let texts = dialect.script_call_errors();
        let container = command::lookup(args.at(0)).filter(|row| dialect.has(row.presence));
        match (container, error) {
            (None, _) => Refused::Script(texts.unknown.into()),
            (Some(_), command::Error::Arity(_)) => Refused::Script(texts.arity.into()),
            // Servers that look up a subcommand together with its command say that the whole is unknown.
            (Some(_), _)
                if dialect.has_subcommand_rows() && !dialect.names_subcommands_in_scripts() =>
            {
                Refused::Script(texts.unknown.into())
            }
            (Some(row), error) => self.older_subcommand(row, args, error),
        }
    }

    /// Returns the error for a subcommand that the command itself looks up: the command's own error, unless scripts may not run
    /// the command at all.
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

/// Returns the row of a command that scripts were recently allowed to call.
fn known(args: Args<'_>, dialect: Dialect, allowed: &Allowed) -> Option<&'static Command> {
    let name = args.at(0);
    let mut rows = allowed.0.iter().copied();
    rows.find(|row| name.eq_ignore_ascii_case(row.name.as_bytes()))
        .filter(|row| row.arity_in(dialect).fits(args.len()))
}

/// Returns the error for a command that would wait.
fn waiting(args: Args<'_>) -> command::Error {
    let text: &[u8] = b" command is not allowed with BLOCK option from scripts";
    command::Error::Quoting([b"ERR ", args.at(0), text].concat())
}

/// Whether a script gets the last word of its own command back. The server does not parse such replies. Source: redis 6.0
/// scripting.c, `redisProtocolToLuaType`.
fn is_unread(reply: &[u8], dialect: Dialect) -> bool {
    !dialect.protects_globals() && matches!(reply.first(), Some(b'=' | b'('))
}

/// Why a command is not run.
enum Refused {
    /// The script gets one of the script errors.
    Script(Vec<u8>),
    /// The command's own error.
    Command(command::Error),
}

//! Runs one script: chooses the level at which it starts, and the next one if that was not enough.
//!
//! A script runs again, with more held, in these cases: it asks for a shard that it does not get at once; it asks for more after
//! its clock has moved on by a millisecond; or it is not short, that is, it needs more than 100 ticks of 200 instructions or one
//! command each. Short scripts run among the other commands of their connection. The others run on a thread for which no other
//! connection waits. The levels are the declared keys, the script's database, all databases. A run that is abandoned leaves no
//! trace: its reply and log lines are dropped, `math.random` goes back, and `pcall` does not catch the end. The new run has a new
//! clock. For its next hundred runs, the script starts at the level at which it ended (`habit`).
//!
//! Functions that keep variables would show that they ran twice. They start with their database held and never start over. If
//! that is not enough, the client gets an error once, and from then on all databases are held for that function.
//!
//! A script in EXEC takes no locks of its own: EXEC holds all databases if a script is among its commands.

use std::sync::atomic::Ordering;
use std::time::Duration;

use mlua::{Either, Lua, Table, Value};

use super::bridge::Gives;
use super::call::Caller;
use super::habit::Habit;
use super::interpreter::{Compiled, Failure, Interpreter, building};
use super::raise::Fatal;
use super::reach::{Level, Reach};
use super::share::Share;
use super::state::Bounds;
use super::to_reply::Writer;
use crate::command::{Outbox, ScriptCall, SessionCx, long};
use crate::limits::{SCRIPT_MILLISECONDS_MAX, SCRIPT_TICKS_SHORT};

/// A script to run.
pub(super) struct Task<'t> {
    pub(super) call: &'t ScriptCall<'t>,
    pub(super) function: &'t Compiled,
    pub(super) is_read_only: bool,
    /// Whether it is a library function, which takes its keys and arguments as parameters.
    pub(super) is_function: bool,
    /// Whether it may start over. A function that keeps variables must not: they would show that it had run before.
    pub(super) may_begin_again: bool,
    /// How much it held lately.
    pub(super) habit: &'t Habit,
    /// The share of time for which scripts may hold up the stream.
    pub(super) share: &'t Share,
    /// How many bytes the script may hold.
    pub(super) bytes: usize,
}

impl Task<'_> {
    /// Runs the script and writes its reply, all as of one moment: with only its keys held, or with more if it turns out to
    /// need more. A run that is abandoned leaves no trace: no reply, no log line, no random number drawn.
    ///
    /// # Errors
    /// Why the script failed. Whatever is in the reply does not count then.
    pub(super) fn run(
        &self,
        cx: &mut SessionCx<'_>,
        interpreter: &Interpreter,
    ) -> Result<(), Failure> {
        let state = &*interpreter.state;
        let mark = cx.reply.len();
        let random = state.random();
        let mut level = self.first_level(cx);
        state.enter();
        let result = loop {
            let result = self.run_at(cx, interpreter, level);
            if !matches!(result, Err(Failure::Fatal(Fatal::Wider))) {
                break result;
            }
            let wider = wider(level);
            self.habit.note(wider);
            if !self.may_begin_again || wider == level {
                break result;
            }
            self.share.note_again();
            level = wider;
            cx.reply.truncate(mark);
            state.set_random(random);
        };
        state.leave();
        result
    }

    fn first_level(&self, cx: &SessionCx<'_>) -> Level {
        if cx.session.clock.is_some() {
            // EXEC holds everything already.
            Level::Lent
        } else if self.may_begin_again {
            self.habit.first()
        } else {
            self.habit.last().max(Level::Database)
        }
    }

    /// Runs the script at one level. Short scripts run right here. For one that may take long or has to wait, other
    /// connections move to another thread first.
    fn run_at(
        &self,
        cx: &mut SessionCx<'_>,
        interpreter: &Interpreter,
        level: Level,
    ) -> Result<(), Failure> {
        let waits = |cx: &SessionCx<'_>| {
            cx.generation
                .is_some_and(|generation| generation.spaces.keeps_waiting())
        };
        if level == Level::Keys && !waits(cx) {
            return run_once(cx, interpreter, self, level);
        }
        let held = cx.generation.filter(|_| level != Level::Keys);
        let holding = held
            .map(|generation| self.share.begin(generation))
            .transpose();
        let holding = holding.map_err(Failure::Refused)?;
        let result = long(|| run_once(cx, interpreter, self, level));
        drop(holding);
        result
    }

    fn bounds(&self, level: Level) -> Bounds {
        Bounds {
            time: Duration::from_millis(SCRIPT_MILLISECONDS_MAX),
            ticks: (level == Level::Keys).then_some(SCRIPT_TICKS_SHORT),
            bytes: self.bytes,
            may_begin_again: self.may_begin_again && wider(level) != level,
        }
    }
}

/// Returns the level after `level`, or `level` itself if there is none.
const fn wider(level: Level) -> Level {
    match level {
        Level::Keys => Level::Database,
        Level::Database | Level::Everything => Level::Everything,
        Level::Lent => Level::Lent,
    }
}

fn run_once(
    cx: &mut SessionCx<'_>,
    interpreter: &Interpreter,
    task: &Task<'_>,
    level: Level,
) -> Result<(), Failure> {
    let mark = cx.reply.len();
    let reach = Reach::begin(cx, level, task.call.keys());
    // The script's time starts once the locks are held, because it limits how long others are held up.
    interpreter.begin(task.bounds(level))?;
    let allowed = interpreter.take_allowed();
    let rights = cx.session.rights.as_ref();
    interpreter.state.set_rights(rights, cx.session.db);
    let caller = Caller::new(cx, &interpreter.state, task.is_read_only, reach, allowed);
    let bridge = interpreter.bridge();
    let result = bridge.lend(&caller, || answer(cx, interpreter, task));
    let (allowed, tally, outbox) = caller.into_parts();
    interpreter.keep_allowed(allowed);
    cx.session
        .tally
        .add_lookups(tally.hits.get(), tally.misses.get());
    if !matches!(result, Err(Failure::Fatal(Fatal::Wider))) {
        // It does not run again.
        publish(cx, mark, &outbox);
    }
    result
}

/// Delivers what a script has published, whose reply starts at `mark`.
fn publish(cx: &mut SessionCx<'_>, mark: usize, outbox: &Outbox) {
    let dialect = cx.reply.dialect();
    let mut published = 0;
    for message in outbox.messages() {
        published += cx.host.pubsub().publish(message, dialect);
    }
    if published > 0 && cx.session.is_subscriber() && !dialect.replies_before_own_pushes() {
        let reply = cx.reply.as_bytes().get(mark..).unwrap_or_default().to_vec();
        cx.reply.truncate(mark);
        cx.flush_inbox();
        cx.reply.raw(&reply);
    }
}

/// Runs the function and writes its result.
fn answer(
    cx: &mut SessionCx<'_>,
    interpreter: &Interpreter,
    task: &Task<'_>,
) -> Result<(), Failure> {
    let state = &*interpreter.state;
    let gives = if task.is_function {
        Gives::Arguments {
            own: !task.may_begin_again,
        }
    } else if state.dialect.protects_globals() {
        Gives::Globals
    } else {
        set_globals(interpreter, task.function, task.call)?;
        Gives::Nothing
    };
    let ended = interpreter.run(task.function, task.call, gives)?;
    let resp3 = state.resp3.load(Ordering::Relaxed);
    if ended.write(cx.reply, resp3).map_err(Failure::Fatal)? {
        return Ok(());
    }
    let writer = Writer {
        reply: cx.reply,
        resp3,
        state,
        lua: &interpreter.lua,
        next: &interpreter.next,
    };
    let value = ended.value(&interpreter.lua)?;
    Ok(writer.write(value, state.dialect.script_stack_places())?)
}

/// Gives the function its own globals, including its keys and arguments, as it is before Redis 7.0.
pub(super) fn set_globals(
    interpreter: &Interpreter,
    function: &Compiled,
    call: &ScriptCall<'_>,
) -> Result<(), Failure> {
    let lua = &interpreter.lua;
    let globals = building(lua, &interpreter.state, call.bytes(), || {
        let keys = list(lua, call.keys())?;
        let args = list(lua, call.arguments())?;
        interpreter.fresh_globals(Some([&keys, &args]))
    })?;
    function.function.set_environment(globals)?;
    Ok(())
}

/// Returns a Lua list of these words.
fn list<'w>(lua: &Lua, words: impl ExactSizeIterator<Item = &'w [u8]>) -> mlua::Result<Table> {
    let mut result = Ok(());
    let words = words.map(|word| match std::str::from_utf8(word) {
        Ok(text) => Either::Left(text),
        Err(_) => Either::Right(lua.create_string(word).map_or_else(
            |error| {
                result = Err(error);
                Value::Nil
            },
            Value::String,
        )),
    });
    let table = lua.create_sequence_from(words)?;
    result.map(|()| table)
}

//! Lua scripts and functions, for reading only.
//!
//! This module runs EVAL and FCALL the way a read-only replica does: anything that writes is refused with the error that a
//! server would send. All it knows of a connection is the session of [`crate::command`]. Scripts reach the data only through
//! the command table there, and this module never sees a mutable store.
//!
//! A script holds everything it reads until it ends: first the keys that it declares, then more as it asks for more (`reach`).
//! So all of it is from one moment, and the writer waits. That is why time and memory are bounded, and why this module
//! reimplements the Lua functions that could run for long inside C, where nothing checks the clock: pattern matching, sorting,
//! repeating. A script that asks for a lock that is not free, or that is not short, starts over with its whole database held
//! (`running`). It only reads, so nobody can tell. An [`Engine`] keeps a few interpreters for all connections and throws away
//! an interpreter whose script was ended by force.
//!
//! # Limits
//! A script gets 5 seconds, and memory: 256 MiB, or less while many run, because all of them share 1 GiB. The clock is checked
//! every 200 instructions, in coroutines too, and `pcall` does not catch that end. Other connections are served in the
//! meantime. Scripts of all clients together may hold up the stream for a quarter of the time (`share`).
//!
//! # Cost
//! There is no interpreter before the first script. One takes about 100 KB; up to four wait for the next script, and as many
//! for functions. An interpreter keeps its compiled scripts, the functions and buffers of `redis.call`, and which commands its
//! scripts may call. What every script does goes through Lua's C interface (`bridge`), everything else through mlua.

mod api;
mod bridge;
mod call;
mod evaluator;
mod failure;
mod functions;
mod habit;
mod interpreter;
mod library;
mod params;
mod raise;
mod random;
mod reach;
mod replay;
mod running;
mod sandbox;
mod share;
mod shebang;
mod state;
mod texts;
mod to_reply;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

use arc_swap::ArcSwapOption;
use bytes::Bytes;

use self::evaluator::{Evaluator, Ready};
use self::functions::{Known, Loaded};
use self::interpreter::Interpreter;
use self::running::Task;
use self::share::Share;
use self::state::{Common, lock};
use self::texts::{Digest, Text, Texts};
use crate::command::{
    Error, LibraryShown, READONLY, Replay, ReplayScripts, Script, ScriptCall, ScriptFigures,
    ScriptShare, Scripting, SessionCx, Unsure, long,
};
use crate::dialect::Dialect;
use crate::limits::{SCRIPT_MEMORY_BYTES_MAX, SCRIPT_MEMORY_BYTES_MIN, SCRIPTS_MEMORY_BYTES};
use crate::store::{Generation, Libraries};

/// How many idle interpreters are kept for the next script.
const IDLE_MAX: usize = 4;

/// Texts up to this length are compiled inline. For longer ones, other connections move to another thread first.
const COMPILED_AT_ONCE_BYTES: usize = 4 << 10;

/// Runs the scripts of all connections.
pub struct Engine {
    share: Share,
    texts: Mutex<Texts>,
    /// Changes whenever a text is forgotten; see [`Texts::number`].
    texts_number: AtomicU64,
    #[expect(clippy::vec_box, reason = "every script moves one out and in again")]
    idle: Mutex<Vec<Box<Evaluator>>>,
    #[expect(clippy::vec_box, reason = "every script moves one out and in again")]
    loaded: Mutex<Vec<Box<Loaded>>>,
    /// The libraries that were loaded last, and the facts about them.
    known: ArcSwapOption<Known>,
    /// All interpreters that exist, so that `SCRIPT KILL` finds them.
    states: Mutex<Vec<Weak<Common>>>,
    running: AtomicUsize,
}

/// Counts a script while it runs.
struct Running<'e>(&'e AtomicUsize);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Engine {
    /// Returns an engine that has not run anything.
    #[must_use]
    pub fn new(share: ScriptShare) -> Self {
        Self {
            share: Share::new(share),
            texts: Mutex::default(),
            texts_number: AtomicU64::new(0),
            idle: Mutex::default(),
            loaded: Mutex::default(),
            known: ArcSwapOption::default(),
            states: Mutex::default(),
            running: AtomicUsize::new(0),
        }
    }

    /// Registers a new interpreter, so that a script that runs in it can be killed.
    fn register(&self, interpreter: &Interpreter) {
        let mut states = lock(&self.states);
        states.retain(|state| state.strong_count() > 0);
        states.push(Arc::downgrade(&interpreter.state));
    }

    fn evaluator(&self, dialect: Dialect) -> Result<Box<Evaluator>, Error> {
        let found = lock(&self.idle).pop();
        if let Some(found) = found.filter(|one| one.interpreter.state.dialect == dialect) {
            return Ok(found);
        }
        let made = Box::new(long(|| Evaluator::new(dialect))?);
        self.register(&made.interpreter);
        Ok(made)
    }

    fn give_back(&self, mut evaluator: Box<Evaluator>) {
        if evaluator.tidy() {
            let mut idle = lock(&self.idle);
            if idle.len() < IDLE_MAX {
                idle.push(evaluator);
            }
        }
    }

    /// Returns a script that is ready to run, and its digest. Compiles the script first if this interpreter does not know it.
    fn ready(
        &self,
        script: Script<'_>,
        evaluator: &mut Evaluator,
    ) -> Result<(Digest, Arc<Ready>), Error> {
        let (digest, code) = match script {
            Script::Text(code) => (Some(Digest::of(code)), Some(code)),
            Script::Digest(digits) | Script::Function(digits) => (Digest::parse(digits), None),
        };
        let dialect = evaluator.interpreter.state.dialect;
        let unknown = Error::Text(dialect.unknown_script());
        let Some(digest) = digest else {
            return Err(unknown);
        };
        let number = self.texts_number.load(Ordering::Acquire);
        if let Some(ready) = evaluator.ready(&digest, number) {
            return Ok((digest, ready));
        }
        let known = lock(&self.texts).get(&digest).cloned();
        if let Some(text) = known {
            return Ok((digest, evaluator.make_ready(&digest, &text, number)?));
        }
        let code = code.ok_or(unknown)?;
        let text =
            Text::new(code, dialect).map_err(|text| Error::Quoting([b"ERR ", &*text].concat()))?;
        let text = Arc::new(text);
        let ready = if code.len() > COMPILED_AT_ONCE_BYTES {
            long(|| evaluator.make_ready(&digest, &text, number))?
        } else {
            evaluator.make_ready(&digest, &text, number)?
        };
        self.change_texts(|texts| texts.insert(digest, text));
        Ok((digest, ready))
    }

    fn change_texts(&self, change: impl FnOnce(&mut Texts)) {
        let mut texts = lock(&self.texts);
        change(&mut texts);
        self.texts_number.store(texts.number(), Ordering::Release);
    }

    fn evaluate(
        &self,
        cx: &mut SessionCx<'_>,
        call: &ScriptCall<'_>,
        evaluator: &mut Evaluator,
    ) -> Result<(), Error> {
        let (digest, ready) = self.ready(call.script, evaluator)?;
        let text = &*ready.text;
        if let Some(flags) = text.flags
            && !flags.reads_only()
        {
            return Err(READONLY);
        }
        let (_running, bytes) = self.enter();
        let task = Task {
            call,
            function: &ready.function,
            is_read_only: call.is_read_only || text.flags.is_some(),
            is_function: false,
            may_begin_again: true,
            habit: &text.habit,
            share: &self.share,
            bytes,
        };
        let interpreter = &evaluator.interpreter;
        task.run(cx, interpreter).map_err(|failure| {
            let dialect = interpreter.state.dialect;
            failure::error(&interpreter.lua, failure, dialect, &digest.digits())
        })
    }

    /// Returns the facts about `libraries`, and loads them if they are not loaded yet.
    fn known(&self, dialect: Dialect, libraries: &Arc<Libraries>) -> Result<Arc<Known>, Error> {
        let known = self.known.load();
        if let Some(known) = known
            .as_ref()
            .filter(|known| known.is_of(dialect, libraries))
        {
            return Ok(Arc::clone(known));
        }
        let loaded = self.loaded(dialect, libraries)?;
        let known = Arc::clone(&loaded.known);
        self.give_back_loaded(loaded);
        Ok(known)
    }

    /// Returns an interpreter that has `libraries` loaded.
    fn loaded(&self, dialect: Dialect, libraries: &Arc<Libraries>) -> Result<Box<Loaded>, Error> {
        let found = lock(&self.loaded).pop();
        if let Some(found) = found.filter(|one| one.known.is_of(dialect, libraries)) {
            return Ok(found);
        }
        let made = long(|| Loaded::new(dialect, Arc::clone(libraries)))?;
        self.register(&made.interpreter);
        let known = self.known.load_full();
        Ok(Box::new(match known {
            Some(known) if known.is_of(dialect, libraries) => made.knowing(known),
            _ => {
                self.known.store(Some(Arc::clone(&made.known)));
                made
            }
        }))
    }

    fn give_back_loaded(&self, one: Box<Loaded>) {
        if one.interpreter.tidy(one.known.sets_collector) {
            let mut loaded = lock(&self.loaded);
            if loaded.len() < IDLE_MAX {
                loaded.push(one);
            }
        }
    }

    fn call(
        &self,
        cx: &mut SessionCx<'_>,
        call: &ScriptCall<'_>,
        name: &[u8],
    ) -> Result<(), Error> {
        let generation = cx.generation.ok_or(NO_FUNCTION)?;
        let libraries = generation.spaces.libraries();
        let loaded = self.loaded(cx.reply.dialect(), &libraries)?;
        let result = self.call_in(cx, call, &loaded, name);
        self.give_back_loaded(loaded);
        result
    }

    fn call_in(
        &self,
        cx: &mut SessionCx<'_>,
        call: &ScriptCall<'_>,
        loaded: &Loaded,
        name: &[u8],
    ) -> Result<(), Error> {
        let function = loaded.function(name).ok_or(NO_FUNCTION)?;
        let facts = loaded.known.function(name).ok_or(NO_FUNCTION)?;
        if facts.writes {
            return Err(READONLY);
        }
        let (_running, bytes) = self.enter();
        let task = Task {
            call,
            function,
            is_read_only: true,
            is_function: true,
            may_begin_again: !facts.keeps_variables,
            habit: &facts.habit,
            share: &self.share,
            bytes,
        };
        let interpreter = &loaded.interpreter;
        task.run(cx, interpreter).map_err(|failure| {
            let dialect = interpreter.state.dialect;
            failure::error(&interpreter.lua, failure, dialect, &facts.name)
        })
    }

    /// Counts a script that starts to run, and returns how many bytes it may hold.
    fn enter(&self) -> (Running<'_>, usize) {
        let others = self.running.fetch_add(1, Ordering::Relaxed);
        let part = SCRIPTS_MEMORY_BYTES / (others + 1);
        let bytes = part.clamp(SCRIPT_MEMORY_BYTES_MIN, SCRIPT_MEMORY_BYTES_MAX);
        (Running(&self.running), bytes)
    }
}

const NO_FUNCTION: Error = Error::Text("ERR Function not found");

impl Engine {
    fn function_writes(&self, cx: &SessionCx<'_>, name: &[u8]) -> bool {
        let known = cx.generation.and_then(|generation| {
            self.known(generation.dialect, &generation.spaces.libraries())
                .ok()
        });
        known.is_some_and(|known| known.function(name).is_some_and(|facts| facts.writes))
    }
}

impl ReplayScripts for Engine {
    fn replay(&self, replay: &mut Replay<'_, '_>, call: &ScriptCall<'_>) -> Result<(), Unsure> {
        self.run_again(replay, call)
    }
}

impl Scripting for Engine {
    fn run(&self, cx: &mut SessionCx<'_>, call: &ScriptCall<'_>) -> Result<(), Error> {
        if let Script::Function(name) = call.script {
            return self.call(cx, call, name);
        }
        let mut evaluator = self.evaluator(cx.reply.dialect())?;
        let result = self.evaluate(cx, call, &mut evaluator);
        self.give_back(evaluator);
        result
    }

    fn writes(&self, cx: &SessionCx<'_>, script: Script<'_>) -> bool {
        let flags = match script {
            Script::Text(code) => shebang::flags(code, cx.reply.dialect()),
            Script::Digest(digits) => Digest::parse(digits)
                .and_then(|digest| lock(&self.texts).get(&digest).and_then(|text| text.flags)),
            Script::Function(name) => return self.function_writes(cx, name),
        };
        flags.is_some_and(|flags| !flags.reads_only())
    }

    fn load(&self, code: &[u8], dialect: Dialect) -> Result<String, Error> {
        let mut evaluator = self.evaluator(dialect)?;
        let ready = self.ready(Script::Text(code), &mut evaluator);
        self.give_back(evaluator);
        ready.map(|(digest, _)| digest.digits())
    }

    fn text(&self, digest: &[u8]) -> Option<Bytes> {
        let texts = lock(&self.texts);
        let text = texts.get(&Digest::parse(digest)?)?;
        Some(text.code.clone())
    }

    fn flush(&self) {
        self.change_texts(Texts::clear);
        lock(&self.idle).clear();
    }

    fn libraries(&self, generation: &Generation) -> Result<Arc<Vec<LibraryShown>>, Error> {
        let known = self.known(generation.dialect, &generation.spaces.libraries())?;
        Ok(Arc::clone(&known.shown))
    }

    fn has_function(&self, generation: &Generation, name: &[u8]) -> Result<bool, Error> {
        let known = self.known(generation.dialect, &generation.spaces.libraries())?;
        Ok(known.function(name).is_some())
    }

    fn check_library(&self, code: &[u8], dialect: Dialect) -> Result<(), Error> {
        let mut libraries = Libraries::default();
        let added = libraries.add(Bytes::copy_from_slice(code), false);
        added.map_err(|error| Error::Owned(error.to_string()))?;
        let loaded = Loaded::new(dialect, Arc::new(libraries))?;
        match loaded
            .known
            .shown
            .iter()
            .any(|one| one.functions.is_empty())
        {
            true => Err(Error::Text("ERR No functions registered")),
            false => Ok(()),
        }
    }

    fn figures(&self) -> ScriptFigures {
        let (cached, cached_bytes) = lock(&self.texts).size();
        let idle = lock(&self.idle);
        let idle = idle.iter().map(|one| one.interpreter.memory_bytes());
        let loaded = lock(&self.loaded);
        let loaded = loaded.iter().map(|one| one.interpreter.memory_bytes());
        ScriptFigures {
            cached,
            cached_bytes,
            resting_bytes: idle.sum::<usize>() + loaded.sum::<usize>(),
            ..self.share.figures()
        }
    }

    fn kill(&self) -> bool {
        let states = lock(&self.states);
        let mut any = false;
        for state in states.iter().filter_map(Weak::upgrade) {
            any |= state.kill();
        }
        any
    }
}

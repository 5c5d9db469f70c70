//! An interpreter for EVAL scripts, with the scripts that it has compiled.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mlua::Function;

use super::interpreter::{CompileError, Compiled, Interpreter};
use super::raise::Fatal;
use super::sandbox;
use super::texts::{Digest, Text};
use crate::command::Error;
use crate::dialect::Dialect;

/// How many compiled scripts an interpreter keeps.
const COMPILED_MAX: usize = 500;

/// A compiled script and the facts about it.
pub(super) struct Ready {
    pub(super) function: Compiled,
    pub(super) text: Arc<Text>,
    /// The number of the texts (see [`number`](super::texts::Texts::number)) when the script was last found there. While it
    /// matches, the script is known.
    texts: AtomicU64,
}

/// An interpreter for EVAL scripts.
pub(super) struct Evaluator {
    pub(super) interpreter: Interpreter,
    compiled: HashMap<Digest, Arc<Ready>, ahash::RandomState>,
    /// Whether a script since the last [`tidy`](Self::tidy) may have changed the settings of the garbage collector.
    sets_collector: bool,
}

impl Evaluator {
    /// Creates an evaluator without any compiled scripts.
    ///
    /// # Errors
    /// Fails if there is not enough memory.
    pub(super) fn new(dialect: Dialect) -> Result<Self, Error> {
        let interpreter = Interpreter::new(dialect, |lua, real, _| {
            sandbox::add_helpers(lua, real, dialect)
        })
        .map_err(|_| Fatal::Memory)?;
        // Scripts are compiled against these globals.
        let globals = interpreter.globals().map_err(|_| Fatal::Memory)?;
        let set = interpreter.lua.set_globals(globals);
        set.map_err(|_| Fatal::Memory)?;
        Ok(Self {
            interpreter,
            compiled: HashMap::default(),
            sets_collector: false,
        })
    }

    /// Returns a compiled script if it was last found in the texts with the number `texts`.
    pub(super) fn ready(&mut self, digest: &Digest, texts: u64) -> Option<Arc<Ready>> {
        let ready = self.compiled.get(digest)?;
        if ready.texts.load(Ordering::Relaxed) != texts {
            return None;
        }
        self.sets_collector |= ready.text.sets_collector;
        Some(Arc::clone(ready))
    }

    /// Compiles a script that was just found in the texts with the number `texts`, unless it is compiled already.
    ///
    /// # Errors
    /// Fails if the script does not compile.
    pub(super) fn make_ready(
        &mut self,
        digest: &Digest,
        text: &Arc<Text>,
        texts: u64,
    ) -> Result<Arc<Ready>, Error> {
        self.sets_collector |= text.sets_collector;
        if let Some(ready) = self.compiled.get(digest) {
            ready.texts.store(texts, Ordering::Relaxed);
            return Ok(Arc::clone(ready));
        }
        let code = text.code.get(text.start..).unwrap_or_default();
        let function = if self.interpreter.state.dialect.protects_globals() {
            self.compile(code)?
        } else {
            self.define(digest, code)?
        };
        let function = self.interpreter.keep(function).map_err(|_| Fatal::Memory)?;
        if self.compiled.len() >= COMPILED_MAX {
            for (_, old) in self.compiled.drain() {
                let forgotten = self.interpreter.forget(&old.function);
                forgotten.map_err(|_| Fatal::Memory)?;
            }
        }
        let ready = Arc::new(Ready {
            function,
            text: Arc::clone(text),
            texts: AtomicU64::new(texts),
        });
        self.compiled.insert(*digest, Arc::clone(&ready));
        Ok(ready)
    }

    fn compile(&self, code: &[u8]) -> Result<Function, Error> {
        let compiled = self.interpreter.compile(code, "@user_script");
        compiled.map_err(|error| match error {
            CompileError::Syntax(text) => {
                Error::Owned(format!("ERR Error compiling script (new function): {text}"))
            }
            CompileError::Memory => Fatal::Memory.into(),
        })
    }

    /// Wraps the script in a function definition: before Redis 7.0 a script is the body of a function.
    /// Source: redis 6.0 scripting.c, `luaCreateFunction`.
    fn define(&self, digest: &Digest, code: &[u8]) -> Result<Function, Error> {
        let name = format!("f_{}", digest.digits());
        let definition = [b"function ", name.as_bytes(), b"() ", code, b"\nend"].concat();
        let chunk = self.compile(&definition)?;
        let defined = || -> mlua::Result<Function> {
            let scratch = self.interpreter.lua.create_table()?;
            chunk.set_environment(scratch.clone())?;
            chunk.call::<()>(())?;
            scratch.raw_get(name)
        };
        defined().map_err(|error| {
            let text = error.to_string();
            let text = text.split("\nstack traceback:").next().unwrap_or_default();
            Error::Owned(format!("ERR Error running script (new function): {text}"))
        })
    }

    /// Frees what scripts left. Returns false if the interpreter should be thrown away instead.
    pub(super) fn tidy(&mut self) -> bool {
        self.interpreter
            .tidy(std::mem::take(&mut self.sets_collector))
    }
}

impl From<Fatal> for Error {
    fn from(fatal: Fatal) -> Self {
        Self::Owned(fatal.to_string())
    }
}

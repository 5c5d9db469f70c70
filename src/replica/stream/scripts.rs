//! Scripts that arrive as their text: those of primaries before Redis 7.0 with `lua-replicate-commands no`. All other
//! primaries send what their scripts have written, as commands.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Follower;
use crate::command::{self, Command, Replay, ReplayScripts, Script, ScriptCall, Unsure};
use crate::dialect::Dialect;
use crate::replica::passed::is_logged;
use crate::resp::Args;
use crate::store::{Generation, Keyspaces, Slot, Tx, WriteToken};

/// Why everything is tainted after a function.
pub(super) const FUNCTION: &str = "it calls a function, whose writes are not known";

const BROKEN: &str = "a library that cannot be loaded";

const NO_ENGINE: &str = "it is a script, and redtail has no engine to run it; set lua-replicate-commands to yes on the primary";

const TOO_NEW: &str = "it is a script, and servers since Redis 7.0 run it differently";

/// Whether a row's command runs a script.
pub(super) fn is_script(row: &Command) -> bool {
    matches!(row.name, "eval" | "evalsha")
}

/// The slots that a script needs, and their database if they are all of one.
pub(super) fn slots(spaces: &Keyspaces, db: usize, args: Args<'_>) -> (Vec<Slot>, Option<usize>) {
    let kept = args.is(0, "evalsha").then(|| spaces.scripts());
    match kept.and_then(|kept| kept.text(args.at(1))) {
        Some(text) => command::replay_slots(spaces, db, &text),
        None => command::replay_slots(spaces, db, args.at(1)),
    }
}

/// Keeps the text of a call with the data, or passes the kept text to the script engine, which forgets texts that clients
/// push out.
fn known(
    token: &WriteToken,
    spaces: &Keyspaces,
    scripting: &Arc<dyn ReplayScripts>,
    dialect: Dialect,
    call: &ScriptCall<'_>,
) {
    match call.script {
        Script::Text(code) => {
            if let Ok(digits) = scripting.load(code, dialect) {
                token.keep_script(spaces, &digits, code);
            }
        }
        Script::Digest(digest) if scripting.text(digest).is_none() => {
            if let Some(code) = spaces.scripts().text(digest) {
                // It has compiled before.
                let _ = scripting.load(&code, dialect);
            }
        }
        Script::Digest(_) | Script::Function(_) => {}
    }
}

impl Follower<'_> {
    /// Applies EVAL or EVALSHA.
    pub(super) fn script(&mut self, args: Args<'_>) {
        let Some(row) = command::lookup(args.at(0)) else {
            return;
        };
        if let Some(queue) = &mut self.queue {
            return queue.push(self.db, row, args);
        }
        self.tune();
        let generation = Arc::clone(&self.position.generation);
        let spaces = &generation.spaces;
        let (slots, _) = slots(spaces, self.db, args);
        if let Some(saving) = &mut self.saving {
            saving.before(&slots);
        }
        let mut tx = self
            .token
            .write(spaces, self.db, slots)
            .with_thresholds(self.thresholds)
            .with_clock(self.clock_ms)
            .with_dialect(generation.dialect);
        if let Err(reason) = self.run_script(&mut tx, spaces, self.db, args) {
            self.unknown_within(&mut tx, args, reason);
        }
        drop(tx);
        spaces.waiters().wake_all();
    }

    /// Runs a script under the locks that `tx` holds.
    pub(super) fn run_script(
        &self,
        tx: &mut Tx<'_>,
        spaces: &Keyspaces,
        db: usize,
        args: Args<'_>,
    ) -> Result<(), &'static str> {
        let scripting = self.scripting.as_ref().ok_or(NO_ENGINE)?;
        if tx.dialect().protects_globals() {
            return Err(TOO_NEW);
        }
        let Ok(call) = command::script_call(args) else {
            self.pass("a script that servers refuse");
            return Ok(());
        };
        tx.select(db).map_err(|_| "its database does not exist")?;
        let (_, only) = slots(spaces, db, args);
        known(self.token, spaces, scripting, tx.dialect(), &call);
        // A script goes by a single time.
        let now_ms = tx.now_ms();
        tx.set_clock(Some(now_ms));
        let result = scripting.replay(&mut Replay::new(tx, spaces, only), &call);
        tx.set_clock(self.clock_ms);
        self.figures.commands.fetch_add(1, Ordering::Relaxed);
        self.figures.scripts.fetch_add(1, Ordering::Relaxed);
        result.map_err(|Unsure(why)| why)
    }

    /// Logs a library that cannot be loaded. It is kept as the primary has it, and a call of its functions is answered
    /// with the error.
    pub(super) fn check_library(&self, code: &[u8]) {
        let Some(scripting) = &self.scripting else {
            return;
        };
        let checked = scripting.check_library(code, self.position.generation.dialect);
        if let Err(error) = checked {
            let (count, offset) = (self.figures.passed.note(BROKEN), self.read_offset);
            if is_logged(count) {
                tracing::warn!(count, offset, %error, "a function library from the primary cannot be loaded: its functions answer with that error");
            }
        }
    }

    /// Applies SCRIPT: keeps the scripts that the primary keeps, for EVALSHA.
    pub(super) fn keep_script(&self, args: Args<'_>) {
        let Some(scripting) = &self.scripting else {
            return;
        };
        let Generation {
            spaces, dialect, ..
        } = &*self.position.generation;
        if args.is(1, "flush") {
            self.token.clear_scripts(spaces);
            scripting.flush();
        } else if args.is(1, "load") && args.len() == 3 {
            match scripting.load(args.at(2), *dialect) {
                Ok(digits) => self.token.keep_script(spaces, &digits, args.at(2)),
                Err(_) => self.pass("a script that servers refuse"),
            }
        } else {
            self.pass("script");
        }
    }
}

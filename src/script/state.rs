//! What an interpreter knows about the script that it runs.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::raise::Fatal;
use super::random::Random;
use crate::command::acl::Rights;
use crate::dialect::Dialect;
use crate::limits::{SCRIPT_LOG_BYTES_MAX, SCRIPT_MEMORY_BYTES_MAX};

/// The state that all functions of an interpreter share. One thread at a time runs in it; others only call [`kill`](Common::kill).
#[derive(Debug)]
pub(super) struct Common {
    /// The dialect that the interpreter speaks.
    pub(super) dialect: Dialect,
    /// The state of the `math.random` generator, as bits.
    random: AtomicU64,
    /// How many bytes the script may hold inside Lua, and the same number again outside of it.
    bytes: AtomicUsize,
    /// Whether commands answer in RESP3.
    pub(super) resp3: AtomicBool,
    /// When the interpreter was created.
    made: Instant,
    /// When the script must end, in nanoseconds since `made`; 0 if it is bounded in ticks instead.
    deadline_ns: AtomicU64,
    /// How many ticks the script has left.
    ticks: AtomicU32,
    /// Why the script must end, as its index in [`FATALS`] plus 1; 0 while it may continue.
    fatal: AtomicU8,
    running: AtomicBool,
    killed: AtomicBool,
    /// How many runs were started.
    runs: AtomicU64,
    /// Whether the script may have to start over. If so, its log lines are held until it ends.
    holds_log: AtomicBool,
    /// Whether any lines are held.
    has_lines: AtomicBool,
    log: Mutex<Log>,
    /// Whether the user may not do everything: `rights` says what it may.
    is_restricted: AtomicBool,
    rights: Mutex<Option<(Arc<Rights>, usize)>>,
}

/// The held log lines of a script.
#[derive(Debug, Default)]
struct Log {
    lines: Vec<(i64, String)>,
    bytes: usize,
}

const FATALS: [Fatal; 4] = [Fatal::Time, Fatal::Memory, Fatal::Killed, Fatal::Wider];

/// The limits of a script.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// How long it may run. Ignored if `ticks` are counted.
    pub(super) time: Duration,
    /// How many ticks it may run before it must start over.
    pub(super) ticks: Option<u32>,
    /// How many bytes it may hold.
    pub(super) bytes: usize,
    /// Whether it may have to start over.
    pub(super) may_begin_again: bool,
}

impl Common {
    pub(super) fn new(dialect: Dialect) -> Arc<Self> {
        Arc::new(Self {
            dialect,
            random: AtomicU64::new(Random::default().bits()),
            bytes: AtomicUsize::new(SCRIPT_MEMORY_BYTES_MAX),
            resp3: AtomicBool::new(false),
            made: Instant::now(),
            deadline_ns: AtomicU64::new(u64::MAX),
            ticks: AtomicU32::new(u32::MAX),
            fatal: AtomicU8::new(0),
            running: AtomicBool::new(false),
            killed: AtomicBool::new(false),
            runs: AtomicU64::new(0),
            holds_log: AtomicBool::new(false),
            has_lines: AtomicBool::new(false),
            log: Mutex::default(),
            is_restricted: AtomicBool::new(false),
            rights: Mutex::default(),
        })
    }

    /// Notes what the user who runs the script may do, and in which database it starts.
    pub(super) fn set_rights(&self, rights: Option<&Arc<Rights>>, db: usize) {
        let is_restricted = rights.is_some();
        if is_restricted || self.is_restricted.load(Ordering::Relaxed) {
            self.is_restricted.store(is_restricted, Ordering::Relaxed);
            *lock(&self.rights) = rights.map(|rights| (Arc::clone(rights), db));
        }
    }

    /// Returns what [`set_rights`](Self::set_rights) noted.
    pub(super) fn rights(&self) -> Option<(Arc<Rights>, usize)> {
        let is_restricted = self.is_restricted.load(Ordering::Relaxed);
        is_restricted.then(|| lock(&self.rights).clone()).flatten()
    }

    /// Sets the bounds for a script that starts, or starts over.
    pub(super) fn begin(&self, bounds: Bounds) {
        let end = match bounds.ticks {
            Some(_) => 0,
            None => self.elapsed_ns().saturating_add(nanoseconds(bounds.time)),
        };
        self.bytes.store(bounds.bytes, Ordering::Relaxed);
        self.deadline_ns.store(end, Ordering::Relaxed);
        let ticks = bounds.ticks.unwrap_or(u32::MAX);
        self.ticks.store(ticks, Ordering::Relaxed);
        self.fatal.store(0, Ordering::Relaxed);
        // Only the thread that runs scripts changes this.
        self.runs.store(self.run_number() + 1, Ordering::Relaxed);
        self.resp3.store(false, Ordering::Relaxed);
        if self.dialect.seeds_scripts() {
            self.set_random(Random::seeded(0));
        }
        self.holds_log
            .store(bounds.may_begin_again, Ordering::Relaxed);
        self.take_lines();
    }

    /// Makes the script killable until [`leave`](Self::leave), however often it starts over.
    pub(super) fn enter(&self) {
        self.killed.store(false, Ordering::Relaxed);
        self.running.store(true, Ordering::Release);
    }

    /// Call this when the script has ended. Logs its held lines.
    pub(super) fn leave(&self) {
        self.running.store(false, Ordering::Relaxed);
        self.holds_log.store(false, Ordering::Relaxed);
        for (level, line) in self.take_lines() {
            write(level, &line);
        }
    }

    fn take_lines(&self) -> Vec<(i64, String)> {
        if !self.has_lines.load(Ordering::Relaxed) {
            return Vec::new();
        }
        self.has_lines.store(false, Ordering::Relaxed);
        std::mem::take(&mut *lock(&self.log)).lines
    }

    /// Returns the `math.random` generator in its current state.
    pub(super) fn random(&self) -> Random {
        Random::from_bits(self.random.load(Ordering::Relaxed))
    }

    /// Replaces the `math.random` generator.
    pub(super) fn set_random(&self, random: Random) {
        self.random.store(random.bits(), Ordering::Relaxed);
    }

    /// Ends the running script. Returns false if none is running.
    pub(super) fn kill(&self) -> bool {
        let runs = self.running.load(Ordering::Acquire);
        if runs {
            self.killed.store(true, Ordering::Relaxed);
        }
        runs
    }

    /// How many bytes the script may hold.
    pub(super) fn bytes_max(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// A number that differs from run to run.
    pub(super) fn run_number(&self) -> u64 {
        self.runs.load(Ordering::Relaxed)
    }

    /// Checks whether the script must end now. Once it must, every later check fails too.
    ///
    /// # Errors
    /// The reason why it must end.
    #[inline]
    pub(super) fn tick(&self) -> Result<(), Fatal> {
        if let Some(fatal) = self.fatal() {
            return Err(fatal);
        }
        if self.killed.load(Ordering::Relaxed) {
            return Err(self.doom(Fatal::Killed));
        }
        match self.deadline_ns.load(Ordering::Relaxed) {
            0 => self.count_tick(),
            end if self.elapsed_ns() > end => Err(self.doom(Fatal::Time)),
            _ => Ok(()),
        }
    }

    fn count_tick(&self) -> Result<(), Fatal> {
        let left = self.ticks.load(Ordering::Relaxed);
        if left == 0 {
            return Err(self.doom(Fatal::Wider));
        }
        self.ticks.store(left - 1, Ordering::Relaxed);
        Ok(())
    }

    /// Dooms the script. Returns the reason that counts, which is the first one.
    pub(super) fn doom(&self, fatal: Fatal) -> Fatal {
        if let Some(first) = self.fatal() {
            return first;
        }
        let number = FATALS.iter().position(|known| *known == fatal);
        let number = number.and_then(|number| u8::try_from(number + 1).ok());
        self.fatal.store(number.unwrap_or(1), Ordering::Relaxed);
        fatal
    }

    /// The reason why the script must end, if it must.
    #[inline]
    pub(super) fn fatal(&self) -> Option<Fatal> {
        let number = usize::from(self.fatal.load(Ordering::Relaxed));
        FATALS.get(number.checked_sub(1)?).copied()
    }

    /// Logs a line of the script. If the script may have to start over, the line is held, so that it is not logged twice. A
    /// script that logs more than can be held starts over at the next level. At the last level, lines are not held.
    ///
    /// # Errors
    /// Fails if the script has to start over.
    pub(super) fn say(&self, level: i64, line: String) -> Result<(), Fatal> {
        if !self.holds_log.load(Ordering::Relaxed) {
            write(level, &line);
            return Ok(());
        }
        let mut log = lock(&self.log);
        log.bytes += line.len() + size_of::<(i64, String)>();
        if log.bytes > SCRIPT_LOG_BYTES_MAX {
            return Err(self.doom(Fatal::Wider));
        }
        log.lines.push((level, line));
        self.has_lines.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn elapsed_ns(&self) -> u64 {
        nanoseconds(self.made.elapsed())
    }
}

/// DIFFERENCE: clients cannot fill the log. Their messages appear only at the debug level.
fn write(level: i64, line: &str) {
    tracing::debug!(level, "a script says: {line}");
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Locks the mutex, even if it is poisoned: a panic leaves nothing half done in the values behind these locks.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(ticks: Option<u32>, may_begin_again: bool) -> Bounds {
        Bounds {
            time: Duration::from_secs(60),
            ticks,
            bytes: 1 << 20,
            may_begin_again,
        }
    }

    #[test]
    fn a_script_bounded_in_ticks_has_to_begin_again_after_so_many() {
        let state = Common::new(Dialect::default());
        state.begin(bounds(Some(2), true));
        assert_eq!((state.tick(), state.tick()), (Ok(()), Ok(())));
        assert_eq!(state.tick(), Err(Fatal::Wider));
        assert_eq!(
            state.doom(Fatal::Time),
            Fatal::Wider,
            "the first reason counts"
        );
        state.begin(bounds(None, true));
        assert!((0..100).all(|_| state.tick().is_ok()));
    }

    #[test]
    fn what_a_script_says_is_dropped_when_it_begins_again_and_bounded() {
        let state = Common::new(Dialect::default());
        state.begin(bounds(None, true));
        assert_eq!(state.say(0, "first".to_owned()), Ok(()));
        state.begin(bounds(None, true));
        assert!(lock(&state.log).lines.is_empty());
        let line = "x".repeat(SCRIPT_LOG_BYTES_MAX);
        assert_eq!(state.say(0, line), Err(Fatal::Wider));
        state.begin(bounds(None, false));
        assert_eq!(state.say(0, "x".repeat(SCRIPT_LOG_BYTES_MAX)), Ok(()));
        assert!(lock(&state.log).lines.is_empty(), "it was written at once");
    }

    #[test]
    fn only_a_script_that_runs_is_killed() {
        let state = Common::new(Dialect::default());
        assert!(!state.kill());
        state.enter();
        state.begin(bounds(None, false));
        assert!(state.kill());
        assert_eq!(state.tick(), Err(Fatal::Killed));
        state.leave();
        assert!(!state.kill());
    }
}

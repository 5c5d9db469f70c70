//! What an interpreter knows of the script that it runs.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::raise::Fatal;
use super::random::Random;
use crate::dialect::Dialect;
use crate::limits::SCRIPT_MEMORY_BYTES_MAX;

/// What all functions of an interpreter share.
#[derive(Debug)]
pub(super) struct State {
    /// Whose words are spoken.
    pub(super) dialect: Dialect,
    /// The generator of `math.random`.
    pub(super) random: Mutex<Random>,
    /// How many bytes the script may hold: Lua's, and as many outside of it.
    bytes: AtomicUsize,
    /// Whether commands answer in RESP3.
    pub(super) resp3: AtomicBool,
    run: Mutex<Run>,
    /// How many scripts were run.
    runs: AtomicU64,
}

/// How long the script may run.
#[derive(Debug, Default)]
struct Run {
    deadline: Option<Instant>,
    fatal: Option<Fatal>,
    killed: Arc<AtomicBool>,
}

impl State {
    pub(super) fn new(dialect: Dialect) -> Arc<Self> {
        Arc::new(Self {
            dialect,
            random: Mutex::default(),
            bytes: AtomicUsize::new(SCRIPT_MEMORY_BYTES_MAX),
            resp3: AtomicBool::new(false),
            run: Mutex::default(),
            runs: AtomicU64::new(0),
        })
    }

    /// A script begins; it may run for `time`, or until `killed`, and hold so many bytes.
    pub(super) fn begin(&self, time: Duration, bytes: usize, killed: Arc<AtomicBool>) {
        self.bytes.store(bytes, Ordering::Relaxed);
        *lock(&self.run) = Run {
            deadline: Some(Instant::now() + time),
            fatal: None,
            killed,
        };
        self.runs.fetch_add(1, Ordering::Relaxed);
        self.resp3.store(false, Ordering::Relaxed);
        if self.dialect.seeds_scripts() {
            *lock(&self.random) = Random::seeded(0);
        }
    }

    /// How many bytes the script may hold.
    pub(super) fn bytes_max(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Tells one run from another.
    pub(super) fn run_number(&self) -> u64 {
        self.runs.load(Ordering::Relaxed)
    }

    /// Why the script must end now, if it must: from then on always.
    ///
    /// # Errors
    /// The reason.
    pub(super) fn tick(&self) -> Result<(), Fatal> {
        let mut run = lock(&self.run);
        if run.fatal.is_none() {
            let is_late = run.deadline.is_some_and(|end| Instant::now() > end);
            run.fatal = if run.killed.load(Ordering::Relaxed) {
                Some(Fatal::Killed)
            } else {
                is_late.then_some(Fatal::Time)
            };
        }
        run.fatal.map_or(Ok(()), Err)
    }

    /// The script must end.
    pub(super) fn doom(&self, fatal: Fatal) -> Fatal {
        *lock(&self.run).fatal.get_or_insert(fatal)
    }

    /// Why it had to end.
    pub(super) fn fatal(&self) -> Option<Fatal> {
        lock(&self.run).fatal
    }
}

/// Locks; a panic elsewhere leaves nothing half done in what these hold.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

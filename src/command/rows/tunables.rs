//! The settings that CONFIG SET changes while the server runs.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Changes what is logged to one of the levels that servers know: `debug`, `verbose`, `notice`, `warning` or `nothing`.
pub type SetLogLevel = Box<dyn Fn(&str) + Send + Sync>;

/// What CONFIG SET may change, and what it has changed.
#[derive(Default)]
pub struct Tunables {
    /// Milliseconds that a connection may send nothing; 0 for ever.
    pub idle_ms: AtomicU64,
    /// Seconds of silence after which a connection is probed; 0 for never.
    pub keepalive_seconds: AtomicU64,
    /// Connections at most.
    pub clients_max: AtomicU64,
    /// Bytes of one word of a request at most.
    pub word_bytes_max: AtomicU64,
    /// Bytes of an incomplete request at most.
    pub query_bytes_max: AtomicU64,
    /// Where the log's level is changed; `None` where the log is another program's.
    pub log_level: Option<SetLogLevel>,
    kept: Mutex<BTreeMap<&'static str, String>>,
}

impl Tunables {
    /// Nothing but what changes the log's level.
    #[must_use]
    pub fn new(log_level: Option<SetLogLevel>) -> Self {
        Self {
            log_level,
            ..Self::default()
        }
    }

    fn kept(&self) -> MutexGuard<'_, BTreeMap<&'static str, String>> {
        // A poisoned lock still holds a whole map: an insertion or a copy is all that happens under it.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All values that are kept for CONFIG GET alone.
    #[must_use]
    pub fn all_kept(&self) -> BTreeMap<&'static str, String> {
        self.kept().clone()
    }

    /// Keeps a value for CONFIG GET; gives whether it is the setting's first.
    pub fn keep(&self, name: &'static str, value: String) -> bool {
        self.kept().insert(name, value).is_none()
    }

    /// A number as a size.
    #[must_use]
    pub fn size(number: &AtomicU64) -> usize {
        usize::try_from(number.load(Ordering::Relaxed)).unwrap_or(usize::MAX)
    }
}

impl fmt::Debug for Tunables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tunables")
            .field("kept", &self.all_kept())
            .finish_non_exhaustive()
    }
}

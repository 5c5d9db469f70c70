//! The settings that CONFIG SET changes while the server runs.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::notifications::EventFlags;
use super::output_limits::OutputLimits;

/// Sets the log level to one that servers know: `debug`, `verbose`, `notice`, `warning` or `nothing`.
pub type SetLogLevel = Box<dyn Fn(&str) + Send + Sync>;

/// Redis's default for `acllog-max-len`.
const ACL_LOG_MAX: u64 = 128;

/// Redis's default for `tracking-table-max-keys`.
const TRACKING_KEYS_MAX: u64 = 1_000_000;

/// What CONFIG SET may change, and the values that it has set.
#[derive(Default)]
pub struct Tunables {
    /// Milliseconds for which a connection may send nothing; 0 for no limit.
    pub idle_ms: AtomicU64,
    /// Seconds of silence after which a connection is probed; 0 for never.
    pub keepalive_seconds: AtomicU64,
    /// Maximum number of connections.
    pub clients_max: AtomicU64,
    /// Maximum bytes of one word of a request.
    pub word_bytes_max: AtomicU64,
    /// Maximum bytes of an incomplete request.
    pub query_bytes_max: AtomicU64,
    /// Maximum number of keys that are remembered for clients that track; 0 for no limit.
    pub tracking_keys_max: AtomicU64,
    /// Number of entries that ACL LOG keeps.
    pub acl_log_max: AtomicU64,
    /// How much output may wait for a client.
    pub output_limits: Arc<OutputLimits>,
    /// Sets the log level; `None` if another program owns the log.
    pub log_level: Option<SetLogLevel>,
    /// The keyspace notifications that are published, as [`EventFlags::bits`].
    pub events: AtomicU32,
    kept: Mutex<BTreeMap<&'static str, String>>,
}

impl Tunables {
    /// Creates settings that are all zero except the limits of ACL LOG and tracked keys, with the function that sets the log level.
    #[must_use]
    pub fn new(log_level: Option<SetLogLevel>) -> Self {
        Self {
            log_level,
            acl_log_max: AtomicU64::new(ACL_LOG_MAX),
            tracking_keys_max: AtomicU64::new(TRACKING_KEYS_MAX),
            ..Self::default()
        }
    }

    /// Returns which keyspace notifications are published.
    #[must_use]
    pub fn event_flags(&self) -> EventFlags {
        EventFlags::from_bits(self.events.load(Ordering::Relaxed))
    }

    fn kept(&self) -> MutexGuard<'_, BTreeMap<&'static str, String>> {
        // A poisoned lock still holds a complete map: under it, values are only inserted or copied.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns all values that are kept only for CONFIG GET.
    #[must_use]
    pub fn all_kept(&self) -> BTreeMap<&'static str, String> {
        self.kept().clone()
    }

    /// Keeps a value for CONFIG GET. Returns whether it is the first one for this setting.
    pub fn keep(&self, name: &'static str, value: String) -> bool {
        self.kept().insert(name, value).is_none()
    }

    /// Returns a number as a size.
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

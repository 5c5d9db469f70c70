//! What the state directory reports about itself.

use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Mutex, PoisonError};

/// Counters, read by INFO.
#[derive(Debug, Default)]
pub struct Figures {
    /// Whether the stream is being kept.
    pub keeps: AtomicBool,
    /// Whether a snapshot is being written.
    pub saves: AtomicBool,
    /// Snapshots that became durable.
    pub snapshots: AtomicU64,
    /// Bytes of the newest snapshot.
    pub snapshot_bytes: AtomicU64,
    /// Bytes of the logs after it.
    pub log_bytes: AtomicU64,
    /// Number of times that something could not be written.
    pub failures: AtomicU64,
    /// Number of times that damaged files were set aside.
    pub set_aside: AtomicU64,
    last_error: Mutex<Option<String>>,
}

impl Figures {
    pub(super) fn note_error(&self, error: Option<String>) {
        *self
            .last_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = error;
    }

    /// Returns why nothing is kept, or why files were set aside; `None` once a snapshot has become durable.
    #[must_use]
    pub fn last_error(&self) -> Option<String> {
        self.last_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

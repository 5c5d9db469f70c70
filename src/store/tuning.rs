//! Settings of the store that can change while it runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::RwLock;

use super::ownership::Ownership;
use crate::value::Choices;

/// The settings that all generations share: for encodings, times of last use and the stream. Code that depends on them
/// checks the version and reads them again when it has changed.
#[derive(Debug, Default)]
pub struct Tuning {
    changing: Arc<Changing>,
    tracks_access: bool,
    ignored: Vec<Box<str>>,
    ownership: Option<Arc<Ownership>>,
}

/// What can change. The shards of a cluster share it.
#[derive(Debug, Default)]
struct Changing {
    choices: RwLock<Choices>,
    version: AtomicU64,
}

impl Tuning {
    /// Starts with `choices`.
    #[must_use]
    pub fn new(choices: Choices) -> Self {
        Self {
            changing: Arc::new(Changing {
                choices: RwLock::new(choices),
                version: AtomicU64::new(0),
            }),
            tracks_access: false,
            ignored: Vec::new(),
            ownership: None,
        }
    }

    /// The same, for a replica of one shard of a cluster. What changes later changes in both.
    #[must_use]
    pub fn of_shard(&self, ownership: Arc<Ownership>) -> Self {
        Self {
            changing: Arc::clone(&self.changing),
            tracks_access: self.tracks_access,
            ignored: self.ignored.clone(),
            ownership: Some(ownership),
        }
    }

    /// What the replica may answer for, if it follows one shard of a cluster.
    #[must_use]
    pub const fn ownership(&self) -> Option<&Arc<Ownership>> {
        self.ownership.as_ref()
    }

    /// The same, but ignoring the stream's commands with these names.
    #[must_use]
    pub fn ignoring(mut self, names: &[String]) -> Self {
        self.ignored = names.iter().map(|name| name.as_str().into()).collect();
        self
    }

    /// The ignored name that equals `name`, in upper or lower case.
    #[must_use]
    pub fn ignored(&self, name: &[u8]) -> Option<&str> {
        let mut names = self.ignored.iter().map(|ignored| &**ignored);
        names.find(|ignored| ignored.as_bytes().eq_ignore_ascii_case(name))
    }

    /// The same, keeping a time of last use for each key if `tracks` is true.
    #[must_use]
    pub const fn tracking_access(mut self, tracks: bool) -> Self {
        self.tracks_access = tracks;
        self
    }

    /// Whether keys keep their time of last use.
    #[must_use]
    pub const fn tracks_access(&self) -> bool {
        self.tracks_access
    }

    /// The current choices.
    #[must_use]
    pub fn choices(&self) -> Choices {
        *self.changing.choices.read()
    }

    /// Changes several settings at once: no reader sees only some of the changes.
    pub fn change(&self, change: impl FnOnce(&mut Choices)) {
        let mut choices = self.changing.choices.write();
        change(&mut choices);
        self.changing.version.fetch_add(1, Ordering::Release);
    }

    /// A number that grows with every change.
    #[must_use]
    #[inline]
    pub fn version(&self) -> u64 {
        self.changing.version.load(Ordering::Acquire)
    }
}

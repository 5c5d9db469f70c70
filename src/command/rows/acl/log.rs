//! ACL LOG: what was denied, and the counts in INFO.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Why something was denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The command.
    Command,
    /// A key.
    Key,
    /// A channel.
    Channel,
    /// A database.
    Database,
    /// The name or the password.
    Auth,
}

impl Reason {
    /// Returns the word in ACL LOG.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Key => "key",
            Self::Channel => "channel",
            Self::Database => "database",
            Self::Auth => "auth",
        }
    }
}

/// Something that was denied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// Why.
    pub reason: Reason,
    /// Where: `toplevel`, `multi` or `lua`.
    pub context: &'static str,
    /// The command, key, channel or database.
    pub object: Vec<u8>,
    /// The user.
    pub user: Vec<u8>,
}

/// An entry of the log.
#[derive(Debug, Clone)]
pub struct Logged {
    /// How often it happened in a row, with at most a minute between.
    pub count: u64,
    /// What happened.
    pub denial: Denial,
    /// The last client's line in CLIENT LIST.
    pub client: String,
    /// The entry's number, never reused.
    pub id: u64,
    /// When it first happened, in Unix milliseconds.
    pub created_ms: u64,
    /// When it last happened, in Unix milliseconds.
    pub updated_ms: u64,
}

/// The log, newest first. Of what a client sent, each entry holds at most 1 KiB.
#[derive(Debug, Default)]
pub struct Log {
    entries: Mutex<VecDeque<Logged>>,
    last_id: AtomicU64,
    counts: [AtomicU64; 5],
}

impl Log {
    fn entries(&self) -> MutexGuard<'_, VecDeque<Logged>> {
        // Entries are added and removed whole.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how often that was denied.
    #[must_use]
    pub fn count(&self, reason: Reason) -> u64 {
        self.counter(reason)
            .map_or(0, |count| count.load(Ordering::Relaxed))
    }

    fn counter(&self, reason: Reason) -> Option<&AtomicU64> {
        self.counts.get(match reason {
            Reason::Command => 0,
            Reason::Key => 1,
            Reason::Channel => 2,
            Reason::Database => 3,
            Reason::Auth => 4,
        })
    }

    /// Counts a denial, and logs it among the newest `length` ones. Source: redis 7.0 acl.c, `addACLLogEntry`.
    pub fn add(&self, mut denial: Denial, length: u64, client: impl FnOnce() -> String) {
        if let Some(count) = self.counter(denial.reason) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let length = usize::try_from(length.min(LENGTH_MAX)).unwrap_or(0);
        if length == 0 {
            return self.clear();
        }
        denial.object.truncate(OBJECT_BYTES_MAX);
        denial.user.truncate(OBJECT_BYTES_MAX);
        let (client, now_ms) = (client(), now_ms());
        let mut entries = self.entries();
        let is_same = |entry: &&Logged| {
            entry.denial == denial && now_ms.abs_diff(entry.updated_ms) <= GROUPED_MS
        };
        let place = entries
            .iter()
            .take(COMPARED)
            .position(|entry| is_same(&entry));
        if let Some(mut entry) = place.and_then(|place| entries.remove(place)) {
            entry.count += 1;
            entry.client = client;
            entry.updated_ms = now_ms;
            entries.push_front(entry);
            return;
        }
        entries.push_front(Logged {
            count: 1,
            denial,
            client,
            id: self.last_id.fetch_add(1, Ordering::Relaxed),
            created_ms: now_ms,
            updated_ms: now_ms,
        });
        entries.truncate(length);
    }

    /// Returns the newest entries, at most `most`.
    #[must_use]
    pub fn newest(&self, most: usize) -> Vec<Logged> {
        self.entries().iter().take(most).cloned().collect()
    }

    /// Removes all entries.
    pub fn clear(&self) {
        self.entries().clear();
    }
}

/// Returns the time in Unix milliseconds.
pub(crate) fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(now.map_or(Duration::ZERO, |now| now).as_millis()).unwrap_or(u64::MAX)
}

/// The largest length: a larger one counts as this.
const LENGTH_MAX: u64 = 100_000;

/// Maximum bytes of an object or name that a client sent. DIFFERENCE: servers keep all of them.
const OBJECT_BYTES_MAX: usize = 1024;

/// Denials with more time than this between them are separate. Source: redis 7.0 acl.c.
const GROUPED_MS: u64 = 60_000;

/// The number of newest entries that a denial is compared with. Source: redis 7.0 acl.c.
const COMPARED: usize = 10;

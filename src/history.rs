//! Histories of writes, and points in them.
//!
//! A primary numbers the bytes of its command stream. A replication id names the history that the numbers belong to; a failover
//! begins a new id. Everything that follows a primary, keeps what it sent or resumes it speaks of such points.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering, fence};

use tokio::sync::{Notify, futures::Notified};

/// A replication id: 40 characters that identify one history of writes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ReplId([u8; 40]);

/// Text that is not a replication id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a replication id is 40 letters and digits")]
pub struct NotReplId;

impl FromStr for ReplId {
    type Err = NotReplId;

    fn from_str(text: &str) -> Result<Self, NotReplId> {
        let bytes: [u8; 40] = text.as_bytes().try_into().map_err(|_| NotReplId)?;
        if bytes.iter().all(u8::is_ascii_alphanumeric) {
            Ok(Self(bytes))
        } else {
            Err(NotReplId)
        }
    }
}

impl fmt::Display for ReplId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.0).unwrap_or_default())
    }
}

impl fmt::Debug for ReplId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReplId({self})")
    }
}

/// A point in a history, between two commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// The history's id.
    pub replid: ReplId,
    /// Bytes of the history before this point. PSYNC asks for the next one.
    pub offset: u64,
}

/// A point from which the stream can be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamPoint {
    /// The point.
    pub point: Point,
    /// The database that is selected there.
    pub db: usize,
}

/// Whether the served data has everything up to a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// It does. This offset is applied.
    Reached(u64),
    /// Not yet. This offset is applied.
    NotYet(u64),
    /// The point is in a history that is not the served one.
    Unknown,
    /// The point is after the failover at this offset, under the id from before it: what was written there may be lost.
    Abandoned(u64),
}

/// Those who wait until the served data gets further.
#[derive(Debug, Default)]
pub struct Lookout {
    waiting: AtomicUsize,
    moved: Notify,
}

impl Lookout {
    /// Wakes those who wait, because the applied offset or the history has changed. While nobody waits, this costs a fence and
    /// a load.
    #[inline]
    pub fn note_moved(&self) {
        // The change is visible before the count is read. Those who wait count themselves before they look at the change: one
        // of the two sees the other.
        fence(Ordering::SeqCst);
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.moved.notify_waiters();
        }
    }

    /// Begins to wait.
    #[must_use]
    pub fn watch(&self) -> LookingOut<'_> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        LookingOut(self)
    }
}

/// One that waits; dropping it ends the wait.
#[derive(Debug)]
pub struct LookingOut<'a>(&'a Lookout);

impl LookingOut<'_> {
    /// The next change. Enable it before you look at what may change.
    pub fn moved(&self) -> Notified<'_> {
        self.0.moved.notified()
    }
}

impl Drop for LookingOut<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

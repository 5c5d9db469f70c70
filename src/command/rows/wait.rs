//! What a blocked command waits for.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::error::Error;
use crate::history::{Point, Reach};
use crate::rdb::stream::StreamId;
use crate::store::Generation;

/// What a client waits for, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// What it waits for.
    pub awaited: Awaited,
    /// When the wait times out, `None` for never.
    pub deadline: Option<Instant>,
}

/// What a client waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Awaited {
    /// Stream entries.
    Entries(Entries),
    /// The served data to have everything up to a point. The reply is the applied offset.
    Point(Point),
    /// The same, before a request that was put off is answered.
    PointToRead(Point),
    /// More to be known about which shard of a cluster has a key, before a request that was put off is answered.
    Shards,
}

/// Stream entries that a reader waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entries {
    /// The database's number.
    pub db: usize,
    /// The streams' keys.
    pub keys: Vec<Box<[u8]>>,
    /// For each key, the id above which entries are wanted. `$` was resolved when the wait began.
    pub(crate) above: Vec<StreamId>,
    pub(crate) limits: Limits,
}

/// How many entries XREAD returns at most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Of each stream.
    pub(crate) each: Option<usize>,
    /// Of all streams together: those that come first have precedence.
    pub(crate) total: Option<usize>,
    /// The bytes of the reply after which no further entry is returned.
    pub(crate) bytes: Option<usize>,
}

/// Returns when a timeout in milliseconds from now ends, or `None` if it never does.
pub(crate) fn deadline(timeout_ms: u64) -> Option<Instant> {
    if timeout_ms == 0 {
        return None;
    }
    Instant::now().checked_add(Duration::from_millis(timeout_ms))
}

/// A point that every read of a connection waits for.
#[derive(Debug)]
pub struct ReadAfter {
    /// The point.
    pub point: Point,
    /// Maximum milliseconds that a read waits; 0 for no limit.
    pub timeout_ms: u64,
    /// The generation that is known to have everything up to the point. It cannot lose it again.
    reached_in: Weak<Generation>,
    /// Why the request that was put off cannot be answered.
    pub failed: Option<Error>,
}

impl ReadAfter {
    /// Creates one that is not known to be reached.
    #[must_use]
    pub const fn new(point: Point, timeout_ms: u64) -> Self {
        Self {
            point,
            timeout_ms,
            reached_in: Weak::new(),
            failed: None,
        }
    }

    /// Whether readers of this generation are known to see everything up to the point.
    #[must_use]
    #[inline]
    pub fn is_reached_in(&self, generation: Option<&Generation>) -> bool {
        // As long as the weak reference lives, no other generation has its address.
        generation.is_some_and(|generation| std::ptr::eq(self.reached_in.as_ptr(), generation))
    }

    /// Remembers that readers of this generation see everything up to the point.
    pub(crate) fn note_reached(&mut self, generation: &Arc<Generation>) {
        self.reached_in = Arc::downgrade(generation);
    }
}

/// Returns the reply to a client that waited for `point` in vain; `None` if the point is reached.
#[must_use]
pub fn vain_wait(reach: Reach, point: Point) -> Option<Error> {
    let offset = point.offset;
    match reach {
        Reach::Reached(_) => None,
        Reach::NotYet(applied) => Some(Error::Owned(format!(
            "BEHIND redtail has applied offset {applied}, and not yet offset {offset}"
        ))),
        Reach::Unknown => Some(Error::Text(
            "NOHISTORY the replication id is not one of the data that redtail serves",
        )),
        Reach::Abandoned(switch) => Some(Error::Owned(format!(
            "NOHISTORY the history with this replication id ended at offset {switch} with a failover: \
             what was written up to offset {offset} may be lost"
        ))),
    }
}

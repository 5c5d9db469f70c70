//! What a blocked command waits for.

use std::time::Instant;

use crate::rdb::stream::StreamId;

/// A reader that waits for stream entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// The database's number.
    pub db: usize,
    /// The streams' keys.
    pub keys: Vec<Box<[u8]>>,
    /// For each key, the id above which entries are wanted. `$` was resolved when the wait began.
    pub(crate) above: Vec<StreamId>,
    pub(crate) limits: Limits,
    /// When the wait times out, `None` for never.
    pub deadline: Option<Instant>,
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

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
    pub(crate) count: Option<usize>,
    /// When the wait times out, `None` for never.
    pub deadline: Option<Instant>,
}

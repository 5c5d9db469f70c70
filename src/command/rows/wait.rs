//! What a blocked command waits for.

use std::time::Instant;

use crate::rdb::stream::StreamId;

/// A reader that waits for entries of streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// The database's number.
    pub db: usize,
    /// The streams' keys.
    pub keys: Vec<Box<[u8]>>,
    /// The ids above which entries are wanted, a key each: `$` is what it was when the waiting began.
    pub(crate) above: Vec<StreamId>,
    pub(crate) count: Option<usize>,
    /// When to give up, `None` for never.
    pub deadline: Option<Instant>,
}

//! XREAD with BLOCK and nothing to give: what is waited for, and the answer once it is there.

use std::time::{Duration, Instant};

use super::read::{self, Found};
use crate::command::Error;
use crate::command::session::entering;
use crate::rdb::stream::StreamId;
use crate::resp::Reply;
use crate::store::{Keyspaces, Tainted};
use crate::value::Stream;

/// A reader that waits for entries of streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// The database's number.
    pub db: usize,
    /// The streams' keys.
    pub keys: Vec<Box<[u8]>>,
    /// The ids above which entries are wanted, a key each: `$` is what it was when the waiting began.
    pub(super) above: Vec<StreamId>,
    pub(super) count: Option<usize>,
    /// When to give up, `None` for never.
    pub deadline: Option<Instant>,
}

impl Wait {
    /// Answers if a stream has what is waited for, all of it at one moment; gives whether it did.
    ///
    /// Servers before Redis 7.2 tell of the stream alone that woke them. DIFFERENCE: of several that one transaction changed
    /// it is the first in the command's order here, there the one that was changed first.
    ///
    /// # Errors
    /// The error reply when the state of a stream has become unknown.
    pub fn answer(&self, spaces: &Keyspaces, reply: &mut Reply) -> Result<bool, Error> {
        let keys = self.keys.iter().map(|key| &**key);
        let view = entering(spaces, || spaces.view_keys(self.db, keys));
        if self.keys.iter().any(|key| view.is_tainted(key)) {
            return Err(Tainted.into());
        }
        let mut found: Vec<Found<'_>> = Vec::new();
        for (key, above) in self.keys.iter().zip(&self.above) {
            // Whatever else has taken the key's place, its stream may come back.
            let stream = view.collection::<Stream>(key).unwrap_or_default();
            found.extend(stream.and_then(|stream| Found::new(key, stream, *above)));
        }
        if !reply.dialect().reads_again_when_woken() {
            found.truncate(1);
        }
        if found.is_empty() {
            return Ok(false);
        }
        read::write(reply, &found, self.count);
        Ok(true)
    }
}

/// When a timeout in milliseconds from now ends; `None` for one that never does.
pub(super) fn deadline(timeout_ms: u64) -> Option<Instant> {
    if timeout_ms == 0 {
        return None;
    }
    Instant::now().checked_add(Duration::from_millis(timeout_ms))
}

//! XREAD with BLOCK and nothing to give: what is waited for, and the answer once it is there.

use std::time::{Duration, Instant};

use super::read::{self, Found};
use crate::command::rows::{Error, Wait, entering};
use crate::resp::Reply;
use crate::store::{Keyspaces, Tainted};
use crate::value::Stream;

/// Answers if a stream has what is waited for, all of it at one moment; gives whether it did.
///
/// Servers before Redis 7.2 tell of the stream alone that woke them. DIFFERENCE: of several that one transaction changed
/// it is the first in the command's order here, there the one that was changed first.
///
/// # Errors
/// The error reply when the state of a stream has become unknown.
pub fn answer(wait: &Wait, spaces: &Keyspaces, reply: &mut Reply) -> Result<bool, Error> {
    let keys = wait.keys.iter().map(|key| &**key);
    let view = entering(spaces, || spaces.view_keys(wait.db, keys));
    if wait.keys.iter().any(|key| view.is_tainted(key)) {
        return Err(Tainted.into());
    }
    let mut found: Vec<Found<'_>> = Vec::new();
    for (key, above) in wait.keys.iter().zip(&wait.above) {
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
    read::write(reply, &found, wait.count);
    Ok(true)
}
/// When a timeout in milliseconds from now ends; `None` for one that never does.
pub(super) fn deadline(timeout_ms: u64) -> Option<Instant> {
    if timeout_ms == 0 {
        return None;
    }
    Instant::now().checked_add(Duration::from_millis(timeout_ms))
}

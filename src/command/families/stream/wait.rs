//! XREAD with BLOCK that finds nothing: what it waits for, and its reply when that arrives.

use super::read::{self, Found};
use crate::command::rows::{Entries, Error, entering};
use crate::resp::Reply;
use crate::store::{Keyspaces, Names};
use crate::value::Stream;

/// Writes the reply if a stream has what is waited for, all of it as of one moment. Returns whether it did.
///
/// Servers before Redis 7.2 return only the stream that woke them. DIFFERENCE: if one transaction changed several
/// streams, redtail returns the first in the command's order, a server the one that was changed first.
///
/// # Errors
/// The error reply if the state of a stream has become unknown.
pub fn answer(wait: &Entries, spaces: &Keyspaces, reply: &mut Reply) -> Result<bool, Error> {
    let keys = || wait.keys.iter().map(|key| &**key);
    let hold = entering(spaces, || spaces.view_keys(wait.db, keys()));
    let each = |visit: &mut dyn FnMut(&[u8])| keys().for_each(visit);
    hold.read(Names::Keys(&each), |view| {
        let mut found: Vec<Found<'_>> = Vec::new();
        for (key, above) in wait.keys.iter().zip(&wait.above) {
            // Whatever has taken the key's place, the stream may come back.
            let stream = view.collection::<Stream>(key).unwrap_or_default();
            found.extend(stream.and_then(|stream| Found::new(key, stream, *above)));
        }
        if !reply.dialect().reads_again_when_woken() {
            found.truncate(1);
        }
        if found.is_empty() {
            return Ok(false);
        }
        read::write(reply, &found, wait.limits)?;
        Ok(true)
    })
}

//! Commands that have been read and wait to be applied.
//!
//! Most of what a write to a random key takes is waiting for memory. So some commands are read before the first of them is
//! applied, and all the keys are asked for at once.

use crate::command::{self, Command};
use crate::resp::{Args, Batch};
use crate::store::{KeyHash, Keyspaces};

/// Commands that wait at most: their keys' entries must still be near when their turn comes.
const COMMANDS_MAX: usize = 32;

/// A command of more words does not wait, for that would copy them.
const WORDS_MAX: usize = 8;

/// A command as it was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Read<'b> {
    /// Its words.
    pub(super) args: Args<'b>,
    /// How many bytes of the stream it takes.
    pub(super) taken: usize,
    /// Its row, if there is one of that name.
    pub(super) row: Option<&'static Command>,
    /// The hash of the one key that it touches, if that is all.
    pub(super) hash: Option<KeyHash>,
}

impl<'b> Read<'b> {
    pub(super) fn new(spaces: &Keyspaces, args: Args<'b>, taken: usize) -> Self {
        let row = command::lookup(args.at(0));
        let key = row.and_then(|row| only_key(row, args));
        Self {
            args,
            taken,
            row,
            hash: key.map(|key| spaces.hash_of(key)),
        }
    }
}

/// The one key that applying a command touches, if that is all.
pub(super) fn only_key<'b>(row: &Command, args: Args<'b>) -> Option<&'b [u8]> {
    if row.touches.is_none() && row.also_reads.is_none() {
        row.keys.single(args)
    } else {
        None
    }
}

/// Commands that lie one behind the other in a buffer.
#[derive(Debug, Default)]
pub(super) struct Ahead(Batch<Known>);

/// What is known of a waiting command: its row and hash, as of [`Read`].
type Known = (Option<&'static Command>, Option<KeyHash>);

impl Ahead {
    /// Lets a command that starts at `start` of the buffer wait, if so long a one may.
    pub(super) fn push(&mut self, start: usize, read: &Read<'_>) -> bool {
        let waits = read.args.len() <= WORDS_MAX;
        if waits {
            let bytes = [start, start + read.taken];
            self.0.push(read.args, bytes, (read.row, read.hash));
        }
        waits
    }

    /// Whether it is time to apply what waits.
    pub(super) const fn is_full(&self) -> bool {
        self.0.len() >= COMMANDS_MAX
    }

    /// The hashes of the keys of those that touch one key.
    pub(super) fn hashes(&self) -> impl Iterator<Item = KeyHash> + Clone {
        self.0.known().filter_map(|(_, hash)| hash)
    }

    /// What waits, in order; `buffer` is the one that the commands lie in.
    pub(super) fn iter<'b>(&'b self, buffer: &'b [u8]) -> impl Iterator<Item = Read<'b>> {
        let waiting = self.0.iter(buffer);
        waiting.map(|(args, [start, end], (row, hash))| Read {
            args,
            taken: end - start,
            row,
            hash,
        })
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

//! Commands that have been read and wait to be applied.
//!
//! A write to a random key spends most of its time waiting for memory. So the applier reads several commands before it
//! applies the first of them, and prefetches all their keys at once.

use crate::command::{self, Command};
use crate::resp::{Args, Batch};
use crate::store::{KeyHash, Keyspaces};

/// Maximum number of waiting commands: the entries of their keys must still be in the cache when their turn comes.
const COMMANDS_MAX: usize = 32;

/// A command with more words than this does not wait, because waiting copies the words.
const WORDS_MAX: usize = 8;

/// A command as it was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Read<'b> {
    /// Its words.
    pub(super) args: Args<'b>,
    /// How many bytes of the stream it takes.
    pub(super) taken: usize,
    /// Its row, if its name has one.
    pub(super) row: Option<&'static Command>,
    /// The hash of the key that it touches, if it touches only that one.
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

/// The key that applying a command touches, if it touches only that one.
pub(super) fn only_key<'b>(row: &Command, args: Args<'b>) -> Option<&'b [u8]> {
    if row.touches.is_none() && row.also_reads.is_none() {
        row.keys.single(args)
    } else {
        None
    }
}

/// Commands that follow each other in a buffer.
#[derive(Debug, Default)]
pub(super) struct Ahead(Batch<Known>);

/// What is known about a waiting command: its row and hash, as in [`Read`].
type Known = (Option<&'static Command>, Option<KeyHash>);

impl Ahead {
    /// Makes a command that starts at `start` of the buffer wait, unless it has too many words. Returns whether it waits.
    pub(super) fn push(&mut self, start: usize, read: &Read<'_>) -> bool {
        let waits = read.args.len() <= WORDS_MAX;
        if waits {
            let bytes = [start, start + read.taken];
            self.0.push(read.args, bytes, (read.row, read.hash));
        }
        waits
    }

    /// Whether it is time to apply the waiting commands.
    pub(super) const fn is_full(&self) -> bool {
        self.0.len() >= COMMANDS_MAX
    }

    /// The key hashes of the waiting commands that touch a single key.
    pub(super) fn hashes(&self) -> impl Iterator<Item = KeyHash> + Clone {
        self.0.known().filter_map(|(_, hash)| hash)
    }

    /// The waiting commands, in order; `buffer` is the buffer that contains them.
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

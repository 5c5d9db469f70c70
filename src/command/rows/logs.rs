//! The logs of commands that were slow, or had a large request or a large reply.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::client::Client;
use crate::resp::Args;
use crate::store::unix_ms;

/// Maximum words of a command in a log. Source: redis 7.0 slowlog.h, `SLOWLOG_ENTRY_MAX_ARGC`.
const WORDS_MAX: usize = 32;

/// Maximum bytes of a word in a log. Source: redis 7.0 slowlog.h, `SLOWLOG_ENTRY_MAX_STRING`.
const WORD_BYTES_MAX: usize = 128;

/// Maximum entries of a log: at about five kilobytes each, fifty megabytes.
pub(crate) const ENTRIES_MAX: usize = 10_000;

/// A logged command.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its number, which is never used again.
    pub id: u64,
    /// When it ended, in Unix milliseconds.
    pub at_ms: i64,
    /// What was logged: microseconds, or bytes.
    pub value: u64,
    /// Its words, shortened.
    pub words: Vec<Vec<u8>>,
    /// The client's address.
    pub address: String,
    /// The client's name.
    pub name: Vec<u8>,
}

/// A log.
#[derive(Debug)]
pub struct Log {
    /// Commands from this value on are logged; negative for none. Microseconds, or bytes.
    pub threshold: AtomicI64,
    /// Maximum number of entries.
    pub entries_max: AtomicUsize,
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    /// The newest first.
    newest: VecDeque<Arc<Entry>>,
    next_id: u64,
}

impl Log {
    const fn new(threshold: i64) -> Self {
        Self {
            threshold: AtomicI64::new(threshold),
            // Source: redis 7.0 config.c, slowlog-max-len.
            entries_max: AtomicUsize::new(128),
            entries: Mutex::new(Entries {
                newest: VecDeque::new(),
                next_id: 0,
            }),
        }
    }

    /// Returns whether a command with this value is logged.
    #[inline]
    #[must_use]
    pub fn takes(&self, value: u64) -> bool {
        let threshold = self.threshold.load(Ordering::Relaxed);
        u64::try_from(threshold).is_ok_and(|threshold| value >= threshold)
    }

    /// Logs a command. `words` are its words, shortened by [`shortened`].
    pub fn add(&self, value: u64, words: Vec<Vec<u8>>, client: &Client) {
        let name = client.shown().name.clone();
        let most = self.entries_max.load(Ordering::Relaxed).min(ENTRIES_MAX);
        let mut entries = self.entries();
        let id = entries.next_id;
        entries.next_id += 1;
        entries.newest.push_front(Arc::new(Entry {
            id,
            at_ms: unix_ms(),
            value,
            words,
            address: client.address.clone(),
            name,
        }));
        entries.newest.truncate(most);
    }

    /// Returns the newest entries, the newest first.
    #[must_use]
    pub fn newest(&self, most: usize) -> Vec<Arc<Entry>> {
        self.entries().newest.iter().take(most).cloned().collect()
    }

    /// Returns the number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries().newest.len()
    }

    /// Returns whether there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets all entries.
    pub fn reset(&self) {
        self.entries().newest.clear();
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        // A poisoned lock still holds whole entries.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The logs of a server.
#[derive(Debug)]
pub struct Logs {
    /// Slow commands, in microseconds.
    pub slow: Log,
    /// Commands with large requests, in bytes.
    pub large_requests: Log,
    /// Commands with large replies, in bytes.
    pub large_replies: Log,
}

impl Default for Logs {
    /// Source: slowlog-log-slower-than in config.c of redis 7.0; commandlog-request-larger-than in that of valkey 9.1.
    fn default() -> Self {
        Self {
            slow: Log::new(10_000),
            large_requests: Log::new(1 << 20),
            large_replies: Log::new(1 << 20),
        }
    }
}

/// Returns the words of a command as a log keeps them: at most 32, of at most 128 bytes each. `hides` says which words are
/// secret.
///
/// Source: redis 7.0 slowlog.c, `slowlogCreateEntry`.
#[must_use]
pub(crate) fn shortened(args: Args<'_>, hides: impl Fn(usize) -> bool) -> Vec<Vec<u8>> {
    let count = args.len();
    let kept = count.min(WORDS_MAX);
    let mut words = Vec::with_capacity(kept);
    for at in 0..kept {
        if count > WORDS_MAX && at == kept - 1 {
            let more = count - kept + 1;
            words.push(format!("... ({more} more arguments)").into_bytes());
            break;
        }
        words.push(match args.at(at) {
            _ if hides(at) => REDACTED.to_vec(),
            word => shortened_word(word),
        });
    }
    words
}

/// What stands in for a secret. Source: redis 7.0 server.c, `createSharedObjects`.
pub(crate) const REDACTED: &[u8] = b"(redacted)";

fn shortened_word(word: &[u8]) -> Vec<u8> {
    match word.split_at_checked(WORD_BYTES_MAX) {
        Some((start, rest)) if !rest.is_empty() => {
            let more = format!("... ({} more bytes)", rest.len());
            [start, more.as_bytes()].concat()
        }
        _ => word.to_vec(),
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::resp::ArgsBuf;

    fn words(given: &[&[u8]]) -> Vec<Vec<u8>> {
        let args = ArgsBuf::new(given.iter().map(|word| word.to_vec()));
        shortened(args.as_args(), |at| at == 1)
    }

    #[test]
    fn words_are_shortened_as_servers_do() {
        let long = vec![b'x'; 130];
        let found = words(&[b"auth", b"secret", &long, &long[..128]]);
        assert_eq!(found[1], b"(redacted)");
        assert!(found[2].ends_with(b"x... (2 more bytes)"));
        assert_eq!(found[3], vec![b'x'; 128]);
        let many = vec![&b"w"[..]; 34];
        let found = words(&many);
        assert_eq!(found.len(), 32);
        assert_eq!(found[31], b"... (3 more arguments)");
        assert_eq!(words(&many[..32])[31], b"w");
    }
}

//! MONITOR: clients that watch the commands of all others.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{SystemTime, UNIX_EPOCH};

use super::client::Client;
use super::inbox::Inbox;
use super::logs::REDACTED;
use crate::resp::Args;

/// Bytes that may wait for a client that watches. A client that does not read them is disconnected: its lines must not fill the
/// memory, and lines that are left out would be a lie.
const WAITING_BYTES_MAX: usize = 1 << 20;

/// The clients that watch.
#[derive(Debug, Default)]
pub struct Monitors {
    count: AtomicUsize,
    all: Mutex<Vec<Weak<Inbox>>>,
}

impl Monitors {
    /// Returns whether any client watches.
    #[inline]
    #[must_use]
    pub fn any(&self) -> bool {
        self.count.load(Ordering::Relaxed) > 0
    }

    fn all(&self) -> MutexGuard<'_, Vec<Weak<Inbox>>> {
        // A poisoned lock still holds a whole list.
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a client. It watches as long as its inbox lives.
    pub fn add(&self, inbox: &Arc<Inbox>) {
        let mut all = self.all();
        all.push(Arc::downgrade(inbox));
        self.count.store(all.len(), Ordering::Relaxed);
    }

    /// Shows a command to all clients that watch. `hides` says which words are secret.
    #[cold]
    pub(crate) fn show(&self, shown: Shown<'_>, args: Args<'_>, hides: impl Fn(usize) -> bool) {
        let line = line(shown, args, hides);
        let mut all = self.all();
        all.retain(|inbox| {
            let Some(inbox) = inbox.upgrade() else {
                return false;
            };
            inbox.put_within(&line, WAITING_BYTES_MAX);
            true
        });
        self.count.store(all.len(), Ordering::Relaxed);
    }
}

/// Where a command came from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown<'a> {
    /// The selected database.
    pub(crate) db: usize,
    /// Who sent it.
    pub(crate) from: From<'a>,
}

/// Who sent a command.
#[derive(Debug, Clone, Copy)]
pub(crate) enum From<'a> {
    /// A client.
    Client(&'a Client),
    /// A script.
    Script,
}

/// Returns a word between quotation marks, with what cannot be printed escaped. Source: redis 7.0 sds.c, `sdscatrepr`.
fn quoted(word: &[u8]) -> Vec<u8> {
    let mut text = vec![b'"'];
    for byte in word {
        match byte {
            b'\\' | b'"' => text.extend([b'\\', *byte]),
            b'\n' => text.extend(b"\\n"),
            b'\r' => text.extend(b"\\r"),
            b'\t' => text.extend(b"\\t"),
            0x07 => text.extend(b"\\a"),
            0x08 => text.extend(b"\\b"),
            b' '..=b'~' => text.push(*byte),
            _ => text.extend(format!("\\x{byte:02x}").into_bytes()),
        }
    }
    text.push(b'"');
    text
}

/// Source: redis 7.0 replication.c, `replicationFeedMonitors`.
fn line(shown: Shown<'_>, args: Args<'_>, hides: impl Fn(usize) -> bool) -> Vec<u8> {
    let Shown { db, from } = shown;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let (seconds, micros) = (now.as_secs(), now.subsec_micros());
    let mut head = format!("+{seconds}.{micros:06} [{db} ");
    // Writing to a String cannot fail.
    let _ = match from {
        From::Script => write!(head, "lua]"),
        From::Client(client) if client.is_unix => {
            let path = client.address.strip_suffix(":0").unwrap_or(&client.address);
            write!(head, "unix:{path}]")
        }
        From::Client(client) => write!(head, "{}]", client.address),
    };
    let mut line = head.into_bytes();
    for at in 0..args.len() {
        let word = if hides(at) { REDACTED } else { args.at(at) };
        line.push(b' ');
        line.extend_from_slice(&quoted(word));
    }
    line.extend_from_slice(b"\r\n");
    line
}

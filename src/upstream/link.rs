//! What the link's task and the writer thread exchange.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use tokio::sync::{Notify, oneshot};

use super::spool::Receiver;
use crate::history::{Lookout, Point, ReplId};

/// How the primary answered PSYNC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// A snapshot follows, then the stream from `offset + 1`.
    Full(Point),
    /// The stream continues where redtail asked.
    Continue {
        /// The history's new id, if it has changed.
        replid: Option<ReplId>,
    },
}

/// Why the writer ended a link, as text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Fault(String);

impl Fault {
    /// Creates a fault with that description.
    pub fn new(description: impl Into<String>) -> Self {
        Self(description.into())
    }
}

/// What the writer reports when it is done with a link.
#[derive(Debug)]
pub struct LinkEnd {
    /// Where to resume; `None` asks for a full resync.
    pub resume: Option<Point>,
    /// What was wrong with the link's bytes, if they ended the link and not the connection.
    pub fault: Option<Fault>,
}

/// One accepted connection.
#[derive(Debug)]
pub struct Link {
    /// How it starts.
    pub start: Start,
    /// Everything that follows the reply to PSYNC. Ends with the connection; dropping it closes the connection.
    pub bytes: Receiver,
    /// Where the writer reports that it is done.
    pub done: oneshot::Sender<LinkEnd>,
}

/// What the writer is doing with the link's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Nothing: there is no link.
    Idle,
    /// Loading a snapshot.
    Transfer,
    /// Hiding the loaded snapshot from readers while the stream after it waits.
    Held,
    /// Applying the stream.
    Streaming,
}

/// The writer's progress, from which acknowledgements are made.
#[derive(Debug, Default)]
pub struct Progress {
    applied: AtomicU64,
    /// Received bytes that the writer has not taken yet.
    waiting: AtomicU64,
    phase: AtomicU8,
    /// The offset of the snapshot that is hidden from readers.
    held: AtomicU64,
    /// The offset that must be acknowledged, whatever the policy.
    vouched: AtomicU64,
    ack: Notify,
    lookout: Lookout,
}

impl Progress {
    /// Returns how many bytes of the stream have been applied and are visible.
    pub fn applied(&self) -> u64 {
        self.applied.load(Ordering::Acquire)
    }

    /// Returns how many received bytes wait for the writer.
    pub fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Returns how many bytes of the followed history are in memory, whether readers see them or not: the offset that
    /// redtail may acknowledge.
    pub fn taken_in(&self) -> u64 {
        match self.phase() {
            Phase::Held => self.held.load(Ordering::Acquire),
            _ => self.applied(),
        }
    }

    /// Returns the offset that must be acknowledged whatever the policy, because the primary waits for it; 0 if there is none.
    pub fn vouched(&self) -> u64 {
        self.vouched.load(Ordering::Relaxed)
    }

    /// Returns what the writer is doing.
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            1 => Phase::Transfer,
            2 => Phase::Held,
            3 => Phase::Streaming,
            _ => Phase::Idle,
        }
    }

    /// Where to wait until the applied offset or the history changes.
    pub const fn lookout(&self) -> &Lookout {
        &self.lookout
    }

    /// Waits until an acknowledgement must be sent at once.
    pub async fn ack_wanted(&self) {
        self.ack.notified().await;
    }

    /// Notes that a link starts, with no bytes waiting. Discards what the last link counted after the writer was done with
    /// it.
    pub(super) fn begin_link(&self) {
        self.waiting.store(0, Ordering::Relaxed);
    }

    /// Notes bytes that have arrived and that the writer has not taken yet.
    pub(super) fn note_waiting(&self, bytes: usize) {
        self.waiting.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// The writer's half of [`Progress`]. Only the replica's writer has it, so nobody else can say what has been applied.
#[derive(Debug, Clone, Default)]
pub struct ProgressWriter(Arc<Progress>);

impl Deref for ProgressWriter {
    type Target = Progress;

    fn deref(&self) -> &Progress {
        &self.0
    }
}

impl ProgressWriter {
    /// Returns what everybody else may know of the progress.
    #[must_use]
    pub fn shown(&self) -> Arc<Progress> {
        Arc::clone(&self.0)
    }

    /// Notes that the writer has taken bytes.
    pub fn note_taken(&self, bytes: usize) {
        self.waiting.fetch_sub(bytes as u64, Ordering::Relaxed);
    }

    /// Notes that the writer has applied everything up to `offset`. Those who wait for it are woken at the next
    /// [`Lookout::note_moved`].
    pub fn set_applied(&self, offset: u64) {
        self.applied.store(offset, Ordering::Release);
    }

    /// Notes that the primary asks for an acknowledgement.
    pub fn request_ack(&self) {
        self.ack.notify_one();
    }

    /// Notes that the primary waits until `offset` is acknowledged, and acknowledges it at once.
    pub fn vouch(&self, offset: u64) {
        self.vouched.store(offset, Ordering::Relaxed);
        self.request_ack();
    }

    /// Notes that a snapshot is being loaded.
    pub fn start_transfer(&self) {
        self.vouched.store(0, Ordering::Relaxed);
        self.phase.store(Phase::Transfer as u8, Ordering::Release);
    }

    /// Notes that a snapshot of that offset is loaded but hidden from readers. Acknowledges it at once: until then, a
    /// diskless primary keeps everything that follows in its own memory.
    pub fn start_hold(&self, offset: u64) {
        self.held.store(offset, Ordering::Release);
        self.phase.store(Phase::Held as u8, Ordering::Release);
        self.request_ack();
    }

    /// Notes that the stream is being applied after `offset`, and acknowledges that at once.
    pub fn start_stream(&self, offset: u64) {
        self.set_applied(offset);
        self.phase.store(Phase::Streaming as u8, Ordering::Release);
        self.request_ack();
    }

    /// Notes that there is no link any more.
    pub fn set_idle(&self) {
        self.waiting.store(0, Ordering::Relaxed);
        self.phase.store(Phase::Idle as u8, Ordering::Release);
    }
}

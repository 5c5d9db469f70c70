//! The link's state, for ROLE, INFO and the log.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::address::Address;
use super::arrivals::Arrivals;
use super::kind::Mode;
use super::marks::Moment;
use super::proof::Proof;
use super::syncs::Syncs;

/// The state of the link, in ROLE's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LinkState {
    /// Waiting to connect.
    #[default]
    Connect,
    /// Connecting.
    Connecting,
    /// Shaking hands.
    Handshake,
    /// Receiving a snapshot.
    Sync,
    /// Receiving the stream.
    Connected,
}

impl LinkState {
    /// Returns the word that ROLE uses.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Connecting => "connecting",
            Self::Handshake => "handshake",
            Self::Sync => "sync",
            Self::Connected => "connected",
        }
    }
}

/// The link at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The state of the link.
    pub state: LinkState,
    /// How long the link has been down; `None` while it is connected.
    pub down_for: Option<Duration>,
    /// How long the link has been in its state.
    pub in_state_for: Duration,
    /// Whether it has ever been connected.
    pub was_up: bool,
    /// How long the link has been up; `None` while it is not.
    pub up_for: Option<Duration>,
    /// How long the link has been down altogether since it was first up.
    pub disconnected_for: Duration,
    /// Connection attempts since the link was last lost, or since the start.
    pub attempts_since_lost: u64,
    /// Time since the last byte arrived; `None` before the first.
    pub last_io: Option<Duration>,
    /// Why the last connection ended.
    pub last_error: Option<String>,
    /// When the last connection failed; `None` if it ended in a move to a better server.
    pub failed_at: Option<Instant>,
    /// Whether the link is down until someone fixes what [`last_error`](Self::last_error) says.
    pub needs_a_person: bool,
    /// How the server that accepted redtail last runs.
    pub mode: Mode,
    /// The server that is followed or tried; `None` before the first.
    pub address: Option<Address>,
    /// How long the server has been silent although the link is there; `None` while it gives signs of life, and if redtail does
    /// not watch for them ([`Config::watch`](super::Config::watch)).
    pub silent_for: Option<Duration>,
    /// Whether, during that time, the other host does not even acknowledge what redtail sends: then the server's machine is down
    /// or cut off. Otherwise, the server itself does not answer.
    pub is_unacknowledged: bool,
}

/// A server that gives no sign of life, although its connection has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Silence {
    /// The last sign of life.
    pub(super) since: Instant,
    /// Whether the other host does not acknowledge what redtail sends.
    pub(super) is_unacknowledged: bool,
}

#[derive(Debug)]
struct Inner {
    state: LinkState,
    /// When it was entered.
    entered: Instant,
    address: Option<Address>,
    down_since: Option<Instant>,
    was_up: bool,
    /// Since when the link streams; `None` while it does not.
    up_since: Option<Instant>,
    /// How long the link was down altogether, after it was first up and before it was last.
    was_down_for: Duration,
    /// The attempts before the link was last lost.
    attempts_before: u64,
    last_error: Option<String>,
    failed_at: Option<Instant>,
    needs_a_person: bool,
    mode: Mode,
    /// The silence of the server, if the link is there.
    silence: Option<Silence>,
    /// Proofs that have not been taken yet.
    proofs: Vec<Proof>,
}

/// Maximum number of proofs kept until they are taken: far more than arrive in between.
const PROOFS_MAX: usize = 64;

/// The link's state and counters, written by the link's task.
#[derive(Debug)]
pub struct Status {
    started: Instant,
    inner: Mutex<Inner>,
    /// Milliseconds after `started`, plus one; 0 before the first byte.
    last_io: AtomicU64,
    /// The server does not reveal its offset.
    unprovable: AtomicBool,
    /// Connection attempts.
    pub attempts: AtomicU64,
    /// Full resyncs that the primary started.
    pub full_resyncs: AtomicU64,
    /// Partial resyncs that the primary granted.
    pub partial_resyncs: AtomicU64,
    /// Requests for a partial resync that the primary answered with a full one.
    pub partial_refused: AtomicU64,
    /// Bytes received.
    pub bytes: AtomicU64,
    /// Received bytes that waited for the writer in a file.
    pub spooled: AtomicU64,
    /// Pieces of the stream that the writer read directly from the socket.
    pub direct_reads: AtomicU64,
    /// When the oldest byte arrived that waits for the writer.
    pub waiting_since: Moment,
    /// Bytes that wait for the writer in memory.
    pub waiting_in_memory: AtomicU64,
    /// Bytes that wait for the writer in files.
    pub waiting_in_files: AtomicU64,
    /// The syncs there were.
    pub syncs: Syncs,
    /// Tracks bytes that have arrived and are not visible yet.
    pub arrivals: Arc<Arrivals>,
}

impl Default for Status {
    fn default() -> Self {
        let now = Instant::now();
        Self {
            started: now,
            inner: Mutex::new(Inner {
                state: LinkState::Connect,
                entered: now,
                address: None,
                down_since: Some(now),
                was_up: false,
                up_since: None,
                was_down_for: Duration::ZERO,
                attempts_before: 0,
                last_error: None,
                failed_at: None,
                needs_a_person: false,
                mode: Mode::default(),
                silence: None,
                proofs: Vec::new(),
            }),
            last_io: AtomicU64::new(0),
            unprovable: AtomicBool::new(false),
            attempts: AtomicU64::new(0),
            full_resyncs: AtomicU64::new(0),
            partial_resyncs: AtomicU64::new(0),
            partial_refused: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            spooled: AtomicU64::new(0),
            direct_reads: AtomicU64::new(0),
            waiting_since: Moment::default(),
            waiting_in_memory: AtomicU64::new(0),
            waiting_in_files: AtomicU64::new(0),
            syncs: Syncs::default(),
            arrivals: Arc::default(),
        }
    }
}

impl Status {
    /// Returns the current state of the link.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let last_io = self.last_received().map(|at| at.elapsed());
        let inner = self.inner();
        let down_for = inner.down_since.map(|since| since.elapsed());
        let attempts = self.attempts.load(Ordering::Relaxed);
        Snapshot {
            state: inner.state,
            down_for,
            up_for: inner.up_since.map(|since| since.elapsed()),
            disconnected_for: inner.was_down_for
                + down_for.filter(|_| inner.was_up).unwrap_or_default(),
            attempts_since_lost: attempts.saturating_sub(inner.attempts_before),
            in_state_for: inner.entered.elapsed(),
            was_up: inner.was_up,
            last_io,
            last_error: inner.last_error.clone(),
            failed_at: inner.failed_at,
            needs_a_person: inner.needs_a_person,
            mode: inner.mode,
            address: inner.address.clone(),
            silent_for: inner.silence.map(|silence| silence.since.elapsed()),
            is_unacknowledged: inner
                .silence
                .is_some_and(|silence| silence.is_unacknowledged),
        }
    }

    /// Notes which server is being tried.
    pub fn turn_to(&self, address: &Address) {
        self.inner().address = Some(address.clone());
    }

    /// Sets the state.
    pub fn enter(&self, state: LinkState) {
        self.set(&mut self.inner(), state);
    }

    /// Notes that the snapshot of this link is served now. Does nothing if the connection has ended since.
    pub fn loaded(&self) {
        let mut inner = self.inner();
        if inner.state == LinkState::Sync {
            self.set(&mut inner, LinkState::Connected);
        }
    }

    /// Notes that the connection has ended during a full sync. The writer may still load what has arrived.
    pub(super) fn lost_in_sync(&self) {
        let mut inner = self.inner();
        if inner.state == LinkState::Sync {
            self.set(&mut inner, LinkState::Connect);
        }
    }

    fn set(&self, inner: &mut Inner, state: LinkState) {
        if inner.state != state {
            inner.entered = Instant::now();
        }
        inner.state = state;
        if !matches!(state, LinkState::Sync | LinkState::Connected) {
            inner.silence = None;
        }
        self.note_change(inner, state == LinkState::Connected);
        inner.was_up |= state == LinkState::Connected;
        inner.needs_a_person &= !matches!(state, LinkState::Sync | LinkState::Connected);
        inner.down_since = if state == LinkState::Connected {
            None
        } else {
            inner.down_since.or_else(|| Some(Instant::now()))
        };
        inner.up_since =
            (state == LinkState::Connected).then(|| inner.up_since.unwrap_or_else(Instant::now));
    }

    /// Notes for how long the link was down when it comes up, and the attempts when it goes down.
    fn note_change(&self, inner: &mut Inner, is_up: bool) {
        if let Some(since) = inner.down_since.filter(|_| is_up && inner.was_up) {
            inner.was_down_for += since.elapsed();
        }
        if inner.up_since.is_some() && !is_up {
            inner.attempts_before = self.attempts.load(Ordering::Relaxed);
        }
    }

    /// Returns how long the link has been streaming; `None` when it is not.
    #[must_use]
    pub fn streamed(&self) -> Option<Duration> {
        self.inner().up_since.map(|since| since.elapsed())
    }

    /// Notes why a connection ended.
    pub fn fail(&self, error: &super::Error) {
        let mut inner = self.inner();
        inner.last_error = Some(error.to_string());
        inner.failed_at = (!error.is_a_move()).then(Instant::now);
        inner.needs_a_person = error.needs_a_person();
    }

    /// Notes how the server runs.
    pub(super) fn set_mode(&self, mode: Mode) {
        self.inner().mode = mode;
    }

    /// Notes that bytes have arrived. Returns the time.
    pub fn received(&self, bytes: usize) -> Instant {
        let now = Instant::now();
        let after = now.saturating_duration_since(self.started).as_millis();
        let after = u64::try_from(after).unwrap_or(u64::MAX - 1);
        self.last_io.store(after + 1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        now
    }

    /// Returns when the last byte arrived; `None` before the first.
    #[must_use]
    pub fn last_received(&self) -> Option<Instant> {
        let after = self.last_io.load(Ordering::Relaxed).checked_sub(1)?;
        self.started.checked_add(Duration::from_millis(after))
    }

    /// Keeps a proof for [`take_proofs`](Self::take_proofs).
    pub(super) fn prove(&self, proof: Option<Proof>) {
        let mut inner = self.inner();
        if inner.proofs.len() < PROOFS_MAX {
            inner.proofs.extend(proof);
        }
    }

    /// Returns the proofs since the last call, oldest first.
    #[must_use]
    pub fn take_proofs(&self) -> Vec<Proof> {
        std::mem::take(&mut self.inner().proofs)
    }

    /// Returns the silence of the server; `None` while it gives signs of life.
    pub(super) fn silence(&self) -> Option<Silence> {
        self.inner().silence
    }

    /// Notes whether the server is silent.
    pub(super) fn set_silence(&self, silence: Option<Silence>) {
        self.inner().silence = silence;
    }

    /// Notes that the server does not reveal its offset. Returns whether that is new.
    pub(super) fn set_unprovable(&self) -> bool {
        !self.unprovable.swap(true, Ordering::Relaxed)
    }

    /// Whether the server does not reveal its offset.
    #[must_use]
    pub fn is_unprovable(&self) -> bool {
        self.unprovable.load(Ordering::Relaxed)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // A poisoned lock still holds a whole value: every write is a few assignments that cannot panic.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

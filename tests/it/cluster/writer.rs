//! Writers, which write growing versions to keys that always exist, and remember what they wrote.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use super::keys::{Key, keys};
use super::nodes::Cluster;
use super::router::{Prefer, Router};
use crate::client::Reply;
use crate::servers::PATIENCE;

/// What has been written.
pub struct Written {
    pub keys: Vec<Key>,
    /// The last version sent, for each key.
    sent: Vec<AtomicU64>,
    /// The last version acknowledged, for each key.
    acknowledged: Vec<AtomicU64>,
}

impl Written {
    fn new() -> Self {
        let keys = keys();
        let zeros = || keys.iter().map(|_| AtomicU64::new(0)).collect();
        Self {
            sent: zeros(),
            acknowledged: zeros(),
            keys,
        }
    }

    pub fn sent(&self, key: usize) -> u64 {
        self.sent[key].load(Ordering::SeqCst)
    }

    pub fn acknowledged(&self, key: usize) -> u64 {
        self.acknowledged[key].load(Ordering::SeqCst)
    }

    /// The number of acknowledged writes.
    pub fn total(&self) -> u64 {
        (0..self.keys.len()).map(|key| self.acknowledged(key)).sum()
    }
}

/// Writers of one cluster, which end when this is dropped.
pub struct Writers {
    pub written: Arc<Written>,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stopped: AtomicBool,
    /// Counts the pauses, so that writers learn the topology anew after each.
    pauses: AtomicU64,
    /// A writer holds it for each attempt to write.
    gate: RwLock<()>,
}

/// While this exists, nothing is written, and no write is on its way.
pub struct Pause<'a> {
    shared: &'a Shared,
    _gate: RwLockWriteGuard<'a, ()>,
}

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        self.shared.pauses.fetch_add(1, Ordering::SeqCst);
    }
}

impl Writers {
    /// Writes every key once, then goes on in the background.
    pub fn start(cluster: &Cluster) -> Self {
        let written = Arc::new(Written::new());
        let shared = Arc::<Shared>::default();
        let mut first = Writer::new(cluster, &written, &shared, 0);
        (0..written.keys.len()).for_each(|key| first.write(key));
        let start = |part: usize| {
            let mut writer = Writer::new(cluster, &written, &shared, part);
            thread::spawn(move || writer.run())
        };
        Self {
            threads: (0..WRITERS).map(start).collect(),
            written: Arc::clone(&written),
            shared: Arc::clone(&shared),
        }
    }

    /// Stops writing, and waits for what is on its way.
    pub fn pause(&self) -> Pause<'_> {
        Pause {
            _gate: self
                .shared
                .gate
                .write()
                .unwrap_or_else(PoisonError::into_inner),
            shared: &self.shared,
        }
    }

    /// Waits until that number of further writes are acknowledged.
    pub fn wait_for_writes(&self, number: u64) {
        let goal = self.written.total() + number;
        super::nodes::wait("writes", PATIENCE, || self.written.total() >= goal);
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            // What a writer had to say, its thread has printed.
            _ = thread.join();
        }
    }
}

struct Writer {
    router: Router,
    written: Arc<Written>,
    shared: Arc<Shared>,
    /// Only one writer writes a key: those whose numbers leave this rest.
    part: usize,
    pauses: u64,
    rng: fastrand::Rng,
}

impl Writer {
    fn new(cluster: &Cluster, written: &Arc<Written>, shared: &Arc<Shared>, part: usize) -> Self {
        Self {
            router: Router::new(cluster.ports(), Prefer::Primaries),
            written: Arc::clone(written),
            shared: Arc::clone(shared),
            part,
            pauses: 0,
            rng: fastrand::Rng::with_seed(part as u64),
        }
    }

    fn run(&mut self) {
        let started = Instant::now();
        while !self.is_stopped() && started.elapsed() < TIME_MAX {
            let places = self.written.keys.len() / WRITERS;
            let key = self.rng.usize(..places) * WRITERS + self.part;
            self.write(key);
            sleep(BREATH);
        }
    }

    fn is_stopped(&self) -> bool {
        self.shared.stopped.load(Ordering::SeqCst)
    }

    /// Writes the next version of a key, as often as it takes.
    fn write(&mut self, key: usize) {
        let version = self.written.sent(key) + 1;
        while !self.attempt(key, version) && !self.is_stopped() {
            // Longer than a node that has lost a connection takes to read what had arrived on it.
            sleep(Duration::from_millis(50));
        }
    }

    fn attempt(&mut self, key: usize, version: u64) -> bool {
        let shared = Arc::clone(&self.shared);
        let _gate = shared.gate.read().unwrap_or_else(PoisonError::into_inner);
        let pauses = shared.pauses.load(Ordering::SeqCst);
        if self.pauses != pauses {
            self.pauses = pauses;
            self.router.forget();
        }
        let written = &self.written;
        let (what, commands) = (&written.keys[key], written.keys[key].write(version));
        written.sent[key].store(version, Ordering::SeqCst);
        let is_done = match self.router.ask(what.slot, &commands) {
            Ok(answer) => is_done(&answer.replies),
            Err(_) => false,
        };
        if is_done {
            written.acknowledged[key].store(version, Ordering::SeqCst);
        }
        is_done
    }
}

/// Whether a write was done.
///
/// # Panics
/// If it was refused for a reason that does not pass.
fn is_done(replies: &[Reply]) -> bool {
    let Some(error) = replies.iter().find(|reply| reply.is_error()) else {
        return true;
    };
    let text = error.text();
    let passes = PASSING.iter().any(|kind| text.starts_with(kind));
    assert!(passes, "a write was answered {text}");
    false
}

/// Errors after which a client tries again.
const PASSING: [&str; 9] = [
    "MOVED",
    "ASK",
    "TRYAGAIN",
    "CLUSTERDOWN",
    "LOADING",
    "MASTERDOWN",
    "READONLY",
    "EXECABORT",
    "UNBLOCKED",
];

const WRITERS: usize = 2;

/// The pause after each write, so that the machine has time for everybody else.
const BREATH: Duration = Duration::from_micros(1500);

/// No run is longer.
const TIME_MAX: Duration = Duration::from_secs(3 * 3600);

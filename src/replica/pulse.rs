//! Whether the writer still works, seen from outside: for a watchdog.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::figures::Figures;
use crate::upstream::{Phase, Progress};

/// How long received bytes may wait for a writer that does nothing. The primary executed each command itself before it sent it.
/// If that had taken this long, five times the default `repl-timeout`, the primary's own replicas would have left it.
pub const STUCK_AFTER: Duration = Duration::from_secs(300);

/// Watches the writer.
#[derive(Debug)]
pub struct Pulse {
    ended: Arc<AtomicBool>,
    progress: Arc<Progress>,
    figures: Arc<Figures>,
    /// The last signs of work.
    signs: Signs,
    /// When they changed, or when the writer had nothing to do.
    since: Instant,
}

/// Counters that move while the writer works.
#[derive(Debug, Default, PartialEq, Eq)]
struct Signs {
    applied: u64,
    taken: u64,
    commands: u64,
    loaded_bytes: u64,
    loaded_keys: u64,
    loads: u64,
}

impl Pulse {
    /// A pulse of nothing, which always beats.
    #[must_use]
    pub fn steady() -> Self {
        Self::new(Arc::default(), Arc::default(), Arc::default())
    }

    pub(super) fn new(
        ended: Arc<AtomicBool>,
        progress: Arc<Progress>,
        figures: Arc<Figures>,
    ) -> Self {
        Self {
            ended,
            progress,
            figures,
            signs: Signs::default(),
            since: Instant::now(),
        }
    }

    /// Returns whether the writer works at `now`: its thread has not ended, and received bytes have not waited for
    /// [`STUCK_AFTER`] without any sign of work. Call it often: it compares what it sees with what it saw at the last call.
    pub fn beats(&mut self, now: Instant) -> bool {
        if self.ended.load(Ordering::Acquire) {
            return false;
        }
        let signs = self.signs();
        if signs != self.signs || !self.has_work() {
            self.signs = signs;
            self.since = now;
        }
        now.saturating_duration_since(self.since) < STUCK_AFTER
    }

    /// Whether bytes wait that the writer should take. Bytes after a snapshot that is held back wait on purpose.
    fn has_work(&self) -> bool {
        let takes = matches!(self.progress.phase(), Phase::Transfer | Phase::Streaming);
        takes && self.progress.waiting() > 0
    }

    fn signs(&self) -> Signs {
        let (load, stream) = (&self.figures.load, &self.figures.stream);
        Signs {
            applied: self.progress.applied(),
            taken: stream.taken.load(Ordering::Relaxed),
            commands: stream.commands.load(Ordering::Relaxed),
            loaded_bytes: load.bytes.load(Ordering::Relaxed),
            loaded_keys: load.keys.load(Ordering::Relaxed),
            loads: load.completed.load(Ordering::Relaxed),
        }
    }
}

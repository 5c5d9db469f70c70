//! The sweeper's thread: small steps with long pauses.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::figures::Figures;
use crate::store::{Generation, Served, Sweeper, WriteToken, unix_ms};

/// How long the sweeper works without a pause. Each of its steps holds one lock for far less time.
const WORK: Duration = Duration::from_millis(1);

/// How many times as long as the work a pause is: the sweeper uses at most a twentieth of one processor.
const PAUSE_TIMES: u32 = 19;

/// Minimum pause after a pass over all keys.
const REST_MIN: Duration = Duration::from_secs(1);

/// The pause after a pass is this fraction of the grace: values stay a little longer, and an idle process has little to
/// do.
const REST_PART: u32 = 4;

fn rest(grace: Duration) -> Duration {
    (grace / REST_PART).max(REST_MIN)
}

/// Starts the sweeper, unless `grace` is zero. It ends when the returned sender is dropped.
///
/// # Errors
/// If the thread cannot be started.
pub(super) fn start(
    served: &Arc<Served>,
    token: &WriteToken,
    figures: &Arc<Figures>,
    grace: Duration,
) -> std::io::Result<Sender<()>> {
    let (sender, stop) = mpsc::channel();
    if !grace.is_zero() {
        let walk = Walk {
            sweeper: token.sweeper(),
            generation: Weak::new(),
            grace,
            expired: 0,
        };
        let (served, figures) = (Arc::clone(served), Arc::clone(figures));
        std::thread::Builder::new()
            .name("redtail-sweeper".to_owned())
            .spawn(move || run(walk, &served, &figures, &stop))?;
    }
    Ok(sender)
}

/// Sweeps values in `served` whose keys expired more than `grace` ago, until `stop`'s sender is gone.
fn run(mut walk: Walk, served: &Served, figures: &Figures, stop: &Receiver<()>) {
    let grace = walk.grace;
    let mut pause = rest(grace);
    while stop.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
        pause = served
            .current()
            .map_or(rest(grace), |generation| walk.work(&generation, figures));
    }
}

/// A sweeper, and the generation that it walks over.
struct Walk {
    sweeper: Sweeper,
    generation: Weak<Generation>,
    grace: Duration,
    /// Expired keys that this pass has seen.
    expired: u64,
}

impl Walk {
    /// Works for a while. Returns how long to pause afterwards.
    fn work(&mut self, generation: &Arc<Generation>, figures: &Figures) -> Duration {
        let grace = self.grace;
        if !std::ptr::eq(self.generation.as_ptr(), Arc::as_ptr(generation)) {
            self.sweeper.restart();
            self.expired = 0;
            self.generation = Arc::downgrade(generation);
        }
        let grace_ms = i64::try_from(grace.as_millis()).unwrap_or(i64::MAX);
        let before_ms = unix_ms().saturating_sub(grace_ms);
        let started = Instant::now();
        while started.elapsed() < WORK {
            let Some(swept) = self.sweeper.step(&generation.spaces, before_ms) else {
                figures.sweep.passes.fetch_add(1, Relaxed);
                figures
                    .sweep
                    .note_expired(std::mem::take(&mut self.expired));
                return rest(grace).max(started.elapsed() * PAUSE_TIMES);
            };
            self.expired += swept.expired as u64;
            figures.sweep.keys.fetch_add(swept.keys as u64, Relaxed);
            figures.sweep.bytes.fetch_add(swept.bytes as u64, Relaxed);
        }
        started.elapsed() * PAUSE_TIMES
    }
}

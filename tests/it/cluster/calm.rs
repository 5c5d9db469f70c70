//! When something is being done to the cluster or to redtail. Only then, and shortly afterwards, may readers meet errors.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Whether anything is going on.
#[derive(Clone, Default)]
pub struct Calm(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    open: usize,
    /// The last disturbance, and when it ended.
    last: String,
    ended: Option<Instant>,
}

/// Something that is being done, until this is dropped.
pub struct Disturbance(Calm);

impl Calm {
    /// Begins to disturb.
    pub fn disturb(&self, what: &str) -> Disturbance {
        let mut state = self.state();
        state.open += 1;
        what.clone_into(&mut state.last);
        Disturbance(self.clone())
    }

    /// Whether a request sent at `asked` may be answered with an error.
    pub fn excuses(&self, asked: Instant) -> bool {
        let state = self.state();
        state.open > 0 || state.ended.is_some_and(|ended| asked < ended + GRACE)
    }

    /// What was disturbed last, and how long ago it ended.
    pub fn last(&self) -> String {
        let state = self.state();
        match state.ended {
            _ if state.open > 0 => format!("during {}", state.last),
            Some(ended) => format!("{:.1?} after {}", ended.elapsed(), state.last),
            None => "before anything was done".to_owned(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Disturbance {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.open -= 1;
        state.ended = Some(Instant::now());
    }
}

/// How long errors may go on when the cluster is whole again.
const GRACE: Duration = Duration::from_secs(5);

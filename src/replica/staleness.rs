//! How old the last proof is that nothing is missing, and whether that is too old.
//!
//! A proof ([`Proof`]) is the history and the offset of the server at the moment when a question was sent. It counts once that
//! offset of that history has been applied. While a generation is exchanged there is no history to compare with, and proofs wait.
//! Without a limit, or if the server does not let redtail ask, the last byte of the stream takes the place of a proof.
//!
//! Under a limit, a flag in [`Served`] says that reads must be refused. Connections check it once for each batch.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::figures::Figures;
use crate::history::Point;
use crate::store::Served;
use crate::upstream::{Phase, Progress, Proof, Status};
use crate::words::Period;

/// How often freshness is checked if no limit is set: only the figures need it.
const LOOK: Duration = Duration::from_millis(500);

/// The bounds of the check period if a limit is set; the period is a tenth of the limit.
const LOOKS: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(200));

/// Maximum number of proofs that wait to be reached. A few arrive per limit, so with more than this the oldest would be
/// useless.
const PENDING_MAX: usize = 32;

/// How often the server is asked for proof under `limit`.
pub(super) fn proof_period(limit: Duration) -> Duration {
    (limit / 4).clamp(Duration::from_millis(10), Duration::from_secs(5))
}

/// Checks proofs, and tells the store when the last one that was reached is too old.
pub(super) struct Freshness {
    pub(super) served: Arc<Served>,
    pub(super) progress: Arc<Progress>,
    pub(super) figures: Arc<Figures>,
    pub(super) link: Arc<Status>,
    /// `None` for any age.
    pub(super) limit: Option<Duration>,
    /// Proofs of more than has been applied, oldest first.
    pub(super) pending: VecDeque<Proof>,
}

impl Freshness {
    /// Checks until `stop` is cancelled.
    pub(super) async fn watch(mut self, stop: CancellationToken) {
        let period = self
            .limit
            .map_or(LOOK, |limit| (limit / 10).clamp(LOOKS.0, LOOKS.1));
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => self.look(),
                () = stop.cancelled() => return,
            }
        }
    }

    fn look(&mut self) {
        self.take_proofs();
        self.reach();
        let proven = self.figures.proven();
        let too_old = |limit| proven.is_none_or(|at| at.elapsed() > limit);
        // Before the first sync nothing can be stale.
        let stale = self.limit.is_some_and(too_old) && self.served.peek().is_some();
        if self.served.set_stale(stale) != stale {
            self.report(stale);
        }
    }

    fn report(&self, stale: bool) {
        if stale {
            let limit = self.limit.unwrap_or_default();
            tracing::warn!(
                limit = %Period(limit),
                "the data may be older than --max-staleness allows: reads are refused (MASTERDOWN) until it is proven fresh"
            );
        } else {
            tracing::info!("the data is fresh again");
        }
    }

    fn take_proofs(&mut self) {
        self.pending.extend(self.link.take_proofs());
        if self.limit.is_none() || self.link.is_unprovable() {
            self.pending.extend(self.sample());
        }
        self.pending.truncate(PENDING_MAX);
    }

    /// What replaces a proof if there is none: everything that had been received when the last byte arrived.
    fn sample(&self) -> Option<Proof> {
        if self.progress.phase() != Phase::Streaming {
            return None;
        }
        Some(Proof {
            at: self.link.last_received()?,
            point: Point {
                replid: self.figures.history().replid?,
                offset: self.figures.received(&self.progress),
            },
        })
    }

    /// Finds the last proof that the served data includes.
    fn reach(&mut self) {
        let before = self.figures.history().replid;
        let applied = self.progress.applied();
        // An offset means nothing without its history, which may be changing right now.
        let Some(replid) = self
            .figures
            .history()
            .replid
            .filter(|id| before == Some(*id))
        else {
            return;
        };
        // A proof for another history will not be reached any more, or its history is not served yet.
        while let Some(first) = self.pending.front() {
            let reached = first.point.replid == replid && first.point.offset <= applied;
            if first.point.replid == replid && !reached {
                break;
            }
            if reached {
                self.figures.note_proven(first.at);
            } else if self.progress.phase() != Phase::Streaming {
                break;
            }
            self.pending.pop_front();
        }
    }
}

//! Waiting until the served data has everything up to a point of its history.
//!
//! A program that has written to the primary asks it for its replication id and offset, and then waits here for that point.
//! What it reads afterwards contains the write, or waiting ends with an error.

use std::sync::Arc;
use std::time::Duration;

use super::Replica;
use super::figures::Figures;
use crate::history::{Lookout, Point, Reach};
use crate::store::Course;
use crate::upstream::{Progress, ProgressWriter};

/// Where the served data is.
#[derive(Debug)]
pub(super) struct Whereabouts {
    progress: Arc<Progress>,
    figures: Arc<Figures>,
}

impl Whereabouts {
    pub(super) fn new(progress: &ProgressWriter, figures: &Arc<Figures>) -> Self {
        Self {
            progress: progress.shown(),
            figures: Arc::clone(figures),
        }
    }
}

impl Course for Whereabouts {
    fn reach(&self, point: Point) -> Reach {
        loop {
            let history = self.figures.history();
            let applied = self.progress.applied();
            // An offset of one history must not be taken for one of the other. The history is left before its data goes.
            if self.figures.history() != history {
                continue;
            }
            let is_past = |offset| match applied >= offset {
                true => Reach::Reached(applied),
                false => Reach::NotYet(applied),
            };
            return match (history.replid, history.before) {
                (None, _) => Reach::NotYet(applied),
                (Some(replid), _) if replid == point.replid => is_past(point.offset),
                (_, Some(before)) if before.replid != point.replid => Reach::Unknown,
                (_, Some(before)) if before.offset < point.offset => {
                    Reach::Abandoned(before.offset)
                }
                (_, Some(_)) => is_past(point.offset),
                (Some(_), None) => Reach::Unknown,
            };
        }
    }

    fn lookout(&self) -> &Lookout {
        self.progress.lookout()
    }
}

/// Why [`Replica::wait_for`] has not reached its point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// The time was up.
    #[error("offset {applied} is applied, but not offset {offset}")]
    Behind {
        /// The offset that is applied.
        applied: u64,
        /// The offset that was waited for.
        offset: u64,
    },
    /// The point is in a history that is not the served one: the primary's data was replaced, or the id was never one of its.
    #[error("the replication id is not one of the served data")]
    Unknown,
    /// The point is after a failover, under the id from before it: what was written there may be lost.
    #[error(
        "the history ended at offset {switch} with a failover: what was written after it may be lost"
    )]
    Abandoned {
        /// The last offset that both ids share, as far as is known.
        switch: u64,
    },
    /// There is no data: it was discarded for a full sync, or the first sync has not finished.
    #[error("a full sync with the primary has not finished yet")]
    Loading,
    /// The replica has ended.
    #[error("the replica has stopped")]
    Stopped,
}

impl Replica {
    /// Waits until every read sees what the primary had written at `point`, for at most `timeout`. Returns the offset that is
    /// applied. Ask the primary for the point after the write: `master_replid` and `master_repl_offset` of INFO replication.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use redtail::status::Point;
    /// # async fn read(replica: &redtail::Replica, point: Point) -> Result<(), Box<dyn std::error::Error>> {
    /// replica.wait_for(point, Duration::from_millis(100)).await?;
    /// let written = replica.get("greeting")?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`WaitError`].
    pub async fn wait_for(&self, point: Point, timeout: Duration) -> Result<u64, WaitError> {
        let deadline = tokio::time::sleep(timeout);
        tokio::pin!(deadline);
        let served = self.served();
        let lookout = self.progress().lookout().watch();
        let mut writer = self.readiness();
        loop {
            let moved = lookout.moved();
            tokio::pin!(moved);
            // From here on, no change is missed.
            moved.as_mut().enable();
            if self.has_ended() {
                return Err(WaitError::Stopped);
            }
            let applied = match served.current() {
                Some(generation) => match served.reach(&generation, point) {
                    Reach::Reached(applied) => return Ok(applied),
                    Reach::NotYet(applied) => applied,
                    Reach::Unknown => return Err(WaitError::Unknown),
                    Reach::Abandoned(switch) => return Err(WaitError::Abandoned { switch }),
                },
                None => return Err(WaitError::Loading),
            };
            let offset = point.offset;
            tokio::select! {
                biased;
                () = &mut deadline => return Err(WaitError::Behind { applied, offset }),
                () = moved => {}
                // The sender goes with the writer.
                changed = writer.changed() => if changed.is_err() { return Err(WaitError::Stopped) },
            }
        }
    }
}

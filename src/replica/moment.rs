//! Several reads at one moment.
//!
//! A [`Moment`] holds the read locks of all shards of all databases (`store/whole.rs`), so the writer waits for as long as it lives,
//! and no read in it needs a lock. Its offset is exact: a write notes its own offset under the locks of what it changes, before the
//! applied offset moves, and the larger of the two belongs to what is held. Offsets and generations change together (`Served::change`).
//! If a full resync has replaced the generation while its locks were being taken, the new one is held instead.

use std::sync::Arc;

use super::database::{Database, Reading, check_number, empty_reply, readable_row, reply_error};
use super::{Error, Replica};
use crate::command;
use crate::dialect::Dialect;
use crate::history::{Point, ReplId};
use crate::resp::{self, Args};
use crate::store::{EachKey, Generation, Hold, Whole, unix_ms};

/// The data of a replica at one moment: from [`Replica::at_one_moment`].
#[derive(Debug)]
pub struct Moment<'m> {
    generation: &'m Generation,
    whole: Whole<'m>,
    offset: u64,
    replid: Option<ReplId>,
    /// What expiries are compared with, in Unix milliseconds.
    now_ms: i64,
}

impl Replica {
    /// Passes one moment of all data to `read`: all that `read` reads from it is of the same offset, and of the same time for what
    /// has expired. A transaction of the primary is in it as a whole or not at all.
    ///
    /// ```no_run
    /// # fn read(replica: &redtail::Replica) -> Result<(), redtail::Error> {
    /// let (orders, total, offset) = replica.at_one_moment(|moment| {
    ///     let orders = moment.lrange("orders:open", 0, -1)?;
    ///     let total = moment.hget("totals", "open")?;
    ///     Ok((orders, total, moment.offset()))
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// While `read` runs, redtail applies nothing that the primary sends: all readers see data that grows older, and what arrives
    /// waits in the spool. So `read` should take milliseconds, must not wait for anything, and must read from the moment alone: the
    /// replica itself would not get any further. Beginning a moment takes some ten microseconds for each database that holds keys;
    /// for the strings at some keys, [`mget`](Self::mget) is cheaper, and holds up nothing else.
    ///
    /// # Errors
    /// [`Error::Loading`], [`Error::Stale`] and [`Error::Stopped`] if there is nothing to read from; or the error of `read`.
    pub fn at_one_moment<R>(
        &self,
        read: impl FnOnce(&Moment<'_>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        loop {
            let served = self.served().current();
            let generation = self.readable(served.as_ref(), 0)?;
            let place = |shown| self.place_of(generation, shown);
            let (whole, place) = generation.spaces.hold_everything(place);
            // A full resync has replaced it, or is about to.
            let Some((replid, offset)) = place else {
                continue;
            };
            return read(&Moment {
                generation,
                whole,
                offset,
                replid,
                now_ms: unix_ms(),
            });
        }
    }

    /// Where everything that `generation` shows is, if it is the served one: its history, and its offset. `shown` is the offset
    /// of its last change.
    fn place_of(&self, generation: &Arc<Generation>, shown: u64) -> Option<(Option<ReplId>, u64)> {
        let found = self.served().try_steadily(|| {
            let served = self.served().peek();
            let is_served = served
                .as_ref()
                .is_some_and(|served| Arc::ptr_eq(served, generation));
            let history = self.figures().history();
            // What follows the last change, up to the applied offset, changes nothing.
            let offset = self.progress().applied().max(shown);
            is_served.then_some((history.replid, offset))
        });
        found.flatten()
    }
}

impl Moment<'_> {
    /// Bytes of the history that everything in this moment includes, and nothing more.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// The same, with the replication id; `None` if the data has none: it comes from a state directory that has lost it.
    #[must_use]
    pub fn point(&self) -> Option<Point> {
        let offset = self.offset;
        self.replid.map(|replid| Point { replid, offset })
    }

    /// Database `number` at this moment.
    #[must_use]
    pub const fn database(&self, number: usize) -> Database<'_, Self> {
        Database {
            place: self,
            number,
        }
    }

    fn hold(&self, db: usize) -> Result<Hold<'_>, Error> {
        check_number(self.generation, db)?;
        let hold = self.whole.view(db);
        hold.set_clock(self.now_ms);
        Ok(hold)
    }
}

impl Reading for Moment<'_> {
    fn with_key<R>(
        &self,
        db: usize,
        _: &[u8],
        read: impl FnOnce(&Hold<'_>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        read(&self.hold(db)?)
    }

    fn with_keys<R>(
        &self,
        db: usize,
        _: &EachKey<'_>,
        read: impl FnOnce(&Hold<'_>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        read(&self.hold(db)?)
    }

    fn survey<R>(
        &self,
        db: usize,
        mut read: impl FnMut(&Hold<'_>, Dialect) -> Result<R, Error>,
    ) -> Result<R, Error> {
        read(&self.hold(db)?, self.generation.dialect)
    }

    fn answer(&self, db: usize, args: Args<'_>) -> Result<resp::Reply, Error> {
        let dialect = self.generation.dialect;
        let (row, handler) = readable_row(args, dialect)?;
        let mut reply = empty_reply(dialect);
        command::read_in(&self.hold(db)?, handler, row, args, &mut reply).map_err(reply_error)?;
        Ok(reply)
    }
}

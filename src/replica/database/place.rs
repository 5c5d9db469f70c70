//! Where a database is read: at the newest moment, or at one that is held.

use std::sync::Arc;

use crate::replica::{Error, Replica};
use crate::resp::{self, Args, Protocol};
use crate::store::{EachKey, Generation, Hold, NoSuchDatabase};
use crate::{command, dialect::Dialect};

/// Where a [`Database`](super::Database) reads: a [`Replica`], whose newest moment each read sees, or a
/// [`Moment`](crate::replica::Moment). A function that takes `Database<'_, impl Place>` reads in either.
pub trait Place: Reading {}

impl<P: Reading> Place for P {}

/// What only this room may call, or implement.
pub trait Reading {
    /// Passes the held shard of `key` to `read`.
    fn with_key<R>(
        &self,
        db: usize,
        key: &[u8],
        read: impl FnOnce(&Hold<'_>) -> Result<R, Error>,
    ) -> Result<R, Error>;

    /// Passes the held shards of all keys that `each` visits to `read`.
    fn with_keys<R>(
        &self,
        db: usize,
        each: &EachKey<'_>,
        read: impl FnOnce(&Hold<'_>) -> Result<R, Error>,
    ) -> Result<R, Error>;

    /// Passes a hold to `read` for what depends on which keys exist, and the dialect of patterns. May call it twice.
    fn survey<R>(
        &self,
        db: usize,
        read: impl FnMut(&Hold<'_>, Dialect) -> Result<R, Error>,
    ) -> Result<R, Error>;

    /// Answers a read command in RESP3.
    fn answer(&self, db: usize, args: Args<'_>) -> Result<resp::Reply, Error>;
}

impl Replica {
    /// The served generation, if it may be read and has database `db`.
    pub(crate) fn readable<'g>(
        &self,
        served: Option<&'g Arc<Generation>>,
        db: usize,
    ) -> Result<&'g Arc<Generation>, Error> {
        if self.has_ended() {
            return Err(Error::Stopped);
        }
        let generation = served.ok_or(Error::Loading)?;
        if self.served().is_stale() {
            return Err(Error::Stale);
        }
        check_number(generation, db)?;
        Ok(generation)
    }
}

pub(crate) fn check_number(generation: &Generation, db: usize) -> Result<(), Error> {
    if db < generation.spaces.databases() {
        Ok(())
    } else {
        Err(NoSuchDatabase.into())
    }
}

impl Reading for Replica {
    #[inline]
    fn with_key<R>(
        &self,
        db: usize,
        key: &[u8],
        read: impl FnOnce(&Hold<'_>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let served = self.served().peek();
        let generation = self.readable(served.as_ref(), db)?;
        read(&generation.spaces.view_key(db, key))
    }

    fn with_keys<R>(
        &self,
        db: usize,
        each: &EachKey<'_>,
        read: impl FnOnce(&Hold<'_>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let served = self.served().peek();
        let generation = self.readable(served.as_ref(), db)?;
        read(&generation.spaces.view_visited(db, each))
    }

    fn survey<R>(
        &self,
        db: usize,
        mut read: impl FnMut(&Hold<'_>, Dialect) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let served = self.served().peek();
        let generation = self.readable(served.as_ref(), db)?;
        let spaces = &generation.spaces;
        spaces.survey(db, |hold| read(hold, generation.dialect))
    }

    fn answer(&self, db: usize, args: Args<'_>) -> Result<resp::Reply, Error> {
        let served = self.served().peek();
        let dialect = served
            .as_ref()
            .map_or_else(Dialect::default, |generation| generation.dialect);
        let (row, handler) = readable_row(args, dialect)?;
        let generation = self.readable(served.as_ref(), db)?;
        let mut reply = empty_reply(dialect);
        let spaces = &generation.spaces;
        command::read(handler, row, spaces, db, args, &mut reply).map_err(reply_error)?;
        Ok(reply)
    }
}

/// A reply without a limit: it stays in this process.
pub(crate) fn empty_reply(dialect: Dialect) -> resp::Reply {
    resp::Reply::new(Protocol::Resp3, dialect, usize::MAX)
}

/// The row that answers a request, and its handler.
pub(crate) fn readable_row(
    args: Args<'_>,
    dialect: Dialect,
) -> Result<(&'static command::Command, command::ReadFn), Error> {
    let row = command::resolve_for(args, dialect).map_err(reply_error)?;
    if let Some(handler) = row.read {
        return Ok((row, handler));
    }
    let reason = if row.is_write() {
        "READONLY You can't write against a read only replica."
    } else {
        "ERR this command needs a connection, and the library has none"
    };
    Err(Error::Reply(reason.to_owned()))
}

/// The error that a client would get, in its words.
pub(crate) fn reply_error(error: command::Error) -> Error {
    Error::Reply(error.to_string())
}

//! The reads of a database, without a connection and without a request.
//!
//! A read takes the hold of its keys, looks its value up through the same door as a client's command (`store/door.rs`), and
//! passes it on: borrowed where the name ends in `_with`, otherwise as a copy. What a value means, such as which fields have
//! expired and what a negative index selects, the families of `command` say; nothing here says it again.

mod hashes;
mod keys;
mod lists;
mod place;
mod sets;
mod streams;
mod strings;
mod zsets;

use std::borrow::Cow;
use std::fmt;
use std::ops::RangeBounds;
use std::time::{Duration, SystemTime};

use super::changes::{Changes, Scope};
use super::reply::{self, Reply};
use super::{Error, Moment, Replica};
use crate::rdb::packed::{IntText, Item};
use crate::rdb::stream::StreamId;
use crate::resp::ArgsBuf;
use crate::store::Names;
use crate::value::Collection;
pub use hashes::Pair;
pub use keys::Expiry;
pub use place::Place;
pub(super) use place::{Reading, check_number, empty_reply, readable_row, reply_error};
pub use streams::StreamEntry;

/// One database, for reading: of a replica at its newest moment, or of a [`Moment`].
pub struct Database<'r, P: ?Sized = Replica> {
    pub(super) place: &'r P,
    pub(super) number: usize,
}

impl<P: ?Sized> Clone for Database<'_, P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P: ?Sized> Copy for Database<'_, P> {}

impl<P: ?Sized> fmt::Debug for Database<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

impl Database<'_> {
    /// [`Replica::watch_prefix`], for the keys of this database.
    #[must_use]
    pub fn watch_prefix(&self, prefix: impl Into<Vec<u8>>) -> Changes {
        self.place.listen(Scope {
            db: Some(self.number),
            prefix: prefix.into(),
        })
    }
}

impl<P: Place> Database<'_, P> {
    /// Runs a read command by name, as a client would, and returns its RESP3 reply.
    ///
    /// ```no_run
    /// # use redtail::{Error, Replica, Reply};
    /// # fn read(replica: &Replica) -> Result<(), Error> {
    /// let users = replica.database(3);
    /// if let Reply::Map(fields) = users.command(&["HGETALL", "user:1"])? {
    ///     println!("{} fields", fields.len());
    /// }
    /// let score = users.command(&["ZSCORE", "board", "anna"])?; // Reply::Double or Reply::Null
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Loading`], [`Error::Stale`] and [`Error::Stopped`] if there is nothing to read from; [`Error::Reply`] with the
    /// error that a client would get, including for writes, for unknown commands and for tainted keys.
    pub fn command<W: AsRef<[u8]>>(&self, words: &[W]) -> Result<Reply, Error> {
        let owned = ArgsBuf::new(words);
        let reply = self.place.answer(self.number, owned.as_args())?;
        let parsed = reply::parse(reply.as_bytes());
        parsed.ok_or_else(|| Error::Reply("ERR the reply is not RESP3".to_owned()))
    }

    /// Passes the collection at `key` to `read`.
    pub(super) fn collection<C: Collection, R>(
        &self,
        key: &[u8],
        read: impl FnOnce(Option<&C>) -> R,
    ) -> Result<R, Error> {
        self.place.with_key(self.number, key, |hold| {
            let found = hold.read(Names::Key(key), |view| {
                view.collection(key).map_err(Error::from)
            })?;
            Ok(read(found))
        })
    }
}

/// Passes the text of an item to `read`.
fn with_text<R>(item: Item<'_>, read: impl FnOnce(&[u8]) -> R) -> R {
    read(item.text(&mut IntText::new()))
}

/// Passes the text of an item, if there is one, to `read`.
fn with_text_of<R>(item: Option<Item<'_>>, read: impl FnOnce(Option<&[u8]>) -> R) -> R {
    match item {
        Some(item) => with_text(item, |text| read(Some(text))),
        None => read(None),
    }
}

/// Gives a place to read the reads of its database 0, under the same names.
macro_rules! reads_of_database_0 {
    ($owner:ty) => {
        reads_of_database_0! { @ $owner;
            get(key: impl AsRef<[u8]>) -> Option<Vec<u8>>;
            get_with[R](key: impl AsRef<[u8]>, read: impl FnOnce(Option<&[u8]>) -> R) -> R;
            strlen(key: impl AsRef<[u8]>) -> usize;
            getrange(key: impl AsRef<[u8]>, start: i64, end: i64) -> Vec<u8>;
            mget[K: AsRef<[u8]>](keys: &[K]) -> Vec<Option<Vec<u8>>>;
            mget_with[K: AsRef<[u8]>](keys: &[K], each: impl FnMut(usize, Option<&[u8]>)) -> ();
            hget(key: impl AsRef<[u8]>, field: impl AsRef<[u8]>) -> Option<Vec<u8>>;
            hget_with[R](
                key: impl AsRef<[u8]>,
                field: impl AsRef<[u8]>,
                read: impl FnOnce(Option<&[u8]>) -> R
            ) -> R;
            hmget[F: AsRef<[u8]>](key: impl AsRef<[u8]>, fields: &[F]) -> Vec<Option<Vec<u8>>>;
            hgetall(key: impl AsRef<[u8]>) -> Vec<Pair>;
            hgetall_with(key: impl AsRef<[u8]>, each: impl FnMut(&[u8], &[u8])) -> ();
            hlen(key: impl AsRef<[u8]>) -> usize;
            hexists(key: impl AsRef<[u8]>, field: impl AsRef<[u8]>) -> bool;
            lrange(key: impl AsRef<[u8]>, start: i64, end: i64) -> Vec<Vec<u8>>;
            lrange_with(key: impl AsRef<[u8]>, start: i64, end: i64, each: impl FnMut(&[u8])) -> ();
            lindex(key: impl AsRef<[u8]>, index: i64) -> Option<Vec<u8>>;
            llen(key: impl AsRef<[u8]>) -> usize;
            smembers(key: impl AsRef<[u8]>) -> Vec<Vec<u8>>;
            smembers_with(key: impl AsRef<[u8]>, each: impl FnMut(&[u8])) -> ();
            sismember(key: impl AsRef<[u8]>, member: impl AsRef<[u8]>) -> bool;
            scard(key: impl AsRef<[u8]>) -> usize;
            zrange(key: impl AsRef<[u8]>, start: i64, end: i64) -> Vec<(Vec<u8>, f64)>;
            zrange_with(
                key: impl AsRef<[u8]>,
                start: i64,
                end: i64,
                each: impl FnMut(&[u8], f64)
            ) -> ();
            zrange_by_score(
                key: impl AsRef<[u8]>,
                scores: impl RangeBounds<f64>
            ) -> Vec<(Vec<u8>, f64)>;
            zscore(key: impl AsRef<[u8]>, member: impl AsRef<[u8]>) -> Option<f64>;
            zrank(key: impl AsRef<[u8]>, member: impl AsRef<[u8]>) -> Option<usize>;
            zcard(key: impl AsRef<[u8]>) -> usize;
            xrange(
                key: impl AsRef<[u8]>,
                ids: impl RangeBounds<StreamId>,
                count: Option<usize>
            ) -> Vec<StreamEntry>;
            xlen(key: impl AsRef<[u8]>) -> usize;
            exists(key: impl AsRef<[u8]>) -> bool;
            type_of(key: impl AsRef<[u8]>) -> Option<Cow<'static, str>>;
            ttl(key: impl AsRef<[u8]>) -> Expiry<Duration>;
            expires_at(key: impl AsRef<[u8]>) -> Expiry<SystemTime>;
            dbsize() -> usize;
            command[W: AsRef<[u8]>](words: &[W]) -> Reply;
        }
    };
    (@ $owner:ty; $($name:ident $([$($generics:tt)*])? ($($argument:ident: $type:ty),*) -> $result:ty;)*) => {
        impl $owner {
            $(
                #[doc = concat!("[`Database::", stringify!($name), "`] of database 0.")]
                ///
                /// # Errors
                /// [`Error`].
                #[inline]
                pub fn $name $(<$($generics)*>)? (&self, $($argument: $type),*) -> Result<$result, Error> {
                    self.database(0).$name($($argument),*)
                }
            )*
        }
    };
}

reads_of_database_0!(Replica);
reads_of_database_0!(Moment<'_>);

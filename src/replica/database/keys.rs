//! Keys, whatever they hold.

use std::borrow::Cow;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Database, Error, Place};
use crate::command;
use crate::store::{Entry, Names, View};

/// When a key expires, or how soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry<T> {
    /// There is no such key.
    NoKey,
    /// The key does not expire.
    Never,
    /// It expires then.
    At(T),
}

impl<P: Place> Database<'_, P> {
    /// Whether the key exists.
    ///
    /// # Errors
    /// Like [`get`](Self::get), but never [`Error::WrongType`].
    pub fn exists(&self, key: impl AsRef<[u8]>) -> Result<bool, Error> {
        self.entry(key.as_ref(), |entry, _| entry.is_some())
    }

    /// The word of TYPE for the key's value: `string`, `list`, `set`, `hash`, `zset`, `stream`, or that of a later or a module's
    /// type; `None` if the key does not exist.
    ///
    /// # Errors
    /// Like [`exists`](Self::exists).
    pub fn type_of(&self, key: impl AsRef<[u8]>) -> Result<Option<Cow<'static, str>>, Error> {
        self.entry(key.as_ref(), |entry, _| {
            entry.map(Entry::value).map(command::type_name)
        })
    }

    /// How soon the key expires, by this machine's clock.
    ///
    /// # Errors
    /// Like [`exists`](Self::exists).
    pub fn ttl(&self, key: impl AsRef<[u8]>) -> Result<Expiry<Duration>, Error> {
        self.expiry(key.as_ref(), |at_ms, view| {
            milliseconds(at_ms.saturating_sub(view.now_ms()))
        })
    }

    /// When the key expires.
    ///
    /// # Errors
    /// Like [`exists`](Self::exists).
    pub fn expires_at(&self, key: impl AsRef<[u8]>) -> Result<Expiry<SystemTime>, Error> {
        self.expiry(key.as_ref(), |at_ms, _| UNIX_EPOCH + milliseconds(at_ms))
    }

    /// The number of keys, including those that have expired and that the primary has not deleted yet, as DBSIZE counts.
    ///
    /// # Errors
    /// Like [`exists`](Self::exists), but [`Error::Tainted`] if it is not known which keys exist.
    pub fn dbsize(&self) -> Result<usize, Error> {
        self.place.survey(self.number, |hold, _| {
            hold.read(Names::Existence, |view| Ok(view.count_keys()))
        })
    }

    fn expiry<T>(
        &self,
        key: &[u8],
        tell: impl FnOnce(i64, &View<'_>) -> T,
    ) -> Result<Expiry<T>, Error> {
        self.entry(key, |entry, view| match entry.map(Entry::expire_at_ms) {
            None => Expiry::NoKey,
            Some(None) => Expiry::Never,
            Some(Some(at_ms)) => Expiry::At(tell(at_ms, view)),
        })
    }

    /// Passes the entry of `key` to `read`. This does not count as a use of the key.
    fn entry<R>(
        &self,
        key: &[u8],
        read: impl FnOnce(Option<&Entry>, &View<'_>) -> R,
    ) -> Result<R, Error> {
        self.place.with_key(self.number, key, |hold| {
            hold.read(Names::Key(key), |view| Ok(read(view.peek(key), view)))
        })
    }
}

fn milliseconds(number: i64) -> Duration {
    Duration::from_millis(u64::try_from(number).unwrap_or(0))
}

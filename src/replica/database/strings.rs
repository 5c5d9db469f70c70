//! Strings.

use smallvec::SmallVec;

use super::{Database, Error, Place};
use crate::command::values::{self, text_range};
use crate::store::{GROUP_MAX, Names, Value};

impl<P: Place> Database<'_, P> {
    /// The string at `key`; `None` if the key does not exist.
    ///
    /// # Errors
    /// [`Error::Loading`], [`Error::Stale`] and [`Error::Stopped`] if there is nothing to read from; [`Error::WrongType`] and
    /// [`Error::Tainted`] because of the key; [`Error::Reply`] if the database does not exist. The same is true of all reads.
    #[inline]
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>, Error> {
        self.get_with(key, |text| text.map(<[u8]>::to_vec))
    }

    /// Passes the string at `key` to `read` in place, without a copy, and returns what `read` returns. The writer waits
    /// for `read` if it changes the same shard, so `read` should be short; it must not read from the replica itself.
    ///
    /// ```no_run
    /// # fn read(replica: &redtail::Replica) -> Result<(), redtail::Error> {
    /// let length = replica.get_with("page:1", |text| text.map(<[u8]>::len))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Like [`get`](Self::get); then `read` is not called.
    #[inline]
    pub fn get_with<R>(
        &self,
        key: impl AsRef<[u8]>,
        read: impl FnOnce(Option<&[u8]>) -> R,
    ) -> Result<R, Error> {
        self.value(key.as_ref(), |value| match value {
            None => Ok(read(None)),
            value => Ok(values::with_text(value, |text| read(Some(text)))?),
        })
    }

    /// The length of the string at `key` in bytes; 0 if the key does not exist.
    ///
    /// # Errors
    /// Like [`get`](Self::get).
    pub fn strlen(&self, key: impl AsRef<[u8]>) -> Result<usize, Error> {
        self.value(key.as_ref(), |value| {
            Ok(values::with_text(value, <[u8]>::len)?)
        })
    }

    /// The bytes from `start` to `end` of the string at `key`, both included, counted from the end if negative. Without a key,
    /// and past the end, there are none.
    ///
    /// # Errors
    /// Like [`get`](Self::get).
    pub fn getrange(&self, key: impl AsRef<[u8]>, start: i64, end: i64) -> Result<Vec<u8>, Error> {
        let part = |text: &[u8]| {
            let range = text_range(start, end, text.len());
            let part = range.and_then(|range| text.get(range));
            part.unwrap_or_default().to_vec()
        };
        self.value(key.as_ref(), |value| Ok(values::with_text(value, part)?))
    }

    /// The strings at `keys`, all at one offset; `None` for a key that does not exist or holds no string.
    ///
    /// # Errors
    /// Like [`get`](Self::get), but never [`Error::WrongType`]; [`Error::Tainted`] if any of the keys is tainted.
    pub fn mget<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<Vec<Option<Vec<u8>>>, Error> {
        let mut found = Vec::with_capacity(keys.len());
        self.mget_with(keys, |_, text| found.push(text.map(<[u8]>::to_vec)))?;
        Ok(found)
    }

    /// Passes the strings at `keys`, all at one offset, to `each` in place, with the indexes of their keys.
    ///
    /// # Errors
    /// Like [`mget`](Self::mget); then `each` is not called.
    pub fn mget_with<K: AsRef<[u8]>>(
        &self,
        keys: &[K],
        mut each: impl FnMut(usize, Option<&[u8]>),
    ) -> Result<(), Error> {
        let names = |visit: &mut dyn FnMut(&[u8])| keys.iter().for_each(|key| visit(key.as_ref()));
        self.place.with_keys(self.number, &names, |hold| {
            let found = hold.read(Names::Keys(&names), |view| {
                let mut values: SmallVec<[_; GROUP_MAX]> = SmallVec::with_capacity(keys.len());
                for group in keys.chunks(GROUP_MAX) {
                    view.fetch(group.iter().map(AsRef::as_ref));
                    values.extend(group.iter().map(|key| view.value(key.as_ref())));
                }
                Ok::<_, Error>(values)
            })?;
            for (index, value) in found.into_iter().enumerate() {
                match value {
                    Some(Value::Object(_)) | None => each(index, None),
                    value => values::with_text(value, |text| each(index, Some(text)))?,
                }
            }
            Ok(())
        })
    }

    #[inline]
    fn value<R>(
        &self,
        key: &[u8],
        read: impl FnOnce(Option<Value<'_>>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        self.place.with_key(self.number, key, |hold| {
            read(hold.read(Names::Key(key), |view| Ok::<_, Error>(view.value(key)))?)
        })
    }
}

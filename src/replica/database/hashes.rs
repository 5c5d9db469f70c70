//! Hashes. Expired fields are hidden, except from `hlen`, which counts them, as servers do.

use super::{Database, Error, Place, with_text, with_text_of};
use crate::command::values::SeenHash;
use crate::store::Names;
use crate::value::Hash;

/// A field and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

impl<P: Place> Database<'_, P> {
    /// The value of a field; `None` if the key or the field does not exist.
    ///
    /// # Errors
    /// Like [`get`](Self::get).
    pub fn hget(
        &self,
        key: impl AsRef<[u8]>,
        field: impl AsRef<[u8]>,
    ) -> Result<Option<Vec<u8>>, Error> {
        self.hget_with(key, field, |value| value.map(<[u8]>::to_vec))
    }

    /// Passes the value of a field to `read` in place. What [`get_with`](Self::get_with) says of `read` is true here, too.
    ///
    /// # Errors
    /// Like [`get`](Self::get); then `read` is not called.
    pub fn hget_with<R>(
        &self,
        key: impl AsRef<[u8]>,
        field: impl AsRef<[u8]>,
        read: impl FnOnce(Option<&[u8]>) -> R,
    ) -> Result<R, Error> {
        self.hash(key.as_ref(), |hash| {
            let value = hash.and_then(|hash| hash.get(field.as_ref()));
            with_text_of(value, read)
        })
    }

    /// The values of several fields; `None` for one that does not exist.
    ///
    /// # Errors
    /// Like [`get`](Self::get).
    pub fn hmget<F: AsRef<[u8]>>(
        &self,
        key: impl AsRef<[u8]>,
        fields: &[F],
    ) -> Result<Vec<Option<Vec<u8>>>, Error> {
        self.hash(key.as_ref(), |hash| {
            let value = |field: &F| Some(hash?.get(field.as_ref())?.to_vec());
            fields.iter().map(value).collect()
        })
    }

    /// All fields with their values, in the order of HGETALL.
    ///
    /// # Errors
    /// Like [`get`](Self::get).
    pub fn hgetall(&self, key: impl AsRef<[u8]>) -> Result<Vec<Pair>, Error> {
        let mut all = Vec::new();
        self.hgetall_with(key, |name, value| all.push((name.to_vec(), value.to_vec())))?;
        Ok(all)
    }

    /// Passes each field with its value to `each` in place. The writer may have to wait for it.
    ///
    /// # Errors
    /// Like [`get`](Self::get); then `each` is not called.
    pub fn hgetall_with(
        &self,
        key: impl AsRef<[u8]>,
        mut each: impl FnMut(&[u8], &[u8]),
    ) -> Result<(), Error> {
        self.hash(key.as_ref(), |hash| {
            for field in hash.into_iter().flat_map(SeenHash::fields) {
                with_text(field.name, |name| {
                    with_text(field.value, |value| each(name, value));
                });
            }
        })
    }

    /// The number of fields.
    ///
    /// # Errors
    /// Like [`get`](Self::get).
    pub fn hlen(&self, key: impl AsRef<[u8]>) -> Result<usize, Error> {
        self.collection(key.as_ref(), |hash: Option<&Hash>| {
            hash.map_or(0, Hash::len)
        })
    }

    /// Whether a field exists.
    ///
    /// # Errors
    /// Like [`get`](Self::get).
    pub fn hexists(&self, key: impl AsRef<[u8]>, field: impl AsRef<[u8]>) -> Result<bool, Error> {
        self.hget_with(key, field, |value| value.is_some())
    }

    /// Passes what a client sees of the hash at `key` to `read`.
    pub(crate) fn hash<R>(
        &self,
        key: &[u8],
        read: impl FnOnce(Option<SeenHash<'_>>) -> R,
    ) -> Result<R, Error> {
        self.place.with_key(self.number, key, |hold| {
            let hash = hold.read(Names::Key(key), |view| {
                SeenHash::at(view, key).map_err(Error::from)
            })?;
            Ok(read(hash))
        })
    }
}

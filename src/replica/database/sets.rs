//! Sets.

use super::{Database, Error, Place, with_text};
use crate::value::Set;

impl<P: Place> Database<'_, P> {
    /// All members, in no particular order.
    ///
    /// # Errors
    /// Like [`get`](Self::get).
    pub fn smembers(&self, key: impl AsRef<[u8]>) -> Result<Vec<Vec<u8>>, Error> {
        let mut found = Vec::new();
        self.smembers_with(key, |member| found.push(member.to_vec()))?;
        Ok(found)
    }

    /// Passes each member to `each` in place. The writer may have to wait for it.
    ///
    /// # Errors
    /// Like [`get`](Self::get); then `each` is not called.
    pub fn smembers_with(
        &self,
        key: impl AsRef<[u8]>,
        mut each: impl FnMut(&[u8]),
    ) -> Result<(), Error> {
        self.collection(key.as_ref(), |set: Option<&Set>| {
            let all = set.into_iter().flat_map(Set::iter);
            all.for_each(|member| with_text(member, &mut each));
        })
    }

    /// Whether the set has a member.
    ///
    /// # Errors
    /// Like [`get`](Self::get).
    pub fn sismember(
        &self,
        key: impl AsRef<[u8]>,
        member: impl AsRef<[u8]>,
    ) -> Result<bool, Error> {
        self.collection(key.as_ref(), |set: Option<&Set>| {
            set.is_some_and(|set| set.contains(member.as_ref()))
        })
    }

    /// The number of members.
    ///
    /// # Errors
    /// Like [`get`](Self::get).
    pub fn scard(&self, key: impl AsRef<[u8]>) -> Result<usize, Error> {
        self.collection(key.as_ref(), |set: Option<&Set>| set.map_or(0, Set::len))
    }
}

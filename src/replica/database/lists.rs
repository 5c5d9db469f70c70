//! Lists.

use super::{Database, Error, Place, with_text};
use crate::command::values::{elements, place};
use crate::value::List;

impl<P: Place> Database<'_, P> {
    /// The elements from index `start` to `end`, both included, counted from the end if negative: `0` to `-1` are all.
    ///
    /// # Errors
    /// Like [`get`](Self::get).
    pub fn lrange(
        &self,
        key: impl AsRef<[u8]>,
        start: i64,
        end: i64,
    ) -> Result<Vec<Vec<u8>>, Error> {
        let mut found = Vec::new();
        self.lrange_with(key, start, end, |element| found.push(element.to_vec()))?;
        Ok(found)
    }

    /// Passes each of these elements to `each` in place. The writer may have to wait for it.
    ///
    /// # Errors
    /// Like [`get`](Self::get); then `each` is not called.
    pub fn lrange_with(
        &self,
        key: impl AsRef<[u8]>,
        start: i64,
        end: i64,
        mut each: impl FnMut(&[u8]),
    ) -> Result<(), Error> {
        self.collection(key.as_ref(), |list: Option<&List>| {
            let all = list
                .into_iter()
                .flat_map(|list| elements(list, start, end).1);
            all.for_each(|element| with_text(element, &mut each));
        })
    }

    /// The element at `index`, counted from the end if negative; `None` past either end.
    ///
    /// # Errors
    /// Like [`get`](Self::get).
    pub fn lindex(&self, key: impl AsRef<[u8]>, index: i64) -> Result<Option<Vec<u8>>, Error> {
        self.collection(key.as_ref(), |list: Option<&List>| {
            let list = list?;
            let element = list.get(place(index, list.len())?)?;
            Some(element.to_vec())
        })
    }

    /// The number of elements.
    ///
    /// # Errors
    /// Like [`get`](Self::get).
    pub fn llen(&self, key: impl AsRef<[u8]>) -> Result<usize, Error> {
        self.collection(key.as_ref(), |list: Option<&List>| {
            list.map_or(0, List::len)
        })
    }
}

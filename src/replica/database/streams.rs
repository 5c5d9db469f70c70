//! Streams.

use std::ops::{Bound, RangeBounds};

use super::{Database, Error, Pair, Place};
use crate::command::values::{after, before};
use crate::rdb::stream::StreamId;
use crate::value::{Entry, Stream};

/// An entry of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamEntry {
    /// Its id.
    pub id: StreamId,
    /// Its fields with their values, in the order in which they were added.
    pub fields: Vec<Pair>,
}

impl StreamEntry {
    pub(crate) fn of(entry: &Entry<'_>) -> Self {
        let fields = entry.pairs();
        Self {
            id: entry.id,
            fields: fields
                .map(|(name, value)| (name.to_vec(), value.to_vec()))
                .collect(),
        }
    }
}

impl<P: Place> Database<'_, P> {
    /// The entries with ids in a range, the oldest first: at most `count`, all if it is `None`.
    ///
    /// ```no_run
    /// # use redtail::rdb::StreamId;
    /// # fn read(replica: &redtail::Replica) -> Result<(), redtail::Error> {
    /// for entry in replica.xrange("events", StreamId::new(1_700_000_000_000, 0).., Some(100))? {
    ///     println!("{}: {:?}", entry.id, entry.fields);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Like [`get`](Self::get).
    pub fn xrange(
        &self,
        key: impl AsRef<[u8]>,
        ids: impl RangeBounds<StreamId>,
        count: Option<usize>,
    ) -> Result<Vec<StreamEntry>, Error> {
        self.collection(key.as_ref(), |stream: Option<&Stream>| {
            let Some((stream, (start, end))) = stream.zip(closed(&ids)) else {
                return Vec::new();
            };
            let entries = stream.range(start, end).take(count.unwrap_or(usize::MAX));
            entries.map(|entry| StreamEntry::of(&entry)).collect()
        })
    }

    /// The number of entries.
    ///
    /// # Errors
    /// Like [`get`](Self::get).
    pub fn xlen(&self, key: impl AsRef<[u8]>) -> Result<usize, Error> {
        self.collection(key.as_ref(), |stream: Option<&Stream>| {
            stream.map_or(0, Stream::len)
        })
    }
}

/// The first and the last id of a range; `None` if it has none.
fn closed(ids: &impl RangeBounds<StreamId>) -> Option<(StreamId, StreamId)> {
    let start = match ids.start_bound() {
        Bound::Included(id) => *id,
        Bound::Excluded(id) => after(*id)?,
        Bound::Unbounded => StreamId::MIN,
    };
    let end = match ids.end_bound() {
        Bound::Included(id) => *id,
        Bound::Excluded(id) => before(*id)?,
        Bound::Unbounded => StreamId::MAX,
    };
    Some((start, end))
}

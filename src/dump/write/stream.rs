//! Streams from iterators. A stream begins with the number of its nodes, so the entries are walked over twice.

use super::{HELD_BYTES_MAX, NewKey, WriteError};
use crate::dialect::Flaw;
use crate::{
    limits::STRING_BYTES_MAX,
    rdb::{
        encode::Layouts,
        stream::{self as codec, StreamId},
        version::Version,
    },
    value::{self, Thresholds},
};
use std::io::Write;

/// What a stream has beside its entries. The default is what XADD leaves behind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewStream {
    /// The last id that was given to an entry, which may have been deleted since; by default that of the last entry.
    pub last_id: Option<StreamId>,
    /// The largest id that was deleted, if one was. Version 9 has no place for it.
    pub max_deleted_id: Option<StreamId>,
    /// The number of entries ever added; by default the number of entries. Version 9 has no place for it.
    pub entries_added: Option<u64>,
    /// The consumer groups.
    pub groups: Vec<NewGroup>,
}

/// A consumer group of a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewGroup {
    /// The group's name.
    pub name: Vec<u8>,
    /// The last id that was delivered to a consumer.
    pub last_id: StreamId,
    /// The number of entries that the group has read, if it is known. Version 9 has no place for it.
    pub entries_read: Option<u64>,
    /// The consumers.
    pub consumers: Vec<NewConsumer>,
}

/// A consumer of a group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewConsumer {
    /// The consumer's name.
    pub name: Vec<u8>,
    /// When it last tried to read, Unix time in milliseconds.
    pub seen_at_ms: i64,
    /// When it last received an entry, Unix time in milliseconds; `None` if it never did. Versions before 11 have no place for it.
    pub active_at_ms: Option<i64>,
    /// The entries that were delivered to it but not acknowledged, in any order.
    pub pending: Vec<NewPending>,
}

/// An entry that was delivered to a consumer but not acknowledged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NewPending {
    /// The entry's id. The entry itself may have been deleted.
    pub id: StreamId,
    /// When it was last delivered, Unix time in milliseconds.
    pub delivered_at_ms: i64,
    /// How often it was delivered.
    pub deliveries: u64,
}

impl<W: Write> NewKey<'_, W> {
    /// Writes the key with a stream: its entries in ascending order of their ids, each with its fields and values, and what else it
    /// has. The iterator is cloned, so that it can be walked over twice: give one that borrows the entries. A stream without entries
    /// is a key like any other. Memory holds the groups, and about a megabyte of the entries.
    ///
    /// # Errors
    /// [`WriteError::Stream`] if ids do not ascend or the parts do not fit together, and what it says of strings, iterators and
    /// expiries; the output's error.
    pub fn stream<P, F, V>(
        self,
        entries: impl IntoIterator<Item = (StreamId, P), IntoIter: Clone>,
        stream: &NewStream,
    ) -> Result<(), WriteError>
    where
        P: AsRef<[(F, V)]>,
        F: AsRef<[u8]>,
        V: AsRef<[u8]>,
    {
        let entries = entries.into_iter();
        self.write(|key| {
            let mut first = Window::new(stream, key.thresholds())?;
            let mut nodes = 0;
            for (id, fields) in entries.clone() {
                first.append(id, fields.as_ref())?;
                if first.stream.heap_bytes() > HELD_BYTES_MAX {
                    while first.stream.take_full_node().is_some() {
                        nodes += 1;
                    }
                }
            }
            first.end(stream)?;
            let kind = value::Stream::value_type(key.writer.out.layouts());
            if nodes == 0 {
                let out = key.begin(kind)?;
                return Ok(first.stream.encode(out)?);
            }
            nodes += first.stream.nodes().len();
            let mut again = Window::new(stream, first.thresholds)?;
            drop(first);
            let out = key.begin(kind)?;
            out.count(nodes)?;
            for (id, fields) in entries {
                again.append(id, fields.as_ref())?;
                while let Some((id, node)) = again.stream.take_full_node() {
                    out.stream_node(id, &node)?;
                    nodes -= 1;
                }
            }
            again.end(stream)?;
            for (id, node) in again.stream.nodes() {
                out.stream_node(id, node)?;
                nodes -= 1;
            }
            if nodes != 0 {
                return Err(WriteError::Iterator);
            }
            Ok(again.stream.encode_after_nodes(out)?)
        })
    }
}

/// A stream from which full nodes may be taken away while entries are appended.
struct Window {
    stream: value::Stream,
    thresholds: Thresholds,
}

impl Window {
    /// Creates a stream that has the groups and no entries yet.
    fn new(stream: &NewStream, thresholds: Thresholds) -> Result<Self, WriteError> {
        let object = codec::StreamObject {
            groups: stream.groups.iter().map(NewGroup::decoded).collect(),
            ..codec::StreamObject::default()
        };
        let stream = value::Stream::from_rdb(object).map_err(|error| match error {
            value::Error::Stream(what) => WriteError::Stream(what),
            _ => WriteError::Stream("group or consumer appears twice"),
        })?;
        Ok(Self { stream, thresholds })
    }

    fn append<F: AsRef<[u8]>, V: AsRef<[u8]>>(
        &mut self,
        id: StreamId,
        fields: &[(F, V)],
    ) -> Result<(), WriteError> {
        let pairs: Vec<_> = fields
            .iter()
            .map(|(name, value)| (name.as_ref(), value.as_ref()))
            .collect();
        if pairs.is_empty() {
            return Err(WriteError::Stream("entry has no fields"));
        }
        // An entry is in one node, which has a limit.
        let lengths = pairs.iter().map(|(name, value)| [name.len(), value.len()]);
        let bytes = lengths.flatten().fold(0, usize::saturating_add);
        if bytes > STRING_BYTES_MAX {
            return Err(WriteError::TooLong(bytes));
        }
        if self.stream.append(id, &pairs, &self.thresholds) {
            Ok(())
        } else {
            Err(WriteError::Stream("entries are not in ascending order"))
        }
    }

    /// Sets the counters, after the last entry.
    fn end(&mut self, stream: &NewStream) -> Result<(), WriteError> {
        let own = &mut self.stream;
        let last_id = stream.last_id.unwrap_or(own.last_id);
        let max_deleted_id = stream.max_deleted_id.unwrap_or_default();
        let entries_added = stream.entries_added.unwrap_or(own.entries_added);
        if last_id < own.last_id {
            return Err(WriteError::Stream("last id is below that of an entry"));
        }
        if last_id < max_deleted_id {
            return Err(WriteError::Stream(
                "last id is below that of a deleted entry",
            ));
        }
        if entries_added < own.entries_added {
            return Err(WriteError::Stream(
                "number of entries ever added is too low",
            ));
        }
        own.last_id = last_id;
        own.max_deleted_id = max_deleted_id;
        own.entries_added = entries_added;
        check_counters(own)
    }
}

/// Refuses counters that new servers refuse.
fn check_counters(stream: &value::Stream) -> Result<(), WriteError> {
    let added = stream.entries_added;
    if added > i64::MAX.unsigned_abs() || added < stream.len() as u64 {
        return Err(WriteError::Stream(
            "number of entries ever added does not match its length",
        ));
    }
    let mut read = stream.groups().values().map(value::Group::entries_read);
    if read.any(|read| read > Some(added)) {
        return Err(WriteError::Stream(
            "group has read more entries than were added",
        ));
    }
    Ok(())
}

/// Refuses counters of a stream that was read, if servers of the dump's version refuse them. Older ones wrote such.
pub(super) fn check_read(stream: &value::Stream, version: Version) -> Result<(), WriteError> {
    let has_counters = Layouts::of(version).stream() >= 2;
    if has_counters && !version.dialect().loads(Flaw::GroupAhead) {
        check_counters(stream)?;
    }
    Ok(())
}

impl NewGroup {
    /// The group as a decoder returns it.
    fn decoded(&self) -> codec::Group {
        let pending = self.consumers.iter().flat_map(|one| &one.pending);
        let mut pel: Vec<_> = pending
            .map(|entry| codec::Pending {
                id: entry.id,
                delivery_time_ms: entry.delivered_at_ms,
                delivery_count: entry.deliveries,
            })
            .collect();
        pel.sort_by_key(|entry| entry.id);
        let consumers = self.consumers.iter().map(|consumer| codec::Consumer {
            name: consumer.name.as_slice().into(),
            seen_time_ms: consumer.seen_at_ms,
            active_time_ms: consumer.active_at_ms.unwrap_or(-1),
            pending: consumer.pending.iter().map(|entry| entry.id).collect(),
        });
        // The largest number is above that of the entries ever added, which is checked.
        let read = self
            .entries_read
            .map(|read| i64::try_from(read).unwrap_or(i64::MAX));
        codec::Group {
            name: self.name.as_slice().into(),
            last_id: self.last_id,
            entries_read: read.unwrap_or(-1),
            pel,
            consumers: consumers.collect(),
            released: Vec::new(),
        }
    }
}

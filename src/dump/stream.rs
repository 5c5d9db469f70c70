//! Streams: entries, consumer groups, and what is pending.

use super::item::Item;
use crate::{
    rdb::{self, stream::StreamId},
    value,
};
use std::fmt;

/// A stream.
#[derive(Clone, Copy)]
pub struct Stream<'a> {
    stream: &'a value::Stream,
    /// The number of the layout. Older ones hold less.
    type_number: u8,
}

impl<'a> Stream<'a> {
    pub(super) const fn new(stream: &'a value::Stream, type_number: u8) -> Self {
        Self {
            stream,
            type_number,
        }
    }

    /// The number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.stream.len()
    }

    /// Whether there are no entries. An empty stream is a key like any other.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.stream.is_empty()
    }

    /// Iterates over the entries, from the oldest on. Deleted entries are left out.
    pub fn iter(&self) -> impl Iterator<Item = Entry<'a>> + use<'a> {
        self.stream.range(StreamId::MIN, StreamId::MAX).map(Entry)
    }

    /// The last id that was given to an entry, which may have been deleted since.
    #[must_use]
    pub const fn last_id(&self) -> StreamId {
        self.stream.last_id
    }

    /// The largest id that was deleted, 0-0 if none was; `None` if the dump is of a server before Redis 7.0.
    #[must_use]
    pub fn max_deleted_id(&self) -> Option<StreamId> {
        self.has_counters().then_some(self.stream.max_deleted_id)
    }

    /// The number of entries ever added; `None` if the dump is of a server before Redis 7.0.
    #[must_use]
    pub fn entries_added(&self) -> Option<u64> {
        self.has_counters().then_some(self.stream.entries_added)
    }

    /// Iterates over the consumer groups, in ascending byte order of their names.
    pub fn groups(&self) -> impl Iterator<Item = Group<'a>> + use<'a> {
        let stream = *self;
        let groups = self.stream.groups().iter();
        groups.map(move |(name, group)| Group {
            name,
            group,
            stream,
        })
    }

    /// Whether the layout holds the counters of all entries ever added.
    fn has_counters(&self) -> bool {
        rdb::type_name(self.type_number) != "stream"
    }

    /// Whether the layout holds the times at which consumers last received an entry.
    fn has_active_times(&self) -> bool {
        !matches!(rdb::type_name(self.type_number), "stream" | "stream-v2")
    }
}

impl fmt::Debug for Stream<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries: Vec<Entry<'_>> = self.iter().collect();
        let groups: Vec<Group<'_>> = self.groups().collect();
        f.debug_struct("Stream")
            .field("last_id", &self.last_id())
            .field("entries", &entries)
            .field("groups", &groups)
            .finish_non_exhaustive()
    }
}

/// An entry of a stream.
#[derive(Clone)]
pub struct Entry<'a>(value::Entry<'a>);

impl<'a> Entry<'a> {
    /// The entry's id.
    #[must_use]
    pub const fn id(&self) -> StreamId {
        self.0.id
    }

    /// The number of fields.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.fields
    }

    /// Whether there are no fields.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.fields == 0
    }

    /// Iterates over the fields and their values, in the order of XADD. A field may occur more than once.
    pub fn iter(&self) -> impl Iterator<Item = (Item<'a>, Item<'a>)> + use<'a> {
        let pairs = self.0.pairs();
        pairs.map(|(field, value)| (Item::of(field), Item::of(value)))
    }
}

impl fmt::Debug for Entry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.id())?;
        f.debug_list().entries(self.iter()).finish()
    }
}

/// A consumer group of a stream.
#[derive(Clone, Copy)]
pub struct Group<'a> {
    name: &'a [u8],
    group: &'a value::Group,
    stream: Stream<'a>,
}

impl<'a> Group<'a> {
    /// The group's name.
    #[must_use]
    pub const fn name(&self) -> &'a [u8] {
        self.name
    }

    /// The last id that was delivered to a consumer.
    #[must_use]
    pub const fn last_id(&self) -> StreamId {
        self.group.last_id
    }

    /// The number of entries that the group has read; `None` if the server did not know it or is older than Redis 7.0.
    #[must_use]
    pub fn entries_read(&self) -> Option<u64> {
        let read = self.group.entries_read;
        read.filter(|_| self.stream.has_counters())
    }

    /// Iterates over the entries that were delivered but not acknowledged, in ascending order of their ids.
    pub fn pending(&self) -> impl Iterator<Item = Pending<'a>> + use<'a> {
        let pending = self.group.pending().iter();
        pending.map(|(id, pending)| Pending {
            id: *id,
            consumer: &pending.owner,
            delivered_at_ms: pending.delivery_time_ms,
            deliveries: pending.delivery_count,
        })
    }

    /// Iterates over the consumers, in ascending byte order of their names.
    pub fn consumers(&self) -> impl Iterator<Item = Consumer<'a>> + use<'a> {
        let has_active_times = self.stream.has_active_times();
        let consumers = self.group.consumers().iter();
        consumers.map(move |(name, consumer)| Consumer {
            name,
            pending: consumer.pending,
            seen_at_ms: consumer.seen_time_ms,
            active_at_ms: Some(consumer.active_time_ms)
                .filter(|time| has_active_times && *time != NEVER),
        })
    }
}

impl fmt::Debug for Group<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pending: Vec<Pending<'_>> = self.pending().collect();
        let consumers: Vec<Consumer<'_>> = self.consumers().collect();
        f.debug_struct("Group")
            .field("name", &Item::Bytes(self.name))
            .field("last_id", &self.last_id())
            .field("pending", &pending)
            .field("consumers", &consumers)
            .finish_non_exhaustive()
    }
}

/// An entry that was delivered to a consumer but not acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pending<'a> {
    /// The entry's id. The entry itself may have been deleted.
    pub id: StreamId,
    /// The name of the consumer that has it.
    pub consumer: &'a [u8],
    /// When it was last delivered, Unix time in milliseconds.
    pub delivered_at_ms: i64,
    /// How often it was delivered.
    pub deliveries: u64,
}

/// A consumer of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Consumer<'a> {
    /// The consumer's name.
    pub name: &'a [u8],
    /// The number of its pending entries.
    pub pending: usize,
    /// When it last tried to read, Unix time in milliseconds.
    pub seen_at_ms: i64,
    /// When it last received an entry, Unix time in milliseconds; `None` if it never did or the dump is of a server before
    /// Redis 7.2.
    pub active_at_ms: Option<i64>,
}

/// Written instead of the time of something that has not happened.
const NEVER: i64 = -1;

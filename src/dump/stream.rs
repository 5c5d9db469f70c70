//! Streams: entries, consumer groups, what is pending, and idempotent producers.

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

    /// The bytes of each listpack that holds entries.
    pub(super) fn nodes(&self) -> impl Iterator<Item = usize> + use<'a> {
        self.stream.nodes().map(|(_, packed)| packed.byte_len())
    }

    pub(super) const fn held(&self) -> &'a value::Stream {
        self.stream
    }

    pub(super) fn held_bytes(&self) -> usize {
        size_of::<value::Stream>() + self.stream.heap_bytes()
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

    /// The idempotent producers and their settings; `None` if the dump is of a server before Redis 8.6.
    #[must_use]
    pub fn idempotence(&self) -> Option<Idempotence<'a>> {
        let idmp = self.stream.idmp().filter(|_| self.has_producers());
        idmp.map(|idmp| Idempotence { idmp })
    }

    /// Whether the layout holds idempotent producers.
    fn has_producers(&self) -> bool {
        matches!(rdb::type_name(self.type_number), "stream-v4" | "stream-v5")
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

/// The idempotent producers of a stream, and their settings: a server does not add the entry of a producer that has added one
/// under the same id before (XADD IDMP).
#[derive(Clone, Copy)]
pub struct Idempotence<'a> {
    idmp: &'a value::Idmp,
}

impl<'a> Idempotence<'a> {
    /// For how many seconds an id is known.
    #[must_use]
    pub const fn duration_s(&self) -> u64 {
        self.idmp.duration_s()
    }

    /// How many ids of a producer are known at most.
    #[must_use]
    pub const fn entries_max(&self) -> u64 {
        self.idmp.entries_max()
    }

    /// How many ids were ever added.
    #[must_use]
    pub const fn added(&self) -> u64 {
        self.idmp.added
    }

    /// How many entries were not added because their ids were known.
    #[must_use]
    pub const fn duplicates(&self) -> u64 {
        self.idmp.duplicates
    }

    /// Iterates over the producers, in ascending byte order of their names. Ids that have become too old since are included.
    pub fn producers(&self) -> impl Iterator<Item = Producer<'a>> + use<'a> {
        let producers = self.idmp.producers(None);
        producers.map(|(name, known)| Producer { name, known })
    }
}

impl fmt::Debug for Idempotence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let producers: Vec<Producer<'_>> = self.producers().collect();
        f.debug_struct("Idempotence")
            .field("duration_s", &self.duration_s())
            .field("entries_max", &self.entries_max())
            .field("producers", &producers)
            .finish_non_exhaustive()
    }
}

/// An idempotent producer.
#[derive(Clone)]
pub struct Producer<'a> {
    name: &'a [u8],
    known: value::Known<'a>,
}

impl<'a> Producer<'a> {
    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &'a [u8] {
        self.name
    }

    /// The number of ids.
    #[must_use]
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether there are no ids. A producer in a dump has some.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Iterates over its ids, from the oldest on, and the entries that it has added under them.
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], StreamId)> + use<'a> {
        self.known.iter()
    }
}

impl fmt::Debug for Producer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<_> = self
            .iter()
            .map(|(iid, id)| (Item::Bytes(iid), id))
            .collect();
        f.debug_struct("Producer")
            .field("name", &Item::Bytes(self.name))
            .field("ids", &ids)
            .finish()
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
        let read = self.group.entries_read();
        read.filter(|_| self.stream.has_counters())
    }

    /// Iterates over the entries that were delivered but not acknowledged, in ascending order of their ids.
    pub fn pending(&self) -> impl Iterator<Item = Pending<'a>> + use<'a> {
        let pending = self.group.pending().iter();
        pending.map(|(id, pending)| Pending {
            id: *id,
            consumer: pending.owner.as_deref(),
            delivered_at_ms: pending.delivery_time_ms(),
            deliveries: pending.delivery_count,
        })
    }

    /// Returns the ids of the pending entries that XNACK has released and no consumer has claimed since, in the order of their
    /// release: the next consumers get them in this order.
    #[must_use]
    pub fn released(&self) -> Vec<StreamId> {
        self.group.released()
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
    /// The name of the consumer that has it; `None` if XNACK has released it, so that any consumer may claim it.
    pub consumer: Option<&'a [u8]>,
    /// When it was last delivered, Unix time in milliseconds; 0 if it was released.
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

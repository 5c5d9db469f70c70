//! A stream as JSON.

use super::text::{Binary, Text};
use crate::{
    rdb::{packed::Item, stream::StreamId, type_name},
    value::{Entry, Group, Stream},
};
use serde::{Serialize, Serializer};

/// A stream, and how to write it.
pub(super) struct StreamValue {
    stream: Stream,
    type_number: u8,
    binary: Binary,
}

/// The stream's own members.
#[derive(Serialize)]
struct Whole<E, G> {
    length: usize,
    last_id: Id,
    max_deleted_id: Option<Id>,
    entries_added: Option<u64>,
    entries: E,
    groups: G,
}

#[derive(Serialize)]
struct GroupLine<'a> {
    name: Text<'a>,
    last_id: Id,
    entries_read: Option<u64>,
    pending: Vec<PendingLine<'a>>,
    consumers: Vec<ConsumerLine<'a>>,
}

#[derive(Serialize)]
struct PendingLine<'a> {
    id: Id,
    consumer: Text<'a>,
    delivered_ms: i64,
    deliveries: u64,
}

#[derive(Serialize)]
struct ConsumerLine<'a> {
    name: Text<'a>,
    seen_ms: i64,
    active_ms: Option<i64>,
}

impl StreamValue {
    /// Creates the value of a stream that was written with this type number.
    pub(super) fn new(stream: Stream, type_number: u8, binary: Binary) -> Self {
        Self {
            stream,
            type_number,
            binary,
        }
    }

    /// Whether the layout holds the counters of all entries ever added.
    fn has_counters(&self) -> bool {
        type_name(self.type_number) != "stream"
    }

    /// Whether the layout holds the times at which consumers last received an entry.
    fn has_active_times(&self) -> bool {
        !matches!(type_name(self.type_number), "stream" | "stream-v2")
    }

    fn text<'a>(&self, item: Item<'a>) -> Text<'a> {
        Text {
            item,
            binary: self.binary,
        }
    }

    fn entry<'a>(&self, entry: &Entry<'a>) -> (Id, Vec<(Text<'a>, Text<'a>)>) {
        let pairs = entry.pairs();
        let pairs = pairs.map(|(field, value)| (self.text(field), self.text(value)));
        (Id(entry.id), pairs.collect())
    }

    fn group<'a>(&self, name: &'a [u8], group: &'a Group) -> GroupLine<'a> {
        let pending = group.pending().iter().map(|(id, pending)| PendingLine {
            id: Id(*id),
            consumer: self.text(Item::Str(&pending.owner)),
            delivered_ms: pending.delivery_time_ms,
            deliveries: pending.delivery_count,
        });
        let consumers = group
            .consumers()
            .iter()
            .map(|(name, consumer)| ConsumerLine {
                name: self.text(Item::Str(name)),
                seen_ms: consumer.seen_time_ms,
                active_ms: Some(consumer.active_time_ms)
                    .filter(|time| self.has_active_times() && *time != -1),
            });
        GroupLine {
            name: self.text(Item::Str(name)),
            last_id: Id(group.last_id),
            entries_read: group.entries_read.filter(|_| self.has_counters()),
            pending: pending.collect(),
            consumers: consumers.collect(),
        }
    }
}

impl Serialize for StreamValue {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let stream = &self.stream;
        let counters = Some(stream).filter(|_| self.has_counters());
        Whole {
            length: stream.len(),
            last_id: Id(stream.last_id),
            max_deleted_id: counters.map(|stream| Id(stream.max_deleted_id)),
            entries_added: counters.map(|stream| stream.entries_added),
            entries: Seq(|| {
                stream
                    .range(StreamId::MIN, StreamId::MAX)
                    .map(|entry| self.entry(&entry))
            }),
            groups: Seq(|| {
                stream
                    .groups()
                    .iter()
                    .map(|(name, group)| self.group(name, group))
            }),
        }
        .serialize(to)
    }
}

/// An array, produced while it is written.
struct Seq<F>(F);

impl<F: Fn() -> I, I: Iterator<Item: Serialize>> Serialize for Seq<F> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq((self.0)())
    }
}

/// An id in its usual form, `ms-seq`.
struct Id(StreamId);

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

//! A stream as JSON.

use super::text::Text;
use crate::dump::{Entry, Group, Stream, StreamId};
use serde::{Serialize, Serializer};

/// A stream.
pub(super) struct StreamValue<'a>(pub(super) Stream<'a>);

/// The stream's own members.
#[derive(Serialize)]
struct Whole<'a, E, G> {
    length: usize,
    last_id: Id,
    max_deleted_id: Option<Id>,
    entries_added: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    idempotence: Option<IdempotenceLine<'a>>,
    entries: E,
    groups: G,
}

#[derive(Serialize)]
struct IdempotenceLine<'a> {
    duration_s: u64,
    entries_max: u64,
    added: u64,
    duplicates: u64,
    producers: Vec<ProducerLine<'a>>,
}

#[derive(Serialize)]
struct ProducerLine<'a> {
    name: Text<'a>,
    ids: Vec<(Text<'a>, Id)>,
}

#[derive(Serialize)]
struct GroupLine<'a> {
    name: Text<'a>,
    last_id: Id,
    entries_read: Option<u64>,
    pending: Vec<PendingLine<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    released: Vec<Id>,
    consumers: Vec<ConsumerLine<'a>>,
}

#[derive(Serialize)]
struct PendingLine<'a> {
    id: Id,
    consumer: Option<Text<'a>>,
    delivered_ms: i64,
    deliveries: u64,
}

#[derive(Serialize)]
struct ConsumerLine<'a> {
    name: Text<'a>,
    seen_ms: i64,
    active_ms: Option<i64>,
}

impl<'a> StreamValue<'a> {
    fn entry(&self, entry: &Entry<'a>) -> (Id, Vec<(Text<'a>, Text<'a>)>) {
        let pairs = entry.iter();
        let pairs = pairs.map(|(field, value)| (Text(field), Text(value)));
        (Id(entry.id()), pairs.collect())
    }

    fn group(&self, group: &Group<'a>) -> GroupLine<'a> {
        let pending = group.pending().map(|pending| PendingLine {
            id: Id(pending.id),
            consumer: pending.consumer.map(Text::of),
            delivered_ms: pending.delivered_at_ms,
            deliveries: pending.deliveries,
        });
        let consumers = group.consumers().map(|consumer| ConsumerLine {
            name: Text::of(consumer.name),
            seen_ms: consumer.seen_at_ms,
            active_ms: consumer.active_at_ms,
        });
        GroupLine {
            name: Text::of(group.name()),
            last_id: Id(group.last_id()),
            entries_read: group.entries_read(),
            pending: pending.collect(),
            released: group.released().into_iter().map(Id).collect(),
            consumers: consumers.collect(),
        }
    }
}

impl<'a> StreamValue<'a> {
    fn idempotence(&self) -> Option<IdempotenceLine<'a>> {
        let idempotence = self.0.idempotence()?;
        let producers = idempotence.producers().map(|producer| ProducerLine {
            name: Text::of(producer.name()),
            ids: producer
                .iter()
                .map(|(iid, id)| (Text::of(iid), Id(id)))
                .collect(),
        });
        Some(IdempotenceLine {
            duration_s: idempotence.duration_s(),
            entries_max: idempotence.entries_max(),
            added: idempotence.added(),
            duplicates: idempotence.duplicates(),
            producers: producers.collect(),
        })
    }
}

impl Serialize for StreamValue<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let stream = self.0;
        Whole {
            length: stream.len(),
            last_id: Id(stream.last_id()),
            max_deleted_id: stream.max_deleted_id().map(Id),
            entries_added: stream.entries_added(),
            idempotence: self.idempotence(),
            entries: Seq(|| stream.iter().map(|entry| self.entry(&entry))),
            groups: Seq(|| stream.groups().map(|group| self.group(&group))),
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

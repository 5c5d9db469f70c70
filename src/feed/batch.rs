//! Facts in a row.

use std::ops::Range;

use super::class::Class;
use super::interest::Interest;
use super::mark::Mark;
use crate::history::ReplId;

/// What happened, without its bytes.
#[derive(Debug, Clone, Copy)]
pub(super) enum What {
    Event {
        class: Class,
        event: &'static str,
        kind: &'static str,
    },
    Touch,
    Doubt,
    DoubtOfEverything,
    Flushed,
    Swapped {
        other: u32,
    },
    Replaced {
        told: bool,
    },
    Message {
        sharded: bool,
        channel_bytes: usize,
    },
    Command,
}

impl What {
    /// The interest that it is noted for; none if every listener must learn of it.
    const fn interest(self) -> Interest {
        match self {
            Self::Event { class, .. } if class.has(Class::KEY_MISS) => Interest::MISSES,
            Self::Event { .. } => Interest::EVENTS,
            Self::Touch => Interest::TOUCHES,
            Self::Message { .. } => Interest::MESSAGES,
            Self::Command => Interest::COMMANDS,
            Self::Doubt
            | Self::DoubtOfEverything
            | Self::Flushed
            | Self::Swapped { .. }
            | Self::Replaced { .. } => Interest::NONE,
        }
    }
}

/// One fact: where it belongs, and where its bytes end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record {
    offset: u64,
    db: u32,
    what: What,
    end: usize,
}

impl Record {
    pub(super) fn of(db: usize, what: What) -> Self {
        Self {
            offset: 0,
            db: u32::try_from(db).unwrap_or(u32::MAX),
            what,
            end: 0,
        }
    }
}

/// Facts in the order in which they happened, with their bytes in one piece.
#[derive(Debug, Default)]
pub struct Batch {
    records: Vec<Record>,
    bytes: Vec<u8>,
    /// How many of the records are committed.
    committed: usize,
    /// The history that it belongs to; `None` before the first one.
    replid: Option<ReplId>,
    mark: Option<Mark>,
}

/// One change of the data, or a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change<'a> {
    /// The replication offset from which it is visible. Changes with the same offset became visible together.
    pub offset: u64,
    /// The database, 0 where there is none.
    pub db: usize,
    /// What happened.
    pub fact: Fact<'a>,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact<'a> {
    /// Something happened to a key. The name of the event is that of a keyspace notification, or of the command if servers
    /// publish none.
    Event {
        /// The class of the notification, none if servers publish none.
        class: Class,
        /// What happened.
        event: &'static str,
        /// The word of TYPE for the value after the event, or for the one that is gone; empty if it is not known.
        kind: &'static str,
        /// The key.
        key: &'a [u8],
    },
    /// What a client has cached about this key may be wrong.
    Touch {
        /// The key.
        key: &'a [u8],
    },
    /// Nothing is known about this key any more: reads of it answer TAINTED.
    Doubt {
        /// The key.
        key: &'a [u8],
    },
    /// Nothing is known about any key any more.
    DoubtOfEverything,
    /// The database was emptied.
    Flushed,
    /// The database and this one changed places.
    Swapped {
        /// The other database.
        other: usize,
    },
    /// Everything may have changed at once: a snapshot has replaced the data, or hidden keys have appeared.
    Replaced {
        /// Whether the differences follow, as events and touches with the same offset.
        told: bool,
    },
    /// A message.
    Message {
        /// Whether the channel is a shard's.
        sharded: bool,
        /// The channel.
        channel: &'a [u8],
        /// The message.
        payload: &'a [u8],
    },
    /// A write, as RESP: an array of bulk strings.
    Command {
        /// The bytes of the array.
        resp: &'a [u8],
    },
}

impl Batch {
    /// A batch without changes.
    pub(super) fn of_mark(mark: Mark) -> Self {
        Self {
            mark: Some(mark),
            ..Self::default()
        }
    }

    pub(super) const fn mark(&self) -> Option<Mark> {
        self.mark
    }

    pub(super) const fn replid(&self) -> Option<ReplId> {
        self.replid
    }

    pub(super) const fn set_replid(&mut self, replid: Option<ReplId>) {
        self.replid = replid;
    }

    pub(super) fn push(&mut self, mut record: Record, parts: &[&[u8]]) {
        for part in parts {
            self.bytes.extend_from_slice(part);
        }
        record.end = self.bytes.len();
        self.records.push(record);
    }

    pub(super) fn push_command<'w>(
        &mut self,
        db: usize,
        words: impl ExactSizeIterator<Item = &'w [u8]>,
    ) {
        let mut number = itoa::Buffer::new();
        let mut head = |bytes: &mut Vec<u8>, mark: u8, count: usize| {
            bytes.push(mark);
            bytes.extend_from_slice(number.format(count).as_bytes());
            bytes.extend_from_slice(b"\r\n");
        };
        head(&mut self.bytes, b'*', words.len());
        for word in words {
            head(&mut self.bytes, b'$', word.len());
            self.bytes.extend_from_slice(word);
            self.bytes.extend_from_slice(b"\r\n");
        }
        self.push(Record::of(db, What::Command), &[]);
    }

    pub(super) fn events_since_commit(&self) -> usize {
        let pending = self.records.get(self.committed..).unwrap_or_default();
        let events = pending
            .iter()
            .filter(|record| record.what.interest() == Interest::EVENTS);
        events.count()
    }

    pub(super) fn commit(&mut self, offset: u64) {
        let pending = self.records.get_mut(self.committed..);
        for record in pending.unwrap_or_default() {
            record.offset = offset;
        }
        self.committed = self.records.len();
    }

    pub(super) fn discard(&mut self) {
        self.records.truncate(self.committed);
        let end = self.records.last().map_or(0, |record| record.end);
        self.bytes.truncate(end);
    }

    /// Takes what is committed, and keeps the rest.
    pub(super) fn take_committed(&mut self) -> Self {
        let mut rest = Self::default();
        if self.committed < self.records.len() {
            let end = self.span(self.committed).start;
            rest.records = self.records.split_off(self.committed);
            rest.bytes = self.bytes.split_off(end);
            rest.records.iter_mut().for_each(|record| record.end -= end);
        }
        std::mem::replace(self, rest)
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The number of changes.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.records.len()
    }

    /// Bytes that it takes.
    #[must_use]
    pub const fn memory_bytes(&self) -> usize {
        self.records.capacity() * size_of::<Record>() + self.bytes.capacity()
    }

    /// The offset of the last change.
    #[must_use]
    pub fn last_offset(&self) -> Option<u64> {
        self.records.last().map(|record| record.offset)
    }

    fn span(&self, index: usize) -> Range<usize> {
        let start = match index.checked_sub(1) {
            Some(before) => self.records.get(before).map_or(0, |record| record.end),
            None => 0,
        };
        start..self.records.get(index).map_or(start, |record| record.end)
    }

    /// The changes that a listener with this interest learns of, in order.
    pub fn changes(&self, interest: Interest) -> impl Iterator<Item = Change<'_>> {
        let records = self.records.iter().enumerate();
        records
            .filter(move |(_, record)| interest.has(record.what.interest()))
            .map(|(index, record)| self.change(index, *record))
    }

    fn change(&self, index: usize, record: Record) -> Change<'_> {
        let bytes = self.bytes.get(self.span(index)).unwrap_or_default();
        let fact = match record.what {
            What::Event { class, event, kind } => Fact::Event {
                class,
                event,
                kind,
                key: bytes,
            },
            What::Touch => Fact::Touch { key: bytes },
            What::Doubt => Fact::Doubt { key: bytes },
            What::DoubtOfEverything => Fact::DoubtOfEverything,
            What::Flushed => Fact::Flushed,
            What::Swapped { other } => Fact::Swapped {
                other: other as usize,
            },
            What::Replaced { told } => Fact::Replaced { told },
            What::Message {
                sharded,
                channel_bytes,
            } => {
                let (channel, payload) = bytes.split_at(channel_bytes.min(bytes.len()));
                Fact::Message {
                    sharded,
                    channel,
                    payload,
                }
            }
            What::Command => Fact::Command { resp: bytes },
        };
        Change {
            offset: record.offset,
            db: record.db as usize,
            fact,
        }
    }
}

//! Consumer groups.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::rdb::stream::{self, StreamId};
use crate::value::Error;

/// A consumer group.
#[derive(Debug, Clone, Default)]
pub struct Group {
    /// The last id delivered.
    pub last_id: StreamId,
    /// The number of entries that the group has read; `None` if unknown.
    pub entries_read: Option<u64>,
    /// Entries that were delivered but not acknowledged.
    pending: BTreeMap<StreamId, Pending>,
    consumers: BTreeMap<Arc<[u8]>, Consumer>,
}

/// An entry that was delivered but not acknowledged.
#[derive(Debug, Clone)]
pub struct Pending {
    /// The name of the consumer that has it.
    pub owner: Arc<[u8]>,
    /// When it was last delivered, as Unix time in milliseconds.
    pub delivery_time_ms: i64,
    /// How often it was delivered.
    pub delivery_count: u64,
}

/// A consumer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Consumer {
    /// When it last tried to read, as Unix time in milliseconds.
    pub seen_time_ms: i64,
    /// When it last received something, as Unix time in milliseconds; -1 if never.
    pub active_time_ms: i64,
    /// The number of its pending entries.
    pub pending: usize,
}

/// The approximate size of a pending entry in its tree.
const PENDING_BYTES: usize = size_of::<(StreamId, Pending)>() * 3 / 2;
/// The approximate size of a consumer, with twenty bytes for its name.
const CONSUMER_BYTES: usize = size_of::<(Arc<[u8]>, Consumer)>() * 3 / 2 + 36;

impl Group {
    /// Creates a group to which everything up to `last_id` was delivered.
    #[must_use]
    pub fn new(last_id: StreamId, entries_read: Option<u64>) -> Self {
        Self {
            last_id,
            entries_read,
            ..Self::default()
        }
    }

    /// Creates a group from a decoded one.
    ///
    /// # Errors
    /// If there is a duplicate consumer, or a pending entry does not have exactly one owner.
    pub(super) fn from_rdb(group: stream::Group) -> Result<Self, Error> {
        let mut new = Self::new(group.last_id, u64::try_from(group.entries_read).ok());
        let mut owners = BTreeMap::new();
        for consumer in group.consumers {
            let name: Arc<[u8]> = consumer.name.into();
            for id in &consumer.pending {
                if owners.insert(*id, Arc::clone(&name)).is_some() {
                    return Err(Error::Stream("pending entry has two owners"));
                }
            }
            let consumer = Consumer {
                seen_time_ms: consumer.seen_time_ms,
                active_time_ms: consumer.active_time_ms,
                pending: consumer.pending.len(),
            };
            if new.consumers.insert(name, consumer).is_some() {
                return Err(Error::Duplicate);
            }
        }
        for pending in group.pel {
            let owner = owners
                .remove(&pending.id)
                .ok_or(Error::Stream("pending entry has no owner"))?;
            let entry = Pending {
                owner,
                delivery_time_ms: pending.delivery_time_ms,
                delivery_count: pending.delivery_count,
            };
            new.pending.insert(pending.id, entry);
        }
        if owners.is_empty() {
            Ok(new)
        } else {
            Err(Error::Stream(
                "consumer has a pending entry that its group does not have",
            ))
        }
    }

    /// The approximate number of bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.pending.len() * PENDING_BYTES + self.consumers.len() * CONSUMER_BYTES
    }

    /// The pending entries, ascending.
    #[must_use]
    pub const fn pending(&self) -> &BTreeMap<StreamId, Pending> {
        &self.pending
    }

    /// The consumers, in ascending byte order of their names.
    #[must_use]
    pub const fn consumers(&self) -> &BTreeMap<Arc<[u8]>, Consumer> {
        &self.consumers
    }

    /// Returns the consumer with this name, and whether it was created because there was none.
    pub fn consumer(&mut self, name: &[u8], now_ms: i64) -> (&mut Consumer, bool) {
        let new = !self.consumers.contains_key(name);
        let consumer = self
            .consumers
            .entry(name.into())
            .or_insert_with(|| Consumer {
                seen_time_ms: now_ms,
                active_time_ms: -1,
                pending: 0,
            });
        (consumer, new)
    }

    /// Removes a consumer and its pending entries. Returns how many entries that were, or `None` if there is no such consumer.
    pub fn remove_consumer(&mut self, name: &[u8]) -> Option<usize> {
        let consumer = self.consumers.remove(name)?;
        // Names that are used only once are common, and so are many entries of other consumers.
        if consumer.pending > 0 {
            self.pending.retain(|_, pending| *pending.owner != *name);
        }
        Some(consumer.pending)
    }

    /// Removes a pending entry. Returns whether it existed.
    pub fn acknowledge(&mut self, id: StreamId) -> bool {
        let Some(pending) = self.pending.remove(&id) else {
            return false;
        };
        if let Some(consumer) = self.consumers.get_mut(&pending.owner) {
            consumer.pending = consumer.pending.saturating_sub(1);
        }
        true
    }

    /// Makes `name` the owner of an entry. The consumer must exist.
    pub fn assign(
        &mut self,
        id: StreamId,
        name: &[u8],
        delivery_time_ms: i64,
        delivery_count: u64,
    ) {
        let Some((owner, _)) = self.consumers.get_key_value(name) else {
            unreachable!("a pending entry goes to a consumer that does not exist")
        };
        let owner = Arc::clone(owner);
        self.acknowledge(id);
        let pending = Pending {
            owner,
            delivery_time_ms,
            delivery_count,
        };
        self.pending.insert(id, pending);
        if let Some(consumer) = self.consumers.get_mut(name) {
            consumer.pending += 1;
        }
    }
}

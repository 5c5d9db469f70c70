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
    /// The number of entries that the group has read.
    entries_read: EntriesRead,
    /// How many entries have been released so far: the next one's place.
    releases: i64,
    /// Entries that were delivered but not acknowledged.
    pending: BTreeMap<StreamId, Pending>,
    consumers: BTreeMap<Arc<[u8]>, Consumer>,
}

/// A number of entries, in one word; -1 if unknown.
#[derive(Debug, Clone, Copy)]
struct EntriesRead(i64);

impl EntriesRead {
    const UNKNOWN: Self = Self(-1);
}

impl Default for EntriesRead {
    fn default() -> Self {
        Self::UNKNOWN
    }
}

/// An entry that was delivered but not acknowledged.
#[derive(Debug, Clone)]
pub struct Pending {
    /// The name of the consumer that has it; `None` if XNACK has released it.
    pub owner: Option<Arc<[u8]>>,
    /// When it was last delivered, as Unix time in milliseconds. If it was released, its place among those that were.
    when: i64,
    /// How often it was delivered.
    pub delivery_count: u64,
}

impl Pending {
    /// When it was last delivered, as Unix time in milliseconds; 0 if it was released.
    #[must_use]
    pub const fn delivery_time_ms(&self) -> i64 {
        if self.owner.is_some() { self.when } else { 0 }
    }

    /// The name of the consumer that has it, as servers show it: empty if it was released.
    #[must_use]
    pub fn owner_shown(&self) -> &[u8] {
        self.owner.as_deref().unwrap_or_default()
    }
}

/// How XNACK changes the number of deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recount {
    /// To this number.
    To(u64),
    /// The last delivery does not count: `SILENT`.
    Undo,
    /// Not at all: `FAIL`.
    Keep,
    /// To the largest number, because it must not be delivered again: `FATAL`.
    Exhaust,
}

impl Recount {
    const fn of(self, count: u64) -> u64 {
        match self {
            Self::To(count) => count,
            Self::Undo => count.saturating_sub(1),
            Self::Keep => count,
            Self::Exhaust => DELIVERIES_MAX,
        }
    }
}

/// The number of deliveries of an entry that must not be delivered again. Source: redis 8.8 t_stream.c, `xnackCommand`.
pub const DELIVERIES_MAX: u64 = i64::MAX.unsigned_abs();

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
        let mut group = Self {
            last_id,
            ..Self::default()
        };
        group.set_entries_read(entries_read);
        group
    }

    /// The number of entries that the group has read; `None` if unknown.
    #[must_use]
    pub fn entries_read(&self) -> Option<u64> {
        u64::try_from(self.entries_read.0).ok()
    }

    /// Sets the number of entries that the group has read; `None`, or a number above `i64::MAX`, if unknown.
    pub fn set_entries_read(&mut self, entries_read: Option<u64>) {
        let read = entries_read.and_then(|read| i64::try_from(read).ok());
        self.entries_read = read.map_or(EntriesRead::UNKNOWN, EntriesRead);
    }

    /// Creates a group from a decoded one.
    ///
    /// # Errors
    /// If there is a duplicate consumer, or a pending entry neither has exactly one owner nor was released.
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
        let mut places = BTreeMap::new();
        for id in group.released {
            // As on a server, an entry that appears twice goes to the end.
            places.insert(id, new.next_place());
        }
        for pending in group.pel {
            let (owner, when) = match (owners.remove(&pending.id), places.remove(&pending.id)) {
                (Some(owner), None) => (Some(owner), pending.delivery_time_ms),
                (None, Some(place)) => (None, place),
                (None, None) => return Err(Error::Stream("pending entry has no owner")),
                (Some(_), Some(_)) => return Err(Error::Stream("released entry has an owner")),
            };
            let entry = Pending {
                owner,
                when,
                delivery_count: pending.delivery_count,
            };
            new.pending.insert(pending.id, entry);
        }
        if owners.is_empty() && places.is_empty() {
            Ok(new)
        } else {
            Err(Error::Stream(
                "consumer has, or lost, a pending entry that its group does not have",
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
            self.pending
                .retain(|_, pending| pending.owner.as_deref() != Some(name));
        }
        Some(consumer.pending)
    }

    /// Removes a pending entry. Returns whether it existed.
    pub fn acknowledge(&mut self, id: StreamId) -> bool {
        let Some(pending) = self.pending.remove(&id) else {
            return false;
        };
        self.disown(&pending);
        true
    }

    /// Counts an entry no longer as its owner's.
    fn disown(&mut self, pending: &Pending) {
        let owner = pending.owner.as_ref();
        if let Some(consumer) = owner.and_then(|owner| self.consumers.get_mut(owner)) {
            consumer.pending = consumer.pending.saturating_sub(1);
        }
    }

    /// Takes an entry from its owner, so that any consumer may claim it. It becomes the last one of those released. Returns
    /// false, and does nothing, if it is not pending.
    ///
    /// Source: redis 8.8 t_stream.c, `xnackCommand`; from its text, no server of this version was asked.
    pub fn release(&mut self, id: StreamId, recount: Recount) -> bool {
        let Some(pending) = self.pending.remove(&id) else {
            return false;
        };
        self.disown(&pending);
        self.put_released(id, recount.of(pending.delivery_count));
        true
    }

    /// Makes an entry pending that was not, and that no consumer has.
    pub fn force_released(&mut self, id: StreamId, recount: Recount) {
        self.put_released(id, recount.of(0));
    }

    fn put_released(&mut self, id: StreamId, delivery_count: u64) {
        let pending = Pending {
            owner: None,
            when: self.next_place(),
            delivery_count,
        };
        self.pending.insert(id, pending);
    }

    const fn next_place(&mut self) -> i64 {
        self.releases += 1;
        self.releases
    }

    /// The number of entries that were released and not claimed since.
    #[must_use]
    pub fn released_count(&self) -> usize {
        let owned: usize = self.consumers.values().map(|one| one.pending).sum();
        self.pending.len().saturating_sub(owned)
    }

    /// The entries that were released and not claimed since, in the order of their release.
    #[must_use]
    pub fn released(&self) -> Vec<StreamId> {
        if self.released_count() == 0 {
            return Vec::new();
        }
        let pending = self.pending.iter();
        let mut released: Vec<_> = pending
            .filter(|(_, pending)| pending.owner.is_none())
            .map(|(id, pending)| (pending.when, *id))
            .collect();
        released.sort_unstable();
        released.into_iter().map(|(_, id)| id).collect()
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
            owner: Some(owner),
            when: delivery_time_ms,
            delivery_count,
        };
        self.pending.insert(id, pending);
        if let Some(consumer) = self.consumers.get_mut(name) {
            consumer.pending += 1;
        }
    }
}

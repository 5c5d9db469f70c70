//! The large form: members by hash, and in order.

use std::cmp::Ordering;

use ahash::RandomState;
use hashbrown::HashTable;

use super::order::{Ids, Order, Place};
use super::{Change, ascending};

/// A member and its score.
#[derive(Debug, Clone)]
struct Slot {
    member: Box<[u8]>,
    score: f64,
}

/// Members in slots, found by hash or by rank.
#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    /// Free ones hold an empty member.
    slots: Vec<Slot>,
    free: Vec<u32>,
    index: HashTable<u32>,
    order: Order,
    hasher: RandomState,
    member_bytes: usize,
    /// Changes whenever entries of `index` may have moved.
    epoch: u32,
}

impl Table {
    /// A table of these members; `None` when one stands twice.
    pub(super) fn new(members: impl ExactSizeIterator<Item = (Box<[u8]>, f64)>) -> Option<Self> {
        let mut table = Self {
            slots: Vec::with_capacity(members.len()),
            index: HashTable::with_capacity(members.len()),
            ..Self::default()
        };
        for (member, score) in members {
            let hash = table.hasher.hash_one(&*member);
            if table.find(hash, &member).is_some() {
                return None;
            }
            table.add(hash, member, score);
        }
        let mut ids: Vec<u32> = (0..).take(table.slots.len()).collect();
        ids.sort_unstable_by(|one, other| table.compare(*one, *other));
        table.order = Order::new(&ids);
        Some(table)
    }

    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// Bytes on the heap, this block not counted.
    pub(super) fn heap_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>()
            + self.free.capacity() * size_of::<u32>()
            + self.index.allocation_size()
            + self.order.heap_bytes()
            + self.member_bytes
    }

    pub(super) fn score(&self, member: &[u8]) -> Option<f64> {
        let id = self.find(self.hasher.hash_one(member), member)?;
        Some(self.slot(id)?.score)
    }

    /// How many members stand before this one.
    pub(super) fn rank(&self, member: &[u8]) -> Option<usize> {
        let score = self.score(member)?;
        Some(self.order.rank(self.place(score, member)))
    }

    pub(super) fn insert(&mut self, member: &[u8], score: f64) -> Change {
        let hash = self.hasher.hash_one(member);
        let Some(id) = self.find(hash, member) else {
            let place = self.place(score, member);
            let id = self.add(hash, member.into(), score);
            self.order.insert(place, id);
            return Change::Added;
        };
        let old = self.slot(id).map_or(score, |slot| slot.score);
        #[expect(
            clippy::float_cmp,
            reason = "as Redis does: only another number moves a member"
        )]
        if old == score {
            return Change::Same;
        }
        self.order.remove(self.place(old, member));
        if let Some(slot) = self.slots.get_mut(id as usize) {
            slot.score = score;
        }
        self.order.insert(self.place(score, member), id);
        Change::Updated
    }

    pub(super) fn remove(&mut self, member: &[u8]) -> bool {
        let hash = self.hasher.hash_one(member);
        let slots = &self.slots;
        let found = self.index.find_entry(hash, |id| holds(slots, *id, member));
        let Ok(entry) = found else {
            return false;
        };
        let (id, _) = entry.remove();
        let score = self.slot(id).map_or(0.0, |slot| slot.score);
        self.order.remove(self.place(score, member));
        if let Some(slot) = self.slots.get_mut(id as usize) {
            self.member_bytes -= slot.member.len();
            slot.member = Box::default();
        }
        self.free.push(id);
        true
    }

    /// Members with ranks in `range`, which must lie inside, from either end.
    pub(super) fn range(&self, range: std::ops::Range<usize>) -> Members<'_> {
        Members {
            slots: &self.slots,
            ids: self.order.range(range),
        }
    }

    /// How many leading members satisfy `precedes`.
    pub(super) fn count_leading(&self, mut precedes: impl FnMut(&[u8], f64) -> bool) -> usize {
        let place = self.order.partition(|id| {
            self.slot(id)
                .is_some_and(|slot| precedes(&slot.member, slot.score))
        });
        self.order.rank(place)
    }

    /// Visits members from a cursor on, at least one and about `count`; gives the cursor to go on with, 0 at the end.
    ///
    /// A cursor is a bucket and the epoch in which it was given. In another epoch the walk starts again.
    pub(super) fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(&[u8], f64)) -> u64 {
        let epoch = u64::from(self.epoch & EPOCH_MASK) << u32::BITS;
        let start = if cursor & !u64::from(u32::MAX) == epoch {
            usize::try_from(cursor & u64::from(u32::MAX)).unwrap_or(0)
        } else {
            0
        };
        let (mut found, looks_max) = (0, count.saturating_mul(10));
        for bucket in start..self.index.num_buckets() {
            if found >= count || bucket - start >= looks_max {
                return epoch | bucket as u64;
            }
            if let Some(slot) = self.index.get_bucket(bucket).and_then(|id| self.slot(*id)) {
                found += 1;
                visit(&slot.member, slot.score);
            }
        }
        0
    }

    fn slot(&self, id: u32) -> Option<&Slot> {
        self.slots.get(id as usize)
    }

    fn find(&self, hash: u64, member: &[u8]) -> Option<u32> {
        self.index
            .find(hash, |id| holds(&self.slots, *id, member))
            .copied()
    }

    /// Where a member with this score stands or would stand.
    fn place(&self, score: f64, member: &[u8]) -> Place {
        self.order.partition(|id| {
            self.slot(id).is_some_and(|slot| {
                ascending((slot.score, &slot.member), (score, member)) == Ordering::Less
            })
        })
    }

    fn compare(&self, one: u32, other: u32) -> Ordering {
        match (self.slot(one), self.slot(other)) {
            (Some(one), Some(other)) => {
                ascending((one.score, &one.member), (other.score, &other.member))
            }
            _ => Ordering::Equal,
        }
    }

    /// Gives a new member a slot and a place in the index, not yet in the order.
    fn add(&mut self, hash: u64, member: Box<[u8]>, score: f64) -> u32 {
        self.member_bytes += member.len();
        let slot = Slot { member, score };
        let free = self.free.pop();
        let id = free.unwrap_or_else(|| u32::try_from(self.slots.len()).unwrap_or(u32::MAX));
        match free.and_then(|id| self.slots.get_mut(id as usize)) {
            Some(place) => *place = slot,
            None => self.slots.push(slot),
        }
        if self.index.len() == self.index.capacity() {
            self.epoch = self.epoch.wrapping_add(1);
        }
        let (slots, hasher) = (&self.slots, &self.hasher);
        self.index.insert_unique(hash, id, |id| {
            let member = slots.get(*id as usize).map(|slot| &*slot.member);
            hasher.hash_one(member.unwrap_or_default())
        });
        id
    }
}

/// Cursors stay below 2^63: some clients read them as signed.
const EPOCH_MASK: u32 = u32::MAX >> 1;

fn holds(slots: &[Slot], id: u32, member: &[u8]) -> bool {
    slots
        .get(id as usize)
        .is_some_and(|slot| *slot.member == *member)
}

/// A walk over members and scores, from either end.
#[derive(Debug, Clone)]
pub(super) struct Members<'a> {
    slots: &'a [Slot],
    ids: Ids<'a>,
}

impl<'a> Members<'a> {
    fn member(&self, id: u32) -> Option<(&'a [u8], f64)> {
        let slot = self.slots.get(id as usize)?;
        Some((&slot.member, slot.score))
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a [u8], f64);

    fn next(&mut self) -> Option<Self::Item> {
        let id = self.ids.next()?;
        self.member(id)
    }
}

impl DoubleEndedIterator for Members<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let id = self.ids.next_back()?;
        self.member(id)
    }
}

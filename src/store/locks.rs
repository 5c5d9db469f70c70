//! Which shards a command touches, and how all of them are held at once.
//!
//! Locks are always taken in the order of [`Slot`], so readers and the writer cannot wait for each other in a circle.

use std::cell::Cell;

use dashmap::{RwLockReadGuard, RwLockWriteGuard};
use smallvec::SmallVec;

use super::db::Table;

/// A shard of a database. Its order is the locking order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot {
    /// Database number.
    pub db: u32,
    /// Shard number.
    pub shard: u32,
}

/// The slots of one command; usually one.
pub(super) type Slots = SmallVec<[Slot; 4]>;

/// Guards in slot order.
pub(super) struct Held<G> {
    guards: SmallVec<[(Slot, G); 1]>,
}

pub(super) type ReadHeld<'a> = Held<RwLockReadGuard<'a, Table>>;
pub(super) type WriteHeld<'a> = Held<RwLockWriteGuard<'a, Table>>;

/// Tables whose locks are held.
pub(super) trait Tables {
    /// The table of a slot, if it is held.
    fn table(&self, slot: Slot) -> Option<&Table>;
}

impl Tables for WriteHeld<'_> {
    fn table(&self, slot: Slot) -> Option<&Table> {
        self.get(slot).map(|table| &**table)
    }
}

impl<G> Drop for Held<G> {
    fn drop(&mut self) {
        if self.guards.spilled() && self.guards.capacity() <= KEPT_MAX {
            let guards = std::mem::take(&mut self.guards).into_vec();
            // Fails while the thread ends: it drops its kept room first.
            _ = GUARDS.try_with(|kept| kept.set(emptied(guards)));
        }
    }
}

thread_local! {
    /// Room for the guards of the thread's next command with many keys.
    static GUARDS: Cell<Vec<Room>> = const { Cell::new(Vec::new()) };
    /// Room for its slots.
    static SLOTS: Cell<Vec<Slot>> = const { Cell::new(Vec::new()) };
}

/// A type as large as a guard with its slot.
type Room = [u64; 2];

/// Room for more elements than this is not kept.
const KEPT_MAX: usize = 4096;

/// Empties `room` for elements of another type. If they are of the same size, the standard library reuses the allocation.
fn emptied<A, B>(mut room: Vec<A>) -> Vec<B> {
    room.clear();
    room.into_iter().filter_map(|_| None).collect()
}

/// Passes to `take` what `fill` has collected, in room that the thread keeps.
pub(super) fn gather<R>(fill: impl FnOnce(&mut Slots), take: impl FnOnce(&mut Slots) -> R) -> R {
    let mut gathered = Slots::from_vec(SLOTS.take());
    fill(&mut gathered);
    let result = take(&mut gathered);
    gathered.clear();
    if gathered.spilled() && gathered.capacity() <= KEPT_MAX {
        SLOTS.set(gathered.into_vec());
    }
    result
}

impl<G> Held<G> {
    /// No lock at all.
    pub(super) fn none() -> Self {
        Self {
            guards: SmallVec::new(),
        }
    }

    /// The one lock of `slot`.
    #[inline]
    pub(super) fn one(slot: Slot, guard: G) -> Self {
        Self {
            guards: SmallVec::from_buf([(slot, guard)]),
        }
    }

    /// Locks `slots` one after the other with `lock`. A slot for which `lock` returns `None` has no shard yet.
    pub(super) fn acquire(slots: &mut Slots, mut lock: impl FnMut(Slot) -> Option<G>) -> Self {
        if slots.len() > 1 {
            slots.sort_unstable();
            slots.dedup();
        }
        let mut guards = if slots.len() > 1 {
            SmallVec::from_vec(emptied(GUARDS.take()))
        } else {
            SmallVec::new()
        };
        // Reserve once: otherwise the guards of a few keys would grow in three steps.
        guards.reserve_exact(slots.len());
        guards.extend(slots.iter().filter_map(|&slot| Some((slot, lock(slot)?))));
        Self { guards }
    }

    fn index(&self, slot: Slot) -> Option<usize> {
        match self.guards.as_slice() {
            [(only, _)] => (*only == slot).then_some(0),
            guards => guards.binary_search_by_key(&slot, |(held, _)| *held).ok(),
        }
    }

    #[inline]
    pub(super) fn get(&self, slot: Slot) -> Option<&G> {
        self.guards.get(self.index(slot)?).map(|(_, guard)| guard)
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut G> {
        let index = self.index(slot)?;
        self.guards.get_mut(index).map(|(_, guard)| guard)
    }

    /// The guards of two different slots at once.
    pub(super) fn pair_mut(&mut self, one: Slot, other: Slot) -> Option<(&mut G, &mut G)> {
        let (one, other) = (self.index(one)?, self.index(other)?);
        let [(_, one), (_, other)] = self.guards.get_disjoint_mut([one, other]).ok()?;
        Some((one, other))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Slot, &G)> {
        self.guards.iter().map(|(slot, guard)| (*slot, guard))
    }
}

//! Turns: readers cannot keep the writer out, and the writer cannot keep readers out.
//!
//! A shard's lock admits a reader whenever only readers hold it, so that a thread that already holds it can take it
//! again. Left alone, overlapping readers would keep the writer out for as long as new ones arrive, and a writer that
//! comes back at once would overtake readers that are still waking up. So readers and the writer take turns:
//!
//! * A writer that does not get a shard closes the gate in front of it. Readers that are in, or on their way in,
//!   continue. A reader that arrives for that shard afterwards waits until the writer's turn ends. So the writer waits
//!   for each reader at most once.
//! * A turn is one [`Tx`](super::Tx), or all those made while a [`Turn`] lasts. Like a real server, the writer processes
//!   what it has received before the next of a flood of long readers gets in.
//! * At the end of its turn, the writer waits until every reader that it kept waiting is in, whether that reader waited
//!   here or at a shard's own lock. A reader waits for the turn that is under way when it arrives, and for no other.
//!
//! # Why nothing deadlocks
//! 1. Shards are locked in the order of [`Slot`]. A thread that waits for a shard holds only lower ones; a thread that
//!    holds a shard for reading gets it again without waiting.
//! 2. No thread that holds a shard waits at the gate: a thread that has a view passes.
//! 3. The writer waits for the readers to which it owes a turn only while it holds no shard, and opens the gate first.
//!
//! By 2 and 3, a thread that waits at the gate, or for readers to which it owes a turn, holds no shard, so no thread that
//! waits for a shard waits for it. By 1, threads that wait for shards cannot wait for each other in a circle. (The
//! sweeper locks one shard and waits for nothing while it holds it.)

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dashmap::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::locks::Slot;

/// How often the writer tries again before it closes the gate. Most readers are gone by then.
const TRIES: u32 = 10;

/// How many of these tries follow each other so quickly that switching to another thread is not worth it.
const SPINNING_TRIES: u32 = 6;

/// The gate in front of all shards of a generation.
#[derive(Debug, Default)]
pub(super) struct Gate {
    /// The slot that the writer closed last, as [`number`] encodes it; 0 while the gate is open.
    closed: AtomicU64,
    /// Readers that wait for the writer, or have just stopped waiting.
    owed: AtomicUsize,
    /// Whether a [`Turn`] lasts. Only the writer uses this.
    in_turn: AtomicBool,
    /// How often the gate has been opened. Readers wait here for the number to change.
    openings: Mutex<u64>,
    opened: Condvar,
    /// Notified when no reader is owed a turn any more.
    paid: Condvar,
    waited: Waited,
}

impl Gate {
    /// Whether the gate is closed, so that readers of some shard wait, or would.
    #[inline]
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed) != 0
    }

    /// Waits while the gate is closed in front of a slot that the reader comes for. Call this before taking the first
    /// shard, and keep the debt until the last one is taken.
    #[inline]
    pub(super) fn pass(&self, comes_for: impl Fn(Slot) -> bool) -> Option<Debt<'_>> {
        if self.is_closed() {
            self.wait(comes_for)
        } else {
            None
        }
    }

    #[cold]
    fn wait(&self, comes_for: impl Fn(Slot) -> bool) -> Option<Debt<'_>> {
        if Inside::anyone() {
            return None;
        }
        let mut openings = self.openings();
        slot(self.closed.load(Ordering::Relaxed)).filter(|slot| comes_for(*slot))?;
        let debt = self.owe();
        let before = *openings;
        while *openings == before {
            openings = self
                .opened
                .wait(openings)
                .unwrap_or_else(PoisonError::into_inner);
        }
        Some(debt)
    }

    /// Locks a shard for reading.
    #[inline]
    pub(super) fn read<'s, T>(&self, shard: &'s RwLock<T>) -> RwLockReadGuard<'s, T> {
        shard
            .try_read()
            .unwrap_or_else(|| self.read_after_writer(shard))
    }

    #[cold]
    fn read_after_writer<'s, T>(&self, shard: &'s RwLock<T>) -> RwLockReadGuard<'s, T> {
        let _debt = self.owe();
        shard.read()
    }

    /// Locks a shard for the writer.
    #[inline]
    pub(super) fn write<'s, T>(&self, slot: Slot, shard: &'s RwLock<T>) -> RwLockWriteGuard<'s, T> {
        shard
            .try_write()
            .unwrap_or_else(|| self.write_after_readers(slot, shard))
    }

    #[cold]
    fn write_after_readers<'s, T>(
        &self,
        slot: Slot,
        shard: &'s RwLock<T>,
    ) -> RwLockWriteGuard<'s, T> {
        let guard = (0..TRIES).find_map(|round| {
            if round < SPINNING_TRIES {
                (0..1 << round).for_each(|_| std::hint::spin_loop());
            } else {
                std::thread::yield_now();
            }
            shard.try_write()
        });
        guard.unwrap_or_else(|| {
            self.close(slot);
            self.waited.begin();
            let guard = shard.write();
            self.waited.end();
            guard
        })
    }

    fn close(&self, slot: Slot) {
        let _openings = self.openings();
        self.closed.store(number(slot), Ordering::Relaxed);
    }

    /// How long the writer has waited for readers: only waits of at least [`NOTICED`] count, including the one under way.
    pub(super) fn writer_waited(&self) -> Duration {
        self.waited.total(self.waited.now())
    }

    /// Called when the writer holds no shard any more. Unless its turn continues, lets in the readers that it kept
    /// waiting.
    #[inline]
    fn leave(&self) {
        let kept = self.is_closed() || self.owed.load(Ordering::Relaxed) > 0;
        if kept && !self.in_turn.load(Ordering::Relaxed) {
            self.let_in();
        }
    }

    #[cold]
    fn let_in(&self) {
        let mut openings = self.openings();
        self.closed.store(0, Ordering::Relaxed);
        *openings += 1;
        self.opened.notify_all();
        // A reader that arrives now finds the gate open and no writer in: the number of debts only falls.
        while self.owed.load(Ordering::SeqCst) > 0 {
            openings = self
                .paid
                .wait(openings)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn owe(&self) -> Debt<'_> {
        self.owed.fetch_add(1, Ordering::SeqCst);
        Debt(self)
    }

    fn openings(&self) -> MutexGuard<'_, u64> {
        // A poisoned lock still holds a whole value.
        self.openings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The shortest wait of the writer that counts. A shorter one holds nothing up: the writer processes all that arrived
/// during it.
const NOTICED: Duration = Duration::from_millis(10);

/// How long the writer has waited for readers.
#[derive(Debug)]
struct Waited {
    made: Instant,
    /// Total of the waits that are over, in nanoseconds.
    past_ns: AtomicU64,
    /// When the current wait began, in nanoseconds since this was created, counted from 1; 0 while the writer does not
    /// wait.
    since_ns: AtomicU64,
}

impl Default for Waited {
    fn default() -> Self {
        Self {
            made: Instant::now(),
            past_ns: AtomicU64::new(0),
            since_ns: AtomicU64::new(0),
        }
    }
}

impl Waited {
    fn now(&self) -> u64 {
        u64::try_from(self.made.elapsed().as_nanos()).unwrap_or(u64::MAX - 1)
    }

    fn begin(&self) {
        self.since_ns.store(self.now() + 1, Ordering::Relaxed);
    }

    fn end(&self) {
        let total = self.total(self.now());
        self.since_ns.store(0, Ordering::Relaxed);
        let total = u64::try_from(total.as_nanos()).unwrap_or(u64::MAX);
        self.past_ns.store(total, Ordering::Relaxed);
    }

    fn total(&self, now_ns: u64) -> Duration {
        let past = Duration::from_nanos(self.past_ns.load(Ordering::Relaxed));
        let since = self.since_ns.load(Ordering::Relaxed).checked_sub(1);
        let wait = since.map_or(0, |since| now_ns.saturating_sub(since));
        let wait = Duration::from_nanos(wait);
        if wait < NOTICED { past } else { past + wait }
    }
}

/// A reader's claim to get in before the writer's next turn.
#[derive(Debug)]
pub(super) struct Debt<'g>(&'g Gate);

impl Drop for Debt<'_> {
    fn drop(&mut self) {
        if self.0.owed.fetch_sub(1, Ordering::SeqCst) == 1 {
            // Take the lock, so that the writer is not between its check and its wait.
            let _openings = self.0.openings();
            self.0.paid.notify_all();
        }
    }
}

/// Comes after the guards in a [`Tx`](super::Tx), so that it is dropped after them.
#[derive(Debug)]
pub(super) struct Leaving<'g>(pub(super) &'g Gate);

impl Drop for Leaving<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// While this lives, all that the writer does is one turn: readers that were kept waiting get in when it is dropped.
#[derive(Debug)]
#[must_use = "the turn ends when this is dropped"]
pub struct Turn<'g>(&'g Gate);

impl<'g> Turn<'g> {
    pub(super) fn begin(gate: &'g Gate) -> Self {
        gate.in_turn.store(true, Ordering::Relaxed);
        Self(gate)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.in_turn.store(false, Ordering::Relaxed);
        self.0.leave();
    }
}

/// A distinct number for each slot, never 0.
fn number(slot: Slot) -> u64 {
    (u64::from(slot.db) << 32 | u64::from(slot.shard)) + 1
}

/// The slot with that number; `None` for 0.
fn slot(number: u64) -> Option<Slot> {
    let place = number.checked_sub(1)?;
    Some(Slot {
        db: u32::try_from(place >> 32).ok()?,
        shard: u32::try_from(place & u64::from(u32::MAX)).ok()?,
    })
}

thread_local! {
    /// How many views with locks this thread has.
    static VIEWS: Cell<usize> = const { Cell::new(0) };
}

/// Part of every view that holds locks, so that its thread is known to be inside. It cannot leave its thread.
#[derive(Debug)]
pub(super) struct Inside(PhantomData<*const ()>);

impl Inside {
    #[inline]
    pub(super) fn new() -> Self {
        VIEWS.set(VIEWS.get() + 1);
        Self(PhantomData)
    }

    fn anyone() -> bool {
        VIEWS.get() > 0
    }
}

impl Drop for Inside {
    #[inline]
    fn drop(&mut self) {
        VIEWS.set(VIEWS.get() - 1);
    }
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;

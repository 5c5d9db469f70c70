//! The feed: what the writer changes, in order, for all that listen.
//!
//! The writer notes facts while it applies a command, under the locks of that command. [`Feed::commit`] stamps them with the
//! offset at which they are visible, and [`Feed::publish`] shows them to the listeners when the writer's turn ends: whoever
//! learns of a fact can read every write up to it. Notifications, invalidations, messages and the library's changes all come
//! from here.
//!
//! Nothing is noted unless someone listens, and only what they listen for ([`Interest`]). The writer adopts a changed interest
//! between two turns, so a turn is noted as a whole or not at all. The writer waits for no listener: the feed keeps a
//! bounded number of bytes, and a listener that falls out of it learns that it lost its place ([`Lost`]). The exception is a
//! replica whose only purpose is its listener ([`Feed::wait_for_listeners`]): there the writer waits, and nobody else does.
//!
//! This room knows no command, no value and no connection.

mod batch;
mod class;
mod interest;
mod listener;
mod mark;
mod ring;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::Notify;

pub use batch::{Batch, Change, Fact};
pub use class::Class;
pub use interest::Interest;
pub use listener::{Dial, Listener, Lost, News};
pub use mark::Mark;

use crate::history::Point;
use batch::{Record, What};
use ring::Ring;

/// Bytes after which the facts of a long turn are shown before it ends.
const BATCH_BYTES: usize = 256 << 10;

/// The feed of one replica. It outlives generations.
#[derive(Debug)]
pub struct Feed {
    /// What the writer notes now. Only the writer changes it.
    active: AtomicU32,
    /// What the listeners want.
    wanted: AtomicU32,
    /// Whether the writer is in a turn. Changes of the interest wait for its end.
    in_turn: AtomicBool,
    /// The offset at which the last turn ended; `None` until it is known.
    ended_at: Mutex<Option<u64>>,
    /// What the writer has noted and not shown yet. Only the writer and the sweeper lock it, each for one fact.
    pending: Mutex<Batch>,
    ring: Mutex<Ring>,
    /// Notified when a batch is shown.
    shown: Notify,
    /// Notified when a listener has taken a batch, or has left.
    taken: Condvar,
    /// What learns of clients' reads of absent keys.
    misses: Misses,
}

/// Takes a database and a key.
type TellMiss = Box<dyn Fn(usize, &[u8]) + Send + Sync>;

/// See [`Feed::on_miss`].
#[derive(Default)]
struct Misses(OnceLock<TellMiss>);

impl std::fmt::Debug for Misses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Misses").finish_non_exhaustive()
    }
}

impl Default for Feed {
    fn default() -> Self {
        Self::keeping(0)
    }
}

impl Feed {
    /// A feed that keeps at least the newest `window` bytes, so that listeners can come back. With 0, it keeps only what a
    /// listener has not taken yet, and notes nothing while nobody listens.
    #[must_use]
    pub fn keeping(window: usize) -> Self {
        let ring = Ring::new(window);
        Self {
            active: AtomicU32::new(0),
            wanted: AtomicU32::new(ring.interest().bits()),
            in_turn: AtomicBool::new(false),
            ended_at: Mutex::default(),
            pending: Mutex::default(),
            ring: Mutex::new(ring),
            shown: Notify::new(),
            taken: Condvar::new(),
            misses: Misses::default(),
        }
    }

    /// What the writer notes now; costs one load.
    #[must_use]
    #[inline]
    pub fn interest(&self) -> Interest {
        Interest::from_bits(self.active.load(Ordering::Relaxed))
    }

    /// Begins a turn of the writer at `offset`: adopts what the listeners want. Returns whether there is anything to note.
    #[inline]
    pub fn begin_turn(&self, offset: u64) -> bool {
        // In one order with `count_wanted`: either it sees the turn, or the turn sees what it has stored.
        self.in_turn.store(true, Ordering::SeqCst);
        let wanted = self.wanted.load(Ordering::SeqCst);
        if wanted != self.active.load(Ordering::Relaxed) {
            self.adopt(&mut self.ring(), offset);
        }
        wanted != 0
    }

    /// Ends a turn at `offset`. What the listeners want by now is noted from the next turn on.
    #[inline]
    pub fn end_turn(&self, offset: u64) {
        *self.ended_at() = Some(offset);
        self.in_turn.store(false, Ordering::SeqCst);
        if self.wanted.load(Ordering::SeqCst) != self.active.load(Ordering::Relaxed) {
            self.adopt_between_turns(&mut self.ring());
        }
    }

    /// Adopts what the listeners want, unless the writer is in a turn or it is not known where it is.
    #[cold]
    fn adopt_between_turns(&self, ring: &mut Ring) {
        let ended_at = *self.ended_at();
        if let Some(offset) = ended_at
            && !self.in_turn.load(Ordering::SeqCst)
        {
            self.adopt(ring, offset);
        }
    }

    /// Adopts what the listeners want. The ring's lock makes it one change.
    #[cold]
    fn adopt(&self, ring: &mut Ring, offset: u64) {
        let wanted = self.wanted.load(Ordering::SeqCst);
        if self.active.swap(wanted, Ordering::SeqCst) != wanted {
            ring.begin(Interest::from_bits(wanted), offset);
        }
    }

    fn ended_at(&self) -> MutexGuard<'_, Option<u64>> {
        self.ended_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pending(&self) -> MutexGuard<'_, Batch> {
        // A poisoned lock still holds whole facts.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        // A poisoned lock still holds whole batches.
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that something of `class` happened to `key`; `kind` is the word of TYPE for its value, empty if it is not known.
    #[cold]
    pub fn note_event(
        &self,
        db: usize,
        class: Class,
        event: &'static str,
        key: &[u8],
        kind: &'static str,
    ) {
        let what = What::Event { class, event, kind };
        self.pending().push(Record::of(db, what), &[key]);
    }

    /// Notes that what a client knows about `key` may be wrong from now on.
    #[cold]
    pub fn note_touch(&self, db: usize, key: &[u8]) {
        self.pending().push(Record::of(db, What::Touch), &[key]);
    }

    /// Notes that nothing is known about `key` any more.
    #[cold]
    pub fn note_doubt(&self, db: usize, key: &[u8]) {
        self.pending().push(Record::of(db, What::Doubt), &[key]);
    }

    /// Notes that nothing is known about any key any more.
    #[cold]
    pub fn note_doubt_of_everything(&self) {
        self.pending()
            .push(Record::of(0, What::DoubtOfEverything), &[]);
    }

    /// Notes that database `db` was emptied.
    #[cold]
    pub fn note_flush(&self, db: usize) {
        self.pending().push(Record::of(db, What::Flushed), &[]);
    }

    /// Notes that databases `one` and `other` changed places.
    #[cold]
    pub fn note_swap(&self, one: usize, other: usize) {
        let other = u32::try_from(other).unwrap_or(u32::MAX);
        self.pending()
            .push(Record::of(one, What::Swapped { other }), &[]);
    }

    /// Notes that everything may have changed at once: a snapshot has replaced the data, or hidden keys have appeared. If `told`, the differences follow as events and touches.
    #[cold]
    pub fn note_replacement(&self, told: bool) {
        self.pending()
            .push(Record::of(0, What::Replaced { told }), &[]);
    }

    /// Notes a message on `channel`, on a shard's channel if `sharded`.
    #[cold]
    pub fn note_message(&self, channel: &[u8], payload: &[u8], sharded: bool) {
        let what = What::Message {
            sharded,
            channel_bytes: channel.len(),
        };
        self.pending()
            .push(Record::of(0, what), &[channel, payload]);
    }

    /// Notes a write that was applied, in the words that `words` passes on.
    #[cold]
    pub fn note_command<'w>(&self, db: usize, words: impl ExactSizeIterator<Item = &'w [u8]>) {
        self.pending().push_command(db, words);
    }

    /// Bytes of what is noted and not shown yet.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.pending().memory_bytes()
    }

    /// Number of events noted and not committed yet.
    #[must_use]
    pub fn events_pending(&self) -> usize {
        self.pending().events_since_commit()
    }

    /// States that everything noted since the last commit is visible from `offset` on.
    #[cold]
    pub fn commit(&self, offset: u64) {
        let is_long = {
            let mut pending = self.pending();
            pending.commit(offset);
            pending.memory_bytes() >= BATCH_BYTES
        };
        if is_long {
            self.show();
        }
    }

    /// Discards what was noted and not committed.
    pub fn discard(&self) {
        self.pending().discard();
    }

    /// Ends a turn at `offset`: shows the listeners everything that is committed.
    #[cold]
    pub fn publish(&self, offset: u64) {
        self.show();
        self.ring().reach(offset);
    }

    /// Notes outside of the writer's turns that what clients know about `keys` of database `db` may be wrong, and shows it at
    /// once.
    #[cold]
    pub fn show_touches<'k>(&self, db: usize, keys: impl Iterator<Item = &'k [u8]>) {
        let mut batch = Batch::default();
        keys.for_each(|key| batch.push(Record::of(db, What::Touch), &[key]));
        let ended_at = *self.ended_at();
        batch.commit(ended_at.unwrap_or_default());
        if !batch.is_empty() {
            self.ring().push(batch);
            self.shown.notify_waiters();
        }
    }

    fn show(&self) {
        let batch = self.pending().take_committed();
        if !batch.is_empty() {
            self.show_batch(batch);
        }
    }

    fn show_batch(&self, batch: Batch) {
        let ring = self.taken.wait_while(self.ring(), |ring| ring.must_wait());
        ring.unwrap_or_else(PoisonError::into_inner).push(batch);
        self.shown.notify_waiters();
    }

    fn show_mark(&self, mark: Mark) {
        if self.ring().is_patient() {
            self.show_batch(Batch::of_mark(mark));
        }
    }

    /// Makes the writer wait for the listeners instead of leaving slow ones behind, and show them [marks](Mark). For a replica
    /// that answers no reads.
    pub fn wait_for_listeners(&self) {
        self.ring().set_patient();
    }

    /// Shows that everything up to `now` has been told, and waits until all listeners have dealt with it. Returns false if one
    /// of them has left, even after it dealt with everything: what follows is not noted, and must not replace what the listener
    /// would come back for. Returns true at once if the writer does not wait for listeners.
    #[must_use]
    pub fn settle(&self, now: Point) -> bool {
        self.show_mark(Mark::Reached(now));
        let ring = self
            .taken
            .wait_while(self.ring(), |ring| ring.is_unsettled());
        let ring = ring.unwrap_or_else(PoisonError::into_inner);
        ring.has_settled()
    }

    /// States that a history that was kept is applied again, from `begin` on. Only listeners that the writer waits for learn of
    /// its changes, and those that come back later.
    pub fn begin_replay(&self, begin: Point) {
        self.ring().begin_replay(begin);
        self.show_mark(Mark::Begins(begin));
    }

    /// States that everything that was kept has been applied.
    pub fn end_replay(&self) {
        self.ring().end_replay();
    }

    /// States that the history continues under another id from `now` on.
    pub fn rename(&self, now: Point) {
        self.ring().rename(now);
        self.show_mark(Mark::Renamed(now));
    }

    /// States that another history begins at `now`.
    pub fn begin_history(&self, now: Point) {
        *self.ended_at() = Some(now.offset);
        self.ring().begin_history(now);
        self.show_mark(Mark::Resynced(now));
    }

    /// Listens from now on.
    #[must_use]
    pub fn listen(self: &Arc<Self>, interest: Interest) -> Listener {
        let listener = Listener::new(Arc::clone(self), self.ring().enter(interest));
        self.count_wanted();
        listener
    }

    /// Listens from `point` on: the first change is the first one after it.
    ///
    /// # Errors
    /// [`Lost`] if the feed does not have everything since then.
    pub fn listen_from(
        self: &Arc<Self>,
        interest: Interest,
        point: Point,
    ) -> Result<Listener, Lost> {
        let number = self.ring().enter_at(interest, point).ok_or(Lost)?;
        let listener = Listener::new(Arc::clone(self), number);
        self.count_wanted();
        Ok(listener)
    }

    /// Sets what is called when a client reads an absent key, with the database and the key, while a listener has the interest
    /// [`Interest::MISSES`]. The reader holds locks meanwhile, so it must neither block nor read. Only the first call counts.
    pub fn on_miss(&self, tell: impl Fn(usize, &[u8]) + Send + Sync + 'static) {
        _ = self.misses.0.set(Box::new(tell));
    }

    /// Whether someone wants to know of clients' reads of absent keys.
    #[must_use]
    pub fn wants_misses(&self) -> bool {
        Interest::from_bits(self.wanted.load(Ordering::Relaxed)).has(Interest::MISSES)
    }

    /// Tells whoever wants to know that a client has read an absent key.
    pub fn tell_miss(&self, db: usize, key: &[u8]) {
        if let Some(tell) = self.misses.0.get() {
            tell(db, key);
        }
    }

    fn count_wanted(&self) {
        let mut ring = self.ring();
        let wanted = ring.interest().bits();
        self.wanted.store(wanted, Ordering::SeqCst);
        if wanted != self.active.load(Ordering::Relaxed) {
            self.adopt_between_turns(&mut ring);
        }
    }
}

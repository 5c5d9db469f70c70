//! The batches that are kept, and who has taken which.

use std::collections::VecDeque;
use std::sync::Arc;

use super::batch::Batch;
use super::interest::Interest;
use super::listener::{Lost, News};
use crate::history::{Point, ReplId};
use crate::limits::FEED_BYTES_MAX;

/// A stretch of one history, all of whose changes were noted.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    /// `None` before the first history.
    replid: Option<ReplId>,
    /// Changes after this offset are kept.
    from: u64,
    /// Changes up to this offset were noted.
    to: u64,
    /// The number of its first batch.
    first: u64,
    interest: Interest,
    /// Whether it continues the stretch before it: nothing between the two is missing.
    continues: bool,
    /// Whether it counts the same bytes as the stretch before it, under another id.
    renamed: bool,
}

/// One listener's place.
#[derive(Debug)]
struct Place {
    number: u64,
    interest: Interest,
    /// The number of the next batch to take.
    next: u64,
    /// The number of the first batch that it has not dealt with.
    undone: u64,
    /// The offset up to which it knows the changes in that batch.
    known: Option<u64>,
}

/// The batches that are kept.
#[derive(Debug)]
pub(super) struct Ring {
    /// Bytes that are kept for listeners that come back.
    window: usize,
    /// The current history.
    replid: Option<ReplId>,
    batches: VecDeque<Arc<Batch>>,
    /// The number of the first batch in it.
    first: u64,
    bytes: usize,
    stretches: VecDeque<Stretch>,
    places: Vec<Place>,
    listeners: u64,
    /// Whether the writer waits for the listeners.
    patient: bool,
    /// Whether a listener that the writer waits for has left.
    abandoned: bool,
    /// Whether a kept history is being applied again.
    replaying: bool,
}

impl Ring {
    pub(super) const fn new(window: usize) -> Self {
        Self {
            window,
            replid: None,
            batches: VecDeque::new(),
            first: 0,
            bytes: 0,
            stretches: VecDeque::new(),
            places: Vec::new(),
            listeners: 0,
            patient: false,
            abandoned: false,
            replaying: false,
        }
    }

    pub(super) const fn set_patient(&mut self) {
        self.patient = true;
    }

    pub(super) const fn is_patient(&self) -> bool {
        self.patient
    }

    /// Whether the writer must not show more yet.
    pub(super) fn must_wait(&self) -> bool {
        self.patient && self.bytes >= PATIENT_BYTES_MAX && self.awaited() < Some(self.end())
    }

    /// Whether a listener that the writer waits for has something to deal with.
    pub(super) fn is_unsettled(&self) -> bool {
        self.patient && self.places.iter().any(|place| place.undone < self.end())
    }

    /// Whether no listener that the writer waits for has left.
    pub(super) const fn has_settled(&self) -> bool {
        !self.abandoned
    }

    /// What all listeners want, and those that may come back.
    pub(super) fn interest(&self) -> Interest {
        let standing = match self.window {
            0 => Interest::NONE,
            _ => Interest::EVENTS,
        };
        let wanted = self.places.iter().map(|place| place.interest);
        wanted.fold(standing, Interest::with)
    }

    /// Bytes of the batches that are kept.
    #[cfg(test)]
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    fn end(&self) -> u64 {
        self.first + self.batches.len() as u64
    }

    /// Begins to note `interest` at `offset`.
    pub(super) fn begin(&mut self, interest: Interest, offset: u64) {
        let last = self.stretches.back();
        // Nothing happened in between.
        let continues = last.is_some_and(|last| last.replid == self.replid && last.to == offset);
        self.add(interest, offset, continues, false);
    }

    fn add(&mut self, interest: Interest, offset: u64, continues: bool, renamed: bool) {
        self.stretches.push_back(Stretch {
            replid: self.replid,
            from: offset,
            to: offset,
            first: self.end(),
            interest,
            continues,
            renamed,
        });
        if self.stretches.len() > STRETCHES_MAX {
            self.stretches.pop_front();
        }
    }

    /// The history continues under another id from `now` on, if it is another.
    pub(super) fn rename(&mut self, now: Point) {
        if self.replid.replace(now.replid) != Some(now.replid)
            && let Some(last) = self.stretches.back()
        {
            self.add(last.interest, now.offset, last.to == now.offset, true);
        }
    }

    /// Another history begins at `now`, of whose difference from the last everything is noted after this.
    pub(super) fn begin_history(&mut self, now: Point) {
        self.replid = Some(now.replid);
        if let Some(last) = self.stretches.back() {
            self.add(last.interest, now.offset, true, false);
        }
    }

    /// A history that was kept is applied again. Nothing says how it relates to what was noted before.
    pub(super) fn begin_replay(&mut self, begin: Point) {
        self.replid = Some(begin.replid);
        self.replaying = true;
        if let Some(last) = self.stretches.back() {
            self.add(last.interest, begin.offset, false, false);
        }
    }

    /// What follows is new: those who listen from now on have not missed anything.
    pub(super) fn end_replay(&mut self) {
        let ends = std::mem::take(&mut self.replaying);
        if !ends || self.patient {
            return;
        }
        let end = self.end();
        for place in &mut self.places {
            (place.next, place.known) = (end, None);
        }
        self.trim();
    }

    /// Everything up to `offset` is shown.
    pub(super) fn reach(&mut self, offset: u64) {
        if let Some(last) = self.stretches.back_mut() {
            last.to = offset;
        }
    }

    pub(super) fn push(&mut self, mut batch: Batch) {
        batch.set_replid(self.replid);
        self.bytes += batch.memory_bytes();
        if let (Some(last), Some(offset)) = (self.stretches.back_mut(), batch.last_offset()) {
            last.to = last.to.max(offset);
        }
        self.batches.push_back(Arc::new(batch));
        self.trim();
    }

    /// Drops what nobody needs, and what there is no room for.
    fn trim(&mut self) {
        let awaited = self.awaited();
        while !self.batches.is_empty() {
            let is_awaited = awaited.is_some_and(|next| next <= self.first);
            let room = match is_awaited {
                true if self.patient => usize::MAX,
                true => FEED_BYTES_MAX.max(self.window),
                false => self.window,
            };
            // The newest batch waits for its listeners, however large it is.
            if self.bytes <= room || (is_awaited && self.batches.len() == 1) {
                return;
            }
            self.drop_first();
        }
    }

    /// The number of the first batch that a listener has not taken.
    fn awaited(&self) -> Option<u64> {
        self.places.iter().map(|place| place.next).min()
    }

    fn drop_first(&mut self) {
        let Some(batch) = self.batches.pop_front() else {
            return;
        };
        self.bytes -= batch.memory_bytes();
        let number = self.first;
        self.first += 1;
        let of = self.stretches.iter_mut().rev();
        let mut of = of.filter(|stretch| stretch.first <= number);
        if let (Some(stretch), Some(offset)) = (of.next(), batch.last_offset()) {
            stretch.from = stretch.from.max(offset);
        }
    }

    /// Adds a listener that gets what is shown from now on. Returns its number.
    pub(super) fn enter(&mut self, interest: Interest) -> u64 {
        self.listeners += 1;
        self.places.push(Place {
            number: self.listeners,
            interest,
            next: self.end(),
            undone: self.end(),
            known: None,
        });
        self.listeners
    }

    /// Adds a listener that gets what was shown after `point`. Returns its number; `None` if something is missing.
    pub(super) fn enter_at(&mut self, interest: Interest, point: Point) -> Option<u64> {
        if self.replaying {
            return None;
        }
        let index = self.stretch_at(interest, point)?;
        let first = self.stretches.get(index)?.first;
        let end = self
            .stretches
            .get(index + 1)
            .map_or(self.end(), |next| next.first);
        let mut next = first.max(self.first);
        while next < end && self.batch(next)?.last_offset() <= Some(point.offset) {
            next += 1;
        }
        let number = self.enter(interest);
        let place = self.find(number)?;
        (place.next, place.undone) = (next, next);
        // Only the first batch may begin before the point.
        place.known = (next < end).then_some(point.offset);
        Some(number)
    }

    fn batch(&self, number: u64) -> Option<&Arc<Batch>> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.batches.get(index)
    }

    /// The stretch that has `point`, if everything since then was noted for `interest`.
    fn stretch_at(&self, interest: Interest, point: Point) -> Option<usize> {
        let mut wanted = Some(point.replid);
        for (index, stretch) in self.stretches.iter().enumerate().rev() {
            if !stretch.interest.has(interest) {
                return None;
            }
            let is_of = stretch.replid == wanted;
            if is_of && (stretch.from..=stretch.to).contains(&point.offset) {
                return Some(index);
            }
            if !stretch.continues {
                return None;
            }
            // A point before the switch is the same under the id before it.
            if is_of && stretch.renamed {
                wanted = self.stretches.get(index.checked_sub(1)?)?.replid;
            }
        }
        None
    }

    fn find(&mut self, number: u64) -> Option<&mut Place> {
        self.places.iter_mut().find(|place| place.number == number)
    }

    pub(super) fn leave(&mut self, number: u64) {
        // What is noted from now on is not noted for it.
        self.abandoned |= self.patient;
        self.places.retain(|place| place.number != number);
        self.trim();
    }

    pub(super) fn set_interest(&mut self, number: u64, interest: Interest) {
        if let Some(place) = self.find(number) {
            place.interest = interest;
        }
    }

    /// The next batch of a listener. After a loss it continues with what is shown from now on.
    pub(super) fn take(&mut self, number: u64) -> Result<Option<News>, Lost> {
        if self.replaying && !self.patient {
            return Ok(None);
        }
        let (first, end) = (self.first, self.end());
        let Some(place) = self.find(number) else {
            return Ok(None);
        };
        if place.next < first {
            (place.next, place.known) = (end, None);
            return Err(Lost);
        }
        let (next, known) = (place.next, place.known.take());
        place.next = end.min(next + 1);
        place.undone = next;
        let news = self.batch(next).map(|batch| News {
            batch: Arc::clone(batch),
            known,
        });
        self.trim();
        Ok(news)
    }
}

/// Bytes of untaken changes from which a writer that waits for its listeners waits.
const PATIENT_BYTES_MAX: usize = FEED_BYTES_MAX / 4;

/// Maximum stretches that are remembered: interests and histories change seldom.
const STRETCHES_MAX: usize = 64;

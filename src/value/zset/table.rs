//! The large form: members by hash and in order.

use std::cmp::Ordering;

use super::order::{Handles, Order, Place};
use super::{Change, ascending};
use crate::rdb::records::{Handle, Record, Records, Shape};
use crate::value::{Error, table};

/// Members that can be found by hash or by rank.
#[derive(Debug, Clone)]
pub(super) struct Table {
    members: table::Table,
    order: Order,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            members: table::Table::new(Shape::SCORED),
            order: Order::default(),
        }
    }
}

impl Table {
    /// Builds a table of these members. Fails if there is a duplicate, or a score is NaN.
    pub(super) fn new(members: Records) -> Result<Self, Error> {
        let members = table::Table::from_records(members).ok_or(Error::Duplicate)?;
        let mut sorted: Vec<(f64, Handle)> = members
            .entries()
            .map(|(handle, member)| (member.score(), handle))
            .collect();
        if sorted.iter().any(|(score, _)| score.is_nan()) {
            return Err(Error::Score);
        }
        let key = |handle| members.at(handle).unwrap_or_default().key;
        // Snapshots have the members in order, ascending or descending. The sort detects that quickly.
        sorted.sort_unstable_by(|(low, one), (high, other)| {
            let by_score = low.partial_cmp(high).unwrap_or(Ordering::Equal);
            by_score.then_with(|| key(*one).cmp(key(*other)))
        });
        let order = Order::new(sorted.iter().map(|(_, handle)| *handle));
        Ok(Self { members, order })
    }

    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    /// The number of bytes on the heap, without this struct itself.
    pub(super) fn heap_bytes(&self) -> usize {
        self.members.heap_bytes() + self.order.heap_bytes()
    }

    pub(super) fn score(&self, member: &[u8]) -> Option<f64> {
        self.members.get(member).map(|record| record.score())
    }

    /// Returns the number of members before this one.
    pub(super) fn rank(&self, member: &[u8]) -> Option<usize> {
        let score = self.score(member)?;
        Some(self.order.rank(self.place(score, member)))
    }

    pub(super) fn insert(&mut self, member: &[u8], score: f64) -> Change {
        let handle = match self.members.insert(Record::scored(member, score)) {
            Ok(handle) => {
                self.order.insert(self.place(score, member), handle);
                return Change::Added;
            }
            Err(handle) => handle,
        };
        let Some(old) = self.members.at(handle).map(|record| record.score()) else {
            unreachable!("no record at {handle:?}, where one was just found")
        };
        #[expect(
            clippy::float_cmp,
            reason = "as Redis does: only another number moves a member"
        )]
        if old == score {
            return Change::Same;
        }
        self.order.remove(self.place(old, member));
        self.members.set_number(handle, score.to_bits());
        self.order.insert(self.place(score, member), handle);
        Change::Updated
    }

    pub(super) fn remove(&mut self, member: &[u8]) -> bool {
        let Some(score) = self.score(member) else {
            return false;
        };
        self.order.remove(self.place(score, member));
        let Some(handle) = self.members.unlink(member) else {
            unreachable!("a member with a score has a record")
        };
        self.tidy(handle.chunk());
        true
    }

    /// Compacts a chunk if most of its members are gone.
    fn tidy(&mut self, chunk: u32) {
        if !self.members.is_wasteful(chunk) {
            return;
        }
        // Finding a place reads members, so find all places before any member moves.
        let moves: Vec<(Place, Handle)> = self
            .members
            .moves(chunk)
            .map(|(member, new)| (self.place(member.score(), member.key), new))
            .collect();
        for (place, new) in moves {
            self.order.replace(place, new);
        }
        self.members.compact(chunk);
    }

    /// Iterates, from either end, over the members with ranks in `range`, which must be within bounds.
    pub(super) fn range(&self, range: std::ops::Range<usize>) -> Members<'_> {
        Members {
            members: &self.members,
            handles: self.order.range(range),
        }
    }

    /// Returns the number of leading members that satisfy `precedes`.
    pub(super) fn count_leading(&self, mut precedes: impl FnMut(&[u8], f64) -> bool) -> usize {
        let place = self.order.partition(|handle| {
            self.members
                .at(handle)
                .is_some_and(|member| precedes(member.key, member.score()))
        });
        self.order.rank(place)
    }

    /// Visits about `count` members from `cursor` (0 to start), or all if there are few. Returns the next cursor, or 0 at the
    /// end.
    pub(super) fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(&[u8], f64)) -> u64 {
        self.members
            .scan(cursor, count, |member| visit(member.key, member.score()))
    }

    /// Returns the place where a member with this score is or would be.
    fn place(&self, score: f64, member: &[u8]) -> Place {
        self.order.partition(|handle| {
            self.members.at(handle).is_some_and(|other| {
                ascending((other.score(), other.key), (score, member)) == Ordering::Less
            })
        })
    }
}

/// Iterates over members and scores, from either end.
#[derive(Debug, Clone)]
pub(super) struct Members<'a> {
    members: &'a table::Table,
    handles: Handles<'a>,
}

impl<'a> Members<'a> {
    #[inline]
    fn member(&self, handle: Handle) -> Option<(&'a [u8], f64)> {
        let member = self.members.at(handle)?;
        Some((member.key, member.score()))
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a [u8], f64);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let handle = self.handles.next()?;
        self.member(handle)
    }
}

impl DoubleEndedIterator for Members<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let handle = self.handles.next_back()?;
        self.member(handle)
    }
}

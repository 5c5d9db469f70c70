//! Deleting entries: one by one, and the oldest; and what becomes of their references in consumer groups.

use std::ops::Bound;

use super::node;
use super::{Stream, node_bytes};
use crate::dialect::{Dialect, OldestGroup};
use crate::rdb::stream::StreamId;

/// What a trim keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// This many of the newest entries.
    Newest(u64),
    /// The entries from this id on.
    From(StreamId),
}

/// What happens to the references to a deleted entry: the pending entries of groups.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Strategy {
    /// `KEEPREF`: they stay.
    #[default]
    KeepRef,
    /// `DELREF`: they go, too.
    DelRef,
    /// `ACKED`: an entry that is referenced, or that some group has not read, stays.
    Acked,
}

/// Servers of this version differ, and in this case it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// Whether an entry counts as unread after the group that had read least was destroyed.
    #[error("whether all groups have read an entry depends on the server's patch release")]
    OldestGroup,
    /// Whether a trim with DELREF also removes the references to entries that were deleted before.
    #[error("whether the references to a deleted entry go depends on the server's patch release")]
    Tombstone,
}

/// How one command deletes.
#[derive(Debug, Clone, Copy)]
pub struct Deletion {
    strategy: Strategy,
    dialect: Dialect,
    /// Which entries some group has not read, once that was asked.
    unread: Option<Unread>,
}

/// Which entries count as unread.
#[derive(Debug, Clone, Copy)]
struct Unread {
    /// Those above this id do.
    surely_above: StreamId,
    /// Those above this id may.
    maybe_above: StreamId,
}

impl Deletion {
    /// Creates the deletion of a server of `dialect`.
    #[must_use]
    pub const fn new(strategy: Strategy, dialect: Dialect) -> Self {
        Self {
            strategy,
            dialect,
            unread: None,
        }
    }

    /// Whether the entry may go. Removes its references first if it takes them along, even if there is no such entry.
    fn frees(&mut self, stream: &mut Stream, id: StreamId) -> Result<bool, Doubt> {
        match self.strategy {
            Strategy::KeepRef => Ok(true),
            Strategy::DelRef => {
                stream.forget(id);
                Ok(true)
            }
            Strategy::Acked => Ok(!self.is_referenced(stream, id)?),
        }
    }

    /// Source: redis 8.2 t_stream.c, `streamEntryIsReferenced`.
    fn is_referenced(&mut self, stream: &mut Stream, id: StreamId) -> Result<bool, Doubt> {
        if stream.groups.is_empty() {
            return Ok(false);
        }
        let dialect = self.dialect;
        let unread = *self.unread.get_or_insert_with(|| stream.unread(dialect));
        if id > unread.surely_above || stream.is_pending(id) {
            Ok(true)
        } else if id > unread.maybe_above {
            Err(Doubt::OldestGroup)
        } else {
            Ok(false)
        }
    }

    /// A trim passes by an entry that was deleted before.
    ///
    /// Source: redis 8.2 t_stream.c, `streamTrim`, which keeps references to such an entry; a later patch release removes them.
    fn passes(&self, stream: &Stream, id: StreamId) -> Result<(), Doubt> {
        let asks = matches!(self.strategy, Strategy::DelRef);
        if asks && self.dialect.may_forget_tombstones() && stream.is_pending(id) {
            return Err(Doubt::Tombstone);
        }
        Ok(())
    }
}

impl Stream {
    /// Deletes entries and keeps all references. Returns how many existed.
    pub fn delete(&mut self, ids: &[StreamId]) -> usize {
        let mut deleted = Deleted::default();
        for id in ids {
            deleted.note(self, *id);
        }
        deleted.settle(self)
    }

    /// Deletes entries. Returns how many of them existed and were deleted.
    ///
    /// Source: redis 8.2 t_stream.c, `xdelexCommand`.
    ///
    /// # Errors
    /// [`Doubt`]; the stream is useless then.
    pub fn delete_by(&mut self, ids: &[StreamId], mut deletion: Deletion) -> Result<usize, Doubt> {
        let mut deleted = Deleted::default();
        for id in ids {
            if deletion.frees(self, *id)? {
                deleted.note(self, *id);
            }
        }
        Ok(deleted.settle(self))
    }

    /// Acknowledges entries in a group and deletes those that were pending there. Returns how many were deleted.
    ///
    /// Source: redis 8.2 t_stream.c, `xackdelCommand`.
    ///
    /// # Errors
    /// [`Doubt`]; the stream is useless then.
    pub fn acknowledge_and_delete(
        &mut self,
        group: &[u8],
        ids: &[StreamId],
        mut deletion: Deletion,
    ) -> Result<usize, Doubt> {
        let mut deleted = Deleted::default();
        for id in ids {
            let acknowledged = self.change_group(group, |group| group.acknowledge(*id));
            if acknowledged == Some(true) && deletion.frees(self, *id)? {
                deleted.note(self, *id);
            }
        }
        Ok(deleted.settle(self))
    }

    fn delete_one(&mut self, id: StreamId) -> bool {
        let Some((master_id, node)) = self.nodes.range_mut(..=id).next_back() else {
            return false;
        };
        let before = node_bytes(node);
        if !node::bury_one(node, *master_id, id) {
            return false;
        }
        self.heap_bytes = self.heap_bytes + node_bytes(node) - before;
        self.length = self.length.wrapping_sub(1);
        if node::counts(node).0 == 0 {
            let master_id = *master_id;
            self.drop_node(master_id);
        }
        true
    }

    /// Drops the oldest entries that `keep` does not cover: only whole nodes if `roughly` is set, and at most `limit` entries
    /// (0: no limit). Keeps all references. Returns how many were dropped.
    ///
    /// Source: redis 7.0 t_stream.c, `streamTrim`.
    pub fn trim(&mut self, keep: Keep, roughly: bool, limit: u64) -> u64 {
        let mut dropped = 0;
        while let Some((&id, node)) = self.nodes.first_key_value() {
            if self.is_short_enough(keep) {
                break;
            }
            let (live, _) = node::counts(node);
            if limit > 0 && dropped + live > limit {
                break;
            }
            if self.is_all_old(id, keep) {
                self.length = self.length.wrapping_sub(live);
                dropped += live;
                self.drop_node(id);
                continue;
            }
            if !roughly {
                dropped += self.trim_node(id, keep);
            }
            break;
        }
        if dropped > 0 {
            self.find_first();
        }
        dropped
    }

    /// Drops the oldest entries that `keep` does not cover, each by itself: referenced ones may stay, and later ones go in
    /// their stead. Returns how many were dropped.
    ///
    /// Source: redis 8.2 t_stream.c, `streamTrim`.
    ///
    /// # Errors
    /// [`Doubt`]; the stream is useless then.
    pub fn trim_by(&mut self, keep: Keep, mut deletion: Deletion) -> Result<u64, Doubt> {
        if deletion.strategy == Strategy::KeepRef {
            return Ok(self.trim(keep, false, 0));
        }
        let mut dropped = 0;
        let mut next = self.nodes.keys().next().copied();
        while let Some(id) = next
            && !self.is_short_enough(keep)
        {
            let all_old = self.is_all_old(id, keep);
            dropped += self.trim_entries(id, keep, &mut deletion)?;
            if !all_old {
                break;
            }
            let later = (Bound::Excluded(id), Bound::Unbounded);
            next = self.nodes.range(later).next().map(|(id, _)| *id);
            if self
                .nodes
                .get(&id)
                .is_some_and(|node| node::counts(node).0 == 0)
            {
                self.drop_node(id);
            }
        }
        if dropped > 0 {
            self.find_first();
        }
        Ok(dropped)
    }

    /// Whether there is nothing to trim, in a server's eyes.
    const fn is_short_enough(&self, keep: Keep) -> bool {
        matches!(keep, Keep::Newest(most) if self.length <= most)
    }

    /// Whether none of a node's entries is kept.
    fn is_all_old(&self, id: StreamId, keep: Keep) -> bool {
        let Some(node) = self.nodes.get(&id) else {
            unreachable!("no node {id} to trim")
        };
        match keep {
            Keep::Newest(most) => self.length.wrapping_sub(node::counts(node).0) >= most,
            Keep::From(first) => node::entries(id, node)
                .last()
                .is_some_and(|last| last.id < first),
        }
    }

    fn trim_node(&mut self, id: StreamId, keep: Keep) -> u64 {
        let mut left = self.length;
        self.bury(id, |node| {
            node::bury(node, id, |entry| match keep {
                Keep::From(first) => entry.id < first,
                Keep::Newest(most) => {
                    let wanted = left > most;
                    left = left.wrapping_sub(u64::from(wanted && !entry.is_deleted()));
                    wanted
                }
            })
        })
    }

    /// Drops those of a node's entries that `keep` does not cover and `deletion` frees.
    fn trim_entries(
        &mut self,
        id: StreamId,
        keep: Keep,
        deletion: &mut Deletion,
    ) -> Result<u64, Doubt> {
        let Some(node) = self.nodes.get(&id) else {
            unreachable!("no node {id} to trim")
        };
        let places: Vec<node::Place> = node::entries(id, node).map(node::Place::from).collect();
        let (mut left, mut freed) = (self.length, Vec::new());
        for place in places {
            let stops = match keep {
                Keep::From(first) => place.id >= first,
                Keep::Newest(most) => left <= most,
            };
            if stops {
                break;
            }
            if place.deleted {
                deletion.passes(self, place.id)?;
            } else if deletion.frees(self, place.id)? {
                left = left.wrapping_sub(1);
                freed.push(place.index);
            }
        }
        Ok(self.bury(id, |node| node::bury_at(node, &freed)))
    }

    /// Turns some of a node's entries into tombstones. Returns how many.
    fn bury(
        &mut self,
        id: StreamId,
        change: impl FnOnce(&mut crate::rdb::listpack::Listpack) -> u64,
    ) -> u64 {
        let Some(node) = self.nodes.get_mut(&id) else {
            unreachable!("no node {id} to trim")
        };
        let before = node_bytes(node);
        let buried = change(node);
        self.heap_bytes = self.heap_bytes + node_bytes(node) - before;
        self.length = self.length.wrapping_sub(buried);
        buried
    }

    fn drop_node(&mut self, id: StreamId) {
        if let Some(node) = self.nodes.remove(&id) {
            self.heap_bytes -= node_bytes(&node);
        }
    }

    /// Source: redis 7.0 t_stream.c, `streamGetEdgeID` and its callers.
    fn find_first(&mut self) {
        let first = self.range(StreamId::MIN, StreamId::MAX).next();
        self.first_id = match first {
            _ if self.length == 0 => StreamId::MIN,
            Some(entry) => entry.id,
            None => StreamId::MAX,
        };
    }

    /// Whether an entry is pending in any group.
    fn is_pending(&self, id: StreamId) -> bool {
        let mut groups = self.groups.values();
        groups.any(|group| group.pending().contains_key(&id))
    }

    /// Removes an entry from the pending entries of all groups.
    fn forget(&mut self, id: StreamId) {
        for group in self.groups.values_mut() {
            let before = group.heap_bytes();
            group.acknowledge(id);
            self.heap_bytes = self.heap_bytes + group.heap_bytes() - before;
        }
    }

    fn unread(&mut self, dialect: Dialect) -> Unread {
        let last_ids = self.groups.values().map(|group| group.last_id);
        let exact = last_ids.min().unwrap_or(StreamId::MAX);
        let mut remembered = || *self.rare().oldest_group.get_or_insert(exact);
        let (surely_above, maybe_above) = match dialect.oldest_group() {
            OldestGroup::Exact => (exact, exact),
            OldestGroup::Remembered => (remembered(), remembered()),
            OldestGroup::Doubtful => (exact, remembered()),
        };
        Unread {
            surely_above,
            maybe_above,
        }
    }

    /// A group has another last-delivered id than before. A server forgets the smallest one if that may no longer be it.
    ///
    /// Source: redis 8.2 t_stream.c, `streamUpdateCGroupLastId`.
    pub(super) fn group_moved(&mut self, before: StreamId, after: StreamId) {
        if let Some(rare) = &mut self.rare {
            let kept = |oldest: &StreamId| before != *oldest && after >= *oldest;
            rare.oldest_group = rare.oldest_group.filter(kept);
        }
    }
}

/// What one command has deleted.
#[derive(Default)]
struct Deleted {
    entries: usize,
    /// Whether the first entry is among them.
    first: bool,
}

impl Deleted {
    fn note(&mut self, stream: &mut Stream, id: StreamId) {
        if stream.delete_one(id) {
            self.first |= id == stream.first_id;
            stream.max_deleted_id = stream.max_deleted_id.max(id);
            self.entries += 1;
        }
    }

    fn settle(self, stream: &mut Stream) -> usize {
        if self.entries > 0 && (self.first || stream.length == 0) {
            stream.find_first();
        }
        self.entries
    }
}

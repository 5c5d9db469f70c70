//! The stream: entries in packed nodes, found by id; consumer groups beside them.

use std::collections::BTreeMap;

use super::{Error, Thresholds};
use crate::rdb::listpack::Listpack;
use crate::rdb::stream::{StreamId, StreamObject};

mod group;
mod node;

pub use group::{Consumer, Group, Pending};
pub use node::Entry;

/// A node grows no further than this whatever the settings say. Source: redis 7.0 t_stream.c, `STREAM_LISTPACK_MAX_SIZE`.
const NODE_BYTES_MAX: usize = 1 << 30;
/// Roughly what a node takes in the tree beside its bytes.
const NODE_TREE_BYTES: usize = size_of::<(StreamId, Listpack)>() * 3 / 2;

/// A stream.
#[derive(Debug, Clone, Default)]
pub struct Stream {
    /// By the id that their entries' differences are added to.
    nodes: BTreeMap<StreamId, Listpack>,
    /// Live entries; another number if a snapshot said so.
    length: u64,
    /// The last id given to an entry.
    pub last_id: StreamId,
    /// The first live entry's; 0-0 when there is none. A snapshot may say another.
    first_id: StreamId,
    /// The largest id deleted by XDEL.
    pub max_deleted_id: StreamId,
    /// Entries ever added.
    pub entries_added: u64,
    groups: BTreeMap<Box<[u8]>, Group>,
    /// An entry may lie past the first of the next node, for a snapshot's nodes did.
    overlaps: bool,
    /// Of all nodes and groups.
    heap_bytes: usize,
}

/// What a trim keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// So many of the newest entries.
    Newest(u64),
    /// Entries from this id on.
    From(StreamId),
}

impl Stream {
    /// A decoded stream. Its length, its first and its last id are those that it states, whatever its entries are, and entries
    /// need not ascend: servers keep such a stream too, and answer by what it states.
    ///
    /// # Errors
    /// A node whose entries and counts do not hold together; nodes, groups or consumers twice; a pending entry whose owner is
    /// not clear.
    pub fn from_rdb(object: StreamObject) -> Result<Self, Error> {
        let mut stream = Self {
            length: object.length,
            first_id: object.first_id,
            last_id: object.last_id,
            max_deleted_id: object.max_deleted_id,
            entries_added: object.entries_added,
            ..Self::default()
        };
        let mut last = None;
        for (id, listpack) in object.nodes {
            stream.overlaps |= last > Some(id);
            last = last.max(node::check(id, &listpack)?);
            stream.heap_bytes += node_bytes(&listpack);
            if stream.nodes.insert(id, listpack).is_some() {
                return Err(Error::Stream("node stands twice"));
            }
        }
        // What is appended then comes before it, maybe in a node of its own.
        stream.overlaps |= last > Some(stream.last_id);
        for mut group in object.groups {
            let name = std::mem::take(&mut group.name);
            if stream.groups.contains_key(&name) {
                return Err(Error::Duplicate);
            }
            stream.put_group(name, Group::from_rdb(group)?);
        }
        Ok(stream)
    }

    /// Number of live entries.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::try_from(self.length).unwrap_or(usize::MAX)
    }

    /// Whether there is no live entry.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Bytes held on the heap; what trees take is an estimate.
    #[must_use]
    pub const fn heap_bytes(&self) -> usize {
        self.heap_bytes
    }

    /// The first live entry's id; 0-0 when there is none.
    #[must_use]
    pub const fn first_id(&self) -> StreamId {
        self.first_id
    }

    /// The nodes, ascending: the id that entries' differences are added to, and the packed entries.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = (StreamId, &Listpack)> {
        self.nodes.iter().map(|(id, node)| (*id, node))
    }

    /// How many nodes Redis's radix tree has for these keys of sixteen bytes: a leaf for each, one for each place where
    /// keys part, and one for each run of bytes between those.
    ///
    /// Source: redis 7.0 rax.c, `raxGenericInsert`.
    #[must_use]
    pub fn tree_nodes(&self) -> usize {
        let keys: Vec<[u8; KEY_BYTES]> = self.nodes.keys().map(|id| id.to_be_bytes()).collect();
        if keys.is_empty() {
            1
        } else {
            tree_nodes(&keys, 0)
        }
    }

    /// Live entries with ids from `start` to `end`, both included, ascending.
    pub fn range(&self, start: StreamId, end: StreamId) -> impl Iterator<Item = Entry<'_>> {
        self.nodes_between(start, end)
            .flat_map(|(id, listpack)| node::Entries::new(*id, listpack).into_iter().flatten())
            .filter(move |entry| !entry.is_deleted() && entry.id >= start)
            .take_while(move |entry| entry.id <= end)
    }

    /// As [`range`](Self::range), descending.
    pub fn range_back(&self, start: StreamId, end: StreamId) -> impl Iterator<Item = Entry<'_>> {
        // A walk backwards goes on to the first node, or to an entry below the start.
        let lowest = if self.overlaps { StreamId::MIN } else { start };
        self.nodes_between(lowest, end)
            .rev()
            .flat_map(move |(id, listpack)| {
                // Packed entries are read forwards only: those of one node are gathered and turned round.
                let entries = node::Entries::new(*id, listpack).into_iter().flatten();
                let mut entries: Vec<Entry<'_>> = entries
                    .filter(|entry| !entry.is_deleted() && entry.id <= end)
                    .collect();
                entries.reverse();
                entries
            })
            .take_while(move |entry| entry.id >= start)
    }

    /// The nodes that may hold entries from `start` to `end`.
    fn nodes_between(
        &self,
        start: StreamId,
        end: StreamId,
    ) -> std::collections::btree_map::Range<'_, StreamId, Listpack> {
        let first = self.nodes.range(..=start).next_back();
        let first = first.map_or(start, |(id, _)| *id);
        // A range that names nothing: the first node alone, whose entries do not match.
        self.nodes.range(first..=end.max(first))
    }

    /// Appends an entry; gives false, and does nothing, when its id is not above the last one.
    pub fn append(
        &mut self,
        id: StreamId,
        pairs: &[(&[u8], &[u8])],
        thresholds: &Thresholds,
    ) -> bool {
        if id <= self.last_id {
            return false;
        }
        let bytes: usize = pairs
            .iter()
            .map(|(field, value)| field.len().saturating_add(value.len()))
            .sum();
        let last = self.nodes.last_key_value();
        let open = last.filter(|(_, node)| has_room(node, bytes, thresholds));
        let master_id = open.map_or(id, |(master_id, _)| *master_id);
        let node = self.nodes.entry(master_id).or_insert_with(|| {
            let node = node::create(pairs);
            self.heap_bytes += node_bytes(&node);
            node
        });
        let before = node_bytes(node);
        node::append(node, master_id, id, pairs);
        self.heap_bytes = self.heap_bytes + node_bytes(node) - before;
        self.length = self.length.wrapping_add(1);
        // A snapshot may say any number.
        self.entries_added = self.entries_added.wrapping_add(1);
        self.last_id = id;
        if self.length == 1 {
            self.first_id = id;
        }
        true
    }

    /// Deletes entries; gives how many there were.
    pub fn delete(&mut self, ids: &[StreamId]) -> usize {
        let (mut deleted, mut first) = (0, false);
        for id in ids {
            if self.delete_one(*id) {
                first |= *id == self.first_id;
                self.max_deleted_id = self.max_deleted_id.max(*id);
                deleted += 1;
            }
        }
        if deleted > 0 && (first || self.length == 0) {
            self.find_first();
        }
        deleted
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

    /// Drops the oldest entries that `keep` does not name: whole nodes only when `roughly`, and no more than `limit` entries
    /// (0: no limit). Gives how many.
    ///
    /// Source: redis 7.0 t_stream.c, `streamTrim`.
    pub fn trim(&mut self, keep: Keep, roughly: bool, limit: u64) -> u64 {
        let mut dropped = 0;
        while let Some((&id, node)) = self.nodes.first_key_value() {
            if matches!(keep, Keep::Newest(most) if self.length <= most) {
                break;
            }
            let (live, _) = node::counts(node);
            if limit > 0 && dropped + live > limit {
                break;
            }
            if self.is_all_old(id, node, keep) {
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

    /// Whether nothing of a node is kept.
    fn is_all_old(&self, id: StreamId, listpack: &Listpack, keep: Keep) -> bool {
        match keep {
            Keep::Newest(most) => self.length.wrapping_sub(node::counts(listpack).0) >= most,
            Keep::From(first) => node::Entries::new(id, listpack)
                .into_iter()
                .flatten()
                .last()
                .is_some_and(|last| last.id < first),
        }
    }

    fn trim_node(&mut self, id: StreamId, keep: Keep) -> u64 {
        let Some(node) = self.nodes.get_mut(&id) else {
            return 0;
        };
        let before = node_bytes(node);
        let mut left = self.length;
        let buried = node::bury(node, id, |entry| match keep {
            Keep::From(first) => entry.id < first,
            Keep::Newest(most) => {
                let wanted = left > most;
                left = left.wrapping_sub(u64::from(wanted && !entry.is_deleted()));
                wanted
            }
        });
        self.heap_bytes = self.heap_bytes + node_bytes(node) - before;
        self.length = self.length.wrapping_sub(buried);
        buried
    }

    fn drop_node(&mut self, id: StreamId) {
        if let Some(node) = self.nodes.remove(&id) {
            self.heap_bytes -= node_bytes(&node);
        }
    }

    /// Source: redis 7.0 t_stream.c, `streamGetEdgeID`, and those who call it.
    fn find_first(&mut self) {
        let first = self.range(StreamId::MIN, StreamId::MAX).next();
        self.first_id = match first {
            _ if self.length == 0 => StreamId::MIN,
            Some(entry) => entry.id,
            None => StreamId::MAX,
        };
    }

    /// The last live entry's id, `None` when there is none.
    #[must_use]
    pub fn last_live_id(&self) -> Option<StreamId> {
        let last = self.range_back(StreamId::MIN, StreamId::MAX).next();
        last.map(|entry| entry.id)
    }

    /// The consumer groups by name, ascending by its bytes.
    #[must_use]
    pub const fn groups(&self) -> &BTreeMap<Box<[u8]>, Group> {
        &self.groups
    }

    /// Puts a group under a name, replacing one that was there.
    pub fn put_group(&mut self, name: Box<[u8]>, group: Group) {
        self.remove_group(&name);
        self.heap_bytes += group_bytes(&name, &group);
        self.groups.insert(name, group);
    }

    /// Drops a group; gives whether it was there.
    pub fn remove_group(&mut self, name: &[u8]) -> bool {
        let Some((name, group)) = self.groups.remove_entry(name) else {
            return false;
        };
        self.heap_bytes -= group_bytes(&name, &group);
        true
    }

    /// Changes the group of that name, `None` when there is none.
    pub fn change_group<R>(
        &mut self,
        name: &[u8],
        change: impl FnOnce(&mut Group) -> R,
    ) -> Option<R> {
        let group = self.groups.get_mut(name)?;
        let before = group_bytes(name, group);
        let result = change(group);
        self.heap_bytes = self.heap_bytes + group_bytes(name, group) - before;
        Some(result)
    }
}

/// Bytes of an id as a key of the radix tree.
const KEY_BYTES: usize = 16;

/// The radix tree's nodes for ascending keys that are equal in their first `depth` bytes. Calls itself once a byte at most.
fn tree_nodes(keys: &[[u8; KEY_BYTES]], depth: usize) -> usize {
    let (Some(first), Some(last)) = (keys.first(), keys.last()) else {
        return 0;
    };
    let shared = first
        .iter()
        .zip(last)
        .take_while(|(one, other)| one == other)
        .count();
    let run = usize::from(shared > depth);
    if keys.len() == 1 {
        return run + 1;
    }
    let branches = keys.chunk_by(|one, other| one.get(shared) == other.get(shared));
    run + 1
        + branches
            .map(|keys| tree_nodes(keys, shared + 1))
            .sum::<usize>()
}

fn node_bytes(node: &Listpack) -> usize {
    NODE_TREE_BYTES + node.capacity()
}

fn group_bytes(name: &[u8], group: &Group) -> usize {
    name.len() + size_of::<Group>() * 3 / 2 + group.heap_bytes()
}

/// Whether an entry of `bytes` goes into this node or opens a new one.
fn has_room(node: &Listpack, bytes: usize, thresholds: &Thresholds) -> bool {
    let bytes_max = match thresholds.stream_node_max_bytes {
        0 => NODE_BYTES_MAX,
        bytes_max => bytes_max.min(NODE_BYTES_MAX),
    };
    let (live, deleted) = node::counts(node);
    let entries_max = thresholds.stream_node_max_entries as u64;
    let counted = if thresholds.stream_node_counts_deleted {
        live + deleted
    } else {
        live
    };
    node.byte_len() + bytes < bytes_max && (entries_max == 0 || counted < entries_max)
}

#[cfg(test)]
#[path = "stream_tests.rs"]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]
mod tests;

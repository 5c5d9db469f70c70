//! The stream: entries in packed nodes, found by id, and consumer groups.

use std::collections::BTreeMap;

use super::{Error, Thresholds};
use crate::rdb::listpack::Listpack;
use crate::rdb::stream::{StreamId, StreamObject};

mod group;
mod node;

pub use group::{Consumer, Group, Pending};
pub use node::Entry;

/// The maximum size of a node, whatever the settings say. Source: redis 7.0 t_stream.c, `STREAM_LISTPACK_MAX_SIZE`.
const NODE_BYTES_MAX: usize = 1 << 30;
/// The approximate size of a node in the tree, without its own bytes.
const NODE_TREE_BYTES: usize = size_of::<(StreamId, Listpack)>() * 3 / 2;

/// A stream.
#[derive(Debug, Clone, Default)]
pub struct Stream {
    /// Nodes by master id. Entries store their ids as differences to it.
    nodes: BTreeMap<StreamId, Listpack>,
    /// The number of live entries, or another number if a snapshot stated one.
    length: u64,
    /// The last id that an entry was given.
    pub last_id: StreamId,
    /// The id of the first live entry; 0-0 if there is none. A snapshot may state another.
    first_id: StreamId,
    /// The largest id that XDEL has deleted.
    pub max_deleted_id: StreamId,
    /// The number of entries ever added.
    pub entries_added: u64,
    groups: BTreeMap<Box<[u8]>, Group>,
    /// Whether an entry may have a larger id than the first entry of the next node, because that was so in the snapshot.
    overlaps: bool,
    /// The size of all nodes and groups.
    heap_bytes: usize,
}

/// What a trim keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// This many of the newest entries.
    Newest(u64),
    /// The entries from this id on.
    From(StreamId),
}

impl Stream {
    /// Creates a stream from a decoded one. Its length, first id and last id are the ones it states, whatever its entries are,
    /// and the entries need not be in ascending order: servers accept such a stream too, and answer from what it states.
    ///
    /// # Errors
    /// If the entries and counts of a node are inconsistent, if there are duplicate nodes, groups or consumers, or if the owner
    /// of a pending entry is not clear.
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
                return Err(Error::Stream("node appears twice"));
            }
        }
        // In that case an appended entry has a smaller id than an existing one, maybe in a node of its own.
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

    /// The number of live entries.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::try_from(self.length).unwrap_or(usize::MAX)
    }

    /// Whether there are no live entries.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The number of bytes on the heap. The share of the trees is an estimate.
    #[must_use]
    pub const fn heap_bytes(&self) -> usize {
        self.heap_bytes
    }

    /// The id of the first live entry; 0-0 if there is none.
    #[must_use]
    pub const fn first_id(&self) -> StreamId {
        self.first_id
    }

    /// Iterates over the nodes, ascending: the master id, to which the entries' differences are added, and the packed entries.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = (StreamId, &Listpack)> {
        self.nodes.iter().map(|(id, node)| (*id, node))
    }

    /// Returns how many nodes Redis's radix tree has for these keys of sixteen bytes: one leaf per key, one node per place
    /// where keys diverge, and one per run of bytes between those.
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

    /// Iterates over the live entries with ids from `start` to `end`, inclusive, ascending.
    pub fn range(&self, start: StreamId, end: StreamId) -> impl Iterator<Item = Entry<'_>> {
        self.nodes_between(start, end)
            .flat_map(|(id, listpack)| node::entries(*id, listpack))
            .filter(move |entry| !entry.is_deleted() && entry.id >= start)
            .take_while(move |entry| entry.id <= end)
    }

    /// Like [`range`](Self::range), but descending.
    pub fn range_back(&self, start: StreamId, end: StreamId) -> impl Iterator<Item = Entry<'_>> {
        // A backward walk continues to the first node, or to an entry below the start.
        let lowest = if self.overlaps { StreamId::MIN } else { start };
        self.nodes_between(lowest, end)
            .rev()
            .flat_map(move |(id, listpack)| {
                // Packed entries can only be read forwards, so collect those of one node and reverse them.
                let mut entries: Vec<Entry<'_>> = node::entries(*id, listpack)
                    .filter(|entry| !entry.is_deleted() && entry.id <= end)
                    .collect();
                entries.reverse();
                entries
            })
            .take_while(move |entry| entry.id >= start)
    }

    /// Returns the nodes that may hold entries from `start` to `end`.
    fn nodes_between(
        &self,
        start: StreamId,
        end: StreamId,
    ) -> std::collections::btree_map::Range<'_, StreamId, Listpack> {
        let first = self.nodes.range(..=start).next_back();
        let first = first.map_or(start, |(id, _)| *id);
        // An empty range returns only the first node, whose entries do not match.
        self.nodes.range(first..=end.max(first))
    }

    /// Appends an entry. Returns false, and does nothing, if its id is not above the last one.
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
        // A snapshot may state any number, so this can overflow.
        self.entries_added = self.entries_added.wrapping_add(1);
        self.last_id = id;
        if self.length == 1 {
            self.first_id = id;
        }
        true
    }

    /// Deletes entries. Returns how many existed.
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

    /// Drops the oldest entries that `keep` does not cover: only whole nodes if `roughly` is set, and at most `limit` entries
    /// (0: no limit). Returns how many were dropped.
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

    /// Whether none of a node's entries is kept.
    fn is_all_old(&self, id: StreamId, listpack: &Listpack, keep: Keep) -> bool {
        match keep {
            Keep::Newest(most) => self.length.wrapping_sub(node::counts(listpack).0) >= most,
            Keep::From(first) => node::entries(id, listpack)
                .last()
                .is_some_and(|last| last.id < first),
        }
    }

    fn trim_node(&mut self, id: StreamId, keep: Keep) -> u64 {
        let Some(node) = self.nodes.get_mut(&id) else {
            unreachable!("no node {id} to trim")
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

    /// Source: redis 7.0 t_stream.c, `streamGetEdgeID` and its callers.
    fn find_first(&mut self) {
        let first = self.range(StreamId::MIN, StreamId::MAX).next();
        self.first_id = match first {
            _ if self.length == 0 => StreamId::MIN,
            Some(entry) => entry.id,
            None => StreamId::MAX,
        };
    }

    /// Returns the id of the last live entry, or `None` if there is none.
    #[must_use]
    pub fn last_live_id(&self) -> Option<StreamId> {
        let last = self.range_back(StreamId::MIN, StreamId::MAX).next();
        last.map(|entry| entry.id)
    }

    /// The consumer groups, in ascending byte order of their names.
    #[must_use]
    pub const fn groups(&self) -> &BTreeMap<Box<[u8]>, Group> {
        &self.groups
    }

    /// Adds a group under a name. Replaces an existing one.
    pub fn put_group(&mut self, name: Box<[u8]>, group: Group) {
        self.remove_group(&name);
        self.heap_bytes += group_bytes(&name, &group);
        self.groups.insert(name, group);
    }

    /// Removes a group. Returns whether it existed.
    pub fn remove_group(&mut self, name: &[u8]) -> bool {
        let Some((name, group)) = self.groups.remove_entry(name) else {
            return false;
        };
        self.heap_bytes -= group_bytes(&name, &group);
        true
    }

    /// Changes the group with this name. Returns `None` if there is none.
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

/// The number of bytes of an id as a key of the radix tree.
const KEY_BYTES: usize = 16;

/// Returns the number of radix tree nodes for ascending keys whose first `depth` bytes are equal. Recurses at most once per byte.
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

/// Whether an entry of `bytes` fits into this node. If not, it starts a new one.
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

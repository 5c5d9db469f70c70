//! The stream: entries in packed nodes, found by id, and consumer groups.

use std::collections::BTreeMap;

use super::{Error, Thresholds};
use crate::rdb::listpack::Listpack;
use crate::rdb::stream::{StreamId, StreamObject};

mod delete;
mod group;
mod idmp;
mod node;
mod tree;

pub use delete::{Deletion, Doubt, Keep, Strategy};
pub use group::{Consumer, DELIVERIES_MAX, Group, Pending, Recount};
pub use idmp::{Idmp, Known, automatic_iid};
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
    /// What few streams have; boxed, so that it costs the others one word.
    rare: Option<Box<Rare>>,
    /// The size of all nodes and groups, and of what is rare.
    heap_bytes: usize,
}

/// What few streams have.
#[derive(Debug, Default)]
struct Rare {
    /// Whether an entry may have a larger id than the first entry of the next node, because that was so in the snapshot.
    overlaps: bool,
    /// The smallest last-delivered id of all groups, as a server of Redis 8.2 remembers it: see [`OldestGroup`](crate::dialect::OldestGroup).
    oldest_group: Option<StreamId>,
    /// What idempotent producers have added; `None` with the default settings and without any producer so far.
    idmp: Option<Idmp>,
}

impl Clone for Rare {
    /// COPY does not copy what a server remembers. Source: redis 8.2 t_stream.c, `streamDup`.
    fn clone(&self) -> Self {
        Self {
            overlaps: self.overlaps,
            oldest_group: None,
            idmp: self.idmp.clone(),
        }
    }
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
        let (mut last, mut overlaps) = (None, false);
        for (id, listpack) in object.nodes {
            overlaps |= last > Some(id);
            last = last.max(node::check(id, &listpack)?);
            stream.heap_bytes += node_bytes(&listpack);
            if stream.nodes.insert(id, listpack).is_some() {
                return Err(Error::Stream("node appears twice"));
            }
        }
        // In that case an appended entry has a smaller id than an existing one, maybe in a node of its own.
        overlaps |= last > Some(stream.last_id);
        if overlaps {
            stream.rare().overlaps = true;
        }
        if let Some(idmp) = object.idmp {
            stream.put_idmp(Idmp::from_rdb(*idmp)?);
        }
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
        let lowest = if self.overlaps() {
            StreamId::MIN
        } else {
            start
        };
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

    /// Takes the first node away if there is another one, to which all further entries go. The counters stay as they are, so the
    /// stream must be used for nothing but to write the rest of it.
    pub(crate) fn take_full_node(&mut self) -> Option<(StreamId, Listpack)> {
        if self.nodes.len() < 2 {
            return None;
        }
        let (id, node) = self.nodes.pop_first()?;
        self.heap_bytes -= node_bytes(&node);
        Some((id, node))
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
        // A server creates it with the smallest id, and then sets its own.
        self.group_moved(StreamId::MIN, group.last_id);
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
        let (before, last_id) = (group_bytes(name, group), group.last_id);
        let result = change(group);
        self.heap_bytes = self.heap_bytes + group_bytes(name, group) - before;
        let moved = group.last_id;
        self.group_moved(last_id, moved);
        Some(result)
    }

    /// The idempotent producers and their settings; `None` if the settings are the default ones and there never was any.
    #[must_use]
    pub fn idmp(&self) -> Option<&Idmp> {
        self.rare.as_ref()?.idmp.as_ref()
    }

    /// Changes the idempotent producers or their settings.
    pub fn change_idmp<R>(&mut self, change: impl FnOnce(&mut Idmp) -> R) -> R {
        let mut idmp = self.rare().idmp.take().unwrap_or_default();
        self.heap_bytes -= idmp.heap_bytes();
        let result = change(&mut idmp);
        self.put_idmp(idmp);
        result
    }

    /// Puts back, or adds, what [`rare`](Self::rare) does not have at the moment.
    fn put_idmp(&mut self, idmp: Idmp) {
        self.heap_bytes += idmp.heap_bytes();
        self.rare().idmp = Some(idmp);
    }

    fn rare(&mut self) -> &mut Rare {
        if self.rare.is_none() {
            self.heap_bytes += size_of::<Rare>();
        }
        self.rare.get_or_insert_default()
    }

    fn overlaps(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.overlaps)
    }
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

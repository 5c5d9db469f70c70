//! The list: one listpack, or a chain of nodes.

mod nodes;
#[cfg(test)]
mod tests;

use std::io::{self, Write};

use super::Thresholds;
use crate::dialect::Dialect;
use crate::rdb::encode::Writer;
use crate::rdb::listpack::{Item, Listpack};
use crate::rdb::object::{ListNode, NodeRef};
pub use nodes::Iter;
use nodes::Nodes;

/// An end of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Index 0.
    Head,
    /// The last index.
    Tail,
}

/// A list of byte strings.
///
/// It converts from one listpack to nodes when the words of a command might not fit into one node, and back when a single node
/// is left that is at most half full. Servers since Redis 7.2 do the same. Earlier servers have only nodes, but the difference
/// shows only in the name of the encoding.
#[derive(Debug, Clone)]
pub struct List(Form);

#[derive(Debug, Clone)]
enum Form {
    Packed(Listpack),
    Nodes(Box<Nodes>),
}

impl Default for List {
    fn default() -> Self {
        Self(Form::Packed(Listpack::new()))
    }
}

impl List {
    /// Creates a list from a snapshot's nodes, which stay as they are. Empty nodes are dropped.
    #[must_use]
    pub fn from_nodes(nodes: Vec<ListNode>, thresholds: &Thresholds) -> Self {
        let mut list = Self(Form::Nodes(Box::new(Nodes::new(nodes))));
        list.pack(|bytes, elements| !thresholds.list_node_is_over(bytes, elements));
        list
    }

    /// The number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Packed(packed) => packed.len(),
            Form::Nodes(nodes) => nodes.len(),
        }
    }

    /// Whether there are no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of bytes on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        match &self.0 {
            Form::Packed(packed) => packed.capacity(),
            Form::Nodes(nodes) => size_of::<Nodes>() + nodes.heap_bytes(),
        }
    }

    /// The name of the encoding in OBJECT ENCODING.
    #[must_use]
    pub const fn encoding(&self, dialect: Dialect) -> &'static str {
        match self.0 {
            Form::Packed(_) if dialect.has_small_listpack_lists_and_sets() => "listpack",
            _ => "quicklist",
        }
    }

    /// Returns the element at `index`.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Item<'_>> {
        self.iter_from(index).next()
    }

    /// Iterates over all elements, from either end.
    #[must_use]
    pub fn iter(&self) -> Iter<'_> {
        self.iter_from(0)
    }

    /// Iterates over the elements from `index` on.
    #[must_use]
    pub fn iter_from(&self, index: usize) -> Iter<'_> {
        match &self.0 {
            Form::Packed(packed) => Iter::of_listpack(packed.iter_from(index)),
            Form::Nodes(nodes) => nodes.iter_from(index),
        }
    }

    /// Returns the size of each node in bytes, head first. A list that is one listpack counts as one node.
    #[must_use]
    pub fn node_bytes(&self) -> Vec<usize> {
        let bytes = |node: &ListNode| match node {
            ListNode::Plain(text) => text.len(),
            ListNode::Packed(packed) => packed.byte_len(),
        };
        match &self.0 {
            Form::Packed(packed) => vec![packed.byte_len()],
            Form::Nodes(nodes) => nodes.chain().map(bytes).collect(),
        }
    }

    /// Writes the list. A list that is one listpack is written as a single node.
    pub(super) fn encode<W: Write>(&self, writer: &mut Writer<W>) -> io::Result<()> {
        match &self.0 {
            Form::Packed(packed) => writer.list([NodeRef::Packed(packed)].into_iter()),
            Form::Nodes(nodes) => writer.list(nodes.chain().map(NodeRef::from)),
        }
    }

    /// Pushes `words` one after another at `end`.
    pub fn push<'w>(
        &mut self,
        end: End,
        words: impl ExactSizeIterator<Item = &'w [u8]> + Clone,
        thresholds: &Thresholds,
    ) {
        self.make_room(words.clone(), thresholds);
        for word in words {
            self.push_one(end, word, thresholds);
        }
    }

    fn push_one(&mut self, end: End, word: &[u8], thresholds: &Thresholds) {
        match &mut self.0 {
            Form::Packed(packed) if end == End::Head => packed.insert(0, word),
            Form::Packed(packed) => packed.push(word),
            Form::Nodes(nodes) => nodes.push(end, word, thresholds),
        }
    }

    /// Removes up to `count` elements from `end` and drops them.
    pub fn drop_from(&mut self, end: End, count: usize, thresholds: &Thresholds) {
        let count = count.min(self.len());
        let start = match end {
            End::Head => 0,
            End::Tail => self.len() - count,
        };
        self.remove(start, count);
        self.settle(thresholds);
    }

    /// Removes the element at `end` and returns it.
    pub fn pop(&mut self, end: End, thresholds: &Thresholds) -> Option<Vec<u8>> {
        let element = self.take(end);
        self.settle(thresholds);
        element
    }

    /// Moves the element at end `from` of this list to its end `to`.
    pub fn rotate(&mut self, from: End, to: End, thresholds: &Thresholds) {
        if let Some(element) = self.take(from) {
            self.push(to, std::iter::once(&*element), thresholds);
            self.settle(thresholds);
        }
    }

    fn take(&mut self, end: End) -> Option<Vec<u8>> {
        let (element, index) = match end {
            End::Head => (self.iter().next(), 0),
            End::Tail => (self.iter().next_back(), self.len().saturating_sub(1)),
        };
        let element = element?.to_vec();
        self.remove(index, 1);
        Some(element)
    }

    /// Keeps only the elements in `kept`. `None` keeps nothing.
    pub fn trim(&mut self, kept: Option<std::ops::RangeInclusive<usize>>, thresholds: &Thresholds) {
        let len = self.len();
        let (start, end) = kept.map_or((len, len), |kept| (*kept.start(), *kept.end() + 1));
        self.remove(end, len.saturating_sub(end));
        self.remove(0, start);
        self.settle(thresholds);
    }

    /// Replaces the element at `index`. Returns false if there is none.
    pub fn set(&mut self, index: usize, word: &[u8], thresholds: &Thresholds) -> bool {
        if index >= self.len() {
            return false;
        }
        self.make_room(std::iter::once(word), thresholds);
        match &mut self.0 {
            Form::Packed(packed) => {
                packed.replace(index, word);
            }
            Form::Nodes(nodes) => nodes.replace(index, word, thresholds),
        }
        self.settle(thresholds);
        true
    }

    /// Inserts `word` before the first element equal to `pivot`, or after it if `behind` is set. Returns false if there is no
    /// such element.
    pub fn insert(
        &mut self,
        pivot: &[u8],
        behind: bool,
        word: &[u8],
        thresholds: &Thresholds,
    ) -> bool {
        // Servers convert before they search for the pivot.
        self.make_room(std::iter::once(word), thresholds);
        let Some(index) = self.iter().position(|item| item.eq_bytes(pivot)) else {
            return false;
        };
        match &mut self.0 {
            Form::Packed(packed) => packed.insert(index + usize::from(behind), word),
            Form::Nodes(nodes) => nodes.insert(index, behind, word, thresholds),
        }
        true
    }

    /// Removes the first `limit` elements equal to `word`, counted from `end`. Returns how many were removed.
    pub fn remove_equal(
        &mut self,
        word: &[u8],
        end: End,
        limit: usize,
        thresholds: &Thresholds,
    ) -> usize {
        let mut found = self.positions(word, end, limit);
        // Remove from the back, so that the remaining indexes stay valid.
        found.sort_unstable_by(|one, other| other.cmp(one));
        match &mut self.0 {
            Form::Packed(packed) => found.iter().for_each(|index| {
                packed.remove(*index, 1);
            }),
            Form::Nodes(nodes) => nodes.remove_descending(&found),
        }
        if !found.is_empty() {
            self.settle(thresholds);
        }
        found.len()
    }

    fn positions(&self, word: &[u8], end: End, limit: usize) -> Vec<usize> {
        let matches = |item: &Item<'_>| item.eq_bytes(word);
        match end {
            End::Head => {
                let items = self.iter().enumerate();
                let found = items.filter(|(_, item)| matches(item)).take(limit);
                found.map(|(index, _)| index).collect()
            }
            End::Tail => {
                let items = self.iter().rev().zip((0..self.len()).rev());
                let found = items.filter(|(item, _)| matches(item)).take(limit);
                found.map(|(_, index)| index).collect()
            }
        }
    }

    fn remove(&mut self, index: usize, count: usize) {
        match &mut self.0 {
            Form::Packed(packed) => {
                packed.remove(index, count);
            }
            Form::Nodes(nodes) => nodes.remove(index, count),
        }
    }

    /// Converts a listpack to nodes if `words` might not fit into it. Servers without listpack lists check each word as it
    /// reaches a node. Here the nodes do the same.
    ///
    /// Source: redis 7.2 t_list.c, listTypeTryConvertListpack.
    fn make_room<'w>(
        &mut self,
        words: impl ExactSizeIterator<Item = &'w [u8]>,
        thresholds: &Thresholds,
    ) {
        let Form::Packed(packed) = &mut self.0 else {
            return;
        };
        let elements = packed.len() + words.len();
        let beside = if thresholds.has_listpack_lists {
            0
        } else {
            nodes::ENTRY_OVERHEAD_BYTES
        };
        let bytes = packed.byte_len() + words.map(|word| word.len() + beside).sum::<usize>();
        if thresholds.list_node_is_over(bytes, elements) {
            let only = ListNode::Packed(std::mem::take(packed));
            self.0 = Form::Nodes(Box::new(Nodes::new(vec![only])));
        }
    }

    /// Converts a single node that is at most half full to a listpack, as servers do after elements were removed.
    fn settle(&mut self, thresholds: &Thresholds) {
        self.pack(|bytes, elements| thresholds.list_node_is_under_half(bytes, elements));
    }

    /// Converts a single packed node to a listpack if `fits` accepts its bytes and elements.
    fn pack(&mut self, fits: impl FnOnce(usize, usize) -> bool) {
        if let Form::Nodes(nodes) = &mut self.0
            && let Some(only) = nodes.only_listpack()
            && fits(only.byte_len(), only.len())
        {
            self.0 = Form::Packed(std::mem::take(only));
        }
    }
}

//! A long list: a chain of listpacks and single large elements.
//!
//! Node boundaries show in a server's replies, because a list with one node left converts back to a listpack. So nodes are
//! filled, split and merged exactly as in Redis. Source: redis 7.4 quicklist.c.

use std::collections::{VecDeque, vec_deque};
use std::iter::{Chain, FlatMap};

use super::{End, Thresholds};
use crate::rdb::listpack::{self, Item, Listpack};
use crate::rdb::object::ListNode;

/// A chain of nodes, none of them empty.
#[derive(Debug, Clone)]
pub(super) struct Nodes {
    nodes: VecDeque<ListNode>,
    /// The number of elements in all nodes.
    len: usize,
    /// The heap bytes of all nodes' data.
    data_bytes: usize,
}

impl Nodes {
    /// Creates a chain of `nodes`, without the empty ones.
    pub(super) fn new(nodes: Vec<ListNode>) -> Self {
        let mut nodes = VecDeque::from(nodes);
        nodes.retain(|node| elements(node) > 0);
        Self {
            len: nodes.iter().map(elements).sum(),
            data_bytes: nodes.iter().map(held_bytes).sum(),
            nodes,
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.data_bytes + self.nodes.capacity() * size_of::<ListNode>()
    }

    /// Returns the only node if it is a listpack. The caller may take it only together with the whole chain, because the counts
    /// are not updated.
    pub(super) fn only_listpack(&mut self) -> Option<&mut Listpack> {
        if self.nodes.len() != 1 {
            return None;
        }
        match self.nodes.front_mut() {
            Some(ListNode::Packed(packed)) => Some(packed),
            _ => None,
        }
    }

    /// Iterates over the chain, head first.
    pub(super) fn chain(&self) -> vec_deque::Iter<'_, ListNode> {
        self.nodes.iter()
    }

    pub(super) fn iter_from(&self, index: usize) -> Iter<'_> {
        let Some((at, offset)) = self.locate(index) else {
            return Iter::new(NodeIter::Plain(None), vec_deque::Iter::default());
        };
        let mut rest = self.nodes.range(at..);
        let first = match rest.next() {
            Some(ListNode::Packed(packed)) => NodeIter::Packed(packed.iter_from(offset)),
            Some(node) => NodeIter::of(node),
            None => NodeIter::Plain(None),
        };
        Iter::new(first, rest)
    }

    /// Returns the node that holds the element at `index`, and the element's position in it. Walks from the nearer end.
    fn locate(&self, index: usize) -> Option<(usize, usize)> {
        if index >= self.len {
            return None;
        }
        if index > self.len / 2 {
            return self.locate_backward(self.len - index);
        }
        let mut before = 0;
        for (at, node) in self.nodes.iter().enumerate() {
            let here = elements(node);
            if index < before + here {
                return Some((at, index - before));
            }
            before += here;
        }
        debug_assert!(false, "the nodes hold fewer than {} elements", self.len);
        None
    }

    /// Like `locate`, for the element that has `from_end` elements from itself to the end.
    fn locate_backward(&self, from_end: usize) -> Option<(usize, usize)> {
        let mut behind = 0;
        for (at, node) in self.nodes.iter().enumerate().rev() {
            behind += elements(node);
            if from_end <= behind {
                return Some((at, behind - from_end));
            }
        }
        debug_assert!(false, "the nodes hold fewer than {} elements", self.len);
        None
    }

    /// Changes the listpack at `at`, which the caller knows to be one, and updates the counts.
    fn edit(&mut self, at: usize, change: impl FnOnce(&mut Listpack)) {
        let Some(ListNode::Packed(packed)) = self.nodes.get_mut(at) else {
            unreachable!("node {at} of a list is no listpack")
        };
        let (len, bytes) = (packed.len(), packed.capacity());
        change(packed);
        self.len = self.len - len + packed.len();
        self.data_bytes = self.data_bytes - bytes + packed.capacity();
    }

    fn put_node(&mut self, at: usize, node: ListNode) {
        self.len += elements(&node);
        self.data_bytes += held_bytes(&node);
        self.nodes.insert(at, node);
    }

    fn drop_nodes(&mut self, range: std::ops::Range<usize>) {
        for node in self.nodes.drain(range) {
            self.len -= elements(&node);
            self.data_bytes -= held_bytes(&node);
        }
    }

    /// Whether the node at `at` has room for `word`; false if there is no such node. DIFFERENCE: the ziplists of Redis 6.0 are
    /// a few bytes smaller or larger, so the nodes of a long list may end elsewhere there. Only DUMP shows it.
    fn takes(&self, at: Option<usize>, word: &[u8], thresholds: &Thresholds) -> bool {
        let Some(ListNode::Packed(packed)) = at.and_then(|at| self.nodes.get(at)) else {
            return false;
        };
        let bytes = packed.byte_len() + word.len() + ENTRY_OVERHEAD_BYTES;
        !thresholds.list_element_is_large(word.len())
            && !thresholds.list_node_is_over(bytes, packed.len() + 1)
    }

    pub(super) fn push(&mut self, end: End, word: &[u8], thresholds: &Thresholds) {
        let at = match end {
            End::Head => 0,
            End::Tail => self.nodes.len().saturating_sub(1),
        };
        let takes = self.takes(Some(at), word, thresholds);
        match end {
            End::Head if takes => self.edit(at, |packed| packed.insert(0, word)),
            End::Head => self.put_node(0, new_node(word, thresholds)),
            End::Tail if takes => self.edit(at, |packed| packed.push(word)),
            End::Tail => self.put_node(self.nodes.len(), new_node(word, thresholds)),
        }
    }

    /// Removes up to `count` elements from `index` on.
    pub(super) fn remove(&mut self, index: usize, count: usize) {
        let Some((mut at, offset)) = self.locate(index) else {
            return;
        };
        let mut left = count;
        if offset > 0 {
            left -= self.remove_in(at, offset, left);
            at += 1;
        }
        let mut whole = 0;
        for here in self.nodes.range(at..).map(elements) {
            if here > left {
                break;
            }
            left -= here;
            whole += 1;
        }
        self.drop_nodes(at..at + whole);
        self.remove_in(at, 0, left);
    }

    /// Removes up to `count` elements of the node at `at`, which must keep some. Returns how many were removed. If `count` is 0,
    /// the node need not exist.
    fn remove_in(&mut self, at: usize, offset: usize, count: usize) -> usize {
        if count == 0 {
            return 0;
        }
        let before = self.len;
        self.edit(at, |packed| {
            packed.remove(offset, count);
        });
        before - self.len
    }

    /// Removes the elements at `indexes`, which must be descending.
    pub(super) fn remove_descending(&mut self, indexes: &[usize]) {
        let (mut at, mut start) = (self.nodes.len(), self.len);
        for index in indexes {
            while start > *index && at > 0 {
                at -= 1;
                start -= self.nodes.get(at).map_or(0, elements);
            }
            if self.nodes.get(at).map(elements) == Some(1) {
                self.drop_nodes(at..at + 1);
            } else {
                self.remove_in(at, *index - start, 1);
            }
        }
    }

    /// Replaces the element at `index`, which must exist. Source: quicklistReplaceEntry.
    pub(super) fn replace(&mut self, index: usize, word: &[u8], thresholds: &Thresholds) {
        let Some((at, offset)) = self.locate(index) else {
            unreachable!("no element {index} to replace")
        };
        let is_large = thresholds.list_element_is_large(word.len());
        let is_packed = matches!(self.nodes.get(at), Some(ListNode::Packed(_)));
        match (is_packed, is_large) {
            (true, false) => self.edit(at, |packed| {
                packed.replace(offset, word);
            }),
            (true, true) => self.replace_by_large(at, offset, word, thresholds),
            (false, true) => {
                self.drop_nodes(at..at + 1);
                self.put_node(at, ListNode::Plain(word.into()));
            }
            (false, false) => {
                self.insert_in((at, 0), true, word, thresholds);
                self.drop_nodes(at..at + 1);
            }
        }
    }

    /// Splits a listpack around the element that is replaced by a large one.
    fn replace_by_large(&mut self, at: usize, offset: usize, word: &[u8], thresholds: &Thresholds) {
        let tail = self.split(at, offset + 1);
        self.put_node(at + 1, ListNode::Plain(word.into()));
        if !tail.is_empty() {
            self.put_node(at + 2, ListNode::Packed(tail));
        }
        if offset == 0 {
            self.drop_nodes(at..at + 1);
        } else {
            self.remove_in(at, offset, 1);
            self.merge_around(at + 1, thresholds);
        }
    }

    /// Inserts `word` before the element at `index`, which must exist, or after it if `behind` is set.
    pub(super) fn insert(
        &mut self,
        index: usize,
        behind: bool,
        word: &[u8],
        thresholds: &Thresholds,
    ) {
        let Some(place) = self.locate(index) else {
            unreachable!("no element {index} to insert beside")
        };
        self.insert_in(place, behind, word, thresholds);
    }

    /// Like `insert`, at a node and a position in it. Source: _quicklistInsert.
    fn insert_in(
        &mut self,
        (at, offset): (usize, usize),
        behind: bool,
        word: &[u8],
        thresholds: &Thresholds,
    ) {
        let cut = offset + usize::from(behind);
        let here = self.nodes.get(at).map_or(0, elements);
        let (at_head, at_tail) = (!behind && cut == 0, behind && cut == here);
        let before = at.checked_sub(1);
        if self.takes(Some(at), word, thresholds) {
            self.edit(at, |packed| packed.insert(cut, word));
        } else if at_tail && self.takes(Some(at + 1), word, thresholds) {
            self.edit(at + 1, |packed| packed.insert(0, word));
        } else if at_head && self.takes(before, word, thresholds) {
            self.edit(at - 1, |packed| packed.push(word));
        } else if at_head || at_tail || here == 1 {
            self.put_node(at + usize::from(behind), new_node(word, thresholds));
        } else {
            self.insert_split(at, cut, behind, word, thresholds);
        }
    }

    /// Splits the node at `at` before its element `cut`, and puts `word` between the halves.
    fn insert_split(
        &mut self,
        at: usize,
        cut: usize,
        behind: bool,
        word: &[u8],
        thresholds: &Thresholds,
    ) {
        let tail = ListNode::Packed(self.split(at, cut));
        self.put_node(at + 1, tail);
        if thresholds.list_element_is_large(word.len()) {
            return self.put_node(at + 1, ListNode::Plain(word.into()));
        }
        // The word goes into the new half, and merging starts at the old one.
        if behind {
            self.edit(at + 1, |packed| packed.insert(0, word));
            self.merge_around(at, thresholds);
        } else {
            self.edit(at, |packed| packed.push(word));
            self.merge_around(at + 1, thresholds);
        }
    }

    /// Removes the elements from `cut` on from the listpack at `at`, and returns them.
    fn split(&mut self, at: usize, cut: usize) -> Listpack {
        let mut tail = Listpack::new();
        self.edit(at, |packed| {
            packed.iter_from(cut).for_each(|item| tail.push_item(item));
            packed.remove(cut, tail.len());
        });
        tail
    }

    /// Merges the neighbours of `center` with each other and with it, where they fit into one node. Source: _quicklistMergeNodes.
    fn merge_around(&mut self, center: usize, thresholds: &Thresholds) {
        let mut center = center;
        self.merge(center + 1, thresholds);
        if center >= 2 && self.merge(center - 2, thresholds) {
            center -= 1;
        }
        if center >= 1 && self.merge(center - 1, thresholds) {
            center -= 1;
        }
        self.merge(center, thresholds);
    }

    /// Merges the node at `at` with the next one if both fit into one node. Returns whether it did.
    fn merge(&mut self, at: usize, thresholds: &Thresholds) -> bool {
        let (Some(ListNode::Packed(one)), Some(ListNode::Packed(next))) =
            (self.nodes.get(at), self.nodes.get(at + 1))
        else {
            return false;
        };
        let frame = if thresholds.has_listpack_lists {
            LISTPACK_FRAME_BYTES
        } else {
            ZIPLIST_FRAME_BYTES
        };
        let bytes = (one.byte_len() + next.byte_len()).saturating_sub(frame);
        if thresholds.list_node_is_over(bytes, one.len() + next.len()) {
            return false;
        }
        let next = next.clone();
        self.drop_nodes(at + 1..at + 2);
        self.edit(at, |one| next.iter().for_each(|item| one.push_item(item)));
        true
    }
}

fn new_node(word: &[u8], thresholds: &Thresholds) -> ListNode {
    if thresholds.list_element_is_large(word.len()) {
        return ListNode::Plain(word.into());
    }
    let mut packed = Listpack::new();
    packed.push(word);
    ListNode::Packed(packed)
}

fn elements(node: &ListNode) -> usize {
    match node {
        ListNode::Plain(_) => 1,
        ListNode::Packed(packed) => packed.len(),
    }
}

fn held_bytes(node: &ListNode) -> usize {
    match node {
        ListNode::Plain(text) => text.len(),
        ListNode::Packed(packed) => packed.capacity(),
    }
}

/// Iterates over the elements of a list, from either end.
#[derive(Debug, Clone)]
pub struct Iter<'a>(Chain<NodeIter<'a>, RestIter<'a>>);

type RestIter<'a> =
    FlatMap<vec_deque::Iter<'a, ListNode>, NodeIter<'a>, fn(&'a ListNode) -> NodeIter<'a>>;

impl<'a> Iter<'a> {
    fn new(first: NodeIter<'a>, rest: vec_deque::Iter<'a, ListNode>) -> Self {
        let of: fn(&'a ListNode) -> NodeIter<'a> = NodeIter::of;
        Self(first.chain(rest.flat_map(of)))
    }

    pub(super) fn of_listpack(items: listpack::Iter<'a>) -> Self {
        Self::new(NodeIter::Packed(items), vec_deque::Iter::default())
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        self.0.next()
    }
}

impl DoubleEndedIterator for Iter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.0.next_back()
    }
}

/// Iterates over the elements of one node.
#[derive(Debug, Clone)]
enum NodeIter<'a> {
    Plain(Option<&'a [u8]>),
    Packed(listpack::Iter<'a>),
}

impl<'a> NodeIter<'a> {
    fn of(node: &'a ListNode) -> Self {
        match node {
            ListNode::Plain(text) => Self::Plain(Some(text)),
            ListNode::Packed(packed) => Self::Packed(packed.iter()),
        }
    }
}

impl<'a> Iterator for NodeIter<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        match self {
            Self::Plain(text) => text.take().map(Item::Str),
            Self::Packed(items) => items.next(),
        }
    }
}

impl DoubleEndedIterator for NodeIter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        match self {
            Self::Plain(text) => text.take().map(Item::Str),
            Self::Packed(items) => items.next_back(),
        }
    }
}

/// The maximum size of an element beyond its text. Source: redis 7.0 quicklist.c, `SIZE_ESTIMATE_OVERHEAD`.
pub(super) const ENTRY_OVERHEAD_BYTES: usize = 8;
/// The header and the terminator of a listpack.
const LISTPACK_FRAME_BYTES: usize = 7;
/// The header and the terminator of a ziplist. Redis 7.0 still calculates with them.
const ZIPLIST_FRAME_BYTES: usize = 11;

#[cfg(test)]
impl Nodes {
    /// Checks the running counts against a fresh count.
    pub(super) fn assert_counts(&self) {
        assert!(self.nodes.iter().all(|node| elements(node) > 0));
        assert_eq!(self.len, self.nodes.iter().map(elements).sum::<usize>());
        let bytes: usize = self.nodes.iter().map(held_bytes).sum();
        assert_eq!(self.data_bytes, bytes);
    }
}

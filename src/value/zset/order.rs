//! Handles in an order that someone else knows, in short blocks.

use crate::rdb::records::Handle;

/// Handles a block holds at most. Short enough that an insertion moves little, long enough that a million of them make only some
/// thousand blocks: ranks are found by adding up their lengths.
const BLOCK_MAX: usize = 256;
/// Handles a block gets when all are known beforehand: some room for more.
const BLOCK_LOADED: usize = 224;
/// Room that a block gets at least when it grows, in handles.
const BLOCK_GROWS_MIN: usize = 8;

type Block = Vec<[u8; 5]>;

/// A sequence of handles. It compares nothing itself: places are found with a predicate.
#[derive(Debug, Clone, Default)]
pub(super) struct Order {
    /// None is empty.
    blocks: Vec<Block>,
    /// Handles that all blocks have room for.
    room: usize,
}

/// A place in the sequence: a block, and a position in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    block: usize,
    at: usize,
}

impl Order {
    /// These handles, in this order.
    pub(super) fn new(handles: impl ExactSizeIterator<Item = Handle>) -> Self {
        let mut left = handles.len();
        let mut handles = handles.map(Handle::pack);
        let mut order = Self {
            blocks: Vec::with_capacity(left.div_ceil(BLOCK_LOADED)),
            room: 0,
        };
        while left > 0 {
            let len = left.min(BLOCK_LOADED);
            let mut block = Vec::with_capacity(len);
            block.extend(handles.by_ref().take(len));
            order.add_block(order.blocks.len(), block);
            left -= len;
        }
        order
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.blocks.capacity() * size_of::<Block>() + self.room * size_of::<[u8; 5]>()
    }

    fn add_block(&mut self, at: usize, block: Block) {
        self.room += block.capacity();
        self.blocks.insert(at, block);
    }

    fn take_block(&mut self, at: usize) -> Block {
        let block = self.blocks.remove(at);
        self.room -= block.capacity();
        block
    }

    /// Changes a block, if there is one of this number.
    fn change(&mut self, at: usize, change: impl FnOnce(&mut Block)) {
        if let Some(block) = self.blocks.get_mut(at) {
            let before = block.capacity();
            change(block);
            self.room = self.room - before + block.capacity();
        }
    }

    /// The place behind all leading handles for which `precedes` holds.
    pub(super) fn partition(&self, mut precedes: impl FnMut(Handle) -> bool) -> Place {
        let mut precedes = |packed: &[u8; 5]| precedes(Handle::unpack(*packed));
        let block = self
            .blocks
            .partition_point(|block| block.last().is_some_and(&mut precedes));
        let at = self
            .blocks
            .get(block)
            .map_or(0, |block| block.partition_point(precedes));
        Place { block, at }
    }

    /// How many handles stand before a place.
    pub(super) fn rank(&self, place: Place) -> usize {
        let before = self.blocks.iter().take(place.block).map(Vec::len);
        before.sum::<usize>() + place.at
    }

    /// The place of the handle with `rank` others before it.
    fn place(&self, rank: usize) -> Place {
        let mut at = rank;
        for (block, handles) in self.blocks.iter().enumerate() {
            if at < handles.len() {
                return Place { block, at };
            }
            at -= handles.len();
        }
        Place {
            block: self.blocks.len(),
            at: 0,
        }
    }

    /// Puts another handle at a place that has one.
    pub(super) fn replace(&mut self, place: Place, handle: Handle) {
        let block = self.blocks.get_mut(place.block);
        if let Some(own) = block.and_then(|block| block.get_mut(place.at)) {
            *own = handle.pack();
        }
    }

    /// Puts a handle at a place; what stands there moves behind it.
    pub(super) fn insert(&mut self, place: Place, handle: Handle) {
        let Some(place) = self.make_room(place) else {
            return self.add_block(self.blocks.len(), vec![handle.pack()]);
        };
        self.change(place.block, |block| {
            if block.len() == block.capacity() {
                let more = (block.len() / 2).max(BLOCK_GROWS_MIN);
                block.reserve_exact(more.min(BLOCK_MAX - block.len()));
            }
            block.insert(place.at.min(block.len()), handle.pack());
        });
    }

    /// The same place once its block may take one more; `None` when it is a new last block's.
    fn make_room(&mut self, mut place: Place) -> Option<Place> {
        if place.block == self.blocks.len() {
            let last = self.blocks.last()?;
            // Ascending insertions fill blocks to the brim.
            if last.len() == BLOCK_MAX {
                return None;
            }
            place = Place {
                block: place.block - 1,
                at: last.len(),
            };
        }
        let block = self.blocks.get_mut(place.block)?;
        if block.len() == BLOCK_MAX {
            let upper = block.split_off(BLOCK_MAX / 2);
            self.add_block(place.block + 1, upper);
            if place.at > BLOCK_MAX / 2 {
                place.block += 1;
                place.at -= BLOCK_MAX / 2;
            }
        }
        Some(place)
    }

    /// Takes out the handle at a place.
    pub(super) fn remove(&mut self, place: Place) {
        let Some(block) = self.blocks.get_mut(place.block) else {
            return;
        };
        if place.at < block.len() {
            block.remove(place.at);
            self.merge(place.block);
        }
    }

    /// Joins a block that has become short with the next one, or drops it when it is empty.
    fn merge(&mut self, at: usize) {
        let len_of = |at: usize| self.blocks.get(at).map_or(BLOCK_MAX, Vec::len);
        if len_of(at) == 0 {
            self.take_block(at);
        } else if len_of(at) + len_of(at + 1) <= BLOCK_MAX / 2 {
            let next = self.take_block(at + 1);
            self.change(at, |block| block.extend(next));
        }
    }

    /// The handles with ranks in `range`, which must lie inside, from either end.
    pub(super) fn range(&self, range: std::ops::Range<usize>) -> Handles<'_> {
        Handles {
            blocks: &self.blocks,
            front: self.place(range.start),
            back: self.place(range.end),
            left: range.len(),
        }
    }
}

/// A walk over handles, from either end.
#[derive(Debug, Clone)]
pub(super) struct Handles<'a> {
    blocks: &'a [Block],
    /// The next handle from the front.
    front: Place,
    /// Behind the next handle from the back.
    back: Place,
    left: usize,
}

impl Iterator for Handles<'_> {
    type Item = Handle;

    fn next(&mut self) -> Option<Handle> {
        self.left = self.left.checked_sub(1)?;
        let block = self.blocks.get(self.front.block)?;
        let packed = block.get(self.front.at).copied();
        self.front.at += 1;
        if self.front.at >= block.len() {
            self.front = Place {
                block: self.front.block + 1,
                at: 0,
            };
        }
        packed.map(Handle::unpack)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl DoubleEndedIterator for Handles<'_> {
    fn next_back(&mut self) -> Option<Handle> {
        self.left = self.left.checked_sub(1)?;
        if self.back.at == 0 {
            let block = self.back.block.checked_sub(1)?;
            let at = self.blocks.get(block).map_or(0, Vec::len);
            self.back = Place { block, at };
        }
        self.back.at -= 1;
        let block = self.blocks.get(self.back.block)?;
        block.get(self.back.at).copied().map(Handle::unpack)
    }
}

impl ExactSizeIterator for Handles<'_> {}

//! Handles in short blocks, in an order that only the caller knows.

use crate::rdb::records::Handle;

/// The maximum number of handles in a block. It is small enough that an insertion moves little, and large enough that a million
/// handles make only a few thousand blocks. Ranks are computed by adding up the blocks' lengths.
const BLOCK_MAX: usize = 256;
/// The number of handles in a block when all are known in advance. It leaves some room for more.
const BLOCK_LOADED: usize = 224;
/// The minimum room, in handles, that a block gains when it grows.
const BLOCK_GROWS_MIN: usize = 8;

/// A sequence of handles. It does not compare handles itself: places are found with a predicate.
#[derive(Debug, Clone)]
pub(super) struct Order {
    /// No block is empty.
    blocks: Vec<Block>,
    /// The total capacity of all blocks, in bytes.
    room: usize,
    width: Width,
}

/// A run of handles.
#[derive(Debug, Clone)]
struct Block(Vec<u8>);

/// How handles are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Width {
    /// As positions, because all of them are in the first chunk.
    Near,
    /// Packed.
    Far,
}

impl Width {
    fn of(handles: impl Iterator<Item = Handle>) -> Self {
        let mut handles = handles;
        if handles.all(|handle| handle.chunk() == 0) {
            Self::Near
        } else {
            Self::Far
        }
    }

    /// The size of a handle in bytes.
    const fn bytes(self) -> usize {
        match self {
            Self::Near => 2,
            Self::Far => 5,
        }
    }
}

impl Block {
    fn with_room(handles: usize, width: Width) -> Self {
        Self(Vec::with_capacity(handles * width.bytes()))
    }

    #[inline]
    fn len(&self, width: Width) -> usize {
        self.0.len() / width.bytes()
    }

    #[inline]
    fn get(&self, at: usize, width: Width) -> Option<Handle> {
        let bytes = self.0.get(at * width.bytes()..)?;
        match width {
            Width::Near => bytes
                .first_chunk()
                .map(|at| Handle::near(u16::from_le_bytes(*at))),
            Width::Far => bytes.first_chunk().map(|packed| Handle::unpack(*packed)),
        }
    }

    fn last(&self, width: Width) -> Option<Handle> {
        self.get(self.len(width).checked_sub(1)?, width)
    }

    fn push(&mut self, handle: Handle, width: Width) {
        match width {
            Width::Near => self.0.extend_from_slice(&handle.at().to_le_bytes()),
            Width::Far => self.0.extend_from_slice(&handle.pack()),
        }
    }

    fn insert(&mut self, at: usize, handle: Handle, width: Width) {
        self.push(handle, width);
        let Some(moved) = self.0.get_mut(at * width.bytes()..) else {
            unreachable!("a place past the end of its block")
        };
        moved.rotate_right(width.bytes());
    }

    fn remove(&mut self, at: usize, width: Width) {
        let start = at * width.bytes();
        self.0.drain(start..start + width.bytes());
    }

    /// Returns the number of leading handles for which `precedes` is true.
    fn partition(&self, width: Width, mut precedes: impl FnMut(Handle) -> bool) -> usize {
        let (mut low, mut high) = (0, self.len(width));
        while low < high {
            let middle = low.midpoint(high);
            if self.get(middle, width).is_some_and(&mut precedes) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}

/// A place in the sequence: a block, and a position in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    block: usize,
    at: usize,
}

impl Default for Order {
    fn default() -> Self {
        Self {
            blocks: Vec::new(),
            room: 0,
            width: Width::Near,
        }
    }
}

impl Order {
    /// Creates a sequence of these handles, in this order.
    pub(super) fn new(handles: impl ExactSizeIterator<Item = Handle> + Clone) -> Self {
        let width = Width::of(handles.clone());
        Self::with_width(handles, width)
    }

    fn with_width(handles: impl ExactSizeIterator<Item = Handle>, width: Width) -> Self {
        let mut left = handles.len();
        let mut order = Self {
            blocks: Vec::with_capacity(left.div_ceil(BLOCK_LOADED)),
            room: 0,
            width,
        };
        let mut handles = handles;
        while left > 0 {
            let len = left.min(BLOCK_LOADED);
            let mut block = Block::with_room(len, width);
            let some = handles.by_ref().take(len);
            some.for_each(|handle| block.push(handle, width));
            order.add_block(order.blocks.len(), block);
            left -= len;
        }
        order
    }

    /// The number of bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.blocks.capacity() * size_of::<Block>() + self.room
    }

    fn add_block(&mut self, at: usize, block: Block) {
        self.room += block.0.capacity();
        self.blocks.insert(at, block);
    }

    fn take_block(&mut self, at: usize) -> Block {
        let block = self.blocks.remove(at);
        self.room -= block.0.capacity();
        block
    }

    /// Changes the block at this index, which exists: a handle that went nowhere would be a member without a rank.
    fn change(&mut self, at: usize, change: impl FnOnce(&mut Block)) {
        let Some(block) = self.blocks.get_mut(at) else {
            unreachable!("no block {at} of handles")
        };
        let before = block.0.capacity();
        change(block);
        self.room = self.room - before + block.0.capacity();
    }

    /// Returns the place after all leading handles for which `precedes` is true.
    pub(super) fn partition(&self, mut precedes: impl FnMut(Handle) -> bool) -> Place {
        let width = self.width;
        let block = self
            .blocks
            .partition_point(|block| block.last(width).is_some_and(&mut precedes));
        let at = self
            .blocks
            .get(block)
            .map_or(0, |block| block.partition(width, precedes));
        Place { block, at }
    }

    /// Returns the number of handles before a place.
    pub(super) fn rank(&self, place: Place) -> usize {
        let before = self.blocks.iter().take(place.block);
        let before = before.map(|block| block.len(self.width));
        before.sum::<usize>() + place.at
    }

    /// Returns the place of the handle that has `rank` others before it.
    fn place(&self, rank: usize) -> Place {
        let mut at = rank;
        for (block, handles) in self.blocks.iter().enumerate() {
            let len = handles.len(self.width);
            if at < len {
                return Place { block, at };
            }
            at -= len;
        }
        Place {
            block: self.blocks.len(),
            at: 0,
        }
    }

    /// Replaces the handle at a place with another one of the same chunk.
    pub(super) fn replace(&mut self, place: Place, handle: Handle) {
        let width = self.width;
        self.change(place.block, |block| {
            block.remove(place.at, width);
            block.insert(place.at, handle, width);
        });
    }

    /// Makes room for handles of all chunks. Places stay valid.
    fn widen(&mut self) {
        let mut wide = std::mem::take(self);
        wide.room = 0;
        for Block(bytes) in &mut wide.blocks {
            let near = bytes.as_chunks().0;
            let mut far = Block::with_room(near.len(), Width::Far);
            near.iter()
                .for_each(|at| far.push(Handle::near(u16::from_le_bytes(*at)), Width::Far));
            *bytes = far.0;
            wide.room += bytes.capacity();
        }
        wide.width = Width::Far;
        *self = wide;
    }

    /// Inserts a handle at a place, before the handle that is there.
    pub(super) fn insert(&mut self, place: Place, handle: Handle) {
        if self.width == Width::Near && handle.chunk() > 0 {
            self.widen();
        }
        let width = self.width;
        let Some(place) = self.make_room(place) else {
            let mut block = Block::with_room(BLOCK_GROWS_MIN, width);
            block.push(handle, width);
            return self.add_block(self.blocks.len(), block);
        };
        self.change(place.block, |block| {
            let len = block.len(width);
            if block.0.capacity() - block.0.len() < width.bytes() {
                let more = (len / 2).max(BLOCK_GROWS_MIN).min(BLOCK_MAX - len);
                block.0.reserve_exact(more * width.bytes());
            }
            block.insert(place.at, handle, width);
        });
    }

    /// Makes room in the block and returns the place of the insertion. Returns `None` if a new last block is needed.
    fn make_room(&mut self, mut place: Place) -> Option<Place> {
        let width = self.width;
        if place.block == self.blocks.len() {
            let at = self.blocks.last()?.len(width);
            // Ascending insertions fill blocks completely.
            if at == BLOCK_MAX {
                return None;
            }
            place = Place {
                block: place.block - 1,
                at,
            };
        }
        let block = self.blocks.get_mut(place.block)?;
        if block.len(width) == BLOCK_MAX {
            let upper = block.0.split_off(BLOCK_MAX / 2 * width.bytes());
            self.add_block(place.block + 1, Block(upper));
            if place.at > BLOCK_MAX / 2 {
                place.block += 1;
                place.at -= BLOCK_MAX / 2;
            }
        }
        Some(place)
    }

    /// Removes the handle at a place.
    pub(super) fn remove(&mut self, place: Place) {
        let width = self.width;
        let Some(block) = self.blocks.get_mut(place.block) else {
            unreachable!("no block {} of handles", place.block)
        };
        block.remove(place.at, width);
        self.merge(place.block);
    }

    /// Merges a block that has become short with the next one, or drops it if it is empty.
    fn merge(&mut self, at: usize) {
        let len_of = |at: usize| {
            let block = self.blocks.get(at);
            block.map_or(BLOCK_MAX, |block| block.len(self.width))
        };
        if len_of(at) == 0 {
            self.take_block(at);
        } else if len_of(at) + len_of(at + 1) <= BLOCK_MAX / 2 {
            let Block(next) = self.take_block(at + 1);
            self.change(at, |block| block.0.extend(next));
        }
    }

    /// Iterates, from either end, over the handles with ranks in `range`, which must be within bounds.
    pub(super) fn range(&self, range: std::ops::Range<usize>) -> Handles<'_> {
        Handles {
            blocks: &self.blocks,
            width: self.width,
            front: self.place(range.start),
            back: self.place(range.end),
            left: range.len(),
        }
    }
}

/// Iterates over handles, from either end.
#[derive(Debug, Clone)]
pub(super) struct Handles<'a> {
    blocks: &'a [Block],
    width: Width,
    /// The next handle from the front.
    front: Place,
    /// The place after the next handle from the back.
    back: Place,
    left: usize,
}

impl Iterator for Handles<'_> {
    type Item = Handle;

    #[inline]
    fn next(&mut self) -> Option<Handle> {
        self.left = self.left.checked_sub(1)?;
        let block = self.blocks.get(self.front.block)?;
        let handle = block.get(self.front.at, self.width);
        self.front.at += 1;
        if self.front.at >= block.len(self.width) {
            self.front = Place {
                block: self.front.block + 1,
                at: 0,
            };
        }
        handle
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
            let at = self.blocks.get(block)?.len(self.width);
            self.back = Place { block, at };
        }
        self.back.at -= 1;
        self.blocks
            .get(self.back.block)?
            .get(self.back.at, self.width)
    }
}

impl ExactSizeIterator for Handles<'_> {}

//! Ids in an order that someone else knows, in short blocks.

/// Ids a block holds at most. Short enough that an insertion moves little, long enough that a million ids make only some
/// thousand blocks: ranks are found by adding up their lengths.
const BLOCK_IDS_MAX: usize = 256;
/// Ids a block gets when all are known beforehand: some room for more.
const BLOCK_IDS_LOADED: usize = 224;

/// A sequence of ids. It compares nothing itself: places are found with a predicate.
#[derive(Debug, Clone, Default)]
pub(super) struct Order {
    /// None is empty, and each has room for [`BLOCK_IDS_MAX`].
    blocks: Vec<Vec<u32>>,
    len: usize,
}

/// A place in the sequence: a block, and a position in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    block: usize,
    at: usize,
}

impl Order {
    /// These ids, in this order.
    pub(super) fn new(ids: &[u32]) -> Self {
        Self {
            blocks: ids.chunks(BLOCK_IDS_LOADED).map(block).collect(),
            len: ids.len(),
        }
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.blocks.capacity() * size_of::<Vec<u32>>()
            + self.blocks.len() * BLOCK_IDS_MAX * size_of::<u32>()
    }

    /// The place behind all leading ids for which `precedes` holds.
    pub(super) fn partition(&self, mut precedes: impl FnMut(u32) -> bool) -> Place {
        let block = self
            .blocks
            .partition_point(|block| block.last().is_some_and(|id| precedes(*id)));
        let at = self
            .blocks
            .get(block)
            .map_or(0, |ids| ids.partition_point(|id| precedes(*id)));
        Place { block, at }
    }

    /// How many ids stand before a place.
    pub(super) fn rank(&self, place: Place) -> usize {
        let before = self.blocks.iter().take(place.block).map(Vec::len);
        before.sum::<usize>() + place.at
    }

    /// The place of the id with `rank` ids before it.
    fn place(&self, rank: usize) -> Place {
        let mut at = rank;
        for (block, ids) in self.blocks.iter().enumerate() {
            if at < ids.len() {
                return Place { block, at };
            }
            at -= ids.len();
        }
        Place {
            block: self.blocks.len(),
            at: 0,
        }
    }

    /// Puts an id at a place; what stands there moves behind it.
    pub(super) fn insert(&mut self, place: Place, id: u32) {
        self.len += 1;
        let Some(place) = self.make_room(place) else {
            return self.blocks.push(block(&[id]));
        };
        if let Some(ids) = self.blocks.get_mut(place.block) {
            ids.insert(place.at.min(ids.len()), id);
        }
    }

    /// The same place once its block has room; `None` when it is a new last block's.
    fn make_room(&mut self, mut place: Place) -> Option<Place> {
        if place.block == self.blocks.len() {
            let last = self.blocks.last()?;
            // Ascending insertions fill blocks to the brim.
            if last.len() == BLOCK_IDS_MAX {
                return None;
            }
            place = Place {
                block: place.block - 1,
                at: last.len(),
            };
        }
        let ids = self.blocks.get_mut(place.block)?;
        if ids.len() == BLOCK_IDS_MAX {
            let upper = block(ids.get(BLOCK_IDS_MAX / 2..).unwrap_or_default());
            ids.truncate(BLOCK_IDS_MAX / 2);
            self.blocks.insert(place.block + 1, upper);
            if place.at > BLOCK_IDS_MAX / 2 {
                place.block += 1;
                place.at -= BLOCK_IDS_MAX / 2;
            }
        }
        Some(place)
    }

    /// Takes out the id at a place.
    pub(super) fn remove(&mut self, place: Place) {
        let Some(ids) = self.blocks.get_mut(place.block) else {
            return;
        };
        if place.at < ids.len() {
            ids.remove(place.at);
            self.len -= 1;
            self.merge(place.block);
        }
    }

    /// Joins a block that has become short with the next one, or drops it when it is empty.
    fn merge(&mut self, block: usize) {
        let len_of = |at: usize| self.blocks.get(at).map_or(BLOCK_IDS_MAX, Vec::len);
        if len_of(block) == 0 {
            self.blocks.remove(block);
        } else if len_of(block) + len_of(block + 1) <= BLOCK_IDS_MAX / 2 {
            let next = self.blocks.remove(block + 1);
            if let Some(ids) = self.blocks.get_mut(block) {
                ids.extend(next);
            }
        }
    }

    /// The ids with ranks in `range`, which must lie inside, from either end.
    pub(super) fn range(&self, range: std::ops::Range<usize>) -> Ids<'_> {
        Ids {
            blocks: &self.blocks,
            front: self.place(range.start),
            back: self.place(range.end),
            left: range.len(),
        }
    }
}

/// A block with these ids and room for more.
fn block(ids: &[u32]) -> Vec<u32> {
    let mut block = Vec::with_capacity(BLOCK_IDS_MAX);
    block.extend_from_slice(ids);
    block
}

/// A walk over ids, from either end.
#[derive(Debug, Clone)]
pub(super) struct Ids<'a> {
    blocks: &'a [Vec<u32>],
    /// The next id from the front.
    front: Place,
    /// Behind the next id from the back.
    back: Place,
    left: usize,
}

impl Iterator for Ids<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        self.left = self.left.checked_sub(1)?;
        let ids = self.blocks.get(self.front.block)?;
        let id = ids.get(self.front.at).copied();
        self.front.at += 1;
        if self.front.at >= ids.len() {
            self.front = Place {
                block: self.front.block + 1,
                at: 0,
            };
        }
        id
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl DoubleEndedIterator for Ids<'_> {
    fn next_back(&mut self) -> Option<u32> {
        self.left = self.left.checked_sub(1)?;
        if self.back.at == 0 {
            let block = self.back.block.checked_sub(1)?;
            let at = self.blocks.get(block).map_or(0, Vec::len);
            self.back = Place { block, at };
        }
        self.back.at -= 1;
        self.blocks.get(self.back.block)?.get(self.back.at).copied()
    }
}

impl ExactSizeIterator for Ids<'_> {}

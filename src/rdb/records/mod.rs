//! The members of large sets, hashes and sorted sets: one record after the other in chunks, none in a block of its own.

mod record;

use std::fmt;

use smallvec::SmallVec;

use record::{DEAD, measure, split_text};
pub use record::{Handle, Record, Shape, expiry_number};

/// A chunk holds at most so many bytes, unless its only record is larger. Small enough to be put in order at one go.
const CHUNK_BYTES: usize = 1 << 16;
/// A handle's number of chunks: with half of each in use, half a terabyte.
const CHUNKS_MAX: usize = 1 << 24;
/// A chunk with less than so many eighths in use is put into a smaller block.
const USED_EIGHTHS: usize = 7;

#[derive(Debug, Clone, Default)]
struct Chunk {
    bytes: Vec<u8>,
    /// Bytes of dead records; of a chunk that is free, the number of the next free one.
    dead: usize,
}

/// A store of records, to which more are added at its end. It does not look for keys that stand twice.
pub struct Records {
    chunks: SmallVec<[Chunk; 1]>,
    /// The chunk that takes what is added; there may be none yet.
    tail: u32,
    /// The first chunk of those whose number can be used again.
    free: u32,
    len: usize,
    /// Bytes of all blocks.
    held: usize,
    shape: Shape,
}

/// No chunk has this number.
const NONE: u32 = u32::MAX;

impl Records {
    /// A store without records.
    #[must_use]
    pub fn new(shape: Shape) -> Self {
        Self {
            chunks: SmallVec::new(),
            tail: 0,
            free: NONE,
            len: 0,
            held: 0,
            shape,
        }
    }

    /// A store of these records.
    pub fn of<'a>(shape: Shape, records: impl IntoIterator<Item = Record<'a>>) -> Self {
        let mut store = Self::new(shape);
        records.into_iter().for_each(|record| {
            store.push(record);
        });
        store
    }

    /// A store without records that fills `room` first.
    pub(super) fn in_room(shape: Shape, room: &mut Vec<u8>) -> Self {
        let mut records = Self::new(shape);
        let bytes = std::mem::take(room);
        records.held = bytes.capacity();
        records.chunks.push(Chunk { bytes, dead: 0 });
        records
    }

    /// Gives back the room that is too large for what it holds, emptied.
    pub(super) fn leave_room(mut self, room: &mut Vec<u8>) -> Self {
        if self.bytes(self.tail).len() > CHUNK_BYTES {
            self.fit(self.tail);
        } else if let Some(chunk) = self.chunks.get_mut(index(self.tail)) {
            let used = chunk.bytes.as_slice().to_vec();
            let mut left = std::mem::replace(&mut chunk.bytes, used);
            self.held = self.held - left.capacity() + chunk.bytes.capacity();
            left.clear();
            left.shrink_to(CHUNK_BYTES);
            *room = left;
        }
        self
    }

    /// Number of records.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no record.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes held on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let chunks = if self.chunks.spilled() {
            self.chunks.capacity() * size_of::<Chunk>()
        } else {
            0
        };
        self.held + chunks
    }

    /// Whether all records lie in the first chunk.
    #[must_use]
    pub fn are_near(&self) -> bool {
        self.chunks.len() <= 1
    }

    /// Adds a record.
    ///
    /// # Panics
    /// When there is no number left for one more chunk, after half a terabyte.
    pub fn push(&mut self, record: Record<'_>) -> Handle {
        let size = record.size(self.shape);
        self.see_to_room(size);
        let Some(chunk) = self.chunks.get_mut(index(self.tail)) else {
            return Handle::near(0);
        };
        // Less than CHUNK_BYTES: a chunk that is larger has one record.
        let at = u16::try_from(chunk.bytes.len()).unwrap_or(u16::MAX);
        record.write(&mut chunk.bytes, self.shape);
        self.len += 1;
        let chunk = self.tail;
        Handle { chunk, at }
    }

    /// Sees that the last chunk is one that may take `size` bytes more, and has room for them.
    #[inline]
    fn see_to_room(&mut self, size: usize) {
        if let Some(chunk) = self.chunks.get(index(self.tail)) {
            let used = chunk.bytes.len();
            if used + size <= CHUNK_BYTES.min(chunk.bytes.capacity()) {
                return;
            }
            if used > 0 && used + size > CHUNK_BYTES {
                self.open_chunk();
            }
        } else {
            self.open_chunk();
        }
        self.make_room(size);
    }

    /// Makes another chunk the one that takes what is added.
    fn open_chunk(&mut self) {
        self.fit(self.tail);
        if let Some(chunk) = self.chunks.get_mut(index(self.free)) {
            self.tail = self.free;
            self.free = u32::try_from(std::mem::take(&mut chunk.dead)).unwrap_or(NONE);
            return;
        }
        let number = self.chunks.len();
        assert!(number < CHUNKS_MAX, "half a terabyte in one collection");
        self.tail = u32::try_from(number).unwrap_or(NONE);
        self.chunks.push(Chunk::default());
    }

    /// Sees that the last chunk has room for `size` bytes more. It grows by a quarter of all there is, so that little is unused.
    fn make_room(&mut self, size: usize) {
        let more = self.held / 4;
        let Some(chunk) = self.chunks.get_mut(index(self.tail)) else {
            return;
        };
        let before = chunk.bytes.capacity();
        let used = chunk.bytes.len();
        if before - used < size {
            let more = more.min(CHUNK_BYTES.saturating_sub(used));
            chunk.bytes.reserve_exact(size.max(more));
            self.held = self.held - before + chunk.bytes.capacity();
        }
    }

    /// Puts a chunk into a smaller block where its own is too large for it. (An allocator's own shrinking may do nothing.)
    fn fit(&mut self, chunk: u32) {
        let Some(chunk) = self.chunks.get_mut(index(chunk)) else {
            return;
        };
        let before = chunk.bytes.capacity();
        if chunk.bytes.len() < before / 8 * USED_EIGHTHS {
            chunk.bytes = chunk.bytes.as_slice().to_vec();
            self.held = self.held - before + chunk.bytes.capacity();
        }
    }

    /// The record at a place. There is one as long as it has not been taken away or moved.
    #[must_use]
    #[inline]
    pub fn get(&self, handle: Handle) -> Option<Record<'_>> {
        let bytes = self.from(handle)?;
        Record::split(bytes, self.shape).map(|(record, _)| record)
    }

    /// The key of the record at a place.
    #[must_use]
    #[inline]
    pub fn key(&self, handle: Handle) -> &[u8] {
        let text = self.from(handle).and_then(split_text);
        text.map_or(&[], |(key, _)| key)
    }

    #[inline]
    fn from(&self, handle: Handle) -> Option<&[u8]> {
        self.bytes(handle.chunk).get(usize::from(handle.at)..)
    }

    #[inline]
    fn bytes(&self, chunk: u32) -> &[u8] {
        let chunk = self.chunks.get(index(chunk));
        chunk.map_or(&[], |chunk| &chunk.bytes)
    }

    /// Writes another value over a record's own if both have the same length. Gives whether they have.
    pub fn overwrite_value(&mut self, handle: Handle, value: &[u8]) -> bool {
        let number_size = if self.shape.has_number { 8 } else { 0 };
        let own = self.from(handle).and_then(|bytes| {
            let (record, rest) = Record::split(bytes, self.shape)?;
            Some((record.value.len(), bytes.len() - rest.len() - number_size))
        });
        match own {
            Some((len, end)) if len == value.len() => {
                self.overwrite(handle, end - len, value);
                true
            }
            _ => false,
        }
    }

    /// Gives a record another score or expiry, in a store that has them.
    pub fn set_number(&mut self, handle: Handle, number: u64) {
        let bytes = self.from(handle).filter(|_| self.shape.has_number);
        let end = bytes.and_then(|bytes| {
            let (_, rest) = Record::split(bytes, self.shape)?;
            Some(bytes.len() - rest.len())
        });
        if let Some(start) = end.and_then(|end| end.checked_sub(8)) {
            self.overwrite(handle, start, &number.to_le_bytes());
        }
    }

    /// Puts `with` at `start` bytes behind a record's first.
    fn overwrite(&mut self, handle: Handle, start: usize, with: &[u8]) {
        let start = usize::from(handle.at) + start;
        let chunk = self.chunks.get_mut(index(handle.chunk));
        let place = chunk.and_then(|chunk| chunk.bytes.get_mut(start..start + with.len()));
        if let Some(place) = place {
            place.copy_from_slice(with);
        }
    }

    /// Takes a record away. Its bytes stay until its chunk is [`compact`](Self::compact)ed.
    pub fn remove(&mut self, handle: Handle) {
        let Some(size) = self.get(handle).map(|record| record.size(self.shape)) else {
            return;
        };
        let Some(chunk) = self.chunks.get_mut(index(handle.chunk)) else {
            return;
        };
        chunk.dead += size;
        self.len -= 1;
        if let Some(first) = chunk.bytes.get_mut(usize::from(handle.at)) {
            *first |= DEAD;
        }
    }

    /// Whether more than half of a chunk is dead: time to compact it.
    #[must_use]
    pub fn is_wasteful(&self, chunk: u32) -> bool {
        let chunk = self.chunks.get(index(chunk));
        chunk.is_some_and(|chunk| chunk.dead > chunk.bytes.len() / 2)
    }

    /// The records of a chunk, where each lies, and where it will once the chunk has been compacted: not behind the place that
    /// it has, and so before all those of the ones after it.
    pub fn moves(&self, chunk: u32) -> impl Iterator<Item = (Record<'_>, Handle, Handle)> {
        let mut to = 0;
        self.entries_from(chunk)
            .take_while(move |(from, _)| from.chunk == chunk)
            .map(move |(from, record)| {
                let at = u16::try_from(to).unwrap_or(u16::MAX);
                to += record.size(self.shape);
                (record, from, Handle { chunk, at })
            })
    }

    /// Moves the records of a chunk together.
    pub fn compact(&mut self, chunk: u32) {
        let shape = self.shape;
        let Some(Chunk { bytes, dead }) = self.chunks.get_mut(index(chunk)) else {
            return;
        };
        let (mut from, mut to) = (0, 0);
        while let Some((size, is_dead)) = measure(bytes.get(from..).unwrap_or_default(), shape) {
            if !is_dead {
                bytes.copy_within(from..from + size, to);
                to += size;
            }
            from += size;
        }
        bytes.truncate(to);
        *dead = 0;
        let is_free = to == 0 && chunk != self.tail;
        if is_free {
            *dead = index(std::mem::replace(&mut self.free, chunk));
        }
        self.fit(chunk);
    }

    /// All records: in the order in which they came, as long as none has been taken away.
    #[must_use]
    pub fn iter(&self) -> Iter<'_> {
        Iter {
            chunks: self.chunks.iter(),
            rest: &[],
            shape: self.shape,
        }
    }

    /// All records and where they lie.
    #[must_use]
    pub fn entries(&self) -> Entries<'_> {
        self.entries_from(0)
    }

    fn entries_from(&self, chunk: u32) -> Entries<'_> {
        Entries {
            records: self,
            chunk,
            bytes: self.bytes(chunk),
            at: 0,
        }
    }
}

const fn index(chunk: u32) -> usize {
    chunk as usize
}

impl Clone for Records {
    fn clone(&self) -> Self {
        let chunks = self.chunks.clone();
        let held = chunks.iter().map(|chunk| chunk.bytes.capacity()).sum();
        Self {
            chunks,
            held,
            ..*self
        }
    }
}

impl PartialEq for Records {
    fn eq(&self, other: &Self) -> bool {
        self.shape == other.shape && self.iter().eq(other.iter())
    }
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// A walk over records.
#[derive(Debug, Clone)]
pub struct Iter<'a> {
    /// Those behind the one at work.
    chunks: std::slice::Iter<'a, Chunk>,
    /// What is left of the chunk at work.
    rest: &'a [u8],
    shape: Shape,
}

impl<'a> Iterator for Iter<'a> {
    type Item = Record<'a>;

    #[inline]
    fn next(&mut self) -> Option<Record<'a>> {
        loop {
            let Some((record, rest)) = Record::split(self.rest, self.shape) else {
                self.rest = &self.chunks.next()?.bytes;
                continue;
            };
            let first = std::mem::replace(&mut self.rest, rest).first();
            if first.is_some_and(|first| first & DEAD == 0) {
                return Some(record);
            }
        }
    }
}

/// A walk over records that tells where they lie.
#[derive(Debug, Clone)]
pub struct Entries<'a> {
    records: &'a Records,
    chunk: u32,
    /// Those of the chunk.
    bytes: &'a [u8],
    /// Where the next record begins.
    at: usize,
}

impl<'a> Iterator for Entries<'a> {
    type Item = (Handle, Record<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let bytes = self.bytes.get(self.at..).unwrap_or_default();
            let Some((record, rest)) = Record::split(bytes, self.records.shape) else {
                self.chunk += 1;
                self.bytes = &self.records.chunks.get(index(self.chunk))?.bytes;
                self.at = 0;
                continue;
            };
            let at = u16::try_from(self.at).unwrap_or(u16::MAX);
            self.at = self.bytes.len() - rest.len();
            if bytes.first().is_some_and(|first| first & DEAD == 0) {
                let chunk = self.chunk;
                return Some((Handle { chunk, at }, record));
            }
        }
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]
mod tests;

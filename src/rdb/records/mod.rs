//! The members of large sets, hashes and sorted sets: records stored one after another in chunks, not each in its own
//! allocation.
//!
//! A record is a key, in hashes a value, and a number of eight bytes if the type has scores or expiries. The decoder writes
//! records straight from its reader, so a load allocates nothing for each member. Records are found through a
//! [`Handle`]: the number of a chunk and an offset in it. `docs/design/records.md` draws the bytes.
//!
//! A removed record is marked as dead and stays. When more than half of a chunk is dead, its living records move together,
//! which touches at most one chunk (64 KB, or one larger record); the number of an empty chunk is used again. A value of the
//! same length, a score and an expiry are written over the old one.
//!
//! Walks over everything (SMEMBERS, HGETALL, snapshots, digests) go through the chunks in order.

mod record;

use std::fmt;

use smallvec::SmallVec;

use record::{DEAD, measure, split_text};
pub use record::{Handle, Record, Shape, expiry_number};

/// A chunk holds at most this many bytes, unless its only record is larger. A chunk is small enough to compact in one go.
const CHUNK_BYTES: usize = 1 << 16;
/// The maximum number of chunks that a handle can address. With half of each chunk in use, that is half a terabyte.
const CHUNKS_MAX: usize = 1 << 24;
/// A chunk that uses less than this many eighths of its capacity is moved to a smaller allocation.
const USED_EIGHTHS: usize = 7;

#[derive(Debug, Clone, Default)]
struct Chunk {
    bytes: Vec<u8>,
    /// Bytes of dead records. In a free chunk, the number of the next free chunk.
    dead: usize,
}

/// A store of records, to which new ones are appended. It does not check for duplicate keys.
pub struct Records {
    chunks: SmallVec<[Chunk; 1]>,
    /// The chunk that new records are appended to. It may not exist yet.
    tail: u32,
    /// The first chunk in the list of free chunks, whose numbers can be reused.
    free: u32,
    len: usize,
    /// Capacity of all chunks in bytes.
    held: usize,
    shape: Shape,
}

/// Not a chunk number: marks the end of the free list.
const NONE: u32 = u32::MAX;

impl Records {
    /// Creates an empty store.
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

    /// Creates a store of these records.
    pub fn of<'a>(shape: Shape, records: impl IntoIterator<Item = Record<'a>>) -> Self {
        let mut store = Self::new(shape);
        records.into_iter().for_each(|record| {
            store.push(record);
        });
        store
    }

    /// Creates an empty store that fills the buffer `room` first.
    pub(super) fn in_room(shape: Shape, room: &mut Vec<u8>) -> Self {
        let mut records = Self::new(shape);
        let bytes = std::mem::take(room);
        records.held = bytes.capacity();
        records.chunks.push(Chunk { bytes, dead: 0 });
        records
    }

    /// Copies the tail chunk's records to an allocation of their size and returns the larger buffer, emptied, in `room`. If the
    /// tail chunk is larger than [`CHUNK_BYTES`], `room` stays empty.
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

    /// Whether there are no records.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes allocated on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let chunks = if self.chunks.spilled() {
            self.chunks.capacity() * size_of::<Chunk>()
        } else {
            0
        };
        self.held + chunks
    }

    /// Whether all records are in the first chunk.
    #[must_use]
    pub fn are_near(&self) -> bool {
        self.chunks.len() <= 1
    }

    /// Appends a record.
    ///
    /// # Panics
    /// If there is no number left for another chunk, after half a terabyte.
    pub fn push(&mut self, record: Record<'_>) -> Handle {
        let size = record.size(self.shape);
        self.see_to_room(size);
        let tail = self.tail;
        // Less than CHUNK_BYTES: a larger chunk has only one record.
        let place = self.chunks.get_mut(index(tail)).and_then(|chunk| {
            let at = u16::try_from(chunk.bytes.len()).ok()?;
            Some((at, chunk))
        });
        let Some((at, chunk)) = place else {
            unreachable!("chunk {tail} has no room for a record, although room was made")
        };
        record.write(&mut chunk.bytes, self.shape);
        self.len += 1;
        Handle { chunk: tail, at }
    }

    /// Makes sure that the tail chunk may take `size` more bytes and has capacity for them.
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

    /// Makes a free or new chunk the tail.
    fn open_chunk(&mut self) {
        self.fit(self.tail);
        if let Some(chunk) = self.chunks.get_mut(index(self.free)) {
            self.tail = self.free;
            self.free = u32::try_from(std::mem::take(&mut chunk.dead)).unwrap_or(NONE);
            return;
        }
        let number = self.chunks.len();
        assert!(number < CHUNKS_MAX, "a collection exceeds half a terabyte");
        self.tail = u32::try_from(number).unwrap_or(NONE);
        self.chunks.push(Chunk::default());
    }

    /// Makes sure that the tail chunk has capacity for `size` more bytes. It grows by a quarter of all capacity, so that little
    /// is unused.
    fn make_room(&mut self, size: usize) {
        let more = self.held / 4;
        let Some(chunk) = self.chunks.get_mut(index(self.tail)) else {
            unreachable!("the tail chunk has just been opened")
        };
        let before = chunk.bytes.capacity();
        let used = chunk.bytes.len();
        if before - used < size {
            let more = more.min(CHUNK_BYTES.saturating_sub(used));
            chunk.bytes.reserve_exact(size.max(more));
            self.held = self.held - before + chunk.bytes.capacity();
        }
    }

    /// Moves a chunk to a smaller allocation if its own is too large. (An allocator's own shrinking may do nothing.)
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

    /// Returns the record at a handle. It is there until it is removed or moved.
    ///
    /// A handle that points nowhere is a bug of its keeper. Reads then return nothing; changes panic, because a change that
    /// went nowhere would be served as if it had happened.
    #[must_use]
    #[inline]
    pub fn get(&self, handle: Handle) -> Option<Record<'_>> {
        let split = self
            .from(handle)
            .and_then(|bytes| Record::split(bytes, self.shape));
        debug_assert!(split.is_some(), "{handle:?} points nowhere");
        split.map(|(record, _)| record)
    }

    /// Returns the key of the record at a handle.
    #[must_use]
    #[inline]
    pub fn key(&self, handle: Handle) -> &[u8] {
        let text = self.from(handle).and_then(split_text);
        debug_assert!(text.is_some(), "{handle:?} points nowhere");
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

    /// Overwrites a record's value if the new value has the same length. Returns whether it has.
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

    /// Sets a record's score or expiry, in a store that has them.
    ///
    /// # Panics
    /// If there is no record at the handle, or if the store has no numbers.
    pub fn set_number(&mut self, handle: Handle, number: u64) {
        let bytes = self.from(handle).filter(|_| self.shape.has_number);
        let end = bytes.and_then(|bytes| {
            let (_, rest) = Record::split(bytes, self.shape)?;
            Some(bytes.len() - rest.len())
        });
        match end.and_then(|end| end.checked_sub(8)) {
            Some(start) => self.overwrite(handle, start, &number.to_le_bytes()),
            None => unreachable!("no number to set at {handle:?}"),
        }
    }

    /// Overwrites the bytes that start `start` bytes after the record's first byte.
    fn overwrite(&mut self, handle: Handle, start: usize, with: &[u8]) {
        let start = usize::from(handle.at) + start;
        let chunk = self.chunks.get_mut(index(handle.chunk));
        let place = chunk.and_then(|chunk| chunk.bytes.get_mut(start..start + with.len()));
        match place {
            Some(place) => place.copy_from_slice(with),
            None => unreachable!("{handle:?} points nowhere"),
        }
    }

    /// Removes a record. Its bytes stay until its chunk is [`compact`](Self::compact)ed.
    ///
    /// # Panics
    /// If there is no record at the handle.
    pub fn remove(&mut self, handle: Handle) {
        let size = self.get(handle).map(|record| record.size(self.shape));
        let place = size.and_then(|size| {
            let Chunk { bytes, dead } = self.chunks.get_mut(index(handle.chunk))?;
            Some((size, dead, bytes.get_mut(usize::from(handle.at))?))
        });
        let Some((size, dead, first)) = place else {
            unreachable!("no record to remove at {handle:?}")
        };
        *dead += size;
        *first |= DEAD;
        self.len -= 1;
    }

    /// Whether more than half of a chunk is dead, so that it should be compacted.
    #[must_use]
    pub fn is_wasteful(&self, chunk: u32) -> bool {
        let chunk = self.chunks.get(index(chunk));
        chunk.is_some_and(|chunk| chunk.dead > chunk.bytes.len() / 2)
    }

    /// Returns the records of a chunk, each with its place now and its place after the chunk is compacted. The new place is
    /// never after the old one, and so it is before the old place of every later record.
    pub fn moves(&self, chunk: u32) -> impl Iterator<Item = (Record<'_>, Handle, Handle)> {
        let mut to = 0;
        self.entries_from(chunk)
            .take_while(move |(from, _)| from.chunk == chunk)
            .map(move |(from, record)| {
                let at = place(to);
                to += record.size(self.shape);
                (record, from, Handle { chunk, at })
            })
    }

    /// Closes the gaps that removed records left in a chunk.
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
        assert_eq!(from, bytes.len(), "a chunk ends with a whole record");
        bytes.truncate(to);
        *dead = 0;
        let is_free = to == 0 && chunk != self.tail;
        if is_free {
            *dead = index(std::mem::replace(&mut self.free, chunk));
        }
        self.fit(chunk);
    }

    /// Returns all records. They are in insertion order as long as none has been removed.
    #[must_use]
    pub fn iter(&self) -> Iter<'_> {
        Iter {
            chunks: self.chunks.iter(),
            rest: &[],
            shape: self.shape,
        }
    }

    /// Returns all records with their handles.
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

/// A place in a chunk, as a handle keeps it. It always fits: a chunk of more than [`CHUNK_BYTES`] has only one record.
#[inline]
fn place(at: usize) -> u16 {
    let Ok(at) = u16::try_from(at) else {
        unreachable!("a record at {at} in its chunk")
    };
    at
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

/// An iterator over records.
#[derive(Debug, Clone)]
pub struct Iter<'a> {
    /// The chunks after the current one.
    chunks: std::slice::Iter<'a, Chunk>,
    /// The rest of the current chunk.
    rest: &'a [u8],
    shape: Shape,
}

impl<'a> Iterator for Iter<'a> {
    type Item = Record<'a>;

    #[inline]
    fn next(&mut self) -> Option<Record<'a>> {
        loop {
            let Some((record, rest)) = Record::split(self.rest, self.shape) else {
                debug_assert!(self.rest.is_empty(), "a chunk ends with a whole record");
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

/// An iterator over records and their handles.
#[derive(Debug, Clone)]
pub struct Entries<'a> {
    records: &'a Records,
    chunk: u32,
    /// The bytes of the current chunk.
    bytes: &'a [u8],
    /// Where the next record starts.
    at: usize,
}

impl<'a> Iterator for Entries<'a> {
    type Item = (Handle, Record<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let bytes = self.bytes.get(self.at..).unwrap_or_default();
            let Some((record, rest)) = Record::split(bytes, self.records.shape) else {
                debug_assert!(bytes.is_empty(), "a chunk ends with a whole record");
                self.chunk += 1;
                self.bytes = &self.records.chunks.get(index(self.chunk))?.bytes;
                self.at = 0;
                continue;
            };
            let at = place(self.at);
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

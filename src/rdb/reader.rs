//! A cursor over a source's chunks. It counts its position and sums the bytes it has read.

use super::{
    crc64,
    error::{Cause, Error},
    source::Source,
};
use crate::limits::PREALLOCATED_BYTES_MAX;
use bytes::{Buf, Bytes};
use std::ops::Range;

/// Reads an RDB, or the lines before it, from a [`Source`].
///
/// Data within one chunk is borrowed from there. Data that straddles chunks is assembled in one reused buffer, which grows as
/// bytes arrive and never by a declared length. After an error the reader must not be used any more.
#[derive(Debug)]
pub struct Reader<S> {
    source: S,
    chunk: Bytes,
    /// Bytes of `chunk` already read.
    at: usize,
    /// Bytes of `chunk` already in `crc`.
    summed: usize,
    crc: u64,
    /// Bytes from the marked start to the chunk's start, wrapping: the start may lie inside the chunk.
    base: u64,
    scratch: Vec<u8>,
    /// A copy of what was read since [`record`](Self::record), without what the current chunk still has.
    recorded: Option<Vec<u8>>,
    /// Bytes of `chunk` that were read before the recording began or are in it.
    record_from: usize,
    /// Whether strings that are kept are moved out of the buffers if that saves a copy.
    pub(super) gives_away: bool,
    /// The last decompressed string.
    pub(super) inflated: Vec<u8>,
    reading: &'static str,
}

impl<S: Source> Reader<S> {
    /// Creates a reader at the source's start.
    pub fn new(source: S) -> Self {
        Self {
            source,
            chunk: Bytes::new(),
            at: 0,
            summed: 0,
            crc: 0,
            base: 0,
            scratch: Vec::new(),
            recorded: None,
            record_from: 0,
            gives_away: true,
            inflated: Vec::new(),
            reading: "the input",
        }
    }

    /// Only lends strings from now on, for a receiver that keeps none: long ones then share one buffer.
    #[must_use]
    pub const fn lending(mut self) -> Self {
        self.gives_away = false;
        self
    }

    /// Makes positions and the checksum count from here.
    pub fn mark_start(&mut self) {
        self.base = 0_u64.wrapping_sub(to_u64(self.at));
        self.summed = self.at;
        self.crc = 0;
    }

    /// Number of bytes read since the marked start.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.base.wrapping_add(to_u64(self.at))
    }

    /// Returns the checksum of the bytes read since the marked start.
    pub fn checksum(&mut self) -> u64 {
        let passed = self.chunk.get(self.summed..self.at).unwrap_or_default();
        self.crc = crc64::update(self.crc, passed);
        self.summed = self.at;
        self.crc
    }

    /// Begins to keep a copy of what is read.
    pub(super) fn record(&mut self) {
        self.recorded.get_or_insert_default().clear();
        self.record_from = self.at;
    }

    /// Replaces `into` with what was read since the recording began, and begins another.
    pub(super) fn recorded(&mut self, into: &mut Vec<u8>) {
        if let Some(earlier) = &mut self.recorded {
            // The longer copy changes hands, and no second one of a large value stays.
            std::mem::swap(earlier, into);
            earlier.clear();
            earlier.shrink_to(PREALLOCATED_BYTES_MAX);
        }
        into.extend_from_slice(
            self.chunk
                .get(self.record_from..self.at)
                .unwrap_or_default(),
        );
        self.record_from = self.at;
    }

    /// Names what is read next. Errors quote it.
    #[inline]
    pub fn reading(&mut self, what: &'static str) {
        self.reading = what;
    }

    /// Creates an error at the current position.
    #[cold]
    pub fn error(&self, cause: impl Into<Cause>) -> Error {
        Error::new(self.position(), self.reading, cause)
    }

    /// Creates an error at `place` in what is being read.
    #[cold]
    pub(super) fn error_at(&self, place: u64, cause: impl Into<Cause>) -> Error {
        Error::new(place, self.reading, cause)
    }

    /// Reads the next byte.
    ///
    /// # Errors
    /// At the end of the input, or if the source fails.
    #[inline]
    pub fn u8(&mut self) -> Result<u8, Error> {
        match self.chunk.get(self.at) {
            Some(byte) => {
                self.at += 1;
                Ok(*byte)
            }
            None => Ok(u8::from_le_bytes(self.array()?)),
        }
    }

    /// Reads the next four bytes as a little-endian number.
    ///
    /// # Errors
    /// At the end of the input, or if the source fails.
    pub fn u32_le(&mut self) -> Result<u32, Error> {
        self.array().map(u32::from_le_bytes)
    }

    /// Reads the next `N` bytes.
    ///
    /// # Errors
    /// At the end of the input, or if the source fails.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let mut array = [0; N];
        let bytes = self.take(N)?;
        array
            .iter_mut()
            .zip(bytes)
            .for_each(|(to, from)| *to = *from);
        Ok(array)
    }

    /// Reads the next `len` bytes, valid until the next read.
    ///
    /// # Errors
    /// At the end of the input, or if the source fails.
    #[inline]
    pub fn take(&mut self, len: usize) -> Result<&[u8], Error> {
        if len <= self.chunk.len() - self.at {
            return Ok(self.pass(len));
        }
        self.stitch(len)?;
        Ok(&self.scratch)
    }

    /// Reads the next two strings if both lie in the current chunk and [`short_text`] accepts them. Returns them and the second
    /// one's position. Otherwise reads nothing.
    #[inline]
    pub(super) fn texts_at_hand(&mut self) -> Option<([&[u8]; 2], Range<u64>)> {
        let Self {
            chunk, at, base, ..
        } = self;
        let rest = chunk.get(*at..)?;
        let (first, after) = short_text(rest)?;
        let place = base.wrapping_add(to_u64(chunk.len() - after.len()));
        let (second, after) = short_text(after)?;
        *at = chunk.len() - after.len();
        let end = base.wrapping_add(to_u64(*at));
        Some(([first, second], place..end))
    }

    /// Whether the next `len` bytes lie in the current chunk.
    pub(super) fn has(&self, len: usize) -> bool {
        len <= self.chunk.len() - self.at
    }

    /// Reads the next `len` bytes into a vector.
    pub(super) fn take_vec(&mut self, len: usize) -> Result<Vec<u8>, Error> {
        self.stitch(len)?;
        let mut bytes = std::mem::take(&mut self.scratch);
        bytes.shrink_to_fit();
        Ok(bytes)
    }

    /// Reads the next `len` bytes, borrowed from their chunk or assembled. Returns them and the buffer for decompressed
    /// strings.
    pub(super) fn take_to_inflate(&mut self, len: usize) -> Result<(&[u8], &mut Vec<u8>), Error> {
        if len <= self.chunk.len() - self.at {
            let start = self.at;
            self.at += len;
            return Ok((
                self.chunk.get(start..self.at).unwrap_or_default(),
                &mut self.inflated,
            ));
        }
        self.stitch(len)?;
        Ok((&self.scratch, &mut self.inflated))
    }

    /// Reads the next line, valid until the next read, without its line ending (`\n` or `\r\n`).
    ///
    /// # Errors
    /// If it is longer than `max` bytes, at the end of the input, or if the source fails.
    pub fn read_line(&mut self, max: usize) -> Result<&[u8], Error> {
        self.scratch.clear();
        loop {
            let available = self.chunk.get(self.at..).unwrap_or_default();
            let end = memchr::memchr(b'\n', available);
            let part = available
                .get(..end.unwrap_or(available.len()))
                .unwrap_or_default();
            if self.scratch.len() + part.len() > max {
                return Err(self.error(Cause::Corrupt("line too long")));
            }
            self.scratch.extend_from_slice(part);
            self.at += part.len() + usize::from(end.is_some());
            if end.is_some() {
                let line = self.scratch.as_slice();
                return Ok(line.strip_suffix(b"\r").unwrap_or(line));
            }
            self.next_chunk()?;
        }
    }

    /// Returns the bytes not yet read, and the source of those that follow.
    pub fn into_rest(mut self) -> (Bytes, S) {
        self.chunk.advance(self.at);
        (self.chunk, self.source)
    }

    /// Reads the next `len` bytes, which the chunk is known to hold.
    #[inline]
    fn pass(&mut self, len: usize) -> &[u8] {
        let start = self.at;
        self.at += len;
        self.chunk.get(start..self.at).unwrap_or_default()
    }

    /// Assembles the next `len` bytes in the scratch buffer.
    #[cold]
    fn stitch(&mut self, len: usize) -> Result<(), Error> {
        self.scratch.clear();
        self.scratch.shrink_to(len.max(PREALLOCATED_BYTES_MAX));
        self.scratch.reserve(len.min(PREALLOCATED_BYTES_MAX));
        loop {
            let missing = len - self.scratch.len();
            let start = self.at;
            self.at = self.chunk.len().min(start.saturating_add(missing));
            self.scratch
                .extend_from_slice(self.chunk.get(start..self.at).unwrap_or_default());
            let missing = len - self.scratch.len();
            if missing == 0 {
                return Ok(());
            }
            self.make_room(len);
            if missing < DIRECT_BYTES || !self.append()? {
                self.next_chunk()?;
            }
        }
    }

    /// Makes the scratch buffer larger if it is full: to `len` or a quarter of that, a quarter of that and so on. So it is never
    /// larger than four times what has arrived, and copying it to the last size takes only a quarter of `len` beside it.
    fn make_room(&mut self, len: usize) {
        let held = self.scratch.len();
        if held < self.scratch.capacity() {
            return;
        }
        let mut room = len;
        while room / 4 > held {
            room /= 4;
        }
        self.scratch.reserve_exact(room - held);
        if let Some(recorded) = &mut self.recorded {
            recorded.reserve_exact(room - held);
        }
    }

    /// Reads on into the scratch buffer, without a chunk in between. All of the current chunk has been read. Returns whether the
    /// source could.
    fn append(&mut self) -> Result<bool, Error> {
        self.leave_chunk();
        let start = self.scratch.len();
        // Summed in small parts, while they are in the processor's cache. No more than there is room for.
        let room = self.scratch.capacity() - start;
        let appended = self
            .source
            .append(&mut self.scratch, room.min(DIRECT_BYTES));
        let bytes = self.scratch.get(start..).unwrap_or_default();
        self.crc = crc64::update(self.crc, bytes);
        self.base = self.base.wrapping_add(to_u64(bytes.len()));
        if let Some(recorded) = &mut self.recorded {
            recorded.extend_from_slice(bytes);
        }
        let appended = appended.map_err(|error| self.error(error))?;
        Ok(appended > 0)
    }

    /// Gives up the current chunk, all of which has been read.
    fn leave_chunk(&mut self) {
        self.checksum();
        if let Some(recorded) = &mut self.recorded {
            let rest = self.chunk.get(self.record_from..self.at);
            recorded.extend_from_slice(rest.unwrap_or_default());
            self.record_from = 0;
        }
        self.base = self.base.wrapping_add(to_u64(self.chunk.len()));
        (self.at, self.summed) = (0, 0);
        self.chunk = Bytes::new();
    }

    /// Fetches the next chunk. All of the current one has been read.
    fn next_chunk(&mut self) -> Result<(), Error> {
        // Before the next chunk is requested, so that the source can reuse its memory.
        self.leave_chunk();
        self.chunk = self
            .source
            .next_chunk()
            .map_err(|error| self.error(error))?;
        draw_near(&self.chunk);
        if self.chunk.is_empty() {
            Err(self.error(Cause::Truncated))
        } else {
            Ok(())
        }
    }
}

/// As many bytes of a long string are read at once, past the chunks.
const DIRECT_BYTES: usize = 256 << 10;

fn to_u64(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

/// Touches every cache line of a chunk that another thread, on another processor, has received. The cache misses then overlap;
/// otherwise the decoder would wait for them one by one.
fn draw_near(chunk: &[u8]) {
    const CACHE_LINE_BYTES: usize = 64;
    let lines = chunk.iter().step_by(CACHE_LINE_BYTES);
    std::hint::black_box(lines.fold(0, |all, byte| all ^ byte));
}

/// Splits off the string at the start of `bytes`, if all of it is there and it is plain, with a length of one or two bytes.
/// Returns it and the rest.
#[inline]
fn short_text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = match bytes {
        [short @ ..0x40, rest @ ..] => (usize::from(*short), rest),
        [high @ 0x40..0x80, low, rest @ ..] => {
            (usize::from(u16::from_be_bytes([high & 0x3f, *low])), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(len)
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]
mod tests {
    use super::super::testing::Trickle;
    use super::*;

    fn reader(bytes: &'static [u8], step: usize) -> Reader<Trickle> {
        let rest = Bytes::from_static(bytes);
        Reader::new(Trickle { rest, step })
    }

    #[test]
    fn reads_alike_whatever_the_chunks() {
        for step in 1..12 {
            let mut reader = reader(b"+OK\r\n\nabcd\x01\0\0\0z", step);
            assert_eq!(reader.read_line(10).unwrap(), b"+OK");
            assert_eq!(reader.read_line(10).unwrap(), b"");
            reader.mark_start();
            assert_eq!(reader.take(4).unwrap(), b"abcd");
            assert_eq!((reader.u32_le().unwrap(), reader.u8().unwrap()), (1, b'z'));
            assert_eq!(reader.position(), 9);
            assert_eq!(reader.checksum(), crc64::update(0, b"abcd\x01\0\0\0z"));
            assert_eq!(reader.take(0).unwrap(), b"");
            assert!(matches!(reader.u8().unwrap_err().cause(), Cause::Truncated));
        }
    }

    #[test]
    fn refuses_a_line_without_end() {
        for step in [1, 3, 100] {
            assert!(
                reader(b"$1234567890123456789\r\n", step)
                    .read_line(10)
                    .is_err()
            );
            assert!(reader(b"$123", step).read_line(10).is_err());
        }
    }

    #[test]
    fn a_declared_length_alone_allocates_little() {
        let mut reader = reader(b"0123456789", 4);
        assert!(reader.take(500 << 20).is_err());
        assert!(reader.scratch.capacity() <= PREALLOCATED_BYTES_MAX);
        assert_eq!(reader.position(), 10);
    }

    #[test]
    fn strings_use_the_same_buffers_again() {
        let mut reader = reader(
            b"\xc3\x05\x07\x01ab\x60\x01\xc3\x05\x07\x01cd\x60\x01\x02hi",
            3,
        );
        reader.string().unwrap();
        let buffers = (reader.scratch.as_ptr(), reader.inflated.as_ptr());
        reader.string().unwrap();
        reader.string().unwrap();
        assert_eq!((reader.scratch.as_ptr(), reader.inflated.as_ptr()), buffers);
    }

    #[test]
    fn the_sources_own_error_comes_through_with_the_place() {
        struct Broken;
        impl Source for Broken {
            fn next_chunk(&mut self) -> std::io::Result<Bytes> {
                Err(std::io::ErrorKind::ConnectionReset.into())
            }
        }
        let error = Reader::new(Broken).u8().unwrap_err();
        assert_eq!(
            error.to_string(),
            "byte 0, reading the input: connection reset"
        );
    }
}

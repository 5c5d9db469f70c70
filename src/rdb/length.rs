//! The format's two primitives: lengths, and strings in plain, integer and compressed form.

use std::borrow::Cow;

use super::{
    error::{Cause, Error},
    lzf,
    packed::{Item, PackedError},
    reader::Reader,
    source::Source,
};
use crate::limits::{
    LZF_EXPANSION_MAX, PACKED_BYTES_MAX, PREALLOCATED_BYTES_MAX, READ_CHUNK_BYTES, STRING_BYTES_MAX,
};

/// [`Reader::string_to_keep`] moves strings longer than this instead of copying them.
const GIVEN_AWAY_BYTES_MIN: usize = 64 << 10;

/// A string that the caller keeps.
pub(super) enum Kept<'a> {
    /// Text.
    Text(Cow<'a, [u8]>),
    /// An integer that represents its decimal text.
    Int(i64),
}

/// Where a packed value is.
#[derive(Debug, Clone, Copy)]
pub(super) enum BlobStart {
    /// Its bytes start here.
    Plain(u64),
    /// It is a compressed string, or has another encoding, whose code is here.
    Coded(u64),
}

/// A length, or what can be in its place. Source: redis 7.0 rdb.c, rdbLoadLenByRef.
enum Length {
    Plain(u64),
    /// The encoding of a string, in place of its length.
    Code(u8),
}

/// String encodings. Source: redis 7.0 rdb.h, `RDB_ENC_*`.
pub(super) const INT8: u8 = 0;
pub(super) const INT16: u8 = 1;
pub(super) const INT32: u8 = 2;
pub(super) const LZF: u8 = 3;
/// The first bytes of lengths that do not fit in 14 bits. Source: redis 7.0 rdb.h, `RDB_32BITLEN`, `RDB_64BITLEN`.
pub(super) const LEN32: u8 = 0x80;
pub(super) const LEN64: u8 = 0x81;
/// The high bits of a string's encoding code, which is in place of a length.
pub(super) const CODE: u8 = 0xc0;

/// Appends a length in its shortest form. Source: redis 7.0 rdb.c, `rdbSaveLen`.
pub(crate) fn push_length(out: &mut Vec<u8>, length: u64) {
    match (u16::try_from(length), u32::try_from(length)) {
        (Ok(short @ ..0x40), _) => out.push(short.to_le_bytes()[0]),
        (Ok(short @ ..0x4000), _) => out.extend_from_slice(&(short | 0x4000).to_be_bytes()),
        (_, Ok(wide)) => {
            out.push(LEN32);
            out.extend_from_slice(&wide.to_be_bytes());
        }
        _ => {
            out.push(LEN64);
            out.extend_from_slice(&length.to_be_bytes());
        }
    }
}

impl<S: Source> Reader<S> {
    /// Reads a length.
    ///
    /// # Errors
    /// If a string's encoding code is in its place, at the end of the input, or if the source fails.
    pub fn length(&mut self) -> Result<u64, Error> {
        let at = self.position();
        match self.length_or_code()? {
            Length::Plain(length) => Ok(length),
            Length::Code(_) => Err(self.error_at(
                at,
                Cause::Corrupt("expected a length, found a string encoding"),
            )),
        }
    }

    /// Reads a string: text borrowed until the next read, or an integer that represents its decimal text.
    ///
    /// # Errors
    /// If it is longer than `STRING_BYTES_MAX` or corrupt, at the end of the input, or if the source fails.
    #[inline]
    pub fn string(&mut self) -> Result<Item<'_>, Error> {
        let at = self.position();
        match self.length_or_code()? {
            Length::Plain(length) => {
                let len = self.within(at, length, STRING_BYTES_MAX)?;
                self.take_string(at, len).map(Item::Str)
            }
            Length::Code(code) => self.coded_string(at, code),
        }
    }

    /// Passes over a string, without decompressing it.
    ///
    /// # Errors
    /// If it is longer than `STRING_BYTES_MAX` or its encoding is unknown, at the end of the input, or if the source fails.
    pub(super) fn skip_string(&mut self) -> Result<(), Error> {
        let at = self.position();
        let bytes = match self.length_or_code()? {
            Length::Plain(length) => self.within(at, length, STRING_BYTES_MAX)?,
            Length::Code(LZF) => {
                let (packed, _unpacked) = (self.length()?, self.length()?);
                self.within(at, packed, STRING_BYTES_MAX)?
            }
            Length::Code(code) => return self.coded_string(at, code).map(drop),
        };
        let mut left = bytes;
        while left > 0 {
            left -= self.take(left.min(READ_CHUNK_BYTES))?.len();
        }
        Ok(())
    }

    /// Reads a string that the caller keeps. A long string that had to be assembled is moved out, so that it need not be
    /// copied. Returns also the position at its end.
    ///
    /// # Errors
    /// Like [`Self::string`].
    #[inline]
    pub(super) fn string_to_keep(&mut self) -> Result<(Kept<'_>, u64), Error> {
        let at = self.position();
        let (item, end) = match self.length_or_code()? {
            Length::Plain(length) => {
                let len = self.within(at, length, STRING_BYTES_MAX)?;
                let end = self.position() + length;
                if self.gives_away && len > GIVEN_AWAY_BYTES_MIN && !self.has(len) {
                    let content = self.position();
                    let taken = self.take_vec(len);
                    let taken = taken.map_err(|error| error.in_string(at, content, len));
                    return Ok((Kept::Text(Cow::Owned(taken?)), end));
                }
                (self.take_string(at, len).map(Item::Str)?, end)
            }
            Length::Code(LZF) => {
                let mut long = None;
                let gives_away = self.gives_away;
                self.inflate(at, STRING_BYTES_MAX, None, |out| {
                    let is_long = gives_away && out.len() > GIVEN_AWAY_BYTES_MIN;
                    long = is_long.then(|| std::mem::take(out));
                })?;
                let end = self.position();
                match long {
                    Some(text) => return Ok((Kept::Text(Cow::Owned(text)), end)),
                    None => (Item::Str(&self.inflated), end),
                }
            }
            Length::Code(code) => {
                let end = self.position() + integer_bytes(code);
                (self.coded_string(at, code)?, end)
            }
        };
        let kept = match item {
            Item::Str(text) => Kept::Text(Cow::Borrowed(text)),
            Item::Int(number) => Kept::Int(number),
        };
        Ok((kept, end))
    }

    /// Reads a string into its own box.
    ///
    /// # Errors
    /// Like [`Self::string`].
    #[inline]
    pub fn boxed_string(&mut self) -> Result<Box<[u8]>, Error> {
        self.string().map(|item| item.to_boxed())
    }

    /// Reads a string that is a packed value into its own vector. Returns it and its place.
    ///
    /// # Errors
    /// Like [`Self::string`], with a limit of `PACKED_BYTES_MAX`.
    pub(super) fn blob(&mut self) -> Result<(Vec<u8>, BlobStart), Error> {
        let at = self.position();
        let (bytes, place) = match self.length_or_code()? {
            Length::Plain(length) => {
                let len = self.within(at, length, PACKED_BYTES_MAX)?;
                let place = BlobStart::Plain(self.position());
                (self.take_string(at, len)?.to_vec(), place)
            }
            Length::Code(LZF) => {
                let mut blob = Vec::new();
                self.inflate(at, PACKED_BYTES_MAX, None, |out| blob = std::mem::take(out))?;
                (blob, BlobStart::Coded(at))
            }
            Length::Code(code) => (self.coded_string(at, code)?.to_vec(), BlobStart::Coded(at)),
        };
        Ok((bytes, place))
    }

    /// Turns an error inside the packed value at `place` into one with its offset in the RDB.
    #[cold]
    pub(super) fn packed_error(&self, place: BlobStart, error: PackedError) -> Error {
        let at = match place {
            BlobStart::Plain(start) => start.saturating_add(error.at() as u64),
            BlobStart::Coded(start) => start,
        };
        self.error_at(at, error)
    }

    /// Reads the next `len` bytes: the content of a string whose length is at `at`.
    #[inline]
    fn take_string(&mut self, at: u64, len: usize) -> Result<&[u8], Error> {
        let content = self.position();
        let taken = self.take(len);
        taken.map_err(|error| error.in_string(at, content, len))
    }

    /// Reads a length and appends its shortest form to `raw`.
    pub(super) fn raw_length(&mut self, raw: &mut Vec<u8>) -> Result<u64, Error> {
        let length = self.length()?;
        push_length(raw, length);
        Ok(length)
    }

    /// Reads a string, checks it, and appends it to `raw` in the same form.
    pub(super) fn raw_string(&mut self, raw: &mut Vec<u8>) -> Result<(), Error> {
        let at = self.position();
        match self.length_or_code()? {
            Length::Plain(length) => {
                let len = self.within(at, length, STRING_BYTES_MAX)?;
                push_length(raw, length);
                raw.extend_from_slice(self.take_string(at, len)?);
            }
            Length::Code(LZF) => {
                raw.push(CODE | LZF);
                self.inflate(at, STRING_BYTES_MAX, Some(raw), |_| ())?;
            }
            Length::Code(code) => {
                let len = match code {
                    INT8 => 1,
                    INT16 => 2,
                    INT32 => 4,
                    _ => return Err(self.error_at(at, Cause::Corrupt("unknown string encoding"))),
                };
                raw.push(CODE | code);
                raw.extend_from_slice(self.take(len)?);
            }
        }
        Ok(())
    }

    #[inline]
    fn length_or_code(&mut self) -> Result<Length, Error> {
        let first = self.u8()?;
        match first >> 6 {
            0 => Ok(Length::Plain(first.into())),
            1 => Ok(Length::Plain(
                u64::from(first & 0x3f) << 8 | u64::from(self.u8()?),
            )),
            3 => Ok(Length::Code(first & 0x3f)),
            _ => self.wide_length(first),
        }
    }

    fn wide_length(&mut self, first: u8) -> Result<Length, Error> {
        match first {
            LEN32 => Ok(Length::Plain(u32::from_be_bytes(self.array()?).into())),
            LEN64 => Ok(Length::Plain(u64::from_be_bytes(self.array()?))),
            _ => {
                let at = self.position().wrapping_sub(1);
                Err(self.error_at(at, Cause::Corrupt("invalid length")))
            }
        }
    }

    /// Reads a string whose encoding is `code`, read at `at`.
    fn coded_string(&mut self, at: u64, code: u8) -> Result<Item<'_>, Error> {
        match code {
            INT8 => Ok(Item::Int(i8::from_le_bytes(self.array()?).into())),
            INT16 => Ok(Item::Int(i16::from_le_bytes(self.array()?).into())),
            INT32 => Ok(Item::Int(i32::from_le_bytes(self.array()?).into())),
            LZF => {
                self.inflate(at, STRING_BYTES_MAX, None, |_| ())?;
                Ok(Item::Str(&self.inflated))
            }
            _ => Err(self.error_at(at, Cause::Corrupt("unknown string encoding"))),
        }
    }

    /// Decompresses the string whose code was just read at `at`. Calls `then` with the result, and appends the compressed form
    /// to `raw`.
    fn inflate(
        &mut self,
        at: u64,
        max: usize,
        raw: Option<&mut Vec<u8>>,
        then: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), Error> {
        let packed_at = self.position();
        let packed = self.length()?;
        let packed = self.within(packed_at, packed, max)?;
        let len_at = self.position();
        let len = self.length()?;
        let len = self.within(len_at, len, max)?;
        if len > packed.saturating_mul(LZF_EXPANSION_MAX) {
            return Err(self.error_at(
                at,
                Cause::Corrupt("a compressed string cannot expand to its declared length"),
            ));
        }
        let content = self.position();
        let taken = self.take_to_inflate(packed);
        let (bytes, out) = taken.map_err(|error| error.in_string(at, content, packed))?;
        if let Some(raw) = raw {
            push_length(raw, bytes.len() as u64);
            push_length(raw, len as u64);
            raw.extend_from_slice(bytes);
        }
        out.clear();
        out.shrink_to(PREALLOCATED_BYTES_MAX);
        match lzf::decompress(bytes, len, out) {
            Some(()) => {
                then(out);
                Ok(())
            }
            None => Err(self.error_at(
                at,
                Cause::Corrupt("a compressed string does not decompress to its declared length"),
            )),
        }
    }

    /// Checks that a length, read at `at`, is at most `max`.
    fn within(&self, at: u64, length: u64, max: usize) -> Result<usize, Error> {
        match usize::try_from(length) {
            Ok(len) if len <= max => Ok(len),
            _ => Err(self.error_at(at, Cause::TooLong { length, max })),
        }
    }
}

/// The bytes of an integer after its code.
const fn integer_bytes(code: u8) -> u64 {
    match code {
        INT8 => 1,
        INT16 => 2,
        _ => 4,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use bytes::Bytes;

    /// A source of chunks with the given number of bytes.
    struct Chunks(Bytes, usize);

    impl Source for Chunks {
        fn next_chunk(&mut self) -> std::io::Result<Bytes> {
            let len = self.1.min(self.0.len());
            Ok(self.0.split_to(len))
        }
    }

    #[test]
    fn a_string_to_keep_is_whole_wherever_its_chunks_end_and_leaves_the_next_one_alone() {
        for len in [
            1,
            4096,
            GIVEN_AWAY_BYTES_MIN,
            GIVEN_AWAY_BYTES_MIN + 1,
            300_000,
        ] {
            let text: Vec<u8> = (0..len).map(|at| u8::try_from(at % 251).unwrap()).collect();
            let packed = ::lzf::compress(&text).ok();
            let mut bytes = Vec::new();
            push_length(&mut bytes, len as u64);
            bytes.extend_from_slice(&text);
            if let Some(packed) = &packed {
                bytes.push(CODE | LZF);
                push_length(&mut bytes, packed.len() as u64);
                push_length(&mut bytes, len as u64);
                bytes.extend_from_slice(packed);
            }
            bytes.extend_from_slice(&[CODE, 7]);
            for chunk in [1000, GIVEN_AWAY_BYTES_MIN, usize::MAX] {
                let mut reader = Reader::new(Chunks(bytes.clone().into(), chunk));
                for _ in 0..1 + usize::from(packed.is_some()) {
                    let kept = reader.string_to_keep().unwrap().0;
                    assert!(
                        matches!(kept, Kept::Text(kept) if *kept == *text),
                        "{len} {chunk}"
                    );
                }
                let next = reader.string_to_keep().unwrap().0;
                assert!(matches!(next, Kept::Int(7)), "{len} {chunk}");
            }
        }
    }
}

//! Lengths and strings.

use super::super::length::{CODE, INT8, INT16, INT32, LZF, push_length};
use super::{CHUNK_BYTES, Writer};
use crate::rdb::packed::{IntText, Item};
use crate::resp::parse_integer;
use std::io::{self, Write};

/// The longest text that may be written as an integer: that of `i32::MIN`. Source: redis 7.0 rdb.c, `rdbSaveRawString`.
const INTEGER_TEXT_BYTES_MAX: usize = 11;
/// Strings of up to this many bytes are not compressed. Source: redis 7.0 rdb.c, `rdbSaveRawString`.
const UNCOMPRESSED_BYTES_MAX: usize = 20;
/// The size of the longest form of a length.
const LENGTH_BYTES_MAX: usize = 9;

impl<W: Write> Writer<W> {
    /// Writes a length in its shortest form.
    ///
    /// # Errors
    /// The output's error, as in everything here.
    pub fn length(&mut self, length: u64) -> io::Result<()> {
        if self.chunk.len() + LENGTH_BYTES_MAX > CHUNK_BYTES {
            self.flush_chunk()?;
        }
        push_length(&mut self.chunk, length);
        Ok(())
    }

    /// Writes the number of elements that follow.
    ///
    /// # Errors
    /// The output's error.
    pub fn count(&mut self, count: usize) -> io::Result<()> {
        self.length(count as u64)
    }

    /// Writes a string: as an integer if its text is a 32-bit one, and compressed if that saves enough.
    ///
    /// # Errors
    /// The output's error.
    ///
    /// Source: redis 7.0 rdb.c, `rdbSaveRawString`.
    pub fn string(&mut self, text: &[u8]) -> io::Result<()> {
        if text.len() <= INTEGER_TEXT_BYTES_MAX
            && let Some(number) = parse_integer(text).and_then(|number| i32::try_from(number).ok())
        {
            return self.small_integer(number);
        }
        if text.len() > UNCOMPRESSED_BYTES_MAX && self.compressed(text)? {
            return Ok(());
        }
        self.count(text.len())?;
        self.raw(text)
    }

    /// Writes a string that is an integer.
    ///
    /// # Errors
    /// The output's error.
    pub fn integer(&mut self, value: i64) -> io::Result<()> {
        match i32::try_from(value) {
            Ok(small) => self.small_integer(small),
            Err(_) => {
                let mut buffer = IntText::new();
                let text = buffer.format(value);
                self.count(text.len())?;
                self.raw(text)
            }
        }
    }

    /// Writes an element as the string that it represents.
    ///
    /// # Errors
    /// The output's error.
    pub fn item(&mut self, item: Item<'_>) -> io::Result<()> {
        match item {
            Item::Str(text) => self.string(text),
            Item::Int(value) => self.integer(value),
        }
    }

    fn small_integer(&mut self, value: i32) -> io::Result<()> {
        if let Ok(value) = i8::try_from(value) {
            self.raw(&[CODE | INT8, value.to_le_bytes()[0]])
        } else if let Ok(value) = i16::try_from(value) {
            let [low, high] = value.to_le_bytes();
            self.raw(&[CODE | INT16, low, high])
        } else {
            self.u8(CODE | INT32)?;
            self.raw(&value.to_le_bytes())
        }
    }

    /// Writes `text` compressed. Returns false, having written nothing, if that saves too little.
    fn compressed(&mut self, text: &[u8]) -> io::Result<bool> {
        let Some(mut compressor) = self.compressor.take() else {
            return Ok(false);
        };
        let written = match compressor.compress(text, text.len() - MIN_SAVED_BYTES) {
            Some(packed) => self.lzf(packed, text.len()).map(|()| true),
            None => Ok(false),
        };
        self.compressor = Some(compressor.shrunk());
        written
    }

    fn lzf(&mut self, packed: &[u8], len: usize) -> io::Result<()> {
        self.u8(CODE | LZF)?;
        self.count(packed.len())?;
        self.count(len)?;
        self.raw(packed)
    }
}

/// Compression must save more than this many bytes. Source: redis 7.0 rdb.c, `rdbSaveLzfStringObject`.
const MIN_SAVED_BYTES: usize = 4;

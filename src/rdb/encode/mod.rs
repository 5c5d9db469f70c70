//! Typed values to RDB bytes: DUMP payloads, and whole snapshots piece by piece.
//!
//! A [`Writer`] knows the layouts of one version and writes them to any [`Write`], in chunks, counting bytes and summing
//! them. It keeps no value: elements are handed to it by iterators, so that a large value needs no more memory than its
//! own output. What it writes for a value that is kept as Redis keeps it is what Redis writes, byte for byte.
//!
//! It chooses no layout: [`Layouts`] tells which a version has, and whoever holds the value picks.

mod collection;
mod frame;
mod stream;
mod string;
#[cfg(test)]
mod tests;

pub use stream::StreamCounters;

use super::crc64;
use super::decode::{Magic, Version};
use super::lzf::Compressor;
use std::cell::Cell;
use std::io::{self, Write};

thread_local! {
    /// A compressor that was used before: to make its table takes longer than most payloads.
    static SPARE: Cell<Option<Compressor>> = const { Cell::new(None) };
}

/// Bytes gathered before they are summed and handed on.
const CHUNK_BYTES: usize = 64 << 10;

/// Writes values and snapshots in the layouts of one version.
///
/// After an error it is of no further use.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    version: Version,
    /// Written, and not yet summed and handed on.
    chunk: Vec<u8>,
    crc: u64,
    /// Bytes handed on.
    passed: u64,
    /// `None` leaves strings uncompressed.
    compressor: Option<Compressor>,
}

impl<W: Write> Writer<W> {
    /// A writer of `version` that compresses strings as Redis does by default (`rdbcompression yes`).
    pub fn new(out: W, version: Version) -> Self {
        Self {
            out,
            version,
            chunk: Vec::new(),
            crc: 0,
            passed: 0,
            compressor: Some(SPARE.take().unwrap_or_default()),
        }
    }

    /// The same without compression (`rdbcompression no`).
    #[must_use]
    pub fn uncompressed(mut self) -> Self {
        self.compressor = None;
        self
    }

    /// The version whose layouts are written.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// Which layouts that version has.
    #[must_use]
    pub const fn layouts(&self) -> Layouts {
        Layouts::of(self.version)
    }

    /// Bytes written so far.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.passed + self.chunk.len() as u64
    }

    /// Writes bytes as they are.
    ///
    /// # Errors
    /// Those of the output; so for everything that writes.
    pub fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.chunk.len() + bytes.len() > CHUNK_BYTES {
            self.flush_chunk()?;
            if bytes.len() > CHUNK_BYTES {
                return self.pass(bytes);
            }
        }
        self.chunk.extend_from_slice(bytes);
        Ok(())
    }

    /// Writes one byte.
    ///
    /// # Errors
    /// Those of the output.
    pub fn u8(&mut self, byte: u8) -> io::Result<()> {
        self.raw(&[byte])
    }

    fn flush_chunk(&mut self) -> io::Result<()> {
        let mut chunk = std::mem::take(&mut self.chunk);
        self.pass(&chunk)?;
        chunk.clear();
        self.chunk = chunk;
        Ok(())
    }

    fn pass(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.crc = crc64::update(self.crc, bytes);
        self.passed += bytes.len() as u64;
        self.out.write_all(bytes)
    }

    /// Ends with the checksum of everything written, and gives the output back.
    ///
    /// # Errors
    /// Those of the output.
    pub fn checksum(mut self) -> io::Result<W> {
        if let Some(compressor) = self.compressor.take() {
            SPARE.set(Some(compressor));
        }
        self.flush_chunk()?;
        let sum = self.crc.to_le_bytes();
        self.out.write_all(&sum)?;
        self.out.flush()?;
        Ok(self.out)
    }
}

/// Which layouts a version has. Source: redis 8.0 rdb.c, `rdbSaveObjectType`, and its predecessors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layouts {
    version: Version,
}

impl Layouts {
    /// Those of `version`.
    #[must_use]
    pub const fn of(version: Version) -> Self {
        Self { version }
    }

    /// Small hashes and sorted sets, and the nodes of lists, are listpacks since version 10, ziplists before.
    #[must_use]
    pub const fn has_listpacks(self) -> bool {
        self.version.number >= 10
    }

    /// Small sets of strings are listpacks since version 11.
    #[must_use]
    pub const fn has_listpack_sets(self) -> bool {
        self.version.number >= 11
    }

    /// Large elements of lists are nodes of their own since version 11; version 10 has them for elements of 1 GiB only.
    ///
    /// Source: redis 7.0 quicklist.c, `packed_threshold`.
    #[must_use]
    pub const fn has_plain_nodes(self) -> bool {
        self.version.number >= 11
    }

    /// Which of the three layouts streams are written in.
    #[must_use]
    pub const fn stream(self) -> u8 {
        match self.version.number {
            11.. => 3,
            10 => 2,
            _ => 1,
        }
    }

    /// Whether fields' expiries are written the way of Valkey (type 22) and not of Redis (types 24 and 25).
    #[must_use]
    pub const fn is_valkey(self) -> bool {
        matches!(self.version.magic, Magic::Valkey)
    }
}

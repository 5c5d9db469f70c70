//! Writes typed values as RDB bytes: DUMP payloads, and whole snapshots piece by piece.
//!
//! A [`Writer`] knows the layouts of one version. It writes to any [`Write`] in chunks, counts the bytes and sums them. It
//! keeps no value: iterators supply the elements, so a large value needs no more memory than its own output. For a value in the
//! same form as Redis's, it writes the same bytes as Redis.
//!
//! It chooses no layout: [`Layouts`] says which ones a version has, and the caller picks.

mod array;
mod collection;
mod frame;
mod stream;
mod string;
#[cfg(test)]
mod tests;

pub use stream::StreamCounters;

use super::crc64;
use super::lzf::Compressor;
use super::version::{Magic, Version};
use std::cell::Cell;
use std::io::{self, Write};

thread_local! {
    /// A compressor that was used before: creating its table takes longer than writing most payloads.
    static SPARE: Cell<Option<Compressor>> = const { Cell::new(None) };
}

/// Number of bytes collected before they are summed and passed on.
const CHUNK_BYTES: usize = 64 << 10;

/// Writes values and snapshots in the layouts of one version.
///
/// After an error it must not be used any more.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    version: Version,
    /// Bytes written but not yet summed and passed on.
    chunk: Vec<u8>,
    crc: u64,
    /// The database of what was written last.
    db: Option<u64>,
    /// Number of bytes passed on.
    passed: u64,
    /// If `None`, strings are not compressed.
    compressor: Option<Compressor>,
    /// The moment of which values are written: see [`as_of`](Self::as_of).
    now_ms: Option<i64>,
}

impl<W: Write> Writer<W> {
    /// Creates a writer of `version` that compresses strings as Redis does by default (`rdbcompression yes`).
    pub fn new(out: W, version: Version) -> Self {
        Self {
            out,
            version,
            chunk: Vec::new(),
            crc: 0,
            db: None,
            passed: 0,
            compressor: Some(SPARE.take().unwrap_or_default()),
            now_ms: None,
        }
    }

    /// From now on, leaves out what is too old at this moment, Unix time in milliseconds, where servers leave it out.
    pub const fn as_of(&mut self, now_ms: i64) {
        self.now_ms = Some(now_ms);
    }

    /// Returns the moment of which values are written, Unix time in milliseconds; `None` if nothing is left out.
    #[must_use]
    pub const fn now_ms(&self) -> Option<i64> {
        self.now_ms
    }

    /// Turns off compression (`rdbcompression no`).
    #[must_use]
    pub fn uncompressed(mut self) -> Self {
        self.compressor = None;
        self
    }

    /// Returns the version whose layouts are written.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// Writes the layouts of `version` from now on. Call this before anything is written.
    pub const fn set_version(&mut self, version: Version) {
        self.version = version;
    }

    /// Returns the layouts of that version.
    #[must_use]
    pub const fn layouts(&self) -> Layouts {
        Layouts::of(self.version)
    }

    /// Number of bytes written so far.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.passed + self.chunk.len() as u64
    }

    /// Writes bytes as they are.
    ///
    /// # Errors
    /// The output's error, as in everything that writes.
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
    /// The output's error.
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

    /// Ends with the checksum of everything written, and returns the output.
    ///
    /// # Errors
    /// The output's error.
    pub fn checksum(mut self) -> io::Result<W> {
        self.flush_chunk()?;
        let sum = self.crc.to_le_bytes();
        self.raw(&sum)?;
        self.close()
    }

    /// Ends with what is written, and returns the output.
    fn close(mut self) -> io::Result<W> {
        if let Some(compressor) = self.compressor.take() {
            SPARE.set(Some(compressor));
        }
        self.flush_chunk()?;
        self.out.flush()?;
        Ok(self.out)
    }
}

/// The layouts that a version has. Source: redis 8.8 rdb.c, `rdbSaveObjectType`, and its predecessors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layouts {
    version: Version,
}

impl Layouts {
    /// Returns the layouts of `version`.
    #[must_use]
    pub const fn of(version: Version) -> Self {
        Self { version }
    }

    /// Whether small hashes and sorted sets, and the nodes of lists, are listpacks (version 10 and later) or ziplists.
    #[must_use]
    pub const fn has_listpacks(self) -> bool {
        self.version.number >= 10
    }

    /// Whether small sets of strings are listpacks (version 11 and later).
    #[must_use]
    pub const fn has_listpack_sets(self) -> bool {
        self.version.number >= 11
    }

    /// Whether large elements of lists are nodes of their own (version 11 and later). Version 10 does this only for elements of
    /// 1 GiB.
    ///
    /// Source: redis 7.0 quicklist.c, `packed_threshold`.
    #[must_use]
    pub const fn has_plain_nodes(self) -> bool {
        self.version.number >= 11
    }

    /// Whether the version has function libraries (version 10 and later).
    #[must_use]
    pub const fn has_libraries(self) -> bool {
        self.version.number >= 10
    }

    /// Whether fields of hashes may expire (version 12 and later of Redis, and all of Valkey).
    #[must_use]
    pub const fn has_field_expiries(self) -> bool {
        self.version.number >= 12
    }

    /// Whether modules may attach data to keys (version 13 and later of Redis).
    #[must_use]
    pub const fn has_attached_data(self) -> bool {
        !self.is_valkey() && self.version.number >= 13
    }

    /// Whether there are arrays (version 14 and later of Redis).
    #[must_use]
    pub const fn has_arrays(self) -> bool {
        !self.is_valkey() && self.version.number >= 14
    }

    /// Returns which of the five layouts streams are written in.
    #[must_use]
    pub const fn stream(self) -> u8 {
        match (self.version.magic, self.version.number) {
            (Magic::Redis, 14..) => 5,
            (Magic::Redis, 13) => 4,
            (_, 11..) => 3,
            (_, 10) => 2,
            _ => 1,
        }
    }

    /// Whether compact hashes are written as such (version 15 and later).
    #[must_use]
    pub const fn has_templates(self) -> bool {
        !self.is_valkey() && self.version.number >= 15
    }

    /// Whether field expiries are written as in Valkey (type 22) rather than as in Redis (types 24 and 25).
    #[must_use]
    pub const fn is_valkey(self) -> bool {
        matches!(self.version.magic, Magic::Valkey)
    }
}

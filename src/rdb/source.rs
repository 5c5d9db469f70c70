//! Sources of an RDB's bytes: a socket's channel, a file, memory.

use crate::limits::READ_CHUNK_BYTES;
use bytes::{Bytes, BytesMut};
use std::{fs::File, io, io::Read, path::Path};

/// A blocking source of byte chunks.
pub trait Source {
    /// Returns the next available bytes, or an empty chunk at the end of the input.
    ///
    /// # Errors
    /// The error of the underlying file or connection. The reader stops at the first one.
    fn next_chunk(&mut self) -> io::Result<Bytes>;

    /// Appends up to `len` of the next bytes to `into`, without a chunk in between. Returns how many; 0 if this source only has
    /// chunks, or at the end of the input.
    ///
    /// # Errors
    /// Those of [`next_chunk`](Self::next_chunk).
    fn append(&mut self, into: &mut Vec<u8>, len: usize) -> io::Result<usize> {
        let _ = (into, len);
        Ok(0)
    }
}

impl<S: Source + ?Sized> Source for &mut S {
    fn next_chunk(&mut self) -> io::Result<Bytes> {
        (**self).next_chunk()
    }

    fn append(&mut self, into: &mut Vec<u8>, len: usize) -> io::Result<usize> {
        (**self).append(into, len)
    }
}

impl<S: Source + ?Sized> Source for Box<S> {
    fn next_chunk(&mut self) -> io::Result<Bytes> {
        (**self).next_chunk()
    }

    fn append(&mut self, into: &mut Vec<u8>, len: usize) -> io::Result<usize> {
        (**self).append(into, len)
    }
}

/// Bytes in memory, returned as one chunk.
#[derive(Debug, Clone)]
pub struct MemorySource(pub Bytes);

impl Source for MemorySource {
    fn next_chunk(&mut self) -> io::Result<Bytes> {
        Ok(std::mem::take(&mut self.0))
    }
}

/// A file.
pub type FileSource = ReadSource<File>;

/// Anything that can be read, in chunks of [`READ_CHUNK_BYTES`].
#[derive(Debug)]
pub struct ReadSource<R> {
    from: R,
    /// The memory of the previous chunk, reused once the reader has dropped that chunk.
    buffer: BytesMut,
}

impl FileSource {
    /// Opens the file at `path`.
    ///
    /// # Errors
    /// If it cannot be opened. A directory can be opened, but the first read fails.
    pub fn open(path: &Path) -> io::Result<Self> {
        File::open(path).map(Self::new)
    }
}

impl<R: Read> ReadSource<R> {
    /// Creates a source of what `from` returns.
    pub fn new(from: R) -> Self {
        Self {
            from,
            buffer: BytesMut::new(),
        }
    }
}

impl<R: Read> Source for ReadSource<R> {
    fn next_chunk(&mut self) -> io::Result<Bytes> {
        self.buffer.resize(READ_CHUNK_BYTES, 0);
        let read = loop {
            match self.from.read(&mut self.buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if ended(&error) => break 0,
                other => break other?,
            }
        };
        // A wrong `Read` may claim more.
        let read = read.min(self.buffer.len());
        let chunk = self.buffer.split_to(read).freeze();
        self.buffer.clear();
        Ok(chunk)
    }

    fn append(&mut self, into: &mut Vec<u8>, len: usize) -> io::Result<usize> {
        let before = into.len();
        let limit = u64::try_from(len).unwrap_or(u64::MAX);
        match self.from.by_ref().take(limit).read_to_end(into) {
            // What came before the end is there.
            Err(error) if ended(&error) => Ok(into.len() - before),
            other => other,
        }
    }
}

/// Whether a decompressor says that its own input has ended too early. What it returned before is whole.
fn ended(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::UnexpectedEof
}

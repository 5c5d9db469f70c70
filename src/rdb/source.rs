//! Sources of an RDB's bytes: a socket's channel, a file, memory.

use crate::limits::READ_CHUNK_BYTES;
use bytes::{Bytes, BytesMut};
use std::{fs::File, io, io::Read, os::fd::AsFd, path::Path};

/// A blocking source of byte chunks.
pub trait Source {
    /// Returns the next available bytes, or an empty chunk at the end of the input.
    ///
    /// # Errors
    /// The error of the underlying file or connection. The reader stops at the first one.
    fn next_chunk(&mut self) -> io::Result<Bytes>;
}

impl<S: Source + ?Sized> Source for &mut S {
    fn next_chunk(&mut self) -> io::Result<Bytes> {
        (**self).next_chunk()
    }
}

impl<S: Source + ?Sized> Source for Box<S> {
    fn next_chunk(&mut self) -> io::Result<Bytes> {
        (**self).next_chunk()
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

/// A file, read in chunks of [`READ_CHUNK_BYTES`].
#[derive(Debug)]
pub struct FileSource {
    file: File,
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

    /// Opens standard input.
    ///
    /// # Errors
    /// If it is closed.
    pub fn stdin() -> io::Result<Self> {
        let input = io::stdin().as_fd().try_clone_to_owned()?;
        Ok(Self::new(input.into()))
    }

    fn new(file: File) -> Self {
        Self {
            file,
            buffer: BytesMut::new(),
        }
    }
}

impl Source for FileSource {
    fn next_chunk(&mut self) -> io::Result<Bytes> {
        self.buffer.resize(READ_CHUNK_BYTES, 0);
        let read = loop {
            match self.file.read(&mut self.buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        let chunk = self.buffer.split_to(read).freeze();
        self.buffer.clear();
        Ok(chunk)
    }
}

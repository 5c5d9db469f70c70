//! A full resync's payload, written to a file as it arrives.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use super::folder::Folder;
use crate::rdb::crc64;
use crate::rdb::decode::Checksum;

/// Writes a copy of what passes on its way to the decoder to a file, starting after the payload's first line. What follows
/// the RDB (an end mark, the stream) is cut off once the RDB's end is known.
#[derive(Debug)]
pub struct Payload {
    file: File,
    path: PathBuf,
    state: Part,
    written: u64,
}

#[derive(Debug)]
enum Part {
    /// Reading up to the end of the first line that is not empty.
    Header {
        line_is_empty: bool,
    },
    Body,
    Failed(io::Error),
}

impl Payload {
    pub(super) fn create(folder: &Folder, number: u64) -> io::Result<Self> {
        let (file, path) = folder.create(number, "payload")?;
        Ok(Self {
            file,
            path,
            state: Part::Header {
                line_is_empty: true,
            },
            written: 0,
        })
    }

    /// Takes the next bytes of the link. A failed write is reported [when the payload is used](super::Keeper::begin).
    pub fn take(&mut self, chunk: &[u8]) {
        let body = self.behind_header(chunk);
        if body.is_empty() || matches!(self.state, Part::Failed(_)) {
            return;
        }
        match self.file.write_all_at(body, self.written) {
            Ok(()) => self.written += body.len() as u64,
            Err(error) => self.state = Part::Failed(error),
        }
    }

    fn behind_header<'c>(&mut self, chunk: &'c [u8]) -> &'c [u8] {
        for (at, byte) in chunk.iter().enumerate() {
            let Part::Header { line_is_empty } = &mut self.state else {
                return chunk.get(at..).unwrap_or_default();
            };
            match byte {
                b'\n' if !*line_is_empty => self.state = Part::Body,
                b'\n' | b'\r' => {}
                _ => *line_is_empty = false,
            }
        }
        &[]
    }

    /// Notes that the RDB is complete, with `bytes` bytes. Returns its file and path.
    pub(super) fn done(
        &mut self,
        bytes: u64,
        checksum: Checksum,
    ) -> io::Result<(Arc<File>, PathBuf)> {
        if let Part::Failed(error) = std::mem::replace(&mut self.state, Part::Body) {
            return Err(error);
        }
        self.file.set_len(bytes)?;
        match checksum {
            Checksum::Verified(_) => {}
            Checksum::Disabled => self.sum(bytes)?,
            Checksum::Absent => return Err(io::Error::other("the primary's RDB has no checksum")),
        }
        Ok((Arc::new(self.file.try_clone()?), self.path.clone()))
    }

    /// Writes the checksum, which the primary is configured not to compute.
    fn sum(&self, bytes: u64) -> io::Result<()> {
        let end = bytes.saturating_sub(8);
        let mut buffer = vec![0; 256 << 10];
        let (mut at, mut sum) = (0, 0);
        while at < end {
            let len = usize::try_from(end - at)
                .unwrap_or(usize::MAX)
                .min(buffer.len());
            let chunk = buffer.get_mut(..len).unwrap_or_default();
            self.file.read_exact_at(chunk, at)?;
            sum = crc64::update(sum, chunk);
            at += chunk.len() as u64;
        }
        self.file.write_all_at(&sum.to_le_bytes(), end)
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        // If the payload has become a snapshot, this name is already gone.
        let _ = fs::remove_file(&self.path);
    }
}

//! Writes and reads logs.

use std::fs::{self, File};
use std::io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::folder::Folder;
use super::record::{
    BEGIN_BYTES, Begin, HEAD_BYTES, Head, Kind, MARK, NotBegin, PAYLOAD_BYTES_MAX,
};
use crate::rdb::crc64;

/// A log that is being written. It contains whole records only, unless the system fails.
#[derive(Debug)]
pub(super) struct Log {
    file: Arc<File>,
    bytes: u64,
    /// The record being encoded.
    buffer: Vec<u8>,
}

/// A buffer larger than this is freed after its record.
const KEPT_BUFFER_BYTES_MAX: usize = 1 << 20;

impl Log {
    /// Creates a log. It gets its name only once its header and `pending` are complete.
    pub(super) fn create(
        folder: &Folder,
        begin: Begin,
        at_ms: i64,
        pending: &[u8],
    ) -> io::Result<Self> {
        let (file, temporary) = folder.create(begin.number, "log")?;
        let log = Self::begin(file, begin, at_ms, pending)
            .and_then(|log| fs::rename(&temporary, folder.log(begin.number)).map(|()| log));
        if log.is_err() {
            // On a full disk, its space is needed. If this fails, the next start removes the file.
            let _ = fs::remove_file(temporary);
        }
        log
    }

    fn begin(mut file: File, begin: Begin, at_ms: i64, pending: &[u8]) -> io::Result<Self> {
        file.write_all(&begin.encode())?;
        let mut log = Self {
            file: Arc::new(file),
            bytes: BEGIN_BYTES as u64,
            buffer: Vec::new(),
        };
        if !pending.is_empty() {
            log.append(Kind::Stream, begin.at.point.offset, at_ms, pending)?;
        }
        Ok(log)
    }

    /// Continues after the first `bytes` bytes of a log. Cuts off what follows them.
    pub(super) fn reopen(path: &Path, bytes: u64) -> io::Result<Self> {
        let mut file = File::options().read(true).write(true).open(path)?;
        file.set_len(bytes)?;
        file.seek(SeekFrom::End(0))?;
        Ok(Self {
            file: Arc::new(file),
            bytes,
            buffer: Vec::new(),
        })
    }

    /// Hands one record to the operating system.
    pub(super) fn append(
        &mut self,
        kind: Kind,
        offset: u64,
        at_ms: i64,
        payload: &[u8],
    ) -> io::Result<()> {
        self.buffer.clear();
        let head = Head::new(kind, offset, at_ms, payload);
        if head.len > PAYLOAD_BYTES_MAX {
            // The reader would take it for damage.
            return Err(io::Error::other("a record of the log is too long"));
        }
        head.encode(&mut self.buffer);
        self.buffer.extend_from_slice(payload);
        (&*self.file).write_all(&self.buffer)?;
        self.bytes += self.buffer.len() as u64;
        if self.buffer.capacity() > KEPT_BUFFER_BYTES_MAX {
            self.buffer = Vec::new();
        }
        Ok(())
    }

    pub(super) const fn file(&self) -> &Arc<File> {
        &self.file
    }

    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// What is wrong with a file of the state directory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// The file is not what was written, and must not be used.
    #[error("{} is damaged at byte {at}: {what}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// The position in bytes from the file's start.
        at: u64,
        /// What is wrong there.
        what: String,
    },
    /// The file may be whole, but cannot be used here.
    #[error("{} cannot be used: {what}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        what: String,
    },
}

/// Reads a log from its start.
#[derive(Debug)]
pub struct LogReader {
    file: BufReader<File>,
    path: PathBuf,
    /// Where the next record begins.
    at: u64,
    len: u64,
}

impl LogReader {
    /// Opens a log and reads its header.
    ///
    /// # Errors
    /// [`Damage`].
    pub fn open(path: &Path) -> Result<(Begin, Self), Damage> {
        let file = File::open(path).map_err(|error| of_io(path, 0, &error))?;
        let len = file
            .metadata()
            .map_err(|error| of_io(path, 0, &error))?
            .len();
        let mut reader = Self {
            file: BufReader::new(file),
            path: path.to_owned(),
            at: BEGIN_BYTES as u64,
            len,
        };
        let mut header = [0; BEGIN_BYTES];
        let read = reader.file.read_exact(&mut header);
        read.map_err(|error| of_io(path, 0, &error))?;
        let begin = Begin::decode(&header).map_err(|error| match error {
            NotBegin::Damaged => reader.corrupt(0, "the header"),
            NotBegin::Version(_) => reader.corrupt(8, &error.to_string()),
        })?;
        Ok((begin, reader))
    }

    /// Opens a log that continues another. Returns `None` if its header is incomplete and no record follows: power was lost
    /// before the log had anything to hold.
    ///
    /// # Errors
    /// [`Damage`].
    pub fn open_later(path: &Path) -> Result<Option<(Begin, Self)>, Damage> {
        let damage = match Self::open(path) {
            Err(damage @ Damage::Corrupt { .. }) => damage,
            opened => return opened.map(Some),
        };
        let file = File::open(path).map_err(|error| of_io(path, 0, &error))?;
        match is_followed(&mut BufReader::new(file), 0) {
            Ok(true) => Err(damage),
            Ok(false) => Ok(None),
            Err(error) => Err(of_io(path, 0, &error)),
        }
    }

    /// Reads the next record. Returns `None` at the end: [`position`](Self::position) is then where the last whole record
    /// ends, and what follows is the torn end of a record that was never applied.
    ///
    /// # Errors
    /// Returns [`Damage`] when something is wrong and a record follows.
    pub fn next(&mut self, payload: &mut Vec<u8>) -> Result<Option<Head>, Damage> {
        let Some(head) = self.head()? else {
            return self.ended(self.at + 1, "the head of a record");
        };
        let behind = self.at + HEAD_BYTES as u64 + u64::from(head.len);
        if behind > self.len {
            return Ok(None);
        }
        payload.resize(usize::try_from(head.len).unwrap_or(usize::MAX), 0);
        let read = self.file.read_exact(payload);
        read.map_err(|error| of_io(&self.path, self.at, &error))?;
        if crc64::update(0, payload) != head.payload_sum {
            return self.ended(behind, "the checksum of a record");
        }
        self.at = behind;
        Ok(Some(head))
    }

    /// Returns where the last record that was read ends.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.at
    }

    /// Returns the number of bytes after that position.
    #[must_use]
    pub const fn left(&self) -> u64 {
        self.len.saturating_sub(self.at)
    }

    /// Returns an error about the record that was read last.
    #[must_use]
    pub fn corrupt(&self, at: u64, what: &str) -> Damage {
        Damage::Corrupt {
            path: self.path.clone(),
            at,
            what: what.to_owned(),
        }
    }

    /// Returns an error that is not the log's fault.
    #[must_use]
    pub fn unusable(&self, what: &str) -> Damage {
        Damage::Unusable {
            path: self.path.clone(),
            what: what.to_owned(),
        }
    }

    fn head(&mut self) -> Result<Option<Head>, Damage> {
        let mut bytes = [0; HEAD_BYTES];
        match self.file.read_exact(&mut bytes) {
            Ok(()) => Ok(Head::decode(&bytes)),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(of_io(&self.path, self.at, &error)),
        }
    }

    /// Handles a record that is not whole. It is the end, unless another record follows at `from` or later.
    fn ended(&mut self, from: u64, what: &str) -> Result<Option<Head>, Damage> {
        let followed = is_followed(&mut self.file, from);
        if followed.map_err(|error| of_io(&self.path, from, &error))? {
            Err(self.corrupt(self.at, what))
        } else {
            Ok(None)
        }
    }
}

/// Whether the head of a record appears anywhere from `from` on.
fn is_followed(file: &mut BufReader<File>, from: u64) -> io::Result<bool> {
    file.seek(SeekFrom::Start(from))?;
    let mut window = Vec::new();
    loop {
        let start = window.len();
        file.take(SCAN_BYTES).read_to_end(&mut window)?;
        let is_head = |at: usize| {
            let bytes = window.get(at..).and_then(<[u8]>::first_chunk);
            bytes.is_some_and(|bytes| Head::decode(bytes).is_some())
        };
        if memchr::memmem::find_iter(&window, MARK).any(is_head) {
            return Ok(true);
        }
        if window.len() == start {
            return Ok(false);
        }
        // A head may begin in one window and end in the next.
        let keep = window.len().saturating_sub(HEAD_BYTES);
        window.drain(..keep);
    }
}

/// Bytes scanned at a time.
const SCAN_BYTES: u64 = 1 << 20;

/// A file that ends too early is damaged; one that cannot be read may be whole.
fn of_io(path: &Path, at: u64, error: &io::Error) -> Damage {
    let (path, what) = (path.to_owned(), error.to_string());
    if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::NotFound) {
        Damage::Corrupt { path, at, what }
    } else {
        Damage::Unusable { path, what }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn no_record_is_written_that_the_reader_would_refuse() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("log");
        File::create(&path).unwrap();
        let mut log = Log::reopen(&path, 0).unwrap();
        let payload = vec![0; PAYLOAD_BYTES_MAX as usize + 1];
        assert!(log.append(Kind::Stream, 0, 0, &payload).is_err());
        assert_eq!((log.bytes(), fs::metadata(&path).unwrap().len()), (0, 0));
        let longest = payload.get(1..).unwrap();
        log.append(Kind::Stream, 0, 0, longest).unwrap();
    }
}

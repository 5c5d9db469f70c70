//! Where the lines go: standard output, whatever it is.
//!
//! A regular file is continued. The bytes that a killed predecessor wrote after the place that it kept are rendered again, found
//! equal, and not written twice. To anything else, bytes are written as it takes them, and a stop is noticed in between.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio_util::sync::CancellationToken;

use super::file::Kept;
use super::place::Place;

/// A pipe that can be written to takes this many bytes without blocking (`PIPE_BUF`).
const PIECE: usize = 4096;

/// Bytes to gather before they are written.
const GATHERED: usize = 64 << 10;

/// How long a reader may take to read the rest of a line when tail is to stop.
const LAST_LINE: Duration = Duration::from_secs(5);

/// How often a stop is noticed while nobody reads.
const LOOK_EVERY: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};

/// How writing ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    /// Everything is written.
    On,
    /// Tail is to stop. The output ends with a whole line, unless the reader did not take the rest of it.
    Stopped,
    /// Nobody reads.
    Deserted,
}

/// What is wrong with the output.
#[derive(Debug, thiserror::Error)]
pub(super) enum OutError {
    #[error("cannot write to standard output: {0}")]
    Write(#[from] io::Error),
    #[error(
        "the end of the output file, after byte {0}, is not what tail printed: give it the file and the options that it had, or remove {name} from the state directory to begin anew",
        name = super::file::NAME
    )]
    Differs(u64),
}

/// Bytes in a regular file that were written after the place that was kept.
#[derive(Debug)]
struct Tail {
    left: u64,
    /// To compare them; `None` if the file cannot be read.
    reader: Option<File>,
}

#[derive(Debug)]
pub(super) struct Output {
    file: File,
    /// The regular file that it is: its device and its number.
    regular: Option<(u64, u64)>,
    /// Bytes of the regular file that are accounted for.
    bytes: u64,
    tail: Option<Tail>,
    continues: bool,
    /// What is to be written.
    buffer: Vec<u8>,
    /// Where in it something ends that belongs together, with the place after it.
    ends: Vec<(usize, Place)>,
    stop: CancellationToken,
}

impl Output {
    /// Standard output, continued after what is `kept`.
    pub(super) fn new(kept: Option<&Kept>, stop: CancellationToken) -> io::Result<Self> {
        let fd: OwnedFd = io::stdout().as_fd().try_clone_to_owned()?;
        Self::of(File::from(fd), kept, stop)
    }

    fn of(mut file: File, kept: Option<&Kept>, stop: CancellationToken) -> io::Result<Self> {
        let meta = file.metadata()?;
        let mut output = Self {
            regular: meta.is_file().then(|| (meta.dev(), meta.ino())),
            file: file.try_clone()?,
            bytes: 0,
            tail: None,
            continues: false,
            buffer: Vec::new(),
            ends: Vec::new(),
            stop,
        };
        if output.regular.is_none() {
            return Ok(output);
        }
        let len = file.seek(SeekFrom::End(0))?;
        output.bytes = len;
        let own = kept.filter(|kept| kept.output == output.regular);
        output.continues = own.is_some_and(|own| own.bytes <= len);
        match own {
            Some(own) if own.bytes < len => output.continue_after(own.bytes, len),
            Some(own) if own.bytes > len => tracing::warn!(
                "the output file is shorter than it was: what was printed shortly before the last end may be printed again"
            ),
            _ => {}
        }
        Ok(output)
    }

    fn continue_after(&mut self, bytes: u64, len: u64) {
        use std::os::fd::AsRawFd as _;
        // A file that is open for appending alone cannot be read through its own descriptor.
        let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        let reader = File::open(path).and_then(|mut reader| {
            reader.seek(SeekFrom::Start(bytes))?;
            Ok(reader)
        });
        self.bytes = bytes;
        self.tail = Some(Tail {
            left: len - bytes,
            reader: reader.ok(),
        });
    }

    /// What to keep beside `place`, if everything up to it is written.
    pub(super) const fn kept(&self, place: Place) -> Kept {
        Kept {
            place,
            output: self.regular,
            bytes: self.bytes,
        }
    }

    /// Whether the output goes on after what was printed before a restart.
    pub(super) const fn continues(&self) -> bool {
        self.continues
    }

    /// Where to put what is to be written.
    pub(super) const fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// States that something ends here, and the place after it.
    pub(super) fn end(&mut self, place: Place) {
        self.ends.push((self.buffer.len(), place));
    }

    pub(super) const fn is_full(&self) -> bool {
        self.buffer.len() >= GATHERED
    }

    /// Whether nobody reads any more.
    pub(super) fn is_deserted(&self) -> bool {
        self.regular.is_none() && self.polled(&Timespec::default()).contains(PollFlags::ERR)
    }

    fn polled(&self, patience: &Timespec) -> PollFlags {
        let mut fds = [PollFd::new(&self.file, PollFlags::OUT)];
        // An interrupted poll is repeated by the caller.
        let _ = poll(&mut fds, Some(patience));
        let [fd] = fds;
        fd.revents()
    }

    /// Writes everything. Returns the place up to which it is written, if that has moved.
    pub(super) fn flush(&mut self) -> Result<(Flow, Option<Place>), OutError> {
        let skipped = self.skip()?;
        let (flow, end) = match self.write(skipped) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => (Flow::Deserted, skipped),
            result => result?,
        };
        let whole = self.ends.iter().rposition(|(at, _)| *at <= end);
        let mut reached = None;
        if let Some(index) = whole {
            let (at, place) = self.ends.swap_remove(index);
            self.bytes += at as u64;
            reached = Some(place);
        }
        self.buffer.clear();
        self.buffer.shrink_to(4 * GATHERED);
        self.ends.clear();
        Ok((flow, reached))
    }

    /// Passes over what the file has already. Returns how much of the buffer that is.
    fn skip(&mut self) -> Result<usize, OutError> {
        let Some(tail) = &mut self.tail else {
            return Ok(0);
        };
        let left = usize::try_from(tail.left).unwrap_or(usize::MAX);
        let skipped = left.min(self.buffer.len());
        let own = self.buffer.get(..skipped).unwrap_or_default();
        if let Some(reader) = &mut tail.reader {
            let mut there = vec![0; skipped];
            reader.read_exact(&mut there)?;
            if there != own {
                return Err(OutError::Differs(self.bytes));
            }
        }
        tail.left -= skipped as u64;
        if tail.left == 0 {
            self.tail = None;
        }
        Ok(skipped)
    }

    /// Writes the buffer from `at` on. Returns where writing ended.
    fn write(&self, mut at: usize) -> io::Result<(Flow, usize)> {
        let mut deadline = None;
        while at < self.buffer.len() {
            if self.stop.is_cancelled() {
                let deadline = deadline.get_or_insert_with(|| Instant::now() + LAST_LINE);
                let is_between = at == 0 || self.ends.iter().any(|(end, _)| *end == at);
                if is_between || Instant::now() >= *deadline {
                    return Ok((Flow::Stopped, at));
                }
            }
            let end = self.piece_end(at);
            if self.regular.is_none() && self.polled(&LOOK_EVERY).is_empty() {
                continue;
            }
            match (&self.file).write(self.buffer.get(at..end).unwrap_or_default()) {
                Ok(written) => at += written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok((Flow::On, at))
    }

    /// Where the next write ends: a pipe takes a piece, and a line is not begun that need not be.
    fn piece_end(&self, at: usize) -> usize {
        let len = self.buffer.len();
        let mut end = match self.regular {
            Some(_) => len,
            None => len.min(at + PIECE),
        };
        if self.stop.is_cancelled() {
            let next = self.ends.iter().map(|(end, _)| *end).find(|end| *end > at);
            end = end.min(next.unwrap_or(len));
        }
        end
    }

    /// Gives up on rendering again what follows the place that was kept: it cannot be told any more. Cuts off half a line.
    pub(super) fn forget_tail(&mut self) -> io::Result<()> {
        let Some(tail) = self.tail.take() else {
            return Ok(());
        };
        let mut rest = Vec::new();
        if let Some(reader) = tail.reader {
            reader.take(tail.left).read_to_end(&mut rest)?;
        }
        let whole = rest.iter().rposition(|byte| *byte == b'\n');
        let whole = whole.map_or(0, |at| at as u64 + 1);
        // What cannot be read is left alone.
        self.bytes += if rest.is_empty() { tail.left } else { whole };
        if !rest.is_empty() {
            self.file.set_len(self.bytes)?;
        }
        self.file.seek(SeekFrom::End(0))?;
        Ok(())
    }
}

#[cfg(test)]
#[path = "out_tests.rs"]
mod tests;

//! What the subcommands read: files, standard input, compressed or not, several as one.

use std::cell::Cell;
use std::fmt::Display;
use std::fs::File;
use std::io::{self, BufReader, Cursor, IsTerminal as _, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::complain;
use crate::cli::Failure;
use crate::dump::{self, Error, ErrorKind, Summary, Visitor};

/// The dumps to read.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Input {
    /// The dumps, such as dump.rdb; - for standard input. Several, such as those of a cluster's primaries, are read as one
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Show no progress on a terminal
    #[arg(long, short)]
    pub quiet: bool,
}

/// What follows the help of every subcommand that reads dumps.
pub const READS: &str = "\
A file compressed by gzip, zstd or lz4 is read directly; offsets in errors are then those of the dump inside.
Exit codes: 0 all dumps are sound; 1 a dump is broken or cannot be read: the result covers the keys before the damage; \
2 wrong argument.";

/// A dump could not be read to its end. Its error has been printed.
#[derive(Debug)]
pub(super) struct Broken;

impl Input {
    /// Passes the parts of all dumps to `visitor`, one dump after the other. Returns a summary of each. Prints the error of the
    /// first that is broken, and reads no further.
    pub(super) fn read(&self, visitor: &mut impl Visitor) -> Result<Vec<Summary>, Broken> {
        self.each(|from| dump::read(from, visitor))
    }

    /// Passes the bytes of all dumps to `read`, one dump after the other, like [`read`](Self::read).
    pub(super) fn each(
        &self,
        read: impl FnMut(Box<dyn Read>) -> Result<Summary, Error>,
    ) -> Result<Vec<Summary>, Broken> {
        self.pass(read).map_err(|(file, error)| {
            // The visitor's own error is reported where the output ends.
            if error.kind() != ErrorKind::Visitor {
                complain(file, &error);
            }
            Broken
        })
    }

    /// Passes the bytes of all dumps to `load`, one dump after the other.
    ///
    /// # Errors
    /// Which dump cannot be loaded, and why.
    pub(super) fn load<E: From<io::Error> + Display>(
        &self,
        load: impl FnMut(Box<dyn Read>) -> Result<(), E>,
    ) -> Result<(), Failure> {
        let failure =
            |(file, error): (&Path, E)| Failure::Runtime(format!("{}: {error}", file.display()));
        self.pass(load).map(drop).map_err(failure)
    }

    /// Passes each dump and its name to `read`. Returns what `read` makes of them.
    pub(super) fn every<T>(
        &self,
        mut read: impl FnMut(&Path, io::Result<Box<dyn Read>>) -> T,
    ) -> Vec<T> {
        let progress = Progress::new(self);
        let mut read = |file: &PathBuf| read(file, progress.open(file));
        let all = self.files.iter().map(&mut read).collect();
        progress.end();
        all
    }

    /// Passes the bytes of all dumps to `read`, one dump after the other, until it fails.
    fn pass<T, E: From<io::Error>>(
        &self,
        mut read: impl FnMut(Box<dyn Read>) -> Result<T, E>,
    ) -> Result<Vec<T>, (&Path, E)> {
        let progress = Progress::new(self);
        let mut one = |file: &PathBuf| read(progress.open(file)?);
        let files = self.files.iter();
        let all = files
            .map(|file| one(file).map_err(|error| (file.as_path(), error)))
            .collect();
        progress.end();
        all
    }
}

/// How many bytes of the files have been read, shown on a terminal.
struct Progress {
    bar: ProgressBar,
    read: Rc<Cell<u64>>,
}

/// Bytes after which the bar moves.
const STEP_BYTES: u64 = 1 << 20;

impl Progress {
    fn new(input: &Input) -> Self {
        let sizes = input.files.iter().map(std::fs::metadata);
        let total: u64 = sizes.map(|file| file.map_or(0, |file| file.len())).sum();
        let hidden = input.quiet || total == 0 || !io::stderr().is_terminal();
        let target = match hidden {
            true => ProgressDrawTarget::hidden(),
            false => ProgressDrawTarget::stderr(),
        };
        let bar = ProgressBar::with_draw_target(Some(total), target);
        let style = ProgressStyle::with_template(
            "{bar:30} {percent:>3} %  {bytes} of {total_bytes}  {bytes_per_sec}  {eta} left",
        );
        if let Ok(style) = style {
            bar.set_style(style);
        }
        Self {
            bar,
            read: Rc::default(),
        }
    }

    /// Opens a dump, and decompresses it if it is compressed.
    fn open(&self, path: &Path) -> io::Result<Box<dyn Read>> {
        let raw: Box<dyn Read> = match path == Path::new("-") {
            true => Box::new(io::stdin().lock()),
            false => Box::new(File::open(path)?),
        };
        opened(Counted {
            from: raw,
            bar: self.bar.clone(),
            read: Rc::clone(&self.read),
        })
    }

    fn end(&self) {
        self.bar.finish_and_clear();
    }
}

/// Counts the bytes read from a file.
struct Counted {
    from: Box<dyn Read>,
    bar: ProgressBar,
    read: Rc<Cell<u64>>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer)?;
        let (before, after) = (self.read.get(), self.read.get() + read as u64);
        self.read.set(after);
        if before / STEP_BYTES != after / STEP_BYTES {
            self.bar.set_position(after);
        }
        Ok(read)
    }
}

/// The room for bytes before they are decompressed.
const COMPRESSED_BYTES: usize = 256 << 10;

/// How a dump is compressed.
#[derive(Debug, Clone, Copy)]
enum Compression {
    Gzip,
    Zstd,
    Lz4,
}

/// The bytes that tell how a file is compressed.
const MAGIC_BYTES: u64 = 4;

impl Compression {
    /// Returns how a file that starts like this is compressed; `None` if it is not.
    const fn of(start: &[u8]) -> Option<Self> {
        match start {
            // Source: RFC 1952, section 2.3.1.
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            // Source: RFC 8878, section 3.1.1.
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstd),
            // Source: the LZ4 frame format, version 1.6.4.
            [0x04, 0x22, 0x4d, 0x18, ..] => Some(Self::Lz4),
            _ => None,
        }
    }
}

/// Whether the file is compressed. False if it cannot be read.
pub(super) fn is_compressed(file: &Path) -> bool {
    let start = File::open(file).and_then(|mut file| start(&mut file));
    start.is_ok_and(|start| Compression::of(&start).is_some())
}

/// Reads the first bytes.
fn start(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut start = Vec::new();
    from.take(MAGIC_BYTES).read_to_end(&mut start)?;
    Ok(start)
}

/// Decompresses what `from` returns if its first bytes are those of a compressed file.
fn opened(mut from: impl Read + 'static) -> io::Result<Box<dyn Read>> {
    let start = start(&mut from)?;
    let compression = Compression::of(&start);
    let from = Cursor::new(start).chain(from);
    let Some(compression) = compression else {
        return Ok(Box::new(from));
    };
    let from = BufReader::with_capacity(COMPRESSED_BYTES, from);
    Ok(match compression {
        Compression::Gzip => decompressed(flate2::bufread::MultiGzDecoder::new(from)),
        Compression::Zstd => decompressed(zstd::stream::read::Decoder::with_buffer(from)?),
        Compression::Lz4 => decompressed(lz4_flex::frame::FrameDecoder::new(from)),
    })
}

fn decompressed(from: impl Read + 'static) -> Box<dyn Read> {
    Box::new(Decompressed(from))
}

/// What a decompressor returns.
struct Decompressed<R>(R);

impl<R: Read> Read for Decompressed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // That of lz4 returns nothing at the end of each frame, and then goes on with the next one.
        let read = match self.0.read(buffer) {
            Ok(0) => self.0.read(buffer),
            other => other,
        };
        read.map_err(damaged)
    }
}

/// Makes an error of a decompressor [`InvalidData`](io::ErrorKind::InvalidData), and leaves those of the file and its end alone.
fn damaged(error: io::Error) -> io::Error {
    let is_other = error.raw_os_error().is_some()
        || matches!(
            error.kind(),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::Interrupted
        );
    match is_other {
        true => error,
        false => io::Error::new(
            io::ErrorKind::InvalidData,
            format!("the compressed data is damaged: {error}"),
        ),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn a_compressed_dump_is_read_as_the_dump_inside() {
        let plain = std::fs::read(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/fixtures/redis-7.0.rdb"
        ))
        .unwrap();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&plain).unwrap();
        let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
        lz4.write_all(&plain).unwrap();
        let zstd = zstd::encode_all(&plain[..], 1).unwrap();
        // Two members of gzip make one file, as parallel compressors write it, and so do two frames of the others.
        let parts = plain.split_at(1000);
        let parts = [parts.0, parts.1];
        let members = parts.map(|part| {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gzip.write_all(part).unwrap();
            gzip.finish().unwrap()
        });
        let frames = parts.map(|part| {
            let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
            lz4.write_all(part).unwrap();
            lz4.finish().unwrap()
        });
        for form in [
            plain.clone(),
            gzip.finish().unwrap(),
            lz4.finish().unwrap(),
            zstd,
            members.concat(),
            frames.concat(),
            parts
                .map(|part| zstd::encode_all(part, 1).unwrap())
                .concat(),
        ] {
            let mut read = Vec::new();
            opened(io::Cursor::new(form))
                .unwrap()
                .read_to_end(&mut read)
                .unwrap();
            assert!(read == plain);
        }
    }

    #[test]
    fn damaged_compression_is_an_error_and_never_a_panic() {
        let plain = vec![b'x'; 5000];
        let zstd = zstd::encode_all(&plain[..], 1).unwrap();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&plain).unwrap();
        let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
        lz4.write_all(&plain).unwrap();
        for form in [zstd, gzip.finish().unwrap(), lz4.finish().unwrap()] {
            for cut in 4..form.len() {
                let cut = form.get(..cut).unwrap().to_vec();
                let read = opened(io::Cursor::new(cut))
                    .and_then(|mut from| io::copy(&mut from, &mut io::sink()));
                assert!(read.is_err() || read.unwrap() <= 5000);
            }
            for at in 4..form.len() {
                let mut bad = form.clone();
                *bad.get_mut(at).unwrap() ^= 0x55;
                let _ = opened(io::Cursor::new(bad))
                    .and_then(|from| io::copy(&mut from.take(1 << 20), &mut io::sink()));
            }
        }
    }
}

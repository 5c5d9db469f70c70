//! `redtail rdb …`: reads dumps without a server.
//!
//! Each subcommand is a file: a visitor of `dump` that takes the keys that a `selection` lets through, and prints what it made of
//! them. `input` opens the dumps, compressed or not, several as one. `output`, `table`, `text`, `value` and `stream` write.

mod check;
mod diff;
mod digest;
mod escape;
mod filter;
mod input;
mod json;
mod keys;
mod memory;
mod output;
mod prefix;
mod prefixes;
mod pull;
mod report;
mod resp;
mod resp_stream;
mod selection;
mod serve;
mod spill;
mod stats;
mod stream;
mod table;
mod text;
mod value;

use crate::dump::{Error, ErrorKind};
use std::fmt::Write as _;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

pub(super) use text::base64_of;

pub use check::{CODES as CHECK_CODES, Check, check};
pub use diff::{CODES as DIFF_CODES, Diff, diff};
pub use filter::{Filter, filter};
pub use input::READS;
pub use json::{Json, help as json_help, json};
pub use keys::{Keys, keys};
pub use memory::{Memory, memory};
pub use prefix::{Prefix, prefix};
pub use pull::{ENDS as PULL_ENDS, Pull, pull};
pub use report::{Report, report};
pub use resp::{Resp, resp};
pub use serve::{ENDS as SERVE_ENDS, Serve, serve};
pub use stats::{Stats, stats};

/// Says which argument is wrong. Returns the exit code.
fn misused(error: &str) -> ExitCode {
    eprintln!("redtail: {error}");
    ExitCode::from(2)
}

/// Now, in Unix milliseconds.
fn now_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Returns the bytes as text on one line, cut if it is long.
fn one_line(bytes: &[u8]) -> String {
    const SHOWN_BYTES_MAX: usize = 100;
    let shown = bytes.get(..SHOWN_BYTES_MAX).unwrap_or(bytes);
    let mut line = shown.escape_ascii().to_string();
    if shown.len() < bytes.len() {
        let _infallible = write!(line, "… ({} bytes)", bytes.len());
    }
    line
}

/// Prints one line on standard error: which dump is broken, where, why, and what to do.
fn complain(file: &Path, error: &Error) {
    let hint = hint(error, &End::of(file));
    eprintln!("redtail: {}: {error}; {hint}", file.display());
}

/// Prints one line on standard error: a compressed file is damaged after the dump in it.
fn complain_after(file: &Path, error: &io::Error) {
    let file = file.display();
    eprintln!(
        "redtail: {file}: the dump is whole, but the compressed file is damaged after it: {error}; copy it again, or compress the dump again"
    );
}

/// What the end of a file says about the rest. All zero for standard input, whose end cannot be read again.
#[derive(Debug, Default)]
struct End {
    /// The file's length in bytes; 0 if it is compressed.
    bytes: u64,
    /// Whether the end opcode is where it must be, before the eight bytes of the checksum.
    is_whole: bool,
    is_compressed: bool,
}

impl End {
    fn of(file: &Path) -> Self {
        match input::is_compressed(file) {
            true => Self {
                is_compressed: true,
                ..Self::default()
            },
            false => Self::read(file).unwrap_or_default(),
        }
    }

    fn read(file: &Path) -> io::Result<Self> {
        let mut file = std::fs::File::open(file)?;
        let start = file.seek(SeekFrom::End(-END_BYTES))?;
        let mut opcode = [0];
        file.read_exact(&mut opcode)?;
        Ok(Self {
            bytes: start + END_BYTES.unsigned_abs(),
            is_whole: opcode == [0xff],
            is_compressed: false,
        })
    }
}

/// The size of the end opcode and the checksum.
const END_BYTES: i64 = 9;

/// Whether a decompressor has returned the error.
fn is_damaged(error: &Error) -> bool {
    let source = std::error::Error::source(error);
    source
        .and_then(|source| source.downcast_ref::<io::Error>())
        .is_some_and(|error| error.kind() == io::ErrorKind::InvalidData)
}

/// Returns what to do about an error.
fn hint(error: &Error, end: &End) -> &'static str {
    match error.kind() {
        ErrorKind::Truncated if error.offset() == 0 && !end.is_compressed => {
            "the file is empty: save or copy it again"
        }
        ErrorKind::Truncated if end.is_whole => {
            "the file ends as a dump does, so it is not cut short: a length, a count or a type before this point is damaged; copy it \
             again or use another one"
        }
        ErrorKind::Truncated => {
            "the file is cut short, or a length in it is damaged: save or copy it again"
        }
        ErrorKind::Io if is_damaged(error) => {
            "the compressed file is damaged at or before this point: copy it again or use another one"
        }
        ErrorKind::Io => "give the path of a readable dump, such as /var/lib/redis/dump.rdb",
        ErrorKind::NotRdb => {
            "give a dump as SAVE or redis-cli --rdb writes it, plain or compressed by gzip, zstd or lz4"
        }
        ErrorKind::NoSuchVersion | ErrorKind::UnknownType => {
            "a newer server wrote it, or it is damaged at or before this point"
        }
        ErrorKind::OldFunctions => "delete the functions in that release candidate, and save again",
        ErrorKind::OldModule => "the dump needs a module that only the server that wrote it has",
        ErrorKind::Commands => "save it with SAVE or BGSAVE, or with redis-cli --rdb",
        ErrorKind::Checksum if error.offset() + 8 < end.bytes => {
            "more bytes follow: the end opcode before this point, or something before it, is damaged; copy the file again or use another one"
        }
        ErrorKind::Checksum => {
            "every part is well formed, but at least one is not what was written: copy the file again or use another one"
        }
        _ => "the file is damaged at or before this point: copy it again or use another one",
    }
}

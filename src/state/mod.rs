//! The state directory: what a restart resumes from.
//!
//! ```text
//! lock               held for as long as the process lives
//! snapshot-<n>.rdb   an RDB file: all data at one offset
//! log-<n>            the stream's raw bytes from that offset on, in records with checksums
//! *.tmp              not finished: removed at the next start
//! *.corrupt-<time>   set aside because it was damaged; only the newest such set is kept
//! ```
//!
//! This room knows files, checksums, the RDB writer and the store's read side; it knows no socket and applies nothing. The
//! writer thread of `replica` drives a [`Keeper`]: every chunk of the stream is [appended](Keeper::append) **before** it is
//! applied, so that no reader has ever seen an offset beyond the one that a restart resumes at. What the process has handed
//! to the system survives `kill -9`; [`Fsync`] is about the loss of power alone.
//!
//! # Generations
//! A full resync, or a log that has grown too long, begins generation *n* + 1. From then on the stream goes to `log-<n+1>`;
//! its snapshot comes to be under a temporary name and is renamed once it is whole. Until then a restart takes
//! `snapshot-<n>`, `log-<n>` and `log-<n+1>` in turn: a log that begins where the one before it ends goes on from it.
//!
//! * At a full resync the snapshot is the primary's own payload, written while it is decoded: it is there when the
//!   data is first served.
//! * To shorten the log, the store is written through [`Saving`], a few shards at a time between chunks of the stream. A key
//!   that a command is about to change is written first, so the whole is of one offset, without a fork or a second copy.
//!
//! # Where a crash can come
//! | before | a restart finds | and resumes at |
//! |---|---|---|
//! | `log-<n+1>` has its name | generation *n* | the end of `log-<n>` |
//! | a full resync's snapshot has its name | generation *n*; `log-<n+1>` begins elsewhere and is removed | the end of `log-<n>` |
//! | a shortened log's snapshot has its name | generation *n*, then `log-<n+1>` | the end of `log-<n+1>` |
//! | the old files are removed | generation *n* + 1, the newer one | the end of `log-<n+1>` |
//! | the end of a record is written | a torn tail, which is cut off | the end of the command before it |
//!
//! When power is lost, what was not forced to the disk may be gone, or names may be there without the bytes. Before an old
//! generation is removed, the new snapshot, its log and their names are forced; a log is forced before the one that goes on
//! from it. A later log whose header is not whole, with nothing behind it, had nothing to hold yet.
//!
//! A snapshot is checked by its own checksum, a log by those of its records. What is damaged otherwise than at its end is set
//! aside, with a message, and an older generation is looked for; without one a full resync follows.
//!
//! # Failures
//! A directory that the disk does not let us write at the start, because it is read-only or full, is done without. One that the
//! settings should not have named ends the program: another process uses it, others may read it, it is no directory.
//!
//! When a file cannot be written (no room, no permission, a broken disk) the replica goes on without: one message, no more
//! appending, and what the directory holds is removed, because a restart would go back in time with it. After a pause, which
//! grows from [`Config::retry`] to a hundred times that, a new snapshot is tried.

mod disk;
mod figures;
mod folder;
mod keeper;
mod log;
mod payload;
mod record;
mod saving;

pub use figures::Figures;
pub use keeper::{Chain, Keeper, Place};
pub use log::{Damage, LogReader};
pub use payload::Payload;
pub use record::{Begin, Head, Kind};
pub use saving::{LIBRARIES_DOUBTED, SWEPT, Saving, TAINTED, TAINTED_ALL, Taint};

use std::path::PathBuf;
use std::time::Duration;

use crate::words::Plain;

/// When what was written is forced to the disk: `appendfsync` of Redis. It matters for the loss of power alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(try_from = "String")]
pub enum Fsync {
    /// Before each chunk is applied. The stream waits for the disk.
    Always,
    /// Once a second, by a thread of its own.
    #[default]
    EverySecond,
    /// When the system likes. Snapshots are forced to the disk all the same.
    No,
}

/// Text that is no such policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write always, everysec or no")]
pub struct NoSuchPolicy;

impl TryFrom<String> for Fsync {
    type Error = NoSuchPolicy;

    fn try_from(text: String) -> Result<Self, NoSuchPolicy> {
        text.parse()
    }
}

impl std::str::FromStr for Fsync {
    type Err = NoSuchPolicy;

    fn from_str(text: &str) -> Result<Self, NoSuchPolicy> {
        match text {
            "always" => Ok(Self::Always),
            "everysec" => Ok(Self::EverySecond),
            "no" => Ok(Self::No),
            _ => Err(NoSuchPolicy),
        }
    }
}

/// Where and how state is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The directory, made if need be. One process at a time can use it.
    pub folder: PathBuf,
    /// When what was written is forced to the disk.
    pub fsync: Fsync,
    /// Bytes of log after which a new snapshot is written; `None` for the size of the last one, at least 64 MiB.
    pub log_bytes_max: Option<u64>,
    /// How long after a failure to write a new snapshot is tried; the pause grows with each further failure.
    pub retry: Duration,
}

impl Config {
    /// State in `folder`, and all else as it is by default.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            fsync: Fsync::default(),
            log_bytes_max: None,
            retry: Duration::from_secs(5),
        }
    }
}

/// Why a state directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another process uses it.
    #[error(
        "another redtail uses the state directory {path}: end that one, or give this one a directory of its own (--state-dir)",
        path = .0.display()
    )]
    InUse(PathBuf),
    /// Something else is where the lock should be.
    #[error(
        "{path} is a directory, where redtail keeps a file: remove it, or choose another --state-dir",
        path = .0.display()
    )]
    Lock(PathBuf),
    /// Others may get in, and it is not ours to close.
    #[error(
        "other users may get at what is in the state directory {path} (mode {1:03o}), and redtail keeps all its data there. {2}",
        path = .0.display()
    )]
    Open(PathBuf, u32, &'static str),
    /// It cannot be made or opened.
    #[error("cannot use the state directory {path}: {error}", path = .0.display(), error = Plain(.1))]
    Folder(PathBuf, std::io::Error),
}

impl Error {
    /// Whether it is the disk's fault and not that of a setting: then redtail can serve without state.
    fn is_of_the_disk(&self) -> bool {
        use std::io::ErrorKind as E;
        let Self::Folder(_, error) = self else {
            return false;
        };
        !matches!(
            error.kind(),
            E::NotFound
                | E::PermissionDenied
                | E::AlreadyExists
                | E::NotADirectory
                | E::IsADirectory
                | E::InvalidInput
        )
    }
}

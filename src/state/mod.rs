//! The state directory: what a restart resumes from.
//!
//! ```text
//! lock               held as long as the process lives
//! snapshot-<n>.rdb   an RDB file: all data at one offset
//! log-<n>            the stream's raw bytes from that offset on, in records with checksums
//! tail-place         how far `redtail tail` has printed; only in a directory of its own
//! *.tmp              unfinished: removed at the next start
//! *.corrupt-<time>   set aside because it was damaged; only the newest such set is kept
//! ```
//!
//! This module knows files, checksums, the RDB writer and the read side of the store. It knows no socket and applies
//! nothing. The writer thread of `replica` drives a [`Keeper`]: it [appends](Keeper::append) every chunk of the stream
//! **before** it applies it, so no reader has ever seen an offset beyond the one at which a restart resumes. What the
//! process has handed to the operating system survives `kill -9`; [`Fsync`] only matters for the loss of power.
//!
//! # Generations
//! A full resync, or a log that has grown too long, starts generation *n* + 1. From then on the stream goes to `log-<n+1>`.
//! Its snapshot is created under a temporary name and renamed once it is complete. Until then a restart reads
//! `snapshot-<n>`, `log-<n>` and `log-<n+1>` in turn: a log that begins where the previous one ends continues it.
//!
//! * At a full resync, the snapshot is the primary's own payload, written while it is decoded: the file is there when the data
//!   is first served.
//! * To shorten the log, [`Saving`] writes the store, a few shards at a time between chunks of the stream. It writes a key before
//!   a command changes it, so the whole snapshot is of one offset, without a fork or a second copy.
//!
//! # Where a crash can happen
//! | crash before | a restart finds | and resumes at |
//! |---|---|---|
//! | `log-<n+1>` is renamed | generation *n* | the end of `log-<n>` |
//! | a full resync's snapshot is renamed | generation *n*; `log-<n+1>` begins elsewhere and is removed | the end of `log-<n>` |
//! | a shortened log's snapshot is renamed | generation *n*, then `log-<n+1>` | the end of `log-<n+1>` |
//! | the old files are removed | generation *n* + 1, the newer one | the end of `log-<n+1>` |
//! | the end of a record is written | a torn tail, which is cut off | the end of the command before it |
//!
//! When power is lost, what was not forced to the disk may be gone, or names may exist without their bytes. Before redtail
//! removes an old generation, it forces the new snapshot, its log and their names to the disk. It forces a log to the disk
//! before the one that continues it. A later log with an incomplete header and nothing after it had nothing to hold yet.
//!
//! A snapshot is verified by its own checksum, a log by those of its records. Files that are damaged anywhere but at their
//! end are set aside, with a message, and redtail tries an older generation. Without one, a full resync follows.
//!
//! # Failures
//! If the disk does not let redtail write the directory at the start, because it is read-only or full, redtail runs without
//! state. A directory that the settings should not have named ends the program: another process uses it, other users may
//! read it, or it is not a directory.
//!
//! When a file cannot be written (no space, no permission, a broken disk), the replica continues without state: it logs one
//! message, stops appending, and removes what the directory contains, because a restart would go back in time with it. After
//! a pause, which grows from [`Config::retry`] to a hundred times that, redtail tries a new snapshot.

mod disk;
mod figures;
mod folder;
mod keeper;
mod log;
mod payload;
mod record;
mod saving;

pub use figures::Figures;
#[cfg(feature = "cli")]
pub use folder::check;
pub use folder::{Root, TAIL_PLACE};
pub use keeper::{Chain, Keeper};
pub use log::{Damage, LogReader};
pub use payload::Payload;
pub use record::{Begin, Head, Kind};
pub use saving::{
    LIBRARIES_DOUBTED, MIGRATING, Migration, SWEPT, Saving, TAINTED, TAINTED_ALL, Taint,
};

use std::path::PathBuf;
use std::time::Duration;

use crate::words::Plain;

/// When written data is forced to the disk: Redis's `appendfsync`. It only matters for the loss of power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(
    feature = "cli",
    derive(serde::Deserialize),
    serde(try_from = "String")
)]
pub enum Fsync {
    /// Before each chunk is applied. The stream waits for the disk.
    Always,
    /// Once a second, by a separate thread.
    #[default]
    EverySecond,
    /// When the operating system chooses. Snapshots are forced to the disk nevertheless.
    No,
}

/// Text that is not such a policy.
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

/// Where and how to keep state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The directory, created if necessary. Only one process at a time can use it.
    pub folder: PathBuf,
    /// When written data is forced to the disk.
    pub fsync: Fsync,
    /// Bytes of log after which a new snapshot is written; `None` for the size of the last snapshot, but at least 64 MiB.
    pub log_bytes_max: Option<u64>,
    /// How long after a failed write a new snapshot is tried. The pause grows with each further failure.
    pub retry: Duration,
}

impl Config {
    /// Keeps state in `folder`, with defaults for everything else.
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
        "another redtail uses the state directory {path}: stop that one, or give this one a directory of its own (--state-dir)",
        path = .0.display()
    )]
    InUse(PathBuf),
    /// Something other than a file has the lock's name.
    #[error(
        "{path} is a directory, but redtail needs a file there: remove it, or choose another --state-dir",
        path = .0.display()
    )]
    Lock(PathBuf),
    /// Other users may access the directory, and redtail cannot or should not change its mode.
    #[error(
        "other users can access the state directory {path} (mode {1:03o}), and redtail keeps all its data there. {2}",
        path = .0.display()
    )]
    Open(PathBuf, u32, &'static str),
    /// The directory cannot be created or opened.
    #[error("cannot use the state directory {path}: {error}", path = .0.display(), error = Plain(.1))]
    Folder(PathBuf, std::io::Error),
}

impl Error {
    /// Whether the disk is at fault and not a setting. If so, redtail can serve without state.
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

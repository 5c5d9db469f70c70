//! Why something cannot be written into a dump.

use crate::rdb::version::Version;
use std::io;

/// Why something cannot be written into a dump.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The output's error.
    #[error("the output: {0}")]
    Io(#[from] io::Error),
    /// No server writes this version, it is older than Redis 5.0, or redtail does not know its layouts.
    #[error("{0} is not a version that can be written")]
    Version(Version),
    /// The version has no layout for a part of the value.
    #[error("{version} has no {what}")]
    Unsupported {
        /// What has no layout.
        what: &'static str,
        /// The dump's version.
        version: Version,
    },
    /// A collection without elements, which no server keeps.
    #[error("a collection has no elements")]
    Empty,
    /// A member or field appears twice.
    #[error("a member or field appears twice")]
    Twice,
    /// A score is NaN.
    #[error("a score is not a number")]
    Score,
    /// An expiry is before 1970, or later than servers of this version accept; Unix time in milliseconds.
    #[error("{0} is not an expiry")]
    Expiry(i64),
    /// A string, or the fields of a stream's entry together, exceed 512 MiB.
    #[error("a string of {0} bytes is too long")]
    TooLong(usize),
    /// The parts of a stream do not fit together.
    #[error("a stream's {0}")]
    Stream(&'static str),
    /// An iterator gave other elements than it had announced, or than its clone.
    #[error("an iterator did not give the elements that it had announced")]
    Iterator,
    /// What comes before all keys was to be written after one.
    #[error("{0} come before the first key")]
    Late(&'static str),
    /// An earlier error left a key incomplete, so nothing can be added and the dump cannot be finished.
    #[error("an earlier error has left the dump incomplete")]
    Incomplete,
}

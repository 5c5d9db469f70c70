//! Histories of writes, and points in them.
//!
//! A primary numbers the bytes of its command stream. A replication id names the history that the numbers belong to; a failover
//! begins a new id. Everything that follows a primary, keeps what it sent or resumes it speaks of such points.

use std::fmt;
use std::str::FromStr;

/// A replication id: 40 characters that identify one history of writes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ReplId([u8; 40]);

/// Text that is not a replication id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a replication id is 40 letters and digits")]
pub struct NotReplId;

impl FromStr for ReplId {
    type Err = NotReplId;

    fn from_str(text: &str) -> Result<Self, NotReplId> {
        let bytes: [u8; 40] = text.as_bytes().try_into().map_err(|_| NotReplId)?;
        if bytes.iter().all(u8::is_ascii_alphanumeric) {
            Ok(Self(bytes))
        } else {
            Err(NotReplId)
        }
    }
}

impl fmt::Display for ReplId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.0).unwrap_or_default())
    }
}

impl fmt::Debug for ReplId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReplId({self})")
    }
}

/// A point in a history, between two commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// The history's id.
    pub replid: ReplId,
    /// Bytes of the history before this point. PSYNC asks for the next one.
    pub offset: u64,
}

/// A point from which the stream can be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamPoint {
    /// The point.
    pub point: Point,
    /// The database that is selected there.
    pub db: usize,
}

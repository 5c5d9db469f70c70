//! Errors from reading an RDB, always with the place.

use super::packed::PackedError;
use std::{fmt, io};

/// A failure to read an RDB: where, in what, and why.
pub struct Error(Box<Details>);

#[derive(Debug)]
struct Details {
    offset: u64,
    reading: &'static str,
    key: Option<(Box<[u8]>, u8)>,
    cause: Cause,
}

/// Why an RDB could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// The input ended too early.
    #[error("unexpected end of input")]
    Truncated,
    /// A string is longer than the rest of the input.
    #[error(
        "the length is {length} bytes, but the input has only {left} left: the length is wrong or the input is truncated"
    )]
    PastEnd {
        /// The string's declared length in bytes.
        length: u64,
        /// Bytes left in the input.
        left: u64,
    },
    /// The input could not be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The input does not start like an RDB.
    #[error("this is not an RDB: it does not start with REDIS or VALKEY and a version number")]
    NotRdb,
    /// A version that no server writes.
    #[error("no server writes version {0}")]
    Version(super::version::Version),
    /// A value type or opcode that this decoder does not know.
    #[error(
        "unknown type {0}: the server that wrote it is newer than this redtail, or the input is damaged"
    )]
    UnknownType(u8),
    /// Functions in the layout of a Redis 7.0 release candidate.
    #[error("functions in the layout of a Redis 7.0 release candidate cannot be read")]
    OldFunction,
    /// A module's value in a layout that does not say where it ends.
    #[error("module values of type {0} cannot be read")]
    Module(u8),
    /// A hash refers to a template that the input has not stated.
    #[error("there is no hash template {0} before it")]
    NoTemplate(u64),
    /// A command inside the snapshot (Valkey 9.2's opcode 242).
    #[error(
        "the snapshot contains commands (opcode 242), which Valkey 9.2 writes only for replicas that announce that version"
    )]
    Update,
    /// A byte or number that is not valid at its place.
    #[error("corrupt: {0}")]
    Corrupt(&'static str),
    /// A packed value whose content is invalid.
    #[error("corrupt: {0}")]
    Packed(#[from] PackedError),
    /// A length beyond redtail's limit.
    #[error("{length} bytes exceed the limit of {max}")]
    TooLong {
        /// The declared length in bytes.
        length: u64,
        /// The limit in bytes.
        max: usize,
    },
    /// The checksum at the end does not match the bytes read.
    #[error("checksum {stated:016x} does not match the content, whose checksum is {computed:016x}")]
    Checksum {
        /// The checksum in the file.
        stated: u64,
        /// The checksum of the bytes read.
        computed: u64,
    },
    /// The receiver refused a value.
    #[error("{0}")]
    Sink(#[from] SinkError),
}

/// Why the receiver of decoded values stopped the decoding.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct SinkError(Box<dyn std::error::Error + Send + Sync>);

impl SinkError {
    /// Wraps the receiver's own error.
    pub fn new(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(error.into())
    }

    /// The receiver's own error, borrowed.
    #[must_use]
    pub fn get_ref(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        &*self.0
    }

    /// The receiver's own error.
    #[must_use]
    pub fn into_inner(self) -> Box<dyn std::error::Error + Send + Sync> {
        self.0
    }
}

impl Error {
    /// Creates an error at `offset` bytes from the RDB's start, found while reading `reading`.
    #[must_use]
    #[cold]
    pub fn new(offset: u64, reading: &'static str, cause: impl Into<Cause>) -> Self {
        Self(Box::new(Details {
            offset,
            reading,
            key: None,
            cause: cause.into(),
        }))
    }

    /// Adds that the error is inside the value of `key`, of type `kind`.
    #[must_use]
    #[cold]
    pub fn in_key(mut self, key: &[u8], kind: u8) -> Self {
        self.0.key = Some((key.into(), kind));
        self
    }

    /// Replaces "end of input" with [`Cause::PastEnd`]: the input ended inside a string of `len` bytes. The string's bytes
    /// start at `content` and its length is at `at`. Any other error is returned unchanged.
    #[cold]
    pub(super) fn in_string(mut self, at: u64, content: u64, len: usize) -> Self {
        if matches!(self.0.cause, Cause::Truncated) {
            self.0.cause = Cause::PastEnd {
                length: len as u64,
                left: self.0.offset.saturating_sub(content),
            };
            self.0.offset = at;
        }
        self
    }

    /// Whether the input ended too early.
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        matches!(self.0.cause, Cause::Truncated | Cause::PastEnd { .. })
    }

    /// Bytes from the RDB's start to the error.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.0.offset
    }

    /// What was being read.
    #[must_use]
    pub fn reading(&self) -> &'static str {
        self.0.reading
    }

    /// The key and the type number of the value that contains the error.
    #[must_use]
    pub fn key(&self) -> Option<(&[u8], u8)> {
        self.0.key.as_ref().map(|(key, kind)| (&**key, *kind))
    }

    /// The cause.
    #[must_use]
    pub fn cause(&self) -> &Cause {
        &self.0.cause
    }

    /// The cause, by value.
    #[must_use]
    pub fn into_cause(self) -> Cause {
        self.0.cause
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {}, reading {}", self.0.offset, self.0.reading)?;
        if let Some((key, kind)) = &self.0.key {
            // Keys can hold any bytes and have any length, but the message must stay on one line.
            let shown = key.get(..64).unwrap_or(key).escape_ascii();
            let more = if key.len() > 64 { "…" } else { "" };
            write!(f, " of key \"{shown}{more}\" (type {kind})")?;
        }
        write!(f, ": {}", self.0.cause)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0.cause {
            Cause::Io(error) => Some(error),
            Cause::Sink(error) => Some(error),
            _ => None,
        }
    }
}

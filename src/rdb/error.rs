//! What can go wrong in reading an RDB, always with the place.

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
    /// The input ended.
    #[error("the input ends here")]
    Truncated,
    /// A string is longer than all that is left.
    #[error(
        "{length} bytes run past the input's end, before which {left} are left: the length or the end is wrong"
    )]
    PastEnd {
        /// Bytes that the string should have here.
        length: u64,
        /// Bytes that there are.
        left: u64,
    },
    /// The input could not be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The input does not start as an RDB does.
    #[error("this is not an RDB: it starts with neither REDIS nor VALKEY and a version")]
    NotRdb,
    /// A version that this decoder has not been proved on.
    #[error("version {0} is newer than this decoder knows")]
    Version(super::decode::Version),
    /// A value type or opcode that has no meaning in this version.
    #[error("type {0} is not known")]
    UnknownType(u8),
    /// Functions in the layout of a release candidate.
    #[error("functions as release candidates of Redis 7.0 wrote them cannot be read")]
    OldFunction,
    /// A module's value in a layout that does not say where it ends.
    #[error("values of modules (type {0}) cannot be read")]
    Module(u8),
    /// A cluster slot is being moved into the primary.
    #[error("a snapshot taken during a slot migration cannot be read")]
    SlotImport,
    /// A byte or number that cannot be where it stands.
    #[error("corrupt: {0}")]
    Corrupt(&'static str),
    /// A packed value that is wrong inside.
    #[error("corrupt: {0}")]
    Packed(#[from] PackedError),
    /// A length beyond our limit.
    #[error("{length} bytes are more than the {max} accepted")]
    TooLong {
        /// Bytes declared.
        length: u64,
        /// Bytes accepted.
        max: usize,
    },
    /// The checksum at the end is not that of the bytes read.
    #[error("checksum {stated:016x} does not match the content, whose sum is {computed:016x}")]
    Checksum {
        /// The sum in the file.
        stated: u64,
        /// The sum of the bytes read.
        computed: u64,
    },
    /// The receiver of the values refused one.
    #[error("{0}")]
    Sink(#[from] SinkError),
}

/// The reason for which the receiver of decoded values stops the decoding.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct SinkError(Box<dyn std::error::Error + Send + Sync>);

impl SinkError {
    /// Wraps the receiver's own error.
    pub fn new(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(error.into())
    }

    /// The receiver's own error.
    #[must_use]
    pub fn into_inner(self) -> Box<dyn std::error::Error + Send + Sync> {
        self.0
    }
}

impl Error {
    /// An error at `offset` bytes from the RDB's start, while reading `reading`.
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

    /// The same error, known to be inside the value of `key`, of type `kind`.
    #[must_use]
    #[cold]
    pub fn in_key(mut self, key: &[u8], kind: u8) -> Self {
        self.0.key = Some((key.into(), kind));
        self
    }

    /// The same error; or, if the input ended inside a string of `len` bytes that begin at `content` and whose length stands at
    /// `at`, that it did.
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

    /// Bytes from the RDB's start to the place of the error.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.0.offset
    }

    /// What was being read.
    #[must_use]
    pub fn reading(&self) -> &'static str {
        self.0.reading
    }

    /// The key and the type number of the value in which it happened.
    #[must_use]
    pub fn key(&self) -> Option<(&[u8], u8)> {
        self.0.key.as_ref().map(|(key, kind)| (&**key, *kind))
    }

    /// Why.
    #[must_use]
    pub fn cause(&self) -> &Cause {
        &self.0.cause
    }

    /// Why, by value.
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
            // Keys are any bytes and any length: the line must stay one line.
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

//! Why a dump could not be read to its end.

use crate::rdb::error::{self as codec, Cause};
use crate::value::Error as Unsound;
use std::fmt;

/// Why a dump could not be read to its end: the first thing that is wrong, and where.
///
/// Its text is one line: the offset, what was being read, the key, and the cause. [`source`](std::error::Error::source) is the
/// reader's [`std::io::Error`] or the visitor's own error, if either caused it.
pub struct Error(codec::Error);

/// What kind of thing is wrong with a dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The input ended before the dump did, or a length in it is wrong.
    Truncated,
    /// The input could not be opened or read.
    Io,
    /// The input does not start like a dump.
    NotRdb,
    /// No server writes this version.
    NoSuchVersion,
    /// A number that is no type and no opcode that redtail knows: a newer server wrote the dump, or it is damaged.
    UnknownType,
    /// Function libraries in the layout of a Redis 7.0 release candidate, which no later server reads.
    OldFunctions,
    /// A module's value in the layout before Redis 4.0, whose end only the module knows.
    OldModule,
    /// The dump contains commands, which Valkey 9.2 writes only for replicas of that version.
    Commands,
    /// A byte, a number or a value that is not valid at its place.
    Corrupt,
    /// A length beyond redtail's own limit.
    TooLong,
    /// The checksum does not match the content.
    Checksum,
    /// The visitor returned an error.
    Visitor,
}

/// The input cannot be opened.
impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self(codec::Error::new(0, "the file", error))
    }
}

impl Error {
    pub(super) const fn new(error: codec::Error) -> Self {
        Self(error)
    }

    /// Bytes from the dump's start to what is wrong: to the value of the key if the visitor returned the error.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.0.offset()
    }

    /// What was being read, such as `a list's size`.
    #[must_use]
    pub fn reading(&self) -> &'static str {
        self.0.reading()
    }

    /// The name of the key whose value was being read, if one was.
    #[must_use]
    pub fn key(&self) -> Option<&[u8]> {
        self.0.key().map(|(name, _)| name)
    }

    /// What is wrong, in words: the part of the error's text that does not say where.
    pub fn cause(&self) -> impl fmt::Display + '_ {
        self.0.cause()
    }

    /// What kind of thing is wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self.0.cause() {
            Cause::Truncated | Cause::PastEnd { .. } => ErrorKind::Truncated,
            Cause::Io(_) => ErrorKind::Io,
            Cause::NotRdb => ErrorKind::NotRdb,
            Cause::Version(_) => ErrorKind::NoSuchVersion,
            Cause::UnknownType(_) => ErrorKind::UnknownType,
            Cause::OldFunction => ErrorKind::OldFunctions,
            Cause::Module(_) => ErrorKind::OldModule,
            Cause::Update => ErrorKind::Commands,
            Cause::Corrupt(_) | Cause::Packed(_) | Cause::NoTemplate(_) => ErrorKind::Corrupt,
            Cause::TooLong { .. } => ErrorKind::TooLong,
            Cause::Checksum { .. } => ErrorKind::Checksum,
            // A visitor cannot name that type.
            Cause::Sink(error) if error.get_ref().is::<Unsound>() => ErrorKind::Corrupt,
            Cause::Sink(_) => ErrorKind::Visitor,
        }
    }

    /// Whether the input ended before the dump did: the rest may be missing, or a length in it is wrong.
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        self.0.is_truncated()
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind(), self.0)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self.0.cause() {
            Cause::Io(error) => Some(error),
            Cause::Sink(error) if self.kind() == ErrorKind::Visitor => Some(error.get_ref()),
            _ => None,
        }
    }
}

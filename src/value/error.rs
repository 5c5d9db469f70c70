//! Why decoded pieces do not form a valid value.

use crate::dialect::Flaw;

/// What is wrong with the pieces of a value. Each piece is valid on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A duplicate member or field.
    #[error("duplicate member or field")]
    Duplicate,
    /// A duplicate member in a set or sorted set that was not packed.
    #[error("duplicate member")]
    MemberTwice,
    /// A duplicate field in a hash that was not packed but is small enough to be.
    #[error("duplicate field")]
    FieldTwice,
    /// A packed list of pairs has an odd number of elements.
    #[error("a packed list of pairs has an odd number of elements")]
    Odd,
    /// A score is not a number.
    #[error("a score is not a number")]
    Score,
    /// The members of a packed sorted set are not in ascending order.
    #[error("members are not in ascending order")]
    Order,
    /// A node or group of a stream is inconsistent.
    #[error("a stream's {0}")]
    Stream(&'static str),
}

impl Error {
    /// Returns the flaw if some servers load a value that has it.
    #[must_use]
    pub const fn flaw(self) -> Option<Flaw> {
        match self {
            Self::MemberTwice => Some(Flaw::MemberTwice),
            Self::FieldTwice => Some(Flaw::FieldTwice),
            _ => None,
        }
    }
}

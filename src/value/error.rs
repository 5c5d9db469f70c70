//! Why decoded pieces are no value.

use crate::dialect::Flaw;

/// What is wrong with the pieces of a value. Each piece by itself was valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A member or field stands twice.
    #[error("the same member or field stands twice")]
    Duplicate,
    /// A member stands twice in a set or sorted set that was not packed.
    #[error("the same member stands twice")]
    MemberTwice,
    /// A field stands twice in a hash that was not packed, and is small enough for that.
    #[error("the same field stands twice")]
    FieldTwice,
    /// A packed list of pairs has an odd number of elements.
    #[error("a packed list of pairs has an odd number of elements")]
    Odd,
    /// A score is no number.
    #[error("a score is no number")]
    Score,
    /// Members of a packed sorted set are not in ascending order.
    #[error("members are not in ascending order")]
    Order,
    /// A stream's node or group does not hold together.
    #[error("a stream's {0}")]
    Stream(&'static str),
}

impl Error {
    /// The flaw, if some servers load a value that has it.
    #[must_use]
    pub const fn flaw(self) -> Option<Flaw> {
        match self {
            Self::MemberTwice => Some(Flaw::MemberTwice),
            Self::FieldTwice => Some(Flaw::FieldTwice),
            _ => None,
        }
    }
}

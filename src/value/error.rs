//! Why decoded pieces are no value.

/// What is wrong with the pieces of a value. Each piece by itself was valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A member or field stands twice.
    #[error("the same member or field stands twice")]
    Duplicate,
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

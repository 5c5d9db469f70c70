//! Why a command failed, in Redis's words.

use super::wait::Wait;
use crate::store::{Migrating, Moving, NoSuchDatabase, Refusal, Tainted, WrongType};

/// A command's error reply, without the leading `-`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The key holds another type.
    #[error(transparent)]
    WrongType(#[from] WrongType),
    /// The key's value is unknown.
    #[error("{0}")]
    Tainted(#[from] Tainted),
    /// The key is hidden while its slot is migrated.
    #[error(transparent)]
    Migrating(#[from] Migrating),
    /// Another shard of the cluster may have the key.
    #[error(transparent)]
    Moving(#[from] Moving),
    /// The read asked for a key that it had not locked: its row is wrong.
    #[error("{}", Refusal::Unheld)]
    Unheld,
    /// There is no such database.
    #[error(transparent)]
    NoSuchDatabase(#[from] NoSuchDatabase),
    /// Options that are unknown or cannot be combined.
    #[error("ERR syntax error")]
    Syntax,
    /// An argument or a stored value is not an `i64`.
    #[error("ERR value is not an integer or out of range")]
    NotInteger,
    /// An argument or a stored value is not a double.
    #[error("ERR value is not a valid float")]
    NotFloat,
    /// The key must exist.
    #[error("ERR no such key")]
    NoSuchKey,
    /// An index out of bounds.
    #[error("ERR index out of range")]
    IndexOutOfRange,
    /// An integer would overflow.
    #[error("ERR increment or decrement would overflow")]
    Overflow,
    /// Too few or too many words for the named command (`get`, `client|id`).
    #[error("ERR wrong number of arguments for '{0}' command")]
    Arity(String),
    /// Not an error: the command waits for what it reads. Where nothing can wait, scripts get this text.
    #[error("ERR xread command is not allowed with BLOCK option from scripts")]
    Waits(Box<Wait>),
    /// Any other fixed text, including its code.
    #[error("{0}")]
    Text(&'static str),
    /// Any other text, including its code.
    #[error("{0}")]
    Owned(String),
    /// Any other text that quotes words as the client sent them.
    #[error("{}", String::from_utf8_lossy(.0))]
    Quoting(Vec<u8>),
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Tainted(tainted) => Self::Tainted(tainted),
            Refusal::Migrating(migrating) => Self::Migrating(migrating),
            Refusal::Moving(moving) => Self::Moving(moving),
            Refusal::Unheld => Self::Unheld,
        }
    }
}

impl Error {
    /// Builds an error in which `words` replace each `{}`. Like in C, each word ends at its first zero byte.
    pub(crate) fn quoting(text: &str, words: &[&[u8]]) -> Self {
        let mut parts = text.split("{}");
        let mut built = parts.next().unwrap_or_default().as_bytes().to_vec();
        for (part, word) in parts.zip(words) {
            built.extend_from_slice(c_string(word, usize::MAX));
            built.extend_from_slice(part.as_bytes());
        }
        Self::Quoting(built)
    }

    /// Returns the reply's bytes.
    #[must_use]
    pub fn text(&self) -> Vec<u8> {
        match self {
            Self::Quoting(text) => text.clone(),
            other => other.to_string().into_bytes(),
        }
    }
}

/// Returns a word as Redis formats it: a C string, which ends at the first zero byte.
pub(crate) fn c_string(word: &[u8], most: usize) -> &[u8] {
    let text = word.split(|byte| *byte == 0).next().unwrap_or_default();
    text.get(..most).unwrap_or(text)
}

/// The reply to a write.
pub const READONLY: Error = Error::Text("READONLY You can't write against a read only replica.");

/// Replaces a reply that is larger than this client's replies may be.
pub const TOO_LARGE: Error =
    Error::Text("ERR the reply is larger than reply-bytes-max; closing the connection");

/// The reply to a request that would take more memory than clients may use.
pub const OUT_OF_MEMORY: Error = Error::Text(
    "OOM the requests and replies of all clients would take more than clients-memory allows; ask for less at a time",
);

/// The servers' error for `i64::MIN` where its negation is needed.
pub(crate) const OUT_OF_RANGE: &str = "ERR value is out of range, value must between \
     -9223372036854775807 and 9223372036854775807";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_words_keep_their_bytes_and_end_at_a_zero() {
        let error = Error::quoting("ERR no {} in '{}'", &[b"\xff{}", b"a\0b"]);
        assert_eq!(error.text(), b"ERR no \xff{} in 'a'");
    }
}

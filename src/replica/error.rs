//! Why a read has no answer.

use crate::command;
use crate::store::{NoSuchDatabase, Refusal, Tainted, WrongType};

/// Why a read has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is nothing to read from: the first sync has not finished yet, or a later one under
    /// [`OneCopy`](super::ResyncMemory::OneCopy).
    #[error(
        "LOADING a full sync with the primary has not finished yet: await ready(), or ask the primary"
    )]
    Loading,
    /// The last proof that the data is fresh is too old: [`Config::max_staleness`](super::Config::max_staleness).
    #[error(
        "MASTERDOWN the data is older than allowed, or not proven to be fresh: ask the primary, or try again"
    )]
    Stale,
    /// The replica has ended: it was stopped, or the runtime in which it was started has ended.
    #[error("the replica has stopped: start another one")]
    Stopped,
    /// The key holds another type.
    #[error("{}", WrongType)]
    WrongType,
    /// A write from the primary could not be applied, so the value is not known until the next full sync.
    #[error("{}", Tainted)]
    Tainted,
    /// The command's own error reply, with its code: `ERR unknown command …`, `READONLY …`.
    #[error("{0}")]
    Reply(String),
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Tainted(_) => Self::Tainted,
            Refusal::Migrating(_) | Refusal::Moving(_) | Refusal::Unheld => {
                Self::Reply(refusal.to_string())
            }
        }
    }
}

impl From<WrongType> for Error {
    fn from(_: WrongType) -> Self {
        Self::WrongType
    }
}

impl From<NoSuchDatabase> for Error {
    fn from(error: NoSuchDatabase) -> Self {
        Self::Reply(error.to_string())
    }
}

impl From<command::Error> for Error {
    fn from(error: command::Error) -> Self {
        match error {
            command::Error::WrongType(_) => Self::WrongType,
            command::Error::Tainted(_) => Self::Tainted,
            other => Self::Reply(other.to_string()),
        }
    }
}

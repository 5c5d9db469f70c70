//! Flaws in the value being read: things that are wrong, but that servers load anyway.
//!
//! `dialect::snapshots` says which version loads what; a value that the version refuses is refused here, too. A
//! stream keeps the counters, ids and order that it states. Any other flawed value that cannot be kept exactly as the server has
//! it is lost: its key is loaded, and tainted. `redtail rdb check` and RESTORE refuse every flaw.

use super::error::{Cause, Error};
use crate::dialect::{Dialect, Flaw};

/// Collects the flaws of one value. After a flaw, reading continues to the value's end.
#[derive(Debug)]
pub(super) struct Flaws {
    /// The server that wrote the snapshot.
    pub(super) dialect: Dialect,
    /// The first flaw found.
    first: Option<Error>,
    is_lost: bool,
}

/// The flaw found in a value.
#[derive(Debug)]
pub(super) struct Found {
    /// The first flaw found.
    pub(super) error: Error,
    /// Whether the value cannot be kept as the server has it.
    pub(super) is_lost: bool,
}

impl Flaws {
    pub(super) fn of(dialect: Dialect) -> Self {
        Self {
            dialect,
            first: None,
            is_lost: false,
        }
    }

    /// Notes a flaw and keeps the value.
    ///
    /// # Errors
    /// Returns `error` if the servers refuse a value with this flaw.
    pub(super) fn keep(&mut self, flaw: Flaw, error: Error) -> Result<(), Error> {
        if !self.dialect.loads(flaw) {
            return Err(error);
        }
        self.first.get_or_insert(error);
        Ok(())
    }

    /// Passes over a flaw, which no server minded for long, and which changes nothing in how the value is kept.
    ///
    /// # Errors
    /// Like [`keep`](Self::keep).
    pub(super) fn pass(&self, flaw: Flaw, error: Error) -> Result<(), Error> {
        if self.dialect.loads(flaw) {
            Ok(())
        } else {
            Err(error)
        }
    }

    /// Notes a flaw in a value that cannot be kept as the server has it. Reading continues to the value's end.
    ///
    /// # Errors
    /// Like [`keep`](Self::keep).
    pub(super) fn lose(&mut self, flaw: Flaw, error: Error) -> Result<(), Error> {
        self.keep(flaw, error)?;
        self.is_lost = true;
        Ok(())
    }

    /// Whether the value being read cannot be kept.
    pub(super) const fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// Ends a value and returns the flaw found in it, if any.
    pub(super) fn take(&mut self) -> Option<Found> {
        let is_lost = std::mem::take(&mut self.is_lost);
        let error = self.first.take()?;
        Some(Found { error, is_lost })
    }
}

/// A cause with the given reason.
pub(super) fn corrupt(reason: &'static str) -> Cause {
    Cause::Corrupt(reason)
}

//! What is wrong in the value that is being read, where servers load it all the same.

use super::error::{Cause, Error};
use crate::dialect::{Dialect, Flaw};

/// Collects what is wrong in one value. Reading goes on behind it, to the value's end.
#[derive(Debug)]
pub(super) struct Flaws {
    /// Whose snapshot it is.
    pub(super) dialect: Dialect,
    /// The first thing found wrong.
    first: Option<Error>,
    is_lost: bool,
}

/// What was found wrong in a value.
#[derive(Debug)]
pub(super) struct Found {
    /// The first thing.
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

    /// Goes on with a value that is kept with its flaw.
    ///
    /// # Errors
    /// The error itself, if servers refuse what has this flaw.
    pub(super) fn keep(&mut self, flaw: Flaw, error: Error) -> Result<(), Error> {
        if !self.dialect.loads(flaw) {
            return Err(error);
        }
        self.first.get_or_insert(error);
        Ok(())
    }

    /// Goes on to the end of a value that cannot be kept as the server has it.
    ///
    /// # Errors
    /// As [`keep`](Self::keep).
    pub(super) fn lose(&mut self, flaw: Flaw, error: Error) -> Result<(), Error> {
        self.keep(flaw, error)?;
        self.is_lost = true;
        Ok(())
    }

    /// Whether the value that is being read cannot be kept.
    pub(super) const fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// Ends a value: what was wrong in it, if anything.
    pub(super) fn take(&mut self) -> Option<Found> {
        let is_lost = std::mem::take(&mut self.is_lost);
        let error = self.first.take()?;
        Some(Found { error, is_lost })
    }
}

/// A cause, from its words.
pub(super) fn corrupt(reason: &'static str) -> Cause {
    Cause::Corrupt(reason)
}

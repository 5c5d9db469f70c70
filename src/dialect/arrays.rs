//! Differences in replies about arrays, which Redis has since 8.8.

use super::{Dialect, Family};

/// Which positions ARLASTITEMS returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastItems {
    /// As many as there are elements, at most.
    ByElements,
    /// As many as there are positions, at most.
    ByPositions,
    /// One of these: it is not known which.
    Unknown,
}

#[doc(hidden)]
impl Dialect {
    /// Whether there are arrays, and so a category of their commands (since Redis 8.8).
    #[must_use]
    pub const fn has_arrays(self) -> bool {
        matches!(self.family, Family::Redis) && self.since_redis(8, 8)
    }

    /// Which positions ARLASTITEMS returns. Redis 8.12 counts missing elements; releases of 8.8 and 8.10 before September 2026
    /// do not.
    ///
    /// Source: redis #15875, from documents: no server of these versions was asked.
    #[must_use]
    pub const fn last_items(self) -> LastItems {
        match (self.family, self.version) {
            (Family::Redis, (..8, ..) | (8, ..8, _) | (8, 8, ..=1) | (8, 9..=10, ..=2)) => {
                LastItems::ByElements
            }
            (Family::Redis, (8, ..12, _)) => LastItems::Unknown,
            _ => LastItems::ByPositions,
        }
    }
}

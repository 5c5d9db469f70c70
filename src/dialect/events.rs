//! Differences in keyspace notifications.

use super::{Dialect, NEVER};

#[doc(hidden)]
impl Dialect {
    /// Whether servers publish `overwritten` and `type_changed` (since Redis 8.2).
    #[must_use]
    pub const fn notes_overwriting(self) -> bool {
        self.since((8, 2), NEVER)
    }

    /// Whether servers publish that a consumer was created (since Redis 7.0).
    #[must_use]
    pub const fn notes_new_consumers(self) -> bool {
        self.since_redis(7, 0)
    }

    /// Whether XGROUP DELCONSUMER publishes an event even if there was no such consumer (before Redis 7.0).
    #[must_use]
    pub const fn notes_deletion_of_no_consumer(self) -> bool {
        !self.since_redis(7, 0)
    }
}

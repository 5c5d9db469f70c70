//! What replicas make of the stream differently.

use super::{Dialect, NEVER};

impl Dialect {
    /// Line ends of requests are looked at, not just stepped over, since Valkey 9.1.
    #[must_use]
    pub const fn checks_line_ends(self) -> bool {
        self.since(NEVER, (9, 1))
    }

    /// Whether all its commands are known here, down to the number of their words: servers of the versions up to this one were
    /// asked. A later one may have more of them.
    #[must_use]
    pub const fn has_known_commands(self) -> bool {
        !self.since((8, 1), (9, 2))
    }
}

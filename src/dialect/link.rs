//! Differences in how replicas handle the replication stream.

use super::{Dialect, NEVER};

#[doc(hidden)]
impl Dialect {
    /// Whether the line ends of requests are checked, not just skipped (since Valkey 9.1).
    #[must_use]
    pub const fn checks_line_ends(self) -> bool {
        self.since(NEVER, (9, 1))
    }

    /// Whether redtail knows all of the server's commands and their numbers of words: it was checked against servers up to this
    /// version. A later version may have more commands.
    #[must_use]
    pub const fn has_known_commands(self) -> bool {
        !self.since((8, 3), (9, 2))
    }
}

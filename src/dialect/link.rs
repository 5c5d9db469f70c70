//! What replicas make of the stream differently.

use super::{Dialect, NEVER};

impl Dialect {
    /// Line ends of requests are looked at, not just stepped over, since Valkey 9.1.
    #[must_use]
    pub const fn checks_line_ends(self) -> bool {
        self.since(NEVER, (9, 1))
    }
}

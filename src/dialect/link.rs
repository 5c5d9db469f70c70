//! What replicas make of the stream differently.

use super::{Dialect, NEVER};

impl Dialect {
    /// Line ends of requests are looked at, not just stepped over, since Valkey 9.1.
    #[must_use]
    pub const fn checks_line_ends(self) -> bool {
        self.since(NEVER, (9, 1))
    }

    /// The most words of a request. Source: networking.c, `processMultibulkBuffer`, of Redis 6.0 and 7.0.
    #[must_use]
    pub const fn request_words_max(self) -> usize {
        if self.since_redis(7, 0) {
            i32::MAX as usize
        } else {
            1 << 20
        }
    }
}

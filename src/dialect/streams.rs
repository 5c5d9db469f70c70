//! Differences in replies about streams.

use super::{Dialect, Family, NEVER};

#[doc(hidden)]
impl Dialect {
    /// Whether XRANGE accepts `(id`, and XPENDING accepts IDLE (since Redis 6.2).
    #[must_use]
    pub const fn has_exclusive_ids(self) -> bool {
        self.since_redis(6, 2)
    }

    /// Whether XREAD accepts `+` for the last entry (since Redis 7.4 and Valkey 8.1).
    #[must_use]
    pub const fn has_last_entry_id(self) -> bool {
        self.since((7, 4), (8, 1))
    }

    /// Whether XREAD's `+` is the last entry that is not deleted, as in Redis. Valkey uses the last id assigned, and finds
    /// nothing if that entry is deleted.
    #[must_use]
    pub const fn skips_deleted_last_entry(self) -> bool {
        matches!(self.family, Family::Redis)
    }

    /// Whether XREAD's `+` is an error for a stream that never had an entry, as in Valkey 8. Other servers find nothing.
    #[must_use]
    pub const fn refuses_last_of_no_entries(self) -> bool {
        matches!(self.family, Family::Valkey) && !self.since(NEVER, (9, 0))
    }

    /// Whether XREAD's error about unbalanced lists names `+` (since Redis 8.0; Valkey's does not).
    #[must_use]
    pub const fn names_last_entry_id(self) -> bool {
        matches!(self.family, Family::Redis) && self.since_redis(8, 0)
    }

    /// Whether a blocked command is run again when it is woken, and timeouts that end too late are refused (since Redis 7.2).
    #[must_use]
    pub const fn reads_again_when_woken(self) -> bool {
        self.since_redis(7, 2)
    }

    /// Whether XREAD names itself in its error about unbalanced lists (since Redis 7.2).
    #[must_use]
    pub const fn names_unbalanced_command(self) -> bool {
        self.since_redis(7, 2)
    }

    /// Whether streams count the entries ever added, and XINFO words its errors in lower case (since Redis 7.0).
    #[must_use]
    pub const fn has_stream_counters(self) -> bool {
        self.since_redis(7, 0)
    }

    /// Whether XCLAIM drops pending entries that the stream no longer has (since Redis 7.0). Older servers claim them.
    #[must_use]
    pub const fn forgets_deleted_when_claimed(self) -> bool {
        self.since_redis(7, 0)
    }

    /// Whether consumers have an active time (since Redis 7.2).
    #[must_use]
    pub const fn has_active_times(self) -> bool {
        self.since_redis(7, 2)
    }

    /// Whether a group's lag is computed in more cases (since Redis 8.0, not in Valkey).
    #[must_use]
    pub const fn has_better_lag(self) -> bool {
        matches!(self.family, Family::Redis) && self.since_redis(8, 0)
    }

    /// Whether a group whose position is before a deleted entry has an unknown lag, or a lag of 0 if the stream is empty (since
    /// Redis 8.0 and Valkey 8.1).
    #[must_use]
    pub const fn doubts_lag_before_deleted(self) -> bool {
        self.since((8, 0), (8, 1))
    }
}

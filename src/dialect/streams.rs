//! What streams answer differently.

use super::{Dialect, Family, NEVER};

impl Dialect {
    /// XRANGE takes `(id`, and XPENDING takes IDLE, since Redis 6.2.
    #[must_use]
    pub const fn has_exclusive_ids(self) -> bool {
        self.since_redis(6, 2)
    }

    /// XREAD takes `+` for the last entry since Redis 7.4 and Valkey 8.1.
    #[must_use]
    pub const fn has_last_entry_id(self) -> bool {
        self.since((7, 4), (8, 1))
    }

    /// XREAD's `+` is the last entry that is not deleted in Redis; Valkey takes the last id given, and finds nothing when
    /// that entry is deleted.
    #[must_use]
    pub const fn skips_deleted_last_entry(self) -> bool {
        matches!(self.family, Family::Redis)
    }

    /// XREAD's `+` is an error for a stream that never had an entry in Valkey 8; others find nothing.
    #[must_use]
    pub const fn refuses_last_of_no_entries(self) -> bool {
        matches!(self.family, Family::Valkey) && !self.since(NEVER, (9, 0))
    }

    /// XREAD's error about unbalanced lists names `+` since Redis 7.4; Valkey's does not.
    #[must_use]
    pub const fn names_last_entry_id(self) -> bool {
        matches!(self.family, Family::Redis) && self.since_redis(7, 4)
    }

    /// A command that waited is run again when it is woken, and timeouts that end too late are refused, since Redis 7.2.
    #[must_use]
    pub const fn reads_again_when_woken(self) -> bool {
        self.since_redis(7, 2)
    }

    /// XREAD names itself in its error about unbalanced lists since Redis 7.2.
    #[must_use]
    pub const fn names_unbalanced_command(self) -> bool {
        self.since_redis(7, 2)
    }

    /// Streams count the entries ever added, and XINFO words its errors in lower case, since Redis 7.0.
    #[must_use]
    pub const fn has_stream_counters(self) -> bool {
        self.since_redis(7, 0)
    }

    /// XCLAIM drops pending entries that the stream no longer has, since Redis 7.0; before, it claims them.
    #[must_use]
    pub const fn forgets_deleted_when_claimed(self) -> bool {
        self.since_redis(7, 0)
    }

    /// Consumers have an active time since Redis 7.2.
    #[must_use]
    pub const fn has_active_times(self) -> bool {
        self.since_redis(7, 2)
    }

    /// Redis 8.0 works out a group's lag in more cases; Valkey does not.
    #[must_use]
    pub const fn has_better_lag(self) -> bool {
        matches!(self.family, Family::Redis) && self.since_redis(8, 0)
    }

    /// A group that stands before a deleted entry has no known lag, and one of 0 in an empty stream, since Redis 8.0 and Valkey 8.1.
    #[must_use]
    pub const fn doubts_lag_before_deleted(self) -> bool {
        self.since((8, 0), (8, 1))
    }
}

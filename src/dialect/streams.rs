//! Differences in replies about streams.

use super::{Dialect, Family, NEVER};

/// How a server knows the smallest last-delivered id of a stream's groups, above which an entry counts as not read by all.
///
/// Redis 8.2 remembers it from one question to the next, and goes on doing so after the group is destroyed: then entries that
/// all other groups have read are not deleted.
///
/// Source: redis 8.2 t_stream.c, `streamDestroyCG`; 8.2.3 was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OldestGroup {
    /// It looks at all groups.
    Exact,
    /// It remembers the id, even of a destroyed group.
    Remembered,
    /// It is one or the other: which patch release corrected it is not known.
    Doubtful,
}

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

    /// Whether XREAD's `+` is the last entry that is not deleted (since Redis 8.0, not in Valkey). Other servers use the last id
    /// assigned, and find nothing if that entry is deleted.
    #[must_use]
    pub const fn skips_deleted_last_entry(self) -> bool {
        self.since((8, 0), NEVER)
    }

    /// Whether XREAD's `+` is an error for a stream that never had an entry (before Redis 8.0 and Valkey 9.1). Other servers find
    /// nothing.
    #[must_use]
    pub const fn refuses_last_of_no_entries(self) -> bool {
        !self.since((8, 0), (9, 1))
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

    /// Whether XADD and XTRIM accept KEEPREF, DELREF and ACKED (since Redis 8.2, not in Valkey).
    #[must_use]
    pub const fn has_deletion_strategies(self) -> bool {
        self.since((8, 2), NEVER)
    }

    /// How it knows which group has read least.
    #[must_use]
    pub const fn oldest_group(self) -> OldestGroup {
        match self.version {
            (8, 2, ..=3) | (8, 4, 0) => OldestGroup::Remembered,
            (8, 2 | 4, _) => OldestGroup::Doubtful,
            _ => OldestGroup::Exact,
        }
    }

    /// Whether a trim with DELREF may also remove references to entries that were deleted before. Redis 8.2.3 keeps them; some
    /// patch release after Redis 8.8 removes them.
    ///
    /// Source: the text of the correction, redis #15581; no server that has it was asked.
    #[must_use]
    pub const fn may_forget_tombstones(self) -> bool {
        self.since((8, 8), NEVER)
    }

    /// Whether a group's ENTRIESREAD is at most the number of entries added (since Redis 8.2.1, not in Valkey).
    #[must_use]
    pub const fn limits_entries_read(self) -> bool {
        self.since((8, 3), NEVER) || (self.since((8, 2), NEVER) && self.version.2 >= 1)
    }

    /// Whether XADD knows idempotent producers, and XINFO STREAM shows them (since Redis 8.6, not in Valkey).
    #[must_use]
    pub const fn has_idempotent_producers(self) -> bool {
        self.since((8, 6), NEVER)
    }

    /// Whether XINFO STREAM FULL shows how many pending entries were released by XNACK (since Redis 8.8, not in Valkey).
    #[must_use]
    pub const fn has_released_entries(self) -> bool {
        self.since((8, 8), NEVER)
    }

    /// Whether the radix tree of a stream's nodes has no leaves of their own (since Redis 8.10, not in Valkey).
    ///
    /// Source: redis rax.c after 8.8, `raxCompressNodeWithValue`; no server of this version was asked.
    #[must_use]
    pub const fn has_trees_without_leaves(self) -> bool {
        self.since((8, 10), NEVER)
    }

    /// Whether XREAD accepts MAXCOUNT and MAXSIZE (since Redis 8.10, not in Valkey).
    #[must_use]
    pub const fn has_read_limits(self) -> bool {
        self.since((8, 10), NEVER)
    }
}

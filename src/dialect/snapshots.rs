//! Which damaged values servers load from a snapshot anyway.
//!
//! Servers check what would lead them astray immediately, and little else, unless `sanitize-dump-payload` asks for more. By
//! default, it does so for no snapshot and no replication. Each line here is what five real servers did; `tests/it/flaws`
//! tests them again.

use super::{Dialect, NEVER};

/// A flaw inside a value of a snapshot. The value's end is known in spite of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// Anything in a ziplist, a zipmap or an intset except the order of its elements.
    OldPacked,
    /// Anything in a listpack with a correct header: entries, their number, a missing pair, a duplicate element.
    Listpack,
    /// The members of an intset do not ascend.
    IntsetOrder,
    /// The members of a packed sorted set do not ascend.
    ScoreOrder,
    /// The text of a score is not a number, or has more text after it.
    ScoreText,
    /// The text of a packed score is NaN.
    ScoreNan,
    /// A duplicate member in a set or sorted set that is not packed.
    MemberTwice,
    /// A duplicate field in a hash that is not packed, but becomes packed when loaded.
    FieldTwice,
    /// A field's expiry, in a listpack, that no command could have set.
    FieldExpiry,
    /// A stream whose stated number of entries is wrong.
    StreamLength,
    /// A stream that states entries but has no nodes.
    StreamWithoutNodes,
    /// A stream with an entry whose id is greater than the stream's last id.
    StreamLastId,
    /// The nodes or entries of a stream do not ascend.
    StreamOrder,
    /// A stream entry whose id is smaller than its node's.
    StreamIdBelowNode,
    /// A stream node whose counters do not match its entries.
    StreamNode,
    /// The pending entries of a group do not ascend.
    PendingOrder,
    /// A pending entry that no consumer owns.
    PendingOwnerless,
    /// A pending entry that several consumers own.
    PendingShared,
    /// A duplicate consumer in a group.
    ConsumerTwice,
    /// A group whose number of entries read is below -1.
    GroupCounter,
    /// A stream to which fewer entries were added than it has, or more than `i64::MAX`.
    StreamAdded,
    /// A group that has read more entries than were added.
    GroupAhead,
}

#[doc(hidden)]
impl Dialect {
    /// Whether RESTORE takes a payload whose checksum is 0 (since Redis 8.4, from documents). Redis 6.0 to 8.2 and Valkey 8.1 to
    /// 9.1 refuse it.
    #[must_use]
    pub const fn takes_payloads_without_sums(self) -> bool {
        self.since((8, 4), NEVER)
    }

    /// Whether this server loads a value with this flaw.
    ///
    /// Source: rdb.c, `rdbLoadObject`, of Redis 6.0, 7.0 and 8.0 and Valkey 8.1 and 9.1. Since Valkey 9.0, packed values are
    /// fully validated. Redis 6.2 was not tested and counts as 6.0: at worst, a key is TAINTED that Redis 6.2 would have
    /// refused.
    #[must_use]
    pub const fn loads(self, flaw: Flaw) -> bool {
        match flaw {
            Flaw::OldPacked
            | Flaw::MemberTwice
            | Flaw::StreamWithoutNodes
            | Flaw::ConsumerTwice => !self.since_redis(7, 0),
            // Source: redis rdb.c after 8.8; no server of this version was asked.
            Flaw::StreamLength => !self.since((8, 10), (9, 0)),
            Flaw::StreamAdded | Flaw::GroupAhead => !self.since((8, 10), NEVER),
            Flaw::Listpack
            | Flaw::IntsetOrder
            | Flaw::ScoreNan
            | Flaw::FieldTwice
            | Flaw::StreamNode
            | Flaw::PendingOwnerless
            | Flaw::PendingShared => !self.since(NEVER, (9, 0)),
            Flaw::ScoreOrder
            | Flaw::ScoreText
            | Flaw::FieldExpiry
            | Flaw::StreamLastId
            | Flaw::StreamOrder
            | Flaw::StreamIdBelowNode
            | Flaw::PendingOrder
            | Flaw::GroupCounter => true,
        }
    }
}

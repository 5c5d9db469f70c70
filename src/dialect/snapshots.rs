//! Which damaged values servers load from a snapshot all the same.
//!
//! Servers check what would lead them astray at once, and little else, unless `sanitize-dump-payload` says so, which it does for
//! no snapshot and no replication by default. Each line here is what five real servers did; `tests/it/flaws.rs` asks them again.

use super::{Dialect, NEVER};

/// Something wrong inside a value of a snapshot, whose end is known all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// Anything in a ziplist, a zipmap or an intset but the order of its elements.
    OldPacked,
    /// Anything in a listpack behind a header that is right: entries, their number, a missing pair, an element twice.
    Listpack,
    /// Members of an intset that do not ascend.
    IntsetOrder,
    /// Members of a packed sorted set that do not ascend.
    ScoreOrder,
    /// A score whose text is more, or other, than a number.
    ScoreText,
    /// The text of a packed score is that of no number at all, NaN.
    ScoreNan,
    /// A member twice in a set or sorted set that is not packed.
    MemberTwice,
    /// A field twice in a hash that is not packed, but is once it is loaded.
    FieldTwice,
    /// A field's expiry that no command sets, in a listpack.
    FieldExpiry,
    /// A stream that states another number of entries than it has.
    StreamLength,
    /// A stream that states entries and has no node.
    StreamWithoutNodes,
    /// A stream with an entry past its last id.
    StreamLastId,
    /// Nodes or entries of a stream that do not ascend.
    StreamOrder,
    /// An entry of a stream whose id is below that of its node.
    StreamIdBelowNode,
    /// A stream's node whose counters and entries do not match.
    StreamNode,
    /// Pending entries of a group that do not ascend.
    PendingOrder,
    /// A pending entry that no consumer has.
    PendingOwnerless,
    /// A pending entry that several consumers have.
    PendingShared,
    /// A consumer twice in a group.
    ConsumerTwice,
    /// A group that has read less than nothing.
    GroupCounter,
}

impl Dialect {
    /// Whether this server loads a value that has this flaw.
    ///
    /// Source: rdb.c, `rdbLoadObject`, of Redis 6.0, 7.0 and 8.0 and Valkey 8.1 and 9.1. Since Valkey 9.0 packed values are walked
    /// whole. Redis 6.2, which was not asked, counts as 6.0: at worst, a key is TAINTED that it would have refused.
    #[must_use]
    pub const fn loads(self, flaw: Flaw) -> bool {
        match flaw {
            Flaw::OldPacked
            | Flaw::MemberTwice
            | Flaw::StreamWithoutNodes
            | Flaw::ConsumerTwice => !self.since_redis(7, 0),
            Flaw::Listpack
            | Flaw::IntsetOrder
            | Flaw::ScoreNan
            | Flaw::FieldTwice
            | Flaw::StreamLength
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

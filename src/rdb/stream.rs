//! Streams as decoded: nodes of packed entries, and the consumer groups.

use super::listpack::Listpack;
use std::fmt;

/// The id of a stream entry, ordered as Redis orders them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// Unix time in milliseconds, by habit; any number in truth.
    pub ms: u64,
    /// The sequence number among those of one millisecond.
    pub seq: u64,
}

impl StreamId {
    /// The smallest id, which no entry can have.
    pub const MIN: Self = Self { ms: 0, seq: 0 };
    /// The largest id.
    pub const MAX: Self = Self {
        ms: u64::MAX,
        seq: u64::MAX,
    };

    /// An id from its two parts.
    #[must_use]
    pub const fn new(ms: u64, seq: u64) -> Self {
        Self { ms, seq }
    }

    /// An id from its raw form: both parts big-endian.
    #[must_use]
    pub fn from_be_bytes(raw: [u8; 16]) -> Self {
        let whole = u128::from_be_bytes(raw);
        let [ms, seq] = [whole >> 64, whole & u128::from(u64::MAX)]
            .map(|half| u64::try_from(half).unwrap_or(u64::MAX));
        Self { ms, seq }
    }

    /// The raw form: both parts big-endian.
    #[must_use]
    pub fn to_be_bytes(self) -> [u8; 16] {
        ((u128::from(self.ms) << 64) | u128::from(self.seq)).to_be_bytes()
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

/// A decoded stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamObject {
    /// The nodes, ascending: the id that the entries' deltas are added to, and the packed entries.
    pub nodes: Vec<(StreamId, Listpack)>,
    /// Entries that are not deleted.
    pub length: u64,
    /// The last id given to an entry.
    pub last_id: StreamId,
    /// The first entry's id; 0-0 when there is none.
    pub first_id: StreamId,
    /// The largest id deleted by XDEL or XTRIM as Redis tracks it.
    pub max_deleted_id: StreamId,
    /// Entries ever added.
    pub entries_added: u64,
    /// The consumer groups, in the order of the dump.
    pub groups: Vec<Group>,
}

/// A consumer group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: Box<[u8]>,
    /// The last id delivered.
    pub last_id: StreamId,
    /// Entries read by the group; -1 when that is not known.
    pub entries_read: i64,
    /// Entries delivered and not acknowledged, ascending.
    pub pel: Vec<Pending>,
    /// Its consumers, in the order of the dump.
    pub consumers: Vec<Consumer>,
}

/// An entry delivered and not acknowledged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pending {
    /// The entry.
    pub id: StreamId,
    /// When it was last delivered, Unix time in milliseconds.
    pub delivery_time_ms: i64,
    /// How often it was delivered.
    pub delivery_count: u64,
}

/// A consumer of a group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Consumer {
    /// Its name.
    pub name: Box<[u8]>,
    /// When it last tried to read, Unix time in milliseconds.
    pub seen_time_ms: i64,
    /// When it last got something, Unix time in milliseconds; -1 when never.
    pub active_time_ms: i64,
    /// The group's pending entries that it owns, ascending.
    pub pending: Vec<StreamId>,
}

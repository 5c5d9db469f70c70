//! Decoded streams: nodes of packed entries, and the consumer groups.

use super::listpack::Listpack;
use std::fmt;

/// The id of a stream entry, ordered as Redis orders them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// By convention the Unix time in milliseconds; in fact any number.
    pub ms: u64,
    /// The sequence number within that millisecond.
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

    /// Creates an id from its two parts.
    #[must_use]
    pub const fn new(ms: u64, seq: u64) -> Self {
        Self { ms, seq }
    }

    /// Reads an id from its raw form: both parts big-endian.
    #[must_use]
    pub fn from_be_bytes(raw: [u8; 16]) -> Self {
        let whole = u128::from_be_bytes(raw);
        let [ms, seq] = [whole >> 64, whole & u128::from(u64::MAX)]
            .map(|half| u64::try_from(half).unwrap_or(u64::MAX));
        Self { ms, seq }
    }

    /// Returns the raw form: both parts big-endian.
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
    /// The nodes in ascending order: the id to which the entries' deltas are added, and the packed entries.
    pub nodes: Vec<(StreamId, Listpack)>,
    /// Number of entries, without the deleted ones.
    pub length: u64,
    /// The last id assigned to an entry.
    pub last_id: StreamId,
    /// The first entry's id, or 0-0 if there is none.
    pub first_id: StreamId,
    /// The largest id deleted by XDEL or XTRIM, as Redis tracks it.
    pub max_deleted_id: StreamId,
    /// Number of entries ever added.
    pub entries_added: u64,
    /// The consumer groups, in the order of the dump.
    pub groups: Vec<Group>,
    /// The idempotent producers and their settings; `None` if the layout lacks them.
    pub idmp: Option<Box<Idmp>>,
}

/// The idempotent producers of a stream, and their settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idmp {
    /// For how many seconds an id is known: 1 to [`IDMP_DURATION_S_MAX`].
    pub duration_s: u64,
    /// How many ids of a producer are known at most: 1 to [`IDMP_ENTRIES_MAX_MAX`].
    pub entries_max: u64,
    /// The producers that have ids, in the order of the dump.
    pub producers: Vec<Producer>,
    /// How many ids were ever added.
    pub added: u64,
    /// How many entries were not added because their ids were known.
    pub duplicates: u64,
}

/// An idempotent producer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Producer {
    /// Its name.
    pub id: Box<[u8]>,
    /// The ids that it has used, from the oldest on, and the entries that it has added under them. Those that are too old may
    /// be among them: that depends on the clock.
    pub entries: Vec<(Box<[u8]>, StreamId)>,
}

/// The default of `stream-idmp-duration`, in seconds. Source: redis 8.8 config.c.
pub const IDMP_DURATION_S: u64 = 100;
/// The default of `stream-idmp-maxsize`. Source: redis 8.8 config.c.
pub const IDMP_ENTRIES_MAX: u64 = 100;
/// The largest duration, in seconds. Source: redis 8.8 server.h, `CONFIG_STREAM_IDMP_MAX_DURATION`.
pub const IDMP_DURATION_S_MAX: u64 = 86_400;
/// The largest number of ids of a producer. Source: redis 8.8 server.h, `CONFIG_STREAM_IDMP_MAX_MAXSIZE`.
pub const IDMP_ENTRIES_MAX_MAX: u64 = 10_000;

/// A consumer group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// The group's name.
    pub name: Box<[u8]>,
    /// The last id delivered.
    pub last_id: StreamId,
    /// Number of entries that the group has read, or -1 if unknown.
    pub entries_read: i64,
    /// Entries delivered but not acknowledged, in ascending order.
    pub pel: Vec<Pending>,
    /// The group's consumers, in the order of the dump.
    pub consumers: Vec<Consumer>,
    /// The ids of pending entries that XNACK took from their consumers, in that order. An id that appears twice counts where
    /// it appears last.
    pub released: Vec<StreamId>,
}

/// An entry that was delivered but not acknowledged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pending {
    /// The entry's id.
    pub id: StreamId,
    /// When it was last delivered, Unix time in milliseconds.
    pub delivery_time_ms: i64,
    /// How many times it was delivered.
    pub delivery_count: u64,
}

/// A consumer of a group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Consumer {
    /// The consumer's name.
    pub name: Box<[u8]>,
    /// When it last tried to read, Unix time in milliseconds.
    pub seen_time_ms: i64,
    /// When it last received an entry, Unix time in milliseconds, or -1 if never.
    pub active_time_ms: i64,
    /// The ids of the group's pending entries that it owns, in ascending order.
    pub pending: Vec<StreamId>,
}

//! The limits of small encodings.

use crate::dialect::Dialect;

/// How large a collection may grow before it leaves its packed form. The names are those of Redis's settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thresholds {
    /// `hash-max-listpack-entries`: fields.
    pub hash_max_listpack_entries: usize,
    /// `hash-max-listpack-value`: bytes of a field or value.
    pub hash_max_listpack_value: usize,
    /// Whether the fields that a command sets are counted in advance, as if all of them were new and different.
    pub hash_counts_arguments: bool,
    /// Whether HINCRBY checks lengths. Before Redis 7.0 it does not, and leaves a long field in a packed hash.
    pub hash_measures_increments: bool,
    /// Whether a small hash whose fields expire is packed, as in Redis. Valkey makes it a table.
    pub hash_packs_expiries: bool,
    /// `set-max-intset-entries`: members.
    pub set_max_intset_entries: usize,
    /// Whether small sets of strings are listpacks at all.
    pub has_listpack_sets: bool,
    /// `set-max-listpack-entries`: members; 0 for servers without listpack sets.
    pub set_max_listpack_entries: usize,
    /// `set-max-listpack-value`: bytes of a member.
    pub set_max_listpack_value: usize,
    /// `zset-max-listpack-entries`: members.
    pub zset_max_listpack_entries: usize,
    /// `zset-max-listpack-value`: bytes of a member.
    pub zset_max_listpack_value: usize,
    /// Whether the members of a ZADD are counted in advance, as if all of them were new and different.
    pub zset_counts_arguments: bool,
    /// Whether the members of a ZADD are measured in advance, even those that are not added in the end.
    pub zset_measures_arguments: bool,
    /// How the scores in packed sorted sets are written.
    pub zset_score_text: ScoreText,
    /// Whether a list of one node is a listpack, with one limit check for all words of a command.
    pub has_listpack_lists: bool,
    /// `list-max-listpack-size`: elements per node if positive; −1 to −5 mean 4, 8, 16, 32, 64 KiB.
    pub list_max_listpack_size: i32,
    /// `list-compress-depth`: nodes at each end that stay uncompressed. It can be set and read, but nothing is compressed here.
    /// Only the reply of DEBUG shows the difference.
    pub list_compress_depth: i32,
    /// `hll-sparse-max-bytes`: bytes of a sparse HyperLogLog.
    pub hll_sparse_max_bytes: usize,
    /// `stream-node-max-bytes`.
    pub stream_node_max_bytes: usize,
    /// `stream-node-max-entries`.
    pub stream_node_max_entries: usize,
    /// Whether the deleted entries of a stream node count too.
    pub stream_node_counts_deleted: bool,
    /// Whether vector sets note the farthest neighbour of each node in their payloads.
    pub vectors_note_farthest: bool,
}

/// How a server writes packed scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScoreText {
    /// With `%.17g`: before Redis 7.0.
    Printf,
    /// Whole numbers as integers, others with `%.17g`: Redis 7.0.
    WholeOrPrintf,
    /// Whole numbers as integers, others as the shortest text: since Redis 7.2.
    Shortest,
}

impl ScoreText {
    const fn of(dialect: Dialect) -> Self {
        if dialect.has_shortest_doubles() {
            Self::Shortest
        } else if dialect.has_listpacks() {
            Self::WholeOrPrintf
        } else {
            Self::Printf
        }
    }
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            hash_max_listpack_entries: 512,
            hash_max_listpack_value: 64,
            hash_counts_arguments: true,
            hash_measures_increments: true,
            hash_packs_expiries: true,
            set_max_intset_entries: 512,
            has_listpack_sets: true,
            set_max_listpack_entries: 128,
            set_max_listpack_value: 64,
            zset_max_listpack_entries: 128,
            zset_max_listpack_value: 64,
            zset_counts_arguments: true,
            zset_measures_arguments: false,
            zset_score_text: ScoreText::Shortest,
            has_listpack_lists: true,
            list_max_listpack_size: -2,
            list_compress_depth: 0,
            hll_sparse_max_bytes: 3000,
            stream_node_max_bytes: 4096,
            stream_node_max_entries: 100,
            stream_node_counts_deleted: true,
            vectors_note_farthest: false,
        }
    }
}

impl Thresholds {
    /// Returns the default thresholds of a server. `CONFIG GET` returns the same numbers on Redis 6.0 to 8.0 and Valkey 8.1 and
    /// 9.1. New since Redis 7.2 are listpack sets, and checking the number of fields in a command.
    #[must_use]
    pub fn of(dialect: Dialect) -> Self {
        let mut thresholds = Self {
            hash_measures_increments: dialect.has_listpacks(),
            hash_packs_expiries: dialect.packs_field_expiries(),
            zset_score_text: ScoreText::of(dialect),
            zset_counts_arguments: dialect.counts_zadd_arguments(),
            zset_measures_arguments: dialect.measures_zadd_arguments(),
            stream_node_counts_deleted: dialect.has_stream_counters(),
            vectors_note_farthest: dialect.notes_farthest_neighbours(),
            ..Self::default()
        };
        if !dialect.has_small_listpack_lists_and_sets() {
            thresholds.has_listpack_sets = false;
            thresholds.has_listpack_lists = false;
            thresholds.set_max_listpack_entries = 0;
            thresholds.hash_counts_arguments = false;
        }
        thresholds
    }

    /// Whether a list node of `bytes` and `elements` exceeds its limit.
    ///
    /// Source: redis 7.2 quicklist.c, quicklistNodeExceedsLimit.
    #[must_use]
    pub fn list_node_is_over(&self, bytes: usize, elements: usize) -> bool {
        match usize::try_from(self.list_max_listpack_size) {
            Ok(limit) => bytes > NODE_BYTES_SAFE || elements > limit.max(1),
            Err(_) => bytes > self.list_node_bytes(),
        }
    }

    /// Whether a list's only node is at most half of its limit.
    ///
    /// Source: redis 7.2 t_list.c, listTypeTryConvertQuicklist.
    #[must_use]
    pub fn list_node_is_under_half(&self, bytes: usize, elements: usize) -> bool {
        match usize::try_from(self.list_max_listpack_size) {
            Ok(limit) => elements <= limit.max(1) / 2,
            Err(_) => bytes <= self.list_node_bytes() / 2,
        }
    }

    /// Whether an element needs a list node of its own.
    ///
    /// Source: redis 7.4 quicklist.c, isLargeElement.
    #[must_use]
    pub const fn list_element_is_large(&self, bytes: usize) -> bool {
        if self.list_max_listpack_size >= 0 {
            bytes > NODE_BYTES_SAFE
        } else {
            bytes > self.list_node_bytes()
        }
    }

    const fn list_node_bytes(&self) -> usize {
        match self.list_max_listpack_size {
            -1 => 4096,
            -2 => 8192,
            -3 => 16_384,
            -4 => 32_768,
            _ => 65_536,
        }
    }
}

/// The byte limit of a node whose elements are counted. Source: redis 7.0 quicklist.c, `SIZE_SAFETY_LIMIT`.
const NODE_BYTES_SAFE: usize = 8192;

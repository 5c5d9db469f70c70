//! Differences in how commands on values reply, and in how values are stored.

use super::{Dialect, Family, NEVER};

#[doc(hidden)]
impl Dialect {
    /// Whether a string of `text` bytes under a key of `key` bytes is `embstr`: stored in one block of memory with its object.
    /// Since Redis 8.2 and Valkey 8.1, that block also holds the key and the time to live.
    ///
    /// DIFFERENCE: in Redis 8.2, a key of 32 bytes or more may have room for a time to live that does not count, depending on the
    /// allocator. Here it always counts.
    ///
    /// DIFFERENCE: if a key's time to live is removed, Valkey keeps counting it until the key is written again.
    ///
    /// DIFFERENCE: in a Valkey 9.0 that uses libc's allocator, a string that fits without its time to live stays `embstr` when it
    /// gets one, because the block has room for it.
    /// Source: redis 7.0 object.c, `OBJ_ENCODING_EMBSTR_SIZE_LIMIT`; valkey 9.1 object.c, `shouldEmbedStringObject`; the limits
    /// of Redis 8.2, Valkey 8.1 and Valkey 9.0 are those that one reports.
    #[must_use]
    pub const fn embeds_text(self, key: usize, text: usize, expires: bool) -> bool {
        let expiry = if expires { 8 } else { 0 };
        // Lengths and terminators, in addition to the bytes of text and key. A longer key has a longer length field.
        let beside = if key < 32 { 7 } else { 9 };
        match (self.family, self.version) {
            (Family::Valkey, (9.., 1.., _) | (10.., ..)) => 8 + expiry + key + text + beside <= 128,
            (Family::Valkey, (9.., ..)) => 16 + expiry + key + text + beside <= 64,
            (Family::Valkey, (8, 1.., _)) | (Family::Redis, (8, 2.., _) | (9.., ..)) => {
                expiry + key + text <= 41
            }
            _ => text <= 44,
        }
    }

    /// Whether a string that once did not fit beside its key stays `raw` until it is set again, even if its time to live is
    /// removed or its key is renamed (since Redis 8.2, not in Valkey).
    #[must_use]
    pub const fn keeps_strings_raw(self) -> bool {
        self.since((8, 2), NEVER)
    }

    /// Whether integers below 10,000 are objects that all keys share (up to Redis 8.0 and Valkey 8.0).
    #[must_use]
    pub const fn shares_small_integers(self) -> bool {
        !self.since((8, 2), (8, 1))
    }

    /// Whether the payloads of vector sets note each node's farthest neighbour, and a loaded node's links are sorted (since Redis
    /// 8.2).
    #[must_use]
    pub const fn notes_farthest_neighbours(self) -> bool {
        self.since((8, 2), NEVER)
    }

    /// Whether VSIM's EPSILON is the greatest difference between 1 and a similarity (since Redis 8.2). In 8.0 it is the greatest
    /// distance, which is twice as much.
    #[must_use]
    pub const fn measures_epsilon_as_similarity(self) -> bool {
        self.since((8, 2), NEVER)
    }

    /// Whether `null` is a value in VSIM's filters, and `in` finds a text in another (since Redis 8.2). In 8.0, `null` is left
    /// out, and no text is in another.
    #[must_use]
    pub const fn has_wider_filters(self) -> bool {
        self.since((8, 2), NEVER)
    }

    /// Whether DEBUG OBJECT also reports a frequency of use (in Valkey 8).
    #[must_use]
    pub const fn tells_frequency_in_debug_object(self) -> bool {
        matches!((self.family, self.version.0), (Family::Valkey, 8))
    }

    /// Whether DEBUG DIGEST includes whether a hash's field expires, even after its expiry, as in Redis. Valkey's does not, and
    /// leaves out expired fields.
    #[must_use]
    pub const fn digests_field_expiries(self) -> bool {
        matches!(self.family, Family::Redis)
    }

    /// Whether DEBUG OBJECT accepts FAST (in Valkey).
    #[must_use]
    pub const fn has_fast_debug_object(self) -> bool {
        matches!(self.family, Family::Valkey)
    }

    /// Whether a geo search that stores its result deletes the destination key if the source key does not exist (since Redis
    /// 6.2). Older servers leave the destination unchanged.
    #[must_use]
    pub const fn stores_places_of_no_key(self) -> bool {
        self.since_redis(6, 2)
    }

    /// Whether small hashes and sorted sets are listpacks (since Redis 7.0). Before, they are ziplists.
    #[must_use]
    pub const fn has_listpacks(self) -> bool {
        self.since_redis(7, 0)
    }

    /// Whether small sets of strings, and lists of one node, are listpacks (since Redis 7.2).
    #[must_use]
    pub const fn has_small_listpack_lists_and_sets(self) -> bool {
        self.since_redis(7, 2)
    }

    /// Whether HSCAN accepts NOVALUES (since Redis 7.4 and Valkey 8.0).
    #[must_use]
    pub const fn has_hscan_novalues(self) -> bool {
        matches!(self.family, Family::Valkey) || self.since_redis(7, 4)
    }

    /// Whether ZSCAN accepts NOSCORES (since Valkey 8.1).
    #[must_use]
    pub const fn has_zscan_noscores(self) -> bool {
        matches!(self.family, Family::Valkey) && self.since((7, 2), (8, 1))
    }

    /// Whether SCAN refuses an unknown type name (since Valkey 8.1).
    #[must_use]
    pub const fn checks_type_names(self) -> bool {
        matches!(self.family, Family::Valkey) && self.since((7, 2), (8, 1))
    }

    /// Whether small hashes whose fields expire are packed, as in Redis. In Valkey they are hash tables.
    #[must_use]
    pub const fn packs_field_expiries(self) -> bool {
        matches!(self.family, Family::Redis)
    }

    /// Returns INFO's name for the number of hashes with expiring fields, which it reports since Redis 7.4 and Valkey 9.0.
    #[must_use]
    pub const fn timed_hashes_name(self) -> Option<&'static str> {
        if !self.since((7, 4), (9, 0)) {
            return None;
        }
        Some(match self.family {
            Family::Redis => "subexpiry",
            Family::Valkey => "keys_with_volatile_items",
        })
    }

    /// Whether HRANDFIELD leaves out expired fields on a replica, as in Valkey. Redis returns them.
    #[must_use]
    pub const fn hides_expired_random_fields(self) -> bool {
        matches!(self.family, Family::Valkey)
    }

    /// Whether HTTL and the like read their arguments before they check the key, and report only syntax errors, as in Valkey.
    #[must_use]
    pub const fn checks_fields_before_type(self) -> bool {
        matches!(self.family, Family::Valkey)
    }

    /// Whether HTTL and the like, and HPERSIST, take any word for FIELDS (Valkey 9.0).
    #[must_use]
    pub const fn takes_any_word_for_fields(self) -> bool {
        matches!(self.family, Family::Valkey) && !self.since(NEVER, (9, 1))
    }

    /// Whether SRANDMEMBER with a count returns an array in RESP3 (since Redis 7.0). Older servers return a set.
    #[must_use]
    pub const fn has_random_members_as_array(self) -> bool {
        self.since_redis(7, 0)
    }

    /// Whether LPOS's errors have the wording of Redis 7.0 and later.
    #[must_use]
    pub const fn has_modern_lpos_errors(self) -> bool {
        self.since_redis(7, 0)
    }

    /// Whether LPOS refuses a rank of `i64::MIN` (since Redis 7.2).
    #[must_use]
    pub const fn checks_ranges_of_ranks(self) -> bool {
        self.since_redis(7, 2)
    }

    /// Whether doubles are written as the shortest text that parses back to the same value (since Redis 7.2). Older servers use
    /// `%.17g`.
    #[must_use]
    pub const fn has_shortest_doubles(self) -> bool {
        self.since_redis(7, 2)
    }

    /// Whether scores, weights and coordinates may be hexadecimal (except since Valkey 9.0).
    #[must_use]
    pub const fn takes_hexadecimal_doubles(self) -> bool {
        matches!(self.family, Family::Redis) || !self.since((0, 0), (9, 0))
    }

    /// Whether score bounds that are hexadecimal or start with blanks are refused (since Redis 8.0 and Valkey 9.0).
    #[must_use]
    pub const fn reads_scores_strictly(self) -> bool {
        self.since((8, 0), (9, 0))
    }

    /// Whether SORT refuses a weight that is empty or out of range (since Valkey 9.0). Other servers accept both, and read an
    /// empty one as 0.
    #[must_use]
    pub const fn refuses_empty_weights(self) -> bool {
        matches!(self.family, Family::Valkey) && self.since((0, 0), (9, 0))
    }

    /// Whether a negative LIMIT offset counts from the other end of the range in a large sorted set (Redis 7.4 and 8.0, and since
    /// Valkey 8.0). In other servers, and in a small sorted set, it returns nothing.
    #[must_use]
    pub const fn has_negative_offsets(self) -> bool {
        self.since((7, 4), (8, 0)) && !self.since((8, 2), NEVER)
    }

    /// Whether ZRANGE accepts the options of its relatives, and all of them read their options before their range (since Redis
    /// 6.2).
    #[must_use]
    pub const fn has_one_range_command(self) -> bool {
        self.since_redis(6, 2)
    }

    /// Returns the number of runs of stars that a pattern may have before nothing matches it. The recursion depth of
    /// `stringmatchlen` is limited since Redis 7.0, and in later releases of older lines.
    #[must_use]
    pub const fn stars_max(self) -> usize {
        if self.since_redis(7, 0) {
            1000
        } else {
            usize::MAX
        }
    }

    /// Whether ZRANK accepts WITHSCORE (since Redis 7.2).
    #[must_use]
    pub const fn has_ranks_with_scores(self) -> bool {
        self.since_redis(7, 2)
    }

    /// Whether geo searches accept a shape, and may return any matches (since Redis 6.2).
    #[must_use]
    pub const fn has_geo_shapes(self) -> bool {
        self.since_redis(6, 2)
    }

    /// Whether distances along a meridian are computed in a shorter way and formatted in fewer steps, and units are accepted in
    /// any letter case (since Redis 7.0).
    #[must_use]
    pub const fn has_quick_geo_distances(self) -> bool {
        self.since_redis(7, 0)
    }

    /// Whether geo searches accept polygons, treat almost equal longitudes as equal, and name the missing member (since Valkey
    /// 9.0).
    #[must_use]
    pub const fn has_geo_polygons(self) -> bool {
        matches!(self.family, Family::Valkey) && self.since((0, 0), (9, 0))
    }

    /// Whether coordinates are written like other doubles (since Redis 8.0). In older servers and in Valkey, they have 17
    /// digits after the point.
    #[must_use]
    pub const fn has_short_coordinates(self) -> bool {
        matches!(self.family, Family::Redis) && self.since_redis(8, 0)
    }

    /// Whether CONFIG reduces byte counts above 63 bits to the maximum (before Redis 7.0).
    #[must_use]
    pub const fn clamps_bytes(self) -> bool {
        !self.since_redis(7, 0)
    }

    /// Whether CONFIG rejects byte counts above 64 bits as not being a byte count (since Valkey 9.1). Other servers report them
    /// as out of range.
    #[must_use]
    pub const fn refuses_overflowing_bytes(self) -> bool {
        self.since(NEVER, (9, 1))
    }

    /// Whether LCS refuses a table that is larger than the maximum string (since Redis 7.0). STRALGO has no limit.
    #[must_use]
    pub const fn limits_lcs_tables(self) -> bool {
        self.since_redis(7, 0)
    }

    /// Whether SCAN refuses negative and empty cursors (since Redis 7.4 and Valkey 8.0).
    #[must_use]
    pub const fn reads_cursors_strictly(self) -> bool {
        self.since((7, 4), (8, 0))
    }

    /// Whether BITCOUNT and BITPOS accept BYTE and BIT (since Redis 7.0).
    #[must_use]
    pub const fn has_bit_ranges(self) -> bool {
        self.since_redis(7, 0)
    }

    /// Whether BITCOUNT and BITPOS read their ranges before they check the key (since Redis 7.2).
    #[must_use]
    pub const fn reads_bit_ranges_first(self) -> bool {
        self.since_redis(7, 2)
    }

    /// Whether BITCOUNT accepts a start without an end (since Valkey 8.0).
    #[must_use]
    pub const fn has_open_bit_counts(self) -> bool {
        matches!(self.family, Family::Valkey) && self.since((7, 2), (8, 0))
    }

    /// Whether ZADD checks its number of members in advance, as if all were new, when choosing the encoding (since Redis 7.2).
    #[must_use]
    pub const fn counts_zadd_arguments(self) -> bool {
        self.since_redis(7, 2)
    }

    /// Whether ZUNION and its relatives accept AGGREGATE COUNT (since Redis 8.8, from documents).
    #[must_use]
    pub const fn has_counting_aggregate(self) -> bool {
        self.since((8, 8), NEVER)
    }

    /// Whether VSIM accepts WITHATTRIBS (since Redis 8.2).
    #[must_use]
    pub const fn has_attributes_of_similar(self) -> bool {
        self.since((8, 2), NEVER)
    }

    /// Whether ZADD checks the lengths of all its members in advance (since Valkey 8.1).
    #[must_use]
    pub const fn measures_zadd_arguments(self) -> bool {
        matches!(self.family, Family::Valkey) && self.since((7, 2), (8, 1))
    }
}

//! What commands on values answer and keep differently.

use super::{Dialect, Family, NEVER};

impl Dialect {
    /// Whether a string of `text` bytes is `embstr` under a key of `key` bytes: in one block of memory with its object, since
    /// Valkey 8.1 also with the key and the time to live.
    ///
    /// DIFFERENCE: a Valkey that took a key's time to live away goes on counting it until the key is written again.
    /// Source: redis 7.0 object.c, `OBJ_ENCODING_EMBSTR_SIZE_LIMIT`; valkey 9.1 object.c, `shouldEmbedStringObject`; the
    /// figures of Valkey 8.1 are what one answers.
    #[must_use]
    pub const fn embeds_text(self, key: usize, text: usize, expires: bool) -> bool {
        let expiry = if expires { 8 } else { 0 };
        // Lengths and ends beside the bytes of text and key; longer keys have a longer length.
        let beside = if key < 32 { 7 } else { 9 };
        match (self.family, self.version) {
            (Family::Valkey, (9.., 1.., _) | (10.., ..)) => 8 + expiry + key + text + beside <= 128,
            (Family::Valkey, (9.., ..)) => 8 + expiry + key + text + beside <= 64,
            (Family::Valkey, (8, 1.., _)) => expiry + key + text <= 41,
            _ => text <= 44,
        }
    }

    /// Integers below 10,000 are objects that all keys share, up to every Redis and Valkey 8.0.
    #[must_use]
    pub const fn shares_small_integers(self) -> bool {
        !self.since(NEVER, (8, 1))
    }

    /// DEBUG OBJECT also tells a frequency of use in Valkey 8.
    #[must_use]
    pub const fn tells_frequency_in_debug_object(self) -> bool {
        matches!((self.family, self.version.0), (Family::Valkey, 8))
    }

    /// DEBUG DIGEST tells of a hash's field whether it expires, past its time or not, in Redis. Valkey's does not, and leaves
    /// out what is past its time.
    #[must_use]
    pub const fn digests_field_expiries(self) -> bool {
        matches!(self.family, Family::Redis)
    }

    /// DEBUG OBJECT takes FAST in Valkey.
    #[must_use]
    pub const fn has_fast_debug_object(self) -> bool {
        matches!(self.family, Family::Valkey)
    }

    /// A search for places in a key that does not exist deletes the key it is stored at; before Redis 6.2 it leaves that as it is.
    #[must_use]
    pub const fn stores_places_of_no_key(self) -> bool {
        self.since_redis(6, 2)
    }

    /// Small hashes and sorted sets are listpacks since Redis 7.0, ziplists before.
    #[must_use]
    pub const fn has_listpacks(self) -> bool {
        self.since_redis(7, 0)
    }

    /// Small sets of strings, and lists of one node, are listpacks since Redis 7.2.
    #[must_use]
    pub const fn has_small_listpack_lists_and_sets(self) -> bool {
        self.since_redis(7, 2)
    }

    /// HSCAN takes NOVALUES since Redis 7.4 and Valkey 8.0.
    #[must_use]
    pub const fn has_hscan_novalues(self) -> bool {
        matches!(self.family, Family::Valkey) || self.since_redis(7, 4)
    }

    /// ZSCAN takes NOSCORES in Valkey since 8.1.
    #[must_use]
    pub const fn has_zscan_noscores(self) -> bool {
        matches!(self.family, Family::Valkey) && self.since((7, 2), (8, 1))
    }

    /// SCAN refuses the name of no type in Valkey since 8.1.
    #[must_use]
    pub const fn checks_type_names(self) -> bool {
        matches!(self.family, Family::Valkey) && self.since((7, 2), (8, 1))
    }

    /// Redis packs small hashes whose fields expire; in Valkey they are hash tables.
    #[must_use]
    pub const fn packs_field_expiries(self) -> bool {
        matches!(self.family, Family::Redis)
    }

    /// What INFO calls the number of hashes with expiring fields, which it tells since Redis 7.4 and Valkey 9.0.
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

    /// HRANDFIELD does not give fields past their time: replicas of Valkey; those of Redis give them.
    #[must_use]
    pub const fn hides_expired_random_fields(self) -> bool {
        matches!(self.family, Family::Valkey)
    }

    /// Valkey's HTTL and its like read their arguments before they look at the key, and know only syntax errors.
    #[must_use]
    pub const fn checks_fields_before_type(self) -> bool {
        matches!(self.family, Family::Valkey)
    }

    /// SRANDMEMBER with a count gives an array in RESP3 since Redis 7.0, a set before.
    #[must_use]
    pub const fn has_random_members_as_array(self) -> bool {
        self.since_redis(7, 0)
    }

    /// The wording of LPOS's errors, as it is since Redis 7.0.
    #[must_use]
    pub const fn has_modern_lpos_errors(self) -> bool {
        self.since_redis(7, 0)
    }

    /// LPOS refuses a rank of `i64::MIN` since Redis 7.2.
    #[must_use]
    pub const fn checks_ranges_of_ranks(self) -> bool {
        self.since_redis(7, 2)
    }

    /// Doubles are the shortest text that reads back the same since Redis 7.2, `%.17g` before.
    #[must_use]
    pub const fn has_shortest_doubles(self) -> bool {
        self.since_redis(7, 2)
    }

    /// Scores, weights and coordinates may be in hexadecimal, except in Valkey since 9.0.
    #[must_use]
    pub const fn takes_hexadecimal_doubles(self) -> bool {
        matches!(self.family, Family::Redis) || !self.since((0, 0), (9, 0))
    }

    /// Bounds of scores with blanks in front, or in hexadecimal, are refused since Redis 8.0 and Valkey 9.0.
    #[must_use]
    pub const fn reads_scores_strictly(self) -> bool {
        self.since((8, 0), (9, 0))
    }

    /// SORT takes an empty weight for 0, and one that is out of range, except in Valkey since 9.0.
    #[must_use]
    pub const fn refuses_empty_weights(self) -> bool {
        matches!(self.family, Family::Valkey) && self.since((0, 0), (9, 0))
    }

    /// A negative LIMIT offset counts from the other end of the range in a large sorted set since Redis 7.4 and Valkey 8.0;
    /// before, and in a small one, it gives nothing.
    #[must_use]
    pub const fn has_negative_offsets(self) -> bool {
        self.since((7, 4), (8, 0))
    }

    /// ZRANGE takes the options of its relatives, and all read their options before their range, since Redis 6.2.
    #[must_use]
    pub const fn has_one_range_command(self) -> bool {
        self.since_redis(6, 2)
    }

    /// How many runs of stars a pattern may have before nothing matches it: the depth of `stringmatchlen`'s recursion has a bound
    /// since Redis 7.0, and in later releases of older lines.
    #[must_use]
    pub const fn stars_max(self) -> usize {
        if self.since_redis(7, 0) {
            1000
        } else {
            usize::MAX
        }
    }

    /// ZRANK takes WITHSCORE since Redis 7.2.
    #[must_use]
    pub const fn has_ranks_with_scores(self) -> bool {
        self.since_redis(7, 2)
    }

    /// Places are searched for by shape, and any of them will do, since Redis 6.2.
    #[must_use]
    pub const fn has_geo_shapes(self) -> bool {
        self.since_redis(6, 2)
    }

    /// Distances along a meridian are worked out in a shorter way, written with fewer steps, and units are taken in any letter
    /// case, since Redis 7.0.
    #[must_use]
    pub const fn has_quick_geo_distances(self) -> bool {
        self.since_redis(7, 0)
    }

    /// Valkey 9.0 searches in polygons, takes almost equal longitudes as equal, and names the member that is missing.
    #[must_use]
    pub const fn has_geo_polygons(self) -> bool {
        matches!(self.family, Family::Valkey) && self.since((0, 0), (9, 0))
    }

    /// Longitudes and latitudes are written as other doubles since Redis 8.0, with seventeen digits behind the point before and
    /// in Valkey.
    #[must_use]
    pub const fn has_short_coordinates(self) -> bool {
        matches!(self.family, Family::Redis) && self.since_redis(8, 0)
    }

    /// CONFIG takes bytes past 63 bits as the most there can be before Redis 7.0.
    #[must_use]
    pub const fn clamps_bytes(self) -> bool {
        !self.since_redis(7, 0)
    }

    /// CONFIG reads bytes past 64 bits as no number of bytes, not as one out of range, since Valkey 9.0.
    #[must_use]
    pub const fn refuses_overflowing_bytes(self) -> bool {
        matches!(self.family, Family::Valkey) && self.since((8, 0), (9, 0))
    }

    /// LCS refuses a table that is larger than a string may be since Redis 7.0; STRALGO had no limit.
    #[must_use]
    pub const fn limits_lcs_tables(self) -> bool {
        self.since_redis(7, 0)
    }

    /// SCAN's cursors may be negative, or the empty string, before Redis 7.4 and Valkey 8.0.
    #[must_use]
    pub const fn reads_cursors_strictly(self) -> bool {
        self.since((7, 4), (8, 0))
    }

    /// BITCOUNT and BITPOS take BYTE and BIT since Redis 7.0.
    #[must_use]
    pub const fn has_bit_ranges(self) -> bool {
        self.since_redis(7, 0)
    }

    /// BITCOUNT and BITPOS read their ranges before they look at the key since Redis 7.2.
    #[must_use]
    pub const fn reads_bit_ranges_first(self) -> bool {
        self.since_redis(7, 2)
    }

    /// BITCOUNT takes a start without an end since Valkey 8.0.
    #[must_use]
    pub const fn has_open_bit_counts(self) -> bool {
        matches!(self.family, Family::Valkey) && self.since((7, 2), (8, 0))
    }

    /// ZADD looks at the number of its members beforehand, as if all were new, since Redis 7.2.
    #[must_use]
    pub const fn counts_zadd_arguments(self) -> bool {
        self.since_redis(7, 2)
    }

    /// ZADD looks at the lengths of all its members beforehand since Valkey 8.1.
    #[must_use]
    pub const fn measures_zadd_arguments(self) -> bool {
        matches!(self.family, Family::Valkey) && self.since((7, 2), (8, 1))
    }
}

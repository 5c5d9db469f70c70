//! Which server's words we speak: replies differ between versions, and a reply must be the upstream's.
//!
//! The upstream names itself in the snapshot's aux fields (`redis-ver`, `valkey-ver`). Each difference is one
//! method here; no other room compares versions.

/// The server family of an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Redis.
    Redis,
    /// Valkey.
    Valkey,
}

/// A server family and its version (`major`, `minor`, `patch`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    /// Who wrote the snapshot.
    pub family: Family,
    /// Its version: major, minor, patch.
    pub version: (u8, u8, u8),
}

impl Default for Dialect {
    /// What is assumed before an upstream has named itself.
    fn default() -> Self {
        Self::redis(7, 0, 0)
    }
}

impl Dialect {
    /// A Redis of that version.
    #[must_use]
    pub const fn redis(major: u8, minor: u8, patch: u8) -> Self {
        Self {
            family: Family::Redis,
            version: (major, minor, patch),
        }
    }

    /// A Valkey of that version.
    #[must_use]
    pub const fn valkey(major: u8, minor: u8, patch: u8) -> Self {
        Self {
            family: Family::Valkey,
            version: (major, minor, patch),
        }
    }

    /// Parses the text of an aux field `redis-ver` or `valkey-ver`: `7.0.15`, `8.0.6`, also `255.255.255` and `9.0.0-rc1`.
    /// Gives `None` for text that is not two or three dotted numbers.
    #[must_use]
    pub fn parse(family: Family, text: &str) -> Option<Self> {
        let mut numbers = text.split('.').map(|part| {
            let digits = part.split('-').next().unwrap_or_default();
            digits.parse::<u8>().ok()
        });
        let major = numbers.next()??;
        let minor = numbers.next()??;
        let patch = numbers.next().flatten().unwrap_or(0);
        Some(Self {
            family,
            version: (major, minor, patch),
        })
    }

    /// Whether this is `family`'s release `major.minor` or later. Valkey forked from Redis 7.2, so every Valkey counts as Redis 7.2.
    #[must_use]
    pub const fn since_redis(self, major: u8, minor: u8) -> bool {
        let (own_major, own_minor) = match self.family {
            Family::Redis => (self.version.0, self.version.1),
            Family::Valkey => (7, 2),
        };
        own_major > major || (own_major == major && own_minor >= minor)
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
}

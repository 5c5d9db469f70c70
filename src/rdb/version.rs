//! The version in an RDB's header.

use std::fmt;

use crate::dialect::Dialect;

/// The newest Redis version of which this decoder knows every layout: that of Redis 8.10.
const REDIS_VERSION_MAX: u16 = 15;

/// The oldest version that is written, because it has streams and binary scores: that of Redis 5.0. Source: redis 5.0 rdb.h,
/// `RDB_VERSION`.
const REDIS_VERSION_PORTABLE: u16 = 9;

/// The first version that Valkey defined itself, and the newest of which this decoder knows every layout. Source: valkey 9.0
/// rdb.h, `RDB_VERSION`.
const VALKEY_VERSION: u16 = 80;

/// Who defined the format's version: the first word of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Magic {
    /// `REDIS` and four digits.
    Redis,
    /// `VALKEY` and three digits.
    Valkey,
}

/// The version in an RDB's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// Whose numbering it is.
    pub magic: Magic,
    /// The number.
    pub number: u16,
}

impl Version {
    /// The version that most servers load: `REDIS0009`, which Redis 5.0 to 6.2 write and every later Redis and every Valkey load. It
    /// has neither function libraries nor field expiries.
    pub const PORTABLE: Self = Self {
        magic: Magic::Redis,
        number: REDIS_VERSION_PORTABLE,
    };

    /// The newest version of Redis of which every layout is known.
    pub(crate) const NEWEST: Self = Self {
        magic: Magic::Redis,
        number: REDIS_VERSION_MAX,
    };

    /// Parses a header's nine bytes.
    pub(super) fn parse(header: &[u8]) -> Option<Self> {
        let (magic, digits) = match header.strip_prefix(b"REDIS") {
            Some(digits) => (Magic::Redis, digits),
            None => (Magic::Valkey, header.strip_prefix(b"VALKEY")?),
        };
        let all = digits.iter().all(u8::is_ascii_digit);
        let number = std::str::from_utf8(digits)
            .ok()
            .filter(|_| all)?
            .parse()
            .ok()?;
        Some(Self { magic, number })
    }

    /// Returns the version of a DUMP payload, which states only the number.
    #[doc(hidden)]
    #[must_use]
    pub fn of_payload(number: u16) -> Self {
        let magic = if number < VALKEY_VERSION {
            Magic::Redis
        } else {
            Magic::Valkey
        };
        Self { magic, number }
    }

    /// Whether some server writes this version, or may in future.
    #[must_use]
    pub(super) fn exists(self) -> bool {
        match self.magic {
            Magic::Redis => self.number >= 1,
            Magic::Valkey => self.number >= VALKEY_VERSION,
        }
    }

    /// Whether this decoder knows every layout of this version. A newer version may have records that it does not know; those
    /// that it knows are read the same, because servers give each new layout a number of its own.
    #[must_use]
    pub(crate) fn is_known(self) -> bool {
        match self.magic {
            Magic::Redis => self.number <= REDIS_VERSION_MAX,
            Magic::Valkey => self.number <= VALKEY_VERSION,
        }
    }

    /// Whether every layout that redtail writes in this version is one of that version's.
    #[must_use]
    pub(crate) fn is_writable(self) -> bool {
        let is_old = matches!(self.magic, Magic::Redis) && self.number < REDIS_VERSION_PORTABLE;
        self.exists() && self.is_known() && !is_old
    }

    /// Whether servers of this version load empty collections. Redis 7.0 and later skip them. An older primary can create one,
    /// with a HINCRBYFLOAT that fails on a new key.
    /// Source: redis 7.0 rdb.c, `emptykey` in `rdbLoadObject`.
    #[must_use]
    pub(crate) fn keeps_empty_collections(self) -> bool {
        matches!(self.magic, Magic::Redis) && self.number < 10
    }

    /// Whether servers of this version know opcode 244, which marks the start of a cluster slot's keys.
    pub(super) fn has_slots(self) -> bool {
        matches!(self.magic, Magic::Valkey) || self.number >= 12
    }

    /// The server that is assumed to have written the file if the file does not say.
    #[must_use]
    pub(crate) const fn dialect(self) -> Dialect {
        match (self.magic, self.number) {
            (Magic::Valkey, _) => Dialect::valkey(9, 0, 0),
            (Magic::Redis, ..=9) => Dialect::redis(6, 0, 0),
            (Magic::Redis, 10) => Dialect::redis(7, 0, 0),
            (Magic::Redis, 11) => Dialect::redis(7, 2, 0),
            (Magic::Redis, 12) => Dialect::redis(8, 0, 0),
            (Magic::Redis, 13) => Dialect::redis(8, 6, 0),
            (Magic::Redis, 14) => Dialect::redis(8, 8, 0),
            (Magic::Redis, _) => Dialect::redis(8, 10, 0),
        }
    }

    /// Whether a checksum follows the EOF opcode.
    pub(crate) fn has_checksum(self) -> bool {
        self.number >= 5
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.magic {
            Magic::Redis => write!(f, "REDIS{:04}", self.number),
            Magic::Valkey => write!(f, "VALKEY{:03}", self.number),
        }
    }
}

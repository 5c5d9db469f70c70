//! Which server redtail imitates: replies differ between versions, and a reply must be the upstream's.
//!
//! The upstream names itself in the snapshot's aux fields (`redis-ver`, `valkey-ver`). Each difference is one method here, in
//! the file for its topic. No other module compares versions.

mod arrays;
mod events;
mod link;
mod scripts;
mod server;
mod snapshots;
mod streams;
mod values;

pub use arrays::LastItems;
pub use scripts::ScriptErrors;
pub use snapshots::Flaw;
pub use streams::OldestGroup;

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
    /// The family of the server that wrote the snapshot.
    pub family: Family,
    /// Its version: major, minor, patch.
    pub version: (u8, u8, u8),
}

/// Which servers have a command: since which Redis, and since which Valkey.
///
/// Valkey forked from Redis 7.2, so every Valkey has what Redis had then. Anything that either added later exists in the other
/// only where that is stated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Presence {
    redis: (u8, u8),
    valkey: (u8, u8),
    /// The first Redis that no longer has it.
    gone: (u8, u8),
}

/// Later than any version.
const NEVER: (u8, u8) = (u8::MAX, u8::MAX);

impl Presence {
    /// In every server.
    pub const ALWAYS: Self = Self {
        redis: (0, 0),
        valkey: (0, 0),
        gone: NEVER,
    };

    /// In Redis since version `text` (`6.2.0`). Also in every Valkey, unless that version is later than the fork.
    #[must_use]
    pub const fn since(text: &str) -> Self {
        let redis = major_and_minor(text);
        let valkey = if at_least(redis, (7, 3)) {
            NEVER
        } else {
            (0, 0)
        };
        Self {
            redis,
            valkey,
            gone: NEVER,
        }
    }

    /// Also in Valkey, since version `text`.
    #[must_use]
    pub const fn and_valkey(mut self, text: &str) -> Self {
        self.valkey = major_and_minor(text);
        self
    }

    /// In no Redis.
    #[must_use]
    pub const fn without_redis(mut self) -> Self {
        self.redis = NEVER;
        self
    }

    /// No longer in Redis since version `text`, and not in Valkey.
    #[must_use]
    pub const fn until(mut self, text: &str) -> Self {
        self.gone = major_and_minor(text);
        self.valkey = NEVER;
        self
    }
}

/// Returns the first two numbers of a version. Evaluated at compile time, for the rows of the command table.
const fn major_and_minor(text: &str) -> (u8, u8) {
    let (mut rest, mut numbers, mut at) = (text.as_bytes(), [0u8; 2], 0);
    while let [byte, after @ ..] = rest {
        rest = after;
        match *byte {
            b'0'..=b'9' if at == 0 => numbers[0] = numbers[0] * 10 + (*byte - b'0'),
            b'0'..=b'9' if at == 1 => numbers[1] = numbers[1] * 10 + (*byte - b'0'),
            _ => at += 1,
        }
    }
    (numbers[0], numbers[1])
}

const fn at_least(version: (u8, u8), least: (u8, u8)) -> bool {
    version.0 > least.0 || (version.0 == least.0 && version.1 >= least.1)
}

impl Default for Dialect {
    /// The dialect assumed until an upstream has named itself.
    fn default() -> Self {
        Self::redis(7, 0, 0)
    }
}

impl Dialect {
    /// Redis in this version.
    #[must_use]
    pub const fn redis(major: u8, minor: u8, patch: u8) -> Self {
        Self {
            family: Family::Redis,
            version: (major, minor, patch),
        }
    }

    /// Valkey in this version.
    #[must_use]
    pub const fn valkey(major: u8, minor: u8, patch: u8) -> Self {
        Self {
            family: Family::Valkey,
            version: (major, minor, patch),
        }
    }

    /// Parses a name written by an operator: `redis-7.0`, `redis-7.2.4`, `valkey-9.1.2`. Returns `None` for anything else.
    #[must_use]
    pub fn named(text: &str) -> Option<Self> {
        let (family, version) = text.split_once('-')?;
        let family = match family {
            "redis" => Family::Redis,
            "valkey" => Family::Valkey,
            _ => return None,
        };
        Self::parse(family, version)
    }
}

#[doc(hidden)]
impl Dialect {
    /// Parses the text of an aux field `redis-ver` or `valkey-ver`: `7.0.15`, `8.0.6`, also `255.255.255` and `9.0.0-rc1`.
    /// Returns `None` for text that is not two or three dotted numbers.
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

    /// Returns the dialect known after one more aux field of a snapshot, where `known` is the dialect known before it. A Valkey
    /// also names the Redis that it resembles; its own name takes precedence.
    #[must_use]
    pub fn after_aux(known: Option<Self>, name: &[u8], value: &[u8]) -> Option<Self> {
        let named = |family| Self::parse(family, std::str::from_utf8(value).ok()?);
        match name {
            b"redis-ver" => known.or_else(|| named(Family::Redis)),
            b"valkey-ver" => named(Family::Valkey).or(known),
            _ => known,
        }
    }

    /// Whether this server has something with the given presence.
    #[must_use]
    #[inline]
    pub const fn has(self, what: Presence) -> bool {
        let version = (self.version.0, self.version.1);
        match self.family {
            Family::Redis => at_least(version, what.redis) && !at_least(version, what.gone),
            Family::Valkey => at_least(version, what.valkey),
        }
    }

    /// Returns the letters of the servers in the command catalogue that can stand in for this one, nearest first.
    #[must_use]
    pub const fn catalogue_columns(self) -> &'static str {
        match (self.family, self.version) {
            (Family::Redis, (..=6, ..)) => "67482Vwv9",
            (Family::Redis, (7, ..=3, _)) => "7482vwV96",
            (Family::Redis, (7, ..)) => "4872vwV96",
            (Family::Redis, (8, 0..=1, _)) => "8247Vwv96",
            (Family::Redis, (8, 2..=3, _)) => "2984Vw7v6",
            (Family::Redis, (8, ..=5, _)) => "9284Vw7v6",
            (Family::Redis, _) => "x9284Vw7v6",
            (Family::Valkey, (..=8, ..)) => "vwV748296",
            (Family::Valkey, (9, 0, _)) => "wVv824796",
            (Family::Valkey, _) => "Vwv824796",
        }
    }

    /// Returns the letter of the server nearest to this one, among those that were queried.
    #[must_use]
    pub const fn asked_server(self) -> char {
        match (self.family, self.version) {
            (Family::Redis, (..=6, ..)) => '6',
            (Family::Redis, (7, ..=3, _)) => '7',
            (Family::Redis, (7, ..)) => '4',
            (Family::Redis, (8, ..=1, _)) => '8',
            (Family::Redis, _) => '2',
            (Family::Valkey, (..=8, ..)) => 'v',
            (Family::Valkey, (9, 0, _)) => 'w',
            (Family::Valkey, _) => 'V',
        }
    }

    /// Whether this server is Redis `major.minor` or later. Valkey forked from Redis 7.2, so every Valkey counts as Redis 7.2.
    #[must_use]
    pub const fn since_redis(self, major: u8, minor: u8) -> bool {
        let (own_major, own_minor) = match self.family {
            Family::Redis => (self.version.0, self.version.1),
            Family::Valkey => (7, 2),
        };
        own_major > major || (own_major == major && own_minor >= minor)
    }

    /// Returns the aux field with which the server's snapshots name their writer, and its value.
    #[must_use]
    pub fn aux(self) -> (&'static [u8], String) {
        let (major, minor, patch) = self.version;
        let name: &[u8] = match self.family {
            Family::Redis => b"redis-ver",
            Family::Valkey => b"valkey-ver",
        };
        (name, format!("{major}.{minor}.{patch}"))
    }

    /// Returns the version of the snapshots and DUMP payloads that the server writes.
    ///
    /// Source: rdb.h, `RDB_VERSION`, of Redis 2.6 to 8.10 and Valkey 8.1 and 9.1.
    #[must_use]
    pub const fn rdb_version(self) -> u16 {
        match (self.family, self.version) {
            (Family::Valkey, (9.., ..)) => 80,
            (Family::Valkey, _) => 11,
            (Family::Redis, (8, 10.., _) | (9.., ..)) => 15,
            (Family::Redis, (8, 8.., _)) => 14,
            (Family::Redis, (8, 6.., _)) => 13,
            (Family::Redis, (7, 4.., _) | (8, ..)) => 12,
            (Family::Redis, (7, 2.., _)) => 11,
            (Family::Redis, (7, ..)) => 10,
            (Family::Redis, (5 | 6, ..)) => 9,
            (Family::Redis, (4, ..)) => 8,
            (Family::Redis, (3, 2.., _)) => 7,
            (Family::Redis, _) => 6,
        }
    }

    /// Whether this server is Redis `redis` or later, or Valkey `valkey` or later. Each is a major and a minor number.
    const fn since(self, redis: (u8, u8), valkey: (u8, u8)) -> bool {
        let (major, minor, _) = self.version;
        let (least_major, least_minor) = match self.family {
            Family::Redis => redis,
            Family::Valkey => valkey,
        };
        major > least_major || (major == least_major && minor >= least_minor)
    }
}

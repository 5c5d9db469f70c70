//! The classes of keyspace events.

/// Classes of keyspace events, as `notify-keyspace-events` selects them.
///
/// Source: the `NOTIFY_` flags in server.h of redis 7.0 and 8.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Class(u32);

impl Class {
    /// No class: an event that servers do not publish.
    pub const NONE: Self = Self(0);
    /// `K`: publish on `__keyspace@<db>__:<key>`.
    pub const KEYSPACE: Self = Self(1 << 0);
    /// `E`: publish on `__keyevent@<db>__:<event>`.
    pub const KEYEVENT: Self = Self(1 << 1);
    /// `g`: commands that are not for one type.
    pub const GENERIC: Self = Self(1 << 2);
    /// `$`: strings.
    pub const STRING: Self = Self(1 << 3);
    /// `l`: lists.
    pub const LIST: Self = Self(1 << 4);
    /// `s`: sets.
    pub const SET: Self = Self(1 << 5);
    /// `h`: hashes.
    pub const HASH: Self = Self(1 << 6);
    /// `z`: sorted sets.
    pub const ZSET: Self = Self(1 << 7);
    /// `x`: keys that expired.
    pub const EXPIRED: Self = Self(1 << 8);
    /// `e`: keys that were evicted.
    pub const EVICTED: Self = Self(1 << 9);
    /// `t`: streams.
    pub const STREAM: Self = Self(1 << 10);
    /// `m`: reads of absent keys.
    pub const KEY_MISS: Self = Self(1 << 11);
    /// `d`: keys of module types.
    pub const MODULE: Self = Self(1 << 13);
    /// `n`: keys that did not exist before.
    pub const NEW: Self = Self(1 << 14);
    /// `o`: keys whose value was replaced.
    pub const OVERWRITTEN: Self = Self(1 << 15);
    /// `c`: keys whose type changed.
    pub const TYPE_CHANGED: Self = Self(1 << 16);
    /// `a`: arrays.
    pub const ARRAY: Self = Self(1 << 17);

    /// The flags as bits.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// The flags with these [`bits`](Self::bits).
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The classes that are in both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Both sets of classes.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the two sets share a class.
    #[must_use]
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether all classes of `other` are among these.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether there is no class.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

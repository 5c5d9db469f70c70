//! What a listener listens for.

/// A set of kinds of facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Interest(u32);

impl Interest {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// What happened to keys, by event.
    pub const EVENTS: Self = Self(1 << 0);
    /// Keys whose cached values are wrong.
    pub const TOUCHES: Self = Self(1 << 1);
    /// Messages.
    pub const MESSAGES: Self = Self(1 << 2);
    /// The writes themselves.
    pub const COMMANDS: Self = Self(1 << 3);

    /// Reads of absent keys: those of writes in the stream as events, those of clients through [`on_miss`](super::Feed::on_miss).
    pub const MISSES: Self = Self(1 << 4);

    pub(super) const fn bits(self) -> u32 {
        self.0
    }

    pub(super) const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// Both sets.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether there is anything of interest.
    #[must_use]
    #[inline]
    pub const fn any(self) -> bool {
        self.0 != 0
    }

    /// Whether everything in `other` is of interest.
    #[must_use]
    #[inline]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether keys are of interest: events or touches.
    #[must_use]
    #[inline]
    pub const fn keys(self) -> bool {
        self.0 & (Self::EVENTS.0 | Self::TOUCHES.0) != 0
    }
}

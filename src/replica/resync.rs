//! When and how a full sync's snapshot takes the place of what is served.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How many copies of the data a full sync may need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(
    feature = "cli",
    derive(serde::Deserialize, clap::ValueEnum),
    serde(rename_all = "kebab-case")
)]
pub enum ResyncMemory {
    /// The old data is served until the new is whole.
    #[default]
    TwoCopies,
    /// The old data is given up as soon as the new begins to come: clients get LOADING until it is whole.
    OneCopy,
}

/// What a full sync may do to what is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResyncPolicy {
    /// How many copies there may be.
    pub memory: ResyncMemory,
    /// A snapshot of another history is held back if it has fewer keys than this share of those served, in percent. 0 for
    /// never, as after a primary that comes back empty: with it, its replicas would be empty, too.
    pub guard_percent: u8,
    /// How long it is held back at most.
    pub guard_patience: Duration,
}

/// Long enough for a person to be woken, short enough for the stream to wait in the spool.
const GUARD_PATIENCE: Duration = Duration::from_secs(600);

impl Default for ResyncPolicy {
    fn default() -> Self {
        Self {
            memory: ResyncMemory::default(),
            guard_percent: 0,
            guard_patience: GUARD_PATIENCE,
        }
    }
}

impl ResyncPolicy {
    /// Whether a snapshot of `keys` keys in place of `served` ones asks for a confirmation.
    pub(super) const fn suspects(&self, keys: usize, served: usize) -> bool {
        // u128: no product of a key count and a percentage leaves it.
        (keys as u128) * 100 < (served as u128) * self.guard_percent as u128
    }
}

/// Where someone says that a snapshot which is held back is right.
#[derive(Debug, Default)]
pub(super) struct Confirmation(AtomicBool);

impl Confirmation {
    pub(super) fn give(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether it was given since it was last looked for.
    pub(super) fn take(&self) -> bool {
        self.0.swap(false, Ordering::AcqRel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_share_below_the_guards_is_suspect() {
        let guard = |guard_percent| ResyncPolicy {
            guard_percent,
            ..ResyncPolicy::default()
        };
        assert!(guard(50).suspects(49, 100));
        assert!(!guard(50).suspects(50, 100));
        assert!(guard(1).suspects(0, 1));
        assert!(!guard(50).suspects(0, 0));
        assert!(!guard(0).suspects(0, usize::MAX));
        assert!(guard(100).suspects(usize::MAX - 1, usize::MAX));
    }
}

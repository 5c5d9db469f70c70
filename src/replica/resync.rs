//! When and how a full sync's snapshot replaces the served data.

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
    /// The old data is served until the new data is complete.
    #[default]
    TwoCopies,
    /// The old data is discarded as soon as the new data starts to arrive: clients get LOADING until it is complete.
    OneCopy,
}

/// What a full sync may do to the served data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResyncPolicy {
    /// How many copies of the data there may be.
    pub memory: ResyncMemory,
    /// A snapshot of another history is held back if its number of keys is below this percentage of the served keys. This
    /// protects against a primary that comes back empty, which would leave its replicas empty, too. 0 turns the guard off.
    pub guard_percent: u8,
    /// The longest time that a snapshot is held back.
    pub guard_patience: Duration,
}

/// Long enough to wake a person, short enough for the stream to wait in the spool.
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
    /// Whether a snapshot of `keys` keys in place of `served` keys needs a confirmation.
    pub(super) const fn suspects(&self, keys: usize, served: usize) -> bool {
        // u128, so that the product of a key count and a percentage does not overflow.
        (keys as u128) * 100 < (served as u128) * self.guard_percent as u128
    }
}

/// Records that someone has confirmed a snapshot that is held back.
#[derive(Debug, Default)]
pub(super) struct Confirmation(AtomicBool);

impl Confirmation {
    pub(super) fn give(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether a confirmation was given since the last call.
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

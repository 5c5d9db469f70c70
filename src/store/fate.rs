//! What may become of a read or a write, besides its own result.

use super::migrating::Migrating;
use super::ownership::Moving;
use super::taint::Tainted;

/// The worst that happened to a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fate {
    /// Nothing.
    Sound,
    /// It hid a key that has not expired, because the sweeper discarded its value when it had: the clock was set back, or
    /// the primary removed the expiry.
    Lost,
    /// It did not find a key that another shard of the cluster may have.
    Moving,
    /// It asked for a key whose shard is not held, and got nothing.
    Unheld,
}

/// Why a read has no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The value is not known.
    #[error(transparent)]
    Tainted(#[from] Tainted),
    /// The key is hidden.
    #[error(transparent)]
    Migrating(#[from] Migrating),
    /// Another shard of the cluster may have the key.
    #[error(transparent)]
    Moving(#[from] Moving),
    /// The read asked for a key that it had not locked, which might have read as absent. Only a wrong row of the command
    /// table can cause this.
    #[error(
        "ERR redtail asked for a key that it had not locked, so the reply might be wrong; please report this"
    )]
    Unheld,
}

#[cold]
pub(super) const fn refused(fate: Fate) -> Refusal {
    match fate {
        Fate::Unheld => Refusal::Unheld,
        Fate::Moving => Refusal::Moving(Moving),
        Fate::Sound | Fate::Lost => Refusal::Tainted(Tainted),
    }
}

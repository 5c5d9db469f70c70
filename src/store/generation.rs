//! What is being served: one generation, swapped whole.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use bytes::Bytes;

use super::keyspaces::Keyspaces;
use crate::dialect::Dialect;
use crate::value::Thresholds;

/// All that one full sync brought, and what the stream made of it.
#[derive(Debug)]
pub struct Generation {
    /// The databases.
    pub spaces: Keyspaces,
    /// Who wrote the snapshot.
    pub dialect: Dialect,
    /// Where that server's small encodings end.
    pub thresholds: Thresholds,
    /// The function libraries of the snapshot: their source text.
    pub functions: Vec<Bytes>,
}

/// The generation that readers see; none before the first sync.
#[derive(Debug, Default)]
pub struct Served(ArcSwapOption<Generation>);

impl Served {
    /// The generation to answer from, `None` while the first one loads.
    #[must_use]
    pub fn current(&self) -> Option<Arc<Generation>> {
        self.0.load_full()
    }

    /// As [`current`](Self::current), cheaper, for the length of one pipeline.
    #[must_use]
    pub fn peek(&self) -> arc_swap::Guard<Option<Arc<Generation>>> {
        self.0.load()
    }

    /// Serves `generation` from now on. The old one lives as long as a reader still holds it.
    pub fn swap_in(&self, generation: Arc<Generation>) -> Option<Arc<Generation>> {
        self.0.swap(Some(generation))
    }
}

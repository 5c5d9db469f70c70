//! What is being served: one generation, swapped whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwapOption;

use super::keyspaces::Keyspaces;
use super::tuning::Tuning;
use crate::dialect::Dialect;
use crate::rdb::module::ModuleAux;
use crate::value::Thresholds;

/// All that one full sync brought, and what the stream made of it.
#[derive(Debug)]
pub struct Generation {
    /// The databases.
    pub spaces: Keyspaces,
    /// Whose words replies are in: by default, who wrote the snapshot.
    pub dialect: Dialect,
    /// Who wrote the snapshot.
    pub written_by: Dialect,
    /// The operator's settings of its encodings.
    pub tuning: Arc<Tuning>,
    /// What modules keep beside the keys, in the snapshot's order.
    pub module_aux: Vec<ModuleAux>,
}

impl Generation {
    /// An empty one.
    #[must_use]
    pub fn new(databases: usize, dialect: Dialect, tuning: Arc<Tuning>) -> Self {
        Self {
            spaces: Keyspaces::new(databases),
            dialect,
            written_by: dialect,
            tuning,
            module_aux: Vec::new(),
        }
    }

    /// Where small encodings end now.
    #[must_use]
    pub fn thresholds(&self) -> Thresholds {
        self.tuning.choices().thresholds(self.dialect)
    }
}

/// Where changes come from, for readers who want to see all that has arrived.
pub trait Inflow: std::fmt::Debug + Send + Sync {
    /// Waits until all that has arrived is visible, if that is likely to be soon.
    fn catch_up(&self);
}

/// The generation that readers see, none before the first sync; and the settings of all generations.
#[derive(Debug, Default)]
pub struct Served {
    current: ArcSwapOption<Generation>,
    /// Whether there was something before, and was given up to make room.
    cleared: AtomicBool,
    /// Whether it is too long ago that what is served was proven to lack nothing.
    stale: AtomicBool,
    tuning: Arc<Tuning>,
    inflow: Option<Arc<dyn Inflow>>,
}

impl Served {
    /// Nothing yet, with settings for what is to come.
    #[must_use]
    pub fn new(tuning: Arc<Tuning>) -> Self {
        Self {
            current: ArcSwapOption::default(),
            cleared: AtomicBool::new(false),
            stale: AtomicBool::new(false),
            tuning,
            inflow: None,
        }
    }

    /// With what its changes come from.
    #[must_use]
    pub fn with_inflow(mut self, inflow: Arc<dyn Inflow>) -> Self {
        self.inflow = Some(inflow);
        self
    }

    /// Waits until all that has arrived is visible, if that is likely to be soon: for a request that may have been sent after a
    /// write whose effect its client expects to see.
    #[inline]
    pub fn catch_up(&self) {
        if let Some(inflow) = &self.inflow {
            inflow.catch_up();
        }
    }

    /// The operator's settings.
    #[must_use]
    pub const fn tuning(&self) -> &Arc<Tuning> {
        &self.tuning
    }

    /// The generation to answer from, `None` while the first one loads.
    #[must_use]
    pub fn current(&self) -> Option<Arc<Generation>> {
        self.current.load_full()
    }

    /// As [`current`](Self::current), cheaper, for the length of one pipeline.
    #[must_use]
    pub fn peek(&self) -> arc_swap::Guard<Option<Arc<Generation>>> {
        self.current.load()
    }

    /// Serves `generation` from now on. The old one lives as long as a reader still holds it.
    pub fn swap_in(&self, generation: Arc<Generation>) -> Option<Arc<Generation>> {
        self.current.swap(Some(generation))
    }

    /// Serves nothing until the next [`swap_in`](Self::swap_in).
    pub fn clear(&self) -> Option<Arc<Generation>> {
        let old = self.current.swap(None);
        self.cleared.fetch_or(old.is_some(), Ordering::Relaxed);
        old
    }

    /// Says whether reads are to be refused because what is served may lack too much; gives what was said before.
    pub fn set_stale(&self, stale: bool) -> bool {
        self.stale.swap(stale, Ordering::Relaxed)
    }

    /// Whether reads are to be refused for that.
    #[must_use]
    #[inline]
    pub fn is_stale(&self) -> bool {
        self.stale.load(Ordering::Relaxed)
    }

    /// Whether something was served before, where nothing is now.
    #[must_use]
    pub fn was_cleared(&self) -> bool {
        self.cleared.load(Ordering::Relaxed)
    }
}

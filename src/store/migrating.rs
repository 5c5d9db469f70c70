//! Slots whose keys are hidden while a cluster migrates them.
//!
//! A cluster's server that takes slots over from another gets their keys first and the slots at the end. Until then it does
//! not serve those keys, and neither do its replicas: walks and counts leave them out, and a client that asks for one is sent
//! elsewhere. redtail answers with an error of its own, because it knows no other server. The stream's commands see all keys.
//!
//! Source: valkey 9.1 cluster_migrateslots.c and kvstore.c, `kvstoreSetIsImporting`; redis 8.4 cluster_asm.c and db.c,
//! `accessKeysShouldSkipDictIndex`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;

use crate::slots::ClusterSlots;

/// Maximum number of migrations at a time: far more than a cluster runs. Beyond it, everything counts as tainted.
const JOBS_MAX: usize = 1024;

/// Maximum bytes of a migration's name. Servers give names of 40.
const NAME_BYTES_MAX: usize = 256;

/// The key's slot is being migrated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "TAINTED the cluster is migrating the slot of this key; the key answers again when the migration has ended"
)]
pub struct Migrating;

/// The hidden slots of a generation.
#[derive(Debug, Default)]
pub struct Hidden {
    /// All slots of `jobs`; `None` if there are none.
    slots: ArcSwapOption<ClusterSlots>,
    jobs: Mutex<Vec<(Box<[u8]>, ClusterSlots)>>,
}

impl Hidden {
    /// The hidden slots; `None` if there are none.
    #[must_use]
    pub fn slots(&self) -> Option<Arc<ClusterSlots>> {
        self.slots.load_full()
    }

    /// Whether readers must not see a key.
    #[must_use]
    pub fn has(&self, key: &[u8]) -> bool {
        let slots = self.slots.load();
        slots.as_ref().is_some_and(|slots| slots.hold(key))
    }

    /// The migrations, by name.
    #[must_use]
    pub fn jobs(&self) -> Vec<(Box<[u8]>, ClusterSlots)> {
        self.lock().clone()
    }

    /// Hides the slots of a migration from now on, those that it was known to have included. Returns false if there is no
    /// room to remember it.
    pub(super) fn hide(&self, job: &[u8], slots: &ClusterSlots) -> bool {
        let mut jobs = self.lock();
        if let Some((_, known)) = jobs.iter_mut().find(|(name, _)| **name == *job) {
            known.add_all(slots);
        } else if jobs.len() < JOBS_MAX && job.len() <= NAME_BYTES_MAX {
            jobs.push((job.into(), slots.clone()));
        } else {
            return false;
        }
        self.publish(&mut jobs);
        true
    }

    /// Shows what a migration has hidden.
    pub(super) fn show(&self, job: &[u8]) {
        let mut jobs = self.lock();
        jobs.retain(|(name, _)| **name != *job);
        self.publish(&mut jobs);
    }

    /// Shows some slots, whichever migration has hidden them.
    pub(super) fn show_slots(&self, slots: &ClusterSlots) {
        let mut jobs = self.lock();
        jobs.iter_mut()
            .for_each(|(_, hidden)| hidden.remove_all(slots));
        self.publish(&mut jobs);
    }

    fn publish(&self, jobs: &mut Vec<(Box<[u8]>, ClusterSlots)>) {
        jobs.retain(|(_, slots)| !slots.is_empty());
        let mut all = ClusterSlots::default();
        jobs.iter().for_each(|(_, slots)| all.add_all(slots));
        self.slots.store((!jobs.is_empty()).then(|| Arc::new(all)));
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Box<[u8]>, ClusterSlots)>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

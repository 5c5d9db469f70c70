//! The right to change the store.

use std::sync::Arc;

use super::attached::Attached;
use super::fetch::KeyHash;
use super::gate::Turn;
use super::generation::{Generation, Served};
use super::keyspaces::Keyspaces;
use super::libraries::Libraries;
use super::loader::Loader;
use super::locks::{Slot, gather};
use super::migrating::Hidden;
use super::sweep::Sweeper;
use super::taint::Doubt;
use super::tx::Tx;
use crate::slots::ClusterSlots;

/// The right to change the store. Each [`Served`] comes with one, the replica's writer thread keeps it, and nothing else
/// leads to a change: a reader that holds `Served`, a [`Generation`] or its [`Keyspaces`] cannot write, whatever it calls.
///
/// ```compile_fail
/// # use redtail::internal::store::WriteToken;
/// let _another = WriteToken(());
/// ```
#[derive(Debug)]
pub struct WriteToken(());

impl WriteToken {
    pub(super) const fn new() -> Self {
        Self(())
    }

    /// A token out of nowhere, for tests and benches.
    #[cfg(any(test, feature = "testing"))]
    #[must_use]
    pub fn for_tests() -> &'static Self {
        static TOKEN: WriteToken = WriteToken::new();
        &TOKEN
    }

    /// Holds `slots`, working in database `db`.
    #[must_use]
    pub fn write<'a>(
        &self,
        spaces: &'a Keyspaces,
        db: usize,
        slots: impl IntoIterator<Item = Slot>,
    ) -> Tx<'a> {
        gather(
            |gathered| gathered.extend(slots),
            |slots| Tx::new(spaces, db, slots),
        )
    }

    /// Like [`write`](Self::write), but on a single `key` of database `db`, whose hash is `hash`.
    #[must_use]
    #[inline]
    pub fn write_key<'a>(
        &self,
        spaces: &'a Keyspaces,
        db: usize,
        key: &'a [u8],
        hash: KeyHash,
    ) -> Tx<'a> {
        Tx::of_key(spaces, db, key, hash)
    }

    /// States that the changes from now on become visible at `offset`, for readers that hold everything and ask where they are.
    #[inline]
    pub fn announce(&self, spaces: &Keyspaces, offset: u64) {
        spaces.announce(offset);
    }

    /// Makes all that is [written](Self::write) while the returned value lives one turn of the writer: readers that come
    /// in the meantime for a shard the writer had to wait for get in when the turn ends. Write no more in one turn than a
    /// reader can reasonably wait for.
    pub fn turn<'a>(&self, spaces: &'a Keyspaces) -> Turn<'a> {
        Turn::begin(spaces.gate())
    }

    /// Makes database `db` exist, because the upstream uses it. Returns false and changes nothing if there is no room for
    /// it, that is, if it is past both [`DATABASES_GROWN_MAX`](super::DATABASES_GROWN_MAX) and the configured number.
    pub fn grow_to(&self, spaces: &Keyspaces, db: usize) -> bool {
        spaces.grow_to(db)
    }

    /// Loads keys into a generation that nobody reads yet.
    #[must_use]
    pub fn loader<'a>(&self, spaces: &'a Keyspaces) -> Loader<'a> {
        Loader::new(spaces)
    }

    /// Replaces the function libraries.
    pub fn set_libraries(&self, spaces: &Keyspaces, libraries: Libraries) {
        spaces.set_libraries(libraries);
    }

    /// Keeps a script that the upstream has sent, under its digest.
    pub fn keep_script(&self, spaces: &Keyspaces, digits: &str, code: &[u8]) {
        spaces.scripts().keep(digits, code);
    }

    /// Discards the scripts that the upstream has sent.
    pub fn clear_scripts(&self, spaces: &Keyspaces) {
        spaces.scripts().clear();
    }

    /// Taints a key of a generation that nobody reads yet.
    pub fn taint(&self, spaces: &Keyspaces, db: usize, key: &[u8], doubt: Doubt) {
        spaces.taints().add(db, key, doubt);
    }

    /// Sets what a module has attached to a key of a generation that nobody reads yet.
    pub fn attach(&self, spaces: &Keyspaces, db: usize, key: &[u8], data: Attached) {
        spaces.attached().set(db, key, data);
    }

    /// Taints all keys of all databases.
    pub fn taint_everything(&self, spaces: &Keyspaces) {
        spaces.taints().add_everything();
    }

    /// Hides the keys of `slots` from readers, because `job` is migrating them. Call [`end_migration`](Self::end_migration)
    /// or [`show_slots`](Self::show_slots) when they may be seen. A repeated call adds slots to the job. If there are too many
    /// jobs to remember, everything is tainted.
    pub fn begin_migration(&self, spaces: &Keyspaces, job: &[u8], slots: &ClusterSlots) {
        change_hidden(spaces, |hidden| hidden.hide(job, slots));
    }

    /// Shows the keys that `job` has hidden; does nothing if there is no such job.
    pub fn end_migration(&self, spaces: &Keyspaces, job: &[u8]) {
        change_hidden(spaces, |hidden| {
            hidden.show(job);
            true
        });
    }

    /// Shows the keys of `slots`, whichever job has hidden them.
    pub fn show_slots(&self, spaces: &Keyspaces, slots: &ClusterSlots) {
        change_hidden(spaces, |hidden| {
            hidden.show_slots(slots);
            true
        });
    }

    /// States that `spaces` holds a snapshot of `offset`, before anyone reads it.
    pub fn begin_at(&self, spaces: &Keyspaces, offset: u64) {
        spaces.begin_at(offset);
    }

    /// Serves `generation` from now on. Returns the old one, which lives as long as a reader still holds it.
    pub fn serve(&self, served: &Served, generation: Arc<Generation>) -> Option<Arc<Generation>> {
        served.exchange(Some(generation))
    }

    /// Serves nothing until the next [`serve`](Self::serve). Returns the old generation.
    pub fn clear(&self, served: &Served) -> Option<Arc<Generation>> {
        served.exchange(None)
    }

    /// A walk that discards the values of keys that expired long ago.
    #[must_use]
    pub fn sweeper(&self) -> Sweeper {
        Sweeper::new()
    }
}

/// Changes what is hidden. Walks that have begun run again, and whoever watches or waits for a key asks again.
fn change_hidden(spaces: &Keyspaces, change: impl FnOnce(&Hidden) -> bool) {
    let taints = spaces.taints();
    taints.begin_change();
    taints.change_hidden(change);
    taints.end_change();
    if spaces.feed().interest().keys() {
        spaces.feed().note_replacement(false);
    }
    spaces.waiters().wake_all();
    spaces.watches().touch_all();
}

/// Shorter ways to write, for tests and benches.
#[cfg(any(test, feature = "testing"))]
mod testing {
    use super::{Arc, Generation, Keyspaces, Served, Slot, Tx, WriteToken};
    use crate::store::Taints;

    impl Taints {
        /// Removes the taints of a database, as FLUSHDB does.
        pub fn forget_db(&self, db: usize) {
            self.clear_db(db);
        }
    }

    impl Keyspaces {
        /// See [`WriteToken::write`].
        #[must_use]
        pub fn write(&self, db: usize, slots: impl IntoIterator<Item = Slot>) -> Tx<'_> {
            WriteToken::for_tests().write(self, db, slots)
        }
    }

    impl Served {
        /// See [`WriteToken::serve`].
        pub fn swap_in(&self, generation: Arc<Generation>) -> Option<Arc<Generation>> {
            WriteToken::for_tests().serve(self, generation)
        }
    }
}

//! One generation of all databases.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ahash::RandomState;
use arc_swap::ArcSwap;

use super::attached::AttachedKeys;
use super::db::{Db, Delta, SHARDS, shard_of};
use super::entry::Entry;
use super::fetch::KeyHash;
use super::gate::Gate;
use super::kinds::{Kind, KindFigures, Weight};
use super::libraries::Libraries;
use super::locks::Slot;
use super::ownership::{Ownership, Shard};
use super::scripts::Scripts;
use super::taint::Taints;
use super::waiters::Waiters;
use super::watches::Watches;
use crate::feed::Feed;
use crate::slots::ClusterSlots;
use crate::value::place::first_epoch;

/// How many databases there is always room for: one that the upstream uses exists, whatever number was configured. Room for
/// this many costs 16 KiB.
pub const DATABASES_GROWN_MAX: usize = 1024;

/// All databases and function libraries of one generation. A database costs nothing until it holds a key.
#[derive(Debug)]
pub struct Keyspaces {
    /// Room for every database that may be created.
    dbs: Box<[OnceLock<Box<Db>>]>,
    databases: AtomicUsize,
    hasher: RandomState,
    first_epoch: u32,
    taints: Taints,
    waiters: Waiters,
    watches: Arc<Watches>,
    attached: AttachedKeys,
    feed: Arc<Feed>,
    gate: Gate,
    tracks_access: bool,
    libraries: ArcSwap<Libraries>,
    scripts: Scripts,
    /// The offset at which the writer's next change will be visible.
    coming: AtomicU64,
    /// The offset of the last change; written under the locks of what changed.
    shown: AtomicU64,
    /// Set if this is one shard of a cluster.
    cluster: Option<Box<Shard>>,
}

/// A database's figures for INFO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    /// Database number.
    pub db: usize,
    /// Keys, expired ones included.
    pub keys: usize,
    /// Keys with an expiry.
    pub expires: usize,
    /// Hashes with expiring fields.
    pub timed_hashes: usize,
    /// Bytes held.
    pub memory_bytes: usize,
    /// The bytes among them of the tables, without the entries.
    pub table_bytes: usize,
    /// The keys and bytes of each kind of value, the tables aside.
    pub kinds: [KindFigures; Kind::COUNT],
}

impl Figures {
    /// Returns the sums for each database, as of the shards of a cluster.
    #[must_use]
    pub(crate) fn by_database(each: impl IntoIterator<Item = Self>) -> Vec<Self> {
        let mut all: BTreeMap<usize, Self> = BTreeMap::new();
        for one in each {
            match all.get_mut(&one.db) {
                Some(sum) => sum.add(&one),
                None => _ = all.insert(one.db, one),
            }
        }
        all.into_values().collect()
    }

    fn add(&mut self, other: &Self) {
        self.keys += other.keys;
        self.expires += other.expires;
        self.timed_hashes += other.timed_hashes;
        self.memory_bytes += other.memory_bytes;
        self.table_bytes += other.table_bytes;
        for (own, more) in self.kinds.iter_mut().zip(&other.kinds) {
            own.keys += more.keys;
            own.bytes += more.bytes;
        }
    }

    /// Takes away keys of one kind that readers do not see.
    fn leave_out(&mut self, kind: Kind, gone: Delta) {
        let without = |all: &mut usize, gone: isize| *all = all.saturating_sub(gone.unsigned_abs());
        without(&mut self.keys, gone.keys);
        without(&mut self.expires, gone.expires);
        without(&mut self.timed_hashes, gone.timed_hashes);
        without(&mut self.memory_bytes, gone.heap_bytes);
        if let Some(of) = self.kinds.iter_mut().find(|of| of.kind == kind.word()) {
            without(&mut of.keys, gone.keys);
            without(&mut of.bytes, gone.heap_bytes);
        }
    }
}

impl Keyspaces {
    /// Creates `databases` empty databases.
    ///
    /// All generations of a process hash with the same seed, so a SCAN that began in one generation finds each key in the
    /// same shard of the next. Their epochs start far apart, so that the SCAN's bucket position within a shard is not
    /// mistaken for a valid one.
    #[must_use]
    pub fn new(databases: usize) -> Self {
        static HASHER: OnceLock<RandomState> = OnceLock::new();
        Self {
            dbs: (0..databases.max(DATABASES_GROWN_MAX))
                .map(|_| OnceLock::new())
                .collect(),
            databases: AtomicUsize::new(databases),
            hasher: HASHER.get_or_init(RandomState::new).clone(),
            first_epoch: first_epoch(),
            taints: Taints::default(),
            waiters: Waiters::default(),
            watches: Arc::default(),
            attached: AttachedKeys::default(),
            feed: Arc::default(),
            gate: Gate::default(),
            tracks_access: false,
            libraries: ArcSwap::default(),
            scripts: Scripts::default(),
            coming: AtomicU64::new(0),
            shown: AtomicU64::new(0),
            cluster: None,
        }
    }

    /// The same, for a replica of one shard of a cluster.
    #[must_use]
    pub fn owned_by(mut self, ownership: Option<&Arc<Ownership>>) -> Self {
        self.cluster = ownership.map(|ownership| Box::new(Shard::new(Arc::clone(ownership))));
        self.taints.set_sharded(self.cluster.is_some());
        self
    }

    /// What is known of the cluster, if this is one of its shards.
    #[inline]
    pub(super) fn cluster(&self) -> Option<&Shard> {
        self.cluster.as_deref()
    }

    /// Notes that the removals up to `offset` are not known, because the data is that of a snapshot.
    pub(super) fn begin_at(&self, offset: u64) {
        if let Some(cluster) = &self.cluster {
            cluster.note_all_removed(offset);
        }
    }

    /// The number of keys of a cluster's slot in all databases. 0 if this is no shard of a cluster.
    #[must_use]
    pub fn keys_in_slot(&self, slot: u16) -> usize {
        self.cluster().map_or(0, |cluster| cluster.keys_in(slot))
    }

    /// The offset of the last removal of a key, in a shard of a cluster. 0 if this is none.
    #[must_use]
    pub fn last_removed(&self) -> u64 {
        self.cluster().map_or(0, Shard::last_removed)
    }

    /// Notes a key that is removed now, for clusters.
    #[inline]
    pub(super) fn note_removed(&self, key: &[u8]) {
        if let Some(cluster) = &self.cluster {
            cluster.note_removed(key, self.coming.load(Ordering::Relaxed));
        }
    }

    /// Notes a new key, for clusters.
    #[inline]
    pub(super) fn note_inserted(&self, key: &[u8]) {
        if let Some(cluster) = &self.cluster {
            cluster.note_inserted(key);
        }
    }

    /// Notes that databases are exchanged now, for clusters: any key may be missing in one of them.
    pub(super) fn note_exchange(&self) {
        self.begin_at(self.coming.load(Ordering::Relaxed));
    }

    /// Notes that what the writer changes from now on becomes visible at `offset`.
    #[inline]
    pub(super) fn announce(&self, offset: u64) {
        self.coming.store(offset, Ordering::Relaxed);
    }

    /// Notes that the writer holds the shards of what it announced: who gets one of them afterwards sees its change.
    #[inline]
    pub(super) fn note_change(&self) {
        let offset = self.coming.load(Ordering::Relaxed);
        self.shown.store(offset, Ordering::Relaxed);
    }

    /// The offset of the last change. Exact while all shards are held for reading; 0 if nothing has changed since the load.
    #[inline]
    pub(super) fn shown(&self) -> u64 {
        self.shown.load(Ordering::Relaxed)
    }

    /// The same, keeping a time of last use for each key if `tracks` is true.
    #[must_use]
    pub const fn tracking_access(mut self, tracks: bool) -> Self {
        self.tracks_access = tracks;
        self
    }

    /// The same, whose changes are noted in `feed`.
    #[must_use]
    pub fn feeding(mut self, feed: Arc<Feed>) -> Self {
        self.feed = feed;
        self
    }

    /// Where changes are noted.
    #[must_use]
    #[inline]
    pub const fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }

    /// Whether keys keep their time of last use.
    #[must_use]
    #[inline]
    pub const fn tracks_access(&self) -> bool {
        self.tracks_access
    }

    /// How many databases there can be.
    #[must_use]
    pub fn databases(&self) -> usize {
        self.databases.load(Ordering::Acquire)
    }

    /// Makes database `db` exist, because the upstream uses it. Returns false and changes nothing if there is no room for
    /// it, that is, if it is past both [`DATABASES_GROWN_MAX`] and the number given to [`new`](Self::new).
    pub(super) fn grow_to(&self, db: usize) -> bool {
        let fits = db < self.dbs.len();
        if fits {
            self.databases.fetch_max(db + 1, Ordering::AcqRel);
        }
        fits
    }

    /// The database, if it ever held a key.
    #[must_use]
    #[inline]
    pub fn db(&self, db: usize) -> Option<&Db> {
        self.dbs.get(db)?.get().map(|db| &**db)
    }

    /// The database, created if necessary; `None` past the last one.
    pub(super) fn db_or_create(&self, db: usize) -> Option<&Db> {
        let slot = self.dbs.get(db)?;
        Some(slot.get_or_init(|| Box::new(Db::new(self.hasher.clone(), self.first_epoch))))
    }

    /// The clients that wait for keys.
    #[must_use]
    pub const fn waiters(&self) -> &Waiters {
        &self.waiters
    }

    /// The data that modules attach to keys.
    #[must_use]
    pub const fn attached(&self) -> &AttachedKeys {
        &self.attached
    }

    /// The connections that watch keys.
    #[must_use]
    pub const fn watches(&self) -> &Arc<Watches> {
        &self.watches
    }

    /// The gate in front of all shards.
    pub(super) const fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Whether the writer keeps readers of some keys waiting, so that a view may take long to get. Costs one load.
    #[must_use]
    #[inline]
    pub fn keeps_waiting(&self) -> bool {
        self.gate.is_closed()
    }

    /// How long the writer has waited for readers so far; waits of less than 10 ms do not count.
    #[must_use]
    pub fn writer_waited(&self) -> Duration {
        self.gate.writer_waited()
    }

    /// What is not known to be right.
    #[must_use]
    pub const fn taints(&self) -> &Taints {
        &self.taints
    }

    /// The function libraries.
    #[must_use]
    pub fn libraries(&self) -> Arc<Libraries> {
        self.libraries.load_full()
    }

    /// The scripts that the upstream has sent.
    #[must_use]
    pub const fn scripts(&self) -> &Scripts {
        &self.scripts
    }

    /// Replaces the function libraries.
    pub(super) fn set_libraries(&self, libraries: Libraries) {
        self.libraries.store(Arc::new(libraries));
    }

    /// The figures of all databases that hold keys.
    #[must_use]
    pub fn figures(&self) -> Vec<Figures> {
        (0..self.databases())
            .filter_map(|number| {
                let db = self.db(number).filter(|db| !db.is_empty())?;
                let table_bytes = db.table_bytes();
                Some(Figures {
                    db: number,
                    keys: db.len(),
                    expires: db.expires(),
                    timed_hashes: db.timed_hashes(),
                    memory_bytes: db.heap_bytes() + table_bytes,
                    table_bytes,
                    kinds: db.kinds(),
                })
            })
            .collect()
    }

    /// Like [`figures`](Self::figures), without the keys that are hidden while their slots are migrated. Those are counted
    /// one by one.
    #[must_use]
    pub fn shown_figures(&self) -> Vec<Figures> {
        let mut all = self.figures();
        if let Some(hidden) = self.hidden_slots() {
            all.iter_mut()
                .for_each(|figures| self.leave_out(figures, &hidden));
            all.retain(|figures| figures.keys > 0);
        }
        all
    }

    /// The slots whose keys readers do not see, if there may be such keys.
    pub(super) fn hidden_slots(&self) -> Option<Arc<ClusterSlots>> {
        let migrating = self.taints.hidden().slots();
        let Some(cluster) = &self.cluster else {
            return migrating;
        };
        let unserved = cluster.unserved();
        let hidden = match migrating {
            None => unserved,
            Some(migrating) => {
                let mut all = (*unserved).clone();
                all.add_all(&migrating);
                Arc::new(all)
            }
        };
        Some(hidden).filter(|hidden| cluster.has_keys_in(hidden))
    }

    /// The slots that a shard of a cluster does not serve, if it may have keys of them.
    #[must_use]
    pub fn unserved_slots(&self) -> Option<Arc<ClusterSlots>> {
        let cluster = self.cluster.as_ref()?;
        Some(cluster.unserved()).filter(|unserved| cluster.has_keys_in(unserved))
    }

    fn leave_out(&self, figures: &mut Figures, hidden: &ClusterSlots) {
        let mut gone = Kind::ALL.map(|kind| (kind, Delta::default()));
        for shard in 0..SHARDS {
            self.visit(figures.db, shard, |entry| {
                if hidden.hold(entry.key()) {
                    let weight = Weight::of(entry);
                    let of_kind = gone.iter_mut().find(|(kind, _)| *kind == weight.kind);
                    if let Some((_, gone)) = of_kind {
                        gone.add(weight.delta);
                    }
                }
            });
        }
        for (kind, gone) in gone {
            figures.leave_out(kind, gone);
        }
    }

    /// The slot of `key` in database `db`.
    #[must_use]
    #[inline]
    pub fn slot(&self, db: usize, key: &[u8]) -> Slot {
        let hash = super::db::hash_key(&self.hasher, key);
        self.slot_of_hash(db, hash)
    }

    /// The slot in database `db` of a key with this hash.
    #[must_use]
    #[inline]
    pub fn slot_at(&self, db: usize, hash: KeyHash) -> Slot {
        self.slot_of_hash(db, hash.0)
    }

    #[inline]
    pub(super) fn slot_of_hash(&self, db: usize, hash: u64) -> Slot {
        Slot {
            db: u32::try_from(db).unwrap_or(u32::MAX),
            shard: u32::try_from(shard_of(hash)).unwrap_or(0),
        }
    }

    #[inline]
    pub(super) fn hash(&self, key: &[u8]) -> u64 {
        super::db::hash_key(&self.hasher, key)
    }

    pub(super) const fn hasher(&self) -> &RandomState {
        &self.hasher
    }

    /// Passes every entry of a shard, expired keys included, to `visit`, under the shard's read lock.
    pub fn visit(&self, db: usize, shard: usize, visit: impl FnMut(&Entry)) {
        if let Some(lock) = self.db(db).and_then(|db| db.shard(shard)) {
            super::walk::entries(&lock.read()).for_each(visit);
        }
    }

    /// Passes the entry of `key`, if there is one, to `visit`, under its shard's read lock, even if the key is expired.
    pub fn visit_key(&self, db: usize, key: &[u8], visit: impl FnOnce(&Entry)) {
        let hash = self.hash(key);
        let shard = self.slot_of_hash(db, hash).shard as usize;
        if let Some(lock) = self.db(db).and_then(|db| db.shard(shard)) {
            let table = lock.read();
            if let Some(entry) = super::db::find(&table, hash, key) {
                visit(entry);
            }
        }
    }
}

/// Every slot of a database.
pub(super) fn all_slots(db: usize) -> impl Iterator<Item = Slot> {
    let db = u32::try_from(db).unwrap_or(u32::MAX);
    (0..SHARDS).map(move |shard| Slot {
        db,
        shard: u32::try_from(shard).unwrap_or(u32::MAX),
    })
}

impl Keyspaces {
    /// Every slot of database `db`, for commands that change the whole database.
    pub fn slots_of_db(&self, db: usize) -> impl Iterator<Item = Slot> + use<> {
        all_slots(db)
    }
}

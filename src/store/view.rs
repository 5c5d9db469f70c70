//! What a reader sees.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use dashmap::RwLockReadGuard;
use smallvec::SmallVec;

use super::attached::Attached;
use super::db::{Db, Table, find, insert};
use super::entry::{Entry, Value};
use super::fate::Fate;
use super::fetch::{GROUP_MAX, fetch_bucket, fetch_entry};
use super::gate::{Gate, Inside};
use super::keyspaces::Keyspaces;
use super::locks::{ReadHeld, Slot, Slots, Tables};
use super::ownership::Imported;
use crate::slots::{ClusterSlots, cluster_slot};
use crate::value::Collection;

/// The key holds a type that the command does not work on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("WRONGTYPE Operation against a key holding the wrong kind of value")]
pub struct WrongType;

/// A reader's view of one database at one moment: while it lives, it holds the read locks of all shards that hold the
/// command's keys. It hides expired keys, and it offers no way to change anything:
///
/// ```compile_fail
/// # use redtail::internal::store::View;
/// fn a_reader_cannot_write(view: &View<'_>) {
///     view.remove(b"key");
/// }
/// ```
pub struct View<'a> {
    spaces: &'a Keyspaces,
    number: usize,
    held: Shards<'a>,
    /// The key that the view was taken for, if there is only one, and its hash.
    key: Option<(&'a [u8], u64)>,
    now_ms: Cell<Option<i64>>,
    fate: Cell<Fate>,
    /// Whether a lookup counts as a use.
    touches: Cell<bool>,
    lookups: Cell<Lookups>,
    /// The keys that were looked up and not found, while someone wants to know.
    missed: RefCell<Vec<Box<[u8]>>>,
    /// Whether this is the writer's own view, from which nothing is hidden.
    is_writers: bool,
    /// The slots of a cluster whose keys are read although the shard only imports them.
    imported: OnceCell<Box<[Imported]>>,
    /// The slots whose keys walks leave out.
    hidden: OnceCell<Arc<ClusterSlots>>,
    /// Set only if the view holds locks of its own.
    _inside: Option<Inside>,
}

/// How often keys were looked up since the counts were last set to zero. Source: redis 7.0 db.c, `lookupKey`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lookups {
    /// Keys that were found.
    pub hits: u32,
    /// Keys that were absent or expired.
    pub misses: u32,
}

/// The shards that a view can read.
enum Shards<'a> {
    /// None, because the database does not exist: every key is absent.
    Nowhere,
    /// None: no key may be asked for.
    Unlocked,
    /// One shard.
    One(Slot, RwLockReadGuard<'a, Table>),
    /// One shard that another value holds.
    Lent(Slot, &'a Table),
    /// All shards that the command needs.
    Many(ReadHeld<'a>),
    /// The shards of one database that the writer or a script holds.
    Held(&'a (dyn Tables + 'a), usize),
    /// Copies of all entries that the command names; no lock is held.
    Copied(Box<Copies>),
}

/// Copied entries, and the keys that were looked for in vain.
struct Copies {
    table: Table,
    absent: HashSet<Box<[u8]>>,
    attached: HashMap<Box<[u8]>, Attached>,
}

impl Shards<'_> {
    #[inline]
    fn get(&self, slot: Slot) -> Option<&Table> {
        match self {
            Self::Nowhere | Self::Unlocked => None,
            Self::One(held, table) => (*held == slot).then_some(&**table),
            Self::Lent(held, table) => (*held == slot).then_some(*table),
            Self::Many(many) => many.get(slot).map(|table| &**table),
            Self::Held(held, _) => held.table(slot),
            Self::Copied(copies) => Some(&copies.table),
        }
    }

    fn iter(&self) -> impl Iterator<Item = &Table> {
        let (one, many, held) = match self {
            Self::Nowhere | Self::Unlocked => (None, None, None),
            Self::One(_, table) => (Some(&**table), None, None),
            Self::Lent(_, table) => (Some(*table), None, None),
            Self::Many(many) => (None, Some(many), None),
            Self::Held(held, db) => (None, None, Some((held, db))),
            Self::Copied(copies) => (Some(&copies.table), None, None),
        };
        let many = many.into_iter().flat_map(ReadHeld::iter);
        let held = held.into_iter().flat_map(|(held, db)| {
            super::keyspaces::all_slots(*db).filter_map(|slot| held.table(slot))
        });
        one.into_iter()
            .chain(many.map(|(_, table)| &**table))
            .chain(held)
    }

    /// Whether a walk misses nothing: a script that walks a database must hold all of it.
    fn are_whole(&self) -> bool {
        match self {
            Self::Unlocked => false,
            Self::Held(held, db) => {
                super::keyspaces::all_slots(*db).all(|slot| held.table(slot).is_some())
            }
            _ => true,
        }
    }
}

impl<'a> View<'a> {
    #[inline]
    pub(super) fn of_key(spaces: &'a Keyspaces, db: usize, key: &'a [u8]) -> Self {
        let hash = spaces.hash(key);
        let slot = spaces.slot_of_hash(db, hash);
        let gate = spaces.gate();
        let _debt = gate.pass(|wanted| wanted == slot);
        let shard = spaces.db(db).and_then(|db| db.shard(slot.shard as usize));
        let held = shard.map_or(Shards::Nowhere, |shard| {
            let table = gate.read(shard);
            // The slot arrives while the control bytes are searched for it.
            fetch_bucket(&table, hash);
            Shards::One(slot, table)
        });
        let mut view = Self::with(spaces, db, held, Some(Inside::new()));
        view.key = Some((key, hash));
        view
    }

    /// A view of `key`, whose shard something else holds for as long as the view lives.
    #[inline]
    pub(super) const fn lent(
        spaces: &'a Keyspaces,
        db: usize,
        slot: Slot,
        table: &'a Table,
        key: &'a [u8],
        hash: u64,
    ) -> Self {
        let mut view = Self::with(spaces, db, Shards::Lent(slot, table), None);
        view.key = Some((key, hash));
        view
    }

    /// What the writer sees of the database it works in, including its own changes, which no reader sees yet.
    #[must_use]
    pub(super) fn within(
        spaces: &'a Keyspaces,
        number: usize,
        held: &'a (dyn Tables + 'a),
    ) -> Self {
        let mut view = Self::with(spaces, number, Shards::Held(held, number), None);
        view.is_writers = true;
        view
    }

    /// A view of the shards that `growing` holds.
    pub(super) const fn through(
        growing: &'a (dyn Tables + 'a),
        spaces: &'a Keyspaces,
        number: usize,
    ) -> Self {
        Self::with(spaces, number, Shards::Held(growing, number), None)
    }

    pub(super) fn of_slots(spaces: &'a Keyspaces, number: usize, slots: &mut Slots) -> Self {
        let _debt = spaces.gate().pass(|slot| slots.contains(&slot));
        Self::locking(spaces, number, slots)
    }

    /// Like [`of_slots`](Self::of_slots), for a caller that has passed the gate.
    pub(super) fn locking(spaces: &'a Keyspaces, number: usize, slots: &mut Slots) -> Self {
        let gate = spaces.gate();
        let held = match spaces.db(number) {
            Some(db) => Shards::Many(ReadHeld::acquire(slots, |slot| {
                let shard = db.shard(slot.shard as usize)?;
                Some(gate.read(shard))
            })),
            None => Shards::Nowhere,
        };
        Self::with(spaces, number, held, Some(Inside::new()))
    }

    #[inline]
    const fn with(
        spaces: &'a Keyspaces,
        number: usize,
        held: Shards<'a>,
        inside: Option<Inside>,
    ) -> Self {
        Self {
            spaces,
            number,
            held,
            key: None,
            now_ms: Cell::new(None),
            fate: Cell::new(Fate::Sound),
            touches: Cell::new(true),
            lookups: Cell::new(Lookups { hits: 0, misses: 0 }),
            missed: RefCell::new(Vec::new()),
            is_writers: false,
            imported: OnceCell::new(),
            hidden: OnceCell::new(),
            _inside: inside,
        }
    }

    /// A view of a database that does not exist.
    pub(super) const fn nowhere(spaces: &'a Keyspaces, number: usize) -> Self {
        Self::with(spaces, number, Shards::Nowhere, None)
    }

    pub(super) fn unlocked(spaces: &'a Keyspaces, number: usize) -> Self {
        Self::with(spaces, number, Shards::Unlocked, None)
    }

    /// A view of the same moment and time that holds no lock. It copies the entries of the keys that `keys` visits; no
    /// other key may be read.
    #[must_use]
    pub(super) fn copied(&self, keys: impl FnOnce(&mut dyn FnMut(&[u8]))) -> Self {
        let (mut table, mut absent) = (Table::new(), HashSet::new());
        let mut attached = HashMap::new();
        keys(&mut |key| {
            let hash = self.spaces.hash(key);
            // This lookup counts as a use; lookups in the copy do not.
            let entry = self.entry(key).or_else(|| self.entry_at_any_time(key));
            match entry {
                None => drop(absent.insert(Box::from(key))),
                Some(entry) if find(&table, hash, key).is_none() => {
                    let copy = entry.copied(key, entry.expire_at_ms());
                    insert(&mut table, hash, copy, self.spaces.hasher());
                    attached.extend(self.attached(key).map(|data| (Box::from(key), data)));
                }
                Some(_) => {}
            }
        });
        let copies = Box::new(Copies {
            table,
            absent,
            attached,
        });
        let copy = Self::with(self.spaces, self.number, Shards::Copied(copies), None);
        copy.set_clock(self.now_ms());
        copy
    }

    /// Adds what another copied view has.
    pub(super) fn take_copies(&mut self, other: Self) {
        let hasher = self.spaces.hasher();
        if let (Shards::Copied(own), Shards::Copied(others)) = (&mut self.held, other.held) {
            for (entry, _) in others.table {
                let hash = super::db::hash_key(hasher, entry.key());
                insert(&mut own.table, hash, entry, hasher);
            }
            own.absent.extend(others.absent);
            own.attached.extend(others.attached);
        }
    }

    /// Returns the gate for a walk over the database. If the writer wants a shard of the database, waits for its turn to
    /// end first.
    pub(super) fn pass_to_walk(&self) -> &'a Gate {
        let number = u32::try_from(self.number).unwrap_or(u32::MAX);
        let gate = self.spaces.gate();
        // The walk claims each shard separately: the writer need not wait for the whole walk.
        drop(gate.pass(|slot| slot.db == number));
        gate
    }

    /// The database's number.
    #[must_use]
    pub const fn db_number(&self) -> usize {
        self.number
    }

    /// The database, if it ever held a key.
    #[must_use]
    pub fn db(&self) -> Option<&'a Db> {
        match self.held {
            // It may have come into being since.
            Shards::Nowhere => None,
            _ => self.spaces.db(self.number),
        }
    }

    /// The time that this view compares expiries with, in Unix milliseconds. It is the same for all lookups.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.now_ms.get().unwrap_or_else(|| {
            let now = unix_ms();
            self.now_ms.set(Some(now));
            now
        })
    }

    /// Makes the view compare expiries with `now_ms`, for several commands that must agree on the time.
    pub(super) fn set_clock(&self, now_ms: i64) {
        self.now_ms.set(Some(now_ms));
    }

    /// Sets whether lookups from now on count as uses.
    pub fn set_touches(&self, touches: bool) {
        self.touches.set(touches);
    }

    /// Returns the entry of `key` and counts it as used; `None` if the key is absent or expired. A key whose shard is not
    /// held reads as absent.
    #[must_use]
    #[inline]
    pub fn entry(&self, key: &[u8]) -> Option<&Entry> {
        let entry = self.entry_at_any_time(key);
        let entry = entry.filter(|entry| entry.is_plain() || self.uses(entry));
        self.count(entry.is_some());
        if entry.is_none() {
            self.miss(key);
        }
        entry
    }

    /// Like [`peek`](Self::peek), but does not count as a lookup.
    #[must_use]
    pub fn glance(&self, key: &[u8]) -> Option<&Entry> {
        let entry = self.entry_at_any_time(key);
        entry.filter(|entry| self.shows(entry))
    }

    /// Counts a lookup.
    #[inline]
    fn count(&self, is_hit: bool) {
        let Lookups { hits, misses } = self.lookups.get();
        self.lookups.set(Lookups {
            hits: hits + u32::from(is_hit),
            misses: misses + u32::from(!is_hit),
        });
    }

    /// Notes a lookup that found nothing, if someone wants to know.
    #[cold]
    fn miss(&self, key: &[u8]) {
        if self.spaces.feed().wants_misses() {
            self.missed.borrow_mut().push(key.into());
        }
    }

    /// Publishes the lookups that found nothing, in their order.
    #[cold]
    pub(super) fn tell_missed(&self) {
        for key in self.missed.take() {
            self.spaces.feed().tell_miss(self.number, &key);
        }
    }

    /// Forgets the lookups that found nothing.
    #[cold]
    pub(super) fn forget_missed(&self) {
        self.missed.take();
    }

    /// Returns the lookups since the last call.
    #[inline]
    pub(super) fn take_lookups(&self) -> Lookups {
        self.lookups.take()
    }

    /// Like [`entry`](Self::entry), but does not count the entry as used.
    #[must_use]
    pub fn peek(&self, key: &[u8]) -> Option<&Entry> {
        let entry = self.entry_at_any_time(key);
        let entry = entry.filter(|entry| self.shows(entry));
        self.count(entry.is_some());
        if entry.is_none() {
            self.miss(key);
        }
        entry
    }

    /// Like [`peek`](Self::peek), but nobody is told if the key is absent.
    #[must_use]
    pub fn peek_quietly(&self, key: &[u8]) -> Option<&Entry> {
        let entry = self.glance(key);
        self.count(entry.is_some());
        entry
    }

    /// Whether an entry is visible. If so, counts it as used.
    fn uses(&self, entry: &Entry) -> bool {
        let shows = self.shows_expiring(entry);
        if shows && self.touches.get() && entry.used_at_s().is_some() {
            entry.touch(unix_s(self.now_ms()));
        }
        shows
    }

    /// The entry of `key`, expired or not: for commands that inspect the store itself, as DEBUG does.
    #[must_use]
    #[inline]
    pub fn entry_at_any_time(&self, key: &[u8]) -> Option<&Entry> {
        let hash = self.hash(key);
        let table = self.held.get(self.spaces.slot_of_hash(self.number, hash));
        let entry = table.and_then(|table| find(table, hash, key));
        if entry.is_none() {
            self.note_absent(key, table.is_some());
        }
        entry
    }

    /// Notes that `key` was not found. It is absent only if its shard is held; copies hold only the keys that were copied.
    #[inline]
    fn note_absent(&self, key: &[u8], is_held: bool) {
        let is_sure = match &self.held {
            Shards::Nowhere => true,
            Shards::Copied(copies) => copies.absent.contains(key),
            _ => is_held,
        };
        if !is_sure {
            self.fate.set(Fate::Unheld);
        } else if let Some(cluster) = self.spaces.cluster()
            && !self.is_writers
            && !matches!(self.held, Shards::Copied(_))
            && !match self.importing(key) {
                Some(imported) => cluster.lacks_imported(imported),
                None => cluster.lacks(key),
            }
        {
            self.fate.set(self.fate.get().max(Fate::Moving));
        }
    }

    #[inline]
    fn hash(&self, key: &[u8]) -> u64 {
        match self.key {
            // The same slice in memory: it is borrowed for as long as the view lives.
            Some((known, hash)) if std::ptr::eq(known, key) => hash,
            _ => self.spaces.hash(key),
        }
    }

    /// Prefetches the entries of the first [`GROUP_MAX`](super::GROUP_MAX) of `keys`, for the reads that follow.
    pub fn fetch<'k>(&self, keys: impl Iterator<Item = &'k [u8]>) {
        let places = keys.take(GROUP_MAX).filter_map(|key| {
            let hash = self.spaces.hash(key);
            let slot = self.spaces.slot_of_hash(self.number, hash);
            Some((self.held.get(slot)?, hash))
        });
        let places: SmallVec<[_; GROUP_MAX]> = places.collect();
        places
            .iter()
            .for_each(|(table, hash)| fetch_bucket(table, *hash));
        places
            .iter()
            .for_each(|(table, hash)| fetch_entry(table, *hash));
    }

    /// Every entry of the held shards, expired or not.
    pub fn entries_at_any_time(&self) -> impl Iterator<Item = &Entry> {
        if !self.held.are_whole() {
            self.fate.set(Fate::Unheld);
        }
        self.held.iter().flat_map(super::walk::entries)
    }

    /// Whether an entry is visible, that is, not expired. Records an entry that should be visible but has lost its value:
    /// see [`Fate::Lost`].
    #[must_use]
    #[inline]
    pub fn shows(&self, entry: &Entry) -> bool {
        entry.is_plain() || self.shows_expiring(entry)
    }

    fn shows_expiring(&self, entry: &Entry) -> bool {
        let is_past = entry.is_expired(self.now_ms());
        if !is_past && entry.is_swept() {
            self.fate.set(self.fate.get().max(Fate::Lost));
        }
        !is_past && !entry.is_swept()
    }

    /// Whether something that it reads may be tainted; costs one load. Copies were checked when they were made: a taint
    /// that was set or removed since is of another moment.
    #[inline]
    pub(super) fn may_be_tainted(&self) -> bool {
        self.spaces.taints().any() && !matches!(self.held, Shards::Copied(_))
    }

    /// Whether it is unknown which keys exist.
    pub(super) fn existence_is_doubted(&self) -> bool {
        self.spaces.taints().doubts_existence_in(self.number)
    }

    /// The worst that happened to a read since the last call.
    #[inline]
    pub(super) fn take_fate(&self) -> Fate {
        self.fate.replace(Fate::Sound)
    }

    /// Whether the value of `key` is unknown or hidden. Ask this about keys that a command does not name; their shards must
    /// be held.
    #[must_use]
    pub fn is_tainted(&self, key: &[u8]) -> bool {
        let taints = self.spaces.taints();
        taints.any() && (taints.holds(self.number, key) || self.hides(key))
    }

    /// Whether `key` is hidden because its slot is being migrated.
    pub(super) fn hides(&self, key: &[u8]) -> bool {
        !self.is_writers && self.spaces.taints().hidden().has(key)
    }

    /// Whether this is a view of one shard of a cluster.
    pub(super) fn is_of_cluster(&self) -> bool {
        self.spaces.cluster().is_some()
    }

    /// Whether this shard of a cluster serves `key`. Outside clusters, it serves every key.
    pub(super) fn serves(&self, key: &[u8]) -> bool {
        let cluster = self.spaces.cluster();
        self.is_writers
            || cluster.is_none_or(|cluster| cluster.serves(key) || self.importing(key).is_some())
    }

    /// Also reads the keys of slots that the shard only imports so far. Call it once.
    pub(super) fn set_imported(&self, imported: &[Imported]) {
        self.imported.get_or_init(|| imported.into());
    }

    /// Whether there is an entry of `key`, expired or not.
    pub(super) fn has(&self, key: &[u8]) -> bool {
        let is_there = self.entry_at_any_time(key).is_some();
        self.take_fate();
        is_there
    }

    /// The slot of `key`, if it is read although the shard only imports it.
    fn importing(&self, key: &[u8]) -> Option<Imported> {
        let slot = cluster_slot(key);
        let mut imported = self.imported.get()?.iter();
        imported.find(|imported| imported.slot == slot).copied()
    }

    /// Makes walks leave out the keys that are hidden now.
    pub(super) fn leave_out_hidden(&self) {
        let hidden = self.spaces.hidden_slots();
        if let Some(hidden) = hidden.filter(|_| !self.is_writers) {
            self.hidden.get_or_init(|| hidden);
        }
    }

    /// Whether walks leave out no key.
    pub(super) fn hides_nothing(&self) -> bool {
        self.hidden.get().is_none()
    }

    /// Whether a walk leaves out an entry, whatever its expiry.
    pub(super) fn leaves_out(&self, entry: &Entry) -> bool {
        let hidden = self.hidden.get();
        hidden.is_some_and(|hidden| hidden.hold(entry.key()))
    }

    /// Whether a walk shows an entry: it is visible, and not left out.
    #[must_use]
    pub fn lists(&self, entry: &Entry) -> bool {
        self.shows(entry) && !self.leaves_out(entry)
    }

    /// What a module has attached to `key`, whose shard must be held.
    #[must_use]
    pub fn attached(&self, key: &[u8]) -> Option<Attached> {
        match &self.held {
            Shards::Copied(copies) => copies.attached.get(key).cloned(),
            _ => self.spaces.attached().of(self.number, key),
        }
    }

    /// The value of `key`.
    #[must_use]
    #[inline]
    pub fn value(&self, key: &[u8]) -> Option<Value<'_>> {
        self.entry(key).map(Entry::value)
    }

    /// The collection at `key`.
    ///
    /// # Errors
    /// [`WrongType`] when the key holds something else.
    pub fn collection<C: Collection>(&self, key: &[u8]) -> Result<Option<&C>, WrongType> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Object(object)) => C::of(object).map(Some).ok_or(WrongType),
            Some(_) => Err(WrongType),
        }
    }

    /// Every entry of the held shards that a walk shows.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        let entries = self.entries_at_any_time();
        entries.filter(|entry| self.lists(entry))
    }
}

/// Converts milliseconds to whole seconds.
pub(super) fn unix_s(ms: i64) -> u32 {
    u32::try_from(ms / 1000).unwrap_or(0)
}

/// Unix time in milliseconds.
#[must_use]
pub fn unix_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

//! The writer's hold on the store, and what it can change.

use std::cell::Cell;

use dashmap::RwLockWriteGuard;

use super::attached::Attached;
use super::db::{Db, Delta, Table, find, find_mut, insert};
use super::entry::{Entry, INLINE_TEXT_BYTES_MAX, NewValue, Value};
use super::fate::{Fate, Refusal, refused};
use super::fetch::KeyHash;
use super::gate::Leaving;
use super::keyspaces::Keyspaces;
use super::kinds::{Kind, Weight};
use super::libraries::Libraries;
use super::locks::{Slot, Slots, WriteHeld};
use super::taint::{Doubt, Taints};
use super::view::{WrongType, unix_ms, unix_s};
use super::watches::{Replacement, Rules};
use crate::dialect::Dialect;
use crate::feed::{Class, Interest};
use crate::slots::ClusterSlots;
use crate::value::{Collection, Object, Thresholds};

/// A database number past the last database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("ERR DB index is out of range")]
pub struct NoSuchDatabase;

/// Holds the write locks of everything that one command, or one MULTI/EXEC block, touches. Dropping it makes the whole
/// unit visible.
///
/// Works in one database at a time ([`Tx::select`]). An expired key still exists here: the primary decides when it goes.
pub struct Tx<'a> {
    spaces: &'a Keyspaces,
    number: usize,
    held: WriteHeld<'a>,
    deltas: Deltas,
    thresholds: Thresholds,
    dialect: Dialect,
    changes_taints: bool,
    /// The worst that happened to a command since [`apply`](Tx::apply) began it.
    fate: Cell<Fate>,
    libraries: Option<Libraries>,
    /// What the feed wants to know.
    interest: Interest,
    /// Whether keys are watched or have data of modules, read while the keys' locks are held, or the feed wants to know of
    /// them.
    observed: bool,
    /// The kind of the value that was removed last, while the feed wants to know.
    removed: Option<Kind>,
    /// Whether changes within values are hidden from watchers.
    quiet: bool,
    /// The time to go by, if it is not the system's.
    clock_ms: Option<i64>,
    /// The key that callers most likely ask for, with its hash.
    known: Option<(&'a [u8], u64)>,
    /// The last field, because readers get in once nothing is held.
    _leaving: Leaving<'a>,
}

impl<'a> Tx<'a> {
    pub(super) fn new(spaces: &'a Keyspaces, number: usize, slots: &mut Slots) -> Self {
        let held = WriteHeld::acquire(slots, |slot| lock(spaces, slot));
        Self::holding(spaces, number, held, None)
    }

    #[inline]
    pub(super) fn of_key(
        spaces: &'a Keyspaces,
        number: usize,
        key: &'a [u8],
        hash: KeyHash,
    ) -> Self {
        let slot = spaces.slot_at(number, hash);
        let held = lock(spaces, slot).map(|guard| WriteHeld::one(slot, guard));
        let held = held.unwrap_or_else(WriteHeld::none);
        Self::holding(spaces, number, held, Some((key, hash.0)))
    }

    #[inline]
    fn holding(
        spaces: &'a Keyspaces,
        number: usize,
        held: WriteHeld<'a>,
        known: Option<(&'a [u8], u64)>,
    ) -> Self {
        spaces.note_change();
        let interest = spaces.feed().interest();
        Self {
            spaces,
            number,
            held,
            interest,
            removed: None,
            deltas: Deltas::new(number),
            thresholds: Thresholds::default(),
            dialect: Dialect::default(),
            changes_taints: false,
            fate: Cell::new(Fate::Sound),
            libraries: None,
            observed: interest.keys() || spaces.watches().any() || spaces.attached().any(),
            quiet: false,
            clock_ms: None,
            known,
            _leaving: Leaving(spaces.gate()),
        }
    }

    /// The same, with other encoding thresholds.
    #[must_use]
    pub const fn with_thresholds(mut self, thresholds: Thresholds) -> Self {
        self.thresholds = thresholds;
        self
    }

    /// The same, for the stream of a server of this dialect.
    #[must_use]
    pub const fn with_dialect(mut self, dialect: Dialect) -> Self {
        self.dialect = dialect;
        self
    }

    /// The same, going by `clock_ms`, Unix milliseconds, instead of the system's clock if it is given.
    #[must_use]
    pub const fn with_clock(mut self, clock_ms: Option<i64>) -> Self {
        self.clock_ms = clock_ms;
        self
    }

    /// Goes by another time from now on.
    pub const fn set_clock(&mut self, clock_ms: Option<i64>) {
        self.clock_ms = clock_ms;
    }

    /// The dialect of the server that wrote the stream: versions compute the same command differently.
    #[must_use]
    pub const fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The thresholds of the small encodings.
    #[must_use]
    pub const fn thresholds(&self) -> Thresholds {
        self.thresholds
    }

    /// The database in which keys are looked up.
    #[must_use]
    pub const fn db_number(&self) -> usize {
        self.number
    }

    /// Works in another database from now on. Makes it exist if the upstream has more databases than configured here.
    ///
    /// # Errors
    /// [`NoSuchDatabase`].
    pub fn select(&mut self, db: usize) -> Result<(), NoSuchDatabase> {
        if !self.spaces.grow_to(db) {
            return Err(NoSuchDatabase);
        }
        self.number = db;
        Ok(())
    }

    /// The locks that this holds.
    pub(super) const fn held(&self) -> &WriteHeld<'a> {
        &self.held
    }

    /// The second to record for a use that happens now, if times of last use are kept.
    #[inline]
    fn use_s(&self) -> Option<u32> {
        let tracks = self.spaces.tracks_access();
        tracks.then(|| unix_s(self.now_ms()))
    }

    /// Records that `key` was last used `idle_s` seconds ago, if times of last use are kept.
    pub fn set_idle(&self, key: &[u8], idle_s: u32) {
        if let (Some(now_s), Some(entry)) = (self.use_s(), self.entry(key)) {
            entry.touch(now_s.saturating_sub(idle_s));
        }
    }

    /// Hides changes within values from the watchers of their keys, until this is called with false: the changes of some
    /// commands do not break a WATCH. Watchers still learn that a key appears or disappears.
    pub const fn set_quiet(&mut self, quiet: bool) {
        self.quiet = quiet;
    }

    const fn rules(&self) -> Rules {
        Rules {
            ignores_expired: self.dialect.ignores_expired_when_watched(),
        }
    }

    /// Tells the watchers of `key` that it has changed.
    #[inline]
    fn tell(&self, key: &[u8]) {
        if self.observed {
            let exists = self.exists(key);
            self.spaces.attached().touch(self.number, key, exists);
            self.tell_watchers(key, exists);
        }
    }

    /// Tells the watchers of `key` of a change that [`set_quiet`](Self::set_quiet) has hidden from them.
    pub fn announce(&self, key: &[u8]) {
        if self.observed {
            self.tell_watchers(key, self.exists(key));
        }
    }

    fn tell_watchers(&self, key: &[u8], exists: bool) {
        let watches = self.spaces.watches();
        watches.touch(self.number, key, exists, self.rules());
        if self.interest.has(Interest::TOUCHES) {
            self.spaces.feed().note_touch(self.number, key);
        }
    }

    /// Notes for the feed that something happened to `key`, in the words of a keyspace notification. Call this after the
    /// change.
    #[inline]
    pub fn event(&self, class: Class, event: &'static str, key: &[u8]) {
        self.event_in(self.number, class, event, key);
    }

    /// Like [`event`](Self::event), for a key of database `db`.
    #[inline]
    pub fn event_in(&self, db: usize, class: Class, event: &'static str, key: &[u8]) {
        if self.interest.has(Interest::EVENTS) {
            self.note_event(db, class, event, key);
        }
    }

    /// Like [`event`](Self::event), and notes the deletion of `key` if the change has left nothing of it.
    #[inline]
    pub fn event_that_may_empty(&self, class: Class, event: &'static str, key: &[u8]) {
        if self.interest.has(Interest::EVENTS) {
            self.note_event(self.number, class, event, key);
            if !self.exists(key) {
                self.note_event(self.number, Class::GENERIC, "del", key);
            }
        }
    }

    #[cold]
    fn note_event(&self, db: usize, class: Class, event: &'static str, key: &[u8]) {
        let kind = self.kind_in(db, key).or(self.removed);
        let kind = kind.map_or("", Kind::word);
        self.spaces.feed().note_event(db, class, event, key, kind);
    }

    fn kind_in(&self, db: usize, key: &[u8]) -> Option<Kind> {
        let hash = self.spaces.hash(key);
        let table = self.held.get(self.spaces.slot_of_hash(db, hash));
        let entry = table.and_then(|table| find(table, hash, key));
        entry.map(|entry| Weight::of(entry).kind)
    }

    /// The kind of the value at `key`, if the feed wants to know of events. Pass it to
    /// [`event_of_new`](Self::event_of_new) or to [`event_of_overwriting`](Self::event_of_overwriting) after the change.
    #[inline]
    #[must_use]
    pub fn kind_before(&self, key: &[u8]) -> Option<Kind> {
        match self.notes_events() {
            true => self.kind_in(self.number, key),
            false => None,
        }
    }

    /// Notes that `key` is new, if it had a value of the kind `before`: some commands delete a key and create it again. If it
    /// had none, that is noted already.
    #[inline]
    pub fn event_of_new(&self, key: &[u8], before: Option<Kind>) {
        if before.is_some() {
            self.event(Class::NEW, "new", key);
        }
    }

    /// Notes that the value of `key` has replaced one of the kind `before`, if there was one and servers publish that.
    #[inline]
    pub fn event_of_overwriting(&self, key: &[u8], before: Option<Kind>) {
        if let Some(before) = before.filter(|_| self.dialect.has_events_of_replaced_keys()) {
            self.event(Class::OVERWRITTEN, "overwritten", key);
            let now = self.kind_before(key);
            if now.is_some_and(|now| !now.is_typed_as(before)) {
                self.event(Class::TYPE_CHANGED, "type_changed", key);
            }
        }
    }

    /// Notes that a command reads `key`, if it is absent and the feed wants to know of that.
    #[inline]
    pub fn event_of_miss(&self, key: &[u8]) {
        if self.interest.has(Interest::MISSES) && self.kind_in(self.number, key).is_none() {
            let (feed, class) = (self.spaces.feed(), Class::KEY_MISS);
            feed.note_event(self.number, class, "keymiss", key, "");
        }
    }

    /// Whether the feed wants to know of events: if not, work that only prepares them can be left out.
    #[must_use]
    #[inline]
    pub const fn notes_events(&self) -> bool {
        self.interest.has(Interest::EVENTS)
    }

    #[inline]
    fn tell_within(&self, key: &[u8]) {
        if self.observed && !self.quiet {
            self.tell_watchers(key, self.exists(key));
        }
    }

    /// What a module has attached to `key`.
    #[must_use]
    pub fn attached(&self, key: &[u8]) -> Option<Attached> {
        self.spaces.attached().of(self.number, key)
    }

    /// Sets what a module has attached to `key`. Call this after the key is set.
    pub fn attach(&mut self, key: &[u8], data: Attached) {
        self.observed = true;
        self.spaces.attached().set(self.number, key, data);
    }

    /// Tells the watchers of keys of database `db` that it is emptied, or that the contents of `replacement` take the
    /// place of its own. Call this before anything moves.
    fn tell_all(&self, db: usize, replacement: Option<usize>) {
        if !self.observed {
            return;
        }
        if self.interest.keys() {
            match replacement {
                None => self.spaces.feed().note_flush(db),
                // Each database is replaced by the other: one fact says both.
                Some(other) if db < other => self.spaces.feed().note_swap(db, other),
                Some(_) => {}
            }
        }
        let now_ms = self.now_ms();
        let entry = |db, key: &[u8]| {
            let hash = self.spaces.hash(key);
            find(
                self.held.get(self.spaces.slot_of_hash(db, hash))?,
                hash,
                key,
            )
        };
        self.spaces.watches().replace(db, self.rules(), |key| {
            let coming = replacement.and_then(|other| entry(other, key));
            Replacement {
                existed: entry(db, key).is_some(),
                comes: coming.map(|entry| entry.is_expired(now_ms)),
            }
        });
    }

    /// How many databases there can be.
    #[must_use]
    pub fn databases(&self) -> usize {
        self.spaces.databases()
    }

    /// The taints, for a change: from now on they do not match the published figures.
    fn taints_to_change(&mut self) -> &'a Taints {
        let taints = self.spaces.taints();
        if !self.changes_taints {
            self.changes_taints = true;
            taints.begin_change();
        }
        taints
    }

    /// Taints a key.
    pub fn taint(&mut self, db: usize, key: &[u8], doubt: Doubt) {
        if self.interest.keys() {
            self.spaces.feed().note_doubt(db, key);
        }
        if self.observed {
            let strict = Rules {
                ignores_expired: false,
            };
            self.spaces.watches().touch(db, key, true, strict);
        }
        self.taints_to_change().add(db, key, doubt);
    }

    /// Taints all keys of all databases.
    pub fn taint_everything(&mut self) {
        if self.interest.keys() {
            self.spaces.feed().note_doubt_of_everything();
        }
        self.spaces.watches().touch_all();
        self.taints_to_change().add_everything();
    }

    /// Removes a key's taint: its state is known again, because the key is gone.
    pub fn untaint(&mut self, db: usize, key: &[u8]) {
        if self.spaces.taints().holds(db, key) {
            self.taints_to_change().remove(db, key);
        }
    }

    /// Shows the keys of `slots`, whichever migration has hidden them.
    pub fn show_slots(&mut self, slots: &ClusterSlots) {
        if self.spaces.taints().hidden().slots().is_some() {
            if self.interest.keys() {
                self.spaces.feed().note_replacement(false);
            }
            self.taints_to_change().change_hidden(|hidden| {
                hidden.show_slots(slots);
                true
            });
        }
    }

    /// The function libraries, for changing. The changes become visible with all other changes.
    pub fn libraries(&mut self) -> &mut Libraries {
        let spaces = self.spaces;
        self.libraries
            .get_or_insert_with(|| (*spaces.libraries()).clone())
    }

    /// Number of keys in the current database.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.spaces.db(self.number).map_or(0, Db::len)
    }

    /// Unix time in milliseconds, for the relative expiries that old primaries send.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.clock_ms.unwrap_or_else(unix_ms)
    }

    #[inline]
    fn gain(&mut self, weight: Weight) {
        self.deltas.of(self.number, weight.kind).add(weight.delta);
    }

    #[inline]
    fn lose_weight(&mut self, weight: Weight) {
        let delta = self.deltas.of(self.number, weight.kind);
        delta.subtract(weight.delta);
    }

    /// Counts an entry that has taken the place of another.
    #[inline]
    fn exchange(&mut self, comes: Weight, goes: Weight) {
        self.gain(comes);
        self.lose_weight(goes);
    }

    fn locate(&self, key: &[u8]) -> (Slot, u64) {
        let hash = match self.known {
            // The same slice in memory: handlers pass on the arguments of their command.
            Some((known, hash)) if std::ptr::eq(known, key) => hash,
            _ => self.spaces.hash(key),
        };
        (self.spaces.slot_of_hash(self.number, hash), hash)
    }

    fn table(&mut self, key: &[u8]) -> Option<(&mut Table, Slot, u64)> {
        let (slot, hash) = self.locate(key);
        if self.held.get(slot).is_none() {
            self.lose();
        }
        self.held
            .get_mut(slot)
            .map(|table| (&mut **table, slot, hash))
    }

    /// The entry of `key`.
    #[must_use]
    pub fn entry(&self, key: &[u8]) -> Option<&Entry> {
        let (slot, hash) = self.locate(key);
        let Some(table) = self.held.get(slot) else {
            self.fate.set(Fate::Unheld);
            return None;
        };
        let entry = find(table, hash, key)?;
        if let Some(now_s) = self.use_s() {
            entry.touch(now_s);
        }
        Some(entry)
    }

    /// Whether `key` exists.
    #[must_use]
    pub fn exists(&self, key: &[u8]) -> bool {
        self.entry(key).is_some()
    }

    /// Whether the value of `key` is unknown. Ask this about keys that a command does not name.
    #[must_use]
    pub fn is_tainted(&self, key: &[u8]) -> bool {
        self.spaces.taints().holds(self.number, key)
    }

    /// The value of `key`. If the key expired long ago, its value may have been discarded: it then has no type, and the
    /// attempt makes [`apply`](Self::apply) fail.
    #[must_use]
    pub fn value(&self, key: &[u8]) -> Option<Value<'_>> {
        let entry = self.entry(key)?;
        if entry.is_swept() {
            self.note_lost();
        }
        Some(entry.value())
    }

    fn note_lost(&self) {
        self.fate.set(self.fate.get().max(Fate::Lost));
    }

    /// Runs one command. What it did counts only if every value that it asked for was there, and every key that it asked
    /// for was held.
    ///
    /// # Errors
    /// [`Refusal`]: the data may differ from the primary's then. Otherwise the error of `command`.
    #[inline]
    pub fn apply<E: From<Refusal>>(
        &mut self,
        command: impl FnOnce(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        self.fate.set(Fate::Sound);
        let result = command(self);
        match self.fate.get() {
            Fate::Sound => result,
            fate => Err(refused(fate).into()),
        }
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

    /// Sets `key` to `value`, replacing the existing value and its expiry.
    pub fn set(&mut self, key: &[u8], expire_at_ms: Option<i64>, value: NewValue<'_>) {
        let used_s = self.use_s();
        let (slot, hash) = self.locate(key);
        let Some(table) = self.held.get_mut(slot) else {
            return self.lose();
        };
        let Some(old) = find_mut(table, hash, key) else {
            let entry = Entry::new(key, expire_at_ms, value);
            self.insert(clocked(entry, used_s), slot, hash);
            self.event(Class::NEW, "new", key);
            return self.tell(key);
        };
        if old.overwrite(expire_at_ms, &value) {
            used_s.into_iter().for_each(|now_s| old.touch(now_s));
        } else {
            let entry = Entry::new(key, expire_at_ms, value);
            let (comes, goes) = replace(old, clocked(entry, used_s));
            self.exchange(comes, goes);
        }
        self.tell(key);
    }

    /// Like [`set`](Self::set), for commands that replace a value of any type, of which servers since Redis 8.2 publish events.
    #[inline]
    pub fn overwrite(&mut self, key: &[u8], expire_at_ms: Option<i64>, value: NewValue<'_>) {
        let before = self.kind_before(key);
        self.set(key, expire_at_ms, value);
        self.event_of_overwriting(key, before);
    }

    /// Marks a string that does not fit beside its key, if the server keeps it so. `expires` is whether it has a time to live.
    fn keep_raw(dialect: Dialect, entry: &mut Entry, expires: bool) {
        if !dialect.keeps_strings_raw() || entry.is_raw() {
            return;
        }
        if let Value::Text(text) = entry.value()
            && !dialect.embeds_text(entry.key().len(), text.len(), expires)
        {
            entry.set_raw();
        }
    }

    /// Copies the entry of `key` into a new one for `to`, with the same expiry.
    #[must_use]
    pub fn copied(&self, key: &[u8], to: &[u8]) -> Option<Entry> {
        let entry = self.entry(key)?;
        let mut copy = entry.copied(key, entry.expire_at_ms());
        Self::keep_raw(self.dialect, &mut copy, entry.expire_at_ms().is_some());
        let expiry = copy.expire_at_ms();
        Some(copy.rebuilt(to, expiry))
    }

    /// Puts an entry under its own key, replacing the existing entry.
    pub fn put(&mut self, mut entry: Entry) {
        let expires = entry.expire_at_ms().is_some();
        Self::keep_raw(self.dialect, &mut entry, expires);
        let entry = clocked(entry, self.use_s());
        let key: smallvec::SmallVec<[u8; 64]> = match self.observed {
            true => entry.key().into(),
            false => smallvec::SmallVec::new(),
        };
        let (slot, hash) = self.locate(entry.key());
        let Some(table) = self.held.get_mut(slot) else {
            return self.lose();
        };
        if let Some(old) = find_mut(table, hash, entry.key()) {
            let (comes, goes) = replace(old, entry);
            self.exchange(comes, goes);
        } else {
            self.insert(entry, slot, hash);
            self.event(Class::NEW, "new", &key);
        }
        if self.observed {
            self.tell(&key);
        }
    }

    /// Inserts an entry whose key is absent.
    fn insert(&mut self, entry: Entry, slot: Slot, hash: u64) {
        let spaces = self.spaces;
        self.gain(Weight::of(&entry));
        spaces.note_inserted(entry.key());
        if let Some(table) = self.held.get_mut(slot)
            && insert(table, hash, entry, spaces.hasher())
            && let Some(db) = spaces.db(self.number)
        {
            db.bump_epoch(slot.shard as usize);
        }
    }

    /// Handles a key outside the locks of its command. Its write is lost, so no reply may pretend otherwise.
    #[cold]
    fn lose(&mut self) {
        self.fate.set(Fate::Unheld);
        self.taint_everything();
    }

    /// Removes the keys of the current database for which `wanted` returns true, and returns their entries. All slots of the
    /// database are held.
    pub fn remove_where(&mut self, wanted: impl Fn(&[u8]) -> bool) -> Vec<Entry> {
        let mut removed = Vec::new();
        for slot in super::keyspaces::all_slots(self.number) {
            let Some(table) = self.held.get(slot) else {
                // A database that a reader has created since is empty.
                if self.keys() > 0 {
                    self.fate.set(Fate::Unheld);
                }
                continue;
            };
            let keys = super::walk::entries(table).map(Entry::key);
            let keys: Vec<Box<[u8]>> = keys.filter(|key| wanted(key)).map(Into::into).collect();
            removed.extend(keys.iter().filter_map(|key| self.remove(key)));
        }
        removed
    }

    /// Removes `key` and returns its entry.
    pub fn remove(&mut self, key: &[u8]) -> Option<Entry> {
        let (table, _, hash) = self.table(key)?;
        let (mut entry, _) = table.remove_entry(hash, |(entry, _)| entry.key() == key)?;
        self.spaces.note_removed(key);
        self.lose_weight(Weight::of(&entry));
        let expires = entry.expire_at_ms().is_some();
        Self::keep_raw(self.dialect, &mut entry, expires);
        if self.observed {
            self.removed = Some(Weight::of(&entry).kind);
            self.tell(key);
        }
        Some(entry)
    }

    /// Sets, changes or removes the expiry of `key`. Returns whether the key exists.
    pub fn set_expiry(&mut self, key: &[u8], expire_at_ms: Option<i64>) -> bool {
        let (used_s, dialect) = (self.use_s(), self.dialect);
        let Some((table, _, hash)) = self.table(key) else {
            return false;
        };
        let Some(entry) = find_mut(table, hash, key) else {
            return false;
        };
        used_s.into_iter().for_each(|now_s| entry.touch(now_s));
        let before = Weight::of(entry);
        // Also if it is removed now: the string was moved out of the key's block when the key got it.
        let expires = expire_at_ms.is_some() || entry.expire_at_ms().is_some();
        Self::keep_raw(dialect, entry, expires);
        entry.set_expiry(expire_at_ms);
        let change = Weight::since(entry, before);
        self.gain(change);
        if self.observed {
            self.tell_watchers(key, true);
        }
        true
    }

    /// Changes the string at `key` (an empty one if the key is absent) with `change`; its expiry stays. A long string
    /// changes in place, so appending to it does not copy it.
    ///
    /// # Errors
    /// [`WrongType`] when the key holds something else.
    pub fn edit_text<R>(
        &mut self,
        key: &[u8],
        change: impl FnOnce(&mut Vec<u8>) -> R,
    ) -> Result<R, WrongType> {
        let mut text = match self.value(key) {
            None => Vec::new(),
            Some(Value::Integer(number)) => itoa::Buffer::new().format(number).as_bytes().to_vec(),
            Some(Value::Text(text)) if text.len() <= INLINE_TEXT_BYTES_MAX => text.to_vec(),
            Some(Value::Text(_)) => return self.edit_long_text(key, change),
            Some(Value::Object(_)) => return Err(WrongType),
        };
        let result = change(&mut text);
        let expiry = self.entry(key).and_then(Entry::expire_at_ms);
        if text.len() > INLINE_TEXT_BYTES_MAX {
            let long = Box::new(Object::Text(text));
            self.set(key, expiry, NewValue::Object(long));
        } else {
            let bytes = &text;
            self.set(key, expiry, NewValue::Text { bytes, raw: true });
        }
        Ok(result)
    }

    fn edit_long_text<R>(
        &mut self,
        key: &[u8],
        change: impl FnOnce(&mut Vec<u8>) -> R,
    ) -> Result<R, WrongType> {
        let (table, _, hash) = self.table(key).ok_or(WrongType)?;
        let entry = find_mut(table, hash, key).ok_or(WrongType)?;
        let before = Weight::of(entry);
        let Some(Object::Text(text)) = entry.object_mut() else {
            return Err(WrongType);
        };
        let result = change(text);
        let change = Weight::since(entry, before);
        self.gain(change);
        self.tell(key);
        Ok(result)
    }

    /// Changes the collection at `key` with `change`; `None` if the key is absent. A collection left empty is removed.
    ///
    /// # Errors
    /// [`WrongType`] when the key holds something else.
    pub fn update<C: Collection, R>(
        &mut self,
        key: &[u8],
        change: impl FnOnce(&mut C) -> R,
    ) -> Result<Option<R>, WrongType> {
        let used_s = self.use_s();
        let Some((table, _, hash)) = self.table(key) else {
            return Ok(None);
        };
        let Some(entry) = find_mut(table, hash, key) else {
            return Ok(None);
        };
        used_s.into_iter().for_each(|now_s| entry.touch(now_s));
        let before = Weight::of(entry);
        let is_swept = entry.is_swept();
        let Some(collection) = entry.object_mut().and_then(C::of_mut) else {
            if is_swept {
                self.note_lost();
            }
            return Err(WrongType);
        };
        let result = change(collection);
        let emptied = !C::STAYS_WHEN_EMPTY && collection.is_empty();
        let change = Weight::since(entry, before);
        self.gain(change);
        if emptied {
            self.remove(key);
        } else {
            self.tell_within(key);
        }
        Ok(Some(result))
    }

    /// Like [`update`](Self::update), for a `change` that removes elements and returns whether it did. If so, notes the event,
    /// and the deletion of a key that it has emptied.
    ///
    /// # Errors
    /// [`WrongType`] when the key holds something else.
    pub fn shrink<C: Collection>(
        &mut self,
        key: &[u8],
        (class, event): (Class, &'static str),
        change: impl FnOnce(&mut C) -> bool,
    ) -> Result<(), WrongType> {
        if self.update(key, change)? == Some(true) {
            self.event_that_may_empty(class, event, key);
        }
        Ok(())
    }

    /// Like [`update`](Self::update), but starts from a new empty collection if the key is absent.
    ///
    /// # Errors
    /// [`WrongType`] when the key holds something else.
    pub fn upsert<C: Collection + Default, R>(
        &mut self,
        key: &[u8],
        change: impl FnOnce(&mut C) -> R,
    ) -> Result<R, WrongType> {
        if self.exists(key) {
            // The key exists, so `update` returns a result; the absent case below only satisfies the types.
            let mut change = Some(change);
            let changed = self.update(key, |collection| {
                change.take().map(|change| change(collection))
            })?;
            return changed.flatten().ok_or(WrongType);
        }
        let mut collection = C::default();
        let result = change(&mut collection);
        if C::STAYS_WHEN_EMPTY || !collection.is_empty() {
            self.set(
                key,
                None,
                NewValue::Object(Box::new(collection.into_object())),
            );
        }
        Ok(result)
    }

    /// Empties database `db`, all of whose slots are held. Returns the old tables, for the caller to drop where it likes.
    pub fn flush(&mut self, db: usize) -> impl Send + use<> {
        self.tell_all(db, None);
        let (mut old, mut is_whole) = (Vec::new(), true);
        if let Some(keyspace) = self.spaces.db(db) {
            for slot in super::keyspaces::all_slots(db) {
                let Some(table) = self.held.get_mut(slot) else {
                    // A database that a reader has created since is empty.
                    is_whole &= keyspace.is_empty();
                    continue;
                };
                if self.spaces.cluster().is_some() {
                    super::walk::entries(table)
                        .for_each(|entry| self.spaces.note_removed(entry.key()));
                }
                old.push(std::mem::take(&mut **table));
                keyspace.bump_epoch(slot.shard as usize);
            }
            let gone = self.figures_now(db, keyspace);
            for (kind, gone) in Kind::ALL.into_iter().zip(gone) {
                self.deltas.of(db, kind).subtract(gone);
            }
        }
        if self.spaces.taints().any() {
            self.taints_to_change().clear_db(db);
        }
        self.spaces
            .attached()
            .renumber(|of| (of != db).then_some(of));
        if !is_whole {
            self.lose();
        }
        old
    }

    /// Exchanges databases `one` and `other`, all of whose slots are held.
    ///
    /// # Errors
    /// [`NoSuchDatabase`].
    pub fn swap(&mut self, one: usize, other: usize) -> Result<(), NoSuchDatabase> {
        if !self.spaces.grow_to(one.max(other)) {
            return Err(NoSuchDatabase);
        }
        if one == other {
            return Ok(());
        }
        let (Some(one_db), Some(other_db)) = (self.spaces.db(one), self.spaces.db(other)) else {
            // Locking their slots would have created both.
            self.lose();
            return Ok(());
        };
        let mut is_whole = true;
        self.spaces.note_exchange();
        self.tell_all(one, Some(other));
        self.tell_all(other, Some(one));
        for (left, right) in
            super::keyspaces::all_slots(one).zip(super::keyspaces::all_slots(other))
        {
            let Some((left_table, right_table)) = self.held.pair_mut(left, right) else {
                is_whole = false;
                continue;
            };
            std::mem::swap(&mut **left_table, &mut **right_table);
            one_db.bump_epoch(left.shard as usize);
            other_db.bump_epoch(right.shard as usize);
        }
        let (one_figures, other_figures) = (
            self.figures_now(one, one_db),
            self.figures_now(other, other_db),
        );
        for (db, comes, goes) in [
            (one, other_figures, one_figures),
            (other, one_figures, other_figures),
        ] {
            for (kind, (comes, goes)) in Kind::ALL.into_iter().zip(comes.into_iter().zip(goes)) {
                let delta = self.deltas.of(db, kind);
                delta.subtract(goes);
                delta.add(comes);
            }
        }
        if self.spaces.taints().any() {
            let taints = self.taints_to_change();
            taints.swap_dbs(one, other);
        }
        self.spaces.attached().renumber(|of| {
            Some(match of {
                of if of == one => other,
                of if of == other => one,
                of => of,
            })
        });
        if !is_whole {
            self.lose();
        }
        Ok(())
    }

    /// The figures that a database will have once this is visible, by kind.
    fn figures_now(&mut self, db: usize, keyspace: &Db) -> [Delta; Kind::COUNT] {
        let mut figures = keyspace.figures();
        for (figure, kind) in figures.iter_mut().zip(Kind::ALL) {
            figure.add(*self.deltas.of(db, kind));
        }
        figures
    }
}

/// Locks the shard at `slot`. Creates its database if necessary.
fn lock(spaces: &Keyspaces, slot: Slot) -> Option<RwLockWriteGuard<'_, Table>> {
    let db = spaces.db_or_create(slot.db as usize)?;
    let shard = db.shard(slot.shard as usize)?;
    Some(spaces.gate().write(slot, shard))
}

fn clocked(entry: Entry, used_s: Option<u32>) -> Entry {
    match used_s {
        Some(now_s) => entry.clocked(now_s),
        None => entry,
    }
}

/// Replaces `old` with `entry` and returns the weights of the new one and the old one.
fn replace(old: &mut Entry, entry: Entry) -> (Weight, Weight) {
    let weights = (Weight::of(&entry), Weight::of(old));
    *old = entry;
    weights
}

/// Where figures belong: a database, and a kind of value.
type Place = (usize, Kind);

/// Unpublished figures, usually of a single database and a single kind.
struct Deltas {
    first: (Place, Delta),
    others: Vec<(Place, Delta)>,
}

impl Deltas {
    const fn new(db: usize) -> Self {
        Self {
            first: (
                (db, Kind::String),
                Delta {
                    keys: 0,
                    expires: 0,
                    timed_hashes: 0,
                    heap_bytes: 0,
                },
            ),
            others: Vec::new(),
        }
    }

    #[inline]
    fn of(&mut self, db: usize, kind: Kind) -> &mut Delta {
        if self.first.0 == (db, kind) {
            return &mut self.first.1;
        }
        self.elsewhere((db, kind))
    }

    fn elsewhere(&mut self, place: Place) -> &mut Delta {
        // Nothing has changed yet where the first figures were expected.
        if self.first.1 == Delta::default() && self.others.is_empty() {
            self.first.0 = place;
            return &mut self.first.1;
        }
        let index = self
            .others
            .iter()
            .position(|(other, _)| *other == place)
            .unwrap_or_else(|| {
                self.others.push((place, Delta::default()));
                self.others.len() - 1
            });
        self.others
            .get_mut(index)
            .map_or(&mut self.first.1, |(_, delta)| delta)
    }

    fn iter(&self) -> impl Iterator<Item = &(Place, Delta)> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

impl Drop for Tx<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // A command may be half done.
            self.taint_everything();
        }
        // The figures become visible before the locks are released: a reader that sees the new values sees the new
        // counts.
        for ((number, kind), delta) in self.deltas.iter() {
            if let Some(db) = self.spaces.db(*number) {
                db.publish(*kind, *delta);
            }
        }
        if let Some(libraries) = self.libraries.take() {
            self.spaces.set_libraries(libraries);
        }
        if self.changes_taints {
            self.spaces.taints().end_change();
        }
    }
}

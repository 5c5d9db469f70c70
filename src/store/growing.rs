//! Held shards that can become more: for a reader that finds out which keys it needs only as it reads.
//!
//! A held shard stays held until the end. So everything that was read, from the first key to the last, is as it was when
//! the last shard was taken: a single moment, at which the writer held none of these shards.

use dashmap::RwLockReadGuard;
use smallvec::SmallVec;

use super::db::Table;
use super::door::Hold;
use super::gate::Inside;
use super::keyspaces::{Keyspaces, all_slots};
use super::locks::{Slot, Tables};
use super::view::View;

/// The read locks of one thread, in slot order.
pub struct Growing<'a> {
    spaces: &'a Keyspaces,
    held: SmallVec<[(Slot, RwLockReadGuard<'a, Table>); 4]>,
    /// Databases of which all shards are held.
    whole: SmallVec<[usize; 2]>,
    _inside: Inside,
}

impl<'a> Growing<'a> {
    /// Holds `slots`. Waits for its turn if the writer is in one of them or wants to be.
    pub(super) fn new(spaces: &'a Keyspaces, mut slots: SmallVec<[Slot; 4]>) -> Self {
        if slots.len() > 1 {
            slots.sort_unstable();
            slots.dedup();
        }
        let gate = spaces.gate();
        let _debt = gate.pass(|slot| slots.binary_search(&slot).is_ok());
        let mut growing = Self {
            spaces,
            held: SmallVec::new(),
            whole: SmallVec::new(),
            _inside: Inside::new(),
        };
        growing.held.reserve_exact(slots.len());
        for slot in slots {
            if let Some(shard) = growing
                .made(slot.db)
                .and_then(|db| db.shard(slot.shard as usize))
            {
                growing.held.push((slot, gate.read(shard)));
            }
        }
        growing
    }

    /// The database, created now if it does not exist: otherwise its first key could appear between two reads of it.
    fn made(&self, db: u32) -> Option<&'a super::db::Db> {
        let db = usize::try_from(db).unwrap_or(usize::MAX);
        self.spaces.db(db).or_else(|| self.spaces.db_or_create(db))
    }

    /// Also holds `slots`, which are in ascending order. Returns whether all of them are held now. If `may_wait`, a slot
    /// above all held ones is waited for. Any other slot is taken at once or not at all, because the writer may be
    /// waiting for a shard that is already held.
    fn add(&mut self, slots: impl Iterator<Item = Slot>, may_wait: bool) -> bool {
        let gate = self.spaces.gate();
        let before = self.held.len();
        let last = self.held.last().map(|(slot, _)| *slot);
        let mut is_whole = true;
        for slot in slots {
            if last >= Some(slot) && self.index(slot, before).is_some() {
                continue;
            }
            let Some(shard) = self
                .made(slot.db)
                .and_then(|db| db.shard(slot.shard as usize))
            else {
                continue;
            };
            let guard = if may_wait && last < Some(slot) {
                Some(gate.read(shard))
            } else if gate.is_closed() && !may_wait {
                // It is the writer's turn, and a caller that can start over must wait for it.
                None
            } else {
                shard.try_read()
            };
            let Some(guard) = guard else {
                is_whole = false;
                break;
            };
            self.held.push((slot, guard));
        }
        if self.held.len() > before {
            self.held.sort_unstable_by_key(|(slot, _)| *slot);
        }
        is_whole
    }

    /// The index of `slot` among the first `count` held shards.
    #[inline]
    fn index(&self, slot: Slot, count: usize) -> Option<usize> {
        match self.held.get(..count)? {
            [(only, _)] => (*only == slot).then_some(0),
            held => held.binary_search_by_key(&slot, |(held, _)| *held).ok(),
        }
    }

    /// Whether the shard of `key` in database `db` is held.
    #[must_use]
    pub fn holds(&self, db: usize, key: &[u8]) -> bool {
        self.index(self.spaces.slot(db, key), self.held.len())
            .is_some()
    }

    /// Also holds the shard of `key` in database `db`. Returns whether it is held now. Without `may_wait`, it is taken at
    /// once or not at all.
    #[must_use]
    pub fn add_key(&mut self, db: usize, key: &[u8], may_wait: bool) -> bool {
        let slot = self.spaces.slot(db, key);
        self.index(slot, self.held.len()).is_some() || self.add(std::iter::once(slot), may_wait)
    }

    /// Like [`add_key`](Self::add_key), but for all shards of database `db`.
    #[must_use]
    pub fn add_db(&mut self, db: usize, may_wait: bool) -> bool {
        if !self.whole.contains(&db) && self.add(all_slots(db), may_wait) {
            self.whole.push(db);
        }
        self.whole.contains(&db)
    }

    /// Records that all shards of these databases are held.
    pub(super) fn are_whole(&mut self, dbs: impl Iterator<Item = usize>) {
        self.whole.extend(dbs);
    }

    /// How many shards are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether no shard is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// A view of database `db` that reads the held shards. No key of another shard may be read.
    #[must_use]
    pub fn view(&self, db: usize) -> Hold<'_> {
        Hold(View::through(self, self.spaces, db))
    }
}

impl Tables for Growing<'_> {
    fn table(&self, slot: Slot) -> Option<&Table> {
        let index = self.index(slot, self.held.len())?;
        self.held.get(index).map(|(_, guard)| &**guard)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;
    use crate::store::{Names, NewValue, Refusal};

    /// Long enough for a writer to do what it must not do.
    const A_MOMENT: Duration = Duration::from_millis(20);

    fn write(spaces: &Keyspaces, db: usize, keys: &[&[u8]]) {
        let mut tx = spaces.write(db, keys.iter().map(|key| spaces.slot(db, key)));
        for key in keys {
            tx.set(key, None, NewValue::text(b"x"));
        }
    }

    /// Two keys of database 0 in the order of their shards.
    fn ordered(spaces: &Keyspaces) -> [Vec<u8>; 2] {
        let mut keys = [b"a".to_vec(), b"b".to_vec()];
        keys.sort_by_key(|key| spaces.slot(0, key));
        let [low, high] = &keys;
        assert_ne!(spaces.slot(0, low), spaces.slot(0, high));
        keys
    }

    #[test]
    fn what_was_held_first_stays_held_as_more_comes() {
        let spaces = Keyspaces::new(2);
        let [low, high] = &ordered(&spaces);
        for [first, second] in [[low, high], [high, low]] {
            let mut growing = spaces.growing(0, std::iter::once(first.as_slice()));
            assert!(growing.add_key(0, second, false) && growing.add_key(1, first, false));
            std::thread::scope(|scope| {
                for (db, key) in [(0, first), (0, second), (1, first)] {
                    let (sender, done) = mpsc::channel();
                    let spaces = &spaces;
                    scope.spawn(move || {
                        // Lock the shard directly: the gate serves a single writer, and these are three.
                        let shard = spaces.slot(db, key).shard as usize;
                        drop(spaces.db(db).unwrap().shard(shard).unwrap().write());
                        // The receiver is gone by the time the writer gets in.
                        _ = sender.send(());
                    });
                    assert!(done.recv_timeout(A_MOMENT).is_err(), "{db} {key:?}");
                }
                drop(growing);
            });
        }
    }

    #[test]
    fn a_shard_that_the_writer_has_is_not_waited_for_out_of_order() {
        let spaces = Keyspaces::new(1);
        let [low, high] = ordered(&spaces);
        write(&spaces, 0, &[&low, &high]);
        let mut growing = spaces.growing(0, std::iter::once(high.as_slice()));
        let tx = spaces.write(0, [spaces.slot(0, &low)]);
        assert!(!growing.add_key(0, &low, false) && !growing.add_key(0, &low, true));
        assert!(!growing.add_db(0, true) && !growing.holds(0, &low));
        std::mem::drop(growing);
        drop(tx);
    }

    #[test]
    fn who_may_not_wait_gets_nothing_more_while_the_writer_wants_in() {
        let spaces = Keyspaces::new(1);
        let [low, high] = ordered(&spaces);
        write(&spaces, 0, &[&low, &high]);
        let mut growing = spaces.growing(0, std::iter::once(low.as_slice()));
        std::thread::scope(|scope| {
            scope.spawn(|| write(&spaces, 0, &[&low]));
            while !spaces.keeps_waiting() {
                std::thread::yield_now();
            }
            assert!(!growing.add_key(0, &high, false));
            assert!(growing.add_key(0, &high, true));
            assert!(
                growing.view(0).value(&low).is_some() && growing.view(0).value(&high).is_some()
            );
            drop(growing);
        });
    }

    #[test]
    fn a_walk_over_a_database_that_is_not_held_whole_has_no_result() {
        let spaces = Keyspaces::new(1);
        let [low, high] = ordered(&spaces);
        write(&spaces, 0, &[&low, &high]);
        let walk = |growing: &Growing<'_>| {
            let read = |view: &View<'_>| Ok::<_, Refusal>(view.entries().count());
            growing.view(0).read(Names::Existence, read)
        };
        let mut growing = spaces.growing(0, std::iter::once(low.as_slice()));
        assert_eq!(walk(&growing), Err(Refusal::Unheld));
        assert!(growing.add_db(0, false));
        assert_eq!(walk(&growing), Ok(2));
    }

    #[test]
    fn a_view_sees_the_keys_whose_shards_are_held() {
        let spaces = Keyspaces::new(1);
        let [low, high] = ordered(&spaces);
        write(&spaces, 0, &[&low, &high]);
        let mut growing = spaces.growing(0, std::iter::once(low.as_slice()));
        let found = |growing: &Growing<'_>, key: &[u8]| growing.view(0).value(key).is_some();
        assert!(found(&growing, &low) && !found(&growing, &high));
        assert!(growing.add_db(0, false) && found(&growing, &high));
    }
}

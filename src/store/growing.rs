//! Shards that are held and become more: for who finds out only as it reads what it needs.
//!
//! What is held stays held until the end. So whatever was read, from the first key to the last, is as it was when the last
//! shard came: a single moment, at which the writer was in none of them.

use dashmap::RwLockReadGuard;
use smallvec::SmallVec;

use super::db::Table;
use super::gate::Inside;
use super::keyspaces::{Keyspaces, all_slots};
use super::locks::{Slot, Tables};
use super::view::View;

/// Read locks of one thread, in the order of their slots.
pub struct Growing<'a> {
    spaces: &'a Keyspaces,
    held: SmallVec<[(Slot, RwLockReadGuard<'a, Table>); 4]>,
    /// Databases all of whose shards are held.
    whole: SmallVec<[usize; 2]>,
    _inside: Inside,
}

impl<'a> Growing<'a> {
    /// Holds `slots`, waiting for its turn where the writer is in or wants in.
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

    /// The database, made now if it is not there: else its first key could come between two looks at it.
    fn made(&self, db: u32) -> Option<&'a super::db::Db> {
        let db = usize::try_from(db).unwrap_or(usize::MAX);
        self.spaces.db(db).or_else(|| self.spaces.db_or_create(db))
    }

    /// Holds `slots`, too, which are in ascending order; gives whether all of them are held now. A slot above all that is
    /// held is waited for if `may_wait`; any other comes at once or not at all, for the writer may wait for what is held
    /// already.
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
                // It is the writer's turn, and who may begin again has to wait for it.
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

    /// Where `slot` is among the first `count` that are held.
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

    /// Holds the shard of `key` in database `db`, too; gives whether it is held now. Without `may_wait` it comes at once or not
    /// at all.
    #[must_use]
    pub fn add_key(&mut self, db: usize, key: &[u8], may_wait: bool) -> bool {
        let slot = self.spaces.slot(db, key);
        self.index(slot, self.held.len()).is_some() || self.add(std::iter::once(slot), may_wait)
    }

    /// As [`add_key`](Self::add_key), for all shards of database `db`.
    #[must_use]
    pub fn add_db(&mut self, db: usize, may_wait: bool) -> bool {
        if !self.whole.contains(&db) && self.add(all_slots(db), may_wait) {
            self.whole.push(db);
        }
        self.whole.contains(&db)
    }

    /// All shards of these databases are held.
    pub(super) fn are_whole(&mut self, dbs: impl Iterator<Item = usize>) {
        self.whole.extend(dbs);
    }

    /// How many shards are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// A view of database `db` that looks into the shards that are held: keys in others read as absent.
    #[must_use]
    pub fn view(&self, db: usize) -> View<'_> {
        View::through(self, self.spaces, db)
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
    use crate::store::NewValue;

    /// Long enough for a writer to do what it should not.
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
                        // The gate is the one writer's: three would not do in reality.
                        let shard = spaces.slot(db, key).shard as usize;
                        drop(spaces.db(db).unwrap().shard(shard).unwrap().write());
                        // Nobody waits for it any more once it gets in.
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
        // Readers of what it has wait for their turn elsewhere.
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

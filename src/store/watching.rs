//! The keys that one connection watches.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::door::Hold;
use super::keyspaces::Keyspaces;
use super::view::View;
use super::watches::{Rules, Watch, Watches};
use crate::limits::WATCHED_BYTES_STEP;
use crate::resp::Account;

/// Bytes that watching a key costs beyond the key itself, in the registry and in the connection's list.
const WATCH_OVERHEAD_BYTES: usize = 256;

/// The keys that one connection watches; dropping it ends the watches.
#[derive(Debug)]
pub struct Watching {
    registry: Arc<Watches>,
    changed: Arc<AtomicBool>,
    keys: HashMap<(usize, Box<[u8]>), Arc<Watch>>,
    bytes: usize,
    /// Bytes that it may use without asking the account.
    granted: usize,
    account: Arc<Account>,
}

/// There is no memory for the keys that a connection wants to watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no memory for more watched keys")]
pub struct TooManyWatched;

impl Watching {
    /// Watches nothing yet, for keys in `spaces`. Asks `account` for memory if there are many.
    #[must_use]
    pub fn new(spaces: &Keyspaces, account: Arc<Account>) -> Self {
        Self {
            registry: Arc::clone(spaces.watches()),
            changed: Arc::default(),
            keys: HashMap::new(),
            bytes: 0,
            granted: WATCHED_BYTES_STEP,
            account,
        }
    }

    /// Makes room for `bytes` more. Returns whether there is room.
    fn takes(&mut self, bytes: usize) -> bool {
        self.bytes += bytes;
        if self.bytes <= self.granted {
            return true;
        }
        let more = (self.bytes - self.granted).next_multiple_of(WATCHED_BYTES_STEP);
        let granted = self.account.grow(more);
        self.granted += if granted { more } else { 0 };
        granted
    }

    /// Also watches `keys` of the hold's database, from its moment on. It holds their locks.
    ///
    /// # Errors
    /// [`TooManyWatched`]; the keys before the one that did not fit are watched.
    pub fn add<'k>(
        &mut self,
        hold: &Hold<'_>,
        keys: impl Iterator<Item = &'k [u8]>,
    ) -> Result<(), TooManyWatched> {
        for key in keys {
            let place = (hold.db_number(), Box::from(key));
            if self.keys.contains_key(&place) {
                continue;
            }
            if !self.takes(key.len() + WATCH_OVERHEAD_BYTES) {
                return Err(TooManyWatched);
            }
            let watch = Arc::new(Watch {
                db: place.0,
                expired: AtomicBool::new(is_expired(&hold.0, key)),
                changed: Arc::clone(&self.changed),
            });
            self.registry.count.fetch_add(1, Ordering::SeqCst);
            let mut registered = self.registry.keys.write();
            registered
                .entry(place.1.clone())
                .or_default()
                .push(Arc::clone(&watch));
            self.keys.insert(place, watch);
        }
        Ok(())
    }

    /// How many keys are watched.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether no key is watched.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The watched keys with their databases.
    pub fn keys(&self) -> impl Iterator<Item = (usize, &[u8])> {
        self.keys.keys().map(|(db, key)| (*db, &**key))
    }

    /// Whether a watched key has changed. Every key that was watched in a generation that is no longer served counts as
    /// changed.
    ///
    /// `holds` hold the locks of all watched keys, so that expiry is judged at their moment.
    #[must_use]
    pub fn is_broken(&self, spaces: &Keyspaces, holds: &[Hold<'_>], rules: Rules) -> bool {
        if !Arc::ptr_eq(&self.registry, spaces.watches()) || self.changed.load(Ordering::Relaxed) {
            return true;
        }
        let mut watched = self.keys.iter();
        watched.any(|((db, key), watch)| {
            let was_expired = rules.ignores_expired && watch.expired.load(Ordering::Relaxed);
            let hold = holds.iter().find(|hold| hold.db_number() == *db);
            !was_expired && hold.is_some_and(|hold| is_expired(&hold.0, key))
        })
    }
}

fn is_expired(view: &View<'_>, key: &[u8]) -> bool {
    view.entry_at_any_time(key)
        .is_some_and(|entry| entry.is_expired(view.now_ms()))
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.account.shrink(self.granted - WATCHED_BYTES_STEP);
        if self.keys.is_empty() {
            return;
        }
        let mut registered = self.registry.keys.write();
        for ((_, key), watch) in &self.keys {
            if let Some(watches) = registered.get_mut(key) {
                watches.retain(|other| !Arc::ptr_eq(other, watch));
                if watches.is_empty() {
                    registered.remove(key);
                }
            }
        }
        drop(registered);
        let count = &self.registry.count;
        count.fetch_sub(self.keys.len(), Ordering::SeqCst);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::resp::Budget;
    use crate::store::NewValue;

    const RULES: Rules = Rules {
        ignores_expired: true,
    };

    fn spaces() -> Keyspaces {
        let spaces = Keyspaces::new(2);
        for (db, key, expiry) in [(0, b"a", None), (0, b"p", Some(1)), (1, b"b", None)] {
            let mut tx = spaces.write(db, [spaces.slot(db, key)]);
            tx.set(key, expiry, NewValue::text(b"v"));
        }
        spaces
    }

    fn watching(spaces: &Keyspaces, db: usize, key: &[u8]) -> Watching {
        let mut watching = Watching::new(spaces, Arc::default());
        let view = spaces.view_key(db, key);
        watching.add(&view, [key].into_iter()).unwrap();
        watching
    }

    fn is_broken(spaces: &Keyspaces, watching: &Watching, rules: Rules) -> bool {
        let slots = watching.keys().map(|(db, key)| spaces.slot(db, key));
        let views = spaces.hold(slots.collect());
        watching.is_broken(spaces, &views, rules)
    }

    #[test]
    fn a_change_of_the_key_in_its_database_alone_is_told() {
        let spaces = spaces();
        let (one, other) = (watching(&spaces, 0, b"a"), watching(&spaces, 1, b"a"));
        let mut tx = spaces.write(0, [spaces.slot(0, b"a"), spaces.slot(0, b"p")]);
        tx.set_expiry(b"p", None);
        drop(tx);
        assert!(!is_broken(&spaces, &one, RULES));
        let mut tx = spaces.write(0, [spaces.slot(0, b"a")]);
        tx.remove(b"a");
        drop(tx);
        assert!(is_broken(&spaces, &one, RULES) && !is_broken(&spaces, &other, RULES));
    }

    #[test]
    fn the_deletion_of_a_key_that_was_expired_already_changes_nothing_but_what_follows_does() {
        let spaces = spaces();
        let watch = watching(&spaces, 0, b"p");
        assert!(!is_broken(&spaces, &watch, RULES));
        // As Redis 6.0 sees it.
        let strict = Rules {
            ignores_expired: false,
        };
        assert!(is_broken(&spaces, &watch, strict));
        let write = |change: fn(&mut crate::store::Tx<'_>)| {
            let modern = crate::dialect::Dialect::redis(8, 0, 0);
            let mut tx = spaces.write(0, [spaces.slot(0, b"p")]).with_dialect(modern);
            change(&mut tx);
        };
        write(|tx| drop(tx.remove(b"p")));
        assert!(!is_broken(&spaces, &watch, RULES));
        write(|tx| tx.set(b"p", None, NewValue::text(b"v")));
        assert!(is_broken(&spaces, &watch, RULES));
    }

    #[test]
    fn what_is_dropped_is_forgotten() {
        let spaces = spaces();
        let (one, other) = (watching(&spaces, 0, b"a"), watching(&spaces, 0, b"a"));
        drop(one);
        assert!(spaces.watches().any());
        drop(other);
        assert!(!spaces.watches().any() && spaces.watches().keys.read().is_empty());
    }

    #[test]
    fn another_generation_breaks_what_was_watched_in_the_last() {
        let (old, new) = (spaces(), spaces());
        assert!(is_broken(&new, &watching(&old, 0, b"none"), RULES));
    }

    #[test]
    fn what_many_watched_keys_take_is_asked_of_the_account_and_given_back() {
        let spaces = spaces();
        let budget = Arc::new(Budget::new(4 * WATCHED_BYTES_STEP));
        let account = Arc::new(Account::new(Arc::clone(&budget)));
        let mut watching = Watching::new(&spaces, account);
        let key = vec![b'k'; WATCHED_BYTES_STEP - WATCH_OVERHEAD_BYTES - 1];
        for (last, fits, held) in [
            (b'a', true, 0),
            (b'b', true, 1),
            (b'c', true, 2),
            (b'd', false, 2),
        ] {
            let key = [&key[..], &[last]].concat();
            let view = spaces.view_key(0, &key);
            assert_eq!(watching.add(&view, [&key[..]].into_iter()).is_ok(), fits);
            assert_eq!(budget.held(), held * WATCHED_BYTES_STEP);
        }
        drop(watching);
        assert_eq!(budget.held(), 0);
    }

    #[test]
    fn only_what_was_or_will_be_there_changes_when_databases_are_exchanged() {
        let spaces = spaces();
        let watches = [(0, &b"a"[..]), (0, b"b"), (0, b"c"), (1, b"p"), (1, b"c")]
            .map(|(db, key)| watching(&spaces, db, key));
        let slots: Vec<_> = spaces.slots_of_db(0).chain(spaces.slots_of_db(1)).collect();
        let modern = crate::dialect::Dialect::redis(8, 0, 0);
        let mut tx = spaces.write(0, slots).with_dialect(modern);
        tx.swap(0, 1).unwrap();
        drop(tx);
        let broken = watches.iter().map(|watch| is_broken(&spaces, watch, RULES));
        let expected = [true, true, false, false, false];
        assert!(broken.eq(expected));
    }
}

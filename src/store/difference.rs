//! What a snapshot has changed.

use std::collections::HashSet;

use dashmap::RwLockReadGuard;

use super::db::{Db, Table, find};
use super::entry::{Entry, Value};
use super::keyspaces::{Keyspaces, all_slots};
use super::kinds::{Kind, Weight};
use super::walk;
use crate::rdb::packed::IntText;

/// How a key differs between two generations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Difference {
    /// It no longer exists.
    Gone,
    /// It did not exist.
    New,
    /// Its value or its expiry changed, or may have changed.
    Changed,
}

/// Takes a difference: the database, the key, and its type. Returns false to hear no more.
type Visit<'v> = &'v mut dyn FnMut(usize, &[u8], Kind, Difference) -> bool;

impl Keyspaces {
    /// Passes each key that differs in `next`, with its database and its type there, or here if it is gone, to `visit` until
    /// that returns false. A key whose value here is not known counts as changed.
    ///
    /// Returns false if the difference cannot be told: everything here is tainted, or keys are hidden on either side. Call this
    /// on the writer's thread, while nothing is applied to `next`.
    pub fn differences(&self, next: &Self, visit: Visit<'_>) -> bool {
        let hides = |spaces: &Self| spaces.taints().hidden().slots().is_some();
        if self.taints().everything() || hides(self) || hides(next) {
            return false;
        }
        let mut doubted = Doubted::of(self);
        let databases = self.databases().max(next.databases());
        (0..databases).all(|db| differences_in(self, next, db, &mut doubted, visit))
            && doubted.visit_rest(visit)
    }
}

/// The keys whose values are not known.
struct Doubted(HashSet<(usize, Box<[u8]>)>);

impl Doubted {
    fn of(spaces: &Keyspaces) -> Self {
        let tainted = match spaces.taints().any() {
            true => spaces.taints().list(),
            false => Vec::new(),
        };
        Self(tainted.into_iter().map(|(db, key, _)| (db, key)).collect())
    }

    fn take(&mut self, db: usize, key: &[u8]) -> bool {
        !self.0.is_empty() && self.0.remove(&(db, Box::from(key)))
    }

    /// Visits those that are in neither generation: it was not known whether they existed.
    fn visit_rest(self, visit: Visit<'_>) -> bool {
        let mut rest = self.0.into_iter();
        rest.all(|(db, key)| visit(db, &key, Kind::Discarded, Difference::Gone))
    }
}

fn differences_in(
    old: &Keyspaces,
    next: &Keyspaces,
    db: usize,
    doubted: &mut Doubted,
    visit: Visit<'_>,
) -> bool {
    let (old_db, next_db) = (old.db(db), next.db(db));
    if old_db.is_none() && next_db.is_none() {
        return true;
    }
    // All generations hash alike, so a key is in the same shard of both.
    all_slots(db).all(|slot| {
        let shard = slot.shard as usize;
        let (before, after) = (table(old_db, shard), table(next_db, shard));
        let is_gone_or_changed = |entry: &Entry| {
            let key = entry.key();
            let found = after
                .as_ref()
                .and_then(|table| find(table, next.hash(key), key));
            let doubts = doubted.take(db, key);
            match found {
                None => visit(db, key, Weight::of(entry).kind, Difference::Gone),
                Some(found) if doubts || !is_same(entry, found) => {
                    visit(db, key, Weight::of(found).kind, Difference::Changed)
                }
                Some(_) => true,
            }
        };
        let mut entries = before.iter().flat_map(|table| walk::entries(table));
        if !entries.all(is_gone_or_changed) {
            return false;
        }
        let is_new = |entry: &&Entry| {
            let key = entry.key();
            let found = before
                .as_ref()
                .and_then(|table| find(table, old.hash(key), key));
            found.is_none()
        };
        let entries = after.iter().flat_map(|table| walk::entries(table));
        entries.filter(is_new).all(|entry| {
            doubted.take(db, entry.key());
            visit(db, entry.key(), Weight::of(entry).kind, Difference::New)
        })
    })
}

fn table(db: Option<&Db>, shard: usize) -> Option<RwLockReadGuard<'_, Table>> {
    db?.shard(shard).map(|shard| shard.read())
}

/// Whether value and expiry are the same.
fn is_same(one: &Entry, other: &Entry) -> bool {
    one.expire_at_ms() == other.expire_at_ms() && is_same_value(one.value(), other.value())
}

fn is_same_value(one: Value<'_>, other: Value<'_>) -> bool {
    let (mut one_number, mut other_number) = (IntText::new(), IntText::new());
    match (
        text_of(one, &mut one_number),
        text_of(other, &mut other_number),
    ) {
        (Some(one), Some(other)) => one == other,
        (None, None) => match (one, other) {
            (Value::Object(one), Value::Object(other)) => one.is_same(other),
            _ => false,
        },
        _ => false,
    }
}

/// The text of a string, in whatever form it is kept.
fn text_of<'a>(value: Value<'a>, number: &'a mut IntText) -> Option<&'a [u8]> {
    match value {
        Value::Text(text) => Some(text),
        Value::Integer(integer) => Some(number.format(integer)),
        Value::Object(crate::value::Object::Text(text)) => Some(text),
        Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Doubt, NewValue, WriteToken};
    use crate::value::{Hash, Object, Set, Thresholds, Zset};

    type Told = Vec<(usize, String, Difference)>;

    fn told(old: &Keyspaces, next: &Keyspaces) -> Option<Told> {
        let mut all = Vec::new();
        let is_told = old.differences(next, &mut |db, key, _, difference| {
            all.push((db, String::from_utf8_lossy(key).into_owned(), difference));
            true
        });
        all.sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
        is_told.then_some(all)
    }

    fn spaces(strings: &[(usize, &str, &str, Option<i64>)]) -> Keyspaces {
        let spaces = Keyspaces::new(2);
        for (db, key, text, expiry) in strings {
            let mut tx = spaces.write(*db, [spaces.slot(*db, key.as_bytes())]);
            tx.set(key.as_bytes(), *expiry, NewValue::text(text.as_bytes()));
        }
        spaces
    }

    fn put(spaces: &Keyspaces, key: &str, object: Object) {
        let mut tx = spaces.write(0, [spaces.slot(0, key.as_bytes())]);
        tx.set(key.as_bytes(), None, NewValue::Object(Box::new(object)));
    }

    #[test]
    fn keys_that_came_went_or_changed_are_told_and_no_others() {
        let old = spaces(&[
            (0, "same", "v", None),
            (0, "gone", "v", None),
            (0, "value", "v", None),
            (0, "expiry", "v", Some(1)),
            (1, "same", "1", None),
        ]);
        let next = spaces(&[
            (0, "same", "v", None),
            (0, "value", "w", None),
            (0, "expiry", "v", Some(2)),
            (0, "new", "v", None),
            (1, "same", "1", None),
            (1, "gone", "v", None),
        ]);
        let expected = [
            (0, "expiry", Difference::Changed),
            (0, "gone", Difference::Gone),
            (0, "new", Difference::New),
            (0, "value", Difference::Changed),
            (1, "gone", Difference::New),
        ];
        let expected = expected.map(|(db, key, difference)| (db, key.to_owned(), difference));
        assert_eq!(told(&old, &next), Some(expected.to_vec()));
        assert_eq!(told(&old, &old), Some(Vec::new()));
    }

    #[test]
    fn the_order_of_unordered_values_and_their_form_do_not_matter() {
        let small = Thresholds::default();
        let none = Thresholds {
            hash_max_listpack_entries: 0,
            set_max_intset_entries: 0,
            set_max_listpack_entries: 0,
            zset_max_listpack_entries: 0,
            ..small
        };
        let make = |thresholds: &Thresholds, members: &[&str]| {
            let spaces = spaces(&[]);
            let (mut hash, mut set, mut zset) = (Hash::default(), Set::default(), Zset::default());
            for member in members {
                let member = member.as_bytes();
                hash.set(member, member, thresholds);
                set.add(member, thresholds);
                zset.insert(member, 1.5, thresholds);
            }
            put(&spaces, "h", Object::Hash(hash));
            put(&spaces, "s", Object::Set(set));
            put(&spaces, "z", Object::Zset(zset));
            spaces
        };
        let one = make(&small, &["a", "b", "7"]);
        assert_eq!(told(&one, &make(&none, &["7", "b", "a"])), Some(Vec::new()));
        let changed = told(&one, &make(&none, &["7", "b", "c"])).unwrap_or_default();
        let keys: Vec<_> = changed.iter().map(|(_, key, _)| key.as_str()).collect();
        assert_eq!(keys, ["h", "s", "z"]);
    }

    #[test]
    fn what_was_not_known_counts_as_changed() {
        let (old, next) = (
            spaces(&[(0, "k", "v", None)]),
            spaces(&[(0, "k", "v", None)]),
        );
        let token = WriteToken::for_tests();
        token.taint(&old, 0, b"k", Doubt::Value);
        token.taint(&old, 0, b"never", Doubt::Existence);
        let expected = [("k", Difference::Changed), ("never", Difference::Gone)];
        let expected = expected.map(|(key, difference)| (0, key.to_owned(), difference));
        assert_eq!(told(&old, &next), Some(expected.to_vec()));
        token.taint_everything(&old);
        assert_eq!(told(&old, &next), None);
    }
}

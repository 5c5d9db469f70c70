//! Tests of the store as a whole.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::value::Collection;

fn set(spaces: &Keyspaces, db: usize, key: &[u8], value: &[u8]) {
    spaces
        .write(db, [spaces.slot(db, key)])
        .set(key, None, NewValue::encoded(value));
}

fn remove(spaces: &Keyspaces, db: usize, key: &[u8]) {
    drop(spaces.write(db, [spaces.slot(db, key)]).remove(key));
}

fn text(spaces: &Keyspaces, db: usize, key: &[u8]) -> Option<Vec<u8>> {
    match spaces.view_key(db, key).value(key)? {
        Value::Text(text) => Some(text.to_vec()),
        Value::Integer(number) => Some(number.to_string().into_bytes()),
        Value::Object(_) => None,
    }
}

fn key(number: usize) -> Vec<u8> {
    format!("key:{number}").into_bytes()
}

#[test]
fn a_scan_returns_every_key_that_is_there_throughout() {
    for count in [1, 10, 1000] {
        let mut random = fastrand::Rng::with_seed(7);
        let spaces = Keyspaces::new(1);
        let stable: HashSet<_> = (0..5_000).map(key).collect();
        stable.iter().for_each(|key| set(&spaces, 0, key, b"x"));
        let (mut found, mut cursor) = (HashSet::new(), Cursor::START);
        loop {
            cursor =
                spaces
                    .view_none(0)
                    .scan(Cursor::from_number(cursor.number()), count, |entry| {
                        found.insert(entry.key().to_vec());
                    });
            // Between two calls other keys come and go, so that tables grow and are cleaned up.
            for _ in 0..50 {
                let other = key(10_000 + random.usize(..30_000));
                if random.bool() {
                    set(&spaces, 0, &other, b"y")
                } else {
                    remove(&spaces, 0, &other)
                }
            }
            if cursor == Cursor::START {
                break;
            }
        }
        assert_eq!(stable.difference(&found).count(), 0, "count {count}");
    }
}

/// The keys that a walk of database 0 finds if `change` happens after about `pause` of them.
fn found_around(spaces: &Keyspaces, pause: usize, change: impl FnOnce()) -> HashSet<Vec<u8>> {
    let mut found = HashSet::new();
    let mut note = |entry: &Entry| {
        found.insert(entry.key().to_vec());
    };
    let cursor = spaces.view_none(0).scan(Cursor::START, pause, &mut note);
    change();
    spaces.view_none(0).scan(cursor, usize::MAX, &mut note);
    found
}

#[test]
fn a_scan_misses_nothing_when_its_shard_grows_or_changes_places() {
    let keys: HashSet<_> = (0..5_000).map(key).collect();
    for pause in (100..5_000).step_by(100) {
        let spaces = Keyspaces::new(2);
        let insert =
            |db, keys: &HashSet<Vec<u8>>| keys.iter().for_each(|key| set(&spaces, db, key, b"x"));
        insert(0, &keys);
        let grow = || (10_000..20_000).for_each(|number| set(&spaces, 0, &key(number), b"x"));
        let found = found_around(&spaces, pause, grow);
        assert_eq!(keys.difference(&found).count(), 0, "growth after {pause}");
        insert(1, &keys);
        let both = || spaces.slots_of_db(0).chain(spaces.slots_of_db(1));
        let swap = || spaces.write(0, both()).swap(0, 1).unwrap();
        let found = found_around(&spaces, pause, swap);
        assert_eq!(keys.difference(&found).count(), 0, "swap after {pause}");
    }
}

#[test]
fn any_number_is_a_cursor_from_which_a_walk_comes_to_its_end() {
    let spaces = Keyspaces::new(1);
    (0..3_000).for_each(|number| set(&spaces, 0, &key(number), b"x"));
    let made_up = (0..64).flat_map(|bit| [1 << bit, u64::MAX >> bit, !(1 << bit)]);
    for number in made_up {
        let (mut cursor, mut calls) = (Cursor::from_number(number), 0);
        loop {
            cursor = spaces.view_none(0).scan(cursor, 100, |_| {});
            calls += 1;
            assert!(calls < 1_000 && cursor.number() < 1 << 53, "{number}");
            if cursor == Cursor::START {
                break;
            }
        }
    }
}

#[test]
fn a_scan_begun_in_one_generation_ends_in_the_next_without_a_gap() {
    let (old, new) = (Keyspaces::new(1), Keyspaces::new(1));
    let keys: HashSet<_> = (0..5_000).map(key).collect();
    keys.iter().for_each(|key| set(&old, 0, key, b"x"));
    (90_000..95_000)
        .map(key)
        .chain(keys.iter().cloned())
        .for_each(|key| set(&new, 0, &key, b"x"));
    let mut found = HashSet::new();
    let mut cursor = old.view_none(0).scan(Cursor::START, 2_000, |entry| {
        found.insert(entry.key().to_vec());
    });
    while cursor != Cursor::START {
        cursor = new.view_none(0).scan(cursor, 100, |entry| {
            found.insert(entry.key().to_vec());
        });
    }
    assert_eq!(keys.difference(&found).count(), 0);
}

#[test]
fn figures_follow_every_change_and_return_to_nothing() {
    let spaces = Keyspaces::new(2);
    set(&spaces, 0, b"text", &[b'x'; 100]);
    set(&spaces, 0, b"long", &[b'x'; 100_000]);
    let slot = spaces.slot(0, b"list");
    spaces
        .write(0, [slot])
        .upsert::<crate::value::Stream, _>(b"list", |_| ())
        .unwrap();
    assert!(
        spaces
            .write(0, [spaces.slot(0, b"text")])
            .set_expiry(b"text", Some(5))
    );
    let figures = spaces.figures();
    assert_eq!((figures[0].keys, figures[0].expires), (3, 1));
    assert!(figures[0].memory_bytes > 100_100);
    spaces
        .write(0, [spaces.slot(0, b"long")])
        .edit_text(b"long", |text| text.extend_from_slice(&[b'y'; 50_000]))
        .unwrap();
    assert!(spaces.figures()[0].memory_bytes > 150_100);
    for key in [&b"text"[..], b"long", b"list"] {
        remove(&spaces, 0, key);
    }
    let db = spaces.db(0).unwrap();
    assert_eq!((db.len(), db.expires(), db.heap_bytes()), (0, 0, 0));
}

#[test]
fn databases_are_swapped_and_flushed_whole() {
    let spaces = Keyspaces::new(3);
    (0..100).for_each(|number| set(&spaces, 0, &key(number), b"zero"));
    set(&spaces, 2, b"two", b"2");
    let both = || spaces.slots_of_db(0).chain(spaces.slots_of_db(2));
    spaces.write(0, both()).swap(0, 2).unwrap();
    assert_eq!(
        (spaces.db(0).unwrap().len(), spaces.db(2).unwrap().len()),
        (1, 100)
    );
    assert_eq!(
        (text(&spaces, 0, b"two"), text(&spaces, 2, &key(5))),
        (Some(b"2".to_vec()), Some(b"zero".to_vec()))
    );
    assert_eq!(
        spaces.write(0, both()).swap(0, DATABASES_GROWN_MAX),
        Err(NoSuchDatabase)
    );
    drop(spaces.write(2, spaces.slots_of_db(2)).flush(2));
    assert_eq!(
        (
            spaces.db(2).unwrap().len(),
            spaces.db(2).unwrap().heap_bytes()
        ),
        (0, 0)
    );
    assert_eq!(text(&spaces, 2, &key(5)), None);
}

#[test]
fn a_key_past_its_time_is_hidden_from_readers_only() {
    let spaces = Keyspaces::new(1);
    let slot = spaces.slot(0, b"old");
    spaces
        .write(0, [slot])
        .set(b"old", Some(unix_ms() - 1000), NewValue::text(b"x"));
    assert_eq!(text(&spaces, 0, b"old"), None);
    assert!(spaces.view_db(0).entries().next().is_none());
    assert!(spaces.write(0, [slot]).exists(b"old"));
    assert_eq!(spaces.db(0).unwrap().len(), 1);
    // RANDOMKEY returns an expired key if there is no other.
    assert_eq!(spaces.view_none(0).random_key(), Some(b"old".to_vec()));
}

#[test]
fn a_key_is_shown_in_the_very_millisecond_of_its_expiry_and_not_after() {
    let spaces = Keyspaces::new(1);
    let view = spaces.view_none(0);
    let shows = |at| view.shows(&Entry::new(b"k", Some(at), NewValue::text(b"x")));
    assert!(shows(view.now_ms()) && !shows(view.now_ms() - 1));
}

#[test]
fn a_collection_of_another_type_is_refused_and_an_emptied_one_removed() {
    let spaces = Keyspaces::new(1);
    let mut tx = spaces.write(0, [spaces.slot(0, b"k")]);
    tx.set(b"k", None, NewValue::text(b"x"));
    assert_eq!(
        tx.upsert::<crate::value::List, _>(b"k", |_| ()),
        Err(WrongType)
    );
    tx.put(Entry::new(
        b"k",
        None,
        NewValue::Object(Box::new(crate::value::List::default().into_object())),
    ));
    assert_eq!(
        tx.update::<crate::value::List, _>(b"k", |_| ()),
        Ok(Some(()))
    );
    assert!(!tx.exists(b"k"));
}

#[test]
fn readers_see_whole_transactions_only() {
    let spaces = Keyspaces::new(1);
    let keys = [key(1), key(2), key(3)];
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut reads = 0u64;
            while !done.load(Ordering::Relaxed) || reads == 0 {
                let view = spaces.view_keys(0, keys.iter().map(Vec::as_slice));
                let seen: HashSet<_> = keys
                    .iter()
                    .map(|key| view.value(key).map(|value| format!("{value:?}")))
                    .collect();
                assert_eq!(seen.len(), 1, "a mix of two moments: {seen:?}");
                reads += 1;
            }
        });
        for round in 0..20_000 {
            let mut tx = spaces.write(0, keys.iter().map(|key| spaces.slot(0, key)));
            keys.iter()
                .for_each(|key| tx.set(key, None, NewValue::Integer(round)));
        }
        done.store(true, Ordering::Relaxed);
        reader.join().unwrap();
    });
}

fn duplicate(key: &str) -> LoaderError {
    let (key, db) = (key.to_owned(), 0);
    LoaderError::Duplicate { key, db }
}

#[test]
fn loading_finds_keys_that_stand_twice() {
    let spaces = Keyspaces::new(1);
    let mut loader = Loader::new(&spaces);
    loader.reserve(10_000);
    (0..10_000).for_each(|number| {
        loader
            .insert(Entry::new(&key(number), None, NewValue::Integer(1)))
            .unwrap()
    });
    loader.finish().unwrap();
    assert_eq!(spaces.db(0).unwrap().len(), 10_000);
    loader
        .insert(Entry::new(&key(77), None, NewValue::Integer(1)))
        .unwrap();
    assert_eq!(loader.finish(), Err(duplicate("key:77")));
}

#[test]
fn what_waited_for_its_batch_is_loaded_as_it_was() {
    let spaces = Keyspaces::new(1);
    let mut loader = Loader::new(&spaces);
    // More than can wait at once, so that some are inserted early and some at the end.
    let keys = 30_000;
    let text = |number: usize| vec![b'x'; number % 300];
    let at = |number: usize| i64::MAX - i64::try_from(number).unwrap();
    let expiry = |number: usize| number.is_multiple_of(3).then(|| at(number));
    for number in 0..keys {
        let text = text(number);
        let value = match number % 7 {
            0 => NewValue::Integer(at(number)),
            1 => NewValue::Text {
                bytes: &text,
                raw: true,
            },
            _ => NewValue::text(&text),
        };
        loader.add(&key(number), expiry(number), value).unwrap();
    }
    loader.finish().unwrap();
    assert_eq!(spaces.db(0).unwrap().len(), 30_000);
    for number in 0..keys {
        let key = key(number);
        let view = spaces.view_key(0, &key);
        let entry = view.entry(&key).unwrap();
        assert_eq!(entry.expire_at_ms(), expiry(number));
        assert_eq!(entry.is_raw(), number % 7 == 1);
        match entry.value() {
            Value::Integer(value) => assert_eq!((value, number % 7), (at(number), 0)),
            Value::Text(bytes) => assert_eq!(bytes, text(number)),
            Value::Object(object) => panic!("{object:?}"),
        }
    }
    let counted = spaces.db(0).unwrap().expires();
    assert_eq!(counted, 10_000);
    loader.add(&key(78), None, NewValue::text(b"x")).unwrap();
    assert_eq!(loader.finish(), Err(duplicate("key:78")));
}

#[test]
fn taints_follow_their_keys() {
    let taints = Taints::default();
    assert!(!taints.any());
    taints.add(3, b"k", Doubt::Existence);
    assert!(taints.holds(3, b"k") && !taints.holds(0, b"k") && taints.doubts_existence_in(3));
    taints.swap_dbs(3, 0);
    assert!(taints.holds(0, b"k") && !taints.doubts_existence_in(3));
    taints.clear_db(0);
    assert!(!taints.any());
    taints.add(1, b"k", Doubt::Value);
    assert!(taints.holds(1, b"k") && !taints.doubts_existence_in(1));
    taints.add(1, b"k", Doubt::Existence);
    taints.add(1, b"k", Doubt::Value);
    assert!(taints.doubts_existence_in(1));
    taints.remove(1, b"k");
    assert!(!taints.any());
    taints.add_everything();
    taints.clear_db(0);
    assert!(taints.holds(9, b"any"));
}

#[test]
fn taints_past_their_most_take_no_more_room() {
    let taints = Taints::default();
    (0..=100_000).for_each(|number| taints.add(0, &key(number), Doubt::Value));
    assert!(taints.everything() && taints.count() == 0);
    taints.add(0, b"another", Doubt::Value);
    assert!(taints.holds(3, b"any") && taints.count() == 0);
    taints.remove(0, b"another");
    taints.clear_db(0);
    assert!(taints.any() && taints.doubts_existence_in(0));
}

#[test]
fn who_holds_an_empty_database_sees_no_key_come() {
    let spaces = Keyspaces::new(2);
    let held = spaces.hold(vec![spaces.slot(1, b"k")]);
    assert!(spaces.view_key(1, b"k").value(b"k").is_none());
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut tx = spaces.write(1, [spaces.slot(1, b"k")]);
            tx.set(b"k", None, NewValue::Integer(1));
        });
        std::thread::sleep(std::time::Duration::from_millis(50));
        assert!(spaces.view_key(1, b"k").value(b"k").is_none());
        drop(held);
        writer.join().unwrap();
    });
    assert!(spaces.view_key(1, b"k").value(b"k").is_some());
}

#[test]
fn a_writer_that_panics_leaves_nothing_vouched_for() {
    let spaces = Keyspaces::new(1);
    let half_done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut tx = spaces.write(0, [spaces.slot(0, b"k")]);
        tx.set(b"k", None, NewValue::Integer(1));
        panic!("in the middle of a command");
    }));
    assert!(half_done.is_err() && spaces.taints().everything());
}

#[test]
fn what_was_found_while_a_taint_came_and_went_is_not_told() {
    let spaces = Keyspaces::new(1);
    set(&spaces, 0, b"a", b"x");
    let mut runs = 0;
    let told = spaces.survey(0, |hold| {
        runs += 1;
        if runs > 1 {
            return count(hold);
        }
        let slot = spaces.slot(0, b"b");
        let mut tx = spaces.write(0, [slot]);
        tx.set(b"b", None, NewValue::Integer(1));
        tx.taint(0, b"b", Doubt::Existence);
        drop(tx);
        let doubted = Ok(hold.db().map_or(0, Db::len));
        let mut tx = spaces.write(0, [slot]);
        tx.untaint(0, b"b");
        drop(tx.remove(b"b"));
        doubted
    });
    assert_eq!((told, runs), (Ok(1), 2));
}

#[test]
fn a_count_waits_until_a_flush_that_takes_its_doubts_away_is_visible() {
    let spaces = Keyspaces::new(2);
    let doubted = |db: usize| {
        let mut tx = spaces.write(db, [spaces.slot(db, b"k")]);
        tx.set(b"k", None, NewValue::Integer(1));
        tx.taint(db, b"k", Doubt::Existence);
    };
    let flush = |tx: &mut Tx<'_>| drop(tx.flush(0));
    let swap = |tx: &mut Tx<'_>| tx.swap(0, 1).unwrap();
    for change in [&flush as &dyn Fn(&mut Tx<'_>), &swap] {
        doubted(0);
        let mut tx = spaces.write(0, spaces.slots_of_db(0).chain(spaces.slots_of_db(1)));
        change(&mut tx);
        std::thread::scope(|scope| {
            let (sender, told) = std::sync::mpsc::channel();
            let spaces = &spaces;
            scope.spawn(move || {
                let count = spaces.survey(0, count);
                sender.send(count).unwrap();
            });
            let early = told.recv_timeout(std::time::Duration::from_millis(50));
            assert!(!matches!(early, Ok(Ok(_))), "told too early: {early:?}");
            drop(tx);
            assert_eq!(told.recv(), Ok(Ok(0)));
        });
    }
}

/// The keys of a database.
fn count(hold: &Hold<'_>) -> Result<usize, Refusal> {
    hold.read(Names::Existence, |view| Ok(view.db().map_or(0, Db::len)))
}

/// Sweeps every key that is expired by now.
fn sweep(spaces: &Keyspaces) -> Swept {
    let (mut sweeper, mut all) = (WriteToken::for_tests().sweeper(), Swept::default());
    while let Some(swept) = sweeper.step(spaces, unix_ms()) {
        assert!((1..=LOCKED_BUCKETS_MAX).contains(&swept.looked_at));
        assert!(swept.keys <= swept.looked_at);
        all.looked_at += swept.looked_at;
        all.keys += swept.keys;
        all.bytes += swept.bytes;
    }
    all
}

#[test]
fn a_swept_hash_counts_among_those_with_expiring_fields_until_it_is_removed() {
    use crate::rdb::records::{Record, Records, Shape};
    use crate::value::{Hash, Object, Thresholds};
    let spaces = Keyspaces::new(1);
    let pair = Record::timed_field(b"f", &[b'v'; 1000], Some(1));
    let pairs = Records::of(Shape::TIMED_FIELD, [pair]);
    let hash = Hash::from_timed_records(pairs, &Thresholds::default()).unwrap();
    let value = NewValue::Object(Box::new(Object::Hash(hash)));
    let slot = spaces.slot(0, b"h");
    spaces
        .write(0, [slot])
        .set(b"h", Some(unix_ms() - 1000), value);
    let db = spaces.db(0).unwrap();
    assert_eq!(db.timed_hashes(), 1);
    assert_eq!(sweep(&spaces).keys, 1);
    assert_eq!(db.timed_hashes(), 1);
    drop(spaces.write(0, [slot]).remove(b"h"));
    assert_eq!(db.timed_hashes(), 0);
}

/// Database 0 with 3,000 expired keys of 1,000 bytes, 3,000 live keys of 1,000 bytes, and 3,000 expired keys whose value
/// is a number.
fn half_expired() -> Keyspaces {
    let spaces = Keyspaces::new(2);
    let past = unix_ms() - 1000;
    let put = |key: &[u8], expiry, value: NewValue<'_>| {
        spaces
            .write(0, [spaces.slot(0, key)])
            .set(key, expiry, value);
    };
    for number in 0..3_000 {
        let value = [b'v'; 1000];
        put(&key(number), Some(past), NewValue::text(&value));
        put(&key(10_000 + number), None, NewValue::text(&value));
        put(&key(20_000 + number), Some(past), NewValue::Integer(5));
    }
    spaces
}

#[test]
fn a_sweep_gives_memory_back_in_small_steps_and_leaves_every_count_and_reply() {
    let spaces = half_expired();
    let db = spaces.db(0).unwrap();
    let (keys, expires, bytes) = (db.len(), db.expires(), db.heap_bytes());
    let swept = sweep(&spaces);
    assert_eq!(swept.keys, 3_000);
    assert!(swept.bytes > 3_000_000, "{swept:?}");
    assert_eq!((db.len(), db.expires()), (keys, expires));
    assert_eq!(db.heap_bytes(), bytes - swept.bytes);
    assert_eq!(sweep(&spaces).keys, 0);
    let view = spaces.view_db(0);
    assert_eq!(view.entries().count(), 3_000);
    assert!(view.entry(&key(1)).is_none() && view.entry(&key(10_001)).is_some());
    assert_eq!(view.take_fate(), super::fate::Fate::Sound);
}

#[test]
fn memory_is_counted_right_whatever_becomes_of_what_was_swept() {
    type Change = fn(&mut Tx<'_>);
    let changes: [Change; 4] = [
        |tx| (0..30_000).for_each(|number| drop(tx.remove(&key(number)))),
        |tx| drop(tx.flush(0)),
        |tx| {
            tx.swap(0, 1).unwrap();
            drop(tx.flush(1));
        },
        |tx| {
            let value = NewValue::text(&[b'v'; 2000]);
            tx.set(&key(1), None, value);
            (0..30_000).for_each(|number| drop(tx.remove(&key(number))));
        },
    ];
    for change in changes {
        let spaces = half_expired();
        sweep(&spaces);
        let both = spaces.slots_of_db(0).chain(spaces.slots_of_db(1));
        change(&mut spaces.write(0, both));
        for db in [0, 1].iter().filter_map(|db| spaces.db(*db)) {
            assert_eq!((db.len(), db.expires(), db.heap_bytes()), (0, 0, 0));
        }
    }
}

#[test]
fn nothing_is_swept_before_its_time() {
    let spaces = half_expired();
    let mut sweeper = WriteToken::for_tests().sweeper();
    let minute_ago = unix_ms() - 60_000;
    while let Some(swept) = sweeper.step(&spaces, minute_ago) {
        assert_eq!((swept.keys, swept.bytes), (0, 0));
    }
}

#[test]
fn a_swept_value_that_is_to_be_shown_again_is_known_to_be_lost() {
    let spaces = half_expired();
    sweep(&spaces);
    let one = key(1);
    let slot = spaces.slot(0, &one);
    spaces
        .write(0, [slot])
        .set_expiry(&one, Some(unix_ms() + 60_000));
    let hold = spaces.view_key(0, &one);
    let value =
        |hold: &Hold<'_>| hold.read(Names::Key(&one), |view| Ok(view.value(&one).is_some()));
    assert_eq!(value(&hold), Err(Refusal::Tainted(Tainted)));
    // Each read counts for itself.
    let none = hold.read(Names::Key(&one), |_| Ok::<_, Refusal>(()));
    assert_eq!(none, Ok(()));
    let copy = hold.copied(&|visit| visit(&one)).unwrap();
    drop(hold);
    assert_eq!(value(&copy), Err(Refusal::Tainted(Tainted)));
    let mut tx = spaces.write(0, [slot]);
    let exists = tx.apply(|tx| tx.exists(&one).then_some(()).ok_or(Tainted.into()));
    assert_eq!(exists, Ok::<_, Refusal>(()));
    let read = tx.apply::<Refusal>(|tx| {
        _ = tx.collection::<crate::value::List>(&one);
        Ok(())
    });
    assert_eq!(read, Err(Refusal::Tainted(Tainted)));
}

#[test]
fn a_key_that_is_not_held_is_an_error_and_never_absent() {
    let spaces = Keyspaces::new(2);
    let [held, other] = [b"held".as_slice(), b"other"];
    assert_ne!(spaces.slot(0, held), spaces.slot(0, other));
    [held, other]
        .iter()
        .for_each(|key| set(&spaces, 0, key, b"x"));
    let asks = |hold: &Hold<'_>, key: &[u8]| {
        hold.read(Names::Key(held), |view| {
            Ok::<_, Refusal>(view.value(key).is_some())
        })
    };
    for hold in [
        spaces.view_key(0, held),
        spaces.view_keys(0, [held]),
        spaces.growing(0, [held].into_iter()).view(0),
        spaces
            .view_key(0, held)
            .copied(&|visit| visit(held))
            .unwrap(),
    ] {
        assert_eq!(asks(&hold, held), Ok(true));
        assert_eq!(asks(&hold, other), Err(Refusal::Unheld));
        assert_eq!(asks(&hold, held), Ok(true));
    }
    assert_eq!(asks(&spaces.view_none(0), held), Err(Refusal::Unheld));
    // A key that was copied as absent is absent, and so is every key of a database that does not exist.
    let absent = b"absent".as_slice();
    let copy = spaces.view_key(0, absent);
    let copy = copy.copied(&|visit| visit(absent)).unwrap();
    assert_eq!(asks(&copy, absent), Ok(false));
    assert_eq!(asks(&spaces.view_key(1, held), other), Ok(false));
}

#[test]
fn a_write_to_a_key_that_is_not_held_is_an_error_and_leaves_nothing_vouched_for() {
    type Write = fn(&mut Tx<'_>);
    let reads: [Write; 2] = [|tx| _ = tx.exists(b"other"), |tx| _ = tx.value(b"other")];
    let writes: [Write; 5] = [
        |tx| tx.set(b"other", None, NewValue::Integer(1)),
        |tx| drop(tx.remove(b"other")),
        |tx| _ = tx.set_expiry(b"other", Some(1)),
        |tx| _ = tx.update(b"other", |_: &mut crate::value::List| ()),
        |tx| tx.put(Entry::new(b"other", None, NewValue::Integer(1))),
    ];
    for (write, changes) in reads
        .map(|read| (read, false))
        .into_iter()
        .chain(writes.map(|write| (write, true)))
    {
        let spaces = Keyspaces::new(1);
        let mut tx = spaces.write(0, [spaces.slot(0, b"held")]);
        let result = tx.apply::<Refusal>(|tx| {
            write(tx);
            Ok(())
        });
        assert_eq!(result, Err(Refusal::Unheld));
        drop(tx);
        assert_eq!(spaces.taints().everything(), changes);
    }
}

#[test]
fn a_copy_is_refused_if_a_value_is_not_known_when_it_is_made() {
    let spaces = Keyspaces::new(1);
    set(&spaces, 0, b"k", b"x");
    let slot = spaces.slot(0, b"k");
    spaces.write(0, [slot]).taint(0, b"k", Doubt::Value);
    let hold = spaces.view_key(0, b"k");
    assert!(hold.copied(&|visit| visit(b"k")).is_err());
    drop(hold);
    spaces.write(0, [slot]).untaint(0, b"k");
    // A taint that comes later is of another moment.
    let copy = spaces
        .view_key(0, b"k")
        .copied(&|visit| visit(b"k"))
        .unwrap();
    spaces.write(0, [slot]).taint(0, b"k", Doubt::Value);
    let value = copy.read(Names::Key(b"k"), |view| {
        Ok::<_, Refusal>(view.value(b"k").is_some())
    });
    assert_eq!(value, Ok(true));
}

#[test]
fn a_flush_or_a_swap_of_what_is_not_held_taints_everything() {
    let changes: [fn(&mut Tx<'_>); 3] = [
        |tx| drop(tx.flush(0)),
        |tx| tx.swap(0, 1).unwrap(),
        |tx| drop(tx.remove_where(|_| true)),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let spaces = Keyspaces::new(2);
        let slots = || [spaces.slot(0, b"a"), spaces.slot(1, b"a")];
        set(&spaces, 0, b"a", b"1");
        let mut tx = spaces.write(0, slots());
        let applied = tx.apply(|tx| {
            change(tx);
            Ok::<_, Refusal>(())
        });
        assert_eq!(applied, Err(Refusal::Unheld), "{number}");
        drop(tx);
        assert_eq!(spaces.taints().everything(), number < 2, "{number}");
    }
}

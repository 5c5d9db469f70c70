use super::*;
use std::collections::{BTreeMap, BTreeSet};

fn key(number: u32) -> Vec<u8> {
    number.to_string().into_bytes()
}

fn number_of(record: Record<'_>) -> u32 {
    std::str::from_utf8(record.key).unwrap().parse().unwrap()
}

fn add(table: &mut Table, number: u32) -> bool {
    table.insert(Record::member(&key(number))).is_ok()
}

fn filled(numbers: std::ops::Range<u32>) -> Table {
    let mut table = Table::new(Shape::MEMBER);
    numbers.for_each(|number| assert!(add(&mut table, number)));
    table
}

/// Scans a table of `rows` records. The records below `stay` stay; others are added or removed after each call, in bursts of up
/// to `burst`. Returns how many of the staying records were missed.
fn missed(rows: u32, stay: u32, burst: usize, grows: bool, seed: u64) -> usize {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut table = filled(0..rows);
    let mut seen = BTreeSet::new();
    let (mut cursor, mut next) = (0, rows);
    loop {
        cursor = table.scan(cursor, 20, |record| {
            seen.insert(number_of(record));
        });
        if cursor == 0 {
            return (0..stay).filter(|number| !seen.contains(number)).count();
        }
        for _ in 0..random.usize(..burst) {
            if grows && next < 20_000 {
                add(&mut table, next);
                next += 1;
            } else {
                table.remove(&key(random.u32(stay..next)));
            }
        }
    }
}

#[test]
fn a_scan_gives_every_record_that_stays_while_the_table_grows_or_shrinks() {
    for seed in 0..50 {
        for (rows, stay) in [(200, 100), (30, 10)] {
            assert_eq!(missed(rows, stay, 100, true, seed), 0, "growing, {seed}");
        }
        assert_eq!(
            missed(6_000, 100, 1_000, false, seed),
            0,
            "shrinking, {seed}"
        );
    }
}

#[test]
fn a_cursor_from_before_growth_starts_over() {
    for few in [20, 200] {
        let mut table = filled(0..few);
        let cursor = table.scan(0, 10, |_| {});
        (few..20_000).for_each(|number| assert!(add(&mut table, number)));
        let mut seen = BTreeSet::new();
        table.scan(cursor, 50_000, |record| {
            seen.insert(number_of(record));
        });
        assert!(seen.into_iter().eq(0..20_000));
    }
}

#[test]
fn any_number_is_a_cursor_from_which_a_walk_comes_to_its_end() {
    let table = filled(0..3_000);
    for number in (0..64).flat_map(|bit| [1 << bit, u64::MAX >> bit, !(1 << bit)]) {
        let (mut cursor, mut calls) = (number, 0);
        loop {
            cursor = table.scan(cursor, 100, |_| {});
            calls += 1;
            assert!(calls < 100 && cursor < 1 << 53, "{number}");
            if cursor == 0 {
                break;
            }
        }
    }
}

#[test]
fn a_scan_without_changes_gives_every_record_once() {
    for rows in [10, 3_000] {
        let table = filled(0..rows);
        let (mut cursor, mut seen) = (0, Vec::new());
        loop {
            cursor = table.scan(cursor, 7, |record| seen.push(number_of(record)));
            if cursor == 0 {
                break;
            }
        }
        seen.sort_unstable();
        assert!(seen.iter().copied().eq(0..rows));
    }
}

#[test]
fn refuses_a_second_record_of_the_same_key() {
    for rows in [10, 100, 10_000] {
        let mut table = filled(0..rows);
        let there = table.find(&key(3)).unwrap();
        assert_eq!(table.insert(Record::member(&key(3))), Err(there));
        assert_eq!(table.len(), rows as usize);
        let keys: Vec<_> = (0..rows).chain([rows / 2]).map(key).collect();
        let records = |count: usize| {
            let keys = keys.iter().take(count).map(|key| Record::member(key));
            Records::of(Shape::MEMBER, keys)
        };
        assert!(Table::from_records(records(keys.len() - 1)).is_some());
        assert!(Table::from_records(records(keys.len())).is_none());
    }
}

#[test]
fn keys_that_end_alike_are_not_taken_for_the_same() {
    let keys: [&[u8]; 6] = [b"a:12345678", b"b:12345678", b"", b"\0", b"\0\0", b"x"];
    let records = Records::of(Shape::MEMBER, keys.map(Record::member));
    let table = Table::from_records(records).unwrap();
    assert!(keys.iter().all(|key| table.find(key).is_some()));
    let mut twice = Records::of(Shape::MEMBER, keys.map(Record::member));
    twice.push(Record::member(b""));
    assert!(Table::from_records(twice).is_none());
}

#[test]
fn gives_memory_back_when_most_records_are_gone() {
    let mut table = filled(0..10_000);
    let full = table.heap_bytes();
    (10..10_000).for_each(|number| assert!(table.remove(&key(number))));
    assert!(table.heap_bytes() < full / 50, "{}", table.heap_bytes());
    assert!((0..10).all(|number| table.find(&key(number)).is_some()));
}

#[test]
fn samples_are_different_records_and_every_record_has_its_turn() {
    for (rows, count) in [(100, 20), (15, 4)] {
        let table = filled(0..rows);
        let mut seen = BTreeSet::new();
        for _ in 0..200 {
            let sample: BTreeSet<u32> = table.sample(count).into_iter().map(number_of).collect();
            assert_eq!(sample.len(), count);
            seen.extend(sample);
            seen.extend(table.random().map(number_of));
        }
        assert_eq!(seen.len(), rows as usize);
    }
}

#[test]
fn removed_records_are_no_random_ones() {
    let mut table = filled(0..20);
    (0..9).for_each(|number| assert!(table.remove(&key(number))));
    for _ in 0..200 {
        assert!(table.random().map(number_of) >= Some(9));
    }
    (9..20).for_each(|number| assert!(table.remove(&key(number))));
    assert_eq!(table.random(), None);
}

/// A value of a varying length, sometimes longer than a chunk.
fn value(random: &mut fastrand::Rng) -> Vec<u8> {
    let len = match random.u8(..) {
        0 => 70_000,
        1..40 => random.usize(100..600),
        _ => random.usize(..4),
    };
    vec![random.u8(..); len]
}

#[test]
fn behaves_as_a_map_while_values_come_go_and_change() {
    for (seed, keys) in [(1, 12), (2, 60), (3, 3_000)] {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut table = Table::new(Shape::TIMED_FIELD);
        let mut model: BTreeMap<Vec<u8>, (Vec<u8>, u64)> = BTreeMap::new();
        for step in 0..20_000_u64 {
            let key = key(random.u32(..keys));
            match random.u8(..8) {
                0..2 => assert_eq!(table.remove(&key), model.remove(&key).is_some()),
                2 => {
                    if let Some(handle) = table.find(&key) {
                        table.set_number(handle, step);
                        model.get_mut(&key).unwrap().1 = step;
                    }
                }
                _ => {
                    let (value, number) = (value(&mut random), step);
                    match table.insert(Record {
                        key: &key,
                        value: &value,
                        number,
                    }) {
                        Ok(_) => assert!(model.insert(key, (value, step)).is_none()),
                        Err(handle) => {
                            table.set_value(handle, &value);
                            model.get_mut(&key).unwrap().0 = value;
                        }
                    }
                }
            }
            if step % 512 == 0 {
                let found: BTreeMap<_, _> = table
                    .iter()
                    .map(|record| (record.key.to_vec(), (record.value.to_vec(), record.number)))
                    .collect();
                assert_eq!((table.len(), found), (model.len(), model.clone()));
                let same = |(key, (value, number)): (&Vec<u8>, &(Vec<u8>, u64))| {
                    table.get(key)
                        == Some(Record {
                            key,
                            value,
                            number: *number,
                        })
                };
                assert!(model.iter().all(same));
            }
        }
    }
}

use super::*;
use std::collections::BTreeMap;

const SHAPES: [Shape; 4] = [
    Shape::MEMBER,
    Shape::FIELD,
    Shape::TIMED_FIELD,
    Shape::SCORED,
];

fn text(byte: u8, len: usize) -> Vec<u8> {
    vec![byte; len]
}

/// The part of a record that a store of this shape keeps.
fn kept<'a>(record: Record<'a>, shape: Shape) -> Record<'a> {
    Record {
        key: record.key,
        value: if shape.has_value { record.value } else { &[] },
        number: if shape.has_number { record.number } else { 0 },
    }
}

fn sum_of_blocks(records: &Records) -> usize {
    let blocks = records.chunks.iter().map(|chunk| chunk.bytes.capacity());
    blocks.sum()
}

#[test]
fn gives_back_records_of_all_lengths() {
    let lengths = [0, 1, 125, 126, 127, 254, 255, 256, 65_535, 65_536, 200_000];
    for shape in SHAPES {
        let mut records = Records::new(shape);
        let mut places = Vec::new();
        for key_len in lengths {
            for value_len in lengths {
                let (key, value) = (text(b'k', key_len), text(b'v', value_len));
                let record = Record::timed_field(&key, &value, Some(77));
                places.push((records.push(record), key_len, value_len));
            }
        }
        for (handle, key_len, value_len) in places {
            let (key, value) = (text(b'k', key_len), text(b'v', value_len));
            let expected = kept(Record::timed_field(&key, &value, Some(77)), shape);
            assert_eq!(records.get(handle), Some(expected));
            assert_eq!(records.key(handle), key);
        }
        assert_eq!(records.iter().count(), lengths.len() * lengths.len());
        assert_eq!(records.held, sum_of_blocks(&records));
    }
}

#[test]
fn a_handle_comes_back_from_its_five_bytes() {
    for chunk in [0, 1, 255, 256, 65_536, 0xff_ffff] {
        for at in [0, 1, 255, 256, u16::MAX] {
            let handle = Handle { chunk, at };
            assert_eq!(Handle::unpack(handle.pack()), handle);
        }
    }
}

#[test]
fn an_expiry_and_none_come_back() {
    for at in [None, Some(0), Some(1), Some(i64::MAX)] {
        assert_eq!(Record::timed_field(b"f", b"", at).expire_at_ms(), at);
    }
    assert_eq!(Record::scored(b"m", -0.5).score(), -0.5);
}

#[test]
fn what_was_filled_in_a_room_takes_just_its_bytes() {
    let mut room = Vec::new();
    for count in [1, 10, 400, 5000] {
        let mut records = Records::in_room(Shape::MEMBER, &mut room);
        for number in 0..count {
            records.push(Record::member(format!("{number:016}").as_bytes()));
        }
        let records = records.leave_room(&mut room);
        let bytes = 17 * count;
        assert_eq!(records.held, sum_of_blocks(&records));
        assert!(records.held >= bytes && records.held <= bytes + bytes / 7);
        if count <= 400 {
            assert_eq!(records.heap_bytes(), bytes);
        }
        assert!(room.is_empty() && room.capacity() <= CHUNK_BYTES);
        assert_eq!(records.iter().count(), count);
    }
}

#[test]
fn a_store_that_grows_holds_little_more_than_its_records() {
    let mut records = Records::new(Shape::FIELD);
    let mut bytes = 0;
    for number in 0..50_000 {
        let key = format!("field:{number}");
        records.push(Record::field(key.as_bytes(), b"sixteen letters!"));
        bytes += key.len() + 18;
        assert!(records.held <= bytes + bytes / 2 + 64);
    }
}

#[test]
fn a_copy_counts_its_own_bytes() {
    let records = Records::of(Shape::MEMBER, [Record::member(b"one"), Record::member(b"")]);
    let copy = records.clone();
    assert_eq!(copy, records);
    assert_eq!(copy.held, sum_of_blocks(&copy));
}

/// Keys of all lengths, some of them larger than a chunk.
fn key_of(random: &mut fastrand::Rng, number: usize) -> Vec<u8> {
    let mut key = number.to_string().into_bytes();
    let padding = match number % 50 {
        0 => 3000,
        1 if random.u8(..) == 0 => 70_000,
        2..20 => 140,
        _ => 0,
    };
    key.resize(key.len() + padding, b'.');
    key
}

/// The handles by key, as found by iterating over the records.
fn places(records: &Records) -> BTreeMap<Vec<u8>, Handle> {
    let entries = records.entries();
    entries
        .map(|(handle, record)| (record.key.to_vec(), handle))
        .collect()
}

#[test]
fn holds_what_a_map_holds_while_records_come_go_and_move() {
    let mut random = fastrand::Rng::with_seed(6);
    for shape in SHAPES {
        let mut records = Records::new(shape);
        let mut model: BTreeMap<Vec<u8>, Handle> = BTreeMap::new();
        for number in 0..8000 {
            // It grows first, then it shrinks.
            if model.is_empty() || random.usize(..8000) > number {
                let key = key_of(&mut random, number);
                let handle = records.push(Record::timed_field(&key, b"value", Some(5)));
                model.insert(key, handle);
                continue;
            }
            let at = random.usize(..model.len());
            let key = model.keys().nth(at).unwrap().clone();
            let handle = model.remove(&key).unwrap();
            assert_eq!(records.key(handle), key);
            records.remove(handle);
            let chunk = handle.chunk();
            if records.is_wasteful(chunk) {
                for (record, old, new) in records.moves(chunk) {
                    assert_eq!(model.insert(record.key.to_vec(), new), Some(old));
                }
                records.compact(chunk);
            }
            assert_eq!(records.len(), model.len());
            assert_eq!(records.held, sum_of_blocks(&records));
            if number % 500 == 0 {
                assert_eq!(places(&records), model);
            }
        }
        for (key, handle) in model {
            assert_eq!(records.key(handle), key);
            records.remove(handle);
        }
        assert_eq!((records.len(), records.iter().count()), (0, 0));
        let chunks = u32::try_from(records.chunks.len()).unwrap();
        (0..chunks).for_each(|chunk| records.compact(chunk));
        assert!(records.held < CHUNK_BYTES, "{}", records.held);
    }
}

#[test]
fn the_numbers_of_freed_chunks_are_used_again() {
    let mut records = Records::new(Shape::MEMBER);
    let mut handles = std::collections::VecDeque::new();
    for number in 0..100_000 {
        handles.push_back(records.push(Record::member(format!("{number:016}").as_bytes())));
        if handles.len() > 10_000 {
            let handle = handles.pop_front().unwrap();
            records.remove(handle);
            if records.is_wasteful(handle.chunk()) {
                let moved: Vec<_> = records.moves(handle.chunk()).collect();
                for (_, old, new) in moved {
                    let place = handles.iter_mut().find(|handle| **handle == old);
                    *place.unwrap() = new;
                }
                records.compact(handle.chunk());
            }
        }
    }
    assert_eq!(records.len(), 10_000);
    assert!(records.chunks.len() < 8, "{}", records.chunks.len());
}

#[test]
fn values_and_numbers_are_overwritten_in_place() {
    for shape in SHAPES {
        let mut records = Records::new(shape);
        let first = records.push(Record::timed_field(b"one", b"value", Some(1)));
        let second = records.push(Record::timed_field(b"two", b"value", Some(2)));
        assert_eq!(records.overwrite_value(first, b"other"), shape.has_value);
        assert!(!shape.has_value || !records.overwrite_value(first, b"longer"));
        if shape.has_number {
            records.set_number(first, 9);
        }
        let expected = kept(Record::timed_field(b"one", b"other", Some(9)), shape);
        assert_eq!(records.get(first), Some(expected));
        let expected = kept(Record::timed_field(b"two", b"value", Some(2)), shape);
        assert_eq!(records.get(second), Some(expected));
    }
}

#[test]
fn a_change_of_a_record_that_is_not_there_panics() {
    let changes: [fn(&mut Records, Handle); 3] = [
        |records, handle| records.remove(handle),
        |records, handle| records.set_number(handle, 7),
        |records, handle| records.overwrite(handle, 0, b"x"),
    ];
    for change in changes {
        for handle in [Handle::near(99), Handle { chunk: 3, at: 0 }] {
            let mut records = Records::new(Shape::SCORED);
            records.push(Record::scored(b"m", 1.0));
            let changed = std::panic::catch_unwind(move || change(&mut records, handle));
            assert!(changed.is_err(), "{handle:?}");
        }
    }
    // No member has a number to set.
    let mut members = Records::new(Shape::MEMBER);
    let handle = members.push(Record::member(b"m"));
    assert!(std::panic::catch_unwind(move || members.set_number(handle, 7)).is_err());
}

#[test]
#[should_panic(expected = "a chunk ends with a whole record")]
fn compacting_a_chunk_loses_no_record_that_it_cannot_read() {
    let mut records = Records::new(Shape::MEMBER);
    let first = records.push(Record::member(b"one"));
    records.push(Record::member(b"two"));
    // The second record states more bytes than there are.
    records.chunks[0].bytes[4] = 100;
    records.remove(first);
    records.compact(0);
}

use super::*;
use crate::dialect::Dialect;
use crate::rdb::dump::{Sums, decode_payload, encode_payload};
use crate::rdb::encode::Layouts;
use crate::rdb::object::Object as Decoded;
use crate::rdb::version::Version;
use crate::rdb::{ValueType, stream};
use crate::value::Object;

/// An id, and fields with values.
type Told = (StreamId, Vec<(Vec<u8>, Vec<u8>)>);

fn told(entry: &Entry<'_>) -> Told {
    let pairs = entry
        .pairs()
        .map(|(field, value)| (field.to_vec(), value.to_vec()));
    (entry.id, pairs.collect())
}

fn object(stream: &Stream) -> StreamObject {
    StreamObject {
        nodes: stream
            .nodes()
            .map(|(id, node)| {
                let blob = node.as_bytes().to_vec();
                (id, Listpack::validate(blob).unwrap())
            })
            .collect(),
        length: stream.length,
        last_id: stream.last_id,
        first_id: stream.first_id(),
        max_deleted_id: stream.max_deleted_id,
        entries_added: stream.entries_added,
        groups: Vec::new(),
        idmp: None,
    }
}

fn assert_same(stream: &Stream, model: &[Told], random: &mut fastrand::Rng) {
    assert_eq!(stream.len(), model.len());
    let first = model.first().map_or(StreamId::MIN, |(id, _)| *id);
    assert_eq!(stream.first_id(), first);
    assert_eq!(stream.last_live_id(), model.last().map(|(id, _)| *id));
    let (start, end) = (
        StreamId::new(random.u64(..300), random.u64(..3)),
        StreamId::new(random.u64(..700), random.u64(..3)),
    );
    let expected: Vec<Told> = model
        .iter()
        .filter(|(id, _)| (start..=end).contains(id))
        .cloned()
        .collect();
    let forwards: Vec<Told> = stream.range(start, end).map(|entry| told(&entry)).collect();
    let mut backwards: Vec<Told> = stream
        .range_back(start, end)
        .map(|entry| told(&entry))
        .collect();
    backwards.reverse();
    assert_eq!(forwards, expected);
    assert_eq!(backwards, expected);
    let loaded = Stream::from_rdb(object(stream)).unwrap();
    assert_eq!(object(&loaded), object(stream));
}

fn some_pairs(random: &mut fastrand::Rng) -> Vec<(Vec<u8>, Vec<u8>)> {
    let fields: &[&str] = match random.u8(..4) {
        0 => &["a"],
        1 => &["a", "17"],
        _ => &["temperature", "place"],
    };
    fields
        .iter()
        .map(|field| {
            let value = match random.u8(..3) {
                0 => random.i64(..).to_string().into_bytes(),
                1 => vec![b'x'; random.usize(..100)],
                _ => Vec::new(),
            };
            (field.as_bytes().to_vec(), value)
        })
        .collect()
}

#[test]
fn is_what_the_model_says_and_every_node_is_one_that_a_load_accepts() {
    for seed in 0..6 {
        let mut random = fastrand::Rng::with_seed(seed);
        let thresholds = Thresholds {
            stream_node_max_bytes: 600,
            stream_node_max_entries: 9,
            ..Thresholds::default()
        };
        let (mut stream, mut model) = (Stream::default(), Vec::<Told>::new());
        for step in 0..700 {
            match random.u8(..20) {
                0..13 => {
                    let id = StreamId::new(
                        stream.last_id.ms + random.u64(..2),
                        random.u64(..3).max(stream.last_id.seq) + 1,
                    );
                    let pairs = some_pairs(&mut random);
                    let borrowed: Vec<_> = pairs.iter().map(|(a, b)| (&a[..], &b[..])).collect();
                    assert!(stream.append(id, &borrowed, &thresholds));
                    model.push((id, pairs));
                }
                13..18 if !model.is_empty() => {
                    let at = random.usize(..model.len());
                    let (id, _) = model.remove(at);
                    assert_eq!(stream.delete(&[id, id]), 1);
                }
                18 if step % 4 == 0 => {
                    let most = random.usize(..60);
                    let gone = model.len().saturating_sub(most);
                    model.drain(..gone);
                    assert_eq!(
                        stream.trim(Keep::Newest(most as u64), false, 0),
                        gone as u64
                    );
                }
                19 if !model.is_empty() => {
                    let from = model[random.usize(..model.len().min(9))].0;
                    let before = model.len();
                    model.retain(|(id, _)| *id >= from);
                    let gone = (before - model.len()) as u64;
                    assert_eq!(stream.trim(Keep::From(from), false, 0), gone);
                }
                _ => {}
            }
            assert_same(&stream, &model, &mut random);
        }
    }
}

#[test]
fn a_rough_trim_drops_whole_nodes_only() {
    let thresholds = Thresholds::default();
    let mut stream = Stream::default();
    for ms in 1..=250 {
        stream.append(StreamId::new(ms, 0), &[(b"f", b"v")], &thresholds);
    }
    assert_eq!(stream.nodes().len(), 3);
    assert_eq!(stream.trim(Keep::Newest(160), true, 0), 0);
    assert_eq!(stream.trim(Keep::Newest(10), true, 150), 100);
    assert_eq!(stream.trim(Keep::From(StreamId::new(240, 0)), true, 0), 100);
    assert_eq!(stream.first_id(), StreamId::new(201, 0));
}

#[test]
fn refuses_an_id_that_is_not_above_the_last() {
    let thresholds = Thresholds::default();
    let mut stream = Stream::default();
    assert!(stream.append(StreamId::new(5, 1), &[(b"f", b"v")], &thresholds));
    assert!(!stream.append(StreamId::new(5, 1), &[(b"f", b"v")], &thresholds));
    assert_eq!((stream.len(), stream.entries_added), (1, 1));
}

#[test]
fn gives_back_all_bytes_when_emptied() {
    let thresholds = Thresholds::default();
    let mut stream = Stream::default();
    for ms in 1..=500 {
        stream.append(StreamId::new(ms, 0), &[(b"field", b"value")], &thresholds);
    }
    assert!(stream.heap_bytes() > 5 * 500);
    stream.put_group(b"g"[..].into(), Group::new(StreamId::MIN, None));
    stream.change_group(b"g", |group| {
        group.consumer(b"c", 5);
        group.assign(StreamId::new(1, 0), b"c", 5, 1);
    });
    stream.remove_group(b"g");
    stream.trim(Keep::Newest(0), false, 0);
    assert_eq!((stream.len(), stream.heap_bytes()), (0, 0));
}

#[test]
fn refuses_a_node_with_any_count_or_length_changed() {
    let thresholds = Thresholds::default();
    let mut stream = Stream::default();
    for ms in 1..=4 {
        stream.append(StreamId::new(ms, 0), &[(b"f", b"v")], &thresholds);
    }
    let sound = object(&stream);
    let items = sound.nodes[0].1.len();
    for index in 0..items {
        let mut broken = sound.clone();
        let is_number = matches!(
            broken.nodes[0].1.get(index),
            Some(crate::rdb::listpack::Item::Int(_))
        );
        broken.nodes[0].1.replace(index, b"-3");
        // The zero after the master's fields has no meaning, and the id differences may be anything here.
        if is_number && index != 4 && (index < 5 || !matches!(index % 5, 1 | 2)) {
            assert!(Stream::from_rdb(broken).is_err(), "item {index}");
        }
        let mut shorter = sound.clone();
        shorter.nodes[0].1.remove(index, 1);
        assert!(Stream::from_rdb(shorter).is_err(), "without item {index}");
    }
}

#[test]
fn groups_own_what_their_consumers_have() {
    let group = |consumers: &[(&str, &[u64])], pel: &[u64]| stream::Group {
        name: b"g"[..].into(),
        pel: pel
            .iter()
            .map(|ms| stream::Pending {
                id: StreamId::new(*ms, 0),
                delivery_time_ms: 9,
                delivery_count: 1,
            })
            .collect(),
        consumers: consumers
            .iter()
            .map(|(name, ids)| stream::Consumer {
                name: name.as_bytes().into(),
                pending: ids.iter().map(|ms| StreamId::new(*ms, 0)).collect(),
                ..stream::Consumer::default()
            })
            .collect(),
        ..stream::Group::default()
    };
    let load = |group| Group::from_rdb(group);
    assert!(load(group(&[("a", &[1]), ("b", &[2])], &[1, 2])).is_ok());
    assert!(load(group(&[("a", &[1])], &[1, 2])).is_err());
    assert!(load(group(&[("a", &[1]), ("b", &[1])], &[1])).is_err());
    assert!(load(group(&[("a", &[1, 3])], &[1])).is_err());
    assert!(load(group(&[("a", &[]), ("a", &[])], &[])).is_err());
    let mut sound = load(group(&[("a", &[1, 2]), ("b", &[3])], &[1, 2, 3])).unwrap();
    sound.assign(StreamId::new(2, 0), b"b", 11, 2);
    assert_eq!(sound.consumers()[&b"b"[..]].pending, 2);
    assert_eq!(sound.remove_consumer(b"b"), Some(2));
    assert_eq!(sound.pending().len(), 1);
    assert!(sound.acknowledge(StreamId::new(1, 0)));
    assert_eq!(sound.consumers()[&b"a"[..]].pending, 0);
}

/// A stream of entries 1-0 to `last`-0, three to a node, whose groups have read up to the given ids, and have these pending.
fn read_by(last: u64, groups: &[(&str, u64, &[u64])]) -> Stream {
    let thresholds = Thresholds {
        stream_node_max_entries: 3,
        ..Thresholds::default()
    };
    let mut stream = Stream::default();
    for ms in 1..=last {
        assert!(stream.append(StreamId::new(ms, 0), &[(b"f", b"v")], &thresholds));
    }
    for (name, last_id, pending) in groups {
        let mut group = Group::new(StreamId::new(*last_id, 0), None);
        group.consumer(b"c", 0);
        for ms in *pending {
            group.assign(StreamId::new(*ms, 0), b"c", 1, 1);
        }
        stream.put_group(name.as_bytes().into(), group);
    }
    stream
}

fn left(stream: &Stream) -> Vec<u64> {
    let all = stream.range(StreamId::MIN, StreamId::MAX);
    let left: Vec<u64> = all.map(|entry| entry.id.ms).collect();
    assert_eq!(stream.len(), left.len());
    assert_eq!(stream.first_id().ms, left.first().copied().unwrap_or(0));
    let bytes: usize = stream.nodes.values().map(node_bytes).sum();
    let groups = stream.groups.iter();
    let groups: usize = groups.map(|(name, group)| group_bytes(name, group)).sum();
    let rare = stream.rare.as_ref().map_or(0, |rare| {
        size_of::<Rare>() + rare.idmp.as_ref().map_or(0, Idmp::heap_bytes)
    });
    assert_eq!(stream.heap_bytes(), bytes + groups + rare);
    left
}

fn pending(stream: &Stream, group: &str) -> Vec<u64> {
    let group = &stream.groups()[group.as_bytes()];
    let owned: usize = group.consumers().values().map(|one| one.pending).sum();
    assert_eq!(owned + group.released_count(), group.pending().len());
    group.pending().keys().map(|id| id.ms).collect()
}

fn deletion(strategy: Strategy) -> Deletion {
    Deletion::new(strategy, Dialect::redis(8, 2, 3))
}

#[test]
fn a_trim_passes_by_what_is_referenced_and_goes_on_behind_it() {
    let groups: &[(&str, u64, &[u64])] = &[("a", 8, &[2, 5]), ("b", 7, &[1])];
    // Down to four entries: 3, 4, 6 and 7 go, in whose stead 1, 2 and 5 stay; 8 is unread by `b`.
    let mut stream = read_by(8, groups);
    let trimmed = stream.trim_by(Keep::Newest(4), deletion(Strategy::Acked));
    assert_eq!((trimmed, left(&stream)), (Ok(4), vec![1, 2, 5, 8]));
    // A node of which something is kept by the limit is the last one.
    let mut stream = read_by(8, groups);
    let trimmed = stream.trim_by(Keep::From(StreamId::new(5, 0)), deletion(Strategy::Acked));
    assert_eq!((trimmed, left(&stream)), (Ok(2), vec![1, 2, 5, 6, 7, 8]));
    assert_eq!(
        (pending(&stream, "a"), pending(&stream, "b")),
        (vec![2, 5], vec![1])
    );
    let mut stream = read_by(8, groups);
    let trimmed = stream.trim_by(Keep::Newest(3), deletion(Strategy::DelRef));
    assert_eq!((trimmed, left(&stream)), (Ok(5), vec![6, 7, 8]));
    assert_eq!(
        (pending(&stream, "a"), pending(&stream, "b")),
        (vec![], vec![])
    );
    assert_eq!(
        stream.nodes().len(),
        2,
        "a node of which everything goes is dropped"
    );
    let mut stream = read_by(8, groups);
    let trimmed = stream.trim_by(Keep::Newest(3), deletion(Strategy::KeepRef));
    assert_eq!((trimmed, left(&stream)), (Ok(5), vec![6, 7, 8]));
    assert_eq!(pending(&stream, "a"), vec![2, 5]);
}

#[test]
fn a_deletion_asks_for_references_or_removes_them() {
    let ids =
        |ids: &[u64]| -> Vec<StreamId> { ids.iter().map(|ms| StreamId::new(*ms, 0)).collect() };
    let groups: &[(&str, u64, &[u64])] = &[("a", 6, &[2, 5]), ("b", 5, &[2])];
    let mut stream = read_by(6, groups);
    let deleted = stream.delete_by(&ids(&[1, 2, 6, 4, 4]), deletion(Strategy::Acked));
    assert_eq!((deleted, left(&stream)), (Ok(2), vec![2, 3, 5, 6]));
    assert_eq!(stream.max_deleted_id.ms, 4);
    // References go even if the entry does not exist.
    assert_eq!(stream.delete(&ids(&[2])), 1);
    let deleted = stream.delete_by(&ids(&[2]), deletion(Strategy::DelRef));
    assert_eq!(
        (deleted, pending(&stream, "a"), pending(&stream, "b")),
        (Ok(0), vec![5], vec![])
    );

    let mut stream = read_by(6, groups);
    let acked = stream.acknowledge_and_delete(b"a", &ids(&[2, 3, 5]), deletion(Strategy::Acked));
    // 2 is pending in `b`, 3 was not pending in `a`.
    assert_eq!((acked, left(&stream)), (Ok(1), vec![1, 2, 3, 4, 6]));
    let acked = stream.acknowledge_and_delete(b"b", &ids(&[2]), deletion(Strategy::KeepRef));
    assert_eq!((acked, left(&stream)), (Ok(1), vec![1, 3, 4, 6]));
    assert_eq!(
        stream.acknowledge_and_delete(b"none", &ids(&[1]), deletion(Strategy::DelRef)),
        Ok(0)
    );
}

/// Redis 8.2.3 was asked. Source: redis #14552.
#[test]
fn redis_8_2_remembers_a_group_that_was_destroyed() {
    let two = [StreamId::new(2, 0)];
    for (patch, outcome) in [(3, Ok(0)), (4, Err(Doubt::OldestGroup))] {
        let deletion = Deletion::new(Strategy::Acked, Dialect::redis(8, 2, patch));
        let mut stream = read_by(3, &[("a", 1, &[]), ("b", 3, &[])]);
        assert_eq!(stream.delete_by(&two, deletion), Ok(0));
        stream.remove_group(b"a");
        assert_eq!(stream.delete_by(&two, deletion), outcome);
        assert_eq!(
            stream.clone().delete_by(&two, deletion),
            Ok(1),
            "a copy does not"
        );
        // A group that moves to a smaller id makes it look again.
        stream.put_group((*b"c").into(), Group::new(StreamId::MIN, None));
        stream.remove_group(b"c");
        assert_eq!(stream.delete_by(&two, deletion), Ok(1));
    }
    let exact = Deletion::new(Strategy::Acked, Dialect::redis(8, 6, 0));
    let mut stream = read_by(3, &[("a", 1, &[]), ("b", 3, &[])]);
    assert_eq!(stream.delete_by(&two, exact), Ok(0));
    stream.remove_group(b"a");
    assert_eq!(stream.delete_by(&two, exact), Ok(1));
}

/// Source: redis #15581.
#[test]
fn a_trim_past_a_pending_entry_that_was_deleted_is_in_doubt_in_some_versions() {
    for (dialect, outcome) in [
        (Dialect::redis(8, 2, 3), Ok(2)),
        (Dialect::redis(8, 10, 1), Err(Doubt::Tombstone)),
    ] {
        let mut stream = read_by(4, &[("a", 4, &[2])]);
        assert_eq!(stream.delete(&[StreamId::new(2, 0)]), 1);
        let trimmed = stream.trim_by(Keep::Newest(1), Deletion::new(Strategy::DelRef, dialect));
        assert_eq!(trimmed, outcome);
    }
}

#[test]
fn released_entries_keep_their_order() {
    let mut stream = read_by(4, &[("a", 4, &[1, 2, 3, 4])]);
    let id = |ms| StreamId::new(ms, 0);
    let (first, owned) = stream
        .change_group(b"a", |group| {
            assert!(group.release(id(3), Recount::Undo));
            assert!(group.release(id(1), Recount::Exhaust));
            assert!(group.release(id(2), Recount::To(9)));
            assert!(group.release(id(3), Recount::Keep));
            assert!(!group.release(id(7), Recount::Keep));
            group.consumer(b"d", 5);
            group.assign(id(2), b"d", 8, 10);
            (group.released(), group.consumers()[&b"c"[..]].pending)
        })
        .unwrap();
    assert_eq!((first, owned), (vec![id(1), id(3)], 1));
    assert_eq!(pending(&stream, "a"), vec![1, 2, 3, 4]);
    let counts = |stream: &Stream| -> Vec<(u64, i64)> {
        let pending = stream.groups()[&b"a"[..]].pending().values();
        pending
            .map(|one| (one.delivery_count, one.delivery_time_ms()))
            .collect()
    };
    assert_eq!(
        counts(&stream),
        [(DELIVERIES_MAX, 0), (10, 8), (0, 0), (1, 1)]
    );
    stream.change_group(b"a", |group| group.remove_consumer(b"c"));
    assert_eq!(pending(&stream, "a"), vec![1, 2, 3]);
    left(&stream);
}

#[test]
fn a_producer_forgets_what_is_too_old_or_too_much() {
    let mut stream = read_by(1, &[]);
    let id = |ms| StreamId::new(ms, 0);
    let iids = |stream: &Stream, now_ms| -> Vec<(Vec<u8>, u64)> {
        let idmp = stream.idmp().unwrap();
        let known = idmp.producers(Some(now_ms));
        known
            .flat_map(|(_, known)| {
                known
                    .iter()
                    .map(|(iid, id)| (iid.to_vec(), id.ms))
                    .collect::<Vec<_>>()
            })
            .collect()
    };
    stream.change_idmp(|idmp| {
        idmp.set(Some(10), Some(2));
        idmp.record(b"p", b"a", id(100_000), 100_000);
        idmp.record(b"p", b"b", id(100_001), 100_001);
        idmp.record(b"p", b"c", id(100_002), 100_002);
        idmp.record(b"q", b"a", id(105_000), 105_000);
    });
    left(&stream);
    let known = |ms: &[(&str, u64)]| -> Vec<(Vec<u8>, u64)> {
        ms.iter()
            .map(|(iid, ms)| (iid.as_bytes().to_vec(), *ms))
            .collect()
    };
    assert_eq!(
        iids(&stream, 105_000),
        known(&[("b", 100_001), ("c", 100_002), ("a", 105_000)])
    );
    assert_eq!(
        iids(&stream, 110_001),
        known(&[("c", 100_002), ("a", 105_000)])
    );
    assert_eq!(iids(&stream, 110_002), known(&[("a", 105_000)]));
    // The next write really drops it; an id that is added again goes to the end.
    stream.change_idmp(|idmp| {
        assert_eq!(idmp.find(b"p", b"c"), Some(id(100_002)));
        idmp.record(b"q", b"z", id(111_000), 111_000);
        idmp.record(b"q", b"a", id(111_001), 111_001);
        assert_eq!(idmp.find(b"p", b"c"), None);
        assert_eq!(idmp.added, 6);
    });
    assert_eq!(
        iids(&stream, 111_001),
        known(&[("z", 111_000), ("a", 111_001)])
    );
    left(&stream);
    // The same setting again keeps everything; another one forgets it.
    stream.change_idmp(|idmp| idmp.set(Some(10), None));
    assert_eq!(iids(&stream, 111_001).len(), 2);
    stream.change_idmp(|idmp| idmp.set(None, Some(3)));
    assert_eq!(iids(&stream, 111_001).len(), 0);
    left(&stream);
}

/// Source of the numbers: Python's `xxhash` 3, combined as Redis does.
#[test]
fn an_automatic_id_does_not_depend_on_the_order_of_fields() {
    let text = |pairs: &[(&[u8], &[u8])]| -> String {
        automatic_iid(pairs)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    };
    let both = "c5b282935f77a53123e1ff7a302a11f2";
    assert_eq!(text(&[(b"a", b"1"), (b"b", b"2")]), both);
    assert_eq!(text(&[(b"b", b"2"), (b"a", b"1")]), both);
    assert_eq!(
        text(&[(b"field", &[b'x'; 300])]),
        "baed50a75a88cb2036bf316a565d3901"
    );
    assert_eq!(text(&[(b"", b"")]), "1a9f7ebbaea1d61d30b6b8daa3e38da7");
}

#[test]
fn a_stream_without_what_is_rare_is_as_large_as_before() {
    assert_eq!(size_of::<Stream>(), 128);
    assert_eq!(size_of::<Group>(), 80);
    assert_eq!(size_of::<Pending>(), 32);
}

/// An entry 5-1 and a group whose pending entries are 5-0, which was released, and 5-1; without the group's released ids and
/// what follows them. Source: redis 8.8 rdb.c, `rdbSaveObject`; no server has written these bytes.
const HEAD: &[u8] = b"\x01\x10\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\x01\
    \x1d\x1d\0\0\0\x0a\0\x01\x01\0\x01\x01\x01\x81f\x02\0\x01\x02\x01\0\x01\0\x01\x81v\x02\x04\x01\xff\
    \x01\x05\x01\x05\x01\x05\0\x02\x01\x01G\x05\x01\x02";
const RELEASED: &[u8] = b"\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02";
const OWNED: &[u8] = b"\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\x01\x01\0\0\0\0\0\0\0\x03";
const CONSUMER: &[u8] = b"\x01\x01C\x02\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\
    \x01\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\x01";
/// 300 seconds, 7 ids; P has added 5-1 as `i` and as 9, Q as `i`; 5 were added, 2 were duplicates.
const PRODUCERS: &[u8] =
    b"\x41\x2c\x07\x02\x01P\x02\x01i\x05\x01\xc0\x09\x05\x01\x01Q\x01\x01i\x05\x01\x05\x02";

/// Reads a payload of this version, and writes it again as of a moment.
fn written_again(
    number: u16,
    kind: ValueType,
    value: &[u8],
    now_ms: Option<i64>,
) -> (Vec<u8>, Vec<u8>) {
    let version = Version::of_payload(number);
    let payload = encode_payload(version, b"", kind, |writer| writer.raw(value)).unwrap();
    let again = decode_payload(&payload, Sums::Required, |object, _| {
        let Decoded::Stream(stream) = object else {
            panic!()
        };
        let value = Object::Stream(Stream::from_rdb(*stream).unwrap().into());
        encode_payload(
            version,
            b"",
            value.value_type(Layouts::of(version)),
            |writer| {
                now_ms.into_iter().for_each(|now_ms| writer.as_of(now_ms));
                value.encode(writer)
            },
        )
    });
    (payload, again.unwrap().unwrap())
}

#[test]
fn the_layouts_since_redis_8_6_are_written_as_they_were_read() {
    let one = [&[1], OWNED, CONSUMER].concat();
    let both = [&[2], RELEASED, OWNED, CONSUMER].concat();
    let zone = [&[1], &RELEASED[..16]].concat();
    let old = [HEAD, &one].concat();
    let idempotent = [HEAD, &one, PRODUCERS].concat();
    let released = [HEAD, &both, &zone, PRODUCERS].concat();
    for (number, kind, value) in [
        (12, ValueType::StreamListpacks3, &old),
        (80, ValueType::StreamListpacks3, &old),
        (13, ValueType::StreamListpacks4, &idempotent),
        (14, ValueType::StreamListpacks5, &released),
        (15, ValueType::StreamListpacks5, &released),
    ] {
        let (payload, again) = written_again(number, kind, value, None);
        assert_eq!(again, payload, "version {number}");
    }
    // What an older layout lacks is the default in a newer one.
    let defaults = [HEAD, &one, b"\0\x40\x64\x40\x64\0\0\0"].concat();
    let (_, again) = written_again(14, ValueType::StreamListpacks3, &old, None);
    assert_eq!(
        again,
        written_again(14, ValueType::StreamListpacks5, &defaults, None).0
    );
    // A newer layout in an older version loses what that has no place for, and can be read.
    let (_, again) = written_again(12, ValueType::StreamListpacks5, &released, None);
    assert_eq!(
        again,
        written_again(12, ValueType::StreamListpacks3, &old, None).0
    );
    // Ids that are too old are left out, and so are producers without ids.
    let forgotten = [HEAD, &one, b"\x41\x2c\x07\0\x05\x02"].concat();
    let (_, again) = written_again(13, ValueType::StreamListpacks4, &idempotent, Some(300_005));
    assert_eq!(
        again,
        written_again(13, ValueType::StreamListpacks4, &forgotten, None).0
    );
    let (payload, again) =
        written_again(13, ValueType::StreamListpacks4, &idempotent, Some(300_004));
    assert_eq!(again, payload);
}

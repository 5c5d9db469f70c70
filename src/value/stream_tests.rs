use super::*;
use crate::rdb::stream;

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

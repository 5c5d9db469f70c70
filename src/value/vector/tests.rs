#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use bytes::Bytes;

use super::*;
use crate::rdb::encode::Writer;
use crate::rdb::module::ModuleValue;
use crate::rdb::object::Object as Decoded;
use crate::rdb::version::Version;
use crate::rdb::{ValueType, dump};

const DIM: u32 = 5;

fn random_vector(random: &mut fastrand::Rng, dim: u32) -> Vec<f32> {
    (0..dim).map(|_| random.f32() * 2.0 - 1.0).collect()
}

/// A set after random additions, removals and changes.
fn random_set(seed: u64, kind: Kind, changes: usize) -> VectorSet {
    let mut random = fastrand::Rng::with_seed(seed);
    let neighbours = random.u32(4..8);
    let mut set = VectorSet::new(Shape {
        dim: DIM,
        kind,
        neighbours,
    });
    for _ in 0..changes {
        let name = random.u8(..).to_string();
        let vector = random_vector(&mut random, DIM);
        let level = random.usize(..3);
        let attributes: Option<&[u8]> = random.bool().then_some(b"{\"a\":1}");
        match random.u8(..8) {
            0..6 => set.add_at_level(name.as_bytes(), vector, attributes, 20, level),
            6 => drop(set.remove(name.as_bytes())),
            _ => drop(set.set_attributes(name.as_bytes(), attributes.unwrap_or_default())),
        }
    }
    set
}

const KINDS: [Kind; 3] = [Kind::F32, Kind::Q8, Kind::Bin];

fn payload(set: &VectorSet) -> Vec<u8> {
    let version = Version::of_payload(12);
    dump::encode_payload(version, b"", ValueType::Module2, |writer| {
        set.encode(writer)
    })
    .unwrap()
}

fn module_of(payload: &[u8]) -> ModuleValue {
    dump::decode_payload(payload, dump::Sums::Required, |object, _| match object {
        Decoded::Module(value) => value,
        other => panic!("{other:?}"),
    })
    .unwrap()
}

fn loaded(set: &VectorSet) -> VectorSet {
    VectorSet::from_module(&module_of(&payload(set)), &Thresholds::default()).unwrap()
}

#[test]
fn every_link_leads_both_ways_whatever_came_and_went() {
    for kind in KINDS {
        for seed in 0..10 {
            let set = random_set(seed, kind, 400);
            assert!(set.graph.links_are_sound(), "{kind:?}, seed {seed}");
            let own = set.iter().filter(|element| element.attributes().is_some());
            assert_eq!(own.count(), set.with_attributes());
            assert_eq!(set.iter().count(), set.len());
        }
    }
}

#[test]
fn bytes_are_counted_as_they_come_and_go() {
    let mut set = random_set(1, Kind::F32, 400);
    let names: Vec<Vec<u8>> = set.iter().map(|element| element.name().to_vec()).collect();
    names.iter().for_each(|name| assert!(set.remove(name)));
    assert_eq!((set.len(), set.graph.node_bytes()), (0, 0));
    assert_eq!((set.random().is_none(), set.level_max()), (true, 0));
}

#[test]
fn a_snapshot_turns_the_order_around_and_another_turns_it_back() {
    for kind in KINDS {
        let set = random_set(7, kind, 300);
        let once = loaded(&set);
        let names = |set: &VectorSet| -> Vec<Vec<u8>> {
            set.iter().map(|element| element.name().to_vec()).collect()
        };
        let mut turned = names(&once);
        turned.reverse();
        assert_eq!(turned, names(&set));
        assert_eq!(payload(&loaded(&once)), payload(&set));
        assert_eq!(once.with_attributes(), set.with_attributes());
        assert_eq!(once.last_id(), set.iter().map(|e| e.node.id).max().unwrap());
    }
}

#[test]
fn what_a_search_of_everything_finds_is_what_sorting_finds() {
    let mut random = fastrand::Rng::with_seed(3);
    for kind in KINDS {
        let set = random_set(11, kind, 300);
        let vector = random_vector(&mut random, DIM);
        let (point, _) = Point::of(kind, vector.clone());
        let mut distances: Vec<f32> = set
            .iter()
            .map(|element| point.distance(element.point(), DIM))
            .collect();
        distances.sort_by(f32::total_cmp);
        for (is_exact, effort) in [(true, 10), (false, 1000)] {
            let found = set.nearest(Query {
                vector: vector.clone(),
                effort,
                accepts: None,
                looks_max: 0,
                is_exact,
            });
            let found: Vec<f32> = found
                .iter()
                .take(10)
                .map(|(_, distance)| *distance)
                .collect();
            assert_eq!(found, &distances[..10], "{kind:?} {is_exact}");
        }
    }
}

#[test]
fn an_element_that_changes_keeps_its_attributes_unless_it_is_given_others() {
    let mut set = VectorSet::new(Shape {
        dim: 1,
        kind: Kind::F32,
        neighbours: 4,
    });
    let attributes = |set: &VectorSet| set.get(b"a").unwrap().attributes().map(<[u8]>::to_vec);
    set.add(b"a", vec![1.0], Some(b""), 10);
    assert_eq!((attributes(&set), set.with_attributes()), (Some(vec![]), 1));
    set.add(b"a", vec![2.0], Some(b"x"), 10);
    set.add(b"a", vec![3.0], None, 10);
    assert_eq!(attributes(&set), Some(b"x".to_vec()));
    assert_eq!((set.len(), set.get(b"a").unwrap().vector()), (1, vec![3.0]));
    set.add(b"a", vec![3.0], Some(b""), 10);
    assert_eq!((attributes(&set), set.with_attributes()), (None, 0));
}

#[test]
fn samples_are_of_different_elements() {
    let set = random_set(5, Kind::Q8, 400);
    for count in [1, 10, set.len() / 2, set.len(), usize::MAX] {
        let mut names: Vec<&[u8]> = set.sample(count).iter().map(Element::name).collect();
        let asked = count.min(set.len());
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), asked);
    }
}

/// The items of a small set, one per line, for tests that change them.
fn items(change: impl FnOnce(&mut Vec<Item>)) -> Option<VectorSet> {
    let mut items: Vec<Item> = vec![
        2.into(),
        2.into(),
        0x1000.into(),
        2.into(),
        "a".into(),
        "{}".into(),
        "........".into(),
        6.into(),
        2.into(),
        0.into(),
        1.into(),
        32.into(),
        1.into(),
        5.into(),
        "b".into(),
        "".into(),
        "........".into(),
        6.into(),
        1.into(),
        0.into(),
        1.into(),
        32.into(),
        2.into(),
        5.into(),
    ];
    change(&mut items);
    let mut writer = Writer::new(Vec::new(), Version::of_payload(12));
    writer.u8(ValueType::Module2.number()).unwrap();
    writer.length(0xbde7_2da2_bb1e_b400).unwrap();
    for item in items {
        match item {
            Item::Number(number) => writer.module_number(number).unwrap(),
            Item::Text(text) => writer.module_text(text.as_bytes()).unwrap(),
        }
    }
    writer.module_end().unwrap();
    writer.raw(&[12, 0]).unwrap();
    VectorSet::from_module(
        &module_of(&writer.checksum().unwrap()),
        &Thresholds::default(),
    )
}

enum Item {
    Number(u64),
    Text(&'static str),
}

impl From<u64> for Item {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<&'static str> for Item {
    fn from(text: &'static str) -> Self {
        Self::Text(text)
    }
}

#[test]
fn what_no_server_writes_is_not_taken() {
    let set = items(|_| {}).unwrap();
    assert_eq!((set.len(), set.with_attributes(), set.last_id()), (2, 1, 2));
    let bad: [(usize, Item); 21] = [
        (0, 0.into()),
        (0, 3.into()),
        (0, u64::MAX.into()),
        (0, "2".into()),
        (1, 1.into()),
        (1, 3.into()),
        (2, 0x1003.into()),
        (2, 0x10_0100.into()),
        (3, 4.into()),
        (3, 3.into()),
        (6, "........x".into()),
        (7, 5.into()),
        (7, u64::MAX.into()),
        (8, 0.into()),
        (8, 1.into()),
        (9, 1.into()),
        (10, u64::MAX.into()),
        (11, 31.into()),
        (11, 0xffff_ffff.into()),
        (12, 3.into()),
        (12, 2.into()),
    ];
    for (at, item) in bad {
        assert!(items(|items| items[at] = item).is_none(), "at {at}");
    }
    assert!(
        items(|items| items[14] = "a".into()).is_none(),
        "duplicate name"
    );
    let one_way = |items: &mut Vec<Item>| {
        items[17] = 5.into();
        items[20] = 0.into();
        items.remove(22);
    };
    assert!(items(one_way).is_none());
    let no_id_left = |items: &mut Vec<Item>| {
        items[8] = u64::MAX.into();
        items[22] = u64::MAX.into();
    };
    assert!(items(no_id_left).is_none());
    let in_layers = |more: u64| {
        items(|items| {
            items[7] = (6 + 2 * more).into();
            items[9] = more.into();
            (0..more).for_each(|_| drop(items.splice(13..13, [0.into(), 16.into()])));
        })
    };
    assert!(in_layers(16).is_some_and(|set| set.level_max() == 16));
    assert!(in_layers(17).is_none(), "too many layers");
    assert!(
        items(|items| items.push(1.into())).is_none(),
        "trailing items"
    );
}

#[test]
fn no_change_of_a_byte_is_more_than_refused() {
    let set = random_set(2, Kind::Q8, 40);
    let module = module_of(&payload(&set));
    let items = module.items();
    let whole = [&[0x81][..], &0xbde7_2da2_bb1e_b400_u64.to_be_bytes(), items].concat();
    for at in 9..whole.len() {
        for value in [
            0,
            1,
            2,
            5,
            0x40,
            0x7f,
            0x80,
            0x81,
            0xc3,
            0xff,
            whole[at] ^ 1,
        ] {
            let mut changed = whole.clone();
            changed[at] = value;
            let Some(value) = ModuleValue::from_bytes(&Bytes::from(changed)) else {
                continue;
            };
            if let Some(mut set) = VectorSet::from_module(&value, &Thresholds::default()) {
                drop(set.nearest(Query {
                    vector: vec![1.0; DIM as usize],
                    effort: 20,
                    accepts: None,
                    looks_max: 0,
                    is_exact: false,
                }));
                let names: Vec<Vec<u8>> = set.iter().map(|e| e.name().to_vec()).collect();
                names.iter().for_each(|name| assert!(set.remove(name)));
            }
        }
    }
}

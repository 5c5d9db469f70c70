#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

type Model = BTreeSet<Vec<u8>>;

/// Thresholds that are so low that edits often cross them.
fn low() -> Thresholds {
    Thresholds {
        set_max_intset_entries: 12,
        set_max_listpack_entries: 8,
        set_max_listpack_value: 6,
        ..Thresholds::default()
    }
}

fn member() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => (-12_i64..12).prop_map(|number| number.to_string().into_bytes()),
        1 => any::<i64>().prop_map(|number| number.to_string().into_bytes()),
        3 => prop::collection::vec(b'a'..b'd', 0..3),
        1 => Just(b"long member".to_vec()),
        1 => Just(b"007".to_vec()),
    ]
}

fn members() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(member(), 0..20)
}

fn filled(members: &[Vec<u8>], thresholds: &Thresholds) -> Set {
    let mut set = Set::default();
    members.iter().for_each(|member| {
        set.add(member, thresholds);
    });
    set
}

fn model(members: &[Vec<u8>]) -> Model {
    members.iter().cloned().collect()
}

fn texts(set: &Set) -> Model {
    let texts: Model = set.iter().map(|member| member.to_vec()).collect();
    assert_eq!(texts.len(), set.len(), "duplicate member");
    texts
}

fn scanned(set: &Set, count: usize) -> Vec<Vec<u8>> {
    let (mut cursor, mut seen) = (0, Vec::new());
    loop {
        cursor = set.scan(cursor, count, |member| seen.push(member.to_vec()));
        if cursor == 0 {
            return seen;
        }
    }
}

proptest! {
    #[test]
    fn behaves_as_a_set(edits in prop::collection::vec((0..3_u8, member()), 0..80)) {
        let thresholds = low();
        let (mut set, mut model) = (Set::default(), Model::new());
        for (edit, member) in edits {
            if edit == 0 {
                prop_assert_eq!(set.remove(&member), model.remove(&member));
            } else {
                prop_assert_eq!(set.add(&member, &thresholds), model.insert(member.clone()));
            }
            prop_assert_eq!(set.contains(&member), model.contains(&member));
            prop_assert!(set.has(Item::from_text(&member)) == model.contains(&member));
            prop_assert_eq!(texts(&set), model.clone());
        }
        let mut seen = scanned(&set, 3);
        seen.sort_unstable();
        prop_assert!(seen.into_iter().eq(model.clone()));
        for count in 0..=model.len() + 1 {
            let sample: Model = set.sample(count).iter().map(Item::to_vec).collect();
            prop_assert_eq!(sample.len(), count.min(model.len()));
            prop_assert!(sample.is_subset(&model));
        }
        prop_assert_eq!(set.random().map(|one| model.contains(&one.to_vec())), (!model.is_empty()).then_some(true));
    }

    #[test]
    fn algebra_is_that_of_sets(one in members(), two in members(), three in members()) {
        let thresholds = low();
        let (a, b, c) = (filled(&one, &thresholds), filled(&two, &thresholds), filled(&three, &thresholds));
        let (ma, mb, mc) = (model(&one), model(&two), model(&three));
        let common: Model = ma.iter().filter(|m| mb.contains(*m) && mc.contains(*m)).cloned().collect();
        let found: Model = intersection(vec![&a, &b, &c]).map(|member| member.to_vec()).collect();
        prop_assert_eq!(&found, &common);
        prop_assert_eq!(texts(&intersection_store(vec![&a, &b, &c], &thresholds)), common);
        let all: Model = ma.iter().chain(&mb).chain(&mc).cloned().collect();
        prop_assert_eq!(texts(&union([&a, &b, &c], &thresholds)), all);
        let rest: Model = ma.iter().filter(|m| !mb.contains(*m) && !mc.contains(*m)).cloned().collect();
        prop_assert_eq!(texts(&difference(&a, &[&b, &c], &thresholds)), rest);
        prop_assert!(difference(&a, &[&b, &a], &thresholds).is_empty());
    }

    #[test]
    fn a_snapshots_members_make_the_set_that_adding_them_makes(members in members()) {
        let thresholds = low();
        let records = members.iter().map(|member| Record::member(member));
        let distinct = model(&members).len() == members.len();
        let built = Set::from_records(Records::of(Shape::MEMBER, records), &thresholds);
        prop_assert_eq!(built.is_ok(), distinct);
        if let Ok(built) = built {
            let added = filled(&members, &thresholds);
            prop_assert_eq!(texts(&built), texts(&added));
            let dialect = Dialect::default();
            prop_assert_eq!(built.encoding(dialect), added.encoding(dialect));
        }
    }
}

#[test]
fn a_packed_set_past_the_threshold_is_unpacked_and_then_has_no_duplicates() {
    let thresholds = low();
    let packed = |words: &[&str]| words.iter().collect::<Listpack>();
    let words: Vec<String> = (0..9).map(|number| format!("w{number}")).collect();
    let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
    let set = Set::from_listpack(packed(&words), &thresholds).unwrap();
    assert_eq!(
        (set.len(), set.encoding(Dialect::default())),
        (9, "hashtable")
    );
    words.push("w3");
    let refused = Set::from_listpack(packed(&words), &thresholds);
    assert_eq!(refused.unwrap_err(), Error::Duplicate);
    let mut intset = Intset::new();
    (0..13).for_each(|number| assert!(intset.insert(number)));
    let set = Set::from_intset(intset, &thresholds);
    assert_eq!(
        (set.len(), set.encoding(Dialect::default())),
        (13, "hashtable")
    );
}

#[test]
fn a_command_of_many_members_is_prepared_for() {
    let thresholds = low();
    for (first, additions, encoding) in [
        (&b"1"[..], 12, "intset"),
        (b"1", 13, "hashtable"),
        (b"a", 8, "listpack"),
        (b"a", 9, "hashtable"),
    ] {
        let mut set = Set::default();
        set.prepare(first, additions, &thresholds);
        assert_eq!(set.encoding(Dialect::default()), encoding, "{additions}");
    }
}

#[test]
fn memory_is_given_back() {
    let thresholds = Thresholds::default();
    let mut set = Set::default();
    let texts: Vec<String> = (0..5000).map(|number| format!("member:{number}")).collect();
    texts
        .iter()
        .for_each(|text| assert!(set.add(text.as_bytes(), &thresholds)));
    let full = set.heap_bytes();
    texts
        .iter()
        .skip(1)
        .for_each(|text| assert!(set.remove(text.as_bytes())));
    assert!(
        set.heap_bytes() < full / 50,
        "{} of {full}",
        set.heap_bytes()
    );
    assert_eq!(scanned(&set, 10), [b"member:0".to_vec()]);
}

#[test]
fn leaves_a_listpack_before_it_is_larger_than_servers_allow() {
    let thresholds = Thresholds {
        set_max_listpack_value: usize::MAX,
        ..Thresholds::default()
    };
    let long = vec![b'x'; crate::rdb::listpack::SAFE_BYTES_MAX / 2];
    let mut set = Set::default();
    set.prepare(&long, 1, &thresholds);
    assert!(set.add(&long, &thresholds));
    assert!(matches!(set.0, Form::Packed(_)));
    assert!(set.add(&[&long[..], b"y"].concat(), &thresholds));
    assert!(matches!(set.0, Form::Table(_)) && set.len() == 2);
}

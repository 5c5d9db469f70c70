use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

/// Thresholds that are so low that edits often cross them.
fn low() -> Thresholds {
    Thresholds {
        hash_max_listpack_entries: 8,
        hash_max_listpack_value: 6,
        ..Thresholds::default()
    }
}

fn word() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => (-8_i64..8).prop_map(|number| number.to_string().into_bytes()),
        4 => prop::collection::vec(b'a'..b'd', 0..3),
        1 => Just(b"seven_7".to_vec()),
    ]
}

fn pairs(hash: &Hash) -> Vec<(Vec<u8>, Vec<u8>)> {
    let pairs = hash.iter();
    pairs
        .map(|(field, value)| (field.to_vec(), value.to_vec()))
        .collect()
}

fn texts(hash: &Hash) -> Model {
    let texts: Model = pairs(hash).into_iter().collect();
    assert_eq!(texts.len(), hash.len(), "duplicate field");
    texts
}

/// Returns the pairs in a snapshot's form.
fn hash_of(pairs: &[(&str, &str)], thresholds: &Thresholds) -> Result<Hash, Error> {
    let pairs = pairs.iter();
    let pairs = pairs.map(|(field, value)| Record::field(field.as_bytes(), value.as_bytes()));
    Hash::from_records(Records::of(Shape::FIELD, pairs), thresholds)
}

proptest! {
    #[test]
    fn behaves_as_a_map(edits in prop::collection::vec((0..4_u8, word(), word()), 0..80)) {
        let thresholds = low();
        let (mut hash, mut model) = (Hash::default(), Model::new());
        for (edit, field, value) in edits {
            if edit == 0 {
                prop_assert_eq!(hash.remove(&field), model.remove(&field).is_some());
            } else {
                let added = model.insert(field.clone(), value.clone()).is_none();
                prop_assert_eq!(hash.set(&field, &value, &thresholds), added);
            }
            let found = hash.get(&field).map(|value| value.to_vec());
            prop_assert_eq!(found, model.get(&field).cloned());
            prop_assert_eq!(texts(&hash), model.clone());
        }
        let (mut cursor, mut seen) = (0, Model::new());
        loop {
            cursor = hash.scan(cursor, 3, |field| {
                seen.insert(field.name.to_vec(), field.value.to_vec());
            });
            if cursor == 0 {
                break;
            }
        }
        prop_assert_eq!(seen, model.clone());
        for count in 0..=model.len() + 1 {
            let sample = hash.sample(count);
            let known = |(field, value): &(Item<'_>, Item<'_>)| model.get(&field.to_vec()) == Some(&value.to_vec());
            prop_assert!(sample.iter().all(known));
            prop_assert_eq!(sample.len(), count.min(model.len()));
        }
    }
}

#[test]
fn a_packed_hash_keeps_the_order_of_arrival() {
    let thresholds = Thresholds::default();
    let mut hash = Hash::default();
    for (field, value) in [("b", "1"), ("a", "2"), ("b", "a long one"), ("3", "4")] {
        hash.set(field.as_bytes(), value.as_bytes(), &thresholds);
    }
    let expected = [("b", "a long one"), ("a", "2"), ("3", "4")];
    let expected =
        expected.map(|(field, value)| (field.as_bytes().to_vec(), value.as_bytes().to_vec()));
    assert_eq!(pairs(&hash), expected);
}

#[test]
fn refuses_a_field_without_a_value_and_a_field_that_stands_twice() {
    let thresholds = low();
    let packed = |words: &[&str]| words.iter().collect::<Listpack>();
    let odd = Hash::from_listpack(packed(&["f", "v", "g"]), &thresholds);
    assert_eq!(odd.unwrap_err(), Error::Odd);
    let mut twice = vec![("f", "1"), ("g", "2"), ("f", "3")];
    let refused = hash_of(&twice, &thresholds);
    assert_eq!(refused.unwrap_err(), Error::FieldTwice);
    twice.push(("h", "longer than six"));
    let refused = hash_of(&twice, &thresholds);
    assert_eq!(refused.unwrap_err(), Error::Duplicate);
    let words: Vec<String> = (0..9).map(|number| format!("f{number}")).collect();
    let mut many: Vec<&str> = words
        .iter()
        .flat_map(|field| [field.as_str(), "v"])
        .collect();
    many.extend(["f0", "w"]);
    let refused = Hash::from_listpack(packed(&many), &thresholds);
    assert_eq!(refused.unwrap_err(), Error::Duplicate);
}

#[test]
fn a_snapshots_pairs_are_packed_while_they_are_few_and_short() {
    let thresholds = low();
    let dialect = Dialect::redis(7, 0, 0);
    let encoding = |pairs: &[(&str, &str)]| {
        let hash = hash_of(pairs, &thresholds).unwrap();
        hash.encoding(dialect)
    };
    let nine = ["1", "2", "3", "4", "5", "6", "7", "8", "9"].map(|field| (field, "v"));
    assert_eq!(encoding(&nine[..8]), "listpack");
    assert_eq!(encoding(&nine), "hashtable");
    assert_eq!(encoding(&[("f", "sixsix")]), "listpack");
    assert_eq!(encoding(&[("f", "seven_7")]), "hashtable");
}

#[test]
fn memory_is_given_back_and_follows_replaced_values() {
    let thresholds = Thresholds::default();
    let mut hash = Hash::default();
    let fields: Vec<String> = (0..2000).map(|number| format!("field:{number}")).collect();
    let fill = |hash: &mut Hash, value: &[u8]| {
        for field in &fields {
            hash.set(field.as_bytes(), value, &thresholds);
        }
    };
    fill(&mut hash, b"v");
    let before = hash.heap_bytes();
    fill(&mut hash, &[b'x'; 101]);
    let grown = hash.heap_bytes() - before;
    assert!((2000 * 100..2000 * 250).contains(&grown), "{grown}");
    fill(&mut hash, b"w");
    assert!(hash.heap_bytes() < before * 2, "{}", hash.heap_bytes());
    let rest = fields.iter().skip(1);
    rest.for_each(|field| assert!(hash.remove(field.as_bytes())));
    assert!(
        hash.heap_bytes() < before / 50,
        "{} of {before}",
        hash.heap_bytes()
    );
}

type TimedModel = BTreeMap<Vec<u8>, (Vec<u8>, Option<i64>)>;

fn timed_texts(hash: &Hash) -> TimedModel {
    let fields = hash.fields();
    fields
        .map(|field| {
            let value = (field.value.to_vec(), field.expire_at_ms);
            (field.name.to_vec(), value)
        })
        .collect()
}

/// Whether a packed hash has the field that expires soonest first, and those that never expire last.
fn is_in_order(hash: &Hash) -> bool {
    let places: Vec<i64> = hash
        .fields()
        .map(|field| field.expire_at_ms.unwrap_or(i64::MAX))
        .collect();
    !matches!(hash.layout(), Layout::Triples(_)) || places.is_sorted()
}

proptest! {
    #[test]
    fn behaves_as_a_map_of_values_and_times(
        packs in any::<bool>(),
        edits in prop::collection::vec((0..6_u8, word(), word(), 1..9_i64), 0..80),
    ) {
        let thresholds = Thresholds { hash_packs_expiries: packs, ..low() };
        let (mut hash, mut model) = (Hash::default(), TimedModel::new());
        for (edit, field, value, at) in edits {
            let known = model.contains_key(&field);
            match edit {
                0 => prop_assert_eq!(hash.remove(&field), model.remove(&field).is_some()),
                1 => {
                    prop_assert_eq!(hash.set(&field, &value, &thresholds), !known);
                    model.insert(field.clone(), (value, None));
                }
                2 => {
                    prop_assert_eq!(hash.set_value(&field, &value, &thresholds), !known);
                    model.entry(field.clone()).or_default().0 = value;
                }
                _ => {
                    let at = (edit < 5).then_some(at);
                    prop_assert_eq!(hash.set_expiry(&field, at, &thresholds), known);
                    model.entry(field.clone()).and_modify(|value| value.1 = at);
                    hash.settle_expiries();
                }
            }
            prop_assert_eq!(hash.expiry(&field), model.get(&field).map(|value| value.1));
            prop_assert_eq!(&timed_texts(&hash), &model);
            prop_assert_eq!(hash.len(), model.len());
            prop_assert_eq!(hash.expiring(), model.values().filter(|value| value.1.is_some()).count());
            prop_assert!(is_in_order(&hash));
            prop_assert!(packs || !matches!(hash.layout(), Layout::Triples(_)));
            prop_assert!(packs || hash.is_tracked() == (hash.expiring() > 0));
        }
        let (mut cursor, mut seen) = (0, TimedModel::new());
        loop {
            cursor = hash.scan(cursor, 3, |field| {
                let value = (field.value.to_vec(), field.expire_at_ms);
                seen.insert(field.name.to_vec(), value);
            });
            if cursor == 0 {
                break;
            }
        }
        prop_assert_eq!(seen, model);
    }
}

/// Returns fields a to z with times 1, 2, …, except every third, which has none.
fn timed_pairs(count: u8) -> Records {
    let mut pairs = Records::new(Shape::TIMED_FIELD);
    for number in 0..count {
        let expire_at_ms = (!number.is_multiple_of(3)).then_some(number.into());
        pairs.push(Record::timed_field(&[b'a' + number], b"v", expire_at_ms));
    }
    pairs
}

#[test]
fn a_hash_without_expiries_is_as_small_as_its_listpack() {
    assert_eq!(size_of::<Hash>(), size_of::<Listpack>());
}

#[test]
fn a_snapshots_timed_pairs_are_packed_while_they_are_few_where_the_server_packs_them() {
    let packed = Hash::from_timed_records(timed_pairs(8), &low()).unwrap();
    assert!(matches!(packed.layout(), Layout::Triples(_)) && is_in_order(&packed));
    let many = Hash::from_timed_records(timed_pairs(9), &low()).unwrap();
    assert!(matches!(many.layout(), Layout::Table));
    let valkey = Thresholds {
        hash_packs_expiries: false,
        ..low()
    };
    let table = Hash::from_timed_records(timed_pairs(8), &valkey).unwrap();
    assert!(matches!(table.layout(), Layout::Table));
    assert_eq!(timed_texts(&table), timed_texts(&packed));
    assert_eq!((table.expiring(), packed.expiring()), (5, 5));
}

#[test]
fn refuses_triples_that_are_not_whole_and_timed_fields_that_stand_twice() {
    let triples: Listpack = ["a", "1", "0", "b", "2"].into_iter().collect();
    assert!(matches!(
        Hash::from_triples(triples, &low()),
        Err(Error::Odd)
    ));
    let mut twice = timed_pairs(2);
    twice.push(Record::timed_field(b"a", b"v", None));
    for (entries, error) in [(0, Error::Duplicate), (8, Error::FieldTwice)] {
        let thresholds = Thresholds {
            hash_max_listpack_entries: entries,
            ..low()
        };
        let refused = Hash::from_timed_records(twice.clone(), &thresholds);
        assert_eq!(refused.unwrap_err(), error);
    }
    let unpacked: Listpack = "a 1 0 a 2 0 c 3 0 d 4 0 e 5 0 f 6 0 g 7 0 h 8 0 i 9 0"
        .split(' ')
        .collect();
    assert!(matches!(
        Hash::from_triples(unpacked, &low()),
        Err(Error::Duplicate)
    ));
}

#[test]
fn a_field_whose_time_equals_anothers_goes_before_it() {
    let mut hash = Hash::default();
    for field in [b"a", b"b", b"c"] {
        hash.set(field, b"v", &low());
        hash.set_expiry(field, Some(5), &low());
    }
    let names =
        |hash: &Hash| -> Vec<_> { hash.fields().map(|field| field.name.to_vec()).collect() };
    assert_eq!(names(&hash), [b"c", b"b", b"a"]);
    // The time that the field already has.
    hash.set_expiry(b"a", Some(5), &low());
    assert_eq!(names(&hash), [b"a", b"c", b"b"]);
    hash.set(b"d", b"v", &low());
    hash.set(b"e", b"v", &low());
    hash.set_expiry(b"d", None, &low());
    hash.set(b"d", b"w", &low());
    assert_eq!(names(&hash), [b"a", b"c", b"b", b"d", b"e"]);
}

#[test]
fn redis_goes_on_counting_a_hash_whose_expiry_was_taken_away_until_a_field_with_one_goes() {
    let mut hash = Hash::from_timed_records(timed_pairs(3), &low()).unwrap();
    assert!(hash.is_tracked());
    hash.set_expiry(b"b", None, &low());
    hash.set(b"c", b"v", &low());
    assert!(hash.is_tracked() && hash.expiring() == 0);
    hash.remove(b"a");
    assert!(hash.is_tracked());
    hash.set_expiry(b"b", Some(9), &low());
    hash.settle_expiries();
    hash.remove(b"b");
    assert!(!hash.is_tracked());
}

/// In DUMP, the expiry from the server's list comes before the listpack.
#[test]
fn the_soonest_expiry_that_redis_has_noted_moves_by_four_seconds_at_least() {
    const AT: i64 = 1 << 41;
    let version = crate::rdb::version::Version::of_payload(12);
    let mut hash = Hash::from_timed_records(timed_pairs(3), &low()).unwrap();
    let mut noted_after = |at: i64| {
        for field in [b"b", b"c"] {
            hash.set_expiry(field, Some(at), &low());
        }
        hash.settle_expiries();
        let mut writer = Writer::new(Vec::new(), version);
        hash.encode(&mut writer).unwrap();
        let written = writer.checksum().unwrap();
        i64::from_le_bytes(*written.first_chunk().unwrap())
    };
    assert_eq!(noted_after(AT), AT);
    assert_eq!(noted_after(AT - 3999), AT);
    assert_eq!(noted_after(AT + 3999), AT);
    assert_eq!(noted_after(AT - 4000), AT - 4000);
    assert_eq!(noted_after(AT), AT);
}

#[test]
fn a_snapshots_listpack_stays_packed_up_to_the_limit() {
    let dialect = Dialect::redis(7, 0, 0);
    let encoding = |fields: usize| {
        let words: Vec<String> = (0..fields * 2).map(|number| number.to_string()).collect();
        let packed = words.iter().collect::<Listpack>();
        Hash::from_listpack(packed, &low())
            .unwrap()
            .encoding(dialect)
    };
    assert_eq!((encoding(8), encoding(9)), ("listpack", "hashtable"));
}

#[test]
fn a_timed_hash_counts_its_bytes_and_gives_them_back() {
    for entries in [1, 8] {
        let thresholds = Thresholds {
            hash_max_listpack_entries: entries,
            ..low()
        };
        let mut hash = Hash::from_timed_records(timed_pairs(2), &thresholds).unwrap();
        let before = hash.heap_bytes();
        hash.set_value(b"b", &[b'x'; 5000], &thresholds);
        assert!(hash.heap_bytes() >= before + 4900);
        hash.remove(b"b");
        assert!(hash.heap_bytes() < before + 200);
    }
}

#[test]
fn samples_of_a_timed_hash_are_different_fields() {
    for thresholds in [low(), Thresholds::default()] {
        let hash = Hash::from_timed_records(timed_pairs(20), &thresholds).unwrap();
        for count in [1, 3, 19, 20, 50] {
            let names: std::collections::BTreeSet<_> = hash
                .sample(count)
                .iter()
                .map(|(name, _)| name.to_vec())
                .collect();
            assert_eq!(names.len(), count.min(20));
        }
        assert!(hash.random().is_some());
    }
}

#[test]
fn leaves_a_listpack_before_it_is_larger_than_servers_allow() {
    let thresholds = Thresholds {
        hash_max_listpack_value: usize::MAX,
        ..Thresholds::default()
    };
    let long = vec![b'x'; crate::rdb::listpack::SAFE_BYTES_MAX / 2];
    let mut hash = Hash::default();
    assert!(hash.set(b"f", &long, &thresholds));
    assert!(matches!(hash.layout(), Layout::Pairs(_)));
    assert!(hash.set(b"g", &long, &thresholds));
    assert!(matches!(hash.layout(), Layout::Table) && hash.len() == 2);
}

#[test]
#[should_panic(expected = "the caller has found the field")]
fn an_expiry_that_goes_nowhere_is_not_passed_over() {
    let thresholds = Thresholds::default();
    let mut hash = Hash::default();
    hash.set(b"f", b"v", &thresholds);
    hash.admit_expiries(&thresholds);
    match &mut hash.0 {
        Form::Timed(timed) => timed.change_expiry(b"g", Some(1)),
        form => panic!("{form:?}"),
    }
}

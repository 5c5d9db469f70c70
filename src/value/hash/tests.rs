use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

/// Thresholds so low that edits cross them often.
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
    assert_eq!(texts.len(), hash.len(), "a field stands twice");
    texts
}

fn pair(field: &str, value: &str) -> Pair {
    (field.as_bytes().into(), value.as_bytes().into())
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
    let twice = vec![pair("f", "1"), pair("g", "2"), pair("f", "3")];
    let refused = Hash::from_pairs(twice.clone(), &thresholds);
    assert_eq!(refused.unwrap_err(), Error::Duplicate);
    let mut long = twice;
    long.push(pair("h", "longer than six"));
    let refused = Hash::from_pairs(long, &thresholds);
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
    let encoding = |pairs: Vec<Pair>| {
        let hash = Hash::from_pairs(pairs, &thresholds).unwrap();
        hash.encoding(dialect)
    };
    let few = |count: u32| {
        (0..count)
            .map(|n| pair(&n.to_string(), "v"))
            .collect::<Vec<_>>()
    };
    assert_eq!(encoding(few(8)), "listpack");
    assert_eq!(encoding(few(9)), "hashtable");
    assert_eq!(encoding(vec![pair("f", "sixsix")]), "listpack");
    assert_eq!(encoding(vec![pair("f", "seven_7")]), "hashtable");
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
    assert_eq!(hash.heap_bytes(), before + 2000 * 100);
    fill(&mut hash, b"w");
    assert_eq!(hash.heap_bytes(), before);
    let rest = fields.iter().skip(1);
    rest.for_each(|field| assert!(hash.remove(field.as_bytes())));
    assert!(
        hash.heap_bytes() < before / 50,
        "{} of {before}",
        hash.heap_bytes()
    );
}

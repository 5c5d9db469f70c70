//! Compact hashes as values. What commands do with them is in the tests of their families.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::*;
use crate::rdb::dump::{Sums, decode_payload, encode_payload};
use crate::rdb::object::Object as Decoded;
use crate::rdb::version::Version;

static THRESHOLDS: LazyLock<Thresholds> = LazyLock::new(Thresholds::default);

/// DUMP payloads of a hash with `field1` and `field2`, as the tests of Redis 8.10 contain them: type, value, version 15, and no
/// checksum.
const PACKED: &[u8] = b"\x1d\x00\x17\x17\x00\x00\x00\x02\x00\x86field1\x07\x86field2\x07\xff\x0d\x0d\x00\x00\x00\x03\x00\x00\x01\x01\x01\x02\x01\xff\x0f\x00\0\0\0\0\0\0\0\0";
const ARRAY: &[u8] = b"\x1f\x01\x02\x06field1\x06field2\xc0\x01\xc0\x02\x0f\x00\0\0\0\0\0\0\0\0";

fn try_restored(payload: &[u8], thresholds: &Thresholds) -> Result<Hash, String> {
    let hash = decode_payload(payload, Sums::Optional, |object, _| match object {
        Decoded::HashTemplate(names, values) => Hash::from_template(names, values, thresholds),
        other => panic!("{other:?}"),
    });
    hash.map_err(|error| error.to_string())
}

fn restored(payload: &[u8]) -> Hash {
    try_restored(payload, &THRESHOLDS).unwrap()
}

fn dumped(hash: &Hash) -> Vec<u8> {
    let version = Version::of_payload(15);
    let kind = hash.value_type(Layouts::of(version));
    encode_payload(version, b"", kind, |writer| hash.encode(writer)).unwrap()
}

fn unsummed(mut payload: Vec<u8>) -> Vec<u8> {
    let sum = payload.len() - 8;
    payload[sum..].fill(0);
    payload
}

fn pairs(hash: &Hash) -> Vec<(String, String)> {
    let text = |item: Item<'_>| String::from_utf8(item.to_vec()).unwrap();
    hash.iter()
        .map(|(field, value)| (text(field), text(value)))
        .collect()
}

fn shown(hash: &Hash) -> String {
    let pairs = pairs(hash).into_iter();
    let pairs: Vec<_> = pairs
        .map(|(field, value)| format!("{field}={value}"))
        .collect();
    pairs.join(" ")
}

fn encoding(hash: &Hash) -> &'static str {
    hash.encoding(Dialect::redis(8, 10, 0))
}

#[test]
fn both_forms_come_back_byte_for_byte() {
    let short = Thresholds {
        hash_max_listpack_entries: 1,
        ..*THRESHOLDS
    };
    let packed = restored(PACKED);
    assert_eq!(shown(&packed), "field1=1 field2=2");
    assert_eq!(encoding(&packed), "template-listpack");
    assert_eq!(unsummed(dumped(&packed)), PACKED);
    let array = try_restored(ARRAY, &short).unwrap();
    assert_eq!(shown(&array), "field1=1 field2=2");
    assert_eq!(encoding(&array), "template-array");
    // Names that fit are written as a listpack, whatever form they came in.
    let again = dumped(&array);
    assert_eq!(again[..2], *b"\x1f\x00");
    assert_eq!(shown(&try_restored(&again, &short).unwrap()), shown(&array));
    assert_eq!(
        encoding(&restored(ARRAY)),
        "template-listpack",
        "it is small"
    );
    assert_eq!(
        encoding(&try_restored(PACKED, &short).unwrap()),
        "template-array"
    );
}

#[test]
fn fields_stay_in_the_order_of_length_and_bytes() {
    let mut hash = restored(PACKED);
    for field in ["z", "email", "age", "name", "field0", "field3", ""] {
        assert!(hash.set(field.as_bytes(), b"x", &THRESHOLDS), "{field}");
    }
    assert!(!hash.set(b"name", b"y", &THRESHOLDS));
    assert_eq!(
        shown(&hash),
        "=x z=x age=x name=y email=x field0=x field1=1 field2=2 field3=x"
    );
    assert_eq!(hash.get(b"name"), Some(Item::Str(b"y")));
    assert_eq!(hash.get(b"nam"), None);
    assert!(hash.remove(b"age") && !hash.remove(b"age"));
    assert_eq!((hash.len(), encoding(&hash)), (8, "template-listpack"));
    let mut seen = Vec::new();
    assert_eq!(hash.scan(7, 1, |field| seen.push(field.name.to_vec())), 0);
    assert_eq!(seen.len(), 8, "a scan returns all fields at once");
}

#[test]
fn a_long_value_or_a_field_too_many_unpacks_and_nothing_packs_again() {
    let mut hash = restored(PACKED);
    hash.set(&[b'f'; 100], b"x", &THRESHOLDS);
    assert_eq!(encoding(&hash), "template-listpack", "only values count");
    hash.set(b"field1", &[b'v'; 65], &THRESHOLDS);
    assert_eq!(encoding(&hash), "template-array");
    hash.set(b"field1", b"v", &THRESHOLDS);
    assert_eq!(encoding(&hash), "template-array");
    let mut hash = restored(PACKED);
    (3..=512).for_each(|number| {
        hash.set(format!("f{number:05}").as_bytes(), b"", &THRESHOLDS);
    });
    assert_eq!(encoding(&hash), "template-listpack");
    hash.set(b"one more", b"", &THRESHOLDS);
    assert_eq!((encoding(&hash), hash.len()), ("template-array", 513));
}

#[test]
fn an_expiry_makes_it_a_plain_hash() {
    for (long, expected) in [(false, "listpackex"), (true, "hashtable")] {
        let mut hash = restored(PACKED);
        if long {
            hash.set(&[b'f'; 65], b"x", &THRESHOLDS);
        }
        assert!(hash.set_expiry(b"field2", Some(7), &THRESHOLDS));
        assert_eq!(encoding(&hash), expected);
        assert_eq!(hash.expiry(b"field2"), Some(Some(7)));
        assert_eq!(
            hash.get(b"field1"),
            Some(if long { Item::Str(b"1") } else { Item::Int(1) })
        );
    }
    let mut hash = restored(PACKED);
    assert!(!hash.set_expiry(b"none", Some(7), &THRESHOLDS));
    assert!(hash.set_expiry(b"field2", None, &THRESHOLDS));
    assert_eq!(encoding(&hash), "template-listpack");
}

#[test]
fn hashes_with_the_same_fields_share_their_names() {
    let names = |hash: &Hash| match &hash.0 {
        Form::Template(hash) => Arc::clone(hash.parts().0),
        _ => panic!(),
    };
    let (mut one, mut other) = (restored(PACKED), restored(ARRAY));
    assert!(Arc::ptr_eq(&names(&one), &names(&other)));
    one.set(b"x", b"1", &THRESHOLDS);
    assert!(!Arc::ptr_eq(&names(&one), &names(&other)));
    other.set(b"x", b"1", &THRESHOLDS);
    assert!(Arc::ptr_eq(&names(&one), &names(&other)));
    one.remove(b"x");
    other.remove(b"field1");
    other.remove(b"field2");
    assert_eq!(
        (shown(&one).as_str(), shown(&other).as_str()),
        ("field1=1 field2=2", "x=1")
    );
}

#[test]
fn an_older_server_is_written_a_plain_hash() {
    let hash = restored(PACKED);
    let version = Version::of_payload(12);
    assert_eq!(hash.value_type(Layouts::of(version)), ValueType::Hash);
    assert!(encode_payload(version, b"", ValueType::Hash, |writer| hash.encode(writer)).is_ok());
}

/// Payloads that the tests of Redis 8.10 expect it to refuse.
#[test]
fn what_redis_refuses_is_refused() {
    let fields = b"\x17\x17\x00\x00\x00\x02\x00\x86field1\x07\x86field2\x07\xff";
    let sealed = |parts: &[&[u8]]| [&parts.concat()[..], b"\x0f\x00\0\0\0\0\0\0\0\0"].concat();
    for (payload, reason) in [
        (sealed(&[b"\x1d\x00", fields, b"\x0b\x0b\x00\x00\x00\x02\x00\x00\x01\x01\x01\xff"]), "as many values"),
        (sealed(&[b"\x1d\x00", fields, b"\x07\x07\x00\x00\x00\x00\x00\xff"]), "do not start with a number"),
        (sealed(&[b"\x1d\x00", fields, b"\x0e\x0e\x00\x00\x00\x03\x00\x81x\x02\x01\x01\x02\x01\xff"]), "do not start with a number"),
        (sealed(&[b"\x1d\x00\x07\x07\x00\x00\x00\x00\x00\xff\x0d\x0d\x00\x00\x00\x03\x00\x00\x01\x01\x01\x02\x01\xff"]), "no fields"),
        (sealed(&[b"\x1f\x01\x00\x06field1\x06field2\xc0\x01\xc0\x02"]), "no fields"),
        (sealed(&[b"\x1f\x01\x02\x06field2\x06field1\xc0\x01\xc0\x02"]), "ascending order"),
        (sealed(&[b"\x1f\x01\x02\x06field1\x06field1\xc0\x01\xc0\x02"]), "ascending order"),
        (sealed(&[b"\x1f\x02\x02\x06field1\x06field2\xc0\x01\xc0\x02"]), "unknown form"),
        (sealed(&[b"\x1e\x0d\x0d\x00\x00\x00\x03\x00\x05\x01\x01\x01\x02\x01\xff"]), "no hash template 5"),
        (sealed(&[b"\x20\x05\xc0\x01\xc0\x02"]), "no hash template 5"),
    ] {
        let error = try_restored(&payload, &THRESHOLDS).unwrap_err();
        assert!(error.contains(reason), "{error}");
    }
    for payload in [PACKED, ARRAY] {
        for len in 1..payload.len() - 10 {
            let cut = sealed(&[&payload[..len]]);
            assert!(try_restored(&cut, &THRESHOLDS).is_err(), "{len}");
        }
    }
}

#[test]
fn it_is_a_map_whatever_happens_to_it() {
    let limits = Thresholds {
        hash_max_listpack_entries: 6,
        hash_max_listpack_value: 4,
        ..*THRESHOLDS
    };
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..200 {
        let mut hash = restored(PACKED);
        let mut model: BTreeMap<(usize, String), String> = BTreeMap::new();
        for (field, value) in pairs(&hash) {
            model.insert((field.len(), field), value);
        }
        for _ in 0..random.usize(..60) {
            let field = "abcdefghijk"[..random.usize(..8)].to_owned();
            if random.u8(..3) > 0 {
                let value = "vwxyz"[..random.usize(..6)].to_owned();
                let is_new = hash.set(field.as_bytes(), value.as_bytes(), &limits);
                assert_eq!(model.insert((field.len(), field), value).is_none(), is_new);
            } else if hash.len() > 1 {
                let was_there = hash.remove(field.as_bytes());
                assert_eq!(model.remove(&(field.len(), field)).is_some(), was_there);
            }
        }
        let expected: Vec<_> = model
            .into_iter()
            .map(|((_, field), value)| (field, value))
            .collect();
        assert_eq!(pairs(&hash), expected);
        assert_eq!(
            pairs(&try_restored(&dumped(&hash), &limits).unwrap()),
            expected
        );
    }
}

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use super::super::{
    decode::{Sink, decode},
    error::SinkError,
    object::Meta,
    source::MemorySource,
    stream::{Consumer, Group, Idmp, Pending, Producer, StreamId, StreamObject},
    testing::*,
};
use super::*;
use bytes::Bytes;

#[test]
fn fixtures_with_field_expiries_load() {
    for name in ["redis-8.0-field-expiries", "valkey-9.1-field-expiries"] {
        let (loaded, _) = load(&fixture(name)).unwrap();
        let timed = loaded
            .keys
            .values()
            .filter_map(|(_, content)| match content {
                Content::TimedHash(fields) => Some(fields),
                _ => None,
            });
        let expiries: Vec<i64> = timed.flat_map(|f| f.values().map(|(_, at)| *at)).collect();
        assert!(expiries.contains(&0), "{name}: a field without an expiry");
        assert!(
            expiries.iter().any(|at| *at > 0),
            "{name}: a field with an expiry"
        );
    }
}

/// A snapshot's header, a type, the bytes of a value of that type, and the value's content.
type Specimen = (&'static str, u8, Vec<u8>, Content);

fn list(texts: &[&str]) -> Content {
    Content::List(texts.iter().map(|t| text(t)).collect())
}

fn set(texts: &[&str]) -> Content {
    Content::Set(texts.iter().map(|t| text(t)).collect())
}

fn hash() -> Content {
    Content::Hash([(text("f"), text("v")), (text("-5"), text("7"))].into())
}

fn timed_hash(first: i64, second: i64) -> Content {
    let field = |field, value, at| (text(field), (text(value), at));
    Content::TimedHash([field("f", "v", first), field("-5", "7", second)].into())
}

fn zset() -> Content {
    Content::Zset([(text("a"), 1.5), (text("b"), f64::INFINITY)].into())
}

/// A value of each type and its content. The tests below mutate them.
fn specimens() -> Vec<Specimen> {
    let all = [strings(), unpacked(), packed_values(), timed(), others()];
    all.into_iter().flatten().collect()
}

fn strings() -> Vec<Specimen> {
    const STRINGS: [(&[u8], &str); 7] = [
        (b"\x02hi", "hi"),
        (b"\xc0\xfb", "-5"),
        (b"\xc1\x00\x80", "-32768"),
        (b"\xc2\x00\x00\x00\x80", "-2147483648"),
        (b"\xc3\x05\x07\x01ab\x60\x01", "abababa"),
        (b"\x80\0\0\0\x02hi", "hi"),
        (b"\x81\0\0\0\0\0\0\0\x02hi", "hi"),
    ];
    let strings = STRINGS.into_iter();
    let specimens = strings.map(|(bytes, it)| (REDIS, 0, bytes.to_vec(), Content::Str(text(it))));
    specimens.collect()
}

fn unpacked() -> Vec<Specimen> {
    let scores = b"\x02\x01b\0\0\0\0\0\0\xf0\x7f\x01a\0\0\0\0\0\0\xf8\x3f";
    let values: [(u8, &[u8], Content); 5] = [
        (1, b"\x02\x01a\xc0\xfb", list(&["a", "-5"])),
        (2, b"\x02\x01a\xc0\xfb", set(&["a", "-5"])),
        (3, b"\x02\x01a\x031.5\x01b\xfe", zset()),
        (4, b"\x02\x01f\x01v\xc0\xfb\xc0\x07", hash()),
        (5, scores, zset()),
    ];
    let specimens = values.into_iter();
    let specimens = specimens.map(|(number, bytes, it)| (REDIS, number, bytes.to_vec(), it));
    specimens.collect()
}

fn packed_values() -> Vec<Specimen> {
    let zipmap = blob(b"\x02\x01f\x01\x00v\x02-5\x01\x017_\xff");
    let ziplist = blob(b"\x16\0\0\0\x13\0\0\0\x04\0\x00\x01f\x03\x01v\x03\xfe\xfb\x03\xf8\xff");
    let zset_ziplist =
        blob(b"\x1b\0\0\0\x15\0\0\0\x04\0\x00\x01a\x03\x031.5\x05\x01b\x03\x03inf\xff");
    let intset = blob(b"\x02\0\0\0\x02\0\0\0\xfb\xff\x07\0");
    let nodes = [&b"\x02\x01\x03big\x02"[..], &packed(&["a", "-5"])].concat();
    let (four, fields) = (["f", "v", "-5", "7"], packed(&["f", "v", "-5", "7"]));
    let two_ziplists = [&[2], &ziplist[..], &ziplist[..]].concat();
    vec![
        (REDIS, 9, zipmap, hash()),
        (REDIS, 10, ziplist.clone(), list(&four)),
        (REDIS, 11, intset, set(&["-5", "7"])),
        (REDIS, 12, zset_ziplist, zset()),
        (REDIS, 13, ziplist, hash()),
        (REDIS, 14, two_ziplists, list(&[four, four].concat())),
        (REDIS, 16, fields, hash()),
        (REDIS, 17, packed(&["a", "1.5", "b", "inf"]), zset()),
        (REDIS, 18, nodes, list(&["big", "a", "-5"])),
        (REDIS, 20, packed(&["a", "-5"]), set(&["a", "-5"])),
    ]
}

fn timed() -> Vec<Specimen> {
    let triples = packed(&["f", "v", "100", "-5", "7", "0"]);
    let absolute = b"\x02\x00\x01f\x01v\x40\x64\xc0\xfb\xc0\x07".to_vec();
    let relative = b"\x64\0\0\0\0\0\0\0\x02\x00\x01f\x01v\x03\xc0\xfb\xc0\x07".to_vec();
    let after_a_time = [&[0; 8], &triples[..]].concat();
    let (first, second) = (b"\x02\x01f\x01v\xe8\x03\0\0\0\0\0\0", b"\xc0\xfb\xc0\x07");
    let of_valkey = [&first[..], second, &[255; 8]].concat();
    vec![
        (REDIS, 22, absolute, timed_hash(0, 100)),
        (REDIS, 23, triples, timed_hash(100, 0)),
        (REDIS, 24, relative, timed_hash(0, 102)),
        (REDIS, 25, after_a_time, timed_hash(100, 0)),
        ("VALKEY080", 22, of_valkey, timed_hash(1000, 0)),
    ]
}

fn others() -> Vec<Specimen> {
    let module = b"\x81\xbd\xe7\x2d\xa2\xbb\x1e\xb4\x00\x02\x05\x05\x02hi\x00".to_vec();
    let items = Content::Module(text("\u{2}\u{5}\u{5}\u{2}hi\0"));
    vec![
        (REDIS, 7, module, items),
        (REDIS, 15, stream_bytes(1), stream_content()),
        (REDIS, 19, stream_bytes(2), stream_content()),
        (REDIS, 21, stream_bytes(3), stream_content()),
        (REDIS, 26, stream_bytes(4), stream_content()),
        (REDIS, 27, stream_bytes(5), released_content()),
        (
            REDIS,
            28,
            b"\x02\x01\x07\x00\x01\xfb\xff\xff\xff\xff\xff\xff\xff\x07\x03\x02hi".to_vec(),
            Content::Array(Some(7), vec![(0, text("-5")), (7, text("hi"))]),
        ),
        (
            REDIS,
            29,
            [&[0], &packed(&["f", "-5"])[..], &packed(&["0", "v", "7"])].concat(),
            hash(),
        ),
        (
            REDIS,
            31,
            b"\x01\x02\x01f\x02-5\x01v\xc0\x07".to_vec(),
            hash(),
        ),
    ]
}

/// An example from a real server: entries 5-1, 5-2 (deleted), 7-0 and 9-0, with a group that has one pending entry. Layout 4 adds
/// a producer, and one without ids; layout 5 adds a pending entry that was released. No server has written these two.
fn stream_bytes(layout: u8) -> Vec<u8> {
    let id = |ms: u8, seq: u8| [[0, 0, 0, 0, 0, 0, 0, ms], [0, 0, 0, 0, 0, 0, 0, seq]].concat();
    let node = [
        &[
            "3", "1", "2", "f", "g", "0", "2", "0", "0", "1", "v", "5", "3", "0", "1", "2", "w",
            "5",
        ][..],
        &[
            "0", "2", "-1", "1", "q", "2", "6", "2", "4", "-1", "2", "w", "5",
        ],
    ];
    let mut bytes = [&[1, 16], &id(5, 1)[..], &packed(&node.concat()), &[3, 9, 0]].concat();
    if layout >= 2 {
        bytes.extend([5, 1, 5, 2, 4]);
    }
    bytes.extend(b"\x01\x01G\x07\x00");
    if layout >= 2 {
        bytes.extend(b"\x81\xff\xff\xff\xff\xff\xff\xff\xff");
    }
    let released = [&id(5, 2)[..], &[0; 8], &[2]].concat();
    let owned = [&id(7, 0)[..], &[1, 0, 0, 0, 0, 0, 0, 0, 3]].concat();
    if layout >= 5 {
        bytes.extend([&[2], &released[..], &owned].concat());
    } else {
        bytes.extend([&[1], &owned[..]].concat());
    }
    bytes.extend([&b"\x01\x01C"[..], &[2, 0, 0, 0, 0, 0, 0, 0]].concat());
    if layout >= 3 {
        bytes.extend([255; 8]);
    }
    bytes.push(1);
    bytes.extend(id(7, 0));
    if layout >= 5 {
        bytes.push(1);
        bytes.extend(id(5, 2));
    }
    if layout >= 4 {
        // 300 seconds, 7 ids; the producers `P` and `old`; 5 added, 2 duplicates.
        bytes.extend(b"\x41\x2c\x07\x02\x01P\x02\x01i\x05\x01\xc0\x09\x09\x00\x03old\x00\x05\x02");
    }
    bytes
}

fn released_content() -> Content {
    let mut content = stream_content();
    if let Content::Stream { groups, .. } = &mut content {
        let id = StreamId::new(5, 2);
        let pending = Pending {
            id,
            delivery_time_ms: 0,
            delivery_count: 2,
        };
        groups[0].pel.insert(0, pending);
        groups[0].released.push(id);
    }
    content
}

fn stream_content() -> Content {
    let entry = |ms, seq, texts: &[&str]| {
        (
            StreamId::new(ms, seq),
            texts.iter().map(|t| text(t)).collect(),
        )
    };
    let pending = Pending {
        id: StreamId::new(7, 0),
        delivery_time_ms: 0,
        delivery_count: 3,
    };
    let consumer = Consumer {
        name: (*b"C").into(),
        pending: vec![StreamId::new(7, 0)],
        ..Default::default()
    };
    Content::Stream {
        entries: vec![
            entry(5, 1, &["f", "1", "g", "v"]),
            entry(7, 0, &["q", "2"]),
            entry(9, 0, &["f", "2", "g", "w"]),
        ],
        last_id: StreamId::new(9, 0),
        groups: vec![Group {
            name: (*b"G").into(),
            last_id: StreamId::new(7, 0),
            entries_read: 0,
            pel: vec![pending],
            consumers: vec![consumer],
            released: Vec::new(),
        }],
    }
}

#[test]
fn reads_a_value_of_every_type() {
    for (header, number, value, expected) in specimens() {
        assert_eq!(
            only(header, number, &value).unwrap(),
            expected,
            "type {number}"
        );
    }
}

/// Fails for a new type in the table of types until it has a specimen here.
#[test]
fn every_known_type_has_a_specimen() {
    let specimens = specimens();
    for (header, version) in [(REDIS, 12), ("VALKEY080", 80)] {
        let version = Version::of_payload(version);
        let known = (0..=255).filter(|number| ValueType::new(*number, version).is_some());
        for number in known {
            // Common types are listed under one header; 6 is refused; 30 and 32 refer to templates (see the decoder's tests).
            let found = specimens.iter().any(|(own, type_number, ..)| {
                *type_number == number && (*own == header || number < 22)
            });
            assert!(found || [6, 30, 32].contains(&number), "{header} {number}");
        }
    }
}

#[test]
fn no_truncation_or_corrupt_byte_of_any_type_panics() {
    for (header, number, value, _) in specimens() {
        for len in 0..value.len() {
            assert!(
                only(header, number, &value[..len]).is_err(),
                "type {number} cut to {len}"
            );
        }
        for at in 0..value.len() {
            let mut bad = value.clone();
            for byte in 0..=255 {
                bad[at] = byte;
                let _outcome = load(&dump(header, &[&[number, 1, b'k'], &bad[..]].concat()));
            }
        }
    }
}

/// A dump of one value between two strings. The value's type is at [`TYPE_AT`].
fn between(header: &str, number: u8, value: &[u8]) -> Vec<u8> {
    let head = [0, 1, b'a', 1, b'x', number, 1, b'k'];
    let body = [&head[..], value, b"\0\x01z\x01y"].concat();
    dump(header, &body)
}

const TYPE_AT: usize = 14;

#[test]
fn what_is_wrong_is_named_where_it_is_and_never_before() {
    /// The longest piece of a fixed length, an id in a stream. An error anywhere in a piece is reported at its start.
    const PIECE_BYTES_MAX: u64 = 16;
    for (header, number, value, _) in specimens() {
        let good = between(header, number, &value);
        let cut = |len: usize| {
            let error = load(&good[..len]).unwrap_err();
            assert!(error.is_truncated(), "type {number} cut to {len}: {error}");
            assert!(error.offset() <= len as u64, "{error}");
            error.offset()
        };
        assert_eq!(cut(good.len() - 1), good.len() as u64 - 1);
        for at in 9..good.len() - 8 {
            // The start of the piece that this byte belongs to.
            let begins = cut(at + 1).min(at as u64);
            let mut bad = good.clone();
            for byte in 0..=255 {
                bad[at] = byte;
                if let Err(error) = load(&bad) {
                    let is_behind = error.offset() + PIECE_BYTES_MAX > begins;
                    assert!(is_behind, "type {number}, byte {at} made {byte}: {error}");
                }
            }
        }
    }
}

#[test]
fn a_kind_that_nobody_knows_is_named_where_it_stands() {
    for (header, number, value, _) in specimens() {
        let mut bad = between(header, number, &value);
        let version = Version::of_payload(if header == REDIS { 12 } else { 80 });
        for kind in (0..0xf0).filter(|kind| ValueType::new(*kind, version).is_none()) {
            bad[TYPE_AT] = kind;
            let error = load(&bad).unwrap_err();
            assert!(matches!(error.cause(), Cause::UnknownType(named) if *named == kind));
            assert_eq!(error.offset(), TYPE_AT as u64);
        }
    }
}

#[test]
fn a_string_that_runs_past_the_end_is_named_with_its_length() {
    let mut bad = between(REDIS, 0, b"\x02hi");
    bad[TYPE_AT + 3] = 0x3f;
    assert_eq!(
        load(&bad).unwrap_err().to_string(),
        "byte 17, reading a string of key \"k\" (type 0): the length is 63 bytes, but the input has only 16 \
         left: the length is wrong or the input is truncated"
    );
}

#[test]
fn old_streams_get_the_counters_that_redis_gives_them() {
    struct Take(Option<StreamObject>);
    impl Sink for Take {
        fn key(&mut self, _: u64, _: &[u8], _: Meta, object: Object<'_>) -> Result<(), SinkError> {
            if let Object::Stream(stream) = object {
                self.0 = Some(*stream);
            }
            Ok(())
        }
    }
    let read = |layout, number| {
        let mut sink = Take(None);
        let bytes = dump(
            REDIS,
            &[&[number, 1, b'k'], &stream_bytes(layout)[..]].concat(),
        );
        decode(&mut Reader::new(MemorySource(bytes.into())), &mut sink).unwrap();
        sink.0.unwrap()
    };
    let (v1, v2, v3) = (read(1, 15), read(2, 19), read(3, 21));
    let v4 = read(4, 26);
    assert_eq!(
        (v1.entries_added, v1.first_id, v1.max_deleted_id),
        (3, StreamId::new(5, 1), StreamId::MIN)
    );
    assert_eq!(
        (v2.entries_added, v2.first_id, v2.max_deleted_id),
        (4, StreamId::new(5, 1), StreamId::new(5, 2))
    );
    assert_eq!(
        (v1.groups[0].entries_read, v2.groups[0].entries_read),
        (-1, -1)
    );
    assert_eq!(v1.groups[0].consumers[0].active_time_ms, 2);
    assert_eq!(v3.groups[0].consumers[0].active_time_ms, -1);
    assert_eq!(v3.idmp, None);
    let entries = vec![
        ((*b"i").into(), StreamId::new(5, 1)),
        ((*b"9").into(), StreamId::new(9, 0)),
    ];
    let idmp = Idmp {
        duration_s: 300,
        entries_max: 7,
        // A producer without ids is as good as none.
        producers: vec![Producer {
            id: (*b"P").into(),
            entries,
        }],
        added: 5,
        duplicates: 2,
    };
    assert_eq!(v4.idmp, Some(Box::new(idmp)));
}

/// Source: redis 8.8 rdb.c, `rdbLoadObject`, which refuses these at any setting.
#[test]
fn what_cannot_be_right_in_new_streams_is_refused_where_it_stands() {
    let good = stream_bytes(5);
    let zone = good.len() - TAIL_BYTES - 17;
    let tail = good.len() - TAIL_BYTES;
    let cases: [(usize, &[u8], &str); 7] = [
        (
            zone + 16,
            b"\x03",
            "a released entry is not pending in its group",
        ),
        (
            zone + 8,
            b"\x07",
            "a released entry is not pending in its group",
        ),
        (tail, b"\x40\x00", "duration out of range"),
        (tail, b"\x80\x00\x01\x51\x81", "duration out of range"),
        (tail + 2, b"\x00", "number of ids out of range"),
        (tail + 2, b"\x67\x11", "number of ids out of range"),
        (
            tail + 15,
            b"\x01P\x01\x01i\x05\x01",
            "duplicate idempotent producer in a stream",
        ),
    ];
    for (at, bytes, reason) in cases {
        let mut bad = good.clone();
        // In place of a number that is as long, or shorter.
        let replaced = match bytes.len() {
            7 => 5,
            5 => 2,
            length if at == tail + 2 => length.min(1),
            length => length,
        };
        bad.splice(at..at + replaced, bytes.iter().copied());
        let error = only(REDIS, 27, &bad).unwrap_err();
        assert!(error.to_string().contains(reason), "{reason}: {error}");
    }
    let mut owned = good.clone();
    let id = owned.len() - TAIL_BYTES - 16;
    owned.splice(id..id + 16, [&[0; 7][..], &[7], &[0; 8]].concat());
    let error = only(REDIS, 27, &owned).unwrap_err();
    assert!(
        error.to_string().contains("a released entry has an owner"),
        "{error}"
    );
}

/// The bytes of the settings, producers and counters in [`stream_bytes`].
const TAIL_BYTES: usize = 22;

/// Without deep checks, servers load a pending entry that nobody owns and that was not released. It cannot be kept as they do.
#[test]
fn a_pending_entry_that_is_neither_owned_nor_released_is_lost() {
    let mut bytes = stream_bytes(5);
    let zone = bytes.len() - TAIL_BYTES - 17;
    bytes.splice(zone..zone + 17, [0]);
    let error = only(REDIS, 27, &bytes).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("a pending entry without a consumer"),
        "{error}"
    );
}

#[test]
fn empty_collections_are_skipped_but_empty_streams_are_keys() {
    for (number, value) in [
        (1, vec![0]),
        (2, vec![0]),
        (4, vec![0]),
        (5, vec![0]),
        (10, blob(b"\x0b\0\0\0\x0a\0\0\0\0\0\xff")),
        (16, packed(&[])),
        (17, packed(&[])),
        (18, [&[1, 2], &packed(&[])[..]].concat()),
        (20, packed(&[])),
    ] {
        let (keyspace, summary) =
            load(&dump(REDIS, &[&[number, 1, b'k'], &value[..]].concat())).unwrap();
        assert_eq!(
            (keyspace.keys.len(), summary.empty_keys_skipped),
            (0, 1),
            "type {number}"
        );
    }
    assert!(only(REDIS, 19, &[0; 10]).is_ok());
}

#[test]
fn servers_before_7_0_load_collections_without_elements() {
    let kept = |header| load(&dump(header, b"\x01\x01k\0")).unwrap().0.keys.len();
    assert_eq!((kept("REDIS0009"), kept("REDIS0010")), (1, 0));
}

/// What is wrong, the type, and the value.
const HOSTILE: [(&str, u8, &[u8]); 17] = [
    (
        "a count past the end",
        4,
        b"\x81\xff\xff\xff\xff\xff\xff\xff\xff",
    ),
    (
        "an absurd length",
        0,
        b"\x81\x00\x00\xff\xff\xff\xff\xff\xff",
    ),
    (
        "a wild expansion",
        0,
        b"\xc3\x03\x80\x1f\xff\xff\xff\x00a\x20\x00",
    ),
    ("a string encoding instead of a length", 4, b"\xc0\x01"),
    ("an unknown string form", 0, b"\xc4"),
    ("an invalid length", 0, b"\x82"),
    ("a NaN score", 5, b"\x01\x01a\0\0\0\0\0\0\xf8\x7f"),
    ("a NaN text score", 3, b"\x01\x01a\xfd"),
    ("an empty intset", 11, b"\x08\x02\0\0\0\0\0\0\0"),
    ("an empty zipmap", 9, b"\x02\x00\xff"),
    ("an unknown kind of list node", 18, b"\x01\x03\x01a"),
    ("an empty large element", 18, b"\x01\x01\x00"),
    ("an empty blob", 16, b"\0"),
    (
        "a first expiry past the last",
        24,
        b"\x01\0\0\0\0\0\x01\0\x01\x00\x01f\x01v",
    ),
    (
        "an expiry past the last",
        24,
        b"\0\0\0\0\0\0\x01\0\x01\x01\x01f\x01v",
    ),
    (
        "the largest expiry",
        22,
        b"\x01\x81\xff\xff\xff\xff\xff\xff\xff\xff\x01f\x01v",
    ),
    (
        "a length for a stream without nodes",
        15,
        b"\x00\x01\x00\x00\x00",
    ),
];

/// The same for listpacks, given by their elements.
const HOSTILE_PACKED: [(&str, u8, &[&str]); 14] = [
    ("a NaN packed score", 17, &["a", "nan"]),
    ("text instead of a score", 17, &["a", "b"]),
    ("scores out of order", 17, &["a", "2", "b", "1"]),
    ("members out of order", 17, &["b", "1", "a", "1"]),
    ("a scored member twice", 17, &["a", "1", "b", "1", "a", "2"]),
    ("a member without a score", 17, &["a", "1", "b"]),
    ("a field without a value", 16, &["a", "b", "c"]),
    ("a field twice", 16, &["a", "b", "a", "c"]),
    ("a member twice", 20, &["1", "b", "1"]),
    ("a field expiry that is not a number", 25, &["f", "v", "x"]),
    ("a negative field expiry", 25, &["f", "v", "-1"]),
    ("a field without an expiry", 25, &["f", "v", "0", "g", "v"]),
    ("a timed field twice", 23, &["f", "v", "0", "f", "w", "0"]),
    (
        "a field expiry past the last",
        23,
        &["f", "v", "281474976710656"],
    ),
];

#[test]
fn hostile_values_are_refused() {
    let raw = HOSTILE.map(|(what, number, value)| (what, number, value.to_vec()));
    let packed = HOSTILE_PACKED.map(|(what, number, texts)| {
        // Type 25 has an expiry before its listpack.
        let before: &[u8] = if number == 25 { &[0; 8] } else { &[] };
        (what, number, [before, &packed(texts)].concat())
    });
    for (what, number, value) in raw.into_iter().chain(packed) {
        let Err(error) = only(REDIS, number, &value) else {
            panic!("{what} was read");
        };
        assert!(error.key() == Some((b"k", number)), "{what}: {error}");
    }
}

#[test]
fn a_field_whose_expiry_comes_to_zero_has_none() {
    let read = |value: &[u8]| {
        let bytes = Bytes::copy_from_slice(value);
        let version = Version::of_payload(12);
        let mut reader = Reader::new(MemorySource(bytes));
        let mut values = Values::new(version);
        match values.decode(&mut reader, 24, 0).unwrap().object {
            Object::HashTimed(pairs) => pairs.iter().next().unwrap().expire_at_ms(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(read(b"\0\0\0\0\0\0\0\0\x01\x01\x01f\x01v"), None);
    assert_eq!(read(b"\0\0\0\0\0\0\0\0\x01\x02\x01f\x01v"), Some(1));
    // No expiry at all.
    assert_eq!(read(b"\0\0\0\0\0\0\x01\0\x01\0\x01f\x01v"), None);
}

#[test]
fn an_expiry_of_valkey_is_not_below_minus_one() {
    let value = [b"\x01\x01f\x01v\xfe", &[255; 7][..]].concat();
    assert!(only("VALKEY080", 22, &value).is_err());
}

#[test]
fn hostile_streams_are_refused() {
    let good = ["1", "0", "1", "f", "0", "2", "0", "0", "v", "4"];
    let stream = |node: &[&str]| [&[1, 16], &[0; 16][..], &packed(node), &[1, 9, 0, 0]].concat();
    assert!(only(REDIS, 15, &stream(&good)).is_ok());
    for (at, value) in [
        (0, "2"),
        (0, "-1"),
        (1, "1"),
        (1, "9223372036854775807"),
        (2, "-1"),
        (2, "9223372036854775807"),
    ]
    .into_iter()
    .chain([
        (2, "x"),
        (4, "1"),
        (5, "3"),
        (5, "0"),
        (6, "10"),
        (7, "x"),
        (9, "5"),
    ]) {
        let mut bad = good;
        bad[at] = value;
        assert!(
            only(REDIS, 15, &stream(&bad)).is_err(),
            "element {at} = {value}"
        );
    }
    assert!(
        only(REDIS, 15, &stream(&[&good[..], &["x"]].concat())).is_err(),
        "trailing elements"
    );
    let twice = [
        "2", "0", "1", "f", "0", "2", "0", "0", "v", "4", "2", "0", "0", "v", "4",
    ];
    assert!(only(REDIS, 15, &stream(&twice)).is_err(), "an id twice");
    let orphan = [&stream_bytes(1)[..stream_bytes(1).len() - 17], &[0]].concat();
    assert!(
        only(REDIS, 15, &orphan)
            .unwrap_err()
            .to_string()
            .contains("without a consumer")
    );
    let mut stranger = stream_bytes(1);
    *stranger.last_mut().unwrap() = 9;
    assert!(
        only(REDIS, 15, &stranger)
            .unwrap_err()
            .to_string()
            .contains("not pending in its group")
    );
}

#[test]
fn unknown_types_name_type_key_and_offset() {
    for number in [8, 33, 200] {
        let error = only(REDIS, number, b"\x02hi").unwrap_err();
        assert!(matches!(error.cause(), Cause::UnknownType(cause) if *cause == number));
        assert_eq!(
            (error.key(), error.offset()),
            (Some((&b"k"[..], number)), 9)
        );
    }
    assert!(matches!(
        only("VALKEY080", 24, b"").unwrap_err().cause(),
        Cause::UnknownType(24)
    ));
    assert!(matches!(
        only(REDIS, 6, b"").unwrap_err().cause(),
        Cause::Module(6)
    ));
    assert!(matches!(
        load(&dump(REDIS, &[246, 0])).unwrap_err().cause(),
        Cause::OldFunction
    ));
    assert!(matches!(
        load(&dump(REDIS, &[241, 0])).unwrap_err().cause(),
        Cause::UnknownType(241)
    ));
    assert!(matches!(
        load(&dump("VALKEY081", &[242, 0])).unwrap_err().cause(),
        Cause::Update
    ));
}

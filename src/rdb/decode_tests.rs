#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use super::super::{
    object::ListNode,
    source::MemorySource,
    stream::{Group, StreamId, StreamObject},
};
use super::*;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

type Text = Vec<u8>;

/// A value by its content alone, whatever the form in which it was written.
#[derive(Debug, Clone, PartialEq)]
enum Content {
    Str(Text),
    List(Vec<Text>),
    Set(BTreeSet<Text>),
    Hash(BTreeMap<Text, Text>),
    Zset(BTreeMap<Text, f64>),
    Stream {
        entries: Vec<(StreamId, Vec<Text>)>,
        last_id: StreamId,
        groups: Vec<Group>,
    },
}

#[derive(Debug, Default, PartialEq)]
struct Keyspace {
    keys: BTreeMap<(u64, Text), (Meta, Content)>,
    aux: BTreeMap<Text, Text>,
    functions: Vec<Text>,
    sizes: Vec<(u64, u64)>,
}

impl Sink for Keyspace {
    fn aux(&mut self, name: &[u8], value: &[u8]) -> Result<(), SinkError> {
        self.aux.insert(name.to_vec(), value.to_vec());
        Ok(())
    }

    fn resize_db(&mut self, keys: u64, expires: u64) -> Result<(), SinkError> {
        self.sizes.push((keys, expires));
        Ok(())
    }

    fn function(&mut self, code: &[u8]) -> Result<(), SinkError> {
        self.functions.push(code.to_vec());
        Ok(())
    }

    fn key(
        &mut self,
        db: u64,
        key: &[u8],
        meta: Meta,
        object: Object<'_>,
    ) -> Result<(), SinkError> {
        match self
            .keys
            .insert((db, key.to_vec()), (meta, content(object)))
        {
            None => Ok(()),
            Some(_) => Err(SinkError::new("a key stands twice")),
        }
    }
}

fn content(object: Object<'_>) -> Content {
    let texts = |packed: &super::super::listpack::Listpack| {
        packed.iter().map(|item| item.to_vec()).collect::<Vec<_>>()
    };
    match object {
        Object::Str(text) => Content::Str(text.to_vec()),
        Object::Int(value) => Content::Str(value.to_string().into_bytes()),
        Object::List(nodes) => Content::List(
            nodes
                .iter()
                .flat_map(|node| match node {
                    ListNode::Plain(text) => vec![text.to_vec()],
                    ListNode::Packed(packed) => texts(packed),
                })
                .collect(),
        ),
        Object::SetIntset(set) => Content::Set(
            set.iter()
                .map(|value| value.to_string().into_bytes())
                .collect(),
        ),
        Object::SetListpack(packed) => Content::Set(texts(&packed).into_iter().collect()),
        Object::Set(members) => Content::Set(members.into_iter().map(Into::into).collect()),
        Object::HashListpack(packed) => Content::Hash(
            texts(&packed)
                .chunks(2)
                .map(|pair| (pair[0].clone(), pair[1].clone()))
                .collect(),
        ),
        Object::Hash(pairs) => Content::Hash(
            pairs
                .into_iter()
                .map(|(f, v)| (f.into(), v.into()))
                .collect(),
        ),
        Object::ZsetListpack(packed) => Content::Zset(
            texts(&packed)
                .chunks(2)
                .map(|pair| {
                    (
                        pair[0].clone(),
                        std::str::from_utf8(&pair[1]).unwrap().parse().unwrap(),
                    )
                })
                .collect(),
        ),
        Object::Zset(members) => Content::Zset(
            members
                .into_iter()
                .map(|(member, score)| (member.into(), score))
                .collect(),
        ),
        Object::Stream(stream) => Content::Stream {
            entries: entries(&stream),
            last_id: stream.last_id,
            groups: timeless(stream.groups),
        },
    }
}

/// Groups without what depends on when and by which version they were made.
fn timeless(mut groups: Vec<Group>) -> Vec<Group> {
    for group in &mut groups {
        group.entries_read = 0;
        group
            .pel
            .iter_mut()
            .for_each(|pending| pending.delivery_time_ms = 0);
        for consumer in &mut group.consumers {
            (consumer.seen_time_ms, consumer.active_time_ms) = (0, 0);
        }
    }
    groups
}

fn entries(stream: &StreamObject) -> Vec<(StreamId, Vec<Text>)> {
    stream
        .nodes
        .iter()
        .flat_map(|(key, packed)| node_entries(*key, packed))
        .collect()
}

/// The entries of a node that are not deleted, with fields and values in turn.
fn node_entries(
    key: StreamId,
    packed: &super::super::listpack::Listpack,
) -> Vec<(StreamId, Vec<Text>)> {
    let mut items = packed.iter();
    let mut next = || items.next().unwrap();
    let total = next().as_int().unwrap() + next().as_int().unwrap();
    let names: Vec<Text> = (0..next().as_int().unwrap())
        .map(|_| next().to_vec())
        .collect();
    assert_eq!(next().as_int(), Some(0));
    let mut found = Vec::new();
    for _ in 0..total {
        let flags = next().as_int().unwrap();
        let ms = key.ms.wrapping_add_signed(next().as_int().unwrap());
        let seq = key.seq.wrapping_add_signed(next().as_int().unwrap());
        let texts: Vec<Text> = if flags & 2 != 0 {
            names
                .iter()
                .flat_map(|name| [name.clone(), next().to_vec()])
                .collect()
        } else {
            (0..next().as_int().unwrap() * 2)
                .map(|_| next().to_vec())
                .collect()
        };
        next();
        if flags & 1 == 0 {
            found.push((StreamId::new(ms, seq), texts));
        }
    }
    found
}

/// Gives its bytes a few at a time.
struct Trickle {
    rest: Bytes,
    step: usize,
}

impl Source for Trickle {
    fn next_chunk(&mut self) -> std::io::Result<Bytes> {
        Ok(self.rest.split_to(self.step.min(self.rest.len())))
    }
}

fn load(bytes: &[u8]) -> Result<(Keyspace, Summary), Error> {
    let mut keyspace = Keyspace::default();
    let mut reader = Reader::new(MemorySource(Bytes::copy_from_slice(bytes)));
    decode(&mut reader, &mut keyspace).map(|summary| (keyspace, summary))
}

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(format!(
        "{}/fixtures/{name}.rdb",
        env!("CARGO_MANIFEST_DIR")
    ))
    .unwrap()
}

/// A dump of one database with a body written by hand and no checksum.
fn dump(header: &str, body: &[u8]) -> Vec<u8> {
    [header.as_bytes(), body, &[kind::EOF], &[0; 8]].concat()
}

/// One value of the key `k`.
fn only(header: &str, number: u8, value: &[u8]) -> Result<Content, Error> {
    let (keyspace, summary) = load(&dump(header, &[&[number, 1, b'k'], value].concat()))?;
    assert_eq!(summary.keys + summary.empty_keys_skipped, 1);
    Ok(keyspace
        .keys
        .into_values()
        .next()
        .map_or(Content::Str(b"nothing".to_vec()), |(_, content)| content))
}

fn text(content: &str) -> Text {
    content.as_bytes().to_vec()
}

/// A blob as a string of up to 16,383 bytes.
fn blob(bytes: &[u8]) -> Vec<u8> {
    let [low, high] = u16::try_from(bytes.len()).unwrap().to_le_bytes();
    [&[0x40 | high, low], bytes].concat()
}

fn packed(texts: &[&str]) -> Vec<u8> {
    let packed: super::super::listpack::Listpack = texts.iter().collect();
    blob(packed.as_bytes())
}

const REDIS: &str = "REDIS0012";

#[test]
fn every_version_of_every_server_gives_the_same_keyspace() {
    let (expected, _) = load(&fixture("redis-7.0")).unwrap();
    assert!(expected.keys.len() > 50);
    for name in ["redis-6.0", "redis-8.0", "valkey-8.1", "valkey-9.1"] {
        let (found, summary) = load(&fixture(name)).unwrap();
        assert!(matches!(summary.checksum, Checksum::Verified(_)), "{name}");
        assert!(expected.keys.keys().eq(found.keys.keys()), "{name}");
        for (key, value) in &found.keys {
            assert_eq!(
                Some(value),
                expected.keys.get(key),
                "{name}: {:?}",
                key.1.escape_ascii().to_string()
            );
        }
    }
}

#[test]
fn real_dumps_hold_what_was_written() {
    let (found, summary) = load(&fixture("redis-7.0")).unwrap();
    let content = |key: &str| &found.keys[&(0, text(key))].1;
    for number in [
        i64::MIN,
        -2_147_483_649,
        -129,
        -128,
        -5,
        -1,
        0,
        251,
        255,
        256,
        2_147_483_648,
        i64::MAX,
    ] {
        assert_eq!(
            content(&format!("int:{number}")),
            &Content::Str(number.to_string().into_bytes())
        );
    }
    assert_eq!(
        content("str:lzf"),
        &Content::Str("lorem_ipsum-".repeat(300).into_bytes())
    );
    assert_eq!(content(""), &Content::Str(text("the empty key")));
    assert_eq!(content("str:leading-zero"), &Content::Str(text("007")));
    let Content::Hash(lzf) = content("hash:lzf") else {
        panic!()
    };
    assert_eq!((lzf.len(), &lzf[&text("field-7")]), (100, &text("value-7")));
    let Content::List(many) = content("list:many") else {
        panic!()
    };
    assert!(
        many.iter()
            .enumerate()
            .all(|(nth, element)| *element == text(&format!("element-{}", nth + 1)))
    );
    assert_eq!(many.len(), 1500);
    let Content::List(wide) = content("list:wide") else {
        panic!()
    };
    assert_eq!(
        wide.iter().map(Vec::len).collect::<Vec<_>>(),
        [1, 9000, 1, 20_000, 1]
    );
    assert_eq!(
        found.keys[&(0, text("ttl:2100"))].0.expire_at_ms,
        Some(4_102_444_800_123)
    );
    assert_eq!(found.functions.len(), 2);
    assert_eq!(found.keys.len(), usize::try_from(summary.keys).unwrap());
    assert_eq!(
        found.sizes.iter().map(|(keys, _)| keys).sum::<u64>(),
        summary.keys
    );
}

#[test]
fn streams_keep_entries_groups_and_counters() {
    for name in ["redis-6.0", "redis-7.0", "valkey-9.1"] {
        let (found, _) = load(&fixture(name)).unwrap();
        let Content::Stream {
            entries, groups, ..
        } = &found.keys[&(0, text("stream:small"))].1
        else {
            panic!()
        };
        let ids: Vec<String> = entries.iter().map(|(id, _)| id.to_string()).collect();
        assert_eq!(ids, ["1-1", "2-0", "5000000000000-7"], "{name}");
        assert_eq!(
            entries[1].1,
            ["other", "fields", "here", "too"].map(text),
            "{name}"
        );
        assert_eq!(entries[2].1[3], text("-5"));
        assert!(
            groups
                .iter()
                .any(|group| &*group.name == b"readers" && group.pel.len() == 2)
        );
    }
}

#[test]
fn lru_and_lfu_attributes_stand_before_keys() {
    for server in [
        "redis-6.0",
        "redis-7.0",
        "redis-8.0",
        "valkey-8.1",
        "valkey-9.1",
    ] {
        let (lru, _) = load(&fixture(&format!("{server}-lru"))).unwrap();
        let (lfu, _) = load(&fixture(&format!("{server}-lfu"))).unwrap();
        assert!(
            lru.keys
                .values()
                .all(|(meta, _)| meta.idle_s.is_some() && meta.freq.is_none())
        );
        assert!(
            lfu.keys
                .values()
                .all(|(meta, _)| meta.freq.is_some() && meta.idle_s.is_none())
        );
        assert!(lru.keys.keys().eq(lfu.keys.keys()) && !lru.keys.is_empty());
    }
}

#[test]
fn a_checksum_switched_off_is_reported_so() {
    assert_eq!(
        load(&fixture("redis-7.0-plain")).unwrap().1.checksum,
        Checksum::Disabled
    );
    assert_eq!(load(&fixture("redis-7.0-empty")).unwrap().1.keys, 0);
}

#[test]
fn field_expiries_are_refused_with_type_and_key() {
    for (name, types) in [
        ("redis-8.0-field-expiries", [24, 25]),
        ("valkey-9.1-field-expiries", [22, 22]),
    ] {
        let error = load(&fixture(name)).unwrap_err();
        let (key, number) = error.key().unwrap();
        assert!(
            matches!(error.cause(), Cause::FieldExpiry(cause) if *cause == number),
            "{error}"
        );
        assert!(types.contains(&number) && !key.is_empty(), "{error}");
    }
}

#[test]
fn bytes_that_come_one_by_one_give_the_same() {
    for name in ["redis-6.0", "redis-7.0"] {
        let bytes = fixture(name);
        let whole = load(&bytes).unwrap();
        for step in [1, 2, 7, 4096] {
            let mut keyspace = Keyspace::default();
            let mut reader = Reader::new(Trickle {
                rest: Bytes::copy_from_slice(&bytes),
                step,
            });
            let summary = decode(&mut reader, &mut keyspace).unwrap();
            assert_eq!((keyspace, summary), whole, "{step} at a time");
        }
    }
}

#[test]
fn stops_right_behind_the_checksum() {
    let bytes = [
        &b"$89\r\n"[..],
        &fixture("redis-7.0-empty"),
        b"*1\r\n$4\r\nPING\r\n",
    ]
    .concat();
    for step in [1, 5, 90, 1000] {
        let mut reader = Reader::new(Trickle {
            rest: Bytes::copy_from_slice(&bytes),
            step,
        });
        assert_eq!(reader.read_line(100).unwrap(), b"$89");
        let summary = decode(&mut reader, &mut Keyspace::default()).unwrap();
        assert_eq!((summary.bytes, reader.position()), (89, 89));
        let (rest, mut source) = reader.into_rest();
        let mut stream = rest.to_vec();
        while let Ok(chunk @ [_, ..]) = source.next_chunk().as_deref() {
            stream.extend_from_slice(chunk);
        }
        assert_eq!(stream, b"*1\r\n$4\r\nPING\r\n");
    }
}

#[test]
fn every_truncation_is_an_error_at_its_end() {
    for name in ["demo", "redis-6.0-lfu", "redis-7.0-plain", "redis-8.0-lru"] {
        let bytes = fixture(name);
        for len in 0..bytes.len() {
            let error = load(&bytes[..len]).unwrap_err();
            assert!(
                matches!(error.cause(), Cause::Truncated),
                "{name} cut to {len}: {error}"
            );
            assert_eq!(error.offset(), u64::try_from(len).unwrap());
        }
    }
    let bytes = fixture("redis-6.0");
    for len in (0..bytes.len()).step_by(97) {
        assert!(matches!(
            load(&bytes[..len]).unwrap_err().cause(),
            Cause::Truncated
        ));
    }
}

#[test]
fn every_flipped_bit_behind_the_version_is_an_error() {
    for (name, stride) in [
        ("demo", 7),
        ("redis-6.0-lfu", 1),
        ("redis-6.0", 161),
        ("redis-7.0", 167),
        ("redis-8.0", 173),
    ] {
        let good = fixture(name);
        let mut bad = good.clone();
        for at in (9..good.len()).step_by(stride) {
            for bit in 0..8 {
                bad[at] ^= 1 << bit;
                assert!(load(&bad).is_err(), "{name}, byte {at}, bit {bit}");
                bad[at] = good[at];
            }
        }
    }
}

/// A value of each type and its content, for the mutations below.
fn specimens() -> Vec<(&'static str, u8, Vec<u8>, Content)> {
    let list = |texts: &[&str]| Content::List(texts.iter().map(|t| text(t)).collect());
    let set = |texts: &[&str]| Content::Set(texts.iter().map(|t| text(t)).collect());
    let hash = || Content::Hash([(text("f"), text("v")), (text("-5"), text("7"))].into());
    let zset = || Content::Zset([(text("a"), 1.5), (text("b"), f64::INFINITY)].into());
    let ziplist_4 = blob(b"\x16\0\0\0\x13\0\0\0\x04\0\x00\x01f\x03\x01v\x03\xfe\xfb\x03\xf8\xff");
    let zset_ziplist =
        blob(b"\x1b\0\0\0\x15\0\0\0\x04\0\x00\x01a\x03\x031.5\x05\x01b\x03\x03inf\xff");
    vec![
        (REDIS, 0, b"\x02hi".to_vec(), Content::Str(text("hi"))),
        (REDIS, 0, b"\xc0\xfb".to_vec(), Content::Str(text("-5"))),
        (
            REDIS,
            0,
            b"\xc1\x00\x80".to_vec(),
            Content::Str(text("-32768")),
        ),
        (
            REDIS,
            0,
            b"\xc2\x00\x00\x00\x80".to_vec(),
            Content::Str(text("-2147483648")),
        ),
        (
            REDIS,
            0,
            b"\xc3\x05\x07\x01ab\x60\x01".to_vec(),
            Content::Str(text("abababa")),
        ),
        (
            REDIS,
            0,
            b"\x80\0\0\0\x02hi".to_vec(),
            Content::Str(text("hi")),
        ),
        (
            REDIS,
            0,
            b"\x81\0\0\0\0\0\0\0\x02hi".to_vec(),
            Content::Str(text("hi")),
        ),
        (REDIS, 1, b"\x02\x01a\xc0\xfb".to_vec(), list(&["a", "-5"])),
        (REDIS, 2, b"\x02\x01a\xc0\xfb".to_vec(), set(&["a", "-5"])),
        (REDIS, 3, b"\x02\x01a\x031.5\x01b\xfe".to_vec(), zset()),
        (REDIS, 4, b"\x02\x01f\x01v\xc0\xfb\xc0\x07".to_vec(), hash()),
        (
            REDIS,
            5,
            b"\x02\x01b\0\0\0\0\0\0\xf0\x7f\x01a\0\0\0\0\0\0\xf8\x3f".to_vec(),
            zset(),
        ),
        (
            REDIS,
            9,
            blob(b"\x02\x01f\x01\x00v\x02-5\x01\x017_\xff"),
            hash(),
        ),
        (REDIS, 10, ziplist_4.clone(), list(&["f", "v", "-5", "7"])),
        (
            REDIS,
            11,
            blob(b"\x02\0\0\0\x02\0\0\0\xfb\xff\x07\0"),
            set(&["-5", "7"]),
        ),
        (REDIS, 12, zset_ziplist, zset()),
        (REDIS, 13, ziplist_4.clone(), hash()),
        (
            REDIS,
            14,
            [&[2], &ziplist_4[..], &ziplist_4[..]].concat(),
            list(&["f", "v", "-5", "7", "f", "v", "-5", "7"]),
        ),
        (REDIS, 16, packed(&["f", "v", "-5", "7"]), hash()),
        (REDIS, 17, packed(&["a", "1.5", "b", "inf"]), zset()),
        (
            REDIS,
            18,
            [&b"\x02\x01\x03big\x02"[..], &packed(&["a", "-5"])].concat(),
            list(&["big", "a", "-5"]),
        ),
        (REDIS, 20, packed(&["a", "-5"]), set(&["a", "-5"])),
        (
            REDIS,
            24,
            [&[0; 8], &b"\x02\x00\x01f\x01v\x00\xc0\xfb\xc0\x07"[..]].concat(),
            hash(),
        ),
        (
            REDIS,
            25,
            [&[0; 8], &packed(&["f", "v", "0", "-5", "7", "0"])[..]].concat(),
            hash(),
        ),
        (
            "VALKEY080",
            22,
            [
                b"\x02\x01f\x01v",
                &[255; 8][..],
                b"\xc0\xfb\xc0\x07",
                &[255; 8],
            ]
            .concat(),
            hash(),
        ),
        (REDIS, 15, stream_bytes(1), stream_content()),
        (REDIS, 19, stream_bytes(2), stream_content()),
        (REDIS, 21, stream_bytes(3), stream_content()),
    ]
}

/// The example of a real server: entries 5-1, 5-2 (deleted), 7-0 and 9-0, with a group that has one pending entry.
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
    bytes.extend(
        [
            &[1],
            &id(7, 0)[..],
            &[1, 0, 0, 0, 0, 0, 0, 0, 3],
            b"\x01\x01C",
            &[2, 0, 0, 0, 0, 0, 0, 0],
        ]
        .concat(),
    );
    if layout >= 3 {
        bytes.extend([255; 8]);
    }
    bytes.push(1);
    bytes.extend(id(7, 0));
    bytes
}

fn stream_content() -> Content {
    let entry = |ms, seq, texts: &[&str]| {
        (
            StreamId::new(ms, seq),
            texts.iter().map(|t| text(t)).collect(),
        )
    };
    let pending = super::super::stream::Pending {
        id: StreamId::new(7, 0),
        delivery_time_ms: 0,
        delivery_count: 3,
    };
    let consumer = super::super::stream::Consumer {
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
fn hostile_values_are_refused() {
    let nan = f64::NAN.to_le_bytes();
    let cases: Vec<(&str, u8, Vec<u8>)> = vec![
        (
            "a count beyond the input",
            4,
            b"\x81\xff\xff\xff\xff\xff\xff\xff\xff".to_vec(),
        ),
        (
            "a length beyond the limit",
            0,
            b"\x81\x00\x00\xff\xff\xff\xff\xff\xff".to_vec(),
        ),
        (
            "an impossible expansion",
            0,
            b"\xc3\x03\x80\x1f\xff\xff\xff\x00a\x20\x00".to_vec(),
        ),
        ("a code where a length must be", 4, b"\xc0\x01".to_vec()),
        ("an unknown string form", 0, b"\xc4".to_vec()),
        ("an invalid length", 0, b"\x82".to_vec()),
        ("a NaN score", 5, [b"\x01\x01a", &nan[..]].concat()),
        ("a NaN text score", 3, b"\x01\x01a\xfd".to_vec()),
        ("a NaN packed score", 17, packed(&["a", "nan"])),
        ("a score that is none", 17, packed(&["a", "b"])),
        ("scores out of order", 17, packed(&["a", "2", "b", "1"])),
        ("members out of order", 17, packed(&["b", "1", "a", "1"])),
        ("a field without a value", 16, packed(&["a", "b", "c"])),
        ("a field twice", 16, packed(&["a", "b", "a", "c"])),
        ("a member twice", 20, packed(&["1", "b", "1"])),
        ("an empty intset", 11, blob(b"\x02\0\0\0\0\0\0\0")),
        ("an empty zipmap", 9, blob(b"\x00\xff")),
        ("a list node of no kind", 18, b"\x01\x03\x01a".to_vec()),
        (
            "a large element without bytes",
            18,
            b"\x01\x01\x00".to_vec(),
        ),
        ("a blob without bytes", 16, vec![0]),
        (
            "a field expiry that is no number",
            25,
            [&[0; 8], &packed(&["f", "v", "x"])[..]].concat(),
        ),
        (
            "a negative field expiry",
            25,
            [&[0; 8], &packed(&["f", "v", "-1"])[..]].concat(),
        ),
        (
            "a stream without nodes that has a length",
            15,
            vec![0, 1, 0, 0, 0],
        ),
    ];
    for (what, number, value) in cases {
        let error = only(REDIS, number, &value)
            .err()
            .unwrap_or_else(|| panic!("{what} is accepted"));
        assert!(error.key() == Some((b"k", number)), "{what}: {error}");
    }
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
        "elements left"
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
    for number in [8, 22, 23, 26, 33, 200] {
        let error = only(REDIS, number, b"\x02hi").unwrap_err();
        assert!(matches!(error.cause(), Cause::UnknownType(cause) if *cause == number));
        assert_eq!(
            (error.key(), error.offset()),
            (Some((&b"k"[..], number)), 12)
        );
    }
    assert!(matches!(
        only("VALKEY080", 24, b"").unwrap_err().cause(),
        Cause::UnknownType(24)
    ));
    assert!(matches!(
        only(REDIS, 7, b"").unwrap_err().cause(),
        Cause::Module(7)
    ));
    assert!(matches!(
        only(REDIS, 6, b"").unwrap_err().cause(),
        Cause::Module(6)
    ));
    assert!(matches!(
        load(&dump(REDIS, &[246, 0])).unwrap_err().cause(),
        Cause::UnknownType(246)
    ));
    assert!(matches!(
        load(&dump(REDIS, &[243, 0])).unwrap_err().cause(),
        Cause::UnknownType(243)
    ));
    assert!(matches!(
        load(&dump("VALKEY080", &[243, 0])).unwrap_err().cause(),
        Cause::SlotImport
    ));
}

#[test]
fn headers_are_known_versions_or_errors() {
    for good in ["REDIS0005", "REDIS0012", "VALKEY080"] {
        assert_eq!(load(&dump(good, b"")).unwrap().1.version.to_string(), good);
    }
    assert_eq!(load(b"REDIS0004\xff").unwrap().1.checksum, Checksum::Absent);
    for bad in ["REDIS0000", "REDIS0013", "VALKEY012", "VALKEY081"] {
        assert!(
            matches!(
                load(&dump(bad, b"")).unwrap_err().cause(),
                Cause::Version(_)
            ),
            "{bad}"
        );
    }
    for bad in [
        "REDIS00 1",
        "REDIS+012",
        "VALKEYABC",
        "RREDIS001",
        "\u{1f}\u{8b}aaaaaaa",
    ] {
        assert!(
            matches!(load(&dump(bad, b"")).unwrap_err().cause(), Cause::NotRdb),
            "{bad}"
        );
    }
}

#[test]
fn opcodes_set_attributes_of_the_next_key_only() {
    let body = [
        &b"\xfa\x03lua\xc0\x2a"[..],
        b"\xfd\x01\x00\x00\x80\xf9\xff\x00\x01a\x011",
        b"\xf4\x01\x02\x03\xfe\x07\xfb\x02\x01",
        b"\xf8\x05\x00\x01b\x012",
        b"\xf7\x81\xbd\xe7\x2d\xa2\xbb\x1e\xb4\x00\x02\x02\x01\x05\x05\x02hi\x03\0\0\0\0\x04\0\0\0\0\0\0\0\0\x00",
    ];
    let (found, summary) = load(&dump(REDIS, &body.concat())).unwrap();
    assert_eq!(found.aux[&text("lua")], text("42"));
    let (a, _) = &found.keys[&(0, text("a"))];
    assert_eq!(
        *a,
        Meta {
            expire_at_ms: Some((1 - (1 << 31)) * 1000),
            idle_s: None,
            freq: Some(255)
        }
    );
    let (b, _) = &found.keys[&(7, text("b"))];
    assert_eq!(
        *b,
        Meta {
            expire_at_ms: None,
            idle_s: Some(5),
            freq: None
        }
    );
    assert_eq!((found.sizes, summary.module_aux_skipped), (vec![(2, 1)], 1));
    assert!(load(&dump(REDIS, b"\xf7\x01\x02\x02\x09")).is_err());
}

#[test]
fn the_sinks_error_stops_the_decoding_and_names_the_key() {
    let twice = dump(REDIS, b"\x00\x01a\x011\x00\x01a\x012");
    let error = load(&twice).unwrap_err();
    assert_eq!(
        error.to_string(),
        "byte 17, reading a value of key \"a\" (type 0): a key stands twice"
    );
}

#[test]
fn large_values_come_through_many_chunks() {
    let value: Vec<u8> = (0..3_000_000_u32)
        .map(|n| n.to_le_bytes()[1] ^ n.to_le_bytes()[0])
        .collect();
    let length = u32::try_from(value.len()).unwrap().to_be_bytes();
    let bytes = dump(REDIS, &[b"\x00\x01k\x80", &length[..], &value].concat());
    let mut keyspace = Keyspace::default();
    decode(
        &mut Reader::new(Trickle {
            rest: bytes.into(),
            step: 70_000,
        }),
        &mut keyspace,
    )
    .unwrap();
    assert_eq!(keyspace.keys[&(0, text("k"))].1, Content::Str(value));
}

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use super::super::testing::*;
use super::*;
use bytes::Bytes;

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
            let len = len as u64;
            // An error in a truncated string is reported at the string's start and says how many bytes are left.
            let is_named = match error.cause() {
                Cause::Truncated => error.offset() == len,
                Cause::PastEnd { length, left } => {
                    left < length && (1..=10).contains(&(len - error.offset() - left))
                }
                _ => false,
            };
            assert!(is_named, "{name} cut to {len}: {error}");
        }
    }
    let bytes = fixture("redis-6.0");
    for len in (0..bytes.len()).step_by(97) {
        assert!(load(&bytes[..len]).unwrap_err().is_truncated());
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

#[test]
fn headers_are_known_versions_or_errors() {
    for good in [
        "REDIS0005",
        "REDIS0012",
        "REDIS0016",
        "VALKEY080",
        "VALKEY081",
    ] {
        assert_eq!(load(&dump(good, b"")).unwrap().1.version.to_string(), good);
    }
    assert_eq!(load(b"REDIS0004\xff").unwrap().1.checksum, Checksum::Absent);
    for bad in ["REDIS0000", "VALKEY012"] {
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
    assert_eq!((found.sizes, summary.module_aux), (vec![(2, 1)], 1));
    let wrong: [&[u8]; 3] = [
        b"\xf7\x01\x02\x02\x09",
        b"\xf7\x01\x01\x02\x00",
        b"\xf7\x01\x02\xc0\x00\x00",
    ];
    assert!(wrong.iter().all(|aux| load(&dump(REDIS, aux)).is_err()));
}

#[test]
fn the_sinks_error_stops_the_decoding_and_names_the_key() {
    let twice = dump(REDIS, b"\x00\x01a\x011\x00\x01a\x012");
    let error = load(&twice).unwrap_err();
    assert_eq!(
        error.to_string(),
        "byte 17, reading a value of key \"a\" (type 0): duplicate key"
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

#[test]
fn mutated_dumps_without_a_checksum_never_panic() {
    let mut random = fastrand::Rng::with_seed(7);
    for name in [
        "redis-6.0-lfu",
        "redis-7.0-plain",
        "demo",
        "redis-6.0",
        "redis-8.0",
    ] {
        let mut good = fixture(name);
        let sum_at = good.len() - 8;
        good[sum_at..].fill(0);
        for _ in 0..150 {
            let mut bad = good.clone();
            for _ in 0..random.usize(1..4) {
                let bytes = [0, 0x7f, 0x80, 0x81, 0xc3, 0xf0, 0xfe, 0xff, random.u8(..)];
                bad[random.usize(9..sum_at)] = random.choice(bytes).unwrap();
            }
            let _outcome = load(&bad);
        }
    }
}

/// Two compact hashes that refer to a template, as Redis 8.10 writes them: in both forms.
const TEMPLATES: &[u8] =
    b"\xf2\x07\x02\x01f\x02-5\x1e\x01p\x0e\x0e\0\0\0\x03\0\x07\x01\x81v\x02\x07\x01\xff\x20\x01a\x07\x01v\xc0\x07";

#[test]
fn compact_hashes_refer_to_templates() {
    let (found, summary) = load(&dump("REDIS0015", TEMPLATES)).unwrap();
    let hash = Content::Hash([(text("f"), text("v")), (text("-5"), text("7"))].into());
    for key in ["p", "a"] {
        assert_eq!(found.keys[&(0, text(key))].1, hash, "{key}");
    }
    assert_eq!(summary.keys, 2);
    let refused = |body: &[u8], reason: &str, offset: u64| {
        let error = load(&dump("REDIS0015", body)).unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
        assert_eq!(error.offset(), offset, "{error}");
    };
    refused(&TEMPLATES[8..], "no hash template 7", 12);
    refused(b"\x20\x01a\x07", "no hash template 7", 12);
    refused(b"\xf2\x07\x00", "no fields", 11);
    refused(b"\xf2\x07\x02\x01f\x01f", "ascending order", 14);
    refused(b"\xf2\x07\x01\x01f\xf2\x07\x01\x01g", "the same number", 15);
    let cut = |len: usize| load(&dump("REDIS0015", TEMPLATES)[..9 + len]);
    assert!((1..TEMPLATES.len()).all(|len| cut(len).is_err()));
}

#[test]
fn what_modules_attach_precedes_a_key_and_is_kept_as_it_is() {
    #[derive(Default)]
    struct Seen(Vec<(Vec<u8>, Vec<u8>)>);
    impl Sink for Seen {
        fn attached(&mut self, record: &[u8]) -> Result<(), SinkError> {
            self.0.push((record.to_vec(), Vec::new()));
            Ok(())
        }
        fn key(&mut self, _: u64, key: &[u8], _: Meta, _: Object<'_>) -> Result<(), SinkError> {
            if let Some((_, of)) = self.0.last_mut() {
                of.extend_from_slice(key);
            }
            Ok(())
        }
    }
    // Two classes: a number and a text in the first, nothing in the second.
    let record = b"\xf3\x02abcd\x02\x05\x05\x02hi\x00efgh\x00";
    let body = [&b"\xfc\x01\0\0\0\0\0\0\0"[..], record, b"\x00\x01k\x01v"].concat();
    let read = |body: &[u8]| {
        let mut seen = Seen::default();
        let mut reader = Reader::new(crate::rdb::source::MemorySource(
            dump("REDIS0013", body).into(),
        ));
        decode(&mut reader, &mut seen).map(|_| seen.0)
    };
    assert_eq!(read(&body).unwrap(), [(record.to_vec(), text("k"))]);
    for len in 1..record.len() {
        assert!(read(&body[..9 + len]).is_err(), "{len}");
    }
    assert!(read(b"\xf3\x08").unwrap_err().to_string().contains("seven"));
    assert!(read(b"\xf3\x01abcd\x09\x00").is_err(), "an unknown item");
}

#[test]
fn a_newer_version_is_read_as_far_as_its_records_are_known() {
    let newer = dump("REDIS0099", b"\x00\x01k\x01v");
    assert!(load(&newer).is_ok());
    assert!(load(&dump("VALKEY099", b"\x00\x01k\x01v")).is_ok());
    let error = load(&dump("REDIS0099", b"\x00\x01k\x01v\x63\x05a-key")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "byte 14, reading a value of key \"a-key\" (type 99): unknown type 99: the server that wrote it is newer than this redtail, or the input is damaged"
    );
    for header in ["REDIS0000", "VALKEY079"] {
        assert!(
            load(&dump(header, b""))
                .unwrap_err()
                .to_string()
                .contains("no server writes version")
        );
    }
}

type Ranges = Vec<(u64, u64)>;

#[test]
fn a_slot_import_is_passed_on() {
    #[derive(Default)]
    struct Imports(Vec<(Text, Ranges)>);
    impl Sink for Imports {
        fn slot_import(&mut self, job: &[u8], ranges: &[(u64, u64)]) -> Result<(), SinkError> {
            self.0.push((job.to_vec(), ranges.to_vec()));
            Ok(())
        }
        fn key(&mut self, _: u64, _: &[u8], _: Meta, _: Object<'_>) -> Result<(), SinkError> {
            Ok(())
        }
    }
    let read = |body: &[u8]| {
        let mut imports = Imports::default();
        let mut reader = Reader::new(crate::rdb::source::MemorySource(
            dump("VALKEY080", body).into(),
        ));
        decode(&mut reader, &mut imports).map(|_| imports.0)
    };
    let body = b"\xf3\x03job\x02\x00\x05\x40\x64\x7f\xff";
    assert_eq!(
        read(body).unwrap(),
        [(text("job"), vec![(0, 5), (100, 16_383)])]
    );
    assert!((1..body.len()).all(|len| read(&body[..len]).is_err()));
}

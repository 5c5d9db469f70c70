//! `redtail::rdb::Writer`, as a program that writes dumps uses it: no name of this file is from inside the crate. What it writes is
//! read again, and loaded by real servers.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;
use redtail::rdb::{
    self, Checksum, Key, Keys, Magic, NewConsumer, NewGroup, NewPending, NewStream, StreamId,
    Summary, Value, Version, WriteError, Writer,
};

use crate::client::Client;
use crate::corpus::dumps;
use crate::measured::peak;
use crate::servers::{ALL, Server, fixture};

/// Every version that is written.
const VERSIONS: [(Magic, u16); 8] = [
    (Magic::Redis, 9),
    (Magic::Redis, 10),
    (Magic::Redis, 11),
    (Magic::Redis, 12),
    (Magic::Redis, 13),
    (Magic::Redis, 14),
    (Magic::Redis, 15),
    (Magic::Valkey, 80),
];

fn versions() -> impl Iterator<Item = Version> {
    VERSIONS
        .map(|(magic, number)| version(magic, number))
        .into_iter()
}

fn version(magic: Magic, number: u16) -> Version {
    let mut version = Version::PORTABLE;
    (version.magic, version.number) = (magic, number);
    version
}

/// The newest version that a server loads.
fn version_of(server: &str) -> Version {
    match server {
        "redis-6.0" => version(Magic::Redis, 9),
        "redis-7.0" => version(Magic::Redis, 10),
        "valkey-8.1" => version(Magic::Redis, 11),
        "valkey-9.0" | "valkey-9.1" => version(Magic::Valkey, 80),
        _ => version(Magic::Redis, 12),
    }
}

fn writer(version: Version) -> Writer<Vec<u8>> {
    Writer::with_version(Vec::new(), version).expect("a version that is written")
}

/// Everything about a key that clients see, with an order where servers have none.
fn shown(key: &Key<'_>) -> String {
    let text = |item: rdb::Item<'_>| item.to_bytes().escape_ascii().to_string();
    let mut lines: Vec<String> = match &key.value {
        Value::String(string) => vec![text(*string)],
        Value::List(list) => list.iter().map(text).collect(),
        Value::Set(set) => set.iter().map(text).collect(),
        Value::Hash(hash) => hash
            .iter()
            .map(|field| {
                let expiry = field.expire_at_ms;
                format!("{} {} {expiry:?}", text(field.name), text(field.value))
            })
            .collect(),
        Value::SortedSet(set) => set
            .iter()
            .map(|(member, score)| format!("{} {score}", text(member)))
            .collect(),
        other => vec![format!("{other:?}")],
    };
    if !matches!(key.value, Value::List(_)) {
        lines.sort();
    }
    let attributes = (key.db, key.expire_at_ms, key.idle_s, key.freq);
    format!(
        "{:?} {attributes:?} {} {lines:?}",
        key.name,
        key.value.kind()
    )
}

fn read(dump: &[u8]) -> (Vec<String>, Summary) {
    let mut keys = Vec::new();
    let summary = rdb::read(dump, &mut |key: Key<'_>| {
        keys.push(shown(&key));
        Ok(())
    });
    let summary = summary.expect("a sound dump");
    assert!(matches!(summary.checksum, Checksum::Verified(_)));
    (keys, summary)
}

/// The texts of the elements of the only key, in the order of the dump.
fn elements(dump: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut found = Vec::new();
    let summary = rdb::read(dump, &mut |key: Key<'_>| {
        let text = |item: rdb::Item<'_>| item.to_bytes().into_owned();
        match key.value {
            Value::List(list) => found.extend(list.iter().map(|one| (text(one), Vec::new()))),
            Value::Set(set) => found.extend(set.iter().map(|one| (text(one), Vec::new()))),
            Value::Hash(hash) => found.extend(hash.iter().map(|one| {
                let expiry = one.expire_at_ms.map(|at| at.to_be_bytes().to_vec());
                (
                    text(one.name),
                    [text(one.value), expiry.unwrap_or_default()].concat(),
                )
            })),
            Value::SortedSet(set) => found.extend(
                set.iter()
                    .map(|(one, score)| (text(one), score.to_be_bytes().to_vec())),
            ),
            Value::Stream(stream) => found.extend(stream.iter().map(|entry| {
                let fields = entry.iter().map(|(name, value)| [text(name), text(value)]);
                (
                    entry.id().to_be_bytes().to_vec(),
                    fields.flatten().flatten().collect(),
                )
            })),
            other => panic!("{other:?}"),
        }
        Ok(())
    });
    assert_eq!(summary.expect("a sound dump").keys, 1);
    found
}

fn sorted<T: Ord>(mut list: Vec<T>) -> Vec<T> {
    list.sort();
    list
}

/// What gives a key its value.
type ToValue<'v> = dyn Fn(rdb::NewKey<'_, Vec<u8>>) -> Result<(), WriteError> + 'v;

/// Strings of all kinds: numbers, short and long text, bytes.
fn string() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        any::<i64>().prop_map(|number| number.to_string().into_bytes()),
        (-200_i64..200).prop_map(|number| number.to_string().into_bytes()),
        vec(any::<u8>(), 0..70),
        (0..4_u8, 0..3000_usize).prop_map(|(byte, len)| vec![byte; len]),
    ]
}

/// Any score. Servers write -0 as 0 where sorted sets are packed.
fn score() -> impl Strategy<Value = f64> {
    let score = any::<f64>().prop_filter("no NaN", |score| !score.is_nan());
    score.prop_map(|score| score + 0.0)
}

/// More elements than packed forms hold, now and then.
fn size() -> impl Strategy<Value = usize> {
    prop_oneof![1..20_usize, 100..140_usize, 500..530_usize]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn collections_read_back_as_they_were_given(
        list in size().prop_flat_map(|size| vec(string(), size)),
        set in size().prop_flat_map(|size| btree_set(string(), 1..=size)),
        hash in size().prop_flat_map(|size| btree_map(string(), string(), 1..=size)),
        scores in vec(score(), 530),
        expiries in vec(prop_oneof![Just(None), (1..1_i64 << 46).prop_map(Some)], 530),
        expire_at_ms in prop_oneof![Just(None), (0..i64::MAX).prop_map(Some)],
    ) {
        let plain: Vec<_> = list.iter().map(|one| (one.clone(), Vec::new())).collect();
        let members: Vec<_> = set.iter().map(|one| (one.clone(), Vec::new())).collect();
        let scored: Vec<_> = set.iter().zip(&scores).collect();
        let with_scores: Vec<_> = scored
            .iter()
            .map(|(member, score)| ((*member).clone(), score.to_be_bytes().to_vec()))
            .collect();
        let fields: Vec<_> = hash.clone().into_iter().collect();
        let timed: Vec<_> = hash.iter().zip(&expiries).collect();
        let with_expiries: Vec<_> = timed
            .iter()
            .map(|((name, value), at)| {
                let at = at.map(|at| at.to_be_bytes().to_vec()).unwrap_or_default();
                ((*name).clone(), [(*value).clone(), at].concat())
            })
            .collect();
        for version in versions() {
            let write = |value: &ToValue<'_>| {
                let mut writer = writer(version);
                let mut key = writer.key("key").db(7);
                if let Some(at) = expire_at_ms {
                    key = key.expire_at_ms(at);
                }
                value(key).expect("it is written");
                let dump = writer.finish().expect("it is complete");
                let mut keys = Keys::new(&dump[..]).expect("a dump");
                let read = keys.next_key().expect("a key").expect("a key");
                assert_eq!((read.db, read.expire_at_ms), (7, expire_at_ms));
                elements(&dump)
            };
            prop_assert_eq!(write(&|key| key.list(&list)), plain.clone());
            prop_assert_eq!(sorted(write(&|key| key.set(&set))), members.clone());
            prop_assert_eq!(sorted(write(&|key| key.hash(&hash))), fields.clone());
            let zset = write(&|key| {
                key.sorted_set(scored.iter().map(|(member, score)| (*member, **score)))
            });
            prop_assert_eq!(sorted(zset), sorted(with_scores.clone()));
            if version.number >= 12 {
                let hash = write(&|key| {
                    let fields = timed.iter().map(|((name, value), at)| (*name, *value, **at));
                    key.hash_with_expiries(fields)
                });
                prop_assert_eq!(sorted(hash), with_expiries.clone());
            }
        }
    }
}

/// A value of several megabytes is never in memory as a whole.
#[test]
fn large_values_need_little_memory_and_read_back() {
    const ELEMENTS: usize = 60_000;
    let name = |number: usize| format!("element:{number:07}:{}", "x".repeat(20));
    let names = || (0..ELEMENTS).map(name);
    let expiry = |number: usize| {
        number
            .is_multiple_of(3)
            .then_some(1_900_000_000_000 + number as i64)
    };
    let id = |number: usize| StreamId::new(1 + number as u64 / 7, 1 + number as u64 % 7);
    let text = |number: usize| name(number).into_bytes();
    let mut seen = 0;
    for (magic, number) in [(Magic::Redis, 9), (Magic::Redis, 12), (Magic::Valkey, 80)] {
        let version = version(magic, number);
        let mut write = |value: &dyn Fn(rdb::NewKey<'_, Vec<u8>>),
                         second: &dyn Fn(usize) -> Vec<u8>| {
            let mut writer =
                Writer::with_version(Vec::with_capacity(16 << 20), version).expect("known");
            let held = peak(|| value(writer.key("large")));
            assert!(held < 3 << 20, "{version}: {held} bytes");
            let dump = writer.finish().expect("it is complete");
            let found = sorted(elements(&dump));
            assert_eq!(found.len(), ELEMENTS);
            for (number, (first, rest)) in found.iter().enumerate() {
                assert_eq!(rest, &second(number), "{version}");
                assert!(*first == text(number) || *first == id(number).to_be_bytes());
            }
            seen += 1;
        };
        write(&|key| key.list(names()).expect("a list"), &|_| Vec::new());
        write(&|key| key.set(names()).expect("a set"), &|_| Vec::new());
        write(
            &|key| key.hash(names().zip(names())).expect("a hash"),
            &text,
        );
        let score = |number: usize| number as f64 / 3.0;
        write(
            &|key| {
                let scored = (0..ELEMENTS).map(|number| (name(number), score(number)));
                key.sorted_set(scored).expect("a sorted set");
            },
            &|number| score(number).to_be_bytes().to_vec(),
        );
        let entries = (0..ELEMENTS).map(|number| (id(number), [("field", name(number))]));
        write(
            &|key| {
                key.stream(entries.clone(), &NewStream::default())
                    .expect("a stream")
            },
            &|number| [b"field", &text(number)[..]].concat(),
        );
        if version.number >= 12 {
            let fields = (0..ELEMENTS).map(|number| (name(number), name(number), expiry(number)));
            write(
                &|key| key.hash_with_expiries(fields.clone()).expect("a hash"),
                &|number| {
                    let at = expiry(number).map(|at| at.to_be_bytes().to_vec());
                    [text(number), at.unwrap_or_default()].concat()
                },
            );
        }
    }
    assert_eq!(seen, 3 * 5 + 2);
}

#[test]
fn every_dump_reads_the_same_after_it_is_written_in_a_newer_version() {
    let (mut copied, mut refused) = (0, BTreeMap::<String, u64>::new());
    for (path, _) in dumps() {
        let dump = fs::read(&path).expect("a dump");
        let original = read_loosely(&dump);
        for version in versions() {
            let mut writer = writer(version);
            let (mut expected, mut left) = (Vec::new(), original.iter());
            let result = rdb::read(&dump[..], &mut |key: Key<'_>| {
                let shown = left.next().expect("a key");
                match writer.copy(&key) {
                    Ok(()) => expected.push(shown.clone()),
                    Err(WriteError::Empty) => assert_eq!(key.value.elements(), 0),
                    Err(WriteError::Unsupported { what, version }) => {
                        *refused.entry(format!("{version}: {what}")).or_default() += 1;
                    }
                    Err(error) => panic!("{}: {key:?}: {error}", path.display()),
                }
                Ok(())
            });
            let result = result.expect("a sound dump");
            copied += writer.keys();
            let (found, summary) = read(&writer.finish().expect("it is complete"));
            assert_eq!(summary.version, version);
            // What has no place for the times at which consumers were active: the copy, or the original.
            let has_times = version.number >= 11 && result.version.number >= 11;
            let compared = |keys: &[String]| -> Vec<String> {
                let keys = keys.iter();
                keys.map(|key| {
                    if has_times {
                        key.clone()
                    } else {
                        without_times(key)
                    }
                })
                .collect()
            };
            let name = path.display();
            assert_eq!(compared(&found), compared(&expected), "{name} in {version}");
        }
    }
    assert!(copied > 10_000, "{copied}");
    let reasons: Vec<_> = refused.keys().map(String::as_str).collect();
    for reason in [
        "REDIS0009: field expiries",
        "REDIS0011: arrays",
        "VALKEY080: arrays",
        "REDIS0012: data that modules attach to keys",
        "REDIS0012: idempotent producers of streams",
        "REDIS0013: released entries of streams",
    ] {
        assert!(reasons.contains(&reason), "{reason} is not in {reasons:?}");
    }
    assert!(
        !reasons.iter().any(|reason| reason.starts_with("REDIS0015")),
        "{reasons:?}"
    );
}

/// A key without the times at which the consumers of its stream were active.
fn without_times(key: &str) -> String {
    let mut parts = key.split(", active_at_ms: ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let end = part.find('}').expect("the end of a consumer");
        text + &part[end..]
    })
}

/// Some servers had the checksum switched off.
fn read_loosely(dump: &[u8]) -> Vec<String> {
    let mut keys = Vec::new();
    let summary = rdb::read(dump, &mut |key: Key<'_>| {
        keys.push(shown(&key));
        Ok(())
    });
    summary.expect("a sound dump");
    keys
}

#[test]
fn what_a_server_would_refuse_is_an_error_and_the_dump_goes_on() {
    let mut writer = Writer::new(Vec::new());
    let none: [&str; 0] = [];
    assert!(matches!(writer.key("k").list(none), Err(WriteError::Empty)));
    assert!(matches!(writer.key("k").set(none), Err(WriteError::Empty)));
    let pairs = [("field", "one"), ("field", "two")];
    assert!(matches!(
        writer.key("k").hash(pairs),
        Err(WriteError::Twice)
    ));
    assert!(matches!(
        writer.key("k").set(["1", "2", "1"]),
        Err(WriteError::Twice)
    ));
    let members = [("m", 1.0), ("m", 2.0)];
    assert!(matches!(
        writer.key("k").sorted_set(members),
        Err(WriteError::Twice)
    ));
    let nan = writer.key("k").sorted_set([("m", f64::NAN)]);
    assert!(matches!(nan, Err(WriteError::Score)));
    let past = writer.key("k").expire_at_ms(-1).string("x");
    assert!(matches!(past, Err(WriteError::Expiry(-1))));
    let timed = writer.key("k").hash_with_expiries([("f", "v", Some(5))]);
    let error = timed.expect_err("an old version");
    assert_eq!(error.to_string(), "REDIS0009 has no field expiries");
    let library = writer.library("#!lua name=l");
    assert!(matches!(library, Err(WriteError::Unsupported { .. })));
    writer.key("k").string("x").expect("it is written");
    assert!(matches!(
        writer.aux("redis-ver", "6.0.0"),
        Err(WriteError::Late("facts"))
    ));
    assert_eq!(writer.keys(), 1);
    let (keys, summary) = read(&writer.finish().expect("it is complete"));
    assert_eq!((keys.len(), summary.version), (1, Version::PORTABLE));
    for (magic, number) in [
        (Magic::Redis, 8),
        (Magic::Redis, 16),
        (Magic::Valkey, 11),
        (Magic::Valkey, 81),
    ] {
        let refused = Writer::with_version(Vec::new(), version(magic, number));
        assert!(
            matches!(refused, Err(WriteError::Version(_))),
            "{magic:?} {number}"
        );
    }
    for (magic, at) in [
        (Magic::Redis, 1 << 48),
        (Magic::Redis, 0),
        (Magic::Valkey, -1),
    ] {
        let number = if magic == Magic::Redis { 12 } else { 80 };
        let mut writer = self::writer(version(magic, number));
        let refused = writer.key("k").hash_with_expiries([("f", "v", Some(at))]);
        assert!(
            matches!(refused, Err(WriteError::Expiry(_))),
            "{magic:?} {at}"
        );
        let fields = [("f", "v", Some(5)), ("f", "w", None)];
        let refused = writer.key("k").hash_with_expiries(fields);
        assert!(matches!(refused, Err(WriteError::Twice)));
    }
}

#[test]
fn the_parts_of_a_stream_must_fit_together() {
    let mut writer = Writer::new(Vec::new());
    let mut refused = |ids: &[(u64, u64)], stream: &NewStream| {
        let entries = ids
            .iter()
            .map(|(ms, seq)| (StreamId::new(*ms, *seq), [("f", "v")]));
        match writer.key("s").stream(entries, stream) {
            Err(WriteError::Stream(what)) => what,
            other => panic!("{other:?}"),
        }
    };
    let plain = NewStream::default();
    assert_eq!(
        refused(&[(2, 0), (1, 0)], &plain),
        "entries are not in ascending order"
    );
    assert_eq!(
        refused(&[(0, 0)], &plain),
        "entries are not in ascending order"
    );
    let low = NewStream {
        last_id: Some(StreamId::new(1, 0)),
        ..plain.clone()
    };
    assert_eq!(
        refused(&[(2, 0)], &low),
        "last id is below that of an entry"
    );
    let deleted = NewStream {
        max_deleted_id: Some(StreamId::new(3, 0)),
        ..plain.clone()
    };
    assert_eq!(
        refused(&[(2, 0)], &deleted),
        "last id is below that of a deleted entry"
    );
    let few = NewStream {
        entries_added: Some(1),
        ..plain.clone()
    };
    assert_eq!(
        refused(&[(2, 0), (3, 0)], &few),
        "number of entries ever added is too low"
    );
    let ahead = NewGroup {
        entries_read: Some(3),
        ..NewGroup::default()
    };
    let ahead = NewStream {
        groups: vec![ahead],
        ..plain.clone()
    };
    assert_eq!(
        refused(&[(2, 0), (3, 0)], &ahead),
        "group has read more entries than were added"
    );
    let pending = vec![NewPending::default()];
    let consumer = |name: &str| NewConsumer {
        name: name.into(),
        pending: pending.clone(),
        ..NewConsumer::default()
    };
    let group = NewGroup {
        consumers: vec![consumer("a"), consumer("b")],
        ..NewGroup::default()
    };
    let owners = NewStream {
        groups: vec![group],
        ..plain.clone()
    };
    assert_eq!(refused(&[], &owners), "pending entry has two owners");
    let twice = NewStream {
        groups: vec![NewGroup::default(), NewGroup::default()],
        ..plain
    };
    assert_eq!(refused(&[], &twice), "group or consumer appears twice");
    let no_fields: [(&str, &str); 0] = [];
    let entry = [(StreamId::new(1, 0), no_fields)];
    let refused = writer.key("s").stream(entry, &NewStream::default());
    assert!(matches!(
        refused,
        Err(WriteError::Stream("entry has no fields"))
    ));
    assert_eq!(read(&writer.finish().expect("it is complete")).1.keys, 0);
}

/// An iterator that announces more than it has.
struct Short(std::ops::Range<usize>);

impl Iterator for Short {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        self.0.next().map(|_| vec![b'x'; 100_000])
    }
}

impl ExactSizeIterator for Short {
    fn len(&self) -> usize {
        50
    }
}

#[test]
fn an_error_in_the_middle_of_a_key_ends_the_dump() {
    let mut writer = Writer::new(Vec::new());
    writer.key("whole").string("x").expect("it is written");
    let short = writer.key("short").list(Short(0..30));
    assert!(matches!(short, Err(WriteError::Iterator)));
    assert_eq!(writer.keys(), 1);
    let next = writer.key("next").string("x");
    assert!(matches!(next, Err(WriteError::Incomplete)));
    assert!(matches!(writer.finish(), Err(WriteError::Incomplete)));
    let mut full = [0_u8; 40];
    let mut writer = Writer::new(&mut full[..]);
    let noise: Vec<u8> = (0..1_u32 << 18)
        .map(|n| n.wrapping_mul(n).to_le_bytes()[1])
        .collect();
    let large = writer.key("k").string(&noise);
    assert!(matches!(large, Err(WriteError::Io(_))), "{large:?}");
    let next = writer.key("next").string("x");
    assert!(matches!(next, Err(WriteError::Incomplete)));
}

/// The data of the test with real servers: commands that make it, besides those with field expiries.
const COMMANDS: [&str; 12] = [
    "SET string hello",
    "SET number -12345",
    "RPUSH list a b 1 2 3",
    "SADD integers 3 1 2",
    "SADD set one two 3",
    "HSET hash name Anna age 30",
    "ZADD zset 1.5 a -3 b inf c",
    "XADD stream 5-1 name one",
    "XADD stream 5-3 name two more three",
    "XGROUP CREATE stream group 5-1",
    "XREADGROUP GROUP group anna COUNT 1 STREAMS stream >",
    "XGROUP CREATECONSUMER stream group idle",
];
const LARGE: usize = 20_000;

/// When a field of the large hash expires.
fn expiry(number: usize) -> Option<i64> {
    let number = i64::try_from(number).expect("a small number");
    (number % 40 == 0).then_some(4_000_000_000_000 - number)
}

fn large(number: usize) -> String {
    format!("element:{number:06}:padding-padding")
}

/// Writes what [`make`] makes with commands.
fn write_all(writer: &mut Writer<Vec<u8>>, delivered_at_ms: i64) -> Result<(), WriteError> {
    let names = || (0..LARGE).map(large);
    writer.key("string").string("hello")?;
    writer.key("number").string("-12345")?;
    writer.key("list").list(["a", "b", "1", "2", "3"])?;
    writer.key("integers").set(["3", "1", "2"])?;
    writer
        .key("other")
        .db(3)
        .expire_at_ms(4_000_000_000_000)
        .string("3")?;
    writer.key("set").set(["one", "two", "3"])?;
    writer.key("hash").hash([("name", "Anna"), ("age", "30")])?;
    writer
        .key("zset")
        .sorted_set([("a", 1.5), ("b", -3.0), ("c", f64::INFINITY)])?;
    writer.key("large:list").list(names())?;
    writer.key("large:set").set(names())?;
    writer.key("large:hash").hash(names().zip(names()))?;
    writer.key("large:zset").sorted_set(
        names()
            .zip((0..).map(f64::from))
            .take(LARGE)
            .collect::<Vec<_>>(),
    )?;
    let entries = (0..LARGE).map(|number| {
        let text = large(number).repeat(2);
        (StreamId::new(1, 1 + number as u64), [("f", text)])
    });
    writer
        .key("large:stream")
        .stream(entries, &NewStream::default())?;
    let pending = NewPending {
        id: StreamId::new(5, 3),
        delivered_at_ms,
        deliveries: 1,
    };
    let anna = NewConsumer {
        name: b"anna".to_vec(),
        seen_at_ms: delivered_at_ms,
        active_at_ms: Some(delivered_at_ms),
        pending: vec![pending],
    };
    let idle = NewConsumer {
        name: b"idle".to_vec(),
        seen_at_ms: delivered_at_ms,
        ..NewConsumer::default()
    };
    let group = NewGroup {
        name: b"group".to_vec(),
        last_id: StreamId::new(5, 3),
        entries_read: Some(2),
        consumers: vec![anna, idle],
    };
    let stream = NewStream {
        groups: vec![group],
        ..NewStream::default()
    };
    let entries = [
        (StreamId::new(5, 1), vec![("name", "one")]),
        (
            StreamId::new(5, 3),
            vec![("name", "two"), ("more", "three")],
        ),
    ];
    writer.key("stream").stream(entries, &stream)?;
    if writer.version().number >= 12 {
        writer
            .key("timed")
            .hash_with_expiries([("a", "1", Some(4_000_000_000_000)), ("b", "2", None)])?;
        let fields = (0..LARGE).map(|number| (large(number), "v", expiry(number)));
        writer.key("large:timed").hash_with_expiries(fields)?;
    }
    Ok(())
}

/// Makes the data of [`write_all`] with commands.
fn make(client: &mut Client, version: Version) {
    for command in COMMANDS {
        // An older server creates a consumer when it reads.
        let is_new = command.contains("CREATECONSUMER");
        let command = if is_new && version.number == 9 {
            "XREADGROUP GROUP group idle STREAMS stream 0"
        } else {
            command
        };
        let reply = client.command(command);
        assert!(!reply.is_error(), "{command}: {}", reply.text());
    }
    let mut lines: Vec<String> = vec![
        "SELECT 3".into(),
        "SET other 3 PXAT 4000000000000".into(),
        "SELECT 0".into(),
    ];
    if version.number == 9 {
        lines[1] = "SET other 3".into();
        lines.insert(2, "PEXPIREAT other 4000000000000".into());
    }
    for numbers in (0..LARGE).collect::<Vec<_>>().chunks(500) {
        let of = |word: &dyn Fn(usize) -> String| {
            let words = numbers.iter().map(|number| word(*number));
            words.collect::<Vec<_>>().join(" ")
        };
        let names = of(&large);
        lines.push(format!("RPUSH large:list {names}"));
        lines.push(format!("SADD large:set {names}"));
        let pairs = of(&|number| format!("{0} {0}", large(number)));
        lines.push(format!("HSET large:hash {pairs}"));
        let scored = of(&|number| format!("{number} {}", large(number)));
        lines.push(format!("ZADD large:zset {scored}"));
        if version.number >= 12 {
            let fields = of(&|number| format!("{} v", large(number)));
            lines.push(format!("HSET large:timed {fields}"));
        }
    }
    for number in 0..LARGE {
        let name = large(number);
        lines.push(format!("XADD large:stream 1-{} f {name}{name}", number + 1));
        if let Some(at) = expiry(number).filter(|_| version.number >= 12) {
            lines.push(format!("HPEXPIREAT large:timed {at} FIELDS 1 {name}"));
        }
    }
    if version.number >= 12 {
        lines.push("HSET timed a 1 b 2".into());
        lines.push("HPEXPIREAT timed 4000000000000 FIELDS 1 a".into());
    }
    for lines in lines.chunks(10_000) {
        let words: Vec<_> = lines
            .iter()
            .map(|line| crate::client::words(line))
            .collect();
        for reply in client.pipeline(&words) {
            assert!(!reply.is_error(), "{}", reply.text());
        }
    }
}

fn with_dump(name: &str, path: &Path) -> Option<Server> {
    Server::start_on(name, None, Some(path), &[])
}

/// What must be the same in two servers besides the digest, which does not see groups and expiries of fields.
const ASKED: [&str; 12] = [
    "OBJECT ENCODING list",
    "OBJECT ENCODING integers",
    "OBJECT ENCODING set",
    "OBJECT ENCODING hash",
    "OBJECT ENCODING zset",
    "OBJECT ENCODING large:hash",
    "XLEN large:stream",
    "XRANGE stream - +",
    "XPENDING stream group",
    "XRANGE large:stream 1-19990 +",
    "LRANGE large:list 19990 -1",
    "ZRANGE large:zset -3 -1 WITHSCORES",
];

#[test]
fn every_server_loads_what_is_written_and_has_the_same_data_as_after_the_commands() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ALL {
        let Some(made) = Server::start(name, &[]) else {
            return;
        };
        let own = version_of(name);
        make(&mut made.client(), own);
        let delivered = made.command("TIME").elements();
        let seconds: i64 = delivered[0]
            .text()
            .trim_matches('"')
            .parse()
            .expect("a time");
        for version in [own, Version::PORTABLE] {
            if version != own {
                made.command("DEL timed large:timed");
            }
            let mut writer = writer(version);
            writer.aux("redis-ver", "9.9.9").expect("a fact");
            if version.number >= 10 {
                let code = "#!lua name=lib\nredis.register_function('f', function() return 7 end)";
                writer.library(code).expect("a library");
            }
            write_all(&mut writer, seconds * 1000).expect("it is written");
            let path = folder.path().join("written.rdb");
            fs::write(&path, writer.finish().expect("it is complete")).expect("a file");
            let loaded = with_dump(name, &path).expect("it starts");
            let digest = |server: &Server| server.command("DEBUG DIGEST").text();
            assert_eq!(digest(&loaded), digest(&made), "{name}: {version}");
            if version.number >= 10 {
                assert_eq!(loaded.command("FCALL f 0").integer(), Some(7), "{name}");
            }
            for question in ASKED {
                let [here, there] = [&loaded, &made].map(|server| server.command(question));
                assert_eq!(here, there, "{name}: {version}: {question}");
                assert!(!here.is_error(), "{name}: {question}: {}", here.text());
            }
            let consumers = |server: &Server| {
                let consumers = server.command("XINFO CONSUMERS stream group").elements();
                let names = consumers.iter().map(|one| {
                    let fields = one.elements();
                    (fields[1].text(), fields[3].text())
                });
                sorted(names.collect::<Vec<_>>())
            };
            assert_eq!(consumers(&loaded), consumers(&made), "{name}");
            if version.number >= 12 {
                for key in ["timed", "large:timed"] {
                    for field in ["a", "b", &large(0), &large(1), &large(2000), &large(19_998)] {
                        let question = format!("HPEXPIRETIME {key} FIELDS 1 {field}");
                        let [here, there] =
                            [&loaded, &made].map(|server| server.command(&question));
                        assert_eq!(here, there, "{name}: {question}");
                        assert!(!here.is_error(), "{name}: {question}");
                    }
                }
            }
            // The server can work with what it loaded.
            let saved = loaded.command("DEBUG RELOAD");
            assert!(!saved.is_error(), "{name}: {}", saved.text());
            assert_eq!(digest(&loaded), digest(&made), "{name}: {version}");
        }
    }
}

/// Dumps of servers, and the servers that load copies of them.
const COPIED: [(&str, &str); 7] = [
    ("redis-6.0.rdb", "redis-6.0"),
    ("redis-7.0.rdb", "redis-7.0"),
    ("redis-7.4-field-expiries.rdb", "redis-7.4"),
    ("redis-8.0.rdb", "redis-8.0"),
    ("redis-8.2.rdb", "redis-8.2"),
    ("valkey-8.1.rdb", "valkey-8.1"),
    ("valkey-9.1-field-expiries.rdb", "valkey-9.1"),
];

#[test]
fn keys_that_are_read_and_written_again_are_the_same_to_their_server_and_to_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("copy.rdb");
    for (dump, name) in COPIED {
        let Some(original) = with_dump(name, &fixture(dump)) else {
            return;
        };
        let copies = [version_of(name), Version::PORTABLE];
        for version in copies {
            let mut writer = writer(version);
            let mut keys = Keys::open(fixture(dump)).expect("a dump");
            let mut left_out = Vec::new();
            while let Some(key) = keys.next_key().expect("a key") {
                match writer.copy(&key) {
                    Ok(()) => {}
                    Err(WriteError::Unsupported { .. }) => {
                        left_out.push((key.db, key.name.to_vec()))
                    }
                    Err(error) => panic!("{dump}: {error}: {key:?}"),
                }
            }
            assert!(
                version != copies[0] || left_out.is_empty(),
                "{dump}: {left_out:?}"
            );
            fs::write(&path, writer.finish().expect("it is complete")).expect("a file");
            let mut client = original.client();
            for (db, name) in left_out {
                client.command(&format!("SELECT {db}"));
                client.words(&[b"DEL", &name]);
            }
            let copy = with_dump(name, &path).expect("it starts");
            let digest = |server: &Server| server.command("DEBUG DIGEST").text();
            assert_eq!(digest(&copy), digest(&original), "{dump} in {version}");
        }
    }
}

//! `redtail::rdb::Writer`, as a program that writes dumps uses it: no name of this file is from inside the crate. What it writes is
//! read again, and loaded by real servers (`servers`).

mod servers;

use std::collections::BTreeMap;
use std::fs;

use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;
use redtail::rdb::{
    self, Checksum, Key, Keys, Magic, NewConsumer, NewGroup, NewPending, NewStream, StreamId,
    Summary, Value, Version, WriteError, Writer,
};

use crate::corpus::dumps;
use crate::measured::peak;

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

/// Why a stream of entries with these ids is refused.
fn refused(ids: &[(u64, u64)], stream: &NewStream) -> &'static str {
    let mut writer = Writer::new(Vec::new());
    let entries = ids
        .iter()
        .map(|(ms, seq)| (StreamId::new(*ms, *seq), [("f", "v")]));
    let what = match writer.key("s").stream(entries, stream) {
        Err(WriteError::Stream(what)) => what,
        other => panic!("{other:?}"),
    };
    assert_eq!(read(&writer.finish().expect("it is complete")).1.keys, 0);
    what
}

#[test]
fn the_ids_and_counters_of_a_stream_must_fit_its_entries() {
    let id = |ms| Some(StreamId::new(ms, 0));
    let plain = NewStream::default();
    let [mut low, mut deleted, mut few] = [plain.clone(), plain.clone(), plain.clone()];
    (low.last_id, deleted.max_deleted_id, few.entries_added) = (id(1), id(3), Some(1));
    let descending = "entries are not in ascending order";
    for (ids, stream, what) in [
        (&[(2, 0), (1, 0)][..], &plain, descending),
        (&[(0, 0)], &plain, descending),
        (&[(2, 0)], &low, "last id is below that of an entry"),
        (
            &[(2, 0)],
            &deleted,
            "last id is below that of a deleted entry",
        ),
        (
            &[(2, 0), (3, 0)],
            &few,
            "number of entries ever added is too low",
        ),
    ] {
        assert_eq!(refused(ids, stream), what);
    }
    let mut writer = Writer::new(Vec::new());
    let no_fields: [(&str, &str); 0] = [];
    let refused = writer
        .key("s")
        .stream([(StreamId::new(1, 0), no_fields)], &plain);
    let what = "entry has no fields";
    assert!(matches!(refused, Err(WriteError::Stream(found)) if found == what));
}

#[test]
fn the_groups_of_a_stream_must_fit_together() {
    let of = |groups: Vec<NewGroup>| NewStream {
        groups,
        ..NewStream::default()
    };
    let consumer = |name: &str| NewConsumer {
        name: name.into(),
        pending: vec![NewPending::default()],
        ..NewConsumer::default()
    };
    let (mut ahead, mut shared) = (NewGroup::default(), NewGroup::default());
    ahead.entries_read = Some(3);
    shared.consumers = vec![consumer("a"), consumer("b")];
    let mut same = shared.clone();
    let again = NewConsumer {
        name: b"a".to_vec(),
        ..NewConsumer::default()
    };
    same.consumers = vec![consumer("a"), again];
    let twice = "group or consumer appears twice";
    for (groups, what) in [
        (vec![ahead], "group has read more entries than were added"),
        (vec![shared], "pending entry has two owners"),
        (vec![same], twice),
        (vec![NewGroup::default(), NewGroup::default()], twice),
    ] {
        assert_eq!(refused(&[(2, 0), (3, 0)], &of(groups)), what);
    }
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
    let next = writer.key("next").expire_at_ms(-1).string("x");
    assert!(matches!(next, Err(WriteError::Incomplete)));
    let fact = writer.aux("redis-ver", "6.0.0");
    assert!(matches!(fact, Err(WriteError::Incomplete)));
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

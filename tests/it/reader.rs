//! `redtail::rdb`, as a program that only reads dumps uses it: no name of this file is from inside the crate.

use std::error::Error as _;
use std::io::{self, Read};

use redtail::rdb::{
    self, Array, BoxError, Checksum, Consumer, Copier, Entry, Error, ErrorKind, Field, Group, Hash,
    Idempotence, Item, Key, Keys, List, Magic, Module, ModuleItem, Pending, Producer, Push,
    PushEnded, ServerKind, Set, SortedSet, Stream, StreamId, Summary, Value, Version, Visitor,
};
use serde_json::{Value as Json, json};

use crate::corpus::{dumps, normal};
use crate::measured::peak;
use crate::servers::fixture;

/// Bytes as a string of characters up to U+00FF.
fn characters(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

fn text(item: Item<'_>) -> Json {
    characters(&item.to_bytes()).into()
}

/// Turns the strings of a line of JSON, which are escaped, into [`characters`].
fn unescape(value: &mut Json) {
    match value {
        Json::String(string) => {
            let mut bytes = Vec::new();
            let mut rest = string.as_bytes();
            while let [byte, after @ ..] = rest {
                (rest, _) = match (byte, after) {
                    (b'\\', [b'x', high, low, after @ ..]) => {
                        let digits = [*high, *low].map(|digit| char::from(digit).to_digit(16));
                        let byte = digits[0].unwrap() * 16 + digits[1].unwrap();
                        (after, bytes.push(u8::try_from(byte).unwrap()))
                    }
                    (b'\\', [b'\\', after @ ..]) => (after, bytes.push(b'\\')),
                    (byte, after) => (after, bytes.push(*byte)),
                };
            }
            *string = characters(&bytes);
        }
        Json::Array(values) => values.iter_mut().for_each(unescape),
        Json::Object(members) => members.values_mut().for_each(unescape),
        _ => {}
    }
}

fn list(list: List<'_>) -> Json {
    assert_eq!((list.len(), list.is_empty()), (list.iter().count(), false));
    list.iter().map(text).collect()
}

fn set(set: Set<'_>) -> Json {
    assert_eq!((set.len(), set.is_empty()), (set.iter().count(), false));
    set.iter().map(text).collect()
}

fn hash(hash: Hash<'_>) -> Json {
    assert_eq!((hash.len(), hash.is_empty()), (hash.iter().count(), false));
    let field = |field: Field<'_>| match field.expire_at_ms {
        Some(at) => json!([text(field.name), text(field.value), at]),
        None => json!([text(field.name), text(field.value)]),
    };
    hash.iter().map(field).collect()
}

fn sorted_set(set: SortedSet<'_>) -> Json {
    assert_eq!((set.len(), set.is_empty()), (set.iter().count(), false));
    let member = |(member, score): (Item<'_>, f64)| json!([text(member), score.to_string()]);
    set.iter().map(member).collect()
}

fn stream(stream: Stream<'_>) -> Json {
    assert_eq!(stream.len(), stream.iter().count());
    assert_eq!(stream.is_empty(), stream.iter().next().is_none());
    let entry = |entry: Entry<'_>| {
        assert_eq!(entry.len(), entry.iter().count());
        assert_eq!(entry.is_empty(), entry.iter().next().is_none());
        let fields = entry
            .iter()
            .map(|(field, value)| json!([text(field), text(value)]));
        json!([entry.id().to_string(), fields.collect::<Vec<_>>()])
    };
    let mut value = json!({
        "length": stream.len(),
        "last_id": stream.last_id().to_string(),
        "max_deleted_id": stream.max_deleted_id().map(|id| id.to_string()),
        "entries_added": stream.entries_added(),
        "entries": stream.iter().map(entry).collect::<Vec<_>>(),
        "groups": stream.groups().map(group).collect::<Vec<_>>(),
    });
    if let Some(known) = stream.idempotence() {
        value["idempotence"] = idempotence(known);
    }
    value
}

fn idempotence(known: Idempotence<'_>) -> Json {
    let producer = |producer: Producer<'_>| {
        assert_eq!(
            (producer.len(), producer.is_empty()),
            (producer.iter().count(), false)
        );
        let ids = producer
            .iter()
            .map(|(iid, id)| json!([characters(iid), id.to_string()]));
        json!({"name": characters(producer.name()), "ids": ids.collect::<Vec<_>>()})
    };
    json!({
        "duration_s": known.duration_s(),
        "entries_max": known.entries_max(),
        "added": known.added(),
        "duplicates": known.duplicates(),
        "producers": known.producers().map(producer).collect::<Vec<_>>(),
    })
}

fn group(group: Group<'_>) -> Json {
    let owned = |name: &[u8]| {
        group
            .pending()
            .filter(|pending| pending.consumer == Some(name))
            .count()
    };
    let consumer = |consumer: Consumer<'_>| {
        assert_eq!(consumer.pending, owned(consumer.name));
        json!({
            "name": characters(consumer.name),
            "seen_ms": consumer.seen_at_ms,
            "active_ms": consumer.active_at_ms,
        })
    };
    let pending = |pending: Pending<'_>| {
        json!({
            "id": pending.id.to_string(),
            "consumer": pending.consumer.map(characters),
            "delivered_ms": pending.delivered_at_ms,
            "deliveries": pending.deliveries,
        })
    };
    let mut value = json!({
        "name": characters(group.name()),
        "last_id": group.last_id().to_string(),
        "entries_read": group.entries_read(),
        "pending": group.pending().map(pending).collect::<Vec<_>>(),
        "consumers": group.consumers().map(consumer).collect::<Vec<_>>(),
    });
    let released = group.released();
    if !released.is_empty() {
        let ids = released.into_iter().map(|id| id.to_string());
        value["released"] = ids.collect::<Vec<_>>().into();
    }
    value
}

fn array(array: Array<'_>) -> Json {
    assert_eq!(
        (array.len(), array.is_empty()),
        (array.iter().count(), false)
    );
    let elements = array
        .iter()
        .map(|(index, text)| json!([index, characters(&text)]));
    json!({
        "insert_index": array.insert_index(),
        "elements": elements.collect::<Vec<_>>(),
    })
}

fn module(value: Module<'_>) -> Json {
    assert_eq!(
        (value.len(), value.is_empty()),
        (value.iter().count(), false)
    );
    json!({
        "module": value.type_name(),
        "version": value.version(),
        "raw": characters(value.raw()),
    })
}

/// A key as a line of JSON, with strings as [`characters`].
fn line(key: Key<'_>) -> Json {
    let value = match key.value {
        Value::String(string) => text(string),
        Value::List(value) => list(value),
        Value::Set(value) => set(value),
        Value::Hash(value) => hash(value),
        Value::SortedSet(value) => sorted_set(value),
        Value::Stream(value) => stream(value),
        Value::Array(value) => array(value),
        Value::Module(value) => module(value),
        _ => panic!("{key:?}"),
    };
    let kind = match key.value {
        Value::Module(value) => value.type_name(),
        other => other.kind().to_owned(),
    };
    let mut line = json!({
        "db": key.db,
        "key": characters(key.name),
        "type": kind,
        "encoding": key.encoding(),
        "expiry": key.expire_at_ms,
        "value": value,
    });
    let odd = [("idle", key.idle_s), ("freq", key.freq.map(u64::from))];
    for (name, number) in odd {
        if let Some(number) = number {
            line[name] = number.into();
        }
    }
    line
}

/// What the reader finds in a dump: its keys as lines, and the summary.
fn found(dump: impl Read) -> Result<(String, Summary), Error> {
    let mut lines = String::new();
    let summary = rdb::read(dump, &mut |key: Key<'_>| {
        lines.push_str(&line(key).to_string());
        lines.push('\n');
        Ok(())
    })?;
    Ok((lines, summary))
}

#[test]
fn every_dump_holds_what_a_real_server_found_in_it() {
    let mut compared = 0;
    for (dump, expected) in dumps() {
        let (lines, summary) = found(std::fs::File::open(&dump).unwrap()).unwrap();
        let expected = std::fs::read_to_string(&expected).unwrap();
        let mut expected: Vec<Json> = expected
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        expected.iter_mut().for_each(unescape);
        let expected: Vec<String> = expected.iter().map(Json::to_string).collect();
        let (ours, theirs) = (normal(&lines), normal(&expected.join("\n")));
        let differing = ours
            .iter()
            .zip(&theirs)
            .find(|(ours, theirs)| ours != theirs);
        assert_eq!(differing, None, "{}", dump.display());
        assert_eq!(ours.len(), theirs.len(), "{}", dump.display());
        assert_eq!(summary.keys, ours.len() as u64);
        assert_eq!(summary.bytes, dump.metadata().unwrap().len());
        compared += 1;
    }
    assert!(compared > 130, "only {compared} dumps");
}

/// A `Read` of few bytes at a time.
struct Few<'a>(&'a [u8], usize);

impl Read for Few<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let len = to.len().min(self.1);
        self.0.read(&mut to[..len])
    }
}

#[test]
fn chunks_make_no_difference_and_what_follows_the_dump_is_not_read_as_part_of_it() {
    let dump = std::fs::read(fixture("redis-8.0.rdb")).unwrap();
    let followed = [&dump[..], b"more"].concat();
    let whole = found(followed.as_slice()).unwrap();
    assert_eq!(whole.1.bytes, dump.len() as u64);
    for step in [1, 2, 7, 61] {
        assert_eq!(found(Few(&dump, step)).unwrap(), whole, "{step}");
    }
}

/// Whether a test wants a key: about half of them.
fn is_wanted(db: u64, name: &[u8]) -> bool {
    let sum = name
        .iter()
        .fold(db, |sum, byte| sum * 31 % 1009 + u64::from(*byte));
    sum.is_multiple_of(2)
}

/// The keys of a dump that `wants` accepts, read one by one, as lines.
fn one_by_one(
    mut keys: Keys<impl Read>,
    wants: impl Fn(u64, &[u8]) -> bool,
) -> Result<(String, Summary), Error> {
    let mut lines = String::new();
    while let Some(key) = keys.next_key_of(&wants)? {
        lines.push_str(&line(key).to_string());
        lines.push('\n');
    }
    assert!(keys.next_key()?.is_none(), "the end is the end");
    Ok((lines, keys.summary().unwrap()))
}

/// A visitor that wants some of the keys.
struct Half(String);

impl Visitor for Half {
    fn key(&mut self, key: Key<'_>) -> Result<(), BoxError> {
        self.0.push_str(&line(key).to_string());
        self.0.push('\n');
        Ok(())
    }

    fn wants(&mut self, db: u64, name: &[u8]) -> bool {
        is_wanted(db, name)
    }
}

#[test]
fn keys_one_by_one_are_the_same_and_unwanted_ones_are_passed_over_exactly() {
    let mut passed = 0;
    for (dump, _) in dumps() {
        let (lines, whole) = found(std::fs::File::open(&dump).unwrap()).unwrap();
        let all = one_by_one(Keys::open(&dump).unwrap(), |_, _| true).unwrap();
        assert_eq!(all, (lines.clone(), whole), "{}", dump.display());
        let is_half = |line: &&str| {
            let line: Json = serde_json::from_str(line).unwrap();
            let name: Vec<u8> = line["key"]
                .as_str()
                .unwrap()
                .chars()
                .map(|c| c as u8)
                .collect();
            is_wanted(line["db"].as_u64().unwrap(), &name)
        };
        let half: String = lines
            .lines()
            .filter(is_half)
            .map(|line| format!("{line}\n"))
            .collect();
        let (some, summary) = one_by_one(Keys::open(&dump).unwrap(), is_wanted).unwrap();
        assert_eq!(some, half, "{}", dump.display());
        assert_eq!(summary.bytes, whole.bytes);
        assert_eq!(summary.checksum, whole.checksum);
        let of =
            |summary: Summary| summary.keys + summary.keys_unwanted + summary.empty_keys_skipped;
        assert_eq!(of(summary), of(whole));
        let mut visitor = Half(String::new());
        assert_eq!(rdb::read_file(&dump, &mut visitor).unwrap(), summary);
        assert_eq!(visitor.0, half);
        passed += summary.keys_unwanted;
    }
    assert!(passed > 1000, "only {passed} keys");
}

#[test]
fn keys_one_by_one_end_with_the_first_error() {
    let dump = std::fs::read(fixture("redis-7.0.rdb")).unwrap();
    let mut keys = Keys::new(&dump[..dump.len() / 2]).unwrap();
    assert_eq!(keys.aux("redis-ver"), None, "nothing has been read yet");
    let error = loop {
        match keys.next_key() {
            Ok(key) => assert!(key.is_some(), "the dump is cut"),
            Err(error) => break error,
        }
    };
    assert!(error.is_truncated(), "{error}");
    assert!(keys.next_key().unwrap().is_none() && keys.summary().is_none());
    assert_eq!(keys.aux("redis-ver"), Some(&b"7.0.15"[..]));
    assert_eq!(keys.aux("none"), None);
    assert_eq!(
        Keys::new(&b"PING"[..]).unwrap_err().kind(),
        ErrorKind::Truncated
    );
    assert!(Keys::open("/nonexistent/dump.rdb").is_err());
}

/// A visitor that keeps lines, and ends with an error or a panic if it meets a key.
#[derive(Default)]
struct Lines {
    lines: String,
    refused: &'static str,
    feared: &'static str,
}

impl Visitor for Lines {
    fn key(&mut self, key: Key<'_>) -> Result<(), BoxError> {
        let is = |name: &str| !name.is_empty() && key.name == name.as_bytes();
        assert!(!is(self.feared), "a visitor's own panic");
        if is(self.refused) {
            return Err("enough".into());
        }
        self.lines.push_str(&line(key).to_string());
        self.lines.push('\n');
        Ok(())
    }
}

/// Feeds a dump in pieces of `step` bytes, until no more are wanted.
async fn pushed(dump: &[u8], step: usize, lines: Lines) -> (Lines, Result<Summary, Error>) {
    let mut push = Push::start(lines).unwrap();
    for piece in dump.chunks(step) {
        push.feed(Vec::new()).await.unwrap_or_default();
        if push.feed(piece.to_vec()).await == Err(PushEnded) {
            break;
        }
    }
    push.finish().await
}

#[test]
fn a_dump_that_is_pushed_in_pieces_is_read_like_a_whole_one() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let dump = std::fs::read(fixture("redis-8.0.rdb")).unwrap();
    let (lines, summary) = found(dump.as_slice()).unwrap();
    for step in [61, 4096, usize::MAX] {
        let (visitor, read) = runtime.block_on(pushed(&dump, step, Lines::default()));
        assert_eq!((visitor.lines, read.unwrap()), (lines.clone(), summary));
    }
    let cut = runtime.block_on(pushed(&dump[..dump.len() / 2], 4096, Lines::default()));
    assert!(cut.1.unwrap_err().is_truncated());
    let refusing = Lines {
        refused: "int:255",
        ..Lines::default()
    };
    let dump = std::fs::read(fixture("redis-7.0.rdb")).unwrap();
    let (_, stopped) = runtime.block_on(pushed(&dump, 100, refusing));
    assert_eq!(stopped.unwrap_err().kind(), ErrorKind::Visitor);
    let followed = dump.repeat(50);
    let (_, first) = runtime.block_on(pushed(&followed, 100, Lines::default()));
    assert_eq!(
        first.unwrap().bytes,
        dump.len() as u64,
        "what follows is not wanted"
    );
    assert!(PushEnded.to_string().contains("finish()"));
}

#[test]
#[should_panic(expected = "a visitor's own panic")]
fn a_panic_of_a_visitor_reaches_who_pushed() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let dump = std::fs::read(fixture("redis-7.0.rdb")).unwrap();
    let fearing = Lines {
        feared: "int:255",
        ..Lines::default()
    };
    drop(runtime.block_on(pushed(&dump, 100, fearing)));
}

/// Everything that a visitor can get, as text.
#[derive(Default)]
struct All(Vec<String>);

impl Visitor for All {
    fn key(&mut self, key: Key<'_>) -> Result<(), BoxError> {
        self.0.push(format!("{key:?} as {}", key.layout()));
        Ok(())
    }

    fn aux(&mut self, name: &[u8], value: &[u8]) -> Result<(), BoxError> {
        self.0.push(format!(
            "aux {} {}",
            name.escape_ascii(),
            value.escape_ascii()
        ));
        Ok(())
    }

    fn library(&mut self, code: &[u8]) -> Result<(), BoxError> {
        self.0.push(format!("library {}", code.escape_ascii()));
        Ok(())
    }

    fn module_data(&mut self, data: Module<'_>) -> Result<(), BoxError> {
        self.0.push(format!("module {data:?}"));
        Ok(())
    }
}

impl All {
    fn has(&self, part: &str) {
        assert!(
            self.0.iter().any(|text| text.contains(part)),
            "{part} in {:#?}",
            self.0
        );
    }
}

#[test]
fn a_visitor_gets_every_part_and_can_print_it() {
    let mut all = All::default();
    let visitor: &mut dyn Visitor = &mut NotSized(&mut all);
    let summary = rdb::read_file(fixture("redis-7.0.rdb"), visitor).unwrap();
    assert_eq!(
        summary.version,
        Version {
            magic: Magic::Redis,
            number: 10
        }
    );
    assert_eq!(summary.version.to_string(), "REDIS0010");
    assert!(matches!(summary.checksum, Checksum::Verified(sum) if sum != 0));
    assert_eq!((summary.empty_keys_skipped, summary.module_aux), (0, 0));
    all.has("aux redis-ver 7.0.15");
    all.has("library #!lua name=");
    all.has(r#"name: "int:255", expire_at_ms: None, idle_s: None, freq: None, encoding: "int", value: String(255)"#);
    all.has(r#"Hash([Field { name: 1, value: -1, expire_at_ms: None }, "#);
    all.has(r#"SortedSet([("Palermo", 3479099956230698.0), "#);
    all.has(" as stream-v2");
    let mut modules = All::default();
    let summary = rdb::read_file(fixture("corpus/redis-7.0-modules.rdb"), &mut modules);
    assert!(summary.unwrap().module_aux > 0);
    modules.has("module ");
}

/// Passes a dump on, through a trait object.
struct NotSized<'a>(&'a mut All);

impl Visitor for NotSized<'_> {
    fn key(&mut self, key: Key<'_>) -> Result<(), BoxError> {
        self.0.key(key)
    }

    fn aux(&mut self, name: &[u8], value: &[u8]) -> Result<(), BoxError> {
        self.0.aux(name, value)
    }

    fn library(&mut self, code: &[u8]) -> Result<(), BoxError> {
        self.0.library(code)
    }
}

/// A dump of version 12 of these keys, without a checksum.
fn dump_of(keys: &[u8]) -> Vec<u8> {
    [b"REDIS0012", keys, b"\xff\0\0\0\0\0\0\0\0"].concat()
}

#[test]
fn old_dumps_have_no_checksum_and_some_servers_write_none() {
    let checksum = |dump: &[u8]| found(dump).unwrap().1.checksum;
    assert_eq!(checksum(&dump_of(b"\x00\x01k\x01v")), Checksum::Disabled);
    assert_eq!(checksum(b"REDIS0003\x00\x01k\x01v\xff"), Checksum::Absent);
}

fn refusal(dump: &[u8]) -> Error {
    found(dump).map(|(lines, _)| lines).unwrap_err()
}

#[test]
fn an_error_says_where_in_what_and_why() {
    let cut = dump_of(b"\x00\x01k\x05val");
    let error = refusal(&cut[..cut.len() - 9]);
    assert_eq!(
        (error.kind(), error.offset(), error.is_truncated()),
        (ErrorKind::Truncated, 12, true)
    );
    assert_eq!(
        (error.key(), error.reading()),
        (Some(&b"k"[..]), "a string")
    );
    let cause = error.cause().to_string();
    assert!(
        cause.starts_with("the length is 5 bytes, but the input has only 3 left"),
        "{cause}"
    );
    assert_eq!(
        error.to_string(),
        format!("byte 12, reading a string of key \"k\" (type 0): {cause}")
    );
    assert!(format!("{error:?}").starts_with("Truncated: byte 12"));
    assert!(error.source().is_none());

    let mut wrong_sum = dump_of(b"\x00\x01k\x01v");
    *wrong_sum.last_mut().unwrap() = 1;
    let set_twice = dump_of(b"\x02\x01k\x02\x01a\x01a");
    let stream_twice = dump_of(b"\x15\x01k\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x01g\x00\x00\x00\x00\x00\x01g\x00\x00\x00\x00\x00");
    let cases: [(&[u8], ErrorKind, u64); 8] = [
        (b"*1\r\n$4\r\nPING\r\n", ErrorKind::NotRdb, 0),
        (b"REDIS0000", ErrorKind::NoSuchVersion, 0),
        (&dump_of(b"\x50\x01k"), ErrorKind::UnknownType, 9),
        (&dump_of(b"\xf6\x01a"), ErrorKind::OldFunctions, 9),
        (&dump_of(b"\x06\x01k\x01"), ErrorKind::OldModule, 12),
        (&wrong_sum, ErrorKind::Checksum, 15),
        (&set_twice, ErrorKind::Corrupt, 12),
        (&stream_twice, ErrorKind::Corrupt, 29),
    ];
    for (dump, kind, offset) in cases {
        let error = refusal(dump);
        assert_eq!((error.kind(), error.offset()), (kind, offset), "{error}");
        assert!(!error.is_truncated() && error.source().is_none(), "{error}");
    }
    let commands = [&b"VALKEY081\xf2*1\r\n$4\r\nPING\r\n\xff"[..], &[0; 8]].concat();
    assert_eq!(refusal(&commands).kind(), ErrorKind::Commands);
    let too_long = refusal(&dump_of(b"\x00\x01k\x81\x7f\xff\xff\xff\xff\xff\xff\xff"));
    assert!(
        matches!(too_long.kind(), ErrorKind::TooLong | ErrorKind::Truncated),
        "{too_long}"
    );
}

/// A `Read` that fails, and one that claims to have read more than it was asked for.
struct Wrong(fn(&mut [u8]) -> io::Result<usize>);

impl Read for Wrong {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.0(to)
    }
}

#[test]
fn errors_of_the_input_and_of_the_visitor_come_back_as_they_are() {
    let error = found(Wrong(|_| Err(io::ErrorKind::ConnectionReset.into()))).unwrap_err();
    assert_eq!((error.kind(), error.offset()), (ErrorKind::Io, 0));
    let cause = error.source().unwrap().downcast_ref::<io::Error>().unwrap();
    assert_eq!(cause.kind(), io::ErrorKind::ConnectionReset);
    let claims = found(Wrong(|to| Ok(to.len() + 1))).unwrap_err();
    assert_eq!(claims.kind(), ErrorKind::NotRdb);

    let missing = rdb::read_file("/nowhere/dump.rdb", &mut |_: Key<'_>| Ok(())).unwrap_err();
    assert_eq!(
        (missing.kind(), missing.reading()),
        (ErrorKind::Io, "the file")
    );
    assert!(missing.to_string().contains("No such file"), "{missing}");

    #[derive(Debug, thiserror::Error)]
    #[error("enough after {0}")]
    struct Enough(usize);
    let dump = dump_of(b"\x00\x01a\x01v\x00\x01b\x01v\x0e\x01c\x00");
    for stop in [1, 2] {
        let mut seen = 0;
        let error = rdb::read(dump.as_slice(), &mut |_: Key<'_>| {
            seen += 1;
            if seen == stop {
                Err(Enough(seen).into())
            } else {
                Ok(())
            }
        });
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Visitor);
        let own = error.source().unwrap().downcast_ref::<Enough>().unwrap();
        assert_eq!((own.0, seen), (stop, stop), "it was not called again");
        assert_eq!(error.key(), Some([&b"a"[..], b"b"][stop - 1]));
        assert!(
            error.to_string().ends_with(&format!("enough after {stop}")),
            "{error}"
        );
    }
}

#[test]
fn no_cut_and_no_changed_byte_panics_or_goes_unnoticed() {
    for name in ["redis-7.0-lru.rdb", "valkey-9.1-field-expiries.rdb"] {
        let good = std::fs::read(fixture(name)).unwrap();
        for at in 0..good.len() {
            let error = refusal(&good[..at]);
            assert!(
                error.is_truncated() && error.offset() <= at as u64,
                "{at}: {error}"
            );
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            let error = refusal(&bad);
            assert!(error.offset() <= bad.len() as u64, "{at}: {error}");
        }
    }
}

#[test]
fn a_modules_items_are_read_as_what_they_are() {
    let value = b"\x07\x01k\x81\xbd\xe7\x2d\xa2\xbb\x1e\xb4\x00\
        \x01\x81\xff\xff\xff\xff\xff\xff\xff\xfe\x02\x05\x03\0\0\xc0\x3f\x04\0\0\0\0\0\0\x04\xc0\x05\x02hi\0";
    let mut items = Vec::new();
    let read = rdb::read(dump_of(value).as_slice(), &mut |key: Key<'_>| {
        let Value::Module(module) = key.value else {
            panic!("{key:?}");
        };
        assert_eq!(
            (module.type_name(), module.version(), module.len()),
            ("vectorset".to_owned(), 0, 5)
        );
        items.extend(module.iter());
        Ok(())
    });
    assert_eq!(read.unwrap().keys, 1);
    let expected = [
        ModuleItem::Signed(-2),
        ModuleItem::Unsigned(5),
        ModuleItem::Float(1.5),
        ModuleItem::Double(-2.5),
        ModuleItem::Bytes(b"hi".to_vec()),
    ];
    assert_eq!(items, expected);
}

/// A dump of many hashes of 300 fields, produced while it is read.
struct Endless {
    hashes: u64,
    ready: io::Cursor<Vec<u8>>,
}

impl Endless {
    fn new(hashes: u64) -> Self {
        Self {
            hashes,
            ready: io::Cursor::new(b"REDIS0012".to_vec()),
        }
    }

    fn hash(number: u64) -> Vec<u8> {
        let mut hash = b"\x04\x08".to_vec();
        hash.extend(number.to_be_bytes());
        hash.extend(b"\x41\x2c");
        for field in 0..300 {
            hash.push(8);
            hash.extend(format!("f{field:07}").bytes());
            hash.extend(b"\x0avalue-of-a");
        }
        hash
    }
}

impl Read for Endless {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if self.ready.position() == self.ready.get_ref().len() as u64 {
            self.ready = io::Cursor::new(match self.hashes {
                0 => Vec::new(),
                1 => [Self::hash(1), b"\xff\0\0\0\0\0\0\0\0".to_vec()].concat(),
                number => Self::hash(number),
            });
            self.hashes = self.hashes.saturating_sub(1);
        }
        self.ready.read(to)
    }
}

#[test]
fn memory_does_not_grow_with_the_dump() {
    let reading = |hashes| {
        let mut fields = 0;
        let held = peak(|| {
            let counted = rdb::read(Endless::new(hashes), &mut |key: Key<'_>| {
                if let Value::Hash(hash) = key.value {
                    fields += hash.iter().count();
                }
                Ok(())
            });
            assert_eq!(counted.unwrap().keys, hashes);
        });
        assert_eq!(fields as u64, 300 * hashes);
        held
    };
    let (few, many) = (reading(20), reading(5000));
    assert!(
        many <= few + (64 << 10),
        "{many} bytes for a large dump, {few} for a small one"
    );
}

#[test]
fn ids_are_ordered_as_servers_order_them() {
    let id = StreamId::new(5, 1);
    assert!(StreamId::MIN < id && id < StreamId::new(5, 2) && id < StreamId::MAX);
    assert_eq!(StreamId::from_be_bytes(id.to_be_bytes()), id);
    assert_eq!((id.to_string(), id.ms, id.seq), ("5-1".to_owned(), 5, 1));
}

#[test]
fn a_copy_of_the_small_keys_is_a_dump_of_them_alone() {
    let dump = std::fs::read(fixture("valkey-9.1.rdb")).unwrap();
    let mut copier = Copier::new(Vec::new());
    let mut small = |key: &Key<'_>| key.file_bytes < 60;
    copier.append(&dump[..], &mut small).unwrap();
    let keys = copier.keys();
    let copy = copier.finish().unwrap();
    let mut seen = 0;
    let each = &mut |key: Key<'_>| {
        assert!(key.file_bytes < 60 && key.value.elements() < 60);
        let servers = [ServerKind::Redis7, ServerKind::Redis8, ServerKind::Valkey9];
        let servers = servers.map(|kind| key.server_bytes(kind));
        assert!(key.held_bytes() > 0 && servers.iter().all(|bytes| *bytes > 16));
        seen += 1;
        Ok(())
    };
    rdb::read(&copy[..], each).unwrap();
    assert!(keys > 10 && seen == keys);
}

#[test]
fn copying_needs_no_memory_for_the_dump() {
    let copying = |hashes| {
        peak(|| {
            let mut copier = Copier::new(io::sink());
            copier.append(Endless::new(hashes), &mut |_| true).unwrap();
            assert_eq!(copier.keys(), hashes);
        })
    };
    let (few, many) = (copying(20), copying(5000));
    assert!(
        many <= few + (64 << 10),
        "{many} bytes for a large dump, {few} for a small one"
    );
}

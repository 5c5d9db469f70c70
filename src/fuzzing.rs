//! The bodies of the fuzz targets. Each takes arbitrary bytes and panics when a promise is broken.
//!
//! The targets in `tests/fuzz` and the tests in `tests/it` call them, and also measure how much a body allocates. Nothing else
//! may use them.

use crate::dump::{self, Item, Key, Keys, Magic, Value, WriteError, Writer};
use crate::rdb::{
    crc64,
    decode::{Sink, Summary, decode},
    dump::{Sums, decode_payload, encode_payload},
    encode::Layouts,
    error::{Error, SinkError},
    intset::Intset,
    listpack::Listpack,
    lzf,
    object::{Meta, Object},
    reader::Reader,
    source::Source,
    version::Version,
};
use crate::resp::{RequestLimits, RequestParser, Step};
use crate::store::{Entry, NewValue};
use crate::value::Thresholds;
use bytes::Bytes;
use redis_protocol::resp2::{decode::decode as decode_frame, types::OwnedFrame};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

pub use crate::replica::fuzzing::{state, stream};

/// A whole dump. It must decode the same in one chunk and in small ones, and an error must name a place inside it.
pub fn dump(bytes: &[u8]) {
    let whole = load(bytes, bytes.len());
    // Small enough to cut through every kind of item somewhere.
    let pieces = load(bytes, 1 + bytes.len() % 61);
    assert_eq!(whole, pieces, "chunks make a difference");
    let read = dump::read(bytes, &mut |key: Key<'_>| {
        walk(&key.value);
        Ok(())
    });
    let one_by_one = keys(bytes, true);
    assert_eq!(
        one_by_one.as_ref().ok(),
        read.as_ref().ok(),
        "a slower reader reads the same"
    );
    if let Ok(summary) = &read {
        let passed = keys(bytes, false).map(|passed| passed.bytes);
        assert_eq!(
            passed.ok(),
            Some(summary.bytes),
            "what is passed over is as long"
        );
    }
    if let Err(error) = read {
        let offset = usize::try_from(error.offset()).unwrap_or(usize::MAX);
        assert!(offset <= bytes.len(), "{error} is past the end");
    }
    check_rewriting(bytes);
}

/// What can be read of a dump must read the same after it is written in the newest version of its family.
fn check_rewriting(bytes: &[u8]) {
    let magic = match bytes.first() {
        Some(b'V') => Magic::Valkey,
        _ => Magic::Redis,
    };
    let number = match magic {
        Magic::Redis => Version::NEWEST.number,
        Magic::Valkey => 80,
    };
    let Ok(mut writer) = Writer::with_version(Vec::new(), Version { magic, number }) else {
        unreachable!("every version up to the newest is written")
    };
    let mut written = Vec::new();
    let mut keys = Keys::new(bytes);
    while let Ok(Some(key)) = keys.as_mut().map_or(Ok(None), Keys::next_key) {
        match writer.copy(&key) {
            Ok(()) => written.push(digest(&key)),
            // No server writes a key or a field that expired before 1970, and old ones write empty collections.
            // New ones refuse counters of streams that old ones wrote.
            Err(WriteError::Expiry(_) | WriteError::Empty | WriteError::Stream(_)) => {}
            Err(error) => panic!("{error}: {key:?}"),
        }
    }
    let Ok(copy) = writer.finish() else {
        unreachable!("no error was in the middle of a key")
    };
    let mut read = Vec::new();
    let result = dump::read(&copy[..], &mut |key: Key<'_>| {
        read.push(digest(&key));
        Ok(())
    });
    assert!(result.is_ok(), "{result:?}: {}", copy.escape_ascii());
    assert_eq!(read, written, "{}", copy.escape_ascii());
}

/// A number for everything about a key that clients see.
fn digest(key: &Key<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    (key.db, key.name, key.expire_at_ms, key.idle_s, key.freq).hash(&mut hasher);
    key.value.kind().hash(&mut hasher);
    let mut put = |item: Item<'_>| item.to_bytes().hash(&mut hasher);
    match &key.value {
        Value::String(text) => put(*text),
        Value::List(list) => list.iter().for_each(put),
        Value::Set(set) => set.iter().for_each(put),
        Value::Hash(hash) => hash.iter().for_each(|field| {
            put(field.name);
            put(field.value);
            put(Item::Integer(field.expire_at_ms.unwrap_or(-1)));
        }),
        Value::SortedSet(set) => set.iter().for_each(|(member, score)| {
            put(member);
            put(Item::Integer(score.to_bits().cast_signed()));
        }),
        Value::Stream(stream) => digest_stream(stream, &mut hasher),
        other => format!("{other:?}").hash(&mut hasher),
    }
    hasher.finish()
}

/// Puts in everything but the times at which consumers were active, which not all layouts have.
fn digest_stream(stream: &dump::Stream<'_>, hasher: &mut DefaultHasher) {
    (stream.len(), stream.last_id()).hash(hasher);
    for entry in stream.iter() {
        entry.id().hash(hasher);
        for (field, value) in entry.iter() {
            [field, value].map(|item| item.to_bytes()).hash(hasher);
        }
    }
    for group in stream.groups() {
        (group.name(), group.last_id(), group.released()).hash(hasher);
        for one in group.pending() {
            (one.id, one.consumer, one.delivered_at_ms, one.deliveries).hash(hasher);
        }
        for one in group.consumers() {
            (one.name, one.pending, one.seen_at_ms).hash(hasher);
        }
    }
}

/// Reads a dump key by key, or passes over all of them.
fn keys(bytes: &[u8], wants: bool) -> Result<Summary, dump::Error> {
    let mut keys = Keys::new(bytes)?;
    while let Some(key) = keys.next_key_of(|_, _| wants)? {
        walk(&key.value);
    }
    Ok(keys
        .summary()
        .unwrap_or_else(|| unreachable!("it was read to its end")))
}

/// Walks over everything in a value. It must have as many elements as it says.
fn walk(value: &Value<'_>) {
    let (stated, found) = match value {
        Value::String(text) => (text.len(), text.to_bytes().len()),
        Value::List(list) => (list.len(), list.iter().count()),
        Value::Set(set) => (set.len(), set.iter().count()),
        Value::Hash(hash) => (hash.len(), hash.iter().count()),
        Value::SortedSet(set) => (
            set.len(),
            set.iter().filter(|(_, score)| !score.is_nan()).count(),
        ),
        Value::Stream(stream) => {
            let pending = stream.groups().map(|group| group.pending().count());
            let owned = stream.groups().flat_map(|group| group.consumers());
            let owned: usize = owned.map(|consumer| consumer.pending).sum();
            let released: usize = stream.groups().map(|group| group.released().len()).sum();
            (pending.sum(), owned + released)
        }
        Value::Array(array) => (array.len(), array.iter().count()),
        Value::Module(module) => (module.len(), module.iter().count()),
    };
    assert_eq!(stated, found, "{value:?}");
}

fn load(bytes: &[u8], step: usize) -> Result<Summary, String> {
    let rest = Bytes::copy_from_slice(bytes);
    let mut reader = Reader::new(Pieces { rest, step });
    let mut values = Values {
        version: Version::of_payload(0),
        thresholds: Thresholds::default(),
    };
    let decoded = decode(&mut reader, &mut values);
    decoded.map_err(|error| within(&error, bytes.len()))
}

/// Returns the error's text. Its offset must be inside the input.
fn within(error: &Error, len: usize) -> String {
    let offset = usize::try_from(error.offset()).unwrap_or(usize::MAX);
    assert!(offset <= len, "{error} is past {len} bytes");
    error.to_string()
}

/// A source that returns its bytes in chunks of one size.
struct Pieces {
    rest: Bytes,
    step: usize,
}

impl Source for Pieces {
    fn next_chunk(&mut self) -> std::io::Result<Bytes> {
        let step = self.step.min(self.rest.len());
        Ok(self.rest.split_to(step))
    }
}

/// Builds values from what is decoded, and payloads from the values.
struct Values {
    version: Version,
    thresholds: Thresholds,
}

impl Sink for Values {
    fn version(&mut self, version: Version) -> Result<(), SinkError> {
        self.version = version;
        Ok(())
    }

    fn key(&mut self, _: u64, _: &[u8], _: Meta, object: Object<'_>) -> Result<(), SinkError> {
        let is_empty = object.is_empty_collection();
        let entry = entry(object, &self.thresholds).map_err(SinkError::new)?;
        if !is_empty {
            check_round_trip(&entry, self.version, &self.thresholds);
        }
        Ok(())
    }
}

fn entry(object: Object<'_>, thresholds: &Thresholds) -> Result<Entry, crate::value::Error> {
    NewValue::from_rdb(object, thresholds).map(|value| Entry::new(b"key", None, value))
}

/// Checks that a value that is kept can be written in every version and read again as a value that is written the same way. The
/// first reading may have another form, because an older version has fewer forms. Tables may come in another order, so only
/// lengths are compared. Empty collections are not checked, because only the versions before 10 have them.
///
/// Hashes whose fields expire have no layout before version 12, and Valkey's may expire later than Redis's can. So they are
/// written only for the family that they came from, `own`.
fn check_round_trip(kept: &Entry, own: Version, thresholds: &Thresholds) {
    for version in [9, 12, 14, 80].map(Version::of_payload) {
        let kind = kept.value().value_type(Layouts::of(version)).number();
        let is_foreign = version.number == 9 || version.magic != own.magic;
        if kind > STREAM && is_foreign {
            continue;
        }
        let Ok(once) = encoded(kept, version) else {
            continue;
        };
        let twice = again(&once, version, thresholds);
        let thrice = again(&twice, version, thresholds);
        let alike = twice.len() == thrice.len();
        assert!(
            alike,
            "{} for {}",
            thrice.escape_ascii(),
            twice.escape_ascii()
        );
    }
}

/// Reads a payload of ours and returns the payload of the result.
fn again(payload: &[u8], version: Version, thresholds: &Thresholds) -> Vec<u8> {
    let read = decode_payload(payload, Sums::Optional, |object, _| {
        entry(object, thresholds).map(|entry| encoded(&entry, version))
    });
    match read {
        Ok(Ok(written)) => written.unwrap_or_default(),
        Ok(Err(error)) => panic!("{error} in {}", payload.escape_ascii()),
        Err(error) => panic!("{error} in {}", payload.escape_ascii()),
    }
}

fn encoded(entry: &Entry, version: Version) -> std::io::Result<Vec<u8>> {
    let value = entry.value();
    let kind = value.value_type(Layouts::of(version));
    encode_payload(version, b"", kind, |writer| value.encode(writer))
}

/// A DUMP payload. Checks the bytes as they are. Then checks the bytes after the first as type and value with a valid footer,
/// whose version the first byte chooses.
pub fn payload(bytes: &[u8]) {
    restore(bytes);
    if let Some((version, value)) = bytes.split_first() {
        let version = match version % 4 {
            0 => 12,
            1 => 15,
            2 => 14,
            _ => 80,
        };
        restore(&sealed(value, version));
    }
}

/// Returns a value with the footer of a payload.
fn sealed(value: &[u8], version: u16) -> Vec<u8> {
    let summed = [value, &version.to_le_bytes()].concat();
    let sum = crc64::update(0, &summed).to_le_bytes();
    [summed.as_slice(), &sum].concat()
}

fn restore(payload: &[u8]) {
    let thresholds = Thresholds::default();
    let kept = decode_payload(payload, Sums::Optional, |object, _| {
        let is_empty = object.is_empty_collection();
        entry(object, &thresholds).map(|entry| (!is_empty).then_some(entry))
    });
    match kept {
        Ok(Ok(Some(kept))) => check_round_trip(&kept, version_of(payload), &thresholds),
        // Pieces that form no value, and values that only old versions can hold.
        Ok(Err(_) | Ok(None)) => {}
        Err(error) => drop(within(&error, payload.len())),
    }
}

/// Returns the version in a payload's footer.
fn version_of(payload: &[u8]) -> Version {
    let footer = payload.last_chunk::<10>().copied().unwrap_or_default();
    let [low, high, ..] = footer;
    Version::of_payload(u16::from_le_bytes([low, high]))
}

/// Checks the bytes after the first as one of the packed layouts. The first byte chooses which.
pub fn packed(bytes: &[u8]) {
    let Some((choice, blob)) = bytes.split_first() else {
        return;
    };
    match choice % 16 {
        0 => listpack(blob),
        1 => intset(blob),
        2 => compressed(blob),
        3 => payload(&[&[0, STREAM], stream_of(blob).as_slice()].concat()),
        15 => payload(&[&[2, STREAM_5], [0; 9].as_slice(), blob].concat()),
        other => {
            let number = PACKED_TYPES.get(usize::from(other)).unwrap_or(&16);
            // Type 25 has an expiry before its blob, type 18 a count and a kind, type 14 a count.
            let before: &[u8] = match number {
                25 => &[0; 8],
                18 => &[1, 2],
                14 => &[1],
                _ => &[],
            };
            payload(&[&[0, *number], before, &string(blob)].concat());
        }
    }
}

/// The types whose value is a packed blob.
const PACKED_TYPES: [u8; 14] = [0, 0, 0, 0, 9, 10, 11, 12, 13, 14, 16, 17, 18, 20];
const STREAM: u8 = 21;
/// The newest layout of streams. After nine zeros, which are an empty stream, come the groups and the producers.
const STREAM_5: u8 = 27;

/// Returns a string as an RDB holds it.
fn string(bytes: &[u8]) -> Vec<u8> {
    let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    [&[0x80], len.to_be_bytes().as_slice(), bytes].concat()
}

/// Returns a stream of one node. Its length is the one that the node states.
fn stream_of(node: &[u8]) -> Vec<u8> {
    let packed = Listpack::validate(node.to_vec()).unwrap_or_default();
    let live = packed.get(0).and_then(|item| item.as_int()).unwrap_or(0);
    let live = u32::try_from(live).unwrap_or(0);
    let mut out = [&[1, 16], [0; 16].as_slice(), &string(node), &[0x80]].concat();
    out.extend(live.to_be_bytes());
    // The last id is the largest there is; the first, the largest deleted, entries added and groups are zero.
    out.extend([[0x81].as_slice(), &[0xff; 8], &[0x81], &[0xff; 8], &[0; 6]].concat());
    out
}

/// A valid listpack must read the same from both ends, and it must be possible to write it again.
fn listpack(blob: &[u8]) {
    let Ok(packed) = Listpack::validate(blob.to_vec()) else {
        return;
    };
    let count = packed.iter().count();
    assert_eq!(packed.len(), count);
    let mut backward: Vec<_> = packed.iter().rev().collect();
    backward.reverse();
    assert!(packed.iter().eq(backward));
    let mut copy = Listpack::new();
    packed.iter().for_each(|item| copy.push_item(item));
    assert!(copy.iter().eq(packed.iter()));
    assert!(Listpack::validate(copy.as_bytes().to_vec()).is_ok());
    edit(packed, count);
}

/// A listpack must stay valid when it is changed at any place.
fn edit(mut packed: Listpack, count: usize) {
    packed.insert(count / 2, b"inserted");
    packed.replace(count / 3, b"-129");
    packed.remove(count / 4, 2);
    assert!(Listpack::validate(packed.as_bytes().to_vec()).is_ok());
}

/// A valid intset must ascend, and every member must be found.
fn intset(blob: &[u8]) {
    let Ok(set) = Intset::validate(blob.to_vec()) else {
        return;
    };
    assert!(set.iter().is_sorted_by(|one, next| one < next));
    assert!(set.iter().take(100).all(|member| set.contains(member)));
}

/// The first two bytes are the length. An independent decompressor must agree.
fn compressed(bytes: &[u8]) {
    let Some((len, input)) = bytes.split_first_chunk::<2>() else {
        return;
    };
    let len = usize::from(u16::from_le_bytes(*len));
    // The other decompressor never returns empty output.
    if len == 0 {
        return;
    }
    let mut ours = Vec::new();
    let ours = lzf::decompress(input, len, &mut ours).map(|()| ours);
    let theirs = ::lzf::decompress(input, len).ok();
    assert_eq!(ours, theirs.filter(|output| output.len() == len));
}

/// A client's requests. They must be the same in one piece and in small ones, and those that are arrays must be what
/// `redis-protocol` reads.
pub fn request(bytes: &[u8]) {
    let whole = requests(bytes, bytes.len());
    let pieces = requests(bytes, 1 + bytes.len() % 17);
    assert_eq!(whole, pieces, "pieces make a difference");
}

/// Returns the words of the requests, and the error at the end if there is one.
fn requests(bytes: &[u8], step: usize) -> (Vec<Vec<Vec<u8>>>, Option<String>) {
    let mut parser = RequestParser::new(REQUEST_LIMITS);
    let (mut found, mut start, mut end) = (Vec::new(), 0, 0);
    while end < bytes.len() {
        end = bytes.len().min(end + step);
        loop {
            let buffer = bytes.get(start..end).unwrap_or_default();
            match parser.step(buffer) {
                Ok(Step::NeedMore) => break,
                Err(error) => return (found, Some(error.to_string())),
                Ok(Step::Command(args, taken)) => {
                    let words: Vec<_> = args.iter().map(<[u8]>::to_vec).collect();
                    assert!((1..=buffer.len()).contains(&taken));
                    check_frame(buffer.get(..taken).unwrap_or_default(), &words);
                    found.push(words);
                    start += taken;
                }
            }
        }
    }
    (found, None)
}

/// Redis accepts any two bytes as the line end after a word, and so does redtail. So only requests in the usual form are
/// compared.
fn check_frame(frame: &[u8], words: &[Vec<u8>]) {
    if words.is_empty() || frame != usual_form(words) {
        return;
    }
    let words = words.iter().cloned().map(OwnedFrame::BulkString).collect();
    let read = decode_frame(frame).ok().flatten();
    assert_eq!(read, Some((OwnedFrame::Array(words), frame.len())));
}

fn usual_form(words: &[Vec<u8>]) -> Vec<u8> {
    let mut form = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        let length = format!("${}\r\n", word.len()).into_bytes();
        form.extend([length.as_slice(), word, b"\r\n"].concat());
    }
    form
}

const REQUEST_LIMITS: RequestLimits = RequestLimits {
    words_max: 1 << 20,
    word_bytes_max: 512 << 20,
    inline: true,
};

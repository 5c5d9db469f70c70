//! The benches' data: keys, commands as a stream holds them, filled keyspaces, dumps.

use std::sync::Arc;

use bytes::Bytes;
use redtail::internal::command::{self, Command};
use redtail::internal::dialect::Dialect;
use redtail::internal::rdb::encode::Writer;
use redtail::internal::rdb::object::Meta;
use redtail::internal::rdb::version::Version;
use redtail::internal::replica::fuzzing::applying;
use redtail::internal::resp::{ArgsBuf, Protocol, Reply};
use redtail::internal::store::Generation;

/// The server whose wording and encodings the benches use.
pub(crate) const DIALECT: Dialect = Dialect::redis(8, 0, 0);

/// An expiry time that no run reaches, in Unix milliseconds: the year 2100.
pub(crate) const FAR_MS: &str = "4102444800000";

/// The key with that number, 20 bytes long.
pub(crate) fn key(number: usize) -> [u8; 20] {
    let mut key = *b"key:0000000000000000";
    let mut rest = number;
    for digit in key.iter_mut().rev().take(16) {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    key
}

/// A compressible text of `bytes` bytes.
pub(crate) fn value(bytes: usize) -> Vec<u8> {
    let text = b"the value of a key, as text: ";
    text.iter().copied().cycle().take(bytes).collect()
}

/// The element with the number `at`: 16 bytes.
pub(crate) fn element(at: usize) -> String {
    format!("element:{at:08}")
}

/// A sequence of numbers that no prefetcher predicts.
pub(crate) fn scattered(step: usize) -> usize {
    step.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20
}

/// Appends a command as a stream or a request holds it.
pub(crate) fn push<W: AsRef<[u8]>>(out: &mut Vec<u8>, words: &[W]) {
    out.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        let word = word.as_ref();
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

/// A single command.
pub(crate) fn request<W: AsRef<[u8]>>(words: &[W]) -> Vec<u8> {
    let mut out = Vec::new();
    push(&mut out, words);
    out
}

/// The words of a line.
pub(crate) fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

/// An empty generation.
pub(crate) fn empty() -> Arc<Generation> {
    Arc::new(Generation::new(16, DIALECT, Arc::default()))
}

/// The generation that the commands in `stream` produce. None of them may fail.
pub(crate) fn made_by(stream: &[u8]) -> Arc<Generation> {
    let generation = empty();
    applying(&generation, |apply| apply(stream));
    assert_sound(&generation);
    generation
}

/// `keys` strings of `value_bytes` bytes; each has an expiry time if `expiring`.
pub(crate) fn strings(keys: usize, value_bytes: usize, expiring: bool) -> Arc<Generation> {
    let (generation, value) = (empty(), value(value_bytes));
    let mut one = Vec::new();
    applying(&generation, |apply| {
        for number in 0..keys {
            one.clear();
            push_set(&mut one, &key(number), &value, expiring);
            apply(&one);
        }
    });
    assert_eq!(len(&generation), keys);
    generation
}

/// Appends a SET as a primary sends it.
pub(crate) fn push_set(out: &mut Vec<u8>, key: &[u8], value: &[u8], expiring: bool) {
    if expiring {
        push(out, &[b"SET", key, value, b"PXAT", FAR_MS.as_bytes()]);
    } else {
        push(out, &[b"SET", key, value]);
    }
}

/// The number of keys in database 0.
pub(crate) fn len(generation: &Generation) -> usize {
    generation.spaces.db(0).map_or(0, |db| db.len())
}

/// Asserts that no command has failed.
pub(crate) fn assert_sound(generation: &Generation) {
    assert!(!generation.spaces.taints().any(), "a command failed");
}

/// A command that runs repeatedly, without a connection.
pub(crate) struct Asker {
    generation: Arc<Generation>,
    row: &'static Command,
    args: ArgsBuf,
    reply: Reply,
}

impl Asker {
    /// Prepares to ask `generation` the command in `words`, in RESP3.
    pub(crate) fn new<W: AsRef<[u8]>>(generation: &Arc<Generation>, words: &[W]) -> Self {
        let args = ArgsBuf::new(words);
        Self {
            generation: Arc::clone(generation),
            row: command::resolve(args.as_args()).unwrap(),
            args,
            reply: Reply::new(Protocol::Resp3, DIALECT, usize::MAX),
        }
    }

    /// Runs the command once and returns the reply.
    pub(crate) fn ask(&mut self) -> &[u8] {
        self.reply.clear(usize::MAX);
        let spaces = &self.generation.spaces;
        let read = self.row.read.unwrap();
        command::read(
            read,
            self.row,
            spaces,
            0,
            self.args.as_args(),
            &mut self.reply,
        )
        .unwrap();
        self.reply.as_bytes()
    }
}

/// Dumps the keys with the numbers below `keys` of `generation`, in the order of their numbers, with the layouts of RDB version
/// `version`, and with LZF if `compressed`.
///
/// Keys in the order of the shards would load faster than keys in any other server's order.
pub(crate) fn dump(generation: &Generation, keys: usize, version: u16, compressed: bool) -> Bytes {
    let writer = Writer::new(Vec::new(), Version::of_payload(version));
    let mut writer = if compressed {
        writer
    } else {
        writer.uncompressed()
    };
    let view = generation.spaces.view_db(0);
    let expires = view.db().unwrap().expires();
    writer.header().unwrap();
    let (name, of_server) = DIALECT.aux();
    writer.aux(name, of_server.as_bytes()).unwrap();
    writer.database(0, keys as u64, expires as u64).unwrap();
    for number in 0..keys {
        let entry = view.entry_at_any_time(&key(number)).unwrap();
        let (value, meta) = (
            entry.value(),
            Meta {
                expire_at_ms: entry.expire_at_ms(),
                ..Meta::default()
            },
        );
        let kind = value.value_type(writer.layouts());
        writer.key(entry.key(), meta, kind).unwrap();
        value.encode(&mut writer).unwrap();
    }
    Bytes::from(writer.end().unwrap())
}

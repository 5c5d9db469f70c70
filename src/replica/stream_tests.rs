//! Tests of applying the stream.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use std::sync::Arc;

use super::*;
use crate::command::Error;
use crate::dialect::Dialect;
use crate::resp::{ArgsBuf, Protocol, Reply};
use crate::store::{Tainted, WriteToken, unix_ms};

pub(super) struct Bench {
    pub(super) generation: Arc<Generation>,
    pub(super) progress: ProgressWriter,
    pub(super) figures: StreamFigures,
}

impl Bench {
    pub(super) fn new() -> Self {
        let generation = Generation::new(4, Dialect::default(), Arc::default());
        Self {
            generation: Arc::new(generation),
            progress: ProgressWriter::default(),
            figures: StreamFigures::default(),
        }
    }

    pub(super) fn applier(&self, offset: u64) -> Applier<'_> {
        let position = Position {
            offset,
            db: 0,
            generation: Arc::clone(&self.generation),
        };
        Applier::new(
            position,
            WriteToken::for_tests(),
            &self.progress,
            &self.figures,
        )
    }

    /// What a client of database `db` reads.
    pub(super) fn read(&self, db: usize, line: &str) -> Result<String, Error> {
        let words = ArgsBuf::new(line.split(' '));
        let row = command::resolve(words.as_args()).unwrap();
        let mut reply = Reply::new(Protocol::Resp2, Dialect::default(), usize::MAX);
        command::read(
            row.read.unwrap(),
            row,
            &self.generation.spaces,
            db,
            words.as_args(),
            &mut reply,
        )?;
        Ok(String::from_utf8(reply.as_bytes().to_vec())
            .unwrap()
            .trim()
            .replace("\r\n", " "))
    }

    fn is_tainted(&self, line: &str) -> bool {
        matches!(self.read(0, line), Err(Error::Tainted(_)))
    }
}

pub(super) fn encode(line: &str) -> Vec<u8> {
    let words: Vec<&str> = line.split(' ').collect();
    let mut out = format!("*{}\r\n", words.len());
    for word in words {
        out.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    out.into_bytes()
}

pub(super) fn stream(lines: &[&str]) -> Vec<u8> {
    lines.iter().flat_map(|line| encode(line)).collect()
}

#[test]
fn the_offset_counts_every_byte_and_stands_at_whole_units() {
    let lines = [
        "PING", "SELECT 1", "SET a 1", "MULTI", "SET a 2", "SELECT 2", "SET b 3", "EXEC", "SET c 4",
    ];
    let bytes = stream(&lines);
    let in_multi = stream(&lines[..3]).len()..stream(&lines[..8]).len();
    for cut in 0..=bytes.len() {
        let bench = Bench::new();
        let mut applier = bench.applier(100);
        applier.feed(&bytes[..cut]).unwrap();
        let position = applier.into_position();
        let offset = usize::try_from(position.offset).unwrap() - 100;
        assert!(
            offset <= cut && !(in_multi.start + 1..in_multi.end).contains(&offset),
            "cut {cut}, offset {offset}"
        );
        assert_eq!(bench.progress.applied().max(100), position.offset);
        // Resumed from there, nothing is lost and nothing applied twice, whatever the database was.
        let mut applier = Applier::new(
            position,
            WriteToken::for_tests(),
            &bench.progress,
            &bench.figures,
        );
        applier.feed(&bytes[offset..]).unwrap();
        assert_eq!(applier.into_position().offset, 100 + bytes.len() as u64);
        assert_eq!(bench.read(1, "GET a").unwrap(), "$1 2");
        assert_eq!(bench.read(2, "MGET b c").unwrap(), "*2 $1 3 $1 4");
        assert_eq!(bench.read(0, "DBSIZE").unwrap(), ":0");
    }
}

#[test]
fn a_write_that_cannot_be_applied_taints_its_key_and_no_other() {
    let bench = Bench::new();
    bench
        .applier(0)
        .feed(&stream(&[
            "SET plain 1",
            "VADD visits VALUES 1 none a",
            "RENAME visits moved",
        ]))
        .unwrap();
    assert!(
        bench.is_tainted("GET visits")
            && bench.is_tainted("GET moved")
            && bench.is_tainted("MGET plain visits")
    );
    assert_eq!(bench.read(0, "GET plain").unwrap(), "$1 1");
    assert_eq!(bench.read(1, "GET visits").unwrap(), "$-1");
}

#[test]
fn a_tainted_key_that_surely_exists_is_counted_and_a_deleted_one_is_known_again() {
    let bench = Bench::new();
    bench
        .applier(0)
        .feed(&stream(&["SET plain 1", "VADD visits VALUES 1 none a"]))
        .unwrap();
    assert_eq!(bench.read(0, "DBSIZE").unwrap(), ":2");
    assert!(bench.is_tainted("EXISTS visits"));
    bench.applier(0).feed(&stream(&["DEL visits"])).unwrap();
    assert_eq!(bench.read(0, "DBSIZE").unwrap(), ":1");
    assert_eq!(bench.read(0, "EXISTS visits").unwrap(), ":0");
    bench
        .applier(0)
        .feed(&stream(&["SORT plain STORE sorted"]))
        .unwrap();
    assert!(bench.is_tainted("DBSIZE") && bench.is_tainted("KEYS *") && bench.is_tainted("SCAN 0"));
}

#[test]
fn a_taint_follows_its_database_when_it_changes_places() {
    let bench = Bench::new();
    bench
        .applier(0)
        .feed(&stream(&["VADD p VALUES 1 none x", "SWAPDB 0 1"]))
        .unwrap();
    assert!(matches!(bench.read(1, "GET p"), Err(Error::Tainted(_))));
    assert_eq!(bench.read(0, "GET p").unwrap(), "$-1");
}

#[test]
fn a_count_refreshed_inside_something_else_taints_its_key() {
    let bench = Bench::new();
    bench
        .applier(0)
        .feed(&stream(&["SET p x", "SET q x", "PFCOUNT p"]))
        .unwrap();
    assert!(bench.is_tainted("GET p"));
    assert_eq!(bench.read(0, "GET q").unwrap(), "$1 x");
}

#[test]
fn a_command_that_is_not_known_taints_everything() {
    let bench = Bench::new();
    bench
        .applier(0)
        .feed(&stream(&["SET a 1", "NOSUCH.WRITE a"]))
        .unwrap();
    assert!(bench.is_tainted("GET a") && bench.is_tainted("DBSIZE"));
}

#[test]
fn a_known_modules_write_taints_its_keys_and_a_new_series_everything() {
    let bench = Bench::new();
    let mut applier = bench.applier(0);
    let words = ["SET a 1", "SET s 1", "bf.add b x", "FT.CREATE index"];
    applier.feed(&stream(&words)).unwrap();
    assert_eq!(bench.read(0, "GET a").unwrap(), "$1 1");
    assert_eq!(bench.read(0, "DBSIZE").unwrap(), ":3");
    assert!(bench.is_tainted("TYPE b"));
    // It exists, so it creates no others; neither does the next write, which finds it tainted.
    let words = ["TS.ADD s 1 1", "TS.ADD s 2 2"];
    applier.feed(&stream(&words)).unwrap();
    assert!(bench.is_tainted("GET s") && !bench.is_tainted("GET a"));
    applier.feed(&stream(&["DEL s", "TS.ADD s 1 1"])).unwrap();
    assert!(bench.is_tainted("GET a"));
}

#[test]
fn what_is_no_stream_is_refused_with_its_offset() {
    let cases: &[(&[u8], &str)] = &[
        (
            b"PING\r\n",
            "the stream at offset 36 is not a command: expected '*', got 'P'",
        ),
        (
            b"*1\r\n$-1\r\n",
            "the stream at offset 36 is not a command: invalid bulk length",
        ),
        (
            b"*2\r\n$6\r\nSELECT\r\n$4\r\n1024\r\n",
            "the primary uses database 1024; allow it with --databases 1025 or more",
        ),
    ];
    for (bytes, text) in cases {
        let bench = Bench::new();
        let mut applier = bench.applier(9);
        let error = applier
            .feed(&[&encode("SET a 1"), *bytes].concat())
            .unwrap_err();
        assert_eq!(error.to_string(), *text);
        assert_eq!(applier.into_position().offset, 36);
    }
}

#[test]
fn a_transaction_that_is_wrapped_twice_or_not_begun_is_applied_all_the_same() {
    let bench = Bench::new();
    let mut applier = bench.applier(0);
    let words = ["EXEC", "SET a 1", "MULTI", "SET b 1", "MULTI", "SET c 1"];
    applier.feed(&stream(&words)).unwrap();
    assert_eq!(bench.read(0, "EXISTS a b c").unwrap(), ":1");
    applier.feed(&stream(&["EXEC", "EXEC", "SET d 1"])).unwrap();
    assert_eq!(bench.read(0, "EXISTS a b c d").unwrap(), ":4");
}

/// What `bytes` of a `dialect`'s stream make of an empty generation: whether the keys a, b and c exist, and what was
/// passed over.
fn followed(dialect: Dialect, bytes: &[u8]) -> ([bool; 3], String) {
    let mut bench = Bench::new();
    let tuning = crate::store::Tuning::default().ignoring(&["my.audit".to_owned()]);
    let generation = Generation::new(4, dialect, Arc::new(tuning));
    bench.generation = Arc::new(generation);
    let mut applier = bench.applier(0);
    applier.feed(bytes).unwrap();
    assert_eq!(applier.into_position().offset, bytes.len() as u64);
    assert!(!bench.generation.spaces.taints().any());
    let there = |key| bench.read(0, &format!("EXISTS {key}")).unwrap() == ":1";
    let counts = bench.figures.passed.counts().into_iter();
    let names: Vec<_> = counts
        .map(|(name, count)| format!("{name}={count}"))
        .collect();
    (["a", "b", "c"].map(there), names.join(","))
}

#[test]
fn what_is_passed_over_is_counted_by_its_name_and_taints_nothing() {
    let blank: &[u8] = b"\r\n\n*0\r\n*-1\r\n*-9\r\n";
    let unnamed: &[u8] = b"*1\r\n$0\r\n\r\n";
    for (bytes, names) in [
        (blank.to_vec(), "an empty request=5"),
        (unnamed.to_vec(), "an empty name=1"),
        (
            stream(&["EXEC", "EXEC", "DISCARD"]),
            "discard without multi=1,exec without multi=2",
        ),
        (
            stream(&["OPINFO 1 2", "opinfo", "My.Audit x"]),
            "my.audit=1,opinfo=2",
        ),
        (stream(&["REPLCONF TIMESTAMP 1664341989666"]), "replconf=1"),
        (
            stream(&["REPLCONF GETACK *", "PING", "PING x y", "SCRIPT FLUSH"]),
            "",
        ),
        (
            stream(&["GET a", "CLIENT SETNAME x", "CONFIG SET save x"]),
            "get=1,set=1,setname=1",
        ),
        (
            stream(&["SELECT", "SELECT 1 2"]),
            "select with the wrong number of words=2",
        ),
        (
            stream(&["SELECT -1", "SELECT x", "SELECT 01"]),
            "select of an invalid database=3",
        ),
        (
            stream(&["MULTI x", "EXEC x"]),
            "exec with arguments=1,multi with arguments=1",
        ),
    ] {
        let bytes = [bytes, encode("SET a 1")].concat();
        let seen = followed(Dialect::default(), &bytes);
        assert_eq!(seen, ([true, false, false], names.to_owned()));
    }
}

#[test]
fn a_transaction_that_servers_refuse_runs_nothing_and_leaves_the_database() {
    let unnamed: &[u8] = b"*1\r\n$0\r\n\r\n";
    let [redis, valkey] = [Dialect::default(), Dialect::valkey(8, 1, 0)];
    let begin = stream(&["MULTI", "SELECT 1", "SET a 1", "SELECT 0", "SET a 1"]);
    let end = stream(&["SET b 1", "SELECT 2", "EXEC", "SET c 1"]);
    for (dialect, between, runs) in [
        (redis, encode("MULTI"), true),
        (valkey, encode("MULTI"), false),
        (redis, encode("DISCARD"), false),
        (redis, unnamed.to_vec(), false),
        (redis, encode("EXEC x"), false),
        (redis, encode("SELECT -1"), true),
        (redis, encode("OPINFO"), true),
        (Dialect::redis(6, 0, 0), encode("RESET"), false),
        (redis, encode("RESET"), true),
    ] {
        let bytes = [&*begin, &between, &end].concat();
        let (there, names) = followed(dialect, &bytes);
        let discarded = between == encode("DISCARD") || between == encode("EXEC x");
        // The transaction is over.
        let wanted = match (runs, discarded) {
            (true, _) => [true, true, false],
            (false, true) => [false, true, false],
            (false, false) => [false, false, true],
        };
        assert_eq!(there, wanted, "{names}");
        assert_ne!(names, "");
    }
}

#[test]
fn lines_end_as_the_upstreams_replicas_want_it() {
    let odd: [&[u8]; 3] = [
        b"*2\r\n$3\r\nDELxx$1\r\na\r\n",
        b"*2\rX$3\r\nDEL\r\n$1\r\na\r\n",
        b"*2\r\n$3\rXDEL\r\n$1\r\na\r\n",
    ];
    for bytes in odd {
        assert_eq!(followed(Dialect::valkey(8, 1, 0), bytes).1, "");
        let mut bench = Bench::new();
        bench.generation = Arc::new(Generation::new(4, Dialect::valkey(9, 1, 0), Arc::default()));
        // In pieces of any size.
        for step in [1, bytes.len()] {
            let mut applier = bench.applier(0);
            let mut pieces = bytes.chunks(step);
            let error = pieces.find_map(|piece| applier.feed(piece).err()).unwrap();
            assert!(error.to_string().ends_with("invalid CRLF in request"));
        }
    }
}

#[test]
fn what_ends_the_link_of_a_replica_ends_it_here() {
    for (line, says) in [("QUIT", "QUIT"), ("POST x", "POST"), ("Host: x", "Host:")] {
        let bench = Bench::new();
        let error = bench.applier(0).feed(&encode(line)).unwrap_err();
        let text = format!("the primary ended its stream with {says}");
        assert_eq!(error.to_string(), text);
    }
    for old in [true, false] {
        let mut bench = Bench::new();
        let dialect = if old {
            Dialect::redis(6, 0, 0)
        } else {
            Dialect::default()
        };
        bench.generation = Arc::new(Generation::new(4, dialect, Arc::default()));
        let refused = bench.applier(0).feed(b"*1048577\r\n").is_err();
        assert_eq!(refused, old, "as many words as that server takes");
    }
}

#[test]
fn what_may_change_the_meaning_of_what_follows_is_not_passed_over() {
    for line in ["WATCH k", "DEBUG RELOAD"] {
        let bench = Bench::new();
        bench.applier(0).feed(&stream(&["SET a 1", line])).unwrap();
        assert!(bench.is_tainted("GET a"), "{line}");
    }
}

#[test]
fn a_huge_command_leaves_no_huge_buffer_behind() {
    let bench = Bench::new();
    let mut applier = bench.applier(0);
    let huge = "x".repeat(3 * KEPT_BUFFER_BYTES_MAX);
    let begun = stream(&["PING", "PING"]);
    let bytes = [encode(&format!("SET k {huge}")), begun].concat();
    let (all_but_the_end, end) = bytes.split_at(bytes.len() - 5);
    applier.feed(&all_but_the_end[..100]).unwrap();
    applier.feed(&all_but_the_end[100..]).unwrap();
    assert!(applier.buffer.capacity() <= KEPT_BUFFER_BYTES_MAX);
    applier.feed(end).unwrap();
    assert_eq!(applier.into_position().offset, bytes.len() as u64);
}

#[test]
fn getack_is_noticed_and_changes_nothing() {
    let bench = Bench::new();
    let bytes = encode("REPLCONF GETACK *");
    bench.applier(0).feed(&bytes).unwrap();
    assert_eq!(bench.progress.applied(), 37);
}

#[test]
fn many_flushes_in_one_transaction_need_few_slots() {
    let bench = Bench::new();
    let row = command::lookup(b"flushall").unwrap();
    let spaces = &bench.generation.spaces;
    drop(spaces.write(0, spaces.slots_of_db(0)));
    let words = ArgsBuf::new(["flushall"]);
    let mut queue = Queue::default();
    (0..1000).for_each(|_| queue.push(0, row, words.as_args()));
    assert!(queue.slots(spaces).len() <= 2 * REPEATED_SLOTS_MAX);
}

#[test]
fn a_failure_taints_its_key_in_its_place_of_the_transaction() {
    let bench = Bench::new();
    let mut applier = bench.applier(0);
    applier
        .feed(&stream(&[
            "SET k HYLL",
            "MULTI",
            "DEL k",
            "SET k HYLL",
            "PFCOUNT k",
        ]))
        .unwrap();
    assert!(!bench.is_tainted("GET k"));
    applier.feed(&stream(&["EXEC"])).unwrap();
    assert!(bench.is_tainted("GET k"));
}

#[test]
fn who_serves_a_slot_taints_nothing() {
    let bench = Bench::new();
    let mut applier = bench.applier(0);
    applier
        .feed(&stream(&["SET k v", "CLUSTER SETSLOT 5 NODE 0123"]))
        .unwrap();
    assert!(!bench.is_tainted("GET k"));
}

#[test]
fn a_vector_set_that_cannot_be_changed_so_taints_its_key_and_no_other() {
    let bench = Bench::new();
    let mut applier = bench.applier(0);
    applier
        .feed(&stream(&["SET k v", "VADD vectors VALUES 1 1 a"]))
        .unwrap();
    assert_eq!(bench.read(0, "TYPE vectors").unwrap(), "+vectorset");
    applier
        .feed(&stream(&["VADD vectors VALUES 2 1 1 b"]))
        .unwrap();
    assert!(!bench.is_tainted("GET k") && bench.is_tainted("TYPE vectors"));
}

#[test]
fn a_move_onto_another_key_loses_neither() {
    let bench = Bench::new();
    let mut applier = bench.applier(0);
    applier
        .feed(&stream(&[
            "SELECT 1", "SET k b", "SELECT 0", "SET k a", "MOVE k 1",
        ]))
        .unwrap();
    assert!(bench.read(0, "GET k").unwrap().contains('a'));
    assert!(bench.read(1, "GET k").unwrap().contains('b'));
}

#[test]
fn a_copy_with_unknown_options_taints_wherever_it_may_have_gone() {
    let bench = Bench::new();
    let mut applier = bench.applier(0);
    applier
        .feed(&stream(&[
            "SELECT 3",
            "SET b old",
            "SELECT 0",
            "SET a new",
            "COPY a b DB 3 LATER",
        ]))
        .unwrap();
    assert!(matches!(bench.read(3, "GET b"), Err(Error::Tainted(_))));
}

impl Bench {
    /// A bench with `lines` applied, and all expired keys swept.
    fn swept(lines: &[&str]) -> Self {
        let bench = Self::new();
        bench.applier(0).feed(&stream(lines)).unwrap();
        let mut sweeper = WriteToken::for_tests().sweeper();
        let mut keys = 0;
        while let Some(swept) = sweeper.step(&bench.generation.spaces, unix_ms()) {
            keys += swept.keys;
        }
        assert_ne!(keys, 0);
        bench
    }
}

/// A value large enough to sweep.
const LONG: &str = "0123456789012345678901234567890123456789";

#[test]
fn what_the_stream_does_to_a_swept_key_is_right_or_tainted() {
    let far = "9999999999999";
    let (set, hash) = (format!("SET k {LONG} PXAT 1"), format!("HSET h f {LONG}"));
    let start = [&*set, &*hash, "PEXPIREAT h 1", "SET live 1"];
    // The lines of the stream, the command then read, and its reply if there is one.
    let cases: &[(&[&str], &str, Option<&str>)] = &[
        (&[], "DBSIZE", Some(":3")),
        (&[], "EXISTS k h live", Some(":1")),
        (&[], "TYPE k", Some("+none")),
        (&["DEL k"], "DBSIZE", Some(":2")),
        (&["UNLINK k h"], "DBSIZE", Some(":1")),
        (&["PEXPIREAT k 5"], "GET k", Some("$-1")),
        (&["PERSIST k"], "GET k", None),
        (&["PERSIST k"], "TTL k", None),
        (&["PERSIST k"], "DBSIZE", Some(":3")),
        (&["PERSIST k", "DEL k"], "GET k", Some("$-1")),
        (&["PERSIST k", "SET k new"], "GET k", Some("$3 new")),
        (&[&format!("PEXPIREAT k {far}")], "STRLEN k", None),
        (&[&format!("PEXPIREAT k {far}")], "MGET live k", None),
        (&["SET k new"], "GET k", Some("$3 new")),
        (&["SET k new KEEPTTL"], "GET k", Some("$-1")),
        (&["SET k new NX", "PEXPIREAT k 9"], "GET k", Some("$-1")),
        (&["SET k new XX"], "GET k", Some("$3 new")),
        (&["SET k new IFEQ old"], "GET k", None),
        (&["APPEND k x"], "GET k", None),
        (&["INCR k"], "GET k", None),
        (&["SETRANGE k 3 x"], "GET k", None),
        (&["LPUSH k x"], "LLEN k", None),
        (&["HSET h g x"], "HLEN h", None),
        (&["HDEL h f"], "EXISTS h", None),
        (&["HDEL h f"], "GET live", Some("$1 1")),
        (&["RENAME k other"], "EXISTS k other", Some(":0")),
        (&["RENAME k other"], "DBSIZE", Some(":3")),
        (&["RENAME live k"], "GET k", Some("$1 1")),
        (&["RENAME k live", "PERSIST live"], "GET live", None),
        (&["COPY k other"], "DBSIZE", Some(":4")),
        (&["COPY k other", "PERSIST other"], "GET other", None),
        (&["COPY live k REPLACE"], "GET k", Some("$1 1")),
        (&["MOVE k 1"], "DBSIZE", Some(":2")),
        (&["SUNIONSTORE d k"], "SCARD d", None),
        (&["SADD s x", "SUNIONSTORE k s"], "SCARD k", Some(":1")),
        (&["FLUSHALL"], "DBSIZE", Some(":0")),
    ];
    for (lines, asked, expected) in cases {
        let bench = Bench::swept(&start);
        bench.applier(0).feed(&stream(lines)).unwrap();
        let reply = bench.read(0, asked);
        match expected {
            Some(expected) => assert_eq!(reply.unwrap(), *expected, "{lines:?}, {asked}"),
            None => assert!(
                matches!(reply, Err(Error::Tainted(_))),
                "{lines:?}, {asked}: {reply:?}"
            ),
        }
    }
}

#[test]
fn a_database_that_the_primary_uses_is_there() {
    let bench = Bench::new();
    bench
        .applier(0)
        .feed(&stream(&[
            "SET k 1",
            "COPY k k DB 9",
            "SELECT 20",
            "SET a 1",
            "SWAPDB 20 30",
        ]))
        .unwrap();
    let spaces = &bench.generation.spaces;
    assert_eq!(spaces.databases(), 31);
    assert_eq!(bench.read(9, "GET k").unwrap(), "$1 1");
    assert_eq!(bench.read(30, "GET a").unwrap(), "$1 1");
    assert!(!spaces.taints().any());
}

#[test]
fn messages_and_scripts_that_are_only_kept_change_nothing() {
    let bench = Bench::new();
    bench
        .applier(0)
        .feed(&stream(&[
            "SET k 1",
            "publish c m",
            "MULTI",
            "SPUBLISH c m",
            "EXEC",
            "SCRIPT LOAD return",
            "SCRIPT FLUSH ASYNC",
        ]))
        .unwrap();
    assert_eq!(bench.read(0, "GET k").unwrap(), "$1 1");
    let counted = |figure: &std::sync::atomic::AtomicU64| figure.load(Ordering::Relaxed);
    let figures = &bench.figures;
    assert_eq!(
        (counted(&figures.published), counted(&figures.unknown)),
        (2, 0)
    );
}

#[test]
fn a_script_of_an_old_primary_may_have_written_anything() {
    for script in ["EVAL code 1 k", "evalsha 0123 0", "FCALL f 1 k"] {
        let bench = Bench::new();
        bench
            .applier(0)
            .feed(&stream(&["SET other 1", script]))
            .unwrap();
        assert!(bench.is_tainted("GET other") && bench.is_tainted("DBSIZE"));
        assert_eq!(bench.figures.unknown.load(Ordering::Relaxed), 1);
    }
}

#[test]
fn a_flushed_slot_loses_its_keys_in_every_database() {
    let bench = Bench::new();
    bench
        .applier(0)
        .feed(&stream(&[
            "SET foo 1",
            "SET {foo}b 1",
            "SET bar 1",
            "SELECT 2",
            "SET foo 1",
            "SET bar 1",
            "CLUSTER FLUSHSLOT 12182 SYNC",
        ]))
        .unwrap();
    for db in [0, 2] {
        assert_eq!(bench.read(db, "DBSIZE").unwrap(), ":1");
        assert_eq!(bench.read(db, "GET bar").unwrap(), "$1 1");
    }
    bench
        .applier(0)
        .feed(&stream(&["CLUSTER FLUSHSLOT 16384"]))
        .unwrap();
    assert!(bench.is_tainted("GET bar"));
}

/// The slot of `foo` is 12182, that of `bar` 5061.
#[test]
fn keys_of_slots_that_a_valkey_imports_are_hidden_until_the_import_ends() {
    let bench = Bench::new();
    let mut applier = bench.applier(0);
    let job = "0123456789012345678901234567890123456789";
    let establish =
        format!("CLUSTER SYNCSLOTS ESTABLISH SOURCE {job} NAME {job} SLOTSRANGE 1 2 12000 12182");
    let end = |state: &str| format!("CLUSTER SYNCSLOTS FINISH STATE {state} NAME {job} MESSAGE x");
    for (state, left) in [("SUCCESS", true), ("FAILED", false)] {
        applier
            .feed(&stream(&[
                "SET bar 1",
                "CLUSTER SETSLOT 5 NODE 0123",
                &establish,
                "CLUSTER SYNCSLOTS ACK",
                "SET foo 1 PX 1000000",
                "INCR foo",
                "CLUSTER SYNCSLOTS SNAPSHOT-EOF",
                "CLUSTER SYNCSLOTS PAUSED",
                "CLUSTER SYNCSLOTS FAILOVER-GRANTED",
            ]))
            .unwrap();
        for line in [
            "GET foo",
            "MGET bar foo",
            "EXISTS foo",
            "TTL {foo}none",
            "GET {foo}",
        ] {
            assert!(
                matches!(bench.read(0, line), Err(Error::Migrating(_))),
                "{line}"
            );
        }
        for (line, reply) in [
            ("GET bar", "$1 1"),
            ("DBSIZE", ":1"),
            ("KEYS *", "*1 $3 bar"),
            ("SCAN 0", "*2 $1 0 *1 $3 bar"),
            ("RANDOMKEY", "$3 bar"),
        ] {
            assert_eq!(bench.read(0, line).unwrap(), reply, "{line}");
        }
        assert_eq!(bench.generation.spaces.shown_figures()[0].keys, 1);
        assert_eq!(bench.generation.spaces.shown_figures()[0].expires, 0);
        if !left {
            applier.feed(&stream(&["UNLINK foo"])).unwrap();
        }
        applier.feed(&stream(&[&end(state)])).unwrap();
        let expected = if left { "$1 2" } else { "$-1" };
        assert_eq!(bench.read(0, "GET foo").unwrap(), expected);
        assert_eq!(
            bench.read(0, "DBSIZE").unwrap(),
            format!(":{}", 1 + i32::from(left))
        );
        assert!(!bench.generation.spaces.taints().any());
        applier.feed(&stream(&["FLUSHALL"])).unwrap();
    }
    // A server that does not know the job passes over its end, too.
    applier.feed(&stream(&[&end("SUCCESS")])).unwrap();
}

#[test]
fn a_migration_that_is_not_understood_ends_the_link() {
    for line in [
        "CLUSTER SYNCSLOTS ESTABLISH NAME job",
        "CLUSTER SYNCSLOTS ESTABLISH SLOTSRANGE 1 2",
        "CLUSTER SYNCSLOTS ESTABLISH NAME job SLOTSRANGE 1",
        "CLUSTER SYNCSLOTS ESTABLISH NAME job SLOTSRANGE 2 1",
        "CLUSTER SYNCSLOTS ESTABLISH NAME job SLOTSRANGE 0 16384",
        "CLUSTER SYNCSLOTS ESTABLISH NAME job SLOTSRANGE 1 2 NEW option",
        "CLUSTER SYNCSLOTS FINISH STATE SUCCESS",
        "CLUSTER SYNCSLOTS CONF ASM-TASK",
        "CLUSTER SYNCSLOTS CONF ASM-TASK id:a:b:import:completed",
        "CLUSTER SYNCSLOTS CONF ASM-TASK id:a:b:other:completed:1-2",
    ] {
        let bench = Bench::new();
        let end = bench.applier(0).feed(&stream(&[line]));
        assert!(matches!(end, Err(StreamError::Migrated)), "{line}");
    }
    let bench = Bench::new();
    let lines = [
        "MULTI",
        "CLUSTER SYNCSLOTS ESTABLISH NAME job SLOTSRANGE 1 2",
    ];
    let end = bench.applier(0).feed(&stream(&lines));
    assert!(matches!(end, Err(StreamError::Migrated)));
}

/// From documents; no server of this version was asked.
#[test]
fn keys_of_slots_that_a_redis_imports_are_hidden_until_it_serves_or_trims_them() {
    let task = |operation: &str, state: &str| {
        let words = ["CLUSTER", "SYNCSLOTS", "CONF", "ASM-TASK"];
        let task = format!("id:source:target:{operation}:{state}:1-2 12000-12182");
        let words = words.into_iter().chain([&*task]);
        let words: Vec<String> = words
            .map(|word| format!("${}\r\n{word}\r\n", word.len()))
            .collect();
        format!("*5\r\n{}", words.concat()).into_bytes()
    };
    let bench = Bench::new();
    let mut applier = bench.applier(0);
    let hidden = || matches!(bench.read(0, "GET foo"), Err(Error::Migrating(_)));
    applier.feed(&stream(&["SET bar 1"])).unwrap();
    for state in ["send-handshake", "accumulate-buffer", "takeover"] {
        applier.feed(&task("import", state)).unwrap();
        applier.feed(&stream(&["SET foo 1"])).unwrap();
        assert!(hidden(), "{state}");
    }
    applier.feed(&task("import", "completed")).unwrap();
    assert_eq!(bench.read(0, "GET foo").unwrap(), "$1 1");

    // Handed over, the keys stay until they are trimmed, and nobody may see them.
    applier.feed(&task("migrate", "send-stream")).unwrap();
    applier.feed(&task("migrate", "failed")).unwrap();
    assert_eq!(bench.read(0, "GET foo").unwrap(), "$1 1");
    applier.feed(&task("migrate", "completed")).unwrap();
    assert!(hidden());
    applier
        .feed(&stream(&["TRIMSLOTS RANGES 2 1 2 12000 12182"]))
        .unwrap();
    assert_eq!(bench.read(0, "GET foo").unwrap(), "$-1");
    assert_eq!(bench.read(0, "GET bar").unwrap(), "$1 1");

    // What came of an import that failed goes in the same way.
    applier.feed(&task("import", "takeover")).unwrap();
    applier.feed(&stream(&["SET foo 2"])).unwrap();
    applier.feed(&task("import", "failed")).unwrap();
    assert!(hidden());
    assert_eq!(bench.read(0, "DBSIZE").unwrap(), ":1");
    applier
        .feed(&stream(&["TRIMSLOTS RANGES 1 0 16383"]))
        .unwrap();
    assert!(!bench.generation.spaces.taints().any());
    assert_eq!(bench.read(0, "DBSIZE").unwrap(), ":0");
}

#[test]
fn slots_are_trimmed_and_flushed_in_the_first_database_only() {
    let bench = Bench::new();
    let lines = [
        "SET foo 1",
        "SET {foo}x 1",
        "SET bar 1",
        "SELECT 1",
        "SET foo 1",
    ];
    for trim in [
        "TRIMSLOTS RANGES 1 12182 12182",
        "SFLUSH 12182 12182",
        "SFLUSH 0 1 12000 13000 ASYNC",
    ] {
        let mut applier = bench.applier(0);
        applier.feed(&stream(&lines)).unwrap();
        applier.feed(&stream(&[trim])).unwrap();
        assert_eq!(bench.read(0, "KEYS *").unwrap(), "*1 $3 bar", "{trim}");
        assert_eq!(bench.read(1, "DBSIZE").unwrap(), ":1", "{trim}");
    }
    for wrong in [
        "TRIMSLOTS RANGES 2 1 2",
        "TRIMSLOTS RANGES 1 2 1",
        "TRIMSLOTS SLOTS 1 1 2",
        "TRIMSLOTS RANGES -9223372036854775808 1 2",
        "SFLUSH 1 2 3",
        "SFLUSH 1 SYNC",
        "SFLUSH 0 16384",
    ] {
        let bench = Bench::new();
        bench
            .applier(0)
            .feed(&stream(&["SET foo 1", wrong]))
            .unwrap();
        assert!(bench.is_tainted("GET foo"), "{wrong}");
    }
}

/// The names of the libraries, or `None` when they are not known.
fn libraries(bench: &Bench) -> Option<String> {
    let libraries = bench.generation.spaces.libraries();
    let names = libraries.all()?.iter().map(|library| library.name.to_vec());
    Some(String::from_utf8(names.collect::<Vec<_>>().join(&b' ')).unwrap())
}

fn load(name: &str) -> Vec<u8> {
    let code = format!("#!lua name={name}\nredis.register_function('f_{name}', f)");
    format!(
        "*3\r\n$8\r\nFUNCTION\r\n$4\r\nLOAD\r\n${}\r\n{code}\r\n",
        code.len()
    )
    .into_bytes()
}

#[test]
fn libraries_change_as_the_stream_says_and_whole() {
    let bench = Bench::new();
    let mut applier = bench.applier(0);
    applier
        .feed(
            &[
                load("one"),
                load("two"),
                encode("SET k 1"),
                encode("MULTI"),
                load("three"),
            ]
            .concat(),
        )
        .unwrap();
    assert_eq!(libraries(&bench).as_deref(), Some("one two"));
    applier
        .feed(&stream(&["FUNCTION DELETE one", "EXEC"]))
        .unwrap();
    assert_eq!(libraries(&bench).as_deref(), Some("two three"));
    // A library that exists already: the primary must have different ones.
    applier.feed(&load("two")).unwrap();
    assert_eq!(libraries(&bench), None);
    applier.feed(&load("four")).unwrap();
    assert_eq!(
        (libraries(&bench), bench.is_tainted("GET k")),
        (None, false)
    );
    applier.feed(&stream(&["FUNCTION FLUSH"])).unwrap();
    applier.feed(&load("four")).unwrap();
    assert_eq!(libraries(&bench).as_deref(), Some("four"));
}

#[test]
fn settings_hold_from_the_next_command_on() {
    let bench = Bench::new();
    let mut applier = bench.applier(0);
    let few = |count: i64| {
        bench.generation.tuning.change(|choices| {
            choices
                .set("hash-max-listpack-entries", &count.to_string())
                .unwrap();
        });
    };
    applier.feed(&stream(&["HSET a f 1 g 2"])).unwrap();
    few(1);
    applier.feed(&stream(&["HSET b f 1 g 2"])).unwrap();
    few(2);
    applier
        .feed(&stream(&["MULTI", "HSET c f 1 g 2", "EXEC"]))
        .unwrap();
    let encodings =
        ["a", "b", "c"].map(|key| bench.read(0, &format!("OBJECT ENCODING {key}")).unwrap());
    assert_eq!(encodings, ["$8 listpack", "$9 hashtable", "$8 listpack"]);
}

#[test]
fn a_swept_key_is_known_to_be_lost_when_the_clock_goes_back() {
    let set = format!("SET k {LONG} PXAT 1000");
    let bench = Bench::swept(&[&set, "SET live 1"]);
    let read_at = |now_ms: i64, line: &str| {
        let words = ArgsBuf::new(line.split(' '));
        let row = command::resolve(words.as_args()).unwrap();
        let place = command::ReadCx {
            spaces: &bench.generation.spaces,
            db: 0,
            now_ms: Some(now_ms),
            touches: true,
            tally: None,
        };
        let mut reply = Reply::new(Protocol::Resp2, Dialect::default(), usize::MAX);
        let read = row.read.unwrap();
        command::read_at(place, read, row, words.as_args(), &mut reply)?;
        Ok(String::from_utf8_lossy(reply.as_bytes()).into_owned())
    };
    assert_eq!(read_at(1001, "GET k"), Ok("$-1\r\n".to_owned()));
    for line in ["GET k", "EXISTS k", "MGET live k", "KEYS *", "SCAN 0"] {
        assert_eq!(read_at(1000, line), Err(Error::Tainted(Tainted)), "{line}");
    }
    assert_eq!(read_at(1000, "DBSIZE"), Ok(":2\r\n".to_owned()));
    assert_eq!(read_at(1000, "GET live"), Ok("$1\r\n1\r\n".to_owned()));
}

#[test]
fn a_transaction_without_end_ends_the_link_and_one_that_fits_does_not() {
    let bench = Bench::new();
    let mut applier = bench.applier(100);
    applier.set_transaction_max(100_000);
    let value = "x".repeat(1000);
    let set = encode(&format!("SET a {value}"));
    applier.feed(&stream(&["SET b 1", "MULTI"])).unwrap();
    let begun = applier.position().offset;
    (0..20).for_each(|_| applier.feed(&set).unwrap());
    applier.feed(&encode("EXEC")).unwrap();
    assert!(applier.position().offset > begun);
    assert_eq!(bench.read(0, "STRLEN a").unwrap(), ":1000");
    let begun = applier.position().offset;
    applier.feed(&encode("MULTI")).unwrap();
    let fed = (0..200).take_while(|_| applier.feed(&set).is_ok()).count();
    assert!((30..100).contains(&fed), "{fed} KB");
    let error = applier.feed(&set).unwrap_err().to_string();
    assert!(error.contains(&format!("offset {begun} ")), "{error}");
    assert!(error.contains("--clients-memory"), "{error}");
    assert_eq!(applier.into_position().offset, begun);
}

/// Whether `lines` leave anything tainted, and how often something was passed over.
fn after(dialect: Dialect, trusted: bool, lines: &[&str]) -> (bool, u64) {
    let mut bench = Bench::new();
    bench.generation = Arc::new(Generation::new(4, dialect, Arc::default()));
    let mut applier = bench.applier(0);
    if trusted {
        applier.trust_version();
    }
    applier.feed(&stream(lines)).unwrap();
    let passed = bench.figures.passed.counts();
    let passed = passed.iter().map(|(_, count)| count).sum();
    (bench.generation.spaces.taints().any(), passed)
}

#[test]
fn what_a_newer_server_may_mean_is_passed_over_only_of_a_known_one() {
    let [known, newer] = [Dialect::default(), Dialect::redis(99, 0, 0)];
    for line in ["SADD a", "SET", "XGROUP NOSUCH s g", "RENAME a b c"] {
        assert_eq!(after(known, true, &[line]), (false, 1), "{line}");
        assert_eq!(after(known, false, &[line]), (true, 0), "{line}");
        assert_eq!(after(newer, true, &[line]), (true, 0), "{line}");
    }
    // In an older server's table the command takes fewer words, or does not exist.
    let old = Dialect::redis(6, 0, 0);
    for line in ["LPOP a 2", "HSETEX h FIELDS 1 f v"] {
        assert_eq!(after(old, true, &[line]), (false, 1), "{line}");
        assert_eq!(after(old, false, &[line]), (false, 0), "{line}");
    }
    // No version has a subcommand of these that changes data.
    for line in ["OBJECT NOSUCH a", "CONFIG NOSUCH", "XINFO NOSUCH s"] {
        assert_eq!(after(known, false, &[line]), (false, 1), "{line}");
    }
    // Unknown words may mean something.
    for line in [
        "FLUSHALL SLOWLY",
        "FLUSHDB ASYNC x",
        "EXPIRE a 1 MAYBE",
        "SET a 1 MAYBE",
    ] {
        assert_eq!(after(known, true, &["SET a 1", line]), (true, 0), "{line}");
    }
}

/// Writes of newer servers that a primary sends in another form: if one comes after all, its key is in doubt, and no other.
#[test]
fn a_known_name_taints_its_keys_only() {
    for (line, tainted) in [
        ("INCREX k BYINT 5", &["k"][..]),
        ("HIMPORT SET k fields value", &["k"]),
        ("BLMOVEM k l LEFT LEFT 0", &["k", "l"]),
        ("DELIFEQ k v", &["k"]),
    ] {
        let bench = Bench::new();
        bench
            .applier(0)
            .feed(&stream(&["SET k 1", "SET l 1", "SET fields 1", line]))
            .unwrap();
        for key in ["k", "l", "fields"] {
            let is_tainted = bench.is_tainted(&format!("GET {key}"));
            assert_eq!(is_tainted, tainted.contains(&key), "{line}: {key}");
        }
    }
}

#[test]
fn unknown_commands_are_named_as_far_as_there_is_room() {
    let bench = Bench::new();
    let mut applier = bench.applier(0);
    let long = "x".repeat(1000);
    let names = ["NEW.WRITE", "new,write=", "NEW.WRITE", &long];
    applier.feed(&stream(&names)).unwrap();
    let named = bench.figures.unknown_names.all();
    let expected = ["NEW.WRITE", "new?write?", &long[..64]];
    assert_eq!(
        named.iter().map(|name| &**name).collect::<Vec<_>>(),
        expected
    );
    (0..100).for_each(|number| applier.feed(&stream(&[&format!("n{number}")])).unwrap());
    assert_eq!(bench.figures.unknown_names.all().len(), 16);
}

//! The fuzz target of the state directory (see [`crate::fuzzing`]).

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::super::figures::{LoadFigures, StreamFigures};
use super::super::load::{self, Kept, Loaded};
use super::super::restore::restore;
use super::super::stream::{Applier, Position};
use super::DATABASES;
use crate::history::{Point, ReplId, StreamPoint};
use crate::rdb::source::MemorySource;
use crate::state::{Config, Error, Fsync, Head, Keeper, Kind};
use crate::store::WriteToken;
use crate::upstream::ProgressWriter;

/// A state directory. The first four bytes say how the remaining bytes are kept as a stream, and what then happens to the
/// files. A restart finds the result of a prefix of the stream that ends with a command, or nothing; and so does the next
/// restart.
pub fn state(bytes: &[u8]) {
    let Some(([what, low, high, byte], rest)) = bytes.split_first_chunk() else {
        return;
    };
    // In memory, where possible: forcing files to a disk takes longer than everything else.
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let folder = sound(folder);
    let is_stream = what % 9 <= 4;
    keep(folder.path(), if is_stream { rest } else { &[] }, *byte);
    let at = usize::from(u16::from_le_bytes([*low, *high]));
    change(folder.path(), what % 9, at, *byte, rest);
    let found = restored(folder.path());
    assert_eq!(restored(folder.path()), found, "another restart");
    match found {
        Some(found) if is_stream => {
            let prefix = usize::try_from(found.offset).ok();
            let prefix = prefix.and_then(|end| rest.get(..end)).unwrap_or(rest);
            assert_eq!(found, applied(prefix));
            assert!(what % 9 != 0 || found == applied(rest), "something is lost");
        }
        Some(_) => {}
        None => assert!(what % 9 != 0, "nothing is damaged"),
    }
}

/// Where a stream is: its offset, its database, and the number of keys in each database.
#[derive(Debug, PartialEq)]
struct Stand {
    offset: u64,
    db: usize,
    keys: Vec<(usize, usize)>,
}

impl Stand {
    fn of(position: &Position) -> Self {
        let spaces = &position.generation.spaces;
        let databases = (0..spaces.databases()).filter_map(|db| spaces.db(db));
        databases.for_each(|db| assert!(db.figures_hold()));
        let figures = spaces.figures();
        let keys = figures.iter().map(|figures| (figures.db, figures.keys));
        Self {
            offset: position.offset,
            db: position.db,
            keys: keys.collect(),
        }
    }
}

/// The result of a stream, up to where it cannot be followed.
fn applied(stream: &[u8]) -> Stand {
    let position = Position {
        offset: 0,
        db: 0,
        generation: empty().generation,
    };
    let (progress, figures) = (ProgressWriter::default(), StreamFigures::default());
    let mut applier = Applier::new(position, WriteToken::for_tests(), &progress, &figures);
    applier.set_clock(AT_MS);
    // Where it fails is where it ends.
    let _ = applier.feed(stream);
    Stand::of(&applier.into_position())
}

/// Keeps an empty full resync, followed by the stream in pieces.
fn keep(folder: &Path, stream: &[u8], byte: u8) {
    let mut keeper = open(folder);
    let Some(mut payload) = keeper.payload() else {
        panic!("no file for a payload");
    };
    payload.take(b"$EOF:0123456789012345678901234567890123456789\r\n");
    payload.take(EMPTY);
    let loaded = empty();
    let place = StreamPoint {
        point: Point {
            replid: id(),
            offset: 0,
        },
        db: 0,
    };
    keeper.begin(payload, loaded.bytes, loaded.checksum, place);
    let mut offset = 0;
    for piece in stream.chunks(1 + usize::from(byte)) {
        keeper.append(offset, AT_MS, piece);
        offset += piece.len() as u64;
    }
}

/// What happens to the files.
fn change(folder: &Path, what: u8, at: usize, byte: u8, rest: &[u8]) {
    let (snapshot, log) = (folder.join("snapshot-1.rdb"), folder.join("log-1"));
    let header = || sound(fs::read(&log));
    match what {
        0 => {}
        1 => edit(&log, |bytes| bytes.truncate(at % (bytes.len() + 1))),
        2 => edit(&log, |bytes| flip(bytes, at, byte)),
        3 => edit(&snapshot, |bytes| bytes.truncate(at % bytes.len())),
        4 => edit(&snapshot, |bytes| flip(bytes, at, byte)),
        5 => sound(fs::write(&log, rest)),
        6 => sound(fs::write(&log, [&header(), rest].concat())),
        7 => sound(fs::write(&log, [header(), records(rest)].concat())),
        _ => sound(fs::write(&snapshot, rest)),
    }
}

fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = sound(fs::read(path));
    change(&mut bytes);
    sound(fs::write(path, bytes));
}

fn flip(bytes: &mut [u8], at: usize, byte: u8) {
    let at = at % bytes.len();
    if let Some(flipped) = bytes.get_mut(at) {
        *flipped ^= byte;
    }
}

/// Records with valid checksums. Three bytes determine each: its kind, the gap between its offset and the one before, its
/// length.
fn records(mut rest: &[u8]) -> Vec<u8> {
    let (mut out, mut offset) = (Vec::new(), 0_u64);
    while let Some(([kind, gap, len], behind)) = rest.split_first_chunk() {
        let (payload, behind) = behind.split_at(behind.len().min(usize::from(*len)));
        let kind = if kind % 4 == 0 {
            Kind::Renamed
        } else {
            Kind::Stream
        };
        offset = offset.saturating_add_signed(i64::from(gap.cast_signed() / 16));
        Head::new(kind, offset, AT_MS, payload).encode(&mut out);
        out.extend_from_slice(payload);
        offset += if kind == Kind::Stream {
            payload.len() as u64
        } else {
            0
        };
        rest = behind;
    }
    out
}

fn restored(folder: &Path) -> Option<Stand> {
    let mut keeper = open(folder);
    let (tuning, figures) = (Arc::default(), LoadFigures::default());
    let found = restore(&mut keeper, kept(&tuning), &figures, &|| false)?;
    Some(Stand::of(&found.position))
}

fn open(folder: &Path) -> Keeper {
    let config = Config {
        fsync: Fsync::No,
        ..Config::new(folder)
    };
    loop {
        match Keeper::open(config.clone(), Arc::default()) {
            Ok(keeper) => return keeper,
            // A process that was started in the meantime holds all our files until it runs its own program.
            Err(Error::InUse(_)) => std::thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
}

/// Loads a dump without keys.
fn empty() -> Loaded {
    let (tuning, figures) = (Arc::default(), LoadFigures::default());
    let source = MemorySource(Bytes::from_static(EMPTY));
    match load::snapshot(source, EMPTY.len() as u64, kept(&tuning), &figures) {
        Ok(loaded) => loaded,
        Err(error) => panic!("{error}"),
    }
}

static FEED: std::sync::LazyLock<Arc<crate::feed::Feed>> = std::sync::LazyLock::new(Arc::default);

fn kept(tuning: &Arc<crate::store::Tuning>) -> Kept<'_> {
    Kept {
        token: WriteToken::for_tests(),
        databases: DATABASES,
        dialect: None,
        tuning,
        feed: &FEED,
        scripting: None,
    }
}

fn id() -> ReplId {
    match "0123456789abcdef0123456789abcdef01234567".parse() {
        Ok(id) => id,
        Err(error) => panic!("{error}"),
    }
}

/// Panics if the disk fails.
fn sound<T>(result: io::Result<T>) -> T {
    result.unwrap_or_else(|error| panic!("{error}"))
}

const EMPTY: &[u8] = b"REDIS0011\xff\0\0\0\0\0\0\0\0";

/// When everything was written.
const AT_MS: i64 = 1_700_000_000_000;

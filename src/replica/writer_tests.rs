//! State directories, made as the writer makes them: cut, damaged, and copied at every step.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::rdb::dump::encode_payload;
use crate::rdb::encode::Layouts;
use crate::rdb::source::MemorySource;
use crate::rdb::version::Version;
use crate::replica::figures::{LoadFigures, StreamFigures};
use crate::state;
use crate::store::{Doubt, WriteToken};

const ID: &str = "0123456789abcdef0123456789abcdef01234567";
const OTHER_ID: &str = "76543210fedcba9876543210fedcba9876543210";
const MARK: &str = "markmarkmarkmarkmarkmarkmarkmarkmarkmark";
/// The offset of the first snapshot.
const START: u64 = 1000;

/// Everything that can be observed of a replica between two commands.
#[derive(Debug, Clone, PartialEq)]
struct State {
    replid: Option<ReplId>,
    offset: u64,
    db: usize,
    keys: BTreeMap<(usize, Vec<u8>), Dumped>,
    taints: BTreeMap<(usize, Box<[u8]>), Doubt>,
    tainted: bool,
    libraries: usize,
    migrations: Vec<(Box<[u8]>, crate::store::ClusterSlots)>,
}

/// A value as DUMP returns it, and its expiry.
type Dumped = (Vec<u8>, Option<i64>);

fn state_of(replid: Option<ReplId>, position: &Position) -> State {
    let spaces = &position.generation.spaces;
    let mut keys = BTreeMap::new();
    for db in 0..spaces.databases() {
        for shard in 0..1024 {
            spaces.visit(db, shard, |entry| {
                let value = match entry.is_swept() {
                    true => b"swept".to_vec(),
                    false => dumped(entry),
                };
                keys.insert((db, entry.key().to_vec()), (value, entry.expire_at_ms()));
            });
        }
    }
    let taints = spaces.taints().list().into_iter();
    State {
        replid,
        offset: position.offset,
        db: position.db,
        keys,
        taints: taints.map(|(db, key, doubt)| ((db, key), doubt)).collect(),
        tainted: spaces.taints().everything(),
        migrations: spaces.taints().hidden().jobs(),
        libraries: spaces.libraries().all().map_or(usize::MAX, <[_]>::len),
    }
}

fn dumped(entry: &crate::store::Entry) -> Vec<u8> {
    let version = Version::of_payload(12);
    let value = entry.value();
    let kind = value.value_type(Layouts::of(version));
    encode_payload(version, b"", kind, |writer| value.encode(writer)).unwrap()
}

fn id(text: &str) -> ReplId {
    text.parse().unwrap()
}

static FEED: std::sync::LazyLock<Arc<crate::feed::Feed>> = std::sync::LazyLock::new(Arc::default);

fn kept(tuning: &Arc<crate::store::Tuning>) -> Kept<'_> {
    Kept {
        token: WriteToken::for_tests(),
        databases: 16,
        dialect: None,
        tuning,
        feed: &FEED,
        scripting: None,
    }
}

/// A dump of a Redis 7.2 with strings of fewer than 64 bytes, and no checksum.
fn rdb(pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut rdb = b"REDIS0011\xfa\x09redis-ver\x057.2.4\xfe\x00".to_vec();
    for (key, value) in pairs {
        rdb.push(0);
        for text in [key, value] {
            rdb.push(text.len().to_le_bytes()[0]);
            rdb.extend_from_slice(text.as_bytes());
        }
    }
    rdb.push(0xff);
    rdb.extend_from_slice(&[0; 8]);
    rdb
}

fn command(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    bytes
}

/// Commands, one per line.
fn commands(lines: &[&str]) -> Vec<u8> {
    let each = lines
        .iter()
        .map(|line| command(&line.split(' ').collect::<Vec<_>>()));
    each.collect::<Vec<_>>().concat()
}

/// A replica without a socket: what the writer does, by hand.
struct Live {
    keeper: Option<Keeper>,
    figures: Arc<state::Figures>,
    progress: ProgressWriter,
    stream: StreamFigures,
    lineage: Option<(ReplId, Position)>,
}

impl Live {
    fn open(folder: &Path) -> Self {
        let figures = Arc::new(state::Figures::default());
        let config = state::Config::new(folder);
        Self {
            keeper: Some(Keeper::open(config, Arc::clone(&figures)).unwrap()),
            figures,
            progress: ProgressWriter::default(),
            stream: StreamFigures::default(),
            lineage: None,
        }
    }

    /// Opens a directory and restores what it holds.
    fn restored(folder: &Path) -> Self {
        let mut live = Self::open(folder);
        let tuning = Arc::default();
        let figures = LoadFigures::default();
        let keeper = live.keeper.as_mut().unwrap();
        let restored = restore(keeper, kept(&tuning), &figures, &|| false);
        live.lineage = restored.and_then(|Restored { replid, position }| Some((replid?, position)));
        live
    }

    /// A full resync whose payload arrives in small pieces, directly followed by the stream.
    fn load(&mut self, replid: &str, offset: u64, pairs: &[(&str, &str)]) {
        let rdb = rdb(pairs);
        let stream = commands(&["PING"]);
        let header = format!("\n\n$EOF:{MARK}\r\n");
        let framed = [header.as_bytes(), &rdb, MARK.as_bytes(), &stream].concat();
        let keeper = self.keeper.as_mut().unwrap();
        let mut payload = keeper.payload().unwrap();
        framed.chunks(7).for_each(|piece| payload.take(piece));
        let tuning = Arc::default();
        let figures = LoadFigures::default();
        let len = rdb.len() as u64;
        let source = MemorySource(Bytes::from(rdb));
        let loaded = load::snapshot(source, len, kept(&tuning), &figures).unwrap();
        let (replid, db) = (id(replid), loaded.stream_db);
        let place = StreamPoint {
            point: Point { replid, offset },
            db,
        };
        keeper.begin(payload, loaded.bytes, loaded.checksum, place);
        let position = Position {
            offset,
            db,
            generation: loaded.generation,
        };
        self.lineage = Some((replid, position));
    }

    /// A link that brings these chunks and then breaks. Returns the state after each.
    fn follow(&mut self, chunks: &[Vec<u8>]) -> Vec<State> {
        let (replid, position) = self.lineage.take().unwrap();
        let mut applier = Applier::new(
            position,
            WriteToken::for_tests(),
            &self.progress,
            &self.stream,
        );
        let mut states = Vec::new();
        for chunk in chunks {
            take(&mut self.keeper, &mut applier, chunk).unwrap();
            let position = applier.position();
            states.push(state_of(Some(replid), position));
        }
        self.lineage = Some((replid, applier.into_position()));
        states
    }

    /// The same, while a snapshot is begun before the first chunk and written between chunks. Returns the state when it
    /// was begun.
    fn follow_saving(&mut self, pending: &[u8], chunks: &[Vec<u8>]) -> State {
        let (replid, position) = self.lineage.take().unwrap();
        let mut applier = Applier::new(
            position,
            WriteToken::for_tests(),
            &self.progress,
            &self.stream,
        );
        take(&mut self.keeper, &mut applier, pending).unwrap();
        let keeper = self.keeper.as_mut().unwrap();
        let (position, rest) = applier.rest().unwrap();
        let before = state_of(Some(replid), position);
        let (offset, db) = (position.offset, position.db);
        let place = StreamPoint {
            point: Point { replid, offset },
            db,
        };
        let saving = keeper.start_saving(place, rest, &position.generation);
        *applier.saving() = saving;
        for chunk in chunks {
            take(&mut self.keeper, &mut applier, chunk).unwrap();
        }
        let keeper = self.keeper.as_mut().unwrap();
        while applier.saving().is_some() {
            keeper.work(applier.saving(), SAVE_STEP);
        }
        self.lineage = Some((replid, applier.into_position()));
        before
    }

    fn state(&self) -> Option<State> {
        let (replid, position) = self.lineage.as_ref()?;
        Some(state_of(Some(*replid), position))
    }

    fn wait_for_snapshots(&self, count: u64) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.figures.snapshots.load(Relaxed) < count {
            assert!(Instant::now() < deadline, "{:?}", self.figures);
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Ends without notice, as `kill -9` does; what was passed to the system stays.
    fn killed(self) {
        drop(self);
    }
}

fn copy(folder: &Path) -> TempDir {
    let copy = TempDir::new().unwrap();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        // A file that was being removed may be gone.
        let _ = fs::copy(entry.path(), copy.path().join(entry.file_name()));
    }
    copy
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "lock")
        .collect();
    names.sort();
    names
}

/// Chunks that end in the middle of commands and of a MULTI.
fn chunks() -> Vec<Vec<u8>> {
    let whole = [
        commands(&["SELECT 0", "SET a new", "SETEX e 1000 v", "RPUSH l x y"]),
        commands(&["MULTI", "SET b 2", "HSET h f v", "EXEC", "SELECT 3"]),
        commands(&["SADD s 1 2", "PING"]),
    ]
    .concat();
    let middle_of_multi =
        commands(&["SELECT 0", "SET a new", "SETEX e 1000 v", "RPUSH l x y"]).len() + 50;
    let cuts = [60, 100, middle_of_multi, whole.len() - 20, whole.len()];
    let mut from = 0;
    let chunks = cuts.iter().map(|to| {
        let chunk = whole[from..*to].to_vec();
        from = *to;
        chunk
    });
    chunks.collect()
}

/// A directory with one generation, the length of its log after each chunk, and the states then.
fn written() -> (TempDir, Vec<(u64, State)>) {
    let folder = TempDir::new().unwrap();
    let mut live = Live::open(folder.path());
    live.load(ID, START, &[("a", "1"), ("gone", "x")]);
    let log = folder.path().join("log-1");
    let len = || fs::metadata(&log).unwrap().len();
    let mut states = vec![(len(), live.state().unwrap())];
    let (replid, position) = live.lineage.take().unwrap();
    let mut applier = Applier::new(
        position,
        WriteToken::for_tests(),
        &live.progress,
        &live.stream,
    );
    for chunk in chunks() {
        take(&mut live.keeper, &mut applier, &chunk).unwrap();
        states.push((len(), state_of(Some(replid), applier.position())));
    }
    drop(applier);
    live.killed();
    (folder, states)
}

#[test]
fn a_restart_finds_what_was_last_applied() {
    let (folder, states) = written();
    let (_, last) = states.last().unwrap();
    assert_eq!(last.offset, START + chunks().concat().len() as u64);
    assert_eq!(Live::restored(folder.path()).state().as_ref(), Some(last));
}

#[test]
fn a_log_cut_anywhere_ends_at_the_last_boundary_and_goes_on_from_there() {
    let (folder, states) = written();
    let whole = fs::read(folder.path().join("log-1")).unwrap();
    let stream = chunks().concat();
    for cut in 0..=whole.len() {
        let copy = copy(folder.path());
        fs::write(copy.path().join("log-1"), &whole[..cut]).unwrap();
        let mut live = Live::restored(copy.path());
        let expected = states.iter().rfind(|(len, _)| *len <= cut as u64);
        assert_eq!(
            live.state().as_ref(),
            expected.map(|(_, state)| state),
            "cut at {cut}"
        );
        let Some((_, expected)) = expected else {
            assert_eq!(live.figures.set_aside.load(Relaxed), 1, "cut at {cut}");
            continue;
        };
        let from = usize::try_from(expected.offset - START).unwrap();
        live.follow(&[stream[from..].to_vec()]);
        let end = live.state();
        live.killed();
        assert_eq!(Live::restored(copy.path()).state(), end, "cut at {cut}");
    }
}

#[test]
fn a_flipped_byte_of_the_log_is_a_state_that_was_or_none() {
    let (folder, states) = written();
    let whole = fs::read(folder.path().join("log-1")).unwrap();
    let last_record = states[states.len() - 2].0;
    for at in 0..whole.len() {
        let copy = copy(folder.path());
        let mut bad = whole.clone();
        bad[at] ^= 1 << (at % 8);
        fs::write(copy.path().join("log-1"), bad).unwrap();
        let live = Live::restored(copy.path());
        let aside = live.figures.set_aside.load(Relaxed);
        if (at as u64) < last_record {
            assert_eq!((live.state(), aside), (None, 1), "byte {at}");
            assert!(
                names(copy.path())
                    .iter()
                    .all(|name| name.contains("corrupt"))
            );
        } else {
            // It looks the same as a record that was never whole.
            let before = &states[states.len() - 2].1;
            assert_eq!(live.state().as_ref(), Some(before), "byte {at}");
        }
    }
}

#[test]
fn a_flipped_byte_or_a_cut_of_the_snapshot_sets_it_aside() {
    let (folder, _) = written();
    let whole = fs::read(folder.path().join("snapshot-1.rdb")).unwrap();
    let damaged = |what: &str, bytes: &[u8]| {
        let copy = copy(folder.path());
        fs::write(copy.path().join("snapshot-1.rdb"), bytes).unwrap();
        let live = Live::restored(copy.path());
        let aside = live.figures.set_aside.load(Relaxed);
        assert_eq!((live.state(), aside), (None, 1), "{what}");
        let why = live.figures.last_error().unwrap();
        assert!(why.contains("snapshot-1.rdb is damaged at byte"), "{why}");
    };
    for at in 0..whole.len() {
        let mut bad = whole.clone();
        bad[at] ^= 1 << (at % 8);
        damaged(&format!("byte {at}"), &bad);
        damaged(&format!("cut at {at}"), &whole[..at]);
    }
    damaged("one byte more", &[&whole[..], b"x"].concat());
}

#[test]
fn zeros_behind_the_last_record_are_its_end() {
    let (folder, states) = written();
    let log = folder.path().join("log-1");
    let mut bytes = fs::read(&log).unwrap();
    bytes.extend_from_slice(&[0; 5000]);
    fs::write(&log, bytes).unwrap();
    let live = Live::restored(folder.path());
    assert_eq!(live.state().as_ref(), states.last().map(|(_, state)| state));
}

#[test]
fn a_lost_link_takes_back_what_was_unfinished_and_the_next_brings_it_again() {
    let (folder, states) = written();
    let mut live = Live::restored(folder.path());
    let unfinished = commands(&["MULTI", "SET never 1"]);
    live.follow(&[unfinished]);
    assert_eq!(live.state().as_ref(), states.last().map(|(_, state)| state));
    live.follow(&[commands(&["SET then 1"]), b"*2\r\n$3\r\nGE".to_vec()]);
    let replid = id(OTHER_ID);
    let (current, position) = live.lineage.as_mut().unwrap();
    *current = replid;
    live.keeper
        .as_mut()
        .unwrap()
        .rename(replid, position.offset);
    live.follow(&[commands(&["SET last 1"])]);
    let end = live.state().unwrap();
    assert_eq!(end.replid, Some(replid));
    live.killed();
    assert_eq!(Live::restored(folder.path()).state(), Some(end));
}

#[test]
fn relative_times_come_to_the_same_whenever_they_are_applied_again() {
    let (folder, states) = written();
    let expiry = |state: &State| state.keys[&(0, b"e".to_vec())].1;
    std::thread::sleep(Duration::from_millis(20));
    let again = Live::restored(folder.path()).state().unwrap();
    assert_eq!(expiry(&again), expiry(&states.last().unwrap().1));
}

/// Commands that change keys of many shards, in two databases.
fn many(round: usize) -> Vec<u8> {
    let lines = (0..300).map(|number| match number % 5 {
        0 => format!("DEL key:{}", number + round),
        1 => format!("SELECT {}", number % 2),
        2 => format!("RPUSH list:{number} {round} x"),
        3 => format!("SETEX timed:{} {number} v", number * round),
        _ => format!("SET key:{number} {round}"),
    });
    let lines: Vec<String> = lines.collect();
    commands(&lines.iter().map(String::as_str).collect::<Vec<_>>())
}

/// A directory whose second generation's snapshot was written while the stream continued: before that snapshot was
/// durable, and after.
struct Shortened {
    before: TempDir,
    after: TempDir,
    at_begin: State,
    at_end: State,
}

fn shortened() -> Shortened {
    let folder = TempDir::new().unwrap();
    let mut live = Live::open(folder.path());
    live.load(ID, START, &[("a", "1")]);
    live.wait_for_snapshots(1);
    live.follow(&[many(1), many(2)]);
    let (all, half) = (many(3), many(4));
    let pending = [&all[..], &half[..half.len() - 9]].concat();
    let rest = [&half[half.len() - 9..], &many(5)].concat();
    let before;
    let at_begin = {
        let (replid, position) = live.lineage.take().unwrap();
        let mut applier = Applier::new(
            position,
            WriteToken::for_tests(),
            &live.progress,
            &live.stream,
        );
        take(&mut live.keeper, &mut applier, &pending).unwrap();
        let keeper = live.keeper.as_mut().unwrap();
        let (position, unfinished) = applier.rest().unwrap();
        assert!(!unfinished.is_empty());
        let state = state_of(Some(replid), position);
        let (offset, db) = (position.offset, position.db);
        let place = StreamPoint {
            point: Point { replid, offset },
            db,
        };
        let saving = keeper.start_saving(place, unfinished, &position.generation);
        *applier.saving() = saving;
        take(&mut live.keeper, &mut applier, &rest).unwrap();
        let keeper = live.keeper.as_mut().unwrap();
        applier.saving().as_mut().unwrap().finish();
        before = copy(folder.path());
        while applier.saving().is_some() {
            keeper.work(applier.saving(), SAVE_STEP);
        }
        live.lineage = Some((replid, applier.into_position()));
        state
    };
    live.wait_for_snapshots(2);
    Shortened {
        before,
        after: copy(folder.path()),
        at_begin,
        at_end: live.state().unwrap(),
    }
}

#[test]
fn a_snapshot_written_while_the_stream_goes_on_is_of_one_offset() {
    let Shortened {
        after, at_begin, ..
    } = shortened();
    assert_eq!(names(after.path()), ["log-2", "snapshot-2.rdb"]);
    // Without its log's records, it holds the state at the time it was begun.
    let log = fs::read(after.path().join("log-2")).unwrap();
    fs::write(after.path().join("log-2"), &log[..80]).unwrap();
    assert_eq!(Live::restored(after.path()).state(), Some(at_begin));
}

#[test]
fn a_crash_between_any_two_steps_of_a_new_snapshot_loses_nothing() {
    let Shortened {
        before,
        after,
        at_end,
        ..
    } = shortened();
    let steps = ["log-1", "log-2", "snapshot-1.rdb", "snapshot-2.tmp"];
    assert_eq!(names(before.path()), steps);
    let resumes = |what: &str, folder: &TempDir| {
        let copy = copy(folder.path());
        assert_eq!(
            Live::restored(copy.path()).state().as_ref(),
            Some(&at_end),
            "{what}"
        );
        // And again, from what the first restore left.
        let names = names(copy.path());
        let again = Live::restored(copy.path()).state();
        assert_eq!(again.as_ref(), Some(&at_end), "{what}: {names:?}");
    };
    resumes("before the snapshot is whole", &before);
    let whole = after.path().join("snapshot-2.rdb");
    fs::remove_file(before.path().join("snapshot-2.tmp")).unwrap();
    fs::copy(whole, before.path().join("snapshot-2.rdb")).unwrap();
    resumes("once it has its name", &before);
    fs::remove_file(before.path().join("snapshot-1.rdb")).unwrap();
    resumes("once the old snapshot is gone", &before);
    resumes("at the end", &after);
}

#[test]
fn a_new_log_without_its_first_records_is_left_where_the_old_one_ends() {
    let Shortened {
        before, at_begin, ..
    } = shortened();
    let log = before.path().join("log-2");
    let bytes = fs::read(&log).unwrap();
    fs::write(&log, &bytes[..80]).unwrap();
    assert_eq!(
        Live::restored(before.path()).state(),
        Some(at_begin.clone())
    );
    // Not even a whole header, or not even the file.
    for header in [&bytes[..0], &bytes[..79], &[0; 80], &[0; 4096]] {
        fs::write(&log, header).unwrap();
        let copy = copy(before.path());
        assert_eq!(Live::restored(copy.path()).state(), Some(at_begin.clone()));
    }
    fs::rename(&log, before.path().join("log-2.tmp")).unwrap();
    assert_eq!(Live::restored(before.path()).state(), Some(at_begin));
}

#[test]
fn a_new_log_whose_header_alone_is_damaged_is_set_aside() {
    let Shortened { before, .. } = shortened();
    let log = before.path().join("log-2");
    let mut bytes = fs::read(&log).unwrap();
    bytes[20] ^= 1;
    fs::write(&log, &bytes).unwrap();
    let live = Live::restored(before.path());
    assert_eq!(live.state(), None);
    assert_eq!(live.figures.set_aside.load(Relaxed), 1);
}

#[test]
fn a_crash_between_any_two_steps_of_a_full_resync_finds_the_old_or_the_new() {
    let (folder, states) = written();
    let old = &states.last().unwrap().1;
    let mut live = Live::restored(folder.path());
    live.wait_for_snapshots(1);
    let payload = live.keeper.as_mut().unwrap().payload();
    let loading = copy(folder.path());
    drop(payload);
    assert_eq!(
        names(loading.path()),
        ["log-1", "payload-2.tmp", "snapshot-1.rdb"]
    );
    live.load(OTHER_ID, 5, &[("other", "2")]);
    let new = live.state().unwrap();
    live.wait_for_snapshots(2);
    let done = copy(folder.path());
    assert_eq!(names(done.path()), ["log-2", "snapshot-2.rdb"]);
    assert_eq!(Live::restored(done.path()).state().as_ref(), Some(&new));
    assert_eq!(Live::restored(loading.path()).state().as_ref(), Some(old));
    // Before the new snapshot has its name, and before the old files are gone.
    fs::copy(folder.path().join("log-2"), loading.path().join("log-2")).unwrap();
    assert_eq!(Live::restored(loading.path()).state().as_ref(), Some(old));
    for name in ["log-2", "snapshot-2.rdb"] {
        fs::copy(folder.path().join(name), loading.path().join(name)).unwrap();
    }
    assert_eq!(Live::restored(loading.path()).state().as_ref(), Some(&new));
}

#[test]
fn a_damaged_newer_generation_gives_way_to_the_older_if_that_is_still_there() {
    let Shortened {
        before,
        after,
        at_begin,
        ..
    } = shortened();
    let whole = fs::read(after.path().join("snapshot-2.rdb")).unwrap();
    let key = b"list:112";
    let place = whole.windows(key.len()).position(|bytes| bytes == key);
    // The 1 of 112 turns into 0, and there is a 102 in the same database.
    let one_of_twins = place.unwrap() + 6;
    // Anything, and a key's name that becomes another's: well-formed, but nothing that redtail would load.
    for damaged in [whole.len() / 2, one_of_twins] {
        let folder = copy(before.path());
        let mut bytes = whole.clone();
        bytes[damaged] ^= 1;
        fs::write(folder.path().join("snapshot-2.rdb"), bytes).unwrap();
        let live = Live::restored(folder.path());
        assert_eq!(live.state().as_ref(), Some(&at_begin), "at {damaged}");
        assert_eq!(live.figures.set_aside.load(Relaxed), 1);
        let names = names(folder.path());
        let aside = names.iter().filter(|name| name.contains("corrupt"));
        assert_eq!(aside.count(), 2);
    }
}

#[test]
fn only_the_newest_damaged_files_are_kept() {
    let (folder, _) = written();
    for stamp in ["1", "2"] {
        fs::write(folder.path().join(format!("log-9.corrupt-{stamp}")), "x").unwrap();
    }
    fs::write(folder.path().join("log-1"), "nonsense").unwrap();
    assert_eq!(Live::restored(folder.path()).state(), None);
    let names = names(folder.path());
    assert!(
        names.len() == 2
            && names
                .iter()
                .all(|name| !name.ends_with("corrupt-1") && !name.ends_with("corrupt-2")),
        "{names:?}"
    );
}

#[test]
fn taints_swept_values_and_libraries_are_what_they_were() {
    let folder = TempDir::new().unwrap();
    let mut live = Live::open(folder.path());
    let long = "v".repeat(60);
    live.load(ID, START, &[("a", "1"), ("old", &long)]);
    let library = "#!lua name=lib\nredis.register_function('f', function() return 1 end)";
    let written = [
        commands(&["SELECT 0", "PEXPIREAT old 5", "RPUSH a x", "SET text 1"]),
        commands(&["CLUSTER SYNCSLOTS ESTABLISH NAME a-job SLOTSRANGE 1 2 5 9"]),
        command(&["FUNCTION", "LOAD", library]),
    ];
    live.follow(&written);
    let generation = Arc::clone(&live.lineage.as_ref().unwrap().1.generation);
    let mut sweeper = WriteToken::for_tests().sweeper();
    while sweeper.step(&generation.spaces, 1000).is_some() {}
    let before = live.state().unwrap();
    assert_eq!(before.keys[&(0, b"old".to_vec())].0, b"swept");
    assert_eq!(before.taints.len(), 1);
    assert_eq!(before.libraries, 1);
    assert_eq!(before.migrations.len(), 1);
    let begun = live.follow_saving(&[], &[commands(&["SET text 2"])]);
    assert_eq!(begun, before);
    live.wait_for_snapshots(2);
    let end = live.state();
    live.killed();
    let mut again = Live::restored(folder.path());
    assert_eq!(again.state(), end);
    // A command of unknown effect taints everything, and unknown libraries stay unknown.
    let unknown = [
        commands(&["NOSUCHCOMMAND x"]),
        command(&["FUNCTION", "RESTORE", "nonsense"]),
    ];
    again.follow(&unknown);
    let begun = again.follow_saving(&[], &[]);
    assert!(begun.tainted);
    again.wait_for_snapshots(2);
    again.killed();
    assert_eq!(Live::restored(folder.path()).state(), Some(begun));
}

#[test]
fn a_stream_that_cannot_be_followed_is_served_to_its_last_command_and_not_resumed() {
    let (folder, states) = written();
    let mut live = Live::restored(folder.path());
    let (_, position) = live.lineage.take().unwrap();
    let mut applier = Applier::new(
        position,
        WriteToken::for_tests(),
        &live.progress,
        &live.stream,
    );
    take(&mut live.keeper, &mut applier, b"nonsense\r\n").unwrap_err();
    drop(applier);
    live.killed();
    let mut again = Live::open(folder.path());
    let (tuning, figures) = (Arc::default(), LoadFigures::default());
    let keeper = again.keeper.as_mut().unwrap();
    let Restored { replid, position } =
        restore(keeper, kept(&tuning), &figures, &|| false).unwrap();
    assert_eq!(replid, None);
    let last = State {
        replid: None,
        ..states.last().unwrap().1.clone()
    };
    assert_eq!(state_of(None, &position), last);
}

#[test]
fn a_state_that_needs_more_databases_is_left_alone() {
    let folder = TempDir::new().unwrap();
    let mut live = Live::open(folder.path());
    live.load(ID, START, &[("a", "1")]);
    live.follow(&[commands(&["SELECT 1023", "SET far 1"])]);
    let state = live.state();
    live.killed();
    // A database within the number that there is always room for.
    assert_eq!(Live::restored(folder.path()).state(), state);
}

#[test]
fn a_command_that_changes_little_at_once_is_waited_for() {
    let folder = TempDir::new().unwrap();
    let mut live = Live::open(folder.path());
    live.load(ID, START, &[("a", "1")]);
    live.wait_for_snapshots(1);
    live.follow(&[many(1)]);
    let begun = live.follow_saving(&[], &[commands(&["FLUSHALL", "SET a 2"])]);
    assert!(begun.keys.len() > 100);
    live.wait_for_snapshots(2);
    let end = live.state();
    live.killed();
    assert_eq!(Live::restored(folder.path()).state(), end);
}

#[test]
fn a_command_that_changes_much_at_once_ends_the_snapshot_but_not_each_time() {
    let folder = TempDir::new().unwrap();
    let mut live = Live::open(folder.path());
    live.load(ID, START, &[("a", "1")]);
    live.wait_for_snapshots(1);
    let lines: Vec<String> = (0..2000).map(|key| format!("SET key:{key} v")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let fill = [&commands(&["SELECT 0"])[..], &commands(&lines)].concat();
    let flush = commands(&["FLUSHALL", "SET a 2"]);
    for attempt in 1..=3 {
        live.follow(std::slice::from_ref(&fill));
        live.follow_saving(&[], std::slice::from_ref(&flush));
        assert_eq!(live.figures.failures.load(Relaxed), attempt);
        let copy = copy(folder.path());
        assert_eq!(Live::restored(copy.path()).state(), live.state());
    }
    live.follow(&[fill]);
    live.follow_saving(&[], &[flush]);
    live.wait_for_snapshots(2);
    assert_eq!(names(folder.path()), ["log-5", "snapshot-5.rdb"]);
    let end = live.state();
    live.killed();
    assert_eq!(Live::restored(folder.path()).state(), end);
}

#[test]
fn a_full_resync_tells_the_keys_that_differ() {
    use crate::feed::Fact;
    let generation = |pairs: &[(&str, &str)]| {
        let rdb = rdb(pairs);
        let (tuning, len) = (Arc::default(), rdb.len() as u64);
        let source = MemorySource(Bytes::from(rdb));
        let loaded = load::snapshot(source, len, kept(&tuning), &LoadFigures::default());
        loaded.unwrap().generation
    };
    let old = generation(&[("same", "v"), ("gone", "v"), ("changed", "v")]);
    let next = generation(&[("same", "v"), ("changed", "w"), ("new", "v")]);
    let interest = Interest::EVENTS.with(Interest::TOUCHES);
    let mut listener = FEED.listen(interest);
    let now = Point {
        replid: id(OTHER_ID),
        offset: 77,
    };
    note_replacement(Some(&old), &next, now);
    let news = listener.try_next().unwrap().unwrap();
    let (mut facts, mut touched) = (Vec::new(), Vec::new());
    for change in news.changes(interest) {
        assert_eq!(change.offset, 77);
        match change.fact {
            Fact::Event { event, key, .. } => facts.push((event, key)),
            Fact::Touch { key } => touched.push(key),
            fact => assert_eq!(fact, Fact::Replaced { told: true }),
        }
    }
    facts.sort_unstable();
    touched.sort_unstable();
    let expected: [(&str, &[u8]); 4] = [
        ("del", b"gone"),
        ("new", b"new"),
        ("restore", b"changed"),
        ("restore", b"new"),
    ];
    assert_eq!(facts, expected);
    assert_eq!(touched, [&b"changed"[..], b"gone", b"new"]);
    // Without the old data, everything may have changed.
    note_replacement(None, &next, now);
    let news = listener.try_next().unwrap().unwrap();
    let facts: Vec<_> = news.changes(interest).map(|change| change.fact).collect();
    assert_eq!(facts, [Fact::Replaced { told: false }]);
}

//! Writes the store as a snapshot while the stream continues.
//!
//! A real server loads the same data from the file. What redtail knows beyond that is in aux fields, which servers ignore.
//! Source: redis 8.0 rdb.c, "We ignore fields we don't understand, as by AUX field contract".
//!
//! The writer thread itself writes the snapshot, a few shards at a time between chunks of the stream. Before it takes the locks
//! of a command, it writes the keys that the command may change and whose shards are not written yet, one by one, and remembers
//! them. There is only one writer, so nothing else can change them; readers share the locks with it. So the whole snapshot is of
//! one offset.
//!
//! A command that changes whole databases needs all their shards. If they hold more than 200,000 unwritten keys, it ends the
//! snapshot, which starts again later; after three such failures the next one is written whatever the commands need. While the
//! stream waits, a snapshot gets a quarter of the writer's time.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::folder::Folder;
use crate::history::StreamPoint;
use crate::rdb::decode::UNKNOWN_ATTACHED;
use crate::rdb::encode::Writer;
use crate::rdb::object::Meta;
use crate::rdb::version::Version;
use crate::store::{Attached, ClusterSlots, Doubt, Entry, Generation, Slot, unix_ms};

/// The sweeper in `store` discarded the next key's value after its expiry. This field's value says whether it was a hash
/// with expiring fields.
pub const SWEPT: &[u8] = b"redtail-swept";
/// A tainted key: its database, its doubt and its name, separated by spaces.
pub const TAINTED: &[u8] = b"redtail-tainted";
/// Everything is tainted.
pub const TAINTED_ALL: &[u8] = b"redtail-tainted-all";
/// Slots that a cluster is migrating, whose keys are hidden: as ranges, a blank, and the migration's name.
pub const MIGRATING: &[u8] = b"redtail-migrating";
/// The function libraries are not known.
pub const LIBRARIES_DOUBTED: &[u8] = b"redtail-libraries-doubted";

/// Maximum number of keys that are written at once because a command needs them. A command that needs more makes the
/// snapshot start again later, because the stream would stall while they are written.
const HURRIED_KEYS_MAX: usize = if cfg!(test) { 500 } else { 200_000 };

/// Maximum number of keys that are written one by one before their whole shard is. It bounds the memory for their names.
const EARLY_KEYS_MAX: usize = if cfg!(test) { 2 } else { 512 };

/// While the stream waits, a snapshot gets a quarter of the time.
const REST_TIMES: u32 = 4;

/// A taint as stored in a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taint {
    /// The database.
    pub db: usize,
    /// What is not known.
    pub doubt: Doubt,
    /// The key.
    pub key: Box<[u8]>,
}

impl Taint {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} ", self.db, word(self.doubt)).into_bytes();
        bytes.extend_from_slice(&self.key);
        bytes
    }

    /// Reads the value of a [`TAINTED`] field; `None` for anything else.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut parts = bytes.splitn(3, |byte| *byte == b' ');
        let db = std::str::from_utf8(parts.next()?).ok()?.parse().ok()?;
        let named = parts.next()?;
        let doubts = [Doubt::Elements, Doubt::Value, Doubt::Existence];
        Some(Self {
            db,
            doubt: doubts
                .into_iter()
                .find(|doubt| word(*doubt).as_bytes() == named)?,
            key: parts.next()?.into(),
        })
    }
}

/// A migration as stored in a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// The hidden slots.
    pub slots: ClusterSlots,
    /// The name.
    pub job: Box<[u8]>,
}

impl Migration {
    fn encode(&self) -> Vec<u8> {
        let ranges = self.slots.to_string().replace(' ', ",");
        let mut bytes = format!("{ranges} ").into_bytes();
        bytes.extend_from_slice(&self.job);
        bytes
    }

    /// Reads the value of a [`MIGRATING`] field; `None` for anything else.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let blank = bytes.iter().position(|byte| *byte == b' ')?;
        let (ranges, job) = bytes.split_at_checked(blank)?;
        let ranges: Vec<u8> = ranges
            .iter()
            .map(|byte| if *byte == b',' { b' ' } else { *byte })
            .collect();
        Some(Self {
            slots: ClusterSlots::from_text(&ranges)?,
            job: job.get(1..)?.into(),
        })
    }
}

const fn word(doubt: Doubt) -> &'static str {
    match doubt {
        Doubt::Elements => "elements",
        Doubt::Value => "value",
        Doubt::Existence => "existence",
    }
}

/// A database at the moment of the snapshot.
#[derive(Debug)]
struct Database {
    keys: u64,
    expires: u64,
    /// By shard.
    written: Box<[bool]>,
    introduced: bool,
}

/// A snapshot being written. After a failure it is of no further use.
#[derive(Debug)]
pub struct Saving {
    number: u64,
    /// The file's temporary name, as long as dropping this removes the file.
    path: Option<PathBuf>,
    file: Arc<File>,
    generation: Arc<Generation>,
    writer: Option<Writer<Output>>,
    databases: Vec<Database>,
    /// The keys of unwritten shards that have been written early, because a command was about to change them; by database
    /// and shard.
    early: HashMap<(usize, usize), HashSet<Box<[u8]>>>,
    /// The database whose keys are being written.
    selected: Option<usize>,
    /// The next database and shard to write.
    next: (usize, usize),
    error: Option<io::Error>,
    patient: bool,
    /// Until then, a stream that waits has priority.
    rests_until: Instant,
}

/// The file, shared with the thread that forces it to the disk.
#[derive(Debug)]
struct Output(Arc<File>);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self.0).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The result of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// There is more to write.
    More,
    /// Everything is written, or a failure has ended the snapshot.
    Done,
}

impl Saving {
    /// Starts a snapshot of what `generation` holds now, at `place`. If `patient`, a command that needs many keys at once
    /// waits until they are written. Otherwise it ends the snapshot.
    ///
    /// # Errors
    /// Returns an error when the file cannot be written.
    pub(super) fn create(
        folder: &Folder,
        number: u64,
        place: StreamPoint,
        generation: &Arc<Generation>,
        patient: bool,
    ) -> io::Result<Self> {
        let (file, path) = folder.create(number, "snapshot")?;
        let file = Arc::new(file);
        let version = Version::of_payload(generation.written_by.rdb_version());
        let mut writer = Writer::new(Output(Arc::clone(&file)), version).uncompressed();
        introduce(&mut writer, generation, place)?;
        Ok(Self {
            number,
            path: Some(path),
            file,
            generation: Arc::clone(generation),
            writer: Some(writer),
            databases: databases_of(generation),
            early: HashMap::new(),
            selected: None,
            next: (0, 0),
            error: None,
            patient,
            rests_until: Instant::now(),
        })
    }

    /// Writes a key that a command is about to change. Call this before its lock is taken.
    pub fn before_key(&mut self, db: usize, key: &[u8]) {
        let shard = self.generation.spaces.slot(db, key).shard as usize;
        let is_written =
            |database: &Database| database.keys == 0 || database.written.get(shard) != Some(&false);
        if self.error.is_some() || self.databases.get(db).is_none_or(is_written) {
            return;
        }
        if let Err(error) = self.write_key(db, shard, key) {
            self.error = Some(error);
        }
    }

    fn write_key(&mut self, db: usize, shard: usize, key: &[u8]) -> io::Result<()> {
        let early = self.early.entry((db, shard)).or_default();
        if early.contains(key) {
            return Ok(());
        }
        if early.len() >= EARLY_KEYS_MAX {
            return self.write_shard(db, shard);
        }
        early.insert(key.into());
        let Some(database) = self.databases.get_mut(db) else {
            // A database that is newer than the snapshot.
            return Ok(());
        };
        let writer = self.writer.as_mut().ok_or_else(ended)?;
        let (selected, now_s) = (&mut self.selected, unix_ms() / 1000);
        let mut result = Ok(());
        let attached = self.generation.spaces.attached();
        self.generation.spaces.visit_key(db, key, |entry| {
            result = select(writer, selected, db, database)
                .and_then(|()| write_entry(writer, entry, attached.of(db, key), now_s));
        });
        result
    }

    /// Writes shards that a command is about to change as a whole. Call this before their locks are taken.
    pub fn before(&mut self, slots: &[Slot]) {
        if self.error.is_some() {
            return;
        }
        if slots.len() > 1 && !self.patient && self.unwritten_keys(slots) > HURRIED_KEYS_MAX {
            self.error = Some(io::Error::other(HURRIED));
            return;
        }
        for slot in slots {
            let place = (slot.db as usize, slot.shard as usize);
            if let Err(error) = self.write_shard(place.0, place.1) {
                self.error = Some(error);
            }
        }
    }

    /// Estimates how many keys of the shards that a command needs are not written yet, assuming evenly filled shards.
    fn unwritten_keys(&self, slots: &[Slot]) -> usize {
        let keys = slots.iter().filter_map(|slot| {
            let database = self.databases.get(slot.db as usize)?;
            let written = database.written.get(slot.shard as usize)?;
            (!written).then_some((database.keys, database.written.len() as u64))
        });
        // A sum of keys times shards. Each database has the same number of shards.
        let (sum, shards) = keys.fold((0_u64, 1), |(sum, _), (keys, shards)| {
            (sum.saturating_add(keys), shards)
        });
        usize::try_from(sum / shards).unwrap_or(usize::MAX)
    }

    /// Writes at least one shard, and more until `budget` is used up.
    pub fn step(&mut self, budget: Duration) -> Step {
        let started = Instant::now();
        loop {
            if self.error.is_some() {
                return Step::Done;
            }
            let (db, shard) = self.next;
            let Some(database) = self.databases.get(db) else {
                return Step::Done;
            };
            if database.keys == 0 || shard >= database.written.len() {
                self.next = (db + 1, 0);
                continue;
            }
            self.next = (db, shard + 1);
            if let Err(error) = self.write_shard(db, shard) {
                self.error = Some(error);
            }
            let took = started.elapsed();
            if took > budget {
                self.rests_until = started + took * REST_TIMES;
                return Step::More;
            }
        }
    }

    /// Writes everything that is left.
    #[cfg(test)]
    pub(crate) fn finish(&mut self) {
        while self.step(Duration::from_secs(1)) == Step::More {}
    }

    /// Whether the snapshot has used its share of the time for now, if the stream waits.
    #[must_use]
    pub fn rests(&self) -> bool {
        Instant::now() < self.rests_until
    }

    fn write_shard(&mut self, db: usize, shard: usize) -> io::Result<()> {
        let Some(database) = self.databases.get_mut(db) else {
            // A database that is newer than the snapshot.
            return Ok(());
        };
        match database.written.get_mut(shard) {
            Some(written) if !*written => *written = true,
            _ => return Ok(()),
        }
        let writer = self.writer.as_mut().ok_or_else(ended)?;
        let now_s = unix_ms() / 1000;
        let early = self.early.remove(&(db, shard)).unwrap_or_default();
        let is_early = |key: &[u8]| !early.is_empty() && early.contains(key);
        let mut result = Ok(());
        let selected = &mut self.selected;
        let attached = self.generation.spaces.attached();
        self.generation.spaces.visit(db, shard, |entry| {
            if result.is_ok() && !is_early(entry.key()) {
                result = select(writer, selected, db, database)
                    .and_then(|()| write_entry(writer, entry, attached.of(db, entry.key()), now_s));
            }
        });
        result
    }

    /// Ends the file. Returns its size in bytes.
    pub(super) fn end(&mut self) -> io::Result<u64> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        let mut writer = self.writer.take().ok_or_else(ended)?;
        for aux in self
            .generation
            .module_aux
            .iter()
            .filter(|aux| aux.when != BEFORE_KEYS)
        {
            writer.module_aux(aux)?;
        }
        writer.end()?;
        Ok(self.file.metadata()?.len())
    }

    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    pub(super) const fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// Returns the file's temporary name. From now on, dropping this no longer removes the file.
    pub(super) const fn keep(&mut self) -> Option<PathBuf> {
        self.path.take()
    }
}

impl Drop for Saving {
    fn drop(&mut self) {
        if let Some(path) = self.path.take() {
            // If this fails, the next start removes the file.
            let _ = std::fs::remove_file(path);
        }
    }
}

#[cold]
fn ended() -> io::Error {
    io::Error::other("the snapshot has already ended")
}

const HURRIED: &str = "a command changes more keys at once than can be written before it";

/// The value of module data that must be read before the keys. Source: redis 8.0 redismodule.h,
/// `REDISMODULE_AUX_BEFORE_RDB`.
const BEFORE_KEYS: u64 = 1;

fn databases_of(generation: &Generation) -> Vec<Database> {
    let spaces = &generation.spaces;
    let database = |number| {
        let db = spaces.db(number);
        Database {
            keys: db.map_or(0, |db| db.len() as u64),
            expires: db.map_or(0, |db| db.expires() as u64),
            written: spaces.slots_of_db(number).map(|_| false).collect(),
            introduced: false,
        }
    };
    (0..spaces.databases()).map(database).collect()
}

/// Writes what comes before the keys.
fn introduce<W: Write>(
    writer: &mut Writer<W>,
    generation: &Generation,
    place: StreamPoint,
) -> io::Result<()> {
    writer.header()?;
    let (name, version) = generation.written_by.aux();
    writer.aux(name, version.as_bytes())?;
    writer.aux(b"redis-bits", b"64")?;
    writer.aux(b"ctime", (unix_ms() / 1000).to_string().as_bytes())?;
    writer.aux(b"repl-stream-db", place.db.to_string().as_bytes())?;
    writer.aux(b"repl-id", place.point.replid.to_string().as_bytes())?;
    writer.aux(b"repl-offset", place.point.offset.to_string().as_bytes())?;
    let taints = generation.spaces.taints();
    if taints.everything() {
        writer.aux(TAINTED_ALL, b"1")?;
    }
    for (db, key, doubt) in taints.list() {
        writer.aux(TAINTED, &Taint { db, doubt, key }.encode())?;
    }
    for (job, slots) in taints.hidden().jobs() {
        writer.aux(MIGRATING, &Migration { slots, job }.encode())?;
    }
    let libraries = generation.spaces.libraries();
    match libraries.all() {
        None => writer.aux(LIBRARIES_DOUBTED, b"1")?,
        Some(all) => all.iter().try_for_each(|one| writer.function(&one.code))?,
    }
    // Redis before 7.0, which sends scripts by their digests, uses this name for them. Source: redis 6.0 rdb.c,
    // `rdbSaveRio`.
    for code in generation.spaces.scripts().all() {
        writer.aux(b"lua", &code)?;
    }
    let mut aux = generation.module_aux.iter();
    aux.by_ref()
        .filter(|aux| aux.when == BEFORE_KEYS)
        .try_for_each(|aux| writer.module_aux(aux))
}

fn select<W: Write>(
    writer: &mut Writer<W>,
    selected: &mut Option<usize>,
    db: usize,
    database: &mut Database,
) -> io::Result<()> {
    if *selected == Some(db) {
        return Ok(());
    }
    *selected = Some(db);
    if std::mem::replace(&mut database.introduced, true) {
        writer.select(db as u64)
    } else {
        writer.database(db as u64, database.keys, database.expires)
    }
}

fn write_entry<W: Write>(
    writer: &mut Writer<W>,
    entry: &Entry,
    attached: Option<Attached>,
    now_s: i64,
) -> io::Result<()> {
    let idle = |used_s: u32| u64::try_from(now_s - i64::from(used_s)).unwrap_or(0);
    let meta = Meta {
        expire_at_ms: entry.expire_at_ms(),
        idle_s: entry.used_at_s().map(idle),
        freq: None,
    };
    if entry.is_swept() {
        // The key expired long ago: a server that loads it as a primary drops it, whatever its value.
        let timed: &[u8] = if entry.is_timed() { b"timed" } else { b"plain" };
        writer.aux(SWEPT, timed)?;
        writer.key(entry.key(), meta, crate::rdb::ValueType::String)?;
        return writer.string(b"");
    }
    let value = entry.value();
    let kind = value.value_type(writer.layouts());
    match attached {
        None => writer.key(entry.key(), meta, kind)?,
        Some(Attached::Known(record)) => writer.key_with(entry.key(), meta, &record, kind)?,
        Some(Attached::Unknown) => writer.key_with(entry.key(), meta, &UNKNOWN_ATTACHED, kind)?,
    }
    value.encode(writer)
}

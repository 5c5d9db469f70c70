//! Loads a full resync's payload: `$length` or `$EOF:mark`, an RDB, and in the second case the mark again.
//!
//! The end of the RDB is found by decoding it, never by searching for the mark, because a value may contain the mark.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::figures::LoadFigures;
use super::stream::importing;
use crate::command::ReplayScripts;
use crate::dialect::Dialect;
use crate::feed::Feed;
use crate::limits::HANDSHAKE_LINE_BYTES_MAX;
use crate::rdb::decode::{Checksum, Sink, Summary, UNKNOWN_ATTACHED, decode};
use crate::rdb::error::Error as RdbError;
use crate::rdb::error::SinkError;
use crate::rdb::module::ModuleAux;
use crate::rdb::object::{Meta, Object};
use crate::rdb::reader::Reader;
use crate::rdb::source::{ReadSource, Source};
use crate::rdb::version::Version;
use crate::state::{self, Migration, Taint};
use crate::store::{
    Attached, ClusterSlots, Doubt, Entry, Generation, Keyspaces, Libraries, Loader, LoaderError,
    NewValue, Served, Tuning, WriteToken, unix_ms,
};
use crate::value::{Choices, Thresholds};

/// Keys for which room is made on the snapshot's word alone: about 100 MB of empty table. Beyond it, tables grow as keys
/// arrive.
const PRESIZED_KEYS_MAX: u64 = 4 << 20;

/// The minimum bytes of a key in an RDB: type, key length, value length.
const KEY_BYTES_MIN: u64 = 3;

/// How many damaged values of a snapshot the log names one by one.
const FLAWED_SHOWN: u64 = 16;

/// Keys between two updates of the figures.
const FIGURES_EVERY: u64 = 1024;

/// Length of the random mark in `$EOF:` payloads.
const MARK_BYTES: usize = 40;

/// Why a full resync's payload could not be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The RDB is invalid, or the connection ended in the middle of it.
    #[error("reading the snapshot: {0}")]
    Rdb(#[from] crate::rdb::error::Error),
    /// The primary sent an error instead.
    #[error("the primary could not send its snapshot: {0}")]
    Refused(String),
    /// The first line is not a payload header.
    #[error("the primary announces a snapshot with {0:?} instead of $<length> or $EOF:<mark>")]
    Header(String),
    /// The announced mark does not follow the RDB.
    #[error("the snapshot ends at offset {0}, but the announced end mark does not follow it")]
    Mark(u64),
    /// The RDB is longer than announced, or a kept one is shorter.
    #[error("the snapshot has {actual} bytes, but {announced} were announced")]
    Length {
        /// Bytes announced.
        announced: u64,
        /// Bytes of the RDB.
        actual: u64,
    },
}

/// Why a decoded key was refused.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(transparent)]
    Key(#[from] LoaderError),
    #[error(transparent)]
    Element(#[from] crate::value::Error),
    #[error("the primary uses database {0}; allow it with --databases {1} or more")]
    Database(u64, u64),
    #[error("a dump of version {0} cannot be served with one of version {1}")]
    Version(Version, Version),
    #[error("{0:?} does not say which key's value is unknown")]
    Taint(String),
    #[error("{0:?} does not say which slots are being migrated")]
    Migration(String),
}

/// The dump cannot be opened.
impl From<io::Error> for LoadError {
    fn from(error: io::Error) -> Self {
        Self::Rdb(RdbError::new(0, "the file", error))
    }
}

impl From<Refusal> for SinkError {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal)
    }
}

/// How a payload ends.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Length(u64),
    Mark([u8; MARK_BYTES]),
}

impl Framing {
    /// The payload's length, if it is announced.
    pub(super) const fn length(&self) -> Option<u64> {
        match self {
            Self::Length(length) => Some(*length),
            Self::Mark(_) => None,
        }
    }

    fn parse(line: &[u8]) -> Result<Self, LoadError> {
        if let Some(message) = line.strip_prefix(b"-") {
            return Err(LoadError::Refused(
                String::from_utf8_lossy(message).into_owned(),
            ));
        }
        let announced = line.strip_prefix(b"$");
        let mark = announced
            .and_then(|rest| rest.strip_prefix(b"EOF:")?.try_into().ok())
            .map(Self::Mark);
        let length =
            || crate::resp::parse_integer(announced?).and_then(|length| u64::try_from(length).ok());
        mark.or_else(|| length().map(Self::Length)).ok_or_else(|| {
            LoadError::Header(
                String::from_utf8_lossy(line.get(..line.len().min(80)).unwrap_or_default())
                    .into_owned(),
            )
        })
    }
}

/// A snapshot in memory.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) generation: Arc<Generation>,
    /// The database that was selected in the stream when the snapshot was taken.
    pub(super) stream_db: usize,
    /// The history that the snapshot names, and its offset there.
    pub(super) lineage: Option<(String, u64)>,
    /// Bytes of the RDB.
    pub(super) bytes: u64,
    pub(super) checksum: Checksum,
}

/// What a snapshot is loaded into.
#[derive(Clone, Copy)]
pub(super) struct Kept<'a> {
    /// The right to fill it.
    pub(super) token: &'a WriteToken,
    /// How many databases there can be.
    pub(super) databases: usize,
    /// The dialect of replies, whatever the snapshot says.
    pub(super) dialect: Option<Dialect>,
    /// The operator's settings.
    pub(super) tuning: &'a Arc<Tuning>,
    /// Where its changes will be noted.
    pub(super) feed: &'a Arc<Feed>,
    /// Runs scripts that arrive in the stream.
    pub(super) scripting: Option<&'a Arc<dyn ReplayScripts>>,
}

impl Kept<'_> {
    /// Empty keyspaces.
    fn spaces(&self) -> Keyspaces {
        Keyspaces::new(self.databases)
            .tracking_access(self.tuning.tracks_access())
            .feeding(Arc::clone(self.feed))
            .owned_by(self.tuning.ownership())
    }
}

/// Loads the bytes of one more dump.
type LoadNext<'l> = &'l mut dyn FnMut(Box<dyn io::Read>) -> Result<(), LoadError>;

/// Loads the dumps that `read` passes to its argument, and serves them as one data set for ever: no primary changes it.
///
/// # Errors
/// The error of `read`. Its argument returns a [`LoadError`] with the byte offset and what was being read, also if the dump has
/// another version than the first, or a key that was loaded before.
pub fn serve_dumps<E>(
    databases: usize,
    read: impl FnOnce(LoadNext<'_>) -> Result<(), E>,
) -> Result<Served, E> {
    let (served, token) = Served::new(Arc::default());
    let kept = Kept {
        token: &token,
        databases,
        dialect: None,
        tuning: served.tuning(),
        feed: served.feed(),
        scripting: None,
    };
    let (spaces, figures) = (kept.spaces(), LoadFigures::default());
    let mut snapshot = Snapshot::new(&spaces, kept, 0, &figures);
    read(&mut |from| {
        let mut reader = Reader::new(ReadSource::new(from));
        snapshot.read(&mut reader).map(drop)
    })?;
    let facts = snapshot.facts;
    facts.report();
    let generation = Arc::new(facts.generation(spaces, kept));
    token.serve(&served, generation);
    Ok(served)
}

/// Loads a dump from `source` into a generation of its own: a full sync without a primary.
///
/// # Errors
/// [`LoadError`] with the byte offset and what was being read.
#[cfg(any(test, feature = "testing"))]
pub fn load_dump<S: Source>(source: S, databases: usize) -> Result<Arc<Generation>, LoadError> {
    let figures = LoadFigures::default();
    let kept = Kept {
        token: WriteToken::for_tests(),
        databases,
        dialect: None,
        tuning: &Arc::default(),
        feed: &Arc::default(),
        scripting: None,
    };
    rdb(&mut Reader::new(source), kept, 0, &figures).map(|loaded| loaded.generation)
}

/// Reads a payload's header, and the keep-alive newlines before it.
///
/// # Errors
/// [`LoadError`].
pub(super) fn header<S: Source>(reader: &mut Reader<S>) -> Result<Framing, LoadError> {
    loop {
        // A primary that is still saving sends a bare newline now and then.
        let line = reader.read_line(HANDSHAKE_LINE_BYTES_MAX)?;
        if !line.is_empty() {
            return Framing::parse(line);
        }
    }
}

/// Reads a payload from after its header to its last byte.
///
/// # Errors
/// [`LoadError`]; what was loaded is dropped.
pub(super) fn payload<S: Source>(
    reader: &mut Reader<S>,
    framing: &Framing,
    kept: Kept<'_>,
    figures: &LoadFigures,
) -> Result<Loaded, LoadError> {
    let announced = if let Framing::Length(length) = framing {
        *length
    } else {
        0
    };
    figures.start(announced);
    let result = rdb(reader, kept, announced, figures).and_then(|loaded| {
        end(reader, framing, loaded.bytes)?;
        Ok(loaded)
    });
    figures.end(result.is_ok());
    result
}

/// Reads a snapshot from the state directory, `bytes` bytes long.
///
/// # Errors
/// [`LoadError`].
pub(super) fn snapshot<S: Source>(
    source: S,
    bytes: u64,
    kept: Kept<'_>,
    figures: &LoadFigures,
) -> Result<Loaded, LoadError> {
    figures.start(bytes);
    let loaded = rdb(&mut Reader::new(source), kept, bytes, figures);
    let result = loaded.and_then(|loaded| match loaded.bytes == bytes {
        true => Ok(loaded),
        false => Err(LoadError::Length {
            announced: bytes,
            actual: loaded.bytes,
        }),
    });
    figures.end(result.is_ok());
    result
}

/// Decodes an RDB of `announced` bytes (0 if the length is not known) into a generation of its own.
fn rdb<S: Source>(
    reader: &mut Reader<S>,
    kept: Kept<'_>,
    announced: u64,
    figures: &LoadFigures,
) -> Result<Loaded, LoadError> {
    let spaces = kept.spaces();
    let mut snapshot = Snapshot::new(&spaces, kept, announced, figures);
    let summary = snapshot.read(reader)?;
    figures.keys.store(snapshot.keys, Ordering::Relaxed);
    figures.bytes.store(summary.bytes, Ordering::Relaxed);
    let facts = snapshot.facts;
    facts.report();
    let lineage = facts.replid.clone().zip(facts.offset);
    let stream_db = facts.stream_db;
    Ok(Loaded {
        generation: Arc::new(facts.generation(spaces, kept)),
        stream_db,
        lineage,
        bytes: summary.bytes,
        checksum: summary.checksum,
    })
}

/// Reads up to the payload's end. The end of the RDB, `bytes` bytes long, has been found by decoding it, never by
/// searching for the mark, which a value may contain. Servers ignore any bytes between the two: they decode a file that
/// they have received before.
/// Source: redis 8.0 replication.c, `readSyncBulkPayload`.
fn end<S: Source>(reader: &mut Reader<S>, framing: &Framing, bytes: u64) -> Result<(), LoadError> {
    let passed = match framing {
        Framing::Length(announced) => rest(reader, *announced, bytes)?,
        Framing::Mark(mark) => up_to(reader, mark)?,
    };
    if passed > 0 {
        tracing::warn!(
            bytes = passed,
            "skipped the bytes after the snapshot's end, as servers do"
        );
    }
    Ok(())
}

/// Skips the rest of `announced` bytes, of which `actual` have been read. Returns how many bytes it skipped.
fn rest<S: Source>(reader: &mut Reader<S>, announced: u64, actual: u64) -> Result<u64, LoadError> {
    let rest = announced
        .checked_sub(actual)
        .ok_or(LoadError::Length { announced, actual })?;
    for _ in 0..rest {
        reader.array::<1>()?;
    }
    Ok(rest)
}

/// Reads up to the end of `mark`. Returns how many bytes came before it.
fn up_to<S: Source>(reader: &mut Reader<S>, mark: &[u8; MARK_BYTES]) -> Result<u64, LoadError> {
    let at = reader.position();
    let mut last = reader.array::<MARK_BYTES>()?;
    let mut passed = 0;
    while last != *mark {
        last.rotate_left(1);
        let [next] = reader.array::<1>().map_err(|_| LoadError::Mark(at))?;
        last[MARK_BYTES - 1] = next;
        passed += 1;
    }
    Ok(passed)
}

/// What the aux fields and functions of a snapshot say.
#[derive(Default)]
struct Facts {
    version: Option<Version>,
    dialect: Option<Dialect>,
    stream_db: usize,
    libraries: Libraries,
    module_aux: Vec<ModuleAux>,
    replid: Option<String>,
    offset: Option<u64>,
    taints: Vec<Taint>,
    taints_everything: bool,
    /// Slots that are being migrated.
    migrations: Vec<Migration>,
    /// The dialect of the server that wrote the snapshot, found more precisely than from a version alone.
    writer: Dialect,
    /// Values that are damaged in a way that servers still load.
    flawed: u64,
    /// Whether the value of the next key was discarded, and if so, whether it was a hash with expiring fields.
    is_swept: Option<bool>,
    /// What modules have attached to the next key.
    attached: Option<Attached>,
}

/// Puts what the decoder reads into a new generation.
struct Snapshot<'a> {
    loader: Loader<'a>,
    spaces: &'a Keyspaces,
    token: &'a WriteToken,
    keys_max: u64,
    choices: Choices,
    thresholds: Thresholds,
    figures: &'a LoadFigures,
    keys: u64,
    /// Applies whatever the snapshot says.
    chosen_dialect: Option<Dialect>,
    scripting: Option<&'a Arc<dyn ReplayScripts>>,
    /// How many libraries the RDBs before this one had.
    earlier_libraries: usize,
    facts: Facts,
}

impl Facts {
    /// Logs how many damaged values were loaded beyond those already named.
    fn report(&self) {
        if self.flawed > FLAWED_SHOWN {
            tracing::warn!(
                values = self.flawed - FLAWED_SHOWN,
                "more values of the snapshot are damaged in a way that servers of its version still load"
            );
        }
    }

    /// The generation that consists of `spaces` and these facts.
    fn generation(self, spaces: Keyspaces, kept: Kept<'_>) -> Generation {
        for taint in self.taints {
            kept.token.taint(&spaces, taint.db, &taint.key, taint.doubt);
        }
        if self.taints_everything {
            kept.token.taint_everything(&spaces);
        }
        for Migration { slots, job } in &self.migrations {
            kept.token.begin_migration(&spaces, job, slots);
        }
        kept.token.set_libraries(&spaces, self.libraries);
        let written_by = self.dialect.or(kept.dialect).unwrap_or_default();
        Generation {
            spaces,
            dialect: kept.dialect.unwrap_or(written_by),
            written_by,
            tuning: Arc::clone(kept.tuning),
            module_aux: self.module_aux,
        }
    }
}

impl<'a> Snapshot<'a> {
    fn new(
        spaces: &'a Keyspaces,
        kept: Kept<'a>,
        announced: u64,
        figures: &'a LoadFigures,
    ) -> Self {
        let choices = kept.tuning.choices();
        let keys_max = match announced {
            0 => PRESIZED_KEYS_MAX,
            bytes => PRESIZED_KEYS_MAX.min(bytes / KEY_BYTES_MIN),
        };
        Self {
            loader: kept.token.loader(spaces),
            token: kept.token,
            spaces,
            keys_max,
            thresholds: choices.thresholds(kept.dialect.unwrap_or_default()),
            choices,
            figures,
            keys: 0,
            chosen_dialect: kept.dialect,
            scripting: kept.scripting,
            earlier_libraries: 0,
            facts: Facts::default(),
        }
    }
}

impl Snapshot<'_> {
    /// Reads one RDB into the generation. Others may follow.
    fn read<S: Source>(&mut self, reader: &mut Reader<S>) -> Result<Summary, LoadError> {
        let refused = |reader: &Reader<S>, error: LoaderError| {
            reader.error(SinkError::from(Refusal::from(error)))
        };
        // Keys before the first SELECTDB belong to database 0.
        let selected = self.loader.select(0);
        selected.map_err(|error| refused(reader, error))?;
        reader.mark_start();
        let summary = decode(reader, self)?;
        let finished = self.loader.finish();
        finished.map_err(|error| refused(reader, error))?;
        self.earlier_libraries = self.facts.libraries.all().map_or(0, <[_]>::len);
        Ok(summary)
    }

    /// Whether an earlier dump has the same library. The primaries of a cluster have the same ones.
    fn has_library(&self, code: &[u8]) -> bool {
        let all = self.facts.libraries.all().unwrap_or_default();
        let mut earlier = all.iter().take(self.earlier_libraries);
        earlier.any(|library| library.code == code)
    }

    /// Keeps a script that the server knows: the stream may call it by its digest. Source: redis 6.0 rdb.c, `rdbLoadRio`.
    fn keep_script(&self, code: &[u8]) {
        let dialect = self.chosen_dialect.or(self.facts.dialect);
        let dialect = dialect.unwrap_or_default();
        let scripting = self.scripting.filter(|_| !dialect.protects_globals());
        match scripting.map(|scripting| scripting.load(code, dialect)) {
            Some(Ok(digits)) => self.token.keep_script(self.spaces, &digits, code),
            Some(Err(error)) => {
                tracing::warn!(%error, "a script in the snapshot does not compile in redtail: a call of it taints everything");
            }
            None => {}
        }
    }

    /// Hides what the primary is importing. Source: redis 8.4 rdb.c, from documents.
    fn import(&mut self, task: &[u8]) {
        match importing(task) {
            Ok(migration) => self.facts.migrations.extend(migration),
            Err(()) => {
                let task = String::from_utf8_lossy(task);
                tracing::error!(%task, "the snapshot contains a migration of slots that redtail does not understand: all keys answer TAINTED until the next full sync");
                self.facts.taints_everything = true;
            }
        }
    }

    fn known(&self, db: u64) -> Result<usize, Refusal> {
        usize::try_from(db)
            .ok()
            .filter(|number| self.token.grow_to(self.spaces, *number))
            .ok_or(Refusal::Database(db, db.saturating_add(1)))
    }
}

/// The taint that a field of our own snapshot describes. Were it dropped, its key would be served as if it were known.
fn taint(value: &[u8]) -> Result<Taint, Refusal> {
    let described = || String::from_utf8_lossy(value).into_owned();
    Taint::decode(value).ok_or_else(|| Refusal::Taint(described()))
}

/// The migration that a field of our own snapshot describes.
fn migration(value: &[u8]) -> Result<Migration, Refusal> {
    let described = || String::from_utf8_lossy(value).into_owned();
    Migration::decode(value).ok_or_else(|| Refusal::Migration(described()))
}

/// The number that a text starts with, as C's `atoi` reads it; 0 if it is negative or there is none. A server stays in
/// database 0 then.
fn leading(text: &[u8]) -> u64 {
    let blanks = text.iter().take_while(|byte| byte.is_ascii_whitespace());
    let text = text.get(blanks.count()..).unwrap_or_default();
    let text = text.strip_prefix(b"+").unwrap_or(text);
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
    let digits = text.get(..digits.count()).unwrap_or_default();
    let number = std::str::from_utf8(digits).ok();
    number.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// When a key that has been idle for `idle_s` seconds was last used, in Unix seconds; now if the snapshot does not say.
///
/// Source: redis 8.0 object.c, `objectSetLRUOrLFU`.
fn used_at_s(idle_s: Option<u64>) -> u32 {
    let now_s = u64::try_from(unix_ms()).unwrap_or(0) / 1000;
    u32::try_from(now_s.saturating_sub(idle_s.unwrap_or(0))).unwrap_or(0)
}

impl Sink for Snapshot<'_> {
    fn version(&mut self, version: Version) -> Result<(), SinkError> {
        match self.facts.version.replace(version) {
            Some(first) if first != version => return Err(Refusal::Version(version, first).into()),
            _ => {}
        }
        self.facts.writer = version.dialect();
        if !version.is_known() {
            tracing::warn!(
                %version,
                "the snapshot's version is newer than this redtail: it is loaded if redtail knows every record in it"
            );
        }
        Ok(())
    }

    fn flawed(&mut self, error: RdbError) -> Result<(), RdbError> {
        self.note_flaw(&error);
        Ok(())
    }

    /// Loads the key without its value, so that counts and the stream see it. A read of its value answers TAINTED.
    fn lost(&mut self, db: u64, key: &[u8], meta: Meta) -> Result<(), SinkError> {
        self.facts.taints.push(Taint {
            db: self.known(db)?,
            key: key.into(),
            doubt: Doubt::Value,
        });
        self.key(db, key, meta, Object::Int(0))
    }

    fn attached(&mut self, record: &[u8]) -> Result<(), SinkError> {
        self.facts.attached = Some(if record == UNKNOWN_ATTACHED {
            Attached::Unknown
        } else {
            Attached::Known(record.into())
        });
        Ok(())
    }

    fn slot_import(&mut self, job: &[u8], ranges: &[(u64, u64)]) -> Result<(), SinkError> {
        let mut slots = ClusterSlots::default();
        if !ranges.iter().all(|(first, last)| slots.add(*first, *last)) {
            return Err(Refusal::Migration(format!("{ranges:?}")).into());
        }
        let job = job.into();
        self.facts.migrations.push(Migration { slots, job });
        Ok(())
    }

    fn aux(&mut self, name: &[u8], value: &[u8]) -> Result<(), SinkError> {
        self.facts.dialect = Dialect::after_aux(self.facts.dialect, name, value);
        self.facts.writer = self.facts.dialect.unwrap_or(self.facts.writer);
        let number =
            || crate::resp::parse_integer(value).and_then(|number| u64::try_from(number).ok());
        match name {
            b"repl-stream-db" => self.facts.stream_db = self.known(leading(value))?,
            b"repl-id" => self.facts.replid = String::from_utf8(value.to_vec()).ok(),
            b"repl-offset" => self.facts.offset = number(),
            b"lua" => self.keep_script(value),
            state::SWEPT => self.facts.is_swept = Some(value == b"timed"),
            state::TAINTED => self.facts.taints.push(taint(value)?),
            b"cluster-asm-task" => self.import(value),
            state::MIGRATING => self.facts.migrations.push(migration(value)?),
            state::TAINTED_ALL => self.facts.taints_everything = true,
            state::LIBRARIES_DOUBTED => self.facts.libraries.doubt(),
            _ => {}
        }
        // These fields come before the keys, so even the first key is kept as its server keeps it.
        let dialect = self.chosen_dialect.or(self.facts.dialect);
        self.thresholds = self.choices.thresholds(dialect.unwrap_or_default());
        Ok(())
    }

    fn select_db(&mut self, db: u64) -> Result<(), SinkError> {
        let number = self.known(db)?;
        Ok(self.loader.select(number).map_err(Refusal::from)?)
    }

    fn resize_db(&mut self, keys: u64, _expires: u64) -> Result<(), SinkError> {
        self.figures
            .keys_expected
            .fetch_add(keys, Ordering::Relaxed);
        let room = keys.min(self.keys_max);
        // The limit is for all databases together, because each may announce as much.
        self.keys_max -= room;
        self.loader.reserve(usize::try_from(room).unwrap_or(0));
        Ok(())
    }

    fn function(&mut self, code: &[u8]) -> Result<(), SinkError> {
        if self.has_library(code) {
            return Ok(());
        }
        let added = self
            .facts
            .libraries
            .add(Bytes::copy_from_slice(code), false);
        if let Err(error) = added {
            tracing::warn!(%error, "the snapshot contains a function library that cannot be added: FUNCTION DUMP answers TAINTED");
            self.facts.libraries.doubt();
        }
        Ok(())
    }

    fn module_aux(&mut self, data: ModuleAux) -> Result<(), SinkError> {
        self.facts.module_aux.push(data);
        Ok(())
    }

    #[inline]
    fn key(
        &mut self,
        db: u64,
        key: &[u8],
        meta: Meta,
        object: Object<'_>,
    ) -> Result<(), SinkError> {
        let expiry = meta.expire_at_ms;
        if let Some(data) = self.facts.attached.take() {
            self.token.attach(self.spaces, self.known(db)?, key, data);
        }
        let value = match self.facts.is_swept.take() {
            Some(timed) => Err(timed),
            None => match NewValue::from_rdb(object, &self.thresholds) {
                Ok(value) => Ok(value),
                Err(error)
                    if error
                        .flaw()
                        .is_some_and(|flaw| self.facts.writer.loads(flaw)) =>
                {
                    self.note_flaw(&error);
                    return self.lost(db, key, meta);
                }
                Err(error) => return Err(Refusal::from(error).into()),
            },
        };
        let clock = self.spaces.tracks_access().then(|| used_at_s(meta.idle_s));
        let added = match (value, clock) {
            (Ok(value), None) => self.loader.add(key, expiry, value),
            (value, clock) => {
                let entry = match value {
                    Ok(value) => Entry::new(key, expiry, value),
                    Err(timed) => Entry::swept(key, expiry, timed),
                };
                self.loader.insert(match clock {
                    Some(at) => entry.clocked(at),
                    None => entry,
                })
            }
        };
        added.map_err(Refusal::from)?;
        self.count_key();
        Ok(())
    }

    #[inline]
    fn text(&mut self, db: u64, key: &[u8], meta: &Meta, text: &[u8]) -> Result<(), SinkError> {
        let is_plain = self.facts.is_swept.is_none() && self.facts.attached.is_none();
        if !is_plain || self.spaces.tracks_access() {
            return self.key(db, key, *meta, Object::Str(Cow::Borrowed(text)));
        }
        self.loader
            .add(key, meta.expire_at_ms, NewValue::encoded(text))
            .map_err(Refusal::from)?;
        self.count_key();
        Ok(())
    }
}

impl Snapshot<'_> {
    fn note_flaw(&mut self, error: &dyn std::error::Error) {
        self.facts.flawed += 1;
        if self.facts.flawed <= FLAWED_SHOWN {
            tracing::warn!(%error, "a value of the snapshot is damaged in a way that servers of its version still load");
        }
    }

    #[inline]
    fn count_key(&mut self) {
        self.keys += 1;
        if self.keys.is_multiple_of(FIGURES_EVERY) {
            self.figures.keys.store(self.keys, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
#[path = "load_tests.rs"]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests;

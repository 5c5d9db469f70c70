//! Decodes a whole RDB: header, opcodes, keys, checksum.

use super::{
    error::{Cause, Error, SinkError},
    kind::{self, ValueType},
    module::{self, ModuleAux},
    object::{Meta, Object},
    packed::IntText,
    reader::Reader,
    source::Source,
    value::{Decoded, Values},
    version::{Magic, Version},
};
use crate::dialect::Dialect;
use std::borrow::Cow;

/// Receives what the decoder reads, in file order. A call may stop the decoding by returning an error.
pub trait Sink {
    /// The header was read.
    ///
    /// # Errors
    /// An error stops the decoding, as in every other call.
    fn version(&mut self, version: Version) -> Result<(), SinkError> {
        let _ = version;
        Ok(())
    }

    /// A named field about the snapshot, such as `repl-stream-db`. May come before, between and after the keys.
    ///
    /// # Errors
    /// An error stops the decoding.
    fn aux(&mut self, name: &[u8], value: &[u8]) -> Result<(), SinkError> {
        let _ = (name, value);
        Ok(())
    }

    /// The following keys belong to this database. Not called for keys of database 0 that come first without a SELECTDB opcode.
    ///
    /// # Errors
    /// An error stops the decoding.
    fn select_db(&mut self, db: u64) -> Result<(), SinkError> {
        let _ = db;
        Ok(())
    }

    /// How many keys the database has, and how many of them expire. Only a hint: the numbers may be wrong.
    ///
    /// # Errors
    /// An error stops the decoding.
    fn resize_db(&mut self, keys: u64, expires: u64) -> Result<(), SinkError> {
        let _ = (keys, expires);
        Ok(())
    }

    /// The source of a function library.
    ///
    /// # Errors
    /// An error stops the decoding.
    fn function(&mut self, code: &[u8]) -> Result<(), SinkError> {
        let _ = code;
        Ok(())
    }

    /// Data that a module stores outside the keys.
    ///
    /// # Errors
    /// An error stops the decoding.
    fn module_aux(&mut self, data: ModuleAux) -> Result<(), SinkError> {
        let _ = data;
        Ok(())
    }

    /// What modules have attached to the next key: the record with its opcode. See [`UNKNOWN_ATTACHED`].
    ///
    /// # Errors
    /// An error stops the decoding.
    fn attached(&mut self, record: &[u8]) -> Result<(), SinkError> {
        let _ = record;
        Ok(())
    }

    /// Slots are being imported from another node of the cluster: the server hides their keys until `job` succeeds. Comes before
    /// the keys. A range is its first and its last slot, as they were written. By default it is ignored.
    ///
    /// # Errors
    /// An error stops the decoding.
    fn slot_import(&mut self, job: &[u8], ranges: &[(u64, u64)]) -> Result<(), SinkError> {
        let _ = (job, ranges);
        Ok(())
    }

    /// Whether a key is wanted. The value of one that is not is passed over, mostly without being decoded or checked.
    #[inline]
    fn wants(&mut self, db: u64, key: &[u8]) -> bool {
        let _ = (db, key);
        true
    }

    /// The type number of the next key, for a sink that needs the layout in which it was written; and the bytes of the key and
    /// its value, with the type number and without what precedes it.
    #[inline]
    fn value_type(&mut self, number: u8, bytes: u64) {
        let _ = (number, bytes);
    }

    /// The next value has a flaw, but servers of the writer's version load it anyway. If it cannot be kept as they have it,
    /// [`lost`](Self::lost) follows instead of the value.
    ///
    /// # Errors
    /// An error stops the decoding. By default, the given error does.
    fn flawed(&mut self, error: Error) -> Result<(), Error> {
        Err(error)
    }

    /// A key whose value was skipped, after [`flawed`](Self::flawed).
    ///
    /// # Errors
    /// An error stops the decoding.
    fn lost(&mut self, db: u64, key: &[u8], meta: Meta) -> Result<(), SinkError> {
        let _ = (db, key, meta);
        Ok(())
    }

    /// Like [`key`](Self::key), but for a short, plain string, the most common value.
    ///
    /// # Errors
    /// An error stops the decoding.
    #[inline]
    fn text(&mut self, db: u64, key: &[u8], meta: &Meta, text: &[u8]) -> Result<(), SinkError> {
        self.key(db, key, *meta, Object::Str(Cow::Borrowed(text)))
    }

    /// A key and its value. Expired keys are passed on like any other.
    ///
    /// # Errors
    /// An error stops the decoding.
    fn key(&mut self, db: u64, key: &[u8], meta: Meta, object: Object<'_>)
    -> Result<(), SinkError>;
}

/// A record of what modules have attached to a key that says it is unknown: no class has data. No server writes it, but
/// redtail's own snapshots do.
pub const UNKNOWN_ATTACHED: [u8; 2] = [kind::KEY_META, 0];

/// The state of an RDB's checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    /// It matches the content.
    Verified(u64),
    /// The writer stored 0: it was configured not to compute one.
    Disabled,
    /// Versions below 5 have no checksum.
    Absent,
}

/// A summary of one decoded RDB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// The header's version.
    pub version: Version,
    /// Number of keys passed on.
    pub keys: u64,
    /// Number of keys that were skipped because the receiver did not want them.
    pub keys_unwanted: u64,
    /// Number of empty collections skipped, which Redis does not load either.
    pub empty_keys_skipped: u64,
    /// Number of pieces of data that modules keep outside the keys.
    pub module_aux: u64,
    /// Length of the RDB in bytes, including the checksum.
    pub bytes: u64,
    /// The state of the checksum.
    pub checksum: Checksum,
}

/// Decodes one RDB, starting at the reader's position, and leaves the reader right after it.
///
/// # Errors
/// The first thing that is wrong, with its offset from the RDB's start, or the sink's own error. The sink keeps what it
/// received before the error: its owner must discard that.
pub fn decode<S: Source>(reader: &mut Reader<S>, sink: &mut impl Sink) -> Result<Summary, Error> {
    let mut decoding = Decoding::begin(reader, sink)?;
    while decoding.step(reader, sink)?.is_some() {}
    decoding.finish(reader)
}

/// What a record of a dump is, for code that copies it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Record {
    /// A key and its value.
    Key,
    /// Something about the next key: its expiry, its use, what modules have attached to it.
    Attribute,
    /// The database of the following keys.
    Database,
    /// A number of keys, which only helps a server to make room.
    Hint,
    /// A named field about the dump.
    Aux,
    /// A function library.
    Library,
    /// Anything else that is not about one key.
    Other,
}

impl Record {
    const fn of(number: u8, is_valkey: bool) -> Self {
        match number {
            kind::EXPIRETIME_MS | kind::EXPIRETIME | kind::FREQ | kind::IDLE => Self::Attribute,
            kind::KEY_META if !is_valkey => Self::Attribute,
            kind::SELECTDB => Self::Database,
            kind::RESIZEDB | kind::SLOT_INFO => Self::Hint,
            kind::AUX => Self::Aux,
            kind::FUNCTION2 => Self::Library,
            kind::OPCODE_MIN.. => Self::Other,
            _ => Self::Key,
        }
    }
}

/// Takes the sink, which has received the record, and the record's bytes.
pub(crate) type TakeRecord<'r, K> =
    &'r mut dyn FnMut(&mut K, Record, &[u8]) -> Result<(), SinkError>;

/// Like [`decode`], and passes the bytes of each record, with its opcode or type number, to `record` after the sink has received
/// it. The header, the end opcode and the checksum are no records.
///
/// # Errors
/// Like [`decode`], and the errors of `record`.
pub(crate) fn decode_records<S: Source, K: Sink>(
    reader: &mut Reader<S>,
    sink: &mut K,
    record: TakeRecord<'_, K>,
) -> Result<Summary, Error> {
    let mut decoding = Decoding::begin(reader, sink)?;
    let mut bytes = Vec::new();
    reader.record();
    while let Some(number) = decoding.step(reader, sink)? {
        reader.recorded(&mut bytes);
        let kind = Record::of(number, decoding.is_valkey());
        record(sink, kind, &bytes).map_err(|error| reader.error(error))?;
    }
    decoding.finish(reader)
}

fn header<S: Source>(reader: &mut Reader<S>) -> Result<Version, Error> {
    reader.reading("the header");
    let version = Version::parse(reader.take(9)?).ok_or(Cause::NotRdb);
    let version = version.map_err(|cause| reader.error_at(0, cause))?;
    if version.exists() {
        Ok(version)
    } else {
        Err(reader.error_at(0, Cause::Version(version)))
    }
}

/// Where the decoding of an RDB is, between two records.
#[derive(Debug)]
pub(crate) struct Decoding {
    db: u64,
    /// Attributes read so far for the next key.
    meta: Meta,
    /// The current key, in a buffer reused for all keys.
    key: Vec<u8>,
    /// The name of the current aux field, in a buffer reused likewise.
    name: Vec<u8>,
    /// The server that wrote the file, as far as the file says.
    dialect: Option<Dialect>,
    values: Values,
    summary: Summary,
}

impl Decoding {
    /// Reads the header.
    ///
    /// # Errors
    /// If there is none, or the sink's own error.
    pub(crate) fn begin<S: Source>(
        reader: &mut Reader<S>,
        sink: &mut impl Sink,
    ) -> Result<Self, Error> {
        reader.mark_start();
        let version = header(reader)?;
        sink.version(version).map_err(|error| reader.error(error))?;
        Ok(Self {
            db: 0,
            meta: Meta::default(),
            key: Vec::new(),
            name: Vec::new(),
            dialect: None,
            values: Values::new(version),
            summary: Summary {
                version,
                keys: 0,
                keys_unwanted: 0,
                empty_keys_skipped: 0,
                module_aux: 0,
                bytes: 0,
                checksum: Checksum::Absent,
            },
        })
    }

    /// Reads one opcode or key, and passes it to `sink`. Returns its number; `None` at the EOF opcode.
    ///
    /// # Errors
    /// What is wrong with it, or the sink's own error.
    pub(crate) fn step<S: Source>(
        &mut self,
        reader: &mut Reader<S>,
        sink: &mut impl Sink,
    ) -> Result<Option<u8>, Error> {
        let state = self;
        Decoder {
            reader,
            sink,
            state,
        }
        .step()
    }

    const fn is_valkey(&self) -> bool {
        matches!(self.summary.version.magic, Magic::Valkey)
    }

    /// Checks the checksum.
    ///
    /// # Errors
    /// If it does not match.
    pub(crate) fn finish<S: Source>(mut self, reader: &mut Reader<S>) -> Result<Summary, Error> {
        reader.reading("the checksum");
        let at = reader.position();
        if self.summary.version.has_checksum() {
            let computed = reader.checksum();
            self.summary.checksum = match u64::from_le_bytes(reader.array()?) {
                0 => Checksum::Disabled,
                stated if stated == computed => Checksum::Verified(stated),
                stated => {
                    return Err(reader.error_at(at, Cause::Checksum { stated, computed }));
                }
            };
        }
        self.summary.bytes = reader.position();
        Ok(self.summary)
    }
}

/// One step of the decoding.
struct Decoder<'d, S, K> {
    reader: &'d mut Reader<S>,
    sink: &'d mut K,
    state: &'d mut Decoding,
}

impl<S: Source, K: Sink> Decoder<'_, S, K> {
    /// Reads one opcode or key. Returns its number; `None` at the EOF opcode.
    fn step(&mut self) -> Result<Option<u8>, Error> {
        self.reader.reading("a type or opcode");
        let at = self.reader.position();
        let opcode = self.reader.u8()?;
        match opcode {
            kind::EOF => return Ok(None),
            kind::EXPIRETIME_MS => {
                self.reader.reading("an expiry");
                self.state.meta.expire_at_ms = Some(i64::from_le_bytes(self.reader.array()?));
            }
            kind::EXPIRETIME => {
                self.reader.reading("an expiry");
                self.state.meta.expire_at_ms =
                    Some(i64::from(i32::from_le_bytes(self.reader.array()?)) * 1000);
            }
            kind::FREQ => self.state.meta.freq = Some(self.reader.u8()?),
            kind::IDLE => self.state.meta.idle_s = Some(self.reader.length()?),
            kind::SELECTDB => self.select_db()?,
            kind::RESIZEDB => self.resize_db()?,
            kind::AUX => self.aux()?,
            kind::FUNCTION2 => self.function()?,
            kind::MODULE_AUX => self.module_aux()?,
            kind::SLOT_INFO if self.state.summary.version.has_slots() => self.slot_info()?,
            kind::FUNCTION_PRE_GA => return Err(self.reader.error_at(at, Cause::OldFunction)),
            kind::SLOT_IMPORT if self.is_valkey() => self.slot_import()?,
            kind::KEY_META => self.attached()?,
            kind::UPDATE if self.is_valkey() => {
                return Err(self.reader.error_at(at, Cause::Update));
            }
            kind::HASH_TEMPLATE => self.state.values.templates.read(self.reader)?,
            number @ kind::OPCODE_MIN.. => {
                return Err(self.reader.error_at(at, Cause::UnknownType(number)));
            }
            number => self.key(number, at)?,
        }
        Ok(Some(opcode))
    }

    /// Reads a key and its value. The value's type is `number`, read at `type_at`.
    fn key(&mut self, number: u8, type_at: u64) -> Result<(), Error> {
        if number == ValueType::String as u8
            && let Some(([key, text], place)) = self.reader.texts_at_hand()
        {
            if !self.sink.wants(self.state.db, key) {
                self.state.meta = Meta::default();
                self.state.summary.keys_unwanted += 1;
                return Ok(());
            }
            self.state.summary.keys += 1;
            self.sink
                .value_type(number, place.end.wrapping_sub(type_at));
            let given = self.sink.text(self.state.db, key, &self.state.meta, text);
            if self.state.meta != Meta::default() {
                self.state.meta = Meta::default();
            }
            return given
                .map_err(|error| Error::new(place.start, "a value", error).in_key(key, number));
        }
        self.reader.reading("a key's name");
        let mut buffer = IntText::new();
        self.state.key.clear();
        self.state
            .key
            .extend_from_slice(self.reader.string()?.text(&mut buffer));
        let meta = std::mem::take(&mut self.state.meta);
        self.reader.reading("a value");
        if !self.sink.wants(self.state.db, &self.state.key) {
            self.state.summary.keys_unwanted += 1;
            let skipped = self.state.values.skip(self.reader, number, type_at);
            return skipped.map_err(|error| error.in_key(&self.state.key, number));
        }
        let place = self.reader.position();
        let Decoded { object, end, found } =
            match self.state.values.decode(self.reader, number, type_at) {
                Ok(decoded) => decoded,
                Err(error) => return Err(error.in_key(&self.state.key, number)),
            };
        if let Some(found) = found {
            let error = found.error.in_key(&self.state.key, number);
            self.sink.flawed(error)?;
            if found.is_lost {
                self.state.summary.keys += 1;
                let given = self.sink.lost(self.state.db, &self.state.key, meta);
                return given.map_err(|error| {
                    Error::new(place, "a value", error).in_key(&self.state.key, number)
                });
            }
        }
        if object.is_empty_collection() && !self.state.summary.version.keeps_empty_collections() {
            self.state.summary.empty_keys_skipped += 1;
            return Ok(());
        }
        self.state.summary.keys += 1;
        self.sink.value_type(number, end.wrapping_sub(type_at));
        let given = self.sink.key(self.state.db, &self.state.key, meta, object);
        given.map_err(|error| Error::new(place, "a value", error).in_key(&self.state.key, number))
    }

    const fn is_valkey(&self) -> bool {
        self.state.is_valkey()
    }

    fn attached(&mut self) -> Result<(), Error> {
        let mut record = Vec::new();
        module::read_attached(self.reader, &mut record)?;
        let given = self.sink.attached(&record);
        given.map_err(|error| self.reader.error(error))
    }

    /// Source: valkey 9.0 rdb.c, `RDB_OPCODE_SLOT_IMPORT`.
    fn slot_import(&mut self) -> Result<(), Error> {
        self.reader.reading("a slot import's job");
        let job = self.reader.boxed_string()?;
        self.reader.reading("a slot import's ranges");
        let count = self.reader.length()?;
        let mut ranges = Vec::new();
        for _ in 0..count {
            ranges.push((self.reader.length()?, self.reader.length()?));
        }
        let given = self.sink.slot_import(&job, &ranges);
        given.map_err(|error| self.reader.error(error))
    }

    fn select_db(&mut self) -> Result<(), Error> {
        self.reader.reading("a database's number");
        self.state.db = self.reader.length()?;
        self.sink
            .select_db(self.state.db)
            .map_err(|error| self.reader.error(error))
    }

    fn resize_db(&mut self) -> Result<(), Error> {
        self.reader.reading("a database's size");
        let (keys, expires) = (self.reader.length()?, self.reader.length()?);
        self.sink
            .resize_db(keys, expires)
            .map_err(|error| self.reader.error(error))
    }

    fn aux(&mut self) -> Result<(), Error> {
        let mut buffer = IntText::new();
        self.reader.reading("an aux field's name");
        self.state.name.clear();
        self.state
            .name
            .extend_from_slice(self.reader.string()?.text(&mut buffer));
        self.reader.reading("an aux field's value");
        let value = self.reader.string()?;
        let value = value.text(&mut buffer);
        self.state.dialect = Dialect::after_aux(self.state.dialect, &self.state.name, value);
        if let Some(dialect) = self.state.dialect {
            self.state.values.flaws.dialect = dialect;
        }
        let given = self.sink.aux(&self.state.name, value);
        given.map_err(|error| self.reader.error(error))
    }

    fn function(&mut self) -> Result<(), Error> {
        self.reader.reading("a function library");
        let given = self
            .sink
            .function(self.reader.string()?.text(&mut IntText::new()));
        given.map_err(|error| self.reader.error(error))
    }

    /// Skips the number and size of a cluster slot whose keys follow: a hint that nothing here needs.
    fn slot_info(&mut self) -> Result<(), Error> {
        self.reader.reading("a slot's size");
        for _ in 0..3 {
            self.reader.length()?;
        }
        Ok(())
    }

    fn module_aux(&mut self) -> Result<(), Error> {
        let data = ModuleAux::read(self.reader)?;
        self.state.summary.module_aux += 1;
        let given = self.sink.module_aux(data);
        given.map_err(|error| self.reader.error(error))
    }
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;

//! The walk over a whole RDB: header, opcodes, keys, checksum.

use super::{
    error::{Cause, Error, SinkError},
    kind::{self, ValueType},
    module::ModuleAux,
    object::{Meta, Object},
    packed::IntText,
    reader::Reader,
    source::Source,
    value::{Decoded, Values},
};
use crate::dialect::Dialect;
use std::borrow::Cow;
use std::fmt;

/// Who defined the format's version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Magic {
    /// `REDIS` and four digits.
    Redis,
    /// `VALKEY` and three digits.
    Valkey,
}

/// The version in an RDB's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// Whose numbering.
    pub magic: Magic,
    /// The number.
    pub number: u16,
}

impl Version {
    /// From a header's nine bytes.
    fn parse(header: &[u8]) -> Option<Self> {
        let (magic, digits) = match header.strip_prefix(b"REDIS") {
            Some(digits) => (Magic::Redis, digits),
            None => (Magic::Valkey, header.strip_prefix(b"VALKEY")?),
        };
        let all = digits.iter().all(u8::is_ascii_digit);
        let number = std::str::from_utf8(digits)
            .ok()
            .filter(|_| all)?
            .parse()
            .ok()?;
        Some(Self { magic, number })
    }

    /// The version that a DUMP payload means by its number alone.
    #[must_use]
    pub fn of_payload(number: u16) -> Self {
        let magic = if number < VALKEY_VERSION {
            Magic::Redis
        } else {
            Magic::Valkey
        };
        Self { magic, number }
    }

    /// Whether this decoder knows every layout of this version.
    #[must_use]
    pub fn is_known(self) -> bool {
        match self.magic {
            Magic::Redis => (1..=REDIS_VERSION_MAX).contains(&self.number),
            Magic::Valkey => self.number == VALKEY_VERSION,
        }
    }

    /// Whether its servers load collections without elements: Redis 7.0 and later leave them out. A primary of before can
    /// come by them, by a HINCRBYFLOAT that fails on a new key.
    /// Source: redis 7.0 rdb.c, `emptykey` in `rdbLoadObject`.
    #[must_use]
    pub fn keeps_empty_collections(self) -> bool {
        matches!(self.magic, Magic::Redis) && self.number < 10
    }

    /// Whether its servers know opcode 244, where a cluster slot's keys start.
    fn has_slots(self) -> bool {
        matches!(self.magic, Magic::Valkey) || self.number >= 12
    }

    /// The server that is taken to have written it, if it does not name itself.
    #[must_use]
    pub const fn dialect(self) -> Dialect {
        match (self.magic, self.number) {
            (Magic::Valkey, _) => Dialect::valkey(9, 0, 0),
            (Magic::Redis, ..=9) => Dialect::redis(6, 0, 0),
            (Magic::Redis, 10) => Dialect::redis(7, 0, 0),
            (Magic::Redis, 11) => Dialect::redis(7, 2, 0),
            (Magic::Redis, _) => Dialect::redis(8, 0, 0),
        }
    }

    /// Whether a checksum follows the end opcode.
    fn has_checksum(self) -> bool {
        self.number >= 5
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.magic {
            Magic::Redis => write!(f, "REDIS{:04}", self.number),
            Magic::Valkey => write!(f, "VALKEY{:03}", self.number),
        }
    }
}

/// Receives what a decoder finds, in the order of the file. Each call may stop the decoding.
pub trait Sink {
    /// The header was read.
    ///
    /// # Errors
    /// To stop the decoding; so for every call here.
    fn version(&mut self, version: Version) -> Result<(), SinkError> {
        let _ = version;
        Ok(())
    }

    /// A named fact about the snapshot, such as `repl-stream-db`. May come before, between and after the keys.
    ///
    /// # Errors
    /// To stop the decoding.
    fn aux(&mut self, name: &[u8], value: &[u8]) -> Result<(), SinkError> {
        let _ = (name, value);
        Ok(())
    }

    /// The keys that follow belong to this database. Not called for keys of database 0 that come first without it.
    ///
    /// # Errors
    /// To stop the decoding.
    fn select_db(&mut self, db: u64) -> Result<(), SinkError> {
        let _ = db;
        Ok(())
    }

    /// How many keys the database will get, and how many of them expire. A hint: the numbers may lie.
    ///
    /// # Errors
    /// To stop the decoding.
    fn resize_db(&mut self, keys: u64, expires: u64) -> Result<(), SinkError> {
        let _ = (keys, expires);
        Ok(())
    }

    /// The source of a function library.
    ///
    /// # Errors
    /// To stop the decoding.
    fn function(&mut self, code: &[u8]) -> Result<(), SinkError> {
        let _ = code;
        Ok(())
    }

    /// What a module keeps beside the keys.
    ///
    /// # Errors
    /// To stop the decoding.
    fn module_aux(&mut self, data: ModuleAux) -> Result<(), SinkError> {
        let _ = data;
        Ok(())
    }

    /// The type number of the key that comes next, for those who care how it was written.
    fn value_type(&mut self, number: u8) {
        let _ = number;
    }

    /// The value that comes next has something wrong, whereby servers of the writer's version load it all the same. One that cannot
    /// be kept as they have it comes as [`lost`](Self::lost).
    ///
    /// # Errors
    /// To stop the decoding, which it does if nothing else is said: with the error given.
    fn flawed(&mut self, error: Error) -> Result<(), Error> {
        Err(error)
    }

    /// A key whose value has been passed over, after [`flawed`](Self::flawed).
    ///
    /// # Errors
    /// To stop the decoding.
    fn lost(&mut self, db: u64, key: &[u8], meta: Meta) -> Result<(), SinkError> {
        let _ = (db, key, meta);
        Ok(())
    }

    /// As [`key`](Self::key), for a string that is short and plain: most are.
    ///
    /// # Errors
    /// To stop the decoding.
    #[inline]
    fn text(&mut self, db: u64, key: &[u8], meta: &Meta, text: &[u8]) -> Result<(), SinkError> {
        self.key(db, key, *meta, Object::Str(Cow::Borrowed(text)))
    }

    /// A key and its value. Keys already expired are given like others.
    ///
    /// # Errors
    /// To stop the decoding.
    fn key(&mut self, db: u64, key: &[u8], meta: Meta, object: Object<'_>)
    -> Result<(), SinkError>;
}

/// What became of the checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    /// It matches the content.
    Verified(u64),
    /// The producer wrote 0: it was told not to compute one.
    Disabled,
    /// Versions below 5 have none.
    Absent,
}

/// What a whole RDB amounted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// The header's version.
    pub version: Version,
    /// Keys given to the sink.
    pub keys: u64,
    /// Collections without elements, which Redis would not load either.
    pub empty_keys_skipped: u64,
    /// Pieces of modules' own data given to the sink.
    pub module_aux: u64,
    /// The RDB's length in bytes, checksum included.
    pub bytes: u64,
    /// The state of the checksum.
    pub checksum: Checksum,
}

/// Decodes one RDB from the reader's place on and leaves the reader right behind it.
///
/// # Errors
/// The first thing that is wrong, with its offset from the RDB's start; or the sink's own error. What the sink got
/// before stays given: it is for the receiver to discard it.
pub fn decode<S: Source>(reader: &mut Reader<S>, sink: &mut impl Sink) -> Result<Summary, Error> {
    reader.mark_start();
    let version = header(reader)?;
    sink.version(version).map_err(|error| reader.error(error))?;
    let mut decoder = Decoder {
        reader,
        sink,
        db: 0,
        meta: Meta::default(),
        key: Vec::new(),
        name: Vec::new(),
        dialect: None,
        values: Values::new(version),
        summary: Summary {
            version,
            keys: 0,
            empty_keys_skipped: 0,
            module_aux: 0,
            bytes: 0,
            checksum: Checksum::Absent,
        },
    };
    while decoder.step()? {}
    decoder.finish()
}

fn header<S: Source>(reader: &mut Reader<S>) -> Result<Version, Error> {
    reader.reading("the header");
    let version = Version::parse(reader.take(9)?).ok_or(Cause::NotRdb);
    let version = version.map_err(|cause| reader.error_at(0, cause))?;
    if version.is_known() {
        Ok(version)
    } else {
        Err(reader.error_at(0, Cause::Version(version)))
    }
}

struct Decoder<'d, S, K> {
    reader: &'d mut Reader<S>,
    sink: &'d mut K,
    db: u64,
    /// Attributes read for the next key.
    meta: Meta,
    /// The key being read, in a buffer used for all of them.
    key: Vec<u8>,
    /// An aux field's name, likewise.
    name: Vec<u8>,
    /// Who wrote it, as far as it says so.
    dialect: Option<Dialect>,
    values: Values,
    summary: Summary,
}

impl<S: Source, K: Sink> Decoder<'_, S, K> {
    /// Reads one opcode or key. Gives false at the end opcode.
    fn step(&mut self) -> Result<bool, Error> {
        self.reader.reading("a type or opcode");
        let at = self.reader.position();
        let opcode = self.reader.u8()?;
        match opcode {
            kind::EOF => return Ok(false),
            kind::EXPIRETIME_MS => {
                self.reader.reading("an expiry");
                self.meta.expire_at_ms = Some(i64::from_le_bytes(self.reader.array()?));
            }
            kind::EXPIRETIME => {
                self.reader.reading("an expiry");
                self.meta.expire_at_ms =
                    Some(i64::from(i32::from_le_bytes(self.reader.array()?)) * 1000);
            }
            kind::FREQ => self.meta.freq = Some(self.reader.u8()?),
            kind::IDLE => self.meta.idle_s = Some(self.reader.length()?),
            kind::SELECTDB => self.select_db()?,
            kind::RESIZEDB => self.resize_db()?,
            kind::AUX => self.aux()?,
            kind::FUNCTION2 => self.function()?,
            kind::MODULE_AUX => self.module_aux()?,
            kind::SLOT_INFO if self.summary.version.has_slots() => self.slot_info()?,
            kind::FUNCTION_PRE_GA => return Err(self.reader.error_at(at, Cause::OldFunction)),
            kind::SLOT_IMPORT if self.summary.version.magic == Magic::Valkey => {
                return Err(self.reader.error_at(at, Cause::SlotImport));
            }
            number @ kind::OPCODE_MIN.. => {
                return Err(self.reader.error_at(at, Cause::UnknownType(number)));
            }
            number => self.key(number, at)?,
        }
        Ok(true)
    }

    /// Reads a key and its value, whose type `number` stands at `type_at`.
    fn key(&mut self, number: u8, type_at: u64) -> Result<(), Error> {
        if number == ValueType::String as u8
            && let Some(([key, text], place)) = self.reader.texts_at_hand()
        {
            self.summary.keys += 1;
            self.sink.value_type(number);
            let given = self.sink.text(self.db, key, &self.meta, text);
            if self.meta != Meta::default() {
                self.meta = Meta::default();
            }
            return given.map_err(|error| Error::new(place, "a value", error).in_key(key, number));
        }
        self.reader.reading("a key's name");
        let mut buffer = IntText::new();
        self.key.clear();
        self.key
            .extend_from_slice(self.reader.string()?.text(&mut buffer));
        let meta = std::mem::take(&mut self.meta);
        self.reader.reading("a value");
        let place = self.reader.position();
        let Decoded { object, found } = match self.values.decode(self.reader, number, type_at) {
            Ok(decoded) => decoded,
            Err(error) => return Err(error.in_key(&self.key, number)),
        };
        if let Some(found) = found {
            let error = found.error.in_key(&self.key, number);
            self.sink.flawed(error)?;
            if found.is_lost {
                self.summary.keys += 1;
                let given = self.sink.lost(self.db, &self.key, meta);
                return given.map_err(|error| {
                    Error::new(place, "a value", error).in_key(&self.key, number)
                });
            }
        }
        if object.is_empty_collection() && !self.summary.version.keeps_empty_collections() {
            self.summary.empty_keys_skipped += 1;
            return Ok(());
        }
        self.summary.keys += 1;
        self.sink.value_type(number);
        let given = self.sink.key(self.db, &self.key, meta, object);
        given.map_err(|error| Error::new(place, "a value", error).in_key(&self.key, number))
    }

    fn select_db(&mut self) -> Result<(), Error> {
        self.reader.reading("a database's number");
        self.db = self.reader.length()?;
        self.sink
            .select_db(self.db)
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
        self.name.clear();
        self.name
            .extend_from_slice(self.reader.string()?.text(&mut buffer));
        self.reader.reading("an aux field's value");
        let value = self.reader.string()?;
        let value = value.text(&mut buffer);
        self.dialect = Dialect::after_aux(self.dialect, &self.name, value);
        if let Some(dialect) = self.dialect {
            self.values.flaws.dialect = dialect;
        }
        let given = self.sink.aux(&self.name, value);
        given.map_err(|error| self.reader.error(error))
    }

    fn function(&mut self) -> Result<(), Error> {
        self.reader.reading("a function library");
        let given = self
            .sink
            .function(self.reader.string()?.text(&mut IntText::new()));
        given.map_err(|error| self.reader.error(error))
    }

    /// Where a cluster slot's keys start, and how many they are: a hint that nothing here needs.
    fn slot_info(&mut self) -> Result<(), Error> {
        self.reader.reading("a slot's size");
        for _ in 0..3 {
            self.reader.length()?;
        }
        Ok(())
    }

    fn module_aux(&mut self) -> Result<(), Error> {
        let data = ModuleAux::read(self.reader)?;
        self.summary.module_aux += 1;
        let given = self.sink.module_aux(data);
        given.map_err(|error| self.reader.error(error))
    }

    fn finish(mut self) -> Result<Summary, Error> {
        self.reader.reading("the checksum");
        let at = self.reader.position();
        if self.summary.version.has_checksum() {
            let computed = self.reader.checksum();
            self.summary.checksum = match u64::from_le_bytes(self.reader.array()?) {
                0 => Checksum::Disabled,
                stated if stated == computed => Checksum::Verified(stated),
                stated => {
                    return Err(self
                        .reader
                        .error_at(at, Cause::Checksum { stated, computed }));
                }
            };
        }
        self.summary.bytes = self.reader.position();
        Ok(self.summary)
    }
}

/// The newest of Redis's versions whose every layout is known. Source: redis 8.0 rdb.h, `RDB_VERSION`.
const REDIS_VERSION_MAX: u16 = 12;
/// Valkey's only version of its own so far. Source: valkey 9.0 rdb.h, `RDB_VERSION`.
const VALKEY_VERSION: u16 = 80;

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;

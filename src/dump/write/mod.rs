//! Writes dumps: plain values, and keys that were read from other dumps.
//!
//! [`Writer`] writes what surrounds the keys, and [`NewKey`] one key. `gathered` writes collections given as plain values,
//! `timed` hashes whose fields expire, `stream` streams, and `again` values that a reader handed out. The bytes themselves are
//! written by `rdb::encode`.
//!
//! A value is checked before its first byte is written if it is small enough to be held meanwhile ([`HELD_BYTES_MAX`]).

mod again;
mod error;
mod gathered;
mod stream;
mod timed;

pub use error::WriteError;
pub use stream::{NewConsumer, NewGroup, NewPending, NewStream};

use crate::{
    limits::STRING_BYTES_MAX,
    rdb::{ValueType, encode, object::Meta, version::Version},
    value::Thresholds,
};
use std::{fmt, io::Write};

/// A collection whose elements take at most this many bytes is held in memory until it is complete. It is then written in the form
/// that a server gives it.
const HELD_BYTES_MAX: usize = 1 << 20;
/// What an element takes beside its text, roughly.
const ELEMENT_BYTES: usize = 32;

/// Writes a dump that servers load.
///
/// First come named facts ([`aux`](Self::aux)) and function libraries ([`library`](Self::library)), if there are any, then
/// keys: [`key`](Self::key) begins one from plain values, and [`copy`](Self::copy) writes one that was read from another dump.
/// [`finish`](Self::finish) ends the dump with its checksum; without it, no server loads the dump. Keys may come in any order,
/// also of their databases.
///
/// What a server would refuse is an error, as far as it can be known: an empty collection, a score that is not a number, a value
/// that the version has no layout for. Duplicate members and fields are found in collections of up to a megabyte, and not beyond,
/// because memory stays bounded: a server refuses a dump that has them. Neither are these checked: whether a key is written
/// twice, whether the source of a library can be loaded, and whether the server has as many databases.
///
/// An error that comes before the first byte of a key leaves the dump as it was, and other keys can follow. After any other
/// error, every call returns [`WriteError::Incomplete`].
pub struct Writer<W> {
    out: encode::Writer<W>,
    keys: u64,
    is_incomplete: bool,
}

impl<W> fmt::Debug for Writer<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("keys", &self.keys)
            .field("is_incomplete", &self.is_incomplete)
            .finish_non_exhaustive()
    }
}

impl<W: Write> Writer<W> {
    /// Writes a dump of version [`Version::PORTABLE`] to `out`, in pieces of 64 KiB, so `out` needs no buffer of its own.
    pub fn new(out: W) -> Self {
        Self {
            out: encode::Writer::new(out, Version::PORTABLE),
            keys: 0,
            is_incomplete: false,
        }
    }

    /// Writes a dump of a certain version: 9 to 15 of Redis, or 80 of Valkey. A server loads dumps of its own version and older
    /// ones; Valkey also those of Redis up to 11.
    ///
    /// | version | written by | what is new for a writer |
    /// |---|---|---|
    /// | `REDIS0009` | Redis 5.0 to 6.2 | |
    /// | `REDIS0010` | Redis 7.0 | function libraries, counters of streams |
    /// | `REDIS0011` | Redis 7.2, Valkey 7.2 and 8 | when consumers were active |
    /// | `REDIS0012` | Redis 7.4 to 8.4 | field expiries |
    /// | `REDIS0013` | Redis 8.6 | idempotent producers, data that modules attach to keys |
    /// | `REDIS0014` | Redis 8.8 | arrays, released entries of streams |
    /// | `REDIS0015` | Redis 8.10 | |
    /// | `VALKEY080` | Valkey 9 | field expiries |
    ///
    /// # Errors
    /// [`WriteError::Version`] for any other version.
    pub fn with_version(out: W, version: Version) -> Result<Self, WriteError> {
        if !version.is_writable() {
            return Err(WriteError::Version(version));
        }
        let mut writer = Self::new(out);
        writer.out.set_version(version);
        Ok(writer)
    }

    /// Number of keys written.
    #[must_use]
    pub const fn keys(&self) -> u64 {
        self.keys
    }

    /// The dump's version.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.out.version()
    }

    /// Writes a named fact about the dump, such as `redis-ver`. Servers need none, and pass over those that they do not know.
    ///
    /// # Errors
    /// [`WriteError::Late`] after a key; the output's error.
    pub fn aux(
        &mut self,
        name: &(impl AsRef<[u8]> + ?Sized),
        value: &(impl AsRef<[u8]> + ?Sized),
    ) -> Result<(), WriteError> {
        let (name, value) = (name.as_ref(), value.as_ref());
        self.before_keys("facts", |out| {
            text_bytes(name)?;
            text_bytes(value)?;
            begin(out)?;
            Ok(out.aux(name, value)?)
        })
    }

    /// Writes the source of a function library, which begins with a line such as `#!lua name=mylib`. A server that cannot load
    /// it refuses the dump.
    ///
    /// # Errors
    /// [`WriteError::Unsupported`] in version 9; [`WriteError::Late`] after a key; the output's error.
    pub fn library(&mut self, code: &(impl AsRef<[u8]> + ?Sized)) -> Result<(), WriteError> {
        let code = code.as_ref();
        self.before_keys("libraries", |out| {
            text_bytes(code)?;
            require(out, out.layouts().has_libraries(), "function libraries")?;
            begin(out)?;
            Ok(out.function(code)?)
        })
    }

    /// Begins a key of database 0 that does not expire. The methods of [`NewKey`] change that, and its last one writes the key
    /// with its value.
    pub fn key<'k>(&'k mut self, name: &'k (impl AsRef<[u8]> + ?Sized)) -> NewKey<'k, W> {
        NewKey {
            writer: self,
            name: name.as_ref(),
            db: 0,
            meta: Meta::default(),
            attached: &[],
        }
    }

    /// Ends the dump with its checksum, and returns the output.
    ///
    /// # Errors
    /// [`WriteError::Incomplete`] after an error that left a key incomplete; the output's error.
    pub fn finish(mut self) -> Result<W, WriteError> {
        if self.is_incomplete {
            return Err(WriteError::Incomplete);
        }
        begin(&mut self.out)?;
        Ok(self.out.end()?)
    }

    fn before_keys(
        &mut self,
        what: &'static str,
        write: impl FnOnce(&mut encode::Writer<W>) -> Result<(), WriteError>,
    ) -> Result<(), WriteError> {
        self.whole(|writer| {
            if writer.keys > 0 {
                return Err(WriteError::Late(what));
            }
            write(&mut writer.out)
        })
    }

    /// Writes a part of the dump. If that fails after its first byte, the dump can be of no use any more.
    fn whole(
        &mut self,
        write: impl FnOnce(&mut Self) -> Result<(), WriteError>,
    ) -> Result<(), WriteError> {
        if self.is_incomplete {
            return Err(WriteError::Incomplete);
        }
        let before = self.out.position();
        let written = write(self);
        if let Err(error) = &written {
            let is_lost = matches!(error, WriteError::Io(_));
            self.is_incomplete = is_lost || self.out.position() != before;
        }
        written
    }
}

/// Writes the header, if nothing is written yet.
fn begin<W: Write>(out: &mut encode::Writer<W>) -> Result<(), WriteError> {
    if out.position() == 0 {
        out.header()?;
    }
    Ok(())
}

/// Refuses what the dump's version does not have.
fn require<W: Write>(
    out: &encode::Writer<W>,
    has: bool,
    what: &'static str,
) -> Result<(), WriteError> {
    let version = out.version();
    if has {
        Ok(())
    } else {
        Err(WriteError::Unsupported { what, version })
    }
}

/// Returns the length of a string, if servers accept it.
const fn text_bytes(text: &[u8]) -> Result<usize, WriteError> {
    if text.len() > STRING_BYTES_MAX {
        return Err(WriteError::TooLong(text.len()));
    }
    Ok(text.len())
}

/// A key that is being written: see [`Writer::key`].
#[must_use = "the key is written together with its value"]
pub struct NewKey<'k, W> {
    writer: &'k mut Writer<W>,
    name: &'k [u8],
    db: u64,
    meta: Meta,
    attached: &'k [u8],
}

impl<W> fmt::Debug for NewKey<'_, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewKey")
            .field("db", &self.db)
            .field("name", &self.name.escape_ascii().to_string())
            .field("meta", &self.meta)
            .finish_non_exhaustive()
    }
}

impl<W: Write> NewKey<'_, W> {
    /// Puts the key into database `db`. A server refuses a dump with a database that it does not have; most have 16.
    pub const fn db(mut self, db: u64) -> Self {
        self.db = db;
        self
    }

    /// Makes the key expire at this moment, Unix time in milliseconds. A primary leaves out what has expired when it loads the dump.
    pub const fn expire_at_ms(mut self, expire_at_ms: i64) -> Self {
        self.meta.expire_at_ms = Some(expire_at_ms);
        self
    }

    /// States for how many seconds the key was idle. Servers with an LRU policy take it over.
    pub const fn idle_s(mut self, idle_s: u64) -> Self {
        self.meta.idle_s = Some(idle_s);
        self
    }

    /// States the LFU counter, which is logarithmic. Servers with an LFU policy take it over.
    pub const fn freq(mut self, freq: u8) -> Self {
        self.meta.freq = Some(freq);
        self
    }

    /// Writes the key with a string.
    ///
    /// # Errors
    /// What [`WriteError`] says of strings and expiries; the output's error.
    pub fn string(self, text: impl AsRef<[u8]>) -> Result<(), WriteError> {
        let text = text.as_ref();
        self.write(|key| {
            text_bytes(text)?;
            Ok(key.begin(ValueType::String)?.string(text)?)
        })
    }

    /// Writes the whole key. `write` checks what it can, calls [`begin`](Self::begin), and writes the value.
    fn write(
        self,
        write: impl FnOnce(&mut NewKey<'_, W>) -> Result<(), WriteError>,
    ) -> Result<(), WriteError> {
        let (name, db, meta, attached) = (self.name, self.db, self.meta, self.attached);
        self.writer.whole(|writer| {
            let mut key = NewKey {
                writer,
                name,
                db,
                meta,
                attached,
            };
            key.check()?;
            write(&mut key)
        })?;
        self.writer.keys += 1;
        Ok(())
    }

    /// Checks everything but the value.
    fn check(&self) -> Result<(), WriteError> {
        text_bytes(self.name)?;
        if let Some(at @ ..0) = self.meta.expire_at_ms {
            return Err(WriteError::Expiry(at));
        }
        let out = &self.writer.out;
        let has_place = self.attached.is_empty() || out.layouts().has_attached_data();
        require(out, has_place, "data that modules attach to keys")
    }

    /// Writes what precedes the value.
    fn begin(&mut self, kind: ValueType) -> Result<&mut encode::Writer<W>, WriteError> {
        let out = &mut self.writer.out;
        begin(out)?;
        out.enter(self.db)?;
        out.key_with(self.name, self.meta, self.attached, kind)?;
        Ok(out)
    }

    /// The limits of small encodings in servers that write the version.
    fn thresholds(&self) -> Thresholds {
        Thresholds::of(self.writer.out.version().dialect())
    }
}

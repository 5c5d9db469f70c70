//! Writes what surrounds the values of a snapshot.

use super::super::kind;
use super::Writer;
use crate::rdb::module::{self, ModuleAux};
use crate::rdb::object::Meta;
use std::io::{self, Write};

/// Call these in the order of a snapshot: header, aux fields, functions, then each database with its keys, and the end.
impl<W: Write> Writer<W> {
    /// Writes the nine bytes of the header.
    ///
    /// # Errors
    /// The output's error, as in everything here.
    pub fn header(&mut self) -> io::Result<()> {
        let text = self.version().to_string();
        self.raw(text.as_bytes())
    }

    /// Writes a named field, such as `redis-ver`.
    ///
    /// # Errors
    /// The output's error.
    pub fn aux(&mut self, name: &[u8], value: &[u8]) -> io::Result<()> {
        self.u8(kind::AUX)?;
        self.string(name)?;
        self.string(value)
    }

    /// Writes the source of a function library.
    ///
    /// # Errors
    /// The output's error.
    pub fn function(&mut self, code: &[u8]) -> io::Result<()> {
        self.u8(kind::FUNCTION2)?;
        self.string(code)
    }

    /// Writes data that a module stores outside the keys.
    ///
    /// # Errors
    /// The output's error.
    pub fn module_aux(&mut self, data: &ModuleAux) -> io::Result<()> {
        self.u8(kind::MODULE_AUX)?;
        self.length(data.id.0)?;
        self.length(module::UINT)?;
        self.length(data.when)?;
        self.raw(&data.items)
    }

    /// Starts database `db`, which has `keys` keys, `expires` of them with an expiry.
    ///
    /// # Errors
    /// The output's error.
    pub fn database(&mut self, db: u64, keys: u64, expires: u64) -> io::Result<()> {
        self.select(db)?;
        self.u8(kind::RESIZEDB)?;
        self.length(keys)?;
        self.length(expires)
    }

    /// Goes on in database `db`, whether or not it was started before.
    ///
    /// # Errors
    /// The output's error.
    pub fn select(&mut self, db: u64) -> io::Result<()> {
        self.db = Some(db);
        self.u8(kind::SELECTDB)?;
        self.length(db)
    }

    /// Like [`select`](Self::select), but writes nothing if the last key was in the same database.
    ///
    /// # Errors
    /// The output's error.
    pub fn enter(&mut self, db: u64) -> io::Result<()> {
        if self.db == Some(db) {
            return Ok(());
        }
        self.select(db)
    }

    /// Writes what precedes a key's value: its attributes, type and name. The value must follow.
    ///
    /// # Errors
    /// The output's error.
    ///
    /// Source: redis 7.0 rdb.c, `rdbSaveKeyValuePair`.
    pub fn key(&mut self, key: &[u8], meta: Meta, kind: kind::ValueType) -> io::Result<()> {
        self.attributes(meta)?;
        self.named(key, kind)
    }

    /// Writes what precedes the value of a key with data of modules: `record`, which starts with its opcode.
    ///
    /// # Errors
    /// The output's error.
    pub fn key_with(
        &mut self,
        key: &[u8],
        meta: Meta,
        record: &[u8],
        kind: kind::ValueType,
    ) -> io::Result<()> {
        self.attributes(meta)?;
        self.raw(record)?;
        self.named(key, kind)
    }

    fn named(&mut self, key: &[u8], kind: kind::ValueType) -> io::Result<()> {
        self.u8(kind.number())?;
        self.string(key)
    }

    fn attributes(&mut self, meta: Meta) -> io::Result<()> {
        if let Some(at) = meta.expire_at_ms {
            self.u8(kind::EXPIRETIME_MS)?;
            self.raw(&at.to_le_bytes())?;
        }
        if let Some(idle) = meta.idle_s {
            self.u8(kind::IDLE)?;
            self.length(idle)?;
        }
        if let Some(freq) = meta.freq {
            self.raw(&[kind::FREQ, freq])?;
        }
        Ok(())
    }

    /// Ends the snapshot, with a checksum if the version has one, and returns the output.
    ///
    /// # Errors
    /// The output's error.
    pub fn end(mut self) -> io::Result<W> {
        self.u8(kind::EOF)?;
        if self.version().has_checksum() {
            self.checksum()
        } else {
            self.close()
        }
    }
}

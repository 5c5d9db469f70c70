//! A dump read key by key, at the caller's pace.

use super::{
    error::Error,
    item::Item,
    read::{Attached, Sound, attribute_bytes},
    value::{Key, Value},
};
use crate::{
    dialect::Dialect,
    rdb::{
        decode::{Decoding, Sink, Summary},
        error::SinkError,
        object::{Meta, Object},
        reader::Reader,
        source::ReadSource,
    },
};
use std::{fmt, fs::File, io::Read, path::Path};

/// Reads a dump key by key: [`next_key`](Self::next_key) decodes the next one. For programs that want to stop, to wait or to read
/// several dumps side by side; [`read`](super::read()) passes all keys to a visitor.
pub struct Keys<R> {
    reader: Reader<ReadSource<R>>,
    /// `None` after the end, and after an error.
    decoding: Option<Decoding>,
    held: Held,
    summary: Option<Summary>,
}

impl<R> fmt::Debug for Keys<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("summary", &self.summary)
            .finish_non_exhaustive()
    }
}

impl Keys<File> {
    /// Opens the file at `path` and reads its header.
    ///
    /// # Errors
    /// If the file cannot be opened, or is no dump.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let file = File::open(path);
        Self::new(file?)
    }
}

impl<R: Read> Keys<R> {
    /// Reads the header. `from` needs no buffer of its own.
    ///
    /// # Errors
    /// If it is no dump.
    pub fn new(from: R) -> Result<Self, Error> {
        let mut reader = Reader::new(ReadSource::new(from));
        let mut held = Held::default();
        let mut sink = Holding {
            held: &mut held,
            wants: |_, _: &[u8]| true,
        };
        let decoding = Decoding::begin(&mut reader, &mut sink).map_err(Error::new)?;
        Ok(Self {
            reader,
            decoding: Some(decoding),
            held,
            summary: None,
        })
    }

    /// The next key, borrowed until the next call; `None` at the end, once the checksum has proven the whole.
    ///
    /// # Errors
    /// The first thing that is wrong. After an error, there are no further keys.
    pub fn next_key(&mut self) -> Result<Option<Key<'_>>, Error> {
        self.next_key_of(|_, _| true)
    }

    /// The next key that `wants` accepts by its database and name. The values of the others are passed over: mostly without
    /// being decompressed, decoded or checked.
    ///
    /// # Errors
    /// Like [`next_key`](Self::next_key).
    pub fn next_key_of(
        &mut self,
        wants: impl FnMut(u64, &[u8]) -> bool,
    ) -> Result<Option<Key<'_>>, Error> {
        self.held.value = None;
        // It is put back unless an error comes first.
        let Some(mut decoding) = self.decoding.take() else {
            return Ok(None);
        };
        let mut sink = Holding {
            held: &mut self.held,
            wants,
        };
        while sink.held.value.is_none() {
            let step = decoding.step(&mut self.reader, &mut sink);
            if step.map_err(Error::new)?.is_none() {
                let summary = decoding.finish(&mut self.reader);
                self.summary = Some(summary.map_err(Error::new)?);
                return Ok(None);
            }
        }
        self.decoding = Some(decoding);
        Ok(self.held.key())
    }

    /// A named fact about the dump, such as `redis-ver`, if it has come by now: before the first key, except in damaged dumps.
    #[must_use]
    pub fn aux(&self, name: &str) -> Option<&[u8]> {
        let found = self.held.aux.iter().find(|(own, _)| own == name.as_bytes());
        found.map(|(_, value)| value.as_slice())
    }

    /// What the dump was, after its end.
    #[must_use]
    pub const fn summary(&self) -> Option<Summary> {
        self.summary
    }
}

/// Facts beyond this number are not kept, because a dump chooses them.
const AUX_MAX: usize = 64;

/// The key that was read last.
#[derive(Default)]
struct Held {
    db: u64,
    name: Vec<u8>,
    meta: Meta,
    /// `None` before it is read.
    value: Option<HeldValue>,
    /// The text of a string.
    text: Vec<u8>,
    type_number: u8,
    value_bytes: u64,
    dialect: Option<Dialect>,
    attached: Attached,
    aux: Vec<(Vec<u8>, Vec<u8>)>,
}

enum HeldValue {
    /// In `text`, whose memory is used again.
    Text,
    Other(Sound<'static>),
}

impl Held {
    fn key(&self) -> Option<Key<'_>> {
        let value = match self.value.as_ref()? {
            HeldValue::Text => Value::String(Item::Bytes(&self.text)),
            HeldValue::Other(value) => value.shown(self.type_number),
        };
        Some(Key {
            db: self.db,
            name: &self.name,
            expire_at_ms: self.meta.expire_at_ms,
            idle_s: self.meta.idle_s,
            freq: self.meta.freq,
            value,
            file_bytes: self.value_bytes + attribute_bytes(&self.meta),
            type_number: self.type_number,
            dialect: self.dialect.unwrap_or_default(),
            attached: self.attached.record(),
        })
    }

    fn hold(&mut self, db: u64, name: &[u8], meta: Meta, value: HeldValue) {
        (self.db, self.meta, self.value) = (db, meta, Some(value));
        self.name.clear();
        self.name.extend_from_slice(name);
    }

    fn hold_text(&mut self, db: u64, name: &[u8], meta: Meta, text: &[u8]) {
        self.text.clear();
        self.text.extend_from_slice(text);
        self.hold(db, name, meta, HeldValue::Text);
    }
}

/// Keeps what the decoder passes on, if it is wanted.
struct Holding<'h, W> {
    held: &'h mut Held,
    wants: W,
}

impl<W: FnMut(u64, &[u8]) -> bool> Sink for Holding<'_, W> {
    fn aux(&mut self, name: &[u8], value: &[u8]) -> Result<(), SinkError> {
        self.held.dialect = Dialect::after_aux(self.held.dialect, name, value);
        if self.held.aux.len() < AUX_MAX {
            self.held.aux.push((name.to_vec(), value.to_vec()));
        }
        Ok(())
    }

    fn attached(&mut self, record: &[u8]) -> Result<(), SinkError> {
        self.held.attached.take(record);
        Ok(())
    }

    fn wants(&mut self, db: u64, name: &[u8]) -> bool {
        self.held.attached.next_key();
        (self.wants)(db, name)
    }

    fn value_type(&mut self, number: u8, bytes: u64) {
        (self.held.type_number, self.held.value_bytes) = (number, bytes);
    }

    fn text(&mut self, db: u64, name: &[u8], meta: &Meta, text: &[u8]) -> Result<(), SinkError> {
        self.held.hold_text(db, name, *meta, text);
        Ok(())
    }

    fn key(
        &mut self,
        db: u64,
        name: &[u8],
        meta: Meta,
        object: Object<'_>,
    ) -> Result<(), SinkError> {
        if let Object::Str(text) = &object {
            self.held.hold_text(db, name, meta, text);
            return Ok(());
        }
        let value = Sound::of(object.into_owned()).map_err(SinkError::new)?;
        self.held.hold(db, name, meta, HeldValue::Other(value));
        Ok(())
    }
}

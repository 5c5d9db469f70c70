//! Values and data of modules, which only the module understands. They are kept as the bytes of their items.
//!
//! Each item states its own kind. So code that does not know what the items mean can still walk all of them and write them
//! again byte for byte. Source: redis 8.0 module.c, `moduleTypeEncodeId`; rdb.c, `rdbLoadCheckModuleValue`.

use super::error::{Cause, Error};
use super::kind::KEY_META;
use super::packed::IntText;
use super::reader::Reader;
#[cfg(test)]
use super::source::MemorySource;
use super::source::Source;
use crate::limits::{MODULE_BYTES_MAX, READ_CHUNK_BYTES};
use bytes::Bytes;
use std::io;

/// The id of a module type: a name of nine characters, and the version of its encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModuleId(pub u64);

impl ModuleId {
    /// Returns the type's name, such as `vectorset`.
    #[must_use]
    pub fn name(self) -> String {
        let letters = (1..=NAME_LETTERS).rev().map(|place| {
            let index = self.0 >> (VERSION_BITS + 6 * (place - 1)) & 0x3f;
            let index = usize::try_from(index).unwrap_or(0);
            char::from(ALPHABET.get(index).copied().unwrap_or(b'?'))
        });
        letters.collect()
    }

    /// Returns the version of the type's encoding.
    #[must_use]
    pub const fn version(self) -> u64 {
        self.0 & ((1 << VERSION_BITS) - 1)
    }
}

/// A value of a module type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleValue {
    id: ModuleId,
    items: Box<[u8]>,
}

impl ModuleValue {
    /// Returns the type's id.
    #[must_use]
    pub const fn id(&self) -> ModuleId {
        self.id
    }

    /// Returns the items, including the end mark.
    #[must_use]
    pub const fn items(&self) -> &[u8] {
        &self.items
    }

    /// Iterates over the items, for a caller that knows what they mean.
    #[must_use]
    pub fn walk(&self) -> Items<'_> {
        Items::new(&self.items)
    }

    /// Whether DUMP of a server with the module returns this value of `key` as it is here.
    ///
    /// A time series holds the name of its key, which RENAME changes, and what it has to do with other series: their names, which
    /// DUMP leaves out, and samples, which writes to these others change. Values of other modules stand alone.
    ///
    /// Source: what RedisTimeSeries 1.12.2 writes to snapshots and returns to DUMP.
    #[must_use]
    pub fn stands_alone(&self, key: &[u8]) -> bool {
        self.id.name() != SERIES || self.is_lone_series(key).unwrap_or(false)
    }

    fn is_lone_series(&self, key: &[u8]) -> Option<bool> {
        if self.id.version() != SERIES_VERSION {
            return None;
        }
        let mut items = self.walk();
        let is_own_name = items.text(|name| name == key)?;
        // Retention, size of a chunk, options, last time; last value; number of samples, policy for duplicates.
        (0..4).try_for_each(|_| items.number().map(drop))?;
        items.next()?;
        (0..2).try_for_each(|_| items.number().map(drop))?;
        if items.number()? != 0 {
            // The series that this one is computed from.
            return Some(false);
        }
        // Differences in time and value below which a sample is ignored.
        items.number()?;
        items.next()?;
        for _ in 0..items.number()? {
            items.text(|_| ())?;
            items.text(|_| ())?;
        }
        let computed_from_this = items.number()?;
        Some(is_own_name && computed_from_this == 0)
    }

    /// Reads a value from its bytes, which do not include its type.
    #[cfg(test)]
    pub(crate) fn from_bytes(bytes: &Bytes) -> Option<Self> {
        Self::read(&mut Reader::new(MemorySource(bytes.clone()))).ok()
    }

    /// Reads a value of type 7.
    pub(super) fn read<S: Source>(reader: &mut Reader<S>) -> Result<Self, Error> {
        reader.reading("a module's value");
        let id = ModuleId(reader.length()?);
        let items = read_items(reader)?;
        Ok(Self { id, items })
    }
}

/// A cursor over the items of a value. After a `None` it must not be used any more.
#[derive(Debug)]
pub struct Items<'v>(Reader<Slice<'v>>);

impl<'v> Items<'v> {
    /// Creates a cursor over these bytes.
    pub(crate) fn new(items: &'v [u8]) -> Self {
        Self(Reader::new(Slice(items)))
    }
}

impl Items<'_> {
    /// Reads the next item, which must be an unsigned number.
    pub fn number(&mut self) -> Option<u64> {
        self.kind(UINT)?;
        self.0.length().ok()
    }

    /// Reads the next item, which must be a text, and returns the result of `take`.
    pub fn text<T>(&mut self, take: impl FnOnce(&[u8]) -> T) -> Option<T> {
        self.kind(STRING)?;
        let text = self.0.string().ok()?;
        Some(take(text.text(&mut IntText::new())))
    }

    /// Whether no item is left.
    pub fn is_at_end(&mut self) -> bool {
        self.kind(END).is_some()
    }

    fn kind(&mut self, kind: u64) -> Option<()> {
        (self.0.length().ok()? == kind).then_some(())
    }
}

/// One item of a module's value or data.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ModuleItem {
    /// A signed integer.
    Signed(i64),
    /// An unsigned integer.
    Unsigned(u64),
    /// A float.
    Float(f32),
    /// A double.
    Double(f64),
    /// A string of any bytes.
    Bytes(Vec<u8>),
}

impl Iterator for Items<'_> {
    type Item = ModuleItem;

    fn next(&mut self) -> Option<ModuleItem> {
        let reader = &mut self.0;
        Some(match reader.length().ok()? {
            SINT => ModuleItem::Signed(reader.length().ok()?.cast_signed()),
            UINT => ModuleItem::Unsigned(reader.length().ok()?),
            FLOAT => ModuleItem::Float(f32::from_le_bytes(reader.array().ok()?)),
            DOUBLE => ModuleItem::Double(f64::from_le_bytes(reader.array().ok()?)),
            STRING => ModuleItem::Bytes(reader.string().ok()?.to_vec()),
            _ => return None,
        })
    }
}

/// Borrowed bytes, copied a chunk at a time.
#[derive(Debug)]
struct Slice<'v>(&'v [u8]);

impl Source for Slice<'_> {
    fn next_chunk(&mut self) -> io::Result<Bytes> {
        let len = self.0.len().min(READ_CHUNK_BYTES);
        let (chunk, rest) = self.0.split_at_checked(len).unwrap_or((self.0, &[]));
        self.0 = rest;
        Ok(Bytes::copy_from_slice(chunk))
    }
}

/// Data that a module stores outside the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleAux {
    /// The id of the module's type.
    pub id: ModuleId,
    /// Where it was written: 1 before the keys, 2 after them.
    pub when: u64,
    /// The items, including the end mark.
    pub items: Box<[u8]>,
}

impl ModuleAux {
    /// Reads everything after the opcode.
    pub(super) fn read<S: Source>(reader: &mut Reader<S>) -> Result<Self, Error> {
        reader.reading("a module's data");
        let id = ModuleId(reader.length()?);
        if reader.length()? != UINT {
            return Err(reader.error(Cause::Corrupt(
                "a module's data does not say when to load it",
            )));
        }
        let when = reader.length()?;
        let items = read_items(reader)?;
        Ok(Self { id, when, items })
    }
}

/// How many classes of modules can attach data to keys. Source: redis 8.6 keymeta.h, from documents.
const CLASSES_MAX: u64 = 7;

/// Reads what modules have attached to a key, after the opcode. Appends the record to `raw`, with its opcode.
///
/// Source: redis 8.6 keymeta.c, `rdbSaveKeyMetadata`, from documents: no server of that version was asked.
pub(super) fn read_attached<S: Source>(
    reader: &mut Reader<S>,
    raw: &mut Vec<u8>,
) -> Result<(), Error> {
    reader.reading("the data that modules attach to a key");
    raw.push(KEY_META);
    let at = reader.position();
    let classes = reader.raw_length(raw)?;
    if classes > CLASSES_MAX {
        return Err(reader.error_at(
            at,
            Cause::Corrupt("more than seven modules attach data to a key"),
        ));
    }
    for _ in 0..classes {
        raw.extend_from_slice(reader.take(4)?);
        raw.extend_from_slice(&read_items(reader)?);
    }
    Ok(())
}

/// Reads items up to the end mark.
fn read_items<S: Source>(reader: &mut Reader<S>) -> Result<Box<[u8]>, Error> {
    let mut raw = Vec::new();
    while read_item(reader, &mut raw)? {
        if raw.len() > MODULE_BYTES_MAX {
            return Err(reader.error(Cause::TooLong {
                length: raw.len() as u64,
                max: MODULE_BYTES_MAX,
            }));
        }
    }
    Ok(raw.into_boxed_slice())
}

/// Reads one item. Returns false at the end mark.
///
/// DIFFERENCE: Redis's own check skips kinds that it does not know. Such an item is refused here, because nothing says where it
/// ends.
fn read_item<S: Source>(reader: &mut Reader<S>, raw: &mut Vec<u8>) -> Result<bool, Error> {
    match reader.raw_length(raw)? {
        END => return Ok(false),
        SINT | UINT => drop(reader.raw_length(raw)?),
        FLOAT => raw.extend_from_slice(reader.take(4)?),
        DOUBLE => raw.extend_from_slice(reader.take(8)?),
        STRING => reader.raw_string(raw)?,
        _ => return Err(reader.error(Cause::Corrupt("unknown kind of module item"))),
    }
    Ok(true)
}

/// The type of time series, and the version of its encoding that [`ModuleValue::stands_alone`] knows.
const SERIES: &str = "TSDB-TYPE";
const SERIES_VERSION: u64 = 8;

const NAME_LETTERS: u32 = 9;
const VERSION_BITS: u32 = 10;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The kinds of items. Source: redis 7.0 rdb.h, `RDB_MODULE_OPCODE_*`.
pub(super) const END: u64 = 0;
const SINT: u64 = 1;
pub(super) const UINT: u64 = 2;
const FLOAT: u64 = 3;
const DOUBLE: u64 = 4;
pub(super) const STRING: u64 = 5;

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<ModuleValue, Error> {
        ModuleValue::read(&mut Reader::new(MemorySource(Bytes::copy_from_slice(
            bytes,
        ))))
    }

    /// The id of a vector set, an item of each kind, a string in each form, and the end mark.
    fn value() -> Vec<u8> {
        let mut bytes = vec![0x81];
        bytes.extend_from_slice(&0xbde7_2da2_bb1e_b400_u64.to_be_bytes());
        bytes.extend_from_slice(
            b"\x01\x81\xff\xff\xff\xff\xff\xff\xff\xff\x02\x05\x03abcd\x04abcdefgh",
        );
        bytes.extend_from_slice(b"\x05\x03xyz\x05\xc0\x07\x05\xc1\x07\x07\x05\xc2\x07\x07\x07\x07");
        bytes.extend_from_slice(b"\x05\xc3\x06\x15\x01aa\xe0\x0a\0\x00");
        bytes
    }

    #[test]
    fn names_the_type_that_an_id_stands_for() {
        let id = ModuleId(0xbde7_2da2_bb1e_b400);
        assert_eq!((id.name().as_str(), id.version()), ("vectorset", 0));
        assert_eq!(ModuleId(u64::MAX).name(), "_________");
    }

    #[test]
    fn keeps_the_bytes_of_every_kind_of_item() {
        let bytes = value();
        let read = read(&bytes).unwrap();
        assert_eq!(read.id().name(), "vectorset");
        assert_eq!(Some(read.items()), bytes.get(9..));
    }

    #[test]
    fn every_kind_of_item_is_read_as_what_it_is() {
        let text = |text: &str| ModuleItem::Bytes(text.as_bytes().to_vec());
        let value = read(&value()).unwrap();
        let expected = [
            ModuleItem::Signed(-1),
            ModuleItem::Unsigned(5),
            ModuleItem::Float(f32::from_le_bytes(*b"abcd")),
            ModuleItem::Double(f64::from_le_bytes(*b"abcdefgh")),
            text("xyz"),
            text("7"),
            text("1799"),
            text("117901063"),
            text("aaaaaaaaaaaaaaaaaaaaa"),
        ];
        assert_eq!(value.walk().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn refuses_every_truncation_unknown_kinds_and_strings_that_do_not_unpack() {
        let bytes = value();
        for len in 0..bytes.len() {
            assert!(read(bytes.get(..len).unwrap()).is_err(), "{len}");
        }
        assert!(read(b"\x01\x06\x00").is_err(), "an unknown kind");
        assert!(read(b"\x01\xc0\x00").is_err(), "a code for a kind");
        assert!(
            read(b"\x01\x01\xc0\x00\x00").is_err(),
            "a code for a number"
        );
        assert!(
            read(b"\x01\x05\xc3\x06\x16\x01aa\xe0\x0a\0\x00").is_err(),
            "a wrong length"
        );
        assert!(read(b"\x01\x05\xc4\x00\x00").is_err(), "an unknown form");
    }
}

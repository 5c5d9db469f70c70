//! The hash: a listpack of fields and values in turn, or a hash table.

use std::io::{self, Write};

use hashbrown::hash_table;

use super::table::{Row, Table};
use super::{Error, Thresholds};
use crate::dialect::Dialect;
use crate::rdb::ValueType;
use crate::rdb::encode::{Layouts, Writer};
use crate::rdb::listpack::{self, Item, Listpack};
use crate::rdb::object::Pair;
use crate::resp::parse_integer;

/// A hash. Turns from a listpack into a table as Redis does, and never back.
#[derive(Debug, Clone)]
pub struct Hash(Form);

#[derive(Debug, Clone)]
enum Form {
    Packed(Listpack),
    Table(Box<Table<Pair>>),
}

impl Row for Pair {
    fn key(&self) -> &[u8] {
        &self.0
    }

    fn heap_bytes(&self) -> usize {
        self.0.len() + self.1.len()
    }
}

impl Default for Hash {
    fn default() -> Self {
        Self(Form::Packed(Listpack::new()))
    }
}

impl Hash {
    /// A hash from a snapshot's listpack. It is kept packed without a search for duplicates, as Redis does.
    ///
    /// # Errors
    /// [`Error::Odd`], and [`Error::Duplicate`] where it must be unpacked.
    pub fn from_listpack(packed: Listpack, thresholds: &Thresholds) -> Result<Self, Error> {
        if !packed.len().is_multiple_of(2) {
            return Err(Error::Odd);
        }
        let mut hash = Self(Form::Packed(packed));
        let fields = hash.len();
        if fields > thresholds.hash_max_listpack_entries {
            hash.unpack();
        }
        if hash.len() == fields {
            Ok(hash)
        } else {
            Err(Error::Duplicate)
        }
    }

    /// A hash from a snapshot's pairs, packed if it is small.
    ///
    /// # Errors
    /// [`Error::Duplicate`].
    pub fn from_pairs(pairs: Vec<Pair>, thresholds: &Thresholds) -> Result<Self, Error> {
        let limit = thresholds.hash_max_listpack_value;
        let is_short = |(field, value): &Pair| field.len() <= limit && value.len() <= limit;
        if pairs.len() <= thresholds.hash_max_listpack_entries && pairs.iter().all(is_short) {
            return Self::pack(&pairs);
        }
        let mut table = Table::with_capacity(pairs.len());
        for pair in pairs {
            if !table.insert(pair) {
                return Err(Error::Duplicate);
            }
        }
        Ok(Self(Form::Table(Box::new(table))))
    }

    fn pack(pairs: &[Pair]) -> Result<Self, Error> {
        let mut packed = Listpack::new();
        for (field, value) in pairs {
            if packed.position(field, 1).is_some() {
                return Err(Error::Duplicate);
            }
            packed.push(field);
            packed.push(value);
        }
        packed.shrink_to_fit();
        Ok(Self(Form::Packed(packed)))
    }

    /// Number of fields.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Packed(packed) => packed.len() / 2,
            Form::Table(table) => table.len(),
        }
    }

    /// Whether there is no field.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes held on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        match &self.0 {
            Form::Packed(packed) => packed.capacity(),
            Form::Table(table) => size_of::<Table<Pair>>() + table.heap_bytes(),
        }
    }

    /// The encoding's name in OBJECT ENCODING.
    #[must_use]
    pub const fn encoding(&self, dialect: Dialect) -> &'static str {
        match self.0 {
            Form::Packed(_) if dialect.has_listpacks() => "listpack",
            Form::Packed(_) => "ziplist",
            Form::Table(_) => "hashtable",
        }
    }

    /// The value type that `encode` writes.
    pub(super) const fn value_type(&self, layouts: Layouts) -> ValueType {
        match self.0 {
            Form::Packed(_) if layouts.has_listpacks() => ValueType::HashListpack,
            Form::Packed(_) => ValueType::HashZiplist,
            Form::Table(_) => ValueType::Hash,
        }
    }

    /// Writes the hash.
    pub(super) fn encode<W: Write>(&self, writer: &mut Writer<W>) -> io::Result<()> {
        match &self.0 {
            Form::Packed(packed) => writer.packed(packed),
            Form::Table(table) => writer.hash(table.len(), self.iter()),
        }
    }

    /// The value of `field`.
    #[must_use]
    pub fn get(&self, field: &[u8]) -> Option<Item<'_>> {
        match &self.0 {
            Form::Packed(packed) => find(packed, field),
            Form::Table(table) => table.get(field).map(|(_, value)| Item::Str(value)),
        }
    }

    /// Gets ready for `words`, fields and values in turn, which are about to be set: unpacks a hash that they would make too
    /// large if all fields are new (`presize`, which servers since Redis 7.2 look at), or that a long one does not fit.
    ///
    /// Source: redis 7.2 t_hash.c, hashTypeTryConversion.
    pub fn prepare<'w>(
        &mut self,
        words: impl ExactSizeIterator<Item = &'w [u8]>,
        thresholds: &Thresholds,
    ) {
        let fields = words.len() / 2;
        let many =
            thresholds.hash_counts_arguments && fields > thresholds.hash_max_listpack_entries;
        let mut words = words;
        if many || words.any(|word| word.len() > thresholds.hash_max_listpack_value) {
            self.unpack();
        }
    }

    /// Sets `field` to `value`. Gives whether the field is new.
    ///
    /// Source: redis 7.0 t_hash.c, hashTypeSet.
    pub fn set(&mut self, field: &[u8], value: &[u8], thresholds: &Thresholds) -> bool {
        self.prepare([field, value].into_iter(), thresholds);
        let added = match &mut self.0 {
            Form::Packed(packed) => set_packed(packed, field, value),
            Form::Table(table) => {
                !table.change(field, |pair| pair.1 = value.into())
                    && table.insert((field.into(), value.into()))
            }
        };
        if self.len() > thresholds.hash_max_listpack_entries {
            self.unpack();
        }
        added
    }

    /// Removes `field`. Gives false when it was not there.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        match &mut self.0 {
            Form::Packed(packed) => packed
                .position(field, 1)
                .is_some_and(|index| packed.remove(index, 2) > 0),
            Form::Table(table) => table.remove(field).is_some(),
        }
    }

    /// Fields with their values: in order of arrival while packed, in no order in a table.
    #[must_use]
    pub fn iter(&self) -> Iter<'_> {
        Iter(match &self.0 {
            Form::Packed(packed) => Walk::Packed(packed.iter()),
            Form::Table(table) => Walk::Table(table.iter()),
        })
    }

    /// Visits about `count` fields from `cursor` (0 to start) on; gives the cursor to go on with, 0 at the end. A packed hash
    /// is visited whole whatever the cursor.
    pub fn scan(
        &self,
        cursor: u64,
        count: usize,
        mut visit: impl FnMut(Item<'_>, Item<'_>),
    ) -> u64 {
        if let Form::Table(table) = &self.0 {
            return table.scan(cursor, count, |(field, value)| {
                visit(Item::Str(field), Item::Str(value));
            });
        }
        self.iter().for_each(|(field, value)| visit(field, value));
        0
    }

    /// A field at random, with its value.
    #[must_use]
    pub fn random(&self) -> Option<(Item<'_>, Item<'_>)> {
        match &self.0 {
            Form::Table(table) => table.random().map(items),
            _ if self.is_empty() => None,
            Form::Packed(_) => self.iter().nth(fastrand::usize(..self.len())),
        }
    }

    /// `count` different fields at random with their values, all of them when there are not more.
    #[must_use]
    pub fn sample(&self, count: usize) -> Vec<(Item<'_>, Item<'_>)> {
        match &self.0 {
            Form::Table(table) if count < table.len() / 3 => {
                table.sample(count).into_iter().map(items).collect()
            }
            _ => super::sample(self.iter(), self.len(), count),
        }
    }

    /// Turns into a table; of a field that stands twice the first is kept, which is the one that was found.
    fn unpack(&mut self) {
        let Form::Packed(packed) = &self.0 else {
            return;
        };
        let mut table = Table::with_capacity(packed.len() / 2 + 1);
        for (field, value) in self.iter() {
            table.insert((field.to_boxed(), value.to_boxed()));
        }
        self.0 = Form::Table(Box::new(table));
    }
}

/// The value of `field` in a packed hash.
fn find<'a>(packed: &'a Listpack, field: &[u8]) -> Option<Item<'a>> {
    let number = parse_integer(field);
    let mut items = packed.iter();
    loop {
        let found = match items.next()? {
            Item::Str(text) => text == field,
            Item::Int(own) => number == Some(own),
        };
        let value = items.next()?;
        if found {
            return Some(value);
        }
    }
}

/// Sets a field of a packed hash; gives whether it is new.
fn set_packed(packed: &mut Listpack, field: &[u8], value: &[u8]) -> bool {
    if let Some(index) = packed.position(field, 1) {
        packed.replace(index + 1, value);
        return false;
    }
    packed.push(field);
    packed.push(value);
    true
}

fn items((field, value): &Pair) -> (Item<'_>, Item<'_>) {
    (Item::Str(field), Item::Str(value))
}

/// The fields of a hash with their values.
#[derive(Debug, Clone)]
pub struct Iter<'a>(Walk<'a>);

#[derive(Debug, Clone)]
enum Walk<'a> {
    Packed(listpack::Iter<'a>),
    Table(hash_table::Iter<'a, Pair>),
}

impl<'a> Iterator for Iter<'a> {
    type Item = (Item<'a>, Item<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Walk::Packed(words) => Some((words.next()?, words.next()?)),
            Walk::Table(rows) => rows.next().map(items),
        }
    }
}

#[cfg(test)]
#[path = "hash_tests.rs"]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]
mod tests;

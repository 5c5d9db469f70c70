//! The hash: a listpack of alternating fields and values, or a hash table, and a variant of each for hashes whose fields expire.
//!
//! A hash stores the expiries of its fields but has no clock: the caller decides which fields have expired.

mod template;
#[cfg(test)]
mod template_tests;
mod timed;

use std::io::{self, Write};
use std::sync::Arc;

use super::table::Table;
use super::{Error, Thresholds};
use crate::dialect::Dialect;
use crate::rdb::ValueType;
use crate::rdb::encode::{Layouts, Writer};
use crate::rdb::listpack::{self, IntText, Item, Listpack};
use crate::rdb::names::Names;
use crate::rdb::object::TemplateValues;
use crate::rdb::records::{self, Record, Records, Shape};
use crate::resp::parse_integer;
use template::Template;
use timed::Timed;

/// A hash. It converts from a listpack to a table when Redis does, and never back.
#[derive(Debug, Clone)]
pub struct Hash(Form);

#[derive(Debug, Clone)]
enum Form {
    Packed(Listpack),
    Table(Box<Table>),
    /// A hash that has, or had, fields that expire.
    Timed(Box<Timed>),
    /// A compact hash: it shares its field names.
    Template(Box<Template>),
}

/// One field of a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// The field's name.
    pub name: Item<'a>,
    /// The field's value.
    pub value: Item<'a>,
    /// When the field expires: Unix time in milliseconds.
    pub expire_at_ms: Option<i64>,
}

impl Field<'_> {
    /// Whether the field has expired at `now_ms`.
    #[must_use]
    pub fn is_expired(&self, now_ms: i64) -> bool {
        self.expire_at_ms.is_some_and(|at| at < now_ms)
    }
}

/// How a hash is laid out, for code that writes it.
#[derive(Debug, Clone, Copy)]
pub enum Layout<'a> {
    /// A listpack of alternating fields and values.
    Pairs(&'a Listpack),
    /// A listpack of triples: field, value, expiry, sorted by expiry, soonest first. An expiry of 0 means none.
    Triples(&'a Listpack),
    /// Values, packed or not, of field names that it shares with other hashes.
    Template(&'a Names, &'a TemplateValues),
    /// A hash table.
    Table,
}

impl Default for Hash {
    fn default() -> Self {
        Self(Form::Packed(Listpack::new()))
    }
}

impl Hash {
    /// Creates a hash from a snapshot's listpack. A packed hash is not checked for duplicates; Redis does not check it either.
    ///
    /// # Errors
    /// [`Error::Odd`]. [`Error::Duplicate`] if the hash must be unpacked and has a duplicate field.
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

    /// Creates a hash from a snapshot's pairs, packed if it is small.
    ///
    /// # Errors
    /// For a duplicate field, [`Error::FieldTwice`] if the hash is small, otherwise [`Error::Duplicate`].
    pub fn from_records(pairs: Records, thresholds: &Thresholds) -> Result<Self, Error> {
        if are_small(&pairs, thresholds) {
            return Self::pack(&pairs);
        }
        let table = Table::from_records(pairs).ok_or(Error::Duplicate)?;
        Ok(Self(Form::Table(Box::new(table))))
    }

    /// Creates a hash from a snapshot's listpack of fields, values and expiries. Expiries are numbers from 0 up, and 0 means
    /// none. A packed hash is not checked for duplicates.
    ///
    /// # Errors
    /// [`Error::Odd`]. [`Error::Duplicate`] if the hash must be unpacked and has a duplicate field.
    pub fn from_triples(triples: Listpack, thresholds: &Thresholds) -> Result<Self, Error> {
        let items = triples.len();
        if !items.is_multiple_of(3) {
            return Err(Error::Odd);
        }
        let timed = Timed::from_triples(triples, thresholds);
        if timed.len() == items / 3 {
            Ok(Self(Form::Timed(Box::new(timed))))
        } else {
            Err(Error::Duplicate)
        }
    }

    /// Creates a hash from a snapshot's pairs with expiries, packed if it is small and the server packs such hashes.
    ///
    /// # Errors
    /// For a duplicate field, [`Error::FieldTwice`] if the hash is packed, otherwise [`Error::Duplicate`].
    pub fn from_timed_records(pairs: Records, thresholds: &Thresholds) -> Result<Self, Error> {
        let timed = Timed::from_records(pairs, thresholds)?;
        Ok(Self(Form::Timed(Box::new(timed))))
    }

    /// Creates a compact hash from field names and as many values.
    #[must_use]
    pub fn from_template(
        names: Arc<Names>,
        values: TemplateValues,
        thresholds: &Thresholds,
    ) -> Self {
        let hash = Template::new(names, values, thresholds);
        Self(Form::Template(Box::new(hash)))
    }

    fn pack(pairs: &Records) -> Result<Self, Error> {
        let mut packed = Listpack::new();
        for pair in pairs.iter() {
            if packed.position(pair.key, 1).is_some() {
                return Err(Error::FieldTwice);
            }
            packed.push(pair.key);
            packed.push(pair.value);
        }
        packed.shrink_to_fit();
        Ok(Self(Form::Packed(packed)))
    }

    /// The number of fields.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Packed(packed) => packed.len() / 2,
            Form::Table(table) => table.len(),
            Form::Timed(timed) => timed.len(),
            Form::Template(hash) => hash.len(),
        }
    }

    /// Whether there are no fields.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of bytes on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        match &self.0 {
            Form::Packed(packed) => packed.capacity(),
            Form::Table(table) => size_of::<Table>() + table.heap_bytes(),
            Form::Timed(timed) => timed.heap_bytes(),
            Form::Template(hash) => hash.heap_bytes(),
        }
    }

    /// Returns how the hash is laid out.
    #[must_use]
    pub fn layout(&self) -> Layout<'_> {
        match &self.0 {
            Form::Packed(packed) => Layout::Pairs(packed),
            Form::Table(_) => Layout::Table,
            Form::Timed(timed) => timed.triples().map_or(Layout::Table, Layout::Triples),
            Form::Template(hash) => {
                let (names, values) = hash.parts();
                Layout::Template(names, values)
            }
        }
    }

    /// The name of the encoding in OBJECT ENCODING.
    #[must_use]
    pub fn encoding(&self, dialect: Dialect) -> &'static str {
        match self.layout() {
            Layout::Pairs(_) if dialect.has_listpacks() => "listpack",
            Layout::Pairs(_) => "ziplist",
            Layout::Triples(_) => "listpackex",
            Layout::Template(_, TemplateValues::Packed(_)) => "template-listpack",
            Layout::Template(_, TemplateValues::Array(_)) => "template-array",
            Layout::Table => "hashtable",
        }
    }

    /// Returns the value type that `encode` writes.
    pub(crate) fn value_type(&self, layouts: Layouts) -> ValueType {
        match self.layout() {
            Layout::Pairs(_) if layouts.has_listpacks() => ValueType::HashListpack,
            Layout::Pairs(_) => ValueType::HashZiplist,
            Layout::Triples(_) if !layouts.is_valkey() => ValueType::HashListpackEx,
            Layout::Template(_, values) if layouts.has_templates() => match values {
                TemplateValues::Packed(_) => ValueType::HashTemplateListpack,
                TemplateValues::Array(_) => ValueType::HashTemplateArray,
            },
            _ if self.expiring() == 0 => ValueType::Hash,
            _ if layouts.is_valkey() => ValueType::Hash2,
            _ => ValueType::HashMetadata,
        }
    }

    /// Writes the hash.
    pub(crate) fn encode<W: Write>(&self, writer: &mut Writer<W>) -> io::Result<()> {
        let kind = self.value_type(writer.layouts());
        match (kind, &self.0, self.layout()) {
            (ValueType::Hash2, ..) => writer.hash_with_expiries(self.len(), self.triples()),
            (ValueType::HashMetadata, Form::Timed(timed), _) => {
                let first = timed.expiries().min();
                let first = first.ok_or_else(|| io::Error::other("no field of a hash expires"))?;
                writer.hash_metadata(self.len(), first, self.triples())
            }
            (ValueType::HashListpackEx, Form::Timed(timed), Layout::Triples(triples)) => {
                writer.raw(&timed.tracked_ms().unwrap_or(NOT_TRACKED).to_le_bytes())?;
                writer.packed(triples)
            }
            (ValueType::Hash, ..) => writer.hash(self.len(), self.iter()),
            (
                ValueType::HashTemplateListpack | ValueType::HashTemplateArray,
                _,
                Layout::Template(names, values),
            ) => writer.template_hash(names, values),
            (ValueType::HashListpack | ValueType::HashZiplist, _, Layout::Pairs(pairs)) => {
                writer.packed(pairs)
            }
            // A type without its value would damage everything after it.
            _ => Err(io::Error::other(format!(
                "a hash is not laid out as {kind:?}"
            ))),
        }
    }

    fn packed(&self) -> Option<&Listpack> {
        match self.layout() {
            Layout::Pairs(packed) | Layout::Triples(packed) => Some(packed),
            Layout::Template(..) | Layout::Table => None,
        }
    }

    fn triples(&self) -> impl Iterator<Item = (Item<'_>, Item<'_>, Option<i64>)> {
        let fields = self.fields();
        fields.map(|field| (field.name, field.value, field.expire_at_ms))
    }

    /// The number of fields with an expiry.
    #[must_use]
    pub fn expiring(&self) -> usize {
        match &self.0 {
            Form::Timed(timed) => timed.expiring(),
            Form::Packed(_) | Form::Table(_) | Form::Template(_) => 0,
        }
    }

    /// Whether INFO counts it among the hashes with expiring fields. After the last expiry is removed, Redis keeps counting the
    /// hash until one of its fields is deleted.
    #[must_use]
    pub fn is_tracked(&self) -> bool {
        matches!(&self.0, Form::Timed(timed) if timed.tracked_ms().is_some())
    }

    /// Call this at the end of a command that has set expiries with [`set_expiry`](Self::set_expiry).
    pub fn settle_expiries(&mut self) {
        if let Form::Timed(timed) = &mut self.0 {
            timed.settle();
        }
    }

    /// Returns the value of `field`.
    #[must_use]
    pub fn get(&self, field: &[u8]) -> Option<Item<'_>> {
        match &self.0 {
            Form::Packed(packed) => find(packed, field),
            Form::Table(table) => table.get(field).map(|pair| Item::Str(pair.value)),
            Form::Timed(timed) => timed.get(field).map(|field| field.value),
            Form::Template(hash) => hash.get(field),
        }
    }

    /// Returns when `field` expires: `Some(None)` if never, `None` if there is no such field.
    #[must_use]
    pub fn expiry(&self, field: &[u8]) -> Option<Option<i64>> {
        match &self.0 {
            Form::Timed(timed) => timed.get(field).map(|field| field.expire_at_ms),
            Form::Packed(_) | Form::Table(_) | Form::Template(_) => self.get(field).map(|_| None),
        }
    }

    /// Returns the value of `field`, unless the field has expired at `now_ms`.
    #[must_use]
    pub fn get_live(&self, field: &[u8], now_ms: i64) -> Option<Item<'_>> {
        match &self.0 {
            Form::Timed(timed) => {
                let live = timed.get(field).filter(|field| !field.is_expired(now_ms));
                live.map(|field| field.value)
            }
            Form::Packed(_) | Form::Table(_) | Form::Template(_) => self.get(field),
        }
    }

    /// Sets, changes or removes the expiry of `field`. Returns false if there is no such field.
    pub fn set_expiry(
        &mut self,
        field: &[u8],
        expire_at_ms: Option<i64>,
        thresholds: &Thresholds,
    ) -> bool {
        if expire_at_ms.is_some() && self.get(field).is_some() {
            self.admit_expiries(thresholds);
        }
        match &mut self.0 {
            Form::Timed(timed) => timed.set_expiry(field, expire_at_ms, thresholds),
            Form::Packed(_) | Form::Table(_) | Form::Template(_) => self.get(field).is_some(),
        }
    }

    /// Converts to the form with room for expiries. A listpack stays a listpack if the server packs expiries.
    pub fn admit_expiries(&mut self, thresholds: &Thresholds) {
        let timed = match &self.0 {
            Form::Timed(_) => return,
            Form::Packed(_) if thresholds.hash_packs_expiries => Timed::packed(self.iter()),
            Form::Template(hash) if hash.fits_listpack(thresholds) => Timed::packed(self.iter()),
            Form::Packed(_) | Form::Table(_) | Form::Template(_) => Timed::table(self.iter()),
        };
        self.0 = Form::Timed(Box::new(timed));
    }

    /// Prepares for setting `words`, which alternate between fields and values. Unpacks the hash if it would become too large
    /// with every field new (`presize`, which servers check since Redis 7.2), or if a word is too long for it.
    ///
    /// Source: redis 7.2 t_hash.c, hashTypeTryConversion.
    pub fn prepare<'w>(
        &mut self,
        words: impl ExactSizeIterator<Item = &'w [u8]>,
        thresholds: &Thresholds,
    ) {
        if let Form::Template(hash) = &mut self.0 {
            return hash.prepare(words, thresholds);
        }
        let fields = words.len() / 2;
        let many =
            thresholds.hash_counts_arguments && fields > thresholds.hash_max_listpack_entries;
        let (mut bytes, mut is_long) = (0_usize, false);
        for word in words {
            bytes = bytes.saturating_add(word.len());
            is_long |= word.len() > thresholds.hash_max_listpack_value;
        }
        if many || is_long || self.packed().is_some_and(|packed| !packed.can_grow(bytes)) {
            self.unpack();
        }
    }

    /// Sets `field` to `value` and removes its expiry. Returns whether the field is new.
    ///
    /// Source: redis 7.0 t_hash.c, hashTypeSet.
    pub fn set(&mut self, field: &[u8], value: &[u8], thresholds: &Thresholds) -> bool {
        let added = self.set_value(field, value, thresholds);
        if let Form::Timed(timed) = &mut self.0 {
            timed.set_expiry(field, None, thresholds);
        }
        added
    }

    /// Sets `field` to `value` and keeps its expiry. Returns whether the field is new.
    pub fn set_value(&mut self, field: &[u8], value: &[u8], thresholds: &Thresholds) -> bool {
        self.prepare([field, value].into_iter(), thresholds);
        let added = match &mut self.0 {
            Form::Packed(packed) => set_packed(packed, field, value),
            Form::Table(table) => table.put(Record::field(field, value)),
            Form::Timed(timed) => return timed.set(field, value, thresholds),
            Form::Template(hash) => return hash.set(field, value, thresholds),
        };
        if self.len() > thresholds.hash_max_listpack_entries {
            self.unpack();
        }
        added
    }

    /// Removes `field`. Returns false if it did not exist.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        match &mut self.0 {
            Form::Packed(packed) => packed
                .position(field, 1)
                .is_some_and(|index| packed.remove(index, 2) > 0),
            Form::Table(table) => table.remove(field),
            Form::Timed(timed) => timed.remove(field),
            Form::Template(hash) => hash.remove(field),
        }
    }

    /// Iterates over fields and values: in insertion order if packed, or by expiry, soonest first, if fields expire; in the order
    /// of the shared names if compact; in no particular order in a table.
    #[must_use]
    pub fn iter(&self) -> Iter<'_> {
        Iter {
            walk: self.walk(),
            left: self.len(),
        }
    }

    fn walk(&self) -> Walk<'_> {
        match &self.0 {
            Form::Packed(packed) => Walk::Packed(packed.iter()),
            Form::Table(table) => Walk::Table(table.iter()),
            Form::Timed(timed) => Walk::Timed(timed.iter()),
            Form::Template(hash) => Walk::Template(hash.iter()),
        }
    }

    /// Like [`iter`](Self::iter), but with expiries.
    pub fn fields(&self) -> impl Iterator<Item = Field<'_>> {
        let mut walk = self.walk();
        std::iter::from_fn(move || walk.next())
    }

    /// Visits about `count` fields from `cursor` (0 to start). Returns the next cursor, or 0 at the end. In a packed or compact
    /// hash, visits all fields whatever the cursor is.
    pub fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(Field<'_>)) -> u64 {
        match &self.0 {
            Form::Packed(_) | Form::Template(_) => {
                self.fields().for_each(visit);
                0
            }
            Form::Table(table) => table.scan(cursor, count, |pair| visit(plain(items(pair)))),
            Form::Timed(timed) => timed.scan(cursor, count, visit),
        }
    }

    /// Returns a random field and its value.
    #[must_use]
    pub fn random(&self) -> Option<(Item<'_>, Item<'_>)> {
        match &self.0 {
            Form::Timed(timed) => timed.random().map(|field| (field.name, field.value)),
            Form::Table(table) => table.random().map(items),
            _ if self.is_empty() => None,
            Form::Packed(_) | Form::Template(_) => self.iter().nth(fastrand::usize(..self.len())),
        }
    }

    /// Returns `count` different random fields and their values, or all if there are fewer.
    #[must_use]
    pub fn sample(&self, count: usize) -> Vec<(Item<'_>, Item<'_>)> {
        match &self.0 {
            Form::Table(table) => table.sample(count).into_iter().map(items).collect(),
            Form::Timed(timed) => {
                let sample = timed.sample(count).into_iter();
                sample.map(|field| (field.name, field.value)).collect()
            }
            _ => super::sample(self.iter(), self.len(), count),
        }
    }

    /// Converts to a table. Of duplicate fields the first is kept, because that is the one that lookups found.
    fn unpack(&mut self) {
        let packed = match &mut self.0 {
            Form::Packed(packed) => packed,
            Form::Timed(timed) => return timed.unpack(),
            Form::Table(_) | Form::Template(_) => return,
        };
        let mut table = Table::new(Shape::FIELD);
        let (mut name, mut text) = (IntText::new(), IntText::new());
        let mut items = packed.iter();
        while let (Some(field), Some(value)) = (items.next(), items.next()) {
            let _ = table.insert(Record::field(field.text(&mut name), value.text(&mut text)));
        }
        self.0 = Form::Table(Box::new(table));
    }
}

/// Written instead of the soonest expiry of a hash that has none.
const NOT_TRACKED: i64 = 0;

/// Returns the value of `field` in a packed hash.
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

/// Sets a field of a packed hash. Returns whether the field is new.
fn set_packed(packed: &mut Listpack, field: &[u8], value: &[u8]) -> bool {
    if let Some(index) = packed.position(field, 1) {
        packed.replace(index + 1, value);
        return false;
    }
    packed.push(field);
    packed.push(value);
    true
}

fn items(pair: Record<'_>) -> (Item<'_>, Item<'_>) {
    (Item::Str(pair.key), Item::Str(pair.value))
}

/// Whether a hash of these fields is packed.
fn are_small(pairs: &Records, thresholds: &Thresholds) -> bool {
    let limit = thresholds.hash_max_listpack_value;
    pairs.len() <= thresholds.hash_max_listpack_entries
        && pairs
            .iter()
            .all(|pair| pair.key.len() <= limit && pair.value.len() <= limit)
}

fn plain<'a>((name, value): (Item<'a>, Item<'a>)) -> Field<'a> {
    Field {
        name,
        value,
        expire_at_ms: None,
    }
}

/// Iterates over the fields of a hash and their values.
#[derive(Debug, Clone)]
pub struct Iter<'a> {
    walk: Walk<'a>,
    left: usize,
}

#[derive(Debug, Clone)]
enum Walk<'a> {
    Packed(listpack::Iter<'a>),
    Table(records::Iter<'a>),
    Timed(timed::Iter<'a>),
    Template(template::Iter<'a>),
}

impl<'a> Walk<'a> {
    #[inline]
    fn next(&mut self) -> Option<Field<'a>> {
        match self {
            Self::Packed(words) => Some(plain((words.next()?, words.next()?))),
            Self::Table(rows) => rows.next().map(items).map(plain),
            Self::Timed(fields) => fields.next(),
            Self::Template(pairs) => pairs.next().map(plain),
        }
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = (Item<'a>, Item<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let field = self.walk.next()?;
        self.left = self.left.saturating_sub(1);
        Some((field.name, field.value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Iter<'_> {}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]
mod tests;

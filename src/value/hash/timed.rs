//! The forms of a hash whose fields expire: a listpack of triples, soonest expiry first, or a table whose rows hold an expiry.

use super::{Field, are_small};
use crate::rdb::listpack::{self, IntText, Item, Listpack};
use crate::rdb::records::{self, Record, Records, Shape, expiry_number};
use crate::value::table::Table;
use crate::value::{Error, Thresholds};

/// A hash that has, or had, fields that expire.
#[derive(Debug, Clone)]
pub(super) struct Timed {
    form: Form,
    /// The number of fields with an expiry.
    expiring: usize,
    /// The soonest expiry in the server's list of hashes with expiring fields. Redis does not update it when an expiry is
    /// removed, until the last field that has one is deleted, nor when it would move by less than four seconds.
    tracked_ms: Option<i64>,
    /// The soonest expiry that the current command has set or replaced.
    touched_ms: i64,
}

#[derive(Debug, Clone)]
enum Form {
    /// Field, value, and expiry or 0. Source: redis 8.0 t_hash.c, `listpackEx`.
    Packed(Listpack),
    Table(Table),
}

impl Timed {
    fn new(form: Form) -> Self {
        let mut timed = Self {
            form,
            expiring: 0,
            tracked_ms: None,
            touched_ms: i64::MAX,
        };
        timed.expiring = timed.expiries().count();
        timed.tracked_ms = timed.expiries().min();
        timed
    }

    /// Takes the triples as they are, and unpacks them if there are too many. Of duplicate fields the first is kept.
    pub(super) fn from_triples(triples: Listpack, thresholds: &Thresholds) -> Self {
        let mut timed = Self::new(Form::Packed(triples));
        timed.unpack_if_large(thresholds);
        timed
    }

    /// Builds the packed form if `thresholds` allow it, otherwise the table.
    pub(super) fn from_records(pairs: Records, thresholds: &Thresholds) -> Result<Self, Error> {
        if thresholds.hash_packs_expiries && are_small(&pairs, thresholds) {
            return Self::pack(&pairs);
        }
        let table = Table::from_records(pairs).ok_or(Error::Duplicate)?;
        Ok(Self::new(Form::Table(table)))
    }

    fn pack(pairs: &Records) -> Result<Self, Error> {
        let mut packed = Listpack::new();
        for pair in pairs.iter() {
            if packed.position(pair.key, 2).is_some() {
                return Err(Error::FieldTwice);
            }
            put(&mut packed, pair.key, pair.value, pair.expire_at_ms());
        }
        packed.shrink_to_fit();
        Ok(Self::new(Form::Packed(packed)))
    }

    /// Creates the packed form from the fields of a hash without expiries.
    pub(super) fn packed<'a>(pairs: impl Iterator<Item = (Item<'a>, Item<'a>)>) -> Self {
        let mut packed = Listpack::new();
        for (field, value) in pairs {
            packed.push_item(field);
            packed.push_item(value);
            packed.push_int(NO_EXPIRY);
        }
        Self::new(Form::Packed(packed))
    }

    /// Creates the table form from the fields of a hash without expiries.
    pub(super) fn table<'a>(pairs: impl Iterator<Item = (Item<'a>, Item<'a>)>) -> Self {
        let fields = pairs.map(|(name, value)| Field {
            name,
            value,
            expire_at_ms: None,
        });
        Self::new(Form::Table(table_of(fields)))
    }

    pub(super) fn len(&self) -> usize {
        match &self.form {
            Form::Packed(packed) => packed.len() / 3,
            Form::Table(table) => table.len(),
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let held = match &self.form {
            Form::Packed(packed) => packed.capacity(),
            Form::Table(table) => table.heap_bytes(),
        };
        size_of::<Self>() + held
    }

    /// Returns the triples if the hash is packed.
    pub(super) const fn triples(&self) -> Option<&Listpack> {
        match &self.form {
            Form::Packed(packed) => Some(packed),
            Form::Table(_) => None,
        }
    }

    /// The number of fields with an expiry.
    pub(super) const fn expiring(&self) -> usize {
        self.expiring
    }

    /// The soonest expiry in the server's list of hashes with expiring fields.
    pub(super) const fn tracked_ms(&self) -> Option<i64> {
        self.tracked_ms
    }

    pub(super) fn expiries(&self) -> impl Iterator<Item = i64> {
        self.iter().filter_map(|field| field.expire_at_ms)
    }

    /// Call this at the end of a command that has set expiries. Updates the expiry in the server's list.
    ///
    /// Source: redis 8.0 t_hash.c, `hashTypeSetExDone`.
    pub(super) fn settle(&mut self) {
        let touched = std::mem::replace(&mut self.touched_ms, i64::MAX);
        if self.tracked_ms.is_some_and(|tracked| tracked < touched) {
            return;
        }
        let first = match &self.form {
            Form::Packed(_) => self.expiries().min(),
            // The exact value shows only if the hash is packed. A walk over a large table for each command would take too long.
            Form::Table(_) => (self.expiring > 0).then_some(touched),
        };
        let moved = match (self.tracked_ms, first) {
            (Some(tracked), Some(first)) => tracked.abs_diff(first) >= TRACKED_MS_STEP,
            _ => true,
        };
        if moved {
            self.tracked_ms = first;
        }
    }

    pub(super) fn get(&self, field: &[u8]) -> Option<Field<'_>> {
        match &self.form {
            Form::Packed(packed) => triple(&mut packed.iter_from(packed.position(field, 2)?)),
            Form::Table(table) => table.get(field).map(row),
        }
    }

    /// Converts to a table. Of duplicate fields the first is kept.
    pub(super) fn unpack(&mut self) {
        if let Form::Packed(_) = &self.form {
            self.form = Form::Table(table_of(self.iter()));
        }
    }

    fn unpack_if_large(&mut self, thresholds: &Thresholds) {
        if self.len() > thresholds.hash_max_listpack_entries {
            self.unpack();
        }
    }

    /// Sets `field` to `value` and keeps its expiry. Returns whether the field is new.
    pub(super) fn set(&mut self, field: &[u8], value: &[u8], thresholds: &Thresholds) -> bool {
        let added = match &mut self.form {
            Form::Packed(packed) => match packed.position(field, 2) {
                Some(index) => !packed.replace(index + 1, value),
                None => put(packed, field, value, None),
            },
            Form::Table(table) => table.put(Record::timed_field(field, value, None)),
        };
        self.unpack_if_large(thresholds);
        added
    }

    /// Sets, changes or removes the expiry of `field`, a time after 1970. Returns false if there is no such field.
    pub(super) fn set_expiry(
        &mut self,
        field: &[u8],
        expire_at_ms: Option<i64>,
        thresholds: &Thresholds,
    ) -> bool {
        let Some(before) = self.get(field).map(|field| field.expire_at_ms) else {
            return false;
        };
        // Setting the same time again still moves a packed field before the others with that time.
        if before.is_some() || expire_at_ms.is_some() {
            self.change_expiry(field, expire_at_ms);
        }
        self.expiring =
            self.expiring + usize::from(expire_at_ms.is_some()) - usize::from(before.is_some());
        if let Some(at) = expire_at_ms {
            self.touched_ms = self.touched_ms.min(at).min(before.unwrap_or(at));
        }
        if self.expiring == 0 && !thresholds.hash_packs_expiries {
            self.tracked_ms = None;
        }
        true
    }

    pub(super) fn change_expiry(&mut self, field: &[u8], expire_at_ms: Option<i64>) {
        match &mut self.form {
            Form::Packed(packed) => {
                let index = packed.position(field, 2);
                let found =
                    index.and_then(|index| Some((index, packed.get(index + 1)?.to_boxed())));
                let Some((index, value)) = found else {
                    unreachable!("the caller has found the field")
                };
                packed.remove(index, 3);
                put(packed, field, &value, expire_at_ms);
            }
            Form::Table(table) => {
                let Some(handle) = table.find(field) else {
                    unreachable!("the caller has found the field")
                };
                table.set_number(handle, expiry_number(expire_at_ms));
            }
        }
    }

    /// Removes `field`. Returns false if it did not exist.
    pub(super) fn remove(&mut self, field: &[u8]) -> bool {
        let Some(expires) = self.get(field).map(|field| field.expire_at_ms.is_some()) else {
            return false;
        };
        match &mut self.form {
            Form::Packed(packed) => {
                let index = packed.position(field, 2);
                index.map(|index| packed.remove(index, 3));
            }
            Form::Table(table) => {
                table.remove(field);
            }
        }
        self.expiring -= usize::from(expires);
        if expires && self.expiring == 0 {
            self.tracked_ms = None;
        }
        true
    }

    pub(super) fn iter(&self) -> Iter<'_> {
        match &self.form {
            Form::Packed(packed) => Iter::Packed(packed.iter()),
            Form::Table(table) => Iter::Table(table.iter()),
        }
    }

    pub(super) fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(Field<'_>)) -> u64 {
        if let Form::Table(table) = &self.form {
            return table.scan(cursor, count, |pair| visit(row(pair)));
        }
        self.iter().for_each(visit);
        0
    }

    pub(super) fn random(&self) -> Option<Field<'_>> {
        match &self.form {
            Form::Table(table) => table.random().map(row),
            Form::Packed(packed) if packed.is_empty() => None,
            Form::Packed(_) => self.iter().nth(fastrand::usize(..self.len())),
        }
    }

    pub(super) fn sample(&self, count: usize) -> Vec<Field<'_>> {
        match &self.form {
            Form::Table(table) => table.sample(count).into_iter().map(row).collect(),
            Form::Packed(_) => crate::value::sample(self.iter(), self.len(), count),
        }
    }
}

/// Inserts a triple at its place: before the first that does not expire sooner, or at the end if it has no expiry.
///
/// Source: redis 8.0 t_hash.c, `listpackExAddInternal`.
fn put(packed: &mut Listpack, field: &[u8], value: &[u8], expire_at_ms: Option<i64>) -> bool {
    let index = expire_at_ms.map_or(packed.len(), |at| place(packed, at));
    let mut expiry = IntText::new();
    packed.insert(index, field);
    packed.insert(index + 1, value);
    packed.insert(index + 2, expiry.format(expire_at_ms.unwrap_or(NO_EXPIRY)));
    true
}

fn place(packed: &Listpack, at: i64) -> usize {
    let mut items = packed.iter();
    let triples = std::iter::from_fn(|| triple(&mut items));
    let sooner = triples.take_while(|field| field.expire_at_ms.is_some_and(|other| other < at));
    sooner.count() * 3
}

fn triple<'a>(items: &mut listpack::Iter<'a>) -> Option<Field<'a>> {
    Some(Field {
        name: items.next()?,
        value: items.next()?,
        expire_at_ms: items.next()?.as_int().filter(|at| *at != NO_EXPIRY),
    })
}

fn row(pair: Record<'_>) -> Field<'_> {
    Field {
        name: Item::Str(pair.key),
        value: Item::Str(pair.value),
        expire_at_ms: pair.expire_at_ms(),
    }
}

/// Builds a table of fields. Of duplicates the first is kept.
fn table_of<'a>(fields: impl Iterator<Item = Field<'a>>) -> Table {
    let mut table = Table::new(Shape::TIMED_FIELD);
    let (mut name, mut text) = (IntText::new(), IntText::new());
    for field in fields {
        let (name, value) = (field.name.text(&mut name), field.value.text(&mut text));
        let _ = table.insert(Record::timed_field(name, value, field.expire_at_ms));
    }
    table
}

/// How far the soonest expiry must move before Redis records it. Source: redis 8.0 t_hash.c, `HASH_NEW_EXPIRE_DIFF_THRESHOLD`.
const TRACKED_MS_STEP: u64 = 4000;
/// The expiry in a triple that means none.
const NO_EXPIRY: i64 = 0;

/// Iterates over the fields of a hash whose fields expire.
#[derive(Debug, Clone)]
pub(super) enum Iter<'a> {
    Packed(listpack::Iter<'a>),
    Table(records::Iter<'a>),
}

impl<'a> Iterator for Iter<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Packed(items) => triple(items),
            Self::Table(rows) => rows.next().map(row),
        }
    }
}

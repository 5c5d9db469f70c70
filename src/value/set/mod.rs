//! The set: an intset, a listpack, or a hash table.

mod algebra;
#[cfg(test)]
mod tests;

use std::io::{self, Write};

use super::table::Table;
use super::{Error, Thresholds};
use crate::dialect::Dialect;
use crate::rdb::ValueType;
use crate::rdb::encode::{Layouts, Writer};
use crate::rdb::intset::Intset;
use crate::rdb::listpack::{self, IntText, Item, Listpack};
use crate::rdb::records::{self, Record, Records, Shape};
use crate::resp::parse_integer;

pub use algebra::{difference, intersection, intersection_store, union};

/// A set of byte strings. It converts between its forms as Redis does: only from intset to listpack to hash table, except for
/// the result of an intersection.
#[derive(Debug, Clone)]
pub struct Set(Form);

#[derive(Debug, Clone)]
enum Form {
    Intset(Intset),
    Packed(Listpack),
    Table(Box<Table>),
}

impl Default for Set {
    fn default() -> Self {
        Self(Form::Intset(Intset::new()))
    }
}

impl Set {
    /// Creates a set from a snapshot's intset.
    #[must_use]
    pub fn from_intset(intset: Intset, thresholds: &Thresholds) -> Self {
        let too_large = intset.len() > thresholds.set_max_intset_entries;
        let mut set = Self(Form::Intset(intset));
        if too_large {
            set.unpack();
        }
        set
    }

    /// Creates a set from a snapshot's listpack. A packed set is not checked for duplicates; Redis does not check it either.
    ///
    /// # Errors
    /// [`Error::Duplicate`] if the set must be unpacked and has a duplicate member.
    pub fn from_listpack(packed: Listpack, thresholds: &Thresholds) -> Result<Self, Error> {
        let members = packed.len();
        let mut set = Self(Form::Packed(packed));
        if members > thresholds.set_max_listpack_entries {
            set.unpack();
        }
        if set.len() == members {
            Ok(set)
        } else {
            Err(Error::Duplicate)
        }
    }

    /// Creates a set from a snapshot's list of members. If there are too many for an intset, it is a table, whatever the
    /// members are. Otherwise it is as if they were added one by one.
    ///
    /// Source: redis 7.2 rdb.c, rdbLoadObject.
    ///
    /// # Errors
    /// [`Error::MemberTwice`] if there is a duplicate member.
    pub fn from_records(members: Records, thresholds: &Thresholds) -> Result<Self, Error> {
        if !are_small(&members, thresholds) {
            let table = Table::from_records(members).ok_or(Error::MemberTwice)?;
            return Ok(Self(Form::Table(Box::new(table))));
        }
        let mut set = Self::default();
        for member in members.iter() {
            if !set.add(member.key, thresholds) {
                return Err(Error::MemberTwice);
            }
        }
        set.shrink_to_fit();
        Ok(set)
    }

    /// The number of members.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Intset(intset) => intset.len(),
            Form::Packed(packed) => packed.len(),
            Form::Table(table) => table.len(),
        }
    }

    /// Whether there are no members.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of bytes on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        match &self.0 {
            Form::Intset(intset) => intset.byte_len(),
            Form::Packed(packed) => packed.capacity(),
            Form::Table(table) => size_of::<Table>() + table.heap_bytes(),
        }
    }

    /// The name of the encoding in OBJECT ENCODING.
    #[must_use]
    pub const fn encoding(&self, _dialect: Dialect) -> &'static str {
        match self.0 {
            Form::Intset(_) => "intset",
            Form::Packed(_) => "listpack",
            Form::Table(_) => "hashtable",
        }
    }

    /// Returns the value type that `encode` writes.
    pub(super) const fn value_type(&self, layouts: Layouts) -> ValueType {
        match self.0 {
            Form::Intset(_) => ValueType::SetIntset,
            Form::Packed(_) if layouts.has_listpack_sets() => ValueType::SetListpack,
            _ => ValueType::Set,
        }
    }

    /// Writes the set.
    pub(super) fn encode<W: Write>(&self, writer: &mut Writer<W>) -> io::Result<()> {
        match &self.0 {
            Form::Intset(intset) => writer.intset(intset),
            Form::Packed(packed) if writer.layouts().has_listpack_sets() => writer.packed(packed),
            _ => writer.set(self.len(), self.iter()),
        }
    }

    /// Whether `member` is in the set.
    #[must_use]
    pub fn contains(&self, member: &[u8]) -> bool {
        match &self.0 {
            Form::Intset(intset) => parse_integer(member).is_some_and(|n| intset.contains(n)),
            Form::Packed(packed) => packed.position(member, 0).is_some(),
            Form::Table(table) => table.find(member).is_some(),
        }
    }

    /// Whether `member` is in the set.
    #[must_use]
    pub fn has(&self, member: Item<'_>) -> bool {
        match (&self.0, member) {
            (Form::Intset(intset), Item::Int(number)) => intset.contains(number),
            _ => self.contains(member.text(&mut IntText::new())),
        }
    }

    /// Prepares for `additions` members, the first of which is `first`. Chooses the form of an empty set, and unpacks a set
    /// that would become too large if all of them are new.
    ///
    /// Source: redis 7.2 t_set.c, setTypeCreate and setTypeMaybeConvert (earlier servers check members one by one).
    pub fn prepare(&mut self, first: &[u8], additions: usize, thresholds: &Thresholds) {
        if !thresholds.has_listpack_sets {
            return;
        }
        let fits_listpack = additions <= thresholds.set_max_listpack_entries;
        let fits_intset = additions <= thresholds.set_max_intset_entries;
        match &self.0 {
            form if self.is_empty() && !matches!(form, Form::Table(_)) => {
                self.0 = match parse_integer(first) {
                    Some(_) if fits_intset => Form::Intset(Intset::new()),
                    _ if fits_listpack => Form::Packed(Listpack::new()),
                    _ => Form::Table(Box::new(Table::new(Shape::MEMBER))),
                }
            }
            Form::Packed(_) if !fits_listpack => self.unpack(),
            Form::Intset(_) if !fits_intset => self.unpack(),
            _ => {}
        }
    }

    /// Adds a member. Returns false if it already existed.
    ///
    /// Source: redis 7.2 t_set.c, setTypeAddAux.
    pub fn add(&mut self, member: &[u8], thresholds: &Thresholds) -> bool {
        match &mut self.0 {
            Form::Intset(intset) => match parse_integer(member) {
                Some(number) => {
                    let added = intset.insert(number);
                    if intset.len() > thresholds.set_max_intset_entries {
                        self.unpack();
                    }
                    added
                }
                None => self.leave_intset(member, thresholds),
            },
            Form::Packed(packed) => {
                if packed.position(member, 0).is_some() {
                    return false;
                }
                if takes_one_more(packed.len(), member, thresholds) && packed.can_grow(member.len())
                {
                    packed.push(member);
                    return true;
                }
                self.unpack();
                self.add(member, thresholds)
            }
            Form::Table(table) => table.insert(Record::member(member)).is_ok(),
        }
    }

    /// Adds the first member that is not an integer.
    fn leave_intset(&mut self, member: &[u8], thresholds: &Thresholds) -> bool {
        if let Form::Intset(intset) = &self.0
            && takes_one_more(intset.len(), member, thresholds)
            && widest(intset) <= thresholds.set_max_listpack_value
        {
            let mut packed = Listpack::new();
            intset.iter().for_each(|number| packed.push_int(number));
            packed.push(member);
            self.0 = Form::Packed(packed);
            return true;
        }
        self.unpack();
        self.add(member, thresholds)
    }

    /// Removes a member. Returns false if it did not exist.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        match &mut self.0 {
            Form::Intset(intset) => parse_integer(member).is_some_and(|n| intset.remove(n)),
            Form::Packed(packed) => packed
                .position(member, 0)
                .is_some_and(|index| packed.remove(index, 1) > 0),
            Form::Table(table) => table.remove(member),
        }
    }

    /// Iterates over the members: ascending in an intset, in insertion order in a listpack, in no particular order in a table.
    #[must_use]
    pub fn iter(&self) -> Iter<'_> {
        Iter(match &self.0 {
            Form::Intset(intset) => Walk::Intset(intset, 0),
            Form::Packed(packed) => Walk::Packed(packed.iter()),
            Form::Table(table) => Walk::Table(table.iter()),
        })
    }

    /// Visits about `count` members from `cursor` (0 to start). Returns the next cursor, or 0 at the end. In a packed set,
    /// visits all members whatever the cursor is.
    pub fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(Item<'_>)) -> u64 {
        if let Form::Table(table) = &self.0 {
            return table.scan(cursor, count, |record| visit(Item::Str(record.key)));
        }
        self.iter().for_each(visit);
        0
    }

    /// Returns a random member.
    #[must_use]
    pub fn random(&self) -> Option<Item<'_>> {
        match &self.0 {
            Form::Table(table) => table.random().map(|record| Item::Str(record.key)),
            _ if self.is_empty() => None,
            Form::Intset(intset) => intset.get(fastrand::usize(..intset.len())).map(Item::Int),
            Form::Packed(packed) => packed.get(fastrand::usize(..packed.len())),
        }
    }

    /// Returns `count` different random members, or all if there are fewer.
    #[must_use]
    pub fn sample(&self, count: usize) -> Vec<Item<'_>> {
        match &self.0 {
            Form::Table(table) => {
                let members = table.sample(count).into_iter();
                members.map(|record| Item::Str(record.key)).collect()
            }
            _ => super::sample(self.iter(), self.len(), count),
        }
    }

    /// Frees the spare capacity of a listpack.
    fn shrink_to_fit(&mut self) {
        if let Form::Packed(packed) = &mut self.0 {
            packed.shrink_to_fit();
        }
    }

    /// Converts to a table. A second copy of a member is dropped.
    fn unpack(&mut self) {
        let mut table = Table::new(Shape::MEMBER);
        self.iter().for_each(|member| {
            let _ = table.insert(Record::member(member.text(&mut IntText::new())));
        });
        self.0 = Form::Table(Box::new(table));
    }
}

/// Whether a set of these members, which must be distinct, is an intset or a listpack.
fn are_small(members: &Records, thresholds: &Thresholds) -> bool {
    let is_short = |member: Record<'_>| member.key.len() <= thresholds.set_max_listpack_value;
    let is_integer = |member: Record<'_>| parse_integer(member.key).is_some();
    members.len() <= thresholds.set_max_intset_entries
        && (members.iter().all(is_integer)
            || members.len() <= thresholds.set_max_listpack_entries && members.iter().all(is_short))
}

/// Whether a packed set of `members` members has room for `member`.
const fn takes_one_more(members: usize, member: &[u8], thresholds: &Thresholds) -> bool {
    members < thresholds.set_max_listpack_entries
        && member.len() <= thresholds.set_max_listpack_value
}

/// Returns the length of the longest member as text, in bytes.
fn widest(intset: &Intset) -> usize {
    let (lowest, highest) = (intset.get(0), intset.iter().next_back());
    let lengths = lowest
        .into_iter()
        .chain(highest)
        .map(|number| Item::Int(number).len());
    lengths.max().unwrap_or(0)
}

/// Iterates over the members of a set.
#[derive(Debug, Clone)]
pub struct Iter<'a>(Walk<'a>);

#[derive(Debug, Clone)]
enum Walk<'a> {
    Intset(&'a Intset, usize),
    Packed(listpack::Iter<'a>),
    Table(records::Iter<'a>),
}

impl<'a> Iterator for Iter<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        match &mut self.0 {
            Walk::Intset(intset, index) => {
                let number = intset.get(*index)?;
                *index += 1;
                Some(Item::Int(number))
            }
            Walk::Packed(items) => items.next(),
            Walk::Table(records) => records.next().map(|record| Item::Str(record.key)),
        }
    }

    /// Checks the form only once instead of once per member.
    fn fold<B, F: FnMut(B, Self::Item) -> B>(self, init: B, mut visit: F) -> B {
        match self.0 {
            Walk::Intset(intset, index) => {
                let numbers = (index..intset.len()).filter_map(|index| intset.get(index));
                numbers.map(Item::Int).fold(init, visit)
            }
            Walk::Packed(items) => items.fold(init, visit),
            Walk::Table(records) => {
                records.fold(init, |so_far, record| visit(so_far, Item::Str(record.key)))
            }
        }
    }
}

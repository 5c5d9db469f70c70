//! Lists, sets, hashes and sorted sets from iterators.
//!
//! A collection is gathered in the type of `value` that a replica would keep it in. So it is written in the form that a server
//! gives it, and its duplicates are found. If it becomes too large for that, it is written element by element from there on.

use super::{ELEMENT_BYTES, HELD_BYTES_MAX, NewKey, WriteError, text_bytes};
use crate::{
    rdb::{ValueType, encode, packed::Item},
    value::{self, Change, End, Object, Thresholds},
};
use std::{
    io::{self, Write},
    iter::once,
};

/// A collection that can be gathered, and written without its whole.
pub(super) trait Gathered: Default {
    /// An element, borrowed.
    type Element<'e>: Copy;
    /// The layout that is a count and the elements one by one.
    const UNPACKED: ValueType;

    /// Returns the bytes of an element's strings, if it may be written.
    fn bytes(element: Self::Element<'_>) -> Result<usize, WriteError>;

    /// Adds an element. Returns false if it is in the collection already.
    fn add(&mut self, element: Self::Element<'_>, thresholds: &Thresholds) -> bool;

    fn len(&self) -> usize;

    fn into_object(self) -> Object;

    /// Writes the gathered elements one by one.
    fn write_gathered<W: Write>(&self, out: &mut encode::Writer<W>) -> io::Result<()>;

    /// Writes one more element.
    fn write_one<W: Write>(
        out: &mut encode::Writer<W>,
        element: Self::Element<'_>,
    ) -> io::Result<()>;
}

impl Gathered for value::List {
    type Element<'e> = &'e [u8];
    // All servers load this one, too, which needs no number of nodes in advance.
    const UNPACKED: ValueType = ValueType::List;

    fn bytes(element: &[u8]) -> Result<usize, WriteError> {
        text_bytes(element)
    }

    fn add(&mut self, element: &[u8], thresholds: &Thresholds) -> bool {
        self.push(End::Tail, once(element), thresholds);
        true
    }

    fn len(&self) -> usize {
        self.len()
    }

    fn into_object(self) -> Object {
        Object::List(self)
    }

    fn write_gathered<W: Write>(&self, out: &mut encode::Writer<W>) -> io::Result<()> {
        self.iter().try_for_each(|element| out.item(element))
    }

    fn write_one<W: Write>(out: &mut encode::Writer<W>, element: &[u8]) -> io::Result<()> {
        out.string(element)
    }
}

impl Gathered for value::Set {
    type Element<'e> = &'e [u8];
    const UNPACKED: ValueType = ValueType::Set;

    fn bytes(element: &[u8]) -> Result<usize, WriteError> {
        text_bytes(element)
    }

    fn add(&mut self, element: &[u8], thresholds: &Thresholds) -> bool {
        self.add(element, thresholds)
    }

    fn len(&self) -> usize {
        self.len()
    }

    fn into_object(self) -> Object {
        Object::Set(self)
    }

    fn write_gathered<W: Write>(&self, out: &mut encode::Writer<W>) -> io::Result<()> {
        self.iter().try_for_each(|member| out.item(member))
    }

    fn write_one<W: Write>(out: &mut encode::Writer<W>, element: &[u8]) -> io::Result<()> {
        out.string(element)
    }
}

impl Gathered for value::Hash {
    type Element<'e> = (&'e [u8], &'e [u8]);
    const UNPACKED: ValueType = ValueType::Hash;

    fn bytes((name, value): (&[u8], &[u8])) -> Result<usize, WriteError> {
        Ok(text_bytes(name)? + text_bytes(value)?)
    }

    fn add(&mut self, (name, value): (&[u8], &[u8]), thresholds: &Thresholds) -> bool {
        self.set(name, value, thresholds)
    }

    fn len(&self) -> usize {
        self.len()
    }

    fn into_object(self) -> Object {
        Object::Hash(self)
    }

    fn write_gathered<W: Write>(&self, out: &mut encode::Writer<W>) -> io::Result<()> {
        self.iter()
            .try_for_each(|(name, value)| out.pair(name, value))
    }

    fn write_one<W: Write>(
        out: &mut encode::Writer<W>,
        (name, value): (&[u8], &[u8]),
    ) -> io::Result<()> {
        out.pair(Item::Str(name), Item::Str(value))
    }
}

impl Gathered for value::Zset {
    type Element<'e> = (&'e [u8], f64);
    const UNPACKED: ValueType = ValueType::Zset2;

    fn bytes((member, score): (&[u8], f64)) -> Result<usize, WriteError> {
        if score.is_nan() {
            return Err(WriteError::Score);
        }
        text_bytes(member)
    }

    fn add(&mut self, (member, score): (&[u8], f64), thresholds: &Thresholds) -> bool {
        self.insert(member, score, thresholds) == Change::Added
    }

    fn len(&self) -> usize {
        self.len()
    }

    fn into_object(self) -> Object {
        Object::Zset(self)
    }

    fn write_gathered<W: Write>(&self, out: &mut encode::Writer<W>) -> io::Result<()> {
        self.iter()
            .try_for_each(|(member, score)| out.scored(member, score))
    }

    fn write_one<W: Write>(
        out: &mut encode::Writer<W>,
        (member, score): (&[u8], f64),
    ) -> io::Result<()> {
        out.scored(Item::Str(member), score)
    }
}

/// Borrows a string.
fn text<T: AsRef<[u8]>>(element: &T) -> &[u8] {
    element.as_ref()
}

/// Borrows a field and its value.
pub(super) fn pair<F: AsRef<[u8]>, V: AsRef<[u8]>>((name, value): &(F, V)) -> (&[u8], &[u8]) {
    (name.as_ref(), value.as_ref())
}

/// Borrows a member with its score.
fn scored<M: AsRef<[u8]>>((member, score): &(M, f64)) -> (&[u8], f64) {
    (member.as_ref(), *score)
}

impl<W: Write> NewKey<'_, W> {
    /// Writes the key with a list, from head to tail.
    ///
    /// # Errors
    /// [`WriteError::Empty`], and what it says of strings, iterators and expiries; the output's error.
    pub fn list<T: AsRef<[u8]>>(
        self,
        elements: impl IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
    ) -> Result<(), WriteError> {
        self.write(|key| key.collection::<value::List, T>(elements.into_iter(), text))
    }

    /// Writes the key with a set.
    ///
    /// # Errors
    /// Like [`list`](Self::list); [`WriteError::Twice`].
    pub fn set<T: AsRef<[u8]>>(
        self,
        members: impl IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
    ) -> Result<(), WriteError> {
        self.write(|key| key.collection::<value::Set, T>(members.into_iter(), text))
    }

    /// Writes the key with a hash: its fields and their values.
    ///
    /// # Errors
    /// Like [`list`](Self::list); [`WriteError::Twice`].
    pub fn hash<F: AsRef<[u8]>, V: AsRef<[u8]>>(
        self,
        fields: impl IntoIterator<Item = (F, V), IntoIter: ExactSizeIterator>,
    ) -> Result<(), WriteError> {
        self.write(|key| key.collection::<value::Hash, _>(fields.into_iter(), pair))
    }

    /// Writes the key with a sorted set: its members and their scores, in any order.
    ///
    /// # Errors
    /// Like [`list`](Self::list); [`WriteError::Twice`], [`WriteError::Score`].
    pub fn sorted_set<M: AsRef<[u8]>>(
        self,
        members: impl IntoIterator<Item = (M, f64), IntoIter: ExactSizeIterator>,
    ) -> Result<(), WriteError> {
        self.write(|key| key.collection::<value::Zset, _>(members.into_iter(), scored))
    }

    pub(super) fn collection<C: Gathered, T>(
        &mut self,
        mut elements: impl ExactSizeIterator<Item = T>,
        borrow: impl for<'e> Fn(&'e T) -> C::Element<'e>,
    ) -> Result<(), WriteError> {
        let (thresholds, announced) = (self.thresholds(), elements.len());
        let (mut gathered, mut bytes) = (C::default(), 0);
        while let Some(element) = elements.next() {
            let borrowed = borrow(&element);
            bytes += C::bytes(borrowed)? + ELEMENT_BYTES;
            if bytes > HELD_BYTES_MAX {
                let out = self.begin(C::UNPACKED)?;
                out.count(announced)?;
                gathered.write_gathered(out)?;
                C::write_one(out, borrowed)?;
                let written = gathered.len() + 1;
                drop(gathered);
                return write_rest::<C, T, W>(out, elements, borrow, announced, written);
            }
            if !gathered.add(borrowed, &thresholds) {
                return Err(WriteError::Twice);
            }
        }
        if gathered.len() == 0 {
            return Err(WriteError::Empty);
        }
        self.object(&gathered.into_object())
    }

    /// Writes a value that is in memory.
    pub(super) fn object(&mut self, object: &Object) -> Result<(), WriteError> {
        let kind = object.value_type(self.writer.out.layouts());
        let out = self.begin(kind)?;
        Ok(object.encode(out)?)
    }
}

/// Writes the elements after the first `written`, of `announced`.
fn write_rest<C: Gathered, T, W: Write>(
    out: &mut encode::Writer<W>,
    elements: impl Iterator<Item = T>,
    borrow: impl for<'e> Fn(&'e T) -> C::Element<'e>,
    announced: usize,
    mut written: usize,
) -> Result<(), WriteError> {
    for element in elements {
        let borrowed = borrow(&element);
        C::bytes(borrowed)?;
        C::write_one(out, borrowed)?;
        written += 1;
    }
    if written == announced {
        Ok(())
    } else {
        Err(WriteError::Iterator)
    }
}

//! Lists, sets, hashes and sorted sets: their elements, whatever layout they are written in.

use super::item::Item;
use crate::rdb::{
    intset::Intset,
    listpack::{self, Listpack},
    names::Names,
    object::{ListNode, TemplateValues},
    packed::{self, IntText},
    records::Records,
};
use std::fmt;

/// A list.
#[derive(Clone, Copy)]
pub struct List<'a>(pub(super) &'a [ListNode]);

impl<'a> List<'a> {
    /// The number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        let count = |node: &ListNode| match node {
            ListNode::Plain(_) => 1,
            ListNode::Packed(packed) => packed.len(),
        };
        self.0.iter().map(count).sum()
    }

    /// Whether there are no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Iterates over the elements, from head to tail.
    pub fn iter(&self) -> impl Iterator<Item = Item<'a>> + use<'a> {
        self.0.iter().flat_map(|node| {
            let (plain, packed) = match node {
                ListNode::Plain(bytes) => (Some(Item::Bytes(bytes)), None),
                ListNode::Packed(packed) => (None, Some(packed)),
            };
            let packed = packed.into_iter().flatten().map(Item::of);
            plain.into_iter().chain(packed)
        })
    }
}

/// A set.
#[derive(Clone, Copy)]
pub struct Set<'a>(pub(super) SetForm<'a>);

#[derive(Clone, Copy)]
pub(super) enum SetForm<'a> {
    Integers(&'a Intset),
    Packed(&'a Listpack),
    Records(&'a Records),
}

impl<'a> Set<'a> {
    /// The number of members.
    #[must_use]
    pub fn len(&self) -> usize {
        match self.0 {
            SetForm::Integers(set) => set.len(),
            SetForm::Packed(set) => set.len(),
            SetForm::Records(set) => set.len(),
        }
    }

    /// Whether there are no members.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Iterates over the members, in the order of the dump.
    pub fn iter(&self) -> impl Iterator<Item = Item<'a>> + use<'a> {
        match self.0 {
            SetForm::Integers(set) => One(set.iter().map(Item::Integer)),
            SetForm::Packed(set) => Other(One(set.iter().map(Item::of))),
            SetForm::Records(set) => Other(Other(set.iter().map(|member| Item::Bytes(member.key)))),
        }
    }
}

/// A hash.
#[derive(Clone, Copy)]
pub struct Hash<'a>(pub(super) HashForm<'a>);

#[derive(Clone, Copy)]
pub(super) enum HashForm<'a> {
    Packed(&'a Listpack),
    PackedTimed(&'a Listpack),
    Records(&'a Records),
    RecordsTimed(&'a Records),
    Template(&'a Names, &'a TemplateValues),
}

/// A field of a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Field<'a> {
    /// The field's name.
    pub name: Item<'a>,
    /// Its value.
    pub value: Item<'a>,
    /// When the field expires, Unix time in milliseconds; `None` if it does not (Redis 7.4 and Valkey 9.0 or later).
    pub expire_at_ms: Option<i64>,
}

impl<'a> Hash<'a> {
    /// The number of fields.
    #[must_use]
    pub fn len(&self) -> usize {
        match self.0 {
            HashForm::Packed(hash) => hash.len() / 2,
            HashForm::PackedTimed(hash) => hash.len() / 3,
            HashForm::Records(hash) | HashForm::RecordsTimed(hash) => hash.len(),
            HashForm::Template(names, _) => names.len(),
        }
    }

    /// Whether there are no fields.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Iterates over the fields, in the order of the dump.
    pub fn iter(&self) -> impl Iterator<Item = Field<'a>> + use<'a> {
        match self.0 {
            HashForm::Packed(hash) => One(packed_fields(hash, false)),
            HashForm::PackedTimed(hash) => One(packed_fields(hash, true)),
            HashForm::Records(hash) => Other(One(fields(hash, false))),
            HashForm::RecordsTimed(hash) => Other(One(fields(hash, true))),
            HashForm::Template(names, values) => Other(Other(template_fields(names, values))),
        }
    }
}

/// Returns the fields of a packed hash: field, value and, if they are `timed`, expiry, …
fn packed_fields(hash: &Listpack, timed: bool) -> impl Iterator<Item = Field<'_>> {
    let mut items = hash.iter();
    std::iter::from_fn(move || {
        let (name, value) = pair(&mut items)?;
        let expiry = if timed { items.next()?.as_int() } else { None };
        Some(Field {
            name: Item::of(name),
            value: Item::of(value),
            expire_at_ms: expiry.filter(|at| *at != 0),
        })
    })
}

fn template_fields<'a>(
    names: &'a Names,
    values: &'a TemplateValues,
) -> impl Iterator<Item = Field<'a>> {
    let values = values.iter().map(Item::of);
    names.iter().zip(values).map(|(name, value)| Field {
        name: Item::Bytes(name),
        value,
        expire_at_ms: None,
    })
}

fn fields(hash: &Records, timed: bool) -> impl Iterator<Item = Field<'_>> {
    hash.iter().map(move |field| Field {
        name: Item::Bytes(field.key),
        value: Item::Bytes(field.value),
        expire_at_ms: field.expire_at_ms().filter(|_| timed),
    })
}

/// A sorted set.
#[derive(Clone, Copy)]
pub struct SortedSet<'a>(pub(super) SortedForm<'a>);

#[derive(Clone, Copy)]
pub(super) enum SortedForm<'a> {
    Packed(&'a Listpack),
    Records(&'a Records),
}

impl<'a> SortedSet<'a> {
    /// The number of members.
    #[must_use]
    pub fn len(&self) -> usize {
        match self.0 {
            SortedForm::Packed(set) => set.len() / 2,
            SortedForm::Records(set) => set.len(),
        }
    }

    /// Whether there are no members.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Iterates over the members and their scores, in the order of the dump: large sorted sets are often written in descending
    /// order. A score is never NaN.
    pub fn iter(&self) -> impl Iterator<Item = (Item<'a>, f64)> + use<'a> {
        match self.0 {
            SortedForm::Packed(set) => {
                let mut items = set.iter();
                One(std::iter::from_fn(move || {
                    let (member, score) = pair(&mut items)?;
                    Some((Item::of(member), packed_score(score)))
                }))
            }
            SortedForm::Records(set) => {
                let scored = set
                    .iter()
                    .map(|member| (Item::Bytes(member.key), member.score()));
                Other(scored)
            }
        }
    }
}

fn pair<'a>(items: &mut listpack::Iter<'a>) -> Option<(packed::Item<'a>, packed::Item<'a>)> {
    Some((items.next()?, items.next()?))
}

/// Returns a score of a packed sorted set. The decoder has checked that the item is a score.
fn packed_score(item: packed::Item<'_>) -> f64 {
    let mut buffer = IntText::new();
    let score = std::str::from_utf8(item.text(&mut buffer)).ok();
    score.and_then(|text| text.parse().ok()).unwrap_or(f64::NAN)
}

/// One of two iterators over the same elements.
enum Either<A, B> {
    One(A),
    Other(B),
}
use Either::{One, Other};

impl<A: Iterator, B: Iterator<Item = A::Item>> Iterator for Either<A, B> {
    type Item = A::Item;

    #[inline]
    fn next(&mut self) -> Option<A::Item> {
        match self {
            One(one) => one.next(),
            Other(other) => other.next(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self {
            One(one) => one.size_hint(),
            Other(other) => other.size_hint(),
        }
    }
}

/// Shows the elements instead of the layout.
macro_rules! debug_as_elements {
    ($($type:ident)*) => {$(
        impl fmt::Debug for $type<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_list().entries(self.iter()).finish()
            }
        }
    )*};
}
debug_as_elements!(List Set Hash SortedSet);

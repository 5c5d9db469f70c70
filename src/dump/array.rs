//! Arrays: elements by index.

use crate::{rdb::array::ElementText, value};
use std::{borrow::Cow, fmt};

/// An array: a sparse map of indexes, from 0 to 2⁶⁴ − 2, to texts.
#[derive(Clone, Copy)]
pub struct Array<'a>(&'a value::Array);

impl<'a> Array<'a> {
    pub(super) const fn new(array: &'a value::Array) -> Self {
        Self(array)
    }

    pub(super) const fn held(&self) -> &'a value::Array {
        self.0
    }

    pub(super) fn held_bytes(&self) -> usize {
        size_of::<value::Array>() + self.0.heap_bytes()
    }

    /// The number of elements.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no elements. Servers write no such array.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The index of the last insertion; `None` if the next one goes to 0.
    #[must_use]
    pub const fn insert_index(&self) -> Option<u64> {
        self.0.cursor()
    }

    /// Iterates over the elements and their indexes, in ascending order. A number is copied as its text.
    pub fn iter(&self) -> impl Iterator<Item = (u64, Cow<'a, [u8]>)> + use<'a> {
        self.0.iter().map(|(index, element)| {
            let mut room = ElementText::default();
            let text = match element {
                crate::rdb::array::Element::Text(text) => Cow::Borrowed(text),
                number => Cow::Owned(number.text(&mut room).to_vec()),
            };
            (index, text)
        })
    }
}

impl fmt::Debug for Array<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let elements = self
            .iter()
            .map(|(index, text)| (index, text.escape_ascii().to_string()));
        f.debug_map().entries(elements).finish()
    }
}

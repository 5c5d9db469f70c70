//! A hash's field and its value in one block: half the allocations of two texts, and half their room in a table.

use std::fmt;

use super::packed::{IntText, Item};

/// A field with its value.
///
/// ```text
/// field's length: u8, or 255 and a u64 | field | value
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Pair(Box<[u8]>);

/// Stands for a length that does not fit into one byte.
const LONG: u8 = u8::MAX;

impl Pair {
    /// Puts a field and its value together.
    #[must_use]
    pub fn new(field: &[u8], value: &[u8]) -> Self {
        let long = (field.len() as u64).to_le_bytes();
        let (short, long): (u8, &[u8]) = match u8::try_from(field.len()) {
            Ok(len) if len < LONG => (len, &[]),
            _ => (LONG, &long),
        };
        let mut block = Vec::with_capacity(1 + long.len() + field.len() + value.len());
        block.push(short);
        block.extend_from_slice(long);
        block.extend_from_slice(field);
        block.extend_from_slice(value);
        Self(block.into_boxed_slice())
    }

    /// The same, of elements of a packed layout.
    #[must_use]
    pub fn of_items(field: Item<'_>, value: Item<'_>) -> Self {
        let (mut field_text, mut value_text) = (IntText::new(), IntText::new());
        Self::new(field.text(&mut field_text), value.text(&mut value_text))
    }

    /// Both.
    #[must_use]
    #[inline]
    pub fn parts(&self) -> (&[u8], &[u8]) {
        let (len, rest) = match self.0.split_first() {
            Some((&LONG, rest)) => match rest.split_first_chunk() {
                Some((len, rest)) => (u64::from_le_bytes(*len), rest),
                None => (0, rest),
            },
            Some((&len, rest)) => (u64::from(len), rest),
            None => (0, &[][..]),
        };
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        rest.split_at_checked(len).unwrap_or((rest, &[]))
    }

    /// The field.
    #[must_use]
    #[inline]
    pub fn field(&self) -> &[u8] {
        self.parts().0
    }

    /// Its value.
    #[must_use]
    #[inline]
    pub fn value(&self) -> &[u8] {
        self.parts().1
    }

    /// Puts another value in the place of this one.
    pub fn set_value(&mut self, value: &[u8]) {
        let start = self.0.len() - self.value().len();
        match self.0.get_mut(start..) {
            Some(old) if old.len() == value.len() => old.copy_from_slice(value),
            _ => *self = Self::new(self.field(), value),
        }
    }

    /// Bytes that it holds.
    #[must_use]
    pub const fn heap_bytes(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (field, value) = self.parts();
        let show = String::from_utf8_lossy;
        write!(f, "{:?}: {:?}", show(field), show(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_back_both_whatever_their_lengths() {
        for field_len in [0, 1, 63, 254, 255, 256, 70_000] {
            for value_len in [0, 1, 255, 70_000] {
                let (field, value) = (vec![b'f'; field_len], vec![b'v'; value_len]);
                let mut pair = Pair::new(&field, &value);
                assert_eq!(pair.parts(), (&field[..], &value[..]));
                for other in [&vec![b'w'; value_len][..], b"other"] {
                    pair.set_value(other);
                    assert_eq!(pair.parts(), (&field[..], other));
                }
            }
        }
    }

    #[test]
    fn integers_are_their_texts() {
        let pair = Pair::of_items(Item::Int(-1), Item::Int(i64::MAX));
        assert_eq!(pair, Pair::new(b"-1", b"9223372036854775807"));
    }
}

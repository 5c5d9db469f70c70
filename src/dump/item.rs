//! A string of a dump, as bytes or as the integer that it was stored as.

use crate::rdb::packed;
use std::{borrow::Cow, fmt};

/// A string of a dump: a string value, an element, a member, a field or a field's value.
///
/// Servers store the decimal text of a 64-bit integer as an integer in some layouts and as text in others. To clients both are
/// the same text, and so they are equal here.
#[derive(Clone, Copy)]
pub enum Item<'a> {
    /// Any bytes, which may be the text of an integer, too.
    Bytes(&'a [u8]),
    /// An integer, which represents its decimal text.
    Integer(i64),
}

impl<'a> Item<'a> {
    /// Returns the text: borrowed, or formatted if the item is an integer.
    #[must_use]
    pub fn to_bytes(&self) -> Cow<'a, [u8]> {
        match *self {
            Self::Bytes(bytes) => Cow::Borrowed(bytes),
            Self::Integer(number) => Cow::Owned(number.to_string().into_bytes()),
        }
    }

    /// The length of the text in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.packed().len()
    }

    /// Whether the text is empty.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        matches!(self, Self::Bytes([]))
    }

    #[inline]
    pub(super) const fn of(item: packed::Item<'a>) -> Self {
        match item {
            packed::Item::Str(bytes) => Self::Bytes(bytes),
            packed::Item::Int(number) => Self::Integer(number),
        }
    }

    pub(super) const fn packed(self) -> packed::Item<'a> {
        match self {
            Self::Bytes(bytes) => packed::Item::Str(bytes),
            Self::Integer(number) => packed::Item::Int(number),
        }
    }
}

/// Compares the texts.
impl PartialEq for Item<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (*self, *other) {
            (Self::Integer(one), Self::Integer(other)) => one == other,
            (Self::Bytes(text), item) | (item, Self::Bytes(text)) => item.packed().eq_bytes(text),
        }
    }
}

impl Eq for Item<'_> {}

/// Compares the item's text.
impl<T: AsRef<[u8]> + ?Sized> PartialEq<T> for Item<'_> {
    fn eq(&self, other: &T) -> bool {
        self.packed().eq_bytes(other.as_ref())
    }
}

/// Writes the text. Bytes that are not UTF-8 become U+FFFD.
impl fmt::Display for Item<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => String::from_utf8_lossy(bytes).fmt(f),
            Self::Integer(number) => number.fmt(f),
        }
    }
}

impl fmt::Debug for Item<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "\"{}\"", bytes.escape_ascii()),
            Self::Integer(number) => number.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_integer_is_its_decimal_text_and_no_other() {
        let (number, text) = (Item::Integer(-5), Item::Bytes(b"-5"));
        assert_eq!(number, text);
        assert_eq!(text, number);
        assert_eq!(number, *"-5");
        assert_ne!(number, Item::Bytes(b"-05"));
        assert_ne!(number, Item::Integer(5));
        assert_eq!(number.to_bytes(), text.to_bytes());
        assert_eq!((number.len(), text.len()), (2, 2));
        assert!(Item::Bytes(b"").is_empty() && !Item::Integer(0).is_empty());
        let shown = format!(
            "{number} {number:?} {} {:?}",
            Item::Bytes(b"\xff"),
            Item::Bytes(b"\xff")
        );
        assert_eq!(shown, "-5 -5 \u{fffd} \"\\xff\"");
    }
}

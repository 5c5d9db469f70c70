//! What the packed layouts (listpack, intset, ziplist, zipmap) share: their elements, and what can be wrong with them.

use crate::resp::parse_integer;

/// One element of a packed layout. An integer stands for its decimal text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item<'a> {
    /// Text.
    Str(&'a [u8]),
    /// An integer; its text is the canonical decimal form.
    Int(i64),
}

/// Room for the text of one integer element, so that reading it allocates nothing.
#[derive(Clone, Default)]
pub struct IntText(itoa::Buffer);

impl IntText {
    /// An empty buffer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The decimal text of `value`, valid until the next call.
    pub fn format(&mut self, value: i64) -> &[u8] {
        self.0.format(value).as_bytes()
    }
}

impl std::fmt::Debug for IntText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IntText")
    }
}

impl<'a> Item<'a> {
    /// Text as the element that Redis would store: an integer when it is one in canonical form.
    ///
    /// Source: redis 7.0 listpack.c, lpEncodeGetType.
    #[must_use]
    pub fn from_text(text: &'a [u8]) -> Self {
        parse_integer(text).map_or(Self::Str(text), Self::Int)
    }

    /// The element's text; that of an integer is written into `buffer`.
    #[inline]
    pub fn text<'b>(&self, buffer: &'b mut IntText) -> &'b [u8]
    where
        'a: 'b,
    {
        match *self {
            Self::Str(text) => text,
            Self::Int(value) => buffer.format(value),
        }
    }

    /// The element's text in a vector of its own.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        self.text(&mut IntText::new()).to_vec()
    }

    /// The element's text in a box of its own.
    #[must_use]
    pub fn to_boxed(&self) -> Box<[u8]> {
        self.text(&mut IntText::new()).into()
    }

    /// Bytes of the element's text.
    #[must_use]
    pub fn len(&self) -> usize {
        self.text(&mut IntText::new()).len()
    }

    /// Whether the element's text is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Str([]))
    }

    /// Whether the element's text is `text`.
    #[must_use]
    pub fn eq_bytes(&self, text: &[u8]) -> bool {
        match *self {
            Self::Str(own) => own == text,
            Self::Int(own) => parse_integer(text) == Some(own),
        }
    }

    /// The element as an integer: stored as one, or text in canonical form.
    #[must_use]
    pub fn as_int(&self) -> Option<i64> {
        match *self {
            Self::Str(text) => parse_integer(text),
            Self::Int(value) => Some(value),
        }
    }
}

/// What is wrong with a packed blob. Offsets count from the blob's first byte.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PackedError {
    /// The blob ends inside its header.
    #[error("{actual} bytes are too few for the header")]
    Header {
        /// The blob's length in bytes.
        actual: usize,
    },
    /// The header's size is not the blob's.
    #[error("its size field says {stated} bytes, it has {actual}")]
    Size {
        /// The size that the header states, or that its counts amount to, in bytes.
        stated: u64,
        /// The blob's length in bytes.
        actual: usize,
    },
    /// The header's element count is not the number of elements.
    #[error("its count field says {stated} elements, it has {actual}")]
    Count {
        /// Where the header states it.
        at: usize,
        /// The count that the header states.
        stated: usize,
        /// The elements found.
        actual: usize,
    },
    /// The last byte is not the mark of the end.
    #[error("byte {at} of the blob: not the terminator")]
    Terminator {
        /// Where the last byte stands.
        at: usize,
    },
    /// Something at one place is not what it must be.
    #[error("byte {at} of the blob: {reason}")]
    Entry {
        /// Where the entry starts.
        at: usize,
        /// What was expected there.
        reason: &'static str,
    },
}

impl PackedError {
    /// Where in the blob it is.
    #[must_use]
    pub const fn at(&self) -> usize {
        match self {
            Self::Header { .. } | Self::Size { .. } => 0,
            Self::Count { at, .. } | Self::Terminator { at } | Self::Entry { at, .. } => *at,
        }
    }

    /// Whether it is seen without a look at the elements: no server takes such a listpack.
    #[must_use]
    pub const fn is_outside(&self) -> bool {
        matches!(
            self,
            Self::Header { .. } | Self::Size { .. } | Self::Terminator { .. }
        )
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]
mod tests {
    use super::*;

    #[test]
    fn only_canonical_decimals_are_integers() {
        for value in [
            0,
            1,
            -1,
            9,
            10,
            -5,
            251,
            i64::MAX,
            i64::MIN,
            1_000_000_000_000_000_000,
        ] {
            assert_eq!(parse_integer(value.to_string().as_bytes()), Some(value));
        }
        for text in [
            "",
            "-",
            "-0",
            "00",
            "01",
            "-01",
            "+1",
            " 1",
            "1 ",
            "1.0",
            "9223372036854775808",
        ] {
            assert_eq!(parse_integer(text.as_bytes()), None, "{text:?}");
        }
        for text in [
            "-9223372036854775809",
            "99999999999999999999",
            "12345678901234567890123",
        ] {
            assert_eq!(parse_integer(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn an_integer_equals_only_its_own_text() {
        assert!(Item::Int(-5).eq_bytes(b"-5"));
        assert!(!Item::Int(5).eq_bytes(b"05"));
        assert!(Item::Str(b"05").eq_bytes(b"05"));
        assert_eq!(Item::Int(i64::MIN).len(), 20);
        assert_eq!(Item::from_text(b"-7"), Item::Int(-7));
    }
}

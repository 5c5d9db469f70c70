//! What the packed layouts (listpack, intset, ziplist, zipmap) share: their elements and their errors.

use crate::resp::parse_integer;

/// One element of a packed layout. An integer represents its decimal text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item<'a> {
    /// Text.
    Str(&'a [u8]),
    /// An integer; its text is the canonical decimal form.
    Int(i64),
}

/// A buffer for the text of one integer element, so that reading it needs no allocation.
#[derive(Clone, Default)]
pub struct IntText(itoa::Buffer);

impl IntText {
    /// Creates an empty buffer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the decimal text of `value`, valid until the next call.
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
    /// Returns text as the element that Redis would store: an integer if the text is one in canonical form.
    ///
    /// Source: redis 7.0 listpack.c, lpEncodeGetType.
    #[must_use]
    pub fn from_text(text: &'a [u8]) -> Self {
        parse_integer(text).map_or(Self::Str(text), Self::Int)
    }

    /// Returns the element's text. An integer's text is written to `buffer`.
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

    /// Returns the element's text in its own vector.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        self.text(&mut IntText::new()).to_vec()
    }

    /// Returns the element's text in its own box.
    #[must_use]
    pub fn to_boxed(&self) -> Box<[u8]> {
        self.text(&mut IntText::new()).into()
    }

    /// Length of the element's text in bytes.
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

    /// Returns the element as an integer, if it is stored as one or is text in canonical form.
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
    #[error("too short for its header: {actual} bytes")]
    Header {
        /// The blob's length in bytes.
        actual: usize,
    },
    /// The size in the header does not match the blob's.
    #[error("the size field says {stated} bytes, but the blob has {actual}")]
    Size {
        /// The size in bytes that the header states, or that its counts add up to.
        stated: u64,
        /// The blob's length in bytes.
        actual: usize,
    },
    /// The element count in the header does not match the number of elements.
    #[error("the count field says {stated} elements, but the blob has {actual}")]
    Count {
        /// Offset of the count field.
        at: usize,
        /// The count in the header.
        stated: usize,
        /// The number of elements found.
        actual: usize,
    },
    /// The last byte is not the terminator.
    #[error("byte {at} of the blob: expected the terminator")]
    Terminator {
        /// Offset of the last byte.
        at: usize,
    },
    /// An entry or field is not valid.
    #[error("byte {at} of the blob: {reason}")]
    Entry {
        /// Where the entry starts.
        at: usize,
        /// What is wrong there.
        reason: &'static str,
    },
}

impl PackedError {
    /// The error's offset in the blob.
    #[must_use]
    pub const fn at(&self) -> usize {
        match self {
            Self::Header { .. } | Self::Size { .. } => 0,
            Self::Count { at, .. } | Self::Terminator { at } | Self::Entry { at, .. } => *at,
        }
    }

    /// Whether the error is visible without reading the elements. No server accepts such a listpack.
    #[must_use]
    pub const fn is_outside(&self) -> bool {
        matches!(
            self,
            Self::Header { .. } | Self::Size { .. } | Self::Terminator { .. }
        )
    }
}

/// Splits a listpack or ziplist into its header, which begins with the size, and the entries before the terminator.
///
/// # Errors
/// If the size or the terminator is wrong.
pub(super) fn unframed<const HEADER_BYTES: usize>(
    blob: &[u8],
) -> Result<(&[u8; HEADER_BYTES], &[u8]), PackedError> {
    let actual = blob.len();
    let framed = || {
        let (header, rest) = blob.split_first_chunk()?;
        Some((blob.first_chunk()?, header, rest.split_last()?))
    };
    let (size, header, (last, body)) = framed().ok_or(PackedError::Header { actual })?;
    let stated = u32::from_le_bytes(*size);
    if usize::try_from(stated) != Ok(actual) {
        return Err(PackedError::Size {
            stated: stated.into(),
            actual,
        });
    }
    match *last {
        TERMINATOR => Ok((header, body)),
        _ => Err(PackedError::Terminator { at: actual - 1 }),
    }
}

/// Checks the count in the last two bytes of a header, which is the largest number if there are too many elements for it.
pub(super) fn check_count(header: &[u8], actual: usize) -> Result<(), PackedError> {
    let Some((before, count)) = header.split_last_chunk() else {
        return Err(PackedError::Header {
            actual: header.len(),
        });
    };
    match u16::from_le_bytes(*count) {
        COUNT_UNKNOWN => Ok(()),
        stated if usize::from(stated) == actual => Ok(()),
        stated => Err(PackedError::Count {
            at: before.len(),
            stated: stated.into(),
            actual,
        }),
    }
}

/// The last byte of every packed layout.
pub(super) const TERMINATOR: u8 = 0xff;
/// A header's count if there are too many elements for it. They must then be counted by walking.
pub(super) const COUNT_UNKNOWN: u16 = u16::MAX;

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

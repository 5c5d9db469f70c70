//! One record: its encoding, and its place.
//!
//! ```text
//! record: key | value, in hashes | number of 8 bytes, for scores and expiries
//! key, value: length | bytes
//! length: u8 below 126 | 126 and a u16 | 127 and a u64; the top bit of a key's first byte marks the record as dead
//! ```

/// In the first byte of a length: a u16 follows.
const WIDE: u8 = 126;
/// In the first byte of a length: a u64 follows.
const WIDEST: u8 = 127;
/// In the first byte of a record: the record is dead.
pub(super) const DEAD: u8 = 0x80;

/// What the records of a store have besides a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    pub(super) has_value: bool,
    pub(super) has_number: bool,
}

impl Shape {
    /// A set's member.
    pub const MEMBER: Self = Self::new(false, false);
    /// A hash's field with its value.
    pub const FIELD: Self = Self::new(true, false);
    /// A hash's field with its value and expiry.
    pub const TIMED_FIELD: Self = Self::new(true, true);
    /// A sorted set's member with its score.
    pub const SCORED: Self = Self::new(false, true);

    const fn new(has_value: bool, has_number: bool) -> Self {
        Self {
            has_value,
            has_number,
        }
    }
}

/// One record. A part that its store's shape leaves out is empty or 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Record<'a> {
    /// The member or field.
    pub key: &'a [u8],
    /// The field's value.
    pub value: &'a [u8],
    /// A score's bits, or an expiry.
    pub number: u64,
}

/// Stored instead of an expiry if there is none.
const NO_EXPIRY: u64 = u64::MAX;

impl<'a> Record<'a> {
    /// A set's member.
    #[must_use]
    pub const fn member(key: &'a [u8]) -> Self {
        Self::field(key, &[])
    }

    /// A hash's field.
    #[must_use]
    pub const fn field(key: &'a [u8], value: &'a [u8]) -> Self {
        Self {
            key,
            value,
            number: 0,
        }
    }

    /// A hash's field that may expire: at a non-negative Unix time in milliseconds.
    #[must_use]
    pub fn timed_field(key: &'a [u8], value: &'a [u8], expire_at_ms: Option<i64>) -> Self {
        Self {
            key,
            value,
            number: expiry_number(expire_at_ms),
        }
    }

    /// A sorted set's member.
    #[must_use]
    pub const fn scored(key: &'a [u8], score: f64) -> Self {
        Self {
            key,
            value: &[],
            number: score.to_bits(),
        }
    }

    /// Returns the score.
    #[must_use]
    pub const fn score(&self) -> f64 {
        f64::from_bits(self.number)
    }

    /// Returns the expiry, Unix time in milliseconds.
    #[must_use]
    pub fn expire_at_ms(&self) -> Option<i64> {
        i64::try_from(self.number).ok()
    }

    pub(super) fn size(&self, shape: Shape) -> usize {
        let value = if shape.has_value {
            text_size(self.value)
        } else {
            0
        };
        text_size(self.key) + value + if shape.has_number { 8 } else { 0 }
    }

    pub(super) fn write(&self, to: &mut Vec<u8>, shape: Shape) {
        push_text(to, self.key);
        if shape.has_value {
            push_text(to, self.value);
        }
        if shape.has_number {
            to.extend_from_slice(&self.number.to_le_bytes());
        }
    }

    /// Splits off the record at the start of `bytes`. Returns it and the rest.
    #[inline]
    pub(super) fn split(bytes: &'a [u8], shape: Shape) -> Option<(Self, &'a [u8])> {
        let (key, rest) = split_text(bytes)?;
        let (value, rest) = if shape.has_value {
            split_text(rest)?
        } else {
            (&[][..], rest)
        };
        let (number, rest) = if shape.has_number {
            let (number, rest) = rest.split_first_chunk()?;
            (u64::from_le_bytes(*number), rest)
        } else {
            (0, rest)
        };
        Some((Self { key, value, number }, rest))
    }
}

/// Returns an expiry, which is not negative, as a record's number.
#[must_use]
pub fn expiry_number(expire_at_ms: Option<i64>) -> u64 {
    debug_assert!(
        expire_at_ms >= Some(0) || expire_at_ms.is_none(),
        "callers refuse such a time"
    );
    let at = expire_at_ms.and_then(|at| u64::try_from(at).ok());
    at.unwrap_or(NO_EXPIRY)
}

fn text_size(text: &[u8]) -> usize {
    let head = match text.len() {
        0..126 => 1,
        126..=0xffff => 3,
        _ => 9,
    };
    head + text.len()
}

fn push_text(to: &mut Vec<u8>, text: &[u8]) {
    match (u8::try_from(text.len()), u16::try_from(text.len())) {
        (Ok(len), _) if len < WIDE => to.push(len),
        (_, Ok(len)) => {
            to.push(WIDE);
            to.extend_from_slice(&len.to_le_bytes());
        }
        _ => {
            to.push(WIDEST);
            to.extend_from_slice(&(text.len() as u64).to_le_bytes());
        }
    }
    to.extend_from_slice(text);
}

/// Splits off the text at the start of `bytes`. Returns it and the rest.
#[inline]
pub(super) fn split_text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (first, rest) = bytes.split_first()?;
    match first & !DEAD {
        WIDE => {
            let (len, rest) = rest.split_first_chunk()?;
            rest.split_at_checked(u16::from_le_bytes(*len).into())
        }
        WIDEST => {
            let (len, rest) = rest.split_first_chunk()?;
            rest.split_at_checked(usize::try_from(u64::from_le_bytes(*len)).ok()?)
        }
        len => rest.split_at_checked(len.into()),
    }
}

/// Where a record is: its chunk's number, below 2^24, and its place in that chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handle {
    pub(super) chunk: u32,
    pub(super) at: u16,
}

impl Handle {
    /// The chunk's number.
    #[must_use]
    pub const fn chunk(self) -> u32 {
        self.chunk
    }

    /// The place in the chunk.
    #[must_use]
    pub const fn at(self) -> u16 {
        self.at
    }

    /// Returns the handle of a place in the first chunk.
    #[must_use]
    pub const fn near(at: u16) -> Self {
        Self { chunk: 0, at }
    }

    /// Packs the handle into five bytes.
    #[must_use]
    #[inline]
    pub const fn pack(self) -> [u8; 5] {
        let [a, b, c, _] = self.chunk.to_le_bytes();
        let [d, e] = self.at.to_le_bytes();
        [a, b, c, d, e]
    }

    /// Unpacks a handle from five bytes.
    #[must_use]
    #[inline]
    pub const fn unpack([a, b, c, d, e]: [u8; 5]) -> Self {
        Self {
            chunk: u32::from_le_bytes([a, b, c, 0]),
            at: u16::from_le_bytes([d, e]),
        }
    }
}

/// Returns the size of the record at the start of `bytes`, and whether it is dead.
pub(super) fn measure(bytes: &[u8], shape: Shape) -> Option<(usize, bool)> {
    let (_, rest) = Record::split(bytes, shape)?;
    Some((bytes.len() - rest.len(), bytes.first()? & DEAD != 0))
}

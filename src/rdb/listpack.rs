//! Listpacks: many small elements in one block of bytes, in Redis's layout.
//!
//! A [`Listpack`] always holds a valid blob: either it was built here, or [`Listpack::validate`] has walked all of it. Reading
//! one therefore cannot fail. If an iterator did meet an impossible byte, it would end; debug builds panic.

use super::packed::{COUNT_UNKNOWN, TERMINATOR, check_count, unframed};
pub use super::packed::{IntText, Item, PackedError};
use crate::resp::parse_integer;
use std::ops::Range;

const HEADER_BYTES: usize = 6;
/// Redis does not let a listpack grow beyond this. Source: redis 7.0 listpack.c, `LISTPACK_MAX_SAFETY_LIMIT`.
pub(crate) const SAFE_BYTES_MAX: usize = if cfg!(test) { 16 << 20 } else { 1 << 30 };

/// A valid listpack, byte for byte as Redis would write it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listpack {
    bytes: Vec<u8>,
}

impl Listpack {
    /// Creates an empty listpack.
    #[must_use]
    pub fn new() -> Self {
        Self {
            bytes: vec![7, 0, 0, 0, 0, 0, TERMINATOR],
        }
    }

    /// Creates an empty listpack that can grow to about `bytes` without another allocation.
    #[must_use]
    pub fn with_room(bytes: usize) -> Self {
        let mut blob = Vec::with_capacity(bytes.max(HEADER_BYTES + 1));
        blob.extend_from_slice(&[7, 0, 0, 0, 0, 0, TERMINATOR]);
        Self { bytes: blob }
    }

    /// Wraps a blob after walking all of it: sizes, every entry, every back-length, the count, the terminator.
    ///
    /// # Errors
    /// The first thing found wrong.
    ///
    /// Source: redis 7.0 listpack.c, lpValidateIntegrity.
    pub fn validate(bytes: Vec<u8>) -> Result<Self, PackedError> {
        let (header, body) = unframed::<HEADER_BYTES>(&bytes)?;
        check_count(header, validate_entries(body)?)?;
        Ok(Self { bytes })
    }

    /// Returns the blob.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Size of the blob in bytes.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// Number of bytes allocated.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Number of elements. Beyond 65,534 elements, counting them takes a walk.
    #[must_use]
    pub fn len(&self) -> usize {
        match self.count_field() {
            COUNT_UNKNOWN => self.iter().count(),
            count => count.into(),
        }
    }

    /// Whether there are no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.len() == HEADER_BYTES + 1
    }

    /// Whether `more` bytes can be added without exceeding the size at which Redis refuses (1 GiB).
    #[must_use]
    pub fn can_grow(&self, more: usize) -> bool {
        self.bytes.len().saturating_add(more) <= SAFE_BYTES_MAX
    }

    /// Iterates over the elements, from either end.
    #[must_use]
    pub fn iter(&self) -> Iter<'_> {
        Iter {
            rest: self.bytes.get(HEADER_BYTES..self.end()).unwrap_or_default(),
        }
    }

    /// Iterates over the elements from `index` on. Empty if `index` is past the last.
    #[must_use]
    pub fn iter_from(&self, index: usize) -> Iter<'_> {
        Iter {
            rest: self
                .bytes
                .get(self.offset(index)..self.end())
                .unwrap_or_default(),
        }
    }

    /// Returns the element at `index`, counted from 0.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Item<'_>> {
        self.iter_from(index).next()
    }

    /// Returns the index of the first element equal to `needle` among those at 0, `skip + 1`, `2 * (skip + 1)`, …
    #[must_use]
    pub fn position(&self, needle: &[u8], skip: usize) -> Option<usize> {
        let number = parse_integer(needle);
        let matches = |item: Item<'_>| match item {
            Item::Str(text) => text == needle,
            Item::Int(value) => number == Some(value),
        };
        let stride = skip.saturating_add(1);
        let nth = self.iter().step_by(stride).position(matches)?;
        Some(nth * stride)
    }

    /// Appends an element. A canonical integer is stored as an integer.
    pub fn push(&mut self, text: &[u8]) {
        self.push_item(Item::from_text(text));
    }

    /// Appends an integer.
    pub fn push_int(&mut self, value: i64) {
        self.push_item(Item::Int(value));
    }

    /// Appends an element as it is: text stays text even if it looks like a number.
    pub fn push_item(&mut self, item: Item<'_>) {
        let end = self.end();
        self.splice(end..end, &Entry::new(item));
        self.recount(1, 0);
    }

    /// Inserts an element before the one at `index`, or at the end if `index` is past it.
    pub fn insert(&mut self, index: usize, text: &[u8]) {
        let at = self.offset(index);
        self.splice(at..at, &Entry::new(Item::from_text(text)));
        self.recount(1, 0);
    }

    /// Replaces the element at `index`. Returns false, and changes nothing, if there is none.
    pub fn replace(&mut self, index: usize, text: &[u8]) -> bool {
        self.replace_item(index, Item::from_text(text))
    }

    /// Like [`Self::replace`], but stores the element as it is.
    pub fn replace_item(&mut self, index: usize, item: Item<'_>) -> bool {
        let mut rest = self.iter_from(index);
        let start = self.end() - rest.rest.len();
        let found = rest.next().is_some();
        if found {
            self.splice(start..self.end() - rest.rest.len(), &Entry::new(item));
        }
        found
    }

    /// Removes up to `count` elements from `index` on. Returns how many were removed.
    pub fn remove(&mut self, index: usize, count: usize) -> usize {
        let mut rest = self.iter_from(index);
        let start = self.end() - rest.rest.len();
        let removed = rest.by_ref().take(count).count();
        self.splice(start..self.end() - rest.rest.len(), &Entry::NONE);
        self.recount(0, removed);
        removed
    }

    /// Frees the capacity that the blob does not use.
    pub fn shrink_to_fit(&mut self) {
        self.bytes.shrink_to_fit();
    }

    /// Returns the terminator's offset.
    fn end(&self) -> usize {
        self.bytes.len().saturating_sub(1)
    }

    /// Returns the offset of the element at `index`, or the terminator's if there is none. Walks from the nearer end.
    fn offset(&self, index: usize) -> usize {
        let count = self.count_field();
        if count == COUNT_UNKNOWN || index <= usize::from(count) / 2 {
            let mut forward = self.iter();
            forward.by_ref().take(index).for_each(drop);
            return self.end() - forward.rest.len();
        }
        let mut backward = self.iter();
        let steps = usize::from(count).saturating_sub(index);
        backward.by_ref().rev().take(steps).for_each(drop);
        HEADER_BYTES + backward.rest.len()
    }

    fn count_field(&self) -> u16 {
        match self.bytes.as_slice() {
            [_, _, _, _, c0, c1, ..] => u16::from_le_bytes([*c0, *c1]),
            _ => 0,
        }
    }

    /// Updates the count field. Once it is "unknown", it stays so, as in Redis.
    fn recount(&mut self, added: usize, removed: usize) {
        let count = self.count_field();
        if count == COUNT_UNKNOWN {
            return;
        }
        let now = (usize::from(count) + added).saturating_sub(removed);
        let field = u16::try_from(now).unwrap_or(COUNT_UNKNOWN).to_le_bytes();
        if let Some(place) = self.bytes.get_mut(4..HEADER_BYTES) {
            place.copy_from_slice(&field);
        }
    }

    /// Replaces the bytes in `range` with one encoded entry, and updates the size field.
    fn splice(&mut self, range: Range<usize>, entry: &Entry<'_>) {
        let old_len = self.bytes.len();
        let entry_end = range.start + entry.len();
        let new_len = entry_end + (old_len - range.end);
        debug_assert!(
            u32::try_from(new_len).is_ok(),
            "callers keep a listpack below a gigabyte"
        );
        if new_len > old_len {
            self.grow(new_len);
        }
        self.bytes.copy_within(range.end..old_len, entry_end);
        self.bytes.truncate(new_len);
        match self.bytes.get_mut(range.start..entry_end) {
            Some(place) => entry.write(place),
            None => unreachable!("an entry outside of its listpack"),
        }
        let size = u32::try_from(new_len).unwrap_or(u32::MAX).to_le_bytes();
        if let Some(place) = self.bytes.get_mut(..4) {
            place.copy_from_slice(&size);
        }
    }

    /// Lengthens the blob with zeros. Capacity grows by an eighth at a time: a million small collections must not carry the
    /// spare half that doubling would leave.
    fn grow(&mut self, new_len: usize) {
        if new_len > self.bytes.capacity() {
            let spare = (new_len / 8).min(4096);
            self.bytes.reserve_exact(new_len + spare - self.bytes.len());
        }
        self.bytes.resize(new_len, 0);
    }
}

impl Default for Listpack {
    fn default() -> Self {
        Self::new()
    }
}

impl<'a> IntoIterator for &'a Listpack {
    type Item = Item<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl<T: AsRef<[u8]>> FromIterator<T> for Listpack {
    fn from_iter<I: IntoIterator<Item = T>>(texts: I) -> Self {
        let mut packed = Self::new();
        texts
            .into_iter()
            .for_each(|text| packed.push(text.as_ref()));
        packed
    }
}

/// An iterator over a listpack's elements, from either end.
#[derive(Debug, Clone)]
pub struct Iter<'a> {
    /// The remaining entries: whole ones, or nothing.
    rest: &'a [u8],
}

impl<'a> Iterator for Iter<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        debug_assert!(
            self.rest.is_empty() || decode(self.rest).is_some(),
            "an entry of a valid listpack"
        );
        let (item, size) = decode(self.rest)?;
        self.rest = self
            .rest
            .get(size + back_length_bytes(size)..)
            .unwrap_or_default();
        Some(item)
    }
}

impl DoubleEndedIterator for Iter<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        let (size, width) = parse_back_length(self.rest)?;
        let start = self.rest.len().checked_sub(size + width)?;
        let (before, last) = self.rest.split_at_checked(start)?;
        self.rest = before;
        decode(last).map(|(item, _)| item)
    }
}

/// Decodes the entry at the front. Returns the element, and the size of its encoding and data without the back-length.
#[inline]
fn decode(rest: &[u8]) -> Option<(Item<'_>, usize)> {
    let (&first, tail) = rest.split_first()?;
    match first {
        0..=0x7f => Some((Item::Int(first.into()), 1)),
        0x80..=0xbf => text(tail, usize::from(first & 0x3f), 1),
        0xc0..=0xdf => {
            // The low five bits of the first byte are the sign and the high bits: shift them up so that the sign extends.
            let high = i64::from(i8::from_le_bytes([first << 3]) >> 3);
            Some((Item::Int((high << 8) | i64::from(*tail.first()?)), 2))
        }
        0xe0..=0xef => {
            let (&low, data) = tail.split_first()?;
            text(data, (usize::from(first & 0x0f) << 8) | usize::from(low), 2)
        }
        _ => decode_wide(first, tail),
    }
}

/// Decodes an entry whose first byte is only a kind.
fn decode_wide(kind: u8, tail: &[u8]) -> Option<(Item<'_>, usize)> {
    match kind {
        0xf0 => {
            let (len, data) = tail.split_first_chunk()?;
            text(data, usize::try_from(u32::from_le_bytes(*len)).ok()?, 5)
        }
        0xf1 => Some((
            Item::Int(i16::from_le_bytes(*tail.first_chunk()?).into()),
            3,
        )),
        0xf2 => {
            let [a, b, c] = *tail.first_chunk()?;
            Some((Item::Int((i32::from_le_bytes([0, a, b, c]) >> 8).into()), 4))
        }
        0xf3 => Some((
            Item::Int(i32::from_le_bytes(*tail.first_chunk()?).into()),
            5,
        )),
        0xf4 => Some((Item::Int(i64::from_le_bytes(*tail.first_chunk()?)), 9)),
        _ => None,
    }
}

#[inline]
fn text(data: &[u8], len: usize, header: usize) -> Option<(Item<'_>, usize)> {
    Some((Item::Str(data.get(..len)?), header.checked_add(len)?))
}

/// Walks the entries between header and terminator. Returns their number.
fn validate_entries(body: &[u8]) -> Result<usize, PackedError> {
    let mut rest = body;
    let mut count = 0;
    while !rest.is_empty() {
        let wrong = |reason| PackedError::Entry {
            at: HEADER_BYTES + body.len() - rest.len(),
            reason,
        };
        let (_, size) = decode(rest).ok_or_else(|| wrong("invalid or truncated listpack entry"))?;
        let (_, after) = rest
            .split_at_checked(size)
            .ok_or_else(|| wrong("invalid or truncated listpack entry"))?;
        rest = skip_back_length(after, size)
            .ok_or_else(|| wrong("the back-length does not match the entry"))?;
        count += 1;
    }
    Ok(count)
}

/// Returns what follows the back-length at the front of `after`, if that is the back-length of an entry of `size` bytes.
#[inline]
fn skip_back_length(after: &[u8], size: usize) -> Option<&[u8]> {
    match after {
        [one, rest @ ..] if size <= 127 => (usize::from(*one) == size).then_some(rest),
        _ => {
            let (bytes, width) = back_length(size);
            after.strip_prefix(bytes.get(..width)?)
        }
    }
}

/// Returns the width in bytes of the back-length of an entry of `size` bytes. The odd limits are Redis's own.
///
/// Source: redis 7.0 listpack.c, lpEncodeBacklen.
#[inline]
fn back_length_bytes(size: usize) -> usize {
    match size {
        0..=127 => 1,
        128..=16_382 => 2,
        16_383..=2_097_150 => 3,
        2_097_151..=268_435_454 => 4,
        _ => 5,
    }
}

/// Returns the back-length of an entry of `size` bytes: the bytes, and how many of them are used.
fn back_length(size: usize) -> ([u8; 5], usize) {
    let width = back_length_bytes(size);
    let mut bytes = [0; 5];
    let mut left = size;
    for (from_last, place) in bytes.iter_mut().take(width).rev().enumerate() {
        let [low, ..] = left.to_le_bytes();
        *place = (low & 0x7f) | 0x80;
        left >>= 7;
        if from_last + 1 == width {
            *place &= 0x7f;
        }
    }
    (bytes, width)
}

/// Reads the back-length at the end of `bytes`. Returns the size that it states, and its own width.
#[inline]
fn parse_back_length(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut size = 0_usize;
    for (nth, byte) in bytes.iter().rev().take(5).enumerate() {
        size |= usize::from(byte & 0x7f) << (7 * nth);
        if byte & 0x80 == 0 {
            return Some((size, nth + 1));
        }
    }
    None
}

/// One entry to write: head, text, back-length.
struct Entry<'a> {
    head: [u8; 9],
    head_len: usize,
    text: &'a [u8],
    back: [u8; 5],
    back_len: usize,
}

impl<'a> Entry<'a> {
    /// An empty entry: a removal replaces entries with it.
    const NONE: Self = Self {
        head: [0; 9],
        head_len: 0,
        text: &[],
        back: [0; 5],
        back_len: 0,
    };

    fn new(item: Item<'a>) -> Self {
        let (head, head_len, text) = match item {
            Item::Int(value) => {
                let (head, len) = encode_int(value);
                (head, len, &[][..])
            }
            Item::Str(text) => {
                let (head, len) = encode_text_head(text.len());
                (head, len, text)
            }
        };
        let (back, back_len) = back_length(head_len + text.len());
        Self {
            head,
            head_len,
            text,
            back,
            back_len,
        }
    }

    fn len(&self) -> usize {
        self.head_len + self.text.len() + self.back_len
    }

    /// Fills `place`, which must be exactly [`Self::len`] bytes.
    fn write(&self, place: &mut [u8]) {
        let (head, rest) = place.split_at_mut(self.head_len);
        let (text, back) = rest.split_at_mut(self.text.len());
        head.iter_mut()
            .zip(self.head)
            .for_each(|(to, from)| *to = from);
        text.copy_from_slice(self.text);
        back.iter_mut()
            .zip(self.back)
            .for_each(|(to, from)| *to = from);
    }
}

/// Returns the shortest encoding of an integer. Source: redis 7.0 listpack.c, lpEncodeIntegerGetType.
fn encode_int(value: i64) -> ([u8; 9], usize) {
    let [a, b, c, d, e, f, g, h] = value.to_le_bytes();
    let mut head = [0; 9];
    let len = match value {
        0..=127 => fill(&mut head, &[a]),
        -4096..=4095 => fill(&mut head, &[0xc0 | (b & 0x1f), a]),
        -32_768..=32_767 => fill(&mut head, &[0xf1, a, b]),
        -8_388_608..=8_388_607 => fill(&mut head, &[0xf2, a, b, c]),
        -2_147_483_648..=2_147_483_647 => fill(&mut head, &[0xf3, a, b, c, d]),
        _ => fill(&mut head, &[0xf4, a, b, c, d, e, f, g, h]),
    };
    (head, len)
}

/// Returns the head of a text entry. Source: redis 7.0 listpack.c, lpEncodeString.
fn encode_text_head(len: usize) -> ([u8; 9], usize) {
    let [a, b, c, d, ..] = len.to_le_bytes();
    let mut head = [0; 9];
    let head_len = match len {
        0..=63 => fill(&mut head, &[0x80 | a]),
        64..=4095 => fill(&mut head, &[0xe0 | b, a]),
        _ => fill(&mut head, &[0xf0, a, b, c, d]),
    };
    (head, head_len)
}

fn fill(head: &mut [u8; 9], bytes: &[u8]) -> usize {
    head.iter_mut()
        .zip(bytes)
        .for_each(|(to, from)| *to = *from);
    bytes.len()
}

#[cfg(test)]
#[path = "listpack_tests.rs"]
mod tests;

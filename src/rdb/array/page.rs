//! Neighbouring elements of an array, packed into one vector.
//!
//! ```text
//! element   head: 1 byte │ [gap: varint] │ content
//!
//! head      bit 7: a gap follows: the number of missing indexes before this element, if there are any
//!           bits 0–6   0..=109    a text of that many bytes
//!                      110        a text; its length follows as a varint
//!                      111..=118  an integer of 1 to 8 bytes, little-endian
//!                      119        a double, 8 bytes
//! ```
//!
//! So an element of a dense array costs one byte beside its content, and an integer takes as few bytes as it needs.

use super::element::Element;
use smallvec::SmallVec;

/// A page that is full gets no more elements after its last. So a lookup walks over few elements, and an insertion moves few
/// bytes.
const ELEMENTS_MAX: usize = 128;
const BYTES_MAX: usize = 4096;

const GAP: u8 = 0x80;
const SHORT_MAX: u8 = 109;
const LONG: u8 = 110;
/// One less than the head of an integer of one byte.
const INTEGER: u8 = 110;
const DOUBLE: u8 = 119;

/// The bytes of one element, or of its beginning. Most fit inline.
type Piece = SmallVec<[u8; 64]>;

/// Neighbouring elements, at least one, in ascending order of their indexes.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    first: u64,
    last: u64,
    len: usize,
    bytes: Vec<u8>,
}

/// Where an element is.
#[derive(Debug, Clone, Copy)]
struct Spot {
    /// The lowest index that could be here: one more than the element before has.
    base: u64,
    index: u64,
    /// The offset of the head, of what follows head and gap, and of the end.
    at: usize,
    content: usize,
    end: usize,
}

impl Page {
    /// Creates a page with one element.
    #[must_use]
    pub fn new(index: u64, element: Element<'_>) -> Self {
        let mut piece = Piece::new();
        put(&mut piece, 0, element);
        Self {
            first: index,
            last: index,
            len: 1,
            bytes: piece.into_vec(),
        }
    }

    /// The lowest index.
    #[must_use]
    pub const fn first(&self) -> u64 {
        self.first
    }

    /// The highest index.
    #[must_use]
    pub const fn last(&self) -> u64 {
        self.last
    }

    /// The number of elements.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Never: a page has an element.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The number of bytes on the heap.
    #[must_use]
    pub const fn heap_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// The number of bytes in use.
    #[must_use]
    pub const fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether one more element fits after the last.
    #[must_use]
    pub const fn has_room(&self, element: Element<'_>) -> bool {
        let more = match element {
            Element::Text(text) => text.len(),
            Element::Int(_) | Element::Double(_) => 8,
        };
        self.len < ELEMENTS_MAX && self.bytes.len().saturating_add(more) < BYTES_MAX
    }

    /// Whether it must be [split](Self::split): it has more than a page should, and more than one element.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.len > ELEMENTS_MAX || (self.bytes.len() > BYTES_MAX && self.len > 1)
    }

    /// Whether it has so few elements that it should be merged with a neighbour.
    #[must_use]
    pub const fn is_sparse(&self) -> bool {
        self.len < ELEMENTS_MAX / 4 && self.bytes.len() < BYTES_MAX / 4
    }

    /// Gives back memory that is not in use.
    pub fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
    }

    /// Appends an element, whose index must be higher than the [last](Self::last).
    pub fn push(&mut self, index: u64, element: Element<'_>) {
        debug_assert!(index > self.last, "elements ascend");
        let mut piece = Piece::new();
        put(&mut piece, index - self.last - 1, element);
        self.make_room(piece.len());
        self.bytes.extend_from_slice(&piece);
        self.last = index;
        self.len += 1;
    }

    /// Returns the element at `index`.
    #[must_use]
    pub fn get(&self, index: u64) -> Option<Element<'_>> {
        if index < self.first || index > self.last {
            return None;
        }
        let spot = self.seek(index)?;
        let head = *self.bytes.get(spot.at)?;
        let found = spot.index == index;
        found.then(|| content(head, self.bytes.get(spot.content..).unwrap_or_default()).0)
    }

    /// Sets the element at `index`, wherever that is. Returns whether there was none.
    pub fn set(&mut self, index: u64, element: Element<'_>) -> bool {
        let Some(spot) = (index <= self.last).then(|| self.seek(index)).flatten() else {
            self.push(index, element);
            return true;
        };
        let is_new = spot.index != index;
        let base = spot.base.min(index);
        let mut piece = Piece::new();
        put(&mut piece, index - base, element);
        let end = if is_new {
            self.put_head(&mut piece, spot.index - index - 1, spot);
            spot.content
        } else {
            spot.end
        };
        self.replace(spot.at, end, &piece);
        self.first = self.first.min(index);
        self.len += usize::from(is_new);
        is_new
    }

    /// Removes the element at `index`. Returns whether there was one. Must not be called for the only element.
    pub fn remove(&mut self, index: u64) -> bool {
        debug_assert!(self.len > 1, "a page is never empty");
        if index < self.first || index > self.last {
            return false;
        }
        let Some(spot) = self.seek(index).filter(|spot| spot.index == index) else {
            return false;
        };
        match self.spot(spot.end, index + 1) {
            Some(next) if spot.at == 0 => {
                let mut piece = Piece::new();
                self.put_head(&mut piece, 0, next);
                self.replace(0, next.content, &piece);
                self.first = next.index;
            }
            Some(next) => {
                let mut piece = Piece::new();
                self.put_head(&mut piece, next.index - spot.base, next);
                self.replace(spot.at, next.content, &piece);
            }
            None => {
                self.bytes.truncate(spot.at);
                self.last = spot.base - 1;
            }
        }
        self.len -= 1;
        self.give_back();
        true
    }

    /// Gives back memory if more than half is not in use.
    fn give_back(&mut self) {
        let used = self.bytes.len();
        if self.bytes.capacity() > 2 * used + 64 {
            self.bytes.shrink_to(used + used / 8);
        }
    }

    /// Returns what is left without the elements from `low` to `high`; `None` if nothing is.
    #[must_use]
    pub fn without(&self, low: u64, high: u64) -> Option<Self> {
        collect(
            self.iter()
                .filter(|(index, _)| *index < low || *index > high),
        )
    }

    /// Splits it into two of about the same size, if it has more than one element.
    #[must_use]
    pub fn split(&self) -> (Option<Self>, Option<Self>) {
        let half = self.bytes.len() / 2;
        let mut left = 0;
        let mut rest = Elements::of(self);
        while left + 1 < self.len && self.bytes.len() - rest.bytes.len() < half {
            rest.next();
            left += 1;
        }
        let left = left.max(1);
        (
            collect(self.iter().take(left)),
            collect(self.iter().skip(left)),
        )
    }

    /// Whether it and a later page fit into one with room to spare.
    #[must_use]
    pub const fn fits_with(&self, later: &Self) -> bool {
        self.len + later.len <= ELEMENTS_MAX / 2
            && self.bytes.len() + later.bytes.len() <= BYTES_MAX / 2
    }

    /// Appends all elements of a later page.
    pub fn append(&mut self, later: &Self) {
        later
            .iter()
            .for_each(|(index, element)| self.push(index, element));
    }

    /// Iterates over the elements, in ascending order.
    #[must_use]
    pub fn iter(&self) -> Elements<'_> {
        Elements::of(self)
    }

    /// Returns the first element whose index is at least `index`.
    fn seek(&self, index: u64) -> Option<Spot> {
        let (mut at, mut base) = (0, self.first);
        loop {
            let spot = self.spot(at, base)?;
            if spot.index >= index {
                return Some(spot);
            }
            (at, base) = (spot.end, spot.index.saturating_add(1));
        }
    }

    /// Returns the element whose head is at `at`, after one with the index before `base`.
    fn spot(&self, at: usize, base: u64) -> Option<Spot> {
        let bytes = self.bytes.get(at..)?;
        let (head, rest) = bytes.split_first()?;
        let (gap, rest) = gap(*head, rest);
        let (_, behind) = content(*head, rest);
        let total = self.bytes.len();
        Some(Spot {
            base,
            index: base.saturating_add(gap),
            at,
            content: total - rest.len(),
            end: total - behind.len(),
        })
    }

    /// Appends the head of the element at `spot` with another gap.
    fn put_head(&self, piece: &mut Piece, gap: u64, spot: Spot) {
        let head = self.bytes.get(spot.at).copied().unwrap_or_default();
        put_gap(piece, head & !GAP, gap);
    }

    fn replace(&mut self, at: usize, end: usize, piece: &[u8]) {
        let grown = piece.len().saturating_sub(end - at);
        self.make_room(grown);
        if let Some(old) = self.bytes.get_mut(at..end)
            && old.len() == piece.len()
        {
            old.copy_from_slice(piece);
        } else {
            drop(self.bytes.splice(at..end, piece.iter().copied()));
        }
    }

    /// Makes room for more bytes: an eighth more than needed, so that few changes copy the page and little is wasted.
    fn make_room(&mut self, more: usize) {
        if self.bytes.capacity() - self.bytes.len() < more {
            let spare = (self.bytes.len() / 8).min(BYTES_MAX / 8);
            self.bytes.reserve_exact(more + spare);
        }
    }
}

/// Collects ascending elements into a page, if there are any.
fn collect<'a>(mut elements: impl Iterator<Item = (u64, Element<'a>)>) -> Option<Page> {
    let (index, element) = elements.next()?;
    let mut page = Page::new(index, element);
    elements.for_each(|(index, element)| page.push(index, element));
    page.shrink();
    Some(page)
}

/// Iterates over a page's elements.
#[derive(Debug, Clone)]
pub struct Elements<'a> {
    bytes: &'a [u8],
    /// The lowest index that the next element can have.
    base: u64,
    left: usize,
}

impl<'a> Elements<'a> {
    fn of(page: &'a Page) -> Self {
        Self {
            bytes: &page.bytes,
            base: page.first,
            left: page.len,
        }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = (u64, Element<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (head, rest) = self.bytes.split_first()?;
        let (gap, rest) = gap(*head, rest);
        let (element, rest) = content(*head, rest);
        let index = self.base.saturating_add(gap);
        self.bytes = rest;
        self.base = index.saturating_add(1);
        self.left = self.left.saturating_sub(1);
        Some((index, element))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Elements<'_> {}

/// Appends an element after `gap` missing indexes.
fn put(piece: &mut Piece, gap: u64, element: Element<'_>) {
    match element {
        Element::Text(text) => match u8::try_from(text.len()) {
            Ok(len @ ..=SHORT_MAX) => {
                put_gap(piece, len, gap);
                piece.extend_from_slice(text);
            }
            _ => {
                put_gap(piece, LONG, gap);
                put_number(piece, text.len() as u64);
                piece.extend_from_slice(text);
            }
        },
        Element::Int(number) => {
            let bytes = number.to_le_bytes();
            let len = integer_len(number);
            put_gap(piece, INTEGER + len, gap);
            piece.extend(bytes.into_iter().take(len.into()));
        }
        Element::Double(number) => {
            put_gap(piece, DOUBLE, gap);
            piece.extend_from_slice(&number.to_le_bytes());
        }
    }
}

/// The number of bytes that an integer needs, 1 to 8.
fn integer_len(number: i64) -> u8 {
    // One bit for the sign.
    let bits = 65 - (number ^ (number >> 63)).leading_zeros();
    u8::try_from(bits.div_ceil(8)).unwrap_or(8)
}

fn put_gap(piece: &mut Piece, head: u8, gap: u64) {
    if gap == 0 {
        piece.push(head);
    } else {
        piece.push(head | GAP);
        put_number(piece, gap);
    }
}

fn put_number(piece: &mut Piece, mut number: u64) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            piece.push(low & 0x7f);
            return;
        }
        piece.push(low | 0x80);
    }
}

/// Reads the gap after a head. Returns it and what follows.
#[inline]
fn gap(head: u8, rest: &[u8]) -> (u64, &[u8]) {
    if head & GAP == 0 {
        (0, rest)
    } else {
        number(rest)
    }
}

fn number(mut rest: &[u8]) -> (u64, &[u8]) {
    let (mut value, mut shift) = (0, 0);
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
        shift = (shift + 7).min(63);
    }
    (value, rest)
}

/// Reads what follows head and gap. Returns the element and what follows it.
#[inline]
fn content(head: u8, rest: &[u8]) -> (Element<'_>, &[u8]) {
    match head & !GAP {
        len @ ..=SHORT_MAX => text(rest, len.into()),
        LONG => {
            let (len, rest) = number(rest);
            text(rest, usize::try_from(len).unwrap_or(usize::MAX))
        }
        DOUBLE => {
            let (bytes, rest) = rest.split_first_chunk().unwrap_or((&[0; 8], &[]));
            (Element::Double(f64::from_le_bytes(*bytes)), rest)
        }
        head => {
            let len = usize::from(head - INTEGER).min(8).min(rest.len());
            let (bytes, rest) = rest.split_at(len);
            (Element::Int(integer(bytes)), rest)
        }
    }
}

fn text(rest: &[u8], len: usize) -> (Element<'_>, &[u8]) {
    let (text, rest) = rest.split_at(len.min(rest.len()));
    (Element::Text(text), rest)
}

fn integer(bytes: &[u8]) -> i64 {
    let is_negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
    let mut all = [if is_negative { 0xff } else { 0 }; 8];
    all.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    i64::from_le_bytes(all)
}

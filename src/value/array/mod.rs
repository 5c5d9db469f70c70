//! The array: elements by index, from 0 to 2⁶⁴ − 2, and a cursor for insertions.
//!
//! Neighbouring elements share a [`Page`]; nothing is kept for indexes without an element, so a high index costs no more than a
//! low one. A small array is one page.
//!
//! Source: redis 8.8 t_array.c, sparsearray.c, read before its release; the replies were compared with a build of that source.

mod pages;
#[cfg(test)]
mod tests;

use std::io::{self, Write};

use crate::rdb::array::{ArrayObject, Element, INDEX_MAX, Page};
use crate::rdb::encode::Writer;
use pages::Pages;

/// A sparse array of byte strings.
#[derive(Debug, Clone, Default)]
pub struct Array {
    pages: Pages,
    /// The number of elements.
    len: usize,
    /// The index of the last insertion, if there was one since the cursor was reset. At most [`INDEX_MAX`].
    cursor: Option<u64>,
}

/// Indexes that were to be set would pass [`INDEX_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PastTheEnd;

impl Array {
    /// Creates an array from a decoded one. Its pages stay as they are.
    #[must_use]
    pub fn from_rdb(decoded: ArrayObject) -> Self {
        let mut array = Self {
            cursor: decoded.cursor,
            ..Self::default()
        };
        for page in decoded.pages {
            if array
                .pages
                .last()
                .is_none_or(|last| last.last() < page.first())
            {
                array.len += page.len();
                array.pages.insert(page);
            } else {
                for (index, element) in page.iter() {
                    array.put(index, element);
                }
            }
        }
        array
    }

    /// The number of elements.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no elements.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The highest index plus one; 0 without elements.
    #[must_use]
    pub fn span(&self) -> u64 {
        self.pages.last().map_or(0, |page| page.last() + 1)
    }

    /// The number of bytes on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.pages.heap_bytes()
    }

    /// The index of the last insertion; `None` if the next one goes to 0.
    #[must_use]
    pub const fn cursor(&self) -> Option<u64> {
        self.cursor
    }

    /// Makes the next insertion go after `cursor`, or to 0. An index past [`INDEX_MAX`] counts as that.
    pub fn set_cursor(&mut self, cursor: Option<u64>) {
        self.cursor = cursor.map(|index| index.min(INDEX_MAX));
    }

    /// Returns the element at `index`.
    #[must_use]
    pub fn get(&self, index: u64) -> Option<Element<'_>> {
        self.pages.at_or_before(index)?.get(index)
    }

    /// Sets the element at `index`, at most [`INDEX_MAX`], in the form that servers choose. Returns whether there was none.
    pub fn set(&mut self, index: u64, text: &[u8]) -> bool {
        self.put(index, Element::of(text))
    }

    fn put(&mut self, index: u64, element: Element<'_>) -> bool {
        debug_assert!(index <= INDEX_MAX, "no array is longer");
        let is_new = self.pages.set(index, element);
        self.len += usize::from(is_new);
        is_new
    }

    /// Removes the element at `index`. Returns whether there was one.
    pub fn remove(&mut self, index: u64) -> bool {
        let was_there = self.pages.remove(index);
        self.len -= usize::from(was_there);
        was_there
    }

    /// Removes the elements from `low` to `high`, both included. Returns their number.
    pub fn remove_range(&mut self, low: u64, high: u64) -> usize {
        let removed = self.pages.remove_range(low, high);
        self.len -= removed;
        removed
    }

    /// Inserts texts after the cursor, which moves to the last.
    ///
    /// # Errors
    /// [`PastTheEnd`], and nothing changes.
    pub fn insert<'t>(
        &mut self,
        texts: impl ExactSizeIterator<Item = &'t [u8]>,
    ) -> Result<(), PastTheEnd> {
        let start = match self.cursor {
            None => 0,
            Some(index) => index.checked_add(1).ok_or(PastTheEnd)?,
        };
        self.cursor = Some(self.set_all(start, texts)?);
        Ok(())
    }

    /// Sets consecutive elements, at least one, from `start` on. Returns the last index.
    ///
    /// # Errors
    /// [`PastTheEnd`], and nothing changes.
    pub fn set_all<'t>(
        &mut self,
        start: u64,
        texts: impl ExactSizeIterator<Item = &'t [u8]>,
    ) -> Result<u64, PastTheEnd> {
        let more = (texts.len() as u64).checked_sub(1).ok_or(PastTheEnd)?;
        let last = start.checked_add(more).filter(|last| *last <= INDEX_MAX);
        let last = last.ok_or(PastTheEnd)?;
        for (index, text) in (start..=last).zip(texts) {
            self.set(index, text);
        }
        Ok(last)
    }

    /// Inserts texts into a ring of `size` elements, which is not 0: after the cursor, and past the ring's end from 0 on. If
    /// the ring had another size, the latest elements are first moved to its start.
    pub fn ring<'t>(&mut self, size: u64, texts: impl Iterator<Item = &'t [u8]>) {
        if let Some(most) = self.kept_in_ring(size) {
            self.unroll(most);
        }
        for text in texts {
            let next = self.cursor.map_or(0, |index| index + 1);
            let index = next.checked_rem(size).unwrap_or(0);
            self.set(index, text);
            self.cursor = Some(index);
        }
    }

    /// Returns how many elements may stay if a ring of this size needs the array moved.
    ///
    /// Source: redis 8.8 t_array.c, `arRingNeedsRework`.
    fn kept_in_ring(&self, size: u64) -> Option<u64> {
        let span = self.span();
        let next = self.cursor.map(|index| index.saturating_add(1));
        let has_wrapped = next.is_some_and(|next| next < span);
        if size < span {
            Some(size)
        } else {
            (size > span && has_wrapped).then_some(span)
        }
    }

    /// Moves the latest elements, at most `most` of them and none from before a hole, to the start.
    ///
    /// Source: redis 8.8 t_array.c, `arRingRework`.
    fn unroll(&mut self, most: u64) {
        let Some(top) = self.span().checked_sub(1) else {
            return;
        };
        let newest = self.cursor.map_or(top, |index| index % (top + 1));
        let front = self.run_back(newest, most.min(newest + 1));
        let behind = if front > newest && front < most {
            // The run reaches index 0, so it may go on at the top.
            self.run_back(top, (most - front).min(top - newest))
        } else {
            0
        };
        let mut moved = Self::default();
        let older = (behind > 0).then(|| self.range(top + 1 - behind, top));
        let newer = (front > 0).then(|| self.range(newest + 1 - front, newest));
        let kept = older
            .into_iter()
            .flatten()
            .chain(newer.into_iter().flatten());
        for (index, (_, element)) in (0..).zip(kept) {
            moved.put(index, element);
        }
        moved.cursor = (moved.len as u64).checked_sub(1);
        *self = moved;
    }

    /// Counts the elements at `newest` and directly before it, at most `most`.
    fn run_back(&self, newest: u64, most: u64) -> u64 {
        if most == 0 {
            return 0;
        }
        let mut expected = newest;
        let mut run = 0;
        for (index, _) in self.range_back(newest + 1 - most, newest) {
            if index != expected {
                break;
            }
            run += 1;
            expected = expected.wrapping_sub(1);
        }
        run
    }

    /// Iterates over the elements from `low` to `high`, both included, in ascending order.
    pub fn range(&self, low: u64, high: u64) -> impl Iterator<Item = (u64, Element<'_>)> {
        let pages = self.pages.range(low, high);
        let elements = pages.flat_map(Page::iter);
        elements
            .skip_while(move |(index, _)| *index < low)
            .take_while(move |(index, _)| *index <= high)
    }

    /// Like [`range`](Self::range), in descending order.
    pub fn range_back(&self, low: u64, high: u64) -> impl Iterator<Item = (u64, Element<'_>)> {
        let pages = self.pages.range(low, high).rev();
        let elements = pages.flat_map(|page| page.iter().collect::<Vec<_>>().into_iter().rev());
        elements
            .skip_while(move |(index, _)| *index > high)
            .take_while(move |(index, _)| *index >= low)
    }

    /// Iterates over the elements from `start` to `end`, both included: in descending order if `end` is less.
    pub fn between(&self, start: u64, end: u64) -> impl Iterator<Item = (u64, Element<'_>)> {
        let up = (start <= end).then(|| self.range(start, end));
        let down = (start > end).then(|| self.range_back(end, start));
        up.into_iter().flatten().chain(down.into_iter().flatten())
    }

    /// Iterates over all elements, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, Element<'_>)> {
        self.range(0, INDEX_MAX)
    }

    /// Counts the elements from `low` to `high`, both included.
    #[must_use]
    pub fn count(&self, low: u64, high: u64) -> usize {
        let inside = |page: &Page| low <= page.first() && page.last() <= high;
        let pages = self.pages.range(low, high);
        pages
            .map(|page| {
                if inside(page) {
                    page.len()
                } else {
                    let indexes = page.iter().map(|(index, _)| index);
                    indexes.filter(|index| (low..=high).contains(index)).count()
                }
            })
            .sum()
    }

    /// Writes the array: type 28.
    pub(crate) fn encode<W: Write>(&self, writer: &mut Writer<W>) -> io::Result<()> {
        writer.array_head(self.len, self.cursor)?;
        self.iter()
            .try_for_each(|(index, element)| writer.array_element(index, element))
    }
}

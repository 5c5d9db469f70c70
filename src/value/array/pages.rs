//! The pages of an array, by their lowest index.

use std::collections::BTreeMap;

use crate::rdb::array::{Element, Page};

/// The bytes that a tree takes for a page, beside the page's own: its slot in a node that is two thirds full.
const SLOT_BYTES: usize = (size_of::<u64>() + size_of::<Page>()) * 3 / 2;

/// Pages that do not overlap. Most arrays are small: they need no tree.
#[derive(Debug, Clone)]
enum Form {
    One(Box<Page>),
    /// Any number of pages. Without any, it has no memory of its own.
    Many(BTreeMap<u64, Page>),
}

/// All pages of an array.
#[derive(Debug, Clone)]
pub(super) struct Pages {
    form: Form,
    /// The heap bytes of the pages' elements.
    bytes: usize,
}

impl Default for Pages {
    fn default() -> Self {
        Self {
            form: Form::Many(BTreeMap::new()),
            bytes: 0,
        }
    }
}

impl Pages {
    pub(super) fn heap_bytes(&self) -> usize {
        let own = match &self.form {
            Form::One(_) => size_of::<Page>(),
            Form::Many(pages) => pages.len() * SLOT_BYTES,
        };
        own + self.bytes
    }

    pub(super) fn last(&self) -> Option<&Page> {
        match &self.form {
            Form::One(page) => Some(page),
            Form::Many(pages) => pages.last_key_value().map(|(_, page)| page),
        }
    }

    /// Returns the only page that can hold `index`.
    pub(super) fn at_or_before(&self, index: u64) -> Option<&Page> {
        match &self.form {
            Form::One(page) => Some(&**page).filter(|page| page.first() <= index),
            Form::Many(pages) => pages.range(..=index).next_back().map(|(_, page)| page),
        }
    }

    /// Iterates over the pages that can hold an index from `low` to `high`, in ascending order.
    pub(super) fn range(&self, low: u64, high: u64) -> impl DoubleEndedIterator<Item = &Page> {
        let first = self.at_or_before(low).map_or(low, Page::first);
        let (one, many) = match &self.form {
            Form::One(page) => (Some(&**page), None),
            Form::Many(pages) if first <= high => (None, Some(pages.range(first..=high))),
            Form::Many(_) => (None, None),
        };
        let many = many.into_iter().flatten().map(|(_, page)| page);
        one.into_iter()
            .chain(many)
            .filter(move |page| page.first() <= high && page.last() >= low)
    }

    /// Adds a page that overlaps no other.
    pub(super) fn insert(&mut self, page: Page) {
        self.bytes += page.heap_bytes();
        match &mut self.form {
            Form::Many(pages) if pages.is_empty() => self.form = Form::One(Box::new(page)),
            Form::Many(pages) => drop(pages.insert(page.first(), page)),
            Form::One(_) => {
                let pages = self.tree();
                pages.insert(page.first(), page);
            }
        }
    }

    /// Returns the tree, made from the only page if need be.
    fn tree(&mut self) -> &mut BTreeMap<u64, Page> {
        if let Form::One(page) = &self.form {
            let only = Page::clone(page);
            self.form = Form::Many(BTreeMap::from([(only.first(), only)]));
        }
        match &mut self.form {
            Form::Many(pages) => pages,
            Form::One(_) => unreachable!("it has just been made a tree"),
        }
    }

    /// Takes out the page whose lowest index is `first`.
    fn take(&mut self, first: u64) -> Option<Page> {
        let page = match &mut self.form {
            Form::One(page) if page.first() == first => {
                let form = std::mem::replace(&mut self.form, Form::Many(BTreeMap::new()));
                match form {
                    Form::One(page) => Some(*page),
                    Form::Many(_) => None,
                }
            }
            Form::One(_) => None,
            Form::Many(pages) => pages.remove(&first),
        };
        self.bytes -= page.as_ref().map_or(0, Page::heap_bytes);
        page
    }

    /// Changes the page whose lowest index is `first` in place; the change must leave that index the lowest.
    fn edit<R>(&mut self, first: u64, change: impl FnOnce(&mut Page) -> R) -> Option<R> {
        let page = match &mut self.form {
            Form::One(page) => Some(&mut **page).filter(|page| page.first() == first),
            Form::Many(pages) => pages.get_mut(&first),
        }?;
        let before = page.heap_bytes();
        let result = change(page);
        debug_assert_eq!(page.first(), first, "the tree orders pages by this index");
        self.bytes = self.bytes - before + page.heap_bytes();
        Some(result)
    }

    /// Sets an element. Returns whether there was none.
    pub(super) fn set(&mut self, index: u64, element: Element<'_>) -> bool {
        let Some(page) = self.at_or_before(index) else {
            return self.set_before_all(index, element);
        };
        let (first, is_behind) = (page.first(), index > page.last());
        if is_behind && !page.has_room(element) {
            self.edit(first, Page::shrink);
            self.insert(Page::new(index, element));
            return true;
        }
        let set = self.edit(first, |page| (page.set(index, element), page.is_over()));
        let (is_new, is_over) = set.unwrap_or_default();
        if is_over {
            self.divide(first);
        }
        is_new
    }

    /// Sets an element before the lowest index of all: in the first page, if that has room.
    fn set_before_all(&mut self, index: u64, element: Element<'_>) -> bool {
        let first = match &self.form {
            Form::One(page) => Some(&**page),
            Form::Many(pages) => pages.first_key_value().map(|(_, page)| page),
        };
        let first = first.filter(|page| page.has_room(element)).map(Page::first);
        match first.and_then(|first| self.take(first)) {
            Some(mut page) => {
                page.set(index, element);
                self.insert(page);
            }
            None => self.insert(Page::new(index, element)),
        }
        true
    }

    /// Divides a page until no part is over the limits.
    fn divide(&mut self, first: u64) {
        let mut parts = Vec::from_iter(self.take(first));
        while let Some(page) = parts.pop() {
            if page.is_over() {
                let (low, high) = page.split();
                parts.extend(low);
                parts.extend(high);
            } else {
                self.insert(page);
            }
        }
    }

    /// Removes an element. Returns whether there was one.
    pub(super) fn remove(&mut self, index: u64) -> bool {
        let Some(page) = self.at_or_before(index) else {
            return false;
        };
        let first = page.first();
        if index == first || page.len() == 1 {
            // The page's place changes, or it goes.
            return self.remove_range(index, index) > 0;
        }
        let removed = self.edit(first, |page| page.remove(index)).unwrap_or(false);
        if removed {
            self.merge(first);
        }
        removed
    }

    /// Removes the elements from `low` to `high`. Returns their number.
    pub(super) fn remove_range(&mut self, low: u64, high: u64) -> usize {
        let mut removed = 0;
        // Only the outermost pages can keep elements.
        let mut kept = Vec::new();
        let touched: Vec<u64> = self.range(low, high).map(Page::first).collect();
        for first in touched {
            let Some(page) = self.take(first) else {
                continue;
            };
            removed += page.len();
            if let Some(rest) = page.without(low, high) {
                removed -= rest.len();
                kept.push(rest.first());
                self.insert(rest);
            }
        }
        kept.into_iter().for_each(|first| self.merge(first));
        removed
    }

    /// Merges a page that has few elements with the next, if both fit into half of one. So a page is at least as full as
    /// that, on average, and holes cost nothing for long.
    fn merge(&mut self, first: u64) {
        let Form::Many(pages) = &self.form else {
            return;
        };
        let Some(page) = pages.get(&first).filter(|page| page.is_sparse()) else {
            return;
        };
        let after = page.last().saturating_add(1);
        let next = pages.range(after..).next();
        let Some(next) = next.filter(|(_, next)| page.fits_with(next)) else {
            return;
        };
        let next = *next.0;
        if let Some(next) = self.take(next) {
            self.edit(first, |page| page.append(&next));
        }
    }
}

//! Arrays, which map indexes to texts (Redis 8.8): an element's forms, packed pages of elements, and the RDB layout.
//!
//! Source: redis 8.8 rdb.c, sparsearray.c, read and asked before its release: type 28, `arEncode`.

mod element;
mod page;

pub use element::{Element, ElementText};
pub use page::{Elements, Page};

use super::error::Error;
use super::flaws::corrupt;
use super::packed::{IntText, Item};
use super::reader::Reader;
use super::source::Source;

/// The highest index of an array.
pub const INDEX_MAX: u64 = u64::MAX - 1;

/// The form of an element in an RDB.
const TEXT: u64 = 0;
const INTEGER: u64 = 1;
const DOUBLE: u64 = 2;
const SHORT_TEXT: u64 = 3;

/// A decoded array.
#[derive(Debug, Clone, PartialEq)]
pub struct ArrayObject {
    /// The index of the last insertion, if there was one since the cursor was reset.
    pub cursor: Option<u64>,
    /// The elements in the order in which they were written. Servers write them in ascending order, but read any order: a page
    /// begins wherever the next index is not a higher one, and a later element replaces an earlier one with its index.
    pub pages: Vec<Page>,
}

/// Reads an array: type 28.
pub(super) fn array<S: Source>(reader: &mut Reader<S>) -> Result<ArrayObject, Error> {
    reader.reading("an array's size");
    let at = reader.position();
    let count = reader.length()?;
    if count == 0 {
        return Err(reader.error_at(at, corrupt("an array without elements")));
    }
    let cursor = cursor(reader)?;
    let mut pages: Vec<Page> = Vec::new();
    for _ in 0..count {
        let index = index(reader)?;
        element(reader, index, &mut pages)?;
    }
    pages.last_mut().into_iter().for_each(Page::shrink);
    Ok(ArrayObject { cursor, pages })
}

fn cursor<S: Source>(reader: &mut Reader<S>) -> Result<Option<u64>, Error> {
    reader.reading("an array's insertion index");
    let at = reader.position();
    match reader.length()? {
        0 => Ok(None),
        1 => index(reader).map(Some),
        _ => Err(reader.error_at(at, corrupt("neither with nor without an insertion index"))),
    }
}

/// Reads an index. The highest number is none.
fn index<S: Source>(reader: &mut Reader<S>) -> Result<u64, Error> {
    reader.reading("an array's index");
    let at = reader.position();
    match reader.length()? {
        index @ ..=INDEX_MAX => Ok(index),
        _ => Err(reader.error_at(at, corrupt("an index past the end of all arrays"))),
    }
}

/// Reads an element and puts it after the others.
fn element<S: Source>(
    reader: &mut Reader<S>,
    index: u64,
    pages: &mut Vec<Page>,
) -> Result<(), Error> {
    reader.reading("an array's element");
    let at = reader.position();
    let form = reader.length()?;
    match form {
        INTEGER => {
            let number = i64::from_le_bytes(reader.array()?);
            push(pages, index, Element::integer(number, &mut IntText::new()));
        }
        DOUBLE => {
            let number = f64::from_le_bytes(reader.array()?);
            push(pages, index, Element::double(number));
        }
        TEXT => {
            let text = reader.string()?;
            push(pages, index, Element::of(text.text(&mut IntText::new())));
        }
        SHORT_TEXT => {
            let start = reader.position();
            let text = reader.string()?;
            if text.len() > Element::SHORT_BYTES_MAX {
                return Err(reader.error_at(start, corrupt("a short text that is too long")));
            }
            // A number in this form stays a text, as on a server.
            push(pages, index, Element::Text(text.text(&mut IntText::new())));
        }
        _ => return Err(reader.error_at(at, corrupt("an element of an unknown form"))),
    }
    Ok(())
}

/// Appends an element to the last page, or to a new one where that has no room or a higher index.
fn push(pages: &mut Vec<Page>, index: u64, element: Element<'_>) {
    match pages.last_mut() {
        Some(page) if page.last() < index && page.has_room(element) => page.push(index, element),
        last => {
            last.into_iter().for_each(Page::shrink);
            pages.push(Page::new(index, element));
        }
    }
}

/// What is written before an element's value: the number of its form.
pub(super) const fn form(element: Element<'_>) -> u64 {
    match element {
        Element::Int(_) => INTEGER,
        Element::Double(_) => DOUBLE,
        Element::Text(text) if text.len() <= Element::SHORT_BYTES_MAX => SHORT_TEXT,
        Element::Text(_) => TEXT,
    }
}

impl<'a> From<Item<'a>> for Element<'a> {
    fn from(item: Item<'a>) -> Self {
        match item {
            Item::Str(text) => Self::of(text),
            Item::Int(number) => Self::Int(number),
        }
    }
}

#[cfg(test)]
mod tests;

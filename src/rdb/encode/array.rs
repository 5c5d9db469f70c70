//! Arrays: type 28.

use super::Writer;
use crate::rdb::array::{Element, ElementText, form};
use std::io::{self, Write};

impl<W: Write> Writer<W> {
    /// Begins an array of `count` elements, at least one, with the index of the last insertion.
    ///
    /// # Errors
    /// The output's error, as in everything here.
    pub fn array_head(&mut self, count: usize, cursor: Option<u64>) -> io::Result<()> {
        self.count(count)?;
        match cursor {
            None => self.length(0),
            Some(index) => {
                self.length(1)?;
                self.length(index)
            }
        }
    }

    /// Writes an element of an array. Servers write them in ascending order of their indexes.
    ///
    /// # Errors
    /// The output's error.
    pub fn array_element(&mut self, index: u64, element: Element<'_>) -> io::Result<()> {
        self.length(index)?;
        self.length(form(element))?;
        match element {
            Element::Int(number) => self.raw(&number.to_le_bytes()),
            Element::Double(number) => self.raw(&number.to_le_bytes()),
            Element::Text(_) => self.string(element.text(&mut ElementText::default())),
        }
    }
}

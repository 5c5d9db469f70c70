//! Parses a SORT.

use super::pattern::Pattern;
use crate::command::rows::Error;
use crate::command::rows::parse::integer;
use crate::resp::Args;

/// A parsed SORT.
#[derive(Debug, Clone, Default)]
pub(super) struct Query<'a> {
    pub(super) descending: bool,
    /// Compare as text, not as numbers.
    pub(super) alpha: bool,
    /// Where to find the weights, if they are not the elements themselves.
    pub(super) by: Option<Pattern<'a>>,
    /// Keep the order of the collection.
    pub(super) unsorted: bool,
    pub(super) offset: i64,
    /// Negative means no limit.
    pub(super) limit: i64,
    /// What to return for each element, if not the element itself.
    pub(super) get: Vec<Pattern<'a>>,
    pub(super) store: Option<&'a [u8]>,
}

impl<'a> Query<'a> {
    /// Parses the options. `stores` allows STORE. Source: redis 7.0 sort.c, `sortCommandGeneric`.
    pub(super) fn parse(args: Args<'a>, stores: bool) -> Result<Self, Error> {
        let mut query = Self {
            limit: -1,
            ..Self::default()
        };
        let mut index = 2;
        while index < args.len() {
            index += query.read_option(args, index, stores)?;
        }
        Ok(query)
    }

    /// Reads the option at `index`. Returns its number of words.
    fn read_option(&mut self, args: Args<'a>, index: usize, stores: bool) -> Result<usize, Error> {
        let word = args.at(index).to_ascii_lowercase();
        let more = args.len() - index - 1;
        match word.as_slice() {
            b"asc" => self.descending = false,
            b"desc" => self.descending = true,
            b"alpha" => self.alpha = true,
            b"limit" if more >= 2 => {
                self.offset = integer(args.at(index + 1))?;
                self.limit = integer(args.at(index + 2))?;
                return Ok(3);
            }
            b"store" if stores && more >= 1 => {
                self.store = args.get(index + 1);
                return Ok(2);
            }
            b"by" if more >= 1 => {
                let pattern = Pattern::parse(args.at(index + 1));
                // A constant holds once it is given, whatever pattern follows.
                self.unsorted |= !pattern.names_keys();
                self.by = Some(pattern);
                return Ok(2);
            }
            b"get" if more >= 1 => {
                self.get.push(Pattern::parse(args.at(index + 1)));
                return Ok(2);
            }
            _ => return Err(Error::Syntax),
        }
        Ok(1)
    }

    /// Returns the range of the wanted ones among `len` elements.
    pub(super) fn range(&self, len: usize) -> std::ops::Range<usize> {
        let start = usize::try_from(self.offset.max(0)).unwrap_or(usize::MAX);
        let start = start.min(len);
        let left = len - start;
        let taken = usize::try_from(self.limit).map_or(left, |limit| limit.min(left));
        start..start + taken
    }
}

/// Whether a SORT may read keys that it does not name.
pub(super) fn reads_other_keys(args: Args<'_>) -> bool {
    (2..args.len()).any(|index| {
        (args.is(index, "by") || args.is(index, "get")) && args.at(index + 1).contains(&b'*')
    })
}

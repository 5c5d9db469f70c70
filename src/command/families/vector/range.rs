//! VRANGE: elements in the order of their names.

use super::{set, words};
use crate::command::rows::Error;
use crate::resp::{Args, Reply, parse_integer};
use crate::store::View;

/// A bound of a range.
#[derive(Clone, Copy)]
enum Bound<'a> {
    Lowest,
    Highest,
    Including(&'a [u8]),
    Excluding(&'a [u8]),
}

impl<'a> Bound<'a> {
    fn parse(text: &'a [u8]) -> Option<Self> {
        match text {
            b"-" => Some(Self::Lowest),
            b"+" => Some(Self::Highest),
            [b'[', name @ ..] if !name.is_empty() => Some(Self::Including(name)),
            [b'(', name @ ..] if !name.is_empty() => Some(Self::Excluding(name)),
            _ => None,
        }
    }

    /// Whether a range that starts here includes `name`.
    fn admits_from(self, name: &[u8]) -> bool {
        match self {
            Self::Lowest => true,
            Self::Highest => false,
            Self::Including(start) => name >= start,
            Self::Excluding(start) => name > start,
        }
    }

    /// Whether a range that ends here includes `name`.
    fn admits_to(self, name: &[u8]) -> bool {
        match self {
            Self::Lowest => false,
            Self::Highest => true,
            Self::Including(end) => name <= end,
            Self::Excluding(end) => name < end,
        }
    }
}

/// `VRANGE key start end [count]`.
///
/// Source: redis 8.4 modules/vector-sets/vset.c, `VRANGE_RedisCommand`, from documents: no server of this version was asked.
pub(super) fn vrange(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    words(args, "VRANGE", 4..=5)?;
    let not_a_count = Error::Text("ERR invalid COUNT value");
    let count = match args.get(4) {
        Some(count) => parse_integer(count).ok_or(not_a_count)?,
        None => -1,
    };
    let start = Bound::parse(args.at(2)).ok_or(Error::Text("ERR invalid start range format"))?;
    let end = Bound::parse(args.at(3)).ok_or(Error::Text("ERR invalid end range format"))?;
    if matches!(start, Bound::Highest) || matches!(end, Bound::Lowest) {
        return Err(Error::Text(
            "ERR '-' can only be used as first argument, '+' only as second",
        ));
    }
    let set = set(view, args.at(1))?;
    let names = set.into_iter().flat_map(|set| set.iter());
    let names = names.map(|element| element.name());
    let mut names: Vec<&[u8]> = names
        .filter(|name| start.admits_from(name) && end.admits_to(name))
        .collect();
    names.sort_unstable();
    // A negative count is no limit.
    names.truncate(usize::try_from(count).unwrap_or(usize::MAX));
    reply.array(names.len());
    names.iter().for_each(|name| reply.bulk(name));
    Ok(())
}

//! ARGET, ARMGET, ARGETRANGE, ARSCAN, ARLEN, ARCOUNT, ARNEXT and ARLASTITEMS.

use super::{array, element_reply, index, indexes, limit, unsigned, unsigned_reply};
use crate::command::rows::Error;
use crate::dialect::LastItems;
use crate::rdb::array::INDEX_MAX;
use crate::resp::{Args, Reply, parse_integer};
use crate::store::View;
use crate::value::Array;

/// The most positions of a reply in which elements may be missing. Source: redis 8.8 t_array.c, `AR_MAX_REPLY_ITEMS`.
const POSITIONS_MAX: u64 = 1_000_000;

pub(super) fn arget(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let array = array(view, args.at(1))?;
    let index = index(args.at(2))?;
    element_reply(reply, array.and_then(|array| array.get(index)));
    Ok(())
}

pub(super) fn armget(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let array = array(view, args.at(1))?;
    let indexes = indexes(args.from(2))?;
    reply.array(indexes.len());
    for index in indexes {
        element_reply(reply, array.and_then(|array| array.get(index)));
    }
    Ok(())
}

pub(super) fn arlen(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let span = array(view, args.at(1))?.map_or(0, Array::span);
    unsigned_reply(reply, span);
    Ok(())
}

pub(super) fn arcount(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    reply.count(array(view, args.at(1))?.map_or(0, Array::len));
    Ok(())
}

/// Replies null if nothing can be inserted any more.
pub(super) fn arnext(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    match array(view, args.at(1))?.and_then(Array::cursor) {
        None => reply.integer(0),
        Some(INDEX_MAX) => reply.null(),
        Some(index) => unsigned_reply(reply, index + 1),
    }
    Ok(())
}

pub(super) fn argetrange(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let (start, end) = (index(args.at(2))?, index(args.at(3))?);
    let array = array(view, args.at(1))?;
    if start.abs_diff(end) >= POSITIONS_MAX {
        return Err(Error::Text("ERR range exceeds maximum of 1000000 items"));
    }
    reply.array(usize::try_from(start.abs_diff(end) + 1).unwrap_or(usize::MAX));
    write_positions(reply, array, start, end);
    Ok(())
}

/// Appends a reply for every position from `start` to `end`, whichever is higher.
fn write_positions(reply: &mut Reply, array: Option<&Array>, start: u64, end: u64) {
    let elements = array
        .into_iter()
        .flat_map(|array| array.between(start, end));
    let mut position = Some(start);
    let next = |at: u64| match at {
        at if at == end => None,
        at if at < end => Some(at + 1),
        at => Some(at - 1),
    };
    for (index, element) in elements {
        while let Some(at) = position.filter(|at| *at != index) {
            reply.null();
            position = next(at);
        }
        element_reply(reply, Some(element));
        position = position.and_then(next);
    }
    while let Some(at) = position {
        reply.null();
        position = next(at);
    }
}

/// The positions between words 2 and 3, whether or not they have elements.
pub(super) fn positions(args: Args<'_>, _size: usize) -> usize {
    match (unsigned(args.at(2)), unsigned(args.at(3))) {
        (Some(start), Some(end)) if start.abs_diff(end) < POSITIONS_MAX => {
            usize::try_from(start.abs_diff(end) + 1).unwrap_or(usize::MAX)
        }
        // An error.
        _ => 1,
    }
}

pub(super) fn arscan(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let (start, end) = (index(args.at(2))?, index(args.at(3))?);
    let most = match args.len() {
        4 => u64::MAX,
        6 if args.is(4, "limit") => limit(args.at(5))?,
        6 => return Err(Error::Syntax),
        _ => return Err(Error::Arity("arscan".to_owned())),
    };
    let Some(array) = array(view, args.at(1))? else {
        reply.array(0);
        return Ok(());
    };
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    reply.array_of(|reply| {
        let mut count = 0;
        for (index, element) in array.between(start, end).take(most) {
            reply.array(2);
            unsigned_reply(reply, index);
            element_reply(reply, Some(element));
            count += 1;
        }
        count
    });
    Ok(())
}

/// The elements in ARSCAN's range, at most LIMIT.
pub(super) fn scanned(args: Args<'_>, size: usize) -> usize {
    let range = match (unsigned(args.at(2)), unsigned(args.at(3))) {
        (Some(start), Some(end)) => start.abs_diff(end).saturating_add(1),
        _ => 1,
    };
    let most = args.get(5).and_then(parse_integer);
    let most = most.map_or(u64::MAX, i64::unsigned_abs).min(range);
    usize::try_from(most).unwrap_or(usize::MAX).min(size)
}

pub(super) fn arlastitems(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let count = parse_integer(args.at(2)).ok_or(Error::Text("ERR invalid COUNT"))?;
    let Some(count) = u64::try_from(count).ok().filter(|count| *count > 0) else {
        reply.array(0);
        return Ok(());
    };
    let newest_first = match args.len() {
        3 => false,
        4 if args.is(3, "rev") => true,
        4 => return Err(Error::Syntax),
        _ => return Err(Error::Arity("arlastitems".to_owned())),
    };
    let Some(array) = array(view, args.at(1))? else {
        reply.array(0);
        return Ok(());
    };
    let tail = match reply.dialect().last_items() {
        LastItems::ByElements => Tail::by_elements(array, count),
        LastItems::ByPositions => Tail::by_positions(array, count)?,
        LastItems::Unknown => {
            let tail = Tail::by_elements(array, count);
            if Tail::by_positions(array, count).ok() != Some(tail) {
                return Err(Error::Text(
                    "ERR not supported: whether missing elements count in this version of Redis is not known",
                ));
            }
            tail
        }
    };
    tail.write(array, newest_first, reply);
    Ok(())
}

/// The positions that ARLASTITEMS returns: those down from `newest`, then those down from the highest index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tail {
    newest: u64,
    count: u64,
}

impl Tail {
    /// As many positions as there are elements, at most. A cursor after the last element counts as it is.
    ///
    /// Source: redis 8.8.0 t_array.c, `arlastitemsCommand`.
    fn by_elements(array: &Array, count: u64) -> Self {
        let top = array.span().saturating_sub(1);
        Self {
            newest: array.cursor().unwrap_or(top),
            count: count.min(array.len() as u64),
        }
    }

    /// As many positions as the array has, at most. A cursor after the last element counts as that element.
    ///
    /// Source: redis 8.12 t_array.c, `arlastitemsCommand` (#15875).
    fn by_positions(array: &Array, count: u64) -> Result<Self, Error> {
        let top = array.span().saturating_sub(1);
        let count = count.min(array.span());
        if count > array.len() as u64 && count > POSITIONS_MAX {
            return Err(Error::Text("ERR count exceeds maximum of 1000000 items"));
        }
        Ok(Self {
            newest: array.cursor().filter(|index| *index <= top).unwrap_or(top),
            count,
        })
    }

    fn write(self, array: &Array, newest_first: bool, reply: &mut Reply) {
        let front = self.count.min(self.newest.saturating_add(1));
        let top = array.span().saturating_sub(1);
        let behind = self.count - front;
        let newer = (front > 0).then(|| (self.newest, self.newest - (front - 1)));
        let older = (behind > 0).then(|| (top, top - (behind - 1)));
        reply.array(usize::try_from(self.count).unwrap_or(usize::MAX));
        if newest_first {
            for (high, low) in [newer, older].into_iter().flatten() {
                write_positions(reply, Some(array), high, low);
            }
        } else {
            for (high, low) in [older, newer].into_iter().flatten() {
                write_positions(reply, Some(array), low, high);
            }
        }
    }
}

/// The number of items in word 2. Only as many as there are, or as there may be missing, are visited.
pub(super) fn asked(args: Args<'_>, size: usize) -> usize {
    let most = size.max(usize::try_from(POSITIONS_MAX).unwrap_or(usize::MAX));
    let count = parse_integer(args.at(2)).and_then(|count| usize::try_from(count).ok());
    count.unwrap_or(1).min(most)
}

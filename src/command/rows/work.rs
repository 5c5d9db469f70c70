//! How much work an answer is, known before it is begun: from the words and from the size of the values that they name.
//!
//! The unit is an element looked at, about 50 ns; 64 bytes of text count as one. What counts is what is asked for: a count of 100 million
//! random members is as much work in a set of three as in one of a million.

use std::collections::HashSet;

use super::command::{Command, Flags};
use super::least::ELEMENT_BYTES_MIN;
use super::parse::places;
use crate::resp::{Args, parse_integer};
use crate::store::{Entry, Value, View};

/// Work from which on, half a millisecond or more, other connections go on meanwhile. To let them costs some microseconds.
pub(crate) const LONG: usize = 10_000;

/// Work from which on, ten milliseconds or more, it is done on a copy where copying is much less, for the writer not to wait.
pub(crate) const WORTH_COPYING: usize = 200_000;

/// Bytes of memory that stand for an element: see [`Entry::size`].
const SIZE_BYTES: usize = 64;

/// How often a collection's size may be its elements that are looked at, for a copy to take the writer less time. To copy an element
/// takes about 10 ns, for chunks are copied whole; to look at it and write it, 50 to 400.
const LOOK_PER_COPY: usize = 2;

/// How many times the values' size the work must be for that.
const TIMES_THE_COPY: usize = 4;

/// How much work an answer is.
#[inline]
pub(crate) fn of(command: &Command, view: &View<'_>, args: Args<'_>) -> usize {
    match command.work {
        None if command.flags.has(Flags::FAST) => args.len(),
        // Most often the words are enough, and no value needs to be looked up.
        Some(work) if work(args, usize::MAX) <= LONG => work(args, usize::MAX),
        Some(work) => work(args, size(command, view, args)),
        None => size(command, view, args).max(args.len()),
    }
}

/// The size of all values that a command names, each as often as it is named.
fn size(command: &Command, view: &View<'_>, args: Args<'_>) -> usize {
    let mut size = 0usize;
    command.keys.visit(args, |index| {
        let entry = view.entry_at_any_time(args.at(index));
        size = size.saturating_add(entry.map_or(0, Entry::size));
    });
    size
}

/// Whether so much work should be done on a copy of the values. A large copy has to have room: `has_room` is asked for its bytes.
#[cold]
pub(crate) fn is_worth_a_copy(
    command: &Command,
    view: &View<'_>,
    args: Args<'_>,
    work: usize,
    has_room: impl FnOnce(usize) -> bool,
) -> bool {
    if work < WORTH_COPYING {
        return false;
    }
    let mut seen = HashSet::new();
    let (mut size, mut named, mut has_text) = (0usize, 0usize, false);
    command.keys.visit(args, |index| {
        let key = args.at(index);
        named += 1;
        if seen.insert(key) {
            let entry = view.entry_at_any_time(key);
            size = size.saturating_add(entry.map_or(0, Entry::size));
            has_text |= entry.is_some_and(|entry| matches!(entry.value(), Value::Text(_)));
        }
    });
    let copy = size.saturating_add(seen.len());
    let is_much_more = copy.saturating_mul(TIMES_THE_COPY) <= work;
    let is_a_pass = || !has_text && copy <= visited(command, view, args, size) * LOOK_PER_COPY;
    named > 0 && (is_much_more || is_a_pass() && has_room(size.saturating_mul(SIZE_BYTES)))
}

/// How many elements are surely looked at, where that is known: what is asked for may be less than the work, which is only a bound.
fn visited(command: &Command, view: &View<'_>, args: Args<'_>, size: usize) -> usize {
    let walked = match command.step {
        Some(step) => step(args, size),
        None => 0,
    };
    let given = command.least.map_or(0, |least| least(view, args));
    walked.max(given / ELEMENT_BYTES_MIN)
}

fn number(args: Args<'_>, index: usize) -> Option<usize> {
    let number = parse_integer(args.at(index))?;
    Some(usize::try_from(number.unsigned_abs()).unwrap_or(usize::MAX))
}

/// The number behind an option's name.
fn option(args: Args<'_>, name: &str) -> Option<usize> {
    let at = (2..args.len()).find(|at| args.is(*at, name))?;
    number(args, at + 1)
}

/// A few looks for each word.
pub(crate) fn words(args: Args<'_>, _size: usize) -> usize {
    args.len()
}

/// Registers of every HyperLogLog.
pub(crate) fn registers(args: Args<'_>, _size: usize) -> usize {
    args.len().saturating_mul(256)
}

/// Elements between two places.
pub(crate) fn between(args: Args<'_>, size: usize) -> usize {
    places(args).min(size)
}

/// Bytes between two places.
pub(crate) fn bytes_between(args: Args<'_>, size: usize) -> usize {
    (places(args) / 64).min(size)
}

/// So many different elements, or so many that may repeat when the count in word 2 is negative. One is found with a few looks.
pub(crate) fn random(args: Args<'_>, size: usize) -> usize {
    let count = number(args, 2).unwrap_or(1).saturating_mul(4);
    if args.at(2).starts_with(b"-") {
        count
    } else {
        count.min(size)
    }
}

/// A step of a walk: COUNT elements, ten without it.
pub(crate) fn step(args: Args<'_>, size: usize) -> usize {
    option(args, "count").unwrap_or(10).min(size)
}

/// All elements, or as many as COUNT says, of some fields each.
pub(crate) fn counted(args: Args<'_>, size: usize) -> usize {
    let count = option(args, "count").map_or(usize::MAX, |count| count.saturating_mul(4));
    count.min(size)
}

/// A table of every byte of one text by every byte of the other, 32 cells in the time of an element: at most where both are as long.
pub(crate) fn product(_args: Args<'_>, size: usize) -> usize {
    size.saturating_mul(size).saturating_mul(32)
}

/// All elements are sorted or put into a new order.
pub(crate) fn several_times(_args: Args<'_>, size: usize) -> usize {
    size.saturating_mul(4)
}

#[cfg(test)]
#[path = "work_tests.rs"]
mod tests;

//! How much work an answer takes, estimated before it starts: from the words, and from the sizes of the values that
//! they name.
//!
//! The unit is one element visited, about 50 ns; 64 bytes of text count as one. The request decides, not the value: a
//! count of 100 million random members is as much work in a set of three as in one of a million.
//!
//! Work above [`LONG`] is announced to the runtime ([`long`](super::long)): the worker's other connections move to another
//! thread first. Work above [`WORTH_COPYING`] is done on a copy of the values, with the locks released, if the values are a
//! quarter of the work or less, or if most of a collection is certain to be visited. EXEC does the same with what is left of it.

use std::collections::HashSet;

use super::command::{Command, Flags};
use super::least::ELEMENT_BYTES_MIN;
use super::parse::places;
use crate::resp::{Args, parse_integer};
use crate::store::{Entry, Value, View};

/// Work above this takes half a millisecond or more: other connections continue in the meantime. Allowing that costs
/// some microseconds.
pub(crate) const LONG: usize = 10_000;

/// Work above this takes ten milliseconds or more: it is done on a copy if copying is much less work, so that the
/// writer does not wait.
pub(crate) const WORTH_COPYING: usize = 200_000;

/// Bytes of memory that count as one element: see [`Entry::size`].
const SIZE_BYTES: usize = 64;

/// A copy pays off if its size is at most this many times the number of elements visited: copying then holds the
/// writer up for less time. Copying an element takes about 10 ns, because whole chunks are copied; visiting and
/// writing it takes 50 to 400.
const LOOK_PER_COPY: usize = 2;

/// A copy pays off if the work is at least this many times the size of the values.
const TIMES_THE_COPY: usize = 4;

/// Returns how much work an answer takes.
#[inline]
pub(crate) fn of(command: &Command, view: &View<'_>, args: Args<'_>) -> usize {
    match command.work {
        None if command.flags.has(Flags::FAST) => args.len(),
        // Usually the words are enough, and no value needs to be looked up.
        Some(work) if work(args, usize::MAX) <= LONG => work(args, usize::MAX),
        Some(work) => work(args, size(command, view, args)),
        None => size(command, view, args).max(args.len()),
    }
}

/// Returns the total size of the values that a command names. A value counts once for each time it is named.
fn size(command: &Command, view: &View<'_>, args: Args<'_>) -> usize {
    let mut size = 0usize;
    command.keys.visit(args, |index| {
        let entry = view.entry_at_any_time(args.at(index));
        size = size.saturating_add(entry.map_or(0, Entry::size));
    });
    size
}

/// Returns whether this much work should be done on a copy of the values. A large copy needs room: `has_room` is
/// called with its bytes.
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

/// Returns how many elements are certain to be visited, as far as that is known. The work is only an upper bound, so
/// this may be less.
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

/// Returns the number that follows an option's name.
fn option(args: Args<'_>, name: &str) -> Option<usize> {
    let at = (2..args.len()).find(|at| args.is(*at, name))?;
    number(args, at + 1)
}

/// A little work for each word.
pub(crate) fn words(args: Args<'_>, _size: usize) -> usize {
    args.len()
}

/// The registers of every HyperLogLog.
pub(crate) fn registers(args: Args<'_>, _size: usize) -> usize {
    args.len().saturating_mul(256)
}

/// The elements between two positions.
pub(crate) fn between(args: Args<'_>, size: usize) -> usize {
    places(args).min(size)
}

/// The bytes between two positions.
pub(crate) fn bytes_between(args: Args<'_>, size: usize) -> usize {
    (places(args) / 64).min(size)
}

/// The number of random elements in word 2: distinct ones, or ones that may repeat if the count is negative. Finding
/// one takes a few visits.
pub(crate) fn random(args: Args<'_>, size: usize) -> usize {
    let count = number(args, 2).unwrap_or(1).saturating_mul(4);
    if args.at(2).starts_with(b"-") {
        count
    } else {
        count.min(size)
    }
}

/// A step of a walk: COUNT elements, or ten without COUNT.
pub(crate) fn step(args: Args<'_>, size: usize) -> usize {
    option(args, "count").unwrap_or(10).min(size)
}

/// All elements, or COUNT of them, with a few fields each.
pub(crate) fn counted(args: Args<'_>, size: usize) -> usize {
    let count = option(args, "count").map_or(usize::MAX, |count| count.saturating_mul(4));
    count.min(size)
}

/// A table of every byte of one text by every byte of the other, where 32 cells take the time of one element. This is
/// the maximum, reached if both are equally long.
pub(crate) fn product(_args: Args<'_>, size: usize) -> usize {
    size.saturating_mul(size).saturating_mul(32)
}

/// All elements are sorted or reordered.
pub(crate) fn several_times(_args: Args<'_>, size: usize) -> usize {
    size.saturating_mul(4)
}

#[cfg(test)]
#[path = "work_tests.rs"]
mod tests;

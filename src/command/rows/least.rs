//! Lower bounds for the length of a reply, known before any of it is copied. A reply without room is refused at once,
//! and a reply with room is copied only once.
//!
//! For texts, the bound is the length itself. A collection's number of elements is known without reading them, and no
//! element takes fewer bytes than an empty one.

use super::parse::range;
use crate::resp::{Args, parse_integer};
use crate::store::{Entry, Value, View};
use crate::value::{Collection, Hash, List, Set, Zset};

/// An empty text: `$0` and two line ends.
pub(crate) const ELEMENT_BYTES_MIN: usize = 6;

/// The whole texts at all keys.
pub(crate) fn texts(view: &View<'_>, args: Args<'_>) -> usize {
    let lengths = args.from(1).iter().map(|key| text_bytes(view, key));
    lengths.fold(0, usize::saturating_add)
}

fn text_bytes(view: &View<'_>, key: &[u8]) -> usize {
    match view.peek(key).map(Entry::value) {
        Some(Value::Text(text)) => text.len(),
        _ => 0,
    }
}

/// All elements.
pub(crate) fn elements<C: Collection>(view: &View<'_>, args: Args<'_>) -> usize {
    len::<C>(view, args).saturating_mul(ELEMENT_BYTES_MIN)
}

/// The largest of several sets: their union is at least that large.
pub(crate) fn largest_set(view: &View<'_>, args: Args<'_>) -> usize {
    let mut largest = 0;
    for key in args.from(1).iter() {
        match view.peek(key).map(Entry::value) {
            Some(Value::Object(object)) => match Set::of(object) {
                Some(set) => largest = largest.max(set.len()),
                None => return 0,
            },
            Some(_) => return 0,
            None => {}
        }
    }
    largest.saturating_mul(ELEMENT_BYTES_MIN)
}

/// All elements, if they are sorted as texts and no other option is given.
pub(crate) fn sorted(view: &View<'_>, args: Args<'_>) -> usize {
    let is_order = |at| args.is(at, "alpha") || args.is(at, "asc") || args.is(at, "desc");
    let is_alpha = (2..args.len()).any(|at| args.is(at, "alpha"));
    if !is_alpha || !(2..args.len()).all(is_order) {
        return 0;
    }
    let lengths = [
        len::<List>(view, args),
        len::<Set>(view, args),
        len::<Zset>(view, args),
    ];
    lengths
        .into_iter()
        .max()
        .unwrap_or(0)
        .saturating_mul(ELEMENT_BYTES_MIN)
}

/// The elements between two positions, if no option is given except for their scores.
pub(crate) fn between<C: Collection>(view: &View<'_>, args: Args<'_>) -> usize {
    let places = parse_integer(args.at(2)).zip(parse_integer(args.at(3)));
    let is_plain = args.len() == 4 || args.len() == 5 && args.is(4, "withscores");
    let range = places
        .filter(|_| is_plain)
        .and_then(|(start, end)| range(start, end, len::<C>(view, args)));
    let count = range.map_or(0, |range| range.end() - range.start() + 1);
    count.saturating_mul(ELEMENT_BYTES_MIN)
}

/// As many random elements as the count in word 2 asks for.
pub(crate) fn random<C: Collection>(view: &View<'_>, args: Args<'_>) -> usize {
    let there = len::<C>(view, args);
    let asked = parse_integer(args.at(2)).unwrap_or(0);
    let count = usize::try_from(asked.unsigned_abs()).unwrap_or(usize::MAX);
    let is_counted = there > 0 && args.len() == 3 && asked != i64::MIN;
    let given = match is_counted {
        false => 0,
        true if asked < 0 => count,
        true => count.min(there),
    };
    given.saturating_mul(ELEMENT_BYTES_MIN)
}

/// Returns the number of elements of the collection at word 1; 0 if it has another type.
fn len<C: Collection>(view: &View<'_>, args: Args<'_>) -> usize {
    match view.peek(args.at(1)).map(Entry::value) {
        Some(Value::Object(object)) => C::of(object).map_or(0, C::len),
        _ => 0,
    }
}

/// Like [`elements`], for hashes: 0 if some fields can expire, because expired fields are not returned.
pub(crate) fn fields(view: &View<'_>, args: Args<'_>) -> usize {
    if has_times(view, args) {
        0
    } else {
        elements::<Hash>(view, args)
    }
}

/// Like [`random`], for hashes: see [`fields`].
pub(crate) fn random_fields(view: &View<'_>, args: Args<'_>) -> usize {
    if has_times(view, args) {
        0
    } else {
        random::<Hash>(view, args)
    }
}

fn has_times(view: &View<'_>, args: Args<'_>) -> bool {
    match view.peek(args.at(1)).map(Entry::value) {
        Some(Value::Object(object)) => Hash::of(object).is_some_and(|hash| hash.expiring() > 0),
        _ => false,
    }
}

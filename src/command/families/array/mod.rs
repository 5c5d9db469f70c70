//! Arrays, which Redis has since 8.8: elements by index, and a cursor for insertions.
//!
//! [`read`] and [`apply`] have the plain commands, [`grep`] searches with the help of [`pattern`], [`op`] computes with the
//! help of [`wide`] and [`decimal`], and [`info`] describes an array.
//!
//! Source: redis 8.8 t_array.c and tests/unit/type/array.tcl, read before the release; the replies in the tests were compared
//! with a build of that source.

mod apply;
mod bracket;
mod decimal;
mod grep;
mod info;
mod op;
mod pattern;
mod read;
#[cfg(test)]
mod tests;
mod wide;

use crate::command::rows::error::c_string;
use crate::command::rows::parse::integer;
use crate::command::rows::{Arity, Command, Error, Family, Flags, Keys, Outcome};
use crate::rdb::array::{Element, ElementText, INDEX_MAX};
use crate::resp::{Args, Reply, parse_integer};
use crate::store::View;
use crate::value::Array;

const GROW_FAST: Flags = Flags::DENYOOM.and(Flags::FAST);

/// This family's rows.
pub(crate) const FAMILY: Family = Family {
    group: "array",
    commands: &[
        Command::new("arget", Arity::exactly(3), Keys::first())
            .read(read::arget)
            .flags(Flags::FAST)
            .about("8.8.0", "Returns the element at an index."),
        Command::new("armget", Arity::at_least(3), Keys::first())
            .read(read::armget)
            .flags(Flags::FAST)
            .about("8.8.0", "Returns the elements at several indexes."),
        Command::new("argetrange", Arity::exactly(4), Keys::first())
            .read(read::argetrange)
            .steps(read::positions)
            .about("8.8.0", "Returns a range of elements, with null for each missing one."),
        Command::new("arscan", Arity::at_least(4), Keys::first())
            .read(read::arscan)
            .work(read::scanned)
            .about("8.8.0", "Returns the elements in a range, with their indexes."),
        Command::new("arlen", Arity::exactly(2), Keys::first())
            .read(read::arlen)
            .flags(Flags::FAST)
            .about("8.8.0", "Returns the highest index plus one."),
        Command::new("arcount", Arity::exactly(2), Keys::first())
            .read(read::arcount)
            .flags(Flags::FAST)
            .about("8.8.0", "Returns the number of elements."),
        Command::new("arnext", Arity::exactly(2), Keys::first())
            .read(read::arnext)
            .flags(Flags::FAST)
            .about("8.8.0", "Returns the index that ARINSERT would use next."),
        Command::new("arlastitems", Arity::at_least(3), Keys::first())
            .read(read::arlastitems)
            .work(read::asked)
            .about("8.8.0", "Returns the elements inserted last.")
            .difference(
                "A change of Redis in September 2026 made holes count. Which patch releases of 8.8 and 8.10 have it is not \
                 known, so for releases after 8.8.1 and 8.10.2, and before 8.12, the reply is an error where it matters.",
            ),
        Command::new("arop", Arity::at_least(5), Keys::first())
            .read(op::arop)
            .work(op::work)
            .about("8.8.0", "Computes a sum, a bound, a bitwise result or a count over a range.")
            .difference(
                "Servers compute with the long doubles of their processor. If those of x86-64 and ARM64 lead to different \
                 replies, the reply is an error.",
            ),
        Command::new("argrep", Arity::at_least(6), Keys::first())
            .read(grep::argrep)
            .work(grep::work)
            .about("8.8.0", "Finds the elements that match texts or patterns.")
            .difference(
                "A regular expression that this version of redtail cannot translate with certainty is an error: inline \
                 options, \\Q, \\B, approximate matching, and assertions inside of what may be empty.",
            ),
        Command::new("arinfo", Arity::at_least(2), Keys::first())
            .read(info::arinfo)
            .about("8.8.0", "Describes an array.")
            .difference(
                "Slices and directories, which redtail does not have, are those of a server with default settings that has \
                 just loaded the array.",
            ),
        Command::new("arset", Arity::at_least(4), Keys::first())
            .apply(apply::arset)
            .outcome(Outcome::Exists)
            .flags(GROW_FAST)
            .about("8.8.0", "Sets consecutive elements."),
        Command::new("armset", Arity::at_least(4), Keys::first())
            .apply(apply::armset)
            .outcome(Outcome::Exists)
            .flags(GROW_FAST)
            .about("8.8.0", "Sets the elements at several indexes."),
        Command::new("ardel", Arity::at_least(3), Keys::first())
            .apply(apply::ardel)
            .flags(Flags::FAST)
            .about("8.8.0", "Removes the elements at several indexes."),
        Command::new("ardelrange", Arity::at_least(4), Keys::first())
            .apply(apply::ardelrange)
            .about("8.8.0", "Removes the elements in several ranges."),
        Command::new("arinsert", Arity::at_least(3), Keys::first())
            .apply(apply::arinsert)
            .outcome(Outcome::Exists)
            .flags(GROW_FAST)
            .about("8.8.0", "Inserts elements after the last insertion."),
        Command::new("arseek", Arity::exactly(3), Keys::first())
            .apply(apply::arseek)
            .flags(Flags::FAST)
            .about("8.8.0", "Sets the index of the next insertion."),
        Command::new("arring", Arity::at_least(4), Keys::first())
            .apply(apply::arring)
            .outcome(Outcome::Exists)
            .flags(Flags::DENYOOM)
            .about("8.8.0", "Inserts elements into a ring of a given size."),
    ],
};

const INVALID_INDEX: Error = Error::Text("ERR invalid array index");

/// Returns the array at a key.
fn array<'v>(view: &'v View<'_>, key: &[u8]) -> Result<Option<&'v Array>, Error> {
    Ok(view.collection(key)?)
}

/// Parses an index.
fn index(text: &[u8]) -> Result<u64, Error> {
    let index = unsigned(text).filter(|index| *index <= INDEX_MAX);
    index.ok_or(INVALID_INDEX)
}

/// Parses all words as indexes.
fn indexes(words: Args<'_>) -> Result<Vec<u64>, Error> {
    words.iter().map(index).collect()
}

/// Parses what `strtoull` reads whole: so blanks, a plus and leading zeros may come first, and a minus with them wraps around.
///
/// Source: redis 8.8 util.c, `string2ull`.
fn unsigned(text: &[u8]) -> Option<u64> {
    let text = c_string(text, usize::MAX);
    if let Some(number) = parse_integer(text) {
        return u64::try_from(number).ok();
    }
    let blanks = text.iter().take_while(|byte| is_blank(**byte)).count();
    let text = text.get(blanks..)?;
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(if negative {
        number.wrapping_neg()
    } else {
        number
    })
}

/// What C counts as blank.
const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// Parses LIMIT's number.
fn limit(text: &[u8]) -> Result<u64, Error> {
    let limit = integer(text)?;
    let limit = u64::try_from(limit).ok().filter(|limit| *limit > 0);
    limit.ok_or(Error::Text("ERR LIMIT must be positive"))
}

/// Appends a number that may not fit into an `i64`.
///
/// Source: redis 8.8 networking.c, `addReplyUnsignedLongLong`.
fn unsigned_reply(reply: &mut Reply, number: u64) {
    match i64::try_from(number) {
        Ok(number) => reply.integer(number),
        Err(_) => reply.big_number(&number.to_string()),
    }
}

/// Appends an element, or null for a missing one.
fn element_reply(reply: &mut Reply, element: Option<Element<'_>>) {
    match element {
        None => reply.null(),
        Some(Element::Text(text)) => reply.bulk(text),
        Some(Element::Int(number)) => reply.bulk_integer(number),
        Some(number) => reply.bulk(number.text(&mut ElementText::default())),
    }
}

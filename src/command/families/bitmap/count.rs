//! BITCOUNT and BITPOS.

use super::range::{bits, first, ones};
use crate::command::families::string::with_text;
use crate::command::rows::parse::integer;
use crate::command::rows::{Error, long};
use crate::resp::{Args, Reply};
use crate::store::{Value, View};

/// The bits in a byte, and in a bit: the units of a range.
const BYTE: usize = 8;
const BIT: usize = 1;

/// A range as the command's words state it.
#[derive(Clone, Copy)]
struct Asked {
    start: i64,
    end: Option<i64>,
    unit: usize,
}

impl Asked {
    fn is_backwards(&self) -> bool {
        self.start < 0 && self.end.is_some_and(|end| end < 0 && self.start > end)
    }
}

/// Returns the unit that the word at `index` names, BYTE or BIT; bytes if there is no such word.
fn unit(args: Args<'_>, index: usize) -> Result<usize, Error> {
    if args.len() <= index || args.is(index, "byte") {
        Ok(BYTE)
    } else if args.is(index, "bit") {
        Ok(BIT)
    } else {
        Err(Error::Syntax)
    }
}

/// Checks the type of the value at `key`. For a missing key or another type, old servers answer before they read the
/// range, new ones after.
fn checked<'v>(view: &'v View<'_>, key: &[u8]) -> Result<Option<Value<'v>>, Error> {
    let value = view.value(key);
    with_text(value, |_| ())?;
    Ok(value)
}

/// Source: redis 6.0, 7.0, 8.0 and valkey 8.1 bitops.c, `bitcountCommand`, for the order in which the words are checked.
pub(super) fn bitcount(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let dialect = reply.dialect();
    let key = args.at(1);
    let mut known = None;
    if !dialect.reads_bit_ranges_first() {
        known = checked(view, key)?;
        if known.is_none() {
            reply.count(0);
            return Ok(());
        }
    }
    let asked = count_range(args, reply)?;
    let value = known.or_else(|| view.value(key));
    let count = with_text(value, |text| paced(text, || asked_ones(text, asked)))?;
    reply.count(count);
    Ok(())
}

/// How many bits are set in the range. Two negative ends in the wrong order select nothing.
fn asked_ones(text: &[u8], asked: Option<Asked>) -> usize {
    let Some(asked) = asked else {
        return ones(text, 0..text.len() * BYTE);
    };
    let found = bits(asked.start, asked.end.unwrap_or(-1), asked.unit, text.len());
    found
        .filter(|_| !asked.is_backwards())
        .map_or(0, |bits| ones(text, bits))
}

/// Lets the runtime's other tasks continue elsewhere while a long string is read.
fn paced<R>(text: &[u8], work: impl FnOnce() -> R) -> R {
    if text.len() > BYTES_AT_ONCE_MAX {
        long(work)
    } else {
        work()
    }
}

/// Longer strings take more than about a millisecond.
const BYTES_AT_ONCE_MAX: usize = 4 << 20;

/// BITCOUNT's range, or `None` for the whole string.
fn count_range(args: Args<'_>, reply: &Reply) -> Result<Option<Asked>, Error> {
    let dialect = reply.dialect();
    match args.len() {
        2 => Ok(None),
        3 if dialect.has_open_bit_counts() => Ok(Some(Asked {
            start: integer(args.at(2))?,
            end: None,
            unit: BYTE,
        })),
        4 => Ok(Some(pair(args, BYTE)?)),
        5 if dialect.has_open_bit_counts() => {
            integer(args.at(2))?;
            let unit = unit(args, 4)?;
            Ok(Some(pair(args, unit)?))
        }
        5 if dialect.has_bit_ranges() => {
            let asked = pair(args, BYTE)?;
            if asked.is_backwards() && !dialect.reads_bit_ranges_first() {
                return Ok(Some(asked));
            }
            Ok(Some(pair(args, unit(args, 4)?)?))
        }
        _ => Err(Error::Syntax),
    }
}

fn pair(args: Args<'_>, unit: usize) -> Result<Asked, Error> {
    Ok(Asked {
        start: integer(args.at(2))?,
        end: Some(integer(args.at(3))?),
        unit,
    })
}

/// Source: redis 6.0, 7.0 and 8.0 bitops.c, `bitposCommand`.
pub(super) fn bitpos(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let wanted = match integer(args.at(2))? {
        0 => false,
        1 => true,
        _ => return Err(Error::Text("ERR The bit argument must be 1 or 0.")),
    };
    let dialect = reply.dialect();
    // A missing key has endless zeros.
    let absent = if wanted { -1 } else { 0 };
    let key = args.at(1);
    let mut known = None;
    if !dialect.reads_bit_ranges_first() {
        known = checked(view, key)?;
        if known.is_none() {
            reply.integer(absent);
            return Ok(());
        }
    }
    let words_max = if dialect.has_bit_ranges() { 6 } else { 5 };
    if args.len() > words_max {
        return Err(Error::Syntax);
    }
    let asked = position_range(args)?;
    let value = match known {
        None => checked(view, key)?,
        known => known,
    };
    let position = match value {
        None => absent,
        Some(_) => with_text(value, |text| paced(text, || position(text, asked, wanted)))?,
    };
    reply.integer(position);
    Ok(())
}

fn position_range(args: Args<'_>) -> Result<Asked, Error> {
    let number = |index| args.get(index).map(integer).transpose();
    let start = number(3)?.unwrap_or(0);
    let unit = unit(args, 5)?;
    let end = number(4)?;
    Ok(Asked { start, end, unit })
}

/// Returns the position of the bit, or −1. If the range has no end, a clear bit is found just past the string's end.
fn position(text: &[u8], asked: Asked, wanted: bool) -> i64 {
    let Some(bits) = bits(asked.start, asked.end.unwrap_or(-1), asked.unit, text.len()) else {
        return -1;
    };
    let past_end = (!wanted && asked.end.is_none()).then_some(bits.end);
    let found = first(text, bits, wanted).or(past_end);
    found.map_or(-1, |at| i64::try_from(at).unwrap_or(i64::MAX))
}

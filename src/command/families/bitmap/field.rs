//! BITFIELD and BITFIELD_RO: integers of 1 to 64 bits at any bit of a string.

use smallvec::SmallVec;

use super::{BAD_OFFSET, bit_offset, usable_offset};
use crate::command::families::string::{grow, with_text};
use crate::command::rows::Error;
use crate::command::rows::parse::integer;
use crate::feed::Class;
use crate::resp::{Args, Reply, parse_integer};
use crate::store::{Tx, View};

/// The bits of an integer: how many, and whether the highest one is a sign.
#[derive(Clone, Copy)]
struct Width {
    bits: u32,
    signed: bool,
}

/// What to do when a result does not fit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Overflow {
    Wrap,
    Saturate,
    Fail,
}

#[derive(Clone, Copy)]
enum Action {
    Get,
    Set(i64),
    Increment(i64),
}

/// One subcommand.
#[derive(Clone, Copy)]
struct Step {
    action: Action,
    width: Width,
    offset: usize,
    overflow: Overflow,
}

impl Step {
    /// The length in bytes that a string needs to hold the integer.
    const fn bytes(&self) -> usize {
        (self.offset + self.width.bits as usize).div_ceil(8)
    }

    const fn writes(&self) -> bool {
        !matches!(self.action, Action::Get)
    }
}

type Steps = SmallVec<[Step; 4]>;

/// Source: redis 7.0 bitops.c, `bitfieldGeneric`.
fn steps(args: Args<'_>) -> Result<Steps, Error> {
    let mut steps = Steps::new();
    let mut overflow = Overflow::Wrap;
    let mut index = 2;
    while index < args.len() {
        let left = args.len() - index - 1;
        if args.is(index, "overflow") && left >= 1 {
            overflow = overflow_word(args, index + 1)?;
            index += 2;
            continue;
        }
        let words = if args.is(index, "get") && left >= 2 {
            3
        } else if (args.is(index, "set") || args.is(index, "incrby")) && left >= 3 {
            4
        } else {
            return Err(Error::Syntax);
        };
        steps.push(step(args.from(index), overflow)?);
        index += words;
    }
    Ok(steps)
}

fn overflow_word(args: Args<'_>, index: usize) -> Result<Overflow, Error> {
    if args.is(index, "wrap") {
        Ok(Overflow::Wrap)
    } else if args.is(index, "sat") {
        Ok(Overflow::Saturate)
    } else if args.is(index, "fail") {
        Ok(Overflow::Fail)
    } else {
        Err(Error::Text("ERR Invalid OVERFLOW type specified"))
    }
}

/// Parses the subcommand at the start of `args`.
fn step(args: Args<'_>, overflow: Overflow) -> Result<Step, Error> {
    let width = width(args.at(1))?;
    let offset = field_offset(args.at(2), width)?;
    let action = if args.is(0, "get") {
        Action::Get
    } else if args.is(0, "set") {
        Action::Set(integer(args.at(3))?)
    } else {
        Action::Increment(integer(args.at(3))?)
    };
    Ok(Step {
        action,
        width,
        offset,
        overflow,
    })
}

fn width(text: &[u8]) -> Result<Width, Error> {
    let bad = Error::Text(
        "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
    );
    let (signed, digits, most) = match text {
        [b'i', digits @ ..] => (true, digits, 64),
        [b'u', digits @ ..] => (false, digits, 63),
        _ => return Err(bad),
    };
    let bits = parse_integer(digits).and_then(|bits| u32::try_from(bits).ok());
    match bits {
        Some(bits) if (1..=most).contains(&bits) => Ok(Width { bits, signed }),
        _ => Err(bad),
    }
}

/// Parses an offset in bits or, with `#`, in integers of this width.
fn field_offset(text: &[u8], width: Width) -> Result<usize, Error> {
    let [b'#', digits @ ..] = text else {
        return bit_offset(text);
    };
    let number = parse_integer(digits).ok_or(BAD_OFFSET)?;
    usable_offset(number.wrapping_mul(width.bits.into()))
}

/// Returns the 9 bytes that may hold an integer at `offset`, as the high end of a word. Bytes past the end of the string
/// are zeros.
fn window(text: &[u8], offset: usize) -> u128 {
    let mut bytes = [0; 16];
    let there = text.get(offset / 8..).unwrap_or_default();
    for (byte, from) in bytes.iter_mut().zip(there.iter().take(9)) {
        *byte = *from;
    }
    u128::from_be_bytes(bytes)
}

/// The number of bits below an integer in its window.
const fn shift(width: Width, offset: usize) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "below 8")]
    let within = (offset % 8) as u32;
    128 - within - width.bits
}

const fn mask(width: Width) -> u64 {
    u64::MAX >> (64 - width.bits)
}

/// Returns the integer at `offset`. A signed one is sign-extended to 64 bits.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "the word's lowest bits are the integer's; the others are cut off or sign-extended on purpose"
)]
fn load(text: &[u8], width: Width, offset: usize) -> u64 {
    let word = (window(text, offset) >> shift(width, offset)) as u64 & mask(width);
    if width.signed {
        let up = 64 - width.bits;
        ((word << up) as i64 >> up) as u64
    } else {
        word
    }
}

/// Writes the low bits of `value`. The string is already long enough.
fn store(text: &mut [u8], width: Width, offset: usize, value: u64) {
    let up = shift(width, offset);
    let kept = window(text, offset) & !(u128::from(mask(width)) << up);
    let bytes = (kept | u128::from(value & mask(width)) << up).to_be_bytes();
    let there = text.get_mut(offset / 8..).unwrap_or_default();
    for (byte, to) in bytes.iter().zip(there.iter_mut().take(9)) {
        *to = *byte;
    }
}

/// Returns what to store instead of `value + add` if that does not fit, or `None` if it fits.
///
/// Sums wrap here exactly where they do in C, so that numbers far outside the width saturate to the same side.
/// Source: redis 7.0 bitops.c, `checkSignedBitfieldOverflow` and `checkUnsignedBitfieldOverflow`.
#[expect(
    clippy::cast_sign_loss,
    reason = "the same 64 bits, read as a signed or as an unsigned number"
)]
fn limited(value: i64, add: i64, step: &Step) -> Option<u64> {
    let side = if step.width.signed {
        signed_side(value, add, step.width)
    } else {
        unsigned_side(value as u64, add, step.width)
    }?;
    if step.overflow != Overflow::Saturate {
        let sum = value.wrapping_add(add);
        return Some(sum as u64);
    }
    let highest = mask(step.width) >> u32::from(step.width.signed);
    Some(match (side, step.width.signed) {
        (Side::Above, _) => highest,
        (Side::Below, true) => !highest,
        (Side::Below, false) => 0,
    })
}

/// The side of its range on which a sum lies.
#[derive(Clone, Copy)]
enum Side {
    Above,
    Below,
}

#[expect(clippy::cast_possible_wrap, reason = "the highest positive number")]
const fn signed_side(value: i64, add: i64, width: Width) -> Option<Side> {
    let highest = (mask(width) >> 1) as i64;
    let lowest = !highest;
    let (room_up, room_down) = (highest.wrapping_sub(value), lowest.wrapping_sub(value));
    let narrow = width.bits != 64;
    if value > highest || ((narrow || value >= 0 && add > 0) && add > room_up) {
        Some(Side::Above)
    } else if value < lowest || ((narrow || value < 0 && add < 0) && add < room_down) {
        Some(Side::Below)
    } else {
        None
    }
}

#[expect(clippy::cast_possible_wrap, reason = "compared as C does")]
const fn unsigned_side(value: u64, add: i64, width: Width) -> Option<Side> {
    let highest = mask(width);
    let room_up = highest.wrapping_sub(value) as i64;
    let room_down = (value as i64).wrapping_neg();
    if value > highest || (add > 0 && add > room_up) {
        Some(Side::Above)
    } else if add < 0 && add < room_down {
        Some(Side::Below)
    } else {
        None
    }
}

#[expect(
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "the same 64 bits, read as a signed or as an unsigned number"
)]
fn change(text: &mut [u8], step: &Step) {
    let (value, add) = match step.action {
        Action::Get => return,
        Action::Set(value) => (value, 0),
        Action::Increment(add) => (load(text, step.width, step.offset) as i64, add),
    };
    let limited = limited(value, add, step);
    if limited.is_some() && step.overflow == Overflow::Fail {
        return;
    }
    let result = limited.unwrap_or(value.wrapping_add(add) as u64);
    store(text, step.width, step.offset, result);
}

/// The string grows to the length that the furthest change needs, even if every change then fails.
pub(super) fn bitfield(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let steps = steps(args)?;
    let writes = steps.iter().filter(|step| step.writes());
    let Some(bytes) = writes.map(Step::bytes).max() else {
        with_text(tx.value(args.at(1)), |_| ())?;
        return Ok(());
    };
    tx.edit_text(args.at(1), |text| {
        grow(text, bytes);
        steps.iter().for_each(|step| change(text, step));
    })?;
    tx.event(Class::STRING, "setbit", args.at(1));
    Ok(())
}

pub(super) fn bitfield_ro(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let steps = steps(args)?;
    let value = view.value(args.at(1));
    if steps.iter().any(Step::writes) {
        return Err(Error::Text(
            "ERR BITFIELD_RO only supports the GET subcommand",
        ));
    }
    with_text(value, |text| {
        reply.array(steps.len());
        for step in &steps {
            #[expect(
                clippy::cast_possible_wrap,
                reason = "an unsigned one has at most 63 bits"
            )]
            reply.integer(load(text, step.width, step.offset) as i64);
        }
    })?;
    Ok(())
}

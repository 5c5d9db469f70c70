//! Bitmaps: strings read and changed bit by bit. Bit 0 is the highest bit of the first byte.

mod combine;
mod count;
mod field;
mod range;
#[cfg(test)]
mod tests;

use crate::command::families::string::{grow, with_text};
use crate::command::rows::parse::integer;
use crate::command::rows::{Arity, Command, Error, Family, Flags, Keys};
use crate::feed::Class;
use crate::limits::STRING_BYTES_MAX;
use crate::resp::{Args, Reply, parse_integer};
use crate::store::{Tx, View};

/// This folder's rows.
pub(crate) const FAMILY: Family = Family {
    group: "bitmap",
    commands: &[
        Command::new("getbit", Arity::exactly(3), Keys::first())
            .read(getbit)
            .flags(Flags::FAST)
            .about("2.2.0", "Returns a bit."),
        Command::new("bitcount", Arity::at_least(2), Keys::first())
            .read(count::bitcount)
            .about("2.6.0", "Counts the bits that are set."),
        Command::new("bitpos", Arity::at_least(3), Keys::first())
            .read(count::bitpos)
            .about(
                "2.8.7",
                "Finds the first bit that is set, or that is clear.",
            ),
        Command::new("bitfield_ro", Arity::at_least(2), Keys::first())
            .read(field::bitfield_ro)
            .flags(Flags::FAST)
            .about("6.0.0", "Returns integers of any width inside a string."),
        Command::new("setbit", Arity::exactly(4), Keys::first())
            .apply(setbit)
            .flags(Flags::DENYOOM)
            .difference(
                "An offset past 512 MB, which a larger proto-max-bulk-len allows, taints the key.",
            )
            .about("2.2.0", "Sets or clears a bit."),
        Command::new("bitfield", Arity::at_least(2), Keys::first())
            .apply(field::bitfield)
            .flags(Flags::DENYOOM)
            .difference(
                "An offset past 512 MB, which a larger proto-max-bulk-len allows, taints the key.",
            )
            .about(
                "3.2.0",
                "Reads and changes integers of any width inside a string.",
            ),
        Command::new(
            "bitop",
            Arity::at_least(4),
            Keys::Range {
                first: 2,
                last: -1,
                step: 1,
            },
        )
        .apply(combine::bitop)
        .flags(Flags::DENYOOM)
        .about("2.6.0", "Combines strings bit by bit."),
    ],
};

const BAD_OFFSET: Error = Error::Text("ERR bit offset is not an integer or out of range");
const BAD_BIT: Error = Error::Text("ERR bit is not an integer or out of range");

/// Parses a bit offset, which must lie within the longest possible string.
///
/// DIFFERENCE: a primary with a larger `proto-max-bulk-len` accepts larger offsets; redtail refuses them.
fn bit_offset(text: &[u8]) -> Result<usize, Error> {
    usable_offset(parse_integer(text).ok_or(BAD_OFFSET)?)
}

fn usable_offset(offset: i64) -> Result<usize, Error> {
    usize::try_from(offset)
        .ok()
        .filter(|offset| offset / 8 < STRING_BYTES_MAX)
        .ok_or(BAD_OFFSET)
}

fn getbit(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let offset = bit_offset(args.at(2))?;
    let byte = with_text(view.value(args.at(1)), |text| text.get(offset / 8).copied())?;
    let bit = byte.unwrap_or(0) & mask(offset) != 0;
    reply.integer(bit.into());
    Ok(())
}

fn setbit(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let offset = bit_offset(args.at(2))?;
    let on = match integer(args.at(3)).map_err(|_| BAD_BIT)? {
        1 => true,
        0 => false,
        _ => return Err(BAD_BIT),
    };
    tx.edit_text(args.at(1), |text| {
        grow(text, offset / 8 + 1);
        if let Some(byte) = text.get_mut(offset / 8) {
            *byte = if on {
                *byte | mask(offset)
            } else {
                *byte & !mask(offset)
            };
        }
    })?;
    tx.event(Class::STRING, "setbit", args.at(1));
    Ok(())
}

const fn mask(offset: usize) -> u8 {
    0x80 >> (offset % 8)
}

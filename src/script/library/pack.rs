//! `struct.pack` and `struct.size`. Source: redis 7.0 deps/lua lua_struct.c.

use mlua::{MultiValue, Value};

use super::output::Output;
use super::{Call, Context, one};
use crate::script::params::{Params, truncated};
use crate::script::raise::throw_here;

pub(super) const FUNCTIONS: &[(&str, Call)] = &[("pack", pack), ("size", size)];

/// The maximum width of an integer, in bytes.
const INTEGER_BYTES_MAX: usize = 32;

/// The alignment that `!` without a number sets.
const ALIGNMENT_MAX: usize = 8;

/// A format string that is being read.
pub(super) struct Format<'f> {
    args: &'f Params<'f>,
    text: Vec<u8>,
    at: usize,
    /// Whether the lowest byte comes first.
    pub(super) is_little: bool,
    alignment: usize,
}

/// One item of a format.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item {
    /// Its letter.
    pub(super) letter: u8,
    /// Its size in bytes.
    pub(super) size: usize,
}

impl<'f> Format<'f> {
    /// Reads the format from the first argument.
    pub(super) fn new(args: &'f Params<'f>) -> mlua::Result<Self> {
        let text = args.text(1)?;
        let text = text.as_bytes();
        let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
        Ok(Self {
            args,
            text: text.to_vec(),
            at: 0,
            is_little: true,
            alignment: 1,
        })
    }

    /// Returns the next item.
    pub(super) fn next(&mut self) -> mlua::Result<Option<Item>> {
        let Some(letter) = self.text.get(self.at).copied() else {
            return Ok(None);
        };
        self.at += 1;
        let size = match letter {
            b'B' | b'b' | b'x' => 1,
            b'H' | b'h' => 2,
            b'L' | b'l' | b'T' | b'd' => 8,
            b'f' => 4,
            b'c' => self.number(1)?,
            b'i' | b'I' => self.integer_size()?,
            _ => 0,
        };
        Ok(Some(Item { letter, size }))
    }

    fn integer_size(&mut self) -> mlua::Result<usize> {
        let size = self.number(4)?;
        if size <= INTEGER_BYTES_MAX {
            return Ok(size);
        }
        let text = format!("integral size {size} is larger than limit of {INTEGER_BYTES_MAX}");
        Err(throw_here(self.args.lua, text))
    }

    fn number(&mut self, default: usize) -> mlua::Result<usize> {
        let digits = self.text.get(self.at..).unwrap_or_default();
        let length = digits
            .iter()
            .take_while(|digit| digit.is_ascii_digit())
            .count();
        if length == 0 {
            return Ok(default);
        }
        self.at += length;
        let digits = digits.get(..length).unwrap_or_default();
        let digits = String::from_utf8_lossy(digits);
        let number = digits.parse::<i32>().ok();
        let number = number.and_then(|number| usize::try_from(number).ok());
        number.ok_or_else(|| throw_here(self.args.lua, "integral size overflow"))
    }

    /// Returns how many padding bytes come before an item at `at`.
    pub(super) fn padding(&self, at: usize, item: Item) -> usize {
        if item.size == 0 || item.letter == b'c' {
            return 0;
        }
        let size = item.size.min(self.alignment);
        size.wrapping_sub(at & (size - 1)) & (size - 1)
    }

    /// Handles the letters that are not items: byte order and alignment.
    pub(super) fn control(&mut self, letter: u8) -> mlua::Result<()> {
        match letter {
            b' ' => {}
            b'>' => self.is_little = false,
            b'<' => self.is_little = true,
            b'!' => {
                let alignment = self.number(ALIGNMENT_MAX)?;
                if !alignment.is_power_of_two() {
                    let text = format!("alignment {alignment} is not a power of 2");
                    return Err(throw_here(self.args.lua, text));
                }
                self.alignment = alignment;
            }
            other => {
                let other = char::from(other);
                let text = format!("invalid format option '{other}'");
                return Err(self.args.bad(1, &text));
            }
        }
        Ok(())
    }
}

fn pack(args: &Params<'_>, context: &Context) -> mlua::Result<MultiValue> {
    let mut format = Format::new(args)?;
    let mut output = Output::new(&context.state);
    let mut number = 2;
    while let Some(item) = format.next()? {
        let padding = format.padding(output.len(), item);
        output.push(&vec![0; padding])?;
        let takes = match item.letter {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                let bytes = integer(self::number(args, number)?, item.size, format.is_little);
                output.push(&bytes)?;
                1
            }
            b'x' => {
                output.push(&[0])?;
                0
            }
            b'f' => {
                #[expect(clippy::cast_possible_truncation, reason = "as C does it")]
                let value = self::number(args, number)? as f32;
                output.push(&ordered(value.to_le_bytes(), format.is_little))?;
                1
            }
            b'd' => {
                let value = self::number(args, number)?;
                output.push(&ordered(value.to_le_bytes(), format.is_little))?;
                1
            }
            b'c' | b's' => {
                text(args, number, item, &mut output)?;
                1
            }
            letter => {
                format.control(letter)?;
                0
            }
        };
        number += takes;
    }
    output.finish(args.lua).map(one)
}

/// Returns a number argument. A missing one is reported as nil, because the C function has pushed a nil after its arguments.
/// Source: `b_pack`.
fn number(args: &Params<'_>, number: usize) -> mlua::Result<f64> {
    if number > args.len() {
        return Err(args.bad(number, "number expected, got nil"));
    }
    args.number(number)
}

/// Writes a string argument, cut to its size, or with a zero byte at the end for `s`.
fn text(args: &Params<'_>, number: usize, item: Item, output: &mut Output<'_>) -> mlua::Result<()> {
    if number > args.len() {
        return Err(args.bad(number, "string expected, got nil"));
    }
    let text = args.text(number)?;
    let text = text.as_bytes();
    let size = if item.size == 0 {
        text.len()
    } else {
        item.size
    };
    match text.get(..size) {
        Some(part) => output.push(part)?,
        None => return Err(args.bad(number + 1, "string too short")),
    }
    if item.letter == b's' {
        output.push(&[0])?;
    }
    Ok(())
}

/// Converts a double to an unsigned integer the way the processor does: a value that is too large becomes 0.
fn unsigned(number: f64) -> u64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if number >= LIMIT {
        (truncated(number - LIMIT) ^ i64::MIN).cast_unsigned()
    } else {
        truncated(number).cast_unsigned()
    }
}

/// Returns the bytes of an integer.
fn integer(number: f64, size: usize, is_little: bool) -> Vec<u8> {
    let value = unsigned(number);
    let mut bytes = value.to_le_bytes().to_vec();
    bytes.resize(size.max(8), 0);
    bytes.truncate(size);
    if !is_little {
        bytes.reverse();
    }
    bytes
}

fn ordered<const N: usize>(mut bytes: [u8; N], is_little: bool) -> [u8; N] {
    if !is_little {
        bytes.reverse();
    }
    bytes
}

fn size(args: &Params<'_>, _: &Context) -> mlua::Result<MultiValue> {
    let mut format = Format::new(args)?;
    let mut all = 0;
    while let Some(item) = format.next()? {
        all += format.padding(all, item);
        if item.letter == b's' {
            return Err(args.bad(1, "option 's' has no fixed size"));
        }
        if item.letter == b'c' && item.size == 0 {
            return Err(args.bad(1, "option 'c0' has no fixed size"));
        }
        if !item.letter.is_ascii_alphanumeric() {
            format.control(item.letter)?;
        }
        all += item.size;
    }
    #[expect(clippy::cast_precision_loss, reason = "as Lua does it")]
    let all = all as f64;
    Ok(one(Value::Number(all)))
}

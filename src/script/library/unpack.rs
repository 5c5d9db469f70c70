//! `struct.unpack`. Source: redis 7.0 deps/lua lua_struct.c.

use mlua::{MultiValue, Value};

use super::pack::{Format, Item};
use super::{Call, Context};
use crate::script::params::{Params, truncated};
use crate::script::raise::throw_here;

pub(super) const FUNCTIONS: &[(&str, Call)] = &[("unpack", unpack)];

/// The maximum number of results. DIFFERENCE: a server returns up to 7,998.
const RESULTS_MAX: usize = 7_900;

fn unpack(args: &Params<'_>, _: &Context) -> mlua::Result<MultiValue> {
    let mut format = Format::new(args)?;
    let data = args.text(2)?;
    let data = data.as_bytes();
    let mut at = start(args)?;
    let mut results: Vec<Value> = Vec::new();
    while let Some(item) = format.next()? {
        at = at.saturating_add(format.padding(at, item));
        let bytes = part(args, &data, at, item.size)?;
        if results.len() > RESULTS_MAX {
            return Err(throw_here(args.lua, "stack overflow (too many results)"));
        }
        let mut taken = item.size;
        match item.letter {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                results.push(Value::Number(integer(bytes, item, format.is_little)));
            }
            b'x' => {}
            b'f' => {
                let bytes = ordered::<4>(bytes, format.is_little);
                results.push(Value::Number(f64::from(f32::from_le_bytes(bytes))));
            }
            b'd' => {
                let bytes = ordered::<8>(bytes, format.is_little);
                results.push(Value::Number(f64::from_le_bytes(bytes)));
            }
            b'c' => {
                if item.size == 0 {
                    taken = length(args, results.pop())?;
                }
                let bytes = part(args, &data, at, taken)?;
                results.push(Value::String(args.lua.create_string(bytes)?));
            }
            b's' => {
                let rest = data.get(at..).unwrap_or_default();
                let end = memchr::memchr(0, rest);
                let end = end.ok_or_else(|| throw_here(args.lua, "unfinished string in data"))?;
                let text = rest.get(..end).unwrap_or_default();
                results.push(Value::String(args.lua.create_string(text)?));
                taken = end + 1;
            }
            letter => format.control(letter)?,
        }
        at = at.saturating_add(taken);
    }
    #[expect(clippy::cast_precision_loss, reason = "as Lua does it")]
    results.push(Value::Number(at.saturating_add(1) as f64));
    Ok(MultiValue::from_vec(results))
}

/// Returns the index to start at. A negative offset is past the end.
fn start(args: &Params<'_>) -> mlua::Result<usize> {
    let start = args.integer_or(3, 1)?;
    if start == 0 {
        return Err(args.bad(3, "offset must be 1 or greater"));
    }
    Ok(usize::try_from(start).map_or(usize::MAX, |start| start - 1))
}

fn part<'d>(args: &Params<'_>, data: &'d [u8], at: usize, size: usize) -> mlua::Result<&'d [u8]> {
    at.checked_add(size)
        .and_then(|end| data.get(at..end))
        .ok_or_else(|| args.bad(2, "data string too short"))
}

/// Returns the size that the previous result specifies.
fn length(args: &Params<'_>, last: Option<Value>) -> mlua::Result<usize> {
    let number = match last {
        Some(value) => args.lua.coerce_number(value)?,
        None => None,
    };
    let text = "format 'c0' needs a previous size";
    let number = number.ok_or_else(|| throw_here(args.lua, text))?;
    Ok(usize::try_from(truncated(number)).unwrap_or(usize::MAX))
}

#[expect(clippy::cast_precision_loss, reason = "as Lua does it")]
fn integer(bytes: &[u8], item: Item, is_little: bool) -> f64 {
    let add = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
    let number = if is_little {
        bytes.iter().rev().fold(0, add)
    } else {
        bytes.iter().fold(0, add)
    };
    if !item.letter.is_ascii_lowercase() {
        return number as f64;
    }
    let unused = 64 - (item.size * 8).clamp(1, 64);
    let unused = u32::try_from(unused).unwrap_or(0);
    ((number << unused).cast_signed() >> unused) as f64
}

fn ordered<const N: usize>(bytes: &[u8], is_little: bool) -> [u8; N] {
    let mut own = [0; N];
    for (to, from) in own.iter_mut().zip(bytes) {
        *to = *from;
    }
    if !is_little {
        own.reverse();
    }
    own
}

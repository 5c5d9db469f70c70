//! `bit`: operations on 32 bits. Source: redis 7.0 deps/lua lua_bit.c.

use mlua::{MultiValue, Value};

use super::{Call, Context, one};
use crate::script::params::Params;

pub(super) const FUNCTIONS: &[(&str, Call)] = &[
    ("tobit", |args, _| first(args, |bits| bits)),
    ("bnot", |args, _| first(args, |bits| !bits)),
    ("bswap", |args, _| first(args, u32::swap_bytes)),
    ("band", |args, _| fold(args, |a, b| a & b)),
    ("bor", |args, _| fold(args, |a, b| a | b)),
    ("bxor", |args, _| fold(args, |a, b| a ^ b)),
    ("lshift", |args, _| shift(args, |bits, by| bits << by)),
    ("rshift", |args, _| shift(args, |bits, by| bits >> by)),
    ("arshift", |args, _| {
        shift(args, |bits, by| (bits.cast_signed() >> by).cast_unsigned())
    }),
    ("rol", |args, _| shift(args, u32::rotate_left)),
    ("ror", |args, _| shift(args, u32::rotate_right)),
    ("tohex", tohex),
];

/// Returns the low 32 bits of a number, rounded to the nearest whole number. The rounding comes from adding a double so large
/// that it has no fraction.
#[expect(clippy::cast_possible_truncation, reason = "the low half is wanted")]
fn bits(args: &Params<'_>, number: usize) -> mlua::Result<u32> {
    const SHIFTED: f64 = 6_755_399_441_055_744.0;
    let value = args.number(number)?;
    Ok((value + SHIFTED).to_bits() as u32)
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "all library functions return a result"
)]
fn result(bits: u32) -> mlua::Result<MultiValue> {
    Ok(one(Value::Number(f64::from(bits.cast_signed()))))
}

fn first(args: &Params<'_>, map: fn(u32) -> u32) -> mlua::Result<MultiValue> {
    result(map(bits(args, 1)?))
}

fn fold(args: &Params<'_>, join: fn(u32, u32) -> u32) -> mlua::Result<MultiValue> {
    let mut all = bits(args, 1)?;
    for number in (2..=args.len()).rev() {
        all = join(all, bits(args, number)?);
    }
    result(all)
}

fn shift(args: &Params<'_>, shift: fn(u32, u32) -> u32) -> mlua::Result<MultiValue> {
    let all = bits(args, 1)?;
    result(shift(all, bits(args, 2)? & 31))
}

fn tohex(args: &Params<'_>, _: &Context) -> mlua::Result<MultiValue> {
    let all = bits(args, 1)?;
    let digits = if args.is_none(2) && args.len() < 2 {
        8
    } else {
        bits(args, 2)?.cast_signed()
    };
    let text = format!("{all:08x}");
    let text = if digits < 0 {
        text.to_uppercase()
    } else {
        text
    };
    let wanted = usize::try_from(digits.unsigned_abs()).unwrap_or(8).min(8);
    let shown = text.get(text.len() - wanted..).unwrap_or_default();
    Ok(one(Value::String(args.lua.create_string(shown)?)))
}

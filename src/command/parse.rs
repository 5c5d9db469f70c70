//! Reading arguments.

use super::{Error, hexadecimal};
use crate::dialect::Dialect;
use crate::resp::parse_integer;

/// An integer argument.
///
/// # Errors
/// [`Error::NotInteger`].
pub(super) fn integer(text: &[u8]) -> Result<i64, Error> {
    parse_integer(text).ok_or(Error::NotInteger)
}

/// The Unix time in milliseconds of `number` units of `scale` milliseconds after `base_ms`. What overflows wraps around: Redis
/// 6.0 checks no sum, and passes the command on as it came.
/// Source: redis 6.0 t_string.c, `setGenericCommand`, and expire.c, `expireGenericCommand`.
pub(super) const fn moment_ms(number: i64, scale: i64, base_ms: i64) -> i64 {
    number.wrapping_mul(scale).wrapping_add(base_ms)
}

/// A double argument: decimal text or, before Valkey 9.0, hexadecimal; `inf`, `-inf`, no blanks, no NaN, nothing too large or
/// too small.
///
/// # Errors
/// [`Error::NotFloat`]. Source: redis 7.0 object.c, `getDoubleFromObject`.
pub(super) fn float(text: &[u8], dialect: Dialect) -> Result<f64, Error> {
    if is_hexadecimal(text) && !dialect.takes_hexadecimal_doubles() {
        return Err(Error::NotFloat);
    }
    let value = c_double(text).ok_or(Error::NotFloat)?;
    if value.is_nan() || is_out_of_range(text, value) {
        return Err(Error::NotFloat);
    }
    Ok(value)
}

/// Whether `value`, read from `text`, is infinite or zero though the digits are not.
pub(super) fn is_out_of_range(text: &[u8], value: f64) -> bool {
    let spelt_out = text.iter().any(|byte| matches!(byte, b'n' | b'N'));
    (value.is_infinite() && !spelt_out) || (value == 0.0 && !states_zero(text))
}

/// Whether a number has no digit but zeros in front of its exponent.
fn states_zero(text: &[u8]) -> bool {
    let exponents: &[u8] = if is_hexadecimal(text) { b"pP" } else { b"eE" };
    text.iter()
        .take_while(|byte| !exponents.contains(byte))
        .all(|byte| matches!(byte, b'+' | b'-' | b'.' | b'0' | b'x' | b'X'))
}

/// The double that C's `strtod` reads when it takes `text` whole, which has no blanks in front.
pub(super) fn c_double(text: &[u8]) -> Option<f64> {
    if is_hexadecimal(text) {
        return hexadecimal::double(text);
    }
    // Rust's spelling of decimal numbers is the C library's.
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Whether a number is written in hexadecimal.
pub(super) fn is_hexadecimal(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").or(text.strip_prefix(b"+"));
    matches!(digits.unwrap_or(text), [b'0', b'x' | b'X', ..])
}

/// An index pair counted from the end when negative, as LRANGE and GETRANGE take it, cut to `len`.
/// Gives `None` when it names nothing.
pub(super) fn range(start: i64, end: i64, len: usize) -> Option<std::ops::RangeInclusive<usize>> {
    let len = i64::try_from(len).unwrap_or(i64::MAX);
    let start = if start < 0 {
        start.saturating_add(len).max(0)
    } else {
        start
    };
    let end = if end < 0 {
        end.saturating_add(len)
    } else {
        end
    }
    .min(len - 1);
    if start > end || start >= len || end < 0 {
        return None;
    }
    Some(usize::try_from(start).unwrap_or(usize::MAX)..=usize::try_from(end).unwrap_or(usize::MAX))
}

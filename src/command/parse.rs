//! Reading arguments.

use super::Error;
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

/// A double argument: decimal or hexadecimal text, `inf`, `-inf`, no blanks, no NaN, nothing too large or too small.
///
/// # Errors
/// [`Error::NotFloat`]. Source: redis 7.0 object.c, `getDoubleFromObject`.
pub(super) fn float(text: &[u8]) -> Result<f64, Error> {
    let value = c_double(text).ok_or(Error::NotFloat)?;
    let spelt_out = text.iter().any(|byte| matches!(byte, b'n' | b'N'));
    let is_zero = |byte: &u8| matches!(byte, b'+' | b'-' | b'.' | b'0');
    let stated_zero = text
        .iter()
        .take_while(|byte| !matches!(byte, b'e' | b'E'))
        .all(is_zero);
    let overflows = value.is_infinite() && !spelt_out;
    let underflows = value == 0.0 && !stated_zero && !is_hexadecimal(text);
    if value.is_nan() || overflows || underflows {
        return Err(Error::NotFloat);
    }
    Ok(value)
}

/// The double that C's `strtod` reads when it takes `text` whole, which has no blanks in front.
pub(super) fn c_double(text: &[u8]) -> Option<f64> {
    if is_hexadecimal(text) {
        return hexadecimal(text);
    }
    // Rust's spelling of decimal numbers is the C library's.
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Whether a number is written in hexadecimal.
pub(super) fn is_hexadecimal(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").or(text.strip_prefix(b"+"));
    matches!(digits.unwrap_or(text), [b'0', b'x' | b'X', ..])
}

/// A whole hexadecimal number, `0x1f`, of up to 53 bits; no fraction and no exponent.
///
/// DIFFERENCE: `strtod` takes `0x1.8p3` too; nobody writes scores so, and it is refused here.
fn hexadecimal(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?;
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let digits = digits.get(2..).filter(|digits| !digits.starts_with('+'))?;
    let number = u64::from_str_radix(digits, 16)
        .ok()
        .filter(|number| *number < 1 << 53)?;
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    let value = number as f64;
    Some(if negative { -value } else { value })
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

//! Parsing of arguments.

use super::error::{Error, OUT_OF_RANGE};
use super::hexadecimal;
use crate::dialect::Dialect;
use crate::resp::{Args, parse_integer};

/// Reads an integer argument.
///
/// # Errors
/// [`Error::NotInteger`].
pub(crate) fn integer(text: &[u8]) -> Result<i64, Error> {
    parse_integer(text).ok_or(Error::NotInteger)
}

/// Returns the Unix time in milliseconds that is `number` units of `scale` milliseconds after `base_ms`. Overflow
/// wraps around: Redis 6.0 does not check the sum, and passes the command on as received. Source: redis 6.0
/// t_string.c, `setGenericCommand`, and expire.c, `expireGenericCommand`.
pub(crate) const fn moment_ms(number: i64, scale: i64, base_ms: i64) -> i64 {
    number.wrapping_mul(scale).wrapping_add(base_ms)
}

/// Reads a double argument: decimal text or, before Valkey 9.0, hexadecimal. Accepts `inf` and `-inf`; rejects blanks,
/// NaN, and numbers too large or too small.
///
/// # Errors
/// [`Error::NotFloat`]. Source: redis 7.0 object.c, `getDoubleFromObject`.
pub(crate) fn float(text: &[u8], dialect: Dialect) -> Result<f64, Error> {
    if is_hexadecimal(text) && !dialect.takes_hexadecimal_doubles() {
        return Err(Error::NotFloat);
    }
    let value = c_double(text).ok_or(Error::NotFloat)?;
    if value.is_nan() || is_out_of_range(text, value) {
        return Err(Error::NotFloat);
    }
    Ok(value)
}

/// Returns whether `value`, read from `text`, is infinite or zero although the digits are not.
pub(crate) fn is_out_of_range(text: &[u8], value: f64) -> bool {
    let spelt_out = text.iter().any(|byte| matches!(byte, b'n' | b'N'));
    (value.is_infinite() && !spelt_out) || (value == 0.0 && !states_zero(text))
}

/// Returns whether a number has no digits but zeros before its exponent.
fn states_zero(text: &[u8]) -> bool {
    let exponents: &[u8] = if is_hexadecimal(text) { b"pP" } else { b"eE" };
    text.iter()
        .take_while(|byte| !exponents.contains(byte))
        .all(|byte| matches!(byte, b'+' | b'-' | b'.' | b'0' | b'x' | b'X'))
}

/// Returns the double that C's `strtod` reads if it consumes all of `text`, which has no leading blanks.
pub(crate) fn c_double(text: &[u8]) -> Option<f64> {
    if is_hexadecimal(text) {
        return hexadecimal::double(text);
    }
    // Rust reads decimal numbers in the same notation as the C library.
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Returns whether a number is written in hexadecimal.
pub(crate) fn is_hexadecimal(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").or(text.strip_prefix(b"+"));
    matches!(digits.unwrap_or(text), [b'0', b'x' | b'X', ..])
}

/// Returns an upper bound for the number of elements between the positions in words 2 and 3. The bound is `usize::MAX`
/// if those are not positions or count from different ends.
pub(crate) fn places(args: Args<'_>) -> usize {
    let are_places = (4..args.len()).all(|at| args.is(at, "rev") || args.is(at, "withscores"));
    match (parse_integer(args.at(2)), parse_integer(args.at(3))) {
        (Some(start), Some(end)) if are_places && (start < 0) == (end < 0) => {
            usize::try_from(end - start).map_or(0, |more| more.saturating_add(1))
        }
        _ => usize::MAX,
    }
}

#[test]
fn places_bound_how_many_elements_are_given() {
    let places = |words: &[&str]| places(crate::resp::ArgsBuf::new(words).as_args());
    assert_eq!(places(&["lrange", "k", "0", "9"]), 10);
    assert_eq!(places(&["lrange", "k", "-5", "-5"]), 1);
    assert_eq!(places(&["lrange", "k", "3", "2"]), 0);
    assert_eq!(places(&["lrange", "k", "0", "-1"]), usize::MAX);
    assert_eq!(places(&["lrange", "k", "x", "1"]), usize::MAX);
    assert_eq!(places(&["zrange", "k", "0", "9", "REV", "WITHSCORES"]), 10);
    assert_eq!(places(&["zrange", "k", "0", "9", "BYSCORE"]), usize::MAX);
    let ends = [i64::MIN, i64::MAX].map(|end| end.to_string());
    assert_eq!(places(&["lrange", "k", &ends[0], "-1"]), 1 << 63);
    assert_eq!(places(&["lrange", "k", "0", &ends[1]]), 1 << 63);
}

/// Reads a pair of indices as LRANGE and GETRANGE take them, counted from the end if negative, and clamps it to `len`.
/// Returns `None` if the range is empty.
pub(crate) fn range(start: i64, end: i64, len: usize) -> Option<std::ops::RangeInclusive<usize>> {
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

/// Reads a count of random elements: `Ok` for that number of distinct ones; `Err` if they may repeat, which a negative
/// count asks for.
///
/// # Errors
/// Not an integer, or `i64::MIN`.
pub(crate) fn random_count(text: &[u8]) -> Result<Result<usize, usize>, Error> {
    let count = integer(text)?;
    if count == i64::MIN {
        return Err(Error::Text(OUT_OF_RANGE));
    }
    let size = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    Ok(if count < 0 { Err(size) } else { Ok(size) })
}

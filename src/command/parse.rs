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

/// A double argument: decimal or hexadecimal text, `inf`, `-inf`, no blanks, no NaN.
///
/// # Errors
/// [`Error::NotFloat`].
pub(super) fn float(text: &[u8]) -> Result<f64, Error> {
    let text = std::str::from_utf8(text).map_err(|_| Error::NotFloat)?;
    // Rust's own spelling of numbers is the C library's, but for a few words that only one of them knows.
    let plausible = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || b"+-.eEinfINFtyTY".contains(&byte));
    let value: f64 = text.parse().map_err(|_| Error::NotFloat)?;
    if plausible && !value.is_nan() {
        Ok(value)
    } else {
        Err(Error::NotFloat)
    }
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

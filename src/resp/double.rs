//! The text of a double, in the two forms in which servers write it.

use std::io::Write;

mod grisu;
mod powers;

/// Number of significant digits of `%.17g`.
const PRINTF_DIGITS: i32 = 17;
/// Whole numbers up to this are written as integers (half of an `i64`'s range). Source: redis 7.2 util.c, `double2ll`.
const INTEGER_MAX: f64 = (i64::MAX / 2) as f64;

/// Appends the text of `value`. With `shortest`, writes it like servers since Redis 7.2: few digits that parse back to the same
/// value. Otherwise writes C's `%.17g`, like older servers. Infinities are `inf` and `-inf`, not-a-number is `nan`, zero keeps
/// its sign.
///
/// Source: redis 7.2 util.c, `d2string`; redis 7.0 networking.c, `addReplyDouble`.
pub fn write(out: &mut Vec<u8>, value: f64, shortest: bool) {
    write_by(out, value, |out, magnitude| {
        if !shortest {
            write_printf(out, magnitude);
        } else if magnitude <= INTEGER_MAX && magnitude.fract() == 0.0 {
            write_whole(out, magnitude);
        } else {
            write_shortest(out, magnitude, value.is_sign_negative());
        }
    });
}

/// Like [`write()`] with `shortest`, but whole numbers have no form of their own: `3e+17`.
///
/// Source: redis 7.2 fpconv_dtoa.c, `fpconv_dtoa`.
pub fn write_dtoa(out: &mut Vec<u8>, value: f64) {
    write_by(out, value, |out, magnitude| {
        write_shortest(out, magnitude, value.is_sign_negative());
    });
}

/// Appends the sign and the values that have no digits. `finite` appends the magnitude of any other value.
fn write_by(out: &mut Vec<u8>, value: f64, finite: impl FnOnce(&mut Vec<u8>, f64)) {
    if value.is_nan() {
        out.extend_from_slice(b"nan");
        return;
    }
    if value.is_sign_negative() {
        out.push(b'-');
    }
    let magnitude = value.abs();
    if magnitude.is_infinite() {
        out.extend_from_slice(b"inf");
    } else if magnitude == 0.0 {
        out.push(b'0');
    } else {
        finite(out, magnitude);
    }
}

/// Appends the text of a finite `value` without an exponent: at most 17 digits after the point, without trailing zeros.
///
/// Source: redis 7.0 util.c, `ld2string` with `LD_STR_HUMAN`.
pub fn write_decimal(out: &mut Vec<u8>, value: f64) {
    let start = out.len();
    // Writing into a vector cannot fail.
    let _ = write!(out, "{value:.17}");
    while out.last() == Some(&b'0') {
        out.pop();
    }
    if out.last() == Some(&b'.') {
        out.pop();
    }
    if out.get(start..) == Some(b"-0") {
        out.truncate(start);
        out.push(b'0');
    }
}

fn write_whole(out: &mut Vec<u8>, magnitude: f64) {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "whole and within the range of an i64"
    )]
    let whole = magnitude as i64;
    out.extend_from_slice(itoa::Buffer::new().format(whole).as_bytes());
}

fn write_shortest(out: &mut Vec<u8>, magnitude: f64, negative: bool) {
    let decimal = grisu::decimal(magnitude);
    let digits = decimal.digits();
    let len = i32::try_from(digits.len()).unwrap_or(0);
    let exponent = decimal.exponent + len - 1;
    let size = exponent.abs();
    // Source: redis 7.2 fpconv_dtoa.c, emit_digits.
    let is_plain = if decimal.exponent >= 0 {
        size < len + 7
    } else {
        decimal.exponent > -7 || size < 4
    };
    if is_plain {
        plain(out, digits, exponent);
    } else {
        // There is room for 18 characters of digits and sign.
        let most = grisu::DIGITS_MAX - usize::from(negative);
        scientific(out, digits.get(..most).unwrap_or(digits), exponent, 1);
    }
}

/// `%.17g`: 17 digits without trailing zeros, in scientific notation outside `1e-4..1e17`.
fn write_printf(out: &mut Vec<u8>, magnitude: f64) {
    // Rust rounds the exact value to nearest, ties to even, as the C library does.
    let mut text = [0_u8; 32];
    let mut rest = text.as_mut_slice();
    let _ = write!(rest, "{magnitude:.16e}");
    let written = 32 - rest.len();
    let text = text.get(..written).unwrap_or_default();
    let Some(at) = memchr::memchr(b'e', text) else {
        return;
    };
    let (mantissa, exponent) = text.split_at(at);
    let exponent = crate::resp::parse_integer(exponent.get(1..).unwrap_or_default())
        .and_then(|exponent| i32::try_from(exponent).ok())
        .unwrap_or(0);
    let mut digits = [0_u8; PRINTF_DIGITS as usize];
    let figures = mantissa.iter().filter(|byte| byte.is_ascii_digit());
    digits
        .iter_mut()
        .zip(figures)
        .for_each(|(to, from)| *to = *from);
    let significant = digits.iter().rposition(|digit| *digit != b'0').unwrap_or(0) + 1;
    let digits = digits.get(..significant).unwrap_or_default();
    if (-4..PRINTF_DIGITS).contains(&exponent) {
        plain(out, digits, exponent);
    } else {
        scientific(out, digits, exponent, 2);
    }
}

/// Writes digits in plain notation, with a point if needed. The first digit's place value is `10^exponent`.
fn plain(out: &mut Vec<u8>, digits: &[u8], exponent: i32) {
    let Ok(exponent) = usize::try_from(exponent) else {
        out.extend_from_slice(b"0.");
        out.extend(std::iter::repeat_n(
            b'0',
            exponent.unsigned_abs() as usize - 1,
        ));
        return out.extend_from_slice(digits);
    };
    match digits.split_at_checked(exponent + 1) {
        Some((whole, fraction)) => {
            out.extend_from_slice(whole);
            if !fraction.is_empty() {
                out.push(b'.');
                out.extend_from_slice(fraction);
            }
        }
        None => {
            out.extend_from_slice(digits);
            out.extend(std::iter::repeat_n(b'0', exponent + 1 - digits.len()));
        }
    }
}

/// Writes `d.ddde+x`, with at least `width` digits in the exponent.
fn scientific(out: &mut Vec<u8>, digits: &[u8], exponent: i32, width: usize) {
    let (first, others) = digits.split_at(1.min(digits.len()));
    out.extend_from_slice(first);
    if !others.is_empty() {
        out.push(b'.');
        out.extend_from_slice(others);
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    // Writing into a vector cannot fail.
    let _ = write!(out, "e{sign}{:0width$}", exponent.unsigned_abs());
}

#[cfg(test)]
#[path = "double_tests.rs"]
mod tests;

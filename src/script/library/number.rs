//! Reads numbers the way C does. Source: C's `strtod`.

/// Returns the number at the start of a text, and its length.
pub(super) fn c_number(text: &[u8]) -> Option<(f64, usize)> {
    let signed = usize::from(matches!(text.first(), Some(b'-' | b'+')));
    let (sign, body) = text.split_at_checked(signed)?;
    let (number, length) = word(body)
        .or_else(|| hexadecimal(body))
        .or_else(|| decimal(body))?;
    let number = if sign == b"-" { -number } else { number };
    Some((number, signed + length))
}

/// Reads an infinity or a NaN.
fn word(text: &[u8]) -> Option<(f64, usize)> {
    for (word, value) in [
        (&b"infinity"[..], f64::INFINITY),
        (b"inf", f64::INFINITY),
        (b"nan", f64::NAN),
    ] {
        let found = text.get(..word.len());
        if found.is_some_and(|found| found.eq_ignore_ascii_case(word)) {
            let tail = text.get(word.len()..).unwrap_or_default();
            let more = if value.is_nan() { payload(tail) } else { 0 };
            return Some((value, word.len() + more));
        }
    }
    None
}

/// Returns the length of the optional payload in parentheses after `nan`.
fn payload(tail: &[u8]) -> usize {
    let inner = tail.strip_prefix(b"(").unwrap_or_default();
    let length = count(inner, |byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    match inner.get(length) {
        Some(b')') => length + 2,
        _ => 0,
    }
}

fn count(text: &[u8], is_wanted: impl Fn(&u8) -> bool) -> usize {
    text.iter().take_while(|byte| is_wanted(byte)).count()
}

fn hexadecimal(text: &[u8]) -> Option<(f64, usize)> {
    let body = text
        .strip_prefix(b"0x")
        .or_else(|| text.strip_prefix(b"0X"))?;
    let whole = count(body, u8::is_ascii_hexdigit);
    let tail = body.get(whole..).unwrap_or_default();
    let fraction = tail.strip_prefix(b".");
    let behind = fraction.map_or(0, |tail| count(tail, u8::is_ascii_hexdigit));
    if whole + behind == 0 {
        return None;
    }
    let length = whole + behind + usize::from(fraction.is_some());
    let (power, more) = exponent(body.get(length..).unwrap_or_default(), b'p');
    let digits = body.get(..length).unwrap_or_default();
    let number = scaled(digits, i64::try_from(behind).ok()?, power);
    Some((number, 2 + length + more))
}

/// Returns hexadecimal digits, `behind` of them after the point, times a power of two. Rounds only once.
fn scaled(digits: &[u8], behind: i64, power: i64) -> f64 {
    let (mut mantissa, mut dropped) = (0_u64, 0_i64);
    let digits = digits
        .iter()
        .filter_map(|byte| char::from(*byte).to_digit(16));
    for digit in digits {
        if mantissa >> 59 == 0 {
            mantissa = mantissa << 4 | u64::from(digit);
        } else {
            dropped += 1;
            // Remember that the dropped digits are more than zero.
            mantissa |= u64::from(digit != 0);
        }
    }
    let power = power.saturating_add(4 * (dropped - behind));
    times_power(mantissa, power)
}

/// Returns `mantissa · 2^power`, rounded to nearest, ties to even.
fn times_power(mantissa: u64, power: i64) -> f64 {
    const LEAST: i64 = -1074;
    let length = i64::from(u64::BITS - mantissa.leading_zeros());
    if mantissa == 0 {
        return 0.0;
    }
    if power.saturating_add(length) > 1024 {
        return f64::INFINITY;
    }
    if power.saturating_add(length) > -1022 {
        #[expect(clippy::cast_precision_loss, reason = "it is rounded as it must be")]
        let number = mantissa as f64;
        let half = i32::try_from(power / 2).unwrap_or(0);
        let rest = i32::try_from(power - power / 2).unwrap_or(0);
        return number * 2_f64.powi(half) * 2_f64.powi(rest);
    }
    // A number below the smallest normal one has fewer bits. They are the bits of an integer.
    let shift = u32::try_from(LEAST.saturating_sub(power)).unwrap_or(u32::MAX);
    let kept = mantissa.checked_shr(shift).unwrap_or(0);
    let lost = u128::from(mantissa) - (u128::from(kept) << shift.min(64));
    let half = 1_u128 << shift.saturating_sub(1).min(127);
    let up = lost > half || lost == half && kept & 1 == 1;
    f64::from_bits(kept + u64::from(up))
}

fn decimal(text: &[u8]) -> Option<(f64, usize)> {
    let whole = count(text, u8::is_ascii_digit);
    let tail = text.get(whole..).unwrap_or_default();
    let fraction = tail.strip_prefix(b".");
    let behind = fraction.map_or(0, |tail| count(tail, u8::is_ascii_digit));
    if whole + behind == 0 {
        return None;
    }
    let mantissa = whole + behind + usize::from(fraction.is_some());
    let (_, more) = exponent(text.get(mantissa..).unwrap_or_default(), b'e');
    let length = mantissa + more;
    let digits = std::str::from_utf8(text.get(..length)?).ok()?;
    Some((digits.parse().ok()?, length))
}

/// Returns the exponent after `letter` and its length, or zeros if it has no digits.
fn exponent(text: &[u8], letter: u8) -> (i64, usize) {
    const MOST: i64 = 1 << 40;
    let Some((first, tail)) = text.split_first() else {
        return (0, 0);
    };
    let signed = usize::from(matches!(tail.first(), Some(b'+' | b'-')));
    let digits = tail.get(signed..).unwrap_or_default();
    let length = count(digits, u8::is_ascii_digit);
    if !first.eq_ignore_ascii_case(&letter) || length == 0 {
        return (0, 0);
    }
    let digits = digits.iter().take(length);
    let power = digits.fold(0, |power: i64, digit| {
        (power * 10 + i64::from(digit - b'0')).min(MOST)
    });
    let power = if tail.first() == Some(&b'-') {
        -power
    } else {
        power
    };
    (power, 1 + signed + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(f64, usize)> {
        c_number(text.as_bytes())
    }

    #[test]
    fn reads_what_c_reads() {
        assert_eq!(read("0x1.8p1x"), Some((3.0, 7)));
        assert_eq!(read("-0x.8"), Some((-0.5, 5)));
        assert_eq!(read("0x1p"), Some((1.0, 3)));
        assert_eq!(read("1.e2"), Some((100.0, 4)));
        assert_eq!(read(".5e"), Some((0.5, 2)));
        assert_eq!(read("-"), None);
        assert_eq!(read("0x"), Some((0.0, 1)));
        assert_eq!(read("-Infinityx"), Some((f64::NEG_INFINITY, 9)));
        assert_eq!(read("nan(a_1)").map(|(_, length)| length), Some(8));
        assert_eq!(read("nan(").map(|(_, length)| length), Some(3));
    }

    #[test]
    fn rounds_hexadecimal_digits_once() {
        assert_eq!(
            read("0x20000000000001"),
            Some((9_007_199_254_740_992.0, 16))
        );
        assert_eq!(
            read("0x200000000000010000000001p-40"),
            Some((9_007_199_254_740_994.0, 30))
        );
        assert_eq!(read("0x1p-1074"), Some((f64::from_bits(1), 9)));
        assert_eq!(read("0x1p-1075"), Some((0.0, 9)));
        assert_eq!(read("0x3p-1075"), Some((f64::from_bits(2), 9)));
        assert_eq!(read("0x1p-99999999999999999999"), Some((0.0, 25)));
        assert_eq!(read("0x1p99999"), Some((f64::INFINITY, 9)));
        assert_eq!(read("0x1p1023"), Some((2_f64.powi(1023), 8)));
        assert_eq!(read("0x1p-1022"), Some((f64::MIN_POSITIVE, 9)));
    }
}

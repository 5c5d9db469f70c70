//! Doubles in hexadecimal, as C's `strtod` reads them: `0x1f`, `-0x.8`, `0x1.8p-3`.

/// Bits of a double's mantissa, including the implicit one.
const MANTISSA_BITS: i64 = 53;
/// The exponent of the lowest bit that a double can have.
const LAST_BIT: i64 = -1074;

/// Returns the double nearest to the number in `text`, with ties to even; infinite if it is too large, 0 if it is too
/// small. `text` starts with `0x`, optionally after a sign. Returns `None` if it contains anything but one number.
pub(crate) fn double(text: &[u8]) -> Option<f64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let digits = digits.get(2..)?;
    let mut split = digits.splitn(2, |byte| matches!(byte, b'p' | b'P'));
    let mut sum = Sum::of(split.next()?)?;
    sum.exponent = sum
        .exponent
        .saturating_add(split.next().map_or(Some(0), exponent)?);
    let value = sum.rounded();
    Some(if negative { -value } else { value })
}

/// Reads a decimal exponent of two, with or without a sign, clamped to bounds that no double reaches.
fn exponent(text: &[u8]) -> Option<i64> {
    let (sign, digits) = match text {
        [b'-', digits @ ..] => (-1, digits),
        [b'+', digits @ ..] => (1, digits),
        digits => (1, digits),
    };
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0i64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| i64::from(byte - b'0'))?;
        let next = number.saturating_mul(10).saturating_add(sign * digit);
        // Far beyond any exponent, yet adding the digits' own exponent cannot overflow.
        Some(next.clamp(-(1 << 62), 1 << 62))
    })
}

/// `bits` times two to the power of `exponent`, plus a little more if `rest` is set.
#[derive(Debug, Default)]
struct Sum {
    bits: u64,
    exponent: i64,
    rest: bool,
}

impl Sum {
    /// Reads hexadecimal digits with at most one dot among them.
    fn of(digits: &[u8]) -> Option<Self> {
        let mut sum = Self::default();
        let mut dots = 0;
        for byte in digits {
            if *byte == b'.' && dots == 0 {
                dots = 1;
            } else {
                let digit = char::from(*byte).to_digit(16)?;
                sum.push(u64::from(digit), dots == 1);
            }
        }
        (digits.len() > dots).then_some(sum)
    }

    /// Appends a digit. A digit that no longer fits only sets `rest`.
    fn push(&mut self, digit: u64, is_fraction: bool) {
        if self.bits >> 60 == 0 {
            self.bits = self.bits << 4 | digit;
        } else {
            self.rest |= digit != 0;
            self.exponent += 4;
        }
        self.exponent -= if is_fraction { 4 } else { 0 };
    }

    fn rounded(&self) -> f64 {
        let length = i64::from(u64::BITS - self.bits.leading_zeros());
        let top = self.exponent.saturating_add(length);
        if self.bits == 0 || top < LAST_BIT {
            return 0.0;
        }
        if top > 1024 {
            return f64::INFINITY;
        }
        let kept = MANTISSA_BITS.min(top - LAST_BIT);
        let dropped = (length - kept).max(0);
        scaled(self.without(dropped), self.exponent + dropped)
    }

    /// Returns the bits without the last `dropped` ones, rounded.
    fn without(&self, dropped: i64) -> u64 {
        if dropped == 0 {
            return self.bits;
        }
        let half = 1u64 << (dropped - 1);
        let (kept, tail) = (
            u64::try_from(u128::from(self.bits) >> dropped).unwrap_or(0),
            self.bits & (half | (half - 1)),
        );
        let is_odd = kept & 1 == 1;
        let rounds_up = tail > half || (tail == half && (self.rest || is_odd));
        kept + u64::from(rounds_up)
    }
}

/// Returns `bits`, at most 53 of them, times a power of two; the product is exact or infinite.
fn scaled(bits: u64, exponent: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    let number = bits as f64;
    // Two steps, because the power itself may be less than any double.
    let exponent = i32::try_from(exponent).unwrap_or(0);
    let half = exponent / 2;
    number * 2f64.powi(half) * 2f64.powi(exponent - half)
}

#[cfg(test)]
mod tests {
    use super::double;

    fn bits(text: &str) -> Option<u64> {
        double(text.as_bytes()).map(f64::to_bits)
    }

    #[test]
    fn reads_what_strtod_reads() {
        for (text, value) in [
            ("0x1f", 31.0),
            ("-0x1", -1.0),
            ("+0X1P2", 4.0),
            ("0x.8", 0.5),
            ("0x1.", 1.0),
            ("0x1.8p3", 12.0),
            ("0x0p9999999999", 0.0),
            ("-0x0", -0.0),
            ("0x1e5", 485.0),
            ("0x1p1023", 8.988_465_674_311_58e307),
            ("0x1p1024", f64::INFINITY),
            ("-0x1p99999999999999999999", f64::NEG_INFINITY),
            ("0x1p-99999999999999999999", 0.0),
            ("0x1ffffffffffffffffffff", 2.417_851_639_229_258_3e24),
            (
                "0x0.0000000000000000000000000000000000001p0",
                2.802_596_928_649_634e-45,
            ),
        ] {
            assert_eq!(bits(text), Some(value.to_bits()), "{text}");
        }
    }

    #[test]
    fn rounds_to_the_nearest_and_ties_to_even() {
        for (text, value) in [
            ("0x1.fffffffffffff8p0", 2.0),
            ("0x1.fffffffffffff7p0", 1.999_999_999_999_999_8),
            ("0x1.00000000000008p0", 1.0),
            ("0x1.000000000000080000000001p0", 1.000_000_000_000_000_2),
            ("0x1p-1074", 5e-324),
            ("0x1p-1075", 0.0),
            ("0x1.8p-1075", 5e-324),
            ("0x1p-1080", 0.0),
            ("0x8p-1077", 5e-324),
            ("0x1p-1030", 8.691_694_759_794e-311),
            ("0x1.fffffffffffff8p1023", f64::INFINITY),
        ] {
            assert_eq!(bits(text), Some(value.to_bits()), "{text}");
        }
    }

    #[test]
    fn takes_nothing_but_one_number() {
        for text in [
            "0x", "0x.", "0x1p", "0x1p+", "0xg", "0x1 ", "0x1.8.1", "0x-1", "0x1p0x1", "0x1p--1",
            "0xp1",
        ] {
            assert_eq!(double(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn agrees_with_the_double_that_was_written() {
        let mut seed = 1u64;
        for _ in 0..10_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let value = f64::from_bits(seed >> 1);
            if value.is_finite() {
                let mantissa = value.to_bits() & ((1 << 52) - 1);
                let power = value.to_bits() >> 52;
                let (first, exponent) = if power == 0 {
                    (0, -1022)
                } else {
                    (1, power as i64 - 1023)
                };
                let text = format!("0x{first}.{mantissa:013x}p{exponent}");
                assert_eq!(bits(&text), Some(value.to_bits()), "{text}");
            }
        }
    }
}

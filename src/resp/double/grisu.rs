//! Decimal digits of a double, by Grisu2 (F. Loitsch, "Printing floating-point numbers quickly and accurately with integers").
//!
//! Grisu2's digits always parse back to the same double, but for one double in a thousand they are not the shortest that do.
//! Servers since Redis 7.2 use it, so matching their replies takes exactly the same arithmetic, including the rounding.

use super::powers::{FIRST_EXPONENT, POWERS, STEP};

const FRACTION_BITS: i32 = 52;
const HIDDEN_BIT: u64 = 1 << FRACTION_BITS;
/// A scaled number must have a binary exponent in this range, so that its digits can be generated in 64 bits.
const SCALED_EXPONENTS: std::ops::RangeInclusive<i32> = -60..=-32;
/// The maximum number of digits that Grisu2 generates.
pub(super) const DIGITS_MAX: usize = 18;

/// The decimal form of a double without its sign: `digits * 10^exponent`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decimal {
    digits: [u8; DIGITS_MAX],
    len: usize,
    /// The power of ten by which the digits, read as an integer, are multiplied.
    pub(super) exponent: i32,
}

impl Decimal {
    /// The digits, as text.
    pub(super) fn digits(&self) -> &[u8] {
        self.digits.get(..self.len).unwrap_or_default()
    }

    fn push(&mut self, digit: u64) {
        // Leading zeros are not digits.
        if digit == 0 && self.len == 0 {
            return;
        }
        if let Some(place) = self.digits.get_mut(self.len) {
            let [digit, ..] = digit.to_le_bytes();
            *place = b'0' + digit;
            self.len += 1;
        }
    }

    /// Lowers the last digit as long as that brings the number closer to the true value. `unit` is the value of one step of the
    /// last digit, on the scale of the other arguments.
    fn round(&mut self, safe: u64, mut rest: u64, unit: u64, distance: u64) {
        let Some(last) = self
            .len
            .checked_sub(1)
            .and_then(|at| self.digits.get_mut(at))
        else {
            return;
        };
        while rest < distance
            && safe - rest >= unit
            && (rest.wrapping_add(unit) < distance
                || distance - rest > rest.wrapping_add(unit).wrapping_sub(distance))
        {
            *last -= 1;
            rest = rest.wrapping_add(unit);
        }
    }
}

/// A binary floating-point number with a 64-bit significand: `significand * 2^exponent`.
#[derive(Debug, Clone, Copy)]
struct Binary {
    significand: u64,
    exponent: i32,
}

impl Binary {
    fn new(value: f64) -> Self {
        let bits = value.to_bits();
        let fraction = bits & (HIDDEN_BIT - 1);
        // Eleven bits fit.
        let biased = i32::try_from(bits >> FRACTION_BITS & 0x7ff).unwrap_or(0);
        let (significand, biased) = if biased == 0 {
            (fraction, 1)
        } else {
            (fraction | HIDDEN_BIT, biased)
        };
        Self {
            significand,
            exponent: biased - 1023 - FRACTION_BITS,
        }
    }

    /// Returns the same number with the top bit set.
    fn normalized(self) -> Self {
        let shift = self.significand.leading_zeros();
        Self {
            significand: self.significand << shift,
            exponent: self.exponent - shift.cast_signed(),
        }
    }

    /// Returns the midpoints between this double and its lower and upper neighbours, both with the upper one's exponent.
    fn boundaries(self) -> (Self, Self) {
        let upper = Self {
            significand: (self.significand << 1) + 1,
            exponent: self.exponent - 1,
        }
        .normalized();
        // Below a power of two, the doubles are twice as close together.
        let shift = if self.significand == HIDDEN_BIT { 2 } else { 1 };
        let to_upper = self.exponent - shift - upper.exponent;
        let lower = Self {
            significand: ((self.significand << shift) - 1) << to_upper,
            exponent: upper.exponent,
        };
        (lower, upper)
    }

    /// Returns the upper 64 bits of the product, rounded.
    fn times(self, other: Self) -> Self {
        let product = u128::from(self.significand) * u128::from(other.significand) + (1 << 63);
        Self {
            // The upper half of 128 bits fits.
            significand: u64::try_from(product >> 64).unwrap_or(u64::MAX),
            exponent: self.exponent + other.exponent + 64,
        }
    }
}

/// Returns the digits of a finite, non-zero double, without its sign.
pub(super) fn decimal(value: f64) -> Decimal {
    let binary = Binary::new(value);
    let (lower, upper) = binary.boundaries();
    let (power, power_exponent) = power_for(upper.exponent);
    let middle = binary.normalized().times(power);
    let mut lower = lower.times(power);
    let mut upper = upper.times(power);
    // The products are off by at most one, so everything within these narrower bounds is safe.
    lower.significand += 1;
    upper.significand -= 1;
    generate(middle, lower, upper, -power_exponent)
}

/// Returns the power of ten that scales a number with this binary exponent to the range of [`generate`], and its decimal
/// exponent.
fn power_for(exponent: i32) -> (Binary, i32) {
    let mut index = first_guess(exponent);
    // Two powers may qualify. Servers take the first one that this loop meets.
    while let Some(&(_, power)) = POWERS.get(index) {
        let scaled = exponent + power + 64;
        if scaled < *SCALED_EXPONENTS.start() {
            index += 1;
        } else if scaled > *SCALED_EXPONENTS.end() {
            index = index.saturating_sub(1);
        } else {
            break;
        }
    }
    let (significand, power) = POWERS.get(index).copied().unwrap_or_default();
    let decimal = FIRST_EXPONENT + STEP * i32::try_from(index).unwrap_or(0);
    let power = Binary {
        significand,
        exponent: power,
    };
    (power, decimal)
}

/// Returns the index at which the search starts: that of `-(exponent + 87) * log10(2)`, truncated.
fn first_guess(exponent: i32) -> usize {
    let table = i32::try_from(POWERS.len()).unwrap_or(0);
    // For a double's exponents, no multiple is close enough to a whole number for the missing digits to matter.
    let decimal = -(i64::from(exponent + table)) * 30_102_999_566_398 / 100_000_000_000_000;
    let steps = (decimal - i64::from(FIRST_EXPONENT)) / i64::from(STEP);
    usize::try_from(steps).unwrap_or(0)
}

/// Generates digits from the first on, until the remainder is within the bounds.
fn generate(middle: Binary, lower: Binary, upper: Binary, exponent: i32) -> Decimal {
    let mut found = Decimal {
        digits: [0; DIGITS_MAX],
        len: 0,
        exponent,
    };
    let safe = upper.significand - lower.significand;
    let distance = upper.significand - middle.significand;
    let shift = upper.exponent.unsigned_abs();
    let one = 1_u64 << shift;
    let mut whole = upper.significand >> shift;
    let fraction = upper.significand & (one - 1);
    for place in (0..10_u8).rev() {
        let unit = 10_u64.pow(place.into());
        found.push(whole / unit);
        whole %= unit;
        let rest = (whole << shift) + fraction;
        if rest <= safe {
            found.exponent += i32::from(place);
            found.round(safe, rest, unit << shift, distance);
            return found;
        }
    }
    fraction_digits(&mut found, (safe, distance, fraction), shift);
    found
}

/// Generates the digits after the point. With each digit, both the remainder and the middle's distance from the upper bound
/// grow tenfold.
fn fraction_digits(
    found: &mut Decimal,
    (mut safe, mut distance, mut rest): (u64, u64, u64),
    shift: u32,
) {
    let one = 1_u64 << shift;
    loop {
        rest = rest.wrapping_mul(10);
        safe = safe.wrapping_mul(10);
        distance = distance.wrapping_mul(10);
        found.exponent -= 1;
        found.push(rest >> shift);
        rest &= one - 1;
        if rest < safe || found.len == DIGITS_MAX {
            return found.round(safe, rest, one, distance);
        }
    }
}

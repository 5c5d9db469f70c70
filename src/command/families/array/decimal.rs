//! The texts of long doubles: exact in both directions, with whole numbers of any size.

use std::fmt;

use super::wide::{Number, Size};

/// Longer texts are no numbers for servers. Source: redis 8.8 util.h, `MAX_LONG_DOUBLE_CHARS`.
const TEXT_BYTES_MAX: usize = 5 * 1024;
/// A number with more digits before the point, or more zeros after it, has no long double. So its digits need not be computed.
const MAGNITUDE_MAX: i64 = 5_200;
/// The bits of a quotient: enough for the significand of either kind of long double, and two more.
const QUOTIENT_BITS: u32 = 120;
/// The largest power of ten in a limb.
const LIMB_TENS: usize = 19;
/// The digits of `%.17Lg`.
const DIGITS: i32 = 17;

/// Parses what C's `strtold` reads whole: decimal or hexadecimal, or infinity.
pub(super) fn parse(text: &[u8]) -> Option<Number> {
    if text.len() >= TEXT_BYTES_MAX {
        return None;
    }
    let (negative, rest) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let size = match rest.to_ascii_lowercase().as_slice() {
        b"inf" | b"infinity" => Size::Infinite,
        [b'0', b'x', digits @ ..] => hexadecimal(digits)?,
        digits => decimal(digits)?,
    };
    Some(Number { negative, size })
}

/// Digits around a point, with the power of the base that they count.
struct Digits {
    /// Without leading zeros.
    digits: Vec<u8>,
    exponent: i64,
}

impl Digits {
    /// Splits a text into digits and an exponent after the letter `mark`.
    fn parse(text: &[u8], mark: u8, is_digit: impl Fn(&u8) -> bool) -> Option<Self> {
        let at = text.iter().position(|byte| *byte == mark);
        let (number, exponent) = match at {
            Some(at) => (text.get(..at)?, Some(text.get(at + 1..)?)),
            None => (text, None),
        };
        let point = number.iter().position(|byte| *byte == b'.');
        let (whole, fraction) = match point {
            Some(at) => (number.get(..at)?, number.get(at + 1..)?),
            None => (number, &[][..]),
        };
        let mut digits = [whole, fraction].concat();
        if digits.is_empty() || !digits.iter().all(is_digit) {
            return None;
        }
        let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
        digits.drain(..zeros);
        let exponent = exponent.map_or(Some(0), exponent_of)?;
        let behind = i64::try_from(fraction.len()).ok()?;
        Some(Self {
            digits,
            exponent: exponent - behind,
        })
    }
}

/// Parses an exponent: one that is too large for anything counts as very large.
fn exponent_of(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let size = digits.iter().fold(0_i64, |size, digit| {
        (size * 10 + i64::from(digit - b'0')).min(1 << 40)
    });
    Some(if negative { -size } else { size })
}

const NOTHING: Size = Size::Finite {
    significand: 0,
    exponent: 0,
    is_cut: false,
};

fn decimal(text: &[u8]) -> Option<Size> {
    let Digits { digits, exponent } = Digits::parse(text, b'e', u8::is_ascii_digit)?;
    if digits.is_empty() {
        return Some(NOTHING);
    }
    let magnitude = exponent + i64::try_from(digits.len()).ok()?;
    if magnitude.abs() > MAGNITUDE_MAX {
        return None;
    }
    let tens = usize::try_from(exponent.unsigned_abs()).ok()?;
    if let Some(size) = short(&digits, exponent, tens) {
        return Some(size);
    }
    let mut above = Big::of_digits(&digits);
    let mut below = Big::of(1);
    if exponent < 0 {
        below.times_ten(tens);
    } else {
        above.times_ten(tens);
    }
    Some(quotient(above, below))
}

/// Divides, if both parts are small.
fn short(digits: &[u8], exponent: i64, tens: usize) -> Option<Size> {
    if digits.len() >= LIMB_TENS || tens >= LIMB_TENS || exponent > 0 {
        return None;
    }
    let above: u128 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    let below = 10_u128.pow(u32::try_from(tens).ok()?);
    let (mut quotient, mut rest) = (above / below, above % below);
    let mut exponent = 0;
    while rest != 0 && quotient >> (QUOTIENT_BITS - 4) == 0 {
        let have = u128::BITS - quotient.leading_zeros();
        // The rest is below 2⁶⁰, so it has room for as many bits again.
        let more = (QUOTIENT_BITS - have).min(60);
        quotient = (quotient << more) | ((rest << more) / below);
        rest = (rest << more) % below;
        exponent -= more.cast_signed();
    }
    Some(Size::Finite {
        significand: quotient,
        exponent,
        is_cut: rest != 0,
    })
}

fn hexadecimal(text: &[u8]) -> Option<Size> {
    let Digits { digits, exponent } = Digits::parse(text, b'p', u8::is_ascii_hexdigit)?;
    // Each digit after the point counts for four bits; what follows the letter counts for one each.
    let point = text.iter().position(|byte| *byte == b'.');
    let end = text.iter().position(|byte| *byte == b'p');
    let behind = point.map_or(0, |point| end.unwrap_or(text.len()) - point - 1);
    let mut exponent = exponent - 3 * i64::try_from(behind).ok()?;
    let (mut significand, mut is_cut) = (0_u128, false);
    for digit in digits {
        let digit = u128::from((digit as char).to_digit(16)?);
        if significand >> QUOTIENT_BITS == 0 {
            significand = (significand << 4) | digit;
        } else {
            is_cut |= digit != 0;
            exponent += 4;
        }
    }
    if significand == 0 {
        return Some(NOTHING);
    }
    let exponent = i32::try_from(exponent.clamp(-100_000, 100_000)).ok()?;
    Some(Size::Finite {
        significand,
        exponent,
        is_cut,
    })
}

/// Divides two numbers that are not 0, to as many bits as rounding needs.
fn quotient(mut above: Big, mut below: Big) -> Size {
    let shift = i64::from(QUOTIENT_BITS) - above.bits() + below.bits();
    let by = usize::try_from(shift.unsigned_abs()).unwrap_or(0);
    if shift >= 0 {
        above.shift_left(by);
    } else {
        below.shift_left(by);
    }
    let (significand, is_cut) = divide(above, below);
    Size::Finite {
        significand,
        exponent: i32::try_from(-shift).unwrap_or(i32::MIN),
        is_cut,
    }
}

/// Divides numbers whose quotient has at most `QUOTIENT_BITS` + 1 bits. Returns it, and whether something is left.
fn divide(above: Big, below: Big) -> (u128, bool) {
    let (quotient, rest) = divided(above, below);
    (quotient, !rest.is_zero())
}

/// Returns the quotient and the rest.
fn divided(mut above: Big, mut below: Big) -> (u128, Big) {
    let steps = usize::try_from((above.bits() - below.bits()).max(0)).unwrap_or(0);
    below.shift_left(steps);
    let mut quotient = 0;
    for _ in 0..=steps {
        quotient <<= 1;
        if above.is_at_least(&below) {
            above.subtract(&below);
            quotient |= 1;
        }
        below.halve();
    }
    (quotient, above)
}

/// A finite number's 17 digits, and where the point is.
pub(super) struct Decimal {
    /// Without trailing zeros; a single zero for 0.
    digits: String,
    /// The power of ten that the first digit counts.
    exponent: i32,
}

impl Decimal {
    /// Returns the digits of `significand` × 2^`exponent`, rounded to the nearest, ties to even.
    pub(super) fn of(significand: u128, exponent: i32) -> Self {
        if significand == 0 {
            return Self::new(0, 0);
        }
        let mut above = Big::of(significand);
        let mut below = Big::of(1);
        let twos = usize::try_from(exponent.unsigned_abs()).unwrap_or(0);
        if exponent < 0 {
            below.shift_left(twos);
        } else {
            above.shift_left(twos);
        }
        let bits = above.bits() - below.bits();
        // The number is at least 2^(bits − 1), and less than 2^(bits + 1): the first guess may be one too low.
        let mut first = floor_log10(bits - 1);
        loop {
            let (digits, is_enough) = digits(&above, &below, first);
            if is_enough {
                return Self::new(digits, first);
            }
            first += 1;
        }
    }

    fn new(digits: u128, exponent: i32) -> Self {
        let text = digits.to_string();
        let text = text.trim_end_matches('0');
        let digits = if text.is_empty() { "0" } else { text }.to_owned();
        Self { digits, exponent }
    }
}

/// Returns a number × 10^(16 − `first`) as a whole number, rounded, and whether it has no more than 17 digits.
fn digits(above: &Big, below: &Big, first: i32) -> (u128, bool) {
    let (mut above, mut below) = (above.clone(), below.clone());
    let tens = DIGITS - 1 - first;
    let by = usize::try_from(tens.unsigned_abs()).unwrap_or(0);
    if tens >= 0 {
        above.times_ten(by);
    } else {
        below.times_ten(by);
    }
    let (quotient, mut rest) = divided(above, below.clone());
    rest.shift_left(1);
    let is_half = rest.is_at_least(&below);
    let is_more = is_half && !below.is_at_least(&rest);
    let up = is_more || (is_half && quotient & 1 == 1);
    let rounded = quotient + u128::from(up);
    (rounded, rounded < 10_u128.pow(17))
}

/// Returns a power of ten that is at most 2^`bits`, and less than a tenth of it only by rounding.
fn floor_log10(bits: i64) -> i32 {
    // log10(2) is a little more than 30102/100000.
    i32::try_from((bits * 30_102).div_euclid(100_000)).unwrap_or(0) - 1
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let len = i32::try_from(self.digits.len()).unwrap_or(DIGITS);
        if self.exponent < -4 || self.exponent >= DIGITS {
            let (first, rest) = self.digits.split_at(1);
            let point = if rest.is_empty() { "" } else { "." };
            let sign = if self.exponent < 0 { '-' } else { '+' };
            let size = self.exponent.unsigned_abs();
            return write!(f, "{first}{point}{rest}e{sign}{size:02}");
        }
        let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or(0));
        if self.exponent < 0 {
            return write!(f, "0.{}{}", zeros(-1 - self.exponent), self.digits);
        }
        let whole = self.exponent + 1;
        if len <= whole {
            return write!(f, "{}{}", self.digits, zeros(whole - len));
        }
        let at = usize::try_from(whole).unwrap_or(0);
        let (whole, fraction) = self.digits.split_at(at.min(self.digits.len()));
        write!(f, "{whole}.{fraction}")
    }
}

/// A whole number of any size, in limbs of 64 bits, lowest first, without zeros at the end.
#[derive(Debug, Clone)]
struct Big(Vec<u64>);

impl Big {
    fn of(number: u128) -> Self {
        let mut big = Self(vec![low(number), low(number >> 64)]);
        big.trim();
        big
    }

    fn of_digits(digits: &[u8]) -> Self {
        let mut big = Self(Vec::new());
        for part in digits.chunks(LIMB_TENS) {
            let number = part
                .iter()
                .fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
            big.times(power_of_ten(part.len()), number);
        }
        big
    }

    fn trim(&mut self) {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }

    const fn is_zero(&self) -> bool {
        self.0.is_empty()
    }

    fn bits(&self) -> i64 {
        let top = self.0.last().map_or(0, |limb| 64 - limb.leading_zeros());
        let below = self.0.len().saturating_sub(1) * 64;
        i64::try_from(below).unwrap_or(i64::MAX) + i64::from(top)
    }

    /// Multiplies by `factor` and adds `carry`.
    fn times(&mut self, factor: u64, carry: u64) {
        let mut carry = u128::from(carry);
        for limb in &mut self.0 {
            let product = u128::from(*limb) * u128::from(factor) + carry;
            *limb = low(product);
            carry = product >> 64;
        }
        if carry != 0 {
            self.0.push(low(carry));
        }
    }

    fn times_ten(&mut self, mut times: usize) {
        while times > 0 {
            let step = times.min(LIMB_TENS);
            self.times(power_of_ten(step), 0);
            times -= step;
        }
    }

    fn shift_left(&mut self, bits: usize) {
        let within = bits % 64;
        if within > 0 {
            self.times(1 << within, 0);
        }
        if !self.is_zero() {
            self.0.splice(0..0, std::iter::repeat_n(0, bits / 64));
        }
    }

    fn halve(&mut self) {
        let mut carry = 0;
        for limb in self.0.iter_mut().rev() {
            let odd = *limb & 1;
            *limb = (*limb >> 1) | (carry << 63);
            carry = odd;
        }
        self.trim();
    }

    fn is_at_least(&self, other: &Self) -> bool {
        if self.0.len() != other.0.len() {
            return self.0.len() > other.0.len();
        }
        self.0.iter().rev().ge(other.0.iter().rev())
    }

    /// Subtracts a number that is not larger.
    fn subtract(&mut self, other: &Self) {
        let mut borrow = false;
        let others = other.0.iter().copied().chain(std::iter::repeat(0));
        for (limb, other) in self.0.iter_mut().zip(others) {
            let (difference, one) = limb.overflowing_sub(other);
            let (difference, two) = difference.overflowing_sub(u64::from(borrow));
            *limb = difference;
            borrow = one || two;
        }
        self.trim();
    }
}

/// The lowest 64 bits.
fn low(number: u128) -> u64 {
    u64::try_from(number & u128::from(u64::MAX)).unwrap_or(0)
}

/// Returns a power of ten that fits into a limb.
fn power_of_ten(exponent: usize) -> u64 {
    let exponent = u32::try_from(exponent.min(LIMB_TENS)).unwrap_or(0);
    10_u64.pow(exponent)
}

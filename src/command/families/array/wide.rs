//! Long doubles, as servers compute with them: 64 bits of significand on x86-64, 113 on ARM64.
//!
//! A text is read exactly and rounded to the nearest number, ties to even; so is every sum. Both have exponents of 15 bits.

use std::cmp::Ordering;

use super::decimal::{self, Decimal};

/// A long double of x86-64.
pub(super) type X86 = Wide<64>;
/// A long double of ARM64.
pub(super) type Arm = Wide<113>;

/// The exponent of the lowest bit of the smallest number with a full significand of one bit; that of the largest power of two.
const EXPONENT_MIN: i32 = -16382;
const EXPONENT_MAX: i32 = 16383;
/// The bits kept below the lowest while two numbers are added.
const GUARD_BITS: u32 = 12;

/// A number before it is rounded: ± `significand` × 2^`exponent`, and a little more if `is_cut`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Number {
    pub(super) negative: bool,
    pub(super) size: Size,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Size {
    Infinite,
    Finite {
        significand: u128,
        exponent: i32,
        is_cut: bool,
    },
}

/// A long double with a significand of `BITS` bits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Wide<const BITS: u32> {
    negative: bool,
    size: Rounded,
}

/// A size: the significand has at most `BITS` bits, and all of them unless the exponent is the least.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Rounded {
    Finite { significand: u128, exponent: i32 },
    Infinite,
    NotANumber,
}

/// The two kinds of processors lead to different results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Differs;

impl Number {
    pub(super) fn of_integer(number: i64) -> Self {
        Self {
            negative: number < 0,
            size: Size::Finite {
                significand: number.unsigned_abs().into(),
                exponent: 0,
                is_cut: false,
            },
        }
    }

    /// Returns the number; `None` for not-a-number.
    pub(super) fn of_double(number: f64) -> Option<Self> {
        let bits = number.to_bits();
        let fraction = bits & ((1 << 52) - 1);
        let size = match i32::try_from(bits >> 52 & 0x7ff) {
            Ok(0) => Size::exact(fraction, -1074),
            Ok(0x7ff) if fraction == 0 => Size::Infinite,
            Ok(0x7ff) | Err(_) => return None,
            Ok(exponent) => Size::exact(fraction | 1 << 52, exponent - 1075),
        };
        Some(Self {
            negative: number.is_sign_negative(),
            size,
        })
    }

    /// Returns the number that a text states, all of it; `None` for any other text, and for a number that is too large or too
    /// small for a long double.
    ///
    /// Source: redis 8.8 util.c, `string2ld`.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let number = decimal::parse(text)?;
        let (x86, arm) = number.both();
        let is_lost = x86.is_lost(number) || arm.is_lost(number);
        (!is_lost).then_some(number)
    }

    /// Rounds to both kinds of long doubles.
    pub(super) fn both(self) -> (X86, Arm) {
        (Wide::round(self), Wide::round(self))
    }

    /// Returns the whole part, if that is an integer of 64 bits.
    ///
    /// # Errors
    /// If the two kinds of long doubles have different ones.
    pub(super) fn whole(self) -> Result<Option<i64>, Differs> {
        let (x86, arm) = self.both();
        let whole = x86.whole();
        if whole == arm.whole() {
            Ok(whole)
        } else {
            Err(Differs)
        }
    }
}

impl Size {
    fn exact(significand: u64, exponent: i32) -> Self {
        Self::Finite {
            significand: significand.into(),
            exponent,
            is_cut: false,
        }
    }
}

impl<const BITS: u32> Wide<BITS> {
    /// The exponent of the lowest bit of the smallest number, and that of the largest.
    const LEAST: i32 = EXPONENT_MIN - (BITS as i32 - 1);
    const MOST: i32 = EXPONENT_MAX - (BITS as i32 - 1);

    /// Rounds to the nearest number, ties to even.
    fn round(number: Number) -> Self {
        let size = match number.size {
            Size::Infinite => Rounded::Infinite,
            Size::Finite {
                significand,
                exponent,
                is_cut,
            } => Self::round_size(significand, exponent, is_cut),
        };
        Self {
            negative: number.negative,
            size,
        }
    }

    fn round_size(significand: u128, exponent: i32, is_cut: bool) -> Rounded {
        if significand == 0 {
            return ZERO;
        }
        let bits = (u128::BITS - significand.leading_zeros()) as i32;
        // How far to shift right, so that the significand has its bits or the exponent is the least.
        let shift = (bits - BITS as i32).max(Self::LEAST - exponent);
        let (significand, exponent) = if shift <= 0 {
            (significand << shift.unsigned_abs(), exponent + shift)
        } else {
            let rounded = shift_rounded(significand, shift.unsigned_abs(), is_cut);
            (rounded, exponent + shift)
        };
        // Rounding up may have made one bit too many.
        let (significand, exponent) = if significand >> BITS == 0 {
            (significand, exponent)
        } else {
            (significand >> 1, exponent + 1)
        };
        if significand == 0 {
            ZERO
        } else if exponent > Self::MOST {
            Rounded::Infinite
        } else {
            Rounded::Finite {
                significand,
                exponent,
            }
        }
    }

    /// Whether a finite number became infinite, or one that is not zero became that.
    fn is_lost(self, number: Number) -> bool {
        match (number.size, self.size) {
            (Size::Finite { .. }, Rounded::Infinite) => true,
            (Size::Finite { significand, .. }, size) => significand != 0 && size == ZERO,
            _ => false,
        }
    }

    const fn nan() -> Self {
        Self {
            negative: false,
            size: Rounded::NotANumber,
        }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        let (high, low) = match (self.size, other.size) {
            (Rounded::NotANumber, _) | (_, Rounded::NotANumber) => return Self::nan(),
            (Rounded::Infinite, Rounded::Infinite) if self.negative != other.negative => {
                return Self::nan();
            }
            (Rounded::Infinite, _) => return self,
            (_, Rounded::Infinite) => return other,
            (Rounded::Finite { exponent: one, .. }, Rounded::Finite { exponent: two, .. }) => {
                if one >= two {
                    (self, other)
                } else {
                    (other, self)
                }
            }
        };
        // Zero has an exponent of its own, which must not take bits from the other number.
        match (self.size, other.size) {
            (ZERO, ZERO) => Self {
                negative: self.negative && other.negative,
                size: ZERO,
            },
            (ZERO, _) => other,
            (_, ZERO) => self,
            _ => high.plus_lower(low),
        }
    }

    /// Adds a finite number whose exponent is not higher.
    fn plus_lower(self, low: Self) -> Self {
        let (Some((high_part, high_exponent)), Some((low_part, low_exponent))) =
            (self.finite(), low.finite())
        else {
            return Self::nan();
        };
        let distance = high_exponent.abs_diff(low_exponent);
        let up = distance.min(GUARD_BITS);
        let down = distance - up;
        let lowered = low_part.checked_shr(down).unwrap_or(0);
        let is_cut = lowered.checked_shl(down).unwrap_or(0) != low_part;
        let raised = high_part << up;
        let exponent = high_exponent - up.cast_signed();
        let (negative, significand) = if self.negative == low.negative {
            (self.negative, raised + lowered)
        } else if raised >= lowered {
            // What was cut off counts against the difference.
            (self.negative, raised - lowered - u128::from(is_cut))
        } else {
            (low.negative, lowered - raised)
        };
        if significand == 0 && !is_cut {
            return Self {
                negative: self.negative && low.negative,
                size: ZERO,
            };
        }
        Self {
            negative,
            size: Self::round_size(significand, exponent, is_cut),
        }
    }

    fn finite(self) -> Option<(u128, i32)> {
        match self.size {
            Rounded::Finite {
                significand,
                exponent,
            } => Some((significand, exponent)),
            _ => None,
        }
    }

    /// Whether it is less than another number. Nothing is less than not-a-number.
    pub(super) fn is_less(self, other: Self) -> bool {
        let sign = |number: Self| match number.size {
            ZERO => 0,
            _ if number.negative => -1,
            _ => 1,
        };
        if self.size == Rounded::NotANumber || other.size == Rounded::NotANumber {
            return false;
        }
        match (sign(self), sign(other)) {
            (one, two) if one != two => one < two,
            (1, _) => self.by_size(other) == Ordering::Less,
            (-1, _) => self.by_size(other) == Ordering::Greater,
            _ => false,
        }
    }

    /// Compares without signs. A higher exponent is more, because only the least one has incomplete significands.
    fn by_size(self, other: Self) -> Ordering {
        match (self.finite(), other.finite()) {
            (Some((one, one_exponent)), Some((two, two_exponent))) => {
                one_exponent.cmp(&two_exponent).then(one.cmp(&two))
            }
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        }
    }

    /// Returns the whole part of a number from −2⁶³ to 2⁶³ − 1.
    fn whole(self) -> Option<i64> {
        let (significand, exponent) = self.finite()?;
        let shift = exponent.unsigned_abs();
        let (whole, has_fraction) = if exponent >= 0 {
            let whole = significand.checked_mul(1_u128.checked_shl(shift)?)?;
            (whole, false)
        } else {
            let whole = significand.checked_shr(shift).unwrap_or(0);
            let is_whole = whole.checked_shl(shift).unwrap_or(0) == significand;
            (whole, !is_whole)
        };
        let whole = i128::try_from(whole).ok()?;
        let whole = if self.negative { -whole } else { whole };
        // Servers compare before they cut the fraction off.
        if has_fraction && (whole == i128::from(i64::MIN) || whole == i128::from(i64::MAX)) {
            return None;
        }
        i64::try_from(whole).ok()
    }

    /// Returns the text of at most 17 digits.
    ///
    /// Source: redis 8.8 util.c, `ld2string` with `LD_STR_AUTO`: C's `%.17Lg`.
    pub(super) fn text(self) -> String {
        let sign = if self.negative { "-" } else { "" };
        match self.size {
            Rounded::NotANumber => "nan".to_owned(),
            Rounded::Infinite => format!("{sign}inf"),
            Rounded::Finite {
                significand,
                exponent,
            } => {
                let decimal = Decimal::of(significand, exponent);
                format!("{sign}{decimal}")
            }
        }
    }
}

const ZERO: Rounded = Rounded::Finite {
    significand: 0,
    exponent: 0,
};

/// Shifts right by at least one bit, and rounds to the nearest, ties to even. `is_cut` says that there was a little more.
fn shift_rounded(significand: u128, shift: u32, is_cut: bool) -> u128 {
    let Some(kept) = significand.checked_shr(shift) else {
        // All bits are lost, and they are less than half of one: the shift is one more than the bits at least.
        return 0;
    };
    let lost = significand & (u128::MAX >> (u128::BITS - shift));
    let half = 1 << (shift - 1);
    let up = match lost.cmp(&half) {
        Ordering::Less => false,
        Ordering::Equal => is_cut || kept & 1 == 1,
        Ordering::Greater => true,
    };
    kept + u128::from(up)
}

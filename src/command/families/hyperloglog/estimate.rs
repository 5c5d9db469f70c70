//! Estimates a cardinality from how many registers hold each value.
//!
//! Source: Otmar Ertl, "New cardinality estimation algorithms for HyperLogLog sketches", arXiv:1702.01284. The operations
//! follow the order of redis 7.0 hyperloglog.c, so that the last bits agree.

use super::sketch::REGISTERS;

/// The bits of a hash that do not choose the register.
const RUN_BITS: usize = 50;

/// Half of 1/ln 2.
const ALPHA: f64 = 0.721_347_520_444_481_7;

/// How many registers hold each value.
pub(super) type Histogram = [u32; 64];

/// Returns the estimate, rounded.
pub(super) fn cardinality(histogram: &Histogram) -> u64 {
    #[expect(clippy::cast_precision_loss, reason = "2^14")]
    let registers = REGISTERS as f64;
    let count = |value: usize| f64::from(histogram.get(value).copied().unwrap_or(0));
    let mut z = registers * tau((registers - count(RUN_BITS + 1)) / registers);
    for value in (1..=RUN_BITS).rev() {
        z += count(value);
        z *= 0.5;
    }
    z += registers * sigma(count(0) / registers);
    rounded(ALPHA * registers * registers / z)
}

/// `llroundl` on x86-64: a value that no integer can hold, such as infinity, becomes the lowest integer.
fn rounded(value: f64) -> u64 {
    if value.is_finite() {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "finite estimates are far below 2^63 and not negative"
        )]
        return value.round() as u64;
    }
    i64::MIN.cast_unsigned()
}

#[expect(clippy::float_cmp, reason = "runs until nothing changes")]
fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if before == z {
            return z;
        }
    }
}

#[expect(clippy::float_cmp, reason = "runs until nothing changes")]
fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if before == z {
            return z / 3.0;
        }
    }
}

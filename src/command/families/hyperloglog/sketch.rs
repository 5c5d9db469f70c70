//! The string of a HyperLogLog: header, dense registers, cached cardinality.
//!
//! ```text
//! "HYLL" | form: 0 dense, 1 sparse | 3 unused bytes | cardinality: u64, little endian | registers
//! ```
//!
//! The cardinality's highest bit marks it as out of date. Dense registers have 6 bits each, the first in the lowest bits.
//! Source: redis 7.0 hyperloglog.c.

use super::estimate::{self, Histogram};
use super::sparse;

/// The number of registers.
pub(super) const REGISTERS: usize = 1 << 14;

/// Bytes before the registers.
pub(super) const HEADER_BYTES: usize = 16;

const DENSE_BYTES: usize = HEADER_BYTES + REGISTERS * 6 / 8;
const FORM_AT: usize = 4;
const DENSE: u8 = 0;
const SPARSE: u8 = 1;
const CARDINALITY: std::ops::Range<usize> = 8..16;
const OUT_OF_DATE: u64 = 1 << 63;

/// A sparse form whose runs do not add up to exactly all registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Corrupted;

/// The header of a new sparse HyperLogLog.
pub(super) const NEW_HEADER: [u8; HEADER_BYTES] = *b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\0";

/// Whether a string starts like a HyperLogLog. A sparse one may still prove [`Corrupted`].
pub(super) fn has_header(text: &[u8]) -> bool {
    let form = text.get(FORM_AT).copied();
    text.starts_with(b"HYLL")
        && text.len() >= HEADER_BYTES
        && (form == Some(SPARSE) || form == Some(DENSE) && text.len() == DENSE_BYTES)
}

pub(super) fn is_dense(text: &[u8]) -> bool {
    text.get(FORM_AT) == Some(&DENSE)
}

fn body(text: &[u8]) -> &[u8] {
    text.get(HEADER_BYTES..).unwrap_or_default()
}

/// Returns the cached cardinality, or estimates it from the registers.
pub(super) fn cardinality(text: &[u8]) -> Result<u64, Corrupted> {
    let cached = text
        .get(CARDINALITY)
        .and_then(|bytes| bytes.try_into().ok());
    match cached.map(u64::from_le_bytes) {
        Some(cached) if cached & OUT_OF_DATE == 0 => Ok(cached),
        _ => Ok(estimate::cardinality(&histogram(text)?)),
    }
}

/// Caches a cardinality.
pub(super) fn cache(text: &mut [u8], cardinality: u64) {
    if let Some(place) = text.get_mut(CARDINALITY) {
        place.copy_from_slice(&cardinality.to_le_bytes());
    }
}

/// Marks the cached cardinality as out of date. Its other bits stay.
pub(super) fn forget_cardinality(text: &mut [u8]) {
    if let Some(byte) = text.get_mut(CARDINALITY.end - 1) {
        *byte |= 0x80;
    }
}

fn histogram(text: &[u8]) -> Result<Histogram, Corrupted> {
    let mut histogram = [0; 64];
    let mut count = |value: u8, run: u32| {
        if let Some(sum) = histogram.get_mut(usize::from(value)) {
            *sum += run;
        }
    };
    if is_dense(text) {
        dense_registers(body(text)).for_each(|value| count(value, 1));
    } else {
        sparse::runs(body(text), |_, value, run| count(value, run))?;
    }
    Ok(histogram)
}

/// Returns every register in order. Four registers occupy three bytes.
fn dense_registers(body: &[u8]) -> impl Iterator<Item = u8> {
    let (groups, _) = body.as_chunks::<3>();
    groups.iter().flat_map(|[a, b, c]| {
        let word = u32::from_le_bytes([*a, *b, *c, 0]);
        [0, 6, 12, 18].map(|shift| (word >> shift & 0x3f) as u8)
    })
}

/// Raises a register to `run`, unless it is already as high. Returns whether it changed. A sparse form that cannot hold
/// the value, or would grow past `bytes_max` bytes, becomes dense.
pub(super) fn raise(
    text: &mut Vec<u8>,
    index: usize,
    run: u8,
    bytes_max: usize,
) -> Result<bool, Corrupted> {
    if !is_dense(text) {
        if let sparse::Raised::Done(changed) = sparse::raise(text, index, run, bytes_max)? {
            return Ok(changed);
        }
        make_dense(text)?;
    }
    Ok(raise_dense(text, index, run))
}

fn raise_dense(text: &mut [u8], index: usize, run: u8) -> bool {
    // A register occupies at most two bytes; the last one ends where the string ends.
    let (byte, shift) = (HEADER_BYTES + index * 6 / 8, index * 6 % 8);
    let end = text.len().min(byte + 2);
    let Some(place) = text.get_mut(byte..end) else {
        return false;
    };
    let mut word = [0; 2];
    word.iter_mut()
        .zip(&*place)
        .for_each(|(to, from)| *to = *from);
    let old = u16::from_le_bytes(word);
    if old >> shift & 0x3f >= u16::from(run) {
        return false;
    }
    let new = old & !(0x3f << shift) | u16::from(run) << shift;
    place
        .iter_mut()
        .zip(new.to_le_bytes())
        .for_each(|(to, from)| *to = from);
    true
}

/// Converts a sparse form to the dense one. The header stays.
pub(super) fn make_dense(text: &mut Vec<u8>) -> Result<(), Corrupted> {
    if is_dense(text) {
        return Ok(());
    }
    let mut dense = vec![0; DENSE_BYTES];
    dense
        .iter_mut()
        .zip(text.iter().take(HEADER_BYTES))
        .for_each(|(to, from)| *to = *from);
    if let Some(form) = dense.get_mut(FORM_AT) {
        *form = DENSE;
    }
    sparse::runs(body(text), |first, value, run| {
        let end = first + run as usize;
        (first..end).filter(|_| value > 0).for_each(|index| {
            raise_dense(&mut dense, index, value);
        });
    })?;
    *text = dense;
    Ok(())
}

/// The union of several HyperLogLogs: the highest value of each register.
pub(super) struct Registers(Vec<u8>);

impl Registers {
    pub(super) fn new() -> Self {
        Self(vec![0; REGISTERS])
    }

    pub(super) fn merge(&mut self, text: &[u8]) -> Result<(), Corrupted> {
        if is_dense(text) {
            let both = self.0.iter_mut().zip(dense_registers(body(text)));
            both.for_each(|(register, value)| *register = value.max(*register));
            return Ok(());
        }
        sparse::runs(body(text), |first, value, run| {
            let end = first + run as usize;
            let registers = self.0.get_mut(first..end).unwrap_or_default();
            registers
                .iter_mut()
                .for_each(|register| *register = value.max(*register));
        })
    }

    /// Raises a register to `run`, unless it is already as high.
    pub(super) fn raise(&mut self, index: usize, run: u8) {
        if let Some(register) = self.0.get_mut(index) {
            *register = run.max(*register);
        }
    }

    /// Returns the registers above zero, with their indexes.
    pub(super) fn raised(&self) -> impl Iterator<Item = (usize, u8)> {
        self.0
            .iter()
            .copied()
            .enumerate()
            .filter(|(_, value)| *value > 0)
    }

    pub(super) fn cardinality(&self) -> u64 {
        let mut histogram = [0; 64];
        for value in &self.0 {
            if let Some(sum) = histogram.get_mut(usize::from(*value)) {
                *sum += 1;
            }
        }
        estimate::cardinality(&histogram)
    }
}

/// Whether every dense register holds what it was raised to, with its neighbours untouched.
pub(super) fn works() -> bool {
    let value_of = |index: usize| u8::try_from(index * 7 % 64).unwrap_or(0);
    let mut text = vec![0; DENSE_BYTES];
    for index in (0..REGISTERS).rev() {
        raise_dense(&mut text, index, value_of(index));
    }
    let expected = (0..REGISTERS).map(value_of);
    dense_registers(body(&text)).eq(expected)
}

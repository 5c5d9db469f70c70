//! CRC-64 as Redis computes it ("Jones"): reflected, initial value 0, no final xor.
//!
//! Source: redis 7.0 crc64.c; the table form uses the reversed polynomial.

/// The polynomial 0xad93d23594c935a9, bits reversed.
const POLYNOMIAL: u64 = 0x95ac_9329_ac4b_c9b5;
/// Bytes taken in one step.
const STRIDE: usize = 16;

/// `TABLES[k][b]` is the sum of the byte `b` followed by `k` zero bytes.
static TABLES: [[u64; 256]; STRIDE] = tables();

/// Continues the sum `crc` (0 at the start) over `bytes`.
#[must_use]
pub fn update(crc: u64, bytes: &[u8]) -> u64 {
    let (blocks, tail) = bytes.as_chunks::<STRIDE>();
    let crc = blocks.iter().fold(crc, block);
    tail.iter().fold(crc, |crc, byte| {
        let [low, ..] = (crc ^ u64::from(*byte)).to_le_bytes();
        lookup(0, low) ^ (crc >> 8)
    })
}

/// One step over sixteen bytes: sixteen independent look-ups instead of a chain of sixteen.
#[inline]
fn block(crc: u64, bytes: &[u8; STRIDE]) -> u64 {
    let whole = u128::from_le_bytes(*bytes) ^ u128::from(crc);
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = whole.to_le_bytes();
    let first = lookup(15, a) ^ lookup(14, b) ^ lookup(13, c) ^ lookup(12, d);
    let second = lookup(11, e) ^ lookup(10, f) ^ lookup(9, g) ^ lookup(8, h);
    let third = lookup(7, i) ^ lookup(6, j) ^ lookup(5, k) ^ lookup(4, l);
    let fourth = lookup(3, m) ^ lookup(2, n) ^ lookup(1, o) ^ lookup(0, p);
    first ^ second ^ third ^ fourth
}

#[expect(
    clippy::indexing_slicing,
    reason = "every table has 256 places, and callers name tables 0 to 15"
)]
#[inline(always)]
fn lookup(table: usize, byte: u8) -> u64 {
    TABLES[table][byte as usize]
}

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler, which would stop at a wrong index"
)]
const fn tables() -> [[u64; 256]; STRIDE] {
    let mut tables = [[0; 256]; STRIDE];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u64;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ POLYNOMIAL
            } else {
                crc >> 1
            };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut cell = 256;
    while cell < 256 * STRIDE {
        let shorter = tables[cell / 256 - 1][cell % 256];
        tables[cell / 256][cell % 256] = (shorter >> 8) ^ tables[0][(shorter & 0xff) as usize];
        cell += 1;
    }
    tables
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]
mod tests {
    use super::*;

    #[test]
    fn gives_the_check_value() {
        assert_eq!(update(0, b"123456789"), 0xe9c6_d914_c4b8_d9ca);
        assert_eq!(update(0, b""), 0);
    }

    #[test]
    fn strides_and_single_bytes_agree_at_every_split() {
        let bytes: Vec<u8> = (0..100_u8).map(|n| n.wrapping_mul(37)).collect();
        let slowly = bytes.iter().fold(0, |crc, byte| update(crc, &[*byte]));
        for split in 0..bytes.len() {
            assert_eq!(update(update(0, &bytes[..split]), &bytes[split..]), slowly);
        }
    }
}

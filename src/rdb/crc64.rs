//! CRC-64 as Redis computes it ("Jones"): reflected, initial value 0, no final xor.
//!
//! Source: redis 7.0 crc64.c.

use crc_fast::{CrcAlgorithm, Digest};

/// Continues the sum `crc` (0 at the start) over `bytes`.
#[must_use]
pub fn update(crc: u64, bytes: &[u8]) -> u64 {
    let mut digest = Digest::new_with_init_state(CrcAlgorithm::Crc64Redis, crc);
    digest.update(bytes);
    digest.finalize()
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]
mod tests {
    use super::*;

    /// The definition, bit by bit: the polynomial 0xad93d23594c935a9 reversed.
    fn by_definition(bytes: &[u8]) -> u64 {
        bytes.iter().fold(0, |crc, byte| {
            (0..8).fold(crc ^ u64::from(*byte), |crc, _| {
                (crc >> 1) ^ (0x95ac_9329_ac4b_c9b5 * (crc & 1))
            })
        })
    }

    #[test]
    fn gives_the_check_value() {
        assert_eq!(update(0, b"123456789"), 0xe9c6_d914_c4b8_d9ca);
        assert_eq!(update(0, b""), 0);
    }

    #[test]
    fn is_the_definition_at_every_length_and_split() {
        let bytes: Vec<u8> = (0..1000_u16)
            .map(|n| n.wrapping_mul(37).to_le_bytes()[0])
            .collect();
        for len in 0..bytes.len() {
            let whole = by_definition(&bytes[..len]);
            assert_eq!(update(0, &bytes[..len]), whole);
            assert_eq!(
                update(update(0, &bytes[..len / 3]), &bytes[len / 3..len]),
                whole
            );
        }
    }
}

//! `math.random`: the servers' own sequence, the same on every machine. Source: redis 7.0 rand.c.

/// The 48-bit generator of `lrand48`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Random(u64);

/// The low bits of every seed.
const LOW_BITS: u64 = 0x330E;
const MULTIPLIER: u64 = 0x5_DEEC_E66D;
const INCREMENT: u64 = 0xB;
const MASK: u64 = (1 << 48) - 1;

/// The exclusive upper bound of the numbers.
const RANDOM_MAX: u32 = i32::MAX as u32;

impl Default for Random {
    /// The state before anything was seeded.
    fn default() -> Self {
        Self(0x1234_ABCD_330E)
    }
}

impl Random {
    /// Restores the generator from its [`bits`](Self::bits).
    pub(super) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Returns the whole state.
    pub(super) const fn bits(self) -> u64 {
        self.0
    }

    /// Starts the sequence of `seed`.
    pub(super) fn seeded(seed: i32) -> Self {
        Self((u64::from(seed.cast_unsigned()) << 16) | LOW_BITS)
    }

    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(MULTIPLIER).wrapping_add(INCREMENT) & MASK;
        u32::try_from(self.0 >> 17).unwrap_or(0)
    }

    /// Returns the next number, from 0 (inclusive) to 1 (exclusive).
    pub(super) fn fraction(&mut self) -> f64 {
        f64::from(self.next() % RANDOM_MAX) / f64::from(RANDOM_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_the_sequence_that_a_server_gives() {
        let text = format!("{:.14}", Random::seeded(7).fraction());
        assert_eq!(text, "0.26644419658298");
    }
}

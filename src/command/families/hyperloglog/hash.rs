//! Which register an element raises, and to which value.

/// The seed of every HyperLogLog's hash.
const SEED: u64 = 0xadc8_3b19;

/// The bits of a hash that choose the register.
const INDEX_BITS: u32 = 14;

/// Returns the register of an element, and the value to raise it to: the number of zeros below the lowest 1 in the rest
/// of its hash, plus one.
pub(super) fn register_of(element: &[u8]) -> (usize, u8) {
    let hash = murmur_64a(element);
    let index = hash & ((1 << INDEX_BITS) - 1);
    // A 1 above the rest limits the run.
    let rest = hash >> INDEX_BITS | 1 << (64 - INDEX_BITS);
    #[expect(clippy::cast_possible_truncation, reason = "14 and 6 bits")]
    (index as usize, rest.trailing_zeros() as u8 + 1)
}

/// MurmurHash2 for 64-bit machines, by Austin Appleby. Reads little-endian words on every machine.
fn murmur_64a(bytes: &[u8]) -> u64 {
    const M: u64 = 0xc6a4_a793_5bd1_e995;
    let (words, tail) = bytes.as_chunks::<8>();
    let mut hash = SEED ^ (bytes.len() as u64).wrapping_mul(M);
    for word in words {
        let mut word = u64::from_le_bytes(*word).wrapping_mul(M);
        word ^= word >> 47;
        hash = (hash ^ word.wrapping_mul(M)).wrapping_mul(M);
    }
    if !tail.is_empty() {
        let folded = tail.iter().rev();
        hash ^= folded.fold(0, |word, byte| word << 8 | u64::from(*byte));
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 47;
    hash = hash.wrapping_mul(M);
    hash ^ hash >> 47
}

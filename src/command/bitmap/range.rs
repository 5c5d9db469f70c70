//! Ranges of bits: counting and searching in them.

use std::ops::Range;

/// The bits that `start` and `end` name, both counted from the end when negative, in units of `unit` bits (8 or 1) of a
/// string of `len` bytes. `None` when they name nothing.
pub(super) fn bits(start: i64, end: i64, unit: usize, len: usize) -> Option<Range<usize>> {
    let units = i64::try_from(len * (8 / unit)).ok()?;
    let from_front = |index: i64| {
        let index = if index < 0 {
            index.saturating_add(units)
        } else {
            index
        };
        index.max(0)
    };
    let (start, end) = (from_front(start), from_front(end).min(units - 1));
    if start > end {
        return None;
    }
    let (start, end) = (usize::try_from(start).ok()?, usize::try_from(end).ok()?);
    Some(start * unit..(end + 1) * unit)
}

/// How many bits of a range are set.
pub(super) fn ones(text: &[u8], bits: Range<usize>) -> usize {
    let (first, end) = (bits.start / 8, bits.end.div_ceil(8));
    let Some(bytes) = text.get(first..end) else {
        return 0;
    };
    let before = bytes
        .first()
        .map_or(0, |byte| outside(*byte, bits.start % 8));
    let after = match bits.end % 8 {
        0 => 0,
        used => bytes.last().map_or(0, |byte| (byte << used).count_ones()),
    };
    ones_of(bytes) - before as usize - after as usize
}

/// How many of the highest `bits` bits of a byte are set.
const fn outside(byte: u8, bits: usize) -> u32 {
    (byte as u32 >> (8 - bits)).count_ones()
}

fn ones_of(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    // Sums of 32 bits keep the loop in vector registers; a block of them cannot overflow.
    let of_block = |block: &[[u8; 8]]| {
        let ones = block
            .iter()
            .map(|word| u64::from_ne_bytes(*word).count_ones());
        ones.sum::<u32>() as usize
    };
    let whole: usize = words.chunks(1 << 16).map(of_block).sum();
    let rest: u32 = rest.iter().map(|byte| byte.count_ones()).sum();
    whole + rest as usize
}

/// Where in a range the first bit stands that is set, or clear if not `wanted`.
pub(super) fn first(text: &[u8], bits: Range<usize>, wanted: bool) -> Option<usize> {
    let skipped = if wanted { 0 } else { 0xff };
    let mut index = bits.start / 8;
    let head = (text.get(index)? ^ skipped) & (0xff >> (bits.start % 8));
    let mut found = head;
    if head == 0 {
        let rest = text.get(index + 1..bits.end.div_ceil(8))?;
        let at = skip(rest, skipped);
        index += 1 + at;
        found = rest.get(at)? ^ skipped;
    }
    let position = index * 8 + found.leading_zeros() as usize;
    (position < bits.end).then_some(position)
}

/// How many bytes in front are `skipped`: by blocks, then one by one.
fn skip(bytes: &[u8], skipped: u8) -> usize {
    let (blocks, _) = bytes.as_chunks::<64>();
    let is_skipped =
        |block: &&[u8; 64]| block.iter().fold(0, |all, byte| all | (byte ^ skipped)) == 0;
    let start = blocks.iter().take_while(is_skipped).count() * 64;
    let rest = bytes.get(start..).unwrap_or_default();
    start + rest.iter().take_while(|byte| **byte == skipped).count()
}

//! The slots of a cluster, and sets of them.

use std::ops::RangeInclusive;

/// The number of slots in a cluster.
pub const CLUSTER_SLOTS: u16 = 16_384;

const WORDS: usize = CLUSTER_SLOTS as usize / 64;

/// Returns the slot of a key. It depends only on the text between the first `{` and the next `}`, if that is not empty.
/// Source: redis 7.0 cluster.c, keyHashSlot.
#[must_use]
pub fn cluster_slot(key: &[u8]) -> u16 {
    let tagged = || {
        let open = key.iter().position(|byte| *byte == b'{')?;
        let rest = key.get(open + 1..)?;
        let close = rest.iter().position(|byte| *byte == b'}')?;
        rest.get(..close).filter(|tag| !tag.is_empty())
    };
    crc16(tagged().unwrap_or(key)) % CLUSTER_SLOTS
}

/// A short text of letters and digits that is in `slot`.
#[must_use]
pub fn tag_of_slot(slot: u16) -> String {
    const SIGNS: &[u8; 62] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    // Texts of three signs are in every slot.
    let texts = SIGNS.iter().flat_map(|a| {
        let rest = SIGNS.iter();
        rest.flat_map(move |b| SIGNS.iter().map(move |c| [*a, *b, *c]))
    });
    let mut texts = texts.filter(|text| cluster_slot(text) == slot);
    let text = texts.next().unwrap_or_default();
    text.iter().map(|sign| char::from(*sign)).collect()
}

/// CRC-16/XMODEM: polynomial 0x1021, not reflected, initial value 0.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |sum, byte| {
        let index = usize::from(sum >> 8 ^ u16::from(*byte));
        sum << 8 ^ TABLE.get(index).copied().unwrap_or(0)
    })
}

/// What each byte adds to the sum.
static TABLE: [u16; 256] = table();

#[expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "constants, below 256"
)]
const fn table() -> [u16; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < table.len() {
        let mut sum = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            let carry = if sum & 0x8000 == 0 { 0 } else { 0x1021 };
            sum = sum << 1 ^ carry;
            bit += 1;
        }
        table[byte] = sum;
        byte += 1;
    }
    table
}

/// A set of slots: 2 KiB, whatever it holds.
#[derive(Clone, PartialEq, Eq)]
pub struct ClusterSlots(Box<[u64; WORDS]>);

impl Default for ClusterSlots {
    fn default() -> Self {
        Self(Box::new([0; WORDS]))
    }
}

impl ClusterSlots {
    /// All slots.
    #[must_use]
    pub fn all() -> Self {
        Self(Box::new([u64::MAX; WORDS]))
    }

    /// Keeps the slots that are also in another set.
    pub fn keep_all(&mut self, other: &Self) {
        let pairs = self.0.iter_mut().zip(other.0.iter());
        pairs.for_each(|(word, other)| *word &= other);
    }

    /// Whether a slot is in both sets.
    #[must_use]
    pub fn shares(&self, other: &Self) -> bool {
        let mut pairs = self.0.iter().zip(other.0.iter());
        pairs.any(|(word, other)| word & other != 0)
    }

    /// Adds one slot; does nothing if there is no such slot.
    pub fn insert(&mut self, slot: u16) {
        if let Some(word) = self.0.get_mut(usize::from(slot / 64)) {
            *word |= 1 << (slot % 64);
        }
    }

    /// Removes one slot.
    pub fn remove(&mut self, slot: u16) {
        if let Some(word) = self.0.get_mut(usize::from(slot / 64)) {
            *word &= !(1 << (slot % 64));
        }
    }

    /// The slots, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u16> {
        let words = (0..).zip(self.0.iter().copied());
        words.flat_map(|(index, word): (u16, u64)| {
            let bits = (0..64).filter(move |bit| word >> bit & 1 == 1);
            bits.map(move |bit| index * 64 + bit)
        })
    }

    /// Reads ranges as servers write them, such as `0-99 200-200`. Returns `None` for anything else, and if there is no
    /// range.
    #[must_use]
    pub fn from_text(text: &[u8]) -> Option<Self> {
        let mut slots = Self::default();
        for range in text.split(|byte| *byte == b' ') {
            let dash = range.iter().position(|byte| *byte == b'-')?;
            let (first, last) = range.split_at_checked(dash)?;
            slots.add_text(first, last.get(1..)?).then_some(())?;
        }
        Some(slots)
    }

    /// Adds the slots from the first to the last, both included. Returns false, and adds nothing, unless both are slots in
    /// ascending order.
    #[must_use]
    pub fn add(&mut self, first: u64, last: u64) -> bool {
        let slot = |number: u64| {
            u16::try_from(number)
                .ok()
                .filter(|slot| *slot < CLUSTER_SLOTS)
        };
        let (Some(first), Some(last)) = (slot(first), slot(last)) else {
            return false;
        };
        for slot in first..=last {
            if let Some(word) = self.0.get_mut(usize::from(slot / 64)) {
                *word |= 1 << (slot % 64);
            }
        }
        first <= last
    }

    /// Like [`add`](Self::add), with both numbers as text.
    #[must_use]
    pub fn add_text(&mut self, first: &[u8], last: &[u8]) -> bool {
        let number = |text| {
            let number = crate::resp::parse_integer(text)?;
            u64::try_from(number).ok()
        };
        match (number(first), number(last)) {
            (Some(first), Some(last)) => self.add(first, last),
            _ => false,
        }
    }

    /// Adds all slots of another set.
    pub fn add_all(&mut self, other: &Self) {
        let pairs = self.0.iter_mut().zip(other.0.iter());
        pairs.for_each(|(word, other)| *word |= other);
    }

    /// Removes all slots of another set.
    pub fn remove_all(&mut self, other: &Self) {
        let pairs = self.0.iter_mut().zip(other.0.iter());
        pairs.for_each(|(word, other)| *word &= !other);
    }

    /// Whether a slot is in the set.
    #[must_use]
    pub fn contains(&self, slot: u16) -> bool {
        let word = self.0.get(usize::from(slot / 64));
        word.is_some_and(|word| word >> (slot % 64) & 1 == 1)
    }

    /// Whether the slot of `key` is in the set.
    #[must_use]
    pub fn hold(&self, key: &[u8]) -> bool {
        self.contains(cluster_slot(key))
    }

    /// Whether the set has no slot.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// How many slots the set has.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    /// The slots as ranges, in ascending order.
    #[must_use]
    pub fn ranges(&self) -> Vec<RangeInclusive<u16>> {
        let mut ranges: Vec<RangeInclusive<u16>> = Vec::new();
        for slot in (0..CLUSTER_SLOTS).filter(|slot| self.contains(*slot)) {
            match ranges.last_mut() {
                Some(range) if range.end() + 1 == slot => *range = *range.start()..=slot,
                _ => ranges.push(slot..=slot),
            }
        }
        ranges
    }
}

/// As servers write it: `0-99 200-200`.
impl std::fmt::Display for ClusterSlots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, range) in self.ranges().iter().enumerate() {
            let blank = if index == 0 { "" } else { " " };
            write!(f, "{blank}{}-{}", range.start(), range.end())?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for ClusterSlots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_slot_has_a_short_text() {
        for slot in (0..CLUSTER_SLOTS).step_by(331) {
            let tag = tag_of_slot(slot);
            assert_eq!((cluster_slot(tag.as_bytes()), tag.len()), (slot, 3));
        }
    }

    /// What `CLUSTER KEYSLOT` answers on Redis 7.0.
    #[test]
    fn keys_have_the_slots_that_servers_give_them() {
        let slots: &[(&str, u16)] = &[
            ("123456789", 12739),
            ("foo", 12182),
            ("{foo}bar", 12182),
            ("a{foo}{bar}", 12182),
            ("", 0),
        ];
        for (key, slot) in slots {
            assert_eq!(cluster_slot(key.as_bytes()), *slot, "{key}");
        }
        for key in ["{}foo", "{foo", "foo}"] {
            let whole = crc16(key.as_bytes()) % CLUSTER_SLOTS;
            assert_eq!(cluster_slot(key.as_bytes()), whole);
        }
    }

    #[test]
    fn sets_hold_the_ranges_that_were_added() {
        let mut slots = ClusterSlots::default();
        assert!(slots.is_empty());
        assert!(slots.add(0, 64) && slots.add_text(b"16383", b"16383"));
        assert!(slots.contains(64) && !slots.contains(65) && slots.contains(16_383));
        assert_eq!(
            (slots.to_string(), slots.len()),
            ("0-64 16383-16383".to_owned(), 66)
        );
        assert_eq!(
            ClusterSlots::from_text(b"0-64 16383-16383").as_ref(),
            Some(&slots)
        );
        let mut some = ClusterSlots::default();
        assert!(some.add(10, 20));
        slots.remove_all(&some);
        assert_eq!(slots.to_string(), "0-9 21-64 16383-16383");
        slots.add_all(&some);
        assert_eq!(slots.ranges().len(), 2);
    }

    #[test]
    fn what_is_no_range_is_refused() {
        let mut slots = ClusterSlots::default();
        for (first, last) in [(5, 4), (0, 16_384), (16_384, 16_384), (u64::MAX, u64::MAX)] {
            assert!(!slots.add(first, last) && slots.is_empty());
        }
        assert!(!slots.add_text(b"-1", b"5") && !slots.add_text(b"1", b"x"));
        for text in [
            "", "5", "5-", "-5", "5-4", "1-2 ", "1-2,3-4", "0-16384", "a-b",
        ] {
            assert_eq!(ClusterSlots::from_text(text.as_bytes()), None, "{text}");
        }
    }
}

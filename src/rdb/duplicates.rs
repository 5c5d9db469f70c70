//! Finds duplicate elements in a packed value.

use super::packed::{IntText, Item};
use ahash::RandomState;

/// A search for duplicates that reuses its table. Its time stays near linear for any input.
#[derive(Debug, Default)]
pub(super) struct Duplicates {
    /// Seeded, so that an attacker cannot choose elements that collide.
    hasher: RandomState,
    /// Open addressing: each hash is at its slot or after it; 0 marks a free slot.
    seen: Vec<u64>,
}

impl Duplicates {
    /// Whether any two of the `len` elements have the same text.
    pub(super) fn any<'a>(
        &mut self,
        len: usize,
        items: impl Iterator<Item = Item<'a>> + Clone,
    ) -> bool {
        self.any_hash(len, items.clone())
            && has_twins(&mut items.map(|item| item.to_vec()).collect::<Vec<_>>())
    }

    fn any_hash<'a>(&mut self, len: usize, mut items: impl Iterator<Item = Item<'a>>) -> bool {
        let mut buffer = IntText::new();
        self.seen.clear();
        self.seen.resize(len.next_power_of_two() * 2, 0);
        items.any(|item| {
            let hash = self.hasher.hash_one(item.text(&mut buffer));
            !self.note(hash.max(1))
        })
    }

    /// Returns false if the hash was noted before, or if there are more elements than announced. A slower, exact check then
    /// decides.
    fn note(&mut self, hash: u64) -> bool {
        let mask = self.seen.len() - 1;
        let first = usize::try_from(hash & mask as u64).unwrap_or(0);
        for step in 0..=mask {
            match self.seen.get_mut((first + step) & mask) {
                Some(free) if *free == 0 => {
                    *free = hash;
                    return true;
                }
                Some(seen) if *seen == hash => return false,
                _ => {}
            }
        }
        false
    }
}

/// Whether any two values are equal. Sorts them.
pub(crate) fn has_twins<T: Ord>(values: &mut [T]) -> bool {
    values.sort_unstable();
    values
        .windows(2)
        .any(|pair| matches!(pair, [one, other] if one == other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_equal_texts_whatever_their_form() {
        let mut duplicates = Duplicates::default();
        assert!(!duplicates.any(
            3,
            [Item::Int(1), Item::Str(b"01"), Item::Str(b"")].into_iter()
        ));
        assert!(duplicates.any(
            3,
            [Item::Int(1), Item::Str(b"x"), Item::Str(b"1")].into_iter()
        ));
        assert!(!duplicates.any(0, [].into_iter()));
    }
}

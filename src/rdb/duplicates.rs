//! Whether an element stands twice in a packed value.

use super::packed::{IntText, Item};
use ahash::RandomState;

/// A search for duplicates whose buffer is used again, in time that stays near linear for any input.
#[derive(Debug, Default)]
pub(super) struct Duplicates {
    /// Seeded, so that nobody can make different elements collide on purpose.
    hasher: RandomState,
    hashes: Vec<u64>,
}

impl Duplicates {
    /// Whether two of the elements have the same text.
    pub(super) fn any<'a>(&mut self, items: impl Iterator<Item = Item<'a>> + Clone) -> bool {
        let mut buffer = IntText::new();
        self.hashes.clear();
        self.hashes.extend(
            items
                .clone()
                .map(|item| self.hasher.hash_one(item.text(&mut buffer))),
        );
        has_twins(&mut self.hashes)
            && has_twins(&mut items.map(|item| item.to_vec()).collect::<Vec<_>>())
    }
}

/// Whether two values are equal; sorts them.
pub(super) fn has_twins<T: Ord>(values: &mut [T]) -> bool {
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
        assert!(!duplicates.any([Item::Int(1), Item::Str(b"01"), Item::Str(b"")].into_iter()));
        assert!(duplicates.any([Item::Int(1), Item::Str(b"x"), Item::Str(b"1")].into_iter()));
        assert!(!duplicates.any([].into_iter()));
    }
}

//! Intsets: a set of integers in one block of bytes, ascending, in Redis's layout.

pub use super::packed::PackedError;

pub(super) const HEADER_BYTES: usize = 8;

/// A valid intset, byte for byte as Redis would write it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intset {
    bytes: Vec<u8>,
}

impl Intset {
    /// Creates an empty intset of 2-byte members.
    #[must_use]
    pub fn new() -> Self {
        Self {
            bytes: vec![2, 0, 0, 0, 0, 0, 0, 0],
        }
    }

    /// Wraps a blob after checking its width, its size, and that its members ascend.
    ///
    /// # Errors
    /// The first thing found wrong. An empty set is refused, as in Redis.
    ///
    /// Source: redis 7.0 intset.c, intsetValidateIntegrity.
    pub fn validate(bytes: Vec<u8>) -> Result<Self, PackedError> {
        let actual = bytes.len();
        let [w0, w1, w2, w3, c0, c1, c2, c3, ..] = *bytes.as_slice() else {
            return Err(PackedError::Header { actual });
        };
        let width = u32::from_le_bytes([w0, w1, w2, w3]);
        let count = u32::from_le_bytes([c0, c1, c2, c3]);
        if !matches!(width, 2 | 4 | 8) {
            return Err(PackedError::Entry {
                at: 0,
                reason: "the member width is not 2, 4 or 8",
            });
        }
        if count == 0 {
            return Err(PackedError::Entry {
                at: 4,
                reason: "an empty intset",
            });
        }
        let stated = 8 + u64::from(width) * u64::from(count);
        if u64::try_from(actual) != Ok(stated) {
            return Err(PackedError::Size { stated, actual });
        }
        let set = Self { bytes };
        match set.first_disorder() {
            Some(index) => Err(PackedError::Entry {
                at: set.place(index),
                reason: "the members are not strictly ascending",
            }),
            None => Ok(set),
        }
    }

    /// Returns the blob.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Size of the blob in bytes.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// Number of members.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members().len() / self.width()
    }

    /// Whether there are no members.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members().is_empty()
    }

    /// Iterates over the members in ascending order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = i64> + ExactSizeIterator + '_ {
        self.members().chunks_exact(self.width()).map(member)
    }

    /// Returns the member at `index` in ascending order.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<i64> {
        let start = index.checked_mul(self.width())?;
        let end = start.checked_add(self.width())?;
        self.members().get(start..end).map(member)
    }

    /// Whether `value` is a member.
    #[must_use]
    pub fn contains(&self, value: i64) -> bool {
        self.search(value).is_ok()
    }

    /// Adds `value`, and widens every member if it needs more bytes. Returns false if it was already a member.
    pub fn insert(&mut self, value: i64) -> bool {
        let Err(index) = self.search(value) else {
            return false;
        };
        self.widen(width_of(value));
        let at = self.place(index);
        let width = self.width();
        self.bytes.reserve_exact(width);
        self.bytes
            .splice(at..at, value.to_le_bytes().into_iter().take(width));
        self.recount();
        true
    }

    /// Removes `value`. Returns false if it was not a member. Members keep their width, as in Redis.
    pub fn remove(&mut self, value: i64) -> bool {
        let Ok(index) = self.search(value) else {
            return false;
        };
        self.bytes.drain(self.place(index)..self.place(index + 1));
        self.recount();
        true
    }

    fn width(&self) -> usize {
        // The width was checked to be 2, 4 or 8, so its first byte is enough.
        self.bytes.first().copied().unwrap_or(2).into()
    }

    fn members(&self) -> &[u8] {
        self.bytes.get(HEADER_BYTES..).unwrap_or_default()
    }

    fn place(&self, index: usize) -> usize {
        HEADER_BYTES + index * self.width()
    }

    fn first_disorder(&self) -> Option<usize> {
        let following = self.iter().skip(1);
        self.iter()
            .zip(following)
            .position(|(one, next)| one >= next)
            .map(|index| index + 1)
    }

    /// Finds `value`: `Ok` with its index, or `Err` with the index at which it belongs.
    fn search(&self, value: i64) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            match self.get(middle).map(|found| found.cmp(&value)) {
                Some(std::cmp::Ordering::Less) => low = middle + 1,
                Some(std::cmp::Ordering::Equal) => return Ok(middle),
                _ => high = middle,
            }
        }
        Err(low)
    }

    fn widen(&mut self, width: u8) {
        if usize::from(width) <= self.width() {
            return;
        }
        let count = self.bytes.get(4..HEADER_BYTES).unwrap_or_default();
        let mut wider = Vec::with_capacity(HEADER_BYTES + (self.len() + 1) * usize::from(width));
        wider.extend_from_slice(&[width, 0, 0, 0]);
        wider.extend_from_slice(count);
        for value in self.iter() {
            wider.extend(value.to_le_bytes().into_iter().take(width.into()));
        }
        self.bytes = wider;
    }

    fn recount(&mut self) {
        let count = u32::try_from(self.len()).unwrap_or(u32::MAX).to_le_bytes();
        if let Some(place) = self.bytes.get_mut(4..HEADER_BYTES) {
            place.copy_from_slice(&count);
        }
    }
}

impl Default for Intset {
    fn default() -> Self {
        Self::new()
    }
}

/// Decodes one member.
#[inline]
fn member(bytes: &[u8]) -> i64 {
    match *bytes {
        [a, b] => i16::from_le_bytes([a, b]).into(),
        [a, b, c, d] => i32::from_le_bytes([a, b, c, d]).into(),
        [a, b, c, d, e, f, g, h] => i64::from_le_bytes([a, b, c, d, e, f, g, h]),
        _ => 0,
    }
}

/// Returns the fewest bytes that hold `value`.
fn width_of(value: i64) -> u8 {
    if i16::try_from(value).is_ok() {
        2
    } else if i32::try_from(value).is_ok() {
        4
    } else {
        8
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn widens_when_a_member_needs_it_and_never_narrows() {
        let mut set = Intset::new();
        assert!(set.insert(5) && set.insert(-1) && !set.insert(5));
        assert_eq!(set.as_bytes(), [2, 0, 0, 0, 2, 0, 0, 0, 0xff, 0xff, 5, 0]);
        assert!(set.insert(-70_000));
        assert_eq!(set.as_bytes()[..8], [4, 0, 0, 0, 3, 0, 0, 0]);
        assert!(set.insert(i64::MAX) && set.remove(i64::MAX) && !set.remove(i64::MAX));
        assert_eq!(set.as_bytes()[..8], [8, 0, 0, 0, 3, 0, 0, 0]);
        assert_eq!(set.iter().collect::<Vec<_>>(), [-70_000, -1, 5]);
    }

    #[test]
    fn refuses_what_is_not_an_intset() {
        let good = [2, 0, 0, 0, 2, 0, 0, 0, 0xff, 0xff, 5, 0];
        assert!(Intset::validate(good.to_vec()).is_ok());
        for len in 0..good.len() {
            assert!(
                Intset::validate(good[..len].to_vec()).is_err(),
                "{len} bytes"
            );
        }
        for bad in [
            &[3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0][..],
            &[2, 0, 0, 0, 0, 0, 0, 0],
            &[2, 0, 0, 0, 2, 0, 0, 0, 5, 0, 5, 0],
            &[2, 0, 0, 0, 2, 0, 0, 0, 5, 0, 4, 0],
            &[8, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0],
            &[2, 0, 0, 0, 1, 0, 0, 0, 5, 0, 6, 0],
        ] {
            assert!(Intset::validate(bad.to_vec()).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn behaves_as_an_ordered_set(edits in prop::collection::vec((any::<bool>(), -40_i64..40, 0..4_u32), 0..80)) {
            let (mut set, mut model) = (Intset::new(), BTreeSet::new());
            for (insert, value, power) in edits {
                let value = value * 4000_i64.pow(power);
                if insert {
                    prop_assert_eq!(set.insert(value), model.insert(value));
                } else {
                    prop_assert_eq!(set.remove(value), model.remove(&value));
                }
                prop_assert!(set.contains(value) == model.contains(&value));
                prop_assert!(set.iter().eq(model.iter().copied()));
                prop_assert_eq!(set.len(), model.len());
                prop_assert!(model.is_empty() || Intset::validate(set.as_bytes().to_vec()).is_ok());
            }
        }
    }
}

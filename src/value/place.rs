//! How clients see a place in a hash table: as a number below 2⁵³, because many clients store cursors as doubles.
//!
//! A place is a bucket and the epoch of the table's layout. A place from another layout means nothing. Bits are scarce: the
//! larger a table is, the more of them its buckets need, and the fewer are left for the epoch. But large tables rarely change
//! their layout: before a table grows again, its number of entries must double. The number also states the size class of
//! its table, so that it is always split into bucket and epoch the way it was made.

use std::sync::atomic::{AtomicU64, Ordering};

/// The numbers that clients receive are below two to the power of this.
pub const NUMBER_BITS: u32 = 53;

/// How many bits hold the size class.
const CLASS_BITS: u32 = 2;

/// How the places of one kind of table map to numbers.
#[derive(Debug, Clone, Copy)]
pub struct Places {
    bits: u32,
    widths: [u32; 1 << CLASS_BITS],
}

impl Places {
    /// Creates a mapping to numbers of `bits` bits. The size classes are tables of up to two to the power of each of `widths`
    /// buckets, smallest first.
    #[must_use]
    pub const fn new(bits: u32, widths: [u32; 1 << CLASS_BITS]) -> Self {
        Self { bits, widths }
    }

    /// Returns the number of `bucket` in a table of `buckets` in layout epoch `epoch`. It is never 0 unless both are 0. Returns
    /// `None` if the table is too large for the numbers.
    #[must_use]
    pub fn number(self, buckets: usize, epoch: u64, bucket: usize) -> Option<u64> {
        let bucket = bucket as u64;
        let (class, width) = self.class(buckets);
        (bucket <= mask(width)).then(|| self.start(class, width, epoch) | bucket)
    }

    /// Returns the bucket that `number` means in a table of `buckets` in layout epoch `epoch`. Returns the first bucket if the
    /// number is from another layout, or was never handed out.
    #[must_use]
    pub fn bucket(self, number: u64, buckets: usize, epoch: u64) -> usize {
        let (class, width) = self.class(buckets);
        if number & !mask(width) != self.start(class, width, epoch) {
            return 0;
        }
        usize::try_from(number & mask(width)).unwrap_or(0)
    }

    fn start(self, class: u64, width: u32, epoch: u64) -> u64 {
        let class_at = self.bits - CLASS_BITS;
        let epoch_bits = class_at - width;
        class << class_at | (epoch & mask(epoch_bits)) << width
    }

    /// Returns the smallest class with enough room, or the last, and the number of bits for its buckets.
    fn class(self, buckets: usize) -> (u64, u32) {
        let fits = |(_, width): &(u64, u32)| (buckets as u64) <= 1 << width;
        let mut classes = (0..).zip(self.widths);
        let last = classes.clone().last().unwrap_or_default();
        classes.find(fits).unwrap_or(last)
    }
}

const fn mask(bits: u32) -> u64 {
    (1 << bits) - 1
}

/// Returns the epoch that the layouts of a new table start with.
///
/// One table can replace another: with a new snapshot, or when a key is overwritten. The start epochs of tables lie far apart, so
/// that a number of the old table is not mistaken for one of the new table. Tables created one after the other start with
/// different epochs, even if only the low bits that fit into a place are compared, and with epochs far from each other. The same
/// most likely holds for the tables of two processes.
#[must_use]
pub fn first_epoch() -> u32 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let own = NEXT.fetch_add(1, Ordering::Relaxed);
    let epoch = own.wrapping_add(of_this_process()).wrapping_mul(STRIDE);
    u32::try_from(epoch & u64::from(u32::MAX)).unwrap_or(0)
}

fn of_this_process() -> u64 {
    static SEED: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
    *SEED.get_or_init(|| fastrand::u64(..))
}

/// Odd, so that its multiples differ in any number of low bits. Close to the golden section of 2¹⁰, 2¹⁷, 2²⁴ and 2³¹ in that
/// many low bits, so that its multiples lie far apart there.
const STRIDE: u64 = 0x4E9D_3A79;

#[cfg(test)]
mod tests {
    #![expect(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        reason = "a test may panic"
    )]

    use super::*;

    const PLACES: Places = Places::new(43, [10, 17, 24, 31]);

    #[test]
    fn a_place_is_found_again_in_its_own_layout_and_in_no_other() {
        for buckets in [8, 1024, 1025, 1 << 17, 1 << 20, 1 << 24, 1 << 28, 1 << 31] {
            for bucket in [1, buckets / 2, buckets - 1] {
                let number = PLACES.number(buckets, 7, bucket).unwrap();
                assert!(number > 0 && number < 1 << 43);
                assert_eq!(PLACES.bucket(number, buckets, 7), bucket);
                for other in [buckets / 2, buckets * 2, 4, 1 << 31] {
                    assert_eq!(PLACES.bucket(number, other, 8), 0, "{buckets} {other}");
                }
            }
        }
    }

    #[test]
    fn a_table_that_grows_never_reads_a_number_of_its_smaller_self() {
        // For any epoch, even if those of both sides agree in all bits but the last step.
        for epoch in (0..1 << 16).chain((1 << 43) - 9..(1 << 43) + 9) {
            for (old, new) in [(1024, 2048), (1 << 17, 1 << 18), (1 << 24, 1 << 25)] {
                for later in [0, 1] {
                    let number = PLACES.number(old, epoch, old - 1).unwrap();
                    assert_eq!(PLACES.bucket(number, new, epoch + later), 0, "{epoch}");
                }
            }
        }
    }

    #[test]
    fn gives_no_number_past_what_numbers_reach() {
        let giant = 1 << 33;
        let last = (1 << 31) - 1;
        let number = PLACES.number(giant, u64::MAX, last).unwrap();
        assert_eq!(number, (1 << 43) - 1);
        assert_eq!(PLACES.number(giant, u64::MAX, last + 1), None);
    }

    #[test]
    fn any_number_means_a_place_within_the_width_of_the_table() {
        for number in (0..64).flat_map(|bit| [1 << bit, u64::MAX >> bit, !(1 << bit)]) {
            for epoch in [0, u64::MAX] {
                assert!(PLACES.bucket(number, 1000, epoch) < 1024);
            }
        }
        assert_eq!(PLACES.bucket(1 << 60 | 5, 8, 0), 0, "no number of ours");
    }

    #[test]
    fn the_beginnings_of_tables_lie_apart_in_few_bits_too() {
        for bits in [10, 17, 24, 31] {
            let places = (0..40u64).map(|own| own.wrapping_mul(STRIDE) & mask(bits));
            let mut places: Vec<u64> = places.collect();
            places.sort_unstable();
            let gaps = places.windows(2).map(|pair| pair[1] - pair[0]);
            let around = places[0] + (1 << bits) - places[39];
            let least = gaps.chain([around]).min().unwrap();
            assert!(least > (1 << bits) / 200, "{bits} bits: {least}");
        }
    }
}

//! Prefetching: asks for memory before it is needed.
//!
//! A command on a random key spends most of its time waiting for memory, three times: for the table's control bytes, for
//! the slot and for the entry. Each of them says where the next one is. A caller that knows several keys in advance can
//! overlap these waits.

use super::db::Table;

/// The hash of a key: the same in all databases of all generations of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyHash(pub(super) u64);

/// How many keys are fetched side by side: more than a core can wait for at once, and few enough for its L1 cache.
pub const GROUP_MAX: usize = 32;

/// What to prefetch. The address of the second is known only once the first has arrived.
#[derive(Debug, Clone, Copy)]
pub enum Fetch {
    /// The bucket in the table.
    Bucket,
    /// The entry.
    Entry,
}

/// Prefetches the control bytes and the slot where the search for `hash` starts.
#[expect(
    clippy::cast_possible_truncation,
    reason = "tables use the low bits alone"
)]
#[inline]
pub(super) fn fetch_bucket(table: &Table, hash: u64) {
    let first = hash as usize & (table.buckets() - 1);
    // Slots lie before this address, the last one first, and control bytes after it.
    let middle = table.data_end().as_ptr();
    fetch_line(middle.cast::<u8>().wrapping_add(first));
    fetch_line(middle.wrapping_sub(first + 1).cast());
}

/// Prefetches the entries that the search for `hash` will compare: usually the key's own entry, or none.
#[inline]
pub(super) fn fetch_entry(table: &Table, hash: u64) {
    // SAFETY: the table is borrowed for as long as the walk lasts, so it is neither dropped nor changed.
    let buckets = unsafe { table.iter_hash(hash) };
    for bucket in buckets {
        // SAFETY: the walk yields full buckets only, and the borrowed table keeps what they hold.
        let (entry, _) = unsafe { bucket.as_ref() };
        entry.block_lines().into_iter().for_each(fetch_line);
    }
}

/// Prefetches the cache line of `address`, which need not belong to us.
#[inline]
pub(super) fn fetch_line(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing and never faults, and every processor of this architecture supports it.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

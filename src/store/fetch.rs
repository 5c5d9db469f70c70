//! Prefetching: asks for memory before it is needed.
//!
//! A command on a random key spends most of its time waiting for memory, three times: for the table's control bytes, for
//! the slot and for the entry. Each of them says where the next one is. A caller that knows several keys in advance can
//! overlap these waits.

use super::db::{Table, shard_of};
use super::keyspaces::Keyspaces;

/// The hash of a key: the same in all databases of all generations of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyHash(pub(super) u64);

/// What to prefetch. The address of the second is known only once the first has arrived.
#[derive(Debug, Clone, Copy)]
pub enum Fetch {
    /// The bucket in the table.
    Bucket,
    /// The entry.
    Entry,
}

impl Keyspaces {
    /// The hash of `key`.
    #[must_use]
    #[inline]
    pub fn hash_of(&self, key: &[u8]) -> KeyHash {
        KeyHash(self.hash(key))
    }

    /// Brings the entries of the keys with these hashes in database `db` closer to the processor. This is a hint: it
    /// changes nothing and waits for no lock. Pass only as many hashes as stay in the cache until they are used.
    pub fn fetch(&self, db: usize, hashes: impl Iterator<Item = KeyHash> + Clone) {
        for step in [Fetch::Bucket, Fetch::Entry] {
            for hash in hashes.clone() {
                self.fetch_step(db, hash, step);
            }
        }
    }

    /// One step of [`fetch`](Self::fetch) for one key, for a caller that has other work to do before the next step.
    #[inline]
    pub fn fetch_step(&self, db: usize, KeyHash(hash): KeyHash, step: Fetch) {
        let shard = self.db(db).and_then(|db| db.shard(shard_of(hash)));
        let Some(table) = shard.and_then(|shard| shard.try_read()) else {
            return;
        };
        match step {
            Fetch::Bucket => fetch_bucket(&table, hash),
            Fetch::Entry => fetch_entry(&table, hash),
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{NewValue, Slot};

    #[test]
    fn fetching_changes_nothing_whatever_is_there() {
        let spaces = Keyspaces::new(2);
        let keys: Vec<Vec<u8>> = (0..500u32).map(|key| key.to_le_bytes().to_vec()).collect();
        let fetch = |db| spaces.fetch(db, keys.iter().map(|key| spaces.hash_of(key)));
        fetch(0);
        assert!(spaces.db(0).is_none());
        for key in keys.iter().step_by(2) {
            let mut tx = spaces.write(0, [spaces.slot(0, key)]);
            tx.set(key, None, NewValue::text(key));
        }
        [0, 1, 7, usize::MAX].into_iter().for_each(fetch);
        assert_eq!(spaces.db(0).map(crate::store::Db::len), Some(250));
    }

    #[test]
    fn a_shard_that_is_locked_is_passed_over() {
        let spaces = Keyspaces::new(1);
        let slot: Slot = spaces.slot(0, b"k");
        let mut tx = spaces.write(0, [slot]);
        tx.set(b"k", None, NewValue::text(b"v"));
        spaces.fetch(0, std::iter::once(spaces.hash_of(b"k")));
        assert!(tx.exists(b"k"));
    }
}

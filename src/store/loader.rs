//! Filling a new generation from a snapshot.

use super::db::{Db, Delta, SHARDS, SHARES, insert_new, shard_of, shares};
use super::entry::Entry;
use super::fetch::fetch_bucket;
use super::keyspaces::Keyspaces;

/// Entries that wait per shard before they are inserted together: enough that a shard's table is fetched into the cache
/// once for many inserts, few enough that what waits stays in the cache too.
const BATCH: usize = 32;

/// A snapshot names a key twice in one database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("key {0:?} stands twice in database {1}")]
pub struct DuplicateKey(pub String, pub usize);

/// Inserts keys into a generation that nobody reads yet, in batches per shard.
#[derive(Debug)]
pub struct Loader<'a> {
    spaces: &'a Keyspaces,
    number: usize,
    db: Option<&'a Db>,
    batches: Vec<Vec<(u64, Entry)>>,
    delta: Delta,
}

impl<'a> Loader<'a> {
    /// A loader that starts with database 0.
    #[must_use]
    pub fn new(spaces: &'a Keyspaces) -> Self {
        let batches = (0..SHARDS).map(|_| Vec::new()).collect();
        Self {
            spaces,
            number: 0,
            db: None,
            batches,
            delta: Delta::default(),
        }
    }

    /// Goes on with database `db`.
    ///
    /// # Errors
    /// [`DuplicateKey`] among what still waited.
    pub fn select(&mut self, db: usize) -> Result<(), DuplicateKey> {
        self.finish()?;
        self.number = db;
        self.db = None;
        Ok(())
    }

    /// Makes room for `keys` keys in the current database. A hint; the caller bounds it by what the input can hold.
    pub fn reserve(&mut self, keys: usize) {
        let Some(db) = self.current() else { return };
        for (shard, share) in shares().iter().enumerate() {
            // Keys spread over shards like balls over bins: two deviations more than the mean, and few shards must grow.
            let mean = keys * share / SHARES;
            let room = mean + 2 * mean.isqrt();
            if let Some(lock) = db.shard(shard)
                && room > 0
            {
                lock.write()
                    .reserve(room, |(entry, _)| db.hash(entry.key()));
            }
        }
    }

    fn current(&mut self) -> Option<&'a Db> {
        if self.db.is_none() {
            self.db = self.spaces.db_or_create(self.number);
        }
        self.db
    }

    /// Adds one entry to the current database.
    ///
    /// # Errors
    /// [`DuplicateKey`], possibly for an entry added before.
    #[inline]
    pub fn insert(&mut self, entry: Entry) -> Result<(), DuplicateKey> {
        let hash = self.spaces.hash(entry.key());
        let shard = shard_of(hash);
        // Now, while its block is near.
        self.delta.add(Delta::of(&entry));
        let Some(batch) = self.batches.get_mut(shard) else {
            return Ok(());
        };
        batch.push((hash, entry));
        if batch.len() >= BATCH {
            self.flush(shard)
        } else {
            Ok(())
        }
    }

    fn flush(&mut self, shard: usize) -> Result<(), DuplicateKey> {
        let Some(db) = self.current() else {
            return Ok(());
        };
        let (Some(batch), Some(lock)) = (self.batches.get_mut(shard), db.shard(shard)) else {
            return Ok(());
        };
        let mut table = lock.write();
        batch
            .iter()
            .for_each(|(hash, _)| fetch_bucket(&table, *hash));
        for (hash, entry) in batch.drain(..) {
            if let Err(entry) = insert_new(&mut table, hash, entry, db.hasher()) {
                let key = String::from_utf8_lossy(entry.key()).into_owned();
                return Err(DuplicateKey(key, self.number));
            }
        }
        Ok(())
    }

    /// Inserts all that still waits.
    ///
    /// # Errors
    /// [`DuplicateKey`].
    pub fn finish(&mut self) -> Result<(), DuplicateKey> {
        for shard in 0..SHARDS {
            if self
                .batches
                .get(shard)
                .is_some_and(|batch| !batch.is_empty())
            {
                self.flush(shard)?;
            }
        }
        if let Some(db) = self.db {
            db.publish(std::mem::take(&mut self.delta));
        }
        Ok(())
    }
}

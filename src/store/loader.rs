//! Filling a new generation from a snapshot.

use super::db::{Db, Delta, SHARDS, SHARES, insert_new, shard_of, shares};
use super::entry::{Entry, NewValue};
use super::fetch::fetch_bucket;
use super::keyspaces::Keyspaces;

/// Keys that wait per shard before they are inserted together: enough that a shard's table is fetched into the cache
/// once for many inserts, few enough that what waits stays in the cache too.
const BATCH: usize = 32;

/// Bytes of short strings that wait, in all, before every shard gets its own: as much as stays in L2.
const WAITING_BYTES: usize = 1 << 20;

/// A longer string gets its block at once.
const SHORT_BYTES: usize = 256;

/// A snapshot names a key twice in one database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("key {0:?} stands twice in database {1}")]
pub struct DuplicateKey(pub String, pub usize);

/// Inserts keys into a generation that nobody reads yet, in batches per shard.
///
/// Short strings get their blocks only when their batch is inserted. So those of a shard lie side by side in memory, a batch
/// at a time, and who walks a shard finds many in one page.
#[derive(Debug)]
pub struct Loader<'a> {
    spaces: &'a Keyspaces,
    number: usize,
    db: Option<&'a Db>,
    batches: Vec<Vec<(u64, Waiting)>>,
    short: Short,
    delta: Delta,
}

/// What waits for its batch.
#[derive(Debug)]
enum Waiting {
    Entry(Entry),
    /// Where a short string lies in [`Short`].
    Short(u32),
}

/// Blocks of short strings that wait, one behind the other, each behind its length (u16).
#[derive(Debug, Default)]
struct Short(Vec<u8>);

impl Short {
    /// Takes a string in; gives where it lies. `None` if it is not short, or nothing more fits.
    #[inline]
    fn push(&mut self, key: &[u8], expire_at_ms: Option<i64>, text: &[u8]) -> Option<u32> {
        if key.len() > SHORT_BYTES || text.len() > SHORT_BYTES {
            return None;
        }
        let place = self.0.len();
        self.0.extend_from_slice(&[0; 2]);
        Entry::write_text(key, expire_at_ms, text, &mut self.0);
        let len = u16::try_from(self.0.len() - place - 2).ok()?;
        *self.0.get_mut(place..)?.first_chunk_mut()? = len.to_le_bytes();
        u32::try_from(place).ok()
    }

    /// The entry of the string that lies there, as [`push`](Self::push) told.
    #[inline]
    fn entry(&self, place: u32) -> Option<Entry> {
        let (len, rest) = self.0.get(place as usize..)?.split_first_chunk()?;
        let block = rest.get(..u16::from_le_bytes(*len).into())?;
        // SAFETY: a whole block was written there, behind its length.
        Some(unsafe { Entry::of_block(block) })
    }
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
            short: Short::default(),
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
        self.insert_hashed(self.spaces.hash(entry.key()), entry)
    }

    /// As [`insert`](Self::insert), for a key that keeps no time of use.
    ///
    /// # Errors
    /// [`DuplicateKey`], possibly for an entry added before.
    #[inline]
    pub fn add(
        &mut self,
        key: &[u8],
        expire_at_ms: Option<i64>,
        value: NewValue<'_>,
    ) -> Result<(), DuplicateKey> {
        let hash = self.spaces.hash(key);
        if let NewValue::Text { bytes, raw: false } = value
            && let Some(place) = self.short.push(key, expire_at_ms, bytes)
        {
            self.wait(hash, Waiting::Short(place))?;
            return match self.short.0.len() {
                ..WAITING_BYTES => Ok(()),
                _ => self.flush_all(),
            };
        }
        self.insert_hashed(hash, Entry::new(key, expire_at_ms, value))
    }

    #[inline]
    fn insert_hashed(&mut self, hash: u64, entry: Entry) -> Result<(), DuplicateKey> {
        // Now, while its block is near.
        self.delta.add(Delta::of(&entry));
        self.wait(hash, Waiting::Entry(entry))
    }

    #[inline]
    fn wait(&mut self, hash: u64, what: Waiting) -> Result<(), DuplicateKey> {
        let shard = shard_of(hash);
        let Some(batch) = self.batches.get_mut(shard) else {
            return Ok(());
        };
        batch.push((hash, what));
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
        for (hash, waiting) in batch.drain(..) {
            let entry = match waiting {
                Waiting::Entry(entry) => entry,
                Waiting::Short(place) => {
                    // A place stays as it was told until all that waits has been inserted.
                    let Some(entry) = self.short.entry(place) else {
                        continue;
                    };
                    self.delta.add(Delta::of(&entry));
                    entry
                }
            };
            if let Err(entry) = insert_new(&mut table, hash, entry, db.hasher()) {
                let key = String::from_utf8_lossy(entry.key()).into_owned();
                return Err(DuplicateKey(key, self.number));
            }
        }
        Ok(())
    }

    fn flush_all(&mut self) -> Result<(), DuplicateKey> {
        for shard in 0..SHARDS {
            let batch = self.batches.get(shard);
            if batch.is_some_and(|batch| !batch.is_empty()) {
                self.flush(shard)?;
            }
        }
        self.short.0.clear();
        Ok(())
    }

    /// Inserts all that still waits.
    ///
    /// # Errors
    /// [`DuplicateKey`].
    pub fn finish(&mut self) -> Result<(), DuplicateKey> {
        self.flush_all()?;
        if let Some(db) = self.db {
            db.publish(std::mem::take(&mut self.delta));
        }
        Ok(())
    }
}

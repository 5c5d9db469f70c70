//! Fills a new generation from a snapshot.

use super::db::{Db, Delta, SHARDS, SHARES, insert_new, shard_of, shares};
use super::entry::{Entry, NewValue};
use super::fetch::fetch_bucket;
use super::keyspaces::Keyspaces;

/// How many keys wait per shard before they are inserted together: enough that one fetch of a shard's table into the
/// cache serves many inserts, few enough that the waiting keys stay in the cache too.
const BATCH: usize = 32;

/// Total bytes of waiting short strings at which every shard inserts its batch: as much as stays in L2.
const WAITING_BYTES: usize = 1 << 20;

/// Maximum bytes of a short key, and of a short text. A longer string gets its block at once.
const SHORT_BYTES: usize = 256;

/// A snapshot contains the same key twice in one database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("duplicate key {0:?} in database {1}")]
pub struct DuplicateKey(pub String, pub usize);

/// Inserts keys, in batches per shard, into a generation that nobody reads yet.
///
/// Short strings get their blocks only when their batch is inserted. So the blocks of a shard lie side by side in memory,
/// one batch at a time, and a walk over the shard finds many of them in one page.
#[derive(Debug)]
pub struct Loader<'a> {
    spaces: &'a Keyspaces,
    number: usize,
    db: Option<&'a Db>,
    batches: Vec<Vec<(u64, Waiting)>>,
    short: Short,
    delta: Delta,
}

/// A key that waits for its batch.
#[derive(Debug)]
enum Waiting {
    Entry(Entry),
    /// The offset of a short string in [`Short`].
    Short(u32),
}

/// The blocks of waiting short strings, one after the other, each after its length (u16).
#[derive(Debug, Default)]
struct Short(Vec<u8>);

impl Short {
    /// Appends a string and returns its offset. Returns `None` if the string is not short, or if nothing more fits.
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

    /// The entry of the string at `place`, an offset that [`push`](Self::push) returned.
    #[inline]
    fn entry(&self, place: u32) -> Option<Entry> {
        let (len, rest) = self.0.get(place as usize..)?.split_first_chunk()?;
        let block = rest.get(..u16::from_le_bytes(*len).into())?;
        // SAFETY: `push` wrote a whole block there, after its length.
        Some(unsafe { Entry::of_block(block) })
    }
}

impl<'a> Loader<'a> {
    /// A loader that starts with database 0.
    #[must_use]
    pub(super) fn new(spaces: &'a Keyspaces) -> Self {
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

    /// Continues with database `db`.
    ///
    /// # Errors
    /// [`DuplicateKey`] among the keys that still waited.
    pub fn select(&mut self, db: usize) -> Result<(), DuplicateKey> {
        self.finish()?;
        self.number = db;
        self.db = None;
        Ok(())
    }

    /// Makes room for `keys` keys in the current database. A hint; the caller limits `keys` to what the input can hold.
    pub fn reserve(&mut self, keys: usize) {
        let Some(db) = self.current() else { return };
        for (shard, share) in shares().iter().enumerate() {
            // Keys spread over shards like balls over bins. With room for two deviations above the mean, few shards must
            // grow.
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
    /// [`DuplicateKey`], possibly for an entry added earlier.
    #[inline]
    pub fn insert(&mut self, entry: Entry) -> Result<(), DuplicateKey> {
        self.insert_hashed(self.spaces.hash(entry.key()), entry)
    }

    /// Like [`insert`](Self::insert), for a key that keeps no time of last use.
    ///
    /// # Errors
    /// [`DuplicateKey`], possibly for an entry added earlier.
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
        // Weigh the entry now, while its block is in the cache.
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
                    // A place stays valid until everything that waits has been inserted.
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

    /// Inserts everything that still waits.
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

//! Fills a new generation from a snapshot.

use super::db::{Db, Delta, SHARDS, SHARES, insert_new, shard_of, shares};
use super::entry::{Entry, NewValue};
use super::fetch::fetch_bucket;
use super::keyspaces::Keyspaces;
use super::kinds::{Kind, Weight};

/// How many keys wait per shard before they are inserted together: enough that one fetch of a shard's table into the
/// cache serves many inserts, few enough that the waiting keys stay in the cache too.
const BATCH: usize = 32;

/// Total bytes of waiting short strings at which every shard inserts its batch: as much as stays in L2.
const WAITING_BYTES: usize = 1 << 20;

/// Maximum bytes of a short key, and of a short text. A longer string gets its block at once.
const SHORT_BYTES: usize = 256;

/// Why a key of a snapshot was not loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoaderError {
    /// The snapshot contains the same key twice in one database.
    #[error("duplicate key {key:?} in database {db}")]
    Duplicate {
        /// The key.
        key: String,
        /// The database.
        db: usize,
    },
    /// The key has no place in the generation. Only a bug of redtail or a database that the caller has not made room for
    /// can cause this; a key that is merely left out would read as absent.
    #[error("key {key:?} has no place in database {db}: {reason}; please report this")]
    NoPlace {
        /// The key.
        key: String,
        /// The database.
        db: usize,
        /// What is missing.
        reason: &'static str,
    },
}

/// Inserts keys, in batches per shard, into a generation that nobody reads yet. After an error it is of no further use.
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
    /// The figures of the current database, by kind.
    deltas: [Delta; Kind::COUNT],
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
            deltas: [Delta::default(); Kind::COUNT],
        }
    }

    /// Continues with database `db`.
    ///
    /// # Errors
    /// [`LoaderError`] for one of the keys that still waited.
    pub fn select(&mut self, db: usize) -> Result<(), LoaderError> {
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
    /// [`LoaderError`], possibly for an entry added earlier.
    #[inline]
    pub fn insert(&mut self, entry: Entry) -> Result<(), LoaderError> {
        self.insert_hashed(self.spaces.hash(entry.key()), entry)
    }

    /// Like [`insert`](Self::insert), for a key that keeps no time of last use.
    ///
    /// # Errors
    /// [`LoaderError`], possibly for an entry added earlier.
    #[inline]
    pub fn add(
        &mut self,
        key: &[u8],
        expire_at_ms: Option<i64>,
        value: NewValue<'_>,
    ) -> Result<(), LoaderError> {
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
    fn insert_hashed(&mut self, hash: u64, entry: Entry) -> Result<(), LoaderError> {
        // Weigh the entry now, while its block is in the cache.
        count(&mut self.deltas, &entry);
        self.wait(hash, Waiting::Entry(entry))
    }

    #[inline]
    fn wait(&mut self, hash: u64, what: Waiting) -> Result<(), LoaderError> {
        let shard = shard_of(hash);
        let Some(batch) = self.batches.get_mut(shard) else {
            return Err(self.no_place(&what, NO_SHARD));
        };
        batch.push((hash, what));
        if batch.len() >= BATCH {
            self.flush(shard)
        } else {
            Ok(())
        }
    }

    fn flush(&mut self, shard: usize) -> Result<(), LoaderError> {
        let Some(db) = self.current() else {
            return self.nothing_waits(shard, NO_DATABASE);
        };
        let (Some(batch), Some(lock)) = (self.batches.get_mut(shard), db.shard(shard)) else {
            return self.nothing_waits(shard, NO_SHARD);
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
                        let key = unnamed(place);
                        let (db, reason) = (self.number, NO_TEXT);
                        return Err(LoaderError::NoPlace { key, db, reason });
                    };
                    count(&mut self.deltas, &entry);
                    entry
                }
            };
            self.spaces.note_inserted(entry.key());
            if let Err(entry) = insert_new(&mut table, hash, entry, db.hasher()) {
                let (key, db) = (name(&entry), self.number);
                return Err(LoaderError::Duplicate { key, db });
            }
        }
        Ok(())
    }

    /// Refuses to leave out the keys that wait for a shard which cannot be had: names the first of them.
    #[cold]
    fn nothing_waits(&self, shard: usize, reason: &'static str) -> Result<(), LoaderError> {
        let batch = self.batches.get(shard);
        let first = batch.and_then(|batch| batch.first());
        first.map_or(Ok(()), |(_, first)| Err(self.no_place(first, reason)))
    }

    #[cold]
    fn no_place(&self, waiting: &Waiting, reason: &'static str) -> LoaderError {
        let key = match waiting {
            Waiting::Entry(entry) => name(entry),
            Waiting::Short(place) => {
                let entry = self.short.entry(*place);
                entry.map_or_else(|| unnamed(*place), |entry| name(&entry))
            }
        };
        let db = self.number;
        LoaderError::NoPlace { key, db, reason }
    }

    fn flush_all(&mut self) -> Result<(), LoaderError> {
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
    /// [`LoaderError`].
    pub fn finish(&mut self) -> Result<(), LoaderError> {
        self.flush_all()?;
        if let Some(db) = self.db {
            for (kind, delta) in Kind::ALL.into_iter().zip(std::mem::take(&mut self.deltas)) {
                db.publish(kind, delta);
            }
        }
        Ok(())
    }
}

#[inline]
fn count(deltas: &mut [Delta; Kind::COUNT], entry: &Entry) {
    let weight = Weight::of(entry);
    if let Some(delta) = deltas.get_mut(weight.kind as usize) {
        delta.add(weight.delta);
    }
}

fn name(entry: &Entry) -> String {
    String::from_utf8_lossy(entry.key()).into_owned()
}

/// What an error shows instead of a key whose bytes are gone.
fn unnamed(place: u32) -> String {
    format!("the waiting string at {place}")
}

const NO_DATABASE: &str = "there is no such database";
const NO_SHARD: &str = "there is no such shard";
const NO_TEXT: &str = "its bytes are gone";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::keyspaces::DATABASES_GROWN_MAX;

    fn no_place(key: &str, db: usize, reason: &'static str) -> Result<(), LoaderError> {
        let key = key.to_owned();
        Err(LoaderError::NoPlace { key, db, reason })
    }

    #[test]
    fn a_key_of_a_database_that_cannot_be_had_is_an_error_that_names_it() {
        let spaces = Keyspaces::new(1);
        let values: [fn() -> NewValue<'static>; 2] =
            [|| NewValue::text(b"short"), || NewValue::Integer(5)];
        for value in values {
            let mut loader = Loader::new(&spaces);
            assert_eq!(loader.select(DATABASES_GROWN_MAX), Ok(()));
            loader.reserve(1000);
            assert_eq!(loader.add(b"lost", None, value()), Ok(()));
            let expected = no_place("lost", DATABASES_GROWN_MAX, NO_DATABASE);
            assert_eq!(loader.finish(), expected);
            let shown = expected.map_err(|error| error.to_string());
            assert!(
                shown.is_err_and(|text| text.contains("\"lost\" has no place in database 1024"))
            );
        }
    }

    #[test]
    fn a_full_batch_without_a_database_is_refused_before_the_end() {
        let spaces = Keyspaces::new(1);
        let mut loader = Loader::new(&spaces);
        assert_eq!(loader.select(DATABASES_GROWN_MAX), Ok(()));
        let mut added = (0..=BATCH * SHARDS).map(|number| {
            let key = number.to_string();
            loader.add(key.as_bytes(), None, NewValue::Integer(1))
        });
        assert!(added.any(|added| added.is_err()));
    }

    #[test]
    fn a_waiting_string_whose_bytes_are_gone_is_an_error() {
        let spaces = Keyspaces::new(1);
        let mut loader = Loader::new(&spaces);
        assert_eq!(loader.wait(7, Waiting::Short(99)), Ok(()));
        let expected = no_place("the waiting string at 99", 0, NO_TEXT);
        assert_eq!(loader.finish(), expected);
        assert_eq!(spaces.db(0).map(|db| db.len()), Some(0));
    }
}

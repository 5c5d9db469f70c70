//! The field names of compact hashes, which hashes with the same fields share (Redis 8.10's hash templates).
//!
//! Source: redis 8.10 t_hash.c, `hashTemplate`, from documents: no server of that version was asked.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

use ahash::RandomState;

/// Field names in strictly ascending order: shorter ones first, then by their bytes.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Names {
    /// All names, one after the other.
    text: Box<[u8]>,
    /// Where each name ends in `text`.
    ends: Box<[u32]>,
}

/// Collects names until they are all there.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    text: Vec<u8>,
    ends: Vec<u32>,
}

/// What is wrong with a list of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NamesError {
    /// A name does not follow the one before it.
    Order,
    /// Together they are longer than 4 GiB.
    TooLong,
}

impl NamesError {
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::Order => "the field names of a hash template are not in strictly ascending order",
            Self::TooLong => "the field names of a hash template are longer than 4 GiB",
        }
    }
}

impl Collected {
    /// Adds a name.
    pub(crate) fn push(&mut self, name: &[u8]) -> Result<(), NamesError> {
        let last = self.ends.len().checked_sub(1);
        let last = last.and_then(|last| slice(&self.text, &self.ends, last));
        if last.is_some_and(|last| order(last, name) != Ordering::Less) {
            return Err(NamesError::Order);
        }
        let end = u32::try_from(self.text.len() + name.len()).map_err(|_| NamesError::TooLong)?;
        self.text.extend_from_slice(name);
        self.ends.push(end);
        Ok(())
    }

    /// Returns the names, or the same names of another hash that already exist in this process.
    pub(crate) fn share(self) -> Arc<Names> {
        let names = Names {
            text: self.text.into_boxed_slice(),
            ends: self.ends.into_boxed_slice(),
        };
        SHARED.share(names)
    }
}

impl Names {
    /// The number of names.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no name.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Returns the name at `index`.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        slice(&self.text, &self.ends, index)
    }

    /// Iterates over the names in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    /// Finds a name: `Ok` with its index, or `Err` with the index where it belongs.
    ///
    /// # Errors
    /// If there is no such name.
    pub fn find(&self, name: &[u8]) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            match order(self.get(middle).unwrap_or_default(), name) {
                Ordering::Less => low = middle + 1,
                Ordering::Equal => return Ok(middle),
                Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }

    /// Returns these names with `name`, which is not one of them.
    #[must_use]
    pub fn with(&self, name: &[u8]) -> Arc<Self> {
        let at = self.find(name).unwrap_or_else(|at| at);
        let (before, after) = (self.iter().take(at), self.iter().skip(at));
        collect(before.chain([name]).chain(after))
    }

    /// Returns these names without the one at `index`.
    #[must_use]
    pub fn without(&self, index: usize) -> Arc<Self> {
        collect(self.iter().take(index).chain(self.iter().skip(index + 1)))
    }
}

/// Collects names that are in order.
fn collect<'n>(names: impl Iterator<Item = &'n [u8]>) -> Arc<Names> {
    let mut collected = Collected::default();
    for name in names {
        let pushed = collected.push(name);
        debug_assert!(pushed.is_ok(), "names are in order");
    }
    collected.share()
}

impl Drop for Names {
    fn drop(&mut self) {
        SHARED.forget_dead(self);
    }
}

fn slice<'t>(text: &'t [u8], ends: &[u32], index: usize) -> Option<&'t [u8]> {
    let start = match index.checked_sub(1) {
        Some(before) => *ends.get(before)? as usize,
        None => 0,
    };
    text.get(start..*ends.get(index)? as usize)
}

/// Source: redis 8.10 sds.c, `sdscmplen`.
fn order(one: &[u8], other: &[u8]) -> Ordering {
    one.len().cmp(&other.len()).then_with(|| one.cmp(other))
}

static SHARED: LazyLock<Shared> = LazyLock::new(Shared::default);

/// All names in use, by their hash.
#[derive(Default)]
struct Shared {
    hasher: RandomState,
    names: Mutex<HashMap<u64, Vec<Weak<Names>>>>,
}

impl Shared {
    fn share(&self, names: Names) -> Arc<Names> {
        let hash = self.hasher.hash_one(&names);
        // Dropping the last reference takes the lock, so references are dropped after it is released.
        let mut seen = Vec::new();
        let mut all = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let alike = all.entry(hash).or_default();
        seen.extend(alike.iter().filter_map(Weak::upgrade));
        let found = seen.iter().find(|found| ***found == names).map(Arc::clone);
        let shared = match found {
            Some(shared) => {
                // Dropped by its own reference count, after the lock.
                seen.push(Arc::new(names));
                shared
            }
            None => {
                let shared = Arc::new(names);
                alike.push(Arc::downgrade(&shared));
                shared
            }
        };
        drop(all);
        drop(seen);
        shared
    }

    fn forget_dead(&self, names: &Names) {
        let hash = self.hasher.hash_one(names);
        let mut all = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(alike) = all.get_mut(&hash) {
            alike.retain(|names| names.strong_count() > 0);
            if alike.is_empty() {
                all.remove(&hash);
            }
        }
    }
}

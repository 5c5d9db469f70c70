//! Walks over keys and over large values, a few elements at a time.
//!
//! Each step is one read: it holds its shards for as long as it takes to copy some hundred elements. Between two steps the writer
//! changes what it likes, so a walk is not of one moment. The cursors are those of SCAN and its relatives (`store/scan.rs`,
//! `value/place.rs`), with their guarantee.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::database::{Database, Pair, Place, StreamEntry};
use super::{Error, Replica};
use crate::command::glob::Glob;
use crate::command::values::after;
use crate::rdb::stream::StreamId;
use crate::store::{Cursor, Names};
use crate::value::{self, List, Set, Zset};

/// How many elements [`Scan`] fetches at a time.
const SCAN_COUNT: usize = 256;

/// A walk, from [`Database::scan`] and its relatives. Returns what exists from the beginning of the walk to its end at least once,
/// possibly twice; what is added or removed meanwhile may be missing or not.
///
/// An error, such as [`Error::Loading`], is the walk's last item.
pub struct Scan<'r, T = Vec<u8>, P = Replica> {
    database: Database<'r, P>,
    /// A key, or the pattern of keys.
    name: Vec<u8>,
    step: Step<'r, T, P>,
    /// Where the next step begins, in a number of the step's own; `None` after the last.
    next: Option<u128>,
    found: VecDeque<T>,
}

type Step<'r, T, P> = fn(Database<'r, P>, &[u8], u128) -> Result<Found<T>, Error>;

/// What a step has found, and where the next one begins.
type Found<T> = (VecDeque<T>, Option<u128>);

impl<T, P> fmt::Debug for Scan<'_, T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scan")
            .field("database", &self.database)
            .field("is_over", &(self.next.is_none() && self.found.is_empty()))
            .finish_non_exhaustive()
    }
}

impl<'r, T, P: Place> Scan<'r, T, P> {
    fn new(database: Database<'r, P>, name: Vec<u8>, step: Step<'r, T, P>) -> Self {
        Self {
            database,
            name,
            step,
            next: Some(0),
            found: VecDeque::new(),
        }
    }

    /// Takes the next step; `None` after the last.
    fn fetch(&mut self) -> Option<Result<(), Error>> {
        let place = self.next.take()?;
        let fetched = (self.step)(self.database, &self.name, place);
        Some(fetched.map(|(found, next)| (self.found, self.next) = (found, next)))
    }
}

impl<T, P: Place> Iterator for Scan<'_, T, P> {
    type Item = Result<T, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(item) = self.found.pop_front() {
                return Some(Ok(item));
            }
            if let Err(error) = self.fetch()? {
                return Some(Err(error));
            }
        }
    }
}

impl<'r, T> Scan<'r, T> {
    /// The same walk for an async program: between two steps, other tasks run.
    ///
    /// ```no_run
    /// # async fn read(replica: &redtail::Replica) -> Result<(), redtail::Error> {
    /// let mut keys = replica.database(0).scan("user:*").stream();
    /// while let Some(key) = keys.next().await {
    ///     println!("{:?}", key?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub const fn stream(self) -> ScanStream<'r, T> {
        ScanStream {
            scan: self,
            has_rested: true,
        }
    }
}

/// A walk as a stream: from [`Scan::stream`].
#[derive(Debug)]
pub struct ScanStream<'r, T = Vec<u8>> {
    scan: Scan<'r, T>,
    /// Whether other tasks have had their turn since the last step.
    has_rested: bool,
}

impl<T: Unpin> ScanStream<'_, T> {
    /// The next item; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<T, Error>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

impl<T: Unpin> Stream for ScanStream<'_, T> {
    type Item = Result<T, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(item) = self.scan.found.pop_front() {
            return Poll::Ready(Some(Ok(item)));
        }
        if self.has_rested {
            self.has_rested = false;
            match self.scan.fetch() {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                Some(Ok(())) => {}
            }
            if let Some(item) = self.scan.found.pop_front() {
                return Poll::Ready(Some(Ok(item)));
            }
        }
        self.has_rested = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<'r, P: Place> Database<'r, P> {
    /// Walks over the keys that match the glob `pattern`, without holding the writer up.
    #[must_use]
    pub fn scan(&self, pattern: impl Into<Vec<u8>>) -> Scan<'r, Vec<u8>, P> {
        Scan::new(*self, pattern.into(), keys)
    }

    /// Walks over the fields of a hash with their values. Ends at once if the key does not exist.
    #[must_use]
    pub fn hscan(&self, key: impl Into<Vec<u8>>) -> Scan<'r, Pair, P> {
        Scan::new(*self, key.into(), fields)
    }

    /// Walks over the members of a set.
    #[must_use]
    pub fn sscan(&self, key: impl Into<Vec<u8>>) -> Scan<'r, Vec<u8>, P> {
        Scan::new(*self, key.into(), members)
    }

    /// Walks over the members of a sorted set with their scores, in no particular order.
    #[must_use]
    pub fn zscan(&self, key: impl Into<Vec<u8>>) -> Scan<'r, (Vec<u8>, f64), P> {
        Scan::new(*self, key.into(), scored_members)
    }

    /// Walks over the elements of a list by their indexes, from the first to the last. If elements are added or removed before
    /// the place that the walk has reached, it misses some or returns some twice.
    #[must_use]
    pub fn lscan(&self, key: impl Into<Vec<u8>>) -> Scan<'r, Vec<u8>, P> {
        Scan::new(*self, key.into(), list_elements)
    }

    /// Walks over the entries of a stream in the order of their ids. Returns each entry that exists from the beginning to the end
    /// exactly once.
    #[must_use]
    pub fn xscan(&self, key: impl Into<Vec<u8>>) -> Scan<'r, StreamEntry, P> {
        Scan::new(*self, key.into(), stream_entries)
    }
}

fn keys<P: Place>(
    database: Database<'_, P>,
    pattern: &[u8],
    place: u128,
) -> Result<Found<Vec<u8>>, Error> {
    let cursor = Cursor::from_number(cursor(place));
    database.place.survey(database.number, |hold, dialect| {
        let pattern = Glob::new(pattern, dialect);
        hold.read(Names::Existence, |view| {
            let mut found = VecDeque::new();
            let next = view.scan(cursor, SCAN_COUNT, |entry| {
                if view.lists(entry) && pattern.matches(entry.key()) {
                    found.push_back(entry.key().to_vec());
                }
            });
            Ok((found, place_of(next.number())))
        })
    })
}

fn fields<P: Place>(
    database: Database<'_, P>,
    key: &[u8],
    place: u128,
) -> Result<Found<Pair>, Error> {
    database.hash(key, |seen| {
        let Some(seen) = seen else {
            return (VecDeque::new(), None);
        };
        let mut found = VecDeque::new();
        let next = seen.hash.scan(cursor(place), SCAN_COUNT, |field| {
            if !field.is_expired(seen.now_ms) {
                found.push_back((field.name.to_vec(), field.value.to_vec()));
            }
        });
        (found, place_of(next))
    })
}

fn members<P: Place>(
    database: Database<'_, P>,
    key: &[u8],
    place: u128,
) -> Result<Found<Vec<u8>>, Error> {
    database.collection(key, |set: Option<&Set>| {
        let mut found = VecDeque::new();
        let next = set.map_or(0, |set| {
            set.scan(cursor(place), SCAN_COUNT, |member| {
                found.push_back(member.to_vec())
            })
        });
        (found, place_of(next))
    })
}

fn scored_members<P: Place>(
    database: Database<'_, P>,
    key: &[u8],
    place: u128,
) -> Result<Found<(Vec<u8>, f64)>, Error> {
    database.collection(key, |zset: Option<&Zset>| {
        let mut found = VecDeque::new();
        let next = zset.map_or(0, |zset| {
            zset.scan(cursor(place), SCAN_COUNT, |member, score| {
                found.push_back((member.to_vec(), score));
            })
        });
        (found, place_of(next))
    })
}

fn list_elements<P: Place>(
    database: Database<'_, P>,
    key: &[u8],
    place: u128,
) -> Result<Found<Vec<u8>>, Error> {
    let index = usize::try_from(place).unwrap_or(usize::MAX);
    database.collection(key, |list: Option<&List>| {
        let elements = list.into_iter().flat_map(|list| list.iter_from(index));
        let elements = elements.take(SCAN_COUNT).map(|element| element.to_vec());
        let found: VecDeque<_> = elements.collect();
        let next = index.saturating_add(found.len());
        let has_more = list.is_some_and(|list| next < list.len());
        (found, has_more.then_some(next as u128))
    })
}

fn stream_entries<P: Place>(
    database: Database<'_, P>,
    key: &[u8],
    place: u128,
) -> Result<Found<StreamEntry>, Error> {
    let first = StreamId::from_be_bytes(place.to_be_bytes());
    database.collection(key, |stream: Option<&value::Stream>| {
        let entries = stream
            .into_iter()
            .flat_map(|stream| stream.range(first, StreamId::MAX));
        let entries = entries
            .take(SCAN_COUNT)
            .map(|entry| StreamEntry::of(&entry));
        let found: VecDeque<StreamEntry> = entries.collect();
        let last = found.back().filter(|_| found.len() == SCAN_COUNT);
        let next = last.and_then(|entry| after(entry.id));
        let next = next.map(|id| u128::from_be_bytes(id.to_be_bytes()));
        (found, next)
    })
}

/// The cursor at a place.
fn cursor(place: u128) -> u64 {
    u64::try_from(place).unwrap_or(0)
}

/// The place of a cursor; 0 is the end.
fn place_of(cursor: u64) -> Option<u128> {
    (cursor != 0).then_some(cursor.into())
}

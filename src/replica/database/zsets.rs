//! Sorted sets.

use std::ops::{Bound, Range, RangeBounds};

use super::{Database, Error, Place, with_text};
use crate::command::values::{Bounds, Edge, by_rank};
use crate::value::Zset;

impl<P: Place> Database<'_, P> {
    /// The members of the ranks from `start` to `end`, both included, counted from the end if negative, with their scores, the
    /// lowest score first.
    ///
    /// # Errors
    /// Like [`get`](Self::get).
    pub fn zrange(
        &self,
        key: impl AsRef<[u8]>,
        start: i64,
        end: i64,
    ) -> Result<Vec<(Vec<u8>, f64)>, Error> {
        let mut found = Vec::new();
        let each = |member: &[u8], score| found.push((member.to_vec(), score));
        self.zrange_with(key, start, end, each)?;
        Ok(found)
    }

    /// Passes each of these members with its score to `each` in place. The writer may have to wait for it.
    ///
    /// # Errors
    /// Like [`get`](Self::get); then `each` is not called.
    pub fn zrange_with(
        &self,
        key: impl AsRef<[u8]>,
        start: i64,
        end: i64,
        each: impl FnMut(&[u8], f64),
    ) -> Result<(), Error> {
        let ranks = |zset: &Zset| by_rank(zset, start, end, false);
        self.zset_ranks(key.as_ref(), ranks, each)
    }

    /// The members with scores in a range, with their scores, the lowest first.
    ///
    /// ```no_run
    /// # fn read(replica: &redtail::Replica) -> Result<(), redtail::Error> {
    /// let due = replica.zrange_by_score("jobs", ..=1_700_000_000.0)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Like [`get`](Self::get); [`Error::Reply`] if a bound is NaN.
    pub fn zrange_by_score(
        &self,
        key: impl AsRef<[u8]>,
        scores: impl RangeBounds<f64>,
    ) -> Result<Vec<(Vec<u8>, f64)>, Error> {
        let bounds = Bounds::Score {
            min: edge(scores.start_bound(), f64::NEG_INFINITY)?,
            max: edge(scores.end_bound(), f64::INFINITY)?,
        };
        let mut found = Vec::new();
        let each = |member: &[u8], score| found.push((member.to_vec(), score));
        self.zset_ranks(key.as_ref(), |zset| bounds.ranks(zset, false), each)?;
        Ok(found)
    }

    /// The score of a member; `None` if the key or the member does not exist.
    ///
    /// # Errors
    /// Like [`get`](Self::get).
    pub fn zscore(
        &self,
        key: impl AsRef<[u8]>,
        member: impl AsRef<[u8]>,
    ) -> Result<Option<f64>, Error> {
        self.collection(key.as_ref(), |zset: Option<&Zset>| {
            zset?.score(member.as_ref())
        })
    }

    /// The rank of a member, 0 for the lowest score; `None` if the key or the member does not exist.
    ///
    /// # Errors
    /// Like [`get`](Self::get).
    pub fn zrank(
        &self,
        key: impl AsRef<[u8]>,
        member: impl AsRef<[u8]>,
    ) -> Result<Option<usize>, Error> {
        self.collection(key.as_ref(), |zset: Option<&Zset>| {
            zset?.rank(member.as_ref())
        })
    }

    /// The number of members.
    ///
    /// # Errors
    /// Like [`get`](Self::get).
    pub fn zcard(&self, key: impl AsRef<[u8]>) -> Result<usize, Error> {
        self.collection(key.as_ref(), |zset: Option<&Zset>| {
            zset.map_or(0, Zset::len)
        })
    }

    fn zset_ranks(
        &self,
        key: &[u8],
        ranks: impl FnOnce(&Zset) -> Range<usize>,
        mut each: impl FnMut(&[u8], f64),
    ) -> Result<(), Error> {
        self.collection(key, |zset: Option<&Zset>| {
            let members = zset.map(|zset| zset.range(ranks(zset)));
            for (member, score) in members.into_iter().flatten() {
                with_text(member, |member| each(member, score));
            }
        })
    }
}

/// A bound as the range commands know it; `open` is that of a range without one.
fn edge(bound: Bound<&f64>, open: f64) -> Result<(f64, Edge), Error> {
    let (score, edge) = match bound {
        Bound::Included(score) => (*score, Edge::Included),
        Bound::Excluded(score) => (*score, Edge::Excluded),
        Bound::Unbounded => (open, Edge::Included),
    };
    if score.is_nan() {
        return Err(Error::Reply("ERR min or max is not a float".to_owned()));
    }
    Ok((score, edge))
}

//! The sorted set: packed while it is small, then a table with a separate order.

use std::cmp::Ordering;
use std::ops::Range;

use super::{Error, Thresholds};
use crate::dialect::Dialect;
use crate::rdb::listpack::{IntText, Item, Listpack};
use crate::rdb::records::{Record, Records, Shape};

mod order;
mod packed;
mod table;

use packed::Pairs;
use table::{Members, Table};

/// A member and its score.
pub type Scored = (Box<[u8]>, f64);

/// A sorted set: distinct members, ascending by score and then by their bytes. No score is NaN.
#[derive(Debug, Clone)]
pub struct Zset {
    form: Form,
}

#[derive(Debug, Clone)]
enum Form {
    Packed(Listpack),
    Large(Box<Table>),
}

/// What an insertion did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The member is new.
    Added,
    /// The score of the member has changed.
    Updated,
    /// The member already had this score.
    Same,
}

impl Default for Zset {
    fn default() -> Self {
        Self {
            form: Form::Packed(Listpack::new()),
        }
    }
}

impl Zset {
    /// Takes a listpack of members and scores as Redis packs them. It stays packed if there are few members; their lengths do
    /// not matter.
    ///
    /// Source: redis 7.0 rdb.c, rdbLoadObject.
    ///
    /// The decoder has checked that the members are in order and distinct. Where they are not, a packed set stays as it is.
    ///
    /// # Errors
    /// If the set must be unpacked, and there is a duplicate member or a score that is not a number.
    pub fn from_listpack(listpack: Listpack, thresholds: &Thresholds) -> Result<Self, Error> {
        let form = match listpack.len() / 2 <= thresholds.zset_max_listpack_entries {
            true => Form::Packed(listpack),
            false => Form::Large(Box::new(unpacked(&listpack)?)),
        };
        Ok(Self { form })
    }

    /// Takes members in any order, and packs them if they are few and short. No score may be NaN.
    ///
    /// # Errors
    /// If a score is NaN or there is a duplicate member.
    pub fn from_members(members: &[Scored], thresholds: &Thresholds) -> Result<Self, Error> {
        let members = members.iter();
        let members = members.map(|(member, score)| Record::scored(member, *score));
        Self::from_records(Records::of(Shape::SCORED, members), thresholds)
    }

    /// Like [`from_members`](Self::from_members), but takes the members from a snapshot.
    ///
    /// # Errors
    /// If a score is NaN or there is a duplicate member.
    pub fn from_records(members: Records, thresholds: &Thresholds) -> Result<Self, Error> {
        Self::from_sound(members, thresholds).map_err(|error| match error {
            // The members have been sorted, so one that does not ascend is a duplicate.
            Error::Duplicate | Error::Order => Error::MemberTwice,
            other => other,
        })
    }

    fn from_sound(members: Records, thresholds: &Thresholds) -> Result<Self, Error> {
        let fits = members.len() <= thresholds.zset_max_listpack_entries
            && members
                .iter()
                .all(|member| member.key.len() <= thresholds.zset_max_listpack_value);
        if !fits {
            return Ok(Self {
                form: Form::Large(Box::new(Table::new(members)?)),
            });
        }
        let mut sorted: Vec<Record<'_>> = members.iter().collect();
        sorted.sort_unstable_by(|one, other| {
            ascending((one.score(), one.key), (other.score(), other.key))
        });
        let mut listpack = Listpack::new();
        sorted.iter().for_each(|member| {
            packed::push(
                &mut listpack,
                member.key,
                member.score(),
                thresholds.zset_score_text,
            );
        });
        listpack.shrink_to_fit();
        packed::check(&listpack)?;
        Ok(Self {
            form: Form::Packed(listpack),
        })
    }

    /// The number of members.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.form {
            Form::Packed(packed) => packed.len() / 2,
            Form::Large(table) => table.len(),
        }
    }

    /// Whether there are no members.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of bytes on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        match &self.form {
            Form::Packed(packed) => packed.capacity(),
            Form::Large(table) => size_of::<Table>() + table.heap_bytes(),
        }
    }

    /// The name of the encoding in OBJECT ENCODING.
    #[must_use]
    pub const fn encoding(&self, dialect: Dialect) -> &'static str {
        match &self.form {
            Form::Packed(_) if dialect.has_listpacks() => "listpack",
            Form::Packed(_) => "ziplist",
            Form::Large(_) => "skiplist",
        }
    }

    /// Returns the packed bytes if the sorted set is small.
    #[must_use]
    pub const fn as_listpack(&self) -> Option<&Listpack> {
        match &self.form {
            Form::Packed(packed) => Some(packed),
            Form::Large(_) => None,
        }
    }

    /// Returns the score of a member.
    #[must_use]
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        match &self.form {
            Form::Packed(packed) => packed::find(packed, member).map(|(_, score)| score),
            Form::Large(table) => table.score(member),
        }
    }

    /// Returns the number of members before this one, if it exists.
    #[must_use]
    pub fn rank(&self, member: &[u8]) -> Option<usize> {
        match &self.form {
            Form::Packed(packed) => packed::find(packed, member).map(|(rank, _)| rank),
            Form::Large(table) => table.rank(member),
        }
    }

    /// Prepares for `additions` members of up to `longest` bytes: leaves the packed form if the server would.
    ///
    /// Source: redis 7.2 and valkey 8.1 t_zset.c, `zsetTypeCreate`, `zsetTypeMaybeConvert`.
    pub fn prepare(&mut self, additions: usize, longest: usize, thresholds: &Thresholds) {
        let too_many =
            thresholds.zset_counts_arguments && additions > thresholds.zset_max_listpack_entries;
        let too_long =
            thresholds.zset_measures_arguments && longest > thresholds.zset_max_listpack_value;
        if too_many || too_long {
            self.enlarge();
        }
    }

    /// Sets the score of a member. The score must not be NaN.
    pub fn insert(&mut self, member: &[u8], score: f64, thresholds: &Thresholds) -> Change {
        debug_assert!(!score.is_nan(), "the caller refuses NaN");
        if let Form::Packed(packed) = &self.form
            && packed::find(packed, member).is_none()
            && (packed.len() / 2 >= thresholds.zset_max_listpack_entries
                || member.len() > thresholds.zset_max_listpack_value
                || !packed.can_grow(member.len()))
        {
            self.enlarge();
        }
        match &mut self.form {
            Form::Packed(packed) => {
                packed::insert(packed, member, score, thresholds.zset_score_text)
            }
            Form::Large(table) => table.insert(member, score),
        }
    }

    /// Removes a member. Returns whether it existed.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        match &mut self.form {
            Form::Packed(packed) => match packed::find(packed, member) {
                Some((rank, _)) => packed.remove(rank * 2, 2) > 0,
                None => false,
            },
            Form::Large(table) => table.remove(member),
        }
    }

    /// Removes the members with ranks in `range`. Returns how many were removed.
    pub fn remove_range(&mut self, range: Range<usize>) -> usize {
        let range = self.clamp(range);
        if let Form::Packed(packed) = &mut self.form {
            return packed.remove(range.start * 2, range.len() * 2) / 2;
        }
        let members: Vec<Box<[u8]>> = self
            .range(range)
            .map(|(member, _)| member.to_boxed())
            .collect();
        members.iter().filter(|member| self.remove(member)).count()
    }

    /// Iterates over all members and their scores, ascending, from either end.
    #[must_use]
    pub fn iter(&self) -> Walk<'_> {
        self.range(0..self.len())
    }

    /// Iterates over the members with ranks in `range` and their scores, ascending, from either end.
    #[must_use]
    pub fn range(&self, range: Range<usize>) -> Walk<'_> {
        let range = self.clamp(range);
        match &self.form {
            Form::Packed(packed) => {
                let behind = self.len() - range.end;
                let pairs = Pairs::new(packed, range.start);
                Walk(WalkForm::Packed(pairs.without_last(behind)))
            }
            Form::Large(table) => Walk(WalkForm::Large(table.range(range))),
        }
    }

    fn clamp(&self, range: Range<usize>) -> Range<usize> {
        let end = range.end.min(self.len());
        range.start.min(end)..end
    }

    /// Returns the number of leading members that satisfy `precedes`, which is the rank of the first one that does not. The
    /// members that satisfy it must come before all others.
    #[must_use]
    pub fn count_leading(&self, mut precedes: impl FnMut(&[u8], f64) -> bool) -> usize {
        match &self.form {
            Form::Packed(packed) => {
                let mut text = IntText::new();
                Pairs::new(packed, 0)
                    .take_while(|(member, score)| precedes(member.text(&mut text), *score))
                    .count()
            }
            Form::Large(table) => table.count_leading(precedes),
        }
    }

    /// Visits members from a ZSCAN cursor: all of a small sorted set, otherwise about `count`. Returns the next cursor, or 0 at
    /// the end. A member that exists from the first call to the last is visited at least once.
    pub fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(&[u8], f64)) -> u64 {
        match &self.form {
            Form::Packed(packed) => {
                let mut text = IntText::new();
                Pairs::new(packed, 0)
                    .for_each(|(member, score)| visit(member.text(&mut text), score));
                0
            }
            Form::Large(table) => table.scan(cursor, count, visit),
        }
    }

    /// Leaves the packed form, for good, as in Redis.
    pub fn enlarge(&mut self) {
        if let Form::Packed(packed) = &self.form {
            let table = unpacked(packed);
            // An empty set in its place would be served as if its members had been removed.
            let table = table.unwrap_or_else(|error| unreachable!("a packed sorted set: {error}"));
            self.form = Form::Large(Box::new(table));
        }
    }
}

/// Builds the large form of a listpack of members and scores.
fn unpacked(packed: &Listpack) -> Result<Table, Error> {
    let mut members = Records::new(Shape::SCORED);
    let mut text = IntText::new();
    Pairs::new(packed, 0).for_each(|(member, score)| {
        members.push(Record::scored(member.text(&mut text), score));
    });
    // Pairs end at the first score that is not a number.
    match members.len() * 2 == packed.len() {
        true => Table::new(members),
        false => Err(Error::Score),
    }
}

/// Compares like a sorted set: by score, then by the member's bytes.
fn ascending(one: (f64, &[u8]), other: (f64, &[u8])) -> Ordering {
    let by_score = one.0.partial_cmp(&other.0).unwrap_or(Ordering::Equal);
    by_score.then_with(|| one.1.cmp(other.1))
}

/// Iterates over members and scores, from either end.
#[derive(Debug, Clone)]
pub struct Walk<'a>(WalkForm<'a>);

#[derive(Debug, Clone)]
enum WalkForm<'a> {
    Packed(Pairs<'a>),
    Large(Members<'a>),
}

impl<'a> Iterator for Walk<'a> {
    type Item = (Item<'a>, f64);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            WalkForm::Packed(pairs) => pairs.next(),
            WalkForm::Large(members) => members.next().map(text_item),
        }
    }
}

impl DoubleEndedIterator for Walk<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            WalkForm::Packed(pairs) => pairs.next_back(),
            WalkForm::Large(members) => members.next_back().map(text_item),
        }
    }
}

fn text_item((member, score): (&[u8], f64)) -> (Item<'_>, f64) {
    (Item::Str(member), score)
}

#[cfg(test)]
#[path = "zset_tests.rs"]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]
mod tests;

//! The small form: alternating members and scores in one listpack, ascending.

use std::cmp::Ordering;

use super::{Change, ascending};
use crate::rdb::has_twins;
use crate::rdb::listpack::{IntText, Item, Iter, Listpack};
use crate::resp::double;
use crate::value::{Error, ScoreText};

/// Checks what a listpack's own validation cannot: pairs, scores, order, no duplicate members.
pub(super) fn check(packed: &Listpack) -> Result<(), Error> {
    if !packed.len().is_multiple_of(2) {
        return Err(Error::Odd);
    }
    let mut hashes = Vec::with_capacity(packed.byte_len().min(4096) / 8);
    let mut before: Option<(Item<'_>, f64)> = None;
    let mut rest = packed.iter();
    while let (Some(member), Some(score)) = (rest.next(), rest.next()) {
        let score = parse_score(score).ok_or(Error::Score)?;
        if let Some((other, lower)) = before
            && compare((lower, other), (score, member)) != Ordering::Less
        {
            return Err(Error::Order);
        }
        hashes.push(hash(member));
        before = Some((member, score));
    }
    if has_twins(&mut hashes) && repeats(packed) {
        return Err(Error::Duplicate);
    }
    Ok(())
}

fn hash(member: Item<'_>) -> u64 {
    // Members are equal if and only if their items are, as long as no string is a canonical integer. So hash the text.
    static SEEDS: std::sync::OnceLock<ahash::RandomState> = std::sync::OnceLock::new();
    let mut buffer = IntText::new();
    SEEDS
        .get_or_init(ahash::RandomState::new)
        .hash_one(member.text(&mut buffer))
}

fn repeats(packed: &Listpack) -> bool {
    let members = packed.iter().step_by(2).map(|item| item.to_boxed());
    has_twins(&mut members.collect::<Vec<_>>())
}

/// Parses a stored score. Returns `None` if it is not a number.
fn parse_score(item: Item<'_>) -> Option<f64> {
    match item {
        #[expect(clippy::cast_precision_loss, reason = "as Redis reads it")]
        Item::Int(value) => Some(value as f64),
        Item::Str(text) => {
            let score: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
            (!score.is_nan()).then_some(score)
        }
    }
}

fn compare(one: (f64, Item<'_>), other: (f64, Item<'_>)) -> Ordering {
    let (mut left, mut right) = (IntText::new(), IntText::new());
    ascending(
        (one.0, one.1.text(&mut left)),
        (other.0, other.1.text(&mut right)),
    )
}

/// Returns the rank and the score of a member.
pub(super) fn find(packed: &Listpack, member: &[u8]) -> Option<(usize, f64)> {
    let index = packed.position(member, 1)?;
    Some((index / 2, parse_score(packed.get(index + 1)?)?))
}

/// Inserts a member at its place. Source: redis 7.0 t_zset.c, zzlInsert.
pub(super) fn insert(packed: &mut Listpack, member: &[u8], score: f64, form: ScoreText) -> Change {
    let change = match find(packed, member) {
        None => Change::Added,
        #[expect(
            clippy::float_cmp,
            reason = "as Redis does: only another number moves a member"
        )]
        Some((_, old)) if old == score => return Change::Same,
        Some((rank, _)) => {
            packed.remove(rank * 2, 2);
            Change::Updated
        }
    };
    let mut text = IntText::new();
    let rank = Pairs::new(packed, 0)
        .take_while(|(other, lower)| {
            ascending((*lower, other.text(&mut text)), (score, member)) == Ordering::Less
        })
        .count();
    let score = score_text(score, form);
    packed.insert(rank * 2, member);
    packed.insert(rank * 2 + 1, &score);
    change
}

/// Appends a member, which must belong at the end.
pub(super) fn push(packed: &mut Listpack, member: &[u8], score: f64, form: ScoreText) {
    packed.push(member);
    packed.push(&score_text(score, form));
}

/// Whole scores up to this size are stored as integers. Source: redis 7.0 util.c, `double2ll`: half of the range of an i64.
const WHOLE_SCORE_MAX: f64 = 4_611_686_018_427_387_904.0;

/// Formats a score for storage. Where whole numbers become integers, a zero loses its sign.
///
/// Source: redis 6.0, 7.0 and 7.2 t_zset.c, `zzlInsertAt`.
fn score_text(score: f64, form: ScoreText) -> Vec<u8> {
    let mut text = Vec::with_capacity(24);
    if form != ScoreText::Printf && score.fract() == 0.0 && score.abs() <= WHOLE_SCORE_MAX {
        double::write(&mut text, score + 0.0, true);
    } else {
        double::write(&mut text, score, form == ScoreText::Shortest);
    }
    text
}

/// Iterates over members and scores, from either end.
#[derive(Debug, Clone)]
pub(super) struct Pairs<'a> {
    rest: Iter<'a>,
}

impl<'a> Pairs<'a> {
    /// Starts at the member with this rank.
    pub(super) fn new(packed: &'a Listpack, rank: usize) -> Self {
        Self {
            rest: packed.iter_from(rank.saturating_mul(2)),
        }
    }

    /// Drops the last `count` members.
    pub(super) fn without_last(mut self, count: usize) -> Self {
        self.rest
            .by_ref()
            .rev()
            .take(count.saturating_mul(2))
            .for_each(drop);
        self
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (Item<'a>, f64);

    fn next(&mut self) -> Option<Self::Item> {
        let member = self.rest.next()?;
        Some((member, parse_score(self.rest.next()?)?))
    }
}

impl DoubleEndedIterator for Pairs<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let score = self.rest.next_back()?;
        Some((self.rest.next_back()?, parse_score(score)?))
    }
}

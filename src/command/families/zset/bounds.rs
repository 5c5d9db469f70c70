//! Ranges of scores and of names, and their place in a sorted set.

use std::ops::Range;

use crate::command::rows::Error;
use crate::command::rows::parse::{c_double, is_hexadecimal};
use crate::rdb::listpack::IntText;
use crate::value::Zset;

/// Which members a command selects.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bounds<'a> {
    /// From one score to another.
    Score { min: (f64, Edge), max: (f64, Edge) },
    /// From one name to another.
    Lex { min: Name<'a>, max: Name<'a> },
}

/// Whether a bound itself belongs to the range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Edge {
    Included,
    Excluded,
}

/// A bound among names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name<'a> {
    /// `-`: before all names.
    First,
    /// `[name` or `(name`.
    Text(&'a [u8], Edge),
    /// `+`: after all names.
    Last,
}

impl<'a> Bounds<'a> {
    /// Parses the scores `min` and `max`. Redis 8.0 is `strict`: it accepts no leading blanks and no hexadecimal numbers.
    pub(super) fn scores(min: &[u8], max: &[u8], strict: bool) -> Result<Self, Error> {
        match (score_bound(min, strict), score_bound(max, strict)) {
            (Some(min), Some(max)) => Ok(Self::Score { min, max }),
            _ => Err(Error::Text("ERR min or max is not a float")),
        }
    }

    /// Parses the names `min` and `max`.
    pub(super) fn names(min: &'a [u8], max: &'a [u8]) -> Result<Self, Error> {
        match (Name::parse(min), Name::parse(max)) {
            (Some(min), Some(max)) => Ok(Self::Lex { min, max }),
            _ => Err(Error::Text("ERR min or max not valid string range item")),
        }
    }

    fn is_above_min(&self, member: &[u8], score: f64) -> bool {
        match *self {
            Self::Score {
                min: (min, edge), ..
            } => score > min || (edge == Edge::Included && score >= min),
            Self::Lex { min, .. } => match min {
                Name::First => true,
                Name::Last => false,
                Name::Text(min, edge) => member > min || (edge == Edge::Included && member == min),
            },
        }
    }

    fn is_below_max(&self, member: &[u8], score: f64) -> bool {
        match *self {
            Self::Score {
                max: (max, edge), ..
            } => score < max || (edge == Edge::Included && score <= max),
            Self::Lex { max, .. } => match max {
                Name::First => false,
                Name::Last => true,
                Name::Text(max, edge) => member < max || (edge == Edge::Included && member == max),
            },
        }
    }

    /// Returns the ranks of the members in range. `from_end` walks a small sorted set from its end, as Redis does: that
    /// matters when members of different scores are requested by name, which has no defined answer.
    pub(crate) fn ranks(&self, zset: &Zset, from_end: bool) -> Range<usize> {
        if !self.may_hold(zset) {
            return 0..0;
        }
        if zset.as_listpack().is_none() {
            let start = zset.count_leading(|member, score| !self.is_above_min(member, score));
            let end = zset.count_leading(|member, score| self.is_below_max(member, score));
            return start..end.max(start);
        }
        if from_end {
            let behind = count_until(zset.iter().rev(), |member, score| {
                !self.is_below_max(member, score)
            });
            let end = zset.len() - behind;
            let inside = count_until(zset.range(0..end).rev(), |member, score| {
                self.is_above_min(member, score)
            });
            return end - inside..end;
        }
        let start = count_until(zset.iter(), |member, score| {
            !self.is_above_min(member, score)
        });
        let inside = count_until(zset.range(start..zset.len()), |member, score| {
            self.is_below_max(member, score)
        });
        start..start + inside
    }

    /// Whether what a server finds depends on how its skip list happens to link the members: by name, if scores differ.
    /// Then no two servers need to agree, and redtail cannot know what a server finds.
    ///
    /// Source: redis 7.0 t_zset.c, `zslDeleteRangeByLex`, `zslFirstInLexRange`.
    pub(super) fn find_by_chance(&self, zset: &Zset) -> bool {
        let score = |member: Option<(_, f64)>| member.map(|(_, score)| score);
        matches!(self, Self::Lex { .. })
            && zset.as_listpack().is_none()
            && score(zset.iter().next()) != score(zset.iter().next_back())
    }

    /// Whether anything can be in range. Source: redis 7.0 t_zset.c, `zslIsInRange`, `zslIsInLexRange`.
    fn may_hold(&self, zset: &Zset) -> bool {
        let mut text = IntText::new();
        let last = zset.iter().next_back();
        let first = zset.iter().next();
        !self.is_void()
            && last.is_some_and(|(member, score)| self.is_above_min(member.text(&mut text), score))
            && first.is_some_and(|(member, score)| self.is_below_max(member.text(&mut text), score))
    }

    /// Whether nothing can lie between the bounds.
    fn is_void(&self) -> bool {
        match *self {
            Self::Score { min, max } => {
                min.0 > max.0 || (min.0 >= max.0 && [min.1, max.1].contains(&Edge::Excluded))
            }
            Self::Lex { min, max } => match (min, max) {
                (Name::Text(min, one), Name::Text(max, other)) => {
                    min > max || (min == max && [one, other].contains(&Edge::Excluded))
                }
                (Name::Last, _) | (_, Name::First) => true,
                _ => false,
            },
        }
    }
}

/// Counts the members of a walk that come before the first for which `holds` is false.
fn count_until<'a>(
    walk: impl Iterator<Item = (crate::rdb::listpack::Item<'a>, f64)>,
    mut holds: impl FnMut(&[u8], f64) -> bool,
) -> usize {
    let mut text = IntText::new();
    walk.take_while(|(member, score)| holds(member.text(&mut text), *score))
        .count()
}

/// Parses a bound of scores as `strtod` does: leading blanks are skipped unless `strict`, and an empty text is 0.
///
/// Source: redis 7.0 t_zset.c, `zslParseRange`.
fn score_bound(text: &[u8], strict: bool) -> Option<(f64, Edge)> {
    let (text, edge) = match text {
        [b'(', rest @ ..] => (rest, Edge::Excluded),
        rest => (rest, Edge::Included),
    };
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    let text = if strict {
        text
    } else {
        text.trim_ascii_start()
    };
    if strict && is_hexadecimal(text) {
        return None;
    }
    let score = if text.is_empty() {
        0.0
    } else {
        c_double(text)?
    };
    (!score.is_nan()).then_some((score, edge))
}

impl<'a> Name<'a> {
    /// Source: redis 7.0 t_zset.c, `zslParseLexRangeItem`.
    fn parse(text: &'a [u8]) -> Option<Self> {
        match text {
            b"-" => Some(Self::First),
            b"+" => Some(Self::Last),
            [b'[', name @ ..] => Some(Self::Text(name, Edge::Included)),
            [b'(', name @ ..] => Some(Self::Text(name, Edge::Excluded)),
            _ => None,
        }
    }
}

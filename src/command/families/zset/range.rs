//! ZRANGE and its relatives: they read, remove or store members by rank, score or name.

use std::ops::Range;

use super::bounds::Bounds;
use super::bulk_members;
use crate::command::rows::parse::integer;
use crate::command::rows::{Error, parse};
use crate::dialect::Dialect;
use crate::feed::Class;
use crate::resp::{Args, Reply};
use crate::store::{Doubt, NewValue, Tx, View};
use crate::value::{Collection, Thresholds, Zset};

/// What a command's name determines, or `None` where options decide.
#[derive(Debug, Clone, Copy, Default)]
struct Kind {
    by: Option<By>,
    reverse: Option<bool>,
    stores: bool,
    strict: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Rank,
    Score,
    Name,
}

/// A parsed range command.
#[derive(Debug, Clone, Copy)]
struct Query<'a> {
    wanted: Wanted<'a>,
    reverse: bool,
    with_scores: bool,
    offset: i64,
    /// Negative means no limit.
    limit: i64,
}

#[derive(Debug, Clone, Copy)]
enum Wanted<'a> {
    Ranks(i64, i64),
    Bounds(Bounds<'a>),
}

/// The options after the range.
#[derive(Debug, Clone, Copy)]
struct Options {
    by: By,
    reverse: bool,
    with_scores: bool,
    offset: i64,
    limit: i64,
}

impl Options {
    /// Parses the words from `first` on. Source: redis 7.0 t_zset.c, `zrangeGenericCommand`.
    fn parse(args: Args<'_>, first: usize, kind: Kind) -> Result<Self, Error> {
        let (mut by, mut reverse) = (kind.by, kind.reverse);
        let (mut with_scores, mut offset, mut limit) = (false, 0, -1);
        let mut index = first;
        while index < args.len() {
            if !kind.stores && args.is(index, "withscores") {
                with_scores = true;
            } else if args.is(index, "limit") && index + 2 < args.len() {
                offset = integer(args.at(index + 1))?;
                limit = integer(args.at(index + 2))?;
                index += 2;
            } else if kind.reverse.is_none() && reverse.is_none() && args.is(index, "rev") {
                reverse = Some(true);
            } else if by.is_none() && args.is(index, "bylex") {
                by = Some(By::Name);
            } else if by.is_none() && args.is(index, "byscore") {
                by = Some(By::Score);
            } else {
                return Err(Error::Syntax);
            }
            index += 1;
        }
        Self {
            by: by.unwrap_or(By::Rank),
            reverse: reverse.unwrap_or(false),
            with_scores,
            offset,
            limit,
        }
        .checked()
    }

    const fn checked(self) -> Result<Self, Error> {
        if self.limit != -1 && matches!(self.by, By::Rank) {
            return Err(Error::Text(
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
            ));
        }
        if self.with_scores && matches!(self.by, By::Name) {
            return Err(Error::Text(
                "ERR syntax error, WITHSCORES not supported in combination with BYLEX",
            ));
        }
        Ok(self)
    }
}

impl<'a> Query<'a> {
    /// Parses the range at word `first` and the options after it.
    fn parse(args: Args<'a>, first: usize, kind: Kind) -> Result<Self, Error> {
        let options = Options::parse(args, first + 2, kind)?;
        Self::new(args, first, options, kind.strict)
    }

    fn new(args: Args<'a>, first: usize, options: Options, strict: bool) -> Result<Self, Error> {
        let (start, end) = (args.at(first), args.at(first + 1));
        let (min, max) = if options.reverse {
            (end, start)
        } else {
            (start, end)
        };
        let wanted = match options.by {
            By::Rank => Wanted::Ranks(integer(start)?, integer(end)?),
            By::Score => Wanted::Bounds(Bounds::scores(min, max, strict)?),
            By::Name => Wanted::Bounds(Bounds::names(min, max)?),
        };
        Ok(Self {
            wanted,
            reverse: options.reverse,
            with_scores: options.with_scores,
            offset: options.offset,
            limit: options.limit,
        })
    }

    /// Parses like servers before Redis 6.2: the range comes first, and each command has only its own options.
    ///
    /// Source: redis 6.0 t_zset.c, `zrangeGenericCommand`, `genericZrangebyscoreCommand`, `genericZrangebylexCommand`.
    fn parse_apart(args: Args<'a>, kind: Kind) -> Result<Self, Error> {
        let mut query = Self::of_range(args, kind)?;
        let by_rank = matches!(query.wanted, Wanted::Ranks(..));
        let mut index = 4;
        while index < args.len() {
            if args.is(index, "withscores") && kind.by != Some(By::Name) {
                query.with_scores = true;
            } else if args.is(index, "limit") && index + 2 < args.len() && !by_rank {
                query.offset = integer(args.at(index + 1))?;
                query.limit = integer(args.at(index + 2))?;
                index += 2;
            } else {
                return Err(Error::Syntax);
            }
            index += 1;
        }
        if by_rank && args.len() > 5 {
            return Err(Error::Syntax);
        }
        Ok(query)
    }

    /// Parses only the range, without options.
    fn of_range(args: Args<'a>, kind: Kind) -> Result<Self, Error> {
        let options = Options {
            by: kind.by.unwrap_or(By::Rank),
            reverse: kind.reverse.unwrap_or(false),
            with_scores: false,
            offset: 0,
            limit: -1,
        };
        Self::new(args, 2, options, kind.strict)
    }

    /// Returns the ascending ranks that it selects, with its limits applied.
    fn ranks(&self, zset: &Zset, dialect: Dialect) -> Range<usize> {
        let bounds = match self.wanted {
            Wanted::Ranks(start, end) => return by_rank(zset, start, end, self.reverse),
            Wanted::Bounds(bounds) => bounds,
        };
        let from_other_end = dialect.has_negative_offsets() && zset.as_listpack().is_none();
        self.limited(bounds.ranks(zset, self.reverse), from_other_end)
    }

    fn finds_by_chance(&self, zset: &Zset) -> bool {
        matches!(self.wanted, Wanted::Bounds(bounds) if bounds.find_by_chance(zset))
    }

    fn limited(&self, ranks: Range<usize>, from_other_end: bool) -> Range<usize> {
        let skipped = match usize::try_from(self.offset) {
            Ok(offset) => offset.min(ranks.len()),
            Err(_) if !from_other_end => return 0..0,
            Err(_) => {
                let from_end = usize::try_from(self.offset.unsigned_abs()).unwrap_or(usize::MAX);
                // Nothing is past the other end.
                ranks.len().checked_sub(from_end).unwrap_or(ranks.len())
            }
        };
        let left = ranks.len() - skipped;
        let taken = usize::try_from(self.limit).map_or(left, |limit| limit.min(left));
        if self.reverse {
            let end = ranks.end - skipped;
            end - taken..end
        } else {
            let start = ranks.start + skipped;
            start..start + taken
        }
    }
}

/// Returns ranks, which count from the end if negative, and from the other end altogether if `reverse`.
pub(crate) fn by_rank(zset: &Zset, start: i64, end: i64, reverse: bool) -> Range<usize> {
    let len = zset.len();
    let Some(ranks) = parse::range(start, end, len) else {
        return 0..0;
    };
    let (start, end) = (*ranks.start(), *ranks.end() + 1);
    if reverse {
        len - end..len - start
    } else {
        start..end
    }
}

fn answer(view: &View<'_>, args: Args<'_>, reply: &mut Reply, kind: Kind) -> Result<(), Error> {
    let kind = Kind {
        strict: reply.dialect().reads_scores_strictly(),
        ..kind
    };
    let query = if reply.dialect().has_one_range_command() {
        Query::parse(args, 2, kind)?
    } else {
        Query::parse_apart(args, kind)?
    };
    let Some(zset) = view.collection::<Zset>(args.at(1))? else {
        reply.array(0);
        return Ok(());
    };
    let ranks = query.ranks(zset, reply.dialect());
    let (count, members) = (ranks.len(), zset.range(ranks));
    if query.reverse {
        bulk_members(reply, count, members.rev(), query.with_scores);
    } else {
        bulk_members(reply, count, members, query.with_scores);
    }
    Ok(())
}

const fn kind(by: By, reverse: bool) -> Kind {
    Kind {
        by: Some(by),
        reverse: Some(reverse),
        stores: false,
        strict: false,
    }
}

pub(super) fn zrange(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    answer(view, args, reply, Kind::default())
}

pub(super) fn zrevrange(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    answer(view, args, reply, kind(By::Rank, true))
}

pub(super) fn zrangebyscore(
    view: &View<'_>,
    args: Args<'_>,
    reply: &mut Reply,
) -> Result<(), Error> {
    answer(view, args, reply, kind(By::Score, false))
}

pub(super) fn zrevrangebyscore(
    view: &View<'_>,
    args: Args<'_>,
    reply: &mut Reply,
) -> Result<(), Error> {
    answer(view, args, reply, kind(By::Score, true))
}

pub(super) fn zrangebylex(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    answer(view, args, reply, kind(By::Name, false))
}

pub(super) fn zrevrangebylex(
    view: &View<'_>,
    args: Args<'_>,
    reply: &mut Reply,
) -> Result<(), Error> {
    answer(view, args, reply, kind(By::Name, true))
}

pub(super) fn zcount(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let bounds = Bounds::scores(
        args.at(2),
        args.at(3),
        reply.dialect().reads_scores_strictly(),
    )?;
    count(view, args, reply, bounds)
}

pub(super) fn zlexcount(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    count(view, args, reply, Bounds::names(args.at(2), args.at(3))?)
}

fn count(
    view: &View<'_>,
    args: Args<'_>,
    reply: &mut Reply,
    bounds: Bounds<'_>,
) -> Result<(), Error> {
    let zset = view.collection::<Zset>(args.at(1))?;
    reply.count(zset.map_or(0, |zset| bounds.ranks(zset, false).len()));
    Ok(())
}

pub(super) fn zremrangebyrank(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let (start, end) = (integer(args.at(2))?, integer(args.at(3))?);
    remove(tx, args, "zremrangebyrank", |zset| {
        by_rank(zset, start, end, false)
    })
}

pub(super) fn zremrangebyscore(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let bounds = Bounds::scores(args.at(2), args.at(3), false)?;
    remove(tx, args, "zremrangebyscore", |zset| {
        bounds.ranks(zset, false)
    })
}

pub(super) fn zremrangebylex(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let bounds = Bounds::names(args.at(2), args.at(3))?;
    let mut by_chance = false;
    remove(tx, args, "zremrangebylex", |zset| {
        by_chance = bounds.find_by_chance(zset);
        bounds.ranks(zset, false)
    })?;
    if by_chance {
        tx.taint(tx.db_number(), args.at(1), Doubt::Existence);
    }
    Ok(())
}

fn remove(
    tx: &mut Tx<'_>,
    args: Args<'_>,
    event: &'static str,
    ranks: impl FnOnce(&Zset) -> Range<usize>,
) -> Result<(), Error> {
    tx.shrink(args.at(1), (Class::ZSET, event), |zset: &mut Zset| {
        let ranks = ranks(zset);
        let is_any = !ranks.is_empty();
        zset.remove_range(ranks);
        is_any
    })?;
    Ok(())
}

pub(super) fn zrangestore(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let stores = Kind {
        stores: true,
        ..Kind::default()
    };
    let query = Query::parse(args, 3, stores)?;
    let dialect = tx.dialect();
    let (mut result, mut by_chance) = (Vec::new(), false);
    tx.event_of_miss(args.at(2));
    if let Some(zset) = tx.collection::<Zset>(args.at(2))? {
        by_chance = query.finds_by_chance(zset);
        let members = zset.range(query.ranks(zset, dialect));
        result.extend(members.map(|(member, score)| (member.to_boxed(), score)));
    }
    let is_counted = matches!(query.wanted, Wanted::Ranks(..));
    begin_packed(&mut result, is_counted, &tx.thresholds());
    store(tx, args.at(1), result, "zrangestore")?;
    if by_chance {
        tx.taint(tx.db_number(), args.at(1), Doubt::Existence);
    }
    Ok(())
}

/// Removes the sign from zeros, because packed sets do not keep it. A result whose size is not known beforehand starts
/// packed, however large it becomes. Source: redis 7.0 t_zset.c, `zrangeResultBeginStore`, `zsetAdd`.
fn begin_packed(members: &mut [(Box<[u8]>, f64)], is_counted: bool, thresholds: &Thresholds) {
    let most = thresholds.zset_max_listpack_entries;
    if is_counted && members.len() > most {
        return;
    }
    let fits =
        |(member, _): &&mut (Box<[u8]>, f64)| member.len() <= thresholds.zset_max_listpack_value;
    for (_, score) in members.iter_mut().take(most).take_while(fits) {
        // -0 + 0 is 0; every other score stays.
        *score += 0.0;
    }
}

/// Stores members under `key`, replacing any value there. Without members, removes the key.
pub(crate) fn store(
    tx: &mut Tx<'_>,
    key: &[u8],
    members: Vec<(Box<[u8]>, f64)>,
    event: &'static str,
) -> Result<(), Error> {
    if members.is_empty() {
        if tx.remove(key).is_some() {
            tx.event(Class::GENERIC, "del", key);
        }
        return Ok(());
    }
    let zset = Zset::from_members(&members, &tx.thresholds())
        .map_err(|error| Error::Owned(format!("ERR {error}")))?;
    tx.overwrite(key, None, NewValue::Object(Box::new(zset.into_object())));
    tx.event(Class::ZSET, event, key);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signs(is_counted: bool, members: &[&str]) -> Vec<bool> {
        let thresholds = Thresholds {
            zset_max_listpack_entries: 2,
            zset_max_listpack_value: 3,
            ..Thresholds::default()
        };
        let mut members: Vec<_> = members
            .iter()
            .map(|name| (name.as_bytes().into(), -0.0))
            .collect();
        begin_packed(&mut members, is_counted, &thresholds);
        members
            .iter()
            .map(|(_, score)| score.is_sign_negative())
            .collect()
    }

    #[test]
    fn zeros_lose_their_sign_as_long_as_a_stored_range_is_packed() {
        assert_eq!(
            signs(false, &["a", "b", "c", "d"]),
            [false, false, true, true]
        );
        assert_eq!(signs(false, &["a", "long", "c"]), [false, true, true]);
        assert_eq!(signs(true, &["a", "b"]), [false, false]);
        assert_eq!(signs(true, &["a", "b", "c"]), [true, true, true]);
    }
}

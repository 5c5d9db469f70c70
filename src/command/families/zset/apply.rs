//! ZADD, ZINCRBY, ZREM and the pops.

use crate::command::rows::Error;
use crate::command::rows::parse::{float, integer};
use crate::feed::Class;
use crate::resp::Args;
use crate::store::Tx;
use crate::value::{Thresholds, Zset};

const NOT_A_NUMBER: Error = Error::Text("ERR resulting score is not a number (NaN)");

/// ZADD's options. Source: redis 7.0 t_zset.c, `zaddGenericCommand`.
#[derive(Debug, Clone, Copy, Default)]
struct Flags {
    only_new: bool,
    only_present: bool,
    only_greater: bool,
    only_less: bool,
    increments: bool,
}

impl Flags {
    /// Reads the options, starting at word 2. Returns them and the index of the word after them.
    fn parse(args: Args<'_>) -> (Self, usize) {
        let mut flags = Self::default();
        for index in 2..args.len() {
            let flag = match args.at(index).to_ascii_lowercase().as_slice() {
                b"nx" => &mut flags.only_new,
                b"xx" => &mut flags.only_present,
                b"gt" => &mut flags.only_greater,
                b"lt" => &mut flags.only_less,
                b"incr" => &mut flags.increments,
                b"ch" => continue,
                _ => return (flags, index),
            };
            *flag = true;
        }
        (flags, args.len())
    }

    fn check(self, pairs: usize) -> Result<(), Error> {
        if self.only_new && self.only_present {
            return Err(Error::Text(
                "ERR XX and NX options at the same time are not compatible",
            ));
        }
        let order = [self.only_greater, self.only_less, self.only_new];
        if order.iter().filter(|set| **set).count() > 1 {
            return Err(Error::Text(
                "ERR GT, LT, and/or NX options at the same time are not compatible",
            ));
        }
        if self.increments && pairs > 1 {
            return Err(Error::Text(
                "ERR INCR option supports a single increment-element pair",
            ));
        }
        Ok(())
    }

    /// Returns a member's new score, or `None` if it stays as it is.
    fn score(self, old: Option<f64>, given: f64) -> Result<Option<f64>, Error> {
        let Some(old) = old else {
            return Ok((!self.only_present).then_some(given));
        };
        if self.only_new {
            return Ok(None);
        }
        let score = if self.increments { old + given } else { given };
        if score.is_nan() {
            return Err(NOT_A_NUMBER);
        }
        let refused = (self.only_less && score >= old) || (self.only_greater && score <= old);
        Ok((!refused).then_some(score))
    }
}

pub(crate) fn zadd(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let (flags, first) = Flags::parse(args);
    let words = args.from(first);
    if words.is_empty() || !words.len().is_multiple_of(2) {
        return Err(Error::Syntax);
    }
    flags.check(words.len() / 2)?;
    let dialect = tx.dialect();
    let pairs: Vec<(f64, &[u8])> = (0..words.len())
        .step_by(2)
        .map(|index| Ok((float(words.at(index), dialect)?, words.at(index + 1))))
        .collect::<Result<_, Error>>()?;
    let thresholds = tx.thresholds();
    let longest = pairs.iter().map(|(_, member)| member.len()).max();
    let changed = tx.upsert(args.at(1), |zset: &mut Zset| {
        zset.prepare(pairs.len(), longest.unwrap_or(0), &thresholds);
        pairs.iter().try_fold(false, |changed, (score, member)| {
            Ok::<_, Error>(add(zset, flags, member, *score, &thresholds)? | changed)
        })
    })??;
    if changed {
        let event = if flags.increments { "zincr" } else { "zadd" };
        tx.event(Class::ZSET, event, args.at(1));
    }
    Ok(())
}

/// Returns whether the member is new or has another score.
fn add(
    zset: &mut Zset,
    flags: Flags,
    member: &[u8],
    given: f64,
    thresholds: &Thresholds,
) -> Result<bool, Error> {
    let old = zset.score(member);
    let new = flags.score(old, given)?;
    if let Some(score) = new {
        zset.insert(member, score, thresholds);
    }
    Ok(new.is_some() && new != old)
}

pub(super) fn zincrby(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let by = float(args.at(2), tx.dialect())?;
    let flags = Flags {
        increments: true,
        ..Flags::default()
    };
    let thresholds = tx.thresholds();
    let changed = tx.upsert(args.at(1), |zset: &mut Zset| {
        add(zset, flags, args.at(3), by, &thresholds)
    })??;
    if changed {
        tx.event(Class::ZSET, "zincr", args.at(1));
    }
    Ok(())
}

pub(super) fn zrem(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    tx.shrink(args.at(1), (Class::ZSET, "zrem"), |zset: &mut Zset| {
        let members = args.from(2).iter();
        members.fold(false, |removed, member| zset.remove(member) | removed)
    })?;
    Ok(())
}

pub(super) fn zpopmin(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    pop(tx, args, "zpopmin", |count, _| 0..count)
}

pub(super) fn zpopmax(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    pop(tx, args, "zpopmax", |count, len| len - count..len)
}

fn pop(
    tx: &mut Tx<'_>,
    args: Args<'_>,
    event: &'static str,
    ranks: fn(usize, usize) -> std::ops::Range<usize>,
) -> Result<(), Error> {
    if args.len() > 3 {
        return Err(Error::Syntax);
    }
    let count = match args.get(2) {
        None => 1,
        Some(count) => usize::try_from(integer(count)?)
            .map_err(|_| Error::Text("ERR value is out of range, must be positive"))?,
    };
    tx.shrink(args.at(1), (Class::ZSET, event), |zset: &mut Zset| {
        let len = zset.len();
        zset.remove_range(ranks(count.min(len), len));
        count > 0
    })?;
    Ok(())
}

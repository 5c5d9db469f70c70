//! Unions, intersections and differences, read or stored. Members of plain sets count with a score of 1.

use super::{bulk_members, range};
use crate::command::rows::Error;
use crate::command::rows::parse::{float, integer};
use crate::dialect::Dialect;
use crate::rdb::listpack::Item;
use crate::resp::{Args, Reply};
use crate::store::{Tx, Value, View, WrongType};
use crate::value::{Collection, Object, Scored, Set, Zset};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Union,
    Intersection,
    Difference,
}

/// How several scores of one member become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Aggregate {
    Sum,
    Min,
    Max,
    /// The sum of the weights of the sources that have the member, whatever its scores.
    Count,
}

impl Aggregate {
    /// Returns what a source of this weight contributes for a member with this score.
    fn contribution(self, score: f64, weight: f64) -> f64 {
        match self {
            Self::Count => weight,
            Self::Sum | Self::Min | Self::Max => weight * score,
        }
    }

    /// Source: redis 7.0 t_zset.c, `zunionInterAggregate`.
    fn of(self, one: f64, other: f64) -> f64 {
        match self {
            Self::Sum | Self::Count => number_or_zero(one + other),
            Self::Min if other < one => other,
            Self::Max if other > one => other,
            Self::Min | Self::Max => one,
        }
    }
}

/// Infinities that cancel each other out, and infinity times zero, count as zero.
fn number_or_zero(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

/// An operand of a command.
#[derive(Debug, Clone, Copy)]
enum Members<'a> {
    None,
    Zset(&'a Zset),
    Set(&'a Set),
}

impl<'a> Members<'a> {
    fn of(value: Option<Value<'a>>) -> Result<Self, WrongType> {
        match value {
            None => Ok(Self::None),
            Some(Value::Object(Object::Zset(zset))) => Ok(Self::Zset(zset)),
            Some(Value::Object(Object::Set(set))) => Ok(Self::Set(set)),
            Some(_) => Err(WrongType),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Zset(zset) => zset.len(),
            Self::Set(set) => Collection::len(*set),
        }
    }

    fn score(&self, member: &[u8]) -> Option<f64> {
        match self {
            Self::None => None,
            Self::Zset(zset) => zset.score(member),
            Self::Set(set) => set.contains(member).then_some(1.0),
        }
    }

    fn for_each(&self, mut visit: impl FnMut(Item<'a>, f64)) {
        match self {
            Self::None => {}
            Self::Zset(zset) => zset.iter().for_each(|(member, score)| visit(member, score)),
            Self::Set(set) => set.iter().for_each(|member| visit(member, 1.0)),
        }
    }
}

/// A source and its weight.
type Source<'a> = (Members<'a>, f64);

/// What a command's name determines.
#[derive(Debug, Clone, Copy)]
struct Kind {
    operation: Operation,
    /// The index of the word that says how many keys follow.
    count_at: usize,
    stores: bool,
}

const fn kind(operation: Operation, stores: bool) -> Kind {
    Kind {
        operation,
        count_at: if stores { 2 } else { 1 },
        stores,
    }
}

/// The words after the keys.
#[derive(Debug)]
struct Options {
    weights: Vec<f64>,
    aggregate: Aggregate,
    with_scores: bool,
}

/// Returns the number of keys. Source: redis 7.0 t_zset.c, `zunionInterDiffGenericCommand`.
fn keys_of(args: Args<'_>, count_at: usize) -> Result<usize, Error> {
    let keys = integer(args.at(count_at))?;
    if keys < 1 {
        let name = args.at(0).to_ascii_lowercase();
        let name = String::from_utf8_lossy(&name);
        return Err(Error::Owned(format!(
            "ERR at least 1 input key is needed for '{name}' command"
        )));
    }
    usize::try_from(keys)
        .ok()
        .filter(|keys| *keys < args.len() - count_at)
        .ok_or(Error::Syntax)
}

impl Options {
    fn parse(args: Args<'_>, kind: Kind, keys: usize, dialect: Dialect) -> Result<Self, Error> {
        let mut options = Self {
            weights: vec![1.0; keys],
            aggregate: Aggregate::Sum,
            with_scores: false,
        };
        // The primary accepted what it sent, whatever version redtail takes it for.
        let counts = kind.stores || dialect.has_counting_aggregate();
        let combines = kind.operation != Operation::Difference;
        let mut index = kind.count_at + 1 + keys;
        while index < args.len() {
            let left = args.len() - index;
            if combines && left > keys && args.is(index, "weights") {
                let words = args.from(index + 1).iter().take(keys);
                options.weights = words
                    .map(|word| weight(word, dialect))
                    .collect::<Result<_, _>>()?;
                index += keys;
            } else if combines && left >= 2 && args.is(index, "aggregate") {
                options.aggregate = aggregate(args, index + 1, counts)?;
                index += 1;
            } else if !kind.stores && args.is(index, "withscores") {
                options.with_scores = true;
            } else {
                return Err(Error::Syntax);
            }
            index += 1;
        }
        Ok(options)
    }
}

fn weight(text: &[u8], dialect: Dialect) -> Result<f64, Error> {
    float(text, dialect).map_err(|_| Error::Text("ERR weight value is not a float"))
}

fn aggregate(args: Args<'_>, index: usize, counts: bool) -> Result<Aggregate, Error> {
    match args.at(index).to_ascii_lowercase().as_slice() {
        b"sum" => Ok(Aggregate::Sum),
        b"min" => Ok(Aggregate::Min),
        b"max" => Ok(Aggregate::Max),
        b"count" if counts => Ok(Aggregate::Count),
        _ => Err(Error::Syntax),
    }
}

/// Returns the result, in no particular order, and the options.
fn compute<'a>(
    args: Args<'_>,
    kind: Kind,
    dialect: Dialect,
    lookup: impl Fn(&[u8]) -> Option<Value<'a>>,
) -> Result<(Vec<Scored>, Options), Error> {
    let keys = keys_of(args, kind.count_at)?;
    let words = args.from(kind.count_at + 1);
    let members: Vec<Members<'a>> = words
        .iter()
        .take(keys)
        .map(|key| Members::of(lookup(key)))
        .collect::<Result<_, _>>()?;
    let options = Options::parse(args, kind, keys, dialect)?;
    let weights = options.weights.iter().copied();
    let sources: Vec<Source<'a>> = members.into_iter().zip(weights).collect();
    let result = match kind.operation {
        Operation::Union => union(sources, options.aggregate),
        Operation::Intersection => intersection(sources, options.aggregate),
        Operation::Difference => difference(&sources),
    };
    Ok((result, options))
}

/// Sorts sources into the order in which scores are added: from the smallest source to the largest, as Redis does.
fn smallest_first(sources: &mut [Source<'_>]) {
    sources.sort_by_key(|(members, _)| members.len());
}

fn union(mut sources: Vec<Source<'_>>, aggregate: Aggregate) -> Vec<Scored> {
    smallest_first(&mut sources);
    let mut found: std::collections::HashMap<Box<[u8]>, f64, ahash::RandomState> =
        std::collections::HashMap::default();
    for (members, weight) in &sources {
        members.for_each(|member, score| {
            let score = number_or_zero(aggregate.contribution(score, *weight));
            found
                .entry(member.to_boxed())
                .and_modify(|sum| *sum = aggregate.of(*sum, score))
                .or_insert(score);
        });
    }
    found.into_iter().collect()
}

fn intersection(mut sources: Vec<Source<'_>>, aggregate: Aggregate) -> Vec<Scored> {
    smallest_first(&mut sources);
    let mut result = Vec::new();
    let Some(((smallest, weight), others)) = sources.split_first() else {
        return result;
    };
    smallest.for_each(|member, score| {
        let member = member.to_boxed();
        let first = number_or_zero(aggregate.contribution(score, *weight));
        let sum = others.iter().try_fold(first, |sum, (members, weight)| {
            let score = aggregate.contribution(members.score(&member)?, *weight);
            Some(aggregate.of(sum, score))
        });
        result.extend(sum.map(|sum| (member, sum)));
    });
    result
}

fn difference(sources: &[Source<'_>]) -> Vec<Scored> {
    let mut result = Vec::new();
    let Some(((first, _), others)) = sources.split_first() else {
        return result;
    };
    first.for_each(|member, score| {
        let member = member.to_boxed();
        let elsewhere = |(members, _): &Source<'_>| members.score(&member).is_some();
        if !others.iter().any(elsewhere) {
            result.push((member, score));
        }
    });
    result
}

fn answer(view: &View<'_>, args: Args<'_>, reply: &mut Reply, kind: Kind) -> Result<(), Error> {
    let (mut members, options) = compute(args, kind, reply.dialect(), |key| view.value(key))?;
    members.sort_unstable_by(|(one, low), (other, high)| {
        let by_score = low.partial_cmp(high).unwrap_or(std::cmp::Ordering::Equal);
        by_score.then_with(|| one.cmp(other))
    });
    let walk = members
        .iter()
        .map(|(member, score)| (Item::Str(member), *score));
    bulk_members(reply, members.len(), walk, options.with_scores);
    Ok(())
}

pub(super) fn zunion(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    answer(view, args, reply, kind(Operation::Union, false))
}

pub(super) fn zinter(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    answer(view, args, reply, kind(Operation::Intersection, false))
}

pub(super) fn zdiff(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    answer(view, args, reply, kind(Operation::Difference, false))
}

pub(super) fn zintercard(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let keys = keys_of(args, 1)?;
    let sources: Vec<Source<'_>> = args
        .from(2)
        .iter()
        .take(keys)
        .map(|key| Ok((Members::of(view.value(key))?, 1.0)))
        .collect::<Result<_, WrongType>>()?;
    let limit = limit(args, 2 + keys)?;
    let found = intersection(sources, Aggregate::Sum).len();
    reply.count(if limit == 0 { found } else { found.min(limit) });
    Ok(())
}

/// ZINTERCARD's LIMIT, 0 for none.
fn limit(args: Args<'_>, first: usize) -> Result<usize, Error> {
    let mut limit = 0;
    for index in (first..args.len()).step_by(2) {
        let number = args.get(index + 1).filter(|_| args.is(index, "limit"));
        limit = integer(number.ok_or(Error::Syntax)?)
            .ok()
            .and_then(|limit| usize::try_from(limit).ok())
            .ok_or(Error::Text("ERR LIMIT can't be negative"))?;
    }
    Ok(limit)
}

pub(super) fn zunionstore(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    store(tx, args, Operation::Union, "zunionstore")
}

pub(super) fn zinterstore(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    store(tx, args, Operation::Intersection, "zinterstore")
}

pub(super) fn zdiffstore(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    store(tx, args, Operation::Difference, "zdiffstore")
}

fn store(
    tx: &mut Tx<'_>,
    args: Args<'_>,
    operation: Operation,
    event: &'static str,
) -> Result<(), Error> {
    let dialect = tx.dialect();
    let (members, _) = compute(args, kind(operation, true), dialect, |key| {
        if dialect.misses_sources_to_store() {
            tx.event_of_miss(key);
        }
        tx.value(key)
    })?;
    range::store(tx, args.at(1), members, event)
}

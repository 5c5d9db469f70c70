//! The sorted-set commands.

use std::collections::HashSet;

use crate::command::rows::error::OUT_OF_RANGE;
use crate::command::rows::parse::integer;
use crate::command::rows::scan::{ScanOptions, scan_cursor};
use crate::command::rows::work::{between, random, several_times, step};
use crate::command::rows::{Arity, Command, Error, Family, Flags, Form, Keys, least};
use crate::rdb::listpack::{IntText, Item};
use crate::resp::{Args, Reply, double};
use crate::store::View;
use crate::value::Zset;

mod algebra;
mod apply;
mod bounds;
mod range;

pub(crate) use apply::zadd;
pub(crate) use bounds::{Bounds, Edge};
pub(crate) use range::{by_rank, store};

const BY_CHANCE: &str = "What a server finds by name, among members of different scores in a set too large to be packed, depends on \
                         chance. The key that changes then answers TAINTED until the next full sync.";

const COUNT_FORM: [Form; 1] = [Form::new("AGGREGATE COUNT", "8.8.0")];

/// This file's rows.
pub(crate) const FAMILY: Family = Family {
    group: "sorted-set",
    commands: &[
        one_key("zcard", Arity::exactly(2))
            .read(zcard)
            .flags(Flags::FAST)
            .about("1.2.0", "Counts the members of a sorted set."),
        one_key("zscore", Arity::exactly(3))
            .read(zscore)
            .flags(Flags::FAST)
            .about("1.2.0", "Returns the score of a member."),
        one_key("zmscore", Arity::at_least(3))
            .read(zmscore)
            .flags(Flags::FAST)
            .about("6.2.0", "Returns the scores of members."),
        one_key("zrank", Arity::at_least(3))
            .read(zrank)
            .flags(Flags::FAST)
            .about("2.0.0", "Returns the rank of a member, ascending.")
            .arity_before("7.2.0", Arity::exactly(3)),
        one_key("zrevrank", Arity::at_least(3))
            .read(zrevrank)
            .flags(Flags::FAST)
            .about("2.0.0", "Returns the rank of a member, descending.")
            .arity_before("7.2.0", Arity::exactly(3)),
        one_key("zrange", Arity::at_least(4))
            .read(range::zrange)
            .work(between)
            .least(least::between::<Zset>)
            .about("1.2.0", "Returns members by rank, score or name."),
        one_key("zrevrange", Arity::at_least(4))
            .read(range::zrevrange)
            .work(between)
            .least(least::between::<Zset>)
            .about("1.2.0", "Returns members by rank, descending."),
        one_key("zrangebyscore", Arity::at_least(4))
            .read(range::zrangebyscore)
            .about("1.0.5", "Returns members by score."),
        one_key("zrevrangebyscore", Arity::at_least(4))
            .read(range::zrevrangebyscore)
            .about("2.2.0", "Returns members by score, descending."),
        one_key("zrangebylex", Arity::at_least(4))
            .read(range::zrangebylex)
            .about("2.8.9", "Returns members by name."),
        one_key("zrevrangebylex", Arity::at_least(4))
            .read(range::zrevrangebylex)
            .about("2.8.9", "Returns members by name, descending."),
        one_key("zcount", Arity::exactly(4))
            .read(range::zcount)
            .flags(Flags::FAST)
            .about("2.0.0", "Counts the members in a range of scores."),
        one_key("zlexcount", Arity::exactly(4))
            .read(range::zlexcount)
            .flags(Flags::FAST)
            .about("2.8.9", "Counts the members in a range of names."),
        one_key("zscan", Arity::at_least(3))
            .read(zscan)
            .steps(step)
            .about("2.8.0", "Walks over members and scores."),
        one_key("zrandmember", Arity::at_least(2))
            .read(zrandmember)
            .work(random)
            .least(least::random::<Zset>)
            .about("6.2.0", "Returns random members."),
        Command::new("zunion", Arity::at_least(3), COUNTED)
            .read(algebra::zunion)
            .forms(&COUNT_FORM)
            .work(several_times)
            .about(
                "6.2.0",
                "Returns the members of any of several sorted sets.",
            ),
        Command::new("zinter", Arity::at_least(3), COUNTED)
            .read(algebra::zinter)
            .forms(&COUNT_FORM)
            .work(several_times)
            .about(
                "6.2.0",
                "Returns the members that sorted sets have in common.",
            ),
        Command::new("zdiff", Arity::at_least(3), COUNTED)
            .read(algebra::zdiff)
            .work(several_times)
            .about(
                "6.2.0",
                "Returns the members that only the first sorted set has.",
            ),
        Command::new("zintercard", Arity::at_least(3), COUNTED)
            .read(algebra::zintercard)
            .about(
                "7.0.0",
                "Counts the members that sorted sets have in common.",
            ),
        one_key("zadd", Arity::at_least(4))
            .apply(apply::zadd)
            .flags(Flags::FAST.and(Flags::DENYOOM))
            .about("1.2.0", "Adds members, or changes their scores."),
        one_key("zincrby", Arity::exactly(4))
            .apply(apply::zincrby)
            .flags(Flags::FAST.and(Flags::DENYOOM))
            .about("1.2.0", "Adds to the score of a member."),
        one_key("zrem", Arity::at_least(3))
            .apply(apply::zrem)
            .flags(Flags::FAST)
            .about("1.2.0", "Removes members."),
        one_key("zremrangebyrank", Arity::exactly(4))
            .apply(range::zremrangebyrank)
            .about("2.0.0", "Removes members by rank."),
        one_key("zremrangebyscore", Arity::exactly(4))
            .apply(range::zremrangebyscore)
            .about("1.2.0", "Removes members by score."),
        one_key("zremrangebylex", Arity::exactly(4))
            .apply(range::zremrangebylex)
            .about("2.8.9", "Removes members by name.")
            .difference(BY_CHANCE),
        one_key("zpopmin", Arity::at_least(2))
            .apply(apply::zpopmin)
            .flags(Flags::FAST)
            .about("5.0.0", "Removes the lowest members."),
        one_key("zpopmax", Arity::at_least(2))
            .apply(apply::zpopmax)
            .flags(Flags::FAST)
            .about("5.0.0", "Removes the highest members."),
        Command::new("zrangestore", Arity::at_least(5), Keys::leading(2))
            .apply(range::zrangestore)
            .flags(Flags::DENYOOM)
            .about("6.2.0", "Stores a range of a sorted set under another key.")
            .difference(BY_CHANCE),
        Command::new("zunionstore", Arity::at_least(4), STORED)
            .apply(algebra::zunionstore)
            .forms(&COUNT_FORM)
            .flags(Flags::DENYOOM)
            .about("2.0.0", "Stores the members of any of several sorted sets."),
        Command::new("zinterstore", Arity::at_least(4), STORED)
            .apply(algebra::zinterstore)
            .forms(&COUNT_FORM)
            .flags(Flags::DENYOOM)
            .about(
                "2.0.0",
                "Stores the members that sorted sets have in common.",
            ),
        Command::new("zdiffstore", Arity::at_least(4), STORED)
            .apply(algebra::zdiffstore)
            .flags(Flags::DENYOOM)
            .about(
                "6.2.0",
                "Stores the members that only the first sorted set has.",
            ),
        Command::new("zmpop", Arity::at_least(4), COUNTED)
            .write()
            .about(
                "7.0.0",
                "Removes members from the first sorted set that is not empty.",
            ),
        Command::new(
            "bzmpop",
            Arity::at_least(5),
            Keys::Counted {
                count: 2,
                also: None,
            },
        )
        .write()
        .flags(Flags::BLOCKING)
        .about("7.0.0", "Waits for members and removes them."),
        Command::new("bzpopmin", Arity::at_least(3), ALL_BUT_LAST)
            .write()
            .flags(Flags::FAST.and(Flags::BLOCKING))
            .about("5.0.0", "Waits for a member and removes the lowest."),
        Command::new("bzpopmax", Arity::at_least(3), ALL_BUT_LAST)
            .write()
            .flags(Flags::FAST.and(Flags::BLOCKING))
            .about("5.0.0", "Waits for a member and removes the highest."),
    ],
};

const COUNTED: Keys = Keys::Counted {
    count: 1,
    also: None,
};

const STORED: Keys = Keys::Counted {
    count: 2,
    also: Some(1),
};

const ALL_BUT_LAST: Keys = Keys::Range {
    first: 1,
    last: -2,
    step: 1,
};

const fn one_key(name: &'static str, arity: Arity) -> Command {
    Command::new(name, arity, Keys::first())
}

/// Writes a member.
pub(crate) fn bulk_item(reply: &mut Reply, item: Item<'_>) {
    match item {
        Item::Str(text) => reply.bulk(text),
        Item::Int(number) => reply.bulk_integer(number),
    }
}

/// Writes `count` members, with their scores if wanted: as pairs in RESP3, flat in RESP2.
fn bulk_members<'a>(
    reply: &mut Reply,
    count: usize,
    members: impl Iterator<Item = (Item<'a>, f64)>,
    with_scores: bool,
) {
    let pairs = with_scores && reply.is_resp3();
    reply.array(if with_scores && !pairs {
        count * 2
    } else {
        count
    });
    for (member, score) in members {
        // ZRANDMEMBER can ask for any number of members.
        if reply.overflowed() {
            return;
        }
        if pairs {
            reply.array(2);
        }
        bulk_item(reply, member);
        if with_scores {
            reply.double(score);
        }
    }
}

fn zcard(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let zset = view.collection::<Zset>(args.at(1))?;
    reply.count(zset.map_or(0, Zset::len));
    Ok(())
}

fn bulk_score(reply: &mut Reply, score: Option<f64>) {
    match score {
        Some(score) => reply.double(score),
        None => reply.null(),
    }
}

fn zscore(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let zset = view.collection::<Zset>(args.at(1))?;
    bulk_score(reply, zset.and_then(|zset| zset.score(args.at(2))));
    Ok(())
}

fn zmscore(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let zset = view.collection::<Zset>(args.at(1))?;
    let members = args.from(2);
    reply.array(members.len());
    for member in members.iter() {
        bulk_score(reply, zset.and_then(|zset| zset.score(member)));
    }
    Ok(())
}

fn zrank(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    rank(view, args, reply, |rank, _| rank)
}

fn zrevrank(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    rank(view, args, reply, |rank, len| len - 1 - rank)
}

fn rank(
    view: &View<'_>,
    args: Args<'_>,
    reply: &mut Reply,
    counted: fn(usize, usize) -> usize,
) -> Result<(), Error> {
    let with_score = with_score(args, reply)?;
    let key = args.at(1);
    let zset = view.collection::<Zset>(key)?;
    let found = zset.and_then(|zset| Some((zset, zset.rank(args.at(2))?)));
    match found {
        None if with_score => reply.null_array(),
        None => reply.null(),
        Some((zset, rank)) => {
            if with_score {
                reply.array(2);
            }
            reply.count(counted(rank, zset.len()));
            if with_score {
                bulk_score(reply, zset.score(args.at(2)));
            }
        }
    }
    Ok(())
}

/// Whether ZRANK has WITHSCORE, which servers know since 7.2.
fn with_score(args: Args<'_>, reply: &Reply) -> Result<bool, Error> {
    let words_max = if reply.dialect().has_ranks_with_scores() {
        4
    } else {
        3
    };
    if args.len() > words_max {
        let name = args.at(0).to_ascii_lowercase();
        return Err(Error::Arity(String::from_utf8_lossy(&name).into_owned()));
    }
    match args.len() {
        4 if !args.is(3, "withscore") => Err(Error::Syntax),
        words => Ok(words == 4),
    }
}

fn zscan(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let cursor = scan_cursor(args.at(2), reply.dialect())?;
    // Redis checks the key before the options.
    let Some(zset) = view.collection::<Zset>(args.at(1))? else {
        reply.array(2);
        reply.bulk(b"0");
        reply.array(0);
        return Ok(());
    };
    let options = ScanOptions::parse(args, 3, reply.dialect())?;
    let mut found = Vec::new();
    let next = scan_texts(zset, cursor, options.count, |member, score| {
        if options.pattern.matches(member) {
            found.push((Box::<[u8]>::from(member), Box::<[u8]>::from(score)));
        }
    });
    reply.array(2);
    reply.bulk(itoa::Buffer::new().format(next).as_bytes());
    reply.array(found.len() * if options.no_scores { 1 } else { 2 });
    for (member, score) in &found {
        reply.bulk(member);
        if !options.no_scores {
            reply.bulk(score);
        }
    }
    Ok(())
}

/// Visits members and the texts of their scores: as stored in a small sorted set, as `%.17g` in a large one.
///
/// Source: redis 7.2 db.c, `scanGenericCommand` (`ld2string` with `%.17Lg`, in every version).
fn scan_texts(zset: &Zset, cursor: u64, count: usize, mut visit: impl FnMut(&[u8], &[u8])) -> u64 {
    let mut score_text = Vec::new();
    let Some(packed) = zset.as_listpack() else {
        return zset.scan(cursor, count, |member, score| {
            score_text.clear();
            double::write(&mut score_text, score, false);
            visit(member, &score_text);
        });
    };
    let mut items = packed.iter();
    let (mut one, mut other) = (IntText::new(), IntText::new());
    while let (Some(member), Some(score)) = (items.next(), items.next()) {
        visit(member.text(&mut one), score.text(&mut other));
    }
    0
}

fn zrandmember(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    if args.len() == 2 {
        let zset = view.collection::<Zset>(args.at(1))?;
        match zset.and_then(random_member) {
            Some((member, _)) => bulk_item(reply, member),
            None => reply.null(),
        }
        return Ok(());
    }
    let count = integer(args.at(2))?;
    if args.len() > 4 || (args.len() == 4 && !args.is(3, "withscores")) {
        return Err(Error::Syntax);
    }
    let with_scores = args.len() == 4;
    if count == i64::MIN {
        return Err(Error::Text(OUT_OF_RANGE));
    }
    if with_scores && count.unsigned_abs() > i64::MAX as u64 / 2 {
        return Err(Error::Text("ERR value is out of range"));
    }
    // A snapshot of an old server may hold one without members.
    let zset = view.collection::<Zset>(args.at(1))?;
    let Some(zset) = zset.filter(|zset| !zset.is_empty()) else {
        reply.array(0);
        return Ok(());
    };
    let wanted = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    if count < 0 {
        let members = std::iter::repeat_with(|| random_member(zset)).map_while(|member| member);
        let members = members.take(wanted);
        bulk_members(reply, wanted, members, with_scores);
    } else {
        sample(reply, zset, wanted, with_scores);
    }
    Ok(())
}

fn random_member(zset: &Zset) -> Option<(Item<'_>, f64)> {
    let rank = fastrand::usize(..zset.len().max(1));
    zset.range(rank..rank + 1).next()
}

/// Writes `wanted` different random members, or all if there are not more.
fn sample(reply: &mut Reply, zset: &Zset, wanted: usize, with_scores: bool) {
    let wanted = wanted.min(zset.len());
    if wanted < zset.len() / WALKED_PER_MEMBER {
        let ranks = different_ranks(zset.len(), wanted).into_iter();
        let members = ranks.flat_map(|rank| zset.range(rank..rank + 1));
        return bulk_members(reply, wanted, members, with_scores);
    }
    let members = crate::value::sample(zset.iter(), zset.len(), wanted);
    bulk_members(reply, wanted, members.into_iter(), with_scores);
}

/// Returns `count` different ranks below `len`, which is much larger than `count`.
fn different_ranks(len: usize, count: usize) -> HashSet<usize> {
    let mut ranks = HashSet::new();
    while ranks.len() < count {
        ranks.insert(fastrand::usize(..len));
    }
    ranks
}

/// The number of members to walk over for each one taken. Above it, looking up each member by its rank is faster.
const WALKED_PER_MEMBER: usize = 16;

#[cfg(test)]
mod tests;

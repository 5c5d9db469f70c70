//! Set commands.

use super::hyperloglog::estimated;
use crate::command::rows::parse::{integer, random_count};
use crate::command::rows::scan::{ScanOptions, scan_cursor};
use crate::command::rows::work::{random, step};
use crate::command::rows::{Arity, Command, Error, Family, Flags, Keys, least};
use crate::feed::Class;
use crate::rdb::listpack::{IntText, Item};
use crate::resp::{Args, Reply};
use crate::store::{NewValue, Tx, View};
use crate::value::set::{difference, intersection, intersection_store, union};
use crate::value::{Object, Set, Thresholds};

const GROW_FAST: Flags = Flags::DENYOOM.and(Flags::FAST);

/// The keys of commands that say how many they have.
const COUNTED: Keys = Keys::counted(1);

/// This file's rows.
pub(crate) const FAMILY: Family = Family {
    group: "set",
    commands: &[
        Command::new("smembers", Arity::exactly(2), Keys::first())
            .read(smembers)
            .least(least::elements::<Set>)
            .about("1.0.0", "Returns all members."),
        Command::new("sismember", Arity::exactly(3), Keys::first())
            .read(sismember)
            .flags(Flags::FAST)
            .about("1.0.0", "Says whether a value is a member."),
        Command::new("smismember", Arity::at_least(3), Keys::first())
            .read(smismember)
            .flags(Flags::FAST)
            .about("6.2.0", "Says for several values whether each is a member."),
        Command::new("scard", Arity::exactly(2), Keys::first())
            .read(scard)
            .flags(Flags::FAST)
            .about("1.0.0", "Returns the number of members."),
        Command::new("sscan", Arity::at_least(3), Keys::first())
            .read(sscan)
            .steps(step)
            .about("2.8.0", "Walks over the members a few at a time."),
        Command::new("srandmember", Arity::at_least(2), Keys::first())
            .read(srandmember)
            .work(random)
            .least(least::random::<Set>)
            .about("1.0.0", "Returns random members."),
        Command::new("sinter", Arity::at_least(2), Keys::all())
            .read(sinter)
            .about("1.0.0", "Returns the members that all sets have."),
        Command::new("sintercard", Arity::at_least(3), COUNTED)
            .read(sintercard)
            .about("7.0.0", "Returns the number of members that all sets have."),
        Command::new("sunioncard", Arity::at_least(3), COUNTED)
            .read(sunioncard)
            .about(
                "8.10.0",
                "Returns the number of members of any of the sets, or an estimate.",
            ),
        Command::new("sdiffcard", Arity::at_least(3), COUNTED)
            .read(sdiffcard)
            .about(
                "8.10.0",
                "Returns the number of the first set's members that no other set has.",
            ),
        Command::new("sunion", Arity::at_least(2), Keys::all())
            .read(sunion)
            .least(least::largest_set)
            .about("1.0.0", "Returns the members of any of the sets."),
        Command::new("sdiff", Arity::at_least(2), Keys::all())
            .read(sdiff)
            .about(
                "1.0.0",
                "Returns the first set's members that no other set has.",
            ),
        Command::new("sadd", Arity::at_least(3), Keys::first())
            .apply(sadd)
            .flags(GROW_FAST)
            .about("1.0.0", "Adds members."),
        Command::new("srem", Arity::at_least(3), Keys::first())
            .apply(srem)
            .flags(Flags::FAST)
            .about("1.0.0", "Removes members."),
        Command::new("smove", Arity::exactly(4), Keys::leading(2))
            .apply(smove)
            .flags(Flags::FAST)
            .about("1.0.0", "Moves a member from one set to another."),
        Command::new("spop", Arity::at_least(2), Keys::first())
            .write()
            .flags(Flags::FAST)
            .about("1.0.0", "Removes and returns random members."),
        Command::new("sinterstore", Arity::at_least(3), Keys::all())
            .apply(sinterstore)
            .flags(Flags::DENYOOM)
            .about("1.0.0", "Stores the members that all sets have."),
        Command::new("sunionstore", Arity::at_least(3), Keys::all())
            .apply(sunionstore)
            .flags(Flags::DENYOOM)
            .about("1.0.0", "Stores the members of any of the sets."),
        Command::new("sdiffstore", Arity::at_least(3), Keys::all())
            .apply(sdiffstore)
            .flags(Flags::DENYOOM)
            .about(
                "1.0.0",
                "Stores the first set's members that no other set has.",
            ),
    ],
};

fn bulk(reply: &mut Reply, item: Item<'_>) {
    reply.bulk(item.text(&mut IntText::new()));
}

fn set_of<'a>(
    len: usize,
    members: impl Iterator<Item = Item<'a>>,
    reply: &mut Reply,
) -> Result<(), Error> {
    reply.set(len);
    members.for_each(|member| bulk(reply, member));
    Ok(())
}

fn smembers(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    match view.collection::<Set>(args.at(1))? {
        Some(set) => set_of(set.len(), set.iter(), reply),
        None => set_of(0, std::iter::empty(), reply),
    }
}

fn sismember(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let set = view.collection::<Set>(args.at(1))?;
    reply.integer(set.is_some_and(|set| set.contains(args.at(2))).into());
    Ok(())
}

fn smismember(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let set = view.collection::<Set>(args.at(1))?;
    let members = args.from(2);
    reply.array(members.len());
    for member in members.iter() {
        reply.integer(set.is_some_and(|set| set.contains(member)).into());
    }
    Ok(())
}

fn scard(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let set = view.collection::<Set>(args.at(1))?;
    reply.count(set.map_or(0, Set::len));
    Ok(())
}

fn sscan(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let cursor = scan_cursor(args.at(2), reply.dialect())?;
    let Some(set) = view.collection::<Set>(args.at(1))? else {
        reply.array(2);
        reply.bulk(b"0");
        reply.array(0);
        return Ok(());
    };
    let options = ScanOptions::parse(args, 3, reply.dialect())
        .map_err(|error| scan_error(error, args, reply))?;
    let mut found = Vec::new();
    let next = set.scan(cursor, options.count, |member| {
        let text = member.to_vec();
        if options.pattern.matches(&text) {
            found.push(text);
        }
    });
    reply.array(2);
    reply.bulk(next.to_string().as_bytes());
    reply.array(found.len());
    found.iter().for_each(|member| reply.bulk(member));
    Ok(())
}

/// Servers that know NOVALUES say where it belongs.
fn scan_error(error: Error, args: Args<'_>, reply: &Reply) -> Error {
    let mut words = (3..args.len()).step_by(2);
    if reply.dialect().has_hscan_novalues() && words.any(|index| args.is(index, "novalues")) {
        return Error::Text("ERR NOVALUES option can only be used in HSCAN");
    }
    error
}

fn srandmember(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    if args.len() > 3 {
        return Err(Error::Syntax);
    }
    let count = args.get(2).map(random_count).transpose()?;
    let set = view.collection::<Set>(args.at(1))?;
    match (count, set) {
        (None, set) => match set.and_then(Set::random) {
            Some(member) => bulk(reply, member),
            None => reply.null(),
        },
        (Some(_), None) => random_head(reply, 0),
        (Some(Err(repeats)), Some(set)) => {
            random_head(reply, repeats);
            let members = std::iter::repeat_with(|| set.random()).take(repeats);
            for member in members.flatten() {
                bulk(reply, member);
                // A large count is cheap to send, so stop looking up members once the reply is too long.
                if reply.overflowed() {
                    break;
                }
            }
        }
        (Some(Ok(count)), Some(set)) => {
            let members = set.sample(count);
            random_head(reply, members.len());
            members.iter().for_each(|member| bulk(reply, *member));
        }
    }
    Ok(())
}

/// Starts the reply of SRANDMEMBER with a count: an array, or a set for old servers.
fn random_head(reply: &mut Reply, len: usize) {
    if reply.dialect().has_random_members_as_array() {
        reply.array(len);
    } else {
        reply.set(len);
    }
}

/// The sets at `keys`, `None` for a key that does not exist.
fn sets<'v>(
    keys: Args<'_>,
    find: impl Fn(&[u8]) -> Result<Option<&'v Set>, crate::store::WrongType>,
) -> Result<Vec<Option<&'v Set>>, Error> {
    keys.iter().map(|key| Ok(find(key)?)).collect()
}

/// All of `sets`, or none if one of them does not exist: the operands of an intersection.
fn all_present(sets: Vec<Option<&Set>>) -> Vec<&Set> {
    sets.into_iter()
        .collect::<Option<Vec<_>>>()
        .unwrap_or_default()
}

/// The difference between the first of `sets` and the others.
fn difference_of(sets: &[Option<&Set>], thresholds: &Thresholds) -> Set {
    let Some((Some(first), others)) = sets.split_first() else {
        return Set::default();
    };
    let others: Vec<&Set> = others.iter().flatten().copied().collect();
    difference(first, &others, thresholds)
}

fn sinter(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let sets = sets(args.from(1), |key| view.collection(key))?;
    let members: Vec<Item<'_>> = intersection(all_present(sets)).collect();
    set_of(members.len(), members.into_iter(), reply)
}

fn sintercard(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let keys = counted_keys(args)?;
    let limit = limit(args.from(2 + keys))?;
    let sets = counted_sets(view, args, keys)?;
    reply.count(intersection(all_present(sets)).take(limit).count());
    Ok(())
}

/// The number of keys that word 1 states.
fn counted_keys(args: Args<'_>) -> Result<usize, Error> {
    let keys = integer(args.at(1))
        .ok()
        .and_then(|keys| usize::try_from(keys).ok());
    let keys = keys
        .filter(|keys| *keys > 0)
        .ok_or(Error::Text("ERR numkeys should be greater than 0"))?;
    if keys > args.len() - 2 {
        return Err(Error::Text(
            "ERR Number of keys can't be greater than number of args",
        ));
    }
    Ok(keys)
}

fn counted_sets<'v>(
    view: &'v View<'_>,
    args: Args<'_>,
    keys: usize,
) -> Result<Vec<Option<&'v Set>>, Error> {
    let named = args.from(2).iter().take(keys);
    named.map(|key| Ok(view.collection::<Set>(key)?)).collect()
}

/// `SUNIONCARD numkeys key… [APPROX] [LIMIT limit]`, the options in any order.
///
/// A server stops counting at the limit. That changes no reply: an estimate only grows as members are added.
/// Source: redis 8.10 t_set.c, `sunioncardCommand`, from documents: no server of this version was asked.
fn sunioncard(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let keys = counted_keys(args)?;
    let options = args.from(2 + keys);
    let (mut most, mut is_estimate, mut index) = (usize::MAX, false, 0);
    while index < options.len() {
        if options.is(index, "approx") {
            is_estimate = true;
            index += 1;
        } else {
            let last = options.len().min(index + 2);
            most = limit_at(options, index, last)?;
            index = last;
        }
    }
    let sets = counted_sets(view, args, keys)?;
    let present = sets.into_iter().flatten();
    let count = if is_estimate {
        let estimate = estimated(present.flat_map(Set::iter));
        usize::try_from(estimate).unwrap_or(usize::MAX)
    } else {
        union(present, &Thresholds::of(reply.dialect())).len()
    };
    reply.count(count.min(most));
    Ok(())
}

/// `SDIFFCARD numkeys key… [LIMIT limit]`.
///
/// Source: redis 8.10 t_set.c, `sdiffcardCommand`, from documents: no server of this version was asked.
fn sdiffcard(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let keys = counted_keys(args)?;
    let most = limit(args.from(2 + keys))?;
    let sets = counted_sets(view, args, keys)?;
    let count = difference_of(&sets, &Thresholds::of(reply.dialect())).len();
    reply.count(count.min(most));
    Ok(())
}

/// The limit in the options from `index` to before `end`, which are LIMIT and its number.
fn limit_at(options: Args<'_>, index: usize, end: usize) -> Result<usize, Error> {
    if end - index < 2 || !options.is(index, "limit") {
        return Err(Error::Syntax);
    }
    let limit = integer(options.at(index + 1))
        .ok()
        .and_then(|limit| usize::try_from(limit).ok())
        .ok_or(Error::Text("ERR LIMIT can't be negative"))?;
    Ok(if limit == 0 { usize::MAX } else { limit })
}

/// SINTERCARD's LIMIT. Without one, or if it is 0, there is no limit.
fn limit(options: Args<'_>) -> Result<usize, Error> {
    let mut limit = usize::MAX;
    for index in (0..options.len()).step_by(2) {
        limit = limit_at(options, index, options.len().min(index + 2))?;
    }
    Ok(limit)
}

fn sunion(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let sets = sets(args.from(1), |key| view.collection(key))?;
    let members = union(sets.into_iter().flatten(), &Thresholds::of(reply.dialect()));
    set_of(members.len(), members.iter(), reply)
}

fn sdiff(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let sets = sets(args.from(1), |key| view.collection(key))?;
    let members = difference_of(&sets, &Thresholds::of(reply.dialect()));
    set_of(members.len(), members.iter(), reply)
}

fn sadd(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let thresholds = tx.thresholds();
    let has_grown = tx.upsert(args.at(1), |set: &mut Set| {
        set.prepare(args.at(2), args.len() - 2, &thresholds);
        let add = |has_grown, member: &[u8]| set.add(member, &thresholds) | has_grown;
        args.from(2).iter().fold(false, add)
    })?;
    if has_grown {
        tx.event(Class::SET, "sadd", args.at(1));
    }
    Ok(())
}

fn srem(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    tx.shrink(args.at(1), (Class::SET, "srem"), |set: &mut Set| {
        let members = args.from(2).iter();
        members.fold(false, |removed, member| set.remove(member) | removed)
    })?;
    Ok(())
}

fn smove(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let (source, target, member) = (args.at(1), args.at(2), args.at(3));
    tx.collection::<Set>(target)?;
    if source == target {
        return Ok(());
    }
    let thresholds = tx.thresholds();
    let removed = tx.update(source, |set: &mut Set| set.remove(member))?;
    if removed == Some(true) {
        tx.event_that_may_empty(Class::SET, "srem", source);
        let is_new = tx.upsert(target, |set: &mut Set| {
            if set.is_empty() {
                set.prepare(member, 1, &thresholds);
            }
            set.add(member, &thresholds)
        })?;
        if is_new {
            tx.event(Class::SET, "sadd", target);
        }
    }
    Ok(())
}

/// Returns the sets at the keys after the first, which names the target.
fn sources<'t>(tx: &'t Tx<'_>, args: Args<'_>) -> Result<Vec<Option<&'t Set>>, Error> {
    sets(args.from(2), |key| {
        if tx.dialect().misses_sources_to_store() {
            tx.event_of_miss(key);
        }
        tx.collection(key)
    })
}

/// Stores `result` at `key`, replacing any value there. An empty result removes the key.
fn store(tx: &mut Tx<'_>, key: &[u8], result: Set, event: &'static str) -> Result<(), Error> {
    if !result.is_empty() {
        tx.overwrite(key, None, NewValue::Object(Box::new(Object::Set(result))));
        tx.event(Class::SET, event, key);
    } else if tx.remove(key).is_some() {
        tx.event(Class::GENERIC, "del", key);
    }
    Ok(())
}

fn sinterstore(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let thresholds = tx.thresholds();
    let sets = sources(tx, args)?;
    let result = intersection_store(all_present(sets), &thresholds);
    store(tx, args.at(1), result, "sinterstore")
}

fn sunionstore(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let thresholds = tx.thresholds();
    let sets = sources(tx, args)?;
    let result = union(sets.into_iter().flatten(), &thresholds);
    store(tx, args.at(1), result, "sunionstore")
}

fn sdiffstore(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let thresholds = tx.thresholds();
    let sets = sources(tx, args)?;
    let result = difference_of(&sets, &thresholds);
    store(tx, args.at(1), result, "sdiffstore")
}

#[cfg(test)]
#[path = "set_tests.rs"]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]
mod tests;

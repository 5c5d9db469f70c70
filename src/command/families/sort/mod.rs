//! SORT and SORT_RO.
//!
//! [`query`] parses the options, [`pattern`] finds other keys' values for elements, [`order`] sorts the elements. If
//! patterns name other keys, the whole database is held, so that the reply is of one moment.

use crate::command::families::zset::bulk_item;
use crate::command::rows::work::several_times;
use crate::command::rows::{Arity, Command, Error, Family, Flags, Keys, least};
use crate::feed::Class;
use crate::resp::{Args, Reply};
use crate::store::{Doubt, NewValue, Tx, View};
use crate::value::{Collection, End, List, Zset};

mod order;
mod pattern;
mod query;

use query::Query;

/// This folder's rows.
pub(crate) const FAMILY: Family = Family {
    group: "generic",
    commands: &[
        Command::new("sort_ro", Arity::at_least(2), Keys::first())
            .read(sort_ro)
            .work(several_times)
            .least(least::sorted)
            .also_reads(query::reads_other_keys)
            .difference(
                "ALPHA compares bytes, as servers in the C locale do. Elements of a large set come in another order if nothing \
                 sorts them. Redis also converts a packed sorted set that it sorts to the large form; in redtail it stays packed.",
            )
            .about("7.0.0", "Returns the elements of a list, a set or a sorted set in order."),
        Command::new(
            "sort",
            Arity::at_least(2),
            Keys::Found {
                first: 1,
                find: sort_keys,
            },
        )
        .apply(sort)
        .also_reads(query::reads_other_keys)
        .difference(
            "A STORE whose order depends on that of the primary's hash tables (equal BY weights, with ALPHA) leaves its destination \
             TAINTED.",
        )
        .flags(Flags::DENYOOM)
        .about("1.0.0", "Sorts elements, and may store them."),
    ],
};

/// The key to sort, and the destination after the last STORE that is not part of another option.
/// Source: redis 7.0 db.c, `sortGetKeys`.
fn sort_keys(args: Args<'_>, visit: &mut dyn FnMut(usize)) {
    visit(1);
    let (mut at, mut destination) = (2, None);
    while at < args.len() {
        if args.is(at, "store") && at + 1 < args.len() {
            destination = Some(at + 1);
        }
        at += match () {
            () if args.is(at, "limit") => 3,
            () if args.is(at, "get") || args.is(at, "by") => 2,
            () => 1,
        };
    }
    destination.into_iter().for_each(visit);
}

fn sort_ro(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let query = Query::parse(args, false)?;
    let elements = order::sorted(&view, args.at(1), &query, reply.dialect())?.elements;
    if query.get.is_empty() {
        reply.array(elements.len());
        elements
            .iter()
            .for_each(|element| bulk_item(reply, *element));
        return Ok(());
    }
    reply.array(elements.len().saturating_mul(query.get.len()));
    let mut key = Vec::new();
    for element in elements {
        // A client can ask for more values than a reply has room for.
        if reply.overflowed() {
            break;
        }
        for pattern in &query.get {
            match pattern.find(&view, element, &mut key)? {
                Some(value) => bulk_item(reply, value),
                None => reply.null(),
            }
        }
    }
    Ok(())
}

fn sort(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let mut query = Query::parse(args, true)?;
    let Some(destination) = query.store else {
        return Ok(());
    };
    prepare(tx, args.at(1), &mut query)?;
    let (words, by_chance) = values(tx, args.at(1), &query)?;
    if words.is_empty() {
        if tx.remove(destination).is_some() {
            tx.event(Class::GENERIC, "del", destination);
        }
        return Ok(());
    }
    let mut list = List::default();
    let words = words.iter().map(Vec::as_slice);
    list.push(End::Tail, words, &tx.thresholds());
    tx.overwrite(
        destination,
        None,
        NewValue::Object(Box::new(list.into_object())),
    );
    tx.event(Class::LIST, "sortstore", destination);
    if by_chance {
        tx.taint(tx.db_number(), destination, Doubt::Elements);
    }
    Ok(())
}

/// What storing does first: a set without an order gets one, and a sorted set loses its packed form for good.
fn prepare(tx: &mut Tx<'_>, key: &[u8], query: &mut Query<'_>) -> Result<(), Error> {
    if query.unsorted
        && tx
            .collection::<crate::value::Set>(key)
            .is_ok_and(|set| set.is_some())
    {
        query.unsorted = false;
        query.alpha = true;
        query.by = None;
    }
    if tx.collection::<Zset>(key).is_ok_and(|zset| zset.is_some()) {
        tx.update(key, Zset::enlarge)?;
    }
    Ok(())
}

/// Returns the words to store, with an empty one where a pattern finds nothing, and whether only the primary knows their order.
fn values(tx: &Tx<'_>, key: &[u8], query: &Query<'_>) -> Result<(Vec<Vec<u8>>, bool), Error> {
    let sorted = order::sorted(&tx, key, query, tx.dialect())?;
    let elements = sorted.elements.into_iter();
    if query.get.is_empty() {
        let words = elements.map(|element| element.to_vec()).collect();
        return Ok((words, sorted.by_chance));
    }
    let (mut words, mut buffer) = (Vec::new(), Vec::new());
    for element in elements {
        for pattern in &query.get {
            let value = pattern.find(&tx, element, &mut buffer)?;
            words.push(value.map(|value| value.to_vec()).unwrap_or_default());
        }
    }
    Ok((words, sorted.by_chance))
}

#[cfg(test)]
mod tests;

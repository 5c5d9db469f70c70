//! Finds the places that a query asks for, and sends them to a client or stores them under a key.

use super::cell::{Cell, Point, signed};
use super::coordinates;
use super::distance;
use super::earth::Earth;
use super::query::{self, Form, Order, Query};
use crate::command::families::zset::{bulk_item, store};
use crate::command::rows::Error;
use crate::command::rows::partial_sort::partial_sort;
use crate::dialect::Dialect;
use crate::rdb::listpack::Item;
use crate::resp::{Args, Reply};
use crate::store::{Tx, View};
use crate::value::Zset;

/// A place that a query found.
#[derive(Debug, Clone, Copy)]
struct Found<'a> {
    member: Item<'a>,
    score: f64,
    distance_m: f64,
    point: Point,
}

/// Answers a search.
pub(super) fn answer(
    view: &View<'_>,
    args: Args<'_>,
    reply: &mut Reply,
    form: Form,
) -> Result<(), Error> {
    let zset = view.collection::<Zset>(args.at(1))?;
    let dialect = reply.dialect();
    if zset.is_none() && !dialect.has_geo_shapes() {
        reply.array(0);
        return Ok(());
    }
    let query = query::parse(args, form, false, zset, dialect)?;
    let found = match zset {
        Some(zset) => find(zset, &query, dialect)?,
        None => Vec::new(),
    };
    reply.array(found.len());
    let told = query.told.count();
    for place in &found {
        if told > 0 {
            reply.array(1 + told);
        }
        tell(reply, place, &query);
    }
    Ok(())
}

fn tell(reply: &mut Reply, place: &Found<'_>, query: &Query<'_>) {
    bulk_item(reply, place.member);
    if query.told.distance {
        distance(reply, place.distance_m / query.search.unit_m);
    }
    if query.told.hash {
        reply.integer(signed(place.score));
    }
    if query.told.coordinates {
        coordinates(reply, place.point);
    }
}

/// Applies a search that stores its result.
pub(super) fn keep(tx: &mut Tx<'_>, args: Args<'_>, form: Form) -> Result<(), Error> {
    let source = if form == Form::SearchStore { 2 } else { 1 };
    let dialect = tx.dialect();
    tx.event_of_miss(args.at(source));
    let zset = tx.collection::<Zset>(args.at(source))?;
    let query = query::parse(args, form, true, zset, dialect)?;
    let Some(destination) = query.destination else {
        return Ok(());
    };
    let found = match zset {
        Some(zset) => find(zset, &query, dialect)?,
        None if !dialect.stores_places_of_no_key() => return Ok(()),
        None => Vec::new(),
    };
    let score = |place: &Found<'_>| {
        if destination.distances {
            place.distance_m / query.search.unit_m
        } else {
            place.score
        }
    };
    let members = found
        .iter()
        .map(|place| (place.member.to_boxed(), score(place)))
        .collect();
    let event = match form {
        Form::SearchStore => "geosearchstore",
        _ => "georadiusstore",
    };
    store(tx, destination.key, members, event)
}

/// Returns the places that a query finds, in its order and no more than its count.
fn find<'z>(zset: &'z Zset, query: &Query<'_>, dialect: Dialect) -> Result<Vec<Found<'z>>, Error> {
    let earth = Earth::of(dialect);
    let cells = query.search.cells(earth, dialect).ok_or(Error::Text(
        "ERR the middle of the polygon lies where nothing can be indexed",
    ))?;
    let limit = query.count.filter(|_| query.any);
    let mut found = Vec::new();
    for cell in different(cells) {
        if limit.is_some_and(|limit| found.len() >= limit) {
            break;
        }
        gather(zset, cell, query, earth, limit, &mut found);
    }
    let wanted = query.count.unwrap_or(usize::MAX).min(found.len());
    sort(&mut found, query.order, wanted, dialect);
    found.truncate(wanted);
    Ok(found)
}

/// Returns the cells to search. If a search spans the world, a cell can lie on two sides of the centre: it is left out if
/// it comes twice in a row, but not right after the centre's own.
///
/// Source: redis 7.0 geo.c, `membersOfAllNeighbors`.
fn different(cells: [Option<Cell>; 9]) -> impl Iterator<Item = Cell> {
    let mut last = None;
    cells
        .into_iter()
        .enumerate()
        .filter_map(move |(index, cell)| {
            let cell = cell?;
            if last == Some(cell) {
                return None;
            }
            if index > 0 {
                last = Some(cell);
            }
            Some(cell)
        })
}

/// Adds the places of one cell that lie in the shape.
fn gather<'z>(
    zset: &'z Zset,
    cell: Cell,
    query: &Query<'_>,
    earth: Earth,
    limit: Option<usize>,
    found: &mut Vec<Found<'z>>,
) {
    let (first, end) = cell.scores();
    let start = zset.count_leading(|_, score| score < first);
    let members = zset.range(start..zset.len());
    for (member, score) in members.take_while(|(_, score)| *score < end) {
        let point = Cell::of_score(score).centre();
        if let Some(distance_m) = query.search.distance_m(earth, point) {
            found.push(Found {
                member,
                score,
                distance_m,
                point,
            });
        }
        if limit.is_some_and(|limit| found.len() >= limit) {
            break;
        }
    }
}

/// Sorts the first `wanted` places. Equal distances end up in the order that Redis's sort leaves them in.
fn sort(found: &mut [Found<'_>], order: Order, wanted: usize, dialect: Dialect) {
    let ascending = |one: &Found<'_>, other: &Found<'_>| {
        let by_distance = one.distance_m.partial_cmp(&other.distance_m);
        by_distance.unwrap_or_else(|| one.distance_m.total_cmp(&other.distance_m))
    };
    let compare = |one: &Found<'_>, other: &Found<'_>| match order {
        Order::Descending => ascending(other, one),
        _ => ascending(one, other),
    };
    if order == Order::AsFound {
        return;
    }
    if wanted == found.len() || !dialect.has_geo_shapes() {
        // Like the C library's sort, this one keeps equal places in their order.
        found.sort_by(compare);
    } else if wanted > 0 {
        partial_sort(found, compare, 0, wanted - 1);
    }
}

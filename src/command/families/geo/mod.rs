//! Places on earth: sorted sets whose scores are geohashes.
//!
//! [`cell`] turns places into scores and back, [`earth`] measures distances, [`shape`] says what lies in a shape and
//! which cells cover it, [`query`] parses a search and [`search`] runs it. Every floating-point operation is done as the
//! server does it, in the same order, so that all printed digits agree; sines and cosines come from the C library, as on
//! the server.

use crate::command::rows::work::words;
use crate::command::rows::{Arity, Command, Error, Family, Flags, Keys};
use crate::resp::{Args, Reply};
use crate::store::{Tx, View};
use crate::value::Zset;

mod cell;
mod earth;
mod query;
mod search;
mod shape;

use cell::{Cell, Point, STEPS_MAX, WHOLE};
use earth::Earth;
use query::Form;

/// This family's rows.
pub(crate) const FAMILY: Family = Family {
    group: "geo",
    commands: &[
        Command::new("geodist", Arity::at_least(4), Keys::first())
            .read(geodist)
            .work(words)
            .about("3.2.0", "Returns the distance between two places."),
        Command::new("geohash", Arity::at_least(2), Keys::first())
            .read(geohash)
            .work(words)
            .about("3.2.0", "Returns the geohash texts of places."),
        Command::new("geopos", Arity::at_least(2), Keys::first())
            .read(geopos)
            .work(words)
            .about("3.2.0", "Returns the longitudes and latitudes of places."),
        Command::new("geosearch", Arity::at_least(7), Keys::first())
            .read(geosearch)
            .difference(
                "Refuses a polygon (Valkey 9) whose middle lies beyond 85.05 degrees of latitude, because Valkey reads memory \
                 there that it never wrote.",
            )
            .about(
                "6.2.0",
                "Finds places in a circle, a rectangle or a polygon.",
            ),
        Command::new("georadius_ro", Arity::at_least(6), Keys::first())
            .read(georadius_ro)
            .about("3.2.10", "Finds places around a point."),
        Command::new("georadiusbymember_ro", Arity::at_least(5), Keys::first())
            .read(georadiusbymember_ro)
            .about("3.2.10", "Finds places around another place."),
        Command::new("geoadd", Arity::at_least(5), Keys::first())
            .apply(geoadd)
            .flags(Flags::DENYOOM)
            .about("3.2.0", "Adds places."),
        Command::new("georadius", Arity::at_least(6), SOURCE_AND_STORE)
            .apply(georadius)
            .flags(Flags::DENYOOM)
            .about("3.2.0", "Finds places around a point, and may store them."),
        Command::new("georadiusbymember", Arity::at_least(5), SOURCE_AND_STORE)
            .apply(georadiusbymember)
            .flags(Flags::DENYOOM)
            .about("3.2.0", "Finds places around another place, and may store them."),
        Command::new("geosearchstore", Arity::at_least(8), Keys::leading(2))
            .apply(geosearchstore)
            .flags(Flags::DENYOOM)
            .about("6.2.0", "Finds places and stores them."),
    ],
};

/// The first argument, and the word after the last STORE or STOREDIST.
const SOURCE_AND_STORE: Keys = Keys::Found {
    first: 1,
    find: |args, visit| {
        visit(1);
        if let Some(index) = store_at(args) {
            visit(index);
        }
    },
};

/// Source: redis 7.0 db.c, `georadiusGetKeys`.
fn store_at(args: Args<'_>) -> Option<usize> {
    (5..args.len().saturating_sub(1))
        .rfind(|index| args.is(*index, "store") || args.is(*index, "storedist"))
        .map(|index| index + 1)
}

/// Returns the place of a member.
fn place(zset: Option<&Zset>, member: &[u8]) -> Option<Point> {
    Some(Cell::of_score(zset?.score(member)?).centre())
}

fn geodist(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let unit_m = match args.len() {
        4 => 1.0,
        5 => query::unit_m(args.at(4), reply.dialect())?,
        _ => return Err(Error::Syntax),
    };
    let zset = view.collection::<Zset>(args.at(1))?;
    match (place(zset, args.at(2)), place(zset, args.at(3))) {
        (Some(one), Some(other)) => {
            let distance_m = Earth::of(reply.dialect()).distance_m(one, other);
            distance(reply, distance_m / unit_m);
        }
        _ => reply.null(),
    }
    Ok(())
}

fn geohash(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let zset = view.collection::<Zset>(args.at(1))?;
    let members = args.from(2);
    reply.array(members.len());
    for member in members.iter() {
        match place(zset, member) {
            Some(point) => reply.bulk(&text(point)),
            None => reply.null(),
        }
    }
    Ok(())
}

/// Returns the geohash text of a point: ten letters, and one that is always `0`, because 52 bits hold no more.
fn text(point: Point) -> [u8; 11] {
    const LETTERS: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
    let cell = Cell::of(point, &WHOLE, STEPS_MAX);
    let bits = cell.map_or(0, |cell| cell.bits);
    let mut text = [b'0'; 11];
    for (index, letter) in text.iter_mut().take(10).enumerate() {
        let part = (bits >> (47 - 5 * index)) & 0x1f;
        let at = usize::try_from(part).unwrap_or(0);
        *letter = LETTERS.get(at).copied().unwrap_or(b'0');
    }
    text
}

fn geopos(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let zset = view.collection::<Zset>(args.at(1))?;
    let members = args.from(2);
    reply.array(members.len());
    for member in members.iter() {
        match place(zset, member) {
            Some(point) => coordinates(reply, point),
            None => reply.null_array(),
        }
    }
    Ok(())
}

/// Writes a distance with four digits after the point, as text in either protocol.
fn distance(reply: &mut Reply, distance: f64) {
    if !reply.dialect().has_quick_geo_distances() {
        return reply.bulk(format!("{distance:.4}").as_bytes());
    }
    // Source: redis 7.0 util.c, `fixedpoint_d2string`.
    let scaled = cell::signed((distance * 10_000.0).round_ties_even());
    let sign = if scaled < 0 { "-" } else { "" };
    let (whole, part) = (
        scaled.unsigned_abs() / 10_000,
        scaled.unsigned_abs() % 10_000,
    );
    reply.bulk(format!("{sign}{whole}.{part:04}").as_bytes());
}

/// Writes a point's two numbers.
fn coordinates(reply: &mut Reply, point: Point) {
    reply.array(2);
    for value in [point.longitude, point.latitude] {
        if reply.dialect().has_short_coordinates() {
            reply.double(value);
        } else {
            reply.decimal(value);
        }
    }
}

fn geosearch(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    search::answer(view, args, reply, Form::Search)
}

fn georadius_ro(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    search::answer(view, args, reply, Form::Radius)
}

fn georadiusbymember_ro(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    search::answer(view, args, reply, Form::RadiusByMember)
}

fn georadius(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    search::keep(tx, args, Form::Radius)
}

fn georadiusbymember(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    search::keep(tx, args, Form::RadiusByMember)
}

fn geosearchstore(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    search::keep(tx, args, Form::SearchStore)
}

/// Every server sends GEOADD as ZADD; only a proxy would send it unchanged.
fn geoadd(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let mut words = crate::resp::ArgsBuf::new(["zadd".as_bytes(), args.at(1)]);
    let options = |index: &usize| ["nx", "xx", "ch"].iter().any(|word| args.is(*index, word));
    let first = (2..args.len()).find(|index| !options(index)).unwrap_or(2);
    (2..first).for_each(|index| words.push(args.at(index)));
    let places = args.from(first);
    if !places.len().is_multiple_of(3) {
        return Err(Error::Syntax);
    }
    for index in (0..places.len()).step_by(3) {
        let point = query::coordinates(places, index, tx.dialect())?;
        let cell = Cell::of(point, &cell::INDEXED, STEPS_MAX).ok_or(Error::Syntax)?;
        words.push(itoa::Buffer::new().format(cell.bits).as_bytes());
        words.push(places.at(index + 2));
    }
    crate::command::families::zset::zadd(tx, words.as_args())
}

#[cfg(test)]
mod tests;

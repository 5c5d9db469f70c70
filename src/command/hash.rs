//! Hash commands.

use super::Error;
use super::generic::{ScanOptions, scan_cursor};
use super::keys::Keys;
use super::parse::integer;
use super::set::random_count;
use super::table::{Arity, Command, Family, Flags};
use crate::rdb::listpack::{IntText, Item};
use crate::resp::{Args, Reply};
use crate::store::{Tx, View};
use crate::value::Hash;

const GROW_FAST: Flags = Flags::DENYOOM.and(Flags::FAST);

/// This file's rows.
pub(super) const FAMILY: Family = Family {
    group: "hash",
    commands: &[
        Command::new("hget", Arity::exactly(3), Keys::first())
            .read(hget)
            .flags(Flags::FAST)
            .about("2.0.0", "Gives a field's value."),
        Command::new("hmget", Arity::at_least(3), Keys::first())
            .read(hmget)
            .flags(Flags::FAST)
            .about("2.0.0", "Gives the values of several fields."),
        Command::new("hgetall", Arity::exactly(2), Keys::first())
            .read(hgetall)
            .about("2.0.0", "Gives all fields with their values."),
        Command::new("hlen", Arity::exactly(2), Keys::first())
            .read(hlen)
            .flags(Flags::FAST)
            .about("2.0.0", "Gives the number of fields."),
        Command::new("hexists", Arity::exactly(3), Keys::first())
            .read(hexists)
            .flags(Flags::FAST)
            .about("2.0.0", "Tells whether there is a field."),
        Command::new("hkeys", Arity::exactly(2), Keys::first())
            .read(hkeys)
            .about("2.0.0", "Gives all fields."),
        Command::new("hvals", Arity::exactly(2), Keys::first())
            .read(hvals)
            .about("2.0.0", "Gives all values."),
        Command::new("hstrlen", Arity::exactly(3), Keys::first())
            .read(hstrlen)
            .flags(Flags::FAST)
            .about("3.2.0", "Gives the length of a field's value."),
        Command::new("hscan", Arity::at_least(3), Keys::first())
            .read(hscan)
            .about("2.8.0", "Walks over the fields a few at a time."),
        Command::new("hrandfield", Arity::at_least(2), Keys::first())
            .read(hrandfield)
            .about("6.2.0", "Gives fields at random."),
        Command::new("httl", Arity::at_least(5), Keys::first())
            .read(httl)
            .flags(Flags::FAST)
            .about("7.4.0", "Gives the seconds until fields expire.")
            .valkey("9.0.0"),
        Command::new("hpttl", Arity::at_least(5), Keys::first())
            .read(httl)
            .flags(Flags::FAST)
            .about("7.4.0", "Gives the milliseconds until fields expire.")
            .valkey("9.0.0"),
        Command::new("hexpiretime", Arity::at_least(5), Keys::first())
            .read(httl)
            .flags(Flags::FAST)
            .about(
                "7.4.0",
                "Gives the Unix time in seconds at which fields expire.",
            ),
        Command::new("hpexpiretime", Arity::at_least(5), Keys::first())
            .read(httl)
            .flags(Flags::FAST)
            .about(
                "7.4.0",
                "Gives the Unix time in milliseconds at which fields expire.",
            ),
        Command::new("hset", Arity::at_least(4), Keys::first())
            .apply(hset)
            .flags(GROW_FAST)
            .about("2.0.0", "Sets fields."),
        Command::new("hmset", Arity::at_least(4), Keys::first())
            .apply(hset)
            .flags(GROW_FAST)
            .about("2.0.0", "Sets fields."),
        Command::new("hsetnx", Arity::exactly(4), Keys::first())
            .apply(hsetnx)
            .flags(GROW_FAST)
            .about("2.0.0", "Sets a field that does not exist."),
        Command::new("hdel", Arity::at_least(3), Keys::first())
            .apply(hdel)
            .flags(Flags::FAST)
            .about("2.0.0", "Removes fields."),
        Command::new("hincrby", Arity::exactly(4), Keys::first())
            .apply(hincrby)
            .flags(GROW_FAST)
            .about("2.0.0", "Adds an integer to a field."),
        Command::new("hincrbyfloat", Arity::exactly(4), Keys::first())
            .write()
            .flags(GROW_FAST)
            .about("2.6.0", "Adds a floating point number to a field."),
        Command::new("hgetdel", Arity::at_least(5), Keys::first())
            .apply(hgetdel)
            .flags(Flags::FAST)
            .about("8.0.0", "Gives fields' values and removes the fields.")
            .valkey("9.1.0"),
        Command::new("hsetex", Arity::at_least(6), Keys::first())
            .apply(hsetex)
            .flags(GROW_FAST)
            .about("8.0.0", "Sets fields, with an expiry.")
            .valkey("9.0.0"),
        Command::new("hgetex", Arity::at_least(5), Keys::first())
            .write()
            .flags(Flags::FAST)
            .about("8.0.0", "Gives fields' values and changes the expiry.")
            .valkey("9.0.0"),
        Command::new("hexpire", Arity::at_least(6), Keys::first())
            .write()
            .flags(GROW_FAST)
            .about("7.4.0", "Sets fields' expiry in seconds.")
            .valkey("9.0.0"),
        Command::new("hexpireat", Arity::at_least(6), Keys::first())
            .write()
            .flags(GROW_FAST)
            .about("7.4.0", "Sets fields' expiry as Unix time in seconds.")
            .valkey("9.0.0"),
        Command::new("hpexpire", Arity::at_least(6), Keys::first())
            .write()
            .flags(GROW_FAST)
            .about("7.4.0", "Sets fields' expiry in milliseconds.")
            .valkey("9.0.0"),
        Command::new("hpexpireat", Arity::at_least(6), Keys::first())
            .write()
            .flags(GROW_FAST)
            .about("7.4.0", "Sets fields' expiry as Unix time in milliseconds.")
            .valkey("9.0.0"),
        Command::new("hpersist", Arity::at_least(5), Keys::first())
            .write()
            .flags(Flags::FAST)
            .about("7.4.0", "Removes fields' expiry.")
            .valkey("9.0.0"),
    ],
};

fn bulk(reply: &mut Reply, item: Item<'_>) {
    reply.bulk(item.text(&mut IntText::new()));
}

fn bulk_or_null(reply: &mut Reply, item: Option<Item<'_>>) {
    match item {
        Some(item) => bulk(reply, item),
        None => reply.null(),
    }
}

fn hget(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let hash = view.collection::<Hash>(args.at(1))?;
    bulk_or_null(reply, hash.and_then(|hash| hash.get(args.at(2))));
    Ok(())
}

fn hmget(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let hash = view.collection::<Hash>(args.at(1))?;
    let fields = args.from(2);
    reply.array(fields.len());
    for field in fields.iter() {
        bulk_or_null(reply, hash.and_then(|hash| hash.get(field)));
    }
    Ok(())
}

fn hgetall(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let hash = view.collection::<Hash>(args.at(1))?;
    reply.map(hash.map_or(0, Hash::len));
    for (field, value) in hash.into_iter().flat_map(Hash::iter) {
        bulk(reply, field);
        bulk(reply, value);
    }
    Ok(())
}

fn hlen(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let hash = view.collection::<Hash>(args.at(1))?;
    reply.count(hash.map_or(0, Hash::len));
    Ok(())
}

fn hexists(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let hash = view.collection::<Hash>(args.at(1))?;
    let exists = hash.is_some_and(|hash| hash.get(args.at(2)).is_some());
    reply.integer(exists.into());
    Ok(())
}

fn hkeys(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let hash = view.collection::<Hash>(args.at(1))?;
    reply.array(hash.map_or(0, Hash::len));
    let pairs = hash.into_iter().flat_map(Hash::iter);
    pairs.for_each(|(field, _)| bulk(reply, field));
    Ok(())
}

fn hvals(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let hash = view.collection::<Hash>(args.at(1))?;
    reply.array(hash.map_or(0, Hash::len));
    let pairs = hash.into_iter().flat_map(Hash::iter);
    pairs.for_each(|(_, value)| bulk(reply, value));
    Ok(())
}

fn hstrlen(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let hash = view.collection::<Hash>(args.at(1))?;
    let value = hash.and_then(|hash| hash.get(args.at(2)));
    reply.count(value.map_or(0, |value| value.len()));
    Ok(())
}

fn hscan(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let cursor = scan_cursor(args.at(2), reply.dialect())?;
    let Some(hash) = view.collection::<Hash>(args.at(1))? else {
        reply.array(2);
        reply.bulk(b"0");
        reply.array(0);
        return Ok(());
    };
    let options = ScanOptions::parse(args, 3)?;
    if options.no_values && !reply.dialect().has_hscan_novalues() {
        return Err(Error::Syntax);
    }
    let mut found = Vec::new();
    let next = hash.scan(cursor, options.count, |field, value| {
        let field = field.to_vec();
        if options.pattern.matches(&field) {
            found.push(field);
            found.extend((!options.no_values).then(|| value.to_vec()));
        }
    });
    reply.array(2);
    reply.bulk(next.to_string().as_bytes());
    reply.array(found.len());
    found.iter().for_each(|word| reply.bulk(word));
    Ok(())
}

fn hrandfield(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let Some(count) = args.get(2).map(random_count).transpose()? else {
        let hash = view.collection::<Hash>(args.at(1))?;
        let field = hash.and_then(Hash::random).map(|(field, _)| field);
        bulk_or_null(reply, field);
        return Ok(());
    };
    let with_values = wants_values(args, count)?;
    let Some(hash) = view.collection::<Hash>(args.at(1))? else {
        reply.array(0);
        return Ok(());
    };
    match count {
        Ok(count) => {
            let pairs = hash.sample(count);
            random_head(pairs.len(), with_values, reply);
            let mut pairs = pairs.into_iter();
            pairs.try_for_each(|pair| random_pair(pair, with_values, reply))
        }
        Err(repeats) => {
            random_head(repeats, with_values, reply);
            let pairs = std::iter::repeat_with(|| hash.random()).take(repeats);
            let mut pairs = pairs.flatten();
            pairs.try_for_each(|pair| random_pair(pair, with_values, reply))
        }
    };
    Ok(())
}

/// Whether HRANDFIELD is to give values; then the count must not be beyond half of an `i64`.
fn wants_values(args: Args<'_>, count: Result<usize, usize>) -> Result<bool, Error> {
    const COUNT_MAX: u64 = i64::MAX.unsigned_abs() / 2;
    if args.len() == 3 {
        return Ok(false);
    }
    if args.len() > 4 || !args.is(3, "withvalues") {
        return Err(Error::Syntax);
    }
    let (Ok(count) | Err(count)) = count;
    if u64::try_from(count).is_ok_and(|count| count > COUNT_MAX) {
        return Err(Error::Text("ERR value is out of range"));
    }
    Ok(true)
}

fn random_head(fields: usize, with_values: bool, reply: &mut Reply) {
    let flat = with_values && !reply.is_resp3();
    reply.array(if flat {
        fields.saturating_mul(2)
    } else {
        fields
    });
}

/// Writes one field; gives `None` once the reply is too long already, for nothing more to be looked up.
fn random_pair(
    (field, value): (Item<'_>, Item<'_>),
    with_values: bool,
    reply: &mut Reply,
) -> Option<()> {
    if with_values && reply.is_resp3() {
        reply.array(2);
    }
    bulk(reply, field);
    if with_values {
        bulk(reply, value);
    }
    (!reply.overflowed()).then_some(())
}

/// Tells of fields whether they exist: none that we keep has an expiry, since a snapshot or command that gives one is refused.
fn httl(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let (hash, fields) = if reply.dialect().checks_fields_before_type() {
        let fields = counted_fields(args, 2, 1)?;
        (view.collection::<Hash>(args.at(1))?, fields)
    } else {
        let hash = view.collection::<Hash>(args.at(1))?;
        (hash, named_fields(args)?)
    };
    reply.array(fields.len());
    for field in fields.iter() {
        let exists = hash.is_some_and(|hash| hash.get(field).is_some());
        reply.integer(if exists { NO_EXPIRY } else { NO_FIELD });
    }
    Ok(())
}

const NO_EXPIRY: i64 = -1;
const NO_FIELD: i64 = -2;

/// The words behind `FIELDS count`, with Redis's own errors.
fn named_fields(args: Args<'_>) -> Result<Args<'_>, Error> {
    if !args.is(2, "fields") {
        return Err(Error::Text(
            "ERR Mandatory argument FIELDS is missing or not at the right position",
        ));
    }
    let count = integer(args.at(3)).ok().filter(|count| *count > 0);
    let count = count.ok_or(Error::Text(
        "ERR Number of fields must be a positive integer",
    ))?;
    let fields = args.from(4);
    if usize::try_from(count) == Ok(fields.len()) {
        Ok(fields)
    } else {
        Err(Error::Text(
            "ERR The `numfields` parameter must match the number of arguments",
        ))
    }
}

/// The pairs among `words`.
fn pairs<'a>(words: Args<'a>) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
    let fields = words.iter().step_by(2);
    fields.zip(words.from(1).iter().step_by(2))
}

fn set_pairs(tx: &mut Tx<'_>, key: &[u8], words: Args<'_>) -> Result<(), Error> {
    let thresholds = tx.thresholds();
    tx.upsert(key, |hash: &mut Hash| {
        hash.prepare(words.iter(), &thresholds);
        for (field, value) in pairs(words) {
            hash.set(field, value, &thresholds);
        }
    })?;
    Ok(())
}

fn hset(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    if !args.len().is_multiple_of(2) {
        let name = String::from_utf8_lossy(args.at(0)).to_lowercase();
        return Err(Error::Arity(name));
    }
    set_pairs(tx, args.at(1), args.from(2))
}

fn hsetnx(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let hash = tx.collection::<Hash>(args.at(1))?;
    if hash.is_some_and(|hash| hash.get(args.at(2)).is_some()) {
        return Ok(());
    }
    set_pairs(tx, args.at(1), args.from(2))
}

fn delete(tx: &mut Tx<'_>, key: &[u8], fields: Args<'_>) -> Result<(), Error> {
    tx.update(key, |hash: &mut Hash| {
        fields.iter().for_each(|field| {
            hash.remove(field);
        });
    })?;
    Ok(())
}

fn hdel(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    delete(tx, args.at(1), args.from(2))
}

fn hincrby(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let (key, field) = (args.at(1), args.at(2));
    let by = integer(args.at(3))?;
    let hash = tx.collection::<Hash>(key)?;
    let value = match hash.and_then(|hash| hash.get(field)) {
        Some(value) => value
            .as_int()
            .ok_or(Error::Text("ERR hash value is not an integer"))?,
        None => 0,
    };
    let sum = value.checked_add(by).ok_or(Error::Overflow)?;
    let mut thresholds = tx.thresholds();
    if !thresholds.hash_measures_increments {
        thresholds.hash_max_listpack_value = usize::MAX;
    }
    tx.upsert(key, |hash: &mut Hash| {
        hash.set(field, IntText::new().format(sum), &thresholds)
    })?;
    Ok(())
}

/// The words behind `FIELDS count` at `index`, which must be `words_each` times `count`.
fn counted_fields(args: Args<'_>, index: usize, words_each: usize) -> Result<Args<'_>, Error> {
    let words = args.from(index + 2);
    let count = usize::try_from(integer(args.at(index + 1))?).map_err(|_| Error::Syntax)?;
    let fits = count > 0 && count.checked_mul(words_each) == Some(words.len());
    if args.is(index, "fields") && fits {
        Ok(words)
    } else {
        Err(Error::Syntax)
    }
}

fn hgetdel(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    delete(tx, args.at(1), counted_fields(args, 2, 1)?)
}

/// HSETEX without an expiry, as Redis 8.0 sends it for HINCRBYFLOAT. Fields have no expiry here, so there is none to keep.
fn hsetex(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let mut index = 2;
    let mut must_exist = None;
    while !args.is(index, "fields") {
        match args.at(index) {
            word if word.eq_ignore_ascii_case(b"keepttl") => {}
            word if word.eq_ignore_ascii_case(b"fnx") => must_exist = Some(false),
            word if word.eq_ignore_ascii_case(b"fxx") => must_exist = Some(true),
            _ => return Err(Error::Text("ERR a field's expiry cannot be kept")),
        }
        index += 1;
    }
    let words = counted_fields(args, index, 2)?;
    let hash = tx.collection::<Hash>(args.at(1))?;
    let exists = |field: &[u8]| hash.is_some_and(|hash| hash.get(field).is_some());
    let wanted = must_exist
        .is_none_or(|must_exist| pairs(words).all(|(field, _)| exists(field) == must_exist));
    if wanted {
        set_pairs(tx, args.at(1), words)?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "hash_tests.rs"]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]
mod tests;

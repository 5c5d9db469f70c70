//! String commands. This file reads strings, [`set`] sets them whole, and [`edit`] changes them in place.

mod edit;
mod set;
#[cfg(test)]
mod tests;

use crate::command::rows::least::texts;
use crate::command::rows::parse::{integer, range};
use crate::command::rows::work::bytes_between;
use crate::command::rows::{Arity, Command, Error, Family, Flags, Form, Keys, Outcome, long};
use crate::resp::{Args, FREE_BYTES, Reply, parse_integer};
use crate::store::{Entry, GROUP_MAX, Value, View, WrongType};
pub(crate) use edit::grow;

/// The keys of MSET and the like: every other argument.
const PAIRS: Keys = Keys::Range {
    first: 1,
    last: -1,
    step: 2,
};

const GROW: Flags = Flags::DENYOOM;
const GROW_FAST: Flags = Flags::DENYOOM.and(Flags::FAST);

/// This folder's rows.
pub(crate) const FAMILY: Family = Family {
    group: "string",
    commands: &[
        Command::new("get", Arity::exactly(2), Keys::first())
            .read(get)
            .least(texts)
            .flags(Flags::FAST)
            .about("1.0.0", "Returns the string at a key."),
        Command::new("mget", Arity::at_least(2), Keys::all())
            .read(mget)
            .least(texts)
            .flags(Flags::FAST)
            .about("1.0.0", "Returns the strings at several keys."),
        Command::new("strlen", Arity::exactly(2), Keys::first())
            .read(strlen)
            .flags(Flags::FAST)
            .about("2.2.0", "Returns a string's length."),
        Command::new("digest", Arity::exactly(2), Keys::first())
            .read(digest)
            .flags(Flags::FAST)
            .about("8.4.0", "Returns the XXH3 hash of a string."),
        Command::new("getrange", Arity::exactly(4), Keys::first())
            .read(getrange)
            .work(bytes_between)
            .least(part_bytes)
            .about("2.4.0", "Returns a part of a string."),
        Command::new("substr", Arity::exactly(4), Keys::first())
            .read(getrange)
            .work(bytes_between)
            .least(part_bytes)
            .about(
                "1.0.0",
                "Returns a part of a string; the old name of GETRANGE.",
            ),
        Command::new("set", Arity::at_least(3), Keys::first())
            .apply(set::set)
            .flags(GROW)
            .forms(&[
                Form::new("IFEQ", "8.4.0").valkey("8.1.0"),
                Form::new("IFNE, IFDEQ and IFDNE", "8.4.0"),
            ])
            .about("1.0.0", "Sets a string."),
        Command::new("setnx", Arity::exactly(3), Keys::first())
            .apply(set::setnx)
            .flags(GROW_FAST)
            .about("1.0.0", "Sets a string if the key does not exist."),
        Command::new("setex", Arity::exactly(4), Keys::first())
            .apply(set::setex)
            .flags(GROW)
            .about(
                "2.0.0",
                "Sets a string that expires after a number of seconds.",
            ),
        Command::new("psetex", Arity::exactly(4), Keys::first())
            .apply(set::psetex)
            .flags(GROW)
            .about(
                "2.6.0",
                "Sets a string that expires after a number of milliseconds.",
            ),
        Command::new("getset", Arity::exactly(3), Keys::first())
            .apply(set::getset)
            .flags(GROW_FAST)
            .about("1.0.0", "Sets a string and returns the old one."),
        Command::new("getdel", Arity::exactly(2), Keys::first())
            .apply(set::getdel)
            .flags(Flags::FAST)
            .about("6.2.0", "Returns a string and deletes it."),
        Command::new("getex", Arity::at_least(2), Keys::first())
            .apply(set::getex)
            .flags(Flags::FAST)
            .about("6.2.0", "Returns a string and changes its expiry."),
        Command::new("mset", Arity::at_least(3), PAIRS)
            .apply(set::mset)
            .flags(GROW)
            .about("1.0.1", "Sets several strings."),
        Command::new("msetnx", Arity::at_least(3), PAIRS)
            .apply(set::msetnx)
            .flags(GROW)
            .about("1.0.1", "Sets several strings if none of the keys exists."),
        Command::new("append", Arity::exactly(3), Keys::first())
            .apply(edit::append)
            .flags(GROW_FAST)
            .about("2.0.0", "Adds to the end of a string."),
        Command::new("setrange", Arity::exactly(4), Keys::first())
            .apply(edit::setrange)
            .flags(GROW)
            .about("2.2.0", "Overwrites a part of a string."),
        Command::new("incr", Arity::exactly(2), Keys::first())
            .apply(edit::incr)
            .flags(GROW_FAST)
            .about("1.0.0", "Adds one."),
        Command::new("decr", Arity::exactly(2), Keys::first())
            .apply(edit::decr)
            .flags(GROW_FAST)
            .about("1.0.0", "Subtracts one."),
        Command::new("incrby", Arity::exactly(3), Keys::first())
            .apply(edit::incrby)
            .flags(GROW_FAST)
            .about("1.0.0", "Adds an integer."),
        Command::new("decrby", Arity::exactly(3), Keys::first())
            .apply(edit::decrby)
            .flags(GROW_FAST)
            .about("1.0.0", "Subtracts an integer."),
        Command::new("incrbyfloat", Arity::exactly(3), Keys::first())
            .write()
            .flags(GROW_FAST)
            .about("2.6.0", "Adds a floating point number."),
        Command::new("delifeq", Arity::exactly(3), Keys::first())
            .write()
            .flags(Flags::FAST)
            .about("9.0.0", "Deletes a string that equals a value.")
            .valkey_only(),
        Command::new("delex", Arity::at_least(2), Keys::first())
            .apply(set::delex)
            .outcome(Outcome::GoneIfAlone)
            .flags(Flags::FAST)
            .about("8.4.0", "Deletes a key, or a string if a condition holds."),
        Command::new("increx", Arity::at_least(2), Keys::first())
            .write()
            .flags(GROW_FAST)
            .about("8.8.0", "Adds a number and sets the expiry.")
            .valkey("9.2.0"),
        Command::new(
            "msetex",
            Arity::at_least(4),
            Keys::Found {
                first: 0,
                find: msetex_keys,
            },
        )
        .apply(set::msetex)
        .flags(GROW)
        .about("8.4.0", "Sets several strings with one expiry.")
        .valkey("9.1.0"),
    ],
};

fn msetex_keys(args: Args<'_>, visit: &mut dyn FnMut(usize)) {
    let pairs = integer(args.at(1))
        .ok()
        .and_then(|pairs| usize::try_from(pairs).ok())
        .unwrap_or(0);
    (2..args.len()).step_by(2).take(pairs).for_each(visit);
}

fn get(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    match view.value(args.at(1)) {
        None => reply.null(),
        Some(Value::Text(text)) => bulk(reply, text),
        Some(Value::Integer(number)) => reply.bulk_integer(number),
        Some(Value::Object(_)) => return Err(WrongType.into()),
    }
    Ok(())
}

fn mget(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let keys = args.from(1);
    reply.array(keys.len());
    let mut is_added_up = false;
    for (index, key) in keys.iter().enumerate() {
        if index % GROUP_MAX == 0 {
            view.fetch(keys.from(index).iter());
        }
        match view.value(key) {
            Some(Value::Text(text)) => {
                if text.len() > FREE_BYTES && !is_added_up {
                    is_added_up = true;
                    if !reply.reserve(texts(view, args.from(index))) {
                        return Ok(());
                    }
                }
                bulk(reply, text);
            }
            Some(Value::Integer(number)) => reply.bulk_integer(number),
            Some(Value::Object(_)) | None => reply.null(),
        }
    }
    Ok(())
}

/// While a text longer than this is copied, other connections continue elsewhere.
const LONG_TEXT_BYTES: usize = 1 << 20;

#[inline]
fn bulk(reply: &mut Reply, text: &[u8]) {
    if text.len() > LONG_TEXT_BYTES {
        long(|| reply.bulk(text));
    } else {
        reply.bulk(text);
    }
}

/// Calls `use_text` with the string at a key, or the empty string if there is none.
pub(crate) fn with_text<R>(
    value: Option<Value<'_>>,
    use_text: impl FnOnce(&[u8]) -> R,
) -> Result<R, WrongType> {
    match value {
        None => Ok(use_text(&[])),
        Some(Value::Text(text)) => Ok(use_text(text)),
        Some(Value::Integer(number)) => Ok(use_text(itoa::Buffer::new().format(number).as_bytes())),
        Some(Value::Object(_)) => Err(WrongType),
    }
}

fn strlen(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let len = with_text(view.value(args.at(1)), <[u8]>::len)?;
    reply.count(len);
    Ok(())
}

fn digest(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    match view.value(args.at(1)) {
        None => reply.null(),
        value => with_text(value, |text| reply.bulk(hash_of(text).as_bytes()))?,
    }
    Ok(())
}

/// Returns the hash that DIGEST reports and SET compares: 16 hexadecimal digits.
fn hash_of(text: &[u8]) -> String {
    format!("{:016x}", xxhash_rust::xxh3::xxh3_64(text))
}

fn getrange(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let (start, end) = (integer(args.at(2))?, integer(args.at(3))?);
    with_text(view.value(args.at(1)), |text| {
        let part = text_range(start, end, text.len()).and_then(|part| text.get(part));
        reply.bulk(part.unwrap_or_default());
    })?;
    Ok(())
}

/// Returns how many bytes GETRANGE returns.
fn part_bytes(view: &View<'_>, args: Args<'_>) -> usize {
    let places = parse_integer(args.at(2)).zip(parse_integer(args.at(3)));
    let text = match view.peek(args.at(1)).map(Entry::value) {
        Some(Value::Text(text)) => text,
        _ => return 0,
    };
    let part = places.and_then(|(start, end)| text_range(start, end, text.len()));
    part.map_or(0, |part| part.end() - part.start() + 1)
}

/// Like [`range`], but two negative indexes in the wrong order select nothing even if both would be cut to the first
/// byte, and an end before the start of the text is its first byte. Source: redis 7.0 t_string.c, `getrangeCommand`.
pub(crate) fn text_range(
    start: i64,
    end: i64,
    len: usize,
) -> Option<std::ops::RangeInclusive<usize>> {
    if start < 0 && end < 0 && start > end {
        return None;
    }
    let signed_len = i64::try_from(len).unwrap_or(i64::MAX);
    let end = if end < 0 {
        end.saturating_add(signed_len).max(0)
    } else {
        end
    };
    range(start, end, len)
}

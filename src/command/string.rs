//! String commands.

use super::Error;
use super::keys::Keys;
use super::parse::{integer, range};
use super::table::{Arity, Command, Family, Flags};
use crate::limits::STRING_BYTES_MAX;
use crate::resp::{Args, Reply};
use crate::store::{NewValue, Tx, Value, View, WrongType};

/// The keys of MSET and its like: every other argument.
const PAIRS: Keys = Keys::Range {
    first: 1,
    last: -1,
    step: 2,
};

/// The most room that [`grow`] leaves behind a string. Source: redis 7.0 sds.h, `SDS_MAX_PREALLOC`.
const ROOM_BYTES_MAX: usize = 1 << 20;

const GROW: Flags = Flags::DENYOOM;
const GROW_FAST: Flags = Flags::DENYOOM.and(Flags::FAST);

/// This file's rows.
pub(super) const FAMILY: Family = Family {
    group: "string",
    commands: &[
        Command::new("get", Arity::exactly(2), Keys::first())
            .read(get)
            .flags(Flags::FAST)
            .about("1.0.0", "Gives the string at a key."),
        Command::new("mget", Arity::at_least(2), Keys::all())
            .read(mget)
            .flags(Flags::FAST)
            .about("1.0.0", "Gives the strings at several keys."),
        Command::new("strlen", Arity::exactly(2), Keys::first())
            .read(strlen)
            .flags(Flags::FAST)
            .about("2.2.0", "Gives a string's length."),
        Command::new("digest", Arity::exactly(2), Keys::first())
            .read(digest)
            .flags(Flags::FAST)
            .about("8.4.0", "Gives the XXH3 hash of a string."),
        Command::new("getrange", Arity::exactly(4), Keys::first())
            .read(getrange)
            .about("2.4.0", "Gives a part of a string."),
        Command::new("substr", Arity::exactly(4), Keys::first())
            .read(getrange)
            .about(
                "1.0.0",
                "Gives a part of a string; the old name of GETRANGE.",
            ),
        Command::new("set", Arity::at_least(3), Keys::first())
            .apply(set)
            .flags(GROW)
            .about("1.0.0", "Sets a string."),
        Command::new("setnx", Arity::exactly(3), Keys::first())
            .apply(setnx)
            .flags(GROW_FAST)
            .about("1.0.0", "Sets a string where there is no key yet."),
        Command::new("setex", Arity::exactly(4), Keys::first())
            .apply(setex)
            .flags(GROW)
            .about("2.0.0", "Sets a string that expires after seconds."),
        Command::new("psetex", Arity::exactly(4), Keys::first())
            .apply(psetex)
            .flags(GROW)
            .about("2.6.0", "Sets a string that expires after milliseconds."),
        Command::new("getset", Arity::exactly(3), Keys::first())
            .apply(getset)
            .flags(GROW_FAST)
            .about("1.0.0", "Sets a string and gives the old one."),
        Command::new("getdel", Arity::exactly(2), Keys::first())
            .apply(getdel)
            .flags(Flags::FAST)
            .about("6.2.0", "Gives a string and deletes it."),
        Command::new("getex", Arity::at_least(2), Keys::first())
            .apply(getex)
            .flags(Flags::FAST)
            .about("6.2.0", "Gives a string and changes its expiry."),
        Command::new("mset", Arity::at_least(3), PAIRS)
            .apply(mset)
            .flags(GROW)
            .about("1.0.1", "Sets several strings."),
        Command::new("msetnx", Arity::at_least(3), PAIRS)
            .apply(msetnx)
            .flags(GROW)
            .about("1.0.1", "Sets several strings if none of the keys exists."),
        Command::new("append", Arity::exactly(3), Keys::first())
            .apply(append)
            .flags(GROW_FAST)
            .about("2.0.0", "Adds to the end of a string."),
        Command::new("setrange", Arity::exactly(4), Keys::first())
            .apply(setrange)
            .flags(GROW)
            .about("2.2.0", "Overwrites a part of a string."),
        Command::new("incr", Arity::exactly(2), Keys::first())
            .apply(incr)
            .flags(GROW_FAST)
            .about("1.0.0", "Adds one."),
        Command::new("decr", Arity::exactly(2), Keys::first())
            .apply(decr)
            .flags(GROW_FAST)
            .about("1.0.0", "Subtracts one."),
        Command::new("incrby", Arity::exactly(3), Keys::first())
            .apply(incrby)
            .flags(GROW_FAST)
            .about("1.0.0", "Adds an integer."),
        Command::new("decrby", Arity::exactly(3), Keys::first())
            .apply(decrby)
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
            .write()
            .flags(Flags::FAST)
            .about("8.4.0", "Deletes a string under a condition."),
        Command::new(
            "msetex",
            Arity::at_least(4),
            Keys::Found {
                first: 0,
                find: msetex_keys,
            },
        )
        .apply(msetex)
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
        Some(Value::Text(text)) => reply.bulk(text),
        Some(Value::Integer(number)) => reply.bulk_integer(number),
        Some(Value::Object(_)) => return Err(WrongType.into()),
    }
    Ok(())
}

fn mget(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    reply.array(args.len() - 1);
    for key in args.from(1).iter() {
        match view.value(key) {
            Some(Value::Text(text)) => reply.bulk(text),
            Some(Value::Integer(number)) => reply.bulk_integer(number),
            Some(Value::Object(_)) | None => reply.null(),
        }
    }
    Ok(())
}

/// Calls `use_text` with the string at a key, the empty string when there is none.
pub(super) fn with_text<R>(
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

/// The hash that DIGEST tells and SET compares: 16 hexadecimal digits.
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

/// As [`range`], but two negative indexes in the wrong order name nothing even where both would be cut to the first byte,
/// and an end before the start of the text is its first byte. Source: redis 7.0 t_string.c, `getrangeCommand`.
fn text_range(start: i64, end: i64, len: usize) -> Option<std::ops::RangeInclusive<usize>> {
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

/// What the options of SET and MSETEX say.
#[derive(Default)]
struct SetOptions<'a> {
    only_if_absent: bool,
    only_if_present: bool,
    condition: Option<Condition<'a>>,
    keep_ttl: bool,
    expire_at_ms: Option<i64>,
}

/// What the string at the key must be. The negative forms hold where there is no key, too.
#[derive(Clone, Copy)]
enum Condition<'a> {
    Equals(&'a [u8]),
    Differs(&'a [u8]),
    HashEquals(&'a [u8]),
    HashDiffers(&'a [u8]),
}

impl<'a> Condition<'a> {
    /// The condition at word `index`; its value is the word behind it.
    fn parse(args: Args<'a>, index: usize) -> Option<Self> {
        let value = args.get(index + 1)?;
        if args.is(index, "ifeq") {
            Some(Self::Equals(value))
        } else if args.is(index, "ifne") {
            Some(Self::Differs(value))
        } else if args.is(index, "ifdeq") {
            Some(Self::HashEquals(value))
        } else if args.is(index, "ifdne") {
            Some(Self::HashDiffers(value))
        } else {
            None
        }
    }

    fn holds(self, existing: Option<Value<'_>>) -> bool {
        let is = |hash: bool, wanted: &[u8]| {
            let same = |text: &[u8]| match hash {
                false => text == wanted,
                true => wanted.eq_ignore_ascii_case(hash_of(text).as_bytes()),
            };
            existing.is_some() && with_text(existing, same).unwrap_or(false)
        };
        match self {
            Self::Equals(wanted) => is(false, wanted),
            Self::Differs(wanted) => !is(false, wanted),
            Self::HashEquals(wanted) => is(true, wanted),
            Self::HashDiffers(wanted) => !is(true, wanted),
        }
    }
}

impl<'a> SetOptions<'a> {
    fn parse(tx: &Tx<'_>, args: Args<'a>, first: usize) -> Result<Self, Error> {
        let mut options = Self::default();
        let mut index = first;
        while index < args.len() {
            if let Some(at) = expiry_option(tx, args, index)? {
                options.expire_at_ms = Some(at);
                index += 1;
            } else if let Some(condition) = Condition::parse(args, index) {
                options.condition = Some(condition);
                index += 1;
            } else if args.is(index, "nx") {
                options.only_if_absent = true;
            } else if args.is(index, "xx") {
                options.only_if_present = true;
            } else if args.is(index, "keepttl") {
                options.keep_ttl = true;
            } else if !args.is(index, "get") {
                return Err(Error::Syntax);
            }
            index += 1;
        }
        Ok(options)
    }

    fn allow(&self, tx: &Tx<'_>, key: &[u8]) -> bool {
        // The value itself is looked at only for a condition on it: it may have been given up.
        let exists = tx.exists(key);
        !(self.only_if_absent && exists || self.only_if_present && !exists)
            && self
                .condition
                .is_none_or(|condition| condition.holds(tx.value(key)))
    }

    fn set(&self, tx: &mut Tx<'_>, key: &[u8], value: &[u8]) {
        let kept = tx
            .entry(key)
            .filter(|_| self.keep_ttl)
            .and_then(|entry| entry.expire_at_ms());
        tx.set(key, self.expire_at_ms.or(kept), NewValue::encoded(value));
    }
}

/// An expiry option (EX, PX, EXAT, PXAT with its number) at word `index`, as absolute Unix milliseconds.
fn expiry_option(tx: &Tx<'_>, args: Args<'_>, index: usize) -> Result<Option<i64>, Error> {
    let (scale, base) = if args.is(index, "ex") {
        (1000, tx.now_ms())
    } else if args.is(index, "px") {
        (1, tx.now_ms())
    } else if args.is(index, "exat") {
        (1000, 0)
    } else if args.is(index, "pxat") {
        (1, 0)
    } else {
        return Ok(None);
    };
    let number = integer(args.get(index + 1).ok_or(Error::Syntax)?)?;
    Ok(Some(number.saturating_mul(scale).saturating_add(base)))
}

fn set(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let key = args.at(1);
    if args.len() == 3 {
        tx.set(key, None, NewValue::encoded(args.at(2)));
        return Ok(());
    }
    let options = SetOptions::parse(tx, args, 3)?;
    if options.allow(tx, key) {
        options.set(tx, key, args.at(2));
    }
    Ok(())
}

fn setnx(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    if !tx.exists(args.at(1)) {
        tx.set(args.at(1), None, NewValue::encoded(args.at(2)));
    }
    Ok(())
}

fn set_relative(tx: &mut Tx<'_>, args: Args<'_>, scale: i64) -> Result<(), Error> {
    let at = integer(args.at(2))?
        .saturating_mul(scale)
        .saturating_add(tx.now_ms());
    tx.set(args.at(1), Some(at), NewValue::encoded(args.at(3)));
    Ok(())
}

fn setex(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    set_relative(tx, args, 1000)
}

fn psetex(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    set_relative(tx, args, 1)
}

fn getset(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    with_text(tx.value(args.at(1)), |_| ())?;
    tx.set(args.at(1), None, NewValue::encoded(args.at(2)));
    Ok(())
}

fn getdel(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    with_text(tx.value(args.at(1)), |_| ())?;
    tx.remove(args.at(1));
    Ok(())
}

fn getex(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    with_text(tx.value(args.at(1)), |_| ())?;
    if args.is(2, "persist") {
        tx.set_expiry(args.at(1), None);
    } else if let Some(at) = expiry_option(tx, args, 2)? {
        tx.set_expiry(args.at(1), Some(at));
    } else if args.len() > 2 {
        return Err(Error::Syntax);
    }
    Ok(())
}

/// The key/value pairs behind the name.
fn pairs<'a>(
    args: Args<'a>,
) -> Result<impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a>, Error> {
    if args.len().is_multiple_of(2) {
        return Err(Error::Arity(
            String::from_utf8_lossy(args.at(0)).to_lowercase(),
        ));
    }
    Ok((1..args.len())
        .step_by(2)
        .map(move |index| (args.at(index), args.at(index + 1))))
}

fn mset(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    pairs(args)?.for_each(|(key, value)| tx.set(key, None, NewValue::encoded(value)));
    Ok(())
}

fn msetnx(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    if pairs(args)?.any(|(key, _)| tx.exists(key)) {
        return Ok(());
    }
    mset(tx, args)
}

/// All keys are set or none. Source: valkey 9.1 t_string.c, `msetexCommand`.
fn msetex(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let pairs = usize::try_from(integer(args.at(1))?).map_err(|_| Error::Syntax)?;
    let end = pairs.saturating_mul(2).saturating_add(2);
    if pairs == 0 || end > args.len() {
        return Err(Error::Syntax);
    }
    let options = SetOptions::parse(tx, args, end)?;
    let keys = (2..end).step_by(2);
    if keys.clone().all(|index| options.allow(tx, args.at(index))) {
        keys.for_each(|index| options.set(tx, args.at(index), args.at(index + 1)));
    }
    Ok(())
}

fn append(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let (key, tail) = (args.at(1), args.at(2));
    if !tx.exists(key) {
        tx.set(key, None, NewValue::encoded(tail));
        return Ok(());
    }
    tx.edit_text(key, |text| text.extend_from_slice(tail))?;
    Ok(())
}

fn setrange(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let part = args.at(3);
    let start = usize::try_from(integer(args.at(2))?)
        .map_err(|_| Error::Text("ERR offset is out of range"))?;
    let end = start.saturating_add(part.len());
    if end > STRING_BYTES_MAX {
        return Err(Error::Text(
            "ERR string exceeds maximum allowed size (proto-max-bulk-len)",
        ));
    }
    if part.is_empty() {
        with_text(tx.value(args.at(1)), |_| ())?;
        return Ok(());
    }
    tx.edit_text(args.at(1), |text| {
        grow(text, end);
        if let Some(target) = text.get_mut(start..end) {
            target.copy_from_slice(part);
        }
    })?;
    Ok(())
}

/// Adds zero bytes up to `len`, with room for little more: a bitmap that grows by a byte must not take twice its memory.
pub(super) fn grow(text: &mut Vec<u8>, len: usize) {
    if text.is_empty() {
        // Pages that are never written cost nothing.
        *text = vec![0; len];
    } else if text.len() < len {
        if text.capacity() < len {
            text.reserve_exact(len - text.len() + len.min(ROOM_BYTES_MAX));
        }
        text.resize(len, 0);
    }
}

fn add(tx: &mut Tx<'_>, key: &[u8], amount: i64) -> Result<(), Error> {
    let old = match tx.value(key) {
        None => 0,
        Some(Value::Integer(number)) => number,
        Some(Value::Text(text)) => integer(text)?,
        Some(Value::Object(_)) => return Err(WrongType.into()),
    };
    let sum = old.checked_add(amount).ok_or(Error::Overflow)?;
    let expiry = tx.entry(key).and_then(|entry| entry.expire_at_ms());
    tx.set(key, expiry, NewValue::Integer(sum));
    Ok(())
}

fn incr(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    add(tx, args.at(1), 1)
}

fn decr(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    add(tx, args.at(1), -1)
}

fn incrby(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    add(tx, args.at(1), integer(args.at(2))?)
}

fn decrby(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let amount = integer(args.at(2))?
        .checked_neg()
        .ok_or(Error::Text("ERR decrement would overflow"))?;
    add(tx, args.at(1), amount)
}

#[cfg(test)]
#[path = "string_tests.rs"]
mod tests;

//! Sets strings whole: SET with its conditions, its relatives, and several keys at once.

use super::{hash_of, with_text};
use crate::command::rows::Error;
use crate::command::rows::parse::{integer, moment_ms};
use crate::feed::Class;
use crate::resp::Args;
use crate::store::{NewValue, Tx, Value};

/// The options of SET and MSETEX.
#[derive(Default)]
struct SetOptions<'a> {
    only_if_absent: bool,
    only_if_present: bool,
    condition: Option<Condition<'a>>,
    keep_ttl: bool,
    expire_at_ms: Option<i64>,
}

/// What the string at the key must be. The negative forms also hold if there is no key.
#[derive(Clone, Copy)]
enum Condition<'a> {
    Equals(&'a [u8]),
    Differs(&'a [u8]),
    HashEquals(&'a [u8]),
    HashDiffers(&'a [u8]),
}

impl<'a> Condition<'a> {
    /// Parses the condition at word `index`. Its value is the next word.
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
        // The value itself is read only for a condition on it, because it may have been discarded.
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
        tx.overwrite(key, self.expire_at_ms.or(kept), NewValue::encoded(value));
    }
}

/// Notes that `key` was set, with an expiry if it `expires`.
#[inline]
fn note_set(tx: &Tx<'_>, key: &[u8], expires: bool) {
    tx.event(Class::STRING, "set", key);
    if expires {
        tx.event(Class::GENERIC, "expire", key);
    }
}

/// Parses an expiry option (EX, PX, EXAT, PXAT with its number) at word `index` into absolute Unix milliseconds.
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
    Ok(Some(moment_ms(number, scale, base)))
}

pub(super) fn set(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let key = args.at(1);
    if args.len() == 3 {
        tx.overwrite(key, None, NewValue::encoded(args.at(2)));
        note_set(tx, key, false);
        return Ok(());
    }
    let options = SetOptions::parse(tx, args, 3)?;
    if options.allow(tx, key) {
        options.set(tx, key, args.at(2));
        note_set(tx, key, options.expire_at_ms.is_some());
    }
    Ok(())
}

/// `DELEX key [IFEQ|IFNE value | IFDEQ|IFDNE digest]`. Without a condition, a key of any type is deleted. A primary sends the
/// other forms as DEL.
///
/// Source: redis 8.4 t_string.c, `delexCommand`, from documents: no server of this version was asked.
pub(super) fn delex(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let key = args.at(1);
    if args.len() > 2 {
        let condition = Condition::parse(args, 2).filter(|_| args.len() == 4);
        let condition = condition.ok_or(Error::Syntax)?;
        let Some(value) = tx.value(key) else {
            return Ok(());
        };
        with_text(Some(value), |_| ())?;
        if !condition.holds(Some(value)) {
            return Ok(());
        }
    }
    if tx.remove(key).is_some() {
        tx.event(Class::GENERIC, "del", key);
    }
    Ok(())
}

pub(super) fn setnx(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    if !tx.exists(args.at(1)) {
        tx.set(args.at(1), None, NewValue::encoded(args.at(2)));
        note_set(tx, args.at(1), false);
    }
    Ok(())
}

fn set_relative(tx: &mut Tx<'_>, args: Args<'_>, scale: i64) -> Result<(), Error> {
    let at = moment_ms(integer(args.at(2))?, scale, tx.now_ms());
    tx.overwrite(args.at(1), Some(at), NewValue::encoded(args.at(3)));
    note_set(tx, args.at(1), true);
    Ok(())
}

pub(super) fn setex(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    set_relative(tx, args, 1000)
}

pub(super) fn psetex(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    set_relative(tx, args, 1)
}

pub(super) fn getset(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    tx.event_of_miss(args.at(1));
    with_text(tx.value(args.at(1)), |_| ())?;
    tx.overwrite(args.at(1), None, NewValue::encoded(args.at(2)));
    note_set(tx, args.at(1), false);
    Ok(())
}

pub(super) fn getdel(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    with_text(tx.value(args.at(1)), |_| ())?;
    if tx.remove(args.at(1)).is_some() {
        tx.event(Class::GENERIC, "del", args.at(1));
    }
    Ok(())
}

pub(super) fn getex(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    with_text(tx.value(args.at(1)), |_| ())?;
    if args.is(2, "persist") {
        if tx.set_expiry(args.at(1), None) {
            tx.event(Class::GENERIC, "persist", args.at(1));
        }
    } else if let Some(at) = expiry_option(tx, args, 2)? {
        if tx.set_expiry(args.at(1), Some(at)) {
            tx.event(Class::GENERIC, "expire", args.at(1));
        }
    } else if args.len() > 2 {
        return Err(Error::Syntax);
    }
    Ok(())
}

/// Returns the key/value pairs after the command's name.
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

pub(super) fn mset(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    for (key, value) in pairs(args)? {
        tx.overwrite(key, None, NewValue::encoded(value));
        note_set(tx, key, false);
    }
    Ok(())
}

pub(super) fn msetnx(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    if pairs(args)?.any(|(key, _)| tx.exists(key)) {
        return Ok(());
    }
    mset(tx, args)
}

/// Sets all keys or none. Source: valkey 9.1 t_string.c, `msetexCommand`.
pub(super) fn msetex(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let pairs = usize::try_from(integer(args.at(1))?).map_err(|_| Error::Syntax)?;
    let end = pairs.saturating_mul(2).saturating_add(2);
    if pairs == 0 || end > args.len() {
        return Err(Error::Syntax);
    }
    let options = SetOptions::parse(tx, args, end)?;
    let keys = (2..end).step_by(2);
    if keys.clone().all(|index| options.allow(tx, args.at(index))) {
        for index in keys {
            options.set(tx, args.at(index), args.at(index + 1));
            let expires = options.expire_at_ms.is_some();
            let is_first = expires && tx.dialect().notes_expiry_before_several();
            if is_first {
                tx.event(Class::GENERIC, "expire", args.at(index));
            }
            note_set(tx, args.at(index), expires && !is_first);
        }
    }
    Ok(())
}

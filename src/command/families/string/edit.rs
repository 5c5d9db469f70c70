//! Changes strings in place: parts, ends, numbers.

use super::with_text;
use crate::command::rows::Error;
use crate::command::rows::parse::integer;
use crate::feed::Class;
use crate::limits::STRING_BYTES_MAX;
use crate::resp::Args;
use crate::store::{NewValue, Tx, Value, WrongType};

pub(super) fn append(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let (key, tail) = (args.at(1), args.at(2));
    if !tx.exists(key) {
        tx.set(key, None, NewValue::encoded(tail));
    } else {
        tx.edit_text(key, |text| text.extend_from_slice(tail))?;
    }
    tx.event(Class::STRING, "append", key);
    Ok(())
}

pub(super) fn setrange(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
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
    tx.event(Class::STRING, "setrange", args.at(1));
    Ok(())
}

/// Appends zero bytes up to `len`, and reserves little more: a bitmap that grows by a byte must not take twice its memory.
pub(crate) fn grow(text: &mut Vec<u8>, len: usize) {
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
    tx.event(Class::STRING, "incrby", key);
    Ok(())
}

pub(super) fn incr(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    add(tx, args.at(1), 1)
}

pub(super) fn decr(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    add(tx, args.at(1), -1)
}

pub(super) fn incrby(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    add(tx, args.at(1), integer(args.at(2))?)
}

/// The lowest integer is its own negative. Only Redis 6.0 accepts it, and then adds it, as this function does.
/// Source: redis 6.0 t_string.c, `decrbyCommand`.
pub(super) fn decrby(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    add(tx, args.at(1), integer(args.at(2))?.wrapping_neg())
}

/// The most room that [`grow`] leaves after a string. Source: redis 7.0 sds.h, `SDS_MAX_PREALLOC`.
const ROOM_BYTES_MAX: usize = 1 << 20;

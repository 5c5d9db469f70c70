//! Applies the stream's changes to arrays. Servers send these commands as they got them.

use super::{index, indexes, unsigned};
use crate::command::rows::Error;
use crate::command::rows::parse::integer;
use crate::feed::Class;
use crate::resp::Args;
use crate::store::Tx;
use crate::value::Array;

const PAST_THE_END: Error = Error::Text("ERR array index overflow");

pub(super) fn arset(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let start = index(args.at(2))?;
    let texts: Vec<&[u8]> = args.from(3).iter().collect();
    let set = tx.upsert(args.at(1), |array: &mut Array| {
        array.set_all(start, texts.into_iter())
    })?;
    set.map_err(|_| PAST_THE_END)?;
    tx.event(Class::ARRAY, "arset", args.at(1));
    Ok(())
}

pub(super) fn armset(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let words = args.from(2);
    if !words.len().is_multiple_of(2) {
        return Err(Error::Arity("armset".to_owned()));
    }
    let mut pairs = Vec::with_capacity(words.len() / 2);
    for at in (0..words.len()).step_by(2) {
        pairs.push((index(words.at(at))?, words.at(at + 1)));
    }
    tx.upsert(args.at(1), |array: &mut Array| {
        for (index, text) in pairs {
            array.set(index, text);
        }
    })?;
    tx.event(Class::ARRAY, "armset", args.at(1));
    Ok(())
}

pub(super) fn ardel(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let indexes = indexes(args.from(2))?;
    tx.shrink(args.at(1), (Class::ARRAY, "ardel"), |array: &mut Array| {
        let indexes = indexes.into_iter();
        indexes.fold(false, |removed, index| array.remove(index) | removed)
    })?;
    Ok(())
}

pub(super) fn ardelrange(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let words = args.from(2);
    if !words.len().is_multiple_of(2) {
        return Err(Error::Arity("ardelrange".to_owned()));
    }
    let ends = indexes(words)?;
    let event = (Class::ARRAY, "ardelrange");
    tx.shrink(args.at(1), event, |array: &mut Array| {
        let mut removed = 0;
        for ends in ends.chunks_exact(2) {
            if let [one, other] = *ends {
                removed += array.remove_range(one.min(other), one.max(other));
            }
        }
        removed > 0
    })?;
    Ok(())
}

pub(super) fn arinsert(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let texts: Vec<&[u8]> = args.from(2).iter().collect();
    let inserted = tx.upsert(args.at(1), |array: &mut Array| {
        array.insert(texts.into_iter())
    })?;
    inserted.map_err(|_| Error::Text("ERR insert index overflow"))?;
    tx.event(Class::ARRAY, "arinsert", args.at(1));
    Ok(())
}

/// The highest number is allowed: nothing can be inserted after that.
pub(super) fn arseek(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let next = unsigned(args.at(2)).ok_or(super::INVALID_INDEX)?;
    let found = tx.update(args.at(1), |array: &mut Array| {
        array.set_cursor(next.checked_sub(1));
    })?;
    if found.is_some() {
        tx.event(Class::ARRAY, "arseek", args.at(1));
    }
    Ok(())
}

pub(super) fn arring(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let size = integer(args.at(2)).map_err(|_| Error::Text("ERR invalid size"))?;
    let size = u64::try_from(size).ok().filter(|size| *size > 0);
    let size = size.ok_or(Error::Text("ERR size must be positive"))?;
    let texts = args.from(3);
    tx.upsert(args.at(1), |array: &mut Array| {
        array.ring(size, texts.iter());
    })?;
    tx.event(Class::ARRAY, "arring", args.at(1));
    Ok(())
}

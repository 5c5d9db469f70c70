//! HyperLogLog: strings that estimate how many different elements were added to them.
//!
//! The bytes are Redis's own, because a client may GET them: [`sketch`] knows the header and the dense form, [`sparse`]
//! the packed form, [`estimate`] the arithmetic. A client's PFCOUNT never writes the cardinality that is cached in the
//! string; the stream's PFCOUNT does, as on the primary.

mod estimate;
mod hash;
mod sketch;
mod sparse;
#[cfg(test)]
mod tests;

use crate::command::rows::work::registers;
use crate::command::rows::{Arity, Command, Error, Family, Flags, Keys, Outcome, SessionCx};
use crate::dialect::Dialect;
use crate::feed::Class;
use crate::rdb::listpack::{IntText, Item};
use crate::resp::{Args, Reply};
use crate::store::{Entry, Tainted, Tx, Value, View, WrongType};
use sketch::{Corrupted, Registers};

/// This folder's rows.
pub(crate) const FAMILY: Family = Family {
    group: "hyperloglog",
    commands: &[
        Command::new("pfcount", Arity::at_least(2), Keys::all())
            .read(pfcount)
            .work(registers)
            .accept(pfcount_refreshed)
            .outcome(Outcome::Exists)
            .difference(
                "Never writes the cached count, so that GET keeps returning the primary's bytes.",
            )
            .about("2.8.9", "Estimates how many different elements were added."),
        Command::new("pfadd", Arity::at_least(2), Keys::first())
            .apply(pfadd)
            .outcome(Outcome::Exists)
            .flags(Flags::FAST.and(Flags::DENYOOM))
            .about("2.8.9", "Adds elements to a HyperLogLog."),
        Command::new("pfmerge", Arity::at_least(2), Keys::all())
            .apply(pfmerge)
            .flags(Flags::DENYOOM)
            .about("2.8.9", "Merges HyperLogLogs into the first."),
        Command::new("pfdebug", Arity::exactly(3), SECOND)
            .apply(pfdebug)
            .flags(Flags::ADMIN.and(Flags::DENYOOM))
            .about("2.8.9", "Inspects a HyperLogLog, which may convert it.")
            .arity_before("7.0.0", Arity::at_least(3)),
        Command::new("pfselftest", Arity::exactly(1), Keys::None)
            .session(pfselftest)
            .flags(Flags::ADMIN)
            .about("2.8.9", "Tests the implementation of HyperLogLogs."),
    ],
};

const SECOND: Keys = Keys::Range {
    first: 2,
    last: 2,
    step: 1,
};

const NOT_A_SKETCH: Error = Error::Text("WRONGTYPE Key is not a valid HyperLogLog string value.");

impl From<Corrupted> for Error {
    fn from(_: Corrupted) -> Self {
        Self::Text("INVALIDOBJ Corrupted HLL object detected")
    }
}

/// Returns the bytes of a value with a HyperLogLog header.
fn sketch_in(value: Value<'_>) -> Result<&[u8], Error> {
    match value {
        Value::Text(text) if sketch::has_header(text) => Ok(text),
        Value::Text(_) | Value::Integer(_) => Err(NOT_A_SKETCH),
        Value::Object(_) => Err(WrongType.into()),
    }
}

/// Estimates how many distinct elements there are, as PFCOUNT does after a PFADD of each.
pub(crate) fn estimated<'a>(elements: impl Iterator<Item = Item<'a>>) -> u64 {
    let (mut registers, mut buffer) = (Registers::new(), IntText::new());
    for element in elements {
        let (index, run) = hash::register_of(element.text(&mut buffer));
        registers.raise(index, run);
    }
    registers.cardinality()
}

fn pfcount(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let count = if args.len() == 2 {
        let found = counted_alone(view, args.at(1), reply.dialect())?;
        let found = found.map(sketch_in).transpose()?;
        found.map_or(Ok(0), sketch::cardinality)?
    } else {
        let mut union = Registers::new();
        for value in args.from(1).iter().filter_map(|key| view.value(key)) {
            union.merge(sketch_in(value)?)?;
        }
        union.cardinality()
    };
    reply.integer(count.cast_signed());
    Ok(())
}

/// Returns the value that PFCOUNT counts if it names only one key.
fn counted_alone<'v>(
    view: &'v View<'_>,
    key: &[u8],
    dialect: Dialect,
) -> Result<Option<Value<'v>>, Error> {
    if !dialect.counts_expired_sketches() {
        return Ok(view.value(key));
    }
    match view.entry_at_any_time(key) {
        Some(entry) if entry.is_swept() => Err(Tainted.into()),
        entry => Ok(entry.map(Entry::value)),
    }
}

/// PFCOUNT from the stream: the primary sends it when it refreshed the cardinality that is cached in the value.
fn pfcount_refreshed(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let key = args.at(1);
    let found = tx.value(key).map(sketch_in).transpose()?;
    if args.len() > 2 || found.is_none() {
        return Ok(());
    }
    let count = found.map_or(Ok(0), sketch::cardinality)?;
    tx.edit_text(key, |text| sketch::cache(text, count))?;
    Ok(())
}

/// Source: redis 7.0 hyperloglog.c, `pfaddCommand`.
fn pfadd(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let found = tx.value(args.at(1)).map(sketch_in).transpose()?;
    let is_new = found.is_none();
    let bytes_max = tx.thresholds().hll_sparse_max_bytes;
    let changed = tx.edit_text(args.at(1), |text| {
        if is_new {
            *text = sparse::empty();
        }
        let mut changed = is_new;
        for element in args.from(2).iter() {
            let (index, run) = hash::register_of(element);
            changed |= sketch::raise(text, index, run, bytes_max)?;
        }
        if changed {
            sketch::forget_cardinality(text);
        }
        Ok::<_, Corrupted>(changed)
    })??;
    if changed {
        tx.event(Class::STRING, "pfadd", args.at(1));
    }
    Ok(())
}

/// The result is dense if one of its sources is. Otherwise it grows register by register, as with PFADD.
/// Source: redis 7.0 hyperloglog.c, `pfmergeCommand`.
fn pfmerge(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let mut union = Registers::new();
    let mut dense = false;
    for key in args.from(1).iter() {
        tx.event_of_miss(key);
        let Some(value) = tx.value(key) else {
            continue;
        };
        let source = sketch_in(value)?;
        dense |= sketch::is_dense(source);
        union.merge(source)?;
    }
    let bytes_max = tx.thresholds().hll_sparse_max_bytes;
    tx.edit_text(args.at(1), |text| {
        if text.is_empty() {
            *text = sparse::empty();
        }
        if dense {
            sketch::make_dense(text)?;
        }
        for (index, run) in union.raised() {
            sketch::raise(text, index, run, bytes_max)?;
        }
        sketch::forget_cardinality(text);
        Ok::<_, Corrupted>(())
    })??;
    tx.event(Class::STRING, "pfadd", args.at(1));
    Ok(())
}

/// The stream has GETREG and TODENSE if they converted the key; the other forms only read.
fn pfdebug(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let key = args.at(2);
    let value = tx
        .value(key)
        .ok_or(Error::Text("ERR The specified key does not exist"))?;
    sketch_in(value)?;
    if args.is(1, "getreg") || args.is(1, "todense") {
        tx.edit_text(key, sketch::make_dense)??;
    }
    Ok(())
}

fn pfselftest(cx: &mut SessionCx<'_>, _: Args<'_>) -> Result<(), Error> {
    if !sketch::works() {
        return Err(Error::Text(
            "ERR TESTFAILED a register holds a value that was not put there",
        ));
    }
    cx.reply.ok();
    Ok(())
}

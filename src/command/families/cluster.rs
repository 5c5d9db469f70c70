//! The slot commands of a cluster's primary that change keys.

use std::ops::Range;

use super::generic::release;
use crate::command::rows::parse::integer;
use crate::command::rows::{Arity, Command, Error, Family, Keys, Touch};
use crate::feed::Class;
use crate::resp::Args;
use crate::store::{ClusterSlots, Entry, Tx};

/// This file's rows, but for that of CLUSTER.
///
/// Source: redis 8.4 cluster_asm.c, `trimslotsCommand`, and cluster.c, `sflushCommand`; from documents, no server of these
/// versions was asked. Redis 8.2 and 8.6 do not know SFLUSH, although its documentation names an earlier version.
pub(crate) const FAMILY: Family = Family {
    group: "server",
    commands: &[
        Command::new("trimslots", Arity::at_least(5), Keys::None)
            .apply(trimslots)
            .touches(first_database)
            .about("8.4.0", "Removes the keys of slots that have moved away."),
        Command::new("sflush", Arity::at_least(3), Keys::None)
            .apply(sflush)
            .touches(first_database)
            .about("8.8.0", "Removes the keys of slots."),
    ],
};

/// `CLUSTER FLUSHSLOT slot [ASYNC | SYNC]`, CLUSTER's only write.
///
/// Source: valkey 9.1 cluster_legacy.c, delKeysInSlot.
pub(crate) const FLUSHSLOT: Command = Command::new("flushslot", Arity::at_least(3), Keys::None)
    .apply(flushslot)
    .touches(everything)
    .about("9.0.0", "Removes the keys of a slot.")
    .valkey_only();

fn everything<'a>(_args: Args<'a>, _db: usize, visit: &mut dyn FnMut(Touch<'a>)) {
    visit(Touch::Everything);
}

/// A cluster of Redis has no other database.
fn first_database<'a>(_args: Args<'a>, _db: usize, visit: &mut dyn FnMut(Touch<'a>)) {
    visit(Touch::Db(0));
}

fn flushslot(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let mut slots = ClusterSlots::default();
    if !slots.add_text(args.at(2), args.at(2)) {
        return Err(Error::Text("ERR Invalid or out of range slot"));
    }
    let mut gone = Vec::new();
    for db in 0..tx.databases() {
        gone.extend(deleted(tx, db, &slots)?);
    }
    release(gone);
    Ok(())
}

/// Removes the keys of `slots` from database `db`.
fn removed(tx: &mut Tx<'_>, db: usize, slots: &ClusterSlots) -> Result<Vec<Entry>, Error> {
    let own = tx.db_number();
    tx.select(db)?;
    let gone = tx.remove_where(|key| slots.hold(key));
    tx.select(own)?;
    Ok(gone)
}

/// Like [`removed`], and notes each deletion.
fn deleted(tx: &mut Tx<'_>, db: usize, slots: &ClusterSlots) -> Result<Vec<Entry>, Error> {
    let gone = removed(tx, db, slots)?;
    for entry in gone.iter().take_while(|_| tx.notes_events()) {
        tx.event_in(db, Class::GENERIC, "del", entry.key());
    }
    Ok(gone)
}

/// Reads some words as pairs of slots.
fn slots_of(args: Args<'_>, words: Range<usize>) -> Result<ClusterSlots, Error> {
    let mut slots = ClusterSlots::default();
    for at in words.clone().step_by(2) {
        let is_paired = words.contains(&(at + 1));
        if !is_paired || !slots.add_text(args.at(at), args.at(at + 1)) {
            return Err(Error::Text("ERR Invalid or out of range slot"));
        }
    }
    Ok(slots)
}

/// `TRIMSLOTS RANGES count first last …`. What was hidden of these slots is gone, so they need not be hidden any longer.
fn trimslots(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let count = integer(args.at(2))?;
    let given = i64::try_from(args.len()).unwrap_or(i64::MAX) - 3;
    if !args.is(1, "ranges") || count.checked_mul(2) != Some(given) {
        return Err(Error::Syntax);
    }
    let slots = slots_of(args, 3..args.len())?;
    release(removed(tx, 0, &slots)?);
    tx.show_slots(&slots);
    Ok(())
}

/// `SFLUSH first last … [SYNC | ASYNC]`.
fn sflush(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let last = args.len() - 1;
    let is_mode = args.is(last, "sync") || args.is(last, "async");
    let slots = slots_of(args, 1..args.len() - usize::from(is_mode))?;
    release(deleted(tx, 0, &slots)?);
    Ok(())
}

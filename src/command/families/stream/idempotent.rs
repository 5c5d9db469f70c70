//! Settings and entries of idempotent producers: XCFGSET and XIDMPRECORD.
//!
//! Source: redis 8.8 t_stream.c; from its text, no server of this version was asked.

use super::id;
use crate::command::rows::Error;
use crate::command::rows::parse::integer;
use crate::rdb::stream::{IDMP_DURATION_S_MAX, IDMP_ENTRIES_MAX_MAX};
use crate::resp::Args;
use crate::store::Tx;
use crate::value::Stream;

/// A primary sends it only if a setting becomes another.
pub(super) fn xcfgset(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let (mut duration_s, mut entries_max) = (None, None);
    for index in (2..args.len()).step_by(2) {
        let value = args.get(index + 1).ok_or(Error::Syntax)?;
        let (setting, most) = if args.is(index, "idmp-duration") {
            (&mut duration_s, IDMP_DURATION_S_MAX)
        } else if args.is(index, "idmp-maxsize") {
            (&mut entries_max, IDMP_ENTRIES_MAX_MAX)
        } else {
            return Err(Error::Syntax);
        };
        let number = u64::try_from(integer(value)?).ok();
        let number = number.filter(|number| (1..=most).contains(number) && setting.is_none());
        *setting = Some(number.ok_or(Error::Text(
            "ERR a setting of idempotent producers is out of range or given twice",
        ))?);
    }
    if duration_s.is_none() && entries_max.is_none() {
        return Err(Error::Text("ERR At least one parameter must be specified"));
    }
    tx.update(args.at(1), |stream: &mut Stream| {
        stream.change_idmp(|idmp| idmp.set(duration_s, entries_max));
    })?
    .ok_or(Error::NoSuchKey)
}

/// `XIDMPRECORD key producer iid id`: notes that a producer has added an entry, without adding it.
pub(super) fn xidmprecord(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let id = id::strict(args.at(4), 0)?;
    let (producer, iid, now_ms) = (args.at(2), args.at(3), tx.now_ms());
    if producer.is_empty() || iid.is_empty() {
        return Err(Error::Text(
            "ERR producer ID and idempotent ID must be non-empty",
        ));
    }
    tx.update(args.at(1), |stream: &mut Stream| {
        if stream.range(id, id).next().is_none() {
            return Err(Error::Text("ERR No such message in stream"));
        }
        // The primary sends nothing if it knows the id; ours may be older than it keeps them.
        stream.change_idmp(|idmp| idmp.record(producer, iid, id, now_ms));
        Ok(())
    })?
    .ok_or(Error::NoSuchKey)?
}

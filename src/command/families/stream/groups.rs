//! Changes to consumer groups: XGROUP, XACK, XNACK, XCLAIM.

use std::collections::BTreeSet;

use super::{apply, id};
use crate::command::rows::Error;
use crate::command::rows::parse::integer;
use crate::dialect::Dialect;
use crate::feed::Class;
use crate::rdb::stream::StreamId;
use crate::resp::Args;
use crate::store::Tx;
use crate::value::{DELIVERIES_MAX, Group, Recount, Stream};

/// ENTRIESREAD and MKSTREAM.
#[derive(Debug, Clone, Copy, Default)]
struct Options {
    entries_read: Option<u64>,
    makes_stream: bool,
}

impl Options {
    fn parse(args: Args<'_>) -> Result<Self, Error> {
        let mut options = Self::default();
        let mut index = 5;
        while index < args.len() {
            if args.is(index, "mkstream") {
                options.makes_stream = true;
            } else if let (true, Some(count)) = (args.is(index, "entriesread"), args.get(index + 1))
            {
                // -1 means that it is unknown.
                options.entries_read = u64::try_from(integer(count)?).ok();
                index += 1;
            } else {
                return Err(Error::Syntax);
            }
            index += 1;
        }
        Ok(options)
    }

    /// The number of entries read, of at most those that were added.
    fn read(self, stream: &Stream, dialect: Dialect) -> Option<u64> {
        let added = if dialect.limits_entries_read() {
            stream.entries_added
        } else {
            u64::MAX
        };
        self.entries_read.map(|read| read.min(added))
    }
}

fn last_id(text: &[u8], stream: &Stream) -> Result<StreamId, Error> {
    match text {
        b"$" => Ok(stream.last_id),
        text => id::strict(text, 0),
    }
}

pub(super) fn create(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let (options, dialect) = (Options::parse(args)?, tx.dialect());
    let change = |stream: &mut Stream| {
        let last_id = last_id(args.at(4), stream)?;
        if stream.groups().contains_key(args.at(3)) {
            return Err(Error::Text("BUSYGROUP Consumer Group name already exists"));
        }
        let entries_read = options.read(stream, dialect);
        stream.put_group(args.at(3).into(), Group::new(last_id, entries_read));
        Ok(())
    };
    if options.makes_stream {
        tx.upsert(args.at(2), change)??;
    } else {
        tx.update(args.at(2), change)?.ok_or(Error::NoSuchKey)??;
    }
    tx.event(Class::STREAM, "xgroup-create", args.at(2));
    Ok(())
}

pub(super) fn setid(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let (options, dialect) = (Options::parse(args)?, tx.dialect());
    let change = |stream: &mut Stream| {
        let last_id = last_id(args.at(4), stream)?;
        let entries_read = options.read(stream, dialect);
        let set = |group: &mut Group| {
            group.last_id = last_id;
            group.set_entries_read(entries_read);
        };
        stream
            .change_group(args.at(3), set)
            .ok_or_else(|| missing(args))
    };
    tx.update(args.at(2), change)?.ok_or(Error::NoSuchKey)??;
    tx.event(Class::STREAM, "xgroup-setid", args.at(2));
    Ok(())
}

fn missing(args: Args<'_>) -> Error {
    Error::quoting(
        "NOGROUP No such consumer group '{}' for key name '{}'",
        &[args.at(3), args.at(2)],
    )
}

pub(super) fn destroy(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let existed = tx.update(args.at(2), |stream: &mut Stream| {
        stream.remove_group(args.at(3))
    })?;
    if existed.ok_or(Error::NoSuchKey)? {
        tx.event(Class::STREAM, "xgroup-destroy", args.at(2));
    }
    Ok(())
}

pub(super) fn createconsumer(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let now_ms = tx.now_ms();
    let is_new = change(tx, args.at(2), args.at(3), |group| {
        group.consumer(args.at(4), now_ms).1
    })?;
    if is_new.ok_or_else(|| missing(args))? {
        note_new_consumer(tx, args.at(2));
    }
    Ok(())
}

fn note_new_consumer(tx: &Tx<'_>, key: &[u8]) {
    if tx.dialect().notes_new_consumers() {
        tx.event(Class::STREAM, "xgroup-createconsumer", key);
    }
}

pub(super) fn delconsumer(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let existed = change(tx, args.at(2), args.at(3), |group| {
        group.remove_consumer(args.at(4)).is_some()
    })?;
    if existed.ok_or_else(|| missing(args))? || tx.dialect().notes_deletion_of_no_consumer() {
        tx.event(Class::STREAM, "xgroup-delconsumer", args.at(2));
    }
    Ok(())
}

/// Changes a group, or returns `None` if there is none.
fn change<R>(
    tx: &mut Tx<'_>,
    key: &[u8],
    name: &[u8],
    change: impl FnOnce(&mut Group) -> R,
) -> Result<Option<R>, Error> {
    let changed = tx.update(key, |stream: &mut Stream| stream.change_group(name, change))?;
    Ok(changed.flatten())
}

pub(super) fn xack(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let ids = apply::ids(args.from(3))?;
    change(tx, args.at(1), args.at(2), |group| {
        ids.iter().for_each(|id| {
            group.acknowledge(*id);
        });
    })?;
    Ok(())
}

/// XCLAIM's arguments, in the form that replication sends.
#[derive(Debug, Default)]
struct Claim {
    ids: Vec<StreamId>,
    time_ms: Option<i64>,
    retry_count: Option<u64>,
    last_id: StreamId,
    force: bool,
    just_id: bool,
}

impl Claim {
    fn parse(args: Args<'_>) -> Result<Self, Error> {
        let mut claim = Self::default();
        let words = args.from(5);
        claim.ids = words
            .iter()
            .map_while(|word| id::strict(word, 0).ok())
            .collect();
        let mut index = 5 + claim.ids.len();
        while index < args.len() {
            let value = args.get(index + 1);
            match args.at(index).to_ascii_lowercase().as_slice() {
                b"force" => claim.force = true,
                b"justid" => claim.just_id = true,
                option => {
                    claim.option(option, value.ok_or(Error::Syntax)?)?;
                    index += 1;
                }
            }
            index += 1;
        }
        Ok(claim)
    }

    fn option(&mut self, name: &[u8], value: &[u8]) -> Result<(), Error> {
        match name {
            b"time" => self.time_ms = Some(integer(value)?),
            b"retrycount" => self.retry_count = u64::try_from(integer(value)?).ok(),
            b"lastid" => self.last_id = id::strict(value, 0)?,
            // IDLE counts from the primary's clock, but replication always sends TIME.
            _ => return Err(Error::Syntax),
        }
        Ok(())
    }

    /// The number of deliveries after a claim without RETRYCOUNT. Source: redis 8.8 t_stream.c, `xclaimCommand`.
    const fn counted(&self, before: u64) -> u64 {
        if self.just_id || before == DELIVERIES_MAX {
            before
        } else {
            before.wrapping_add(1)
        }
    }

    /// Source: redis 6.0 and 7.0 t_stream.c, `xclaimCommand`, with a minimum idle time of 0. A pending entry that is
    /// `gone` from the stream is claimed or, if the server `forgets` it, no longer pending. Returns whether the consumer is new.
    fn apply(
        &self,
        group: &mut Group,
        consumer: &[u8],
        (gone, forgets): (&[StreamId], bool),
        now_ms: i64,
    ) -> bool {
        let mut makes_consumer = false;
        group.last_id = group.last_id.max(self.last_id);
        let time_ms = self.time_ms.filter(|time| *time >= 0).unwrap_or(now_ms);
        for id in &self.ids {
            let old = group
                .pending()
                .get(id)
                .map(|pending| pending.delivery_count);
            if gone.contains(id) && (forgets || old.is_none()) {
                group.acknowledge(*id);
            } else if old.is_some() || self.force {
                let counted = self.counted(old.unwrap_or(1));
                let (owner, is_new) = group.consumer(consumer, now_ms);
                makes_consumer |= is_new;
                owner.seen_time_ms = now_ms;
                owner.active_time_ms = now_ms;
                group.assign(*id, consumer, time_ms, self.retry_count.unwrap_or(counted));
            }
        }
        makes_consumer
    }
}

/// DIFFERENCE: a primary before Redis 7.0 keeps deleted entries pending; redtail drops them, as later servers do.
pub(super) fn xclaim(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let claim = Claim::parse(args)?;
    if integer(args.at(4))? > 0 {
        return Err(Error::Text(
            "ERR XCLAIM with a minimal idle time cannot be applied",
        ));
    }
    let now_ms = tx.now_ms();
    let forgets = tx.dialect().forgets_deleted_when_claimed();
    let changed = tx.update(args.at(1), |stream: &mut Stream| {
        let gone: Vec<StreamId> = claim
            .ids
            .iter()
            .copied()
            .filter(|id| stream.range(*id, *id).next().is_none())
            .collect();
        stream.change_group(args.at(2), |group| {
            claim.apply(group, args.at(3), (&gone, forgets), now_ms)
        })
    })?;
    if changed.flatten().ok_or_else(|| no_group(args))? {
        note_new_consumer(tx, args.at(1));
    }
    Ok(())
}

fn no_group(args: Args<'_>) -> Error {
    Error::quoting(
        "NOGROUP No such key '{}' or consumer group '{}'",
        &[args.at(1), args.at(2)],
    )
}

/// XNACK's arguments after the group.
struct Release {
    ids: Vec<StreamId>,
    recount: Recount,
    force: bool,
}

impl Release {
    fn parse(args: Args<'_>) -> Result<Self, Error> {
        let (mut words, mut count, mut force) = (None, None, false);
        let mut index = 4;
        while index < args.len() {
            let more = index + 1 < args.len();
            if more && args.is(index, "ids") {
                let ids = apply::counted_ids(args, index + 1)?;
                words = Some((index + 2, ids));
                index += 1 + ids;
            } else if args.is(index, "force") {
                force = true;
            } else if more && args.is(index, "retrycount") {
                index += 1;
                let retries = u64::try_from(integer(args.at(index))?);
                count = Some(
                    retries
                        .map_err(|_| Error::Text("ERR Invalid RETRYCOUNT value, must be >= 0"))?,
                );
            } else {
                return Err(Error::quoting(
                    "ERR Unrecognized XNACK option '{}'",
                    &[args.at(index)],
                ));
            }
            index += 1;
        }
        let (start, ids) = words.ok_or(Error::Text("ERR syntax error, expected IDS keyword"))?;
        let words = args.from(start);
        let ids = words.iter().take(ids).map(|word| id::strict(word, 0));
        Ok(Self {
            ids: ids.collect::<Result<_, _>>()?,
            recount: count.map_or(mode(args)?, Recount::To),
            force,
        })
    }
}

/// How XNACK's mode changes the number of deliveries.
fn mode(args: Args<'_>) -> Result<Recount, Error> {
    match args.at(3).to_ascii_lowercase().as_slice() {
        b"silent" => Ok(Recount::Undo),
        b"fail" => Ok(Recount::Keep),
        b"fatal" => Ok(Recount::Exhaust),
        _ => Err(Error::Text("ERR mode must be SILENT, FAIL, or FATAL")),
    }
}

/// Source: redis 8.8 t_stream.c, `xnackCommand`; from its text, no server of this version was asked.
pub(super) fn xnack(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let release = Release::parse(args)?;
    let changed = tx.update(args.at(1), |stream: &mut Stream| {
        let forced = release.ids.iter().copied().filter(|_| release.force);
        let present: BTreeSet<StreamId> = forced
            .filter(|id| stream.range(*id, *id).next().is_some())
            .collect();
        stream.change_group(args.at(2), |group| {
            for id in &release.ids {
                if !group.release(*id, release.recount) && present.contains(id) {
                    group.force_released(*id, release.recount);
                }
            }
        })
    })?;
    changed.flatten().ok_or_else(|| no_group(args))
}

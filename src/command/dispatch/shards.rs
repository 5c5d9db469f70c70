//! Requests to a cluster: which shard answers, and what spans several.
//!
//! A request whose keys are in one shard runs there, like one to a single server. A read of keys in several shards holds the locks of all
//! of them at the same time, copies the values, and runs on the copies: one moment of each shard, at a vector of offsets. Walks and
//! counts go through the shards one after the other.
//!
//! Where a key's shard is not known, or its absence is not certain, the request waits ([`SHARD_PATIENCE`]) and is then answered again.

use std::collections::BTreeMap;

use super::answer::{MASTERDOWN, run_here};
use super::execute::Request;
use super::transaction;
use crate::command::families::walk::Walk;
use crate::command::rows::{
    Awaited, Blocked, CROSS_SLOT, Called, Command, Error, Face, Flags, Host, InCluster,
    SHARD_PATIENCE, Session, SessionCx, ShardWait, Wait, long,
};
use crate::resp::Args;
use crate::slots::cluster_slot;
use crate::store::{Hold, Imported, Moving, Names, Refusal, Share, unix_ms};

/// Which shards have the keys of a request.
enum Place {
    /// It names no key.
    Nowhere,
    /// They are in this one.
    One(usize),
    /// They are in several.
    Several,
}

const NOT_FOLLOWED: Error = Error::Text(
    "ERR this redtail does not follow the shard that has this key's slot: see --slots and --shards",
);

const CROSS_SHARD: Error = Error::Text(
    "CROSSSLOT the keys are in several shards of the cluster; redtail reads them together only in a single read command",
);

const LOADING: Error = Error::Text("LOADING redtail is loading a shard of the cluster");

/// Runs an admitted command where its keys are.
pub(super) fn run<'a>(
    cx: &mut SessionCx<'a>,
    cluster: &'a InCluster<'a>,
    row: &'static Command,
    args: Args<'_>,
) -> Result<(), Error> {
    if row.also_reads.is_some_and(|reads| reads(args)) {
        return Err(Error::Text(
            "ERR a read that leads to other keys than it names is denied in a cluster",
        ));
    }
    let place = place_of(cx, cluster, row, args)?;
    let before = cx.generation;
    let result = match place {
        Place::Nowhere if row.read.is_some() => whole(cx, cluster, row, args),
        Place::Nowhere => run_here(cx, row, args),
        Place::One(part) => {
            cx.generation = cluster.generation(part);
            match cluster.map.parts.get(part) {
                Some(part) if part.served.is_stale() => Err(MASTERDOWN),
                _ => match run_here(cx, row, args) {
                    // Some keys may be in the shard to which their slot is being moved.
                    Err(Error::Moving(_)) if row.read.is_some() && cx.session.clock.is_none() => {
                        together(cx, cluster, row, args)
                    }
                    result => result,
                },
            }
        }
        Place::Several if row.read.is_some() && cx.session.clock.is_none() => {
            together(cx, cluster, row, args)
        }
        Place::Several => Err(CROSS_SHARD),
    };
    cx.generation = before;
    result
}

/// Where a request's keys are. For EXEC, those of all queued commands and the watched ones.
fn place_of(
    cx: &SessionCx<'_>,
    cluster: &InCluster<'_>,
    row: &Command,
    args: Args<'_>,
) -> Result<Place, Error> {
    if let Some(key) = row.keys.single(args) {
        let slot = cluster_slot(key);
        if cluster.shards.face == Face::Cluster {
            check_slots(cx, cluster, row, &[slot])?;
        }
        return owner(cluster, slot).map(Place::One);
    }
    let mut slots: Vec<u16> = Vec::new();
    let mut add = |key: &[u8]| {
        let slot = cluster_slot(key);
        if !slots.contains(&slot) {
            slots.push(slot);
        }
    };
    visit(row, args, &mut add);
    if row.name == "exec" {
        transaction::visit_keys(cx, &mut add);
    }
    if cluster.shards.face == Face::Cluster {
        check_slots(cx, cluster, row, &slots)?;
    }
    place(cluster, &slots)
}

/// The shard that serves a slot.
fn owner(cluster: &InCluster<'_>, slot: u16) -> Result<usize, Error> {
    let unserved = || {
        let wanted = cluster.shards.wanted();
        match wanted.is_empty() || wanted.contains(slot) {
            true => Moving.into(),
            false => NOT_FOLLOWED,
        }
    };
    cluster.map.owner(slot).ok_or_else(unserved)
}

/// Passes the keys that a request names to `visit`.
fn visit(row: &Command, args: Args<'_>, add: &mut dyn FnMut(&[u8])) {
    row.keys.visit(args, |index| add(args.at(index)));
}

fn place(cluster: &InCluster<'_>, slots: &[u16]) -> Result<Place, Error> {
    let mut parts = Vec::new();
    for slot in slots {
        let part = owner(cluster, *slot)?;
        if !parts.contains(&part) {
            parts.push(part);
        }
    }
    Ok(match parts.as_slice() {
        [] => Place::Nowhere,
        [part] => Place::One(*part),
        _ => Place::Several,
    })
}

/// Refuses what a replica of a cluster refuses. Source: redis 7.0 cluster.c, `getNodeByQuery`.
fn check_slots(
    cx: &SessionCx<'_>,
    cluster: &InCluster<'_>,
    row: &Command,
    slots: &[u16],
) -> Result<(), Error> {
    match slots {
        [] => Ok(()),
        [slot] => {
            let reads = row.read.is_some() || row.flags.has(Flags::SCRIPT) || row.session.is_some();
            let may_read = cx.session.reads_here && reads && !row.is_write();
            if may_read && cluster.map.owner(*slot).is_some() {
                return Ok(());
            }
            Err(cluster.map.moved(*slot))
        }
        _ => Err(CROSS_SLOT),
    }
}

/// What a cluster's replica answers to a write, or to a command that is about to be queued.
///
/// # Errors
/// MOVED, CROSSSLOT or CLUSTERDOWN.
pub(super) fn redirect(cx: &SessionCx<'_>, row: &Command, args: Args<'_>) -> Result<(), Error> {
    let Some(cluster) = cx
        .cluster
        .filter(|cluster| cluster.shards.face == Face::Cluster)
    else {
        return Ok(());
    };
    let mut slots: Vec<u16> = Vec::new();
    visit(row, args, &mut |key| {
        let slot = cluster_slot(key);
        if !slots.contains(&slot) {
            slots.push(slot);
        }
    });
    check_slots(cx, cluster, row, &slots)
}

/// Commands beside reads that are answered again once more is known of the cluster.
const ASKED_AGAIN: [&str; 3] = ["clusterscan", "countkeysinslot", "getkeysinslot"];

/// Commands that wait until the cluster's messages are heard.
const SUBSCRIBING: [&str; 3] = ["subscribe", "psubscribe", "ssubscribe"];

/// Whether a request may be answered again, so that it may wait.
pub(super) fn may_wait(row: &Command) -> bool {
    let names = || ASKED_AGAIN.iter().chain(&SUBSCRIBING);
    row.read.is_some() || names().any(|name| *name == row.name)
}

/// Puts a read off until more is known of the cluster, unless it has waited long enough. Returns whether it is put off.
pub(super) fn put_off(cx: &mut SessionCx<'_>, called: Called) -> bool {
    let Some(cluster) = cx.cluster else {
        return false;
    };
    if cx.session.transaction.is_some() || cx.session.clock.is_some() {
        return false;
    }
    if cx.session.failed_wait.is_some() {
        return false;
    }
    let begin = || Box::new(ShardWait::begin());
    let since = cx.session.shard_wait.get_or_insert_with(begin).since;
    if since.elapsed() >= SHARD_PATIENCE {
        cx.session.shard_wait = None;
        return false;
    }
    cluster.shards.want_proof();
    cx.session.deferred = true;
    cx.session.blocked = Some(Blocked {
        wait: Box::new(Wait {
            awaited: Awaited::Shards,
            deadline: Some(since + SHARD_PATIENCE),
        }),
        silent: false,
        called,
        nanos: 0,
    });
    true
}

/// The error to a client that has waited in vain for the shard of its keys: in a cluster, where to go instead.
pub(super) fn vain(cx: &mut SessionCx<'_>, row: &Command, args: Args<'_>) -> Error {
    if let Some(error) = cx.session.failed_wait.take() {
        return error;
    }
    if let (Some(cluster), true) = (cx.cluster, SUBSCRIBING.contains(&row.name)) {
        let why = cluster.shards.bus.fault();
        let why = why.unwrap_or_else(|| "no server has confirmed the subscription".to_owned());
        return Error::Owned(format!(
            "ERR redtail cannot hear the cluster's messages now: {why}"
        ));
    }
    let mut first = None;
    visit(row, args, &mut |key| {
        first.get_or_insert_with(|| cluster_slot(key));
    });
    match (cx.cluster, first) {
        (Some(cluster), Some(slot)) if cluster.shards.face == Face::Cluster => {
            cluster.map.moved(slot)
        }
        _ => Moving.into(),
    }
}

/// The keys that a read of several shards has in one of them.
#[derive(Default)]
struct Keys<'k> {
    /// Those that are there.
    own: Vec<&'k [u8]>,
    /// Those that are on their way to it, with the shard that they come from.
    moving: Vec<(usize, &'k [u8])>,
    /// Those that are on their way elsewhere.
    leaving: Vec<&'k [u8]>,
    /// What is known of the slots of those that are on their way to it.
    imported: Vec<Imported>,
}

/// Sorts the keys of a request by shard. `wait` says which were missing before.
fn keys_by_part<'k>(
    cluster: &InCluster<'_>,
    wait: Option<&ShardWait>,
    row: &Command,
    args: Args<'k>,
) -> Result<BTreeMap<usize, Keys<'k>>, Error> {
    let mut parts: BTreeMap<usize, Keys<'k>> = BTreeMap::new();
    let mut result = Ok(());
    row.keys.visit(args, |index| {
        let key = args.at(index);
        let slot = cluster_slot(key);
        let owner = match owner(cluster, slot) {
            Ok(owner) => owner,
            Err(error) => {
                result = Err(error);
                return;
            }
        };
        let name = cluster.map.parts.get(owner).map_or("", |part| &*part.name);
        let since = wait.and_then(|wait| wait.missing_since(key, name));
        let importer = since.and_then(|since| cluster.map.importer(slot, since));
        match importer.filter(|(part, _)| *part != owner) {
            None => parts.entry(owner).or_default().own.push(key),
            Some((part, imported)) => {
                parts.entry(owner).or_default().leaving.push(key);
                let there = parts.entry(part).or_default();
                there.moving.push((owner, key));
                if !there.imported.contains(&imported) {
                    there.imported.push(imported);
                }
            }
        }
    });
    result.map(|()| parts)
}

/// Reads keys of several shards: one moment of each.
#[cold]
fn together(
    cx: &mut SessionCx<'_>,
    cluster: &InCluster<'_>,
    row: &'static Command,
    args: Args<'_>,
) -> Result<(), Error> {
    let Some(handler) = row.read else {
        return Err(CROSS_SHARD);
    };
    let mut wait = cx.session.shard_wait.take();
    let by_part = match keys_by_part(cluster, wait.as_deref(), row, args) {
        Ok(by_part) => by_part,
        Err(error) => {
            cx.session.shard_wait = wait;
            return Err(error);
        }
    };
    let (session, host, reply) = (&*cx.session, cx.host, &mut *cx.reply);
    let result = long(|| {
        let mut shares = shares(session, host, cluster, &by_part)?;
        let merged = match Hold::merged(&mut shares, unix_ms()) {
            Err(refusal @ Refusal::Moving(_)) => {
                let wait = wait.get_or_insert_with(|| Box::new(ShardWait::begin()));
                note_missing(wait, cluster, &by_part, &shares);
                return Err(refusal.into());
            }
            merged => merged.map_err(Error::from)?,
        };
        drop(shares);
        let Some(merged) = merged else {
            return Err(CROSS_SHARD);
        };
        let request = Request {
            command: row,
            handler,
            args,
            tally: Some(&session.tally),
        };
        let each = |visit: &mut dyn FnMut(&[u8])| {
            row.keys.visit(args, |index| visit(args.at(index)));
        };
        let has_keys = |keys: &&Keys<'_>| !keys.own.is_empty() || !keys.leaving.is_empty();
        let is_of_one = by_part.values().filter(has_keys).count() == 1;
        match request.look_for(Names::Keys(&each), &merged, reply) {
            // Nobody wakes a client for keys that are on their way, or of several shards.
            Err(Error::Waits(_)) if is_of_one => Err(Moving.into()),
            Err(Error::Waits(_)) => Err(CROSS_SHARD),
            result => result,
        }
    });
    cx.session.shard_wait = wait;
    result
}

/// Holds each shard's keys, those on their way among them.
fn shares<'s, 'k>(
    session: &Session,
    host: &dyn Host,
    cluster: &'s InCluster<'_>,
    by_part: &BTreeMap<usize, Keys<'k>>,
) -> Result<Vec<Share<'s, 'k>>, Error> {
    let place = |part: &usize| by_part.keys().position(|other| other == part).unwrap_or(0);
    let share = |(part, keys): (&usize, &Keys<'k>)| {
        let is_stale = |part: &crate::command::rows::Part| part.served.is_stale();
        if cluster.map.parts.get(*part).is_some_and(is_stale) {
            return Err(MASTERDOWN);
        }
        let generation = cluster.generation(*part).ok_or(LOADING)?;
        let moving = keys.moving.iter().map(|(_, key)| *key);
        let all = || {
            let here = keys.own.iter().chain(&keys.leaving).copied();
            here.chain(moving.clone())
        };
        if let Some(tracked) = &session.tracking {
            tracked.note_read(host, Some(generation), all(), false);
        }
        let hold = generation.spaces.view_keys(session.db, all());
        hold.set_touches(session.touches);
        hold.set_imported(&keys.imported);
        let moving = keys.moving.iter();
        Ok(Share {
            hold,
            keys: keys.own.clone(),
            moving: moving.map(|(from, key)| (place(from), *key)).collect(),
        })
    };
    by_part.iter().map(share).collect()
}

/// Notes which keys their slot's shard lacks, while all are held.
fn note_missing(
    wait: &mut ShardWait,
    cluster: &InCluster<'_>,
    by_part: &BTreeMap<usize, Keys<'_>>,
    shares: &[Share<'_, '_>],
) {
    for ((part, keys), share) in by_part.iter().zip(shares) {
        let Some(part) = cluster.map.parts.get(*part) else {
            continue;
        };
        for key in keys.own.iter().chain(&keys.leaving) {
            wait.note(key, &part.name, share.hold.has(key));
        }
    }
}

/// Counts and walks over all shards, one after the other.
#[cold]
fn whole(
    cx: &mut SessionCx<'_>,
    cluster: &InCluster<'_>,
    row: &'static Command,
    args: Args<'_>,
) -> Result<(), Error> {
    if cluster.generations().any(|held| held.is_none()) || cluster.map.parts.is_empty() {
        return Err(LOADING);
    }
    if !cluster.shards.is_settled() {
        return Err(Moving.into());
    }
    let walk = Walk {
        cluster,
        db: cx.session.db,
    };
    let (reply, before) = (&mut *cx.reply, cluster.shards.changes());
    let result = long(|| match row.name {
        "dbsize" => walk.dbsize(reply),
        "keys" => walk.keys(args, reply),
        "scan" => walk.scan(args, reply),
        "randomkey" => walk.randomkey(reply),
        _ => Err(Error::Owned(format!(
            "ERR redtail does not answer {} for a whole cluster",
            row.name.to_uppercase()
        ))),
    });
    match result {
        Ok(()) if cluster.shards.changes() != before => Err(Moving.into()),
        result => result,
    }
}

/// Whether an error means that it is not known which shard has a key, or that the shard that has it does not show it yet.
pub(super) const fn is_moving(result: &Result<(), Error>) -> bool {
    matches!(result, Err(Error::Moving(_) | Error::Migrating(_)))
}

//! XINFO and XPENDING.

use super::{bulk_id, entries, entry, id};
use crate::command::rows::Error;
use crate::command::rows::error::c_string;
use crate::command::rows::parse::integer;
use crate::dialect::Dialect;
use crate::rdb::stream::StreamId;
use crate::resp::{Args, Reply};
use crate::store::View;
use crate::value::{Consumer, Group, Idmp, Pending, Stream};

/// How many entries, and pending entries of each group and consumer, XINFO STREAM FULL returns without COUNT.
const FULL_COUNT: usize = 10;

pub(super) fn stream(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let stream = view
        .collection::<Stream>(args.at(2))?
        .ok_or(Error::NoSuchKey)?;
    if !args.is(1, "stream") {
        return Err(subcommand_error(args, reply.dialect()));
    }
    let full = full_count(args, reply.dialect())?;
    let (since_7, since_8_6) = (
        reply.dialect().has_stream_counters(),
        reply.dialect().has_idempotent_producers(),
    );
    let own = if full.is_some() { 2 } else { 3 };
    let counters = if since_7 { 7 } else { 4 };
    reply.map(own + counters + if since_8_6 { 6 } else { 0 });
    reply.bulk(b"length");
    reply.integer(super::length_shown(stream.len()));
    number(reply, "radix-tree-keys", stream.nodes().len());
    let leaves = if reply.dialect().has_trees_without_leaves() {
        stream.nodes().len()
    } else {
        0
    };
    number(reply, "radix-tree-nodes", stream.tree_nodes() - leaves);
    labelled_id(reply, "last-generated-id", stream.last_id);
    if since_7 {
        labelled_id(reply, "max-deleted-entry-id", stream.max_deleted_id);
        reply.bulk(b"entries-added");
        reply.integer(stream.entries_added.cast_signed());
        labelled_id(reply, "recorded-first-entry-id", stream.first_id());
    }
    if since_8_6 {
        let default = Idmp::default();
        idempotence(reply, stream.idmp().unwrap_or(&default), view.now_ms());
    }
    match full {
        None => edges(reply, stream),
        Some(count) => whole(reply, stream, count),
    }
    Ok(())
}

fn subcommand_error(args: Args<'_>, dialect: Dialect) -> Error {
    let start: &[u8] = if dialect.has_stream_counters() {
        b"ERR unknown"
    } else {
        b"ERR Unknown"
    };
    let middle: &[u8] = b" subcommand or wrong number of arguments for '";
    let word = c_string(args.at(1), usize::MAX);
    let end: &[u8] = b"'. Try XINFO HELP.";
    Error::Quoting([start, middle, word, end].concat())
}

/// FULL's COUNT, or `None` without FULL. 0 means no limit.
fn full_count(args: Args<'_>, dialect: Dialect) -> Result<Option<usize>, Error> {
    let wrong = || subcommand_error(args, dialect);
    match args.len() {
        3 => Ok(None),
        4 if args.is(3, "full") => Ok(Some(FULL_COUNT)),
        6 if args.is(3, "full") && args.is(4, "count") => {
            let count = integer(args.at(5))?;
            Ok(Some(usize::try_from(count).unwrap_or(FULL_COUNT)))
        }
        _ => Err(wrong()),
    }
}

fn number(reply: &mut Reply, name: &str, value: usize) {
    reply.bulk(name.as_bytes());
    reply.count(value);
}

fn labelled_id(reply: &mut Reply, name: &str, id: StreamId) {
    reply.bulk(name.as_bytes());
    bulk_id(reply, id);
}

/// Source: redis 8.8 t_stream.c, `xinfoReplyWithStreamInfo`; from its text, no server of this version was asked.
fn idempotence(reply: &mut Reply, idmp: &Idmp, now_ms: i64) {
    let known = || idmp.producers(Some(now_ms)).map(|(_, known)| known.len());
    for (name, count) in [
        ("idmp-duration", idmp.duration_s()),
        ("idmp-maxsize", idmp.entries_max()),
        ("pids-tracked", known().count() as u64),
        ("iids-tracked", known().sum::<usize>() as u64),
        ("iids-added", idmp.added),
        ("iids-duplicates", idmp.duplicates),
    ] {
        reply.bulk(name.as_bytes());
        reply.integer(count.cast_signed());
    }
}

fn edges(reply: &mut Reply, stream: &Stream) {
    number(reply, "groups", stream.groups().len());
    let first = stream.range(StreamId::MIN, StreamId::MAX).next();
    let last = stream.range_back(StreamId::MIN, StreamId::MAX).next();
    for (name, edge) in [("first-entry", first), ("last-entry", last)] {
        reply.bulk(name.as_bytes());
        match edge {
            Some(edge) => entry(reply, &edge),
            None => reply.null(),
        }
    }
}

fn whole(reply: &mut Reply, stream: &Stream, count: usize) {
    let most = if count == 0 { usize::MAX } else { count };
    reply.bulk(b"entries");
    entries(
        reply,
        Some(most),
        stream.range(StreamId::MIN, StreamId::MAX),
    );
    reply.bulk(b"groups");
    reply.array(stream.groups().len());
    for (name, group) in stream.groups() {
        whole_group(reply, stream, name, group, most);
    }
}

fn whole_group(reply: &mut Reply, stream: &Stream, name: &[u8], group: &Group, most: usize) {
    let since_7 = reply.dialect().has_stream_counters();
    let since_8_8 = reply.dialect().has_released_entries();
    let counted = if since_7 { 7 } else { 5 };
    reply.map(counted + usize::from(since_8_8));
    reply.bulk(b"name");
    reply.bulk(name);
    labelled_id(reply, "last-delivered-id", group.last_id);
    if since_7 {
        progress(reply, stream, group);
    }
    number(reply, "pel-count", group.pending().len());
    if since_8_8 {
        number(reply, "nacked-count", group.released_count());
    }
    reply.bulk(b"pending");
    reply.array(group.pending().len().min(most));
    for (id, pending) in group.pending().iter().take(most) {
        reply.array(4);
        bulk_id(reply, *id);
        reply.bulk(pending.owner_shown());
        delivery(reply, pending);
    }
    reply.bulk(b"consumers");
    reply.array(group.consumers().len());
    for (name, consumer) in group.consumers() {
        whole_consumer(reply, group, name, consumer, most);
    }
}

fn delivery(reply: &mut Reply, pending: &Pending) {
    reply.integer(pending.delivery_time_ms());
    reply.integer(pending.delivery_count.cast_signed());
}

fn whole_consumer(reply: &mut Reply, group: &Group, name: &[u8], consumer: &Consumer, most: usize) {
    let since_7_2 = reply.dialect().has_active_times();
    reply.map(if since_7_2 { 5 } else { 4 });
    reply.bulk(b"name");
    reply.bulk(name);
    reply.bulk(b"seen-time");
    reply.integer(consumer.seen_time_ms);
    if since_7_2 {
        reply.bulk(b"active-time");
        reply.integer(consumer.active_time_ms);
    }
    number(reply, "pel-count", consumer.pending);
    reply.bulk(b"pending");
    reply.array(consumer.pending.min(most));
    let own = group.pending().iter();
    for (id, pending) in own
        .filter(|(_, pending)| pending.owner.as_deref() == Some(name))
        .take(most)
    {
        reply.array(3);
        bulk_id(reply, *id);
        delivery(reply, pending);
    }
}

/// `entries-read` and `lag`.
fn progress(reply: &mut Reply, stream: &Stream, group: &Group) {
    let lag = lag(stream, group, reply.dialect());
    for (name, count) in [("entries-read", group.entries_read()), ("lag", lag)] {
        reply.bulk(name.as_bytes());
        match count {
            Some(count) => reply.integer(count.cast_signed()),
            None => reply.null(),
        }
    }
}

/// Returns how many entries a group has yet to read, if that is known.
///
/// Source: redis 7.2 and 8.0, valkey 8.1 t_stream.c, `streamReplyWithCGLag`, which differ.
fn lag(stream: &Stream, group: &Group, dialect: Dialect) -> Option<u64> {
    let (first, deleted) = (stream.first_id(), stream.max_deleted_id);
    let (newer, doubts) = (
        dialect.has_better_lag(),
        dialect.doubts_lag_before_deleted(),
    );
    if stream.entries_added == 0 || (newer && stream.is_empty()) {
        return Some(0);
    }
    if newer && group.last_id < first && deleted < first {
        return Some(stream.len() as u64);
    }
    let tombstone_behind = !stream.is_empty()
        && deleted != StreamId::MIN
        && (doubts || first <= deleted)
        && group.last_id <= deleted;
    let read = match group.entries_read() {
        Some(read) if !tombstone_behind => Some(read),
        _ => distance(stream, group.last_id, dialect),
    };
    read.map(|read| stream.entries_added.wrapping_sub(read))
}

/// Returns how many entries were ever added up to `id`, if that is known.
///
/// Source: redis 7.2 and 8.0 t_stream.c, `streamEstimateDistanceFromFirstEverEntry`.
fn distance(stream: &Stream, id: StreamId, dialect: Dialect) -> Option<u64> {
    let (first, deleted) = (stream.first_id(), stream.max_deleted_id);
    let (added, length) = (stream.entries_added, stream.len() as u64);
    if length == 0 && id <= stream.last_id {
        return Some(added);
    }
    if dialect.doubts_lag_before_deleted() && id != StreamId::MIN && id < deleted {
        return None;
    }
    if id == stream.last_id {
        return Some(added);
    }
    if id > stream.last_id || !(deleted == StreamId::MIN || deleted < first) {
        return None;
    }
    match id.cmp(&first) {
        std::cmp::Ordering::Less => Some(added.wrapping_sub(length)),
        std::cmp::Ordering::Equal => Some(added.wrapping_sub(length).wrapping_add(1)),
        std::cmp::Ordering::Greater => None,
    }
}

pub(super) fn groups(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let stream = view
        .collection::<Stream>(args.at(2))?
        .ok_or(Error::NoSuchKey)?;
    let since_7 = reply.dialect().has_stream_counters();
    reply.array(stream.groups().len());
    for (name, group) in stream.groups() {
        reply.map(if since_7 { 6 } else { 4 });
        reply.bulk(b"name");
        reply.bulk(name);
        number(reply, "consumers", group.consumers().len());
        number(reply, "pending", group.pending().len());
        labelled_id(reply, "last-delivered-id", group.last_id);
        if since_7 {
            progress(reply, stream, group);
        }
    }
    Ok(())
}

/// DIFFERENCE: the primary does not replicate reads that find nothing, so `idle` and `inactive` count from the last read
/// that it replicated, as on any replica.
pub(super) fn consumers(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let stream = view
        .collection::<Stream>(args.at(2))?
        .ok_or(Error::NoSuchKey)?;
    let group = stream.groups().get(args.at(3)).ok_or_else(|| {
        Error::quoting(
            "NOGROUP No such consumer group '{}' for key name '{}'",
            &[args.at(3), args.at(2)],
        )
    })?;
    let since_7_2 = reply.dialect().has_active_times();
    let now_ms = view.now_ms();
    reply.array(group.consumers().len());
    for (name, consumer) in group.consumers() {
        reply.map(if since_7_2 { 4 } else { 3 });
        reply.bulk(b"name");
        reply.bulk(name);
        number(reply, "pending", consumer.pending);
        reply.bulk(b"idle");
        reply.integer(now_ms.saturating_sub(consumer.seen_time_ms).max(0));
        if since_7_2 {
            reply.bulk(b"inactive");
            reply.integer(match consumer.active_time_ms {
                -1 => -1,
                active => now_ms.saturating_sub(active),
            });
        }
    }
    Ok(())
}

/// XPENDING's words after the group.
struct Wanted<'a> {
    min_idle_ms: i64,
    start: StreamId,
    end: StreamId,
    count: usize,
    consumer: Option<&'a [u8]>,
}

impl<'a> Wanted<'a> {
    /// Source: redis 7.0 t_stream.c, `xpendingCommand`.
    fn parse(args: Args<'a>, dialect: Dialect) -> Result<Option<Self>, Error> {
        if args.len() == 3 {
            return Ok(None);
        }
        let takes_idle = dialect.has_exclusive_ids();
        let words_max = if takes_idle { 9 } else { 7 };
        if !(6..=words_max).contains(&args.len()) {
            return Err(Error::Syntax);
        }
        let idle = takes_idle && args.is(3, "idle");
        let first = if idle { 5 } else { 3 };
        let min_idle_ms = if idle { integer(args.at(4))? } else { 0 };
        if args.len() < first + 3 {
            return Err(Error::Syntax);
        }
        Ok(Some(Self {
            min_idle_ms,
            count: usize::try_from(integer(args.at(first + 2))?).unwrap_or(0),
            start: id::start(args.at(first), dialect)?,
            end: id::end(args.at(first + 1), dialect)?,
            consumer: args.get(first + 3),
        }))
    }
}

pub(super) fn xpending(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let wanted = Wanted::parse(args, reply.dialect())?;
    let stream = view.collection::<Stream>(args.at(1))?;
    let group = stream.and_then(|stream| stream.groups().get(args.at(2)));
    let group = group.ok_or_else(|| {
        Error::quoting(
            "NOGROUP No such key '{}' or consumer group '{}'",
            &[args.at(1), args.at(2)],
        )
    })?;
    match wanted {
        None => summary(reply, group),
        Some(wanted) => pending(reply, group, &wanted, view.now_ms()),
    }
    Ok(())
}

fn summary(reply: &mut Reply, group: &Group) {
    reply.array(4);
    reply.count(group.pending().len());
    let ends = (
        group.pending().first_key_value(),
        group.pending().last_key_value(),
    );
    let (Some((first, _)), Some((last, _))) = ends else {
        reply.null();
        reply.null();
        return reply.null_array();
    };
    bulk_id(reply, *first);
    bulk_id(reply, *last);
    let consumers = group.consumers().iter();
    let busy: Vec<_> = consumers.filter(|(_, one)| one.pending > 0).collect();
    reply.array(busy.len());
    for (name, consumer) in busy {
        reply.array(2);
        reply.bulk(name);
        reply.bulk(consumer.pending.to_string().as_bytes());
    }
}

fn pending(reply: &mut Reply, group: &Group, wanted: &Wanted<'_>, now_ms: i64) {
    let shown = group.pending().iter().filter(|(id, pending)| {
        (wanted.start..=wanted.end).contains(*id)
            && wanted
                .consumer
                .is_none_or(|name| pending.owner.as_deref() == Some(name))
            && idle(pending, now_ms)
                .is_none_or(|idle_ms| wanted.min_idle_ms == 0 || idle_ms >= wanted.min_idle_ms)
    });
    reply.array_of(|reply| {
        shown
            .take(wanted.count)
            .map(|(id, pending)| {
                reply.array(4);
                bulk_id(reply, *id);
                reply.bulk(pending.owner_shown());
                reply.integer(idle(pending, now_ms).map_or(-1, |idle_ms| idle_ms.max(0)));
                reply.integer(pending.delivery_count.cast_signed());
            })
            .count()
    });
}

/// The time since the delivery; `None` if no consumer has the entry.
fn idle(pending: &Pending, now_ms: i64) -> Option<i64> {
    let since = |_| now_ms.saturating_sub(pending.delivery_time_ms());
    pending.owner.as_ref().map(since)
}

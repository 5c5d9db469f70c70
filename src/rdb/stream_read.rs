//! Reads the layouts of streams and checks every entry.

use super::{
    duplicates::has_twins,
    error::Error,
    flaws::{Flaws, corrupt},
    listpack::{Iter, Listpack},
    object::Object,
    reader::Reader,
    source::Source,
    stream::{
        Consumer, Group, IDMP_DURATION_S_MAX, IDMP_ENTRIES_MAX_MAX, Idmp, Pending, Producer,
        StreamId, StreamObject,
    },
    value::{listpack, room},
};
use crate::dialect::Flaw;

/// Reads a stream of layout 1 (type 15), 2 (type 19), 3 (type 21), 4 (type 26) or 5 (type 27).
///
/// Fills in what older layouts lack, as Redis's loader does. Source: redis 7.2 rdb.c, rdbLoadObject. Layouts 4 and 5: redis 8.8
/// rdb.c; from its text, no server of this version was asked.
pub(super) fn stream<S: Source>(
    reader: &mut Reader<S>,
    flaws: &mut Flaws,
    layout: u8,
) -> Result<Object<'static>, Error> {
    let mut walk = Walk::default();
    let mut stream = StreamObject {
        nodes: nodes(reader, flaws, &mut walk)?,
        ..StreamObject::default()
    };
    reader.reading("a stream's length");
    let length_at = reader.position();
    stream.length = reader.length()?;
    reader.reading("a stream's last id");
    let last_id_at = reader.position();
    stream.last_id = id(reader)?;
    reader.reading("a stream's counters");
    if layout >= 2 {
        stream.first_id = id(reader)?;
        stream.max_deleted_id = id(reader)?;
        let added_at = reader.position();
        stream.entries_added = reader.length()?;
        if !(stream.length..=i64::MAX.unsigned_abs()).contains(&stream.entries_added) {
            let cause = corrupt("the number of entries added does not match the stream's length");
            flaws.pass(Flaw::StreamAdded, reader.error_at(added_at, cause))?;
        }
    } else {
        stream.first_id = walk.first.unwrap_or_default();
        stream.entries_added = stream.length;
    }
    // If the stream is lost, not all of its entries have been seen.
    if stream.length != walk.live && !flaws.is_lost() {
        let flaw = if stream.nodes.is_empty() {
            Flaw::StreamWithoutNodes
        } else {
            Flaw::StreamLength
        };
        let cause = corrupt("the stream's length does not match its number of entries");
        flaws.keep(flaw, reader.error_at(length_at, cause))?;
    }
    if walk.last > Some(stream.last_id) {
        let cause = corrupt("an entry's id is greater than the stream's last id");
        flaws.keep(Flaw::StreamLastId, reader.error_at(last_id_at, cause))?;
    }
    stream.groups = groups(reader, flaws, &stream, layout)?;
    if layout >= 4 {
        stream.idmp = Some(Box::new(idmp(reader)?));
    }
    Ok(Object::Stream(Box::new(stream)))
}

fn nodes<S: Source>(
    reader: &mut Reader<S>,
    flaws: &mut Flaws,
    walk: &mut Walk,
) -> Result<Vec<(StreamId, Listpack)>, Error> {
    reader.reading("a stream's size");
    let count = reader.length()?;
    let mut nodes: Vec<(StreamId, Listpack)> = Vec::with_capacity(room(count));
    let (mut last_at, mut ascend) = (0, true);
    for _ in 0..count {
        reader.reading("a stream node's id");
        last_at = reader.position();
        let key = node_id(reader)?;
        if nodes.last().is_some_and(|(before, _)| *before >= key) {
            ascend = false;
            let cause = corrupt("the stream's nodes are out of order");
            flaws.keep(Flaw::StreamOrder, reader.error_at(last_at, cause))?;
        }
        let node_at = reader.position();
        let Some(packed) = listpack(reader, flaws, 0)? else {
            continue;
        };
        reader.reading("a stream's node");
        if packed.is_empty() {
            return Err(reader.error_at(node_at, corrupt("a stream node without entries")));
        }
        if let Err((flaw, reason)) = walk.node(key, &packed) {
            let error = reader.error_at(node_at, corrupt(reason));
            match flaw {
                Flaw::StreamOrder => flaws.keep(flaw, error)?,
                _ => flaws.lose(flaw, error)?,
            }
        }
        nodes.push((key, packed));
    }
    if !ascend {
        nodes.sort_by_key(|(id, _)| *id);
        if has_twins(&mut nodes.iter().map(|(id, _)| *id).collect::<Vec<_>>()) {
            return Err(reader.error_at(last_at, corrupt("duplicate stream node")));
        }
        walk.again(&nodes);
    }
    Ok(nodes)
}

fn node_id<S: Source>(reader: &mut Reader<S>) -> Result<StreamId, Error> {
    let at = reader.position();
    let key = reader.string()?.to_vec();
    let raw = <[u8; 16]>::try_from(key);
    raw.map(StreamId::from_be_bytes)
        .map_err(|_| reader.error_at(at, corrupt("a stream node's id is not 16 bytes long")))
}

/// Reads an id written as two lengths.
fn id<S: Source>(reader: &mut Reader<S>) -> Result<StreamId, Error> {
    Ok(StreamId::new(reader.length()?, reader.length()?))
}

/// Reads an id written as 16 raw bytes.
fn raw_id<S: Source>(reader: &mut Reader<S>) -> Result<StreamId, Error> {
    reader.array().map(StreamId::from_be_bytes)
}

/// The state of a walk over all entries.
#[derive(Default)]
struct Walk {
    /// Number of entries, without the deleted ones.
    live: u64,
    /// The first of them.
    first: Option<StreamId>,
    /// The previous one.
    before: Option<StreamId>,
    /// The one with the largest id.
    last: Option<StreamId>,
}

impl Walk {
    /// Checks a whole node: the master entry, each entry's fields and counts, and that the ids ascend.
    ///
    /// Source: redis 7.2 t_stream.c, streamValidateListpackIntegrity.
    fn node(&mut self, key: StreamId, packed: &Listpack) -> Result<(), (Flaw, &'static str)> {
        let in_node = |reason| (Flaw::StreamNode, reason);
        let mut items = Items(packed.iter());
        let live = items.count().map_err(in_node)?;
        let deleted = items.count().map_err(in_node)?;
        let master_fields = items.count().map_err(in_node)?;
        items.skip(master_fields).map_err(in_node)?;
        if items.int().map_err(in_node)? != 0 {
            return Err(in_node("a stream node's master entry is not terminated"));
        }
        let (mut tombstones, mut in_order) = (0_u64, true);
        let entries = live.checked_add(deleted).ok_or(in_node(WRONG_ENTRY))?;
        for _ in 0..entries {
            let (delta, flags) = items.entry(master_fields).map_err(in_node)?;
            if flags & DELETED != 0 {
                tombstones += 1;
                continue;
            }
            let id = StreamId::new(
                key.ms.wrapping_add(delta.ms),
                key.seq.wrapping_add(delta.seq),
            );
            if id < key {
                let reason = "an entry's id is smaller than its node's id";
                return Err((Flaw::StreamIdBelowNode, reason));
            }
            in_order &= self.live(id);
        }
        if tombstones != deleted || items.0.next().is_some() {
            return Err(in_node("a stream node's counters do not match its entries"));
        }
        if in_order {
            Ok(())
        } else {
            Err((Flaw::StreamOrder, "the stream's ids are out of order"))
        }
    }

    /// Notes an entry that is not deleted. Returns whether its id is greater than the previous one's.
    fn live(&mut self, id: StreamId) -> bool {
        self.live += 1;
        self.first.get_or_insert(id);
        self.last = self.last.max(Some(id));
        self.before.replace(id).is_none_or(|before| before < id)
    }

    /// Walks again over nodes that have been sorted.
    fn again(&mut self, nodes: &[(StreamId, Listpack)]) {
        *self = Self::default();
        for (key, packed) in nodes {
            // The first walk has already reported the flaws.
            let _known = self.node(*key, packed);
        }
    }
}

/// The elements of a stream's node, read by their roles.
struct Items<'a>(Iter<'a>);

impl Items<'_> {
    fn int(&mut self) -> Result<i64, &'static str> {
        self.0
            .next()
            .and_then(|item| item.as_int())
            .ok_or(WRONG_ENTRY)
    }

    fn count(&mut self) -> Result<u64, &'static str> {
        u64::try_from(self.int()?).map_err(|_| WRONG_ENTRY)
    }

    fn skip(&mut self, count: u64) -> Result<(), &'static str> {
        for _ in 0..count {
            self.0.next().ok_or(WRONG_ENTRY)?;
        }
        Ok(())
    }

    /// Reads one entry. Returns its id relative to the node's, and its flags.
    fn entry(&mut self, master_fields: u64) -> Result<(StreamId, i64), &'static str> {
        let flags = self.int()?;
        let delta = StreamId::new(self.int()?.cast_unsigned(), self.int()?.cast_unsigned());
        let elements = if flags & SAME_FIELDS != 0 {
            self.skip(master_fields)?;
            master_fields.checked_add(3)
        } else {
            let fields = self.count()?;
            let elements = fields.checked_mul(2).ok_or(WRONG_ENTRY)?;
            self.skip(elements)?;
            elements.checked_add(4)
        };
        if Some(self.count()?) == elements {
            Ok((delta, flags))
        } else {
            Err(WRONG_ENTRY)
        }
    }
}

fn groups<S: Source>(
    reader: &mut Reader<S>,
    flaws: &mut Flaws,
    stream: &StreamObject,
    layout: u8,
) -> Result<Vec<Group>, Error> {
    reader.reading("a stream's groups");
    let count = reader.length()?;
    let mut groups = Vec::new();
    let mut last_at = reader.position();
    for _ in 0..count {
        last_at = reader.position();
        groups.push(group(reader, flaws, stream, layout)?);
    }
    if stand_twice(&groups, |group: &Group| &group.name) {
        return Err(reader.error_at(last_at, corrupt("duplicate group in a stream")));
    }
    Ok(groups)
}

fn stand_twice<T>(all: &[T], name: impl Fn(&T) -> &Box<[u8]>) -> bool {
    has_twins(&mut all.iter().map(name).collect::<Vec<_>>())
}

fn group<S: Source>(
    reader: &mut Reader<S>,
    flaws: &mut Flaws,
    stream: &StreamObject,
    layout: u8,
) -> Result<Group, Error> {
    reader.reading("a stream's group");
    let name = reader.boxed_string()?;
    let last_id = id(reader)?;
    let read_at = reader.position();
    let entries_read = if layout >= 2 {
        reader.length()?.cast_signed()
    } else {
        estimate_entries_read(stream, last_id)
    };
    if entries_read < UNKNOWN {
        let cause = corrupt("a group's number of entries read is below -1");
        flaws.lose(Flaw::GroupCounter, reader.error_at(read_at, cause))?;
    }
    if u64::try_from(entries_read).is_ok_and(|read| read > stream.entries_added) {
        let cause = corrupt("a group has read more entries than were added");
        flaws.pass(Flaw::GroupAhead, reader.error_at(read_at, cause))?;
    }
    let pel = pel(reader, flaws)?;
    let mut owners = Owners {
        of: vec![None; pel.len()],
        pel: &pel,
    };
    let consumers = consumers(reader, flaws, &mut owners, layout)?;
    let released = if layout >= 5 {
        released(reader, &mut owners)?
    } else {
        Vec::new()
    };
    if owners.of.contains(&None) {
        let cause = corrupt("a pending entry without a consumer");
        flaws.lose(Flaw::PendingOwnerless, reader.error(cause))?;
    }
    Ok(Group {
        name,
        last_id,
        entries_read,
        pel,
        consumers,
        released,
    })
}

fn pel<S: Source>(reader: &mut Reader<S>, flaws: &mut Flaws) -> Result<Vec<Pending>, Error> {
    reader.reading("a group's pending entries");
    let count = reader.length()?;
    let mut pel: Vec<Pending> = Vec::with_capacity(room(count));
    let (mut last_at, mut ascend) = (0, true);
    for _ in 0..count {
        last_at = reader.position();
        let id = raw_id(reader)?;
        let delivery_time_ms = i64::from_le_bytes(reader.array()?);
        let delivery_count = reader.length()?;
        if pel.last().is_some_and(|before| before.id >= id) {
            ascend = false;
            let cause = corrupt("pending entries are out of order");
            flaws.keep(Flaw::PendingOrder, reader.error_at(last_at, cause))?;
        }
        pel.push(Pending {
            id,
            delivery_time_ms,
            delivery_count,
        });
    }
    if !ascend {
        pel.sort_by_key(|pending| pending.id);
        if has_twins(&mut pel.iter().map(|pending| pending.id).collect::<Vec<_>>()) {
            return Err(reader.error_at(last_at, corrupt("duplicate pending entry in a group")));
        }
    }
    Ok(pel)
}

/// Which consumer, by its number, owns each of a group's pending entries. Nobody owns one that was [`RELEASED`].
struct Owners<'p> {
    /// The entries, in ascending order.
    pel: &'p [Pending],
    of: Vec<Option<u64>>,
}

/// Reads the consumers, which must own every pending entry of the group exactly once.
fn consumers<S: Source>(
    reader: &mut Reader<S>,
    flaws: &mut Flaws,
    owners: &mut Owners<'_>,
    layout: u8,
) -> Result<Vec<Consumer>, Error> {
    reader.reading("a group's consumers");
    let count = reader.length()?;
    let mut consumers = Vec::new();
    let mut last_at = reader.position();
    for number in 0..count {
        last_at = reader.position();
        consumers.push(consumer(reader, flaws, owners, (number, layout))?);
    }
    if stand_twice(&consumers, |consumer: &Consumer| &consumer.name) {
        let cause = corrupt("duplicate consumer in a group");
        flaws.lose(Flaw::ConsumerTwice, reader.error_at(last_at, cause))?;
    }
    Ok(consumers)
}

fn consumer<S: Source>(
    reader: &mut Reader<S>,
    flaws: &mut Flaws,
    owners: &mut Owners<'_>,
    (number, layout): (u64, u8),
) -> Result<Consumer, Error> {
    reader.reading("a group's consumer");
    let name = reader.boxed_string()?;
    let seen_time_ms = i64::from_le_bytes(reader.array()?);
    let active_time_ms = if layout >= 3 {
        i64::from_le_bytes(reader.array()?)
    } else {
        seen_time_ms
    };
    let count = reader.length()?;
    let mut pending = Vec::with_capacity(room(count).min(owners.pel.len()));
    reader.reading("a consumer's pending entries");
    for _ in 0..count {
        let at = reader.position();
        let id = raw_id(reader)?;
        let index = owners.pel.binary_search_by_key(&id, |entry| entry.id).ok();
        match index.and_then(|index| owners.of.get_mut(index)) {
            Some(owner @ None) => *owner = Some(number),
            Some(Some(owner)) if *owner == number => {
                return Err(reader.error_at(at, corrupt("a consumer owns a pending entry twice")));
            }
            Some(Some(_)) => {
                let cause = corrupt("a pending entry has two owners");
                flaws.lose(Flaw::PendingShared, reader.error_at(at, cause))?;
            }
            None => {
                let cause = corrupt("a consumer's entry is not pending in its group");
                return Err(reader.error_at(at, cause));
            }
        }
        pending.push(id);
    }
    Ok(Consumer {
        name,
        seen_time_ms,
        active_time_ms,
        pending,
    })
}

/// Reads the ids of the pending entries that were released. No consumer may own them.
///
/// Source: redis 8.8 rdb.c, `rdbLoadObject`, "NACK zone"; an id may appear twice there.
fn released<S: Source>(
    reader: &mut Reader<S>,
    owners: &mut Owners<'_>,
) -> Result<Vec<StreamId>, Error> {
    reader.reading("a group's released entries");
    let count = reader.length()?;
    let mut released = Vec::with_capacity(room(count).min(owners.pel.len()));
    for _ in 0..count {
        let at = reader.position();
        let id = raw_id(reader)?;
        let index = owners.pel.binary_search_by_key(&id, |entry| entry.id).ok();
        let Some(owner) = index.and_then(|index| owners.of.get_mut(index)) else {
            let cause = corrupt("a released entry is not pending in its group");
            return Err(reader.error_at(at, cause));
        };
        if owner.is_some_and(|owner| owner != RELEASED) {
            return Err(reader.error_at(at, corrupt("a released entry has an owner")));
        }
        *owner = Some(RELEASED);
        released.push(id);
    }
    Ok(released)
}

/// Reads the idempotent producers.
///
/// Source: redis 8.8 rdb.c, `rdbLoadStreamIdmpEntries`. The server also skips what is too old by its clock; here, reading does
/// not depend on the time.
fn idmp<S: Source>(reader: &mut Reader<S>) -> Result<Idmp, Error> {
    reader.reading("a stream's settings for idempotent producers");
    let duration_s = within(reader, IDMP_DURATION_S_MAX, "duration out of range")?;
    let entries_max = within(reader, IDMP_ENTRIES_MAX_MAX, "number of ids out of range")?;
    reader.reading("a stream's idempotent producers");
    let count = reader.length()?;
    let mut producers = Vec::new();
    let mut last_at = reader.position();
    for _ in 0..count {
        last_at = reader.position();
        let producer = producer(reader)?;
        // Servers write those whose ids are all too old, and skip them.
        if !producer.entries.is_empty() {
            producers.push(producer);
        }
    }
    if stand_twice(&producers, |producer: &Producer| &producer.id) {
        let cause = corrupt("duplicate idempotent producer in a stream");
        return Err(reader.error_at(last_at, cause));
    }
    reader.reading("a stream's counters of idempotent producers");
    Ok(Idmp {
        duration_s,
        entries_max,
        producers,
        added: reader.length()?,
        duplicates: reader.length()?,
    })
}

fn producer<S: Source>(reader: &mut Reader<S>) -> Result<Producer, Error> {
    reader.reading("an idempotent producer");
    let id = reader.boxed_string()?;
    let count = reader.length()?;
    let mut entries = Vec::with_capacity(room(count));
    for _ in 0..count {
        entries.push((reader.boxed_string()?, self::id(reader)?));
    }
    Ok(Producer { id, entries })
}

/// Reads a number from 1 to `most`.
fn within<S: Source>(
    reader: &mut Reader<S>,
    most: u64,
    reason: &'static str,
) -> Result<u64, Error> {
    let at = reader.position();
    let number = reader.length()?;
    if (1..=most).contains(&number) {
        Ok(number)
    } else {
        Err(reader.error_at(at, corrupt(reason)))
    }
}

/// Estimates how many entries a group had read, for a layout that lacks this number. Returns -1 if it cannot be known. Such a
/// stream's deletions are not known either, so they are not taken into account.
///
/// Source: redis 7.0 t_stream.c, streamEstimateDistanceFromFirstEverEntry.
fn estimate_entries_read(stream: &StreamObject, last_id: StreamId) -> i64 {
    let added = stream.entries_added.cast_signed();
    let before_first = stream
        .entries_added
        .wrapping_sub(stream.length)
        .cast_signed();
    let past_all = last_id == stream.last_id || (stream.length == 0 && last_id < stream.last_id);
    match last_id {
        _ if added == 0 => 0,
        _ if past_all => added,
        id if id > stream.last_id => -1,
        id if id < stream.first_id => before_first,
        id if id == stream.first_id => before_first + 1,
        _ => -1,
    }
}

/// Source: redis 7.2 stream.h, `STREAM_ITEM_FLAG_*`.
const DELETED: i64 = 1;
const SAME_FIELDS: i64 = 2;

/// The number of a consumer that does not exist.
const RELEASED: u64 = u64::MAX;

/// Stored as a group's counter if it is not known. Source: redis 7.0 stream.h, `SCG_INVALID_ENTRIES_READ`.
const UNKNOWN: i64 = -1;

const WRONG_ENTRY: &str = "invalid or truncated stream entry";

//! The layouts of streams, checked entry by entry.

use super::{
    duplicates::has_twins,
    error::{Cause, Error},
    listpack::{Iter, Listpack},
    object::Object,
    reader::Reader,
    source::Source,
    stream::{Consumer, Group, Pending, StreamId, StreamObject},
    value::room,
};

/// Reads a stream of layout 1 (type 15), 2 (type 19) or 3 (type 21).
///
/// What older layouts lack is filled in as Redis's loader does. Source: redis 7.2 rdb.c, rdbLoadObject.
pub(super) fn stream<S: Source>(
    reader: &mut Reader<S>,
    layout: u8,
) -> Result<Object<'static>, Error> {
    let mut walk = Walk::default();
    let mut stream = StreamObject {
        nodes: nodes(reader, &mut walk)?,
        ..StreamObject::default()
    };
    reader.reading("a stream's counters");
    stream.length = reader.length()?;
    stream.last_id = id(reader)?;
    if layout >= 2 {
        stream.first_id = id(reader)?;
        stream.max_deleted_id = id(reader)?;
        stream.entries_added = reader.length()?;
    } else {
        stream.first_id = walk.first.unwrap_or_default();
        stream.entries_added = stream.length;
    }
    if stream.length > 0 && stream.nodes.is_empty() {
        return Err(reader.error(Cause::Corrupt("a stream's length without entries")));
    }
    if walk.last > Some(stream.last_id) {
        return Err(reader.error(Cause::Corrupt("a stream's entry lies past its last id")));
    }
    stream.groups = groups(reader, &stream, layout)?;
    Ok(Object::Stream(Box::new(stream)))
}

fn nodes<S: Source>(
    reader: &mut Reader<S>,
    walk: &mut Walk,
) -> Result<Vec<(StreamId, Listpack)>, Error> {
    reader.reading("a stream's size");
    let count = reader.length()?;
    let mut nodes: Vec<(StreamId, Listpack)> = Vec::with_capacity(room(count));
    for _ in 0..count {
        reader.reading("a stream node's id");
        let key = reader.string()?.to_vec();
        let raw = <[u8; 16]>::try_from(key)
            .map_err(|_| reader.error(Cause::Corrupt("an id of other than 16 bytes")))?;
        let key = StreamId::from_be_bytes(raw);
        if nodes.last().is_some_and(|(before, _)| *before >= key) {
            return Err(reader.error(Cause::Corrupt("a stream's nodes are not in order")));
        }
        reader.reading("a stream's node");
        let blob = reader.blob()?;
        let packed = Listpack::validate(blob).map_err(|error| reader.error(error))?;
        walk.node(key, &packed)
            .map_err(|reason| reader.error(Cause::Corrupt(reason)))?;
        nodes.push((key, packed));
    }
    Ok(nodes)
}

/// An id as two lengths.
fn id<S: Source>(reader: &mut Reader<S>) -> Result<StreamId, Error> {
    Ok(StreamId::new(reader.length()?, reader.length()?))
}

/// An id as 16 raw bytes.
fn raw_id<S: Source>(reader: &mut Reader<S>) -> Result<StreamId, Error> {
    reader.array().map(StreamId::from_be_bytes)
}

/// What a walk over all entries has found so far.
#[derive(Default)]
struct Walk {
    /// The first entry that is not deleted.
    first: Option<StreamId>,
    /// The latest of them.
    last: Option<StreamId>,
}

impl Walk {
    /// Checks all of a node: the master entry, each entry's fields and counts, and that ids ascend.
    ///
    /// DIFFERENCE: Redis trusts the order of ids; our searches rely on it, so it is checked, for what is not deleted.
    ///
    /// Source: redis 7.2 t_stream.c, streamValidateListpackIntegrity.
    fn node(&mut self, key: StreamId, packed: &Listpack) -> Result<(), &'static str> {
        let mut items = Items(packed.iter());
        let live = items.count()?;
        let deleted = items.count()?;
        let master_fields = items.count()?;
        items.skip(master_fields)?;
        if items.int()? != 0 {
            return Err("a stream node's master entry does not end");
        }
        let mut tombstones = 0_u64;
        let entries = live.checked_add(deleted).ok_or(WRONG_ENTRY)?;
        for _ in 0..entries {
            let (delta, flags) = items.entry(master_fields)?;
            if flags & DELETED != 0 {
                tombstones += 1;
            } else {
                let id = StreamId::new(
                    key.ms.wrapping_add(delta.ms),
                    key.seq.wrapping_add(delta.seq),
                );
                self.live(id)?;
            }
        }
        if tombstones != deleted || items.0.next().is_some() {
            return Err("a stream node's counters do not match its entries");
        }
        Ok(())
    }

    fn live(&mut self, id: StreamId) -> Result<(), &'static str> {
        if self.last.is_some_and(|before| before >= id) {
            return Err("a stream's ids are not in order");
        }
        self.first.get_or_insert(id);
        self.last = Some(id);
        Ok(())
    }
}

/// The elements of a stream's node, by the roles that they must have.
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

    /// One entry: its id less the node's, and its flags.
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
    stream: &StreamObject,
    layout: u8,
) -> Result<Vec<Group>, Error> {
    reader.reading("a stream's groups");
    let count = reader.length()?;
    let mut groups = Vec::new();
    for _ in 0..count {
        groups.push(group(reader, stream, layout)?);
    }
    if has_twins(
        &mut groups
            .iter()
            .map(|group: &Group| &group.name)
            .collect::<Vec<_>>(),
    ) {
        return Err(reader.error(Cause::Corrupt("a group stands twice in a stream")));
    }
    Ok(groups)
}

fn group<S: Source>(
    reader: &mut Reader<S>,
    stream: &StreamObject,
    layout: u8,
) -> Result<Group, Error> {
    reader.reading("a stream's group");
    let name = reader.boxed_string()?;
    let last_id = id(reader)?;
    let entries_read = if layout >= 2 {
        reader.length()?.cast_signed()
    } else {
        estimate_entries_read(stream, last_id)
    };
    let pel = pel(reader)?;
    let consumers = consumers(reader, &pel, layout)?;
    Ok(Group {
        name,
        last_id,
        entries_read,
        pel,
        consumers,
    })
}

fn pel<S: Source>(reader: &mut Reader<S>) -> Result<Vec<Pending>, Error> {
    reader.reading("a group's pending entries");
    let count = reader.length()?;
    let mut pel: Vec<Pending> = Vec::with_capacity(room(count));
    for _ in 0..count {
        let id = raw_id(reader)?;
        let delivery_time_ms = i64::from_le_bytes(reader.array()?);
        let delivery_count = reader.length()?;
        if pel.last().is_some_and(|before| before.id >= id) {
            return Err(reader.error(Cause::Corrupt("pending entries are not in order")));
        }
        pel.push(Pending {
            id,
            delivery_time_ms,
            delivery_count,
        });
    }
    Ok(pel)
}

/// Reads the consumers, who must own every pending entry of the group, and each once.
fn consumers<S: Source>(
    reader: &mut Reader<S>,
    pel: &[Pending],
    layout: u8,
) -> Result<Vec<Consumer>, Error> {
    reader.reading("a group's consumers");
    let count = reader.length()?;
    let mut owned = vec![false; pel.len()];
    let mut consumers = Vec::new();
    for _ in 0..count {
        consumers.push(consumer(reader, pel, &mut owned, layout)?);
    }
    if owned.contains(&false) {
        return Err(reader.error(Cause::Corrupt("a pending entry without a consumer")));
    }
    if has_twins(
        &mut consumers
            .iter()
            .map(|consumer: &Consumer| &consumer.name)
            .collect::<Vec<_>>(),
    ) {
        return Err(reader.error(Cause::Corrupt("a consumer stands twice in a group")));
    }
    Ok(consumers)
}

fn consumer<S: Source>(
    reader: &mut Reader<S>,
    pel: &[Pending],
    owned: &mut [bool],
    layout: u8,
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
    let mut pending = Vec::with_capacity(room(count).min(pel.len()));
    reader.reading("a consumer's pending entries");
    for _ in 0..count {
        let id = raw_id(reader)?;
        let index = pel.binary_search_by_key(&id, |entry| entry.id).ok();
        match index.and_then(|index| owned.get_mut(index)) {
            Some(taken @ false) => *taken = true,
            Some(true) => {
                return Err(reader.error(Cause::Corrupt("a pending entry has two owners")));
            }
            None => {
                return Err(reader.error(Cause::Corrupt(
                    "a consumer's entry is not pending in its group",
                )));
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

/// How many entries a group of a layout without that number had read; -1 when it cannot be known. Such a stream's
/// deletions are not known either, so they do not count here.
///
/// Source: redis 7.0 t_stream.c, streamEstimateDistanceFromFirstEverEntry.
fn estimate_entries_read(stream: &StreamObject, last_id: StreamId) -> i64 {
    let added = stream.entries_added.cast_signed();
    let before_first = (stream.entries_added - stream.length).cast_signed();
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

const WRONG_ENTRY: &str = "not a whole stream entry";

//! Encodes values as RDB bytes: each form in the layout that the version has for it.

use std::io::{self, Write};

use super::{Group, Idmp, Object, Stream};
use crate::rdb::ValueType;
use crate::rdb::encode::{Layouts, StreamCounters, Writer};
use crate::rdb::stream;

impl Object {
    /// Returns the value type that [`encode`](Self::encode) writes in these layouts.
    ///
    /// Source: redis 8.0 rdb.c, `rdbSaveObjectType`.
    #[must_use]
    pub fn value_type(&self, layouts: Layouts) -> ValueType {
        match self {
            Self::Text(_) | Self::Swept => ValueType::String,
            Self::List(_) if layouts.has_listpacks() => ValueType::ListQuicklist2,
            Self::List(_) => ValueType::ListQuicklist,
            Self::Set(set) => set.value_type(layouts),
            Self::Hash(hash) => hash.value_type(layouts),
            Self::Zset(zset) => match zset.as_listpack() {
                None => ValueType::Zset2,
                Some(_) if layouts.has_listpacks() => ValueType::ZsetListpack,
                Some(_) => ValueType::ZsetZiplist,
            },
            Self::VectorSet(_) | Self::Module(_) => ValueType::Module2,
            Self::Array(_) => ValueType::Array,
            Self::Stream(_) => Stream::value_type(layouts),
        }
    }

    /// Writes the value, without its type.
    ///
    /// DIFFERENCE: the elements of a hash table are in a different order than on the server.
    ///
    /// # Errors
    /// Fails if the output fails, or if the value was [`Swept`](Self::Swept).
    pub fn encode<W: Write>(&self, writer: &mut Writer<W>) -> io::Result<()> {
        match self {
            Self::Text(text) => writer.string(text),
            Self::List(list) => list.encode(writer),
            Self::Set(set) => set.encode(writer),
            Self::Hash(hash) => hash.encode(writer),
            Self::Zset(zset) => match zset.as_listpack() {
                Some(packed) => writer.packed(packed),
                None => writer.zset(zset.len(), zset.iter().rev()),
            },
            Self::Stream(stream) => stream.encode(writer),
            Self::Array(array) => array.encode(writer),
            Self::VectorSet(set) => set.encode(writer),
            Self::Module(value) => writer.module(value.id(), value.items()),
            Self::Swept => Err(io::Error::other(
                "the value was discarded long after its key expired",
            )),
        }
    }
}

impl Stream {
    /// Returns the value type that [`encode`](Self::encode) writes in these layouts.
    pub(crate) const fn value_type(layouts: Layouts) -> ValueType {
        match layouts.stream() {
            1 => ValueType::StreamListpacks,
            2 => ValueType::StreamListpacks2,
            3 => ValueType::StreamListpacks3,
            4 => ValueType::StreamListpacks4,
            _ => ValueType::StreamListpacks5,
        }
    }

    /// Writes the stream.
    pub(crate) fn encode<W: Write>(&self, writer: &mut Writer<W>) -> io::Result<()> {
        writer.stream_nodes(self.nodes())?;
        self.encode_after_nodes(writer)
    }

    /// Writes what comes after the nodes.
    pub(crate) fn encode_after_nodes<W: Write>(&self, writer: &mut Writer<W>) -> io::Result<()> {
        writer.stream_counters(&StreamCounters {
            length: self.len() as u64,
            last_id: self.last_id,
            first_id: self.first_id(),
            max_deleted_id: self.max_deleted_id,
            entries_added: self.entries_added,
        })?;
        writer.count(self.groups().len())?;
        for (name, group) in self.groups() {
            writer.stream_group(name, group.last_id, group.entries_read())?;
            encode_group(group, writer)?;
            if writer.layouts().stream() >= 5 {
                writer.stream_released(&group.released())?;
            }
        }
        if writer.layouts().stream() >= 4 {
            let default = Idmp::default();
            encode_idmp(self.idmp().unwrap_or(&default), writer)?;
        }
        Ok(())
    }
}

/// DIFFERENCE: a server also writes producers without ids, until it drops them a tenth of a second later.
fn encode_idmp<W: Write>(idmp: &Idmp, writer: &mut Writer<W>) -> io::Result<()> {
    let now_ms = writer.now_ms();
    let producers = idmp.producers(now_ms).count();
    writer.stream_idmp(idmp.duration_s(), idmp.entries_max(), producers)?;
    for (name, known) in idmp.producers(now_ms) {
        writer.stream_producer(name, known.iter())?;
    }
    writer.stream_idmp_counters(idmp.added, idmp.duplicates)
}

fn encode_group<W: Write>(group: &Group, writer: &mut Writer<W>) -> io::Result<()> {
    // Older layouts have no place for an entry without a consumer: it would make the value unreadable.
    let holds_released = writer.layouts().stream() >= 5;
    let pending = group.pending().iter();
    let pending: Vec<_> = pending
        .filter(|(_, entry)| holds_released || entry.owner.is_some())
        .map(|(id, entry)| stream::Pending {
            id: *id,
            delivery_time_ms: entry.delivery_time_ms(),
            delivery_count: entry.delivery_count,
        })
        .collect();
    writer.stream_pending(pending.into_iter())?;
    // Group all ids by owner. A walk over all pending entries for each consumer would take too long.
    let mut owned: Vec<_> = group
        .pending()
        .iter()
        .filter_map(|(id, entry)| Some((id, entry.owner.as_ref()?)))
        .collect();
    owned.sort_by_key(|(_, owner)| *owner);
    let mut rest = owned.as_slice();
    writer.count(group.consumers().len())?;
    for (name, consumer) in group.consumers() {
        let own = rest.partition_point(|(_, owner)| *owner <= name);
        let (pending, behind) = rest.split_at(own);
        rest = behind;
        let ids = pending.iter().map(|(id, _)| **id);
        writer.stream_consumer(name, consumer.seen_time_ms, consumer.active_time_ms, ids)?;
    }
    Ok(())
}

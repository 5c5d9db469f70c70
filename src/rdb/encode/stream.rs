//! Writes streams: nodes, counters, groups and consumers, and idempotent producers, in this order.

use super::Writer;
use crate::rdb::listpack::Listpack;
use crate::rdb::stream::{Pending, StreamId};
use std::io::{self, Write};

/// What a stream has besides its nodes and groups.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StreamCounters {
    /// Number of entries, without the deleted ones.
    pub length: u64,
    /// The last id assigned to an entry.
    pub last_id: StreamId,
    /// The first entry's id, or 0-0 if there is none.
    pub first_id: StreamId,
    /// The largest id deleted.
    pub max_deleted_id: StreamId,
    /// Number of entries ever added.
    pub entries_added: u64,
}

/// Source: redis 7.2 and 8.8 rdb.c, `rdbSaveObject`.
impl<W: Write> Writer<W> {
    /// Writes a stream's nodes, in ascending order.
    ///
    /// # Errors
    /// The output's error, as in everything here.
    pub fn stream_nodes<'a>(
        &mut self,
        nodes: impl ExactSizeIterator<Item = (StreamId, &'a Listpack)>,
    ) -> io::Result<()> {
        self.count(nodes.len())?;
        for (id, packed) in nodes {
            self.stream_node(id, packed)?;
        }
        Ok(())
    }

    /// Writes a node of a stream. The number of nodes must precede the first one.
    ///
    /// # Errors
    /// The output's error.
    pub fn stream_node(&mut self, id: StreamId, packed: &Listpack) -> io::Result<()> {
        self.string(&id.to_be_bytes())?;
        self.string(packed.as_bytes())
    }

    /// Writes the counters that the version has.
    ///
    /// # Errors
    /// The output's error.
    pub fn stream_counters(&mut self, counters: &StreamCounters) -> io::Result<()> {
        self.length(counters.length)?;
        self.stream_id(counters.last_id)?;
        if self.layouts().stream() >= 2 {
            self.stream_id(counters.first_id)?;
            self.stream_id(counters.max_deleted_id)?;
            self.length(counters.entries_added)?;
        }
        Ok(())
    }

    /// Writes the head of a group. Its pending entries and its consumers must follow.
    ///
    /// # Errors
    /// The output's error.
    pub fn stream_group(
        &mut self,
        name: &[u8],
        last_id: StreamId,
        entries_read: Option<u64>,
    ) -> io::Result<()> {
        self.string(name)?;
        self.stream_id(last_id)?;
        if self.layouts().stream() >= 2 {
            self.length(entries_read.unwrap_or(UNKNOWN))?;
        }
        Ok(())
    }

    /// Writes a group's pending entries, in ascending order.
    ///
    /// # Errors
    /// The output's error.
    pub fn stream_pending(
        &mut self,
        pending: impl ExactSizeIterator<Item = Pending>,
    ) -> io::Result<()> {
        self.count(pending.len())?;
        for entry in pending {
            self.raw(&entry.id.to_be_bytes())?;
            self.raw(&entry.delivery_time_ms.to_le_bytes())?;
            self.length(entry.delivery_count)?;
        }
        Ok(())
    }

    /// Writes a consumer with the pending entries that it owns, in ascending order. The number of consumers must precede the
    /// first one.
    ///
    /// # Errors
    /// The output's error.
    pub fn stream_consumer(
        &mut self,
        name: &[u8],
        seen_time_ms: i64,
        active_time_ms: i64,
        pending: impl ExactSizeIterator<Item = StreamId>,
    ) -> io::Result<()> {
        self.string(name)?;
        self.raw(&seen_time_ms.to_le_bytes())?;
        if self.layouts().stream() >= 3 {
            self.raw(&active_time_ms.to_le_bytes())?;
        }
        self.count(pending.len())?;
        for id in pending {
            self.raw(&id.to_be_bytes())?;
        }
        Ok(())
    }

    /// Writes the ids of a group's released entries, in the order of their release. Call this after the last consumer, in the
    /// layouts from 5 on.
    ///
    /// # Errors
    /// The output's error.
    pub fn stream_released(&mut self, released: &[StreamId]) -> io::Result<()> {
        self.count(released.len())?;
        for id in released {
            self.raw(&id.to_be_bytes())?;
        }
        Ok(())
    }

    /// Writes the settings for idempotent producers, and the number of producers, which must follow. Call this after the last
    /// group, in the layouts from 4 on.
    ///
    /// # Errors
    /// The output's error.
    pub fn stream_idmp(
        &mut self,
        duration_s: u64,
        entries_max: u64,
        producers: usize,
    ) -> io::Result<()> {
        self.length(duration_s)?;
        self.length(entries_max)?;
        self.count(producers)
    }

    /// Writes an idempotent producer: its ids from the oldest on, and the entries added under them.
    ///
    /// # Errors
    /// The output's error.
    pub fn stream_producer<'a>(
        &mut self,
        name: &[u8],
        entries: impl ExactSizeIterator<Item = (&'a [u8], StreamId)>,
    ) -> io::Result<()> {
        self.string(name)?;
        self.count(entries.len())?;
        for (iid, id) in entries {
            self.string(iid)?;
            self.stream_id(id)?;
        }
        Ok(())
    }

    /// Writes how many ids of idempotent producers were ever added, and how many were duplicates.
    ///
    /// # Errors
    /// The output's error.
    pub fn stream_idmp_counters(&mut self, added: u64, duplicates: u64) -> io::Result<()> {
        self.length(added)?;
        self.length(duplicates)
    }

    fn stream_id(&mut self, id: StreamId) -> io::Result<()> {
        self.length(id.ms)?;
        self.length(id.seq)
    }
}

/// The number of entries read by a group that does not know it: -1.
const UNKNOWN: u64 = u64::MAX;

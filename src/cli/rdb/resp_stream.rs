//! The commands that create a stream again, as servers write them into an append-only file.
//!
//! Source: redis 8.0 aof.c, `rewriteStreamObject`.

use std::io::{self, Write};

use super::resp::Commands;
use crate::dump::{Group, Stream, StreamId};

/// Writes the commands for a stream.
pub(super) fn write<W: Write>(
    out: &mut Commands<W>,
    name: &[u8],
    stream: &Stream<'_>,
) -> io::Result<()> {
    if stream.is_empty() {
        // An entry that is trimmed at once leaves an empty stream.
        let id = text(stream.last_id().max(StreamId { ms: 0, seq: 1 }));
        out.command(&[b"XADD", name, b"MAXLEN", b"0", &id, b"x", b"y"])?;
    }
    for entry in stream.iter() {
        out.head(3 + 2 * entry.len())?;
        out.word(b"XADD")?;
        out.word(name)?;
        out.word(&text(entry.id()))?;
        for (field, value) in entry.iter() {
            out.item(field)?;
            out.item(value)?;
        }
    }
    let last_id = text(stream.last_id());
    match (stream.entries_added(), stream.max_deleted_id()) {
        (Some(added), Some(deleted)) => {
            let (added, deleted) = (added.to_string(), text(deleted));
            let counters = [
                &b"ENTRIESADDED"[..],
                added.as_bytes(),
                b"MAXDELETEDID",
                &deleted,
            ];
            let words = [&[b"XSETID", name, &last_id][..], &counters].concat();
            out.command(&words)?;
        }
        _ => out.command(&[b"XSETID", name, &last_id])?,
    }
    stream
        .groups()
        .try_for_each(|group| write_group(out, name, &group))
}

fn write_group<W: Write>(out: &mut Commands<W>, name: &[u8], group: &Group<'_>) -> io::Result<()> {
    let last_id = text(group.last_id());
    let create: [&[u8]; 5] = [b"XGROUP", b"CREATE", name, group.name(), &last_id];
    match group.entries_read() {
        Some(read) => {
            let read = read.to_string();
            out.command(&[&create[..], &[b"ENTRIESREAD", read.as_bytes()]].concat())?;
        }
        None => out.command(&create)?,
    }
    for consumer in group.consumers() {
        // Servers before 6.2 know no command for this: there, a consumer exists once it has asked for something.
        match group.entries_read() {
            Some(_) => out.command(&[
                b"XGROUP",
                b"CREATECONSUMER",
                name,
                group.name(),
                consumer.name,
            ])?,
            None => {
                let ask: [&[u8]; 4] = [b"XREADGROUP", b"GROUP", group.name(), consumer.name];
                out.command(&[&ask[..], &[b"STREAMS", name, b"0"]].concat())?;
            }
        }
    }
    for pending in group.pending() {
        // An entry that was taken from its consumer cannot be created by a command.
        let Some(consumer) = pending.consumer else {
            continue;
        };
        let (id, at) = (text(pending.id), pending.delivered_at_ms.to_string());
        let count = pending.deliveries.to_string();
        let claim: [&[u8]; 6] = [b"XCLAIM", name, group.name(), consumer, b"0", &id];
        let how: [&[u8]; 6] = [
            b"TIME",
            at.as_bytes(),
            b"RETRYCOUNT",
            count.as_bytes(),
            b"JUSTID",
            b"FORCE",
        ];
        out.command(&[&claim[..], &how].concat())?;
    }
    Ok(())
}

fn text(id: StreamId) -> Vec<u8> {
    format!("{}-{}", id.ms, id.seq).into_bytes()
}

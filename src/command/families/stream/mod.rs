//! The stream commands.

use crate::command::rows::work::counted;
use crate::command::rows::{Arity, Command, Error, Family, Flags, Form, Keys, SessionFn, help};
use crate::rdb::listpack::Item;
use crate::rdb::stream::StreamId;
use crate::resp::{Args, Reply};
use crate::store::View;
use crate::value::{Entry, Stream};

mod apply;
mod groups;
mod id;
mod idempotent;
mod info;
mod read;
mod wait;

pub(crate) use id::{after, before};
pub use wait::answer as answer_wait;

/// This file's rows.
pub(crate) const FAMILY: Family = Family {
    group: "stream",
    commands: &[
        one_key("xlen", Arity::exactly(2))
            .read(xlen)
            .flags(Flags::FAST)
            .about("5.0.0", "Counts the entries of a stream."),
        one_key("xrange", Arity::at_least(4))
            .read(read::xrange)
            .work(counted)
            .about("5.0.0", "Returns entries by id."),
        one_key("xrevrange", Arity::at_least(4))
            .read(read::xrevrange)
            .work(counted)
            .about("5.0.0", "Returns entries by descending id."),
        Command::new("xread", Arity::at_least(4), STREAMS)
            .read(read::xread)
            .flags(Flags::BLOCKING)
            .about(
                "5.0.0",
                "Returns the entries of several streams above given ids.",
            )
            .forms(&[Form::new("MAXCOUNT", "8.10.0"), Form::new("MAXSIZE", "8.10.0")])
            .difference("On Redis 8.10, MAXSIZE that the name of a further stream reaches is an error, because what a server returns then is not documented."),
        one_key("xpending", Arity::at_least(3))
            .read(info::xpending)
            .about(
                "5.0.0",
                "Returns the entries that a consumer group has not acknowledged.",
            ),
        Command::container("xinfo", XINFO)
            .about("5.0.0", "Describes streams, consumer groups and consumers."),
        one_key("xadd", Arity::at_least(5))
            .apply(apply::xadd)
            .flags(Flags::FAST.and(Flags::DENYOOM))
            .about("5.0.0", "Appends an entry.")
            .forms(&[REFERENCES, Form::new("IDMP, IDMPAUTO", "8.6.0")]),
        one_key("xdel", Arity::at_least(3))
            .apply(apply::xdel)
            .flags(Flags::FAST)
            .about("5.0.0", "Deletes entries."),
        one_key("xtrim", Arity::at_least(4))
            .apply(apply::xtrim)
            .about("5.0.0", "Drops the oldest entries.")
            .forms(&[REFERENCES])
            .arity_before("6.2.0", Arity::at_least(2)),
        one_key("xsetid", Arity::at_least(3))
            .apply(apply::xsetid)
            .quiet()
            .flags(Flags::FAST.and(Flags::DENYOOM))
            .about("5.0.0", "Sets the last id of a stream.")
            .arity_before("7.0.0", Arity::exactly(3)),
        one_key("xack", Arity::at_least(4))
            .apply(groups::xack)
            .quiet()
            .flags(Flags::FAST)
            .about("5.0.0", "Acknowledges entries."),
        one_key("xclaim", Arity::at_least(6))
            .apply(groups::xclaim)
            .quiet()
            .flags(Flags::FAST)
            .about("5.0.0", "Changes the owner of pending entries."),
        one_key("xautoclaim", Arity::at_least(6))
            .write()
            .flags(Flags::FAST)
            .about(
                "6.2.0",
                "Changes the owner of entries that have been pending for a long time.",
            ),
        one_key("xdelex", Arity::at_least(5))
            .apply(apply::xdelex)
            .flags(Flags::FAST)
            .about("8.2.0", "Deletes entries and their references in groups."),
        one_key("xackdel", Arity::at_least(6))
            .apply(apply::xackdel)
            .quiet()
            .flags(Flags::FAST)
            .about("8.2.0", "Acknowledges and deletes entries."),
        one_key("xnack", Arity::at_least(7))
            .apply(groups::xnack)
            .quiet()
            .flags(Flags::FAST)
            .about(
                "8.8.0",
                "Takes pending entries from their consumers, so that any may claim them.",
            ),
        one_key("xcfgset", Arity::at_least(2))
            .apply(idempotent::xcfgset)
            .quiet()
            .flags(Flags::FAST)
            .about(
                "8.6.0",
                "Sets for how long, and how many, ids of idempotent producers are known.",
            ),
        one_key("xidmprecord", Arity::exactly(5))
            .apply(idempotent::xidmprecord)
            .quiet()
            .flags(Flags::FAST.and(Flags::DENYOOM))
            .about(
                "8.6.2",
                "Notes that an idempotent producer has added an entry.",
            ),
        Command::new("xreadgroup", Arity::at_least(7), STREAMS)
            .write()
            .flags(Flags::BLOCKING)
            .about("5.0.0", "Delivers entries to a consumer."),
        Command::container("xgroup", XGROUP).about("5.0.0", "Changes consumer groups."),
    ],
};

/// What XADD and XTRIM do with references to the entries that they drop.
const REFERENCES: Form = Form::new("KEEPREF, DELREF, ACKED", "8.2.0");

/// Returns the row that lists a container's subcommands.
const fn help_row(handler: SessionFn) -> Command {
    Command::new("help", Arity::exactly(2), Keys::None)
        .session(handler)
        .flags(Flags::LOADING.and(Flags::STALE))
        .about("5.0.0", "Lists the subcommands.")
}

const XINFO: &[Command] = &[
    help_row(|cx, _| help(cx, "XINFO", XINFO)),
    Command::new("stream", Arity::at_least(3), SECOND)
        .read(info::stream)
        .about("5.0.0", "Describes a stream.")
        .difference("On Redis 8.6 and later, a stream that was created since the last sync has the default `idmp-duration` and `idmp-maxsize`, because the primary's settings are not replicated; and ids of producers disappear by the replica's clock."),
    Command::new("groups", Arity::exactly(3), SECOND)
        .read(info::groups)
        .about("5.0.0", "Returns the consumer groups of a stream.")
        .difference("On Redis 7.0, `entries-read` is that of a replica that synced when redtail did, because the replication stream does not carry it."),
    Command::new("consumers", Arity::exactly(4), SECOND)
        .read(info::consumers)
        .about("5.0.0", "Returns the consumers of a group."),
];

const XGROUP: &[Command] = &[
    help_row(|cx, _| help(cx, "XGROUP", XGROUP)),
    Command::new("create", Arity::at_least(5), SECOND)
        .apply(groups::create)
        .quiet()
        .flags(Flags::DENYOOM)
        .about("5.0.0", "Creates a consumer group."),
    Command::new("setid", Arity::at_least(5), SECOND)
        .apply(groups::setid)
        .quiet()
        .about("5.0.0", "Sets the last id that was delivered to a group."),
    Command::new("destroy", Arity::exactly(4), SECOND)
        .apply(groups::destroy)
        .quiet()
        .about("5.0.0", "Drops a consumer group."),
    Command::new("createconsumer", Arity::exactly(5), SECOND)
        .apply(groups::createconsumer)
        .quiet()
        .flags(Flags::DENYOOM)
        .about("6.2.0", "Creates a consumer."),
    Command::new("delconsumer", Arity::exactly(5), SECOND)
        .apply(groups::delconsumer)
        .quiet()
        .about("5.0.0", "Drops a consumer."),
];

const SECOND: Keys = Keys::Range {
    first: 2,
    last: 2,
    step: 1,
};

/// The first half of the words after STREAMS.
const STREAMS: Keys = Keys::Found {
    first: 0,
    find: |args, visit| {
        if let Some(first) = streams_at(args) {
            (first..first + (args.len() - first) / 2).for_each(visit);
        }
    },
};

/// Returns the index of the word after STREAMS. Source: redis 7.0 db.c, `xreadGetKeys`.
fn streams_at(args: Args<'_>) -> Option<usize> {
    let mut index = 1;
    while index < args.len() {
        if args.is(index, "streams") {
            return Some(index + 1);
        }
        index += match args.at(index).to_ascii_lowercase().as_slice() {
            b"block" | b"count" | b"maxcount" | b"maxsize" => 2,
            b"group" => 3,
            b"noack" => 1,
            _ => return None,
        };
    }
    None
}

const fn one_key(name: &'static str, arity: Arity) -> Command {
    Command::new(name, arity, Keys::first())
}

fn xlen(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let stream = view.collection::<Stream>(args.at(1))?;
    reply.integer(length_shown(stream.map_or(0, Stream::len)));
    Ok(())
}

/// Returns a stream's length as servers show it: a damaged snapshot may state a length that they show as negative.
/// Source: redis 7.0 t_stream.c, `xlenCommand`.
fn length_shown(length: usize) -> i64 {
    i64::from_ne_bytes((length as u64).to_ne_bytes())
}

fn bulk_id(reply: &mut Reply, id: StreamId) {
    let mut text = [0_u8; 41];
    let mut rest = text.as_mut_slice();
    // Two numbers of twenty digits fit.
    let _ = std::io::Write::write_fmt(&mut rest, format_args!("{id}"));
    let written = 41 - rest.len();
    reply.bulk(text.get(..written).unwrap_or_default());
}

fn bulk_item(reply: &mut Reply, item: Item<'_>) {
    match item {
        Item::Str(text) => reply.bulk(text),
        Item::Int(number) => reply.bulk_integer(number),
    }
}

/// Writes an entry: its id, then fields and values, flat.
fn entry(reply: &mut Reply, entry: &Entry<'_>) {
    reply.array(2);
    bulk_id(reply, entry.id);
    reply.array(entry.fields * 2);
    for (field, value) in entry.pairs() {
        bulk_item(reply, field);
        bulk_item(reply, value);
    }
}

/// Writes at most `count` entries, as an array.
fn entries<'a>(reply: &mut Reply, count: Option<usize>, walk: impl Iterator<Item = Entry<'a>>) {
    reply.array_of(|reply| {
        walk.take(count.unwrap_or(usize::MAX))
            .map(|one| entry(reply, &one))
            .count()
    });
}

#[cfg(test)]
mod tests;

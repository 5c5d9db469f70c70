//! SUBSCRIBE and its kin, PUBSUB and PUBLISH.
//!
//! A subscriber gets what the primary publishes, in order with the data: a client that got a message reads all
//! writes before it.
//! What a client publishes here stays here, as on a read-only replica. In a cluster, `rows::bus` says where messages come from.
//!
//! Source: redis 6.0, 7.0 and 8.0 pubsub.c, and the replies of five servers.

use std::sync::Arc;

use crate::command::rows::error::OUT_OF_MEMORY;
use crate::command::rows::pubsub::{Kind, Message, Name, Subscriptions};
use crate::command::rows::{
    ALWAYS, Arity, CROSS_SLOT, Command, Error, Face, Family, Flags, InCluster, Keys, Replies,
    SessionCx, SessionFn, help,
};
use crate::resp::{Args, Reply};
use crate::slots::cluster_slot;
use crate::store::Moving;

const HELP: Flags = Flags::LOADING.and(Flags::STALE);
const MESSAGES: Flags = HELP.and(Flags::PUBSUB);
const SUBSCRIBES: Flags = ALWAYS.and(Flags::PUBSUB);

const OWN_LIMITS: &str = "What waits for a subscriber and many subscriptions count towards `--clients-memory`; if there is no room, \
     the command answers OOM.";
const LOCAL: &str = "Reaches the clients of this redtail only, as on a read-only replica; it is not sent to the primary.";

/// A server of a cluster would send the message to all others.
const NOT_PUBLISHED: Error = Error::Text(
    "ERR redtail publishes nothing in a cluster that it follows; publish at one of its servers",
);

/// This file's rows.
pub(crate) const FAMILY: Family = Family {
    group: "pubsub",
    commands: &[
        row("subscribe", Arity::at_least(2), SUBSCRIBES, |cx, args| {
            subscribe(cx, args, Kind::Channel)
        })
        .about("2.0.0", "Subscribes to channels.")
        .difference(OWN_LIMITS),
        row("unsubscribe", Arity::at_least(1), SUBSCRIBES, |cx, args| {
            unsubscribe(cx, args, Kind::Channel)
        })
        .about("2.0.0", "Ends subscriptions to channels."),
        row("psubscribe", Arity::at_least(2), SUBSCRIBES, |cx, args| {
            subscribe(cx, args, Kind::Pattern)
        })
        .about("2.0.0", "Subscribes to all channels that match patterns.")
        .difference(OWN_LIMITS),
        row(
            "punsubscribe",
            Arity::at_least(1),
            SUBSCRIBES,
            |cx, args| unsubscribe(cx, args, Kind::Pattern),
        )
        .about("2.0.0", "Ends subscriptions to patterns."),
        row("ssubscribe", Arity::at_least(2), SUBSCRIBES, |cx, args| {
            subscribe(cx, args, Kind::Shard)
        })
        .about("7.0.0", "Subscribes to shard channels.")
        .difference(OWN_LIMITS),
        row(
            "sunsubscribe",
            Arity::at_least(1),
            SUBSCRIBES,
            |cx, args| unsubscribe(cx, args, Kind::Shard),
        )
        .about("7.0.0", "Ends subscriptions to shard channels."),
        row(
            "publish",
            Arity::exactly(3),
            MESSAGES.and(Flags::FAST),
            |cx, args| publish(cx, args, false),
        )
        .about(
            "2.0.0",
            "Sends a message to the subscribers of this replica.",
        )
        .difference(LOCAL),
        Command::new("spublish", Arity::exactly(3), Keys::first())
            .session(|cx, args| publish(cx, args, true))
            .flags(MESSAGES.and(Flags::FAST))
            .about(
                "7.0.0",
                "Sends a message to the subscribers of a shard channel of this replica.",
            )
            .difference(LOCAL),
        Command::container("pubsub", PUBSUB).about("2.8.0", "Inspects channels."),
    ],
};

const PUBSUB: &[Command] = &[
    row("channels", Arity::at_least(2), MESSAGES, |cx, args| {
        channels(cx, args, false)
    })
    .about("2.8.0", "Lists the channels that have subscribers."),
    row("numsub", Arity::at_least(2), MESSAGES, |cx, args| {
        numsub(cx, args, false)
    })
    .about("2.8.0", "Counts the subscribers of channels."),
    row("numpat", Arity::exactly(2), MESSAGES, numpat)
        .about("2.8.0", "Counts the patterns that have subscribers."),
    row("shardchannels", Arity::at_least(2), MESSAGES, |cx, args| {
        channels(cx, args, true)
    })
    .about("7.0.0", "Lists the shard channels that have subscribers."),
    row("shardnumsub", Arity::at_least(2), MESSAGES, |cx, args| {
        numsub(cx, args, true)
    })
    .about("7.0.0", "Counts the subscribers of shard channels."),
    row("help", Arity::exactly(2), HELP, |cx, _| {
        help(cx, "PUBSUB", PUBSUB)
    })
    .about("6.2.0", "Lists the subcommands."),
];

const fn row(name: &'static str, arity: Arity, flags: Flags, handler: SessionFn) -> Command {
    Command::new(name, arity, Keys::None)
        .session(handler)
        .flags(flags)
}

/// The words of the replies to subscribing and to unsubscribing.
const fn words(kind: Kind) -> [&'static [u8]; 2] {
    match kind {
        Kind::Channel => [b"subscribe", b"unsubscribe"],
        Kind::Pattern => [b"psubscribe", b"punsubscribe"],
        Kind::Shard => [b"ssubscribe", b"sunsubscribe"],
    }
}

/// The number that the reply shows: servers count shard channels alone.
fn shown_count(subscriptions: &Subscriptions, kind: Kind) -> usize {
    match kind {
        Kind::Shard => subscriptions.count(Kind::Shard),
        _ => subscriptions.count(Kind::Channel) + subscriptions.count(Kind::Pattern),
    }
}

fn confirm(reply: &mut Reply, word: &[u8], name: Option<&[u8]>, count: usize) {
    reply.push(3);
    reply.bulk(word);
    reply.bulk_or_null(name);
    reply.count(count);
}

/// In a cluster, makes sure that the messages come.
fn hear(cluster: &InCluster<'_>, kind: Kind, names: Args<'_>) -> Result<(), Error> {
    if kind == Kind::Shard && cluster.shards.face == Face::Cluster {
        let mut slots = names.iter().map(cluster_slot);
        let first = slots.next();
        if slots.any(|slot| Some(slot) != first) {
            return Err(CROSS_SLOT);
        }
    }
    match cluster.shards.bus.ask(kind, names.iter()) {
        true => Ok(()),
        false => Err(Moving.into()),
    }
}

fn subscribe(cx: &mut SessionCx<'_>, args: Args<'_>, kind: Kind) -> Result<(), Error> {
    if let Some(cluster) = cx.cluster {
        hear(cluster, kind, args.from(1))?;
    }
    let inbox = cx.inbox();
    let pubsub = Arc::clone(cx.host.pubsub());
    let new = || Box::new(Subscriptions::new(pubsub, inbox));
    let mut subscriptions = cx.session.subscriptions.take().unwrap_or_else(new);
    let names = args.from(1);
    if !subscriptions.reserve(names.iter()) {
        cx.session.subscriptions = Some(subscriptions).filter(|held| !held.is_empty());
        cx.host.relieve(cx.session.client.account.held());
        return Err(OUT_OF_MEMORY);
    }
    let ([word, _], reply) = (words(kind), &mut *cx.reply);
    subscriptions.add(kind, names.iter(), |held, name| {
        confirm(reply, word, Some(name), shown_count(held, kind));
    });
    cx.session.subscriptions = Some(subscriptions);
    keep_pushes(cx);
    cx.host.hear();
    Ok(())
}

/// CLIENT REPLY does not suppress what was written, unless the server is old.
fn keep_pushes(cx: &mut SessionCx<'_>) {
    if cx.session.replies != Replies::On && cx.reply.dialect().pushes_in_silence() {
        cx.session.kept = cx.reply.len();
    }
}

fn unsubscribe(cx: &mut SessionCx<'_>, args: Args<'_>, kind: Kind) -> Result<(), Error> {
    let held = cx.session.subscriptions.as_deref_mut();
    let names: Vec<Name> = match args.len() {
        1 => held
            .iter()
            .flat_map(|held| held.names(kind))
            .cloned()
            .collect(),
        _ => args.from(1).iter().map(Name::from).collect(),
    };
    let mut ended: Vec<(Name, usize)> = Vec::new();
    match held {
        Some(held) => {
            for name in names {
                held.remove(kind, &name);
                ended.push((name, shown_count(held, kind)));
            }
            if held.is_empty() {
                cx.session.subscriptions = None;
            }
        }
        None => ended.extend(names.into_iter().map(|name| (name, 0))),
    }
    // What came while the client was subscribed goes out before the reply says that it no longer is.
    cx.flush_inbox();
    let [_, word] = words(kind);
    if ended.is_empty() {
        let held = cx.session.subscriptions.as_deref();
        let count = held.map_or(0, |held| shown_count(held, kind));
        confirm(cx.reply, word, None, count);
    }
    for (name, count) in ended {
        confirm(cx.reply, word, Some(&name), count);
    }
    keep_pushes(cx);
    Ok(())
}

fn publish(cx: &mut SessionCx<'_>, args: Args<'_>, sharded: bool) -> Result<(), Error> {
    if let Some(cluster) = cx.cluster {
        return Err(match cluster.shards.face {
            Face::Cluster if sharded => cluster.map.moved(cluster_slot(args.at(1))),
            _ => NOT_PUBLISHED,
        });
    }
    let message = Message {
        channel: args.at(1),
        payload: args.at(2),
        sharded,
    };
    let (pubsub, dialect) = (cx.host.pubsub(), cx.reply.dialect());
    if let Some(outbox) = &mut cx.session.outbox {
        if !outbox.add(message) {
            return Err(OUT_OF_MEMORY);
        }
        cx.reply.count(pubsub.receivers(message, dialect));
        return Ok(());
    }
    let received = pubsub.publish(message, dialect);
    if cx.session.is_subscriber() && !cx.reply.dialect().replies_before_own_pushes() {
        cx.flush_inbox();
    }
    cx.reply.count(received);
    Ok(())
}

fn channels(cx: &mut SessionCx<'_>, args: Args<'_>, is_shard: bool) -> Result<(), Error> {
    let dialect = cx.reply.dialect();
    if args.len() > 3 {
        let text = if dialect.has_subcommand_rows() {
            "ERR unknown subcommand or wrong number of arguments for '{}'. Try PUBSUB HELP."
        } else {
            "ERR Unknown subcommand or wrong number of arguments for '{}'. Try PUBSUB HELP."
        };
        return Err(Error::quoting(text, &[args.at(1)]));
    }
    let found = cx.host.pubsub().channels(args.get(2), is_shard, dialect);
    cx.reply.array(found.len());
    for name in found {
        cx.reply.bulk(&name);
    }
    Ok(())
}

fn numsub(cx: &mut SessionCx<'_>, args: Args<'_>, is_shard: bool) -> Result<(), Error> {
    let channels = args.from(2);
    cx.reply.array(channels.len() * 2);
    for channel in channels.iter() {
        cx.reply.bulk(channel);
        cx.reply
            .count(cx.host.pubsub().subscribers(channel, is_shard));
    }
    Ok(())
}

fn numpat(cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    let [_, patterns, _] = cx.host.pubsub().counts();
    cx.reply.count(patterns);
    Ok(())
}

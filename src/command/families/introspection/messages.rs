//! PUBLISH and PUBSUB, answered as a server without subscribers answers them.

use super::{HELP, nothing, row, zero};
use crate::command::rows::{Arity, Command, Error, Family, Flags, Keys, SessionCx, help};
use crate::resp::Args;

const MESSAGES: Flags = HELP.and(Flags::PUBSUB);

const NOBODY: &str =
    "No client receives the message: redtail carries none, and refuses SUBSCRIBE with that reason.";

/// This file's rows.
pub(crate) const FAMILY: Family = Family {
    group: "pubsub",
    commands: &[
        row(
            "publish",
            Arity::exactly(3),
            MESSAGES.and(Flags::FAST),
            zero,
        )
        .about("2.0.0", "Returns 0: no client can receive a message.")
        .difference(NOBODY),
        Command::new("spublish", Arity::exactly(3), Keys::first())
            .session(zero)
            .flags(MESSAGES.and(Flags::FAST))
            .about("7.0.0", "Returns 0: no client can receive a message.")
            .difference(NOBODY),
        Command::container("pubsub", PUBSUB).about("2.8.0", "Inspects channels."),
    ],
};

const PUBSUB: &[Command] = &[
    row("channels", Arity::at_least(2), MESSAGES, nothing).about("2.8.0", "Returns nothing."),
    row("numsub", Arity::at_least(2), MESSAGES, numsub)
        .about("2.8.0", "Returns 0 for each channel."),
    row("numpat", Arity::exactly(2), MESSAGES, zero).about("2.8.0", "Returns 0."),
    row("shardchannels", Arity::at_least(2), MESSAGES, nothing).about("7.0.0", "Returns nothing."),
    row("shardnumsub", Arity::at_least(2), MESSAGES, numsub)
        .about("7.0.0", "Returns 0 for each channel."),
    row("help", Arity::exactly(2), HELP, |cx, _| {
        help(cx, "PUBSUB", PUBSUB)
    })
    .about("6.2.0", "Lists the subcommands."),
];

fn numsub(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    let channels = args.from(2);
    cx.reply.array(channels.len() * 2);
    for channel in channels.iter() {
        cx.reply.bulk(channel);
        cx.reply.integer(0);
    }
    Ok(())
}

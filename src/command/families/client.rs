//! CLIENT.
//!
//! Source of the texts: redis 7.0 networking.c, `clientCommand`, and 7.2 for SETINFO.

use std::sync::Arc;

use super::tracking::{caching, getredir, tracking, trackinginfo};
use crate::command::rows::client::{Client, Unblock};
use crate::command::rows::error::c_string;
use crate::command::rows::output_limits::Class;
use crate::command::rows::{ALWAYS, Arity, Command, Error, Flags, Keys, Replies, SessionCx, help};
use crate::dialect::Dialect;
use crate::resp::{Args, parse_integer};

/// The subcommands.
pub(crate) const CLIENT: &[Command] = &[
    row("id", Arity::exactly(2), id).about("5.0.0", "Returns the connection's id."),
    row("info", Arity::exactly(2), info).about("6.2.0", "Describes this connection."),
    row("list", Arity::at_least(2), list)
        .flags(Flags::ADMIN)
        .about("2.4.0", "Describes the connections.")
        .difference("Does not list the link to the upstream. Memory that redtail does not count per connection is 0."),
    row("setname", Arity::exactly(3), set_name).about("2.6.9", "Names this connection."),
    row("getname", Arity::exactly(2), name).about("2.6.9", "Returns this connection's name."),
    row("setinfo", Arity::exactly(4), set_info).about("7.2.0", "Sets the name or version of the client library."),
    row("reply", Arity::exactly(3), reply).about("3.2.0", "Turns replies on and off."),
    row("no-evict", Arity::exactly(3), no_evict)
        .flags(Flags::ADMIN)
        .about("7.0.0", "Accepted; nothing is evicted."),
    row("no-touch", Arity::exactly(3), no_touch).about(
        "7.2.0",
        "Keeps this connection's reads from updating access times.",
    ),
    row("kill", Arity::at_least(3), kill)
        .flags(Flags::ADMIN)
        .about("2.4.0", "Closes connections."),
    row("tracking", Arity::at_least(3), tracking)
        .about(
            "6.0.0",
            "Makes redtail say which keys change that this client may have cached.",
        )
        .difference("Also makes clients forget everything when databases change places, when keys become unknown, and in place of what cannot be told key by key. A script's reads count with the keys that they name, as since Redis 7.4. No client writes here, so NOLOOP changes nothing."),
    row("trackinginfo", Arity::exactly(2), trackinginfo)
        .about("6.2.0", "Describes what is tracked for this connection."),
    row("caching", Arity::exactly(3), caching).about("6.0.0", "Says whether the keys of the next command are tracked."),
    row("pause", Arity::at_least(3), pause)
        .flags(Flags::ADMIN)
        .about("3.0.0", "Refused: redtail does not stop for its clients.")
        .difference(
            "An error: redtail takes no part in a failover, so pausing it would not help one.",
        ),
    row("unpause", Arity::exactly(2), unpause)
        .flags(Flags::ADMIN)
        .about("6.2.0", "Does nothing, because nothing is paused."),
    row("unblock", Arity::at_least(3), unblock)
        .flags(Flags::ADMIN)
        .about("5.0.0", "Ends the wait of another connection's blocked command."),
    row("capa", Arity::at_least(3), unpause)
        .about("8.0.0", "Accepted; redtail redirects no client.")
        .valkey_only(),
    row("import-source", Arity::exactly(3), import_source)
        .about("8.1.0", "Refused: nothing is imported.")
        .valkey_only(),
    row("getredir", Arity::exactly(2), getredir).about("6.0.0", "Returns the client that gets this connection's invalidations."),
    Command::new("help", Arity::exactly(2), Keys::None)
        .session(|cx, _| help(cx, "CLIENT", CLIENT))
        .flags(Flags::LOADING.and(Flags::STALE))
        .about("5.0.0", "Lists the subcommands."),
];

const fn row(
    name: &'static str,
    arity: Arity,
    handler: crate::command::rows::command::SessionFn,
) -> Command {
    Command::new(name, arity, Keys::None)
        .session(handler)
        .flags(ALWAYS)
}

fn id(cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    cx.reply
        .integer(i64::try_from(cx.session.client.id).unwrap_or(i64::MAX));
    Ok(())
}

fn pause(_cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    let milliseconds = parse_integer(args.at(2));
    let known = args.len() == 3 || args.is(3, "write") || args.is(3, "all");
    Err(match milliseconds {
        _ if !known || args.len() > 4 => Error::Text("ERR CLIENT PAUSE mode must be WRITE or ALL"),
        None => Error::Text("ERR timeout is not an integer or out of range"),
        Some(..0) => Error::Text("ERR timeout is negative"),
        Some(_) => Error::Text("ERR not supported: redtail does not pause"),
    })
}

fn unpause(cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    cx.reply.ok();
    Ok(())
}

fn import_source(_cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    Err(Error::Text("ERR Server is not in import mode"))
}

fn info(cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    cx.publish();
    let line = cx.session.client.line(cx.reply.dialect()) + "\n";
    cx.reply.verbatim("txt", line.as_bytes());
    Ok(())
}

fn list(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    let chosen = if args.len() == 2 {
        cx.host.clients()
    } else if args.is(2, "type") && args.len() == 4 {
        of_type(cx, args.at(3))?
    } else if args.is(2, "id") && args.len() > 3 && cx.reply.dialect().lists_clients_by_id() {
        of_ids(cx, args.from(3))?
    } else {
        return Err(Error::Syntax);
    };
    cx.publish();
    let dialect = cx.reply.dialect();
    let mut text = String::new();
    for client in chosen {
        text.push_str(&client.line(dialect));
        text.push('\n');
    }
    cx.reply.verbatim("txt", text.as_bytes());
    Ok(())
}

/// Returns the connections of a type.
fn of_type(cx: &SessionCx<'_>, name: &[u8]) -> Result<Vec<Arc<Client>>, Error> {
    match name.to_ascii_lowercase().as_slice() {
        b"normal" => Ok(of_class(cx, Class::Normal)),
        b"pubsub" => Ok(of_class(cx, Class::Pubsub)),
        b"master" | b"replica" | b"slave" => Ok(Vec::new()),
        _ => Err(Error::quoting("ERR Unknown client type '{}'", &[name])),
    }
}

fn of_class(cx: &SessionCx<'_>, class: Class) -> Vec<Arc<Client>> {
    let mut clients = cx.host.clients();
    clients.retain(|client| client.class() == class);
    clients
}

fn of_ids(cx: &SessionCx<'_>, words: Args<'_>) -> Result<Vec<Arc<Client>>, Error> {
    let clients = cx.host.clients();
    let mut chosen = Vec::new();
    for word in words.iter() {
        let [_, no_id] = cx.reply.dialect().client_id_errors();
        let refuses_zero = cx.reply.dialect().refuses_client_zero();
        let id = client_id(word, no_id, refuses_zero)?;
        let found = clients.binary_search_by_key(&id, |client| client.id);
        chosen.extend(found.ok().and_then(|at| clients.get(at)).cloned());
    }
    Ok(chosen)
}

/// Parses a client id. A negative number becomes `u64::MAX`, which no client has, because 0 selects all clients in an old
/// CLIENT KILL.
fn client_id(word: &[u8], no_number: &'static str, refuses_zero: bool) -> Result<u64, Error> {
    let number = parse_integer(word).ok_or(Error::Text(no_number))?;
    if number <= 0 && refuses_zero {
        return Err(Error::Text("ERR client-id should be greater than 0"));
    }
    Ok(u64::try_from(number).unwrap_or(u64::MAX))
}

/// Checks a text for a line of CLIENT LIST, and returns it up to the first zero byte, where that line cuts it. Servers
/// that read past that byte require the whole text to be free of special characters.
/// Source: redis 7.2 networking.c, `validateClientAttr`; redis 7.0 networking.c, `clientSetName`.
fn attribute<'a>(text: &'a [u8], what: &[u8], dialect: Dialect) -> Result<&'a [u8], Error> {
    let shown = c_string(text, usize::MAX);
    let checked = if dialect.has_names_behind_zero() {
        shown
    } else {
        text
    };
    if checked.iter().all(u8::is_ascii_graphic) {
        return Ok(shown);
    }
    let end: &[u8] = b" cannot contain spaces, newlines or special characters.";
    Err(Error::Quoting([b"ERR ", what, end].concat()))
}

/// Returns a client's name.
///
/// # Errors
/// The server's error reply if the name contains blanks or special characters.
pub(crate) fn client_name(text: &[u8], dialect: Dialect) -> Result<Vec<u8>, Error> {
    attribute(text, b"Client names", dialect)?;
    Ok(text.to_vec())
}

fn set_name(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    cx.session.client.shown().name = client_name(args.at(2), cx.reply.dialect())?;
    cx.reply.ok();
    Ok(())
}

fn name(cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    let name = cx.session.client.shown().name.clone();
    cx.reply
        .bulk_or_null(Some(name.as_slice()).filter(|name| !name.is_empty()));
    Ok(())
}

fn set_info(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    let option = c_string(args.at(2), usize::MAX);
    let is_name = option.eq_ignore_ascii_case(b"lib-name");
    if !is_name && !option.eq_ignore_ascii_case(b"lib-ver") {
        return Err(Error::Quoting(
            [b"ERR Unrecognized option '", option, b"'"].concat(),
        ));
    }
    let text = attribute(args.at(3), option, cx.reply.dialect())?;
    let text = String::from_utf8_lossy(text).into_owned();
    let mut shown = cx.session.client.shown();
    if is_name {
        shown.lib_name = text;
    } else {
        shown.lib_version = text;
    }
    cx.reply.ok();
    Ok(())
}

fn reply(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    if args.is(2, "on") {
        cx.session.replies = Replies::On;
        cx.reply.ok();
    } else if args.is(2, "off") {
        cx.session.replies = Replies::Off;
    } else if !args.is(2, "skip") {
        return Err(Error::Syntax);
    } else if cx.session.replies != Replies::Off {
        cx.session.replies = Replies::SkipNext;
    }
    Ok(())
}

fn on_or_off(word: Args<'_>) -> Result<bool, Error> {
    match (word.is(2, "on"), word.is(2, "off")) {
        (true, _) => Ok(true),
        (_, true) => Ok(false),
        _ => Err(Error::Syntax),
    }
}

fn no_evict(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    cx.session.client.shown().no_evict = on_or_off(args)?;
    cx.reply.ok();
    Ok(())
}

fn no_touch(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    let no_touch = on_or_off(args)?;
    cx.session.touches = !no_touch;
    cx.session.client.shown().no_touch = no_touch;
    cx.reply.ok();
    Ok(())
}

fn kill(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    if args.len() == 3 {
        let address = String::from_utf8_lossy(args.at(2));
        let clients = cx.host.clients();
        let found = clients.iter().find(|client| client.address == address);
        found
            .ok_or(Error::Text("ERR No such client"))?
            .close
            .cancel();
        cx.reply.ok();
        return Ok(());
    }
    let (clients, skip_me) = filtered(cx, args)?;
    let own = cx.session.client.id;
    let doomed = clients
        .iter()
        .filter(|client| !(skip_me && client.id == own));
    let count = doomed.map(|client| client.close.cancel()).count();
    cx.reply.count(count);
    Ok(())
}

fn unblock(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    let how = match args.len() {
        3 => Unblock::TimedOut,
        4 if args.is(3, "timeout") => Unblock::TimedOut,
        4 if args.is(3, "error") => Unblock::Failed,
        4 => {
            return Err(Error::Text(
                "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR",
            ));
        }
        _ => return Err(Error::Syntax),
    };
    let id = parse_integer(args.at(2)).ok_or(Error::NotInteger)?;
    let clients = cx.host.clients();
    let target = clients
        .iter()
        .find(|client| i64::try_from(client.id) == Ok(id));
    let ended = target.is_some_and(|client| client.unblock(how));
    cx.reply.integer(i64::from(ended));
    Ok(())
}

/// The connections that match all filters, and whether to spare this one.
fn filtered(cx: &SessionCx<'_>, args: Args<'_>) -> Result<(Vec<Arc<Client>>, bool), Error> {
    if args.len() % 2 == 1 {
        return Err(Error::Syntax);
    }
    let (mut clients, mut skip_me) = (cx.host.clients(), true);
    for at in (2..args.len()).step_by(2) {
        let text = String::from_utf8_lossy(args.at(at + 1));
        match args.at(at).to_ascii_lowercase().as_slice() {
            b"id" => {
                let [no_id, _] = cx.reply.dialect().client_id_errors();
                let refuses_zero = cx.reply.dialect().refuses_to_kill_client_zero();
                let id = client_id(args.at(at + 1), no_id, refuses_zero)?;
                clients.retain(|client| client.id == id || id == 0);
            }
            b"addr" => clients.retain(|client| client.address == text),
            b"laddr" if cx.reply.dialect().shows_client_field("laddr") => {
                clients.retain(|client| client.local_address == text);
            }
            b"type" => {
                let of_type = of_type(cx, args.at(at + 1))?;
                clients.retain(|client| of_type.iter().any(|other| other.id == client.id));
            }
            b"user" if cx.host.users().has(args.at(at + 1)) => {
                clients.retain(|client| client.shown().user() == args.at(at + 1));
            }
            b"user" => return Err(Error::quoting("ERR No such user '{}'", &[args.at(at + 1)])),
            b"skipme" if text.eq_ignore_ascii_case("yes") => skip_me = true,
            b"skipme" if text.eq_ignore_ascii_case("no") => skip_me = false,
            _ => return Err(Error::Syntax),
        }
    }
    Ok((clients, skip_me))
}

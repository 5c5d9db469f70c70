//! COMMAND: the table of commands, shown to clients.
//!
//! Everything is derived from the rows. Source of the shapes: redis 7.0 server.c, `addReplyCommandInfo`.

use super::super::client_commands::help;
use super::super::glob::Glob;
use super::super::keys::Keys;
use super::super::session::SessionCx;
use super::super::table::{Arity, Command, Flags, all, lookup};
use super::super::{Error, resolve};
use super::{HELP, row};
use crate::resp::{Args, Reply};

const SHOWN: Flags = Flags::LOADING.and(Flags::STALE);

/// COMMAND itself: alone it shows the whole table.
pub(super) const COMMAND: Command = {
    let mut command = Command::container("command", SUBCOMMANDS)
        .session(whole)
        .flags(SHOWN)
        .about("2.8.13", "Shows the table of commands.");
    command.arity = Arity::at_least(1);
    command
};

const SUBCOMMANDS: &[Command] = &[
    row("count", Arity::exactly(2), SHOWN, count).about("2.8.13", "Counts the commands."),
    row("info", Arity::at_least(2), SHOWN, info).about("2.8.13", "Shows commands by name."),
    row("docs", Arity::at_least(2), SHOWN, docs).about("7.0.0", "Says what commands do."),
    row("list", Arity::at_least(2), SHOWN, list).about("7.0.0", "Lists names."),
    row("getkeys", Arity::at_least(3), SHOWN, getkeys)
        .about("2.8.13", "Finds a command's keys.")
        .arity_before("7.2.0", Arity::at_least(4)),
    row(
        "getkeysandflags",
        Arity::at_least(3),
        SHOWN,
        getkeysandflags,
    )
    .about("7.0.0", "Finds a command's keys and what it does to them.")
    .arity_before("7.2.0", Arity::at_least(4)),
    row("help", Arity::exactly(2), HELP, help).about("5.0.0", "Lists the subcommands."),
];

/// A row with where it stands in the table.
#[derive(Clone, Copy)]
struct Shown {
    group: &'static str,
    container: Option<&'static str>,
    command: &'static Command,
}

impl Shown {
    fn name(self) -> String {
        match self.container {
            Some(container) => format!("{container}|{}", self.command.name),
            None => self.command.name.to_owned(),
        }
    }
}

/// The commands that this server has; those it only knows how to refuse are left out.
fn shown() -> impl Iterator<Item = Shown> {
    all()
        .filter(|(group, _)| *group != "refused")
        .map(|(group, command)| Shown {
            group,
            container: None,
            command,
        })
}

/// The row of `name` or `container|name`.
fn find(name: &[u8]) -> Option<Shown> {
    let mut parts = name.splitn(2, |byte| *byte == b'|');
    let command = lookup(parts.next()?)?;
    let top = shown().find(|shown| std::ptr::eq(shown.command, command))?;
    match parts.next() {
        None => Some(top),
        Some(sub) => {
            subcommands(top).find(|shown| sub.eq_ignore_ascii_case(shown.command.name.as_bytes()))
        }
    }
}

fn subcommands(of: Shown) -> impl Iterator<Item = Shown> {
    of.command.subcommands.iter().map(move |command| Shown {
        group: of.group,
        container: Some(of.command.name),
        command,
    })
}

fn whole(cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    cx.reply.array(shown().count());
    shown().for_each(|shown| describe(cx.reply, shown));
    Ok(())
}

fn count(cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    cx.reply.count(shown().count());
    Ok(())
}

fn info(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    if args.len() == 2 {
        return whole(cx, args);
    }
    cx.reply.array(args.len() - 2);
    for name in args.from(2).iter() {
        match find(name) {
            Some(shown) => describe(cx.reply, shown),
            None => cx.reply.null_array(),
        }
    }
    Ok(())
}

fn describe(reply: &mut Reply, shown: Shown) {
    let command = shown.command;
    let (first, last, step) = legacy_keys(command.keys);
    let since_7 = reply.dialect().since_redis(7, 0);
    reply.array(if since_7 { 10 } else { 7 });
    reply.bulk(shown.name().as_bytes());
    reply.integer(i64::from(command.arity.number()));
    words(reply, &flags(command));
    [first, last, step]
        .iter()
        .for_each(|number| reply.integer(*number));
    words(reply, &categories(shown));
    if !since_7 {
        return;
    }
    reply.array(0);
    key_specs(reply, command);
    reply.array(command.subcommands.len());
    subcommands(shown).for_each(|sub| describe(reply, sub));
}

/// A set of words as status replies.
fn words(reply: &mut Reply, words: &[&str]) {
    reply.set(words.len());
    words.iter().for_each(|word| reply.simple(word));
}

/// First key, last key and step, as COMMAND has always told them.
fn legacy_keys(keys: Keys) -> (i64, i64, i64) {
    let number = |word: usize| i64::try_from(word).unwrap_or(i64::MAX);
    match keys {
        Keys::Range { first, last, step } => (number(first), i64::from(last), number(step)),
        Keys::Counted {
            also: Some(word), ..
        } => (number(word), number(word), 1),
        Keys::Found { first, .. } if first > 0 => (number(first), number(first), 1),
        _ => (0, 0, 0),
    }
}

/// Flags and their words, in Redis's order.
const FLAG_WORDS: &[(Flags, &str)] = &[
    (Flags::WRITE, "write"),
    (Flags::READONLY, "readonly"),
    (Flags::DENYOOM, "denyoom"),
    (Flags::ADMIN, "admin"),
    (Flags::PUBSUB, "pubsub"),
    (Flags::NOSCRIPT, "noscript"),
    (Flags::BLOCKING, "blocking"),
    (Flags::LOADING, "loading"),
    (Flags::STALE, "stale"),
    (Flags::FAST, "fast"),
    (Flags::NO_AUTH, "no_auth"),
    (Flags::MAY_REPLICATE, "may_replicate"),
    (Flags::NO_MULTI, "no_multi"),
    (Flags::ALLOW_BUSY, "allow_busy"),
];

fn flags(command: &Command) -> Vec<&'static str> {
    let mut words: Vec<&str> = FLAG_WORDS
        .iter()
        .filter_map(|&(flag, word)| command.flags.has(flag).then_some(word))
        .collect();
    if matches!(command.keys, Keys::Counted { .. } | Keys::Found { .. }) {
        words.push("movablekeys");
    }
    words
}

/// The ACL categories, in Redis's order. Source: redis 7.0 acl.c, `ACLCommandCategories`.
const CATEGORIES: &[&str] = &[
    "@keyspace",
    "@read",
    "@write",
    "@set",
    "@sortedset",
    "@list",
    "@hash",
    "@string",
    "@bitmap",
    "@hyperloglog",
    "@geo",
    "@stream",
    "@pubsub",
    "@admin",
    "@fast",
    "@slow",
    "@blocking",
    "@dangerous",
    "@connection",
    "@transaction",
    "@scripting",
];

/// Commands that Redis calls dangerous though they are no administrator's.
const DANGEROUS: &[&str] = &[
    "keys",
    "flushdb",
    "flushall",
    "swapdb",
    "sort",
    "migrate",
    "restore",
    "restore-asking",
    "info",
    "role",
    "lastsave",
];

pub(super) fn acl_cat(cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    cx.reply.array(CATEGORIES.len());
    CATEGORIES
        .iter()
        .for_each(|sign| cx.reply.bulk(without_sign(sign).as_bytes()));
    Ok(())
}

/// Commands that Redis counts as an administrator's without the flag.
const ADMINS: &[&str] = &["role", "lastsave"];

/// Source: redis 7.0 server.c, `setImplicitACLCategories`.
fn categories(shown: Shown) -> Vec<&'static str> {
    CATEGORIES
        .iter()
        .filter(|sign| belongs(shown, without_sign(sign)))
        .copied()
        .collect()
}

fn without_sign(category: &'static str) -> &'static str {
    category.strip_prefix('@').unwrap_or(category)
}

fn belongs(shown: Shown, category: &str) -> bool {
    let command = shown.command;
    let has = |flag| command.flags.has(flag);
    match category {
        "read" => has(Flags::READONLY),
        "write" => has(Flags::WRITE),
        "pubsub" => has(Flags::PUBSUB),
        "fast" => has(Flags::FAST),
        "slow" => !has(Flags::FAST),
        "blocking" => has(Flags::BLOCKING),
        "admin" => has(Flags::ADMIN) || ADMINS.contains(&command.name),
        "dangerous" => {
            has(Flags::ADMIN) || shown.container.is_none() && DANGEROUS.contains(&command.name)
        }
        // A container by itself belongs nowhere.
        _ if !command.subcommands.is_empty() && command.session.is_none() => false,
        "keyspace" => shown.group == "generic",
        "sortedset" => matches!(shown.group, "sorted-set" | "sorted_set" | "zset"),
        "transaction" => shown.group == "transactions",
        "connection" => {
            shown.group == "connection"
                || command.name == "command"
                || shown.container == Some("command")
        }
        name => shown.group == name,
    }
}

/// Where the keys are, in the newer form: one spec, from the row's range or count.
fn key_specs(reply: &mut Reply, command: &Command) {
    let Some((begin, find, numbers)) = key_spec(command.keys) else {
        return reply.array(0);
    };
    reply.array(1);
    reply.map(3);
    reply.bulk(b"flags");
    words(reply, key_flags(command));
    reply.bulk(b"begin_search");
    spec(reply, "index", &[("index", begin)]);
    reply.bulk(b"find_keys");
    spec(reply, find, &numbers);
}

fn key_flags(command: &Command) -> &'static [&'static str] {
    if command.is_write() {
        &["RW", "access", "update"]
    } else {
        &["RO", "access"]
    }
}

/// Where the search begins, the kind of finding, and its numbers.
type KeySpec = (i64, &'static str, [(&'static str, i64); 3]);

fn key_spec(keys: Keys) -> Option<KeySpec> {
    let number = |word: usize| i64::try_from(word).unwrap_or(i64::MAX);
    match keys {
        Keys::Range { first, last, step } => {
            let last = i64::from(last);
            let last = if last < 0 { last } else { last - number(first) };
            let numbers = [("lastkey", last), ("keystep", number(step)), ("limit", 0)];
            Some((number(first), "range", numbers))
        }
        Keys::Counted { count, .. } => {
            let numbers = [("keynumidx", 0), ("firstkey", 1), ("keystep", 1)];
            Some((number(count), "keynum", numbers))
        }
        _ => None,
    }
}

fn spec(reply: &mut Reply, kind: &str, numbers: &[(&str, i64)]) {
    reply.map(2);
    reply.bulk(b"type");
    reply.bulk(kind.as_bytes());
    reply.bulk(b"spec");
    reply.map(numbers.len());
    for (name, number) in numbers {
        reply.bulk(name.as_bytes());
        reply.integer(*number);
    }
}

fn docs(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    let chosen: Vec<Shown> = if args.len() == 2 {
        shown().collect()
    } else {
        args.from(2).iter().filter_map(find).collect()
    };
    cx.reply.map(chosen.len());
    chosen.iter().for_each(|shown| document(cx.reply, *shown));
    Ok(())
}

fn document(reply: &mut Reply, shown: Shown) {
    let command = shown.command;
    reply.bulk(shown.name().as_bytes());
    reply.map(3 + usize::from(!command.subcommands.is_empty()));
    for (name, text) in [
        ("summary", command.summary),
        ("since", command.since),
        ("group", shown.group),
    ] {
        reply.bulk(name.as_bytes());
        reply.bulk(text.as_bytes());
    }
    if !command.subcommands.is_empty() {
        reply.bulk(b"subcommands");
        reply.map(command.subcommands.len());
        subcommands(shown).for_each(|sub| document(reply, sub));
    }
}

fn list(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    let mut names: Vec<String> = shown()
        .flat_map(|top| std::iter::once(top).chain(subcommands(top)))
        .filter(|shown| args.len() == 2 || !args.is(3, "aclcat") || in_category(*shown, args.at(4)))
        .map(Shown::name)
        .collect();
    match args.len() {
        2 => {}
        5 if args.is(2, "filterby") && args.is(3, "pattern") => {
            let pattern = args.at(4).to_ascii_lowercase();
            let glob = Glob::new(&pattern);
            names.retain(|name| glob.matches(name.as_bytes()));
        }
        5 if args.is(2, "filterby") && args.is(3, "aclcat") => {}
        5 if args.is(2, "filterby") && args.is(3, "module") => names.clear(),
        _ => return Err(Error::Syntax),
    }
    cx.reply.array(names.len());
    names.iter().for_each(|name| cx.reply.bulk(name.as_bytes()));
    Ok(())
}

fn in_category(shown: Shown, category: &[u8]) -> bool {
    let name = String::from_utf8_lossy(category).to_lowercase();
    CATEGORIES.iter().any(|sign| without_sign(sign) == name) && belongs(shown, &name)
}

/// The row that the words after COMMAND GETKEYS name, and the indices of its keys.
fn keys_of(args: Args<'_>) -> Result<(&'static Command, Vec<usize>), Error> {
    let row = resolve(args).map_err(|_| Error::Text("ERR Invalid command specified"))?;
    if matches!(row.keys, Keys::None) {
        return Err(Error::Text("ERR The command has no key arguments"));
    }
    if !row.arity.fits(args.len()) {
        return Err(Error::Text(
            "ERR Invalid number of arguments specified for command",
        ));
    }
    let mut found = Vec::new();
    row.keys.visit(args, |index| found.push(index));
    if found.is_empty() {
        return Err(Error::Text("ERR Invalid arguments specified for command"));
    }
    Ok((row, found))
}

fn getkeys(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    let words = args.from(2);
    let (_, found) = keys_of(words)?;
    cx.reply.array(found.len());
    found
        .iter()
        .for_each(|index| cx.reply.bulk(words.at(*index)));
    Ok(())
}

fn getkeysandflags(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    let asked = args.from(2);
    let (row, found) = keys_of(asked)?;
    cx.reply.array(found.len());
    for index in found {
        cx.reply.array(2);
        cx.reply.bulk(asked.at(index));
        words(cx.reply, key_flags(row));
    }
    Ok(())
}

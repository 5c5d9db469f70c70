//! COMMAND: shows the command table to clients.
//!
//! The rows determine which commands exist; the catalogue holds what their servers report about them. Source of the
//! shapes: redis 7.0 server.c, `addReplyCommandInfo`.

use crate::command::dispatch::catalogue::{Record, Spec, record};
use crate::command::dispatch::registry::{all, lookup};
use crate::command::dispatch::resolve::resolve;
use crate::command::families::introspection::{HELP, row};
use crate::command::rows::acl::CATEGORIES;
use crate::command::rows::keys::leading_count;
use crate::command::rows::{Arity, Command, Error, Flags, Keys, SessionCx, glob, help};
use crate::dialect::Dialect;
use crate::resp::{Args, Reply};

const SHOWN: Flags = Flags::LOADING.and(Flags::STALE);

/// COMMAND itself: without a subcommand, it shows the whole table.
pub(super) const COMMAND: Command = {
    let mut command = Command::container("command", SUBCOMMANDS)
        .session(whole)
        .flags(SHOWN)
        .about("2.8.13", "Shows the command table.");
    command.arity = Arity::at_least(1);
    command
};

const SUBCOMMANDS: &[Command] = &[
    row("count", Arity::exactly(2), SHOWN, count).about("2.8.13", "Counts the commands."),
    row("info", Arity::at_least(2), SHOWN, info).about("2.8.13", "Shows commands by name."),
    row("docs", Arity::at_least(2), SHOWN, docs).about("7.0.0", "Describes commands."),
    row("list", Arity::at_least(2), SHOWN, list).about("7.0.0", "Lists the names of commands."),
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
    row("help", Arity::exactly(2), HELP, |cx, _| {
        help(cx, "COMMAND", SUBCOMMANDS)
    })
    .about("5.0.0", "Lists the subcommands."),
];

/// A row with its container and its record.
#[derive(Clone, Copy)]
struct Shown {
    container: Option<&'static str>,
    command: &'static Command,
    record: &'static Record,
}

impl Shown {
    fn new(
        container: Option<&'static str>,
        command: &'static Command,
        dialect: Dialect,
    ) -> Option<Self> {
        let record = match container {
            Some(container) => record(&format!("{container}|{}", command.name), dialect),
            None => record(command.name, dialect),
        };
        record
            .filter(|_| dialect.has(command.presence) && dialect.lists(command.name))
            .map(|record| Self {
                container,
                command,
                record,
            })
    }

    /// Returns its subcommands, if they are commands of their own.
    fn subcommands(self, dialect: Dialect) -> impl Iterator<Item = Self> {
        let (container, all) = (self.command.name, self.command.subcommands);
        let none = self.container.is_some() || !dialect.has_subcommand_rows();
        let rows = if none { &[] } else { all };
        rows.iter()
            .filter_map(move |row| Self::new(Some(container), row, dialect))
    }
}

/// Returns the commands that a server of that dialect has.
fn shown(dialect: Dialect) -> impl Iterator<Item = Shown> {
    all().filter_map(move |(_, command)| Shown::new(None, command, dialect))
}

/// Returns the row of `name` or `container|name`.
fn find(name: &[u8], dialect: Dialect) -> Option<Shown> {
    let mut parts = name.splitn(2, |byte| *byte == b'|');
    let top = Shown::new(None, lookup(parts.next()?)?, dialect)?;
    match parts.next() {
        None => Some(top),
        Some(sub) => top
            .subcommands(dialect)
            .find(|shown| sub.eq_ignore_ascii_case(shown.command.name.as_bytes())),
    }
}

/// DIFFERENCE: commands come in the table's order; Redis uses the order of its hash table.
fn whole(cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    let dialect = cx.reply.dialect();
    cx.reply.array(shown(dialect).count());
    shown(dialect).for_each(|shown| describe(cx.reply, shown));
    Ok(())
}

fn count(cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    cx.reply.count(shown(cx.reply.dialect()).count());
    Ok(())
}

fn info(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    let dialect = cx.reply.dialect();
    if args.len() == 2 && dialect.has_subcommand_rows() {
        return whole(cx, args);
    }
    cx.reply.array(args.len() - 2);
    for name in args.from(2).iter() {
        match find(name, dialect) {
            Some(shown) => describe(cx.reply, shown),
            None => cx.reply.null(),
        }
    }
    Ok(())
}

fn describe(reply: &mut Reply, shown: Shown) {
    let (record, dialect) = (shown.record, reply.dialect());
    let has_specs = dialect.has_subcommand_rows();
    reply.array(if has_specs { 10 } else { 7 });
    reply.bulk(record.name.as_bytes());
    reply.integer(record.arity());
    words(reply, record.flags());
    record.keys().for_each(|number| reply.integer(number));
    reply.set(record.categories().count());
    record
        .categories()
        .for_each(|category| reply.simple(&format!("@{category}")));
    if !has_specs {
        return;
    }
    reply.set(record.tips().count());
    record.tips().for_each(|tip| reply.bulk(tip.as_bytes()));
    reply.set(record.specs().count());
    record.specs().for_each(|spec| key_spec(reply, spec));
    let subcommands = shown.subcommands(dialect);
    match shown.subcommands(dialect).count() {
        0 if dialect.gives_no_subcommands_as_set() => reply.set(0),
        count => reply.array(count),
    }
    subcommands.for_each(|sub| describe(reply, sub));
}

/// Appends a set of words as status replies.
fn words(reply: &mut Reply, words: impl Iterator<Item = &'static str> + Clone) {
    reply.set(words.clone().count());
    words.for_each(|word| reply.simple(word));
}

/// DIFFERENCE: the notes are left out; they are prose for people.
fn key_spec(reply: &mut Reply, of: Spec) {
    reply.map(3);
    reply.bulk(b"flags");
    words(reply, of.flags());
    reply.bulk(b"begin_search");
    let (kind, values) = of.begin();
    let names: &[&str] = match kind {
        "index" => &["index"],
        "keyword" => &["keyword", "startfrom"],
        _ => &[],
    };
    search(reply, kind, names, values);
    reply.bulk(b"find_keys");
    let (kind, values) = of.find();
    let names: &[&str] = match kind {
        "range" => &["lastkey", "keystep", "limit"],
        "keynum" => &["keynumidx", "firstkey", "keystep"],
        _ => &[],
    };
    search(reply, kind, names, values);
}

fn search(
    reply: &mut Reply,
    kind: &str,
    names: &[&str],
    values: impl Iterator<Item = &'static str>,
) {
    reply.map(2);
    reply.bulk(b"type");
    reply.bulk(kind.as_bytes());
    reply.bulk(b"spec");
    reply.map(names.len());
    for (name, value) in names.iter().zip(values) {
        reply.bulk(name.as_bytes());
        match value.parse() {
            Ok(number) => reply.integer(number),
            Err(_) => reply.bulk(value.as_bytes()),
        }
    }
}

/// ACL CAT: the categories, or the commands of one.
pub(super) fn acl_cat(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    let Some(category) = args.get(2) else {
        let has_arrays = cx.reply.dialect().has_arrays();
        let known = CATEGORIES
            .iter()
            .filter(|name| has_arrays || **name != "array");
        cx.reply.array(known.clone().count());
        known.for_each(|category| cx.reply.bulk(category.as_bytes()));
        return Ok(());
    };
    let name = String::from_utf8_lossy(category).to_lowercase();
    let is_later = name == "array" && !cx.reply.dialect().has_arrays();
    if is_later || !CATEGORIES.contains(&name.as_str()) {
        return Err(Error::quoting("ERR Unknown category '{}'", &[category]));
    }
    let dialect = cx.reply.dialect();
    let names: Vec<&str> = names(dialect)
        .filter(|shown| in_category(shown, &name))
        .map(|shown| shown.record.name)
        .collect();
    cx.reply.array(names.len());
    names.iter().for_each(|name| cx.reply.bulk(name.as_bytes()));
    Ok(())
}

/// Returns all commands, containers before their subcommands.
fn names(dialect: Dialect) -> impl Iterator<Item = Shown> {
    shown(dialect).flat_map(move |top| std::iter::once(top).chain(top.subcommands(dialect)))
}

fn in_category(shown: &Shown, category: &str) -> bool {
    shown.record.categories().any(|other| other == category)
}

fn docs(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    let dialect = cx.reply.dialect();
    let chosen: Vec<Shown> = if args.len() == 2 {
        shown(dialect).collect()
    } else {
        let names = args.from(2);
        names
            .iter()
            .filter_map(|name| find(name, dialect))
            .collect()
    };
    cx.reply.map(chosen.len());
    chosen.iter().for_each(|shown| document(cx.reply, *shown));
    Ok(())
}

/// DIFFERENCE: the sentences are redtail's own; complexity, history and arguments are left out.
fn document(reply: &mut Reply, shown: Shown) {
    let (command, dialect) = (shown.command, reply.dialect());
    let subs = shown.subcommands(dialect).count();
    reply.bulk(shown.record.name.as_bytes());
    reply.map(3 + usize::from(subs > 0));
    for (name, text) in [
        ("summary", command.summary),
        ("since", command.since),
        ("group", shown.record.group),
    ] {
        reply.bulk(name.as_bytes());
        reply.bulk(text.as_bytes());
    }
    if subs > 0 {
        reply.bulk(b"subcommands");
        reply.map(subs);
        shown
            .subcommands(dialect)
            .for_each(|sub| document(reply, sub));
    }
}

fn list(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    let all = names(cx.reply.dialect());
    let given = String::from_utf8_lossy(args.get(4).unwrap_or_default()).to_lowercase();
    let filtered = args.len() == 5 && args.is(2, "filterby");
    let chosen: Vec<Shown> = if args.len() == 2 {
        all.collect()
    } else if filtered && args.is(3, "pattern") {
        all.filter(|shown| glob::matches(args.at(4), shown.record.name.as_bytes(), true))
            .collect()
    } else if filtered && args.is(3, "aclcat") {
        all.filter(|shown| in_category(shown, &given)).collect()
    } else if filtered && args.is(3, "module") {
        all.filter(|shown| given == "vectorset" && shown.record.group == "module")
            .collect()
    } else {
        return Err(Error::Syntax);
    };
    cx.reply.array(chosen.len());
    for shown in chosen {
        cx.reply.bulk(shown.record.name.as_bytes());
    }
    Ok(())
}

/// Returns the row that the words after COMMAND GETKEYS name, and the indices of its keys.
fn keys_of(args: Args<'_>, dialect: Dialect) -> Result<(Shown, Vec<usize>), Error> {
    let unknown = Error::Text("ERR Invalid command specified");
    let top = lookup(args.at(0)).ok_or(unknown.clone())?;
    // A container without a subcommand, or with an unknown one, is resolved to the container itself.
    let row = resolve(args).unwrap_or(top);
    let container = (!std::ptr::eq(row, top)).then_some(top.name);
    let shown = Shown::new(container, row, dialect)
        .or_else(|| Shown::new(None, top, dialect))
        .ok_or(unknown)?;
    if matches!(row.keys, Keys::None) {
        return Err(Error::Text("ERR The command has no key arguments"));
    }
    if !row.arity_in(dialect).fits(args.len()) {
        return Err(Error::Text(
            "ERR Invalid number of arguments specified for command",
        ));
    }
    let found = found_keys(row, args, dialect);
    let may_be_none = shown.record.flags().any(|flag| flag == "no_mandatory_keys");
    if found.is_empty() && !may_be_none {
        return Err(Error::Text("ERR Invalid arguments specified for command"));
    }
    Ok((shown, found))
}

/// Returns the words that are keys, in the order of a server of `dialect`; none if the words contain fewer than they announce.
pub(crate) fn found_keys(row: &Command, args: Args<'_>, dialect: Dialect) -> Vec<usize> {
    let mut found = Vec::new();
    row.keys.visit(args, |index| found.push(index));
    if lacks_counted(row, args, found.len()) {
        found.clear();
    }
    let has_destination = matches!(row.keys, Keys::Counted { also: Some(_), .. });
    if has_destination && !found.is_empty() && !dialect.names_destination_first() {
        found.rotate_left(1);
    }
    found
}

/// Returns whether the words contain fewer keys than they announce.
fn lacks_counted(row: &Command, args: Args<'_>, found: usize) -> bool {
    let Keys::Counted { count, also } = row.keys else {
        return false;
    };
    let counted = args.get(count).and_then(leading_count);
    let others = usize::from(also.is_some());
    counted.is_none_or(|keys| keys > found - others || (keys == 0 && also.is_some()))
}

fn getkeys(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    let words = args.from(2);
    let (_, found) = keys_of(words, cx.reply.dialect())?;
    cx.reply.array(found.len());
    found
        .iter()
        .for_each(|index| cx.reply.bulk(words.at(*index)));
    Ok(())
}

fn getkeysandflags(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    let asked = args.from(2);
    let (shown, found) = keys_of(asked, cx.reply.dialect())?;
    cx.reply.array(found.len());
    for (place, index) in found.into_iter().enumerate() {
        cx.reply.array(2);
        cx.reply.bulk(asked.at(index));
        let flags = key_flags(shown.command, shown.record, asked, place, index);
        words(cx.reply, flags.into_iter());
    }
    Ok(())
}

/// Whether BITFIELD has only valid GETs. Source: redis 7.0 db.c, `bitfieldGetKeys`.
fn only_gets(args: Args<'_>) -> bool {
    let mut at = 2;
    while at < args.len() {
        let more = args.len() - at - 1;
        at += match () {
            () if args.is(at, "get") && more >= 2 => 3,
            () if args.is(at, "overflow") && more >= 1 => 2,
            () => return false,
        };
    }
    true
}

/// Returns what the command does to the key at word `index`, the `place`th key.
pub(crate) fn key_flags(
    row: &Command,
    record: &Record,
    args: Args<'_>,
    place: usize,
    index: usize,
) -> Vec<&'static str> {
    let has = |word: &str| (2..args.len()).any(|at| args.is(at, word));
    match row.name {
        "set" if !has("get") => return vec!["OW", "update"],
        "set" => return vec!["RW", "access", "update"],
        "bitfield" if only_gets(args) => return vec!["RO", "access"],
        "bitfield" => return vec!["RW", "access", "update"],
        _ => {}
    }
    let specs: Vec<Spec> = record.specs().collect();
    let fixed = specs.iter().rev().find(|spec| {
        let (kind, mut values) = spec.begin();
        let first = values.next().and_then(|word| word.parse::<usize>().ok());
        kind == "index" && first.is_some_and(|first| first <= index)
    });
    // A destination after a keyword is always the last specification.
    let stored = specs.last().filter(|_| place > 0 && specs.len() > 1);
    let chosen = match (fixed, stored) {
        (Some(spec), Some(stored)) if stored.begin().0 != "index" && spec.find().0 == "range" => {
            stored
        }
        (Some(spec), _) | (None, Some(spec)) => spec,
        (None, None) => {
            return specs
                .first()
                .map_or_else(Vec::new, |spec| spec.flags().collect());
        }
    };
    chosen
        .flags()
        .filter(|flag| *flag != "variable_flags")
        .collect()
}

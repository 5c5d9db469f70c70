//! Whether a connection's user may run a command: the check of ACL rules, at every place where a command runs.
//!
//! The rules are in [`rows::acl`](crate::command::rows::acl). This file says what a command asks for: its name in the rules, its
//! keys and what it does to them, its channels and its databases. A connection whose user may do everything never gets here.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use smallvec::SmallVec;

use super::answer::called;
use super::catalogue::{Record, Spec, record};
use super::describe::{found_keys, key_flags};
use super::registry::{all, lookup};
use super::transaction;
use crate::command::rows::acl::{
    Databases, Demand, Denial, Denied, Need, Reason, Rights, Unit, Units, category,
};
use crate::command::rows::{Command, Error, SessionCx};
use crate::dialect::Dialect;
use crate::resp::{Args, parse_integer};

/// Returns the commands that rules can name in a server version.
#[must_use]
pub fn units_of(dialect: Dialect) -> Units {
    let mut units = Units::default();
    let known = |name: &str, row: &Command| {
        record(name, dialect).filter(|_| dialect.has(row.presence) && dialect.lists(row.name))
    };
    for (_, row) in all() {
        let Some(found) = known(row.name, row) else {
            continue;
        };
        let parent = units.add(unit(found, None, dialect));
        if !dialect.has_subcommand_rows() {
            continue;
        }
        for inner in row.subcommands {
            if let Some(found) = known(&format!("{}|{}", row.name, inner.name), inner) {
                units.add(unit(found, Some(parent), dialect));
            }
        }
    }
    units
}

fn unit(record: &Record, parent: Option<usize>, dialect: Dialect) -> Unit {
    // Before Redis 7.0 only AUTH itself was open. Source: redis 6.0 and 7.0 acl.c, `ACLSelectorCheckCmd`.
    let is_open = if dialect.has_subcommand_rows() {
        record.flags().any(|flag| flag == "no_auth")
    } else {
        record.name == "auth"
    };
    Unit {
        name: record.name.to_owned(),
        categories: record
            .categories()
            .fold(0, |all, name| all | category(name)),
        parent,
        is_open,
    }
}

/// Where a command was about to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// On its own, or when it was queued.
    Top,
    /// In EXEC.
    Exec,
    /// In a script.
    Script,
}

/// Checks a command before it runs or is queued. Logs what is denied.
///
/// # Errors
/// NOPERM, in the words of the version. What no transaction accepts is refused first, as servers do.
#[cold]
pub(crate) fn check(
    cx: &mut SessionCx<'_>,
    rights: &Arc<Rights>,
    row: &'static Command,
    args: Args<'_>,
) -> Result<(), Error> {
    let dialect = cx.reply.dialect();
    // DEBUG and SCRIPT DEBUG are refused by redtail alone, so the permission counts first.
    if cx.session.transaction.is_some() && row.name != "debug" {
        transaction::check(row, args, dialect)?;
    }
    check_at(cx, rights, row, args, Place::Top)?;
    let runs_now = cx.session.transaction.is_none() || transaction::runs_at_once(row);
    if runs_now && cx.generation.is_some() {
        check_options(cx, rights, row, args)?;
    }
    Ok(())
}

/// Checks words that name no subcommand, where the server looks for subcommands only after the check.
///
/// # Errors
/// NOPERM, in the words of the version.
#[cold]
pub(crate) fn check_unresolved(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    let dialect = cx.reply.dialect();
    let container = lookup(args.at(0)).filter(|row| dialect.has(row.presence));
    match (cx.session.rights.clone(), container) {
        (Some(rights), Some(row))
            if !dialect.has_subcommand_rows() && !row.subcommands.is_empty() && args.len() > 1 =>
        {
            check_at(cx, &rights, row, args, Place::Top)
        }
        _ => Ok(()),
    }
}

/// Checks a queued command when it is about to run.
///
/// # Errors
/// NOPERM, in the words of the version.
#[cold]
pub(crate) fn check_queued(
    cx: &mut SessionCx<'_>,
    rights: &Arc<Rights>,
    row: &'static Command,
    args: Args<'_>,
) -> Result<(), Error> {
    check_at(cx, rights, row, args, Place::Exec)?;
    check_options(cx, rights, row, args)
}

/// Whether the user may run a command, without logging.
#[must_use]
pub fn permits(rights: &Rights, row: &'static Command, args: Args<'_>, db: usize) -> bool {
    demand(rights, row, args, db, |_, demand| rights.check(demand)).is_ok()
}

/// Checks a command that a script calls.
///
/// # Errors
/// The script's error, without a code.
#[cold]
pub fn check_script(
    cx: &mut SessionCx<'_>,
    rights: &Arc<Rights>,
    row: &'static Command,
    args: Args<'_>,
) -> Result<(), Error> {
    check_at(cx, rights, row, args, Place::Script)
}

fn check_at(
    cx: &mut SessionCx<'_>,
    rights: &Arc<Rights>,
    row: &'static Command,
    args: Args<'_>,
    place: Place,
) -> Result<(), Error> {
    let db = database(cx);
    let denied = demand(rights, row, args, db, |name, demand| {
        rights
            .check(demand)
            .map_err(|denied| (name.to_owned(), denied))
    });
    let Err((name, denied)) = denied else {
        return Ok(());
    };
    if place == Place::Top {
        // Servers note the command before they check it.
        let called = called(row, args);
        cx.session.last = (called.container, row.name);
    }
    log(cx, rights, &name, args, denied, place);
    Err(refusal(rights, &name, denied, place))
}

/// Returns the database in which the next command will run: a queued SELECT counts. Source: valkey 9.1 acl.c,
/// `ACLCheckAllPerm`.
fn database(cx: &SessionCx<'_>) -> usize {
    let queued = cx.session.transaction.as_ref();
    queued.and_then(|queued| queued.db).unwrap_or(cx.session.db)
}

/// Returns the error. Source: redis 6.0, 7.0 and 8.0 server.c, `processCommand`, multi.c, `execCommand`, and script.c,
/// `scriptVerifyACL`.
fn refusal(rights: &Rights, name: &str, denied: Denied, place: Place) -> Error {
    let dialect = rights.dialect();
    if place == Place::Exec {
        return Error::Owned(format!(
            "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This command is no \
             longer allowed for the following reason: {}",
            match denied {
                Denied::Command => "no permission to execute the command or subcommand",
                Denied::Key(_) => "no permission to touch the specified keys",
                Denied::Channel(_) =>
                    "no permission to access one of the channels used as arguments",
                Denied::Database(_) => "no permission",
            }
        ));
    }
    if place == Place::Script && !dialect.names_denied_user() {
        let what = match denied {
            Denied::Command => "can't run this command or subcommand",
            Denied::Key(_) | Denied::Database(_) => {
                "can't access at least one of the keys mentioned in the command arguments"
            }
            Denied::Channel(_) => "can't publish to the channel mentioned in the command",
        };
        return Error::Owned(format!("The user executing the script {what}"));
    }
    let why = reason_text(rights, name, denied);
    match place {
        Place::Script => Error::Quoting([b"ACL failure in script: ", why.as_slice()].concat()),
        _ => Error::Quoting([b"NOPERM ", why.as_slice()].concat()),
    }
}

fn reason_text(rights: &Rights, name: &str, denied: Denied) -> Vec<u8> {
    let dialect = rights.dialect();
    let text: Cow<'_, str> = match denied {
        Denied::Command if dialect.names_denied_user() => {
            let end = format!(" has no permissions to run the '{name}' command");
            return [b"User ", &*rights.name, end.as_bytes()].concat();
        }
        Denied::Command if dialect.has_subcommand_rows() => {
            format!("this user has no permissions to run the '{name}' command").into()
        }
        Denied::Command => {
            format!("this user has no permissions to run the '{name}' command or its subcommand")
                .into()
        }
        Denied::Key(_) if dialect.names_denied_user() => "No permissions to access a key".into(),
        Denied::Key(_) => {
            "this user has no permissions to access one of the keys used as arguments".into()
        }
        Denied::Channel(_) if dialect.names_denied_user() => {
            "No permissions to access a channel".into()
        }
        Denied::Channel(_) => {
            "this user has no permissions to access one of the channels used as arguments".into()
        }
        Denied::Database(_) => "No permissions to access database".into(),
    };
    text.into_owned().into_bytes()
}

/// Returns ACL DRYRUN's text. Source: redis 7.0 acl.c, `aclCommand`, and 8.0, `getAclErrorMessage`.
pub(super) fn dry_run(
    rights: &Rights,
    row: &'static Command,
    args: Args<'_>,
    db: usize,
) -> Result<(), Vec<u8>> {
    let denied = demand(rights, row, args, db, |name, demand| {
        rights
            .check(demand)
            .map_err(|denied| (name.to_owned(), denied))
    });
    let Err((name, denied)) = denied else {
        return Ok(());
    };
    let user: Vec<u8> = if rights.dialect().names_denied_user() {
        [b"User ", &*rights.name].concat()
    } else {
        b"This user".to_vec()
    };
    let middle = b" has no permissions to ".as_slice();
    let what = match denied {
        Denied::Command => format!("run the '{name}' command").into_bytes(),
        Denied::Key(word) => [b"access the '", args.at(word), b"' key"].concat(),
        Denied::Channel(word) => [b"access the '", args.at(word), b"' channel"].concat(),
        Denied::Database(word) => [b"access database ", args.at(word)].concat(),
    };
    Err([user.as_slice(), middle, &what].concat())
}

fn log(
    cx: &mut SessionCx<'_>,
    rights: &Rights,
    name: &str,
    args: Args<'_>,
    denied: Denied,
    place: Place,
) {
    let (reason, object) = match denied {
        Denied::Command => (Reason::Command, name.as_bytes()),
        Denied::Key(word) => (Reason::Key, args.at(word)),
        Denied::Channel(word) => (Reason::Channel, args.at(word)),
        Denied::Database(word) => (Reason::Database, args.at(word)),
    };
    let context = match place {
        Place::Script => "lua",
        Place::Exec => "multi",
        Place::Top if cx.session.transaction.is_some() => "multi",
        Place::Top => "toplevel",
    };
    let denial = Denial {
        reason,
        context,
        object: object.to_vec(),
        user: rights.name.to_vec(),
    };
    if place == Place::Script {
        // A script's commands have a session of their own, which knows the script as its last command.
        cx.session.client.shown().command = cx.session.last;
    } else {
        cx.publish();
    }
    let client = &cx.session.client;
    let length = cx.host.tunables().acl_log_max.load(Ordering::Relaxed);
    cx.host
        .users()
        .log
        .add(denial, length, || client.line(cx.reply.dialect()));
}

/// Works out what a command asks for, and passes it on with the command's name.
fn demand<T>(
    rights: &Rights,
    row: &'static Command,
    args: Args<'_>,
    db: usize,
    then: impl FnOnce(&str, &Demand<'_>) -> T,
) -> T {
    let dialect = rights.dialect();
    let (name, found) = name_of(row, args, dialect);
    let unit = rights.units.find(&name.to_ascii_lowercase());
    let keys = if rights.looks_at_keys() {
        keys_of(row, found, args, dialect)
    } else {
        SmallVec::new()
    };
    let (channels, is_pattern) = channels_of(row, args, dialect);
    let named = named_databases(row, args, dialect);
    // Exceptions by first argument of a command with a container would compare its second argument.
    let first = if name.contains('|') {
        args.get(2)
    } else {
        args.get(1)
    };
    let demand = Demand {
        unit,
        first,
        args,
        keys: &keys,
        channels: &channels,
        is_pattern,
        databases: databases_of(row, found, db, &named, dialect),
    };
    then(&name, &demand)
}

/// Returns a command's name in rules and errors, and what its server reports about it.
fn name_of(
    row: &'static Command,
    args: Args<'_>,
    dialect: Dialect,
) -> (Cow<'static, str>, Option<&'static Record>) {
    let container = lookup(args.at(0)).filter(|found| !std::ptr::eq(*found, row));
    let inner = container
        .filter(|_| dialect.has_subcommand_rows())
        .and_then(|container| {
            let name = format!("{}|{}", container.name, row.name);
            record(&name, dialect)
        });
    if let Some(found) = inner {
        return (Cow::Borrowed(found.name), Some(found));
    }
    let own = container.map_or(row.name, |container| container.name);
    let found = record(own, dialect);
    (
        found.map_or(Cow::Borrowed(own), |found| Cow::Borrowed(found.name)),
        found,
    )
}

/// Returns the words that are keys, and what the command does to each, as the server finds them for this check.
fn keys_of(
    row: &'static Command,
    found: Option<&'static Record>,
    args: Args<'_>,
    dialect: Dialect,
) -> SmallVec<[(usize, Need); 4]> {
    let Some(found) = found else {
        let words = found_keys(row, args, dialect);
        return words
            .into_iter()
            .map(|word| (word, Need::default()))
            .collect();
    };
    if !dialect.has_subcommand_rows() {
        return older_keys(row, found, args, dialect);
    }
    if let Some(keys) = specified_keys(found, args) {
        return keys;
    }
    // The server has a function that finds the keys of these commands.
    let has_function = found.flags().any(|flag| flag == "movablekeys") && row.name != "msetex";
    if !has_function && !has_flag(found, "variable_flags") {
        return SmallVec::new();
    }
    let words = found_keys(row, args, dialect).into_iter().enumerate();
    words
        .map(|(place, word)| {
            (
                word,
                need(key_flags(row, found, args, place, word).into_iter()),
            )
        })
        .collect()
}

/// Before Redis 7.0 there is one permission for everything, and the place of keys is known for commands only, not for
/// subcommands. Source: redis 6.0 db.c, `getKeysFromCommand`.
fn older_keys(
    row: &'static Command,
    found: &'static Record,
    args: Args<'_>,
    dialect: Dialect,
) -> SmallVec<[(usize, Need); 4]> {
    let mut numbers = found.keys();
    let mut next = || numbers.next().unwrap_or(0);
    let (first, last, step) = (next(), next(), next());
    let is_movable = found.flags().any(|flag| flag == "movablekeys");
    let words = if is_movable {
        found_keys(row, args, dialect)
    } else {
        range(args, first, last, step)
    };
    words
        .into_iter()
        .map(|word| (word, Need::default()))
        .collect()
}

fn range(args: Args<'_>, first: i64, last: i64, step: i64) -> Vec<usize> {
    let words = i64::try_from(args.len()).unwrap_or(i64::MAX);
    let end = if last < 0 { words + last } else { last };
    let (Ok(first), Ok(end)) = (usize::try_from(first), usize::try_from(end)) else {
        return Vec::new();
    };
    let step = usize::try_from(step).unwrap_or(1).max(1);
    if first == 0 {
        return Vec::new();
    }
    (first..=end.min(args.len().saturating_sub(1)))
        .step_by(step)
        .collect()
}

/// Finds keys by the command's key specifications; `None` if one does not apply to these words, or does not say everything.
/// Source: redis 7.0 db.c, `getKeysUsingKeySpecs` and `getKeysFromCommandWithSpecs`.
fn specified_keys(found: &'static Record, args: Args<'_>) -> Option<SmallVec<[(usize, Need); 4]>> {
    if has_flag(found, "variable_flags") {
        return None;
    }
    let mut keys = SmallVec::new();
    for spec in found
        .specs()
        .filter(|spec| spec.flags().all(|flag| flag != "not_key"))
    {
        let need = need(spec.flags());
        let words = spec.words(args)?;
        keys.extend(words.map(|word| (word, need)));
        if spec.flags().any(|flag| flag == "incomplete") {
            return None;
        }
    }
    Some(keys)
}

fn has_flag(found: &'static Record, flag: &str) -> bool {
    let first = found.specs().next();
    first.is_some_and(|spec| spec.flags().any(|known| known == flag))
}

fn need(flags: impl Iterator<Item = &'static str>) -> Need {
    let mut need = Need::default();
    for flag in flags {
        match flag {
            "access" => need.reads = true,
            "insert" | "delete" | "update" => need.writes = true,
            _ => {}
        }
    }
    need
}

/// Returns the words that are channels, and whether they are patterns. Source: redis 7.0 db.c, `getChannelsFromCommand`.
fn channels_of(row: &Command, args: Args<'_>, dialect: Dialect) -> (SmallVec<[usize; 2]>, bool) {
    if !dialect.has_channel_patterns() {
        return (SmallVec::new(), false);
    }
    match row.name {
        "publish" | "spublish" => (SmallVec::from_slice(&[1]), false),
        "subscribe" | "ssubscribe" => ((1..args.len()).collect(), false),
        "psubscribe" => ((1..args.len()).collect(), true),
        _ => (SmallVec::new(), false),
    }
}

/// Returns the databases other than the client's own that a command names. Source: the answers of valkey 9.1.
fn named_databases(row: &Command, args: Args<'_>, dialect: Dialect) -> SmallVec<[(usize, u32); 2]> {
    if !dialect.has_database_permissions() {
        return SmallVec::new();
    }
    let number = |word: usize| {
        let number = args.get(word).and_then(parse_integer)?;
        Some((word, u32::try_from(number).ok()?))
    };
    let words: SmallVec<[usize; 2]> = match row.name {
        "select" => SmallVec::from_slice(&[1]),
        "swapdb" => SmallVec::from_slice(&[1, 2]),
        "move" => SmallVec::from_slice(&[2]),
        "copy" => target_of_copy(args).into_iter().collect(),
        _ => SmallVec::new(),
    };
    // The command itself refuses what is not a number.
    let numbers: Option<_> = words.into_iter().map(number).collect();
    numbers.unwrap_or_default()
}

/// Returns the word after COPY's option DB, unless another option is wrong.
fn target_of_copy(args: Args<'_>) -> Option<usize> {
    let (mut at, mut target) = (3, None);
    while at < args.len() {
        if args.is(at, "replace") {
            at += 1;
        } else if args.is(at, "db") && at + 1 < args.len() {
            target = Some(at + 1);
            at += 2;
        } else {
            return None;
        }
    }
    target
}

/// Source: the answers of valkey 9.1 to ACL DRYRUN of every command.
fn databases_of<'a>(
    row: &Command,
    found: Option<&'static Record>,
    db: usize,
    named: &'a [(usize, u32)],
    dialect: Dialect,
) -> Databases<'a> {
    if !dialect.has_database_permissions() {
        return Databases::None;
    }
    match row.name {
        "flushall" | "cancelslotmigrations" | "flushslot" | "migrateslots" => {
            return Databases::All;
        }
        "select" | "swapdb" => return Databases::Named(None, named),
        _ => {}
    }
    let works_in_one = found.is_some_and(|found| {
        let mut flags = found.flags();
        flags.any(|flag| matches!(flag, "write" | "readonly"))
            || found.categories().any(|category| category == "keyspace")
            || found.specs().any(|spec: Spec| spec.is_of_keys())
    });
    match (works_in_one, named.is_empty()) {
        (true, true) => Databases::Own(db),
        (true, false) => Databases::Named(Some(db), named),
        (false, _) => Databases::None,
    }
}

/// Refuses patterns of SORT that read keys it does not name, unless the user may read any key. Options after a wrong one are not
/// reached. Source: redis 7.0 sort.c, `sortCommandGeneric`.
///
/// # Errors
/// The command's own error.
pub fn check_options(
    cx: &SessionCx<'_>,
    rights: &Rights,
    row: &'static Command,
    args: Args<'_>,
) -> Result<(), Error> {
    // A write is refused before it would look at its options.
    if row.is_write() {
        return Ok(());
    }
    let dialect = cx.reply.dialect();
    if !matches!(row.name, "sort" | "sort_ro") || !dialect.has_subcommand_rows() {
        return Ok(());
    }
    let may_read = || {
        demand(rights, row, args, cx.session.db, |_, demand| {
            rights.reads_any_key(demand)
        })
    };
    let mut at = 2;
    while at < args.len() {
        let more = args.len() - at - 1;
        let option = match () {
            () if args.is(at, "limit") && more >= 2 => {
                let is_number = |word: usize| args.get(word).and_then(parse_integer).is_some();
                if !is_number(at + 1) || !is_number(at + 2) {
                    return Ok(());
                }
                at += 3;
                continue;
            }
            () if args.is(at, "by") && more >= 1 && args.at(at + 1).contains(&b'*') => "BY",
            () if args.is(at, "get") && more >= 1 => "GET",
            () if (args.is(at, "by") || args.is(at, "store")) && more >= 1 => {
                at += 2;
                continue;
            }
            () if args.is(at, "asc") || args.is(at, "desc") || args.is(at, "alpha") => {
                at += 1;
                continue;
            }
            () => return Ok(()),
        };
        if !may_read() {
            return Err(Error::Owned(format!(
                "ERR {option} option of SORT denied due to insufficient ACL permissions."
            )));
        }
        at += 2;
    }
    Ok(())
}

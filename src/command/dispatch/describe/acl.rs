//! ACL: shows and changes the users. The rules are in [`rows::acl`](crate::command::rows::acl).
//!
//! Source of the texts and shapes: redis 6.0, 7.0 and 8.0 acl.c, `aclCommand`; valkey 9.1.

use std::path::Path;

use crate::command::dispatch::permission;
use crate::command::dispatch::registry::lookup;
use crate::command::dispatch::resolve::resolve_for;
use crate::command::families::introspection::{ADMIN, HELP, row};
use crate::command::rows::acl::account::{Account, Refused};
use crate::command::rows::acl::selector::Selector;
use crate::command::rows::acl::{DEFAULT, Logged, Narrowed, Units, has_blanks, now_ms, save};
use crate::command::rows::parse::integer;
use crate::command::rows::{ALWAYS, Arity, Command, Error, SessionCx, help};
use crate::dialect::Dialect;
use crate::resp::{Args, Reply};
use crate::words::Plain;

use super::commands;

/// Default number of bits of a generated password.
const PASSWORD_BITS: i64 = 256;

/// Maximum number of bits of a generated password. Source: redis 7.0 acl.c, ACL GENPASS.
const PASSWORD_BITS_MAX: i64 = 4096;

/// Default number of entries that ACL LOG returns.
const LOG_ENTRIES: i64 = 10;

/// The subcommands.
pub(super) const ACL: Command =
    Command::container("acl", ROWS).about("6.0.0", "Shows and changes the users.");

const ROWS: &[Command] = &[
    row("whoami", Arity::exactly(2), ALWAYS, whoami).about("6.0.0", "Returns the user's name."),
    row("users", Arity::exactly(2), ADMIN, users).about("6.0.0", "Lists the users' names."),
    row("cat", Arity::at_least(2), ALWAYS, commands::acl_cat)
        .about("6.0.0", "Lists the categories, or the commands of one."),
    row("list", Arity::exactly(2), ADMIN, list)
        .about("6.0.0", "Lists the users as in the ACL file."),
    row("getuser", Arity::exactly(3), ADMIN, getuser).about("6.0.0", "Describes a user."),
    row("log", Arity::at_least(2), ADMIN, log)
        .about("6.0.0", "Returns what was denied, or forgets it.")
        .difference("Keeps at most 1 KiB of a key or name."),
    row("dryrun", Arity::at_least(4), ADMIN, dryrun)
        .about("7.0.0", "Says whether a user may run a command."),
    row("genpass", Arity::at_least(2), ALWAYS, genpass)
        .about("6.0.0", "Returns a random password."),
    row("load", Arity::exactly(2), ADMIN, load).about("6.0.0", "Reads the ACL file again.").difference(
        "Accepts the newest syntax, whatever the upstream's version. Keeps the password of `--requirepass` if the file has no line \
         for the user default.",
    ),
    row("save", Arity::exactly(2), ADMIN, save_users)
        .about("6.0.0", "Writes the users to the ACL file."),
    row("setuser", Arity::at_least(3), ADMIN, setuser)
        .about("6.0.0", "Creates or changes a user of this process, until ACL LOAD or a restart."),
    row("deluser", Arity::at_least(3), ADMIN, deluser)
        .about("6.0.0", "Deletes users, and closes their connections."),
    row("help", Arity::exactly(2), HELP, |cx, _| {
        help(cx, "ACL", ROWS)
    })
    .about("6.0.0", "Lists the subcommands."),
];

fn whoami(cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    let name = cx
        .session
        .login
        .as_ref()
        .map_or(DEFAULT, |login| &login.name);
    cx.reply.bulk(name);
    Ok(())
}

fn users(cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    bulks(cx.reply, &cx.host.users().names());
    Ok(())
}

fn list(cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    let lines = cx.host.users().lines(cx.reply.dialect());
    bulks(cx.reply, &lines);
    Ok(())
}

fn bulks(reply: &mut Reply, texts: &[impl AsRef<[u8]>]) {
    reply.array(texts.len());
    texts.iter().for_each(|text| reply.bulk(text.as_ref()));
}

fn getuser(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    let (users, dialect) = (cx.host.users(), cx.reply.dialect());
    match users.get(args.at(2)) {
        Some(account) => describe(cx.reply, &account, &users.units(dialect), dialect),
        None => cx.reply.null(),
    }
    Ok(())
}

fn describe(reply: &mut Reply, account: &Account, units: &Units, dialect: Dialect) {
    let has_selectors = dialect.has_subcommand_rows();
    reply.map(2 + selector_fields(dialect) + usize::from(has_selectors));
    reply.bulk(b"flags");
    let flags = account.flags(dialect, units);
    reply.set(flags.len());
    flags.iter().for_each(|flag| reply.bulk(flag.as_bytes()));
    reply.bulk(b"passwords");
    let hashes: Vec<String> = account.passwords.iter().map(|hash| hash.text()).collect();
    bulks(reply, &hashes);
    describe_selector(reply, &account.root, units, dialect);
    if has_selectors {
        reply.bulk(b"selectors");
        reply.array(account.selectors.len());
        for selector in &account.selectors {
            reply.map(selector_fields(dialect));
            describe_selector(reply, selector, units, dialect);
        }
    }
}

/// Returns the number of fields that [`describe_selector`] writes.
fn selector_fields(dialect: Dialect) -> usize {
    2 + usize::from(dialect.has_channel_patterns())
        + usize::from(dialect.has_database_permissions())
}

fn describe_selector(reply: &mut Reply, selector: &Selector, units: &Units, dialect: Dialect) {
    reply.bulk(b"commands");
    reply.bulk(selector.command_rules(dialect, units).as_bytes());
    reply.bulk(b"keys");
    patterns(reply, selector.key_patterns(), dialect);
    if dialect.has_channel_patterns() {
        reply.bulk(b"channels");
        patterns(reply, selector.channel_patterns(dialect), dialect);
    }
    if dialect.has_database_permissions() {
        reply.bulk(b"databases");
        // Unlike ACL LIST, this shows nothing for no database.
        let shown = selector.database_rule();
        reply.bulk(if shown == "resetdbs" {
            b""
        } else {
            shown.as_bytes()
        });
    }
}

/// Before Redis 7.0 patterns are a list, without the sign that says what they are for.
fn patterns(reply: &mut Reply, patterns: Vec<Vec<u8>>, dialect: Dialect) {
    if dialect.has_subcommand_rows() {
        return reply.bulk(&patterns.join(&b' '));
    }
    reply.array(patterns.len());
    for pattern in patterns {
        reply.bulk(pattern.get(1..).unwrap_or_default());
    }
}

fn log(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    let log = &cx.host.users().log;
    let most = match args.get(2) {
        Some(_) if args.len() > 3 => {
            let text = if cx.reply.dialect().has_subcommand_rows() {
                "ERR unknown subcommand or wrong number of arguments for '{}'. Try ACL HELP."
            } else {
                "ERR Unknown subcommand or wrong number of arguments for '{}'. Try ACL HELP."
            };
            return Err(Error::quoting(text, &[args.at(1)]));
        }
        Some(_) if args.is(2, "reset") => {
            log.clear();
            cx.reply.ok();
            return Ok(());
        }
        Some(count) => integer(count)?,
        None => LOG_ENTRIES,
    };
    let entries = log.newest(usize::try_from(most).unwrap_or(0));
    cx.reply.array(entries.len());
    entries.iter().for_each(|entry| show(cx.reply, entry));
    Ok(())
}

fn show(reply: &mut Reply, entry: &Logged) {
    let has_ids = reply.dialect().names_denied_user();
    reply.map(if has_ids { 10 } else { 7 });
    let number = |reply: &mut Reply, name: &str, value: u64| {
        reply.bulk(name.as_bytes());
        reply.integer(i64::try_from(value).unwrap_or(i64::MAX));
    };
    number(reply, "count", entry.count);
    for (name, value) in [
        ("reason", entry.denial.reason.word().as_bytes()),
        ("context", entry.denial.context.as_bytes()),
        ("object", &entry.denial.object),
        ("username", &entry.denial.user),
    ] {
        reply.bulk(name.as_bytes());
        reply.bulk(value);
    }
    reply.bulk(b"age-seconds");
    let age_ms = now_ms().saturating_sub(entry.updated_ms);
    reply.double(std::time::Duration::from_millis(age_ms).as_secs_f64());
    reply.bulk(b"client-info");
    reply.bulk(entry.client.as_bytes());
    if has_ids {
        number(reply, "entry-id", entry.id);
        number(reply, "timestamp-created", entry.created_ms);
        number(reply, "timestamp-last-updated", entry.updated_ms);
    }
}

fn dryrun(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    let (dialect, words) = (cx.reply.dialect(), args.from(3));
    let Some(rights) = cx.host.users().rights_of(args.at(2), dialect) else {
        return Err(Error::quoting("ERR User '{}' not found", &[args.at(2)]));
    };
    let not_found = || Error::quoting("ERR Command '{}' not found", &[args.at(3)]);
    let top = lookup(args.at(3))
        .filter(|row| dialect.has(row.presence))
        .ok_or_else(not_found)?;
    let row = match resolve_for(words, dialect) {
        Ok(row) => row,
        Err(error @ Error::Arity(_)) => return Err(error),
        Err(_) if words.len() == 1 => top,
        Err(_) => return Err(not_found()),
    };
    match rights.map_or(Ok(()), |rights| {
        permission::dry_run(&rights, row, words, cx.session.db)
    }) {
        Ok(()) => cx.reply.ok(),
        Err(why) => cx.reply.bulk(&why),
    }
    Ok(())
}

fn setuser(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    let name = args.at(2);
    if has_blanks(name) {
        return Err(Error::Text(
            "ERR Usernames can't contain spaces or null characters",
        ));
    }
    let rules: Vec<&[u8]> = args.from(3).iter().collect();
    let changed = cx.host.users().set(name, &rules, cx.reply.dialect());
    let narrowed = changed.map_err(|refused| match refused {
        Refused::Open(word) => Error::quoting(
            "ERR Unmatched parenthesis in acl selector starting at '{}'.",
            &[&word],
        ),
        Refused::Rule(rule, error) => Error::quoting(
            "ERR Error in ACL SETUSER modifier '{}': {}",
            &[&rule, error.to_string().as_bytes()],
        ),
    })?;
    close_subscribers(cx, narrowed.as_slice());
    follow(cx);
    cx.reply.ok();
    Ok(())
}

fn deluser(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    let names = args.from(2);
    if names.iter().any(|name| name == DEFAULT) {
        return Err(Error::Text("ERR The 'default' user cannot be removed"));
    }
    let deleted = cx.host.users().delete(names.iter());
    follow(cx);
    cx.reply.count(deleted);
    Ok(())
}

/// Closes the connections with a subscription that their user may not have any more, this one after its reply. The next change
/// may allow it again before their tasks run.
fn close_subscribers(cx: &mut SessionCx<'_>, narrowed: &[Narrowed]) {
    if narrowed.is_empty() {
        return;
    }
    let lost = cx.host.pubsub().clients_where(|kind, name, client| {
        let login = client.shown().login.clone();
        let login = login.as_deref();
        narrowed.iter().any(|user| user.forbids(login, kind, name))
    });
    if !cx.reply.dialect().frees_subscribers_later() {
        cx.host.pubsub().forget(&lost);
    }
    for client in lost {
        if client.id == cx.session.client.id {
            cx.session.closing = true;
        } else if cx.session.clock.is_some() {
            // The rest of the transaction may count it as a receiver.
            let inbox = client.shown().inbox.upgrade();
            inbox.into_iter().for_each(|inbox| inbox.shut());
            cx.session.leaving.add(client);
        } else {
            client.close.cancel();
        }
    }
}

/// Makes a change of users take effect: at once for this connection and for subscribers, and at their next request for the others. Connections of
/// deleted users are closed; this one after its reply.
fn follow(cx: &mut SessionCx<'_>) {
    let users = cx.host.users();
    let own = cx.session.client.id;
    for client in cx.host.clients() {
        let (login, inbox) = {
            let shown = client.shown();
            (shown.login.clone(), shown.inbox.upgrade())
        };
        let leaves = cx.session.leaving.has(&client);
        // It may be a subscriber that lost a channel.
        if let Some(inbox) = inbox.filter(|_| !leaves) {
            inbox.wake.notify_one();
        }
        let is_void = login.is_some_and(|login| !users.is_valid(&login));
        if is_void && client.id != own {
            client.close.cancel();
        }
    }
    cx.session.follow_users(users, cx.reply.dialect());
}

fn genpass(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    let bits = match args.get(2) {
        Some(word) => integer(word)?,
        None => PASSWORD_BITS,
    };
    if !(1..=PASSWORD_BITS_MAX).contains(&bits) || args.len() > 3 {
        return Err(Error::Text(
            "ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096",
        ));
    }
    let digits = (bits + 3) / 4;
    let mut secret = random_digits(usize::try_from(digits).unwrap_or_default())?;
    cx.reply.bulk(&secret);
    secret.fill(0);
    Ok(())
}

/// Returns hexadecimal digits from the system's source of randomness.
fn random_digits(count: usize) -> Result<Vec<u8>, Error> {
    use std::io::Read as _;
    let mut bytes = vec![0; count];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .map_err(|_| Error::Text("ERR cannot read random bytes from the system"))?;
    let digit = |byte: &u8| char::from_digit(u32::from(byte % 16), 16).map(|digit| digit as u8);
    Ok(bytes.iter().filter_map(digit).collect())
}

/// Returns the ACL file's path.
///
/// # Errors
/// The error of a server without one.
fn file<'a>(cx: &SessionCx<'a>) -> Result<&'a Path, Error> {
    cx.host.users().file().ok_or(Error::Text(if cx.reply.dialect().says_redis() {
        "ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER command \
         and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order to store users in the Redis \
         configuration."
    } else {
        "ERR This instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER command and \
         then issue a CONFIG REWRITE (assuming you have a configuration file set) in order to store users in the configuration."
    }))
}

fn load(cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    file(cx)?;
    let loaded = cx.host.users().load(cx.reply.dialect());
    let narrowed = loaded.map_err(|error| Error::Owned(format!("ERR {error}")))?;
    tracing::info!("read the ACL file again (ACL LOAD)");
    close_subscribers(cx, &narrowed);
    follow(cx);
    cx.reply.ok();
    Ok(())
}

fn save_users(cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    let path = file(cx)?;
    let mut text = cx.host.users().lines(cx.reply.dialect()).join(&b'\n');
    text.push(b'\n');
    if let Err(error) = save(path, &text) {
        tracing::warn!(
            path = %path.display(),
            error = %Plain(&error),
            "could not write the ACL file (ACL SAVE). redtail needs to write to its folder"
        );
        return Err(Error::Text(
            "ERR There was an error trying to save the ACLs. Please check the server logs for more information",
        ));
    }
    cx.reply.ok();
    Ok(())
}

//! ACL: there is one user, `default`, who may do everything.

use crate::command::dispatch::describe::commands;
use crate::command::dispatch::registry::lookup;
use crate::command::families::introspection::refused::{USERS, refused};
use crate::command::families::introspection::{ADMIN, HELP, row};
use crate::command::rows::parse::integer;
use crate::command::rows::{ALWAYS, Arity, Command, Error, SessionCx, help};
use crate::dialect::Dialect;
use crate::resp::{Args, Reply};

/// Default number of bits of a generated password.
const PASSWORD_BITS: i64 = 256;

/// Maximum number of bits of a generated password. Source: redis 7.0 acl.c, ACL GENPASS.
const PASSWORD_BITS_MAX: i64 = 4096;

/// The subcommands.
pub(super) const ACL: Command =
    Command::container("acl", ROWS).about("6.0.0", "Shows the only user and the categories.");

const ROWS: &[Command] = &[
    row("whoami", Arity::exactly(2), ALWAYS, whoami).about("6.0.0", "Returns the user's name."),
    row("users", Arity::exactly(2), ADMIN, users).about("6.0.0", "Lists the only user."),
    row("cat", Arity::at_least(2), ALWAYS, commands::acl_cat)
        .about("6.0.0", "Lists the categories, or the commands of one."),
    row("list", Arity::exactly(2), ADMIN, list)
        .about("6.0.0", "Describes the only user.")
        .difference("Passwords are not shown, not even as hashes."),
    row("getuser", Arity::exactly(3), ADMIN, getuser)
        .about("6.0.0", "Describes the only user.")
        .difference("Passwords are not shown, not even as hashes."),
    row("log", Arity::at_least(2), ADMIN, log)
        .about("6.0.0", "Returns nothing: the only user may do everything."),
    row("dryrun", Arity::at_least(4), ADMIN, dryrun)
        .about("7.0.0", "Confirms that the user may run a command."),
    row("genpass", Arity::at_least(2), ALWAYS, genpass)
        .about("6.0.0", "Returns a random password."),
    row("load", Arity::exactly(2), ADMIN, file).about("6.0.0", "Refused: there is no ACL file."),
    row("save", Arity::exactly(2), ADMIN, file).about("6.0.0", "Refused: there is no ACL file."),
    refused(("setuser", -3, "6.0.0")).difference(USERS),
    refused(("deluser", -3, "6.0.0")).difference(USERS),
    row("help", Arity::exactly(2), HELP, |cx, _| {
        help(cx, "ACL", ROWS)
    })
    .about("6.0.0", "Lists the subcommands."),
];

fn whoami(cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    cx.reply.bulk(b"default");
    Ok(())
}

fn users(cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    cx.reply.array(1);
    cx.reply.bulk(b"default");
    Ok(())
}

/// Returns the user's permissions in ACL syntax.
fn permissions(cx: &SessionCx<'_>) -> String {
    let dialect = cx.reply.dialect();
    let password = if cx.host.checks_password(b"").is_none() {
        " nopass"
    } else {
        ""
    };
    let sanitize = if dialect.shows_sanitize_payload() {
        " sanitize-payload"
    } else {
        ""
    };
    let channels = if dialect.has_channel_patterns() {
        " &*"
    } else {
        ""
    };
    format!("user default on{password}{sanitize} ~*{channels} +@all")
}

fn list(cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    let line = permissions(cx);
    cx.reply.array(1);
    cx.reply.bulk(line.as_bytes());
    Ok(())
}

/// Source: redis 6.0 and 7.0 acl.c, `aclCommand`; the field `databases` is Valkey 9.1's.
fn getuser(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    if args.at(2) != b"default" {
        cx.reply.null();
        return Ok(());
    }
    let nopass = cx.host.checks_password(b"").is_none();
    let dialect = cx.reply.dialect();
    if dialect.has_subcommand_rows() {
        describe(cx.reply, nopass, dialect);
    } else {
        describe_older(cx.reply, nopass);
    }
    Ok(())
}

fn describe(reply: &mut Reply, nopass: bool, dialect: Dialect) {
    let databases = dialect.has_database_permissions();
    reply.map(6 + usize::from(databases));
    let mut flags = vec!["on"];
    flags.extend(nopass.then_some("nopass"));
    flags.extend(
        dialect
            .shows_sanitize_payload()
            .then_some("sanitize-payload"),
    );
    reply.bulk(b"flags");
    reply.set(flags.len());
    flags.iter().for_each(|flag| reply.bulk(flag.as_bytes()));
    reply.bulk(b"passwords");
    reply.array(0);
    let mut fields = vec![("commands", "+@all"), ("keys", "~*"), ("channels", "&*")];
    fields.extend(databases.then_some(("databases", "alldbs")));
    pairs(reply, &fields);
    reply.bulk(b"selectors");
    reply.array(0);
}

fn describe_older(reply: &mut Reply, nopass: bool) {
    reply.map(4);
    let mut flags = vec!["on", "allkeys", "allcommands"];
    flags.extend(nopass.then_some("nopass"));
    reply.bulk(b"flags");
    reply.set(flags.len());
    flags.iter().for_each(|flag| reply.bulk(flag.as_bytes()));
    reply.bulk(b"passwords");
    reply.array(0);
    pairs(reply, &[("commands", "+@all")]);
    reply.bulk(b"keys");
    reply.array(1);
    reply.bulk(b"*");
}

fn pairs(reply: &mut Reply, fields: &[(&str, &str)]) {
    for (name, value) in fields {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    }
}

fn log(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    match args.get(2) {
        Some(_) if args.len() > 3 => return Err(Error::Syntax),
        Some(_) if args.is(2, "reset") => cx.reply.ok(),
        Some(count) => {
            integer(count)?;
            cx.reply.array(0);
        }
        None => cx.reply.array(0),
    }
    Ok(())
}

fn dryrun(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    if args.at(2) != b"default" {
        return Err(Error::quoting("ERR User '{}' not found", &[args.at(2)]));
    }
    let dialect = cx.reply.dialect();
    let row = lookup(args.at(3)).filter(|row| dialect.has(row.presence));
    let Some(row) = row else {
        return Err(Error::quoting("ERR Command '{}' not found", &[args.at(3)]));
    };
    if row.subcommands.is_empty() && !row.arity_in(dialect).fits(args.len() - 3) {
        return Err(Error::Arity(row.name.to_owned()));
    }
    cx.reply.ok();
    Ok(())
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

fn file(cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    Err(Error::Text(if cx.reply.dialect().says_redis() {
        "ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER command \
         and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order to store users in the Redis \
         configuration."
    } else {
        "ERR This instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER command and \
         then issue a CONFIG REWRITE (assuming you have a configuration file set) in order to store users in the configuration."
    }))
}

//! Resolves a request's words to a row, or to the error that says what is wrong with them.

use super::catalogue;
use super::registry::lookup;
use crate::command::families::foreign;
use crate::command::rows::error::c_string;
use crate::command::rows::{Command, Error};
use crate::dialect::Dialect;
use crate::resp::Args;

/// Maximum bytes of an unknown command's words that its error repeats. Source: redis 7.0 server.c, `processCommand`.
const UNKNOWN_ARGS_BYTES_MAX: usize = 128;

/// Finds the row that `args` names, a command or a subcommand, in whichever servers it exists. Does not check the
/// arity.
///
/// # Errors
/// The error reply for an unknown command or subcommand.
#[inline]
pub fn resolve(args: Args<'_>) -> Result<&'static Command, Error> {
    find(args, Dialect::default(), |_| true)
}

/// Finds the row that a client's words name, if a server of that dialect has it, and checks the number of words.
///
/// # Errors
/// That server's error reply for an unknown command or subcommand, or for a wrong number of words.
#[inline]
pub fn resolve_for(args: Args<'_>, dialect: Dialect) -> Result<&'static Command, Error> {
    let row = find(args, dialect, |row| dialect.has(row.presence))?;
    if row.arity_in(dialect).fits(args.len()) {
        return Ok(row);
    }
    lookup(args.at(0))
        .and_then(|container| keyed_subcommand(container, args, dialect))
        .ok_or_else(|| wrong_arity(row, args, dialect))
}

#[inline]
fn find(
    args: Args<'_>,
    dialect: Dialect,
    known: impl Fn(&Command) -> bool,
) -> Result<&'static Command, Error> {
    let command = lookup(args.at(0))
        .filter(|command| known(command))
        .ok_or_else(|| unknown_command(args, dialect))?;
    if command.subcommands.is_empty() {
        return Ok(command);
    }
    let Some(word) = args.get(1) else {
        // A container that does something on its own (COMMAND) is its own row.
        return if command.arity.fits(1) {
            Ok(command)
        } else {
            Err(Error::Arity(command.name.to_owned()))
        };
    };
    let found = command.subcommands.iter().find(|row| {
        word.eq_ignore_ascii_case(row.name.as_bytes()) && (known(row) || row.name == "help")
    });
    found
        .or_else(|| keyed_subcommand(command, args, dialect))
        .ok_or_else(|| unknown_subcommand(command, args, dialect))
}

/// Before servers had rows for subcommands, XINFO answered HELP whatever words followed, and looked up its key before
/// it checked for other subcommands. The row of XINFO STREAM does the same, and then replies that the subcommand is
/// unknown. Source: redis 6.0 t_stream.c, `xinfoCommand`.
#[cold]
fn keyed_subcommand(
    container: &'static Command,
    args: Args<'_>,
    dialect: Dialect,
) -> Option<&'static Command> {
    let looks_first = container.name == "xinfo" && args.len() > 2 && !dialect.has_subcommand_rows();
    let wanted = if args.is(1, "help") { "help" } else { "stream" };
    let mut rows = container.subcommands.iter();
    rows.find(|row| looks_first && row.name == wanted)
}

/// Returns the error reply for a name that no row has.
///
/// DIFFERENCE: a command of a well-known module gets redtail's own reason, whether or not the upstream has the module.
#[must_use]
#[cold]
pub fn unknown_command(args: Args<'_>, dialect: Dialect) -> Error {
    if foreign::is_name(args.at(0)) {
        return Error::Text(foreign::REFUSED);
    }
    let straight = dialect.quotes_straight();
    let (open, close, name_bytes): (&[u8], &[u8], usize) = if straight {
        (b"'", b"' ", UNKNOWN_ARGS_BYTES_MAX)
    } else {
        (b"`", b"`, ", usize::MAX)
    };
    if args.len() == 1 && dialect.ends_unknown_commands_early() {
        let name = c_string(args.at(0), name_bytes);
        return Error::Quoting([b"ERR unknown command '".as_slice(), name, b"'"].concat());
    }
    let mut shown = Vec::new();
    for word in args.from(1).iter() {
        if shown.len() >= UNKNOWN_ARGS_BYTES_MAX {
            break;
        }
        let word = c_string(word, UNKNOWN_ARGS_BYTES_MAX - shown.len());
        shown.extend([open, word, close].concat());
    }
    let name = c_string(args.at(0), name_bytes);
    let start: &[u8] = b"ERR unknown command ";
    let middle: &[u8] = b", with args beginning with: ";
    Error::Quoting([start, open, name, open, middle, &shown].concat())
}

#[cold]
fn unknown_subcommand(container: &Command, args: Args<'_>, dialect: Dialect) -> Error {
    if !dialect.has_subcommand_rows() {
        return older_subcommand_error(container, args);
    }
    let (word, name) = (
        c_string(args.at(1), UNKNOWN_ARGS_BYTES_MAX),
        container.name.to_uppercase(),
    );
    let start: &[u8] = b"ERR unknown subcommand '";
    let end = format!("'. Try {name} HELP.");
    Error::Quoting([start, word, end.as_bytes()].concat())
}

/// Returns the error of servers whose containers parsed their own arguments. Source: redis 6.0 networking.c,
/// `addReplySubcommandSyntaxError`, and the few commands with their own texts.
fn older_subcommand_error(container: &Command, args: Args<'_>) -> Error {
    let name = container.name.to_uppercase();
    let word = c_string(args.at(1), usize::MAX);
    let end = match container.name {
        "xgroup" => return crate::command::rows::error::READONLY,
        "cluster" => return Error::Text("ERR This instance has cluster support disabled"),
        "xinfo" if args.len() < 3 => return Error::Text("ERR syntax error, try 'XINFO HELP'"),
        "client" | "memory" => "",
        _ => ".",
    };
    let start: &[u8] = b"ERR Unknown subcommand or wrong number of arguments for '";
    let end = format!("'. Try {name} HELP{end}");
    Error::Quoting([start, word, end.as_bytes()].concat())
}

/// Checks the number of words.
///
/// # Errors
/// [`Error::Arity`], naming subcommands as `container|name`.
#[inline]
pub fn check_arity(command: &Command, args: Args<'_>) -> Result<(), Error> {
    if command.arity.fits(args.len()) {
        return Ok(());
    }
    Err(wrong_arity(command, args, Dialect::default()))
}

#[cold]
fn wrong_arity(command: &Command, args: Args<'_>, dialect: Dialect) -> Error {
    let container = lookup(args.at(0)).filter(|container| !std::ptr::eq(*container, command));
    match container {
        Some(container) if !dialect.has_subcommand_rows() => {
            older_subcommand_error(container, args)
        }
        Some(container) => Error::Arity(format!("{}|{}", container.name, command.name)),
        // Modules' commands have names in capitals.
        None => {
            let record = catalogue::record(command.name, dialect);
            let name = record.map_or(command.name, |record| record.name);
            Error::Arity(name.to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::ArgsBuf;

    fn error(line: &str, dialect: Dialect) -> String {
        let words = ArgsBuf::new(line.split(' '));
        resolve_for(words.as_args(), dialect)
            .map_or_else(|error| error.to_string(), |row| row.name.to_owned())
    }

    const OLD: Dialect = Dialect::redis(6, 0, 16);
    const NEW: Dialect = Dialect::redis(8, 0, 6);

    #[test]
    fn each_server_names_what_it_does_not_know_in_its_own_words() {
        assert_eq!(
            error("FOO a b", OLD),
            "ERR unknown command `FOO`, with args beginning with: `a`, `b`, "
        );
        assert_eq!(
            error("FOO a b", NEW),
            "ERR unknown command 'FOO', with args beginning with: 'a' 'b' "
        );
        assert_eq!(
            error("client foo", OLD),
            "ERR Unknown subcommand or wrong number of arguments for 'foo'. Try CLIENT HELP"
        );
        assert_eq!(
            error("config get", OLD),
            "ERR Unknown subcommand or wrong number of arguments for 'get'. Try CONFIG HELP."
        );
        assert_eq!(error("xinfo help k", OLD), "help");
        assert_eq!(error("xinfo nosuch k", OLD), "stream");
        assert_eq!(
            error("object help k", OLD),
            "ERR Unknown subcommand or wrong number of arguments for 'help'. Try OBJECT HELP."
        );
        assert_eq!(
            error("config get", NEW),
            "ERR wrong number of arguments for 'config|get' command"
        );
        assert_eq!(
            error("client foo", NEW),
            "ERR unknown subcommand 'foo'. Try CLIENT HELP."
        );
    }

    #[test]
    fn a_command_is_unknown_where_its_server_lacks_it() {
        let unknown = |line, dialect| error(line, dialect).contains("unknown command");
        assert!(unknown("smismember k a", OLD) && !unknown("smismember k a", NEW));
        assert!(unknown("httl k FIELDS 1 f", Dialect::redis(7, 2, 4)));
        assert!(unknown("httl k FIELDS 1 f", Dialect::valkey(8, 1, 1)));
        assert!(!unknown("httl k FIELDS 1 f", Dialect::valkey(9, 0, 0)));
        assert!(unknown("delifeq k v", NEW) && !unknown("delifeq k v", Dialect::valkey(9, 0, 0)));
    }

    #[test]
    fn the_words_that_a_command_takes_are_its_servers() {
        assert_eq!(
            error("zrank k m WITHSCORE", Dialect::redis(7, 0, 15)),
            "ERR wrong number of arguments for 'zrank' command"
        );
        assert_eq!(error("zrank k m WITHSCORE", NEW), "zrank");
    }
}

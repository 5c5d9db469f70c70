//! The settings of servers: names, kinds of values, defaults.
//!
//! The text holds what replicas of Redis 6.0, 7.0, 7.4, 8.0, 8.2 and of Valkey 8.1, 9.0, 9.1 answered to CONFIG GET and CONFIG SET,
//! one line for each distinct answer. A test asks the servers again.

use std::sync::OnceLock;

use crate::dialect::Dialect;
use crate::resp::parse_integer;
use crate::value::{SettingError, parse_bytes};

/// A line has: servers (letters as in the catalogue of commands), name, kind, and default, which may be empty or contain blanks.
/// A kind that begins with `u` is unsigned.
const TEXT: &str = include_str!("settings.txt");

/// A setting of some servers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    servers: &'static str,
    /// Its name in these servers.
    pub(super) name: &'static str,
    kind: &'static str,
    /// Its value if the operator sets none.
    pub(super) default: &'static str,
}

impl Known {
    fn parse(line: &'static str) -> Self {
        let mut words = line.splitn(4, ' ');
        let mut next = || words.next().unwrap_or_default();
        Self {
            servers: next(),
            name: next(),
            kind: next(),
            default: next(),
        }
    }

    /// Returns why a running server never changes it, or `None` if it can.
    pub(super) fn fixed(&self) -> Option<&'static str> {
        match self.kind {
            "fixed" => Some("can't set immutable config"),
            "protected" => Some("can't set protected config"),
            _ => None,
        }
    }

    /// Parses a value as a server of `dialect` does, and returns it as CONFIG GET shows it. Does not check the value of a
    /// `special` kind; the code that knows the setting does.
    ///
    /// # Errors
    /// The server's error text.
    pub(super) fn read(&self, text: &[u8], dialect: Dialect) -> Result<String, String> {
        let (kind, rest) = self.kind.split_once(':').unwrap_or((self.kind, ""));
        match kind {
            "bool" => yes_or_no(text),
            "enum" => one_of(text, rest, dialect),
            "enums" => some_of(text, rest),
            "int" => number(integer(text, rest)),
            "uint" => number(integer(text, rest).map_err(|error| error.of_unsigned(text, dialect))),
            "bytes" => number(parse_bytes(text, &range(rest), dialect)),
            "ubytes" => number(
                parse_bytes(text, &range(rest), dialect)
                    .map_err(|error| error.of_unsigned(text, dialect)),
            ),
            "bytes-or-percent" => bytes_or_percent(text, dialect),
            _ => Ok(String::from_utf8_lossy(text).into_owned()),
        }
    }
}

/// Returns the settings, by name, of a server of that dialect, or else of the nearest server in `TEXT`.
pub(super) fn all(dialect: Dialect) -> impl Iterator<Item = &'static Known> {
    static LINES: OnceLock<Vec<Known>> = OnceLock::new();
    let lines = LINES.get_or_init(|| TEXT.lines().map(Known::parse).collect());
    let letter = dialect.asked_server();
    lines
        .iter()
        .filter(move |known| known.servers.contains(letter))
}

/// Returns the setting that a server of that dialect calls `name`, in any letter case.
pub(super) fn find(name: &[u8], dialect: Dialect) -> Option<&'static Known> {
    all(dialect).find(|known| name.eq_ignore_ascii_case(known.name.as_bytes()))
}

/// Older and other names, each with redtail's name for the setting. Those of encodings are listed with their settings.
const ALIASES: &[(&str, &str)] = &[
    ("cluster-slave-no-failover", "cluster-replica-no-failover"),
    (
        "cluster-slave-validity-factor",
        "cluster-replica-validity-factor",
    ),
    (
        "commandlog-execution-slower-than",
        "slowlog-log-slower-than",
    ),
    ("commandlog-slow-execution-max-len", "slowlog-max-len"),
    ("lua-time-limit", "busy-reply-threshold"),
    ("min-slaves-max-lag", "min-replicas-max-lag"),
    ("min-slaves-to-write", "min-replicas-to-write"),
    ("primaryauth", "masterauth"),
    ("primaryuser", "masteruser"),
    ("repl-ping-slave-period", "repl-ping-replica-period"),
    ("slave-announce-ip", "replica-announce-ip"),
    ("slave-announce-port", "replica-announce-port"),
    ("slave-ignore-maxmemory", "replica-ignore-maxmemory"),
    ("slave-lazy-flush", "replica-lazy-flush"),
    ("slave-priority", "replica-priority"),
    ("slave-read-only", "replica-read-only"),
    ("slave-serve-stale-data", "replica-serve-stale-data"),
    ("slaveof", "replicaof"),
];

/// Returns redtail's name for a setting.
pub(super) fn own_name(name: &'static str) -> &'static str {
    let alias = ALIASES.iter().find(|(alias, _)| *alias == name);
    alias.map_or(name, |(_, own)| own)
}

fn range(text: &str) -> std::ops::RangeInclusive<i64> {
    let (least, most) = text.split_once(':').unwrap_or(("", ""));
    least.parse().unwrap_or(0)..=most.parse().unwrap_or(i64::MAX)
}

fn yes_or_no(text: &[u8]) -> Result<String, String> {
    let mut words = ["yes", "no"].into_iter();
    let found = words.find(|word| text.eq_ignore_ascii_case(word.as_bytes()));
    found
        .map(str::to_owned)
        .ok_or_else(|| "argument must be 'yes' or 'no'".to_owned())
}

fn integer(text: &[u8], bounds: &str) -> Result<i64, SettingError> {
    let number = parse_integer(text).ok_or(SettingError::NotInteger)?;
    let range = range(bounds);
    if range.contains(&number) {
        Ok(number)
    } else {
        Err(SettingError::Range(*range.start(), *range.end()))
    }
}

/// Returns a number, or why it is none, as text.
fn number(read: Result<i64, SettingError>) -> Result<String, String> {
    read.map(|number| number.to_string())
        .map_err(|error| error.to_string())
}

fn one_of(text: &[u8], names: &'static str, dialect: Dialect) -> Result<String, String> {
    let mut known = names.split(',');
    let found = known.find(|name| text.eq_ignore_ascii_case(name.as_bytes()));
    found.map(str::to_owned).ok_or_else(|| {
        let argument = if dialect.sets_several_settings() {
            "argument(s)"
        } else {
            "argument"
        };
        wrong_name(argument, names)
    })
}

fn wrong_name(argument: &str, names: &str) -> String {
    format!(
        "{argument} must be one of the following: {}",
        names.replace(',', ", ")
    )
}

/// Parses several names, separated by blanks.
fn some_of(text: &[u8], names: &'static str) -> Result<String, String> {
    let words = || {
        text.split(|byte| *byte == b' ')
            .filter(|word| !word.is_empty())
    };
    let is = |word: &[u8], name: &str| word.eq_ignore_ascii_case(name.as_bytes());
    let known = |word: &[u8]| names.split(',').any(|name| is(word, name));
    if words().next().is_none() || !words().all(known) {
        return Err(wrong_name("argument(s)", names));
    }
    let given = names
        .split(',')
        .filter(|name| words().any(|word| is(word, name)));
    Ok(given.collect::<Vec<_>>().join(" "))
}

fn bytes_or_percent(text: &[u8], dialect: Dialect) -> Result<String, String> {
    let wrong = || "argument must be a memory or percent value".to_owned();
    if let Some(number) = text.strip_suffix(b"%") {
        let percent = parse_integer(number).filter(|percent| *percent >= 0);
        return percent
            .map(|percent| format!("{percent}%"))
            .ok_or_else(wrong);
    }
    let bytes = parse_bytes(text, &(0..=i64::MAX), dialect).map_err(|_| wrong())?;
    Ok(bytes.to_string())
}

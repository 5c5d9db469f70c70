//! What servers report about their commands in COMMAND: arity, flags, keys, ACL categories, tips and key
//! specifications.
//!
//! The text contains the actual answers of Redis 6.0, 7.0, 7.4, 8.0, 8.2 and Valkey 8.1, 9.0, 9.1, one line for each
//! distinct answer; a test compares it with the servers. The rows of the table decide what redtail does with a command and which
//! servers have it. This text holds what only COMMAND shows.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::OnceLock;

use super::registry::lookup;
use crate::command::rows::Command;
use crate::dialect::Dialect;
use crate::resp::{Args, parse_integer};

/// A line consists of: servers, name (`container|subcommand`), group, arity, flags, first key, last key and step,
/// categories, tips, key specifications; `-` for none. The servers are `6` for Redis 6.0, `7` for 7.0, `4` for 7.4, `8` for
/// 8.0, `2` for 8.2, `x` for what differs in 8.6, and `9` for commands added after 8.2; `v` for Valkey 8.1, `w` for 9.0 and `V` for
/// 9.1. A key specification consists of its flags, where the search begins, and how keys are found from there.
const TEXT: &str = include_str!("catalogue.txt");

/// What one server reports about one command.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record {
    servers: &'static str,
    /// The name in the server's own case.
    pub(crate) name: &'static str,
    /// Its group in COMMAND DOCS.
    pub(crate) group: &'static str,
    arity: &'static str,
    flags: &'static str,
    keys: &'static str,
    categories: &'static str,
    tips: &'static str,
    specs: &'static str,
}

impl Record {
    /// Parses a line; missing words are empty.
    fn parse(line: &'static str) -> Self {
        let mut words = line
            .split(' ')
            .map(|word| if word == "-" { "" } else { word });
        let mut next = || words.next().unwrap_or_default();
        Self {
            servers: next(),
            name: next(),
            group: next(),
            arity: next(),
            flags: next(),
            keys: next(),
            categories: next(),
            tips: next(),
            specs: next(),
        }
    }

    /// Returns the number of words, negative for a minimum.
    pub(crate) fn arity(&self) -> i64 {
        number(self.arity)
    }

    /// Returns the flags.
    pub(crate) fn flags(&self) -> impl Iterator<Item = &'static str> + Clone + use<> {
        list(self.flags, ',')
    }

    /// Returns first key, last key and step, which COMMAND has always reported.
    pub(crate) fn keys(&self) -> impl Iterator<Item = i64> + use<> {
        list(self.keys, ',').map(number)
    }

    /// Returns the ACL categories, without the `@`.
    pub(crate) fn categories(&self) -> impl Iterator<Item = &'static str> + Clone + use<> {
        list(self.categories, ',')
    }

    /// Returns the hints for cluster clients.
    pub(crate) fn tips(&self) -> impl Iterator<Item = &'static str> + Clone + use<> {
        list(self.tips, ',')
    }

    /// Returns the key specifications.
    pub(crate) fn specs(&self) -> impl Iterator<Item = Spec> + Clone + use<> {
        list(self.specs, ';').map(Spec::parse)
    }
}

/// A key specification.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spec {
    flags: &'static str,
    begin: &'static str,
    find: &'static str,
}

impl Spec {
    fn parse(text: &'static str) -> Self {
        let mut parts = text.split('/');
        let mut next = || parts.next().unwrap_or_default();
        Self {
            flags: next(),
            begin: next(),
            find: next(),
        }
    }

    /// Whether it finds keys, and not channels.
    pub(crate) fn is_of_keys(self) -> bool {
        self.flags().all(|flag| flag != "not_key")
    }

    /// Returns the words that are keys; `None` if the specification does not apply to these words. Source: redis 7.0 db.c,
    /// `getKeysUsingKeySpecs`.
    pub(crate) fn words(self, args: Args<'_>) -> Option<impl Iterator<Item = usize> + use<>> {
        let count = i64::try_from(args.len()).ok()?;
        let first = self.first(args, count)?;
        let (kind, values) = self.find();
        let mut values = values.map(number);
        let mut next = || values.next().unwrap_or(0);
        let (first, last, step) = match kind {
            "range" => {
                let (last, step, limit) = (next(), next(), next());
                let end = match (last, limit) {
                    (0.., _) => first + last,
                    (_, 0) => count + last,
                    _ => first + (count - first) / limit + last,
                };
                (first, end, step)
            }
            "keynum" => {
                let (at, begin, step) = (next(), next(), next());
                let keys = args
                    .get(usize::try_from(first + at).ok()?)
                    .and_then(parse_integer)?;
                if !(0..=count).contains(&keys) {
                    return None;
                }
                (first + begin, first + begin + (keys - 1) * step, step)
            }
            _ => return None,
        };
        if last >= count || last < first || first >= count {
            return None;
        }
        let (first, last) = (usize::try_from(first).ok()?, usize::try_from(last).ok()?);
        Some((first..=last).step_by(usize::try_from(step).ok()?.max(1)))
    }

    /// Returns the first word, from which keys are found.
    fn first(self, args: Args<'_>, count: i64) -> Option<i64> {
        let (kind, mut values) = self.begin();
        let word = values.next()?;
        if kind == "index" {
            return Some(number(word));
        }
        let from = values.next().map_or(0, number);
        let is_word =
            |at: &i64| usize::try_from(*at).is_ok_and(|at| args.is(at, &word.to_ascii_lowercase()));
        let found = if from > 0 {
            (from..count - 1).find(is_word)
        } else {
            (2..=count + from).rev().find(is_word)
        };
        found.filter(|_| kind == "keyword").map(|at| at + 1)
    }

    /// Returns what the command does to these keys.
    pub(crate) fn flags(self) -> impl Iterator<Item = &'static str> + Clone {
        list(self.flags, ',')
    }

    /// Returns where the search begins: the kind, and its values.
    pub(crate) fn begin(self) -> (&'static str, impl Iterator<Item = &'static str> + Clone) {
        kind(self.begin)
    }

    /// Returns how keys are found from there: the kind, and its values.
    pub(crate) fn find(self) -> (&'static str, impl Iterator<Item = &'static str> + Clone) {
        kind(self.find)
    }
}

fn kind(text: &'static str) -> (&'static str, impl Iterator<Item = &'static str> + Clone) {
    let (kind, values) = text.split_once(':').unwrap_or((text, ""));
    (kind, list(values, ':'))
}

fn list(text: &'static str, separator: char) -> impl Iterator<Item = &'static str> + Clone {
    text.split(separator).filter(|word| !word.is_empty())
}

fn number(text: &str) -> i64 {
    text.parse().unwrap_or(0)
}

/// Returns all lines, in the text's order.
fn lines() -> impl Iterator<Item = Record> {
    TEXT.lines().map(Record::parse)
}

/// Returns what a server of that dialect reports about `name` (`get`, `client|kill`, in lower case). For a version
/// between those recorded, the nearest one counts.
pub(crate) fn record(name: &str, dialect: Dialect) -> Option<&'static Record> {
    static INDEX: OnceLock<HashMap<String, Vec<Record>>> = OnceLock::new();
    let index = INDEX.get_or_init(|| {
        let mut index: HashMap<String, Vec<Record>> = HashMap::new();
        for record in lines() {
            index
                .entry(record.name.to_ascii_lowercase())
                .or_default()
                .push(record);
        }
        index
    });
    let records = index.get(name)?;
    dialect.catalogue_columns().chars().find_map(|server| {
        records
            .iter()
            .find(|record| record.servers.contains(server))
    })
}

/// Returns whether a server of that dialect gives `flag` to the command that `args` names, whose row is `row`.
#[must_use]
pub fn flagged(args: Args<'_>, row: &Command, dialect: Dialect, flag: &str) -> bool {
    let container = lookup(args.at(0)).filter(|found| !std::ptr::eq(*found, row));
    let name = match container {
        Some(container) if dialect.has_subcommand_rows() => {
            Cow::Owned(format!("{}|{}", container.name, row.name))
        }
        Some(container) => Cow::Borrowed(container.name),
        None => Cow::Borrowed(row.name),
    };
    record(&name, dialect).is_some_and(|record| record.flags().any(|known| known == flag))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::all;

    const NEWEST: Dialect = Dialect::valkey(9, 1, 2);

    /// Returns all rows with their names in COMMAND.
    fn rows() -> impl Iterator<Item = (String, &'static Command)> {
        all().flat_map(|(_, row)| {
            let subs = row.subcommands.iter();
            let subs = subs.map(move |sub| (format!("{}|{}", row.name, sub.name), sub));
            std::iter::once((row.name.to_owned(), row)).chain(subs)
        })
    }

    /// These take more words in some versions, and are refused with any number. Commands of modules count their words
    /// themselves.
    const REFUSED_ANYHOW: &[&str] = &["cluster|replicate", "script|debug", "psync"];

    #[test]
    fn every_row_is_in_the_catalogue() {
        // redtail's own commands have no server that reports anything about them.
        for (name, _) in rows().filter(|(name, _)| !name.starts_with("redtail.")) {
            assert!(record(&name, NEWEST).is_some(), "{name} has no line");
        }
    }

    #[test]
    fn every_command_of_the_catalogue_has_a_row() {
        let rows: std::collections::HashSet<String> = rows().map(|(name, _)| name).collect();
        for record in lines() {
            let name = record.name.to_ascii_lowercase();
            assert!(rows.contains(&name), "{name} has no row");
        }
    }

    #[test]
    fn rows_take_as_many_words_as_their_servers_say() {
        for dialect in [
            Dialect::redis(6, 0, 16),
            Dialect::redis(7, 0, 15),
            Dialect::redis(7, 4, 1),
            Dialect::redis(8, 0, 6),
            Dialect::redis(8, 2, 3),
            Dialect::valkey(8, 1, 1),
            NEWEST,
        ] {
            for (name, row) in rows().filter(|(_, row)| dialect.has(row.presence)) {
                let Some(said) = record(&name, dialect) else {
                    continue;
                };
                let is_counted = said.group != "module" && !REFUSED_ANYHOW.contains(&&*name);
                if is_counted && (!name.contains('|') || dialect.has_subcommand_rows()) {
                    let own = i64::from(row.arity_in(dialect).number());
                    assert_eq!(own, said.arity(), "{name} in {dialect:?}");
                }
            }
        }
    }

    #[test]
    fn rows_are_present_where_their_servers_have_them() {
        for (dialect, letter) in [
            (Dialect::redis(6, 0, 16), '6'),
            (Dialect::redis(7, 0, 15), '7'),
            (Dialect::redis(7, 4, 1), '4'),
            (Dialect::redis(8, 0, 6), '8'),
            (Dialect::redis(8, 2, 3), '2'),
            (Dialect::valkey(8, 1, 1), 'v'),
            (Dialect::valkey(9, 0, 0), 'w'),
            (NEWEST, 'V'),
        ] {
            let has = |name: &str| {
                lines().any(|line| {
                    line.name.eq_ignore_ascii_case(name) && line.servers.contains(letter)
                })
            };
            for (name, row) in rows() {
                if name.contains('|') && letter == '6' {
                    continue;
                }
                let listed = dialect.has(row.presence) && dialect.lists(row.name);
                assert_eq!(listed, has(&name), "{name} in {dialect:?}");
            }
        }
    }
}

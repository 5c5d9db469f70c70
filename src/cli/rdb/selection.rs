//! Which keys of a dump a subcommand works on.

use std::num::NonZeroU64;

use regex_automata::meta::Regex;
use regex_automata::util::syntax;

use crate::command::glob::Glob;
use crate::dialect::Dialect;
use crate::dump::{Key, Value};
use crate::store::{CLUSTER_SLOTS, cluster_slot};

/// Which keys to take: those that meet every condition.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Which keys")]
pub(super) struct Selection {
    /// Only keys that match this glob, as SCAN MATCH reads it; if given several times, any of them
    #[arg(long = "match", value_name = "GLOB")]
    pub globs: Vec<String>,
    /// Only keys in which this regular expression matches: ^ and $ anchor it
    #[arg(long, value_name = "REGEX")]
    pub regex: Option<String>,
    /// No keys that match this glob; if given several times, none that match any of them
    #[arg(long, value_name = "GLOB")]
    pub except: Vec<String>,
    /// Only values of this type, in the words of TYPE; if given several times, any of them
    #[arg(long = "type", value_name = "TYPE")]
    pub types: Vec<String>,
    /// Only this database; if given several times, any of them
    #[arg(long = "db", value_name = "N")]
    pub databases: Vec<u64>,
    /// Only keys of these slots of a cluster: a number, or two with a hyphen between; if given several times, any of them
    #[arg(long = "slots", value_name = "FIRST-LAST")]
    pub slots: Vec<Slots>,
    /// Only keys that take at least this many bytes in the dump, such as 1024, 64kb or 1mb
    #[arg(long, value_name = "BYTES", value_parser = size)]
    pub min_bytes: Option<u64>,
    /// Only keys that take at most this many bytes in the dump
    #[arg(long, value_name = "BYTES", value_parser = size)]
    pub max_bytes: Option<u64>,
    /// Only keys with (yes) or without (no) an expiry
    #[arg(long, value_name = "YES|NO", value_parser = yes_or_no)]
    pub expires: Option<bool>,
    /// No keys that have expired by now
    #[arg(long)]
    pub not_expired: bool,
}

/// A range of slots, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slots(u16, u16);

impl std::str::FromStr for Slots {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let number = |text: &str| text.parse().ok().filter(|slot| *slot < CLUSTER_SLOTS);
        match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => Ok(Self(first, last)),
            _ => Err("give a slot from 0 to 16383, or a range such as 0-5460".to_owned()),
        }
    }
}

fn size(text: &str) -> Result<u64, String> {
    let lower = text.to_ascii_lowercase();
    let digits = lower.trim_end_matches(|char: char| char.is_ascii_alphabetic());
    let unit = match lower.get(digits.len()..) {
        Some("" | "b") => Some(1),
        Some("k" | "kb") => Some(1 << 10),
        Some("m" | "mb") => Some(1 << 20),
        Some("g" | "gb") => Some(1_u64 << 30),
        _ => None,
    };
    let number = digits.parse::<u64>().ok();
    let bytes = unit
        .zip(number)
        .and_then(|(unit, number)| number.checked_mul(unit));
    bytes.ok_or_else(|| "give a number of bytes, such as 1024, 64kb or 1mb".to_owned())
}

/// A number of bytes per second.
pub(super) fn rate(text: &str) -> Result<NonZeroU64, String> {
    let bytes = size(text)?;
    NonZeroU64::new(bytes).ok_or_else(|| "give more than 0 bytes per second".to_owned())
}

fn yes_or_no(text: &str) -> Result<bool, String> {
    match text {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err("give yes or no".to_owned()),
    }
}

/// A selection that is ready to be asked.
pub(super) struct Selector<'s> {
    selection: &'s Selection,
    globs: Vec<Glob<'s>>,
    except: Vec<Glob<'s>>,
    regex: Option<Regex>,
    now_ms: i64,
}

impl Selection {
    /// Prepares the selection.
    ///
    /// # Errors
    /// What is wrong with the regular expression.
    pub(super) fn prepare(&self) -> Result<Selector<'_>, String> {
        let regex = self.regex.as_deref().map(|pattern| {
            let bytes = syntax::Config::new().utf8(false).unicode(false);
            let built = Regex::builder().syntax(bytes).build(pattern);
            built.map_err(|error| match error.syntax_error() {
                Some(syntax) => format!("--regex: {syntax}"),
                None => format!("--regex: {error}"),
            })
        });
        Ok(Selector {
            selection: self,
            globs: prepared(&self.globs),
            except: prepared(&self.except),
            regex: regex.transpose()?,
            now_ms: super::now_ms(),
        })
    }
}

fn prepared(patterns: &[String]) -> Vec<Glob<'_>> {
    let bytes = patterns.iter().map(String::as_bytes);
    bytes
        .map(|glob| Glob::new(glob, Dialect::default()))
        .collect()
}

impl Selector<'_> {
    /// Whether to take a key.
    pub(super) fn takes(&self, key: &Key<'_>) -> bool {
        let Selection {
            databases,
            types,
            slots,
            min_bytes,
            max_bytes,
            expires,
            not_expired,
            ..
        } = self.selection;
        let any = |globs: &[Glob<'_>]| globs.iter().any(|glob| glob.matches(key.name));
        (databases.is_empty() || databases.contains(&key.db))
            && (types.is_empty() || types.iter().any(|name| is_type(&key.value, name)))
            && min_bytes.is_none_or(|least| key.file_bytes >= least)
            && max_bytes.is_none_or(|most| key.file_bytes <= most)
            && expires.is_none_or(|expires| expires == key.expire_at_ms.is_some())
            && !(*not_expired && key.expire_at_ms.is_some_and(|at| at <= self.now_ms))
            && (self.globs.is_empty() || any(&self.globs))
            && !any(&self.except)
            && self
                .regex
                .as_ref()
                .is_none_or(|regex| regex.is_match(key.name))
            && (slots.is_empty() || {
                let slot = cluster_slot(key.name);
                slots
                    .iter()
                    .any(|Slots(first, last)| (*first..=*last).contains(&slot))
            })
    }
}

fn is_type(value: &Value<'_>, name: &str) -> bool {
    match value {
        Value::Module(module) => name == module.type_name() || name == "module",
        other => name == other.kind(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::dump;

    fn taken(selection: &Selection) -> Vec<String> {
        let selector = selection.prepare().unwrap();
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/redis-7.0.rdb");
        let mut taken = Vec::new();
        let mut take = |key: Key<'_>| {
            if selector.takes(&key) {
                taken.push(format!("{}:{}", key.db, String::from_utf8_lossy(key.name)));
            }
            Ok(())
        };
        dump::read_file(file, &mut take).unwrap();
        taken
    }

    #[test]
    fn each_condition_takes_fewer_and_all_must_be_met() {
        let all = taken(&Selection::default());
        let strings = Selection {
            types: vec!["string".to_owned()],
            ..Selection::default()
        };
        let lists = Selection {
            types: vec!["list".to_owned()],
            ..Selection::default()
        };
        let both = Selection {
            types: vec!["string".to_owned(), "list".to_owned()],
            ..Selection::default()
        };
        let (strings, lists) = (taken(&strings), taken(&lists));
        assert!(!strings.is_empty() && !lists.is_empty());
        assert_eq!(taken(&both).len(), strings.len() + lists.len());
        let with = |expires| {
            taken(&Selection {
                expires: Some(expires),
                ..Selection::default()
            })
            .len()
        };
        assert_eq!(with(true) + with(false), all.len());
        assert!(with(true) > 0);
        let halves = ["0-8191", "8192-16383"].map(|slots| {
            taken(&Selection {
                slots: vec![slots.parse().unwrap()],
                ..Selection::default()
            })
            .len()
        });
        assert_eq!(halves.iter().sum::<usize>(), all.len());
        let first = all.first().unwrap().split_once(':').unwrap().1.to_owned();
        let glob = Selection {
            globs: vec![first.clone()],
            ..Selection::default()
        };
        assert!(taken(&glob).iter().all(|key| key.ends_with(&first)));
        let except = Selection {
            except: vec![first],
            ..Selection::default()
        };
        assert_eq!(taken(&glob).len() + taken(&except).len(), all.len());
    }

    #[test]
    fn wrong_conditions_are_errors_that_say_what_to_give() {
        for wrong in ["16384", "5-4", "a", ""] {
            assert!(wrong.parse::<Slots>().is_err(), "{wrong}");
        }
        assert_eq!(size("64kb"), Ok(65536));
        assert!(size("-1").is_err() && size("1x").is_err() && size("99999999999g").is_err());
        let selection = Selection {
            regex: Some("(".to_owned()),
            ..Selection::default()
        };
        assert!(selection.prepare().err().unwrap().starts_with("--regex: "));
    }
}

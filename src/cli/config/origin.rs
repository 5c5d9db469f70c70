//! Where each setting comes from.

use std::fmt;

use clap::ArgMatches;
use clap::parser::ValueSource;

use super::file::{ConfigFile, Entry};
use super::{FIELDS, Field, field_of};
use crate::cli::Failure;

/// Where a setting comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// A flag, with its dashes.
    Flag(String),
    /// A variable.
    Variable(&'static str),
    /// A place in the configuration file.
    File(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(f, "flag {name}"),
            Self::Variable(name) => write!(f, "variable {name}"),
            Self::File(place) => f.write_str(place),
        }
    }
}

/// A setting that was given.
pub(super) struct Given {
    pub(super) field: &'static Field,
    pub(super) origin: Origin,
    /// The values as they were written; `None` if they are not text.
    pub(super) values: Option<Vec<String>>,
}

/// The settings that were given, in the order of their declaration.
pub struct Origins(Vec<Given>);

impl Origins {
    /// Returns where the settings of a command that has all of them come from.
    #[must_use]
    pub fn new(matches: &ArgMatches, file: Option<&ConfigFile>) -> Self {
        let entries = file.map(ConfigFile::entries).unwrap_or_default();
        let given = FIELDS.iter().filter_map(|field| {
            let origin = match matches.value_source(field.name) {
                Some(ValueSource::CommandLine) => Origin::Flag(field.flag()),
                Some(ValueSource::EnvVariable) => Origin::Variable(field.variable),
                _ => return in_file(field, &entries),
            };
            let raw = matches.get_raw(field.name).into_iter().flatten();
            let values = raw.map(|value| value.to_str().map(str::to_owned));
            Some(Given {
                field,
                origin,
                values: values.collect(),
            })
        });
        Self(given.collect())
    }

    pub(super) fn of(&self, field: &Field) -> Option<&Given> {
        self.0.iter().find(|given| given.field.name == field.name)
    }

    /// Returns the failure with the places of the settings that it names.
    #[must_use]
    pub fn located(&self, failure: Failure) -> Failure {
        match failure {
            Failure::Usage(what) => Failure::Usage(self.locate(&what)),
            other @ Failure::Runtime(_) => other,
        }
    }

    /// Returns the place of the first secret in the configuration file.
    #[must_use]
    pub fn secret_in_file(&self) -> Option<&str> {
        self.0.iter().find_map(|given| match &given.origin {
            Origin::File(place) if given.field.is_secret => Some(place.as_str()),
            _ => None,
        })
    }

    /// Returns the message with the places of the settings that it names before it.
    #[must_use]
    pub fn locate(&self, message: &str) -> String {
        let is_named = |given: &&Given| names(message, &given.field.flag());
        let places: Vec<String> = self
            .0
            .iter()
            .filter(is_named)
            .map(|given| given.origin.to_string())
            .collect();
        match places.as_slice() {
            [] => message.to_owned(),
            places => format!("{}: {message}", places.join(" and ")),
        }
    }
}

/// Returns the setting as the file writes it.
fn in_file(field: &'static Field, entries: &[Entry]) -> Option<Given> {
    let is_it = |entry: &&Entry| field_of(&entry.key).is_some_and(|own| own.name == field.name);
    let entry = entries.iter().find(is_it)?;
    Some(Given {
        field,
        origin: Origin::File(entry.place.clone()),
        values: Some(entry.values.clone()),
    })
}

/// Whether a message names that flag. A name that ends in `…` stands for all flags that begin so.
fn names(message: &str, flag: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '…';
    message
        .split(|c: char| !is_part(c))
        .any(|word| match word.strip_suffix("-…") {
            Some(start) => start.len() > 2 && flag.starts_with(start),
            None => word == flag,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_whole_flags_and_groups() {
        let said = "--resync-guard keeps both, so it needs --resync-memory two-copies";
        assert!(names(said, "--resync-guard") && names(said, "--resync-memory"));
        assert!(!names(said, "--resync-guard-timeout"));
        assert!(names(
            "the --tls-… settings need rediss://",
            "--tls-key-file"
        ));
        assert!(!names(
            "the --tls-… settings need rediss://",
            "--track-access"
        ));
        assert!(!names("the … of --…", "--primary"));
    }
}

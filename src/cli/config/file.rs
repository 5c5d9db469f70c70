//! The configuration file. A message about a mistake in it names the line, the key and what to write, but never the value.

use std::ops::Range;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::near::nearest;
use super::{Settings, field_of, keys};
use crate::cli::Failure;
use crate::words::Plain;

/// Reads the settings in `file`.
///
/// # Errors
/// [`Failure::Usage`] if the file cannot be read, or with the place and the reason. The message never quotes the value, which
/// may be a password.
#[cfg(test)]
pub(super) fn file(file: &Path) -> Result<Settings, Failure> {
    ConfigFile::read(file)?.settings()
}

/// The text of a configuration file.
pub struct ConfigFile {
    path: PathBuf,
    text: String,
}

/// A key in the file.
pub(super) struct Entry {
    /// The key, perhaps under an old name.
    pub(super) key: String,
    /// Where the key is: `file:line:column`.
    pub(super) place: String,
    /// The value as texts: one, or those of a list.
    pub(super) values: Vec<String>,
}

impl ConfigFile {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// [`Failure::Usage`] if it cannot be read.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            let shown = path.display();
            let reason = match error.kind() {
                std::io::ErrorKind::InvalidData => "it is not a text in UTF-8".to_owned(),
                std::io::ErrorKind::NotFound => {
                    format!("{}. Check --config and REDTAIL_CONFIG", Plain(&error))
                }
                _ => Plain(&error).to_string(),
            };
            Failure::Usage(format!(
                "cannot read the configuration file {shown}: {reason}"
            ))
        })?;
        let path = path.to_owned();
        Ok(Self { path, text })
    }

    /// Returns the settings.
    ///
    /// # Errors
    /// [`Failure::Usage`] with the first mistake.
    pub fn settings(&self) -> Result<Settings, Failure> {
        match self.problems().into_iter().next() {
            Some(problem) => Err(Failure::Usage(problem)),
            None => toml::from_str(&self.text).map_err(|error| {
                let message = error.message().lines().next().unwrap_or_default();
                Failure::Usage(self.problem(error.span().unwrap_or_default().start, message))
            }),
        }
    }

    /// Returns every mistake, in the order of the file.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let table = match DeTable::parse(&self.text) {
            Ok(table) => table,
            Err(error) => {
                let at = error.span().map_or(0, |span| span.start);
                return vec![self.problem(at, &no_toml(error.message()))];
            }
        };
        let mut problems = Vec::new();
        let mut known = Vec::new();
        for (key, span, value) in in_order(table.get_ref()) {
            let Some(field) = field_of(key) else {
                problems.push(self.problem(span.start, &unknown(key)));
                continue;
            };
            let before = known.iter().find(|(name, _)| *name == field.name);
            if let Some((_, other)) = before {
                let twice =
                    format!("`{key}` and `{other}` are the same setting: remove one of them");
                problems.push(self.problem(span.start, &twice));
            } else if !self.is_right(span.start, value) {
                let wrong = format!("the key `{key}` must be {}", field.wanted);
                problems.push(self.problem(value.span().start, &wrong));
            }
            known.push((field.name, key));
        }
        problems
    }

    /// Whether a known key, which starts at `start`, has a value that it can have.
    fn is_right(&self, start: usize, value: &toml::Spanned<DeValue<'_>>) -> bool {
        let line = self.text.get(start..value.span().end);
        !value.get_ref().is_table()
            && line.is_some_and(|line| toml::from_str::<Settings>(line).is_ok())
    }

    /// Returns the keys and their values, in the order of the file; none if it is no TOML.
    pub(super) fn entries(&self) -> Vec<Entry> {
        let Ok(table) = DeTable::parse(&self.text) else {
            return Vec::new();
        };
        let entries = in_order(table.get_ref()).into_iter();
        let entry = |(key, span, value): (&str, Range<usize>, &toml::Spanned<DeValue<'_>>)| Entry {
            key: key.to_owned(),
            place: self.place(span.start),
            values: texts(value.get_ref()),
        };
        entries.map(entry).collect()
    }

    /// Returns the path that was given.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether users other than the owner and its group may read the file.
    #[must_use]
    pub fn is_open_to_all(&self) -> bool {
        let metadata = std::fs::metadata(&self.path);
        metadata.is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
    }

    fn problem(&self, at: usize, what: &str) -> String {
        format!("{}: {what}", self.place(at))
    }

    /// Returns `file:line:column` of a byte, all from 1. The column counts characters.
    fn place(&self, at: usize) -> String {
        let before = self.text.get(..at).unwrap_or(&self.text);
        let line = 1 + before.matches('\n').count();
        let start = before.rfind('\n').map_or(0, |end| end + 1);
        let column = 1 + before.get(start..).unwrap_or_default().chars().count();
        format!("{}:{line}:{column}", self.path.display())
    }
}

/// Returns the keys with their places, in the order of the file.
fn in_order<'t, 'i>(
    table: &'t DeTable<'i>,
) -> Vec<(&'t str, Range<usize>, &'t toml::Spanned<DeValue<'i>>)> {
    let pairs = table.iter();
    let mut pairs: Vec<_> = pairs
        .map(|(key, value)| (key.get_ref().as_ref(), key.span(), value))
        .collect();
    pairs.sort_by_key(|(_, span, _)| span.start);
    pairs
}

/// Returns a value as texts.
fn texts(value: &DeValue<'_>) -> Vec<String> {
    match value {
        DeValue::String(text) => vec![text.to_string()],
        DeValue::Integer(number) => vec![number.to_string()],
        DeValue::Array(values) => values
            .iter()
            .flat_map(|value| texts(value.get_ref()))
            .collect(),
        _ => Vec::new(),
    }
}

fn unknown(key: &str) -> String {
    match nearest(key, keys()) {
        Some(near) => format!("unknown key `{key}`. Did you mean `{near}`?"),
        None => format!(
            "unknown key `{key}`. The keys are the flags that redtail serve --help lists, without their dashes"
        ),
    }
}

/// Returns what to write where the file is no TOML. The later lines of the parser's message may quote the file.
fn no_toml(message: &str) -> String {
    let first = message.lines().next().unwrap_or_default();
    if first.contains("duplicate key") {
        return "this key is given twice: remove one of them".to_owned();
    }
    format!("{first}. Write each line as KEY = VALUE, with strings in double quotes")
}

//! The configuration file. A message about a mistake in it names the line, the key and what to write, but never the value.

use std::path::Path;

use toml::de::DeTable;

use super::near::nearest;
use super::{Settings, keys, wanted};
use crate::cli::Failure;
use crate::words::Plain;

/// Reads the settings in `file`.
///
/// # Errors
/// [`Failure::Usage`] if the file cannot be read, or with the line and the reason. The message never quotes the value, which
/// may be a password.
pub fn file(file: &Path) -> Result<Settings, Failure> {
    let shown = file.display();
    let text = std::fs::read_to_string(file).map_err(|error| {
        Failure::Usage(format!(
            "cannot read the configuration file {shown}: {}",
            Plain(&error)
        ))
    })?;
    toml::from_str(&text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        let line = 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
        let reason = reason(&text, at, error.message());
        Failure::Usage(format!("{shown}, line {line}: {reason}"))
    })
}

/// Returns what is wrong at byte `at` of `text`, where the parser reports `message`.
fn reason(text: &str, at: usize, message: &str) -> String {
    // The other lines of the message may quote the file.
    let first = message.lines().next().unwrap_or_default();
    let Some(key) = key_at(text, at) else {
        return format!("{first}. Write each line as KEY = VALUE, with strings in double quotes");
    };
    match wanted(&key) {
        Some(wanted) => format!("the key `{key}` must be {wanted}"),
        None => match nearest(&key, keys()) {
            Some(near) => format!("unknown key `{key}`. Did you mean `{near}`?"),
            None => format!(
                "unknown key `{key}`. The keys are the flags that redtail serve --help lists, without their dashes"
            ),
        },
    }
}

/// Returns the key of the outermost table whose name or value is at byte `at`; `None` if `text` is not TOML.
fn key_at(text: &str, at: usize) -> Option<String> {
    let table = DeTable::parse(text).ok()?;
    let found = table.get_ref().iter().find(|(key, value)| {
        key.span().start <= at && at < value.span().end || value.span().contains(&at)
    });
    found.map(|(key, _)| key.get_ref().to_string())
}

//! The file of settings, and what is said about mistakes in it: line, key and what to write, never the value.

use std::path::Path;

use toml::de::DeTable;

use super::near::nearest;
use super::{Settings, keys, wanted};
use crate::cli::Failure;
use crate::words::Plain;

/// Reads the settings in `file`.
///
/// # Errors
/// [`Failure::Usage`] when it cannot be read, or with the line and the reason; never with what stands there, which may be a
/// password.
pub fn file(file: &Path) -> Result<Settings, Failure> {
    let shown = file.display();
    let text = std::fs::read_to_string(file).map_err(|error| {
        Failure::Usage(format!(
            "cannot read the settings in {shown}: {}",
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

/// What is wrong at the byte `at` of `text`, for which the parser has `message`.
fn reason(text: &str, at: usize, message: &str) -> String {
    // The first line of a message: what follows may quote the file.
    let first = message.lines().next().unwrap_or_default();
    let Some(key) = key_at(text, at) else {
        return format!("{first}. Each line is KEY = VALUE, with texts in double quotes");
    };
    match wanted(&key) {
        Some(wanted) => format!("the key `{key}` wants {wanted}"),
        None => match nearest(&key, keys()) {
            Some(near) => format!("there is no key `{key}`. Did you mean `{near}`?"),
            None => format!(
                "there is no key `{key}`. The keys are the flags of redtail serve --help, without their dashes"
            ),
        },
    }
}

/// The key of the outermost table whose name or value stands at the byte `at`; `None` where `text` is no TOML.
fn key_at(text: &str, at: usize) -> Option<String> {
    let table = DeTable::parse(text).ok()?;
    let found = table.get_ref().iter().find(|(key, value)| {
        key.span().start <= at && at < value.span().end || value.span().contains(&at)
    });
    found.map(|(key, _)| key.get_ref().to_string())
}

//! The ACL file: one line `user NAME RULE…` for each user.
//!
//! Source: redis 7.0 acl.c, `ACLLoadFromFile` and `ACLSaveToFile`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::account::{Account, Refused};
use super::rule::RuleError;
use super::selector::has_blanks;
use super::syntax::Syntax;
use crate::words::Plain;

/// Maximum bytes of an ACL file.
const BYTES_MAX: u64 = 16 << 20;

/// Maximum number of mistakes that an error lists.
const MISTAKES_MAX: usize = 20;

/// Why an ACL file was not used. Nothing changes then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// It cannot be read.
    #[error("Error loading ACLs, opening file '{path}': {error}", path = .0.display(), error = Plain(.1))]
    Read(PathBuf, #[source] io::Error),
    /// It is larger than 16 MiB.
    #[error("Error loading ACLs, opening file '{path}': the file is larger than 16 MiB", path = .0.display())]
    TooLarge(PathBuf),
    /// Lines are wrong: the text names each with its number.
    #[error(
        "{0}WARNING: ACL errors detected, no change to the previously active ACL rules was performed"
    )]
    Wrong(String),
}

/// Users by name.
pub(super) type Accounts = BTreeMap<Box<[u8]>, Account>;

/// Reads a file. The default user is missing if no line names it.
pub(super) fn load(path: &Path, syntax: Syntax<'_>) -> Result<Accounts, FileError> {
    let read = || {
        let mut text = Vec::new();
        File::open(path)?
            .take(BYTES_MAX + 1)
            .read_to_end(&mut text)?;
        Ok(text)
    };
    let text = read().map_err(|error| FileError::Read(path.to_owned(), error))?;
    if text.len() as u64 > BYTES_MAX {
        return Err(FileError::TooLarge(path.to_owned()));
    }
    parse(&text, &path.display().to_string(), syntax)
}

/// Parses a file's text. `name` is the file's name in errors.
pub(super) fn parse(text: &[u8], name: &str, syntax: Syntax<'_>) -> Result<Accounts, FileError> {
    let mut accounts = Accounts::new();
    let mut mistakes = Vec::new();
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        if let Err(mistake) = user(line, syntax, &mut accounts) {
            mistakes.push(mistake.text(name, index + 1));
        }
        if mistakes.len() >= MISTAKES_MAX {
            break;
        }
    }
    if mistakes.is_empty() {
        Ok(accounts)
    } else {
        Err(FileError::Wrong(mistakes.concat()))
    }
}

enum Mistake {
    NoUser,
    Name(Vec<u8>),
    Duplicate(Vec<u8>),
    Rules(Refused),
}

impl Mistake {
    /// Returns the server's text. It shows a rule only if that cannot be a password.
    fn text(&self, file: &str, line: usize) -> String {
        let shown = String::from_utf8_lossy;
        match self {
            Self::NoUser => {
                format!("{file}:{line} should start with user keyword followed by the username. ")
            }
            Self::Name(name) => {
                format!(
                    "'{file}:{line}: username '{}' contains invalid characters. ",
                    shown(name)
                )
            }
            Self::Duplicate(name) => {
                format!(
                    "WARNING: Duplicate user '{}' found on line {line}. ",
                    shown(name)
                )
            }
            Self::Rules(Refused::Open(_)) => {
                format!("{file}:{line}: Unmatched parenthesis in selector definition.")
            }
            Self::Rules(Refused::Rule(rule, error @ RuleError::Unknown)) => {
                format!(
                    "{file}:{line}: Error in applying operation '{}': {error}. ",
                    shown(rule)
                )
            }
            Self::Rules(Refused::Rule(_, error)) => format!("{file}:{line}: {error}. "),
        }
    }
}

fn user(line: &[u8], syntax: Syntax<'_>, accounts: &mut Accounts) -> Result<(), Mistake> {
    let mut words = line.split(|byte| *byte == b' ');
    let (Some(b"user"), Some(name)) = (words.next(), words.next()) else {
        return Err(Mistake::NoUser);
    };
    if has_blanks(name) {
        return Err(Mistake::Name(name.to_vec()));
    }
    if accounts.contains_key(name) {
        return Err(Mistake::Duplicate(name.to_vec()));
    }
    let rules: Vec<&[u8]> = words.map(<[u8]>::trim_ascii).collect();
    let mut account = Account::default();
    let result = account.apply_all(&rules, syntax);
    accounts.insert(name.into(), account);
    result.map_err(Mistake::Rules)
}

/// Replaces a file as a whole: writes a new one beside it, forces it to the disk and renames it.
///
/// # Errors
/// If the folder cannot be written to.
pub(crate) fn save(path: &Path, text: &[u8]) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let mut new = tempfile::NamedTempFile::new_in(folder)?;
    new.write_all(text)?;
    new.as_file().sync_all()?;
    if let Ok(old) = path.metadata() {
        new.as_file().set_permissions(old.permissions())?;
    }
    new.persist(path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}

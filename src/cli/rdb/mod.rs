//! `redtail rdb …`: dumps on their own, without a server.
//!
//! `check` counts and `json` prints each key as it comes, both by way of `keys`; `encoding` names the form of a value, `text` writes bytes, `value` and `stream`
//! values. Both commands refuse what a load would refuse, key by key. They keep no key, so one that stands twice in a
//! database is not noticed.

mod check;
mod encoding;
mod json;
mod keys;
mod stream;
mod text;
mod value;

use crate::rdb::{
    error::{Cause, Error},
    object::Object,
    reader::Reader,
    source::FileSource,
};
use std::path::Path;

pub use check::{Check, check};
pub use json::{FORMAT as JSON_FORMAT, Json, json};

/// A reader of the dump at `path`, or of standard input for `-`.
fn open(path: &Path) -> Result<Reader<FileSource>, Error> {
    let source = if path == Path::new("-") {
        FileSource::stdin()
    } else {
        FileSource::open(path)
    };
    source
        .map(Reader::new)
        .map_err(|error| Error::new(0, "the file", error))
}

/// One line on standard error: which dump, where, why, and what to do.
fn complain(file: &Path, error: &Error) {
    eprintln!("redtail: {}: {error}; {}", file.display(), hint(error));
}

/// What to do about an error.
fn hint(error: &Error) -> &'static str {
    match error.cause() {
        Cause::Truncated if error.offset() == 0 => "the file is empty: save or copy it again",
        Cause::Truncated => "the file is cut short: save or copy it again",
        Cause::Io(_) => "give the path of a dump that can be read, such as /var/lib/redis/dump.rdb",
        Cause::NotRdb => "give a dump as SAVE or redis-cli --rdb write it, unpacked",
        Cause::Version(_) | Cause::UnknownType(_) => {
            "it was written by a newer server, or is damaged here"
        }
        Cause::OldFunction => "delete the functions in that release candidate, and save again",
        Cause::Module(_) => "the dump needs a module that only its own server has",
        Cause::SlotImport => "save again when the slot migration has ended",
        Cause::Checksum { .. } => {
            "the file was damaged after it was written: copy it again or use another"
        }
        _ => "the file is damaged: copy it again or use another",
    }
}

/// What TYPE says.
fn type_of(object: &Object<'_>) -> &'static str {
    match object {
        Object::Str(_) | Object::Int(_) => "string",
        Object::List(_) => "list",
        Object::SetIntset(_) | Object::SetListpack(_) | Object::Set(_) => "set",
        Object::HashListpack(_)
        | Object::Hash(_)
        | Object::HashListpackTimed(_)
        | Object::HashTimed(_) => "hash",
        Object::ZsetListpack(_) | Object::Zset(_) => "zset",
        Object::Stream(_) => "stream",
        Object::Module(_) => "module",
    }
}

//! `redtail rdb check`: reports what a dump holds, or where it is broken.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use super::input::Input;
use super::output::{json, print};
use super::table::number;
use super::text::{Binary, Text};
use super::{End, complain, complain_after, hint, now_ms, one_line};
use crate::dump::{self, BoxError, Checksum, Error, Item, Key, Module, Summary, Value, Visitor};

/// Decodes whole dumps and reports what they hold, or where they are broken.
///
/// Each dump has a report of its own, and a broken one does not keep the others from being checked. A compressed file is read to
/// its end.
#[derive(Debug, Clone, clap::Args)]
pub struct Check {
    #[command(flatten)]
    input: Input,
    /// Print one JSON object for each dump
    #[arg(long)]
    json: bool,
}

/// What follows the help.
pub const CODES: &str = "\
A file compressed by gzip, zstd or lz4 is read directly; offsets in errors are then those of the dump inside.
Exit codes: 0 all dumps are sound; 1 a dump is broken or cannot be read; 2 wrong argument.";

/// Runs `redtail rdb check`. Prints a report of each sound dump, and one line on standard error for each broken one. Returns 1 if
/// one is broken.
#[must_use]
pub fn check(args: &Check) -> ExitCode {
    let all = args.input.every(inspect);
    let text = match args.json {
        true => all
            .iter()
            .map(|checked| json(&checked.line(), Binary::Escape))
            .collect(),
        false => texts(&all),
    };
    let printed = print(&text, true);
    all.iter().for_each(Checked::complain);
    match all.iter().all(Checked::is_sound) {
        true => printed,
        false => ExitCode::FAILURE,
    }
}

/// The reports of the sound dumps. If there are several dumps, each has a heading, and the last line counts all.
fn texts(all: &[Checked]) -> String {
    let mut text = String::new();
    let (mut sound, mut keys) = (0, 0);
    for checked in all {
        let Ok(found) = &checked.result else { continue };
        if all.len() > 1 {
            let _infallible = writeln!(text, "dump       {}", checked.file.display());
        }
        let _infallible = write!(text, "{}", Report(found, &checked.contents));
        sound += usize::from(checked.is_sound());
        keys += found.summary.keys;
    }
    if all.len() > 1 {
        let (count, keys) = (all.len(), number(keys));
        let _infallible = writeln!(
            text,
            "all        {sound} of {count} dumps are sound: {keys} keys"
        );
    }
    text
}

/// One dump.
struct Checked {
    file: PathBuf,
    /// What the whole keys are.
    contents: Contents,
    result: Result<Found, Error>,
}

/// What a sound dump is.
struct Found {
    summary: Summary,
    bytes_after: u64,
    /// The error of the decompressor after the dump.
    damage_after: Option<io::Error>,
}

fn inspect(file: &Path, from: io::Result<Box<dyn Read>>) -> Checked {
    let mut contents = Contents::default();
    let result = from
        .map_err(Error::from)
        .and_then(|from| found(file, from, &mut contents));
    Checked {
        file: file.to_owned(),
        contents,
        result,
    }
}

fn found(file: &Path, from: Box<dyn Read>, contents: &mut Contents) -> Result<Found, Error> {
    let mut from = Counted { from, bytes: 0 };
    let summary = dump::read(&mut from, contents)?;
    // Only the dump itself is read from standard input, which need not end.
    if file == Path::new("-") {
        return Ok(Found {
            summary,
            bytes_after: 0,
            damage_after: None,
        });
    }
    let rest = io::copy(&mut from, &mut io::sink());
    Ok(Found {
        summary,
        bytes_after: from.bytes.saturating_sub(summary.bytes),
        damage_after: rest.err(),
    })
}

/// Counts the bytes that are read.
struct Counted {
    from: Box<dyn Read>,
    bytes: u64,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer)?;
        self.bytes += read as u64;
        Ok(read)
    }
}

impl Checked {
    fn is_sound(&self) -> bool {
        matches!(&self.result, Ok(found) if found.damage_after.is_none())
    }

    /// Says what is wrong, if anything is.
    fn complain(&self) {
        match &self.result {
            Err(error) => complain(&self.file, error),
            Ok(found) => {
                if let Some(error) = &found.damage_after {
                    complain_after(&self.file, error);
                }
            }
        }
    }

    fn line(&self) -> Line<'_> {
        let found = self.result.as_ref().ok();
        let summary = found.map(|found| &found.summary);
        Line {
            file: self.file.display().to_string(),
            is_sound: self.is_sound(),
            version: summary.map(|summary| summary.version.to_string()),
            bytes: summary.map(|summary| summary.bytes),
            checksum: summary.map(|summary| match summary.checksum {
                Checksum::Verified(_) => "verified",
                Checksum::Disabled => "disabled",
                Checksum::Absent => "none",
            }),
            keys: self.contents.databases.values().map(|keys| keys.all).sum(),
            empty_keys_skipped: summary.map(|summary| summary.empty_keys_skipped),
            bytes_after: found.map(|found| found.bytes_after),
            contents: &self.contents,
            error: self
                .result
                .as_ref()
                .err()
                .map(|error| Fault::of(&self.file, error)),
            damage_after: found
                .and_then(|found| found.damage_after.as_ref())
                .map(ToString::to_string),
        }
    }
}

/// A dump as JSON. Of a broken dump, the counts are those of the whole keys before the damage, and what is not known is null.
#[derive(Serialize)]
struct Line<'a> {
    file: String,
    #[serde(rename = "sound")]
    is_sound: bool,
    version: Option<String>,
    bytes: Option<u64>,
    checksum: Option<&'static str>,
    keys: u64,
    empty_keys_skipped: Option<u64>,
    bytes_after: Option<u64>,
    #[serde(flatten)]
    contents: &'a Contents,
    error: Option<Fault<'a>>,
    damage_after: Option<String>,
}

/// Where and why a dump is broken, and what to do.
#[derive(Serialize)]
struct Fault<'a> {
    offset: u64,
    reading: &'static str,
    key: Option<Text<'a>>,
    cause: String,
    hint: &'static str,
}

impl<'a> Fault<'a> {
    fn of(file: &Path, error: &'a Error) -> Self {
        Self {
            offset: error.offset(),
            reading: error.reading(),
            key: error.key().map(Text::of),
            cause: error.cause().to_string(),
            hint: hint(error, &End::of(file)),
        }
    }
}

/// The report of a sound dump.
struct Report<'a>(&'a Found, &'a Contents);

/// What the dump holds.
#[derive(Default, Serialize)]
struct Contents {
    aux: Vec<(String, String)>,
    databases: BTreeMap<u64, Keys>,
    /// The number of keys by type and by form.
    types: BTreeMap<&'static str, BTreeMap<&'static str, u64>>,
    libraries: Vec<String>,
    module_data: u64,
    with_idle: u64,
    with_freq: u64,
}

/// The number of keys in one database.
#[derive(Default, Serialize)]
struct Keys {
    #[serde(rename = "keys")]
    all: u64,
    with_expiry: u64,
    expired: u64,
}

impl Visitor for Contents {
    fn aux(&mut self, name: &[u8], value: &[u8]) -> Result<(), BoxError> {
        self.aux.push((one_line(name), one_line(value)));
        Ok(())
    }

    fn library(&mut self, code: &[u8]) -> Result<(), BoxError> {
        let first_line = code.split(|byte| *byte == b'\n').next().unwrap_or_default();
        self.libraries.push(one_line(first_line));
        Ok(())
    }

    fn key(&mut self, key: Key<'_>) -> Result<(), BoxError> {
        let keys = self.databases.entry(key.db).or_default();
        keys.all += 1;
        keys.with_expiry += u64::from(key.expire_at_ms.is_some());
        keys.expired += u64::from(key.expire_at_ms.is_some_and(|at| at <= now_ms()));
        self.with_idle += u64::from(key.idle_s.is_some());
        self.with_freq += u64::from(key.freq.is_some());
        let (kind, form) = written_as(&key);
        *self.types.entry(kind).or_default().entry(form).or_default() += 1;
        Ok(())
    }

    fn module_data(&mut self, _data: Module<'_>) -> Result<(), BoxError> {
        self.module_data += 1;
        Ok(())
    }
}

/// Returns a value's type and the form in which it is written.
fn written_as(key: &Key<'_>) -> (&'static str, &'static str) {
    let form = match key.value {
        Value::String(Item::Bytes(_)) => "text",
        Value::String(Item::Integer(_)) => "integer",
        _ => key.layout(),
    };
    (key.value.kind(), form)
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(Found { summary, .. }, contents) = self;
        writeln!(f, "version    {}", summary.version)?;
        writeln!(f, "size       {} bytes", summary.bytes)?;
        match summary.checksum {
            Checksum::Verified(sum) => writeln!(f, "checksum   {sum:016x}, verified")?,
            Checksum::Disabled => writeln!(
                f,
                "checksum   0: it was disabled where the dump was written"
            )?,
            Checksum::Absent => writeln!(f, "checksum   none: this version does not have one")?,
        }
        writeln!(f, "keys       {}", summary.keys)?;
        contents.fmt(f)?;
        self.fmt_odds(f)
    }
}

impl Report<'_> {
    /// Writes the counts that are 0 for most dumps.
    fn fmt_odds(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(found, contents) = self;
        let odds = [
            (contents.with_idle, "keys have an LRU idle time"),
            (contents.with_freq, "keys have an LFU counter"),
            (
                found.summary.empty_keys_skipped,
                "keys have no elements and were skipped",
            ),
            (contents.module_data, "pieces of module data"),
            (found.bytes_after, "bytes follow the dump"),
        ];
        odds.iter()
            .filter(|(count, _)| *count > 0)
            .try_for_each(|(count, what)| writeln!(f, "note       {count} {what}"))
    }
}

impl fmt::Display for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.aux {
            writeln!(f, "aux        {name} = {value}")?;
        }
        for (db, keys) in &self.databases {
            let Keys {
                all,
                with_expiry,
                expired,
            } = keys;
            writeln!(
                f,
                "database   {db}: {all} keys, {with_expiry} with an expiry, {expired} of them expired"
            )?;
        }
        for (kind, forms) in &self.types {
            for (form, count) in forms {
                writeln!(f, "type       {kind}: {count} as {form}")?;
            }
        }
        self.libraries
            .iter()
            .try_for_each(|line| writeln!(f, "function   {line}"))
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]
mod tests {
    use super::*;

    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fixtures")
            .join(name)
    }

    fn checked(file: &Path) -> Checked {
        let files = vec![file.to_owned()];
        let input = Input { files, quiet: true };
        input.every(inspect).pop().unwrap()
    }

    fn report(file: &Path) -> String {
        let checked = checked(file);
        let found = checked.result.as_ref().unwrap();
        Report(found, &checked.contents).to_string()
    }

    fn failure(bytes: &[u8]) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let error = checked(file.path()).result.err().unwrap();
        format!("{error}; {}", hint(&error, &End::of(file.path())))
    }

    #[test]
    fn reports_what_a_dump_holds() {
        let report = report(&fixture("redis-7.0.rdb"));
        for line in [
            "version    REDIS0010\n",
            ", verified\n",
            "aux        redis-ver = 7.0.15\n",
            "database   9: ",
        ] {
            assert!(report.contains(line), "{line:?} in\n{report}");
        }
        for line in [
            "as hash-listpack\n",
            "as quicklist-v2\n",
            "as stream-v2\n",
            "function   #!lua",
        ] {
            assert!(report.contains(line), "{line:?} in\n{report}");
        }
    }

    #[test]
    fn says_where_and_why_a_file_is_bad_in_one_line() {
        let good = std::fs::read(fixture("redis-7.0.rdb")).unwrap();
        let mut flipped = good.clone();
        flipped[good.len() / 2] ^= 0x10;
        assert!(
            failure(b"").starts_with(
                "byte 0, reading the header: unexpected end of input; the file is empty"
            )
        );
        assert!(
            failure(&good[..good.len() - 3]).contains(
                "reading the checksum: unexpected end of input; the file is cut short, or"
            )
        );
        assert!(failure(b"*1\r\n$4\r\nPING\r\n").contains("this is not an RDB"));
        assert!(failure(b"REDIS0000").contains("no server writes version REDIS0000"));
        assert!(failure(&flipped).starts_with("byte "));
        assert!(!failure(&flipped).contains('\n'));
    }

    #[test]
    fn a_flipped_byte_is_never_called_a_cut_file_nor_a_cut_file_a_flipped_byte() {
        let good = std::fs::read(fixture("redis-7.0-lru.rdb")).unwrap();
        for at in 0..good.len() {
            let cut = failure(&good[..at]);
            assert!(cut.contains("cut short") || at == 0, "{at}: {cut}");
            if at + 9 == good.len() {
                continue;
            }
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                let flipped = failure(&bad);
                let blames_the_end = flipped.contains("is cut short, or");
                assert!(!blames_the_end, "byte {at}, bit {bit}: {flipped}");
            }
        }
    }

    #[test]
    fn directories_and_missing_files_are_errors() {
        for (path, part) in [("/", "directory"), ("/nowhere/dump.rdb", "No such file")] {
            let error = checked(Path::new(path)).result.err().unwrap();
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}

//! `redtail rdb check`: reports what a dump holds, or where it is broken.

use super::{complain, now_ms, one_line, read};
use crate::dump::{BoxError, Checksum, Error, Item, Key, Summary, Value, Visitor};
use std::{
    collections::BTreeMap,
    fmt,
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Decodes a whole dump and reports what it holds, or where it is broken.
#[derive(Debug, Clone, clap::Args)]
pub struct Check {
    /// The dump, such as dump.rdb; - for standard input
    pub file: PathBuf,
}

/// Runs `redtail rdb check`. Prints a report and returns 0, or prints one line on standard error and returns 1.
#[must_use]
pub fn check(args: &Check) -> ExitCode {
    match inspect(&args.file) {
        Ok(report) => {
            // A reader that closes the pipe (`| head`) does not make the dump bad.
            let _gone = std::io::stdout().write_all(report.to_string().as_bytes());
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(&args.file, &error);
            ExitCode::FAILURE
        }
    }
}

fn inspect(file: &Path) -> Result<Report, Error> {
    let mut contents = Contents::default();
    let summary = read(file, &mut contents)?;
    // From standard input, only the dump itself is read.
    let whole = std::fs::metadata(file).map_or(summary.bytes, |file| file.len());
    Ok(Report {
        summary,
        contents,
        bytes_after: whole.saturating_sub(summary.bytes),
    })
}

/// The report.
struct Report {
    summary: Summary,
    contents: Contents,
    bytes_after: u64,
}

/// What the dump holds.
#[derive(Default)]
struct Contents {
    aux: Vec<(String, String)>,
    databases: BTreeMap<u64, Keys>,
    /// The number of keys by type and by form.
    types: BTreeMap<(&'static str, &'static str), u64>,
    functions: Vec<String>,
    with_idle: u64,
    with_freq: u64,
}

/// The number of keys in one database.
#[derive(Default)]
struct Keys {
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
        self.functions.push(one_line(first_line));
        Ok(())
    }

    fn key(&mut self, key: Key<'_>) -> Result<(), BoxError> {
        let keys = self.databases.entry(key.db).or_default();
        keys.all += 1;
        keys.with_expiry += u64::from(key.expire_at_ms.is_some());
        keys.expired += u64::from(key.expire_at_ms.is_some_and(|at| at <= now_ms()));
        self.with_idle += u64::from(key.idle_s.is_some());
        self.with_freq += u64::from(key.freq.is_some());
        *self.types.entry(written_as(&key)).or_default() += 1;
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

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            summary, contents, ..
        } = self;
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

impl Report {
    /// Writes the counts that are 0 for most dumps.
    fn fmt_odds(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let odds = [
            (self.contents.with_idle, "keys have an LRU idle time"),
            (self.contents.with_freq, "keys have an LFU counter"),
            (
                self.summary.empty_keys_skipped,
                "keys have no elements and were skipped",
            ),
            (self.summary.module_aux, "pieces of module data"),
            (self.bytes_after, "bytes follow the dump and were not read"),
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
        for ((kind, form), count) in &self.types {
            writeln!(f, "type       {kind}: {count} as {form}")?;
        }
        self.functions
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
    use super::{
        super::{End, hint},
        *,
    };

    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fixtures")
            .join(name)
    }

    fn failure(bytes: &[u8]) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let error = inspect(file.path()).err().unwrap();
        format!("{error}; {}", hint(&error, &End::of(file.path())))
    }

    #[test]
    fn reports_what_a_dump_holds() {
        let report = inspect(&fixture("redis-7.0.rdb")).unwrap().to_string();
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
        assert!(
            inspect(Path::new("/"))
                .err()
                .unwrap()
                .to_string()
                .contains("directory")
        );
        assert!(
            inspect(Path::new("/nowhere/dump.rdb"))
                .err()
                .unwrap()
                .to_string()
                .contains("No such file")
        );
        assert_eq!(
            check(&Check {
                file: "/nowhere/dump.rdb".into()
            }),
            ExitCode::FAILURE
        );
    }
}

//! `redtail rdb memory`: one row for each key, for spreadsheets and scripts.

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use serde::Serialize;

use super::digest::elements;
use super::input::Input;
use super::output::{WRITE_BYTES, finish, json};
use super::selection::{Selection, Selector};
use super::stats::type_name;
use super::text::{Binary, Text};
use crate::dump::{BoxError, Key, ServerKind, Value, Visitor};

/// Prints one row for each key: what it takes in memory.
///
/// The first columns are those of rdbtools' memory report, so scripts for that read these rows. Then come the bytes in the dump, in
/// redtail, and in servers of other versions, as MEMORY USAGE would reply there.
#[derive(Debug, Clone, clap::Args)]
pub struct Memory {
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    selection: Selection,
    /// The server of the column size_in_bytes
    #[arg(long, value_enum, default_value_t)]
    server: Like,
    /// Print one JSON object for each key
    #[arg(long)]
    json: bool,
    /// How to write the bytes of names
    #[arg(long, value_enum, default_value_t)]
    binary: Binary,
}

/// A server for which memory is estimated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum Like {
    /// Redis 7.0
    #[value(name = "redis-7")]
    Redis7,
    /// Redis 8.0
    #[default]
    #[value(name = "redis-8")]
    Redis8,
    /// Valkey 9
    #[value(name = "valkey-9")]
    Valkey9,
}

impl Like {
    const fn server(self) -> ServerKind {
        match self {
            Self::Redis7 => ServerKind::Redis7,
            Self::Redis8 => ServerKind::Redis8,
            Self::Valkey9 => ServerKind::Valkey9,
        }
    }
}

const HEADINGS: &str = "database,type,key,size_in_bytes,encoding,num_elements,len_largest_element,expiry,file_bytes,redtail_bytes,redis_7_bytes,redis_8_bytes,valkey_9_bytes\n";

#[derive(Serialize)]
struct Row<'a> {
    database: u64,
    r#type: &'a str,
    key: Text<'a>,
    size_in_bytes: u64,
    encoding: &'static str,
    num_elements: u64,
    len_largest_element: u64,
    expiry: Option<i64>,
    file_bytes: u64,
    redtail_bytes: u64,
    redis_7_bytes: u64,
    redis_8_bytes: u64,
    valkey_9_bytes: u64,
}

/// Runs `redtail rdb memory`. Prints the rows; returns 1 if a dump is broken.
#[must_use]
pub fn memory(args: &Memory) -> ExitCode {
    let selector = match args.selection.prepare() {
        Ok(selector) => selector,
        Err(error) => return super::misused(&error),
    };
    let mut rows = Rows {
        selector,
        args,
        out: BufWriter::with_capacity(WRITE_BYTES, io::stdout().lock()),
        failure: None,
    };
    let begun = match args.json {
        true => Ok(()),
        false => rows.out.write_all(HEADINGS.as_bytes()),
    };
    let read = args.input.read(&mut rows);
    let flushed = rows.out.flush();
    finish(begun.and(rows.failure.map_or(flushed, Err)), read.is_ok())
}

struct Rows<'s, W> {
    selector: Selector<'s>,
    args: &'s Memory,
    out: W,
    /// The error that stopped the output.
    failure: Option<io::Error>,
}

impl<W: Write> Visitor for Rows<'_, W> {
    fn key(&mut self, key: Key<'_>) -> Result<(), BoxError> {
        if !self.selector.takes(&key) {
            return Ok(());
        }
        let kind = type_name(&key.value);
        let row = Row {
            database: key.db,
            r#type: &kind,
            key: Text::of(key.name),
            size_in_bytes: key.server_bytes(self.args.server.server()),
            encoding: key.encoding(),
            num_elements: key.value.elements() as u64,
            len_largest_element: largest(&key.value),
            expiry: key.expire_at_ms,
            file_bytes: key.file_bytes,
            redtail_bytes: key.held_bytes() as u64,
            redis_7_bytes: key.server_bytes(ServerKind::Redis7),
            redis_8_bytes: key.server_bytes(ServerKind::Redis8),
            valkey_9_bytes: key.server_bytes(ServerKind::Valkey9),
        };
        let text = match self.args.json {
            true => json(&row, self.args.binary),
            false => row.line(&self.args.binary.shown(key.name)),
        };
        self.out.write_all(text.as_bytes()).map_err(|failure| {
            let kind = failure.kind();
            self.failure = Some(failure);
            io::Error::from(kind).into()
        })
    }
}

/// The length of the longest element, or of a field's longer half.
fn largest(value: &Value<'_>) -> u64 {
    let mut most = 0;
    match value {
        Value::List(list) => most = list.iter().map(|item| item.len()).max().unwrap_or(0),
        Value::String(text) => most = text.len(),
        other => elements(other, &mut |name, content| {
            most = most.max(name.len()).max(content.len())
        }),
    }
    most as u64
}

impl Row<'_> {
    /// The row as CSV, with the key's name as text.
    fn line(&self, name: &str) -> String {
        let expiry = self.expiry.map_or_else(String::new, iso);
        format!(
            "{},{},{},{},{},{},{},{expiry},{},{},{},{},{}\n",
            self.database,
            self.r#type,
            quoted(name),
            self.size_in_bytes,
            self.encoding,
            self.num_elements,
            self.len_largest_element,
            self.file_bytes,
            self.redtail_bytes,
            self.redis_7_bytes,
            self.redis_8_bytes,
            self.valkey_9_bytes,
        )
    }
}

/// A field of CSV. Source: RFC 4180.
fn quoted(text: &str) -> String {
    match text.contains(['"', ',', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}

/// A moment as `2026-01-31T12:00:00.000`, in UTC.
fn iso(unix_ms: i64) -> String {
    let (days, ms) = (
        unix_ms.div_euclid(86_400_000),
        unix_ms.rem_euclid(86_400_000),
    );
    let (year, month, day) = date(days);
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}",
        ms % 1000
    )
}

/// The date of a day since 1970-01-01. Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days.
const fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_and_names_are_written_as_spreadsheets_read_them() {
        assert_eq!(iso(0), "1970-01-01T00:00:00.000");
        assert_eq!(iso(951_827_696_789), "2000-02-29T12:34:56.789");
        assert_eq!(iso(1_798_761_599_999), "2026-12-31T23:59:59.999");
        assert_eq!(iso(-1), "1969-12-31T23:59:59.999");
        assert_eq!(quoted("a:b"), "a:b");
        assert_eq!(quoted("a,\"b\""), "\"a,\"\"b\"\"\"");
    }
}

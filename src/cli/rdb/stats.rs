//! `redtail rdb stats`: what a dump holds, in numbers.

use std::collections::BTreeMap;
use std::fmt;
use std::process::ExitCode;

use serde::Serialize;

use super::input::Input;
use super::output::{json, print};
use super::selection::{Selection, Selector};
use super::table::{Table, bytes, number, percent};
use super::text::Binary;
use crate::dump::{BoxError, Key, Module, Summary, Value, Visitor};

/// Counts the keys of dumps: by type, encoding, database, expiry and size.
///
/// Bytes in the dump are those of keys, values and attributes as they are written, compressed strings as they are. Bytes in memory
/// are about what redtail takes for them.
#[derive(Debug, Clone, clap::Args)]
pub struct Stats {
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    selection: Selection,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs `redtail rdb stats`. Prints the counts; returns 1 if a dump is broken.
#[must_use]
pub fn stats(args: &Stats) -> ExitCode {
    let selector = match args.selection.prepare() {
        Ok(selector) => selector,
        Err(error) => return super::misused(&error),
    };
    let mut counting = Counting {
        selector,
        counts: Counts::new(super::now_ms()),
    };
    let read = args.input.read(&mut counting);
    let mut counts = counting.counts;
    counts.set_files(read.as_deref().unwrap_or_default());
    let text = match args.json {
        true => json(&counts, Binary::Escape),
        false => counts.to_string(),
    };
    print(&text, read.is_ok())
}

/// Keys, and what they take.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Amount {
    pub(super) keys: u64,
    pub(super) elements: u64,
    pub(super) file_bytes: u64,
    pub(super) memory_bytes: u64,
}

impl Amount {
    pub(super) fn of(key: &Key<'_>) -> Self {
        Self {
            keys: 1,
            elements: key.value.elements() as u64,
            file_bytes: key.file_bytes,
            memory_bytes: key.held_bytes() as u64,
        }
    }

    pub(super) const fn add(&mut self, other: Self) {
        self.keys += other.keys;
        self.elements += other.elements;
        self.file_bytes += other.file_bytes;
        self.memory_bytes += other.memory_bytes;
    }

    fn cells(self, of: Self) -> [String; 5] {
        [
            number(self.keys),
            number(self.elements),
            bytes(self.file_bytes),
            bytes(self.memory_bytes),
            percent(self.memory_bytes, of.memory_bytes),
        ]
    }
}

/// One dump.
#[derive(Debug, Serialize)]
struct File {
    version: String,
    keys: u64,
    bytes: u64,
}

impl File {
    fn of(summary: &Summary) -> Self {
        Self {
            version: summary.version.to_string(),
            keys: summary.keys,
            bytes: summary.bytes,
        }
    }
}

/// When keys expire, relative to now: the end of each bucket in seconds, and its name.
const EXPIRY: [(i64, &str); 8] = [
    (0, "expired"),
    (60, "within a minute"),
    (3600, "within an hour"),
    (86_400, "within a day"),
    (7 * 86_400, "within a week"),
    (30 * 86_400, "within 30 days"),
    (365 * 86_400, "within a year"),
    (i64::MAX, "later"),
];

const NEVER: &str = "never";

fn expiry_bucket(expire_at_ms: Option<i64>, now_ms: i64) -> &'static str {
    let Some(at) = expire_at_ms else { return NEVER };
    let left_s = at.saturating_sub(now_ms).div_euclid(1000);
    let left_s = if at <= now_ms {
        0
    } else {
        left_s.saturating_add(1)
    };
    let bucket = EXPIRY.iter().find(|(end, _)| left_s <= *end);
    bucket.map_or("later", |(_, name)| name)
}

/// What is counted.
#[derive(Debug, Serialize)]
pub(super) struct Counts {
    #[serde(skip)]
    now_ms: i64,
    files: Vec<File>,
    aux: Vec<(String, String)>,
    libraries: Vec<String>,
    module_data: u64,
    total: Amount,
    types: BTreeMap<String, Amount>,
    encodings: BTreeMap<String, Amount>,
    databases: BTreeMap<u64, Amount>,
    expiry: BTreeMap<&'static str, Amount>,
    /// By the power of two at or above the bytes in the dump.
    sizes: BTreeMap<u64, Amount>,
}

impl Counts {
    pub(super) fn new(now_ms: i64) -> Self {
        Self {
            now_ms,
            files: Vec::new(),
            aux: Vec::new(),
            libraries: Vec::new(),
            module_data: 0,
            total: Amount::default(),
            types: BTreeMap::new(),
            encodings: BTreeMap::new(),
            databases: BTreeMap::new(),
            expiry: BTreeMap::new(),
            sizes: BTreeMap::new(),
        }
    }

    /// Sets what is said about each dump.
    pub(super) fn set_files(&mut self, summaries: &[Summary]) {
        self.files = summaries.iter().map(File::of).collect();
    }

    pub(super) fn add_aux(&mut self, name: &[u8], value: &[u8]) {
        let fact = (super::one_line(name), super::one_line(value));
        if !self.aux.contains(&fact) {
            self.aux.push(fact);
        }
    }

    pub(super) fn add_library(&mut self, code: &[u8]) {
        let first_line = code.split(|byte| *byte == b'\n').next().unwrap_or_default();
        self.libraries.push(super::one_line(first_line));
    }

    pub(super) const fn add_module_data(&mut self) {
        self.module_data += 1;
    }

    pub(super) fn add(&mut self, key: &Key<'_>) {
        let amount = Amount::of(key);
        self.total.add(amount);
        let kind = type_name(&key.value);
        let encoding = key.encoding();
        add(&mut self.types, &kind, amount);
        // One allocation for each pair, not for each key.
        let pair = Pair(&kind, encoding);
        match self.encodings.iter_mut().find(|(name, _)| pair.is(name)) {
            Some((_, sum)) => sum.add(amount),
            None => {
                self.encodings.insert(format!("{kind} {encoding}"), amount);
            }
        }
        self.databases.entry(key.db).or_default().add(amount);
        let bucket = expiry_bucket(key.expire_at_ms, self.now_ms);
        self.expiry.entry(bucket).or_default().add(amount);
        let size = key
            .file_bytes
            .checked_next_power_of_two()
            .unwrap_or(u64::MAX);
        self.sizes.entry(size).or_default().add(amount);
    }
}

/// A type and an encoding.
struct Pair<'a>(&'a str, &'a str);

impl Pair<'_> {
    fn is(&self, name: &str) -> bool {
        name.strip_prefix(self.0)
            .and_then(|rest| rest.strip_prefix(' '))
            == Some(self.1)
    }
}

fn add(sums: &mut BTreeMap<String, Amount>, name: &str, amount: Amount) {
    match sums.get_mut(name) {
        Some(sum) => sum.add(amount),
        None => {
            sums.insert(name.to_owned(), amount);
        }
    }
}

/// What TYPE replies.
pub(super) fn type_name(value: &Value<'_>) -> std::borrow::Cow<'static, str> {
    match value {
        Value::Module(module) => module.type_name().into(),
        other => other.kind().into(),
    }
}

struct Counting<'s> {
    selector: Selector<'s>,
    counts: Counts,
}

impl Visitor for Counting<'_> {
    fn key(&mut self, key: Key<'_>) -> Result<(), BoxError> {
        if self.selector.takes(&key) {
            self.counts.add(&key);
        }
        Ok(())
    }

    fn aux(&mut self, name: &[u8], value: &[u8]) -> Result<(), BoxError> {
        self.counts.add_aux(name, value);
        Ok(())
    }

    fn library(&mut self, code: &[u8]) -> Result<(), BoxError> {
        self.counts.add_library(code);
        Ok(())
    }

    fn module_data(&mut self, _data: Module<'_>) -> Result<(), BoxError> {
        self.counts.add_module_data();
        Ok(())
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for File {
            version,
            keys,
            bytes: size,
        } in &self.files
        {
            writeln!(
                f,
                "dump      {version}, {}, {} keys",
                bytes(*size),
                number(*keys)
            )?;
        }
        for (name, value) in &self.aux {
            writeln!(f, "aux       {name} = {value}")?;
        }
        for library in &self.libraries {
            writeln!(f, "library   {library}")?;
        }
        if self.module_data > 0 {
            writeln!(
                f,
                "modules   {} pieces of data outside the keys",
                self.module_data
            )?;
        }
        let databases = self
            .databases
            .iter()
            .map(|(db, sum)| (db.to_string(), *sum));
        self.section(f, "database", databases)?;
        self.section(f, "type", named(&self.types))?;
        self.section(f, "encoding", named(&self.encodings))?;
        let expiry = EXPIRY.iter().map(|(_, name)| *name).chain([NEVER]);
        let expiry = expiry.filter_map(|name| Some((name.to_owned(), *self.expiry.get(name)?)));
        self.section(f, "expires", expiry)?;
        let sizes = self
            .sizes
            .iter()
            .map(|(size, sum)| (format!("up to {}", bytes(*size)), *sum));
        self.section(f, "size in the dump", sizes)
    }
}

fn named(sums: &BTreeMap<String, Amount>) -> impl Iterator<Item = (String, Amount)> {
    sums.iter().map(|(name, sum)| (name.clone(), *sum))
}

impl Counts {
    fn section(
        &self,
        f: &mut fmt::Formatter<'_>,
        heading: &str,
        rows: impl Iterator<Item = (String, Amount)>,
    ) -> fmt::Result {
        let mut table = Table::new(
            1,
            &[
                heading,
                "keys",
                "elements",
                "in the dump",
                "in memory",
                "share",
            ],
        );
        for (name, sum) in rows {
            table.row(std::iter::once(name).chain(sum.cells(self.total)));
        }
        table.row(std::iter::once("all".to_owned()).chain(self.total.cells(self.total)));
        write!(f, "\n{table}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_in_the_bucket_of_the_time_that_it_has_left() {
        let now = 1_000_000;
        for (left_ms, name) in [
            (-1, "expired"),
            (0, "expired"),
            (1, "within a minute"),
            (59_000, "within a minute"),
            (61_000, "within an hour"),
            (86_399_000, "within a day"),
            (86_401_000, "within a week"),
            (i64::MAX - now, "later"),
        ] {
            assert_eq!(expiry_bucket(Some(now + left_ms), now), name, "{left_ms}");
        }
        assert_eq!(expiry_bucket(None, now), NEVER);
        assert_eq!(expiry_bucket(Some(i64::MIN), now), "expired");
    }
}

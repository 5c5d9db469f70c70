//! `redtail rdb keys`: the biggest keys of a dump.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::process::ExitCode;

use serde::Serialize;

use super::input::Input;
use super::output::{json, print};
use super::selection::Selection;
use super::stats::type_name;
use super::table::{Table, bytes, number};
use super::text::{Binary, Text};
use crate::dump::Key;

/// Prints the biggest keys of dumps.
///
/// Memory holds the keys that are printed and no others. Keys of equal size are in the order of their names.
#[derive(Debug, Clone, clap::Args)]
pub struct Keys {
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    selection: Selection,
    /// What makes a key big
    #[arg(long, value_enum, default_value_t)]
    by: By,
    /// How many keys to print
    #[arg(long, short = 'n', default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    top: u32,
    /// Print one JSON object for each key
    #[arg(long)]
    json: bool,
    /// How to write the bytes of names
    #[arg(long, value_enum, default_value_t)]
    binary: Binary,
}

/// What makes a key big.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum By {
    /// About how many bytes redtail takes for it in memory
    #[default]
    Memory,
    /// Its bytes in the dump
    File,
    /// Its elements, fields, members or entries
    Elements,
}

/// Runs `redtail rdb keys`. Prints the keys; returns 1 if a dump is broken.
#[must_use]
pub fn keys(args: &Keys) -> ExitCode {
    let selector = match args.selection.prepare() {
        Ok(selector) => selector,
        Err(error) => return super::misused(&error),
    };
    let mut biggest = Biggest::new(args.by, args.top as usize);
    let read = args.input.read(&mut |key: Key<'_>| {
        if selector.takes(&key) {
            biggest.add(&key);
        }
        Ok(())
    });
    let found = biggest.sorted();
    let text = match args.json {
        true => found
            .iter()
            .map(|key| json(&key.line(), args.binary))
            .collect(),
        false => table(&found, args.binary),
    };
    print(&text, read.is_ok())
}

/// A key that may be printed. Ordered by its size, then by its name backwards.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Found {
    size: u64,
    name: Reverse<(u64, Vec<u8>)>,
    kind: String,
    encoding: &'static str,
    elements: u64,
    file_bytes: u64,
    memory_bytes: u64,
    expire_at_ms: Option<i64>,
}

#[derive(Serialize)]
pub(super) struct Line<'a> {
    db: u64,
    key: Text<'a>,
    r#type: &'a str,
    encoding: &'static str,
    elements: u64,
    file_bytes: u64,
    memory_bytes: u64,
    expiry: Option<i64>,
}

impl Found {
    pub(super) fn line(&self) -> Line<'_> {
        let Reverse((db, name)) = &self.name;
        Line {
            db: *db,
            key: Text::of(name),
            r#type: &self.kind,
            encoding: self.encoding,
            elements: self.elements,
            file_bytes: self.file_bytes,
            memory_bytes: self.memory_bytes,
            expiry: self.expire_at_ms,
        }
    }
}

/// The biggest keys so far: the smallest of them is at the top of the heap.
pub(super) struct Biggest {
    by: By,
    top: usize,
    heap: BinaryHeap<Reverse<Found>>,
}

impl Biggest {
    /// No keys yet; keeps the `top` biggest.
    pub(super) const fn new(by: By, top: usize) -> Self {
        Self {
            by,
            top,
            heap: BinaryHeap::new(),
        }
    }

    /// Returns the keys, the biggest first.
    pub(super) fn sorted(self) -> Vec<Found> {
        let mut found: Vec<Found> = self.heap.into_iter().map(|Reverse(found)| found).collect();
        found.sort_by(|one, other| other.cmp(one));
        found
    }

    pub(super) fn add(&mut self, key: &Key<'_>) {
        let elements = key.value.elements() as u64;
        let memory_bytes = key.held_bytes() as u64;
        let size = match self.by {
            By::Memory => memory_bytes,
            By::File => key.file_bytes,
            By::Elements => elements,
        };
        let is_full = self.heap.len() >= self.top;
        let least = self.heap.peek().map_or(0, |Reverse(least)| least.size);
        if is_full && size < least {
            return;
        }
        self.heap.push(Reverse(Found {
            size,
            name: Reverse((key.db, key.name.to_vec())),
            kind: type_name(&key.value).into_owned(),
            encoding: key.encoding(),
            elements,
            file_bytes: key.file_bytes,
            memory_bytes,
            expire_at_ms: key.expire_at_ms,
        }));
        if is_full {
            self.heap.pop();
        }
    }
}

fn table(found: &[Found], binary: Binary) -> String {
    let headings = [
        "key",
        "db",
        "type",
        "encoding",
        "elements",
        "in the dump",
        "in memory",
        "expires",
    ];
    let mut table = Table::new(4, &headings);
    for key in found {
        let Reverse((db, name)) = &key.name;
        table.row([
            binary.shown(name),
            db.to_string(),
            key.kind.clone(),
            key.encoding.to_owned(),
            number(key.elements),
            bytes(key.file_bytes),
            bytes(key.memory_bytes),
            key.expire_at_ms
                .map_or_else(|| "-".to_owned(), |at| at.to_string()),
        ]);
    }
    table.to_string()
}

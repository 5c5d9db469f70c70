//! `redtail rdb prefix`: what the keys below each prefix take.

use std::process::ExitCode;

use serde::Serialize;

use super::input::Input;
use super::output::{json, print};
use super::prefixes::{Measure, Prefixes, Sum};
use super::selection::{Selection, Selector};
use super::stats::Amount;
use super::table::{Table, bytes, number, percent};
use super::text::{Binary, Text};
use crate::dump::{BoxError, Key, Visitor};

/// Prints what the keys below each prefix take, as a tree.
///
/// A prefix ends at a separator. Memory is bounded: if there are too many prefixes, the smallest are dropped, and the output says
/// by how much a figure may be too low.
#[derive(Debug, Clone, clap::Args)]
pub struct Prefix {
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    selection: Selection,
    /// The bytes at which a prefix ends [default: those found in the first keys: of : / | #, else of . - _]
    #[arg(long, value_name = "BYTES")]
    separators: Option<String>,
    /// How many separators a prefix may have
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=64))]
    depth: u8,
    /// How many prefixes to print
    #[arg(long, short = 'n', default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    top: u32,
    /// What makes a prefix big
    #[arg(long, value_enum, default_value_t)]
    by: Measure,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// How to write the bytes of names
    #[arg(long, value_enum, default_value_t)]
    binary: Binary,
}

/// Runs `redtail rdb prefix`. Prints the tree; returns 1 if a dump is broken.
#[must_use]
pub fn prefix(args: &Prefix) -> ExitCode {
    let selector = match args.selection.prepare() {
        Ok(selector) => selector,
        Err(error) => return super::misused(&error),
    };
    let separators = args.separators.as_deref().map(str::as_bytes);
    let mut counting = Counting {
        selector,
        prefixes: Prefixes::new(separators, args.depth.into(), args.by),
    };
    let read = args.input.read(&mut counting);
    let tree = counting.prefixes.finish(args.top as usize);
    let text = match args.json {
        true => json(&Report::of(&tree), args.binary),
        false => table(&tree, args),
    };
    print(&text, read.is_ok())
}

struct Counting<'s> {
    selector: Selector<'s>,
    prefixes: Prefixes,
}

impl Visitor for Counting<'_> {
    fn key(&mut self, key: Key<'_>) -> Result<(), BoxError> {
        if self.selector.takes(&key) {
            let sum = Sum::of(Amount::of(&key), key.expire_at_ms.is_some());
            self.prefixes.add(key.name, sum);
        }
        Ok(())
    }
}

/// The biggest prefixes, parents before their children.
pub(super) struct Tree {
    pub(super) separators: Vec<u8>,
    pub(super) total: Sum,
    pub(super) prefixes: Vec<(Vec<u8>, usize, Sum)>,
    /// By how much each figure of a prefix may be too low.
    pub(super) error: Sum,
    /// Prefixes that are not in the list.
    pub(super) omitted: usize,
}

#[derive(Serialize)]
pub(super) struct Report<'a> {
    separators: String,
    total: Sum,
    prefixes: Vec<Line<'a>>,
    error: Sum,
    omitted: usize,
}

#[derive(Serialize)]
struct Line<'a> {
    prefix: Text<'a>,
    depth: usize,
    #[serde(flatten)]
    sum: Sum,
}

impl<'a> Report<'a> {
    pub(super) fn of(tree: &'a Tree) -> Self {
        let prefixes = tree.prefixes.iter().map(|(name, depth, sum)| Line {
            prefix: Text::of(name),
            depth: *depth,
            sum: *sum,
        });
        Self {
            separators: String::from_utf8_lossy(&tree.separators).into_owned(),
            total: tree.total,
            prefixes: prefixes.collect(),
            error: tree.error,
            omitted: tree.omitted,
        }
    }
}

fn table(tree: &Tree, args: &Prefix) -> String {
    let headings = [
        "prefix",
        "keys",
        "elements",
        "in the dump",
        "in memory",
        "share",
        "without expiry",
    ];
    let mut table = Table::new(1, &headings);
    for (name, depth, sum) in &tree.prefixes {
        let name = args.binary.shown(name);
        table.row(row(
            format!("{:1$}{name}", "", 2 * (depth - 1)),
            *sum,
            tree.total,
        ));
    }
    table.row(row("all keys".to_owned(), tree.total, tree.total));
    let mut text = table.to_string();
    if tree.omitted > 0 {
        let omitted = number(tree.omitted as u64);
        text.push_str(&format!(
            "{omitted} smaller prefixes are not shown (--top)\n"
        ));
    }
    if tree.error.amount.keys > 0 {
        let (keys, size) = (
            number(tree.error.amount.keys),
            bytes(tree.error.amount.memory_bytes),
        );
        text.push_str(&format!(
            "there were too many prefixes to keep: a figure may be too low by up to {keys} keys and {size} in memory\n"
        ));
    }
    text
}

fn row(name: String, sum: Sum, total: Sum) -> [String; 7] {
    let amount = sum.amount;
    [
        name,
        number(amount.keys),
        number(amount.elements),
        bytes(amount.file_bytes),
        bytes(amount.memory_bytes),
        percent(amount.memory_bytes, total.amount.memory_bytes),
        percent(sum.without_expiry, amount.keys),
    ]
}

//! `redtail rdb report`: one page that shows what a dump holds.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use super::input::Input;
use super::keys::{Biggest, By, Line};
use super::output::json;
use super::prefix::Report as TreeReport;
use super::prefixes::{Measure, Prefixes, Sum};
use super::selection::{Selection, Selector};
use super::stats::{Amount, Counts};
use super::text::Binary;
use crate::dump::{BoxError, Key, Module, Visitor};

/// Writes one HTML page that shows what dumps hold: a treemap and a flame graph by prefix, histograms of size and expiry, and tables
/// of the biggest keys.
///
/// The page needs no other file and asks no server for anything. It holds the names of the keys and prefixes that it shows.
#[derive(Debug, Clone, clap::Args)]
pub struct Report {
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    selection: Selection,
    /// The page, such as report.html; - for standard output
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// The bytes at which a prefix ends [default: those found in the first keys: of : / | #, else of . - _]
    #[arg(long, value_name = "BYTES")]
    separators: Option<String>,
    /// How many separators a prefix may have
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u8).range(1..=64))]
    depth: u8,
}

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// How many keys and prefixes the page shows.
const KEYS_SHOWN: usize = 100;
const PREFIXES_SHOWN: usize = 2000;

/// Runs `redtail rdb report`. Writes the page; returns 1 if a dump is broken or the page cannot be written.
#[must_use]
pub fn report(args: &Report) -> ExitCode {
    let selector = match args.selection.prepare() {
        Ok(selector) => selector,
        Err(error) => return super::misused(&error),
    };
    let separators = args.separators.as_deref().map(str::as_bytes);
    let mut gathering = Gathering {
        selector,
        counts: Counts::new(super::now_ms()),
        biggest: Biggest::new(By::Memory, KEYS_SHOWN),
        prefixes: Prefixes::new(separators, args.depth.into(), Measure::Memory),
    };
    let read = args.input.read(&mut gathering);
    gathering
        .counts
        .set_files(read.as_deref().unwrap_or_default());
    let page = page(&title(&args.input.files), gathering);
    if let Err(error) = write(&args.output, &page) {
        eprintln!(
            "redtail: {}: cannot write the page: {error}",
            args.output.display()
        );
        return ExitCode::FAILURE;
    }
    match read {
        Ok(_) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn title(files: &[PathBuf]) -> String {
    let name = |file: &PathBuf| {
        let name = file.file_name().unwrap_or(file.as_os_str());
        name.to_string_lossy().into_owned()
    };
    let first = files.first().map(name).unwrap_or_default();
    match files.len() {
        0 | 1 => first,
        count => format!("{first} and {} more", count - 1),
    }
}

fn write(output: &Path, page: &str) -> std::io::Result<()> {
    match output == Path::new("-") {
        true => std::io::stdout().lock().write_all(page.as_bytes()),
        false => std::fs::write(output, page),
    }
}

/// Everything that the page shows, gathered in one pass.
struct Gathering<'s> {
    selector: Selector<'s>,
    counts: Counts,
    biggest: Biggest,
    prefixes: Prefixes,
}

impl Visitor for Gathering<'_> {
    fn key(&mut self, key: Key<'_>) -> Result<(), BoxError> {
        if self.selector.takes(&key) {
            self.counts.add(&key);
            self.biggest.add(&key);
            let sum = Sum::of(Amount::of(&key), key.expire_at_ms.is_some());
            self.prefixes.add(key.name, sum);
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

#[derive(Serialize)]
struct Data<'a> {
    title: &'a str,
    stats: &'a Counts,
    keys: Vec<Line<'a>>,
    tree: TreeReport<'a>,
}

fn page(title: &str, gathered: Gathering<'_>) -> String {
    let Gathering {
        counts,
        biggest,
        prefixes,
        ..
    } = gathered;
    let (found, tree) = (biggest.sorted(), prefixes.finish(PREFIXES_SHOWN));
    let data = Data {
        title,
        stats: &counts,
        keys: found.iter().map(|key| key.line()).collect(),
        tree: TreeReport::of(&tree),
    };
    // A key's name must not end the element that it is in.
    let json = json(&data, Binary::Escape).replace('<', "\\u003c");
    let parts = [("@STYLE@", STYLE), ("@SCRIPT@", SCRIPT)];
    let page = parts.iter().fold(PAGE.to_owned(), |page, (mark, part)| {
        page.replace(mark, part)
    });
    page.replace("@DATA@", &json)
}

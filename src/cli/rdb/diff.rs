//! `redtail rdb diff`: what differs between two dumps.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;

use super::digest::{digest, elements, name_digest, of_place, place};
use super::input::{Broken, Input};
use super::output::{WRITE_BYTES, write_json};
use super::selection::{Selection, Selector};
use super::spill::Spill;
use super::table::number;
use super::text::{Binary, Text};
use crate::dump::{BoxError, Key, Visitor};

/// Prints the keys that differ between two dumps.
///
/// A line begins with - for a key that only the first dump has, + for a key that only the second has, and ~ for a key whose value
/// or expiry differs. Values are equal if clients see no difference, in whatever form they are written. The keys come in no
/// particular order. Memory is bounded: what does not fit goes to the directory for temporary files.
#[derive(Debug, Clone, clap::Args)]
pub struct Diff {
    /// The first dump; - for standard input
    #[arg(value_name = "FIRST")]
    first: PathBuf,
    /// The second dump
    #[arg(value_name = "SECOND")]
    second: PathBuf,
    /// Show no progress on a terminal
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    selection: Selection,
    /// Also print which fields, members, elements or entries of a changed key differ. Reads both dumps twice
    #[arg(long)]
    fields: bool,
    /// Values that differ only in when they expire are equal
    #[arg(long)]
    ignore_expiry: bool,
    /// Print one JSON object for each difference
    #[arg(long)]
    json: bool,
    /// How to write the bytes of names and values
    #[arg(long, value_enum, default_value_t)]
    binary: Binary,
}

/// What follows the help.
pub const CODES: &str = "\
A file compressed by gzip, zstd or lz4 is read directly.
Exit codes: 0 nothing differs; 1 a dump is broken or cannot be read; 2 wrong argument; 3 something differs.";

/// The exit code if something differs.
const DIFFERS: u8 = 3;

/// Maximum number of changed keys whose fields are compared: their digests take 32 MB.
const CHANGED_MAX: usize = 1_000_000;

/// Runs `redtail rdb diff`. Prints the differences.
#[must_use]
pub fn diff(args: &Diff) -> ExitCode {
    let selector = match args.selection.prepare() {
        Ok(selector) => selector,
        Err(error) => return super::misused(&error),
    };
    match compare(args, &selector) {
        Ok(counts) => {
            eprintln!(
                "redtail: {} keys only in the first dump, {} only in the second, {} changed, {} equal",
                number(counts.first),
                number(counts.second),
                number(counts.changed),
                number(counts.equal)
            );
            match counts.first + counts.second + counts.changed {
                0 => ExitCode::SUCCESS,
                _ => ExitCode::from(DIFFERS),
            }
        }
        // The error has been printed, or the reader has closed the pipe.
        Err(Ended::Broken) => ExitCode::FAILURE,
        Err(Ended::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(Ended::Output(error)) => {
            eprintln!("redtail: cannot write: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Why the comparison ended early.
enum Ended {
    Broken,
    Output(io::Error),
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<Broken> for Ended {
    fn from(_: Broken) -> Self {
        Self::Broken
    }
}

#[derive(Default)]
struct Counts {
    first: u64,
    second: u64,
    changed: u64,
    equal: u64,
}

fn compare(args: &Diff, selector: &Selector<'_>) -> Result<Counts, Ended> {
    let keys = gather(args, selector, &mut |side, key, spill| {
        let sum = digest(key, !args.ignore_expiry).to_le_bytes();
        spill.add(&place(key.db, key.name), &[&[side][..], &sum].concat())
    })?;
    let mut out = BufWriter::with_capacity(WRITE_BYTES, io::stdout().lock());
    let (mut counts, mut changed) = (Counts::default(), HashSet::new());
    keys.read(sort, |part| {
        for (name, sides) in part {
            let mark = match sides {
                Sides(Some(one), Some(other)) if one == other => {
                    counts.equal += 1;
                    continue;
                }
                Sides(Some(_), Some(_)) => {
                    counts.changed += 1;
                    if args.fields && changed.len() < CHANGED_MAX {
                        changed.insert(name_digest(&name));
                        // Printed with its fields.
                        continue;
                    }
                    Mark::Changed
                }
                Sides(None, _) => {
                    counts.second += 1;
                    Mark::Second
                }
                Sides(_, None) => {
                    counts.first += 1;
                    Mark::First
                }
            };
            print(&mut out, args, mark, &name, None)?;
        }
        Ok(())
    })?;
    if !changed.is_empty() {
        compare_fields(args, selector, &changed, &mut out)?;
    }
    out.flush()?;
    Ok(counts)
}

/// What each dump has under one name.
#[derive(Default)]
struct Sides(Option<Vec<u8>>, Option<Vec<u8>>);

/// A part of the records, each with its side in its first byte. The last one of a name counts.
fn sort(part: &mut BTreeMap<Vec<u8>, Sides>, name: Vec<u8>, mut content: Vec<u8>) {
    let sides = part.entry(name).or_default();
    match content.first() {
        Some(0) => sides.0 = Some(content.split_off(1)),
        _ => sides.1 = Some(content.split_off(1)),
    }
}

/// Takes a side, a key and where its record goes.
type Record<'r> = &'r mut dyn FnMut(u8, &Key<'_>, &mut Spill) -> io::Result<()>;

/// Reads both dumps and keeps what `record` makes of their keys.
fn gather(args: &Diff, selector: &Selector<'_>, record: Record<'_>) -> Result<Spill, Ended> {
    let mut spill = Spill::new();
    for (side, file) in [(0, &args.first), (1, &args.second)] {
        let input = Input {
            files: vec![file.clone()],
            quiet: args.quiet,
        };
        let mut one = Side {
            selector,
            side,
            spill: &mut spill,
            record,
            failure: None,
        };
        let read = input.read(&mut one);
        one.failure.map_or(Ok(()), Err)?;
        read?;
    }
    Ok(spill)
}

struct Side<'s, 'r> {
    selector: &'s Selector<'s>,
    side: u8,
    spill: &'s mut Spill,
    record: Record<'r>,
    failure: Option<io::Error>,
}

impl Visitor for Side<'_, '_> {
    fn key(&mut self, key: Key<'_>) -> Result<(), BoxError> {
        if !self.selector.takes(&key) {
            return Ok(());
        }
        (self.record)(self.side, &key, self.spill).map_err(|failure| {
            let kind = failure.kind();
            self.failure = Some(failure);
            io::Error::from(kind).into()
        })
    }
}

/// Prints which parts of the changed keys differ.
fn compare_fields(
    args: &Diff,
    selector: &Selector<'_>,
    changed: &HashSet<u128>,
    out: &mut impl Write,
) -> Result<(), Ended> {
    let parts = gather(args, selector, &mut |side, key, spill| {
        let place = place(key.db, key.name);
        if !changed.contains(&name_digest(&place)) {
            return Ok(());
        }
        let mut result = Ok(());
        let mut add = |name: &[u8], content: &[u8]| {
            if result.is_ok() {
                result = spill.add(&pair(&place, name), &[&[side][..], content].concat());
            }
        };
        let kind = super::stats::type_name(&key.value);
        let expiry = key
            .expire_at_ms
            .map_or_else(String::new, |at| at.to_string());
        add(b"\0type", kind.as_bytes());
        if !args.ignore_expiry {
            add(b"\0expiry", expiry.as_bytes());
        }
        elements(&key.value, &mut |name, content| {
            // Before the names of elements stands a byte that those above do not have.
            add(&[&[1][..], name].concat(), content);
        });
        result
    })?;
    parts.read(
        |part: &mut HashMap<Vec<u8>, Sides>, name, content| {
            let sides = part.entry(name).or_default();
            match content.split_first() {
                Some((0, rest)) => sides.0 = Some(rest.to_vec()),
                Some((_, rest)) => sides.1 = Some(rest.to_vec()),
                None => {}
            }
        },
        |part| {
            for (name, sides) in part {
                if sides.0 != sides.1 {
                    let (place, element) = of_pair(&name);
                    print(out, args, Mark::Changed, place, Some((element, &sides)))?;
                }
            }
            Ok(())
        },
    )?;
    Ok(())
}

/// A place and the name of an element in one.
fn pair(place: &[u8], element: &[u8]) -> Vec<u8> {
    [&(place.len() as u64).to_le_bytes()[..], place, element].concat()
}

fn of_pair(pair: &[u8]) -> (&[u8], &[u8]) {
    let (len, rest) = pair.split_first_chunk().unwrap_or((&[0; 8], pair));
    let len = usize::try_from(u64::from_le_bytes(*len)).unwrap_or(0);
    rest.split_at_checked(len).unwrap_or((rest, b""))
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
enum Mark {
    First,
    Second,
    Changed,
}

#[derive(Serialize)]
struct Line<'a> {
    db: u64,
    key: Text<'a>,
    only_in: Option<Mark>,
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    second: Option<Text<'a>>,
}

/// Prints one difference: of a key, or of one of its parts.
fn print(
    out: &mut impl Write,
    args: &Diff,
    mark: Mark,
    name: &[u8],
    part: Option<(&[u8], &Sides)>,
) -> io::Result<()> {
    let binary = args.binary;
    let (db, key) = of_place(name);
    // The first byte says only what kind of name it is.
    let element = part.map(|(element, _)| element.get(1..).unwrap_or_default());
    let side = |side: fn(&Sides) -> Option<&[u8]>| part.and_then(|(_, sides)| side(sides));
    let (first, second) = (
        side(|sides| sides.0.as_deref()),
        side(|sides| sides.1.as_deref()),
    );
    if args.json {
        let line = Line {
            db,
            key: Text::of(key),
            only_in: match mark {
                Mark::Changed => None,
                mark => Some(mark),
            },
            part: element.map(Text::of),
            first: first.map(Text::of),
            second: second.map(Text::of),
        };
        return write_json(out, &line, binary);
    }
    let sign = match mark {
        Mark::First => '-',
        Mark::Second => '+',
        Mark::Changed => '~',
    };
    write!(out, "{sign} {db} {}", binary.shown(key))?;
    if let Some(element) = element {
        let shown = |side: Option<&[u8]>| {
            side.map_or_else(
                || "(none)".to_owned(),
                |bytes| format!("\"{}\"", binary.shown(bytes)),
            )
        };
        let element = binary.shown(element);
        write!(out, "  {element}: {} -> {}", shown(first), shown(second))?;
    }
    out.write_all(b"\n")
}

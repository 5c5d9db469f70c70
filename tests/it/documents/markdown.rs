//! The Markdown files of the repository, as much of them as the tests need.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The repository.
pub(super) fn home() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A document's text.
pub(super) fn text(path: &str) -> String {
    let path = home().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All Markdown files: those of the root, and those below `docs/` and `fixtures/`.
pub(super) fn files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    collect(home(), false, &mut found);
    for directory in ["docs", "fixtures", "benches", "tests"] {
        collect(&home().join(directory), true, &mut found);
    }
    found.sort();
    found
}

fn collect(directory: &Path, deep: bool, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        let is_other = ["target", "node_modules"]
            .iter()
            .any(|name| path.ends_with(name));
        if path.is_dir() && deep && !is_other {
            collect(&path, deep, found);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
}

/// The lines outside of fenced blocks, with their numbers.
pub(super) fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut is_code = false;
    text.lines().enumerate().filter_map(move |(at, line)| {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
            return None;
        }
        (!is_code).then_some((at + 1, line))
    })
}

/// The anchors of a document's headings, as GitHub makes them.
pub(super) fn anchors(text: &str) -> BTreeSet<String> {
    let mut seen = BTreeMap::new();
    let mut found = BTreeSet::new();
    for (_, line) in prose(text) {
        let Some(heading) = heading(line) else {
            continue;
        };
        let slug = slug(heading);
        let count = seen.entry(slug.clone()).or_insert(0);
        found.insert(match *count {
            0 => slug,
            more => format!("{slug}-{more}"),
        });
        *count += 1;
    }
    found
}

/// The text of a heading.
pub(super) fn heading(line: &str) -> Option<&str> {
    let rest = line.trim_start_matches('#');
    (rest.len() < line.len()).then(|| rest.strip_prefix(' '))?
}

fn slug(heading: &str) -> String {
    let lower = heading.trim().to_lowercase();
    let is_kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    lower
        .chars()
        .filter(is_kept)
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

/// The texts in backticks of a line, in order.
pub(super) fn spans(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = line;
    while let Some(start) = rest.find('`') {
        let ticks = rest[start..].chars().take_while(|c| *c == '`').count();
        let fence = "`".repeat(ticks);
        let after = &rest[start + ticks..];
        let Some(end) = closing(after, &fence) else {
            break;
        };
        found.push(trimmed(&after[..end]).replace("\\|", "|"));
        rest = &after[end + ticks..];
    }
    found
}

/// Where a run of exactly these backticks begins.
fn closing(text: &str, fence: &str) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + text[from..].find(fence)?;
        let run = text[at..].chars().take_while(|c| *c == '`').count();
        if run == fence.len() {
            return Some(at);
        }
        from = at + run;
    }
}

/// Without the space that Markdown drops next to the backticks.
fn trimmed(text: &str) -> &str {
    let inner = text
        .strip_prefix(' ')
        .and_then(|text| text.strip_suffix(' '));
    inner.unwrap_or(text)
}

/// The rows of all tables whose first heading is `first`.
pub(super) fn rows<'t>(text: &'t str, first: &str) -> Vec<(usize, Vec<&'t str>)> {
    let mut found = Vec::new();
    let mut is_inside = false;
    for (number, line) in prose(text) {
        if !line.starts_with('|') {
            is_inside = false;
            continue;
        }
        let cells = cells(line);
        if cells.first() == Some(&first) {
            is_inside = true;
        } else if is_inside && !line.starts_with("|---") {
            found.push((number, cells));
        }
    }
    found
}

/// The cells of a line of a table.
fn cells(line: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let (mut start, mut last) = (0, ' ');
    for (at, character) in line.char_indices() {
        if character == '|' && last != '\\' {
            found.push(line[start..at].trim());
            start = at + 1;
        }
        last = character;
    }
    found.split_off(1.min(found.len()))
}

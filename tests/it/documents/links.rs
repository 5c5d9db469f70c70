//! Every relative link in a Markdown file leads to a file, and every anchor to a heading.

use std::fs;
use std::path::Path;

use super::markdown::{anchors, files, home, prose};

/// The targets of the links in a line: `[text](target)`, outside of code.
fn targets(line: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = line;
    while let Some(at) = rest.find("](") {
        let after = &rest[at + 2..];
        let end = after.find(')').unwrap_or(after.len());
        found.push(&after[..end]);
        rest = &after[end..];
    }
    found
}

/// Without what is in backticks.
fn without_code(line: &str) -> String {
    let mut outside = String::new();
    for (at, part) in line.split('`').enumerate() {
        if at % 2 == 0 {
            outside.push_str(part);
        }
    }
    outside
}

/// What is wrong with a link in `file`.
fn fault(file: &Path, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = target
        .split_once('#')
        .map_or((target, None), |(path, anchor)| (path, Some(anchor)));
    let directory = file.parent().expect("a directory");
    let leads_to = if path.is_empty() {
        file.to_owned()
    } else {
        directory.join(path)
    };
    if !leads_to.exists() {
        return Some("no such file".to_owned());
    }
    let anchor = anchor?;
    let is_there = fs::read_to_string(&leads_to).is_ok_and(|text| anchors(&text).contains(anchor));
    (!is_there).then(|| "no such heading".to_owned())
}

#[test]
fn every_link_leads_somewhere() {
    let mut wrong = Vec::new();
    for file in files() {
        let text = fs::read_to_string(&file).expect("a file");
        for (number, line) in prose(&text) {
            let line = without_code(line);
            for target in targets(&line) {
                let shown = file.strip_prefix(home()).expect("inside").display();
                wrong.extend(
                    fault(&file, target)
                        .map(|fault| format!("{shown}:{number}: {target}: {fault}")),
                );
            }
        }
    }
    assert!(wrong.is_empty(), "broken links:\n{}", wrong.join("\n"));
}

#[test]
fn every_document_is_in_the_index() {
    let index = fs::read_to_string(home().join("docs/README.md")).expect("the index");
    let missing: Vec<String> = files()
        .iter()
        .filter_map(|file| file.strip_prefix(home().join("docs")).ok())
        .map(|file| file.display().to_string())
        .filter(|file| file != "README.md" && !index.contains(&format!("]({file})")))
        .collect();
    assert!(
        missing.is_empty(),
        "docs/README.md does not list {missing:?}"
    );
}

#[test]
fn anchors_are_those_of_github() {
    let found = anchors(
        "# One two\n\n## `--max-staleness 5s`\n\n## A, b (c)?\n## Twice\n## Twice\n```\n# no\n```\n",
    );
    let expected = ["one-two", "--max-staleness-5s", "a-b-c", "twice", "twice-1"];
    assert_eq!(found, expected.map(str::to_owned).into());
}

//! `docs/consistency.md` names a test for each statement, and each of these tests exists.

use super::markdown::{home, prose, rows, spans, text};

const PAGE: &str = "docs/consistency.md";

/// The tests that a line names: a file in backticks, and after it the names of functions.
fn named(line: &str) -> Vec<(String, String)> {
    let mut file = String::new();
    let mut found = Vec::new();
    for span in spans(line) {
        let is_name = span.len() > 12
            && span
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if span.ends_with(".rs") {
            file = span;
        } else if is_name && span.matches('_').count() >= 3 && !file.is_empty() {
            found.push((file.clone(), span));
        }
    }
    found
}

#[test]
fn every_test_that_is_named_exists() {
    let page = text(PAGE);
    let mut count = 0;
    for (number, line) in prose(&page) {
        for (file, name) in named(line) {
            let source = std::fs::read_to_string(home().join(&file)).unwrap_or_default();
            let is_there =
                source.contains(&format!("fn {name}(")) || source.contains(&format!("({name}, "));
            assert!(is_there, "{PAGE}:{number}: no test {name} in {file}");
            count += 1;
        }
    }
    assert!(count > 25, "only {count} tests are named");
}

#[test]
fn every_statement_names_a_test() {
    for (number, cells) in rows(&text(PAGE), "statement") {
        let line = cells.last().copied().unwrap_or_default();
        assert!(!named(line).is_empty(), "{PAGE}:{number}: no test");
    }
}

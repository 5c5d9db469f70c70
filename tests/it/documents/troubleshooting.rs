//! `docs/troubleshooting.md` has an entry for each message that an operator can meet, and no entry for any other.
//!
//! The messages are the string literals of the sources. Which of them an operator can meet, the rules below say.

use std::collections::BTreeSet;

use super::markdown::{rows, spans, text};
use super::source::{Literal, literals};

const PAGE: &str = "docs/troubleshooting.md";

/// Where all sentences are for operators: the program, the link, the writer, the state directory, the server of clients.
const ROOMS: &[&str] = &[
    "cli/",
    "http/",
    "replica/",
    "server/",
    "state/",
    "upstream/",
    "command/rows/health.rs",
    "command/rows/cluster_state.rs",
    "rdb/error.rs",
    "script/replay.rs",
];

/// Where they are not: what a command prints as its result, and help texts.
const RESULTS: &[&str] = &[
    "cli/demo/",
    "cli/rdb/check.rs",
    "cli/rdb/digest.rs",
    "cli/rdb/keys.rs",
    "cli/rdb/stats.rs",
    "cli/rdb/json.rs",
    "cli/completions.rs",
    "cli/config/print.rs",
    "cli/man.rs",
    "cli/config/print.rs",
    "cli/status",
    "cli/tail/line.rs",
    "http/metrics/",
    "http/page",
    "replica/fuzzing/",
    "server/shared.rs",
];

/// Calls whose texts no operator reads: bugs, help, and what is logged only for developers.
const INNER: &[&str] = &[
    "assert!",
    "assert_eq!",
    "debug_assert!",
    "debug_assert_eq!",
    "panic!",
    "expect",
    "unreachable!",
    "debug!",
    "trace!",
    "arg",
    "command",
    ".about",
    ".difference",
    // It completes "the key `…` must be …".
    "wanted!",
];

/// Codes with which redtail's own replies begin, besides those that contain its name.
const CODES: &[&str] = &[
    "TAINTED",
    "OOM",
    "LOADING",
    "MASTERDOWN",
    "READONLY",
    "DENIED",
    "BEHIND",
    "NOHISTORY",
];

/// Texts that are no messages, or a server's own, by how they begin.
const EXEMPT: &[(&str, &[&str])] = &[
    (
        "parts of others' messages, which redtail replaces or looks for",
        &[
            "failed to lookup address information:",
            ", with args beginning with",
            "invalid digit found in string",
            "cannot parse integer from empty string",
            "number too large to fit in target type",
            "number too small to fit in target type",
            "is not in 0..=",
            "no upstream host",
        ],
    ),
    (
        "servers' own replies",
        &[
            "ERR Invalid bitfield type.",
            "ERR syntax error, WITHSCORES",
            "Write commands not allowed after non deterministic commands.",
        ],
    ),
    (
        "marks between two parts of redtail, which become another message",
        &["no memory for more watched keys", "the script must end"],
    ),
    ("help", &["Exit codes:", "A file compressed by gzip"]),
    (
        "the end of \"the key … must be …\"",
        &["a string in double quotes"],
    ),
    ("headings of tables", &["in the dump"]),
    ("headers of HTTP", &["Basic realm=", "default-src "]),
];

/// A message as both sides write it.
fn plain(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let joined = words.join(" ");
    joined
        .strip_prefix(". ")
        .map_or(joined.clone(), str::to_owned)
}

fn begins_with_any(text: &str, starts: &[&str]) -> bool {
    starts.iter().any(|start| text.starts_with(start))
}

fn is_logged(literal: &Literal) -> bool {
    let is_of_a_level = ["info!", "warn!", "error!"]
        .iter()
        .any(|level| literal.is_in(level));
    is_of_a_level
        && literal
            .heads
            .iter()
            .any(|head| head.starts_with("tracing::"))
}

fn is_of_an_error(literal: &Literal) -> bool {
    literal.heads.windows(2).any(|pair| pair == ["#", "error"])
}

/// Whether it begins like an error reply.
fn is_reply(text: &str) -> bool {
    let word = text
        .trim_start_matches('-')
        .split(' ')
        .next()
        .unwrap_or_default();
    word.len() > 2 && word.chars().all(|c| c.is_ascii_uppercase())
}

/// Whether it is a reply in redtail's own words.
fn is_own_reply(text: &str) -> bool {
    let own = [
        "redtail",
        "not supported",
        "reply-bytes-max",
        "--script-share",
    ];
    is_reply(text) && (begins_with_any(text, CODES) || own.iter().any(|word| text.contains(word)))
}

fn has_words(text: &str, count: usize) -> bool {
    let words = text.split_whitespace();
    let is_word = |word: &&str| word.chars().any(char::is_alphabetic);
    words.filter(is_word).count() >= count
}

/// Whether an operator can meet it.
fn is_for_operators(literal: &Literal) -> bool {
    let text = literal.text.trim();
    let is_inner = INNER.iter().any(|call| literal.is_in(call));
    let is_exempt = EXEMPT
        .iter()
        .any(|(_, starts)| begins_with_any(text, starts));
    if is_inner || is_exempt || !has_words(text, 1) {
        return false;
    }
    if begins_with_any(&literal.file, RESULTS) {
        return false;
    }
    let is_of_a_room = begins_with_any(&literal.file, ROOMS) && !is_reply(text);
    // The link compares what servers reply.
    let is_answer = !literal.file.starts_with("upstream/") && is_own_reply(text);
    is_logged(literal)
        || is_answer
        || (is_of_an_error(literal) && !is_reply(text) && has_words(text, 2))
        || (is_of_a_room && has_words(text, 3))
}

/// Whether an entry is of this message. A long one may be cut, with ` […]` at its end.
fn is_of(message: &str, entry: &str) -> bool {
    let start = entry.strip_suffix(" […]");
    message == entry || start.is_some_and(|start| message.starts_with(start))
}

/// All messages, with a file that has each.
fn messages() -> Vec<(String, String)> {
    let mut found: Vec<_> = literals()
        .into_iter()
        .filter(is_for_operators)
        .map(|literal| (plain(&literal.text), literal.file))
        .collect();
    found.sort();
    found.dedup_by(|one, other| one.0 == other.0);
    found
}

/// The entries of the page: line, messages, meaning and what to do.
fn entries(page: &str) -> Vec<(usize, Vec<String>, bool)> {
    let tables = rows(page, "message");
    let entry = |(number, cells): (usize, Vec<&str>)| {
        let is_whole = cells.len() == 3 && cells.iter().all(|cell| !cell.is_empty());
        let messages = spans(cells[0]).iter().map(|span| plain(span)).collect();
        (number, messages, is_whole)
    };
    tables.into_iter().map(entry).collect()
}

#[test]
fn every_message_has_an_entry() {
    let page = text(PAGE);
    let known: BTreeSet<String> = entries(&page)
        .into_iter()
        .flat_map(|entry| entry.1)
        .collect();
    let missing: Vec<String> = messages()
        .into_iter()
        .filter(|(message, _)| !known.iter().any(|entry| is_of(message, entry)))
        .map(|(message, file)| {
            format!(
                "| `{}` | | |   from src/{file}",
                message.replace('|', "\\|")
            )
        })
        .collect();
    assert!(
        missing.is_empty(),
        "{PAGE} lacks {} messages. Add these rows, with what each means and what to do:\n{}",
        missing.len(),
        missing.join("\n")
    );
}

#[test]
fn every_entry_is_of_a_message_and_says_what_to_do() {
    let page = text(PAGE);
    let known: BTreeSet<String> = literals()
        .iter()
        .map(|literal| plain(&literal.text))
        .collect();
    let mut wrong = Vec::new();
    for (number, messages, is_whole) in entries(&page) {
        if !is_whole || messages.is_empty() {
            wrong.push(format!("line {number}: a cell is empty"));
        }
        let is_gone = |entry: &&String| !known.iter().any(|message| is_of(message, entry));
        let gone = messages.iter().filter(is_gone);
        wrong.extend(
            gone.map(|message| format!("line {number}: the sources do not contain `{message}`")),
        );
    }
    assert!(wrong.is_empty(), "{PAGE}:\n{}", wrong.join("\n"));
}

#[test]
fn the_rules_find_messages_of_each_kind() {
    let messages: BTreeSet<String> = messages().into_iter().map(|(message, _)| message).collect();
    for expected in [
        "the link to the primary is down",
        "listening",
        "cannot connect to …: ……",
        "--resync-guard: write a percentage from 0 to 100",
        "it is loading its data",
        "READONLY You can't write against a read only replica.",
        "unexpected end of input",
    ] {
        assert!(messages.contains(expected), "{expected}");
    }
    for other in ["ERR syntax error", "the low half", "the file"] {
        assert!(!messages.contains(other), "{other}");
    }
}

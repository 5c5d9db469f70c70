//! The reference page is what the command table says.

use std::path::Path;

use redtail::command::{Command, all};

/// What a client, and the stream, get of a row.
fn kind(group: &str, row: &Command) -> (&'static str, &'static str) {
    let client = match (row.read, row.session) {
        _ if group == "refused" => "refused",
        (Some(_), _) => "answered",
        (_, Some(_)) => "answered here",
        _ if row.is_write() => "READONLY",
        _ => "refused",
    };
    let stream = match row.apply {
        Some(_) => "applied",
        None if row.is_write() => "taints its keys",
        None => "",
    };
    (client, stream)
}

fn line(group: &str, name: &str, row: &Command) -> String {
    let (client, stream) = kind(group, row);
    format!(
        "| {name} | {group} | {} | {client} | {stream} | {} |\n",
        row.since, row.difference
    )
}

fn page() -> String {
    let mut lines = Vec::new();
    for (group, row) in all() {
        let name = row.name.to_uppercase();
        if row.subcommands.is_empty() {
            lines.push(line(group, &name, row));
        }
        let inner = row.subcommands.iter();
        lines.extend(
            inner.map(|sub| line(group, &format!("{name} {}", sub.name.to_uppercase()), sub)),
        );
    }
    lines.sort();
    format!(
        "# Commands\n\nWritten from the command table by `REDTAIL_WRITE_DOCS=1 tests/run reference`.\n\n\
        *Clients* get a write refused as READONLY. *In the stream* is what becomes of the primary's own writes; the keys of one \
        that cannot be applied answer TAINTED until the next full sync. *Answered here* is about redtail itself or the connection.\n\n\
        | command | group | since | clients | in the stream | DIFFERENCE |\n|---|---|---|---|---|---|\n{}",
        lines.concat()
    )
}

#[test]
fn the_page_lists_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/commands.md");
    let expected = page();
    if std::env::var_os("REDTAIL_WRITE_DOCS").is_some() {
        std::fs::write(&path, &expected).expect("the page is written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "docs/commands.md is not what the table says: REDTAIL_WRITE_DOCS=1 tests/run reference"
    );
}

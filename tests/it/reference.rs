//! The reference page is what the command table says, and it has every command of the newest servers.

use std::collections::BTreeSet;
use std::path::Path;

use redtail::internal::command::{Command, all};
use redtail::internal::dialect::Dialect;

/// What the servers say of their commands: a line is servers, name, and more.
const CATALOGUE: &str = include_str!("../../src/command/dispatch/catalogue.txt");

const HEAD: &str = "# Commands

Written from the command table by `REDTAIL_WRITE_DOCS=1 tests/run reference`.

*Clients* get a write refused as READONLY. *In the stream* is what becomes of the primary's own writes; the keys of one that cannot \
be applied answer TAINTED until the next full sync. *Answered here* is about redtail itself or the connection. *Refused* is \
answered with an error that says why. A command that the upstream's version does not have is unknown here, too.

| command | group | since | clients | in the stream | DIFFERENCE |
|---|---|---|---|---|---|
";

const GENERAL: &str = "
## Differences that no single command has

* **Wording follows the upstream.** Replies and errors are those of the server that wrote the snapshot, or of the one that \
`--dialect` names. Between the versions that were asked (Redis 6.0, 7.0, 8.0, Valkey 8.1, 9.1) the nearest speaks.
* **TAINTED.** A write that cannot be applied makes its keys answer an error, where a replica would apply it: an unknown value is \
never shown as a known one.
* **LOADING** is seen before the first sync only: later full syncs load beside what is served, and replace it at one moment.
* **Expiry.** Keys are hidden at their time and deleted by the primary's word alone; memory of values that have long expired is \
given back earlier.
* **No access times**: nothing is evicted, OBJECT IDLETIME is an error, and TOUCH and CLIENT NO-TOUCH change nothing.
* **No logs of times**: SLOWLOG, COMMANDLOG and LATENCY are empty, as with these logs turned off.
* **No messages**: SUBSCRIBE and its like are refused, and nobody receives what PUBLISH is given here.
* **One user**, `default`, who may do everything; ACL SETUSER is refused.
* **HELP** texts list the subcommands in our own sentences; so do the summaries of COMMAND DOCS, which has no arguments, history or \
complexity. COMMAND leaves out the notes of key specifications.
* **Order.** Where a server's order is that of its hash table (COMMAND, CONFIG GET, KEYS, SCAN, members of large sets and hashes), \
ours is another.
* **INFO** has the fields of the upstream's version, but for what is not counted here (keyspace hits and misses, event loop and thread \
times, memory of scripts, hits of each command), and a section `redtail`. Data and what holds it are not told apart: overheads are 0, \
and the peak of memory is the process's.
* **CONFIG** has the settings of the upstream's version. `timeout`, `maxclients`, `tcp-keepalive`, `loglevel`, `proto-max-bulk-len`, \
`client-query-buffer-limit` and the encodings' settings take effect when they are set; what has no meaning here is kept for CONFIG GET \
and logged once; what would promise something that redtail does not do is refused with the reason.
";

/// What a client, and the stream, get of a row.
fn kind(row: &Command) -> (&'static str, &'static str) {
    let client = match (row.read, row.session) {
        (_, Some(_)) if row.summary.starts_with("Refused") => "refused",
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

/// In which family alone the command is, if not in both.
fn only(row: &Command) -> &'static str {
    let newest = u8::MAX;
    let redis = Dialect::redis(newest, 0, 0).has(row.presence);
    let valkey = Dialect::valkey(newest, 0, 0).has(row.presence);
    match (redis, valkey) {
        (true, false) => " (Redis)",
        (false, true) => " (Valkey)",
        _ => "",
    }
}

fn line(group: &str, name: &str, row: &Command) -> String {
    let (client, stream) = kind(row);
    format!(
        "| {name} | {group} | {}{} | {client} | {stream} | {} |\n",
        row.since,
        only(row),
        row.difference
    )
}

/// All rows that are no containers, with their full names and their groups.
fn rows() -> impl Iterator<Item = (String, &'static str, &'static Command)> {
    all().flat_map(|(group, row)| {
        let name = row.name.to_uppercase();
        let alone = row.subcommands.is_empty() || row.session.is_some();
        let own = alone.then(|| (name.clone(), group, row));
        let inner = row.subcommands.iter();
        own.into_iter().chain(
            inner.map(move |sub| (format!("{name} {}", sub.name.to_uppercase()), group, sub)),
        )
    })
}

fn page() -> String {
    let mut lines: Vec<String> = rows()
        .map(|(name, group, row)| line(group, &name, row))
        .collect();
    lines.sort();
    format!("{HEAD}{}{GENERAL}", lines.concat())
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

#[test]
fn the_page_has_every_command_of_the_newest_servers() {
    let listed: BTreeSet<String> = rows().map(|(name, ..)| name).collect();
    let containers: BTreeSet<String> = all()
        .filter(|(_, row)| !row.subcommands.is_empty())
        .map(|(_, row)| row.name.to_uppercase())
        .collect();
    for line in CATALOGUE.lines() {
        let mut words = line.split(' ');
        let servers = words.next().unwrap_or_default();
        let name = words.next().unwrap_or_default().to_uppercase();
        let name = name.replace('|', " ");
        let is_newest = servers.contains(['8', 'V']);
        assert!(
            !is_newest || listed.contains(&name) || containers.contains(&name),
            "{name} is not on the page"
        );
    }
}

//! Checks that `docs/commands.md` matches the command table and lists every command of the newest servers.

use std::collections::BTreeSet;
use std::path::Path;

use redtail::internal::command::{Command, Form, all};
use redtail::internal::dialect::{Dialect, Presence};

use crate::servers::ALL;

/// What the servers say about their commands. Each line holds servers, a name, and more.
const CATALOGUE: &str = include_str!("../../src/command/dispatch/catalogue.txt");

const HEAD: &str = "# Commands

Generated from the command table by `REDTAIL_WRITE_DOCS=1 tests/run reference`.

The column *clients* says what a client gets. *Answered here* means that the reply is about redtail itself or the connection. A \
write gets a READONLY error. A *refused* command gets an error that says why. The column *in the stream* says what redtail does \
with a write from the primary. If it cannot apply the write, it taints the keys: they answer TAINTED until the next full sync. A \
command that the upstream's version does not have is unknown here too.

† Built from documents: no server that the tests always have knows it. What Redis 8.6 knows is compared with it where it is installed.

| command | group | since | clients | in the stream | DIFFERENCE |
|---|---|---|---|---|---|
";

const GENERAL: &str = "
## Differences that concern many commands

* **Wording follows the upstream.** Replies and errors are those of the server that wrote the snapshot, or of the one that \
`--dialect` names. The tests ask Redis 6.0, 7.0, 7.4, 8.0 and 8.2 and Valkey 8.1, 9.0 and 9.1; other versions get the wording of the nearest of these.
* **TAINTED.** If redtail cannot apply a write, the keys of that write answer an error until the next full sync. A replica would \
apply it. redtail never presents an unknown value as a known one.
* **LOADING** is seen only before the first sync. Later full syncs load beside the data being served, and replace it at one moment.
* **Expiry.** A key is hidden at its expiry time, but only the primary deletes it. The memory of long-expired values is freed earlier.
* **No access times** without `--track-access`: OBJECT IDLETIME is then an error, and TOUCH and CLIENT NO-TOUCH change nothing. redtail \
evicts nothing.
* **Times.** Quick reads in a pipeline are answered in groups, and share the group's time equally. What scripts call is counted, and its \
time is that of the script. SLOWLOG, COMMANDLOG, LATENCY and MONITOR show what clients ask redtail, not what the primary sends.
* **Messages.** Subscribers get what the primary publishes. A message published here reaches the clients of this redtail only, as on a \
replica.
* **Users** come from redtail's own ACL file (`--aclfile`), never from the primary. The file may use the newest syntax, whatever the \
upstream's version; a rule for a command that the upstream does not have has no effect.
* **HELP** texts and the summaries of COMMAND DOCS are in our own words. COMMAND DOCS has no arguments, history or complexity. \
COMMAND leaves out the notes of key specifications.
* **Order.** Where a server's order follows from its hash table (COMMAND, CONFIG GET, KEYS, SCAN, members of large sets and hashes), \
redtail's order is different.
* **INFO** has the fields of the upstream's version, except for what redtail does not count (event loop and thread times, memory of scripts). It also has a section `redtail`. redtail does not separate the data from its \
overhead: the overhead fields are 0, and the peak memory is that of the process.
* **CONFIG** has the settings of the upstream's version. `timeout`, `maxclients`, `tcp-keepalive`, `loglevel`, `proto-max-bulk-len`, \
`client-query-buffer-limit`, `client-output-buffer-limit` and the settings of encodings take effect as soon as they are set. A setting that means nothing to redtail is \
kept for CONFIG GET and logged once. A setting that would promise something redtail does not do is refused with the reason.
";

/// Marks what only servers have that no test asks.
const UNASKED: &str = " †";

/// Whether a test asks a server that has this.
fn is_asked(presence: Presence) -> bool {
    let asked = ALL.iter().filter_map(|name| Dialect::named(name));
    asked.into_iter().any(|server| server.has(presence))
}

fn mark(presence: Presence) -> &'static str {
    if is_asked(presence) { "" } else { UNASKED }
}

/// What a client gets, and what happens in the stream.
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

/// Names the only family that has something, if not both have it.
fn only(presence: Presence) -> &'static str {
    let newest = u8::MAX;
    let redis = Dialect::redis(newest, 0, 0).has(presence);
    let valkey = Dialect::valkey(newest, 0, 0).has(presence);
    match (redis, valkey) {
        (true, false) => " (Redis)",
        (false, true) => " (Valkey)",
        _ => "",
    }
}

/// Since when a row exists, and its later forms.
fn since(row: &Command) -> String {
    let own = format!("{}{}{}", row.since, only(row.presence), mark(row.presence));
    let forms = row.forms.iter().map(|form| {
        let Form {
            words,
            since,
            presence,
            ..
        } = form;
        format!("; {words} {since}{}{}", only(*presence), mark(*presence))
    });
    std::iter::once(own).chain(forms).collect()
}

fn line(group: &str, name: &str, row: &Command) -> String {
    let (client, stream) = kind(row);
    let since = since(row);
    format!(
        "| {name} | {group} | {since} | {client} | {stream} | {} |\n",
        row.difference
    )
}

/// All rows except containers, with their full names and groups.
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
        std::fs::write(&path, &expected).expect("write the page");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "docs/commands.md does not match the command table; to regenerate it, run REDTAIL_WRITE_DOCS=1 tests/run reference"
    );
}

#[test]
fn what_no_asked_server_has_is_marked() {
    let page = page();
    let line = |name: &str| {
        let start = format!("| {name} |");
        let mut lines = page.lines();
        lines
            .find(|line| line.starts_with(&start))
            .unwrap_or_else(|| panic!("no {name}"))
    };
    for name in ["SUNIONCARD", "LMOVEM", "HIMPORT SET", "TRIMSLOTS", "VRANGE"] {
        assert!(line(name).contains(UNASKED), "{name}");
    }
    assert!(line("ZUNION").contains("AGGREGATE COUNT 8.8.0 (Redis) †"));
    for name in ["GET", "MSETEX", "CLUSTER FLUSHSLOT", "ZDIFF"] {
        assert!(!line(name).contains(UNASKED), "{name}");
    }
    // The catalogue says the same about commands: what no asked server listed has only lines of `9`.
    for (name, _, row) in rows().filter(|(_, _, row)| !is_asked(row.presence)) {
        let lines = CATALOGUE
            .lines()
            .map(|line| line.split(' ').collect::<Vec<_>>());
        let mut lines = lines.filter(|words| words[1].to_uppercase().replace('|', " ") == name);
        assert!(lines.all(|words| words[0] == "9"), "{name} {}", row.since);
    }
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
        let is_newest = servers.contains(['2', 'V']);
        assert!(
            !is_newest || listed.contains(&name) || containers.contains(&name),
            "{name} is not on the page"
        );
    }
}

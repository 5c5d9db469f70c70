//! The oracle: redtail must answer whatever a real replica answers, byte for byte.
//!
//! Random writes go to a real primary of each version. A real replica and redtail follow it. After each batch all three are at
//! one offset, and the test asks both followers for everything they hold, and sends them random reads of every kind. The command
//! table drives it: the test fails if a row is not covered by a form in `writes` or `reads`, unless the row itself declares a
//! DIFFERENCE. `same` says which replies need not be equal byte for byte, and why; `torn` reads the one kind of reply with which
//! some servers break the protocol. `shrink` reduces a difference to the fewest writes that still cause it, and the test prints
//! them as lines for redis-cli. `judging` tests the comparison itself.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `REDTAIL_ORACLE_SEEDS` | seeds for each server | 1 |
//! | `REDTAIL_ORACLE_WRITES` | writes for each seed | 400 |
//! | `REDTAIL_ORACLE_SEED` | the first seed | 1 |
//! | `REDTAIL_ORACLE_WITHOUT` | rows to leave out, separated by commas, to look past a known difference | none |
//! | `REDTAIL_ORACLE_ONLY` | the beginnings of rows' names, separated by commas, to look at some commands alone: `x,copy` | all |
//! | `REDTAIL_ORACLE_SHRINK_SECONDS` | seconds to spend on each reproduction | 20 |

mod exempt;
mod generator;
mod grammar;
mod judging;
mod pair;
mod pools;
mod reads;
mod report;
mod same;
mod shrink;
mod torn;
mod trio;
mod writes;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use redtail::internal::command::{Command, all};

use crate::client::{Client, Reply};
use crate::servers::{ALL, Server, is_there};
use exempt::{EXEMPT, UNASKED};
use grammar::forms;
use pair::{Difference, Pair};
use report::report;
use same::RELAXED;
use trio::{Manner, Trio, is_quiet};

pub use generator::Generator;
pub use pair::scan;
pub use trio::{Step, flushes as flushes_functions};

/// Random writes of every kind, for other tests; commands that belong together are adjacent. Leaves out what crashes some
/// servers, and what redtail cannot order like a primary.
pub fn writes(seed: u64, count: usize) -> Vec<Vec<Vec<u8>>> {
    let mut generator = Generator::new(seed);
    let units = generator.steps(count).into_iter().map(|step| match step {
        Step::Write(commands) => commands,
        Step::Attach => Vec::new(),
    });
    let is_left_out = |words: &Vec<Vec<u8>>| {
        let name = words[0].to_ascii_uppercase();
        let is_flush = words.len() > 1 && words[1].eq_ignore_ascii_case(b"FLUSH");
        name == b"SORT" || (name == b"FUNCTION" && is_flush)
    };
    units
        .filter(|unit| !unit.iter().any(is_left_out))
        .flatten()
        .collect()
}

/// The number of steps between two comparisons.
const BATCH: usize = 50;

/// The number of random reads at each comparison, for each database and protocol.
const READS: usize = 150;

/// The number of batches between two full resyncs.
const BATCHES_PER_SYNC: u64 = 5;

/// The maximum number of differences shown for one seed, each for another command.
const SHOWN: usize = 12;

fn number(variable: &str, default: u64) -> u64 {
    let value = std::env::var(variable).ok();
    value
        .and_then(|value| value.parse().ok())
        .unwrap_or(default)
}

/// Runs all seeds for one server. Panics with the differences, if there are any.
fn follow(name: &str, trio: Option<Trio>) {
    let Some(mut trio) = trio else {
        return;
    };
    let first = number("REDTAIL_ORACLE_SEED", 1);
    let mut reports = Vec::new();
    for seed in first..first + number("REDTAIL_ORACLE_SEEDS", 1) {
        let found = run(&mut trio, name, seed);
        eprintln!("{name}, seed {seed}: {} differences", found.len());
        found.iter().for_each(|report| eprintln!("{report}"));
        reports.extend(found);
    }
    assert!(
        reports.is_empty(),
        "{} differences\n{}\n{}",
        reports.len(),
        reports.join("\n"),
        trio.log()
    );
}

/// Runs one seed, to its end or to the first difference in the data. For every second seed the primary does not delete expired
/// keys by itself, and for every third one the limits of encodings are low.
fn run(trio: &mut Trio, name: &str, seed: u64) -> Vec<String> {
    let writes = number("REDTAIL_ORACLE_WRITES", 400);
    let mut generator = Generator::new(seed);
    let mut history = Vec::new();
    let mut faults = BTreeMap::new();
    trio.reset(Manner {
        expires: seed % 2 == 1,
        is_tight: seed.is_multiple_of(3),
    });
    for batch in 1..=writes.div_ceil(BATCH as u64) {
        generator.pools.payloads = trio.payloads(&generator.dumps(10));
        let mut steps = generator.steps(BATCH);
        if batch % BATCHES_PER_SYNC == 0 {
            steps.push(Step::Attach);
        }
        trio.apply(&steps);
        history.extend(steps);
        trio.settle();
        let differences = trio.compare(&generator.reads(READS));
        let is_beyond = differences.iter().any(|difference| difference.is_of_state);
        for difference in differences {
            let fault = faults.entry(signature(&difference));
            fault.or_insert((difference, history.len()));
        }
        if is_beyond {
            break;
        }
    }
    let shown = faults.into_values().take(SHOWN);
    let reports = shown.map(|(difference, length)| {
        let title = format!("{name}, seed {seed}, after {length} steps");
        shrunk(trio, &title, &history[..length], difference)
    });
    reports.collect()
}

/// Reports a difference, with the fewest steps that lead to it.
fn shrunk(trio: &mut Trio, title: &str, history: &[Step], difference: Difference) -> String {
    let patience = Duration::from_secs(number("REDTAIL_ORACLE_SHRINK_SECONDS", 20));
    let steps = shrink::shrink(trio, history, &difference, patience);
    if let Some(steps) = &steps {
        trio.replay(steps);
    }
    let difference = trio.repeat(&difference).unwrap_or(difference);
    let primary = trio.primary_says(&difference);
    report(title, steps.as_deref(), &difference, &primary)
}

/// Returns the same signature for differences that probably have the same cause.
fn signature(difference: &Difference) -> Vec<u8> {
    if difference.found.0.starts_with(b"-TAINTED") {
        return b"TAINTED".to_vec();
    }
    let kinds = [&difference.expected, &difference.found].map(|reply| u8::from(reply.is_error()));
    [&difference.read[0].to_ascii_lowercase(), kinds.as_slice()].concat()
}

#[test]
fn answers_as_a_replica_of_redis_6_0_does() {
    follow("redis-6.0", Trio::start("redis-6.0"));
}

#[test]
fn answers_as_a_replica_of_redis_7_0_does() {
    follow("redis-7.0", Trio::start("redis-7.0"));
}

#[test]
fn answers_as_a_replica_of_redis_7_4_does() {
    follow("redis-7.4", Trio::start("redis-7.4"));
}

#[test]
fn answers_as_a_replica_of_redis_8_0_does() {
    follow("redis-8.0", Trio::start("redis-8.0"));
}

#[test]
fn answers_as_a_replica_of_redis_8_2_does() {
    follow("redis-8.2", Trio::start("redis-8.2"));
}

#[test]
fn answers_as_a_replica_of_redis_8_6_does() {
    if is_there("redis-8.6") {
        follow("redis-8.6", Trio::start("redis-8.6"));
    }
}

#[test]
fn answers_as_a_replica_of_valkey_8_1_does() {
    follow("valkey-8.1", Trio::start("valkey-8.1"));
}

#[test]
fn answers_as_a_replica_of_valkey_9_0_does() {
    follow("valkey-9.0", Trio::start("valkey-9.0"));
}

#[test]
fn answers_as_a_replica_of_valkey_9_1_does() {
    follow("valkey-9.1", Trio::start("valkey-9.1"));
}

#[test]
fn answers_as_a_replica_of_valkey_9_1_2_does() {
    follow("valkey-9.1.2", Trio::start("valkey-9.1.2"));
}

/// The comparison relaxes everything in which two real replicas differ.
#[test]
fn a_second_real_replica_passes_the_same_comparison() {
    for name in ["redis-7.0", "valkey-9.1"] {
        let follow_real = |primary: &Server| {
            Server::replica(name, primary).expect("the server was there a moment ago")
        };
        follow(name, Trio::start_with(name, follow_real));
    }
}

/// The rows of the table with their names; containers are replaced by their subcommands.
fn rows() -> Vec<(String, &'static Command)> {
    let row = |(_, command): (&str, &'static Command)| {
        let inner = command.subcommands.iter();
        let inner = inner.map(|sub| (format!("{} {}", command.name, sub.name), sub));
        let own = command
            .subcommands
            .is_empty()
            .then(|| (command.name.to_owned(), command));
        own.into_iter().chain(inner).collect::<Vec<_>>()
    };
    all().flat_map(row).collect()
}

/// The names of the commands that some form produces: the first word, and the first two.
fn made() -> BTreeSet<String> {
    let writes = writes::WRITES.iter().map(|family| family.text);
    let texts = writes.chain(reads::READS.iter().copied());
    let names = texts.flat_map(forms).flat_map(|form| {
        let (first, _) = form.name.split_once(' ').unwrap_or((&form.name, ""));
        [first.to_owned(), form.name]
    });
    names.collect()
}

/// Commands that only the primary of a cluster accepts, so not these servers. `stream_tests` feeds them to the stream.
const OF_CLUSTERS: [&str; 3] = ["cluster flushslot", "trimslots", "sflush"];

#[test]
fn every_row_of_the_command_table_has_a_form() {
    let made = made();
    let rows = rows().into_iter();
    let missing: Vec<_> = rows
        .filter(|(name, row)| (row.read.is_some() || row.is_write()) && !made.contains(name))
        .filter(|(name, _)| !OF_CLUSTERS.contains(&name.as_str()))
        .map(|(name, _)| name)
        .collect();
    assert!(missing.is_empty(), "no form produces {missing:?}");
}

/// The names of the commands that a server calls read-only.
fn read_only(server: &Server) -> Vec<String> {
    let is_read_only = |row: &Vec<Reply>| row[2].text().lines().any(|flag| flag == "readonly");
    let rows = server.command("COMMAND").elements();
    let rows = rows.iter().map(Reply::elements).filter(is_read_only);
    rows.map(|row| row[0].text().to_lowercase()).collect()
}

#[test]
fn every_read_only_command_of_each_server_is_asked() {
    let made = made();
    let unasked = |name: &String| UNASKED.iter().any(|(unasked, _)| unasked == name);
    let is_known =
        |name: &String| made.contains(name) || EXEMPT.contains(&name.as_str()) || unasked(name);
    for name in ALL {
        let Some(server) = Server::start(name, &[]) else {
            return;
        };
        let mut missing = read_only(&server);
        assert!(
            missing.len() > 70,
            "{name} lists too few read-only commands"
        );
        missing.retain(|command| !is_known(command));
        assert!(missing.is_empty(), "{name}: no form produces {missing:?}");
    }
}

#[test]
fn what_is_exempt_is_called_a_difference_in_its_row() {
    let containers = all().map(|(_, command)| (command.name.to_owned(), command));
    let rows: BTreeMap<_, _> = rows().into_iter().chain(containers).collect();
    let unexplained: Vec<_> = EXEMPT
        .iter()
        .filter(|name| rows.get(**name).is_none_or(|row| row.difference.is_empty()))
        .collect();
    assert!(
        unexplained.is_empty(),
        "no DIFFERENCE explains {unexplained:?}"
    );
}

#[test]
fn every_relaxation_is_of_a_command_that_is_asked() {
    let made = made();
    let stale: Vec<_> = RELAXED
        .iter()
        .map(|(name, ..)| name.trim_end())
        .filter(|name| !made.contains(*name))
        .collect();
    assert!(stale.is_empty(), "no form asks for {stale:?}");
}

/// Compares the databases of `follower` with those of `primary`, which must not change at the same time.
///
/// # Panics
/// If they differ, with the differences.
pub fn compare(primary: &Server, follower: &Server) {
    let is_all_quiet = |client: &mut Client| {
        pools::DATABASES.iter().all(|database| {
            client.command(&format!("SELECT {database}"));
            is_quiet(client, true)
        })
    };
    primary.wait_for("short expiries to pass", is_all_quiet);
    follower.wait_in_sync(primary);
    for protocol in [2, 3] {
        let mut pair = Pair::connect(primary, follower, protocol);
        pair.ask_for_everything();
        let lines: Vec<_> = pair
            .differences
            .iter()
            // An encoding depends on how the data arrived.
            .filter(|difference| !difference.read[0].eq_ignore_ascii_case(b"object"))
            .map(|difference| {
                report(
                    "compared with its primary",
                    None,
                    difference,
                    &difference.expected,
                )
            })
            .collect();
        assert!(
            lines.is_empty(),
            "{} differences\n{}",
            lines.len(),
            lines.join("\n")
        );
    }
}

//! How does redtail compare with Redis and Valkey as replicas of the same primary?
//!
//! `cargo bench --bench versus` measures everything; `-- --help` lists the options. The rivals are the servers that
//! `tests/servers` unpacks, or those on the PATH. Each system in turn is started alone as a replica and measured. CPU is the
//! process's CPU time as the kernel counts it, because the load generator shares the machine. Every reply is checked.

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a bench may panic; it chooses its own numbers"
)]

/// The dumps, and the runs of tools: shared with the test of what these may take.
#[path = "../../tests/it/big_dumps.rs"]
#[allow(unreachable_pub, reason = "another crate needs it to be public")]
mod big_dumps;
mod chart;
mod clusters;
mod control;
mod disturbed;
mod dumps;
mod extremes;
mod floor;
mod fresh;
mod growth;
mod listeners;
mod load;
mod measure;
mod messages;
mod mixed;
mod page;
mod process;
mod production;
mod report;
mod rows;
mod scripts;
mod strings;
mod systems;
mod threads;

use std::time::Duration;

use clap::{Parser, ValueEnum};

use measure::{Plan, Primaries, StringsPrimary};
use report::Results;
use rows::Row;
use systems::System;

/// Compares redtail with Redis and Valkey as replicas of the same primary
#[derive(Parser)]
struct Options {
    #[arg(value_enum, default_value = "rivals")]
    part: Part,
    /// Groups of rows to measure: sync, get, mget, scan, apply, writes, fresh, resync, mixed, hgetall, lrange, zrange, smembers,
    /// production; in part growth: growth, stalls, large, idle, fields; in part threads: scaling, long; in part listeners: feeds, tail; in part messages: 1, 100, 10000
    /// [default: all]
    #[arg(long, value_delimiter = ',')]
    rows: Vec<String>,
    /// How many times each system is measured
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Systems by name, such as redtail,valkey-9.1,floor [default: all that are installed]
    #[arg(long, value_delimiter = ',')]
    systems: Vec<String>,
    /// An additional build of redtail
    #[arg(long = "system", value_name = "NAME=PATH")]
    builds: Vec<String>,
    /// The server to use as the primary
    #[arg(long, default_value = "redis-7.0")]
    primary: String,
    /// Seconds for each kind of read
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Size of each dump of the parts dumps and tools
    #[arg(long, default_value_t = 400)]
    mebibytes: u64,
    /// Write the results into docs/performance.md and its charts, replacing the previous ones
    #[arg(long)]
    write: bool,
    #[arg(long, hide = true, default_value_t = 0)]
    port: u16,
    /// Set by `cargo bench`; without it nothing is measured
    #[arg(long, hide = true)]
    bench: bool,
    #[arg(long, hide = true)]
    test: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Part {
    /// The table of redtail and its rivals
    Rivals,
    /// How costs grow with the keyspace, and extremes
    Growth,
    /// Dumps as a tool, beside those that benches/peers installs, redis-check-rdb and a server that loads them
    Dumps,
    /// What every dump tool takes for one big dump (--mebibytes 10240)
    Tools,
    /// Messages to 10,000 subscribers, of redtail and one rival
    Messages,
    /// Notifications, invalidations of cached keys and `redtail tail`, of redtail and one rival
    Listeners,
    /// Clusters of 1, 4 and 16 shards, beside a single server with the same keys
    Clusters,
    /// What more cores gain, and what one client's long commands cost the others
    Threads,
    #[value(hide = true)]
    Swallow,
    #[value(hide = true)]
    Constant,
}

fn main() {
    let options = Options::parse();
    if !options.bench || options.test {
        return;
    }
    match options.part {
        Part::Swallow => return floor::swallow(options.port),
        Part::Constant => return floor::answer_constant(options.port),
        _ => process::end_children_on_signals(),
    }
    match options.part {
        Part::Dumps => return dumps::measure(options.mebibytes, options.rounds),
        Part::Tools => return dumps::measure_tools(options.mebibytes),
        _ => {}
    }
    let systems = options.chosen();
    match options.part {
        Part::Growth => growth(&options, &systems),
        Part::Threads => threads(&options, &systems),
        Part::Clusters => clusters(&options, &systems),
        Part::Listeners => listeners(&options, &systems),
        Part::Messages => {
            let time = Duration::from_secs_f64(options.seconds);
            let shapes = &options.rows;
            let wants = |shape: usize| shapes.is_empty() || shapes.contains(&shape.to_string());
            let table = messages::measure(&options.primary, &systems, wants, time);
            options.show("messages", &table, 1);
        }
        _ => rivals(&options, &systems),
    }
}

impl Options {
    /// The systems to measure. Unless systems are named, only the parts `rivals` and `threads` measure more than redtail and one rival.
    fn chosen(&self) -> Vec<System> {
        let mut named = self.systems.clone();
        let is_small = matches!(
            self.part,
            Part::Growth | Part::Messages | Part::Listeners | Part::Clusters
        );
        if named.is_empty() && is_small {
            named = vec![systems::REDTAIL.to_owned(), "valkey-9.1".to_owned()];
        }
        let mut systems = System::choose(&named, &self.builds);
        systems.retain(|system| system.has_reads() || matches!(self.part, Part::Rivals));
        systems
    }

    /// The settings that are the same for all rounds.
    fn plan(&self, rows: &[&[Row]]) -> Plan {
        let mut known: Vec<&str> = rows
            .iter()
            .copied()
            .flatten()
            .map(|row| row.group)
            .collect();
        known.dedup();
        let mut asked = self.rows.iter();
        if let Some(unknown) = asked.find(|group| !known.contains(&group.as_str())) {
            eprintln!("--rows {unknown}: expected one of {}", known.join(", "));
            std::process::exit(2);
        }
        Plan {
            groups: self.rows.clone(),
            time: Duration::from_secs_f64(self.seconds),
        }
    }

    /// Prints a part of the page, and with `--write` also writes it. A part without measurements keeps its old text.
    fn show(&self, part: &str, tables: &str, rounds: usize) {
        if !tables.contains("\n| ") {
            return;
        }
        println!("{tables}");
        if self.write {
            page::replace(part, &format!("{}\n\n{tables}", heading(rounds)));
        }
    }
}

/// Says how a part was measured.
fn heading(rounds: usize) -> String {
    let words = std::env::args().skip(1).filter(|word| word != "--bench");
    let words: Vec<String> = words.collect();
    let counted = match rounds {
        1 => "Measured once.".to_owned(),
        _ => format!("Medians of {rounds} rounds, with their range."),
    };
    let command = words.join(" ");
    let machine = page::machine();
    format!("`cargo bench --bench versus -- {command}` on {machine}. {counted}")
}

fn rivals(options: &Options, systems: &[System]) {
    let plan = options.plan(&[rows::VERSUS]);
    let mut results = Results::default();
    let mut primaries = Primaries {
        strings: StringsPrimary::start(&options.primary, 1_000_000),
        mixed: measure::wants_mixed(&plan).then(|| mixed::start(&options.primary)),
        production: plan
            .wants("production")
            .then(|| production::start(&options.primary)),
    };
    for round in 0..options.rounds {
        // Each round starts with another system, because the primary and the machine change a little with each measurement.
        for system in systems.iter().cycle().skip(round).take(systems.len()) {
            measure::round(&plan, system, &mut primaries, &mut results);
        }
    }
    options.show(
        "rivals",
        &report::table(rows::VERSUS, systems, &results),
        options.rounds,
    );
    if options.write {
        page::replace("mix", &mixed::describe());
        page::replace("production", &production::describe());
        let panels = report::panels(rows::VERSUS, systems, &results);
        page::chart("rivals.svg", &chart::draw(&panels));
    }
}

fn growth(options: &Options, systems: &[System]) {
    let plan = options.plan(&[rows::GROWTH, rows::EXTREMES]);
    if plan.wants("growth") {
        let sizes = growth::measure(&plan, &options.primary, options.rounds, systems);
        let tables = sizes.iter().map(|(keys, results)| {
            let table = report::table(rows::GROWTH, systems, results);
            format!("### {keys} keys\n\n{table}\n")
        });
        options.show("growth", &tables.collect::<String>(), options.rounds);
        if options.write {
            let panels = growth::panels(systems, &sizes);
            page::chart("growth.svg", &chart::draw(&panels));
        }
    }
    let mut results = Results::default();
    extremes::measure(&plan, &options.primary, systems, &mut results);
    options.show(
        "extremes",
        &report::table(rows::EXTREMES, systems, &results),
        1,
    );
}

fn clusters(options: &Options, systems: &[System]) {
    let plan = options.plan(&[rows::CLUSTERS]);
    let mut results = Results::default();
    for _ in 0..options.rounds {
        clusters::measure(&plan, &options.primary, systems, &mut results);
    }
    let columns = clusters::columns(systems);
    let table = report::table(rows::CLUSTERS, &columns, &results);
    options.show("clusters", &table, options.rounds);
}

fn listeners(options: &Options, systems: &[System]) {
    let plan = options.plan(&[rows::LISTENERS]);
    let mut results = Results::default();
    for _ in 0..options.rounds {
        for system in systems {
            listeners::measure(&plan, &options.primary, system, &mut results);
        }
    }
    let table = report::table(rows::LISTENERS, systems, &results);
    options.show("listeners", &table, options.rounds);
}

fn threads(options: &Options, systems: &[System]) {
    let plan = options.plan(&[rows::SCALING, rows::LONG]);
    let primary = threads::start_primary(&options.primary);
    let (mut scaling, mut long) = (Results::default(), Results::default());
    for _ in 0..options.rounds {
        for system in systems {
            if plan.wants("scaling") && !system.is_rival() {
                threads::scaling(&plan, system, &primary, &mut scaling);
            }
            if plan.wants("long") {
                threads::long_commands(&plan, system, &primary, &mut long);
            }
        }
    }
    let columns = threads::columns(systems);
    options.show(
        "scaling",
        &report::table(rows::SCALING, &columns, &scaling),
        options.rounds,
    );
    options.show(
        "long",
        &report::table(rows::LONG, systems, &long),
        options.rounds,
    );
}

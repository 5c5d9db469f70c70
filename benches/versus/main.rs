//! How does redtail compare with Redis and Valkey as replicas of the same primary?
//!
//! `cargo bench --bench versus` measures everything; `-- --help` tells what else. Rivals are the servers that `tests/servers` unpacks, or those on
//! the PATH. Each system in turn is started as a replica, alone, and measured: CPU is that of its process, from the
//! kernel's clock of it, because the load generator shares the machine. Every reply is checked.

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a bench may panic, and its numbers are its own"
)]

mod chart;
mod control;
mod disturbed;
mod floor;
mod load;
mod measure;
mod mixed;
mod page;
mod process;
mod report;
mod rows;
mod strings;
mod systems;

use std::time::Duration;

use clap::{Parser, ValueEnum};

use measure::{Plan, Primaries, StringsPrimary};
use report::Results;
use systems::System;

/// Compares redtail with Redis and Valkey as replicas of the same primary
#[derive(Parser)]
struct Options {
    #[arg(value_enum, default_value = "rivals")]
    part: Part,
    /// Groups of rows to measure [default: all]
    #[arg(long, value_delimiter = ',')]
    rows: Vec<String>,
    /// How often each system is measured
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Systems by name, such as redtail,valkey-9.1,floor [default: all that are installed]
    #[arg(long, value_delimiter = ',')]
    systems: Vec<String>,
    /// A further build of redtail
    #[arg(long = "system", value_name = "NAME=PATH")]
    builds: Vec<String>,
    /// The server of the primary
    #[arg(long, default_value = "redis-7.0")]
    primary: String,
    /// Seconds for each kind of reads
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Write what was measured into docs/performance.md and its charts
    #[arg(long)]
    write: bool,
    #[arg(long, hide = true, default_value_t = 0)]
    port: u16,
    /// Given by `cargo bench`; without it nothing is measured
    #[arg(long, hide = true)]
    bench: bool,
    #[arg(long, hide = true)]
    test: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Part {
    /// The table beside the rivals
    Rivals,
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
        Part::Swallow => floor::swallow(options.port),
        Part::Constant => floor::answer_constant(options.port),
        Part::Rivals => {
            process::end_children_on_signals();
            rivals(&options);
        }
    }
}

fn rivals(options: &Options) {
    let systems = System::choose(&options.systems, &options.builds);
    for group in &options.rows {
        let known = rows::VERSUS.iter().any(|row| row.group == group);
        assert!(known, "no rows {group}");
    }
    let plan = Plan {
        groups: options.rows.clone(),
        time: Duration::from_secs_f64(options.seconds),
    };
    let mut results = Results::default();
    let mut primaries = Primaries {
        strings: StringsPrimary::start(&options.primary, 1_000_000),
        mixed: measure::wants_mixed(&plan).then(|| mixed::start(&options.primary)),
    };
    for _ in 0..options.rounds {
        for system in &systems {
            measure::round(&plan, system, &mut primaries, &mut results);
        }
    }
    let table = report::table(rows::VERSUS, &systems, &results);
    println!("{table}");
    if options.write {
        page::replace("rivals", &format!("{}\n\n{table}", heading(options)));
        page::replace("mix", &mixed::describe());
        page::chart(
            "rivals.svg",
            &chart::draw(&report::panels(rows::VERSUS, &systems, &results)),
        );
    }
}

/// How a part was measured.
fn heading(options: &Options) -> String {
    let command: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    format!(
        "`cargo bench --bench versus -- {}` on {}. Medians of {} rounds, and the range of these.",
        command.join(" "),
        page::machine(),
        options.rounds
    )
}

//! The process, under the names that Prometheus's client libraries use.

use std::fmt::Error;
use std::fs;

use super::sheet::{Sheet, number};
use crate::http::facts::Facts;

/// The unit of processor time in `/proc`. Source: proc(5): hundredths of a second on every Linux of today.
const TICKS_PER_SECOND: f64 = 100.0;

pub(super) fn write(sheet: &mut Sheet<'_>, facts: &Facts) -> Result<(), Error> {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let stat = Stat::of(&stat);
    sheet.counter(
        "process_cpu_seconds",
        "Processor time that the process has used, in user and system mode.",
        stat.cpu_seconds,
    )?;
    let now = facts.at_unix_ms as f64 / 1000.0;
    let gauges = [
        (
            "process_resident_memory_bytes",
            "Resident memory of the process.",
            Some(number(facts.resident_bytes)),
        ),
        (
            "process_virtual_memory_bytes",
            "Virtual memory of the process.",
            stat.virtual_bytes,
        ),
        ("process_threads", "Threads of the process.", stat.threads),
        (
            "process_open_fds",
            "Open file descriptors of the process.",
            open_files(),
        ),
        (
            "process_max_fds",
            "The most file descriptors that the process may have open.",
            open_files_max(),
        ),
        (
            "process_start_time_seconds",
            "When redtail started, in Unix seconds.",
            Some(now - facts.uptime().as_secs_f64()),
        ),
    ];
    for (name, help, value) in gauges {
        sheet.gauge_if(name, help, value)?;
    }
    Ok(())
}

/// What `/proc/self/stat` says.
#[derive(Debug, Default, PartialEq)]
struct Stat {
    cpu_seconds: f64,
    threads: Option<f64>,
    virtual_bytes: Option<f64>,
}

impl Stat {
    fn of(text: &str) -> Self {
        // The program's name may contain blanks; the fields after its closing parenthesis do not. The third is the first here.
        let fields = text.rsplit_once(')').map_or("", |(_, fields)| fields);
        let fields: Vec<f64> = fields
            .split_whitespace()
            .map(|field| field.parse().unwrap_or(0.0))
            .collect();
        let field = |number: usize| fields.get(number - 3).copied();
        let ticks = field(14).unwrap_or(0.0) + field(15).unwrap_or(0.0);
        Self {
            cpu_seconds: ticks / TICKS_PER_SECOND,
            threads: field(20),
            virtual_bytes: field(23),
        }
    }
}

fn open_files() -> Option<f64> {
    let files = fs::read_dir("/proc/self/fd").ok()?;
    // The listing itself is one.
    Some(number(files.count().saturating_sub(1)))
}

fn open_files_max() -> Option<f64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_program_may_contain_anything() {
        let text = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 0 0 0 250 150 0 0 20 0 9 0 100 12345678 50";
        let expected = Stat {
            cpu_seconds: 4.0,
            threads: Some(9.0),
            virtual_bytes: Some(12_345_678.0),
        };
        assert_eq!(Stat::of(text), expected);
        assert_eq!(Stat::of("").cpu_seconds, 0.0);
    }
}

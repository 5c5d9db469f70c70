//! What clients read: calls and latencies by family of commands, slow commands, and the keys that are asked for most.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use crate::command::{self, Command, Histogram, LogEntry, Statistics};

/// The reads of one family.
#[derive(Debug, Clone, Default)]
pub(super) struct FamilyReads {
    /// Calls that ran.
    pub(super) calls: u64,
    /// Their latencies, if latency tracking is on.
    pub(super) latencies: Histogram,
}

impl FamilyReads {
    fn add(&mut self, calls: u64, latencies: &Histogram) {
        self.calls += calls;
        self.latencies.merge(latencies);
    }
}

/// Returns the reads of each family that had any, by the family's name.
pub(super) fn by_family(statistics: &Statistics) -> BTreeMap<&'static str, FamilyReads> {
    let mut families: BTreeMap<&str, FamilyReads> = BTreeMap::new();
    for figures in statistics.calls.figures() {
        if let Some(family) = family_of(&figures.name).filter(|_| figures.calls > 0) {
            let family = families.entry(family).or_default();
            family.add(figures.calls, &figures.latencies);
        }
    }
    families
}

/// Returns the reads of all families together.
pub(super) fn all(families: &BTreeMap<&'static str, FamilyReads>) -> FamilyReads {
    let mut all = FamilyReads::default();
    for family in families.values() {
        all.add(family.calls, &family.latencies);
    }
    all
}

/// Returns the family of a command that reads, by its name in the figures (`get`, `object|encoding`); `None` for other commands.
fn family_of(name: &str) -> Option<&'static str> {
    static FAMILIES: OnceLock<HashMap<String, &'static str>> = OnceLock::new();
    let families = FAMILIES.get_or_init(|| command::all().flat_map(reads_of).collect());
    families.get(name).copied()
}

fn reads_of(
    (family, row): (&'static str, &'static Command),
) -> impl Iterator<Item = (String, &'static str)> {
    let own = row.read.map(|_| row.name.to_owned());
    let subcommands = row.subcommands.iter().filter(|sub| sub.read.is_some());
    let subcommands = subcommands.map(|sub| format!("{}|{}", row.name, sub.name));
    own.into_iter()
        .chain(subcommands)
        .map(move |name| (name, family))
}

/// Returns the slowest commands of the slow log, the slowest first.
pub(super) fn slowest(statistics: &Statistics, most: usize) -> Vec<Arc<LogEntry>> {
    let mut entries = statistics.logs.slow.newest(usize::MAX);
    entries.sort_by_key(|entry| (Reverse(entry.value), Reverse(entry.id)));
    entries.truncate(most);
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_that_read_have_a_family_and_others_have_none() {
        for (name, family) in [
            ("get", Some("string")),
            ("hgetall", Some("hash")),
            ("object|encoding", Some("generic")),
            ("xinfo|stream", Some("stream")),
            ("set", None),
            ("ping", None),
            ("config|get", None),
            ("nonsense", None),
        ] {
            assert_eq!(family_of(name), family, "{name}");
        }
    }
}

//! How costs grow with the number of keys: the same figures at several sizes.

use crate::chart::Panel;
use crate::measure::{Plan, StringsPrimary, SyncCosts, reads, scan, sync};
use crate::report::Results;
use crate::rows::{self, Row};
use crate::systems::{REDTAIL, System, primary};

/// The numbers of keys.
const SIZES: [u32; 3] = [100_000, 1_000_000, 10_000_000];

/// Measures the figures for each size, `rounds` times.
pub(crate) fn measure(
    plan: &Plan,
    primary_name: &str,
    rounds: usize,
    systems: &[System],
) -> Vec<(u32, Results)> {
    let empty = empty(primary_name, systems);
    let sizes = SIZES.iter().map(|&keys| {
        let primary = StringsPrimary::start(primary_name, keys);
        let mut results = Results::default();
        for _ in 0..rounds {
            for (system, empty) in systems.iter().zip(&empty) {
                round(plan, system, empty, &primary, &mut results);
            }
        }
        (keys, results)
    });
    sizes.collect()
}

/// What each system costs without any key.
fn empty(primary_name: &str, systems: &[System]) -> Vec<SyncCosts> {
    let primary = primary(primary_name);
    let empty = systems.iter().map(|system| sync(system, &primary, 0).1);
    empty.collect()
}

fn round(
    plan: &Plan,
    system: &System,
    empty: &SyncCosts,
    primary: &StringsPrimary,
    results: &mut Results,
) {
    let name = &system.name;
    let keys = primary.strings.count();
    let (replica, costs) = sync(system, &primary.process, u64::from(keys));
    let per_key = |figure: f64| figure / f64::from(keys);
    let own_bytes = costs.resident_bytes.saturating_sub(empty.resident_bytes);
    let own_cpu = costs.cpu.saturating_sub(empty.cpu);
    results.record("growth-key", name, per_key(own_bytes as f64));
    results.record(
        "growth-sync-cpu",
        name,
        per_key(own_cpu.as_secs_f64() * 1e9),
    );
    results.record("growth-sync-wall", name, costs.wall.as_secs_f64());
    let mut gets = primary.strings.gets();
    let mut get_cpu = |pipeline| reads(plan, &replica, pipeline, &mut gets).cpu_us;
    results.record("growth-get-1", name, get_cpu(1));
    results.record("growth-get-64", name, get_cpu(64));
    results.record("growth-scan", name, scan(&replica, keys));
}

/// Draws each row as bars: all systems at each size.
pub(crate) fn panels(systems: &[System], sizes: &[(u32, Results)]) -> Vec<Panel> {
    let panels = rows::GROWTH.iter().map(|row| Panel {
        title: format!("{}, {}", row.title, row.unit),
        bars: systems
            .iter()
            .flat_map(|system| sizes.iter().filter_map(move |size| bar(row, system, size)))
            .collect(),
    });
    panels.collect()
}

fn bar(
    row: &Row,
    system: &System,
    (keys, results): &(u32, Results),
) -> Option<(String, f64, bool)> {
    let summary = results.summary(row, &system.name)?;
    let millions = f64::from(*keys) / 1e6;
    let label = format!("{} {millions} M", system.name);
    Some((label, summary.median, system.name == REDTAIL))
}

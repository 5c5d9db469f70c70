//! The measured figures, and the tables made from them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::chart::Panel;
use crate::rows::{Row, Target};
use crate::systems::{FLOOR, REDTAIL, System};

/// All figures by row and system, in the order of the rounds.
#[derive(Default)]
pub(crate) struct Results(BTreeMap<(&'static str, String), Vec<f64>>);

impl Results {
    /// Adds a figure.
    pub(crate) fn record(&mut self, row: &'static str, system: &str, figure: f64) {
        eprintln!("{system:>12} {row:<16} {figure:.3}");
        let figures = self.0.entry((row, system.to_owned())).or_default();
        figures.push(figure);
    }

    /// Returns the median, least and greatest of a system's figures in a row.
    pub(crate) fn summary(&self, row: &Row, system: &str) -> Option<Summary> {
        let mut figures = self.0.get(&(row.id, system.to_owned()))?.clone();
        figures.sort_by(f64::total_cmp);
        let (low, high) = ((figures.len() - 1) / 2, figures.len() / 2);
        Some(Summary {
            median: f64::midpoint(figures[low], figures[high]),
            least: figures[0],
            greatest: figures[figures.len() - 1],
        })
    }
}

/// A system's figures in one row.
#[derive(Clone, Copy)]
pub(crate) struct Summary {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) greatest: f64,
}

/// A Markdown table of the rows that have figures.
pub(crate) fn table(rows: &[Row], systems: &[System], results: &Results) -> String {
    let mut out = String::from("| |");
    for system in systems {
        _ = write!(out, " {} |", title(system));
    }
    out.push_str(" redtail : best rival | target | |\n|---|");
    out.push_str(&"---|".repeat(systems.len() + 3));
    out.push('\n');
    for row in rows {
        line(&mut out, row, systems, results);
    }
    out
}

/// The rows that have a target, as bar charts with redtail first.
pub(crate) fn panels(rows: &[Row], systems: &[System], results: &Results) -> Vec<Panel> {
    let aimed = rows.iter().filter(|row| row.target.is_some());
    let panels = aimed.map(|row| Panel {
        title: format!("{}, {}", row.title, row.unit),
        bars: systems
            .iter()
            .filter_map(|system| bar(row, system, results))
            .collect(),
    });
    panels.filter(|panel| !panel.bars.is_empty()).collect()
}

fn bar(row: &Row, system: &System, results: &Results) -> Option<(String, f64, bool)> {
    let summary = results.summary(row, &system.name)?;
    Some((system.name.clone(), summary.median, system.name == REDTAIL))
}

fn title(system: &System) -> String {
    format!("{} {}", system.name, system.version())
        .trim()
        .to_owned()
}

fn line(out: &mut String, row: &Row, systems: &[System], results: &Results) {
    let mut any = false;
    let mut cells = String::new();
    for system in systems {
        let summary = results.summary(row, &system.name);
        any |= summary.is_some();
        _ = write!(cells, " {} |", summary.map_or("–".to_owned(), cell));
    }
    if any {
        let (ratio, target, met) = verdict(row, systems, results);
        _ = writeln!(
            out,
            "| {}, {} |{cells} {ratio} | {target} | {met} |",
            row.title, row.unit
        );
    }
}

/// A median, followed by the range of the rounds.
fn cell(summary: Summary) -> String {
    let Summary {
        median,
        least,
        greatest,
    } = summary;
    if least == greatest {
        return number(median);
    }
    format!(
        "{} ({}–{})",
        number(median),
        number(least),
        number(greatest)
    )
}

/// Formats a figure with about three significant digits.
pub(crate) fn number(figure: f64) -> String {
    let decimals = match figure.abs() {
        0.0 => 0,
        100.0.. => 0,
        10.0.. => 1,
        _ => 2,
    };
    format!("{figure:.decimals$}")
}

/// Returns the ratio to the best rival, the target in words, and whether it is met.
fn verdict(row: &Row, systems: &[System], results: &Results) -> (String, String, &'static str) {
    let median = |name: &str| results.summary(row, name).map(|summary| summary.median);
    let redtail = median(REDTAIL);
    let ratio_to = |other: Option<f64>| Some(redtail? / other.filter(|other| *other > 0.0)?);
    let best = best_rival(row, systems, results);
    let to_best = ratio_to(best);
    let to_floor = ratio_to(median(FLOOR));
    let mut ratio = to_best.map_or("–".to_owned(), |ratio| format!("{ratio:.2}×"));
    let sign = if row.more_is_better { '≥' } else { '≤' };
    let (figure, bound, target) = match row.target {
        None => return (ratio, "–".to_owned(), ""),
        Some(Target::OfBestRival(bound)) => (to_best, bound, format!("{sign} {bound:.2}×")),
        Some(Target::AtMostBestRival) => (
            redtail.filter(|_| best.is_some()),
            best.unwrap_or_default(),
            format!("{sign} the best rival"),
        ),
        Some(Target::OfFloor(bound)) => (to_floor, bound, format!("{sign} {bound:.2}× the floor")),
        Some(Target::AtMost(bound)) => (redtail, bound, format!("{sign} {bound} {}", row.unit)),
    };
    if let (Some(Target::OfFloor(_)), Some(to_floor)) = (row.target, to_floor) {
        _ = write!(ratio, " ({to_floor:.2}× the floor)");
    }
    let met = figure.map(|figure| figure == bound || row.more_is_better == (figure > bound));
    let met = met.map_or("", |met| if met { "met" } else { "**missed**" });
    (ratio, target, met)
}

/// Returns the best median among the rivals.
pub(crate) fn best_rival(row: &Row, systems: &[System], results: &Results) -> Option<f64> {
    let rivals = systems.iter().filter(|system| system.is_rival());
    let medians = rivals.filter_map(|rival| Some(results.summary(row, &rival.name)?.median));
    if row.more_is_better {
        medians.max_by(f64::total_cmp)
    } else {
        medians.min_by(f64::total_cmp)
    }
}

//! LATENCY GRAPH's drawing. Source: redis 7.0 sparkline.c and latency.c, `latencyCommandGenSparkeline`.

use std::iter::repeat_n;

use crate::command::rows::latency_events::{Sample, Series};

/// Samples drawn next to each other.
const COLUMNS: usize = 80;

/// Lines of the drawing itself.
const ROWS: usize = 4;

/// What fills the top of a column, by how far it reaches into its line.
const TOPS: &[u8] = b"_o#";

/// Draws the samples of an event as columns, each with its age below it.
pub(super) fn draw(event: &[u8], series: &Series, now_s: i64) -> Vec<u8> {
    let values = || series.samples.iter().map(|sample| sample.ms);
    let (low, high) = (values().min().unwrap_or(0), values().max().unwrap_or(0));
    let ever = series.longest_ms;
    let mut text = event.to_vec();
    text.extend(format!(" - high {high} ms, low {low} ms (all time high {ever} ms)\n").bytes());
    text.extend(repeat_n(b'-', COLUMNS));
    text.push(b'\n');
    let samples: Vec<Sample> = series.samples.iter().copied().collect();
    for (index, part) in samples.chunks(COLUMNS).enumerate() {
        if index > 0 {
            text.push(b'\n');
        }
        let columns: Vec<_> = part
            .iter()
            .map(|sample| Column::new(*sample, low, high, now_s))
            .collect();
        draw_columns(&columns, &mut text);
    }
    text
}

struct Column {
    /// How many steps of a third of a line it is high.
    height: usize,
    label: String,
}

impl Column {
    fn new(sample: Sample, low: u64, high: u64, now_s: i64) -> Self {
        let steps = (ROWS * TOPS.len()) as u64;
        let height = (sample.ms - low) * steps / (high - low).max(1);
        Self {
            height: usize::try_from(height.min(steps - 1)).unwrap_or(0),
            label: age((now_s - sample.at_s).max(0)),
        }
    }

    /// The character in line `row` of the drawing, counted from the bottom.
    fn at(&self, row: usize) -> u8 {
        match self.height.checked_sub(row * TOPS.len()) {
            None => b' ',
            Some(above) => TOPS.get(above).copied().unwrap_or(b'|'),
        }
    }
}

fn age(seconds: i64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

fn draw_columns(columns: &[Column], text: &mut Vec<u8>) {
    for row in (0..ROWS).rev() {
        text.extend(columns.iter().map(|column| column.at(row)));
        text.push(b'\n');
    }
    text.extend(repeat_n(b' ', columns.len()));
    text.push(b'\n');
    // Labels are written downwards.
    let longest = columns.iter().map(|column| column.label.len()).max();
    for letter in 0..longest.unwrap_or(0) {
        let at = |column: &Column| column.label.as_bytes().get(letter).copied().unwrap_or(b' ');
        text.extend(columns.iter().map(at));
        text.push(b'\n');
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_high_as_their_samples() {
        let samples = [(0, 100), (10, 200), (3590, 400), (3600, 150)];
        let series = Series {
            samples: samples.map(|(at_s, ms)| Sample { at_s, ms }).into(),
            longest_ms: 900,
            ..Series::default()
        };
        let text = String::from_utf8(draw(b"command", &series, 3605)).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[0],
            "command - high 400 ms, low 100 ms (all time high 900 ms)"
        );
        assert_eq!(lines[1], "-".repeat(80));
        assert_eq!(lines[2..6], ["  # ", "  | ", " o| ", "_||#"]);
        assert_eq!(lines[6..], ["    ", "1515", "h95s", " ms "]);
    }
}

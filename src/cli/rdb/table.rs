//! Tables for a terminal, and numbers that people read.

use std::fmt::{self, Write as _};

/// Rows of text whose columns line up: the first to the left, the others to the right.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: Vec<Vec<String>>,
    /// How many columns at the start are texts.
    texts: usize,
}

impl Table {
    /// A table with these headings, the first `texts` of which are above texts, and the others above numbers.
    pub(super) fn new(texts: usize, headings: &[&str]) -> Self {
        let headings = headings.iter().map(|heading| (*heading).to_owned());
        Self {
            rows: vec![headings.collect()],
            texts,
        }
    }

    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    fn widths(&self) -> Vec<usize> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        (0..columns).map(width).collect()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        for row in &self.rows {
            let mut line = String::new();
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                if column > 0 {
                    line.push_str("  ");
                }
                match column < self.texts {
                    true => write!(line, "{cell:width$}")?,
                    false => write!(line, "{cell:>width$}")?,
                }
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// A number of bytes as people read it: `17 B`, `1.5 KiB`, `12 MiB`.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let mut whole = count;
    let mut tenths = 0;
    while whole >= 1024 && unit + 1 < UNITS.len() {
        tenths = (whole % 1024) * 10 / 1024;
        whole /= 1024;
        unit += 1;
    }
    let name = UNITS.get(unit).copied().unwrap_or_default();
    match unit > 0 && whole < 10 {
        true => format!("{whole}.{tenths} {name}"),
        false => format!("{whole} {name}"),
    }
}

/// A number with a separator between thousands.
pub(super) fn number(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A share in percent with one digit after the point, rounded.
pub(super) fn percent(part: u64, whole: u64) -> String {
    let half = u128::from(whole / 2);
    let tenths = (u128::from(part) * 1000 + half)
        .checked_div(u128::from(whole))
        .unwrap_or(0);
    format!("{}.{} %", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(1, &["type", "keys"]);
        table.row(["string".to_owned(), "5".to_owned()]);
        table.row(["é".to_owned(), "1,000".to_owned()]);
        assert_eq!(
            table.to_string(),
            "type     keys\nstring      5\né       1,000\n"
        );
    }

    #[test]
    fn numbers_are_short_and_true() {
        let cases = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (20 << 20, "20 MiB"),
            (u64::MAX, "16777215 TiB"),
        ];
        for (count, text) in cases {
            assert_eq!(bytes(count), text);
        }
        assert_eq!(
            (number(999), number(1000), number(1_234_567)),
            ("999".to_owned(), "1,000".to_owned(), "1,234,567".to_owned())
        );
        for (part, whole, text) in [
            (1, 8, "12.5 %"),
            (64, 72, "88.9 %"),
            (1, 3, "33.3 %"),
            (1999, 2000, "100.0 %"),
            (1, 2001, "0.0 %"),
            (u64::MAX, u64::MAX, "100.0 %"),
            (0, 0, "0.0 %"),
        ] {
            assert_eq!(percent(part, whole), text, "{part} of {whole}");
        }
    }
}

//! Bar charts as SVG, for light and dark backgrounds.

use std::fmt::Write as _;

use crate::report::number;

/// One row of a table, as a chart.
pub(crate) struct Panel {
    pub(crate) title: String,
    /// Label, figure, and whether the bar is redtail's.
    pub(crate) bars: Vec<(String, f64, bool)>,
}

const COLUMNS: usize = 2;
const PANEL_WIDTH: usize = 440;
const LABEL_WIDTH: usize = 120;
const BAR_HEIGHT: usize = 20;
const TITLE_HEIGHT: usize = 34;
const GAP: usize = 28;

/// Bar colours that work on light and dark backgrounds. Text contrasts with the background.
const STYLE: &str = "<style>\
text{font:13px system-ui,-apple-system,Segoe UI,sans-serif;fill:#1f2328}\
.title{font-weight:600}.about{fill:#0969da}.other{fill:#afb8c1}\
@media (prefers-color-scheme:dark){text{fill:#e6edf3}.about{fill:#4493f8}.other{fill:#656c76}}\
</style>";

/// Draws all panels, two per line.
pub(crate) fn draw(panels: &[Panel]) -> String {
    let bars = panels.iter().map(|panel| panel.bars.len()).max();
    let panel_height = TITLE_HEIGHT + bars.unwrap_or(0) * BAR_HEIGHT + GAP;
    let width = COLUMNS * (PANEL_WIDTH + GAP);
    let height = panels.len().div_ceil(COLUMNS) * panel_height;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\">{STYLE}\n"
    );
    for (number, panel) in panels.iter().enumerate() {
        let x = number % COLUMNS * (PANEL_WIDTH + GAP);
        let y = number / COLUMNS * panel_height;
        _ = writeln!(out, "<g transform=\"translate({x},{y})\">");
        draw_panel(&mut out, panel);
        out.push_str("</g>\n");
    }
    out.push_str("</svg>\n");
    out
}

fn draw_panel(out: &mut String, panel: &Panel) {
    let title = escape(&panel.title);
    _ = writeln!(out, "<text class=\"title\" x=\"0\" y=\"20\">{title}</text>");
    let figures = panel.bars.iter().map(|(_, figure, _)| *figure);
    let longest = figures.fold(f64::MIN_POSITIVE, f64::max);
    let room = (PANEL_WIDTH - LABEL_WIDTH - 60) as f64;
    for (at, (label, figure, about)) in panel.bars.iter().enumerate() {
        let y = TITLE_HEIGHT + at * BAR_HEIGHT;
        let (text_y, length) = (y + 12, figure / longest * room);
        let class = if *about { "about" } else { "other" };
        let (label, figure) = (escape(label), number(*figure));
        let end = LABEL_WIDTH as f64 + length + 6.0;
        _ = writeln!(
            out,
            "<text x=\"0\" y=\"{text_y}\">{label}</text>\
             <rect class=\"{class}\" x=\"{LABEL_WIDTH}\" y=\"{y}\" width=\"{length:.1}\" height=\"15\" rx=\"2\"/>\
             <text x=\"{end:.1}\" y=\"{text_y}\">{figure}</text>"
        );
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

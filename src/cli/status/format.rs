//! Numbers and texts as people read them.

use std::fmt::Write as _;
use std::time::Duration;

use crate::words::Period;

/// Returns a number of bytes with a unit: `999 B`, `1.2 KB`, in powers of 1,024 as INFO counts.
pub(super) fn bytes(bytes: f64) -> String {
    const UNITS: [&str; 5] = ["KB", "MB", "GB", "TB", "PB"];
    if bytes < 1024.0 {
        return format!("{bytes:.0} B");
    }
    let mut value = bytes / 1024.0;
    let mut unit = "KB";
    for next in UNITS.iter().skip(1) {
        if value < 1023.95 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    format!("{value:.1} {unit}")
}

/// Returns a whole number with a comma at each thousand.
pub(super) fn count(count: f64) -> String {
    // A sum of nothing is -0.
    let digits = format!("{:.0}", count.max(0.0).abs());
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns a time: `250µs`, `1.5ms`, and longer ones as in the log.
pub(super) fn seconds(seconds: f64) -> String {
    let time = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX);
    match time.as_nanos() {
        0 => "0ms".to_owned(),
        1..1_000_000 => format!("{}µs", time.as_micros()),
        1_000_000..10_000_000 => format!("{:.1}ms", seconds * 1e3),
        _ => Period(time).to_string(),
    }
}

/// Returns counts over counts: `98.5%`; never 100% unless it is all.
pub(super) fn percent(part: f64, whole: f64) -> String {
    let percent = part * 100.0 / whole;
    let shown = if part < whole {
        percent.min(99.9)
    } else {
        percent
    };
    format!("{shown:.1}%")
}

/// Returns a text without characters that move the cursor, change colours or turn the direction of writing.
pub(super) fn printable(text: &str) -> String {
    let is_harmless = |c: char| {
        !c.is_control()
            && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let shown = |c: char| if is_harmless(c) { c } else { '\u{fffd}' };
    text.chars().map(shown).collect()
}

/// Returns the first `width` characters; an ellipsis stands for the rest.
pub(super) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// Breaks a text into lines of at most `width` characters, at blanks where there are any.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let mut word = word.to_owned();
        let room = width.saturating_sub(line.chars().count() + 1);
        if !line.is_empty() && word.chars().count() > room {
            lines.push(std::mem::take(&mut line));
        }
        while word.chars().count() > width {
            let rest: String = word.chars().skip(width).collect();
            lines.push(word.chars().take(width).collect());
            word = rest;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&word);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// Draws numbers as small bars, the last `width` of them. The highest bar is the largest number.
pub(super) fn sparkline(numbers: &[f64], width: usize) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let shown = numbers
        .get(numbers.len().saturating_sub(width)..)
        .unwrap_or_default();
    let largest = shown.iter().copied().fold(0.0, f64::max);
    let mut line = String::new();
    for number in shown {
        let share = if largest > 0.0 { number / largest } else { 0.0 };
        let bar = BARS
            .iter()
            .enumerate()
            .find(|(level, _)| share * 7.0 <= *level as f64)
            .map_or('█', |(_, bar)| *bar);
        line.push(bar);
    }
    line
}

/// Draws a bar that is filled to `percent`.
pub(super) fn bar(percent: f64, width: usize) -> String {
    let mut line = String::new();
    for cell in 0..width {
        let is_full = (cell as f64 + 0.5) * 100.0 / (width as f64) < percent;
        line.push(if is_full { '█' } else { '░' });
    }
    line
}

/// Returns the time of day in UTC, to the second.
pub(super) fn clock() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seconds = now.unwrap_or_default().as_secs() % 86_400;
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "{:02}:{:02}:{:02}Z",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_say_their_unit() {
        for (number, text) in [
            (0.0, "0 B"),
            (1023.0, "1023 B"),
            (1024.0, "1.0 KB"),
            (1_048_525.0, "1.0 MB"),
            (1.5 * 1024.0 * 1024.0, "1.5 MB"),
            (5e15, "4.4 PB"),
        ] {
            assert_eq!(bytes(number), text);
        }
        for (number, text) in [
            (0.0, "0"),
            (999.4, "999"),
            (1000.0, "1,000"),
            (1_234_567.0, "1,234,567"),
            (-1.0, "0"),
            (-0.0, "0"),
        ] {
            assert_eq!(count(number), text);
        }
        for (number, text) in [
            (0.0, "0ms"),
            (0.000_25, "250µs"),
            (0.001_54, "1.5ms"),
            (0.25, "250ms"),
            (61.0, "61s"),
            (f64::MAX, "5124095576030431h"),
        ] {
            assert_eq!(seconds(number), text);
        }
        assert_eq!(percent(999_999.0, 1_000_000.0), "99.9%");
        assert_eq!(percent(3.0, 3.0), "100.0%");
    }

    #[test]
    fn hostile_text_cannot_move_the_cursor() {
        let text = "a\x1b[2Jb\u{9b}1m\r\n\u{202e}c\u{7}é☂";
        assert_eq!(
            printable(text),
            "a\u{fffd}[2Jb\u{fffd}1m\u{fffd}\u{fffd}\u{fffd}c\u{fffd}é☂"
        );
    }

    #[test]
    fn lines_are_no_longer_than_the_width_and_nothing_is_lost() {
        let text = "the quick brown fox averyverylongwordwithoutanyblank end";
        for width in 1..60 {
            let lines = wrap(text, width);
            assert!(
                lines.iter().all(|line| line.chars().count() <= width),
                "{width}: {lines:?}"
            );
            let joined: String = lines.concat().chars().filter(|c| *c != ' ').collect();
            assert_eq!(joined, text.replace(' ', ""), "{width}");
        }
        assert_eq!(cut("grüße", 4), "grü…");
        assert_eq!(cut("grüße", 5), "grüße");
    }

    #[test]
    fn small_bars_show_the_shape() {
        assert_eq!(sparkline(&[0.0, 1.0, 2.0, 7.0], 10), "▁▂▃█");
        assert_eq!(sparkline(&[9.0, 0.0, 0.0], 2), "▁▁");
        assert_eq!(sparkline(&[], 5), "");
        assert_eq!(bar(50.0, 4), "██░░");
        assert_eq!(bar(100.0, 3), "███");
    }
}

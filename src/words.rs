//! Readable text for logs and errors, where Rust's own types write for programmers.

use std::fmt;
use std::io;
use std::time::Duration;

/// A time as a person writes it: `220ms`, `2.5s`, `45s`, `2m30s`, `1h`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Period(pub Duration);

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, milliseconds) = (self.0.as_secs(), self.0.subsec_millis());
        match seconds {
            0 => write!(f, "{milliseconds}ms"),
            1..10 if milliseconds >= 100 => write!(f, "{seconds}.{}s", milliseconds / 100),
            1..120 => write!(f, "{seconds}s"),
            120..7200 => two_units(f, (seconds / 60, "m"), (seconds % 60, "s")),
            _ => two_units(f, (seconds / 3600, "h"), (seconds % 3600 / 60, "m")),
        }
    }
}

fn two_units(
    f: &mut fmt::Formatter<'_>,
    (large, large_unit): (u64, &str),
    (small, small_unit): (u64, &str),
) -> fmt::Result {
    write!(f, "{large}{large_unit}")?;
    if small > 0 {
        write!(f, "{small}{small_unit}")?;
    }
    Ok(())
}

/// A system error's message, without the number that Rust appends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plain<'e>(pub &'e io::Error);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        let words = text
            .split_once(" (os error ")
            .map_or(&*text, |(words, _)| words);
        f.write_str(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_as_short_as_it_can_be_read() {
        for (milliseconds, text) in [
            (0, "0ms"),
            (223, "223ms"),
            (1_000, "1s"),
            (1_049, "1s"),
            (2_236, "2.2s"),
            (37_123, "37s"),
            (119_999, "119s"),
            (120_000, "2m"),
            (150_500, "2m30s"),
            (7_200_000, "2h"),
            (90_061_000, "25h1m"),
        ] {
            let shown = Period(Duration::from_millis(milliseconds)).to_string();
            assert_eq!(shown, text);
        }
    }

    #[test]
    fn an_error_of_the_system_has_no_number() {
        let refused = io::Error::from_raw_os_error(libc::ECONNREFUSED);
        assert_eq!(Plain(&refused).to_string(), "Connection refused");
        assert_eq!(
            Plain(&io::Error::other("it is empty")).to_string(),
            "it is empty"
        );
    }
}

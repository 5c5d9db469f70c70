//! Logs: lines on standard error.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use super::Failure;
use super::config::LogFormat;

/// Starts logging what `filter` lets through, `info` if there is none.
///
/// # Errors
/// [`Failure::Usage`] when the filter is not understood.
pub fn start(filter: Option<&str>, format: LogFormat) -> Result<(), Failure> {
    let wrong = |what: String| Failure::Usage(format!("--log-level: {what}. {LEVELS}"));
    let filter = filter.unwrap_or("info");
    if let Some(word) = filter
        .split(',')
        .map(str::trim)
        .find(|word| is_no_level(word))
    {
        return Err(wrong(format!("there is no level {word:?}")));
    }
    let filter = EnvFilter::try_new(filter).map_err(|error| wrong(error.to_string()))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(super::progress::writer);
    // A program that embeds this and logs already goes on logging its own way.
    let _ = match format {
        LogFormat::Full => builder.try_init(),
        LogFormat::Compact => builder.compact().try_init(),
    };
    Ok(())
}

const LEVELS: &str =
    "Write error, warn, info, debug, trace or off, or a filter such as redtail::upstream=debug";

/// Whether that is most likely meant for a level and is none: as a filter it would name a program's part, and let nothing through.
fn is_no_level(word: &str) -> bool {
    let levels = ["error", "warn", "info", "debug", "trace", "off"];
    let is_level = levels.iter().any(|level| level.eq_ignore_ascii_case(word));
    let is_filter = word.contains(['=', ':', '[']) || word == env!("CARGO_PKG_NAME");
    !(is_level || is_filter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_no_level_is_refused_rather_than_silencing_the_log() {
        for word in ["verbose", "notice", "warning", "loud", ""] {
            let error = start(Some(word), LogFormat::default()).err();
            let said = error.map(|error| error.to_string()).unwrap_or_default();
            assert!(said.contains("Write error, warn, info"), "{word}: {said}");
        }
        for word in [
            "INFO",
            "off",
            "redtail",
            "redtail::upstream=debug",
            "info,redtail=trace",
        ] {
            assert!(!word.split(',').any(is_no_level), "{word}");
        }
    }
}

//! The log: lines on standard error.

use std::io::IsTerminal as _;
use std::sync::Arc;

use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, fmt, reload};

use super::Failure;
use super::config::LogFormat;
#[cfg(not(feature = "http"))]
use super::no_http as http;
#[cfg(feature = "http")]
use crate::http;
use crate::server::LogLevel;

/// Starts logging what `filter` lets through, `info` without a filter, and recording `events` for the status page. Returns the
/// function that changes the level later; `None` if the program already logs.
///
/// # Errors
/// [`Failure::Usage`] if the filter cannot be parsed.
pub fn start(
    filter: Option<&str>,
    format: LogFormat,
    events: Option<Arc<http::Events>>,
) -> Result<Option<LogLevel>, Failure> {
    #[cfg(not(feature = "http"))]
    let _ = events;
    let filter = self::filter(filter)?;
    let (filter, handle) = reload::Layer::new(filter);
    let lines = fmt::layer()
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(super::progress::writer);
    let lines = match format {
        LogFormat::Full => lines.with_filter(filter).boxed(),
        LogFormat::Compact => lines.compact().with_filter(filter).boxed(),
    };
    let subscriber = tracing_subscriber::registry().with(lines);
    #[cfg(feature = "http")]
    let subscriber = subscriber.with(events.map(http::Recorder::of));
    // A program that embeds this and already logs keeps its own logger.
    let set = move |level: &str| change(handle.reload(EnvFilter::new(filter_of(level))));
    Ok(subscriber
        .try_init()
        .is_ok()
        .then(|| -> LogLevel { Arc::new(set) }))
}

/// Reads what to log, `info` if nothing is given.
///
/// # Errors
/// [`Failure::Usage`] if the filter cannot be parsed.
pub(super) fn filter(given: Option<&str>) -> Result<EnvFilter, Failure> {
    let wrong = |what: String| Failure::Usage(format!("--log-level: {what}. {WRITE}"));
    let filter = given.unwrap_or("info");
    if let Some(word) = filter
        .split(',')
        .map(str::trim)
        .find(|word| is_no_level(word))
    {
        return Err(wrong(format!("unknown level {word:?}")));
    }
    EnvFilter::try_new(filter).map_err(|error| wrong(error.to_string()))
}

/// The names that servers use for log levels, each with the nearest filter.
const LEVELS: [(&str, &str); 5] = [
    ("debug", "trace"),
    ("verbose", "debug"),
    ("notice", "info"),
    ("warning", "warn"),
    ("nothing", "off"),
];

fn filter_of(level: &str) -> &'static str {
    let found = LEVELS.iter().find(|(name, _)| *name == level);
    found.map_or("info", |(_, filter)| filter)
}

/// Returns the level, under the name that servers use, that is nearest to a filter.
#[must_use]
pub fn level_of(filter: Option<&str>) -> &'static str {
    let filter = filter.unwrap_or("info");
    if filter.eq_ignore_ascii_case("error") {
        return "warning";
    }
    let found = LEVELS
        .iter()
        .find(|(_, own)| filter.eq_ignore_ascii_case(own));
    found.map_or("notice", |(name, _)| name)
}

fn change(reloaded: Result<(), tracing_subscriber::reload::Error>) {
    if let Err(error) = reloaded {
        tracing::warn!(%error, "could not change the log level");
    }
}

const WRITE: &str =
    "Write error, warn, info, debug, trace or off, or a filter such as redtail::upstream=debug";

/// Whether the word is most likely meant as a level but is not one. As a filter it would name a module and let nothing through.
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
            let error = start(Some(word), LogFormat::default(), None).err();
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

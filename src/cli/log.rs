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
    let filter = EnvFilter::try_new(filter.unwrap_or("info"))
        .map_err(|error| Failure::Usage(format!("--log-level: {error}")))?;
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

//! Settings whose values have their own grammar.

use crate::command::rows::output_limits::OutputLimits;
use crate::resp::parse_integer;

/// Parses a value of the setting that redtail calls `name`, or returns `None` if the setting has no grammar of its own.
/// The error is that of a server since Redis 7.0.
pub(super) fn read(name: &str, text: &[u8], now: &str) -> Option<Result<String, &'static str>> {
    Some(match name {
        "client-output-buffer-limit" => OutputLimits::read(text, now),
        "save" => save_points(text),
        "latency-tracking-info-percentiles" => percentiles(text),
        _ => return None,
    })
}

/// Parses pairs of seconds and changes. Source: redis 7.0 config.c, `setConfigSaveOption`.
fn save_points(text: &[u8]) -> Result<String, &'static str> {
    const WRONG: &str = "Invalid save parameters";
    if text.is_empty() {
        return Ok(String::new());
    }
    let words: Vec<&[u8]> = text.split(|byte| *byte == b' ').collect();
    let pairs = words.chunks(2).map(|pair| match pair {
        [seconds, changes] => Some((parse_integer(seconds)?, parse_integer(changes)?)),
        _ => None,
    });
    for pair in pairs {
        pair.filter(|(seconds, changes)| *seconds >= 1 && *changes >= 0)
            .ok_or(WRONG)?;
    }
    Ok(String::from_utf8_lossy(text).into_owned())
}

/// Source: redis 7.0 config.c, `setConfigLatencyTrackingInfoPercentilesOutputOption`.
fn percentiles(text: &[u8]) -> Result<String, &'static str> {
    let text = String::from_utf8_lossy(text).into_owned();
    for word in text.split_whitespace() {
        let number: f64 = word
            .parse()
            .map_err(|_| "Invalid latency-tracking-info-percentiles parameters")?;
        if !(0.0..=100.0).contains(&number) {
            return Err(
                "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]",
            );
        }
    }
    Ok(text)
}

//! Settings whose values have their own grammar.

use crate::dialect::Dialect;
use crate::resp::parse_integer;
use crate::value::memory;

/// Parses a value of the setting that redtail calls `name`, or returns `None` if the setting has no grammar of its own.
/// The error is that of a server since Redis 7.0.
pub(super) fn read(
    name: &str,
    text: &[u8],
    now: &str,
    dialect: Dialect,
) -> Option<Result<String, &'static str>> {
    Some(match name {
        "notify-keyspace-events" => events(text, dialect),
        "client-output-buffer-limit" => output_limits(text, now),
        "save" => save_points(text),
        "latency-tracking-info-percentiles" => percentiles(text),
        _ => return None,
    })
}

const WRONG_EVENT: &str = "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.";

/// Parses the flags of keyspace events, into the order in which CONFIG GET shows them. Source: redis 6.0 to 8.2
/// notify.c, `keyspaceEventsFlagsToString`.
fn events(text: &[u8], dialect: Dialect) -> Result<String, &'static str> {
    let classes = if dialect.sets_several_settings() {
        "g$lshzxetd"
    } else {
        "g$lshzxet"
    };
    let newest = match dialect {
        dialect if dialect.has_events_of_replaced_keys() => "noc",
        dialect if dialect.sets_several_settings() => "n",
        _ => "",
    };
    let has = |flag: char| text.contains(&(flag as u8));
    let known = |byte: &u8| {
        let flag = char::from(*byte);
        "AKEm".contains(flag) || classes.contains(flag) || newest.contains(flag)
    };
    if !text.iter().all(known) {
        return Err(WRONG_EVENT);
    }
    let mut shown = if has('A') || classes.chars().all(has) {
        "A".to_owned()
    } else {
        classes
            .chars()
            .chain(newest.chars())
            .filter(|flag| has(*flag))
            .collect()
    };
    shown.extend("KEm".chars().filter(|flag| has(*flag)));
    Ok(shown)
}

/// The classes of clients as CONFIG GET names them, and their other names.
const CLASSES: [(&str, &str); 3] = [("normal", ""), ("slave", "replica"), ("pubsub", "")];

/// Parses limits of output buffers: four words for each class that changes. Source: redis 7.0 config.c,
/// `updateClientOutputBufferLimit`.
fn output_limits(text: &[u8], now: &str) -> Result<String, &'static str> {
    let text = String::from_utf8_lossy(text);
    let words: Vec<&str> = text.split_whitespace().collect();
    if !words.len().is_multiple_of(4) {
        return Err("Wrong number of arguments in buffer limit configuration.");
    }
    let mut limits: Vec<String> = now.split(' ').map(str::to_owned).collect();
    for given in words.chunks_exact(4) {
        let [class, bounds @ ..] = given else {
            continue;
        };
        let is = |name: &str| !name.is_empty() && class.eq_ignore_ascii_case(name);
        let place = CLASSES
            .iter()
            .position(|(name, other)| is(name) || is(other));
        let place = place.ok_or("Invalid client class specified in buffer limit configuration.")?;
        let bounds = bounds_of(bounds)
            .ok_or("Error in hard, soft or soft_seconds setting in buffer limit configuration.")?;
        // Without a limit for normal clients, redtail's own limit holds and is shown.
        if let (0, [0, 0, _]) = (place, bounds) {
            continue;
        }
        for (slot, bound) in limits.iter_mut().skip(place * 4 + 1).zip(bounds) {
            *slot = bound.to_string();
        }
    }
    Ok(limits.join(" "))
}

/// Hard limit, soft limit, seconds.
fn bounds_of(words: &[&str]) -> Option<[i128; 3]> {
    let [hard, soft, seconds] = words else {
        return None;
    };
    let seconds = parse_integer(seconds.as_bytes()).filter(|seconds| *seconds >= 0)?;
    Some([
        memory(hard.as_bytes())?,
        memory(soft.as_bytes())?,
        i128::from(seconds),
    ])
}

/// Whether limits leave those of normal clients unchanged.
pub(super) fn keeps_normal_clients(limits: &str, now: &str) -> bool {
    limits.split(' ').take(4).eq(now.split(' ').take(4))
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

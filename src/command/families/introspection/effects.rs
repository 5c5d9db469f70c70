//! What CONFIG SET does: some settings take effect, some are only kept for CONFIG GET, and some are refused, because
//! accepting them would promise something that redtail does not do.

use std::sync::atomic::{AtomicU64, Ordering};

use super::special;
use crate::command::rows::tunables::Tunables;

/// A setting that takes effect.
pub(super) struct Live {
    name: &'static str,
    apply: fn(&Tunables, &str),
}

/// The settings that take effect, by redtail's names. Those of encodings are in [`SETTINGS`](crate::value::SETTINGS).
const LIVE: &[Live] = &[
    Live {
        name: "timeout",
        apply: |tunables, value| {
            if let Ok(seconds) = value.parse::<u64>() {
                let milliseconds = seconds.saturating_mul(1000);
                tunables.idle_ms.store(milliseconds, Ordering::Relaxed);
            }
        },
    },
    Live {
        name: "tcp-keepalive",
        apply: |tunables, value| store(&tunables.keepalive_seconds, value),
    },
    Live {
        name: "maxclients",
        apply: |tunables, value| store(&tunables.clients_max, value),
    },
    Live {
        name: "proto-max-bulk-len",
        apply: |tunables, value| store(&tunables.word_bytes_max, value),
    },
    Live {
        name: "client-query-buffer-limit",
        apply: |tunables, value| store(&tunables.query_bytes_max, value),
    },
    Live {
        name: "loglevel",
        apply: |tunables, value| {
            if let Some(set) = &tunables.log_level {
                set(value);
                tunables.keep("loglevel", value.to_owned());
            }
        },
    },
];

impl Live {
    /// Returns the setting of that name, if it takes effect.
    pub(super) fn find(name: &str) -> Option<&'static Self> {
        LIVE.iter().find(|live| live.name == name)
    }

    /// Changes it to `value`, which must already be checked.
    pub(super) fn apply(&self, tunables: &Tunables, value: &str) {
        (self.apply)(tunables, value);
        tracing::info!(setting = self.name, value, "changed by CONFIG SET");
    }
}

/// Stores a checked number.
fn store(place: &AtomicU64, value: &str) {
    if let Ok(number) = value.parse() {
        place.store(number, Ordering::Relaxed);
    }
}

/// The values that hold for redtail where a server's default does not.
pub(super) const TRUE_HERE: &[(&str, &str)] = &[
    ("acllog-max-len", "0"),
    ("commandlog-large-reply-max-len", "0"),
    ("commandlog-large-request-max-len", "0"),
    ("commandlog-reply-larger-than", "-1"),
    ("commandlog-request-larger-than", "-1"),
    ("crash-log-enabled", "no"),
    ("latency-tracking", "no"),
    ("repl-diskless-load", "swapdb"),
    ("replica-announced", "no"),
    ("replica-priority", "0"),
    ("save", ""),
    ("set-proc-title", "no"),
    ("slowlog-log-slower-than", "-1"),
    ("slowlog-max-len", "0"),
];

/// Whether a new value may replace the current one.
type Allows = fn(&str, &str) -> bool;

const NOTHING: Allows = |_, _| false;
const LOG_OFF: Allows = |value, _| value.starts_with('-');
const NO_LOG: &str = "redtail keeps no such log";
const DURABLE: &str =
    "redtail writes no RDB or append-only file; --state-dir keeps what a restart resumes from";
const LATENCY: &str = "redtail measures no latencies";
const EVICTS: &str = "redtail evicts nothing";
const PRIMARY: &str = "redtail cannot become a primary";
const AT_START: &str = "redtail takes this only when it starts";
const OTHER: &str = "redtail does not work like that";

/// The settings that are refused, by redtail's names: which values may be set nevertheless, and why no others. The
/// current value of a setting may always be set again.
const REFUSED: &[(&str, Allows, &str)] = &[
    ("acllog-max-len", NOTHING, NO_LOG),
    ("appendonly", NOTHING, DURABLE),
    ("bind", NOTHING, AT_START),
    ("busy-reply-threshold", NOTHING, AT_START),
    (
        "client-output-buffer-limit",
        special::keeps_normal_clients,
        "--reply-bytes-max limits the replies to normal clients",
    ),
    ("commandlog-large-reply-max-len", NOTHING, NO_LOG),
    ("commandlog-large-request-max-len", NOTHING, NO_LOG),
    ("commandlog-reply-larger-than", LOG_OFF, NO_LOG),
    ("commandlog-request-larger-than", LOG_OFF, NO_LOG),
    ("crash-log-enabled", NOTHING, OTHER),
    ("dbfilename", NOTHING, DURABLE),
    ("dir", NOTHING, AT_START),
    ("extended-redis-compatibility", NOTHING, OTHER),
    ("import-mode", NOTHING, OTHER),
    ("latency-monitor-threshold", NOTHING, LATENCY),
    ("latency-tracking", NOTHING, LATENCY),
    ("locale-collate", NOTHING, "redtail sorts only by bytes"),
    ("log-format", NOTHING, AT_START),
    ("log-timestamp-format", NOTHING, AT_START),
    ("lua-enable-insecure-api", NOTHING, OTHER),
    ("masterauth", NOTHING, AT_START),
    ("masteruser", NOTHING, AT_START),
    ("maxmemory-clients", NOTHING, EVICTS),
    (
        "maxmemory-policy",
        |value, _| !value.ends_with("lfu"),
        "redtail does not count how often keys are accessed",
    ),
    ("oom-score-adj", NOTHING, OTHER),
    ("oom-score-adj-values", NOTHING, OTHER),
    ("port", NOTHING, AT_START),
    ("protected-mode", NOTHING, AT_START),
    ("rdma-bind", NOTHING, AT_START),
    ("rdma-port", NOTHING, AT_START),
    ("repl-diskless-load", NOTHING, OTHER),
    ("repl-timeout", NOTHING, AT_START),
    ("replica-announce-ip", NOTHING, AT_START),
    ("replica-announce-port", NOTHING, AT_START),
    ("replica-announced", NOTHING, PRIMARY),
    ("replica-ignore-maxmemory", NOTHING, EVICTS),
    ("replica-priority", NOTHING, PRIMARY),
    ("replica-read-only", NOTHING, "redtail accepts no writes"),
    (
        "replica-serve-stale-data",
        NOTHING,
        "--max-staleness decides how old redtail's data may be",
    ),
    ("requirepass", NOTHING, AT_START),
    ("save", NOTHING, DURABLE),
    ("set-proc-title", NOTHING, OTHER),
    ("slowlog-log-slower-than", LOG_OFF, NO_LOG),
    ("slowlog-max-len", NOTHING, NO_LOG),
];

/// Returns why `value` is refused for a setting whose current value `now` differs.
pub(super) fn refusal(name: &str, value: &str, now: &str) -> Option<&'static str> {
    if name.starts_with("tls-") {
        return Some("redtail's listeners speak no TLS");
    }
    let found = REFUSED.iter().find(|(refused, ..)| *refused == name);
    found.and_then(|(_, allows, why)| (!allows(value, now)).then_some(*why))
}

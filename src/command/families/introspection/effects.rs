//! What CONFIG SET does: some settings take effect, some are only kept for CONFIG GET, and some are refused, because
//! accepting them would promise something that redtail does not do.

use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};

use crate::command::rows::Host;
use crate::command::rows::logs::ENTRIES_MAX;
use crate::command::rows::tunables::Tunables;

/// A setting that takes effect.
pub(super) struct Live {
    name: &'static str,
    apply: fn(&dyn Host, &str),
}

/// The settings that take effect, by redtail's names. Those of encodings are in [`SETTINGS`](crate::value::SETTINGS).
const LIVE: &[Live] = &[
    Live {
        name: "timeout",
        apply: |host, value| {
            if let Ok(seconds) = value.parse::<u64>() {
                let milliseconds = seconds.saturating_mul(1000);
                host.tunables()
                    .idle_ms
                    .store(milliseconds, Ordering::Relaxed);
            }
        },
    },
    Live {
        name: "tcp-keepalive",
        apply: |host, value| store(&host.tunables().keepalive_seconds, value),
    },
    Live {
        name: "acllog-max-len",
        apply: |host, value| store(&host.tunables().acl_log_max, value),
    },
    Live {
        name: "tracking-table-max-keys",
        apply: |host, value| {
            store(&host.tunables().tracking_keys_max, value);
            let keys_max = Tunables::size(&host.tunables().tracking_keys_max);
            host.statistics().tracking.trim_all(host, keys_max);
            host.tunables()
                .keep("tracking-table-max-keys", value.to_owned());
        },
    },
    Live {
        name: "maxclients",
        apply: |host, value| store(&host.tunables().clients_max, value),
    },
    Live {
        name: "proto-max-bulk-len",
        apply: |host, value| store(&host.tunables().word_bytes_max, value),
    },
    Live {
        name: "client-query-buffer-limit",
        apply: |host, value| store(&host.tunables().query_bytes_max, value),
    },
    Live {
        name: "client-output-buffer-limit",
        apply: |host, value| host.tunables().output_limits.adopt(value),
    },
    Live {
        name: "loglevel",
        apply: |host, value| {
            if let Some(set) = &host.tunables().log_level {
                set(value);
                host.tunables().keep("loglevel", value.to_owned());
            }
        },
    },
    Live {
        name: "slowlog-log-slower-than",
        apply: |host, value| {
            store_signed(&host.statistics().logs.slow.threshold, value);
            host.tunables()
                .keep("slowlog-log-slower-than", value.to_owned());
        },
    },
    Live {
        name: "slowlog-max-len",
        apply: |host, value| {
            store_size(&host.statistics().logs.slow.entries_max, value);
            host.tunables().keep("slowlog-max-len", value.to_owned());
        },
    },
    Live {
        name: "commandlog-request-larger-than",
        apply: |host, value| {
            store_signed(&host.statistics().logs.large_requests.threshold, value);
            host.tunables()
                .keep("commandlog-request-larger-than", value.to_owned());
        },
    },
    Live {
        name: "commandlog-large-request-max-len",
        apply: |host, value| {
            store_size(&host.statistics().logs.large_requests.entries_max, value);
            host.tunables()
                .keep("commandlog-large-request-max-len", value.to_owned());
        },
    },
    Live {
        name: "commandlog-reply-larger-than",
        apply: |host, value| {
            store_signed(&host.statistics().logs.large_replies.threshold, value);
            host.tunables()
                .keep("commandlog-reply-larger-than", value.to_owned());
        },
    },
    Live {
        name: "commandlog-large-reply-max-len",
        apply: |host, value| {
            store_size(&host.statistics().logs.large_replies.entries_max, value);
            host.tunables()
                .keep("commandlog-large-reply-max-len", value.to_owned());
        },
    },
    Live {
        name: "latency-monitor-threshold",
        apply: |host, value| {
            store(&host.statistics().latency_events.threshold_ms, value);
            host.tunables()
                .keep("latency-monitor-threshold", value.to_owned());
        },
    },
    Live {
        name: "latency-tracking",
        apply: |host, value| {
            let tracks = &host.statistics().tracks_latency;
            tracks.store(value == "yes", Ordering::Relaxed);
            host.tunables().keep("latency-tracking", value.to_owned());
        },
    },
];

impl Live {
    /// Returns the setting of that name, if it takes effect.
    pub(super) fn find(name: &str) -> Option<&'static Self> {
        LIVE.iter().find(|live| live.name == name)
    }

    /// Changes it to `value`, which must already be checked.
    pub(super) fn apply(&self, host: &dyn Host, value: &str) {
        (self.apply)(host, value);
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
    ("crash-log-enabled", "no"),
    ("repl-diskless-load", "swapdb"),
    ("replica-announced", "no"),
    ("replica-priority", "0"),
    ("save", ""),
    ("set-proc-title", "no"),
];

/// Stores a checked number that may be negative.
fn store_signed(place: &AtomicI64, value: &str) {
    if let Ok(number) = value.parse() {
        place.store(number, Ordering::Relaxed);
    }
}

/// Stores a checked size.
fn store_size(place: &AtomicUsize, value: &str) {
    if let Ok(number) = value.parse() {
        place.store(number, Ordering::Relaxed);
    }
}

/// Whether a new value may replace the current one.
type Allows = fn(&str, &str) -> bool;

const NOTHING: Allows = |_, _| false;
/// As long as a log can be.
const A_LOG: Allows = |value, _| {
    value
        .parse()
        .is_ok_and(|entries: usize| entries <= ENTRIES_MAX)
};
const LONGEST_LOG: &str = "redtail keeps at most 10000 entries of a log";
const DURABLE: &str =
    "redtail writes no RDB or append-only file; --state-dir keeps what a restart resumes from";
const EVICTS: &str = "redtail evicts nothing";
const PRIMARY: &str = "redtail cannot become a primary";
const AT_START: &str = "redtail takes this only when it starts";
const OTHER: &str = "redtail does not work like that";

/// The settings that are refused, by redtail's names: which values may be set nevertheless, and why no others. The
/// current value of a setting may always be set again.
const REFUSED: &[(&str, Allows, &str)] = &[
    ("aclfile", NOTHING, AT_START),
    ("appendonly", NOTHING, DURABLE),
    ("bind", NOTHING, AT_START),
    ("busy-reply-threshold", NOTHING, AT_START),
    ("commandlog-large-reply-max-len", A_LOG, LONGEST_LOG),
    ("commandlog-large-request-max-len", A_LOG, LONGEST_LOG),
    ("crash-log-enabled", NOTHING, OTHER),
    ("dbfilename", NOTHING, DURABLE),
    ("dir", NOTHING, AT_START),
    ("extended-redis-compatibility", NOTHING, OTHER),
    ("import-mode", NOTHING, OTHER),
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
    ("slowlog-max-len", A_LOG, LONGEST_LOG),
];

/// Returns why `value` is refused for a setting whose current value `now` differs.
pub(super) fn refusal(name: &str, value: &str, now: &str) -> Option<&'static str> {
    if name.starts_with("tls-") {
        return Some("redtail's listeners speak no TLS");
    }
    let found = REFUSED.iter().find(|(refused, ..)| *refused == name);
    found.and_then(|(_, allows, why)| (!allows(value, now)).then_some(*why))
}

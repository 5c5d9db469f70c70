//! The rows of the tables: names, units, targets.

/// One figure that is measured of every system.
pub(crate) struct Row {
    /// Its name in the bench.
    pub(crate) id: &'static str,
    /// What `--rows` calls it: all of one group are measured together.
    pub(crate) group: &'static str,
    pub(crate) title: &'static str,
    pub(crate) unit: &'static str,
    /// Whether more is better.
    pub(crate) more_is_better: bool,
    /// How much of the best rival's, or of the floor's, redtail's may be.
    pub(crate) target: Option<Target>,
}

/// What redtail's figure is compared with.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    OfBestRival(f64),
    OfFloor(f64),
}

use Target::{OfBestRival, OfFloor};

const fn row(
    id: &'static str,
    group: &'static str,
    title: &'static str,
    unit: &'static str,
) -> Row {
    Row {
        id,
        group,
        title,
        unit,
        more_is_better: false,
        target: None,
    }
}

impl Row {
    const fn aims(mut self, target: Target) -> Self {
        self.target = Some(target);
        self
    }

    const fn more_is_better(mut self) -> Self {
        self.more_is_better = true;
        self
    }
}

/// Beside the rivals.
pub(crate) const VERSUS: &[Row] = &[
    row(
        "sync-cpu",
        "sync",
        "full sync of 1,000,000 strings, CPU",
        "s",
    )
    .aims(OfBestRival(0.40)),
    row(
        "sync-wall",
        "sync",
        "full sync of 1,000,000 strings, from start to in sync",
        "s",
    )
    .aims(OfFloor(1.05)),
    row(
        "sync-memory",
        "sync",
        "resident memory after the sync of 1,000,000 strings",
        "MB",
    )
    .aims(OfBestRival(0.80)),
    row("get-1-cpu", "get", "GET, no pipeline, CPU", "µs/op").aims(OfBestRival(0.97)),
    row("get-1-rate", "get", "GET, no pipeline, throughput", "k/s").more_is_better(),
    row("get-1-p50", "get", "GET, no pipeline, p50", "ms"),
    row("get-1-p99", "get", "GET, no pipeline, p99", "ms").aims(OfBestRival(1.0)),
    row("get-16-cpu", "get", "GET, pipeline 16, CPU", "µs/op").aims(OfBestRival(0.70)),
    row("get-16-rate", "get", "GET, pipeline 16, throughput", "k/s").more_is_better(),
    row("get-16-p50", "get", "GET, pipeline 16, p50", "ms"),
    row("get-16-p99", "get", "GET, pipeline 16, p99", "ms").aims(OfBestRival(1.0)),
    row("get-64-cpu", "get", "GET, pipeline 64, CPU", "µs/op").aims(OfBestRival(0.40)),
    row("get-64-rate", "get", "GET, pipeline 64, throughput", "k/s")
        .more_is_better()
        .aims(OfBestRival(2.0)),
    row("get-64-p50", "get", "GET, pipeline 64, p50", "ms"),
    row("get-64-p99", "get", "GET, pipeline 64, p99", "ms").aims(OfBestRival(1.0)),
    row("scan", "scan", "whole SCAN, COUNT 1000, CPU", "ns/key").aims(OfBestRival(0.30)),
    row("mget", "mget", "MGET of 100 keys, pipeline 4, CPU", "µs/op"),
    row(
        "apply",
        "apply",
        "applying SETs from the stream, CPU",
        "µs/op",
    )
    .aims(OfBestRival(0.45)),
    row(
        "writes-p99",
        "writes",
        "GET of 10 clients during 100,000 writes/s, p99",
        "ms",
    ),
    row(
        "writes-rate",
        "writes",
        "GET of 10 clients during 100,000 writes/s, throughput",
        "k/s",
    )
    .more_is_better(),
    row(
        "resync-p99",
        "resync",
        "GET of 10 clients during a full resync, p99",
        "ms",
    ),
    row(
        "resync-longest",
        "resync",
        "GET of 10 clients during a full resync, longest",
        "ms",
    ),
    row(
        "resync-refused",
        "resync",
        "GET of 10 clients during a full resync, answered with an error",
        "requests",
    ),
    row(
        "mixed-cpu",
        "mixed",
        "full sync of 300,000 keys of all types, CPU",
        "s",
    )
    .aims(OfBestRival(0.45)),
    row(
        "mixed-wall",
        "mixed",
        "full sync of 300,000 keys of all types, from start to in sync",
        "s",
    )
    .aims(OfFloor(1.05)),
    row(
        "mixed-memory",
        "mixed",
        "resident memory after the sync of all types",
        "MB",
    )
    .aims(OfBestRival(0.85)),
    row(
        "hgetall",
        "hgetall",
        "HGETALL of 100 fields, pipeline 4, CPU",
        "µs/op",
    ),
    row(
        "lrange",
        "lrange",
        "LRANGE of 100 elements, pipeline 4, CPU",
        "µs/op",
    ),
    row(
        "zrange",
        "zrange",
        "ZRANGE of 100 members, pipeline 4, CPU",
        "µs/op",
    ),
    row(
        "smembers",
        "smembers",
        "SMEMBERS of 100 members, pipeline 4, CPU",
        "µs/op",
    ),
];

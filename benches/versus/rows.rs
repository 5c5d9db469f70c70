//! The rows of the tables: names, units, targets.

/// One figure, measured for every system.
pub(crate) struct Row {
    /// Its name in the bench.
    pub(crate) id: &'static str,
    /// The name for `--rows`: all rows of a group are measured together.
    pub(crate) group: &'static str,
    pub(crate) title: &'static str,
    pub(crate) unit: &'static str,
    /// Whether more is better.
    pub(crate) more_is_better: bool,
    /// The bound on redtail's figure.
    pub(crate) target: Option<Target>,
}

/// What redtail's figure is compared with.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    OfBestRival(f64),
    /// For figures that may be 0.
    AtMostBestRival,
    OfFloor(f64),
    /// In the row's own unit.
    AtMost(f64),
}

use Target::{AtMost, AtMostBestRival, OfBestRival, OfFloor};

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

/// Rows that compare redtail with its rivals.
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
    row("scan", "scan", "full SCAN, COUNT 1000, CPU", "ns/key").aims(OfBestRival(0.30)),
    row("mget", "mget", "MGET of 100 keys, pipeline 4, CPU", "µs/op"),
    row(
        "evalsha-get-1",
        "scripts",
        "EVALSHA of a GET, no pipeline, CPU",
        "µs/op",
    )
    .aims(OfBestRival(0.60)),
    row(
        "evalsha-mget-1",
        "scripts",
        "EVALSHA of an MGET of 10 keys, no pipeline, CPU",
        "µs/op",
    )
    .aims(OfBestRival(0.60)),
    row(
        "fcall-1",
        "scripts",
        "FCALL_RO of a GET, no pipeline, CPU",
        "µs/op",
    )
    .aims(OfBestRival(0.60)),
    row(
        "evalsha-get-16",
        "scripts",
        "EVALSHA of a GET, pipeline 16, CPU",
        "µs/op",
    )
    .aims(OfBestRival(0.60)),
    row(
        "evalsha-mget-16",
        "scripts",
        "EVALSHA of an MGET of 10 keys, pipeline 16, CPU",
        "µs/op",
    )
    .aims(OfBestRival(0.60)),
    row(
        "fcall-16",
        "scripts",
        "FCALL_RO of a GET, pipeline 16, CPU",
        "µs/op",
    )
    .aims(OfBestRival(0.60)),
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
        "fresh-idle-cpu",
        "fresh",
        "an idle link, CPU of one processor",
        "%",
    )
    .aims(AtMost(0.2)),
    row(
        "fresh-share",
        "fresh",
        "stale first GET at the replica after a SET",
        "of 10,000",
    )
    .aims(AtMostBestRival),
    row(
        "fresh-p50",
        "fresh",
        "from the SET's reply until its value is visible, p50",
        "µs",
    ),
    row(
        "fresh-p99",
        "fresh",
        "from the SET's reply until its value is visible, p99",
        "µs",
    ),
    row(
        "fresh-10k-share",
        "fresh",
        "stale first GET at the replica after a SET, with 10,000 writes/s",
        "of 10,000",
    )
    .aims(AtMostBestRival),
    row(
        "fresh-10k-p50",
        "fresh",
        "from the SET's reply until its value is visible, with 10,000 writes/s, p50",
        "µs",
    ),
    row(
        "fresh-10k-p99",
        "fresh",
        "from the SET's reply until its value is visible, with 10,000 writes/s, p99",
        "µs",
    ),
    row(
        "fresh-100k-share",
        "fresh",
        "stale first GET at the replica after a SET, with 100,000 writes/s",
        "of 10,000",
    )
    .aims(AtMostBestRival),
    row(
        "fresh-100k-p50",
        "fresh",
        "from the SET's reply until its value is visible, with 100,000 writes/s, p50",
        "µs",
    ),
    row(
        "fresh-100k-p99",
        "fresh",
        "from the SET's reply until its value is visible, with 100,000 writes/s, p99",
        "µs",
    ),
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
        "production-cpu",
        "production",
        "full sync of 300,000 production-like keys, CPU",
        "s",
    )
    .aims(OfBestRival(0.45)),
    row(
        "production-wall",
        "production",
        "the same, from start to in sync",
        "s",
    )
    .aims(OfFloor(1.05)),
    row(
        "production-memory",
        "production",
        "resident memory after that",
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

/// Rows for each size of the keyspace.
pub(crate) const GROWTH: &[Row] = &[
    row(
        "growth-key",
        "growth",
        "memory beyond that of an empty replica",
        "bytes/key",
    ),
    row(
        "growth-sync-cpu",
        "growth",
        "full sync, CPU beyond that of an empty replica",
        "ns/key",
    ),
    row(
        "growth-sync-wall",
        "growth",
        "full sync, from start to in sync",
        "s",
    ),
    row("growth-get-1", "growth", "GET, no pipeline, CPU", "µs/op"),
    row("growth-get-64", "growth", "GET, pipeline 64, CPU", "µs/op"),
    row(
        "growth-scan",
        "growth",
        "full SCAN, COUNT 1000, CPU",
        "ns/key",
    ),
];

/// Rows for extremes.
pub(crate) const EXTREMES: &[Row] = &[
    row(
        "grow-p99",
        "stalls",
        "GET of 10 clients while 9,000,000 keys arrive through the stream, p99",
        "ms",
    ),
    row("grow-longest", "stalls", "the same, longest", "ms"),
    row(
        "grow-refused",
        "stalls",
        "the same, answered with an error",
        "requests",
    ),
    row(
        "load-p99",
        "stalls",
        "GET of 10 clients while 10,000,000 keys reload, p99",
        "ms",
    ),
    row("load-longest", "stalls", "the same, longest", "ms"),
    row(
        "load-refused",
        "stalls",
        "the same, answered with an error",
        "requests",
    ),
    row(
        "large-wall",
        "large",
        "full sync of a value of 512 MB, from start to in sync",
        "s",
    ),
    row("large-memory", "large", "resident memory after that", "MB"),
    row("large-get", "large", "GET of that value", "s"),
    row(
        "large-longest",
        "large",
        "GET of 10 clients at the same time, longest",
        "ms",
    ),
    row(
        "idle",
        "idle",
        "memory per idle connection, with 1,000 of them",
        "kB",
    ),
    row(
        "fields-cpu",
        "fields",
        "full sync of 10,000 hashes of 10,000 fields, CPU",
        "ns/field",
    ),
    row(
        "fields-wall",
        "fields",
        "the same, from start to in sync",
        "s",
    ),
    row(
        "fields-memory",
        "fields",
        "resident memory after that",
        "bytes/field",
    ),
    row(
        "fields-get",
        "fields",
        "HGET on these hashes, pipeline 16, CPU",
        "µs/op",
    ),
];

/// Rows with one worker thread and with two.
pub(crate) const SCALING: &[Row] = &[
    row(
        "threads-random-rate",
        "scaling",
        "GET of random keys, pipeline 64, throughput",
        "k/s",
    )
    .more_is_better(),
    row(
        "threads-random-cpu",
        "scaling",
        "GET of random keys, pipeline 64, CPU",
        "µs/op",
    ),
    row(
        "threads-hot-rate",
        "scaling",
        "GET of one key, pipeline 64, throughput",
        "k/s",
    )
    .more_is_better(),
    row(
        "threads-hot-cpu",
        "scaling",
        "GET of one key, pipeline 64, CPU",
        "µs/op",
    ),
];

/// Rows for reads beside long commands.
pub(crate) const LONG: &[Row] = &[
    row("long-none-p99", "long", "GET of 10 clients, p99", "ms"),
    row("long-none-longest", "long", "the same, longest", "ms"),
    row(
        "long-keys-p99",
        "long",
        "during KEYS of 1,000,000 keys, p99",
        "ms",
    )
    .aims(AtMost(10.0)),
    row("long-keys-longest", "long", "the same, longest", "ms").aims(AtMost(50.0)),
    row(
        "long-hash-p99",
        "long",
        "during HGETALL of 1,000,000 fields, p99",
        "ms",
    )
    .aims(AtMost(10.0)),
    row("long-hash-longest", "long", "the same, longest", "ms").aims(AtMost(50.0)),
];

/// Rows for what reaches those who listen to changes.
pub(crate) const LISTENERS: &[Row] = &[
    row(
        "unheard-cpu",
        "feeds",
        "SET while nobody listens, CPU",
        "µs/op",
    ),
    row("events-1-rate", "feeds", "notifications, 1 listener", "k/s").more_is_better(),
    row("events-1-cpu", "feeds", "with the SET, CPU", "µs/event"),
    row(
        "events-100-rate",
        "feeds",
        "notifications, 100 listeners",
        "k/s",
    )
    .more_is_better(),
    row("events-100-cpu", "feeds", "with the SETs, CPU", "µs/event"),
    row(
        "tracking-rate",
        "feeds",
        "invalidations, 1,000 clients with keys of their own",
        "k/s",
    )
    .more_is_better(),
    row("tracking-cpu", "feeds", "with the SET, CPU", "µs/key"),
    row(
        "bcast-rate",
        "feeds",
        "invalidations, 1,000 clients with BCAST of all keys",
        "k/s",
    )
    .more_is_better(),
    row("bcast-cpu", "feeds", "with the SETs, CPU", "µs/key"),
    row(
        "tail-rate",
        "tail",
        "redtail tail, lines into a file",
        "k/s",
    )
    .more_is_better(),
    row("tail-cpu", "tail", "with the SET, CPU", "µs/line"),
];

/// Rows for clusters.
pub(crate) const CLUSTERS: &[Row] = &[
    row(
        "cluster-wall",
        "clusters",
        "start to all of 1,000,000 keys",
        "s",
    ),
    row("cluster-cpu", "clusters", "CPU until then", "s"),
    row("cluster-memory", "clusters", "resident memory", "MB"),
    row("cluster-threads", "clusters", "threads", "threads"),
    row(
        "cluster-idle-cpu",
        "clusters",
        "CPU while nothing happens",
        "% of a core",
    ),
    row(
        "cluster-idle-bytes",
        "clusters",
        "sent by a primary while nothing happens",
        "kB/s",
    ),
    row("cluster-get-1", "clusters", "GET, pipeline 1, CPU", "µs/op"),
    row(
        "cluster-get-16",
        "clusters",
        "GET, pipeline 16, CPU",
        "µs/op",
    ),
    row("cluster-mget", "clusters", "MGET of 100 keys, CPU", "µs/op"),
    row(
        "cluster-scan",
        "clusters",
        "SCAN of all keys, CPU",
        "ns/key",
    ),
    row(
        "cluster-none-p99",
        "clusters",
        "GET of 10 clients, p99",
        "ms",
    ),
    row(
        "cluster-none-longest",
        "clusters",
        "the same, longest",
        "ms",
    ),
    row(
        "cluster-keys-p99",
        "clusters",
        "during KEYS of 1,000,000 keys, p99",
        "ms",
    ),
    row(
        "cluster-keys-longest",
        "clusters",
        "the same, longest",
        "ms",
    ),
    row(
        "cluster-many-p99",
        "clusters",
        "during MGET of 10,000 keys, p99",
        "ms",
    ),
    row(
        "cluster-many-longest",
        "clusters",
        "the same, longest",
        "ms",
    ),
    row(
        "cluster-walk-p99",
        "clusters",
        "during SCAN while keys come and go, p99",
        "ms",
    ),
    row(
        "cluster-walk-longest",
        "clusters",
        "the same, longest",
        "ms",
    ),
];
